/* SPDX-License-Identifier: MIT */
/*
 * Disks broken by chance: fsck never crashes, never hangs, writes nothing when
 * it shall only look, and what it repaired once it need not repair again.
 *
 * XN_FSCK_ROUNDS multiplies the work, XN_FSCK_SEED replays a failure.
 */
#include "disk.h"

#include <errno.h>

/* A checker that touches everything it may: whatever is on the disk, reads stay inside. */
static int reading_check(struct check *check)
{
	static uint8_t bytes[XN_BLOCK_SIZE];

	for (uint64_t block = 0; block < 4096; block++) {
		int err = check_read(check, block, 1, bytes);

		if (err == -EINTR || err == -EIO)
			return err;
		if (check_owns(check, block) != (err == 0))
			return -EINVAL;
	}
	return 0;
}

static const struct libfs_checker reading_checker = { .check = reading_check };

const struct libfs_checker *libfs_checker_find(const char *name)
{
	return strcmp(name, "fake") == 0 ? &reading_checker : NULL;
}

static unsigned rounds(unsigned normal)
{
	const char *times = getenv("XN_FSCK_ROUNDS");

	return times ? normal * (unsigned)strtoul(times, NULL, 10) : normal;
}

static uint64_t seed_first(void)
{
	const char *seed = getenv("XN_FSCK_SEED");

	return seed ? strtoull(seed, NULL, 0) : 20261121;
}

static struct fsck_result run(struct bdev *dev, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	assert_ok(fsck_run(dev, &opts, &result));
	return result;
}

static void assert_same_bytes(struct bdev *a, struct bdev *b, uint64_t seed)
{
	size_t len_a, len_b;
	uint8_t *bytes_a = disk_bytes(a, &len_a), *bytes_b = disk_bytes(b, &len_b);

	if (len_a != len_b || memcmp(bytes_a, bytes_b, len_a) != 0)
		fail_msg("seed %ju: looking changed the disk", (uintmax_t)seed);
	free(bytes_a);
	free(bytes_b);
}

/* Look, repair, repair again, look. */
static void assert_survives(struct bdev *dev, uint64_t seed, bool compare)
{
	struct fsck_result look, first, second, last;
	struct bdev *before;

	assert_ok(bdev_mem_clone(dev, &before));
	look = run(dev, CHECK_LOOK);
	if (compare)
		assert_same_bytes(before, dev, seed);
	first = run(dev, CHECK_YES);
	second = run(dev, CHECK_YES);
	last = run(dev, CHECK_LOOK);
	if (first.exit_code == FSCK_FAILED) { /* refused: and again */
		assert_int_equal(second.exit_code, FSCK_FAILED);
		assert_string_equal(first.why, second.why);
	} else if (look.exit_code == FSCK_FAILED || (second.exit_code & FSCK_REPAIRED) ||
		   second.left != last.left ||
		   (first.exit_code == FSCK_REPAIRED && last.exit_code != FSCK_OK)) {
		result_print(&look);
		result_print(&first);
		result_print(&second);
		result_print(&last);
		fail_msg("seed %ju: repairing is not done in one run", (uintmax_t)seed);
	}
	fsck_result_fini(&look);
	fsck_result_fini(&first);
	fsck_result_fini(&second);
	fsck_result_fini(&last);
	bdev_close(before);
}

/* ---- sectors ---- */

static void sector_read(struct bdev *dev, uint64_t sector, uint8_t *bytes)
{
	assert_ok(bdev_read(dev, sector * 512, bytes, 512));
}

static void sector_write(struct bdev *dev, uint64_t sector, const uint8_t *bytes)
{
	assert_ok(bdev_write(dev, sector * 512, bytes, 512, 0));
}

static void sector_spoil(struct bdev *dev, uint64_t sector, uint64_t *seed)
{
	uint8_t bytes[512];

	sector_read(dev, sector, bytes);
	switch (chance(seed) % 5) {
	case 0: memset(bytes, 0, sizeof(bytes)); break;
	case 1: memset(bytes, 0xff, sizeof(bytes)); break;
	case 2: bytes[chance(seed) % 512] ^= (uint8_t)(1u << chance(seed) % 8); break;
	case 3: sector_read(dev, chance(seed) % 4096, bytes); break;
	default:
		for (unsigned i = 0; i < 512; i++)
			bytes[i] = (uint8_t)chance(seed);
	}
	sector_write(dev, sector, bytes);
}

/* Mostly where XN's and the roots' metadata is: the first blocks. */
static uint64_t sector_choose(uint64_t *seed, uint64_t sectors, uint64_t used)
{
	return chance(seed) % (chance(seed) % 8 ? used : sectors);
}

static void spoiled_sectors_never_confuse_fsck(void **state)
{
	struct disk *disk = disk_sound(512);
	uint64_t used = disk->next * 8, sectors = 512 * 8;

	(void)state;
	for (unsigned i = 0; i < rounds(500); i++) {
		uint64_t first = seed_first() + i, seed = first;
		struct bdev *dev;

		assert_ok(bdev_mem_clone(disk->dev, &dev));
		for (unsigned n = 1 + (unsigned)(chance(&seed) % 6); n > 0; n--)
			sector_spoil(dev, sector_choose(&seed, sectors, used), &seed);
		assert_survives(dev, first, i % 16 == 0);
		bdev_close(dev);
	}
	disk_free(disk);
}

/* ---- fields, under checksums made right again ---- */

static const uint64_t odd_values[] = {
	0,
	1,
	2,
	7,
	8,
	15,
	16,
	17,
	18,
	252,
	255,
	256,
	511,
	512,
	513,
	4095,
	4096,
	16383,
	16384,
	65535,
	65536,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	1ull << 47,
	1ull << 48,
	(1ull << 48) + 1,
	1ull << 63,
	UINT64_MAX - 1,
	UINT64_MAX,
};

static void field_alter(uint8_t *bytes, uint64_t *seed)
{
	unsigned width = 1u << chance(seed) % 4,
		 at = (unsigned)(chance(seed) % 512) / width * width;
	uint64_t value = chance(seed);

	if (chance(seed) % 4)
		value = odd_values[value % (sizeof(odd_values) / sizeof(odd_values[0]))];
	for (unsigned i = 0; i < width; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

/* Checksums as FORMAT.md words them: CRC-32C with the crc field as 0. */
static void sector_seal(const struct xn_super *super, uint8_t *bytes, bool is_super)
{
	unsigned at = is_super ? 8 : 0;
	uint32_t crc;

	memset(bytes + at, 0, 4);
	crc = udf_crc32c(is_super ? 0 : xn_format_seed(super), bytes, 512);
	for (unsigned i = 0; i < 4; i++)
		bytes[at + i] = (uint8_t)(crc >> 8 * i);
}

/* Superblocks, map, catalogues and twins; then both sides of an entry, so that it is believed. */
static void field_spoil(struct disk *disk, struct bdev *dev, uint64_t *seed)
{
	uint64_t place = chance(seed) % 8, sector, twin = 0;
	uint8_t bytes[512];

	if (place == 0)
		sector = chance(seed) % 2 ? 0 : (disk->super.block_count - 1) * 8;
	else if (place == 1)
		sector = 8 + chance(seed) % 8;
	else if (place < 6) {
		uint64_t kind = chance(seed) % XN_CAT_KINDS, in = chance(seed) % 4;

		sector = disk->super.catalogue[kind] * 8 + in;
		twin = disk->super.twin[kind] * 8 + in;
	} else {
		sector = disk->roots[0].object * 8 + chance(seed) % 64;
	}
	sector_read(dev, sector, bytes);
	for (unsigned n = 1 + (unsigned)(chance(seed) % 3); n > 0; n--)
		field_alter(bytes, seed);
	if (place < 6)
		sector_seal(&disk->super, bytes, place == 0);
	sector_write(dev, sector, bytes);
	if (twin && chance(seed) % 4)
		sector_write(dev, twin, bytes);
}

static void false_numbers_under_right_checksums_never_confuse_fsck(void **state)
{
	struct disk *disk = disk_sound(512);

	(void)state;
	for (unsigned i = 0; i < rounds(1500); i++) {
		uint64_t first = seed_first() * 3 + i, seed = first;
		struct bdev *dev;

		assert_ok(bdev_mem_clone(disk->dev, &dev));
		for (unsigned n = 1 + (unsigned)(chance(&seed) % 3); n > 0; n--)
			field_spoil(disk, dev, &seed);
		assert_survives(dev, first, i % 16 == 0);
		bdev_close(dev);
	}
	disk_free(disk);
}

/* One bit of each byte of XN's own metadata: noticed, and repaired or reported. */
static void each_byte_of_metadata_may_flip(void **state)
{
	struct disk *disk = disk_sound(256);
	uint64_t seed = seed_first();

	(void)state;
	/* Every eleventh by default, which is prime to all field sizes; with 5 rounds, every one. */
	for (uint64_t at = 0; at < 8 * XN_BLOCK_SIZE; at += rounds(1) >= 5 ? 1 : 11) {
		struct bdev *dev;
		struct fsck_result look, repair, last;
		uint8_t bytes[512];

		if (at >= 512 && at < XN_BLOCK_SIZE)
			continue; /* nothing lies behind the superblock in its block */
		assert_ok(bdev_mem_clone(disk->dev, &dev));
		sector_read(dev, at / 512, bytes);
		bytes[at % 512] ^= (uint8_t)(1u << chance(&seed) % 8);
		sector_write(dev, at / 512, bytes);
		look = run(dev, CHECK_LOOK);
		repair = run(dev, CHECK_PREEN);
		last = run(dev, CHECK_LOOK);
		if (look.exit_code != FSCK_LEFT || repair.exit_code != FSCK_REPAIRED ||
		    last.exit_code != FSCK_OK) {
			result_print(&look);
			result_print(&repair);
			fail_msg("byte %ju", (uintmax_t)at);
		}
		fsck_result_fini(&look);
		fsck_result_fini(&repair);
		fsck_result_fini(&last);
		bdev_close(dev);
	}
	disk_free(disk);
}

/* ---- images cut off ---- */

static void a_disk_cut_off_anywhere_is_told_and_not_touched(void **state)
{
	struct disk *disk = disk_sound(512);
	size_t whole;
	uint8_t *bytes = disk_bytes(disk->dev, &whole);

	(void)state;
	for (uint64_t blocks = 1; blocks < 512; blocks += blocks < 64 ? 1 : 7) {
		struct fsck_result result;
		struct bdev *dev, *before;

		assert_ok(bdev_mem_create(blocks * XN_BLOCK_SIZE, &dev));
		assert_ok(bdev_write(dev, 0, bytes, blocks * XN_BLOCK_SIZE, 0));
		assert_ok(bdev_mem_clone(dev, &before));
		result = run(dev, CHECK_YES);
		assert_int_equal(result.exit_code, FSCK_LEFT);
		assert_true(result_has(&result, "super/truncated"));
		assert_same_bytes(before, dev, blocks);
		fsck_result_fini(&result);
		bdev_close(before);
		bdev_close(dev);
	}
	free(bytes);
	disk_free(disk);
}

static void noise_and_foreign_disks_are_refused(void **state)
{
	uint64_t seed = seed_first();
	uint8_t *bytes = malloc(1 << 20);

	(void)state;
	assert_non_null(bytes);
	for (unsigned i = 0; i < 50; i++) {
		struct fsck_result result;
		struct bdev *dev;

		for (unsigned k = 0; k < 1 << 20; k++)
			bytes[k] = i ? (uint8_t)chance(&seed) : 0;
		assert_ok(bdev_mem_create(1 << 20, &dev));
		assert_ok(bdev_write(dev, 0, bytes, 1 << 20, 0));
		result = run(dev, CHECK_YES);
		assert_int_equal(result.exit_code, FSCK_FAILED);
		assert_string_equal(result.why, "not an XN disk");
		fsck_result_fini(&result);
		bdev_close(dev);
	}
	free(bytes);
}

static void a_newer_disk_is_refused_as_such(void **state)
{
	struct disk *disk = disk_sound(512);
	struct fsck_result result;
	uint8_t sector[512];

	(void)state;
	sector_read(disk->dev, 0, sector);
	sector[0x78 + 7] = 0x80; /* incompat, a bit that nobody knows */
	sector_seal(&disk->super, sector, true);
	sector_write(disk->dev, 0, sector);
	result = run(disk->dev, CHECK_YES);
	assert_int_equal(result.exit_code, FSCK_FAILED);
	assert_string_equal(result.why, xn_strerror(XN_EVERSION));
	fsck_result_fini(&result);
	disk_free(disk);
}

static void unknown_ro_features_allow_looking_only(void **state)
{
	struct disk *disk = disk_sound(512);
	struct fsck_result result;

	(void)state;
	disk->super.ro_compat = 1;
	disk_write(disk);
	result = run(disk->dev, CHECK_LOOK);
	assert_int_equal(result.exit_code, FSCK_OK);
	fsck_result_fini(&result);
	result = run(disk->dev, CHECK_YES);
	assert_int_equal(result.exit_code, FSCK_FAILED);
	fsck_result_fini(&result);
	disk_free(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spoiled_sectors_never_confuse_fsck),
		cmocka_unit_test(false_numbers_under_right_checksums_never_confuse_fsck),
		cmocka_unit_test(each_byte_of_metadata_may_flip),
		cmocka_unit_test(a_disk_cut_off_anywhere_is_told_and_not_touched),
		cmocka_unit_test(noise_and_foreign_disks_are_refused),
		cmocka_unit_test(a_newer_disk_is_refused_as_such),
		cmocka_unit_test(unknown_ro_features_allow_looking_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
