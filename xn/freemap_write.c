/* SPDX-License-Identifier: MIT */
/*
 * The free map on its way to the disk; called by whoever has the wave.
 *
 *  (1) Cost is by the chunks that changed, never by how many there are.
 *  (2) What shows too little goes with every wave; what shows too much, blocks in
 *      use that are free by now, only when a whole disk is synced.
 *  (3) The high-water mark is written when the maps below it are stable.
 *  (4) The superblock's free count is never further from the truth than a 128th of
 *      the disk: it is what an opening after a crash begins with.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DRIFT_MIN 4096u

void chunk_differs(struct xn *xn, struct chunk *chunk, enum chunk_state how)
{
	struct freemap *map = &xn->freemap;

	if (chunk->state >= how)
		return;
	if (chunk->state == CHUNK_RETURNED) {
		TAILQ_REMOVE(&map->returns, chunk, differs);
		map->n_returns--;
	}
	chunk->state = how;
	if (how == CHUNK_CLAIMS) {
		TAILQ_INSERT_TAIL(&map->claims, chunk, differs);
		map->n_claims++;
		if (chunk->index >= map->top)
			map->top = chunk->index + 1;
	} else {
		TAILQ_INSERT_TAIL(&map->returns, chunk, differs);
		map->n_returns++;
	}
	map->returned = map->n_returns > 0;
}

void chunk_told(struct xn *xn, struct chunk *chunk)
{
	struct freemap *map = &xn->freemap;

	if (chunk->state == CHUNK_CLAIMS) {
		TAILQ_REMOVE(&map->claims, chunk, differs);
		map->n_claims--;
	} else if (chunk->state == CHUNK_RETURNED) {
		TAILQ_REMOVE(&map->returns, chunk, differs);
		map->n_returns--;
	}
	chunk->state = CHUNK_AS_DISK;
	map->returned = map->n_returns > 0;
}

static int map_write(struct xn *xn, uint64_t index, const uint8_t *bitmap)
{
	uint8_t *block = malloc(XN_BLOCK_SIZE);
	int err;

	if (!block)
		return -ENOMEM;
	xn_map_encode(&xn->super, index, bitmap, block);
	pthread_mutex_unlock(&xn->lock);
	err = bdev_write(xn->dev, xn_map_block(index) * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE, 0);
	pthread_mutex_lock(&xn->lock);
	err = io_outcome(xn, err);
	xn->stats.blocks_out++;
	free(block);
	return err;
}

static int chunk_write(struct xn *xn, struct chunk *chunk)
{
	enum chunk_state how = chunk->state;
	uint8_t shown[XN_MAP_CHUNK_BYTES];
	int err;

	if (how == CHUNK_CLAIMS)
		foresight_extend(xn, chunk);
	memcpy(shown, chunk->used, sizeof(shown));
	foresight_show(chunk, shown);
	chunk_told(xn, chunk); /* what changes from here on is news again */
	err = map_write(xn, chunk->index, shown);
	if (err)
		chunk_differs(xn, chunk, how);
	return err;
}

/* Chunks that come below the high-water mark without having been used need a map, too. */
static int high_water_fill(struct xn *xn, uint64_t mark)
{
	uint8_t fresh[XN_MAP_CHUNK_BYTES];
	int err = 0;

	for (uint64_t i = xn->super.high_water; i < mark && !err; i++) {
		struct chunk *chunk = freemap_chunk(xn, i);

		if (chunk) {
			chunk_differs(xn, chunk, CHUNK_CLAIMS);
			continue;
		}
		xn_map_fresh(&xn->super, i, fresh);
		err = map_write(xn, i, fresh);
	}
	return err;
}

static int high_water_raise(struct xn *xn, uint64_t mark)
{
	int err;

	pthread_mutex_unlock(&xn->lock);
	err = device_flush(xn);
	pthread_mutex_lock(&xn->lock);
	if (!err) {
		xn->super.high_water = mark;
		xn->super_changed = true;
	}
	return err;
}

static bool count_drifted(const struct xn *xn)
{
	uint64_t told = xn->super.free_blocks, is = xn->freemap.free_blocks;
	uint64_t most = xn->super.block_count / 128;

	return (told > is ? told - is : is - told) > (most > DRIFT_MIN ? most : DRIFT_MIN);
}

/* Those that are on the list now; what is added meanwhile waits for the next call. */
static int list_write(struct xn *xn, struct chunk_list *list, uint64_t count)
{
	int err = 0;

	for (; count > 0 && !err && !TAILQ_EMPTY(list); count--)
		err = chunk_write(xn, TAILQ_FIRST(list));
	return err;
}

/* Write every map block that shows too little; `all`: also those that show too much. */
int freemap_write(struct xn *xn, bool all, uint64_t *seq)
{
	struct freemap *map = &xn->freemap;
	uint64_t mark = map->top; /* what is taken from here on is not told by `seq` */
	bool higher = mark > xn->super.high_water;
	int err;

	*seq = map->claim_seq;
	foresight_flushed(xn, false); /* what a call wrote that did not come to its flush */
	err = higher ? high_water_fill(xn, mark) : 0;
	if (!err)
		err = list_write(xn, &map->claims, map->n_claims);
	if (!err && all)
		err = list_write(xn, &map->returns, map->n_returns);
	if (!err && higher)
		err = high_water_raise(xn, mark);
	if (!err && (xn->super_changed || count_drifted(xn))) {
		xn->super_changed = false;
		err = super_write(xn);
		if (err)
			xn->super_changed = true;
	}
	return err;
}
