/* SPDX-License-Identifier: MIT */
/*
 * Objects with several owners: snapshots of a tree that share what did not change.
 * After every write crash states are judged; tests/support/medium.c counts who
 * names each tree and compares that with the tree's own count.
 */
#include <errno.h>

#include "c_types.h"
#include "xn_fixture.h"

#define RW      (XN_READ | XN_WRITE)
#define C_TREE  2u /* child of both templates */
#define TREE(b) T_POINTER(b, 1, C_TREE)

struct forest {
	struct fixture *fx;
	struct xn_session *session;
	uint32_t super_type, tree;
	uint32_t root_id;
	xn_blk_t super;
};

static void forest_bind(struct forest *f)
{
	xn_binding_t b;

	f->session = f->fx->session;
	assert_ok(xn_bind_root(f->session, "c", RW | XN_READIN, &b, &f->super));
}

static int forest_setup(void **state)
{
	struct forest *f = calloc(1, sizeof(*f));
	struct xn_root_spec spec = { .name = "c", .libfs = "test", .mode = 0666 };
	struct xn_image images[c_types_count];
	uint32_t ids[c_types_count];
	struct xn_root_info info;

	assert_non_null(f);
	f->fx = fixture_new(FIXTURE_BLOCKS, 8u << 20);
	for (unsigned i = 0; i < c_types_count; i++)
		images[i] = (struct xn_image){ c_types_image[i], c_types_image_len[i] };
	assert_ok(xn_template_install(f->fx->session, images, c_types_count, ids, NULL));
	spec.type = f->super_type = ids[c_types_c_super];
	f->tree = ids[c_types_c_tree];
	assert_ok(xn_root_create(f->fx->session, &spec, &info));
	f->root_id = info.id;
	forest_bind(f);
	assert_ok(xn_sync(f->session, 0));
	*state = f;
	return 0;
}

static int forest_teardown(void **state)
{
	struct forest *f = *state;

	fixture_free(f->fx);
	free(f);
	return 0;
}

static xn_binding_t tree_bind(struct forest *f, xn_blk_t owner, uint32_t record, xn_blk_t tree)
{
	xn_binding_t b;

	assert_ok(try_bind(f->fx, f->session, owner, record, tree, 1, f->tree, RW | XN_READIN, &b));
	return b;
}

static uint64_t word_of(struct forest *f, xn_binding_t b, uint32_t record)
{
	const void *bytes;
	uint64_t word;
	size_t len;

	assert_ok(xn_map(f->session, b, &bytes, &len));
	memcpy(&word, (const uint8_t *)bytes + record * 8, sizeof(word));
	return word;
}

/* A new tree in a record, bound. */
static xn_blk_t given_tree(struct forest *f, xn_blk_t owner, uint32_t record)
{
	xn_blk_t block = given_free(f->fx, 1);
	struct request rq;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, TREE(block));
	request_alloc(&rq, block, 1, f->tree);
	assert_ok(request_run(&rq, f->session));
	tree_bind(f, owner, record, block);
	return block;
}

static xn_blk_t given_leaf(struct forest *f, xn_blk_t tree, uint32_t record, uint64_t number)
{
	return given_data(f->fx, tree, record, number, NULL);
}

/* super -> top (record 1) -> left (1), right (2), each with a leaf (1); synced. */
struct small {
	xn_blk_t top, left, right, leaf[2];
};

static struct small given_small_tree(struct forest *f)
{
	struct small t;

	t.top = given_tree(f, f->super, 1);
	t.left = given_tree(f, t.top, 1);
	t.right = given_tree(f, t.top, 2);
	t.leaf[0] = given_leaf(f, t.left, 1, 1);
	t.leaf[1] = given_leaf(f, t.right, 1, 2);
	assert_ok(xn_sync(f->session, 0));
	return t;
}

static void request_links(struct request *rq, const xn_blk_t *links, uint32_t n_links,
			  const xn_blk_t *unlinks, uint32_t n_unlinks)
{
	rq->update.links = links;
	rq->update.n_links = n_links;
	rq->update.unlinks = unlinks;
	rq->update.n_unlinks = n_unlinks;
}

/* Another record of `owner` names `tree`, which counts `count` owners then. */
static int link_tree(struct forest *f, xn_blk_t owner, uint32_t record, xn_blk_t tree,
		     uint64_t count)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, TREE(tree));
	request_word(&rq, tree, 0, count);
	request_links(&rq, &tree, 1, NULL, 0);
	return request_run(&rq, f->session);
}

static int unlink_tree(struct forest *f, xn_blk_t owner, uint32_t record, xn_blk_t tree,
		       uint64_t count)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, 0);
	request_word(&rq, tree, 0, count);
	request_links(&rq, NULL, 0, &tree, 1);
	return request_run(&rq, f->session);
}

/* ---- snapshots ---- */

static void a_snapshot_shares_the_tree(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	uint64_t before = free_blocks(f->fx);
	xn_binding_t b;
	uint8_t page[XN_BLOCK];

	fixture_watch(f->fx, 6);
	assert_ok(link_tree(f, f->super, 2, t.top, 2));
	assert_ok(xn_sync(f->session, 0));
	assert_int_equal(free_blocks(f->fx), before);
	fixture_reopen(f->fx);
	forest_bind(f);
	/* By either name it is the same. */
	b = tree_bind(f, f->super, 2, t.top);
	assert_int_equal(word_of(f, b, 0), 2);
	tree_bind(f, f->super, 1, t.top);
	tree_bind(f, t.top, 2, t.right);
	assert_ok(try_bind(f->fx, f->session, t.right, 1, t.leaf[1], 1, XN_DATA, XN_READ, &b));
	assert_ok(xn_read(f->session, b, 0, page, sizeof(page)));
	assert_true(stamp_is(page, t.leaf[1], t.right, 2));
	assert_ok(unlink_tree(f, f->super, 1, t.top, 1));
	assert_ok(xn_sync(f->session, 0));
	b = tree_bind(f, f->super, 2, t.top);
	assert_int_equal(word_of(f, b, 0), 1);
	fixture_watch(f->fx, 0);
}

/* Copy `old` (in `owner`'s record, shared) to a new tree in its place; children are shared. */
static xn_blk_t copy_tree(struct forest *f, xn_blk_t owner, uint32_t record, xn_blk_t old,
			  uint64_t old_count, const xn_blk_t *children, const uint64_t *counts,
			  uint32_t n)
{
	xn_blk_t made = given_free(f->fx, 1);
	struct request rq;
	int err;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, TREE(made));
	request_word(&rq, old, 0, old_count - 1);
	for (uint32_t i = 0; i < n; i++) {
		request_word(&rq, made, (i + 1) * 8, TREE(children[i]));
		request_word(&rq, children[i], 0, counts[i] + 1);
	}
	if (n == 0)
		request_word(&rq, made, T_NODE_RAW, 1);
	request_alloc(&rq, made, 1, f->tree);
	request_links(&rq, children, n, &old, 1);
	err = request_run(&rq, f->session);
	if (err)
		print_error("%s\n", rq.why.text);
	assert_ok(err);
	tree_bind(f, owner, record, made);
	return made;
}

static void what_changes_is_copied_and_the_rest_is_shared(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	xn_blk_t top, left, leaf;
	uint8_t page[XN_BLOCK];
	xn_binding_t b;

	fixture_watch(f->fx, 6);
	assert_ok(link_tree(f, f->super, 2, t.top, 2)); /* the snapshot */
	top = copy_tree(f, f->super, 1, t.top, 2, (xn_blk_t[]){ t.left, t.right },
			(uint64_t[]){ 1, 1 }, 2);
	left = copy_tree(f, top, 1, t.left, 2, NULL, NULL, 0);
	leaf = given_leaf(f, left, 1, 3);
	assert_ok(xn_sync(f->session, 0));
	fixture_check_crashes(f->fx, 20);
	for (unsigned round = 0; round < 2; round++) {
		/* The snapshot has the old leaf, the tree the new one, both the right one. */
		tree_bind(f, f->super, 2, t.top);
		tree_bind(f, t.top, 1, t.left);
		assert_ok(
			try_bind(f->fx, f->session, t.left, 1, t.leaf[0], 1, XN_DATA, XN_READ, &b));
		assert_ok(xn_read(f->session, b, 0, page, sizeof(page)));
		assert_true(stamp_is(page, t.leaf[0], t.left, 1));
		tree_bind(f, f->super, 1, top);
		tree_bind(f, top, 1, left);
		assert_ok(try_bind(f->fx, f->session, left, 1, leaf, 1, XN_DATA, XN_READ, &b));
		assert_ok(xn_read(f->session, b, 0, page, sizeof(page)));
		assert_true(stamp_is(page, leaf, left, 3));
		tree_bind(f, top, 2, t.right);
		tree_bind(f, t.top, 2, t.right);
		fixture_reopen(f->fx);
		forest_bind(f);
	}
	fixture_watch(f->fx, 0);
}

/* The snapshot goes: what nobody else names is freed, the rest counted down. */
static void a_snapshot_is_taken_apart_by_its_libfs(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	uint64_t before = free_blocks(f->fx);
	xn_blk_t top;
	struct request rq;

	fixture_watch(f->fx, 6);
	assert_ok(link_tree(f, f->super, 2, t.top, 2));
	top = copy_tree(f, f->super, 1, t.top, 2, (xn_blk_t[]){ t.left, t.right },
			(uint64_t[]){ 1, 1 }, 2);
	assert_ok(xn_sync(f->session, 0));
	request_begin(&rq);
	request_word(&rq, f->super, 2 * 8, 0);
	request_word(&rq, t.top, 8, 0);
	request_word(&rq, t.top, 16, 0);
	request_word(&rq, t.left, 0, 1);
	request_word(&rq, t.right, 0, 1);
	request_free(&rq, t.top, 1, f->tree);
	request_links(&rq, NULL, 0, (xn_blk_t[]){ t.left, t.right }, 2);
	assert_ok(request_run(&rq, f->session));
	assert_ok(xn_sync(f->session, 0));
	fixture_reopen(f->fx);
	forest_bind(f);
	assert_int_equal(free_blocks(f->fx), before);
	tree_bind(f, f->super, 1, top);
	assert_int_equal(word_of(f, tree_bind(f, top, 1, t.left), 0), 1);
	fixture_watch(f->fx, 0);
}

/* ---- order ---- */

/* One owner lets go, then the last; the disk may still know the first. */
static void the_blocks_wait_for_every_owner_that_the_disk_knows(void **state)
{
	struct forest *f = *state;
	xn_blk_t a = given_tree(f, f->super, 1), b = given_tree(f, f->super, 2);
	xn_blk_t shared = given_tree(f, a, 1);
	struct request rq;

	assert_ok(xn_sync(f->session, 0));
	assert_ok(link_tree(f, b, 1, shared, 2));
	assert_ok(xn_sync(f->session, 0));
	fixture_watch(f->fx, 6);
	assert_ok(unlink_tree(f, a, 1, shared, 1));
	request_begin(&rq);
	request_word(&rq, b, 8, 0);
	request_free(&rq, shared, 1, f->tree);
	assert_ok(request_run(&rq, f->session));
	request_begin(&rq);
	request_word(&rq, f->super, 5 * 8, T_POINTER(shared, 1, T_RESERVED));
	request_alloc(&rq, shared, 1, XN_RESERVED);
	assert_refused(request_run(&rq, f->session), XN_ENOTFREE);
	fixture_check_crashes(f->fx, 20);
	assert_ok(xn_sync(f->session, 0));
	fixture_check_crashes(f->fx, 20);
	fixture_watch(f->fx, 0);
	fixture_reopen(f->fx);
	forest_bind(f);
	assert_ok(request_run(&rq, f->session));
}

/* A new owner that no disk knows yet, and the old one lets go. */
static void a_new_owner_is_on_disk_before_the_old_one_lets_go(void **state)
{
	struct forest *f = *state;
	xn_blk_t a = given_tree(f, f->super, 1), shared = given_tree(f, a, 1), fresh;
	struct request rq;

	given_leaf(f, shared, 1, 1);
	assert_ok(xn_sync(f->session, 0));
	for (unsigned freeing = 0; freeing < 2; freeing++) {
		fixture_watch(f->fx, 6);
		fresh = given_tree(f, f->super, 2); /* not written */
		assert_ok(link_tree(f, fresh, 1, shared, 2));
		assert_ok(unlink_tree(f, a, 1, shared, 1));
		fixture_check_crashes(f->fx, 20);
		assert_ok(xn_sync(f->session, 0));
		fixture_check_crashes(f->fx, 20);
		/* And back. */
		assert_ok(link_tree(f, a, 1, shared, 2));
		assert_ok(unlink_tree(f, fresh, 1, shared, 1));
		request_begin(&rq);
		request_word(&rq, f->super, 16, 0);
		request_free(&rq, fresh, 1, f->tree);
		assert_ok(request_run(&rq, f->session));
		assert_ok(xn_sync(f->session, 0));
		fixture_watch(f->fx, 0);
	}
}

/* ---- refusals ---- */

static void every_wrong_count_is_refused(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	xn_blk_t made = given_free(f->fx, 1), other[2] = { t.left, t.left };
	struct request rq;

	assert_refused(link_tree(f, f->super, 2, t.top, 1), XN_EOWNS); /* not counted */
	assert_refused(link_tree(f, f->super, 2, t.top, 3), XN_EOWNS);
	assert_refused(unlink_tree(f, f->super, 1, t.top, 0), XN_EOWNS); /* that is freeing */
	assert_refused(unlink_tree(f, f->super, 1, t.top, 1), XN_EOWNS);
	request_begin(&rq); /* counted, and nobody links */
	request_word(&rq, t.top, 0, 2);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_links(&rq, &t.top, 1, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_begin(&rq); /* linked, and not declared */
	request_word(&rq, f->super, 16, TREE(t.top));
	request_word(&rq, t.top, 0, 2);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_begin(&rq); /* declared, and not edited */
	request_word(&rq, f->super, 16, TREE(t.top));
	request_links(&rq, &t.top, 1, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_begin(&rq); /* a new object with two owners from the start */
	request_word(&rq, f->super, 16, TREE(made));
	request_word(&rq, made, 0, 2);
	request_alloc(&rq, made, 1, f->tree);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_word(&rq, f->super, 24, TREE(made));
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	request_begin(&rq); /* the same object twice */
	request_word(&rq, f->super, 16, TREE(t.left));
	request_word(&rq, t.left, 0, 2);
	request_links(&rq, other, 2, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_EOVERLAP);
	request_begin(&rq); /* data, and objects of one owner */
	request_word(&rq, f->super, 16, 0);
	request_links(&rq, &f->super, 1, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_ETYPE);
	request_links(&rq, &t.leaf[0], 1, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_ENOTBOUND);
}

static void only_what_is_on_disk_is_linked(void **state)
{
	struct forest *f = *state;
	xn_blk_t top = given_tree(f, f->super, 1), low = given_tree(f, top, 1);

	assert_refused(link_tree(f, f->super, 2, low, 2), XN_ETAINTED);
	given_child(f->fx, low, 1, 1, T_DATA); /* never written */
	assert_refused(xn_sync(f->session, 0), XN_ETAINTED);
	assert_refused(link_tree(f, f->super, 2, low, 2), XN_ETAINTED);
}

static void no_link_makes_a_ring(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	xn_blk_t made = given_free(f->fx, 1);
	struct request rq;

	assert_refused(link_tree(f, t.left, 2, t.top, 2), XN_ECYCLE);
	assert_refused(link_tree(f, t.left, 2, t.left, 2), XN_ECYCLE);
	request_begin(&rq); /* by a new one */
	request_word(&rq, t.left, 16, TREE(made));
	request_word(&rq, made, 8, TREE(t.top));
	request_word(&rq, t.top, 0, 2);
	request_alloc(&rq, made, 1, f->tree);
	request_links(&rq, &t.top, 1, NULL, 0);
	assert_request_refused(f->fx, &rq, XN_ECYCLE);
	/* A sibling is no ring; but below what has several owners nobody can tell. */
	assert_ok(link_tree(f, t.left, 2, t.right, 2));
	assert_ok(xn_sync(f->session, 0));
	assert_refused(link_tree(f, t.right, 2, t.left, 2), XN_ECYCLE);
	assert_refused(link_tree(f, t.right, 3, t.top, 2), XN_ECYCLE);
}

static void what_others_own_is_not_freed(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	struct request rq;

	assert_ok(link_tree(f, f->super, 2, t.top, 2));
	request_begin(&rq);
	request_word(&rq, f->super, 8, 0);
	request_free(&rq, t.top, 1, f->tree);
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	rq.update.flags = XN_REAP;
	assert_request_refused(f->fx, &rq, XN_EOWNS);
	assert_ok(unlink_tree(f, f->super, 2, t.top, 1));
	/* XN cannot count down what hangs below. */
	assert_request_refused(f->fx, &rq, XN_ENOTEMPTY);
}

/* ---- all of it ---- */

static void a_root_of_shared_trees_is_removed_whole(void **state)
{
	struct forest *f = *state;
	uint64_t before = free_blocks(f->fx);
	struct small t = given_small_tree(f);
	struct xn_disk_info info;
	struct xn_walk_item item;
	struct xn_walker *walker;
	unsigned tops = 0, trees = 0;

	assert_ok(link_tree(f, f->super, 2, t.top, 2));
	assert_ok(link_tree(f, f->super, 3, t.left, 2));
	copy_tree(f, f->super, 2, t.top, 2, (xn_blk_t[]){ t.left, t.right }, (uint64_t[]){ 2, 1 },
		  2);
	assert_ok(xn_sync(f->session, 0));
	assert_ok(xn_walker_create(f->session, f->root_id, &walker));
	while (xn_walker_next(walker, &item) == 1) {
		assert_int_equal(item.error, 0);
		tops += item.extent.start == t.left;
		trees += item.owner == t.left; /* told of once */
	}
	xn_walker_destroy(walker);
	assert_int_equal(tops, 3);
	assert_int_equal(trees, 1);
	assert_ok(xn_root_remove(f->session, "c"));
	while (xn_reap(f->session, 100) > 0)
		;
	assert_ok(xn_sync(f->session, 0));
	assert_ok(xn_disk_info(f->fx->xn, &info));
	assert_false(info.damaged); /* as it would be, had a tree been freed for each owner */
	fixture_reopen(f->fx);
	assert_int_equal(free_blocks(f->fx), before + 1); /* and the super */
}

/* A count that is not true harms nobody but its LibFS; fsck tells of it. */
static void fsck_counts_the_owners(void **state)
{
	struct forest *f = *state;
	struct small t = given_small_tree(f);
	uint64_t wrong = 3, right = 1;
	const char *complaint;
	char text[400];

	fixture_close(f->fx);
	fixture_poke(f->fx, t.top, 0, &wrong, sizeof(wrong));
	complaint = fsck_complaint(f->fx->medium, text, sizeof(text));
	assert_non_null(complaint);
	assert_non_null(strstr(complaint, "object/miscounted"));
	assert_non_null(strstr(complaint, "says it has 3 owners, there are 1"));
	fixture_poke(f->fx, t.top, 0, &right, sizeof(right));
	fixture_open(f->fx);
}

/* ---- at random ---- */

#define SLOTS 6u

struct model {
	xn_blk_t slot[SLOTS]; /* of the super: trees */
	uint64_t number;
};

static xn_blk_t slot_tree(struct forest *f, struct model *m, unsigned slot, uint64_t *count)
{
	xn_binding_t b;

	if (!m->slot[slot])
		return 0;
	b = tree_bind(f, f->super, slot + 1, m->slot[slot]);
	*count = word_of(f, b, 0);
	return m->slot[slot];
}

/* Everything that a tree names is counted down or freed, deepest first; then the tree. */
static void tree_drop(struct forest *f, xn_blk_t owner, uint32_t record, xn_blk_t tree)
{
	xn_binding_t b = tree_bind(f, owner, record, tree);
	struct request rq;

	if (word_of(f, b, 0) > 1) {
		assert_ok(unlink_tree(f, owner, record, tree, word_of(f, b, 0) - 1));
		return;
	}
	for (uint32_t i = 1; i < 4; i++) {
		uint64_t word = word_of(f, b, i);

		if (word && T_CHILD(word) == C_TREE)
			tree_drop(f, tree, i, T_START(word));
		else if (word)
			given_no_child(f->fx, tree, i, T_START(word), 1, T_DATA);
	}
	request_begin(&rq);
	request_word(&rq, owner, record * 8, 0);
	request_free(&rq, tree, 1, f->tree);
	assert_ok(request_run(&rq, f->session));
}

static void step(struct forest *f, struct model *m, uint64_t dice)
{
	unsigned a = (unsigned)(dice % SLOTS), b = (unsigned)(dice / SLOTS % SLOTS);
	uint64_t count = 0;
	xn_blk_t tree = slot_tree(f, m, a, &count);

	if (!tree) { /* a tree with a branch and leaves */
		tree = m->slot[a] = given_tree(f, f->super, a + 1);
		given_leaf(f, given_tree(f, tree, 1), 1, m->number++);
		given_leaf(f, tree, 2, m->number++);
	} else if (!m->slot[b]) { /* a snapshot */
		int err = link_tree(f, f->super, b + 1, tree, count + 1);

		if (err)
			assert_refused(err, XN_ETAINTED);
		else
			m->slot[b] = tree;
	} else if (dice >> 32 & 1) { /* a branch of one tree becomes another's, too */
		uint64_t other = 0, branch;
		xn_blk_t to = slot_tree(f, m, b, &other);
		xn_binding_t from = tree_bind(f, f->super, a + 1, tree), into;
		int err;

		branch = word_of(f, from, 1);
		into = tree_bind(f, f->super, b + 1, to);
		if (to == tree || !branch || word_of(f, into, 3))
			return;
		from = tree_bind(f, tree, 1, T_START(branch));
		err = link_tree(f, to, 3, T_START(branch), word_of(f, from, 0) + 1);
		if (err)
			assert_true(err == XN_ETAINTED || err == XN_ECYCLE || err == XN_EOWNS);
	} else {
		tree_drop(f, f->super, a + 1, tree);
		m->slot[a] = 0;
	}
}

static void model_learn(struct forest *f, struct model *m)
{
	xn_binding_t b;

	forest_bind(f);
	assert_ok(xn_bind_root(f->session, "c", XN_READ | XN_READIN, &b, &f->super));
	for (unsigned i = 0; i < SLOTS; i++)
		m->slot[i] = T_START(word_of(f, b, i + 1));
}

static void a_walk_of_snapshots_survives_crashes(void **state)
{
	struct forest *f = *state;
	struct model m = { .number = 1 };
	uint64_t seed = 7;

	fixture_watch(f->fx, 2);
	for (unsigned i = 0; i < 600; i++) {
		step(f, &m, chance(&seed));
		if (chance(&seed) % 6 == 0)
			assert_ok(xn_sync(f->session, 0));
		if (chance(&seed) % 40 == 0) {
			fixture_crash(f->fx, chance(&seed));
			model_learn(f, &m);
		}
		if (chance(&seed) % 60 == 0) {
			fixture_reopen(f->fx);
			model_learn(f, &m);
		}
		if (i % 16 == 0)
			fixture_check(f->fx);
	}
	fixture_watch(f->fx, 0);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (m.slot[i])
			tree_drop(f, f->super, i + 1, m.slot[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, forest_setup, forest_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_snapshot_shares_the_tree),
		TEST(what_changes_is_copied_and_the_rest_is_shared),
		TEST(a_snapshot_is_taken_apart_by_its_libfs),
		TEST(the_blocks_wait_for_every_owner_that_the_disk_knows),
		TEST(a_new_owner_is_on_disk_before_the_old_one_lets_go),
		TEST(every_wrong_count_is_refused),
		TEST(only_what_is_on_disk_is_linked),
		TEST(no_link_makes_a_ring),
		TEST(what_others_own_is_not_freed),
		TEST(a_root_of_shared_trees_is_removed_whole),
		TEST(fsck_counts_the_owners),
		TEST(a_walk_of_snapshots_survives_crashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
