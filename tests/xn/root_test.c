/* SPDX-License-Identifier: MIT */
/*
 * Roots: made, found, charged, and limited.
 */
#include "xn_fixture.h"

#include <errno.h>

static struct xn_root_spec spec_of(struct fixture *fx, const char *name)
{
	return (struct xn_root_spec){
		.name = name, .libfs = "test", .type = fx->type[T_NODE], .mode = 0600
	};
}

static void a_root_is_durable_when_it_is_made(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = spec_of(fx, "home");
	struct xn_root_info made, found;

	spec.uid = 11;
	spec.gid = 12;
	spec.mode = 0640;
	spec.quota = 99;
	spec.now_ns = 777;
	spec.type = fx->type[T_KEEP];
	fixture_watch(fx, 6);
	assert_ok(xn_root_create(fx->session, &spec, &made));
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_crash(fx, 1);
	assert_ok(xn_root_find(fx->xn, "home", &found));
	assert_int_equal(found.id, made.id);
	assert_int_equal(found.object, made.object);
	assert_int_equal(found.type, fx->type[T_KEEP]);
	assert_int_equal(found.uid, 11);
	assert_int_equal(found.gid, 12);
	assert_int_equal(found.mode, 0640);
	assert_int_equal(found.quota, 99);
	assert_int_equal(found.used, 1);
	assert_int_equal(found.created_ns, 777);
	assert_string_equal(found.libfs, "test");
	assert_memory_equal(found.uuid, made.uuid, 16);
	{
		xn_binding_t binding;
		xn_blk_t object;
		const void *bytes;
		uint32_t word;
		size_t len;

		assert_ok(
			xn_bind_root(fx->session, "home", XN_READ | XN_READIN, &binding, &object));
		assert_ok(xn_map(fx->session, binding, &bytes, &len));
		memcpy(&word, bytes, sizeof(word));
		assert_int_equal(word, T_KEEP_WORD); /* the template's first image */
	}
}

static void roots_are_told_in_order(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_info info = { .id = 0 };
	char name[16];
	unsigned n = 0;

	for (unsigned i = 0; i < 20; i++) { /* three catalogue blocks */
		struct xn_root_spec spec;

		snprintf(name, sizeof(name), "root%u", i);
		spec = spec_of(fx, name);
		assert_ok(xn_root_create(fx->session, &spec, &info));
	}
	fixture_reopen(fx);
	for (info.id = 0; xn_root_next(fx->xn, info.id, &info) == 0;)
		n++;
	assert_int_equal(n, 21);
	assert_ok(xn_root_find(fx->xn, "root19", &info));
	assert_refused(xn_root_find(fx->xn, "root20", &info), XN_ENOROOT);
}

static void near_is_a_wish_that_is_heard(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = spec_of(fx, "near");
	struct xn_root_info info;

	spec.near = 600;
	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_int_equal(info.object, 600);
}

static void what_cannot_be_a_root_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 3, 0);
	struct xn_root_info info;
	char longest[66];
	const struct {
		const char *name;
		int error;
	} rows[] = { { "r", XN_EROOTEXISTS }, { "", -EINVAL },     { NULL, -EINVAL },
		     { "a/b", -EINVAL },      { "a\nb", -EINVAL }, { "..", -EINVAL },
		     { longest, -EINVAL } };
	uint64_t before = free_blocks(fx);
	struct xn_root_spec spec;

	memset(longest, 'x', 64);
	longest[64] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		spec = spec_of(fx, rows[i].name);
		assert_refused(xn_root_create(fx->session, &spec, &info), rows[i].error);
	}
	spec = spec_of(fx, "new");
	assert_refused(xn_root_create(user, &spec, &info), XN_ECRED);
	spec.type = 4242;
	assert_refused(xn_root_create(fx->session, &spec, &info), XN_ENOTEMPLATE);
	spec = spec_of(fx, "new");
	spec.flags = 4;
	assert_refused(xn_root_create(fx->session, &spec, &info), -EINVAL);
	spec.flags = XN_ROOT_SCRATCH; /* for nobody */
	assert_refused(xn_root_create(fx->session, &spec, &info), -EINVAL);
	spec.scratch_of = 99;
	assert_refused(xn_root_create(fx->session, &spec, &info), XN_ENOROOT);
	spec.flags = XN_ROOT_TEMPORARY; /* but for somebody */
	assert_refused(xn_root_create(fx->session, &spec, &info), -EINVAL);
	spec = spec_of(fx, "new");
	spec.libfs = "";
	assert_refused(xn_root_create(fx->session, &spec, &info), -EINVAL);
	assert_int_equal(free_blocks(fx), before);
	longest[63] = '\0';
	spec = spec_of(fx, longest);
	assert_ok(xn_root_create(fx->session, &spec, &info));
}

static void a_read_only_disk_takes_no_roots(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = spec_of(fx, "new");
	struct xn_root_info info;

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_root_create(fx->session, &spec, &info), XN_EREADONLY);
	assert_refused(xn_root_set_quota(fx->session, "r", 5), XN_EREADONLY);
}

static void a_full_disk_takes_no_roots(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = spec_of(fx, "new");
	struct xn_root_info info;
	struct xn_extent found;
	uint32_t record = 0;

	while (xn_find_free(fx->session, 0, 200, 1, &found) == 0) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 8 * record++,
			     T_POINTER(found.start, found.count, T_RESERVED));
		request_alloc(&rq, found.start, found.count, XN_RESERVED);
		assert_ok(request_run(&rq, fx->session));
	}
	assert_refused(xn_root_create(fx->session, &spec, &info), XN_ENOSPACE);
}

/* ---- quota and charge ---- */

static void everything_owned_is_charged_until_it_is_free(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_info info;
	xn_blk_t data;

	data = given_data(fx, fx->root, 0, 1, NULL);
	given_child(fx, fx->root, 1, 4, T_PAIR);
	given_child(fx, fx->root, 2, 7, T_RESERVED);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 1 + 1 + 4 + 7);
	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 13); /* it waits */
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 12);
	fixture_reopen(fx);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 12);
	fixture_crash(fx, 0); /* counted anew */
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.used, 12);
}

static void a_quota_is_durable_and_set_by_administrators(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 3, 0);
	struct xn_root_info info;

	assert_refused(xn_root_set_quota(user, "r", 5), XN_ECRED);
	assert_refused(xn_root_set_quota(fx->session, "nosuch", 5), XN_ENOROOT);
	assert_ok(xn_root_set_quota(fx->session, "r", 5));
	fixture_crash(fx, 1);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.quota, 5);
	assert_ok(xn_root_set_quota(fx->session, "r", 0));
	given_child(fx, fx->root, 0, 200, T_RESERVED);
}

/* The words: fill the disk through one root, delete, use the space through the other. */
static void two_roots_draw_from_one_free_map(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = spec_of(fx, "other");
	xn_blk_t object[2] = { fx->root, 0 };
	struct xn_root_info info;
	struct xn_extent found;
	xn_binding_t binding;
	uint64_t before;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_ok(xn_bind_root(fx->session, "other", XN_READ | XN_WRITE | XN_READIN, &binding,
			       &object[1]));
	before = free_blocks(fx);
	for (unsigned round = 0; round < 4; round++) {
		xn_blk_t root = object[round % 2], taken[T_NODE_RECORDS];
		uint32_t n = 0;
		struct request rq;

		/* single blocks, until there are none */
		while (n < T_NODE_RECORDS &&
		       xn_find_free(fx->session, 0, n < 400 ? 1 : 255, 1, &found) == 0) {
			request_begin(&rq);
			request_word(&rq, root, 8 * n,
				     T_POINTER(found.start, found.count, T_RESERVED));
			request_alloc(&rq, found.start, found.count, XN_RESERVED);
			assert_ok(request_run(&rq, fx->session));
			taken[n++] = T_POINTER(found.start, found.count, T_RESERVED);
		}
		assert_int_equal(free_blocks(fx), 0);
		assert_ok(xn_sync(fx->session, 0));
		while (n-- > 0)
			given_no_child(fx, root, n, T_START(taken[n]), T_COUNT(taken[n]),
				       T_RESERVED);
		assert_int_equal(free_blocks(fx), 0); /* the disk still names them */
		assert_ok(xn_sync(fx->session, 0));
		assert_int_equal(free_blocks(fx), before);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_root_is_durable_when_it_is_made),
		TEST(roots_are_told_in_order),
		TEST(near_is_a_wish_that_is_heard),
		TEST(what_cannot_be_a_root_is_refused),
		TEST(a_read_only_disk_takes_no_roots),
		TEST(a_full_disk_takes_no_roots),
		TEST(everything_owned_is_charged_until_it_is_free),
		TEST(a_quota_is_durable_and_set_by_administrators),
		TEST(two_roots_draw_from_one_free_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
