/* SPDX-License-Identifier: MIT */
/*
 * I/O: reads on demand, and writes in waves.
 *
 *  (1) The lock is never held while the device works.
 *  (2) Every write is from a private copy taken under the lock; the entry may
 *      change meanwhile and then is dirty again.
 *  (3) One wave at a time: write entries, write the map's claims, flush.  So one
 *      write of a block is in flight, and one flush.
 *  (4) "Stable" is said of a version when a flush that began after its write was
 *      done is done.
 *  (5) After an unknown outcome nothing more is written (xn->broken).
 *  (6) What goes through the log (log.c) goes before what is written at home in
 *      the same wave, and is ready by what earlier waves made stable.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETURNS_WAVES 8u    /* of a whole sync, for blocks given back again and again */
#define WAVES_MAX     1000u /* a tree that high, or somebody dirties faster than we write */

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

	return err ? XN_EIO : 0;
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

struct run {
	struct bdev_request request;
	size_t first, count; /* of the entries or iovecs it covers */
};

/* Neighbouring entries become one request. */
static size_t runs_of(struct entry *entries[], size_t count, struct iovec *iov, enum bdev_op op,
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

/* Hand all runs to the device and wait; called without the lock. */
static void runs_do(struct bdev_queue *queue, struct run *runs, size_t count)
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
		n_runs = runs_of(entries, count, iov, BDEV_READ, runs);
		pthread_mutex_unlock(&xn->lock);
		runs_do(queue, runs, n_runs);
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

/* ---- waves ---- */

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

static int by_start(const void *a, const void *b)
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
	bool newest = !freeze_ready(xn, entry) || order_names_only_sound(xn, entry);

	if (!newest) {
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
	n_runs = runs_of(entries, count, iov, BDEV_WRITE, runs);
	pthread_mutex_unlock(&xn->lock);
	runs_do(queue, runs, n_runs);
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
	qsort(entries, count, sizeof(*entries), by_start);
	while (count > 0 && !err) {
		size_t n = batch_size(entries, count);
		size_t kept = 0;

		if (xn->broken)
			return xn->broken;
		for (size_t i = 0; i < n; i++) {
			if (!(entries[i]->flags & E_DEAD) && order_writable(xn, entries[i]))
				batch[kept++] = entries[i];
		}
		if (kept)
			err = write_batch(xn, batch, kept);
		entries += n;
		count -= n;
	}
	return err;
}

enum map_part {
	MAP_NONE,   /* what log records say of it is enough */
	MAP_CLAIMS, /* where it shows too little */
	MAP_ALL,    /* where it shows too much, too */
};

/* Write that part of the map, flush, and tell everybody who is stable now. */
static int flush_wave(struct xn *xn, enum map_part map)
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

int wave_flush(struct xn *xn)
{
	return flush_wave(xn, MAP_CLAIMS);
}

int wave_flush_log(struct xn *xn)
{
	return flush_wave(xn, MAP_NONE);
}

/* ---- sync ---- */

int collect(struct collected *list, struct entry *entry)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 256;
		struct entry **v = realloc(list->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	entry->pins++;
	list->v[list->n++] = entry;
	return 0;
}

void collected_release(struct xn *xn, struct collected *list)
{
	for (size_t i = 0; i < list->n; i++) {
		list->v[i]->flags &= ~(uint32_t)E_PICKED;
		list->v[i]->pins--;
		registry_release(xn, list->v[i]);
	}
	list->n = 0;
}

/* The entry with everybody who goes with it, once. */
static int collect_unit(struct collected *list, struct entry *entry)
{
	struct entry *member;
	int err = 0;

	if (entry->flags & E_PICKED)
		return 0;
	if (!entry->group) {
		entry->flags |= E_PICKED;
		return collect(list, entry);
	}
	TAILQ_FOREACH(member, &entry->group->members, member)
	{
		member->flags |= E_PICKED;
		if (!err)
			err = collect(list, member);
	}
	return err;
}

/* The waves of one sync. */
struct waves {
	struct root *only; /* NULL: all */
	uint64_t since;    /* what became dirty later is no concern of it */
	unsigned n;        /* done so far */
	struct collected home, log;
};

/* What an earlier wave should have made writable, and somebody tainted anew. */
static void keep_from_starving(struct xn *xn, struct entry *entry, uint64_t since)
{
	if (!entry->type || entry->frozen || entry->group || entry->dirty_since > since ||
	    (entry->flags & (E_WRITING | E_READING | E_REAPED | E_DAMAGED)))
		return;
	if (order_names_only_sound(xn, entry) || log_holds(xn, entry->start, entry->blocks) ||
	    order_reaped(entry))
		return;
	freeze_take(xn, entry);
}

/* What may be written now: at home, and through the log. */
static int collect_root(struct xn *xn, struct root *root, struct waves *waves)
{
	struct collected *home = &waves->home, *log = &waves->log;
	struct entry *entry;
	int err = 0;

	TAILQ_FOREACH(entry, &root->dirty, dirty)
	{
		if (waves->n > 0)
			keep_from_starving(xn, entry, waves->since);
		if (err || order_reaped(entry))
			continue;
		if (order_writable(xn, entry))
			err = collect(home, entry);
		else if ((entry->group || log_live(xn)) && log_ready(xn, entry))
			err = collect_unit(log, entry);
	}
	return err;
}

static int by_group(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;
	uintptr_t gx = (uintptr_t)(*x)->group, gy = (uintptr_t)(*y)->group;

	if (gx != gy)
		return gx < gy ? -1 : 1;
	return by_start(a, b);
}

/* The first members of `list` that go together: a group, or one entry. */
static size_t unit_size(struct entry *const list[], size_t count)
{
	const struct group *group = list[0]->group;
	size_t n = 1;

	while (group && n < count && list[n]->group == group)
		n++;
	return n;
}

/* As many units as one record can hold; the whole list if `*sectors` stays small enough. */
static size_t record_fill(struct xn *xn, struct entry *const list[], size_t count,
			  uint32_t *sectors)
{
	uint32_t max = log_homes_max(xn);
	size_t n = 0;

	*sectors = 0;
	while (n < count) {
		size_t unit = unit_size(list + n, count - n);
		uint32_t more = log_sectors_all(list + n, unit);

		if (n > 0 && *sectors + more > max)
			break;
		*sectors += more;
		n += unit;
	}
	return n;
}

/*
 * Write units through the log, in as many records as it takes.  Those that changed
 * their state since they were collected, or for which room had to be made, wait
 * for the next wave; `*again` says that there are such.
 */
int wave_log(struct xn *xn, struct collected *list, bool *again)
{
	int err = 0;

	*again = false;
	qsort(list->v, list->n, sizeof(list->v[0]), by_group); /* units in one piece */
	for (size_t at = 0; at < list->n && !err;) {
		uint32_t sectors;
		size_t n = record_fill(xn, list->v + at, list->n - at, &sectors);

		for (size_t i = at; i < at + n; i++) {
			if ((list->v[i]->flags & E_DEAD) || !log_ready(xn, list->v[i]))
				*again = true;
		}
		if (*again)
			break;
		err = log_reserve(xn, 0, sectors);
		if (err == XN_ELOGFULL && !list->v[at]->group) {
			err = log_checkpoint(xn); /* too big to be logged: let its home be free */
			err = err ? err : 1;
		}
		if (err == 1) {
			*again = true;
			return 0;
		}
		if (!err)
			err = log_write(xn, list->v + at, n, false);
		at += n;
	}
	return err;
}

/* Is something still dirty that was so at `since`? */
static bool root_left(const struct root *root, uint64_t since)
{
	const struct entry *entry;

	TAILQ_FOREACH(entry, &root->dirty, dirty)
	{
		if (entry->dirty_since <= since && !order_reaped(entry))
			return true;
	}
	return false;
}

/* A temporary root is written when somebody asks for it by name, and never for safety. */
static bool root_is_meant(const struct root *root, const struct root *only)
{
	return root->present && (only ? root == only : !root->temporary);
}

static bool left_dirty(const struct xn *xn, const struct root *only, uint64_t since)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		const struct root *root = xn->roots[i];

		if (root_is_meant(root, only) && root_left(root, since))
			return true;
	}
	return false;
}

/* One wave of a sync; `*wrote` says whether it could write anything. */
static int sync_wave(struct xn *xn, struct waves *waves, bool *wrote)
{
	struct collected *home = &waves->home, *log = &waves->log;
	uint64_t stable = xn->freemap.stable_seq;
	bool again = false;
	int err = 0;

	for (size_t i = 0; i < xn->n_roots && !err; i++) {
		struct root *root = xn->roots[i];

		if (root_is_meant(root, waves->only) || (root->present && root->n_sync_waits))
			err = collect_root(xn, root, waves);
	}
	*wrote = home->n > 0 || log->n > 0 || xn->freemap.claim_seq > stable ||
		 !TAILQ_EMPTY(&xn->unflushed) || (!waves->only && xn->freemap.returned);
	if (!err && log->n)
		err = wave_log(xn, log, &again);
	collected_release(xn, log);
	if (!err && home->n)
		err = turns_write(xn, home->v, home->n);
	collected_release(xn, home);
	if (!err && *wrote)
		err = flush_wave(xn, waves->only ? MAP_CLAIMS : MAP_ALL);
	waves->n++;
	return err;
}

/* Nothing is left of what it was begun for; blocks given back meanwhile may wait a while. */
static bool sync_is_done(const struct xn *xn, const struct waves *waves)
{
	return !left_dirty(xn, waves->only, waves->since) && TAILQ_EMPTY(&xn->unflushed) &&
	       (waves->only || !xn->freemap.returned || waves->n > RETURNS_WAVES);
}

int sync_root(struct xn *xn, struct root *only)
{
	struct waves waves = { .only = only };
	bool wrote = true;
	int err;

	if (!xn->writable)
		return XN_EREADONLY;
	if (only)
		only->n_sync_waits++; /* whoever writes meanwhile writes this, too */
	wave_begin(xn);
	if (only)
		only->n_sync_waits--;
	waves.since = xn->version_clock;
	err = xn->broken;
	while (!err && wrote && waves.n < WAVES_MAX) {
		err = sync_wave(xn, &waves, &wrote);
		if (sync_is_done(xn, &waves))
			break;
	}
	if (!err && left_dirty(xn, only, waves.since))
		err = XN_ETAINTED;
	/* Blocks that only records hold are space, too, when there is little of it. */
	if (!err && xn->log.waiting && xn->freemap.free_blocks < xn->super.block_count / 64)
		err = log_checkpoint(xn);
	wave_end(xn);
	free(waves.home.v);
	free(waves.log.v);
	return err;
}

/* Blocks that only records of the log hold become free with the records. */
int sync_log(struct xn *xn)
{
	int err;

	wave_begin(xn);
	err = log_checkpoint(xn);
	wave_end(xn);
	return err;
}

/* ---- public ---- */

int xn_sync(struct xn_session *session, uint32_t root_id)
{
	struct xn *xn = session->xn;
	struct root *root = NULL;
	int err = 0;

	pthread_mutex_lock(&xn->lock);
	if (root_id == 0 && !(session->flags & XN_SESSION_ADMIN))
		err = XN_ECRED;
	else if (root_id != 0 && !(root = root_by_id(xn, root_id)))
		err = XN_ENOROOT;
	else
		err = sync_root(xn, root ? root_paying(root) : NULL);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_flush(struct xn_session *session)
{
	struct xn *xn = session->xn;
	int err;

	pthread_mutex_lock(&xn->lock);
	if (!xn->writable) {
		err = XN_EREADONLY;
	} else {
		wave_begin(xn);
		err = flush_wave(xn, MAP_CLAIMS);
		wave_end(xn);
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/*
 * The entries of an extent that are dirty; refused if one may not be written.  What
 * hangs in a subtree that nobody owns any more is not worth writing, and cannot be
 * judged: its owners are as they were when it was cut off.
 */
static int collect_extent(struct xn *xn, struct xn_session *session, const struct xn_extent *extent,
			  struct collected *home, struct collected *log)
{
	if (extent->count > XN_UPDATE_BLOCKS_MAX)
		return XN_ETOOBIG;
	for (uint64_t i = 0; i < extent->count; i++) {
		struct entry *entry = registry_find(&xn->registry, extent->start + i);

		if (!entry || !(entry->flags & E_DIRTY) || order_reaped(entry))
			continue;
		if (!session_reaches(session, entry))
			return XN_ENOTBOUND;
		if (order_writable(xn, entry) || (entry->flags & E_WRITING)) {
			if (collect(home, entry))
				return -ENOMEM;
		} else if (!log_ready(xn, entry)) {
			return XN_ETAINTED;
		} else if (collect_unit(log, entry)) {
			return -ENOMEM;
		}
	}
	return 0;
}

int xn_writeback(struct xn_session *session, const struct xn_extent *extents, uint32_t count)
{
	struct xn *xn = session->xn;
	struct collected home = { 0 }, log = { 0 };
	bool again;
	int err;

	pthread_mutex_lock(&xn->lock);
	if (!xn->writable) {
		err = XN_EREADONLY;
		goto unlock;
	}
	wave_begin(xn);
	do {
		again = false;
		err = xn->broken;
		for (uint32_t i = 0; i < count && !err; i++)
			err = collect_extent(xn, session, &extents[i], &home, &log);
		if (!err && home.n)
			err = wave_write(xn, home.v, home.n);
		if (!err && log.n)
			err = wave_log(xn, &log, &again);
		collected_release(xn, &home);
		collected_release(xn, &log);
	} while (!err && again);
	wave_end(xn);
unlock:
	pthread_mutex_unlock(&xn->lock);
	free(home.v);
	free(log.v);
	return err;
}

/* Does the session hold anything of that root? */
static bool session_sees(const struct xn_session *session, const struct root *root)
{
	for (uint32_t i = 0; i < session->n_slots; i++) {
		const struct binding *binding = session->slots[i].binding;

		if (binding && binding->entry && binding->entry->root == root)
			return true;
	}
	return false;
}

static uint32_t list_root(struct xn *xn, struct root *root, struct xn_extent *out, uint32_t max)
{
	struct entry *entry;
	uint32_t n = 0;

	TAILQ_FOREACH(entry, &root->dirty, dirty)
	{
		if (n == max)
			break;
		if ((order_writable(xn, entry) || log_ready(xn, entry)) && !order_reaped(entry))
			out[n++] = (struct xn_extent){ entry->start, entry->blocks,
						       entry->type ? entry->type->id : XN_DATA, 0 };
	}
	return n;
}

int xn_list_writeable(struct xn_session *session, uint32_t root_id, struct xn_extent *out,
		      uint32_t max)
{
	struct xn *xn = session->xn;
	uint32_t n = 0;
	int err = 0;

	pthread_mutex_lock(&xn->lock);
	if (root_id && !root_by_id(xn, root_id))
		err = XN_ENOROOT;
	for (size_t i = 0; i < xn->n_roots && !err; i++) {
		struct root *root = xn->roots[i];

		if (root_id ? root == root_paying(root_by_id(xn, root_id))
			    : root->present && session_sees(session, root))
			n += list_root(xn, root, out + n, max - n);
	}
	pthread_mutex_unlock(&xn->lock);
	return err ? err : (int)n;
}

/* What an object waits for by xn_after(). */
static int blockers_after(struct entry *entry, struct xn_extent *out, uint32_t max)
{
	struct after *after;
	uint32_t n = 0;

	LIST_FOREACH(after, &entry->waits, of_object)
	{
		const struct entry *prior = after->prior;

		if (n < max)
			out[n] = (struct xn_extent){ prior->start, prior->blocks,
						     prior->type ? prior->type->id : XN_DATA, 0 };
		n++;
	}
	return (int)n;
}

/* Unsound blocks among those that an object's newest bytes name. */
static int blockers_of(struct xn *xn, struct entry *entry, struct xn_extent *out, uint32_t max)
{
	struct udf_extents owned = { 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	int n = blockers_after(entry, out, max);
	int err = owns_object(xn, entry->type, entry_bytes(entry), &budget, &owned, NULL);

	for (size_t i = 0; i < owned.n && !err; i++) {
		struct udf_extent *extent = &owned.v[i];

		for (uint64_t b = extent->start; b < extent->start + extent->count; b++) {
			struct entry *child = registry_find(&xn->registry, b);

			if (!freemap_unwritten(xn, b) && (!child || (child->flags & E_SOUND)))
				continue;
			if ((uint32_t)n < max)
				out[n] = (struct xn_extent){ b, child ? child->blocks : 1,
							     extent->child, 0 };
			n++;
		}
	}
	udf_extents_fini(&owned);
	return err ? err : n;
}

int xn_blockers(struct xn_session *session, xn_blk_t block, struct xn_extent *out, uint32_t max)
{
	struct xn *xn = session->xn;
	struct entry *entry;
	int n = 0;

	pthread_mutex_lock(&xn->lock);
	entry = registry_find(&xn->registry, block);
	if (!entry || !(entry->flags & E_CACHED))
		n = XN_ENOTCACHED;
	else if (!session_reaches(session, entry))
		n = XN_ENOTBOUND;
	else if (entry->type && entry->unsound > 0)
		n = blockers_of(xn, entry, out, max);
	pthread_mutex_unlock(&xn->lock);
	return n;
}
