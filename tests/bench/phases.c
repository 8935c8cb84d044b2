/* SPDX-License-Identifier: MIT */
/*
 * One phase of a file-system benchmark, in a directory of whatever is mounted:
 *
 *   bench_phases DIR PHASE [FILES [THREADS]]
 *
 * prints the seconds it took.  The small-file phases work on FILES files of 1 KiB
 * in FILES / 100 directories, divided among THREADS; "create" must come first.
 *
 *   create read stat overwrite unlink      the small files
 *   write64 reread64                       64 MiB, from end to end, then fsync
 *   random                                 4096 writes of 4 KiB anywhere in it, then fsync
 *   fsyncs                                 200 new files of 1 KiB, each fsynced
 *
 * Phases that change something end with fsync of the top directory and syncfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE     1024u
#define PER_DIR  100u
#define BIG      (64u << 20)
#define PIECE    (128u << 10)
#define N_RANDOM 4096u
#define N_FSYNCS 200u

struct work {
	pthread_t thread;
	int top;
	unsigned first, end; /* files */
	void (*one)(struct work *work, unsigned number, const char *path);
	char bytes[PIECE];
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_phases: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int must_open(int top, const char *path, int flags)
{
	int fd = openat(top, path, flags, 0644);

	if (fd < 0)
		die(path);
	return fd;
}

/* ---- small files ---- */

static void create_one(struct work *work, unsigned number, const char *path)
{
	int fd = must_open(work->top, path, O_WRONLY | O_CREAT | O_EXCL);

	memcpy(work->bytes, &number, sizeof(number));
	if (write(fd, work->bytes, SIZE) != SIZE || close(fd))
		die(path);
}

static void read_one(struct work *work, unsigned number, const char *path)
{
	int fd = must_open(work->top, path, O_RDONLY);

	if (read(fd, work->bytes, SIZE) != SIZE || memcmp(work->bytes, &number, sizeof(number)))
		die(path);
	close(fd);
}

static void stat_one(struct work *work, unsigned number, const char *path)
{
	struct stat st;

	(void)number;
	if (fstatat(work->top, path, &st, 0) || st.st_size != SIZE)
		die(path);
}

static void overwrite_one(struct work *work, unsigned number, const char *path)
{
	int fd = must_open(work->top, path, O_WRONLY);

	memcpy(work->bytes, &number, sizeof(number));
	if (write(fd, work->bytes, SIZE) != SIZE || close(fd))
		die(path);
}

static void unlink_one(struct work *work, unsigned number, const char *path)
{
	(void)number;
	if (unlinkat(work->top, path, 0))
		die(path);
}

static void *work_main(void *arg)
{
	struct work *work = arg;
	char path[64];

	for (unsigned number = work->first; number < work->end; number++) {
		snprintf(path, sizeof(path), "d%u/f%u", number / PER_DIR, number);
		work->one(work, number, path);
	}
	return NULL;
}

static void small(int top, unsigned files, unsigned threads,
		  void (*one)(struct work *work, unsigned number, const char *path))
{
	struct work *works = calloc(threads, sizeof(*works));

	if (!works)
		die("memory");
	for (unsigned i = 0; i < threads; i++) {
		works[i].top = top;
		works[i].first = files / threads * i;
		works[i].end = files / threads * (i + 1);
		works[i].one = one;
		if (pthread_create(&works[i].thread, NULL, work_main, &works[i]))
			die("thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(works[i].thread, NULL);
	free(works);
}

static void make_dirs(int top, unsigned files)
{
	char path[32];

	for (unsigned i = 0; i * PER_DIR < files; i++) {
		snprintf(path, sizeof(path), "d%u", i);
		if (mkdirat(top, path, 0755))
			die(path);
	}
}

/* ---- one large file ---- */

static void write_big(int top)
{
	int fd = must_open(top, "big", O_WRONLY | O_CREAT | O_TRUNC);
	char *bytes = calloc(1, PIECE);

	for (unsigned off = 0; off < BIG; off += PIECE) {
		memcpy(bytes, &off, sizeof(off));
		if (write(fd, bytes, PIECE) != PIECE)
			die("big");
	}
	if (fsync(fd) || close(fd))
		die("big");
	free(bytes);
}

static void read_big(int top)
{
	int fd = must_open(top, "big", O_RDONLY);
	char *bytes = malloc(PIECE);

	for (unsigned off = 0; off < BIG; off += PIECE) {
		if (read(fd, bytes, PIECE) != PIECE || memcmp(bytes, &off, sizeof(off)))
			die("big");
	}
	close(fd);
	free(bytes);
}

static void write_random(int top)
{
	int fd = must_open(top, "big", O_WRONLY);
	char *bytes = calloc(1, 4096);
	uint32_t draw = 1;

	for (unsigned i = 0; i < N_RANDOM; i++) {
		draw = draw * 1664525u + 1013904223u;
		if (pwrite(fd, bytes, 4096, (off_t)(draw >> 8) % (BIG / 4096) * 4096) != 4096)
			die("big");
	}
	if (fsync(fd) || close(fd))
		die("big");
	free(bytes);
}

static void fsync_many(int top)
{
	char path[32], bytes[SIZE] = { 0 };

	for (unsigned i = 0; i < N_FSYNCS; i++) {
		int fd;

		snprintf(path, sizeof(path), "s%u", i);
		fd = must_open(top, path, O_WRONLY | O_CREAT);
		if (write(fd, bytes, SIZE) != SIZE || fsync(fd) || close(fd))
			die(path);
	}
}

/* ---- all of them ---- */

static bool run(int top, const char *phase, unsigned files, unsigned threads)
{
	if (strcmp(phase, "create") == 0) {
		make_dirs(top, files);
		small(top, files, threads, create_one);
	} else if (strcmp(phase, "read") == 0) {
		small(top, files, threads, read_one);
		return false;
	} else if (strcmp(phase, "stat") == 0) {
		small(top, files, threads, stat_one);
		return false;
	} else if (strcmp(phase, "overwrite") == 0) {
		small(top, files, threads, overwrite_one);
	} else if (strcmp(phase, "unlink") == 0) {
		small(top, files, threads, unlink_one);
	} else if (strcmp(phase, "write64") == 0) {
		write_big(top);
	} else if (strcmp(phase, "reread64") == 0) {
		read_big(top);
		return false;
	} else if (strcmp(phase, "random") == 0) {
		write_random(top);
	} else if (strcmp(phase, "fsyncs") == 0) {
		fsync_many(top);
	} else {
		errno = EINVAL;
		die(phase);
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned files = argc > 3 ? (unsigned)atoi(argv[3]) : 10000;
	unsigned threads = argc > 4 ? (unsigned)atoi(argv[4]) : 1;
	double began;
	int top;

	if (argc < 3 || threads == 0)
		return 2;
	top = open(argv[1], O_RDONLY | O_DIRECTORY);
	if (top < 0)
		die(argv[1]);
	began = now();
	/* Not every file system can fsync a directory. */
	if (run(top, argv[2], files, threads) && ((fsync(top) && errno != EINVAL) || syncfs(top)))
		die("sync");
	printf("%.4f\n", now() - began);
	return 0;
}
