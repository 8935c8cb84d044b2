/* SPDX-License-Identifier: MIT */
/*
 * A directory's index on disk: raw blocks of hints, by linear hashing.  No XN in
 * here: the checker and the tests use it too.
 *
 *  (1) A hint is the hash of a name and where it may be found.  It may be stale;
 *      but each name of the directory has one in its bucket.
 *  (2) A bucket is one block, eight sectors that stand alone; a hint lies in any
 *      of them.  An all-zero sector is a valid empty one.
 *  (3) The bucket of a hash follows from how many there are, which the head says:
 *      the block before the first bucket.
 */
#ifndef CFFS_HINTS_H
#define CFFS_HINTS_H

#include "format.h"

#define CFFS_HINTS_SECTOR 62u /* of a sector */
#define CFFS_HINTS        (CFFS_HINTS_SECTOR * CFFS_SECTORS)

struct cffs_hint {
	uint32_t hash;
	uint32_t at; /* (block of the directory * 8 + sector) + 1; 0: none */
};

uint32_t cffs_name_hash(const uint8_t seed[16], const char *name, size_t len);
uint32_t cffs_bucket_of(uint32_t hash, uint32_t buckets);
/* The bucket that is split when there will be one more than `buckets`. */
uint32_t cffs_bucket_split(uint32_t buckets);

/* `i` counts from 0 to CFFS_HINTS. */
void cffs_hint_get(const uint8_t block[CFFS_BLOCK], uint32_t i, struct cffs_hint *hint);
/* The next hint of that hash from *i on, which is left behind it. */
bool cffs_hint_next(const uint8_t block[CFFS_BLOCK], uint32_t hash, uint32_t *i,
		    struct cffs_hint *hint);
/* The sector that holds this very hint, or -1. */
int cffs_hint_sector(const uint8_t block[CFFS_BLOCK], const struct cffs_hint *hint);
/* A sector with room for one of that hash; -1: the block is full. */
int cffs_hint_room(const uint8_t block[CFFS_BLOCK], uint32_t hash);
uint32_t cffs_hints_used(const uint8_t block[CFFS_BLOCK]);
/* These seal the sector.  False: there is no room; there is no such hint. */
bool cffs_hint_add(uint8_t sector[CFFS_SECTOR], uint64_t ino, const struct cffs_hint *hint);
bool cffs_hint_remove(uint8_t sector[CFFS_SECTOR], const struct cffs_hint *hint);

/* Sector 0 of the head. */
void cffs_head_encode(uint8_t sector[CFFS_SECTOR], uint64_t ino, uint32_t buckets);
/* How many buckets there are; 0: this is no index, or it was given up. */
uint32_t cffs_head_decode(const uint8_t sector[CFFS_SECTOR], uint64_t ino);

#endif
