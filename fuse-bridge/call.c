/* SPDX-License-Identifier: MIT */
/*
 * One request on its way through a LibFS: who asks, and of whom.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

/* A process may be in 65536 groups; LibFSes hear of the first few anyway. */
#define GROUPS_ASKED 64

bool call_init(struct call *call, struct bridge *bridge, const struct asker *asker, fuse_ino_t node)
{
	call->bridge = bridge;
	call->req = NULL;
	call->slot = node_slot(node);
	call->ino = node_ino(node);
	call->fs = node_fs(bridge, call->slot);
	call->groups_known = false;
	call->uid = asker->uid;
	call->pid = asker->pid;
	host_ctx_init(&call->who, asker->uid, asker->gid);
	call->who.libfs.umask = asker->umask;
	call->who.libfs.pid = asker->pid;
	return call->fs || node_is_top(bridge, node);
}

bool call_begin_any(struct call *call, fuse_req_t req, fuse_ino_t node)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	const struct asker asker = { ctx->uid, ctx->gid, (uint32_t)ctx->pid, ctx->umask };
	bool good = call_init(call, fuse_req_userdata(req), &asker, node);

	call->req = req;
	if (!good)
		reply_err(call, -ESTALE);
	return good;
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

/* From the line "Groups:\t1 2 3" of the status of a thread; 0 when it cannot be known. */
static size_t groups_of(uint32_t tid, gid_t groups[GROUPS_ASKED])
{
	char path[32], *line = NULL, *at, *end;
	size_t room = 0, count = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	status = fopen(path, "re");
	if (!status)
		return 0;
	while (getline(&line, &room, status) > 0 && strncmp(line, "Groups:", 7) != 0)
		line[0] = '\0';
	for (at = line && *line ? line + 7 : NULL; at && count < GROUPS_ASKED; at = end) {
		groups[count] = (gid_t)strtoul(at, &end, 10);
		if (end == at)
			break;
		count++;
	}
	free(line);
	fclose(status);
	return count;
}

void call_tell_groups(struct call *call)
{
	gid_t groups[GROUPS_ASKED];
	size_t count;

	if (call->groups_known)
		return;
	call->groups_known = true;
	count = groups_of(call->pid, groups);
	if (count > 0)
		host_ctx_set_groups(&call->who, groups, count);
}

void call_tell_groups_for(struct call *call, mode_t mode)
{
	if (mode & S_ISGID && call->uid != 0)
		call_tell_groups(call);
}

bool call_again(struct call *call, int64_t result)
{
	if (result != -EACCES && result != -EPERM)
		return false;
	if (call->groups_known || call->uid == 0)
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

const struct bridge_root *call_root(const struct call *call)
{
	return &call->bridge->roots[call->bridge->many ? call->slot - 1 : 0];
}

int call_settle(struct call *call, int err)
{
	if (err || !call->bridge->sync)
		return err;
	return libfs_sync(call->fs);
}

void *bridge_scratch(struct bridge *bridge)
{
	void *bytes = pthread_getspecific(bridge->scratch);

	if (bytes)
		return bytes;
	bytes = malloc(SCRATCH_SIZE);
	if (bytes && pthread_setspecific(bridge->scratch, bytes)) {
		free(bytes);
		bytes = NULL;
	}
	return bytes;
}
