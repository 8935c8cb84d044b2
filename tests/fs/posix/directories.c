/* SPDX-License-Identifier: MIT */
/* mkdir(2), rmdir(2), and reading directories. */
#include "px.h"

#include <dirent.h>

static void a_new_directory_is_empty_and_has_two_links(struct px *p)
{
	struct stat st;

	works(px_mkdir(p, "d", 0777));
	st = px_status(p, "d");
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(px_count(p, "d"), 0);
}

static void directories_count_their_subdirectories(struct px *p)
{
	char name[16];

	works(px_mkdir(p, "d", 0755));
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(px_status(p, "d").st_nlink, 2 + i);
		snprintf(name, sizeof(name), "d/s%u", i);
		works(px_mkdir(p, name, 0755));
	}
	px_file(p, "d/file", "", 0644); /* files do not count */
	works(px_symlink(p, "s1", "d/symlink"));
	for (unsigned i = 20; i > 0; i--) {
		assert_int_equal(px_status(p, "d").st_nlink, 2 + i);
		snprintf(name, sizeof(name), "d/s%u", i - 1);
		works(px_rmdir(p, name));
	}
	assert_int_equal(px_status(p, "d").st_nlink, 2);
}

static void the_sticky_bit_of_a_new_directory_stays(struct px *p)
{
	px_umask(p, 0);
	works(px_mkdir(p, "d", 01777));
	assert_int_equal(px_mode(p, "d"), 01777);
}

static void a_directory_with_anything_in_it_stays(struct px *p)
{
	char path[32];

	for (const char *const *type = px_types; *type; type++) {
		works(px_mkdir(p, *type, 0755));
		snprintf(path, sizeof(path), "%s/x", *type);
		px_make(p, *type, path);
		refused(px_rmdir(p, *type), ENOTEMPTY);
		works(strcmp(*type, "dir") == 0 ? px_rmdir(p, path) : px_unlink(p, path));
		works(px_rmdir(p, *type));
		px_gone(p, *type);
	}
}

static void only_directories_are_removed_as_such(struct px *p)
{
	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		if (strcmp(*type, "dir") != 0)
			refused(px_rmdir(p, *type), ENOTDIR);
	}
	works(px_symlink(p, "dir", "to-dir"));
	refused(px_rmdir(p, "to-dir"), ENOTDIR);
	works(px_rmdir(p, "dir"));
}

static bool listed(struct px *p, const char *dir, const char *name, struct px_entry *out)
{
	struct px_entry entry;
	struct px_dir *stream;
	unsigned times = 0;

	works(px_opendir(p, dir, &stream));
	while (works(px_readdir(p, stream, &entry)))
		if (strcmp(entry.name, name) == 0) {
			times++;
			*out = entry;
		}
	px_closedir(p, stream);
	assert_true(times < 2);
	return times == 1;
}

static void dot_and_dotdot_are_listed_with_their_numbers(struct px *p)
{
	struct px_entry entry;

	works(px_mkdir(p, "d", 0755));
	works(px_mkdir(p, "d/e", 0755));
	assert_true(listed(p, "d/e", ".", &entry));
	assert_int_equal(entry.ino, px_status(p, "d/e").st_ino);
	assert_int_equal(entry.type, DT_DIR);
	assert_true(listed(p, "d/e", "..", &entry));
	assert_int_equal(entry.ino, px_status(p, "d").st_ino);
	assert_int_equal(px_status(p, "d/e/..").st_ino, px_status(p, "d").st_ino);
	assert_int_equal(px_status(p, "d/e/.").st_ino, px_status(p, "d/e").st_ino);
}

static void every_type_is_listed_as_such(struct px *p)
{
	struct px_entry entry;

	works(px_mkdir(p, "all", 0755));
	for (const char *const *type = px_types; *type; type++) {
		char path[32];

		snprintf(path, sizeof(path), "all/%s", *type);
		px_make(p, *type, path);
		assert_true(listed(p, "all", *type, &entry));
		assert_int_equal(entry.ino, px_status(p, path).st_ino);
		assert_int_equal(entry.type, IFTODT(px_status(p, path).st_mode));
	}
}

static void what_was_removed_is_not_listed(struct px *p)
{
	struct px_entry entry;

	works(px_mkdir(p, "d", 0755));
	px_file(p, "d/a", "", 0644);
	px_file(p, "d/b", "", 0644);
	works(px_unlink(p, "d/a"));
	assert_false(listed(p, "d", "a", &entry));
	works(px_rename(p, "d/b", "d/c"));
	assert_false(listed(p, "d", "b", &entry));
	assert_true(listed(p, "d", "c", &entry));
	assert_int_equal(px_count(p, "d"), 1);
}

static void names_may_be_of_any_length_to_255(struct px *p)
{
	char name[300], path[320];
	struct px_entry entry;

	works(px_mkdir(p, "d", 0755));
	for (size_t len = 1; len <= 255; len++) {
		snprintf(path, sizeof(path), "d/%s", px_long(name, len, 'x'));
		px_file(p, path, "", 0644);
	}
	assert_int_equal(px_count(p, "d"), 255);
	for (size_t len = 255; len > 0; len--) {
		px_long(name, len, 'x');
		if (len % 16 == 15)
			assert_true(listed(p, "d", name, &entry));
		snprintf(path, sizeof(path), "d/%s", name);
		works(px_unlink(p, path));
	}
	works(px_rmdir(p, "d"));
}

static void names_may_hold_any_byte_but_two(struct px *p)
{
	struct px_entry entry;
	char path[16];

	works(px_mkdir(p, "d", 0755));
	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		snprintf(path, sizeof(path), "d/%c-", byte);
		px_file(p, path, "", 0644);
	}
	assert_int_equal(px_count(p, "d"), 254);
	for (int byte = 1; byte < 256; byte++) {
		if (byte == '/')
			continue;
		snprintf(path, sizeof(path), "d/%c-", byte);
		assert_true(listed(p, "d", path + 2, &entry));
		assert_int_equal(entry.ino, px_status(p, path).st_ino);
	}
}

static void names_differ_by_case_and_by_normal_form(struct px *p)
{
	static const char *const names[] = { "a", "A",  "\xc3\xa9", "e\xcc\x81",
					     " ", "a ", ".a",       "..." };
	char content[8];

	for (unsigned i = 0; i < 8; i++) {
		snprintf(content, sizeof(content), "%u", i);
		px_file(p, names[i], content, 0644);
	}
	for (unsigned i = 0; i < 8; i++) {
		snprintf(content, sizeof(content), "%u", i);
		px_holds(p, names[i], content);
	}
	assert_int_equal(px_count(p, "."), 8);
}

/* ---- big ones, and change while reading ---- */

#define MANY 1500u

static const char *number(char *path, const char *dir, unsigned i)
{
	snprintf(path, 64, "%s/name-%u-%.*s", dir, i, (int)(i % 23), "abcdefghijklmnopqrstuvwxyz");
	return path;
}

static void fill(struct px *p, const char *dir, unsigned count)
{
	char path[64];

	works(px_mkdir(p, dir, 0755));
	for (unsigned i = 0; i < count; i++)
		px_file(p, number(path, dir, i), "", 0644);
}

static unsigned which(const char *name)
{
	unsigned i = MANY * 10;

	sscanf(name, "name-%u-", &i);
	return i;
}

static void a_big_directory_lists_each_name_once(struct px *p)
{
	unsigned char *seen = calloc(MANY, 1);
	struct px_entry entry;
	struct px_dir *stream;
	char path[64];

	assert_non_null(seen);
	fill(p, "big", MANY);
	works(px_opendir(p, "big", &stream));
	while (works(px_readdir(p, stream, &entry)))
		if (entry.name[0] != '.') {
			assert_true(which(entry.name) < MANY);
			assert_int_equal(seen[which(entry.name)]++, 0);
		}
	px_closedir(p, stream);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(seen[i], 1);
	for (unsigned i = 0; i < MANY; i++) /* in another order than made */
		works(px_unlink(p, number(path, "big", i * 7 % MANY)));
	works(px_rmdir(p, "big"));
	free(seen);
}

/* Entries that come, go and are renamed while one reads: those that stay are read exactly once. */
static void what_stays_is_listed_once_while_others_come_and_go(struct px *p)
{
	enum { COUNT = 600 };
	unsigned char seen[COUNT] = { 0 };
	struct px_entry entry;
	struct px_dir *stream;
	char path[64], other[64];
	unsigned read = 0;

	fill(p, "busy", COUNT);
	works(px_opendir(p, "busy", &stream));
	while (works(px_readdir(p, stream, &entry))) {
		unsigned i = which(entry.name), k = read * 2 % COUNT;

		if (i < COUNT)
			seen[i]++;
		read++;
		assert_true(read < 4 * COUNT); /* it ends */
		if (k % 4 == 0 && px_unlink(p, number(path, "busy", k)) == 0)
			px_file(p, number(other, "busy", COUNT * 2 + read), "", 0644);
		if (k % 4 == 2) {
			snprintf(other, sizeof(other), "busy/renamed-%u", k);
			px_rename(p, number(path, "busy", k), other);
		}
	}
	px_closedir(p, stream);
	for (unsigned i = 1; i < COUNT; i += 2)
		if (seen[i] != 1)
			fail_msg("entry %u was listed %u times", i, seen[i]);
	for (unsigned i = 0; i < COUNT; i += 2)
		assert_true(seen[i] <= 1);
}

/* As rm -r does it. */
static void removing_what_one_reads_leaves_nothing(struct px *p)
{
	struct px_entry entry;
	struct px_dir *stream;
	char path[300];

	fill(p, "d", 700);
	works(px_opendir(p, "d", &stream));
	while (works(px_readdir(p, stream, &entry)))
		if (entry.name[0] != '.') {
			snprintf(path, sizeof(path), "d/%s", entry.name);
			works(px_unlink(p, path));
		}
	px_closedir(p, stream);
	assert_int_equal(px_count(p, "d"), 0);
	works(px_rmdir(p, "d"));
}

/* As ls -l does it; a LibFS may put in order what it is shown, but not before the reader's eyes. */
static void looking_at_what_one_reads_moves_nothing(struct px *p)
{
	enum { COUNT = 300 };
	unsigned char seen[COUNT] = { 0 };
	struct px_entry entry;
	struct px_dir *stream;
	char path[300], other[32];

	fill(p, "d", COUNT);
	works(px_mkdir(p, "other", 0755));
	/* Each had two names for a while, and others came close meanwhile. */
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(other, sizeof(other), "other/%u", i);
		works(px_link(p, number(path, "d", i), other));
	}
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(other, sizeof(other), "d/close-%u", i);
		px_file(p, other, "", 0644);
		snprintf(other, sizeof(other), "other/%u", i);
		works(px_unlink(p, other));
	}
	works(px_opendir(p, "d", &stream));
	while (works(px_readdir(p, stream, &entry)))
		if (which(entry.name) < COUNT) {
			snprintf(path, sizeof(path), "d/%s", entry.name);
			assert_int_equal(px_status(p, path).st_ino, entry.ino);
			assert_int_equal(seen[which(entry.name)]++, 0);
		}
	px_closedir(p, stream);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
}

static void a_told_position_leads_back(struct px *p)
{
	enum { COUNT = 300 };
	struct px_entry entry, next[COUNT + 2];
	long where[COUNT + 2];
	struct px_dir *stream;
	size_t n = 0;

	fill(p, "d", COUNT);
	works(px_opendir(p, "d", &stream));
	for (;; n++) {
		long told = px_telldir(p, stream);

		if (!works(px_readdir(p, stream, &entry)))
			break;
		assert_true(n < COUNT + 2);
		where[n] = told;
		next[n] = entry;
	}
	assert_int_equal(n, COUNT + 2);
	for (size_t i = 0; i < n; i++) {
		size_t k = i * 37 % n;

		px_seekdir(p, stream, where[k]);
		assert_int_equal(works(px_readdir(p, stream, &entry)), 1);
		assert_string_equal(entry.name, next[k].name);
	}
	px_closedir(p, stream);
}

static void rewinding_shows_what_came_since(struct px *p)
{
	struct px_entry entry;
	struct px_dir *stream;
	unsigned found = 0;

	fill(p, "d", 10);
	works(px_opendir(p, "d", &stream));
	while (works(px_readdir(p, stream, &entry)))
		;
	px_file(p, "d/late", "", 0644);
	works(px_readdir(p, stream, &entry)); /* at the end or not: both are allowed */
	px_seekdir(p, stream, 0);
	while (works(px_readdir(p, stream, &entry)))
		found += strcmp(entry.name, "late") == 0;
	assert_int_equal(found, 1);
	px_closedir(p, stream);
}

static void two_streams_do_not_disturb_each_other(struct px *p)
{
	struct px_entry a, b;
	struct px_dir *first, *second;

	fill(p, "d", 50);
	works(px_opendir(p, "d", &first));
	works(px_opendir(p, "d", &second));
	for (int i = 0; i < 10; i++)
		works(px_readdir(p, first, &a));
	while (works(px_readdir(p, first, &a))) {
		works(px_readdir(p, second, &b));
	}
	for (int i = 0; i < 10; i++)
		assert_int_equal(works(px_readdir(p, second, &b)), 1);
	assert_int_equal(works(px_readdir(p, second, &b)), 0);
	px_closedir(p, first);
	px_closedir(p, second);
}

static void a_directory_that_was_emptied_is_used_again(struct px *p)
{
	char path[64];

	works(px_mkdir(p, "d", 0755));
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 200; i++)
			px_file(p, number(path, "d", i), "", 0644);
		assert_int_equal(px_count(p, "d"), 200);
		for (unsigned i = 0; i < 200; i++)
			works(px_unlink(p, number(path, "d", (i * 3 + round) % 200)));
		assert_int_equal(px_count(p, "d"), 0);
	}
}

static void directories_nest_deeply(struct px *p)
{
	char path[600] = "d", up[600];
	ino_t top;

	works(px_mkdir(p, path, 0755));
	top = px_status(p, "d").st_ino;
	for (int depth = 0; depth < 150; depth++) {
		strcat(path, "/d");
		works(px_mkdir(p, path, 0755));
		assert_int_equal(px_status(p, path).st_nlink, 2);
	}
	strcpy(up, path);
	for (int depth = 0; depth < 90; depth++)
		strcat(up, "/..");
	assert_true(S_ISDIR(px_status(p, up).st_mode));
	refused(px_rmdir(p, "d"), ENOTEMPTY);
	while (strrchr(path, '/')) {
		works(px_rmdir(p, path));
		*strrchr(path, '/') = '\0';
	}
	assert_int_equal(px_status(p, "d").st_ino, top);
	assert_int_equal(px_status(p, "d").st_nlink, 2);
}

static void only_directories_are_listed(struct px *p)
{
	struct px_dir *stream;

	px_file(p, "f", "", 0644);
	refused(px_opendir(p, "f", &stream), ENOTDIR);
	works(px_symlink(p, "f", "s"));
	refused(px_opendir(p, "s", &stream), ENOTDIR);
}

static void reading_and_listing_are_different_things(struct px *p)
{
	char bytes[16];
	int fd;

	works(px_mkdir(p, "d", 0755));
	fd = (int)works(px_open(p, "d", O_RDONLY | O_DIRECTORY, 0));
	refused(px_read(p, fd, bytes, sizeof(bytes)), EISDIR);
	refused(px_pread(p, fd, bytes, sizeof(bytes), 0), EISDIR);
	works(px_fsync(p, fd));
	works(px_fdatasync(p, fd));
	works(px_close(p, fd));
	refused(px_truncate(p, "d", 0), EISDIR);
}

static void an_open_directory_may_be_removed(struct px *p)
{
	struct px_entry entry;
	struct px_dir *stream;

	works(px_mkdir(p, "d", 0755));
	works(px_opendir(p, "d", &stream));
	works(px_rmdir(p, "d"));
	while (works(px_readdir(p, stream, &entry)))
		assert_int_equal(entry.name[0], '.');
	works(px_mkdir(p, "d", 0755));
	px_file(p, "d/f", "", 0644);
	px_seekdir(p, stream, 0);
	while (works(px_readdir(p, stream, &entry)))
		assert_int_equal(entry.name[0], '.');
	px_closedir(p, stream);
	assert_int_equal(px_count(p, "d"), 1);
}

/* ---- what only a kernel decides ---- */

static void dots_are_not_removed(struct px *p)
{
	works(px_mkdir(p, "d", 0755));
	works(px_mkdir(p, "d/e", 0755));
	refused(px_rmdir(p, "d/e/."), EINVAL);
	refused(px_rmdir(p, "d/e/.."), ENOTEMPTY);
	refused(px_mkdir(p, "d/e/.", 0755), EEXIST);
	refused(px_mkdir(p, "d/e/..", 0755), EEXIST);
	refused(px_unlink(p, "d/e/."), EISDIR);
}

static void a_slash_behind_a_directory_is_fine(struct px *p)
{
	works(px_mkdir(p, "d/", 0755));
	works(px_mkdir(p, "d/e///", 0755));
	works(px_rmdir(p, "d/e/"));
	refused(px_unlink(p, "d/"), EISDIR);
	works(px_symlink(p, "d", "s"));
	refused(px_rmdir(p, "s/"), ENOTDIR);
	works(px_rmdir(p, "d/"));
}

static void nothing_is_made_in_a_removed_directory(struct px *p)
{
	int here = open(".", O_RDONLY | O_DIRECTORY), fd;

	(void)p;
	works(px_mkdir(p, "d", 0755));
	fd = open("d", O_RDONLY | O_DIRECTORY);
	works(px_rmdir(p, "d"));
	assert_int_equal(openat(fd, "f", O_WRONLY | O_CREAT, 0644), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkdirat(fd, "e", 0755), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(symlinkat("t", fd, "s"), -1);
	assert_int_equal(errno, ENOENT);
	px_file(p, "f", "", 0644);
	assert_int_equal(linkat(here, "f", fd, "g", 0), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(renameat(here, "f", fd, "g"), -1);
	assert_int_equal(errno, ENOENT);
	close(fd);
	close(here);
}

static void a_removed_directory_has_no_links(struct px *p)
{
	struct stat st;
	int fd;

	works(px_mkdir(p, "d", 0755));
	fd = (int)works(px_open(p, "d", O_RDONLY | O_DIRECTORY, 0));
	works(px_rmdir(p, "d"));
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_nlink, 0);
	works(px_close(p, fd));
}

static const struct px_case cases[] = {
	PX(a_new_directory_is_empty_and_has_two_links),
	PX(directories_count_their_subdirectories),
	PX(the_sticky_bit_of_a_new_directory_stays),
	PX(a_directory_with_anything_in_it_stays),
	PX(only_directories_are_removed_as_such),
	PX(dot_and_dotdot_are_listed_with_their_numbers),
	PX(every_type_is_listed_as_such),
	PX(what_was_removed_is_not_listed),
	PX(names_may_be_of_any_length_to_255),
	PX(names_may_hold_any_byte_but_two),
	PX(names_differ_by_case_and_by_normal_form),
	PX(a_big_directory_lists_each_name_once),
	PX(what_stays_is_listed_once_while_others_come_and_go),
	PX(removing_what_one_reads_leaves_nothing),
	PX(looking_at_what_one_reads_moves_nothing),
	PX(a_told_position_leads_back),
	PX(rewinding_shows_what_came_since),
	PX(two_streams_do_not_disturb_each_other),
	PX(a_directory_that_was_emptied_is_used_again),
	PX(directories_nest_deeply),
	PX(only_directories_are_listed),
	PX(reading_and_listing_are_different_things),
	PX(an_open_directory_may_be_removed),
	PX_MOUNT(dots_are_not_removed),
	PX_MOUNT(a_slash_behind_a_directory_is_fine),
	PX_MOUNT(nothing_is_made_in_a_removed_directory),
	PX(a_removed_directory_has_no_links),
};

PX_SUITE(directories, cases);
