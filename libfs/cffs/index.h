/* SPDX-License-Identifier: MIT */
/*
 * What index.c, which uses an index, and indexmake.c, which makes, loads and gives
 * up one, share.
 */
#ifndef CFFS_INDEX_H
#define CFFS_INDEX_H

#include "dir.h"

#define CFFS_INDEX_MIN 16u /* blocks that it is made with, and grows by, at least */

struct cffs_index_run {
	uint32_t first, count; /* blocks of the index */
	xn_blk_t start;
};

struct cffs_stale {
	struct cffs_hint hint;
	uint64_t when; /* syncs that had begun */
};

struct cffs_index {
	struct cffs_hold *head;
	uint32_t n;        /* buckets */
	uint32_t n_stable; /* as many the disk knows, at least */
	uint32_t mark_n;   /* as many there were when sync number mark_at began */
	uint64_t mark_at;
	uint64_t changed_at;     /* syncs that had begun when n changed last; 0: it never did */
	uint32_t blocks, usable; /* head and buckets; those behind `usable` the disk may not know */
	uint64_t grown_at;
	struct cffs_index_run *runs; /* where they are; under fs->lock */
	uint32_t n_runs;
	struct cffs_stale *stale;
	uint32_t n_stale, first_stale;
};

/* Block `i` of the index, held: 0 is the head, 1 the first bucket. */
int cffs_index_hold(struct cffs *fs, struct cffs_inode *dir, uint32_t i, struct cffs_hold **out);
/* With fs->lock held: bytes of a raw block change, on their own. */
int cffs_index_edit(struct cffs *fs, const struct cffs_hold *hold, uint32_t offset,
		    const uint8_t *bytes, uint32_t len);
int cffs_index_edit_head(struct cffs *fs, struct cffs_inode *dir, uint32_t buckets);
/* What the disk knows by now. */
void cffs_index_refresh(struct cffs *fs, struct cffs_index *index);
bool cffs_index_is_settled(struct cffs *fs, const struct cffs_index *index);
int cffs_index_settle(struct cffs *fs, struct cffs_index *index);
/* Up to `want` blocks more. */
int cffs_index_grow(struct cffs *fs, struct cffs_inode *dir, uint32_t want);

#endif
