/* SPDX-License-Identifier: MIT */
/*
 * Groups that have decayed are formed again.
 *
 *  (1) A directory comes here when many of its small files went (alloc.c counts).
 *      If what is left lies in more than twice the windows that it needs, its files
 *      are copied into fresh ones, in the order of their names' places.
 *  (2) A file moves as one extent in one update (write.c): a crash leaves it in the
 *      old place or in the new one, whole.
 *  (3) One directory and MEMBERS files at a time, with each sync that the host asks
 *      for; no lock is kept from one file to the next.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "tree.h"

#define MEMBERS 512u
#define WINDOW  16u

struct members {
	struct cffs_inode *inode[MEMBERS]; /* pinned */
	xn_blk_t window[MEMBERS];
	uint32_t n;
	uint64_t blocks;
};

static bool is_member(const struct cffs_entry *entry)
{
	const struct cffs_slot *slot = &entry->b.slot[0];

	return entry->kind == CFFS_KIND_INODE && S_ISREG(entry->a.mode) &&
	       slot->class == CFFS_CLASS_DATA && slot->logical == 0 && slot->count <= CFFS_SMALL &&
	       entry->b.blocks == slot->count;
}

static int sector_members(struct cffs *fs, struct cffs_inode *dir, struct cffs_loc *loc,
			  struct members *members)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at = 0;
	int err = cffs_dir_sector(fs, dir, loc->block, loc->sector, bytes);

	while (!err && members->n < MEMBERS && cffs_sector_next(bytes, &at, &entry)) {
		if (!is_member(&entry))
			continue;
		loc->slot = entry.slot;
		loc->kind = entry.kind;
		loc->ino = entry.a.ino;
		err = cffs_dir_inode(fs, dir, loc, &members->inode[members->n]);
		if (err)
			break;
		members->window[members->n++] = entry.b.slot[0].start / WINDOW;
		members->blocks += entry.b.slot[0].count;
	}
	return err;
}

/* The small files that have their inode here. */
static int dir_members(struct cffs *fs, struct cffs_inode *dir, struct members *members)
{
	struct cffs_loc loc = { .block = 0 };
	int err = cffs_dir_lock(fs, dir, false);

	if (err)
		return err;
	for (; loc.block < cffs_dir_blocks(dir) && !err; loc.block++)
		for (loc.sector = 0; loc.sector < CFFS_SECTORS && !err; loc.sector++)
			err = sector_members(fs, dir, &loc, members);
	pthread_rwlock_unlock(&dir->lock);
	return err;
}

static int by_number(const void *a, const void *b)
{
	const xn_blk_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool has_decayed(struct members *members)
{
	uint64_t windows = 0;

	qsort(members->window, members->n, sizeof(members->window[0]), by_number);
	for (uint32_t i = 0; i < members->n; i++)
		windows += i == 0 || members->window[i] != members->window[i - 1];
	return windows > 2 * (members->blocks / WINDOW + 1);
}

int cffs_regroup(struct cffs *fs)
{
	uint64_t ino = cffs_place_decayed(fs);
	struct members *members;
	struct cffs_inode *dir;
	int err;

	if (!ino || cffs_inode_get(fs, ino, &dir))
		return 0; /* forgotten: it was not much used */
	members = calloc(1, sizeof(*members));
	if (!members) {
		cffs_inode_put(fs, dir);
		return 0;
	}
	err = dir_members(fs, dir, members);
	if (!err && has_decayed(members)) {
		cffs_place_anew(fs, dir);
		for (uint32_t i = 0; i < members->n && !err; i++)
			err = cffs_file_regroup(fs, members->inode[i]);
	}
	for (uint32_t i = 0; i < members->n; i++)
		cffs_inode_put(fs, members->inode[i]);
	cffs_inode_put(fs, dir);
	free(members);
	return err;
}
