/* SPDX-License-Identifier: MIT */
/*
 * C-FFS as others see it: the table of its operations.
 */
#include "tree.h"

static int op_sync(struct libfs *libfs)
{
	struct cffs *fs = cffs_of(libfs);

	/* That files could not be moved together is no failure of a sync. */
	cffs_regroup(fs);
	return cffs_errno(cffs_sync(fs));
}

static const struct libfs_ops cffs_ops = {
	.mkfs = cffs_mkfs,
	.mount = cffs_mount,
	.unmount = cffs_unmount,
	.lookup = cffs_lookup,
	.forget = cffs_forget,
	.surplus = cffs_surplus,
	.find = cffs_find,
	.getattr = cffs_getattr,
	.setattr = cffs_setattr,
	.access = cffs_access,
	.create = cffs_create,
	.tmpfile = cffs_tmpfile,
	.mkdir = cffs_mkdir,
	.mknod = cffs_mknod,
	.symlink = cffs_symlink,
	.link = cffs_link,
	.unlink = cffs_unlink,
	.rmdir = cffs_rmdir,
	.rename = cffs_rename,
	.readlink = cffs_readlink,
	.readdir = cffs_readdir,
	.open = cffs_open,
	.release = cffs_release,
	.read = cffs_read,
	.write = cffs_write,
	.fallocate = cffs_fallocate,
	.seek = cffs_seek,
	.extents = cffs_extents,
	.fsync = cffs_fsync,
	.sync = op_sync,
	.statfs = cffs_statfs,
	.setxattr = cffs_setxattr,
	.getxattr = cffs_getxattr,
	.listxattr = cffs_listxattr,
	.removexattr = cffs_removexattr,
};

const struct libfs_type cffs_type = {
	.name = "cffs",
	.about = "inodes in their directory entries, small files in groups",
	.version = CFFS_VERSION,
	.ops = &cffs_ops,
	.checker = &cffs_checker,
	.features = LIBFS_HAS_ACL | LIBFS_IS_DEFAULT,
};
