/* SPDX-License-Identifier: MIT */
/*
 * The host: what host.h promises, on a disk in a file, without the kernel.
 *
 *   test_host         makes its disk in a folder of its own below TMPDIR
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfs/host.h"
#include "xn/bdev.h"
#include "xn/xn.h"

#define DISK_BYTES (16u << 20)

struct fixture {
	char folder[64];
	char image[96];
	char why[256];
};

/* ---- helpers ---- */

static struct host *host_at(struct fixture *fx, uint32_t flags, uint32_t sync_ms)
{
	const struct host_opts opts = {
		.flags = flags,
		.sync_ms = sync_ms,
		.why = fx->why,
		.why_size = sizeof(fx->why),
	};
	struct host *host = NULL;

	assert_int_equal(host_open(fx->image, &opts, &host), 0);
	return host;
}

static int host_refused(struct fixture *fx, const char *image, uint32_t flags)
{
	const struct host_opts opts = {
		.flags = flags,
		.why = fx->why,
		.why_size = sizeof(fx->why),
	};
	struct host *host = NULL;
	int err = host_open(image, &opts, &host);

	assert_null(host);
	assert_true(strlen(fx->why) > 5);
	return err;
}

static void close_well(struct host *host)
{
	char why[256];

	assert_int_equal(host_close(host, why, sizeof(why)), 0);
	assert_string_equal(why, "");
}

static void add_root(struct fixture *fx, const char *name)
{
	struct host *host = host_at(fx, 0, 0);
	const struct libfs_mkfs_opts opts = { .root = name };

	assert_int_equal(libfs_mkfs(host_session(host), "simplefs", &opts), 0);
	close_well(host);
}

static struct libfs *mounted(struct fixture *fx, struct host *host, const char *name)
{
	struct libfs *fs = NULL;

	assert_int_equal(host_mount_root(host, name, NULL, &fs, fx->why, sizeof(fx->why)), 0);
	return fs;
}

static void make_file(struct libfs *fs, const char *name)
{
	struct libfs_attr attr;
	struct host_ctx ctx;

	host_ctx_init(&ctx, 0, 0);
	assert_int_equal(libfs_create(fs, &ctx.libfs, LIBFS_ROOT_INO, name, 0644, true, &attr), 0);
	libfs_forget(fs, attr.ino, 1);
}

static bool has_file(struct libfs *fs, const char *name)
{
	struct libfs_attr attr;
	struct host_ctx ctx;
	int err;

	host_ctx_init(&ctx, 0, 0);
	err = libfs_lookup(fs, &ctx.libfs, LIBFS_ROOT_INO, name, &attr);
	if (!err)
		libfs_forget(fs, attr.ino, 1);
	assert_true(err == 0 || err == -ENOENT);
	return err == 0;
}

static bool file_survives(struct fixture *fx, const char *root, const char *name)
{
	struct host *host = host_at(fx, HOST_RDONLY, 0);
	bool there = has_file(mounted(fx, host, root), name);

	close_well(host);
	return there;
}

static int fixture_make(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct bdev *dev;

	snprintf(fx->folder, sizeof(fx->folder), "%s/xn-host-XXXXXX",
		 tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(fx->folder));
	snprintf(fx->image, sizeof(fx->image), "%s/disk.img", fx->folder);
	assert_int_equal(bdev_open(fx->image, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, DISK_BYTES, &dev),
			 0);
	assert_int_equal(xn_format(dev, &(struct xn_format_opts){ .label = "host" }), 0);
	bdev_close(dev);
	add_root(fx, "home");
	add_root(fx, "work");
	*state = fx;
	return 0;
}

static int fixture_remove(void **state)
{
	struct fixture *fx = *state;

	unlink(fx->image);
	rmdir(fx->folder);
	free(fx);
	return 0;
}

/* ---- opening ---- */

static void what_cannot_be_opened_is_refused_in_words(void **state)
{
	struct fixture *fx = *state;
	char other[128];
	int fd;

	assert_int_equal(host_refused(fx, "/nowhere/at/all", 0), -ENOENT);
	assert_int_equal(host_refused(fx, fx->folder, 0), -EISDIR);
	assert_int_equal(host_refused(fx, "/dev/null", 0), -ENOTBLK);
	snprintf(other, sizeof(other), "%s/other", fx->folder);
	fd = open(other, O_RDWR | O_CREAT, 0644);
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	assert_int_equal(pwrite(fd, "something else", 14, 0), 14);
	assert_int_equal(host_refused(fx, other, HOST_RDONLY), -EMEDIUMTYPE);
	close(fd);
	unlink(other);
	assert_int_equal(truncate(fx->image, DISK_BYTES / 2), 0);
	assert_int_equal(host_refused(fx, fx->image, 0), -EUCLEAN);
}

static void a_writer_excludes_everybody_and_readers_share(void **state)
{
	struct fixture *fx = *state;
	struct host *first = host_at(fx, 0, 0), *second;
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", getpid());
	assert_int_equal(host_refused(fx, fx->image, 0), -EBUSY);
	assert_non_null(strstr(fx->why, pid));
	assert_int_equal(host_refused(fx, fx->image, HOST_RDONLY), -EBUSY);
	close_well(first);
	first = host_at(fx, HOST_RDONLY, 0);
	second = host_at(fx, HOST_RDONLY, 0);
	assert_int_equal(host_refused(fx, fx->image, 0), -EBUSY);
	close_well(first);
	close_well(second);
}

/* ---- roots ---- */

static void roots_are_listed_and_found_by_name(void **state)
{
	struct fixture *fx = *state;
	struct host *host = host_at(fx, 0, 0);
	struct host_root root = { .id = 0 }, again;
	unsigned count = 0;

	while (host_root_next(host, root.id, &root) == 0) {
		assert_int_equal(host_root_find(host, root.name, &again), 0);
		assert_int_equal(again.id, root.id);
		assert_string_equal(root.libfs, "simplefs");
		count++;
	}
	assert_int_equal(count, 2);
	assert_int_equal(host_root_find(host, "nobody", &root), -ENOENT);
	close_well(host);
}

static void a_root_is_mounted_once(void **state)
{
	struct fixture *fx = *state;
	struct host *host = host_at(fx, 0, 0);
	struct libfs *home = mounted(fx, host, "home");
	struct libfs *fs = NULL;

	assert_ptr_equal(mounted(fx, host, "home"), home);
	assert_ptr_not_equal(mounted(fx, host, "work"), home);
	assert_int_equal(host_mount_root(host, "nobody", NULL, &fs, fx->why, sizeof(fx->why)),
			 -ENOENT);
	assert_true(strlen(fx->why) > 5);
	assert_null(fs);
	close_well(host);
}

/* ---- writing back ---- */

/* In a process of its own, which ends as if it had been killed. */
static void killed_after(struct fixture *fx, uint32_t sync_ms,
			 void (*act)(struct fixture *fx, struct host *host))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		act(fx, host_at(fx, 0, sync_ms));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void make_and_die(struct fixture *fx, struct host *host)
{
	make_file(mounted(fx, host, "home"), "lost");
}

static void make_and_linger(struct fixture *fx, struct host *host)
{
	make_file(mounted(fx, host, "home"), "by-itself");
	make_file(mounted(fx, host, "work"), "by-itself");
	usleep(1000000);
}

static void make_and_sync(struct fixture *fx, struct host *host)
{
	make_file(mounted(fx, host, "home"), "synced");
	make_file(mounted(fx, host, "work"), "synced");
	assert_int_equal(host_sync(host), 0);
	make_file(mounted(fx, host, "home"), "too-late");
}

/* The syncer looks for what the one that died lost; it takes as long as it takes. */
static void a_host_reclaims_what_a_crash_lost(void **state)
{
	struct fixture *fx = *state;
	struct xn_disk_info info;
	struct host *host;

	killed_after(fx, 0, make_and_sync);
	host = host_at(fx, 0, 10);
	do {
		usleep(1000);
		assert_int_equal(xn_disk_info(host_disk(host), &info), 0);
	} while (info.reclaimable);
	assert_false(info.was_clean || info.free_estimated);
	close_well(host);
	host = host_at(fx, 0, 0);
	assert_int_equal(xn_disk_info(host_disk(host), &info), 0);
	assert_true(info.was_clean && !info.reclaimable);
	close_well(host);
}

static void closing_writes_back_and_dying_does_not(void **state)
{
	struct fixture *fx = *state;
	struct host *host = host_at(fx, 0, 0);

	make_file(mounted(fx, host, "home"), "closed");
	close_well(host);
	killed_after(fx, 0, make_and_die);
	assert_true(file_survives(fx, "home", "closed"));
	assert_false(file_survives(fx, "home", "lost"));
}

static void the_syncer_writes_back_by_itself(void **state)
{
	struct fixture *fx = *state;

	killed_after(fx, 50, make_and_linger);
	assert_true(file_survives(fx, "home", "by-itself"));
	assert_true(file_survives(fx, "work", "by-itself"));
}

static void sync_makes_every_root_stable(void **state)
{
	struct fixture *fx = *state;

	killed_after(fx, 0, make_and_sync);
	assert_true(file_survives(fx, "home", "synced"));
	assert_true(file_survives(fx, "work", "synced"));
	assert_false(file_survives(fx, "home", "too-late"));
}

/* Bind every object of a root and never let go; returns how many XN let it have. */
static unsigned bind_all(struct host *host, struct xn_session *hog, const char *root)
{
	struct xn_walker *walker;
	struct xn_walk_item item;
	struct xn_root_info info;
	xn_binding_t binding;
	xn_blk_t object;
	unsigned n = 1;

	assert_int_equal(xn_root_find(host_disk(host), root, &info), 0);
	assert_int_equal(xn_bind_root(hog, root, XN_READ | XN_READIN, &binding, &object), 0);
	assert_int_equal(xn_walker_create(host_session(host), info.id, &walker), 0);
	while (xn_walker_next(walker, &item) == 1) {
		struct xn_bind_request request = { .owner = item.owner,
						   .record = item.record,
						   .access = XN_READ | XN_READIN,
						   .extent = item.extent };

		if (item.depth == 0 || item.extent.type == XN_DATA)
			continue;
		if (xn_bind(hog, &request, &binding) == XN_ECACHEFULL)
			break;
		n++;
	}
	xn_walker_destroy(walker);
	return n;
}

/* A session that keeps what it has got is asked, and then made, to give; the others go on. */
static void a_session_that_keeps_the_cache_loses_it_in_time(void **state)
{
	struct fixture *fx = *state;
	struct host_opts opts = { .sync_ms = 20, .cache_bytes = XN_CACHE_MIN };
	struct host *host = host_at(fx, 0, 0);
	const struct xn_cred cred = { .uid = 0 };
	struct xn_session *hog;
	xn_binding_t taken[64];
	unsigned bound;
	char name[16];
	int n = 0;

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		make_file(mounted(fx, host, "home"), name);
	}
	close_well(host);
	assert_int_equal(host_open(fx->image, &opts, &host), 0);
	assert_int_equal(xn_session_open(host_disk(host), &cred, 0, &hog), 0);
	bound = bind_all(host, hog, "home");
	assert_true(bound > 60 && bound < 110);
	make_file(mounted(fx, host, "work"), "meanwhile");
	for (unsigned i = 0; i < 600 && n == 0; i++) {
		usleep(50000);
		n = xn_taken(hog, taken, 64);
	}
	assert_true(n > 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(xn_readin(hog, taken[i], 0, 1), XN_ESTALE);
	make_file(mounted(fx, host, "work"), "afterwards");
	xn_session_close(hog);
	close_well(host);
	assert_true(file_survives(fx, "work", "meanwhile"));
	assert_true(file_survives(fx, "work", "afterwards"));
}

static uint64_t checksum(const char *path)
{
	uint64_t sum = 14695981039346656037u;
	unsigned char *bytes = malloc(DISK_BYTES);
	int fd = open(path, O_RDONLY);

	assert_int_equal(read(fd, bytes, DISK_BYTES), DISK_BYTES);
	for (size_t i = 0; i < DISK_BYTES; i++)
		sum = (sum ^ bytes[i]) * 1099511628211u;
	close(fd);
	free(bytes);
	return sum;
}

static void a_read_only_host_writes_nothing(void **state)
{
	struct fixture *fx = *state;
	const uint64_t before = checksum(fx->image);
	struct host *host = host_at(fx, HOST_RDONLY, 10);
	struct libfs *home = mounted(fx, host, "home");
	struct libfs_attr attr;
	struct host_ctx ctx;

	host_ctx_init(&ctx, 0, 0);
	assert_int_equal(libfs_create(home, &ctx.libfs, LIBFS_ROOT_INO, "no", 0644, true, &attr),
			 -EROFS);
	usleep(100000);
	assert_int_equal(host_sync(host), 0);
	close_well(host);
	assert_true(checksum(fx->image) == before);
}

static void space_is_the_disks(void **state)
{
	struct fixture *fx = *state;
	struct host *host = host_at(fx, 0, 0);
	struct libfs_statfs space;

	assert_int_equal(host_statfs(host, &space), 0);
	assert_int_equal(space.blocks, DISK_BYTES / 4096);
	assert_true(space.blocks_free > 0 && space.blocks_free < space.blocks);
	close_well(host);
}

/* ---- who asks ---- */

static void a_context_carries_its_credentials(void **state)
{
	gid_t groups[100];
	struct libfs_attr attr = { .uid = 1, .gid = 5, .mode = 0070 };
	struct host_ctx ctx;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		groups[i] = i;
	host_ctx_init(&ctx, 1000, 1001);
	assert_true(ctx.libfs.now.tv_sec > 1700000000);
	assert_int_equal(libfs_may(&attr, ctx.libfs.cred, LIBFS_MAY_READ), -EACCES);
	assert_int_equal(host_ctx_set_groups(&ctx, groups + 4, 2), 2);
	assert_int_equal(libfs_may(&attr, ctx.libfs.cred, LIBFS_MAY_READ), 0);
	/* As many as XN knows; the rest is left out. */
	assert_int_equal(host_ctx_set_groups(&ctx, groups, 100), XN_GROUPS_MAX);
	assert_true(libfs_in_group(ctx.libfs.cred, XN_GROUPS_MAX - 1));
	assert_false(libfs_in_group(ctx.libfs.cred, XN_GROUPS_MAX));
	assert_true(libfs_in_group(ctx.libfs.cred, 1001));
}

#define on_disk(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_disk(what_cannot_be_opened_is_refused_in_words),
		on_disk(a_writer_excludes_everybody_and_readers_share),
		on_disk(roots_are_listed_and_found_by_name),
		on_disk(a_root_is_mounted_once),
		on_disk(closing_writes_back_and_dying_does_not),
		on_disk(a_host_reclaims_what_a_crash_lost),
		on_disk(the_syncer_writes_back_by_itself),
		on_disk(sync_makes_every_root_stable),
		on_disk(a_session_that_keeps_the_cache_loses_it_in_time),
		on_disk(a_read_only_host_writes_nothing),
		on_disk(space_is_the_disks),
		cmocka_unit_test(a_context_carries_its_credentials),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
