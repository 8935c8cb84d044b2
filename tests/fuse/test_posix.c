/* SPDX-License-Identifier: MIT */
/*
 * What programs expect of any file system, asked through the kernel.
 *
 *   test_posix DIR        DIR: a directory of the mount that everybody may enter
 *
 * The LibFS's own promises have their own suite; here are the places where a
 * FUSE server goes wrong: lookup counts, cached writes, handles against paths,
 * names that the kernel passes through, who is asking.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define SOMEBODY 1234
#define GROUP    777

/* ---- helpers ---- */

static void make(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void assert_holds(const char *name, const char *text)
{
	char bytes[4096];
	int fd = open(name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, bytes, sizeof(bytes));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(bytes, text, n);
	close(fd);
}

static struct stat status(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	return st;
}

#define assert_fails(call, error)               \
	do {                                    \
		errno = 0;                      \
		assert_int_equal((call), -1);   \
		assert_int_equal(errno, error); \
	} while (0)

/* Run as somebody without rights, perhaps in a group; returns what `act` returned: 0 or an errno. */
static int as_somebody(int (*act)(void), gid_t extra_group)
{
	pid_t pid = fork();
	int st;

	if (pid == 0) {
		if (setgroups(extra_group ? 1 : 0, &extra_group) || setgid(SOMEBODY) ||
		    setuid(SOMEBODY))
			_exit(255);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	return WEXITSTATUS(st);
}

static const char *name_of(size_t len)
{
	static char name[5000]; /* a test program of one thread */

	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

/* ---- names ---- */

static void names_of_255_bytes_work_and_longer_ones_are_refused_everywhere(void **state)
{
	struct stat st;

	(void)state;
	make(name_of(255), "x", 0644);
	assert_int_equal(unlink(name_of(255)), 0);
	make("short", "x", 0644);
	for (size_t len = 256; len <= 4000; len += 1248) {
		assert_fails(open(name_of(len), O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
		assert_fails(stat(name_of(len), &st), ENAMETOOLONG);
		assert_fails(mkdir(name_of(len), 0755), ENAMETOOLONG);
		assert_fails(mknod(name_of(len), S_IFIFO | 0644, 0), ENAMETOOLONG);
		assert_fails(symlink("x", name_of(len)), ENAMETOOLONG);
		assert_fails(link("short", name_of(len)), ENAMETOOLONG);
		assert_fails(rename("short", name_of(len)), ENAMETOOLONG);
		assert_fails(unlink(name_of(len)), ENAMETOOLONG);
		assert_fails(rmdir(name_of(len)), ENAMETOOLONG);
	}
	assert_int_equal(unlink("short"), 0);
}

static void a_missing_name_appears_when_it_is_made_and_goes_when_removed(void **state)
{
	struct stat st;

	(void)state;
	for (int round = 0; round < 3; round++) {
		assert_fails(stat("ghost", &st), ENOENT);
		make("ghost", "x", 0644);
		assert_int_equal(stat("ghost", &st), 0);
		assert_int_equal(unlink("ghost"), 0);
	}
	assert_fails(stat("ghost", &st), ENOENT);
}

static void hard_links_are_one_file(void **state)
{
	(void)state;
	make("one", "same", 0644);
	assert_int_equal(link("one", "two"), 0);
	assert_int_equal(status("one").st_ino, status("two").st_ino);
	assert_int_equal(status("one").st_nlink, 2);
	assert_int_equal(chmod("two", 0600), 0);
	assert_int_equal(status("one").st_mode & 07777, 0600);
	make("two", "changed", 0644);
	assert_holds("one", "changed");
	assert_int_equal(unlink("one"), 0);
	assert_int_equal(status("two").st_nlink, 1);
	assert_int_equal(unlink("two"), 0);
}

static void directories_count_their_subdirectories(void **state)
{
	(void)state;
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(status("d").st_nlink, 2);
	assert_int_equal(mkdir("d/a", 0755), 0);
	assert_int_equal(mkdir("d/b", 0755), 0);
	assert_int_equal(status("d").st_nlink, 4);
	assert_fails(rmdir("d"), ENOTEMPTY);
	assert_int_equal(rmdir("d/a"), 0);
	assert_int_equal(status("d").st_nlink, 3);
	assert_fails(rename("d", "d/b/inside"), EINVAL);
	assert_fails(unlink("d/b"), EISDIR);
	assert_int_equal(rmdir("d/b"), 0);
	assert_int_equal(rmdir("d"), 0);
}

static void rename_replaces_and_its_flags_are_honoured_or_refused(void **state)
{
	(void)state;
	make("from", "new", 0644);
	make("to", "old", 0644);
	assert_fails(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_NOREPLACE), EEXIST);
	assert_holds("to", "old");
	if (renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_EXCHANGE) == 0) {
		assert_holds("from", "old");
		assert_int_equal(renameat2(AT_FDCWD, "from", AT_FDCWD, "to", RENAME_EXCHANGE), 0);
	} else {
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(rename("from", "to"), 0);
	assert_holds("to", "new");
	assert_fails(rename("from", "to"), ENOENT);
	assert_int_equal(unlink("to"), 0);
}

static void a_symbolic_link_may_be_4095_bytes_long(void **state)
{
	char target[4200];

	(void)state;
	assert_int_equal(symlink(name_of(4095), "long"), 0);
	assert_int_equal(readlink("long", target, sizeof(target)), 4095);
	assert_memory_equal(target, name_of(4095), 4095);
	assert_int_equal(status("long").st_size, 4095);
	assert_int_equal(unlink("long"), 0);
}

static void nodes_keep_their_kind_and_number(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mknod("pipe", S_IFIFO | 0640, 0), 0);
	assert_true(S_ISFIFO(status("pipe").st_mode));
	assert_int_equal(mknod("device", S_IFCHR | 0600, makedev(259, 70000)), 0);
	st = status("device");
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(major(st.st_rdev), 259);
	assert_int_equal(minor(st.st_rdev), 70000);
	assert_int_equal(unlink("pipe"), 0);
	assert_int_equal(unlink("device"), 0);
}

/* ---- listing ---- */

#define MANY 1500

static void list_and_count(unsigned char *seen)
{
	DIR *dir = opendir("many");
	struct dirent *entry;
	int number;

	assert_non_null(dir);
	memset(seen, 0, MANY);
	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, "a-rather-long-name-%d", &number) == 1)
			seen[number]++;
	}
	closedir(dir);
}

static void a_big_directory_lists_every_name_once(void **state)
{
	unsigned char seen[MANY];
	char name[80];

	(void)state;
	assert_int_equal(mkdir("many", 0755), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/a-rather-long-name-%d", i);
		make(name, "", 0644);
	}
	for (int round = 0; round < 2; round++) {
		list_and_count(seen);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(seen[i], 1);
	}
	for (int i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "many/a-rather-long-name-%d", i);
		assert_int_equal(unlink(name), 0);
	}
	list_and_count(seen);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(seen[i], i & 1);
}

static void removing_while_listing_misses_nothing(void **state)
{
	struct dirent *entry;
	DIR *dir = opendir("many");

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
	}
	closedir(dir);
	assert_int_equal(rmdir("many"), 0);
}

/* ---- open files ---- */

static void an_unlinked_open_file_lives_until_it_is_closed(void **state)
{
	char bytes[8] = { 0 };
	struct stat st;
	int fd = open("doomed", O_RDWR | O_CREAT, 0644);

	(void)state;
	assert_int_equal(write(fd, "before", 6), 6);
	assert_int_equal(unlink("doomed"), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(pwrite(fd, "behind", 6, 0), 6);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(ftruncate(fd, 3), 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 3);
	assert_string_equal(bytes, "beh");
	make("doomed", "another", 0644);
	assert_int_equal(close(fd), 0);
	assert_holds("doomed", "another");
	assert_int_equal(unlink("doomed"), 0);
}

static void opening_flags_do_what_they_say(void **state)
{
	int first, second;

	(void)state;
	make("f", "0123456789", 0644);
	assert_fails(open("f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	first = open("f", O_WRONLY | O_TRUNC);
	assert_int_equal(status("f").st_size, 0);
	close(first);
	first = open("f", O_WRONLY | O_APPEND);
	second = open("f", O_WRONLY | O_APPEND);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(write(first, "a", 1), 1);
		assert_int_equal(write(second, "b", 1), 1);
	}
	close(first);
	close(second);
	assert_holds("f", "ababababab");
	assert_fails(open("f/below", O_RDONLY), ENOTDIR);
	assert_fails(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	assert_int_equal(unlink("f"), 0);
}

/* With cached writes the kernel reads around a piece written through a write-only handle. */
static void a_piece_may_be_written_through_a_write_only_handle(void **state)
{
	int fd;

	(void)state;
	make("piece", "abcdefghij", 0644);
	assert_int_equal(posix_fadvise(fd = open("piece", O_RDONLY), 0, 0, POSIX_FADV_DONTNEED), 0);
	close(fd);
	fd = open("piece", O_WRONLY);
	assert_int_equal(pwrite(fd, "XY", 2, 3), 2);
	assert_int_equal(close(fd), 0);
	assert_holds("piece", "abcXYfghij");
	assert_int_equal(unlink("piece"), 0);
}

static void mapped_bytes_are_the_files_bytes(void **state)
{
	char *map, bytes[16];
	int fd = open("map", O_RDWR | O_CREAT, 0644);

	(void)state;
	assert_int_equal(ftruncate(fd, 3 * 4096 + 10), 0);
	map = mmap(NULL, 3 * 4096 + 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	memcpy(map + 4090, "across a page", 13);
	assert_int_equal(pread(fd, bytes, 13, 4090), 13);
	assert_memory_equal(bytes, "across a page", 13);
	assert_int_equal(pwrite(fd, "tail", 4, 3 * 4096 + 6), 4);
	assert_memory_equal(map + 3 * 4096 + 6, "tail", 4);
	assert_int_equal(msync(map, 3 * 4096 + 10, MS_SYNC), 0);
	memcpy(map, "late", 4); /* written back after close */
	close(fd);
	assert_int_equal(munmap(map, 3 * 4096 + 10), 0);
	fd = open("map", O_RDONLY);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(pread(fd, bytes, 4, 0), 4);
	assert_memory_equal(bytes, "late", 4);
	assert_int_equal(pread(fd, bytes, 16, 3 * 4096), 10);
	assert_memory_equal(bytes, "\0\0\0\0\0\0tail", 10);
	close(fd);
	assert_int_equal(unlink("map"), 0);
}

static void a_sparse_file_beyond_4_gib_keeps_its_bytes_and_its_holes(void **state)
{
	static const off_t at[] = { 0, 1L << 20, (1L << 32) - 3, (1L << 32) + 4096, 5L << 30 };
	char bytes[8];
	int fd = open("big", O_RDWR | O_CREAT, 0644);

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		assert_int_equal(pwrite(fd, "mark", 4, at[i]), 4);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(status("big").st_size, (5L << 30) + 4);
	assert_true(status("big").st_blocks < 4096);
	fd = open("big", O_RDONLY);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		assert_int_equal(pread(fd, bytes, 4, at[i]), 4);
		assert_memory_equal(bytes, "mark", 4);
	}
	assert_int_equal(pread(fd, bytes, 8, 3L << 30), 8);
	assert_memory_equal(bytes, "\0\0\0\0\0\0\0", 8);
	close(fd);
	assert_int_equal(truncate("big", 2), 0);
	assert_int_equal(status("big").st_size, 2);
	assert_int_equal(truncate("big", 4096), 0);
	assert_int_equal(unlink("big"), 0);
}

static void an_absurd_size_is_sparse_or_too_big(void **state)
{
	(void)state;
	make("absurd", "x", 0644);
	if (truncate("absurd", 999999999999999) == 0)
		assert_int_equal(status("absurd").st_size, 999999999999999);
	else
		assert_int_equal(errno, EFBIG);
	assert_int_equal(unlink("absurd"), 0);
}

static void data_is_never_taken_for_a_hole(void **state)
{
	int fd = open("holes", O_RDWR | O_CREAT, 0644);
	off_t found;
	char *map;

	(void)state;
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(pwrite(fd, "data", 4, 512 << 10), 4); /* not yet written back */
	found = lseek(fd, 0, SEEK_DATA);
	assert_true(found >= 0 && found <= 512 << 10);
	found = lseek(fd, 512 << 10, SEEK_DATA);
	assert_int_equal(found, 512 << 10);
	found = lseek(fd, 512 << 10, SEEK_HOLE);
	assert_true(found > 512 << 10 && found <= 1 << 20);
	assert_fails(lseek(fd, 1 << 20, SEEK_DATA), ENXIO);
	map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	map[64 << 10] = 'd'; /* nor this: only the kernel knows of it */
	found = lseek(fd, 0, SEEK_DATA);
	assert_true(found >= 0 && found <= 64 << 10);
	munmap(map, 1 << 20);
	close(fd);
	/* Nobody writes any more: now holes may show, and must be holes. */
	fd = open("holes", O_RDONLY);
	found = lseek(fd, 0, SEEK_DATA);
	assert_true(found >= 0 && found <= 64 << 10);
	found = lseek(fd, 128 << 10, SEEK_DATA);
	assert_true(found >= 128 << 10 && found <= 512 << 10);
	found = lseek(fd, 600 << 10, SEEK_DATA);
	assert_true(found == 600 << 10 || (found == -1 && errno == ENXIO));
	close(fd);
	assert_int_equal(unlink("holes"), 0);
}

static void fallocate_works_or_is_not_supported(void **state)
{
	char bytes[4];
	int fd = open("room", O_RDWR | O_CREAT, 0644);

	(void)state;
	assert_int_equal(pwrite(fd, "0123", 4, 8192), 4);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096) == 0) {
		assert_int_equal(pread(fd, bytes, 4, 8192), 4);
		assert_memory_equal(bytes, "\0\0\0", 4);
		assert_int_equal(status("room").st_size, 8196);
	} else {
		assert_int_equal(errno, EOPNOTSUPP);
	}
	if (fallocate(fd, 0, 0, 65536) == 0)
		assert_int_equal(status("room").st_size, 65536);
	else
		assert_int_equal(errno, EOPNOTSUPP);
	close(fd);
	assert_int_equal(unlink("room"), 0);
}

static void fsync_succeeds_on_files_and_directories(void **state)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	int fd = open("kept", O_RDWR | O_CREAT, 0644);

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fsync(dir), 0);
	close(fd);
	close(dir);
	assert_int_equal(unlink("kept"), 0);
}

static void locks_work_among_processes(void **state)
{
	int first, second;

	(void)state;
	make("locked", "x", 0644);
	first = open("locked", O_RDWR);
	second = open("locked", O_RDWR);
	assert_int_equal(flock(first, LOCK_EX), 0);
	assert_fails(flock(second, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	close(first);
	assert_int_equal(flock(second, LOCK_EX | LOCK_NB), 0);
	close(second);
	assert_int_equal(unlink("locked"), 0);
}

/* ---- attributes ---- */

static void times_keep_their_nanoseconds(void **state)
{
	const struct timespec times[2] = { { 1000000000, 123456789 }, { 2000000000, 987654321 } };
	const struct timespec only_access[2] = { { 5, 6 }, { 0, UTIME_OMIT } };
	struct stat st;

	(void)state;
	make("timed", "x", 0644);
	assert_int_equal(utimensat(AT_FDCWD, "timed", times, 0), 0);
	st = status("timed");
	assert_int_equal(st.st_atim.tv_nsec, 123456789);
	assert_int_equal(st.st_mtim.tv_sec, 2000000000);
	assert_int_equal(st.st_mtim.tv_nsec, 987654321);
	assert_int_equal(utimensat(AT_FDCWD, "timed", only_access, 0), 0);
	st = status("timed");
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_mtim.tv_sec, 2000000000);
	make("timed", "y", 0644);
	assert_true(status("timed").st_mtim.tv_sec < 2000000000);
	assert_int_equal(unlink("timed"), 0);
}

static void the_umask_is_applied_once(void **state)
{
	mode_t before = umask(027);
	int fd = open("masked", O_RDWR | O_CREAT, 0666);

	(void)state;
	close(fd);
	assert_int_equal(status("masked").st_mode & 07777, 0640);
	assert_int_equal(mkdir("masked-dir", 0777), 0);
	assert_int_equal(status("masked-dir").st_mode & 07777, 0750);
	umask(before);
	assert_int_equal(unlink("masked"), 0);
	assert_int_equal(rmdir("masked-dir"), 0);
}

static void attributes_of_extension_are_kept_or_not_supported(void **state)
{
	char value[8];

	(void)state;
	make("x", "x", 0644);
	if (setxattr("x", "user.colour", "red", 3, 0) == 0) {
		assert_int_equal(getxattr("x", "user.colour", value, sizeof(value)), 3);
		assert_fails(setxattr("x", "user.colour", "blue", 4, XATTR_CREATE), EEXIST);
		assert_int_equal(removexattr("x", "user.colour"), 0);
		assert_fails(getxattr("x", "user.colour", value, sizeof(value)), ENODATA);
	} else {
		assert_int_equal(errno, ENOTSUP);
		assert_fails(getxattr("x", "user.colour", value, sizeof(value)), ENOTSUP);
	}
	assert_int_equal(unlink("x"), 0);
}

static void space_is_told(void **state)
{
	struct statvfs space;

	(void)state;
	assert_int_equal(statvfs(".", &space), 0);
	assert_true(space.f_blocks > 0);
	assert_true(space.f_bfree <= space.f_blocks);
	assert_true(space.f_bavail <= space.f_bfree);
	assert_int_equal(space.f_namemax, 255);
}

/* ---- who asks ---- */

static int make_mode_0_and_use_it(void)
{
	char byte;
	int fd = open("open-to-all/locked-away", O_RDWR | O_CREAT | O_EXCL, 0);

	if (fd < 0 || write(fd, "xyz", 3) != 3 || ftruncate(fd, 1) || fsync(fd))
		return errno;
	if (pread(fd, &byte, 1, 0) != 1 || byte != 'x')
		return EIO;
	close(fd);
	return open("open-to-all/locked-away", O_RDONLY) < 0 ? errno : 0;
}

static void who_makes_a_file_of_mode_0_may_use_his_handle(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir("open-to-all", 0777), 0);
	assert_int_equal(chmod("open-to-all", 0777), 0);
	assert_int_equal(as_somebody(make_mode_0_and_use_it, 0), EACCES); /* by path: refused */
	st = status("open-to-all/locked-away");
	assert_int_equal(st.st_size, 1);
	assert_int_equal(st.st_uid, SOMEBODY);
	assert_int_equal(st.st_mode & 07777, 0);
	assert_int_equal(unlink("open-to-all/locked-away"), 0);
	assert_int_equal(rmdir("open-to-all"), 0);
}

static int write_piece(void)
{
	int fd = open("tool", O_WRONLY | O_APPEND);
	int bad = fd < 0 || write(fd, "x", 1) != 1 || close(fd);

	return bad ? errno : 0;
}

static int truncate_tool(void)
{
	return truncate("tool", 1) ? errno : 0;
}

static int touch_tool(void)
{
	return utimensat(AT_FDCWD, "tool", NULL, 0) ? errno : 0;
}

static int date_tool(void)
{
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };

	return utimensat(AT_FDCWD, "tool", times, 0) ? errno : 0;
}

static int chmod_tool(void)
{
	return chmod("tool", 0777) ? errno : 0;
}

static int read_tool(void)
{
	return open("tool", O_RDONLY) < 0 ? errno : 0;
}

static void a_write_by_a_stranger_clears_set_id_bits(void **state)
{
	(void)state;
	make("tool", "tool", 06777);
	assert_int_equal(status("tool").st_mode & 07777, 06777);
	assert_int_equal(as_somebody(write_piece, 0), 0);
	assert_int_equal(status("tool").st_mode & 07777, 0777);
	assert_holds("tool", "toolx");
	assert_int_equal(chmod("tool", 04777), 0);
	assert_int_equal(as_somebody(truncate_tool, 0), 0);
	assert_int_equal(status("tool").st_mode & 07777, 0777);
	assert_holds("tool", "t");
	assert_int_equal(unlink("tool"), 0);
}

/* In a process of its own: 0, or where it went wrong. */
static int write_without_fsetid(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	int fd;

	if (syscall(SYS_capget, &head, caps))
		return 1;
	caps[0].effective &= ~(1u << CAP_FSETID);
	if (syscall(SYS_capset, &head, caps))
		return 2;
	fd = open("suid-by-root", O_WRONLY);
	if (fd < 0 || write(fd, "z", 1) != 1)
		return 3;
	close(fd);
	return 0;
}

static void a_root_without_the_privilege_clears_set_id_bits_too(void **state)
{
	pid_t pid;
	int st;

	(void)state;
	make("suid-by-root", "xy", 06755);
	make("suid-kept", "xy", 0644);
	assert_int_equal(chmod("suid-kept", 06755), 0);
	st = open("suid-kept", O_WRONLY);
	assert_int_equal(write(st, "z", 1), 1); /* with it: they stay */
	close(st);
	assert_int_equal(status("suid-kept").st_mode & 07777, 06755);
	pid = fork();
	if (pid == 0)
		_exit(write_without_fsetid());
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), 0);
	assert_int_equal(status("suid-by-root").st_mode & 07777, 0755);
	assert_int_equal(unlink("suid-by-root"), 0);
	assert_int_equal(unlink("suid-kept"), 0);
}

static void who_may_write_may_touch_but_not_date(void **state)
{
	const struct timespec old[2] = { { 1, 0 }, { 1, 0 } };

	(void)state;
	make("tool", "tool", 0666);
	assert_int_equal(utimensat(AT_FDCWD, "tool", old, 0), 0);
	assert_int_equal(as_somebody(touch_tool, 0), 0);
	assert_true(status("tool").st_mtim.tv_sec > 1000000000);
	assert_int_equal(as_somebody(date_tool, 0), EPERM);
	assert_int_equal(as_somebody(chmod_tool, 0), EPERM);
	assert_int_equal(chmod("tool", 0644), 0);
	assert_int_equal(as_somebody(touch_tool, 0), EACCES);
	assert_int_equal(as_somebody(truncate_tool, 0), EACCES);
	assert_int_equal(unlink("tool"), 0);
}

static int make_in_group_dir(void)
{
	int fd = open("group-dir/new", O_RDWR | O_CREAT | O_EXCL, 0664);

	if (fd < 0)
		return errno;
	close(fd);
	return chown("group-dir/new", (uid_t)-1, GROUP) ? errno : 0;
}

static int make_set_gid(void)
{
	return chmod("group-dir/new", 02775) ? errno : 0;
}

static void supplementary_groups_count(void **state)
{
	(void)state;
	assert_int_equal(mkdir("group-dir", 0770), 0);
	assert_int_equal(chown("group-dir", 0, GROUP), 0);
	assert_int_equal(chmod("group-dir", 0770), 0);
	assert_int_equal(as_somebody(make_in_group_dir, 0), EACCES);
	assert_int_equal(as_somebody(make_in_group_dir, GROUP), 0);
	assert_int_equal(status("group-dir/new").st_gid, GROUP);
	assert_int_equal(as_somebody(make_set_gid, GROUP), 0);
	assert_int_equal(status("group-dir/new").st_mode & 07777, 02775);
	make("tool", "x", 0640);
	assert_int_equal(chown("tool", 0, GROUP), 0);
	assert_int_equal(as_somebody(read_tool, 0), EACCES);
	assert_int_equal(as_somebody(read_tool, GROUP), 0);
	assert_int_equal(unlink("tool"), 0);
	assert_int_equal(unlink("group-dir/new"), 0);
	assert_int_equal(rmdir("group-dir"), 0);
}

/* ---- what newer programs ask for ---- */

static void bytes_are_copied_between_files_without_passing_through_us(void **state)
{
	char back[8] = "";
	off_t from_off = 2, to_off = 0;
	int from, to;

	(void)state;
	make("from", "0123456789", 0644);
	from = open("from", O_RDWR);
	to = open("to", O_RDWR | O_CREAT, 0644);
	assert_int_equal(copy_file_range(from, &from_off, to, &to_off, 5, 0), 5);
	assert_int_equal(pread(to, back, sizeof(back), 0), 5);
	assert_memory_equal(back, "23456", 5);
	assert_int_equal(status("to").st_size, 5);
	from_off = 7;
	to_off = 1 << 20; /* leaves a hole, and ends where the source ends */
	assert_int_equal(copy_file_range(from, &from_off, to, &to_off, 100, 0), 3);
	assert_int_equal(status("to").st_size, (1 << 20) + 3);
	from_off = 10;
	assert_int_equal(copy_file_range(from, &from_off, to, &to_off, 1, 0), 0);
	from_off = 0;
	to_off = 4;
	assert_fails(copy_file_range(from, &from_off, from, &to_off, 5, 0), EINVAL);
	close(from);
	close(to);
	assert_int_equal(unlink("from"), 0);
	assert_int_equal(unlink("to"), 0);
}

static void a_file_without_a_name_can_get_one_or_is_not_supported(void **state)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char path[64];

	(void)state;
	if (fd < 0) {
		assert_int_equal(errno, EOPNOTSUPP);
		return;
	}
	assert_int_equal(write(fd, "late", 4), 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
	close(fd);
	assert_holds("named", "late");
	assert_int_equal(unlink("named"), 0);
}

static void a_file_tells_when_it_was_made(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct statx info;

	(void)state;
	make("born", "x", 0644);
	assert_int_equal(utimensat(AT_FDCWD, "born", old, 0), 0);
	assert_int_equal(statx(AT_FDCWD, "born", 0, STATX_BASIC_STATS | STATX_BTIME, &info), 0);
	assert_true(info.stx_mask & STATX_BTIME);
	assert_int_equal(info.stx_mtime.tv_sec, 1000);
	assert_true(info.stx_btime.tv_sec >= time(NULL) - 10);
	assert_true(info.stx_btime.tv_sec <= time(NULL));
	assert_int_equal(info.stx_size, 1);
	assert_int_equal(info.stx_ino, status("born").st_ino);
	assert_int_equal(unlink("born"), 0);
}

/* ---- file handles, as NFS servers use them ---- */

struct handle {
	struct file_handle fixed;
	unsigned char room[128];
};

static void a_file_can_be_opened_by_its_handle(void **state)
{
	struct handle handle = { .fixed.handle_bytes = sizeof(handle.room) };
	int dir = open(".", O_RDONLY | O_DIRECTORY), mount_id, fd;
	char byte;

	(void)state;
	make("handled", "h", 0644);
	assert_int_equal(name_to_handle_at(AT_FDCWD, "handled", &handle.fixed, &mount_id, 0), 0);
	fd = open_by_handle_at(dir, &handle.fixed, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'h');
	close(fd);
	assert_int_equal(unlink("handled"), 0);
	/* The kernel gives its last hold on the file back in its own time. */
	for (int tries = 0; tries < 100; tries++) {
		fd = open_by_handle_at(dir, &handle.fixed, O_RDONLY);
		if (fd < 0)
			break;
		close(fd);
		usleep(50000);
	}
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ESTALE);
	close(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_255_bytes_work_and_longer_ones_are_refused_everywhere),
		cmocka_unit_test(a_missing_name_appears_when_it_is_made_and_goes_when_removed),
		cmocka_unit_test(hard_links_are_one_file),
		cmocka_unit_test(directories_count_their_subdirectories),
		cmocka_unit_test(rename_replaces_and_its_flags_are_honoured_or_refused),
		cmocka_unit_test(a_symbolic_link_may_be_4095_bytes_long),
		cmocka_unit_test(nodes_keep_their_kind_and_number),
		cmocka_unit_test(a_big_directory_lists_every_name_once),
		cmocka_unit_test(removing_while_listing_misses_nothing),
		cmocka_unit_test(an_unlinked_open_file_lives_until_it_is_closed),
		cmocka_unit_test(opening_flags_do_what_they_say),
		cmocka_unit_test(a_piece_may_be_written_through_a_write_only_handle),
		cmocka_unit_test(mapped_bytes_are_the_files_bytes),
		cmocka_unit_test(a_sparse_file_beyond_4_gib_keeps_its_bytes_and_its_holes),
		cmocka_unit_test(an_absurd_size_is_sparse_or_too_big),
		cmocka_unit_test(data_is_never_taken_for_a_hole),
		cmocka_unit_test(fallocate_works_or_is_not_supported),
		cmocka_unit_test(fsync_succeeds_on_files_and_directories),
		cmocka_unit_test(locks_work_among_processes),
		cmocka_unit_test(times_keep_their_nanoseconds),
		cmocka_unit_test(the_umask_is_applied_once),
		cmocka_unit_test(attributes_of_extension_are_kept_or_not_supported),
		cmocka_unit_test(space_is_told),
		cmocka_unit_test(who_makes_a_file_of_mode_0_may_use_his_handle),
		cmocka_unit_test(a_write_by_a_stranger_clears_set_id_bits),
		cmocka_unit_test(who_may_write_may_touch_but_not_date),
		cmocka_unit_test(supplementary_groups_count),
		cmocka_unit_test(a_root_without_the_privilege_clears_set_id_bits_too),
		cmocka_unit_test(bytes_are_copied_between_files_without_passing_through_us),
		cmocka_unit_test(a_file_without_a_name_can_get_one_or_is_not_supported),
		cmocka_unit_test(a_file_tells_when_it_was_made),
		cmocka_unit_test(a_file_can_be_opened_by_its_handle),
	};

	if (argc != 2 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: test_posix DIR\n");
		return 2;
	}
	umask(022);
	return cmocka_run_group_tests_name("posix", tests, NULL, NULL);
}
