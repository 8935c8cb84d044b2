/* SPDX-License-Identifier: MIT */
/*
 * The recorder remembers everything that may be on the medium, and calls stable
 * only what must be.
 */
#include "expect.h"

#include <errno.h>

#include "xn/bdev.h"

#define DISK (1u << 20)

struct fixture {
	struct bdev *memory, *fault, *dev;
	struct bdev_queue *queue;
};

static int fixture_new(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_ok(bdev_mem_create(DISK, &fx->memory));
	assert_ok(bdev_fault_create(fx->memory, &fx->fault));
	assert_ok(bdev_recorder_create(fx->fault, &fx->dev));
	assert_ok(bdev_queue_create(fx->dev, &fx->queue));
	*state = fx;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *fx = *state;

	bdev_queue_destroy(fx->queue);
	bdev_close(fx->dev);
	free(fx);
	return 0;
}

static void put(struct fixture *fx, uint64_t offset, uint8_t value, uint32_t flags)
{
	uint8_t bytes[512];

	memset(bytes, value, sizeof(bytes));
	assert_ok(bdev_write(fx->dev, offset, bytes, sizeof(bytes), flags));
}

static void assert_event(struct fixture *fx, size_t index, enum bdev_event_kind kind,
			 uint64_t offset, size_t stable_at)
{
	const struct bdev_event *event = bdev_recorder_event(fx->dev, index);

	assert_non_null(event);
	assert_int_equal(event->kind, kind);
	assert_int_equal(event->offset, offset);
	if (event->stable_at != stable_at)
		fail_msg("event %zu stable at %zu, expected %zu", index, event->stable_at,
			 stable_at);
}

static void events_stand_in_the_order_they_happened(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request discard = { .op = BDEV_DISCARD, .offset = 8192, .len = 4096 };
	struct bdev_request zeroes = { .op = BDEV_WRITE_ZEROES, .offset = 4096, .len = 512 };
	struct bdev_request *submit[] = { &discard, &zeroes }, *done[2];
	const struct bdev_event *event;

	put(fx, 512, 0xaa, BDEV_FUA);
	assert_ok(bdev_recorder_mark(fx->dev, "first"));
	bdev_submit(fx->queue, submit, 2);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 2), 2);
	assert_ok(bdev_flush(fx->dev));
	assert_int_equal(bdev_recorder_count(fx->dev), 5);

	event = bdev_recorder_event(fx->dev, 0);
	assert_int_equal(event->len, 512);
	assert_int_equal(event->flags, BDEV_FUA);
	assert_int_equal(event->bytes[0], 0xaa);
	assert_int_equal(event->bytes[511], 0xaa);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 512, 1);
	assert_event(fx, 1, BDEV_EVENT_MARK, 0, 1);
	assert_string_equal(bdev_recorder_event(fx->dev, 1)->mark, "first");
	assert_event(fx, 2, BDEV_EVENT_DISCARD, 8192, 4);
	assert_event(fx, 3, BDEV_EVENT_ZEROES, 4096, 4);
	assert_int_equal(bdev_recorder_event(fx->dev, 3)->len, 512);
	assert_event(fx, 4, BDEV_EVENT_FLUSH, 0, 4);
	assert_null(bdev_recorder_event(fx->dev, 5));
}

static void a_flush_makes_stable_what_was_done_before_it_began(void **state)
{
	struct fixture *fx = *state;

	put(fx, 0, 1, 0);
	put(fx, 512, 2, 0);
	assert_event(fx, 1, BDEV_EVENT_WRITE, 512, SIZE_MAX);
	assert_ok(bdev_flush(fx->dev));
	put(fx, 1024, 3, 0);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, 2);
	assert_event(fx, 1, BDEV_EVENT_WRITE, 512, 2);
	assert_event(fx, 3, BDEV_EVENT_WRITE, 1024, SIZE_MAX);
	assert_ok(bdev_flush(fx->dev));
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, 2);
	assert_event(fx, 3, BDEV_EVENT_WRITE, 1024, 4);
}

/* The write and the flush are submitted together: the flush promises nothing about it. */
static void a_flush_does_not_cover_a_write_in_flight(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 1 };
	struct iovec iov = { bytes, 512 };
	struct bdev_request write = { .op = BDEV_WRITE, .len = 512, .iov = &iov, .iov_count = 1 };
	struct bdev_request flush = { .op = BDEV_FLUSH };
	struct bdev_request *submit[] = { &write, &flush }, *done[2];

	bdev_submit(fx->queue, submit, 2);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 2), 2);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, SIZE_MAX);
	assert_event(fx, 1, BDEV_EVENT_FLUSH, 0, 1);
	assert_ok(bdev_flush(fx->dev));
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, 2);
}

static void what_failed_may_be_there_but_is_never_stable(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fail = { .kind = BDEV_FAULT_FAIL, .nth = 1 };
	struct bdev_fault unknown = { .kind = BDEV_FAULT_UNKNOWN, .nth = 1 };
	uint8_t bytes[512] = { 0 };

	bdev_fault_arm(fx->fault, &fail);
	assert_refused(bdev_write(fx->dev, 0, bytes, 512, 0), -EIO);
	bdev_fault_arm(fx->fault, &unknown);
	assert_refused(bdev_write(fx->dev, 512, bytes, 512, 0), XN_EUNKNOWN);
	assert_ok(bdev_flush(fx->dev));
	assert_int_equal(bdev_recorder_count(fx->dev), 3);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, SIZE_MAX);
	assert_event(fx, 1, BDEV_EVENT_WRITE, 512, SIZE_MAX);
}

static void a_flush_that_failed_is_no_event(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .nth = 1, .ops = 1u << BDEV_FLUSH };

	put(fx, 0, 1, 0);
	bdev_fault_arm(fx->fault, &fault);
	assert_refused(bdev_flush(fx->dev), -EIO);
	assert_int_equal(bdev_recorder_count(fx->dev), 1);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 0, SIZE_MAX);
}

static void refused_requests_are_no_events(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 0 };

	assert_refused(bdev_write(fx->dev, DISK, bytes, 512, 0), -EINVAL);
	assert_ok(bdev_write(fx->dev, 0, bytes, 0, 0));
	assert_int_equal(bdev_recorder_count(fx->dev), 0);
}

static void the_bytes_are_those_of_the_submission(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[1024];
	struct iovec iov[] = { { bytes, 100 }, { bytes + 100, 924 } };
	struct bdev_request write = { .op = BDEV_WRITE, .len = 1024, .iov = iov, .iov_count = 2 };
	struct bdev_request *submit = &write, *done;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	bdev_submit(fx->queue, &submit, 1);
	assert_int_equal(bdev_wait(fx->queue, &done, 1, 1), 1);
	memset(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bdev_recorder_event(fx->dev, 0)->bytes[i], (uint8_t)(i * 7));
}

static void reset_forgets_everything_also_for_what_is_in_flight(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 1 };
	struct iovec iov = { bytes, 512 };
	struct bdev_request write = { .op = BDEV_WRITE, .len = 512, .iov = &iov, .iov_count = 1 };
	struct bdev_request *submit = &write, *done;
	struct bdev_counts counts;

	bdev_submit(fx->queue, &submit, 1);
	bdev_recorder_reset(fx->dev);
	assert_int_equal(bdev_recorder_count(fx->dev), 0);
	put(fx, 4096, 9, 0);
	assert_int_equal(bdev_wait(fx->queue, &done, 1, 1), 1);
	assert_int_equal(bdev_recorder_count(fx->dev), 1);
	assert_event(fx, 0, BDEV_EVENT_WRITE, 4096, SIZE_MAX);
	bdev_recorder_counts(fx->dev, &counts);
	assert_int_equal(counts.writes, 1);
}

static void it_counts_requests_and_bytes(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request discard = { .op = BDEV_DISCARD, .len = 4096 };
	struct bdev_request zeroes = { .op = BDEV_WRITE_ZEROES, .len = 512 };
	struct bdev_request *submit[] = { &discard, &zeroes }, *done[2];
	struct bdev_counts counts;
	uint8_t bytes[2048];

	put(fx, 0, 1, 0);
	put(fx, 512, 1, 0);
	assert_ok(bdev_read(fx->dev, 0, bytes, sizeof(bytes)));
	assert_ok(bdev_flush(fx->dev));
	bdev_submit(fx->queue, submit, 2);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 2), 2);
	bdev_recorder_counts(fx->dev, &counts);
	assert_int_equal(counts.writes, 2);
	assert_int_equal(counts.written_bytes, 1024);
	assert_int_equal(counts.reads, 1);
	assert_int_equal(counts.read_bytes, 2048);
	assert_int_equal(counts.flushes, 1);
	assert_int_equal(counts.discards, 1);
	assert_int_equal(counts.zeroes, 1);
}

/* Replaying every event in order on an empty disk gives the disk. */
static void a_replay_of_all_events_is_the_disk(void **state)
{
	struct fixture *fx = *state;
	uint8_t *now = malloc(DISK), *replay = calloc(1, DISK);
	uint64_t seed = 3;

	for (int i = 0; i < 500; i++)
		put(fx, chance(&seed) % (DISK / 512) * 512, (uint8_t)chance(&seed), 0);
	for (size_t i = 0; i < bdev_recorder_count(fx->dev); i++) {
		const struct bdev_event *event = bdev_recorder_event(fx->dev, i);

		memcpy(replay + event->offset, event->bytes, event->len);
	}
	assert_ok(bdev_read(fx->memory, 0, now, DISK));
	assert_memory_equal(now, replay, DISK);
	free(replay);
	free(now);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(events_stand_in_the_order_they_happened),
		T(a_flush_makes_stable_what_was_done_before_it_began),
		T(a_flush_does_not_cover_a_write_in_flight),
		T(what_failed_may_be_there_but_is_never_stable),
		T(a_flush_that_failed_is_no_event),
		T(refused_requests_are_no_events),
		T(the_bytes_are_those_of_the_submission),
		T(reset_forgets_everything_also_for_what_is_in_flight),
		T(it_counts_requests_and_bytes),
		T(a_replay_of_all_events_is_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
