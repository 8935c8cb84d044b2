/* SPDX-License-Identifier: MIT */
/*
 * The intent log: what must be whole after a crash is, whenever the power goes.
 * fixture_watch() judges crash states after every single write and flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xn/log_format.h"
#include "xn_fixture.h"

#define BOTH (XN_READ | XN_WRITE)

static void sync_all(struct fixture *fx)
{
	assert_ok(xn_sync(fx->session, 0));
}

/* ---- whole updates ---- */

static void data_moves_from_object_to_object(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t data = given_zeroes(fx, a, 0, NULL);
	struct request rq;

	sync_all(fx);
	fixture_watch(fx, 4);
	for (unsigned i = 0; i < 10; i++) {
		request_move(&rq, i % 2 ? b : a, 0, i % 2 ? a : b, 0, T_POINTER(data, 1, T_DATA));
		assert_ok(request_run(&rq, fx->session));
		if (i % 3 != 1)
			sync_all(fx);
	}
	sync_all(fx);
	assert_true(stats_of(fx).log_records > 0);
	assert_int_equal(node_word(fx, 0, a, 0), T_POINTER(data, 1, T_DATA));
	fixture_reopen(fx);
	assert_int_equal(node_word(fx, 0, a, 0), T_POINTER(data, 1, T_DATA));
	assert_int_equal(node_word(fx, 1, b, 0), 0);
}

static void a_binding_of_data_follows_the_move(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	uint8_t block[XN_BLOCK], got[XN_BLOCK];
	xn_binding_t bound;
	xn_blk_t data = given_zeroes(fx, a, 0, &bound);
	struct request rq;

	request_move(&rq, a, 0, b, 7, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	stamp_fill(block, data, b, 2);
	assert_ok(xn_write(fx->session, bound, 0, block, sizeof(block)));
	assert_ok(xn_read(fx->session, bound, 0, got, sizeof(got)));
	assert_memory_equal(got, block, sizeof(got));
	assert_refused(try_bind(fx, fx->session, a, 0, data, 1, XN_DATA, XN_READ, &bound),
		       XN_ENOTOWNER);
}

static void ownership_moves_between_sectors_of_one_object(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_zeroes(fx, fx->root, 0, NULL);
	struct request rq;

	sync_all(fx);
	fixture_watch(fx, 4);
	for (uint32_t i = 0; i < 6; i++) {
		request_move(&rq, fx->root, i * 70, fx->root, (i + 1) * 70,
			     T_POINTER(data, 1, T_DATA));
		assert_ok(request_run(&rq, fx->session));
		sync_all(fx);
	}
}

static void headers_and_straddling_records_change_whole(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t strad = given_child(fx, fx->root, 2, 1, T_STRAD);
	xn_blk_t head = given_child(fx, fx->root, 3, 1, T_HEAD);
	xn_blk_t free;
	struct request rq;

	given_bound(fx, fx->root, 2, strad, 1, T_STRAD, BOTH | XN_READIN);
	given_bound(fx, fx->root, 3, head, 1, T_HEAD, BOTH | XN_READIN);
	sync_all(fx);
	fixture_watch(fx, 4);
	free = given_free(fx, 2);
	request_begin(&rq);
	request_word(&rq, strad, 21 * T_STRAD_SIZE, T_POINTER(free, 1, T_RESERVED));
	request_alloc(&rq, free, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, head, T_HEAD_RECORDS_AT + 499 * 8, T_POINTER(free + 1, 1, T_RESERVED));
	request_alloc(&rq, free + 1, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	request_begin(&rq); /* the header shifts what the record names: the same, said anew */
	request_word(&rq, head, 0, 1);
	request_word(&rq, head, T_HEAD_RECORDS_AT + 499 * 8, T_POINTER(free, 1, T_RESERVED));
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, strad, 21 * T_STRAD_SIZE, 0);
	request_free(&rq, free, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
}

/* Two raw words in two objects are the same after any crash. */
static void an_atomic_update_is_there_or_not(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		xn_binding_t bound[2] = {
			given_bound(fx, fx->root, 0, a, 1, T_NODE, BOTH | XN_READIN),
			given_bound(fx, fx->root, 1, b, 1, T_NODE, BOTH | XN_READIN)
		};

		assert_int_equal(bound_word(fx, bound[0], T_NODE_RAW),
				 bound_word(fx, bound[1], T_NODE_RAW));
		for (uint64_t i = 0; i < seed % 4 + 1; i++) {
			request_begin(&rq);
			rq.update.flags = XN_ATOMIC;
			request_word(&rq, a, T_NODE_RAW, seed * 10 + i);
			request_word(&rq, b, T_NODE_RAW, seed * 10 + i);
			assert_ok(request_run(&rq, fx->session));
			if (i == 1)
				sync_all(fx);
		}
		if (seed % 2)
			assert_ok(xn_writeback(
				fx->session, &(struct xn_extent){ a, 1, fx->type[T_NODE], 0 }, 1));
		if (seed % 5 == 0)
			sync_all(fx);
		fixture_crash(fx, seed);
		if (seed % 5 == 0) {
			xn_binding_t again =
				given_bound(fx, fx->root, 0, a, 1, T_NODE, XN_READ | XN_READIN);

			assert_int_equal(bound_word(fx, again, T_NODE_RAW), seed * 10 + seed % 4);
		}
	}
}

static void one_sector_needs_no_record(void **state)
{
	struct fixture *fx = *state;
	struct request rq;

	sync_all(fx);
	request_begin(&rq);
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, fx->root, T_NODE_RAW, 5);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	assert_int_equal(stats_of(fx).log_records, 0);
}

static void split_a_node_into_a_new_one_atomically(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t old = given_node(fx, fx->root, 0, NULL), data[8], fresh;
	struct request rq;

	for (uint32_t i = 0; i < 8; i++)
		data[i] = given_zeroes(fx, old, i * 60, NULL);
	sync_all(fx);
	fixture_watch(fx, 4);
	fresh = given_free(fx, 1);
	request_begin(&rq);
	request_alloc(&rq, fresh, 1, fx->type[T_NODE]);
	request_word(&rq, fx->root, 8, T_POINTER(fresh, 1, T_NODE));
	for (uint32_t i = 4; i < 8; i++) {
		request_word(&rq, old, i * 60 * 8, 0);
		request_word(&rq, fresh, i * 60 * 8, T_POINTER(data[i], 1, T_DATA));
	}
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	assert_int_equal(node_word(fx, 1, fresh, 4 * 60 * 8), T_POINTER(data[4], 1, T_DATA));
}

/* The new place is not on disk yet: it goes first, and the group waits for it. */
static void rename_into_a_directory_created_in_the_same_epoch(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), file, made, below;
	struct request rq;

	file = given_zeroes(fx, a, 0, NULL);
	sync_all(fx);
	fixture_watch(fx, 4);
	made = given_node(fx, fx->root, 1, NULL);
	below = given_node(fx, made, 3, NULL);
	request_move(&rq, a, 0, below, 0, T_POINTER(file, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	/* And out again, before anything of it is stable. */
	request_move(&rq, below, 0, a, 0, T_POINTER(file, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
}

/* What an unreachable object got by a move, and gives up, is still named by who lost it. */
static void what_moved_and_was_freed_waits_for_who_lost_it(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), file, made, other;
	xn_binding_t bound;
	struct request rq;

	other = given_node(fx, fx->root, 2, NULL);
	file = given_zeroes(fx, a, 0, NULL);
	sync_all(fx);
	fixture_watch(fx, 4);
	made = given_node(fx, fx->root, 1, &bound);
	request_move(&rq, a, 0, made, 0, T_POINTER(file, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	assert_ok(
		xn_writeback(fx->session, &(struct xn_extent){ made, 1, fx->type[T_NODE], 0 }, 1));
	given_no_child(fx, made, 0, file, 1, T_DATA);
	request_begin(&rq);
	request_word(&rq, other, 0, T_POINTER(file, 1, T_DATA));
	request_alloc(&rq, file, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
	sync_all(fx);
	assert_ok(request_run(&rq, fx->session));
	bound = given_bound(fx, other, 0, file, 1, T_DATA, BOTH);
	{
		uint8_t block[XN_BLOCK];

		stamp_fill(block, file, other, 9);
		assert_ok(xn_write(fx->session, bound, 0, block, sizeof(block)));
	}
	sync_all(fx);
}

/* A member that is freed draws the one that named it into its group. */
static void a_directory_emptied_by_moves_and_removed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t dir = given_node(fx, fx->root, 0, NULL), to, file;
	struct request rq;

	to = given_node(fx, fx->root, 70, NULL);
	file = given_zeroes(fx, dir, 0, NULL);
	sync_all(fx);
	fixture_watch(fx, 4);
	request_move(&rq, dir, 0, to, 0, T_POINTER(file, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	given_no_child(fx, fx->root, 0, dir, 1, T_NODE);
	sync_all(fx);
	assert_int_equal(node_word(fx, 70, to, 0), T_POINTER(file, 1, T_DATA));
}

static void a_tree_with_a_member_below_is_given_to_reap(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t top = given_node(fx, fx->root, 0, NULL), low, to, file;
	uint64_t before;
	struct request rq;

	low = given_node(fx, top, 0, NULL);
	to = given_node(fx, fx->root, 70, NULL);
	file = given_zeroes(fx, low, 0, NULL);
	sync_all(fx);
	before = free_blocks(fx);
	fixture_watch(fx, 4);
	request_move(&rq, low, 0, to, 0, T_POINTER(file, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	rq.update.flags = XN_REAP;
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, top, 1, fx->type[T_NODE]);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	while (xn_reap(fx->session, 10) > 0)
		;
	sync_all(fx);
	fixture_reopen(fx);
	assert_int_equal(free_blocks(fx), before + 2);
}

/* What is unwritten below the subtree is nobody's to write; that must not stop the others. */
static void a_subtree_given_to_reap_keeps_nobody_waiting(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t data = given_zeroes(fx, b, 0, NULL);
	struct request rq;

	sync_all(fx);
	fixture_watch(fx, 4);
	given_child(fx, b, 1, 1, T_DATA); /* never written */
	request_move(&rq, b, 0, a, 0, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
	request_begin(&rq);
	request_word(&rq, fx->root, 8, 0);
	request_free(&rq, b, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	assert_int_equal(node_word(fx, 0, a, 0), T_POINTER(data, 1, T_DATA));
	fixture_watch(fx, 0);
}

static void what_moved_into_a_new_subtree_is_not_reaped_early(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), top, low;
	xn_blk_t data = given_zeroes(fx, a, 0, NULL);
	struct request rq;

	sync_all(fx);
	top = given_node(fx, fx->root, 1, NULL); /* no disk names it yet */
	low = given_node(fx, top, 0, NULL);
	request_move(&rq, a, 0, low, 0, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, fx->root, 8, 0);
	request_free(&rq, top, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, fx->session));
	assert_true(xn_reap(fx->session, 10) == 0);
	request_begin(&rq);
	request_word(&rq, fx->root, 16, T_POINTER(data, 1, T_RESERVED));
	request_alloc(&rq, data, 1, XN_RESERVED);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
	fixture_check_crashes(fx, 20);
	sync_all(fx);
	while (xn_reap(fx->session, 10) > 0)
		;
	sync_all(fx);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	fixture_check_crashes(fx, 20);
}

static void nothing_hangs_below_itself(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, a, 0, NULL), c;
	struct request rq;

	c = given_node(fx, b, 0, NULL);
	request_move(&rq, fx->root, 0, c, 0, T_POINTER(a, 1, T_NODE));
	assert_request_refused(fx, &rq, XN_ECYCLE);
	sync_all(fx);
	assert_request_refused(fx, &rq, XN_ECYCLE);
	request_begin(&rq); /* two at once, each below the other */
	request_word(&rq, fx->root, 0, 0);
	request_word(&rq, a, 0, 0);
	request_word(&rq, b, 8, T_POINTER(a, 1, T_NODE));
	request_word(&rq, a, 8, T_POINTER(b, 1, T_NODE));
	assert_request_refused(fx, &rq, XN_ECYCLE);
	request_move(&rq, b, 0, fx->root, 9, T_POINTER(c, 1, T_NODE));
	assert_ok(request_run(&rq, fx->session));
}

/* ---- the log and time ---- */

static void replay_an_old_record_over_a_newer_version(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;

	sync_all(fx);
	for (uint64_t seed = 1; seed < 30; seed++) {
		request_begin(&rq);
		rq.update.flags = XN_ATOMIC;
		request_word(&rq, a, T_NODE_RAW, seed);
		request_word(&rq, b, T_NODE_RAW, seed);
		assert_ok(request_run(&rq, fx->session));
		sync_all(fx);
		request_begin(&rq); /* no record of its own, but its block is held by one */
		request_word(&rq, a, T_NODE_RAW, 1000 + seed);
		assert_ok(request_run(&rq, fx->session));
		sync_all(fx);
		fixture_crash(fx, seed);
		a = T_START(bound_word(fx, fx->root_binding, 0));
		given_bound(fx, fx->root, 0, a, 1, T_NODE, BOTH | XN_READIN);
		given_bound(fx, fx->root, 1, b, 1, T_NODE, BOTH | XN_READIN);
		assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), 1000 + seed);
		assert_int_equal(node_word(fx, 1, b, T_NODE_RAW), seed);
	}
}

static void replay_an_old_record_over_a_block_that_now_is_anothers(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL), gone;
	struct request rq;

	gone = given_node(fx, a, 0, NULL);
	sync_all(fx);
	request_begin(&rq);
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, gone, T_NODE_RAW, 7);
	request_word(&rq, b, T_NODE_RAW, 7);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	given_no_child(fx, a, 0, gone, 1, T_NODE);
	sync_all(fx);
	request_begin(&rq);
	request_word(&rq, b, 0, T_POINTER(gone, 1, T_DATA));
	request_alloc(&rq, gone, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_ENOTFREE); /* a record still holds it */
	fixture_reopen(fx);
	assert_true(free_blocks(fx) > 0);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, BOTH | XN_READIN);
	assert_ok(request_run(&rq, fx->session)); /* the log was emptied when it was closed */
}

/* A small disk's log is small too: it fills, and is emptied by a checkpoint. */
static void a_full_log_is_emptied_and_used_again(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;

	sync_all(fx);
	fixture_watch(fx, 1);
	for (uint64_t i = 0; i < 120; i++) {
		request_begin(&rq);
		rq.update.flags = XN_ATOMIC;
		request_word(&rq, a, T_NODE_RAW, i);
		request_word(&rq, b, T_NODE_RAW, i);
		assert_ok(request_run(&rq, fx->session));
		sync_all(fx);
	}
	assert_true(stats_of(fx).log_checkpoints > 0);
	assert_int_equal(stats_of(fx).log_records, 120);
}

static void what_is_too_much_for_one_record_is_refused(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node[60];
	struct request rq;
	uint32_t n = 0;
	int err = 0;

	for (uint32_t i = 0; i < 60; i++)
		node[i] = given_node(fx, fx->root, i, NULL);
	sync_all(fx);
	for (uint32_t k = 0; k < 8 && !err; k++) {
		for (uint32_t i = 0; i + 1 < 60 && !err; i++, n++) {
			request_begin(&rq);
			rq.update.flags = XN_ATOMIC;
			request_word(&rq, node[i], k * 512, 0);
			request_word(&rq, node[i + 1], k * 512, 0);
			err = request_run(&rq, fx->session);
		}
	}
	assert_int_equal(err, XN_ELOGFULL);
	assert_true(n > 20);
	assert_request_refused(fx, &rq, XN_ELOGFULL);
	sync_all(fx);
	assert_ok(request_run(&rq, fx->session));
}

static void an_evicted_object_is_read_as_the_log_has_it(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	uint64_t evictions = stats_of(fx).evictions;
	struct request rq;
	xn_binding_t bound;

	sync_all(fx);
	request_begin(&rq);
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, a, T_NODE_RAW, 77);
	request_word(&rq, b, T_NODE_RAW, 78);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	xn_session_close(fx->session); /* nothing is bound any more */
	fx->session = given_session(fx, 0, XN_SESSION_ADMIN);
	assert_ok(xn_bind_root(fx->session, "r", BOTH | XN_READIN, &fx->root_binding, &fx->root));
	for (uint32_t i = 4; i < 404; i++) {
		given_data(fx, fx->root, i, i, &bound);
		assert_ok(xn_unbind(fx->session, bound));
		if (i % 50 == 0)
			sync_all(fx);
	}
	assert_true(stats_of(fx).evictions > evictions + 100);
	assert_int_equal(stats_of(fx).log_checkpoints, 0);
	assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), 77);
	assert_int_equal(node_word(fx, 1, b, T_NODE_RAW), 78);
}

static void a_disk_opened_for_reading_shows_what_the_log_holds(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;
	uint64_t writes;

	sync_all(fx);
	request_begin(&rq);
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, a, T_NODE_RAW, 77);
	request_word(&rq, b, T_NODE_RAW, 78);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	xn_abandon(fx->xn);
	fx->xn = NULL;
	writes = crashdev_writes(fx->medium);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_int_equal(bound_word(fx,
				    given_bound(fx, fx->root, 1, b, 1, T_NODE, XN_READ | XN_READIN),
				    T_NODE_RAW),
			 78);
	assert_int_equal(crashdev_writes(fx->medium), writes);
	fixture_close(fx);
	fixture_open(fx);
	assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), 77);
}

/* The power goes while the log is carried out, again and again. */
static void replay_may_be_cut_short_and_repeated(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;

	for (uint64_t seed = 1; seed <= 12; seed++) {
		given_bound(fx, fx->root, 0, a, 1, T_NODE, BOTH | XN_READIN);
		given_bound(fx, fx->root, 1, b, 1, T_NODE, BOTH | XN_READIN);
		for (uint64_t i = 0; i < 3; i++) {
			request_begin(&rq);
			rq.update.flags = XN_ATOMIC;
			request_word(&rq, a, T_NODE_RAW, seed * 10 + i);
			request_word(&rq, b, T_NODE_RAW, seed * 10 + i);
			assert_ok(request_run(&rq, fx->session));
			sync_all(fx);
		}
		for (uint64_t again = 0; again < 4; again++) {
			/* Opening writes what the records say; then the power goes at once. */
			xn_abandon(fx->xn);
			crashdev_crash(fx->medium, 0);
			fixture_watch(fx, 6);
			fixture_open(fx);
			fixture_watch(fx, 0);
			if (again < 3)
				fixture_crash(fx, seed * 7 + again);
		}
		assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), seed * 10 + 2);
		assert_int_equal(node_word(fx, 1, b, T_NODE_RAW), seed * 10 + 2);
	}
}

/* ---- xn_commit ---- */

static struct xn_extent extent_of(struct fixture *fx, xn_blk_t block, enum t_child child)
{
	return (struct xn_extent){ block, 1, child == T_DATA ? XN_DATA : fx->type[child], 0 };
}

static void a_new_small_file_is_durable_with_one_flush(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t dir = given_node(fx, fx->root, 0, NULL), file;
	struct xn_extent wanted[2];
	uint64_t flushes;

	sync_all(fx);
	fixture_watch(fx, 4);
	for (uint32_t i = 0; i < 20; i++) {
		file = given_data(fx, dir, i, i, NULL);
		wanted[0] = extent_of(fx, file, T_DATA);
		wanted[1] = extent_of(fx, dir, T_NODE);
		flushes = stats_of(fx).flushes;
		assert_ok(xn_commit(fx->session, wanted, 2));
		if (stats_of(fx).log_checkpoints == 0)
			assert_int_equal(stats_of(fx).flushes, flushes + 1);
	}
	fixture_watch(fx, 0);
	fixture_crash(fx, 3);
	for (uint32_t i = 0; i < 20; i++)
		assert_true(node_word(fx, 0, dir, i * 8) != 0);
}

static void a_new_path_is_durable_with_one_flush(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a, b, c, file;
	struct xn_extent wanted;
	uint64_t flushes;

	sync_all(fx);
	fixture_watch(fx, 4);
	a = given_node(fx, fx->root, 0, NULL);
	b = given_node(fx, a, 0, NULL);
	c = given_node(fx, b, 0, NULL);
	file = given_data(fx, c, 0, 1, NULL);
	wanted = extent_of(fx, file, T_DATA);
	flushes = stats_of(fx).flushes;
	assert_ok(xn_commit(fx->session, &wanted, 1));
	assert_true(stats_of(fx).flushes <= flushes + 4);
	fixture_watch(fx, 0);
	fixture_crash(fx, 1);
	assert_int_equal(node_word(fx, 0, a, 0), T_POINTER(b, 1, T_NODE));
}

static void data_overwritten_in_place_needs_no_record(void **state)
{
	struct fixture *fx = *state;
	uint8_t block[XN_BLOCK];
	xn_binding_t bound;
	xn_blk_t file = given_data(fx, fx->root, 0, 1, &bound);
	struct xn_extent wanted = extent_of(fx, file, T_DATA);
	struct xn_stats before;

	sync_all(fx);
	before = stats_of(fx);
	stamp_fill(block, file, fx->root, 2);
	assert_ok(xn_write(fx->session, bound, 0, block, sizeof(block)));
	assert_ok(xn_commit(fx->session, &wanted, 1));
	assert_int_equal(stats_of(fx).log_records, before.log_records);
	assert_int_equal(stats_of(fx).flushes, before.flushes + 1);
	assert_ok(xn_commit(fx->session, &wanted, 1)); /* clean: costs nothing */
	assert_int_equal(stats_of(fx).flushes, before.flushes + 1);
}

static void what_is_unwritten_cannot_be_committed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	struct xn_extent wanted = extent_of(fx, node, T_NODE);

	given_child(fx, node, 0, 1, T_DATA);
	assert_refused(xn_commit(fx->session, &wanted, 1), XN_ETAINTED);
}

/* ---- xn_after ---- */

static void an_object_is_written_after_what_it_waits_for(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct xn_extent ea = extent_of(fx, a, T_NODE), eb = extent_of(fx, b, T_NODE);
	struct request rq;

	sync_all(fx);
	request_begin(&rq);
	request_word(&rq, a, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, b, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_after(fx->session, a, b));
	assert_ok(xn_after(fx->session, a, b)); /* once is enough */
	assert_refused(xn_writeback(fx->session, &ea, 1), XN_ETAINTED);
	assert_refused(xn_after(fx->session, b, a), XN_ECYCLE);
	assert_ok(xn_writeback(fx->session, &eb, 1));
	assert_refused(xn_writeback(fx->session, &ea, 1), XN_ETAINTED);
	assert_ok(xn_flush(fx->session));
	assert_ok(xn_writeback(fx->session, &ea, 1));
	assert_ok(xn_after(fx->session, b, a)); /* no ring any more */
	sync_all(fx);
}

static void a_chain_of_waits_is_no_ring_and_a_ring_is_refused(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node[5];
	struct request rq;

	for (uint32_t i = 0; i < 5; i++)
		node[i] = given_node(fx, fx->root, i, NULL);
	sync_all(fx);
	for (uint32_t i = 0; i < 5; i++) {
		request_begin(&rq);
		request_word(&rq, node[i], T_NODE_RAW, 1);
		assert_ok(request_run(&rq, fx->session));
	}
	for (uint32_t i = 0; i + 1 < 5; i++)
		assert_ok(xn_after(fx->session, node[i], node[i + 1]));
	assert_refused(xn_after(fx->session, node[4], node[0]), XN_ECYCLE);
	request_begin(&rq); /* together they would wait for themselves, through the others */
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, node[0], T_NODE_RAW, 2);
	request_word(&rq, node[4], T_NODE_RAW, 2);
	assert_request_refused(fx, &rq, XN_ECYCLE);
	request_begin(&rq); /* neighbours go together, and wait for each other no more */
	rq.update.flags = XN_ATOMIC;
	request_word(&rq, node[3], T_NODE_RAW, 2);
	request_word(&rq, node[4], T_NODE_RAW, 2);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	assert_ok(xn_after(fx->session, node[4], node[0]));
	assert_refused(xn_after(fx->session, node[0], node[0]), -EINVAL);
	assert_refused(xn_after(fx->session, 900, node[0]), XN_ENOTBOUND);
}

static void who_waits_for_the_freed_waits_no_more(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 70, NULL);
	struct xn_extent ea = extent_of(fx, a, T_NODE);
	struct request rq;

	sync_all(fx);
	request_begin(&rq);
	request_word(&rq, a, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, b, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_after(fx->session, a, b));
	given_no_child(fx, fx->root, 70, b, 1, T_NODE);
	assert_ok(xn_writeback(fx->session, &ea, 1));
}

/* Data of a subtree that was cut off and is not taken apart yet. */
static void nobody_waits_for_what_will_be_taken_apart(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 70, NULL);
	xn_blk_t data = given_data(fx, b, 0, 1, NULL);
	struct request rq;

	sync_all(fx);
	for (unsigned round = 0; round < 2; round++) {
		struct xn_extent ea = extent_of(fx, a, T_NODE);

		if (round) {
			b = given_node(fx, fx->root, 71, NULL);
			data = given_data(fx, b, 0, 1, NULL);
		} else {
			xn_binding_t bound = given_bound(fx, b, 0, data, 1, T_DATA, BOTH);
			uint8_t block[XN_BLOCK];

			stamp_fill(block, data, b, 2);
			assert_ok(xn_write(fx->session, bound, 0, block, XN_BLOCK));
		}
		request_begin(&rq);
		request_word(&rq, a, T_NODE_RAW, round + 1);
		assert_ok(request_run(&rq, fx->session));
		assert_ok(xn_after(fx->session, a, data));
		request_begin(&rq);
		rq.update.flags = XN_REAP;
		request_word(&rq, fx->root, (70 + round) * 8, 0);
		request_free(&rq, b, 1, fx->type[T_NODE]);
		assert_ok(request_run(&rq, fx->session));
		if (round)
			assert_ok(xn_commit(fx->session, &ea, 1));
		assert_ok(xn_sync(fx->session, 0));
	}
}

/* ---- retypes ---- */

static void reserved_blocks_become_data_and_back(void **state)
{
	struct fixture *fx = *state;
	struct xn_retype retype = { { 0, 2, XN_RESERVED, 0 }, XN_DATA, 0 };
	uint8_t block[2 * XN_BLOCK];
	xn_blk_t blocks = given_child(fx, fx->root, 0, 4, T_RESERVED);
	xn_binding_t bound;
	struct request rq;

	sync_all(fx);
	fixture_watch(fx, 4);
	retype.extent.start = blocks;
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(blocks, 2, T_DATA));
	request_word(&rq, fx->root, 8, T_POINTER(blocks + 2, 2, T_RESERVED));
	assert_request_refused(fx, &rq, XN_EOWNS); /* not declared */
	rq.update.retypes = &retype;
	rq.update.n_retypes = 1;
	assert_ok(request_run(&rq, fx->session));
	bound = given_bound(fx, fx->root, 0, blocks, 2, T_DATA, BOTH);
	assert_refused(xn_writeback(fx->session, &(struct xn_extent){ fx->root, 1, 0, 0 }, 1),
		       XN_ETAINTED);
	stamp_fill(block, blocks, fx->root, 1);
	stamp_fill(block + XN_BLOCK, blocks + 1, fx->root, 1);
	assert_ok(xn_write(fx->session, bound, 0, block, sizeof(block)));
	sync_all(fx);
	retype = (struct xn_retype){ { blocks, 2, XN_DATA, 0 }, XN_RESERVED, 0 };
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(blocks, 2, T_RESERVED));
	rq.update.retypes = &retype;
	rq.update.n_retypes = 1;
	assert_ok(request_run(&rq, fx->session));
	assert_refused(xn_read(fx->session, bound, 0, block, 1), XN_ESTALE);
	sync_all(fx);
}

/* ---- faults ---- */

/* The disk names them as reserved: that they are unwritten data now does not free them at once. */
static void a_retyped_block_is_not_reused_while_the_disk_names_it(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t blocks = given_child(fx, fx->root, 0, 4, T_RESERVED);
	struct xn_retype retype = { { blocks, 4, XN_RESERVED, 0 }, XN_DATA, 0 };
	uint64_t before;
	struct request rq;

	sync_all(fx);
	request_begin(&rq); /* twice: the first copy may have gone out ahead of the map */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	sync_all(fx);
	before = free_blocks(fx);
	fixture_watch(fx, 4);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(blocks, 4, T_DATA));
	rq.update.retypes = &retype;
	rq.update.n_retypes = 1;
	assert_ok(request_run(&rq, fx->session));
	given_no_child(fx, fx->root, 0, blocks, 4, T_DATA);
	assert_int_equal(free_blocks(fx), before);
	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(blocks, 1, T_RESERVED));
	request_alloc(&rq, blocks, 1, XN_RESERVED);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
	sync_all(fx);
	assert_int_equal(free_blocks(fx), before + 4);
}

static void a_failed_record_is_written_anew(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	struct request rq;

	sync_all(fx);
	for (uint64_t nth = 1; nth <= 12; nth++) {
		struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL,
					    .ops = 1u << BDEV_WRITE,
					    .nth = nth };
		int err;

		request_begin(&rq);
		rq.update.flags = XN_ATOMIC;
		request_word(&rq, a, T_NODE_RAW, nth);
		request_word(&rq, b, T_NODE_RAW, nth);
		assert_ok(request_run(&rq, fx->session));
		bdev_fault_arm(fx->dev, &fault);
		err = xn_sync(fx->session, 0);
		if (bdev_fault_disarm(fx->dev))
			assert_int_equal(err, XN_EIO);
		fixture_check_crashes(fx, 8);
		sync_all(fx);
		fixture_check_crashes(fx, 8);
	}
	fixture_crash(fx, 4);
	assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), 12);
	assert_int_equal(node_word(fx, 1, b, T_NODE_RAW), 12);
}

/* One copy of the tail may be there: whoever logs behind the old records would be read by nobody. */
static void a_checkpoint_that_fails_half_way_is_done_again_before_anything_is_logged(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	uint64_t fired = 1, nth;
	struct request rq;

	sync_all(fx);
	for (nth = 1; fired; nth++) {
		struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL,
					    .ops = 1u << BDEV_WRITE,
					    .nth = nth };

		for (uint64_t i = 0; i < 2; i++) {
			request_begin(&rq);
			rq.update.flags = XN_ATOMIC;
			request_word(&rq, a, T_NODE_RAW, nth * 2 + i);
			request_word(&rq, b, T_NODE_RAW, nth * 2 + i);
			assert_ok(request_run(&rq, fx->session));
			if (i == 0) {
				sync_all(fx);
				bdev_fault_arm(fx->dev, &fault);
				xn_checkpoint(fx->session);
				fired = bdev_fault_disarm(fx->dev);
			}
		}
		sync_all(fx);
		fixture_check_crashes(fx, 8);
		fixture_crash(fx, nth);
		given_bound(fx, fx->root, 0, a, 1, T_NODE, BOTH | XN_READIN);
		given_bound(fx, fx->root, 1, b, 1, T_NODE, BOTH | XN_READIN);
		assert_int_equal(node_word(fx, 0, a, T_NODE_RAW), nth * 2 + 1);
		assert_int_equal(node_word(fx, 1, b, T_NODE_RAW), nth * 2 + 1);
	}
	assert_true(nth > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_moves_from_object_to_object),
		TEST(a_binding_of_data_follows_the_move),
		TEST(ownership_moves_between_sectors_of_one_object),
		TEST(headers_and_straddling_records_change_whole),
		TEST(an_atomic_update_is_there_or_not),
		TEST(one_sector_needs_no_record),
		TEST(split_a_node_into_a_new_one_atomically),
		TEST(rename_into_a_directory_created_in_the_same_epoch),
		TEST(what_moved_and_was_freed_waits_for_who_lost_it),
		TEST(a_directory_emptied_by_moves_and_removed),
		TEST(a_tree_with_a_member_below_is_given_to_reap),
		TEST(a_subtree_given_to_reap_keeps_nobody_waiting),
		TEST(what_moved_into_a_new_subtree_is_not_reaped_early),
		TEST(nothing_hangs_below_itself),
		TEST(replay_an_old_record_over_a_newer_version),
		TEST(replay_an_old_record_over_a_block_that_now_is_anothers),
		TEST(a_full_log_is_emptied_and_used_again),
		TEST(what_is_too_much_for_one_record_is_refused),
		cmocka_unit_test_setup_teardown(an_evicted_object_is_read_as_the_log_has_it,
						fixture_setup_small_cache, fixture_teardown),
		TEST(a_disk_opened_for_reading_shows_what_the_log_holds),
		TEST(replay_may_be_cut_short_and_repeated),
		TEST(a_new_small_file_is_durable_with_one_flush),
		TEST(a_new_path_is_durable_with_one_flush),
		TEST(data_overwritten_in_place_needs_no_record),
		TEST(what_is_unwritten_cannot_be_committed),
		TEST(an_object_is_written_after_what_it_waits_for),
		TEST(a_chain_of_waits_is_no_ring_and_a_ring_is_refused),
		TEST(who_waits_for_the_freed_waits_no_more),
		TEST(nobody_waits_for_what_will_be_taken_apart),
		TEST(reserved_blocks_become_data_and_back),
		TEST(a_retyped_block_is_not_reused_while_the_disk_names_it),
		TEST(a_failed_record_is_written_anew),
		TEST(a_checkpoint_that_fails_half_way_is_done_again_before_anything_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
