/* SPDX-License-Identifier: MIT */
/*
 * After an unclean stop: the free map is built anew from what the roots own.
 *
 *  (1) Everything reachable on disk is sound, so the walk meets only blocks that
 *      were written, each under one owner; anything else is damage.
 *  (2) Damage never frees: if one object cannot be walked, every block that the
 *      old map showed in use stays so.
 *  (3) Of a block with two owners, both owners become read-only.
 *  (4) XN's own blocks (superblocks, maps, catalogues, images, log) are marked
 *      before anything that a root claims.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct recovery {
	struct xn *xn;
	bool blind;                          /* something could not be walked */
	struct xn_extent twice[DAMAGED_MAX]; /* extents met under a second owner */
	size_t n_twice;
	bool twice_full;
};

static int mark_loaded(struct xn *xn, xn_blk_t start, uint64_t count, bool *all_new)
{
	for (uint64_t c = start / XN_CHUNK_BLOCKS; c <= (start + count - 1) / XN_CHUNK_BLOCKS;
	     c++) {
		int err = freemap_load(xn, c);

		if (err)
			return err;
	}
	*all_new = freemap_rebuild_mark(xn, start, count);
	return 0;
}

/* Blocks that belong to XN itself and are not at fixed places. */
static int mark_own(struct xn *xn)
{
	bool all_new;
	int err = 0;

	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		const struct catalogue *cat = &xn->catalogue[kind];

		for (uint64_t i = 1; i < cat->n_blocks && !err; i++) {
			err = mark_loaded(xn, cat->links[i].self, 1, &all_new);
			if (!err)
				err = mark_loaded(xn, cat->links[i].twin, 1, &all_new);
		}
	}
	for (size_t i = 0; i < xn->n_stray && !err; i++) {
		const struct xn_template_entry *entry = &xn->stray[i];

		if (disk_holds(xn, entry->image_start, entry->image_blocks))
			err = mark_loaded(xn, entry->image_start, entry->image_blocks, &all_new);
	}
	for (size_t i = 0; i < xn->n_types && !err; i++) {
		const struct type *type = xn->types[i];

		if (type)
			err = mark_loaded(xn, type->entry.image_start, type->entry.image_blocks,
					  &all_new);
	}
	return err;
}

static int recover_item(struct recovery *rec, const struct xn_walk_item *item)
{
	struct xn *xn = rec->xn;
	bool all_new = true;
	int err;

	if (item->error && item->record == NO_RECORD && item->depth + item->owner > 0) {
		/* An object that cannot be walked: what it owns is not known. */
		rec->blind = true;
		damaged_add(xn, item->owner ? item->owner : item->extent.start);
		return 0;
	}
	err = mark_loaded(xn, item->extent.start, item->extent.count, &all_new);
	if (err)
		return err;
	root_by_id(xn, item->root)->used += item->extent.count;
	if (all_new && !item->error)
		return 0;
	rec->blind = true;
	if (rec->n_twice < DAMAGED_MAX)
		rec->twice[rec->n_twice++] = item->extent;
	else
		rec->twice_full = true;
	return 0;
}

static int walk_all(struct recovery *rec)
{
	struct xn_walker *walker;
	struct xn_walk_item item;
	int result = walker_init(rec->xn, 0, &walker);

	if (result)
		return result;
	while ((result = walker_next_locked(walker, &item)) == 1) {
		result = recover_item(rec, &item);
		if (result)
			break;
	}
	xn_walker_destroy(walker);
	return result;
}

/* Every owner of a block that has two. */
static int blame(struct recovery *rec)
{
	struct xn *xn = rec->xn;
	struct xn_walker *walker;
	struct xn_walk_item item;
	int result = walker_init(xn, 0, &walker);

	if (result)
		return result;
	while ((result = walker_next_locked(walker, &item)) == 1) {
		for (size_t i = 0; i < rec->n_twice; i++) {
			const struct xn_extent *t = &rec->twice[i];

			if (t->start < item.extent.start + item.extent.count &&
			    item.extent.start < t->start + t->count)
				damaged_add(xn, item.owner ? item.owner : item.extent.start);
		}
		if (rec->twice_full)
			root_by_id(xn, item.root)->damaged = true;
	}
	xn_walker_destroy(walker);
	return result;
}

int recover(struct xn *xn)
{
	struct recovery *rec = calloc(1, sizeof(*rec));
	int err = rec ? 0 : -ENOMEM;

	if (err)
		return err;
	rec->xn = xn;
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->entry.state == XN_ENTRY_USED && !xn->roots[i]->present)
			rec->blind = true; /* its blocks cannot be told from free ones */
		xn->roots[i]->used = 0;
		xn->roots[i]->entry_changed = true;
	}
	rec->blind |= xn->damaged;
	err = freemap_rebuild_begin(xn);
	xn->damaged = rec->blind; /* a damaged map is about to be replaced */
	if (!err)
		err = mark_own(xn);
	if (!err)
		err = walk_all(rec);
	if (!err && rec->n_twice)
		err = blame(rec);
	if (!err) {
		freemap_rebuild_end(xn, rec->blind);
		xn->damaged |= rec->blind;
	}
	free(rec);
	return err;
}

/* ---- a dead session's unwritten blocks ---- */

/* Zero some unwritten data blocks of one object; returns how many, or a negative error. */
static int zero_object(struct xn *xn, struct entry *owner, uint32_t max)
{
	struct udf_extents owned = { 0 };
	uint32_t n = 0;
	int err = owns_object(xn, owner->type, entry_bytes(owner), NULL, &owned, NULL);

	for (size_t i = 0; i < owned.n && !err; i++) {
		const struct udf_extent *e = &owned.v[i];

		for (uint64_t b = e->start; b < e->start + e->count && n < max && !err; b++) {
			struct entry *page;

			if (e->child != XN_DATA || !freemap_unwritten(xn, b))
				continue;
			page = registry_add(xn, b, NULL, owner->root, owner);
			if (!page)
				err = -ENOMEM;
			else
				err = entry_frame(xn, page);
			if (err && page)
				registry_drop(xn, page);
			if (err)
				break;
			freemap_written(xn, b);
			page->flags = (page->flags | E_CACHED) & ~(uint32_t)(E_SOUND | E_REACH);
			page->issued_version = page->written_version = page->stable_version = 0;
			memset(entry_bytes(page), 0, XN_BLOCK_SIZE);
			entry_changed(page, 0, XN_BLOCK_SIZE);
			entry_set_dirty(xn, page);
			n++;
		}
	}
	udf_extents_fini(&owned);
	if (err == XN_ECACHEFULL && n > 0)
		err = 0;
	return err ? err : (int)n;
}

/* Objects that name something unsound, pinned.  An object need not be dirty to be one. */
static int unsound_objects(struct xn *xn, struct entry ***out, size_t *count)
{
	struct registry *registry = &xn->registry;
	struct entry **list = calloc(registry->n_entries + 1, sizeof(struct entry *));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < registry->n_buckets; i++) {
		struct entry *entry = registry->buckets[i];

		for (; entry; entry = entry->hash_next) {
			if (!entry->type || entry->unsound == 0 || order_reaped(entry))
				continue;
			entry->pins++;
			list[n++] = entry;
		}
	}
	*out = list;
	*count = n;
	return 0;
}

#define ZERO_MAX 4096 /* then let the caller write these back first */

/*
 * Give every block that was allocated and never written a content, zeroes, so
 * that what names it can be written.  Returns how many, or a negative error.
 */
int zero_unwritten(struct xn *xn)
{
	struct entry **objects;
	size_t count;
	int total = 0;
	int err = unsound_objects(xn, &objects, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		int n = 0;

		if (!err && total < ZERO_MAX)
			n = zero_object(xn, objects[i], (uint32_t)(ZERO_MAX - total));
		if (n < 0)
			err = n;
		else
			total += n;
		objects[i]->pins--;
	}
	free(objects);
	return err && !(err == XN_ECACHEFULL && total > 0) ? err : total;
}
