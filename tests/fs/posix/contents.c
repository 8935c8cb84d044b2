/* SPDX-License-Identifier: MIT */
/* Bytes: read, write, truncate, seek, holes, fallocate, space. */
#include "px.h"

#include <linux/falloc.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int make(struct px *p, const char *path)
{
	return (int)works(px_open(p, path, O_RDWR | O_CREAT | O_EXCL, 0644));
}

static void put(struct px *p, int fd, const char *text, off_t off)
{
	assert_int_equal(px_pwrite(p, fd, text, strlen(text), off), strlen(text));
}

static void get(struct px *p, int fd, const char *text, off_t off)
{
	char bytes[256];
	size_t len = strlen(text);

	assert_int_equal(px_pread(p, fd, bytes, len, off), len);
	assert_memory_equal(bytes, text, len);
}

static void zero(struct px *p, int fd, off_t off, size_t len)
{
	unsigned char *bytes = malloc(len);

	assert_non_null(bytes);
	assert_int_equal(px_pread(p, fd, bytes, len, off), len);
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			fail_msg("byte %lld is %02x", (long long)off + (long long)i, bytes[i]);
	free(bytes);
}

static off_t size(struct px *p, int fd)
{
	struct stat st;

	works(px_fstat(p, fd, &st));
	return st.st_size;
}

static void reading_ends_at_the_end(struct px *p)
{
	char bytes[16];
	int fd;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDONLY, 0));
	assert_int_equal(px_read(p, fd, bytes, 4), 4);
	assert_int_equal(px_read(p, fd, bytes, 16), 3);
	assert_int_equal(px_read(p, fd, bytes, 16), 0);
	assert_int_equal(px_pread(p, fd, bytes, 16, 7), 0);
	assert_int_equal(px_pread(p, fd, bytes, 16, 1ll << 40), 0);
	assert_int_equal(px_pread(p, fd, bytes, 0, 0), 0);
	refused(px_pread(p, fd, bytes, 1, -1), EINVAL);
	works(px_close(p, fd));
}

static void writing_past_the_end_leaves_zeroes_between(struct px *p)
{
	static const off_t at[] = { 10, 511, 4096, 4097, 70000, 1 << 20 };
	int fd = make(p, "f");

	put(p, fd, "start", 0);
	for (size_t i = 0; i < N(at); i++) {
		off_t before = size(p, fd);

		put(p, fd, "x", at[i]);
		assert_int_equal(size(p, fd), at[i] + 1);
		if (at[i] > before)
			zero(p, fd, before, (size_t)(at[i] - before));
	}
	get(p, fd, "start", 0);
	refused(px_pwrite(p, fd, "x", 1, -1), EINVAL);
	works(px_close(p, fd));
}

static void every_offset_in_and_around_a_block_works(struct px *p)
{
	static const off_t edges[] = { 0,    511,  512,   4095,  4096,  4097,
				       8191, 8192, 49151, 49152, 65535, 65536 };
	char model[80000] = { 0 }, bytes[80000];
	int fd = make(p, "f");
	off_t end = 0;

	for (size_t i = 0; i < N(edges); i++)
		for (size_t k = 0; k < N(edges); k++) {
			size_t len = (size_t)(edges[k] % 5000) + 1;
			off_t off = edges[i] > 2 ? edges[i] - (off_t)(k % 3) : edges[i];

			memset(model + off, 'a' + (int)((i + k) % 26), len);
			assert_int_equal(px_pwrite(p, fd, model + off, len, off), len);
			if (off + (off_t)len > end)
				end = off + (off_t)len;
		}
	assert_int_equal(size(p, fd), end);
	assert_int_equal(px_pread(p, fd, bytes, sizeof(bytes), 0), end);
	assert_memory_equal(bytes, model, (size_t)end);
	works(px_close(p, fd));
}

static void contents_persist(struct px *p)
{
	static const size_t lens[] = { 0,   1,    100,  300,  511,   512,
				       513, 4095, 4096, 4097, 65536, 200000 };
	char *bytes = malloc(200000), *got = malloc(200001), name[16];

	for (size_t i = 0; i < 200000; i++)
		bytes[i] = (char)(i * 31 + i / 4096);
	for (size_t i = 0; i < N(lens); i++) {
		int fd;

		snprintf(name, sizeof(name), "f%zu", i);
		fd = make(p, name);
		assert_int_equal(px_write(p, fd, bytes, lens[i]), lens[i]);
		works(px_close(p, fd));
	}
	px_readonly(p, true);
	for (size_t i = 0; i < N(lens); i++) {
		int fd;

		snprintf(name, sizeof(name), "f%zu", i);
		fd = (int)works(px_open(p, name, O_RDONLY, 0));
		assert_int_equal(px_read(p, fd, got, 200001), lens[i]);
		assert_memory_equal(got, bytes, lens[i]);
		works(px_close(p, fd));
	}
	px_readonly(p, false);
	free(bytes);
	free(got);
}

/* ---- sizes ---- */

static void truncating_cuts_and_grows_with_zeroes(struct px *p)
{
	static const off_t sizes[] = { 12345, 4096, 5000, 1, 100, 0, 70000, 69999, 3, 65536 };
	int fd = make(p, "f");
	off_t had = 0;

	for (size_t i = 0; i < N(sizes); i++) {
		off_t common = had < sizes[i] ? had : sizes[i];

		works(i % 2 ? px_ftruncate(p, fd, sizes[i]) : px_truncate(p, "f", sizes[i]));
		assert_int_equal(size(p, fd), sizes[i]);
		assert_int_equal(px_status(p, "f").st_size, sizes[i]);
		if (common)
			get(p, fd, "x", common - 1);
		if (sizes[i] > had)
			zero(p, fd, had, (size_t)(sizes[i] - had));
		for (off_t at = 0; at < sizes[i]; at += 1000)
			put(p, fd, "x", at);
		if (sizes[i])
			put(p, fd, "x", sizes[i] - 1);
		had = sizes[i];
		if (i + 1 < N(sizes) && sizes[i + 1] && sizes[i + 1] < had)
			put(p, fd, "x", sizes[i + 1] - 1);
	}
	works(px_close(p, fd));
}

static void what_was_cut_off_never_comes_back(struct px *p)
{
	char *secret = malloc(30000);
	int fd = make(p, "f");

	memset(secret, 's', 30000);
	for (off_t cut = 1; cut < 30000; cut = cut * 3 + 7) {
		assert_int_equal(px_pwrite(p, fd, secret, 30000, 0), 30000);
		works(px_ftruncate(p, fd, cut));
		works(px_ftruncate(p, fd, 30000));
		get(p, fd, "s", cut - 1);
		zero(p, fd, cut, (size_t)(30000 - cut));
		works(px_ftruncate(p, fd, cut));
		put(p, fd, "e", 29999);
		zero(p, fd, cut, (size_t)(29999 - cut));
	}
	works(px_close(p, fd));
	free(secret);
}

static void impossible_sizes_are_refused(struct px *p)
{
	int fd = make(p, "f");

	put(p, fd, "content", 0);
	refused(px_truncate(p, "f", -1), EINVAL);
	refused(px_ftruncate(p, fd, -1), EINVAL);
	refused(px_lseek(p, fd, -1, SEEK_SET), EINVAL);
	refused(px_lseek(p, fd, -100, SEEK_END), EINVAL);
	assert_int_equal(size(p, fd), 7);
	works(px_close(p, fd));
}

static void an_absurd_size_is_sparse_or_too_big(struct px *p)
{
	static const off_t sizes[] = { 999999999999999, 1ll << 62, INT64_MAX };

	px_file(p, "f", "content", 0644);
	for (size_t i = 0; i < N(sizes); i++) {
		int err = px_truncate(p, "f", sizes[i]);

		if (err)
			assert_int_equal(err, -EFBIG);
		else
			assert_int_equal(px_status(p, "f").st_size, sizes[i]);
		works(px_truncate(p, "f", 7));
	}
	px_holds(p, "f", "content");
}

static void a_write_beyond_the_biggest_file_is_refused(struct px *p)
{
	int fd = make(p, "f");
	off_t last = 1;

	/* The biggest size there is, to the byte. */
	for (off_t step = 1ll << 62; step > 0; step /= 2)
		if (last + step > 0 && px_ftruncate(p, fd, last + step) == 0)
			last += step;
	assert_true(last >= 1ll << 38);
	if (last < INT64_MAX - 1) {
		refused(px_ftruncate(p, fd, last + 1), EFBIG);
		/* A kernel that caches writes hears of it later, but tells. */
		if (px_pwrite(p, fd, "x", 1, last) != -EFBIG)
			refused(px_fsync(p, fd), EFBIG);
	}
	works(px_ftruncate(p, fd, 0));
	works(px_close(p, fd));
}

static void seeking_beyond_the_end_is_allowed(struct px *p)
{
	int fd = make(p, "f");
	char byte;

	assert_int_equal(px_lseek(p, fd, 100, SEEK_SET), 100);
	assert_int_equal(px_read(p, fd, &byte, 1), 0);
	assert_int_equal(size(p, fd), 0);
	assert_int_equal(px_write(p, fd, "x", 1), 1);
	assert_int_equal(px_lseek(p, fd, 0, SEEK_CUR), 101);
	assert_int_equal(px_lseek(p, fd, -1, SEEK_END), 100);
	assert_int_equal(px_lseek(p, fd, -50, SEEK_CUR), 50);
	zero(p, fd, 0, 100);
	works(px_close(p, fd));
}

/* ---- holes ---- */

static void a_hole_takes_no_space(struct px *p)
{
	struct stat st;
	int fd = make(p, "f");

	put(p, fd, "x", 1ll << 32);
	zero(p, fd, 1 << 20, 10000);
	works(px_close(p, fd));
	st = px_status(p, "f");
	assert_int_equal(st.st_size, (1ll << 32) + 1);
	assert_true(st.st_blocks > 0 && st.st_blocks < 256);
}

static void data_and_holes_are_found(struct px *p)
{
	int fd = make(p, "f"), again;
	off_t found;

	works(px_ftruncate(p, fd, 1 << 20));
	put(p, fd, "data", 512 << 10);
	works(px_fsync(p, fd));
	works(px_close(p, fd));
	again = (int)works(px_open(p, "f", O_RDONLY, 0));
	assert_int_equal(px_lseek(p, again, 512 << 10, SEEK_DATA), 512 << 10);
	found = works(px_lseek(p, again, 0, SEEK_DATA));
	assert_true(found <= 512 << 10);
	found = works(px_lseek(p, again, 0, SEEK_HOLE));
	assert_true(found == 0 || found == 1 << 20);
	found = works(px_lseek(p, again, 512 << 10, SEEK_HOLE));
	assert_true(found > 512 << 10 && found <= 1 << 20);
	refused(px_lseek(p, again, 1 << 20, SEEK_DATA), ENXIO);
	refused(px_lseek(p, again, 1 << 20, SEEK_HOLE), ENXIO);
	refused(px_lseek(p, again, -1, SEEK_DATA), ENXIO);
	works(px_close(p, again));
}

static void punching_makes_zeroes_and_keeps_the_size(struct px *p)
{
	static const struct {
		off_t off, len;
	} rows[] = { { 4096, 8192 }, { 100, 50 },     { 5000, 20000 },
		     { 0, 4096 },    { 39000, 5000 }, { 0, 1 << 20 } };
	char *bytes = malloc(40000), *model = malloc(40000), *got = malloc(40000);
	int fd = make(p, "f");

	memset(bytes, 'x', 40000);
	for (size_t i = 0; i < N(rows); i++) {
		off_t end = rows[i].off + rows[i].len < 40000 ? rows[i].off + rows[i].len : 40000;

		assert_int_equal(px_pwrite(p, fd, bytes, 40000, 0), 40000);
		works(px_fallocate(p, fd, PUNCH, rows[i].off, rows[i].len));
		memcpy(model, bytes, 40000);
		memset(model + rows[i].off, 0, (size_t)(end - rows[i].off));
		assert_int_equal(size(p, fd), 40000);
		assert_int_equal(px_pread(p, fd, got, 40000, 0), 40000);
		assert_memory_equal(got, model, 40000);
	}
	works(px_close(p, fd));
	free(bytes);
	free(model);
	free(got);
}

static void punching_gives_space_back(struct px *p)
{
	char *bytes = calloc(1, 1 << 20);
	int fd = make(p, "f");

	assert_int_equal(px_write(p, fd, bytes, 1 << 20), 1 << 20);
	works(px_close(p, fd));
	assert_true(px_status(p, "f").st_blocks >= 2048);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	works(px_fallocate(p, fd, PUNCH, 0, 1 << 20));
	works(px_close(p, fd));
	assert_true(px_status(p, "f").st_blocks < 128);
	free(bytes);
}

static void zeroing_makes_zeroes_and_may_grow(struct px *p)
{
	char *bytes = malloc(40000);
	int fd = make(p, "f");

	memset(bytes, 'x', 40000);
	assert_int_equal(px_write(p, fd, bytes, 40000), 40000);
	works(px_fallocate(p, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100, 10000));
	assert_int_equal(size(p, fd), 40000);
	get(p, fd, "x", 99);
	zero(p, fd, 100, 10000);
	get(p, fd, "x", 10100);
	works(px_fallocate(p, fd, FALLOC_FL_ZERO_RANGE, 39000, 5000));
	assert_int_equal(size(p, fd), 44000);
	zero(p, fd, 39000, 5000);
	get(p, fd, "x", 38999);
	works(px_close(p, fd));
	free(bytes);
}

static void allocating_grows_with_zeroes_and_keeps_bytes(struct px *p)
{
	struct stat st;
	int fd = make(p, "f");

	put(p, fd, "content", 0);
	works(px_fallocate(p, fd, 0, 0, 4));
	assert_int_equal(size(p, fd), 7);
	works(px_fallocate(p, fd, 0, 3, 100000));
	assert_int_equal(size(p, fd), 100003);
	get(p, fd, "content", 0);
	zero(p, fd, 7, 99996);
	works(px_fstat(p, fd, &st));
	assert_true(st.st_blocks >= 100003 / 512);
	works(px_close(p, fd));
}

static void allocating_past_the_end_keeps_the_size_or_is_refused(struct px *p)
{
	struct stat st;
	int fd = make(p, "f");

	put(p, fd, "content", 0);
	if (!px_can(p, PX_KEEP_SIZE)) {
		refused(px_fallocate(p, fd, FALLOC_FL_KEEP_SIZE, 0, 100000), EOPNOTSUPP);
		works(px_close(p, fd));
		return;
	}
	works(px_fallocate(p, fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_size, 7);
	assert_true(st.st_blocks >= 100000 / 512);
	put(p, fd, "x", 50000);
	zero(p, fd, 7, 49993);
	works(px_ftruncate(p, fd, 60000));
	zero(p, fd, 50001, 9999);
	works(px_close(p, fd));
}

static void impossible_allocations_are_refused(struct px *p)
{
	int fd = make(p, "f"), dir;

	put(p, fd, "content", 0);
	refused(px_fallocate(p, fd, 0, 0, 0), EINVAL);
	refused(px_fallocate(p, fd, 0, -1, 10), EINVAL);
	refused(px_fallocate(p, fd, 0, 10, -1), EINVAL);
	refused(px_fallocate(p, fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	refused(px_fallocate(p, fd, 0, INT64_MAX - 10, 100), EFBIG);
	refused(px_fallocate(p, fd, 0, 1ll << 62, 1), EFBIG);
	works(px_close(p, fd));
	works(px_mkdir(p, "d", 0755));
	dir = (int)works(px_open(p, "d", O_RDONLY | O_DIRECTORY, 0));
	refused(px_fallocate(p, dir, 0, 0, 10), EBADF);
	works(px_close(p, dir));
	px_holds(p, "f", "content");
}

/* More than there is: refused, and nothing of it stays taken. */
static void allocating_more_than_there_is_is_refused(struct px *p)
{
	struct statvfs before, after;
	struct stat st;
	int fd = make(p, "f");

	put(p, fd, "content", 0);
	works(px_fsync(p, fd));
	works(px_statvfs(p, ".", &before));
	refused(px_fallocate(p, fd, 0, 0, (off_t)((before.f_blocks + 1) * before.f_frsize)),
		ENOSPC);
	works(px_fstat(p, fd, &st));
	assert_int_equal(st.st_size, 7);
	for (int tries = 0; tries < 400; tries++) {
		works(px_fsync(p, fd));
		works(px_statvfs(p, ".", &after));
		if (after.f_bfree + 32 >= before.f_bfree)
			break;
		px_tick(p);
	}
	assert_true(after.f_bfree + 32 >= before.f_bfree);
	works(px_close(p, fd));
	px_holds(p, "f", "content");
}

static void space_is_told(struct px *p)
{
	struct statvfs st;

	works(px_statvfs(p, ".", &st));
	/* What others have just given up comes back in its own time. */
	for (int tries = 0; tries < 400 && st.f_ffree == 0; tries++) {
		px_tick(p);
		works(px_statvfs(p, ".", &st));
	}
	assert_true(st.f_blocks > 0 && st.f_bsize >= 512 && st.f_frsize >= 512);
	assert_true(st.f_bfree <= st.f_blocks);
	assert_true(st.f_bavail <= st.f_bfree);
	assert_true(st.f_ffree <= st.f_files);
	assert_true(st.f_ffree > 0);
	assert_int_equal(st.f_namemax, 255);
}

static void syncing_works_on_all_that_opens(struct px *p)
{
	static const char *const names[] = { "f", "d" };

	px_file(p, "f", "content", 0444);
	works(px_mkdir(p, "d", 0555));
	for (int i = 0; i < 2; i++) {
		int fd = (int)works(px_open(p, names[i], O_RDONLY, 0));

		works(px_fsync(p, fd));
		works(px_fdatasync(p, fd));
		works(px_close(p, fd));
		refused(px_fsync(p, fd), EBADF);
	}
}

static void many_small_files_keep_their_own_bytes(struct px *p)
{
	char name[32], content[600];

	works(px_mkdir(p, "d", 0755));
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		memset(content, 'a' + i % 26, sizeof(content));
		snprintf(content + i % 500, 40, "this is file %d", i);
		px_file(p, name, content, 0644);
	}
	for (int i = 0; i < 400; i += 3) {
		snprintf(name, sizeof(name), "d/f%d", i);
		works(px_unlink(p, name));
	}
	px_readonly(p, true);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "d/f%d", i);
		memset(content, 'a' + i % 26, sizeof(content));
		snprintf(content + i % 500, 40, "this is file %d", i);
		if (i % 3)
			px_holds(p, name, content);
		else
			px_gone(p, name);
	}
	px_readonly(p, false);
}

static const struct px_case cases[] = {
	PX(reading_ends_at_the_end),
	PX(writing_past_the_end_leaves_zeroes_between),
	PX(every_offset_in_and_around_a_block_works),
	PX(contents_persist),
	PX(truncating_cuts_and_grows_with_zeroes),
	PX(what_was_cut_off_never_comes_back),
	PX(impossible_sizes_are_refused),
	PX(an_absurd_size_is_sparse_or_too_big),
	PX(a_write_beyond_the_biggest_file_is_refused),
	PX(seeking_beyond_the_end_is_allowed),
	PX(a_hole_takes_no_space),
	PX(data_and_holes_are_found),
	PX(punching_makes_zeroes_and_keeps_the_size),
	PX(punching_gives_space_back),
	PX(zeroing_makes_zeroes_and_may_grow),
	PX(allocating_grows_with_zeroes_and_keeps_bytes),
	PX(allocating_past_the_end_keeps_the_size_or_is_refused),
	PX(impossible_allocations_are_refused),
	PX(allocating_more_than_there_is_is_refused),
	PX(space_is_told),
	PX(syncing_works_on_all_that_opens),
	PX(many_small_files_keep_their_own_bytes),
};

PX_SUITE(contents, cases);
