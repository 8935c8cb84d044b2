/* SPDX-License-Identifier: MIT */
/*
 * What `owns` said of bytes is remembered: of the very same bytes, and of nothing else; and who
 * is refused is the same.
 */
#include "xn_fixture.h"

#include <errno.h>

#include "k_types.h"
#include "sheet.h"
#include "udf/udf.h"

#define RW (XN_READ | XN_WRITE)

struct sheet {
	struct fixture *fx;
	uint32_t type;
	xn_blk_t object, blocks; /* these are free at the beginning */
	xn_binding_t binding;
};

static int sheet_setup(void **state)
{
	struct sheet *s = calloc(1, sizeof(*s));
	struct xn_image image = { k_types_image[0], k_types_image_len[0] };
	struct xn_root_spec spec = { .name = "k", .libfs = "test", .mode = 0666 };
	struct xn_root_info info;

	assert_non_null(s);
	s->fx = fixture_new(FIXTURE_BLOCKS, 4u << 20);
	assert_ok(xn_template_install(s->fx->session, &image, 1, &s->type, NULL));
	spec.type = s->type;
	assert_ok(xn_root_create(s->fx->session, &spec, &info));
	assert_ok(xn_bind_root(s->fx->session, "k", RW | XN_READIN, &s->binding, &s->object));
	s->blocks = given_free(s->fx, 200);
	*state = s;
	return 0;
}

static int sheet_teardown(void **state)
{
	struct sheet *s = *state;

	fixture_check(s->fx);
	fixture_free(s->fx);
	free(s);
	return 0;
}

static uint32_t at(uint32_t record)
{
	return K_RECORDS_AT + record * K_RECORD_SIZE;
}

/* Put `r` at a record and say that this takes `taken` blocks from `start` on. */
static int put(struct sheet *s, uint32_t record, struct k_record r, xn_blk_t start, uint64_t taken)
{
	struct request rq;

	request_begin(&rq);
	request_edit(&rq, s->object, at(record), &r, sizeof(r));
	if (taken)
		request_alloc(&rq, start, taken, XN_RESERVED);
	return request_run(&rq, s->fx->session);
}

static void what_was_the_outcome_is_not_asked_again(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 3 };
	struct xn_stats before, after;

	assert_ok(put(s, 0, r, s->blocks, 3));
	before = stats_of(s->fx);
	r.spare[50] = 1;
	assert_ok(put(s, 0, r, 0, 0));
	after = stats_of(s->fx);
	assert_int_equal(after.owns_runs - before.owns_runs, 1);
	assert_int_equal(after.owns_known - before.owns_known, 1);
	r.spare[50] = 0; /* as it was */
	before = stats_of(s->fx);
	assert_ok(put(s, 0, r, 0, 0));
	after = stats_of(s->fx);
	assert_true(after.owns_known - before.owns_known >= 1);
}

static void every_byte_of_a_record_counts(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 1 };

	assert_ok(put(s, 0, r, s->blocks, 1));
	r.last = 7;
	assert_refused(put(s, 0, r, 0, 0), XN_EOWNS);
	r.last = 0;
	r.count = 2;
	assert_refused(put(s, 0, r, 0, 0), XN_EOWNS);
	assert_ok(put(s, 0, r, s->blocks + 1, 1));
}

static void the_same_bytes_elsewhere_are_another_record(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 1, .by_index = 1 };

	for (uint32_t i = 3; i < K_RECORDS; i++) {
		assert_refused(put(s, i, r, s->blocks + 2, 1), XN_EOWNS);
		assert_ok(put(s, i, r, s->blocks + i, 1));
	}
}

static void the_same_bytes_under_another_header_are_others(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 1 };
	struct k_header h = { .add = 100 };
	struct request rq;

	assert_ok(put(s, 0, r, s->blocks, 1));
	request_begin(&rq);
	request_edit(&rq, s->object, 0, &h, sizeof(h));
	assert_refused(request_run(&rq, s->fx->session), XN_EOWNS);
	request_alloc(&rq, s->blocks + 100, 1, XN_RESERVED);
	request_free(&rq, s->blocks, 1, XN_RESERVED);
	assert_ok(request_run(&rq, s->fx->session));
	/* And back, to a block that nothing on disk names any more. */
	assert_ok(xn_sync(s->fx->session, 0));
	h.add = 0;
	request_begin(&rq);
	request_edit(&rq, s->object, 0, &h, sizeof(h));
	request_alloc(&rq, s->blocks, 1, XN_RESERVED);
	request_free(&rq, s->blocks + 100, 1, XN_RESERVED);
	assert_ok(request_run(&rq, s->fx->session));
}

static void what_is_known_costs_what_it_cost(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .rounds = 20000 };
	struct k_header h = { 0 };
	struct xn_stats before, after;
	struct request rq;

	before = stats_of(s->fx);
	for (uint32_t i = 0; i < K_RECORDS; i++)
		assert_ok(put(s, i, r, 0, 0));
	after = stats_of(s->fx);
	/* Both sides of all records would cost more than an update may. */
	assert_true(2 * (after.fuel_used - before.fuel_used) > UDF_OP_FUEL_MAX);
	before = after;
	request_begin(&rq);
	request_edit(&rq, s->object, 0, &h, sizeof(h));
	assert_refused(request_run(&rq, s->fx->session), XN_EFUEL);
	after = stats_of(s->fx);
	assert_true(after.owns_known > before.owns_known);
}

static void long_lists_are_run_each_time(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 60 };
	struct xn_stats before, after;

	assert_ok(put(s, 0, r, s->blocks, 60));
	before = stats_of(s->fx);
	assert_ok(put(s, 0, r, 0, 0));
	after = stats_of(s->fx);
	assert_int_equal(after.owns_runs - before.owns_runs, 2);
	assert_int_equal(after.owns_known, before.owns_known);
}

static void a_fault_is_not_remembered_as_nothing(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 65 }; /* more than max_emit */

	for (int i = 0; i < 3; i++)
		assert_refused(put(s, 0, r, 0, 0), XN_EFAULT);
	r.place = 1ull << 40; /* well run, but not on the disk */
	r.count = 1;
	for (int i = 0; i < 3; i++)
		assert_refused(put(s, 0, r, 0, 0), -ERANGE);
}

#define SHEET_TEST(f) cmocka_unit_test_setup_teardown(f, sheet_setup, sheet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHEET_TEST(what_was_the_outcome_is_not_asked_again),
		SHEET_TEST(every_byte_of_a_record_counts),
		SHEET_TEST(the_same_bytes_elsewhere_are_another_record),
		SHEET_TEST(the_same_bytes_under_another_header_are_others),
		SHEET_TEST(what_is_known_costs_what_it_cost),
		SHEET_TEST(long_lists_are_run_each_time),
		SHEET_TEST(a_fault_is_not_remembered_as_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
