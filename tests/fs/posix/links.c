/* SPDX-License-Identifier: MIT */
/* Hard links, symlinks, unlinking, special files. */
#include "px.h"

#include <sys/sysmacros.h>

static void all_names_are_one_file(struct px *p)
{
	struct stat a, b;

	for (const char *const *type = px_types; *type; type++) {
		if (strcmp(*type, "dir") == 0)
			continue;
		px_make(p, *type, "one");
		works(px_mkdir(p, "d", 0755));
		works(px_link(p, "one", "two"));
		works(px_link(p, "two", "d/three"));
		a = px_status(p, "one");
		b = px_status(p, "d/three");
		assert_int_equal(a.st_nlink, 3);
		assert_int_equal(a.st_ino, b.st_ino);
		assert_int_equal(a.st_mode, b.st_mode);
		works(px_lchown(p, "two", 5, 6));
		assert_int_equal(px_status(p, "d/three").st_uid, 5);
		works(px_unlink(p, "one"));
		assert_int_equal(px_status(p, "two").st_nlink, 2);
		works(px_unlink(p, "d/three"));
		assert_int_equal(px_status(p, "two").st_nlink, 1);
		assert_int_equal(px_status(p, "two").st_ino, a.st_ino);
		works(px_unlink(p, "two"));
		works(px_rmdir(p, "d"));
	}
}

static void what_one_name_writes_the_other_reads(struct px *p)
{
	px_file(p, "one", "content", 0644);
	works(px_link(p, "one", "two"));
	works(px_truncate(p, "two", 4));
	works(px_chmod(p, "two", 0600));
	px_holds(p, "one", "cont");
	assert_int_equal(px_mode(p, "one"), 0600);
	works(px_unlink(p, "one"));
	px_holds(p, "two", "cont");
	px_gone(p, "one");
}

static void directories_are_not_linked(struct px *p)
{
	works(px_mkdir(p, "d", 0755));
	refused(px_link(p, "d", "e"), EPERM);
	px_gone(p, "e");
	assert_int_equal(px_status(p, "d").st_nlink, 2);
	px_as(p, OWNER, GROUP);
	refused(px_link(p, "d", "e"), EPERM);
}

static void a_link_to_a_symlink_is_a_link_to_the_symlink(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_symlink(p, "f", "s"));
	works(px_link(p, "s", "t"));
	assert_true(S_ISLNK(px_status(p, "t").st_mode));
	assert_int_equal(px_status(p, "s").st_nlink, 2);
	assert_int_equal(px_status(p, "f").st_nlink, 1);
	works(px_unlink(p, "s"));
	px_holds(p, "t", "content");
}

static void a_failed_link_counts_nothing(struct px *p)
{
	struct stat before, after;

	px_file(p, "f", "", 0644);
	px_file(p, "g", "", 0644);
	before = px_status(p, "f");
	px_tick(p);
	refused(px_link(p, "f", "g"), EEXIST);
	refused(px_link(p, "f", "f"), EEXIST);
	refused(px_link(p, "f", "missing/g"), ENOENT);
	after = px_status(p, "f");
	assert_int_equal(after.st_nlink, 1);
	assert_int_equal(px_moved(&before, &after), 0);
}

static void a_file_may_have_hundreds_of_names(struct px *p)
{
	enum { NAMES = 400 };
	char name[32];

	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "b", 0755));
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%c/%d", i % 2 ? 'a' : 'b', i);
		works(px_link(p, "f", name));
	}
	assert_int_equal(px_status(p, "f").st_nlink, NAMES + 1);
	works(px_unlink(p, "f"));
	for (int i = 0; i < NAMES; i++) {
		int k = i * 7 % NAMES;

		snprintf(name, sizeof(name), "%c/%d", k % 2 ? 'a' : 'b', k);
		assert_int_equal(px_status(p, name).st_nlink, NAMES - i);
		if (i % 97 == 0)
			px_holds(p, name, "content");
		works(px_unlink(p, name));
	}
	works(px_rmdir(p, "a"));
	works(px_rmdir(p, "b"));
}

/* ---- unlink ---- */

static void every_type_but_directories_is_unlinked(struct px *p)
{
	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		if (strcmp(*type, "dir") == 0) {
			refused(px_unlink(p, *type), EISDIR);
			continue;
		}
		works(px_unlink(p, *type));
		px_gone(p, *type);
		refused(px_unlink(p, *type), ENOENT);
	}
}

static void unlinking_a_symlink_leaves_its_target(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	works(px_symlink(p, "f", "s"));
	works(px_symlink(p, "d", "t"));
	works(px_unlink(p, "s"));
	works(px_unlink(p, "t"));
	px_holds(p, "f", "content");
	assert_true(S_ISDIR(px_status(p, "d").st_mode));
}

static void an_unlinked_open_file_lives_on(struct px *p)
{
	char bytes[16];
	struct stat st;
	int fd, other;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	other = (int)works(px_open(p, "f", O_RDONLY, 0));
	works(px_unlink(p, "f"));
	px_gone(p, "f");
	px_file(p, "f", "another", 0644);
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_nlink, 0);
	assert_int_not_equal(st.st_ino, px_status(p, "f").st_ino);
	assert_int_equal(px_pwrite(p, fd, " more", 5, 7), 5);
	assert_int_equal(px_pread(p, other, bytes, 16, 0), 12);
	assert_memory_equal(bytes, "content more", 12);
	works(px_fchmod(p, fd, 0600));
	works(px_fchown(p, fd, 5, 6));
	works(px_ftruncate(p, fd, 4));
	works(px_fsync(p, fd));
	works(px_close(p, fd));
	assert_int_equal(px_pread(p, other, bytes, 16, 0), 4);
	works(px_fstat(p, other, &st));
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_mode & 07777, 0600);
	works(px_close(p, other));
	px_holds(p, "f", "another");
}

static void a_big_unlinked_file_gives_its_space_back(struct px *p)
{
	struct statvfs before, during, after;
	char *bytes = calloc(1, 1 << 20);
	int fd;

	assert_non_null(bytes);
	px_file(p, "other", "x", 0644);
	fd = (int)works(px_open(p, ".", O_RDONLY, 0));
	works(px_fsync(p, fd));
	works(px_statvfs(p, ".", &before));
	works(px_close(p, fd));
	fd = (int)works(px_open(p, "f", O_RDWR | O_CREAT, 0644));
	for (int i = 0; i < 4; i++)
		assert_int_equal(px_pwrite(p, fd, bytes, 1 << 20, (off_t)i << 20), 1 << 20);
	works(px_fsync(p, fd));
	works(px_statvfs(p, ".", &during));
	assert_true(during.f_bfree * during.f_frsize + (4 << 20) <=
		    before.f_bfree * before.f_frsize + (1 << 19));
	works(px_unlink(p, "f"));
	works(px_close(p, fd));
	for (int tries = 0; tries < 400; tries++) { /* taken apart in its own time */
		fd = (int)works(px_open(p, "other", O_RDONLY, 0));
		works(px_fsync(p, fd));
		works(px_close(p, fd));
		works(px_statvfs(p, ".", &after));
		if (after.f_bfree * after.f_frsize + (1 << 19) >= before.f_bfree * before.f_frsize)
			break;
		px_tick(p);
	}
	assert_true(after.f_bfree * after.f_frsize + (1 << 19) >= before.f_bfree * before.f_frsize);
	free(bytes);
}

/* ---- symlinks ---- */

static void a_symlink_tells_its_target_and_its_length(struct px *p)
{
	static const size_t lens[] = {
		1, 2, 59, 60, 61, 119, 120, 121, 255, 256, 1023, 4094, 4095
	};
	char *target = malloc(5000), *got = malloc(5000), name[16];
	struct stat st;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		px_long(target, lens[i], (char)('a' + i));
		snprintf(name, sizeof(name), "s%zu", lens[i]);
		works(px_symlink(p, target, name));
		memset(got, 0, 5000);
		assert_int_equal(px_readlink(p, name, got, 4999), lens[i]);
		assert_string_equal(got, target);
		st = px_status(p, name);
		assert_int_equal(st.st_size, lens[i]);
		assert_true(S_ISLNK(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0777);
		assert_int_equal(st.st_nlink, 1);
	}
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i += 3) {
		snprintf(name, sizeof(name), "s%zu", lens[i]);
		works(px_unlink(p, name));
	}
	free(target);
	free(got);
}

static void a_symlink_of_4096_bytes_is_too_long(struct px *p)
{
	char *target = malloc(5000);

	refused(px_symlink(p, px_long(target, 4096, 'x'), "s"), ENAMETOOLONG);
	px_gone(p, "s");
	free(target);
}

static void a_short_buffer_gets_the_beginning(struct px *p)
{
	char got[8] = "-------";

	works(px_symlink(p, "0123456789", "s"));
	assert_int_equal(px_readlink(p, "s", got, 4), 4);
	assert_string_equal(got, "0123---");
}

static void symlinks_may_hold_any_bytes(struct px *p)
{
	char target[256], got[256];

	for (int i = 0; i < 255; i++)
		target[i] = (char)(i + 1);
	target[255] = '\0';
	works(px_symlink(p, target, "s"));
	assert_int_equal(px_readlink(p, "s", got, sizeof(got)), 255);
	assert_memory_equal(got, target, 255);
}

static void only_symlinks_are_read_as_such(struct px *p)
{
	char got[16];

	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		if (strcmp(*type, "symlink") != 0)
			refused(px_readlink(p, *type, got, sizeof(got)), EINVAL);
	}
}

static void symlinks_lead_on(struct px *p)
{
	struct stat st;
	char name[8], before[8] = "f";

	px_file(p, "f", "content", 0644);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		works(px_symlink(p, before, name));
		strcpy(before, name);
	}
	px_holds(p, "s38", "content");
	works(px_stat(p, "s39", &st));
	assert_int_equal(st.st_ino, px_status(p, "f").st_ino);
	works(px_symlink(p, "s39", "s40"));
	refused(px_stat(p, "s40", &st), ELOOP);
	works(px_mkdir(p, "d", 0755));
	works(px_mkdir(p, "d/e", 0755));
	works(px_symlink(p, "../f", "d/up"));
	works(px_symlink(p, "d/e/../up", "round"));
	px_holds(p, "round", "content");
}

static void a_dangling_symlink_is_there_and_leads_nowhere(struct px *p)
{
	struct stat st;

	works(px_symlink(p, "missing", "s"));
	refused(px_stat(p, "s", &st), ENOENT);
	assert_true(S_ISLNK(px_status(p, "s").st_mode));
	refused(px_open(p, "s", O_RDONLY, 0), ENOENT);
	refused(px_chmod(p, "s", 0644), ENOENT);
	refused(px_truncate(p, "s", 0), ENOENT);
}

static void a_symlink_is_not_a_permission(struct px *p)
{
	px_dir_for(p, "closed", OWNER, GROUP, 0700);
	px_file_for(p, "closed/f", STRANGER, ELSEWISE, 0666);
	works(px_symlink(p, "closed/f", "s"));
	px_as(p, STRANGER, ELSEWISE);
	refused(px_open(p, "s", O_RDONLY, 0), EACCES);
	px_as(p, OWNER, GROUP);
	works(px_close(p, (int)works(px_open(p, "s", O_RDONLY, 0))));
}

/* ---- special files ---- */

static void nodes_keep_type_device_and_mode(struct px *p)
{
	static const struct {
		mode_t mode;
		unsigned major, minor;
	} rows[] = {
		{ S_IFIFO | 0640, 0, 0 },     { S_IFSOCK | 0755, 0, 0 },
		{ S_IFCHR | 0600, 1, 3 },     { S_IFBLK | 0660, 8, 17 },
		{ S_IFCHR | 0444, 255, 255 }, { S_IFBLK | 0400, 511, 0xfffff },
		{ S_IFCHR | 0, 4095, 256 },   { S_IFREG | 0604, 0, 0 },
	};
	char name[8];

	px_umask(p, 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stat st;
		dev_t dev = makedev(rows[i].major, rows[i].minor);

		snprintf(name, sizeof(name), "n%u", i);
		works(px_mknod(p, name, rows[i].mode, dev));
		st = px_status(p, name);
		assert_int_equal(st.st_mode, rows[i].mode);
		assert_int_equal(st.st_size, 0);
		assert_int_equal(st.st_nlink, 1);
		if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
			assert_int_equal(st.st_rdev, dev);
	}
}

static void special_files_have_no_length_to_change(struct px *p)
{
	static const char *const types[] = { "fifo", "socket", "block", "char" };

	for (int i = 0; i < 4; i++) {
		px_make(p, types[i], types[i]);
		refused(px_truncate(p, types[i], 0), EINVAL);
	}
}

static void anybody_makes_fifos(struct px *p)
{
	px_as(p, STRANGER, ELSEWISE);
	works(px_mknod(p, "q", S_IFIFO | 0600, 0));
	works(px_mknod(p, "s", S_IFSOCK | 0600, 0));
	works(px_mknod(p, "f", S_IFREG | 0600, 0));
	assert_int_equal(px_status(p, "q").st_uid, STRANGER);
}

/* ---- what only a kernel decides ---- */

static void only_root_makes_devices(struct px *p)
{
	px_as(p, STRANGER, ELSEWISE);
	refused(px_mknod(p, "c", S_IFCHR | 0600, makedev(1, 3)), EPERM);
	refused(px_mknod(p, "b", S_IFBLK | 0600, makedev(7, 9)), EPERM);
	px_gone(p, "c");
}

static void directories_and_symlinks_are_no_nodes(struct px *p)
{
	refused(px_mknod(p, "d", S_IFDIR | 0755, 0), EPERM);
	refused(px_mknod(p, "s", S_IFLNK | 0777, 0), EINVAL);
	px_gone(p, "d");
}

static void an_empty_symlink_is_refused(struct px *p)
{
	refused(px_symlink(p, "", "s"), ENOENT);
}

static void a_slash_behind_a_file_is_refused(struct px *p)
{
	px_file(p, "f", "", 0644);
	refused(px_unlink(p, "f/"), ENOTDIR);
	refused(px_link(p, "f/", "g"), ENOTDIR);
	refused(px_link(p, "f", "g/"), ENOENT);
	refused(px_symlink(p, "f", "g/"), ENOENT);
	refused(px_mknod(p, "g/", S_IFIFO | 0644, 0), ENOENT);
	px_gone(p, "g");
}

static void linking_may_follow_a_symlink(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_symlink(p, "f", "s"));
	assert_int_equal(linkat(AT_FDCWD, "s", AT_FDCWD, "g", AT_SYMLINK_FOLLOW), 0);
	assert_true(S_ISREG(px_status(p, "g").st_mode));
	assert_int_equal(px_status(p, "f").st_nlink, 2);
}

static void what_has_no_name_gets_none_back(struct px *p)
{
	char path[64];
	int fd;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDONLY, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW), 0);
	works(px_unlink(p, "f"));
	works(px_unlink(p, "g"));
	assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, "h", AT_SYMLINK_FOLLOW), -1);
	assert_int_equal(errno, ENOENT);
	works(px_close(p, fd));
	px_gone(p, "h");
}

static const struct px_case cases[] = {
	PX(all_names_are_one_file),
	PX(what_one_name_writes_the_other_reads),
	PX(directories_are_not_linked),
	PX(a_link_to_a_symlink_is_a_link_to_the_symlink),
	PX(a_failed_link_counts_nothing),
	PX(a_file_may_have_hundreds_of_names),
	PX(every_type_but_directories_is_unlinked),
	PX(unlinking_a_symlink_leaves_its_target),
	PX(an_unlinked_open_file_lives_on),
	PX(a_big_unlinked_file_gives_its_space_back),
	PX(a_symlink_tells_its_target_and_its_length),
	PX(a_symlink_of_4096_bytes_is_too_long),
	PX(a_short_buffer_gets_the_beginning),
	PX(symlinks_may_hold_any_bytes),
	PX(only_symlinks_are_read_as_such),
	PX(symlinks_lead_on),
	PX(a_dangling_symlink_is_there_and_leads_nowhere),
	PX(a_symlink_is_not_a_permission),
	PX(nodes_keep_type_device_and_mode),
	PX(special_files_have_no_length_to_change),
	PX(anybody_makes_fifos),
	PX_MOUNT(only_root_makes_devices),
	PX_MOUNT(directories_and_symlinks_are_no_nodes),
	PX_MOUNT(an_empty_symlink_is_refused),
	PX_MOUNT(a_slash_behind_a_file_is_refused),
	PX_MOUNT(linking_may_follow_a_symlink),
	PX_MOUNT(what_has_no_name_gets_none_back),
};

PX_SUITE(links, cases);
