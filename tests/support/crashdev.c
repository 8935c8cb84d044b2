/* SPDX-License-Identifier: MIT */
#include "crashdev.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pending {
	uint64_t offset, len;
	uint8_t *bytes;
};

/* A sector of `stable` as it was before a state was laid over it. */
struct undo {
	uint64_t offset;
	uint8_t bytes[BDEV_SECTOR];
};

struct crashdev {
	struct bdev bdev;
	pthread_mutex_t lock; /* one request at a time */
	uint64_t size;
	uint8_t *now, *stable;
	struct pending *pending;
	size_t n_pending, cap_pending;
	struct undo *undo;
	size_t n_undo, cap_undo;
	uint64_t writes;
	crashdev_hook *hook;
	void *context;
};

static void *grown(void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 64;
	v = realloc(v, *cap * size);
	assert(v);
	return v;
}

/* ---- requests ---- */

static void write_note(struct crashdev *dev, uint64_t offset, uint64_t len)
{
	struct pending *p;

	dev->pending = grown(dev->pending, dev->n_pending, &dev->cap_pending, sizeof(*p));
	p = &dev->pending[dev->n_pending++];
	*p = (struct pending){ offset, len, malloc(len) };
	assert(p->bytes);
	memcpy(p->bytes, dev->now + offset, len);
	dev->writes++;
}

static void pending_forget(struct crashdev *dev)
{
	for (size_t i = 0; i < dev->n_pending; i++)
		free(dev->pending[i].bytes);
	dev->n_pending = 0;
}

static void flush(struct crashdev *dev)
{
	for (size_t i = 0; i < dev->n_pending; i++)
		memcpy(dev->stable + dev->pending[i].offset, dev->pending[i].bytes,
		       dev->pending[i].len);
	pending_forget(dev);
}

static void run(struct crashdev *dev, const struct bdev_request *request)
{
	uint8_t *at = dev->now + request->offset;

	assert(request->op == BDEV_READ || request->op == BDEV_WRITE || request->op == BDEV_FLUSH);
	if (request->op == BDEV_FLUSH) {
		flush(dev);
		return;
	}
	for (int i = 0; i < request->iov_count; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->op == BDEV_READ)
			memcpy(iov->iov_base, at, iov->iov_len);
		else
			memcpy(at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
	if (request->op == BDEV_WRITE)
		write_note(dev, request->offset, request->len);
}

static void dev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct crashdev *dev = (struct crashdev *)queue->dev;

	for (size_t i = 0; i < count; i++) {
		struct bdev_request *request = requests[i];

		pthread_mutex_lock(&dev->lock);
		run(dev, request);
		pthread_mutex_unlock(&dev->lock);
		request->outcome = BDEV_DONE;
		request->error = 0;
		request->next = NULL;
		*queue->ready_end = request;
		queue->ready_end = &request->next;
		if (dev->hook && request->op != BDEV_READ)
			dev->hook(dev->context, &dev->bdev, request->op);
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
	(void)dev;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void dev_queue_destroy(struct bdev_queue *queue)
{
	free(queue);
}

static void dev_info(const struct bdev *bdev, struct bdev_info *info)
{
	const struct crashdev *dev = (const struct crashdev *)bdev;

	*info = (struct bdev_info){ .size = dev->size,
				    .logical_block = BDEV_SECTOR,
				    .optimal_io = 1u << 16,
				    .writable = true };
	snprintf(info->name, sizeof(info->name), "crash:%llu", (unsigned long long)dev->size);
}

static int dev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	(void)dev, (void)exclusive, (void)timeout_ms;
	return 0;
}

static int dev_resize(struct bdev *dev, uint64_t size)
{
	(void)dev, (void)size;
	return -ENOTSUP;
}

static void dev_close(struct bdev *bdev)
{
	struct crashdev *dev = (struct crashdev *)bdev;

	pending_forget(dev);
	pthread_mutex_destroy(&dev->lock);
	free(dev->pending);
	free(dev->undo);
	free(dev->now);
	free(dev->stable);
	free(dev);
}

static const struct bdev_ops crashdev_ops = {
	.name = "crash",
	.close = dev_close,
	.lock = dev_lock,
	.info = dev_info,
	.resize = dev_resize,
	.queue_create = dev_queue_create,
	.queue_destroy = dev_queue_destroy,
	.submit = dev_submit,
	.wait = dev_wait,
};

int crashdev_create(uint64_t size, struct bdev **out)
{
	struct crashdev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	dev->bdev.ops = &crashdev_ops;
	pthread_mutex_init(&dev->lock, NULL);
	dev->size = size;
	dev->now = malloc(size);
	dev->stable = malloc(size);
	if (!dev->now || !dev->stable) {
		dev_close(&dev->bdev);
		return -ENOMEM;
	}
	memset(dev->now, CRASHDEV_POISON, size);
	memset(dev->stable, CRASHDEV_POISON, size);
	*out = &dev->bdev;
	return 0;
}

void crashdev_hook_set(struct bdev *bdev, crashdev_hook *hook, void *context)
{
	struct crashdev *dev = (struct crashdev *)bdev;

	dev->hook = hook;
	dev->context = context;
}

uint8_t *crashdev_now(struct bdev *dev)
{
	return ((struct crashdev *)dev)->now;
}

uint64_t crashdev_size(const struct bdev *dev)
{
	return ((const struct crashdev *)dev)->size;
}

size_t crashdev_pending(const struct bdev *dev)
{
	return ((const struct crashdev *)dev)->n_pending;
}

uint64_t crashdev_writes(const struct bdev *dev)
{
	return ((const struct crashdev *)dev)->writes;
}

/* ---- states ---- */

static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void lay_sector(struct crashdev *dev, uint64_t offset, const uint8_t *bytes)
{
	struct undo *undo;

	dev->undo = grown(dev->undo, dev->n_undo, &dev->cap_undo, sizeof(*undo));
	undo = &dev->undo[dev->n_undo++];
	undo->offset = offset;
	memcpy(undo->bytes, dev->stable + offset, BDEV_SECTOR);
	memcpy(dev->stable + offset, bytes, BDEV_SECTOR);
}

const uint8_t *crashdev_state_begin(struct bdev *bdev, uint64_t seed)
{
	struct crashdev *dev = (struct crashdev *)bdev;
	unsigned manner = seed == 0 ? 0 : seed == 1 ? 1 : 2 + (unsigned)(mix(&seed) % 3);
	size_t prefix;

	pthread_mutex_lock(&dev->lock);
	assert(dev->n_undo == 0);
	prefix = dev->n_pending ? mix(&seed) % (dev->n_pending + 1) : 0;
	for (size_t i = 0; i < dev->n_pending && manner != 1; i++) {
		const struct pending *p = &dev->pending[i];
		bool whole = manner == 0 || (manner == 2 && i < prefix) ||
			     (manner == 3 && (mix(&seed) & 1));

		for (uint64_t at = 0; at < p->len; at += BDEV_SECTOR) {
			if (whole || (manner == 4 && (mix(&seed) & 1)))
				lay_sector(dev, p->offset + at, p->bytes + at);
		}
	}
	return dev->stable;
}

void crashdev_state_end(struct bdev *bdev)
{
	struct crashdev *dev = (struct crashdev *)bdev;

	while (dev->n_undo > 0) {
		const struct undo *undo = &dev->undo[--dev->n_undo];

		memcpy(dev->stable + undo->offset, undo->bytes, BDEV_SECTOR);
	}
	pthread_mutex_unlock(&dev->lock);
}

void crashdev_crash(struct bdev *bdev, uint64_t seed)
{
	struct crashdev *dev = (struct crashdev *)bdev;

	crashdev_state_begin(bdev, seed);
	dev->n_undo = 0;
	pending_forget(dev);
	memcpy(dev->now, dev->stable, dev->size);
	pthread_mutex_unlock(&dev->lock);
}
