/* SPDX-License-Identifier: MIT */
/*
 * A set of blocks of a disk of any size: bitmaps of 2 KiB for those chunks that
 * have a member, found by a hash of the chunk's number.
 */
#ifndef FSCK_BLOCKSET_H
#define FSCK_BLOCKSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct blockset_chunk {
	uint64_t chunk;
	uint8_t *bits; /* NULL: the place is empty */
};

/* Zero-initialise; fini frees. */
struct blockset {
	struct blockset_chunk *table; /* open addressing, a power of two places */
	size_t cap, n;
	uint64_t blocks; /* members */
};

void blockset_fini(struct blockset *set);
void blockset_clear(struct blockset *set);

/* The bitmap of a chunk; NULL when none of its blocks is a member. */
const uint8_t *blockset_chunk(const struct blockset *set, uint64_t chunk);

/* How many of [start, start + count) are members? */
uint64_t blockset_count(const struct blockset *set, uint64_t start, uint64_t count);
/* Make them members.  -ENOMEM */
int blockset_add(struct blockset *set, uint64_t start, uint64_t count);

#endif
