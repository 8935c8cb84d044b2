/* SPDX-License-Identifier: MIT */
/*
 * The free map against what the walk found.
 *
 *  (1) The truth of a chunk is what is XN's at computed places plus what somebody
 *      owns.
 *  (2) A block is freed only when the walk is complete; it is marked in use
 *      whenever it has an owner.
 *  (3) Chunks at or beyond the high-water mark have no map; nothing there is
 *      looked at unless somebody owns a block of it.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct difference {
	uint64_t leaked, first_leaked;
	uint64_t lost, first_lost; /* owned and free */
};

static uint64_t word_at(const uint8_t *bitmap, size_t i)
{
	uint64_t word;

	memcpy(&word, bitmap + i, sizeof(word));
	return word;
}

static void truth_of(const struct fsck *f, uint64_t chunk, uint8_t *truth)
{
	const uint8_t *seen = blockset_chunk(&f->seen, chunk);

	xn_map_fresh(&f->super, chunk, truth);
	for (size_t i = 0; seen && i < XN_MAP_CHUNK_BYTES; i += 8) {
		uint64_t word = word_at(truth, i) | word_at(seen, i);

		memcpy(truth + i, &word, sizeof(word));
	}
}

static uint64_t first_bit(uint64_t base, uint8_t bits)
{
	return base + (uint64_t)__builtin_ctz(bits);
}

/* Sectors of the map that are damaged have nothing to say and are left out. */
static struct difference compare(uint64_t chunk, const uint8_t *map, const uint8_t *truth,
				 uint8_t damaged_sectors)
{
	struct difference diff = { 0 };

	if (memcmp(map, truth, XN_MAP_CHUNK_BYTES) == 0)
		return diff;
	for (uint64_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
		uint8_t leaked = map[i] & (uint8_t)~truth[i], lost = truth[i] & (uint8_t)~map[i];
		uint64_t base = chunk * XN_CHUNK_BLOCKS + 8 * i;

		if (map[i] == truth[i] || (damaged_sectors >> (i / 256) & 1))
			continue;
		if (leaked && diff.leaked == 0)
			diff.first_leaked = first_bit(base, leaked);
		if (lost && diff.lost == 0)
			diff.first_lost = first_bit(base, lost);
		diff.leaked += (uint64_t)__builtin_popcount(leaked);
		diff.lost += (uint64_t)__builtin_popcount(lost);
	}
	return diff;
}

/* Decode a map block; the result says which of its sectors fail their checks. */
static uint8_t map_decode(const struct fsck *f, uint64_t chunk, const uint8_t *block, uint8_t *map)
{
	uint8_t one[XN_BLOCK_SIZE], bits[XN_MAP_CHUNK_BYTES], mask = 0;

	if (xn_map_decode(&f->super, chunk, block, map) == 0)
		return 0;
	/* Each sector alone among zeroes: seven fail when it is whole, eight when not. */
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++) {
		memset(one, 0, sizeof(one));
		memcpy(one + i * XN_SECTOR_SIZE, block + i * XN_SECTOR_SIZE, XN_SECTOR_SIZE);
		if (xn_map_decode(&f->super, chunk, one, bits) == XN_BLOCK_SECTORS)
			mask |= (uint8_t)(1u << i);
	}
	return mask;
}

static enum fsck_problem_id leak_row(const struct fsck *f)
{
	if (!f->complete)
		return MAP_LEAK_KEPT;
	return fsck_counts_are_promised(f) ? MAP_LEAK_CLEAN : MAP_LEAK;
}

/* Report one chunk's differences; the answers become the bits to clear and to set. */
static void chunk_ask(struct fsck *f, const struct difference *diff, bool *free_leaked,
		      bool *mark_lost)
{
	*free_leaked = diff->leaked && fsck_found(f->check, leak_row(f),
						  &(struct fsck_note){ .block = diff->first_leaked,
								       .count = diff->leaked });
	*mark_lost = diff->lost && fsck_found(f->check, MAP_FREE_BUT_OWNED,
					      &(struct fsck_note){ .block = diff->first_lost,
								   .count = diff->lost });
}

static int map_write(struct fsck *f, uint64_t chunk, const uint8_t *bitmap)
{
	uint8_t block[XN_BLOCK_SIZE];

	xn_map_encode(&f->super, chunk, bitmap, block);
	return fsck_write(f, xn_map_block(chunk) * XN_BLOCK_SIZE, block, sizeof(block));
}

/* What the map of a damaged sector is made of: the truth, if that is known, or all in use. */
static void rebuild_sectors(const struct fsck *f, uint8_t sectors, const uint8_t *truth,
			    uint8_t *map)
{
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		if ((sectors >> i & 1) && f->complete)
			memcpy(map + 256 * i, truth + 256 * i, 256);
}

/* Bits of `a` that are not in `b`. */
static uint64_t count_extra(const uint8_t *a, const uint8_t *b)
{
	uint64_t n = 0;

	for (size_t i = 0; i < XN_MAP_CHUNK_BYTES; i += 8)
		n += (uint64_t)__builtin_popcountll(word_at(a, i) & ~word_at(b, i));
	return n;
}

/* Damaged sectors were dealt with as a whole. */
static void apply_answers(uint8_t *map, const uint8_t *truth, uint8_t damaged, bool free_leaked,
			  bool mark_lost)
{
	for (size_t i = 0; (free_leaked || mark_lost) && i < XN_MAP_CHUNK_BYTES; i++) {
		if (damaged >> (i / 256) & 1)
			continue;
		if (free_leaked)
			map[i] &= truth[i];
		if (mark_lost)
			map[i] |= truth[i];
	}
}

/* Did it come to be readable by being written? */
static bool map_is_readable(struct fsck *f, uint64_t chunk)
{
	uint8_t block[XN_BLOCK_SIZE];

	return fsck_read(f, xn_map_block(chunk), 1, block) == 0;
}

/* Sectors that say nothing: damaged, or `unreadable` so many. */
static bool rebuild_ask(struct fsck *f, uint64_t chunk, uint8_t damaged, uint32_t unreadable)
{
	struct fsck_note note = { .block = xn_map_block(chunk),
				  .count = (uint64_t)__builtin_popcount(damaged) };

	if (!damaged)
		return false;
	if (!unreadable)
		return fsck_found(f->check, MAP_SECTOR_DAMAGED, &note);
	note.count = unreadable;
	return fsck_found(f->check, MAP_UNREADABLE, &note);
}

static void chunk_check(struct fsck *f, uint64_t chunk, const uint8_t *block, uint32_t unreadable)
{
	uint8_t map[XN_MAP_CHUNK_BYTES], truth[XN_MAP_CHUNK_BYTES], before[XN_MAP_CHUNK_BYTES];
	uint8_t damaged = map_decode(f, chunk, block, map);
	size_t since = check_finding_count(f->check);
	bool free_leaked, mark_lost, rebuild;
	struct difference diff;

	truth_of(f, chunk, truth);
	/* A sector that says nothing miscounts nothing. */
	memcpy(before, map, sizeof(before));
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		if (damaged >> i & 1)
			memcpy(before + 256 * i, truth + 256 * i, 256);
	rebuild = rebuild_ask(f, chunk, damaged, unreadable);
	if (rebuild)
		rebuild_sectors(f, damaged, truth, map);
	diff = compare(chunk, map, truth, damaged);
	chunk_ask(f, &diff, &free_leaked, &mark_lost);
	apply_answers(map, truth, damaged, free_leaked, mark_lost);
	if ((rebuild || free_leaked || mark_lost) &&
	    (map_write(f, chunk, map) || (unreadable && !map_is_readable(f, chunk)))) {
		memcpy(map, before, sizeof(map));
		check_repairs_failed(f->check, since);
	}
	if (memcmp(map, truth, sizeof(map)) == 0 && memcmp(before, truth, sizeof(map)) == 0)
		return;
	f->kept += count_extra(map, truth);
	f->found_used += count_extra(before, truth);
	f->found_free += count_extra(truth, before);
}

void fsck_map_read(struct fsck *f, uint64_t chunk, bool unknown_is_used,
		   uint8_t map[XN_MAP_CHUNK_BYTES])
{
	uint8_t block[XN_BLOCK_SIZE], damaged;

	if (chunk >= f->super.high_water) {
		xn_map_fresh(&f->super, chunk, map);
		return;
	}
	fsck_salvage(f, xn_map_block(chunk), 1, 0xff, block);
	damaged = map_decode(f, chunk, block, map);
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		if (damaged >> i & 1)
			memset(map + (size_t)i * 256, unknown_is_used ? 0xff : 0, 256);
}

/* ---- free blocks for repairs ---- */

/* Damaged sectors of a map become the truth.  False: there are none. */
static bool map_fill(struct fsck *f, uint64_t chunk, uint8_t *map)
{
	uint8_t block[XN_BLOCK_SIZE], truth[XN_MAP_CHUNK_BYTES], damaged;

	/* With one root walked, what the others own is not known. */
	if (f->opts->root || chunk >= f->super.high_water ||
	    fsck_read(f, xn_map_block(chunk), 1, block))
		return false;
	damaged = map_decode(f, chunk, block, map);
	truth_of(f, chunk, truth);
	rebuild_sectors(f, damaged, truth, map);
	return damaged != 0;
}

/* The first run of `count` blocks in a chunk that the map shows free and nobody names. */
static int run_find(const struct fsck *f, uint64_t chunk, const uint8_t *map, uint64_t count)
{
	uint8_t truth[XN_MAP_CHUNK_BYTES];
	uint64_t n = 0;

	truth_of(f, chunk, truth);
	for (uint64_t b = 0; b < XN_CHUNK_BLOCKS; b++) {
		bool used = ((map[b / 8] | truth[b / 8]) >> (b % 8) & 1) ||
			    chunk * XN_CHUNK_BLOCKS + b >= f->limit;

		n = used ? 0 : n + 1;
		if (n == count)
			return (int)(b + 1 - count);
	}
	return -1;
}

int fsck_allocate(struct fsck *f, uint64_t count, uint64_t *start)
{
	uint64_t end = f->super.high_water;
	uint8_t map[XN_MAP_CHUNK_BYTES];

	for (uint64_t i = 0; count <= XN_CHUNK_BLOCKS && i < end; i++) {
		uint64_t chunk = (f->alloc_next + i) % end;
		int at;

		fsck_map_read(f, chunk, true, map);
		at = run_find(f, chunk, map, count);
		/* Of sectors that say nothing, what nobody owns is free once everything was read. */
		if (at < 0 && f->complete && map_fill(f, chunk, map))
			at = run_find(f, chunk, map, count);
		if (at < 0)
			continue;
		for (uint64_t b = (uint64_t)at; b < (uint64_t)at + count; b++)
			map[b / 8] |= (uint8_t)(1u << (b % 8));
		*start = chunk * XN_CHUNK_BLOCKS + (uint64_t)at;
		f->alloc_next = chunk;
		f->allocated += count;
		return map_write(f, chunk, map);
	}
	return -ENOSPC;
}

static void chunk_salvage(struct fsck *f, uint64_t chunk, uint8_t *block)
{
	uint32_t lost = fsck_salvage(f, xn_map_block(chunk), 1, 0xff, block);

	chunk_check(f, chunk, block, lost);
}

/* Maps that are there to be read: a disk that was cut off may claim any number of them. */
static uint64_t maps_end(const struct fsck *f)
{
	uint64_t there = (f->limit + XN_CHUNK_BLOCKS - 1 - XN_MAP_OFFSET) / XN_CHUNK_BLOCKS;

	return there < f->super.high_water ? there : f->super.high_water;
}

static void maps_below_mark(struct fsck *f)
{
	uint64_t end = maps_end(f);

	for (uint64_t chunk = 0; chunk < end && !fsck_stopped(f);) {
		uint64_t next = chunk;

		fsck_batch_reset(&f->batch);
		while (next < end && fsck_batch_add(f, xn_map_block(next), 1))
			next++;
		fsck_batch_run(f);
		for (unsigned i = 0; i < f->batch.n; i++) {
			if (fsck_batch_ok(&f->batch, i))
				chunk_check(f, chunk + i, f->batch.iov[i].iov_base, 0);
			else
				chunk_salvage(f, chunk + i, f->batch.iov[i].iov_base);
		}
		chunk = next;
		check_progress(f->check, chunk, end);
	}
}

/* Write the maps of all chunks up to `chunk` and move the mark behind it. */
static void mark_raise(struct fsck *f, uint64_t chunk)
{
	uint8_t truth[XN_MAP_CHUNK_BYTES];

	for (uint64_t c = f->super.high_water; c <= chunk; c++) {
		truth_of(f, c, truth);
		if (map_write(f, c, truth)) {
			check_repair_failed(f->check);
			return;
		}
	}
	f->super.high_water = chunk + 1;
}

/* Owned blocks where the disk was never used: the highest such chunk decides. */
static void maps_beyond_mark(struct fsck *f)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (size_t i = 0; i < f->seen.cap; i++) {
		const struct blockset_chunk *place = &f->seen.table[i];

		if (!place->bits || place->chunk < f->super.high_water)
			continue;
		first = place->chunk < first ? place->chunk : first;
		last = place->chunk > last ? place->chunk : last;
	}
	if (first != UINT64_MAX &&
	    fsck_found(f->check, MAP_BEYOND_HIGH_WATER,
		       &(struct fsck_note){ .block = first * XN_CHUNK_BLOCKS }))
		mark_raise(f, last);
}

/* Blocks that are XN's at computed places, of the whole disk. */
static uint64_t fixed_count(const struct fsck *f)
{
	uint64_t places[3];

	return xn_super_places(f->super.block_count, places) +
	       xn_chunk_count(f->super.block_count) + 2 * XN_CAT_KINDS + f->super.log_blocks;
}

/*
 * The superblock's count shall be what the map as it was found says; whatever
 * this run repaired is then taken into account without another word.  After a
 * crash the count is not expected to be right.
 */
static void free_count(struct fsck *f)
{
	uint64_t used = fixed_count(f) + f->seen.blocks;
	uint64_t found =
		f->super.block_count - (used + f->found_used - f->found_free) + f->allocated;
	bool wrong = f->super.free_blocks != found && fsck_counts_are_promised(f);

	used += f->kept;
	f->result->used_blocks = used;
	if (f->stopped)
		return;
	if (wrong &&
	    (!fsck_found(f->check, SUPER_FREE_COUNT,
			 &(struct fsck_note){ .other = f->super.free_blocks, .count = found })))
		return;
	if (wrong && fsck_super_begin(f))
		check_repair_failed(f->check);
	f->super.free_blocks = f->super.block_count - used;
}

int fsck_map_check(struct fsck *f)
{
	f->kept = f->found_used = f->found_free = 0;
	maps_below_mark(f);
	if (!f->stopped)
		maps_beyond_mark(f);
	free_count(f);
	return 0;
}
