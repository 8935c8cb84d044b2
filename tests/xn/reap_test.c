/* SPDX-License-Identifier: MIT */
/*
 * XN_REAP: subtrees that nobody owns any more, taken apart object by object.
 */
#include "xn_fixture.h"

#define RW (XN_READ | XN_WRITE)

static int64_t reap_all(struct fixture *fx)
{
	int64_t left = 1;

	while (left > 0)
		left = xn_reap(fx->session, 3);
	return left;
}

static int free_with_reap(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start,
			  uint64_t count, enum t_child child)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, 0);
	request_free(&rq, start, count, fx->type[child]);
	rq.update.flags = XN_REAP;
	return request_run(&rq, fx->session);
}

/* A node with data, reserved blocks, a pair and nodes below; returns the top. */
static xn_blk_t given_branch(struct fixture *fx, uint32_t record, unsigned depth)
{
	xn_blk_t top = given_node(fx, fx->root, record, NULL), at = top;

	for (unsigned i = 0; i < depth; i++) {
		given_data(fx, at, 0, i + 1, NULL);
		given_child(fx, at, 100, 3, T_RESERVED);
		given_child(fx, at, 200, 2, T_PAIR);
		at = given_node(fx, at, 300, NULL);
	}
	return top;
}

static void a_branch_on_disk_is_free_once_its_pointer_is_gone(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_branch(fx, 0, 5);
	struct xn_root_info info;

	assert_ok(xn_sync(fx->session, 0));
	fixture_watch(fx, 4);
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	assert_int_equal(xn_reap(fx->session, 100), 0); /* its pointer is still on disk */
	assert_true(free_blocks(fx) < before);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_true(info.used > 1); /* the root stays charged */
	assert_ok(xn_sync(fx->session, 0));
	assert_true(xn_reap(fx->session, 2) > 0);
	fixture_check(fx);
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 1);
}

static void a_branch_nobody_wrote_is_reaped_at_once(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_branch(fx, 0, 3);

	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
	assert_ok(xn_sync(fx->session, 0));
}

static void newest_bytes_decide_what_is_freed(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_branch(fx, 0, 3), late;

	assert_ok(xn_sync(fx->session, 0));
	late = given_node(fx, top, 400, NULL); /* not on disk when the branch goes */
	given_data(fx, late, 0, 9, NULL);
	given_child(fx, late, 1, 7, T_DATA);
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
}

static void a_branch_not_in_the_cache_is_read_and_freed(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_branch(fx, 0, 6);

	fixture_reopen(fx);
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE)); /* top is not even bound */
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
}

static void closing_reaps_what_is_left(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_branch(fx, 0, 4);

	assert_ok(xn_sync(fx->session, 0));
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	fixture_reopen(fx); /* reads the map */
	assert_int_equal(free_blocks(fx), before);
}

static void a_crash_forgets_the_list_and_recovery_finds_the_blocks(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);

	for (uint64_t seed = 0; seed < 12; seed++) {
		xn_blk_t top = given_branch(fx, 0, 4);
		const void *bytes;
		uint64_t word;
		size_t len;

		assert_ok(xn_sync(fx->session, 0));
		assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
		assert_ok(xn_sync(fx->session, 0));
		assert_true(xn_reap(fx->session, seed % 4) >= 0);
		fixture_crash(fx, seed);
		assert_int_equal(free_blocks(fx), before);
		assert_ok(xn_map(fx->session, fx->root_binding, &bytes, &len));
		memcpy(&word, bytes, sizeof(word));
		assert_int_equal(word, 0);
	}
}

/* Bindings below the top hold until the reaper comes; what they do dies with the tree. */
static void what_is_done_inside_a_dying_branch_dies_with_it(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_binding_t top_binding, low_binding;
	xn_blk_t top = given_node(fx, fx->root, 0, &top_binding);
	xn_blk_t low = given_node(fx, top, 0, &low_binding);
	uint64_t version;

	assert_ok(xn_sync(fx->session, 0));
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	assert_refused(xn_version(fx->session, top_binding, &version), XN_ESTALE);
	given_data(fx, low, 0, 5, NULL);
	given_child(fx, low, 1, 4, T_DATA); /* never written: taints nobody that lives */
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_refused(xn_version(fx->session, low_binding, &version), XN_ESTALE);
	assert_int_equal(free_blocks(fx), before);
}

/* (random walk, seed 777, step 6625090: listed, then refused) */
static void nothing_in_a_dying_branch_is_written(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t top = given_node(fx, fx->root, 0, NULL);
	xn_blk_t low = given_node(fx, top, 0, NULL);
	struct xn_extent out[8] = { { top, 1, 0, 0 } }, dying = { low, 1, 0, 0 };
	uint64_t writes;
	int n;

	given_child(fx, low, 0, 1, T_DATA); /* never written */
	assert_ok(xn_writeback(fx->session, out, 1));
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	assert_ok(xn_flush(fx->session)); /* the map, for the root */
	n = xn_list_writeable(fx->session, fx->root_id, out, 8);
	assert_int_equal(n, 1);
	assert_int_equal(out[0].start, fx->root);
	assert_ok(xn_writeback(fx->session, out, 1));
	writes = crashdev_writes(fx->medium);
	assert_ok(xn_writeback(fx->session, &dying, 1));
	assert_int_equal(crashdev_writes(fx->medium), writes);
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
}

static void part_of_a_dying_branch_may_be_freed_first(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t top = given_node(fx, fx->root, 0, NULL);
	xn_blk_t low = given_node(fx, top, 0, NULL);
	xn_blk_t data = given_data(fx, low, 0, 5, NULL);

	assert_ok(xn_sync(fx->session, 0));
	assert_ok(free_with_reap(fx, fx->root, 0, top, 1, T_NODE));
	given_no_child(fx, low, 0, data, 1, T_DATA);
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(free_blocks(fx), before);
}

static void several_objects_of_one_extent_go_together(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t pairs = given_child(fx, fx->root, 0, 8, T_PAIR);

	given_bound(fx, fx->root, 0, pairs + 2, 2, T_PAIR, RW | XN_READIN);
	given_data(fx, pairs + 2, 1000, 3, NULL);
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(free_with_reap(fx, fx->root, 0, pairs, 8, T_PAIR));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
}

/* Far more objects than frames. */
static void a_big_tree_goes_with_a_small_cache(void **state)
{
	struct fixture *fx = fixture_new(4096, XN_CACHE_MIN);
	uint64_t before = free_blocks(fx);
	xn_blk_t top[3];
	struct xn_stats stats;

	(void)state;
	for (uint32_t k = 0; k < 3; k++) {
		top[k] = given_node(fx, fx->root, k, NULL);
		for (uint32_t i = 0; i < 300; i++) {
			xn_binding_t binding;
			xn_blk_t node = given_node(fx, top[k], i, &binding);

			given_data(fx, node, 0, i + 1, NULL);
			assert_ok(xn_unbind(fx->session, binding));
			if (i % 25 == 24)
				assert_ok(xn_sync(fx->session, 0));
		}
	}
	assert_ok(xn_sync(fx->session, 0));
	for (uint32_t k = 0; k < 3; k++)
		assert_ok(free_with_reap(fx, fx->root, k, top[k], 1, T_NODE));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
	xn_stats(fx->xn, &stats);
	assert_true(stats.cache_bytes <= stats.cache_limit);
	assert_int_equal(stats.reap_queue, 0);
	fixture_free(fx);
}

/* A t.hostile object that costs more than one operation may spend, record by record. */
static xn_blk_t given_costly(struct fixture *fx, uint32_t record, xn_blk_t *data)
{
	xn_blk_t hostile = given_child(fx, fx->root, record, 1, T_HOSTILE);
	struct request rq;

	given_bound(fx, fx->root, record, hostile, 1, T_HOSTILE, RW | XN_READIN);
	for (uint32_t i = 0; i < 100; i++) {
		request_begin(&rq);
		request_word(&rq, hostile, i * 8, T_BURN | 15000ull << 8);
		assert_ok(request_run(&rq, fx->session));
	}
	*data = given_free(fx, 1);
	request_begin(&rq);
	request_word(&rq, hostile, 8 * 500, T_EMIT_DATA | *data << 8);
	request_alloc(&rq, *data, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	return hostile;
}

static void a_costly_object_is_reaped_all_the_same(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t data, hostile = given_costly(fx, 0, &data);
	struct xn_disk_info info;

	assert_ok(free_with_reap(fx, fx->root, 0, hostile, 1, T_HOSTILE));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(reap_all(fx), 0);
	assert_int_equal(free_blocks(fx), before);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.damaged);
}

/* Nobody's object keeps the disk from being closed, or recovered. */
static void a_costly_object_does_not_keep_the_disk_open(void **state)
{
	struct fixture *fx = *state;
	struct xn_disk_info info;
	xn_blk_t data;

	given_costly(fx, 0, &data); /* its data is never written */
	fixture_reopen(fx);
	fixture_crash(fx, 0);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.damaged);
}

static void reading_only_reaps_nothing(void **state)
{
	struct fixture *fx = *state;

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_int_equal(xn_reap(fx->session, 1), XN_EREADONLY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_branch_on_disk_is_free_once_its_pointer_is_gone),
		TEST(a_branch_nobody_wrote_is_reaped_at_once),
		TEST(newest_bytes_decide_what_is_freed),
		TEST(a_branch_not_in_the_cache_is_read_and_freed),
		TEST(closing_reaps_what_is_left),
		TEST(a_crash_forgets_the_list_and_recovery_finds_the_blocks),
		TEST(what_is_done_inside_a_dying_branch_dies_with_it),
		TEST(nothing_in_a_dying_branch_is_written),
		TEST(part_of_a_dying_branch_may_be_freed_first),
		TEST(several_objects_of_one_extent_go_together),
		cmocka_unit_test(a_big_tree_goes_with_a_small_cache),
		TEST(a_costly_object_is_reaped_all_the_same),
		TEST(a_costly_object_does_not_keep_the_disk_open),
		TEST(reading_only_reaps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
