/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a file: what is kept of one in memory, and what makes it durable.
 * run.c, read.c, write.c and falloc.c have the rest; for all of them:
 *
 *  (1) A file is inline (all its bytes in the entry, no extent) or mapped.  It
 *      begins inline, and leaves that for good when it outgrows it; truncated to
 *      nothing it may begin again.
 *  (2) Blocks are taken when bytes are written, and written in the same call; so
 *      what write() acknowledged has its space.  XN keeps the entry's sector back
 *      until those bytes are stable: no file shows a block that was not written.
 *  (3) Bytes of a data block past the end of the file are zero, or will be before
 *      the end moves over them (cffs_end_uncover).  Data blocks wholly past the end are
 *      left by a crash only, and go when the end moves.
 *  (4) UNWR blocks are owned and unreadable, and read as zeroes.  A write of a part
 *      of one covers it whole.
 *  (5) A small file is one extent: if it cannot grow where it is, it moves.
 *  (6) What is dirty of a file is remembered as a few ranges, for fsync.
 *  (7) The data of the small files read last stay bound: reading them again is one
 *      call.  What changes an inode's extents lets go first, and XN refuses a
 *      binding whose blocks went, so a stale one is only slower.
 *
 * All functions of file.h are called with inode->lock held, for writing if they write.
 */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slots.h"

/* ---- what is kept of a file ---- */

/*
 * With inode->lock held for writing.  What was kept before the inode was evicted is not known any
 * more: all of it may be dirty.
 */
struct cffs_file *cffs_file_of(struct cffs_inode *inode)
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

void cffs_file_forget(struct cffs *fs, struct cffs_inode *inode)
{
	cffs_unbind(fs, inode);
	free(inode->file);
	inode->file = NULL;
}

/* Too many ranges become one. */
void cffs_file_note(struct cffs_file *file, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < file->n_dirty; i++) {
		struct cffs_range *range = &file->dirty[i];

		if (first > range->last || last < range->first)
			continue;
		range->first = min64(range->first, first);
		range->last = max64(range->last, last);
		return;
	}
	if (file->n_dirty < RANGES) {
		file->dirty[file->n_dirty++] = (struct cffs_range){ first, last };
		return;
	}
	for (uint32_t i = 0; i < file->n_dirty; i++) {
		first = min64(first, file->dirty[i].first);
		last = max64(last, file->dirty[i].last);
	}
	file->dirty[0] = (struct cffs_range){ first, last };
	file->n_dirty = 1;
}

bool cffs_is_mapped(const struct cffs_inode *inode)
{
	for (unsigned i = 0; i < inode->b.n_slots; i++)
		if (cffs_slot_maps(&inode->b.slot[i]) || inode->b.slot[i].class == CFFS_CLASS_NODE)
			return true;
	return false;
}

/* ---- the inode's part ---- */

void cffs_set_size(struct cffs *fs, struct cffs_inode *inode, uint64_t size)
{
	pthread_mutex_lock(&fs->lock);
	if (inode->b.size != size) {
		inode->b.size = size;
		cffs_inode_dirty(fs, inode);
	}
	pthread_mutex_unlock(&fs->lock);
}

/* Times, and: who writes another's program makes it an ordinary one. */
void cffs_touch_changed(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx)
{
	pthread_mutex_lock(&fs->lock);
	inode->a.mtime = inode->a.ctime = ctx->now;
	inode->a.mode = libfs_mode_written(inode->a.mode, inode->a.gid, ctx->cred);
	cffs_inode_dirty(fs, inode);
	pthread_mutex_unlock(&fs->lock);
}

int cffs_body_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body)
{
	unsigned tries = 0;
	int err;

	do
		err = cffs_inode_write(fs, inode, body, NULL);
	while (err && cffs_retry(fs, err, &tries));
	return err;
}

int cffs_io_check(const struct cffs_inode *inode)
{
	return cffs_is_dir(inode) ? -EISDIR : S_ISREG(inode->type) ? 0 : -EINVAL;
}

/* ---- durable ---- */

int cffs_file_writeback(struct cffs *fs, struct cffs_inode *inode)
{
	(void)fs;
	(void)inode; /* truth (2): bytes reach XN in write() */
	return 0;
}

/* So many owners are kept bound at once; more are made stable in several steps. */
#define OWNERS_HELD 32u

/* XN lets only those write back who have the owner bound: it stays so until that is done. */
struct extents {
	struct cffs *fs;
	struct xn_extent *v;
	uint32_t n, max, n_owners;
	struct cffs_hold *owner[OWNERS_HELD];
};

static int extents_commit(struct extents *list)
{
	int err = list->n ? cffs_commit(list->fs, list->v, list->n) : 0;

	while (list->n_owners > 0)
		cffs_hold_put(list->fs, list->owner[--list->n_owners]);
	list->n = 0;
	return err;
}

static void extents_fini(struct extents *list)
{
	list->n = 0;
	(void)extents_commit(list);
	free(list->v);
}

static int extents_grow(struct extents *list)
{
	uint32_t max = list->max ? list->max * 2 : 16;
	struct xn_extent *v;

	if (list->n < list->max)
		return 0;
	v = realloc(list->v, max * sizeof(*v));
	if (!v)
		return -ENOMEM;
	list->v = v;
	list->max = max;
	return 0;
}

/* Takes over one use of the owner, also when it fails. */
static int extents_add(struct extents *list, xn_blk_t start, uint64_t count,
		       struct cffs_hold *owner)
{
	int err = extents_grow(list);

	if (!err && list->n_owners == OWNERS_HELD)
		err = extents_commit(list);
	if (err || (list->n_owners && list->owner[list->n_owners - 1] == owner))
		cffs_hold_put(list->fs, owner);
	else
		list->owner[list->n_owners++] = owner;
	if (!err)
		list->v[list->n++] =
			(struct xn_extent){ .start = start, .count = count, .type = XN_DATA };
	return err;
}

static int dirty_extents(struct cffs *fs, struct cffs_inode *inode, const struct cffs_range *range,
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
			err = extents_add(list, run.start, run.count, run.owner);
		else
			cffs_run_put(fs, &run);
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
	return err ? err : extents_add(list, owner->object, 1, owner);
}

static int fsync_locked(struct cffs *fs, struct cffs_inode *inode, bool data_only)
{
	struct extents list = { .fs = fs };
	int err = cffs_file_of(inode) ? fsync_collect(fs, inode, data_only, &list) : -ENOMEM;

	if (!err)
		err = extents_commit(&list);
	extents_fini(&list);
	if (!err) {
		inode->file->n_dirty = 0;
		inode->file->tail_cut = inode->file->entry_due = false;
	}
	return err;
}

/* A file with several names: they are stable only when everything is. */
static int fsync_linked(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_file before = *inode->file;
	int err;

	/* What is written from now on is the next one's. */
	inode->file->n_dirty = 0;
	inode->file->entry_due = inode->file->tail_cut = false;
	pthread_rwlock_unlock(&inode->lock);
	err = cffs_sync(fs);
	pthread_rwlock_wrlock(&inode->lock);
	if (!err || !cffs_file_of(inode))
		return err;
	for (uint32_t i = 0; i < before.n_dirty; i++)
		cffs_file_note(inode->file, before.dirty[i].first, before.dirty[i].last);
	inode->file->entry_due |= before.entry_due;
	inode->file->tail_cut |= before.tail_cut;
	return err;
}

int cffs_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	if (!S_ISREG(inode->type)) {
		err = cffs_sync(fs);
	} else {
		pthread_rwlock_wrlock(&inode->lock);
		if (!cffs_file_of(inode))
			err = -ENOMEM;
		else if (inode->dir == fs->xdir && (!data_only || inode->file->entry_due))
			err = fsync_linked(fs, inode);
		else
			err = fsync_locked(fs, inode, data_only);
		pthread_rwlock_unlock(&inode->lock);
	}
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}
