/* SPDX-License-Identifier: MIT */
/*
 * C-FFS mounted with -o through: what an operation changed is on the disk before it
 * returns.  For comparing, and for those who want it; the other way is to write when
 * asked to, and when the host's syncer comes.
 */
#include "tree.h"

static int written(struct libfs *libfs, int result)
{
	int err = result < 0 ? 0 : cffs_sync(cffs_of(libfs));

	return err ? cffs_errno(err) : result;
}

static int op_setattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	return written(fs, cffs_setattr(fs, ctx, ino, attr, which, out));
}

static int op_create(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name, uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	return written(fs, cffs_create(fs, ctx, dir, name, mode, exclusive, out));
}

static int op_tmpfile(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, uint32_t mode,
		      struct libfs_attr *out)
{
	return written(fs, cffs_tmpfile(fs, ctx, dir, mode, out));
}

static int op_mkdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		    const char *name, uint32_t mode, struct libfs_attr *out)
{
	return written(fs, cffs_mkdir(fs, ctx, dir, name, mode, out));
}

static int op_mknod(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		    const char *name, uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	return written(fs, cffs_mknod(fs, ctx, dir, name, mode, rdev, out));
}

static int op_symlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name, const char *target, struct libfs_attr *out)
{
	return written(fs, cffs_symlink(fs, ctx, dir, name, target, out));
}

static int op_link(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
		   const char *name, struct libfs_attr *out)
{
	return written(fs, cffs_link(fs, ctx, ino, dir, name, out));
}

static int op_unlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name)
{
	return written(fs, cffs_unlink(fs, ctx, dir, name));
}

static int op_rmdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		    const char *name)
{
	return written(fs, cffs_rmdir(fs, ctx, dir, name));
}

static int op_rename(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		     const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	return written(fs, cffs_rename(fs, ctx, from_dir, from, to_dir, to, flags));
}

static ssize_t op_write(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	ssize_t n = cffs_write(fs, ctx, ino, handle, offset, bytes, len);
	int err = n > 0 ? written(fs, 0) : 0;

	return err ? err : n;
}

static int op_fallocate(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint32_t mode, uint64_t offset, uint64_t len)
{
	return written(fs, cffs_fallocate(fs, ctx, ino, mode, offset, len));
}

static int op_sync(struct libfs *fs)
{
	return written(fs, 0);
}

static int op_setxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       const char *name, const void *value, size_t size, uint32_t flags)
{
	return written(fs, cffs_setxattr(fs, ctx, ino, name, value, size, flags));
}

static int op_removexattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  const char *name)
{
	return written(fs, cffs_removexattr(fs, ctx, ino, name));
}

static const struct libfs_ops through_ops = {
	.mkfs = cffs_mkfs,
	.mount = cffs_mount,
	.unmount = cffs_unmount,
	.lookup = cffs_lookup,
	.forget = cffs_forget,
	.surplus = cffs_surplus,
	.find = cffs_find,
	.getattr = cffs_getattr,
	.setattr = op_setattr,
	.access = cffs_access,
	.create = op_create,
	.tmpfile = op_tmpfile,
	.mkdir = op_mkdir,
	.mknod = op_mknod,
	.symlink = op_symlink,
	.link = op_link,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.rename = op_rename,
	.readlink = cffs_readlink,
	.readdir = cffs_readdir,
	.open = cffs_open,
	.release = cffs_release,
	.read = cffs_read,
	.write = op_write,
	.fallocate = op_fallocate,
	.seek = cffs_seek,
	.extents = cffs_extents,
	.fsync = cffs_fsync,
	.sync = op_sync,
	.statfs = cffs_statfs,
	.setxattr = op_setxattr,
	.getxattr = cffs_getxattr,
	.listxattr = cffs_listxattr,
	.removexattr = op_removexattr,
};

const struct libfs_type cffs_through_type = {
	.name = "cffs",
	.about = "inodes in their directory entries, small files in groups; each change written",
	.version = CFFS_VERSION,
	.ops = &through_ops,
	.checker = &cffs_checker,
};
