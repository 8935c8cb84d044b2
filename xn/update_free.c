/* SPDX-License-Identifier: MIT */
/*
 * What an update gives up, as far as it can be checked.
 *
 *  (1) Every freed object owns nothing after the edits, or the caller asked for
 *      XN_REAP; and its own `acl` lets it go.
 *  (2) Whatever was owned and is free, or is known under another owner, is
 *      damage: the owner is not believed any more.
 *  (3) The commit finds as many nodes as it can need for blocks that wait.
 */
#include "update.h"

#include <errno.h>
#include <stdlib.h>

static bool child_is_unsound(struct xn *xn, xn_blk_t block)
{
	const struct entry *entry;

	if (freemap_unwritten(xn, block))
		return true;
	entry = registry_find(&xn->registry, block);
	return entry && !(entry->flags & E_SOUND);
}

uint64_t free_run(struct xn *xn, const struct entry *owner, xn_blk_t at, xn_blk_t end,
		  bool *at_once)
{
	uint64_t n = 1;

	*at_once = order_free_at_once(owner, child_is_unsound(xn, at));
	while (at + n < end && order_free_at_once(owner, child_is_unsound(xn, at + n)) == *at_once)
		n++;
	return n;
}

static int node_add(struct plan *plan)
{
	struct will_free *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	node->next = plan->nodes;
	plan->nodes = node;
	return 0;
}

struct change *plan_change_of(const struct plan *plan, const struct entry *entry)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].entry == entry)
			return &plan->changes[i];
	}
	return NULL;
}

/* Does an object about to be freed own something after the edits? */
static int owns_nothing(struct plan *plan, const struct freed *freed)
{
	struct change *change = plan_change_of(plan, freed->entry);
	const uint8_t *bytes = NULL;
	/* With XN_REAP, too costly to look is as good as not empty: that has its own purse. */
	bool reap = plan->update.flags & XN_REAP;
	struct udf_budget *budget = reap ? &plan->reap_budget : &plan->budget;
	struct udf_extents owned = { 0 };
	uint64_t known = freed->entry->owned;
	bool empty;
	int err;

	if (known != OWNED_UNKNOWN && change)
		known += blocks_of(&change->added) - blocks_of(&change->removed);
	if (known != OWNED_UNKNOWN)
		return known ? XN_ENOTEMPTY : 0;
	if (!change && !(freed->entry->flags & E_CACHED))
		return XN_ENOTCACHED;
	bytes = change ? change_bytes(plan, change) : entry_bytes(freed->entry);
	if (!bytes)
		return -ENOMEM;
	err = owns_object(plan->xn, freed->type, freed->start, bytes, budget, &owned,
			  plan->update.why);
	empty = owned.n == 0;
	udf_extents_fini(&owned);
	return err ? err : empty ? 0 : XN_ENOTEMPTY;
}

static int freed_acl(struct plan *plan, const struct freed *freed)
{
	struct acl_request ask = { .op = UDF_ACL_FREE,
				   .record = NO_RECORD,
				   .cred = plan->cred,
				   .now_ns = time_choose(plan->session, plan->update.now_ns) };
	int err;

	if (!freed->type->info->has[UDF_FN_ACL])
		return 0;
	if (!freed->entry || !(freed->entry->flags & E_CACHED))
		return refuse(plan->update.why, XN_ENOTCACHED, freed->start,
			      "acl must see the freed object");
	err = acl_about(plan->xn, freed->entry, &plan->budget, &ask, plan->update.why);
	acl_bound(&ask, freed->entry, &plan->under);
	return err ? err : acl_ask(plan->xn, &ask, &plan->budget, plan->update.why);
}

static int freed_object(struct plan *plan, struct entry *owner, struct type *type, xn_blk_t start)
{
	struct freed *freed;
	int err;

	if (plan->n_freed == plan->freed_cap) {
		struct freed *grown =
			arena_grow(plan->arena, plan->freed, &plan->freed_cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		plan->freed = grown;
	}
	freed = &plan->freed[plan->n_freed];
	*freed = (struct freed){ owner, registry_find(&plan->xn->registry, start), type, start, 0,
				 false };
	for (const struct entry *above = owner; above; above = above->owner)
		freed->depth++;
	err = type_is_counted(type) ? last_owner_check(plan, owner, freed->entry) : 0;
	if (err && err != XN_EOBJDAMAGED)
		return refuse(plan->update.why, err, start,
			      "the freed object has other owners, or nobody can tell");
	if (freed->entry && (freed->entry->type != type ||
			     (freed->entry->owner != owner && !type_is_counted(type)) || err)) {
		entry_damage(plan->xn, owner);
		entry_damage(plan->xn, entry_claimant(freed->entry));
		return refuse(plan->update.why, XN_EOBJDAMAGED, start,
			      "the freed object is registered under another owner");
	}
	err = freed->entry ? owns_nothing(plan, freed) : XN_ENOTCACHED;
	if ((err == XN_ENOTEMPTY || err == XN_ENOTCACHED || err == XN_EFUEL) &&
	    (plan->update.flags & XN_REAP)) {
		int counted = type_leads_to(plan->xn, type, NULL);

		if (counted < 0)
			return counted;
		freed->reap = !counted;
		err = counted ? err : 0;
	}
	if (err)
		return refuse(plan->update.why, err, start, "freed object: %s", xn_strerror(err));
	plan->n_freed++;
	return freed_acl(plan, freed);
}

/* What an object that is freed itself gave up comes before that object. */
static int by_depth(const void *a, const void *b)
{
	const struct freed *x = a, *y = b;

	return x->depth > y->depth ? -1 : x->depth < y->depth;
}

/*
 * Blocks that are no objects, given up by `owner`: known under it, and not counted as the unsound
 * children of somebody else.  *unsound: how many of its own such they would be, so far.
 */
static int blocks_known(struct plan *plan, struct entry *owner, const struct udf_extent *e,
			uint64_t *unsound)
{
	struct xn *xn = plan->xn;

	for (xn_blk_t b = e->start; b < e->start + e->count; b++) {
		struct entry *page = registry_find(&xn->registry, b);
		bool foreign = page && (page->type || page->owner != owner);

		*unsound += child_is_unsound(xn, b);
		if (!foreign && *unsound <= owner->unsound)
			continue;
		entry_damage(xn, owner);
		if (foreign)
			entry_damage(xn, entry_claimant(page));
		return refuse(plan->update.why, XN_EOBJDAMAGED, b,
			      "a block that somebody else was given was owned");
	}
	return 0;
}

/* The maps of what is retyped or moved are here: retypes_check(), moves_check(). */
static int kept_blocks_known(struct plan *plan, struct change *change, uint64_t *unsound)
{
	int err = 0;

	for (size_t i = 0; i < change->idle.n && !err; i++)
		err = blocks_known(plan, change->entry, &change->idle.v[i], unsound);
	for (size_t i = 0; i < change->out.n && !err; i++) {
		if (change->out.v[i].child == XN_DATA)
			err = blocks_known(plan, change->entry, &change->out.v[i], unsound);
	}
	return err;
}

static int removed_check(struct plan *plan, struct entry *owner, const struct udf_extent *e,
			 uint64_t *unsound)
{
	struct type *type = type_find(plan->xn, e->child);
	int err = plan_maps_here(plan, e);

	if (err)
		return err;
	if (own_blocks_meet(plan->xn, e->start, e->count)) {
		entry_damage(plan->xn, owner);
		return refuse(plan->update.why, XN_EOBJDAMAGED, e->start,
			      "a block of XN's own was owned");
	}
	for (uint64_t b = e->start; b < e->start + e->count; b++) {
		if (freemap_in_use(plan->xn, b))
			continue;
		entry_damage(plan->xn, owner);
		return refuse(plan->update.why, XN_EOBJDAMAGED, b,
			      "a block that is free was owned");
	}
	if (!type) {
		err = blocks_known(plan, owner, e, unsound);
		for (xn_blk_t at = e->start; at < e->start + e->count && !err;) {
			bool at_once;

			at += free_run(plan->xn, owner, at, e->start + e->count, &at_once);
			err = node_add(plan);
		}
		return err;
	}
	if (e->count % type->blocks)
		return refuse(plan->update.why, XN_ETYPE, e->start, "no whole number of objects");
	for (uint64_t at = 0; at < e->count && !err; at += type->blocks) {
		err = freed_object(plan, owner, type, e->start + at);
		if (!err)
			err = node_add(plan);
	}
	return err;
}

/* May the root's owner leave that many more subtrees to XN? */
static bool pending_bears(const struct plan *plan)
{
	const struct principal *owner = plan->root->account.principal;
	uint64_t n = 0;

	for (size_t i = 0; i < plan->n_freed; i++)
		n += plan->freed[i].reap;
	return n == 0 || allowance_left(owner->limit.pending, owner->pending, n);
}

/* Is one of these blocks a child that the object's frozen copy waits for? */
static bool frozen_waits_for(struct xn *xn, const struct udf_extents *list)
{
	for (size_t i = 0; i < list->n; i++) {
		for (uint64_t b = 0; b < list->v[i].count; b++) {
			const struct entry *child =
				registry_find(&xn->registry, list->v[i].start + b);

			if (child && (child->flags & E_IN_FROZEN))
				return true;
		}
	}
	return false;
}

/*
 * A frozen copy that could not be written any more, or not without harm, is given
 * up now: what is free at once depends on it.
 */
static void frozen_check(struct plan *plan, struct change *change)
{
	if (change->fresh || !change->entry->frozen)
		return;
	if (change->out.n || frozen_waits_for(plan->xn, &change->given) ||
	    frozen_waits_for(plan->xn, &change->idle))
		freeze_drop(change->entry);
}

int plan_frees(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++)
		frozen_check(plan, &plan->changes[i]);
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];
		uint64_t unsound = 0;
		int err = kept_blocks_known(plan, change, &unsound);

		for (size_t k = 0; k < change->given.n && !err; k++)
			err = removed_check(plan, change->entry, &change->given.v[k], &unsound);
		if (err)
			return err;
	}
	if (!pending_bears(plan))
		return refuse(plan->update.why, XN_EALLOWANCE, 0,
			      "too many subtrees of user %u wait to be reaped",
			      plan->root->entry.uid);
	if (plan->n_freed > 1)
		qsort(plan->freed, plan->n_freed, sizeof(*plan->freed), by_depth);
	return 0;
}
