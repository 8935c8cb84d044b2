/* SPDX-License-Identifier: MIT */
/* Full disks, quotas, small caches, big files. */
#include "suite.h"

#define M (1024ull * 1024)
#define G (1024 * M)

static void statfs_tells_the_truth(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	struct libfs_statfs before, after;
	char *bytes = calloc(1, 8 * M);

	assert_ok(libfs_statfs(fx->fs, &before));
	assert_int_equal(before.block_size, 4096);
	assert_int_equal(before.name_max, 255);
	assert_true(before.blocks <= 64 * M / 4096 && before.blocks > 60 * M / 4096);
	assert_true(before.blocks_free <= before.blocks);
	assert_true(before.blocks_available <= before.blocks_free);
	assert_true(before.files_free > 0 && before.files_free <= before.files);
	fx_write(fx, f, 0, bytes, 8 * M);
	assert_ok(libfs_statfs(fx->fs, &after));
	assert_true(after.blocks_free <= before.blocks_free - 2048);
	assert_true(after.blocks_free >= before.blocks_free - 2048 - 16);
	assert_int_equal(after.fsid, before.fsid);
	free(bytes);
}

/* Write until the disk is full; returns how many bytes went in. */
static uint64_t fill_file(struct fx *fx, libfs_ino_t ino, size_t step)
{
	char *bytes = malloc(step);
	uint64_t at = 0;
	ssize_t n;

	assert_non_null(bytes);
	memset(bytes, 'f', step);
	while ((n = libfs_write(fx->fs, fx_ctx(fx), ino, 0, at, bytes, step)) > 0)
		at += (uint64_t)n;
	assert_int_equal(n, -ENOSPC);
	free(bytes);
	return at;
}

static void fill_by_one_file(struct fx *fx, libfs_ino_t dir)
{
	libfs_ino_t f = fx_create(fx, dir, "big");
	uint64_t size = fill_file(fx, f, 100000);

	assert_int_equal(fx_size(fx, f), size);
	assert_true(size > fx->opts.size * 9 / 10);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), f, 0, 0, "over", 4), 4);
	fx_forget(fx, f);
	assert_ok(fx_unlink(fx, dir, "big"));
}

static void fill_by_small_files(struct fx *fx, libfs_ino_t dir)
{
	struct libfs_attr a;
	char name[32];
	int n, err = 0;

	for (n = 0; !err; n++) {
		snprintf(name, sizeof(name), "small-%d", n);
		err = libfs_create(fx->fs, fx_ctx(fx), dir, name, 0644, true, &a);
		if (err)
			break;
		err = (int)libfs_write(fx->fs, fx_ctx(fx), a.ino, 0, 0, name, sizeof(name));
		err = err > 0 ? 0 : err;
		fx_forget(fx, a.ino);
	}
	assert_refused(err, -ENOSPC);
	for (int i = 0; i <= n; i++) {
		snprintf(name, sizeof(name), "small-%d", i);
		err = fx_unlink(fx, dir, name);
		if (err)
			assert_int_equal(i, n);
	}
}

/* What a full disk was filled with comes back to the last block. */
static void a_full_disk_empties_again(void **state)
{
	struct fx_opts opts = { .libfs = *state, .size = 8 * M };
	static void (*const fills[])(struct fx *, libfs_ino_t) = { fill_by_one_file,
								   fill_by_small_files };

	for (size_t i = 0; i < 2; i++) {
		struct fx *fx = fx_new(&opts);
		uint64_t before = 0;

		/* The first time may leave tables behind that the others use again. */
		for (int round = 0; round < 3; round++) {
			libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "dir");

			fills[i](fx, dir);
			fx_forget(fx, dir);
			assert_ok(fx_rmdir(fx, FX_ROOT, "dir"));
			if (round == 0)
				before = fx_free_blocks(fx);
			else
				assert_int_equal(fx_free_blocks(fx), before);
			fx_remount(fx);
		}
		fx_fini(fx);
	}
}

static void on_a_full_disk_things_still_go_away(void **state)
{
	struct fx_opts opts = { .libfs = *state, .size = 6 * M };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), keep = fx_file(fx, d, "keep", "kept");
	libfs_ino_t big = fx_create(fx, FX_ROOT, "big");
	struct libfs_attr a;
	uint64_t size;

	fx_create(fx, d, "victim");
	size = fill_file(fx, big, 4096);
	assert_refused(fx_rename(fx, d, "keep", d, "held"), 0);
	assert_ok(fx_chmod(fx, keep, 0600));
	assert_ok(fx_unlink(fx, d, "victim"));
	assert_ok(fx_truncate(fx, big, size / 2));
	fx_write(fx, keep, 0, "room again", 10);
	assert_ok(libfs_mkdir(fx->fs, fx_ctx(fx), FX_ROOT, "new", 0755, &a));
	assert_content(fx, keep, "room again", 10);
	fx_fini(fx);
}

/* The space of a removed file is found again without anybody calling sync. */
static void space_is_reused_without_asking(void **state)
{
	struct fx_opts opts = { .libfs = *state, .size = 8 * M };
	struct fx *fx = fx_new(&opts);
	char *bytes = calloc(1, 5 * M);

	for (int i = 0; i < 20; i++) {
		libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

		fx_write(fx, f, 0, bytes, 5 * M);
		fx_forget(fx, f);
		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	}
	free(bytes);
	fx_fini(fx);
}

/* Fill the disk through one file system, delete, use the space through the other. */
static void space_moves_between_neighbours(void **state)
{
	struct fx_opts opts = { .libfs = *state, .size = 8 * M };
	struct fx *fx = fx_new(&opts);
	struct libfs_mkfs_opts mkfs = { .root = "other", .now = fx_ctx(fx)->now };
	struct libfs_mount_opts mount = { .root = "other" };
	struct libfs *both[2] = { fx->fs };
	struct xn_session *session;

	assert_ok(libfs_mkfs(fx->session, fx->opts.libfs, &mkfs));
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &session));
	assert_ok(libfs_mount(session, &mount, &both[1]));
	for (int i = 0; i < 6; i++) {
		libfs_ino_t f;
		uint64_t size;

		fx->fs = both[i % 2];
		f = fx_create(fx, FX_ROOT, "big");
		size = fill_file(fx, f, 70000);
		assert_true(size > 7 * M);
		if (i >= 3)
			assert_ok(libfs_fsync(fx->fs, f, false));
		fx_forget(fx, f);
		assert_ok(fx_unlink(fx, FX_ROOT, "big"));
	}
	fx->fs = both[0];
	assert_ok(libfs_unmount(both[1]));
	xn_session_close(session);
	fx_fini(fx);
}

static void a_quota_is_the_end_of_the_disk(void **state)
{
	struct fx_opts opts = { .libfs = *state, .quota = 500 };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	char *bytes = calloc(1, 3 * M);
	struct libfs_statfs statfs;
	ssize_t n, more;

	assert_ok(libfs_statfs(fx->fs, &statfs));
	assert_int_equal(statfs.blocks, 500);
	n = libfs_write(fx->fs, fx_ctx(fx), f, 0, 0, bytes, 3 * M);
	assert_true(n > (ssize_t)M && n < (ssize_t)(2 * M));
	more = libfs_write(fx->fs, fx_ctx(fx), f, 0, (uint64_t)n, bytes, 2 * M);
	assert_true(more == -EDQUOT || more == -ENOSPC || more > 0);
	while (more > 0)
		more = libfs_write(fx->fs, fx_ctx(fx), f, 0, fx_size(fx, f), bytes, 4096);
	assert_true(more == -EDQUOT || more == -ENOSPC);
	for (int i = 0; i < 5; i++) {
		assert_ok(fx_truncate(fx, f, 0));
		if (i % 2)
			assert_ok(libfs_sync(fx->fs));
		fx_write(fx, f, 0, bytes, M);
	}
	free(bytes);
	fx_fini(fx);
}

static void a_small_cache_holds_any_file(void **state)
{
	struct fx_opts opts = { .libfs = *state, .cache = 1 * M };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	char *bytes = malloc(24 * M);
	uint64_t before;

	for (size_t i = 0; i < 24 * M; i++)
		bytes[i] = (char)(i * 31 + i / 4096);
	before = fx_free_blocks(fx);
	fx_write(fx, f, 0, bytes, 24 * M);
	assert_content(fx, f, bytes, 24 * M);
	fx_remount(fx);
	assert_content(fx, f, bytes, 24 * M);
	assert_ok(fx_truncate(fx, f, 0));
	assert_int_equal(fx_free_blocks(fx), before);
	free(bytes);
	fx_fini(fx);
}

/* The file is sparse: its pointers alone are many times the cache. */
static void removing_four_gigabytes_with_a_small_cache(void **state)
{
	struct fx_opts opts = { .libfs = *state, .cache = 1 * M };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint64_t before = fx_free_blocks(fx);

	for (uint64_t off = 0; off < 4 * G + 64 * M; off += 1 * M)
		fx_write(fx, f, off, "here", 4);
	assert_true(fx_attr(fx, f).blocks * 512 > 4096 * 4096);
	fx_remount(fx);
	fx_forget(fx, fx_find(fx, FX_ROOT, "f"));
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_int_equal(fx_free_blocks(fx), before);
	fx_fini(fx);
}

static void cutting_four_gigabytes_in_pieces(void **state)
{
	struct fx_opts opts = { .libfs = *state, .cache = 1 * M };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint64_t before = fx_free_blocks(fx);

	for (uint64_t off = 0; off < 4 * G + 64 * M; off += 2 * M)
		fx_write(fx, f, off, "here", 4);
	for (uint64_t size = 4 * G; size > 1000; size = size / 3 + 1) {
		uint64_t blocks = fx_attr(fx, f).blocks;

		assert_ok(fx_truncate(fx, f, size));
		assert_true(fx_attr(fx, f).blocks < blocks || size < 2 * M);
	}
	assert_ok(fx_truncate(fx, f, 0));
	assert_int_equal(fx_attr(fx, f).blocks, 0);
	assert_int_equal(fx_free_blocks(fx), before);
	fx_fini(fx);
}

/*
 * What was removed and waits to be taken apart keeps its pages, and no sync writes them.  Nobody
 * syncs here, and nobody is idle enough to reap: who needs room must see to it.
 */
static void what_was_removed_does_not_fill_a_small_cache(void **state)
{
	struct fx_opts opts = { .libfs = *state, .cache = 1 * M };
	struct fx *fx = fx_new(&opts);

	for (unsigned round = 0; round < 100; round++) {
		libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
		unsigned n = 20 + round % 50;

		for (uint64_t off = 0; off < n * M; off += 1 * M)
			fx_write(fx, f, off, "here", 4);
		if (round % 2)
			assert_ok(libfs_fsync(fx->fs, f, false));
		for (uint64_t off = 0; off < n * M && round % 3; off += 1 * M)
			fx_write(fx, f, off, "then", 4);
		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
		fx_forget(fx, f);
	}
	fx_fini(fx);
}

static const struct CMUnitTest tests[] = {
	CASE(statfs_tells_the_truth),
	CASE_OWN(a_full_disk_empties_again),
	CASE_OWN(on_a_full_disk_things_still_go_away),
	CASE_OWN(space_is_reused_without_asking),
	CASE_OWN(space_moves_between_neighbours),
	CASE_OWN(a_quota_is_the_end_of_the_disk),
	CASE_OWN(a_small_cache_holds_any_file),
	CASE_OWN(removing_four_gigabytes_with_a_small_cache),
	CASE_OWN(cutting_four_gigabytes_in_pieces),
	CASE_OWN(what_was_removed_does_not_fill_a_small_cache),
};

SUITE(space_suite, tests);
