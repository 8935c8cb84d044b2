/* SPDX-License-Identifier: MIT */
/* open(2): what its flags promise. */
#include "px.h"

static void creating_gives_an_empty_regular_file(struct px *p)
{
	struct stat st;
	int fd = (int)works(px_open(p, "f", O_RDWR | O_CREAT, 0666));

	works(px_fstat(p, fd, &st));
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_uid, 0);
	works(px_close(p, fd));
	assert_int_equal(px_status(p, "f").st_ino, st.st_ino);
}

static void the_umask_takes_bits_away(struct px *p)
{
	static const struct {
		mode_t umask, asked, got;
	} rows[] = {
		{ 0, 0777, 0777 },    { 022, 0777, 0755 }, { 070, 0151, 0101 },   { 0777, 0777, 0 },
		{ 0501, 0345, 0244 }, { 0, 0, 0 },         { 077, 07777, 07700 },
	};
	char name[8];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		px_umask(p, rows[i].umask);
		snprintf(name, sizeof(name), "f%u", i);
		works(px_close(p, (int)works(px_open(p, name, O_WRONLY | O_CREAT, rows[i].asked))));
		assert_int_equal(px_mode(p, name), rows[i].got);
		snprintf(name, sizeof(name), "d%u", i);
		works(px_mkdir(p, name, rows[i].asked & 01777));
		assert_int_equal(px_mode(p, name), rows[i].got & 01777);
		snprintf(name, sizeof(name), "p%u", i);
		works(px_mknod(p, name, S_IFIFO | (rows[i].asked & 0777), 0));
		assert_int_equal(px_mode(p, name), rows[i].got & 0777);
	}
}

static void a_new_file_belongs_to_who_made_it(struct px *p)
{
	px_as(p, OWNER, GROUP);
	px_file(p, "f", "", 0600);
	works(px_mkdir(p, "d", 0700));
	works(px_mknod(p, "p", S_IFIFO | 0600, 0));
	works(px_symlink(p, "t", "s"));
	px_as_root(p);
	for (const char *name = "fdps"; *name; name++) {
		char path[2] = { *name, 0 };

		assert_int_equal(px_status(p, path).st_uid, OWNER);
		assert_int_equal(px_status(p, path).st_gid, GROUP);
	}
}

static void creating_what_exists_opens_it_as_it_is(struct px *p)
{
	struct stat before, after;
	int fd;

	px_file(p, "f", "content", 0640);
	before = px_status(p, "f");
	px_tick(p);
	fd = (int)works(px_open(p, "f", O_RDWR | O_CREAT, 0777));
	works(px_close(p, fd));
	after = px_status(p, "f");
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(px_moved(&before, &after), 0);
	px_holds(p, "f", "content");
}

static void exclusive_creation_refuses_symlinks_too(struct px *p)
{
	works(px_symlink(p, "nowhere", "s"));
	refused(px_open(p, "s", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	px_gone(p, "nowhere");
}

static void creating_through_a_dangling_symlink_makes_its_target(struct px *p)
{
	works(px_mkdir(p, "d", 0755));
	works(px_symlink(p, "d/new", "s"));
	works(px_close(p, (int)works(px_open(p, "s", O_WRONLY | O_CREAT, 0644))));
	assert_true(S_ISREG(px_status(p, "d/new").st_mode));
	assert_true(S_ISLNK(px_status(p, "s").st_mode));
}

static void truncating_on_open_empties(struct px *p)
{
	struct stat before, after;

	px_file(p, "f", "content", 0644);
	before = px_status(p, "f");
	px_tick(p);
	works(px_close(p, (int)works(px_open(p, "f", O_WRONLY | O_TRUNC, 0))));
	after = px_status(p, "f");
	assert_int_equal(after.st_size, 0);
	assert_int_equal(after.st_blocks, 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(px_moved(&before, &after), M | C);
}

static void truncating_on_open_asks_for_the_right_to_write(struct px *p)
{
	px_file_for(p, "f", OWNER, GROUP, 0444);
	px_as(p, OWNER, GROUP);
	refused(px_open(p, "f", O_RDONLY | O_TRUNC, 0), EACCES);
	refused(px_open(p, "f", O_WRONLY | O_TRUNC | O_CREAT, 0644), EACCES);
	px_holds(p, "f", "content");
}

static void appending_goes_to_the_end_wherever_one_was(struct px *p)
{
	int a, b;

	px_file(p, "f", "0123", 0644);
	a = (int)works(px_open(p, "f", O_WRONLY | O_APPEND, 0));
	b = (int)works(px_open(p, "f", O_RDWR, 0));
	assert_int_equal(px_write(p, a, "45", 2), 2);
	assert_int_equal(px_pwrite(p, b, "6789", 4, 6), 4);
	works(px_lseek(p, a, 0, SEEK_SET));
	assert_int_equal(px_write(p, a, "ab", 2), 2);
	assert_int_equal(px_lseek(p, a, 0, SEEK_CUR), 12);
	works(px_ftruncate(p, b, 1));
	assert_int_equal(px_write(p, a, "z", 1), 1);
	works(px_close(p, a));
	works(px_close(p, b));
	px_holds(p, "f", "0z");
}

static void directories_are_not_opened_for_writing(struct px *p)
{
	works(px_mkdir(p, "d", 0777));
	refused(px_open(p, "d", O_WRONLY, 0), EISDIR);
	refused(px_open(p, "d", O_RDWR, 0), EISDIR);
	refused(px_open(p, "d", O_RDONLY | O_CREAT, 0644), EISDIR);
	refused(px_open(p, "d", O_RDONLY | O_TRUNC, 0), EISDIR);
	works(px_close(p, (int)works(px_open(p, "d", O_RDONLY, 0))));
	works(px_close(p, (int)works(px_open(p, "d", O_RDONLY | O_DIRECTORY, 0))));
}

static void o_directory_wants_a_directory(struct px *p)
{
	for (const char *const *type = px_types; *type; type++) {
		if (strcmp(*type, "dir") == 0 || strcmp(*type, "symlink") == 0)
			continue;
		px_make(p, *type, *type);
		refused(px_open(p, *type, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0), ENOTDIR);
	}
	works(px_symlink(p, "file", "to-file"));
	refused(px_open(p, "to-file", O_RDONLY | O_DIRECTORY, 0), ENOTDIR);
	works(px_mkdir(p, "d", 0755));
	works(px_symlink(p, "d", "to-dir"));
	works(px_close(p, (int)works(px_open(p, "to-dir", O_RDONLY | O_DIRECTORY, 0))));
}

static void o_nofollow_stops_at_a_symlink(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_symlink(p, "f", "s"));
	works(px_mkdir(p, "d", 0755));
	works(px_symlink(p, "d", "to-d"));
	px_file(p, "d/g", "content", 0644);
	refused(px_open(p, "s", O_RDONLY | O_NOFOLLOW, 0), ELOOP);
	refused(px_open(p, "s", O_RDWR | O_NOFOLLOW | O_CREAT, 0644), ELOOP);
	works(px_close(p, (int)works(px_open(p, "f", O_RDONLY | O_NOFOLLOW, 0))));
	works(px_close(p, (int)works(px_open(p, "to-d/g", O_RDONLY | O_NOFOLLOW, 0))));
}

static void a_descriptor_does_what_it_was_opened_for(struct px *p)
{
	char byte;
	int r, w;

	px_file(p, "f", "content", 0644);
	r = (int)works(px_open(p, "f", O_RDONLY, 0));
	w = (int)works(px_open(p, "f", O_WRONLY, 0));
	refused(px_write(p, r, "x", 1), EBADF);
	refused(px_read(p, w, &byte, 1), EBADF);
	refused(px_pwrite(p, r, "x", 1, 0), EBADF);
	refused(px_pread(p, w, &byte, 1, 0), EBADF);
	refused(px_ftruncate(p, r, 0), EINVAL);
	refused(px_fallocate(p, r, 0, 0, 1), EBADF);
	works(px_fsync(p, r));
	works(px_fdatasync(p, w));
	works(px_close(p, r));
	works(px_close(p, w));
	refused(px_read(p, r, &byte, 1), EBADF);
	refused(px_close(p, r), EBADF);
	px_holds(p, "f", "content");
}

/* The handle carries the permission: neither its own mode nor a later one takes it away. */
static void who_made_a_file_uses_it_whatever_its_mode(struct px *p)
{
	char bytes[4];
	int fd;

	px_as(p, OWNER, GROUP);
	fd = (int)works(px_open(p, "f", O_RDWR | O_CREAT | O_EXCL, 0));
	assert_int_equal(px_mode(p, "f"), 0);
	assert_int_equal(px_write(p, fd, "abc", 3), 3);
	assert_int_equal(px_pread(p, fd, bytes, 3, 0), 3);
	works(px_ftruncate(p, fd, 1));
	works(px_fsync(p, fd));
	refused(px_open(p, "f", O_RDONLY, 0), EACCES);
	works(px_close(p, fd));
	assert_int_equal(px_status(p, "f").st_size, 1);
}

static void a_descriptor_outlives_a_change_of_mode(struct px *p)
{
	char bytes[8];
	int fd;

	px_file_for(p, "f", STRANGER, ELSEWISE, 0600);
	px_as(p, STRANGER, ELSEWISE);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	px_as_root(p);
	works(px_chmod(p, "f", 0));
	works(px_chown(p, "f", OWNER, GROUP));
	px_as(p, STRANGER, ELSEWISE);
	refused(px_open(p, "f", O_RDONLY, 0), EACCES);
	assert_int_equal(px_pread(p, fd, bytes, 7, 0), 7);
	assert_int_equal(px_pwrite(p, fd, "C", 1, 0), 1);
	works(px_ftruncate(p, fd, 4));
	works(px_close(p, fd));
	px_as_root(p);
	px_holds(p, "f", "Cont");
}

static void creating_what_exists_needs_no_right_to_the_directory(struct px *p)
{
	px_dir_for(p, "d", OWNER, GROUP, 0755);
	px_file_for(p, "d/f", OWNER, GROUP, 0666);
	px_as(p, STRANGER, ELSEWISE);
	works(px_close(p, (int)works(px_open(p, "d/f", O_RDWR | O_CREAT, 0644))));
	refused(px_open(p, "d/f", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	refused(px_open(p, "d/g", O_RDWR | O_CREAT, 0644), EACCES);
}

static void many_descriptors_of_one_file_see_one_file(struct px *p)
{
	int fds[40];
	char byte;

	px_file(p, "f", "", 0644);
	for (int i = 0; i < 40; i++)
		fds[i] = (int)works(px_open(p, "f", O_RDWR, 0));
	for (int i = 0; i < 40; i++) {
		byte = (char)('A' + i);
		assert_int_equal(px_pwrite(p, fds[i], &byte, 1, 0), 1);
		assert_int_equal(px_pread(p, fds[39 - i], &byte, 1, 0), 1);
		assert_int_equal(byte, 'A' + i);
	}
	for (int i = 0; i < 40; i++)
		works(px_close(p, fds[i]));
}

/* ---- what only a kernel decides ---- */

static void a_slash_behind_a_new_file_is_refused(struct px *p)
{
	px_file(p, "f", "", 0644);
	refused(px_open(p, "new/", O_WRONLY | O_CREAT, 0644), EISDIR);
	refused(px_open(p, "f/", O_RDONLY, 0), ENOTDIR);
	px_gone(p, "new");
}

static void opening_a_socket_is_refused(struct px *p)
{
	px_make(p, "socket", "s");
	refused(px_open(p, "s", O_RDONLY, 0), ENXIO);
	refused(px_open(p, "s", O_RDWR, 0), ENXIO);
}

static void a_fifo_without_a_reader_refuses_who_does_not_wait(struct px *p)
{
	int r, w;
	char byte;

	px_make(p, "fifo", "q");
	refused(px_open(p, "q", O_WRONLY | O_NONBLOCK, 0), ENXIO);
	r = (int)works(px_open(p, "q", O_RDONLY | O_NONBLOCK, 0));
	w = (int)works(px_open(p, "q", O_WRONLY | O_NONBLOCK, 0));
	assert_int_equal(px_write(p, w, "x", 1), 1);
	assert_int_equal(px_read(p, r, &byte, 1), 1);
	works(px_close(p, r));
	works(px_close(p, w));
}

static void devices_are_their_devices(struct px *p)
{
	char byte = 1;
	int fd;

	works(px_mknod(p, "zero", S_IFCHR | 0666, 1 << 8 | 5));
	fd = (int)works(px_open(p, "zero", O_RDONLY, 0));
	assert_int_equal(px_read(p, fd, &byte, 1), 1);
	assert_int_equal(byte, 0);
	works(px_close(p, fd));
	works(px_mknod(p, "none", S_IFCHR | 0666, 1 << 8 | 255));
	refused(px_open(p, "none", O_RDONLY, 0), ENXIO);
}

static void unnamed_files_work_or_are_not_supported(struct px *p)
{
	int fd = px_open(p, ".", O_RDWR | O_TMPFILE, 0644);
	struct stat st;

	if (fd < 0) {
		assert_int_equal(fd, -EOPNOTSUPP);
		return;
	}
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(px_write(p, fd, "x", 1), 1);
	works(px_close(p, fd));
	assert_int_equal(px_count(p, "."), 0);
}

static const struct px_case cases[] = {
	PX(creating_gives_an_empty_regular_file),
	PX(the_umask_takes_bits_away),
	PX(a_new_file_belongs_to_who_made_it),
	PX(creating_what_exists_opens_it_as_it_is),
	PX(exclusive_creation_refuses_symlinks_too),
	PX(creating_through_a_dangling_symlink_makes_its_target),
	PX(truncating_on_open_empties),
	PX(truncating_on_open_asks_for_the_right_to_write),
	PX(appending_goes_to_the_end_wherever_one_was),
	PX(directories_are_not_opened_for_writing),
	PX(o_directory_wants_a_directory),
	PX(o_nofollow_stops_at_a_symlink),
	PX(a_descriptor_does_what_it_was_opened_for),
	PX(who_made_a_file_uses_it_whatever_its_mode),
	PX(a_descriptor_outlives_a_change_of_mode),
	PX(creating_what_exists_needs_no_right_to_the_directory),
	PX(many_descriptors_of_one_file_see_one_file),
	PX_MOUNT(a_slash_behind_a_new_file_is_refused),
	PX_MOUNT(opening_a_socket_is_refused),
	PX_MOUNT(a_fifo_without_a_reader_refuses_who_does_not_wait),
	PX_MOUNT(devices_are_their_devices),
	PX_MOUNT(unnamed_files_work_or_are_not_supported),
};

PX_SUITE(opening, cases);
