/* SPDX-License-Identifier: MIT */
/*
 * Waves: writes, the map's claims, and one flush.
 *
 *  (1) The lock is never held while the device works.
 *  (2) Every write is from a private copy taken under the lock; the entry may
 *      change meanwhile and then is dirty again.
 *  (3) One wave at a time: write entries, write the map's claims, flush.  So one
 *      write of a block is in flight, and one flush.
 *  (4) "Stable" is said of a version when a flush that began after its write was
 *      done is done.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wave_begin(struct xn *xn)
{
	while (xn->wave)
		pthread_cond_wait(&xn->changed, &xn->lock);
	xn->wave = true;
}

/* What was freed while it might be in flight is free now. */
void wave_end(struct xn *xn)
{
	order_give_all(xn, &xn->wave_free);
	registry_sweep(xn);
	xn->wave = false;
	pthread_cond_broadcast(&xn->changed);
}

int entries_by_start(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

/* The newest bytes were copied for the device: they count as issued. */
void entry_issued(struct xn *xn, struct entry *entry)
{
	freeze_drop(entry); /* nothing older may follow */
	ahead_forget(xn, entry->start, entry->blocks);
	order_issued(xn, entry);
	entry_clear_dirty(xn, entry);
	entry->flags |= E_WRITING;
	entry->pins++;
}

/* The newest bytes for the device, or those that were frozen if only they may go. */
static void entry_copy(struct xn *xn, struct entry *entry, uint8_t *copy)
{
	if (freeze_ready(xn, entry) && !order_newest_may_go(xn, entry)) {
		ahead_forget(xn, entry->start, entry->blocks);
		freeze_issue(entry, copy);
		return;
	}
	freeze_drop(entry);
	memcpy(copy, entry_bytes(entry), (size_t)entry->blocks * XN_BLOCK_SIZE);
	entry_issued(xn, entry);
}

void entry_written(struct xn *xn, struct entry *entry, int result)
{
	entry->flags &= ~(uint32_t)E_WRITING;
	entry->pins--;
	if (entry->flags & E_DEAD) {
		registry_release(xn, entry);
		return;
	}
	if (result) {
		if (!(entry->flags & E_SOUND))
			entry->flags |= E_TAINTED_COPY; /* the copy before may have been */
		entry->changed[0] |= entry->issuing[0];
		entry->changed[1] |= entry->issuing[1];
		entry_set_dirty(xn, entry);
		return;
	}
	entry->written_version = entry->issued_version;
	entry->root->stats.blocks_out += entry->blocks;
	if (!(entry->flags & E_UNFLUSHED)) {
		entry->flags |= E_UNFLUSHED;
		TAILQ_INSERT_TAIL(&xn->unflushed, entry, unflushed);
	}
}

/* As many entries, from the first, as the bounce buffer holds. */
static size_t batch_size(struct entry *entries[], size_t count)
{
	size_t blocks = 0, n = 0;

	while (n < count && blocks + entries[n]->blocks <= BATCH_BLOCKS)
		blocks += entries[n++]->blocks;
	return n;
}

static int write_batch(struct xn *xn, struct entry *entries[], size_t count)
{
	struct run *runs = calloc(count, sizeof(*runs));
	struct iovec *iov = calloc(count, sizeof(*iov));
	struct bdev_queue *queue = io_queue_get(xn);
	uint8_t *copy = xn->bounce;
	size_t n_runs;
	int err = 0;

	if (!runs || !iov || !queue) {
		err = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		iov[i] = (struct iovec){ copy, (size_t)entries[i]->blocks * XN_BLOCK_SIZE };
		entry_copy(xn, entries[i], copy);
		copy += iov[i].iov_len;
	}
	n_runs = io_runs_of(entries, count, iov, BDEV_WRITE, runs);
	pthread_mutex_unlock(&xn->lock);
	io_runs_do(queue, runs, n_runs);
	pthread_mutex_lock(&xn->lock);
	for (size_t r = 0; r < n_runs; r++) {
		int result = io_result(xn, &runs[r].request);

		err = err ? err : result;
		for (size_t i = runs[r].first; i < runs[r].first + runs[r].count; i++)
			entry_written(xn, entries[i], result);
		xn->stats.blocks_out += runs[r].request.len / XN_BLOCK_SIZE;
	}
	pthread_cond_broadcast(&xn->changed);
out:
	if (queue)
		io_queue_put(xn, queue);
	free(runs);
	free(iov);
	return err;
}

/*
 * Write these entries, which the caller pinned and found writable.  An entry
 * that changed its state since (freed, written) is skipped.
 */
int wave_write(struct xn *xn, struct entry *entries[], size_t count)
{
	struct entry *batch[BATCH_BLOCKS];
	int err = 0;

	assert(xn->wave);
	qsort(entries, count, sizeof(*entries), entries_by_start);
	while (count > 0 && !err) {
		size_t n = batch_size(entries, count);
		size_t kept = 0;

		if (xn->broken)
			return xn->broken;
		for (size_t i = 0; i < n; i++) {
			if (!(entries[i]->flags & E_DEAD) && !order_reaped(entries[i]) &&
			    order_writable(xn, entries[i]))
				batch[kept++] = entries[i];
		}
		if (kept)
			err = write_batch(xn, batch, kept);
		entries += n;
		count -= n;
	}
	return err;
}

/* Write that part of the map, flush, and tell everybody who is stable now. */
int wave_flush(struct xn *xn, enum map_part map)
{
	struct entry_list done = TAILQ_HEAD_INITIALIZER(done);
	struct entry *entry;
	uint64_t seq = xn->log.claim_seq;
	int err = 0;

	assert(xn->wave);
	if (xn->broken)
		return xn->broken;
	if (map != MAP_NONE)
		err = freemap_write(xn, map == MAP_ALL, &seq);
	if (err)
		return err;
	TAILQ_FOREACH(entry, &xn->unflushed, unflushed)
	{
		entry->pins++;
	}
	/* Entries written from here on join the list behind `last` and wait for the next flush. */
	struct entry *last = TAILQ_LAST(&xn->unflushed, entry_list);

	pthread_mutex_unlock(&xn->lock);
	err = bdev_flush(xn->dev);
	pthread_mutex_lock(&xn->lock);
	xn->stats.flushes++;
	if (err)
		io_break(xn);
	else
		order_map_stable(xn, seq);
	foresight_flushed(xn, !err && map != MAP_NONE);
	while (last) {
		entry = TAILQ_FIRST(&xn->unflushed);
		TAILQ_REMOVE(&xn->unflushed, entry, unflushed);
		entry->flags &= ~(uint32_t)E_UNFLUSHED;
		TAILQ_INSERT_TAIL(&done, entry, unflushed);
		if (entry == last)
			last = NULL;
	}
	while ((entry = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, entry, unflushed);
		if (!err && !(entry->flags & E_DEAD))
			order_stable(xn, entry, entry->written_version);
		entry->pins--;
		registry_release(xn, entry);
	}
	return err ? XN_EUNKNOWN : 0;
}
