/* SPDX-License-Identifier: MIT */
/*
 * What the files about directories share: dir.c, dirsize.c, dirmap.c,
 * nametable.c, index.c, indexmake.c, readdir.c.
 *
 *  (1) A directory of up to CFFS_DIR_SMALL blocks is read whole when it is first
 *      used, and a table in memory finds its names.
 *  (2) A larger one is lazy: an index on disk finds its names, and what is known of
 *      a block is learned when the block is used.  The directory of external inodes
 *      has no names, so it is lazy without an index.
 *  (3) What is known of blocks changes with fs->lock held; which there are, with
 *      dir->lock held for writing, too.  Names and index change with dir->lock held
 *      for writing.
 */
#ifndef CFFS_DIR_H
#define CFFS_DIR_H

#include "tree.h"
#include "hints.h"

#define CFFS_DIR_SMALL 16u /* blocks without an index */
#define CFFS_DIR_PAGE  16u /* blocks that are remembered together, and come and go together */
#define CFFS_DIR_HOLE  1u  /* in place of a block: there is none.  Block 1 is XN's */
#define CFFS_DIR_HOLES 32u
#define CFFS_DIR_MAX   (UINT32_MAX / CFFS_SECTORS / 2) /* blocks */
#define CFFS_DIR_EMPTY (CFFS_SECTOR - CFFS_S_HEAD)     /* room of an empty sector */

struct cffs_dir_page {
	xn_blk_t block[CFFS_DIR_PAGE];              /* 0: not known yet */
	uint8_t room[CFFS_DIR_PAGE * CFFS_SECTORS]; /* of known blocks, in units of 8 bytes */
	uint8_t best;                               /* of these; never less than the truth */
};

/* Memory's table of names: open addressing, no tombstones. */
struct cffs_names {
	struct cffs_hint *v;
	uint32_t n, cap; /* cap: 0 or a power of two */
};

/* index.c's own */
struct cffs_index;

struct cffs_dir {
	struct cffs_dir_page **pages; /* NULL: nothing of it is known */
	uint32_t n_blocks, n_pages;   /* n_pages: places in `pages` */
	uint32_t cursor;              /* page where something was put last */
	bool lazy;
	uint32_t looked;                /* lazy: how many pages were looked at for room */
	uint32_t old_blocks;            /* lazy: those not made since it was loaded */
	uint32_t holes[CFFS_DIR_HOLES]; /* pages without blocks */
	uint32_t n_holes;
	struct cffs_names names;  /* of one that is not lazy */
	struct cffs_index *index; /* NULL: none */
};

/* ---- dirmap.c: blocks, and room in them ---- */

/* With fs->lock held.  There are `count` more blocks behind the last, not known yet. */
int cffs_dirmap_append(struct cffs_dir *d, uint32_t count);
/* Where a block is: 0: not known, CFFS_DIR_HOLE: nowhere. */
xn_blk_t cffs_dirmap_block(const struct cffs_dir *d, uint32_t block);
/* What is known of a block from now on.  bytes NULL: it is empty. */
int cffs_dirmap_learn(struct cffs_dir *d, uint32_t block, xn_blk_t where, const uint8_t *bytes);
/* The last blocks are no more. */
void cffs_dirmap_cut(struct cffs_dir *d, uint32_t keep);
bool cffs_dirmap_is_empty(const struct cffs_dir *d, uint32_t block);
/* A sector of a known block with that much room. */
bool cffs_dirmap_room(struct cffs_dir *d, uint32_t need, struct cffs_loc *loc);
void cffs_dirmap_free(struct cffs_dir *d);

/* ---- nametable.c ---- */

int cffs_names_reserve(struct cffs_names *names);
void cffs_names_free(struct cffs_names *names);
void cffs_names_add(struct cffs_names *names, struct cffs_hint name);
void cffs_names_remove(struct cffs_names *names, struct cffs_hint name);
/* The next of that hash from *i on; *i is 0 at first. */
bool cffs_names_next(const struct cffs_names *names, uint32_t hash, uint32_t *i,
		     struct cffs_hint *name);

/* ---- index.c; dir->lock held, for writing where names or the index change ---- */

uint32_t cffs_index_blocks(const struct cffs_dir *d);
/* Does the directory have an index?  1, 0, or an error. */
int cffs_index_load(struct cffs *fs, struct cffs_inode *dir);
/* Memory of it goes; _forget(): its blocks were freed with the directory. */
void cffs_index_free(struct cffs *fs, struct cffs_dir *d);
void cffs_index_forget(struct cffs *fs, struct cffs_dir *d);
/* Blocks that it needs no more go. */
int cffs_index_trim(struct cffs *fs, struct cffs_inode *dir);
/* A new one, of the names in memory. */
int cffs_index_build(struct cffs *fs, struct cffs_inode *dir);
/* All of it goes: nobody needs it any more. */
int cffs_index_drop(struct cffs *fs, struct cffs_inode *dir);
/* The next places where a name of that hash may be; 0 at the end.  *i is 0 at first. */
int cffs_index_find(struct cffs *fs, struct cffs_inode *dir, uint32_t hash, uint32_t *i,
		    struct cffs_hint *out, uint32_t max);
/* A name will be in a sector of the block that is held: it is found there, after a crash too. */
int cffs_index_add(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint,
		   const struct cffs_hold *block);
/* A name has gone: its hint goes when that is stable. */
void cffs_index_stale(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint);
/* Remove up to `max` of those hints.  True: some are left. */
bool cffs_index_tend(struct cffs *fs, struct cffs_inode *dir, uint32_t max);

/* ---- dir.c ---- */

/* Where all blocks are; all names into memory. */
int cffs_dir_load_blocks(struct cffs *fs, struct cffs_inode *dir);
int cffs_dir_load_names(struct cffs *fs, struct cffs_inode *dir);
/* It was not lazy, and has an index now. */
void cffs_dir_becomes_lazy(struct cffs_inode *dir);
/* A removed inode's entry was met: if nobody uses it any more (a crash), it is freed soon. */
int cffs_dir_meet_nameless(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector,
			   const struct cffs_entry *entry);
void cffs_loc_fill(struct cffs_loc *loc, const struct cffs_entry *entry);

static inline uint32_t cffs_at_of(const struct cffs_loc *loc)
{
	return loc->block * CFFS_SECTORS + loc->sector + 1;
}

#endif
