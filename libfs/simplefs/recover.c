/* SPDX-License-Identifier: MIT */
/*
 * After an unclean stop.
 *
 * Names and inodes reach the disk in any order, so a crash may leave inodes
 * without a name, names without an inode, counts that are behind, and blocks
 * past the end of a file.  XN has seen to it that no block belongs to two and
 * none holds a stranger's bytes; the rest is put right here, once, at mount:
 *
 *   pass 1  from the root directory down: remove names that are not there,
 *	     count the others.  A directory with two names (a rename that was cut
 *	     short) keeps the one its inode calls "..".
 *   pass 2  every inode: free those without a name, set link counts, give back
 *	     what lies past the end, count the blocks.
 *
 * Memory: 12 bytes for each inode of the file system.  Stops without freeing
 * anything when a directory cannot be read: that is for xn-fsck.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simplefs.h"

struct recovery {
	struct sfs *fs;
	uint32_t n;      /* inode numbers are below this */
	uint32_t *links; /* names found; of a directory: its subdirectories + 2 */
	uint32_t *dir;   /* of a directory: where its name is; 0: no name met yet */
	uint32_t *queue; /* directories to be walked */
	uint32_t head, tail;
};

/* The name of `ino` in `dir_ino` is not the one that counts: remove it. */
static int name_remove(struct sfs *fs, uint32_t dir_ino, uint32_t ino)
{
	struct sfs_dir_walk walk;
	struct sfs_inode dir;
	int got, err = sfs_inode_get(fs, dir_ino, &dir);

	if (err)
		return err;
	sfs_dir_begin(&walk, 0);
	while ((got = sfs_dir_next(fs, &dir, &walk)) > 0 && walk.entry.ino != ino)
		;
	err = got > 0 ? sfs_dir_remove(fs, &dir, &walk.entry) : got;
	sfs_inode_put(fs, &dir);
	return err;
}

/* Another directory's name leads to `child` as well.  Returns 1 when the new name goes. */
static int second_name(struct recovery *r, const struct sfs_inode *dir,
		       const struct sfs_inode *child)
{
	uint32_t other = r->dir[child->ino];
	int err;

	if (other == dir->ino || child->ino == SFS_ROOT_INO || child->f.parent != dir->ino)
		return 1;
	err = name_remove(r->fs, other, child->ino);
	if (err)
		return err;
	r->links[other]--;
	r->links[dir->ino]++;
	r->dir[child->ino] = dir->ino;
	return 0;
}

/* The type that a name states is only a hint, and this is where it is put right. */
static int type_settle(struct sfs *fs, struct sfs_inode *dir, const struct sfs_inode *inode,
		       const struct sfs_entry *entry)
{
	uint8_t type = (uint8_t)SIMPLEFS_TYPE(inode->f.mode);

	if (entry->type == type)
		return 0;
	return sfs_dir_replace(fs, dir, entry, entry->ino, entry->birth, type);
}

/* Returns 1 when the name must go. */
static int name_visit(struct recovery *r, struct sfs_inode *dir, const struct sfs_entry *entry)
{
	struct sfs_inode inode;
	int gone = 0, err = sfs_inode_get(r->fs, entry->ino, &inode);

	if (err)
		return err == -ESTALE ? 1 : err;
	if (inode.f.birth != entry->birth || inode.ino >= r->n) {
		sfs_inode_put(r->fs, &inode);
		return 1;
	}
	err = type_settle(r->fs, dir, &inode, entry);
	if (err) {
		gone = err;
	} else if (!sfs_is_dir(&inode)) {
		r->links[inode.ino]++;
	} else if (r->dir[inode.ino] || inode.ino == SFS_ROOT_INO) {
		gone = second_name(r, dir, &inode);
	} else {
		r->dir[inode.ino] = dir->ino;
		r->links[inode.ino] += 2;
		r->links[dir->ino]++;
		r->queue[r->tail++] = inode.ino;
	}
	sfs_inode_put(r->fs, &inode);
	return gone;
}

static int dir_visit(struct recovery *r, uint32_t ino)
{
	struct sfs_dir_walk walk;
	struct sfs_inode dir;
	int got, err = sfs_inode_get(r->fs, ino, &dir);

	if (err)
		return err;
	sfs_dir_begin(&walk, 0);
	while (!err && (got = sfs_dir_next(r->fs, &dir, &walk)) != 0) {
		err = got < 0 ? got : name_visit(r, &dir, &walk.entry);
		if (err == 1)
			err = sfs_dir_remove(r->fs, &dir, &walk.entry);
	}
	sfs_inode_put(r->fs, &dir);
	return err;
}

/* Link count, "..", the blocks past the end, how many it has; or the whole inode. */
static int inode_settle(struct recovery *r, uint32_t ino)
{
	struct sfs_fields before;
	struct sfs_inode inode;
	int err = sfs_inode_get(r->fs, ino, &inode);

	if (err)
		return err == -ESTALE ? 0 : err;
	if (r->links[ino] == 0) {
		err = sfs_inode_free(r->fs, &inode);
	} else {
		err = sfs_map_free(r->fs, &inode, (inode.f.size + SFS_BLOCK - 1) / SFS_BLOCK,
				   UINT64_MAX);
		/* What is on the disk now: giving back blocks has written a count of its own. */
		before = inode.f;
		inode.f.nlink = r->links[ino];
		if (sfs_is_dir(&inode) && ino != SFS_ROOT_INO)
			inode.f.parent = r->dir[ino];
		if (!err)
			err = sfs_map_count(r->fs, &inode, &inode.f.blocks);
		/* Padding could only cost a write that was not needed. */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (!err && memcmp(&before, &inode.f, sizeof(before)) != 0)
			err = sfs_inode_write(r->fs, &inode);
	}
	sfs_inode_put(r->fs, &inode);
	return err;
}

static int passes(struct recovery *r)
{
	uint32_t ino = SFS_ROOT_INO;
	int err = 0;

	r->links[SFS_ROOT_INO] = 2;
	r->queue[r->tail++] = SFS_ROOT_INO;
	while (r->head < r->tail && !err)
		err = dir_visit(r, r->queue[r->head++]);
	while (!err) {
		err = sfs_inode_next(r->fs, ino, &ino);
		if (err || !ino)
			break;
		err = inode_settle(r, ino++);
	}
	return err ? err : sfs_sync_locked(r->fs);
}

/* One more than the highest inode number that a table has. */
static int inode_end(struct sfs *fs, uint32_t *end)
{
	uint32_t ino = 1;
	int err;

	*end = 2;
	while ((err = sfs_inode_next(fs, ino, &ino)) == 0 && ino) {
		*end = ino + SIMPLEFS_ITAB_INODES;
		ino = *end;
	}
	return err;
}

int sfs_recover(struct sfs *fs)
{
	struct recovery r = { .fs = fs };
	int err = inode_end(fs, &r.n);

	if (err)
		return err;
	r.links = calloc(r.n, sizeof(*r.links));
	r.dir = calloc(r.n, sizeof(*r.dir));
	r.queue = calloc(r.n, sizeof(*r.queue));
	err = r.links && r.dir && r.queue ? passes(&r) : -ENOMEM;
	free(r.queue);
	free(r.dir);
	free(r.links);
	return err;
}
