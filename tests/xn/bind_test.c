/* SPDX-License-Identifier: MIT */
/*
 * Binding: who may see what, and every line of xn_bind()'s "Fails with".
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

static int bind(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start, uint64_t count,
		enum t_child child, uint32_t access)
{
	xn_binding_t binding;

	return try_bind(fx, fx->session, owner, record, start, count, fx->type[child], access,
			&binding);
}

/* ---- what may be bound ---- */

static void data_is_bound_whole_or_in_part(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 8, T_DATA);

	assert_ok(bind(fx, fx->root, 0, data, 8, T_DATA, RW));
	assert_ok(bind(fx, fx->root, 0, data + 3, 2, T_DATA, XN_READ));
	assert_ok(bind(fx, fx->root, 0, data + 7, 1, T_DATA, XN_WRITE));
}

static void neighbours_of_one_record_are_bound_together(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_free(fx, 5);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 1, T_STRAD));
	request_word(&rq, start, 0, T_POINTER(start + 1, 2, T_DATA));
	request_word(&rq, start, 16, T_POINTER(start + 3, 2, T_DATA));
	request_alloc(&rq, start, 1, fx->type[T_STRAD]);
	request_alloc(&rq, start + 1, 4, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	given_bound(fx, fx->root, 0, start, 1, T_STRAD, RW | XN_READIN);
	assert_ok(bind(fx, start, 0, start + 1, 4, T_DATA, RW));
}

static void one_object_of_several_is_bound(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t start = given_child(fx, fx->root, 0, 6, T_PAIR);

	assert_ok(bind(fx, fx->root, 0, start + 2, 2, T_PAIR, RW | XN_READIN));
	assert_refused(bind(fx, fx->root, 0, start, 4, T_PAIR, RW), XN_ETYPE);
}

static void an_object_stays_readable_while_it_is_bound(void **state)
{
	struct fixture *fx = *state;
	xn_binding_t binding, bulk;
	xn_blk_t node, many;
	const void *bytes;
	struct request rq;
	size_t len;
	uint64_t word;

	node = given_node(fx, fx->root, 0, &binding);
	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 0xabcdef);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_map(fx->session, binding, &bytes, &len));
	assert_int_equal(len, XN_BLOCK);
	many = given_child(fx, fx->root, 1, 250, T_RESERVED);
	given_no_child(fx, fx->root, 1, many, 250, T_RESERVED);
	many = given_child(fx, fx->root, 2, 250, T_DATA);
	bulk = given_bound(fx, fx->root, 2, many, 250, T_DATA, RW);
	for (unsigned i = 0; i < 250; i++) {
		uint8_t page[XN_BLOCK];

		stamp_fill(page, many + i, fx->root, 1);
		assert_ok(xn_write(fx->session, bulk, i * XN_BLOCK, page, sizeof(page)));
		if (i % 40 == 39)
			assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
	}
	memcpy(&word, (const uint8_t *)bytes + T_NODE_RAW, sizeof(word));
	assert_int_equal(word, 0xabcdef);
}

static void what_was_evicted_comes_back_the_same(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node[100];
	struct request rq;
	struct xn_stats stats;

	for (uint32_t i = 0; i < 100; i++) {
		node[i] = given_child(fx, fx->root, i, 1, T_NODE);
		request_begin(&rq);
		given_bound(fx, fx->root, i, node[i], 1, T_NODE, RW | XN_READIN);
		request_word(&rq, node[i], T_NODE_RAW, i + 1000);
		assert_ok(request_run(&rq, fx->session));
		if (i % 20 == 19) {
			xn_session_close(fx->session); /* all bindings go */
			fx->session = given_session(fx, 0, XN_SESSION_ADMIN);
			assert_ok(xn_bind_root(fx->session, "r", RW | XN_READIN, &fx->root_binding,
					       &fx->root));
			assert_ok(xn_sync(fx->session, 0));
		}
	}
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 100; i++) {
			xn_binding_t binding = given_bound(fx, fx->root, i, node[i], 1, T_NODE,
							   XN_READ | XN_READIN);
			const void *bytes;
			uint64_t word;
			size_t len;

			assert_ok(xn_map(fx->session, binding, &bytes, &len));
			memcpy(&word, (const uint8_t *)bytes + T_NODE_RAW, sizeof(word));
			assert_int_equal(word, i + 1000);
			assert_ok(xn_unbind(fx->session, binding));
		}
	}
	xn_stats(fx->xn, &stats);
	assert_true(stats.cache_bytes <= stats.cache_limit);
}

static void bytes_not_read_in_are_not_mapped(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_data(fx, fx->root, 1, 1, NULL);
	xn_binding_t binding, data_binding;
	const void *bytes;
	uint64_t version;
	size_t len;

	fixture_reopen(fx);
	binding = given_bound(fx, fx->root, 0, node, 1, T_NODE, XN_READ);
	data_binding = given_bound(fx, fx->root, 1, data, 1, T_DATA, XN_READ);
	assert_refused(xn_map(fx->session, binding, &bytes, &len), XN_ENOTCACHED);
	assert_refused(bind(fx, node, 0, data, 1, T_DATA, XN_READ), XN_ENOTCACHED);
	assert_ok(xn_readin(fx->session, binding, 0, 1));
	assert_ok(xn_map(fx->session, binding, &bytes, &len));
	assert_refused(xn_map(fx->session, data_binding, &bytes, &len), XN_ETYPE);
	assert_refused(xn_version(fx->session, data_binding, &version), XN_ETYPE);
}

/* ---- what may not ---- */

static void every_lie_about_an_extent_has_its_name(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_child(fx, fx->root, 0, 4, T_DATA);
	xn_blk_t node = given_child(fx, fx->root, 1, 1, T_NODE);
	xn_blk_t kept = given_child(fx, fx->root, 2, 1, T_RESERVED);
	const struct {
		const char *lie;
		uint32_t record;
		xn_blk_t start;
		uint64_t count;
		uint32_t type, access;
		int error;
	} rows[] = {
		{ "another record", 1, data, 4, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "an empty record", 9, data, 4, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "more than it owns", 0, data, 5, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "before it", 0, data - 1, 2, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "data as an object", 0, data, 1, fx->type[T_NODE], XN_READ, XN_ENOTOWNER },
		{ "an object as data", 1, node, 1, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "an object of another type", 1, node, 1, fx->type[T_HEAD], RW, XN_ENOTOWNER },
		{ "two objects", 1, node, 2, fx->type[T_NODE], XN_READ, XN_ETYPE },
		{ "what is reserved", 2, kept, 1, XN_RESERVED, XN_READ, XN_ETYPE },
		{ "what is reserved, as data", 2, kept, 1, XN_DATA, XN_READ, XN_ENOTOWNER },
		{ "an unknown type", 0, data, 1, 31, XN_READ, XN_ETYPE },
		{ "record beyond the end", T_NODE_RECORDS, data, 4, XN_DATA, XN_READ, -ERANGE },
		{ "beyond the disk", 0, FIXTURE_BLOCKS, 1, XN_DATA, XN_READ, -ERANGE },
		{ "far beyond it", 0, data, UINT64_MAX, XN_DATA, XN_READ, -ERANGE },
		{ "nothing", 0, data, 0, XN_DATA, XN_READ, -EINVAL },
		{ "block 0", 0, 0, 1, XN_DATA, XN_READ, -EINVAL },
		{ "no access", 0, data, 4, XN_DATA, 0, -EINVAL },
		{ "only the bytes", 0, data, 4, XN_DATA, XN_READIN, -EINVAL },
		{ "unknown access", 0, data, 4, XN_DATA, XN_READ | 64, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct xn_refusal why = { 0 };
		struct xn_bind_request request = {
			.owner = fx->root,
			.record = rows[i].record,
			.access = rows[i].access,
			.extent = { rows[i].start, rows[i].count, rows[i].type, 0 },
			.why = &why,
		};
		xn_binding_t binding;

		print_message("%s\n", rows[i].lie);
		assert_refused(xn_bind(fx->session, &request, &binding), rows[i].error);
		assert_int_equal(why.error, rows[i].error);
		assert_true(why.text[0] != '\0');
	}
}

static void only_through_an_owner_that_is_bound(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_child(fx, fx->root, 0, 1, T_NODE);
	xn_blk_t data = given_data(fx, fx->root, 1, 1, NULL);
	xn_binding_t binding;

	assert_refused(bind(fx, node, 0, data, 1, T_DATA, XN_READ), XN_ENOTBOUND);
	assert_refused(bind(fx, data, 0, data, 1, T_DATA, XN_READ), XN_ENOTBOUND);
	assert_refused(bind(fx, 900, 0, data, 1, T_DATA, XN_READ), XN_ENOTBOUND);
	/* Reading alone gives no right to write what it owns. */
	binding = given_bound(fx, fx->root, 0, node, 1, T_NODE, XN_READ | XN_READIN);
	assert_ok(xn_unbind(fx->session, fx->root_binding));
	assert_ok(
		xn_bind_root(fx->session, "r", XN_READ | XN_READIN, &fx->root_binding, &fx->root));
	assert_refused(bind(fx, fx->root, 1, data, 1, T_DATA, XN_WRITE), XN_ENOTBOUND);
	assert_ok(bind(fx, fx->root, 1, data, 1, T_DATA, XN_READ));
	assert_ok(xn_unbind(fx->session, binding));
}

static void a_handle_is_good_once_and_for_one_session(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *other = given_session(fx, 0, 0);
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t first = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ), second;
	uint8_t byte;

	assert_refused(xn_read(other, first, 0, &byte, 1), XN_ESTALE);
	assert_refused(xn_unbind(other, first), XN_ESTALE);
	assert_ok(xn_unbind(fx->session, first));
	second = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ);
	assert_int_not_equal(first, second);
	assert_refused(xn_read(fx->session, first, 0, &byte, 1), XN_ESTALE);
	assert_refused(xn_unbind(fx->session, first), XN_ESTALE);
	assert_refused(xn_unbind(fx->session, 0), XN_ESTALE);
	assert_ok(xn_read(fx->session, second, 0, &byte, 1));
}

static void thousands_of_handles_are_told_apart(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t handle[5000];
	uint8_t byte;

	for (unsigned i = 0; i < 5000; i++)
		handle[i] = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ);
	for (unsigned i = 0; i < 5000; i += 2)
		assert_ok(xn_unbind(fx->session, handle[i]));
	for (unsigned i = 0; i < 5000; i++)
		assert_refused(xn_read(fx->session, handle[i], 0, &byte, 1), i % 2 ? 0 : XN_ESTALE);
}

static void a_templates_fault_denies(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t hostile = given_child(fx, fx->root, 0, 1, T_HOSTILE);
	uint64_t word = T_LOAD_OUTSIDE;
	struct xn_refusal why = { 0 };
	struct xn_bind_request request = { .owner = hostile,
					   .record = 2,
					   .access = XN_READ,
					   .extent = { hostile, 1, XN_DATA, 0 },
					   .why = &why };
	xn_binding_t binding;

	fixture_close(fx);
	fixture_poke(fx, hostile, 16, &word, sizeof(word));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, hostile, 1, T_HOSTILE, XN_READ | XN_READIN);
	assert_refused(xn_bind(fx->session, &request, &binding), XN_EFAULT);
	assert_int_equal(why.fault, UDF_FAULT_MEM);
	assert_int_equal(why.record, 2);
	word = 0;
	fixture_close(fx);
	fixture_poke(fx, hostile, 16, &word, sizeof(word));
	fixture_open(fx);
}

static void a_check_that_fails_marks_the_object_damaged(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t keep = given_child(fx, fx->root, 0, 1, T_KEEP);
	uint32_t word = 0xbad;
	xn_binding_t binding;
	const void *bytes;
	struct request rq;
	size_t len;

	fx->expect_damage = true;
	fixture_close(fx);
	fixture_poke(fx, keep, 0, &word, sizeof(word));
	fixture_open(fx);
	assert_refused(bind(fx, fx->root, 0, keep, 1, T_KEEP, RW | XN_READIN), XN_ECHECK);
	assert_refused(bind(fx, fx->root, 0, keep, 1, T_KEEP, RW), XN_EOBJDAMAGED);
	binding = given_bound(fx, fx->root, 0, keep, 1, T_KEEP, XN_READ);
	assert_refused(xn_readin(fx->session, binding, 0, 1), XN_ECHECK);
	assert_ok(xn_map(fx->session, binding, &bytes, &len)); /* for looking */
	assert_int_equal(*(const uint8_t *)bytes, 0xad);
	request_begin(&rq);
	request_word(&rq, keep, 8, 1);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
}

static void reading_may_fail(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ, .nth = 1 };
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);

	fixture_reopen(fx);
	bdev_fault_arm(fx->dev, &fault);
	assert_refused(bind(fx, fx->root, 0, node, 1, T_NODE, XN_READ | XN_READIN), XN_EIO);
	bdev_fault_disarm(fx->dev);
	assert_ok(bind(fx, fx->root, 0, node, 1, T_NODE, XN_READ | XN_READIN));
}

static void nobody_binds_for_writing_on_a_read_only_disk(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	xn_binding_t binding;
	xn_blk_t object;

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(bind(fx, fx->root, 0, data, 1, T_DATA, XN_WRITE), XN_EREADONLY);
	assert_refused(xn_bind_root(fx->session, "r", XN_WRITE, &binding, &object), XN_EREADONLY);
	assert_ok(bind(fx, fx->root, 0, data, 1, T_DATA, XN_READ));
	assert_ok(xn_close(fx->xn));
	fixture_open(fx);
}

static void a_cache_full_of_bound_objects_takes_no_more(void **state)
{
	struct fixture *fx = *state;
	unsigned bound = 0;
	int err = 0;

	for (uint32_t i = 0; i < 200; i++) {
		given_child(fx, fx->root, i, 1, T_NODE);
		if (i % 50 == 49)
			assert_ok(xn_sync(fx->session, 0));
	}
	for (uint32_t i = 0; i < 200 && !err; i++) {
		struct xn_walk_item item;
		struct xn_walker *walker;

		assert_ok(xn_walker_create(fx->session, fx->root_id, &walker));
		do {
			assert_int_equal(xn_walker_next(walker, &item), 1);
		} while (item.depth == 0 || item.record != i);
		xn_walker_destroy(walker);
		err = bind(fx, fx->root, i, item.extent.start, 1, T_NODE, XN_READ | XN_READIN);
		bound += !err;
	}
	assert_refused(err, XN_ECACHEFULL);
	assert_true(bound > 64 && bound < 128);
}

/* ---- who ---- */

static void roots_are_bound_as_files_are_opened(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_spec spec = { .name = "s",
				     .libfs = "test",
				     .type = fx->type[T_NODE],
				     .uid = 10,
				     .gid = 20,
				     .mode = 0640 };
	struct xn_cred owner = { 10, 1, 0, { 0 } }, member = { 11, 1, 1, { 20 } };
	struct xn_cred stranger = { 12, 1, 0, { 0 } };
	const struct {
		const struct xn_cred *cred;
		int reading, writing;
	} rows[] = { { &owner, 0, 0 }, { &member, 0, XN_EACL }, { &stranger, XN_EACL, XN_EACL } };
	struct xn_root_info info;
	xn_binding_t binding;
	xn_blk_t object;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	for (unsigned i = 0; i < 3; i++) {
		struct xn_session *session;

		assert_ok(xn_session_open(fx->xn, rows[i].cred, 0, &session));
		assert_refused(xn_bind_root(session, "s", XN_READ, &binding, &object),
			       rows[i].reading);
		assert_refused(xn_bind_root(session, "s", RW, &binding, &object), rows[i].writing);
		xn_session_close(session);
	}
	assert_ok(xn_bind_root(fx->session, "s", RW, &binding, &object)); /* uid 0 */
	assert_refused(xn_bind_root(fx->session, "nosuch", RW, &binding, &object), XN_ENOROOT);
}

static xn_blk_t given_guard(struct fixture *fx, uint32_t uid, uint32_t mode, xn_blk_t *data)
{
	struct t_guard_head head = { uid, mode };
	xn_blk_t start = given_free(fx, 2);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 1, T_GUARD));
	request_edit(&rq, start, 0, &head, sizeof(head));
	request_word(&rq, start, T_GUARD_RECORDS_AT, T_POINTER(start + 1, 1, T_DATA));
	request_alloc(&rq, start, 1, fx->type[T_GUARD]);
	request_alloc(&rq, start + 1, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	*data = start + 1;
	return start;
}

static void acl_decides_for_each_access(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *session = given_session(fx, 6, 0);
	xn_blk_t data, guard = given_guard(fx, 5, T_GUARD_OTHERS_READ, &data);
	xn_binding_t binding;
	xn_blk_t object;

	assert_ok(xn_bind_root(session, "r", RW | XN_READIN, &binding, &object));
	assert_ok(try_bind(fx, session, object, 0, guard, 1, fx->type[T_GUARD], RW | XN_READIN,
			   &binding));
	assert_ok(try_bind(fx, session, guard, 0, data, 1, XN_DATA, XN_READ, &binding));
	assert_refused(try_bind(fx, session, guard, 0, data, 1, XN_DATA, XN_WRITE, &binding),
		       XN_EACL);
	assert_refused(try_bind(fx, session, guard, 0, data, 1, XN_DATA, RW, &binding), XN_EACL);
}

static void a_host_states_for_whom_it_asks(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 5, 0);
	xn_blk_t data, guard = given_guard(fx, 5, 0, &data);
	struct xn_cred five = { .uid = 5 }, six = { .uid = 6 };
	struct xn_bind_request request = {
		.owner = guard, .access = XN_READ, .extent = { data, 1, XN_DATA, 0 }, .cred = &six
	};
	xn_binding_t binding;

	given_bound(fx, fx->root, 0, guard, 1, T_GUARD, RW | XN_READIN);
	assert_refused(xn_bind(fx->session, &request, &binding), XN_EACL);
	request.cred = &five;
	assert_ok(xn_bind(fx->session, &request, &binding));
	assert_refused(xn_bind(user, &request, &binding), XN_ECRED);
}

/* A desk's record says whose it is; sticky nodes below obey it, however deep. */
static void sticky_templates_obey_the_record_above_them(void **state)
{
	struct fixture *fx = *state;
	struct t_desk_record desk = { 0 };
	xn_blk_t start = given_free(fx, 4);
	struct xn_session *five = given_session(fx, 5, 0), *six = given_session(fx, 6, 0);
	struct xn_session *who[] = { five, six };
	struct request rq;

	desk.pointer = T_POINTER(start + 1, 1, T_STICKY);
	desk.uid = 5;
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(start, 1, T_DESK));
	request_edit(&rq, start, T_DESK_SIZE * 4, &desk, sizeof(desk));
	request_word(&rq, start + 1, 0, T_POINTER(start + 2, 1, T_STICKY));
	request_word(&rq, start + 2, 0, T_POINTER(start + 3, 1, T_DATA));
	request_alloc(&rq, start, 1, fx->type[T_DESK]);
	request_alloc(&rq, start + 1, 2, fx->type[T_STICKY]);
	request_alloc(&rq, start + 3, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	for (unsigned i = 0; i < 2; i++) {
		xn_binding_t b;
		xn_blk_t root;

		assert_ok(xn_bind_root(who[i], "r", RW | XN_READIN, &b, &root));
		assert_ok(try_bind(fx, who[i], root, 0, start, 1, fx->type[T_DESK], RW | XN_READIN,
				   &b));
		assert_ok(try_bind(fx, who[i], start, 4, start + 1, 1, fx->type[T_STICKY],
				   RW | XN_READIN, &b));
		assert_refused(try_bind(fx, who[i], start + 1, 0, start + 2, 1, fx->type[T_STICKY],
					RW | XN_READIN, &b),
			       i ? XN_EACL : 0);
		if (i)
			continue;
		assert_ok(try_bind(fx, who[i], start + 2, 0, start + 3, 1, XN_DATA, RW, &b));
	}
}

static void a_session_is_refused_what_it_may_not_be(void **state)
{
	struct fixture *fx = *state;
	struct xn_cred cred = { .n_groups = XN_GROUPS_MAX + 1 };
	struct xn_session *session;

	assert_refused(xn_session_open(fx->xn, &cred, 0, &session), -EINVAL);
	cred.n_groups = 0;
	assert_refused(xn_session_open(fx->xn, &cred, 64, &session), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define SMALL(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_small_cache, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(data_is_bound_whole_or_in_part),
		TEST(neighbours_of_one_record_are_bound_together),
		TEST(one_object_of_several_is_bound),
		SMALL(an_object_stays_readable_while_it_is_bound),
		SMALL(what_was_evicted_comes_back_the_same),
		TEST(bytes_not_read_in_are_not_mapped),
		TEST(every_lie_about_an_extent_has_its_name),
		TEST(only_through_an_owner_that_is_bound),
		TEST(a_handle_is_good_once_and_for_one_session),
		TEST(thousands_of_handles_are_told_apart),
		TEST(a_templates_fault_denies),
		TEST(a_check_that_fails_marks_the_object_damaged),
		TEST(reading_may_fail),
		TEST(nobody_binds_for_writing_on_a_read_only_disk),
		SMALL(a_cache_full_of_bound_objects_takes_no_more),
		TEST(roots_are_bound_as_files_are_opened),
		TEST(acl_decides_for_each_access),
		TEST(a_host_states_for_whom_it_asks),
		TEST(sticky_templates_obey_the_record_above_them),
		TEST(a_session_is_refused_what_it_may_not_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
