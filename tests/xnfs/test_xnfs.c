/* SPDX-License-Identifier: MIT */
/*
 * What xnfs.h promises, on a disk in a file with two roots of each LibFS.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libfs/libfs.h"
#include "xn/bdev.h"
#include "xn/xn.h"
#include "xnfs/xnfs.h"

#define DISK_BYTES (64u << 20)

struct fixture {
	const char *libfs;
	char folder[64], image[96];
	struct xnfs *fs;
};

/* ---- helpers ---- */

static void make_disk(struct fixture *fx)
{
	static const struct xn_cred root = { .uid = 0 };
	static const char *const names[] = { "home", "work" };
	const struct xn_format_opts format = { .label = "test" };
	const struct xn_open_opts open_opts = { .flags = XN_OPEN_RDWR };
	struct xn_session *session;
	struct bdev *dev;
	struct xn *xn;

	assert_int_equal(bdev_open(fx->image, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, DISK_BYTES, &dev),
			 0);
	assert_int_equal(xn_format(dev, &format), 0);
	bdev_close(dev);
	assert_int_equal(xn_open(fx->image, &open_opts, &xn), 0);
	assert_int_equal(xn_session_open(xn, &root, XN_SESSION_ADMIN, &session), 0);
	for (size_t i = 0; i < 2; i++) {
		const struct libfs_mkfs_opts opts = { .root = names[i] };

		assert_int_equal(libfs_mkfs(session, fx->libfs, &opts), 0);
	}
	xn_session_close(session);
	assert_int_equal(xn_close(xn), 0);
}

static int set_up(void **state)
{
	struct fixture *fx = *state;

	snprintf(fx->folder, sizeof(fx->folder), "/tmp/xnfs-test.XXXXXX");
	assert_non_null(mkdtemp(fx->folder));
	snprintf(fx->image, sizeof(fx->image), "%s/disk.img", fx->folder);
	make_disk(fx);
	assert_int_equal(xnfs_open(fx->image, NULL, &fx->fs), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fx = *state;

	if (fx->fs)
		assert_int_equal(xnfs_close(fx->fs), 0);
	unlink(fx->image);
	rmdir(fx->folder);
	return 0;
}

static void make(struct xnfs *fs, const char *path, const char *text)
{
	struct xnfs_file *file;

	assert_int_equal(xnfs_file_open(fs, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &file), 0);
	assert_int_equal(xnfs_write(file, text, strlen(text)), strlen(text));
	xnfs_file_close(file);
}

static void assert_holds(struct xnfs *fs, const char *path, const char *text)
{
	struct xnfs_file *file;
	char bytes[256];

	assert_int_equal(xnfs_file_open(fs, path, O_RDONLY, 0, &file), 0);
	assert_int_equal(xnfs_read(file, bytes, sizeof(bytes)), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	assert_int_equal(xnfs_read(file, bytes, sizeof(bytes)), 0);
	xnfs_file_close(file);
}

static int open_error(struct xnfs *fs, const char *path, int flags)
{
	struct xnfs_file *file;
	int err = xnfs_file_open(fs, path, flags, 0644, &file);

	if (!err)
		xnfs_file_close(file);
	return err;
}

static unsigned count(struct xnfs *fs, const char *path, const char *wanted)
{
	struct xnfs_dirent entry;
	struct xnfs_dir *dir;
	unsigned n = 0;
	int more;

	assert_int_equal(xnfs_dir_open(fs, path, &dir), 0);
	while ((more = xnfs_dir_read(dir, &entry)) > 0)
		n += !wanted || strcmp(entry.name, wanted) == 0;
	assert_int_equal(more, 0);
	xnfs_dir_close(dir);
	return n;
}

/* ---- the tests ---- */

static void the_top_lists_the_roots_and_cannot_be_changed(void **state)
{
	struct fixture *fx = *state;
	struct statvfs space;
	struct stat st;

	assert_int_equal(count(fx->fs, "/", NULL), 4);
	assert_int_equal(count(fx->fs, "/", "home"), 1);
	assert_int_equal(xnfs_stat(fx->fs, "/", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(xnfs_stat(fx->fs, "/home", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(xnfs_stat(fx->fs, "/nobody", &st), -ENOENT);
	assert_int_equal(xnfs_stat(fx->fs, "home", &st), -EINVAL);
	assert_int_equal(xnfs_mkdir(fx->fs, "/new", 0755), -EROFS);
	assert_int_equal(open_error(fx->fs, "/", O_RDONLY), -EISDIR);
	assert_int_equal(xnfs_rmdir(fx->fs, "/home"), -EBUSY);
	assert_int_equal(xnfs_rmdir(fx->fs, "/"), -EROFS);
	assert_int_equal(xnfs_rename(fx->fs, "/home", "/work/home", 0), -EXDEV);
	assert_int_equal(xnfs_chmod(fx->fs, "/", 0700, 0), -EROFS);
	assert_int_equal(xnfs_access(fx->fs, "/", R_OK | X_OK), 0);
	assert_int_equal(xnfs_access(fx->fs, "/", W_OK), -EROFS);
	assert_int_equal(xnfs_statvfs(fx->fs, "/", &space), 0);
	assert_int_equal(space.f_blocks * space.f_frsize, DISK_BYTES);
}

static void bytes_are_read_where_they_were_written(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_file *file;
	struct stat st;
	char bytes[16];

	assert_int_equal(xnfs_file_open(fx->fs, "/home/f", O_RDWR | O_CREAT | O_EXCL, 0640, &file),
			 0);
	assert_int_equal(xnfs_write(file, "01234", 5), 5);
	assert_int_equal(xnfs_write(file, "56789", 5), 5);
	assert_int_equal(xnfs_seek(file, -3, SEEK_END), 7);
	assert_int_equal(xnfs_read(file, bytes, sizeof(bytes)), 3);
	assert_memory_equal(bytes, "789", 3);
	assert_int_equal(xnfs_pwrite(file, "xx", 2, 4), 2);
	assert_int_equal(xnfs_pread(file, bytes, 4, 3), 4);
	assert_memory_equal(bytes, "3xx6", 4);
	assert_int_equal(xnfs_seek(file, 0, SEEK_CUR), 10); /* these did not move it */
	assert_int_equal(xnfs_seek(file, -11, SEEK_CUR), -EINVAL);
	assert_int_equal(xnfs_seek(file, 0, 77), -EINVAL);
	assert_int_equal(xnfs_pread(file, bytes, 1, -1), -EINVAL);
	assert_int_equal(xnfs_ftruncate(file, 6), 0);
	assert_int_equal(xnfs_fstat(file, &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(xnfs_fsync(file), 0);
	assert_int_equal(xnfs_fdatasync(file), 0);
	xnfs_file_close(file);
	assert_holds(fx->fs, "/home/f", "0123xx");
}

static void a_file_without_a_name_is_one(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_file *file;
	struct stat st;
	char byte;

	assert_int_equal(open_error(fx->fs, "/home", O_RDONLY | O_TMPFILE), -EINVAL);
	assert_int_equal(open_error(fx->fs, "/", O_RDWR | O_TMPFILE), -EROFS);
	assert_int_equal(open_error(fx->fs, "/home/none", O_RDWR | O_TMPFILE), -ENOENT);
	if (strcmp(fx->libfs, "cffs") != 0) {
		assert_int_equal(open_error(fx->fs, "/home", O_RDWR | O_TMPFILE), -EOPNOTSUPP);
		return;
	}
	assert_int_equal(xnfs_file_open(fx->fs, "/home", O_RDWR | O_TMPFILE, 0600, &file), 0);
	assert_int_equal(xnfs_write(file, "x", 1), 1);
	assert_int_equal(xnfs_pread(file, &byte, 1, 0), 1);
	assert_int_equal(xnfs_fstat(file, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	xnfs_file_close(file);
}

static void opening_flags_do_what_they_say(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_file *file;
	char byte;

	make(fx->fs, "/home/f", "old");
	assert_int_equal(open_error(fx->fs, "/home/f", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(open_error(fx->fs, "/home/none", O_RDWR), -ENOENT);
	assert_int_equal(open_error(fx->fs, "/home/f/x", O_RDWR | O_CREAT), -ENOTDIR);
	assert_int_equal(open_error(fx->fs, "/home", O_RDONLY), -EISDIR);
	assert_int_equal(xnfs_symlink(fx->fs, "f", "/home/l"), 0);
	assert_int_equal(open_error(fx->fs, "/home/l", O_RDONLY | O_NOFOLLOW), -ELOOP);
	assert_int_equal(open_error(fx->fs, "/home/l", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
	assert_int_equal(xnfs_mknod(fx->fs, "/home/p", S_IFIFO | 0644, 0), 0);
	assert_int_equal(open_error(fx->fs, "/home/p", O_RDONLY), -ENXIO);
	assert_int_equal(xnfs_file_open(fx->fs, "/home/l", O_WRONLY | O_APPEND, 0, &file), 0);
	assert_int_equal(xnfs_write(file, "er", 2), 2);
	assert_int_equal(xnfs_read(file, &byte, 1), -EBADF);
	xnfs_file_close(file);
	assert_holds(fx->fs, "/home/f", "older");
	assert_int_equal(xnfs_file_open(fx->fs, "/home/f", O_RDONLY, 0, &file), 0);
	assert_int_equal(xnfs_write(file, "x", 1), -EBADF);
	assert_int_equal(xnfs_unlink(fx->fs, "/home/f"), 0);
	assert_int_equal(xnfs_read(file, &byte, 1), 1); /* it lives while it is open */
	assert_int_equal(byte, 'o');
	xnfs_file_close(file);
	assert_int_equal(open_error(fx->fs, "/home/f", O_RDONLY), -ENOENT);
}

static void names_are_made_moved_and_removed(void **state)
{
	struct fixture *fx = *state;
	char target[64];
	struct stat st;

	assert_int_equal(xnfs_mkdir(fx->fs, "/home/d", 0755), 0);
	assert_int_equal(xnfs_mkdir(fx->fs, "/home/d", 0755), -EEXIST);
	make(fx->fs, "/home/d/a", "a");
	assert_int_equal(xnfs_link(fx->fs, "/home/d/a", "/home/b"), 0);
	assert_int_equal(xnfs_link(fx->fs, "/home/d/a", "/work/b"), -EXDEV);
	assert_int_equal(xnfs_lstat(fx->fs, "/home/b", &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(xnfs_rename(fx->fs, "/home/b", "/home/d/c", 0), 0);
	assert_int_equal(xnfs_rename(fx->fs, "/home/d/a", "/home/d/c", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(xnfs_rename(fx->fs, "/home/d/c", "/work/c", 0), -EXDEV);
	assert_int_equal(xnfs_rmdir(fx->fs, "/home/d"), -ENOTEMPTY);
	assert_int_equal(xnfs_unlink(fx->fs, "/home/d"), -EISDIR);
	assert_int_equal(xnfs_symlink(fx->fs, "d/../d/c", "/home/s"), 0);
	assert_int_equal(xnfs_readlink(fx->fs, "/home/s", target, sizeof(target)), 8);
	assert_string_equal(target, "d/../d/c");
	assert_holds(fx->fs, "/home/s", "a");
	assert_int_equal(xnfs_symlink(fx->fs, "/etc/passwd", "/home/out"), 0);
	assert_int_equal(open_error(fx->fs, "/home/out", O_RDONLY), -EXDEV);
	assert_int_equal(xnfs_symlink(fx->fs, "loop", "/home/loop"), 0);
	assert_int_equal(xnfs_stat(fx->fs, "/home/loop", &st), -ELOOP);
	assert_int_equal(xnfs_lstat(fx->fs, "/home/loop", &st), 0);
	assert_int_equal(xnfs_readlink(fx->fs, "/home/d", target, sizeof(target)), -EINVAL);
	assert_int_equal(xnfs_unlink(fx->fs, "/home/d/a"), 0);
	assert_int_equal(xnfs_unlink(fx->fs, "/home/d/c"), 0);
	assert_int_equal(xnfs_rmdir(fx->fs, "/home/d"), 0);
	assert_int_equal(xnfs_stat(fx->fs, "/home/d", &st), -ENOENT);
}

/* Down and up again by each ".." of a path that is deeper than the walk has room for at first. */
static void paths_are_as_deep_as_they_are(void **state)
{
	struct fixture *fx = *state;
	char path[256] = "/home";
	struct stat top, back;
	size_t len;

	assert_int_equal(xnfs_stat(fx->fs, path, &top), 0);
	for (int depth = 0; depth < 20; depth++) {
		strcat(path, "/d");
		assert_int_equal(xnfs_mkdir(fx->fs, path, 0755), 0);
	}
	assert_int_equal(xnfs_stat(fx->fs, path, &back), 0);
	assert_int_not_equal(back.st_ino, top.st_ino);
	len = strlen(path);
	for (int depth = 0; depth < 20; depth++)
		strcat(path, "/..");
	assert_int_equal(xnfs_stat(fx->fs, path, &back), 0);
	assert_int_equal(back.st_ino, top.st_ino);
	for (; len > strlen("/home"); len -= strlen("/d")) {
		path[len] = '\0';
		assert_int_equal(xnfs_rmdir(fx->fs, path), 0);
	}
}

static void attributes_are_set_and_told(void **state)
{
	struct fixture *fx = *state;
	const struct timespec times[2] = { { .tv_sec = 5, .tv_nsec = 7 },
					   { .tv_nsec = UTIME_OMIT } };
	struct stat before, st;

	make(fx->fs, "/home/f", "x");
	assert_int_equal(xnfs_symlink(fx->fs, "f", "/home/l"), 0);
	assert_int_equal(xnfs_stat(fx->fs, "/home/f", &before), 0);
	assert_int_equal(xnfs_chmod(fx->fs, "/home/l", 0600, 0), 0);
	assert_int_equal(xnfs_chown(fx->fs, "/home/f", 12, (gid_t)-1, 0), 0);
	assert_int_equal(xnfs_chown(fx->fs, "/home/l", 13, 14, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(xnfs_utimens(fx->fs, "/home/f", times, 0), 0);
	assert_int_equal(xnfs_truncate(fx->fs, "/home/f", 9000), 0);
	assert_int_equal(xnfs_truncate(fx->fs, "/home/f", -1), -EINVAL);
	assert_int_equal(xnfs_stat(fx->fs, "/home/f", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, before.st_gid);
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_atim.tv_nsec, 7);
	assert_int_equal(st.st_size, 9000);
	assert_int_equal(xnfs_lstat(fx->fs, "/home/l", &st), 0);
	assert_int_equal(st.st_uid, 13);
	assert_int_equal(st.st_gid, 14);
	assert_int_equal(xnfs_utimens(fx->fs, "/home/f", NULL, 0), 0);
	assert_int_equal(xnfs_stat(fx->fs, "/home/f", &st), 0);
	assert_true(st.st_mtim.tv_sec >= before.st_mtim.tv_sec);
	assert_true(st.st_atim.tv_sec > 5);
}

static void extended_attributes_are_kept_or_not_supported(void **state)
{
	struct fixture *fx = *state;
	char bytes[64];
	int err;

	make(fx->fs, "/home/f", "x");
	err = xnfs_setxattr(fx->fs, "/home/f", "user.color", "blue", 4, 0);
	if (err == -ENOSYS)
		return;
	assert_int_equal(err, 0);
	assert_int_equal(xnfs_getxattr(fx->fs, "/home/f", "user.color", NULL, 0), 4);
	assert_int_equal(xnfs_getxattr(fx->fs, "/home/f", "user.color", bytes, sizeof(bytes)), 4);
	assert_memory_equal(bytes, "blue", 4);
	assert_int_equal(xnfs_listxattr(fx->fs, "/home/f", bytes, sizeof(bytes)), 11);
	assert_string_equal(bytes, "user.color");
	assert_int_equal(xnfs_removexattr(fx->fs, "/home/f", "user.color"), 0);
	assert_int_equal(xnfs_getxattr(fx->fs, "/home/f", "user.color", bytes, 64), -ENODATA);
}

static void a_long_directory_is_listed_once_and_again_after_a_rewind(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_dirent entry;
	struct xnfs_dir *dir;
	char path[64];

	assert_int_equal(xnfs_mkdir(fx->fs, "/home/d", 0755), 0);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "/home/d/name-%u", i);
		make(fx->fs, path, "x");
	}
	assert_int_equal(count(fx->fs, "/home/d", NULL), 302);
	assert_int_equal(count(fx->fs, "/home/d", "name-299"), 1);
	assert_int_equal(xnfs_dir_open(fx->fs, "/home/d", &dir), 0);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(xnfs_dir_read(dir, &entry), 1);
	xnfs_dir_rewind(dir);
	for (unsigned i = 0; i < 302; i++)
		assert_int_equal(xnfs_dir_read(dir, &entry), 1);
	assert_int_equal(xnfs_dir_read(dir, &entry), 0);
	xnfs_dir_close(dir);
	assert_int_equal(xnfs_dir_open(fx->fs, "/home/d/name-1", &dir), -ENOTDIR);
}

static void ranges_are_copied_inside_a_root_and_between_two(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_file *from, *to;

	make(fx->fs, "/home/f", "0123456789");
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "/work/t" : "/home/t";

		assert_int_equal(xnfs_file_open(fx->fs, "/home/f", O_RDONLY, 0, &from), 0);
		assert_int_equal(xnfs_file_open(fx->fs, path, O_WRONLY | O_CREAT, 0644, &to), 0);
		assert_int_equal(xnfs_copy_range(from, 3, to, 0, 4), 4);
		assert_int_equal(xnfs_copy_range(from, 9, to, 4, 100), 1);
		assert_int_equal(xnfs_copy_range(from, 10, to, 5, 100), 0);
		assert_int_equal(xnfs_copy_range(to, 0, from, 0, 1), -EBADF);
		xnfs_file_close(from);
		xnfs_file_close(to);
		assert_holds(fx->fs, path, "34569");
	}
}

static void blocks_are_set_aside_where_the_libfs_can(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_file *file;
	struct stat st;
	char byte = 1;
	int err;

	make(fx->fs, "/home/room", "text");
	assert_int_equal(xnfs_file_open(fx->fs, "/home/room", O_RDONLY, 0, &file), 0);
	assert_int_equal(xnfs_fallocate(file, 0, 0, 4096), -EBADF);
	xnfs_file_close(file);
	assert_int_equal(xnfs_file_open(fx->fs, "/home/room", O_RDWR, 0, &file), 0);
	assert_int_equal(xnfs_fallocate(file, 0, -1, 4096), -EINVAL);
	assert_int_equal(xnfs_fallocate(file, 0, 0, 0), -EINVAL);
	err = xnfs_fallocate(file, 0, 0, 20000);
	assert_true(err == 0 || err == -EOPNOTSUPP);
	assert_int_equal(xnfs_fstat(file, &st), 0);
	assert_int_equal(st.st_size, err ? 4 : 20000);
	if (!err) {
		assert_true(st.st_blocks >= 20000 / 512);
		assert_int_equal(xnfs_pread(file, &byte, 1, 19999), 1);
		assert_int_equal(byte, 0);
	}
	xnfs_file_close(file);
}

static void who_asks_may_what_he_may(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_opts opts = { .uid = 1000, .gid = 1000, .umask = 027 };
	struct xnfs_file *file;
	struct stat st;

	make(fx->fs, "/home/secret", "x");
	assert_int_equal(xnfs_chmod(fx->fs, "/home/secret", 0600, 0), 0);
	assert_int_equal(xnfs_mkdir(fx->fs, "/home/open", 0777), 0);
	assert_int_equal(xnfs_close(fx->fs), 0);
	assert_int_equal(xnfs_open(fx->image, &opts, &fx->fs), 0);
	assert_int_equal(open_error(fx->fs, "/home/secret", O_RDONLY), -EACCES);
	assert_int_equal(xnfs_access(fx->fs, "/home/secret", R_OK), -EACCES);
	assert_int_equal(xnfs_chmod(fx->fs, "/home/secret", 0666, 0), -EPERM);
	assert_int_equal(open_error(fx->fs, "/home/mine", O_RDWR | O_CREAT), -EACCES);
	/* Mode 0 is for others; who made it may use it. */
	assert_int_equal(xnfs_file_open(fx->fs, "/home/open/f", O_RDWR | O_CREAT, 0, &file), 0);
	assert_int_equal(xnfs_write(file, "x", 1), 1);
	xnfs_file_close(file);
	assert_int_equal(open_error(fx->fs, "/home/open/f", O_RDONLY), -EACCES);
	assert_int_equal(xnfs_mkdir(fx->fs, "/home/open/d", 0777), 0);
	assert_int_equal(xnfs_stat(fx->fs, "/home/open/d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(st.st_uid, 1000);
}

static void a_disk_open_for_reading_is_not_changed(void **state)
{
	struct fixture *fx = *state;
	struct xnfs_opts opts = { .flags = XNFS_RDONLY };
	struct xnfs *second;
	char why[256] = "";

	make(fx->fs, "/home/f", "x");
	opts.why = why;
	opts.why_size = sizeof(why);
	assert_int_equal(xnfs_open(fx->image, &opts, &second), -EBUSY);
	assert_true(strlen(why) > 5);
	assert_int_equal(xnfs_close(fx->fs), 0);
	assert_int_equal(xnfs_open(fx->image, &opts, &fx->fs), 0);
	assert_int_equal(xnfs_open(fx->image, &opts, &second), 0); /* readers share it */
	assert_holds(second, "/home/f", "x");
	assert_int_equal(xnfs_close(second), 0);
	assert_int_equal(open_error(fx->fs, "/home/f", O_WRONLY), -EROFS);
	assert_int_equal(open_error(fx->fs, "/home/g", O_WRONLY | O_CREAT), -EROFS);
	assert_int_equal(xnfs_unlink(fx->fs, "/home/f"), -EROFS);
	opts.flags = 0x80;
	assert_int_equal(xnfs_open(fx->image, &opts, &second), -EINVAL);
	opts.flags = 0;
	assert_int_equal(xnfs_open("/nowhere/disk.img", &opts, &second), -ENOENT);
	assert_int_equal(xnfs_open("/bin/true", &opts, &second) < 0, 1);
}

/* Without closing anything, and long before anything is written back by itself. */
static void write_and_die(const char *image, bool whole)
{
	struct xnfs_opts opts = { .commit_ms = 1u << 30 };
	struct xnfs_file *file;
	struct xnfs *fs;

	if (xnfs_open(image, &opts, &fs) ||
	    xnfs_file_open(fs, "/work/kept", O_WRONLY | O_CREAT, 0644, &file) ||
	    xnfs_write(file, "kept", 4) != 4 || (whole ? xnfs_sync(fs) : xnfs_fsync(file)))
		_exit(1);
	_exit(0);
}

static void survives(struct fixture *fx, bool whole)
{
	pid_t pid;
	int st;

	assert_int_equal(xnfs_close(fx->fs), 0);
	fx->fs = NULL;
	pid = fork();
	if (pid == 0)
		write_and_die(fx->image, whole);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_int_equal(st, 0);
	assert_int_equal(xnfs_open(fx->image, NULL, &fx->fs), 0);
	assert_holds(fx->fs, "/work/kept", "kept");
}

static void what_fsync_acknowledged_survives_the_process(void **state)
{
	survives(*state, false);
}

static void what_sync_acknowledged_survives_the_process(void **state)
{
	survives(*state, true);
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	struct xnfs *fs;
	struct xnfs_file *shared;
	unsigned number;
	int failed;
};

static int work(struct worker *worker)
{
	char path[64], other[64], bytes[8];
	struct xnfs_file *file;
	struct stat st;

	for (unsigned i = 0; i < 150; i++) {
		snprintf(path, sizeof(path), "/home/t%u-%u", worker->number, i);
		snprintf(other, sizeof(other), "/home/u%u", worker->number);
		if (xnfs_file_open(worker->fs, path, O_RDWR | O_CREAT, 0644, &file))
			return __LINE__;
		if (xnfs_write(file, path, 8) != 8 || xnfs_pread(file, bytes, 8, 0) != 8 ||
		    memcmp(bytes, path, 8) != 0)
			return __LINE__;
		xnfs_file_close(file);
		if (xnfs_rename(worker->fs, path, other, 0) || xnfs_stat(worker->fs, other, &st))
			return __LINE__;
		if (xnfs_write(worker->shared, "word\n", 5) != 5)
			return __LINE__;
	}
	return xnfs_unlink(worker->fs, other);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	worker->failed = work(worker);
	return NULL;
}

static void threads_share_a_disk_and_a_file(void **state)
{
	struct fixture *fx = *state;
	struct worker workers[4];
	struct xnfs_file *shared;
	struct stat st;

	assert_int_equal(xnfs_file_open(fx->fs, "/home/shared", O_WRONLY | O_CREAT, 0644, &shared),
			 0);
	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .fs = fx->fs, .shared = shared, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]),
				 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].failed, 0);
	}
	assert_int_equal(xnfs_fstat(shared, &st), 0);
	assert_int_equal(st.st_size, 4 * 150 * 5); /* no word over another */
	xnfs_file_close(shared);
	assert_int_equal(count(fx->fs, "/home", NULL), 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(the_top_lists_the_roots_and_cannot_be_changed),
		T(bytes_are_read_where_they_were_written),
		T(a_file_without_a_name_is_one),
		T(opening_flags_do_what_they_say),
		T(names_are_made_moved_and_removed),
		T(paths_are_as_deep_as_they_are),
		T(attributes_are_set_and_told),
		T(extended_attributes_are_kept_or_not_supported),
		T(a_long_directory_is_listed_once_and_again_after_a_rewind),
		T(ranges_are_copied_inside_a_root_and_between_two),
		T(who_asks_may_what_he_may),
		T(a_disk_open_for_reading_is_not_changed),
		T(what_fsync_acknowledged_survives_the_process),
		T(what_sync_acknowledged_survives_the_process),
		T(blocks_are_set_aside_where_the_libfs_can),
		T(threads_share_a_disk_and_a_file),
	};
	const struct libfs_type *type;
	int failed = 0;

	for (unsigned i = 0; (type = libfs_builtin(i)); i++) {
		struct fixture fx = { .libfs = type->name };
		struct CMUnitTest own[sizeof(tests) / sizeof(tests[0])];

		memcpy(own, tests, sizeof(tests));
		for (size_t t = 0; t < sizeof(own) / sizeof(own[0]); t++)
			own[t].initial_state = &fx;
		printf("---- %s ----\n", type->name);
		failed += cmocka_run_group_tests_name(type->name, own, NULL, NULL);
	}
	return failed;
}
