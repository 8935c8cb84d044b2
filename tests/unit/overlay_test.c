/* SPDX-License-Identifier: MIT */
/*
 * What only the overlay promises: it never writes what it stands on, and can
 * forget.
 */
#include "expect.h"

#include <errno.h>
#include <unistd.h>

#include "xn/bdev.h"

#define DISK (64u << 10)

struct fixture {
	char path[64];
	struct bdev *faults; /* on the file, below the overlay */
	struct bdev *dev;
};

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(chance(&seed) >> 32);
}

/* A file of known bytes, opened only for reading. */
static int fixture_new(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	uint8_t bytes[DISK];
	struct bdev *file;

	snprintf(fx->path, sizeof(fx->path), "/tmp/xn-overlay-%d.img", getpid());
	unlink(fx->path);
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, DISK, &file));
	fill(bytes, DISK, 7);
	assert_ok(bdev_write(file, 0, bytes, DISK, 0));
	bdev_close(file);
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDONLY, 0, &file));
	assert_ok(bdev_fault_create(file, &fx->faults));
	assert_ok(bdev_overlay_create(fx->faults, &fx->dev));
	*state = fx;
	return 0;
}

static int fixture_free(void **state)
{
	struct fixture *fx = *state;

	bdev_close(fx->dev);
	unlink(fx->path);
	free(fx);
	return 0;
}

static void assert_shows(struct bdev *dev, const uint8_t *bytes)
{
	uint8_t got[DISK];

	assert_ok(bdev_read(dev, 0, got, DISK));
	assert_memory_equal(got, bytes, DISK);
}

static void writes_are_seen_and_never_reach_the_disk_below(void **state)
{
	struct fixture *fx = *state;
	uint8_t below[DISK], bytes[DISK];
	struct bdev *file;

	fill(below, DISK, 7);
	assert_shows(fx->dev, below);
	memcpy(bytes, below, DISK);
	fill(bytes + 512, 512, 1);
	fill(bytes + 8192 - 512, 5 * 512, 2);
	assert_ok(bdev_write(fx->dev, 512, bytes + 512, 512, 0));
	assert_ok(bdev_write(fx->dev, 8192 - 512, bytes + 8192 - 512, 5 * 512, BDEV_FUA));
	assert_ok(bdev_flush(fx->dev));
	assert_shows(fx->dev, bytes);
	assert_int_equal(bdev_overlay_sectors(fx->dev), 6);
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDONLY, 0, &file));
	assert_shows(file, below);
	bdev_close(file);
}

static void reset_shows_the_disk_below_again(void **state)
{
	struct fixture *fx = *state;
	uint8_t below[DISK], bytes[DISK];

	fill(below, DISK, 7);
	fill(bytes, DISK, 8);
	for (int round = 0; round < 2; round++) {
		assert_ok(bdev_write(fx->dev, 0, bytes, DISK, 0));
		assert_shows(fx->dev, bytes);
		bdev_overlay_reset(fx->dev);
		assert_int_equal(bdev_overlay_sectors(fx->dev), 0);
		assert_shows(fx->dev, below);
	}
}

static void it_is_writable_on_what_is_not(void **state)
{
	struct fixture *fx = *state;
	struct bdev_info info;

	bdev_info(fx->faults, &info);
	assert_false(info.writable);
	bdev_info(fx->dev, &info);
	assert_true(info.writable);
	assert_false(info.can_resize);
	assert_refused(bdev_resize(fx->dev, 2 * DISK), -ENOTSUP);
	assert_refused(bdev_write(fx->dev, DISK, "", 512, 0), -EINVAL);
}

/* Its exclusive lock lets other readers in and keeps a writer out. */
static void its_lock_is_the_shared_one_of_the_disk_below(void **state)
{
	struct fixture *fx = *state;
	struct bdev *reader, *writer;

	assert_ok(bdev_lock(fx->dev, true, 0));
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDONLY, 0, &reader));
	assert_ok(bdev_open(fx->path, BDEV_OPEN_RDWR, 0, &writer));
	assert_ok(bdev_lock(reader, false, 0));
	assert_refused(bdev_lock(writer, true, 0), -EBUSY);
	bdev_close(reader);
	bdev_close(writer);
}

static void what_was_written_over_an_unreadable_sector_is_read(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .nth = 1, .forever = true };
	uint8_t bytes[1024], got[1024];

	bdev_fault_arm(fx->faults, &fault);
	assert_refused(bdev_read(fx->dev, 4096, got, 512), -EIO);
	fill(bytes, sizeof(bytes), 3);
	assert_ok(bdev_write(fx->dev, 4096, bytes, 512, 0));
	assert_ok(bdev_read(fx->dev, 4096, got, 512));
	assert_memory_equal(got, bytes, 512);
	assert_refused(bdev_read(fx->dev, 4096, got, 1024), -EIO);
	assert_int_equal(bdev_fault_disarm(fx->faults), 2);
}

/* A failed read from below is not made good by the part that is here. */
static void an_unknown_read_stays_unknown(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_UNKNOWN, .nth = 1 };
	uint8_t bytes[512] = { 1 }, got[1024];

	assert_ok(bdev_write(fx->dev, 0, bytes, 512, 0));
	bdev_fault_arm(fx->faults, &fault);
	assert_refused(bdev_read(fx->dev, 0, got, 1024), XN_EUNKNOWN);
	assert_ok(bdev_read(fx->dev, 0, got, 1024));
	assert_memory_equal(got, bytes, 512);
}

/* A disk larger than this machine's memory. */
static void memory_grows_with_what_is_written(void **state)
{
	uint8_t bytes[512] = { 5 }, got[512];
	struct bdev *below, *dev;

	(void)state;
	assert_ok(bdev_open("mem:16T", BDEV_OPEN_RDONLY, 0, &below));
	assert_ok(bdev_overlay_create(below, &dev));
	for (uint64_t at = 0; at < 1000; at++) {
		bytes[1] = (uint8_t)at;
		assert_ok(bdev_write(dev, at * (16ull << 30), bytes, 512, 0));
	}
	for (uint64_t at = 0; at < 1000; at++) {
		bytes[1] = (uint8_t)at;
		assert_ok(bdev_read(dev, at * (16ull << 30), got, 512));
		assert_memory_equal(got, bytes, 512);
	}
	assert_int_equal(bdev_overlay_sectors(dev), 1000);
	assert_ok(bdev_read(dev, 512, got, 512));
	assert_int_equal(got[0], 0);
	bdev_close(dev);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(writes_are_seen_and_never_reach_the_disk_below),
		T(reset_shows_the_disk_below_again),
		T(it_is_writable_on_what_is_not),
		T(its_lock_is_the_shared_one_of_the_disk_below),
		T(what_was_written_over_an_unreadable_sector_is_read),
		T(an_unknown_read_stays_unknown),
		cmocka_unit_test(memory_grows_with_what_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
