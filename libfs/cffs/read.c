/* SPDX-License-Identifier: MIT */
/*
 * Reading: bytes, holes and places.
 *
 *  (1) Truth (7) of file.c is kept here: the data of the small files read last stay bound.
 *  (2) Reading ahead is a hint, and failing at it only slower.
 */
#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slots.h"

#define AHEAD_LARGE 128u /* blocks */

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

int cffs_read_mapped(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint8_t *to,
		     uint64_t len)
{
	int err = 0;

	while (len > 0 && !err) {
		struct cffs_run run;
		uint64_t n;

		err = cffs_map(fs, inode, off / BLK, blocks_up(off % BLK + len), &run);
		if (err)
			break;
		n = cffs_run_bytes(&run, off, len);
		if (run.start && run.class == CFFS_CLASS_DATA) {
			read_ahead(fs, inode, &run, off, n);
			err = cffs_run_read(fs, &run, off % BLK, to, n);
		} else {
			memset(to, 0, n);
		}
		cffs_run_put(fs, &run);
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
	err = cffs_run_bind(fs, &run, &binding);
	cffs_run_put(fs, &run);
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
	if (cffs_is_mapped(inode))
		return cffs_read_mapped(fs, inode, off, to, len);
	memset(to, 0, len);
	if (off < inode->b.inline_len)
		memcpy(to, inode->b.inline_data + off, min64(len, inode->b.inline_len - off));
	return 0;
}

int cffs_file_get(struct cffs *fs, struct cffs_inode *inode, void *bytes, size_t len)
{
	return read_bytes(fs, inode, 0, bytes, len);
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
	err = cffs_io_check(inode);
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
		cffs_run_put(fs, &run);
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
		cffs_run_put(fs, &run);
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
	/* A long target lies in data blocks, too. */
	n = cffs_is_dir(inode) ? -EISDIR
	    : S_ISREG(inode->type) || S_ISLNK(inode->type)
		    ? extents_locked(fs, inode, offset, len, out, max)
		    : -EINVAL;
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}
