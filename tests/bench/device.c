/* SPDX-License-Identifier: MIT */
/*
 * The file device's two engines, past the host's cache and through it, in one run.
 *
 *	bench_device [--quick] [--file PATH] [--mib N]
 *
 * Each pattern is done on the same file by every combination.  Reads through the cache
 * are of a file that is in it; writes end with a flush that is counted.  The last
 * column is what the process spent of a processor's time for each MiB.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "xn/bdev.h"
#include "xn/error.h"

#define BATCH 64u
#define BLOCK 4096u

#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ = (call);                                                   \
		if (must_ < 0) {                                                      \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				xn_error_name(must_));                                \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

struct bench {
	const char *path;
	uint64_t bytes; /* of the file */
	uint64_t volume;
	uint8_t *memory; /* BATCH pieces of a MiB, aligned */
};

struct pattern {
	const char *name;
	enum bdev_op op;
	uint32_t len;
	unsigned batch; /* requests in flight */
	bool random;
	bool flush_each; /* after each batch; else once at the end */
};

static const struct pattern patterns[] = {
	{ "write 1 MiB, in order", BDEV_WRITE, 1u << 20, 8, false, false },
	{ "write 4 KiB, in order, batches", BDEV_WRITE, BLOCK, BATCH, false, false },
	{ "write 4 KiB, anywhere, flush each 64", BDEV_WRITE, BLOCK, BATCH, true, true },
	{ "write 4 KiB, anywhere, flush each 1", BDEV_WRITE, BLOCK, 1, true, true },
	{ "read 1 MiB, in order", BDEV_READ, 1u << 20, 8, false, false },
	{ "read 4 KiB, anywhere, 64 at a time", BDEV_READ, BLOCK, BATCH, true, false },
	{ "read 4 KiB, anywhere, 1 at a time", BDEV_READ, BLOCK, 1, true, false },
};

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double processor_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void batch_run(struct bdev_queue *queue, struct bdev_request *requests, unsigned n)
{
	struct bdev_request *submit[BATCH], *done[BATCH];
	unsigned got = 0;

	for (unsigned i = 0; i < n; i++)
		submit[i] = &requests[i];
	bdev_submit(queue, submit, n);
	while (got < n)
		got += (unsigned)bdev_wait(queue, done, n - got, 1);
	for (unsigned i = 0; i < n; i++)
		if (requests[i].outcome != BDEV_DONE) {
			fprintf(stderr, "a request failed: %s\n", strerror(-requests[i].error));
			exit(1);
		}
}

static void pattern_run(const struct bench *bench, const struct pattern *pattern, struct bdev *dev,
			struct bdev_queue *queue, uint64_t volume)
{
	struct bdev_request requests[BATCH];
	struct iovec iov[BATCH];
	uint64_t places = bench->bytes / pattern->len, at = 0, seed = 1;

	for (uint64_t moved = 0; places && moved < volume;) {
		for (unsigned i = 0; i < pattern->batch; i++, moved += pattern->len) {
			uint64_t place = pattern->random ? chance(&seed) % places : at++ % places;

			iov[i] = (struct iovec){ bench->memory + (size_t)i * pattern->len,
						 pattern->len };
			requests[i] = (struct bdev_request){ .op = pattern->op,
							     .offset = place * pattern->len,
							     .len = pattern->len,
							     .iov = &iov[i],
							     .iov_count = 1 };
		}
		batch_run(queue, requests, pattern->batch);
		if (pattern->flush_each)
			MUST(bdev_flush(dev));
	}
	if (pattern->op == BDEV_WRITE && !pattern->flush_each)
		MUST(bdev_flush(dev));
}

/* Requests that wait for each other move less in the same time. */
static uint64_t volume_of(const struct bench *bench, const struct pattern *pattern)
{
	uint64_t volume = bench->volume;

	if (pattern->random)
		volume /= 4;
	if (pattern->batch == 1)
		volume /= pattern->flush_each ? 64 : 8;
	return volume > pattern->len * pattern->batch ? volume : pattern->len * pattern->batch;
}

static void compare(const struct bench *bench, const struct pattern *pattern)
{
	static const struct {
		const char *name;
		uint32_t flags;
	} ways[] = {
		{ "threads, cache", BDEV_OPEN_THREADS },
		{ "io_uring, cache", 0 },
		{ "threads, direct", BDEV_OPEN_THREADS | BDEV_OPEN_DIRECT },
		{ "io_uring, direct", BDEV_OPEN_DIRECT },
	};

	printf("%s\n", pattern->name);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		uint64_t volume = volume_of(bench, pattern);
		double mib = (double)volume / (1 << 20), start, spent;
		struct bdev_queue *queue;
		struct bdev_info info;
		struct bdev *dev;

		MUST(bdev_open(bench->path, BDEV_OPEN_RDWR | ways[i].flags, 0, &dev));
		MUST(bdev_queue_create(dev, &queue));
		bdev_info(dev, &info);
		MUST(bdev_flush(dev));
		pattern_run(bench, pattern, dev, queue, volume / 8); /* warm */
		spent = processor_now();
		start = seconds_now();
		pattern_run(bench, pattern, dev, queue, volume);
		start = seconds_now() - start;
		spent = processor_now() - spent;
		printf("    %-18s %9.1f MiB/s %9.0f /s %9.0f us/MiB%s\n", ways[i].name, mib / start,
		       (double)volume / pattern->len / start, spent * 1e6 / mib,
		       !(ways[i].flags & BDEV_OPEN_THREADS) && strcmp(info.engine, "io_uring") != 0
			       ? "  (io_uring is refused here: threads)"
			       : "");
		bdev_queue_destroy(queue);
		bdev_close(dev);
	}
}

/* Every block written once, so that no pattern pays for the file's own growth. */
static void file_fill(const struct bench *bench)
{
	struct bdev *dev;

	unlink(bench->path);
	MUST(bdev_open(bench->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, bench->bytes, &dev));
	for (uint64_t at = 0; at < bench->bytes; at += 1u << 20)
		MUST(bdev_write(dev, at, bench->memory, 1u << 20, 0));
	MUST(bdev_flush(dev));
	bdev_close(dev);
}

int main(int argc, char **argv)
{
	char own[64];
	struct bench bench = { .path = own, .bytes = 256ull << 20, .volume = 256ull << 20 };

	snprintf(own, sizeof(own), "/tmp/xn-bench-%d.img", getpid());
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick")) {
			bench.bytes = bench.volume = 8u << 20;
		} else if (!strcmp(argv[i], "--file") && i + 1 < argc) {
			bench.path = argv[++i];
		} else if (!strcmp(argv[i], "--mib") && i + 1 < argc && atoi(argv[i + 1]) > 7) {
			bench.bytes = bench.volume = (uint64_t)atoi(argv[++i]) << 20;
		} else {
			fprintf(stderr, "bench_device [--quick] [--file PATH] [--mib N]\n");
			return 2;
		}
	}
	bench.memory = aligned_alloc(BLOCK, 8u << 20);
	if (!bench.memory)
		return 1;
	memset(bench.memory, 0x5a, 8u << 20);
	file_fill(&bench);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		compare(&bench, &patterns[i]);
	unlink(bench.path);
	free(bench.memory);
	return 0;
}
