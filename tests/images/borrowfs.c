/* SPDX-License-Identifier: MIT */
/*
 * A LibFS from a shared object that needs XN itself: a root that borrows a
 * template of simplefs and shows one empty directory.  For cli_plugin.sh.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

static int borrow_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
			struct libfs **out);

static int borrow_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts)
{
	struct xn_root_spec spec = { .name = opts->root,
				     .libfs = "borrowfs",
				     .uid = opts->uid,
				     .gid = opts->gid,
				     .mode = 0600 };
	struct xn_root_info info;
	int err = xn_template_find(xn_session_disk(session), "simplefs.imap", &spec.type);

	return err ? err : xn_root_create(session, &spec, &info);
}

static int borrow_unmount(struct libfs *fs)
{
	free(fs);
	return 0;
}

static int borrow_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  struct libfs_attr *out)
{
	(void)fs;
	(void)ctx;
	*out = (struct libfs_attr){ .ino = ino, .mode = S_IFDIR | 0555, .nlink = 2 };
	return ino == LIBFS_ROOT_INO ? 0 : -ESTALE;
}

static int borrow_find(struct libfs *fs, libfs_ino_t ino, uint32_t generation,
		       struct libfs_attr *out)
{
	(void)generation;
	return borrow_getattr(fs, NULL, ino, out);
}

static void borrow_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count)
{
	(void)fs;
	(void)ino;
	(void)count;
}

static int borrow_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			 const char *name, struct libfs_attr *out)
{
	(void)fs;
	(void)ctx;
	(void)dir;
	(void)name;
	(void)out;
	return -ENOENT;
}

static int borrow_open(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       uint32_t flags, uint64_t *handle)
{
	(void)fs;
	(void)ctx;
	(void)ino;
	(void)flags;
	*handle = 0;
	return 0;
}

static void borrow_release(struct libfs *fs, libfs_ino_t ino, uint64_t handle)
{
	(void)fs;
	(void)ino;
	(void)handle;
}

static ssize_t borrow_readdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			      uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	(void)fs;
	(void)ctx;
	(void)dir;
	(void)cookie;
	(void)flags;
	(void)out;
	(void)max;
	return 0;
}

static int borrow_sync(struct libfs *fs)
{
	(void)fs;
	return 0;
}

static const struct libfs_ops borrow_ops = {
	.mkfs = borrow_mkfs,
	.mount = borrow_mount,
	.unmount = borrow_unmount,
	.forget = borrow_forget,
	.find = borrow_find,
	.getattr = borrow_getattr,
	.lookup = borrow_lookup,
	.open = borrow_open,
	.release = borrow_release,
	.readdir = borrow_readdir,
	.sync = borrow_sync,
};

extern const struct libfs_type libfs_plugin;
const struct libfs_type libfs_plugin = {
	.name = "borrowfs",
	.about = "one empty directory under a borrowed template",
	.version = 1,
	.ops = &borrow_ops,
};

static int borrow_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
			struct libfs **out)
{
	xn_binding_t binding;
	xn_blk_t object;
	int err = xn_bind_root(session, opts->root, XN_READ | XN_READIN, &binding, &object);

	if (err)
		return -xn_errno(err);
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->type = &libfs_plugin;
	(*out)->session = session;
	(*out)->flags = opts->flags;
	return 0;
}
