/* SPDX-License-Identifier: MIT */
/*
 * The operations on names.
 *
 *  (1) Each is one deal: on disk it happened or it did not.
 *  (2) Directories that it changes are locked for writing from the look to the
 *      end.  Several are a set of locks.h; when that says -EAGAIN, one looks again.
 *  (3) A removed file that somebody uses keeps a nameless entry as long as it
 *      owns blocks; nobody finds it there (orphan.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "deal.h"
#include "locks.h"

/* ---- what they share ---- */

static int may_remove(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *child,
		      const struct libfs_ctx *ctx)
{
	struct libfs_attr parent, attr;

	pthread_mutex_lock(&fs->lock);
	cffs_attr_fill(dir, &parent);
	cffs_attr_fill(child, &attr);
	pthread_mutex_unlock(&fs->lock);
	return libfs_may_remove(&parent, &attr, ctx->cred);
}

/* May names be looked up in it? */
static int may_look(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir)
{
	return cffs_is_dir(dir) ? cffs_may(fs, dir, ctx, LIBFS_MAY_EXEC) : -ENOTDIR;
}

/* A directory in which names may be looked up, pinned and locked. */
static int dir_get(struct cffs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, bool write,
		   struct cffs_inode **out)
{
	int err = cffs_inode_get(fs, ino, out);

	if (err)
		return err;
	err = may_look(fs, ctx, *out);
	if (!err)
		err = cffs_dir_lock(fs, *out, write);
	if (err)
		cffs_inode_put(fs, *out);
	return err;
}

static void dir_put(struct cffs *fs, struct cffs_inode *dir)
{
	pthread_rwlock_unlock(&dir->lock);
	cffs_inode_put(fs, dir);
}

/* One reference for the host. */
static void give(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out)
{
	pthread_mutex_lock(&fs->lock);
	inode->refs++;
	cffs_attr_fill(inode, out);
	pthread_mutex_unlock(&fs->lock);
}

/* The directory notices that its names changed. */
static void tweak_dir(struct cffs_deal *deal, struct cffs_inode *dir, int nlink)
{
	cffs_deal_tweak(deal, dir, nlink, nlink != 0)->mtime = true;
}

static int find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc,
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
		return find(fs, dir, name, &loc, out);
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
	int err = dir_get(fs, ctx, dir_ino, false, &dir);

	if (err)
		return cffs_errno(err);
	err = lookup_in(fs, dir, name, &inode);
	if (!err && should_come_back(fs, inode)) {
		pthread_rwlock_unlock(&dir->lock);
		pthread_rwlock_wrlock(&dir->lock);
		come_back(fs, dir, name, inode);
	}
	if (!err) {
		give(fs, inode, out);
		cffs_inode_put(fs, inode);
	}
	dir_put(fs, dir);
	return cffs_errno(err);
}

/* ---- making ---- */

struct make {
	uint32_t mode;
	uint64_t rdev;
	const char *target; /* of a symlink */
};

static int inode_new(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		     const struct make *make, struct cffs_inode **out)
{
	struct cffs_inode *inode = cffs_inode_alloc(fs);
	int err;

	if (!inode)
		return -ENOMEM;
	err = cffs_ino_take(fs, &inode->a.ino);
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	pthread_mutex_lock(&fs->lock);
	inode->a.generation = (uint32_t)(inode->a.ino * 2654435761u >> 7) | 1;
	inode->a.mode = make->mode;
	inode->type = make->mode & S_IFMT;
	inode->a.rdev = make->rdev;
	inode->a.nlink = S_ISDIR(make->mode) ? 2 : 1;
	inode->a.uid = ctx->cred->uid;
	libfs_inherit(dir->a.mode, dir->a.gid, ctx, &inode->a.mode, &inode->a.gid);
	inode->a.atime = inode->a.mtime = inode->a.ctime = inode->a.btime = ctx->now;
	err = cffs_acl_of_new(dir, inode, ctx->umask);
	pthread_mutex_unlock(&fs->lock);
	inode->b.n_slots = S_ISDIR(make->mode) ? CFFS_DIR_SLOTS : CFFS_FILE_SLOTS;
	if (!err && S_ISDIR(make->mode))
		err = cffs_dir_empty(inode, 0, 0);
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	*out = inode;
	return 0;
}

/* A target too long for the entry gets a block, written right behind the deal. */
static int target_place(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode,
			const char *target, struct cffs_deal *deal)
{
	size_t len = strlen(target);
	struct cffs_slot *slot = &inode->b.slot[0];
	int err;

	inode->b.size = len;
	if (len <= CFFS_INLINE_MAX) {
		memcpy(inode->b.inline_data, target, len);
		inode->b.inline_len = (uint8_t)len;
		return 0;
	}
	err = cffs_place(fs, dir, inode, 0, 1, XN_DATA, &deal->alloc);
	if (err)
		return err;
	*slot = (struct cffs_slot){ .start = deal->alloc.start,
				    .count = 1,
				    .class = CFFS_CLASS_DATA };
	inode->b.blocks = 1;
	return 0;
}

static int target_write(struct cffs *fs, struct cffs_inode *inode, const char *target)
{
	uint8_t bytes[CFFS_BLOCK] = { 0 };
	struct cffs_hold *hold;
	struct xn_bind_request request = {
		.access = fs->access,
		.extent = { .start = inode->b.slot[0].start, .count = 1, .type = XN_DATA },
	};
	xn_binding_t binding;
	unsigned tries = 0;
	int err;

	memcpy(bytes, target, inode->b.size); /* without the NUL: the inode has the size */
	err = cffs_inode_owner(fs, inode, &hold, &request.record);
	if (err)
		return err;
	request.owner = hold->object;
	do
		err = xn_bind(fs->libfs.session, &request, &binding);
	while (err && cffs_retry(fs, err, &tries));
	cffs_hold_put(fs, hold);
	if (err)
		return err;
	do
		err = xn_write(fs->libfs.session, binding, 0, bytes, sizeof(bytes));
	while (err && cffs_retry(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* Enter a new inode: in the directory, or with no-embed in XDIR and a link here. */
static int enter(struct cffs *fs, struct cffs_inode *dir, const char *name,
		 struct cffs_inode *inode, struct cffs_deal *deal)
{
	bool external = (fs->params.options & CFFS_O_NO_EMBED) && !cffs_is_dir(inode);
	int err = external ? cffs_dir_lock(fs, fs->xdir, true) : 0;

	if (err)
		return err;
	if (external) {
		cffs_deal_put(deal, fs->xdir, "", NULL)->inode = inode;
		cffs_deal_put(deal, dir, name, NULL)->link = inode;
	} else {
		cffs_deal_put(deal, dir, name, NULL)->inode = inode;
	}
	err = cffs_deal_run(fs, deal);
	if (external)
		pthread_rwlock_unlock(&fs->xdir->lock);
	return err;
}

static int make_in(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		   const char *name, const struct make *make, struct libfs_attr *out)
{
	struct cffs_inode *inode;
	struct cffs_deal deal;
	unsigned tries = 0;
	int err = dir->a.nlink ? cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE) : -ENOENT;

	if (err)
		return err;
	if (S_ISDIR(make->mode) && dir->a.nlink == UINT32_MAX)
		return -EMLINK;
	err = inode_new(fs, ctx, dir, make, &inode);
	if (err)
		return err;
	if (make->target)
		pthread_rwlock_rdlock(&fs->gate);
	do {
		cffs_deal_init(&deal, ctx->now);
		tweak_dir(&deal, dir, S_ISDIR(make->mode) ? 1 : 0);
		err = make->target ? target_place(fs, dir, inode, make->target, &deal) : 0;
		if (!err)
			err = enter(fs, dir, name, inode, &deal);
	} while (err && cffs_retry(fs, err, &tries));
	if (!err) {
		pthread_mutex_lock(&fs->lock);
		cffs_inode_insert(fs, inode);
		pthread_mutex_unlock(&fs->lock);
		if (deal.alloc.count)
			err = target_write(fs, inode, make->target);
		give(fs, inode, out);
		cffs_inode_put(fs, inode);
	} else {
		cffs_inode_free(fs, inode);
	}
	if (make->target)
		pthread_rwlock_unlock(&fs->gate);
	return err;
}

static int take_existing(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out)
{
	int err = cffs_is_dir(inode) ? -EISDIR : 0;

	if (!err)
		give(fs, inode, out);
	cffs_inode_put(fs, inode);
	return err;
}

static int make_named(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		      const char *name, const struct make *make, bool exclusive,
		      struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir, *inode;
	struct cffs_loc loc;
	int err = dir_get(fs, ctx, dir_ino, true, &dir);

	if (err)
		return cffs_errno(err);
	err = cffs_dir_find(fs, dir, name, &loc);
	if (err == -ENOENT) {
		err = make_in(fs, ctx, dir, name, make, out);
	} else if (!err && exclusive) {
		err = -EEXIST;
	} else if (!err) {
		err = cffs_dir_inode(fs, dir, &loc, &inode);
		if (!err)
			err = take_existing(fs, inode, out);
	}
	dir_put(fs, dir);
	return cffs_errno(err);
}

int cffs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFREG | (mode & 07777) };

	return make_named(libfs, ctx, dir, name, &make, exclusive, out);
}

/* A file that no name leads to lies with the orphans, which a mount after a crash frees. */
static int make_unnamed(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
			uint32_t mode, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFREG | (mode & 07777) };
	struct cffs_inode *inode;
	unsigned tries = 0;
	int err = inode_new(fs, ctx, dir, &make, &inode);

	if (err)
		return err;
	inode->a.nlink = 0;
	inode->unnamed = true;
	do
		err = cffs_orphan_place(fs, inode);
	while (err && cffs_retry(fs, err, &tries));
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	pthread_mutex_lock(&fs->lock);
	cffs_inode_insert(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	give(fs, inode, out);
	cffs_inode_put(fs, inode);
	return 0;
}

int cffs_tmpfile(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		 uint32_t mode, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir;
	int err = dir_get(fs, ctx, dir_ino, false, &dir);

	if (err)
		return cffs_errno(err);
	err = dir->a.nlink ? cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE) : -ENOENT;
	if (!err)
		err = make_unnamed(fs, ctx, dir, mode, out);
	dir_put(fs, dir);
	return cffs_errno(err);
}

int cffs_mkdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFDIR | (mode & 01777) };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}

int cffs_mknod(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	struct make make = { .mode = mode, .rdev = rdev };
	int err = libfs_mknod_check(ctx, &make.mode, &make.rdev);

	return err ? err : make_named(libfs, ctx, dir, name, &make, true, out);
}

int cffs_symlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		 const char *name, const char *target, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFLNK | 0777, .target = target };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}

/* ---- a name goes, and with the last one the file ---- */

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

/* `name` of `inode` goes.  XDIR is locked if the name is a link. */
static void deal_remove(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
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
		err = may_remove(fs, dir, child, ctx);
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
	int err = find(fs, dir, name, &loc, &child);

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
		tweak_dir(&deal, dir, 0);
		deal_remove(fs, &deal, dir, child, &loc, name);
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
	int err = dir_get(fs, ctx, dir_ino, true, &dir);

	if (err)
		return cffs_errno(err);
	err = unlink_in(fs, ctx, dir, name);
	dir_put(fs, dir);
	cffs_doomed(fs);
	return cffs_errno(err);
}

/* The directory is locked, empty, and holds no orphan's entry any more. */
static int dir_vacate(struct cffs *fs, struct cffs_inode *dir)
{
	int err = cffs_dir_vacant(fs, dir);

	return err ? err : cffs_orphans_leave(fs, dir);
}

static void deal_rmdir(struct cffs_deal *deal, struct cffs_inode *dir, struct cffs_inode *child,
		       const struct cffs_loc *loc, const char *name)
{
	cffs_deal_cut(deal, dir, loc, name);
	cffs_deal_tweak(deal, child, -(int)child->a.nlink, false);
	tweak_dir(deal, dir, -1);
	deal->freed = child;
}

static int rmdir_locked(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
			struct cffs_inode *child, const struct cffs_loc *loc, const char *name)
{
	struct cffs_deal deal;
	int err = dir_vacate(fs, child);

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
	int err = find(fs, dir, name, &loc, &child);

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
	err = may_look(fs, ctx, dir);
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

/* ---- two directories ---- */

/* Is `dir` the directory `top`, or below it?  fs->rename keeps it so. */
static bool is_below(struct cffs *fs, struct cffs_inode *dir, const struct cffs_inode *top)
{
	bool below = false;

	pthread_mutex_lock(&fs->lock);
	for (; dir && !below; dir = dir->dir)
		below = dir == top;
	pthread_mutex_unlock(&fs->lock);
	return below;
}

/* ---- link ---- */

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
	tweak_dir(&deal, dir, 0);
	cffs_loc_of(inode, &loc);
	cffs_deal_cut(&deal, inode->dir, &loc, "");
	cffs_deal_tweak(&deal, inode, 1, false)->adopted = true;
	if (external) {
		cffs_deal_put(&deal, fs->xdir, "", NULL)->inode = inode;
		cffs_deal_put(&deal, dir, name, NULL)->link = inode;
	} else {
		cffs_deal_put(&deal, dir, name, NULL)->inode = inode;
	}
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
	tweak_dir(&deal, dir, 0);
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
		err = may_look(fs, ctx, dir);
	if (!err)
		do
			err = link_in(fs, ctx, inode, dir, name);
		while (err == -EAGAIN);
	if (!err)
		give(fs, inode, out);
	cffs_inode_put(fs, dir);
put_inode:
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}

/* ---- rename ---- */

struct rename {
	struct cffs *fs;
	struct cffs_locks locks;
	const struct libfs_ctx *ctx;
	const char *from_name, *to_name;
	struct cffs_inode *from, *to; /* directories; the same one, perhaps */
	struct cffs_inode *child, *target;
	struct cffs_loc old, new; /* new: of the target */
	bool exchange;
};

static int rename_find(struct rename *r, uint32_t flags)
{
	int err = find(r->fs, r->from, r->from_name, &r->old, &r->child);

	if (err)
		return err;
	err = find(r->fs, r->to, r->to_name, &r->new, &r->target);
	if (err && err != -ENOENT)
		return err;
	if (err && r->exchange)
		return -ENOENT;
	return !err && (flags & LIBFS_RENAME_NOREPLACE) ? -EEXIST : 0;
}

static int check_target(struct rename *r)
{
	int err = may_remove(r->fs, r->to, r->target, r->ctx);

	if (err || r->exchange)
		return err;
	if (cffs_is_dir(r->child) != cffs_is_dir(r->target))
		return cffs_is_dir(r->child) ? -ENOTDIR : -EISDIR;
	/* What moves lies in it, or below. */
	return is_below(r->fs, r->from, r->target) ? -ENOTEMPTY : 0;
}

/* A directory that gets another parent: not into itself, and its ".." is written. */
static int check_move(struct rename *r, struct cffs_inode *what, struct cffs_inode *to)
{
	if (!cffs_is_dir(what) || r->from == r->to)
		return 0;
	if (is_below(r->fs, to, what))
		return -EINVAL;
	return cffs_may(r->fs, what, r->ctx, LIBFS_MAY_WRITE);
}

static int rename_check(struct rename *r)
{
	int err = r->to->a.nlink ? 0 : -ENOENT;

	if (!err && cffs_is_dir(r->child) && r->from != r->to && is_below(r->fs, r->to, r->child))
		err = -EINVAL;
	if (!err)
		err = cffs_may(r->fs, r->from, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = cffs_may(r->fs, r->to, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = may_remove(r->fs, r->from, r->child, r->ctx);
	if (!err)
		err = check_move(r, r->child, r->to);
	if (!err && r->target)
		err = check_target(r);
	if (!err && r->target && r->exchange)
		err = check_move(r, r->target, r->from);
	return err;
}

/* The entry of `inode`, found at `was`, comes as `name` in `dir`. */
static struct cffs_put *deal_arrive(struct cffs_deal *deal, struct cffs_inode *dir,
				    const char *name, struct cffs_inode *inode,
				    const struct cffs_loc *was, const struct cffs_loc *prefer)
{
	struct cffs_put *put = cffs_deal_put(deal, dir, name, prefer);

	if (was->kind == CFFS_KIND_INODE)
		put->inode = inode;
	else
		put->link = inode;
	return put;
}

/* How many subdirectories each of the two directories gains. */
static void deal_parents(struct rename *r, struct cffs_deal *deal)
{
	int from = 0, to = 0;

	if (cffs_is_dir(r->child)) {
		from--;
		to++;
	}
	if (r->target && cffs_is_dir(r->target)) {
		to--;
		from += r->exchange;
	}
	if (r->from == r->to) {
		tweak_dir(deal, r->to, from + to);
		return;
	}
	tweak_dir(deal, r->from, from);
	tweak_dir(deal, r->to, to);
}

static void deal_rename(struct rename *r, struct cffs_deal *deal)
{
	bool target_dir = r->target && cffs_is_dir(r->target);

	deal_parents(r, deal);
	/* Of a link, the inode's ctime follows in its own time. */
	cffs_deal_tweak(deal, r->child, 0, false);
	if (!r->target) {
		cffs_deal_cut(deal, r->from, &r->old, r->from_name);
		deal_arrive(deal, r->to, r->to_name, r->child, &r->old,
			    r->from == r->to ? &r->old : NULL);
		return;
	}
	cffs_deal_cut(deal, r->from, &r->old, r->from_name);
	if (r->exchange) {
		cffs_deal_tweak(deal, r->target, 0, false);
		cffs_deal_cut(deal, r->to, &r->new, r->to_name);
		deal_arrive(deal, r->to, r->to_name, r->child, &r->old, &r->new);
		deal_arrive(deal, r->from, r->from_name, r->target, &r->new, &r->old);
		return;
	}
	if (target_dir) {
		cffs_deal_cut(deal, r->to, &r->new, r->to_name);
		cffs_deal_tweak(deal, r->target, -(int)r->target->a.nlink, false);
		deal->freed = r->target;
	} else {
		deal_remove(r->fs, deal, r->to, r->target, &r->new, r->to_name);
	}
	/* An orphan keeps its place: the new name takes another. */
	deal_arrive(deal, r->to, r->to_name, r->child, &r->old, deal->freed ? &r->new : NULL);
}

static int rename_do(struct rename *r)
{
	struct cffs *fs = r->fs;
	bool target_dir = r->target && cffs_is_dir(r->target) && !r->exchange;
	struct cffs_deal deal;
	int err = target_dir ? dir_vacate(fs, r->target) : 0;

	if (err)
		return err;
	cffs_deal_init(&deal, r->ctx->now);
	deal_rename(r, &deal);
	err = cffs_deal_run(fs, &deal);
	if (!err && target_dir)
		cffs_dir_clear(fs, r->target);
	return err;
}

/* Whose entry moves, or goes, must not be about its blocks meanwhile: they get another owner. */
static int lock_moving(struct rename *r)
{
	int err = cffs_locks_also(&r->locks, r->child);

	if (!err && r->target)
		err = cffs_locks_also(&r->locks, r->target);
	if (!err && r->target && r->new.kind == CFFS_KIND_LINK && !r->exchange)
		err = cffs_locks_also(&r->locks, r->fs->xdir);
	return err;
}

/* -EAGAIN: the locks were let go for a moment. */
static int rename_once(struct rename *r, uint32_t flags)
{
	int err;

	r->child = r->target = NULL;
	err = rename_find(r, flags);
	if (!err)
		err = rename_check(r);
	if (!err && r->target != r->child) {
		err = lock_moving(r);
		if (!err)
			err = rename_do(r);
	}
	cffs_inode_put(r->fs, r->target);
	cffs_inode_put(r->fs, r->child);
	return err;
}

static int rename_in(struct rename *r, uint32_t flags)
{
	int err;

	cffs_locks_init(&r->locks, r->fs);
	cffs_locks_ask(&r->locks, r->from);
	cffs_locks_ask(&r->locks, r->to);
	err = cffs_locks_take(&r->locks);
	if (!err)
		do
			err = rename_once(r, flags);
		while (err == -EAGAIN);
	cffs_locks_fini(&r->locks);
	return err;
}

int cffs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct cffs *fs = cffs_of(libfs);
	struct rename r = { .fs = fs,
			    .ctx = ctx,
			    .from_name = from,
			    .to_name = to,
			    .exchange = flags & LIBFS_RENAME_EXCHANGE };
	bool two = from_dir != to_dir;
	int err = cffs_inode_get(fs, from_dir, &r.from);

	if (err)
		return cffs_errno(err);
	err = cffs_inode_get(fs, to_dir, &r.to);
	if (err)
		goto put_from;
	err = cffs_is_dir(r.from) && cffs_is_dir(r.to) ? 0 : -ENOTDIR;
	if (!err)
		err = may_look(fs, ctx, r.from);
	if (!err)
		err = may_look(fs, ctx, r.to);
	if (err)
		goto put_to;
	if (two)
		pthread_mutex_lock(&fs->rename);
	err = rename_in(&r, flags);
	if (two)
		pthread_mutex_unlock(&fs->rename);
put_to:
	cffs_inode_put(fs, r.to);
put_from:
	cffs_inode_put(fs, r.from);
	cffs_doomed(fs);
	return cffs_errno(err);
}
