/* SPDX-License-Identifier: MIT */
/*
 * One directory and many names in it, in process, on a file of the host: what a name costs to
 * make, to find cold and to remove, as they become more; and the memory of the process.
 *
 *	bench_names [--quick] [--files N] [--step N] [--cache MIB] [--limit MIB]
 *
 * A row is a step: so many files more, or fewer; flat is what the column should be.  Looking
 * up and removing take the names in an order without sense, with a disk that was opened anew.
 * PSS is the memory that the process holds; VmHWM the most that it ever mapped, where the cache
 * counts twice, because it is mapped twice.  With a limit, it fails if VmHWM is above it at the
 * end.  There is a sync now and then, as in a mount.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "libfs/libfs.h"
#include "xn/bdev.h"
#include "xn/xn.h"

#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ = (int)(call);                                              \
		if (must_ < 0) {                                                      \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				xn_error_name(must_));                                \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

#define SYNC_EVERY 20000u /* names: about a second's */

struct bench {
	uint64_t files, step, cache_bytes;
	char path[32];
	struct bdev *dev;
	struct xn *xn;
	struct xn_session *session;
	struct libfs *fs;
	libfs_ino_t dir;
	struct xn_cred cred;
	struct libfs_ctx ctx;
};

static double cpu_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

/* MiB; `path` in /proc/self. */
static long memory_of(const char *path, const char *field)
{
	char line[128];
	long value = 0;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, field, strlen(field)))
			value = strtol(line + strlen(field) + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return value >> 10;
}

static void bench_open(struct bench *b)
{
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = b->cache_bytes };
	struct libfs_mount_opts mount = { .root = "bench" };
	struct libfs_attr attr;

	MUST(xn_open_dev(b->dev, &open, &b->xn));
	MUST(xn_session_open(b->xn, &b->cred, XN_SESSION_ADMIN, &b->session));
	MUST(libfs_mount(b->session, &mount, &b->fs));
	if (libfs_lookup(b->fs, &b->ctx, LIBFS_ROOT_INO, "d", &attr) == -ENOENT)
		MUST(libfs_mkdir(b->fs, &b->ctx, LIBFS_ROOT_INO, "d", 0755, &attr));
	b->dir = attr.ino;
}

static void bench_close(struct bench *b)
{
	libfs_forget(b->fs, b->dir, 1);
	MUST(libfs_unmount(b->fs));
	xn_session_close(b->session);
	MUST(xn_close(b->xn));
}

static void bench_make(struct bench *b)
{
	struct xn_format_opts format = { .label = "bench" };
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct libfs_mkfs_opts mkfs = { .root = "bench", .now = { 1700000000, 0 } };
	int fd;

	strcpy(b->path, "/tmp/bench-names-XXXXXX");
	fd = mkstemp(b->path);
	if (fd < 0 || ftruncate(fd, (off_t)(256ull << 20) + (off_t)b->files * 1024))
		exit(1);
	close(fd);
	MUST(bdev_open(b->path, BDEV_OPEN_RDWR, 0, &b->dev));
	unlink(b->path);
	MUST(xn_format(b->dev, &format));
	MUST(xn_open_dev(b->dev, &open, &b->xn));
	MUST(xn_session_open(b->xn, &b->cred, XN_SESSION_ADMIN, &b->session));
	MUST(libfs_mkfs(b->session, "cffs", &mkfs));
	xn_session_close(b->session);
	MUST(xn_close(b->xn));
}

/* The numbers below `files` in an order without sense: a step that has no divisor in common. */
static uint64_t scattered(const struct bench *b, uint64_t i)
{
	return i * 1000003ull % b->files;
}

static void make(struct bench *b, uint64_t i)
{
	struct libfs_attr attr;
	char name[32];

	snprintf(name, sizeof(name), "file-%08llu", (unsigned long long)i);
	MUST(libfs_create(b->fs, &b->ctx, b->dir, name, 0644, true, &attr));
	libfs_forget(b->fs, attr.ino, 1);
}

static void find(struct bench *b, uint64_t i)
{
	struct libfs_attr attr;
	char name[32];

	snprintf(name, sizeof(name), "file-%08llu", (unsigned long long)scattered(b, i));
	MUST(libfs_lookup(b->fs, &b->ctx, b->dir, name, &attr));
	libfs_forget(b->fs, attr.ino, 1);
}

static void drop(struct bench *b, uint64_t i)
{
	char name[32];

	snprintf(name, sizeof(name), "file-%08llu", (unsigned long long)scattered(b, i));
	MUST(libfs_unlink(b->fs, &b->ctx, b->dir, name));
}

static void phase(struct bench *b, const char *what, void (*one)(struct bench *b, uint64_t i))
{
	bench_open(b);
	printf("\n%-10s %12s %12s %12s\n", what, "us of CPU", "PSS MiB", "VmHWM MiB");
	for (uint64_t i = 0; i < b->files;) {
		uint64_t end = i + b->step < b->files ? i + b->step : b->files, from = i;
		double start = cpu_us(), spent;

		for (; i < end; i++) {
			b->ctx.now.tv_nsec = (long)(i % 1000000000);
			one(b, i);
			if (i % SYNC_EVERY == SYNC_EVERY - 1)
				MUST(libfs_sync(b->fs));
		}
		spent = cpu_us() - start;
		printf("%-10llu %12.2f %12ld %12ld\n", (unsigned long long)end,
		       spent / (double)(end - from), memory_of("/proc/self/smaps_rollup", "Pss:"),
		       memory_of("/proc/self/status", "VmHWM:"));
		fflush(stdout);
	}
	bench_close(b);
}

int main(int argc, char **argv)
{
	unsigned long long limit = 0;
	struct bench b = { .files = 1000000, .ctx = { .now = { 1700000000, 0 }, .umask = 022 } };

	for (int i = 1; i < argc; i++) {
		unsigned long long value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 0) : 0;

		if (!strcmp(argv[i], "--quick"))
			b.files = 5000;
		else if (!strcmp(argv[i], "--files"))
			b.files = value, i++;
		else if (!strcmp(argv[i], "--step"))
			b.step = value, i++;
		else if (!strcmp(argv[i], "--cache"))
			b.cache_bytes = value << 20, i++;
		else if (!strcmp(argv[i], "--limit"))
			limit = value, i++;
		else
			return fprintf(stderr, "bench_names: what is \"%s\"?\n", argv[i]), 2;
	}
	if (!b.files || b.files % 1000003 == 0)
		return fprintf(stderr, "bench_names: so many files will not do\n"), 2;
	if (!b.step)
		b.step = b.files < 10 ? b.files : b.files / 10;
	b.ctx.cred = &b.cred;
	printf("%llu files in one directory\n", (unsigned long long)b.files);
	bench_make(&b);
	phase(&b, "create", make);
	phase(&b, "lookup", find);
	phase(&b, "unlink", drop);
	bdev_close(b.dev);
	if (limit && memory_of("/proc/self/status", "VmHWM:") > (long)limit)
		return fprintf(stderr, "bench_names: more than %llu MiB\n", limit), 1;
	return 0;
}
