/* SPDX-License-Identifier: MIT */
/*
 * The cache: a bound that holds, and bytes that may not leave it.
 */
#include "xn_fixture.h"

#define RW (XN_READ | XN_WRITE)

/* `n` sound data blocks to read over and over. */
static xn_binding_t given_bulk(struct fixture *fx, uint32_t record, uint64_t n)
{
	xn_blk_t start = given_child(fx, fx->root, record, n, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, record, start, n, T_DATA, RW);
	uint8_t page[XN_BLOCK];

	for (uint64_t i = 0; i < n; i++) {
		stamp_fill(page, start + i, fx->root, 1);
		assert_ok(xn_write(fx->session, b, i * XN_BLOCK, page, sizeof(page)));
		if (i % 40 == 39)
			(void)xn_sync(fx->session, 0);
	}
	assert_ok(xn_sync(fx->session, 0));
	return b;
}

static void reading_much_keeps_within_the_bound(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t bulk = given_bulk(fx, 0, 250);
	struct xn_stats stats;

	for (unsigned i = 0; i < 4; i++) {
		assert_ok(xn_readin(fx->session, bulk, 0, 250));
		stats = stats_of(fx);
		assert_true(stats.cache_bytes <= stats.cache_limit);
		assert_int_equal(stats.cache_limit, XN_CACHE_MIN);
		fixture_check(fx);
	}
	assert_true(stats.evictions > 500);
}

/* A tree that is not stable; then reads that would like its frames. */
static void nothing_unsound_leaves_the_cache(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t bulk = given_bulk(fx, 0, 250), b[20];
	xn_blk_t node = given_node(fx, fx->root, 1, NULL), data[20];
	uint64_t before;

	for (uint32_t i = 0; i < 20; i++)
		data[i] = given_data(fx, node, i * 20, 100 + i, NULL);
	for (unsigned written = 0; written < 2; written++) {
		struct xn_extent extent;

		assert_ok(xn_readin(fx->session, bulk, 0, 250));
		fixture_check(fx); /* truth 7: what is unsound has its bytes */
		before = stats_of(fx).blocks_in;
		for (uint32_t i = 0; i < 20; i++) {
			uint8_t page[XN_BLOCK];

			b[i] = given_bound(fx, node, i * 20, data[i], 1, T_DATA, RW);
			assert_ok(xn_read(fx->session, b[i], 0, page, sizeof(page)));
			assert_true(stamp_is(page, data[i], node, 100 + i));
			/* Written is not stable: these stay, too, the second time round. */
			extent = (struct xn_extent){ data[i], 1, 0, 0 };
			assert_ok(xn_writeback(fx->session, &extent, 1));
		}
		assert_int_equal(stats_of(fx).blocks_in, before);
	}
	assert_ok(xn_flush(fx->session)); /* now they may go */
	assert_ok(xn_readin(fx->session, bulk, 0, 250));
	assert_ok(xn_readin(fx->session, bulk, 0, 250));
	before = stats_of(fx).blocks_in;
	for (uint32_t i = 0; i < 20; i++) {
		uint8_t page[XN_BLOCK];

		assert_ok(xn_read(fx->session, b[i], 0, page, sizeof(page)));
		assert_true(stamp_is(page, data[i], node, 100 + i));
	}
	assert_true(stats_of(fx).blocks_in > before);
}

static void a_dirty_page_is_never_lost_to_a_read(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t bulk = given_bulk(fx, 0, 250), b;
	xn_blk_t data = given_data(fx, fx->root, 1, 1, &b);
	uint8_t page[XN_BLOCK];

	assert_ok(xn_sync(fx->session, 0));
	stamp_fill(page, data, fx->root, 2); /* sound on disk, newer in the cache */
	assert_ok(xn_write(fx->session, b, 0, page, sizeof(page)));
	assert_ok(xn_readin(fx->session, bulk, 0, 250));
	memset(page, 0, sizeof(page));
	assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
	assert_true(stamp_is(page, data, fx->root, 2));
}

/* Frames of one kind and root are given back when another wants them. */
static void frames_wander_between_data_metadata_and_roots(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t bulk = given_bulk(fx, 0, 250);
	xn_blk_t node[60];

	for (uint32_t i = 0; i < 60; i++) {
		node[i] = given_child(fx, fx->root, i + 1, 1, T_NODE);
		if (i % 20 == 19)
			assert_ok(xn_sync(fx->session, 0));
	}
	for (unsigned round = 0; round < 5; round++) {
		struct xn_stats stats;

		assert_ok(xn_readin(fx->session, bulk, 0, 250));
		for (uint32_t i = 0; i < 60; i++) {
			xn_binding_t b = given_bound(fx, fx->root, i + 1, node[i], 1, T_NODE,
						     XN_READ | XN_READIN);

			assert_ok(xn_unbind(fx->session, b));
		}
		stats = stats_of(fx);
		assert_true(stats.cache_bytes <= stats.cache_limit);
		fixture_check(fx);
	}
}

/* Objects of two blocks need two frames side by side, however scattered the free ones are. */
static void long_objects_find_room_among_short_ones(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_child(fx, fx->root, 0, 80, T_PAIR);
	xn_blk_t node[60];
	uint64_t seed = 4;

	assert_ok(xn_sync(fx->session, 0));
	for (uint32_t i = 0; i < 60; i++)
		node[i] = given_child(fx, fx->root, i + 1, 1, T_NODE);
	assert_ok(xn_sync(fx->session, 0));
	for (unsigned round = 0; round < 600; round++) {
		uint32_t k = (uint32_t)(chance(&seed) % 60);
		xn_binding_t b;

		if (chance(&seed) % 2)
			b = given_bound(fx, fx->root, 0, start + 2 * (k % 40), 2, T_PAIR,
					XN_READ | XN_READIN);
		else
			b = given_bound(fx, fx->root, k + 1, node[k], 1, T_NODE,
					XN_READ | XN_READIN);
		assert_ok(xn_unbind(fx->session, b));
	}
	fixture_check(fx);
}

static void counters_tell_what_happened(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t b;
	struct xn_stats before = stats_of(fx), after;
	uint8_t page[XN_BLOCK];

	given_data(fx, fx->root, 0, 1, &b);
	after = stats_of(fx);
	assert_int_equal(after.updates, before.updates + 1);
	assert_int_equal(after.binds, before.binds + 1);
	assert_int_equal(after.writes, before.writes + 1);
	assert_int_equal(after.cache_dirty_pages, 2);
	assert_true(after.cache_pinned_pages >= 1);
	assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
	assert_ok(xn_sync(fx->session, 0));
	after = stats_of(fx);
	assert_int_equal(after.reads, before.reads + 1);
	assert_int_equal(after.cache_dirty_pages, 0);
	assert_true(after.blocks_out >= before.blocks_out + 2);
	assert_int_equal(after.refused_updates, before.refused_updates);
}

/* More blocks known at a time than the table of blocks began with. */
static void thousands_of_known_blocks_are_found_again(void **state)
{
	struct fixture *fx = fixture_new(4096, 32u << 20);
	uint8_t page[XN_BLOCK];

	(void)state;
	for (uint32_t r = 0; r < 12; r++)
		given_bulk(fx, r, 250);
	assert_true(stats_of(fx).objects > 3000);
	for (uint32_t r = 0; r < 12; r++) {
		const void *bytes;
		uint64_t word;
		xn_binding_t b;
		size_t len;

		assert_ok(xn_map(fx->session, fx->root_binding, &bytes, &len));
		memcpy(&word, (const uint8_t *)bytes + r * 8, sizeof(word));
		b = given_bound(fx, fx->root, r, T_START(word), 250, T_DATA, XN_READ);
		for (uint64_t i = 0; i < 250; i++) {
			assert_ok(xn_read(fx->session, b, i * XN_BLOCK, page, sizeof(page)));
			assert_true(stamp_is(page, T_START(word) + i, fx->root, 1));
		}
	}
	fixture_check(fx);
	fixture_free(fx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SMALL(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_small_cache, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SMALL(reading_much_keeps_within_the_bound),
		SMALL(nothing_unsound_leaves_the_cache),
		SMALL(a_dirty_page_is_never_lost_to_a_read),
		SMALL(frames_wander_between_data_metadata_and_roots),
		SMALL(long_objects_find_room_among_short_ones),
		TEST(counters_tell_what_happened),
		cmocka_unit_test(thousands_of_known_blocks_are_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
