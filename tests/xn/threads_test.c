/* SPDX-License-Identifier: MIT */
/*
 * Many threads on one disk: sessions that build and free in one root, while others
 * sync, flush, write back, reap, reclaim, look and walk.  Then everything is as it should be.
 */
#include "expect.h"

#include <pthread.h>
#include <stdatomic.h>

#include "medium.h"
#include "record.h"
#include "xn/bdev.h"
#include "xn/xn.h"
#include "xn_fixture.h"

#define WORKERS 4u
#define ROUNDS  400u

/* cmocka's asserts are for its own thread; a worker stops the program. */
#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

struct shared {
	struct bdev *dev;
	struct xn *xn;
	uint32_t type[T_CHILDREN], root_id;
	xn_blk_t root;
	atomic_int running;
};

struct worker {
	struct shared *sh;
	uint32_t number;
	uint64_t seed, accepted, raced;
	pthread_t thread;
	xn_blk_t node;
	struct xn_session *session;
	uint64_t record[T_NODE_RECORDS];
};

static int update_word(struct worker *w, xn_blk_t object, uint32_t record, uint64_t word,
		       const struct xn_extent *alloc, const struct xn_extent *drop)
{
	struct xn_edit edit = { object, record * 8, 8, &word };
	struct xn_update update = { .edits = &edit,
				    .allocs = alloc,
				    .frees = drop,
				    .n_edits = 1,
				    .n_allocs = alloc != NULL,
				    .n_frees = drop != NULL,
				    .flags = drop && drop->type > 1 ? XN_REAP : 0 };

	return xn_update(w->session, &update);
}

static int bind_extent(struct worker *w, xn_blk_t owner, uint32_t record, struct xn_extent extent,
		       uint32_t access, xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = owner, .record = record, .access = access, .extent = extent
	};

	return xn_bind(w->session, &request, binding);
}

/* Take blocks for a record of `owner`, again when somebody else was faster. */
static uint64_t take(struct worker *w, xn_blk_t owner, uint32_t record, uint64_t want,
		     enum t_child child)
{
	for (;;) {
		struct xn_extent found;
		int err = xn_find_free(w->session, 0, want, 1, &found);
		uint64_t word;

		MUST(err == 0);
		if (child != T_DATA)
			found.count = 1;
		found.type = w->sh->type[child];
		word = T_POINTER(found.start, found.count, child);
		err = update_word(w, owner, record, word, &found, NULL);
		if (err == 0)
			return word;
		MUST(err == XN_ENOTFREE || err == XN_ECACHEFULL);
		w->raced++;
		if (err == XN_ECACHEFULL)
			(void)xn_sync(w->session, w->sh->root_id);
	}
}

static void write_all(struct worker *w, xn_blk_t owner, uint32_t record, uint64_t word)
{
	struct xn_extent extent = { T_START(word), T_COUNT(word), XN_DATA, 0 };
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	MUST(bind_extent(w, owner, record, extent, XN_READ | XN_WRITE, &b) == 0);
	for (uint64_t i = 0; i < extent.count; i++) {
		int err;

		stamp_fill(page, extent.start + i, owner, w->number);
		do {
			err = xn_write(w->session, b, i * XN_BLOCK, page, sizeof(page));
			if (err == XN_ECACHEFULL)
				(void)xn_sync(w->session, w->sh->root_id);
		} while (err == XN_ECACHEFULL);
		MUST(err == 0);
	}
	for (uint64_t i = 0; i < extent.count; i++) {
		int err = xn_read(w->session, b, i * XN_BLOCK, page, sizeof(page));

		if (err != XN_ECACHEFULL) {
			MUST(err == 0);
			MUST(stamp_is(page, extent.start + i, owner, w->number));
		}
	}
	MUST(xn_unbind(w->session, b) == 0);
}

/* A node below ours with data in it; given back whole by the next visit. */
static void visit_branch(struct worker *w, uint32_t record)
{
	struct xn_extent extent;
	xn_binding_t b;
	int err;

	w->record[record] = take(w, w->node, record, 1, T_NODE);
	extent = (struct xn_extent){ T_START(w->record[record]), 1, w->sh->type[T_NODE], 0 };
	do {
		err = bind_extent(w, w->node, record, extent, XN_READ | XN_WRITE | XN_READIN, &b);
		if (err == XN_ECACHEFULL)
			(void)xn_sync(w->session, w->sh->root_id);
	} while (err == XN_ECACHEFULL);
	MUST(err == 0);
	write_all(w, extent.start, 3, take(w, extent.start, 3, 2, T_DATA));
	MUST(xn_unbind(w->session, b) == 0);
}

static void *work(void *argument)
{
	struct worker *w = argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t record = (uint32_t)(chance(&w->seed) % 24);
		uint64_t word = w->record[record];

		if (word) {
			struct xn_extent drop = { T_START(word), T_COUNT(word),
						  w->sh->type[T_CHILD(word)], 0 };
			MUST(update_word(w, w->node, record, 0, NULL, &drop) == 0);
			w->record[record] = 0;
		} else if (chance(&w->seed) % 4) {
			word = take(w, w->node, record, 1 + chance(&w->seed) % 3, T_DATA);
			write_all(w, w->node, record, word);
			w->record[record] = word;
		} else {
			visit_branch(w, record);
		}
		w->accepted++;
		if (chance(&w->seed) % 16 == 0) {
			int err = xn_sync(w->session, w->sh->root_id);

			MUST(err == 0 ||
			     err == XN_ETAINTED); /* others are between take and write */
		}
	}
	w->sh->running--;
	return NULL;
}

/* What a host's other threads do meanwhile. */
static void *meddle(void *argument)
{
	struct worker *w = argument;
	struct xn_extent out[16];
	struct xn_walk_item item;
	struct xn_walker *walker;
	char text[200];

	while (w->sh->running > 0) {
		int n = xn_list_writeable(w->session, w->sh->root_id, out, 16);

		MUST(n >= 0);
		for (int i = 0; i < n; i++)
			(void)xn_writeback(w->session, &out[i], 1);
		MUST(xn_flush(w->session) == 0);
		MUST(xn_reap(w->session, 3) >= 0);
		MUST(xn_reclaim(w->session, 1, NULL) >= 0);
		MUST(xn_walker_create(w->session, 0, &walker) == 0);
		for (unsigned i = 0; i < 50 && xn_walker_next(walker, &item) == 1; i++)
			;
		xn_walker_destroy(walker);
		if (xn_self_check(w->sh->xn, text, sizeof(text))) {
			fprintf(stderr, "%s\n", text);
			abort();
		}
		w->accepted++;
	}
	return NULL;
}

static void worker_start(struct shared *sh, struct worker *w, uint32_t number, void *(*run)(void *))
{
	struct xn_cred cred = { 0 };
	struct xn_extent extent;
	xn_binding_t b;

	w->sh = sh;
	w->number = number;
	w->seed = number;
	assert_ok(xn_session_open(sh->xn, &cred, XN_SESSION_ADMIN, &w->session));
	assert_ok(xn_bind_root(w->session, "r", XN_READ | XN_WRITE | XN_READIN, &b, &sh->root));
	if (run == work) {
		w->node = T_START(take(w, sh->root, number, 1, T_NODE));
		extent = (struct xn_extent){ w->node, 1, sh->type[T_NODE], 0 };
		assert_ok(bind_extent(w, sh->root, number, extent, XN_READ | XN_WRITE | XN_READIN,
				      &b));
	}
}

static void threads_do_not_disturb_the_law(void **state)
{
	struct shared sh = { .running = WORKERS };
	struct worker workers[WORKERS + 2] = { 0 };
	struct xn_format_opts format = { .label = "threads" };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = 2 * XN_CACHE_MIN };
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_cred cred = { 0 };
	struct medium_report report;
	struct xn_root_info info;
	struct xn_session *admin;

	(void)state;
	assert_ok(bdev_mem_create(16u << 20, &sh.dev));
	assert_ok(xn_format(sh.dev, &format));
	assert_ok(xn_open_dev(sh.dev, &opts, &sh.xn));
	assert_ok(xn_session_open(sh.xn, &cred, XN_SESSION_ADMIN, &admin));
	install_types(admin, sh.type);
	spec.type = sh.type[T_NODE];
	assert_ok(xn_root_create(admin, &spec, &info));
	sh.root_id = info.id;
	xn_abandon(sh.xn); /* a crash, so that there is something to reclaim meanwhile */
	assert_ok(xn_open_dev(sh.dev, &opts, &sh.xn));
	assert_ok(xn_session_open(sh.xn, &cred, XN_SESSION_ADMIN, &admin));
	for (uint32_t i = 0; i < WORKERS + 2; i++)
		worker_start(&sh, &workers[i], i, i < WORKERS ? work : meddle);
	for (uint32_t i = 0; i < WORKERS + 2; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL,
						i < WORKERS ? work : meddle, &workers[i]),
				 0);
	for (uint32_t i = 0; i < WORKERS + 2; i++)
		pthread_join(workers[i].thread, NULL);
	assert_ok(xn_sync(admin, 0));
	assert_int_equal(xn_reclaim(admin, UINT64_MAX, NULL), 0);
	assert_ok(xn_close(sh.xn));
	if (medium_check_dev(sh.dev, stamps_visit, NULL, &report))
		fail_msg("truth %d: %s", report.truth, report.text);
	assert_true(report.clean);
	bdev_close(sh.dev);
}

/* Roots and templates are made while others look. */
static void *make_roots(void *argument)
{
	struct worker *w = argument;
	char name[32];

	for (unsigned i = 0; i < 20; i++) {
		struct xn_root_spec spec = {
			.name = name, .libfs = "test", .mode = 0666, .type = w->sh->type[T_NODE]
		};
		struct xn_root_info info;

		snprintf(name, sizeof(name), "r%u.%u", w->number, i);
		MUST(xn_root_create(w->session, &spec, &info) == 0);
		MUST(xn_root_find(w->sh->xn, name, &info) == 0);
		for (info.id = 0; xn_root_next(w->sh->xn, info.id, &info) == 0;)
			;
		MUST(xn_root_set_quota(w->session, name, i) == 0);
		MUST(xn_sync(w->session, 0) == 0);
	}
	return NULL;
}

static void catalogues_grow_under_several_hands(void **state)
{
	struct fixture *fx = *state;
	struct shared sh = { .dev = fx->dev, .xn = fx->xn };
	struct worker workers[3] = { 0 };
	struct xn_root_info info;
	unsigned n = 0;

	crashdev_hook_set(fx->medium, NULL, NULL);
	memcpy(sh.type, fx->type, sizeof(sh.type));
	for (uint32_t i = 0; i < 3; i++) {
		worker_start(&sh, &workers[i], i, make_roots);
		assert_int_equal(pthread_create(&workers[i].thread, NULL, make_roots, &workers[i]),
				 0);
	}
	for (uint32_t i = 0; i < 3; i++)
		pthread_join(workers[i].thread, NULL);
	for (info.id = 0; xn_root_next(fx->xn, info.id, &info) == 0;)
		n++;
	assert_int_equal(n, 61);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_do_not_disturb_the_law),
		cmocka_unit_test_setup_teardown(catalogues_grow_under_several_hands, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
