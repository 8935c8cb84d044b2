/* SPDX-License-Identifier: MIT */
/* Which call moves which time; utimensat(2). */
#include "px.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

/* ---- what moves ---- */

static void write_it(struct px *p)
{
	int fd = (int)works(px_open(p, "d/f", O_WRONLY, 0));

	assert_int_equal(px_write(p, fd, "x", 1), 1);
	works(px_close(p, fd));
}

static void write_nothing(struct px *p)
{
	int fd = (int)works(px_open(p, "d/f", O_WRONLY, 0));

	assert_int_equal(px_write(p, fd, "x", 0), 0);
	works(px_close(p, fd));
}

static void cut_open(struct px *p)
{
	int fd = (int)works(px_open(p, "d/f", O_WRONLY, 0));

	works(px_ftruncate(p, fd, 3));
	works(px_close(p, fd));
}

static void punch(struct px *p)
{
	int fd = (int)works(px_open(p, "d/f", O_WRONLY, 0));

	works(px_fallocate(p, fd, 3 /* punch, keep size */, 0, 3));
	works(px_close(p, fd));
}

static void sync_it(struct px *p)
{
	int fd = (int)works(px_open(p, "d/f", O_WRONLY, 0));

	works(px_fsync(p, fd));
	works(px_close(p, fd));
}

static void look(struct px *p)
{
	struct stat st;

	works(px_stat(p, "d/f", &st));
	works(px_access(p, "d/f", R_OK));
	works(px_close(p, (int)works(px_open(p, "d/f", O_RDWR, 0))));
}

static void create(struct px *p)
{
	px_file(p, "d/new", "", 0644);
}

#define DO(id, expression)           \
	static void id(struct px *p) \
	{                            \
		works(expression);   \
	}

DO(cut, px_truncate(p, "d/f", 3))
DO(grow, px_truncate(p, "d/f", 30))
DO(mode, px_chmod(p, "d/f", 0600))
DO(same_mode, px_chmod(p, "d/f", 0644))
DO(give, px_chown(p, "d/f", 5, 6))
DO(touch, px_utimens(p, "d/f", NULL))
DO(make_dir, px_mkdir(p, "d/new", 0755))
DO(make_fifo, px_mknod(p, "d/new", S_IFIFO | 0644, 0))
DO(make_symlink, px_symlink(p, "t", "d/new"))
DO(link_here, px_link(p, "d/f", "d/new"))
DO(link_away, px_link(p, "d/f", "new"))
DO(unlink_one, px_unlink(p, "d/second"))
DO(remove_dir, px_rmdir(p, "d/dir"))
DO(rename_here, px_rename(p, "d/second", "d/new"))
DO(rename_away, px_rename(p, "d/second", "new"))
DO(rename_in, px_rename(p, "outside", "d/new"))
DO(rename_over, px_rename(p, "outside", "d/second"))
DO(open_existing, px_close(p, (int)works(px_open(p, "d/f", O_WRONLY | O_CREAT, 0644))))
DO(open_cut, px_close(p, (int)works(px_open(p, "d/f", O_WRONLY | O_TRUNC, 0644))))

/* `second` is another name of `f`. */
static const struct {
	const char *name;
	void (*act)(struct px *p);
	unsigned file, dir;
} acts[] = {
	{ "write", write_it, M | C, 0 },
	{ "a write of nothing", write_nothing, 0, 0 },
	{ "truncate", cut, M | C, 0 },
	{ "truncate beyond the end", grow, M | C, 0 },
	{ "ftruncate", cut_open, M | C, 0 },
	{ "punching a hole", punch, M | C, 0 },
	{ "fsync", sync_it, 0, 0 },
	{ "chmod", mode, C, 0 },
	{ "chmod to the same", same_mode, C, 0 },
	{ "chown", give, C, 0 },
	{ "touch", touch, A | M | C, 0 },
	{ "looking", look, 0, 0 },
	{ "creat", create, 0, M | C },
	{ "mkdir", make_dir, 0, M | C },
	{ "mkfifo", make_fifo, 0, M | C },
	{ "symlink", make_symlink, 0, M | C },
	{ "link", link_here, C, M | C },
	{ "link elsewhere", link_away, C, 0 },
	{ "unlink", unlink_one, C, M | C },
	{ "rmdir", remove_dir, 0, M | C },
	{ "rename", rename_here, C, M | C },
	{ "rename elsewhere", rename_away, C, M | C },
	{ "rename to here", rename_in, 0, M | C },
	{ "rename over", rename_over, C, M | C },
	{ "open O_CREAT of what exists", open_existing, 0, 0 },
	{ "open O_TRUNC", open_cut, M | C, 0 },
};

static void each_call_moves_its_times(struct px *p)
{
	struct stat file, dir, after;
	unsigned moved;

	for (size_t i = 0; i < N(acts); i++) {
		works(px_mkdir(p, "d", 0755));
		works(px_mkdir(p, "d/dir", 0755));
		px_file(p, "d/f", "some content", 0644);
		works(px_link(p, "d/f", "d/second"));
		px_file(p, "outside", "", 0644);
		file = px_status(p, "d/f");
		dir = px_status(p, "d");
		px_tick(p);
		acts[i].act(p);
		after = px_status(p, "d/f");
		moved = px_moved(&file, &after);
		if (moved != acts[i].file)
			fail_msg("%s moves %u of the file, not %u", acts[i].name, moved,
				 acts[i].file);
		after = px_status(p, "d");
		moved = px_moved(&dir, &after);
		if (moved != acts[i].dir)
			fail_msg("%s moves %u of the directory, not %u", acts[i].name, moved,
				 acts[i].dir);
		px_unlink(p, "d/f");
		px_unlink(p, "d/second");
		px_unlink(p, "d/new");
		px_rmdir(p, "d/new");
		px_rmdir(p, "d/dir");
		px_unlink(p, "new");
		px_unlink(p, "outside");
		works(px_rmdir(p, "d"));
	}
}

static void the_other_directory_of_a_rename_moves_too(struct px *p)
{
	struct stat before, after;

	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "b", 0755));
	px_file(p, "a/f", "", 0644);
	works(px_mkdir(p, "a/d", 0755));
	before = px_status(p, "b");
	px_tick(p);
	works(px_rename(p, "a/f", "b/f"));
	after = px_status(p, "b");
	assert_int_equal(px_moved(&before, &after), M | C);
	before = px_status(p, "a/d");
	px_tick(p);
	works(px_rename(p, "a/d", "b/d"));
	after = px_status(p, "b/d");
	assert_int_equal(px_moved(&before, &after) & ~C, 0);
}

static void a_new_file_has_times_near_its_directorys(struct px *p)
{
	for (const char *const *type = px_types; *type; type++) {
		struct stat st, top;

		px_tick(p);
		px_make(p, *type, *type);
		st = px_status(p, *type);
		top = px_status(p, ".");
		assert_true(labs(st.st_ctim.tv_sec - st.st_atim.tv_sec) < 60);
		assert_true(labs(st.st_ctim.tv_sec - st.st_mtim.tv_sec) < 60);
		assert_true(labs(st.st_ctim.tv_sec - top.st_mtim.tv_sec) < 60);
	}
}

static void failures_move_nothing(struct px *p)
{
	struct stat file, dir, after;

	works(px_mkdir(p, "d", 0755));
	works(px_mkdir(p, "d/full", 0755));
	px_file(p, "d/full/x", "", 0644);
	px_file(p, "d/f", "content", 0644);
	file = px_status(p, "d/f");
	dir = px_status(p, "d");
	px_tick(p);
	refused(px_mkdir(p, "d/f", 0755), EEXIST);
	refused(px_mknod(p, "d/f", S_IFIFO | 0644, 0), EEXIST);
	refused(px_symlink(p, "t", "d/f"), EEXIST);
	refused(px_link(p, "d/f", "d/full"), EEXIST);
	refused(px_unlink(p, "d/full"), EISDIR);
	refused(px_unlink(p, "d/missing"), ENOENT);
	refused(px_rmdir(p, "d/full"), ENOTEMPTY);
	refused(px_rmdir(p, "d/f"), ENOTDIR);
	refused(px_rename(p, "d/f", "d/full"), EISDIR);
	refused(px_open(p, "d/f", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_chmod(p, "d/f", 0600), EPERM);
	refused(px_chown(p, "d/f", STRANGER, ELSEWISE), EPERM);
	refused(px_truncate(p, "d/f", 0), EACCES);
	refused(px_utimens(p, "d/f", NULL), EACCES);
	refused(px_open(p, "d/new", O_WRONLY | O_CREAT, 0644), EACCES);
	refused(px_open(p, "d/f", O_WRONLY | O_TRUNC, 0644), EACCES);
	refused(px_unlink(p, "d/f"), EACCES);
	px_as_root(p);
	after = px_status(p, "d/f");
	assert_int_equal(px_moved(&file, &after), 0);
	after = px_status(p, "d");
	assert_int_equal(px_moved(&dir, &after), 0);
}

static void reading_after_a_write_moves_the_access_time(struct px *p)
{
	struct stat before, after;
	char byte;
	int fd;

	px_file(p, "f", "content", 0644);
	px_tick(p);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	assert_int_equal(px_pwrite(p, fd, "C", 1, 0), 1);
	works(px_fsync(p, fd));
	works(px_fstat(p, fd, &before));
	px_tick(p);
	assert_int_equal(px_pread(p, fd, &byte, 1, 0), 1);
	works(px_close(p, fd));
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after) & (M | C), 0);
	/* A kernel that reads out of its own cache need not tell the file system. */
	if (!px_can(p, PX_CALLS))
		assert_int_equal(px_moved(&before, &after), A);
}

static void listing_moves_the_access_time_of_a_directory_at_most(struct px *p)
{
	struct stat before, after;

	works(px_mkdir(p, "d", 0755));
	px_file(p, "d/f", "", 0644);
	before = px_status(p, "d");
	px_tick(p);
	assert_int_equal(px_count(p, "d"), 1);
	after = px_status(p, "d");
	assert_int_equal(px_moved(&before, &after) & (M | C), 0);
}

/* ---- utimensat ---- */

static void times_are_kept_to_the_nanosecond(struct px *p)
{
	static const struct timespec rows[] = {
		{ 0, 0 },
		{ 0, 1 },
		{ 1, 999999999 },
		{ -1, 0 },
		{ -1, 999999999 },
		{ -2147483648, 5 },
		{ -2208988800, 5 },
		{ 2147483647, 1 },
		{ 2147483648, 2 },
		{ 4294967295, 3 },
		{ 4294967296, 3 },
		{ 8589934592, 123456789 },
		{ 15032385535, 999999999 },
		{ 253402300799, 0 },
	};

	px_make(p, "file", "f");
	px_make(p, "dir", "d");
	px_make(p, "fifo", "q");
	for (const char *name = "fdq"; *name; name++)
		for (size_t i = 0; i < N(rows); i++) {
			const struct timespec times[2] = { rows[i], rows[N(rows) - 1 - i] };
			char path[2] = { *name, 0 };
			struct stat st;

			works(px_utimens(p, path, times));
			st = px_status(p, path);
			assert_int_equal(st.st_atim.tv_sec, times[0].tv_sec);
			assert_int_equal(st.st_atim.tv_nsec, times[0].tv_nsec);
			assert_int_equal(st.st_mtim.tv_sec, times[1].tv_sec);
			assert_int_equal(st.st_mtim.tv_nsec, times[1].tv_nsec);
		}
}

static void they_are_still_there_after_a_remount(struct px *p)
{
	const struct timespec times[2] = { { -5, 123456789 }, { 1ll << 33, 987654321 } };
	struct stat before, after;

	px_file(p, "f", "content", 0640);
	works(px_utimens(p, "f", times));
	before = px_status(p, "f");
	px_readonly(p, true);
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), 0);
	assert_int_equal(after.st_mtim.tv_sec, 1ll << 33);
	px_readonly(p, false);
}

static void each_time_may_be_omitted_or_now(struct px *p)
{
	const struct timespec old[2] = { { 1000, 1 }, { 2000, 2 } };
	struct timespec times[2] = { { 5, 6 }, { 0, UTIME_OMIT } };
	struct stat st;

	px_file(p, "f", "", 0644);
	works(px_utimens(p, "f", old));
	works(px_utimens(p, "f", times));
	st = px_status(p, "f");
	assert_int_equal(st.st_atim.tv_sec, 5);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	times[0].tv_nsec = UTIME_OMIT;
	times[1] = (struct timespec){ 7, 8 };
	works(px_utimens(p, "f", times));
	st = px_status(p, "f");
	assert_int_equal(st.st_atim.tv_nsec, 6);
	assert_int_equal(st.st_mtim.tv_sec, 7);
	times[0].tv_nsec = UTIME_NOW;
	times[1].tv_nsec = UTIME_OMIT;
	works(px_utimens(p, "f", times));
	st = px_status(p, "f");
	assert_true(st.st_atim.tv_sec > 1000000000);
	assert_int_equal(st.st_mtim.tv_sec, 7);
	works(px_utimens(p, "f", old));
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_nsec = UTIME_NOW;
	works(px_utimens(p, "f", times));
	st = px_status(p, "f");
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_true(st.st_mtim.tv_sec > 1000000000);
}

static void omitting_both_changes_nothing(struct px *p)
{
	const struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct stat before, after;

	px_file_for(p, "f", OWNER, GROUP, 0600);
	before = px_status(p, "f");
	px_tick(p);
	works(px_utimens(p, "f", omit));
	px_as(p, STRANGER, ELSEWISE);
	works(px_utimens(p, "f", omit));
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), 0);
}

static void now_is_one_moment(struct px *p)
{
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct stat st;

	px_file(p, "f", "", 0644);
	px_tick(p);
	works(px_utimens(p, "f", now));
	st = px_status(p, "f");
	assert_int_equal(st.st_atim.tv_sec, st.st_mtim.tv_sec);
	assert_int_equal(st.st_atim.tv_nsec, st.st_mtim.tv_nsec);
}

static void symlinks_have_times_of_their_own(struct px *p)
{
	const struct timespec first[2] = { { 100, 1 }, { 200, 2 } },
			      second[2] = { { 3, 3 }, { 4, 4 } };

	px_file(p, "f", "", 0644);
	works(px_symlink(p, "f", "s"));
	works(px_utimens(p, "s", first));
	assert_int_equal(px_status(p, "f").st_mtim.tv_sec, 200);
	works(px_lutimens(p, "s", second));
	assert_int_equal(px_status(p, "f").st_mtim.tv_sec, 200);
	assert_int_equal(px_status(p, "s").st_mtim.tv_sec, 4);
	assert_int_equal(px_status(p, "s").st_atim.tv_nsec, 3);
}

static void who_may_write_may_touch_and_only_the_owner_may_date(struct px *p)
{
	const struct timespec date[2] = { { 1, 2 }, { 3, 4 } };
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	const struct timespec half[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };

	px_file_for(p, "f", OWNER, GROUP, 0464); /* the owner may not even write */
	px_as(p, OWNER, GROUP);
	works(px_utimens(p, "f", date));
	works(px_utimens(p, "f", NULL));
	works(px_utimens(p, "f", half));
	px_as(p, MEMBER, GROUP);
	works(px_utimens(p, "f", NULL));
	works(px_utimens(p, "f", now));
	refused(px_utimens(p, "f", date), EPERM);
	refused(px_utimens(p, "f", half), EPERM);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_utimens(p, "f", NULL), EACCES);
	refused(px_utimens(p, "f", now), EACCES);
	refused(px_utimens(p, "f", date), EPERM);
	refused(px_utimens(p, "f", half), EPERM);
	px_as_root(p);
	works(px_utimens(p, "f", date));
}

static void impossible_nanoseconds_are_refused(struct px *p)
{
	struct timespec times[2] = { { 1, 1000000000 }, { 1, 1 } };
	struct stat before, after;

	px_file(p, "f", "", 0644);
	before = px_status(p, "f");
	refused(px_utimens(p, "f", times), EINVAL);
	times[0].tv_nsec = -1;
	refused(px_utimens(p, "f", times), EINVAL);
	times[0].tv_nsec = 1;
	times[1].tv_nsec = 2000000000;
	refused(px_utimens(p, "f", times), EINVAL);
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), 0);
}

static void times_by_descriptor_are_the_same(struct px *p)
{
	const struct timespec date[2] = { { 11, 12 }, { 13, 14 } };
	struct stat st;
	int fd;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	assert_int_equal(px_write(p, fd, "x", 1), 1); /* not yet written back, perhaps */
	works(px_futimens(p, fd, date));
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_mtim.tv_sec, 13);
	works(px_close(p, fd));
	st = px_status(p, "f");
	assert_int_equal(st.st_atim.tv_nsec, 12);
	assert_int_equal(st.st_mtim.tv_sec, 13);
	assert_int_equal(st.st_mtim.tv_nsec, 14);
}

static const struct px_case cases[] = {
	PX(each_call_moves_its_times),
	PX(the_other_directory_of_a_rename_moves_too),
	PX(a_new_file_has_times_near_its_directorys),
	PX(failures_move_nothing),
	PX(reading_after_a_write_moves_the_access_time),
	PX(listing_moves_the_access_time_of_a_directory_at_most),
	PX(times_are_kept_to_the_nanosecond),
	PX(they_are_still_there_after_a_remount),
	PX(each_time_may_be_omitted_or_now),
	PX(omitting_both_changes_nothing),
	PX(now_is_one_moment),
	PX(symlinks_have_times_of_their_own),
	PX(who_may_write_may_touch_and_only_the_owner_may_date),
	PX(impossible_nanoseconds_are_refused),
	PX(times_by_descriptor_are_the_same),
};

PX_SUITE(times, cases);
