/* SPDX-License-Identifier: MIT */
/*
 * The commit of an update: what the check found good happens, and nothing here
 * can fail.
 *
 *  (1) The bytes installed are the very bytes that `owns` saw.
 *  (2) New objects exist, with their owners, before anything counts them.
 *  (3) Freed blocks go to the free map at once only if no pointer to them was
 *      ever issued; else they wait for their former owner.
 *  (4) What moved is known under its new owner, with whatever was bound of it.
 *  (5) Of objects freed together the lowest go first, so what waits on them moves
 *      up to the one that stays.
 */
#include "update.h"

#include <assert.h>
#include <string.h>

static struct will_free *node_take(struct plan *plan, xn_blk_t start, uint64_t count)
{
	struct will_free *node = plan->nodes;

	assert(node);
	plan->nodes = node->next;
	node->next = NULL;
	node->start = start;
	node->count = count;
	node->reap = NULL;
	return node;
}

static void take_blocks(struct plan *plan)
{
	claims_spend(plan->session, plan->root, plan->n_blocks);
	for (size_t i = 0; i < plan->allocs.n; i++) {
		const struct udf_extent *e = &plan->allocs.v[i];

		plan->map_news |= freemap_take(plan->xn, e->start, e->count, e->child == XN_DATA);
	}
	if (plan->n_blocks > 0)
		root_charge(plan->root, plan->n_blocks);
}

/* New objects: the initial image, unsound, nothing of them on disk. */
static void fresh_start(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_fresh; i++) {
		struct entry *entry = plan->fresh[i];
		size_t size = (size_t)entry->blocks * XN_BLOCK_SIZE;

		memset(entry_bytes(entry), 0, size);
		udf_template_init(entry->type->tmpl, entry_bytes(entry));
		entry_changed(entry, 0, (uint32_t)size);
		entry->flags &= ~(uint32_t)(E_SOUND | E_REACH);
		entry->flags |= E_CACHED;
		entry->issued_version = entry->written_version = entry->stable_version = 0;
		entry->owned = 0;
		entry->version = version_next(plan->xn);
		entry_set_dirty(plan->xn, entry);
		entry_touch(plan->xn, entry);
	}
}

static void install_bytes(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];
		uint8_t *bytes = entry_bytes(change->entry);

		for (uint32_t k = 0; k < change->n_edits; k++) {
			memcpy(bytes + change->edits[k].offset, change->edits[k].bytes,
			       change->edits[k].len);
			entry_changed(change->entry, change->edits[k].offset, change->edits[k].len);
		}
		if (change->entry->owned != OWNED_UNKNOWN)
			change->entry->owned +=
				blocks_of(&change->added) - blocks_of(&change->removed);
		change->entry->version = version_next(plan->xn);
		entry_set_dirty(plan->xn, change->entry);
		entry_touch(plan->xn, change->entry);
	}
}

/* Each taken block counts as unsound with the object that took it. */
static void attach(struct plan *plan, struct change *change)
{
	struct entry *owner = change->entry;

	for (size_t i = 0; i < change->taken.n; i++) {
		const struct udf_extent *e = &change->taken.v[i];
		struct type *type = type_find(plan->xn, e->child);

		if (plan->map_news)
			owner->map_seq = plan->xn->freemap.claim_seq;
		if (e->child == XN_DATA)
			order_child_unsound(owner, e->count);
		if (!type)
			continue;
		for (uint64_t at = 0; at < e->count; at += type->blocks) {
			struct entry *child = registry_find(&plan->xn->registry, e->start + at);

			assert(child);
			assert(!child->owner);
			child->owner = owner;
			child->named_at = owner->version;
			owner->refs++;
			order_child_unsound(owner, 1);
		}
	}
}

/* ---- moves ---- */

static void adopt(struct xn *xn, struct entry *child, struct entry *from, struct entry *owner)
{
	struct entry *old = child->owner;

	if (type_is_counted(child->type) && old != from) {
		order_reachable(child);
		owner_learn(child, owner, NO_RECORD);
		return;
	}

	order_reachable(child); /* what names it on disk now, names it until the group is written */
	child->owner_record = NO_RECORD;
	if (old == owner)
		return;
	if (!(child->flags & E_SOUND)) {
		order_child_sound(xn, old, 1);
		order_child_unsound(owner, 1);
	}
	child->flags &= ~(uint32_t)E_IN_FROZEN; /* the copy that waited for it was given up */
	child->owner = owner;
	child->named_at = owner->version;
	owner->refs++;
	old->refs--;
}

/* Bindings of data follow it, or are stale if only a part of what they hold moved. */
static void bindings_follow(struct entry *from, struct entry *to, xn_blk_t start, uint64_t count)
{
	struct binding *binding = LIST_FIRST(&from->bindings);

	while (binding) {
		struct binding *next = LIST_NEXT(binding, of_entry);
		const struct xn_extent *e = &binding->extent;

		if (binding->data && e->start >= start && e->start + e->count <= start + count) {
			LIST_REMOVE(binding, of_entry);
			LIST_INSERT_HEAD(&to->bindings, binding, of_entry);
			binding->entry = to;
			from->pins--;
			to->pins++;
		} else if (binding->data && e->start < start + count &&
			   start < e->start + e->count) {
			binding->stale = true;
		}
		binding = next;
	}
}

static void move_data(struct xn *xn, struct entry *from, struct entry *to, xn_blk_t start,
		      uint64_t count)
{
	if (from == to)
		return;
	bindings_follow(from, to, start, count);
	for (uint64_t i = 0; i < count && (from->unsound > 0 || from->refs > 0); i++) {
		struct entry *page = registry_find(&xn->registry, start + i);

		if (freemap_unwritten(xn, start + i)) {
			order_child_sound(xn, from, 1);
			order_child_unsound(to, 1);
		}
		if (page && !page->type && page->owner == from)
			adopt(xn, page, from, to);
	}
}

/* The run of blocks from `at` on that one change lost. */
static struct change *giver_run(const struct plan *plan, xn_blk_t at, xn_blk_t end, uint64_t *run)
{
	struct change *giver = plan_giver(plan, at);

	for (size_t i = 0; i < giver->out.n; i++) {
		const struct udf_extent *e = &giver->out.v[i];

		if (at >= e->start && at - e->start < e->count)
			*run = (e->start + e->count < end ? e->start + e->count : end) - at;
	}
	return giver;
}

/* Whoever takes one of them apart must know, however deep it lies below. */
void moved_in(struct entry *entry)
{
	for (; entry && !order_reachable(entry); entry = entry->owner)
		entry->flags |= E_MOVED_IN;
}

static void move_in(struct plan *plan, struct change *change)
{
	struct xn *xn = plan->xn;
	struct entry *owner = change->entry;

	for (size_t i = 0; i < change->in.n; i++) {
		const struct udf_extent *e = &change->in.v[i];
		const struct type *type = type_find(xn, e->child);
		xn_blk_t end = e->start + e->count;
		uint64_t run = 0;

		for (xn_blk_t at = e->start; at < end; at += run) {
			struct entry *from = giver_run(plan, at, end, &run)->entry;

			if (from->map_seq > owner->map_seq)
				owner->map_seq = from->map_seq;
			owner->flags |= from->flags & E_TAINTED_COPY;
			if (e->child == XN_DATA)
				move_data(xn, from, owner, at, run);
			if (!type)
				continue;
			for (uint64_t b = 0; b < run; b += type->blocks) {
				struct entry *child = registry_find(&xn->registry, at + b);

				if (child)
					adopt(xn, child, from, owner);
			}
		}
	}
	if (change->in.n)
		moved_in(owner);
}

/* Forget what is known of a data block that its owner gave up. */
static void forget_data(struct xn *xn, struct entry *owner, xn_blk_t block)
{
	struct entry *page = registry_find(&xn->registry, block);

	if (freemap_written(xn, block))
		order_child_sound(xn, owner, 1); /* one unsound child less */
	if (!page || page->type)
		return;
	if (!(page->flags & E_SOUND))
		order_child_sound(xn, owner, 1);
	registry_kill(xn, page);
}

static void retype(struct plan *plan, struct change *change)
{
	struct xn *xn = plan->xn;
	struct entry *owner = change->entry;

	for (size_t i = 0; i < change->idle.n; i++) {
		const struct udf_extent *e = &change->idle.v[i];

		bindings_revoke(owner, true, e->start, e->count);
		for (uint64_t b = 0; b < e->count; b++)
			forget_data(xn, owner, e->start + b);
	}
	for (size_t i = 0; i < change->fresh_data.n; i++) {
		const struct udf_extent *e = &change->fresh_data.v[i];

		freemap_set_unwritten(xn, e->start, e->count);
		order_child_unsound(owner, e->count);
		/* Unsound now, and yet the disk may name them: as reserved ones. */
		owner->flags |= E_TAINTED_COPY;
	}
}

/* Blocks given up, and not free at once, wait for who named them. */
static void wait_for_owner(struct xn *xn, struct entry *owner, struct will_free *list)
{
	if ((owner->flags & E_MOVED_IN) && !order_exempt(owner) && !order_reachable(owner)) {
		order_now_unsound(xn, owner);
		owner = order_anchor(owner);
	}
	will_free_wait(owner, list);
}

static void free_extent(struct plan *plan, struct entry *owner, const struct udf_extent *e)
{
	struct xn *xn = plan->xn;
	xn_blk_t end = e->start + e->count;

	bindings_revoke(owner, true, e->start, e->count);
	for (xn_blk_t at = e->start; at < end;) {
		bool at_once;
		uint64_t n = free_run(xn, owner, at, end, &at_once);
		struct will_free *node = node_take(plan, at, n);

		for (uint64_t i = 0; i < n; i++)
			forget_data(xn, owner, at + i);
		xn->freemap.will_free += n;
		if (at_once)
			order_release_now(xn, owner->root, node);
		else
			wait_for_owner(xn, owner, node);
		at += n;
	}
}

static void free_object(struct plan *plan, struct freed *freed)
{
	struct xn *xn = plan->xn;
	struct entry *owner = freed->owner, *entry = freed->entry;
	bool unsound = entry && !(entry->flags & E_SOUND);
	bool moved_in = freed->reap && entry && (entry->flags & E_MOVED_IN);
	bool at_once = !moved_in && order_free_at_once(owner, unsound);
	struct will_free *node = node_take(plan, freed->start, freed->type->blocks);
	struct will_free *waiting = entry ? entry->will_free : NULL;

	if (entry)
		entry->will_free = NULL;
	if (unsound)
		order_child_sound(xn, owner, 1);
	if (freed->reap) {
		node->reap = freed->type;
		owner->root->account.principal->pending++;
		if (entry) {
			groups_leave_below(xn, entry);
			after_forget_below(xn, entry);
			order_orphan(xn, entry);
		}
	} else {
		xn->freemap.will_free += node->count;
		reclaim_mark(xn, owner->root, freed->start, freed->type->blocks);
		registry_kill(xn, entry);
	}
	node->next = waiting;
	if (at_once)
		order_release_now(xn, owner->root, node);
	else
		wait_for_owner(xn, owner, node);
}

void plan_commit(struct plan *plan)
{
	plan->session->stats.updates++;
	plan->root->stats.updates++;
	for (uint32_t i = 0; i < plan->n_changes; i++)
		reclaim_removed(plan->xn, plan->root, &plan->changes[i].removed);
	take_blocks(plan);
	fresh_start(plan);
	install_bytes(plan);
	for (uint32_t i = 0; i < plan->n_changes; i++)
		attach(plan, &plan->changes[i]);
	for (uint32_t i = 0; i < plan->n_changes; i++)
		move_in(plan, &plan->changes[i]);
	links_commit(plan);
	plan_join(plan);
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];

		retype(plan, change);
		for (size_t k = 0; k < change->given.n; k++) {
			if (!type_find(plan->xn, change->given.v[k].child))
				free_extent(plan, change->entry, &change->given.v[k]);
		}
	}
	for (size_t i = 0; i < plan->n_fresh; i++)
		plan->fresh[i]->pins--;
	plan->n_fresh = 0;
	for (size_t i = 0; i < plan->n_freed; i++)
		free_object(plan, &plan->freed[i]);
}
