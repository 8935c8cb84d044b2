/* SPDX-License-Identifier: MIT */
/*
 * fallocate(2): blocks set aside, holes punched, ranges zeroed.
 *
 *  (1) Blocks set aside are unwritten (UNWR): owned, unreadable, read as zeroes.
 *  (2) Setting aside fails as a whole: what it took until then is given back.
 */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
		err = cffs_take_blocks(fs, inode, CFFS_CLASS_UNWR, first, run.count, &run);
	if (err)
		return err;
	*count = run.count;
	cffs_run_put(fs, &run);
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

	if (first > last)
		return cffs_zero_data(fs, inode, off, end);
	err = cffs_zero_data(fs, inode, off, first * BLK);
	if (!err)
		err = cffs_zero_data(fs, inode, last * BLK, end);
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
		err = cffs_body_write(fs, inode, &body);
		if (err)
			return err;
	}
	if ((mode & LIBFS_FALLOC_PUNCH_HOLE) || end <= body.inline_len)
		return 0;
	err = cffs_leave_inline(fs, inode);
	return err ? err : 1;
}

static int falloc_locked(struct cffs *fs, struct cffs_inode *inode, uint32_t mode, uint64_t off,
			 uint64_t len)
{
	uint64_t end = off + len;
	bool grow = !(mode & LIBFS_FALLOC_KEEP_SIZE) && end > inode->b.size;
	int err;

	/* The size alone may change, over blocks that are there, or bytes that lie in the entry. */
	inode->file->entry_due = true;
	err = falloc_inline(fs, inode, mode, off, end);
	if (err <= 0)
		return err;
	err = grow ? cffs_end_uncover(fs, inode, end, end) : 0;
	if (!err && (mode & (LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE)))
		err = zero_range(fs, inode, off, end, mode & LIBFS_FALLOC_PUNCH_HOLE);
	if (!err && !(mode & LIBFS_FALLOC_PUNCH_HOLE))
		err = fill_holes(fs, inode, off / BLK, blocks_up(end));
	if (!err && grow)
		cffs_set_size(fs, inode, end);
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
	if (!err && !cffs_file_of(inode))
		err = -ENOMEM;
	if (!err) {
		pthread_rwlock_rdlock(&fs->gate);
		err = falloc_locked(fs, inode, mode, offset, len);
		pthread_rwlock_unlock(&fs->gate);
		if (!err)
			cffs_touch_changed(fs, inode, ctx);
	}
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}
