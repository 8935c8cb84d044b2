/* SPDX-License-Identifier: MIT */
/*
 * What opening costs after a crash, and reclaim, on a disk of 16 TiB.
 *
 *	bench_open [--quick] [FILES]
 *
 * A file's worth of metadata is 128 bytes here: each object of 4 KiB names 32 blocks of
 * data.  The device is in memory, so the times are the engine's own; reads are counted.
 */
#include <time.h>

#include "expect.h"

#include "record.h"
#include "xn/bdev.h"
#include "xn/format.h"
#include "xn/xn.h"
#include "xn_fixture.h"

#define DISK_BYTES (16ull << 40)
#define PER_OBJECT 32u
#define RW         (XN_READ | XN_WRITE)

#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ = (call);                                                   \
		if (must_) {                                                          \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				xn_error_name(must_));                                \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

struct bench {
	struct bdev *dev;
	struct xn *xn;
	struct xn_session *session;
	uint32_t type[T_CHILDREN];
	xn_blk_t root;
	xn_binding_t root_binding;
	uint64_t objects;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void disk_open(struct bench *b)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_cred cred = { 0 };

	MUST(xn_open_dev(b->dev, &opts, &b->xn));
	MUST(xn_session_open(b->xn, &cred, XN_SESSION_ADMIN, &b->session));
}

static void disk_make(struct bench *b)
{
	struct xn_root_spec spec = { .name = "r", .libfs = "bench", .mode = 0666 };
	struct xn_format_opts format = { .label = "open" };
	struct bdev *below;
	double start;

	MUST(bdev_mem_create(DISK_BYTES, &below));
	MUST(bdev_recorder_create(below, &b->dev));
	start = now_ms();
	MUST(xn_format(b->dev, &format));
	printf("format %llu TiB             %10.2f ms\n", DISK_BYTES >> 40, now_ms() - start);
	disk_open(b);
	install_types(b->session, b->type);
	spec.type = b->type[T_NODE];
	MUST(xn_root_create(b->session, &spec, NULL));
	MUST(xn_bind_root(b->session, "r", RW | XN_READIN, &b->root_binding, &b->root));
}

static xn_binding_t bind_node(struct bench *b, xn_blk_t owner, uint32_t record, xn_blk_t node)
{
	struct xn_bind_request request = { .owner = owner,
					   .record = record,
					   .access = RW | XN_READIN,
					   .extent = { node, 1, b->type[T_NODE], 0 } };
	xn_binding_t binding;

	MUST(xn_bind(b->session, &request, &binding));
	return binding;
}

/* A node of `owner` with `blocks` reserved blocks of its own, one to a record, in one update. */
static xn_blk_t make_node(struct bench *b, xn_blk_t owner, uint32_t record, uint32_t blocks)
{
	uint64_t words[PER_OBJECT], word;
	struct xn_extent found, allocs[2];
	struct xn_edit edits[2];
	struct xn_update update = { .edits = edits, .allocs = allocs };

	MUST(xn_find_free(b->session, 0, 1 + blocks, 1, &found));
	if (found.count < 1 + blocks) /* the end of a chunk: the next look begins behind it */
		MUST(xn_find_free(b->session, 0, 1 + blocks, 1, &found));
	MUST(found.count < 1 + blocks ? XN_ENOSPACE : 0);
	word = T_POINTER(found.start, 1, T_NODE);
	for (uint32_t i = 0; i < blocks; i++)
		words[i] = T_POINTER(found.start + 1 + i, 1, T_RESERVED);
	edits[update.n_edits++] = (struct xn_edit){ owner, record * 8, 8, &word };
	allocs[update.n_allocs++] = (struct xn_extent){ found.start, 1, b->type[T_NODE], 0 };
	if (blocks) {
		edits[update.n_edits++] = (struct xn_edit){ found.start, 0, blocks * 8, words };
		allocs[update.n_allocs++] =
			(struct xn_extent){ found.start + 1, blocks, XN_RESERVED, 0 };
	}
	MUST(xn_update(b->session, &update));
	b->objects++;
	return found.start;
}

static void fill(struct bench *b, uint64_t files)
{
	for (uint32_t i = 0; files > 0 && i < T_NODE_RECORDS; i++) {
		xn_blk_t top = make_node(b, b->root, i, 0);
		xn_binding_t binding = bind_node(b, b->root, i, top);

		for (uint32_t k = 0; files > 0 && k < T_NODE_RECORDS; k++) {
			make_node(b, top, k, PER_OBJECT);
			files -= files < PER_OBJECT ? files : PER_OBJECT;
		}
		MUST(xn_unbind(b->session, binding));
		MUST(xn_sync(b->session, 0));
		bdev_recorder_reset(b->dev);
	}
}

static void open_again(struct bench *b, const char *what)
{
	struct bdev_counts before, after;
	double start;

	bdev_recorder_counts(b->dev, &before);
	start = now_ms();
	disk_open(b);
	printf("%-26s  %10.2f ms, %llu reads\n", what, now_ms() - start,
	       (unsigned long long)((bdev_recorder_counts(b->dev, &after), after.reads) -
				    before.reads));
}

static void reclaim(struct bench *b)
{
	struct xn_reclaim_progress progress;
	double start = now_ms();
	int more;

	do
		more = xn_reclaim(b->session, 4096, &progress);
	while (more > 0);
	MUST(more);
	printf("reclaim                     %10.2f ms, %llu objects, %llu maps, %llu blocks freed, "
	       "%llu KiB of memory\n",
	       now_ms() - start, (unsigned long long)progress.objects,
	       (unsigned long long)progress.maps, (unsigned long long)progress.freed,
	       (unsigned long long)progress.memory >> 10);
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct xn_super_disk disk;
	struct xn_super super;
	uint64_t files = 1000000;
	double start;

	if (argc > 1)
		files = strcmp(argv[1], "--quick") ? strtoull(argv[1], NULL, 0) : 20000;
	disk_make(&b);
	start = now_ms();
	fill(&b, files);
	MUST(bdev_read(b.dev, 0, &disk, sizeof(disk)));
	MUST(xn_super_decode(&disk, &super));
	printf("%llu files' metadata   %10.0f ms to make: %llu objects, %llu MiB; log of %llu "
	       "KiB\n",
	       (unsigned long long)files, now_ms() - start, (unsigned long long)b.objects,
	       (unsigned long long)(b.objects * XN_BLOCK >> 20),
	       (unsigned long long)(super.log_blocks * XN_BLOCK >> 10));
	MUST(xn_close(b.xn));
	open_again(&b, "open, closed cleanly");
	MUST(xn_bind_root(b.session, "r", RW | XN_READIN, &b.root_binding, &b.root));
	make_node(&b, b.root, T_NODE_RECORDS - 1, PER_OBJECT);
	MUST(xn_flush(b.session)); /* the map, and not the root: 33 blocks are lost */
	xn_abandon(b.xn);
	open_again(&b, "open after a crash");
	reclaim(&b);
	start = now_ms();
	MUST(xn_close(b.xn));
	printf("close                       %10.2f ms\n", now_ms() - start);
	bdev_close(b.dev);
	return 0;
}
