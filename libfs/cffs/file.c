/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a file.
 *
 *  (1) A file is inline (all its bytes in the entry, no extent) or mapped.  It
 *      begins inline, and leaves that for good when it outgrows it; truncated to
 *      nothing it may begin again.
 *  (2) Blocks are taken when bytes are written, and written in the same call; so
 *      what write() acknowledged has its space.  XN keeps the entry's sector back
 *      until those bytes are stable: no file shows a block that was not written.
 *  (3) Bytes of a data block past the end of the file are zero, or will be before
 *      the end moves over them (end_uncover).  Data blocks wholly past the end are
 *      left by a crash only, and go when the end moves.
 *  (4) UNWR blocks are owned and unreadable, and read as zeroes.  A write of a part
 *      of one covers it whole.
 *  (5) A small file is one extent: if it cannot grow where it is, it moves.
 *  (6) What is dirty of a file is remembered as a few ranges, for fsync.
 *  (7) The data of the small files read last stay bound: reading them again is one
 *      call.  What changes an inode's extents lets go first, and XN refuses a
 *      binding whose blocks went, so a stale one is only slower.
 *
 * All static functions are called with inode->lock held, for writing if they write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"
#include "slots.h"

#define BLK         CFFS_BLOCK
#define SIZE_MAX_B  (CFFS_BLOCKS_MAX * BLK)
#define RANGES      16u
#define AHEAD_LARGE 128u /* blocks */

struct range {
	uint64_t first, last; /* blocks [first, last) of the file */
};

struct cffs_file {
	uint32_t n_dirty;
	struct range dirty[RANGES]; /* written since the last fsync */
	bool entry_due;             /* fdatasync needs the entry, too: size or blocks changed */
	bool tail_cut;   /* bytes past the end were zeroed, and the disk may not know yet */
	bool end_looked; /* no data block lies wholly past the end */
};

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t blocks_up(uint64_t bytes)
{
	return bytes / BLK + (bytes % BLK != 0);
}

/* ---- what is kept of a file ---- */

/*
 * With inode->lock held for writing.  What was kept before the inode was evicted is not known any
 * more: all of it may be dirty.
 */
static struct cffs_file *file_of(struct cffs_inode *inode)
{
	if (inode->file)
		return inode->file;
	inode->file = calloc(1, sizeof(*inode->file));
	if (inode->file && inode->b.size) {
		inode->file->dirty[inode->file->n_dirty++].last = blocks_up(inode->b.size);
		inode->file->entry_due = inode->file->tail_cut = true;
	}
	return inode->file;
}

/* ---- bindings kept ---- */

/* With fs->lock held. */
static void unbind_locked(struct cffs *fs, struct cffs_inode *inode)
{
	if (!inode->bound)
		return;
	xn_unbind(fs->libfs.session, inode->bound);
	fs->bound[inode->bound_at] = NULL;
	inode->bound = 0;
}

void cffs_unbind(struct cffs *fs, struct cffs_inode *inode)
{
	pthread_mutex_lock(&fs->lock);
	unbind_locked(fs, inode);
	pthread_mutex_unlock(&fs->lock);
}

void cffs_unbind_all(struct cffs *fs)
{
	pthread_mutex_lock(&fs->lock);
	for (uint32_t i = 0; i < CFFS_BOUND; i++)
		if (fs->bound[i])
			unbind_locked(fs, fs->bound[i]);
	pthread_mutex_unlock(&fs->lock);
}

/* Keep the binding for the next read, in the place of the one that was kept longest. */
static void bound_keep(struct cffs *fs, struct cffs_inode *inode, xn_binding_t binding)
{
	pthread_mutex_lock(&fs->lock);
	if (inode->bound) {
		xn_unbind(fs->libfs.session, binding); /* another reader was quicker */
	} else {
		inode->bound_at = fs->next_bound++ % CFFS_BOUND;
		if (fs->bound[inode->bound_at])
			unbind_locked(fs, fs->bound[inode->bound_at]);
		fs->bound[inode->bound_at] = inode;
		inode->bound = binding;
	}
	pthread_mutex_unlock(&fs->lock);
}

void cffs_file_forget(struct cffs *fs, struct cffs_inode *inode)
{
	cffs_unbind(fs, inode);
	free(inode->file);
	inode->file = NULL;
}

/* Too many ranges become one. */
static void note_dirty(struct cffs_file *file, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < file->n_dirty; i++) {
		struct range *range = &file->dirty[i];

		if (first > range->last || last < range->first)
			continue;
		range->first = min64(range->first, first);
		range->last = max64(range->last, last);
		return;
	}
	if (file->n_dirty < RANGES) {
		file->dirty[file->n_dirty++] = (struct range){ first, last };
		return;
	}
	for (uint32_t i = 0; i < file->n_dirty; i++) {
		first = min64(first, file->dirty[i].first);
		last = max64(last, file->dirty[i].last);
	}
	file->dirty[0] = (struct range){ first, last };
	file->n_dirty = 1;
}

static bool is_mapped(const struct cffs_inode *inode)
{
	for (unsigned i = 0; i < inode->b.n_slots; i++)
		if (cffs_slot_maps(&inode->b.slot[i]) || inode->b.slot[i].class == CFFS_CLASS_NODE)
			return true;
	return false;
}

/* ---- one run ---- */

static int run_bind(struct cffs *fs, const struct cffs_run *run, xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = run->owner->object,
		.record = run->record,
		.access = fs->access,
		.extent = { .start = run->start, .count = run->count, .type = XN_DATA },
	};

	return xn_bind(fs->libfs.session, &request, binding);
}

static void run_put(struct cffs *fs, struct cffs_run *run)
{
	if (run->owner)
		cffs_hold_put(fs, run->owner);
	run->owner = NULL;
}

/* Bytes of the run, which begins with the block of `off`, that a request of `len` at `off` gets. */
static uint64_t run_bytes(const struct cffs_run *run, uint64_t off, uint64_t len)
{
	return min64(run->count * BLK - off % BLK, len);
}

static int run_read(struct cffs *fs, const struct cffs_run *run, uint64_t skip, void *to,
		    uint64_t len)
{
	xn_binding_t binding;
	unsigned tries = 0;
	int err = run_bind(fs, run, &binding);

	if (err)
		return err;
	do
		err = xn_read(fs->libfs.session, binding, skip, to, len);
	while (err && cffs_retry(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

static int bound_write(struct cffs *fs, xn_binding_t binding, uint64_t at, const uint8_t *from,
		       uint64_t len)
{
	uint64_t most = XN_WRITE_MAX;
	unsigned tries = 0;
	int err = 0;

	while (len > 0 && !err) {
		uint64_t n = min64(len, most - at % BLK);

		err = xn_write(fs->libfs.session, binding, at, from, n);
		if (err == XN_ECACHEFULL && n > BLK) {
			most = (n / 2 + BLK - 1) / BLK * BLK; /* the cache may be that small */
			err = 0;
			continue;
		}
		if (err && cffs_retry(fs, err, &tries)) {
			err = 0;
			continue;
		}
		tries = 0;
		at += n;
		from += n;
		len -= n;
	}
	return err;
}

static int run_write(struct cffs *fs, const struct cffs_run *run, uint64_t skip, const void *from,
		     uint64_t len)
{
	xn_binding_t binding;
	int err = run_bind(fs, run, &binding);

	if (err)
		return err;
	err = bound_write(fs, binding, skip, from, len);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* One block of zeroes with `len` bytes at `skip`. */
static int write_padded(struct cffs *fs, xn_binding_t binding, uint64_t block, uint64_t skip,
			const uint8_t *from, uint64_t len)
{
	uint8_t bytes[BLK];

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + skip, from, len);
	return bound_write(fs, binding, block * BLK, bytes, BLK);
}

/*
 * Over blocks that have bytes already.  When the last of them has none behind the write, it is
 * written whole: its old bytes need not be read.
 */
static int run_overwrite(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
			 const uint8_t *from, uint64_t len, bool to_end)
{
	uint64_t end = skip + len, last = end / BLK, tail = end % BLK;
	xn_binding_t binding;
	int err = run_bind(fs, run, &binding);

	if (err)
		return err;
	if (!to_end || tail == 0 || tail > len || (last == 0 && skip > 0))
		tail = 0;
	err = bound_write(fs, binding, skip, from, len - tail);
	if (!err && tail)
		err = write_padded(fs, binding, last, 0, from + len - tail, tail);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* New blocks are written whole: zeroes around what was given. */
static int run_write_new(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
			 const uint8_t *from, uint64_t len)
{
	uint64_t end = skip + len, at = 0;
	xn_binding_t binding;
	int err = run_bind(fs, run, &binding);

	if (err)
		return err;
	if (skip || end < BLK) {
		uint64_t n = min64(len, BLK - skip);

		err = write_padded(fs, binding, 0, skip, from, n);
		from += n;
		at = 1;
	}
	if (!err && end / BLK > at) {
		err = bound_write(fs, binding, at * BLK, from, (end / BLK - at) * BLK);
		from += (end / BLK - at) * BLK;
		at = end / BLK;
	}
	if (!err && at * BLK < end)
		err = write_padded(fs, binding, at, 0, from, end - at * BLK);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* ---- reading ---- */

/*
 * What else to read when this run misses the cache: the windows around a small file; of a large
 * one what follows, if it is read in order or in large pieces.
 */
static void read_ahead(struct cffs *fs, struct cffs_inode *inode, const struct cffs_run *run,
		       uint64_t off, uint64_t len)
{
	uint64_t count = blocks_up(off % BLK + len);

	if (inode->b.blocks <= CFFS_SMALL) {
		if (!(fs->params.options & CFFS_O_NO_GROUP))
			cffs_ahead_group(fs, run->start);
		return;
	}
	if (atomic_exchange(&inode->next_read, off + len) == off)
		count = max64(count, AHEAD_LARGE);
	if (count > 1)
		xn_prefetch(fs->libfs.session, run->start, run->start,
			    min64(count, XN_PREFETCH_MAX));
}

static int read_mapped(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint8_t *to,
		       uint64_t len)
{
	int err = 0;

	while (len > 0 && !err) {
		struct cffs_run run;
		uint64_t n;

		err = cffs_map(fs, inode, off / BLK, blocks_up(off % BLK + len), &run);
		if (err)
			break;
		n = run_bytes(&run, off, len);
		if (run.start && run.class == CFFS_CLASS_DATA) {
			read_ahead(fs, inode, &run, off, n);
			err = run_read(fs, &run, off % BLK, to, n);
		} else {
			memset(to, 0, n);
		}
		run_put(fs, &run);
		off += n;
		to += n;
		len -= n;
	}
	return err;
}

static bool is_small(const struct cffs_inode *inode)
{
	const struct cffs_slot *slot = &inode->b.slot[0];

	return slot->class == CFFS_CLASS_DATA && slot->logical == 0 && slot->count <= CFFS_SMALL &&
	       inode->b.blocks == slot->count;
}

/* Of a small file, through a binding that stays.  1: not so; it may be stale, or the cache full. */
static int read_small(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint8_t *to,
		      uint64_t len)
{
	struct cffs_run run = { .start = inode->b.slot[0].start, .count = inode->b.slot[0].count };
	xn_binding_t binding;
	int err;

	if (off + len > run.count * BLK)
		return 1;
	pthread_mutex_lock(&fs->lock);
	binding = inode->bound;
	pthread_mutex_unlock(&fs->lock);
	if (binding && xn_read(fs->libfs.session, binding, off, to, len) == 0)
		return 0;
	if (binding)
		cffs_unbind(fs, inode);
	err = cffs_inode_owner(fs, inode, &run.owner, &run.record);
	if (err)
		return err;
	read_ahead(fs, inode, &run, 0, BLK);
	err = run_bind(fs, &run, &binding);
	run_put(fs, &run);
	if (err)
		return 1;
	err = xn_read(fs->libfs.session, binding, off, to, len);
	if (err)
		xn_unbind(fs->libfs.session, binding);
	else
		bound_keep(fs, inode, binding);
	return err != 0;
}

static int read_bytes(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint8_t *to,
		      uint64_t len)
{
	int err = is_small(inode) ? read_small(fs, inode, off, to, len) : 1;

	if (err <= 0)
		return err;
	if (is_mapped(inode))
		return read_mapped(fs, inode, off, to, len);
	memset(to, 0, len);
	if (off < inode->b.inline_len)
		memcpy(to, inode->b.inline_data + off, min64(len, inode->b.inline_len - off));
	return 0;
}

/* ---- the inode's part ---- */

static void set_size(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	pthread_mutex_lock(&fs->lock);
	if (inode->b.size != size) {
		inode->b.size = size;
		cffs_inode_dirty(fs, inode);
	}
	pthread_mutex_unlock(&fs->lock);
}

/* Times, and: who writes another's program makes it an ordinary one. */
static void touch_changed(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx)
{
	pthread_mutex_lock(&fs->lock);
	inode->a.mtime = inode->a.ctime = ctx->now;
	inode->a.mode = libfs_mode_written(inode->a.mode, ctx->cred);
	cffs_inode_dirty(fs, inode);
	pthread_mutex_unlock(&fs->lock);
}

static int body_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body)
{
	unsigned tries = 0;
	int err;

	do
		err = cffs_inode_write(fs, inode, body, NULL);
	while (err && cffs_retry(fs, err, &tries));
	return err;
}

/* ---- inline ---- */

/* 1: it does not fit, nothing was done. */
static int write_inline(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			const uint8_t *from, uint64_t len, uint64_t size)
{
	uint32_t max = min64(fs->params.inline_max, CFFS_INLINE_MAX);
	struct cffs_body body = inode->b;
	int err;

	if (size > max || is_mapped(inode))
		return 1;
	if (size > body.inline_len)
		memset(body.inline_data + body.inline_len, 0, size - body.inline_len);
	if (len)
		memcpy(body.inline_data + off, from, len);
	body.inline_len = (uint8_t)size;
	body.size = size;
	err = body_write(fs, inode, &body);
	return err == -ENOSPC ? 1 : err;
}

static int take_blocks(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
		       uint64_t want, struct cffs_run *run);

/* The bytes in the entry get a block. (cffs_map_add empties the entry in the same update.) */
static int leave_inline(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_body old = inode->b;
	struct cffs_run run;
	int err;

	if (!old.inline_len)
		return 0;
	err = take_blocks(fs, inode, CFFS_CLASS_DATA, 0, 1, &run);
	if (err)
		return err;
	err = run_write_new(fs, &run, 0, old.inline_data, old.inline_len);
	run_put(fs, &run);
	note_dirty(inode->file, 0, 1);
	if (err && cffs_map_remove(fs, inode, 0, 1) == 0)
		body_write(fs, inode, &old);
	return err;
}

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
	err = read_mapped(fs, inode, 0, bytes, have * BLK);
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
		err = run_write_new(fs, &run, 0, bytes, have * BLK);
		run_put(fs, &run);
		note_dirty(inode->file, 0, have);
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
	    slot->count <= CFFS_SMALL && inode->b.blocks == slot->count && file_of(inode)) {
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
static int take_blocks(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
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
	err = run_read(fs, &run, size % BLK, bytes, len);
	if (err || (is_zero(bytes, len) && !inode->file->tail_cut))
		goto put_run;
	memset(bytes, 0, len);
	err = run_write(fs, &run, size % BLK, bytes, len);
	note_dirty(inode->file, size / BLK, size / BLK + 1);
	if (!err)
		err = order_after(fs, inode, run.start);
put_run:
	run_put(fs, &run);
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
		run_put(fs, &run);
		if (run.start && run.class == CFFS_CLASS_DATA)
			err = cffs_map_remove(fs, inode, at, at + run.count);
		at += run.count;
	}
	inode->file->end_looked |= !err;
	return err;
}

/* The end is about to move up to `to`, and bytes to be written from `off` on. */
static int end_uncover(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t to)
{
	uint64_t size = inode->b.size;
	int err = 0;

	if (to <= size || !is_mapped(inode))
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
		n = run_bytes(&run, off, len);
		err = run_write_new(fs, &run, off % BLK, from, n);
		run_put(fs, &run);
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
	*done = run_bytes(&run, off, len);
	if (run.start) {
		bool data = run.class == CFFS_CLASS_DATA;

		err = data ? run_overwrite(fs, &run, off % BLK, from, *done,
					   off + *done >= inode->b.size)
			   : 0;
		run_put(fs, &run);
		return data || err ? err : write_unwritten(fs, inode, off, from, *done);
	}
	err = take_blocks(fs, inode, CFFS_CLASS_DATA, logical, run.count, &run);
	if (err)
		return err;
	*done = run_bytes(&run, off, len);
	err = run_write_new(fs, &run, off % BLK, from, *done);
	run_put(fs, &run);
	if (err)
		cffs_map_remove(fs, inode, logical, logical + run.count);
	return err;
}

static ssize_t write_mapped(struct cffs *fs, struct cffs_inode *inode, uint64_t off,
			    const uint8_t *from, uint64_t len)
{
	uint64_t old = inode->b.size, done = 0;
	int err = end_uncover(fs, inode, off, off + len);

	/* The entry that gets the blocks shall get the size with them. */
	if (!err && off + len > old) {
		set_size(fs, inode, off + len);
		inode->file->entry_due = true;
	}
	while (!err && done < len) {
		uint64_t n = 0;

		err = write_piece(fs, inode, off + done, from + done, len - done, &n);
		if (!err)
			done += n;
	}
	if (done < len && off + len > old)
		set_size(fs, inode, done ? max64(old, off + done) : old);
	if (done)
		note_dirty(inode->file, off / BLK, blocks_up(off + done));
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
	err = leave_inline(fs, inode);
	return err ? err : write_mapped(fs, inode, off, from, len);
}

/* Zeroes over [off, end) where there is data. */
static int zero_data(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t end)
{
	static const uint8_t zeroes[BLK];
	int err = 0;

	while (off < end && !err) {
		struct cffs_run run;
		uint64_t n;

		err = cffs_map(fs, inode, off / BLK, 1, &run);
		if (err)
			break;
		n = run_bytes(&run, off, end - off);
		if (run.start && run.class == CFFS_CLASS_DATA) {
			err = run_write(fs, &run, off % BLK, zeroes, n);
			note_dirty(inode->file, off / BLK, off / BLK + 1);
		}
		run_put(fs, &run);
		off += n;
	}
	return err;
}

/* ---- sizing ---- */

static int shrink(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	uint64_t old = inode->b.size;
	int err = 0;

	if (size % BLK && size < old) {
		err = zero_data(fs, inode, size, min64(old, blocks_up(size) * BLK));
		inode->file->tail_cut = true;
	}
	if (err)
		return err;
	set_size(fs, inode, size);
	return cffs_map_remove(fs, inode, blocks_up(size), CFFS_LOGICAL_END);
}

int cffs_file_resize(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	int err;

	if (size > SIZE_MAX_B)
		return -EFBIG;
	if (!file_of(inode))
		return -ENOMEM;
	inode->file->entry_due = true;
	if (!is_mapped(inode)) {
		if (size < inode->b.inline_len) {
			struct cffs_body body = inode->b;

			body.inline_len = (uint8_t)size;
			body.size = size;
			return body_write(fs, inode, &body);
		}
		err = inode->b.inline_len ? write_inline(fs, inode, 0, NULL, 0, size) : 1;
		if (err <= 0)
			return err;
		err = leave_inline(fs, inode);
		if (err)
			return err;
	}
	/* The same size again gives back what was set aside behind it. */
	if (size <= inode->b.size)
		return is_mapped(inode) ? shrink(fs, inode, size) : (set_size(fs, inode, size), 0);
	err = end_uncover(fs, inode, size, size);
	if (!err)
		set_size(fs, inode, size);
	return err;
}

int cffs_file_put(struct cffs *fs, struct cffs_inode *inode, const void *bytes, size_t len)
{
	ssize_t n;

	if (!file_of(inode))
		return -ENOMEM;
	n = write_bytes(fs, inode, 0, bytes, len);
	return n < 0 ? (int)n : (size_t)n < len ? XN_ENOSPACE : 0;
}

int cffs_file_get(struct cffs *fs, struct cffs_inode *inode, void *bytes, size_t len)
{
	return read_bytes(fs, inode, 0, bytes, len);
}

/* ---- fallocate ---- */

/* Runs of a file that got blocks in this call. */
struct filled {
	struct {
		uint64_t at, count;
	} * runs;
	size_t n;
};

static int filled_note(struct filled *filled, uint64_t at, uint64_t count)
{
	void *more;

	if (filled->n && filled->runs[filled->n - 1].at + filled->runs[filled->n - 1].count == at) {
		filled->runs[filled->n - 1].count += count;
		return 0;
	}
	more = realloc(filled->runs, (filled->n + 1) * sizeof(*filled->runs));
	if (!more)
		return -ENOMEM;
	filled->runs = more;
	filled->runs[filled->n].at = at;
	filled->runs[filled->n++].count = count;
	return 0;
}

/* The next hole of [first, last), or what is none; *count tells how long it was. */
static int fill_next(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last,
		     struct filled *filled, uint64_t *count)
{
	struct cffs_run run;
	int err = cffs_map(fs, inode, first, last - first, &run);

	bool hole = !err && !run.start;

	if (hole)
		err = take_blocks(fs, inode, CFFS_CLASS_UNWR, first, run.count, &run);
	if (err)
		return err;
	*count = run.count;
	run_put(fs, &run);
	err = hole ? filled_note(filled, first, *count) : 0;
	if (err)
		cffs_map_remove(fs, inode, first, first + *count);
	return err;
}

/* Every hole of blocks [first, last) gets unwritten blocks, or none does. */
static int fill_holes(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last)
{
	struct filled filled = { 0 };
	uint64_t count = 0;
	int err = 0;

	for (; first < last && !err; first += count)
		err = fill_next(fs, inode, first, last, &filled, &count);
	for (size_t i = 0; err && i < filled.n; i++)
		cffs_map_remove(fs, inode, filled.runs[i].at,
				filled.runs[i].at + filled.runs[i].count);
	free(filled.runs);
	return err;
}

/* Zeroes in [off, end): blocks that lie wholly inside become holes, or unwritten. */
static int zero_range(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t end,
		      bool punch)
{
	uint64_t first = blocks_up(off), last = end / BLK;
	int err;

	inode->file->entry_due = true;
	if (first > last)
		return zero_data(fs, inode, off, end);
	err = zero_data(fs, inode, off, first * BLK);
	if (!err)
		err = zero_data(fs, inode, last * BLK, end);
	if (err || first == last)
		return err;
	if (punch)
		return cffs_map_remove(fs, inode, first, last);
	return cffs_map_class(fs, inode, first, last, CFFS_CLASS_UNWR);
}

static int falloc_check(const struct cffs_inode *inode, uint32_t mode, uint64_t off, uint64_t len)
{
	if (cffs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->type))
		return -ENODEV;
	if (len == 0)
		return -EINVAL;
	if (off > SIZE_MAX_B || len > SIZE_MAX_B - off)
		return -EFBIG;
	if (mode & ~(LIBFS_FALLOC_KEEP_SIZE | LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((mode & LIBFS_FALLOC_PUNCH_HOLE) &&
	    (!(mode & LIBFS_FALLOC_KEEP_SIZE) || (mode & LIBFS_FALLOC_ZERO_RANGE)))
		return -EOPNOTSUPP;
	return 0;
}

/* A file in its entry: zero bytes there, or leave it.  1: go on, the file is mapped or empty. */
static int falloc_inline(struct cffs *fs, struct cffs_inode *inode, uint32_t mode, uint64_t off,
			 uint64_t end)
{
	struct cffs_body body = inode->b;
	int err;

	if (!body.inline_len)
		return 1;
	if (mode & (LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE)) {
		if (off < body.inline_len)
			memset(body.inline_data + off, 0, min64(end, body.inline_len) - off);
		err = body_write(fs, inode, &body);
		if (err)
			return err;
	}
	if ((mode & LIBFS_FALLOC_PUNCH_HOLE) || end <= body.inline_len)
		return 0;
	err = leave_inline(fs, inode);
	return err ? err : 1;
}

static int falloc_locked(struct cffs *fs, struct cffs_inode *inode, uint32_t mode, uint64_t off,
			 uint64_t len)
{
	uint64_t end = off + len;
	bool grow = !(mode & LIBFS_FALLOC_KEEP_SIZE) && end > inode->b.size;
	int err = falloc_inline(fs, inode, mode, off, end);

	if (err <= 0)
		return err;
	err = grow ? end_uncover(fs, inode, end, end) : 0;
	if (!err && (mode & (LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE)))
		err = zero_range(fs, inode, off, end, mode & LIBFS_FALLOC_PUNCH_HOLE);
	if (!err && !(mode & LIBFS_FALLOC_PUNCH_HOLE))
		err = fill_holes(fs, inode, off / BLK, blocks_up(end));
	if (!err && grow)
		set_size(fs, inode, end);
	return err;
}

int cffs_fallocate(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mode,
		   uint64_t offset, uint64_t len)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	pthread_rwlock_wrlock(&inode->lock);
	err = falloc_check(inode, mode, offset, len);
	if (!err && !file_of(inode))
		err = -ENOMEM;
	if (!err) {
		pthread_rwlock_rdlock(&fs->gate);
		err = falloc_locked(fs, inode, mode, offset, len);
		pthread_rwlock_unlock(&fs->gate);
		if (!err)
			touch_changed(fs, inode, ctx);
	}
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}

/* ---- seek ---- */

static int seek_locked(struct cffs *fs, struct cffs_inode *inode, uint64_t off, bool data,
		       uint64_t *found)
{
	uint64_t size = inode->b.size, at = off / BLK, end = blocks_up(size);
	int err = 0;

	if (off >= size)
		return -ENXIO;
	if (inode->b.inline_len) {
		*found = data ? off : size;
		return 0;
	}
	while (at < end) {
		struct cffs_run run;
		bool is_data;

		err = cffs_map(fs, inode, at, end - at, &run);
		if (err)
			return err;
		is_data = run.start && run.class == CFFS_CLASS_DATA;
		run_put(fs, &run);
		if (is_data == data)
			break;
		at += run.count;
	}
	if (at >= end && data)
		return -ENXIO;
	*found = min64(max64(at * BLK, off), size);
	return 0;
}

off_t cffs_seek(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t offset,
		int whence)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	uint64_t found = 0;
	int err;

	(void)ctx;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	err = cffs_inode_get(fs, ino, &inode);
	if (err)
		return cffs_errno(err);
	pthread_rwlock_rdlock(&inode->lock);
	err = cffs_is_dir(inode)     ? -EISDIR
	      : S_ISREG(inode->type) ? seek_locked(fs, inode, offset, whence == SEEK_DATA, &found)
				     : -EINVAL;
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return err ? cffs_errno(err) : (off_t)found;
}

/* ---- extents ---- */

static ssize_t extents_locked(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t len,
			      struct libfs_extent *out, size_t max)
{
	uint64_t end = min64(inode->b.size, off + len), at = off / BLK;
	size_t n = 0;

	if (off >= end || max == 0)
		return 0;
	if (inode->b.inline_len) {
		out[0] = (struct libfs_extent){ .len = inode->b.size, .place = LIBFS_NOWHERE };
		return 1;
	}
	while (at < blocks_up(end) && n < max) {
		struct cffs_run run;
		int err = cffs_map(fs, inode, at, blocks_up(end) - at, &run);

		if (err)
			return err;
		if (run.start)
			out[n++] = (struct libfs_extent){
				.offset = at * BLK,
				.len = run.count * BLK,
				.place = run.start * BLK,
				.flags = run.class == CFFS_CLASS_DATA ? 0 : LIBFS_EXTENT_UNWRITTEN,
			};
		at += run.count;
		run_put(fs, &run);
	}
	return (ssize_t)n;
}

ssize_t cffs_extents(struct libfs *libfs, libfs_ino_t ino, uint64_t offset, uint64_t len,
		     struct libfs_extent *out, size_t max)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	ssize_t n = cffs_inode_get(fs, ino, &inode);

	if (n)
		return cffs_errno((int)n);
	pthread_rwlock_rdlock(&inode->lock);
	n = cffs_is_dir(inode)     ? -EISDIR
	    : S_ISREG(inode->type) ? extents_locked(fs, inode, offset, len, out, max)
				   : -EINVAL;
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}

/* ---- read, write ---- */

static int io_check(const struct cffs_inode *inode)
{
	return cffs_is_dir(inode) ? -EISDIR : S_ISREG(inode->type) ? 0 : -EINVAL;
}

ssize_t cffs_read(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  uint64_t handle, uint64_t offset, void *buffer, size_t len)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	(void)handle;
	if (err)
		return cffs_errno(err);
	pthread_rwlock_rdlock(&inode->lock);
	err = io_check(inode);
	if (!err) {
		len = offset < inode->b.size ? min64(len, inode->b.size - offset) : 0;
		err = len ? read_bytes(fs, inode, offset, buffer, len) : 0;
	}
	pthread_rwlock_unlock(&inode->lock);
	if (!err && len)
		cffs_accessed(fs, inode, ctx->now);
	cffs_inode_put(fs, inode);
	return err ? cffs_errno(err) : (ssize_t)len;
}

static ssize_t write_locked(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *inode,
			    uint64_t off, const void *bytes, size_t len)
{
	struct cffs_attr before_it;
	ssize_t n = io_check(inode);

	if (n || len == 0)
		return n;
	if (off >= SIZE_MAX_B)
		return -EFBIG;
	len = min64(len, SIZE_MAX_B - off);
	if (!file_of(inode))
		return -ENOMEM;
	pthread_mutex_lock(&fs->lock);
	before_it = inode->a;
	pthread_mutex_unlock(&fs->lock);
	touch_changed(fs, inode, ctx);
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

/* ---- durable ---- */

int cffs_file_writeback(struct cffs *fs, struct cffs_inode *inode)
{
	(void)fs;
	(void)inode; /* truth (2): bytes reach XN in write() */
	return 0;
}

struct extents {
	struct xn_extent *v;
	uint32_t n, max;
};

static int extents_add(struct extents *list, xn_blk_t start, uint64_t count)
{
	if (list->n == list->max) {
		uint32_t max = list->max ? list->max * 2 : 16;
		struct xn_extent *v = realloc(list->v, max * sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->max = max;
	}
	list->v[list->n++] = (struct xn_extent){ .start = start, .count = count, .type = XN_DATA };
	return 0;
}

static int dirty_extents(struct cffs *fs, struct cffs_inode *inode, const struct range *range,
			 struct extents *list)
{
	uint64_t last = min64(range->last, blocks_up(inode->b.size));
	int err = 0;

	for (uint64_t at = range->first; at < last && !err;) {
		struct cffs_run run;

		err = cffs_map(fs, inode, at, min64(last - at, XN_UPDATE_BLOCKS_MAX), &run);
		if (err)
			break;
		if (run.start && run.class == CFFS_CLASS_DATA)
			err = extents_add(list, run.start, run.count);
		run_put(fs, &run);
		at += run.count;
	}
	return err;
}

/* What must be stable: the data written, and the object that the name lies in. */
static int fsync_collect(struct cffs *fs, struct cffs_inode *inode, bool data_only,
			 struct extents *list)
{
	struct cffs_file *file = inode->file;
	struct cffs_hold *owner;
	uint32_t record;
	int err = 0;

	for (uint32_t i = 0; i < file->n_dirty && !err; i++)
		err = dirty_extents(fs, inode, &file->dirty[i], list);
	if (err || (data_only && !file->entry_due))
		return err;
	err = cffs_inode_flush(fs, inode);
	if (!err)
		err = cffs_inode_owner(fs, inode, &owner, &record);
	if (err)
		return err;
	err = extents_add(list, owner->object, 1);
	cffs_hold_put(fs, owner);
	return err;
}

static int fsync_locked(struct cffs *fs, struct cffs_inode *inode, bool data_only)
{
	struct extents list = { 0 };
	int err = file_of(inode) ? fsync_collect(fs, inode, data_only, &list) : -ENOMEM;

	if (!err && list.n)
		err = cffs_commit(fs, list.v, list.n);
	free(list.v);
	if (!err) {
		inode->file->n_dirty = 0;
		inode->file->tail_cut = inode->file->entry_due = false;
	}
	return err;
}

int cffs_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	if (!S_ISREG(inode->type) || inode->dir == fs->xdir || inode->dir == fs->odir) {
		/* Its names are elsewhere. */
		err = cffs_sync(fs);
	} else {
		pthread_rwlock_wrlock(&inode->lock);
		err = fsync_locked(fs, inode, data_only);
		pthread_rwlock_unlock(&inode->lock);
	}
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}
