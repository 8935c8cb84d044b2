/* SPDX-License-Identifier: MIT */
/* A LibFS from a shared object: one empty directory.  For registry_test.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

static int hello_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
		       struct libfs **out);

static int hello_unmount(struct libfs *fs)
{
	free(fs);
	return 0;
}

static int hello_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 struct libfs_attr *out)
{
	(void)fs;
	(void)ctx;
	*out = (struct libfs_attr){ .ino = ino, .mode = S_IFDIR | 0555, .nlink = 2 };
	return ino == LIBFS_ROOT_INO ? 0 : -ESTALE;
}

static const struct libfs_ops hello_ops = {
	.mount = hello_mount,
	.unmount = hello_unmount,
	.getattr = hello_getattr,
};

#ifndef PLUGIN_NAME
#define PLUGIN_NAME "hello"
#endif

extern const struct libfs_type libfs_plugin;
const struct libfs_type libfs_plugin = {
	.name = PLUGIN_NAME,
	.about = "one empty directory",
	.version = 1,
	.ops = &hello_ops,
};

static int hello_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
		       struct libfs **out)
{
	(void)opts;
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->type = &libfs_plugin;
	(*out)->session = session;
	return 0;
}
