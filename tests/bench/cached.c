/* SPDX-License-Identifier: MIT */
/*
 * A file of 1 KiB that is in the cache: open, read, close.
 *
 *	bench_cached [--quick] [--rounds N]
 *
 * Through the LibFS table, as the bridge asks it (by number, and by name), through libxnfs, by
 * path, and of the host's file system by system calls.  The median of many short rounds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libfs/libfs.h"
#include "xn/bdev.h"
#include "xn/xn.h"
#include "xnfs/xnfs.h"

#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ = (int)(call);                                              \
		if (must_ < 0) {                                                      \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				xn_error_name(must_));                                \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

#define BYTES  1024u
#define CALLS  200u
#define ROUNDS 2000u

struct bench {
	char path[32];
	struct libfs *fs;
	struct libfs_ctx ctx;
	libfs_ino_t ino;
	struct xnfs *xnfs;
	char buffer[BYTES];
};

static double now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void read_ino(struct bench *b)
{
	uint64_t handle;

	MUST(libfs_open(b->fs, &b->ctx, b->ino, O_RDONLY, &handle));
	MUST(libfs_read(b->fs, &b->ctx, b->ino, handle, 0, b->buffer, BYTES));
	libfs_release(b->fs, b->ino, handle);
}

static void read_named(struct bench *b)
{
	struct libfs_attr attr;

	MUST(libfs_lookup(b->fs, &b->ctx, LIBFS_ROOT_INO, "letter", &attr));
	read_ino(b);
	libfs_forget(b->fs, attr.ino, 1);
}

static void read_path(struct bench *b)
{
	struct xnfs_file *file;

	MUST(xnfs_file_open(b->xnfs, "/bench/letter", O_RDONLY, 0, &file));
	MUST(xnfs_read(file, b->buffer, BYTES));
	xnfs_file_close(file);
}

static void read_host(struct bench *b)
{
	int fd = open(b->path, O_RDONLY | O_CLOEXEC);

	MUST(fd);
	MUST(read(fd, b->buffer, BYTES));
	close(fd);
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(struct bench *b, const char *what, void (*call)(struct bench *b),
		    unsigned rounds)
{
	double *ns = calloc(rounds, sizeof(*ns));

	if (!ns)
		exit(1);
	for (unsigned r = 0; r < rounds; r++) {
		double start = now_ns();

		for (unsigned i = 0; i < CALLS; i++)
			call(b);
		ns[r] = (now_ns() - start) / CALLS;
	}
	qsort(ns, rounds, sizeof(*ns), by_size);
	printf("%-44s %8.0f %8.0f\n", what, ns[0], ns[rounds / 2]);
	free(ns);
}

static void image_make(const char *path)
{
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct libfs_mkfs_opts mkfs = { .root = "bench", .now = { 1700000000, 0 } };
	struct xn_format_opts format = { .label = "bench" };
	struct xn_cred cred = { 0 };
	struct xn_session *session;
	struct bdev *dev;
	struct xn *xn;

	MUST(bdev_open(path, BDEV_OPEN_RDWR, 0, &dev));
	MUST(xn_format(dev, &format));
	MUST(xn_open_dev(dev, &open, &xn));
	MUST(xn_session_open(xn, &cred, XN_SESSION_ADMIN, &session));
	MUST(libfs_mkfs(session, "cffs", &mkfs));
	xn_session_close(session);
	MUST(xn_close(xn));
	bdev_close(dev);
}

static void letter_write(struct bench *b)
{
	struct xnfs_file *file;

	memset(b->buffer, 'x', BYTES);
	MUST(xnfs_open(b->path, NULL, &b->xnfs));
	MUST(xnfs_file_open(b->xnfs, "/bench/letter", O_CREAT | O_WRONLY, 0644, &file));
	MUST(xnfs_write(file, b->buffer, BYTES));
	MUST(xnfs_fsync(file));
	xnfs_file_close(file);
}

/* The same through the table that the bridge has. */
static void by_table(struct bench *b, unsigned rounds)
{
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct libfs_mount_opts mount = { .root = "bench" };
	struct xn_cred cred = { 0 };
	struct xn_session *session;
	struct libfs_attr attr;
	struct bdev *dev;
	struct xn *xn;

	b->ctx = (struct libfs_ctx){ .cred = &cred, .now = { 1700000000, 0 }, .umask = 022 };
	MUST(bdev_open(b->path, BDEV_OPEN_RDWR, 0, &dev));
	MUST(xn_open_dev(dev, &open, &xn));
	MUST(xn_session_open(xn, &cred, XN_SESSION_ADMIN, &session));
	MUST(libfs_mount(session, &mount, &b->fs));
	MUST(libfs_lookup(b->fs, &b->ctx, LIBFS_ROOT_INO, "letter", &attr));
	b->ino = attr.ino;
	measure(b, "LibFS: open, read, release", read_ino, rounds);
	measure(b, "LibFS: lookup, open, read, release, forget", read_named, rounds);
	libfs_forget(b->fs, attr.ino, 1);
	MUST(libfs_unmount(b->fs));
	xn_session_close(session);
	MUST(xn_close(xn));
	bdev_close(dev);
}

int main(int argc, char **argv)
{
	struct bench b = { .path = "/tmp/bench-cached-XXXXXX" };
	unsigned rounds = ROUNDS;
	int fd;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			rounds = 3;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			rounds = (unsigned)atoi(argv[++i]);
	}
	fd = mkstemp(b.path);
	if (fd < 0 || ftruncate(fd, 64 << 20) || !rounds)
		return 1;
	close(fd);
	image_make(b.path);
	printf("%-44s %8s %8s\n", "nanoseconds, 1 KiB, cached", "best", "median");
	letter_write(&b);
	measure(&b, "libxnfs: open, read, close of a path", read_path, rounds);
	MUST(xnfs_close(b.xnfs));
	by_table(&b, rounds);
	measure(&b, "the host: open, read, close of a path", read_host, rounds);
	unlink(b.path);
	return 0;
}
