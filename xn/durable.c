/* SPDX-License-Identifier: MIT */
/*
 * xn_commit(): some blocks, and what they need, durable with as few flushes as can be.
 *
 *  (1) The closure of what is asked for: what it names and is not sound, what
 *      names it up to what the disk reaches, what it waits for by xn_after(), and
 *      whoever must go together with any of these.
 *  (2) If all of the closure may be written at home at once, it is, and flushed.
 *      Else, if it fits one record of the intent log, it goes as one: what a
 *      record holds counts as sound for what else it holds, and its claims as the
 *      map.  Else the part that may go is written and flushed, and we look again.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

#define WAVES_MAX   1000u
#define RECORD_MAX  512u /* sectors: beyond that, writing everything twice costs more than a flush */
#define CLOSURE_MAX 8192u /* blocks looked at for one that is not sound */

struct closure {
	struct xn *xn;
	uint64_t since; /* what became dirty later is no concern of this call */
	struct collected list;
	uint64_t looked;
	uint32_t sectors;
	bool unwritten; /* something names a block that has no bytes yet */
	bool too_big;   /* for a record */
	bool evicted;   /* something was written at home, not flushed, and left the cache */
	bool home;      /* everything dirty may be written at home now */
};

static bool is_done(const struct closure *closure, const struct entry *entry)
{
	if (!(entry->flags & E_SOUND) || (entry->flags & E_UNFLUSHED))
		return false;
	return !(entry->flags & E_DIRTY) || entry->dirty_since > closure->since;
}

static int closure_add(struct closure *closure, struct entry *entry)
{
	if ((entry->flags & (E_PICKED | E_DEAD)) || order_reaped(entry))
		return 0;
	if (!entry->group && is_done(closure, entry) && order_reachable(entry))
		return 0;
	return collect_marked(&closure->list, entry);
}

/* What an object names and is not sound. */
static int closure_children(struct closure *closure, struct entry *entry)
{
	struct xn *xn = closure->xn;
	struct udf_extents owned = { 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	uint64_t left = entry->unsound - entry->n_waits;
	int err;

	if (!entry->type || left == 0)
		return 0;
	err = owns_object(xn, entry->type, entry->start, entry_bytes(entry), &budget, &owned, NULL);
	for (size_t i = 0; i < owned.n && !err && left > 0; i++) {
		const struct udf_extent *e = &owned.v[i];
		const struct type *type = type_find(xn, e->child);
		uint32_t step = type ? type->blocks : 1;

		for (uint64_t b = 0; b < e->count && !err && left > 0; b += step) {
			struct entry *child = registry_find(&xn->registry, e->start + b);

			if (++closure->looked > CLOSURE_MAX)
				closure->too_big = true;
			if (freemap_unwritten(xn, e->start + b)) {
				closure->unwritten = true;
				left--;
			} else if (child && !(child->flags & E_SOUND)) {
				err = closure_add(closure, child);
				left--;
			}
		}
	}
	udf_extents_fini(&owned);
	return err;
}

static int closure_priors(struct closure *closure, struct entry *entry)
{
	struct after *after;
	int err = 0;

	LIST_FOREACH(after, &entry->waits, of_object)
	{
		if (!err)
			err = closure_add(closure, after->prior);
	}
	return err;
}

static int closure_group(struct closure *closure, struct entry *entry)
{
	struct entry *member;
	int err = 0;

	if (!entry->group)
		return 0;
	TAILQ_FOREACH(member, &entry->group->members, member)
	{
		if (!err)
			err = closure_add(closure, member);
	}
	return err;
}

static int closure_grow(struct closure *closure, struct entry *entry)
{
	int err = closure_children(closure, entry);

	if (!err)
		err = closure_priors(closure, entry);
	if (!err)
		err = closure_group(closure, entry);
	if (!err && entry->owner && !order_reachable(entry))
		err = closure_add(closure, entry->owner);
	if (entry->flags & (E_DIRTY | E_UNFLUSHED)) {
		closure->sectors += log_sectors_of(entry);
		closure->evicted |= !(entry->flags & E_CACHED);
	}
	if ((entry->flags & E_DIRTY) && !order_writable(closure->xn, entry))
		closure->home = false;
	return err;
}

/* An owner written and not flushed yet is as good as not written. */
static int closure_owners(struct closure *closure, struct entry *entry)
{
	int err = 0;

	for (entry = entry->owner; entry && !err; entry = entry->owner) {
		if (entry->flags & E_UNFLUSHED)
			err = closure_add(closure, entry);
	}
	return err;
}

static int closure_extent(struct closure *closure, struct xn_session *session,
			  const struct xn_extent *extent)
{
	struct xn *xn = closure->xn;
	int err = 0;

	if (extent->count > XN_UPDATE_BLOCKS_MAX)
		return XN_ETOOBIG;
	for (uint64_t i = 0; i < extent->count && !err; i++) {
		struct entry *entry = registry_find(&xn->registry, extent->start + i);

		if (!entry)
			continue;
		if (!session_reaches(session, entry))
			return XN_ENOTBOUND;
		err = closure_add(closure, entry);
		if (!err)
			err = closure_owners(closure, entry);
	}
	return err;
}

/* Can a record tell all that the map must show for these? */
static bool claims_can_be_said(const struct xn *xn)
{
	const struct freemap *map = &xn->freemap;

	if (map->unsaid_seq > map->stable_seq)
		return false;
	for (uint32_t i = 0; i < map->n_taken; i++) {
		const struct taken *claim = &map->taken[i];

		if ((claim->start + claim->count - 1) / XN_CHUNK_BLOCKS >= xn->super.high_water)
			return false;
	}
	return true;
}

/* The dirty and unflushed ones first; they are what a record holds. */
static size_t closure_members(struct closure *closure)
{
	struct collected *list = &closure->list;
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct entry *entry = list->v[i];

		if (!(entry->flags & (E_DIRTY | E_UNFLUSHED)))
			continue;
		list->v[i] = list->v[n];
		list->v[n++] = entry;
	}
	return n;
}

/* Everything at home, in one go or as far as it may go. */
static int write_home(struct closure *closure)
{
	struct xn *xn = closure->xn;
	struct collected log = { 0 };
	bool again;
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < closure->list.n && !err; i++) {
		struct entry *entry = closure->list.v[i];

		if (!order_writable(xn, entry) && log_ready(xn, entry))
			err = collect(&log, entry);
	}
	if (!err && log.n)
		err = wave_log(xn, &log, &again);
	for (size_t i = 0; i < log.n; i++)
		log.v[i]->pins--;
	free(log.v);
	for (size_t i = 0; i < closure->list.n; i++) {
		struct entry *entry = closure->list.v[i];

		if ((entry->flags & E_DEAD) || !order_writable(xn, entry))
			continue;
		closure->list.v[i] = closure->list.v[n];
		closure->list.v[n++] = entry;
	}
	if (!err && n)
		err = wave_write(xn, closure->list.v, n);
	return err ? err : wave_flush(xn, MAP_CLAIMS);
}

static int write_record(struct closure *closure, size_t n)
{
	struct xn *xn = closure->xn;
	int err = log_reserve(xn, xn->freemap.n_taken, closure->sectors);

	if (err == 1)
		return 0; /* look again */
	if (err)
		return err;
	err = log_write(xn, closure->list.v, n, true);
	return err ? err : wave_flush(xn, MAP_NONE);
}

static int closure_build(struct closure *closure, struct xn_session *session,
			 const struct xn_extent *extents, uint32_t count)
{
	int err = 0;

	for (uint32_t i = 0; i < count && !err; i++)
		err = closure_extent(closure, session, &extents[i]);
	for (size_t i = 0; i < closure->list.n && !err; i++)
		err = closure_grow(closure, closure->list.v[i]);
	return err;
}

/* One step; `*done` when nothing of the closure was left to do. */
static int commit_step(struct xn_session *session, const struct xn_extent *extents, uint32_t count,
		       uint64_t since, bool *done)
{
	struct xn *xn = session->xn;
	struct closure closure = { .xn = xn, .since = since, .home = true };
	int err = closure_build(&closure, session, extents, count);
	size_t n = err ? 0 : closure_members(&closure);

	*done = !err && closure.list.n == 0;
	if (err || *done)
		goto release;
	if (closure.unwritten)
		err = XN_ETAINTED;
	else if (n == 0 || closure.home || closure.too_big || closure.evicted ||
		 closure.sectors > RECORD_MAX || closure.sectors > log_homes_max(xn) ||
		 !claims_can_be_said(xn))
		err = write_home(&closure);
	else
		err = write_record(&closure, n);
release:
	collected_release(xn, &closure.list);
	free(closure.list.v);
	return err;
}

int xn_commit(struct xn_session *session, const struct xn_extent *extents, uint32_t count)
{
	struct xn *xn = session->xn;
	bool done = false;
	uint64_t since;
	int err;

	pthread_mutex_lock(&xn->lock);
	if (!xn->writable) {
		pthread_mutex_unlock(&xn->lock);
		return XN_EREADONLY;
	}
	wave_begin(xn);
	since = xn->version_clock;
	err = xn->broken;
	for (unsigned n = 0; !err && !done && n < WAVES_MAX; n++)
		err = commit_step(session, extents, count, since, &done);
	if (!err && !done)
		err = XN_ETAINTED;
	wave_end(xn);
	pthread_mutex_unlock(&xn->lock);
	return err;
}
