/* SPDX-License-Identifier: MIT */
/*
 * Conservation: nothing is owned by nobody, or by two.
 *
 *  (1) owned(after) = owned(before) + allocs - frees, as sets of typed blocks,
 *      over all objects of the update; RESERVED and DATA turn into each other as
 *      `retypes` says, inside one object.
 *  (2) What one record lost and another gained under the same type has moved.
 *  (3) A new or moved object's owners lead to a root: trees only, never a ring that
 *      no root holds.
 */
#include "update.h"

#include <assert.h>
#include <errno.h>

static int append(struct udf_extents *to, const struct udf_extents *from)
{
	for (size_t i = 0; i < from->n; i++) {
		if (udf_extents_add(to, from->v[i]))
			return -ENOMEM;
	}
	return 0;
}

static int declared(struct plan *plan, const struct xn_extent *extents, uint32_t count,
		    struct udf_extents *out, uint64_t *blocks)
{
	*blocks = 0;
	if (count == 0)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct xn_extent *e = &extents[i];
		const struct type *type = type_find(plan->xn, e->type);

		if (e->count == 0 || e->start == 0 || e->reserved)
			return refuse(plan->update.why, -EINVAL, e->start, "an extent is empty");
		if (!disk_holds(plan->xn, e->start, e->count))
			return refuse(plan->update.why, -ERANGE, e->start,
				      "an extent lies outside the disk");
		if ((!type && e->type != XN_DATA && e->type != XN_RESERVED) ||
		    (type && e->count % type->blocks))
			return refuse(
				plan->update.why, XN_ETYPE, e->start,
				"an extent has no such type, or is no whole number of objects");
		*blocks += e->count;
		if (udf_extents_add(out, (struct udf_extent){ e->start, e->count, e->type, 0 }))
			return -ENOMEM;
	}
	if (*blocks > XN_UPDATE_BLOCKS_MAX)
		return XN_ETOOBIG;
	if (udf_extents_normalise(out, plan->xn->super.block_count))
		return refuse(plan->update.why, XN_EOVERLAP, 0, "declared extents overlap");
	return 0;
}

/*
 * Part `list` into what `by` holds under the same type, and the rest; both are
 * normalised, and so is what comes out.
 */
static int part(const struct udf_extents *list, const struct udf_extents *by,
		struct udf_extents *inside, struct udf_extents *outside)
{
	size_t k = 0;

	if (by->n == 0)
		return append(outside, list);
	for (size_t i = 0; i < list->n; i++) {
		struct udf_extent e = list->v[i];

		while (e.count > 0) {
			struct udf_extent piece = e;
			const struct udf_extent *other;
			bool in = false;

			while (k < by->n && by->v[k].start + by->v[k].count <= e.start)
				k++;
			other = k < by->n ? &by->v[k] : NULL;
			if (other && other->start <= e.start) {
				uint64_t room = other->start + other->count - e.start;

				in = other->child == e.child;
				piece.count = room < e.count ? room : e.count;
			} else if (other && other->start < e.start + e.count) {
				piece.count = other->start - e.start;
			}
			if (udf_extents_add(in ? inside : outside, piece))
				return -ENOMEM;
			e.start += piece.count;
			e.count -= piece.count;
		}
	}
	return 0;
}

static uint32_t other_type(uint32_t type)
{
	return type == XN_DATA ? XN_RESERVED : XN_DATA;
}

static int declared_retypes(struct plan *plan)
{
	uint32_t n = plan->update.n_retypes;
	struct xn_extent *now = arena_take(plan->arena, 2 * (size_t)n * sizeof(*now));
	struct xn_extent *then;
	uint64_t blocks;
	int err;

	if (!now)
		return -ENOMEM;
	then = now + n;
	for (uint32_t i = 0; i < n; i++) {
		const struct xn_retype *retype = &plan->update.retypes[i];

		now[i] = then[i] = retype->extent;
		then[i].type = retype->type;
		if (now[i].type > XN_RESERVED || retype->type != other_type(now[i].type) ||
		    retype->reserved)
			return refuse(plan->update.why, XN_ETYPE, now[i].start,
				      "only RESERVED and DATA turn into each other");
	}
	err = declared(plan, now, n, &plan->retyped[0], &blocks);
	return err ? err : declared(plan, then, n, &plan->retyped[1], &blocks);
}

/* Retypes of one object: what went is what came, under the other type. */
static int classify_retypes(struct plan *plan, struct change *change, struct udf_extents *came,
			    struct udf_extents *went)
{
	uint64_t disk = plan->xn->super.block_count;
	int err = 0;

	for (size_t i = 0; i < came->n && !err; i++) {
		struct udf_extent e = came->v[i];

		err = udf_extents_add(e.child == XN_DATA ? &change->fresh_data : &change->idle, e);
		came->v[i].child = other_type(e.child);
	}
	if (err)
		return -ENOMEM;
	if (udf_extents_normalise(came, disk) || udf_extents_normalise(went, disk) ||
	    !udf_extents_equal(came, went))
		return refuse(plan->update.why, XN_EOWNS, change->edits->object,
			      "the records retype other blocks than `retypes` declares");
	return 0;
}

/* What of a change was taken, given up, moved or retyped. */
static int classify(struct plan *plan, struct change *change)
{
	bool plain = plan->moved.n == 0 && plan->links.n == 0 && plan->unlinks.n == 0 &&
		     plan->update.n_retypes == 0;
	struct udf_extents rest = { 0 }, more = { 0 }, came = { 0 }, went = { 0 };
	int err;

	if (plain) {
		err = append(&change->taken, &change->added);
		return err ? err : append(&change->given, &change->removed);
	}
	err = part(&change->added, &plan->moved, &change->in, &rest);
	if (!err)
		err = part(&rest, &plan->retyped[1], &came, &more);
	if (!err)
		err = part(&more, &plan->links, &change->linked, &change->taken);
	rest.n = more.n = 0;
	if (!err)
		err = part(&change->removed, &plan->moved, &change->out, &rest);
	if (!err)
		err = part(&rest, &plan->retyped[0], &went, &more);
	if (!err)
		err = part(&more, &plan->unlinks, &change->unlinked, &change->given);
	if (!err)
		err = classify_retypes(plan, change, &came, &went);
	udf_extents_fini(&rest);
	udf_extents_fini(&more);
	udf_extents_fini(&came);
	udf_extents_fini(&went);
	return err;
}

uint64_t blocks_of(const struct udf_extents *list)
{
	uint64_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += list->v[i].count;
	return n;
}

/* Sum up what the changes say they took, or gave up, and compare. */
static int compare_declared(struct plan *plan, bool taken, const struct udf_extents *declaration,
			    const char *sentence)
{
	struct udf_extents sum = { 0 };
	int err = 0;

	if (plan->n_changes == 1) { /* its lists are normalised */
		const struct change *one = plan->changes;
		const struct udf_extents *list = taken ? &one->taken : &one->given;

		return udf_extents_equal(list, declaration)
			       ? 0
			       : refuse(plan->update.why, XN_EOWNS, list->n ? list->v[0].start : 0,
					"%s", sentence);
	}
	for (uint32_t i = 0; i < plan->n_changes && !err; i++)
		err = append(&sum, taken ? &plan->changes[i].taken : &plan->changes[i].given);
	if (!err && udf_extents_normalise(&sum, plan->xn->super.block_count))
		err = refuse(plan->update.why, XN_EOWNS, 0, "a block would be named twice");
	if (!err && !udf_extents_equal(&sum, declaration))
		err = refuse(plan->update.why, XN_EOWNS, sum.n ? sum.v[0].start : 0, "%s",
			     sentence);
	udf_extents_fini(&sum);
	return err;
}

static int gather_owned(struct plan *plan)
{
	uint64_t disk = plan->xn->super.block_count;
	struct udf_extents rest = { 0 };
	int err = 0;

	for (uint32_t i = 0; i < plan->n_changes && !err; i++) {
		struct change *change = &plan->changes[i];

		if (udf_extents_normalise(&change->added, disk) ||
		    udf_extents_normalise(&change->removed, disk))
			return refuse(plan->update.why, XN_EOWNS, change->edits->object,
				      "the records would name a block twice");
		err = append(&plan->added, &change->added);
		if (!err)
			err = append(&plan->removed, &change->removed);
	}
	if (err)
		return err;
	if (plan->n_changes > 1 && (udf_extents_normalise(&plan->added, disk) ||
				    udf_extents_normalise(&plan->removed, disk)))
		return refuse(plan->update.why, XN_EOWNS, 0, "two objects would name a block");
	if (plan->removed.n)
		err = part(&plan->added, &plan->removed, &plan->moved, &rest);
	udf_extents_fini(&rest);
	return err;
}

int plan_conserve(struct plan *plan)
{
	uint64_t freed;
	int err = gather_owned(plan);

	if (!err)
		err = declared(plan, plan->update.allocs, plan->update.n_allocs, &plan->allocs,
			       &plan->n_blocks);
	if (!err)
		err = declared(plan, plan->update.frees, plan->update.n_frees, &plan->frees,
			       &freed);
	if (!err)
		err = declared_retypes(plan);
	if (!err)
		err = links_declared(plan);
	for (uint32_t i = 0; i < plan->n_changes && !err; i++)
		err = classify(plan, &plan->changes[i]);
	if (!err)
		err = compare_declared(plan, true, &plan->allocs,
				       "the records take other blocks than `allocs` declares");
	if (!err)
		err = compare_declared(plan, false, &plan->frees,
				       "the records give up other blocks than `frees` declares");
	if (!err && plan->update.n_retypes) {
		uint64_t n = 0;

		for (uint32_t i = 0; i < plan->n_changes; i++)
			n += blocks_of(&plan->changes[i].fresh_data) +
			     blocks_of(&plan->changes[i].idle);
		if (n != blocks_of(&plan->retyped[0]))
			err = refuse(plan->update.why, XN_EOWNS, plan->retyped[0].v[0].start,
				     "the records retype other blocks than `retypes` declares");
	}
	return err;
}

bool extents_have(const struct udf_extents *list, xn_blk_t block)
{
	for (size_t i = 0; i < list->n; i++) {
		if (block >= list->v[i].start && block - list->v[i].start < list->v[i].count)
			return true;
	}
	return false;
}

/* The change that gives `block` up; NULL: none does. */
struct change *plan_giver(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (extents_have(&plan->changes[i].out, block))
			return &plan->changes[i];
	}
	return NULL;
}

/* The change that takes `block`; NULL: none does. */
struct change *plan_taker(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (extents_have(&plan->changes[i].added, block))
			return &plan->changes[i];
	}
	return NULL;
}

/* Who will own the entry when the update is done; a new object's entry is not there yet: NULL. */
struct change *plan_new_owner(const struct plan *plan, const struct entry *entry)
{
	return extents_have(&plan->moved, entry->start) ? plan_taker(plan, entry->start) : NULL;
}

/* Does the change's object hang, after the update, below `top`?  Or in a ring of moved ones? */
bool may_hang_below(struct plan *plan, const struct change *at, const struct entry *top)
{
	const struct entry *entry = at->fresh ? NULL : at->entry;
	uint64_t hops = blocks_of(&plan->moved) + plan->n_changes;

	for (;;) {
		const struct change *next =
			entry ? plan_new_owner(plan, entry) : plan_taker(plan, at->edits->object);

		if (entry && entry == top)
			return true;
		if (entry && owners_unknown(plan, entry))
			return type_leads_to(plan->xn, top->type, entry->type) != 0;
		if (!next) {
			assert(entry); /* plan_conserve() saw that somebody takes a new object */
			entry = entry->owner;
			if (!entry)
				return false;
			continue;
		}
		if (hops-- == 0)
			return true;
		at = next;
		entry = at->fresh ? NULL : at->entry;
	}
}

/* Objects that this change gained: known under who lost them, and not above themselves. */
static int moved_check(struct plan *plan, const struct change *change)
{
	for (size_t i = 0; i < change->in.n; i++) {
		const struct udf_extent *e = &change->in.v[i];
		const struct type *type = type_find(plan->xn, e->child);

		if (type && e->count % type->blocks)
			return refuse(plan->update.why, XN_ETYPE, e->start,
				      "no whole number of objects moves");
		for (uint64_t at = 0; type && at < e->count; at += type->blocks) {
			struct entry *entry = registry_find(&plan->xn->registry, e->start + at);
			struct change *giver = plan_giver(plan, e->start + at);

			if (!entry)
				continue;
			if (entry->type != type ||
			    (entry->owner != giver->entry && !type_is_counted(type))) {
				entry_damage(plan->xn, giver->entry);
				entry_damage(plan->xn, entry_claimant(entry));
				return refuse(plan->update.why, XN_EOBJDAMAGED, entry->start,
					      "the moved object is registered under another owner");
			}
			if (may_hang_below(plan, change, entry))
				return refuse(plan->update.why, XN_ECYCLE, entry->start,
					      "the object would hang below itself");
		}
	}
	return 0;
}

/* New objects that own each other in a ring would be conserved, and hang from no root. */
int plan_rings(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		const struct change *at = &plan->changes[i];

		for (uint32_t steps = 0; at && at->fresh; steps++) {
			if (steps == plan->n_changes)
				return refuse(plan->update.why, XN_EOWNS, at->edits->object,
					      "new objects would own each other");
			at = plan_taker(plan, at->edits->object);
		}
	}
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		int err = moved_check(plan, &plan->changes[i]);

		if (err)
			return err;
	}
	return 0;
}
