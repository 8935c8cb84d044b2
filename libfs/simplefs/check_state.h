/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the checker share.
 *
 *   check.c        the order of it all; magic, root directory
 *   check_inode.c  pass 1: inodes and their blocks
 *   check_dir.c    pass 2: directories and names
 *   check_lost.c   passes 3 and 4: what has no name; link counts
 */
#ifndef SIMPLEFS_CHECK_STATE_H
#define SIMPLEFS_CHECK_STATE_H

#include "format.h"
#include "libfs/check.h"

#define SFS_ROW(id, code, sentence, question, safety)                                           \
	const struct check_problem_row sfs_##id##_row = { "simplefs/" code, sentence, question, \
							  safety, false }

/* A position in a directory that does not name an earlier one of the same hash. */
struct sfs_known_name {
	uint64_t hash, pos;
};

struct sfs_state {
	struct check *check;
	uint8_t super[SFS_BLOCK];
	uint32_t n;      /* inode numbers are below this */
	uint8_t *type;   /* of each inode; 0: free */
	uint32_t *links; /* names found; of a directory: its subdirectories + 2 */
	uint32_t *dir;   /* of a directory: where its name is */
	uint32_t *queue;
	uint32_t head, tail;
	bool damaged;      /* some directory was not understood ... */
	bool blind;        /* ... and is not mended either: names may still be there */
	uint32_t hurt;     /* a directory with room, because it was damaged */
	uint32_t lost_dir; /* lost+found; 0: not looked for yet */

	uint64_t map_block; /* which inode map `map` is; 0: none.  Maps are never repaired. */
	uint8_t map[SFS_BLOCK];

	uint64_t table_block; /* which inode table `table` is; 0: none */
	struct sfs_inode_disk table[SIMPLEFS_ITAB_INODES];

	struct sfs_known_name *names; /* of the directory being looked at */
	size_t n_names, max_names;
};

struct sfs_walk {
	uint64_t keep;  /* blocks of the file from here on are past the end */
	bool clear;     /* take their pointers away */
	uint64_t owned; /* blocks, those for pointers included, that stay */
	uint64_t past;
	/* For each block of data that stays: may be NULL. */
	int (*visit)(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block);
	void *arg;
};

static inline uint64_t sfs_pointer_of(const uint8_t *bytes, uint32_t slot)
{
	return le64_load(bytes + slot * sizeof(le64_t));
}

/* ---- check_inode.c ---- */

/* 1 and the inode, 0 if there is no table for it. */
int sfs_check_read_inode(struct sfs_state *s, uint32_t ino, struct sfs_fields *fields);
int sfs_check_write_inode(struct sfs_state *s, uint32_t ino, const struct sfs_fields *fields);
int sfs_file_walk(struct sfs_state *s, struct sfs_walk *walk, struct sfs_fields *fields);
/* An inode that makes no sense as a whole: clear it, if told so. */
int sfs_check_clear_inode(struct sfs_state *s, uint32_t ino, struct sfs_fields *fields);
int sfs_check_inode(struct sfs_state *s, uint32_t ino);
/* Calls `each` for the inodes of every table there is; without it, only finds the end. */
int sfs_inodes_walk(struct sfs_state *s, int (*each)(struct sfs_state *s, uint32_t ino),
		    uint32_t *end);

/* ---- check_dir.c ---- */

/* Those in the queue, and those that are met there. */
int sfs_check_dirs(struct sfs_state *s);

/* ---- check_lost.c ---- */

/* Lost directories, the topmost first; then those that are lost in a ring. */
int sfs_lost_dirs_find(struct sfs_state *s, bool rings);
int sfs_settle_inode(struct sfs_state *s, uint32_t ino);

extern const struct check_problem_row sfs_bad_type_row, sfs_bad_time_row, sfs_bad_size_row,
	sfs_bad_target_row, sfs_past_end_row, sfs_block_count_row, sfs_unreadable_row,
	sfs_bad_slot_row, sfs_bad_name_row, sfs_dangling_row, sfs_duplicate_row,
	sfs_second_name_row, sfs_wrong_type_row, sfs_orphan_row, sfs_unreachable_row, sfs_lost_row,
	sfs_link_count_row, sfs_wrong_parent_row;

#endif
