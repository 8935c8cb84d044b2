/* SPDX-License-Identifier: MIT */
/*
 * Bytes at random through system calls: reads, writes, maps, direct I/O, truncates,
 * holes and copies in a few files of a mounted directory, compared with a model.
 *
 *	fuse_fsx DIR MODEL OPERATIONS SEED
 *
 * MODEL is a file elsewhere that carries what the files shall hold from one run to
 * the next: in between the mount may be made anew.  It need not exist.  What the
 * file system answers with EOPNOTSUPP is counted and named at the end.  A failure
 * prints the last operations and the seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 3u
#define MAX   (384u << 10)
#define LOG   20u
#define PAGE  4096u

enum kind {
	READ,
	WRITE,
	APPEND,
	MAP_READ,
	MAP_WRITE,
	DIRECT_READ,
	DIRECT_WRITE,
	TRUNCATE,
	ALLOC,
	KEEP,
	PUNCH,
	ZERO,
	ZERO_KEEP,
	COPY,
	SEEK,
	SYNC,
	DROP,
	REOPEN,
	REMAKE,
	KINDS
};

static const struct {
	const char *name;
	unsigned weight;
} kinds[KINDS] = {
	[READ] = { "read", 20 },
	[WRITE] = { "write", 20 },
	[APPEND] = { "append", 6 },
	[MAP_READ] = { "map-read", 8 },
	[MAP_WRITE] = { "map-write", 10 },
	[DIRECT_READ] = { "direct-read", 4 },
	[DIRECT_WRITE] = { "direct-write", 4 },
	[TRUNCATE] = { "truncate", 6 },
	[ALLOC] = { "allocate", 2 },
	[KEEP] = { "keep-size", 2 },
	[PUNCH] = { "punch", 5 },
	[ZERO] = { "zero", 2 },
	[ZERO_KEEP] = { "zero-keep", 2 },
	[COPY] = { "copy", 4 },
	[SEEK] = { "seek", 3 },
	[SYNC] = { "fsync", 1 },
	[DROP] = { "drop", 2 },
	[REOPEN] = { "reopen", 2 },
	[REMAKE] = { "remake", 1 },
};

struct file {
	char path[4096];
	int fd, append, direct;
	uint64_t size;
	uint8_t *bytes; /* zero past the size */
};

struct op {
	enum kind kind;
	unsigned file;
	uint64_t off, len;
};

struct run {
	uint64_t seed, start_seed, number;
	struct file file[FILES];
	struct op log[LOG];
	uint64_t unsupported[KINDS];
	uint8_t *buffer; /* aligned */
};

/* ---- complaining ---- */

static void complain(const struct run *run, const char *what, int64_t got, int64_t want)
{
	uint64_t from = run->number > LOG ? run->number - LOG : 0;

	for (uint64_t i = from; i <= run->number; i++) {
		const struct op *op = &run->log[i % LOG];

		fprintf(stderr, "%8llu: %-12s %u  %#llx, %#llx\n", (unsigned long long)i,
			kinds[op->kind].name, op->file, (unsigned long long)op->off,
			(unsigned long long)op->len);
	}
	fprintf(stderr, "seed %llu, operation %llu: %s: %lld, expected %lld (errno %s)\n",
		(unsigned long long)run->start_seed, (unsigned long long)run->number, what,
		(long long)got, (long long)want, strerror(errno));
	exit(1);
}

static void expect(const struct run *run, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		complain(run, what, got, want);
}

static void same_bytes(const struct run *run, const uint8_t *got, const uint8_t *want, uint64_t off,
		       size_t len)
{
	size_t i = 0;

	if (memcmp(got, want, len) == 0)
		return;
	while (got[i] == want[i])
		i++;
	fprintf(stderr, "the byte at %#llx differs\n", (unsigned long long)(off + i));
	complain(run, "a byte", got[i], want[i]);
}

/* ---- chance ---- */

static uint64_t chance(struct run *run)
{
	uint64_t z = run->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static enum kind choose_kind(struct run *run)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < KINDS; i++)
		sum += kinds[i].weight;
	at = (unsigned)(chance(run) % sum);
	for (unsigned i = 0;; i++) {
		if (at < kinds[i].weight)
			return i;
		at -= kinds[i].weight;
	}
}

/* Mostly short and near the start, often at the edges of pages. */
static struct op choose(struct run *run)
{
	struct op op = { .kind = choose_kind(run), .file = (unsigned)(chance(run) % FILES) };
	uint64_t dice = chance(run);

	op.off = chance(run) % (dice % 4 ? MAX / 8 : MAX);
	op.len = 1 + chance(run) % (1u << (dice >> 8) % 17);
	if ((dice >> 16) % 4 == 0)
		op.off = op.off / PAGE * PAGE;
	if ((dice >> 18) % 8 == 0 && op.off >= PAGE)
		op.off = op.off / PAGE * PAGE - 1;
	if ((dice >> 24) % 4 == 0)
		op.len = (op.len + PAGE - 1) / PAGE * PAGE;
	if (op.len > MAX - op.off)
		op.len = MAX - op.off;
	return op;
}

/* ---- the model ---- */

static void model_grow(struct file *file, uint64_t size)
{
	if (size > file->size)
		file->size = size;
}

/* ---- the operations ---- */

static void fill(struct run *run, uint8_t *bytes, uint64_t len)
{
	uint64_t word = chance(run) | 0x0101010101010101u;

	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(word >> i % 8 * 8) ^ (uint8_t)(i >> 3);
}

static uint64_t readable(const struct file *file, const struct op *op)
{
	uint64_t left = op->off < file->size ? file->size - op->off : 0;

	return op->len < left ? op->len : left;
}

static void do_read(struct run *run, struct file *file, const struct op *op, int fd)
{
	uint64_t want = readable(file, op);

	expect(run, "bytes read", pread(fd, run->buffer, op->len, (off_t)op->off), (int64_t)want);
	same_bytes(run, run->buffer, file->bytes + op->off, op->off, want);
}

static void do_write(struct run *run, struct file *file, const struct op *op, int fd)
{
	fill(run, run->buffer, op->len);
	expect(run, "bytes written", pwrite(fd, run->buffer, op->len, (off_t)op->off),
	       (int64_t)op->len);
	memcpy(file->bytes + op->off, run->buffer, op->len);
	model_grow(file, op->off + op->len);
}

static void do_append(struct run *run, struct file *file, struct op *op)
{
	op->off = file->size;
	if (op->len > MAX - op->off)
		op->len = MAX - op->off;
	fill(run, run->buffer, op->len);
	expect(run, "bytes appended", write(file->append, run->buffer, op->len), (int64_t)op->len);
	memcpy(file->bytes + op->off, run->buffer, op->len);
	model_grow(file, op->off + op->len);
}

/* Direct I/O is of whole pages. */
static void do_direct(struct run *run, struct file *file, struct op *op)
{
	op->off = op->off / PAGE * PAGE;
	op->len = (op->len + PAGE - 1) / PAGE * PAGE;
	if (op->len > MAX - op->off)
		op->len = MAX - op->off;
	if (op->kind == DIRECT_READ)
		do_read(run, file, op, file->direct);
	else
		do_write(run, file, op, file->direct);
}

static void do_map(struct run *run, struct file *file, struct op *op)
{
	uint64_t len = readable(file, op), from = op->off / PAGE * PAGE, shift = op->off - from;
	uint8_t *map;

	if (len == 0)
		return;
	op->len = len;
	map = mmap(NULL, len + shift, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, (off_t)from);
	if (map == MAP_FAILED)
		complain(run, "mmap", -1, 0);
	if (op->kind == MAP_READ) {
		same_bytes(run, map + shift, file->bytes + op->off, op->off, len);
	} else {
		fill(run, file->bytes + op->off, len);
		memcpy(map + shift, file->bytes + op->off, len);
		if (chance(run) % 4 == 0)
			expect(run, "msync", msync(map, len + shift, MS_SYNC), 0);
	}
	expect(run, "munmap", munmap(map, len + shift), 0);
}

static void do_truncate(struct run *run, struct file *file, const struct op *op)
{
	expect(run, "truncate",
	       op->len % 2 ? ftruncate(file->fd, (off_t)op->off)
			   : truncate(file->path, (off_t)op->off),
	       0);
	if (op->off < file->size)
		memset(file->bytes + op->off, 0, file->size - op->off);
	file->size = op->off;
}

static void do_falloc(struct run *run, struct file *file, const struct op *op)
{
	static const int modes[KINDS] = {
		[KEEP] = FALLOC_FL_KEEP_SIZE,
		[PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		[ZERO] = FALLOC_FL_ZERO_RANGE,
		[ZERO_KEEP] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	};
	uint64_t end = op->off + op->len;

	if (fallocate(file->fd, modes[op->kind], (off_t)op->off, (off_t)op->len) != 0) {
		if (errno != EOPNOTSUPP)
			complain(run, "fallocate", -errno, 0);
		run->unsupported[op->kind]++;
		return;
	}
	if (op->kind != ALLOC && op->kind != KEEP)
		memset(file->bytes + op->off, 0, op->len);
	if (op->kind == ALLOC || op->kind == ZERO)
		model_grow(file, end);
}

/* From another file, or from another place of this one. */
static void do_copy(struct run *run, struct file *file, struct op *op)
{
	struct file *from = &run->file[chance(run) % FILES];
	off_t in = (off_t)(chance(run) % MAX / 2), out = (off_t)op->off;
	struct op source = { .off = (uint64_t)in, .len = op->len };
	uint64_t left;

	op->len = left = readable(from, &source);
	if (from == file && in < out + (off_t)left && out < in + (off_t)left)
		return; /* they overlap: EINVAL */
	memmove(file->bytes + op->off, from->bytes + in, left);
	if (left)
		model_grow(file, op->off + left);
	while (left > 0) {
		ssize_t n = copy_file_range(from->fd, &in, file->fd, &out, left, 0);

		if (n <= 0)
			complain(run, "copy_file_range", n, (int64_t)left);
		left -= (uint64_t)n;
	}
}

/* What is passed over as a hole is zeroes. */
static void do_seek(struct run *run, struct file *file, const struct op *op)
{
	off_t got = lseek(file->fd, (off_t)op->off, SEEK_DATA);
	uint64_t end = got < 0 ? file->size : (uint64_t)got;

	if (got < 0 && errno != ENXIO)
		complain(run, "lseek", -errno, 0);
	if (got >= 0 && (end < op->off || end >= file->size))
		complain(run, "lseek went out of the file", got, (int64_t)op->off);
	for (uint64_t i = op->off; i < end; i++)
		if (file->bytes[i])
			complain(run, "data taken for a hole at", (int64_t)i, got);
}

static void file_open(struct run *run, struct file *file)
{
	file->fd = open(file->path, O_RDWR | O_CREAT, 0644);
	file->append = open(file->path, O_WRONLY | O_APPEND);
	file->direct = open(file->path, O_RDWR | O_DIRECT);
	if (file->fd < 0 || file->append < 0 || file->direct < 0)
		complain(run, "open", -1, 0);
}

static void file_close(struct run *run, struct file *file)
{
	expect(run, "close", close(file->fd) | close(file->append) | close(file->direct), 0);
}

static void do_remake(struct run *run, struct file *file)
{
	file_close(run, file);
	expect(run, "unlink", unlink(file->path), 0);
	memset(file->bytes, 0, file->size);
	file->size = 0;
	file_open(run, file);
}

static void check_file(struct run *run, struct file *file)
{
	struct op whole = { .len = MAX };
	struct stat st;

	expect(run, "fstat", fstat(file->fd, &st), 0);
	expect(run, "size", st.st_size, (int64_t)file->size);
	do_read(run, file, &whole, file->fd);
}

static void step(struct run *run)
{
	struct op *op = &run->log[run->number % LOG];
	struct file *file;

	*op = choose(run);
	file = &run->file[op->file];
	switch (op->kind) {
	case READ: do_read(run, file, op, file->fd); break;
	case WRITE: do_write(run, file, op, file->fd); break;
	case APPEND: do_append(run, file, op); break;
	case MAP_READ:
	case MAP_WRITE: do_map(run, file, op); break;
	case DIRECT_READ:
	case DIRECT_WRITE: do_direct(run, file, op); break;
	case TRUNCATE: do_truncate(run, file, op); break;
	case COPY: do_copy(run, file, op); break;
	case SEEK: do_seek(run, file, op); break;
	case SYNC:
		expect(run, "fsync", op->len % 2 ? fsync(file->fd) : fdatasync(file->fd), 0);
		break;
	case DROP:
		expect(run, "fadvise", posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		break;
	case REOPEN:
		file_close(run, file);
		file_open(run, file);
		break;
	case REMAKE:
		if (op->off % 4 == 0)
			do_remake(run, file);
		break;
	default: do_falloc(run, file, op);
	}
}

/* ---- from one run to the next ---- */

static void model_load(struct run *run, const char *path)
{
	FILE *in = fopen(path, "rb");

	if (!in)
		return;
	for (unsigned i = 0; i < FILES; i++)
		if (fread(&run->file[i].size, 8, 1, in) != 1 ||
		    fread(run->file[i].bytes, MAX, 1, in) != 1)
			complain(run, "reading the model", -1, 0);
	fclose(in);
}

static void model_store(struct run *run, const char *path)
{
	FILE *out = fopen(path, "wb");

	for (unsigned i = 0; i < FILES; i++)
		if (!out || fwrite(&run->file[i].size, 8, 1, out) != 1 ||
		    fwrite(run->file[i].bytes, MAX, 1, out) != 1)
			complain(run, "writing the model", -1, 0);
	expect(run, "closing the model", fclose(out), 0);
}

int main(int argc, char **argv)
{
	struct run run = { .number = 0 };
	uint64_t operations;

	if (argc != 5) {
		fprintf(stderr, "usage: fuse_fsx DIR MODEL OPERATIONS SEED\n");
		return 2;
	}
	operations = strtoull(argv[3], NULL, 0);
	run.seed = run.start_seed = strtoull(argv[4], NULL, 0);
	run.buffer = aligned_alloc(PAGE, MAX);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(run.file[i].path, sizeof(run.file[i].path), "%s/file%u", argv[1], i);
		run.file[i].bytes = calloc(1, MAX);
		file_open(&run, &run.file[i]);
	}
	model_load(&run, argv[2]);
	for (unsigned i = 0; i < FILES; i++)
		check_file(&run, &run.file[i]);
	for (; run.number < operations; run.number++) {
		step(&run);
		if (run.number % 256 == 0)
			check_file(&run, &run.file[run.number / 256 % FILES]);
	}
	for (unsigned i = 0; i < FILES; i++) {
		check_file(&run, &run.file[i]);
		file_close(&run, &run.file[i]);
	}
	model_store(&run, argv[2]);
	for (unsigned i = 0; i < FILES; i++)
		free(run.file[i].bytes);
	free(run.buffer);
	for (unsigned i = 0; i < KINDS; i++)
		if (run.unsupported[i])
			printf("%s is not offered (%llu times)\n", kinds[i].name,
			       (unsigned long long)run.unsupported[i]);
	return 0;
}
