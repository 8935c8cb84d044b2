/* SPDX-License-Identifier: MIT */
/*
 * The checker's lost+found: directories whose blocks are there and whose inode is
 * not, and files without a name.
 */
#ifndef CFFS_CHECK_LOST_H
#define CFFS_CHECK_LOST_H

#include "format.h"

struct check;
struct check_problem_row;

/* The entry of a directory. */
struct cffs_spot {
	uint64_t ino, block;
	uint8_t sector, slot;
};

struct cffs_lost {
	struct check *check;
	uint64_t root; /* the root object */
	/* The directories of the tree, sorted by number; and is that number somebody's? */
	const struct cffs_spot *dirs;
	size_t n_dirs;
	bool (*is_taken)(const void *arg, uint64_t ino);
	const void *arg;
	bool only_system; /* those of the system, which all others hang on */
	/* Its own. */
	struct cffs_spot found; /* lost+found; ino 0: not looked for yet */
	uint64_t next_ino;
};

/* What the walk over `owns` cut off and is still there.  0 or -errno. */
int cffs_lost_dirs(struct cffs_lost *lost);
/* A link in lost+found to an inode in XDIR.  -ENOSPC */
int cffs_lost_link(struct cffs_lost *lost, uint64_t ino, uint32_t mode, uint32_t place);
/* A number that nobody has. */
uint64_t cffs_lost_ino(struct cffs_lost *lost);

extern const struct check_problem_row cffs_lost_row;

#endif
