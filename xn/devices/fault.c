/* SPDX-License-Identifier: MIT */
/*
 * A device that fails on demand: the n-th operation from now, in one of four
 * ways.
 *
 *  (1) The same fault armed on the same sequence of requests does the same: what
 *      looks like chance comes from the fault's seed.
 *  (2) What is not failed goes down untouched, and a failed request does no more
 *      below than its kind of fault says.
 *  (3) CORRUPT counts reads only, whatever `ops` says: only a read can lie.
 */
#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "xn/error.h"

struct injector {
	struct stacked stacked;
	pthread_mutex_t mutex;
	bool armed;
	struct bdev_fault fault;
	uint64_t seen, fired;
};

/* What one failing request needs, taken while the mutex was held. */
struct strike {
	enum bdev_fault_kind kind;
	int error;
	uint64_t chance; /* state of splitmix64 */
};

static uint64_t chance_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Mutex held. */
static bool op_counts(const struct injector *injector, enum bdev_op op)
{
	if (injector->fault.kind == BDEV_FAULT_CORRUPT)
		return op == BDEV_READ;
	return !injector->fault.ops || (injector->fault.ops & 1u << op);
}

/* Is this the request that fails? */
static bool strike_take(struct injector *injector, enum bdev_op op, struct strike *strike)
{
	const struct bdev_fault *fault = &injector->fault;
	bool strikes = false;

	pthread_mutex_lock(&injector->mutex);
	if (injector->armed && op_counts(injector, op)) {
		injector->seen++;
		strikes = injector->seen == fault->nth ||
			  (fault->forever && injector->seen > fault->nth);
	}
	if (strikes) {
		strike->kind = fault->kind;
		strike->error = fault->error ? fault->error : -EIO;
		strike->chance = fault->seed + injector->fired++;
	}
	pthread_mutex_unlock(&injector->mutex);
	return strikes;
}

/* ---- what each kind does below ---- */

/* Write every sector for which a coin says so. */
static void write_some(struct bdev *below, const uint8_t *bytes, uint64_t offset, uint64_t len,
		       uint64_t *chance)
{
	for (uint64_t at = 0; at < len; at += BDEV_SECTOR)
		if (chance_next(chance) & 1)
			bdev_write(below, offset + at, bytes + at, BDEV_SECTOR, 0);
}

static enum bdev_outcome strike_unknown(struct bdev *below, const struct bdev_request *request,
					struct strike *strike)
{
	uint8_t *bytes;

	if (request->op == BDEV_FLUSH && (chance_next(&strike->chance) & 1))
		bdev_flush(below);
	if (request->op != BDEV_WRITE)
		return BDEV_UNKNOWN;
	bytes = malloc(request->len);
	if (!bytes)
		return BDEV_UNKNOWN; /* nothing was written: one of the permitted cases */
	iov_gather(bytes, request->iov, request->len);
	write_some(below, bytes, request->offset, request->len, &strike->chance);
	free(bytes);
	return BDEV_UNKNOWN;
}

/* Move a random number of sectors, less than all. */
static enum bdev_outcome strike_short(struct bdev *below, const struct bdev_request *request,
				      struct strike *strike)
{
	uint64_t sectors = request->len / BDEV_SECTOR;
	uint64_t len;
	uint8_t *bytes;

	if (request->op != BDEV_READ && request->op != BDEV_WRITE)
		return BDEV_FAILED;
	len = chance_next(&strike->chance) % sectors * BDEV_SECTOR;
	bytes = malloc(len + 1);
	if (!bytes)
		return BDEV_FAILED;
	if (request->op == BDEV_WRITE) {
		iov_gather(bytes, request->iov, len);
		bdev_write(below, request->offset, bytes, len, 0);
	} else if (!bdev_read(below, request->offset, bytes, len)) {
		iov_scatter(request->iov, bytes, len);
	}
	free(bytes);
	return BDEV_FAILED;
}

/* Read, then flip one to eight different bits. */
static enum bdev_outcome strike_corrupt(struct bdev *below, const struct bdev_request *request,
					struct strike *strike)
{
	uint64_t flips = chance_next(&strike->chance) % 8 + 1;
	uint8_t *bytes = malloc(request->len);
	uint64_t at = chance_next(&strike->chance);
	int err;

	if (!bytes) {
		strike->error = -ENOMEM;
		return BDEV_FAILED;
	}
	err = bdev_read(below, request->offset, bytes, request->len);
	for (uint64_t i = 0; i < flips; i++, at++)
		bytes[at % request->len] ^= (uint8_t)(1u << chance_next(&strike->chance) % 8);
	if (!err)
		iov_scatter(request->iov, bytes, request->len);
	free(bytes);
	strike->error = err;
	if (err == XN_EUNKNOWN)
		return BDEV_UNKNOWN;
	return err ? BDEV_FAILED : BDEV_DONE;
}

static bool request_strike(struct stacked_queue *queue, struct bdev_request *request)
{
	struct injector *injector = (struct injector *)queue->queue.dev;
	struct bdev *below = injector->stacked.below;
	enum bdev_outcome outcome = BDEV_FAILED;
	struct strike strike;

	if (!strike_take(injector, request->op, &strike))
		return false;
	switch (strike.kind) {
	case BDEV_FAULT_FAIL: break;
	case BDEV_FAULT_UNKNOWN: outcome = strike_unknown(below, request, &strike); break;
	case BDEV_FAULT_SHORT: outcome = strike_short(below, request, &strike); break;
	case BDEV_FAULT_CORRUPT: outcome = strike_corrupt(below, request, &strike); break;
	}
	queue_complete(&queue->queue, request, outcome, strike.error);
	return true;
}

/* ---- the table ---- */

static void fault_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	stacked_submit((struct stacked_queue *)queue, requests, count, request_strike);
}

static size_t fault_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			 size_t min)
{
	return bdev_wait(((struct stacked_queue *)queue)->below, done, max, min);
}

static int fault_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct injector *injector = (struct injector *)dev;
	struct stacked_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(injector->stacked.below, &queue->below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->queue;
	return 0;
}

static void fault_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct stacked_queue *)queue)->below);
	free(queue);
}

static void fault_close(struct bdev *dev)
{
	struct injector *injector = (struct injector *)dev;

	bdev_close(injector->stacked.below);
	pthread_mutex_destroy(&injector->mutex);
	free(injector);
}

static const struct bdev_ops fault_ops = {
	.name = "fault",
	.close = fault_close,
	.lock = stacked_lock,
	.info = stacked_info,
	.resize = stacked_resize,
	.queue_create = fault_queue_create,
	.queue_destroy = fault_queue_destroy,
	.submit = fault_submit,
	.wait = fault_wait,
};

/* ---- its own functions ---- */

int bdev_fault_create(struct bdev *below, struct bdev **out)
{
	struct injector *injector = calloc(1, sizeof(*injector));

	if (!injector)
		return -ENOMEM;
	injector->stacked.bdev.ops = &fault_ops;
	injector->stacked.below = below;
	pthread_mutex_init(&injector->mutex, NULL);
	*out = &injector->stacked.bdev;
	return 0;
}

void bdev_fault_arm(struct bdev *dev, const struct bdev_fault *fault)
{
	struct injector *injector = (struct injector *)dev;

	pthread_mutex_lock(&injector->mutex);
	injector->fault = *fault;
	injector->seen = 0;
	injector->fired = 0;
	injector->armed = true;
	pthread_mutex_unlock(&injector->mutex);
}

uint64_t bdev_fault_disarm(struct bdev *dev)
{
	struct injector *injector = (struct injector *)dev;
	uint64_t fired;

	pthread_mutex_lock(&injector->mutex);
	fired = injector->fired;
	injector->armed = false;
	pthread_mutex_unlock(&injector->mutex);
	return fired;
}
