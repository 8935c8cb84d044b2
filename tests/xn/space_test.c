/* SPDX-License-Identifier: MIT */
/* The free map on disk and in memory: what is claimed ahead, and takes in bad moments. */
#include "xn_fixture.h"

#define RW (XN_READ | XN_WRITE)

static void map_on_disk(struct fixture *fx, uint8_t *map)
{
	const uint8_t *disk = crashdev_now(fx->medium);
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)disk, &super));
	assert_int_equal(xn_map_decode(&super, 0, disk + xn_map_block(0) * XN_BLOCK, map), 0);
}

/* Blocks that the disk calls in use and that may be taken. */
static uint64_t claimed_ahead(struct fixture *fx)
{
	uint8_t on_disk[XN_MAP_CHUNK_BYTES], here[XN_MAP_CHUNK_BYTES];
	uint64_t n = 0;

	map_on_disk(fx, on_disk);
	assert_ok(xn_chunk_map(fx->xn, 0, here));
	for (uint32_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
		assert_int_equal(here[i] & ~on_disk[i], 0); /* everything was synced */
		n += (uint64_t)__builtin_popcount(on_disk[i] & ~here[i]);
	}
	return n;
}

struct map_writes {
	uint8_t last[XN_BLOCK];
	unsigned n;
};

static void count_map_writes(void *context, struct bdev *dev, enum bdev_op op)
{
	struct map_writes *writes = context;
	const uint8_t *map = crashdev_now(dev) + xn_map_block(0) * XN_BLOCK;

	if (op != BDEV_WRITE || !memcmp(map, writes->last, XN_BLOCK))
		return;
	memcpy(writes->last, map, XN_BLOCK);
	writes->n++;
}

static void a_disk_that_fills_steadily_writes_its_map_once_in_a_while(void **state)
{
	struct fixture *fx = fixture_new(8192, 8u << 20);
	struct map_writes writes = { .n = 0 };

	(void)state;
	crashdev_hook_set(fx->medium, count_map_writes, &writes);
	for (uint32_t i = 0; i < 300; i++) {
		given_child(fx, fx->root, i, 1, T_RESERVED);
		assert_ok(xn_sync(fx->session, 0));
		assert_true(claimed_ahead(fx) <= free_blocks(fx) / 100);
	}
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(writes.n >= 2 && writes.n < 20);
	fixture_free(fx);
}

/* Every crash on the way: no map shows free what is named, however it came to be taken. */
static void what_was_claimed_ahead_is_safe_to_name(void **state)
{
	struct fixture *fx = fixture_new(2048, 8u << 20);

	(void)state;
	fixture_watch(fx, 2);
	for (uint32_t i = 0; i < 60; i++) {
		given_data(fx, fx->root, i, i, NULL);
		if (i % 3 == 0)
			assert_ok(xn_sync(fx->session, 0));
		if (i % 7 == 6) {
			xn_blk_t data = given_data(fx, fx->root, 300, i, NULL);

			given_no_child(fx, fx->root, 300, data, 1, T_DATA);
		}
	}
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_free(fx);
}

static void nobody_finds_less_space_for_what_is_claimed_ahead(void **state)
{
	struct fixture *fx = fixture_new(8192, 8u << 20);
	struct xn_extent found;
	uint32_t record = 0;

	(void)state;
	given_child(fx, fx->root, record++, 1, T_RESERVED);
	assert_ok(xn_sync(fx->session, 0));
	assert_true(claimed_ahead(fx) > 10);
	while (xn_find_free(fx->session, 0, 100, 1, &found) == 0) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 8 * record++,
			     T_POINTER(found.start, found.count, T_RESERVED));
		request_alloc(&rq, found.start, found.count, XN_RESERVED);
		assert_ok(request_run(&rq, fx->session));
		assert_ok(xn_sync(fx->session, 0));
		assert_true(claimed_ahead(fx) <= free_blocks(fx) / 100);
	}
	assert_int_equal(free_blocks(fx), 0);
	assert_int_equal(claimed_ahead(fx), 0);
	fixture_free(fx);
}

static void a_clean_disk_has_nothing_claimed_ahead(void **state)
{
	struct fixture *fx = fixture_new(8192, 8u << 20);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		given_child(fx, fx->root, i, 1, T_RESERVED);
		assert_ok(xn_sync(fx->session, 0));
		assert_true(claimed_ahead(fx) > 10);
		fixture_reopen(fx); /* the medium is looked at */
		assert_int_equal(claimed_ahead(fx), 0);
	}
	fixture_free(fx);
}

static void a_crash_loses_no_more_than_a_hundredth_by_claims(void **state)
{
	struct fixture *fx = fixture_new(8192, 8u << 20);
	uint64_t before;

	(void)state;
	given_child(fx, fx->root, 0, 1, T_RESERVED);
	assert_ok(xn_sync(fx->session, 0));
	before = free_blocks(fx);
	xn_abandon(fx->xn);
	crashdev_crash(fx->medium, 0);
	fixture_open(fx);
	assert_true(free_blocks(fx) < before);
	assert_in_range(free_blocks(fx), before - before / 100, before);
	fixture_reclaim(fx);
	assert_int_equal(free_blocks(fx), before);
	fixture_free(fx);
}

/* ---- scenarios ---- */

struct moment {
	struct fixture *fx;
	xn_blk_t block, owner;
	bool done;
};

/* The map that shows the block free is on its way: now somebody takes it, and writes it. */
static void take_it(void *context, struct bdev *dev, enum bdev_op op)
{
	struct moment *m = context;
	uint8_t map[XN_MAP_CHUNK_BYTES], page[XN_BLOCK];
	struct request rq;
	xn_binding_t b;

	(void)dev;
	map_on_disk(m->fx, map);
	if (op != BDEV_WRITE || m->done || (map[m->block / 8] >> (m->block % 8) & 1))
		return;
	m->done = true;
	request_begin(&rq);
	request_word(&rq, m->owner, 8, T_POINTER(m->block, 1, T_DATA));
	request_alloc(&rq, m->block, 1, XN_DATA);
	assert_ok(request_run(&rq, m->fx->session));
	b = given_bound(m->fx, m->owner, 1, m->block, 1, T_DATA, RW);
	stamp_fill(page, m->block, m->owner, 2);
	assert_ok(xn_write(m->fx->session, b, 0, page, sizeof(page)));
}

static void free_reallocate_and_point_before_the_map_write_completed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct moment m = { .fx = fx, .owner = b };

	m.block = given_data(fx, a, 0, 1, NULL);
	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, a, 0, m.block, 1, T_DATA);
	crashdev_hook_set(fx->medium, take_it, &m);
	assert_ok(xn_sync(fx->session, 0));
	assert_true(m.done);
	fixture_watch(fx, 8); /* from here on every crash is looked at */
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_crash(fx, 0);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, b, 1, m.block, 1, T_DATA, XN_READ); /* synced, so it is there */
}

/* Whoever allocated is gone before it wrote: nothing of what was there is ever shown. */
static void die_between_allocating_and_writing_data(void **state)
{
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 8u << 20);
		struct xn_session *dying = given_session(fx, 0, 0);
		xn_blk_t node = given_node(fx, fx->root, 0, NULL), block;
		uint64_t before = free_blocks(fx);
		struct request rq;
		xn_binding_t b;
		xn_blk_t object;

		(void)state;
		assert_ok(xn_sync(fx->session, 0));
		fixture_watch(fx, 2);
		block = given_free(fx, 3);
		assert_ok(xn_bind_root(dying, "r", RW | XN_READIN, &b, &object));
		assert_ok(try_bind(fx, dying, object, 0, node, 1, fx->type[T_NODE], RW | XN_READIN,
				   &b));
		request_begin(&rq);
		request_word(&rq, node, 0, T_POINTER(block, 3, T_DATA));
		request_alloc(&rq, block, 3, XN_DATA);
		assert_ok(request_run(&rq, dying));
		xn_session_close(dying);
		assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
		crashdev_hook_set(fx->medium, NULL, NULL);
		if (seed % 2) {
			fixture_crash(fx, seed);
			assert_int_equal(free_blocks(fx), before);
		} else {
			uint8_t page[XN_BLOCK], zero[XN_BLOCK] = { 0 };

			fixture_reopen(fx); /* closing gives them zeroes */
			given_bound(fx, fx->root, 0, node, 1, T_NODE, RW | XN_READIN);
			b = given_bound(fx, node, 0, block, 3, T_DATA, XN_READ);
			assert_ok(xn_read(fx->session, b, XN_BLOCK, page, sizeof(page)));
			assert_memory_equal(page, zero, sizeof(page));
		}
		fixture_free(fx);
	}
}

/* ---- chunks that come into use ---- */

struct opening {
	uint64_t blocks;
	bool written, stable, counted; /* the second chunk's map; the superblock counts on it */
};

/* The second chunk's map as it is now; a disk that never had one is full of poison. */
static bool has_second_map(struct bdev *medium, const struct xn_super *super)
{
	uint8_t map[XN_MAP_CHUNK_BYTES];

	return !xn_map_decode(super, 1, crashdev_now(medium) + xn_map_block(1) * XN_BLOCK, map);
}

static void watch_opening(void *context, struct bdev *medium, enum bdev_op op)
{
	struct opening *opening = context;
	uint64_t places[3];
	unsigned n = xn_super_places(opening->blocks, places);

	for (unsigned i = 0; i < n; i++) {
		struct xn_super super;

		if (xn_super_decode((const void *)(crashdev_now(medium) + places[i] * XN_BLOCK),
				    &super))
			continue;
		opening->written |= has_second_map(medium, &super);
		opening->counted |= super.high_water > 1;
	}
	opening->stable |= op == BDEV_FLUSH && opening->written;
	/* Else a crash may leave a map that was never written, and all of it is lost as damaged. */
	assert_true(opening->stable || !opening->counted);
}

static void the_map_of_a_new_chunk_is_stable_before_the_superblock_counts_on_it(void **state)
{
	struct opening opening = { .blocks = XN_CHUNK_BLOCKS + 1024 };
	struct fixture *fx = fixture_new(opening.blocks, 8u << 20);
	struct request rq;

	(void)state;
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, watch_opening, &opening);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(XN_CHUNK_BLOCKS + 100, 1, T_RESERVED));
	request_alloc(&rq, XN_CHUNK_BLOCKS + 100, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(opening.counted);
	fixture_free(fx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_fills_steadily_writes_its_map_once_in_a_while),
		cmocka_unit_test(what_was_claimed_ahead_is_safe_to_name),
		cmocka_unit_test(nobody_finds_less_space_for_what_is_claimed_ahead),
		cmocka_unit_test(a_clean_disk_has_nothing_claimed_ahead),
		cmocka_unit_test(a_crash_loses_no_more_than_a_hundredth_by_claims),
		TEST(free_reallocate_and_point_before_the_map_write_completed),
		cmocka_unit_test(die_between_allocating_and_writing_data),
		cmocka_unit_test(
			the_map_of_a_new_chunk_is_stable_before_the_superblock_counts_on_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
