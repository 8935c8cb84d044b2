/* SPDX-License-Identifier: MIT */
/*
 * Names in a directory.
 *
 * A directory is a file of sectors; a sector is a row of slots (format.h).
 *
 *  (1) Every change of names is one write inside one sector, so a crash shows
 *      it done or not done.
 *  (2) Slots do not move: a reader who comes back with a position finds every
 *      name that was there all the time, once.
 *  (3) A name counts only if its inode is in use and of the birth it says.
 */
#include <errno.h>
#include <string.h>

#include "simplefs.h"

/* ---- walking ---- */

static int stretch_read(struct sfs *fs, struct sfs_inode *dir, uint64_t stretch, uint8_t *bytes)
{
	uint64_t off = stretch * SFS_DIR_STRETCH, len = dir->f.size - off;

	return sfs_file_read(fs, dir, off, bytes, len < SFS_DIR_STRETCH ? len : SFS_DIR_STRETCH);
}

static int walk_load(struct sfs *fs, struct sfs_inode *dir, struct sfs_dir_walk *walk)
{
	uint64_t stretch = walk->pos / SFS_DIR_STRETCH;
	int err;

	if (walk->loaded == stretch + 1)
		return 0;
	err = stretch_read(fs, dir, stretch, walk->bytes);
	walk->loaded = err ? 0 : stretch + 1;
	return err;
}

void sfs_dir_begin(struct sfs_dir_walk *walk, uint64_t pos)
{
	walk->pos = pos;
	walk->loaded = 0;
}

/* `pos` may point into the middle of what is a free slot by now: start at the sector's begin. */
int sfs_dir_next(struct sfs *fs, struct sfs_inode *dir, struct sfs_dir_walk *walk)
{
	while (walk->pos < dir->f.size) {
		uint64_t sector = walk->pos / SFS_SECTOR * SFS_SECTOR;
		uint32_t want = (uint32_t)(walk->pos - sector), off = 0;
		const uint8_t *bytes;
		int got, err = walk_load(fs, dir, walk);

		if (err)
			return err;
		bytes = walk->bytes + sector % SFS_DIR_STRETCH;
		while ((got = sfs_slot_decode(bytes, off, &walk->slot)) > 0) {
			off += walk->slot.len;
			if (walk->slot.off >= want && walk->slot.ino)
				break;
		}
		if (got < 0)
			return XN_ECHECK;
		walk->pos = sector + (got ? off : SFS_SECTOR);
		if (!got)
			continue;
		walk->entry = (struct sfs_entry){
			.sector = sector,
			.off = walk->slot.off,
			.ino = walk->slot.ino,
			.birth = walk->slot.birth,
			.type = walk->slot.type,
		};
		return 1;
	}
	return 0;
}

/* 1, 0, or why nobody can tell: a name whose inode cannot be read is still one. */
static int is_alive(struct sfs *fs, const struct sfs_entry *entry)
{
	struct sfs_inode inode;
	int alive = sfs_inode_get(fs, entry->ino, &inode);

	if (alive)
		return alive == -ESTALE ? 0 : alive;
	alive = inode.f.birth == entry->birth;
	sfs_inode_put(fs, &inode);
	return alive;
}

int sfs_dir_find(struct sfs *fs, struct sfs_inode *dir, const char *name, struct sfs_entry *entry)
{
	struct sfs_dir_walk walk;
	size_t len = strlen(name);
	int got, alive = 0;

	sfs_dir_begin(&walk, 0);
	while (!alive && (got = sfs_dir_next(fs, dir, &walk)) > 0)
		if (walk.slot.name_len == len && memcmp(walk.slot.name, name, len) == 0)
			alive = is_alive(fs, &walk.entry);
	if (alive > 0)
		*entry = walk.entry;
	return alive > 0 ? 0 : alive < 0 ? alive : got < 0 ? got : -ENOENT;
}

int sfs_dir_is_empty(struct sfs *fs, struct sfs_inode *dir)
{
	struct sfs_dir_walk walk;
	int got, alive = 0;

	sfs_dir_begin(&walk, 0);
	while (!alive && (got = sfs_dir_next(fs, dir, &walk)) > 0)
		alive = is_alive(fs, &walk.entry);
	return alive > 0 ? -ENOTEMPTY : alive < 0 ? alive : got;
}

/* ---- changing ---- */

static int sector_read(struct sfs *fs, struct sfs_inode *dir, uint64_t sector,
		       uint8_t bytes[SFS_SECTOR])
{
	return sfs_file_read(fs, dir, sector, bytes, SFS_SECTOR);
}

static int sector_write(struct sfs *fs, struct sfs_inode *dir, uint64_t sector,
			const uint8_t bytes[SFS_SECTOR])
{
	ssize_t n = sfs_file_write(fs, dir, sector, bytes, SFS_SECTOR);

	return n < 0 ? (int)n : 0;
}

#define GROW_MAX 16u /* blocks */

/*
 * More free slots: as many blocks as there are, up to GROW_MAX, in one piece, so
 * that a long directory lies in few runs and a search binds few times.
 */
static int dir_grow(struct sfs *fs, struct sfs_inode *dir)
{
	static const uint8_t zeroes[GROW_MAX * SFS_BLOCK];
	uint64_t blocks = dir->f.size / SFS_BLOCK;
	ssize_t n;

	blocks = blocks == 0 ? 1 : blocks < GROW_MAX ? blocks : GROW_MAX;
	n = sfs_file_write(fs, dir, dir->f.size, zeroes, blocks * SFS_BLOCK);
	if (n == -ENOSPC && blocks > 1)
		n = sfs_file_write(fs, dir, dir->f.size, zeroes, SFS_BLOCK);
	return n < 0 ? (int)n : sfs_inode_write(fs, dir);
}

/* Look for room in [pos, pos + len), whose bytes are given. */
static bool place_find(const uint8_t *bytes, uint64_t pos, uint64_t len, uint32_t name_len,
		       struct sfs_entry *place)
{
	for (uint64_t at = 0; at < len; at += SFS_SECTOR) {
		int off = sfs_sector_find_room(bytes + at, name_len, &place->room);

		if (off < 0)
			continue;
		place->sector = pos + at;
		place->off = (uint32_t)off;
		return true;
	}
	return false;
}

int sfs_dir_reserve(struct sfs *fs, struct sfs_inode *dir, const char *name,
		    struct sfs_entry *place)
{
	uint32_t name_len = (uint32_t)strlen(name);
	uint8_t bytes[SFS_DIR_STRETCH];

	memset(place, 0, sizeof(*place));
	for (uint64_t pos = 0; pos < dir->f.size; pos += SFS_DIR_STRETCH) {
		uint64_t left = dir->f.size - pos;
		int err = stretch_read(fs, dir, pos / SFS_DIR_STRETCH, bytes);

		if (err)
			return err;
		if (place_find(bytes, pos, left < SFS_DIR_STRETCH ? left : SFS_DIR_STRETCH,
			       name_len, place))
			return 0;
	}
	place->sector = dir->f.size;
	place->room = SFS_SECTOR;
	return dir_grow(fs, dir);
}

int sfs_dir_add(struct sfs *fs, struct sfs_inode *dir, const char *name,
		const struct sfs_inode *inode, const struct sfs_entry *place)
{
	struct sfs_slot slot = {
		.ino = inode->ino,
		.birth = inode->f.birth,
		.type = (uint8_t)SIMPLEFS_TYPE(inode->f.mode),
		.name_len = (uint8_t)strlen(name),
		.name = name,
	};
	uint8_t sector[SFS_SECTOR];
	int err = sector_read(fs, dir, place->sector, sector);

	if (err)
		return err;
	sfs_sector_add(sector, place->off, place->room, &slot);
	return sector_write(fs, dir, place->sector, sector);
}

int sfs_dir_remove(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry)
{
	uint8_t sector[SFS_SECTOR];
	int err = sector_read(fs, dir, entry->sector, sector);

	if (err)
		return err;
	sfs_sector_remove(sector, entry->off);
	return sector_write(fs, dir, entry->sector, sector);
}

static void slot_point(uint8_t *sector, uint32_t off, uint32_t ino, uint64_t birth, uint8_t type)
{
	struct sfs_slot_disk disk;

	memcpy(&disk, sector + off, sizeof(disk));
	disk.ino = le32_make(ino);
	disk.birth = le64_make(birth);
	disk.type = type;
	memcpy(sector + off, &disk, sizeof(disk));
}

int sfs_dir_replace(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry,
		    uint32_t ino, uint64_t birth, uint8_t type)
{
	uint8_t sector[SFS_SECTOR];
	int err = sector_read(fs, dir, entry->sector, sector);

	if (err)
		return err;
	slot_point(sector, entry->off, ino, birth, type);
	return sector_write(fs, dir, entry->sector, sector);
}

int sfs_dir_rename(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry,
		   const char *name, const struct sfs_entry *target)
{
	struct sfs_slot slot = {
		.ino = entry->ino,
		.birth = entry->birth,
		.type = entry->type,
		.name_len = (uint8_t)strlen(name),
		.name = name,
	};
	uint8_t sector[SFS_SECTOR];
	uint32_t room;
	int err, off;

	if (target && target->sector != entry->sector)
		return -ENOSPC;
	err = sector_read(fs, dir, entry->sector, sector);
	if (err)
		return err;
	sfs_sector_remove(sector, entry->off);
	if (target) {
		slot_point(sector, target->off, entry->ino, entry->birth, entry->type);
	} else {
		off = sfs_sector_find_room(sector, slot.name_len, &room);
		if (off < 0)
			return -ENOSPC;
		sfs_sector_add(sector, (uint32_t)off, room, &slot);
	}
	return sector_write(fs, dir, entry->sector, sector);
}
