/* SPDX-License-Identifier: MIT */
/*
 * Making an index, loading it, giving it up.
 *
 *  (1) A new index is made of blocks that the disk does not know, so it appears there
 *      whole, with all names that memory had; names that come later wait for their
 *      buckets (index.c).
 *  (2) One is given up by its head first.  When that is stable, its blocks go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index.h"

#define FILL       160u /* hints of a bucket of a new index */
#define REMOVE_MAX 64u

static struct cffs_index *index_new(struct cffs_inode *dir)
{
	struct cffs_index *index = calloc(1, sizeof(*index));

	dir->d->index = index;
	return index;
}

static int write_block(struct cffs *fs, const struct cffs_hold *hold, const uint8_t *bytes)
{
	unsigned tries = 0;
	int err;

	do {
		pthread_mutex_lock(&fs->lock);
		err = cffs_index_edit(fs, hold, 0, bytes, CFFS_BLOCK);
		pthread_mutex_unlock(&fs->lock);
	} while (err && cffs_retry(fs, err, &tries));
	return err;
}

/* All names in memory, in the bucket that each is of. */
static int images_make(const struct cffs_inode *dir, uint32_t buckets, uint8_t **out)
{
	const struct cffs_names *names = &dir->d->names;
	uint8_t *images = calloc(buckets, CFFS_BLOCK);

	if (!images)
		return -ENOMEM;
	for (uint32_t i = 0; i < names->cap; i++) {
		uint8_t *image;
		int s;

		if (!names->v[i].at)
			continue;
		image = images + cffs_bucket_of(names->v[i].hash, buckets) * (size_t)CFFS_BLOCK;
		if (cffs_hint_sector(image, &names->v[i]) >= 0)
			continue;
		s = cffs_hint_room(image, names->v[i].hash);
		if (s < 0) {
			free(images);
			return -ENOSPC;
		}
		cffs_hint_add(image + s * CFFS_SECTOR, dir->a.ino, &names->v[i]);
	}
	*out = images;
	return 0;
}

static int buckets_write(struct cffs *fs, struct cffs_inode *dir, uint32_t buckets,
			 const uint8_t *images)
{
	struct cffs_index *index = dir->d->index;
	int err = 0;

	for (uint32_t i = 0; i < buckets && !err; i++) {
		struct cffs_hold *hold;

		err = cffs_index_hold(fs, dir, 1 + i, &hold);
		if (err)
			return err;
		err = write_block(fs, hold, images + i * (size_t)CFFS_BLOCK);
		if (!err)
			err = xn_after(fs->libfs.session, index->head->object, hold->object);
		cffs_hold_put(fs, hold);
	}
	return err;
}

static int fill(struct cffs *fs, struct cffs_inode *dir, uint32_t buckets)
{
	struct cffs_index *index = dir->d->index;
	uint8_t *images = NULL;
	int err = images_make(dir, buckets, &images);

	if (!err)
		err = cffs_index_hold(fs, dir, 0, &index->head);
	if (!err)
		err = buckets_write(fs, dir, buckets, images);
	free(images);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = cffs_index_edit_head(fs, dir, buckets);
	pthread_mutex_unlock(&fs->lock);
	if (err)
		return err;
	index->n = index->n_stable = buckets;
	index->usable = index->blocks;
	/* The disk will know all of this, or nothing; but who looks at it now waits for the head. */
	index->changed_at = atomic_load(&fs->sync_begun);
	return 0;
}

/* Where the first `keep` blocks are is known; of the others, no more. */
static void runs_cut(struct cffs *fs, struct cffs_index *index, uint32_t keep)
{
	pthread_mutex_lock(&fs->lock);
	for (uint32_t k = index->n_runs; k-- > 0;) {
		struct cffs_index_run *run = &index->runs[k];

		while (run->count && run->first + run->count > keep)
			cffs_hold_drop_locked(fs, run->start + --run->count);
		if (!run->count)
			*run = index->runs[--index->n_runs];
	}
	pthread_mutex_unlock(&fs->lock);
}

/* XN asks the template of an object that is freed, so its bytes must be there. */
static int some_remove(struct cffs *fs, struct cffs_inode *dir, uint32_t first, uint32_t last)
{
	struct cffs_hold *hold[REMOVE_MAX];
	uint32_t held = 0;
	int err = 0;

	for (uint32_t i = first; i < last && !err; i++) {
		err = cffs_index_hold(fs, dir, i, &hold[held]);
		held += !err;
	}
	if (!err)
		err = cffs_map_remove(fs, dir, CFFS_INDEX_BASE + first, CFFS_INDEX_BASE + last);
	while (held-- > 0)
		cffs_hold_put(fs, hold[held]);
	return err;
}

/* From the end on, so that what is left begins at the head. */
static int blocks_remove(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	int err = 0;

	while (index->blocks && !err) {
		uint32_t n = index->blocks, to = n > REMOVE_MAX ? n - REMOVE_MAX : 0;

		err = some_remove(fs, dir, to, n);
		if (!err)
			index->blocks = to;
	}
	if (!err)
		runs_cut(fs, index, 0);
	return err;
}

static int count_blocks(struct cffs *fs, struct cffs_inode *dir, uint32_t *blocks)
{
	struct cffs_run run = { .start = 1 };
	int err = 0;

	for (*blocks = 0; run.start && !err;) {
		err = cffs_map(fs, dir, CFFS_INDEX_BASE + *blocks, CFFS_DIR_MAX, &run);
		if (err)
			break;
		cffs_hold_put(fs, run.owner);
		if (run.start)
			*blocks += (uint32_t)run.count;
	}
	return err;
}

int cffs_index_trim(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	uint32_t keep, n;
	int err = 0;

	cffs_index_refresh(fs, index);
	keep = index->n + 1 + index->n / 2 + CFFS_INDEX_MIN;
	if (!cffs_index_is_settled(fs, index) || index->usable < index->blocks ||
	    index->blocks < keep + CFFS_INDEX_MIN)
		return 0;
	while (index->blocks > keep && !err) {
		n = index->blocks - keep > REMOVE_MAX ? index->blocks - REMOVE_MAX : keep;
		err = some_remove(fs, dir, n, index->blocks);
		if (!err)
			index->blocks = index->usable = n;
	}
	runs_cut(fs, index, index->blocks);
	return err;
}

int cffs_index_build(struct cffs *fs, struct cffs_inode *dir)
{
	uint32_t buckets = dir->d->names.n / FILL + 1, want = 2 * buckets;
	struct cffs_index *index = index_new(dir);
	int err = index ? count_blocks(fs, dir, &index->blocks) : -ENOMEM;

	if (!err)
		err = blocks_remove(fs, dir); /* of one that was not finished, or is given up */
	if (!err)
		err = cffs_index_grow(fs, dir, want < CFFS_INDEX_MIN ? CFFS_INDEX_MIN : want);
	if (!err && index->blocks < 1 + buckets)
		err = -ENOSPC;
	if (!err)
		err = fill(fs, dir, buckets);
	if (err && index) {
		cffs_hold_put(fs, index->head);
		index->head = NULL;
		(void)blocks_remove(fs, dir);
		cffs_index_free(fs, dir->d);
	}
	return err;
}

int cffs_index_drop(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	int err;

	/* First nobody relies on it any more, then it goes. */
	pthread_mutex_lock(&fs->lock);
	err = cffs_index_edit_head(fs, dir, 0);
	pthread_mutex_unlock(&fs->lock);
	if (!err)
		err = cffs_index_settle(fs, index);
	if (err) {
		pthread_mutex_lock(&fs->lock);
		(void)cffs_index_edit_head(fs, dir, index->n);
		index->changed_at = atomic_load(&fs->sync_begun);
		pthread_mutex_unlock(&fs->lock);
		return err;
	}
	cffs_hold_put(fs, index->head);
	index->head = NULL;
	/* What cannot be given back now is so when an index is made again, or fsck says it. */
	(void)blocks_remove(fs, dir);
	cffs_index_free(fs, dir->d);
	return 0;
}

/* ---- loading ---- */

int cffs_index_load(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index;
	uint32_t blocks;
	int err = count_blocks(fs, dir, &blocks);

	if (err || !blocks)
		return err;
	index = index_new(dir);
	if (!index)
		return -ENOMEM;
	index->blocks = index->usable = blocks;
	err = cffs_index_hold(fs, dir, 0, &index->head);
	if (!err) {
		pthread_mutex_lock(&fs->lock);
		index->n = index->n_stable = cffs_head_decode(index->head->bytes, dir->a.ino);
		pthread_mutex_unlock(&fs->lock);
		if (index->n >= blocks)
			err = XN_EDAMAGED;
	}
	if (!err && index->n)
		return 1;
	cffs_index_free(fs, dir->d);
	return err;
}

uint32_t cffs_index_blocks(const struct cffs_dir *d)
{
	return d->index ? d->index->blocks : 0;
}

void cffs_index_free(struct cffs *fs, struct cffs_dir *d)
{
	struct cffs_index *index = d->index;

	if (!index)
		return;
	cffs_hold_put(fs, index->head);
	free(index->runs);
	free(index->stale);
	free(index);
	d->index = NULL;
}

void cffs_index_forget(struct cffs *fs, struct cffs_dir *d)
{
	if (d->index)
		runs_cut(fs, d->index, 0);
	cffs_index_free(fs, d);
}
