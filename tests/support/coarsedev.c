/* SPDX-License-Identifier: MIT */
#include "coarsedev.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define BLOCK 4096u

struct coarsedev {
	struct bdev bdev;
	struct bdev *below;
};

static int run(struct coarsedev *dev, struct bdev_request *request)
{
	uint64_t at = request->offset;
	int err = 0;

	if (request->offset % BLOCK || request->len % BLOCK)
		return -EINVAL;
	if (request->op == BDEV_FLUSH)
		return bdev_flush(dev->below);
	for (int i = 0; i < request->iov_count && !err; i++) {
		const struct iovec *iov = &request->iov[i];

		err = request->op == BDEV_READ
			      ? bdev_read(dev->below, at, iov->iov_base, iov->iov_len)
			      : bdev_write(dev->below, at, iov->iov_base, iov->iov_len, 0);
		at += iov->iov_len;
	}
	return err;
}

static void dev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bdev_request *request = requests[i];

		request->error = run((struct coarsedev *)queue->dev, request);
		request->outcome = request->error ? BDEV_FAILED : BDEV_DONE;
		request->next = NULL;
		*queue->ready_end = request;
		queue->ready_end = &request->next;
	}
}

static size_t dev_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
		       size_t min)
{
	(void)queue, (void)done, (void)max, (void)min;
	assert(min == 0); /* all is done when it is submitted */
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
	bdev_info(((const struct coarsedev *)bdev)->below, info);
	info->logical_block = BLOCK;
}

static int dev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct coarsedev *)dev)->below, exclusive, timeout_ms);
}

static int dev_resize(struct bdev *dev, uint64_t size)
{
	return bdev_resize(((struct coarsedev *)dev)->below, size);
}

static void dev_close(struct bdev *bdev)
{
	bdev_close(((struct coarsedev *)bdev)->below);
	free(bdev);
}

static const struct bdev_ops coarsedev_ops = {
	.name = "coarse",
	.close = dev_close,
	.lock = dev_lock,
	.info = dev_info,
	.resize = dev_resize,
	.queue_create = dev_queue_create,
	.queue_destroy = dev_queue_destroy,
	.submit = dev_submit,
	.wait = dev_wait,
};

int coarsedev_create(struct bdev *below, struct bdev **out)
{
	struct coarsedev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return -ENOMEM;
	dev->bdev.ops = &coarsedev_ops;
	dev->below = below;
	*out = &dev->bdev;
	return 0;
}
