/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing the checker: the input is a list of patches of a sound disk, most of
 * them under checksums made right again.  The oracle is that repairing is done
 * in one run and that looking says what repairing left.
 *
 * A patch: two bytes choose the sector, two the place in it (the highest bit:
 * leave the checksum as it is; the next: patch the twin of a catalogue, too),
 * one the length, then that many bytes, at most 16.
 */
#include "disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads whatever it may. */
static int reading_check(struct check *check)
{
	static uint8_t bytes[XN_BLOCK_SIZE];

	for (uint64_t block = 0; block < 256; block++)
		if (check_owns(check, block) && check_read(check, block, 1, bytes))
			return -5;
	return 0;
}

static const struct libfs_checker reading_checker = { .check = reading_check };

const struct libfs_checker *libfs_checker_find(const char *name)
{
	return strcmp(name, "fake") == 0 ? &reading_checker : NULL;
}

static struct fsck_result run(struct bdev *dev, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	if (fsck_run(dev, &opts, &result))
		abort();
	return result;
}

static void sector_patch(struct disk *base, struct bdev *dev, uint64_t sector, unsigned place,
			 const uint8_t *bytes, size_t len)
{
	bool is_super = sector == 0 || sector == (base->super.block_count - 1) * 8;
	uint8_t buffer[512];
	unsigned at = place & 511, crc_at = is_super ? 8 : 0;
	uint32_t crc;

	if (bdev_read(dev, sector * 512, buffer, 512))
		abort();
	if (len > 512 - at)
		len = 512 - at;
	memcpy(buffer + at, bytes, len);
	if (!(place & 0x8000) && (is_super || (sector >= 8 && sector < 64))) {
		memset(buffer + crc_at, 0, 4);
		crc = udf_crc32c(is_super ? 0 : xn_format_seed(&base->super), buffer, 512);
		for (unsigned i = 0; i < 4; i++)
			buffer[crc_at + i] = (uint8_t)(crc >> 8 * i);
	}
	if (bdev_write(dev, sector * 512, buffer, 512, 0))
		abort();
	if ((place & 0x4000) && sector >= 16 && sector < 40)
		if (bdev_write(dev, (sector + 24) * 512, buffer, 512, 0))
			abort();
}

static void patches_apply(struct disk *base, struct bdev *dev, const uint8_t *data, size_t size)
{
	while (size >= 6) {
		uint64_t sector = (uint64_t)(data[0] | data[1] << 8) % (base->next * 8 + 16);
		unsigned place = (unsigned)(data[2] | data[3] << 8);
		size_t len = data[4] % 16 + 1u;

		if (sector >= base->next * 8) /* the last ones: the copy's block */
			sector = (base->super.block_count - 1) * 8;
		data += 5;
		size -= 5;
		if (len > size)
			len = size;
		sector_patch(base, dev, sector, place, data, len);
		data += len;
		size -= len;
	}
}

/* As little as can be wrong in every way: running owns is what costs time here. */
static struct disk *disk_small(void)
{
	struct disk *disk = disk_new(256);
	uint64_t root = disk_root(disk, "a", "fake"), node = disk_object(disk, TYPE_NODE);

	disk_point(disk, root, 0, node, 1, KIND_NODE);
	disk_point(disk, root, 7, disk_take(disk, 10), 10, KIND_DATA);
	disk_point(disk, node, 251, disk_take(disk, 3), 3, KIND_RESERVED);
	disk->roots[0].used = 15;
	disk_settle(disk);
	disk_write(disk);
	return disk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct disk *base; /* made once, lives as long as the fuzzer */
	struct fsck_result look, first, second, last;
	struct bdev *dev;

	if (!base)
		base = disk_small();
	if (bdev_mem_clone(base->dev, &dev))
		abort();
	patches_apply(base, dev, data, size);
	look = run(dev, CHECK_LOOK);
	first = run(dev, CHECK_YES);
	second = run(dev, CHECK_YES);
	last = run(dev, CHECK_LOOK);
	if (first.exit_code != FSCK_FAILED &&
	    (look.exit_code == FSCK_FAILED || (second.exit_code & FSCK_REPAIRED) ||
	     second.left != last.left ||
	     (first.exit_code == FSCK_REPAIRED && last.exit_code != FSCK_OK)))
		abort();
	fsck_result_fini(&look);
	fsck_result_fini(&first);
	fsck_result_fini(&second);
	fsck_result_fini(&last);
	bdev_close(dev);
	return 0;
}
