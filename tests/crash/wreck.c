/* SPDX-License-Identifier: MIT */
/*
 *  (1) One request at a time, each waited for.
 *  (2) At most one write is held back; it goes down at the latest when the device is closed.
 */
#include "wreck.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xn/format.h"

struct held {
	uint64_t offset;
	uint8_t *bytes; /* NULL: nothing */
	uint64_t len;
	bool flushed; /* the flush it should not pass has gone */
};

struct wreck_dev {
	struct bdev bdev;
	struct bdev *below;
	struct wreck wreck;
	unsigned counted, *fired;
	struct held held;
};

struct wreck_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

/* ---- which ---- */

static uint8_t *gathered(const struct bdev_request *request)
{
	uint8_t *bytes = malloc(request->len), *to = bytes;

	assert(bytes);
	for (int i = 0; i < request->iov_count; i++) {
		memcpy(to, request->iov[i].iov_base, request->iov[i].iov_len);
		to += request->iov[i].iov_len;
	}
	return bytes;
}

/* Bytes of files are random in tests, pointers and inodes are mostly zeroes. */
static bool looks_like_data(const uint8_t *bytes, uint64_t len)
{
	uint64_t zeroes = 0;

	for (uint64_t i = 0; i < len; i++)
		zeroes += bytes[i] == 0;
	return zeroes < len / 3;
}

static enum wreck_what what_is(const struct bdev_request *request)
{
	uint64_t block = request->offset / XN_BLOCK_SIZE;
	uint8_t *bytes = gathered(request);
	bool data = looks_like_data(bytes, request->len);
	bool super = memcmp(bytes, XN_SUPER_MAGIC, 8) == 0;

	free(bytes);
	if (super)
		return WRECK_SUPER;
	if (block == xn_map_block(0))
		return WRECK_MAP;
	return data ? WRECK_DATA : WRECK_META;
}

static bool is_meant(struct wreck_dev *dev, const struct bdev_request *request)
{
	bool flush = dev->wreck.kind == WRECK_DROP_FLUSH;

	if (dev->wreck.kind == WRECK_NOTHING || request->op != (flush ? BDEV_FLUSH : BDEV_WRITE))
		return false;
	if (dev->wreck.what != WRECK_ANY && what_is(request) != dev->wreck.what)
		return false;
	dev->counted++;
	if (dev->wreck.nth && dev->counted != dev->wreck.nth)
		return false;
	++*dev->fired;
	return true;
}

/* ---- what ---- */

static void forward(struct wreck_queue *queue, struct bdev_request *request)
{
	struct bdev_request copy = *request, *submit = &copy, *done;

	bdev_submit(queue->below, &submit, 1);
	bdev_wait(queue->below, &done, 1, 1);
	request->outcome = copy.outcome;
	request->error = copy.error;
}

static void held_put(struct wreck_dev *dev)
{
	if (!dev->held.bytes)
		return;
	bdev_write(dev->below, dev->held.offset, dev->held.bytes, dev->held.len, 0);
	free(dev->held.bytes);
	memset(&dev->held, 0, sizeof(dev->held));
}

static void held_take(struct wreck_dev *dev, const struct bdev_request *request)
{
	held_put(dev);
	dev->held = (struct held){ request->offset, gathered(request), request->len, false };
}

static void torn_write(struct wreck_dev *dev, const struct bdev_request *request)
{
	uint8_t *bytes = gathered(request);
	uint64_t half = request->len / 2 / BDEV_SECTOR * BDEV_SECTOR;

	if (half)
		bdev_write(dev->below, request->offset, bytes, half, 0);
	free(bytes);
}

/* Overwrite the first block that holds nothing but the secret. */
static void scribble(struct wreck_dev *dev)
{
	uint8_t block[XN_BLOCK_SIZE], secret[XN_BLOCK_SIZE];
	struct bdev_info info;

	memset(secret, WRECK_SECRET, sizeof(secret));
	bdev_info(dev->below, &info);
	for (uint64_t at = 0; at < info.size; at += sizeof(block)) {
		if (bdev_read(dev->below, at, block, sizeof(block)) ||
		    memcmp(block, secret, sizeof(block)) != 0)
			continue;
		memset(block, 0x11, sizeof(block));
		bdev_write(dev->below, at, block, sizeof(block), 0);
		return;
	}
}

static void lie(struct wreck_dev *dev, struct wreck_queue *queue, struct bdev_request *request)
{
	if (dev->wreck.kind == WRECK_SCRIBBLE) {
		forward(queue, request);
		scribble(dev);
		return;
	}
	if (dev->wreck.kind == WRECK_DELAY || dev->wreck.kind == WRECK_SWAP)
		held_take(dev, request);
	else if (dev->wreck.kind == WRECK_TEAR)
		torn_write(dev, request);
	request->outcome = BDEV_DONE;
	request->error = 0;
}

static void run(struct wreck_dev *dev, struct wreck_queue *queue, struct bdev_request *request)
{
	bool flush = request->op == BDEV_FLUSH;

	if (is_meant(dev, request)) {
		lie(dev, queue, request);
		return;
	}
	forward(queue, request);
	/* Swapped: what follows the flush has gone first. */
	if (dev->held.bytes && dev->held.flushed && request->op == BDEV_WRITE)
		held_put(dev);
	dev->held.flushed |= flush;
	if (flush && dev->wreck.kind == WRECK_DELAY)
		held_put(dev);
}

/* ---- the table ---- */

static void dev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bdev_request *request = requests[i];

		run((struct wreck_dev *)queue->dev, (struct wreck_queue *)queue, request);
		request->next = NULL;
		*queue->ready_end = request;
		queue->ready_end = &request->next;
	}
}

static size_t dev_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
		       size_t min)
{
	(void)queue, (void)done, (void)max, (void)min;
	assert(min == 0);
	return 0;
}

static int dev_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct wreck_queue *queue = calloc(1, sizeof(*queue));
	int err = queue ? bdev_queue_create(((struct wreck_dev *)dev)->below, &queue->below)
			: -ENOMEM;

	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->queue;
	return 0;
}

static void dev_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct wreck_queue *)queue)->below);
	free(queue);
}

static void dev_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct wreck_dev *)dev)->below, info);
}

static int dev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct wreck_dev *)dev)->below, exclusive, timeout_ms);
}

static int dev_resize(struct bdev *dev, uint64_t size)
{
	(void)dev, (void)size;
	return -ENOTSUP;
}

static void dev_close(struct bdev *bdev)
{
	struct wreck_dev *dev = (struct wreck_dev *)bdev;

	held_put(dev);
	bdev_close(dev->below);
	free(dev);
}

static const struct bdev_ops wreck_ops = {
	.name = "wreck",
	.close = dev_close,
	.lock = dev_lock,
	.info = dev_info,
	.resize = dev_resize,
	.queue_create = dev_queue_create,
	.queue_destroy = dev_queue_destroy,
	.submit = dev_submit,
	.wait = dev_wait,
};

int wreck_create(struct bdev *below, const struct wreck *wreck, unsigned *fired, struct bdev **out)
{
	struct wreck_dev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	*dev = (struct wreck_dev){
		.bdev.ops = &wreck_ops, .below = below, .wreck = *wreck, .fired = fired
	};
	*fired = 0;
	*out = &dev->bdev;
	return 0;
}
