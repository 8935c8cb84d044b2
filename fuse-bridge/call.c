/* SPDX-License-Identifier: MIT */
/*
 * One request on its way through a LibFS: who asks, and of whom.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bridge.h"

/* A process may be in 65536 groups; LibFSes hear of the first few anyway. */
#define GROUPS_ASKED 64

bool call_begin_any(struct call *call, fuse_req_t req, fuse_ino_t node)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	call->bridge = fuse_req_userdata(req);
	call->req = req;
	call->slot = node_slot(node);
	call->ino = node_ino(node);
	call->fs = node_fs(call->bridge, call->slot);
	call->groups_known = false;
	host_ctx_init(&call->who, ctx->uid, ctx->gid);
	call->who.libfs.umask = ctx->umask;
	call->who.libfs.pid = (uint32_t)ctx->pid;
	if (call->fs || node_is_top(call->bridge, node))
		return true;
	reply_err(call, -ESTALE);
	return false;
}

bool call_begin(struct call *call, fuse_req_t req, fuse_ino_t node)
{
	if (!call_begin_any(call, req, node))
		return false;
	if (call->fs)
		return true;
	reply_err(call, -EROFS);
	return false;
}

void call_tell_groups(struct call *call)
{
	gid_t groups[GROUPS_ASKED];
	int count;

	if (call->groups_known)
		return;
	call->groups_known = true;
	count = fuse_req_getgroups(call->req, GROUPS_ASKED, groups);
	if (count > GROUPS_ASKED)
		count = GROUPS_ASKED;
	if (count > 0)
		host_ctx_set_groups(&call->who, groups, (size_t)count);
}

bool call_again(struct call *call, int64_t result)
{
	if (result != -EACCES && result != -EPERM)
		return false;
	if (call->groups_known || fuse_req_ctx(call->req)->uid == 0)
		return false;
	call_tell_groups(call);
	return true;
}

void call_as_kernel(struct call *call)
{
	struct libfs_ctx before = call->who.libfs;

	host_ctx_init(&call->who, 0, 0);
	call->who.libfs.now = before.now;
	call->groups_known = true;
}

static bool writes(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

int call_opened(struct call *call, libfs_ino_t ino, const struct fuse_file_info *fi)
{
	fuse_ino_t node;
	int err = 0;

	if (!node_encode(call->slot, ino, &node))
		err = -EOVERFLOW;
	else if (writes(fi))
		err = writers_add(&call->bridge->writers, node);
	if (err)
		libfs_release(call->fs, ino, fi->fh);
	return err;
}

void call_release(struct call *call, libfs_ino_t ino, const struct fuse_file_info *fi)
{
	fuse_ino_t node;

	if (writes(fi) && node_encode(call->slot, ino, &node))
		writers_drop(&call->bridge->writers, node);
	libfs_release(call->fs, ino, fi->fh);
}

int call_settle(struct call *call, int err)
{
	if (err || !call->bridge->sync)
		return err;
	return libfs_sync(call->fs);
}
