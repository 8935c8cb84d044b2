/* SPDX-License-Identifier: MIT */
/*
 * Devices that fail: the first operation, then the second, until a run meets
 * none.  Whatever fails, the next run on a healthy device makes the disk clean.
 */
#include "disk.h"

#include <errno.h>

#include "stopper.h"

const struct libfs_checker *libfs_checker_find(const char *name)
{
	(void)name;
	return NULL;
}

/* Unclean, with a leak, a damaged map sector and a damaged twin. */
static struct disk *disk_to_repair(void)
{
	struct disk *disk = disk_sound(3 * XN_CHUNK_BLOCKS);

	disk_take(disk, 9);
	disk->super.state = XN_STATE_INUSE;
	disk_write(disk);
	disk_fill(disk, XN_BLOCK_SIZE + 3 * 512, 0xaa, 512);
	disk_fill(disk, disk->super.twin[XN_CAT_ROOTS] * XN_BLOCK_SIZE + 512, 0xaa, 512);
	return disk;
}

struct sweep {
	enum bdev_fault_kind kind;
	uint32_t ops;
	enum check_mode mode;
};

/* Returns whether the fault fired. */
static bool run_with_fault(struct disk *disk, const struct sweep *sweep, uint64_t nth, bool forever,
			   struct fsck_result *result)
{
	struct bdev_fault fault = {
		.kind = sweep->kind, .ops = sweep->ops, .nth = nth, .forever = forever, .seed = nth
	};
	struct fsck_opts opts = { .mode = sweep->mode, .force = true, .progress_fd = -1 };
	struct bdev *below, *injector;
	uint64_t fired;
	int err;

	assert_ok(bdev_mem_clone(disk->dev, &below));
	assert_ok(bdev_fault_create(below, &injector));
	bdev_fault_arm(injector, &fault);
	err = fsck_run(injector, &opts, result);
	fired = bdev_fault_disarm(injector);
	assert_true(err == 0 || err == -EIO);
	assert_true(err == 0 || result->exit_code == FSCK_FAILED);

	/* The medium as it is now becomes the disk. */
	bdev_close(disk->dev);
	assert_ok(bdev_mem_clone(below, &disk->dev));
	bdev_close(injector);
	return fired > 0;
}

static void assert_repairable(struct disk *disk, const struct sweep *sweep, uint64_t nth)
{
	struct fsck_result result = disk_fsck(disk, CHECK_PREEN);

	if (result.left || result.exit_code & FSCK_FAILED) {
		result_print(&result);
		fail_msg("kind %d ops %x nth %ju: not repairable", (int)sweep->kind, sweep->ops,
			 (uintmax_t)nth);
	}
	fsck_result_fini(&result);
	assert_clean(disk);
}

static unsigned sweep_all(const struct sweep *sweep, bool forever)
{
	unsigned nth = 0;
	bool fired = true;

	while (fired) {
		struct disk *disk = disk_to_repair();
		struct fsck_result result;

		fired = run_with_fault(disk, sweep, ++nth, forever, &result);
		if (!fired)
			assert_int_equal(result.left, 0);
		fsck_result_fini(&result);
		assert_repairable(disk, sweep, nth);
		disk_free(disk);
	}
	return nth - 1;
}

static void a_write_or_flush_that_fails_is_made_good_by_the_next_run(void **state)
{
	static const enum bdev_fault_kind kinds[] = { BDEV_FAULT_FAIL, BDEV_FAULT_UNKNOWN,
						      BDEV_FAULT_SHORT };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (unsigned forever = 0; forever < 2; forever++) {
			struct sweep writes = { kinds[i], 1u << BDEV_WRITE, CHECK_YES };
			struct sweep flushes = { kinds[i], 1u << BDEV_FLUSH, CHECK_PREEN };

			assert_true(sweep_all(&writes, forever) >= 6);
			if (kinds[i] != BDEV_FAULT_SHORT)
				assert_true(sweep_all(&flushes, forever) >= 3);
		}
}

static void a_read_that_fails_frees_nothing_that_is_owned(void **state)
{
	bool seen = false;
	struct sweep sweep = { BDEV_FAULT_FAIL, 1u << BDEV_READ, CHECK_YES };
	bool fired = true;

	(void)state;
	for (uint64_t nth = 1; fired; nth++) {
		struct disk *disk = disk_to_repair();
		struct fsck_result result;

		fired = run_with_fault(disk, &sweep, nth, false, &result);
		seen |= result_has(&result, "template/unreadable");
		fsck_result_fini(&result);
		assert_repairable(disk, &sweep, nth);
		disk_free(disk);
	}
	assert_true(seen);
}

static void reads_that_lie_end_in_a_result(void **state)
{
	struct sweep sweep = { BDEV_FAULT_CORRUPT, 1u << BDEV_READ, CHECK_LOOK };
	bool fired = true;

	(void)state;
	for (uint64_t nth = 1; fired; nth++) {
		struct disk *disk = disk_to_repair();
		struct fsck_result result;

		fired = run_with_fault(disk, &sweep, nth, nth % 2, &result);
		fsck_result_fini(&result);
		assert_repairable(disk, &sweep, nth);
		disk_free(disk);
	}
}

static void memory_of_a_read_only_device_is_not_written(void **state)
{
	struct disk *disk = disk_to_repair();
	struct sweep sweep = { BDEV_FAULT_FAIL, 1u << BDEV_WRITE, CHECK_LOOK };
	struct fsck_result result;

	(void)state;
	assert_false(run_with_fault(disk, &sweep, 1, true, &result)); /* no write was tried */
	assert_int_equal(result.exit_code, FSCK_LEFT);
	fsck_result_fini(&result);
	disk_free(disk);
}

/* Every state a crash of fsck itself can leave (writes in order, up to any point). */
static void fsck_itself_may_crash_anywhere(void **state)
{
	struct disk *disk = disk_to_repair();
	struct fsck_opts opts = { .mode = CHECK_YES, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	struct bdev *start, *below, *recorder;
	size_t n;

	(void)state;
	assert_ok(bdev_mem_clone(disk->dev, &start));
	assert_ok(bdev_mem_clone(disk->dev, &below));
	assert_ok(bdev_recorder_create(below, &recorder));
	assert_ok(fsck_run(recorder, &opts, &result));
	assert_int_equal(result.exit_code, FSCK_REPAIRED);
	fsck_result_fini(&result);
	n = bdev_recorder_count(recorder);
	assert_true(n > 8);
	for (size_t upto = 0; upto <= n; upto++) {
		struct disk crashed = *disk;
		struct sweep none = { 0 };

		assert_ok(bdev_mem_clone(start, &crashed.dev));
		for (size_t i = 0; i < upto; i++) {
			const struct bdev_event *event = bdev_recorder_event(recorder, i);

			if (event->kind == BDEV_EVENT_WRITE)
				assert_ok(bdev_write(crashed.dev, event->offset, event->bytes,
						     event->len, 0));
		}
		assert_repairable(&crashed, &none, upto);
		bdev_close(crashed.dev);
	}
	bdev_close(recorder);
	bdev_close(start);
	disk_free(disk);
}

/* ---- a signal at every moment ---- */

static void a_signal_at_any_moment_leaves_a_disk_that_can_be_repaired(void **state)
{
	unsigned stopped = 0;
	bool raised = true;

	(void)state;
	for (unsigned nth = 1; raised; nth++) {
		struct disk *disk = disk_to_repair();
		struct stopper stopper = { .bdev = { .ops = &fsck_stopper_ops },
					   .below = disk->dev,
					   .left = nth };
		struct fsck_opts opts = {
			.mode = CHECK_YES, .force = true, .progress_fd = -1, .stop = &stopper.stop
		};
		struct sweep none = { 0 };
		struct fsck_result result;

		assert_ok(fsck_run(&stopper.bdev, &opts, &result));
		raised = stopper.stop;
		stopped += !!(result.exit_code & FSCK_STOPPED);
		if (!raised)
			assert_int_equal(result.exit_code, FSCK_REPAIRED);
		fsck_result_fini(&result);
		assert_repairable(disk, &none, nth);
		disk_free(disk);
	}
	assert_true(stopped > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_or_flush_that_fails_is_made_good_by_the_next_run),
		cmocka_unit_test(a_read_that_fails_frees_nothing_that_is_owned),
		cmocka_unit_test(reads_that_lie_end_in_a_result),
		cmocka_unit_test(memory_of_a_read_only_device_is_not_written),
		cmocka_unit_test(fsck_itself_may_crash_anywhere),
		cmocka_unit_test(a_signal_at_any_moment_leaves_a_disk_that_can_be_repaired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
