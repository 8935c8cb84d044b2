/* SPDX-License-Identifier: MIT */
/* Who may do what. */
#include "px.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The owner, somebody of the group, somebody else. */
static const struct {
	uid_t uid;
	gid_t gid;
	int shift;
} askers[] = { { OWNER, GROUP, 6 }, { MEMBER, GROUP, 3 }, { STRANGER, ELSEWISE, 0 } };

/* All 8 modes of each class, for a file and a directory: exactly the bits asked for. */
static void access_follows_one_class(struct px *p)
{
	static const char *const names[] = { "f", "d" };

	px_file_for(p, "f", OWNER, GROUP, 0);
	px_dir_for(p, "d", OWNER, GROUP, 0);
	for (int n = 0; n < 2; n++)
		for (size_t who = 0; who < N(askers); who++)
			for (mode_t bits = 0; bits < 8; bits++) {
				px_as_root(p);
				/* the other classes may what this one may not */
				works(px_chmod(p, names[n],
					       (0777 & ~(7u << askers[who].shift)) |
						       bits << askers[who].shift));
				px_as(p, askers[who].uid, askers[who].gid);
				for (int want = 1; want < 8; want++)
					refused(px_access(p, names[n], want),
						((unsigned)want & ~bits) ? EACCES : 0);
				works(px_access(p, names[n], F_OK));
			}
}

static void open_follows_one_class(struct px *p)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	static const mode_t needs[] = { 4, 2, 6 };

	px_file_for(p, "f", OWNER, GROUP, 0);
	for (size_t who = 0; who < N(askers); who++)
		for (mode_t bits = 0; bits < 8; bits++)
			for (int i = 0; i < 3; i++) {
				int fd;

				px_as_root(p);
				works(px_chmod(p, "f",
					       (0777 & ~(7u << askers[who].shift)) |
						       bits << askers[who].shift));
				px_as(p, askers[who].uid, askers[who].gid);
				fd = px_open(p, "f", flags[i], 0);
				if ((bits & needs[i]) == needs[i])
					works(px_close(p, (int)works(fd)));
				else
					refused(fd, EACCES);
			}
}

static void root_may_all_but_run_what_nobody_may(struct px *p)
{
	px_file_for(p, "f", OWNER, GROUP, 0);
	px_dir_for(p, "d", OWNER, GROUP, 0);
	works(px_access(p, "f", R_OK | W_OK));
	refused(px_access(p, "f", X_OK), EACCES);
	works(px_access(p, "d", R_OK | W_OK | X_OK));
	works(px_chmod(p, "f", 0010));
	works(px_access(p, "f", X_OK));
	works(px_close(p, (int)works(px_open(p, "f", O_RDWR, 0))));
	px_file(p, "d/inside", "", 0);
	assert_int_equal(px_count(p, "d"), 1);
	works(px_unlink(p, "d/inside"));
}

static void supplementary_groups_count(struct px *p)
{
	static const gid_t groups[] = { 7, 8, EXTRA, 9 };

	px_file_for(p, "f", OWNER, EXTRA, 0640);
	px_dir_for(p, "d", OWNER, EXTRA, 0770);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_open(p, "f", O_RDONLY, 0), EACCES);
	refused(px_mkdir(p, "d/e", 0755), EACCES);
	px_as_groups(p, STRANGER, ELSEWISE, groups, 4);
	works(px_close(p, (int)works(px_open(p, "f", O_RDONLY, 0))));
	refused(px_open(p, "f", O_WRONLY, 0), EACCES);
	works(px_mkdir(p, "d/e", 0755));
	assert_int_equal(px_status(p, "d/e").st_gid, ELSEWISE);
	works(px_access(p, "f", R_OK));
	refused(px_access(p, "f", W_OK), EACCES);
}

static void reading_a_directory_and_reaching_into_it_are_apart(struct px *p)
{
	struct px_dir *stream;
	struct stat st;

	px_dir_for(p, "d", OWNER, GROUP, 0700);
	px_file_for(p, "d/f", OWNER, GROUP, 0666);
	works(px_chmod(p, "d", 0711));
	px_as(p, STRANGER, ELSEWISE);
	refused(px_opendir(p, "d", &stream), EACCES);
	works(px_stat(p, "d/f", &st));
	works(px_close(p, (int)works(px_open(p, "d/f", O_RDWR, 0))));
	px_as_root(p);
	works(px_chmod(p, "d", 0744));
	px_as(p, STRANGER, ELSEWISE);
	assert_int_equal(px_count(p, "d"), 1);
	refused(px_stat(p, "d/f", &st), EACCES);
	refused(px_stat(p, "d/missing", &st), EACCES);
	refused(px_open(p, "d/f", O_RDONLY, 0), EACCES);
	works(px_stat(p, "d", &st));
}

static void names_need_the_right_to_write_and_to_search(struct px *p)
{
	static const struct {
		mode_t mode;
		int want;
	} rows[] = { { 0777, 0 }, { 0775, EACCES }, { 0776, EACCES },
		     { 0773, 0 }, { 0772, EACCES }, { 0770, EACCES } };

	px_dir_for(p, "d", OWNER, GROUP, 0777);
	for (size_t i = 0; i < N(rows); i++) {
		px_as_root(p);
		works(px_chmod(p, "d", 0777));
		px_file_for(p, "d/old", STRANGER, ELSEWISE, 0644);
		px_dir_for(p, "d/dir", STRANGER, ELSEWISE, 0755);
		works(px_chmod(p, "d", rows[i].mode));
		px_as(p, STRANGER, ELSEWISE);
		refused(px_mkdir(p, "d/a", 0755), rows[i].want);
		refused(px_mknod(p, "d/b", S_IFIFO | 0644, 0), rows[i].want);
		refused(px_symlink(p, "t", "d/c"), rows[i].want);
		refused(px_link(p, "d/old", "d/l"), rows[i].want);
		refused(px_rename(p, "d/old", "d/new"), rows[i].want);
		refused(px_rmdir(p, "d/dir"), rows[i].want);
		refused(px_unlink(p, rows[i].want ? "d/old" : "d/new"), rows[i].want);
		px_as_root(p);
		works(px_chmod(p, "d", 0777));
		if (rows[i].want) {
			works(px_unlink(p, "d/old"));
			works(px_rmdir(p, "d/dir"));
			continue;
		}
		works(px_rmdir(p, "d/a"));
		works(px_unlink(p, "d/b"));
		works(px_unlink(p, "d/c"));
		works(px_unlink(p, "d/l"));
	}
}

/* ---- sticky directories ---- */

/* Who may take a name out of a sticky directory: root, its owner, the file's owner. */
static void the_sticky_bit_protects_names(struct px *p)
{
	static const struct {
		uid_t asks, dir_owner, file_owner;
		int want;
	} rows[] = {
		{ OWNER, OWNER, STRANGER, 0 }, { OWNER, STRANGER, OWNER, 0 },
		{ OWNER, OWNER, OWNER, 0 },    { OWNER, STRANGER, MEMBER, EPERM },
		{ 0, STRANGER, MEMBER, 0 },    { OWNER, STRANGER, STRANGER, EPERM },
	};

	for (size_t i = 0; i < N(rows); i++)
		for (const char *const *type = px_types; *type; type++) {
			bool is_dir = strcmp(*type, "dir") == 0;

			px_as_root(p);
			px_dir_for(p, "tmp", rows[i].dir_owner, GROUP, 01777);
			px_make(p, *type, "tmp/x");
			works(px_lchown(p, "tmp/x", rows[i].file_owner, GROUP));
			px_as(p, rows[i].asks, GROUP);
			refused(px_rename(p, "tmp/x", "tmp/y"), rows[i].want);
			if (rows[i].want == 0)
				works(px_rename(p, "tmp/y", "tmp/x"));
			refused(is_dir ? px_rmdir(p, "tmp/x") : px_unlink(p, "tmp/x"),
				rows[i].want);
			px_as_root(p);
			if (rows[i].want)
				works(is_dir ? px_rmdir(p, "tmp/x") : px_unlink(p, "tmp/x"));
			works(px_rmdir(p, "tmp"));
		}
}

static void the_sticky_bit_protects_what_would_be_replaced(struct px *p)
{
	static const struct {
		uid_t dir_owner, file_owner;
		int want;
	} rows[] = {
		{ OWNER, STRANGER, 0 },
		{ STRANGER, OWNER, 0 },
		{ STRANGER, MEMBER, EPERM },
	};

	for (size_t i = 0; i < N(rows); i++) {
		px_as_root(p);
		px_dir_for(p, "tmp", rows[i].dir_owner, GROUP, 01777);
		px_file_for(p, "tmp/there", rows[i].file_owner, GROUP, 0666);
		px_file_for(p, "mine", OWNER, GROUP, 0644);
		px_as(p, OWNER, GROUP);
		refused(px_rename(p, "mine", "tmp/there"), rows[i].want);
		works(px_close(p, (int)works(px_open(p, "tmp/there", O_RDWR, 0))));
		px_as_root(p);
		works(px_unlink(p, "tmp/there"));
		if (rows[i].want)
			works(px_unlink(p, "mine"));
		works(px_rmdir(p, "tmp"));
	}
}

static void anybody_adds_to_a_sticky_directory(struct px *p)
{
	px_dir_for(p, "tmp", OWNER, GROUP, 01777);
	px_as(p, STRANGER, ELSEWISE);
	works(px_mkdir(p, "tmp/d", 0700));
	px_file(p, "tmp/f", "content", 0600);
	works(px_rename(p, "tmp/f", "tmp/d/f"));
	works(px_rename(p, "tmp/d/f", "tmp/g"));
	works(px_unlink(p, "tmp/g"));
	works(px_rmdir(p, "tmp/d"));
}

static void moving_a_directory_elsewhere_needs_to_write_it(struct px *p)
{
	px_dir_for(p, "a", OWNER, GROUP, 0777);
	px_dir_for(p, "b", OWNER, GROUP, 0777);
	px_dir_for(p, "a/d", STRANGER, ELSEWISE, 0755);
	px_as(p, OWNER, GROUP);
	refused(px_rename(p, "a/d", "b/d"), EACCES);
	works(px_rename(p, "a/d", "a/e"));
	px_as(p, STRANGER, ELSEWISE);
	works(px_rename(p, "a/e", "b/d"));
}

static void renaming_needs_both_directories(struct px *p)
{
	px_dir_for(p, "mine", OWNER, GROUP, 0755);
	px_dir_for(p, "theirs", STRANGER, ELSEWISE, 0755);
	px_file_for(p, "mine/f", OWNER, GROUP, 0644);
	px_file_for(p, "theirs/g", OWNER, GROUP, 0644);
	px_as(p, OWNER, GROUP);
	refused(px_rename(p, "mine/f", "theirs/f"), EACCES);
	refused(px_rename(p, "theirs/g", "mine/g"), EACCES);
	refused(px_rename(p, "theirs/g", "mine/f"), EACCES);
	refused(px_rename(p, "theirs/g", "theirs/h"), EACCES);
	refused(px_unlink(p, "theirs/g"), EACCES);
	works(px_rename(p, "mine/f", "mine/h"));
}

static void readlink_and_stat_need_no_right_to_the_file(struct px *p)
{
	char target[16];
	struct stat st;

	px_file_for(p, "f", OWNER, GROUP, 0);
	works(px_symlink(p, "f", "s"));
	works(px_lchown(p, "s", OWNER, GROUP));
	px_as(p, STRANGER, ELSEWISE);
	works(px_stat(p, "f", &st));
	works(px_readlink(p, "s", target, sizeof(target)));
	works(px_access(p, "f", F_OK));
	refused(px_access(p, "s", R_OK), EACCES);
}

static void truncating_needs_to_write(struct px *p)
{
	px_file_for(p, "f", OWNER, GROUP, 0464);
	px_as(p, OWNER, GROUP);
	refused(px_truncate(p, "f", 1), EACCES);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_truncate(p, "f", 1), EACCES);
	px_as(p, MEMBER, GROUP);
	works(px_truncate(p, "f", 1));
	px_as_root(p);
	assert_int_equal(px_status(p, "f").st_size, 1);
}

static const struct px_case cases[] = {
	PX(access_follows_one_class),
	PX(open_follows_one_class),
	PX(root_may_all_but_run_what_nobody_may),
	PX(supplementary_groups_count),
	PX(reading_a_directory_and_reaching_into_it_are_apart),
	PX(names_need_the_right_to_write_and_to_search),
	PX(the_sticky_bit_protects_names),
	PX(the_sticky_bit_protects_what_would_be_replaced),
	PX(anybody_adds_to_a_sticky_directory),
	PX(moving_a_directory_elsewhere_needs_to_write_it),
	PX(renaming_needs_both_directories),
	PX(readlink_and_stat_need_no_right_to_the_file),
	PX(truncating_needs_to_write),
};

PX_SUITE(permissions, cases);
