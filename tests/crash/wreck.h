/* SPDX-License-Identifier: MIT */
/*
 * A device that lies: between XN and the recorder it does what a store with a
 * bug in its order of writing would do.  What proves that the explorer sees.
 */
#ifndef TESTS_CRASH_WRECK_H
#define TESTS_CRASH_WRECK_H

#include <stdbool.h>
#include <stdint.h>

#include "xn/bdev.h"

enum wreck_kind {
	WRECK_NOTHING,
	WRECK_DROP_FLUSH, /* the flush is said to be done */
	WRECK_SWALLOW,    /* the write is said to be done */
	WRECK_DELAY,      /* the write goes down behind the next flush: over it */
	WRECK_SWAP,       /* the write changes places with the next one that follows a flush */
	WRECK_SCRIBBLE, /* the write goes down, and a block of WRECK_SECRET bytes is overwritten */
	WRECK_TEAR,     /* only half of the write's sectors go down */
};

#define WRECK_SECRET 0x5e /* what the root that nobody uses is filled with */

/* What a block of the disk is for, as the test knows. */
enum wreck_what { WRECK_ANY, WRECK_MAP, WRECK_SUPER, WRECK_DATA, WRECK_META };

struct wreck {
	enum wreck_kind kind;
	enum wreck_what what; /* only writes of such blocks count */
	unsigned nth;         /* the n-th that counts, 1 = first; 0 = every one */
};

/* Sits on `below` and owns it.  `*fired` counts what it did. */
int wreck_create(struct bdev *below, const struct wreck *wreck, unsigned *fired, struct bdev **out);

#endif
