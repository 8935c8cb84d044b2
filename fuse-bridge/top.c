/* SPDX-License-Identifier: MIT */
/*
 * The top directory of a mount with many roots: one name per root, nothing
 * else, never changing.  Its readdir is in ops_readdir.c, with everybody's.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bridge.h"

void top_attr(const struct bridge *bridge, struct libfs_attr *attr)
{
	*attr = (struct libfs_attr){
		.ino = FUSE_ROOT_ID,
		.mode = S_IFDIR | 0555,
		.nlink = 2 + bridge->n_roots,
		.blksize = 4096,
		.atime = bridge->born,
		.mtime = bridge->born,
		.ctime = bridge->born,
	};
}

int top_get_root(const struct bridge *bridge, struct call *call, unsigned slot,
		 struct libfs_attr *attr)
{
	struct libfs *fs = node_fs(bridge, slot);
	int err;

	err = libfs_getattr(fs, &call->who.libfs, LIBFS_ROOT_INO, attr);
	if (err)
		return err;
	return libfs_find(fs, LIBFS_ROOT_INO, attr->generation, attr);
}

void top_lookup(struct call *call, const char *name)
{
	const struct bridge *bridge = call->bridge;
	struct libfs_attr attr;

	if (strlen(name) > LIBFS_NAME_MAX) {
		reply_err(call, -ENAMETOOLONG);
		return;
	}
	for (unsigned i = 0; i < bridge->n_roots; i++) {
		int err;

		if (strcmp(bridge->roots[i].name, name) != 0)
			continue;
		call->slot = i + 1;
		call->fs = node_fs(bridge, call->slot);
		err = top_get_root(bridge, call, call->slot, &attr);
		reply_entry(call, err, &attr);
		return;
	}
	reply_no_entry(call);
}
