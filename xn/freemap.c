/* SPDX-License-Identifier: MIT */
/*
 * The free map: one bit per block, in chunks of 16384 blocks.
 *
 *  (1) A bit is set from the moment an update takes the block until no pointer
 *      to it can be on disk any more.
 *  (2) On disk the map is conservative at every instant: a pointer is written
 *      only when the map that shows its block in use is stable (claim_seq of the
 *      taking update <= stable_seq).
 *  (3) Chunks at or beyond the superblock's high-water mark were never used; the
 *      mark is raised on disk, with maps for all chunks below it, before a
 *      pointer into them.
 *  (4) A second bitmap in memory marks DATA blocks that were never written since
 *      they were taken.  It needs no place on disk: no such block is named there.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS_MORE  8u  /* to look into when the first that has something has too little */
#define MAPS_AT_OPEN 16u /* a disk that used no more chunks than that is counted at open */

static uint64_t chunk_of(xn_blk_t block)
{
	return block / XN_CHUNK_BLOCKS;
}

static bool map_get(const uint8_t *map, uint32_t bit)
{
	return map[bit / 8] >> (bit % 8) & 1;
}

static void map_set(uint8_t *map, uint32_t bit)
{
	map[bit / 8] |= (uint8_t)(1u << (bit % 8));
}

static void map_clear(uint8_t *map, uint32_t bit)
{
	map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

static uint32_t map_count_free(const uint8_t *map)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < XN_MAP_CHUNK_BYTES; i += 8) {
		uint64_t word;

		memcpy(&word, map + i, sizeof(word));
		used += (uint32_t)__builtin_popcountll(word);
	}
	return XN_CHUNK_BLOCKS - used;
}

/* First bit in [from, end) that has the value `set`; `end` or beyond if none. */
static uint32_t map_next_until(const uint8_t *map, uint32_t from, uint32_t end, bool set)
{
	while (from < end) {
		uint64_t word;

		memcpy(&word, map + from / 64 * 8, sizeof(word));
		if (!set)
			word = ~word;
		word &= ~0ull << (from % 64);
		if (word)
			return from / 64 * 64 + (uint32_t)__builtin_ctzll(word);
		from = from / 64 * 64 + 64;
	}
	return from;
}

static uint32_t map_next(const uint8_t *map, uint32_t from, bool set)
{
	return map_next_until(map, from, XN_CHUNK_BLOCKS, set);
}

int freemap_init(struct xn *xn)
{
	struct freemap *map = &xn->freemap;

	map->n_chunks = xn_chunk_count(xn->super.block_count);
	map->limit = XN_BLOCKS_MAX;
	sparse_init(&map->chunks, map->n_chunks);
	TAILQ_INIT(&map->claims);
	TAILQ_INIT(&map->returns);
	TAILQ_INIT(&map->foreseen);
	return 0;
}

void freemap_fini(struct xn *xn)
{
	struct sparse *chunks = &xn->freemap.chunks;

	for (uint64_t i = sparse_next(chunks, 0); i < chunks->size;
	     i = sparse_next(chunks, i + 1)) {
		struct chunk *chunk = sparse_get(chunks, i);

		free(chunk->unwritten);
		free(chunk->foresight);
		free(chunk);
	}
	sparse_fini(chunks);
}

struct chunk *freemap_chunk(const struct xn *xn, uint64_t chunk)
{
	return sparse_get(&xn->freemap.chunks, chunk);
}

/* ---- how many blocks are free ---- */

static uint32_t fresh_free(const struct xn *xn, uint64_t index)
{
	uint8_t fresh[XN_MAP_CHUNK_BYTES];

	xn_map_fresh(&xn->super, index, fresh);
	return map_count_free(fresh);
}

/* Free blocks of never-used chunks; only the first two and the last are special. */
static uint64_t fresh_between(const struct xn *xn, uint64_t from, uint64_t to)
{
	uint64_t last = xn->freemap.n_chunks - 1, sum = 0;

	for (; from < to && from < 2; from++)
		sum += fresh_free(xn, from);
	if (from < to && to - 1 == last)
		sum += fresh_free(xn, --to);
	return sum + (to > from ? (to - from) * (XN_CHUNK_BLOCKS - 1) : 0);
}

/* A chunk of which only the estimate was known turned out to have so many. */
static void estimate_settle(struct freemap *map, uint64_t index, uint32_t free_blocks)
{
	uint64_t guessed = free_blocks < map->estimate ? free_blocks : map->estimate;

	if (index >= map->known_from || index < map->known_below)
		return;
	if (--map->n_unknown == 0) {
		guessed = map->estimate;
		map->exact = true;
	}
	map->estimate -= guessed;
	map->free_blocks += free_blocks;
	map->free_blocks -= guessed;
}

/* Somebody read the map of a chunk that is not kept: reclaim, which takes them in order. */
void freemap_know(struct xn *xn, uint64_t index, const uint8_t *bitmap)
{
	if (index != xn->freemap.known_below)
		return;
	if (!freemap_chunk(xn, index))
		estimate_settle(&xn->freemap, index, map_count_free(bitmap));
	xn->freemap.known_below++;
}

/*
 * The count at open.  After a crash the superblock's is that of its last writing,
 * so it stands until the maps are read: the few of a small disk now, the others
 * when somebody needs them, or by reclaim.
 */
int freemap_count(struct xn *xn, bool exact)
{
	struct freemap *map = &xn->freemap;
	uint64_t fresh, most;
	int err = 0;

	map->known_from = map->top = xn->super.high_water;
	fresh = fresh_between(xn, map->known_from, map->n_chunks);
	most = map->known_from * (XN_CHUNK_BLOCKS - 1);
	map->estimate = xn->super.free_blocks > fresh ? xn->super.free_blocks - fresh : 0;
	if (map->estimate > most)
		map->estimate = most;
	map->free_blocks = map->estimate + fresh;
	map->n_unknown = map->known_from;
	if (map->known_from > 1) /* the chunk opened last is the emptiest, probably */
		map->rotor = (map->known_from - 1) * XN_CHUNK_BLOCKS;
	map->exact = exact;
	for (uint64_t i = 0; !exact && i < map->known_from && map->known_from <= MAPS_AT_OPEN;
	     i++) {
		err = freemap_load(xn, i);
		if (err)
			break;
	}
	return err;
}

/* ---- reading ---- */

/* The map of a chunk as it is on disk; what cannot be read counts as in use. */
int freemap_read(struct xn *xn, uint64_t index, uint8_t *bitmap, bool *whole)
{
	uint8_t *block = malloc(XN_BLOCK_SIZE);
	int err = block ? io_read_blocks(xn, xn_map_block(index), 1, block) : -ENOMEM;

	*whole = !err && xn_map_decode(&xn->super, index, block, bitmap) == 0;
	free(block);
	return err;
}

int freemap_load(struct xn *xn, uint64_t index)
{
	struct freemap *map = &xn->freemap;
	struct chunk *chunk;
	bool whole = true;
	int err = 0;

	if (index >= map->n_chunks)
		return -ERANGE;
	if (freemap_chunk(xn, index))
		return 0;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return -ENOMEM;
	chunk->index = index;
	if (index >= xn->super.high_water) {
		xn_map_fresh(&xn->super, index, chunk->used);
	} else {
		pthread_mutex_unlock(&xn->lock);
		err = freemap_read(xn, index, chunk->used, &whole);
		pthread_mutex_lock(&xn->lock);
	}
	if (err || freemap_chunk(xn, index))
		goto free_chunk; /* somebody else was faster */
	if (sparse_put(&map->chunks, index, chunk)) {
		err = -ENOMEM;
		goto free_chunk;
	}
	whole &= own_blocks_mark(xn, index, chunk->used);
	map->damaged |= !whole;
	chunk->free = map_count_free(chunk->used);
	sparse_mark(&map->chunks, index, chunk->free == 0);
	estimate_settle(map, index, chunk->free);
	return 0;

free_chunk:
	free(chunk);
	return err;
}

/* One step over an extent: the part of it that lies in one chunk. */
struct span {
	struct chunk *chunk;
	uint32_t bit, count;
};

static struct span span_of(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	uint32_t bit = (uint32_t)(start % XN_CHUNK_BLOCKS);
	uint64_t room = XN_CHUNK_BLOCKS - bit;

	return (struct span){ freemap_chunk(xn, chunk_of(start)), bit,
			      (uint32_t)(count < room ? count : room) };
}

bool freemap_in_use(const struct xn *xn, xn_blk_t block)
{
	struct chunk *chunk = freemap_chunk(xn, chunk_of(block));

	return !chunk || map_get(chunk->used, (uint32_t)(block % XN_CHUNK_BLOCKS));
}

/* As far as their maps were read. */
bool freemap_all_in_use(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (!freemap_in_use(xn, start + i))
			return false;
	}
	return true;
}

int freemap_check_free(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	while (count > 0) {
		struct span span = span_of(xn, start, count);
		uint32_t end = span.bit + span.count;

		if (!span.chunk)
			return XN_ENOTCACHED;
		if (start + span.count > xn->freemap.limit)
			return XN_ENOTFREE; /* to be cut off */
		if (map_next_until(span.chunk->used, span.bit, end, true) < end)
			return XN_ENOTFREE;
		start += span.count;
		count -= span.count;
	}
	return 0;
}

/* Get the memory that freemap_take(..., true) will need. */
int freemap_prepare_unwritten(struct xn *xn, xn_blk_t start, uint64_t count)
{
	while (count > 0) {
		struct span span = span_of(xn, start, count);

		assert(span.chunk);
		if (!span.chunk->unwritten)
			span.chunk->unwritten = calloc(1, XN_MAP_CHUNK_BYTES);
		if (!span.chunk->unwritten)
			return -ENOMEM;
		start += span.count;
		count -= span.count;
	}
	return 0;
}

/* Note the take where a log record could tell it; too many, and the map itself must be written. */
static void claim_note(struct freemap *map, xn_blk_t start, uint64_t count)
{
	struct taken *last = map->n_taken ? &map->taken[map->n_taken - 1] : NULL;

	if (last && last->start + last->count == start) {
		last->count += count;
		last->seq = map->claim_seq;
	} else if (map->n_taken < LOG_CLAIMS_MAX) {
		map->taken[map->n_taken++] = (struct taken){ map->claim_seq, start, count };
	} else {
		map->unsaid_seq = map->claim_seq;
	}
}

static void chunk_take(struct xn *xn, const struct span *span, bool unwritten)
{
	struct chunk *chunk = span->chunk;

	reclaim_stir(xn, chunk);
	foresight_taken(xn, chunk, span->bit, span->count);
	for (uint32_t i = span->bit; i < span->bit + span->count; i++) {
		assert(!map_get(chunk->used, i));
		map_set(chunk->used, i);
		if (unwritten)
			map_set(chunk->unwritten, i);
	}
	if (unwritten)
		chunk->n_unwritten += span->count;
	chunk->free -= span->count;
	sparse_mark(&xn->freemap.chunks, chunk->index, chunk->free == 0);
}

/* Is it news for the disk, so that whoever names the blocks must wait for the map? */
bool freemap_take(struct xn *xn, xn_blk_t start, uint64_t count, bool unwritten)
{
	struct freemap *map = &xn->freemap;
	bool news = !foresight_covers(xn, start, count);

	map->free_blocks -= count;
	if (news) {
		map->claim_seq++;
		claim_note(map, start, count);
	}
	while (count > 0) {
		struct span span = span_of(xn, start, count);

		assert(span.chunk);
		chunk_take(xn, &span, unwritten);
		if (news)
			chunk_differs(xn, span.chunk, CHUNK_CLAIMS);
		start += span.count;
		count -= span.count;
	}
	foresight_bound(xn);
	return news;
}

/* Blocks in use become unwritten; freemap_prepare_unwritten() came before. */
void freemap_set_unwritten(struct xn *xn, xn_blk_t start, uint64_t count)
{
	while (count > 0) {
		struct span span = span_of(xn, start, count);

		for (uint32_t i = span.bit; i < span.bit + span.count; i++)
			map_set(span.chunk->unwritten, i);
		span.chunk->n_unwritten += span.count;
		start += span.count;
		count -= span.count;
	}
}

static void chunk_give(struct xn *xn, const struct span *span)
{
	for (uint32_t i = span->bit; i < span->bit + span->count; i++) {
		if (!map_get(span->chunk->used, i)) {
			xn->damaged = true; /* two owners freed it: only a lying disk */
			continue;
		}
		map_clear(span->chunk->used, i);
		span->chunk->free++;
		xn->freemap.free_blocks++;
	}
}

void freemap_give(struct xn *xn, xn_blk_t start, uint64_t count)
{
	while (count > 0) {
		struct span span = span_of(xn, start, count);

		if (span.chunk) {
			reclaim_stir(xn, span.chunk);
			reclaim_mark(xn, NULL, start, span.count);
			chunk_give(xn, &span);
			sparse_mark(&xn->freemap.chunks, span.chunk->index, false);
			chunk_differs(xn, span.chunk, CHUNK_RETURNED);
		}
		start += span.count;
		count -= span.count;
	}
	reserves_fill(xn);
}

bool freemap_unwritten(const struct xn *xn, xn_blk_t block)
{
	struct chunk *chunk = freemap_chunk(xn, chunk_of(block));

	return chunk && chunk->n_unwritten > 0 &&
	       map_get(chunk->unwritten, (uint32_t)(block % XN_CHUNK_BLOCKS));
}

bool freemap_written(struct xn *xn, xn_blk_t block)
{
	struct chunk *chunk = freemap_chunk(xn, chunk_of(block));

	if (!freemap_unwritten(xn, block))
		return false;
	map_clear(chunk->unwritten, (uint32_t)(block % XN_CHUNK_BLOCKS));
	chunk->n_unwritten--;
	return true;
}

/* ---- looking for space ---- */

/* The first free run of `want` blocks at or after `from`, or else the longest. */
static bool chunk_find(const struct chunk *chunk, uint32_t from, uint32_t limit, uint64_t want,
		       uint32_t align, struct xn_extent *out)
{
	uint64_t base = chunk->index * XN_CHUNK_BLOCKS; /* alignment counts from the disk's start */
	uint32_t best = 0, best_len = 0;

	for (uint32_t at = map_next(chunk->used, from, false); at < limit;) {
		uint32_t next = map_next(chunk->used, at, true);
		uint32_t end = next < limit ? next : limit;
		uint32_t first = (uint32_t)((base + at + align - 1) / align * align - base);

		if (first < end && end - first > best_len) {
			best = first;
			best_len = end - first;
			if (best_len >= want)
				break;
		}
		at = map_next(chunk->used, end, false);
	}
	if (best_len == 0)
		return false;
	*out = (struct xn_extent){ base + best, best_len < want ? best_len : want, XN_DATA, 0 };
	return true;
}

/* Bits of a chunk that may be taken: all, but for a part that is to be cut off. */
static uint32_t chunk_limit(const struct xn *xn, uint64_t index)
{
	uint64_t base = index * XN_CHUNK_BLOCKS, limit = xn->freemap.limit;

	if (limit <= base)
		return 0;
	return limit - base < XN_CHUNK_BLOCKS ? (uint32_t)(limit - base) : XN_CHUNK_BLOCKS;
}

static int find_in_chunk(struct xn *xn, uint64_t index, uint32_t from, uint64_t want,
			 uint32_t align, struct xn_extent *out)
{
	struct chunk *chunk;
	int err = freemap_load(xn, index);

	if (err)
		return err;
	chunk = freemap_chunk(xn, index);
	if (chunk->free == 0 || !chunk_find(chunk, from, chunk_limit(xn, index), want, align, out))
		return XN_ENOSPACE;
	return 0;
}

/* Exactly at `near`: what keeps a growing file in one piece. */
static bool find_here(struct xn *xn, xn_blk_t near, uint64_t want, struct xn_extent *out)
{
	struct span span = span_of(xn, near, want);
	uint32_t limit = chunk_limit(xn, chunk_of(near)), end;

	if (!span.chunk || span.bit >= limit || map_get(span.chunk->used, span.bit))
		return false;
	end = map_next_until(span.chunk->used, span.bit, limit, true);
	end = end < limit ? end : limit;
	*out = (struct xn_extent){ near, end - span.bit < want ? end - span.bit : want, XN_DATA,
				   0 };
	return true;
}

/* What a search has found, and how long it may go on for something better. */
struct search {
	uint64_t want;
	uint32_t align;
	unsigned more; /* chunks to look into after one that had something */
	struct xn_extent best;
};

/* 1: it may be better elsewhere; 0: this will do. */
static int search_in(struct xn *xn, struct search *search, uint64_t index, uint32_t from)
{
	struct xn_extent found = { 0 };
	int err = find_in_chunk(xn, index, from, search->want, search->align, &found);

	if (err && err != XN_ENOSPACE)
		return err;
	if (!err && found.count > search->best.count)
		search->best = found;
	if (search->best.count >= search->want)
		return 0;
	return search->best.count == 0 || search->more-- > 0;
}

/* Chunks that are known to be full are not looked into. */
static int search_range(struct xn *xn, struct search *search, uint64_t from, uint64_t end)
{
	const struct sparse *chunks = &xn->freemap.chunks;
	int more = 1;

	for (uint64_t i = sparse_next_unmarked(chunks, from);
	     more == 1 && i < end && i * XN_CHUNK_BLOCKS < xn->freemap.limit;
	     i = sparse_next_unmarked(chunks, i + 1))
		more = search_in(xn, search, i, 0);
	return more;
}

/* From chunk `first` on and around. */
static int find_around(struct xn *xn, uint64_t first, uint32_t from, uint64_t want, uint32_t align,
		       struct xn_extent *out)
{
	struct search search = { .want = want, .align = align, .more = CHUNKS_MORE };
	int more = search_in(xn, &search, first, from);

	if (more == 1)
		more = search_range(xn, &search, first + 1, xn->freemap.n_chunks);
	if (more == 1)
		more = search_range(xn, &search, 0, first + 1);
	if (more < 0 && search.best.count == 0)
		return more;
	*out = search.best;
	return search.best.count ? 0 : XN_ENOSPACE;
}

int freemap_find(struct xn *xn, xn_blk_t near, uint64_t want, uint32_t align, struct xn_extent *out)
{
	struct freemap *map = &xn->freemap;
	bool any = near == 0 || near >= xn->super.block_count || near >= map->limit;
	uint64_t first;
	uint32_t from;
	int err;

	if (any)
		near = map->rotor < map->limit ? map->rotor % xn->super.block_count : 0;
	first = chunk_of(near);
	if (first > xn->super.high_water)
		first = xn->super.high_water; /* new chunks are opened one after the other */
	if (first >= map->n_chunks)
		first = 0;
	err = freemap_load(xn, first);
	if (err)
		return err;
	from = chunk_of(near) == first ? (uint32_t)(near % XN_CHUNK_BLOCKS) : 0;
	if (any || align != 1 || chunk_of(near) != first || !find_here(xn, near, want, out))
		err = find_around(xn, first, from, want, align, out);
	if (err)
		return err;
	if (any)
		map->rotor = out->start + out->count;
	return 0;
}

/* ---- another size ---- */

int freemap_grow_prepare(struct xn *xn, uint64_t block_count)
{
	return sparse_grow(&xn->freemap.chunks, xn_chunk_count(block_count)) ? -ENOMEM : 0;
}

/* The superblock says the new size, and the chunk that was the last is read in. */
void freemap_grow(struct xn *xn, uint64_t old_count)
{
	struct freemap *map = &xn->freemap;
	uint64_t last = map->n_chunks - 1;
	uint8_t now[XN_MAP_CHUNK_BYTES];

	map->n_chunks = xn_chunk_count(xn->super.block_count);
	map->free_blocks += fresh_between(xn, last + 1, map->n_chunks);
	xn_map_fresh(&xn->super, last, now);
	for (uint32_t bit = 0; bit < XN_CHUNK_BLOCKS; bit++) {
		if (last * XN_CHUNK_BLOCKS + bit >= old_count - 1 && !map_get(now, bit))
			freemap_give(xn, last * XN_CHUNK_BLOCKS + bit, 1);
	}
}

/* What the smaller disk's last chunk must show as in use, and this one's does not yet. */
static void cut_bits(struct xn *xn, const struct xn_super *smaller, bool take)
{
	uint64_t last = xn_chunk_count(smaller->block_count) - 1;
	uint8_t now[XN_MAP_CHUNK_BYTES], then[XN_MAP_CHUNK_BYTES];

	xn_map_fresh(&xn->super, last, now);
	xn_map_fresh(smaller, last, then);
	for (uint32_t bit = 0; bit < XN_CHUNK_BLOCKS; bit++) {
		xn_blk_t block = last * XN_CHUNK_BLOCKS + bit;

		if (!map_get(then, bit) || map_get(now, bit))
			continue;
		if (take)
			freemap_take(xn, block, 1, false);
		else
			freemap_give(xn, block, 1);
	}
}

/* Nothing is in use beyond the new end, and nothing there will be taken (limit). */
int freemap_cut_prepare(struct xn *xn, const struct xn_super *smaller)
{
	int err = freemap_load(xn, xn_chunk_count(smaller->block_count) - 1);

	if (!err)
		cut_bits(xn, smaller, true);
	return err;
}

void freemap_cut_undo(struct xn *xn, const struct xn_super *smaller)
{
	if (freemap_in_use(xn, smaller->block_count - 1))
		cut_bits(xn, smaller, false);
}

/* Free blocks of chunks from `n` on: of those read in as they say, the others were never used. */
static uint64_t cut_free(const struct xn *xn, uint64_t n)
{
	const struct sparse *chunks = &xn->freemap.chunks;
	uint64_t sum = 0, at = n;

	for (uint64_t i = sparse_next(chunks, n);; i = sparse_next(chunks, i + 1)) {
		const struct chunk *chunk = sparse_get(chunks, i);

		sum += fresh_between(xn, at, i);
		if (!chunk)
			return sum;
		sum += chunk->free;
		at = i + 1;
	}
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

/* The superblock on disk says the new size: forget the chunks behind it. */
void freemap_cut(struct xn *xn, uint64_t n)
{
	struct freemap *map = &xn->freemap;

	map->free_blocks -= cut_free(xn, n);
	for (uint64_t i = sparse_next(&map->chunks, n); i < map->n_chunks;
	     i = sparse_next(&map->chunks, i + 1)) {
		struct chunk *chunk = sparse_get(&map->chunks, i);

		foresight_drop(xn, chunk);
		chunk_told(xn, chunk);
		sparse_mark(&map->chunks, i, false);
		sparse_put(&map->chunks, i, NULL);
		free(chunk->unwritten);
		free(chunk);
	}
	map->chunks.size = map->n_chunks = n;
	map->known_from = at_most(map->known_from, n);
	map->known_below = at_most(map->known_below, n);
	map->top = at_most(map->top, n);
	map->limit = XN_BLOCKS_MAX;
}

/* ---- public ---- */

int xn_find_free(struct xn_session *session, xn_blk_t near, uint64_t want, uint32_t align,
		 struct xn_extent *out)
{
	struct xn *xn = session->xn;
	int err;

	if (want == 0 || align > XN_CHUNK_BLOCKS)
		return -EINVAL;
	pthread_mutex_lock(&xn->lock);
	err = freemap_find(xn, near, want, align ? align : 1, out);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_chunk_summary(struct xn *xn, uint64_t index, uint32_t *free_blocks)
{
	int err;

	pthread_mutex_lock(&xn->lock);
	err = freemap_load(xn, index);
	if (!err)
		*free_blocks = freemap_chunk(xn, index)->free;
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_chunk_map(struct xn *xn, uint64_t index, uint8_t *bitmap)
{
	int err;

	pthread_mutex_lock(&xn->lock);
	err = freemap_load(xn, index);
	if (!err)
		memcpy(bitmap, freemap_chunk(xn, index)->used, XN_MAP_CHUNK_BYTES);
	pthread_mutex_unlock(&xn->lock);
	return err;
}
