/* SPDX-License-Identifier: MIT */
/*
 * What a run changed, so that it can be taken back.
 */
#ifndef FSCK_UNDO_H
#define FSCK_UNDO_H

#include <stddef.h>

struct bdev;

/*
 * A device on `below` (which stays the caller's) that writes down what is there before it is
 * overwritten.  The file is new and its records are on its disk before the write goes down.
 *
 * Fails with -EEXIST (there is such a file), -errno of open(2), -ENOMEM
 */
int undo_create(const char *path, struct bdev *below, struct bdev **out);

/*
 * Put everything back, the last first.  `why` receives a sentence on failure.
 *
 * Fails with
 *   -EINVAL   it is no such file, or its end is damaged: nothing was written
 *   -ESTALE   it belongs to a device of another size
 *   -EIO, -errno
 */
int undo_replay(const char *path, struct bdev *dev, char *why, size_t why_size);

#endif
