/* SPDX-License-Identifier: MIT */
/*
 * What is mounted where, without touching it: a look at the kernel's table.
 */
#ifndef FUSE_BRIDGE_MOUNTS_H
#define FUSE_BRIDGE_MOUNTS_H

#include <stdbool.h>

struct mount_entry {
	unsigned major, minor; /* of the mounted file system: tells two apart */
	bool rdonly;
	char type[64];
	char dir[4096];
	char source[4096];
};

/*
 * The topmost mount at `dir` (an absolute path without links), or with `source`
 * the newest of that source; NULL = any.  Fails with -ENOENT, or -errno when the
 * table cannot be read.
 */
int mounts_find(const char *dir, const char *source, struct mount_entry *out);

#endif
