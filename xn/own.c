/* SPDX-License-Identifier: MIT */
/*
 * Blocks of XN's own.
 *
 *  (1) Some lie at fixed places (xn_super_fixed), the others are the further blocks of the
 *      catalogues and the images of templates: own_next() tells these.
 *  (2) Nobody else has one, whatever the disk says: where its map calls one free, it is in
 *      use all the same, and an object that names one is damaged (own_blocks_meet).
 *  (3) New ones are in use on disk before anything names them.
 */
#include "internal.h"

/* ---- which they are ---- */

static bool next_of_catalogues(const struct xn *xn, struct own_next *at)
{
	for (; at->kind < XN_CAT_KINDS; at->kind++, at->i = 0) {
		const struct catalogue *cat = &xn->catalogue[at->kind];
		const struct xn_cat_link *link = &cat->links[1 + at->i / 2];

		if (1 + at->i / 2 >= cat->n_blocks)
			continue;
		at->start = at->i++ % 2 ? link->twin : link->self;
		at->count = 1;
		return true;
	}
	return false;
}

static bool image_of(const struct xn_template_entry *entry, struct own_next *at)
{
	at->start = entry->image_start;
	at->count = entry->image_blocks;
	return true;
}

bool own_next(const struct xn *xn, struct own_next *at)
{
	if (at->kind < XN_CAT_KINDS && next_of_catalogues(xn, at))
		return true;
	if (at->n_stray < xn->n_stray)
		return image_of(&xn->stray[at->n_stray++], at);
	while (at->n_types < xn->n_types) {
		const struct type *type = xn->types[at->n_types++];

		if (type)
			return image_of(&type->entry, at);
	}
	return false;
}

bool own_blocks_meet(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	struct own_next at = { 0 };

	if (xn_super_fixed(&xn->super, start, count))
		return true;
	while (own_next(xn, &at)) {
		if (at.start < start + count && start < at.start + at.count)
			return true;
	}
	return false;
}

/* The map of a chunk as it must be, at least; false: it was not. */
bool own_blocks_mark(const struct xn *xn, uint64_t chunk, uint8_t *bitmap)
{
	uint64_t first = chunk * XN_CHUNK_BLOCKS;
	uint8_t own[XN_MAP_CHUNK_BYTES];
	struct own_next at = { 0 };
	bool shown = true;

	xn_map_fresh(&xn->super, chunk, own);
	while (own_next(xn, &at)) {
		for (uint64_t b = at.start; b < at.start + at.count; b++) {
			if (b >= first && b - first < XN_CHUNK_BLOCKS)
				own[(b - first) / 8] |= (uint8_t)(1u << (b - first) % 8);
		}
	}
	for (uint32_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
		shown &= !(own[i] & ~bitmap[i]);
		bitmap[i] |= own[i];
	}
	return shown;
}

/* ---- changes; called with the admin lock, without the lock ---- */

/* Blocks that XN owns itself; in use on disk when this returns. */
int take_own_blocks(struct xn *xn, xn_blk_t near, uint64_t count, xn_blk_t *start)
{
	struct xn_extent found;
	int err;

	pthread_mutex_lock(&xn->lock);
	err = freemap_find(xn, near, count, 1, &found);
	if (!err && found.count < count)
		err = freemap_find(xn, 0, count, 1, &found);
	if (!err && (found.count < count || claims_room(xn) < count))
		err = XN_ENOSPACE;
	if (!err) {
		freemap_take(xn, found.start, count, false);
		*start = found.start;
	}
	pthread_mutex_unlock(&xn->lock);
	if (err)
		return err;
	err = flush_claims(xn);
	if (err)
		give_own_blocks(xn, *start, count);
	return err;
}

/* Blocks that nothing on disk names.  Without their maps they stay in use until reclaimed. */
void give_own_blocks(struct xn *xn, xn_blk_t start, uint64_t count)
{
	int err = xn->broken;

	pthread_mutex_lock(&xn->lock);
	for (uint64_t c = start / XN_CHUNK_BLOCKS; c <= (start + count - 1) / XN_CHUNK_BLOCKS; c++)
		err = err ? err : freemap_load(xn, c);
	if (err)
		xn->doubtful = true;
	else
		freemap_give(xn, start, count);
	pthread_mutex_unlock(&xn->lock);
}

/*
 * A sector that names blocks failed to be written, so it may or may not name them.
 * They stay in use, and the disk is not left clean: the next opening looks.
 */
int own_blocks_doubtful(struct xn *xn, int err)
{
	pthread_mutex_lock(&xn->lock);
	xn->doubtful = true;
	pthread_mutex_unlock(&xn->lock);
	return err;
}
