/* SPDX-License-Identifier: MIT */
/*
 * Several inodes locked for writing, in the order of internal.h (2).
 *
 *  (1) A set is locked as a whole, in order, or not at all.
 *  (2) Who finds out what else it needs with the set locked asks for that without
 *      waiting, unless it comes behind all there is.  If that fails the set lets
 *      go, takes all in order, and what was found is looked for again.
 *  (3) A set keeps its inodes pinned.
 */
#ifndef CFFS_LOCKS_H
#define CFFS_LOCKS_H

#include "tree.h"

#define CFFS_LOCKS_MAX 8u

struct cffs_locks {
	struct cffs *fs;
	uint32_t n, n_asked;
	bool locked;
	struct cffs_inode *v[CFFS_LOCKS_MAX];     /* in order */
	struct cffs_inode *asked[CFFS_LOCKS_MAX]; /* by cffs_locks_ask(): they stay in the set */
};

void cffs_locks_init(struct cffs_locks *set, struct cffs *fs);
/* Unlocks what is locked. */
void cffs_locks_fini(struct cffs_locks *set);
/* Before the set is locked: `inode` will be, too.  NULL and what is in it already are no matter. */
void cffs_locks_ask(struct cffs_locks *set, struct cffs_inode *inode);
/* Lock all.  What reading a directory fails with; then nothing is locked. */
int cffs_locks_take(struct cffs_locks *set);
/*
 * `inode`, which was found under the locks of the set, is locked too.
 *
 * Fails with
 *	-EAGAIN  all was let go and taken again: what was found may not be so any more
 *	or as cffs_locks_take()
 */
int cffs_locks_also(struct cffs_locks *set, struct cffs_inode *inode);
/*
 * A set of `inode`, the directory that its entry lies in, and `more` (or NULL); *home borrows the
 * directory.  -ESTALE: it has no place.  On failure there is nothing to fini.
 */
int cffs_locks_home(struct cffs_locks *set, struct cffs *fs, struct cffs_inode *inode,
		    struct cffs_inode *more, struct cffs_inode **home);

#endif
