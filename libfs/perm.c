/* SPDX-License-Identifier: MIT */
/*
 * The POSIX rules about who may do what to a file, once for every LibFS.
 *
 *  (1) Nothing here looks at a file system: attributes and credentials come in,
 *      a decision comes out.
 *  (2) uid 0 may all, except execute what nobody may execute.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

#define DAY (24 * 60 * 60)

bool libfs_in_group(const struct xn_cred *cred, uint32_t gid)
{
	if (cred->gid == gid)
		return true;
	for (uint32_t i = 0; i < cred->n_groups && i < XN_GROUPS_MAX; i++)
		if (cred->groups[i] == gid)
			return true;
	return false;
}

/* Exactly one of the three classes counts: the owner's bits bind the owner. */
static uint32_t bits_for(const struct libfs_attr *attr, const struct xn_cred *cred)
{
	if (cred->uid == attr->uid)
		return attr->mode >> 6;
	if (libfs_in_group(cred, attr->gid))
		return attr->mode >> 3;
	return attr->mode;
}

int libfs_may(const struct libfs_attr *attr, const struct xn_cred *cred, uint32_t mask)
{
	mask &= LIBFS_MAY_READ | LIBFS_MAY_WRITE | LIBFS_MAY_EXEC;
	if (cred->uid == 0) {
		if (!(mask & LIBFS_MAY_EXEC) || S_ISDIR(attr->mode) || (attr->mode & 0111))
			return 0;
		return -EACCES;
	}
	return (mask & ~bits_for(attr, cred)) == 0 ? 0 : -EACCES;
}

int libfs_may_remove(const struct libfs_attr *dir, const struct libfs_attr *child,
		     const struct xn_cred *cred)
{
	if (!(dir->mode & S_ISVTX) || cred->uid == 0 || cred->uid == dir->uid ||
	    cred->uid == child->uid)
		return 0;
	return -EPERM;
}

/* ---- setattr ---- */

static bool owns(const struct libfs_attr *old, const struct xn_cred *cred)
{
	return cred->uid == 0 || cred->uid == old->uid;
}

static int check_owner(const struct libfs_attr *old, const struct xn_cred *cred,
		       const struct libfs_attr *attr, uint32_t which)
{
	if (cred->uid == 0)
		return 0;
	if ((which & LIBFS_SET_UID) && (cred->uid != old->uid || attr->uid != old->uid))
		return -EPERM;
	if ((which & LIBFS_SET_GID) &&
	    (cred->uid != old->uid || (attr->gid != old->gid && !libfs_in_group(cred, attr->gid))))
		return -EPERM;
	return 0;
}

static int check_write(const struct libfs_attr *old, const struct xn_cred *cred, uint32_t which)
{
	if (which & (LIBFS_SET_WRITER | LIBFS_SET_NO_WRITER))
		return which & LIBFS_SET_WRITER ? 0 : -EACCES;
	return libfs_may(old, cred, LIBFS_MAY_WRITE);
}

/*
 * Setting both times to now needs only the right to write; anything else is the
 * owner's.  A host that states a ctime reports writes it has cached itself.
 */
static int check_times(const struct libfs_attr *old, const struct xn_cred *cred, uint32_t which)
{
	const uint32_t times = LIBFS_SET_ATIME | LIBFS_SET_MTIME;
	const uint32_t now = LIBFS_SET_ATIME_NOW | LIBFS_SET_MTIME_NOW;

	if (!(which & (times | now)) || (which & (LIBFS_SET_OPEN | LIBFS_SET_CTIME)))
		return 0;
	if (owns(old, cred))
		return 0;
	if ((which & now) == now)
		return check_write(old, cred, which);
	return -EPERM;
}

static int check_all(const struct libfs_attr *old, const struct libfs_ctx *ctx,
		     const struct libfs_attr *attr, uint32_t which)
{
	int err = check_owner(old, ctx->cred, attr, which);

	if (!err && (which & LIBFS_SET_MODE) && !owns(old, ctx->cred))
		err = -EPERM;
	if (!err && (which & LIBFS_SET_SIZE) && !(which & LIBFS_SET_OPEN))
		err = check_write(old, ctx->cred, which);
	return err ? err : check_times(old, ctx->cred, which);
}

/*
 * A program that changes hands or contents runs as nobody special any more.  Set-group-id on what
 * its group may not run runs nothing: members of the group keep it there, as Linux has it.
 */
static uint32_t without_set_id(uint32_t mode, uint32_t gid, const struct xn_cred *cred)
{
	mode &= ~(uint32_t)S_ISUID;
	if ((mode & S_IXGRP) || (cred->uid != 0 && !libfs_in_group(cred, gid)))
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

static void prepare_mode(const struct libfs_attr *old, const struct libfs_ctx *ctx,
			 struct libfs_attr *attr, uint32_t *which)
{
	bool root = ctx->cred->uid == 0;
	uint32_t mode = old->mode, gid = *which & LIBFS_SET_GID ? attr->gid : old->gid;

	if (*which & LIBFS_SET_MODE) {
		mode = (old->mode & S_IFMT) | (attr->mode & 07777);
		if (!root && !libfs_in_group(ctx->cred, gid))
			mode &= ~(uint32_t)S_ISGID;
	} else if ((*which & (LIBFS_SET_UID | LIBFS_SET_GID)) && !S_ISDIR(old->mode)) {
		mode = without_set_id(mode, old->gid, ctx->cred);
	} else if ((*which & LIBFS_SET_SIZE) && !root) {
		mode = without_set_id(mode, old->gid, ctx->cred);
	}
	if (*which & LIBFS_KILL_SUIDGID)
		mode = without_set_id(mode, old->gid, ctx->cred);
	attr->mode = mode;
	if (mode != old->mode)
		*which |= LIBFS_SET_MODE;
}

static void prepare_times(const struct libfs_ctx *ctx, struct libfs_attr *attr, uint32_t *which)
{
	if (*which & LIBFS_SET_ATIME_NOW) {
		attr->atime = ctx->now;
		*which |= LIBFS_SET_ATIME;
	}
	if ((*which & LIBFS_SET_MTIME_NOW) ||
	    ((*which & LIBFS_SET_SIZE) && !(*which & LIBFS_SET_MTIME))) {
		attr->mtime = ctx->now;
		*which |= LIBFS_SET_MTIME;
	}
	if (*which && !(*which & LIBFS_SET_CTIME)) {
		attr->ctime = ctx->now;
		*which |= LIBFS_SET_CTIME;
	}
}

int libfs_setattr_prepare(const struct libfs_attr *old, const struct libfs_ctx *ctx,
			  struct libfs_attr *attr, uint32_t *which)
{
	int err = check_all(old, ctx, attr, *which);

	if (err)
		return err;
	prepare_mode(old, ctx, attr, which);
	prepare_times(ctx, attr, which);
	return 0;
}

/* ---- making, opening, reading, writing ---- */

int libfs_mknod_check(const struct libfs_ctx *ctx, uint32_t *mode, uint64_t *rdev)
{
	*mode &= S_IFMT | 07777;
	if ((*mode & S_IFMT) == 0)
		*mode |= S_IFREG;
	switch (*mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK: return ctx->cred->uid == 0 ? 0 : -EPERM;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK: *rdev = 0; return 0;
	case S_IFDIR: return -EPERM;
	default: return -EINVAL;
	}
}

void libfs_inherit(uint32_t dir_mode, uint32_t dir_gid, const struct libfs_ctx *ctx, uint32_t *mode,
		   uint32_t *gid)
{
	*gid = ctx->cred->gid;
	if (!(dir_mode & S_ISGID))
		return;
	*gid = dir_gid;
	if (S_ISDIR(*mode))
		*mode |= S_ISGID;
	else if ((*mode & S_IXGRP) && ctx->cred->uid != 0 && !libfs_in_group(ctx->cred, dir_gid))
		*mode &= ~(uint32_t)S_ISGID;
}

uint32_t libfs_mode_written(uint32_t mode, uint32_t gid, const struct xn_cred *cred)
{
	if (cred->uid == 0 || !(mode & (S_ISUID | S_ISGID)))
		return mode;
	return without_set_id(mode, gid, cred);
}

uint32_t libfs_open_mask(uint32_t flags)
{
	uint32_t access = flags & O_ACCMODE, mask = 0;

	if (access != O_WRONLY)
		mask |= LIBFS_MAY_READ;
	if (access != O_RDONLY || (flags & O_TRUNC))
		mask |= LIBFS_MAY_WRITE;
	return mask;
}

static bool not_after(struct timespec a, struct timespec b)
{
	return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec);
}

bool libfs_atime_is_due(struct timespec atime, struct timespec mtime, struct timespec ctime,
			struct timespec now)
{
	return not_after(atime, mtime) || not_after(atime, ctime) ||
	       now.tv_sec - atime.tv_sec >= DAY;
}
