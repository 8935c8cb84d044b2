/* SPDX-License-Identifier: MIT */
/*
 * A small disk in memory that knows what a crash could leave of it.
 *
 *  (1) What a read shows is `now`; what a completed flush covers is `stable`.
 *  (2) A crash leaves `stable` with any choice of the sectors written since.
 *  (3) A disk begins filled with 0xDB, so whatever was never written is seen.
 *
 * Requests may come from any number of threads, and the hook is called by each of them;
 * all else is for one at a time.
 */
#ifndef TESTS_CRASHDEV_H
#define TESTS_CRASHDEV_H

#include "xn/bdev.h"

#define CRASHDEV_POISON 0xdb

int crashdev_create(uint64_t size, struct bdev **out);

/* Called after every write and every flush. */
typedef void crashdev_hook(void *context, struct bdev *dev, enum bdev_op op);
void crashdev_hook_set(struct bdev *dev, crashdev_hook *hook, void *context);

uint8_t *crashdev_now(struct bdev *dev);
uint64_t crashdev_size(const struct bdev *dev);
size_t crashdev_pending(const struct bdev *dev); /* writes since the last flush */
uint64_t crashdev_writes(const struct bdev *dev);

/*
 * A state that a crash at this moment may leave, as `seed` chooses: everything
 * (seed 0), nothing (1), a prefix of the writes, a choice of writes, or a choice
 * of sectors.  Borrowed until crashdev_state_end(); meanwhile all requests wait.
 */
const uint8_t *crashdev_state_begin(struct bdev *dev, uint64_t seed);
void crashdev_state_end(struct bdev *dev);

/* Crash for good: the disk is in that state from now on. */
void crashdev_crash(struct bdev *dev, uint64_t seed);

#endif
