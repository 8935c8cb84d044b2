/* SPDX-License-Identifier: MIT */
/*
 * What the scripts cannot do by themselves.
 *
 *   images_helper lock IMAGE    hold the disk for writing until standard input ends;
 *                               prints "locked"
 *   images_helper newer IMAGE   make every superblock one of a version to come
 */
#include <stdio.h>
#include <string.h>

#include "xn/bdev.h"
#include "xn/error.h"
#include "xn/format.h"

static int hold(struct bdev *dev)
{
	int err = bdev_lock(dev, true, 0);

	if (err)
		return err;
	puts("locked");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}

static int make_newer(struct bdev *dev)
{
	struct xn_super_disk disk;
	struct xn_super super;
	uint64_t places[3];
	unsigned count;
	int err = bdev_read(dev, 0, &disk, sizeof(disk));

	if (!err)
		err = xn_super_decode(&disk, &super);
	if (err)
		return err;
	super.incompat |= 1ull << 40;
	xn_super_encode(&super, &disk);
	count = xn_super_places(super.block_count, places);
	for (unsigned i = 0; i < count && !err; i++)
		err = bdev_write(dev, places[i] * XN_BLOCK_SIZE, &disk, sizeof(disk), 0);
	return err;
}

int main(int argc, char **argv)
{
	struct bdev *dev;
	int err;

	if (argc != 3)
		return 2;
	err = bdev_open(argv[2], BDEV_OPEN_RDWR, 0, &dev);
	if (err)
		return 1;
	err = strcmp(argv[1], "lock") ? make_newer(dev) : hold(dev);
	bdev_close(dev);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[2], xn_strerror(err));
	return err ? 1 : 0;
}
