/* SPDX-License-Identifier: MIT */
#include "no_memory.h"

#include <stdlib.h>

#include "xn/bdev.h"

/* Here because a wrapped function has no other way to know. */
static struct {
	uint64_t countdown; /* 0: none fails */
	bool forever, failing;
	unsigned paused;
} memory;

void no_memory_arm(uint64_t nth, bool forever)
{
	memory.countdown = nth;
	memory.forever = forever;
	memory.failing = false;
}

bool no_memory_disarm(void)
{
	bool fired = memory.failing;

	memory.countdown = 0;
	memory.failing = false;
	return fired;
}

void no_memory_pause(void)
{
	memory.paused++;
}

void no_memory_resume(void)
{
	memory.paused--;
}

/* ---- allocations ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
	if (memory.paused)
		return false;
	if (memory.countdown && --memory.countdown == 0)
		return memory.failing = true;
	return memory.failing && memory.forever;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

/* ---- devices ---- */

#define BELOW(type, name, parameters, arguments)       \
	type __real_bdev_##name parameters;            \
	type __wrap_bdev_##name parameters;            \
	type __wrap_bdev_##name parameters             \
	{                                              \
		type result;                           \
                                                       \
		no_memory_pause();                     \
		result = __real_bdev_##name arguments; \
		no_memory_resume();                    \
		return result;                         \
	}

BELOW(int, read, (struct bdev * dev, uint64_t offset, void *to, size_t len), (dev, offset, to, len))
BELOW(int, write,
      (struct bdev * dev, uint64_t offset, const void *from, size_t len, uint32_t flags),
      (dev, offset, from, len, flags))
BELOW(int, flush, (struct bdev * dev), (dev))
BELOW(int, queue_create, (struct bdev * dev, struct bdev_queue **out), (dev, out))
BELOW(int, recorder_mark, (struct bdev * recorder, const char *text), (recorder, text))
BELOW(size_t, wait,
      (struct bdev_queue * queue, struct bdev_request *done[], size_t max, size_t min),
      (queue, done, max, min))

void __real_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);
void __wrap_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);

void __wrap_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	no_memory_pause();
	__real_bdev_submit(queue, requests, count);
	no_memory_resume();
}
