/* SPDX-License-Identifier: MIT */
/*
 * The template image: the bytes that xn-tmpl writes, that are installed on a
 * disk, and that the loader checks.  FORMAT.md describes them one by one.
 *
 *  (1) Little-endian, flat, no relocations: every offset counts bytes from the
 *      start of the image.
 *  (2) Sections follow the header in the order child table, rodata, owns,
 *      refcnt, size, acl, check, init; each starts at the next multiple of 8
 *      after its predecessor; an absent one has offset and length 0.
 *  (3) What carries no information is zero, so a template has one encoding.
 */
#ifndef UDF_PRIVATE_IMAGE_H
#define UDF_PRIVATE_IMAGE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "validate.h"

#define UDF_IMAGE_MAGIC "XNTMPL\r\n"
#define UDF_IMAGE_ALIGN 8u

/* Bytes as they lie on disk; read with udf_le16, udf_le32, udf_le64 of this header. */
typedef struct {
	uint8_t b[2];
} udf_le16_t;
typedef struct {
	uint8_t b[4];
} udf_le32_t;
typedef struct {
	uint8_t b[8];
} udf_le64_t;

struct udf_image_section {
	udf_le32_t off;
	udf_le32_t len;
};

struct udf_image_disk {
	uint8_t magic[8];                          /* 0x000  "XNTMPL\r\n" */
	udf_le16_t abi_major;                      /* 0x008  1 */
	udf_le16_t abi_minor;                      /* 0x00a  least minor that suffices */
	udf_le32_t image_len;                      /* 0x00c  bytes, a multiple of 8 */
	udf_le32_t crc32c;                         /* 0x010  of the whole image, this field as 0 */
	udf_le32_t flags;                          /* 0x014  UDF_TEMPLATE_STICKY */
	uint8_t name[64];                          /* 0x018  0x21..0x7e, rest zero */
	udf_le32_t obj_size;                       /* 0x058  bytes */
	udf_le32_t hdr_len;                        /* 0x05c  bytes, <= rec_off */
	udf_le32_t rec_off;                        /* 0x060 */
	udf_le32_t rec_size;                       /* 0x064 */
	udf_le32_t rec_count;                      /* 0x068  0: no records, no owns, no refcnt */
	udf_le32_t max_emit;                       /* 0x06c  extents per run; 0 without owns */
	udf_le32_t fuel[UDF_FN_COUNT];             /* 0x070  0 for an absent function */
	udf_le32_t n_child;                        /* 0x084  >= 2 */
	udf_le32_t child_off;                      /* 0x088 */
	udf_le32_t rodata_off;                     /* 0x08c */
	udf_le32_t rodata_len;                     /* 0x090 */
	struct udf_image_section fn[UDF_FN_COUNT]; /* 0x094  owns, refcnt, size, acl, check */
	udf_le32_t init_off;                       /* 0x0bc */
	udf_le32_t init_len;                       /* 0x0c0  last byte is not zero */
	uint8_t reserved[60];                      /* 0x0c4  zero */
};
static_assert(sizeof(struct udf_image_disk) == 0x100, "frozen");
static_assert(offsetof(struct udf_image_disk, image_len) == 0x00c, "frozen");
static_assert(offsetof(struct udf_image_disk, crc32c) == 0x010, "frozen");
static_assert(offsetof(struct udf_image_disk, name) == 0x018, "frozen");
static_assert(offsetof(struct udf_image_disk, obj_size) == 0x058, "frozen");
static_assert(offsetof(struct udf_image_disk, rec_count) == 0x068, "frozen");
static_assert(offsetof(struct udf_image_disk, fuel) == 0x070, "frozen");
static_assert(offsetof(struct udf_image_disk, n_child) == 0x084, "frozen");
static_assert(offsetof(struct udf_image_disk, rodata_off) == 0x08c, "frozen");
static_assert(offsetof(struct udf_image_disk, fn) == 0x094, "frozen");
static_assert(offsetof(struct udf_image_disk, init_off) == 0x0bc, "frozen");
static_assert(offsetof(struct udf_image_disk, reserved) == 0x0c4, "frozen");

static inline uint16_t udf_le16(udf_le16_t v)
{
	return (uint16_t)(v.b[0] | v.b[1] << 8);
}

static inline uint32_t udf_le32(udf_le32_t v)
{
	return v.b[0] | v.b[1] << 8 | v.b[2] << 16 | (uint32_t)v.b[3] << 24;
}

static inline uint64_t udf_le64(udf_le64_t v)
{
	uint64_t value = 0;

	for (unsigned i = 8; i-- > 0;)
		value = value << 8 | v.b[i];
	return value;
}

static inline void udf_put_le16(udf_le16_t *v, uint16_t value)
{
	v->b[0] = (uint8_t)value;
	v->b[1] = (uint8_t)(value >> 8);
}

static inline void udf_put_le32(udf_le32_t *v, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		v->b[i] = (uint8_t)(value >> (8 * i));
}

static inline void udf_put_le64(udf_le64_t *v, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		v->b[i] = (uint8_t)(value >> (8 * i));
}

/* The checksum of an image: its crc32c field counts as zero. */
uint32_t udf_image_crc(const void *image, size_t len);

struct udf_template {
	struct udf_info info;
	uint8_t *image;
	uint64_t *child;
	const uint8_t *rodata;
	uint32_t rodata_len;
	struct udf_program *program[UDF_FN_COUNT]; /* NULL: absent */
};

#endif
