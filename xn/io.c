/* SPDX-License-Identifier: MIT */
/*
 * The device as the engine sees it: queues, outcomes, reads on demand.
 *
 *  (1) The lock is never held while the device works.
 *  (2) A read shows what the log holds over what stands at home.
 *  (3) After an unknown outcome nothing more is written (xn->broken).
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bdev_queue *io_queue_get(struct xn *xn)
{
	struct bdev_queue *queue = NULL;

	if (xn->n_queues > 0)
		return xn->queues[--xn->n_queues];
	return bdev_queue_create(xn->dev, &queue) ? NULL : queue;
}

void io_queue_put(struct xn *xn, struct bdev_queue *queue)
{
	if (xn->n_queues < QUEUES_KEPT)
		xn->queues[xn->n_queues++] = queue;
	else
		bdev_queue_destroy(queue);
}

int io_break(struct xn *xn)
{
	xn->broken = XN_EUNKNOWN;
	return XN_EUNKNOWN;
}

int io_outcome(struct xn *xn, int err)
{
	if (err == XN_EUNKNOWN)
		return io_break(xn);
	return err ? XN_EIO : 0;
}

int io_result(struct xn *xn, const struct bdev_request *request)
{
	if (request->outcome == BDEV_DONE)
		return 0;
	if (request->outcome == BDEV_UNKNOWN && request->op != BDEV_READ)
		return io_break(xn);
	return XN_EIO;
}

int io_read_blocks(struct xn *xn, xn_blk_t start, uint64_t count, void *buffer)
{
	int err = bdev_read(xn->dev, start * XN_BLOCK_SIZE, buffer, count * XN_BLOCK_SIZE);

	return err && err != -ENOMEM ? XN_EIO : err;
}

/* An object's bytes as the device, or the log, has them; the lock is dropped while reading. */
int io_read_object(struct xn *xn, xn_blk_t start, uint64_t count, void *buffer)
{
	struct log_patch *patch;
	int err = log_patch_take(xn, start, count, &patch);

	if (err)
		return err;
	pthread_mutex_unlock(&xn->lock);
	err = io_read_blocks(xn, start, count, buffer);
	log_patch_apply(patch, buffer);
	pthread_mutex_lock(&xn->lock);
	return err;
}

/* ---- reads ---- */

size_t io_runs_of(struct entry *entries[], size_t count, struct iovec *iov, enum bdev_op op,
		  struct run *runs)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct run *run = n ? &runs[n - 1] : NULL;
		struct entry *last = i ? entries[i - 1] : NULL;

		if (!run || last->start + last->blocks != entries[i]->start) {
			run = &runs[n++];
			*run = (struct run){ .first = i };
			run->request.op = op;
			run->request.offset = entries[i]->start * XN_BLOCK_SIZE;
			run->request.iov = &iov[i];
		}
		run->count++;
		run->request.iov_count++;
		run->request.len += iov[i].iov_len;
	}
	return n;
}

void io_runs_do(struct bdev_queue *queue, struct run *runs, size_t count)
{
	struct bdev_request *requests[BATCH_BLOCKS];

	assert(count <= BATCH_BLOCKS);
	for (size_t i = 0; i < count; i++)
		requests[i] = &runs[i].request;
	bdev_submit(queue, requests, count);
	for (size_t done = 0; done < count;)
		done += bdev_wait(queue, requests, count - done, 1);
}

/* Take what was read ahead; the others stay, in order, and their number is returned. */
static size_t batch_take_ahead(struct xn *xn, struct entry *entries[], size_t count)
{
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		if (ahead_take(xn, entries[i]))
			entries[i]->flags |= E_CACHED;
		else
			entries[left++] = entries[i];
	}
	return left;
}

/* Entries have frames and are marked E_READING by the caller. */
static int device_read_batch(struct xn *xn, struct entry *entries[], size_t count)
{
	struct run *runs = calloc(count, sizeof(*runs));
	struct iovec *iov = calloc(count, sizeof(*iov));
	struct log_patch **patches = calloc(count, sizeof(*patches));
	struct bdev_queue *queue = io_queue_get(xn);
	size_t n_runs = 0;
	int err = runs && iov && patches && queue ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++) {
		iov[i] = (struct iovec){ entry_bytes(entries[i]),
					 (size_t)entries[i]->blocks * XN_BLOCK_SIZE };
		err = log_patch_take(xn, entries[i]->start, entries[i]->blocks, &patches[i]);
	}
	if (!err) {
		n_runs = io_runs_of(entries, count, iov, BDEV_READ, runs);
		pthread_mutex_unlock(&xn->lock);
		io_runs_do(queue, runs, n_runs);
		pthread_mutex_lock(&xn->lock);
	}
	for (size_t i = 0; i < count && patches; i++)
		log_patch_apply(patches[i], n_runs ? entry_bytes(entries[i]) : NULL);
	for (size_t r = 0; r < n_runs; r++) {
		int result = io_result(xn, &runs[r].request);

		err = err ? err : result;
		for (size_t i = runs[r].first; !result && i < runs[r].first + runs[r].count; i++)
			entries[i]->flags |= E_CACHED;
		xn->stats.blocks_in += runs[r].request.len / XN_BLOCK_SIZE;
	}
	if (queue)
		io_queue_put(xn, queue);
	free(runs);
	free(iov);
	free(patches);
	return err;
}

static int read_batch(struct xn *xn, struct entry *entries[], size_t count)
{
	struct entry *missing[BATCH_BLOCKS];
	size_t n;
	int err;

	memcpy(missing, entries, count * sizeof(*missing));
	n = batch_take_ahead(xn, missing, count);
	if (n == 0)
		return 0;
	turn_read_begin(xn, missing[0]->root, n);
	err = device_read_batch(xn, missing, n);
	turn_read_end(xn);
	return err;
}

/*
 * Read entries that have frames and are not cached; they come back cached, or
 * dead, or as they were with an error.  The caller holds pins on them.
 */
int io_read_entries(struct xn *xn, struct entry *entries[], size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count; i++)
		entries[i]->flags |= E_READING;
	for (size_t at = 0; at < count && !err; at += BATCH_BLOCKS)
		err = read_batch(xn, entries + at,
				 count - at < BATCH_BLOCKS ? count - at : BATCH_BLOCKS);
	for (size_t i = 0; i < count; i++) {
		entries[i]->flags &= ~(uint32_t)E_READING;
		if (entries[i]->flags & E_CACHED)
			entries[i]->root->stats.blocks_in += entries[i]->blocks;
	}
	pthread_cond_broadcast(&xn->changed);
	return err;
}

/* Bring an object's bytes in and let its template check them. */
int entry_readin(struct xn *xn, struct entry *entry)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;
	uint64_t damage = 0;
	int err;

	entry->pins++;
	while (entry->flags & E_READING)
		pthread_cond_wait(&xn->changed, &xn->lock);
	err = 0;
	if (entry->flags & (E_CACHED | E_DEAD))
		goto unpin;
	xn->stats.cache_misses++;
	err = entry_frame(xn, entry);
	if (err)
		goto unpin;
	err = io_read_entries(xn, &entry, 1);
	if (err || (entry->flags & E_DEAD))
		goto unpin;
	xn->stats.check_runs++;
	if (entry->type && (udf_check(entry->type->tmpl, entry_bytes(entry), entry->start, &budget,
				      &damage, &fault) ||
			    damage)) {
		entry_damage(xn, entry);
		entry->flags |= E_REFUSED;
	}
unpin:
	entry->pins--;
	entry_settle(xn, entry);
	if (!err && (entry->flags & E_DEAD)) {
		registry_release(xn, entry);
		return XN_ESTALE;
	}
	if (!err && (entry->flags & E_REFUSED))
		err = XN_ECHECK;
	return err;
}
