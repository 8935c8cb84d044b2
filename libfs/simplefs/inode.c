/* SPDX-License-Identifier: MIT */
/*
 * Inodes.
 *
 *	ino - 1 = ((imap * 512) + table) * 16 + slot
 *
 *  (1) An inode number, once in use, is in use until sfs_inode_free().
 *  (2) Each time an inode is taken into use its birth grows: the upper half is
 *      the disk's mount epoch, so it also differs from every birth that a crash
 *      has taken back.  That is what names on disk are compared with.
 *  (3) Tables are made when all others are full; they are never given back.
 *  (4) A set bit of itab_full is the truth; a clear one means "look".
 */
#include <errno.h>
#include <string.h>

#include "simplefs.h"

#define TABLES_MAX (SIMPLEFS_SUPER_SLOTS * SIMPLEFS_IMAP_SLOTS)

/* ---- finding ---- */

/* Hold inode table number `table`; -ESTALE when there is none. */
static int itab_get(struct sfs *fs, uint32_t table, struct sfs_hold *itab)
{
	uint32_t map = table / SIMPLEFS_IMAP_SLOTS, slot = table % SIMPLEFS_IMAP_SLOTS;
	struct sfs_hold imap = { 0 };
	xn_blk_t block;
	int err;

	block = sfs_hold_pointer(&fs->super, SIMPLEFS_SUPER_RAW, map);
	if (!block)
		return -ESTALE;
	err = sfs_hold_get(fs, fs->super.object, map, SFS_IMAP, block, &imap);
	if (err)
		return err;
	block = sfs_hold_pointer(&imap, 0, slot);
	err = block ? sfs_hold_get(fs, imap.object, slot, SFS_ITAB, block, itab) : -ESTALE;
	sfs_hold_put(fs, &imap);
	return err;
}

static void inode_load(struct sfs_inode *inode)
{
	const struct sfs_inode_disk *table = (const void *)inode->itab.bytes;

	sfs_inode_decode(&table[inode->slot], &inode->f);
}

static int inode_peek(struct sfs *fs, uint64_t ino, struct sfs_inode *inode)
{
	int err;

	memset(inode, 0, sizeof(*inode));
	if (ino == 0 || ino > SFS_INODES_MAX)
		return -ESTALE;
	err = itab_get(fs, (uint32_t)(ino - 1) / SIMPLEFS_ITAB_INODES, &inode->itab);
	if (err)
		return err;
	inode->ino = (uint32_t)ino;
	inode->slot = (uint32_t)(ino - 1) % SIMPLEFS_ITAB_INODES;
	inode_load(inode);
	return 0;
}

int sfs_inode_get(struct sfs *fs, uint64_t ino, struct sfs_inode *inode)
{
	int err = inode_peek(fs, ino, inode);

	if (!err && inode->f.mode == 0) {
		sfs_inode_put(fs, inode);
		err = -ESTALE;
	}
	return err;
}

void sfs_inode_put(struct sfs *fs, struct sfs_inode *inode)
{
	sfs_hold_put(fs, &inode->itab);
}

int sfs_inode_write(struct sfs *fs, const struct sfs_inode *inode)
{
	struct sfs_change change = { 0 };

	sfs_change_inode(&change, inode);
	return sfs_change_apply(fs, &change);
}

int sfs_inode_next(struct sfs *fs, uint32_t ino, uint32_t *next)
{
	struct sfs_hold imap = { 0 };
	uint32_t first = ino ? ino - 1 : 0, table = first / SIMPLEFS_ITAB_INODES;
	int err = 0;

	*next = 0;
	while (table < TABLES_MAX && !*next && !err) {
		uint32_t map = table / SIMPLEFS_IMAP_SLOTS;
		xn_blk_t block = sfs_hold_pointer(&fs->super, SIMPLEFS_SUPER_RAW, map);

		if (!block) {
			table = (map + 1) * SIMPLEFS_IMAP_SLOTS;
			continue;
		}
		err = sfs_hold_get(fs, fs->super.object, map, SFS_IMAP, block, &imap);
		for (; !err && !*next && table < (map + 1) * SIMPLEFS_IMAP_SLOTS; table++)
			if (sfs_hold_pointer(&imap, 0, table % SIMPLEFS_IMAP_SLOTS))
				*next = table * SIMPLEFS_ITAB_INODES + 1;
		sfs_hold_put(fs, &imap);
	}
	if (*next && *next < ino)
		*next = ino;
	return err;
}

/* ---- taking into use ---- */

/*
 * Hang a new object of template `which` at pointer `slot` (from byte `base`) of
 * an object held.
 */
static int object_add(struct sfs *fs, const struct sfs_hold *owner, uint32_t base, uint32_t slot,
		      enum sfs_template which)
{
	struct xn_extent block;
	unsigned tries = 0;
	int err;

	do {
		struct sfs_change change = { .allocs = &block, .n_allocs = 1 };
		le64_t pointer;

		err = sfs_find_free(fs, owner->object, 1, fs->type[which], &block);
		if (err)
			return err;
		pointer = le64_make(block.start);
		sfs_change_bytes(&change, owner->object, base + slot * sizeof(pointer), &pointer,
				 sizeof(pointer));
		err = sfs_change_apply(fs, &change);
	} while (sfs_lost_race(err, &tries));
	return err;
}

/* Hold table number `table`, making it and its map if they are not there. */
static int itab_get_or_make(struct sfs *fs, uint32_t table, struct sfs_hold *itab)
{
	uint32_t map = table / SIMPLEFS_IMAP_SLOTS, slot = table % SIMPLEFS_IMAP_SLOTS;
	struct sfs_hold imap = { 0 };
	xn_blk_t block;
	int err = 0;

	if (!sfs_hold_pointer(&fs->super, SIMPLEFS_SUPER_RAW, map))
		err = object_add(fs, &fs->super, SIMPLEFS_SUPER_RAW, map, SFS_IMAP);
	if (err)
		return err;
	block = sfs_hold_pointer(&fs->super, SIMPLEFS_SUPER_RAW, map);
	err = sfs_hold_get(fs, fs->super.object, map, SFS_IMAP, block, &imap);
	if (err)
		return err;
	if (!sfs_hold_pointer(&imap, 0, slot))
		err = object_add(fs, &imap, 0, slot, SFS_ITAB);
	if (!err) {
		block = sfs_hold_pointer(&imap, 0, slot);
		err = sfs_hold_get(fs, imap.object, slot, SFS_ITAB, block, itab);
	}
	sfs_hold_put(fs, &imap);
	return err;
}

static void set_full(struct sfs *fs, uint32_t table, bool full)
{
	uint8_t bit = (uint8_t)(1u << (table % 8));

	if (full)
		fs->itab_full[table / 8] |= bit;
	else
		fs->itab_full[table / 8] &= (uint8_t)~bit;
}

static uint32_t first_not_full(const struct sfs *fs, uint32_t table)
{
	while (table < TABLES_MAX && (fs->itab_full[table / 8] & 1u << (table % 8)))
		table += table % 8 == 0 && fs->itab_full[table / 8] == 0xff ? 8 : 1;
	return table;
}

static bool table_find_free(struct sfs_inode *inode, uint32_t table)
{
	for (uint32_t slot = 0; slot < SIMPLEFS_ITAB_INODES; slot++) {
		inode->slot = slot;
		inode_load(inode);
		if (inode->f.mode == 0) {
			inode->ino = table * SIMPLEFS_ITAB_INODES + slot + 1;
			return true;
		}
	}
	return false;
}

static uint64_t birth_after(const struct sfs *fs, uint64_t birth)
{
	return birth >> 32 == fs->epoch ? birth + 1 : fs->epoch << 32 | 1;
}

static int inode_find_free(struct sfs *fs, struct sfs_inode *inode)
{
	uint32_t table = 0;
	uint64_t birth;
	int err;

	memset(inode, 0, sizeof(*inode));
	while ((table = first_not_full(fs, table)) < TABLES_MAX) {
		err = itab_get_or_make(fs, table, &inode->itab);
		if (err)
			return err;
		if (table_find_free(inode, table)) {
			birth = birth_after(fs, inode->f.birth);
			memset(&inode->f, 0, sizeof(inode->f));
			inode->f.birth = birth;
			atomic_fetch_add(&fs->births, 1);
			return 0;
		}
		set_full(fs, table, true);
		sfs_inode_put(fs, inode);
	}
	return XN_ENOSPACE;
}

/* Where a symlink's target goes when it is too long for the inode. */
static int write_target(struct sfs *fs, struct sfs_inode *inode, const char *target)
{
	size_t len = strlen(target);
	ssize_t n;

	if (sfs_is_inline(inode->f.mode, len)) {
		memcpy(inode->f.target, target, len);
		inode->f.size = len;
		return sfs_inode_write(fs, inode);
	}
	/* The size decides whether there are pointers: it must be right from the start. */
	inode->f.size = len;
	n = sfs_file_write(fs, inode, 0, target, len);
	if (n < 0)
		return (int)n;
	return sfs_inode_write(fs, inode);
}

/* Making failed half-way: what XN has of the inode by now goes again. */
static void inode_unmake(struct sfs *fs, struct sfs_inode *inode)
{
	inode_load(inode);
	if (inode->f.mode)
		sfs_inode_free(fs, inode);
	sfs_inode_put(fs, inode);
}

int sfs_inode_make(struct sfs *fs, const struct sfs_make *make, struct sfs_inode *inode)
{
	int err = inode_find_free(fs, inode);

	if (err)
		return err;
	inode->f.mode = make->mode;
	inode->f.uid = make->uid;
	inode->f.gid = make->gid;
	inode->f.rdev = make->rdev;
	inode->f.parent = make->parent;
	inode->f.nlink = SIMPLEFS_TYPE(make->mode) == SIMPLEFS_DIR ? 2 : 1;
	for (unsigned i = 0; i < SFS_TIMES; i++)
		sfs_inode_touch(inode, i, make->now);
	err = make->target ? write_target(fs, inode, make->target) : sfs_inode_write(fs, inode);
	if (err)
		inode_unmake(fs, inode);
	return err;
}

/* ---- giving back ---- */

int sfs_inode_free(struct sfs *fs, struct sfs_inode *inode)
{
	uint64_t birth = inode->f.birth;
	int err = sfs_map_free(fs, inode, 0, UINT64_MAX);

	if (err)
		return err;
	memset(&inode->f, 0, sizeof(inode->f));
	inode->f.birth = birth;
	err = sfs_inode_write(fs, inode);
	if (!err)
		set_full(fs, (inode->ino - 1) / SIMPLEFS_ITAB_INODES, false);
	return err;
}

int sfs_inode_drop(struct sfs *fs, uint32_t ino)
{
	struct sfs_inode inode;
	int err;

	err = sfs_inode_get(fs, ino, &inode);
	if (err)
		return err == -ESTALE ? 0 : err;
	if (inode.f.nlink == 0 && !sfs_node_orphan(fs, ino))
		err = sfs_inode_free(fs, &inode);
	sfs_inode_put(fs, &inode);
	return err;
}

/* ---- attributes ---- */

static uint32_t generation_of(uint64_t birth)
{
	return (uint32_t)(birth >> 32) * 2654435761u + (uint32_t)birth;
}

void sfs_inode_touch(struct sfs_inode *inode, enum sfs_time which, struct timespec now)
{
	inode->f.sec[which] = now.tv_sec;
	inode->f.nsec[which] = (uint32_t)now.tv_nsec;
}

static struct timespec time_of(const struct sfs_inode *inode, enum sfs_time which)
{
	return (struct timespec){ .tv_sec = inode->f.sec[which], .tv_nsec = inode->f.nsec[which] };
}

void sfs_inode_attr(const struct sfs_inode *inode, struct libfs_attr *attr)
{
	*attr = (struct libfs_attr){
		.ino = inode->ino,
		.generation = generation_of(inode->f.birth),
		.mode = inode->f.mode,
		.nlink = inode->f.nlink,
		.uid = inode->f.uid,
		.gid = inode->f.gid,
		.rdev = inode->f.rdev,
		.size = inode->f.size,
		.blocks = inode->f.blocks * (SFS_BLOCK / 512),
		.blksize = SIMPLEFS_IND1_RECORD * SFS_BLOCK,
		.atime = time_of(inode, SFS_ATIME),
		.mtime = time_of(inode, SFS_MTIME),
		.ctime = time_of(inode, SFS_CTIME),
		.btime = time_of(inode, SFS_BTIME),
	};
}
