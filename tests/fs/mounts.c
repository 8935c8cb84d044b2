/* SPDX-License-Identifier: MIT */
/* Mounting: what persists, read-only mounts, neighbours, what cannot be mounted. */
#include "suite.h"

static void assert_same_time(struct timespec a, struct timespec b)
{
	assert_int_equal(a.tv_sec, b.tv_sec);
	assert_int_equal(a.tv_nsec, b.tv_nsec);
}

/* Member by member: there is room between them. */
static void assert_same_attr(const struct libfs_attr *a, const struct libfs_attr *b)
{
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->nlink, b->nlink);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->rdev, b->rdev);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->blocks, b->blocks);
	assert_int_equal(a->blksize, b->blksize);
	assert_int_equal(a->flags, b->flags);
	assert_same_time(a->atime, b->atime);
	assert_same_time(a->mtime, b->mtime);
	assert_same_time(a->ctime, b->ctime);
	assert_same_time(a->btime, b->btime);
}

static void everything_persists(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_file(fx, d, "f", "content");
	struct libfs_attr before, after,
		times = { .atime = { -1, 999999999 }, .mtime = { 1ll << 33, 1 } };

	assert_ok(fx_chmod(fx, f, 04751));
	assert_ok(fx_chown(fx, f, 4000000000u, 3));
	assert_ok(libfs_setattr(fx->fs, fx_ctx(fx), f, &times, LIBFS_SET_ATIME | LIBFS_SET_MTIME,
				&before));
	fx_remount(fx);
	after = fx_attr(fx, fx_find(fx, fx_find(fx, FX_ROOT, "d"), "f"));
	assert_same_attr(&before, &after);
	assert_content(fx, f, "content", 7);
}

static void a_read_only_mount_shows_and_changes_nothing(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_file(fx, FX_ROOT, "f", "content");
	struct libfs_attr a = { .mode = 0600 };
	uint64_t handle;

	fx_close(fx);
	fx_open(fx);
	fx_mount(fx, LIBFS_MOUNT_RDONLY);
	assert_int_equal(fx_find(fx, FX_ROOT, "f"), f);
	assert_content(fx, f, "content", 7);
	assert_names(fx, FX_ROOT, "d f");
	assert_refused(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, "n", 0644, true, &a), -EROFS);
	assert_refused(libfs_mkdir(fx->fs, fx_ctx(fx), FX_ROOT, "n", 0755, &a), -EROFS);
	assert_refused(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, "n", S_IFIFO, 0, &a), -EROFS);
	assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "n", "t", &a), -EROFS);
	assert_refused(fx_link(fx, f, FX_ROOT, "n"), -EROFS);
	assert_refused(fx_unlink(fx, FX_ROOT, "f"), -EROFS);
	assert_refused(fx_rmdir(fx, FX_ROOT, "d"), -EROFS);
	assert_refused(fx_rename(fx, FX_ROOT, "f", d, "f"), -EROFS);
	assert_refused(fx_chmod(fx, f, 0), -EROFS);
	assert_refused(fx_truncate(fx, f, 0), -EROFS);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), f, 0, 0, "x", 1), -EROFS);
	assert_refused(libfs_fallocate(fx->fs, fx_ctx(fx), f, 0, 0, 1), -EROFS);
	assert_refused(libfs_open(fx->fs, fx_ctx(fx), f, O_RDWR, &handle), -EROFS);
	assert_refused(libfs_open(fx->fs, fx_ctx(fx), f, O_RDONLY | O_TRUNC, &handle), -EROFS);
	assert_refused(libfs_access(fx->fs, fx_ctx(fx), f, LIBFS_MAY_WRITE), -EROFS);
	assert_ok(libfs_access(fx->fs, fx_ctx(fx), f, LIBFS_MAY_READ));
	assert_ok(libfs_open(fx->fs, fx_ctx(fx), f, O_RDONLY, &handle));
	libfs_release(fx->fs, f, handle);
	assert_ok(libfs_fsync(fx->fs, f, false));
	assert_ok(libfs_sync(fx->fs));
}

static void a_disk_opened_read_only_is_mounted_read_only(void **state)
{
	struct fx *fx = *state;
	struct xn_open_opts opts = { .flags = XN_OPEN_RDONLY | XN_OPEN_BORROW_DEV };
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "content");
	struct bdev *recorder, *below = fx->dev;
	struct bdev_counts counts;

	fx_close(fx);
	assert_ok(bdev_recorder_create(below, &recorder));
	fx->dev = recorder;
	assert_ok(xn_open_dev(recorder, &opts, &fx->xn));
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &fx->session));
	fx_mount(fx, 0);
	assert_true(fx->fs->flags & LIBFS_MOUNT_RDONLY);
	assert_content(fx, f, "content", 7);
	assert_refused(fx_unlink(fx, FX_ROOT, "f"), -EROFS);
	fx_close(fx);
	bdev_recorder_counts(recorder, &counts);
	assert_int_equal(counts.writes + counts.discards + counts.zeroes, 0);
}

static void what_is_no_root_cannot_be_mounted(void **state)
{
	struct fx *fx = *state;
	char why[200] = "";
	struct libfs_mount_opts opts = { .root = "none", .why = why, .why_size = sizeof(why) };
	struct libfs *other;

	assert_refused(libfs_mount(fx->session, &opts, &other), -ENOENT);
	assert_non_null(strstr(why, "none"));
}

static void a_root_of_that_name_exists_already(void **state)
{
	struct fx *fx = *state;
	char why[200] = "";
	struct libfs_mkfs_opts opts = {
		.root = "test",
		.now = fx_ctx(fx)->now,
		.why = why,
		.why_size = sizeof(why),
	};

	assert_refused(libfs_mkfs(fx->session, fx->opts.libfs, &opts), -EEXIST);
	assert_true(why[0] != '\0');
	opts.root = "a/b";
	assert_refused(libfs_mkfs(fx->session, fx->opts.libfs, &opts), -EINVAL);
	opts.root = "other";
	assert_refused(libfs_mkfs(fx->session, "nosuchfs", &opts), -ENOENT);
	assert_refused(libfs_mkfs(fx->session, "../evil", &opts), -EINVAL);
}

static void mkfs_gives_the_root_directory_to_whom_it_is_told(void **state)
{
	struct fx *fx = *state;
	struct libfs_mkfs_opts opts = {
		.root = "other",
		.uid = 77,
		.gid = 78,
		.mode = 01750,
		.now = { 1234567890, 987654321 },
	};
	struct libfs_mount_opts mount = { .root = "other" };
	struct xn_session *session;
	struct libfs *other;
	struct libfs_attr a;

	assert_ok(libfs_mkfs(fx->session, fx->opts.libfs, &opts));
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &session));
	assert_ok(libfs_mount(session, &mount, &other));
	assert_ok(libfs_getattr(other, fx_ctx(fx), FX_ROOT, &a));
	assert_int_equal(a.uid, 77);
	assert_int_equal(a.gid, 78);
	assert_int_equal(a.mode, S_IFDIR | 01750);
	assert_int_equal(a.mtime.tv_sec, 1234567890);
	assert_int_equal(a.btime.tv_nsec, 987654321);
	assert_ok(libfs_unmount(other));
	xn_session_close(session);
}

/* Two file systems on one disk, in turns: nothing of one shows in the other. */
static void neighbours_share_the_disk_and_nothing_else(void **state)
{
	struct fx *fx = *state;
	struct libfs_mkfs_opts opts = { .root = "other", .now = fx_ctx(fx)->now };
	struct libfs_mount_opts mount = { .root = "other" };
	struct libfs *mine = fx->fs, *other;
	struct xn_session *session;
	char name[16], text[64];

	assert_ok(libfs_mkfs(fx->session, fx->opts.libfs, &opts));
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &session));
	assert_ok(libfs_mount(session, &mount, &other));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%d", i % 50);
		snprintf(text, sizeof(text), "%s of round %d", i % 2 ? "mine" : "others", i / 50);
		fx->fs = i % 2 ? mine : other;
		if (fx_lookup(fx, FX_ROOT, name) == 0)
			assert_ok(fx_unlink(fx, FX_ROOT, name));
		fx_forget(fx, fx_file(fx, FX_ROOT, name, text));
	}
	for (int i = 0; i < 50; i++) {
		fx->fs = i % 2 ? mine : other;
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(text, sizeof(text), "%s of round 3", i % 2 ? "mine" : "others");
		assert_content(fx, fx_find(fx, FX_ROOT, name), text, strlen(text));
		fx->fs = i % 2 ? other : mine;
		assert_refused(fx_lookup(fx, FX_ROOT, name), -ENOENT);
	}
	fx->fs = mine;
	assert_ok(libfs_unmount(other));
	xn_session_close(session);
}

static void many_mounts_in_a_row(void **state)
{
	struct fx *fx = *state;
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		fx_file(fx, FX_ROOT, name, name);
		assert_ok(libfs_unmount(fx->fs));
		fx_mount(fx, 0);
		assert_content(fx, fx_find(fx, FX_ROOT, name), name, strlen(name));
	}
}

static void operations_a_libfs_lacks_say_so(void **state)
{
	struct fx *fx = *state;
	struct libfs_ops none = { .unmount = NULL };
	struct libfs_type type = { .name = "none", .ops = &none };
	struct libfs empty = { .type = &type };
	const struct libfs_ctx *ctx = fx_ctx(fx);
	struct libfs_dirent entry;
	struct libfs_statfs statfs;
	struct libfs_attr a = { .size = 0 };
	uint64_t handle;
	char b[8];

	assert_refused(libfs_unmount(&empty), -ENOSYS);
	assert_refused(libfs_lookup(&empty, ctx, 1, "x", &a), -ENOSYS);
	assert_refused(libfs_find(&empty, 1, 1, &a), -ENOSYS);
	assert_refused(libfs_getattr(&empty, ctx, 1, &a), -ENOSYS);
	assert_refused(libfs_setattr(&empty, ctx, 1, &a, 0, &a), -ENOSYS);
	assert_refused(libfs_access(&empty, ctx, 1, 0), -ENOSYS);
	assert_refused(libfs_create(&empty, ctx, 1, "x", 0, true, &a), -ENOSYS);
	assert_refused(libfs_mkdir(&empty, ctx, 1, "x", 0, &a), -ENOSYS);
	assert_refused(libfs_mknod(&empty, ctx, 1, "x", 0, 0, &a), -ENOSYS);
	assert_refused(libfs_symlink(&empty, ctx, 1, "x", "t", &a), -ENOSYS);
	assert_refused(libfs_link(&empty, ctx, 1, 1, "x", &a), -ENOSYS);
	assert_refused(libfs_unlink(&empty, ctx, 1, "x"), -ENOSYS);
	assert_refused(libfs_rmdir(&empty, ctx, 1, "x"), -ENOSYS);
	assert_refused(libfs_rename(&empty, ctx, 1, "x", 1, "y", 0), -ENOSYS);
	assert_int_equal(libfs_readlink(&empty, ctx, 1, b, 8), -ENOSYS);
	assert_int_equal(libfs_readdir(&empty, ctx, 1, 0, 0, &entry, 1), -ENOSYS);
	assert_refused(libfs_open(&empty, ctx, 1, 0, &handle), -ENOSYS);
	assert_int_equal(libfs_read(&empty, ctx, 1, 0, 0, b, 8), -ENOSYS);
	assert_int_equal(libfs_write(&empty, ctx, 1, 0, 0, b, 8), -ENOSYS);
	assert_refused(libfs_fallocate(&empty, ctx, 1, 0, 0, 1), -ENOSYS);
	assert_int_equal(libfs_seek(&empty, ctx, 1, 0, SEEK_DATA), -ENOSYS);
	assert_refused(libfs_fsync(&empty, 1, false), -ENOSYS);
	assert_refused(libfs_sync(&empty), -ENOSYS);
	assert_refused(libfs_statfs(&empty, &statfs), -ENOSYS);
	assert_refused(libfs_setxattr(&empty, ctx, 1, "user.x", b, 1, 0), -ENOSYS);
	assert_int_equal(libfs_getxattr(&empty, ctx, 1, "user.x", b, 1), -ENOSYS);
	assert_int_equal(libfs_listxattr(&empty, ctx, 1, b, 1), -ENOSYS);
	assert_refused(libfs_removexattr(&empty, ctx, 1, "user.x"), -ENOSYS);
	libfs_forget(&empty, 1, 1);
	libfs_release(&empty, 1, 0);
}

static const struct CMUnitTest tests[] = {
	CASE(everything_persists),
	CASE(a_read_only_mount_shows_and_changes_nothing),
	CASE(a_disk_opened_read_only_is_mounted_read_only),
	CASE(what_is_no_root_cannot_be_mounted),
	CASE(a_root_of_that_name_exists_already),
	CASE(mkfs_gives_the_root_directory_to_whom_it_is_told),
	CASE(neighbours_share_the_disk_and_nothing_else),
	CASE(many_mounts_in_a_row),
	CASE(operations_a_libfs_lacks_say_so),
};

SUITE(mount_suite, tests);
