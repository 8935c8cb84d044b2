/* SPDX-License-Identifier: MIT */
#include "blockset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xn/format.h"

void blockset_clear(struct blockset *set)
{
	for (size_t i = 0; i < set->cap; i++) {
		free(set->table[i].bits);
		set->table[i].bits = NULL;
	}
	set->n = 0;
	set->blocks = 0;
}

void blockset_fini(struct blockset *set)
{
	blockset_clear(set);
	free(set->table);
	memset(set, 0, sizeof(*set));
}

/* Where `chunk` is or would be; the table is never full. */
static struct blockset_chunk *place_of(struct blockset_chunk *table, size_t cap, uint64_t chunk)
{
	size_t i = (size_t)((chunk * 0x9e3779b97f4a7c15ull) >> 32) & (cap - 1);

	while (table[i].bits && table[i].chunk != chunk)
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static int table_grow(struct blockset *set)
{
	size_t cap = set->cap ? 2 * set->cap : 8;
	struct blockset_chunk *table = calloc(cap, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < set->cap; i++)
		if (set->table[i].bits)
			*place_of(table, cap, set->table[i].chunk) = set->table[i];
	free(set->table);
	set->table = table;
	set->cap = cap;
	return 0;
}

const uint8_t *blockset_chunk(const struct blockset *set, uint64_t chunk)
{
	return set->cap ? place_of(set->table, set->cap, chunk)->bits : NULL;
}

static uint8_t *chunk_make(struct blockset *set, uint64_t chunk)
{
	struct blockset_chunk *place;

	if (4 * (set->n + 1) > 3 * set->cap && table_grow(set))
		return NULL;
	place = place_of(set->table, set->cap, chunk);
	if (!place->bits) {
		place->bits = calloc(1, XN_MAP_CHUNK_BYTES);
		if (!place->bits)
			return NULL;
		place->chunk = chunk;
		set->n++;
	}
	return place->bits;
}

/* Those bits of byte `byte` of a bitmap that belong to [from, to). */
static uint8_t mask_of(uint64_t byte, uint64_t from, uint64_t to)
{
	uint8_t mask = 0xff;

	if (from > 8 * byte)
		mask = (uint8_t)(mask << (from - 8 * byte));
	if (to < 8 * byte + 8)
		mask &= (uint8_t)(0xff >> (8 * byte + 8 - to));
	return mask;
}

/* How much of [start, start + count) lies in the chunk of `start`. */
static uint64_t part_of(uint64_t start, uint64_t count)
{
	uint64_t room = XN_CHUNK_BLOCKS - start % XN_CHUNK_BLOCKS;

	return count < room ? count : room;
}

static uint64_t part_count(const uint8_t *bits, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (uint64_t byte = from / 8; bits && byte <= (to - 1) / 8; byte++)
		n += (uint64_t)__builtin_popcount(bits[byte] & mask_of(byte, from, to));
	return n;
}

static uint64_t part_add(uint8_t *bits, uint64_t from, uint64_t to)
{
	uint64_t n = 0;

	for (uint64_t byte = from / 8; byte <= (to - 1) / 8; byte++) {
		uint8_t mask = mask_of(byte, from, to);

		n += (uint64_t)__builtin_popcount(mask & ~bits[byte]);
		bits[byte] |= mask;
	}
	return n;
}

uint64_t blockset_count(const struct blockset *set, uint64_t start, uint64_t count)
{
	uint64_t n = 0;

	while (count) {
		uint64_t part = part_of(start, count), from = start % XN_CHUNK_BLOCKS;

		n += part_count(blockset_chunk(set, start / XN_CHUNK_BLOCKS), from, from + part);
		start += part;
		count -= part;
	}
	return n;
}

int blockset_add(struct blockset *set, uint64_t start, uint64_t count)
{
	while (count) {
		uint64_t part = part_of(start, count), from = start % XN_CHUNK_BLOCKS;
		uint8_t *bits = chunk_make(set, start / XN_CHUNK_BLOCKS);

		if (!bits)
			return -ENOMEM;
		set->blocks += part_add(bits, from, from + part);
		start += part;
		count -= part;
	}
	return 0;
}
