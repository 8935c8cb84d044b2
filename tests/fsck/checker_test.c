/* SPDX-License-Identifier: MIT */
/*
 * The checker of C-FFS alone, as after a walk by a template that is less strict than ours:
 * what it thinks of sectors is then its own.
 */
#include "expect.h"

#include <errno.h>
#include <stdlib.h>

#include "libfs/anatomy.h"
#include "libfs/check.h"
#include "survivors.h"
#include "xn/bdev.h"
#include "xn/format.h"

static int block_read(void *dev, uint64_t block, void *bytes)
{
	return bdev_read(dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE) ? -EIO : 0;
}

/* How often the checker found that, in a root that begins at `object`. */
static unsigned checker_finds(struct bdev *dev, uint64_t object, const char *code,
			      enum check_mode mode)
{
	struct check_opts opts = { .mode = mode, .progress_fd = -1 };
	struct bdev_info info;
	struct check *check;
	uint8_t *owned;
	unsigned n = 0;

	bdev_info(dev, &info);
	owned = malloc(info.size / XN_BLOCK_SIZE / 8);
	assert_non_null(owned);
	memset(owned, 0xff, info.size / XN_BLOCK_SIZE / 8);
	assert_ok(check_create(dev, &opts, &check));
	check_set_root(check, "home", object, owned, info.size / XN_BLOCK_SIZE);
	assert_ok(libfs_checker_find("cffs")->check(check));
	for (size_t i = 0; i < check_finding_count(check); i++)
		n += strcmp(check_finding(check, i)->row->code, code) == 0;
	check_destroy(check);
	free(owned);
	return n;
}

static void a_sector_that_makes_no_sense_is_cleared(void **state)
{
	struct tree_disk *disk = tree_disk_new("C-FFS", "c");
	uint64_t object = tree_disk_root(disk, "home");
	struct anatomy_disk where = { block_read, disk->dev, object };
	struct anatomy_place place;
	uint8_t noise[XN_SECTOR_SIZE];

	(void)state;
	assert_int_equal(checker_finds(disk->dev, object, "cffs/bad-sector", CHECK_LOOK), 0);
	assert_ok(libfs_anatomy_find("cffs")->find(&where, "n00", "sector", &place));
	memset(noise, 0xa5, sizeof(noise));
	assert_ok(bdev_write(disk->dev, place.block * XN_BLOCK_SIZE + place.offset / 512 * 512,
			     noise, sizeof(noise), 0));
	assert_int_equal(checker_finds(disk->dev, object, "cffs/bad-sector", CHECK_LOOK), 1);
	assert_int_equal(checker_finds(disk->dev, object, "cffs/bad-sector", CHECK_YES), 1);
	assert_int_equal(checker_finds(disk->dev, object, "cffs/bad-sector", CHECK_LOOK), 0);
	tree_disk_free(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sector_that_makes_no_sense_is_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
