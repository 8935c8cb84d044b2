/* SPDX-License-Identifier: MIT */
/*
 * Blocks set aside: what was claimed is there, whoever fills the disk.
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

static struct xn_space space_of(struct fixture *fx, struct xn_session *session, uint32_t root)
{
	struct xn_space space;

	(void)fx;
	assert_ok(xn_space(session, root, &space));
	return space;
}

/* An update that takes `count` blocks as RESERVED, in as many records as it needs. */
static int take(struct fixture *fx, struct xn_session *session, xn_blk_t object, uint32_t *record,
		uint64_t count, uint32_t flags)
{
	while (count > 0) {
		struct xn_extent found;
		struct request rq;
		int err = xn_find_free(session, 0, count < 200 ? count : 200, 1, &found);

		(void)fx;
		if (err)
			return err;
		request_begin(&rq);
		rq.update.flags = flags;
		request_word(&rq, object, 8 * *record,
			     T_POINTER(found.start, found.count, T_RESERVED));
		request_alloc(&rq, found.start, found.count, XN_RESERVED);
		err = request_run(&rq, session);
		if (err)
			return err;
		++*record;
		count -= found.count;
	}
	return 0;
}

/* A second root, bound by a session of its own. */
struct other {
	struct xn_session *session;
	xn_blk_t object;
	uint32_t id, record;
};

static struct other given_other(struct fixture *fx, uint64_t quota, uint64_t reserve)
{
	struct xn_root_spec spec = { .name = "other",
				     .libfs = "test",
				     .type = fx->type[T_NODE],
				     .mode = 0666,
				     .quota = quota,
				     .reserve = reserve };
	struct other other = { .session = given_session(fx, 5, 0) };
	struct xn_root_info info;
	xn_binding_t binding;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_ok(xn_bind_root(other.session, "other", RW | XN_READIN, &binding, &other.object));
	other.id = info.id;
	return other;
}

static void what_was_claimed_is_there_when_the_disk_is_full(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 0);
	uint32_t record = 0;
	uint64_t room;

	assert_ok(xn_claim(other.session, other.id, 30));
	room = space_of(fx, fx->session, fx->root_id).available;
	assert_int_equal(room, free_blocks(fx) - 30);
	assert_ok(take(fx, fx->session, fx->root, &record, room, 0));
	assert_int_equal(free_blocks(fx), 30);
	assert_refused(take(fx, fx->session, fx->root, &record, 1, 0), XN_ENOSPACE);
	assert_refused(xn_claim(fx->session, fx->root_id, 1), XN_ENOSPACE);
	fixture_check(fx);
	assert_ok(take(fx, other.session, other.object, &other.record, 30, 0));
	assert_int_equal(free_blocks(fx), 0);
	assert_int_equal(space_of(fx, other.session, other.id).mine, 0);
}

static void an_update_spends_claims_first(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 0);
	struct xn_space space;

	assert_ok(xn_claim(other.session, other.id, 30));
	assert_ok(xn_claim(fx->session, other.id, 7)); /* another session's, same root */
	assert_ok(take(fx, other.session, other.object, &other.record, 20, 0));
	space = space_of(fx, other.session, other.id);
	assert_int_equal(space.mine, 10);
	assert_int_equal(space.claimed, 17);
	assert_ok(take(fx, other.session, other.object, &other.record, 25, 0));
	space = space_of(fx, other.session, other.id);
	assert_int_equal(space.mine, 0);
	assert_int_equal(space.claimed, 7); /* nobody spends another's */
	assert_int_equal(space.used, 46);
}

static void claims_are_given_back(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 0);
	uint64_t before = space_of(fx, fx->session, fx->root_id).available;

	assert_ok(xn_claim(other.session, other.id, 30));
	assert_refused(xn_claim(other.session, other.id, -31), -ERANGE);
	assert_refused(xn_claim(fx->session, other.id, -1), -ERANGE);
	assert_refused(xn_claim(other.session, other.id, INT64_MIN), -ERANGE);
	assert_ok(xn_claim(other.session, other.id, -10));
	assert_ok(xn_claim(other.session, other.id, 0));
	assert_int_equal(space_of(fx, other.session, other.id).mine, 20);
	assert_ok(xn_claim(other.session, other.id, -20));
	assert_int_equal(space_of(fx, fx->session, fx->root_id).available, before);
	assert_ok(xn_claim(other.session, other.id, 5));
	xn_session_close(other.session); /* a session that dies takes its claims with it */
	assert_int_equal(space_of(fx, fx->session, fx->root_id).available, before);
	fixture_check(fx);
}

static void a_removed_root_claims_nothing(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = space_of(fx, fx->session, fx->root_id).available;
	struct other other = given_other(fx, 0, 40);

	assert_ok(xn_claim(other.session, other.id, 30));
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_refused(xn_claim(other.session, other.id, 1), XN_ENOROOT);
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(space_of(fx, fx->session, fx->root_id).available, before);
	fixture_check(fx);
}

static void only_who_may_write_claims(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 9, 0);
	xn_binding_t binding;
	xn_blk_t object;

	assert_refused(xn_claim(user, fx->root_id, 1), XN_ENOTBOUND);
	assert_ok(xn_bind_root(user, "r", XN_READ, &binding, &object));
	assert_refused(xn_claim(user, fx->root_id, 1), XN_ENOTBOUND);
	assert_ok(xn_unbind(user, binding));
	assert_ok(xn_bind_root(user, "r", RW, &binding, &object));
	assert_ok(xn_claim(user, fx->root_id, 1));
	assert_refused(xn_claim(user, 99, 1), XN_ENOROOT);
	assert_refused(xn_claim(user, fx->root_id, INT64_MAX), XN_ENOSPACE);
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_claim(fx->session, fx->root_id, 1), XN_EREADONLY);
}

static void claims_count_against_the_quota(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 50, 0); /* one is its object */

	assert_refused(xn_claim(other.session, other.id, 50), XN_EQUOTA);
	assert_ok(xn_claim(other.session, other.id, 40));
	assert_int_equal(space_of(fx, other.session, other.id).available, 9);
	assert_refused(take(fx, fx->session, fx->root, &other.record, 0, 0), 0);
	assert_ok(take(fx, other.session, other.object, &other.record, 49, 0));
	assert_refused(take(fx, other.session, other.object, &other.record, 1, 0), XN_EQUOTA);
}

/* ---- reserves ---- */

static void a_reserve_is_for_updates_that_free(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 12);
	uint32_t record = 0;

	assert_ok(take(fx, fx->session, fx->root, &record,
		       space_of(fx, fx->session, fx->root_id).available, 0));
	assert_int_equal(free_blocks(fx), 12);
	assert_refused(take(fx, other.session, other.object, &other.record, 1, 0), XN_ENOSPACE);
	assert_refused(take(fx, fx->session, fx->root, &record, 1, XN_FREEING), XN_ENOSPACE);
	assert_refused(xn_claim(other.session, other.id, 1), XN_ENOSPACE);
	assert_ok(take(fx, other.session, other.object, &other.record, 5, XN_FREEING));
	assert_int_equal(space_of(fx, other.session, other.id).reserve, 7);
	fixture_check(fx);
}

static void what_comes_free_fills_reserves_first(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 12);
	uint32_t record = 1;
	xn_blk_t big = given_child(fx, fx->root, 0, 100, T_RESERVED);

	assert_ok(take(fx, fx->session, fx->root, &record,
		       space_of(fx, fx->session, fx->root_id).available, 0));
	assert_ok(take(fx, other.session, other.object, &other.record, 12, XN_FREEING));
	assert_int_equal(free_blocks(fx), 0);
	given_no_child(fx, fx->root, 0, big, 100, T_RESERVED);
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(free_blocks(fx), 100);
	assert_int_equal(space_of(fx, other.session, other.id).reserve, 12);
	assert_int_equal(space_of(fx, fx->session, fx->root_id).available, 88);
	fixture_check(fx);
	fixture_reopen(fx);
	assert_int_equal(space_of(fx, fx->session, other.id).reserve, 12);
	assert_int_equal(space_of(fx, fx->session, fx->root_id).available, 88);
	fixture_crash(fx, 1);
	assert_int_equal(space_of(fx, fx->session, other.id).reserve, 12);
}

static void the_end_of_a_quota_is_for_updates_that_free(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 50, 10);

	assert_int_equal(space_of(fx, other.session, other.id).available, 39);
	assert_ok(take(fx, other.session, other.object, &other.record, 39, 0));
	assert_refused(take(fx, other.session, other.object, &other.record, 1, 0), XN_EQUOTA);
	assert_ok(take(fx, other.session, other.object, &other.record, 10, XN_FREEING));
	assert_refused(take(fx, other.session, other.object, &other.record, 1, XN_FREEING),
		       XN_EQUOTA);
}

static void reserves_are_set_by_administrators(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 50, 10);
	struct xn_root_spec spec = {
		.name = "third", .libfs = "test", .type = fx->type[T_NODE], .quota = 5, .reserve = 6
	};
	struct xn_root_info info;

	assert_refused(xn_root_set_reserve(other.session, "other", 5), XN_ECRED);
	assert_refused(xn_root_set_reserve(fx->session, "nosuch", 5), XN_ENOROOT);
	assert_refused(xn_root_set_reserve(fx->session, "other", 51), -EINVAL);
	assert_refused(xn_root_set_quota(fx->session, "other", 9), -EINVAL);
	assert_refused(xn_root_set_reserve(fx->session, "r", 100000), XN_ENOSPACE);
	assert_refused(xn_root_create(fx->session, &spec, NULL), -EINVAL);
	spec.quota = 0;
	spec.reserve = 100000;
	assert_refused(xn_root_create(fx->session, &spec, NULL), XN_ENOSPACE);
	assert_ok(xn_root_set_reserve(fx->session, "other", 5));
	assert_int_equal(space_of(fx, other.session, other.id).reserve, 5);
	assert_ok(xn_root_set_reserve(fx->session, "other", 8));
	assert_ok(xn_root_set_weight(fx->session, "other", 3));
	assert_refused(xn_root_set_weight(fx->session, "other", 0), -EINVAL);
	assert_refused(xn_root_set_weight(fx->session, "other", XN_WEIGHT_MAX + 1), -EINVAL);
	fixture_crash(fx, 1);
	assert_ok(xn_root_find(fx->xn, "other", &info));
	assert_int_equal(info.reserve, 8);
	assert_int_equal(info.weight, 3);
	assert_int_equal(space_of(fx, fx->session, info.id).reserve, 8);
}

/* XN itself takes no block that was promised to somebody. */
static void new_roots_do_not_take_what_was_claimed(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = { .name = "third", .libfs = "test", .type = fx->type[T_NODE] };

	assert_ok(xn_claim(fx->session, fx->root_id, (int64_t)free_blocks(fx)));
	assert_refused(xn_root_create(fx->session, &spec, NULL), XN_ENOSPACE);
	assert_ok(xn_claim(fx->session, fx->root_id, -1));
	assert_ok(xn_root_create(fx->session, &spec, NULL));
}

/* By chance, for long: the sums hold, and a claimed block is never refused. */
static void claims_hold_under_chance(void **state)
{
	struct fixture *fx = *state;
	struct other other = given_other(fx, 0, 20);
	uint64_t seed = 3, claimed = 0;
	uint32_t record = 0;

	for (unsigned round = 0; round < 900 && record < 480 && other.record < 480; round++) {
		uint64_t n = 1 + chance(&seed) % 9;

		switch (chance(&seed) % 4) {
		case 0:
			if (xn_claim(other.session, other.id, (int64_t)n) == 0)
				claimed += n;
			break;
		case 1:
			n = n < claimed ? n : claimed;
			assert_ok(take(fx, other.session, other.object, &other.record, n, 0));
			claimed -= n;
			break;
		case 2:
			n = n < claimed ? n : claimed;
			assert_ok(xn_claim(other.session, other.id, -(int64_t)n));
			claimed -= n;
			break;
		default: (void)take(fx, fx->session, fx->root, &record, n, 0);
		}
		assert_int_equal(space_of(fx, other.session, other.id).mine, claimed);
		fixture_check(fx);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_claimed_is_there_when_the_disk_is_full),
		TEST(an_update_spends_claims_first),
		TEST(claims_are_given_back),
		TEST(a_removed_root_claims_nothing),
		TEST(only_who_may_write_claims),
		TEST(claims_count_against_the_quota),
		TEST(a_reserve_is_for_updates_that_free),
		TEST(what_comes_free_fills_reserves_first),
		TEST(the_end_of_a_quota_is_for_updates_that_free),
		TEST(reserves_are_set_by_administrators),
		TEST(new_roots_do_not_take_what_was_claimed),
		TEST(claims_hold_under_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
