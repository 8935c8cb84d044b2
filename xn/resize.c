/* SPDX-License-Identifier: MIT */
/*
 * A larger or a smaller disk, while it is in use.
 *
 *  (1) How large a disk is says its superblock, one sector at a time.  Copies that
 *      only the new size has, where nobody looks yet, are written first; then
 *      the others, block 0 first, which decide.
 *  (2) Growing: the end of the old last chunk shows as in use until the new size is
 *      stable, so a crash leaves an old disk, or a new one with blocks to reclaim.
 *  (3) Shrinking: XN moves nobody's blocks.  What is in the way is told; meanwhile
 *      nothing new is put there (freemap.limit).  When nothing is in the way, the last
 *      chunk's map shows what is cut off, and the place of the superblock's copy, as
 *      in use, stably; only then is the new size written.
 *  (4) The wave is held all the while, so nothing that depends on the new size
 *      reaches the disk before it.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

/* Is it a size that this disk could have?  Its fixed places must be inside. */
static int sized_super(const struct xn *xn, uint64_t blocks, struct xn_super *super)
{
	struct xn_super_disk disk;
	struct xn_super layout;

	if (blocks < XN_BLOCKS_MIN || blocks > XN_BLOCKS_MAX)
		return XN_ESIZE;
	xn_super_layout(blocks, &layout);
	*super = xn->super;
	super->block_count = layout.block_count;
	super->free_blocks = 0;
	if (super->high_water > xn_chunk_count(super->block_count))
		super->high_water = xn_chunk_count(super->block_count);
	xn_super_encode(super, &disk);
	return xn_super_decode(&disk, super) ? XN_ESIZE : 0;
}

/* Write the superblock as `super` has it; `old` is the size that the disk has. */
static int super_switch(struct xn *xn, struct xn_super *super, uint64_t old)
{
	int err = super_fence(xn);

	if (err)
		return err;
	super->generation = xn->super.generation + 1;
	super->write_time = disk_now_ns(xn);
	super->free_blocks = xn->freemap.free_blocks < super->block_count ? xn->freemap.free_blocks
									  : super->block_count;
	xn->super.generation += 2; /* whatever comes of it, the next one is newer */
	pthread_mutex_unlock(&xn->lock);
	err = super_write_where(xn, super, old, true);
	if (!err)
		err = device_flush(xn);
	if (!err)
		err = super_write_where(xn, super, old, false);
	if (!err)
		err = device_flush(xn);
	pthread_mutex_lock(&xn->lock);
	return err;
}

static void size_take(struct xn *xn, const struct xn_super *super)
{
	xn->super.block_count = super->block_count;
	xn->super.high_water = super->high_water;
}

/* ---- growing ---- */

static int device_make_room(struct xn *xn, uint64_t blocks)
{
	struct bdev_info info;
	int err;

	bdev_info(xn->dev, &info);
	if (info.size / XN_BLOCK_SIZE >= blocks)
		return 0;
	if (!info.can_resize)
		return XN_ESIZE;
	err = bdev_resize(xn->dev, blocks * XN_BLOCK_SIZE);
	if (err)
		return err == -ENOMEM ? err : XN_EIO;
	return device_flush(xn);
}

static int grow(struct xn *xn, struct xn_super *larger)
{
	uint64_t old = xn->super.block_count;
	int err = freemap_load(xn, xn->freemap.n_chunks - 1);

	if (!err)
		err = freemap_grow_prepare(xn, larger->block_count);
	if (!err)
		err = super_switch(xn, larger, old);
	if (err)
		return err;
	size_take(xn, larger);
	freemap_grow(xn, old);
	return 0;
}

/* ---- shrinking ---- */

struct in_way {
	struct xn_extent *v;
	uint32_t max, n;
	xn_blk_t end; /* of the last one */
};

static void in_way_add(struct in_way *list, xn_blk_t block)
{
	if (list->n > 0 && block == list->end) {
		if (list->n <= list->max)
			list->v[list->n - 1].count++;
	} else {
		if (list->n < list->max)
			list->v[list->n] = (struct xn_extent){ block, 1, 0, 0 };
		list->n++;
	}
	list->end = block + 1;
}

/* Blocks in use from `first` on that are not XN's at computed places. */
static int in_way_find(struct xn *xn, xn_blk_t first, struct in_way *list)
{
	uint64_t end = xn->freemap.top;

	for (uint64_t i = first / XN_CHUNK_BLOCKS; i < end; i++) {
		uint8_t fresh[XN_MAP_CHUNK_BYTES];
		const struct chunk *chunk;
		int err = freemap_load(xn, i);

		if (err)
			return err;
		chunk = freemap_chunk(xn, i);
		xn_map_fresh(&xn->super, i, fresh);
		for (uint32_t bit = 0; bit < XN_CHUNK_BLOCKS; bit++) {
			xn_blk_t block = i * XN_CHUNK_BLOCKS + bit;
			uint8_t odd = chunk->used[bit / 8] & (uint8_t)~fresh[bit / 8];

			if (block >= first && (odd >> (bit % 8) & 1))
				in_way_add(list, block);
		}
	}
	return 0;
}

static int cut(struct xn *xn, struct xn_super *smaller)
{
	uint64_t old = xn->super.block_count;
	int err = freemap_cut_prepare(xn, smaller);

	if (!err)
		err = wave_flush(xn, MAP_CLAIMS);
	if (!err)
		err = super_switch(xn, smaller, old);
	if (err) {
		freemap_cut_undo(xn, smaller);
		return err;
	}
	freemap_cut(xn, xn_chunk_count(smaller->block_count));
	size_take(xn, smaller);
	reclaim_cut(xn);
	return 0;
}

/* Claims and reserves were promised the space that is free now. */
static bool promises_fit(const struct xn *xn, const struct xn_super *smaller)
{
	uint64_t less = xn->super.block_count - smaller->block_count + 1;

	return xn->freemap.set_aside == 0 || claims_room(xn) >= less;
}

static int shrink(struct xn *xn, struct xn_super *smaller, struct in_way *list)
{
	int err;

	xn->freemap.limit = smaller->block_count - 1; /* the copy of the superblock goes there */
	err = log_checkpoint(xn);                     /* no record names a block that is cut off */
	if (!err)
		err = in_way_find(xn, xn->freemap.limit, list);
	if (!err && list->n)
		err = XN_EINWAY;
	if (!err && !promises_fit(xn, smaller))
		err = XN_ENOSPACE;
	return err ? err : cut(xn, smaller);
}

/* ---- public ---- */

static int resize_locked(struct xn *xn, uint64_t blocks, struct in_way *list)
{
	struct xn_super wanted;
	int err = xn->writable ? sized_super(xn, blocks, &wanted) : XN_EREADONLY;

	if (!err)
		err = xn->broken;
	if (err)
		return err;
	if (wanted.block_count >= xn->super.block_count)
		xn->freemap.limit = XN_BLOCKS_MAX;
	if (wanted.block_count == xn->super.block_count)
		return 0;
	wave_begin(xn);
	if (wanted.block_count > xn->super.block_count)
		err = grow(xn, &wanted);
	else
		err = shrink(xn, &wanted, list);
	wave_end(xn);
	reserves_fill(xn);
	return err;
}

/* The host's file may be as small as the disk now; if it cannot, that is no harm. */
static void device_give_room(struct xn *xn, uint64_t blocks)
{
	struct bdev_info info;

	bdev_info(xn->dev, &info);
	if (info.can_resize && info.size / XN_BLOCK_SIZE > blocks)
		(void)bdev_resize(xn->dev, blocks * XN_BLOCK_SIZE);
}

int xn_resize(struct xn_session *session, uint64_t blocks, struct xn_extent *in_way, uint32_t max,
	      uint32_t *n_in_way)
{
	struct xn *xn = session->xn;
	struct in_way list = { .v = in_way, .max = max };
	uint64_t before;
	int err = 0;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	pthread_mutex_lock(&xn->admin);
	before = xn->super.block_count;
	if (xn->writable && blocks > before && blocks <= XN_BLOCKS_MAX)
		err = device_make_room(xn, blocks);
	pthread_mutex_lock(&xn->lock);
	if (!err)
		err = resize_locked(xn, blocks, &list);
	pthread_mutex_unlock(&xn->lock);
	if (!err && xn->super.block_count < before)
		device_give_room(xn, xn->super.block_count);
	pthread_mutex_unlock(&xn->admin);
	if (n_in_way)
		*n_in_way = list.n;
	return err;
}
