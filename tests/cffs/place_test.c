/* SPDX-License-Identifier: MIT */
/* Where files come to lie, what that costs, and when it is written. */
#include "fs_fixture.h"

#include "internal.h"

#define WINDOW 16u

static int setup(void **state)
{
	struct fx_opts opts = { .libfs = "cffs", .size = 256ull << 20 };

	*state = fx_new(&opts);
	return 0;
}

/* Unmount, and mount with options. */
static int mount_with(struct fx *fx, const char *options, char why[256])
{
	struct libfs_mount_opts opts = {
		.root = "test", .options = options, .why = why, .why_size = 256
	};

	if (fx->fs)
		assert_ok(libfs_unmount(fx->fs));
	fx->fs = NULL;
	return libfs_mount(fx->session, &opts, &fx->fs);
}

struct place {
	xn_blk_t start;
	uint64_t count;
	unsigned extents;
};

static struct place place_of(struct fx *fx, libfs_ino_t ino)
{
	struct cffs *fs = cffs_of(fx->fs);
	struct place place = { 0 };
	struct cffs_inode *inode;
	uint64_t blocks;

	assert_ok(cffs_inode_get(fs, ino, &inode));
	blocks = (inode->b.size + CFFS_BLOCK - 1) / CFFS_BLOCK;
	for (uint64_t at = 0; at < blocks;) {
		struct cffs_run run;

		pthread_rwlock_rdlock(&inode->lock);
		assert_ok(cffs_map(fs, inode, at, blocks - at, &run));
		pthread_rwlock_unlock(&inode->lock);
		if (run.owner)
			cffs_hold_put(fs, run.owner);
		if (run.start && !place.extents)
			place.start = run.start;
		place.extents += run.start != 0;
		place.count += run.start ? run.count : 0;
		at += run.count;
	}
	cffs_inode_put(fs, inode);
	return place;
}

/* One file of so many bytes, not referenced any more; where it lies. */
static struct place given_file(struct fx *fx, libfs_ino_t dir, unsigned number, size_t len)
{
	struct place place;
	libfs_ino_t ino;
	char name[16];
	char *bytes = calloc(1, len);

	assert_non_null(bytes);
	memset(bytes, 'b', len);
	snprintf(name, sizeof(name), "f%u", number);
	ino = fx_create(fx, dir, name);
	fx_write(fx, ino, 0, bytes, len);
	place = place_of(fx, ino);
	fx_forget(fx, ino);
	free(bytes);
	return place;
}

/* ---- groups ---- */

static void files_of_a_directory_lie_side_by_side(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	xn_blk_t next = 0;

	for (unsigned i = 0; i < 100; i++) {
		struct place place = given_file(fx, dir, i, 1000 + i % 5 * 4096);

		assert_int_equal(place.extents, 1);
		assert_int_equal(place.count, 1 + i % 5);
		/* All in one stretch, but for ends of windows that were too short. */
		if (i)
			assert_true(place.start >= next && place.start < next + 5);
		next = place.start + place.count;
	}
}

static void directories_made_in_a_row_leave_no_gaps(void **state)
{
	struct fx *fx = *state;
	xn_blk_t next = 0;
	unsigned breaks = 0;

	for (unsigned d = 0; d < 30; d++) {
		char name[16];
		libfs_ino_t dir;

		snprintf(name, sizeof(name), "d%u", d);
		dir = fx_mkdir(fx, FX_ROOT, name);
		for (unsigned i = 0; i < 10; i++) {
			struct place place = given_file(fx, dir, i, 1000);

			breaks += next && place.start != next;
			next = place.start + 1;
		}
		fx_forget(fx, dir);
	}
	assert_true(breaks <= 2);
}

/* Four directories that grow at the same time: each has windows of its own. */
static void directories_that_grow_together_keep_apart(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir[4];
	xn_blk_t last[4] = { 0 };
	unsigned jumps = 0;

	for (unsigned d = 0; d < 4; d++) {
		char name[16];

		snprintf(name, sizeof(name), "d%u", d);
		dir[d] = fx_mkdir(fx, FX_ROOT, name);
	}
	for (unsigned i = 0; i < 160; i++)
		for (unsigned d = 0; d < 4; d++) {
			struct place place = given_file(fx, dir[d], i, 1000);

			jumps += last[d] && place.start != last[d] + 1;
			last[d] = place.start;
		}
	/* 160 files are ten windows; the first may be cut short by a neighbour's. */
	assert_true(jumps <= 4 * 11);
}

static void what_was_removed_is_filled_again(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	xn_blk_t hole[4];

	for (unsigned i = 0; i < WINDOW * 3; i++) {
		struct place place = given_file(fx, dir, i, 1000);

		if (i >= 20 && i < 24)
			hole[i - 20] = place.start;
	}
	for (unsigned i = 20; i < 24; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		assert_ok(fx_truncate(fx, fx_find(fx, dir, name), 0));
		assert_ok(fx_unlink(fx, dir, name));
	}
	fx_settle(fx);
	for (unsigned i = 0; i < 4; i++) {
		struct place place;
		unsigned k = 0;

		do
			place = given_file(fx, dir, 1000 + i * 100 + k, 1000);
		while (place.start > hole[3] && ++k < 40);
		assert_true(place.start >= hole[0] && place.start <= hole[3]);
	}
}

static void a_directory_goes_on_where_it_was_after_a_mount(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	struct place before, after;

	for (unsigned i = 0; i < 10; i++)
		before = given_file(fx, dir, i, 1000);
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	after = given_file(fx, dir, 10, 1000);
	assert_int_equal(after.start, before.start + 1);
}

static unsigned windows_of(struct fx *fx, libfs_ino_t dir, unsigned files, uint64_t *blocks)
{
	xn_blk_t seen[1024];
	unsigned n = 0;

	*blocks = 0;
	for (unsigned i = 0; i < files; i++) {
		struct libfs_attr attr;
		struct place place;
		char name[16];
		unsigned k = 0;

		snprintf(name, sizeof(name), "f%u", i);
		if (libfs_lookup(fx->fs, fx_ctx(fx), dir, name, &attr))
			continue;
		place = place_of(fx, attr.ino);
		fx_forget(fx, attr.ino);
		*blocks += place.count;
		while (k < n && seen[k] != place.start / WINDOW)
			k++;
		if (k == n)
			seen[n++] = place.start / WINDOW;
	}
	return n;
}

static uint8_t byte_of(unsigned file)
{
	return (uint8_t)(file * 7 + 1);
}

/* Nine of ten files go: what is left comes together again, as it was. */
static void a_group_that_decayed_is_formed_again(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	char bytes[6000], name[16];
	uint64_t blocks;
	unsigned before;

	for (unsigned i = 0; i < 400; i++) {
		libfs_ino_t f;

		snprintf(name, sizeof(name), "f%u", i);
		memset(bytes, byte_of(i), sizeof(bytes));
		f = fx_create(fx, dir, name);
		fx_write(fx, f, 0, bytes, 3000 + i % 2 * 3000);
		fx_forget(fx, f);
	}
	fx_settle(fx);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (i % 10)
			assert_ok(fx_unlink(fx, dir, name));
	}
	before = windows_of(fx, dir, 400, &blocks);
	assert_true(before > 2 * (blocks / WINDOW + 1));
	fx_settle(fx);
	assert_true(windows_of(fx, dir, 400, &blocks) <= blocks / WINDOW + 2);
	fx_crash(fx, false);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 0; i < 400; i += 10) {
		snprintf(name, sizeof(name), "f%u", i);
		memset(bytes, byte_of(i), sizeof(bytes));
		assert_content(fx, fx_find(fx, dir, name), bytes, 3000 + i % 2 * 3000);
	}
	assert_true(windows_of(fx, dir, 400, &blocks) <= blocks / WINDOW + 2);
}

/* ---- growing ---- */

static void a_small_file_that_cannot_grow_moves_as_a_whole(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	libfs_ino_t a = fx_create(fx, dir, "a"), b = fx_create(fx, dir, "b");
	char bytes[CFFS_BLOCK], model[16 * CFFS_BLOCK];

	for (unsigned i = 0; i < CFFS_SMALL; i++) {
		memset(bytes, 'a' + (int)i, sizeof(bytes));
		memcpy(model + i * sizeof(bytes), bytes, sizeof(bytes));
		fx_write(fx, a, i * sizeof(bytes), bytes, sizeof(bytes));
		fx_write(fx, b, i * sizeof(bytes), bytes, sizeof(bytes));
		assert_int_equal(place_of(fx, a).extents, 1);
		assert_int_equal(place_of(fx, b).extents, 1);
		assert_int_equal(fx_attr(fx, a).blocks, (i + 1) * 8);
	}
	assert_content(fx, a, model, CFFS_SMALL * CFFS_BLOCK);
	assert_content(fx, b, model, CFFS_SMALL * CFFS_BLOCK);
	fx_settle(fx);
	for (unsigned i = CFFS_SMALL; i < 16; i++) {
		memset(bytes, 'a' + (int)i, sizeof(bytes));
		memcpy(model + i * sizeof(bytes), bytes, sizeof(bytes));
		fx_write(fx, a, i * sizeof(bytes), bytes, sizeof(bytes));
		fx_write(fx, b, i * sizeof(bytes), bytes, sizeof(bytes));
	}
	assert_true(place_of(fx, a).extents <= 2);
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	assert_content(fx, fx_find(fx, dir, "a"), model, sizeof(model));
	assert_content(fx, fx_find(fx, dir, "b"), model, sizeof(model));
}

/* The disk takes no writes any more, and `fill` blocks of another file fill the cache. Returns how many did. */
static unsigned no_writes_and_a_cache_filled(struct fx *fx, libfs_ino_t filler, unsigned fill)
{
	const struct bdev_fault fault = {
		.kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_WRITE, .nth = 1, .forever = true
	};
	static const char block[CFFS_BLOCK] = "fill";
	unsigned n = 0;

	bdev_fault_arm(fx->dev, &fault);
	while (n < fill && libfs_write(fx->fs, fx_ctx(fx), filler, 0, (uint64_t)n * CFFS_BLOCK,
				       block, sizeof(block)) == sizeof(block))
		n++;
	return n;
}

/* Returns how many blocks it took to fill the cache. */
static unsigned move_with_no_room(unsigned fill)
{
	struct fx_opts opts = { .libfs = "cffs", .cache = 1 << 20 };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d"), a = fx_create(fx, dir, "a"),
		    filler = fx_create(fx, FX_ROOT, "filler");
	char model[3 * CFFS_BLOCK];
	unsigned n;
	ssize_t len;

	memset(model, 'm', sizeof(model));
	fx_write(fx, a, 0, model, 2 * CFFS_BLOCK);
	fx_file(fx, dir, "b",
		"in the way, and longer than what an entry holds, so that it has a "
		"block: ................................................................"
		"................................................................");
	assert_int_equal(place_of(fx, a).extents, 1);
	fx_settle(fx);
	n = no_writes_and_a_cache_filled(fx, filler, fill);
	len = libfs_write(fx->fs, fx_ctx(fx), a, 0, 2 * CFFS_BLOCK, model, CFFS_BLOCK);
	assert_true(len < 0 || len == CFFS_BLOCK);
	len = len < 0 ? 2 * CFFS_BLOCK : 3 * CFFS_BLOCK;
	bdev_fault_disarm(fx->dev);
	fx_settle(fx);
	assert_content(fx, a, model, (size_t)len);
	fx_remount(fx);
	assert_content(fx, fx_find(fx, fx_find(fx, FX_ROOT, "d"), "a"), model, (size_t)len);
	fx_fini(fx);
	return n;
}

static void a_move_that_fails_loses_nothing(void **state)
{
	unsigned full = move_with_no_room(100000);

	(void)state;
	for (unsigned fill = full < 24 ? 0 : full - 24; fill <= full; fill++)
		move_with_no_room(fill);
}

static void large_files_written_together_are_in_few_pieces(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t a = fx_create(fx, FX_ROOT, "a"), b = fx_create(fx, FX_ROOT, "b");
	char *bytes = calloc(1, 128 << 10);

	assert_non_null(bytes);
	for (uint64_t at = 0; at < 16ull << 20; at += 128 << 10) {
		fx_write(fx, a, at, bytes, 128 << 10);
		fx_write(fx, b, at, bytes, 128 << 10);
	}
	free(bytes);
	assert_true(place_of(fx, a).extents <= 16);
	assert_true(place_of(fx, b).extents <= 16);
}

static void one_large_file_is_one_piece(void **state)
{
	struct fx *fx = *state;
	struct place place = given_file(fx, FX_ROOT, 0, 20u << 20);

	assert_true(place.extents <= 2);
	assert_int_equal(place.count, 5120);
}

/* ---- inline ---- */

static void a_tiny_file_has_no_block(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "tiny");
	char bytes[200];

	/* At most a sector: one that says none would be taken for a hole by tar. */
	assert_true(fx_attr(fx, f).blocks <= 1);
	memset(bytes, 'x', sizeof(bytes));
	fx_write(fx, f, 4, bytes, 124);
	assert_true(fx_attr(fx, f).blocks <= 1);
	assert_int_equal(libfs_seek(fx->fs, fx_ctx(fx), f, 0, SEEK_DATA), 0);
	assert_int_equal(libfs_seek(fx->fs, fx_ctx(fx), f, 0, SEEK_HOLE), 128);
	fx_write(fx, f, 128, "y", 1);
	assert_int_equal(fx_attr(fx, f).blocks, 8);
	assert_ok(fx_truncate(fx, f, 0));
	assert_int_equal(fx_attr(fx, f).blocks, 0);
	fx_write(fx, f, 10, "again", 5);
	assert_true(fx_attr(fx, f).blocks <= 1);
	fx_remount(fx);
	assert_content(fx, fx_find(fx, FX_ROOT, "f"), "\0\0\0\0\0\0\0\0\0\0again", 15);
}

/* ---- what is written when ---- */

static uint64_t flushes(struct fx *fx)
{
	struct xn_stats stats;

	xn_stats(fx->xn, &stats);
	return stats.flushes;
}

static void fsync_of_a_new_small_file_is_one_flush(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d"), f;
	char bytes[1024] = "x";
	uint64_t before;

	given_file(fx, dir, 0, 1024);
	fx_settle(fx);
	for (unsigned i = 1; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "new%u", i);
		f = fx_create(fx, dir, name);
		fx_write(fx, f, 0, bytes, sizeof(bytes));
		before = flushes(fx);
		assert_ok(libfs_fsync(fx->fs, f, false));
		assert_int_equal(flushes(fx), before + 1);
		assert_ok(libfs_fsync(fx->fs, f, false));
		assert_true(flushes(fx) <= before + 2);
	}
}

/* Much that nobody asked to be durable. */
static void others_dirty(struct fx *fx)
{
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "other%u", i);
		fx_file(fx, fx_mkdir(fx, FX_ROOT, name), "file", "not asked for");
	}
}

/* `name`: another of the file; NULL: it has one. */
static void fdatasync_is_one_flush(struct fx *fx, const char *name)
{
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	char bytes[8192] = "x";
	uint64_t before;

	if (name)
		assert_ok(fx_link(fx, f, FX_ROOT, name));
	fx_write(fx, f, 0, bytes, sizeof(bytes));
	assert_ok(libfs_fsync(fx->fs, f, false));
	fx_settle(fx);
	memset(bytes + 4096, 'n', 4096);
	fx_write(fx, f, 4096, bytes + 4096, 4096);
	others_dirty(fx);
	before = flushes(fx);
	assert_ok(libfs_fsync(fx->fs, f, true));
	assert_int_equal(flushes(fx), before + 1);
	fx_crash(fx, false);
	assert_content(fx, fx_find(fx, FX_ROOT, name ? name : "f"), bytes, sizeof(bytes));
}

static void fdatasync_of_an_overwrite_is_one_flush(void **state)
{
	fdatasync_is_one_flush(*state, NULL);
}

static void fdatasync_of_an_overwrite_of_a_linked_file_is_one_flush(void **state)
{
	fdatasync_is_one_flush(*state, "g");
}

static void a_file_whose_inode_was_forgotten_is_still_synced(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	struct cffs *fs = cffs_of(fx->fs);
	struct cffs_inode *inode;
	char bytes[3000];

	memset(bytes, 'z', sizeof(bytes));
	fx_write(fx, f, 0, bytes, sizeof(bytes));
	/* As if it had been evicted and read again: what was dirty is not known any more. */
	assert_ok(cffs_inode_get(fs, f, &inode));
	assert_ok(cffs_inode_flush(fs, inode));
	cffs_file_forget(fs, inode);
	cffs_inode_put(fs, inode);
	assert_ok(libfs_fsync(fx->fs, f, true));
	fx_crash(fx, false);
	assert_content(fx, fx_find(fx, FX_ROOT, "f"), bytes, sizeof(bytes));
}

static void through_writes_each_change(void **state)
{
	struct fx *fx = *state;
	char why[256];
	libfs_ino_t d, f;

	assert_ok(mount_with(fx, "through", why));
	d = fx_mkdir(fx, FX_ROOT, "d");
	f = fx_file(fx, d, "f", "this is longer than nothing");
	fx_write(fx, f, 8000, "far", 3);
	assert_ok(fx_rename(fx, d, "f", FX_ROOT, "g"));
	fx_crash(fx, false);
	assert_names(fx, FX_ROOT, "d g");
	assert_int_equal(fx_size(fx, fx_find(fx, FX_ROOT, "g")), 8003);
}

static void mount_options_are_words_it_knows(void **state)
{
	struct fx *fx = *state;
	char why[256] = "";

	assert_refused(mount_with(fx, "through,often", why), -EINVAL);
	assert_non_null(strstr(why, "often"));
	assert_refused(mount_with(fx, "throug", why), -EINVAL);
	assert_ok(mount_with(fx, "delayed,,through,", why));
	assert_ok(mount_with(fx, "", why));
}

/* ---- after a crash ---- */

/* A data block past the end of the file: it is not seen when the end moves over it. */
static void what_a_crash_left_behind_the_end_is_not_seen(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	struct cffs *fs = cffs_of(fx->fs);
	struct cffs_inode *inode;
	char bytes[3 * CFFS_BLOCK];

	memset(bytes, 's', sizeof(bytes));
	fx_write(fx, f, 0, bytes, sizeof(bytes));
	fx_settle(fx);
	/* The size of an earlier time, as if what made it grow were lost. */
	assert_ok(cffs_inode_get(fs, f, &inode));
	pthread_rwlock_wrlock(&inode->lock);
	pthread_mutex_lock(&fs->lock);
	inode->b.size = 5000;
	cffs_inode_dirty(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	pthread_rwlock_unlock(&inode->lock);
	cffs_inode_put(fs, inode);
	fx_close_anyhow(fx);
	fx_open(fx);
	fx_mount(fx, 0);
	f = fx_find(fx, FX_ROOT, "f");
	assert_int_equal(fx_size(fx, f), 5000);
	assert_ok(fx_truncate(fx, f, sizeof(bytes)));
	assert_zeroes(fx, f, 5000, sizeof(bytes) - 5000);
	assert_int_equal(fx_attr(fx, f).blocks, 16);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, fx_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(files_of_a_directory_lie_side_by_side),
		CASE(directories_made_in_a_row_leave_no_gaps),
		CASE(directories_that_grow_together_keep_apart),
		CASE(what_was_removed_is_filled_again),
		CASE(a_group_that_decayed_is_formed_again),
		CASE(a_directory_goes_on_where_it_was_after_a_mount),
		CASE(a_small_file_that_cannot_grow_moves_as_a_whole),
		cmocka_unit_test(a_move_that_fails_loses_nothing),
		CASE(large_files_written_together_are_in_few_pieces),
		CASE(one_large_file_is_one_piece),
		CASE(a_tiny_file_has_no_block),
		CASE(fsync_of_a_new_small_file_is_one_flush),
		CASE(fdatasync_of_an_overwrite_is_one_flush),
		CASE(fdatasync_of_an_overwrite_of_a_linked_file_is_one_flush),
		CASE(a_file_whose_inode_was_forgotten_is_still_synced),
		CASE(through_writes_each_change),
		CASE(mount_options_are_words_it_knows),
		CASE(what_a_crash_left_behind_the_end_is_not_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
