/* SPDX-License-Identifier: MIT */
/*
 * Claims ahead of need: blocks that are free here and in use on the disk's map.
 *
 *  (1) Whoever takes such a block has nothing to tell the disk and waits for no map;
 *      so a disk that fills steadily writes a map once in a while.
 *  (2) A block counts as foreseen when the map that shows it in use is stable, and
 *      as long as every map written since shows it so.
 *  (3) They are free blocks like any others: nobody finds less space for them.
 *  (4) All together they never exceed a hundredth of the free space, which is what
 *      a crash can lose by them; as space runs out they are given up.  A clean
 *      disk has none.
 */
#include "internal.h"

#include <stdlib.h>

#define RUN_BLOCKS 256u /* ahead of what a chunk took last */
#define RUN_LOW    64u  /* with so many left, none are added */

static bool bit_get(const uint8_t *map, uint32_t bit)
{
	return map[bit / 8] >> (bit % 8) & 1;
}

static bool bit_clear(uint8_t *map, uint32_t bit)
{
	bool was = bit_get(map, bit);

	map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	return was;
}

static uint64_t bound_of(const struct xn *xn)
{
	return xn->freemap.free_blocks / 100;
}

bool foresight_covers(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	for (xn_blk_t b = start; b < start + count; b++) {
		const struct chunk *chunk = freemap_chunk(xn, b / XN_CHUNK_BLOCKS);

		if (!chunk->foresight ||
		    !bit_get(chunk->foresight->bits, (uint32_t)(b % XN_CHUNK_BLOCKS)))
			return false;
	}
	return true;
}

void foresight_taken(struct xn *xn, struct chunk *chunk, uint32_t bit, uint32_t count)
{
	struct foresight *ahead = chunk->foresight;
	uint32_t n = 0, n_pending = 0;

	chunk->next = bit + count;
	for (uint32_t i = bit; ahead && i < bit + count; i++) {
		n += bit_clear(ahead->bits, i);
		n_pending += bit_clear(ahead->pending, i);
	}
	if (!ahead)
		return;
	ahead->n -= n;
	ahead->n_pending -= n_pending;
	xn->freemap.n_foreseen -= n + n_pending;
}

/* The chunk's map is about to be written for what was taken: let it show some more. */
void foresight_extend(struct xn *xn, struct chunk *chunk)
{
	struct freemap *map = &xn->freemap;
	struct foresight *ahead = chunk->foresight;
	uint32_t left = ahead ? ahead->n + ahead->n_pending : 0;

	if (map->closing || left >= RUN_LOW || chunk->free <= left ||
	    map->n_foreseen >= bound_of(xn))
		return;
	if (!ahead) {
		ahead = chunk->foresight = calloc(1, sizeof(*ahead));
		if (!ahead)
			return;
		TAILQ_INSERT_TAIL(&map->foreseen, chunk, foreseen);
	}
	for (uint32_t i = chunk->next;
	     i < XN_CHUNK_BLOCKS && ahead->n_pending < RUN_BLOCKS && map->n_foreseen < bound_of(xn);
	     i++) {
		if (bit_get(chunk->used, i) || bit_get(ahead->bits, i) ||
		    bit_get(ahead->pending, i))
			continue;
		ahead->pending[i / 8] |= (uint8_t)(1u << (i % 8));
		ahead->n_pending++;
		map->n_foreseen++;
	}
}

void foresight_show(const struct chunk *chunk, uint8_t *bitmap)
{
	const struct foresight *ahead = chunk->foresight;

	for (uint32_t i = 0; ahead && i < XN_MAP_CHUNK_BYTES; i++)
		bitmap[i] |= ahead->bits[i] | ahead->pending[i];
}

/* Forget all about a chunk; the disk's map shows too much then. */
void foresight_drop(struct xn *xn, struct chunk *chunk)
{
	struct foresight *ahead = chunk->foresight;

	if (!ahead)
		return;
	xn->freemap.n_foreseen -= ahead->n + ahead->n_pending;
	TAILQ_REMOVE(&xn->freemap.foreseen, chunk, foreseen);
	chunk->foresight = NULL;
	free(ahead);
	chunk_differs(xn, chunk, CHUNK_RETURNED);
}

static void pending_settle(struct xn *xn, struct chunk *chunk, bool stable)
{
	struct foresight *ahead = chunk->foresight;

	for (uint32_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
		if (stable)
			ahead->bits[i] |= ahead->pending[i];
		ahead->pending[i] = 0;
	}
	if (stable)
		ahead->n += ahead->n_pending;
	else
		xn->freemap.n_foreseen -= ahead->n_pending;
	ahead->n_pending = 0;
	if (!stable)
		chunk_differs(xn, chunk, CHUNK_RETURNED); /* it may show them all the same */
}

/* The maps written since the last flush are stable now, or nobody knows. */
void foresight_flushed(struct xn *xn, bool stable)
{
	struct chunk *chunk;

	TAILQ_FOREACH(chunk, &xn->freemap.foreseen, foreseen)
	{
		if (chunk->foresight->n_pending)
			pending_settle(xn, chunk, stable);
	}
}

/* Space was taken: what is left bears less. */
void foresight_bound(struct xn *xn)
{
	while (xn->freemap.n_foreseen > bound_of(xn))
		foresight_drop(xn, TAILQ_FIRST(&xn->freemap.foreseen));
}

void foresight_end(struct xn *xn)
{
	xn->freemap.closing = true;
	while (!TAILQ_EMPTY(&xn->freemap.foreseen))
		foresight_drop(xn, TAILQ_FIRST(&xn->freemap.foreseen));
}
