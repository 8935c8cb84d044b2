/* SPDX-License-Identifier: MIT */
/*
 * Directories grow and shrink.
 *
 *  (1) Room is a hint that whoever edits the sector verifies.
 *  (2) Blocks at the end that are empty go, and 16 in a row anywhere: their place in
 *      the directory is used again, so that it stays below CFFS_DIR_MAX blocks.
 *  (3) What went from a large directory before it was loaded is not known; a part of
 *      it is looked at before the directory grows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dir.h"

#define GROW_MAX 16u

/* ---- room ---- */

static void hole_note(struct cffs_dir *d, uint32_t page)
{
	for (uint32_t i = 0; i < d->n_holes; i++)
		if (d->holes[i] == page)
			return;
	if (d->n_holes < CFFS_DIR_HOLES)
		d->holes[d->n_holes++] = page;
}

/* Learn what is in a page. */
static void look_at_page(struct cffs *fs, struct cffs_inode *dir, uint32_t page)
{
	uint32_t holes = 0;

	for (uint32_t i = 0; i < CFFS_DIR_PAGE; i++) {
		struct cffs_hold *hold;
		int err = cffs_dir_hold(fs, dir, page * CFFS_DIR_PAGE + i, &hold);

		if (!err)
			cffs_hold_put(fs, hold);
		holes += err == -ESTALE;
	}
	if (holes == CFFS_DIR_PAGE && (page + 1) * CFFS_DIR_PAGE <= dir->d->n_blocks)
		hole_note(dir->d, page);
}

/*
 * Names may have gone from any block before the directory was loaded: before it grows, a page is
 * looked at, the last one first and then one here and one there, until all have been.
 */
static bool look_further(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	uint32_t pages = d->old_blocks / CFFS_DIR_PAGE, range = 1;

	if (!d->lazy || !d->old_blocks)
		return false;
	while (range < pages)
		range *= 2;
	if (d->looked == 0) {
		d->looked = 1;
		look_at_page(fs, dir, (d->old_blocks - 1) / CFFS_DIR_PAGE);
		return true;
	}
	for (; d->looked <= range; d->looked++) {
		uint32_t page = d->looked * 2654435761u % range;

		if (page >= pages || page * CFFS_DIR_PAGE >= d->n_blocks)
			continue;
		d->looked++;
		look_at_page(fs, dir, page);
		return true;
	}
	d->old_blocks = 0;
	return false;
}

/* Blocks [first, first + want) or fewer; there are none.  dir->b.size is right already. */
static int grow_at(struct cffs *fs, struct cffs_inode *dir, uint32_t first, uint32_t want)
{
	struct xn_extent blocks;
	unsigned tries = 0;
	int err;

	do {
		err = cffs_place(fs, dir, dir, first, want, fs->type[CFFS_T_DIR], &blocks);
		if (!err)
			err = cffs_map_add(fs, dir, CFFS_CLASS_DIR, first, &blocks);
	} while (err && cffs_retry(fs, err, &tries));
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	/* What is not learned now is learned when it is used. */
	for (uint32_t i = 0; i < blocks.count; i++)
		(void)cffs_dirmap_learn(dir->d, first + i, blocks.start + i, NULL);
	if (first + blocks.count < dir->d->n_blocks && first + want == dir->d->n_blocks)
		cffs_dirmap_cut(dir->d, first + (uint32_t)blocks.count);
	dir->d->cursor = first / CFFS_DIR_PAGE;
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

static void set_size(struct cffs *fs, struct cffs_inode *dir, uint32_t blocks)
{
	pthread_mutex_lock(&fs->lock);
	dir->b.size = (uint64_t)blocks * CFFS_BLOCK;
	pthread_mutex_unlock(&fs->lock);
}

static int grow_end(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	uint32_t n = d->n_blocks, want = n ? n : 1;
	int err;

	if (want > GROW_MAX)
		want = GROW_MAX;
	if (n + want > CFFS_DIR_MAX)
		return -ENOSPC;
	pthread_mutex_lock(&fs->lock);
	err = cffs_dirmap_append(d, want);
	pthread_mutex_unlock(&fs->lock);
	if (err)
		return err;
	set_size(fs, dir, n + want);
	err = grow_at(fs, dir, n, want);
	if (err) {
		pthread_mutex_lock(&fs->lock);
		cffs_dirmap_cut(d, n);
		pthread_mutex_unlock(&fs->lock);
	}
	if (d->n_blocks < n + want)
		set_size(fs, dir, d->n_blocks);
	return err;
}

static int grow(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	if (!d->lazy && dir->b.blocks >= CFFS_DIR_SMALL && dir != fs->xdir && dir != fs->odir &&
	    cffs_index_build(fs, dir) == 0)
		cffs_dir_becomes_lazy(dir);
	if (d->n_holes) {
		uint32_t page = d->holes[--d->n_holes];
		int err = grow_at(fs, dir, page * CFFS_DIR_PAGE, CFFS_DIR_PAGE);

		if (err)
			d->holes[d->n_holes++] = page;
		return err;
	}
	return grow_end(fs, dir);
}

int cffs_dir_room(struct cffs *fs, struct cffs_inode *dir, uint32_t need, struct cffs_loc *loc,
		  struct cffs_hold **hold)
{
	for (bool looked = false;; looked = true) {
		bool found;
		int err = 0;

		pthread_mutex_lock(&fs->lock);
		found = cffs_dirmap_room(dir->d, need, loc);
		pthread_mutex_unlock(&fs->lock);
		if (found)
			err = cffs_dir_hold(fs, dir, loc->block, hold);
		else if (looked || !look_further(fs, dir))
			err = grow(fs, dir);
		if (found || err)
			return err;
	}
}

/* ---- shrinking ---- */

/*
 * What stays: the first block, too, where names come and go.  One that was larger and is empty now
 * was cleared: all of it goes, and nothing of it has to be written.
 */
static uint32_t used_blocks(struct cffs *fs, const struct cffs_inode *dir)
{
	uint32_t n, least = dir != fs->xdir && dir != fs->odir;

	pthread_mutex_lock(&fs->lock);
	n = dir->d ? dir->d->n_blocks : 0;
	while (n > least && cffs_dirmap_is_empty(dir->d, n - 1))
		n--;
	if (n == 1 && dir->d->n_blocks > 1 && cffs_dirmap_is_empty(dir->d, 0))
		n = 0;
	pthread_mutex_unlock(&fs->lock);
	return n;
}

/* XN asks the template of an object that is freed, so its bytes must be there: not all at once. */
#define REMOVE_MAX 64u

/* Blocks [first, last), at most REMOVE_MAX, go; what is known of them stays. */
static int remove_blocks(struct cffs *fs, struct cffs_inode *dir, uint32_t first, uint32_t last)
{
	struct cffs_hold *hold[REMOVE_MAX];
	uint32_t held = 0;
	int err = 0;

	for (uint32_t i = first; i < last && !err; i++) {
		err = cffs_dir_hold(fs, dir, i, &hold[held]);
		held += !err;
		err = err == -ESTALE ? 0 : err;
	}
	if (!err)
		err = cffs_map_remove(fs, dir, first, last);
	pthread_mutex_lock(&fs->lock);
	while (held-- > 0) {
		xn_blk_t object = hold[held]->object;

		cffs_hold_put_locked(fs, hold[held]);
		if (!err)
			cffs_hold_drop_locked(fs, object);
	}
	pthread_mutex_unlock(&fs->lock);
	return err;
}

static int cut_tail(struct cffs *fs, struct cffs_inode *dir, uint32_t keep)
{
	int err = 0;

	while (!err && dir->d->n_blocks > keep) {
		uint32_t n = dir->d->n_blocks, to = n - keep > REMOVE_MAX ? n - REMOVE_MAX : keep;

		set_size(fs, dir, to);
		err = remove_blocks(fs, dir, to, n);
		if (err) {
			set_size(fs, dir, n);
			break;
		}
		pthread_mutex_lock(&fs->lock);
		cffs_dirmap_cut(dir->d, to);
		pthread_mutex_unlock(&fs->lock);
	}
	return err;
}

/* With fs->lock held: blocks that are there, and nothing in them? */
static bool page_is_void(const struct cffs_dir *d, uint32_t page)
{
	bool any = false;

	if (!d->lazy || !d->pages[page] || (page + 1) * CFFS_DIR_PAGE > d->n_blocks)
		return false;
	for (uint32_t i = page * CFFS_DIR_PAGE; i < (page + 1) * CFFS_DIR_PAGE; i++) {
		if (!cffs_dirmap_is_empty(d, i))
			return false;
		any |= cffs_dirmap_block(d, i) > CFFS_DIR_HOLE;
	}
	return any;
}

static bool find_void(struct cffs *fs, const struct cffs_dir *d, uint32_t *page)
{
	bool found = false;

	pthread_mutex_lock(&fs->lock);
	for (; *page < d->n_blocks / CFFS_DIR_PAGE && !found; ++*page)
		found = page_is_void(d, *page);
	pthread_mutex_unlock(&fs->lock);
	*page -= found;
	return found;
}

static int punch(struct cffs *fs, struct cffs_inode *dir, uint32_t page)
{
	uint32_t first = page * CFFS_DIR_PAGE, last = first + CFFS_DIR_PAGE;
	int err = remove_blocks(fs, dir, first, last);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	for (uint32_t i = first; i < last; i++)
		(void)cffs_dirmap_learn(dir->d, i, CFFS_DIR_HOLE, NULL);
	pthread_mutex_unlock(&fs->lock);
	hole_note(dir->d, page);
	return 0;
}

static int punch_all(struct cffs *fs, struct cffs_inode *dir)
{
	uint32_t page = 0;
	int err = 0;

	while (!err && find_void(fs, dir->d, &page))
		err = punch(fs, dir, page);
	return err;
}

/* Few blocks are left, and perhaps a node: they need no index. */
static bool is_small_again(const struct cffs_inode *dir)
{
	return dir->d && dir->d->index &&
	       dir->b.blocks <= cffs_index_blocks(dir->d) + CFFS_DIR_SMALL + 1;
}

static int become_small(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	int err = cffs_dir_load_blocks(fs, dir);

	if (!err)
		err = cffs_dir_load_names(fs, dir);
	if (!err)
		err = cffs_index_drop(fs, dir);
	if (err)
		cffs_names_free(&d->names);
	d->lazy = err != 0;
	return err;
}

static bool has_work(struct cffs *fs, const struct cffs_inode *dir)
{
	uint32_t page = 0;

	if (!dir->d)
		return false;
	return used_blocks(fs, dir) < dir->d->n_blocks || find_void(fs, dir->d, &page) ||
	       is_small_again(dir) || dir->d->index;
}

static int shrink_locked(struct cffs *fs, struct cffs_inode *dir)
{
	int err = 0;

	if (used_blocks(fs, dir) < dir->d->n_blocks)
		err = cut_tail(fs, dir, used_blocks(fs, dir));
	if (!err)
		err = punch_all(fs, dir);
	if (!err && is_small_again(dir))
		err = become_small(fs, dir);
	if (!err && dir->d->index)
		err = cffs_index_trim(fs, dir);
	if (!err && cffs_index_tend(fs, dir, UINT32_MAX)) {
		pthread_mutex_lock(&fs->lock);
		dir->untidy = true;
		pthread_mutex_unlock(&fs->lock);
	}
	return err;
}

int cffs_dir_shrink(struct cffs *fs, struct cffs_inode *dir)
{
	unsigned tries = 0;
	bool work;
	int err = 0;

	if (!cffs_is_dir(dir))
		return 0;
	pthread_rwlock_rdlock(&dir->lock);
	work = has_work(fs, dir);
	pthread_rwlock_unlock(&dir->lock);
	if (!work)
		return 0;
	pthread_rwlock_wrlock(&dir->lock);
	/* Nobody adds or removes names now; what only changes does not empty a sector. */
	do
		err = dir->d && dir->a.nlink ? shrink_locked(fs, dir) : 0;
	while (err && cffs_retry(fs, err, &tries));
	pthread_rwlock_unlock(&dir->lock);
	return err;
}
