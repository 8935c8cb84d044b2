/* SPDX-License-Identifier: MIT */
/* rename(2) and renameat2(2). */
#include "px.h"

#define NOREPLACE 1u
#define EXCHANGE  2u
#define WHITEOUT  4u

static void every_type_is_renamed_and_stays_itself(struct px *p)
{
	struct stat before, after;
	char to[32];

	works(px_mkdir(p, "d", 0755));
	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		before = px_status(p, *type);
		works(px_rename(p, *type, "new"));
		px_gone(p, *type);
		snprintf(to, sizeof(to), "d/%s", *type);
		works(px_rename(p, "new", to));
		px_gone(p, "new");
		after = px_status(p, to);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(after.st_nlink, before.st_nlink);
		assert_int_equal(after.st_size, before.st_size);
		assert_int_equal(after.st_rdev, before.st_rdev);
	}
}

/* Rows: what moves; columns: what is there. */
static void what_takes_whose_place(struct px *p)
{
	for (const char *const *from = px_types; *from; from++)
		for (const char *const *to = px_types; *to; to++) {
			bool is_dir = strcmp(*from, "dir") == 0, onto_dir = strcmp(*to, "dir") == 0;
			struct stat before;

			px_make(p, *from, "from");
			px_make(p, *to, "to");
			before = px_status(p, "from");
			if (is_dir != onto_dir) {
				refused(px_rename(p, "from", "to"), is_dir ? ENOTDIR : EISDIR);
				assert_int_equal(px_status(p, "from").st_ino, before.st_ino);
				works(is_dir ? px_rmdir(p, "from") : px_unlink(p, "from"));
			} else {
				works(px_rename(p, "from", "to"));
				px_gone(p, "from");
				assert_int_equal(px_status(p, "to").st_ino, before.st_ino);
			}
			works(onto_dir ? px_rmdir(p, "to") : px_unlink(p, "to"));
		}
}

static void a_directory_with_anything_in_it_is_not_replaced(struct px *p)
{
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "b", 0755));
	px_file(p, "b/f", "content", 0644);
	refused(px_rename(p, "a", "b"), ENOTEMPTY);
	px_holds(p, "b/f", "content");
	works(px_rename(p, "b", "a")); /* the other way it is fine */
	px_holds(p, "a/f", "content");
	px_gone(p, "b");
}

static void the_replaced_file_loses_a_link(struct px *p)
{
	struct stat before, after;

	px_file(p, "new", "new", 0644);
	px_file(p, "old", "old", 0644);
	works(px_link(p, "old", "other"));
	before = px_status(p, "other");
	px_tick(p);
	works(px_rename(p, "new", "old"));
	after = px_status(p, "other");
	assert_int_equal(after.st_nlink, 1);
	assert_int_equal(px_moved(&before, &after), C);
	px_holds(p, "old", "new");
	px_holds(p, "other", "old");
}

static void a_replaced_open_file_lives_on(struct px *p)
{
	char bytes[8];
	struct stat st;
	int fd;

	px_file(p, "new", "new", 0644);
	px_file(p, "old", "old", 0644);
	fd = (int)works(px_open(p, "old", O_RDWR, 0));
	works(px_rename(p, "new", "old"));
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(px_pread(p, fd, bytes, 8, 0), 3);
	assert_memory_equal(bytes, "old", 3);
	works(px_close(p, fd));
	px_holds(p, "old", "new");
}

static void a_renamed_open_file_is_the_same_file(struct px *p)
{
	int fd;

	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	works(px_rename(p, "f", "d/g"));
	assert_int_equal(px_pwrite(p, fd, "C", 1, 0), 1);
	works(px_close(p, fd));
	px_holds(p, "d/g", "Content");
}

static void renaming_a_file_to_itself_changes_nothing(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	works(px_rename(p, "f", "f"));
	works(px_rename(p, "d", "d"));
	works(px_rename(p, "d/../f", "f"));
	px_holds(p, "f", "content");
}

static void two_names_of_one_file_both_stay(struct px *p)
{
	px_file(p, "a", "content", 0644);
	works(px_link(p, "a", "b"));
	works(px_mkdir(p, "d", 0755));
	works(px_link(p, "a", "d/c"));
	works(px_rename(p, "a", "b"));
	works(px_rename(p, "a", "d/c"));
	assert_int_equal(px_status(p, "a").st_nlink, 3);
	assert_int_equal(px_status(p, "b").st_nlink, 3);
	assert_int_equal(px_status(p, "d/c").st_nlink, 3);
}

static void a_directory_does_not_move_below_itself(struct px *p)
{
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "a/b", 0755));
	works(px_mkdir(p, "a/b/c", 0755));
	refused(px_rename(p, "a", "a/x"), EINVAL);
	refused(px_rename(p, "a", "a/b"), EINVAL);
	refused(px_rename(p, "a", "a/b/c/x"), EINVAL);
	refused(px_rename(p, "a/b", "a/b/c/x"), EINVAL);
	refused(px_rename(p, "a/b/c", "a"), ENOTEMPTY);
	refused(px_rename(p, "a/b/c", "a/b"), ENOTEMPTY);
	assert_int_equal(px_status(p, "a").st_nlink, 3);
	assert_int_equal(px_status(p, "a/b").st_nlink, 3);
	assert_int_equal(px_status(p, "a/b/c").st_nlink, 2);
}

static void a_moved_directory_changes_both_parents(struct px *p)
{
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "b", 0755));
	works(px_mkdir(p, "a/d", 0755));
	px_file(p, "a/d/f", "content", 0644);
	works(px_rename(p, "a/d", "b/e"));
	assert_int_equal(px_status(p, "a").st_nlink, 2);
	assert_int_equal(px_status(p, "b").st_nlink, 3);
	assert_int_equal(px_status(p, "b/e/..").st_ino, px_status(p, "b").st_ino);
	px_holds(p, "b/e/f", "content");
	works(px_rename(p, "b/e", "b/d"));
	assert_int_equal(px_status(p, "b").st_nlink, 3);
	works(px_mkdir(p, "a/d", 0755));
	works(px_rename(p, "b/d", "a/d")); /* in place of an empty one */
	assert_int_equal(px_status(p, "a").st_nlink, 3);
	assert_int_equal(px_status(p, "b").st_nlink, 2);
	px_holds(p, "a/d/f", "content");
	works(px_mkdir(p, "a/e", 0755));
	works(px_rename(p, "a/d", "a/e"));
	assert_int_equal(px_status(p, "a").st_nlink, 3);
}

static void a_tree_moves_whole_and_persists(struct px *p)
{
	char path[64];

	works(px_mkdir(p, "from", 0755));
	works(px_mkdir(p, "to", 0755));
	works(px_mkdir(p, "from/tree", 0755));
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "from/tree/d%d", i);
		works(px_mkdir(p, path, 0755));
		strcat(path, "/f");
		px_file(p, path, path, 0644);
	}
	works(px_rename(p, "from/tree", "to/wood"));
	px_readonly(p, true);
	for (int i = 0; i < 60; i++) {
		char content[64];

		snprintf(path, sizeof(path), "to/wood/d%d/f", i);
		snprintf(content, sizeof(content), "from/tree/d%d/f", i);
		px_holds(p, path, content);
	}
	assert_int_equal(px_count(p, "from"), 0);
	assert_int_equal(px_status(p, "to/wood").st_nlink, 62);
	px_readonly(p, false);
}

static void symlinks_are_renamed_not_followed(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	works(px_symlink(p, "f", "s"));
	works(px_symlink(p, "d", "t"));
	works(px_rename(p, "s", "u"));
	px_holds(p, "f", "content");
	px_holds(p, "u", "content");
	works(px_rename(p, "f", "t")); /* takes the symlink's place, not the directory's */
	assert_true(S_ISREG(px_status(p, "t").st_mode));
	assert_int_equal(px_count(p, "d"), 0);
}

static void names_change_length_in_any_way(struct px *p)
{
	static const size_t lens[] = { 1, 255, 2, 250, 100, 3, 254, 17, 128, 64, 1 };
	char from[300] = "a", to[300];

	px_file(p, "a", "content", 0644);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		px_long(to, lens[i], (char)('b' + i));
		works(px_rename(p, from, to));
		px_gone(p, from);
		px_holds(p, to, "content");
		strcpy(from, to);
	}
	assert_int_equal(px_count(p, "."), 1);
}

/* As every editor and package manager saves. */
static void writing_anew_and_renaming_over_never_shows_less(struct px *p)
{
	char content[32];

	px_file(p, "f", "round 0", 0644);
	for (int i = 1; i < 60; i++) {
		snprintf(content, sizeof(content), "round %d", i);
		px_file(p, "f.new", content, 0644);
		works(px_rename(p, "f.new", "f"));
		px_holds(p, "f", content);
	}
	assert_int_equal(px_count(p, "."), 1);
}

static void names_go_round(struct px *p)
{
	char from[16], to[16];

	for (int i = 0; i < 30; i++) {
		snprintf(from, sizeof(from), "n%d", i);
		px_file(p, from, from, 0644);
	}
	for (int round = 0; round < 5; round++) {
		works(px_rename(p, "n29", "spare"));
		for (int i = 28; i >= 0; i--) {
			snprintf(from, sizeof(from), "n%d", i);
			snprintf(to, sizeof(to), "n%d", i + 1);
			works(px_rename(p, from, to));
		}
		works(px_rename(p, "spare", "n0"));
	}
	for (int i = 0; i < 30; i++) {
		snprintf(from, sizeof(from), "n%d", i);
		snprintf(to, sizeof(to), "n%d", (i + 25) % 30);
		px_holds(p, from, to);
	}
}

static void a_failed_rename_changes_no_times(struct px *p)
{
	static const char *const names[] = { "f", "d", "d/g", "." };
	struct stat before[4], after;

	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	px_file(p, "d/g", "content", 0644);
	for (int i = 0; i < 4; i++)
		before[i] = px_status(p, names[i]);
	px_tick(p);
	refused(px_rename(p, "f", "d"), EISDIR);
	refused(px_rename(p, "d", "f"), ENOTDIR);
	refused(px_rename(p, "d", "d/e"), EINVAL);
	refused(px_rename(p, "missing", "f"), ENOENT);
	refused(px_rename2(p, "f", "d/g", NOREPLACE), EEXIST);
	for (int i = 0; i < 4; i++) {
		after = px_status(p, names[i]);
		assert_int_equal(px_moved(&before[i], &after), 0);
	}
}

/* ---- renameat2 ---- */

static void noreplace_keeps_what_is_there(struct px *p)
{
	px_file(p, "f", "f", 0644);
	px_file(p, "g", "g", 0644);
	works(px_mkdir(p, "d", 0755));
	works(px_mkdir(p, "e", 0755));
	works(px_symlink(p, "missing", "s"));
	works(px_link(p, "f", "h"));
	refused(px_rename2(p, "f", "g", NOREPLACE), EEXIST);
	refused(px_rename2(p, "f", "d", NOREPLACE), EEXIST);
	refused(px_rename2(p, "f", "s", NOREPLACE), EEXIST);
	refused(px_rename2(p, "d", "e", NOREPLACE), EEXIST);
	refused(px_rename2(p, "f", "f", NOREPLACE), EEXIST);
	refused(px_rename2(p, "f", "h", NOREPLACE), EEXIST);
	refused(px_rename2(p, "missing", "new", NOREPLACE), ENOENT);
	works(px_rename2(p, "f", "new", NOREPLACE));
	works(px_rename2(p, "d", "e/d", NOREPLACE));
	px_holds(p, "new", "f");
	px_holds(p, "g", "g");
}

static void exchanging_swaps_or_is_refused(struct px *p)
{
	px_file(p, "f", "f", 0644);
	px_file(p, "g", "g", 0644);
	if (!px_can(p, PX_EXCHANGE)) {
		refused(px_rename2(p, "f", "g", EXCHANGE), EINVAL);
		px_holds(p, "f", "f");
		return;
	}
	works(px_rename2(p, "f", "g", EXCHANGE));
	px_holds(p, "f", "g");
	px_holds(p, "g", "f");
	works(px_mkdir(p, "d", 0755));
	works(px_rename2(p, "f", "d", EXCHANGE));
	assert_true(S_ISDIR(px_status(p, "f").st_mode));
	px_holds(p, "d", "g");
	works(px_rename2(p, "f", "f", EXCHANGE));
}

static void exchanging_across_directories_keeps_the_counts(struct px *p)
{
	if (!px_can(p, PX_EXCHANGE))
		return;
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "b", 0755));
	works(px_mkdir(p, "a/dir", 0755));
	px_file(p, "a/dir/inside", "inside", 0644);
	px_file(p, "b/file", "file", 0644);
	works(px_rename2(p, "a/dir", "b/file", EXCHANGE));
	assert_int_equal(px_status(p, "a").st_nlink, 2);
	assert_int_equal(px_status(p, "b").st_nlink, 3);
	px_holds(p, "a/dir", "file");
	px_holds(p, "b/file/inside", "inside");
	assert_int_equal(px_status(p, "b/file/..").st_ino, px_status(p, "b").st_ino);
	works(px_mkdir(p, "a/full", 0755));
	px_file(p, "a/full/x", "x", 0644);
	works(px_rename2(p, "a/full", "b/file", EXCHANGE)); /* neither is empty */
	px_holds(p, "b/file/x", "x");
	px_holds(p, "a/full/inside", "inside");
}

static void exchanging_needs_both(struct px *p)
{
	if (!px_can(p, PX_EXCHANGE))
		return;
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "a/b", 0755));
	works(px_mkdir(p, "a/b/c", 0755));
	refused(px_rename2(p, "a", "missing", EXCHANGE), ENOENT);
	refused(px_rename2(p, "missing", "a", EXCHANGE), ENOENT);
	refused(px_rename2(p, "a", "a/b", EXCHANGE), EINVAL);
	refused(px_rename2(p, "a/b/c", "a", EXCHANGE), EINVAL);
	px_gone(p, "missing");
}

static void flags_that_contradict_each_other_are_refused(struct px *p)
{
	px_file(p, "f", "f", 0644);
	px_file(p, "g", "g", 0644);
	refused(px_rename2(p, "f", "g", NOREPLACE | EXCHANGE), EINVAL);
	refused(px_rename2(p, "f", "g", 0x100), EINVAL);
	px_holds(p, "f", "f");
}

/* ---- what only a kernel decides ---- */

static void dots_are_not_renamed(struct px *p)
{
	works(px_mkdir(p, "d", 0755));
	refused(px_rename(p, "d/.", "e"), EBUSY);
	refused(px_rename(p, "d/..", "e"), EBUSY);
	works(px_mkdir(p, "e", 0755));
	refused(px_rename(p, "e", "d/."), EBUSY);
	refused(px_rename(p, "e", "d/.."), EBUSY);
}

static void a_slash_behind_a_name_wants_a_directory(struct px *p)
{
	px_file(p, "f", "content", 0644);
	works(px_mkdir(p, "d", 0755));
	refused(px_rename(p, "f/", "g"), ENOTDIR);
	refused(px_rename(p, "f", "g/"), ENOTDIR);
	works(px_rename(p, "d/", "e/"));
	assert_true(S_ISDIR(px_status(p, "e").st_mode));
	px_holds(p, "f", "content");
}

static const struct px_case cases[] = {
	PX(every_type_is_renamed_and_stays_itself),
	PX(what_takes_whose_place),
	PX(a_directory_with_anything_in_it_is_not_replaced),
	PX(the_replaced_file_loses_a_link),
	PX(a_replaced_open_file_lives_on),
	PX(a_renamed_open_file_is_the_same_file),
	PX(renaming_a_file_to_itself_changes_nothing),
	PX(two_names_of_one_file_both_stay),
	PX(a_directory_does_not_move_below_itself),
	PX(a_moved_directory_changes_both_parents),
	PX(a_tree_moves_whole_and_persists),
	PX(symlinks_are_renamed_not_followed),
	PX(names_change_length_in_any_way),
	PX(writing_anew_and_renaming_over_never_shows_less),
	PX(names_go_round),
	PX(a_failed_rename_changes_no_times),
	PX(noreplace_keeps_what_is_there),
	PX(exchanging_swaps_or_is_refused),
	PX(exchanging_across_directories_keeps_the_counts),
	PX(exchanging_needs_both),
	PX(flags_that_contradict_each_other_are_refused),
	PX_MOUNT(dots_are_not_renamed),
	PX_MOUNT(a_slash_behind_a_name_wants_a_directory),
};

PX_SUITE(renames, cases);
