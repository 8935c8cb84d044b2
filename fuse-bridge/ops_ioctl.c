/* SPDX-License-Identifier: MIT */
/*
 * The questions of libfs/ioctl.h.  Only commands that say their own sizes come
 * here, and these are checked against ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bridge.h"
#include "libfs/ioctl.h"

/* ---- the file ---- */

static int ask_file(struct call *call, void *answer)
{
	struct xn_ioc_file *file = answer;
	struct libfs_attr attr;
	int err;

	*file = (struct xn_ioc_file){ .ino = call->ino };
	err = host_uuid(call->bridge->host, file->disk);
	if (err || !call->fs)
		return err;
	err = libfs_getattr(call->fs, &call->who.libfs, call->ino, &attr);
	if (err)
		return err;
	file->generation = attr.generation;
	file->root_id = call_root(call)->id;
	snprintf(file->root, sizeof(file->root), "%s", call_root(call)->name);
	snprintf(file->libfs, sizeof(file->libfs), "%s", call->fs->type->name);
	return 0;
}

static int ask_extents(struct call *call, void *answer)
{
	struct xn_ioc_extents *asked = answer;
	struct libfs_extent found[XN_IOC_EXTENTS_MAX];
	uint64_t len = asked->len ? asked->len : INT64_MAX - 1;
	ssize_t n;

	if (!call->fs)
		return -EISDIR;
	n = libfs_extents(call->fs, call->ino, asked->offset, len, found, XN_IOC_EXTENTS_MAX);
	if (n < 0)
		return n == -ENOSYS ? -EOPNOTSUPP : (int)n;
	asked->count = (uint32_t)n;
	for (ssize_t i = 0; i < n; i++) {
		asked->extents[i] = (struct xn_ioc_extent){
			.offset = found[i].offset,
			.len = found[i].len,
			.place = found[i].place,
			.flags = found[i].flags,
		};
	}
	return 0;
}

/* ---- the disk ---- */

static int ask_owner(struct call *call, void *answer)
{
	struct xn_ioc_owner *asked = answer;
	struct host_owner owner;
	int err;

	if (call->uid != 0)
		return -EPERM;
	err = host_owner_find(call->bridge->host, asked->block, &owner);
	if (err)
		return err;
	*asked = (struct xn_ioc_owner){
		.block = asked->block,
		.root_id = owner.root_id,
		.type = owner.type,
		.object = owner.object,
		.record = owner.record,
		.depth = owner.depth,
		.start = owner.start,
		.count = owner.count,
		.is_data = owner.is_data,
	};
	return 0;
}

static int ask_template(struct call *call, void *answer)
{
	struct xn_ioc_template *asked = answer;
	struct host_template template;
	int err = host_template_next(call->bridge->host, asked->id, &template);

	if (err)
		return err;
	*asked = (struct xn_ioc_template){
		.id = template.id,
		.object_size = template.object_size,
		.record_size = template.record_size,
		.record_count = template.record_count,
	};
	memcpy(asked->name, template.name, sizeof(asked->name));
	memcpy(asked->sha256, template.sha256, sizeof(asked->sha256));
	return 0;
}

/* ---- all of them ---- */

static const struct question {
	unsigned command;
	int (*ask)(struct call *call, void *answer);
} questions[] = {
	{ XN_IOC_FILE, ask_file },
	{ XN_IOC_EXTENTS, ask_extents },
	{ XN_IOC_OWNER, ask_owner },
	{ XN_IOC_TEMPLATE, ask_template },
};

static const struct question *question_find(unsigned command)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (questions[i].command == command)
			return &questions[i];
	}
	return NULL;
}

/* The parameters are libfuse's. */
/* NOLINTNEXTLINE(readability-function-size) */
void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned command, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size)
{
	const struct question *question = question_find(command);
	struct xn_ioc_extents answer = { 0 }; /* the largest */
	struct call call;
	int err;

	(void)arg, (void)fi;
	if (!call_begin_any(&call, req, node))
		return;
	if (!question || flags & FUSE_IOCTL_UNRESTRICTED) {
		reply_err(&call, -ENOTTY);
		return;
	}
	if (out_size > sizeof(answer) || in_size > sizeof(answer)) {
		reply_err(&call, -EINVAL);
		return;
	}
	if (in_size)
		memcpy(&answer, in, in_size);
	err = question->ask(&call, &answer);
	if (err)
		reply_err(&call, err);
	else
		fuse_reply_ioctl(req, 0, &answer, out_size);
}
