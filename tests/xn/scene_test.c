/* SPDX-License-Identifier: MIT */
/*
 * Scenes that take two: a header and all the records under it, a reader and a writer,
 * two who want the same name.
 */
#include "xn_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "w_types.h"
#include "wide.h"

#define RW (XN_READ | XN_WRITE)

/* ---- edit a header byte of an object with 8,192 records ---- */

struct wide {
	struct fixture *fx;
	uint32_t type;
	xn_blk_t object, data;
	xn_binding_t binding;
	const struct w_header *header;
};

static int wide_setup(void **state)
{
	struct wide *w = calloc(1, sizeof(*w));
	struct xn_image image = { w_types_image[0], w_types_image_len[0] };
	struct xn_root_spec spec = { .name = "w", .libfs = "test", .mode = 0666 };
	struct xn_root_info info;
	const void *bytes;
	size_t len;

	assert_non_null(w);
	w->fx = fixture_new(8 * FIXTURE_BLOCKS, 8u << 20);
	assert_ok(xn_template_install(w->fx->session, &image, 1, &w->type, NULL));
	spec.type = w->type;
	assert_ok(xn_root_create(w->fx->session, &spec, &info));
	assert_ok(xn_bind_root(w->fx->session, "w", RW | XN_READIN, &w->binding, &w->object));
	assert_ok(xn_map(w->fx->session, w->binding, &bytes, &len));
	w->header = bytes;
	*state = w;
	return 0;
}

static int wide_teardown(void **state)
{
	struct wide *w = *state;

	fixture_free(w->fx);
	free(w);
	return 0;
}

/* A new object below the root's, in which `n` records name a block each. */
static void given_records(struct wide *w, uint32_t n)
{
	xn_blk_t top = w->object;
	uint32_t *records = calloc(W_RECORDS, sizeof(*records));
	struct w_header header = { 0 };
	uint32_t pointer;
	struct request rq;
	const void *bytes;
	size_t len;

	assert_non_null(records);
	w->object = given_free(w->fx, W_BLOCKS);
	w->data = w->object + W_BLOCKS;
	pointer = (uint32_t)w->object | W_OBJECT;
	header.base = w->data - 1;
	for (uint32_t i = 0; i < n; i++)
		records[i] = i + 1;
	request_begin(&rq);
	request_edit(&rq, top, W_RECORDS_AT, &pointer, sizeof(pointer));
	request_edit(&rq, w->object, 0, &header, sizeof(header));
	request_edit(&rq, w->object, W_RECORDS_AT, records, W_RECORDS * 4);
	request_alloc(&rq, w->object, W_BLOCKS, w->type);
	request_alloc(&rq, w->data, n, XN_DATA);
	assert_ok(request_run(&rq, w->fx->session));
	free(records);
	assert_ok(try_bind(w->fx, w->fx->session, top, 0, w->object, W_BLOCKS, w->type,
			   RW | XN_READIN, &w->binding));
	assert_ok(xn_map(w->fx->session, w->binding, &bytes, &len));
	w->header = bytes;
}

static int header_edit(struct wide *w, struct w_header header, struct request *rq)
{
	request_begin(rq);
	request_edit(rq, w->object, 0, &header, sizeof(header));
	return request_run(rq, w->fx->session);
}

static void a_header_byte_above_8192_records_is_judged_by_all_of_them(void **state)
{
	struct wide *w = *state;
	struct w_header header;
	struct xn_stats before, after;
	struct request rq;

	given_records(w, 4000);
	/* A byte that no record reads: every one of them is asked, and nothing changes. */
	header = *w->header;
	header.spare[12] = 1;
	xn_stats(w->fx->xn, &before);
	assert_ok(header_edit(w, header, &rq));
	xn_stats(w->fx->xn, &after);
	assert_int_equal(after.owns_runs - before.owns_runs, 2 * W_RECORDS);
	/* One that moves what they own by a block. */
	header.base++;
	assert_refused(header_edit(w, header, &rq), XN_EOWNS);
	request_begin(&rq);
	request_edit(&rq, w->object, 0, &header, sizeof(header));
	request_alloc(&rq, w->data + 4000, 1, XN_DATA);
	request_free(&rq, w->data, 1, XN_DATA);
	assert_ok(request_run(&rq, w->fx->session));
	/* One that makes them too costly: refused whole, and by name. */
	header.rounds = 500;
	assert_refused(header_edit(w, header, &rq), XN_EFUEL);
	assert_int_equal(w->header->rounds, 0);
	header.base = ~0ull;
	header.rounds = 0;
	assert_refused(header_edit(w, header, &rq), -ERANGE);
	fixture_check(w->fx);
}

/* ---- read an object while another thread commits to it ---- */

struct pair {
	struct fixture *fx;
	xn_blk_t node;
	atomic_bool done;
	uint64_t seen, torn;
};

#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static void *reader_run(void *argument)
{
	struct pair *pair = argument;
	struct xn_cred cred = { 0 };
	struct xn_bind_request request = { .owner = pair->fx->root,
					   .access = XN_READ | XN_READIN,
					   .extent = { pair->node, 1, pair->fx->type[T_NODE], 0 } };
	struct xn_session *session;
	const void *bytes;
	xn_binding_t b, root;
	xn_blk_t object;
	size_t len;

	MUST(!xn_session_open(pair->fx->xn, &cred, 0, &session));
	MUST(!xn_bind_root(session, "r", RW | XN_READIN, &root, &object));
	MUST(!xn_bind(session, &request, &b));
	MUST(!xn_map(session, b, &bytes, &len));
	while (!atomic_load(&pair->done)) {
		uint64_t before, after;
		uint8_t copy[XN_BLOCK - T_NODE_RAW];

		MUST(!xn_version(session, b, &before));
		memcpy(copy, (const uint8_t *)bytes + T_NODE_RAW, sizeof(copy));
		MUST(!xn_version(session, b, &after));
		MUST(!(before & 1) && !(after & 1));
		if (before != after) {
			pair->torn++; /* perhaps */
			continue;
		}
		pair->seen++;
		for (size_t i = 1; i < sizeof(copy); i++)
			MUST(copy[i] == copy[0]);
	}
	xn_session_close(session);
	return NULL;
}

static void an_object_read_during_a_commit_is_told_by_its_version(void **state)
{
	struct fixture *fx = *state;
	struct pair pair = { .fx = fx, .node = given_node(fx, fx->root, 0, NULL) };
	uint8_t bytes[XN_BLOCK - T_NODE_RAW];
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, reader_run, &pair), 0);
	for (unsigned i = 0; i < 60000; i++) {
		struct request rq;

		memset(bytes, (int)(i & 0xff), sizeof(bytes));
		request_begin(&rq);
		request_edit(&rq, pair.node, T_NODE_RAW, bytes, sizeof(bytes));
		assert_ok(request_run(&rq, fx->session));
	}
	atomic_store(&pair.done, true);
	pthread_join(thread, NULL);
}

/* ---- two sessions insert the same name ---- */

#define NAMES 2000u

struct inserter {
	struct fixture *fx;
	pthread_t thread;
	unsigned number;
	uint64_t won, lost, again;
	xn_blk_t node;
};

/* Names are numbers in the raw bytes: slot i holds who put name i there. */
static bool insert(struct inserter *in, struct xn_session *session, xn_binding_t b,
		   const uint8_t *bytes, uint64_t name)
{
	for (;;) {
		uint64_t version, last[2], entry[2] = { name, in->number + 1 };
		struct xn_edit edit = { in->node, T_NODE_RAW, sizeof(entry), entry };
		struct xn_expect expect = { in->node, 0 };
		struct xn_update update = {
			.edits = &edit, .expects = &expect, .n_edits = 1, .n_expects = 1
		};
		int err;

		MUST(!xn_version(session, b, &version));
		memcpy(last, bytes + T_NODE_RAW, sizeof(last));
		expect.version = version;
		if (last[0] >= name)
			return false; /* it is there */
		err = xn_update(session, &update);
		if (!err)
			return true;
		MUST(err == XN_ECHANGED);
		in->again++;
	}
}

static void *inserter_run(void *argument)
{
	struct inserter *in = argument;
	struct xn_cred cred = { 0 };
	struct xn_bind_request request = { .owner = in->fx->root,
					   .access = RW | XN_READIN,
					   .extent = { in->node, 1, in->fx->type[T_NODE], 0 } };
	struct xn_session *session;
	const void *bytes;
	xn_binding_t b, root;
	xn_blk_t object;
	size_t len;

	MUST(!xn_session_open(in->fx->xn, &cred, 0, &session));
	MUST(!xn_bind_root(session, "r", RW | XN_READIN, &root, &object));
	MUST(!xn_bind(session, &request, &b));
	MUST(!xn_map(session, b, &bytes, &len));
	for (uint64_t name = 1; name <= NAMES; name++) {
		if (insert(in, session, b, bytes, name))
			in->won++;
		else
			in->lost++;
	}
	xn_session_close(session);
	return NULL;
}

static void of_two_who_insert_a_name_one_does(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	struct inserter in[2] = { { .fx = fx, .number = 0, .node = node },
				  { .fx = fx, .number = 1, .node = node } };

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&in[i].thread, NULL, inserter_run, &in[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(in[i].thread, NULL);
	assert_int_equal(in[0].won + in[1].won, NAMES);
	assert_int_equal(in[0].lost + in[1].lost, NAMES);
}

/* The same, step by step: the second is told, and by which version. */
static void who_comes_second_is_told(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *other = given_session(fx, 0, 0);
	xn_binding_t mine, theirs, b;
	xn_blk_t node = given_node(fx, fx->root, 0, &mine), object;
	uint64_t version, now;
	struct request rq;

	assert_ok(xn_bind_root(other, "r", RW | XN_READIN, &b, &object));
	assert_ok(try_bind(fx, other, fx->root, 0, node, 1, fx->type[T_NODE], RW | XN_READIN,
			   &theirs));
	assert_ok(xn_version(fx->session, mine, &version));
	request_begin(&rq);
	request_word(&rq, node, T_NODE_RAW, 0xa);
	request_expect(&rq, node, version);
	assert_ok(request_run(&rq, other));
	assert_ok(xn_version(fx->session, mine, &now));
	assert_request_refused(fx, &rq, XN_ECHANGED);
	assert_int_equal(rq.why.value, now);
	xn_session_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_header_byte_above_8192_records_is_judged_by_all_of_them, wide_setup,
			wide_teardown),
		TEST(an_object_read_during_a_commit_is_told_by_its_version),
		TEST(of_two_who_insert_a_name_one_does),
		TEST(who_comes_second_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
