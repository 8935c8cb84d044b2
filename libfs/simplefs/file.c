/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a file.
 *
 *  (1) A hole reads as zeroes; only writing makes blocks.
 *  (2) A new block is written whole, in the same call that allocates it; if that
 *      fails it is given back.
 *  (3) The size moves only when the bytes below it are there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simplefs.h"

/* Blocks that are needed for `len` bytes from `off` on. */
static uint64_t blocks_of(uint64_t off, uint64_t len)
{
	return (off % SFS_BLOCK + len + SFS_BLOCK - 1) / SFS_BLOCK;
}

static uint64_t run_bytes(const struct sfs_run *run, uint64_t off, uint64_t len)
{
	uint64_t head = off % SFS_BLOCK;

	if (run->count > (head + len) / SFS_BLOCK)
		return len;
	return run->count * SFS_BLOCK - head < len ? run->count * SFS_BLOCK - head : len;
}

/* ---- reading ---- */

static int run_read(struct sfs *fs, const struct sfs_run *run, uint64_t head, void *buffer,
		    size_t len)
{
	xn_binding_t binding;
	unsigned tries = 0;
	int err;

	err = sfs_data_bind(fs, run->owner, run->record, run->start, run->count, &binding);
	if (err)
		return err;
	do
		err = xn_read(fs->libfs.session, binding, head, buffer, len);
	while (sfs_make_room(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

int sfs_file_read(struct sfs *fs, struct sfs_inode *inode, uint64_t off, void *buffer, size_t len)
{
	struct sfs_leaf leaf = { 0 };
	uint8_t *to = buffer;
	int err = 0;

	while (len && !err) {
		struct sfs_run run;
		size_t n;

		err = sfs_map(fs, inode, &leaf, off / SFS_BLOCK, blocks_of(off, len), &run);
		if (err)
			break;
		n = run_bytes(&run, off, len);
		if (run.start)
			err = run_read(fs, &run, off % SFS_BLOCK, to, n);
		else
			memset(to, 0, n);
		off += n;
		to += n;
		len -= n;
	}
	sfs_leaf_put(fs, &leaf);
	return err;
}

/* ---- writing ---- */

static int run_write(struct sfs *fs, const struct sfs_run *run, uint64_t head, const void *bytes,
		     size_t len)
{
	xn_binding_t binding;
	unsigned tries = 0;
	int err;

	err = sfs_data_bind(fs, run->owner, run->record, run->start, run->count, &binding);
	if (err)
		return err;
	do
		err = xn_write(fs->libfs.session, binding, head, bytes, len);
	while (sfs_make_room(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* New blocks are written whole: zeroes around what was given. */
static int run_write_new(struct sfs *fs, const struct sfs_run *run, uint64_t head,
			 const void *bytes, size_t len)
{
	size_t whole = run->count * SFS_BLOCK;
	uint8_t *padded;
	int err;

	if (head == 0 && len == whole)
		return run_write(fs, run, 0, bytes, whole);
	padded = calloc(1, whole);
	if (!padded)
		return -ENOMEM;
	memcpy(padded + head, bytes, len);
	err = run_write(fs, run, 0, padded, whole);
	free(padded);
	return err;
}

/* Write as much of [off, off + len) as lies in one run; *done says how much. */
static int write_piece(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t off,
		       const void *bytes, size_t len, size_t *done)
{
	uint64_t fblk = off / SFS_BLOCK, want = blocks_of(off, len);
	struct sfs_run run;
	int err;

	err = sfs_map(fs, inode, leaf, fblk, want, &run);
	if (err)
		return err;
	if (run.start) {
		*done = run_bytes(&run, off, len);
		return run_write(fs, &run, off % SFS_BLOCK, bytes, *done);
	}
	err = sfs_map_alloc(fs, inode, leaf, fblk, run.count, &run);
	if (err)
		return err;
	*done = run_bytes(&run, off, len);
	err = run_write_new(fs, &run, off % SFS_BLOCK, bytes, *done);
	if (err)
		sfs_map_free(fs, inode, fblk, fblk + run.count);
	return err;
}

ssize_t sfs_file_write(struct sfs *fs, struct sfs_inode *inode, uint64_t off, const void *bytes,
		       size_t len)
{
	const uint8_t *from = bytes;
	struct sfs_leaf leaf = { 0 };
	size_t total = 0;
	int err = 0;

	if (off > SFS_FILE_MAX || len > SFS_FILE_MAX - off)
		return -EFBIG;
	if (off > inode->f.size)
		err = sfs_file_resize(fs, inode, off);
	while (total < len && !err) {
		size_t done;

		err = write_piece(fs, inode, &leaf, off + total, from + total, len - total, &done);
		if (!err)
			total += done;
	}
	sfs_leaf_put(fs, &leaf);
	if (total && off + total > inode->f.size)
		inode->f.size = off + total;
	return total ? (ssize_t)total : err;
}

/* ---- clearing, sizing ---- */

int sfs_file_clear(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len)
{
	static const uint8_t zeroes[SFS_BLOCK];
	struct sfs_leaf leaf = { 0 };
	int err = 0;

	while (len && !err) {
		struct sfs_run run;
		uint64_t n;

		err = sfs_map(fs, inode, &leaf, off / SFS_BLOCK, blocks_of(off, len), &run);
		if (err)
			break;
		n = run_bytes(&run, off, len);
		if (run.start) {
			run.count = 1;
			n = run_bytes(&run, off, len);
			err = run_write(fs, &run, off % SFS_BLOCK, zeroes, n);
		}
		off += n;
		len -= n;
	}
	sfs_leaf_put(fs, &leaf);
	return err;
}

/* Bytes behind `off` in its block. */
static uint64_t rest_of_block(uint64_t off)
{
	return (SFS_BLOCK - off % SFS_BLOCK) % SFS_BLOCK;
}

/*
 * The end is about to move up: what a crash left behind it in its block must be zero, and must be so on
 * the disk before the new size is.  Mostly it is zero already.
 */
static int tail_settle(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len)
{
	uint8_t bytes[SFS_BLOCK];
	int err;

	if (len == 0)
		return 0;
	err = sfs_file_read(fs, inode, off, bytes, len);
	if (err || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0))
		return err;
	err = sfs_file_clear(fs, inode, off, len);
	return err ? err : sfs_sync_locked(fs);
}

/*
 * Growing uncovers the rest of the last block, where a crash may have left bytes.
 * Shrinking gives back the blocks behind the last, and clears what it cuts off of
 * that: else a later size could reach the disk before the bytes that belong to it,
 * and after a crash the old ones would be back.
 */
int sfs_file_resize(struct sfs *fs, struct sfs_inode *inode, uint64_t size)
{
	uint64_t old = inode->f.size, low = size < old ? size : old;
	uint64_t moved = size < old ? old - size : size - old, rest = rest_of_block(low);
	int err;

	if (size > SFS_FILE_MAX)
		return -EFBIG;
	rest = rest < moved ? rest : moved;
	err = size < old ? sfs_file_clear(fs, inode, low, rest) : tail_settle(fs, inode, low, rest);
	if (!err && size < old)
		err = sfs_map_free(fs, inode, (size + SFS_BLOCK - 1) / SFS_BLOCK, UINT64_MAX);
	if (!err)
		inode->f.size = size;
	return err;
}

int sfs_file_fill(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len)
{
	struct sfs_leaf leaf = { 0 };
	uint64_t fblk = off / SFS_BLOCK, end = fblk + blocks_of(off, len);
	int err = 0;

	while (fblk < end && !err) {
		struct sfs_run run = { 0 };

		err = sfs_map(fs, inode, &leaf, fblk, end - fblk, &run);
		if (!err && !run.start) {
			err = sfs_map_alloc(fs, inode, &leaf, fblk, run.count, &run);
			if (!err)
				err = run_write_new(fs, &run, 0, "", 0);
			if (err && run.start)
				sfs_map_free(fs, inode, fblk, fblk + run.count);
		}
		fblk += run.count;
	}
	sfs_leaf_put(fs, &leaf);
	return err;
}

int sfs_file_seek(struct sfs *fs, struct sfs_inode *inode, uint64_t off, bool data, uint64_t *found)
{
	struct sfs_leaf leaf = { 0 };
	uint64_t end = (inode->f.size + SFS_BLOCK - 1) / SFS_BLOCK, fblk = off / SFS_BLOCK;
	int err = 0;

	for (;;) {
		struct sfs_run run;

		if (fblk >= end)
			break;
		err = sfs_map(fs, inode, &leaf, fblk, end - fblk, &run);
		if (err || (run.start != 0) == data)
			break;
		fblk += run.count;
	}
	sfs_leaf_put(fs, &leaf);
	if (err)
		return err;
	if (fblk >= end && data)
		return -ENXIO;
	*found = fblk * SFS_BLOCK > off ? fblk * SFS_BLOCK : off;
	if (*found > inode->f.size)
		*found = inode->f.size;
	return 0;
}

int sfs_file_extents(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len,
		     struct libfs_extent *out, size_t max, size_t *count)
{
	uint64_t end = len < inode->f.size - off ? off + len : inode->f.size;
	uint64_t fblk = off / SFS_BLOCK, last;
	struct sfs_leaf leaf = { 0 };
	int err = 0;

	*count = 0;
	if (off >= inode->f.size)
		return 0;
	last = (end + SFS_BLOCK - 1) / SFS_BLOCK;
	while (fblk < last && *count < max) {
		struct sfs_run run;

		err = sfs_map(fs, inode, &leaf, fblk, last - fblk, &run);
		if (err)
			break;
		if (run.start)
			out[(*count)++] = (struct libfs_extent){
				.offset = fblk * SFS_BLOCK,
				.len = run.count * SFS_BLOCK,
				.place = run.start * SFS_BLOCK,
			};
		fblk += run.count;
	}
	sfs_leaf_put(fs, &leaf);
	return err;
}
