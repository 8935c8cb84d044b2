/* SPDX-License-Identifier: MIT */
/*
 * A device that raises a flag at its n-th submission, as a signal handler would.
 */
#ifndef FSCK_STOPPER_H
#define FSCK_STOPPER_H

#include <signal.h>

#include "xn/bdev.h"

struct stopper {
	struct bdev bdev;
	struct bdev *below;
	unsigned left;
	volatile sig_atomic_t stop;
};

extern const struct bdev_ops fsck_stopper_ops;

#endif
