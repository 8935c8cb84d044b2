/* SPDX-License-Identifier: MIT */
/*
 * Temporary roots and scratch roots: exempt from order, never from privacy.
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

struct temp {
	xn_blk_t object;
	uint32_t id;
	xn_binding_t binding;
};

static struct temp given_temp(struct fixture *fx, const char *name, uint32_t scratch_of)
{
	struct xn_root_spec spec = { .name = name,
				     .libfs = "test",
				     .type = fx->type[T_NODE],
				     .mode = 0600,
				     .flags = scratch_of ? XN_ROOT_SCRATCH : XN_ROOT_TEMPORARY,
				     .scratch_of = scratch_of };
	struct xn_root_info info;
	struct temp temp;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	temp.id = info.id;
	assert_ok(xn_bind_root(fx->session, name, RW | XN_READIN, &temp.binding, &temp.object));
	return temp;
}

/* What one record names goes over to another, same type. */
static void move_request(struct request *rq, xn_blk_t from, uint32_t from_record, xn_blk_t to,
			 uint32_t to_record, uint64_t word)
{
	request_begin(rq);
	request_word(rq, from, 8 * from_record, 0);
	request_word(rq, to, 8 * to_record, word);
}

static void attach(struct fixture *fx, struct temp *scratch, uint32_t record, xn_blk_t top,
		   uint32_t to_record)
{
	struct request rq;
	int err;

	move_request(&rq, scratch->object, record, fx->root, to_record, T_POINTER(top, 1, T_NODE));
	err = request_run(&rq, fx->session);
	if (err)
		print_error("%s\n", rq.why.text);
	assert_ok(err);
}

static uint64_t flushes(struct fixture *fx)
{
	struct xn_stats stats;

	xn_stats(fx->xn, &stats);
	return stats.flushes;
}

static uint64_t used_by(struct fixture *fx, const char *name)
{
	struct xn_root_info info;

	assert_ok(xn_root_find(fx->xn, name, &info));
	return info.used;
}

/* ---- temporary roots ---- */

static void a_temporary_root_is_gone_after_reopening(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	struct xn_root_info info;

	for (unsigned crash = 0; crash < 2; crash++) {
		struct temp temp = given_temp(fx, "tmp", 0);
		xn_blk_t node = given_node(fx, temp.object, 0, NULL);

		for (uint32_t i = 0; i < 20; i++)
			given_data(fx, node, i, i, NULL);
		assert_ok(xn_root_find(fx->xn, "tmp", &info));
		assert_int_equal(info.flags, XN_ROOT_TEMPORARY);
		assert_int_equal(info.used, 22);
		if (crash) {
			assert_ok(xn_sync(fx->session, temp.id));
			fixture_crash(fx, 0);
		} else {
			fixture_reopen(fx); /* the medium is looked at */
		}
		assert_refused(xn_root_find(fx->xn, "tmp", &info), XN_ENOROOT);
		assert_int_equal(free_blocks(fx), before);
	}
}

static void the_next_root_is_found_behind_a_temporary_one(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = {
		.name = "other", .libfs = "test", .type = fx->type[T_NODE], .mode = 0600
	};
	struct xn_root_info info, found;

	given_temp(fx, "tmp", 0);
	assert_ok(xn_root_create(fx->session, &spec, &info));
	fixture_reopen(fx);
	assert_ok(xn_root_find(fx->xn, "other", &found));
	assert_int_equal(found.id, info.id);
}

/* A tree of any height goes out in one wave, with one flush; a parent before its child. */
static void order_does_not_bind_a_temporary_root(void **state)
{
	struct fixture *fx = *state;
	struct temp temp = given_temp(fx, "tmp", 0);
	xn_blk_t at = temp.object, node[6];
	uint64_t before;

	assert_ok(xn_sync(fx->session, temp.id));
	for (unsigned round = 0; round < 2; round++) { /* the second time all of it was sound */
		for (uint32_t i = 0; i < 6; i++) {
			node[i] = given_node(fx, at, 10 * round, NULL);
			at = node[i];
		}
		assert_ok(xn_writeback(fx->session,
				       &(struct xn_extent){ temp.object, 1, fx->type[T_NODE], 0 },
				       1));
		assert_ok(xn_writeback(fx->session,
				       &(struct xn_extent){ node[2], 1, fx->type[T_NODE], 0 }, 1));
		fixture_check(fx);
		before = flushes(fx);
		assert_ok(xn_sync(fx->session, temp.id));
		assert_int_equal(flushes(fx) - before, 1);
		fixture_check(fx);
		at = temp.object;
	}
}

static void a_sync_of_all_passes_temporary_roots_by(void **state)
{
	struct fixture *fx = *state;
	struct temp temp = given_temp(fx, "tmp", 0);
	struct xn_root_stats stats;

	given_child(fx, temp.object, 0, 1, T_DATA); /* never written */
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_root_stats(fx->xn, temp.id, &stats));
	assert_int_equal(stats.dirty_pages, 1);
	assert_int_equal(stats.blocks_out, 0);
}

static void blocks_of_a_temporary_root_are_free_at_once(void **state)
{
	struct fixture *fx = *state;
	struct temp temp = given_temp(fx, "tmp", 0);
	xn_blk_t data = given_data(fx, temp.object, 0, 1, NULL);
	uint64_t before = free_blocks(fx);

	assert_ok(xn_sync(fx->session, temp.id));
	given_no_child(fx, temp.object, 0, data, 1, T_DATA);
	assert_int_equal(free_blocks(fx), before + 1);
	fixture_check(fx);
}

/* The disk is full of 0xDB, and of what others wrote. */
static void a_temporary_root_shows_nothing_of_others(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t secret = given_data(fx, fx->root, 0, 7, NULL), start;
	struct temp temp;
	struct request rq;
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, secret, 1, T_DATA);
	assert_ok(xn_sync(fx->session, 0));
	temp = given_temp(fx, "tmp", 0);
	request_begin(&rq);
	request_word(&rq, temp.object, 0, T_POINTER(secret, 1, T_DATA));
	request_alloc(&rq, secret, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	start = given_child(fx, temp.object, 1, 4, T_DATA);
	(void)xn_sync(fx->session, temp.id); /* written or not */
	for (uint32_t i = 0; i < 2; i++) {
		b = given_bound(fx, temp.object, i, i ? start : secret, 1, T_DATA, RW);
		assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
		for (uint32_t k = 0; k < XN_BLOCK; k++)
			assert_int_equal(page[k], 0);
		assert_refused(xn_write(fx->session, b, 0, page, 10), XN_EUNINIT);
	}
}

static void a_removed_temporary_root_leaves_nothing(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);

	for (unsigned i = 0; i < 5; i++) {
		struct temp temp = given_temp(fx, "tmp", 0);

		given_data(fx, given_node(fx, temp.object, 0, NULL), 0, 1, NULL);
		if (i % 2)
			assert_ok(xn_sync(fx->session, temp.id));
		assert_ok(xn_root_remove(fx->session, "tmp"));
		assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
		assert_int_equal(free_blocks(fx), before);
		fixture_check(fx);
	}
}

/* ---- scratch roots ---- */

static void attach_a_subtree_that_names_an_unwritten_block(void **state)
{
	struct fixture *fx = *state;
	struct temp scratch = given_temp(fx, "scratch", fx->root_id);
	xn_blk_t top = given_node(fx, scratch.object, 0, NULL);
	xn_blk_t data = given_child(fx, top, 0, 1, T_DATA), below;
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	below = given_node(fx, top, 1, NULL);
	given_data(fx, below, 0, 5, NULL);
	/* It may go to the disk half made, for nothing there names it. */
	assert_ok(xn_writeback(fx->session, &(struct xn_extent){ top, 1, fx->type[T_NODE], 0 }, 1));
	fixture_watch(fx, 4);
	attach(fx, &scratch, 0, top, 3);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	fixture_check(fx);
	b = given_bound(fx, top, 0, data, 1, T_DATA, RW);
	stamp_fill(page, data, top, 9);
	assert_ok(xn_write(fx->session, b, 0, page, sizeof(page)));
	assert_ok(xn_sync(fx->session, fx->root_id));
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_crash(fx, 1);
	given_bound(fx, fx->root, 3, top, 1, T_NODE, RW | XN_READIN);
	b = given_bound(fx, top, 0, data, 1, T_DATA, RW);
	assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
	assert_true(stamp_is(page, data, top, 9));
}

static void evict_an_exempt_parent_and_bind_it_again(void **state)
{
	struct fixture *fx = fixture_new(2048, XN_CACHE_MIN);
	struct temp scratch = given_temp(fx, "scratch", fx->root_id);
	xn_blk_t top = given_node(fx, scratch.object, 0, NULL), data, bulk;
	struct xn_stats before, after;
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	(void)state;
	data = given_data(fx, top, 0, 1, NULL);
	assert_ok(xn_sync(fx->session, fx->root_id));
	xn_session_close(fx->session);
	fx->session = given_session(fx, 0, XN_SESSION_ADMIN);
	assert_ok(xn_bind_root(fx->session, "r", RW | XN_READIN, &fx->root_binding, &fx->root));
	/* All of it leaves the cache ... */
	bulk = given_child(fx, fx->root, 1, 250, T_DATA);
	b = given_bound(fx, fx->root, 1, bulk, 250, T_DATA, RW);
	for (uint32_t i = 0; i < 250; i++) {
		stamp_fill(page, bulk + i, fx->root, 1);
		assert_ok(xn_write(fx->session, b, i * XN_BLOCK, page, sizeof(page)));
		if (i % 40 == 39)
			(void)xn_sync(fx->session, 0);
	}
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_readin(fx->session, b, 0, 250));
	xn_stats(fx->xn, &before);
	/* ... and is bound again, changed while it is exempt, and attached. */
	assert_ok(xn_bind_root(fx->session, "scratch", RW | XN_READIN, &scratch.binding,
			       &scratch.object));
	given_bound(fx, scratch.object, 0, top, 1, T_NODE, RW | XN_READIN);
	xn_stats(fx->xn, &after);
	assert_true(after.blocks_in >= before.blocks_in + 2);
	given_child(fx, top, 1, 1, T_DATA); /* tainted, and may be written all the same */
	assert_ok(xn_writeback(fx->session, &(struct xn_extent){ top, 1, fx->type[T_NODE], 0 }, 1));
	fixture_check(fx);
	assert_ok(xn_readin(fx->session, b, 0, 250)); /* it cannot leave now */
	fixture_check(fx);
	attach(fx, &scratch, 0, top, 3);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	assert_int_equal(xn_init_unwritten(fx->session, fx->root_id), 1);
	fixture_watch(fx, 4);
	assert_ok(xn_sync(fx->session, fx->root_id));
	crashdev_hook_set(fx->medium, NULL, NULL);
	b = given_bound(fx, top, 0, data, 1, T_DATA, XN_READ);
	assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
	assert_true(stamp_is(page, data, top, 1));
	fixture_free(fx);
}

static void attaching_costs_the_same_for_any_tree(void **state)
{
	struct fixture *fx = *state;
	struct temp scratch = given_temp(fx, "scratch", fx->root_id);
	uint64_t cost[2];

	for (unsigned large = 0; large < 2; large++) {
		xn_blk_t top = given_node(fx, scratch.object, 0, NULL);
		struct xn_stats before, after;

		for (uint32_t i = 0; i < (large ? 60u : 1u); i++)
			given_data(fx, given_node(fx, top, i, NULL), 0, i, NULL);
		xn_stats(fx->xn, &before);
		attach(fx, &scratch, 0, top, large);
		xn_stats(fx->xn, &after);
		cost[large] = after.owns_runs - before.owns_runs;
	}
	assert_int_equal(cost[0], cost[1]);
	assert_ok(xn_sync(fx->session, fx->root_id));
	fixture_check(fx);
}

static void nothing_is_moved_into_a_scratch_root(void **state)
{
	struct fixture *fx = *state;
	struct temp scratch = given_temp(fx, "scratch", fx->root_id);
	xn_blk_t node = given_node(fx, fx->root, 0, NULL), inner;
	struct request rq;

	inner = given_node(fx, scratch.object, 5, NULL);
	move_request(&rq, fx->root, 0, scratch.object, 0, T_POINTER(node, 1, T_NODE));
	assert_request_refused(fx, &rq, XN_EOWNS);
	move_request(&rq, fx->root, 0, inner, 0, T_POINTER(node, 1, T_NODE));
	assert_request_refused(fx, &rq, XN_EOWNS);
	/* Inside it, everything goes. */
	node = given_node(fx, scratch.object, 1, NULL);
	given_data(fx, node, 0, 1, NULL);
	move_request(&rq, scratch.object, 1, inner, 0, T_POINTER(node, 1, T_NODE));
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
	attach(fx, &scratch, 5, inner, 1);
	fixture_watch(fx, 4);
	assert_ok(xn_sync(fx->session, fx->root_id));
	crashdev_hook_set(fx->medium, NULL, NULL);
}

static void a_scratch_root_is_charged_to_its_root(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	struct temp scratch = given_temp(fx, "scratch", fx->root_id);
	struct xn_root_info info;
	struct xn_space space;
	struct request rq;
	xn_blk_t start;

	given_child(fx, scratch.object, 0, 10, T_RESERVED);
	assert_int_equal(used_by(fx, "r"), 12);
	assert_ok(xn_root_set_quota(fx->session, "r", 15));
	start = given_free(fx, 4);
	request_begin(&rq);
	request_word(&rq, scratch.object, 8, T_POINTER(start, 4, T_RESERVED));
	request_alloc(&rq, start, 4, XN_RESERVED);
	assert_request_refused(fx, &rq, XN_EQUOTA);
	assert_ok(xn_space(fx->session, scratch.id, &space));
	assert_int_equal(space.used, 12);
	assert_ok(xn_claim(fx->session, scratch.id, 3)); /* its root's */
	assert_ok(xn_space(fx->session, fx->root_id, &space));
	assert_int_equal(space.claimed, 3);
	assert_ok(xn_claim(fx->session, fx->root_id, -3));
	assert_refused(xn_root_set_quota(fx->session, "scratch", 5), -EINVAL);
	assert_ok(xn_root_remove(fx->session, "scratch"));
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(used_by(fx, "r"), 1);
	assert_int_equal(free_blocks(fx), before);
	assert_refused(xn_root_find(fx->xn, "scratch", &info), XN_ENOROOT);
	fixture_check(fx);
}

static void a_scratch_root_ends_with_its_root(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	struct xn_root_spec spec = {
		.name = "other", .libfs = "test", .type = fx->type[T_NODE], .mode = 0600
	};
	struct xn_root_info info;
	struct temp scratch;
	const void *bytes;
	xn_blk_t node;
	size_t len;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	scratch = given_temp(fx, "scratch", info.id);
	node = given_node(fx, scratch.object, 0, NULL);
	given_data(fx, node, 0, 1, NULL);
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_refused(xn_root_find(fx->xn, "scratch", &info), XN_ENOROOT);
	assert_refused(xn_map(fx->session, scratch.binding, &bytes, &len), XN_ESTALE);
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(free_blocks(fx), before);
	fixture_check(fx);
}

static void who_may_write_may_have_a_scratch_root(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0);
	struct xn_root_spec spec = { .name = "scratch",
				     .libfs = "test",
				     .type = fx->type[T_NODE],
				     .uid = 5,
				     .mode = 0600,
				     .flags = XN_ROOT_SCRATCH,
				     .scratch_of = fx->root_id };
	xn_binding_t binding;
	xn_blk_t object;

	assert_refused(xn_root_create(user, &spec, NULL), XN_ECRED);
	assert_ok(xn_bind_root(user, "r", RW, &binding, &object));
	spec.uid = 6;
	assert_refused(xn_root_create(user, &spec, NULL), XN_ECRED);
	spec.uid = 5;
	assert_ok(xn_root_create(user, &spec, NULL));
	assert_ok(xn_bind_root(user, "scratch", RW | XN_READIN, &binding, &object));
	spec.name = "more";
	spec.quota = 4;
	assert_refused(xn_root_create(user, &spec, NULL), -EINVAL);
	spec.quota = 0;
	spec.flags = XN_ROOT_TEMPORARY;
	spec.scratch_of = 0;
	assert_refused(xn_root_create(user, &spec, NULL), XN_ECRED);
	assert_ok(xn_root_set_quota(fx->session, "r", 2));
	spec.flags = XN_ROOT_SCRATCH;
	spec.scratch_of = fx->root_id;
	assert_refused(xn_root_create(user, &spec, NULL), XN_EQUOTA);
	xn_session_close(user);
}

/* Built beside, attached, freed and built anew, with crashes in between. */
static void trees_are_attached_under_many_crashes(void **state)
{
	struct fixture *fx = *state;
	uint64_t seed = 11;

	for (unsigned epoch = 0; epoch < 6; epoch++) {
		struct temp scratch = given_temp(fx, "scratch", fx->root_id);
		xn_blk_t attached[4] = { 0 };

		fixture_watch(fx, 2);
		for (unsigned round = 0; round < 12; round++) {
			uint32_t k = (uint32_t)(chance(&seed) % 4);
			xn_blk_t top = given_node(fx, scratch.object, k, NULL);
			struct request rq;

			for (uint32_t i = 0; i < 3; i++)
				given_data(fx, given_node(fx, top, i, NULL), 0, round, NULL);
			if (chance(&seed) % 2)
				assert_ok(xn_sync(fx->session, fx->root_id));
			if (attached[k]) {
				request_begin(&rq);
				request_word(&rq, fx->root, 8 * (20 * epoch + k), 0);
				request_free(&rq, attached[k], 1, fx->type[T_NODE]);
				rq.update.flags = XN_REAP;
				assert_ok(request_run(&rq, fx->session));
			}
			attach(fx, &scratch, k, top, 20 * epoch + k);
			attached[k] = top;
			if (chance(&seed) % 3 == 0)
				assert_ok(xn_sync(fx->session, fx->root_id));
			if (chance(&seed) % 3 == 0)
				(void)xn_reap(fx->session, 5);
			fixture_check(fx);
		}
		crashdev_hook_set(fx->medium, NULL, NULL);
		fixture_crash(fx, chance(&seed));
	}
}

/* ---- blocks that nobody will write ---- */

static void a_session_that_dies_before_it_wrote_holds_nobody_up(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *mortal = given_session(fx, 0, 0);
	struct xn_root_spec spec = {
		.name = "other", .libfs = "test", .type = fx->type[T_NODE], .mode = 0600
	};
	struct xn_root_info other;
	xn_binding_t binding;
	xn_blk_t object, start = given_free(fx, 30);
	uint8_t page[XN_BLOCK];
	struct request rq;

	assert_ok(xn_root_create(fx->session, &spec, &other));
	assert_ok(xn_bind_root(mortal, "r", RW | XN_READIN, &binding, &object));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 30, T_DATA));
	request_alloc(&rq, start, 30, XN_DATA);
	assert_ok(request_run(&rq, mortal));
	xn_session_close(mortal);
	assert_ok(xn_sync(fx->session, other.id)); /* another root never notices */
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	assert_refused(xn_init_unwritten(given_session(fx, 3, 0), fx->root_id), XN_ECRED);
	assert_refused(xn_init_unwritten(fx->session, 99), XN_ENOROOT);
	assert_int_equal(xn_init_unwritten(fx->session, other.id), 0);
	assert_int_equal(xn_init_unwritten(fx->session, fx->root_id), 30);
	assert_int_equal(xn_init_unwritten(fx->session, 0), 0);
	assert_ok(xn_sync(fx->session, fx->root_id));
	fixture_crash(fx, 1);
	binding = given_bound(fx, fx->root, 0, start, 30, T_DATA, XN_READ);
	assert_ok(xn_read(fx->session, binding, 29 * XN_BLOCK, page, sizeof(page)));
	assert_int_equal(page[0], 0);
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_init_unwritten(fx->session, 0), XN_EREADONLY);
}

/* More than the cache holds: zeroes, a sync, and so on. */
static void many_unwritten_blocks_are_settled_in_turns(void **state)
{
	struct fixture *fx = fixture_new(4096, XN_CACHE_MIN);
	uint32_t total = 0;
	int n;

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		given_child(fx, fx->root, i, 250, T_DATA);
	while ((n = xn_init_unwritten(fx->session, 0)) != 0) {
		assert_true(n > 0);
		total += (uint32_t)n;
		n = xn_sync(fx->session, 0);
		assert_true(n == 0 || n == XN_ETAINTED);
		fixture_check(fx);
	}
	assert_int_equal(total, 2500);
	assert_ok(xn_sync(fx->session, 0));
	fixture_free(fx);
}

/* ---- what sessions and roots did ---- */

static void sessions_and_roots_are_counted_apart(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *other = given_session(fx, 0, 0);
	struct xn_session_stats before, after, idle;
	struct xn_root_stats root;
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	assert_ok(xn_session_stats(fx->session, &before));
	given_data(fx, fx->root, 0, 1, &b);
	assert_ok(xn_read(fx->session, b, 0, page, 10));
	assert_ok(xn_session_stats(fx->session, &after));
	assert_int_equal(after.updates, before.updates + 1);
	assert_int_equal(after.binds, before.binds + 1);
	assert_int_equal(after.bindings, before.bindings + 1);
	assert_int_equal(after.writes, before.writes + 1);
	assert_int_equal(after.reads, before.reads + 1);
	assert_ok(xn_session_stats(other, &idle));
	assert_int_equal(idle.updates + idle.binds + idle.reads + idle.bindings, 0);
	assert_ok(xn_root_stats(fx->xn, fx->root_id, &root));
	assert_int_equal(root.used, 2);
	assert_int_equal(root.updates, 1);
	assert_int_equal(root.dirty_pages, 2);
	assert_int_equal(root.held_pages, 2);
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_root_stats(fx->xn, fx->root_id, &root));
	assert_int_equal(root.dirty_pages + root.held_pages, 0);
	assert_int_equal(root.blocks_out, 2);
	assert_ok(xn_session_stats(fx->session, &after));
	assert_int_equal(after.held_pages, 1); /* the root's object, bound */
	assert_refused(xn_root_stats(fx->xn, 99, &root), XN_ENOROOT);
	xn_session_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_temporary_root_is_gone_after_reopening),
		TEST(the_next_root_is_found_behind_a_temporary_one),
		TEST(order_does_not_bind_a_temporary_root),
		TEST(a_sync_of_all_passes_temporary_roots_by),
		TEST(blocks_of_a_temporary_root_are_free_at_once),
		TEST(a_temporary_root_shows_nothing_of_others),
		TEST(a_removed_temporary_root_leaves_nothing),
		TEST(attach_a_subtree_that_names_an_unwritten_block),
		cmocka_unit_test(evict_an_exempt_parent_and_bind_it_again),
		TEST(attaching_costs_the_same_for_any_tree),
		TEST(nothing_is_moved_into_a_scratch_root),
		TEST(a_scratch_root_is_charged_to_its_root),
		TEST(a_scratch_root_ends_with_its_root),
		TEST(who_may_write_may_have_a_scratch_root),
		TEST(trees_are_attached_under_many_crashes),
		TEST(a_session_that_dies_before_it_wrote_holds_nobody_up),
		cmocka_unit_test(many_unwritten_blocks_are_settled_in_turns),
		TEST(sessions_and_roots_are_counted_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
