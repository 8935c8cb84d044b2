/* SPDX-License-Identifier: MIT */
/*
 * The recorder remembers everything that may be on the medium, and calls stable
 * only what must be.
 */
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- in a file ---- */

struct kept {
	char path[64], folder[32];
};

static void kept_begin(struct kept *kept, struct fixture *fx)
{
	strcpy(kept->folder, "/tmp/recorder.XXXXXX");
	assert_non_null(mkdtemp(kept->folder));
	snprintf(kept->path, sizeof(kept->path), "%s/log", kept->folder);
	if (fx)
		assert_ok(bdev_recorder_save(fx->dev, kept->path));
}

static void kept_end(struct kept *kept)
{
	unlink(kept->path);
	assert_int_equal(rmdir(kept->folder), 0);
}

static int load(const struct kept *kept, uint64_t size, struct bdev **out)
{
	struct bdev *memory;

	assert_ok(bdev_mem_create(size, &memory));
	assert_ok(bdev_recorder_create(memory, out));
	return bdev_recorder_load(*out, kept->path);
}

static int load_and_close(const struct kept *kept, uint64_t size)
{
	struct bdev *dev;
	int err = load(kept, size, &dev);

	assert_true(err == 0 || bdev_recorder_count(dev) == 0);
	bdev_close(dev);
	return err;
}

static void what_is_kept_in_a_file_is_read_back(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request zeroes = { .op = BDEV_WRITE_ZEROES, .offset = 4096, .len = 512 };
	struct bdev_request *submit = &zeroes, *done;
	const struct bdev_event *event;
	struct kept kept;
	struct bdev *dev;

	kept_begin(&kept, fx);
	put(fx, 512, 7, 0);
	assert_ok(bdev_recorder_mark(fx->dev, "a mark"));
	assert_ok(bdev_flush(fx->dev));
	bdev_submit(fx->queue, &submit, 1);
	bdev_wait(fx->queue, &done, 1, 1);
	put(fx, 1024, 9, 0);
	event = bdev_recorder_event(fx->dev, 0);
	assert_null(event->bytes); /* memory has them no more */
	assert_ok(load(&kept, DISK, &dev));
	assert_int_equal(bdev_recorder_count(dev), 5);
	for (size_t i = 0; i < 5; i++) {
		const struct bdev_event *a = bdev_recorder_event(fx->dev, i);
		const struct bdev_event *b = bdev_recorder_event(dev, i);

		assert_int_equal(a->kind, b->kind);
		assert_int_equal(a->offset, b->offset);
		assert_true(a->stable_at == b->stable_at);
		if (a->kind == BDEV_EVENT_WRITE)
			assert_int_equal(a->len, b->len);
	}
	assert_int_equal(bdev_recorder_event(dev, 0)->bytes[511], 7);
	assert_int_equal(bdev_recorder_event(dev, 4)->bytes[0], 9);
	assert_string_equal(bdev_recorder_event(dev, 1)->mark, "a mark");
	assert_int_equal(bdev_recorder_event(dev, 0)->stable_at, 2);
	bdev_close(dev);
	kept_end(&kept);
}

static void a_file_is_begun_with_the_first_event_and_is_new(void **state)
{
	struct fixture *fx = *state;
	struct kept kept;

	kept_begin(&kept, NULL);
	put(fx, 0, 1, 0);
	assert_refused(bdev_recorder_save(fx->dev, kept.path), -EBUSY);
	bdev_recorder_reset(fx->dev);
	assert_refused(bdev_recorder_save(fx->dev, kept.path), -EEXIST);
	assert_refused(bdev_recorder_save(fx->dev, "/nonexistent/log"), -ENOENT);
	kept_end(&kept);
}

/* No more of it fits: the request fails, and nothing of it is below. */
static void what_cannot_be_kept_does_not_happen(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 1 }, now[512];
	struct rlimit before, small = { 1024, 0 };
	struct kept kept;
	int err;

	kept_begin(&kept, fx);
	put(fx, 0, 1, 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	err = bdev_write(fx->dev, 8192, bytes, sizeof(bytes), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(err < 0);
	assert_ok(bdev_read(fx->dev, 8192, now, sizeof(now)));
	assert_int_equal(now[0], 0);
	assert_int_equal(bdev_recorder_count(fx->dev), 1);
	assert_ok(load_and_close(&kept, DISK));
	kept_end(&kept);
}

static void a_writer_that_was_killed_leaves_whole_events(void **state)
{
	struct fixture *fx = *state;
	struct kept kept;
	struct stat st;

	kept_begin(&kept, fx);
	put(fx, 0, 1, 0);
	assert_ok(bdev_flush(fx->dev));
	assert_int_equal(stat(kept.path, &st), 0);
	for (off_t size = st.st_size - 1; size >= 24; size--) {
		struct bdev *dev;

		assert_int_equal(truncate(kept.path, size), 0);
		assert_ok(load(&kept, DISK, &dev));
		assert_int_equal(bdev_recorder_count(dev), size >= 24 + 32 + 512 ? 1 : 0);
		bdev_close(dev);
	}
	assert_int_equal(truncate(kept.path, 23), 0);
	assert_refused(load_and_close(&kept, DISK), -EMEDIUMTYPE);
	kept_end(&kept);
}

static void other_files_are_refused(void **state)
{
	struct fixture *fx = *state;
	/* Where, what is written there, and what is said of it; event 1 is a flush of event 0. */
	static const struct {
		off_t at;
		uint8_t value;
		int error;
	} damages[] = {
		{ 0, 'Y', -EMEDIUMTYPE },
		{ 8, 2, -EPROTONOSUPPORT },
		{ 24, 9, -EUCLEAN },              /* no such kind */
		{ 24 + 8, 1, -EUCLEAN },          /* half a sector */
		{ 24 + 14, 1, -EUCLEAN },         /* beyond the disk */
		{ 24 + 16, 0, -EUCLEAN },         /* bytes that no write has */
		{ 24 + 31, 1, -EUCLEAN },         /* too long */
		{ 24 + 544 + 16, 2, -EUCLEAN },   /* a list of another length */
		{ 24 + 544 + 32, 1, -EUCLEAN },   /* it makes itself stable */
		{ 24 + 544 + 39, 255, -EUCLEAN }, /* what is not there */
	};
	struct kept kept;
	int file;

	kept_begin(&kept, fx);
	put(fx, 0, 1, 0);
	assert_ok(bdev_flush(fx->dev));
	assert_refused(load_and_close(&kept, DISK / 2), -EINVAL);
	file = open(kept.path, O_RDWR);
	assert_true(file >= 0);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint8_t before, zero[2] = { 0 };

		assert_int_equal(pread(file, &before, 1, damages[i].at), 1);
		assert_int_equal(pwrite(file, &damages[i].value, 1, damages[i].at), 1);
		if (damages[i].at == 24 + 16)
			assert_int_equal(pwrite(file, zero, 2, damages[i].at), 2);
		assert_refused(load_and_close(&kept, DISK), damages[i].error);
		assert_int_equal(pwrite(file, &before, 1, damages[i].at), 1);
		if (damages[i].at == 24 + 16)
			assert_int_equal(pwrite(file, "\0\2", 2, damages[i].at), 2);
	}
	assert_ok(load_and_close(&kept, DISK));
	close(file);
	kept_end(&kept);
	assert_refused(load_and_close(&kept, DISK), -ENOENT);
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
		T(what_is_kept_in_a_file_is_read_back),
		T(a_file_is_begun_with_the_first_event_and_is_new),
		T(what_cannot_be_kept_does_not_happen),
		T(a_writer_that_was_killed_leaves_whole_events),
		T(other_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
