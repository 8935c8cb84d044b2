/* SPDX-License-Identifier: MIT */
/*
 * The cache, shared: nobody fills it, and pages are asked back before they are taken.
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

/* A LibFS of its own: a root with many nodes, all on disk, and a session. */
struct libfs {
	struct fixture *fx;
	struct xn_session *session;
	char name[8];
	xn_blk_t object, nodes;
	uint32_t root, n_nodes;
	xn_binding_t top, bound[400];
	uint32_t n_bound;
};

static struct libfs *given_libfs(struct fixture *fx, const char *name, uint32_t n_nodes)
{
	struct libfs *libfs = calloc(1, sizeof(*libfs));
	struct xn_root_spec spec = {
		.name = name, .libfs = "test", .type = fx->type[T_NODE], .mode = 0666
	};
	struct xn_root_info info;

	assert_non_null(libfs);
	libfs->fx = fx;
	snprintf(libfs->name, sizeof(libfs->name), "%s", name);
	libfs->n_nodes = n_nodes;
	libfs->session = given_session(fx, 0, 0);
	assert_ok(xn_root_create(fx->session, &spec, &info));
	libfs->root = info.id;
	assert_ok(xn_bind_root(libfs->session, name, RW | XN_READIN, &libfs->top, &libfs->object));
	for (uint32_t i = 0; i < n_nodes; i++) {
		struct request rq;
		xn_blk_t at = given_free(fx, 1);

		request_begin(&rq);
		request_word(&rq, libfs->object, 8 * i, T_POINTER(at, 1, T_NODE));
		request_alloc(&rq, at, 1, fx->type[T_NODE]);
		assert_ok(request_run(&rq, libfs->session));
		if (i % 20 == 19)
			assert_ok(xn_sync(libfs->session, libfs->root));
	}
	assert_ok(xn_sync(libfs->session, libfs->root));
	return libfs;
}

static void libfs_end(struct libfs *libfs)
{
	if (libfs->session)
		xn_session_close(libfs->session);
	free(libfs);
}

static xn_blk_t node_of(struct libfs *libfs, uint32_t i)
{
	const void *bytes;
	uint64_t word;
	size_t len;

	assert_ok(xn_map(libfs->session, libfs->top, &bytes, &len));
	memcpy(&word, (const uint8_t *)bytes + 8 * i, sizeof(word));
	return T_START(word);
}

static int bind_node(struct libfs *libfs, uint32_t i)
{
	int err = try_bind(libfs->fx, libfs->session, libfs->object, i, node_of(libfs, i), 1,
			   libfs->fx->type[T_NODE], RW | XN_READIN, &libfs->bound[libfs->n_bound]);

	libfs->n_bound += err == 0;
	return err;
}

/* Bind nodes and never let go of them. */
static int bind_all(struct libfs *libfs)
{
	int err = 0;

	for (uint32_t i = libfs->n_bound; i < libfs->n_nodes && !err; i++)
		err = bind_node(libfs, i);
	return err;
}

/* Bind, read, change, write data, sync: a little of everything. */
static void work(struct libfs *libfs, uint32_t record)
{
	xn_blk_t node = node_of(libfs, record), data = given_free(libfs->fx, 1);
	uint32_t first = libfs->n_bound;
	uint8_t page[XN_BLOCK];
	struct request rq;
	xn_binding_t b;

	assert_ok(bind_node(libfs, record));
	request_begin(&rq);
	request_word(&rq, node, 0, T_POINTER(data, 1, T_DATA));
	request_alloc(&rq, data, 1, XN_DATA);
	assert_ok(request_run(&rq, libfs->session));
	assert_ok(try_bind(libfs->fx, libfs->session, node, 0, data, 1, XN_DATA, RW, &b));
	stamp_fill(page, data, node, 1);
	assert_ok(xn_write(libfs->session, b, 0, page, sizeof(page)));
	assert_ok(xn_sync(libfs->session, libfs->root));
	assert_ok(xn_read(libfs->session, b, 0, page, sizeof(page)));
	assert_ok(xn_unbind(libfs->session, b));
	assert_ok(xn_unbind(libfs->session, libfs->bound[first]));
	libfs->n_bound = first;
}

static void pins_never_released_leave_room_for_others(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 200), *late;

	assert_refused(bind_all(hog), XN_ECACHEFULL);
	assert_true(hog->n_bound > 60); /* it had most of the cache */
	fixture_check(fx);
	late = given_libfs(fx, "late", 4);
	for (uint32_t i = 0; i < 4; i++)
		work(late, i);
	fixture_check(fx);
	libfs_end(late);
	libfs_end(hog);
}

/* Data that was never written holds the objects above it, and nothing can be written back. */
static void a_cache_filled_with_tainted_pages_leaves_room_for_others(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 100), *late;
	uint32_t n = 0;
	int err = 0;

	while (!err) {
		xn_blk_t data = given_free(fx, 1);
		struct request rq;

		assert_true(n < hog->n_nodes);
		err = bind_node(hog, n);
		if (err)
			break;
		request_begin(&rq);
		request_word(&rq, node_of(hog, n), 0, T_POINTER(data, 1, T_DATA));
		request_alloc(&rq, data, 1, XN_DATA);
		err = request_run(&rq, hog->session);
		assert_ok(xn_unbind(hog->session, hog->bound[0]));
		hog->n_bound = 0;
		n += err == 0;
	}
	assert_int_equal(err, XN_ECACHEFULL);
	assert_true(n > 60);
	assert_refused(xn_sync(hog->session, hog->root), XN_ETAINTED);
	fixture_check(fx);
	late = given_libfs(fx, "late", 4);
	for (uint32_t i = 0; i < 4; i++)
		work(late, i);
	/* And who filled it can write what it waits for, and go on. */
	for (uint32_t i = 0; i < n; i++) {
		const void *bytes;
		uint64_t word;
		size_t len;
		uint8_t page[XN_BLOCK];
		xn_binding_t b;

		assert_ok(bind_node(hog, i));
		assert_ok(xn_map(hog->session, hog->bound[0], &bytes, &len));
		memcpy(&word, bytes, sizeof(word));
		assert_ok(try_bind(fx, hog->session, node_of(hog, i), 0, T_START(word), 1, XN_DATA,
				   RW, &b));
		stamp_fill(page, T_START(word), node_of(hog, i), 1);
		err = xn_write(hog->session, b, 0, page, sizeof(page));
		if (err == XN_ECACHEFULL) {
			(void)xn_sync(hog->session, hog->root);
			err = xn_write(hog->session, b, 0, page, sizeof(page));
		}
		assert_ok(err);
		assert_ok(xn_unbind(hog->session, b));
		assert_ok(xn_unbind(hog->session, hog->bound[0]));
		hog->n_bound = 0;
	}
	assert_ok(xn_sync(hog->session, hog->root));
	fixture_check(fx);
	libfs_end(late);
	libfs_end(hog);
}

/* ---- revocation ---- */

/* The hog holds all it may; the late one wants more than what is kept for it. */
static struct libfs *given_refusal(struct fixture *fx, struct libfs *hog)
{
	struct libfs *late = given_libfs(fx, "late", 60);

	assert_refused(bind_all(hog), XN_ECACHEFULL);
	assert_refused(bind_all(late), XN_ECACHEFULL);
	return late;
}

static void a_request_is_read_and_answered(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 200), *late = given_refusal(fx, hog);
	struct xn_revocation request = { 0 };
	uint32_t before = late->n_bound;

	assert_int_equal(xn_revocation(late->session, &request), 0);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_int_equal(request.root, 0);
	assert_true(request.pages > 0);
	assert_int_equal(request.taken, 0);
	/* It chooses: the oldest ten. */
	for (uint32_t i = 0; i < 10; i++)
		assert_ok(xn_unbind(hog->session, hog->bound[i]));
	assert_int_equal(xn_revocation(hog->session, &request), 0); /* that was enough */
	assert_refused(bind_all(late), XN_ECACHEFULL);
	assert_true(late->n_bound > before);
	fixture_check(fx);
	libfs_end(late);
	libfs_end(hog);
}

static void what_is_not_given_in_time_is_taken(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 200), *late = given_refusal(fx, hog);
	struct xn_revocation request;
	xn_binding_t taken[400];
	int64_t now = 1000;
	int n;

	assert_refused(xn_revoke_overdue(hog->session, now), XN_ECRED);
	assert_int_equal(xn_revoke_overdue(fx->session, now), 0); /* the time begins */
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_int_equal(request.deadline_ns, now + XN_REVOKE_GRACE_NS);
	now += XN_REVOKE_GRACE_NS;
	assert_int_equal(xn_revoke_overdue(fx->session, now - 1), 0);
	assert_int_equal(xn_taken(hog->session, taken, 400), 0);
	assert_int_equal(xn_revoke_overdue(fx->session, now), 1);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_true(request.taken > 0);
	assert_int_equal(request.pages, 0);
	assert_int_equal(xn_revocation(hog->session, &request), 0); /* told once */
	n = xn_taken(hog->session, taken, 400);
	assert_true(n > 0);
	assert_int_equal(xn_taken(hog->session, taken + n, 400 - (uint32_t)n), 0);
	for (int i = 0; i < n; i++) {
		const void *bytes;
		size_t len;

		assert_refused(xn_map(hog->session, taken[i], &bytes, &len), XN_ESTALE);
		assert_ok(xn_unbind(hog->session, taken[i]));
	}
	fixture_check(fx);
	assert_refused(bind_all(late), XN_ECACHEFULL);
	assert_true(late->n_bound >= 8);
	/* Nothing is lost: it binds them again when there is room. */
	libfs_end(late);
	assert_ok(xn_root_remove(fx->session, "late"));
	assert_ok(bind_node(hog, 199));
	fixture_check(fx);
	libfs_end(hog);
}

/* Taken bindings that nobody asks about, and a session that ends with them. */
static void a_session_may_end_without_having_looked(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 200), *late = given_refusal(fx, hog);

	assert_int_equal(xn_revoke_overdue(fx->session, 1), 0);
	assert_int_equal(xn_revoke_overdue(fx->session, 1 + XN_REVOKE_GRACE_NS), 1);
	for (uint32_t i = 0; i < 20; i++)
		assert_ok(xn_unbind(hog->session, hog->bound[hog->n_bound - 1 - i]));
	fixture_check(fx);
	libfs_end(hog);
	fixture_check(fx);
	assert_ok(bind_all(late));
	libfs_end(late);
}

/* As many of 120 blocks of data below its first node as it may; bound. */
static xn_binding_t fill_with_dirty_pages(struct libfs *hog, xn_blk_t data)
{
	struct fixture *fx = hog->fx;
	xn_blk_t node = node_of(hog, 0);
	uint8_t page[XN_BLOCK];
	struct request rq;
	xn_binding_t b;
	int err = 0;

	assert_ok(bind_node(hog, 0));
	request_begin(&rq);
	request_word(&rq, node, 0, T_POINTER(data, 120, T_DATA));
	request_alloc(&rq, data, 120, XN_DATA);
	assert_ok(request_run(&rq, hog->session));
	assert_ok(try_bind(fx, hog->session, node, 0, data, 120, XN_DATA, RW, &b));
	for (uint32_t i = 0; i < 120 && !err; i++) {
		stamp_fill(page, data + i, node, i);
		err = xn_write(hog->session, b, i * XN_BLOCK, page, sizeof(page));
	}
	assert_int_equal(err, XN_ECACHEFULL);
	return b;
}

static void dirty_pages_of_a_root_are_written_by_force(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 8), *late = given_libfs(fx, "late", 60);
	xn_blk_t node = node_of(hog, 0), data = given_free(fx, 120);
	struct xn_revocation request;
	uint8_t page[XN_BLOCK];
	uint64_t held;
	xn_binding_t b;

	b = fill_with_dirty_pages(hog, data);
	assert_refused(bind_all(late), XN_ECACHEFULL);
	assert_int_equal(xn_revocation(late->session, &request), 0);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_int_equal(request.root, hog->root);
	held = stats_of(fx).cache_held_pages;
	assert_int_equal(xn_revoke_overdue(fx->session, 1), 0);
	/* The rest of the extent was never written: that is what `node` waits for. */
	assert_int_equal(xn_revoke_overdue(fx->session, 1 + XN_REVOKE_GRACE_NS), 1);
	assert_true(stats_of(fx).cache_held_pages < held);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_true(request.taken > 50);
	fixture_check(fx);
	assert_refused(bind_all(late), 0);
	assert_ok(xn_read(hog->session, b, 3 * XN_BLOCK, page, sizeof(page)));
	assert_true(stamp_is(page, data + 3, node, 3)); /* bindings are good, bytes are there */
	assert_ok(xn_read(hog->session, b, 119 * XN_BLOCK, page, sizeof(page)));
	assert_int_equal(page[0], 0);
	libfs_end(late);
	libfs_end(hog);
}

/* Dirty pages of a subtree that nobody owns any more: no sync writes them. */
static void pages_of_a_subtree_to_be_reaped_are_taken_by_reaping(void **state)
{
	struct fixture *fx = *state;
	struct libfs *hog = given_libfs(fx, "hog", 8), *late = given_libfs(fx, "late", 60);
	xn_blk_t node = node_of(hog, 0), data = given_free(fx, 120);
	struct xn_revocation request;
	struct request rq;

	(void)fill_with_dirty_pages(hog, data);
	request_begin(&rq);
	request_word(&rq, hog->object, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, hog->session));
	assert_refused(bind_all(late), XN_ECACHEFULL);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_int_equal(request.root, hog->root);
	assert_int_equal(xn_revoke_overdue(fx->session, 1), 0);
	assert_int_equal(xn_revoke_overdue(fx->session, 1 + XN_REVOKE_GRACE_NS), 1);
	assert_int_equal(xn_revocation(hog->session, &request), 1);
	assert_true(request.taken > 50);
	fixture_check(fx);
	assert_ok(bind_all(late));
	libfs_end(late);
	libfs_end(hog);
}

/* ---- eviction ---- */

/* Many pages that may not go, and many reads: each is looked at once, not once per read. */
static void pages_that_must_stay_are_not_looked_at_again(void **state)
{
	struct fixture *fx = fixture_new(4096, 4u << 20); /* 1024 frames */
	struct libfs *hog = given_libfs(fx, "hog", 400);
	xn_blk_t start = given_child(fx, fx->root, 0, 250, T_DATA);
	xn_binding_t bulk[5];
	struct xn_stats before, after;
	uint8_t page[XN_BLOCK];

	(void)state;
	for (uint32_t k = 0; k < 5; k++) {
		if (k)
			start = given_child(fx, fx->root, k, 250, T_DATA);
		bulk[k] = given_bound(fx, fx->root, k, start, 250, T_DATA, RW);
		for (uint32_t i = 0; i < 250; i++) {
			stamp_fill(page, start + i, fx->root, 1);
			assert_ok(xn_write(fx->session, bulk[k], i * XN_BLOCK, page, sizeof(page)));
		}
		assert_ok(xn_sync(fx->session, 0));
	}
	assert_ok(bind_all(hog)); /* 400 frames that stay */
	before = stats_of(fx);
	for (uint32_t round = 0; round < 20; round++) {
		for (uint32_t k = 0; k < 5; k++)
			assert_ok(xn_readin(fx->session, bulk[k], 0, 250));
	}
	after = stats_of(fx);
	assert_true(after.evictions - before.evictions > 10000);
	assert_true(after.eviction_looks - before.eviction_looks <
		    after.evictions - before.evictions + 1024);
	fixture_check(fx);
	libfs_end(hog);
	fixture_free(fx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

/* 128 frames, and a disk with room for more than that. */
static int setup(void **state)
{
	*state = fixture_new(2048, XN_CACHE_MIN);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pins_never_released_leave_room_for_others),
		TEST(a_cache_filled_with_tainted_pages_leaves_room_for_others),
		TEST(a_request_is_read_and_answered),
		TEST(what_is_not_given_in_time_is_taken),
		TEST(a_session_may_end_without_having_looked),
		TEST(dirty_pages_of_a_root_are_written_by_force),
		TEST(pages_of_a_subtree_to_be_reaped_are_taken_by_reaping),
		cmocka_unit_test(pages_that_must_stay_are_not_looked_at_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
