/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracles.h"
#include "wreck.h"
#include "xn/format.h"

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "the disk to begin with: %s: %s\n", what, xn_error_name(err));
	abort();
}

static void make_root(struct xn_session *session, const char *libfs, const char *name)
{
	char why[160] = "";
	struct libfs_mkfs_opts opts = {
		.root = name, .now = { .tv_sec = CRASH_MOMENT }, .why = why, .why_size = sizeof(why)
	};

	memset(opts.uuid, name[0], sizeof(opts.uuid));
	must(libfs_mkfs(session, libfs, &opts), why);
}

/* A secret in the root that nobody uses. */
static void make_secret(struct xn_session *session)
{
	struct libfs_mount_opts opts = { .root = CRASH_OTHER };
	struct libfs_attr attr;
	struct libfs_user user;
	struct libfs *fs;
	uint8_t secret[3 * XN_BLOCK_SIZE];

	/* Not the canary: other's blocks are written. */
	memset(secret, WRECK_SECRET, sizeof(secret));
	must(libfs_mount(session, &opts, &fs), "mounting the other root");
	must(libfs_create(fs, user_at(&user, 0), LIBFS_ROOT_INO, "secret", 0600, true, &attr),
	     "making the secret");
	if (libfs_write(fs, user_at(&user, 0), attr.ino, 0, 0, secret, sizeof(secret)) !=
	    (ssize_t)sizeof(secret))
		must(-1, "writing the secret");
	libfs_forget(fs, attr.ino, 1);
	must(libfs_unmount(fs), "unmounting the other root");
}

/* Whatever is free held somebody's bytes once. */
static void fill_free(struct slate *slate)
{
	uint8_t map[XN_MAP_CHUNK_BYTES], canary[XN_BLOCK_SIZE];
	struct xn_super super;

	canary_fill(canary, sizeof(canary));
	must(xn_super_decode((const void *)slate_bytes(slate), &super), "superblock");
	xn_map_decode(&super, 0, slate_bytes(slate) + xn_map_block(0) * XN_BLOCK_SIZE, map);
	for (uint64_t b = 0; b < super.block_count; b++)
		if (!(map[b / 8] >> (b % 8) & 1))
			slate_write(slate, b * XN_BLOCK_SIZE, canary, sizeof(canary));
}

void crash_base_make(struct slate *slate, const char *libfs, unsigned n_roots)
{
	struct xn_format_opts format = { .label = "crash", .now_ns = CRASH_MOMENT * 1000000000ll };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = CRASH_CACHE };
	static const struct xn_cred root;
	struct bdev *dev = slate_device(slate);
	struct xn_session *session;
	struct xn *xn;

	memset(format.uuid, 7, sizeof(format.uuid));
	must(xn_format(dev, &format), "format");
	must(xn_open_dev(dev, &opts, &xn), "open");
	must(xn_session_open(xn, &root, XN_SESSION_ADMIN, &session), "session");
	for (unsigned i = 0; i < n_roots; i++)
		make_root(session, libfs, crash_roots[i]);
	make_root(session, libfs, CRASH_OTHER);
	make_secret(session);
	xn_session_close(session);
	must(xn_close(xn), "close");
	bdev_close(dev);
	fill_free(slate);
}
