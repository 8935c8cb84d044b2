/* SPDX-License-Identifier: MIT */
/*
 * A directory's index, as the checker reads it: all of its hints, sorted.
 */
#ifndef CFFS_CHECK_INDEX_H
#define CFFS_CHECK_INDEX_H

#include "hints.h"

struct check;
/* As check_read() of libfs/check.h. */
typedef int cffs_block_read(struct check *check, uint64_t block, uint32_t count, void *bytes);

struct cffs_hints {
	uint64_t *v; /* hash above, place below; sorted */
	size_t n;
	uint64_t head; /* its block; 0: the directory has no index */
	bool bad;      /* it makes no sense */
};

/* `extents` are all of the directory `ino`.  0 or -errno. */
int cffs_hints_read(struct check *check, cffs_block_read *read, uint64_t ino,
		    const struct cffs_slot *extents, size_t n_extents, struct cffs_hints *hints);
bool cffs_hints_know(const struct cffs_hints *hints, const struct cffs_hint *hint);
void cffs_hints_free(struct cffs_hints *hints);

#endif
