/* SPDX-License-Identifier: MIT */
/*
 * What only the file device promises, on a host that may be slow or fail: the
 * linker puts the functions below between the device and the host.
 */
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "xn/bdev.h"

#define DISK (1u << 20)

/* ---- the host ---- */

struct host {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int wait_for; /* reads wait until so many are there */
	int inside, most;
	pthread_t last_reader;
	int write_error, sync_error, fallocate_error;
	size_t transfer_max; /* bytes the host moves at once, 0: any */
	int interrupts;      /* so many transfers are interrupted first */
	int syncs;
	int reads;           /* that the caller or a thread asked for */
	off_t bad;           /* reads that cover this byte fail; 0: none */
	int rings, no_rings; /* made; refused once so many are */
};

static const struct host host_as_usual = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.no_rings = 1000,
};
static struct host host = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			    .changed = PTHREAD_COND_INITIALIZER,
			    .no_rings = 1000 };

#ifdef XN_URING
struct io_uring;
int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	if (host.rings >= host.no_rings)
		return -EPERM;
	host.rings++;
	return __real_io_uring_queue_init(entries, ring, flags);
}
#endif

ssize_t __real_preadv64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __real_pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);

static bool host_interrupts(void)
{
	bool interrupts;

	pthread_mutex_lock(&host.mutex);
	interrupts = host.interrupts > 0;
	host.interrupts -= interrupts;
	pthread_mutex_unlock(&host.mutex);
	errno = EINTR;
	return interrupts;
}

/* The first piece only, and no more of it than the host moves at once. */
static struct iovec host_part(const struct iovec *iov)
{
	return (struct iovec){ iov->iov_base, iov->iov_len < host.transfer_max
						      ? iov->iov_len
						      : host.transfer_max };
}

ssize_t __wrap_preadv64(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct timespec limit;

	if (host_interrupts())
		return -1;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20;
	pthread_mutex_lock(&host.mutex);
	host.last_reader = pthread_self();
	host.reads++;
	host.inside++;
	host.most = host.inside > host.most ? host.inside : host.most;
	pthread_cond_broadcast(&host.changed);
	while (host.most < host.wait_for)
		if (pthread_cond_timedwait(&host.changed, &host.mutex, &limit))
			break;
	host.inside--;
	pthread_mutex_unlock(&host.mutex);
	if (host.bad && offset <= host.bad) {
		off_t end = offset;

		for (int i = 0; i < count; i++)
			end += (off_t)iov[i].iov_len;
		errno = EIO;
		if (host.bad < end)
			return -1;
	}
	if (host.transfer_max) {
		struct iovec part = host_part(iov);

		return __real_preadv64(fd, &part, 1, offset);
	}
	return __real_preadv64(fd, iov, count, offset);
}

ssize_t __wrap_pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (host_interrupts())
		return -1;
	if (host.write_error) {
		errno = host.write_error;
		return -1;
	}
	if (host.transfer_max) {
		struct iovec part = host_part(iov);

		return __real_pwritev64v2(fd, &part, 1, offset, flags);
	}
	return __real_pwritev64v2(fd, iov, count, offset, flags);
}

int __wrap_fdatasync(int fd)
{
	host.syncs++;
	if (host.sync_error) {
		errno = host.sync_error;
		return -1;
	}
	return __real_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	if (host.fallocate_error) {
		errno = host.fallocate_error;
		return -1;
	}
	return __real_fallocate64(fd, mode, offset, len);
}

/* ---- the fixture ---- */

struct fixture {
	char path[64];
	struct bdev *dev;
	struct bdev_queue *queue;
};

static int fixture_new(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	snprintf(fx->path, sizeof(fx->path), "/tmp/xn-file-%d.img", getpid());
	unlink(fx->path);
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE | BDEV_OPEN_THREADS, DISK,
			    &fx->dev));
	assert_ok(bdev_queue_create(fx->dev, &fx->queue));
	*state = fx;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *fx = *state;

	host = host_as_usual;
	bdev_queue_destroy(fx->queue);
	bdev_close(fx->dev);
	unlink(fx->path);
	free(fx);
	return 0;
}

static struct bdev *reopen(struct fixture *fx, uint32_t flags)
{
	struct bdev *dev;

	assert_ok(bdev_open(fx->path, flags, 0, &dev));
	return dev;
}

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- opening and size ---- */

static void create_makes_a_sparse_file_and_keeps_an_old_one(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 1 }, after[512];
	struct bdev_info info;
	struct bdev *dev;
	struct stat st;

	assert_int_equal(stat(fx->path, &st), 0);
	assert_int_equal(st.st_size, DISK);
	assert_int_equal(st.st_blocks, 0);
	assert_ok(bdev_write(fx->dev, 0, bytes, 512, 0));
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, 4 * DISK, &dev));
	bdev_info(dev, &info);
	assert_int_equal(info.size, DISK);
	assert_ok(bdev_read(dev, 0, after, 512));
	assert_memory_equal(after, bytes, 512);
	bdev_close(dev);
}

static void a_file_too_large_for_the_host_is_not_left_behind(void **state)
{
	struct fixture *fx = *state;
	char path[80];
	struct bdev *dev;

	snprintf(path, sizeof(path), "%s.new", fx->path);
	assert_refused(bdev_open(path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, UINT64_MAX, &dev),
		       -EFBIG);
	assert_refused(bdev_open(path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, INT64_MAX, &dev), -EFBIG);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_fifo_is_refused_at_once(void **state)
{
	struct fixture *fx = *state;
	char path[80];
	struct bdev *dev;

	snprintf(path, sizeof(path), "%s.fifo", fx->path);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(bdev_open(path, BDEV_OPEN_RDONLY, 0, &dev), -ENOTBLK);
	assert_refused(bdev_open(path, BDEV_OPEN_RDWR, 0, &dev), -ENOTBLK);
	unlink(path);
}

static void the_size_is_rounded_down_to_whole_blocks(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 0 };
	struct bdev_info info;

	assert_ok(bdev_resize(fx->dev, 3 * 4096 + 4095));
	bdev_info(fx->dev, &info);
	assert_int_equal(info.size, 3 * 4096);
	assert_refused(bdev_write(fx->dev, 3 * 4096, bytes, 512, 0), -EINVAL);
}

static void a_file_grows_and_shrinks(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512];

	memset(bytes, 1, sizeof(bytes));
	assert_ok(bdev_resize(fx->dev, 8ull << 30));
	assert_ok(bdev_write(fx->dev, (8ull << 30) - 512, bytes, 512, 0));
	assert_ok(bdev_read(fx->dev, 4ull << 30, bytes, 512));
	assert_int_equal(bytes[0], 0);
	assert_ok(bdev_resize(fx->dev, 4096));
	assert_refused(bdev_read(fx->dev, 4096, bytes, 512), -EINVAL);
	assert_refused(bdev_resize(fx->dev, UINT64_MAX), -EFBIG);
}

static void a_reader_neither_writes_nor_resizes(void **state)
{
	struct fixture *fx = *state;
	struct bdev *dev = reopen(fx, BDEV_OPEN_RDONLY);
	uint8_t bytes[512] = { 0 };
	struct bdev_info info;

	bdev_info(dev, &info);
	assert_false(info.writable);
	assert_false(info.can_resize);
	assert_refused(bdev_write(dev, 0, bytes, 512, 0), -EROFS);
	assert_refused(bdev_resize(dev, 4096), -EROFS);
	assert_refused(bdev_lock(dev, true, 0), -EROFS);
	assert_ok(bdev_flush(dev));
	bdev_close(dev);
}

static void a_file_cut_by_somebody_else_fails_the_read(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512];

	assert_int_equal(truncate(fx->path, 0), 0);
	assert_refused(bdev_read(fx->dev, 4096, bytes, 512), -EIO);
}

/* ---- overlap ---- */

static void reads_submit(struct fixture *fx, struct bdev_request *requests, struct iovec *iov,
			 uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct bdev_request *submit = &requests[i];

		iov[i] = (struct iovec){ bytes + 512 * i, 512 };
		requests[i] = (struct bdev_request){ .op = BDEV_READ,
						     .offset = 512 * i,
						     .len = 512,
						     .iov = &iov[i],
						     .iov_count = 1 };
		bdev_submit(fx->queue, &submit, 1);
	}
}

static void one_request_on_an_empty_queue_runs_in_the_callers_thread(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request requests[2], *done[2];
	struct iovec iov[2];
	uint8_t bytes[1024];

	for (int round = 0; round < 3; round++) {
		reads_submit(fx, requests, iov, bytes, 1);
		assert_true(pthread_equal(host.last_reader, pthread_self()));
		assert_int_equal(bdev_wait(fx->queue, done, 1, 1), 1);
	}
	reads_submit(fx, requests, iov, bytes, 2);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 2), 2);
	assert_false(pthread_equal(host.last_reader, pthread_self()));
}

/* The host answers no read before three are there: a device that serialises waits in vain. */
static void several_requests_overlap(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request requests[8], *done[8], *submit[8];
	struct iovec iov[8];
	uint8_t bytes[8 * 512];

	for (size_t i = 0; i < 8; i++) {
		iov[i] = (struct iovec){ bytes + 512 * i, 512 };
		requests[i] = (struct bdev_request){ .op = BDEV_READ,
						     .offset = 1024 * i, /* no neighbours */
						     .len = 512,
						     .iov = &iov[i],
						     .iov_count = 1 };
		submit[i] = &requests[i];
	}
	host.wait_for = 3;
	bdev_submit(fx->queue, submit, 8);
	assert_int_equal(bdev_wait(fx->queue, done, 8, 8), 8);
	assert_true(host.most >= 3);
}

static void wait_for_none_does_not_wait(void **state)
{
	struct fixture *fx = *state;
	struct bdev_request requests[2], *done[2], *submit[2] = { &requests[0], &requests[1] };
	struct iovec iov = { (uint8_t[512]){ 0 }, 512 }, other = { (uint8_t[512]){ 0 }, 512 };

	requests[0] =
		(struct bdev_request){ .op = BDEV_READ, .len = 512, .iov = &iov, .iov_count = 1 };
	requests[1] =
		(struct bdev_request){ .op = BDEV_READ, .len = 512, .iov = &other, .iov_count = 1 };
	host.wait_for = 3;
	bdev_submit(fx->queue, submit, 2);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 0), 0);
	pthread_mutex_lock(&host.mutex);
	host.wait_for = 0;
	pthread_cond_broadcast(&host.changed);
	pthread_mutex_unlock(&host.mutex);
	assert_int_equal(bdev_wait(fx->queue, done, 2, 2), 2);
}

/* ---- neighbours ---- */

struct batch {
	struct bdev_request requests[512], *submit[512], *done[512];
	struct iovec iov[512];
	uint8_t bytes[512][512];
};

/* `count` reads or writes of a sector each, every `step` sectors from the first on. */
static struct batch *batch_new(enum bdev_op op, size_t count, uint64_t step)
{
	struct batch *b = calloc(1, sizeof(*b));

	for (size_t i = 0; i < count; i++) {
		memset(b->bytes[i], op == BDEV_WRITE ? (int)i + 1 : 0, 512);
		b->iov[i] = (struct iovec){ b->bytes[i], 512 };
		b->requests[i] = (struct bdev_request){ .op = op,
							.offset = step * 512 * i,
							.len = 512,
							.iov = &b->iov[i],
							.iov_count = 1 };
		b->submit[i] = &b->requests[i];
	}
	return b;
}

static void batch_run(struct bdev_queue *queue, struct batch *b, size_t count)
{
	size_t got = 0;

	bdev_submit(queue, b->submit, count);
	while (got < count)
		got += bdev_wait(queue, b->done, count - got, 1);
}

static void assert_batch_read(struct batch *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(b->requests[i].outcome, BDEV_DONE);
		for (size_t k = 0; k < 512; k++)
			assert_int_equal(b->bytes[i][k], (uint8_t)(i + 1));
	}
}

static void neighbours_become_one_request(void **state)
{
	struct fixture *fx = *state;
	struct batch *out = batch_new(BDEV_WRITE, 100, 1), *in = batch_new(BDEV_READ, 100, 1);

	batch_run(fx->queue, out, 100);
	host.reads = 0;
	batch_run(fx->queue, in, 100);
	assert_int_equal(host.reads, 2); /* 64 pieces at once, then the rest */
	assert_batch_read(in, 100);
	free(out);
	free(in);
}

static void what_differs_in_kind_or_leaves_a_gap_is_no_neighbour(void **state)
{
	struct fixture *fx = *state;
	struct batch *b = batch_new(BDEV_READ, 4, 1);

	b->requests[1].op = BDEV_WRITE;
	b->requests[3].offset += 512;
	batch_run(fx->queue, b, 4);
	assert_int_equal(host.reads, 3);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(b->requests[i].outcome, BDEV_DONE);
	free(b);
}

static void of_neighbours_only_the_bad_one_fails(void **state)
{
	struct fixture *fx = *state;
	struct batch *out = batch_new(BDEV_WRITE, 10, 1), *in = batch_new(BDEV_READ, 10, 1);

	batch_run(fx->queue, out, 10);
	host.bad = 512 * 7;
	batch_run(fx->queue, in, 10);
	assert_int_equal(in->requests[7].outcome, BDEV_FAILED);
	assert_int_equal(in->requests[7].error, -EIO);
	assert_batch_read(in, 7);
	assert_int_equal(in->requests[9].outcome, BDEV_DONE);
	assert_int_equal(in->bytes[9][0], 10);
	free(out);
	free(in);
}

/* ---- the ring ---- */

static struct bdev_info info_of(const struct bdev *dev)
{
	struct bdev_info info;

	bdev_info(dev, &info);
	return info;
}

/* A queue of a device of its own, with the ring where there is one. */
static struct bdev *given_ring(struct fixture *fx, struct bdev_queue **queue)
{
	struct bdev *dev = reopen(fx, BDEV_OPEN_RDWR);

	assert_ok(bdev_queue_create(dev, queue));
	return dev;
}

static void round_trip(struct bdev_queue *queue, size_t count, uint64_t step)
{
	struct batch *out = batch_new(BDEV_WRITE, count, step);
	struct batch *in = batch_new(BDEV_READ, count, step);

	batch_run(queue, out, count);
	batch_run(queue, in, count);
	assert_batch_read(in, count);
	free(out);
	free(in);
}

static void more_than_the_ring_holds_may_be_submitted(void **state)
{
	struct fixture *fx = *state;
	struct bdev_queue *queue;
	struct bdev *dev = given_ring(fx, &queue);

	host.reads = 0;
	round_trip(queue, 512, 3);
	if (!strcmp(info_of(dev).engine, "io_uring"))
		assert_int_equal(host.reads, 0); /* the kernel did them all */
	bdev_queue_destroy(queue);
	bdev_close(dev);
}

static void where_rings_are_refused_threads_do_it(void **state)
{
	struct fixture *fx = *state;
	struct bdev_queue *queue;
	struct bdev *dev;

	host.no_rings = 0;
	dev = given_ring(fx, &queue);
	assert_string_equal(info_of(dev).engine, "threads");
	round_trip(queue, 100, 2);
	assert_int_equal(host.rings, 0);
	bdev_queue_destroy(queue);
	bdev_close(dev);
}

/* The first was to see; there is no memory for the second. */
static void a_queue_that_gets_no_ring_uses_threads(void **state)
{
	struct fixture *fx = *state;
	struct bdev_queue *queue;
	struct bdev *dev;

	host.no_rings = 1;
	dev = given_ring(fx, &queue);
	round_trip(queue, 100, 2);
	assert_true(host.rings <= 1);
	bdev_queue_destroy(queue);
	bdev_close(dev);
}

static void who_asks_for_threads_gets_them(void **state)
{
	struct fixture *fx = *state;

	assert_string_equal(info_of(fx->dev).engine, "threads");
	round_trip(fx->queue, 100, 2);
	assert_int_equal(host.rings, 0);
}

static void a_file_cut_by_somebody_else_fails_in_the_ring_too(void **state)
{
	struct fixture *fx = *state;
	struct batch *b = batch_new(BDEV_READ, 4, 8);
	struct bdev_queue *queue;
	struct bdev *dev = given_ring(fx, &queue);

	assert_int_equal(truncate(fx->path, 3 * 4096), 0);
	batch_run(queue, b, 4);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(b->requests[i].outcome, BDEV_DONE);
	assert_int_equal(b->requests[3].outcome, BDEV_FAILED);
	assert_int_equal(b->requests[3].error, -EIO);
	bdev_queue_destroy(queue);
	bdev_close(dev);
	free(b);
}

static void a_lost_flush_is_lost_in_the_ring_too(void **state)
{
	struct fixture *fx = *state;
	struct batch *b = batch_new(BDEV_WRITE, 3, 2);
	struct bdev_queue *queue;
	struct bdev *dev = given_ring(fx, &queue);

	b->requests[2] = (struct bdev_request){ .op = BDEV_FLUSH };
	batch_run(queue, b, 3);
	assert_int_equal(b->requests[2].outcome, BDEV_DONE);
	host.sync_error = EIO;
	assert_refused(bdev_flush(dev), XN_EUNKNOWN);
	host.sync_error = 0;
	batch_run(queue, b, 3);
	assert_int_equal(b->requests[0].outcome, BDEV_DONE);
	assert_int_equal(b->requests[2].outcome, BDEV_UNKNOWN);
	bdev_queue_destroy(queue);
	bdev_close(dev);
	free(b);
}

/* ---- a host that does things by halves ---- */

static void a_host_that_moves_little_at_once_is_asked_again(void **state)
{
	struct fixture *fx = *state;
	uint8_t out[8192], in[8192];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 13 >> 3);
	host.transfer_max = 1000;
	host.interrupts = 3;
	assert_ok(bdev_write(fx->dev, 4096, out, sizeof(out), 0));
	host.interrupts = 2;
	assert_ok(bdev_read(fx->dev, 4096, in, sizeof(in)));
	assert_memory_equal(in, out, sizeof(in));
}

static void a_failed_write_is_failed_and_a_failed_fua_write_unknown(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[512] = { 0 };

	host.write_error = ENOSPC;
	assert_refused(bdev_write(fx->dev, 0, bytes, 512, 0), -ENOSPC);
	assert_refused(bdev_write(fx->dev, 0, bytes, 512, BDEV_FUA), XN_EUNKNOWN);
	host.write_error = 0;
	assert_ok(bdev_write(fx->dev, 0, bytes, 512, BDEV_FUA));
	assert_ok(bdev_flush(fx->dev));
}

static void after_a_failed_flush_every_flush_is_unknown_until_reopened(void **state)
{
	struct fixture *fx = *state;
	struct bdev *dev;

	assert_ok(bdev_flush(fx->dev));
	assert_int_equal(host.syncs, 1);
	host.sync_error = EIO;
	assert_refused(bdev_flush(fx->dev), XN_EUNKNOWN);
	host.sync_error = 0;
	assert_refused(bdev_flush(fx->dev), XN_EUNKNOWN);
	dev = reopen(fx, BDEV_OPEN_RDWR);
	assert_ok(bdev_flush(dev));
	bdev_close(dev);
}

static enum bdev_outcome run(struct fixture *fx, enum bdev_op op, uint64_t offset, uint64_t len,
			     int *error)
{
	struct bdev_request request = { .op = op, .offset = offset, .len = len };
	struct bdev_request *submit = &request, *done;

	bdev_submit(fx->queue, &submit, 1);
	assert_int_equal(bdev_wait(fx->queue, &done, 1, 1), 1);
	*error = request.error;
	return request.outcome;
}

static void where_the_host_cannot_punch_zeroes_are_written(void **state)
{
	struct fixture *fx = *state;
	uint8_t *bytes = malloc(DISK);
	int error;

	memset(bytes, 1, DISK);
	assert_ok(bdev_write(fx->dev, 0, bytes, DISK, 0));
	host.fallocate_error = EOPNOTSUPP;
	assert_int_equal(run(fx, BDEV_WRITE_ZEROES, 512, 200000 / 512 * 512, &error), BDEV_DONE);
	assert_int_equal(run(fx, BDEV_DISCARD, 0, DISK, &error), BDEV_DONE);
	assert_ok(bdev_read(fx->dev, 0, bytes, DISK));
	for (size_t i = 0; i < DISK; i++)
		assert_int_equal(bytes[i], i < 512 || i >= 512 + 200000 / 512 * 512);
	free(bytes);
}

static void a_failed_discard_is_failed(void **state)
{
	struct fixture *fx = *state;
	int error;

	host.fallocate_error = EIO;
	assert_int_equal(run(fx, BDEV_DISCARD, 0, DISK, &error), BDEV_FAILED);
	assert_int_equal(error, -EIO);
	host.write_error = ENOSPC;
	assert_int_equal(run(fx, BDEV_WRITE_ZEROES, 0, DISK, &error), BDEV_FAILED);
	assert_int_equal(error, -ENOSPC);
}

static void discarding_gives_the_space_back(void **state)
{
	struct fixture *fx = *state;
	uint8_t *bytes = malloc(DISK);
	struct stat st;
	int error;

	memset(bytes, 1, DISK);
	assert_ok(bdev_write(fx->dev, 0, bytes, DISK, 0));
	assert_ok(bdev_flush(fx->dev));
	assert_int_equal(run(fx, BDEV_DISCARD, 0, DISK, &error), BDEV_DONE);
	assert_int_equal(stat(fx->path, &st), 0);
	assert_int_equal(st.st_size, DISK);
	assert_true(st.st_blocks * 512 < DISK / 2);
	free(bytes);
}

/* ---- locks ---- */

static void readers_share_and_a_writer_is_alone(void **state)
{
	struct fixture *fx = *state;
	struct bdev *first = reopen(fx, BDEV_OPEN_RDONLY);
	struct bdev *second = reopen(fx, BDEV_OPEN_RDWR);

	assert_ok(bdev_lock(first, false, 0));
	assert_ok(bdev_lock(second, false, 0));
	assert_refused(bdev_lock(fx->dev, true, 0), -EBUSY);
	bdev_close(first);
	assert_refused(bdev_lock(fx->dev, true, 0), -EBUSY);
	bdev_close(second);
	assert_ok(bdev_lock(fx->dev, true, 0));
	first = reopen(fx, BDEV_OPEN_RDONLY);
	assert_refused(bdev_lock(first, false, 0), -EBUSY);
	bdev_close(first);
}

/* A child that holds the exclusive lock for a while, and says when it has it. */
static pid_t holder_start(struct fixture *fx, unsigned int hold_ms)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct timespec hold = { hold_ms / 1000, hold_ms % 1000 * 1000000L };
		struct bdev *dev;

		if (bdev_open(fx->path, BDEV_OPEN_RDWR, 0, &dev) || bdev_lock(dev, true, 0))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		nanosleep(&hold, NULL);
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void holder_stop(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void another_process_is_refused_at_once_without_a_timeout(void **state)
{
	struct fixture *fx = *state;
	pid_t pid = holder_start(fx, 30000);
	uint64_t start = clock_ms();

	assert_refused(bdev_lock(fx->dev, true, 0), -EBUSY);
	assert_refused(bdev_lock(fx->dev, false, 0), -EBUSY);
	assert_true(clock_ms() - start < 10000);
	holder_stop(pid);
	assert_ok(bdev_lock(fx->dev, true, 1000)); /* a dead holder holds nothing */
}

static void waiting_for_a_holder_is_bounded(void **state)
{
	struct fixture *fx = *state;
	pid_t pid = holder_start(fx, 30000);
	uint64_t start = clock_ms();

	assert_refused(bdev_lock(fx->dev, true, 150), -EBUSY);
	assert_in_range(clock_ms() - start, 150, 20000);
	holder_stop(pid);
}

static void a_holder_that_is_just_finishing_is_waited_for(void **state)
{
	struct fixture *fx = *state;
	pid_t pid = holder_start(fx, 200);
	int status;

	assert_ok(bdev_lock(fx->dev, true, 20000));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* An open-file-description lock survives what a POSIX lock does not: closing another handle. */
static void closing_another_handle_keeps_the_lock(void **state)
{
	struct fixture *fx = *state;
	struct bdev *other;

	assert_ok(bdev_lock(fx->dev, true, 0));
	other = reopen(fx, BDEV_OPEN_RDONLY);
	bdev_close(other);
	other = reopen(fx, BDEV_OPEN_RDONLY);
	assert_refused(bdev_lock(other, false, 0), -EBUSY);
	bdev_close(other);
}

static void a_lock_passes_through_recorder_and_injector(void **state)
{
	struct fixture *fx = *state;
	struct bdev *recorder, *injector;

	assert_ok(bdev_recorder_create(reopen(fx, BDEV_OPEN_RDWR), &recorder));
	assert_ok(bdev_fault_create(recorder, &injector));
	assert_ok(bdev_lock(injector, true, 0));
	assert_refused(bdev_lock(fx->dev, true, 0), -EBUSY);
	assert_ok(bdev_resize(injector, 2 * DISK));
	bdev_close(injector);
	assert_ok(bdev_lock(fx->dev, true, 0));
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(create_makes_a_sparse_file_and_keeps_an_old_one),
		T(a_file_too_large_for_the_host_is_not_left_behind),
		T(a_fifo_is_refused_at_once),
		T(the_size_is_rounded_down_to_whole_blocks),
		T(a_file_grows_and_shrinks),
		T(a_reader_neither_writes_nor_resizes),
		T(a_file_cut_by_somebody_else_fails_the_read),
		T(one_request_on_an_empty_queue_runs_in_the_callers_thread),
		T(several_requests_overlap),
		T(neighbours_become_one_request),
		T(what_differs_in_kind_or_leaves_a_gap_is_no_neighbour),
		T(of_neighbours_only_the_bad_one_fails),
		T(more_than_the_ring_holds_may_be_submitted),
		T(where_rings_are_refused_threads_do_it),
		T(a_queue_that_gets_no_ring_uses_threads),
		T(who_asks_for_threads_gets_them),
		T(a_file_cut_by_somebody_else_fails_in_the_ring_too),
		T(a_lost_flush_is_lost_in_the_ring_too),
		T(wait_for_none_does_not_wait),
		T(a_host_that_moves_little_at_once_is_asked_again),
		T(a_failed_write_is_failed_and_a_failed_fua_write_unknown),
		T(after_a_failed_flush_every_flush_is_unknown_until_reopened),
		T(where_the_host_cannot_punch_zeroes_are_written),
		T(a_failed_discard_is_failed),
		T(discarding_gives_the_space_back),
		T(readers_share_and_a_writer_is_alone),
		T(another_process_is_refused_at_once_without_a_timeout),
		T(waiting_for_a_holder_is_bounded),
		T(a_holder_that_is_just_finishing_is_waited_for),
		T(closing_another_handle_keeps_the_lock),
		T(a_lock_passes_through_recorder_and_injector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
