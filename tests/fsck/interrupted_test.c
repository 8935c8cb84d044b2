/* SPDX-License-Identifier: MIT */
/*
 * A damaged disk of two users, whose repair is stopped: by a signal at every moment, or by
 * a crash behind any of its writes.
 *
 *  (1) Stopped by a signal, it says so.  Every fourth moment; with XN_INTERRUPTED_ALL set,
 *      every one.
 *  (2) Whenever it was, the next run makes the disk clean, and what was not damaged reads
 *      as before.
 */
#include "expect.h"

#include <stdlib.h>

#include "fsck/fsck.h"
#include "stopper.h"
#include "survivors.h"
#include "xn/bdev.h"
#include "xn/format.h"

#define HITS 16u

static struct bdev *damage(const struct tree_disk *disk, uint64_t hit[HITS])
{
	struct bdev *dev;

	assert_ok(bdev_mem_clone(disk->dev, &dev));
	for (uint64_t i = 0; i < HITS; i++) {
		const struct tree_item *item = &disk->items[i * 37 % disk->n];
		uint8_t bytes[XN_SECTOR_SIZE];

		hit[i] = item->sectors[i % 3];
		assert_ok(bdev_read(dev, hit[i] * XN_SECTOR_SIZE, bytes, sizeof(bytes)));
		bytes[100 + i * 3] ^= 0x10;
		bytes[300 - i * 2] ^= 0x01;
		assert_ok(bdev_write(dev, hit[i] * XN_SECTOR_SIZE, bytes, sizeof(bytes), 0));
	}
	return dev;
}

static int run(struct bdev *dev, const volatile sig_atomic_t *stop)
{
	struct fsck_opts opts = {
		.mode = CHECK_YES, .force = true, .progress_fd = -1, .stop = stop
	};
	struct fsck_result result;
	int code;

	assert_ok(fsck_run(dev, &opts, &result));
	code = result.exit_code;
	fsck_result_fini(&result);
	return code;
}

/* The next run ends it. */
static unsigned assert_ends_well(struct tree_disk *disk, struct bdev *dev, const uint64_t *hit,
				 const char *when, size_t n)
{
	struct survivors_totals totals = { 0 };
	int code = run(dev, NULL);
	unsigned bad = (code & ~FSCK_REPAIRED) != 0;

	bad += survivors_fsck(dev, CHECK_LOOK, bad) != 0;
	bad += survivors_check(disk, dev, hit, HITS, &totals);
	if (bad)
		print_error("%s %zu: then -y said %d\n", when, n, code);
	return bad;
}

static void a_signal_at_any_moment(void **state)
{
	struct tree_disk *disk = tree_disk_new(USERS, "cs7");
	uint64_t hit[HITS];
	unsigned stopped = 0, bad = 0, step = getenv("XN_INTERRUPTED_ALL") ? 1 : 4;
	bool raised = true;

	(void)state;
	for (unsigned nth = 1; raised && bad < 10; nth += step) {
		struct stopper stopper = { .bdev = { .ops = &fsck_stopper_ops },
					   .below = damage(disk, hit),
					   .left = nth };
		int code = run(&stopper.bdev, &stopper.stop);

		raised = stopper.stop;
		stopped += !!(code & FSCK_STOPPED);
		bad += !raised && code != FSCK_REPAIRED;
		bad += assert_ends_well(disk, stopper.below, hit, "signal", nth);
		bdev_close(stopper.below);
	}
	print_message("    stopped %u times\n", stopped);
	tree_disk_free(disk);
	assert_int_equal(bad, 0);
	assert_true(stopped > 50);
}

static void a_crash_behind_any_write(void **state)
{
	struct tree_disk *disk = tree_disk_new(USERS, "cs7");
	struct bdev *dev, *recorder;
	uint64_t hit[HITS];
	unsigned bad = 0;
	size_t n;

	(void)state;
	assert_ok(bdev_recorder_create(damage(disk, hit), &recorder));
	assert_int_equal(run(recorder, NULL), FSCK_REPAIRED);
	n = bdev_recorder_count(recorder);
	assert_true(n > 20);
	for (size_t upto = 0; upto <= n && bad < 10; upto++) {
		dev = damage(disk, hit);
		for (size_t i = 0; i < upto; i++) {
			const struct bdev_event *event = bdev_recorder_event(recorder, i);

			if (event->kind == BDEV_EVENT_WRITE)
				assert_ok(bdev_write(dev, event->offset, event->bytes, event->len,
						     0));
		}
		bad += assert_ends_well(disk, dev, hit, "crash", upto);
		bdev_close(dev);
	}
	print_message("    %zu writes and flushes\n", n);
	bdev_close(recorder);
	tree_disk_free(disk);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_at_any_moment),
		cmocka_unit_test(a_crash_behind_any_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
