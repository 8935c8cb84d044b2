/* SPDX-License-Identifier: MIT */
/*
 * Requests about open files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge.h"

/* ---- opening ---- */

/* Truth (6) of bridge.h; an old kernel wants an answer. */
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	const struct bridge *bridge = fuse_req_userdata(req);

	(void)node;
	fi->fh = 0;
	fi->keep_cache = 1; /* nobody else changes the image */
	if (bridge->no_open)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, fi);
}

/*
 * The kernel asks only when it knows of no such name, and does not look at the
 * mode of what it gets: if there is one after all it must look again.
 */
static int create_file(struct call *call, const char *name, mode_t mode, int flags,
		       struct libfs_attr *attr)
{
	int err;

	do {
		err = libfs_create(call->fs, &call->who.libfs, call->ino, name, mode, true, attr);
	} while (call_again(call, err));
	if (err == -EEXIST && !(flags & O_EXCL))
		return -ESTALE;
	if (err)
		return err;
	err = call_settle(call, 0);
	if (err)
		libfs_forget(call->fs, attr->ino, 1);
	return err;
}

/*
 * A file made and opened at once is open: its end would be told, until the kernel has heard,
 * at the first plain open, that nothing is.  It makes it by MKNOD instead, and has heard.
 */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	const struct bridge *bridge = fuse_req_userdata(req);
	struct libfs_attr attr;
	struct call call;
	int err;

	if (bridge->no_open) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (!call_begin(&call, req, parent))
		return;
	call_tell_groups_for(&call, mode);
	err = create_file(&call, name, mode, fi->flags, &attr);
	fi->fh = 0;
	fi->keep_cache = 1;
	reply_create(&call, err, &attr, fi);
}

/* ---- bytes ---- */

void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct call call;
	char *bytes;
	ssize_t n;

	(void)fi;
	if (!call_begin(&call, req, node))
		return;
	bytes = bridge_scratch(call.bridge);
	if (!bytes) {
		reply_err(&call, -ENOMEM);
		return;
	}
	if (size > SCRATCH_SIZE) /* the kernel was told: at most that much */
		size = SCRATCH_SIZE;
	n = libfs_read(call.fs, &call.who.libfs, call.ino, LIBFS_NO_HANDLE, (uint64_t)off, bytes,
		       size);
	if (n < 0)
		reply_err(&call, (int)n);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
}

/* All of it, or as much as there was room for; *done tells. */
static int write_all(struct call *call, const char *bytes, size_t size, uint64_t off, size_t *done)
{
	*done = 0;
	while (*done < size) {
		ssize_t n = libfs_write(call->fs, &call->who.libfs, call->ino, LIBFS_NO_HANDLE,
					off + *done, bytes + *done, size - *done);

		if (n <= 0)
			return n ? (int)n : -EIO;
		*done += (size_t)n;
	}
	return 0;
}

/*
 * The kernel writes back pages for whoever dirtied them, under anybody's name.
 * It takes a short answer for success, so there every lost byte is an error.
 */
void op_write(fuse_req_t req, fuse_ino_t node, const char *bytes, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct call call;
	size_t done;
	int err;

	if (!call_begin(&call, req, node))
		return;
	if (fi->writepage)
		call_as_kernel(&call);
	err = write_all(&call, bytes, size, (uint64_t)off, &done);
	if (done > 0 && !fi->writepage)
		err = 0;
	if (!err && call.bridge->sync)
		err = libfs_fsync(call.fs, call.ino, false);
	if (err)
		reply_err(&call, err);
	else
		fuse_reply_write(req, done);
}

/* A LibFS that cannot fsync must not make the kernel believe that there is nothing to do. */
void op_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
	struct call call;
	int err = 0;

	(void)fi;
	if (!call_begin_any(&call, req, node))
		return;
	if (call.fs)
		err = libfs_fsync(call.fs, call.ino, data_only);
	reply_err(&call, err == -ENOSYS ? -EINVAL : err);
}

void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	struct call call;
	int err;

	(void)fi;
	if (!call_begin(&call, req, node))
		return;
	if (offset < 0 || length <= 0) {
		reply_err(&call, -EINVAL);
		return;
	}
	do {
		err = libfs_fallocate(call.fs, &call.who.libfs, call.ino, (uint32_t)mode,
				      (uint64_t)offset, (uint64_t)length);
	} while (call_again(&call, err));
	reply_err(&call, call_settle(&call, err));
}

/* ---- holes ---- */

/*
 * Pages dirtied through a mapping, or cached writes, are the kernel's secret
 * until it writes them back.  They can only turn a hole into data: what was found
 * as data from `off` on, or data up to the end, is true whatever it holds back.
 */
static bool is_sure(struct call *call, off_t off, int whence, off_t found)
{
	struct libfs_attr attr;

	if (call->bridge->writeback)
		return false;
	if (whence == SEEK_DATA)
		return found == off;
	return found > 0 && libfs_getattr(call->fs, &call->who.libfs, call->ino, &attr) == 0 &&
	       (uint64_t)found == attr.size;
}

void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi)
{
	struct call call;
	off_t found;

	(void)fi;
	if (!call_begin(&call, req, node))
		return;
	found = libfs_seek(call.fs, &call.who.libfs, call.ino, (uint64_t)off, whence);
	if (found == -ENOSYS || found == -EINVAL || found == -EISDIR)
		reply_err(&call, (int)found);
	else if (is_sure(&call, off, whence, found))
		fuse_reply_lseek(req, found);
	else
		seeker_ask(call.bridge->seeker, req, node, off, whence);
}

/* ---- copying ---- */

/* A request must end before others have waited long; the kernel, or cp, asks for the rest. */
#define COPY_MAX (16u << 20)

/* From one root to another: through here. */
static ssize_t copy_across(struct call *call, uint64_t from_off, struct libfs *to, libfs_ino_t ino,
			   uint64_t to_off, size_t len)
{
	char *bytes = bridge_scratch(call->bridge);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	n = libfs_read(call->fs, &call->who.libfs, call->ino, LIBFS_NO_HANDLE, from_off, bytes,
		       len < SCRATCH_SIZE ? len : SCRATCH_SIZE);
	if (n <= 0)
		return n;
	return libfs_write(to, &call->who.libfs, ino, LIBFS_NO_HANDLE, to_off, bytes, (size_t)n);
}

/* The parameters are libfuse's. */
/* NOLINTNEXTLINE(readability-function-size) */
void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
			struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
			struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct libfs *to_fs;
	struct call call;
	ssize_t n;
	int err;

	(void)from_fi, (void)to_fi;
	if (!call_begin(&call, req, from))
		return;
	to_fs = node_fs(call.bridge, node_slot(to));
	if (!to_fs || flags) {
		reply_err(&call, to_fs ? -EINVAL : -ESTALE);
		return;
	}
	if (len > COPY_MAX)
		len = COPY_MAX;
	if (to_fs == call.fs)
		n = libfs_copy_range(call.fs, &call.who.libfs, call.ino, (uint64_t)from_off,
				     node_ino(to), (uint64_t)to_off, len);
	else
		n = copy_across(&call, (uint64_t)from_off, to_fs, node_ino(to), (uint64_t)to_off,
				len);
	err = n < 0 ? (int)n : 0;
	if (!err && call.bridge->sync)
		err = libfs_fsync(to_fs, node_ino(to), false);
	if (err)
		reply_err(&call, err);
	else
		fuse_reply_write(req, (size_t)n);
}
