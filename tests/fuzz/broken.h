/* SPDX-License-Identifier: MIT */
/*
 * A sound disk with a root of each LibFS, and patches of it that leave most checksums right.
 *
 * A patch: two bytes choose a sector of those in use, two the place in it (the highest bit: leave the
 * checksum as it is; the next: patch the twin of a catalogue, too), one the length, then that many
 * bytes, at most 16.
 */
#ifndef TESTS_FUZZ_BROKEN_H
#define TESTS_FUZZ_BROKEN_H

#include <stddef.h>
#include <stdint.h>

#include "slate.h"
#include "xn/format.h"

#define BROKEN_BYTES (1u << 20)
#define BROKEN_ROOTS 2u

/* Named like their LibFS; in each: dir/small, dir/large, dir/sym, tiny (20 bytes 't'), link. */
extern const char *const broken_roots[BROKEN_ROOTS];

struct broken {
	struct slate *slate;
	struct xn_super super;
	uint64_t *used; /* blocks */
	size_t n_used;
};

/* Lives as long as the fuzzer. */
struct broken *broken_new(void);
void broken_patch(struct broken *base, const uint8_t *data, size_t size);

#endif
