/* SPDX-License-Identifier: MIT */
/*
 * Statements of recipes that break disks: on the medium, behind everybody's back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe_parts.h"
#include "udf/udf.h"

static int block_write(struct recipe *r, uint64_t block, const void *bytes)
{
	return bdev_write(r->dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE, 0)
		       ? recipe_fail(r, -EIO, "block %llu cannot be written",
				     (unsigned long long)block)
		       : 0;
}

static int block_get(struct recipe *r, uint64_t block, void *bytes)
{
	return recipe_block_read(r->dev, block, bytes)
		       ? recipe_fail(r, -EIO, "block %llu cannot be read",
				     (unsigned long long)block)
		       : 0;
}

/* ---- values ---- */

static uint64_t number_at(const uint8_t *bytes, uint32_t size)
{
	uint64_t number = 0;

	for (uint32_t i = size; i-- > 0;)
		number = number << 8 | bytes[i];
	return number;
}

static void number_put(uint8_t *bytes, uint32_t size, uint64_t number)
{
	for (uint32_t i = 0; i < size; i++, number >>= 8)
		bytes[i] = (uint8_t)number;
}

static int value_hex(struct recipe *r, const char *hex, uint8_t *bytes, uint32_t size)
{
	memset(bytes, 0, size);
	for (uint32_t i = 0; i < size && hex[0] && hex[1]; i++, hex += 2) {
		char digits[3] = { hex[0], hex[1], '\0' }, *end;

		bytes[i] = (uint8_t)strtoul(digits, &end, 16);
		if (*end)
			return recipe_fail(r, -EINVAL, "\"%s\" is no hex", hex);
	}
	return 0;
}

/* @BLOCK as a number, before anything is written that it may depend on. */
static int value_resolve(struct recipe *r, const char **word, char digits[24])
{
	uint64_t block;
	int err;

	if (**word != '@')
		return 0;
	err = recipe_block(r, *word + 1, &block);
	snprintf(digits, 24, "%" PRIu64, block);
	*word = digits;
	return err;
}

/* A number, +N, -N, ones, =TEXT, hex:... */
static int value_put(struct recipe *r, const char *word, uint8_t *bytes, uint32_t size)
{
	uint64_t number, old = number_at(bytes, size < 8 ? size : 8);
	int err;

	if (strcmp(word, "ones") == 0) {
		memset(bytes, 0xff, size);
		return 0;
	}
	if (strncmp(word, "hex:", 4) == 0)
		return value_hex(r, word + 4, bytes, size);
	if (*word == '=') {
		memset(bytes, 0, size);
		memcpy(bytes, word + 1, strnlen(word + 1, size));
		return 0;
	}
	err = recipe_number(r, *word == '+' || *word == '-' ? word + 1 : word, &number);
	if (err)
		return err;
	if (*word == '+')
		number = old + number;
	else if (*word == '-')
		number = old - number;
	if (size > 8)
		memset(bytes + 8, 0, size - 8);
	number_put(bytes, size < 8 ? size : 8, number);
	return 0;
}

/* ---- checksums ---- */

static void seal_at(uint8_t *sector, uint32_t crc_at, uint32_t seed)
{
	number_put(sector + crc_at, 4, 0);
	number_put(sector + crc_at, 4, udf_crc32c(seed, sector, XN_SECTOR_SIZE));
}

static void place_seal(const struct target *target, const struct anatomy_place *place,
		       uint32_t seed, uint8_t *bytes)
{
	uint8_t *sector = bytes + place->offset / XN_SECTOR_SIZE * XN_SECTOR_SIZE;

	switch (target->seal) {
	case SEAL_NONE: break;
	case SEAL_SUPER: seal_at(sector, offsetof(struct xn_super_disk, crc), 0); break;
	case SEAL_XN: seal_at(sector, 0, seed); break;
	case SEAL_LIBFS: target->anatomy->seal(place, bytes); break;
	}
}

/* set WHERE FIELD VALUE */
static int do_set(struct recipe *r, const struct words *w)
{
	uint8_t bytes[XN_BLOCK_SIZE];
	struct xn_super super;
	struct target target;
	const char *value;
	char digits[24];
	unsigned used;
	int err = recipe_target(r, w, 1, &used, &target);

	if (!err)
		err = recipe_super(r, &super);
	if (!err && w->n != 2 + used)
		err = recipe_fail(r, -EINVAL, "set WHERE FIELD VALUE");
	value = err ? "" : w->v[1 + used];
	if (!err)
		err = value_resolve(r, &value, digits);
	for (unsigned i = 0; !err && i < target.n; i++) {
		const struct anatomy_place *place = &target.place[i];

		err = block_get(r, place->block, bytes);
		if (!err)
			err = value_put(r, value, bytes + place->offset, place->size);
		if (!err && !r->raw)
			place_seal(&target, place, xn_format_seed(&super), bytes);
		if (!err)
			err = block_write(r, place->block, bytes);
	}
	return err;
}

/* flip WHERE FIELD BIT: one bit of it, checksums as they are. */
static int do_flip(struct recipe *r, const struct words *w)
{
	uint8_t bytes[XN_BLOCK_SIZE];
	struct target target;
	uint64_t bit;
	unsigned used;
	int err = recipe_target(r, w, 1, &used, &target);

	if (!err && w->n != 2 + used)
		err = recipe_fail(r, -EINVAL, "flip WHERE FIELD BIT");
	if (!err)
		err = recipe_number(r, w->v[1 + used], &bit);
	for (unsigned i = 0; !err && i < target.n; i++) {
		const struct anatomy_place *place = &target.place[i];

		if (bit >= place->size * 8ull)
			return recipe_fail(r, -EINVAL, "the field has %u bits", place->size * 8);
		err = block_get(r, place->block, bytes);
		if (err)
			return err;
		bytes[place->offset + bit / 8] ^= (uint8_t)(1u << (bit % 8));
		err = block_write(r, place->block, bytes);
	}
	return err;
}

/* use BLOCK [COUNT], free BLOCK [COUNT]: in the free map. */
static int do_map(struct recipe *r, const struct words *w)
{
	uint8_t block[XN_BLOCK_SIZE], bits[XN_MAP_CHUNK_BYTES];
	bool use = w->v[0][0] == 'u';
	struct xn_super super;
	uint64_t at = 0, count = 1, chunk;
	int err = recipe_super(r, &super);

	if (!err)
		err = recipe_block(r, w->v[1], &at);
	if (!err && w->n > 2)
		err = recipe_number(r, w->v[2], &count);
	for (uint64_t b = at; !err && b < at + count && b < super.block_count; b++) {
		chunk = b / XN_CHUNK_BLOCKS;
		err = block_get(r, xn_map_block(chunk), block);
		if (err)
			break;
		xn_map_decode(&super, chunk, block, bits);
		if (use)
			bits[b % XN_CHUNK_BLOCKS / 8] |= (uint8_t)(1u << (b % 8));
		else
			bits[b % XN_CHUNK_BLOCKS / 8] &= (uint8_t) ~(1u << (b % 8));
		xn_map_encode(&super, chunk, bits, block);
		err = block_write(r, xn_map_block(chunk), block);
	}
	return err;
}

/* fill BLOCK BYTE; random BLOCK SEED: a whole block, or with SECTOR behind it one sector. */
static int do_fill(struct recipe *r, const struct words *w)
{
	bool is_random = strcmp(w->v[0], "random") == 0;
	uint8_t bytes[XN_BLOCK_SIZE];
	uint64_t block, value = 0, sector = 0;
	uint32_t from = 0, to = XN_BLOCK_SIZE;
	int err = recipe_block(r, w->v[1], &block);

	if (!err && w->n > 2)
		err = recipe_number(r, w->v[2], &value);
	if (!err && w->n > 3)
		err = recipe_number(r, w->v[3], &sector);
	if (!err)
		err = block_get(r, block, bytes);
	if (err)
		return err;
	if (sector >= XN_BLOCK_SECTORS)
		return recipe_fail(r, -EINVAL, "a block has 8 sectors");
	if (w->n > 3) {
		from = (uint32_t)sector * XN_SECTOR_SIZE;
		to = from + XN_SECTOR_SIZE;
	}
	for (uint32_t i = from; i < to; i++) {
		uint64_t x = (value + 1) * 0x9e3779b97f4a7c15ull + i * 0xbf58476d1ce4e5b9ull;

		bytes[i] = (uint8_t)(is_random ? (x ^ x >> 31) >> 24 : value);
	}
	return block_write(r, block, bytes);
}

/* copy FROM TO, swap A B: blocks. */
static int do_copy(struct recipe *r, const struct words *w)
{
	uint8_t a[XN_BLOCK_SIZE], b[XN_BLOCK_SIZE];
	uint64_t from, to;
	int err = recipe_block(r, w->v[1], &from);

	if (!err)
		err = recipe_block(r, w->v[2], &to);
	if (!err)
		err = block_get(r, from, a);
	if (!err)
		err = block_get(r, to, b);
	if (!err)
		err = block_write(r, to, a);
	if (!err && strcmp(w->v[0], "swap") == 0)
		err = block_write(r, from, b);
	return err;
}

/* tear BLOCK: what a write that stopped half-way leaves: the second half is zero. */
static int do_tear(struct recipe *r, const struct words *w)
{
	uint8_t bytes[XN_BLOCK_SIZE];
	uint64_t block;
	int err = recipe_block(r, w->v[1], &block);

	if (!err)
		err = block_get(r, block, bytes);
	memset(bytes + XN_BLOCK_SIZE / 2, 0, XN_BLOCK_SIZE / 2);
	return err ? err : block_write(r, block, bytes);
}

static int mem_copy(struct bdev *from, struct bdev *to, uint64_t blocks)
{
	uint8_t bytes[XN_BLOCK_SIZE];
	int err = 0;

	for (uint64_t b = 0; b < blocks && !err; b++) {
		err = recipe_block_read(from, b, bytes);
		for (size_t i = 0; !err && i < sizeof(bytes); i++) {
			if (!bytes[i])
				continue;
			err = bdev_write(to, b * XN_BLOCK_SIZE, bytes, sizeof(bytes), 0);
			break;
		}
	}
	return err;
}

/* cut BLOCKS: the device ends there. */
static int do_cut(struct recipe *r, const struct words *w)
{
	struct bdev_info info;
	struct bdev *shorter;
	uint64_t blocks;
	int err = recipe_block(r, w->v[1], &blocks);

	if (err)
		return err;
	bdev_info(r->dev, &info);
	if (blocks == 0 || blocks > info.size / XN_BLOCK_SIZE)
		return recipe_fail(r, -EINVAL, "the disk cannot end there");
	if (info.can_resize)
		return bdev_resize(r->dev, blocks * XN_BLOCK_SIZE);
	err = bdev_mem_create(blocks * XN_BLOCK_SIZE, &shorter);
	if (err)
		return err;
	err = mem_copy(r->dev, shorter, blocks);
	bdev_close(err ? shorter : r->dev);
	if (!err)
		r->dev = shorter;
	return err;
}

int recipe_break(struct recipe *r, const struct words *words)
{
	static const struct {
		const char *word;
		unsigned min, max; /* words */
		int (*run)(struct recipe *r, const struct words *words);
	} statements[] = {
		{ "set", 4, 7, do_set },   { "flip", 4, 7, do_flip }, { "use", 2, 3, do_map },
		{ "free", 2, 3, do_map },  { "fill", 3, 4, do_fill }, { "random", 3, 4, do_fill },
		{ "zero", 2, 2, do_fill }, { "copy", 3, 3, do_copy }, { "swap", 3, 3, do_copy },
		{ "tear", 2, 2, do_tear }, { "cut", 2, 2, do_cut },
	};

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		int err;

		if (strcmp(words->v[0], statements[i].word) != 0)
			continue;
		if (words->n < statements[i].min || words->n > statements[i].max)
			return recipe_fail(r, -EINVAL, "\"%s\" takes %u to %u words", words->v[0],
					   statements[i].min - 1, statements[i].max - 1);
		if (!r->dev)
			return recipe_fail(r, -EINVAL, "there is no disk yet");
		err = recipe_close(r);
		return err ? err : statements[i].run(r, words);
	}
	return 1;
}
