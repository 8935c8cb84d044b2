/* SPDX-License-Identifier: MIT */
#ifndef FUSE_BRIDGE_UMOUNT_H
#define FUSE_BRIDGE_UMOUNT_H

#include <stdbool.h>

/* The program umount.fuse.xn. */
int umount_main(int argc, char **argv);

/* umount(2), or fusermount3 for those who may not.  -EBUSY, -EPERM, -EINVAL (not mounted) */
int umount_dir(const char *dir, bool lazy, bool force);

#endif
