/* SPDX-License-Identifier: MIT */
/*
 * What the engine's calls cost, in nanoseconds: everything in the cache, no I/O.
 *
 *	bench_xn [--quick] [--only NAME]
 *
 * Each figure is the fastest of several rounds of one operation: time by calls done.  With
 * two threads (each has its own session, object and blocks on one disk) half as much would
 * be perfect.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "expect.h"

#include "record.h"
#include "xn/bdev.h"
#include "xn/xn.h"
#include "xn_fixture.h"

#define THREADS_MAX 2u
#define BLOCKS      448u /* of data per thread, a record each */
#define RW          (XN_READ | XN_WRITE)

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
	struct xn_session *admin;
	uint32_t type[T_CHILDREN];
	xn_blk_t root;
	unsigned rounds, threads;
	atomic_uint arrived; /* at any meeting, of all threads together */
};

/* One thread's: a node whose first BLOCKS records are its own. */
struct hand {
	struct bench *bench;
	unsigned number;
	struct xn_session *session;
	xn_blk_t node, other, head, blocks;
	xn_binding_t held; /* of the first block, which is always there */
	uint8_t page[XN_BLOCK], from[XN_BLOCK];
	pthread_t thread;
	const struct operation *operation;
	double began, ended, best_ns, best_undo_ns;
};

/* One round: so many calls, then what undoes them (timed as well, if it has a name). */
struct operation {
	const char *name, *undo_name;
	unsigned calls;
	void (*run)(struct hand *hand);
	void (*undo)(struct hand *hand);
	bool on_disk; /* of objects that the disk names */
};

static double now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* ---- what is measured ---- */

static void update_words(struct hand *hand, xn_blk_t object, uint32_t offset, const void *words,
			 uint32_t len, const struct xn_extent *alloc, const struct xn_extent *drop)
{
	struct xn_edit edit = { object, offset, len, words };
	struct xn_update update = { .edits = &edit,
				    .allocs = alloc,
				    .frees = drop,
				    .n_edits = 1,
				    .n_allocs = alloc != NULL,
				    .n_frees = drop != NULL };

	MUST(xn_update(hand->session, &update));
}

static void bind_data(struct hand *hand)
{
	struct xn_bind_request request = { .owner = hand->node,
					   .access = RW,
					   .extent = { hand->blocks, 1, XN_DATA, 0 } };
	xn_binding_t b;

	for (unsigned i = 0; i < BLOCKS; i++) {
		MUST(xn_bind(hand->session, &request, &b));
		MUST(xn_unbind(hand->session, b));
	}
}

static void bind_object(struct hand *hand)
{
	struct xn_bind_request request = { .owner = hand->node,
					   .record = BLOCKS,
					   .access = RW,
					   .extent = { hand->other, 1, hand->bench->type[T_NODE],
						       0 } };
	xn_binding_t b;

	for (unsigned i = 0; i < BLOCKS; i++) {
		MUST(xn_bind(hand->session, &request, &b));
		MUST(xn_unbind(hand->session, b));
	}
}

static void read_page(struct hand *hand)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		MUST(xn_read(hand->session, hand->held, 0, hand->page, XN_BLOCK));
}

static void write_page(struct hand *hand)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		MUST(xn_write(hand->session, hand->held, 0, hand->page, XN_BLOCK));
}

static void copy_page(struct hand *hand)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		memcpy(hand->page, hand->from, XN_BLOCK);
		atomic_signal_fence(memory_order_seq_cst);
	}
}

static void edit_raw(struct hand *hand)
{
	for (uint64_t i = 0; i < BLOCKS; i++)
		update_words(hand, hand->node, T_NODE_RAW, &i, sizeof(i), NULL, NULL);
}

static void take(struct hand *hand)
{
	for (unsigned i = 1; i < BLOCKS; i++) {
		struct xn_extent extent = { hand->blocks + i, 1, XN_DATA, 0 };
		uint64_t word = T_POINTER(extent.start, 1, T_DATA);

		update_words(hand, hand->node, i * 8, &word, sizeof(word), &extent, NULL);
	}
}

static void give(struct hand *hand)
{
	for (unsigned i = 1; i < BLOCKS; i++) {
		struct xn_extent extent = { hand->blocks + i, 1, XN_DATA, 0 };
		uint64_t word = 0;

		update_words(hand, hand->node, i * 8, &word, sizeof(word), NULL, &extent);
	}
}

static void take_object(struct hand *hand)
{
	for (unsigned i = 1; i < BLOCKS; i++) {
		struct xn_extent extent = { hand->blocks + i, 1, hand->bench->type[T_NODE], 0 };
		uint64_t word = T_POINTER(extent.start, 1, T_NODE);

		update_words(hand, hand->node, i * 8, &word, sizeof(word), &extent, NULL);
	}
}

static void give_object(struct hand *hand)
{
	for (unsigned i = 1; i < BLOCKS; i++) {
		struct xn_extent extent = { hand->blocks + i, 1, hand->bench->type[T_NODE], 0 };
		uint64_t word = 0;

		update_words(hand, hand->node, i * 8, &word, sizeof(word), NULL, &extent);
	}
}

/* To and fro between two records of one sector. */
static void move_near(struct hand *hand)
{
	const uint64_t pointer = T_POINTER(hand->blocks, 1, T_DATA);
	const uint64_t words[2][2] = { { 0, pointer }, { pointer, 0 } };

	for (unsigned i = 0; i < BLOCKS; i++)
		update_words(hand, hand->node, 0, words[i % 2], sizeof(words[0]), NULL, NULL);
}

/* To and fro between two objects that the disk names: they join a group. */
static void move_far(struct hand *hand)
{
	const uint64_t pointer = T_POINTER(hand->blocks, 1, T_DATA), none = 0;

	for (unsigned i = 0; i < BLOCKS; i++) {
		struct xn_edit edits[2] = { { i % 2 ? hand->other : hand->node, 0, 8, &none },
					    { i % 2 ? hand->node : hand->other, 0, 8, &pointer } };
		struct xn_update update = { .edits = edits, .n_edits = 2 };

		MUST(xn_update(hand->session, &update));
	}
}

/* Two objects change whole, and are durable: one record of the log, one flush (in memory). */
static void commit_atomic(struct hand *hand)
{
	const uint32_t type = hand->bench->type[T_NODE];
	const struct xn_extent both[2] = { { hand->node, 1, type, 0 },
					   { hand->other, 1, type, 0 } };

	for (uint64_t i = 0; i < BLOCKS; i++) {
		struct xn_edit edits[2] = { { hand->node, T_NODE_RAW, 8, &i },
					    { hand->other, T_NODE_RAW, 8, &i } };
		struct xn_update update = { .edits = edits, .n_edits = 2, .flags = XN_ATOMIC };

		MUST(xn_update(hand->session, &update));
		MUST(xn_commit(hand->session, both, 2));
	}
}

/* A header edit runs `owns` of every record below it twice: on the old and the new bytes. */
static void edit_header(struct hand *hand)
{
	static const uint64_t base;

	update_words(hand, hand->head, 0, &base, sizeof(base), NULL, NULL);
}

static const struct operation operations[] = {
	{ "memcpy of a page", NULL, BLOCKS, copy_page, NULL, false },
	{ "read a page", NULL, BLOCKS, read_page, NULL, false },
	{ "write a page", NULL, BLOCKS, write_page, NULL, false },
	{ "bind and unbind data", NULL, BLOCKS, bind_data, NULL, false },
	{ "bind and unbind an object", NULL, BLOCKS, bind_object, NULL, false },
	{ "update raw bytes", NULL, BLOCKS, edit_raw, NULL, false },
	{ "update one pointer: take", "update one pointer: give", BLOCKS - 1, take, give, false },
	{ "make an object", "free an object", BLOCKS - 1, take_object, give_object, false },
	{ "owns of one record", NULL, 2 * T_HEAD_RECORDS, edit_header, NULL, false },
	{ "move in a sector", NULL, BLOCKS, move_near, NULL, false },
	{ "move between objects", NULL, BLOCKS, move_far, NULL, true },
	{ "atomic update and commit", NULL, BLOCKS, commit_atomic, NULL, true },
};

/* ---- setting up ---- */

static xn_blk_t find(struct hand *hand, uint64_t count)
{
	struct xn_extent found;

	MUST(xn_find_free(hand->session, 0, count, 1, &found));
	if (found.count != count)
		exit(1);
	return found.start;
}

static xn_blk_t object_make(struct hand *hand, xn_blk_t owner, uint32_t record, enum t_child child)
{
	struct xn_extent extent = { find(hand, 1), 1, hand->bench->type[child], 0 };
	uint64_t word = T_POINTER(extent.start, 1, child);
	struct xn_bind_request request = {
		.owner = owner, .record = record, .access = RW | XN_READIN, .extent = extent
	};
	xn_binding_t b;

	update_words(hand, owner, record * 8, &word, sizeof(word), &extent, NULL);
	MUST(xn_bind(hand->session, &request, &b));
	return extent.start;
}

static void hand_begin(struct hand *hand, struct bench *bench, unsigned number)
{
	struct xn_cred cred = { 0 };
	struct xn_extent extent = { 0, 1, XN_DATA, 0 };
	struct xn_extent reserved = { 0, T_HEAD_RECORDS, XN_RESERVED, 0 };
	struct xn_bind_request request = { .access = RW };
	uint64_t word, pointers[T_HEAD_RECORDS];
	xn_binding_t b;

	hand->bench = bench;
	hand->number = number;
	MUST(xn_session_open(bench->xn, &cred, 0, &hand->session));
	MUST(xn_bind_root(hand->session, "r", RW | XN_READIN, &b, &bench->root));
	hand->node = object_make(hand, bench->root, number, T_NODE);
	hand->other = object_make(hand, hand->node, BLOCKS, T_NODE);
	hand->head = object_make(hand, hand->node, BLOCKS + 1, T_HEAD);
	reserved.start = find(hand, T_HEAD_RECORDS);
	/* Every record of it names a block. */
	for (uint32_t i = 0; i < T_HEAD_RECORDS; i++)
		pointers[i] = T_POINTER(reserved.start + i, 1, T_RESERVED);
	update_words(hand, hand->head, T_HEAD_RECORDS_AT, pointers, sizeof(pointers), &reserved,
		     NULL);
	hand->blocks = extent.start = find(hand, BLOCKS);
	word = T_POINTER(extent.start, 1, T_DATA);
	update_words(hand, hand->node, 0, &word, sizeof(word), &extent, NULL);
	request.owner = hand->node;
	request.extent = extent;
	MUST(xn_bind(hand->session, &request, &hand->held));
	MUST(xn_write(hand->session, hand->held, 0, hand->page, XN_BLOCK));
	/* Nobody else finds these while they are free. */
	take(hand);
}

static void bench_begin(struct bench *bench)
{
	struct xn_format_opts format = { .label = "bench" };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_cred cred = { 0 };
	struct xn_root_info info;

	MUST(bdev_mem_create(256u << 20, &bench->dev));
	MUST(xn_format(bench->dev, &format));
	MUST(xn_open_dev(bench->dev, &opts, &bench->xn));
	MUST(xn_session_open(bench->xn, &cred, XN_SESSION_ADMIN, &bench->admin));
	install_types(bench->admin, bench->type);
	spec.type = bench->type[T_NODE];
	MUST(xn_root_create(bench->admin, &spec, &info));
}

/* ---- measuring ---- */

/* Spinning: who had to be woken would come when the other is done. */
static void meet(struct bench *bench)
{
	unsigned n = atomic_fetch_add(&bench->arrived, 1) / bench->threads + 1;

	while (atomic_load(&bench->arrived) < n * bench->threads)
		;
}

/* From when the first began until the last ended. */
static void round_of(struct hand *hand, void (*run)(struct hand *hand), double *best_ns)
{
	struct hand *first = hand - hand->number;
	double began = 1e18, ended = 0;

	meet(hand->bench);
	hand->began = now_ns();
	if (run)
		run(hand);
	hand->ended = now_ns();
	meet(hand->bench);
	for (unsigned i = 0; hand == first && i < hand->bench->threads; i++) {
		began = first[i].began < began ? first[i].began : began;
		ended = first[i].ended > ended ? first[i].ended : ended;
	}
	if (hand == first && ended - began < *best_ns)
		*best_ns = ended - began;
}

static void *hand_run(void *argument)
{
	struct hand *hand = argument;

	hand->best_ns = hand->best_undo_ns = 1e18;
	for (unsigned i = 0; i < hand->bench->rounds; i++) {
		round_of(hand, hand->operation->run, &hand->best_ns);
		round_of(hand, hand->operation->undo, &hand->best_undo_ns);
	}
	return NULL;
}

static void measure(struct hand *hands, unsigned threads, const struct operation *op, double *ns,
		    double *undo_ns)
{
	hands[0].bench->threads = threads;
	hands[0].bench->arrived = 0;
	for (unsigned i = 0; i < threads; i++)
		hands[i].operation = op;
	for (unsigned i = 0; i < threads; i++)
		MUST(-pthread_create(&hands[i].thread, NULL, hand_run, &hands[i]));
	for (unsigned i = 0; i < threads; i++)
		pthread_join(hands[i].thread, NULL);
	*ns = hands[0].best_ns / (op->calls * threads);
	*undo_ns = hands[0].best_undo_ns / (op->calls * threads);
}

int main(int argc, char **argv)
{
	static struct hand hands[THREADS_MAX];
	struct bench bench = { .rounds = 400 };
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			bench.rounds = 3;
		else if (!strcmp(argv[i], "--only") && i + 1 < argc)
			only = argv[++i];
	}
	bench_begin(&bench);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		hand_begin(&hands[i], &bench, i);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		give(&hands[i]);
	printf("%-28s%12s%12s\n", "nanoseconds per call", "1 thread", "2 threads");
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		const struct operation *op = &operations[i];
		double ns[2], undo_ns[2];

		if (only && !strstr(op->name, only))
			continue;
		if (op->on_disk)
			MUST(xn_sync(bench.admin, 0));
		for (unsigned n = 1; n <= THREADS_MAX; n++)
			measure(hands, n, op, &ns[n - 1], &undo_ns[n - 1]);
		printf("%-28s%12.0f%12.0f\n", op->name, ns[0], ns[1]);
		if (op->undo_name)
			printf("%-28s%12.0f%12.0f\n", op->undo_name, undo_ns[0], undo_ns[1]);
	}
	for (unsigned i = 0; i < THREADS_MAX; i++)
		xn_session_close(hands[i].session);
	xn_session_close(bench.admin);
	MUST(xn_close(bench.xn));
	bdev_close(bench.dev);
	return 0;
}
