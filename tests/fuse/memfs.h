/* SPDX-License-Identifier: MIT */
/*
 * A LibFS in memory that counts: the test double behind the bridge's tests.
 *
 * It keeps exact books of references and open handles, so a bridge that loses
 * or invents one is caught: giving back more than was given ends the process,
 * and memfs_books() tells what is still out.
 */
#ifndef TESTS_FUSE_MEMFS_H
#define TESTS_FUSE_MEMFS_H

#include "libfs/libfs.h"

extern const struct libfs_type memfs_type;

int memfs_create(struct libfs **out);
void memfs_destroy(struct libfs *fs);

struct memfs_books {
	uint64_t files;      /* that exist, named or held */
	uint64_t references; /* given and not taken back, but for the root directory's */
	uint64_t handles;    /* open */
};
void memfs_books(struct libfs *fs, struct memfs_books *books);

#endif
