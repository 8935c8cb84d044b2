/* SPDX-License-Identifier: MIT */
/*
 * The fault injector fails what it was told to, in the way it was told to, and
 * nothing else.
 */
#include "expect.h"

#include <errno.h>

#include "xn/bdev.h"

#define DISK (1u << 20)
#define LEN  8192u

struct fixture {
	struct bdev *memory, *dev;
	uint8_t bytes[LEN];
};

static int fixture_new(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_ok(bdev_mem_create(DISK, &fx->memory));
	assert_ok(bdev_fault_create(fx->memory, &fx->dev));
	memset(fx->bytes, 0x77, LEN);
	*state = fx;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *fx = *state;

	bdev_close(fx->dev);
	free(fx);
	return 0;
}

static void arm(struct fixture *fx, enum bdev_fault_kind kind, uint64_t nth, uint64_t seed)
{
	struct bdev_fault fault = { .kind = kind, .nth = nth, .seed = seed };

	bdev_fault_arm(fx->dev, &fault);
}

/* How many sectors of the first LEN bytes hold what the test writes; others must be zero. */
static size_t sectors_written(struct fixture *fx)
{
	uint8_t now[LEN];
	size_t count = 0;

	assert_ok(bdev_read(fx->memory, 0, now, LEN));
	for (size_t at = 0; at < LEN; at += 512) {
		for (size_t i = 1; i < 512; i++)
			assert_int_equal(now[at + i], now[at]);
		assert_true(now[at] == 0 || now[at] == 0x77);
		count += now[at] == 0x77;
	}
	return count;
}

static void disk_clear(struct fixture *fx)
{
	static const uint8_t zeroes[LEN];

	assert_ok(bdev_write(fx->memory, 0, zeroes, LEN, 0));
}

static void unarmed_it_is_not_there(void **state)
{
	struct fixture *fx = *state;

	assert_ok(bdev_write(fx->dev, 0, fx->bytes, LEN, 0));
	assert_int_equal(sectors_written(fx), LEN / 512);
	assert_int_equal(bdev_fault_disarm(fx->dev), 0);
}

static void a_failed_write_changes_nothing(void **state)
{
	struct fixture *fx = *state;

	arm(fx, BDEV_FAULT_FAIL, 1, 0);
	assert_refused(bdev_write(fx->dev, 0, fx->bytes, LEN, 0), -EIO);
	assert_int_equal(sectors_written(fx), 0);
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
}

static void only_the_nth_counted_operation_fails(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = {
		.kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_WRITE, .nth = 3, .error = -ENOSPC
	};
	uint8_t bytes[512];

	bdev_fault_arm(fx->dev, &fault);
	for (int i = 1; i <= 5; i++) {
		assert_ok(bdev_read(fx->dev, 0, bytes, 512));
		assert_ok(bdev_flush(fx->dev));
		assert_refused(bdev_write(fx->dev, 0, bytes, 512, 0), i == 3 ? -ENOSPC : 0);
	}
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
}

static void forever_means_from_the_nth_on(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .nth = 2, .forever = true };

	bdev_fault_arm(fx->dev, &fault);
	assert_ok(bdev_flush(fx->dev));
	for (int i = 0; i < 4; i++)
		assert_refused(bdev_flush(fx->dev), -EIO);
	assert_int_equal(bdev_fault_disarm(fx->dev), 4);
	assert_ok(bdev_flush(fx->dev));
}

static void arming_again_starts_counting_again(void **state)
{
	struct fixture *fx = *state;

	arm(fx, BDEV_FAULT_FAIL, 2, 0);
	assert_ok(bdev_flush(fx->dev));
	arm(fx, BDEV_FAULT_FAIL, 2, 0);
	assert_ok(bdev_flush(fx->dev));
	assert_refused(bdev_flush(fx->dev), -EIO);
}

static void every_operation_can_fail(void **state)
{
	struct fixture *fx = *state;
	struct iovec iov = { fx->bytes, 512 };

	for (int op = BDEV_READ; op <= BDEV_WRITE_ZEROES; op++) {
		struct bdev_request request = {
			.op = (enum bdev_op)op, .len = 512, .iov = &iov, .iov_count = 1
		};
		struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .nth = 1, .ops = 1u << op };
		struct bdev_request *submit = &request, *done;
		struct bdev_queue *queue;

		bdev_fault_arm(fx->dev, &fault);
		assert_ok(bdev_queue_create(fx->dev, &queue));
		bdev_submit(queue, &submit, 1);
		assert_int_equal(bdev_wait(queue, &done, 1, 1), 1);
		assert_int_equal(request.outcome, BDEV_FAILED);
		assert_int_equal(request.error, -EIO);
		bdev_queue_destroy(queue);
	}
}

/* Over many seeds each number of written sectors is a possible outcome, none and all as well. */
static void nobody_knows_what_an_unknown_write_wrote(void **state)
{
	struct fixture *fx = *state;
	bool some = false, none = false, all = false;

	for (uint64_t seed = 0; seed < 300; seed++) {
		size_t count;

		disk_clear(fx);
		arm(fx, BDEV_FAULT_UNKNOWN, 1, seed * 1000);
		assert_refused(bdev_write(fx->dev, 0, fx->bytes, 1024, 0), XN_EUNKNOWN);
		assert_int_equal(bdev_fault_disarm(fx->dev), 1);
		count = sectors_written(fx);
		none |= count == 0;
		some |= count == 1;
		all |= count == 2;
	}
	assert_true(none && some && all);
}

/* The coin of an unknown flush is thrown below, where a recorder sees it. */
static void an_unknown_flush_may_have_flushed(void **state)
{
	struct bdev *memory, *recorder, *dev;
	struct bdev_fault fault = { .kind = BDEV_FAULT_UNKNOWN, .nth = 1, .forever = true };
	struct bdev_counts counts;

	(void)state;
	assert_ok(bdev_mem_create(DISK, &memory));
	assert_ok(bdev_recorder_create(memory, &recorder));
	assert_ok(bdev_fault_create(recorder, &dev));
	bdev_fault_arm(dev, &fault);
	for (int i = 0; i < 64; i++)
		assert_refused(bdev_flush(dev), XN_EUNKNOWN);
	bdev_recorder_counts(recorder, &counts);
	assert_in_range(counts.flushes, 10, 54);
	bdev_close(dev);
}

static void a_short_write_stops_after_some_sectors(void **state)
{
	struct fixture *fx = *state;
	size_t most = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		uint8_t now[LEN];
		size_t count;

		disk_clear(fx);
		arm(fx, BDEV_FAULT_SHORT, 1, seed * 77);
		assert_refused(bdev_write(fx->dev, 0, fx->bytes, LEN, 0), -EIO);
		count = sectors_written(fx);
		assert_ok(bdev_read(fx->memory, 0, now, LEN));
		assert_memory_equal(now, fx->bytes, count * 512);
		assert_true(count < LEN / 512);
		most = count > most ? count : most;
	}
	assert_int_equal(most, LEN / 512 - 1);
}

static void a_short_read_fails_with_part_of_the_bytes(void **state)
{
	struct fixture *fx = *state;
	bool partial = false;

	assert_ok(bdev_write(fx->memory, 0, fx->bytes, LEN, 0));
	for (uint64_t seed = 0; seed < 20; seed++) {
		uint8_t now[LEN] = { 0 };

		arm(fx, BDEV_FAULT_SHORT, 1, seed * 77);
		assert_refused(bdev_read(fx->dev, 0, now, LEN), -EIO);
		assert_int_equal(now[LEN - 1], 0);
		partial |= now[0] == 0x77;
	}
	assert_true(partial);
}

static void a_corrupt_read_is_done_with_wrong_bits(void **state)
{
	struct fixture *fx = *state;

	assert_ok(bdev_write(fx->memory, 0, fx->bytes, LEN, 0));
	for (uint64_t seed = 0; seed < 100; seed++) {
		uint8_t now[LEN];
		int wrong = 0;

		arm(fx, BDEV_FAULT_CORRUPT, 1, seed * 99);
		assert_ok(bdev_write(fx->dev, 0, fx->bytes, 512, 0)); /* writes do not count */
		assert_ok(bdev_read(fx->dev, 0, now, LEN));
		for (size_t i = 0; i < LEN; i++)
			wrong += __builtin_popcount(now[i] ^ fx->bytes[i]);
		assert_in_range(wrong, 1, 8);
		assert_int_equal(bdev_fault_disarm(fx->dev), 1);
		assert_ok(bdev_read(fx->dev, 0, now, LEN));
		assert_memory_equal(now, fx->bytes, LEN);
	}
	assert_int_equal(sectors_written(fx), LEN / 512);
}

static void the_same_seed_does_the_same(void **state)
{
	struct fixture *fx = *state;
	uint8_t first[LEN], second[LEN];

	for (uint64_t seed = 1; seed < 20; seed++) {
		arm(fx, BDEV_FAULT_CORRUPT, 1, seed);
		assert_ok(bdev_read(fx->dev, 0, first, LEN));
		arm(fx, BDEV_FAULT_CORRUPT, 1, seed);
		assert_ok(bdev_read(fx->dev, 0, second, LEN));
		assert_memory_equal(first, second, LEN);
	}
}

static void refused_requests_are_not_counted(void **state)
{
	struct fixture *fx = *state;

	arm(fx, BDEV_FAULT_FAIL, 1, 0);
	assert_refused(bdev_write(fx->dev, DISK, fx->bytes, 512, 0), -EINVAL);
	assert_int_equal(bdev_fault_disarm(fx->dev), 0);
}

/* The loop every fault sweep is made of ends, and meets each operation once. */
static void a_sweep_meets_every_operation(void **state)
{
	struct fixture *fx = *state;
	uint64_t fired = 1, nth;

	for (nth = 1; fired; nth++) {
		int err = 0;

		arm(fx, BDEV_FAULT_FAIL, nth, 0);
		for (uint64_t i = 0; i < 10 && !err; i++)
			err = bdev_write(fx->dev, i * 512, fx->bytes, 512, 0);
		fired = bdev_fault_disarm(fx->dev);
		assert_int_equal(err, fired ? -EIO : 0);
	}
	assert_int_equal(nth, 12);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unarmed_it_is_not_there),
		T(a_failed_write_changes_nothing),
		T(only_the_nth_counted_operation_fails),
		T(forever_means_from_the_nth_on),
		T(arming_again_starts_counting_again),
		T(every_operation_can_fail),
		T(nobody_knows_what_an_unknown_write_wrote),
		T(an_unknown_flush_may_have_flushed),
		T(a_short_write_stops_after_some_sectors),
		T(a_short_read_fails_with_part_of_the_bytes),
		T(a_corrupt_read_is_done_with_wrong_bits),
		T(the_same_seed_does_the_same),
		T(refused_requests_are_not_counted),
		T(a_sweep_meets_every_operation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
