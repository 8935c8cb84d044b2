/* SPDX-License-Identifier: MIT */
/*
 * C-FFS's format in C: entries, sectors, slots, checksums.  No XN in here: the
 * checker and the tests use it too.
 *
 *  (1) Bytes from the disk are checked here (cffs_sector_check) before anything
 *      else looks at them; the other functions take sectors that passed, or that
 *      were made here.
 *  (2) An all-zero sector is a valid empty one.
 *  (3) Entries keep their slot for life; their offset in the sector is nobody's
 *      business but the sector's.
 */
#ifndef CFFS_FORMAT_H
#define CFFS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "layout.h"
#include "xn/endian.h"

#define CFFS_INO_ROOT 1u
#define CFFS_INO_XDIR 2u  /* directory of external inodes: hard-linked files, or all of them */
#define CFFS_INO_ODIR 3u  /* directory of orphans */
#define CFFS_INO_USER 64u /* the lowest that a file may have */

/* Of an inode entry. */
#define CFFS_F_ORPHAN 1u /* removed while in use */

#define CFFS_INLINE_MAX     160u /* bytes of a file or symlink kept in the entry */
#define CFFS_INLINE_FILE    128u /* ... of a file, unless mkfs said otherwise */
#define CFFS_BODY_SLOTS     4u   /* slots of an inode in memory; more go to a node */
#define CFFS_FILE_SLOTS     1u   /* slots an entry is born with: file */
#define CFFS_DIR_SLOTS      2u   /* ... directory */
#define CFFS_BLOCKS_MAX     (1ull << 40)
#define CFFS_INDEX_BASE     (1ull << 39) /* logical block where a directory's index begins */
#define CFFS_SLOT_COUNT_MAX 0xffffffu

struct cffs_slot {
	uint64_t start;
	uint64_t logical;
	uint32_t count;
	uint32_t class; /* CFFS_CLASS_* */
};

void cffs_slot_encode(const struct cffs_slot *slot, uint8_t bytes[CFFS_SLOT_SIZE]);
void cffs_slot_decode(const uint8_t bytes[CFFS_SLOT_SIZE], struct cffs_slot *slot);

/* What write, truncate and the like change of an inode. */
struct cffs_body {
	uint64_t size;
	uint64_t blocks; /* owned by the file, nodes and attributes included */
	uint8_t n_slots; /* always >= 1; unused ones have class 0 */
	uint8_t inline_len;
	struct cffs_slot slot[CFFS_BODY_SLOTS];
	uint8_t inline_data[CFFS_INLINE_MAX];
};

/* The rest of it. */
struct cffs_attr {
	uint64_t ino;
	uint32_t generation;
	uint32_t mode, uid, gid, nlink;
	uint32_t flags; /* CFFS_F_* */
	uint64_t rdev;  /* devices: kept where the size would be */
	struct timespec atime, mtime, ctime, btime;
};

/* An entry in a sector, decoded; pointers lead into the sector. */
struct cffs_entry {
	uint8_t kind, slot;
	uint8_t name_len;
	const char *name;
	/* link */
	uint8_t dtype;
	uint64_t link_ino;
	uint32_t link_place; /* block * 8 + sector, in XDIR */
	/* inode */
	struct cffs_attr a;
	struct cffs_body b;
	const uint8_t *xattr;
	uint16_t xattr_len;
};

/* Bytes that an entry needs in a sector. */
uint32_t cffs_entry_len(const struct cffs_entry *entry);

/* ---- sectors of cffs.dir ---- */

/* 0, or what is wrong (a small positive number, as the template's check says it). */
int cffs_sector_check(const uint8_t sector[CFFS_SECTOR]);
/* Entries one after the other: `*at` is 0 at first.  False at the end. */
bool cffs_sector_next(const uint8_t sector[CFFS_SECTOR], uint32_t *at, struct cffs_entry *entry);
/* The same without decoding: offset of the entry or 0. */
uint32_t cffs_sector_find_slot(const uint8_t sector[CFFS_SECTOR], uint8_t slot);
uint32_t cffs_sector_find_name(const uint8_t sector[CFFS_SECTOR], const char *name,
			       uint8_t name_len);
void cffs_entry_decode(const uint8_t sector[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry);
/* Bytes free in one piece; 0 also when all 32 places are taken. */
uint32_t cffs_sector_room(const uint8_t sector[CFFS_SECTOR]);
int cffs_sector_free_slot(const uint8_t sector[CFFS_SECTOR]);
/* These keep everything but the checksum; cffs_sector_seal() ends a series. */
void cffs_sector_init(uint8_t sector[CFFS_SECTOR], uint64_t dir, uint32_t place);
bool cffs_sector_add(uint8_t sector[CFFS_SECTOR], const struct cffs_entry *entry);
/* The entry becomes another of the same place; false: no room, nothing done. */
bool cffs_sector_replace(uint8_t sector[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry);
void cffs_sector_remove(uint8_t sector[CFFS_SECTOR], uint32_t at);
void cffs_sector_seal(uint8_t sector[CFFS_SECTOR]);

/* ---- checksums ---- */

uint32_t cffs_crc(const void *bytes, size_t len);

/* Any sector of cffs.ext or cffs.raw starts with the checksum of its other 508 bytes. */
static inline void cffs_seal(uint8_t sector[CFFS_SECTOR])
{
	le32_t crc = le32_make(cffs_crc(sector + 4, CFFS_SECTOR - 4));

	sector[0] = crc.b[0];
	sector[1] = crc.b[1];
	sector[2] = crc.b[2];
	sector[3] = crc.b[3];
}

/* ---- parameters: the only entry of sector 0 of the root object ---- */

/* 2: directories have an index, and their size is where their blocks end. */
#define CFFS_VERSION    2u
#define CFFS_O_NO_EMBED 1u /* every inode lies in XDIR, names are links */
#define CFFS_O_NO_GROUP 2u

struct cffs_params {
	uint32_t version, options;
	uint64_t compat, incompat, ro_compat;
	uint64_t created; /* seconds */
	uint32_t inline_max;
	uint64_t
		ino_limit; /* numbers below it may be taken, in the mount epoch of its upper half */
	uint8_t uuid[16];
};

void cffs_params_encode(const struct cffs_params *params, uint8_t sector[CFFS_SECTOR]);
/* False: there are none. */
bool cffs_params_decode(const uint8_t sector[CFFS_SECTOR], struct cffs_params *params);

#endif
