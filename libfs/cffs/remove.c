/* SPDX-License-Identifier: MIT */
/*
 * A name goes, and with the last one the file: names.h.
 */
#include <errno.h>
#include <sys/stat.h>

#include "locks.h"
#include "names.h"

static bool owns_something(const struct cffs_inode *inode)
{
	for (uint32_t i = 0; i < inode->b.n_slots; i++)
		if (inode->b.slot[i].class)
			return true;
	return false;
}

/*
 * Somebody uses the file, and not only this operation, which has it pinned once.  Who has a
 * reference may write: hosts need not tell what is open.  So a file keeps a place even if it owns
 * nothing yet.
 */
static bool must_stay(struct cffs *fs, const struct cffs_inode *inode)
{
	bool used;

	pthread_mutex_lock(&fs->lock);
	used = inode->opens > 0 || inode->refs > 0 || inode->pins > 1;
	pthread_mutex_unlock(&fs->lock);
	return used && !cffs_is_dir(inode) && (S_ISREG(inode->type) || owns_something(inode));
}

/* The inode loses its last name: its entry goes with all it owns, or loses only its name. */
static void deal_last_name(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
			   struct cffs_inode *inode, const struct cffs_loc *loc, const char *name)
{
	struct cffs_tweak *tweak;

	cffs_deal_cut(deal, dir, loc, name);
	tweak = cffs_deal_tweak(deal, inode, -(int)inode->a.nlink, false);
	if (must_stay(fs, inode)) {
		tweak->orphan = true;
		cffs_deal_put(deal, dir, "", loc)->inode = inode;
	} else {
		deal->freed = inode;
	}
}

void cffs_deal_remove(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
		      struct cffs_inode *inode, const struct cffs_loc *loc, const char *name)
{
	struct cffs_loc external;

	if (loc->kind == CFFS_KIND_INODE) {
		deal_last_name(fs, deal, dir, inode, loc, name);
		return;
	}
	cffs_deal_cut(deal, dir, loc, name);
	if (inode->a.nlink > 1) {
		cffs_deal_tweak(deal, inode, -1, true);
		return;
	}
	cffs_loc_of(inode, &external);
	deal_last_name(fs, deal, fs->xdir, inode, &external, "");
}

static int xdir_lock(struct cffs *fs, bool needed)
{
	return needed ? cffs_dir_lock(fs, fs->xdir, true) : 0;
}

static void xdir_unlock(struct cffs *fs, bool needed)
{
	if (needed)
		pthread_rwlock_unlock(&fs->xdir->lock);
}

static int check_removable(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
			   struct cffs_inode *child, bool want_dir)
{
	int err = cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE);

	if (!err)
		err = cffs_may_remove(fs, dir, child, ctx);
	if (!err && want_dir != cffs_is_dir(child))
		err = want_dir ? -ENOTDIR : -EISDIR;
	return err;
}

static int unlink_in(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		     const char *name)
{
	struct cffs_inode *child;
	struct cffs_deal deal;
	struct cffs_loc loc;
	bool link;
	int err = cffs_names_find(fs, dir, name, &loc, &child);

	if (err)
		return err;
	link = loc.kind == CFFS_KIND_LINK;
	err = check_removable(fs, ctx, dir, child, false);
	if (err)
		goto put_child;
	pthread_rwlock_wrlock(&child->lock); /* nobody is writing to it */
	err = xdir_lock(fs, link);
	if (!err) {
		cffs_deal_init(&deal, ctx->now);
		cffs_names_changed(&deal, dir, 0);
		cffs_deal_remove(fs, &deal, dir, child, &loc, name);
		err = cffs_deal_run(fs, &deal);
		xdir_unlock(fs, link);
	}
	pthread_rwlock_unlock(&child->lock);
put_child:
	cffs_inode_put(fs, child);
	return err;
}

int cffs_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		const char *name)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir;
	int err = cffs_names_get(fs, ctx, dir_ino, true, &dir);

	if (err)
		return cffs_errno(err);
	err = unlink_in(fs, ctx, dir, name);
	cffs_names_put(fs, dir);
	cffs_doomed(fs);
	return cffs_errno(err);
}

int cffs_dir_vacate(struct cffs *fs, struct cffs_inode *dir)
{
	int err = cffs_dir_vacant(fs, dir);

	return err ? err : cffs_orphans_leave(fs, dir);
}

static void deal_rmdir(struct cffs_deal *deal, struct cffs_inode *dir, struct cffs_inode *child,
		       const struct cffs_loc *loc, const char *name)
{
	cffs_deal_cut(deal, dir, loc, name);
	cffs_deal_tweak(deal, child, -(int)child->a.nlink, false);
	cffs_names_changed(deal, dir, -1);
	deal->freed = child;
}

static int rmdir_locked(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
			struct cffs_inode *child, const struct cffs_loc *loc, const char *name)
{
	struct cffs_deal deal;
	int err = cffs_dir_vacate(fs, child);

	if (err)
		return err;
	cffs_deal_init(&deal, ctx->now);
	deal_rmdir(&deal, dir, child, loc, name);
	err = cffs_deal_run(fs, &deal);
	if (!err)
		cffs_dir_clear(fs, child);
	return err;
}

static int rmdir_in(struct cffs_locks *locks, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		    const char *name)
{
	struct cffs *fs = locks->fs;
	struct cffs_inode *child;
	struct cffs_loc loc;
	int err = cffs_names_find(fs, dir, name, &loc, &child);

	if (err)
		return err;
	err = check_removable(fs, ctx, dir, child, true);
	if (!err)
		err = cffs_locks_also(locks, child);
	if (!err)
		err = rmdir_locked(fs, ctx, dir, child, &loc, name);
	cffs_inode_put(fs, child);
	return err;
}

int cffs_rmdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
	       const char *name)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_locks locks;
	struct cffs_inode *dir;
	int err = cffs_inode_get(fs, dir_ino, &dir);

	if (err)
		return cffs_errno(err);
	cffs_locks_init(&locks, fs);
	cffs_locks_ask(&locks, dir);
	err = cffs_may_look(fs, ctx, dir);
	if (!err)
		err = cffs_locks_take(&locks);
	if (!err)
		do
			err = rmdir_in(&locks, ctx, dir, name);
		while (err == -EAGAIN);
	cffs_locks_fini(&locks);
	cffs_inode_put(fs, dir);
	cffs_doomed(fs);
	return cffs_errno(err);
}
