/* SPDX-License-Identifier: MIT */
/* Where bytes lie, and copies from file to file: both beside what is in memory. */
#include "suite.h"

#define BYTES (400u << 10)
#define BLOCK 4096u

/* A file of pieces and holes; its bytes in memory, too. */
static libfs_ino_t given_pieces(struct fx *fx, const char *name, uint8_t *bytes, uint64_t *seed)
{
	libfs_ino_t ino = fx_create(fx, FX_ROOT, name);

	memset(bytes, 0, BYTES);
	for (unsigned i = 0; i < 12; i++) {
		size_t off = chance(seed) % (BYTES - 9000), len = 1 + chance(seed) % 9000;

		for (size_t k = 0; k < len; k++)
			bytes[off + k] = (uint8_t)(1 + chance(seed) % 255);
		fx_write(fx, ino, off, bytes + off, len);
	}
	assert_ok(fx_truncate(fx, ino, BYTES));
	return ino;
}

/* Ascending, apart from each other, and everything that is not zero lies in one. */
static void assert_covered(const struct libfs_extent *v, ssize_t n, const uint8_t *bytes)
{
	uint64_t end = 0;
	ssize_t i = 0;

	for (ssize_t k = 0; k < n; k++) {
		assert_true(v[k].offset >= end && v[k].len > 0);
		end = v[k].offset + v[k].len;
	}
	for (uint64_t at = 0; at < BYTES; at++) {
		while (i < n && v[i].offset + v[i].len <= at)
			i++;
		if (bytes[at] && (i == n || at < v[i].offset))
			fail_msg("byte %llu lies nowhere", (unsigned long long)at);
	}
}

static void extents_tell_where_bytes_lie(void **state)
{
	struct fx *fx = *state;
	static uint8_t bytes[BYTES];
	struct libfs_extent v[200], part[3];
	uint64_t seed = 3;

	for (unsigned round = 0; round < 4; round++) {
		char name[8] = { (char)('a' + round) };
		libfs_ino_t ino = given_pieces(fx, name, bytes, &seed);
		ssize_t n, m;

		assert_ok(libfs_sync(fx->fs));
		n = libfs_extents(fx->fs, ino, 0, BYTES, v, 200);
		if (n == -ENOSYS || n == -EOPNOTSUPP)
			skip();
		assert_true(n > 3 && n < 200);
		assert_covered(v, n, bytes);
		for (ssize_t i = 0; i < n; i++)
			assert_true(v[i].place != LIBFS_NOWHERE && v[i].place % BLOCK == 0);
		m = libfs_extents(fx->fs, ino, 0, BYTES, part, 3);
		assert_int_equal(m, 3);
		for (unsigned i = 0; i < 3; i++)
			assert_true(part[i].offset == v[i].offset && part[i].place == v[i].place);
		assert_int_equal(libfs_extents(fx->fs, ino, BYTES, BYTES, v, 200), 0);
		assert_refused((int)libfs_extents(fx->fs, ino, UINT64_MAX, 1, v, 200), -EINVAL);
	}
	assert_int_equal(libfs_extents(fx->fs, fx_create(fx, FX_ROOT, "e"), 0, BYTES, v, 200), 0);
}

static void a_copy_is_what_the_source_was(void **state)
{
	struct fx *fx = *state;
	static uint8_t from_bytes[BYTES], to_bytes[BYTES];
	uint64_t seed = 4;
	libfs_ino_t from = given_pieces(fx, "from", from_bytes, &seed);
	libfs_ino_t to = given_pieces(fx, "to", to_bytes, &seed);

	for (unsigned i = 0; i < 60; i++) {
		size_t off = chance(&seed) % BYTES, at = chance(&seed) % BYTES, len, most;

		if (i % 3 == 0) { /* whole blocks */
			off -= off % BLOCK;
			at -= at % BLOCK;
		}
		most = BYTES - (off > at ? off : at);
		len = 1 + chance(&seed) % most;
		assert_int_equal(libfs_copy_range(fx->fs, fx_ctx(fx), from, off, to, at, len), len);
		memcpy(to_bytes + at, from_bytes + off, len);
		if (i % 10 == 0)
			assert_content(fx, to, to_bytes, BYTES);
	}
	assert_content(fx, to, to_bytes, BYTES);
	assert_content(fx, from, from_bytes, BYTES);
	/* Behind the end there is nothing, and a file does not run into itself. */
	assert_int_equal(libfs_copy_range(fx->fs, fx_ctx(fx), from, BYTES, to, 0, 100), 0);
	assert_int_equal(libfs_copy_range(fx->fs, fx_ctx(fx), from, BYTES - 10, to, 0, 100), 10);
	assert_int_equal(libfs_copy_range(fx->fs, fx_ctx(fx), from, 0, from, BYTES / 2, 5000),
			 5000);
	assert_refused((int)libfs_copy_range(fx->fs, fx_ctx(fx), from, 0, from, 100, 5000),
		       -EINVAL);
	assert_refused((int)libfs_copy_range(fx->fs, fx_ctx(fx), from, 0, FX_ROOT, 0, 100),
		       -EISDIR);
}

static const struct CMUnitTest cases[] = {
	CASE(extents_tell_where_bytes_lie),
	CASE(a_copy_is_what_the_source_was),
};

SUITE(copies_suite, cases);
