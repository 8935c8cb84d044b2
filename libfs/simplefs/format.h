/* SPDX-License-Identifier: MIT */
/*
 * The bytes of simplefs on disk, for the file system and its checker.
 *
 *  (1) Nothing that must change as one crosses a sector of 512 bytes.
 *  (2) All zero is a well-formed empty object of every type, and an empty block
 *      of a directory.
 *  (3) A name on disk says which birth of the inode it means.  If the inode is
 *      not, or is no longer, of that birth, the name is not there.
 */
#ifndef SIMPLEFS_FORMAT_H
#define SIMPLEFS_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xn/endian.h"
#include "layout.h"

#define SFS_BLOCK      4096u
#define SFS_SECTOR     512u
#define SFS_NAME_MAX   255u
#define SFS_ROOT_INO   1u
#define SFS_INODES_MAX (SIMPLEFS_SUPER_SLOTS * SIMPLEFS_IMAP_SLOTS * SIMPLEFS_ITAB_INODES)

/* Blocks that pointers of each kind reach, and all together. */
#define SFS_SPAN1    (uint64_t) SIMPLEFS_IND_SLOTS
#define SFS_SPAN2    (SFS_SPAN1 * SIMPLEFS_IND_SLOTS)
#define SFS_SPAN3    (SFS_SPAN2 * SIMPLEFS_IND_SLOTS)
#define SFS_FILE_MAX ((SIMPLEFS_N_DIRECT + SFS_SPAN1 + SFS_SPAN2 + SFS_SPAN3) * SFS_BLOCK)

struct sfs_super_disk {
	le64_t magic;                      /* 0x00 */
	le32_t version;                    /* 0x08 */
	le32_t reserved0;                  /* 0x0c zero */
	uint8_t uuid[16];                  /* 0x10 of the root it was made in */
	le64_t created;                    /* 0x20 seconds since 1970 */
	uint8_t reserved[472];             /* 0x28 zero */
	le64_t imap[SIMPLEFS_SUPER_SLOTS]; /* 0x200 */
};
static_assert(sizeof(struct sfs_super_disk) == SFS_BLOCK, "frozen");
static_assert(offsetof(struct sfs_super_disk, imap) == SIMPLEFS_SUPER_RAW, "frozen");

struct sfs_inode_disk {
	le32_t mode;    /* 0x00 as st_mode; 0: free */
	le32_t nlink;   /* 0x04 0: removed, and still open when the power went */
	le64_t birth;   /* 0x08 grows each time the inode is taken into use */
	le32_t uid;     /* 0x10 */
	le32_t gid;     /* 0x14 */
	le64_t size;    /* 0x18 bytes */
	le64_t blocks;  /* 0x20 blocks it owns, those for pointers included */
	le64_t rdev;    /* 0x28 of a device node */
	le32_t parent;  /* 0x30 of a directory: the inode of ".." */
	le32_t flags;   /* 0x34 zero */
	le64_t sec[4];  /* 0x38 signed: atime, mtime, ctime, btime */
	le32_t nsec[4]; /* 0x58 */
	union {
		struct {
			le64_t direct[SIMPLEFS_N_DIRECT]; /* 0x68 */
			le64_t ind[SIMPLEFS_N_IND];       /* 0xc8 */
		};
		char target[SIMPLEFS_INLINE]; /* of a short symlink, zero behind it */
	};
	uint8_t reserved[32]; /* 0xe0 zero */
};
static_assert(sizeof(struct sfs_inode_disk) == SIMPLEFS_INODE_SIZE, "frozen");
static_assert(offsetof(struct sfs_inode_disk, mode) == SIMPLEFS_MODE, "frozen");
static_assert(offsetof(struct sfs_inode_disk, size) == SIMPLEFS_SIZE, "frozen");
static_assert(offsetof(struct sfs_inode_disk, direct) == SIMPLEFS_DIRECT, "frozen");
static_assert(offsetof(struct sfs_inode_disk, ind) == SIMPLEFS_IND, "frozen");

/*
 * A sector of a directory is a row of slots, each `len` bytes long, used (ino
 * not 0) or free.  A len of 0 means: free up to the end of the sector.
 */
struct sfs_slot_disk {
	le32_t ino;       /* 0x00 0: free */
	le16_t len;       /* 0x04 a multiple of 8 */
	uint8_t name_len; /* 0x06 */
	uint8_t type;     /* 0x07 SIMPLEFS_REG, ... */
	le64_t birth;     /* 0x08 of the inode meant */
			  /* 0x10 the name, not terminated */
};
#define SFS_SLOT_HEADER 16u
static_assert(sizeof(struct sfs_slot_disk) == SFS_SLOT_HEADER, "frozen");

/* ---- the same in the host's numbers ---- */

enum sfs_time { SFS_ATIME, SFS_MTIME, SFS_CTIME, SFS_BTIME, SFS_TIMES };

struct sfs_fields {
	uint32_t mode, nlink, uid, gid, parent;
	uint64_t birth, size, blocks, rdev;
	int64_t sec[SFS_TIMES];
	uint32_t nsec[SFS_TIMES];
	uint64_t direct[SIMPLEFS_N_DIRECT];
	uint64_t ind[SIMPLEFS_N_IND];
	char target[SIMPLEFS_INLINE + 1]; /* terminated; only where there are no pointers */
};

struct sfs_slot {
	uint32_t off, len; /* in its sector */
	uint32_t ino;      /* 0: free */
	uint64_t birth;
	uint8_t type;
	uint8_t name_len;
	const char *name; /* into the sector, not terminated */
};

/* Does an inode like this own blocks? */
bool sfs_has_pointers(uint32_t mode, uint64_t size);
/* Is it a symlink that keeps its target in the inode? */
bool sfs_is_inline(uint32_t mode, uint64_t size);

void sfs_inode_decode(const struct sfs_inode_disk *disk, struct sfs_fields *fields);
void sfs_inode_encode(const struct sfs_fields *fields, struct sfs_inode_disk *disk);

/*
 * The slot at `off` of a sector.  Returns 1 and the slot; 0 at the end of the sector; -1 when the
 * bytes are no slot: what is behind cannot be read.
 */
int sfs_slot_decode(const uint8_t sector[SFS_SECTOR], uint32_t off, struct sfs_slot *slot);
/*
 * Find room for a name of that length: free neighbours count as one.  Returns where it starts and
 * how long it is (*room), or -1.
 */
int sfs_sector_find_room(const uint8_t sector[SFS_SECTOR], uint32_t name_len, uint32_t *room);
/* Write a used slot into room found before; what is left of the room becomes a free slot. */
void sfs_sector_add(uint8_t sector[SFS_SECTOR], uint32_t off, uint32_t room,
		    const struct sfs_slot *slot);
/* Make the slot at `off` free. */
void sfs_sector_remove(uint8_t sector[SFS_SECTOR], uint32_t off);

#endif
