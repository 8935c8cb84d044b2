/* SPDX-License-Identifier: MIT */
/*
 * Little-endian numbers as they lie on disk.
 *
 * Each width is a type of its own, made of bytes: a disk number cannot be used
 * as a host number by mistake, and a structure of them has no padding and may
 * lie at any address.
 */
#ifndef XN_ENDIAN_H
#define XN_ENDIAN_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	uint8_t b[2];
} le16_t;

typedef struct {
	uint8_t b[4];
} le32_t;

typedef struct {
	uint8_t b[8];
} le64_t;

static inline uint16_t le16_get(le16_t disk)
{
	return (uint16_t)(disk.b[0] | disk.b[1] << 8);
}

static inline uint32_t le32_get(le32_t disk)
{
	return (uint32_t)disk.b[0] | (uint32_t)disk.b[1] << 8 | (uint32_t)disk.b[2] << 16 |
	       (uint32_t)disk.b[3] << 24;
}

static inline uint64_t le64_get(le64_t disk)
{
	return (uint64_t)disk.b[0] | (uint64_t)disk.b[1] << 8 | (uint64_t)disk.b[2] << 16 |
	       (uint64_t)disk.b[3] << 24 | (uint64_t)disk.b[4] << 32 | (uint64_t)disk.b[5] << 40 |
	       (uint64_t)disk.b[6] << 48 | (uint64_t)disk.b[7] << 56;
}

static inline le16_t le16_make(uint16_t value)
{
	le16_t disk = { { (uint8_t)value, (uint8_t)(value >> 8) } };

	return disk;
}

static inline le32_t le32_make(uint32_t value)
{
	le32_t disk = { { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
			  (uint8_t)(value >> 24) } };

	return disk;
}

static inline le64_t le64_make(uint64_t value)
{
	le64_t disk = { { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
			  (uint8_t)(value >> 24), (uint8_t)(value >> 32), (uint8_t)(value >> 40),
			  (uint8_t)(value >> 48), (uint8_t)(value >> 56) } };

	return disk;
}

/* The same at an address, of any alignment. */
static inline uint16_t le16_load(const void *at)
{
	le16_t disk;

	memcpy(&disk, at, sizeof(disk));
	return le16_get(disk);
}

static inline uint32_t le32_load(const void *at)
{
	le32_t disk;

	memcpy(&disk, at, sizeof(disk));
	return le32_get(disk);
}

static inline uint64_t le64_load(const void *at)
{
	le64_t disk;

	memcpy(&disk, at, sizeof(disk));
	return le64_get(disk);
}

static inline void le16_store(void *at, uint16_t value)
{
	le16_t disk = le16_make(value);

	memcpy(at, &disk, sizeof(disk));
}

static inline void le32_store(void *at, uint32_t value)
{
	le32_t disk = le32_make(value);

	memcpy(at, &disk, sizeof(disk));
}

static inline void le64_store(void *at, uint64_t value)
{
	le64_t disk = le64_make(value);

	memcpy(at, &disk, sizeof(disk));
}

#ifdef __cplusplus
}
#endif

#endif
