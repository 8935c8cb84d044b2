/* SPDX-License-Identifier: MIT */
/*
 * The map of a file against a model: extents come and go in any order, and the
 * tree of nodes stays a tree.  All extents are UNWR, which nobody needs to write.
 */
#include "fs_fixture.h"

#include "internal.h"
#include "slots.h"

#define BLOCKS 4096u

struct file {
	struct fx *fx;
	struct cffs *fs;
	struct cffs_inode *inode;
	uint64_t seed;
	xn_blk_t at[BLOCKS]; /* model: 0 = a hole */
};

static int setup(void **state)
{
	struct fx_opts opts = { .libfs = "cffs", .size = 1ull << 30 };
	struct file *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fx = fx_new(&opts);
	f->fs = cffs_of(f->fx->fs);
	f->seed = 11;
	assert_ok(cffs_inode_get(f->fs, fx_create(f->fx, FX_ROOT, "f"), &f->inode));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct file *f = *state;

	cffs_inode_put(f->fs, f->inode);
	fx_fini(f->fx);
	free(f);
	return 0;
}

/* ---- the tree, looked at from outside ---- */

struct census {
	uint64_t extents, nodes, blocks;
	unsigned depth;
};

static void census_node(struct file *f, struct cffs_hold *owner, uint32_t record, xn_blk_t block,
			uint64_t first, uint64_t last, unsigned depth, struct census *c)
{
	struct cffs_hold *hold;
	struct cffs_set set;
	uint8_t image[CFFS_BLOCK];

	assert_ok(cffs_hold_get(f->fs, owner, record, CFFS_T_EXT, block, &hold));
	assert_int_equal(cffs_set_of_node(hold->bytes, &set), 0);
	/* Its bytes are what its slots make: checksums, counts and all. */
	cffs_set_to_node(&set, f->inode->a.ino, image);
	assert_memory_equal(image, hold->bytes, CFFS_BLOCK);
	c->nodes++;
	c->blocks++;
	c->depth = depth > c->depth ? depth : c->depth;
	for (uint32_t i = 0; i < set.n; i++) {
		const struct cffs_slot *slot = &set.slot[i];
		uint64_t next;

		if (slot->class == CFFS_CLASS_NONE)
			continue;
		assert_true(slot->logical >= first && slot->logical < last);
		if (set.level > 0) {
			assert_int_equal(cffs_set_child(&set, slot->logical, &next), i);
			census_node(f, hold, i, slot->start, slot->logical,
				    next < last ? next : last, depth + 1, c);
			continue;
		}
		assert_true(slot->logical + slot->count <= last);
		c->extents++;
		c->blocks += slot->count;
	}
	cffs_hold_put(f->fs, hold);
}

static struct census census(struct file *f)
{
	struct census c = { 0 };
	struct cffs_hold *owner;
	uint32_t record;

	assert_ok(cffs_inode_owner(f->fs, f->inode, &owner, &record));
	for (unsigned i = 0; i < f->inode->b.n_slots; i++) {
		const struct cffs_slot *slot = &f->inode->b.slot[i];

		if (slot->class == CFFS_CLASS_NODE)
			census_node(f, owner, record, slot->start, 0, CFFS_LOGICAL_END, 1, &c);
		else if (slot->class != CFFS_CLASS_NONE)
			c.extents++, c.blocks += slot->count;
	}
	cffs_hold_put(f->fs, owner);
	assert_int_equal(c.blocks, f->inode->b.blocks);
	return c;
}

/* ---- steps ---- */

static int try_add(struct file *f, uint64_t logical, uint64_t count)
{
	struct xn_extent extent;
	int err;

	/* Here and there, so that few of them can be joined. */
	assert_ok(
		xn_find_free(f->fx->session, 4096 + chance(&f->seed) % 200000, count, 1, &extent));
	pthread_rwlock_wrlock(&f->inode->lock);
	err = cffs_map_add(f->fs, f->inode, CFFS_CLASS_UNWR, logical, &extent);
	pthread_rwlock_unlock(&f->inode->lock);
	for (uint64_t i = 0; !err && logical < BLOCKS && i < extent.count; i++)
		f->at[logical + i] = extent.start + i;
	return err;
}

static void add(struct file *f, uint64_t logical, uint64_t count)
{
	int err;

	do
		err = try_add(f, logical, count);
	while (err == XN_ENOTFREE);
	assert_ok(err);
}

static void drop(struct file *f, uint64_t first, uint64_t last)
{
	pthread_rwlock_wrlock(&f->inode->lock);
	assert_ok(cffs_map_remove(f->fs, f->inode, first, last));
	pthread_rwlock_unlock(&f->inode->lock);
	for (uint64_t i = first; i < last && i < BLOCKS; i++)
		f->at[i] = 0;
}

static void assert_block(struct file *f, uint64_t logical, xn_blk_t want, uint64_t max)
{
	struct cffs_run run;

	pthread_rwlock_rdlock(&f->inode->lock);
	assert_ok(cffs_map(f->fs, f->inode, logical, max, &run));
	pthread_rwlock_unlock(&f->inode->lock);
	if (run.owner)
		cffs_hold_put(f->fs, run.owner);
	assert_int_equal(run.start, want);
	assert_true(run.count >= 1 && run.count <= max);
	for (uint64_t i = 0; logical < BLOCKS && i < run.count && logical + i < BLOCKS; i++)
		assert_int_equal(f->at[logical + i], want ? want + i : 0);
}

static void assert_model(struct file *f)
{
	for (uint64_t i = 0; i < BLOCKS; i++)
		assert_block(f, i, f->at[i], BLOCKS - i);
	census(f);
}

/* As much of [at, at + want) as is a hole. */
static uint64_t hole_at(const struct file *f, uint64_t at, uint64_t want)
{
	uint64_t n = 0;

	while (n < want && at + n < BLOCKS && !f->at[at + n])
		n++;
	return n;
}

/* ---- tests ---- */

static void any_order_of_adding_and_removing(void **state)
{
	struct file *f = *state;
	uint64_t start = fx_free_blocks(f->fx);
	unsigned most = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t at = chance(&f->seed) % BLOCKS, len = 1 + chance(&f->seed) % 4;
		struct census c;

		if (chance(&f->seed) % 100 < (i / 5000 % 2 ? 45u : 80u)) {
			len = hole_at(f, at, len);
			if (len)
				add(f, at, len);
		} else {
			drop(f, at, at + len * (chance(&f->seed) % 50 == 0 ? 100 : 1));
		}
		if (i % 1000 != 999)
			continue;
		assert_model(f);
		c = census(f);
		most = c.depth > most ? c.depth : most;
		if (i % 5000 == 4999)
			fx_settle(f->fx);
	}
	assert_true(most >= 2);
	drop(f, 0, CFFS_LOGICAL_END);
	assert_model(f);
	assert_int_equal(f->inode->b.blocks, 0);
	/* Nodes of live log records are free when the log is: at the latest when the disk is closed. */
	cffs_inode_put(f->fs, f->inode);
	fx_remount(f->fx);
	f->fs = cffs_of(f->fx->fs);
	assert_ok(cffs_inode_get(f->fs, fx_find(f->fx, FX_ROOT, "f"), &f->inode));
	assert_int_equal(fx_free_blocks(f->fx), start);
}

static void a_second_extent_makes_a_node_when_the_entry_is_full(void **state)
{
	struct file *f = *state;

	for (unsigned i = 0; i < 4; i++)
		add(f, i * 10, 1);
	assert_int_equal(census(f).nodes, 0);
	add(f, 50, 1);
	assert_int_equal(census(f).nodes, 1);
	assert_int_equal(census(f).extents, 5);
	drop(f, 0, 45);
	assert_int_equal(census(f).nodes, 1);
	drop(f, 45, 55);
	assert_int_equal(census(f).nodes, 0);
	assert_int_equal(f->inode->b.blocks, 0);
}

/* Half-full nodes are what moving slots makes; at the end of a file nothing moves. */
static void growing_at_the_end_fills_the_nodes(void **state)
{
	struct file *f = *state;
	struct census c;

	for (uint64_t i = 0; i < 6000; i++)
		add(f, BLOCKS + i * 2, 1);
	c = census(f);
	assert_int_equal(c.extents, 6000);
	assert_int_equal(c.depth, 2);
	assert_true(c.nodes <= 6000 / 232 + 3);
	drop(f, BLOCKS + 3000, CFFS_LOGICAL_END);
	assert_true(census(f).nodes <= 1500 / 232 + 3);
	drop(f, 0, CFFS_LOGICAL_END);
	assert_int_equal(f->inode->b.blocks, 0);
}

static void growing_towards_the_start(void **state)
{
	struct file *f = *state;

	for (uint64_t i = BLOCKS; i > 0; i -= 2)
		add(f, i - 2, 1);
	assert_model(f);
	assert_int_equal(census(f).extents, BLOCKS / 2);
	drop(f, 0, 1000);
	for (uint64_t i = 1000; i > 0; i -= 2)
		add(f, i - 2, 1);
	assert_model(f);
}

static void a_large_extent_is_punched_to_pieces(void **state)
{
	struct file *f = *state;

	add(f, 0, BLOCKS);
	for (uint64_t i = hole_at(f, 0, BLOCKS); i < BLOCKS; i += hole_at(f, i, BLOCKS))
		if (!f->at[i])
			add(f, i, BLOCKS - i);
		else
			i++;
	for (uint64_t i = 1; i < BLOCKS; i += 2)
		drop(f, i, i + 1);
	assert_model(f);
	assert_true(census(f).extents >= BLOCKS / 2);
	for (uint64_t i = 1; i < BLOCKS; i += 2)
		add(f, i, 1);
	assert_model(f);
}

static void the_end_of_the_largest_file(void **state)
{
	struct file *f = *state;
	struct xn_extent extent = { .start = 5000, .count = 2 };

	for (unsigned i = 0; i < 300; i++)
		add(f, CFFS_BLOCKS_MAX - 1 - i * 2, 1);
	add(f, 0, 3);
	assert_true(census(f).nodes > 1);
	assert_block(f, CFFS_BLOCKS_MAX - 2, 0, 1);
	pthread_rwlock_wrlock(&f->inode->lock);
	assert_refused(cffs_map_add(f->fs, f->inode, CFFS_CLASS_UNWR, CFFS_BLOCKS_MAX - 1, &extent),
		       -EFBIG);
	assert_refused(cffs_map_add(f->fs, f->inode, CFFS_CLASS_UNWR, CFFS_BLOCKS_MAX, &extent),
		       -EFBIG);
	pthread_rwlock_unlock(&f->inode->lock);
	drop(f, 3, CFFS_LOGICAL_END);
	assert_model(f);
}

/* A disk where no update is possible any more: nothing half done stays. */
static void a_refused_change_leaves_all_as_it_was(void **state)
{
	struct file *f = *state;
	struct xn_extent taken;
	struct cffs_run run;

	for (unsigned i = 0; i < 700; i++)
		add(f, i * 3, 1);
	pthread_rwlock_wrlock(&f->inode->lock);
	assert_ok(cffs_map(f->fs, f->inode, 30, 1, &run));
	cffs_hold_put(f->fs, run.owner);
	taken = (struct xn_extent){ .start = run.start, .count = 1 };
	for (unsigned i = 0; i < 700; i++)
		assert_refused(cffs_map_add(f->fs, f->inode, CFFS_CLASS_UNWR, i * 3 + 1, &taken),
			       XN_ENOTFREE);
	pthread_rwlock_unlock(&f->inode->lock);
	assert_model(f);
	assert_int_equal(census(f).extents, 700);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(any_order_of_adding_and_removing),
		CASE(a_second_extent_makes_a_node_when_the_entry_is_full),
		CASE(growing_at_the_end_fills_the_nodes),
		CASE(growing_towards_the_start),
		CASE(a_large_extent_is_punched_to_pieces),
		CASE(the_end_of_the_largest_file),
		CASE(a_refused_change_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
