/* SPDX-License-Identifier: MIT */
/*
 * What memory knows of a directory's blocks: where they are, and how much room
 * their sectors have.
 *
 *  (1) It is learned when a block is used, and kept with every change from then on.
 *  (2) Pages of it are made when they are needed, so that memory goes with what is
 *      used: 17 bytes a block.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dir.h"

#define UNIT 8u

int cffs_dirmap_append(struct cffs_dir *d, uint32_t count)
{
	uint32_t pages = (d->n_blocks + count + CFFS_DIR_PAGE - 1) / CFFS_DIR_PAGE;

	if (pages > d->n_pages) {
		uint32_t n = d->n_pages ? d->n_pages * 2 : 1;
		struct cffs_dir_page **grown;

		while (n < pages)
			n *= 2;
		grown = realloc(d->pages, n * sizeof(struct cffs_dir_page *));
		if (!grown)
			return -ENOMEM;
		memset(grown + d->n_pages, 0, (n - d->n_pages) * sizeof(struct cffs_dir_page *));
		d->pages = grown;
		d->n_pages = n;
	}
	d->n_blocks += count;
	return 0;
}

xn_blk_t cffs_dirmap_block(const struct cffs_dir *d, uint32_t block)
{
	const struct cffs_dir_page *page;

	if (block >= d->n_blocks)
		return CFFS_DIR_HOLE;
	page = d->pages[block / CFFS_DIR_PAGE];
	return page ? page->block[block % CFFS_DIR_PAGE] : 0;
}

int cffs_dirmap_learn(struct cffs_dir *d, uint32_t block, xn_blk_t where, const uint8_t *bytes)
{
	uint32_t k = block % CFFS_DIR_PAGE;
	struct cffs_dir_page **page;

	if (block >= d->n_blocks)
		return 0;
	page = &d->pages[block / CFFS_DIR_PAGE];
	if (!*page)
		*page = calloc(1, sizeof(**page));
	if (!*page)
		return -ENOMEM;
	(*page)->block[k] = where;
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		uint32_t room = where == CFFS_DIR_HOLE ? 0
				: bytes                ? cffs_sector_room(bytes + s * CFFS_SECTOR)
						       : CFFS_DIR_EMPTY;

		(*page)->room[k * CFFS_SECTORS + s] = (uint8_t)(room / UNIT);
		if ((*page)->best < room / UNIT)
			(*page)->best = (uint8_t)(room / UNIT);
	}
	return 0;
}

void cffs_dir_set_room(struct cffs_inode *dir, uint32_t block, uint32_t sector, uint32_t room)
{
	struct cffs_dir *d = dir->d;
	struct cffs_dir_page *page;

	if (!d || block >= d->n_blocks)
		return;
	page = d->pages[block / CFFS_DIR_PAGE];
	if (!page || page->block[block % CFFS_DIR_PAGE] <= CFFS_DIR_HOLE)
		return;
	page->room[block % CFFS_DIR_PAGE * CFFS_SECTORS + sector] = (uint8_t)(room / UNIT);
	if (page->best < room / UNIT)
		page->best = (uint8_t)(room / UNIT);
}

void cffs_dirmap_cut(struct cffs_dir *d, uint32_t keep)
{
	for (uint32_t block = keep; block < d->n_blocks; block++) {
		uint32_t k = block % CFFS_DIR_PAGE;
		struct cffs_dir_page **page = &d->pages[block / CFFS_DIR_PAGE];

		if (*page) {
			(*page)->block[k] = 0;
			memset(&(*page)->room[k * CFFS_SECTORS], 0, CFFS_SECTORS);
		}
		if (k == 0) {
			free(*page);
			*page = NULL;
		}
	}
	d->n_blocks = keep;
	d->cursor = 0;
	for (uint32_t i = d->n_holes; i-- > 0;)
		if (d->holes[i] >= keep / CFFS_DIR_PAGE)
			d->holes[i] = d->holes[--d->n_holes];
}

bool cffs_dirmap_is_empty(const struct cffs_dir *d, uint32_t block)
{
	const struct cffs_dir_page *page = d->pages[block / CFFS_DIR_PAGE];
	uint32_t k = block % CFFS_DIR_PAGE;

	if (!page || !page->block[k])
		return false;
	for (uint32_t i = 0; i < CFFS_SECTORS && page->block[k] != CFFS_DIR_HOLE; i++)
		if (page->room[k * CFFS_SECTORS + i] != CFFS_DIR_EMPTY / UNIT)
			return false;
	return true;
}

static bool page_room(struct cffs_dir *d, uint32_t number, uint32_t need, struct cffs_loc *loc)
{
	struct cffs_dir_page *page = d->pages[number];
	uint8_t best = 0;

	if (!page || page->best * UNIT < need)
		return false;
	for (uint32_t i = 0; i < CFFS_DIR_PAGE * CFFS_SECTORS; i++) {
		if (page->room[i] * UNIT >= need) {
			loc->block = number * CFFS_DIR_PAGE + i / CFFS_SECTORS;
			loc->sector = i % CFFS_SECTORS;
			d->cursor = number;
			return true;
		}
		best = page->room[i] > best ? page->room[i] : best;
	}
	page->best = best;
	return false;
}

bool cffs_dirmap_room(struct cffs_dir *d, uint32_t need, struct cffs_loc *loc)
{
	uint32_t pages = (d->n_blocks + CFFS_DIR_PAGE - 1) / CFFS_DIR_PAGE;

	if (d->cursor < pages && page_room(d, d->cursor, need, loc))
		return true;
	for (uint32_t i = 0; i < pages; i++)
		if (page_room(d, i, need, loc))
			return true;
	return false;
}

void cffs_dirmap_free(struct cffs_dir *d)
{
	for (uint32_t i = 0; i < d->n_pages; i++)
		free(d->pages[i]);
	free(d->pages);
	d->pages = NULL;
	d->n_blocks = d->n_pages = 0;
}

/* ---- what others ask ---- */

uint32_t cffs_dir_blocks(const struct cffs_inode *dir)
{
	return dir->d ? dir->d->n_blocks : 0;
}

xn_blk_t cffs_dir_block_at(const struct cffs_inode *dir, uint32_t block)
{
	xn_blk_t at = dir->d ? cffs_dirmap_block(dir->d, block) : 0;

	return at == CFFS_DIR_HOLE ? 0 : at;
}

xn_blk_t cffs_dir_block(const struct cffs_inode *dir)
{
	return dir->d && dir->d->n_blocks ? cffs_dir_block_at(dir, dir->d->n_blocks - 1) : 0;
}
