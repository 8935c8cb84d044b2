/* SPDX-License-Identifier: MIT */
/*
 * Sound disks, and how fsck treats them: it says nothing, changes nothing, and
 * knows what is on them.
 */
#include "disk.h"

/* No LibFS is linked: structure alone is judged. */
const struct libfs_checker *libfs_checker_find(const char *name)
{
	(void)name;
	return NULL;
}

static void assert_unchanged(struct bdev *dev, const uint8_t *before, size_t len)
{
	uint8_t *after = disk_bytes(dev, &len);

	assert_true(memcmp(before, after, len) == 0);
	free(after);
}

static void a_sound_disk_has_no_problems_in_any_mode(void **state)
{
	static const enum check_mode modes[] = { CHECK_LOOK, CHECK_PREEN, CHECK_YES, CHECK_ASK };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct disk *disk = disk_sound(0);
		size_t len;
		uint8_t *before = disk_bytes(disk->dev, &len);
		struct fsck_result result = disk_fsck(disk, modes[i]);

		if (result.found)
			result_print(&result);
		assert_int_equal(result.exit_code, FSCK_OK);
		assert_int_equal(result.found, 0);
		assert_true(result.complete);
		assert_false(result.modified);
		assert_int_equal(result.roots, 2);
		assert_int_equal(result.templates, 2);
		assert_int_equal(result.objects, 6);
		assert_int_equal(result.used_blocks,
				 disk->super.block_count - disk->super.free_blocks);
		assert_unchanged(disk->dev, before, len);
		fsck_result_fini(&result);
		free(before);
		disk_free(disk);
	}
}

static void disks_of_all_shapes_are_sound(void **state)
{
	static const uint64_t sizes[] = { 256,   257,   16383, 16384, 16387, 16388,
					  16400, 32768, 32771, 49152, 65536 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct disk *disk = disk_sound(sizes[i]);

		assert_clean(disk);
		disk_free(disk);
	}
}

static void a_clean_disk_is_not_walked_unless_forced(void **state)
{
	struct disk *disk = disk_sound(0);
	struct fsck_opts opts = { .mode = CHECK_PREEN, .progress_fd = -1 };
	struct fsck_result result;

	(void)state;
	assert_ok(fsck_run(disk->dev, &opts, &result));
	assert_true(result.skipped);
	assert_int_equal(result.exit_code, FSCK_OK);
	assert_int_equal(result.roots, 2);
	assert_int_equal(result.objects, 0);
	fsck_result_fini(&result);

	disk->super.state = XN_STATE_INUSE;
	disk_write_super(disk, 0);
	disk_write_super(disk, 1);
	assert_ok(fsck_run(disk->dev, &opts, &result));
	assert_false(result.skipped);
	assert_int_equal(result.objects, 6);
	assert_int_equal(result.exit_code, FSCK_OK);
	fsck_result_fini(&result);
	disk_free(disk);
}

static void an_unclean_disk_without_problems_becomes_clean(void **state)
{
	struct disk *disk = disk_sound(0);
	struct xn_super_disk bytes;
	struct xn_super super;
	struct fsck_result result;

	(void)state;
	disk->super.state = XN_STATE_INUSE;
	disk->super.free_blocks -= 5; /* counts are not exact in use */
	disk->super.flags = XN_SUPER_RECLAIM;
	disk->super.holder_pid = 4711;
	snprintf(disk->super.holder_command, sizeof(disk->super.holder_command), "gone");
	disk->roots[0].used += 3;
	disk_write(disk);
	result = disk_fsck(disk, CHECK_PREEN);
	if (result.found)
		result_print(&result);
	assert_int_equal(result.exit_code, FSCK_OK);
	fsck_result_fini(&result);
	disk_read(disk, 0, &bytes, sizeof(bytes));
	assert_ok(xn_super_decode(&bytes, &super));
	assert_int_equal(super.state, XN_STATE_CLEAN);
	assert_int_equal(super.flags, 0);
	assert_int_equal(super.holder_pid, 0);
	assert_string_equal(super.holder_command, "");
	assert_true(super.generation > disk->super.generation);
	assert_int_equal(super.free_blocks, disk->super.free_blocks + 5);
	assert_clean(disk);
	disk_free(disk);
}

static void looking_at_an_unclean_disk_writes_nothing(void **state)
{
	struct disk *disk = disk_sound(0);
	struct fsck_result result;
	uint8_t *before;
	size_t len;

	(void)state;
	disk->super.state = XN_STATE_INUSE;
	disk_take(disk, 4); /* leaked */
	disk_write(disk);
	before = disk_bytes(disk->dev, &len);
	result = disk_fsck(disk, CHECK_LOOK);
	assert_int_equal(result.exit_code, FSCK_LEFT);
	assert_true(result_has(&result, "map/leak"));
	assert_int_equal(result.unexpected, 0);
	assert_unchanged(disk->dev, before, len);
	fsck_result_fini(&result);
	free(before);
	disk_free(disk);
}

/* A tree as deep as the disk allows: one node in another, thousands of times. */
static void depth_of_a_tree_costs_no_stack(void **state)
{
	struct disk *disk = disk_new(16384);
	uint64_t node = disk_root(disk, "deep", ""), child;
	struct fsck_result result;

	(void)state;
	while (disk->next < 16000) {
		child = disk_object(disk, TYPE_NODE);
		disk_point(disk, node, 0, child, 1, KIND_NODE);
		node = child;
		disk->roots[0].used++;
	}
	disk->roots[0].used++;
	disk_settle(disk);
	disk_write(disk);
	result = disk_fsck(disk, CHECK_LOOK);
	assert_int_equal(result.found, 0);
	assert_int_equal(result.objects, disk->roots[0].used);
	fsck_result_fini(&result);
	disk_free(disk);
}

/* A megabyte that says it is the largest disk there can be, all of it used. */
static void a_small_image_cannot_claim_a_large_amount_of_work(void **state)
{
	struct disk *disk = disk_sound(256);
	struct fsck_result result;

	(void)state;
	disk->super.block_count = XN_BLOCKS_MAX;
	disk->super.high_water = xn_chunk_count(XN_BLOCKS_MAX);
	disk_write_super(disk, 0);
	result = disk_fsck(disk, CHECK_YES);
	assert_int_equal(result.exit_code, FSCK_LEFT);
	assert_true(result_has(&result, "super/truncated"));
	assert_true(result.n_findings < 20);
	fsck_result_fini(&result);
	disk_free(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_disk_has_no_problems_in_any_mode),
		cmocka_unit_test(disks_of_all_shapes_are_sound),
		cmocka_unit_test(a_clean_disk_is_not_walked_unless_forced),
		cmocka_unit_test(an_unclean_disk_without_problems_becomes_clean),
		cmocka_unit_test(looking_at_an_unclean_disk_writes_nothing),
		cmocka_unit_test(depth_of_a_tree_costs_no_stack),
		cmocka_unit_test(a_small_image_cannot_claim_a_large_amount_of_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
