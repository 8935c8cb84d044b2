/* SPDX-License-Identifier: MIT */
/*
 * Requests about names: looking up, making, removing, renaming.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

/* ---- looking up ---- */

/* A file by its number alone, as the holder of an old file handle asks; takes a reference. */
static int find_again(struct call *call, libfs_ino_t ino, struct libfs_attr *attr)
{
	int err = libfs_getattr(call->fs, &call->who.libfs, ino, attr);

	if (!err)
		err = libfs_find(call->fs, ino, attr->generation, attr);
	return err == -ENOENT ? -ESTALE : err;
}

static void lookup_parent(struct call *call)
{
	struct libfs_attr attr;
	int err = 0;

	if (call->bridge->many && call->ino == LIBFS_ROOT_INO) {
		top_attr(call->bridge, &attr);
		call->slot = 0;
		call->fs = NULL;
	} else {
		err = libfs_lookup(call->fs, &call->who.libfs, call->ino, "..", &attr);
	}
	reply_entry(call, err == -ENOENT ? -ESTALE : err, &attr);
}

/* "." and ".." come only from file handles: the kernel answers paths by itself. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct call call;
	struct libfs_attr attr;
	int err;

	if (!call_begin_any(&call, req, parent))
		return;
	if (strcmp(name, "..") == 0 && call.fs) {
		call_as_kernel(&call);
		lookup_parent(&call);
		return;
	}
	if (strcmp(name, ".") == 0 && call.fs) {
		call_as_kernel(&call);
		err = find_again(&call, call.ino, &attr);
		reply_entry(&call, err, &attr);
		return;
	}
	if (!call.fs) {
		top_lookup(&call, name);
		return;
	}
	do {
		err = libfs_lookup(call.fs, &call.who.libfs, call.ino, name, &attr);
	} while (call_again(&call, err));
	if (err == -ENOENT)
		reply_no_entry(&call);
	else
		reply_entry(&call, err, &attr);
}

void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t count)
{
	node_forget(fuse_req_userdata(req), node, count);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	const struct bridge *bridge = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		node_forget(bridge, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- making ---- */

/* The answer to whatever made a name: nothing of it may be lost with -o sync. */
static void reply_made(struct call *call, int err, const struct libfs_attr *attr)
{
	int settled = call_settle(call, err);

	if (!err && settled)
		libfs_forget(call->fs, attr->ino, 1);
	reply_entry(call, settled, attr);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct call call;
	struct libfs_attr attr;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	call_tell_groups_for(&call, mode);
	do {
		err = libfs_mknod(call.fs, &call.who.libfs, call.ino, name, mode, rdev, &attr);
	} while (call_again(&call, err));
	reply_made(&call, err, &attr);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct call call;
	struct libfs_attr attr;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	do {
		err = libfs_mkdir(call.fs, &call.who.libfs, call.ino, name, mode, &attr);
	} while (call_again(&call, err));
	reply_made(&call, err, &attr);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct call call;
	struct libfs_attr attr;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	do {
		err = libfs_symlink(call.fs, &call.who.libfs, call.ino, name, target, &attr);
	} while (call_again(&call, err));
	reply_made(&call, err, &attr);
}

void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
	struct call call;
	struct libfs_attr attr;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	if (node_slot(node) != call.slot) {
		reply_err(&call, -EXDEV);
		return;
	}
	do {
		err = libfs_link(call.fs, &call.who.libfs, node_ino(node), call.ino, name, &attr);
	} while (call_again(&call, err));
	reply_made(&call, err, &attr);
}

void op_readlink(fuse_req_t req, fuse_ino_t node)
{
	char target[LIBFS_SYMLINK_MAX + 1];
	struct call call;
	ssize_t len;

	if (!call_begin(&call, req, node))
		return;
	do {
		len = libfs_readlink(call.fs, &call.who.libfs, call.ino, target, LIBFS_SYMLINK_MAX);
	} while (call_again(&call, len));
	if (len < 0) {
		reply_err(&call, (int)len);
		return;
	}
	target[len] = '\0';
	fuse_reply_readlink(req, target);
}

/* ---- removing and renaming ---- */

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct call call;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	do {
		err = libfs_unlink(call.fs, &call.who.libfs, call.ino, name);
	} while (call_again(&call, err));
	reply_err(&call, call_settle(&call, err));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct call call;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	do {
		err = libfs_rmdir(call.fs, &call.who.libfs, call.ino, name);
	} while (call_again(&call, err));
	reply_err(&call, call_settle(&call, err));
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	       const char *to, unsigned flags)
{
	struct call call;
	int err;

	if (!call_begin_any(&call, req, parent))
		return;
	if (node_slot(to_parent) != call.slot) {
		reply_err(&call, -EXDEV);
		return;
	}
	if (!call.fs) {
		reply_err(&call, -EROFS);
		return;
	}
	do {
		err = libfs_rename(call.fs, &call.who.libfs, call.ino, name, node_ino(to_parent),
				   to, flags);
	} while (call_again(&call, err));
	reply_err(&call, call_settle(&call, err));
}
