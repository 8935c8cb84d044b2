/* SPDX-License-Identifier: MIT */
/*
 * Replies, and what to undo when one does not arrive (the process was killed
 * and its request with it): truth (3) of bridge.h.
 */
#include <errno.h>

#include "bridge.h"

/* The kernel takes ENOSYS as "never ask again", for the whole mount: other roots may well do it. */
static int reply_errno(const struct call *call, int err)
{
	if (err == -ENOSYS && call->bridge->many)
		return EOPNOTSUPP;
	if (err < -999) /* no errno: the kernel would cut the connection */
		return EIO;
	return -err;
}

void reply_err(struct call *call, int err)
{
	fuse_reply_err(call->req, reply_errno(call, err));
}

bool entry_fill(const struct call *call, const struct libfs_attr *attr,
		struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
		.generation = attr->generation,
		.attr_timeout = call->bridge->timeout,
		.entry_timeout = call->bridge->timeout,
	};
	if (!node_encode(call->slot, attr->ino, &entry->ino))
		return false;
	node_stat(entry->ino, attr, &entry->attr);
	if ((atomic_fetch_add_explicit(&call->bridge->given, 1, memory_order_relaxed) + 1) %
		    SEEKER_DROP_EVERY ==
	    0)
		seeker_drop(call->bridge->seeker);
	return true;
}

void reply_entry(struct call *call, int err, const struct libfs_attr *attr)
{
	struct fuse_entry_param entry;

	if (err) {
		reply_err(call, err);
		return;
	}
	if (!entry_fill(call, attr, &entry)) {
		libfs_forget(call->fs, attr->ino, 1);
		reply_err(call, -EOVERFLOW);
		return;
	}
	if (fuse_reply_entry(call->req, &entry))
		node_forget(call->bridge, entry.ino, 1);
}

void reply_no_entry(struct call *call)
{
	struct fuse_entry_param entry = { .entry_timeout = call->bridge->timeout };

	fuse_reply_entry(call->req, &entry);
}

void reply_attr(struct call *call, int err, const struct libfs_attr *attr)
{
	struct stat st;
	fuse_ino_t node;

	if (!err && !node_encode(call->slot, attr->ino, &node))
		err = -EOVERFLOW;
	if (err) {
		reply_err(call, err);
		return;
	}
	node_stat(node, attr, &st);
	fuse_reply_attr(call->req, &st, call->bridge->timeout);
}

void reply_create(struct call *call, int err, const struct libfs_attr *attr,
		  const struct fuse_file_info *fi)
{
	struct fuse_entry_param entry;

	if (err) {
		reply_err(call, err);
		return;
	}
	if (!entry_fill(call, attr, &entry)) {
		err = -EOVERFLOW;
		reply_err(call, err);
	} else {
		err = fuse_reply_create(call->req, &entry, fi);
	}
	if (err)
		libfs_forget(call->fs, attr->ino, 1);
}
