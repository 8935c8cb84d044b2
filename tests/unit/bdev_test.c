/* SPDX-License-Identifier: MIT */
/*
 * What every device promises, asked of every device.
 */
#include "expect.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "xn/bdev.h"

#define DISK  (1u << 20)
#define TESTS (sizeof(promises) / sizeof(promises[0]))

struct fixture {
	struct bdev *dev;
	struct bdev_queue *queue;
	char path[64];
	bool fixed; /* cannot be resized, though it has a path */
};

/* ---- the kinds ---- */

static struct bdev *file_make(struct fixture *fx, uint32_t flags)
{
	struct bdev *dev;

	snprintf(fx->path, sizeof(fx->path), "/tmp/xn-bdev-%d.img", getpid());
	unlink(fx->path);
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE | flags, DISK, &dev));
	return dev;
}

static struct bdev *make_memory(struct fixture *fx)
{
	struct bdev *dev;

	(void)fx;
	assert_ok(bdev_mem_create(DISK, &dev));
	return dev;
}

static struct bdev *make_file(struct fixture *fx)
{
	return file_make(fx, 0);
}

static struct bdev *make_direct(struct fixture *fx)
{
	return file_make(fx, BDEV_OPEN_DIRECT);
}

static struct bdev *make_threads(struct fixture *fx)
{
	return file_make(fx, BDEV_OPEN_THREADS);
}

static struct bdev *make_direct_threads(struct fixture *fx)
{
	return file_make(fx, BDEV_OPEN_DIRECT | BDEV_OPEN_THREADS);
}

static struct bdev *make_recorder(struct fixture *fx)
{
	struct bdev *dev;

	assert_ok(bdev_recorder_create(make_memory(fx), &dev));
	return dev;
}

static struct bdev *make_fault(struct fixture *fx)
{
	struct bdev *dev;

	assert_ok(bdev_fault_create(make_file(fx), &dev));
	return dev;
}

/* On a file that nobody may write. */
static struct bdev *make_overlay(struct fixture *fx)
{
	struct bdev *below, *dev;

	bdev_close(file_make(fx, 0));
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDONLY, 0, &below));
	assert_ok(bdev_overlay_create(below, &dev));
	fx->fixed = true;
	return dev;
}

static struct bdev *make_model(struct fixture *fx)
{
	struct bdev *dev;

	assert_ok(bdev_model_create(make_file(fx), bdev_model_find("atlas1996"), &dev));
	return dev;
}

struct kind {
	const char *name;
	struct bdev *(*make)(struct fixture *fx);
};

static const struct kind kinds[] = {
	{ "threads", make_threads }, { "direct, threads", make_direct_threads },
	{ "memory", make_memory },   { "file", make_file },
	{ "direct", make_direct },   { "recorder", make_recorder },
	{ "fault", make_fault },     { "overlay", make_overlay },
	{ "model", make_model },
};

static int fixture_new(void **state)
{
	const struct kind *kind = *state;
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->dev = kind->make(fx);
	assert_ok(bdev_queue_create(fx->dev, &fx->queue));
	*state = fx;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *fx = *state;

	bdev_queue_destroy(fx->queue);
	bdev_close(fx->dev);
	if (*fx->path)
		unlink(fx->path);
	free(fx);
	return 0;
}

/* ---- helpers ---- */

static void fill(void *buffer, size_t len, uint64_t seed)
{
	uint8_t *bytes = buffer;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(chance(&seed) >> 32);
}

static void assert_all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], 0);
}

static void run_one(struct fixture *fx, struct bdev_request *request)
{
	struct bdev_request *done = NULL;

	bdev_submit(fx->queue, &request, 1);
	assert_int_equal(bdev_wait(fx->queue, &done, 1, 1), 1);
	assert_ptr_equal(done, request);
}

static void assert_run(struct fixture *fx, enum bdev_op op, uint64_t offset, uint64_t len)
{
	struct bdev_request request = { .op = op, .offset = offset, .len = len };

	run_one(fx, &request);
	assert_int_equal(request.outcome, BDEV_DONE);
	assert_int_equal(request.error, 0);
}

/* ---- the promises ---- */

static void a_new_disk_reads_as_zero(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[8192];

	memset(bytes, 0xff, sizeof(bytes));
	assert_ok(bdev_read(fx->dev, DISK - sizeof(bytes), bytes, sizeof(bytes)));
	assert_all_zero(bytes, sizeof(bytes));
}

static void it_says_what_it_is(void **state)
{
	struct fixture *fx = *state;
	struct bdev_info info;

	bdev_info(fx->dev, &info);
	assert_int_equal(info.size, DISK);
	assert_int_equal(info.logical_block, BDEV_SECTOR);
	assert_true(info.optimal_io >= 4096);
	assert_true(info.writable && info.can_fua && info.can_discard && info.can_write_zeroes);
	assert_int_equal(info.can_resize, *fx->path && !fx->fixed);
	assert_string_equal(info.name, *fx->path ? fx->path : "mem:1048576");
}

static void what_was_written_in_pieces_is_read_in_other_pieces(void **state)
{
	struct fixture *fx = *state;
	uint8_t out[8192 + 512], in[8192 + 512];
	struct iovec out_iov[] = {
		{ out, 1 }, { out + 1, 0 }, { out + 1, 4095 }, { out + 4096, 4608 }
	};
	struct iovec in_iov[] = { { in, 4099 }, { in + 4099, 4605 } };
	struct bdev_request write = { .op = BDEV_WRITE,
				      .offset = 3 * 512,
				      .len = sizeof(out),
				      .iov = out_iov,
				      .iov_count = 4 };
	struct bdev_request read = {
		.op = BDEV_READ, .offset = 3 * 512, .len = sizeof(in), .iov = in_iov, .iov_count = 2
	};

	fill(out, sizeof(out), 1);
	run_one(fx, &write);
	assert_int_equal(write.outcome, BDEV_DONE);
	run_one(fx, &read);
	assert_int_equal(read.outcome, BDEV_DONE);
	assert_memory_equal(in, out, sizeof(out));
}

/* More pieces than the host takes at once. */
static void a_request_may_have_thousands_of_pieces(void **state)
{
	struct fixture *fx = *state;
	uint8_t *out = malloc(65536), *in = malloc(65536);
	struct iovec *iov = calloc(4096, sizeof(*iov));
	struct bdev_request write = { .op = BDEV_WRITE,
				      .flags = BDEV_FUA,
				      .offset = 65536,
				      .len = 65536,
				      .iov = iov,
				      .iov_count = 4096 };

	fill(out, 65536, 2);
	for (size_t i = 0; i < 4096; i++)
		iov[i] = (struct iovec){ out + 16 * i, 16 };
	run_one(fx, &write);
	assert_int_equal(write.outcome, BDEV_DONE);
	assert_ok(bdev_read(fx->dev, 65536, in, 65536));
	assert_memory_equal(in, out, 65536);
	free(iov);
	free(in);
	free(out);
}

static void zeroes_and_discards_stay_inside_their_range(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[16384], after[16384];

	fill(bytes, sizeof(bytes), 3);
	assert_ok(bdev_write(fx->dev, 4096, bytes, sizeof(bytes), 0));
	assert_run(fx, BDEV_WRITE_ZEROES, 4096 + 512, 8192);
	assert_run(fx, BDEV_DISCARD, 4096 + 12288, 512);
	assert_ok(bdev_read(fx->dev, 4096, after, sizeof(after)));
	assert_memory_equal(after, bytes, 512);
	assert_all_zero(after + 512, 8192);
	assert_memory_equal(after + 512 + 8192, bytes + 512 + 8192, 12288 - 8704);
	assert_memory_equal(after + 12800, bytes + 12800, sizeof(bytes) - 12800);

	assert_run(fx, BDEV_WRITE_ZEROES, 0, DISK);
	assert_ok(bdev_read(fx->dev, 4096, after, sizeof(after)));
	assert_all_zero(after, sizeof(after));
}

static void length_zero_is_done_and_flushes_need_none(void **state)
{
	struct fixture *fx = *state;

	assert_run(fx, BDEV_READ, 512, 0);
	assert_run(fx, BDEV_WRITE, DISK, 0);
	assert_run(fx, BDEV_DISCARD, 0, 0);
	assert_run(fx, BDEV_FLUSH, 0, 0);
	assert_ok(bdev_flush(fx->dev));
}

static void malformed_requests_are_refused_and_change_nothing(void **state)
{
	static uint8_t bytes[8192];
	struct iovec one = { bytes, 4096 };
	struct iovec two[] = { { bytes, SIZE_MAX }, { bytes, 4097 } };
	const struct {
		const char *why;
		struct bdev_request request;
	} rows[] = {
#define R(o, at, length, pieces, count) \
	{ .op = o, .offset = at, .len = length, .iov = pieces, .iov_count = count }
		{ "begins inside a sector", R(BDEV_WRITE, 100, 4096, &one, 1) },
		{ "ends inside a sector", R(BDEV_WRITE, 0, 4000, &one, 1) },
		{ "pieces sum to less", R(BDEV_WRITE, 0, 8192, &one, 1) },
		{ "pieces sum to more", R(BDEV_WRITE, 0, 512, &one, 1) },
		{ "pieces overflow", R(BDEV_WRITE, 0, 4096, two, 2) },
		{ "a negative count of pieces", R(BDEV_WRITE, 0, 4096, &one, -1) },
		{ "no pieces", R(BDEV_READ, 0, 4096, NULL, 0) },
		{ "goes beyond the end", R(BDEV_WRITE, DISK - 512, 4096, &one, 1) },
		{ "begins beyond the end", R(BDEV_READ, DISK + 4096, 4096, &one, 1) },
		{ "wraps around", R(BDEV_READ, UINT64_MAX - 511, 4096, &one, 1) },
		{ "zeroes beyond the end", R(BDEV_WRITE_ZEROES, 512, DISK, NULL, 0) },
		{ "discards half a sector", R(BDEV_DISCARD, 0, 256, NULL, 0) },
		{ "not an operation", R((enum bdev_op)99, 0, 4096, &one, 1) },
#undef R
	};
	struct fixture *fx = *state;
	uint8_t after[8192];

	memset(bytes, 0xee, sizeof(bytes));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bdev_request request = rows[i].request;

		run_one(fx, &request);
		if (request.outcome != BDEV_FAILED || request.error != -EINVAL)
			fail_msg("%s: outcome %d, %s", rows[i].why, request.outcome,
				 xn_error_name(request.error));
	}
	assert_ok(bdev_read(fx->dev, 0, after, sizeof(after)));
	assert_all_zero(after, sizeof(after));
	assert_ok(bdev_read(fx->dev, DISK - sizeof(after), after, sizeof(after)));
	assert_all_zero(after, sizeof(after));
	assert_refused(bdev_read(fx->dev, DISK, after, 512), -EINVAL);
	assert_refused(bdev_write(fx->dev, 1, after, 512, 0), -EINVAL);
}

/* Good and refused ones together; taken in gulps of every size. */
static void every_request_comes_back_exactly_once(void **state)
{
	enum { COUNT = 150 };
	struct fixture *fx = *state;
	struct bdev_request requests[COUNT] = { 0 }, *submit[COUNT], *done[COUNT];
	static uint8_t bytes[COUNT][512];
	struct iovec iov[COUNT];
	size_t taken = 0, got;

	for (size_t i = 0; i < COUNT; i++) {
		iov[i] = (struct iovec){ bytes[i], 512 };
		requests[i].op = i % 11 ? BDEV_WRITE : BDEV_FLUSH;
		requests[i].offset = i * 512 + (i % 7 == 3 ? 1 : 0);
		requests[i].len = 512;
		requests[i].iov = &iov[i];
		requests[i].iov_count = 1;
		submit[i] = &requests[i];
	}
	bdev_submit(fx->queue, submit, 60);
	bdev_submit(fx->queue, submit + 60, 1);
	bdev_submit(fx->queue, submit + 61, COUNT - 61);
	for (size_t gulp = 1; taken < COUNT; gulp = gulp % 7 + 1) {
		size_t max = gulp < COUNT - taken ? gulp : COUNT - taken;

		got = bdev_wait(fx->queue, done + taken, max, max / 2);
		assert_in_range(got, max / 2, max);
		taken += got;
	}
	assert_int_equal(bdev_wait(fx->queue, done, 1, 0), 0);
	for (size_t i = 0; i < COUNT; i++) {
		bool good = requests[i].op == BDEV_FLUSH || i % 7 != 3;
		size_t times = 0;

		for (size_t j = 0; j < COUNT; j++)
			times += done[j] == &requests[i];
		assert_int_equal(times, 1);
		assert_int_equal(requests[i].outcome, good ? BDEV_DONE : BDEV_FAILED);
	}
}

static void destroying_a_queue_waits_for_what_is_in_flight(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request requests[32] = { 0 }, *submit[32];
	struct bdev_queue *queue;
	uint8_t *bytes = calloc(32, 4096), after[4096];
	struct iovec iov[32];

	memset(bytes, 0x5a, 32 * 4096);
	for (size_t i = 0; i < 32; i++) {
		iov[i] = (struct iovec){ bytes + 4096 * i, 4096 };
		requests[i] = (struct bdev_request){ .op = BDEV_WRITE,
						     .offset = 4096 * i,
						     .len = 4096,
						     .iov = &iov[i],
						     .iov_count = 1 };
		submit[i] = &requests[i];
	}
	assert_ok(bdev_queue_create(fx->dev, &queue));
	bdev_submit(queue, submit, 32);
	bdev_queue_destroy(queue);
	memset(bytes, 0, 32 * 4096); /* the sanitizers watch for a late reader */
	free(bytes);
	for (size_t i = 0; i < 32; i++) {
		assert_ok(bdev_read(fx->dev, 4096 * i, after, 4096));
		assert_int_equal(after[4095], 0x5a);
	}
}

/* ---- by chance, against a plain array ---- */

#define BATCH      6
#define SLICE      (DISK / BATCH / 4096 * 4096) /* one per request: no two overlap in flight */
#define SLICE_MAX  16384u
#define MAX_PIECES 3

struct shot {
	struct bdev_request request;
	struct iovec iov[MAX_PIECES];
	uint8_t bytes[SLICE_MAX];
};

static void shot_aim(struct shot *shot, size_t slot, uint64_t *seed)
{
	uint64_t sectors = chance(seed) % (SLICE_MAX / 512) + 1;
	uint64_t first = chance(seed) % ((SLICE - SLICE_MAX) / 512);
	size_t left = sectors * 512, at = 0;
	int count = 0;

	while (left) {
		size_t part = count == MAX_PIECES - 1 ? left : chance(seed) % left + 1;

		shot->iov[count++] = (struct iovec){ shot->bytes + at, part };
		at += part;
		left -= part;
	}
	shot->request = (struct bdev_request){
		.op = (enum bdev_op[]){ BDEV_READ, BDEV_WRITE, BDEV_WRITE, BDEV_FLUSH,
					BDEV_WRITE_ZEROES }[chance(seed) % 5],
		.flags = 0,
		.offset = slot * SLICE + first * 512,
		.len = sectors * 512,
		.iov = shot->iov,
		.iov_count = count,
	};
	fill(shot->bytes, sectors * 512, chance(seed));
}

static void shot_check(const struct shot *shot, uint8_t *model)
{
	const struct bdev_request *request = &shot->request;

	assert_int_equal(request->outcome, BDEV_DONE);
	if (request->op == BDEV_READ)
		assert_memory_equal(shot->bytes, model + request->offset, request->len);
	else if (request->op == BDEV_WRITE)
		memcpy(model + request->offset, shot->bytes, request->len);
	else if (request->op == BDEV_WRITE_ZEROES)
		memset(model + request->offset, 0, request->len);
}

static void random_batches(struct bdev *dev, struct bdev_queue *queue, uint64_t seed)
{
	uint8_t *model = calloc(1, DISK), *whole = malloc(DISK);
	struct shot *shots = calloc(BATCH, sizeof(*shots));

	for (int round = 0; round < 150; round++) {
		struct bdev_request *submit[BATCH], *done[BATCH];
		size_t count = chance(&seed) % BATCH + 1;

		for (size_t i = 0; i < count; i++) {
			shot_aim(&shots[i], i, &seed);
			submit[i] = &shots[i].request;
		}
		bdev_submit(queue, submit, count);
		assert_int_equal(bdev_wait(queue, done, count, count), count);
		for (size_t i = 0; i < count; i++)
			shot_check(&shots[i], model);
	}
	assert_ok(bdev_read(dev, 0, whole, DISK));
	assert_memory_equal(whole, model, DISK);
	free(shots);
	free(whole);
	free(model);
}

static void it_agrees_with_an_array_on_random_batches(void **state)
{
	struct fixture *fx = *state;

	random_batches(fx->dev, fx->queue, 20261121);
}

/* ---- threads ---- */

struct worker {
	struct bdev *dev;
	unsigned int number;
	int failed;
};

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	uint64_t offset = worker->number * 65536ull;
	uint8_t out[4096], in[4096];

	for (unsigned int round = 0; round < 50 && !worker->failed; round++) {
		fill(out, sizeof(out), worker->number * 1000 + round);
		worker->failed |= bdev_write(worker->dev, offset, out, sizeof(out), 0);
		worker->failed |= bdev_flush(worker->dev);
		worker->failed |= bdev_read(worker->dev, offset, in, sizeof(in));
		worker->failed |= memcmp(in, out, sizeof(in));
	}
	return NULL;
}

static void many_threads_share_a_device(void **state)
{
	struct fixture *fx = *state;
	struct worker workers[4];
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ fx->dev, i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].failed, 0);
	}
}

/* ---- names ---- */

static void names_choose_the_kind_of_disk(void **state)
{
	static const struct {
		const char *name;
		uint32_t flags;
		int expected;
	} rows[] = {
		{ "mem:4096", BDEV_OPEN_RDWR, 0 },
		{ "mem:64K", BDEV_OPEN_RDWR, 0 },
		{ "mem:2T", BDEV_OPEN_RDWR, 0 },
		{ "mem:", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:0", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:4095", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:-1", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:1Mx", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:1X", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:99999999999999999999", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:16777216T", BDEV_OPEN_RDWR, -EINVAL },
		{ "mem:1M", BDEV_OPEN_CREATE, -EINVAL },
		{ "nbd://host/name", BDEV_OPEN_RDWR, -EPROTONOSUPPORT },
		{ "rbd:pool/image", 0, -EPROTONOSUPPORT },
		{ "nbd+unix:///x", 0, -EPROTONOSUPPORT },
		{ "file:/nonexistent/x", 0, -ENOENT },
		{ "/nonexistent/x", BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, -ENOENT },
		{ "./nbd:x", 0, -ENOENT },
		{ "x:y", 0, -ENOENT },
		{ "2nd:y", 0, -ENOENT },
		{ "", 0, -ENOENT },
		{ "/", 0, -ENOTBLK },
		{ "/", BDEV_OPEN_RDWR, -EISDIR },
		{ "/dev/null", BDEV_OPEN_RDWR, -ENOTBLK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bdev *dev = NULL;
		int err = bdev_open(rows[i].name, rows[i].flags, 4096, &dev);

		if (err != rows[i].expected)
			fail_msg("'%s': %s, expected %s", rows[i].name, xn_error_name(err),
				 xn_error_name(rows[i].expected));
		bdev_close(dev);
	}
}

static void a_read_only_disk_is_not_written(void **state)
{
	static const enum bdev_op ops[] = { BDEV_WRITE, BDEV_DISCARD, BDEV_WRITE_ZEROES };
	uint8_t bytes[512] = { 0 };
	struct iovec iov = { bytes, 512 };
	struct fixture fx = { 0 };
	struct bdev_info info;

	(void)state;
	assert_ok(bdev_open("mem:1M", BDEV_OPEN_RDONLY, 0, &fx.dev));
	assert_ok(bdev_queue_create(fx.dev, &fx.queue));
	bdev_info(fx.dev, &info);
	assert_false(info.writable);
	for (size_t i = 0; i < 3; i++) {
		struct bdev_request request = {
			.op = ops[i], .len = 512, .iov = &iov, .iov_count = 1
		};

		run_one(&fx, &request);
		assert_int_equal(request.outcome, BDEV_FAILED);
		assert_int_equal(request.error, -EROFS);
	}
	assert_ok(bdev_read(fx.dev, 0, bytes, 512));
	assert_ok(bdev_flush(fx.dev));
	assert_refused(bdev_lock(fx.dev, true, 0), -EROFS);
	assert_ok(bdev_lock(fx.dev, false, 0));
	bdev_queue_destroy(fx.queue);
	bdev_close(fx.dev);
}

/* ---- all of them, on all kinds ---- */

static const struct {
	const char *name;
	CMUnitTestFunction function;
} promises[] = {
#define P(name)             \
	{                   \
#name, name \
	}
	P(a_new_disk_reads_as_zero),
	P(it_says_what_it_is),
	P(what_was_written_in_pieces_is_read_in_other_pieces),
	P(a_request_may_have_thousands_of_pieces),
	P(zeroes_and_discards_stay_inside_their_range),
	P(length_zero_is_done_and_flushes_need_none),
	P(malformed_requests_are_refused_and_change_nothing),
	P(every_request_comes_back_exactly_once),
	P(destroying_a_queue_waits_for_what_is_in_flight),
	P(it_agrees_with_an_array_on_random_batches),
	P(many_threads_share_a_device),
#undef P
};

int main(void)
{
	const struct CMUnitTest names[] = {
		cmocka_unit_test(names_choose_the_kind_of_disk),
		cmocka_unit_test(a_read_only_disk_is_not_written),
	};
	int failed = cmocka_run_group_tests(names, NULL, NULL);

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct CMUnitTest tests[TESTS];
		size_t count = 0;

		for (; count < TESTS; count++)
			tests[count] = (struct CMUnitTest){
				.name = promises[count].name,
				.test_func = promises[count].function,
				.setup_func = fixture_new,
				.teardown_func = fixture_free,
				.initial_state = (void *)(uintptr_t)&kinds[k],
			};
		failed += _cmocka_run_group_tests(kinds[k].name, tests, count, NULL, NULL);
	}
	return failed;
}
