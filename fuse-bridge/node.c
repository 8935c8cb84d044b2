/* SPDX-License-Identifier: MIT */
/*
 * Node ids and what stands behind them: truths (1) and (2) of bridge.h.
 */
#include "bridge.h"

#define NODE_INO_MASK ((UINT64_C(1) << NODE_INO_BITS) - 1)

_Static_assert(LIBFS_ROOT_INO == FUSE_ROOT_ID, "slot 0, root directory: the kernel's root");

bool node_encode(unsigned slot, libfs_ino_t ino, fuse_ino_t *node)
{
	if (ino == 0 || ino > NODE_INO_MASK || slot > NODE_SLOTS_MAX)
		return false;
	*node = (uint64_t)slot << NODE_INO_BITS | ino;
	return true;
}

unsigned node_slot(fuse_ino_t node)
{
	return (unsigned)(node >> NODE_INO_BITS);
}

libfs_ino_t node_ino(fuse_ino_t node)
{
	return node & NODE_INO_MASK;
}

struct libfs *node_fs(const struct bridge *bridge, unsigned slot)
{
	if (!bridge->many)
		return slot == 0 ? bridge->roots[0].fs : NULL;
	if (slot == 0 || slot > bridge->n_roots)
		return NULL;
	return bridge->roots[slot - 1].fs;
}

bool node_is_top(const struct bridge *bridge, fuse_ino_t node)
{
	return bridge->many && node == FUSE_ROOT_ID;
}

/* Nobody counted the kernel's own root, nor the top directory. */
void node_forget(const struct bridge *bridge, fuse_ino_t node, uint64_t count)
{
	struct libfs *fs = node_fs(bridge, node_slot(node));

	if (fs)
		libfs_forget(fs, node_ino(node), count);
}

void node_stat(fuse_ino_t node, const struct libfs_attr *attr, struct stat *st)
{
	*st = (struct stat){
		.st_ino = node,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = (blksize_t)attr->blksize,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}
