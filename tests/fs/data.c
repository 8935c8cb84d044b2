/* SPDX-License-Identifier: MIT */
/* Bytes: write, read, truncate, holes, seek, fallocate, far offsets. */
#include "suite.h"

#define K 1024ull
#define M (1024 * K)
#define G (1024 * M)

static uint8_t *pattern(size_t len, uint64_t seed)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(chance(&seed) >> 13 | 1);
	return bytes;
}

static void assert_range(struct fx *fx, libfs_ino_t ino, uint64_t off, const uint8_t *want,
			 size_t len)
{
	uint8_t *got = malloc(len);

	assert_non_null(got);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), ino, 0, off, got, len), len);
	assert_memory_equal(got, want, len);
	free(got);
}

static void what_is_written_is_read(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "hello");
	char buffer[16];

	assert_content(fx, f, "hello", 5);
	fx_write(fx, f, 1, "ipp", 3);
	assert_content(fx, f, "hippo", 5);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 3, buffer, 16), 2);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 5, buffer, 16), 0);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 1 * G, buffer, 16), 0);
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 0, buffer, 0), 0);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), f, 0, 100, "x", 0), 0);
	assert_int_equal(fx_size(fx, f), 5);
}

/* Every combination of edges of a block, overwriting and not. */
static void writes_at_every_edge(void **state)
{
	struct fx *fx = *state;
	static const uint64_t edges[] = { 0, 1, 511, 512, 4095, 4096, 4097, 8191, 8192, 12289 };
	const size_t n = sizeof(edges) / sizeof(edges[0]), size = 16384;
	uint8_t *model = calloc(1, size), *bytes = pattern(size, 3);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint64_t end = 0;

	for (size_t a = 0; a < n; a++)
		for (size_t b = 0; b < n; b++) {
			if (edges[a] >= edges[b])
				continue;
			fx_write(fx, f, edges[a], bytes + a * 7 + b, edges[b] - edges[a]);
			memcpy(model + edges[a], bytes + a * 7 + b, edges[b] - edges[a]);
			if (edges[b] > end)
				end = edges[b];
			assert_content(fx, f, model, end);
			if (b == n - 1 && a % 2) {
				assert_ok(fx_truncate(fx, f, edges[a]));
				memset(model + edges[a], 0, size - edges[a]);
				end = edges[a];
			}
		}
	fx_remount(fx);
	assert_content(fx, f, model, end);
	free(model);
	free(bytes);
}

static void a_large_file_comes_back_whole(void **state)
{
	struct fx *fx = *state;
	size_t len = 20 * M + 123;
	uint8_t *bytes = pattern(len, 1);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

	for (size_t at = 0; at < len; at += 100000)
		fx_write(fx, f, at, bytes + at, len - at < 100000 ? len - at : 100000);
	assert_content(fx, f, bytes, len);
	assert_true(fx_attr(fx, f).blocks * 512 >= len);
	fx_remount(fx);
	assert_content(fx, f, bytes, len);
	free(bytes);
}

static void written_backwards_and_in_disorder(void **state)
{
	struct fx *fx = *state;
	size_t piece = 5000, n = 600;
	uint8_t *bytes = pattern(piece * n, 9);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f"), g = fx_create(fx, FX_ROOT, "g");

	for (size_t i = 0; i < n; i++) {
		size_t back = n - 1 - i, mixed = i * 389 % n;

		fx_write(fx, f, back * piece, bytes + back * piece, piece);
		fx_write(fx, g, mixed * piece, bytes + mixed * piece, piece);
	}
	fx_remount(fx);
	assert_content(fx, f, bytes, piece * n);
	assert_content(fx, g, bytes, piece * n);
	free(bytes);
}

/* ---- holes ---- */

static void holes_are_zeroes_and_cost_nothing(void **state)
{
	struct fx *fx = *state;
	static const uint64_t offsets[] = { 5000,         48 * K,     60 * K, 1 * M,     2 * M,
					    3 * M,        100 * M,    1 * G,  2 * G - 1, 4 * G - 2,
					    4 * G + 4093, 50 * G + 5, 500 * G };
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	const size_t n = sizeof(offsets) / sizeof(offsets[0]);

	for (size_t i = 0; i < n; i++) {
		fx_write(fx, f, offsets[i], "abc", 3);
		assert_int_equal(fx_size(fx, f), offsets[i] + 3);
	}
	fx_remount(fx);
	assert_true(fx_attr(fx, f).blocks * 512 < 1 * M);
	assert_zeroes(fx, f, 0, 5000);
	for (size_t i = 0; i < n; i++) {
		assert_range(fx, f, offsets[i], (const uint8_t *)"abc", 3);
		assert_zeroes(fx, f, offsets[i] - 600, 600);
		if (i + 1 < n)
			assert_zeroes(fx, f, offsets[i] + 3, 600);
	}
}

static void a_file_ends_where_it_must(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	ssize_t n;

	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), f, 0, INT64_MAX, "x", 1), -EFBIG);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), f, 0, (uint64_t)INT64_MAX + 1, "x", 1),
			 -EINVAL);
	n = libfs_write(fx->fs, fx_ctx(fx), f, 0, 1ull << 62, "x", 1);
	assert_true(n == -EFBIG || n == 1);
	assert_int_equal(fx_size(fx, f), n == 1 ? (1ull << 62) + 1 : 0);
	n = fx_truncate(fx, f, 999999999999999);
	assert_true(n == 0 || n == -EFBIG);
	assert_ok(fx_truncate(fx, f, 5 * G));
	assert_int_equal(fx_size(fx, f), 5 * G);
	assert_zeroes(fx, f, 5 * G - 10, 10);
}

static void truncate_up_and_down_shows_no_stale_byte(void **state)
{
	struct fx *fx = *state;
	static const uint64_t sizes[] = {
		0,     1,     100,    4095,    4096,    4097,    12288,
		49152, 49153, 200000, 2150399, 2150400, 2150401, 3000000
	};
	const size_t n = sizeof(sizes) / sizeof(sizes[0]), whole = 3000000;
	uint8_t *bytes = pattern(whole, 5), *model = calloc(1, whole);

	for (size_t i = 0; i < n; i++) {
		libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

		fx_write(fx, f, 0, bytes, whole);
		assert_ok(fx_truncate(fx, f, sizes[i]));
		assert_content(fx, f, bytes, sizes[i]);
		assert_ok(fx_truncate(fx, f, whole));
		memset(model, 0, whole);
		memcpy(model, bytes, sizes[i]);
		assert_content(fx, f, model, whole);
		assert_true(fx_attr(fx, f).blocks * 512 < sizes[i] + 32 * K);
		fx_forget(fx, f);
		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	}
	free(bytes);
	free(model);
}

/* The end moves up by a write that leaves a gap: the gap is zeroes, too. */
static void a_gap_behind_an_old_end_is_zeroes(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint8_t *bytes = pattern(10000, 8);

	fx_write(fx, f, 0, bytes, 10000);
	assert_ok(fx_truncate(fx, f, 5001));
	fx_write(fx, f, 6001, "tail", 4);
	assert_range(fx, f, 0, bytes, 5001);
	assert_zeroes(fx, f, 5001, 1000);
	fx_write(fx, f, 9001, "end", 3);
	assert_zeroes(fx, f, 6005, 2996);
	free(bytes);
}

static void truncate_frees_what_it_cuts_off(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint8_t *bytes = pattern(10 * M, 2);
	uint64_t start, half, last = 0;

	start = fx_free_blocks(fx);
	fx_write(fx, f, 0, bytes, 10 * M);
	assert_true(fx_free_blocks(fx) <= start - 2560);
	assert_ok(fx_truncate(fx, f, 5 * M));
	half = fx_free_blocks(fx);
	assert_true(half >= start - 1280 - 8 && half <= start - 1280);
	for (uint64_t size = 4 * M; size; size = size * 2 / 3) {
		assert_ok(fx_truncate(fx, f, size));
		last = fx_free_blocks(fx);
		assert_true(last >= half);
		half = last;
	}
	assert_ok(fx_truncate(fx, f, 0));
	assert_int_equal(fx_free_blocks(fx), start);
	assert_int_equal(fx_attr(fx, f).blocks, 0);
	free(bytes);
}

/* ---- seek ---- */

static void seek_finds_data_and_holes(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	const struct {
		uint64_t from;
		int whence;
		off_t want;
	} rows[] = {
		{ 0, SEEK_DATA, 0 },
		{ 0, SEEK_HOLE, 4096 },
		{ 4095, SEEK_DATA, 4095 },
		{ 4095, SEEK_HOLE, 4096 },
		{ 4096, SEEK_DATA, 1 * M },
		{ 4096, SEEK_HOLE, 4096 },
		{ 1 * M, SEEK_HOLE, 1 * M + 8192 },
		{ 2 * M, SEEK_DATA, 4 * G },
		{ 3 * G, SEEK_HOLE, 3 * G },
		{ 4 * G + 1, SEEK_DATA, 4 * G + 1 },
		{ 4 * G, SEEK_HOLE, 4 * G + 4096 },
		{ 4 * G + 4096, SEEK_DATA, -ENXIO },
		{ 4 * G + 8000, SEEK_HOLE, 4 * G + 8000 },
		{ 4 * G + 10000, SEEK_HOLE, -ENXIO },
		{ 5 * G, SEEK_DATA, -ENXIO },
		{ 0, SEEK_CUR, -EINVAL },
	};

	fx_write(fx, f, 0, "x", 1);
	fx_write(fx, f, 1 * M + 4000, "data", 4);
	fx_write(fx, f, 1 * M + 4096, "x", 1);
	fx_write(fx, f, 4 * G, "x", 1);
	assert_ok(fx_truncate(fx, f, 4 * G + 10000));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		off_t got = libfs_seek(fx->fs, fx_ctx(fx), f, rows[i].from, rows[i].whence);

		if (got != rows[i].want)
			fail_msg("row %zu: %lld, not %lld", i, (long long)got,
				 (long long)rows[i].want);
	}
	assert_true(libfs_seek(fx->fs, fx_ctx(fx), FX_ROOT, 0, SEEK_DATA) < 0);
}

static void an_empty_file_has_neither_data_nor_hole(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");

	assert_int_equal(libfs_seek(fx->fs, fx_ctx(fx), f, 0, SEEK_DATA), -ENXIO);
	assert_int_equal(libfs_seek(fx->fs, fx_ctx(fx), f, 0, SEEK_HOLE), -ENXIO);
}

/* ---- fallocate ---- */

static int falloc(struct fx *fx, libfs_ino_t f, uint32_t mode, uint64_t off, uint64_t len)
{
	return libfs_fallocate(fx->fs, fx_ctx(fx), f, mode, off, len);
}

static void fallocate_makes_zeroes_that_are_there(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "start");
	int got = falloc(fx, f, 0, 0, 1 * M);

	if (got == -EOPNOTSUPP)
		skip();
	assert_ok(got);
	assert_int_equal(fx_size(fx, f), 1 * M);
	assert_true(fx_attr(fx, f).blocks >= 2048);
	assert_range(fx, f, 0, (const uint8_t *)"start", 5);
	assert_zeroes(fx, f, 5, 1 * M - 5);
	fx_remount(fx);
	assert_zeroes(fx, f, 5, 1 * M - 5);
}

static void punching_leaves_zeroes_and_frees_blocks(void **state)
{
	struct fx *fx = *state;
	static const struct {
		uint64_t off, len;
	} rows[] = { { 0, 1 },
		     { 4095, 2 },
		     { 4096, 4096 },
		     { 10000, 50000 },
		     { 40000, 20000 },
		     { 0, 100000 },
		     { 2000000, 500000 },
		     { 4999990, 10 },
		     { 4999990, 90 * 1024 },
		     { 0, 5000000 } };
	size_t size = 5000000;
	uint8_t *bytes = pattern(size, 4);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	uint64_t start = fx_free_blocks(fx);

	if (falloc(fx, f, LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE, 0, 1) == -EOPNOTSUPP)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t end = rows[i].off + rows[i].len;

		memcpy(bytes, "new", 3);
		fx_write(fx, f, 0, bytes, size);
		assert_ok(falloc(fx, f, LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE,
				 rows[i].off, rows[i].len));
		memset(bytes + rows[i].off, 0, (end < size ? end : size) - rows[i].off);
		assert_content(fx, f, bytes, size);
	}
	assert_true(fx_free_blocks(fx) >= start - 16);
	assert_refused(falloc(fx, f, LIBFS_FALLOC_PUNCH_HOLE, 0, 4096), -EOPNOTSUPP);
	free(bytes);
}

static void zeroing_a_range_keeps_its_neighbours(void **state)
{
	struct fx *fx = *state;
	size_t size = 100000;
	uint8_t *bytes = pattern(size, 6);
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	int got;

	fx_write(fx, f, 0, bytes, size);
	got = falloc(fx, f, LIBFS_FALLOC_ZERO_RANGE | LIBFS_FALLOC_KEEP_SIZE, 5000, 60000);
	if (got == -EOPNOTSUPP)
		skip();
	assert_ok(got);
	memset(bytes + 5000, 0, 60000);
	assert_content(fx, f, bytes, size);
	assert_ok(falloc(fx, f, LIBFS_FALLOC_ZERO_RANGE, 90000, 30000));
	assert_int_equal(fx_size(fx, f), 120000);
	assert_range(fx, f, 0, bytes, 90000);
	assert_zeroes(fx, f, 90000, 30000);
	free(bytes);
}

static void fallocate_refuses_what_makes_no_sense(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f"), d = fx_mkdir(fx, FX_ROOT, "d");
	const uint32_t punch = LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE;

	assert_refused(falloc(fx, f, punch, 0, 0), -EINVAL);
	assert_refused(falloc(fx, f, punch, INT64_MAX, 2), -EFBIG);
	assert_refused(falloc(fx, f, 0x4000, 0, 4096), -EOPNOTSUPP);
	assert_refused(falloc(fx, d, punch, 0, 4096), -EISDIR);
}

/* ---- kinds ---- */

static void bytes_are_for_regular_files(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	struct libfs_attr a;
	char byte = 0;

	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), d, 0, 0, &byte, 1), -EISDIR);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), d, 0, 0, &byte, 1), -EISDIR);
	assert_refused(fx_truncate(fx, d, 0), -EISDIR);
	assert_ok(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, "p", S_IFIFO | 0600, 0, &a));
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), a.ino, 0, 0, &byte, 1), -EINVAL);
	assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), a.ino, 0, 0, &byte, 1), -EINVAL);
	assert_refused(fx_truncate(fx, a.ino, 0), -EINVAL);
}

static void open_with_trunc_empties_the_file(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "content");
	uint64_t handle;

	assert_ok(libfs_open(fx->fs, fx_ctx(fx), f, O_WRONLY | O_TRUNC, &handle));
	assert_int_equal(fx_size(fx, f), 0);
	libfs_release(fx->fs, f, handle);
}

static const struct CMUnitTest tests[] = {
	CASE(what_is_written_is_read),
	CASE(writes_at_every_edge),
	CASE(a_large_file_comes_back_whole),
	CASE(written_backwards_and_in_disorder),
	CASE(holes_are_zeroes_and_cost_nothing),
	CASE(a_file_ends_where_it_must),
	CASE(truncate_up_and_down_shows_no_stale_byte),
	CASE(a_gap_behind_an_old_end_is_zeroes),
	CASE(truncate_frees_what_it_cuts_off),
	CASE(seek_finds_data_and_holes),
	CASE(an_empty_file_has_neither_data_nor_hole),
	CASE(fallocate_makes_zeroes_that_are_there),
	CASE(punching_leaves_zeroes_and_frees_blocks),
	CASE(zeroing_a_range_keeps_its_neighbours),
	CASE(fallocate_refuses_what_makes_no_sense),
	CASE(bytes_are_for_regular_files),
	CASE(open_with_trunc_empties_the_file),
};

SUITE(data_suite, tests);
