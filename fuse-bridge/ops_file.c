/* SPDX-License-Identifier: MIT */
/*
 * Requests about open files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridge.h"

/* The kernel appends, creates and refuses by itself; the LibFS hears how the file will be used. */
#define OPEN_FLAGS_DROPPED (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK)
/* The kernel's mark of execve(2) among the flags (__FMODE_EXEC), which no header for programs has. */
#define FLAG_EXEC 0x20

/* ---- opening ---- */

static int truncate_opened(struct call *call, libfs_ino_t ino)
{
	const struct libfs_attr empty = { .size = 0 };
	struct libfs_attr after;

	return libfs_setattr(call->fs, &call->who.libfs, ino, &empty,
			     LIBFS_SET_SIZE | LIBFS_SET_OPEN, &after);
}

/* Who may run a file need not be allowed to read it: the kernel reads it, for him. */
static int open_to_run(struct call *call, libfs_ino_t ino)
{
	int err;

	do {
		err = libfs_access(call->fs, &call->who.libfs, ino, LIBFS_MAY_EXEC);
	} while (call_again(call, err));
	if (!err)
		call_as_kernel(call);
	return err;
}

static int open_file(struct call *call, libfs_ino_t ino, struct fuse_file_info *fi)
{
	uint32_t flags = (uint32_t)fi->flags & ~(uint32_t)OPEN_FLAGS_DROPPED;
	int err = fi->flags & FLAG_EXEC ? open_to_run(call, ino) : 0;

	if (err)
		return err;
	do {
		err = libfs_open(call->fs, &call->who.libfs, ino, flags, &fi->fh);
	} while (call_again(call, err));
	if (!err)
		err = call_opened(call, ino, fi);
	if (err)
		return err;
	if (fi->flags & O_TRUNC)
		err = call_settle(call, truncate_opened(call, ino));
	if (err)
		call_release(call, ino, fi);
	fi->keep_cache = 1; /* nobody else changes the image */
	return err;
}

void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct call call;

	if (!call_begin(&call, req, node))
		return;
	reply_open(&call, open_file(&call, call.ino, fi), fi);
}

/*
 * First as if it were exclusive, to know whether the file is new: whoever makes
 * a file may use it as he asked, even with mode 0; an old one asks its mode.
 */
static int create_file(struct call *call, const char *name, mode_t mode, struct fuse_file_info *fi,
		       struct libfs_attr *attr)
{
	int err;

	do {
		err = libfs_create(call->fs, &call->who.libfs, call->ino, name, mode, true, attr);
	} while (call_again(call, err));
	if (!err)
		call_as_kernel(call);
	if (err == -EEXIST && !(fi->flags & O_EXCL)) {
		do {
			err = libfs_create(call->fs, &call->who.libfs, call->ino, name, mode, false,
					   attr);
		} while (call_again(call, err));
	}
	if (err)
		return err;
	err = call_settle(call, open_file(call, attr->ino, fi));
	if (err)
		libfs_forget(call->fs, attr->ino, 1);
	return err;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct libfs_attr attr;
	struct call call;
	int err;

	if (!call_begin(&call, req, parent))
		return;
	err = create_file(&call, name, mode, fi, &attr);
	reply_create(&call, err, &attr, fi);
}

void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct call call;

	if (!call_begin(&call, req, node))
		return;
	call_release(&call, call.ino, fi);
	reply_err(&call, 0);
}

/* ---- bytes ---- */

void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct call call;
	char *bytes;
	ssize_t n;

	if (!call_begin(&call, req, node))
		return;
	bytes = malloc(size ? size : 1);
	if (!bytes) {
		reply_err(&call, -ENOMEM);
		return;
	}
	n = libfs_read(call.fs, &call.who.libfs, call.ino, fi->fh, (uint64_t)off, bytes, size);
	if (n < 0)
		reply_err(&call, (int)n);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
	free(bytes);
}

/* All of it, or as much as there was room for; *done tells. */
static int write_all(struct call *call, uint64_t handle, const char *bytes, size_t size,
		     uint64_t off, size_t *done)
{
	*done = 0;
	while (*done < size) {
		ssize_t n = libfs_write(call->fs, &call->who.libfs, call->ino, handle, off + *done,
					bytes + *done, size - *done);

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
	err = write_all(&call, fi->fh, bytes, size, (uint64_t)off, &done);
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

/* Every byte up to the end may be data: never wrong, whatever the kernel holds back. */
static off_t seek_all_data(struct call *call, off_t off, int whence)
{
	struct libfs_attr attr;
	int err = libfs_getattr(call->fs, &call->who.libfs, call->ino, &attr);

	if (err)
		return err;
	if (off < 0 || (uint64_t)off >= attr.size)
		return -ENXIO;
	return whence == SEEK_DATA ? off : (off_t)attr.size;
}

/*
 * The LibFS knows the holes only when the kernel holds back no bytes.  Dirty
 * pages of a mapping it may hold while somebody has the file open for writing;
 * with cached writes it even keeps the size to itself, and has to answer alone
 * ("all data"; it asks once, for the whole mount).
 */
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi)
{
	struct call call;
	off_t found;

	(void)fi;
	if (!call_begin(&call, req, node))
		return;
	if (call.bridge->writeback)
		found = -ENOSYS;
	else if (writers_any(&call.bridge->writers, node))
		found = seek_all_data(&call, off, whence);
	else
		found = libfs_seek(call.fs, &call.who.libfs, call.ino, (uint64_t)off, whence);
	if (found == -ENOSYS)
		fuse_reply_err(req, ENOSYS);
	else if (found < 0)
		reply_err(&call, (int)found);
	else
		fuse_reply_lseek(req, found);
}
