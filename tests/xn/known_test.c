/* SPDX-License-Identifier: MIT */
/*
 * What `owns` said is remembered: for the bytes that it read, and for no others; and who is
 * refused is the same.
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
	assert_int_equal(after.owns_runs, before.owns_runs);
	assert_int_equal(after.owns_known - before.owns_known, 2);
	r.rounds = 1; /* which was read: it is another run, and then that one is known */
	before = stats_of(s->fx);
	assert_ok(put(s, 0, r, 0, 0));
	after = stats_of(s->fx);
	assert_int_equal(after.owns_runs - before.owns_runs, 1);
	assert_int_equal(after.owns_known - before.owns_known, 1);
	assert_ok(put(s, 0, r, 0, 0));
	assert_int_equal(stats_of(s->fx).owns_runs, after.owns_runs);
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

/* What a run looks at depends on what it found: with a count of 0 the place is nothing to it. */
static void what_is_looked_at_follows_from_what_was_found(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 0 };
	struct xn_stats before;

	assert_ok(put(s, 0, r, 0, 0));
	before = stats_of(s->fx);
	r.place = s->object - 77; /* somebody else's */
	r.last = 77;
	assert_ok(put(s, 0, r, 0, 0));
	assert_int_equal(stats_of(s->fx).owns_runs, before.owns_runs);
	r.count = 1;
	assert_refused(put(s, 0, r, 0, 0), XN_EOWNS);
	assert_refused(put(s, 0, r, s->object, 1), XN_ENOTFREE);
	r.place = s->blocks;
	assert_refused(put(s, 0, r, s->blocks, 1), XN_EOWNS);
	assert_ok(put(s, 0, r, s->blocks + 77, 1));
	r.count = 0; /* it gives up what it named */
	assert_refused(put(s, 0, r, 0, 0), XN_EOWNS);
}

static void a_header_counts_for_whom_it_is_read(void **state)
{
	struct sheet *s = *state;
	struct k_record r = { .place = s->blocks, .count = 1 };
	struct k_header h = { .add = 100 };
	struct xn_stats before, after;
	struct request rq;

	assert_ok(put(s, 0, r, s->blocks, 1));
	r.count = 0;
	for (uint32_t i = 1; i < K_RECORDS; i++)
		assert_ok(put(s, i, r, 0, 0));
	before = stats_of(s->fx);
	request_begin(&rq);
	request_edit(&rq, s->object, 0, &h, sizeof(h));
	request_alloc(&rq, s->blocks + 100, 1, XN_RESERVED);
	request_free(&rq, s->blocks, 1, XN_RESERVED);
	assert_ok(request_run(&rq, s->fx->session));
	after = stats_of(s->fx);
	assert_int_equal(after.owns_runs - before.owns_runs, 1); /* record 0, as it will be */
	assert_int_equal(after.owns_known - before.owns_known, 2 * K_RECORDS - 1);
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

/* ---- any changes at all, against `owns` in C ---- */

#define POOL 200u

static unsigned below(unsigned n)
{
	static unsigned seed = 20261121;

	return (unsigned)rand_r(&seed) % n;
}

/* What record `i` names in the pool, or -1 if it names what is not in the pool. */
static int named(const struct sheet *s, const struct k_record *r, uint32_t i, bool set[POOL])
{
	uint64_t from = r->place + r->last + (r->by_index ? i : 0) - s->blocks;

	memset(set, 0, POOL * sizeof(set[0]));
	if (r->count && (from >= POOL || from + r->count > POOL))
		return -1;
	for (uint32_t k = 0; k < r->count; k++)
		set[from + k] = true;
	return 0;
}

static void change_somehow(const struct sheet *s, struct k_record *r)
{
	switch (below(7)) {
	case 0: r->place = s->blocks + below(POOL); break;
	case 1: r->count = below(4); break;
	case 2: r->by_index = below(2); break;
	case 3: r->last = below(8); break;
	case 4: r->rounds = below(3); break;
	case 5: r->place += (uint64_t)below(2) << 40; break;
	default: r->spare[below(sizeof(r->spare))] = (unsigned char)below(256); break;
	}
}

/* Make of record `i` what `r` says, and declare what that takes and gives up. */
static int exchange(struct sheet *s, uint32_t i, const struct k_record *old,
		    const struct k_record *r)
{
	bool had[POOL], has[POOL];
	struct request rq;
	int astray = named(s, r, i, has);

	assert_int_equal(named(s, old, i, had), 0);
	request_begin(&rq);
	request_edit(&rq, s->object, at(i), r, sizeof(*r));
	for (uint32_t k = 0; k < POOL; k++) {
		if (has[k] && !had[k])
			request_alloc(&rq, s->blocks + k, 1, XN_RESERVED);
		if (had[k] && !has[k])
			request_free(&rq, s->blocks + k, 1, XN_RESERVED);
	}
	if (astray)
		assert_true(request_run(&rq, s->fx->session) < 0);
	return astray ? -1 : request_run(&rq, s->fx->session);
}

static bool is_free(const struct sheet *s, const struct k_record *records, uint32_t but,
		    const struct k_record *r)
{
	bool wanted[POOL], theirs[POOL];

	named(s, r, but, wanted);
	for (uint32_t i = 0; i < K_RECORDS; i++) {
		named(s, &records[i], i, theirs);
		for (uint32_t k = 0; k < POOL && i != but; k++) {
			if (wanted[k] && theirs[k])
				return false;
		}
	}
	return true;
}

static void any_changes_are_judged_as_by_running(void **state)
{
	struct sheet *s = *state;
	struct k_record records[K_RECORDS] = { 0 };
	struct xn_stats before = stats_of(s->fx), after;
	unsigned done = 0;

	for (unsigned round = 0; round < 3000; round++) {
		uint32_t i = below(K_RECORDS);
		struct k_record r = records[i];
		int err;

		change_somehow(s, &r);
		err = exchange(s, i, &records[i], &r);
		if (err == XN_ENOTFREE && is_free(s, records, i, &r)) {
			assert_ok(xn_sync(s->fx->session, 0)); /* what was given up is free now */
			err = exchange(s, i, &records[i], &r);
		}
		assert_int_equal(err == 0, is_free(s, records, i, &r) && err != -1);
		if (err == 0) {
			records[i] = r;
			done++;
		}
	}
	after = stats_of(s->fx);
	assert_true(done > 1000);
	assert_true(after.owns_known - before.owns_known > 1000);
	assert_true(after.owns_runs - before.owns_runs > 500);
}

#define SHEET_TEST(f) cmocka_unit_test_setup_teardown(f, sheet_setup, sheet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHEET_TEST(what_was_the_outcome_is_not_asked_again),
		SHEET_TEST(every_byte_of_a_record_counts),
		SHEET_TEST(what_is_looked_at_follows_from_what_was_found),
		SHEET_TEST(a_header_counts_for_whom_it_is_read),
		SHEET_TEST(the_same_bytes_elsewhere_are_another_record),
		SHEET_TEST(the_same_bytes_under_another_header_are_others),
		SHEET_TEST(what_is_known_costs_what_it_cost),
		SHEET_TEST(long_lists_are_run_each_time),
		SHEET_TEST(a_fault_is_not_remembered_as_nothing),
		SHEET_TEST(any_changes_are_judged_as_by_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
