/* SPDX-License-Identifier: MIT */
/*
 * XN disks made by hand from the encoders of xn/format.h, without the engine:
 * first sound, then broken in one place.
 */
#ifndef TESTS_FSCK_DISK_H
#define TESTS_FSCK_DISK_H

#include "expect.h"

#include "fsck/fsck.h"
#include "udf/udf.h"
#include "xn/bdev.h"
#include "xn/format.h"

#define DISK_CHUNKS_MAX 4
#define DISK_ROOTS_MAX  8

/* Kinds of a test node's records: its child's index + 1. */
enum { KIND_NONE, KIND_DATA, KIND_RESERVED, KIND_NODE, KIND_WIDE, KIND_MALFORMED = 100 };
#define DAMAGE_FAULT 0xffffffffu

enum { TYPE_NODE = XN_TYPE_FIRST, TYPE_WIDE };

struct disk {
	struct bdev *dev;
	struct xn_super super;
	uint8_t map[DISK_CHUNKS_MAX][XN_MAP_CHUNK_BYTES];
	struct xn_template_entry templates[2];
	struct xn_root_entry roots[DISK_ROOTS_MAX];
	unsigned n_roots;
	struct xn_principal_entry principal;
	uint64_t next; /* first block never given out */
};

/* A disk with both templates and no root; 4096 blocks when 0. */
struct disk *disk_new(uint64_t blocks);
void disk_free(struct disk *disk);

/* Blocks that the map shows in use. */
uint64_t disk_take(struct disk *disk, uint64_t count);
void disk_map_set(struct disk *disk, uint64_t block, bool used);
bool disk_map_get(const struct disk *disk, uint64_t block);

/* A root whose object is an empty node.  Returns the object. */
uint64_t disk_root(struct disk *disk, const char *name, const char *libfs);
/* An object, empty, owned by nobody yet. */
uint64_t disk_object(struct disk *disk, uint32_t type);
/* Let record `index` of a node own something. */
void disk_point(struct disk *disk, uint64_t node, unsigned index, uint64_t start, uint32_t count,
		uint32_t kind);
void disk_wide_point(struct disk *disk, uint64_t wide, unsigned index, uint64_t block);
void disk_damage(struct disk *disk, uint64_t node, uint64_t code);

/* Counters from what was taken; then everything onto the medium. */
void disk_settle(struct disk *disk);
void disk_write(struct disk *disk);
void disk_write_super(struct disk *disk, unsigned place);
void disk_write_map(struct disk *disk, unsigned chunk);
void disk_write_template(struct disk *disk, unsigned index, unsigned side);
void disk_write_root(struct disk *disk, unsigned index, unsigned side);

/* A sound disk: roots "a" and "b" with trees of nodes, wides, data and reserved blocks. */
struct disk *disk_sound(uint64_t blocks);

/* Bytes of the medium. */
void disk_read(struct disk *disk, uint64_t offset, void *bytes, size_t len);
void disk_poke(struct disk *disk, uint64_t offset, const void *bytes, size_t len);
void disk_fill(struct disk *disk, uint64_t offset, uint8_t byte, size_t len);
/* All of it. */
uint8_t *disk_bytes(struct bdev *dev, size_t *len);

/* fsck -f in a mode, silently. */
struct fsck_result disk_fsck(struct disk *disk, enum check_mode mode);
/* Was a problem of that code found? */
bool result_has(const struct fsck_result *result, const char *code);
void result_print(const struct fsck_result *result);
void assert_clean(struct disk *disk);

#endif
