/* SPDX-License-Identifier: MIT */
/*
 * Outcomes that nobody knows, on every kind of device: writing ends, and says so,
 * until the disk is opened again.  And blocks given up while a write of them is on
 * its way.
 */
#include "xn_fixture.h"

#include <errno.h>
#include <unistd.h>

#define DISK (4u << 20)

/* ---- the host of the file device ---- */

static struct {
	int sync_error;
	int syncs;
} host;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	host.syncs++;
	errno = host.sync_error;
	return host.sync_error ? -1 : __real_fdatasync(fd);
}

/* ---- kinds ---- */

struct stack {
	char path[64];
	struct bdev *below;  /* the kind in question */
	struct bdev *counts; /* a recorder on it: what reached it */
	struct bdev *faults; /* what XN sees */
	struct xn *xn;
	struct xn_session *session;
	uint32_t type[T_CHILDREN];
	xn_blk_t root;
};

static struct bdev *file_make(struct stack *s, uint32_t flags)
{
	struct bdev *dev;

	snprintf(s->path, sizeof(s->path), "/tmp/xn-outcome-%d.img", getpid());
	unlink(s->path);
	assert_ok(bdev_open(s->path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE | flags, DISK, &dev));
	return dev;
}

static struct bdev *make_memory(struct stack *s)
{
	struct bdev *dev;

	(void)s;
	assert_ok(bdev_mem_create(DISK, &dev));
	return dev;
}

static struct bdev *make_ring(struct stack *s)
{
	return file_make(s, 0);
}

static struct bdev *make_threads(struct stack *s)
{
	return file_make(s, BDEV_OPEN_THREADS);
}

static struct bdev *make_direct(struct stack *s)
{
	return file_make(s, BDEV_OPEN_DIRECT);
}

static struct bdev *make_overlay(struct stack *s)
{
	struct bdev *dev;

	assert_ok(bdev_overlay_create(make_ring(s), &dev));
	return dev;
}

static struct bdev *make_model(struct stack *s)
{
	struct bdev *dev;

	assert_ok(bdev_model_create(make_memory(s), bdev_model_find("sata7200"), &dev));
	return dev;
}

static struct bdev *make_check(struct stack *s)
{
	struct bdev *dev;

	assert_ok(bdev_check_create(make_memory(s), &dev));
	return dev;
}

static const struct {
	const char *name;
	struct bdev *(*make)(struct stack *s);
} kinds[] = {
	{ "memory", make_memory },  { "io_uring", make_ring },   { "threads", make_threads },
	{ "direct", make_direct },  { "overlay", make_overlay }, { "model", make_model },
	{ "checking", make_check },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int stack_open(struct stack *s)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = XN_CACHE_MIN };
	struct xn_cred cred = { 0 };
	xn_binding_t binding;
	int err = xn_open_dev(s->faults, &opts, &s->xn);

	if (err)
		return err;
	assert_ok(xn_session_open(s->xn, &cred, XN_SESSION_ADMIN, &s->session));
	if (s->root)
		assert_ok(xn_bind_root(s->session, "r", XN_READ | XN_WRITE | XN_READIN, &binding,
				       &s->root));
	return 0;
}

static void stack_make(struct stack *s, size_t kind)
{
	struct xn_format_opts format = { .label = "outcome", .force = true };
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666, .now_ns = 1 };
	struct xn_root_info info;

	memset(s, 0, sizeof(*s));
	s->below = kinds[kind].make(s);
	assert_ok(bdev_recorder_create(s->below, &s->counts));
	assert_ok(bdev_fault_create(s->counts, &s->faults));
	assert_ok(xn_format(s->faults, &format));
	assert_ok(stack_open(s));
	install_types(s->session, s->type);
	spec.type = s->type[T_NODE];
	assert_ok(xn_root_create(s->session, &spec, &info));
	s->root = info.object;
	assert_ok(xn_close(s->xn));
	assert_ok(stack_open(s));
}

static void stack_free(struct stack *s)
{
	assert_ok(xn_close(s->xn));
	bdev_close(s->faults);
	if (*s->path)
		unlink(s->path);
}

static uint64_t stack_writes(struct stack *s)
{
	struct bdev_counts counts;

	bdev_recorder_counts(s->counts, &counts);
	return counts.writes;
}

static void word_put(struct stack *s, uint64_t word, int expected)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, s->root, T_NODE_RAW, word);
	assert_refused(request_run(&rq, s->session), expected);
}

static uint64_t word_get(struct stack *s)
{
	uint64_t words[XN_BLOCK / 8];

	/* What the device says; XN's own copy is not what counts. */
	assert_ok(bdev_read(s->counts, s->root * XN_BLOCK, words, sizeof(words)));
	return words[T_NODE_RAW / 8];
}

/* Everything that writes is refused, again and again, and nothing goes down. */
static void assert_ended(struct stack *s)
{
	struct xn_extent extent = { s->root, 1, s->type[T_NODE], 0 };
	uint64_t writes = stack_writes(s);

	for (int again = 0; again < 3; again++) {
		assert_refused(xn_sync(s->session, 0), XN_EUNKNOWN);
		assert_refused(xn_commit(s->session, &extent, 1), XN_EUNKNOWN);
		assert_refused(xn_flush(s->session), XN_EUNKNOWN);
		assert_refused(xn_writeback(s->session, &extent, 1), XN_EUNKNOWN);
		word_put(s, 99, XN_EUNKNOWN);
	}
	assert_refused(xn_close(s->xn), XN_EUNKNOWN);
	assert_int_equal(stack_writes(s), writes);
}

static void run_unknown(enum bdev_op op)
{
	for (size_t kind = 0; kind < KINDS; kind++) {
		struct bdev_fault fault = {
			.kind = BDEV_FAULT_UNKNOWN, .ops = 1u << op, .nth = 1, .seed = kind
		};
		struct stack s;

		stack_make(&s, kind);
		word_put(&s, 1, 0);
		assert_ok(xn_sync(s.session, 0));
		word_put(&s, 2, 0);
		bdev_fault_arm(s.faults, &fault);
		assert_refused(xn_sync(s.session, 0), XN_EUNKNOWN);
		if (bdev_fault_disarm(s.faults) != 1)
			fail_msg("%s: the fault did not fire", kinds[kind].name);
		assert_ended(&s);
		assert_ok(stack_open(&s));
		if (word_get(&s) != 1 && word_get(&s) != 2)
			fail_msg("%s: it says %llu", kinds[kind].name,
				 (unsigned long long)word_get(&s));
		word_put(&s, 3, 0);
		assert_ok(xn_sync(s.session, 0));
		assert_int_equal(word_get(&s), 3);
		stack_free(&s);
	}
}

static void a_write_of_unknown_outcome_ends_writing_on_every_device(void **state)
{
	(void)state;
	run_unknown(BDEV_WRITE);
}

static void a_flush_of_unknown_outcome_ends_writing_on_every_device(void **state)
{
	(void)state;
	run_unknown(BDEV_FLUSH);
}

/* The host lost pages, said so once, and would say yes the next time. */
static void a_failed_flush_then_fsync_again(void **state)
{
	(void)state;
	for (size_t kind = 1; kind <= 3; kind++) {
		struct stack s;
		int syncs;

		stack_make(&s, kind);
		word_put(&s, 1, 0);
		host.sync_error = EIO;
		assert_refused(xn_sync(s.session, 0), XN_EUNKNOWN);
		host.sync_error = 0;
		syncs = host.syncs;
		assert_ended(&s);
		assert_int_equal(host.syncs, syncs); /* the host is not asked again */
		/* Nor by anybody else who has the same file open here: it must be opened anew. */
		assert_refused(stack_open(&s), XN_EUNKNOWN);
		bdev_close(s.faults);
		assert_ok(bdev_open(s.path, BDEV_OPEN_RDWR, 0, &s.below));
		assert_ok(bdev_recorder_create(s.below, &s.counts));
		assert_ok(bdev_fault_create(s.counts, &s.faults));
		assert_ok(stack_open(&s));
		word_put(&s, 2, 0);
		assert_ok(xn_sync(s.session, 0));
		assert_int_equal(word_get(&s), 2);
		stack_free(&s);
	}
}

/* ---- in flight ---- */

/* What a write in flight meets: its block is given up, and somebody wants it. */
struct meeting {
	struct fixture *fx;
	xn_blk_t block;
	bool met;
};

static void take_again(struct fixture *fx, xn_blk_t block, int expected)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, fx->root, 300 * 8, T_POINTER(block, 1, T_DATA));
	request_alloc(&rq, block, 1, XN_DATA);
	assert_refused(request_run(&rq, fx->session), expected);
}

static void meet(void *context, struct bdev *dev, enum bdev_op op)
{
	struct meeting *m = context;
	uint8_t *bytes = crashdev_now(m->fx->medium) + m->block * XN_BLOCK;

	(void)dev;
	if (op != BDEV_WRITE || m->met || !stamp_is(bytes, m->block, m->fx->root, 1))
		return;
	m->met = true;
	/* The device has it, and has not said that it is done. */
	given_no_child(m->fx, m->fx->root, 0, m->block, 1, T_DATA);
	take_again(m->fx, m->block, XN_ENOTFREE);
}

static void a_block_with_a_write_in_flight_is_freed_and_reallocated(void **state)
{
	struct fixture *fx = *state;
	struct meeting m = { .fx = fx };
	uint8_t bytes[XN_BLOCK];
	xn_binding_t bound;

	m.block = given_data(fx, fx->root, 0, 1, NULL);
	crashdev_hook_set(fx->medium, meet, &m);
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(m.met);
	/* The write has ended; no pointer was ever on the disk: it is free. */
	take_again(fx, m.block, 0);
	bound = given_bound(fx, fx->root, 300, m.block, 1, T_DATA, XN_READ | XN_WRITE);
	assert_ok(xn_read(fx->session, bound, 0, bytes, sizeof(bytes)));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	stamp_fill(bytes, m.block, fx->root, 2);
	assert_ok(xn_write(fx->session, bound, 0, bytes, sizeof(bytes)));
	fixture_watch(fx, 4);
	assert_ok(xn_sync(fx->session, 0));
	fixture_watch(fx, 0);
	assert_true(stamp_is(crashdev_now(fx->medium) + m.block * XN_BLOCK, m.block, fx->root, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_of_unknown_outcome_ends_writing_on_every_device),
		cmocka_unit_test(a_flush_of_unknown_outcome_ends_writing_on_every_device),
		cmocka_unit_test(a_failed_flush_then_fsync_again),
		cmocka_unit_test_setup_teardown(
			a_block_with_a_write_in_flight_is_freed_and_reallocated, fixture_setup,
			fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
