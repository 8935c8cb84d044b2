/* SPDX-License-Identifier: MIT */
/*
 * What only the disk in memory promises: it is sparse, and its clones are
 * cheap and apart.
 */
#include "expect.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>

#include "xn/bdev.h"

#define MIB (1ull << 20)

static void put(struct bdev *dev, uint64_t offset, uint8_t value)
{
	uint8_t bytes[512];

	memset(bytes, value, sizeof(bytes));
	assert_ok(bdev_write(dev, offset, bytes, sizeof(bytes), 0));
}

static uint8_t look(struct bdev *dev, uint64_t offset)
{
	uint8_t bytes[512];

	assert_ok(bdev_read(dev, offset, bytes, sizeof(bytes)));
	for (size_t i = 1; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], bytes[0]);
	return bytes[0];
}

static struct bdev *clone_of(struct bdev *dev)
{
	struct bdev *copy;

	assert_ok(bdev_mem_clone(dev, &copy));
	return copy;
}

/* A disk larger than this machine's memory, touched at both ends. */
static void what_is_never_written_costs_nothing(void **state)
{
	struct bdev *dev;

	(void)state;
	assert_ok(bdev_mem_create(1ull << 42, &dev));
	put(dev, 0, 1);
	put(dev, (1ull << 42) - 512, 2);
	assert_int_equal(look(dev, 0), 1);
	assert_int_equal(look(dev, 1ull << 41), 0);
	assert_int_equal(look(dev, (1ull << 42) - 512), 2);
	bdev_close(dev);
}

static void an_impossible_size_is_refused(void **state)
{
	struct bdev *dev;

	(void)state;
	assert_refused(bdev_mem_create(0, &dev), -EINVAL);
	assert_refused(bdev_mem_create(4095, &dev), -EINVAL);
	assert_refused(bdev_mem_create(UINT64_MAX, &dev), -EINVAL);
	assert_ok(bdev_mem_create(8191, &dev));
	assert_refused(bdev_write(dev, 4096, "", 0, 0), 0);
	assert_refused(bdev_write(dev, 4608, "", 0, 0), -EINVAL);
	bdev_close(dev);
}

static void a_clone_and_its_original_go_their_own_ways(void **state)
{
	struct bdev *dev, *copy;

	(void)state;
	assert_ok(bdev_mem_create(64 * MIB, &dev));
	put(dev, 0, 1);
	put(dev, 40 * MIB, 2);
	copy = clone_of(dev);

	put(dev, 0, 10);
	put(copy, 40 * MIB, 20);
	put(copy, 512, 21);
	put(dev, 63 * MIB, 11);

	assert_int_equal(look(dev, 0), 10);
	assert_int_equal(look(dev, 512), 0);
	assert_int_equal(look(dev, 40 * MIB), 2);
	assert_int_equal(look(copy, 0), 1);
	assert_int_equal(look(copy, 512), 21);
	assert_int_equal(look(copy, 40 * MIB), 20);
	assert_int_equal(look(copy, 63 * MIB), 0);
	bdev_close(dev);
	assert_int_equal(look(copy, 0), 1);
	bdev_close(copy);
}

static void zeroing_a_clone_leaves_the_original(void **state)
{
	struct bdev_request request = { .op = BDEV_WRITE_ZEROES, .len = 4 * MIB };
	struct bdev_request *submit = &request, *done;
	struct bdev_queue *queue;
	struct bdev *dev, *copy;

	(void)state;
	assert_ok(bdev_mem_create(4 * MIB, &dev));
	put(dev, 0, 1);
	put(dev, 3 * MIB, 2);
	copy = clone_of(dev);
	assert_ok(bdev_queue_create(copy, &queue));
	bdev_submit(queue, &submit, 1);
	assert_int_equal(bdev_wait(queue, &done, 1, 1), 1);
	assert_int_equal(look(copy, 0), 0);
	assert_int_equal(look(copy, 3 * MIB), 0);
	assert_int_equal(look(dev, 0), 1);
	assert_int_equal(look(dev, 3 * MIB), 2);
	bdev_queue_destroy(queue);
	bdev_close(copy);
	bdev_close(dev);
}

static void only_a_disk_in_memory_can_be_cloned(void **state)
{
	struct bdev *dev, *recorder, *copy = NULL;

	(void)state;
	assert_ok(bdev_mem_create(MIB, &dev));
	assert_ok(bdev_recorder_create(dev, &recorder));
	assert_refused(bdev_mem_clone(recorder, &copy), -EINVAL);
	assert_null(copy);
	assert_refused(bdev_resize(recorder, 2 * MIB), -ENOTSUP);
	bdev_close(recorder);
}

/* A thousand clones of a full disk need far less than a thousand disks. */
static void a_clone_shares_what_nobody_changed(void **state)
{
	enum { CLONES = 1000, DISK = 16 << 20 };
	static struct bdev *copies[CLONES];
	uint8_t *bytes = malloc(DISK);
	struct mallinfo2 before, after;
	struct bdev *dev;

	(void)state;
	memset(bytes, 7, DISK);
	assert_ok(bdev_mem_create(DISK, &dev));
	assert_ok(bdev_write(dev, 0, bytes, DISK, 0));
	before = mallinfo2();
	for (int i = 0; i < CLONES; i++) {
		copies[i] = clone_of(dev);
		put(copies[i], 512ull * (uint64_t)i, (uint8_t)i);
	}
	after = mallinfo2();
	for (int i = 0; i < CLONES; i++)
		assert_int_equal(look(copies[i], 512ull * (uint64_t)i), (uint8_t)i);
	assert_true(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd < 3u * DISK);
	for (int i = 0; i < CLONES; i++)
		bdev_close(copies[i]);
	bdev_close(dev);
	free(bytes);
}

/* Random writes to a family of clones, each with an array that says what it holds. */
static void a_family_of_clones_agrees_with_arrays(void **state)
{
	enum { FAMILY = 6, SECTORS = 400 };
	struct bdev *devs[FAMILY] = { 0 };
	uint8_t models[FAMILY][SECTORS] = { 0 };
	uint64_t seed = 7, stride = 33 * 1024 * 512 / 16; /* over chunks and leaves */

	(void)state;
	assert_ok(bdev_mem_create(SECTORS * stride, &devs[0]));
	for (int step = 0; step < 4000; step++) {
		size_t who = chance(&seed) % FAMILY, from = chance(&seed) % FAMILY;
		size_t sector = chance(&seed) % SECTORS;

		if (devs[who] && chance(&seed) % 20) {
			models[who][sector] = (uint8_t)chance(&seed);
			put(devs[who], sector * stride / 512 * 512, models[who][sector]);
		} else if (devs[from] && from != who) {
			bdev_close(devs[who]);
			devs[who] = clone_of(devs[from]);
			memcpy(models[who], models[from], SECTORS);
		}
		if (devs[who])
			assert_int_equal(look(devs[who], sector * stride / 512 * 512),
					 models[who][sector]);
	}
	for (size_t who = 0; who < FAMILY; who++) {
		for (size_t sector = 0; devs[who] && sector < SECTORS; sector++)
			assert_int_equal(look(devs[who], sector * stride / 512 * 512),
					 models[who][sector]);
		bdev_close(devs[who]);
	}
}

static void *scribble(void *arg)
{
	struct bdev *dev = arg;

	for (uint64_t i = 0; i < 400; i++)
		put(dev, i % 64 * 4096, (uint8_t)i);
	return NULL;
}

/* Clones are taken, written and closed while the original is being written. */
static void clones_may_be_made_while_others_write(void **state)
{
	pthread_t thread;
	struct bdev *dev;

	(void)state;
	assert_ok(bdev_mem_create(MIB, &dev));
	assert_int_equal(pthread_create(&thread, NULL, scribble, dev), 0);
	for (int i = 0; i < 200; i++) {
		struct bdev *copy = clone_of(dev);
		uint8_t before = look(copy, 4096);

		put(copy, 0, 0xcc);
		assert_int_equal(look(copy, 4096), before);
		assert_int_equal(look(copy, 0), 0xcc);
		bdev_close(copy);
	}
	pthread_join(thread, NULL);
	assert_int_equal(look(dev, 63 * 4096), (uint8_t)383);
	bdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_never_written_costs_nothing),
		cmocka_unit_test(an_impossible_size_is_refused),
		cmocka_unit_test(a_clone_and_its_original_go_their_own_ways),
		cmocka_unit_test(zeroing_a_clone_leaves_the_original),
		cmocka_unit_test(only_a_disk_in_memory_can_be_cloned),
		cmocka_unit_test(a_clone_shares_what_nobody_changed),
		cmocka_unit_test(a_family_of_clones_agrees_with_arrays),
		cmocka_unit_test(clones_may_be_made_while_others_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
