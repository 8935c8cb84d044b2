/* SPDX-License-Identifier: MIT */
/*
 * Objects that several records own: those of templates with `refcnt`.
 *
 *  (1) The count stands in the object's own bytes; `refcnt` of record 0 reads it.
 *      It is 1 when the object is made and when it is freed, and changes by one
 *      with each link and unlink, in the very update, which is whole on disk.
 *  (2) Only what is sound and named on disk is linked: a further owner never waits
 *      for it, so nobody counts it twice among the unsound.
 *  (3) The registry knows one owner, or none; with a count of 1 it is the owner.
 *  (4) No link makes a ring.  Where an object on the way up may have owners that
 *      are not known, the templates' types must exclude that it is below.
 *  (5) Nobody but the LibFS can change the count, so XN takes no subtree apart
 *      (XN_REAP) from which a counted object can be reached.
 */
#include "update.h"

#include <errno.h>

#include <stdlib.h>
#include <string.h>

bool type_is_counted(const struct type *type)
{
	return type && type->info->has[UDF_FN_REFCNT];
}

static int object_count(struct xn *xn, const struct type *type, const uint8_t *bytes,
			struct udf_budget *budget, uint32_t *count)
{
	struct udf_budget own = UDF_BUDGET_FULL;
	struct udf_fault fault = { 0 };
	const struct udf_info *info = type->info;

	xn->stats.owns_runs++;
	return udf_refcnt(type->tmpl, bytes + info->rec_off, 0, bytes, budget ? budget : &own,
			  count, &fault)
		       ? XN_EFAULT
		       : 0;
}

/* Can an object of type `to` (NULL: any that is counted) be one of `from`, or below it?  -ENOMEM */
int type_leads_to(const struct xn *xn, const struct type *from, const struct type *to)
{
	bool *seen = calloc(xn->n_types + 1, sizeof(*seen));
	uint32_t *stack = calloc(xn->n_types + 1, sizeof(*stack));
	int found = seen && stack ? 0 : -ENOMEM;
	size_t n = 0;

	if (!found) {
		stack[n++] = from->id;
		seen[from->id - XN_TYPE_FIRST] = true;
	}
	while (n > 0 && !found) {
		const struct type *type = type_find(xn, stack[--n]);

		found = to ? type == to : type_is_counted(type);
		for (uint32_t i = UDF_CHILD_RESERVED + 1; type && i < type->info->n_child; i++) {
			uint32_t child = type->child[i];

			if (!type_find(xn, child) || seen[child - XN_TYPE_FIRST])
				continue;
			seen[child - XN_TYPE_FIRST] = true;
			stack[n++] = child;
		}
	}
	free(seen);
	free(stack);
	return found;
}

/* ---- the check of an update ---- */

/* Who owns `entry` besides the known owner, nobody can tell. */
bool owners_unknown(struct plan *plan, const struct entry *entry)
{
	uint32_t count = 0;

	if (!type_is_counted(entry->type) || entry->start == entry->root->entry.object)
		return false;
	if (!entry->owner || !(entry->flags & E_CACHED) || extents_have(&plan->links, entry->start))
		return true;
	return object_count(plan->xn, entry->type, entry_bytes(entry), &plan->budget, &count) ||
	       count != 1;
}

static int declare(struct plan *plan, const xn_blk_t *blocks, uint32_t n, struct udf_extents *out)
{
	for (uint32_t i = 0; i < n; i++) {
		struct entry *entry = registry_find(&plan->xn->registry, blocks[i]);

		if (!entry || !entry->type || !session_holds(plan->session, entry, XN_WRITE))
			return refuse(plan->update.why, XN_ENOTBOUND, blocks[i],
				      "the object to link is not bound for writing");
		if (!type_is_counted(entry->type))
			return refuse(plan->update.why, XN_ETYPE, blocks[i],
				      "objects of %s have one owner", entry->type->info->name);
		if (udf_extents_add(out, (struct udf_extent){ entry->start, entry->blocks,
							      entry->type->id, 0 }))
			return -ENOMEM;
	}
	if (udf_extents_normalise(out, plan->xn->super.block_count))
		return refuse(plan->update.why, XN_EOVERLAP, 0, "an object is linked twice");
	return 0;
}

int links_declared(struct plan *plan)
{
	int err = declare(plan, plan->update.links, plan->update.n_links, &plan->links);

	return err ? err
		   : declare(plan, plan->update.unlinks, plan->update.n_unlinks, &plan->unlinks);
}

static struct change *change_at(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].edits->object == block)
			return &plan->changes[i];
	}
	return NULL;
}

static bool is_freed(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (extents_have(&plan->changes[i].given, block))
			return true;
	}
	return false;
}

static int miscounted(struct plan *plan, xn_blk_t block)
{
	return refuse(plan->update.why, XN_EOWNS, block,
		      "the object's own count of owners does not follow");
}

static int count_follows(struct plan *plan, const struct change *change)
{
	xn_blk_t block = change->edits->object;
	uint32_t before = 0, after = 0;
	uint64_t wanted;
	int err = 0;

	if (is_freed(plan, block))
		return 0;
	if (!change->fresh)
		err = object_count(plan->xn, change->type, entry_bytes(change->entry),
				   &plan->budget, &before);
	if (!err)
		err = object_count(plan->xn, change->type, change->bytes, &plan->budget, &after);
	if (err)
		return refuse(plan->update.why, err, block, "refcnt faulted");
	wanted = (uint64_t)before + (change->fresh || extents_have(&plan->links, block)) -
		 extents_have(&plan->unlinks, block);
	return after == wanted && after > 0 ? 0 : miscounted(plan, block);
}

/* New objects that are not edited begin as their template says: with one owner. */
static int fresh_counts(struct plan *plan)
{
	for (size_t i = 0; i < plan->allocs.n; i++) {
		const struct udf_extent *e = &plan->allocs.v[i];
		const struct type *type = type_find(plan->xn, e->child);
		uint8_t *bytes;
		uint32_t count = 0;
		int err;

		if (!type_is_counted(type))
			continue;
		bytes = calloc(type->blocks, XN_BLOCK_SIZE);
		if (!bytes)
			return -ENOMEM;
		udf_template_init(type->tmpl, bytes);
		err = object_count(plan->xn, type, bytes, &plan->budget, &count);
		free(bytes);
		for (uint64_t at = 0; !err && count != 1 && at < e->count; at += type->blocks) {
			if (!change_at(plan, e->start + at))
				return miscounted(plan, e->start + at);
		}
		if (err)
			return refuse(plan->update.why, err, e->start, "refcnt faulted");
	}
	return 0;
}

static int link_check(struct plan *plan, const struct change *source, const struct udf_extent *e)
{
	const struct type *type = type_find(plan->xn, e->child);

	for (uint64_t at = 0; at < e->count; at += type->blocks) {
		struct entry *entry = registry_find(&plan->xn->registry, e->start + at);

		if (entry->root->temporary)
			return refuse(plan->update.why, -ENOSYS, entry->start,
				      "a temporary root has no links");
		if (!(entry->flags & E_SOUND) || !order_reachable(entry))
			return refuse(plan->update.why, XN_ETAINTED, entry->start,
				      "the object to link is not on disk yet: sync the root");
		if (may_hang_below(plan, source, entry))
			return refuse(plan->update.why, XN_ECYCLE, entry->start,
				      "the object may be above who links it");
	}
	return 0;
}

/* Everything about counted objects that `owns` does not say. */
int counts_check(struct plan *plan)
{
	uint64_t linked = 0;
	int err = fresh_counts(plan);

	for (uint32_t i = 0; i < plan->n_changes && !err; i++) {
		const struct change *change = &plan->changes[i];

		if (type_is_counted(change->type))
			err = count_follows(plan, change);
		for (size_t k = 0; k < change->linked.n && !err; k++) {
			err = link_check(plan, change, &change->linked.v[k]);
			linked += change->linked.v[k].count;
		}
		for (size_t k = 0; k < change->unlinked.n; k++)
			linked += change->unlinked.v[k].count;
	}
	for (size_t i = 0; i < plan->links.n; i++)
		linked -= plan->links.v[i].count;
	for (size_t i = 0; i < plan->unlinks.n; i++)
		linked -= plan->unlinks.v[i].count;
	if (!err && linked != 0)
		err = refuse(plan->update.why, XN_EOWNS, 0,
			     "the records link other objects than declared");
	for (uint32_t i = 0; i < plan->update.n_links && !err; i++) {
		if (!change_at(plan, plan->update.links[i]))
			err = miscounted(plan, plan->update.links[i]);
	}
	for (uint32_t i = 0; i < plan->update.n_unlinks && !err; i++) {
		if (!change_at(plan, plan->update.unlinks[i]))
			err = miscounted(plan, plan->update.unlinks[i]);
	}
	return err;
}

/* May `owner`, who says it is the last, free it? */
int last_owner_check(struct plan *plan, const struct entry *owner, const struct entry *entry)
{
	uint32_t count = 0;

	if (!entry || !(entry->flags & E_CACHED))
		return XN_ENOTCACHED;
	if (object_count(plan->xn, entry->type, entry_bytes(entry), &plan->budget, &count))
		return XN_EFAULT;
	if (count != 1)
		return XN_EOWNS;
	return entry->owner && entry->owner != owner ? XN_EOBJDAMAGED : 0;
}

/* ---- the commit ---- */

static void unlink_object(struct entry *owner, struct entry *entry)
{
	if (entry->owner != owner)
		return;
	owner->refs--;
	entry->owner = NULL;
	entry->owner_record = NO_RECORD;
}

void owner_learn(struct entry *entry, struct entry *owner, uint32_t record)
{
	if (entry->owner || entry->start == entry->root->entry.object)
		return;
	entry->owner = owner;
	entry->owner_record = record;
	entry->named_at = owner->version;
	owner->refs++;
}

static void each_object(struct plan *plan, const struct udf_extents *list, struct entry *owner,
			bool linked)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct udf_extent *e = &list->v[i];
		const struct type *type = type_find(plan->xn, e->child);

		for (uint64_t at = 0; at < e->count; at += type->blocks) {
			struct entry *entry = registry_find(&plan->xn->registry, e->start + at);

			if (linked)
				owner_learn(entry, owner, NO_RECORD);
			else
				unlink_object(owner, entry);
		}
	}
}

void links_commit(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++)
		each_object(plan, &plan->changes[i].unlinked, plan->changes[i].entry, false);
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];

		each_object(plan, &change->linked, change->entry, true);
		if (change->linked.n)
			moved_in(change->entry);
	}
}

/* ---- roots that are removed ---- */

/* A counted object of a root that is gone; it goes with the last of its owners. */
struct shared {
	struct shared *next;
	xn_blk_t start;
	uint32_t left;
};

/* The reaper came from one more owner: is it the last?  -ENOMEM. */
int shared_is_last(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *bytes)
{
	struct shared **at = &xn->shared[start % SHARED_BUCKETS];
	struct shared *shared;
	uint32_t count = 0;

	while (*at && (*at)->start != start)
		at = &(*at)->next;
	shared = *at;
	if (shared) {
		if (--shared->left > 0)
			return 0;
		*at = shared->next;
		free(shared);
		return 1;
	}
	if (object_count(xn, type, bytes, NULL, &count) || count <= 1)
		return 1;
	shared = malloc(sizeof(*shared));
	if (!shared)
		return -ENOMEM;
	*shared = (struct shared){ NULL, start, count - 1 };
	*at = shared;
	return 0;
}

void shared_fini(struct xn *xn)
{
	for (unsigned i = 0; i < SHARED_BUCKETS; i++) {
		while (xn->shared[i]) {
			struct shared *next = xn->shared[i]->next;

			free(xn->shared[i]);
			xn->shared[i] = next;
		}
	}
}
