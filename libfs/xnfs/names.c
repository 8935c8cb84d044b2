/* SPDX-License-Identifier: MIT */
/*
 * What is done to names.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* One path looked up: who asks, and what is there.  visit...() until leave(). */
struct visit {
	struct caller caller;
	struct place place;
};

static int visit(struct visit *v, struct xnfs *fs, const char *path, uint32_t flags)
{
	caller_init(&v->caller, fs);
	return caller_find(&v->caller, path, flags, &v->place);
}

static int visit_file(struct visit *v, struct xnfs *fs, const char *path, uint32_t flags)
{
	caller_init(&v->caller, fs);
	return caller_find_file(&v->caller, path, flags, &v->place);
}

static int visit_new(struct visit *v, struct xnfs *fs, const char *path)
{
	caller_init(&v->caller, fs);
	return caller_find_new(&v->caller, path, &v->place);
}

static ssize_t leave(struct visit *v, ssize_t result)
{
	place_put(&v->place);
	return result;
}

static int stat_at(struct xnfs *fs, const char *path, uint32_t flags, struct stat *out)
{
	struct visit v;
	int err = visit(&v, fs, path, flags);

	if (err)
		return err;
	stat_fill(&v.caller, &v.place, out);
	return (int)leave(&v, 0);
}

int xnfs_stat(struct xnfs *fs, const char *path, struct stat *out)
{
	return stat_at(fs, path, PLACE_FOLLOW, out);
}

int xnfs_lstat(struct xnfs *fs, const char *path, struct stat *out)
{
	return stat_at(fs, path, 0, out);
}

int xnfs_access(struct xnfs *fs, const char *path, int mode)
{
	struct visit v;
	int err = visit(&v, fs, path, PLACE_FOLLOW);

	if (err)
		return err;
	if (v.place.fs)
		err = libfs_access(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino,
				   (uint32_t)mode);
	else if (mode & W_OK)
		err = -EROFS;
	return (int)leave(&v, err);
}

/* ---- making ---- */

/* Makes what is asked for at `place`; the new file's reference is given back. */
static int make_at(struct caller *caller, const struct place *place, mode_t mode, dev_t dev,
		   const char *target)
{
	const struct libfs_ctx *ctx = &caller->ctx.libfs;
	struct libfs_attr attr;
	int err;

	if (target)
		err = libfs_symlink(place->fs, ctx, place->dir, place->name, target, &attr);
	else if (S_ISDIR(mode))
		err = libfs_mkdir(place->fs, ctx, place->dir, place->name, mode & 07777, &attr);
	else
		err = libfs_mknod(place->fs, ctx, place->dir, place->name, mode, dev, &attr);
	if (!err)
		libfs_forget(place->fs, attr.ino, 1);
	return err;
}

static int make(struct xnfs *fs, const char *path, mode_t mode, dev_t dev, const char *target)
{
	struct visit v;
	int err = visit_new(&v, fs, path);

	if (err)
		return err;
	err = make_at(&v.caller, &v.place, mode, dev, target);
	return (int)leave(&v, err);
}

int xnfs_mkdir(struct xnfs *fs, const char *path, mode_t mode)
{
	return make(fs, path, S_IFDIR | (mode & 07777), 0, NULL);
}

int xnfs_mknod(struct xnfs *fs, const char *path, mode_t mode, dev_t dev)
{
	if (S_ISDIR(mode) || S_ISLNK(mode))
		return -EPERM;
	return make(fs, path, mode & S_IFMT ? mode : mode | S_IFREG, dev, NULL);
}

int xnfs_symlink(struct xnfs *fs, const char *target, const char *path)
{
	return make(fs, path, S_IFLNK, 0, target);
}

ssize_t xnfs_readlink(struct xnfs *fs, const char *path, char *target, size_t size)
{
	struct visit v;
	ssize_t len = visit(&v, fs, path, 0);

	if (len)
		return len;
	len = -EINVAL;
	if (v.place.fs && S_ISLNK(v.place.attr.mode) && size > 0)
		len = libfs_readlink(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, target,
				     size);
	if (len >= 0 && (size_t)len < size)
		target[len] = '\0';
	return leave(&v, len);
}

int xnfs_link(struct xnfs *fs, const char *old_path, const char *path)
{
	struct caller caller;
	struct place old, place;
	struct libfs_attr attr;
	int err;

	caller_init(&caller, fs);
	err = caller_find_file(&caller, old_path, 0, &old);
	if (err)
		return err;
	err = caller_find_new(&caller, path, &place);
	if (err)
		goto put_old;
	if (place.fs != old.fs)
		err = -EXDEV;
	else
		err = libfs_link(place.fs, &caller.ctx.libfs, old.attr.ino, place.dir, place.name,
				 &attr);
	if (!err)
		libfs_forget(place.fs, attr.ino, 1);
	place_put(&place);
put_old:
	place_put(&old);
	return err;
}

/* ---- removing and renaming ---- */

/* "." and "..", a root's own directory and the top have no name that could go. */
static int no_name(const struct place *place)
{
	if (!place->fs)
		return -EROFS;
	return place->dir == 0 ? -EBUSY : 0;
}

static int remove_at(struct xnfs *fs, const char *path, bool is_dir)
{
	struct visit v;
	int err = visit(&v, fs, path, 0);

	if (err)
		return err;
	err = no_name(&v.place);
	if (!err && is_dir)
		err = libfs_rmdir(v.place.fs, &v.caller.ctx.libfs, v.place.dir, v.place.name);
	else if (!err)
		err = libfs_unlink(v.place.fs, &v.caller.ctx.libfs, v.place.dir, v.place.name);
	return (int)leave(&v, err);
}

int xnfs_unlink(struct xnfs *fs, const char *path)
{
	return remove_at(fs, path, false);
}

int xnfs_rmdir(struct xnfs *fs, const char *path)
{
	return remove_at(fs, path, true);
}

int xnfs_rename(struct xnfs *fs, const char *from_path, const char *to_path, unsigned flags)
{
	struct caller caller;
	struct place from, to;
	int err;

	caller_init(&caller, fs);
	err = caller_find(&caller, from_path, 0, &from);
	if (err)
		return err;
	err = caller_find(&caller, to_path, PLACE_MISSING, &to);
	if (err)
		goto put_from;
	if (from.fs != to.fs)
		err = -EXDEV;
	else
		err = no_name(&from);
	if (!err)
		err = no_name(&to);
	if (!err)
		err = libfs_rename(from.fs, &caller.ctx.libfs, from.dir, from.name, to.dir, to.name,
				   flags);
	place_put(&to);
put_from:
	place_put(&from);
	return err;
}

/* ---- attributes ---- */

static int set_attr(struct xnfs *fs, const char *path, uint32_t flags,
		    const struct libfs_attr *attr, uint32_t which)
{
	struct libfs_attr after;
	struct visit v;
	int err = visit_file(&v, fs, path, flags);

	if (err)
		return err;
	err = libfs_setattr(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, attr, which, &after);
	return (int)leave(&v, err);
}

static uint32_t follow(int flags)
{
	return flags & AT_SYMLINK_NOFOLLOW ? 0 : PLACE_FOLLOW;
}

int xnfs_chmod(struct xnfs *fs, const char *path, mode_t mode, int flags)
{
	const struct libfs_attr attr = { .mode = mode & 07777 };

	return set_attr(fs, path, follow(flags), &attr, LIBFS_SET_MODE);
}

int xnfs_chown(struct xnfs *fs, const char *path, uid_t uid, gid_t gid, int flags)
{
	const struct libfs_attr attr = { .uid = uid, .gid = gid };
	uint32_t which = 0;

	if (uid != (uid_t)-1)
		which |= LIBFS_SET_UID;
	if (gid != (gid_t)-1)
		which |= LIBFS_SET_GID;
	return set_attr(fs, path, follow(flags), &attr, which);
}

int xnfs_utimens(struct xnfs *fs, const char *path, const struct timespec times[2], int flags)
{
	struct libfs_attr attr = { .mode = 0 };
	uint32_t which = LIBFS_SET_ATIME_NOW | LIBFS_SET_MTIME_NOW;

	if (times) {
		attr.atime = times[0];
		attr.mtime = times[1];
		which = times[0].tv_nsec == UTIME_OMIT  ? 0
			: times[0].tv_nsec == UTIME_NOW ? LIBFS_SET_ATIME_NOW
							: LIBFS_SET_ATIME;
		which |= times[1].tv_nsec == UTIME_OMIT  ? 0
			 : times[1].tv_nsec == UTIME_NOW ? LIBFS_SET_MTIME_NOW
							 : LIBFS_SET_MTIME;
	}
	return set_attr(fs, path, follow(flags), &attr, which);
}

int xnfs_truncate(struct xnfs *fs, const char *path, off_t size)
{
	const struct libfs_attr attr = { .size = (uint64_t)size };

	if (size < 0)
		return -EINVAL;
	return set_attr(fs, path, PLACE_FOLLOW, &attr, LIBFS_SET_SIZE);
}

int xnfs_statvfs(struct xnfs *fs, const char *path, struct statvfs *out)
{
	struct libfs_statfs space;
	struct visit v;
	int err = visit(&v, fs, path, PLACE_FOLLOW);

	if (err)
		return err;
	err = v.place.fs ? libfs_statfs(v.place.fs, &space) : host_statfs(fs->host, &space);
	place_put(&v.place);
	if (err)
		return err;
	*out = (struct statvfs){
		.f_bsize = space.block_size,
		.f_frsize = space.block_size,
		.f_blocks = space.blocks,
		.f_bfree = space.blocks_free,
		.f_bavail = space.blocks_available,
		.f_files = space.files,
		.f_ffree = space.files_free,
		.f_favail = space.files_free,
		.f_fsid = space.fsid,
		.f_namemax = space.name_max,
	};
	return 0;
}

/* ---- extended attributes ---- */

int xnfs_setxattr(struct xnfs *fs, const char *path, const char *name, const void *value,
		  size_t size, int flags)
{
	struct visit v;
	int err = visit_file(&v, fs, path, 0);

	if (err)
		return err;
	err = libfs_setxattr(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, name, value, size,
			     (uint32_t)flags);
	return (int)leave(&v, err);
}

ssize_t xnfs_getxattr(struct xnfs *fs, const char *path, const char *name, void *value, size_t size)
{
	struct visit v;
	ssize_t n = visit_file(&v, fs, path, 0);

	if (n)
		return n;
	n = libfs_getxattr(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, name, value, size);
	return leave(&v, n);
}

ssize_t xnfs_listxattr(struct xnfs *fs, const char *path, char *names, size_t size)
{
	struct visit v;
	ssize_t n = visit_file(&v, fs, path, 0);

	if (n)
		return n;
	n = libfs_listxattr(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, names, size);
	return leave(&v, n);
}

int xnfs_removexattr(struct xnfs *fs, const char *path, const char *name)
{
	struct visit v;
	int err = visit_file(&v, fs, path, 0);

	if (err)
		return err;
	err = libfs_removexattr(v.place.fs, &v.caller.ctx.libfs, v.place.attr.ino, name);
	return (int)leave(&v, err);
}
