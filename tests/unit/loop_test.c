/* SPDX-License-Identifier: MIT */
/*
 * The file device on a real block device: a loop device over a file.
 */
#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "xn/bdev.h"

#define DISK    (8u << 20)
#define SKIPPED 77

struct loop {
	char path[64], device[64];
	int fd;
};

/* Take a free loop device for `backing`; somebody may be quicker, so try a few times. */
static bool loop_take(struct loop *loop, int control, int backing)
{
	for (int tries = 0; tries < 10; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return false;
		snprintf(loop->device, sizeof(loop->device), "/dev/loop%d", number);
		loop->fd = open(loop->device, O_RDWR | O_CLOEXEC);
		if (loop->fd >= 0 && !ioctl(loop->fd, LOOP_SET_FD, backing))
			return true;
		if (loop->fd >= 0)
			close(loop->fd);
		loop->fd = -1;
	}
	return false;
}

/* Attach a fresh file; false if this host does not let us. */
static bool loop_attach(struct loop *loop)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing;
	bool attached;

	if (control < 0)
		return false;
	snprintf(loop->path, sizeof(loop->path), "/tmp/xn-loop-%d.img", getpid());
	backing = open(loop->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	attached = backing >= 0 && !ftruncate(backing, DISK) && loop_take(loop, control, backing);
	if (backing >= 0)
		close(backing);
	close(control);
	return attached;
}

static void loop_detach(struct loop *loop)
{
	if (loop->fd >= 0) {
		ioctl(loop->fd, LOOP_CLR_FD);
		close(loop->fd);
	}
	unlink(loop->path);
}

static struct bdev *open_loop(void **state, uint32_t flags)
{
	const struct loop *loop = *state;
	struct bdev *dev;

	assert_ok(bdev_open(loop->device, flags, 0, &dev));
	return dev;
}

static void it_has_the_size_of_the_medium_and_cannot_be_resized(void **state)
{
	struct bdev *dev = open_loop(state, BDEV_OPEN_RDWR);
	struct bdev_info info;

	bdev_info(dev, &info);
	assert_int_equal(info.size, DISK);
	assert_int_equal(info.logical_block, 512);
	assert_false(info.can_resize);
	assert_refused(bdev_resize(dev, 2 * DISK), -ENOTSUP);
	bdev_close(dev);
}

static void what_is_written_around_the_cache_is_read_through_it(void **state)
{
	struct bdev *direct = open_loop(state, BDEV_OPEN_RDWR | BDEV_OPEN_DIRECT);
	struct bdev *cached = open_loop(state, BDEV_OPEN_RDWR);
	uint8_t out[8192], in[8192];

	memset(out, 0x3c, sizeof(out));
	assert_ok(bdev_write(direct, 4096, out, sizeof(out), BDEV_FUA));
	assert_ok(bdev_write(direct, 512, out, 512, 0));
	assert_ok(bdev_flush(direct));
	assert_ok(bdev_read(cached, 4096, in, sizeof(in)));
	assert_memory_equal(in, out, sizeof(in));
	assert_ok(bdev_read(cached, 512, in, 512));
	assert_memory_equal(in, out, 512);
	bdev_close(cached);
	bdev_close(direct);
}

static void zeroes_and_discards_reach_it(void **state)
{
	static const enum bdev_op ops[] = { BDEV_WRITE_ZEROES, BDEV_DISCARD };
	struct bdev *dev = open_loop(state, BDEV_OPEN_RDWR);
	uint8_t bytes[8192];
	struct bdev_queue *queue;

	assert_ok(bdev_queue_create(dev, &queue));
	for (size_t i = 0; i < 2; i++) {
		struct bdev_request request = { .op = ops[i], .offset = 4096, .len = 4096 };
		struct bdev_request *submit = &request, *done;

		memset(bytes, 0x11, sizeof(bytes));
		assert_ok(bdev_write(dev, 4096, bytes, sizeof(bytes), 0));
		bdev_submit(queue, &submit, 1);
		assert_int_equal(bdev_wait(queue, &done, 1, 1), 1);
		assert_int_equal(request.outcome, BDEV_DONE);
		assert_ok(bdev_read(dev, 4096, bytes, sizeof(bytes)));
		if (ops[i] == BDEV_WRITE_ZEROES)
			assert_int_equal(bytes[4095], 0);
		assert_int_equal(bytes[4096], 0x11);
	}
	bdev_queue_destroy(queue);
	bdev_close(dev);
}

static void a_second_writer_is_refused_until_the_first_is_gone(void **state)
{
	struct bdev *first = open_loop(state, BDEV_OPEN_RDWR);
	struct bdev *second = open_loop(state, BDEV_OPEN_RDWR);

	assert_ok(bdev_lock(first, true, 0));
	assert_refused(bdev_lock(second, true, 50), -EBUSY);
	assert_refused(bdev_lock(second, false, 0), -EBUSY);
	bdev_close(first);
	assert_ok(bdev_lock(second, true, 0));
	bdev_close(second);
}

/* A mount, or any other program, that holds the device exclusively keeps us out. */
static void an_exclusive_open_by_somebody_else_keeps_a_writer_out(void **state)
{
	const struct loop *loop = *state;
	int fd = open(loop->device, O_RDONLY | O_EXCL | O_CLOEXEC);
	struct bdev *dev = open_loop(state, BDEV_OPEN_RDWR);
	struct bdev *reader = open_loop(state, BDEV_OPEN_RDONLY);

	assert_true(fd >= 0);
	assert_refused(bdev_lock(dev, true, 30), -EBUSY);
	assert_ok(bdev_lock(reader, false, 0)); /* the refused writer kept nothing */
	bdev_close(reader);
	close(fd);
	assert_ok(bdev_lock(dev, true, 1000));
	bdev_close(dev);
}

int main(void)
{
	struct loop loop = { .fd = -1 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(it_has_the_size_of_the_medium_and_cannot_be_resized,
					  &loop),
		cmocka_unit_test_prestate(what_is_written_around_the_cache_is_read_through_it,
					  &loop),
		cmocka_unit_test_prestate(zeroes_and_discards_reach_it, &loop),
		cmocka_unit_test_prestate(a_second_writer_is_refused_until_the_first_is_gone,
					  &loop),
		cmocka_unit_test_prestate(an_exclusive_open_by_somebody_else_keeps_a_writer_out,
					  &loop),
	};
	int failed;

	if (!loop_attach(&loop)) {
		printf("SKIP: no loop device can be attached (root and /dev/loop-control "
		       "needed)\n");
		loop_detach(&loop);
		return SKIPPED;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_detach(&loop);
	return failed;
}
