/* SPDX-License-Identifier: MIT */
/*
 * Who owns a block.  See owner.h.
 *
 *  (1) The image stays open through XN, so its lock is held; XN's own structures
 *      are read beside it, from a device opened for reading only.
 */
#include "owner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct search {
	struct image *image;
	xn_blk_t block;
	struct owner *owner;
};

/* ---- what XN keeps for itself ---- */

enum owner_kind owner_kind_of(enum place_kind kind)
{
	switch (kind) {
	case PLACE_SUPERBLOCK: return OWNER_SUPERBLOCK;
	case PLACE_CATALOGUE: return OWNER_CATALOGUE;
	case PLACE_LOG: return OWNER_LOG;
	case PLACE_TEMPLATE: return OWNER_TEMPLATE;
	}
	return OWNER_NOBODY;
}

static bool in_places(const struct search *search, const struct own_places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct own_place *place = &places->place[i];

		if (search->block < place->start || search->block - place->start >= place->count)
			continue;
		search->owner->kind = owner_kind_of(place->kind);
		search->owner->index = place->index;
		search->owner->catalogue = place->catalogue;
		search->owner->is_twin = place->is_twin;
		return true;
	}
	return false;
}

/* 1: XN's own; 0: not. */
static int in_xn(struct search *search)
{
	uint64_t chunk = search->block / XN_CHUNK_BLOCKS;
	struct own_places places;
	int err = own_places_read(search->image, &places);
	bool known = places.super.block_count != 0;

	if (known && search->block >= places.super.block_count) {
		err = -ERANGE;
	} else if (known && search->block == xn_map_block(chunk)) {
		search->owner->kind = OWNER_MAP;
		search->owner->index = chunk;
		err = 1;
	} else if (in_places(search, &places)) {
		err = 1;
	}
	own_places_fini(&places);
	return err;
}

/* ---- what the roots own ---- */

/* The items that lead to where the walker is, by depth. */
struct trail {
	struct xn_walk_item *item;
	unsigned count;
};

static bool holds(const struct xn_walk_item *item, xn_blk_t block)
{
	return block >= item->extent.start && block - item->extent.start < item->extent.count;
}

/* Walk until an item holds `block`.  1: found, at trail->item[trail->count - 1]; 0: nowhere. */
static int walk_to(struct search *search, uint32_t root, xn_blk_t block, struct trail *trail)
{
	struct xn_walk_item item;
	struct xn_walker *walker;
	int got = xn_walker_create(image_session(search->image), root, &walker);

	if (got)
		return got;
	while ((got = xn_walker_next(walker, &item)) == 1) {
		/* An object that cannot be read shows itself once more; it tells nothing new. */
		if (item.error)
			continue;
		if (item.depth >= OWNER_CHAIN_MAX) {
			got = -E2BIG;
			break;
		}
		trail->item[item.depth] = item;
		trail->count = item.depth + 1;
		if (holds(&item, block))
			break;
	}
	xn_walker_destroy(walker);
	return got;
}

/*
 * The walker goes down before it goes on, so what it last said of each depth is
 * normally the chain; where it is not, the owner is looked for by itself.
 */
static int complete_chain(struct search *search, struct owner *owner, struct trail *trail)
{
	for (unsigned i = owner->depth - 1; i-- > 0;) {
		xn_blk_t wanted = owner->chain[i + 1].owner;
		int got = 1;

		if (!holds(&trail->item[i], wanted))
			got = walk_to(search, owner->root, wanted, trail);
		if (got != 1)
			return got ? got : XN_EDAMAGED;
		owner->chain[i] = trail->item[i];
	}
	return 0;
}

static int in_roots(struct search *search)
{
	struct owner *owner = search->owner;
	struct trail trail = { .item = calloc(OWNER_CHAIN_MAX, sizeof(*trail.item)) };
	int err;

	if (!trail.item)
		return -ENOMEM;
	err = walk_to(search, 0, search->block, &trail);
	if (err != 1)
		goto free_trail;
	owner->kind = OWNER_ROOT;
	owner->depth = trail.count;
	owner->root = trail.item[trail.count - 1].root;
	owner->chain = calloc(owner->depth, sizeof(*owner->chain));
	if (!owner->chain) {
		err = -ENOMEM;
		goto free_trail;
	}
	owner->chain[owner->depth - 1] = trail.item[owner->depth - 1];
	err = complete_chain(search, owner, &trail);
	if (!err)
		err = 1;
free_trail:
	free(trail.item);
	return err;
}

/* ---- what is left ---- */

static int in_free_map(struct search *search)
{
	uint8_t bitmap[XN_MAP_CHUNK_BYTES];
	uint64_t bit = search->block % XN_CHUNK_BLOCKS;
	int err = xn_chunk_map(image_disk(search->image), search->block / XN_CHUNK_BLOCKS, bitmap);

	if (err)
		return err;
	search->owner->kind = bitmap[bit / 8] >> (bit % 8) & 1 ? OWNER_NOBODY : OWNER_FREE;
	return 1;
}

int owner_find(struct image *image, xn_blk_t block, struct owner *owner)
{
	struct search search = { .image = image, .block = block, .owner = owner };
	int err;

	*owner = (struct owner){ 0 };
	err = in_xn(&search);
	if (!err)
		err = in_roots(&search);
	if (!err)
		err = in_free_map(&search);
	if (err < 0)
		owner_fini(owner);
	return err < 0 ? err : 0;
}

void owner_fini(struct owner *owner)
{
	free(owner->chain);
	owner->chain = NULL;
}
