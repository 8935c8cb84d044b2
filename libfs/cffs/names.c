/* SPDX-License-Identifier: MIT */
/*
 * What the operations on names share, and lookup.
 */
#include <errno.h>
#include <string.h>

#include "names.h"

int cffs_may_remove(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *child,
		    const struct libfs_ctx *ctx)
{
	struct libfs_attr parent, attr;

	pthread_mutex_lock(&fs->lock);
	cffs_attr_fill(dir, &parent);
	cffs_attr_fill(child, &attr);
	pthread_mutex_unlock(&fs->lock);
	return libfs_may_remove(&parent, &attr, ctx->cred);
}

int cffs_may_look(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir)
{
	return cffs_is_dir(dir) ? cffs_may(fs, dir, ctx, LIBFS_MAY_EXEC) : -ENOTDIR;
}

int cffs_names_get(struct cffs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, bool write,
		   struct cffs_inode **out)
{
	int err = cffs_inode_get(fs, ino, out);

	if (err)
		return err;
	err = cffs_may_look(fs, ctx, *out);
	if (!err)
		err = cffs_dir_lock(fs, *out, write);
	if (err)
		cffs_inode_put(fs, *out);
	return err;
}

void cffs_names_put(struct cffs *fs, struct cffs_inode *dir)
{
	pthread_rwlock_unlock(&dir->lock);
	cffs_inode_put(fs, dir);
}

void cffs_names_give(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out)
{
	pthread_mutex_lock(&fs->lock);
	inode->refs++;
	cffs_attr_fill(inode, out);
	pthread_mutex_unlock(&fs->lock);
}

void cffs_names_changed(struct cffs_deal *deal, struct cffs_inode *dir, int nlink)
{
	cffs_deal_tweak(deal, dir, nlink, nlink != 0)->mtime = true;
}

void cffs_deal_enter(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
		     const char *name, struct cffs_inode *inode, bool external)
{
	if (!external) {
		cffs_deal_put(deal, dir, name, NULL)->inode = inode;
		return;
	}
	cffs_deal_put(deal, fs->xdir, "", NULL)->inode = inode;
	cffs_deal_put(deal, dir, name, NULL)->link = inode;
}

int cffs_names_find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc,
		    struct cffs_inode **out)
{
	int err = cffs_dir_find(fs, dir, name, loc);

	return err ? err : cffs_dir_inode(fs, dir, loc, out);
}

/* ---- lookup ---- */

static int lookup_in(struct cffs *fs, struct cffs_inode *dir, const char *name,
		     struct cffs_inode **out)
{
	struct cffs_loc loc;

	if (strcmp(name, ".") == 0 || (strcmp(name, "..") == 0 && dir == fs->top)) {
		cffs_inode_pin(fs, dir);
		*out = dir;
		return 0;
	}
	if (strcmp(name, "..") != 0)
		return cffs_names_find(fs, dir, name, &loc, out);
	pthread_mutex_lock(&fs->lock);
	*out = dir->dir;
	if (*out)
		cffs_inode_pin_locked(fs, *out);
	pthread_mutex_unlock(&fs->lock);
	return *out ? 0 : -ENOENT;
}

/*
 * One name is left of a file that had more: its inode comes back from XDIR to that name, if it
 * fits there.  If it cannot, all stays as it is, which is as right.
 */
static void come_back(struct cffs *fs, struct cffs_inode *dir, const char *name,
		      struct cffs_inode *inode)
{
	struct cffs_loc loc, external;
	struct cffs_deal deal;
	struct cffs_put *put;

	pthread_rwlock_wrlock(&inode->lock);
	if (cffs_dir_find(fs, dir, name, &loc) || loc.kind != CFFS_KIND_LINK ||
	    loc.ino != inode->a.ino || cffs_dir_lock(fs, fs->xdir, true))
		goto unlock;
	if (inode->a.nlink == 1 && inode->dir == fs->xdir) {
		cffs_loc_of(inode, &external);
		cffs_deal_init(&deal, inode->a.ctime);
		cffs_deal_cut(&deal, fs->xdir, &external, "");
		cffs_deal_cut(&deal, dir, &loc, name);
		put = cffs_deal_put(&deal, dir, name, &loc);
		put->inode = inode;
		put->fixed = true; /* who reads the directory meets each name once */
		(void)cffs_deal_run(fs, &deal);
	}
	pthread_rwlock_unlock(&fs->xdir->lock);
unlock:
	pthread_rwlock_unlock(&inode->lock);
}

static bool should_come_back(struct cffs *fs, const struct cffs_inode *inode)
{
	bool should;

	if ((fs->params.options & CFFS_O_NO_EMBED) || (fs->libfs.flags & LIBFS_MOUNT_RDONLY))
		return false;
	pthread_mutex_lock(&fs->lock);
	should = inode->dir == fs->xdir && inode->a.nlink == 1;
	pthread_mutex_unlock(&fs->lock);
	return should;
}

int cffs_lookup(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		const char *name, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir, *inode;
	int err = cffs_names_get(fs, ctx, dir_ino, false, &dir);

	if (err)
		return cffs_errno(err);
	err = lookup_in(fs, dir, name, &inode);
	if (!err && should_come_back(fs, inode)) {
		pthread_rwlock_unlock(&dir->lock);
		pthread_rwlock_wrlock(&dir->lock);
		come_back(fs, dir, name, inode);
	}
	if (!err) {
		cffs_names_give(fs, inode, out);
		cffs_inode_put(fs, inode);
	}
	cffs_names_put(fs, dir);
	return cffs_errno(err);
}
