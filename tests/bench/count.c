/* SPDX-License-Identifier: MIT */
#include "count.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static const uint64_t caps[COUNT_CAPS] = { 64u << 10, 1u << 20 };

struct counter {
	struct bdev bdev;
	struct bdev *below;
	pthread_mutex_t lock;
	struct counts counts;
};

struct counter_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

static void count_request(struct counts *counts, const struct bdev_request *request)
{
	bool read = request->op == BDEV_READ;

	if (request->op == BDEV_FLUSH) {
		counts->flushes++;
		return;
	}
	for (unsigned i = 0; i < COUNT_CAPS; i++)
		counts->requests[i] += (request->len + caps[i] - 1) / caps[i];
	*(read ? &counts->reads : &counts->writes) += 1;
	*(read ? &counts->read_sectors : &counts->written_sectors) += request->len / BDEV_SECTOR;
}

static void counter_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct counter *counter = (struct counter *)queue->dev;

	pthread_mutex_lock(&counter->lock);
	for (size_t i = 0; i < count; i++)
		count_request(&counter->counts, requests[i]);
	pthread_mutex_unlock(&counter->lock);
	bdev_submit(((struct counter_queue *)queue)->below, requests, count);
}

static size_t counter_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			   size_t min)
{
	return bdev_wait(((struct counter_queue *)queue)->below, done, max, min);
}

static int counter_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct counter_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(((struct counter *)dev)->below, &queue->below);
	if (err)
		free(queue);
	else
		*out = &queue->queue;
	return err;
}

static void counter_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct counter_queue *)queue)->below);
	free(queue);
}

static int counter_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct counter *)dev)->below, exclusive, timeout_ms);
}

static void counter_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct counter *)dev)->below, info);
}

static int counter_resize(struct bdev *dev, uint64_t size)
{
	return bdev_resize(((struct counter *)dev)->below, size);
}

static void counter_close(struct bdev *dev)
{
	struct counter *counter = (struct counter *)dev;

	bdev_close(counter->below);
	pthread_mutex_destroy(&counter->lock);
	free(counter);
}

static const struct bdev_ops counter_ops = {
	.name = "count",
	.close = counter_close,
	.lock = counter_lock,
	.info = counter_info,
	.resize = counter_resize,
	.queue_create = counter_queue_create,
	.queue_destroy = counter_queue_destroy,
	.submit = counter_submit,
	.wait = counter_wait,
};

int count_create(struct bdev *below, struct bdev **out)
{
	struct counter *counter = calloc(1, sizeof(*counter));

	if (!counter)
		return -ENOMEM;
	counter->bdev.ops = &counter_ops;
	counter->below = below;
	pthread_mutex_init(&counter->lock, NULL);
	*out = &counter->bdev;
	return 0;
}

void count_take(struct bdev *dev, struct counts *counts)
{
	struct counter *counter = (struct counter *)dev;

	pthread_mutex_lock(&counter->lock);
	*counts = counter->counts;
	counter->counts = (struct counts){ 0 };
	pthread_mutex_unlock(&counter->lock);
}
