/* SPDX-License-Identifier: MIT */
/*
 * The table, and what is agreed with the kernel when a mount begins.
 *
 * Not in the table: flush (a close writes nothing through; the kernel has
 * already handed over its pages), release and releasedir (nothing is open), locks
 * (the kernel keeps them; there is only this one host).
 */
#include "bridge.h"

#define READAHEAD_BYTES    (1u << 20)
#define BACKGROUND_MAX     64u
#define BACKGROUND_CROWDED 48u
#define NO_OPEN            (unsigned)(FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT)

/*
 * AUTO_INVAL_DATA stays off: nobody else changes the image, so cached pages never
 * become stale.  HANDLE_KILLPRIV too: raw.c agrees to its better version.
 * POSIX_ACL makes the kernel check permission: not where truth (6) spares it that.
 * ATOMIC_O_TRUNC is part of opening: without, the kernel truncates by itself.
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct bridge *bridge = userdata;

	conn->want &=
		~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV |
			    FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
	conn->want |= conn->capable &
		      (FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_DONT_MASK |
		       FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
		       FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_IOCTL_DIR |
		       FUSE_CAP_ASYNC_DIO);
	if (bridge->acl && bridge->kernel_checks)
		conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
	bridge->no_open = (conn->capable & NO_OPEN) == NO_OPEN;
	if (!(conn->capable & FUSE_CAP_WRITEBACK_CACHE))
		bridge->writeback = false;
	if (bridge->writeback)
		conn->want |= FUSE_CAP_WRITEBACK_CACHE;
	if (conn->max_readahead > READAHEAD_BYTES)
		conn->max_readahead = READAHEAD_BYTES;
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_CROWDED;
	conn->time_gran = 1;
	if (bridge->ready)
		bridge->ready(bridge->ready_arg);
}

static void op_destroy(void *userdata)
{
	struct bridge *bridge = userdata;

	if (bridge->destroy)
		bridge->destroy(bridge->destroy_arg);
}

const struct fuse_lowlevel_ops bridge_ops = {
	.init = op_init,
	.destroy = op_destroy,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.access = op_access,
	.create = op_create,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
	.ioctl = op_ioctl,
};
