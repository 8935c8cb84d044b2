/* SPDX-License-Identifier: MIT */
/*
 * Devices that fail: at the n-th request, for every n; with the outcome known, and
 * with the outcome unknown.  Whatever happened, the disk afterwards obeys the law.
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

static void arm(struct fixture *fx, enum bdev_fault_kind kind, uint32_t ops, uint64_t nth,
		bool forever)
{
	struct bdev_fault fault = {
		.kind = kind, .ops = ops, .nth = nth, .forever = forever, .seed = nth
	};

	bdev_fault_arm(fx->dev, &fault);
}

static void a_failed_write_leaves_the_block_dirty(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_info info;

	given_data(fx, fx->root, 0, 1, NULL);
	arm(fx, BDEV_FAULT_FAIL, 1u << BDEV_WRITE, 1, true);
	assert_refused(xn_sync(fx->session, 0), XN_EIO);
	assert_refused(xn_sync(fx->session, 0), XN_EIO);
	bdev_fault_disarm(fx->dev);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.dirty, 2);
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.dirty, 0);
}

static void an_unknown_outcome_ends_all_writing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t binding;
	struct xn_extent extent = { data, 1, 0, 0 };
	struct xn_root_spec spec = {
		.name = "s", .libfs = "test", .type = fx->type[T_NODE], .mode = 0666
	};
	struct xn_root_info info;
	uint8_t bytes[XN_BLOCK] = { 0 };
	struct request rq;
	uint64_t writes;

	binding = given_bound(fx, fx->root, 0, data, 1, T_DATA, RW);
	arm(fx, BDEV_FAULT_UNKNOWN, 1u << BDEV_WRITE, 1, false);
	assert_refused(xn_sync(fx->session, 0), XN_EUNKNOWN);
	bdev_fault_disarm(fx->dev);
	writes = crashdev_writes(fx->medium);
	assert_refused(xn_sync(fx->session, 0), XN_EUNKNOWN);
	assert_refused(xn_writeback(fx->session, &extent, 1), XN_EUNKNOWN);
	assert_refused(xn_flush(fx->session), XN_EUNKNOWN);
	assert_refused(xn_write(fx->session, binding, 0, bytes, sizeof(bytes)), XN_EUNKNOWN);
	assert_refused(xn_root_create(fx->session, &spec, &info), XN_EUNKNOWN);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_EUNKNOWN);
	assert_ok(xn_read(fx->session, binding, 0, bytes, sizeof(bytes))); /* reading goes on */
	assert_refused(xn_close(fx->xn), XN_EUNKNOWN);
	assert_int_equal(crashdev_writes(fx->medium), writes);
	fixture_open(fx); /* and is recovered as after a crash */
}

/* Whoever reaps until nothing is queued must come to an end. */
static void after_an_unknown_outcome_nothing_is_reaped(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	struct request rq;

	given_data(fx, node, 0, 1, NULL);
	assert_ok(xn_sync(fx->session, 0));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	assert_true(xn_reap(fx->session, 0) > 0);
	given_data(fx, fx->root, 1, 1, NULL);
	arm(fx, BDEV_FAULT_UNKNOWN, 1u << BDEV_WRITE, 1, false);
	assert_refused(xn_sync(fx->session, 0), XN_EUNKNOWN);
	bdev_fault_disarm(fx->dev);
	assert_refused((int)xn_reap(fx->session, 5), XN_EUNKNOWN);
	xn_abandon(fx->xn);
	fixture_open(fx);
}

static void a_failed_flush_is_an_unknown_outcome(void **state)
{
	struct fixture *fx = *state;

	given_data(fx, fx->root, 0, 1, NULL);
	arm(fx, BDEV_FAULT_FAIL, 1u << BDEV_FLUSH, 1, false);
	assert_refused(xn_sync(fx->session, 0), XN_EUNKNOWN);
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
	assert_refused(xn_flush(fx->session), XN_EUNKNOWN);
	xn_abandon(fx->xn);
	fixture_open(fx);
}

/*
 * A copy that names something unwritten lies on the disk, then a better one fails
 * to be written: the object is as it was before.
 */
static void a_failed_rewrite_does_not_make_the_old_copy_sound(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_child(fx, node, 0, 1, T_DATA);
	struct xn_extent extent = { node, 1, 0, 0 };
	struct request rq;

	fixture_watch(fx, 4);
	assert_ok(xn_writeback(fx->session, &extent, 1));
	assert_ok(xn_flush(fx->session)); /* the map, too */
	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_writeback(fx->session, &extent, 1));
	given_no_child(fx, node, 0, data, 1, T_DATA);
	arm(fx, BDEV_FAULT_FAIL, 1u << BDEV_WRITE, 1, false);
	assert_refused(xn_writeback(fx->session, &extent, 1), XN_EIO);
	assert_int_equal(bdev_fault_disarm(fx->dev), 1);
	assert_ok(xn_flush(fx->session));
	extent.start = fx->root; /* names a node that, on disk, names what nobody wrote */
	assert_refused(xn_writeback(fx->session, &extent, 1), XN_ETAINTED);
}

/* ---- every n-th ---- */

/* A life: build, sync, change, free, reap, rename-like swaps.  Returns the first error. */
static int live(struct fixture *fx)
{
	struct request rq;
	struct xn_extent found;
	xn_binding_t binding, data_binding;
	uint8_t bytes[XN_BLOCK];
	xn_blk_t node;
	int err;

	err = xn_find_free(fx->session, 0, 3, 1, &found);
	if (err)
		return err;
	node = found.start;
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(node, 1, T_NODE));
	request_word(&rq, node, 0, T_POINTER(node + 1, 2, T_DATA));
	request_alloc(&rq, node, 1, fx->type[T_NODE]);
	request_alloc(&rq, node + 1, 2, XN_DATA);
	err = request_run(&rq, fx->session);
	if (!err)
		err = try_bind(fx, fx->session, fx->root, 0, node, 1, fx->type[T_NODE],
			       RW | XN_READIN, &binding);
	if (!err)
		err = try_bind(fx, fx->session, node, 0, node + 1, 2, XN_DATA, RW, &data_binding);
	for (unsigned i = 0; i < 2 && !err; i++) {
		stamp_fill(bytes, node + 1 + i, node, 1);
		err = xn_write(fx->session, data_binding, i * XN_BLOCK, bytes, sizeof(bytes));
	}
	if (!err)
		err = xn_sync(fx->session, fx->root_id);
	if (err)
		return err;
	request_begin(&rq);
	request_word(&rq, node, 0, T_POINTER(node + 1, 1, T_DATA));
	request_free(&rq, node + 2, 1, XN_DATA);
	err = request_run(&rq, fx->session);
	if (!err)
		err = xn_sync(fx->session, 0);
	if (err)
		return err;
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	err = request_run(&rq, fx->session);
	if (!err)
		err = xn_sync(fx->session, 0);
	while (!err && (err = (int)xn_reap(fx->session, 1)) > 0)
		err = 0;
	return err;
}

static int begin_anew(struct fixture *fx)
{
	struct xn_root_spec spec = {
		.name = "second", .libfs = "test", .type = fx->type[T_PAIR], .mode = 0666
	};
	struct xn_image image = { (const void *)0, 0 };
	struct xn_root_info info;
	uint32_t id;
	size_t len = 0;
	void *bytes = malloc(UDF_IMAGE_MAX);
	int err = bytes ? xn_root_create(fx->session, &spec, &info) : -ENOMEM;

	if (!err)
		err = xn_template_image(fx->xn, fx->type[T_HOSTILE], bytes, UDF_IMAGE_MAX, &len);
	image = (struct xn_image){ bytes, len };
	if (!err)
		err = xn_template_install(fx->session, &image, 1, &id, NULL);
	free(bytes);
	return err;
}

typedef int life(struct fixture *fx);

static bool is_honest(int err)
{
	return err == XN_EIO || err == XN_EUNKNOWN;
}

/* Fail the n-th request of a life, then go on, close, and see what is there. */
static bool survives(life *live_it, enum bdev_fault_kind kind, uint32_t ops, uint64_t nth)
{
	struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
	struct medium_report report;
	uint64_t fired;
	int err;

	arm(fx, kind, ops, nth, false);
	err = live_it(fx);
	fired = bdev_fault_disarm(fx->dev);
	if (err && (!fired || !is_honest(err)))
		fail_msg("request %llu of kind %d: %s", (unsigned long long)nth, kind,
			 xn_error_name(err));
	fixture_check(fx);
	fixture_check_crashes(fx, 12);
	err = xn_close(fx->xn);
	if (err && err != XN_EUNKNOWN)
		fail_msg("close after request %llu: %s", (unsigned long long)nth,
			 xn_error_name(err));
	if (medium_check(crashdev_now(fx->medium), crashdev_size(fx->medium), NULL, stamps_visit,
			 NULL, &report))
		fail_msg("after request %llu of kind %d: truth %d: %s", (unsigned long long)nth,
			 kind, report.truth, report.text);
	fixture_open(fx);
	fixture_free(fx);
	return fired > 0;
}

static void any_write_may_fail(void **state)
{
	(void)state;
	for (uint64_t nth = 1; survives(live, BDEV_FAULT_FAIL, 1u << BDEV_WRITE, nth); nth++)
		;
}

static void any_write_may_stop_half_way(void **state)
{
	(void)state;
	for (uint64_t nth = 1; survives(live, BDEV_FAULT_SHORT, 1u << BDEV_WRITE, nth); nth++)
		;
}

static void any_outcome_may_be_unknown(void **state)
{
	uint32_t ops = 1u << BDEV_WRITE | 1u << BDEV_FLUSH;

	(void)state;
	for (uint64_t nth = 1; survives(live, BDEV_FAULT_UNKNOWN, ops, nth); nth++)
		;
}

static void any_flush_may_fail(void **state)
{
	(void)state;
	for (uint64_t nth = 1; survives(live, BDEV_FAULT_FAIL, 1u << BDEV_FLUSH, nth); nth++)
		;
}

static void any_read_may_fail(void **state)
{
	(void)state;
	for (uint64_t nth = 1; survives(live, BDEV_FAULT_FAIL, 1u << BDEV_READ, nth); nth++)
		;
}

static void catalogues_survive_any_failure(void **state)
{
	uint32_t ops = 1u << BDEV_WRITE | 1u << BDEV_FLUSH;

	(void)state;
	for (uint64_t nth = 1; survives(begin_anew, BDEV_FAULT_FAIL, ops, nth); nth++)
		;
	for (uint64_t nth = 1; survives(begin_anew, BDEV_FAULT_UNKNOWN, ops, nth); nth++)
		;
}

/* Opening reads, marks the disk in use, recovers: and each of these may fail. */
static void opening_may_fail_anywhere_and_be_tried_again(void **state)
{
	(void)state;
	for (unsigned unclean = 0; unclean < 2; unclean++) {
		uint64_t fired = 1;

		for (uint64_t nth = 1; fired; nth++) {
			struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
			struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
			int err;

			given_data(fx, fx->root, 0, 1, NULL);
			assert_ok(xn_sync(fx->session, 0));
			if (unclean)
				xn_abandon(fx->xn);
			else
				assert_ok(xn_close(fx->xn));
			arm(fx, BDEV_FAULT_FAIL, 0, nth, false);
			err = xn_open_dev(fx->dev, &opts, &fx->xn);
			fired = bdev_fault_disarm(fx->dev);
			if (!err)
				xn_abandon(fx->xn);
			else if (!fired || !is_honest(err))
				fail_msg("request %llu: %s", (unsigned long long)nth,
					 xn_error_name(err));
			fx->expect_damage = true; /* it may have been told so */
			fixture_open(fx);
			fixture_free(fx);
		}
	}
}

static void closing_that_fails_says_so_and_loses_nothing_synced(void **state)
{
	uint64_t fired = 1;

	(void)state;
	for (uint64_t nth = 1; fired; nth++) {
		struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
		xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
		int err;

		assert_ok(xn_sync(fx->session, 0));
		given_data(fx, fx->root, 1, 2, NULL);
		arm(fx, BDEV_FAULT_FAIL, 1u << BDEV_WRITE | 1u << BDEV_FLUSH, nth, false);
		err = xn_close(fx->xn);
		fired = bdev_fault_disarm(fx->dev);
		if (err && !is_honest(err)) /* none: a catalogue's twin stayed behind */
			fail_msg("request %llu: %s", (unsigned long long)nth, xn_error_name(err));
		if (!err)
			fixture_check_medium(fx);
		fixture_check_crashes(fx, 8);
		assert_true(
			stamp_is(crashdev_now(fx->medium) + data * XN_BLOCK, data, fx->root, 1));
		fixture_open(fx);
		fixture_free(fx);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_failed_write_leaves_the_block_dirty),
		TEST(an_unknown_outcome_ends_all_writing),
		TEST(after_an_unknown_outcome_nothing_is_reaped),
		TEST(a_failed_flush_is_an_unknown_outcome),
		TEST(a_failed_rewrite_does_not_make_the_old_copy_sound),
		cmocka_unit_test(any_write_may_fail),
		cmocka_unit_test(any_write_may_stop_half_way),
		cmocka_unit_test(any_outcome_may_be_unknown),
		cmocka_unit_test(any_flush_may_fail),
		cmocka_unit_test(any_read_may_fail),
		cmocka_unit_test(catalogues_survive_any_failure),
		cmocka_unit_test(opening_may_fail_anywhere_and_be_tried_again),
		cmocka_unit_test(closing_that_fails_says_so_and_loses_nothing_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
