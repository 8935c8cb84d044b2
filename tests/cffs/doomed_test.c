/* SPDX-License-Identifier: MIT */
/* What removed files own is free again, whatever happens on the way. */
#include "fs_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "deal.h"
#include "file.h"
#include "internal.h"

/* The linker sends all allocations here (--wrap), which have no other way to know. */
static bool no_memory;
static unsigned refusals;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool refused(void)
{
	refusals += no_memory;
	return no_memory;
}

void *__wrap_malloc(size_t size)
{
	return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return refused() ? NULL : __real_realloc(old, size);
}

static int setup(void **state)
{
	struct fx_opts opts = { .libfs = "cffs", .size = 64ull << 20 };

	*state = fx_new(&opts);
	return 0;
}

static void *free_the_doomed(void *fs)
{
	cffs_doomed(fs);
	return NULL;
}

static uint32_t pins_of(struct cffs *fs, struct cffs_inode *inode)
{
	uint32_t pins;

	pthread_mutex_lock(&fs->lock);
	pins = inode->pins;
	pthread_mutex_unlock(&fs->lock);
	return pins;
}

/* As a sync does it with a removed file; all directories are locked. */
static void move_to_orphans(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode)
{
	struct cffs_deal deal;
	struct cffs_loc loc;

	assert_ok(cffs_dir_lock(fs, fs->odir, true));
	pthread_mutex_lock(&fs->lock);
	cffs_loc_of(inode, &loc);
	pthread_mutex_unlock(&fs->lock);
	cffs_deal_init(&deal, inode->a.ctime);
	cffs_deal_cut(&deal, dir, &loc, "");
	cffs_deal_put(&deal, fs->odir, "", NULL)->inode = inode;
	assert_ok(cffs_deal_run(fs, &deal));
	pthread_rwlock_unlock(&fs->odir->lock);
}

/* A file that was removed while in use, in `dir`; nobody uses it any more, and it waits. */
static struct cffs_inode *waiting_file(struct fx *fx, libfs_ino_t dir)
{
	struct cffs *fs = cffs_of(fx->fs);
	libfs_ino_t ino = fx_create(fx, dir, "f");
	static char bytes[20000];
	struct cffs_inode *inode;

	fx_write(fx, ino, 0, bytes, sizeof(bytes));
	assert_ok(fx_unlink(fx, dir, "f"));
	assert_ok(cffs_inode_get(fs, ino, &inode));
	fx_forget(fx, ino);
	cffs_inode_put(fs, inode);
	return inode;
}

/* It was found in one directory, and lies in another when that one's lock is had. */
static void one_that_becomes_an_orphan_meanwhile_is_freed(void **state)
{
	struct fx *fx = *state;
	struct cffs *fs = cffs_of(fx->fs);
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	struct cffs_inode *dir, *inode;
	pthread_t thread;
	uint32_t pins;
	uint64_t before;

	fx_file(fx, d, "other", "");
	before = fx_free_blocks(fx);
	inode = waiting_file(fx, d);
	assert_ok(cffs_inode_get(fs, d, &dir));
	assert_ok(cffs_dir_lock(fs, dir, true));
	pins = pins_of(fs, dir);
	assert_int_equal(pthread_create(&thread, NULL, free_the_doomed, fs), 0);
	while (pins_of(fs, dir) == pins)
		sched_yield();
	cffs_inode_pin(fs, inode);
	pthread_rwlock_wrlock(&inode->lock);
	move_to_orphans(fs, dir, inode);
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	pthread_rwlock_unlock(&dir->lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	cffs_inode_put(fs, dir);
	assert_int_equal(fx_free_blocks(fx), before);
	assert_int_equal(fs->odir->b.blocks, 0);
}

static void one_that_cannot_be_freed_is_tried_again(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t before;

	fx_file(fx, d, "other", "");
	before = fx_free_blocks(fx);
	waiting_file(fx, d);
	refusals = 0;
	no_memory = true;
	assert_int_not_equal(cffs_doomed(cffs_of(fx->fs)), 0);
	assert_int_equal(cffs_doomed(cffs_of(fx->fs)), 0); /* told once */
	no_memory = false;
	assert_true(refusals > 1);
	assert_int_equal(fx_free_blocks(fx), before);
}

/*
 * Where the blocks are was asked while the inode lay with the links.  Before they are bound it
 * loses its names, and the block that it lay in goes away: who asks again finds them.
 */
static void blocks_whose_owner_went_away_are_looked_for_again(void **state)
{
	struct fx *fx = *state;
	struct cffs *fs = cffs_of(fx->fs);
	libfs_ino_t ino = fx_create(fx, FX_ROOT, "a");
	static char bytes[20000];
	struct cffs_inode *inode;
	xn_binding_t binding;
	struct cffs_run run;
	unsigned tries = 0;

	fx_write(fx, ino, 0, bytes, sizeof(bytes));
	assert_ok(fx_link(fx, ino, FX_ROOT, "b"));
	assert_ok(cffs_inode_get(fs, ino, &inode));
	assert_ptr_equal(inode->dir, fs->xdir);
	assert_ok(cffs_map(fs, inode, 0, 1, &run));
	assert_ok(fx_unlink(fx, FX_ROOT, "b"));
	assert_ok(fx_unlink(fx, FX_ROOT, "a"));
	assert_ok(libfs_sync(fx->fs));
	assert_ok(libfs_sync(fx->fs));
	assert_int_equal(fs->xdir->b.blocks, 0);
	assert_true(cffs_retry(fs, cffs_run_bind(fs, &run, &binding), &tries));
	cffs_run_put(fs, &run);
	assert_ok(cffs_map(fs, inode, 0, 1, &run));
	assert_ok(cffs_run_bind(fs, &run, &binding));
	xn_unbind(fs->libfs.session, binding);
	cffs_run_put(fs, &run);
	cffs_inode_put(fs, inode);
	fx_forget(fx, ino);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, fx_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_that_becomes_an_orphan_meanwhile_is_freed),
		CASE(one_that_cannot_be_freed_is_tried_again),
		CASE(blocks_whose_owner_went_away_are_looked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
