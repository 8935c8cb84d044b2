/* SPDX-License-Identifier: MIT */
/*
 * Requests about attributes: stat, chmod, truncate, utimens, xattr, statfs.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bridge.h"

void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct libfs_attr attr;
	struct call call;
	int err = 0;

	(void)fi;
	if (!call_begin_any(&call, req, node))
		return;
	if (!call.fs)
		top_attr(call.bridge, &attr);
	else {
		do {
			err = libfs_getattr(call.fs, &call.who.libfs, call.ino, &attr);
		} while (call_again(&call, err));
	}
	reply_attr(&call, err, &attr);
}

/* ---- setattr ---- */

static uint32_t wanted(int to_set, bool by_handle)
{
	static const struct {
		int fuse;
		uint32_t libfs;
	} table[] = {
		{ FUSE_SET_ATTR_MODE, LIBFS_SET_MODE },
		{ FUSE_SET_ATTR_UID, LIBFS_SET_UID },
		{ FUSE_SET_ATTR_GID, LIBFS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, LIBFS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, LIBFS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, LIBFS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, LIBFS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, LIBFS_SET_MTIME_NOW },
		{ FUSE_SET_ATTR_CTIME, LIBFS_SET_CTIME },
	};
	uint32_t which = by_handle && to_set & FUSE_SET_ATTR_SIZE ? LIBFS_SET_OPEN : 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (to_set & table[i].fuse)
			which |= table[i].libfs;
	}
	/* The kernel says both for "now"; the LibFS wants one. */
	if (which & LIBFS_SET_ATIME_NOW)
		which &= ~LIBFS_SET_ATIME;
	if (which & LIBFS_SET_MTIME_NOW)
		which &= ~LIBFS_SET_MTIME;
	return which;
}

static void attr_from_stat(const struct stat *st, struct libfs_attr *attr)
{
	*attr = (struct libfs_attr){
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = (uint64_t)st->st_size,
		.atime = st->st_atim,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

static int setattr_asked(struct call *call, const struct libfs_attr *attr, uint32_t which,
			 struct libfs_attr *after)
{
	int err;

	do {
		err = libfs_setattr(call->fs, &call->who.libfs, call->ino, attr, which, after);
	} while (call_again(call, err));
	return err;
}

/*
 * Would this mode only take set-id bits away?  Then a non-owner wrote to the
 * file or truncated it, and the kernel drops them in his name: a chmod of his
 * own would never have come this far.
 */
static bool only_drops_setid(struct call *call, uint32_t mode)
{
	struct libfs_attr now;

	if (libfs_getattr(call->fs, &call->who.libfs, call->ino, &now))
		return false;
	return ((now.mode ^ mode) & 07777 & ~(uint32_t)(S_ISUID | S_ISGID)) == 0 &&
	       (mode & ~now.mode & 07777) == 0;
}

/*
 * What of a change is the kernel's own, though it comes in the name of whoever
 * was at hand: set-id bits dropped at a write, and, when it caches writes, the
 * mtime and ctime that it then keeps itself and sends along with a truncation,
 * with a `touch` by one who may write, or alone.  Only where the kernel checks
 * permission: there it has already refused what the caller may not.
 */
static uint32_t part_of_kernel(struct call *call, const struct libfs_attr *attr, uint32_t which)
{
	uint32_t part = 0;

	if (call->bridge->writeback && !(which & LIBFS_SET_ATIME))
		part |= which & (LIBFS_SET_MTIME | LIBFS_SET_CTIME);
	if (which & LIBFS_SET_MODE && only_drops_setid(call, attr->mode))
		part |= which & (LIBFS_SET_MODE | LIBFS_SET_CTIME);
	return part;
}

/* Refused as a whole: the caller's part as the caller, the kernel's as the kernel. */
static int setattr_in_parts(struct call *call, const struct libfs_attr *attr, uint32_t which,
			    struct libfs_attr *after, int refusal)
{
	const uint32_t kernel = part_of_kernel(call, attr, which);
	const uint32_t rest = which & ~kernel;
	int err = 0;

	if (!kernel || !call->bridge->kernel_checks)
		return refusal;
	if (rest & ~LIBFS_SET_OPEN)
		err = setattr_asked(call, attr, rest, after);
	if (err)
		return err;
	call_as_kernel(call);
	return libfs_setattr(call->fs, &call->who.libfs, call->ino, attr, kernel, after);
}

void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
		struct fuse_file_info *fi)
{
	struct libfs_attr attr, after;
	uint32_t which = wanted(to_set, fi != NULL);
	struct call call;
	int err;

	if (!call_begin(&call, req, node))
		return;
	attr_from_stat(st, &attr);
	/* A kernel that keeps mtime itself has said what "now" is: both shall be one moment. */
	if (call.bridge->writeback && which & LIBFS_SET_ATIME_NOW)
		call.who.libfs.now = st->st_atim;
	if (which & LIBFS_SET_MODE)
		call_tell_groups_for(&call, attr.mode);
	err = setattr_asked(&call, &attr, which, &after);
	if (err == -EPERM || err == -EACCES)
		err = setattr_in_parts(&call, &attr, which, &after, err);
	reply_attr(&call, call_settle(&call, err), &after);
}

void op_access(fuse_req_t req, fuse_ino_t node, int mask)
{
	struct call call;
	int err = 0;

	if (!call_begin_any(&call, req, node))
		return;
	if (call.fs) {
		do {
			err = libfs_access(call.fs, &call.who.libfs, call.ino, (uint32_t)mask);
		} while (call_again(&call, err));
	}
	reply_err(&call, err);
}

void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct libfs_statfs space;
	struct call call;
	int err;

	if (!call_begin_any(&call, req, node))
		return;
	if (call.fs)
		err = libfs_statfs(call.fs, &space);
	else
		err = host_statfs(call.bridge->host, &space);
	if (err) {
		reply_err(&call, err);
		return;
	}
	fuse_reply_statfs(req, &(struct statvfs){
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
			       });
}

/* ---- extended attributes ---- */

/* None has any: the kernel need not ask again, as it would at each write. */
static bool no_xattr(fuse_req_t req)
{
	const struct bridge *bridge = fuse_req_userdata(req);

	if (!bridge->xattr)
		fuse_reply_err(req, ENOSYS);
	return !bridge->xattr;
}

/* An ACL is the mode, too.  A kernel that knows ACLs (init in ops.c) knows that. */
static int mode_changed(struct call *call, fuse_ino_t node, const char *name, int err)
{
	if (!err && !call->bridge->kernel_checks && strcmp(name, "system.posix_acl_access") == 0)
		seeker_attr_changed(call->bridge->seeker, node);
	return err;
}

void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size,
		 int flags)
{
	struct call call;
	int err;

	if (no_xattr(req) || !call_begin(&call, req, node))
		return;
	/* An ACL sets the mode, too. */
	if (strcmp(name, "system.posix_acl_access") == 0)
		call_tell_groups_for(&call, S_ISGID);
	do {
		err = libfs_setxattr(call.fs, &call.who.libfs, call.ino, name, value, size,
				     (uint32_t)flags);
	} while (call_again(&call, err));
	err = mode_changed(&call, node, name, err);
	reply_err(&call, call_settle(&call, err));
}

/* Both reading calls: with size 0 the caller wants to know how much there is. */
static void reply_xattr(struct call *call, ssize_t n, size_t size, const void *bytes)
{
	if (n < 0)
		reply_err(call, (int)n);
	else if (size == 0)
		fuse_reply_xattr(call->req, (size_t)n);
	else
		fuse_reply_buf(call->req, bytes, (size_t)n);
}

/* Where one root keeps ACLs the kernel asks for those of all files: elsewhere there are none. */
static bool has_no_acls(const struct call *call, const char *name)
{
	return strncmp(name, "system.posix_acl_", 17) == 0 && call->bridge->acl &&
	       !(call->fs->type->features & LIBFS_HAS_ACL);
}

static void read_xattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct call call;
	char *bytes;
	ssize_t n;

	if (!call_begin_any(&call, req, node))
		return;
	bytes = bridge_scratch(call.bridge);
	do {
		if (!call.fs)
			n = name ? -ENODATA : 0;
		else if (!bytes || size > SCRATCH_SIZE)
			n = -ENOMEM;
		else if (name && has_no_acls(&call, name))
			n = -ENODATA;
		else if (name)
			n = libfs_getxattr(call.fs, &call.who.libfs, call.ino, name, bytes, size);
		else
			n = libfs_listxattr(call.fs, &call.who.libfs, call.ino, bytes, size);
	} while (call_again(&call, n));
	reply_xattr(&call, n, size, bytes);
}

void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	if (!no_xattr(req))
		read_xattr(req, node, name, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	if (!no_xattr(req))
		read_xattr(req, node, NULL, size);
}

/*
 * A program that somebody writes to, or that changes hands, loses its capabilities: the kernel takes
 * them away in the name of whoever was at hand.  Who asks for it himself has been judged by then.
 */
static bool drops_capabilities(const struct call *call, const char *name)
{
	return call->bridge->kernel_checks && strcmp(name, "security.capability") == 0;
}

void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
	struct call call;
	int err;

	if (no_xattr(req) || !call_begin(&call, req, node))
		return;
	do {
		err = libfs_removexattr(call.fs, &call.who.libfs, call.ino, name);
	} while (call_again(&call, err));
	if (err == -EPERM && drops_capabilities(&call, name)) {
		call_as_kernel(&call);
		err = libfs_removexattr(call.fs, &call.who.libfs, call.ino, name);
	}
	err = mode_changed(&call, node, name, err);
	reply_err(&call, call_settle(&call, err));
}
