/* SPDX-License-Identifier: MIT */
/*
 * The check of an update: may it happen?
 *
 *  (1) The records whose `owns` is run follow from the bytes that change, never
 *      from what the caller says.
 *  (2) What changed hands is conserved (update_conserve.c), what is given up may go
 *      (update_free.c), and every allocated block is free.
 *  (3) On disk, sectors of an object may be mixed old and new.  What must not be
 *      seen mixed goes through the intent log (update_group.c).
 *  (4) A refused update leaves no trace.
 */
#include "update.h"

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

static int edits_check(struct plan *plan, const struct change *change)
{
	uint32_t end = 0;

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
		end = edit->offset + edit->len;
	}
	return 0;
}

const uint8_t *change_bytes(struct plan *plan, struct change *change)
{
	size_t size = (size_t)change->type->blocks * XN_BLOCK_SIZE;

	if (change->bytes)
		return change->bytes;
	change->bytes = arena_take(plan->arena, size);
	if (!change->bytes)
		return NULL;
	if (change->fresh)
		udf_template_init(change->type->tmpl, change->bytes);
	else
		memcpy(change->bytes, entry_bytes(change->entry), change->type->info->obj_size);
	for (uint32_t i = 0; i < change->n_edits; i++)
		memcpy(change->bytes + change->edits[i].offset, change->edits[i].bytes,
		       change->edits[i].len);
	return change->bytes;
}

/* Will somebody look at more than the records that the edits touch? */
static bool wants_whole(const struct change *change)
{
	const struct udf_info *info = change->type->info;

	return change->fresh || info->has[UDF_FN_ACL] || type_is_counted(change->type) ||
	       change->edits->offset < info->hdr_len;
}

/* The one time that the bytes of the edits are read: what is checked later is this copy. */
static int change_build(struct plan *plan, struct change *change, struct xn_edit *edits)
{
	int err = edits_check(plan, change);

	if (err)
		return err;
	if (wants_whole(change)) {
		if (!change_bytes(plan, change))
			return -ENOMEM;
		for (uint32_t i = 0; i < change->n_edits; i++)
			edits[i].bytes = change->bytes + edits[i].offset;
		return 0;
	}
	for (uint32_t i = 0; i < change->n_edits; i++) {
		void *copy = arena_take(plan->arena, edits[i].len);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, edits[i].bytes, edits[i].len);
		edits[i].bytes = copy;
	}
	return 0;
}

/* Sorted edits become one change per object. */
static int changes_gather(struct plan *plan)
{
	struct xn_edit *edits = (struct xn_edit *)(uintptr_t)plan->update.edits; /* our copy */

	for (uint32_t i = 0; i < plan->update.n_edits;) {
		struct change *change;
		uint32_t n = 1;
		int err = 0;

		if (plan->n_changes == XN_UPDATE_OBJECTS_MAX)
			return XN_ETOOBIG;
		change = &plan->changes[plan->n_changes];
		memset(change, 0, sizeof(*change));
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
			err = change_build(plan, change, &edits[i]);
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
	uint8_t *record; /* where a record is put together; NULL: not yet */
	uint32_t group;  /* sector of the records in it */
	bool by_sector;
};

/* A record as it will be; NULL: no memory. */
static const uint8_t *record_after(struct comparison *cmp, uint32_t from)
{
	struct change *change = cmp->change;
	uint32_t size = change->type->info->rec_size;

	if (change->bytes)
		return change->bytes + from;
	if (!cmp->record)
		cmp->record = arena_take(cmp->plan->arena, size);
	if (!cmp->record)
		return NULL;
	memcpy(cmp->record, entry_bytes(change->entry) + from, size);
	for (uint32_t i = 0; i < change->n_edits; i++) {
		const struct xn_edit *edit = &change->edits[i];
		uint32_t at = edit->offset > from ? edit->offset : from;
		uint32_t end = edit->offset + edit->len < from + size ? edit->offset + edit->len
								      : from + size;

		if (at < end)
			memcpy(cmp->record + (at - from),
			       (const uint8_t *)edit->bytes + (at - edit->offset), end - at);
	}
	return cmp->record;
}

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
	struct piece after = { .type = type, .record = record };
	int err = 0;

	if (cmp->by_sector && (from + info->rec_size - 1) / XN_SECTOR_SIZE != group)
		cmp->change->needs_log = true;
	if (cmp->by_sector && group != cmp->group)
		err = comparison_end(cmp);
	cmp->group = group;
	if (!err && !cmp->change->fresh)
		err = owns_record(plan->xn, type, cmp->change->edits->object,
				  entry_bytes(cmp->change->entry), record, &plan->budget,
				  &cmp->before, plan->update.why);
	if (err)
		return err;
	after.bytes = record_after(cmp, from);
	if (!after.bytes)
		return -ENOMEM;
	after.header = cmp->change->bytes ? cmp->change->bytes : entry_bytes(cmp->change->entry);
	return owns_piece(plan->xn, cmp->change->edits->object, &after, &plan->budget, &cmp->after,
			  plan->update.why);
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

/* ---- what is taken ---- */

/* The maps of all chunks that an extent touches must be here. */
int plan_maps_here(struct plan *plan, const struct udf_extent *e)
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
	const struct registry *registry = &plan->xn->registry;

	for (uint64_t b = e->start; b < e->start + e->count; b++) {
		struct entry *entry = registry_find(registry, b);

		if (!entry && b == e->start)
			entry = registry_across(registry, b, 1);
		if (!entry)
			continue;
		entry_damage(plan->xn, entry_claimant(entry));
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

		err = plan_maps_here(plan, e);
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
		int err = plan_maps_here(plan, e);

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
		int err = plan_maps_here(plan, &plan->moved.v[i]);

		if (err)
			return err;
	}
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
	plan->fresh = arena_take(plan->arena, n * sizeof(*plan->fresh));
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
		err = plan_conserve(plan);
	if (!err)
		err = plan_rings(plan);
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
		err = plan_frees(plan);
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
