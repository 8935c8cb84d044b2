/* SPDX-License-Identifier: MIT */
/* Attributes: times, modes, owners, as POSIX has them. */
#include "suite.h"

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void a_new_file_has_four_equal_times(void **state)
{
	struct fx *fx = *state;
	struct libfs_ctx ctx = *fx_ctx(fx);
	struct libfs_attr a;

	ctx.now = (struct timespec){ 2000000000, 123456789 };
	assert_ok(libfs_create(fx->fs, &ctx, FX_ROOT, "f", 0644, true, &a));
	assert_true(same(a.atime, ctx.now));
	assert_true(same(a.mtime, ctx.now));
	assert_true(same(a.ctime, ctx.now));
	assert_true(same(a.btime, ctx.now));
}

enum { A = 1, M = 2, C = 4 };

/* Which times an operation moves. */
static void each_operation_moves_its_times(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "some content");
	struct libfs_attr before, after, wanted = { .mode = 0600, .size = 3, .uid = 5, .gid = 6 };
	char byte[4];
	static const char *const names[] = { "write",  "truncate", "chmod",
					     "chown",  "utimes",   "link",
					     "rename", "unlink",   "setattr of nothing" };
	static const int moves[] = { M | C, M | C, C, C, A | M | C, C, C, C, 0 };

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		before = fx_attr(fx, f);
		switch (i) {
		case 0: fx_write(fx, f, 0, "x", 1); break;
		case 1: assert_ok(fx_truncate(fx, f, wanted.size)); break;
		case 2: assert_ok(fx_chmod(fx, f, wanted.mode)); break;
		case 3: assert_ok(fx_chown(fx, f, wanted.uid, wanted.gid)); break;
		case 4:
			assert_ok(libfs_setattr(fx->fs, fx_ctx(fx), f, &wanted,
						LIBFS_SET_ATIME | LIBFS_SET_ATIME_NOW |
							LIBFS_SET_MTIME | LIBFS_SET_MTIME_NOW,
						&after));
			break;
		case 5: assert_ok(fx_link(fx, f, FX_ROOT, "g")); break;
		case 6: assert_ok(fx_rename(fx, FX_ROOT, "g", FX_ROOT, "h")); break;
		case 7: assert_ok(fx_unlink(fx, FX_ROOT, "h")); break;
		case 8: assert_ok(libfs_setattr(fx->fs, fx_ctx(fx), f, &wanted, 0, &after)); break;
		}
		after = fx_attr(fx, f);
		if (later(after.atime, before.atime) != !!(moves[i] & A) ||
		    later(after.mtime, before.mtime) != !!(moves[i] & M) ||
		    later(after.ctime, before.ctime) != !!(moves[i] & C))
			fail_msg("%s moves other times", names[i]);
		assert_true(same(after.btime, before.btime));
	}
	before = fx_attr(fx, f);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 0, byte, 3), 3);
	after = fx_attr(fx, f);
	assert_true(same(after.mtime, before.mtime) && same(after.ctime, before.ctime));
}

static void reading_moves_an_access_time_that_is_old(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "x");
	struct libfs_attr before, after;
	char byte;

	fx_write(fx, f, 0, "y", 1);
	before = fx_attr(fx, f);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 0, &byte, 1), 1);
	after = fx_attr(fx, f);
	assert_true(later(after.atime, before.atime));
	assert_true(later(after.atime, after.mtime));
}

static void times_are_kept_to_the_nanosecond(void **state)
{
	struct fx *fx = *state;
	static const struct timespec rows[] = {
		{ 0, 0 },
		{ 0, 1 },
		{ 1, 999999999 },
		{ -1, 0 },
		{ -2208988800, 5 },
		{ 2147483647, 1 },
		{ 2147483648, 2 },
		{ 4294967296, 3 },
		{ 15032385535, 999999999 },
		{ 253402300799, 0 },
		{ -62135596800, 1 },
	};
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	struct libfs_attr a, got;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		a.atime = rows[i];
		a.mtime = rows[sizeof(rows) / sizeof(rows[0]) - 1 - i];
		assert_ok(libfs_setattr(fx->fs, fx_ctx(fx), f, &a,
					LIBFS_SET_ATIME | LIBFS_SET_MTIME, &got));
		got = fx_attr(fx, f);
		assert_true(same(got.atime, a.atime));
		assert_true(same(got.mtime, a.mtime));
	}
	a.atime.tv_nsec = 1000000000;
	assert_refused(libfs_setattr(fx->fs, fx_ctx(fx), f, &a, LIBFS_SET_ATIME, &got), -EINVAL);
	a.mtime.tv_nsec = -1;
	assert_refused(libfs_setattr(fx->fs, fx_ctx(fx), f, &a, LIBFS_SET_MTIME, &got), -EINVAL);
}

static void a_host_may_state_the_change_time(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	struct libfs_attr a = { .mtime = { 5, 6 }, .ctime = { 7, 8 } };

	assert_ok(libfs_setattr(fx->fs, fx_as(fx, 9, 9), f, &a,
				LIBFS_SET_MTIME | LIBFS_SET_CTIME | LIBFS_SET_OPEN, &a));
	assert_int_equal(a.mtime.tv_sec, 5);
	assert_int_equal(a.ctime.tv_sec, 7);
	assert_int_equal(a.ctime.tv_nsec, 8);
}

static void modes_change_in_their_twelve_bits_only(void **state)
{
	struct fx *fx = *state;
	static const uint32_t modes[] = { 0, 0777, 07777, 01000, 02000, 04000, 0123, 0177777 };
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f"), d = fx_mkdir(fx, FX_ROOT, "d");

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_ok(fx_chmod(fx, f, modes[i]));
		assert_int_equal(fx_attr(fx, f).mode, S_IFREG | (modes[i] & 07777));
		assert_ok(fx_chmod(fx, d, modes[i]));
		assert_int_equal(fx_attr(fx, d).mode, S_IFDIR | (modes[i] & 07777));
	}
}

static void owners_are_any_of_32_bits(void **state)
{
	struct fx *fx = *state;
	static const uint32_t ids[] = { 0,     1,          65534,       65535,
					65536, 0x7fffffff, 0x80000000u, 0xfffffffeu };
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

	for (size_t i = 0; i < 8; i++) {
		assert_ok(fx_chown(fx, f, ids[i], ids[7 - i]));
		assert_int_equal(fx_attr(fx, f).uid, ids[i]);
		assert_int_equal(fx_attr(fx, f).gid, ids[7 - i]);
	}
}

static void blocks_count_what_is_there(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	char *bytes = calloc(1, 1 << 20);

	fx_write(fx, f, 0, bytes, 1);
	assert_in_range(fx_attr(fx, f).blocks, 1, 16);
	fx_write(fx, f, 0, bytes, 1 << 20);
	assert_in_range(fx_attr(fx, f).blocks, 2048, 2048 + 64);
	assert_ok(fx_truncate(fx, f, 4097));
	assert_in_range(fx_attr(fx, f).blocks, 9, 32);
	free(bytes);
}

static const struct CMUnitTest tests[] = {
	CASE(a_new_file_has_four_equal_times),
	CASE(each_operation_moves_its_times),
	CASE(reading_moves_an_access_time_that_is_old),
	CASE(times_are_kept_to_the_nanosecond),
	CASE(a_host_may_state_the_change_time),
	CASE(modes_change_in_their_twelve_bits_only),
	CASE(owners_are_any_of_32_bits),
	CASE(blocks_count_what_is_there),
};

SUITE(attrs_suite, tests);
