/* SPDX-License-Identifier: MIT */
/* Who may do what. Users: 10 (group 20) owns; 11 is in group 20; 12 is nobody. */
#include "suite.h"

enum who { OWNER, MEMBER, OTHER, SUPER };

static const struct libfs_ctx *as(struct fx *fx, enum who who)
{
	static const uint32_t ids[][2] = { { 10, 20 }, { 11, 20 }, { 12, 22 }, { 0, 0 } };

	return fx_as(fx, ids[who][0], ids[who][1]);
}

static libfs_ino_t owned(struct fx *fx, libfs_ino_t ino, uint32_t mode)
{
	assert_ok(fx_chown(fx, ino, 10, 20));
	assert_ok(fx_chmod(fx, ino, mode));
	return ino;
}

/* All 8 modes of each class: exactly the bits asked for. */
static void access_follows_one_class(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

	for (int who = OWNER; who <= OTHER; who++)
		for (uint32_t bits = 0; bits < 8; bits++) {
			uint32_t shift = who == OWNER ? 6 : who == MEMBER ? 3 : 0;

			/* All other classes say the opposite. */
			owned(fx, f, (0777 & ~(7u << shift)) | bits << shift);
			for (uint32_t mask = 0; mask < 8; mask++)
				assert_refused(libfs_access(fx->fs, as(fx, who), f, mask),
					       (mask & ~bits) ? -EACCES : 0);
		}
	owned(fx, f, 0);
	assert_ok(libfs_access(fx->fs, as(fx, SUPER), f, LIBFS_MAY_READ | LIBFS_MAY_WRITE));
	assert_refused(libfs_access(fx->fs, as(fx, SUPER), f, LIBFS_MAY_EXEC), -EACCES);
	owned(fx, f, 0001);
	assert_ok(libfs_access(fx->fs, as(fx, SUPER), f, LIBFS_MAY_EXEC));
	assert_refused(libfs_access(fx->fs, as(fx, SUPER), f, 8), -EINVAL);
}

static void supplementary_groups_count(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = owned(fx, fx_create(fx, FX_ROOT, "f"), 0040);
	struct xn_cred cred = { .uid = 12, .gid = 22, .n_groups = 3, .groups = { 7, 20, 9 } };
	struct libfs_ctx ctx = *fx_ctx(fx);

	ctx.cred = &cred;
	assert_ok(libfs_access(fx->fs, &ctx, f, LIBFS_MAY_READ));
	cred.n_groups = 1;
	assert_refused(libfs_access(fx->fs, &ctx, f, LIBFS_MAY_READ), -EACCES);
}

static void open_asks_for_what_it_will_do(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f"), d = fx_mkdir(fx, FX_ROOT, "d");
	struct libfs_attr link;
	uint64_t handle;
	static const struct {
		uint32_t mode, flags;
		int want;
	} rows[] = {
		{ 0400, O_RDONLY, 0 },
		{ 0200, O_RDONLY, -EACCES },
		{ 0200, O_WRONLY, 0 },
		{ 0400, O_WRONLY, -EACCES },
		{ 0600, O_RDWR, 0 },
		{ 0400, O_RDWR, -EACCES },
		{ 0200, O_RDWR, -EACCES },
		{ 0400, O_RDONLY | O_TRUNC, -EACCES },
		{ 0600, O_RDONLY | O_TRUNC, 0 },
		{ 0600, O_RDONLY | O_DIRECTORY, -ENOTDIR },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int got;

		owned(fx, f, rows[i].mode);
		got = libfs_open(fx->fs, as(fx, OWNER), f, rows[i].flags, &handle);
		assert_refused(got, rows[i].want);
		if (!got)
			libfs_release(fx->fs, f, handle);
	}
	assert_refused(libfs_open(fx->fs, fx_ctx(fx), d, O_WRONLY, &handle), -EISDIR);
	assert_refused(libfs_open(fx->fs, fx_ctx(fx), d, O_RDWR, &handle), -EISDIR);
	assert_ok(libfs_open(fx->fs, fx_ctx(fx), d, O_RDONLY | O_DIRECTORY, &handle));
	libfs_release(fx->fs, d, handle);
	assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "l", "t", &link));
	assert_refused(libfs_open(fx->fs, fx_ctx(fx), link.ino, O_RDONLY, &handle), -ELOOP);
}

/* A directory without x hides its names, one without w keeps them. */
static void names_need_search_and_write(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_create(fx, d, "f");
	libfs_ino_t e = fx_mkdir(fx, d, "e");
	struct libfs_attr a;

	fx_create(fx, e, "g");
	assert_ok(fx_chmod(fx, e, 0777));
	for (uint32_t mode = 0; mode < 8; mode++) {
		bool x = mode & 1, w = (mode & 3) == 3;

		owned(fx, d, mode << 6);
		assert_refused(libfs_lookup(fx->fs, as(fx, OWNER), d, "f", &a), x ? 0 : -EACCES);
		if (w)
			continue;
		assert_refused(libfs_create(fx->fs, as(fx, OWNER), d, "n", 0644, true, &a),
			       -EACCES);
		assert_refused(libfs_mkdir(fx->fs, as(fx, OWNER), d, "n", 0755, &a), -EACCES);
		assert_refused(libfs_mknod(fx->fs, as(fx, OWNER), d, "n", S_IFIFO, 0, &a), -EACCES);
		assert_refused(libfs_symlink(fx->fs, as(fx, OWNER), d, "n", "t", &a), -EACCES);
		assert_refused(libfs_link(fx->fs, as(fx, OWNER), f, d, "n", &a), -EACCES);
		assert_refused(libfs_unlink(fx->fs, as(fx, OWNER), d, "f"), -EACCES);
		assert_refused(libfs_rmdir(fx->fs, as(fx, OWNER), d, "e"), -EACCES);
		assert_refused(libfs_rename(fx->fs, as(fx, OWNER), d, "f", e, "f", 0), -EACCES);
		assert_refused(libfs_rename(fx->fs, as(fx, OWNER), e, "g", d, "g", 0), -EACCES);
	}
	owned(fx, d, 0300);
	assert_ok(libfs_create(fx->fs, as(fx, OWNER), d, "n", 0644, true, &a));
	assert_int_equal(a.uid, 10);
	assert_int_equal(a.gid, 20);
	assert_ok(libfs_unlink(fx->fs, as(fx, OWNER), d, "n"));
	/* What is there is there, also for those who could not have made it. */
	owned(fx, d, 0500);
	assert_refused(libfs_mkdir(fx->fs, as(fx, OWNER), d, "f", 0755, &a), -EEXIST);
	assert_ok(libfs_create(fx->fs, as(fx, OWNER), d, "f", 0644, false, &a));
}

static void the_sticky_bit_protects_names(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "tmp"), e = fx_mkdir(fx, FX_ROOT, "open");
	struct libfs_attr a;

	owned(fx, d, 01777);
	assert_ok(fx_chmod(fx, e, 0777));
	assert_ok(libfs_create(fx->fs, as(fx, MEMBER), d, "f", 0666, true, &a));
	assert_ok(libfs_create(fx->fs, as(fx, OTHER), d, "g", 0666, true, &a));
	assert_refused(libfs_unlink(fx->fs, as(fx, OTHER), d, "f"), -EPERM);
	assert_refused(libfs_rename(fx->fs, as(fx, OTHER), d, "f", e, "f", 0), -EPERM);
	assert_refused(libfs_rename(fx->fs, as(fx, OTHER), d, "g", d, "f", 0), -EPERM);
	assert_ok(libfs_rename(fx->fs, as(fx, OTHER), d, "g", d, "h", 0));
	assert_ok(libfs_unlink(fx->fs, as(fx, OWNER), d, "h"));
	assert_ok(libfs_unlink(fx->fs, as(fx, MEMBER), d, "f"));
	assert_ok(libfs_mkdir(fx->fs, as(fx, MEMBER), d, "s", 0777, &a));
	assert_refused(libfs_rmdir(fx->fs, as(fx, OTHER), d, "s"), -EPERM);
	assert_ok(libfs_rmdir(fx->fs, as(fx, SUPER), d, "s"));
}

static void moving_a_directory_needs_to_write_it(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t a = fx_mkdir(fx, FX_ROOT, "a"), b = fx_mkdir(fx, FX_ROOT, "b");
	libfs_ino_t d = fx_mkdir(fx, a, "d");

	assert_ok(fx_chmod(fx, a, 0777));
	assert_ok(fx_chmod(fx, b, 0777));
	assert_refused(libfs_rename(fx->fs, as(fx, OWNER), a, "d", b, "d", 0), -EACCES);
	assert_ok(libfs_rename(fx->fs, as(fx, OWNER), a, "d", a, "e", 0));
	owned(fx, d, 0700);
	assert_ok(libfs_rename(fx->fs, as(fx, OWNER), a, "e", b, "d", 0));
}

/* ---- setattr ---- */

static int setattr(struct fx *fx, enum who who, libfs_ino_t ino, uint32_t which,
		   struct libfs_attr wanted)
{
	struct libfs_attr out;

	return libfs_setattr(fx->fs, as(fx, who), ino, &wanted, which, &out);
}

static void only_owners_change_modes(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = owned(fx, fx_create(fx, FX_ROOT, "f"), 0666);
	const struct libfs_attr wanted = { .mode = 0640 };

	assert_refused(setattr(fx, OTHER, f, LIBFS_SET_MODE, wanted), -EPERM);
	assert_refused(setattr(fx, MEMBER, f, LIBFS_SET_MODE, wanted), -EPERM);
	assert_int_equal(fx_attr(fx, f).mode & 07777, 0666);
	assert_ok(setattr(fx, OWNER, f, LIBFS_SET_MODE, wanted));
	assert_int_equal(fx_attr(fx, f).mode & 07777, 0640);
}

static void owners_give_files_to_their_groups_only(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = owned(fx, fx_create(fx, FX_ROOT, "f"), 0644);
	const uint32_t uid = LIBFS_SET_UID, gid = LIBFS_SET_GID;
	static const struct {
		enum who who;
		bool set_uid, set_gid;
		uint32_t uid, gid;
		int want;
	} rows[] = {
		{ OWNER, true, false, 10, 0, 0 },       { OWNER, true, false, 11, 0, -EPERM },
		{ OWNER, true, false, 0, 0, -EPERM },   { OWNER, false, true, 0, 20, 0 },
		{ OWNER, false, true, 0, 22, -EPERM },  { OWNER, true, true, 10, 20, 0 },
		{ OWNER, true, true, 10, 0, -EPERM },   { MEMBER, false, true, 0, 20, -EPERM },
		{ MEMBER, true, false, 11, 0, -EPERM }, { OTHER, true, true, 12, 22, -EPERM },
		{ SUPER, true, true, 10, 20, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_refused(
			setattr(fx, rows[i].who, f,
				(rows[i].set_uid ? uid : 0) | (rows[i].set_gid ? gid : 0),
				(struct libfs_attr){ .uid = rows[i].uid, .gid = rows[i].gid }),
			rows[i].want);
	assert_int_equal(fx_attr(fx, f).uid, 10);
	assert_int_equal(fx_attr(fx, f).gid, 20);
}

static void times_are_set_by_owners_and_now_by_writers(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = owned(fx, fx_create(fx, FX_ROOT, "f"), 0660);
	const uint32_t both = LIBFS_SET_ATIME | LIBFS_SET_MTIME;
	const uint32_t now = both | LIBFS_SET_ATIME_NOW | LIBFS_SET_MTIME_NOW;
	static const struct libfs_attr t = { .atime = { 1, 2 }, .mtime = { 3, 4 } };

	assert_ok(setattr(fx, OWNER, f, both, t));
	assert_ok(setattr(fx, SUPER, f, both, t));
	assert_refused(setattr(fx, MEMBER, f, both, t), -EPERM);
	assert_refused(setattr(fx, OTHER, f, both, t), -EPERM);
	assert_ok(setattr(fx, MEMBER, f, now, t));
	assert_refused(setattr(fx, OTHER, f, now, t), -EACCES);
	assert_refused(setattr(fx, MEMBER, f, LIBFS_SET_MTIME | LIBFS_SET_MTIME_NOW, t), -EPERM);
	assert_refused(setattr(fx, MEMBER, f, now & ~LIBFS_SET_ATIME_NOW, t), -EPERM);
	assert_ok(fx_chmod(fx, f, 0440));
	assert_ok(setattr(fx, OWNER, f, now, t));
	assert_refused(setattr(fx, MEMBER, f, now, t), -EACCES);
}

static void truncate_needs_write_unless_the_handle_has_it(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = owned(fx, fx_file(fx, FX_ROOT, "f", "content"), 0444);
	const struct libfs_attr size = { .size = 3 };

	assert_refused(setattr(fx, OWNER, f, LIBFS_SET_SIZE, size), -EACCES);
	assert_refused(setattr(fx, OTHER, f, LIBFS_SET_SIZE, size), -EACCES);
	assert_ok(setattr(fx, OTHER, f, LIBFS_SET_SIZE | LIBFS_SET_OPEN, size));
	assert_int_equal(fx_size(fx, f), 3);
}

/* ---- set-id bits ---- */

static void set_id_bits_go_when_files_change_hands_or_contents(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "content");
	static const struct {
		const char *what;
		enum who who;
		uint32_t before, after;
	} rows[] = {
		{ "chown", SUPER, 06755, 0755 },     { "chown", OWNER, 06755, 0755 },
		{ "chown", OWNER, 02745, 02745 },    { "chown", OWNER, 04745, 0745 },
		{ "write", OTHER, 06777, 0777 },     { "write", SUPER, 06777, 06777 },
		{ "write", OTHER, 02767, 0767 },     { "truncate", OTHER, 06777, 0777 },
		{ "write", OWNER, 02767, 02767 },    { "truncate", OTHER, 02767, 0767 },
		{ "truncate", SUPER, 06777, 06777 }, { "kill", SUPER, 06777, 0777 },
		{ "chmod", OWNER, 0755, 06711 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		owned(fx, f, rows[i].before);
		switch (rows[i].what[0]) {
		case 'c':
			if (rows[i].what[2] == 'o')
				assert_ok(setattr(fx, rows[i].who, f, LIBFS_SET_GID,
						  (struct libfs_attr){ .gid = 20 }));
			else
				assert_ok(setattr(fx, rows[i].who, f, LIBFS_SET_MODE,
						  (struct libfs_attr){ .mode = rows[i].after }));
			break;
		case 'w':
			assert_int_equal(libfs_write(fx->fs, as(fx, rows[i].who), f, 0, 0, "x", 1),
					 1);
			break;
		case 't':
			assert_ok(setattr(fx, rows[i].who, f, LIBFS_SET_SIZE,
					  (struct libfs_attr){ .size = 3 }));
			break;
		case 'k':
			assert_ok(setattr(fx, rows[i].who, f, LIBFS_KILL_SUIDGID,
					  (struct libfs_attr){ .size = 0 }));
			break;
		}
		if ((fx_attr(fx, f).mode & 07777) != rows[i].after)
			fail_msg("row %zu (%s): %o, not %o", i, rows[i].what,
				 fx_attr(fx, f).mode & 07777, rows[i].after);
	}
}

static void directories_keep_their_set_id_bits(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = owned(fx, fx_mkdir(fx, FX_ROOT, "d"), 06755);

	assert_ok(setattr(fx, OWNER, d, LIBFS_SET_GID, (struct libfs_attr){ .gid = 20 }));
	assert_int_equal(fx_attr(fx, d).mode & 07777, 06755);
}

static void set_gid_is_for_members(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

	assert_ok(fx_chown(fx, f, 10, 99));
	assert_ok(setattr(fx, OWNER, f, LIBFS_SET_MODE, (struct libfs_attr){ .mode = 02755 }));
	assert_int_equal(fx_attr(fx, f).mode & 07777, 0755);
	assert_ok(fx_chown(fx, f, 10, 20));
	assert_ok(setattr(fx, OWNER, f, LIBFS_SET_MODE, (struct libfs_attr){ .mode = 02755 }));
	assert_int_equal(fx_attr(fx, f).mode & 07777, 02755);
}

static void set_gid_directories_hand_their_group_down(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	struct libfs_attr a;

	assert_ok(fx_chown(fx, d, 0, 99));
	assert_ok(fx_chmod(fx, d, 02777));
	assert_ok(libfs_create(fx->fs, as(fx, OWNER), d, "f", 0644, true, &a));
	assert_int_equal(a.gid, 99);
	assert_int_equal(a.mode & 07777, 0644);
	assert_ok(libfs_create(fx->fs, as(fx, OWNER), d, "x", 02755, true, &a));
	assert_int_equal(a.mode & 07777, 0755);
	assert_ok(libfs_mkdir(fx->fs, as(fx, OWNER), d, "e", 0755, &a));
	assert_int_equal(a.gid, 99);
	assert_int_equal(a.mode & 07777, 02755);
	assert_ok(libfs_symlink(fx->fs, as(fx, OWNER), d, "l", "t", &a));
	assert_int_equal(a.gid, 99);
	assert_int_equal(a.uid, 10);
}

static const struct CMUnitTest tests[] = {
	CASE(access_follows_one_class),
	CASE(supplementary_groups_count),
	CASE(open_asks_for_what_it_will_do),
	CASE(names_need_search_and_write),
	CASE(the_sticky_bit_protects_names),
	CASE(moving_a_directory_needs_to_write_it),
	CASE(only_owners_change_modes),
	CASE(owners_give_files_to_their_groups_only),
	CASE(times_are_set_by_owners_and_now_by_writers),
	CASE(truncate_needs_write_unless_the_handle_has_it),
	CASE(set_id_bits_go_when_files_change_hands_or_contents),
	CASE(directories_keep_their_set_id_bits),
	CASE(set_gid_is_for_members),
	CASE(set_gid_directories_hand_their_group_down),
};

SUITE(perms_suite, tests);
