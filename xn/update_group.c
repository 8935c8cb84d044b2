/* SPDX-License-Identifier: MIT */
/*
 * Which objects an update ties together.
 *
 *  (1) An update is whole when no mixture of before and after may be met on disk:
 *      XN_ATOMIC, ownership that moves between objects or sectors, headers,
 *      records over two sectors.  The objects it changes join one group.
 *  (2) For an object that the disk does not name, the first one above it that it
 *      does name joins; the object itself is written before (order_now_unsound).
 *  (3) Whoever gives up a member of a group, or something above one, joins it.
 *  (4) One sector is atomic by itself and needs no group.
 *  (5) Whoever gains an object is joined by the groups of those above it: moves
 *      that led to where it hangs are on disk with this one or before, else an
 *      object could hang, on disk, below itself.
 *  (6) A group never grows beyond what one record can hold: the update is refused
 *      before (XN_ELOGFULL).
 */
#include "update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int join_add(struct plan *plan, struct entry *entry)
{
	for (size_t i = 0; i < plan->n_joins; i++) {
		if (plan->joins[i] == entry)
			return 0;
	}
	if (plan->n_joins == plan->joins_cap) {
		struct entry **joins = arena_grow(plan->arena, plan->joins, &plan->joins_cap,
						  sizeof(struct entry *));

		if (!joins)
			return -ENOMEM;
		plan->joins = joins;
	}
	plan->joins[plan->n_joins++] = entry;
	return 0;
}

/* A place on the way up, as things will hang then: a new object of the update, or an entry. */
struct rung {
	const struct change *fresh;
	struct entry *entry;
};

static struct rung rung_of(const struct change *change)
{
	return change->fresh ? (struct rung){ change, NULL } : (struct rung){ NULL, change->entry };
}

static struct rung rung_above(const struct plan *plan, struct rung at)
{
	const struct change *owner = at.fresh ? plan_taker(plan, at.fresh->edits->object)
					      : plan_new_owner(plan, at.entry);

	if (owner)
		return rung_of(owner);
	return (struct rung){ NULL, at.entry ? at.entry->owner : NULL };
}

/*
 * The object that the disk names, at or above the change's; NULL under a temporary root.  *top: the
 * block below it through which the disk will name the change's (0: the change's is that object).
 */
static struct entry *anchor_of(const struct plan *plan, const struct change *change, xn_blk_t *top)
{
	struct rung at = rung_of(change);

	*top = 0;
	while (at.fresh || (at.entry && !order_reachable(at.entry))) {
		*top = at.fresh ? at.fresh->edits->object : at.entry->start;
		at = rung_above(plan, at);
	}
	return at.entry;
}

/* Will the change's object hang under a temporary root? */
static bool is_exempt(const struct plan *plan, const struct change *change)
{
	while (change && change->fresh)
		change = plan_taker(plan, change->edits->object);
	return change && order_exempt(change->entry);
}

static bool is_whole(const struct plan *plan)
{
	bool whole = (plan->update.flags & XN_ATOMIC) || plan->moved.n > 0 || plan->links.n > 0 ||
		     plan->unlinks.n > 0;

	for (uint32_t i = 0; i < plan->n_changes; i++)
		whole |= plan->changes[i].needs_log;
	return whole;
}

/* Sectors of a changed object that its edits touch. */
static uint32_t edit_sectors(const struct change *change)
{
	uint32_t n = 0, next = 0;

	for (uint32_t i = 0; i < change->n_edits; i++) {
		uint32_t first = change->edits[i].offset / XN_SECTOR_SIZE;
		uint32_t end =
			(change->edits[i].offset + change->edits[i].len - 1) / XN_SECTOR_SIZE + 1;

		if (first < next)
			first = next;
		if (end > first) {
			n += end - first;
			next = end;
		}
	}
	return n;
}

static bool gains_objects(const struct plan *plan, const struct change *change)
{
	if (change->linked.n > 0)
		return true;
	for (size_t i = 0; i < change->in.n; i++) {
		if (type_find(plan->xn, change->in.v[i].child))
			return true;
	}
	return false;
}

/* The groups of all above the change's object. */
static int joins_above(struct plan *plan, const struct change *change)
{
	struct rung at = rung_above(plan, rung_of(change));
	int err = 0;

	for (; !err && (at.fresh || at.entry); at = rung_above(plan, at)) {
		if (at.entry && at.entry->group)
			err = join_add(plan, at.entry);
	}
	return err;
}

/* Everybody who must go together because of what changes. */
static int joins_of_changes(struct plan *plan)
{
	bool any = false;
	xn_blk_t top;
	int err = 0;

	for (uint32_t i = 0; i < plan->n_changes && !err; i++) {
		struct entry *anchor = anchor_of(plan, &plan->changes[i], &top);

		any |= anchor && !top;
		err = anchor ? join_add(plan, anchor) : 0;
	}
	for (uint32_t i = 0; i < plan->n_changes && !err && any; i++) {
		if (gains_objects(plan, &plan->changes[i]))
			err = joins_above(plan, &plan->changes[i]);
	}
	return err;
}

#define NO_SECTOR UINT32_MAX

/* The sector of the object, as it will be, whose record names that block; NO_SECTOR: not one. */
static uint32_t sector_naming(struct plan *plan, struct entry *entry, xn_blk_t block)
{
	struct change *change = plan_change_of(plan, entry);
	const struct udf_info *info = entry->type->info;
	const uint8_t *bytes;
	struct udf_extents owned = { 0 };
	uint32_t sector = NO_SECTOR;

	if (!change && !(entry->flags & E_CACHED))
		return NO_SECTOR;
	bytes = change ? change_bytes(plan, change) : entry_bytes(entry);
	if (!bytes)
		return NO_SECTOR; /* which only costs a record in the log */
	for (uint32_t i = 0; i < info->rec_count && sector == NO_SECTOR; i++) {
		uint32_t from = info->rec_off + i * info->rec_size;

		owned.n = 0;
		if (owns_record(plan->xn, entry->type, entry->start, bytes, i, &plan->budget,
				&owned, NULL) ||
		    from / XN_SECTOR_SIZE != (from + info->rec_size - 1) / XN_SECTOR_SIZE)
			break;
		for (size_t k = 0; k < owned.n; k++) {
			if (block >= owned.v[k].start &&
			    block - owned.v[k].start < owned.v[k].count)
				sector = from / XN_SECTOR_SIZE;
		}
	}
	udf_extents_fini(&owned);
	return sector;
}

/* One object that the disk names, and one sector of it from which all that changes hangs. */
static bool is_one_sector(struct plan *plan)
{
	bool moves = false, any = false;
	uint32_t one = NO_SECTOR;

	if (plan->n_joins != 1 || plan->joins[0]->group)
		return false;
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		const struct change *change = &plan->changes[i];
		uint32_t sector = change->edits->offset / XN_SECTOR_SIZE;
		struct entry *anchor;
		xn_blk_t top;

		anchor = anchor_of(plan, change, &top);
		if (!anchor)
			continue;
		any |= !top;
		moves |= change->in.n || change->out.n;
		if (!top && (change->needs_log || edit_sectors(change) > 1))
			return false;
		if (top)
			sector = sector_naming(plan, anchor, top);
		if (sector == NO_SECTOR || (one != NO_SECTOR && sector != one))
			return false;
		one = sector;
	}
	return !(any && moves);
}

/* Whoever gave up a member, or something above one. */
static int joins_of_freed(struct plan *plan, bool *any)
{
	int err = 0;

	for (size_t i = 0; i < plan->n_freed && !err; i++) {
		const struct freed *freed = &plan->freed[i];
		struct group *group = freed->entry ? freed->entry->group : NULL;

		if (freed->reap && freed->entry)
			group = group_next_below(plan->xn, NULL, freed->entry);
		while (group && !err) {
			*any = true;
			err = join_add(plan, TAILQ_FIRST(&group->members));
			if (!err && !order_exempt(freed->owner))
				err = join_add(plan, order_anchor(freed->owner));
			group = freed->reap ? group_next_below(plan->xn, group, freed->entry)
					    : NULL;
		}
	}
	return err;
}

static uint32_t sectors_now(struct entry *entry)
{
	return entry->group ? group_sectors(entry->group) : log_sectors_of(entry);
}

/* What one record would have to hold; groups that several joins share count once. */
static uint32_t sectors_needed(const struct plan *plan)
{
	uint32_t n = 0;

	for (size_t i = 0; i < plan->n_joins; i++) {
		bool counted = false;

		for (size_t k = 0; k < i && plan->joins[i]->group; k++)
			counted |= plan->joins[k]->group == plan->joins[i]->group;
		if (!counted)
			n += sectors_now(plan->joins[i]);
	}
	for (uint32_t i = 0; i < plan->n_changes; i++)
		n += plan->changes[i].fresh ? 0 : edit_sectors(&plan->changes[i]);
	return n;
}

static int log_full(struct plan *plan, xn_blk_t object)
{
	return refuse(plan->update.why, XN_ELOGFULL, object,
		      "what must reach the disk together does not fit the intent log");
}

/* An update that ties nobody together may still make a group bigger. */
static int groups_check(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];

		if (change->fresh || !change->entry->group)
			continue;
		if (group_sectors(change->entry->group) + edit_sectors(change) >
		    log_homes_max(plan->xn))
			return log_full(plan, change->entry->start);
	}
	return 0;
}

/* A tree may be moved out of a scratch root; what survives is never moved into one. */
static int scratch_check(const struct plan *plan)
{
	if (plan->root->n_scratch == 0)
		return 0;
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		const struct change *to = &plan->changes[i];

		if (to->in.n == 0 || !is_exempt(plan, to))
			continue;
		for (uint32_t k = 0; k < plan->n_changes; k++) {
			if (plan->changes[k].out.n && !is_exempt(plan, &plan->changes[k]))
				return refuse(
					plan->update.why, XN_EOWNS, to->edits->object,
					"trees are moved out of a scratch root, never into it");
		}
	}
	return 0;
}

/* Nobody who goes together, or hangs elsewhere then, may wait for himself. */
static int ring_check(struct plan *plan)
{
	size_t n = plan->n_joins;
	struct entry **entries;
	xn_blk_t top;
	int err;

	if (LIST_EMPTY(&plan->xn->afters) || !(plan->whole || n))
		return 0;
	entries = malloc((n + plan->n_changes) * sizeof(struct entry *));
	if (!entries)
		return -ENOMEM;
	if (n)
		memcpy(entries, plan->joins, n * sizeof(struct entry *));
	for (uint32_t i = 0; i < plan->n_changes && plan->whole; i++) {
		entries[n] = anchor_of(plan, &plan->changes[i], &top);
		n += entries[n] != NULL;
	}
	err = after_ring(plan, entries, n);
	if (err == 1)
		err = refuse(plan->update.why, XN_ECYCLE, entries[0]->start,
			     "what must go together would wait for itself");
	free(entries);
	return err;
}

int plan_joins(struct plan *plan)
{
	bool given_up = false;
	int err = scratch_check(plan);

	if (err)
		return err;
	plan->whole = is_whole(plan);
	if (plan->whole)
		err = joins_of_changes(plan);
	if (!err && plan->n_joins && is_one_sector(plan))
		plan->n_joins = 0;
	if (!err && plan->n_freed && !TAILQ_EMPTY(&plan->xn->groups))
		err = joins_of_freed(plan, &given_up);
	if (!err)
		err = ring_check(plan);
	if (err)
		return err;
	if (plan->n_joins == 0)
		return groups_check(plan);
	if (log_homes_max(plan->xn) == 0)
		return refuse(plan->update.why, -ENOSYS, plan->joins[0]->start,
			      "the disk is too small for an intent log, which this needs");
	if (sectors_needed(plan) > log_homes_max(plan->xn))
		return log_full(plan, plan->joins[0]->start);
	plan->group = group_alloc();
	return plan->group ? 0 : -ENOMEM;
}

/* The commit's part: they are one group from now on. */
void plan_join(struct plan *plan)
{
	struct xn *xn = plan->xn;

	for (uint32_t i = 0; i < plan->n_changes && plan->whole; i++) {
		struct change *change = &plan->changes[i];

		if (!change->fresh && !order_reachable(change->entry))
			order_now_unsound(xn, change->entry);
	}
	if (!plan->group)
		return;
	for (size_t i = 0; i < plan->n_joins; i++)
		group_join(xn, plan->joins[i], plan->group);
	after_within_group(xn, plan->group);
	plan->group = NULL;
}
