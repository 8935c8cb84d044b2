/* SPDX-License-Identifier: MIT */
/*
 * A device that asserts the order rules from outside.
 *
 *  (1) A write counts from its submission: from then on it may be on the medium.  It is
 *      stable when a flush is done that was submitted after the write was done.
 *  (2) A write that failed, or whose outcome is unknown, may be on the medium for ever,
 *      until a later write of the same sector is stable.
 *  (3) All is decoded from the bytes that pass, and from the device below when a block
 *      is first looked at; the cost follows what changes.
 *  (4) Nothing is refused and nothing is changed: it only counts.
 *
 * One mutex guards all that is known; unlike the engine's it is held while the device
 * below is read.  This device is for tests, and one that cannot remember ends them.
 */
#include "check.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request on its way, and what it is to us. */
struct flight {
	struct bdev_request *request;
	struct write *write; /* a change; or NULL */
	uint64_t tick;       /* a flush: when it was submitted */
};

struct check_queue {
	struct stacked_queue stacked;
	struct flight *flights;
	size_t n, cap;
};

void *ck_need(void *memory)
{
	if (memory)
		return memory;
	fprintf(stderr, "checking device: out of memory\n");
	abort();
}

/* ---- violations ---- */

const char *bdev_check_rule_name(enum bdev_check_rule rule)
{
	static const char *const names[] = { "unwritten", "reused", "moved", "map", "stray",
					     "torn",      "owns",   "state", "log" };

	static_assert(sizeof(names) / sizeof(names[0]) == BDEV_CHECK_RULES, "a name for each");
	return rule < BDEV_CHECK_RULES ? names[rule] : "?";
}

void ck_violation(struct checker *checker, enum bdev_check_rule rule, const char *format, ...)
{
	size_t room = TEXT_BYTES - checker->text_len;
	char line[256];
	va_list args;
	int len;

	checker->counts[rule]++;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	len = snprintf(checker->text + checker->text_len, room, "%s: %s\n",
		       bdev_check_rule_name(rule), line);
	if (len > 0 && (size_t)len < room)
		checker->text_len += (size_t)len;
	else
		checker->text[checker->text_len] = '\0'; /* whole lines only */
}

/* ---- bytes ---- */

/* Copy the part of a request's bytes that lies in [offset, offset + len). */
void ck_write_overlay(const struct write *write, uint64_t offset, void *bytes, size_t len)
{
	const struct bdev_request *request = write->request;
	uint64_t at = write->offset;

	if (request->op == BDEV_DISCARD)
		return;
	if (request->op == BDEV_WRITE_ZEROES) {
		uint64_t from = at > offset ? at : offset;
		uint64_t end = at + write->len < offset + len ? at + write->len : offset + len;

		if (from < end)
			memset((uint8_t *)bytes + (from - offset), 0, end - from);
		return;
	}
	for (int i = 0; i < request->iov_count && at < offset + len; i++) {
		const struct iovec *iov = &request->iov[i];
		uint64_t from = at > offset ? at : offset;
		uint64_t end = at + iov->iov_len < offset + len ? at + iov->iov_len : offset + len;

		if (from < end)
			memcpy((uint8_t *)bytes + (from - offset),
			       (const uint8_t *)iov->iov_base + (from - at), end - from);
		at += iov->iov_len;
	}
}

static bool write_overlaps(const struct write *write, uint64_t offset, uint64_t len)
{
	return write->offset < offset + len && offset < write->offset + write->len;
}

int ck_newest_read(struct checker *checker, uint64_t offset, void *bytes, size_t len)
{
	uint64_t end = (offset + len + BDEV_SECTOR - 1) / BDEV_SECTOR * BDEV_SECTOR;
	uint8_t *whole = ck_need(malloc(end - offset));
	const struct write *write;
	int err = bdev_read(checker->stacked.below, offset, whole, end - offset);

	TAILQ_FOREACH(write, &checker->writes, link)
	{
		if (write->request && write_overlaps(write, offset, end - offset))
			ck_write_overlay(write, offset, whole, end - offset);
	}
	for (uint64_t at = offset; at < end; at += BDEV_SECTOR)
		ck_log_overlay(checker, at / BDEV_SECTOR, whole + (at - offset));
	memcpy(bytes, whole, len);
	free(whole);
	return err;
}

/* ---- atoms ---- */

static struct atom *atom_find(const struct write *write, uint64_t sector)
{
	struct atom *atom;

	TAILQ_FOREACH_REVERSE(atom, &write->atoms, atom_list, link)
	{
		if (atom->sector == sector)
			break;
	}
	return atom;
}

struct atom *ck_atom_get(struct write *write, uint64_t sector)
{
	struct atom *atom = atom_find(write, sector);

	if (atom)
		return atom;
	atom = ck_need(calloc(1, sizeof(*atom)));
	atom->write = write;
	atom->sector = sector;
	LIST_INIT(&atom->dropped);
	TAILQ_INSERT_TAIL(&write->atoms, atom, link);
	return atom;
}

/* When this write of a sector is stable, an earlier one that failed is gone. */
static void failed_inherit(struct checker *checker, struct write *write)
{
	struct write *failed, *next;
	struct atom *atom, *then;

	if (!checker->n_failed)
		return;
	for (failed = TAILQ_FIRST(&checker->writes); failed; failed = next) {
		next = TAILQ_NEXT(failed, link);
		if (!failed->failed)
			continue;
		for (atom = TAILQ_FIRST(&failed->atoms); atom; atom = then) {
			then = TAILQ_NEXT(atom, link);
			if (!write_overlaps(write, atom->sector * BDEV_SECTOR, BDEV_SECTOR))
				continue;
			TAILQ_REMOVE(&failed->atoms, atom, link);
			TAILQ_INSERT_TAIL(&write->atoms, atom, link);
			atom->write = write;
		}
		if (!TAILQ_EMPTY(&failed->atoms))
			continue;
		TAILQ_REMOVE(&checker->writes, failed, link);
		checker->n_failed--;
		free(failed);
	}
}

/* ---- a write is submitted ---- */

/* Which sectors of the block does it cover? */
static unsigned sectors_of(const struct write *write, uint64_t block)
{
	unsigned sectors = 0;

	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		if (write_overlaps(write, block * XN_BLOCK_SIZE + i * BDEV_SECTOR, BDEV_SECTOR))
			sectors |= 1u << i;
	return sectors;
}

/* A structure of XN's own at a place that is known; false: it is none. */
static bool own_written(struct checker *checker, struct write *write, uint64_t block,
			unsigned sectors)
{
	bool is_super = ck_is_super_place(checker, block);
	bool is_map = block % XN_CHUNK_BLOCKS == XN_MAP_OFFSET;
	struct object *object = ck_block_get(checker, block)->object;
	uint8_t bytes[XN_BLOCK_SIZE] = { 0 };

	if (!is_super && !is_map && !(object && object->kind == OBJECT_CHAIN))
		return false;
	ck_write_overlay(write, block * XN_BLOCK_SIZE, bytes, sizeof(bytes));
	if (is_super)
		ck_super_written(checker, block, bytes, sectors, write);
	else if (is_map)
		ck_map_written(checker, block / XN_CHUNK_BLOCKS, bytes, sectors, write);
	else
		ck_chain_written(checker, object, bytes, sectors, write);
	return true;
}

/* Before the disk says that it is in use nothing else is written. */
static void check_in_use(struct checker *checker, const struct write *write)
{
	uint64_t block = write->offset / XN_BLOCK_SIZE;

	if (checker->super_stable.state != XN_STATE_CLEAN || ck_is_super_place(checker, block))
		return;
	ck_violation(checker, BDEV_CHECK_STATE,
		     "block %llu is written and the disk does not say yet that it is in use",
		     (unsigned long long)block);
}

static void write_examine(struct checker *checker, struct write *write)
{
	uint64_t first = write->offset / XN_BLOCK_SIZE;
	uint64_t end = (write->offset + write->len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;

	check_in_use(checker, write);
	if (ck_in_log(checker, first) || ck_in_log(checker, end - 1))
		ck_log_written(checker, write);
	for (uint64_t b = first; b < end && checker->state == CHECKER_LOADED; b++) {
		unsigned sectors = sectors_of(write, b);
		struct object *object;

		if (b >= checker->super.block_count) {
			ck_violation(checker, BDEV_CHECK_STRAY,
				     "block %llu is beyond the disk's end", (unsigned long long)b);
			return;
		}
		if (ck_in_log(checker, b) || own_written(checker, write, b, sectors))
			continue;
		object = ck_block_get(checker, b)->object;
		if (ck_homes_written(checker, b, sectors, write) != sectors)
			ck_block_written(checker, b,
					 sectors == 0xff && write->request->op != BDEV_DISCARD,
					 write);
		if (object && (b == first || b == object->start))
			ck_object_written(checker, object, write);
	}
}

static struct write *write_begin(struct checker *checker, const struct bdev_request *request)
{
	struct write *write = ck_need(calloc(1, sizeof(*write)));

	write->request = request;
	write->offset = request->offset;
	write->len = request->len;
	write->number = ++checker->numbers;
	TAILQ_INIT(&write->atoms);
	failed_inherit(checker, write);
	TAILQ_INSERT_TAIL(&checker->writes, write, link);
	return write;
}

/* ---- and done, and stable ---- */

static void blocks_stable(struct checker *checker, const struct write *write)
{
	uint64_t end = (write->offset + write->len) / XN_BLOCK_SIZE;

	for (uint64_t b = write->offset / XN_BLOCK_SIZE; b < end && b < checker->super.block_count;
	     b++) {
		struct block *block = ck_block_get(checker, b);

		if (block->state == BLOCK_PENDING && block->pending == write->number)
			block->state = BLOCK_STABLE;
	}
	ck_homes_stable(checker, write);
}

static void atom_stable(struct checker *checker, struct atom *atom)
{
	switch (atom->kind) {
	case ATOM_CLAIMS: break;
	case ATOM_MAP: ck_map_stable(checker, atom); break;
	case ATOM_SUPER: ck_super_stable(checker, atom); break;
	case ATOM_RECORD: ck_record_stable(checker, atom); break;
	case ATOM_TAIL: ck_tail_stable(checker, atom); break;
	}
	ck_dropped_end(checker, atom);
}

static void write_stable(struct checker *checker, struct write *write)
{
	struct atom *atom;

	if (!write->ignored && checker->state == CHECKER_LOADED) {
		blocks_stable(checker, write);
		TAILQ_FOREACH(atom, &write->atoms, link)
		atom_stable(checker, atom);
	}
	TAILQ_REMOVE(&checker->writes, write, link);
	while ((atom = TAILQ_FIRST(&write->atoms))) {
		TAILQ_REMOVE(&write->atoms, atom, link);
		free(atom);
	}
	free(write);
}

static void write_end(struct checker *checker, struct write *write,
		      const struct bdev_request *request)
{
	write->request = NULL;
	if (request->outcome != BDEV_DONE) {
		write->failed = true;
		checker->n_failed++;
		return;
	}
	if (checker->state == CHECKER_FOREIGN && write->offset == 0 && ck_super_is_there(checker))
		checker->state = CHECKER_STALE; /* formatted: it is looked at from here on */
	write->done = true;
	write->done_tick = checker->tick;
	if (request->flags & BDEV_FUA)
		write_stable(checker, write);
}

/* A flush submitted at `tick` is done. */
static void flush_end(struct checker *checker, uint64_t tick)
{
	struct write *write, *next;

	for (write = TAILQ_FIRST(&checker->writes); write; write = next) {
		next = TAILQ_NEXT(write, link);
		if (write->done && write->done_tick <= tick)
			write_stable(checker, write);
	}
}

/* ---- requests ---- */

static struct flight *flight_add(struct check_queue *queue, struct bdev_request *request)
{
	if (queue->n == queue->cap) {
		queue->cap = queue->cap ? queue->cap * 2 : 16;
		queue->flights =
			ck_need(realloc(queue->flights, queue->cap * sizeof(*queue->flights)));
	}
	queue->flights[queue->n] = (struct flight){ .request = request };
	return &queue->flights[queue->n++];
}

static struct flight flight_take(struct check_queue *queue, const struct bdev_request *request)
{
	struct flight flight;
	size_t i = 0;

	while (queue->flights[i].request != request) {
		i++;
		assert(i < queue->n);
	}
	flight = queue->flights[i];
	queue->n--;
	memmove(&queue->flights[i], &queue->flights[i + 1], (queue->n - i) * sizeof(struct flight));
	return flight;
}

static bool is_change(const struct bdev_request *request)
{
	return request->op != BDEV_READ && request->op != BDEV_FLUSH;
}

/* Mutex held.  All of a batch may be on the medium before any of it. */
static void batch_begin(struct checker *checker, struct check_queue *queue,
			struct bdev_request *requests[], size_t count)
{
	size_t first = queue->n;
	bool changes = false;

	for (size_t i = 0; i < count; i++)
		changes |= is_change(requests[i]);
	if (changes && checker->state == CHECKER_STALE)
		ck_disk_load(checker);
	for (size_t i = 0; i < count; i++) {
		struct flight *flight = flight_add(queue, requests[i]);

		if (is_change(requests[i]))
			flight->write = write_begin(checker, requests[i]);
		flight->tick = checker->tick++;
	}
	for (size_t i = first; i < queue->n; i++) {
		if (queue->flights[i].write && checker->state == CHECKER_LOADED)
			write_examine(checker, queue->flights[i].write);
	}
}

static void check_submit(struct bdev_queue *base, struct bdev_request *requests[], size_t count)
{
	struct check_queue *queue = (struct check_queue *)base;
	struct checker *checker = (struct checker *)base->dev;

	pthread_mutex_lock(&checker->mutex);
	batch_begin(checker, queue, requests, count);
	pthread_mutex_unlock(&checker->mutex);
	bdev_submit(queue->stacked.below, requests, count);
}

static size_t check_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			 size_t min)
{
	struct check_queue *queue = (struct check_queue *)base;
	struct checker *checker = (struct checker *)base->dev;
	size_t taken = bdev_wait(queue->stacked.below, done, max, min);

	pthread_mutex_lock(&checker->mutex);
	for (size_t i = 0; i < taken; i++) {
		struct flight flight = flight_take(queue, done[i]);

		if (flight.write)
			write_end(checker, flight.write, done[i]);
		else if (done[i]->op == BDEV_FLUSH && done[i]->outcome == BDEV_DONE)
			flush_end(checker, flight.tick);
	}
	pthread_mutex_unlock(&checker->mutex);
	return taken;
}

static int check_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct checker *checker = (struct checker *)dev;
	struct check_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(checker->stacked.below, &queue->stacked.below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->stacked.queue;
	return 0;
}

static void check_queue_destroy(struct bdev_queue *base)
{
	struct check_queue *queue = (struct check_queue *)base;
	struct checker *checker = (struct checker *)base->dev;

	bdev_queue_destroy(queue->stacked.below);
	pthread_mutex_lock(&checker->mutex);
	for (size_t i = 0; i < queue->n; i++)
		if (queue->flights[i].write)
			write_end(checker, queue->flights[i].write, queue->flights[i].request);
	pthread_mutex_unlock(&checker->mutex);
	free(queue->flights);
	free(queue);
}

static void check_close(struct bdev *dev)
{
	struct checker *checker = (struct checker *)dev;
	struct write *write;

	ck_disk_forget(checker);
	while ((write = TAILQ_FIRST(&checker->writes))) {
		TAILQ_REMOVE(&checker->writes, write, link);
		free(write);
	}
	bdev_close(checker->stacked.below);
	pthread_mutex_destroy(&checker->mutex);
	free(checker);
}

static const struct bdev_ops check_ops = {
	.name = "check",
	.close = check_close,
	.lock = stacked_lock,
	.info = stacked_info,
	.resize = stacked_resize,
	.queue_create = check_queue_create,
	.queue_destroy = check_queue_destroy,
	.submit = check_submit,
	.wait = check_wait,
};

/* ---- its own functions ---- */

int bdev_check_create(struct bdev *below, struct bdev **out)
{
	struct checker *checker = calloc(1, sizeof(*checker));

	if (!checker)
		return -ENOMEM;
	checker->stacked.bdev.ops = &check_ops;
	checker->stacked.below = below;
	TAILQ_INIT(&checker->writes);
	STAILQ_INIT(&checker->to_scan);
	STAILQ_INIT(&checker->to_end);
	TAILQ_INIT(&checker->log.records);
	pthread_mutex_init(&checker->mutex, NULL);
	*out = &checker->stacked.bdev;
	return 0;
}

void bdev_check_reset(struct bdev *dev)
{
	struct checker *checker = (struct checker *)dev;

	pthread_mutex_lock(&checker->mutex);
	ck_disk_forget(checker);
	checker->state = CHECKER_STALE;
	pthread_mutex_unlock(&checker->mutex);
}

uint64_t bdev_check_violations(struct bdev *dev, const char **text)
{
	struct checker *checker = (struct checker *)dev;
	uint64_t total = 0;

	pthread_mutex_lock(&checker->mutex);
	for (unsigned i = 0; i < BDEV_CHECK_RULES; i++)
		total += checker->counts[i];
	if (text)
		*text = checker->text;
	pthread_mutex_unlock(&checker->mutex);
	return total;
}

uint64_t bdev_check_count(struct bdev *dev, enum bdev_check_rule rule)
{
	struct checker *checker = (struct checker *)dev;
	uint64_t count;

	pthread_mutex_lock(&checker->mutex);
	count = checker->counts[rule];
	pthread_mutex_unlock(&checker->mutex);
	return count;
}

void bdev_check_forgive(struct bdev *dev)
{
	struct checker *checker = (struct checker *)dev;

	pthread_mutex_lock(&checker->mutex);
	memset(checker->counts, 0, sizeof(checker->counts));
	checker->text[0] = '\0';
	checker->text_len = 0;
	pthread_mutex_unlock(&checker->mutex);
}
