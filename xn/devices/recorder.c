/* SPDX-License-Identifier: MIT */
/*
 * A device that remembers what was written through it, in order, and which
 * flush made what stable.
 *
 *  (1) A write, discard or write-zeroes is remembered before it goes down: what
 *      might be on the medium is always in the list.
 *  (2) A flush is remembered when it is DONE, and makes stable exactly what was
 *      DONE when it was submitted.
 *  (3) What FAILED or is UNKNOWN is never called stable.
 */
#include "recorder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A request that is below, and what we know of it. */
struct flight {
	struct bdev_request *request;
	size_t entry;      /* not for READ and FLUSH */
	uint64_t tick;     /* FLUSH: when it was submitted */
	uint64_t reset_at; /* the list it belongs to */
};

struct recorder_queue {
	struct stacked_queue stacked;
	struct flight *flights;
	size_t flight_count, flight_room;
};

/* ---- the list (mutex held) ---- */

struct entry *recorder_add(struct recorder *recorder)
{
	if (recorder->count == recorder->room) {
		size_t room = recorder->room ? recorder->room * 2 : 64;
		void *entries = realloc(recorder->entries, room * sizeof(struct entry));

		if (!entries)
			return NULL;
		recorder->entries = entries;
		recorder->room = room;
	}
	memset(&recorder->entries[recorder->count], 0, sizeof(struct entry));
	recorder->entries[recorder->count].event.stable_at = SIZE_MAX;
	return &recorder->entries[recorder->count++];
}

static bool entry_is_change(const struct entry *entry)
{
	return entry->event.kind != BDEV_EVENT_FLUSH && entry->event.kind != BDEV_EVENT_MARK;
}

static enum bdev_event_kind event_kind(enum bdev_op op)
{
	switch (op) {
	case BDEV_DISCARD: return BDEV_EVENT_DISCARD;
	case BDEV_WRITE_ZEROES: return BDEV_EVENT_ZEROES;
	default: return BDEV_EVENT_WRITE;
	}
}

/* The newest goes to the file, too; else it is forgotten again. */
static int entry_keep(struct recorder *recorder)
{
	int err = recorder_keep(recorder, recorder->count - 1);

	if (err)
		free(recorder->entries[--recorder->count].bytes);
	return err;
}

static int entry_add_change(struct recorder *recorder, const struct bdev_request *request)
{
	uint8_t *bytes = NULL;
	struct entry *entry;

	if (request->op == BDEV_WRITE) {
		bytes = malloc(request->len);
		if (!bytes)
			return -ENOMEM;
		iov_gather(bytes, request->iov, request->len);
	}
	entry = recorder_add(recorder);
	if (!entry) {
		free(bytes);
		return -ENOMEM;
	}
	entry->bytes = bytes;
	entry->event.bytes = bytes;
	entry->event.kind = event_kind(request->op);
	entry->event.flags = request->flags;
	entry->event.offset = request->offset;
	entry->event.len = request->len;
	return entry_keep(recorder);
}

/* A flush submitted at `tick` is DONE. */
static int entry_add_flush(struct recorder *recorder, uint64_t tick)
{
	size_t flush = recorder->count;
	struct entry *entry = recorder_add(recorder);
	int err;

	if (!entry)
		return -ENOMEM;
	entry->event.kind = BDEV_EVENT_FLUSH;
	entry->event.stable_at = flush;
	for (size_t i = recorder->unstable; i < flush; i++) {
		entry = &recorder->entries[i];
		if (entry_is_change(entry) && entry->done && entry->done_tick <= tick &&
		    entry->event.stable_at == SIZE_MAX)
			entry->event.stable_at = flush;
	}
	err = recorder_keep(recorder, flush);
	while (recorder->unstable < recorder->count &&
	       recorder->entries[recorder->unstable].event.stable_at != SIZE_MAX)
		recorder->unstable++;
	return err;
}

static void entries_forget(struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->count; i++)
		free(recorder->entries[i].bytes);
	recorder->count = 0;
	recorder->unstable = 0;
}

static void request_count(struct bdev_counts *counts, const struct bdev_request *request)
{
	switch (request->op) {
	case BDEV_READ:
		counts->reads++;
		counts->read_bytes += request->len;
		break;
	case BDEV_WRITE:
		counts->writes++;
		counts->written_bytes += request->len;
		break;
	case BDEV_FLUSH: counts->flushes++; break;
	case BDEV_DISCARD: counts->discards++; break;
	case BDEV_WRITE_ZEROES: counts->zeroes++; break;
	}
}

/* ---- requests ---- */

static struct flight *flight_add(struct recorder_queue *queue, struct bdev_request *request)
{
	if (queue->flight_count == queue->flight_room) {
		size_t room = queue->flight_room ? queue->flight_room * 2 : 16;
		void *flights = realloc(queue->flights, room * sizeof(struct flight));

		if (!flights)
			return NULL;
		queue->flights = flights;
		queue->flight_room = room;
	}
	queue->flights[queue->flight_count] = (struct flight){ .request = request };
	return &queue->flights[queue->flight_count++];
}

/* Mutex held. */
static int request_note(struct recorder *recorder, struct recorder_queue *queue,
			struct bdev_request *request)
{
	struct flight *flight = flight_add(queue, request);
	int err = 0;

	if (!flight)
		return -ENOMEM;
	flight->reset_at = recorder->reset_count;
	flight->entry = recorder->count;
	if (request->op == BDEV_FLUSH)
		flight->tick = recorder->tick++;
	else if (request->op != BDEV_READ)
		err = entry_add_change(recorder, request);
	if (err)
		queue->flight_count--;
	else
		request_count(&recorder->counts, request);
	return err;
}

/* A request that cannot be remembered does not happen. */
static bool request_keep(struct stacked_queue *base, struct bdev_request *request)
{
	struct recorder *recorder = (struct recorder *)base->queue.dev;
	int err;

	pthread_mutex_lock(&recorder->mutex);
	err = request_note(recorder, (struct recorder_queue *)base, request);
	pthread_mutex_unlock(&recorder->mutex);
	if (err)
		queue_complete(&base->queue, request, BDEV_FAILED, err);
	return err;
}

static void recorder_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	stacked_submit((struct stacked_queue *)queue, requests, count, request_keep);
}

static struct flight flight_take(struct recorder_queue *queue, const struct bdev_request *request)
{
	struct flight flight;
	size_t i = 0;

	while (queue->flights[i].request != request) {
		i++;
		assert(i < queue->flight_count);
	}
	flight = queue->flights[i];
	queue->flight_count--;
	memmove(&queue->flights[i], &queue->flights[i + 1],
		(queue->flight_count - i) * sizeof(struct flight));
	return flight;
}

/* Mutex held. */
static void request_landed(struct recorder *recorder, const struct flight *flight)
{
	struct bdev_request *request = flight->request;
	struct entry *entry;

	if (request->outcome != BDEV_DONE || request->op == BDEV_READ ||
	    flight->reset_at != recorder->reset_count)
		return;
	if (request->op == BDEV_FLUSH) {
		/* Unremembered it would only make less stable than there is. */
		int err = entry_add_flush(recorder, flight->tick);

		if (err) {
			request->outcome = BDEV_FAILED;
			request->error = err;
		}
		return;
	}
	entry = &recorder->entries[flight->entry];
	entry->done = true;
	entry->done_tick = recorder->tick;
	if (request->op == BDEV_WRITE && (request->flags & BDEV_FUA))
		entry->event.stable_at = recorder->count;
}

static size_t recorder_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			    size_t min)
{
	struct recorder_queue *queue = (struct recorder_queue *)base;
	struct recorder *recorder = (struct recorder *)base->dev;
	size_t taken = bdev_wait(queue->stacked.below, done, max, min);

	pthread_mutex_lock(&recorder->mutex);
	for (size_t i = 0; i < taken; i++) {
		struct flight flight = flight_take(queue, done[i]);

		request_landed(recorder, &flight);
	}
	pthread_mutex_unlock(&recorder->mutex);
	return taken;
}

static int recorder_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct recorder *recorder = (struct recorder *)dev;
	struct recorder_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(recorder->stacked.below, &queue->stacked.below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->stacked.queue;
	return 0;
}

static void recorder_queue_destroy(struct bdev_queue *base)
{
	struct recorder_queue *queue = (struct recorder_queue *)base;

	bdev_queue_destroy(queue->stacked.below);
	free(queue->flights);
	free(queue);
}

static void recorder_close(struct bdev *dev)
{
	struct recorder *recorder = (struct recorder *)dev;

	entries_forget(recorder);
	recorder_file_close(recorder);
	free(recorder->entries);
	bdev_close(recorder->stacked.below);
	pthread_mutex_destroy(&recorder->mutex);
	free(recorder);
}

static const struct bdev_ops recorder_ops = {
	.name = "recorder",
	.close = recorder_close,
	.lock = stacked_lock,
	.info = stacked_info,
	.resize = stacked_resize,
	.queue_create = recorder_queue_create,
	.queue_destroy = recorder_queue_destroy,
	.submit = recorder_submit,
	.wait = recorder_wait,
};

/* ---- its own functions ---- */

int bdev_recorder_create(struct bdev *below, struct bdev **out)
{
	struct recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return -ENOMEM;
	recorder->stacked.bdev.ops = &recorder_ops;
	recorder->stacked.below = below;
	recorder->file = -1;
	pthread_mutex_init(&recorder->mutex, NULL);
	*out = &recorder->stacked.bdev;
	return 0;
}

int bdev_recorder_mark(struct bdev *dev, const char *text)
{
	struct recorder *recorder = (struct recorder *)dev;
	char *copy = strdup(text);
	struct entry *entry;
	int err = -ENOMEM;

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&recorder->mutex);
	entry = recorder_add(recorder);
	if (entry) {
		entry->event.kind = BDEV_EVENT_MARK;
		entry->event.stable_at = recorder->count - 1;
		entry->bytes = (uint8_t *)copy;
		entry->event.mark = copy;
		err = entry_keep(recorder);
	}
	pthread_mutex_unlock(&recorder->mutex);
	if (!entry)
		free(copy);
	return err;
}

size_t bdev_recorder_count(const struct bdev *dev)
{
	struct recorder *recorder = (struct recorder *)(uintptr_t)dev;
	size_t count;

	pthread_mutex_lock(&recorder->mutex);
	count = recorder->count;
	pthread_mutex_unlock(&recorder->mutex);
	return count;
}

const struct bdev_event *bdev_recorder_event(const struct bdev *dev, size_t index)
{
	struct recorder *recorder = (struct recorder *)(uintptr_t)dev;
	const struct bdev_event *event = NULL;

	pthread_mutex_lock(&recorder->mutex);
	if (index < recorder->count)
		event = &recorder->entries[index].event;
	pthread_mutex_unlock(&recorder->mutex);
	return event;
}

void bdev_recorder_reset(struct bdev *dev)
{
	struct recorder *recorder = (struct recorder *)dev;

	pthread_mutex_lock(&recorder->mutex);
	entries_forget(recorder);
	recorder_file_close(recorder); /* its numbers would begin anew */
	recorder->reset_count++;
	memset(&recorder->counts, 0, sizeof(recorder->counts));
	pthread_mutex_unlock(&recorder->mutex);
}

void bdev_recorder_counts(const struct bdev *dev, struct bdev_counts *counts)
{
	struct recorder *recorder = (struct recorder *)(uintptr_t)dev;

	pthread_mutex_lock(&recorder->mutex);
	*counts = recorder->counts;
	pthread_mutex_unlock(&recorder->mutex);
}
