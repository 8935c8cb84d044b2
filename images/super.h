/* SPDX-License-Identifier: MIT */
/*
 * Reading a disk without opening it: the superblock, and what else may be on a
 * device.
 */
#ifndef IMAGES_SUPER_H
#define IMAGES_SUPER_H

#include <stdbool.h>
#include "xn/bdev.h"
#include "xn/format.h"

/*
 * The newest valid superblock among its copies.  `copies` receives how many of
 * them are valid (may be NULL).
 * Fails with XN_EFOREIGN, XN_EDAMAGED, XN_EVERSION, XN_EIO, -ENOMEM
 */
int found_super(struct bdev *dev, struct xn_super *super, unsigned *copies);

/* What a device or file holds. */
struct found {
	bool is_xn;
	bool is_data;  /* bytes that nobody knows */
	char kind[64]; /* "ext4", "dos", "xn" ... */
	bool is_partitions;
	char label[128], uuid[64];
	char version[16]; /* of an XN disk's format */
};

/*
 * Look.  Returns 1 and fills `found` when there is something, 0 when there is
 * nothing, or -errno.  `path` is what libblkid opens.
 */
int found_look(const char *path, struct bdev *dev, struct found *found);
#define FOUND_TEXT_MAX 384 /* all words at their longest */
/* `an ext4 file system labelled "x" (UUID)` */
void found_text(const struct found *found, char text[FOUND_TEXT_MAX]);
/* Erase the signatures of everything libblkid knows. -errno */
int found_wipe(const char *path);

/* "disk.img" of "file:disk.img". */
const char *plain_path(const char *name);

#endif
