/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of fsck.
 *
 *  (1) Nothing is read or written beyond the device.
 *  (2) The first write of a run is the superblock that says "in use".
 */
#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int fsck_read(struct fsck *f, uint64_t block, uint32_t count, void *buffer)
{
	if (block >= f->dev_blocks || count > f->dev_blocks - block)
		return -EIO;
	return bdev_read(f->dev, block * XN_BLOCK_SIZE, buffer, (size_t)count * XN_BLOCK_SIZE)
		       ? -EIO
		       : 0;
}

uint32_t fsck_salvage(struct fsck *f, uint64_t block, uint32_t count, uint8_t fill, void *buffer)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *to = (uint8_t *)buffer + (size_t)i * XN_BLOCK_SIZE;

		if (block < f->dev_blocks && i < f->dev_blocks - block) {
			lost += check_salvage_block(f->dev, block + i, fill, to);
		} else {
			memset(to, fill, XN_BLOCK_SIZE);
			lost += XN_BLOCK_SECTORS;
		}
	}
	return lost;
}

bool fsck_may_write(const struct fsck *f)
{
	return f->opts->mode != CHECK_LOOK && !f->look_only;
}

int fsck_write_raw(struct fsck *f, uint64_t offset, const void *bytes, size_t len)
{
	return bdev_write(f->dev, offset, bytes, len, 0) ? -EIO : 0;
}

int fsck_write(struct fsck *f, uint64_t offset, const void *bytes, size_t len)
{
	int err;

	if (!fsck_may_write(f))
		return -EROFS;
	err = fsck_super_begin(f);
	if (err)
		return err;
	f->changed = true;
	return fsck_write_raw(f, offset, bytes, len);
}

/* ---- batches ---- */

void fsck_batch_reset(struct batch *batch)
{
	batch->n = 0;
	batch->blocks = 0;
}

bool fsck_batch_add(struct fsck *f, uint64_t block, uint32_t count)
{
	struct batch *batch = &f->batch;
	struct bdev_request *request = &batch->requests[batch->n];
	struct iovec *iov = &batch->iov[batch->n];

	if (batch->n == BATCH_MAX || batch->blocks + count > BATCH_BLOCKS)
		return false;
	iov->iov_base = batch->buffer + (size_t)batch->blocks * XN_BLOCK_SIZE;
	iov->iov_len = (size_t)count * XN_BLOCK_SIZE;
	memset(request, 0, sizeof(*request));
	request->op = BDEV_READ;
	request->offset = block * XN_BLOCK_SIZE;
	request->len = iov->iov_len;
	request->iov = iov;
	request->iov_count = 1;
	batch->n++;
	batch->blocks += count;
	return true;
}

void fsck_batch_run(struct fsck *f)
{
	struct bdev_request *requests[BATCH_MAX], *done[BATCH_MAX];
	size_t n = f->batch.n;

	for (unsigned i = 0; i < n; i++)
		requests[i] = &f->batch.requests[i];
	bdev_submit(f->queue, requests, n);
	while (n)
		n -= bdev_wait(f->queue, done, n, n);
}

/* ---- the rest ---- */

bool fsck_stopped(struct fsck *f)
{
	if (check_cancelled(f->check))
		f->stopped = true;
	return f->stopped;
}

void fsck_say(const struct fsck *f, const char *format, ...)
{
	va_list args;

	if (!f->opts->out || f->opts->mode == CHECK_PREEN)
		return;
	va_start(args, format);
	vfprintf(f->opts->out, format, args);
	va_end(args);
}

int fsck_array_grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 16;
	void *grown;

	if (n < *cap)
		return 0;
	grown = realloc(*array, more * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*cap = more;
	return 0;
}
