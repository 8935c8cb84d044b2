/* SPDX-License-Identifier: MIT */
/*
 * Template images for tests, written by the offsets of FORMAT.md with nothing
 * of the loader's own.
 */
#ifndef TESTS_UDF_IMAGE_BUILDER_H
#define TESTS_UDF_IMAGE_BUILDER_H

#include "assembler.h"

enum at {
	AT_MAGIC = 0x00,
	AT_MAJOR = 0x08,
	AT_MINOR = 0x0a,
	AT_LEN = 0x0c,
	AT_CRC = 0x10,
	AT_FLAGS = 0x14,
	AT_NAME = 0x18,
	AT_OBJ_SIZE = 0x58,
	AT_HDR_LEN = 0x5c,
	AT_REC_OFF = 0x60,
	AT_REC_SIZE = 0x64,
	AT_REC_COUNT = 0x68,
	AT_MAX_EMIT = 0x6c,
	AT_FUEL = 0x70,
	AT_N_CHILD = 0x84,
	AT_CHILD_OFF = 0x88,
	AT_RODATA_OFF = 0x8c,
	AT_RODATA_LEN = 0x90,
	AT_FN = 0x94,
	AT_INIT_OFF = 0xbc,
	AT_INIT_LEN = 0xc0,
	AT_RESERVED = 0xc4,
	AT_SECTIONS = 0x100,
};

struct image {
	uint8_t bytes[2 * UDF_IMAGE_MAX];
	size_t len;
};

static inline void image_put(struct image *image, size_t at, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		image->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

static inline uint32_t image_get32(const struct image *image, size_t at)
{
	const uint8_t *b = image->bytes + at;

	return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

/* CRC-32C one bit at a time, over all but the field itself. */
static inline uint32_t image_crc(const struct image *image)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < image->len; i++) {
		int own = i >= AT_CRC && i < AT_CRC + 4;

		crc ^= own ? 0 : image->bytes[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static inline void image_seal(struct image *image)
{
	image_put(image, AT_LEN, image->len, 4);
	image_put(image, AT_CRC, image_crc(image), 4);
}

/* Append a section; where it lies is noted at `off_at`, its length at `len_at` (0: nowhere). */
static inline void image_section(struct image *image, const void *bytes, size_t len, size_t off_at,
				 size_t len_at)
{
	if (!len)
		return;
	image_put(image, off_at, image->len, 4);
	if (len_at)
		image_put(image, len_at, len, 4);
	memcpy(image->bytes + image->len, bytes, len);
	image->len = (image->len + len + 7) & ~(size_t)7;
}

/* What an image is to hold; zeroes are absent. */
struct recipe {
	const char *name;
	uint32_t flags, obj_size, hdr_len, rec_off, rec_size, rec_count, max_emit, fuel;
	uint64_t child[70]; /* from child 2 on, until 0 */
	const void *rodata;
	size_t rodata_len;
	const struct program *fn[UDF_FN_COUNT];
	const void *init;
	size_t init_len;
};

static inline void image_children(struct image *image, const struct recipe *recipe)
{
	uint8_t table[72 * 8] = { 0 };
	size_t n = 2;

	table[8] = 1;
	for (; recipe->child[n - 2]; n++)
		for (unsigned i = 0; i < 8; i++)
			table[8 * n + i] = (uint8_t)(recipe->child[n - 2] >> (8 * i));
	image_put(image, AT_N_CHILD, n, 4);
	image_section(image, table, n * 8, AT_CHILD_OFF, 0);
}

static inline void image_build(struct image *image, const struct recipe *recipe)
{
	memset(image, 0, sizeof(*image));
	image->len = AT_SECTIONS;
	memcpy(image->bytes, "XNTMPL\r\n", 8);
	image_put(image, AT_MAJOR, 1, 2);
	image_put(image, AT_FLAGS, recipe->flags, 4);
	memcpy(image->bytes + AT_NAME, recipe->name, strlen(recipe->name));
	image_put(image, AT_OBJ_SIZE, recipe->obj_size, 4);
	image_put(image, AT_HDR_LEN, recipe->hdr_len, 4);
	image_put(image, AT_REC_OFF, recipe->rec_off, 4);
	image_put(image, AT_REC_SIZE, recipe->rec_size, 4);
	image_put(image, AT_REC_COUNT, recipe->rec_count, 4);
	image_put(image, AT_MAX_EMIT, recipe->fn[UDF_FN_OWNS] ? recipe->max_emit : 0, 4);
	image_children(image, recipe);
	image_section(image, recipe->rodata, recipe->rodata_len, AT_RODATA_OFF, AT_RODATA_LEN);
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		const struct program *p = recipe->fn[fn];

		if (!p)
			continue;
		image_put(image, AT_FUEL + 4 * fn, recipe->fuel ? recipe->fuel : 1 << 18, 4);
		image_section(image, p->bytes, LEN(p), AT_FN + 8 * fn, AT_FN + 8 * fn + 4);
	}
	image_section(image, recipe->init, recipe->init_len, AT_INIT_OFF, AT_INIT_LEN);
	image_seal(image);
}

/* `owns` of an array of block numbers: *record, unless 0, is one block of child 0. */
static inline void put_pointer_owns(struct program *p)
{
	put(p, 0x79, 1, 1, 0, 0); /* r1 = *(u64 *)r1 */
	put(p, 0x15, 1, 0, 3, 0); /* if r1 == 0 goto end */
	put_mov(p, 2, 1);
	put_mov(p, 3, 0);
	put(p, 0x85, 0, 0, 0, 1);
	put_mov(p, 0, 0);
	put_exit(p);
}

/* Load what must load. */
static inline struct udf_template *image_load(const struct image *image)
{
	struct udf_template *tmpl = NULL;
	struct udf_refusal why;

	if (udf_template_load(image->bytes, image->len, &tmpl, &why))
		fail_msg("refused: %s", why.text);
	return tmpl;
}

#endif
