/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the checker share.
 *
 *   check.c        the order of it all, the directories of the system, pass 2
 *   check_dir.c    pass 1: directories, their sectors and names
 *   check_entry.c  pass 1: inodes and what they map
 *   check_state.c  what is known of the tree; bytes changed
 *   check_index.c, check_inode.c, check_lost.c: see there
 */
#ifndef CFFS_CHECK_STATE_H
#define CFFS_CHECK_STATE_H

#include "check_index.h"
#include "check_lost.h"
#include "libfs/check.h"
#include "slots.h"

#define CFFS_ROW(id, code, sentence, question, safety)                                       \
	const struct check_problem_row cffs_##id##_row = { "cffs/" code, sentence, question, \
							   safety, false }

/* A directory, or an external inode. */
struct cffs_known {
	uint64_t ino;
	uint64_t block; /* of its entry */
	uint32_t links; /* found */
	uint8_t sector, slot;
};

struct cffs_list {
	struct cffs_known *v;
	size_t n, cap;
};

struct cffs_numbers {
	uint64_t *v; /* open addressing; 0: empty */
	size_t n, cap;
};

struct cffs_state {
	struct check *check;
	struct cffs_list dirs;     /* of the tree, as they are met */
	struct cffs_list external; /* by number once XDIR was read */
	struct cffs_numbers inos, names;
	bool blind;          /* some sector could not be understood */
	const uint8_t *seed; /* of names' hashes */
	/* The directory being read. */
	uint64_t dir_ino;
	struct cffs_hints hints; /* head 0: it has no index, or it was given up */
	struct cffs_lost lost;
};

/* What an inode maps. */
struct cffs_walk {
	struct cffs_state *s;
	uint64_t ino;
	uint64_t blocks; /* owned */
	struct cffs_slot *v;
	size_t n, cap;
	bool bad;
	struct cffs_slot twice; /* an extent that maps what another one does; class 0: none */
};

static inline uint64_t cffs_check_mix(uint64_t h)
{
	h ^= h >> 31;
	h *= 0x7fb5d329728ea185ull;
	h ^= h >> 27;
	h *= 0x81dadef4bc2dd44dull;
	return h ^ h >> 33;
}

/* ---- check_state.c ---- */

/* 1: it was there. */
int cffs_numbers_add(struct cffs_numbers *set, uint64_t what);
bool cffs_numbers_have(const struct cffs_numbers *set, uint64_t what);
void cffs_numbers_free(struct cffs_numbers *set);
int cffs_list_add(struct cffs_list *list, uint64_t ino, uint64_t block, uint32_t sector,
		  uint8_t slot);
void cffs_list_sort(struct cffs_list *list); /* by number */
/* The list was sorted. */
struct cffs_known *cffs_external_find(struct cffs_state *s, uint64_t ino);
bool cffs_ino_is_taken(const void *arg, uint64_t ino);
int cffs_check_write_sector(struct cffs_state *s, uint64_t block, uint32_t sector,
			    uint8_t bytes[CFFS_SECTOR]);
int cffs_check_remove(struct cffs_state *s, uint64_t block, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at);
int cffs_check_replace(struct cffs_state *s, uint64_t block, uint32_t sector,
		       uint8_t bytes[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry);
int cffs_check_read_entry(struct cffs_state *s, const struct cffs_known *known,
			  uint8_t bytes[CFFS_SECTOR], uint32_t *at, struct cffs_entry *entry);

/* ---- check_entry.c ---- */

/* All extents of an inode, in order of the file. */
int cffs_walk_inode(struct cffs_state *s, const struct cffs_entry *entry, struct cffs_walk *w);
/* Of a directory of the system, whose number and name are given. */
int cffs_check_system(struct cffs_state *s, uint64_t block, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry);
int cffs_check_inode(struct cffs_state *s, uint64_t block, uint32_t sector,
		     uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry);

/* ---- check_dir.c ---- */

/* Returns how many subdirectories it was found to have. */
int cffs_check_dir(struct cffs_state *s, const struct cffs_known *dir, uint32_t *subdirs);

extern const struct check_problem_row cffs_bad_sector_row, cffs_misplaced_row, cffs_bad_node_row,
	cffs_bad_map_row, cffs_bad_name_row, cffs_duplicate_row, cffs_bad_index_row,
	cffs_not_indexed_row, cffs_same_ino_row, cffs_link_count_row, cffs_dangling_row,
	cffs_block_count_row;

#endif
