/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's protocol has and libfuse 3.14 has not:
 *
 *   SYNCFS    sync(2) and syncfs(2), which reach fuseblk mounts
 *   TMPFILE   open(O_TMPFILE)
 *   STATX     the time of birth
 *   HANDLE_KILLPRIV_V2   the bridge clears set-id bits at writes, and so spares
 *             the kernel the question, before each write, whether there are any
 *
 * A request is read here before libfuse sees it.  The kernel wrote it, so its
 * lengths are right; only that a body is whole is looked at.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bridge.h"

/* Newer than the headers we are built with. */
#define OPCODE_STATX 52u

struct statx_in {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t sx_flags, sx_mask;
};

struct statx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};

struct statx_out {
	uint64_t attr_valid; /* seconds the kernel may trust it */
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};

_Static_assert(sizeof(struct statx_in) == 24, "as in the kernel's fuse.h");
_Static_assert(sizeof(struct statx_out) == 32 + 256, "as in the kernel's fuse.h");

/* ---- replies ---- */

static int reply(struct bridge *bridge, const struct fuse_in_header *request, int err,
		 const void *body, size_t size)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + (err ? 0 : size)),
		.error = err < -999 ? -EIO : err,
		.unique = request->unique,
	};
	struct iovec parts[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)body, .iov_len = err ? 0 : size },
	};

	return writev(bridge->fd, parts, 2) < 0 ? -errno : 0;
}

/* NULL, when the request is shorter than its kind. */
static void *body_of(struct fuse_in_header *request, size_t size, size_t need)
{
	return size >= sizeof(*request) + need ? request + 1 : NULL;
}

static bool begin(struct call *call, struct bridge *bridge, const struct fuse_in_header *request,
		  uint32_t umask)
{
	const struct asker asker = { request->uid, request->gid, request->pid, umask };

	return call_init(call, bridge, &asker, request->nodeid);
}

/* ---- the answer to INIT ---- */

static void init_seen(struct bridge *bridge, struct fuse_in_header *request, size_t size)
{
	const struct fuse_init_in *init = body_of(request, size, 16);

	if (!init)
		return;
	bridge->init_unique = request->unique;
	bridge->init_offered = init->flags;
}

ssize_t raw_writev(int fd, struct iovec *parts, int count, void *arg)
{
	struct bridge *bridge = arg;
	const struct fuse_out_header *head = parts[0].iov_base;

	if (bridge->init_unique && head->unique == bridge->init_unique && head->error == 0 &&
	    count > 1 && parts[1].iov_len >= sizeof(uint32_t) * 4) {
		struct fuse_init_out *init = parts[1].iov_base;

		init->flags |= bridge->init_offered & FUSE_HANDLE_KILLPRIV_V2;
		bridge->init_unique = 0;
	}
	return writev(fd, parts, count);
}

/* ---- set-id bits ---- */

/*
 * A LibFS clears them itself when it hears that somebody else than root writes.
 * It does not hear of a root without CAP_FSETID.
 */
static void kill_setid(struct bridge *bridge, const struct fuse_in_header *request)
{
	const struct libfs_attr none = { .mode = 0 };
	struct libfs_attr attr;
	struct call call;

	if (request->uid != 0 || !begin(&call, bridge, request, 0) || !call.fs)
		return;
	if (libfs_getattr(call.fs, &call.who.libfs, call.ino, &attr) ||
	    !(attr.mode & (S_ISUID | S_ISGID)))
		return;
	libfs_setattr(call.fs, &call.who.libfs, call.ino, &none, LIBFS_KILL_SUIDGID, &attr);
}

static void write_seen(struct bridge *bridge, struct fuse_in_header *request, size_t size)
{
	const struct fuse_write_in *in = body_of(request, size, sizeof(*in));

	if (in && in->write_flags & FUSE_WRITE_KILL_SUIDGID)
		kill_setid(bridge, request);
}

static void setattr_seen(struct bridge *bridge, struct fuse_in_header *request, size_t size)
{
	const struct fuse_setattr_in *in = body_of(request, size, sizeof(*in));

	if (in && in->valid & FATTR_KILL_SUIDGID)
		kill_setid(bridge, request);
}

/* ---- SYNCFS ---- */

static void syncfs_all(struct bridge *bridge, const struct fuse_in_header *request)
{
	reply(bridge, request, host_sync(bridge->host), NULL, 0);
}

/* ---- TMPFILE ---- */

static void attr_out(struct bridge *bridge, fuse_ino_t node, const struct libfs_attr *attr,
		     struct fuse_entry_out *out)
{
	*out = (struct fuse_entry_out){
		.nodeid = node,
		.generation = attr->generation,
		.entry_valid = (uint64_t)bridge->timeout,
		.attr_valid = (uint64_t)bridge->timeout,
		.attr = {
			.ino = node,
			.size = attr->size,
			.blocks = attr->blocks,
			.atime = (uint64_t)attr->atime.tv_sec,
			.mtime = (uint64_t)attr->mtime.tv_sec,
			.ctime = (uint64_t)attr->ctime.tv_sec,
			.atimensec = (uint32_t)attr->atime.tv_nsec,
			.mtimensec = (uint32_t)attr->mtime.tv_nsec,
			.ctimensec = (uint32_t)attr->ctime.tv_nsec,
			.mode = attr->mode,
			.nlink = attr->nlink,
			.uid = attr->uid,
			.gid = attr->gid,
			.rdev = (uint32_t)attr->rdev,
			.blksize = attr->blksize,
		},
	};
}

static int make_tmpfile(struct call *call, uint32_t mode, struct libfs_attr *attr)
{
	int err;

	if (!call->fs)
		return -EROFS;
	do {
		err = libfs_tmpfile(call->fs, &call->who.libfs, call->ino, mode, attr);
	} while (call_again(call, err));
	return err;
}

static void tmpfile_new(struct bridge *bridge, struct fuse_in_header *request, size_t size)
{
	const struct fuse_create_in *in = body_of(request, size, sizeof(*in));
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { .open = { .open_flags = FOPEN_KEEP_CACHE } };
	struct libfs_attr attr;
	fuse_ino_t node = 0;
	struct call call;
	int err = -ESTALE;

	if (in && begin(&call, bridge, request, in->umask))
		err = make_tmpfile(&call, in->mode, &attr);
	/* Without an error make_tmpfile() was called, and has filled it. */
	/* cppcheck-suppress uninitvar */
	if (!err && !node_encode(call.slot, attr.ino, &node)) {
		libfs_forget(call.fs, attr.ino, 1);
		err = -EOVERFLOW;
	}
	if (err) {
		if (err == -ENOSYS)
			err = -EOPNOTSUPP;
		reply(bridge, request, err, NULL, 0);
		return;
	}
	attr_out(bridge, node, &attr, &out.entry);
	if (reply(bridge, request, 0, &out, sizeof(out)))
		libfs_forget(call.fs, attr.ino, 1);
}

/* ---- STATX ---- */

static struct statx_time statx_time(struct timespec time)
{
	return (struct statx_time){ .sec = time.tv_sec, .nsec = (uint32_t)time.tv_nsec };
}

static void statx_fill(struct bridge *bridge, fuse_ino_t node, const struct libfs_attr *attr,
		       struct statx_out *out)
{
	bool born = attr->btime.tv_sec || attr->btime.tv_nsec;

	*out = (struct statx_out){
		.attr_valid = (uint64_t)bridge->timeout,
		.mask = STATX_BASIC_STATS | (born ? STATX_BTIME : 0),
		.blksize = attr->blksize,
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.mode = (uint16_t)attr->mode,
		.ino = node,
		.size = attr->size,
		.blocks = attr->blocks,
		.atime = statx_time(attr->atime),
		.btime = statx_time(attr->btime),
		.ctime = statx_time(attr->ctime),
		.mtime = statx_time(attr->mtime),
		.rdev_major = major(attr->rdev),
		.rdev_minor = minor(attr->rdev),
	};
}

static void statx_asked(struct bridge *bridge, struct fuse_in_header *request)
{
	struct libfs_attr attr;
	struct statx_out out;
	struct call call;
	int err = 0;

	if (!begin(&call, bridge, request, 0))
		err = -ESTALE;
	else if (call.fs)
		err = libfs_getattr(call.fs, &call.who.libfs, call.ino, &attr);
	else
		top_attr(bridge, &attr);
	if (!err)
		statx_fill(bridge, request->nodeid, &attr, &out);
	reply(bridge, request, err, &out, sizeof(out));
}

/* ---- all of them ---- */

bool raw_serve(struct bridge *bridge, struct fuse_in_header *request, size_t size)
{
	switch (request->opcode) {
	case FUSE_INIT: init_seen(bridge, request, size); return false;
	case FUSE_WRITE: write_seen(bridge, request, size); return false;
	case FUSE_SETATTR: setattr_seen(bridge, request, size); return false;
	case FUSE_SYNCFS: syncfs_all(bridge, request); return true;
	case FUSE_TMPFILE: tmpfile_new(bridge, request, size); return true;
	case OPCODE_STATX: statx_asked(bridge, request); return true;
	default: return false;
	}
}
