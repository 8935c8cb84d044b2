/* SPDX-License-Identifier: MIT */
/*
 * The check of an update: may it happen?
 *
 *  (1) The records whose `owns` is run follow from the bytes that change, never
 *      from what the caller says.
 *  (2) owned(after) = owned(before) + allocs - frees, as sets of typed blocks,
 *      over all objects of the update; RESERVED and DATA turn into each other as
 *      `retypes` says, inside one object.
 *  (3) Every allocated block is free; every freed object owns nothing, or the
 *      caller asked for XN_REAP.
 *  (4) On disk, sectors of an object may be mixed old and new.  What must not be
 *      seen mixed goes through the intent log (update_group.c).
 *  (5) A new or moved object's owners lead to a root: trees only, never a ring that
 *      no root holds.
 *  (6) A refused update leaves no trace.
 */
#include "update.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the objects ---- */

static int expects_check(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->update.n_expects; i++) {
		const struct xn_expect *expect = &plan->update.expects[i];
		struct entry *entry = registry_find(&plan->xn->registry, expect->object);

		if (!entry || !session_holds(plan->session, entry, XN_READ))
			return refuse(plan->update.why, XN_ENOTBOUND, expect->object,
				      "an expected object is not bound by this session");
		if (entry->version == expect->version)
			continue;
		refuse(plan->update.why, XN_ECHANGED, expect->object,
		       "the object changed since that version");
		if (plan->update.why)
			plan->update.why->value = entry->version;
		return XN_ECHANGED;
	}
	return 0;
}

/* Is `block` the first of an object that this update allocates? */
static struct type *allocated_type(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->update.n_allocs; i++) {
		const struct xn_extent *extent = &plan->update.allocs[i];
		struct type *type = type_find(plan->xn, extent->type);

		if (type && block >= extent->start && block < extent->start + extent->count)
			return (block - extent->start) % type->blocks == 0 ? type : NULL;
	}
	return NULL;
}

/* Told only to a session that may know it: of its own allocs, and of data that it reaches. */
static bool names_no_object(const struct plan *plan, const struct entry *entry, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->update.n_allocs && !entry; i++) {
		const struct xn_extent *extent = &plan->update.allocs[i];

		if (block >= extent->start && block - extent->start < extent->count)
			return true;
	}
	return entry && !entry->type && session_holds(plan->session, entry->owner, XN_READ);
}

static int change_existing(struct plan *plan, struct change *change, xn_blk_t object)
{
	struct entry *entry = registry_find(&plan->xn->registry, object);

	if (names_no_object(plan, entry, object))
		return refuse(plan->update.why, XN_ENOTOBJECT, object,
			      "the block is data, or the inside of a new object");
	if (!entry || !session_holds(plan->session, entry, XN_WRITE))
		return refuse(plan->update.why, XN_ENOTBOUND, object,
			      "the object is not bound for writing by this session");
	if (!(entry->flags & E_CACHED))
		return refuse(plan->update.why, XN_ENOTCACHED, object,
			      "the object's bytes are not read in");
	if ((entry->flags & E_DAMAGED) || entry->root->damaged)
		return refuse(plan->update.why, XN_EOBJDAMAGED, object,
			      "the object is damaged and read-only");
	if (plan->root && plan->root != entry->root)
		return refuse(plan->update.why, -EINVAL, object,
			      "one update changes objects of one root");
	plan->root = entry->root;
	change->entry = entry;
	change->type = entry->type;
	return 0;
}

/* Copy the object and apply its edits; this is the only time their bytes are read. */
static int change_build(struct plan *plan, struct change *change)
{
	uint32_t end = 0;

	change->bytes = malloc((size_t)change->type->blocks * XN_BLOCK_SIZE);
	if (!change->bytes)
		return -ENOMEM;
	if (change->fresh)
		udf_template_init(change->type->tmpl, change->bytes);
	else
		memcpy(change->bytes, entry_bytes(change->entry), change->type->info->obj_size);
	for (uint32_t i = 0; i < change->n_edits; i++) {
		const struct xn_edit *edit = &change->edits[i];

		if (edit->len == 0 || edit->offset > change->type->info->obj_size ||
		    edit->len > change->type->info->obj_size - edit->offset)
			return refuse(plan->update.why, -ERANGE, edit->object,
				      "an edit of %u bytes at %u lies outside the object",
				      edit->len, edit->offset);
		if (i > 0 && edit->offset < end)
			return refuse(plan->update.why, XN_EOVERLAP, edit->object,
				      "two edits of the object overlap");
		if (!edit->bytes)
			return -EINVAL;
		memcpy(change->bytes + edit->offset, edit->bytes, edit->len);
		end = edit->offset + edit->len;
	}
	return 0;
}

/* Sorted edits become one change per object. */
static int changes_gather(struct plan *plan)
{
	const struct xn_edit *edits = plan->update.edits;

	for (uint32_t i = 0; i < plan->update.n_edits;) {
		struct change *change;
		uint32_t n = 1;
		int err = 0;

		if (plan->n_changes == XN_UPDATE_OBJECTS_MAX)
			return XN_ETOOBIG;
		change = &plan->changes[plan->n_changes];
		while (i + n < plan->update.n_edits && edits[i + n].object == edits[i].object)
			n++;
		change->edits = &edits[i];
		change->n_edits = n;
		plan->n_changes++;
		change->type = allocated_type(plan, edits[i].object);
		change->fresh = change->type != NULL;
		if (!change->fresh)
			err = change_existing(plan, change, edits[i].object);
		if (!err)
			err = change_build(plan, change);
		if (err)
			return err;
		i += n;
	}
	if (plan->n_changes == 0)
		return refuse(plan->update.why, -EINVAL, 0, "the update changes no object");
	if (!plan->root)
		return refuse(plan->update.why, XN_EOWNS, 0,
			      "nothing that exists would own the new objects");
	return 0;
}

/* ---- what the records own, before and after ---- */

/* Runs of `owns` whose results may mix on disk only as a whole. */
struct comparison {
	struct plan *plan;
	struct change *change;
	struct udf_extents before, after;
	uint32_t group; /* sector of the records in it */
	bool by_sector;
};

static int comparison_end(struct comparison *cmp)
{
	int err = udf_extents_diff(&cmp->before, &cmp->after, cmp->plan->xn->super.block_count,
				   &cmp->change->added, &cmp->change->removed);

	cmp->before.n = cmp->after.n = 0;
	if (err == UDF_EOVERLAP)
		return refuse(cmp->plan->update.why, XN_EOWNS, cmp->change->edits->object,
			      "the records would name a block twice");
	if (err == UDF_ENOMEM)
		return -ENOMEM;
	return err ? refuse(cmp->plan->update.why, -ERANGE, cmp->change->edits->object,
			    "a record names an impossible extent")
		   : 0;
}

static int compare_record(struct comparison *cmp, uint32_t record)
{
	struct plan *plan = cmp->plan;
	const struct type *type = cmp->change->type;
	const struct udf_info *info = type->info;
	uint32_t from = info->rec_off + record * info->rec_size;
	uint32_t group = from / XN_SECTOR_SIZE;
	int err = 0;

	if (cmp->by_sector && (from + info->rec_size - 1) / XN_SECTOR_SIZE != group)
		cmp->change->needs_log = true;
	if (cmp->by_sector && group != cmp->group)
		err = comparison_end(cmp);
	cmp->group = group;
	if (!err && !cmp->change->fresh)
		err = owns_record(plan->xn, type, entry_bytes(cmp->change->entry), record,
				  &plan->budget, &cmp->before, plan->update.why);
	if (!err)
		err = owns_record(plan->xn, type, cmp->change->bytes, record, &plan->budget,
				  &cmp->after, plan->update.why);
	return err;
}

/* Compare the records that one edit touches, from `next` on; returns the first untouched one. */
static int compare_edit(struct comparison *cmp, const struct xn_edit *edit, uint32_t *next)
{
	const struct udf_info *info = cmp->change->type->info;
	uint32_t first = 0, end = info->rec_count;
	int err = 0;

	if (edit->offset >= info->hdr_len) {
		uint32_t records_end = info->rec_off + info->rec_size * info->rec_count;

		if (edit->offset >= records_end || edit->offset + edit->len <= info->rec_off)
			return 0; /* raw bytes */
		first = edit->offset > info->rec_off
				? (edit->offset - info->rec_off) / info->rec_size
				: 0;
		end = (edit->offset + edit->len - info->rec_off + info->rec_size - 1) /
		      info->rec_size;
	} else if (cmp->by_sector && info->obj_size > XN_SECTOR_SIZE) {
		cmp->change->needs_log = true;
	}
	if (end > info->rec_count)
		end = info->rec_count;
	if (first < *next)
		first = *next;
	for (; first < end && !err; first++)
		err = compare_record(cmp, first);
	if (end > *next)
		*next = end;
	return err;
}

static int change_compare(struct plan *plan, struct change *change)
{
	struct comparison cmp = { .plan = plan, .change = change, .group = UINT32_MAX };
	uint32_t next = 0;
	int err = 0;

	if (!change->type->info->has[UDF_FN_OWNS])
		return 0;
	/* An object that no disk names yet may be written in pieces: no mixture can be met. */
	cmp.by_sector = !change->fresh &&
			((change->entry->flags & E_SOUND) || order_reachable(change->entry));
	for (uint32_t i = 0; i < change->n_edits && !err; i++)
		err = compare_edit(&cmp, &change->edits[i], &next);
	if (!err)
		err = comparison_end(&cmp);
	udf_extents_fini(&cmp.before);
	udf_extents_fini(&cmp.after);
	return err;
}

/* ---- conservation ---- */

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
	for (uint32_t i = 0; i < plan->update.n_retypes; i++) {
		const struct xn_retype *retype = &plan->update.retypes[i];
		struct xn_extent e = retype->extent;
		uint64_t blocks;
		int err;

		if (e.type > XN_RESERVED || retype->type != other_type(e.type) || retype->reserved)
			return refuse(plan->update.why, XN_ETYPE, e.start,
				      "only RESERVED and DATA turn into each other");
		err = declared(plan, &e, 1, &plan->retyped[0], &blocks);
		e.type = retype->type;
		if (!err)
			err = declared(plan, &e, 1, &plan->retyped[1], &blocks);
		if (err)
			return err;
	}
	return 0;
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
	struct udf_extents rest = { 0 }, more = { 0 }, came = { 0 }, went = { 0 };
	int err = part(&change->added, &plan->moved, &change->in, &rest);

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

static uint64_t blocks_of(const struct udf_extents *list)
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
	if (udf_extents_normalise(&plan->added, disk) ||
	    udf_extents_normalise(&plan->removed, disk))
		return refuse(plan->update.why, XN_EOWNS, 0, "two objects would name a block");
	if (plan->removed.n)
		err = part(&plan->added, &plan->removed, &plan->moved, &rest);
	udf_extents_fini(&rest);
	return err;
}

static int conserve(struct plan *plan)
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

static bool list_has(const struct udf_extents *list, xn_blk_t block)
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
		if (list_has(&plan->changes[i].out, block))
			return &plan->changes[i];
	}
	return NULL;
}

/* The change that takes `block`; NULL: none does. */
struct change *plan_taker(const struct plan *plan, xn_blk_t block)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (list_has(&plan->changes[i].added, block))
			return &plan->changes[i];
	}
	return NULL;
}

/* Who will own the entry when the update is done; a new object's entry is not there yet: NULL. */
struct change *plan_new_owner(const struct plan *plan, const struct entry *entry)
{
	return list_has(&plan->moved, entry->start) ? plan_taker(plan, entry->start) : NULL;
}

/* Whose word it is that the block is what it is known as: a root's object has its own. */
static struct entry *claimant_of(struct entry *entry)
{
	return entry->owner ? entry->owner : entry;
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
			return type_leads_to(plan->xn, top->type, entry->type);
		if (!next) {
			assert(entry); /* conserve() saw that somebody takes a new object */
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
				entry_damage(plan->xn, claimant_of(entry));
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
static int rings_check(struct plan *plan)
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

/* ---- what is taken ---- */

/* The maps of all chunks that an extent touches must be here. */
static int maps_check(struct plan *plan, const struct udf_extent *e)
{
	for (uint64_t c = e->start / XN_CHUNK_BLOCKS;
	     c <= (e->start + e->count - 1) / XN_CHUNK_BLOCKS; c++) {
		if (freemap_chunk(plan->xn, c))
			continue;
		plan->need_map = true;
		plan->need_chunk = c;
		return XN_ENOTCACHED;
	}
	return 0;
}

/* A free block that is known under an owner: the disk lies, and that owner is not believed. */
static int unregistered_check(struct plan *plan, const struct udf_extent *e)
{
	for (uint64_t b = e->start; b < e->start + e->count; b++) {
		struct entry *entry = registry_find(&plan->xn->registry, b);

		if (!entry)
			continue;
		entry_damage(plan->xn, claimant_of(entry));
		return refuse(plan->update.why, XN_ENOTFREE, b,
			      "the map says free, but an object names it");
	}
	return 0;
}

static int allocs_check(struct plan *plan)
{
	struct xn *xn = plan->xn;
	int err;

	for (size_t i = 0; i < plan->allocs.n; i++) {
		const struct udf_extent *e = &plan->allocs.v[i];

		err = maps_check(plan, e);
		if (!err)
			err = freemap_check_free(xn, e->start, e->count);
		if (err)
			return refuse(plan->update.why, err, e->start, "%s", xn_strerror(err));
		err = unregistered_check(plan, e);
		if (err)
			return err;
	}
	err = claims_check(plan->session, plan->root, plan->n_blocks,
			   plan->update.flags & XN_FREEING, plan->update.why);
	if (err)
		return err;
	for (size_t i = 0; i < plan->allocs.n; i++) {
		const struct udf_extent *e = &plan->allocs.v[i];

		if (e->child == XN_DATA && freemap_prepare_unwritten(xn, e->start, e->count))
			return -ENOMEM;
	}
	return 0;
}

/* Blocks that become DATA are unwritten from then on. */
static int retypes_check(struct plan *plan)
{
	for (size_t i = 0; i < plan->retyped[0].n; i++) {
		const struct udf_extent *e = &plan->retyped[0].v[i];
		int err = maps_check(plan, e);

		if (err)
			return err;
		if (e->child == XN_RESERVED &&
		    freemap_prepare_unwritten(plan->xn, e->start, e->count))
			return -ENOMEM;
	}
	return 0;
}

/* Moved data may be unwritten or not; its maps must be here to tell. */
static int moves_check(struct plan *plan)
{
	for (size_t i = 0; i < plan->moved.n; i++) {
		int err = maps_check(plan, &plan->moved.v[i]);

		if (err)
			return err;
	}
	return 0;
}

/* ---- what is given up ---- */

bool child_is_unsound(struct xn *xn, xn_blk_t block)
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

static const struct change *change_of(const struct plan *plan, const struct entry *entry)
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
	const struct change *change = change_of(plan, freed->entry);
	const uint8_t *bytes = change ? change->bytes : NULL;
	/* With XN_REAP, too costly to look is as good as not empty: that has its own purse. */
	bool reap = plan->update.flags & XN_REAP;
	struct udf_budget *budget = reap ? &plan->reap_budget : &plan->budget;
	struct udf_extents owned = { 0 };
	bool empty;
	int err;

	if (!bytes && !(freed->entry->flags & E_CACHED))
		return XN_ENOTCACHED;
	if (!bytes)
		bytes = entry_bytes(freed->entry);
	err = owns_object(plan->xn, freed->type, bytes, budget, &owned, plan->update.why);
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
		size_t cap = plan->freed_cap ? plan->freed_cap * 2 : 8;
		struct freed *grown = realloc(plan->freed, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		plan->freed = grown;
		plan->freed_cap = cap;
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
		entry_damage(plan->xn, claimant_of(freed->entry));
		return refuse(plan->update.why, XN_EOBJDAMAGED, start,
			      "the freed object is registered under another owner");
	}
	err = freed->entry ? owns_nothing(plan, freed) : XN_ENOTCACHED;
	if ((err == XN_ENOTEMPTY || err == XN_ENOTCACHED || err == XN_EFUEL) &&
	    (plan->update.flags & XN_REAP) && !type_leads_to(plan->xn, type, NULL)) {
		freed->reap = true;
		err = 0;
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

static int removed_check(struct plan *plan, struct entry *owner, const struct udf_extent *e)
{
	struct type *type = type_find(plan->xn, e->child);
	int err = maps_check(plan, e);

	if (err)
		return err;
	for (uint64_t b = e->start; b < e->start + e->count; b++) {
		if (freemap_in_use(plan->xn, b))
			continue;
		entry_damage(plan->xn, owner);
		return refuse(plan->update.why, XN_EOBJDAMAGED, b,
			      "a block that is free was owned");
	}
	if (!type) {
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
	if (change->out.n || frozen_waits_for(plan->xn, &change->given))
		freeze_drop(change->entry);
}

static int frees_check(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++)
		frozen_check(plan, &plan->changes[i]);
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		struct change *change = &plan->changes[i];

		for (size_t k = 0; k < change->given.n; k++) {
			int err = removed_check(plan, change->entry, &change->given.v[k]);

			if (err)
				return err;
		}
	}
	if (!pending_bears(plan))
		return refuse(plan->update.why, XN_EALLOWANCE, 0,
			      "too many subtrees of user %u wait to be reaped",
			      plan->root->entry.uid);
	if (plan->n_freed > 1)
		qsort(plan->freed, plan->n_freed, sizeof(*plan->freed), by_depth);
	return 0;
}

/* ---- new objects ---- */

/* Entries and frames for them, in the table but owned by nobody: the commit's last memory. */
static int fresh_reserve(struct plan *plan)
{
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < plan->allocs.n; i++) {
		const struct type *type = type_find(plan->xn, plan->allocs.v[i].child);

		n += type ? plan->allocs.v[i].count / type->blocks : 0;
	}
	if (n == 0)
		return 0;
	plan->fresh = calloc(n, sizeof(*plan->fresh));
	if (!plan->fresh)
		return -ENOMEM;
	for (size_t i = 0; i < plan->allocs.n && !err; i++) {
		const struct udf_extent *e = &plan->allocs.v[i];
		struct type *type = type_find(plan->xn, e->child);

		for (uint64_t at = 0; type && at < e->count && !err; at += type->blocks) {
			struct entry *entry =
				registry_add(plan->xn, e->start + at, type, plan->root, NULL);

			if (!entry)
				return -ENOMEM;
			plan->fresh[plan->n_fresh++] = entry;
			entry->pins++;
			err = entry_frame(plan->xn, entry);
		}
	}
	for (uint32_t i = 0; i < plan->n_changes && !err; i++) {
		struct change *change = &plan->changes[i];

		if (!change->fresh)
			continue;
		change->entry = registry_find(&plan->xn->registry, change->edits->object);
		if (!change->entry || change->entry->type != change->type)
			return refuse(plan->update.why, XN_ENOTOBJECT, change->edits->object,
				      "an edit names the inside of a new object");
	}
	return err;
}

static void fresh_release(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_fresh; i++) {
		plan->fresh[i]->pins--;
		registry_drop(plan->xn, plan->fresh[i]);
	}
	plan->n_fresh = 0;
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (plan->changes[i].fresh)
			plan->changes[i].entry = NULL;
	}
}

/* Make room may evict, never an object of this update. */
static void change_pin(struct plan *plan, struct entry *entry, int by)
{
	if (!entry)
		return;
	entry->pins += (uint32_t)by;
	entry_settle(plan->xn, entry);
}

static void changes_pin(struct plan *plan, int by)
{
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		if (!plan->changes[i].fresh)
			change_pin(plan, plan->changes[i].entry, by);
	}
	for (size_t i = 0; i < plan->n_freed; i++)
		change_pin(plan, plan->freed[i].entry, by);
}

/*
 * New objects, and those that were clean, will have to stay in the cache.  What takes
 * no blocks is never refused for that: a full disk, and a full cache, can be emptied.
 */
static int share_of_plan(struct plan *plan)
{
	struct account *account = &plan->root->account;
	uint64_t more = 0, fresh = 0;

	for (size_t i = 0; i < plan->allocs.n; i++)
		fresh += type_find(plan->xn, plan->allocs.v[i].child) ? plan->allocs.v[i].count : 0;
	for (uint32_t i = 0; i < plan->n_changes; i++) {
		const struct entry *entry = plan->changes[i].entry;

		if (!plan->changes[i].fresh && entry->account != account)
			more += entry->blocks;
	}
	return plan->n_blocks ? share_check(plan->xn, account, more + fresh, fresh, false) : 0;
}

int plan_check(struct plan *plan)
{
	int err = expects_check(plan);

	if (!err)
		err = changes_gather(plan);
	for (uint32_t i = 0; i < plan->n_changes && !err; i++)
		err = change_compare(plan, &plan->changes[i]);
	if (!err)
		err = conserve(plan);
	if (!err)
		err = rings_check(plan);
	if (!err)
		err = counts_check(plan);
	if (!err)
		err = plan_acl_check(plan);
	if (!err)
		err = allocs_check(plan);
	if (!err)
		err = retypes_check(plan);
	if (!err)
		err = moves_check(plan);
	if (!err)
		err = frees_check(plan);
	if (!err)
		err = plan_joins(plan);
	if (err)
		return err;
	err = share_of_plan(plan);
	if (err)
		return refuse(plan->update.why, err, 0, "%s", xn_strerror(err));
	changes_pin(plan, 1);
	err = fresh_reserve(plan);
	changes_pin(plan, -1);
	if (err)
		fresh_release(plan);
	return err;
}
