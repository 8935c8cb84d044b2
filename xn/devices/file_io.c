/* SPDX-License-Identifier: MIT */
/*
 * One request on a file or block device of the host, done before the call returns.
 *
 *  (1) What the host moves only in part is asked for again from there.
 *  (2) Whole blocks go past the host's cache if that was asked for, through a copy when
 *      the memory is not aligned; the rest goes through it.  The host keeps the two
 *      coherent.
 *  (3) A flush that failed is UNKNOWN, and so is every later one: the host reports a
 *      lost page once and forgets it.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IOV_WINDOW 64
#define ZERO_CHUNK 65536u

/* ---- bytes ---- */

/* The part of `iov` that begins `skip` bytes into it; returns its length in entries. */
static int iov_window(const struct iovec *iov, int count, uint64_t skip, struct iovec *window)
{
	int used = 0;

	for (int i = 0; i < count && used < IOV_WINDOW; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		window[used].iov_base = (uint8_t *)iov[i].iov_base + skip;
		window[used++].iov_len = iov[i].iov_len - skip;
		skip = 0;
	}
	return used;
}

static int transfer(int fd, const struct bdev_request *request, const struct iovec *iov, int count)
{
	int flags = request->op == BDEV_WRITE && (request->flags & BDEV_FUA) ? RWF_DSYNC : 0;
	struct iovec window[IOV_WINDOW];
	uint64_t moved = 0;

	while (moved < request->len) {
		int used = iov_window(iov, count, moved, window);
		off_t at = (off_t)(request->offset + moved);
		ssize_t got = request->op == BDEV_READ ? preadv(fd, window, used, at)
						       : pwritev2(fd, window, used, at, flags);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) /* somebody made the file shorter */
			return -EIO;
		moved += (uint64_t)got;
	}
	return 0;
}

static bool iov_is_aligned(const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		if ((uintptr_t)iov[i].iov_base % DIRECT_ALIGN || iov[i].iov_len % DIRECT_ALIGN)
			return false;
	return true;
}

static int transfer_bounced(int fd, const struct bdev_request *request)
{
	struct iovec iov = { NULL, request->len };
	int err;

	if (posix_memalign(&iov.iov_base, DIRECT_ALIGN, request->len))
		return -ENOMEM;
	if (request->op == BDEV_WRITE)
		iov_gather(iov.iov_base, request->iov, request->len);
	err = transfer(fd, request, &iov, 1);
	if (!err && request->op == BDEV_READ)
		iov_scatter(request->iov, iov.iov_base, request->len);
	free(iov.iov_base);
	return err;
}

int request_fd(const struct file *file, const struct bdev_request *request, bool *copy)
{
	*copy = false;
	if (file->direct_fd < 0 || request->offset % DIRECT_ALIGN || request->len % DIRECT_ALIGN)
		return file->fd;
	*copy = !iov_is_aligned(request->iov, request->iov_count);
	return file->direct_fd;
}

static int file_transfer(struct file *file, const struct bdev_request *request)
{
	bool copy;
	int fd = request_fd(file, request, &copy);

	return copy ? transfer_bounced(fd, request)
		    : transfer(fd, request, request->iov, request->iov_count);
}

static int file_discard(struct file *file, const struct bdev_request *request)
{
	uint64_t range[2] = { request->offset, request->len };
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int failed;

	if (file->is_block)
		failed = ioctl(file->fd, BLKDISCARD, range);
	else
		failed = fallocate(file->fd, mode, (off_t)range[0], (off_t)range[1]);
	/* Old contents are a permitted outcome. */
	if (failed && errno != EOPNOTSUPP && errno != ENOTTY)
		return -errno;
	return 0;
}

static int write_zeroes_by_hand(struct file *file, uint64_t offset, uint64_t len)
{
	uint8_t *zeroes = calloc(1, ZERO_CHUNK);
	int err = zeroes ? 0 : -ENOMEM;

	while (len && !err) {
		struct iovec iov = { zeroes, len < ZERO_CHUNK ? len : ZERO_CHUNK };
		struct bdev_request part = {
			.op = BDEV_WRITE,
			.offset = offset,
			.len = iov.iov_len,
		};

		err = transfer(file->fd, &part, &iov, 1);
		offset += iov.iov_len;
		len -= iov.iov_len;
	}
	free(zeroes);
	return err;
}

static int file_write_zeroes(struct file *file, const struct bdev_request *request)
{
	uint64_t range[2] = { request->offset, request->len };
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (file->is_block) {
		if (!ioctl(file->fd, BLKZEROOUT, range))
			return 0;
	} else if (!fallocate(file->fd, mode, (off_t)range[0], (off_t)range[1])) {
		return 0;
	}
	return write_zeroes_by_hand(file, request->offset, request->len);
}

/* ---- one request, done now ---- */

void flush_outcome(struct file *file, struct bdev_request *request, int error)
{
	if (error)
		atomic_store(&file->flush_lost, true);
	else if (atomic_load(&file->flush_lost))
		error = -EIO;
	request->error = error;
	request->outcome = error ? BDEV_UNKNOWN : BDEV_DONE;
}

static int flush_run(struct file *file)
{
	if (!file->writable || atomic_load(&file->flush_lost))
		return 0;
	return fdatasync(file->fd) ? -errno : 0;
}

void request_execute(struct file *file, struct bdev_request *request)
{
	enum bdev_outcome failed = BDEV_FAILED;
	int err = -EINVAL;

	switch (request->op) {
	case BDEV_FLUSH: flush_outcome(file, request, flush_run(file)); return;
	case BDEV_READ: err = file_transfer(file, request); break;
	case BDEV_WRITE:
		err = file_transfer(file, request);
		if (request->flags & BDEV_FUA) /* written but not synced, or neither */
			failed = BDEV_UNKNOWN;
		break;
	case BDEV_DISCARD: err = file_discard(file, request); break;
	case BDEV_WRITE_ZEROES: err = file_write_zeroes(file, request); break;
	}
	request->outcome = err ? failed : BDEV_DONE;
	request->error = err;
}

void job_execute(struct file *file, struct job *job)
{
	request_execute(file, &job->request);
	for (size_t i = 0; i < job->n; i++) {
		/* Of neighbours done as one, only the bad ones are to fail. */
		if (job->n > 1 && job->request.outcome == BDEV_FAILED) {
			request_execute(file, job->members[i]);
			continue;
		}
		job->members[i]->outcome = job->request.outcome;
		job->members[i]->error = job->request.error;
	}
}
