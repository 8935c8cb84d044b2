/* SPDX-License-Identifier: MIT */
/*
 * Writing and sizing: inline, into blocks that are there, into new ones.
 *
 * Truths (1) to (5) of file.c are kept here.
 */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "slots.h"

/* ---- taking blocks ---- */

/* A small file that cannot grow where it is goes where it can, as a whole. */
static int move_small(struct cffs *fs, struct cffs_inode *inode, uint64_t want)
{
	uint64_t have = inode->b.slot[0].count;
	struct cffs_run run;
	struct xn_extent to;
	unsigned tries = 0;
	uint8_t *bytes;
	int err;

	bytes = malloc(have * BLK);
	if (!bytes)
		return -ENOMEM;
	err = cffs_read_mapped(fs, inode, 0, bytes, have * BLK);
	while (!err) {
		err = cffs_place_small(fs, inode->dir, inode, have + want, &to);
		if (!err && to.count < have + want)
			err = -ENOSPC;
		if (!err)
			err = cffs_map_move(fs, inode, 0, to.start);
		if (!err || !cffs_retry(fs, err, &tries))
			break;
		err = 0;
	}
	if (!err)
		err = cffs_map(fs, inode, 0, have, &run);
	if (!err) {
		err = cffs_run_write_new(fs, &run, 0, bytes, have * BLK);
		cffs_run_put(fs, &run);
		cffs_file_note(inode->file, 0, have);
	}
	free(bytes);
	return err;
}

int cffs_file_regroup(struct cffs *fs, struct cffs_inode *inode)
{
	const struct cffs_slot *slot = &inode->b.slot[0];
	int err = 0;

	pthread_rwlock_wrlock(&inode->lock);
	if (inode->a.nlink && inode->dir && slot->class == CFFS_CLASS_DATA && slot->logical == 0 &&
	    slot->count <= CFFS_SMALL && inode->b.blocks == slot->count && cffs_file_of(inode)) {
		pthread_rwlock_rdlock(&fs->gate);
		err = move_small(fs, inode, 0);
		pthread_rwlock_unlock(&fs->gate);
	}
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

static bool should_move(const struct cffs_inode *inode, uint64_t logical, uint64_t want,
			const struct xn_extent *found)
{
	const struct cffs_slot *slot = &inode->b.slot[0];

	return inode->b.n_slots >= 1 && slot->class == CFFS_CLASS_DATA && slot->logical == 0 &&
	       slot->count == logical && inode->b.blocks == slot->count &&
	       slot->count + want <= CFFS_SMALL && found->start != slot->start + slot->count;
}

/* Fill a hole at `logical` with 1 to `want` blocks. */
int cffs_take_blocks(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
		     uint64_t want, struct cffs_run *run)
{
	uint32_t type = class == CFFS_CLASS_DATA ? XN_DATA : XN_RESERVED;
	struct xn_extent blocks;
	unsigned tries = 0;
	bool moved = false;
	int err;

	for (;;) {
		err = cffs_place(fs, inode->dir, inode, logical, want, type, &blocks);
		if (!err && !moved && should_move(inode, logical, want, &blocks)) {
			moved = true; /* or it cannot be: then it becomes two extents */
			if (move_small(fs, inode, want) == 0)
				err = cffs_place(fs, inode->dir, inode, logical, want, type,
						 &blocks);
		}
		if (!err)
			err = cffs_map_add(fs, inode, class, logical, &blocks);
		if (!err)
			break;
		if (cffs_retry(fs, err, &tries))
			continue;
		/* A part of it may still be had. */
		if ((err != XN_ENOSPACE && err != XN_EQUOTA) || want == 1)
			return err;
		want /= 2;
	}
	inode->file->entry_due = true;
	return cffs_map(fs, inode, logical, blocks.count, run);
}

/* ---- inline ---- */

/* 1: it does not fit, nothing was done. */
static int write_inline(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			const uint8_t *from, uint64_t len, uint64_t size)
{
	uint32_t max = min64(fs->params.inline_max, CFFS_INLINE_MAX);
	struct cffs_body body = inode->b;
	int err;

	if (size > max || cffs_is_mapped(inode))
		return 1;
	if (size > body.inline_len)
		memset(body.inline_data + body.inline_len, 0, size - body.inline_len);
	if (len)
		memcpy(body.inline_data + off, from, len);
	body.inline_len = (uint8_t)size;
	body.size = size;
	err = cffs_body_write(fs, inode, &body);
	return err == -ENOSPC ? 1 : err;
}

/* The bytes in the entry get a block. (cffs_map_add empties the entry in the same update.) */
int cffs_leave_inline(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_body old = inode->b;
	struct cffs_run run;
	int err;

	if (!old.inline_len)
		return 0;
	err = cffs_take_blocks(fs, inode, CFFS_CLASS_DATA, 0, 1, &run);
	if (err)
		return err;
	err = cffs_run_write_new(fs, &run, 0, old.inline_data, old.inline_len);
	cffs_run_put(fs, &run);
	cffs_file_note(inode->file, 0, 1);
	if (err && cffs_map_remove(fs, inode, 0, 1) == 0)
		cffs_body_write(fs, inode, &old);
	return err;
}

/* ---- the end of the file ---- */

static int is_zero(const uint8_t *bytes, uint64_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* The entry shall reach the disk after this data block does: now, if it cannot be said. */
static int order_after(struct cffs *fs, struct cffs_inode *inode, xn_blk_t block)
{
	struct xn_extent extent = { .start = block, .count = 1, .type = XN_DATA };
	struct cffs_hold *owner;
	uint32_t record;
	int err = cffs_inode_owner(fs, inode, &owner, &record);

	if (err)
		return err;
	err = xn_after(fs->libfs.session, owner->object, block);
	cffs_hold_put(fs, owner);
	if (!err)
		return 0;
	err = xn_writeback(fs->libfs.session, &extent, 1);
	return err ? err : xn_flush(fs->libfs.session);
}

/*
 * The end moves from `size` up to `to`: what lay behind it must be zero, and must be so on disk
 * before the new size is.
 */
static int tail_clear(struct cffs *fs, struct cffs_inode *inode, uint64_t size, uint64_t to)
{
	uint64_t len = min64(to - size, (BLK - size % BLK) % BLK);
	uint8_t bytes[BLK];
	struct cffs_run run;
	int err;

	if (len == 0)
		return 0;
	err = cffs_map(fs, inode, size / BLK, 1, &run);
	if (err || run.class != CFFS_CLASS_DATA || !run.start)
		goto put_run;
	err = cffs_run_read(fs, &run, size % BLK, bytes, len);
	if (err || (is_zero(bytes, len) && !inode->file->tail_cut))
		goto put_run;
	memset(bytes, 0, len);
	err = cffs_run_write(fs, &run, size % BLK, bytes, len);
	cffs_file_note(inode->file, size / BLK, size / BLK + 1);
	if (!err)
		err = order_after(fs, inode, run.start);
put_run:
	cffs_run_put(fs, &run);
	return err;
}

/* Data blocks behind the end: a crash left them between a pointer and a size. */
static int leftovers_remove(struct cffs *fs, struct cffs_inode *inode)
{
	uint64_t at = blocks_up(inode->b.size);
	int err = 0;

	while (at < CFFS_LOGICAL_END && !err && !inode->file->end_looked) {
		struct cffs_run run;

		err = cffs_map(fs, inode, at, CFFS_LOGICAL_END - at, &run);
		if (err)
			break;
		cffs_run_put(fs, &run);
		if (run.start && run.class == CFFS_CLASS_DATA)
			err = cffs_map_remove(fs, inode, at, at + run.count);
		at += run.count;
	}
	inode->file->end_looked |= !err;
	return err;
}

/* The end is about to move up to `to`, and bytes to be written from `off` on. */
int cffs_end_uncover(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t to)
{
	uint64_t size = inode->b.size;
	int err = 0;

	if (to <= size || !cffs_is_mapped(inode))
		return 0;
	if (off > size || inode->file->tail_cut)
		err = tail_clear(fs, inode, size, to);
	return err ? err : leftovers_remove(fs, inode);
}

/* ---- writing ---- */

/* [off, off + len) lies in one run of unwritten blocks: they become data, written whole. */
static int write_unwritten(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			   const uint8_t *from, uint64_t len)
{
	uint64_t first = off / BLK, last = blocks_up(off + len);
	struct cffs_run run;
	int err, undo;

	err = cffs_map_class(fs, inode, first, last, CFFS_CLASS_DATA);
	if (err)
		return err;
	inode->file->entry_due = true;
	while (!err && len > 0) {
		uint64_t n;

		err = cffs_map(fs, inode, off / BLK, last - off / BLK, &run);
		if (err)
			break;
		n = cffs_run_bytes(&run, off, len);
		err = cffs_run_write_new(fs, &run, off % BLK, from, n);
		cffs_run_put(fs, &run);
		off += n;
		from += n;
		len -= n;
	}
	if (!err)
		return 0;
	undo = cffs_map_class(fs, inode, first, last, CFFS_CLASS_UNWR);
	return undo ? undo : err;
}

/* As much as lies in one run; *done says how much that is. */
static int write_piece(struct cffs *fs, struct cffs_inode *inode, uint64_t off, const uint8_t *from,
		       uint64_t len, uint64_t *done)
{
	uint64_t logical = off / BLK;
	struct cffs_run run;
	int err;

	err = cffs_map(fs, inode, logical, blocks_up(off % BLK + len), &run);
	if (err)
		return err;
	*done = cffs_run_bytes(&run, off, len);
	if (run.start) {
		bool data = run.class == CFFS_CLASS_DATA;

		err = data ? cffs_run_overwrite(fs, &run, off % BLK, from, *done,
						off + *done >= inode->b.size)
			   : 0;
		cffs_run_put(fs, &run);
		return data || err ? err : write_unwritten(fs, inode, off, from, *done);
	}
	err = cffs_take_blocks(fs, inode, CFFS_CLASS_DATA, logical, run.count, &run);
	if (err)
		return err;
	*done = cffs_run_bytes(&run, off, len);
	err = cffs_run_write_new(fs, &run, off % BLK, from, *done);
	cffs_run_put(fs, &run);
	if (err)
		cffs_map_remove(fs, inode, logical, logical + run.count);
	return err;
}

static ssize_t write_mapped(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			    const uint8_t *from, uint64_t len)
{
	uint64_t old = inode->b.size, done = 0;
	int err = cffs_end_uncover(fs, inode, off, off + len);

	/* The entry that gets the blocks shall get the size with them. */
	if (!err && off + len > old) {
		cffs_set_size(fs, inode, off + len);
		inode->file->entry_due = true;
	}
	while (!err && done < len) {
		uint64_t n = 0;

		err = write_piece(fs, inode, off + done, from + done, len - done, &n);
		if (!err)
			done += n;
	}
	if (done < len && off + len > old)
		cffs_set_size(fs, inode, done ? max64(old, off + done) : old);
	if (done)
		cffs_file_note(inode->file, off / BLK, blocks_up(off + done));
	return done ? (ssize_t)done : err;
}

static ssize_t write_bytes(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			   const uint8_t *from, uint64_t len)
{
	int err = write_inline(fs, inode, off, from, len, max64(inode->b.size, off + len));

	if (err <= 0) {
		inode->file->entry_due = true;
		return err ? err : (ssize_t)len;
	}
	err = cffs_leave_inline(fs, inode);
	return err ? err : write_mapped(fs, inode, off, from, len);
}

/* Zeroes over [off, end) where there is data. */
int cffs_zero_data(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t end)
{
	static const uint8_t zeroes[BLK];
	int err = 0;

	while (off < end && !err) {
		struct cffs_run run;
		uint64_t n;

		err = cffs_map(fs, inode, off / BLK, 1, &run);
		if (err)
			break;
		n = cffs_run_bytes(&run, off, end - off);
		if (run.start && run.class == CFFS_CLASS_DATA) {
			err = cffs_run_write(fs, &run, off % BLK, zeroes, n);
			cffs_file_note(inode->file, off / BLK, off / BLK + 1);
		}
		cffs_run_put(fs, &run);
		off += n;
	}
	return err;
}

static ssize_t write_locked(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *inode,
			    uint64_t off, const void *bytes, size_t len)
{
	struct cffs_attr before_it;
	ssize_t n = cffs_io_check(inode);

	if (n || len == 0)
		return n;
	if (off >= SIZE_MAX_B)
		return -EFBIG;
	len = min64(len, SIZE_MAX_B - off);
	if (!cffs_file_of(inode))
		return -ENOMEM;
	pthread_mutex_lock(&fs->lock);
	before_it = inode->a;
	pthread_mutex_unlock(&fs->lock);
	cffs_touch_changed(fs, inode, ctx);
	pthread_rwlock_rdlock(&fs->gate);
	n = write_bytes(fs, inode, off, bytes, len);
	pthread_rwlock_unlock(&fs->gate);
	if (n < 0) {
		pthread_mutex_lock(&fs->lock);
		inode->a.mtime = before_it.mtime;
		inode->a.ctime = before_it.ctime;
		inode->a.mode = before_it.mode;
		pthread_mutex_unlock(&fs->lock);
	}
	return n;
}

ssize_t cffs_write(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		   uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	ssize_t n = cffs_inode_get(fs, ino, &inode);

	(void)handle;
	if (n)
		return cffs_errno((int)n);
	pthread_rwlock_wrlock(&inode->lock);
	n = write_locked(fs, ctx, inode, offset, bytes, len);
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}

/* ---- sizing ---- */

static int shrink(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	uint64_t old = inode->b.size;
	int err = 0;

	if (size % BLK && size < old) {
		err = cffs_zero_data(fs, inode, size, min64(old, blocks_up(size) * BLK));
		inode->file->tail_cut = true;
	}
	if (err)
		return err;
	cffs_set_size(fs, inode, size);
	return cffs_map_remove(fs, inode, blocks_up(size), CFFS_LOGICAL_END);
}

int cffs_file_resize(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	int err;

	if (size > SIZE_MAX_B)
		return -EFBIG;
	if (!cffs_file_of(inode))
		return -ENOMEM;
	inode->file->entry_due = true;
	if (!cffs_is_mapped(inode)) {
		if (size < inode->b.inline_len) {
			struct cffs_body body = inode->b;

			body.inline_len = (uint8_t)size;
			body.size = size;
			return cffs_body_write(fs, inode, &body);
		}
		err = inode->b.inline_len ? write_inline(fs, inode, 0, NULL, 0, size) : 1;
		if (err <= 0)
			return err;
		err = cffs_leave_inline(fs, inode);
		if (err)
			return err;
	}
	/* The same size again gives back what was set aside behind it. */
	if (size <= inode->b.size)
		return cffs_is_mapped(inode) ? shrink(fs, inode, size)
					     : (cffs_set_size(fs, inode, size), 0);
	err = cffs_end_uncover(fs, inode, size, size);
	if (!err)
		cffs_set_size(fs, inode, size);
	return err;
}
