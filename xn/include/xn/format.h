/* SPDX-License-Identifier: MIT */
/*
 * What is on an XN disk, byte by byte (FORMAT.md says the same in prose), and
 * the functions that turn those bytes into checked values and back.
 *
 * Shared by XN and by everything that reads a disk without XN (fsck, probe).
 *
 *  (1) All integers are little-endian.  All structures are one 512-byte sector,
 *      so that rewriting one is atomic.
 *  (2) Every sector carries CRC-32C over its 512 bytes with the crc field as 0.
 *      All but the superblock's start from a seed made of the disk's uuid, so a
 *      sector of another disk is never taken for one of this.
 *  (3) decode functions check every number that the rest of the program will
 *      use: range, alignment, overflow.  What they return may be trusted to be
 *      in range, not to be true.
 *
 * A disk:
 *
 *   block 0       superblock (copies: first block of chunk 1, last block of the disk)
 *   block 1       map of chunk 0; the map of chunk c is block c * 16384 + 1
 *   blocks 2..4   first blocks of the catalogues: templates, roots, principals
 *   blocks 5..7   their twins
 *   blocks 8..    area of the intent log
 *   the rest      template images, root objects and all that they own
 */
#ifndef XN_FORMAT_H
#define XN_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xn/endian.h"

#ifdef __cplusplus
extern "C" {
#endif

#define XN_BLOCK_SIZE     4096u
#define XN_SECTOR_SIZE    512u
#define XN_BLOCK_SECTORS  8u
#define XN_CHUNK_BLOCKS   16384u
#define XN_MAP_OFFSET     1u /* of a chunk's map block inside the chunk */
#define XN_BLOCKS_MAX     (1ull << 48)
#define XN_BLOCKS_MIN     256ull /* 1 MiB */
#define XN_FORMAT_VERSION 1u

#define XN_TEMPLATES_MAX 65536u
#define XN_ROOTS_MAX     (1u << 20)

#define XN_TYPE_DATA     0u /* built-in types */
#define XN_TYPE_RESERVED 1u
#define XN_TYPE_FIRST    16u /* id of the first installed template; slot + 16 */

/* ---- superblock ---- */

#define XN_SUPER_MAGIC "XNDISK\r\n" /* 8 bytes */

#define XN_STATE_CLEAN 1u
#define XN_STATE_INUSE 2u /* open for writing, or was when the power went */

/* Features that a reader must know. */
#define XN_INCOMPAT_LOG   1ull /* the intent log may hold what is not in its place yet */
#define XN_INCOMPAT_KNOWN XN_INCOMPAT_LOG

#define XN_SUPER_RECLAIM 1u /* flag: space may be lost until the next reclaim */
#define XN_SUPER_DAMAGED 2u /* flag: damage was met; xn-fsck is asked for */

struct xn_super_disk {
	uint8_t magic[8];        /* 0x000 */
	le32_t crc;              /* 0x008 */
	le32_t version;          /* 0x00c  XN_FORMAT_VERSION */
	le32_t block_size;       /* 0x010  4096 */
	le32_t chunk_blocks;     /* 0x014  16384 */
	le64_t block_count;      /* 0x018 */
	uint8_t uuid[16];        /* 0x020 */
	char label[64];          /* 0x030  NUL-padded */
	le64_t compat;           /* 0x070  feature bits: unknown ones are ignored */
	le64_t incompat;         /* 0x078  unknown ones: do not open */
	le64_t ro_compat;        /* 0x080  unknown ones: open read-only */
	le64_t generation;       /* 0x088  counts superblock writes; the newest valid copy wins */
	le64_t mount_epoch;      /* 0x090  counts openings for writing */
	le32_t state;            /* 0x098 */
	le32_t flags;            /* 0x09c */
	le64_t high_water;       /* 0x0a0  chunks at or beyond it were never used: no map on disk */
	le64_t free_blocks;      /* 0x0a8  exact when clean */
	le64_t catalogue[3];     /* 0x0b0  first block: templates, roots, principals */
	le64_t twin[3];          /* 0x0c8  first twin block of each */
	le64_t log_start;        /* 0x0e0  area of the intent log */
	le64_t log_blocks;       /* 0x0e8 */
	le64_t format_time;      /* 0x0f0  ns since 1970 */
	le64_t open_time;        /* 0x0f8 */
	le64_t write_time;       /* 0x100 */
	le64_t holder_pid;       /* 0x108  who has it open; 0 when clean */
	char holder_host[64];    /* 0x110 */
	char holder_command[32]; /* 0x150 */
	uint8_t reserved[144];   /* 0x170  zero */
};
static_assert(sizeof(struct xn_super_disk) == 512, "frozen");
static_assert(offsetof(struct xn_super_disk, block_count) == 0x18, "frozen");
static_assert(offsetof(struct xn_super_disk, generation) == 0x88, "frozen");
static_assert(offsetof(struct xn_super_disk, catalogue) == 0xb0, "frozen");
static_assert(offsetof(struct xn_super_disk, holder_pid) == 0x108, "frozen");
static_assert(offsetof(struct xn_super_disk, reserved) == 0x170, "frozen");

enum xn_catalogue_kind {
	XN_CAT_TEMPLATES = 0,
	XN_CAT_ROOTS = 1,
	XN_CAT_PRINCIPALS = 2,
	XN_CAT_KINDS = 3,
};

struct xn_super {
	uint64_t block_count;
	uint8_t uuid[16];
	char label[65];
	uint64_t compat, incompat, ro_compat;
	uint64_t generation, mount_epoch;
	uint32_t state, flags;
	uint64_t high_water, free_blocks;
	uint64_t catalogue[XN_CAT_KINDS], twin[XN_CAT_KINDS];
	uint64_t log_start, log_blocks;
	int64_t format_time, open_time, write_time;
	uint64_t holder_pid;
	char holder_host[65], holder_command[33];
};

/*
 * Fails with
 *   XN_EFOREIGN  no magic: not an XN disk
 *   XN_EDAMAGED  checksum or a field is wrong
 *   XN_EVERSION  a newer version, or unknown incompat bits
 */
int xn_super_decode(const struct xn_super_disk *disk, struct xn_super *super);
void xn_super_encode(const struct xn_super *super, struct xn_super_disk *disk);

/* Blocks that hold the superblock and its copies on a disk of that size: 2 or 3, ascending. */
unsigned xn_super_places(uint64_t block_count, uint64_t places[3]);

/* Does the range leave the disk, or hold a block of XN's at a fixed place?  All but chained ones. */
bool xn_super_fixed(const struct xn_super *super, uint64_t start, uint64_t count);

/* Fill `super` for a new disk of `block_count` blocks (geometry only; uuid, label, times: caller). */
void xn_super_layout(uint64_t block_count, struct xn_super *super);

/* ---- free map ---- */

#define XN_MAP_MAGIC       0x504d4e58u /* "XNMP" */
#define XN_MAP_SECTOR_BITS 2048u
#define XN_MAP_CHUNK_BYTES (XN_CHUNK_BLOCKS / 8u)

/* One eighth of a chunk's map block.  Bit b of byte i set = block in use. */
struct xn_map_sector_disk {
	le32_t crc;            /* 0x000 */
	le32_t magic;          /* 0x004 */
	le64_t chunk;          /* 0x008 */
	le32_t index;          /* 0x010  0..7 */
	uint8_t reserved[236]; /* 0x014  zero */
	uint8_t bits[256];     /* 0x100  2048 blocks */
};
static_assert(sizeof(struct xn_map_sector_disk) == 512, "frozen");
static_assert(offsetof(struct xn_map_sector_disk, bits) == 0x100, "frozen");

uint64_t xn_chunk_count(uint64_t block_count);
uint64_t xn_map_block(uint64_t chunk);

/*
 * Decode a chunk's map block (4096 bytes) into XN_MAP_CHUNK_BYTES of bitmap.  A
 * sector that fails its checks reads as all in use; returns how many did.
 */
unsigned xn_map_decode(const struct xn_super *super, uint64_t chunk, const void *block,
		       uint8_t *bitmap);
void xn_map_encode(const struct xn_super *super, uint64_t chunk, const uint8_t *bitmap,
		   void *block);

/*
 * The bitmap that a never-used chunk has: its map block, superblock copies and
 * what lies beyond the end are in use; in chunk 0 also the first catalogue blocks and the log.
 */
void xn_map_fresh(const struct xn_super *super, uint64_t chunk, uint8_t *bitmap);

/* ---- catalogues ---- */

/*
 * A catalogue is a chain of blocks, each with a twin elsewhere: sector 0 is the
 * link, sectors 1-7 are entries.  Entry k of the catalogue is sector 1 + k % 7
 * of block k / 7 of the chain.  A slot, once used, is never used for anything
 * else, so ids are never reused.  Of a sector and its twin, the valid one with
 * the higher `seq` counts.  An all-zero sector is an entry never used.
 */
#define XN_CAT_MAGIC         0x43434e58u /* "XNCC" */
#define XN_CAT_ENTRIES_BLOCK 7u

struct xn_cat_link_disk {
	le32_t crc;             /* 0x000 */
	le32_t magic;           /* 0x004 */
	le32_t kind;            /* 0x008  enum xn_catalogue_kind */
	le32_t index;           /* 0x00c  place of this block in the chain */
	le64_t seq;             /* 0x010 */
	le64_t self, twin;      /* 0x018  this block and its twin, as the primary sees it */
	le64_t next, next_twin; /* 0x028  0 at the end */
	uint8_t reserved[456];  /* 0x038 */
};
static_assert(sizeof(struct xn_cat_link_disk) == 512, "frozen");

struct xn_cat_link {
	uint32_t kind, index;
	uint64_t seq, self, twin, next, next_twin;
};

int xn_cat_link_decode(const struct xn_super *super, const void *sector, struct xn_cat_link *link);
void xn_cat_link_encode(const struct xn_super *super, const struct xn_cat_link *link, void *sector);

#define XN_ENTRY_FREE    0u
#define XN_ENTRY_USED    1u
#define XN_ENTRY_REMOVED 2u /* slot is spent */

/* Every entry starts with this; payload fields follow at 0x28. */
struct xn_entry_head_disk {
	le32_t crc;   /* 0x000 */
	le32_t magic; /* 0x004  kind's magic */
	le64_t seq;   /* 0x008 */
	le64_t id;    /* 0x010  slot + 16 (templates), slot + 1 (roots, principals) */
	le32_t state; /* 0x018 */
	le32_t flags; /* 0x01c */
	le64_t time;  /* 0x020  created, ns since 1970 */
};
static_assert(sizeof(struct xn_entry_head_disk) == 0x28, "frozen");

#define XN_TEMPLATE_MAGIC  0x54544e58u /* "XNTT" */
#define XN_ROOT_MAGIC      0x52524e58u /* "XNRR" */
#define XN_PRINCIPAL_MAGIC 0x50504e58u /* "XNPP" */

struct xn_template_entry_disk {
	struct xn_entry_head_disk head;
	le64_t image_start;  /* 0x028  blocks that hold the image, owned by XN */
	le32_t image_blocks; /* 0x030 */
	le32_t image_len;    /* 0x034  bytes */
	uint8_t sha256[32];  /* 0x038 */
	le64_t batch_first;  /* 0x058  id of the first template installed together with this one */
	le32_t batch_count;  /* 0x060 */
	le32_t batch_index;  /* 0x064 */
	le32_t installer;    /* 0x068  uid */
	le32_t spare;        /* 0x06c */
	char name[64];       /* 0x070 */
	uint8_t reserved[336];
};
static_assert(sizeof(struct xn_template_entry_disk) == 512, "frozen");

struct xn_root_entry_disk {
	struct xn_entry_head_disk head;
	le64_t object;         /* 0x028  first block of the root object */
	le64_t type;           /* 0x030  its template */
	le64_t quota;          /* 0x038  blocks; 0 = no limit */
	le64_t reserve;        /* 0x040  blocks kept for it */
	le64_t used;           /* 0x048  blocks: an upper bound, exact when clean */
	le32_t uid, gid, mode; /* 0x050 */
	le32_t weight;         /* 0x05c  bandwidth share */
	char name[64];         /* 0x060 */
	char libfs[32];        /* 0x0a0  who understands it */
	uint8_t uuid[16];      /* 0x0c0 */
	uint8_t reserved[304];
};
static_assert(sizeof(struct xn_root_entry_disk) == 512, "frozen");

struct xn_principal_entry_disk {
	struct xn_entry_head_disk head;
	le32_t uid;         /* 0x028 */
	le32_t spare;       /* 0x02c */
	le64_t blocks;      /* 0x030  allowances; 0 = no limit */
	le64_t templates;   /* 0x038 */
	le64_t roots;       /* 0x040 */
	le64_t cache_pages; /* 0x048 */
	le64_t pins;        /* 0x050 */
	le64_t pending;     /* 0x058 */
	uint8_t reserved[416];
};
static_assert(sizeof(struct xn_principal_entry_disk) == 512, "frozen");

struct xn_template_entry {
	uint64_t seq, id;
	uint32_t state, flags;
	int64_t time;
	uint64_t image_start;
	uint32_t image_blocks, image_len;
	uint8_t sha256[32];
	uint64_t batch_first;
	uint32_t batch_count, batch_index;
	uint32_t installer;
	char name[65];
};

struct xn_root_entry {
	uint64_t seq, id;
	uint32_t state, flags;
	int64_t time;
	uint64_t object, type, quota, reserve, used;
	uint32_t uid, gid, mode, weight;
	char name[65];
	char libfs[33];
	uint8_t uuid[16];
};

struct xn_principal_entry {
	uint64_t seq, id;
	uint32_t state, flags;
	int64_t time;
	uint32_t uid;
	uint64_t blocks, templates, roots, cache_pages, pins, pending;
};

/*
 * Decode an entry that sits in slot `slot`.  Returns 0 with state FREE for an
 * all-zero sector; XN_EDAMAGED when checksum, magic, id or a field is wrong.
 */
int xn_template_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			     struct xn_template_entry *entry);
void xn_template_entry_encode(const struct xn_super *super, const struct xn_template_entry *entry,
			      void *sector);
int xn_root_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			 struct xn_root_entry *entry);
void xn_root_entry_encode(const struct xn_super *super, const struct xn_root_entry *entry,
			  void *sector);
int xn_principal_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			      struct xn_principal_entry *entry);
void xn_principal_entry_encode(const struct xn_super *super, const struct xn_principal_entry *entry,
			       void *sector);

/*
 * The global type that child `index` of a template stands for, given the entry it was installed
 * by: resolves SELF and BATCH + k.
 */
uint64_t xn_template_child_type(const struct xn_template_entry *entry, uint64_t child_id);

/* The seed of a disk's checksums, from its uuid. */
uint32_t xn_format_seed(const struct xn_super *super);

/* May a root be called that?  1-63 bytes, no '/', no control characters, not "." or "..". */
bool xn_root_name_ok(const char *name);

#ifdef __cplusplus
}
#endif

#endif
