/* SPDX-License-Identifier: MIT */
/*
 * Allowances: what all that is one user's may take together.
 */
#include "xn_fixture.h"

#include <errno.h>

#include "t_types.h"

#define RW   (XN_READ | XN_WRITE)
#define USER 7u

static struct xn_image image_of(unsigned k)
{
	return (struct xn_image){ t_types_image[k], t_types_image_len[k] };
}

static void allow(struct fixture *fx, struct xn_allowance limit)
{
	assert_ok(xn_allowance_set(fx->session, USER, &limit));
}

static struct xn_allowance used_by_user(struct fixture *fx)
{
	struct xn_allowance used;

	assert_ok(xn_allowance_get(fx->session, USER, NULL, &used));
	return used;
}

static int try_root(struct fixture *fx, const char *name, uint32_t uid)
{
	struct xn_root_spec spec = {
		.name = name, .libfs = "test", .type = fx->type[T_NODE], .uid = uid, .mode = 0666
	};

	return xn_root_create(fx->session, &spec, NULL);
}

/* A root of USER's, bound by the fixture's session. */
static xn_blk_t given_root(struct fixture *fx, const char *name)
{
	xn_binding_t binding;
	xn_blk_t object;

	assert_ok(try_root(fx, name, USER));
	assert_ok(xn_bind_root(fx->session, name, RW | XN_READIN, &binding, &object));
	return object;
}

static void reserved_request(struct fixture *fx, struct request *rq, xn_blk_t object,
			     uint32_t record, uint64_t count)
{
	xn_blk_t start = given_free(fx, count);

	request_begin(rq);
	request_word(rq, object, 8 * record, T_POINTER(start, count, T_RESERVED));
	request_alloc(rq, start, count, XN_RESERVED);
}

static void allowances_are_durable_and_set_by_administrators(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, USER, 0);
	struct xn_allowance limit = { 1, 2, 3, 4, 5, 6 }, found;

	assert_refused(xn_allowance_set(user, USER, &limit), XN_ECRED);
	assert_refused(xn_allowance_get(user, 3, &found, NULL), XN_ECRED);
	allow(fx, limit);
	assert_ok(xn_allowance_get(user, USER, &found, NULL));
	assert_memory_equal(&found, &limit, sizeof(found));
	for (uint32_t uid = 100; uid < 120; uid++) { /* more than one catalogue block */
		limit.blocks = uid;
		assert_ok(xn_allowance_set(fx->session, uid, &limit));
	}
	limit.blocks = 44;
	assert_ok(xn_allowance_set(fx->session, 110, &limit));
	fixture_crash(fx, 1);
	assert_ok(xn_allowance_get(fx->session, 110, &found, NULL));
	assert_int_equal(found.blocks, 44);
	assert_ok(xn_allowance_get(fx->session, 119, &found, NULL));
	assert_int_equal(found.blocks, 119);
	assert_ok(xn_allowance_get(fx->session, USER, &found, NULL));
	assert_int_equal(found.pending, 6);
	assert_ok(xn_allowance_get(fx->session, 120, &found, NULL));
	assert_int_equal(found.blocks, 0); /* nobody limited that one */
	limit.templates = XN_TEMPLATES_MAX + 1;
	assert_refused(xn_allowance_set(fx->session, USER, &limit), -ERANGE);
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_allowance_set(fx->session, USER, &limit), XN_EREADONLY);
}

static void templates_and_roots_are_counted(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, USER, 0);
	struct xn_image image = image_of(t_types_t_hostile);
	struct xn_image two[2] = { image_of(t_types_t_hostile), image_of(t_types_t_guard) };
	struct xn_refusal why = { 0 };
	uint32_t id[2];

	allow(fx, (struct xn_allowance){ .templates = 1, .roots = 1 });
	assert_refused(xn_template_install(user, two, 2, id, &why), XN_EALLOWANCE);
	assert_true(why.text[0] != '\0');
	assert_ok(xn_template_install(user, &image, 1, id, NULL));
	assert_ok(xn_template_install(user, &image, 1, id, NULL)); /* found, not installed again */
	assert_int_equal(used_by_user(fx).templates, 1);
	assert_refused(xn_template_remove(user, fx->type[T_NODE], NULL), XN_ECRED);
	assert_ok(xn_template_remove(user, id[0], NULL));
	assert_int_equal(used_by_user(fx).templates, 0);
	assert_ok(try_root(fx, "a", USER));
	assert_refused(try_root(fx, "b", USER), XN_EALLOWANCE);
	assert_ok(try_root(fx, "b", USER + 1));
	assert_int_equal(used_by_user(fx).roots, 1);
	assert_ok(xn_root_remove(fx->session, "a"));
	assert_ok(try_root(fx, "c", USER));
}

static void blocks_are_counted_over_all_roots(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_root(fx, "a"), b = given_root(fx, "b");
	struct xn_root_info info;
	struct request rq;

	assert_int_equal(used_by_user(fx).blocks, 2);
	allow(fx, (struct xn_allowance){ .blocks = 30 });
	given_child(fx, a, 0, 10, T_RESERVED);
	given_child(fx, b, 0, 10, T_RESERVED);
	reserved_request(fx, &rq, a, 1, 9);
	assert_request_refused(fx, &rq, XN_EALLOWANCE);
	assert_ok(xn_root_find(fx->xn, "b", &info));
	assert_refused(xn_claim(fx->session, info.id, 9), XN_EALLOWANCE);
	assert_ok(xn_claim(fx->session, info.id, 5));
	reserved_request(fx, &rq, a, 1, 4); /* claimed is as good as used */
	assert_request_refused(fx, &rq, XN_EALLOWANCE);
	given_child(fx, b, 1, 8, T_RESERVED);
	assert_int_equal(used_by_user(fx).blocks, 30);
	assert_refused(try_root(fx, "c", USER), XN_EALLOWANCE);
	assert_ok(try_root(fx, "c", USER + 1));
	fixture_reopen(fx);
	assert_int_equal(used_by_user(fx).blocks, 30);
	fixture_crash(fx, 0);
	assert_int_equal(used_by_user(fx).blocks, 30);
	assert_ok(xn_root_remove(fx->session, "b"));
	assert_int_equal(used_by_user(fx).blocks, 30); /* until they are free */
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(used_by_user(fx).blocks, 11);
}

static void a_lower_allowance_takes_nothing_away(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_root(fx, "a"), start = given_child(fx, a, 0, 20, T_RESERVED);
	struct request rq;

	allow(fx, (struct xn_allowance){ .blocks = 5 });
	reserved_request(fx, &rq, a, 1, 1);
	assert_request_refused(fx, &rq, XN_EALLOWANCE);
	request_begin(&rq); /* a change that takes nothing is no matter of allowances */
	request_word(&rq, a, T_NODE_RAW, 1);
	assert_ok(request_run(&rq, fx->session));
	given_no_child(fx, a, 0, start, 20, T_RESERVED);
	assert_ok(xn_sync(fx->session, 0));
	given_child(fx, a, 1, 4, T_RESERVED);
	allow(fx, (struct xn_allowance){ 0 });
	given_child(fx, a, 2, 40, T_RESERVED);
}

static void bindings_are_counted(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, USER, 0), *again = given_session(fx, USER, 0);
	xn_binding_t b[4];
	xn_blk_t object;

	allow(fx, (struct xn_allowance){ .pins = 3 });
	assert_ok(xn_bind_root(user, "r", XN_READ, &b[0], &object));
	assert_ok(xn_bind_root(user, "r", XN_READ, &b[1], &object));
	assert_ok(xn_bind_root(again, "r", XN_READ, &b[2], &object));
	assert_refused(xn_bind_root(again, "r", XN_READ, &b[3], &object), XN_EALLOWANCE);
	assert_int_equal(used_by_user(fx).pins, 3);
	assert_ok(xn_unbind(user, b[0]));
	assert_ok(xn_bind_root(again, "r", XN_READ, &b[3], &object));
	xn_session_close(again);
	assert_int_equal(used_by_user(fx).pins, 1);
}

static void held_pages_are_counted(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_root(fx, "a"), data;
	uint8_t page[XN_BLOCK] = { 1 };
	struct xn_session *user;
	xn_binding_t b;
	struct request rq;

	data = given_child(fx, a, 0, 20, T_DATA); /* a is dirty: one page */
	b = given_bound(fx, a, 0, data, 20, T_DATA, RW);
	assert_int_equal(used_by_user(fx).cache_pages, 1);
	allow(fx, (struct xn_allowance){ .cache_pages = 5 });
	for (unsigned i = 0; i < 4; i++)
		assert_ok(xn_write(fx->session, b, i * XN_BLOCK, page, sizeof(page)));
	assert_refused(xn_write(fx->session, b, 4 * XN_BLOCK, page, sizeof(page)), XN_EALLOWANCE);
	assert_ok(xn_write(fx->session, b, 0, page, sizeof(page))); /* held already */
	request_begin(&rq);
	request_word(&rq, a, 8, T_POINTER(given_free(fx, 1), 1, T_NODE));
	request_alloc(&rq, T_START(rq.words[0]), 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_EALLOWANCE);
	/* Written back, and stable: the data may leave at any time. */
	assert_ok(xn_writeback(fx->session, &(struct xn_extent){ data, 4, XN_DATA, 0 }, 1));
	assert_int_equal(used_by_user(fx).cache_pages, 5);
	assert_ok(xn_flush(fx->session));
	assert_int_equal(used_by_user(fx).cache_pages, 1);
	for (unsigned i = 4; i < 8; i++)
		assert_ok(xn_write(fx->session, b, i * XN_BLOCK, page, sizeof(page)));
	assert_refused(xn_write(fx->session, b, 8 * XN_BLOCK, page, sizeof(page)), XN_EALLOWANCE);
	/* What a session of the user's has bound counts, too, in whoever's root it lies. */
	user = given_session(fx, USER, 0);
	assert_ok(xn_sync(fx->session, fx->root_id));
	assert_ok(xn_bind_root(user, "r", XN_READ, &b, &data));
	assert_int_equal(used_by_user(fx).cache_pages, 5); /* the fixture's session pays for it */
	assert_ok(xn_unbind(fx->session, fx->root_binding));
	assert_int_equal(used_by_user(fx).cache_pages, 6);
	xn_session_close(user);
	assert_int_equal(used_by_user(fx).cache_pages, 5);
	fx->expect_damage = true; /* the data bears no stamps */
}

static void work_left_to_xn_is_counted(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_root(fx, "a"), node[3];
	struct request rq;

	allow(fx, (struct xn_allowance){ .pending = 2 });
	for (uint32_t i = 0; i < 3; i++) {
		node[i] = given_node(fx, a, i, NULL);
		given_data(fx, node[i], 0, 1, NULL);
	}
	assert_ok(xn_sync(fx->session, 0));
	for (uint32_t i = 0; i < 3; i++) {
		request_begin(&rq);
		request_word(&rq, a, 8 * i, 0);
		request_free(&rq, node[i], 1, fx->type[T_NODE]);
		rq.update.flags = XN_REAP;
		if (i < 2)
			assert_ok(request_run(&rq, fx->session));
		else
			assert_request_refused(fx, &rq, XN_EALLOWANCE);
	}
	assert_int_equal(used_by_user(fx).pending, 2);
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(used_by_user(fx).pending, 2);
	assert_int_equal(xn_reap(fx->session, 1), 1);
	assert_int_equal(used_by_user(fx).pending, 1);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(used_by_user(fx).pending, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(allowances_are_durable_and_set_by_administrators),
		TEST(templates_and_roots_are_counted),
		TEST(blocks_are_counted_over_all_roots),
		TEST(a_lower_allowance_takes_nothing_away),
		TEST(bindings_are_counted),
		TEST(held_pages_are_counted),
		TEST(work_left_to_xn_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
