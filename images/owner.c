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

#include "super.h"
#include "xn/bdev.h"

struct search {
	struct image *image;
	xn_blk_t block;
	struct owner *owner;
	struct bdev *dev;
	struct xn_super super;
};

/* ---- what XN keeps for itself ---- */

static bool in_fixed_places(struct search *search)
{
	const struct xn_super *super = &search->super;
	uint64_t places[3];
	unsigned count = xn_super_places(super->block_count, places);

	for (unsigned i = 0; i < count; i++) {
		if (places[i] != search->block)
			continue;
		search->owner->kind = OWNER_SUPERBLOCK;
		search->owner->index = i;
		return true;
	}
	if (search->block == xn_map_block(search->block / XN_CHUNK_BLOCKS)) {
		search->owner->kind = OWNER_MAP;
		search->owner->index = search->block / XN_CHUNK_BLOCKS;
		return true;
	}
	if (search->block >= super->log_start &&
	    search->block - super->log_start < super->log_blocks) {
		search->owner->kind = OWNER_LOG;
		return true;
	}
	return false;
}

/* A catalogue block, or its twin where that one is damaged. */
static int read_link(struct search *search, uint64_t block, uint64_t twin, struct xn_cat_link *link)
{
	uint8_t sector[XN_SECTOR_SIZE];
	int err = bdev_read(search->dev, block * XN_BLOCK_SIZE, sector, sizeof(sector));

	if (!err)
		err = xn_cat_link_decode(&search->super, sector, link);
	if (!err)
		return 0;
	err = bdev_read(search->dev, twin * XN_BLOCK_SIZE, sector, sizeof(sector));
	return err ? err : xn_cat_link_decode(&search->super, sector, link);
}

/* The better of an entry and its twin.  False when neither is one. */
static bool read_template(struct search *search, const uint8_t *first, const uint8_t *second,
			  uint64_t slot, struct xn_template_entry *entry)
{
	struct xn_template_entry other;
	int err = xn_template_entry_decode(&search->super, slot, first, entry);
	int other_err = xn_template_entry_decode(&search->super, slot, second, &other);

	if (err || (!other_err && other.seq > entry->seq)) {
		*entry = other;
		err = other_err;
	}
	return !err && entry->state == XN_ENTRY_USED;
}

/* Is the block part of an image whose entry lies in this catalogue block? */
static int in_images(struct search *search, uint64_t block, uint64_t twin, uint64_t index)
{
	uint8_t bytes[2 * XN_BLOCK_SIZE];
	struct xn_template_entry entry;
	int err = bdev_read(search->dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE);

	if (!err)
		err = bdev_read(search->dev, twin * XN_BLOCK_SIZE, bytes + XN_BLOCK_SIZE,
				XN_BLOCK_SIZE);
	for (unsigned i = 0; !err && i < XN_CAT_ENTRIES_BLOCK; i++) {
		const uint8_t *sector = bytes + (1 + i) * XN_SECTOR_SIZE;

		if (!read_template(search, sector, sector + XN_BLOCK_SIZE,
				   index * XN_CAT_ENTRIES_BLOCK + i, &entry) ||
		    search->block < entry.image_start ||
		    search->block - entry.image_start >= entry.image_blocks)
			continue;
		search->owner->kind = OWNER_TEMPLATE;
		search->owner->index = entry.id;
		return 1;
	}
	return err;
}

/* Follow one catalogue.  1: found; 0: not here. */
static int in_catalogue(struct search *search, enum xn_catalogue_kind kind)
{
	uint64_t block = search->super.catalogue[kind], twin = search->super.twin[kind];
	int err;

	for (uint64_t index = 0; block && index <= XN_ROOTS_MAX / XN_CAT_ENTRIES_BLOCK; index++) {
		struct xn_cat_link link;

		if (block == search->block || twin == search->block) {
			search->owner->kind = OWNER_CATALOGUE;
			search->owner->catalogue = kind;
			search->owner->index = index;
			search->owner->is_twin = twin == search->block;
			return 1;
		}
		err = kind == XN_CAT_TEMPLATES ? in_images(search, block, twin, index) : 0;
		if (!err)
			err = read_link(search, block, twin, &link);
		if (err)
			return err;
		block = link.next;
		twin = link.next_twin;
	}
	return 0;
}

/* 1: XN's own; 0: not. */
static int in_xn(struct search *search)
{
	int err = 0;

	if (in_fixed_places(search))
		return 1;
	for (int kind = 0; kind < XN_CAT_KINDS && !err; kind++)
		err = in_catalogue(search, (enum xn_catalogue_kind)kind);
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
	err = bdev_open(image_name(image), BDEV_OPEN_RDONLY, 0, &search.dev);
	if (err)
		return err;
	err = found_super(search.dev, &search.super, NULL);
	if (!err && block >= search.super.block_count)
		err = -ERANGE;
	if (!err)
		err = in_xn(&search);
	bdev_close(search.dev);
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
