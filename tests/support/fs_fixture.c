/* SPDX-License-Identifier: MIT */
#include "fs_fixture.h"

#include "fsck/fsck.h"

#define DISK_DEFAULT (64ull << 20)

/* ---- fsck ---- */

static void print_findings(const struct fsck_result *result)
{
	for (size_t i = 0; i < result->n_findings; i++)
		print_error("fsck: %s [%s] %s%s\n", result->findings[i].code,
			    result->findings[i].root, result->findings[i].text,
			    result->findings[i].repaired ? " (repaired)" : "");
	if (result->why[0])
		print_error("fsck: %s\n", result->why);
}

int fx_fsck(struct fx *fx, int mode, bool quiet)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	int code;

	assert_ok(fsck_run(fx->mem, &opts, &result));
	code = result.exit_code;
	if (!quiet)
		print_findings(&result);
	fsck_result_fini(&result);
	return code;
}

void fx_assert_sound(struct fx *fx)
{
	char text[256] = "";

	if (xn_self_check(fx->xn, text, sizeof(text)) != 0)
		fail_msg("XN is not sound: %s", text);
}

void fx_assert_order(struct fx *fx)
{
	const char *text;

	if (bdev_check_violations(fx->rules, &text))
		fail_msg("the order of writes: %s", text);
}

/* ---- life ---- */

void fx_open(struct fx *fx)
{
	char why[256] = "";
	struct xn_open_opts opts = {
		.flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
		.cache_bytes = fx->opts.cache,
		.why = why,
		.why_size = sizeof(why),
	};
	int err;

	bdev_check_reset(fx->rules); /* fsck may have written below it */
	err = xn_open_dev(fx->dev, &opts, &fx->xn);
	if (err)
		fail_msg("open: %s (%s)", xn_error_name(err), why);
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &fx->session));
	(void)xn_reclaim(fx->session, UINT64_MAX, NULL); /* what a crash lost, as a host does */
}

void fx_mount(struct fx *fx, uint32_t flags)
{
	char why[256] = "";
	struct libfs_mount_opts opts = {
		.root = "test",
		.flags = flags,
		.why = why,
		.why_size = sizeof(why),
	};
	int err = libfs_mount(fx->session, &opts, &fx->fs);

	if (err)
		fail_msg("mount: %s (%s)", xn_error_name(err), why);
}

static void make_fs(struct fx *fx)
{
	char why[256] = "";
	struct libfs_mkfs_opts opts = {
		.root = "test",
		.quota = fx->opts.quota,
		.now = fx_ctx(fx)->now,
		.why = why,
		.why_size = sizeof(why),
	};
	int err = libfs_mkfs(fx->session, fx->opts.libfs, &opts);

	if (err)
		fail_msg("mkfs: %s (%s)", xn_error_name(err), why);
}

static void devices_make(struct fx *fx)
{
	assert_ok(bdev_check_create(fx->mem, &fx->rules));
	assert_ok(bdev_fault_create(fx->rules, &fx->dev));
}

struct fx *fx_new(const struct fx_opts *opts)
{
	struct fx *fx = calloc(1, sizeof(*fx));
	struct xn_format_opts format = { .label = "test" };

	assert_non_null(fx);
	fx->opts = *opts;
	fx->now = 1700000000;
	if (!fx->opts.size)
		fx->opts.size = DISK_DEFAULT;
	assert_ok(bdev_mem_create(fx->opts.size, &fx->mem));
	devices_make(fx);
	assert_ok(xn_format(fx->dev, &format));
	fx_open(fx);
	make_fs(fx);
	fx_mount(fx, 0);
	return fx;
}

int fx_setup(void **state)
{
	struct fx_opts opts = { .libfs = *state };

	*state = fx_new(&opts);
	return 0;
}

void fx_close_anyhow(struct fx *fx)
{
	if (!fx->xn)
		return;
	if (fx->fs)
		libfs_unmount(fx->fs);
	xn_session_close(fx->session);
	xn_close(fx->xn);
	fx->fs = NULL;
	fx->session = NULL;
	fx->xn = NULL;
}

void fx_close(struct fx *fx)
{
	if (!fx->xn)
		return;
	fx_assert_sound(fx);
	if (fx->fs)
		assert_ok(libfs_unmount(fx->fs));
	fx->fs = NULL;
	fx_assert_sound(fx);
	xn_session_close(fx->session);
	fx->session = NULL;
	assert_ok(xn_close(fx->xn));
	fx->xn = NULL;
	fx_assert_order(fx);
	assert_int_equal(fx_fsck(fx, CHECK_LOOK, false), FSCK_OK);
}

void fx_remount(struct fx *fx)
{
	fx_close(fx);
	fx_open(fx);
	fx_mount(fx, 0);
}

void fx_fini(struct fx *fx)
{
	fx_close(fx);
	bdev_close(fx->dev);
	free(fx);
}

int fx_teardown(void **state)
{
	fx_fini(*state);
	return 0;
}

void fx_crash_to(struct fx *fx, struct bdev *medium, bool repair)
{
	int code;

	fx_close_anyhow(fx);
	fx_assert_order(fx);
	bdev_close(fx->dev);
	fx->mem = medium;
	devices_make(fx);
	if (repair) {
		code = fx_fsck(fx, CHECK_PREEN, true);
		if (code != FSCK_OK && code != FSCK_REPAIRED) {
			fx_fsck(fx, CHECK_LOOK, false);
			fail_msg("xn-fsck -p after a crash: exit code %d", code);
		}
		assert_int_equal(fx_fsck(fx, CHECK_LOOK, false), FSCK_OK);
	}
	fx_open(fx);
	fx_mount(fx, 0);
}

void fx_crash(struct fx *fx, bool repair)
{
	struct bdev *medium;

	assert_ok(bdev_mem_clone(fx->mem, &medium));
	fx_crash_to(fx, medium, repair);
}

/* ---- who asks ---- */

static const struct libfs_ctx *user_now(struct fx *fx, struct fx_user *user)
{
	fx->now++;
	user->ctx.cred = &user->cred;
	user->ctx.now = (struct timespec){ .tv_sec = fx->now, .tv_nsec = fx->now % 1000 + 1 };
	return &user->ctx;
}

const struct libfs_ctx *fx_ctx(struct fx *fx)
{
	return user_now(fx, &fx->root);
}

const struct libfs_ctx *fx_as(struct fx *fx, uint32_t uid, uint32_t gid)
{
	fx->user.cred.uid = uid;
	fx->user.cred.gid = gid;
	return user_now(fx, &fx->user);
}

/* ---- files ---- */

libfs_ino_t fx_mkdir(struct fx *fx, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;

	assert_ok(libfs_mkdir(fx->fs, fx_ctx(fx), dir, name, 0755, &attr));
	return attr.ino;
}

libfs_ino_t fx_create(struct fx *fx, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;

	assert_ok(libfs_create(fx->fs, fx_ctx(fx), dir, name, 0644, true, &attr));
	return attr.ino;
}

void fx_write(struct fx *fx, libfs_ino_t ino, uint64_t off, const void *bytes, size_t len)
{
	ssize_t n = libfs_write(fx->fs, fx_ctx(fx), ino, 0, off, bytes, len);

	if (n < 0)
		fail_msg("write of %zu bytes at %llu: %s", len, (unsigned long long)off,
			 xn_error_name((int)n));
	assert_int_equal(n, len);
}

libfs_ino_t fx_file(struct fx *fx, libfs_ino_t dir, const char *name, const char *content)
{
	libfs_ino_t ino = fx_create(fx, dir, name);

	if (*content)
		fx_write(fx, ino, 0, content, strlen(content));
	return ino;
}

libfs_ino_t fx_find(struct fx *fx, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;

	assert_ok(libfs_lookup(fx->fs, fx_ctx(fx), dir, name, &attr));
	return attr.ino;
}

void fx_forget(struct fx *fx, libfs_ino_t ino)
{
	libfs_forget(fx->fs, ino, 1);
}

int fx_lookup(struct fx *fx, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;
	int err = libfs_lookup(fx->fs, fx_ctx(fx), dir, name, &attr);

	if (!err)
		fx_forget(fx, attr.ino);
	return err;
}

int fx_unlink(struct fx *fx, libfs_ino_t dir, const char *name)
{
	return libfs_unlink(fx->fs, fx_ctx(fx), dir, name);
}

int fx_rmdir(struct fx *fx, libfs_ino_t dir, const char *name)
{
	return libfs_rmdir(fx->fs, fx_ctx(fx), dir, name);
}

int fx_rename(struct fx *fx, libfs_ino_t from, const char *name, libfs_ino_t to,
	      const char *new_name)
{
	return libfs_rename(fx->fs, fx_ctx(fx), from, name, to, new_name, 0);
}

int fx_link(struct fx *fx, libfs_ino_t ino, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;
	int err = libfs_link(fx->fs, fx_ctx(fx), ino, dir, name, &attr);

	if (!err)
		fx_forget(fx, ino);
	return err;
}

int fx_truncate(struct fx *fx, libfs_ino_t ino, uint64_t size)
{
	struct libfs_attr attr = { .size = size };

	return libfs_setattr(fx->fs, fx_ctx(fx), ino, &attr, LIBFS_SET_SIZE, &attr);
}

int fx_chmod(struct fx *fx, libfs_ino_t ino, uint32_t mode)
{
	struct libfs_attr attr = { .mode = mode };

	return libfs_setattr(fx->fs, fx_ctx(fx), ino, &attr, LIBFS_SET_MODE, &attr);
}

int fx_chown(struct fx *fx, libfs_ino_t ino, uint32_t uid, uint32_t gid)
{
	struct libfs_attr attr = { .uid = uid, .gid = gid };

	return libfs_setattr(fx->fs, fx_ctx(fx), ino, &attr, LIBFS_SET_UID | LIBFS_SET_GID, &attr);
}

/* ---- looking ---- */

struct libfs_attr fx_attr(struct fx *fx, libfs_ino_t ino)
{
	struct libfs_attr attr;

	assert_ok(libfs_getattr(fx->fs, fx_ctx(fx), ino, &attr));
	return attr;
}

uint64_t fx_size(struct fx *fx, libfs_ino_t ino)
{
	return fx_attr(fx, ino).size;
}

uint32_t fx_nlink(struct fx *fx, libfs_ino_t ino)
{
	return fx_attr(fx, ino).nlink;
}

void fx_settle(struct fx *fx)
{
	int64_t left;

	do {
		assert_ok(libfs_sync(fx->fs));
		left = xn_reap(fx->session, 1u << 20);
		assert_true(left >= 0);
	} while (left > 0);
	assert_ok(xn_sync(fx->session, 0));
}

uint64_t fx_free_blocks(struct fx *fx)
{
	struct xn_disk_info info;

	fx_settle(fx);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_int_equal(info.will_free, 0);
	return info.free_blocks;
}

void assert_content(struct fx *fx, libfs_ino_t ino, const void *bytes, size_t len)
{
	char *got = malloc(len + 1);
	ssize_t n;

	assert_non_null(got);
	n = libfs_read(fx->fs, fx_ctx(fx), ino, 0, 0, got, len + 1);
	if (n < 0)
		fail_msg("read: %s", xn_error_name((int)n));
	assert_int_equal(n, len);
	if (memcmp(got, bytes, len) != 0)
		fail_msg("file %llu has other bytes", (unsigned long long)ino);
	free(got);
}

void assert_zeroes(struct fx *fx, libfs_ino_t ino, uint64_t off, size_t len)
{
	uint8_t *got = malloc(len);

	assert_non_null(got);
	memset(got, 0xff, len);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), ino, 0, off, got, len), len);
	for (size_t i = 0; i < len; i++)
		if (got[i])
			fail_msg("byte %llu is %02x, not 0", (unsigned long long)off + i, got[i]);
	free(got);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct libfs_dirent *)a)->name,
		      ((const struct libfs_dirent *)b)->name);
}

void assert_names(struct fx *fx, libfs_ino_t dir, const char *names)
{
	struct libfs_dirent *entries = calloc(64, sizeof(*entries));
	char got[64 * 64] = "";
	ssize_t n;

	assert_non_null(entries);
	n = libfs_readdir(fx->fs, fx_ctx(fx), dir, 0, 0, entries, 64);
	assert_true(n >= 2 && n < 64);
	qsort(entries, (size_t)n, sizeof(*entries), by_name);
	for (ssize_t i = 0; i < n; i++) {
		if (strcmp(entries[i].name, ".") == 0 || strcmp(entries[i].name, "..") == 0)
			continue;
		if (got[0])
			strcat(got, " ");
		strncat(got, entries[i].name, 60);
	}
	free(entries);
	assert_string_equal(got, names);
}

size_t fx_count(struct fx *fx, libfs_ino_t dir)
{
	struct libfs_dirent entries[64];
	uint64_t cookie = 0;
	size_t total = 0;
	ssize_t n;

	while ((n = libfs_readdir(fx->fs, fx_ctx(fx), dir, cookie, 0, entries, 64)) > 0) {
		total += (size_t)n;
		cookie = entries[n - 1].cookie;
	}
	assert_int_equal(n, 0);
	return total - 2;
}

/* ---- crashes ---- */

static void event_apply(struct bdev *medium, const struct bdev_event *event, bool whole,
			uint64_t *seed)
{
	static const uint8_t zeroes[BDEV_SECTOR];

	for (uint64_t at = 0; at < event->len; at += BDEV_SECTOR) {
		const uint8_t *bytes = event->kind == BDEV_EVENT_WRITE ? event->bytes + at : zeroes;

		if (whole || chance(seed) % 2)
			assert_ok(bdev_write(medium, event->offset + at, bytes, BDEV_SECTOR, 0));
	}
}

struct bdev *fx_crashed(struct bdev *base, const struct bdev *recorder, size_t moment,
			uint64_t *seed)
{
	unsigned style = (unsigned)(chance(seed) % 4); /* none, all, some, torn */
	struct bdev *medium;

	assert_ok(bdev_mem_clone(base, &medium));
	for (size_t i = 0; i < moment; i++) {
		const struct bdev_event *event = bdev_recorder_event(recorder, i);

		if (event->kind != BDEV_EVENT_WRITE && event->kind != BDEV_EVENT_ZEROES)
			continue;
		if (event->stable_at < moment)
			event_apply(medium, event, true, seed);
		else if (style == 1 || (style == 2 && chance(seed) % 2))
			event_apply(medium, event, true, seed);
		else if (style == 3)
			event_apply(medium, event, false, seed);
	}
	return medium;
}
