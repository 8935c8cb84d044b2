/* SPDX-License-Identifier: MIT */
/* xn_prefetch(): what is read before anybody owns up to it, and what never is. */
#include "xn_fixture.h"

#include <errno.h>

#define RW    (XN_READ | XN_WRITE)
#define COUNT 40u

static uint64_t blocks_in(struct fixture *fx)
{
	struct xn_stats stats;

	xn_stats(fx->xn, &stats);
	return stats.blocks_in;
}

/* `COUNT` stamped blocks on the disk, none of them in the cache. */
static xn_blk_t given_cold_data(struct fixture *fx)
{
	xn_blk_t data = given_child(fx, fx->root, 0, COUNT, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, RW);
	uint8_t bytes[XN_BLOCK];

	for (unsigned i = 0; i < COUNT; i++) {
		stamp_fill(bytes, data + i, fx->root, i);
		assert_ok(xn_write(fx->session, b, (uint64_t)i * XN_BLOCK, bytes, XN_BLOCK));
	}
	fixture_reopen(fx);
	return data;
}

static void assert_stamps(struct fixture *fx, xn_binding_t b, xn_blk_t data)
{
	uint8_t bytes[XN_BLOCK];

	for (unsigned i = 0; i < COUNT; i++) {
		assert_ok(xn_read(fx->session, b, (uint64_t)i * XN_BLOCK, bytes, XN_BLOCK));
		assert_true(stamp_is(bytes, data + i, fx->root, i));
	}
}

static void a_group_is_read_once(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, XN_READ);
	uint64_t before = blocks_in(fx), after;

	assert_int_equal(xn_prefetch(fx->session, data, data, COUNT), 1);
	after = blocks_in(fx);
	assert_true(after >= before + COUNT && after <= before + COUNT + 30);
	assert_int_equal(xn_prefetch(fx->session, data + 3, data, COUNT), 0);
	assert_stamps(fx, b, data);
	assert_int_equal(blocks_in(fx), after);
	/* Now they are in the cache. */
	assert_int_equal(xn_prefetch(fx->session, data + 3, data, COUNT), 0);
}

static void what_is_newer_in_the_cache_stays(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, RW);
	uint8_t bytes[XN_BLOCK];

	stamp_fill(bytes, data + 5, fx->root, 5);
	memset(bytes + 100, 7, 100);
	assert_ok(xn_write(fx->session, b, 5 * XN_BLOCK, bytes, XN_BLOCK));
	assert_int_equal(xn_prefetch(fx->session, data, data, COUNT), 1);
	assert_ok(xn_read(fx->session, b, 5 * XN_BLOCK, bytes, XN_BLOCK));
	assert_int_equal(bytes[150], 7);
}

/* Read ahead, written by its owner, out of the cache again: the new bytes count. */
static void what_was_written_since_is_not_taken(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx), other;
	xn_binding_t b, flood;
	uint8_t bytes[XN_BLOCK], big[64 * XN_BLOCK];
	uint64_t before;

	b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, RW);
	assert_int_equal(xn_prefetch(fx->session, data, data, COUNT), 1);
	memset(bytes, 9, sizeof(bytes));
	stamp_fill(bytes, data + 5, fx->root, 77);
	assert_ok(xn_write(fx->session, b, 5 * XN_BLOCK, bytes, XN_BLOCK));
	assert_ok(xn_sync(fx->session, 0));
	for (unsigned i = 0; i < 4; i++) {
		other = given_child(fx, fx->root, 1 + i, 64, T_DATA);
		flood = given_bound(fx, fx->root, 1 + i, other, 64, T_DATA, RW);
		for (unsigned k = 0; k < 64; k++)
			stamp_fill(big + k * XN_BLOCK, other + k, fx->root, 1);
		assert_ok(xn_write(fx->session, flood, 0, big, sizeof(big)));
		assert_ok(xn_sync(fx->session, 0));
	}
	before = blocks_in(fx);
	assert_ok(xn_read(fx->session, b, 5 * XN_BLOCK, bytes, XN_BLOCK));
	assert_int_equal(blocks_in(fx), before + 1);
	assert_true(stamp_is(bytes, data + 5, fx->root, 77));
}

/* A new owner sees zeroes until it writes, whatever was read ahead of the old one's bytes. */
static void a_new_owner_does_not_get_the_old_bytes(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx), again;
	xn_binding_t b;
	uint8_t bytes[XN_BLOCK], zeroes[XN_BLOCK] = { 0 };

	assert_int_equal(xn_prefetch(fx->session, data, data, COUNT), 1);
	given_no_child(fx, fx->root, 0, data, COUNT, T_DATA);
	assert_ok(xn_sync(fx->session, 0));
	again = given_child(fx, fx->root, 1, COUNT, T_DATA);
	assert_true(again < data + COUNT && data < again + COUNT);
	b = given_bound(fx, fx->root, 1, again, COUNT, T_DATA, RW);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_ok(xn_read(fx->session, b, (uint64_t)i * XN_BLOCK, bytes, XN_BLOCK));
		assert_memory_equal(bytes, zeroes, XN_BLOCK);
	}
}

static void an_object_read_ahead_is_checked_as_any(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_binding_t b;
	uint64_t before;

	fixture_reopen(fx);
	assert_int_equal(xn_prefetch(fx->session, node, node, 1), 1);
	before = blocks_in(fx);
	assert_ok(try_bind(fx, fx->session, fx->root, 0, node, 1, fx->type[T_NODE],
			   XN_READ | XN_READIN, &b));
	assert_int_equal(blocks_in(fx), before);
}

/* A read that fails ahead of time is no error; the read that counts tells the truth. */
static void failing_ahead_of_time_fails_nobody(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, XN_READ);
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ, .nth = 1 };
	uint32_t map;

	assert_ok(xn_chunk_summary(fx->xn, 0, &map)); /* it is not the map that fails */
	bdev_fault_arm(fx->dev, &fault);
	assert_int_equal(xn_prefetch(fx->session, data, data, COUNT), 1);
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
	assert_stamps(fx, b, data);
}

/* Most of a disk is free: behind the last block in use nothing is read. */
static void free_blocks_are_not_read(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_cold_data(fx);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, COUNT, T_DATA, XN_READ);
	uint64_t before = blocks_in(fx);

	assert_int_equal(xn_prefetch(fx->session, data, data, 256), 1);
	assert_true(blocks_in(fx) <= before + COUNT + 30);
	assert_stamps(fx, b, data);
	assert_int_equal(xn_prefetch(fx->session, data + 256, data + 256, 64), 0);
}

/* One stream is read far ahead while another is used up: what waits is still there. */
static void what_was_used_up_makes_room_first(void **state)
{
	enum { FILES = 30, BLOCKS = 64 };
	struct fixture *fx = fixture_new(4 * FIXTURE_BLOCKS, 16u << 20);
	xn_blk_t waits = given_cold_data(fx), other[FILES];
	uint8_t bytes[XN_BLOCK];
	xn_binding_t b;
	uint64_t before;

	(void)state;
	for (uint32_t i = 0; i < FILES; i++) {
		other[i] = given_child(fx, fx->root, 1 + i, BLOCKS, T_DATA);
		b = given_bound(fx, fx->root, 1 + i, other[i], BLOCKS, T_DATA, RW);
		for (unsigned k = 0; k < BLOCKS; k++) {
			stamp_fill(bytes, other[i] + k, fx->root, k);
			assert_ok(
				xn_write(fx->session, b, (uint64_t)k * XN_BLOCK, bytes, XN_BLOCK));
		}
	}
	fixture_reopen(fx);
	assert_int_equal(xn_prefetch(fx->session, waits, waits, COUNT), 1);
	for (uint32_t i = 0; i < FILES; i++) {
		b = given_bound(fx, fx->root, 1 + i, other[i], BLOCKS, T_DATA, XN_READ);
		assert_int_equal(
			xn_prefetch(fx->session, other[i] + BLOCKS - 1, other[i] + 16, BLOCKS - 16),
			1);
		for (unsigned k = 0; k < BLOCKS; k++)
			assert_ok(xn_read(fx->session, b, (uint64_t)k * XN_BLOCK, bytes, XN_BLOCK));
	}
	b = given_bound(fx, fx->root, 0, waits, COUNT, T_DATA, XN_READ);
	before = blocks_in(fx);
	assert_stamps(fx, b, waits);
	assert_int_equal(blocks_in(fx), before);
	fixture_check(fx);
	fixture_free(fx);
}

static void what_is_no_range_is_refused(void **state)
{
	struct fixture *fx = *state;

	assert_refused(xn_prefetch(fx->session, 10, 10, 0), -EINVAL);
	assert_refused(xn_prefetch(fx->session, 9, 10, 4), -EINVAL);
	assert_refused(xn_prefetch(fx->session, 14, 10, 4), -EINVAL);
	assert_refused(xn_prefetch(fx->session, 10, 10, XN_PREFETCH_MAX + 1), -EINVAL);
	assert_refused(xn_prefetch(fx->session, FIXTURE_BLOCKS, FIXTURE_BLOCKS, 1), -ERANGE);
	assert_refused(xn_prefetch(fx->session, 0, 0, 1), -ERANGE);
	assert_refused(xn_prefetch(fx->session, UINT64_MAX, UINT64_MAX, 1), -ERANGE);
	/* The last ones of the disk, and the first. */
	assert_true(xn_prefetch(fx->session, FIXTURE_BLOCKS - 1, FIXTURE_BLOCKS - 1, 1) >= 0);
	assert_true(xn_prefetch(fx->session, FIXTURE_BLOCKS - 1, FIXTURE_BLOCKS - 200, 256) >= 0);
	assert_true(xn_prefetch(fx->session, 1, 1, 256) >= 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_group_is_read_once),
		CASE(what_is_newer_in_the_cache_stays),
		cmocka_unit_test(what_was_used_up_makes_room_first),
		cmocka_unit_test_setup_teardown(what_was_written_since_is_not_taken,
						fixture_setup_small_cache, fixture_teardown),
		CASE(a_new_owner_does_not_get_the_old_bytes),
		CASE(an_object_read_ahead_is_checked_as_any),
		CASE(failing_ahead_of_time_fails_nobody),
		CASE(free_blocks_are_not_read),
		CASE(what_is_no_range_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
