/* SPDX-License-Identifier: MIT */
/*
 * xn_update(): what it does, and every line of its "Fails with".
 */
#include "xn_fixture.h"

#include <errno.h>

static uint64_t version_of(struct fixture *fx, xn_binding_t binding)
{
	uint64_t version;

	assert_ok(xn_version(fx->session, binding, &version));
	return version;
}

static const uint8_t *bytes_of(struct fixture *fx, xn_binding_t binding)
{
	const void *bytes;
	size_t len;

	assert_ok(xn_map(fx->session, binding, &bytes, &len));
	return bytes;
}

/* ---- what it does ---- */

static void a_change_of_raw_bytes_runs_no_owns(void **state)
{
	struct fixture *fx = *state;
	uint64_t version = version_of(fx, fx->root_binding);
	struct xn_stats before, after;
	struct request rq;

	xn_stats(fx->xn, &before);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 0x1234);
	assert_ok(request_run(&rq, fx->session));
	xn_stats(fx->xn, &after);
	assert_int_equal(after.owns_runs, before.owns_runs);
	assert_int_equal(after.updates, before.updates + 1);
	assert_true(version_of(fx, fx->root_binding) > version);
	assert_int_equal(version_of(fx, fx->root_binding) % 2, 0);
	assert_int_equal(bytes_of(fx, fx->root_binding)[T_NODE_RAW], 0x34);
}

static void one_record_changed_costs_two_runs(void **state)
{
	struct fixture *fx = *state;
	struct xn_stats before, after;

	xn_stats(fx->xn, &before);
	given_child(fx, fx->root, 17, 1, T_RESERVED);
	xn_stats(fx->xn, &after);
	assert_int_equal(after.owns_runs - before.owns_runs, 2);
}

static void to_free_what_was_made_here_no_record_is_run(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_child(fx, fx->root, 3, 1, T_NODE);
	struct xn_stats before;
	struct request rq;
	xn_blk_t data;

	given_bound(fx, fx->root, 3, node, 1, T_NODE, XN_READ | XN_WRITE | XN_READIN);
	data = given_child(fx, node, 5, 2, T_DATA);
	request_begin(&rq);
	request_word(&rq, fx->root, 3 * 8, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	assert_refused(request_run(&rq, fx->session), XN_ENOTEMPTY);
	request_begin(&rq); /* emptied and freed at once */
	request_word(&rq, node, 5 * 8, 0);
	request_free(&rq, data, 2, XN_DATA);
	before = stats_of(fx);
	request_word(&rq, fx->root, 3 * 8, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	assert_ok(request_run(&rq, fx->session));
	assert_int_equal(stats_of(fx).owns_runs - before.owns_runs, 4);
}

static void an_extent_of_a_template_is_as_many_objects(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_child(fx, fx->root, 0, 6, T_PAIR);
	xn_binding_t binding =
		given_bound(fx, fx->root, 0, start + 4, 2, T_PAIR, XN_READ | XN_WRITE | XN_READIN);
	struct request rq;
	size_t len;
	const void *bytes;

	assert_ok(xn_map(fx->session, binding, &bytes, &len));
	assert_int_equal(len, 8192);
	request_begin(&rq); /* the middle one is given back alone */
	request_word(&rq, fx->root, 0, T_POINTER(start, 2, T_PAIR));
	request_word(&rq, fx->root, 8, T_POINTER(start + 4, 2, T_PAIR));
	request_free(&rq, start + 2, 2, fx->type[T_PAIR]);
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, fx->root, 0, start, 2, T_PAIR, XN_READ);
	given_bound(fx, fx->root, 1, start + 4, 2, T_PAIR, XN_READ);
}

static void a_new_object_starts_as_its_templates_first_image(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t keep = given_child(fx, fx->root, 0, 1, T_KEEP);
	xn_binding_t binding = given_bound(fx, fx->root, 0, keep, 1, T_KEEP, XN_READ | XN_READIN);
	uint32_t word;

	memcpy(&word, bytes_of(fx, binding), sizeof(word));
	assert_int_equal(word, T_KEEP_WORD);
	assert_int_equal(bytes_of(fx, binding)[4], 0);
	assert_ok(xn_sync(fx->session, 0));
}

static void a_whole_branch_is_made_by_one_update(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_free(fx, 4);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, start + 1, 0, T_POINTER(start + 2, 2, T_DATA));
	request_word(&rq, start, 8, T_POINTER(start + 1, 1, T_NODE));
	request_word(&rq, fx->root, 24, T_POINTER(start, 1, T_NODE));
	request_alloc(&rq, start + 2, 2, XN_DATA);
	request_alloc(&rq, start, 1, fx->type[T_NODE]);
	request_alloc(&rq, start + 1, 1, fx->type[T_NODE]);
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, fx->root, 3, start, 1, T_NODE, XN_READ | XN_READIN);
	given_bound(fx, start, 1, start + 1, 1, T_NODE, XN_READ | XN_READIN);
	given_bound(fx, start + 1, 0, start + 3, 1, T_DATA, XN_READ);
}

static void one_record_may_swap_what_it_owns(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t old = given_data(fx, fx->root, 0, 1, NULL);
	xn_blk_t new = given_free(fx, 2);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(new, 2, T_DATA));
	request_alloc(&rq, new, 2, XN_DATA);
	request_free(&rq, old, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
}

static void pointers_move_within_a_sector(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct request rq;

	assert_ok(xn_sync(fx->session, 0));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_word(&rq, fx->root, 63 * 8, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, fx->root, 63, data, 1, T_DATA, XN_READ);
}

static void an_expected_version_lets_the_update_pass(void **state)
{
	struct fixture *fx = *state;
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_expect(&rq, fx->root, version_of(fx, fx->root_binding));
	assert_ok(request_run(&rq, fx->session));
}

static void a_header_counts_for_every_record(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_free(fx, 3);
	struct request rq;

	request_begin(&rq); /* the object lies 2 beyond what its record says: the header adds */
	request_word(&rq, fx->root, 0, T_POINTER(start, 1, T_HEAD));
	request_word(&rq, start, 0, 2);
	request_word(&rq, start, T_HEAD_RECORDS_AT, T_POINTER(start - 1, 2, T_DATA));
	request_alloc(&rq, start, 1, fx->type[T_HEAD]);
	request_alloc(&rq, start + 1, 2, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, fx->root, 0, start, 1, T_HEAD, XN_READ | XN_WRITE | XN_READIN);
	given_bound(fx, start, 0, start + 1, 2, T_DATA, XN_READ);

	request_begin(&rq); /* moving all of it by changing the header alone */
	request_word(&rq, start, 0, 3);
	assert_request_refused(fx, &rq, XN_EOWNS);
}

static void two_sessions_see_each_others_changes(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *other = given_session(fx, 9, 0);
	uint64_t version = version_of(fx, fx->root_binding);
	xn_binding_t binding;
	xn_blk_t object;
	struct request rq;

	assert_ok(xn_bind_root(other, "r", XN_READ | XN_WRITE | XN_READIN, &binding, &object));
	request_begin(&rq);
	request_word(&rq, object, T_NODE_RAW, 77);
	assert_ok(request_run(&rq, other));
	assert_int_equal(bytes_of(fx, fx->root_binding)[T_NODE_RAW], 77);
	request_begin(&rq);
	request_word(&rq, object, T_NODE_RAW, 78);
	request_expect(&rq, object, version);
	assert_request_refused(fx, &rq, XN_ECHANGED);
}

/* ---- what it refuses ---- */

static void another_version_is_told(void **state)
{
	struct fixture *fx = *state;
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_expect(&rq, fx->root, version_of(fx, fx->root_binding) + 2);
	assert_request_refused(fx, &rq, XN_ECHANGED);
	assert_int_equal(rq.why.value, version_of(fx, fx->root_binding));
	assert_int_equal(rq.why.block, fx->root);
}

static void who_has_not_bound_it_changes_nothing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_child(fx, fx->root, 0, 1, T_NODE);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
	given_bound(fx, fx->root, 0, node, 1, T_NODE, XN_READ | XN_READIN);
	assert_request_refused(fx, &rq, XN_ENOTBOUND); /* only for reading */
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_expect(&rq, 999, 2);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
}

static void bytes_not_read_in_cannot_be_changed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	struct request rq;

	fixture_reopen(fx);
	given_bound(fx, fx->root, 0, node, 1, T_NODE, XN_READ | XN_WRITE);
	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_ENOTCACHED);
	request_begin(&rq); /* nor freed, for nobody knows whether it is empty */
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_ENOTCACHED);
}

static void what_is_no_object_is_not_edited(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_free(fx, 2);
	xn_blk_t data = given_data(fx, fx->root, 1, 1, NULL);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 2, T_PAIR));
	request_word(&rq, start + 1, 0, 0); /* the inside of a new object */
	request_alloc(&rq, start, 2, fx->type[T_PAIR]);
	assert_request_refused(fx, &rq, XN_ENOTOBJECT);
	request_begin(&rq);
	request_word(&rq, data, 0, 0);
	assert_request_refused(fx, &rq, XN_ENOTOBJECT);
}

/* Each row: the pointer that record 5 gets, and what is declared. */
static void pointers_and_declarations_agree_exactly(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t free = given_free(fx, 8);
	xn_blk_t data = given_data(fx, fx->root, 1, 1, NULL);
	const struct {
		const char *why;
		uint64_t pointer;
		struct xn_extent alloc, drop;
	} rows[] = {
		{ "nothing declared", T_POINTER(free, 1, T_DATA), { 0 }, { 0 } },
		{ "nothing changed", 0, { free, 1, XN_DATA, 0 }, { 0 } },
		{ "too few", T_POINTER(free, 2, T_DATA), { free, 1, XN_DATA, 0 }, { 0 } },
		{ "too many", T_POINTER(free, 2, T_DATA), { free, 3, XN_DATA, 0 }, { 0 } },
		{ "elsewhere", T_POINTER(free, 1, T_DATA), { free + 1, 1, XN_DATA, 0 }, { 0 } },
		{ "another type", T_POINTER(free, 1, T_DATA), { free, 1, XN_RESERVED, 0 }, { 0 } },
		{ "freed and kept", 0, { 0 }, { data, 1, XN_DATA, 0 } },
		{ "freed, never owned",
		  T_POINTER(free, 1, T_DATA),
		  { free, 1, XN_DATA, 0 },
		  { free + 4, 1, XN_DATA, 0 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 40, rows[i].pointer);
		if (rows[i].alloc.count)
			rq.allocs[rq.update.n_allocs++] = rows[i].alloc;
		if (rows[i].drop.count)
			rq.frees[rq.update.n_frees++] = rows[i].drop;
		print_message("%s\n", rows[i].why);
		assert_request_refused(fx, &rq, XN_EOWNS);
	}
}

static void two_objects_cannot_take_one_block(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t free = given_free(fx, 1);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(free, 1, T_DATA));
	request_word(&rq, node, 8, T_POINTER(free, 1, T_DATA));
	request_alloc(&rq, free, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_EOWNS);
}

static void new_objects_do_not_own_each_other(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t free = given_free(fx, 3);
	struct request rq;

	request_begin(&rq); /* itself */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_word(&rq, free, 0, T_POINTER(free, 1, T_NODE));
	request_alloc(&rq, free, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq); /* a ring of three */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	for (unsigned i = 0; i < 3; i++)
		request_word(&rq, free + i, 0, T_POINTER(free + (i + 1) % 3, 1, T_NODE));
	request_alloc(&rq, free, 3, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq); /* and nothing else at all */
	request_word(&rq, free, 0, T_POINTER(free, 1, T_NODE));
	request_alloc(&rq, free, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_EOWNS);
}

static xn_blk_t given_hostile(struct fixture *fx)
{
	xn_blk_t hostile = given_child(fx, fx->root, 0, 1, T_HOSTILE);

	given_bound(fx, fx->root, 0, hostile, 1, T_HOSTILE, XN_READ | XN_WRITE | XN_READIN);
	return hostile;
}

static void every_fault_of_a_template_refuses_the_update(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t hostile = given_hostile(fx);
	xn_blk_t free = given_free(fx, 16);
	const struct {
		enum t_deed deed;
		uint64_t argument;
		enum udf_fault_code fault;
		int error;
	} rows[] = {
		{ T_LOAD_OUTSIDE, 0, UDF_FAULT_MEM, XN_EFAULT },
		{ T_STORE_OUTSIDE, 0, UDF_FAULT_STORE, XN_EFAULT },
		{ T_SPIN, 0, UDF_FAULT_FUEL, XN_EFUEL },
		{ T_EMIT_NOTHING, free, UDF_FAULT_EMIT, XN_EFAULT },
		{ T_EMIT_TOO_MANY, free, UDF_FAULT_EMIT, XN_EFAULT },
		{ T_RECURSE, 0, UDF_FAULT_DEPTH, XN_EFAULT },
		{ T_BAD_ARGUMENT, 0, UDF_FAULT_ARG, XN_EFAULT },
		{ T_MALFORMED, 0, UDF_FAULT_MALFORMED, XN_EFAULT },
		{ T_EMIT_OUTSIDE, 0, UDF_FAULT_NONE, -ERANGE },
		{ T_EMIT_TWICE, free, UDF_FAULT_NONE, XN_EOWNS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, hostile, 8 * 3, rows[i].deed | rows[i].argument << 8);
		request_alloc(&rq, free, 1, XN_DATA);
		assert_request_refused(fx, &rq, rows[i].error);
		assert_int_equal(rq.why.fault, rows[i].fault);
		if (rows[i].fault) {
			assert_int_equal(rq.why.record, 3);
			assert_int_equal(rq.why.function, UDF_FN_OWNS);
		}
	}
}

static void an_honest_record_of_a_hostile_template_is_believed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t hostile = given_hostile(fx);
	xn_blk_t free = given_free(fx, 1);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, hostile, 16, T_EMIT_DATA | free << 8);
	request_alloc(&rq, free, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, hostile, 2, free, 1, T_DATA, XN_READ | XN_WRITE);
}

/* Each run is within its own limit; all together are too much for one update. */
static void many_costly_records_together_are_refused(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t hostile = given_hostile(fx);
	uint64_t records[64];
	struct request rq;

	for (unsigned i = 0; i < 64; i++)
		records[i] = T_BURN | 15000ull << 8;
	request_begin(&rq);
	request_edit(&rq, hostile, 0, records, 8);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_edit(&rq, hostile, 0, records, sizeof(records));
	assert_request_refused(fx, &rq, XN_EFUEL);
}

static void blocks_in_use_are_not_taken(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_blk_t node = given_node(fx, fx->root, 1, NULL);
	const xn_blk_t taken[] = { data, node, 1, 2, 8, fx->root, FIXTURE_BLOCKS - 1 };

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, node, 0, T_POINTER(taken[i], 1, T_DATA));
		request_alloc(&rq, taken[i], 1, XN_DATA);
		assert_request_refused(fx, &rq, XN_ENOTFREE);
		assert_int_equal(rq.why.block, taken[i]);
	}
}

static void an_object_that_owns_something_is_not_freed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	struct request rq;

	given_data(fx, node, 5, 1, NULL);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_ENOTEMPTY);
}

static void a_quota_holds_until_freed_blocks_are_free(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_info info;
	struct xn_space space;
	struct request rq;
	xn_blk_t free, data;

	assert_ok(xn_root_set_quota(fx->session, "r", 4)); /* the root's object is one */
	data = given_data(fx, fx->root, 0, 1, NULL);
	given_data(fx, fx->root, 1, 1, NULL);
	given_data(fx, fx->root, 2, 1, NULL);
	assert_ok(xn_space(fx->session, fx->root_id, &space));
	assert_int_equal(space.available, 0);
	assert_int_equal(space.used, 4);
	free = given_free(fx, 1);
	request_begin(&rq);
	request_word(&rq, fx->root, 24, T_POINTER(free, 1, T_DATA));
	request_alloc(&rq, free, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_EQUOTA);
	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_request_refused(fx, &rq, XN_EQUOTA); /* it may still be named on disk */
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 4);
}

static void extents_are_whole_objects_of_known_types(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t free = given_free(fx, 4);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(free, 3, T_PAIR));
	request_alloc(&rq, free, 3, fx->type[T_PAIR]);
	assert_request_refused(fx, &rq, XN_ETYPE);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(free, 1, T_DATA));
	request_alloc(&rq, free, 1, 4711);
	assert_request_refused(fx, &rq, XN_ETYPE);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(free, 2, T_DATA));
	request_alloc(&rq, free, 3, fx->type[T_PAIR]);
	assert_request_refused(fx, &rq, XN_ETYPE);
}

static void edits_and_extents_do_not_overlap(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t free = given_free(fx, 4);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW + 4, 2);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_EOVERLAP);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(free, 3, T_DATA));
	request_alloc(&rq, free, 2, XN_DATA);
	request_alloc(&rq, free + 1, 2, XN_DATA);
	assert_request_refused(fx, &rq, XN_EOVERLAP);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_free(&rq, free, 2, XN_DATA);
	request_free(&rq, free + 1, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_EOVERLAP);
}

static void bounds_of_one_update(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t first = given_free(fx, 66);
	uint8_t bytes[4096] = { 0 };
	struct xn_edit *many = calloc(9000, sizeof(*many));
	struct xn_extent *extents = calloc(XN_UPDATE_EXTENTS_MAX + 1, sizeof(*extents));
	struct xn_retype *retypes = calloc(300, sizeof(*retypes));
	struct request rq;

	assert_true(many && extents && retypes);
	request_begin(&rq); /* 65 objects */
	for (unsigned i = 0; i < 65; i++) {
		request_word(&rq, first + i, T_NODE_RAW, 1);
		request_alloc(&rq, first + i, 1, fx->type[T_NODE]);
	}
	request_word(&rq, fx->root, 0, T_POINTER(first, 65, T_NODE));
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	request_begin(&rq); /* 65 versions */
	for (unsigned i = 0; i < 65; i++)
		request_expect(&rq, fx->root, 2);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	request_begin(&rq); /* 65 x 4 KiB of edits */
	for (unsigned i = 0; i < 65; i++)
		request_edit(&rq, fx->root, 0, bytes, sizeof(bytes));
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	request_begin(&rq); /* more edits than there are bytes for */
	for (unsigned i = 0; i < 9000; i++)
		many[i] = (struct xn_edit){ fx->root, T_NODE_RAW, 1, bytes };
	rq.update.edits = many;
	rq.update.n_edits = 9000;
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	request_begin(&rq); /* more extents than one may declare */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	rq.update.allocs = extents;
	rq.update.n_allocs = XN_UPDATE_EXTENTS_MAX + 1;
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	request_begin(&rq); /* more blocks than one may retype, all together */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	for (unsigned i = 0; i < 300; i++)
		retypes[i] = (struct xn_retype){ { 10, 1000, XN_DATA, 0 }, XN_RESERVED, 0 };
	rq.update.retypes = retypes;
	rq.update.n_retypes = 300;
	assert_request_refused(fx, &rq, XN_ETOOBIG);
	free(many);
	free(extents);
	free(retypes);
}

static void everything_lies_inside(void **state)
{
	struct fixture *fx = *state;
	const struct {
		uint32_t offset, len;
	} edits[] = { { 4096, 1 }, { 4095, 2 }, { 0, 0 }, { UINT32_MAX, 1 }, { 8, UINT32_MAX } };
	const struct xn_extent extents[] = { { FIXTURE_BLOCKS, 1, 0, 0 },
					     { FIXTURE_BLOCKS - 1, 2, 0, 0 },
					     { UINT64_MAX, 1, 0, 0 },
					     { 5, UINT64_MAX, 0, 0 } };
	struct request rq;

	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		request_begin(&rq);
		request_edit(&rq, fx->root, edits[i].offset, &rq, edits[i].len);
		if (edits[i].len > XN_UPDATE_BYTES_MAX)
			assert_request_refused(fx, &rq, XN_ETOOBIG);
		else
			assert_request_refused(fx, &rq, -ERANGE);
	}
	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++) {
		request_begin(&rq);
		request_word(&rq, fx->root, T_NODE_RAW, 1);
		rq.allocs[rq.update.n_allocs++] = extents[i];
		assert_request_refused(fx, &rq, -ERANGE);
	}
}

static void nonsense_is_invalid(void **state)
{
	struct fixture *fx = *state;
	struct request rq;

	request_begin(&rq); /* nothing at all */
	assert_request_refused(fx, &rq, -EINVAL);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	rq.update.flags = 0x80;
	assert_request_refused(fx, &rq, -EINVAL);
	request_begin(&rq);
	request_edit(&rq, fx->root, T_NODE_RAW, NULL, 8);
	assert_request_refused(fx, &rq, -EINVAL);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_alloc(&rq, 500, 0, XN_DATA);
	assert_request_refused(fx, &rq, -EINVAL);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_alloc(&rq, 500, 1, XN_DATA);
	rq.allocs[0].reserved = 1;
	assert_request_refused(fx, &rq, -EINVAL);
	request_begin(&rq);
	rq.update.n_edits = 1;
	rq.update.edits = NULL;
	assert_request_refused(fx, &rq, -EINVAL);
}

static void one_update_stays_in_one_root(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = {
		.name = "s", .libfs = "test", .type = fx->type[T_NODE], .mode = 0666
	};
	struct xn_root_info info;
	xn_binding_t binding;
	struct request rq;
	xn_blk_t object;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_ok(
		xn_bind_root(fx->session, "s", XN_READ | XN_WRITE | XN_READIN, &binding, &object));
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_word(&rq, object, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, -EINVAL);
}

/* No disk names it yet, so nothing can tear. */
static void a_new_object_may_change_in_any_way(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t strad = given_child(fx, fx->root, 2, 1, T_STRAD);
	xn_blk_t head = given_child(fx, fx->root, 3, 1, T_HEAD);
	struct request rq;
	xn_blk_t free = given_free(fx, 1);

	given_bound(fx, fx->root, 2, strad, 1, T_STRAD, XN_READ | XN_WRITE | XN_READIN);
	given_bound(fx, fx->root, 3, head, 1, T_HEAD, XN_READ | XN_WRITE | XN_READIN);
	request_begin(&rq);
	request_word(&rq, strad, 21 * T_STRAD_SIZE, T_POINTER(free, 1, T_RESERVED));
	request_alloc(&rq, free, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq);
	request_word(&rq, head, 0, 1);
	assert_ok(request_run(&rq, fx->session));
	request_begin(&rq); /* the other pointer of the record: in the next sector */
	request_word(&rq, strad, 21 * T_STRAD_SIZE, 0);
	request_word(&rq, strad, 21 * T_STRAD_SIZE + 16, T_POINTER(free, 1, T_RESERVED));
	assert_ok(request_run(&rq, fx->session));
}

static void only_administrators_state_credentials(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0);
	struct xn_cred cred = { .uid = 0 };
	xn_binding_t binding;
	xn_blk_t object;
	struct request rq;

	assert_ok(xn_bind_root(user, "r", XN_READ | XN_WRITE | XN_READIN, &binding, &object));
	request_begin(&rq);
	request_word(&rq, object, T_NODE_RAW, 1);
	rq.update.cred = &cred;
	assert_refused(request_run(&rq, user), XN_ECRED);
	assert_ok(request_run(&rq, fx->session));
	cred.n_groups = XN_GROUPS_MAX + 1;
	assert_request_refused(fx, &rq, -EINVAL);
}

static void acl_judges_changes_and_frees(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0), *stranger = given_session(fx, 6, 0);
	xn_blk_t start = given_free(fx, 1);
	struct t_guard_head head = { .uid = 5, .mode = 0 };
	struct xn_session *who[] = { stranger, user };
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 1, T_GUARD));
	request_edit(&rq, start, 0, &head, sizeof(head));
	request_alloc(&rq, start, 1, fx->type[T_GUARD]);
	assert_ok(request_run(&rq, fx->session));
	for (unsigned i = 0; i < 2; i++) {
		xn_binding_t binding;
		xn_blk_t object;

		assert_ok(xn_bind_root(who[i], "r", XN_READ | XN_WRITE | XN_READIN, &binding,
				       &object));
		assert_ok(try_bind(fx, who[i], object, 0, start, 1, fx->type[T_GUARD],
				   XN_READ | XN_WRITE | XN_READIN, &binding));
		request_begin(&rq);
		request_word(&rq, start, 8, 1);
		assert_refused(request_run(&rq, who[i]), i ? 0 : XN_EACL);
		for (unsigned taking = 1; taking < 2; taking--) {
			xn_blk_t block = start + 1; /* taken, and given back */

			request_begin(&rq);
			request_word(&rq, start, T_GUARD_RECORDS_AT,
				     taking ? T_POINTER(block, 1, T_RESERVED) : 0);
			if (taking)
				request_alloc(&rq, block, 1, XN_RESERVED);
			else
				request_free(&rq, block, 1, XN_RESERVED);
			assert_refused(request_run(&rq, who[i]), i        ? 0
								 : taking ? XN_EACL
									  : XN_EOWNS);
		}
		request_begin(&rq);
		request_word(&rq, object, 0, 0);
		request_free(&rq, start, 1, fx->type[T_GUARD]);
		assert_refused(request_run(&rq, who[i]), i ? 0 : XN_EACL);
	}
	xn_session_close(user);
	xn_session_close(stranger);
}

static void a_read_only_disk_does_not_change(void **state)
{
	struct fixture *fx = *state;
	struct request rq;

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_EREADONLY);
}

static void objects_that_find_no_room_in_the_cache_are_not_made(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t free = given_free(fx, 200);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(free, 200, T_NODE));
	request_alloc(&rq, free, 200, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_ECACHEFULL);
}

/* A freed object is not there any more, under any of its names. */
static void what_was_freed_is_gone_for_all(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t binding, data_binding;
	xn_blk_t node = given_node(fx, fx->root, 0, &binding);
	xn_blk_t data = given_data(fx, fx->root, 1, 1, &data_binding);
	uint8_t byte = 0;
	uint64_t version;
	struct request rq;

	given_no_child(fx, fx->root, 0, node, 1, T_NODE);
	given_no_child(fx, fx->root, 1, data, 1, T_DATA);
	assert_refused(xn_version(fx->session, binding, &version), XN_ESTALE);
	assert_refused(xn_readin(fx->session, binding, 0, 1), XN_ESTALE);
	assert_refused(xn_read(fx->session, data_binding, 0, &byte, 1), XN_ESTALE);
	assert_refused(xn_write(fx->session, data_binding, 0, &byte, 1), XN_ESTALE);
	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 1);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
	assert_ok(xn_unbind(fx->session, binding));
	assert_refused(xn_unbind(fx->session, binding), XN_ESTALE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_of_raw_bytes_runs_no_owns),
		TEST(one_record_changed_costs_two_runs),
		TEST(to_free_what_was_made_here_no_record_is_run),
		TEST(an_extent_of_a_template_is_as_many_objects),
		TEST(a_new_object_starts_as_its_templates_first_image),
		TEST(a_whole_branch_is_made_by_one_update),
		TEST(one_record_may_swap_what_it_owns),
		TEST(pointers_move_within_a_sector),
		TEST(an_expected_version_lets_the_update_pass),
		TEST(a_header_counts_for_every_record),
		TEST(two_sessions_see_each_others_changes),
		TEST(another_version_is_told),
		TEST(who_has_not_bound_it_changes_nothing),
		TEST(bytes_not_read_in_cannot_be_changed),
		TEST(what_is_no_object_is_not_edited),
		TEST(pointers_and_declarations_agree_exactly),
		TEST(two_objects_cannot_take_one_block),
		TEST(new_objects_do_not_own_each_other),
		TEST(every_fault_of_a_template_refuses_the_update),
		TEST(an_honest_record_of_a_hostile_template_is_believed),
		TEST(many_costly_records_together_are_refused),
		TEST(blocks_in_use_are_not_taken),
		TEST(an_object_that_owns_something_is_not_freed),
		TEST(a_quota_holds_until_freed_blocks_are_free),
		TEST(extents_are_whole_objects_of_known_types),
		TEST(edits_and_extents_do_not_overlap),
		TEST(bounds_of_one_update),
		TEST(everything_lies_inside),
		TEST(nonsense_is_invalid),
		TEST(one_update_stays_in_one_root),
		TEST(a_new_object_may_change_in_any_way),
		TEST(only_administrators_state_credentials),
		TEST(acl_judges_changes_and_frees),
		TEST(a_read_only_disk_does_not_change),
		cmocka_unit_test_setup_teardown(objects_that_find_no_room_in_the_cache_are_not_made,
						fixture_setup_small_cache, fixture_teardown),
		TEST(what_was_freed_is_gone_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
