/* SPDX-License-Identifier: MIT */
/* rename: the whole matrix of what moves over what. */
#include "suite.h"

enum kind { NONE, FILE_, EMPTY, FULL, LINK, KINDS };

static libfs_ino_t given(struct fx *fx, libfs_ino_t dir, const char *name, enum kind kind)
{
	libfs_ino_t ino = 0;
	struct libfs_attr a;

	switch (kind) {
	case FILE_: return fx_file(fx, dir, name, name);
	case EMPTY: return fx_mkdir(fx, dir, name);
	case FULL:
		ino = fx_mkdir(fx, dir, name);
		fx_create(fx, ino, "inside");
		return ino;
	case LINK:
		assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), dir, name, "target", &a));
		return a.ino;
	default: return 0;
	}
}

static bool is_dir(enum kind kind)
{
	return kind == EMPTY || kind == FULL;
}

static int expected(enum kind from, enum kind to)
{
	if (from == NONE)
		return -ENOENT;
	if (to == NONE)
		return 0;
	if (is_dir(from))
		return !is_dir(to) ? -ENOTDIR : to == FULL ? -ENOTEMPTY : 0;
	return is_dir(to) ? -EISDIR : 0;
}

static void clean_up(struct fx *fx, libfs_ino_t dir, const char *name)
{
	struct libfs_attr a;

	if (libfs_lookup(fx->fs, fx_ctx(fx), dir, name, &a))
		return;
	fx_forget(fx, a.ino);
	if (!S_ISDIR(a.mode)) {
		assert_ok(fx_unlink(fx, dir, name));
		return;
	}
	fx_unlink(fx, a.ino, "inside");
	assert_ok(fx_rmdir(fx, dir, name));
}

/* Everything over everything, within a directory and between two. */
static void the_matrix_of_kinds(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dirs[2] = { fx_mkdir(fx, FX_ROOT, "A"), fx_mkdir(fx, FX_ROOT, "B") };

	for (int across = 0; across < 2; across++)
		for (enum kind from = NONE; from < KINDS; from++)
			for (enum kind to = NONE; to < KINDS; to++) {
				libfs_ino_t a = dirs[0], b = dirs[across];
				libfs_ino_t moved = given(fx, a, "from", from);
				libfs_ino_t target = given(fx, b, "to", to);
				int want = expected(from, to),
				    got = fx_rename(fx, a, "from", b, "to");

				if (got != want)
					fail_msg("kind %d over %d, across %d: %d, not %d", from, to,
						 across, got, want);
				if (want == 0) {
					assert_refused(fx_lookup(fx, a, "from"), -ENOENT);
					assert_int_equal(fx_find(fx, b, "to"), moved);
					if (is_dir(from))
						assert_int_equal(fx_find(fx, moved, ".."), b);
					if (to != NONE)
						assert_int_equal(fx_nlink(fx, target), 0);
				} else if (from != NONE) {
					assert_int_equal(fx_find(fx, a, "from"), moved);
				}
				clean_up(fx, a, "from");
				clean_up(fx, b, "to");
				assert_int_equal(fx_nlink(fx, dirs[0]), 2);
				assert_int_equal(fx_nlink(fx, dirs[1]), 2);
			}
}

static void noreplace_replaces_nothing(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t a = fx_file(fx, FX_ROOT, "a", "a"), b = fx_file(fx, FX_ROOT, "b", "b");

	assert_refused(libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", FX_ROOT, "b",
				    LIBFS_RENAME_NOREPLACE),
		       -EEXIST);
	assert_refused(libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", FX_ROOT, "a",
				    LIBFS_RENAME_NOREPLACE),
		       -EEXIST);
	assert_int_equal(fx_find(fx, FX_ROOT, "a"), a);
	assert_int_equal(fx_find(fx, FX_ROOT, "b"), b);
	assert_ok(libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", FX_ROOT, "c",
			       LIBFS_RENAME_NOREPLACE));
	assert_names(fx, FX_ROOT, "b c");
}

/* A LibFS may not have EXCHANGE; then it says -EINVAL and does nothing. */
static void exchange_exchanges_or_is_refused(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), a = fx_file(fx, FX_ROOT, "a", "a");
	libfs_ino_t e = fx_mkdir(fx, d, "e");
	int got = libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", d, "e", LIBFS_RENAME_EXCHANGE);

	if (got == 0) {
		assert_int_equal(fx_find(fx, FX_ROOT, "a"), e);
		assert_int_equal(fx_find(fx, d, "e"), a);
		assert_int_equal(fx_find(fx, e, ".."), FX_ROOT);
		assert_int_equal(fx_nlink(fx, d), 2);
		assert_int_equal(fx_nlink(fx, FX_ROOT), 4);
		assert_refused(libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", d, "none",
					    LIBFS_RENAME_EXCHANGE),
			       -ENOENT);
	} else {
		assert_refused(got, -EINVAL);
		assert_int_equal(fx_find(fx, FX_ROOT, "a"), a);
		assert_int_equal(fx_find(fx, d, "e"), e);
	}
}

static void unknown_and_contradicting_flags_are_refused(void **state)
{
	struct fx *fx = *state;
	static const uint32_t flags[] = { 3, 4, 8, 0x80000000u };

	fx_create(fx, FX_ROOT, "a");
	for (size_t i = 0; i < 4; i++)
		assert_refused(
			libfs_rename(fx->fs, fx_ctx(fx), FX_ROOT, "a", FX_ROOT, "b", flags[i]),
			-EINVAL);
	assert_names(fx, FX_ROOT, "a");
}

static void a_directory_does_not_move_into_itself(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t a = fx_mkdir(fx, FX_ROOT, "a"), b = fx_mkdir(fx, a, "b");
	libfs_ino_t c = fx_mkdir(fx, b, "c");

	assert_refused(fx_rename(fx, FX_ROOT, "a", a, "x"), -EINVAL);
	assert_refused(fx_rename(fx, FX_ROOT, "a", b, "x"), -EINVAL);
	assert_refused(fx_rename(fx, FX_ROOT, "a", c, "x"), -EINVAL);
	assert_refused(fx_rename(fx, a, "b", c, "x"), -EINVAL);
	assert_refused(fx_rename(fx, FX_ROOT, "a", a, "b"), -EINVAL);
	assert_refused(fx_rename(fx, b, "c", FX_ROOT, "a"), -ENOTEMPTY);
	assert_refused(fx_rename(fx, a, "b", FX_ROOT, "a"), -ENOTEMPTY);
	assert_ok(fx_rename(fx, b, "c", FX_ROOT, "c"));
	assert_ok(fx_rename(fx, FX_ROOT, "a", c, "a"));
	assert_int_equal(fx_find(fx, b, ".."), a);
	assert_int_equal(fx_find(fx, a, ".."), c);
	assert_names(fx, FX_ROOT, "c");
}

static void onto_itself_is_nothing(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_file(fx, FX_ROOT, "f", "x");

	assert_ok(fx_rename(fx, FX_ROOT, "f", FX_ROOT, "f"));
	assert_ok(fx_rename(fx, FX_ROOT, "d", FX_ROOT, "d"));
	assert_int_equal(fx_find(fx, FX_ROOT, "f"), f);
	assert_int_equal(fx_find(fx, FX_ROOT, "d"), d);
	/* Two names of one file: POSIX says both stay. */
	assert_ok(fx_link(fx, f, d, "g"));
	assert_ok(fx_rename(fx, FX_ROOT, "f", d, "g"));
	assert_names(fx, FX_ROOT, "d f");
	assert_names(fx, d, "g");
	assert_int_equal(fx_nlink(fx, f), 2);
}

static void the_replaced_file_lives_while_it_is_open(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t old = fx_file(fx, FX_ROOT, "f", "old");
	struct libfs_attr a;
	uint64_t handle;

	assert_ok(libfs_open(fx->fs, fx_ctx(fx), old, O_RDONLY, &handle));
	fx_file(fx, FX_ROOT, "t", "new");
	assert_ok(fx_rename(fx, FX_ROOT, "t", FX_ROOT, "f"));
	assert_content(fx, fx_find(fx, FX_ROOT, "f"), "new", 3);
	assert_content(fx, old, "old", 3);
	fx_forget(fx, old);
	libfs_release(fx->fs, old, handle);
	assert_refused(libfs_getattr(fx->fs, fx_ctx(fx), old, &a), -ESTALE);
}

static void a_replaced_hard_link_keeps_its_other_name(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "old");

	assert_ok(fx_link(fx, f, FX_ROOT, "g"));
	fx_file(fx, FX_ROOT, "t", "new");
	assert_ok(fx_rename(fx, FX_ROOT, "t", FX_ROOT, "f"));
	assert_int_equal(fx_nlink(fx, f), 1);
	assert_content(fx, fx_find(fx, FX_ROOT, "g"), "old", 3);
	assert_names(fx, FX_ROOT, "f g");
}

/* Short names to long and back, so that they leave their sector and return. */
static void names_of_all_lengths_into_each_other(void **state)
{
	struct fx *fx = *state;
	char name[256] = "x", next[256];
	libfs_ino_t ino = fx_file(fx, FX_ROOT, name, "same");

	for (size_t i = 1; i < 60; i++) {
		size_t len = i * 97 % 255 + 1;

		memset(next, 'a' + (int)(i % 26), len);
		next[len] = '\0';
		assert_ok(fx_rename(fx, FX_ROOT, name, FX_ROOT, next));
		assert_refused(fx_lookup(fx, FX_ROOT, name), -ENOENT);
		assert_int_equal(fx_find(fx, FX_ROOT, next), ino);
		strcpy(name, next);
	}
	fx_remount(fx);
	assert_content(fx, fx_find(fx, FX_ROOT, name), "same", 4);
}

static void crowded_directories_swap_their_files(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t a = fx_mkdir(fx, FX_ROOT, "a"), b = fx_mkdir(fx, FX_ROOT, "b");
	libfs_ino_t inos[100];
	char name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		inos[i] = fx_create(fx, i % 2 ? a : b, name);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		assert_ok(fx_rename(fx, i % 2 ? a : b, name, i % 2 ? b : a, name));
	}
	fx_remount(fx);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		assert_int_equal(fx_find(fx, i % 2 ? b : a, name), inos[i]);
		assert_refused(fx_lookup(fx, i % 2 ? a : b, name), -ENOENT);
	}
}

static void a_moved_file_notices_only_in_its_ctime(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "x"), d = fx_mkdir(fx, FX_ROOT, "d");
	struct libfs_attr before = fx_attr(fx, f), after;

	assert_ok(fx_rename(fx, FX_ROOT, "f", d, "g"));
	after = fx_attr(fx, f);
	assert_true(after.ctime.tv_sec > before.ctime.tv_sec);
	assert_int_equal(after.mtime.tv_sec, before.mtime.tv_sec);
	assert_int_equal(after.generation, before.generation);
	assert_int_equal(after.nlink, 1);
}

static const struct CMUnitTest tests[] = {
	CASE(the_matrix_of_kinds),
	CASE(noreplace_replaces_nothing),
	CASE(exchange_exchanges_or_is_refused),
	CASE(unknown_and_contradicting_flags_are_refused),
	CASE(a_directory_does_not_move_into_itself),
	CASE(onto_itself_is_nothing),
	CASE(the_replaced_file_lives_while_it_is_open),
	CASE(a_replaced_hard_link_keeps_its_other_name),
	CASE(names_of_all_lengths_into_each_other),
	CASE(crowded_directories_swap_their_files),
	CASE(a_moved_file_notices_only_in_its_ctime),
};

SUITE(rename_suite, tests);
