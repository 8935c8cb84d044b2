/* SPDX-License-Identifier: MIT */
#include "stopper.h"

#include "expect.h"

#include <stdlib.h>

struct stopper_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

static void stopper_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct stopper *)dev)->below, info);
}

static int stopper_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct stopper_queue *queue = calloc(1, sizeof(*queue));

	assert_non_null(queue);
	assert_ok(bdev_queue_create(((struct stopper *)dev)->below, &queue->below));
	*out = &queue->queue;
	return 0;
}

static void stopper_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct stopper_queue *)queue)->below);
	free(queue);
}

static void stopper_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct stopper *stopper = (struct stopper *)queue->dev;

	if (stopper->left > 0 && --stopper->left == 0)
		stopper->stop = 1;
	bdev_submit(((struct stopper_queue *)queue)->below, requests, count);
}

static size_t stopper_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			   size_t min)
{
	return bdev_wait(((struct stopper_queue *)queue)->below, done, max, min);
}

const struct bdev_ops fsck_stopper_ops = {
	.name = "stopper",
	.info = stopper_info,
	.queue_create = stopper_queue_create,
	.queue_destroy = stopper_queue_destroy,
	.submit = stopper_submit,
	.wait = stopper_wait,
};
