/* SPDX-License-Identifier: MIT */
/*
 * A medium that takes whole blocks of 4096 bytes and nothing less, as some disks do when they
 * are used directly.  Sits on `below` and owns it; what is not whole blocks is refused.
 */
#ifndef TESTS_COARSEDEV_H
#define TESTS_COARSEDEV_H

#include "xn/bdev.h"

int coarsedev_create(struct bdev *below, struct bdev **out);

#endif
