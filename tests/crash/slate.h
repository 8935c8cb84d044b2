/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory that can be wiped back to how it was.
 *
 *  (1) slate_back(slate_mark()) undoes every write in between; marks nest.
 *  (2) slate_hash() says what all bytes are, whatever order they were written in;
 *      equal bytes have equal hashes.
 *  (3) Any number of devices may show one slate; closing one leaves the slate.
 *
 *  (4) Bytes that come back again and again need be hashed once (slate_put).
 *
 * One thread at a time.
 */
#ifndef TESTS_CRASH_SLATE_H
#define TESTS_CRASH_SLATE_H

#include <stddef.h>
#include <stdint.h>

#include "xn/bdev.h"

struct slate;

struct slate *slate_new(uint64_t size);
void slate_free(struct slate *slate);
/* A device that shows it. */
struct bdev *slate_device(struct slate *slate);

/* Whole sectors. */
void slate_write(struct slate *slate, uint64_t offset, const void *bytes, uint64_t len);
const uint8_t *slate_bytes(const struct slate *slate);
uint64_t slate_size(const struct slate *slate);
uint64_t slate_hash(struct slate *slate);
/* The same of some sectors only; it says where they lie, too. */
uint64_t slate_hash_part(struct slate *slate, uint64_t offset, uint64_t len);

/* One sector, of which the caller kept sector_hash(offset, bytes). */
void slate_put(struct slate *slate, uint64_t offset, const void *sector, uint64_t hash);
uint64_t sector_hash(uint64_t offset, const void *sector);

size_t slate_mark(struct slate *slate);
void slate_back(struct slate *slate, size_t mark);

/* The hash of `len` bytes, that tells the place they stand at as well. */
uint64_t hash_bytes(uint64_t place, const void *bytes, size_t len);

#endif
