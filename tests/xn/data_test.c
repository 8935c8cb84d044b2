/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing data: every line of xn_read()'s, xn_write()'s and
 * xn_readin()'s "Fails with", and what reads as zeroes.
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

static bool all_zero(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, len - 1));
}

static void what_was_written_is_read(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 8, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, 8, T_DATA, RW);
	uint8_t wanted[8 * XN_BLOCK], bytes[8 * XN_BLOCK];

	for (unsigned i = 0; i < 8; i++)
		stamp_fill(wanted + i * XN_BLOCK, data + i, fx->root, i);
	assert_ok(xn_write(fx->session, b, 0, wanted, sizeof(wanted)));
	for (size_t skip = 0; skip < sizeof(bytes); skip += 1713) {
		memset(bytes, 0xaa, sizeof(bytes));
		assert_ok(xn_read(fx->session, b, skip, bytes, sizeof(bytes) - skip));
		assert_memory_equal(bytes, wanted + skip, sizeof(bytes) - skip);
	}
	fixture_reopen(fx);
	b = given_bound(fx, fx->root, 0, data, 8, T_DATA, XN_READ);
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_memory_equal(bytes, wanted, sizeof(bytes));
}

/* The disk beneath is full of somebody's old bytes. */
static void a_block_nobody_wrote_reads_as_zeroes(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 3, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, 3, T_DATA, RW);
	uint8_t bytes[3 * XN_BLOCK];
	struct xn_stats before, after;

	xn_stats(fx->xn, &before);
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(all_zero(bytes, sizeof(bytes)));
	assert_ok(xn_readin(fx->session, b, 0, 3));
	xn_stats(fx->xn, &after);
	assert_int_equal(after.blocks_in, before.blocks_in);
	stamp_fill(bytes, data + 1, fx->root, 1);
	assert_ok(xn_write(fx->session, b, XN_BLOCK, bytes, XN_BLOCK));
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(all_zero(bytes, XN_BLOCK));
	assert_true(stamp_is(bytes + XN_BLOCK, data + 1, fx->root, 1));
	assert_true(all_zero(bytes + 2 * XN_BLOCK, XN_BLOCK));
}

static void closing_writes_zeroes_where_nobody_wrote(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 200, T_DATA);
	xn_blk_t node = given_node(fx, fx->root, 1, NULL);
	xn_blk_t more = given_child(fx, node, 0, 250, T_DATA);

	fixture_reopen(fx);
	assert_true(all_zero(crashdev_now(fx->medium) + data * XN_BLOCK, 200 * XN_BLOCK));
	assert_true(all_zero(crashdev_now(fx->medium) + more * XN_BLOCK, 250 * XN_BLOCK));
}

static void the_first_write_covers_the_whole_block(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 3, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, 3, T_DATA, RW);
	uint8_t bytes[3 * XN_BLOCK];

	for (unsigned i = 0; i < 3; i++)
		stamp_fill(bytes + i * XN_BLOCK, data + i, fx->root, 1);
	assert_refused(xn_write(fx->session, b, 0, bytes, 100), XN_EUNINIT);
	assert_refused(xn_write(fx->session, b, 100, bytes + 100, XN_BLOCK - 100), XN_EUNINIT);
	assert_refused(xn_write(fx->session, b, 0, bytes, XN_BLOCK + 1), XN_EUNINIT);
	assert_refused(xn_write(fx->session, b, 1, bytes + 1, 3 * XN_BLOCK - 1), XN_EUNINIT);
	/* All or nothing: not even the whole blocks among them. */
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(all_zero(bytes, sizeof(bytes)));
}

static void a_part_of_a_block_is_written_over_the_rest(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t b;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, &b);
	uint8_t wanted[XN_BLOCK], bytes[XN_BLOCK];
	uint64_t seed = 3;

	stamp_fill(wanted, data, fx->root, 1);
	for (unsigned i = 0; i < 50; i++) {
		size_t at = 32 + chance(&seed) % 400, len = 1 + chance(&seed) % 60;

		at += chance(&seed) % 8 * BDEV_SECTOR;
		memset(wanted + at, (int)i, len);
		assert_ok(xn_write(fx->session, b, at, wanted + at, len));
		if (i % 10 == 9) { /* the rest comes from the device */
			fixture_reopen(fx);
			b = given_bound(fx, fx->root, 0, data, 1, T_DATA, RW);
		}
	}
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_memory_equal(bytes, wanted, sizeof(bytes));
}

static void nothing_beyond_the_binding_is_touched(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 4, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data + 1, 2, T_DATA, RW);
	uint8_t bytes[XN_WRITE_MAX + 1];

	assert_refused(xn_read(fx->session, b, 2 * XN_BLOCK, bytes, 1), -ERANGE);
	assert_refused(xn_read(fx->session, b, UINT64_MAX, bytes, 2), -ERANGE);
	assert_refused(xn_read(fx->session, b, 0, bytes, 2 * XN_BLOCK + 1), -ERANGE);
	assert_refused(xn_write(fx->session, b, XN_BLOCK, bytes, XN_BLOCK + 1), -ERANGE);
	assert_refused(xn_write(fx->session, b, UINT64_MAX, bytes, 2), -ERANGE);
	assert_refused(xn_write(fx->session, b, 0, bytes, XN_WRITE_MAX + 1), XN_ETOOBIG);
	assert_refused(xn_readin(fx->session, b, 1, 2), -ERANGE);
	assert_refused(xn_readin(fx->session, b, UINT64_MAX, 2), -ERANGE);
	assert_ok(xn_read(fx->session, b, 2 * XN_BLOCK, bytes, 0));
	assert_ok(xn_write(fx->session, b, 2 * XN_BLOCK, bytes, 0));
	assert_ok(xn_readin(fx->session, b, 2, 0));
}

static void access_is_what_was_bound(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t reader = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ);
	xn_binding_t writer = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_WRITE);
	uint8_t bytes[XN_BLOCK];

	stamp_fill(bytes, data, fx->root, 2);
	assert_refused(xn_write(fx->session, reader, 0, bytes, sizeof(bytes)), XN_ENOTBOUND);
	assert_ok(xn_write(fx->session, writer, 0, bytes, sizeof(bytes)));
	assert_refused(xn_read(fx->session, writer, 0, bytes, sizeof(bytes)), XN_ENOTBOUND);
	assert_ok(xn_read(fx->session, reader, 0, bytes, sizeof(bytes)));
	assert_refused(xn_read(fx->session, fx->root_binding, 0, bytes, 1), XN_ETYPE);
	assert_refused(xn_write(fx->session, fx->root_binding, 0, bytes, 1), XN_ETYPE);
}

static void a_read_that_fails_leaves_nothing_behind(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ, .nth = 1 };
	xn_binding_t b;
	uint8_t bytes[XN_BLOCK];

	fixture_reopen(fx);
	b = given_bound(fx, fx->root, 0, data, 1, T_DATA, RW);
	bdev_fault_arm(fx->dev, &fault);
	assert_refused(xn_read(fx->session, b, 0, bytes, sizeof(bytes)), XN_EIO);
	bdev_fault_arm(fx->dev, &fault);
	assert_refused(xn_write(fx->session, b, 5, bytes, 10), XN_EIO); /* needs the rest */
	bdev_fault_arm(fx->dev, &fault);
	assert_refused(xn_readin(fx->session, b, 0, 1), XN_EIO);
	bdev_fault_disarm(fx->dev);
	fixture_check(fx);
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(stamp_is(bytes, data, fx->root, 1));
}

static void more_than_the_cache_is_refused_whole(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 256, T_DATA);
	xn_binding_t b = given_bound(fx, fx->root, 0, data, 256, T_DATA, RW);
	uint8_t *bytes = malloc(256 * XN_BLOCK), page[XN_BLOCK];

	assert_non_null(bytes);
	for (unsigned i = 0; i < 256; i++)
		stamp_fill(bytes + i * XN_BLOCK, data + i, fx->root, 1);
	assert_refused(xn_write(fx->session, b, 0, bytes, 256 * XN_BLOCK), XN_ECACHEFULL);
	assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
	assert_true(all_zero(page, sizeof(page)));
	for (unsigned i = 0; i < 256; i += 64) {
		assert_ok(xn_write(fx->session, b, i * XN_BLOCK, bytes + i * XN_BLOCK,
				   64 * XN_BLOCK));
		assert_refused(xn_sync(fx->session, 0), i < 192 ? XN_ETAINTED : 0);
	}
	assert_ok(xn_read(fx->session, b, 0, bytes, 256 * XN_BLOCK)); /* in pieces */
	for (unsigned i = 0; i < 256; i++)
		assert_true(stamp_is(bytes + i * XN_BLOCK, data + i, fx->root, 1));
	free(bytes);
}

/* A block given back and taken again begins anew: its old bytes are nobody's. */
static void old_bytes_never_come_back(void **state)
{
	struct fixture *fx = *state;
	uint8_t bytes[XN_BLOCK];
	xn_binding_t b;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct request rq;

	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_ok(xn_sync(fx->session, 0));
	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(data, 1, T_DATA));
	request_alloc(&rq, data, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	b = given_bound(fx, fx->root, 1, data, 1, T_DATA, RW);
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(all_zero(bytes, sizeof(bytes)));
}

static void a_read_only_disk_is_read(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t b;
	uint8_t bytes[XN_BLOCK];

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	b = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ);
	assert_ok(xn_read(fx->session, b, 0, bytes, sizeof(bytes)));
	assert_true(stamp_is(bytes, data, fx->root, 1));
	assert_refused(xn_sync(fx->session, 0), XN_EREADONLY);
	assert_refused(xn_flush(fx->session), XN_EREADONLY);
	assert_refused(xn_writeback(fx->session, NULL, 0), XN_EREADONLY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SMALL(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_small_cache, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),
		TEST(a_block_nobody_wrote_reads_as_zeroes),
		SMALL(closing_writes_zeroes_where_nobody_wrote),
		TEST(the_first_write_covers_the_whole_block),
		TEST(a_part_of_a_block_is_written_over_the_rest),
		TEST(nothing_beyond_the_binding_is_touched),
		TEST(access_is_what_was_bound),
		TEST(a_read_that_fails_leaves_nothing_behind),
		SMALL(more_than_the_cache_is_refused_whole),
		TEST(old_bytes_never_come_back),
		TEST(a_read_only_disk_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
