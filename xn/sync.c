/* SPDX-License-Identifier: MIT */
/*
 * Sync: which dirty entries go into the next wave, until none is left.
 *
 *  (1) An entry is collected when the order rules let it be written (order.c); what
 *      must wait for another is collected by a later wave.
 *  (2) What goes through the log (log.c) goes before what is written at home in
 *      the same wave, and is ready by what earlier waves made stable.
 *  (3) What was dirty when the sync began is stable when it ends, however busy
 *      others are: what they would keep from being written is frozen (freeze.c).
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETURNS_WAVES 8u    /* of a whole sync, for blocks given back again and again */
#define WAVES_MAX     1000u /* a tree that high, or somebody dirties faster than we write */

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

int collect_marked(struct collected *list, struct entry *entry)
{
	int err = collect(list, entry);

	if (!err)
		entry->flags |= E_PICKED;
	return err;
}

/* The entry with everybody who goes with it, once. */
static int collect_unit(struct collected *list, struct entry *entry)
{
	struct entry *member;
	int err = 0;

	if (entry->flags & E_PICKED)
		return 0;
	if (!entry->group)
		return collect_marked(list, entry);
	TAILQ_FOREACH(member, &entry->group->members, member)
	{
		if (!err)
			err = collect_marked(list, member);
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
	if (order_newest_may_go(xn, entry) || log_holds(xn, entry->start, entry->blocks) ||
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
	return entries_by_start(a, b);
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

/*
 * They are units still, as they were when they were collected: the lock may have been
 * let go since, and whoever joined a group goes with it or all wait.
 */
static bool units_are_ready(const struct xn *xn, struct entry *const list[], size_t count)
{
	for (size_t at = 0; at < count;) {
		size_t unit = unit_size(list + at, count - at);

		if (list[at]->group && list[at]->group->n != unit)
			return false;
		for (size_t end = at + unit; at < end; at++) {
			if ((list[at]->flags & E_DEAD) || order_reaped(list[at]) ||
			    !log_ready(xn, list[at]))
				return false;
		}
	}
	return true;
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

		if (!units_are_ready(xn, list->v + at, n)) {
			*again = true;
			return 0;
		}
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
		err = wave_flush(xn, waves->only ? MAP_CLAIMS : MAP_ALL);
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
		err = wave_flush(xn, MAP_CLAIMS);
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
