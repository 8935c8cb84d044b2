/* SPDX-License-Identifier: MIT */
/*
 * The operations on names.
 *
 *  (1) A name is written when its inode is complete in memory.  On disk they may
 *      arrive in any order: a name without its inode is not there, an inode
 *      without a name is freed after a crash.
 *  (2) A file that had a name that reached the disk never loses its last one by
 *      a crash, except by unlink: rename makes the new name stable before the
 *      old one goes, and a name it takes over before the old owner goes; of
 *      several names none goes before the others are stable.
 *  (3) What the host still uses is freed when it stops using it.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "simplefs.h"

/* ---- what they share ---- */

static int may(const struct sfs_inode *inode, const struct libfs_ctx *ctx, uint32_t mask)
{
	struct libfs_attr attr;

	sfs_inode_attr(inode, &attr);
	return libfs_may(&attr, ctx->cred, mask);
}

static int may_remove(const struct sfs_inode *dir, const struct sfs_inode *child,
		      const struct libfs_ctx *ctx)
{
	struct libfs_attr parent, attr;

	sfs_inode_attr(dir, &parent);
	sfs_inode_attr(child, &attr);
	return libfs_may_remove(&parent, &attr, ctx->cred);
}

/* A directory in which names may be looked up. */
static int dir_get(struct sfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		   struct sfs_inode *dir)
{
	int err = sfs_inode_get(fs, ino, dir);

	if (err)
		return err;
	err = sfs_is_dir(dir) ? may(dir, ctx, LIBFS_MAY_EXEC) : -ENOTDIR;
	if (err)
		sfs_inode_put(fs, dir);
	return err;
}

/* May a new name be made there?  The place for it, if so. */
static int place_get(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *dir,
		     const char *name, struct sfs_entry *place)
{
	int err;

	if (dir->f.nlink == 0)
		return -ENOENT;
	err = may(dir, ctx, LIBFS_MAY_WRITE);
	return err ? err : sfs_dir_reserve(fs, dir, name, place);
}

static void touch_dir(struct sfs_inode *dir, struct timespec now)
{
	sfs_inode_touch(dir, SFS_MTIME, now);
	sfs_inode_touch(dir, SFS_CTIME, now);
}

/* Give the caller a reference and the attributes. */
static int give(struct sfs *fs, const struct sfs_inode *inode, struct libfs_attr *out)
{
	sfs_inode_attr(inode, out);
	return sfs_node_get(fs, inode->ino);
}

/* ---- lookup ---- */

static int resolve(struct sfs *fs, struct sfs_inode *dir, const char *name, uint32_t *ino)
{
	struct sfs_entry entry;
	int err;

	if (strcmp(name, ".") == 0) {
		*ino = dir->ino;
		return 0;
	}
	if (strcmp(name, "..") == 0) {
		*ino = dir->f.parent;
		return 0;
	}
	err = sfs_dir_find(fs, dir, name, &entry);
	if (!err)
		*ino = entry.ino;
	return err;
}

static int lookup_locked(struct sfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
			 const char *name, struct libfs_attr *out)
{
	struct sfs_inode dir, inode;
	uint32_t ino = 0;
	int err = dir_get(fs, ctx, dir_ino, &dir);

	if (err)
		return err;
	err = resolve(fs, &dir, name, &ino);
	sfs_inode_put(fs, &dir);
	if (!err)
		err = sfs_inode_get(fs, ino, &inode);
	if (err)
		return err;
	err = give(fs, &inode, out);
	sfs_inode_put(fs, &inode);
	return err;
}

int sfs_lookup(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	int err;

	pthread_rwlock_rdlock(&fs->lock);
	err = lookup_locked(fs, ctx, dir, name, out);
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- making ---- */

static void inherit(struct sfs_make *make, const struct sfs_inode *dir, const struct libfs_ctx *ctx)
{
	make->uid = ctx->cred->uid;
	make->now = ctx->now;
	libfs_inherit(dir->f.mode, dir->f.gid, ctx, &make->mode, &make->gid);
}

/* The inode is there: enter its name, and what the directory notices. */
static int name_enter(struct sfs *fs, struct sfs_inode *dir, const char *name,
		      const struct sfs_inode *inode, const struct sfs_entry *place,
		      struct timespec now)
{
	struct sfs_fields before = dir->f;
	int err;

	touch_dir(dir, now);
	dir->f.nlink += sfs_is_dir(inode);
	err = sfs_inode_write(fs, dir);
	if (err)
		return err;
	err = sfs_dir_add(fs, dir, name, inode, place);
	if (err) {
		dir->f = before;
		sfs_inode_write(fs, dir);
	}
	return err;
}

static int make_in(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *dir,
		   const char *name, struct sfs_make *make, struct libfs_attr *out)
{
	struct sfs_entry place;
	struct sfs_inode inode;
	int err = place_get(fs, ctx, dir, name, &place);

	if (err)
		return err;
	if (S_ISDIR(make->mode) && dir->f.nlink == UINT32_MAX)
		return -EMLINK;
	inherit(make, dir, ctx);
	make->parent = S_ISDIR(make->mode) ? dir->ino : 0;
	err = sfs_inode_make(fs, make, &inode);
	if (err)
		return err;
	err = give(fs, &inode, out);
	if (!err) {
		err = name_enter(fs, dir, name, &inode, &place, ctx->now);
		if (err)
			sfs_node_put(fs, inode.ino, 1);
	}
	if (err)
		sfs_inode_free(fs, &inode);
	sfs_inode_put(fs, &inode);
	return err;
}

/* What is there already, for an open that does not insist on a new file. */
static int take_existing(struct sfs *fs, uint32_t ino, struct libfs_attr *out)
{
	struct sfs_inode inode;
	int err = sfs_inode_get(fs, ino, &inode);

	if (err)
		return err;
	err = sfs_is_dir(&inode) ? -EISDIR : give(fs, &inode, out);
	sfs_inode_put(fs, &inode);
	return err;
}

static int make_named(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		      const char *name, struct sfs_make *make, bool exclusive,
		      struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_entry entry;
	struct sfs_inode dir;
	int err;

	pthread_rwlock_wrlock(&fs->lock);
	err = dir_get(fs, ctx, dir_ino, &dir);
	if (err)
		goto unlock;
	err = sfs_dir_find(fs, &dir, name, &entry);
	if (err == -ENOENT)
		err = make_in(fs, ctx, &dir, name, make, out);
	else if (!err)
		err = exclusive ? -EEXIST : take_existing(fs, entry.ino, out);
	sfs_inode_put(fs, &dir);
unlock:
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

int sfs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	struct sfs_make make = { .mode = S_IFREG | (mode & 07777 & ~ctx->umask) };

	return make_named(libfs, ctx, dir, name, &make, exclusive, out);
}

int sfs_mkdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	      uint32_t mode, struct libfs_attr *out)
{
	struct sfs_make make = { .mode = S_IFDIR | (mode & 01777 & ~ctx->umask) };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}

int sfs_mknod(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	      uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	struct sfs_make make = { .mode = mode & ~(ctx->umask & 07777), .rdev = rdev };
	int err = libfs_mknod_check(ctx, &make.mode, &make.rdev);

	return err ? err : make_named(libfs, ctx, dir, name, &make, true, out);
}

int sfs_symlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		const char *target, struct libfs_attr *out)
{
	struct sfs_make make = { .mode = S_IFLNK | 0777, .target = target };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}

/* ---- link ---- */

static int link_in(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *inode,
		   struct sfs_inode *dir, const char *name)
{
	struct sfs_change change = { 0 };
	struct sfs_fields before = inode->f;
	struct sfs_entry place;
	int err = sfs_dir_find(fs, dir, name, &place);

	if (err != -ENOENT)
		return err ? err : -EEXIST;
	err = place_get(fs, ctx, dir, name, &place);
	if (err)
		return err;
	inode->f.nlink++;
	sfs_inode_touch(inode, SFS_CTIME, ctx->now);
	touch_dir(dir, ctx->now);
	sfs_change_inode(&change, inode);
	sfs_change_inode(&change, dir);
	err = sfs_change_apply(fs, &change);
	if (err)
		return err;
	err = sfs_dir_add(fs, dir, name, inode, &place);
	if (err) {
		inode->f = before;
		sfs_inode_write(fs, inode);
	} else {
		atomic_fetch_add(&fs->links, 1);
	}
	return err;
}

static int link_locked(struct sfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       libfs_ino_t dir_ino, const char *name, struct libfs_attr *out)
{
	struct sfs_inode inode, dir;
	int err = sfs_inode_get(fs, ino, &inode);

	if (err)
		return err;
	err = sfs_is_dir(&inode) ? -EPERM : inode.f.nlink == 0 ? -ENOENT : 0;
	if (!err && inode.f.nlink == UINT32_MAX)
		err = -EMLINK;
	if (!err)
		err = dir_get(fs, ctx, dir_ino, &dir);
	if (err)
		goto put_inode;
	err = link_in(fs, ctx, &inode, &dir, name);
	if (!err)
		err = give(fs, &inode, out);
	sfs_inode_put(fs, &dir);
put_inode:
	sfs_inode_put(fs, &inode);
	return err;
}

int sfs_link(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
	     const char *name, struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	int err;

	pthread_rwlock_wrlock(&fs->lock);
	err = link_locked(fs, ctx, ino, dir, name, out);
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- unlink, rmdir ---- */

static int check_removable(struct sfs *fs, const struct libfs_ctx *ctx, const struct sfs_inode *dir,
			   struct sfs_inode *child, bool want_dir)
{
	int err = may(dir, ctx, LIBFS_MAY_WRITE);

	if (!err)
		err = may_remove(dir, child, ctx);
	if (err)
		return err;
	if (want_dir != sfs_is_dir(child))
		return want_dir ? -ENOTDIR : -EISDIR;
	return want_dir ? sfs_dir_is_empty(fs, child) : 0;
}

/*
 * The file keeps other names: before this one goes, they must be on the disk, or a crash could
 * leave it none.
 */
static int settle_links(struct sfs *fs, const struct sfs_inode *child)
{
	if (sfs_is_dir(child) || child->f.nlink < 2 ||
	    atomic_load(&fs->links) == atomic_load(&fs->links_stable))
		return 0;
	return sfs_sync_locked(fs);
}

static void lose_name(struct sfs_inode *child, struct timespec now)
{
	if (sfs_is_dir(child))
		child->f.nlink = 0;
	else if (child->f.nlink)
		child->f.nlink--;
	sfs_inode_touch(child, SFS_CTIME, now);
}

static int remove_entry(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *dir,
			struct sfs_inode *child, const struct sfs_entry *entry)
{
	struct sfs_change change = { 0 };
	int err = sfs_dir_remove(fs, dir, entry);

	if (err)
		return err;
	dir->f.nlink -= sfs_is_dir(child) && dir->f.nlink > 2;
	lose_name(child, ctx->now);
	touch_dir(dir, ctx->now);
	sfs_change_inode(&change, dir);
	sfs_change_inode(&change, child);
	return sfs_change_apply(fs, &change);
}

static int remove_named(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
			const char *name, bool want_dir)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode dir, child;
	struct sfs_entry entry;
	int err;

	pthread_rwlock_wrlock(&fs->lock);
	err = dir_get(fs, ctx, dir_ino, &dir);
	if (err)
		goto unlock;
	err = sfs_dir_find(fs, &dir, name, &entry);
	if (!err)
		err = sfs_inode_get(fs, entry.ino, &child);
	if (err)
		goto put_dir;
	err = check_removable(fs, ctx, &dir, &child, want_dir);
	if (!err)
		err = settle_links(fs, &child);
	if (!err)
		err = remove_entry(fs, ctx, &dir, &child, &entry);
	sfs_inode_put(fs, &child);
	if (!err)
		err = sfs_inode_drop(fs, entry.ino);
put_dir:
	sfs_inode_put(fs, &dir);
unlock:
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

int sfs_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name)
{
	return remove_named(libfs, ctx, dir, name, false);
}

int sfs_rmdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name)
{
	return remove_named(libfs, ctx, dir, name, true);
}

/* ---- rename ---- */

struct rename {
	struct sfs *fs;
	const struct libfs_ctx *ctx;
	const char *to_name;
	struct sfs_inode from, other; /* directories; `other` only when there are two */
	struct sfs_inode *to;         /* &from or &other */
	struct sfs_inode child, target;
	struct sfs_entry old, new; /* `new`: the target's entry, or a place */
	bool has_target;
};

static void rename_put(struct rename *r)
{
	sfs_inode_put(r->fs, &r->target);
	sfs_inode_put(r->fs, &r->child);
	sfs_inode_put(r->fs, &r->other);
	sfs_inode_put(r->fs, &r->from);
}

static int rename_get(struct rename *r, libfs_ino_t from_dir, const char *from, libfs_ino_t to_dir)
{
	struct sfs *fs = r->fs;
	int err = dir_get(fs, r->ctx, from_dir, &r->from);

	r->to = &r->from;
	if (!err && to_dir != from_dir) {
		err = dir_get(fs, r->ctx, to_dir, &r->other);
		r->to = &r->other;
	}
	if (!err)
		err = sfs_dir_find(fs, &r->from, from, &r->old);
	if (!err)
		err = sfs_inode_get(fs, r->old.ino, &r->child);
	if (err)
		return err;
	err = sfs_dir_find(fs, r->to, r->to_name, &r->new);
	if (err == -ENOENT)
		return 0;
	r->has_target = !err;
	return err ? err : sfs_inode_get(fs, r->new.ino, &r->target);
}

/* -EINVAL if `ino` lies in the tree below `top`, or is it. */
static int check_not_below(struct sfs *fs, uint32_t ino, uint32_t top)
{
	struct sfs_inode dir;

	for (uint32_t steps = 0; ino != SFS_ROOT_INO; steps++) {
		int err;

		if (ino == top || steps == SFS_INODES_MAX)
			return -EINVAL;
		err = sfs_inode_get(fs, ino, &dir);
		if (err)
			return err;
		ino = dir.f.parent;
		sfs_inode_put(fs, &dir);
	}
	return top == SFS_ROOT_INO ? -EINVAL : 0;
}

static int check_target(struct rename *r)
{
	int err = may_remove(r->to, &r->target, r->ctx);

	if (err)
		return err;
	if (sfs_is_dir(&r->child) != sfs_is_dir(&r->target))
		return sfs_is_dir(&r->child) ? -ENOTDIR : -EISDIR;
	return sfs_is_dir(&r->target) ? sfs_dir_is_empty(r->fs, &r->target) : 0;
}

static int rename_check(struct rename *r)
{
	bool moves = r->to != &r->from;
	int err = 0;

	if (r->to->f.nlink == 0)
		return -ENOENT;
	if (sfs_is_dir(&r->child) && moves)
		err = check_not_below(r->fs, r->to->ino, r->child.ino);
	if (!err)
		err = may(&r->from, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = may(r->to, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = may_remove(&r->from, &r->child, r->ctx);
	/* A directory that moves gets another "..". */
	if (!err && sfs_is_dir(&r->child) && moves)
		err = may(&r->child, r->ctx, LIBFS_MAY_WRITE);
	if (!err && r->has_target)
		err = check_target(r);
	return err;
}

/* An inode that is not on disk yet must not take over a name that is. */
static int settle_births(struct sfs *fs)
{
	return atomic_load(&fs->births) == atomic_load(&fs->births_stable) ? 0
									   : sfs_sync_locked(fs);
}

static int new_name_write(struct rename *r)
{
	int err;

	if (r->has_target)
		return sfs_dir_replace(r->fs, r->to, &r->new, r->child.ino, r->child.f.birth,
				       r->old.type);
	err = sfs_dir_reserve(r->fs, r->to, r->to_name, &r->new);
	return err ? err : sfs_dir_add(r->fs, r->to, r->to_name, &r->child, &r->new);
}

static void new_name_undo(struct rename *r)
{
	if (r->has_target)
		sfs_dir_replace(r->fs, r->to, &r->new, r->target.ino, r->target.f.birth,
				(uint8_t)SIMPLEFS_TYPE(r->target.f.mode));
	else
		sfs_dir_remove(r->fs, r->to, &r->new);
}

/* Both names for a while: the new one must be on the disk before the old one goes. */
static int move_by_two_writes(struct rename *r)
{
	uint32_t parent = r->child.f.parent;
	int err = new_name_write(r);

	if (err)
		return err;
	if (sfs_is_dir(&r->child)) {
		r->child.f.parent = r->to->ino;
		err = sfs_inode_write(r->fs, &r->child);
	}
	if (!err)
		err = sfs_sync_locked(r->fs);
	if (!err)
		err = sfs_dir_remove(r->fs, &r->from, &r->old);
	if (err) {
		new_name_undo(r);
		r->child.f.parent = parent;
		sfs_inode_write(r->fs, &r->child);
	}
	return err;
}

static int rename_move(struct rename *r)
{
	int err = r->has_target ? settle_births(r->fs) : 0;

	if (!err && r->has_target)
		err = settle_links(r->fs, &r->target);
	if (err)
		return err;
	if (r->to != &r->from)
		return move_by_two_writes(r);
	err = sfs_dir_rename(r->fs, &r->from, &r->old, r->to_name, r->has_target ? &r->new : NULL);
	if (err == -ENOSPC)
		return move_by_two_writes(r);
	/* The target may go only when its name surely means another. */
	if (!err && r->has_target)
		err = sfs_sync_locked(r->fs);
	return err;
}

static int rename_settle(struct rename *r)
{
	struct sfs_change change = { 0 };
	struct timespec now = r->ctx->now;

	if (sfs_is_dir(&r->child)) {
		r->from.f.nlink -= r->from.f.nlink > 2;
		r->to->f.nlink += !r->has_target;
	}
	touch_dir(&r->from, now);
	touch_dir(r->to, now);
	sfs_inode_touch(&r->child, SFS_CTIME, now);
	sfs_change_inode(&change, &r->from);
	sfs_change_inode(&change, &r->child);
	if (r->to != &r->from)
		sfs_change_inode(&change, r->to);
	if (r->has_target) {
		lose_name(&r->target, now);
		sfs_change_inode(&change, &r->target);
	}
	return sfs_change_apply(r->fs, &change);
}

static int rename_locked(struct rename *r, libfs_ino_t from_dir, const char *from,
			 libfs_ino_t to_dir, uint32_t flags)
{
	uint32_t dropped = 0;
	int err = rename_get(r, from_dir, from, to_dir);

	if (!err && r->has_target && (flags & LIBFS_RENAME_NOREPLACE))
		err = -EEXIST;
	/* Two names of one file: nothing to do, says POSIX. */
	if (!err && r->has_target && r->target.ino == r->child.ino)
		goto put;
	if (!err)
		err = rename_check(r);
	if (!err)
		err = rename_move(r);
	if (!err)
		err = rename_settle(r);
	if (!err && r->has_target)
		dropped = r->target.ino;
put:
	rename_put(r);
	return err || !dropped ? err : sfs_inode_drop(r->fs, dropped);
}

int sfs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
	       const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct rename r = { .fs = sfs_of(libfs), .ctx = ctx, .to_name = to };
	int err;

	/* Two names that swap need two sectors at once; see README.md. */
	if (flags & ~LIBFS_RENAME_NOREPLACE)
		return -EINVAL;
	pthread_rwlock_wrlock(&r.fs->lock);
	err = rename_locked(&r, from_dir, from, to_dir, flags);
	pthread_rwlock_unlock(&r.fs->lock);
	return sfs_errno(err);
}
