/* SPDX-License-Identifier: MIT */
/*
 * Frozen versions (xn/freeze.c): what a sync copied, to write it when what it names is
 * sound, while the object goes on changing.
 */
#include "xn_fixture.h"

static void sync_all(struct fixture *fx)
{
	assert_ok(xn_sync(fx->session, 0));
}

/* ---- somebody works while another syncs ---- */

/* Somebody who goes on working in a directory while it is synced. */
struct busy {
	struct fixture *fx;
	xn_blk_t dir, other;
	xn_blk_t last; /* data of the newest record */
	uint32_t record;
	bool within;
	enum { BUSY_CREATES, BUSY_REMOVES, BUSY_MOVES } does;
};

static void busy_work(void *context, struct bdev *dev, enum bdev_op op)
{
	struct busy *busy = context;
	struct fixture *fx = busy->fx;
	struct request rq;

	(void)dev;
	fixture_check_crashes(fx, 3);
	/* What takes back what a copy waits for, ends the copy: that sync waits for its end. */
	if (busy->within || op != BDEV_FLUSH || busy->record > (busy->does ? 12 : 60))
		return;
	busy->within = true;
	if (busy->does == BUSY_REMOVES && busy->record > 3) {
		/* The last one made is not sound yet: a frozen copy may wait for it. */
		given_no_child(fx, busy->dir, busy->record - 1, busy->last, 1, T_DATA);
	} else if (busy->does == BUSY_MOVES && busy->record > 3) {
		request_move(&rq, busy->dir, 0, busy->other, busy->record,
			     T_POINTER(T_START(node_word(fx, 0, busy->dir, 0)), 1, T_DATA));
		if (node_word(fx, 0, busy->dir, 0))
			assert_ok(request_run(&rq, fx->session));
	}
	busy->last = given_zeroes(fx, busy->dir, busy->record++, NULL);
	busy->within = false;
}

static void sync_while_busy(struct fixture *fx, int does)
{
	struct busy busy = { .fx = fx, .record = 1, .does = does };
	struct xn_stats before;

	busy.dir = given_node(fx, fx->root, 0, NULL);
	busy.other = given_node(fx, fx->root, 1, NULL);
	given_zeroes(fx, busy.dir, 0, NULL);
	sync_all(fx);
	busy.last = given_zeroes(fx, busy.dir, busy.record++, NULL);
	before = stats_of(fx);
	crashdev_hook_set(fx->medium, busy_work, &busy);
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_ok(xn_sync(fx->session, fx->root_id));
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(stats_of(fx).flushes < before.flushes + 40);
	assert_true(stats_of(fx).frozen > before.frozen);
	fixture_crash(fx, 1);
	assert_true(node_word(fx, 0, busy.dir, 8) != 0);
}

static void a_busy_directory_does_not_keep_a_sync_from_ending(void **state)
{
	sync_while_busy(*state, BUSY_CREATES);
}

static void freeze_a_directory_free_one_of_its_new_children_crash(void **state)
{
	sync_while_busy(*state, BUSY_REMOVES);
}

static void freeze_move_an_entry_out_crash(void **state)
{
	sync_while_busy(*state, BUSY_MOVES);
}

/* ---- what happens below a copy that waits ---- */

/* A sync that cannot end, as something that was never written keeps it; `n` copies are frozen. */
static void sync_in_vain(struct fixture *fx, uint64_t n)
{
	uint64_t before = stats_of(fx).frozen;

	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	assert_int_equal(stats_of(fx).frozen, before + n);
	fixture_check(fx);
}

/*
 * The copy of the root names a node that was sound then.  A move makes it unsound, and
 * what is written of it afterwards names what was never written.
 */
static void a_copy_waits_for_what_is_not_sound_any_more(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t from = given_node(fx, fx->root, 0, NULL), to = given_node(fx, fx->root, 1, NULL);
	xn_blk_t keeps = given_node(fx, fx->root, 2, NULL);
	xn_blk_t data = given_zeroes(fx, from, 0, NULL);
	xn_blk_t late = given_child(fx, keeps, 0, 1, T_DATA), later;
	struct request rq;

	fixture_watch(fx, 4);
	sync_in_vain(fx, 1);
	request_move(&rq, from, 0, to, 0, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
	later = given_child(fx, to, 1, 1, T_DATA);
	sync_in_vain(fx, 0);
	given_written(fx, keeps, 0, late);
	sync_in_vain(fx, 0);
	given_written(fx, to, 1, later);
	sync_all(fx);
}

/*
 * Two nodes, each with a copy that waits for a child of its own; then one's child is
 * the other's.  The other's copy names it as little as before.
 */
static void a_copy_does_not_count_what_moved_in_since(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL), b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t keeps = given_node(fx, fx->root, 2, NULL);
	xn_blk_t late[3], x, y;
	struct request rq;

	late[0] = given_child(fx, keeps, 0, 1, T_DATA);
	fixture_watch(fx, 4);
	sync_in_vain(fx, 1); /* both are on the disk, and no disk names them */
	x = given_node(fx, a, 0, NULL);
	y = given_node(fx, b, 0, NULL);
	late[1] = given_child(fx, x, 0, 1, T_DATA);
	late[2] = given_child(fx, y, 0, 1, T_DATA);
	sync_in_vain(fx, 2);
	request_move(&rq, a, 0, b, 1, T_POINTER(x, 1, T_NODE));
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
	given_written(fx, x, 0, late[1]);
	sync_in_vain(fx, 0);
	given_written(fx, keeps, 0, late[0]);
	sync_in_vain(fx, 0);
	given_written(fx, y, 0, late[2]);
	sync_all(fx);
	fixture_crash(fx, 1);
	assert_int_equal(node_word(fx, 1, b, 8), T_POINTER(x, 1, T_NODE));
}

/* The copy names blocks as reserved; meanwhile they became data, which nobody ever wrote. */
static void what_a_copy_names_as_reserved_is_not_free_at_once(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t blocks = given_child(fx, fx->root, 0, 4, T_RESERVED);
	struct xn_retype retype = { { blocks, 4, XN_RESERVED, 0 }, XN_DATA, 0 };
	xn_blk_t keeps, late;
	uint64_t before;
	struct request rq;

	sync_all(fx);
	keeps = given_node(fx, fx->root, 2, NULL);
	late = given_child(fx, keeps, 0, 1, T_DATA);
	fixture_watch(fx, 4);
	sync_in_vain(fx, 1);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(blocks, 4, T_DATA));
	rq.update.retypes = &retype;
	rq.update.n_retypes = 1;
	assert_ok(request_run(&rq, fx->session));
	given_written(fx, keeps, 0, late);
	sync_in_vain(fx, 0); /* the copy goes */
	before = free_blocks(fx);
	given_no_child(fx, fx->root, 0, blocks, 4, T_DATA);
	assert_int_equal(free_blocks(fx), before);
	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(blocks, 1, T_RESERVED));
	request_alloc(&rq, blocks, 1, XN_RESERVED);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_busy_directory_does_not_keep_a_sync_from_ending),
		TEST(freeze_a_directory_free_one_of_its_new_children_crash),
		TEST(freeze_move_an_entry_out_crash),
		TEST(a_copy_waits_for_what_is_not_sound_any_more),
		TEST(a_copy_does_not_count_what_moved_in_since),
		TEST(what_a_copy_names_as_reserved_is_not_free_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
