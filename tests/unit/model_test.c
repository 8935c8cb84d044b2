/* SPDX-License-Identifier: MIT */
/*
 * The disk model's arithmetic, on a drive whose numbers can be done by hand: a turn
 * takes 10 ms, a track has 100 sectors, so a sector passes in 100 us.
 */
#include "expect.h"

#include <errno.h>

#include "xn/bdev.h"

#define US 1000ull
#define MS 1000000ull

static const struct bdev_model plain = {
	.name = "plain",
	.request_max = 64u << 10,
	.overhead_ns = 300 * US,
	.rpm = 6000,
	.cylinders = 300,
	.heads = 2,
	.zones = 1,
	.outer_sectors = 100,
	.inner_sectors = 100,
	.seek_track_ns = 1 * MS,
	.seek_average_ns = 8 * MS,
	.seek_full_ns = 16 * MS,
	.head_switch_ns = 500 * US,
	.bus_bytes_s = 51200000, /* a sector in 10 us */
};

struct fixture {
	struct bdev *dev;
	struct bdev_queue *queue;
	uint8_t bytes[1u << 20];
	struct iovec iov[16];
	struct bdev_request requests[16];
	size_t n;
};

static void fixture_open(struct fixture *fx, const struct bdev_model *drive)
{
	struct bdev *mem;

	assert_ok(bdev_mem_create(300 * 2 * 100 * 512 / 4096 * 4096, &mem));
	assert_ok(bdev_model_create(mem, drive, &fx->dev));
	assert_ok(bdev_queue_create(fx->dev, &fx->queue));
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	fixture_open(*state, &plain);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	bdev_queue_destroy(fx->queue);
	bdev_close(fx->dev);
	free(fx);
	return 0;
}

static void reopen(struct fixture *fx, const struct bdev_model *drive)
{
	bdev_queue_destroy(fx->queue);
	bdev_close(fx->dev);
	fixture_open(fx, drive);
}

static void ask(struct fixture *fx, enum bdev_op op, uint64_t sector, uint64_t sectors)
{
	size_t i = fx->n++;

	fx->iov[i] = (struct iovec){ fx->bytes, sectors * 512 };
	fx->requests[i] = (struct bdev_request){ .op = op,
						 .offset = sector * 512,
						 .len = sectors * 512,
						 .iov = &fx->iov[i],
						 .iov_count = 1 };
}

static void submit(struct fixture *fx)
{
	struct bdev_request *requests[16], *done[16];
	size_t got = 0;

	for (size_t i = 0; i < fx->n; i++)
		requests[i] = &fx->requests[i];
	bdev_submit(fx->queue, requests, fx->n);
	while (got < fx->n)
		got += bdev_wait(fx->queue, done, fx->n - got, 1);
	for (size_t i = 0; i < fx->n; i++)
		assert_int_equal(fx->requests[i].outcome, BDEV_DONE);
	fx->n = 0;
}

static void one(struct fixture *fx, enum bdev_op op, uint64_t sector, uint64_t sectors)
{
	ask(fx, op, sector, sectors);
	submit(fx);
}

static struct bdev_model_result taken(struct fixture *fx)
{
	struct bdev_model_result result;

	bdev_model_result(fx->dev, &result);
	bdev_model_reset(fx->dev);
	return result;
}

static void a_first_sector_costs_overhead_rotation_and_transfer(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	one(fx, BDEV_WRITE, 7, 1);
	r = taken(fx);
	assert_int_equal(r.overhead_ns, 300 * US);
	assert_int_equal(r.seek_ns, 0);
	assert_int_equal(r.rotation_ns, 400 * US); /* the disk stands at 3 when the command is in */
	assert_int_equal(r.transfer_ns, 100 * US);
	assert_int_equal(r.time_ns, 800 * US);
}

/* After its overhead the next sector has just passed. */
static void the_next_write_without_a_cache_misses_its_turn(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	one(fx, BDEV_WRITE, 3, 1);
	taken(fx);
	one(fx, BDEV_WRITE, 4, 1);
	r = taken(fx);
	assert_int_equal(r.rotation_ns, 10 * MS - 300 * US);
}

static void reading_on_costs_what_the_drive_has_not_read_ahead(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	one(fx, BDEV_READ, 0, 10);
	taken(fx);
	one(fx, BDEV_READ, 10, 10); /* 3 of the 10 passed during the overhead */
	r = taken(fx);
	assert_int_equal(r.rotation_ns, 0);
	assert_int_equal(r.transfer_ns, 700 * US);
	bdev_model_pause(fx->dev, 50 * MS);
	one(fx, BDEV_READ, 20, 10); /* all of them: only the bus */
	r = taken(fx);
	assert_int_equal(r.transfer_ns, 100 * US);
	assert_int_equal(r.time_ns, 400 * US);
}

static void seeks_follow_a_root_and_then_a_line(void **state)
{
	struct fixture *fx = *state;
	static const struct {
		uint64_t from, to, ns;
	} rows[] = {
		{ 0, 1, 1 * MS },    /* track to track */
		{ 0, 100, 8 * MS },  /* a third: the average */
		{ 200, 0, 12 * MS }, /* half-way from there to the whole */
		{ 0, 299, 15960 * US } /* 199 of 200 */,
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bdev_model_result r;

		one(fx, BDEV_WRITE, rows[i].from * 200, 1);
		taken(fx);
		one(fx, BDEV_WRITE, rows[i].to * 200, 1);
		r = taken(fx);
		assert_int_equal(r.seek_ns, rows[i].ns);
		assert_int_equal(r.seeks, 1);
		assert_true(r.rotation_ns < 10 * MS);
	}
	one(fx, BDEV_WRITE, 0, 1);
	taken(fx);
	one(fx, BDEV_WRITE, 25 * 200, 1); /* sqrt(24 / 99) of 7 ms, and 1 */
	assert_in_range(taken(fx).seek_ns, 4446 * US, 4447 * US);
}

static void another_head_costs_a_switch_and_is_no_seek(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	one(fx, BDEV_WRITE, 0, 1);
	taken(fx);
	one(fx, BDEV_WRITE, 150, 1);
	r = taken(fx);
	assert_int_equal(r.seeks, 0);
	assert_int_equal(r.seek_ns, 500 * US);
}

/* Tracks are skewed so that going on is not punished. */
static void a_long_transfer_passes_tracks_and_cylinders(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;
	struct bdev_model drive = plain;

	drive.request_max = 1u << 20;
	reopen(fx, &drive);
	one(fx, BDEV_WRITE, 0, 401); /* four tracks and a sector: two switches, two steps */
	r = taken(fx);
	assert_int_equal(r.transfer_ns, 40 * MS + 2 * 500 * US + 2 * 1 * MS + 100 * US);
	assert_int_equal(r.writes, 1);
	one(fx, BDEV_WRITE, 0, 100); /* exactly a track: no switch */
	assert_int_equal(taken(fx).transfer_ns, 10 * MS);
}

static void the_outer_zone_is_faster(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model drive = plain;

	drive.zones = 2;
	drive.outer_sectors = 200;
	reopen(fx, &drive);
	one(fx, BDEV_WRITE, 0, 10);
	assert_int_equal(taken(fx).transfer_ns, 500 * US);
	one(fx, BDEV_WRITE, 59000, 10); /* still outside: 150 cylinders of 400 sectors */
	assert_int_equal(taken(fx).transfer_ns, 500 * US);
}

static void what_is_submitted_together_is_sorted_merged_and_cut(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	ask(fx, BDEV_WRITE, 8, 8);
	ask(fx, BDEV_WRITE, 1000, 8);
	ask(fx, BDEV_WRITE, 0, 8);
	ask(fx, BDEV_READ, 16, 8); /* a neighbour, but of another kind */
	ask(fx, BDEV_WRITE, 2000, 300);
	submit(fx);
	r = taken(fx);
	assert_int_equal(r.submitted, 5);
	assert_int_equal(r.writes, 2 + 3); /* 16, 8; 128 + 128 + 44 sectors */
	assert_int_equal(r.reads, 1);
	assert_int_equal(r.written_bytes, (16 + 8 + 300) * 512);
	assert_int_equal(r.write_class[4], 1); /* 8 KiB */
	assert_int_equal(r.write_class[3], 1); /* 4 KiB */
	assert_int_equal(r.write_class[7], 2); /* 64 KiB */
	assert_int_equal(r.write_class[6], 1); /* 22 KiB */
	assert_int_equal(r.read_class[3], 1);
	assert_int_equal(r.unmodelled, 0);
}

static void a_flush_keeps_its_place_in_a_submission(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model_result r;

	ask(fx, BDEV_WRITE, 0, 8);
	ask(fx, BDEV_FLUSH, 0, 0);
	ask(fx, BDEV_WRITE, 8, 8);
	submit(fx);
	r = taken(fx);
	assert_int_equal(r.writes, 2);
	assert_int_equal(r.flushes, 1);
	assert_int_equal(r.flush_ns, 0); /* there is no cache to empty */
}

static void a_write_cache_writes_at_the_flush_in_one_sweep(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model drive = plain;
	struct bdev_model_result r;

	drive.cache_bytes = 1u << 20;
	reopen(fx, &drive);
	one(fx, BDEV_WRITE, 20000, 10);
	one(fx, BDEV_WRITE, 10, 10);
	one(fx, BDEV_WRITE, 0, 10);
	r = taken(fx);
	assert_int_equal(r.time_ns, 3 * (300 + 100) * US); /* overhead and the bus */
	one(fx, BDEV_FLUSH, 0, 0);
	r = taken(fx);
	assert_int_equal(r.seeks, 1); /* 0-19 become one */
	assert_int_equal(r.transfer_ns, 3 * 1 * MS);
	assert_int_equal(r.flush_ns, r.time_ns);
	one(fx, BDEV_FLUSH, 0, 0);
	assert_int_equal(taken(fx).time_ns, 0);
}

static void a_full_write_cache_is_emptied_before_more_comes(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model drive = plain;
	struct bdev_model_result r;

	drive.cache_bytes = 8192;
	reopen(fx, &drive);
	one(fx, BDEV_WRITE, 0, 16);
	assert_int_equal(taken(fx).rotation_ns, 0);
	one(fx, BDEV_WRITE, 16, 16);
	r = taken(fx);
	assert_int_equal(r.transfer_ns, 16 * 100 * US + 16 * 10 * US);
}

static void a_forced_write_does_not_wait_in_the_cache(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model drive = plain;
	struct bdev_model_result r;

	drive.cache_bytes = 1u << 20;
	reopen(fx, &drive);
	assert_ok(bdev_write(fx->dev, 512 * 7, fx->bytes, 512, BDEV_FUA));
	r = taken(fx);
	assert_int_equal(r.time_ns, 800 * US);
	one(fx, BDEV_FLUSH, 0, 0);
	assert_int_equal(taken(fx).time_ns, 0);
}

static void a_drive_without_arms_serves_many_at_a_time(void **state)
{
	static const struct bdev_model flash = {
		.name = "flash",
		.request_max = 1u << 20,
		.depth = 4,
		.read_ns = 100 * US,
		.write_ns = 20 * US,
		.read_bytes_s = 512000000, /* a sector in 1 us */
		.write_bytes_s = 256000000,
		.flush_ns = 700 * US,
	};
	struct fixture *fx = *state;
	struct bdev_model_result r;

	reopen(fx, &flash);
	for (uint64_t i = 0; i < 5; i++)
		ask(fx, BDEV_READ, 100 * i, 8);
	submit(fx);
	r = taken(fx);
	assert_int_equal(r.time_ns, 2 * 100 * US + 5 * 8 * US);
	one(fx, BDEV_FLUSH, 0, 0);
	assert_int_equal(taken(fx).time_ns, 0); /* nothing was written */
	one(fx, BDEV_WRITE, 0, 8);
	one(fx, BDEV_FLUSH, 0, 0);
	r = taken(fx);
	assert_int_equal(r.time_ns, 20 * US + 16 * US + 700 * US);
	assert_int_equal(r.flush_ns, 700 * US);
	assert_int_equal(r.seeks, 0);
}

static void drives_that_make_no_sense_are_refused(void **state)
{
	struct fixture *fx = *state;
	struct bdev_model drive;
	struct bdev *dev;

#define REFUSED(field, value, error)                                             \
	do {                                                                     \
		drive = plain;                                                   \
		drive.field = (value);                                           \
		assert_refused(bdev_model_create(fx->dev, &drive, &dev), error); \
	} while (0)
	REFUSED(request_max, 0, -EINVAL);
	REFUSED(request_max, 1000, -EINVAL);
	REFUSED(heads, 0, -EINVAL);
	REFUSED(zones, 0, -EINVAL);
	REFUSED(zones, 33, -EINVAL);
	REFUSED(inner_sectors, 0, -EINVAL);
	REFUSED(inner_sectors, 101, -EINVAL);
	REFUSED(cylinders, 5, -EINVAL);
	REFUSED(bus_bytes_s, 0, -EINVAL);
	REFUSED(rpm, 0, -EINVAL); /* and no depth */
	REFUSED(cylinders, 100, -ENOSPC);
#undef REFUSED
}

/* What their data sheets say, from the models. */
static void the_stated_drives_are_what_they_say(void **state)
{
	static const struct {
		const char *name;
		uint64_t gigabytes_min, gigabytes_max, mb_s_min, mb_s_max;
		uint64_t random_min_us, random_max_us;
	} rows[] = {
		{ "atlas1996", 2, 2, 6, 9, 11000, 15000 },
		{ "sata7200", 3900, 4300, 170, 215, 4000, 15000 },
		{ "nvme", 0, 0, 2500, 3300, 50, 200 },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct bdev_model *drive = bdev_model_find(rows[i].name);
		uint64_t size =
			rows[i].gigabytes_min ? rows[i].gigabytes_min * 1000000000 : 1u << 30;
		struct bdev_model_result r;
		uint8_t *bytes = calloc(1, 1u << 20);
		struct bdev *mem, *dev;
		uint64_t seed = 1, mb_s;

		assert_non_null(drive);
		assert_string_equal(drive->name, rows[i].name);
		assert_ok(bdev_mem_create(size, &mem));
		assert_ok(bdev_model_create(mem, drive, &dev));
		for (uint64_t at = 0; at < 64; at++)
			assert_ok(bdev_read(dev, at << 20, bytes, 1u << 20));
		bdev_model_result(dev, &r);
		mb_s = (64ull << 20) * 1000 / r.time_ns;
		assert_in_range(mb_s, rows[i].mb_s_min, rows[i].mb_s_max);
		bdev_model_reset(dev);
		for (int n = 0; n < 1000; n++)
			assert_ok(
				bdev_read(dev, chance(&seed) % (size / 4096) * 4096, bytes, 4096));
		bdev_model_result(dev, &r);
		assert_in_range(r.time_ns / 1000 / 1000, rows[i].random_min_us,
				rows[i].random_max_us);
		bdev_close(dev);
		if (rows[i].gigabytes_max) {
			assert_ok(bdev_mem_create((rows[i].gigabytes_max + 1) * 1000000000, &mem));
			assert_refused(bdev_model_create(mem, drive, &dev), -ENOSPC);
			bdev_close(mem);
		}
		free(bytes);
	}
	assert_null(bdev_model_find("floppy"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_first_sector_costs_overhead_rotation_and_transfer),
		T(the_next_write_without_a_cache_misses_its_turn),
		T(reading_on_costs_what_the_drive_has_not_read_ahead),
		T(seeks_follow_a_root_and_then_a_line),
		T(another_head_costs_a_switch_and_is_no_seek),
		T(a_long_transfer_passes_tracks_and_cylinders),
		T(the_outer_zone_is_faster),
		T(what_is_submitted_together_is_sorted_merged_and_cut),
		T(a_flush_keeps_its_place_in_a_submission),
		T(a_write_cache_writes_at_the_flush_in_one_sweep),
		T(a_full_write_cache_is_emptied_before_more_comes),
		T(a_forced_write_does_not_wait_in_the_cache),
		T(a_drive_without_arms_serves_many_at_a_time),
		T(drives_that_make_no_sense_are_refused),
		cmocka_unit_test(the_stated_drives_are_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
