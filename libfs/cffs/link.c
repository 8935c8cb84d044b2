/* SPDX-License-Identifier: MIT */
/*
 * A file gets one more name, or its first: names.h.
 */
#include <errno.h>

#include "locks.h"
#include "names.h"

/* The inode lies at its only name: it goes to XDIR, and a link comes in its place. */
static int deal_externalise(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *inode,
			    char name[LIBFS_NAME_MAX + 1])
{
	struct cffs_loc loc;
	int err;

	cffs_loc_of(inode, &loc);
	err = cffs_dir_name_at(fs, inode->dir, &loc, name);
	if (err)
		return err;
	cffs_deal_cut(deal, inode->dir, &loc, name);
	cffs_deal_put(deal, fs->xdir, "", NULL)->inode = inode;
	cffs_deal_put(deal, inode->dir, name, &loc)->link = inode;
	cffs_deal_tweak(deal, inode, 1, false);
	return 0;
}

static int link_check(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		      const char *name)
{
	struct cffs_loc loc;
	int err = cffs_dir_find(fs, dir, name, &loc);

	if (err != -ENOENT)
		return err ? err : -EEXIST;
	return dir->a.nlink ? cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE) : -ENOENT;
}

/*
 * The first name of a file that was made without one: it leaves the directory of orphans, which is
 * locked with `dir`.  -EAGAIN: try again.
 */
static int link_first(struct cffs_locks *locks, const struct libfs_ctx *ctx,
		      struct cffs_inode *inode, struct cffs_inode *dir, const char *name)
{
	struct cffs *fs = locks->fs;
	bool external = fs->params.options & CFFS_O_NO_EMBED;
	struct cffs_deal deal;
	struct cffs_loc loc;
	int err = link_check(fs, ctx, dir, name);

	if (!err && external)
		err = cffs_locks_also(locks, fs->xdir);
	if (err)
		return err;
	cffs_deal_init(&deal, ctx->now);
	cffs_names_changed(&deal, dir, 0);
	cffs_loc_of(inode, &loc);
	cffs_deal_cut(&deal, inode->dir, &loc, "");
	cffs_deal_tweak(&deal, inode, 1, false)->adopted = true;
	cffs_deal_enter(fs, &deal, dir, name, inode, external);
	err = cffs_deal_run(fs, &deal);
	inode->unnamed = err != 0;
	return err;
}

/* The directory of the inode's entry is locked with `dir`. */
static int link_locked(struct cffs_locks *locks, const struct libfs_ctx *ctx,
		       struct cffs_inode *inode, struct cffs_inode *dir, const char *name)
{
	char old_name[LIBFS_NAME_MAX + 1];
	struct cffs *fs = locks->fs;
	struct cffs_deal deal;
	int err = link_check(fs, ctx, dir, name);

	if (!err)
		err = cffs_locks_also(locks, fs->xdir); /* it comes behind all others */
	if (err)
		return err;
	cffs_deal_init(&deal, ctx->now);
	cffs_names_changed(&deal, dir, 0);
	if (inode->dir == fs->xdir)
		cffs_deal_tweak(&deal, inode, 1, true);
	else
		err = deal_externalise(fs, &deal, inode, old_name);
	if (!err) {
		cffs_deal_put(&deal, dir, name, NULL)->link = inode;
		err = cffs_deal_run(fs, &deal);
	}
	return err;
}

static int link_in(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *inode,
		   struct cffs_inode *dir, const char *name)
{
	struct cffs_locks locks;
	struct cffs_inode *home;
	int err = cffs_locks_home(&locks, fs, inode, dir, &home);

	if (err == -ESTALE)
		return -ENOENT;
	if (err)
		return err;
	err = inode->unnamed                 ? link_first(&locks, ctx, inode, dir, name)
	      : inode->a.nlink == 0          ? -ENOENT
	      : inode->a.nlink == UINT32_MAX ? -EMLINK
					     : link_locked(&locks, ctx, inode, dir, name);
	cffs_locks_fini(&locks);
	return err;
}

int cffs_link(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
	      libfs_ino_t dir_ino, const char *name, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode, *dir;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	err = cffs_inode_get(fs, dir_ino, &dir);
	if (err)
		goto put_inode;
	err = cffs_is_dir(inode) ? -EPERM : 0;
	if (!err)
		err = cffs_may_look(fs, ctx, dir);
	if (!err)
		do
			err = link_in(fs, ctx, inode, dir, name);
		while (err == -EAGAIN);
	if (!err)
		cffs_names_give(fs, inode, out);
	cffs_inode_put(fs, dir);
put_inode:
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}
