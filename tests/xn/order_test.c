/* SPDX-License-Identifier: MIT */
/*
 * What may be written when, and what may be used again when.  Most of these watch
 * the device: after every write and flush, states that a crash may leave are read
 * by somebody who knows only the disk format.
 */
#include "xn_fixture.h"

#include <errno.h>

static int writeback(struct fixture *fx, xn_blk_t start, uint64_t count)
{
	struct xn_extent extent = { start, count, 0, 0 };

	return xn_writeback(fx->session, &extent, 1);
}

static bool may_be_taken(struct fixture *fx, xn_blk_t block, uint32_t record)
{
	struct request rq;
	int err;

	request_begin(&rq);
	request_word(&rq, fx->root, record * 8, T_POINTER(block, 1, T_RESERVED));
	request_alloc(&rq, block, 1, XN_RESERVED);
	err = request_run(&rq, fx->session);
	if (err)
		assert_refused(err, XN_ENOTFREE);
	else
		given_no_child(fx, fx->root, record, block, 1, T_RESERVED);
	return err == 0;
}

static uint64_t flushes(struct fixture *fx)
{
	struct xn_stats stats;

	xn_stats(fx->xn, &stats);
	return stats.flushes;
}

static void no_crash_shows_a_pointer_before_what_it_names(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node, deep;

	fixture_watch(fx, 6);
	node = given_node(fx, fx->root, 0, NULL);
	given_data(fx, node, 0, 7, NULL);
	given_child(fx, fx->root, 1, 2, T_PAIR);
	assert_ok(xn_sync(fx->session, fx->root_id));
	deep = given_node(fx, node, 5, NULL);
	given_data(fx, deep, 300, 8, NULL);
	assert_ok(xn_sync(fx->session, 0));
	fixture_reopen(fx);
}

static void a_pointer_to_unwritten_data_is_not_written(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = crashdev_writes(fx->medium);
	struct xn_extent blocker = { 0 };
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);

	assert_int_equal(xn_blockers(fx->session, fx->root, &blocker, 1), 1);
	assert_int_equal(blocker.start, data);
	assert_int_equal(xn_blockers(fx->session, data, &blocker, 1), 0);
	assert_refused(writeback(fx, fx->root, 1), XN_ETAINTED);
	assert_int_equal(crashdev_writes(fx->medium), before);

	/* Written is not enough, and neither is a flush without the map. */
	assert_ok(writeback(fx, data, 1));
	assert_refused(writeback(fx, fx->root, 1), XN_ETAINTED);
	assert_ok(xn_flush(fx->session));
	assert_int_equal(xn_blockers(fx->session, fx->root, &blocker, 1), 0);
	assert_ok(writeback(fx, fx->root, 1));
	assert_ok(xn_flush(fx->session));
	fixture_check_crashes(fx, 0);
}

static void one_tainted_block_refuses_the_whole_request(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_extent extents[2] = { { data, 1, 0, 0 }, { fx->root, 1, 0, 0 } };
	uint64_t before = crashdev_writes(fx->medium);

	assert_refused(xn_writeback(fx->session, extents, 2), XN_ETAINTED);
	assert_int_equal(crashdev_writes(fx->medium), before);
}

static void a_new_subtree_goes_out_in_one_wave(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t at = fx->root;
	uint64_t before;

	for (uint32_t depth = 0; depth < 8; depth++) {
		at = given_node(fx, at, 3, NULL);
		given_data(fx, at, 0, depth + 1, NULL);
	}
	fixture_watch(fx, 6);
	before = flushes(fx);
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_int_equal(flushes(fx) - before, 2);
}

static void an_object_no_disk_names_may_be_written_at_any_time(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);

	fixture_watch(fx, 6);
	given_child(fx, node, 0, 1, T_DATA);
	assert_ok(writeback(fx, node, 1)); /* names a block never written, but who would look? */
	assert_ok(xn_flush(fx->session));
	assert_refused(writeback(fx, fx->root, 1), XN_ETAINTED);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
}

static void what_a_written_copy_named_is_not_free_at_once(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_child(fx, node, 0, 1, T_DATA);

	assert_ok(writeback(fx, node, 1));
	given_no_child(fx, node, 0, data, 1, T_DATA);
	assert_false(may_be_taken(fx, data, 9));
	assert_ok(writeback(fx, node, 1));
	assert_false(may_be_taken(fx, data, 9));
	assert_ok(xn_flush(fx->session));
	assert_true(may_be_taken(fx, data, 9));
}

static void a_block_never_written_keeps_a_sync_from_succeeding(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 1, T_DATA);
	xn_binding_t binding;
	uint8_t bytes[XN_BLOCK];

	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
	binding = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_WRITE);
	stamp_fill(bytes, data, fx->root, 3);
	assert_ok(xn_write(fx->session, binding, 0, bytes, sizeof(bytes)));
	assert_ok(xn_sync(fx->session, fx->root_id));
}

static void reserved_blocks_taint_nobody(void **state)
{
	struct fixture *fx = *state;

	given_child(fx, fx->root, 0, 16, T_RESERVED);
	assert_ok(xn_sync(fx->session, fx->root_id));
	fixture_check_crashes(fx, 0);
}

static void what_is_listed_as_writeable_can_be_written(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_extent out[8];

	assert_int_equal(xn_list_writeable(fx->session, fx->root_id, out, 8), 1);
	assert_int_equal(out[0].start, data);
	assert_ok(xn_writeback(fx->session, out, 1));
	assert_int_equal(xn_list_writeable(fx->session, fx->root_id, out, 8), 0);
	assert_ok(xn_flush(fx->session));
	assert_int_equal(xn_list_writeable(fx->session, fx->root_id, out, 8), 1);
	assert_int_equal(out[0].start, fx->root);
	assert_int_equal(out[0].type, fx->type[T_NODE]);
	assert_ok(xn_writeback(fx->session, out, 1));
	assert_int_equal(xn_list_writeable(fx->session, 0, out, 8), 0);
	assert_refused(xn_list_writeable(fx->session, 99, out, 8), XN_ENOROOT);
}

static void all_roots_of_a_session_are_listed_together(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_session *nobody = given_session(fx, 7, 0);
	struct xn_extent out[8];

	assert_int_equal(xn_list_writeable(fx->session, 0, out, 8), 1);
	assert_int_equal(out[0].start, data);
	assert_int_equal(xn_list_writeable(nobody, 0, out, 8), 0);
	assert_refused(xn_list_writeable(nobody, fx->root_id, out, 8), XN_ENOTBOUND);
}

static void a_freed_block_waits_until_no_pointer_is_on_disk(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_disk_info info;

	assert_ok(xn_sync(fx->session, fx->root_id));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_int_equal(info.will_free, 1);
	assert_false(may_be_taken(fx, data, 5));
	assert_ok(writeback(fx, fx->root, 1));
	assert_false(may_be_taken(fx, data, 5));
	assert_ok(xn_flush(fx->session));
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_int_equal(info.will_free, 0);
	assert_true(may_be_taken(fx, data, 5));
}

/* A flush makes the copy stable that was written, and that one still has the pointer. */
static void a_flush_of_an_older_copy_frees_nothing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct request rq;

	assert_ok(xn_sync(fx->session, fx->root_id));
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(writeback(fx, fx->root, 1));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_ok(xn_flush(fx->session));
	assert_false(may_be_taken(fx, data, 5));
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_true(may_be_taken(fx, data, 5));
}

static void a_block_no_disk_ever_named_is_free_at_once(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);

	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_true(may_be_taken(fx, data, 5));
	data = given_child(fx, fx->root, 0, 1, T_DATA);
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_true(may_be_taken(fx, data, 5));
}

/* The pointer is older than the flush; only the object that held it can release it. */
static void what_waits_on_a_freed_object_waits_with_it(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_data(fx, node, 0, 1, NULL);

	assert_ok(xn_sync(fx->session, fx->root_id));
	given_no_child(fx, node, 0, data, 1, T_DATA);
	given_no_child(fx, fx->root, 0, node, 1, T_NODE);
	assert_ok(xn_flush(fx->session));
	assert_false(may_be_taken(fx, data, 5));
	assert_false(may_be_taken(fx, node, 5));
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_true(may_be_taken(fx, data, 5));
	assert_true(may_be_taken(fx, node, 5));
}

/* Emptied and freed in one update, three levels at once. */
static void a_branch_freed_whole_in_one_update_is_free_after_a_sync(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, a, 0, NULL);
	xn_blk_t c = given_node(fx, b, 0, NULL);
	xn_blk_t data = given_data(fx, c, 0, 1, NULL);
	struct request rq;

	assert_ok(xn_sync(fx->session, fx->root_id));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_word(&rq, a, 0, 0);
	request_word(&rq, b, 0, 0);
	request_word(&rq, c, 0, 0);
	request_free(&rq, a, 1, fx->type[T_NODE]);
	request_free(&rq, b, 1, fx->type[T_NODE]);
	request_free(&rq, c, 1, fx->type[T_NODE]);
	request_free(&rq, data, 1, XN_DATA);
	fixture_watch(fx, 4);
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
	assert_false(may_be_taken(fx, data, 5));
	assert_false(may_be_taken(fx, c, 5));
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_int_equal(free_blocks(fx), before);
}

/* The same before any of it was written: nothing has to wait. */
static void a_branch_nobody_wrote_is_free_at_once(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, a, 0, NULL);
	xn_blk_t data = given_child(fx, b, 0, 1, T_DATA);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_word(&rq, a, 0, 0);
	request_word(&rq, b, 0, 0);
	request_free(&rq, a, 1, fx->type[T_NODE]);
	request_free(&rq, b, 1, fx->type[T_NODE]);
	request_free(&rq, data, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
	assert_int_equal(free_blocks(fx), before);
}

static void fill_cache_with_reads(struct fixture *fx, xn_blk_t start, uint64_t count)
{
	xn_binding_t binding = given_bound(fx, fx->root, 400, start, count, T_DATA, XN_READ);

	assert_ok(xn_readin(fx->session, binding, 0, count));
	assert_ok(xn_unbind(fx->session, binding));
}

/* What was written back is no longer dirty, but not durable either. */
static void a_sync_flushes_what_was_written_and_evicted_before(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t many = given_child(fx, fx->root, 400, 200, T_DATA);
	xn_binding_t all = given_bound(fx, fx->root, 400, many, 200, T_DATA, XN_WRITE);
	xn_blk_t data;
	xn_binding_t binding;
	uint8_t bytes[XN_BLOCK];

	for (uint64_t i = 0; i < 200; i++) {
		stamp_fill(bytes, many + i, fx->root, 1);
		assert_ok(xn_write(fx->session, all, i * XN_BLOCK, bytes, sizeof(bytes)));
		if (i % 50 == 49)
			assert_refused(xn_sync(fx->session, fx->root_id),
				       i == 199 ? 0 : XN_ETAINTED);
	}
	assert_ok(xn_unbind(fx->session, all));
	data = given_data(fx, fx->root, 0, 1, &binding);
	assert_ok(xn_sync(fx->session, fx->root_id));

	stamp_fill(bytes, data, fx->root, 2);
	assert_ok(xn_write(fx->session, binding, 0, bytes, sizeof(bytes)));
	assert_ok(xn_unbind(fx->session, binding));
	assert_ok(writeback(fx, data, 1));
	fill_cache_with_reads(fx, many, 200);
	assert_ok(xn_sync(fx->session, fx->root_id));
	fixture_crash(fx, 1); /* only what was flushed is left */
	assert_true(stamp_is(crashdev_now(fx->medium) + data * XN_BLOCK, data, fx->root, 2));
}

/* A record would have to hold bytes that left the cache; a flush makes them durable, too. */
static void a_commit_flushes_what_was_written_and_evicted_before(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t many = given_child(fx, fx->root, 400, 120, T_DATA);
	xn_binding_t all = given_bound(fx, fx->root, 400, many, 120, T_DATA, XN_WRITE), binding;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, &binding), later;
	struct xn_extent extents[2] = { { data, 1, 0, 0 }, { fx->root, 1, 0, 0 } };
	uint8_t bytes[XN_BLOCK];

	for (uint64_t i = 0; i < 120; i++) {
		stamp_fill(bytes, many + i, fx->root, 1);
		assert_ok(xn_write(fx->session, all, i * XN_BLOCK, bytes, sizeof(bytes)));
		if (i % 50 == 49)
			assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	}
	assert_ok(xn_unbind(fx->session, all));
	assert_ok(xn_sync(fx->session, 0));
	stamp_fill(bytes, data, fx->root, 2);
	assert_ok(xn_write(fx->session, binding, 0, bytes, sizeof(bytes)));
	assert_ok(xn_unbind(fx->session, binding));
	assert_ok(writeback(fx, data, 1));
	for (uint64_t i = 0; i < 120; i += 40) {
		all = given_bound(fx, fx->root, 400, many, 120, T_DATA, XN_READ);
		assert_ok(xn_readin(fx->session, all, i, 40));
		assert_ok(xn_unbind(fx->session, all));
	}
	later = given_data(fx, fx->root, 1, 3, NULL);
	assert_ok(xn_commit(fx->session, extents, 2));
	fixture_crash(fx, 1); /* only what was flushed is left */
	assert_true(stamp_is(crashdev_now(fx->medium) + data * XN_BLOCK, data, fx->root, 2));
	assert_true(stamp_is(crashdev_now(fx->medium) + later * XN_BLOCK, later, fx->root, 3));
}

static void syncing_one_root_leaves_another_alone(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = {
		.name = "s", .libfs = "test", .type = fx->type[T_NODE], .mode = 0666
	};
	struct xn_root_info info;
	xn_binding_t binding;
	xn_blk_t object;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_ok(
		xn_bind_root(fx->session, "s", XN_READ | XN_WRITE | XN_READIN, &binding, &object));
	given_data(fx, fx->root, 0, 1, NULL);
	given_child(fx, object, 0, 1, T_DATA); /* never written */
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_refused(xn_sync(fx->session, info.id), XN_ETAINTED);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.dirty, 0);
	assert_ok(xn_root_find(fx->xn, "s", &info));
	assert_int_equal(info.dirty, 1);
}

static void only_administrators_sync_everything(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0);

	assert_refused(xn_sync(user, 0), XN_ECRED);
	assert_refused(xn_sync(fx->session, 77), XN_ENOROOT);
	assert_ok(xn_sync(user, fx->root_id));
}

static void nobody_writes_back_what_he_has_not_bound(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0);
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_extent extent = { data, 1, 0, 0 };

	assert_refused(xn_writeback(user, &extent, 1), XN_ENOTBOUND);
	assert_refused(xn_blockers(user, fx->root, NULL, 0), XN_ENOTBOUND);
	extent.start = 900;
	assert_ok(xn_writeback(user, &extent, 1)); /* nothing is known of it */
}

static void blockers_of_the_unknown_are_not_told(void **state)
{
	struct fixture *fx = *state;

	assert_refused(xn_blockers(fx->session, 900, NULL, 0), XN_ENOTCACHED);
}

/* Rewriting data in place, freeing, taking again by others, under many crashes. */
static void blocks_that_change_hands_show_nothing_of_their_last_owner(void **state)
{
	struct fixture *fx = *state;
	uint64_t seed = 5;
	xn_blk_t node[4];

	for (uint32_t i = 0; i < 4; i++)
		node[i] = given_node(fx, fx->root, i, NULL);
	assert_ok(xn_sync(fx->session, 0));
	fixture_watch(fx, 2);
	for (uint64_t round = 0; round < 120; round++) {
		xn_blk_t owner = node[chance(&seed) % 4];
		uint32_t record = (uint32_t)(chance(&seed) % 3) * 90;
		const void *bytes;
		xn_binding_t bound;
		uint64_t value;
		size_t len;

		bound = given_bound(fx, fx->root,
				    (uint32_t)(owner == node[1]) + 2 * (owner == node[2]) +
					    3 * (owner == node[3]),
				    owner, 1, T_NODE, XN_READ);
		assert_ok(xn_map(fx->session, bound, &bytes, &len));
		memcpy(&value, (const uint8_t *)bytes + record * 8, sizeof(value));
		assert_ok(xn_unbind(fx->session, bound));
		if (value)
			given_no_child(fx, owner, record, T_START(value), 1, T_DATA);
		else
			given_data(fx, owner, record, round, NULL);
		if (chance(&seed) % 5 == 0)
			(void)writeback(fx, owner, 1);
		if (chance(&seed) % 7 == 0)
			assert_ok(xn_flush(fx->session));
		if (chance(&seed) % 11 == 0)
			assert_ok(xn_sync(fx->session, fx->root_id));
	}
}

/* ---- while a write is under way ---- */

struct meanwhile {
	struct fixture *fx;
	xn_blk_t from, to, data, later;
	bool done;
};

static void move_meanwhile(void *context, struct bdev *dev, enum bdev_op op)
{
	struct meanwhile *m = context;
	struct request rq;

	(void)dev;
	fixture_check_crashes(m->fx, 4);
	if (m->done || op != BDEV_WRITE)
		return;
	m->done = true;
	request_move(&rq, m->from, 0, m->to, 0, T_POINTER(m->data, 1, T_DATA));
	assert_ok(request_run(&rq, m->fx->session));
	m->later = given_child(m->fx, m->to, 1, 1, T_DATA);
	fixture_check(m->fx);
}

/*
 * All that the copy named was sound when it was written, and was not any more when it
 * was flushed.
 */
static void a_move_below_what_is_being_written_keeps_it_from_being_sound(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t top = given_node(fx, fx->root, 0, NULL), keeps = given_node(fx, fx->root, 1, NULL);
	struct meanwhile m = { .fx = fx };
	struct request rq;
	xn_blk_t late = given_child(fx, keeps, 0, 1, T_DATA);

	m.from = given_node(fx, top, 0, NULL);
	m.to = given_node(fx, top, 1, NULL);
	m.data = given_zeroes(fx, m.from, 0, NULL);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	request_begin(&rq); /* they are on the disk, and no disk names them; now write one anew */
	request_word(&rq, top, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	crashdev_hook_set(fx->medium, move_meanwhile, &m);
	assert_ok(writeback(fx, top, 1));
	assert_true(m.done);
	assert_ok(xn_flush(fx->session));
	given_written(fx, keeps, 0, late);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	given_written(fx, m.to, 1, m.later);
	assert_ok(xn_sync(fx->session, fx->root_id));
	crashdev_hook_set(fx->medium, NULL, NULL);
}

static void join_meanwhile(void *context, struct bdev *dev, enum bdev_op op)
{
	struct meanwhile *m = context;
	struct request rq;

	(void)dev;
	fixture_check_crashes(m->fx, 4);
	if (m->done || op != BDEV_WRITE)
		return;
	m->done = true;
	request_move(&rq, m->from, 0, m->to, 1, T_POINTER(m->data, 1, T_DATA));
	assert_ok(request_run(&rq, m->fx->session));
}

/* Who joins a group after its members were collected goes with them, or they wait. */
static void a_group_that_grew_meanwhile_is_written_whole(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t other = given_node(fx, fx->root, 0, NULL);
	struct meanwhile m = { .fx = fx };
	xn_blk_t moved = given_zeroes(fx, other, 0, NULL), page;
	struct xn_extent extents[2] = { { 0, 1, 0, 0 }, { 0, 1, 0, 0 } };
	struct request rq;

	m.from = given_node(fx, fx->root, 1, NULL);
	m.to = given_node(fx, fx->root, 2, NULL);
	m.data = given_zeroes(fx, m.from, 0, NULL);
	page = given_zeroes(fx, fx->root, 3, NULL);
	assert_ok(xn_sync(fx->session, 0));
	request_move(&rq, other, 0, m.to, 0, T_POINTER(moved, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	given_written(fx, fx->root, 3, page);
	extents[0].start = page; /* at home, and so first; then what is to be logged */
	extents[1].start = m.to;
	crashdev_hook_set(fx->medium, join_meanwhile, &m);
	assert_ok(xn_writeback(fx->session, extents, 2));
	assert_true(m.done);
	assert_ok(xn_flush(fx->session));
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
}

static void cut_off_meanwhile(void *context, struct bdev *dev, enum bdev_op op)
{
	struct meanwhile *m = context;
	struct fixture *fx = m->fx;
	struct request rq;

	(void)dev;
	fixture_check_crashes(fx, 16);
	if (m->done || op != BDEV_WRITE)
		return;
	m->done = true;
	request_move(&rq, m->to, 0, m->to, 100, T_POINTER(m->data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, m->from, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, fx->session));
}

/*
 * An object is about to be written at home; then ownership moves between its sectors, and
 * then the tree it is in is given up.  It needs no record any more, as nobody cares what
 * becomes of it; but until that is on the disk, the disk names it.
 */
static void what_is_cut_off_meanwhile_is_not_written(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 1, NULL), b = given_node(fx, fx->root, 2, NULL);
	xn_blk_t other = given_zeroes(fx, a, 0, NULL);
	struct meanwhile m = { .fx = fx };
	struct request rq;

	m.from = given_node(fx, fx->root, 0, NULL);
	m.to = given_node(fx, m.from, 0, NULL);
	m.data = given_zeroes(fx, m.to, 0, NULL);
	assert_ok(xn_sync(fx->session, 0));
	request_begin(&rq);
	request_word(&rq, m.to, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	request_move(&rq, a, 0, b, 0, T_POINTER(other, 1, T_DATA)); /* a record, written first */
	assert_ok(request_run(&rq, fx->session));
	crashdev_hook_set(fx->medium, cut_off_meanwhile, &m);
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(m.done);
	assert_int_equal(xn_reap(fx->session, 10), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_crash_shows_a_pointer_before_what_it_names),
		TEST(a_pointer_to_unwritten_data_is_not_written),
		TEST(one_tainted_block_refuses_the_whole_request),
		TEST(a_new_subtree_goes_out_in_one_wave),
		TEST(an_object_no_disk_names_may_be_written_at_any_time),
		TEST(what_a_written_copy_named_is_not_free_at_once),
		TEST(a_block_never_written_keeps_a_sync_from_succeeding),
		TEST(reserved_blocks_taint_nobody),
		TEST(what_is_listed_as_writeable_can_be_written),
		TEST(all_roots_of_a_session_are_listed_together),
		TEST(a_freed_block_waits_until_no_pointer_is_on_disk),
		TEST(a_flush_of_an_older_copy_frees_nothing),
		TEST(a_block_no_disk_ever_named_is_free_at_once),
		TEST(what_waits_on_a_freed_object_waits_with_it),
		TEST(a_branch_freed_whole_in_one_update_is_free_after_a_sync),
		TEST(a_branch_nobody_wrote_is_free_at_once),
		cmocka_unit_test_setup_teardown(a_sync_flushes_what_was_written_and_evicted_before,
						fixture_setup_small_cache, fixture_teardown),
		cmocka_unit_test_setup_teardown(
			a_commit_flushes_what_was_written_and_evicted_before,
			fixture_setup_small_cache, fixture_teardown),
		TEST(syncing_one_root_leaves_another_alone),
		TEST(only_administrators_sync_everything),
		TEST(nobody_writes_back_what_he_has_not_bound),
		TEST(blockers_of_the_unknown_are_not_told),
		TEST(blocks_that_change_hands_show_nothing_of_their_last_owner),
		TEST(a_move_below_what_is_being_written_keeps_it_from_being_sound),
		TEST(a_group_that_grew_meanwhile_is_written_whole),
		TEST(what_is_cut_off_meanwhile_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
