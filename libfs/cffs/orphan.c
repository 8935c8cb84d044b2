/* SPDX-License-Identifier: MIT */
/*
 * Files removed while in use.
 *
 *  (1) unlink leaves their entry where it is, without its name: one sector.
 *  (2) Before a sync promises anything, and before their directory goes, they
 *      move to the directory of orphans (ODIR), which is read at mount: so a
 *      crash leaves nothing behind.
 *  (3) One that XN wrote back before a sync of ours came, and lost by a crash, is
 *      met when its directory is read next, and freed then.
 */
#include <stdlib.h>
#include <string.h>

#include "deal.h"
#include "locks.h"

/* `dir` and the inode, which lies in it, are locked. */
static int move(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode)
{
	struct cffs_deal deal;
	struct cffs_loc loc;
	int err = cffs_dir_lock(fs, fs->odir, true);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	cffs_loc_of(inode, &loc);
	pthread_mutex_unlock(&fs->lock);
	cffs_deal_init(&deal, inode->a.ctime);
	cffs_deal_cut(&deal, dir, &loc, "");
	cffs_deal_put(&deal, fs->odir, "", NULL)->inode = inode;
	err = cffs_deal_run(fs, &deal);
	pthread_rwlock_unlock(&fs->odir->lock);
	return err;
}

int cffs_orphan_settle(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_inode *dir;
	struct cffs_locks locks;
	int err = cffs_locks_home(&locks, fs, inode, NULL, &dir);

	if (err)
		return err == -ESTALE ? 0 : err;
	if (dir != fs->odir && inode->a.nlink == 0)
		err = move(fs, dir, inode);
	cffs_locks_fini(&locks);
	return err;
}

/* Nobody knows the number of a removed inode but those who use it. */
static int leave_sector(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at = 0;
	int err = cffs_dir_sector(fs, dir, block, sector, bytes);

	while (!err && cffs_sector_next(bytes, &at, &entry)) {
		struct cffs_inode *inode;

		if (entry.name_len || entry.kind != CFFS_KIND_INODE)
			continue;
		pthread_mutex_lock(&fs->lock);
		inode = cffs_inode_from_entry(fs, dir, block, sector, &entry);
		pthread_mutex_unlock(&fs->lock);
		if (!inode)
			return -ENOMEM;
		pthread_rwlock_wrlock(&inode->lock);
		err = move(fs, dir, inode);
		pthread_rwlock_unlock(&inode->lock);
		cffs_inode_put(fs, inode);
	}
	return err;
}

int cffs_orphans_leave(struct cffs *fs, struct cffs_inode *dir)
{
	uint32_t n = cffs_dir_blocks(dir) * CFFS_SECTORS;
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = leave_sector(fs, dir, i / CFFS_SECTORS, i % CFFS_SECTORS);
	return err;
}

int cffs_orphan_place(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_deal deal;
	int err = cffs_dir_lock(fs, fs->odir, true);

	if (err)
		return err;
	if (!inode->dir) {
		inode->a.flags |= CFFS_F_ORPHAN;
		cffs_deal_init(&deal, inode->a.ctime);
		cffs_deal_put(&deal, fs->odir, "", NULL)->inode = inode;
		err = cffs_deal_run(fs, &deal);
	}
	pthread_rwlock_unlock(&fs->odir->lock);
	return err;
}

/* A crash may have kept blocks of XDIR that nothing lies in any more: looked at if that is cheap. */
#define GLANCE 16u

static void glance_at_xdir(struct cffs *fs)
{
	if (fs->xdir->b.blocks == 0 || fs->xdir->b.blocks > GLANCE ||
	    cffs_dir_lock(fs, fs->xdir, true))
		return;
	pthread_rwlock_unlock(&fs->xdir->lock);
}

/*
 * Reading a directory meets the nameless, and nobody uses them yet.  What cannot be read or freed
 * keeps nobody from mounting: xn-fsck will say it.
 */
void cffs_orphans_recover(struct cffs *fs)
{
	glance_at_xdir(fs);
	if (fs->odir->b.blocks && cffs_dir_lock(fs, fs->odir, true) == 0)
		pthread_rwlock_unlock(&fs->odir->lock);
	(void)cffs_doomed(fs);
}
