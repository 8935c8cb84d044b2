/* SPDX-License-Identifier: MIT */
/* What a crash lost is found again, while the disk is in use; and opening waits for none of it. */
#include "xn_fixture.h"

#include "fsck/fsck.h"

#define RW (XN_READ | XN_WRITE)

static uint64_t chance_of(uint64_t *seed, uint64_t n)
{
	return chance(seed) % n;
}

/* A step of reclaim; true: there is more. */
static bool one_step(struct fixture *fx)
{
	int more = xn_reclaim(fx->session, 1, NULL);

	assert_true(more == 0 || more == 1);
	return more == 1;
}

static bool in_use(struct fixture *fx, xn_blk_t block)
{
	uint8_t map[XN_CHUNK_BLOCKS / 8];

	assert_ok(xn_chunk_map(fx->xn, block / XN_CHUNK_BLOCKS, map));
	return map[block % XN_CHUNK_BLOCKS / 8] >> (block % 8) & 1;
}

/* The power goes, and the disk is opened; nothing is looked for yet. */
static void crash_only(struct fixture *fx, uint64_t seed)
{
	xn_abandon(fx->xn);
	crashdev_crash(fx->medium, seed);
	fixture_open(fx);
}

/* `n` blocks that the map shows in use after the next crash, and nobody has. */
static void given_leak(struct fixture *fx, uint32_t record, uint64_t n)
{
	given_child(fx, fx->root, record, n, T_RESERVED);
	assert_ok(xn_flush(fx->session)); /* the map, and not the root */
}

/* So many were taken and lost, and perhaps some that were claimed ahead: a hundredth at most. */
static void assert_lost(struct fixture *fx, uint64_t before, uint64_t n)
{
	assert_in_range(free_blocks(fx), before - n - before / 100, before - n);
}

/* ---- a tree to change under the walk ---- */

#define LEVELS 3u

/* root -> near, far; far -> a chain of nodes, each with data and a pair. */
struct tree {
	xn_blk_t near, far, node[LEVELS], data[LEVELS], pair[LEVELS], empty;
};

static void tree_make(struct fixture *fx, struct tree *tree)
{
	xn_blk_t at;

	tree->near = given_node(fx, fx->root, 0, NULL);
	tree->far = given_node(fx, fx->root, 1, NULL);
	at = tree->far;
	for (unsigned i = 0; i < LEVELS; i++) {
		tree->node[i] = given_node(fx, at, 7, NULL);
		at = tree->node[i];
		tree->data[i] = given_data(fx, at, 1, i, NULL);
		tree->pair[i] = given_child(fx, at, 2, 2, T_PAIR);
	}
	tree->empty = given_node(fx, tree->far, 9, NULL);
	assert_ok(xn_sync(fx->session, 0));
}

static void tree_bind(struct fixture *fx, const struct tree *tree)
{
	given_bound(fx, fx->root, 0, tree->near, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, tree->far, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, tree->far, 9, tree->empty, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, tree->far, 7, tree->node[0], 1, T_NODE, RW | XN_READIN);
	given_bound(fx, tree->node[0], 7, tree->node[1], 1, T_NODE, RW | XN_READIN);
}

static void assert_tree_in_use(struct fixture *fx, const struct tree *tree, unsigned from)
{
	for (unsigned i = from; i < LEVELS; i++) {
		assert_true(in_use(fx, tree->node[i]));
		assert_true(in_use(fx, tree->data[i]));
		assert_true(in_use(fx, tree->pair[i]) && in_use(fx, tree->pair[i] + 1));
	}
}

/* A change in the midst of the walk, and what must hold when that is over. */
typedef void change(struct fixture *fx, struct tree *tree);

/* The same change at every moment of the walk. */
static void at_every_step(change *before, change *change_it, change *after)
{
	bool more = true;

	for (unsigned steps = 0; more; steps++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 8u << 20);
		struct tree tree;
		uint64_t lost;

		tree_make(fx, &tree);
		given_leak(fx, 400, 30);
		crash_only(fx, 0);
		lost = free_blocks(fx);
		tree_bind(fx, &tree);
		if (before)
			before(fx, &tree);
		for (unsigned i = 0; i < steps && more; i++)
			more = one_step(fx);
		change_it(fx, &tree);
		fixture_check(fx);
		while (one_step(fx))
			;
		fixture_check(fx);
		assert_true(free_blocks(fx) + 30 >= lost);
		if (after)
			after(fx, &tree);
		fixture_free(fx); /* looks: all counters exact, nothing in use that nobody has */
	}
}

static void free_data(struct fixture *fx, struct tree *tree)
{
	given_no_child(fx, tree->node[0], 1, tree->data[0], 1, T_DATA);
	given_no_child(fx, tree->node[1], 1, tree->data[1], 1, T_DATA);
	assert_true(in_use(fx, tree->data[0])); /* the disk still names it */
}

static void still_waiting(struct fixture *fx, struct tree *tree)
{
	assert_true(in_use(fx, tree->data[0]));
	assert_true(in_use(fx, tree->data[1]));
}

static void a_block_freed_before_the_walk_comes_by_waits_as_ever(void **state)
{
	(void)state;
	at_every_step(NULL, free_data, still_waiting);
	at_every_step(free_data, still_waiting, still_waiting);
}

static void free_empty(struct fixture *fx, struct tree *tree)
{
	given_no_child(fx, tree->far, 9, tree->empty, 1, T_NODE);
	given_node(fx, tree->near, 50, NULL);
	given_data(fx, tree->near, 51, 9, NULL);
	assert_ok(xn_sync(fx->session, 0));
	given_node(fx, tree->near, 52, NULL); /* where the old one was, perhaps */
	given_data(fx, tree->near, 53, 9, NULL);
}

static void an_object_freed_and_its_block_used_anew_is_no_suspect(void **state)
{
	(void)state;
	at_every_step(NULL, free_empty, NULL);
}

static void free_subtree(struct fixture *fx, struct tree *tree)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, tree->far, 7 * 8, 0);
	request_free(&rq, tree->node[0], 1, fx->type[T_NODE]);
	rq.update.flags = XN_REAP;
	assert_ok(request_run(&rq, fx->session));
}

static void whole_subtree_waits(struct fixture *fx, struct tree *tree)
{
	assert_tree_in_use(fx, tree, 0);
}

static void a_subtree_freed_before_the_walk_comes_by_is_the_reapers(void **state)
{
	(void)state;
	at_every_step(NULL, free_subtree, whole_subtree_waits);
	at_every_step(free_subtree, whole_subtree_waits, whole_subtree_waits);
}

static void reap_some(struct fixture *fx, struct tree *tree)
{
	free_subtree(fx, tree);
	assert_ok(xn_sync(fx->session, 0));
	assert_true(xn_reap(fx->session, 2) > 0);
}

static void rest_waits(struct fixture *fx, struct tree *tree)
{
	assert_tree_in_use(fx, tree, 2);
}

static void on_the_reap_list(struct fixture *fx, struct tree *tree)
{
	free_subtree(fx, tree);
	assert_ok(xn_sync(fx->session, 0));
}

static void reap_it_all(struct fixture *fx, struct tree *tree)
{
	(void)tree;
	while (xn_reap(fx->session, 1) > 0)
		;
	given_data(fx, fx->root, 60, 1, NULL);
}

static void the_reaper_and_the_walk_share_a_subtree(void **state)
{
	(void)state;
	at_every_step(NULL, reap_some, rest_waits);
	at_every_step(reap_some, rest_waits, rest_waits);
	at_every_step(on_the_reap_list, reap_it_all, NULL);
}

static void remove_root(struct fixture *fx, struct tree *tree)
{
	struct xn_root_spec spec = { .name = "late", .libfs = "test", .type = fx->type[T_NODE] };

	(void)tree;
	assert_ok(xn_root_create(fx->session, &spec, NULL));
	assert_ok(xn_root_remove(fx->session, "late"));
}

static void roots_come_and_go_under_the_walk(void **state)
{
	(void)state;
	at_every_step(NULL, remove_root, NULL);
}

/* Move what record `from` of `old` names to record `to` of `new`. */
static void move(struct fixture *fx, xn_blk_t old, uint32_t from, xn_blk_t new, uint32_t to,
		 uint64_t word)
{
	struct request rq;
	int err;

	request_begin(&rq);
	request_word(&rq, old, from * 8, 0);
	request_word(&rq, new, to * 8, word);
	rq.update.flags = XN_ATOMIC;
	err = request_run(&rq, fx->session);
	if (err)
		print_error("%s\n", rq.why.text);
	assert_ok(err);
}

static void move_to_near(struct fixture *fx, struct tree *tree)
{
	move(fx, tree->far, 7, tree->near, 60, T_POINTER(tree->node[0], 1, T_NODE));
}

static void move_back(struct fixture *fx, struct tree *tree)
{
	move(fx, tree->near, 60, tree->far, 7, T_POINTER(tree->node[0], 1, T_NODE));
}

static void move_parts(struct fixture *fx, struct tree *tree)
{
	move(fx, tree->node[0], 1, tree->node[0], 300, T_POINTER(tree->data[0], 1, T_DATA));
	move(fx, tree->node[0], 2, tree->near, 62, T_POINTER(tree->pair[0], 2, T_PAIR));
	move(fx, tree->node[0], 7, tree->near, 63, T_POINTER(tree->node[1], 1, T_NODE));
	move(fx, tree->node[1], 1, tree->node[1], 301, T_POINTER(tree->data[1], 1, T_DATA));
	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, tree->node[1], 301, tree->data[1], 1, T_DATA);
	move(fx, tree->near, 63, tree->far, 65, T_POINTER(tree->node[1], 1, T_NODE));
}

static void move_to_and_fro(struct fixture *fx, struct tree *tree)
{
	move_to_near(fx, tree);
	assert_ok(xn_sync(fx->session, 0));
	move_back(fx, tree);
}

/* Wherever the walk is, the subtree goes where it was already, or where it comes yet. */
static void move_a_subtree_behind_the_reclaim_walker(void **state)
{
	(void)state;
	at_every_step(NULL, move_to_near, whole_subtree_waits);
	at_every_step(move_to_near, move_back, whole_subtree_waits);
	at_every_step(NULL, move_to_and_fro, whole_subtree_waits);
	at_every_step(NULL, move_parts, rest_waits);
}

/* A chain as deep as the disk allows: memory is no matter of depth alone, and nothing recurses. */
static void a_deep_tree_is_walked(void **state)
{
	struct fixture *fx = *state;
	struct xn_reclaim_progress progress;
	xn_blk_t at = fx->root;
	xn_binding_t above = 0;
	uint64_t before;
	int more;

	for (unsigned i = 0; i < 600; i++) {
		xn_binding_t b;

		at = given_node(fx, at, 3, &b);
		if (above)
			assert_ok(xn_unbind(fx->session, above));
		above = b;
	}
	assert_ok(xn_sync(fx->session, 0));
	before = free_blocks(fx);
	given_leak(fx, 400, 30);
	crash_only(fx, 0);
	assert_lost(fx, before, 30);
	do
		more = xn_reclaim(fx->session, 50, &progress);
	while (more > 0);
	assert_ok(more);
	assert_int_equal(progress.objects, 601);
	assert_in_range(progress.freed, 30, 30 + before / 100);
	assert_int_equal(progress.maps_done, 1);
	assert_true(progress.memory < 16384);
	assert_int_equal(free_blocks(fx), before);
}

/* ---- the same as fsck finds ---- */

static void random_change(struct fixture *fx, uint64_t *seed)
{
	uint32_t record = (uint32_t)chance_of(seed, 40);
	const void *bytes;
	uint64_t word;
	size_t len;

	assert_ok(xn_map(fx->session, fx->root_binding, &bytes, &len));
	memcpy(&word, (const uint8_t *)bytes + record * 8, sizeof(word));
	if (!word && chance_of(seed, 2)) {
		xn_blk_t node = given_node(fx, fx->root, record, NULL);

		given_data(fx, node, 0, record, NULL);
		given_node(fx, node, 1, NULL);
	} else if (!word) {
		given_data(fx, fx->root, record, record, NULL);
	} else {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, record * 8, 0);
		request_free(&rq, T_START(word), T_COUNT(word), fx->type[T_CHILD(word)]);
		rq.update.flags = XN_REAP;
		assert_ok(request_run(&rq, fx->session));
	}
	if (chance_of(seed, 6) == 0)
		assert_ok(xn_sync(fx->session, 0));
	else if (chance_of(seed, 6) == 0)
		assert_ok(xn_flush(fx->session));
	else if (chance_of(seed, 6) == 0)
		assert_true(xn_reap(fx->session, 2) >= 0);
}

/* The map as xn-fsck -p makes it of the same bytes. */
static void map_by_fsck(struct fixture *fx, uint8_t *map)
{
	struct fsck_opts opts = { .mode = CHECK_PREEN, .force = true, .progress_fd = -1 };
	uint8_t block[XN_BLOCK];
	struct fsck_result result;
	struct xn_super_disk disk;
	struct xn_super super;
	struct bdev *copy;

	assert_ok(bdev_mem_create(crashdev_size(fx->medium), &copy));
	assert_ok(bdev_write(copy, 0, crashdev_now(fx->medium), crashdev_size(fx->medium), 0));
	assert_ok(fsck_run(copy, &opts, &result));
	assert_int_equal(result.exit_code & ~FSCK_REPAIRED, 0);
	fsck_result_fini(&result);
	assert_ok(bdev_read(copy, 0, &disk, sizeof(disk)));
	assert_ok(xn_super_decode(&disk, &super));
	assert_int_equal(super.flags, 0);
	assert_ok(bdev_read(copy, xn_map_block(0) * XN_BLOCK, block, sizeof(block)));
	assert_int_equal(xn_map_decode(&super, 0, block, map), 0);
	bdev_close(copy);
}

static void reclaim_finds_what_fsck_finds(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
		uint8_t by_fsck[XN_MAP_CHUNK_BYTES], by_us[XN_MAP_CHUNK_BYTES];

		for (unsigned i = chance_of(&seed, 60); i > 0; i--)
			random_change(fx, &seed);
		xn_abandon(fx->xn);
		crashdev_crash(fx->medium, chance(&seed));
		map_by_fsck(fx, by_fsck);
		fixture_open(fx);
		fixture_reclaim(fx);
		assert_ok(xn_chunk_map(fx->xn, 0, by_us));
		assert_memory_equal(by_us, by_fsck, sizeof(by_us));
		fixture_free(fx);
	}
}

/* ... also when the disk is changed all the while: then by what is there in the end. */
static void reclaim_is_exact_while_the_disk_is_changed(void **state)
{
	uint64_t seed = 815;

	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
		bool more = true;

		for (unsigned i = chance_of(&seed, 60); i > 0; i--)
			random_change(fx, &seed);
		crash_only(fx, chance(&seed));
		while (more) {
			if (chance_of(&seed, 3))
				more = one_step(fx);
			else
				random_change(fx, &seed);
			fixture_check(fx);
		}
		fixture_free(fx); /* the medium is looked at: exact */
	}
}

/* ---- refusals ---- */

static void only_administrators_reclaim(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 4, 0);

	assert_refused(xn_reclaim(user, 1, NULL), XN_ECRED);
	assert_int_equal(xn_reclaim(fx->session, 1, NULL), 0); /* nothing is lost */
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_reclaim(fx->session, 1, NULL), XN_EREADONLY);
	assert_ok(xn_close(fx->xn));
	fixture_open(fx);
}

static void an_object_that_cannot_be_read_keeps_everything(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ, .nth = 1 };
	struct tree tree;
	struct xn_disk_info info;
	uint64_t before;
	int more;

	fx->expect_damage = true;
	tree_make(fx, &tree);
	given_leak(fx, 400, 30);
	crash_only(fx, 0);
	before = free_blocks(fx);
	fault.forever = true;
	bdev_fault_arm(fx->dev, &fault);
	do
		more = xn_reclaim(fx->session, 1, NULL);
	while (more == 1);
	assert_refused(more, XN_EDAMAGED);
	bdev_fault_disarm(fx->dev);
	assert_int_equal(free_blocks(fx), before);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged && info.reclaimable);
}

static void what_was_not_finished_is_kept_in_mind_over_a_clean_closing(void **state)
{
	struct fixture *fx = *state;
	struct xn_disk_info info;
	uint64_t before = free_blocks(fx);

	given_leak(fx, 400, 30);
	crash_only(fx, 1);
	assert_true(one_step(fx));
	fixture_reopen(fx);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.was_clean && info.reclaimable);
	assert_lost(fx, before, 30);
	fixture_reclaim(fx);
	assert_int_equal(free_blocks(fx), before);
	fixture_reopen(fx);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.reclaimable);
}

/* ---- opening ---- */

#define HUGE_BLOCKS (16ull << 40 >> 12)

struct huge {
	struct bdev *dev; /* a recorder: counts */
	struct fixture fx;
};

static void huge_open(struct huge *huge)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_cred cred = { 0 };

	assert_ok(xn_open_dev(huge->dev, &opts, &huge->fx.xn));
	assert_ok(xn_session_open(huge->fx.xn, &cred, XN_SESSION_ADMIN, &huge->fx.session));
}

static void huge_make(struct huge *huge)
{
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_format_opts format = { .label = "huge" };
	struct xn_root_info info;
	struct bdev *below;

	memset(huge, 0, sizeof(*huge));
	assert_ok(bdev_mem_create(HUGE_BLOCKS * XN_BLOCK, &below));
	assert_ok(bdev_recorder_create(below, &huge->dev));
	assert_ok(xn_format(huge->dev, &format));
	huge_open(huge);
	install_types(huge->fx.session, huge->fx.type);
	spec.type = huge->fx.type[T_NODE];
	assert_ok(xn_root_create(huge->fx.session, &spec, &info));
	huge->fx.root = info.object;
}

/* `n` pairs below a new node of the root, all over the first forty chunks. */
static void huge_fill(struct huge *huge, uint32_t record, uint32_t n)
{
	struct fixture *fx = &huge->fx;
	xn_binding_t root, top_binding;
	xn_blk_t top;

	assert_ok(xn_bind_root(fx->session, "r", RW | XN_READIN, &root, &fx->root));
	top = given_node(fx, fx->root, record, &top_binding);
	for (uint32_t i = 0; i < n; i++) {
		xn_blk_t at = (i % 40) * XN_CHUNK_BLOCKS + 8192 + 64 * record + i / 40 * 2;
		struct request rq;

		request_begin(&rq);
		request_word(&rq, top, i * 8, T_POINTER(at, 2, T_PAIR));
		request_alloc(&rq, at, 2, fx->type[T_PAIR]);
		assert_ok(request_run(&rq, fx->session));
	}
	assert_ok(xn_unbind(fx->session, top_binding));
	assert_ok(xn_sync(fx->session, 0));
}

static struct bdev_counts crash_and_open(struct huge *huge)
{
	struct bdev_counts before, after;

	xn_abandon(huge->fx.xn);
	bdev_recorder_counts(huge->dev, &before);
	huge_open(huge);
	bdev_recorder_counts(huge->dev, &after);
	after.reads -= before.reads;
	after.writes -= before.writes;
	return after;
}

static void opening_after_a_crash_costs_the_same_whatever_is_there(void **state)
{
	struct bdev_counts little, much;
	struct xn_disk_info info;
	struct huge huge;
	uint64_t before;

	(void)state;
	huge_make(&huge);
	huge_fill(&huge, 0, 50);
	little = crash_and_open(&huge);
	fixture_reclaim(&huge.fx);
	for (uint32_t i = 1; i < 8; i++)
		huge_fill(&huge, i, T_NODE_RECORDS);
	before = free_blocks(&huge.fx);
	much = crash_and_open(&huge);
	assert_int_equal(much.reads, little.reads);
	assert_int_equal(much.writes, little.writes);
	assert_true(much.reads < 200 && much.writes < 20);

	assert_ok(xn_disk_info(huge.fx.xn, &info));
	assert_true(info.free_estimated);
	assert_in_range(info.free_blocks, before - HUGE_BLOCKS / 128, before + HUGE_BLOCKS / 128);
	fixture_reclaim(&huge.fx);
	assert_int_equal(free_blocks(&huge.fx), before);
	fixture_check(&huge.fx);
	assert_ok(xn_close(huge.fx.xn));
	huge_open(&huge);
	assert_int_equal(free_blocks(&huge.fx), before);
	assert_ok(xn_close(huge.fx.xn));
	bdev_close(huge.dev);
}

/* A clean opening, closing, and a sync of a little write little, wherever on the disk. */
static void a_chunk_that_did_not_change_costs_nothing(void **state)
{
	struct bdev_counts before, after;
	struct huge huge;

	(void)state;
	huge_make(&huge);
	huge_fill(&huge, 0, 200);
	assert_ok(xn_close(huge.fx.xn));
	bdev_recorder_counts(huge.dev, &before);
	huge_open(&huge);
	huge_fill(&huge, 1, 1);
	assert_ok(xn_close(huge.fx.xn));
	bdev_recorder_counts(huge.dev, &after);
	assert_true(after.reads - before.reads < 200);
	assert_true(after.writes - before.writes < 40);
	bdev_close(huge.dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_freed_before_the_walk_comes_by_waits_as_ever),
		cmocka_unit_test(an_object_freed_and_its_block_used_anew_is_no_suspect),
		cmocka_unit_test(a_subtree_freed_before_the_walk_comes_by_is_the_reapers),
		cmocka_unit_test(the_reaper_and_the_walk_share_a_subtree),
		cmocka_unit_test(roots_come_and_go_under_the_walk),
		cmocka_unit_test(move_a_subtree_behind_the_reclaim_walker),
		TEST(a_deep_tree_is_walked),
		cmocka_unit_test(reclaim_finds_what_fsck_finds),
		cmocka_unit_test(reclaim_is_exact_while_the_disk_is_changed),
		TEST(only_administrators_reclaim),
		TEST(an_object_that_cannot_be_read_keeps_everything),
		TEST(what_was_not_finished_is_kept_in_mind_over_a_clean_closing),
		cmocka_unit_test(opening_after_a_crash_costs_the_same_whatever_is_there),
		cmocka_unit_test(a_chunk_that_did_not_change_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
