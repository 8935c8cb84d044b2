/* SPDX-License-Identifier: MIT */
/* Larger and smaller disks, while they are in use, and with the power going at any write. */
#include "xn_fixture.h"

#define CHUNK XN_CHUNK_BLOCKS

/* A disk of `blocks` blocks on a device of `device` blocks, under a recorder. */
struct sized {
	struct bdev *dev;
	struct fixture fx;
};

static void sized_open(struct sized *s)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_cred cred = { 0 };

	assert_ok(xn_open_dev(s->dev, &opts, &s->fx.xn));
	assert_ok(xn_session_open(s->fx.xn, &cred, XN_SESSION_ADMIN, &s->fx.session));
	if (s->fx.root)
		assert_ok(xn_bind_root(s->fx.session, "r", XN_READ | XN_WRITE | XN_READIN,
				       &s->fx.root_binding, &s->fx.root));
}

static void bytes_copy(struct bdev *from, struct bdev *to, uint64_t len)
{
	uint8_t block[XN_BLOCK];

	for (uint64_t at = 0; at < len; at += XN_BLOCK) {
		assert_ok(bdev_read(from, at, block, sizeof(block)));
		assert_ok(bdev_write(to, at, block, sizeof(block), 0));
	}
}

static void sized_make(struct sized *s, uint64_t blocks, uint64_t device)
{
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_format_opts format = { .label = "sized" };
	struct xn_root_info info;
	struct bdev *small, *large;

	memset(s, 0, sizeof(*s));
	assert_ok(bdev_mem_create(blocks * XN_BLOCK, &small));
	assert_ok(xn_format(small, &format));
	assert_ok(bdev_mem_create(device * XN_BLOCK, &large));
	bytes_copy(small, large, blocks * XN_BLOCK);
	bdev_close(small);
	assert_ok(bdev_recorder_create(large, &s->dev));
	sized_open(s);
	install_types(s->fx.session, s->fx.type);
	spec.type = s->fx.type[T_NODE];
	assert_ok(xn_root_create(s->fx.session, &spec, &info));
	s->fx.root = info.object;
	s->fx.root_id = info.id;
	assert_ok(xn_bind_root(s->fx.session, "r", XN_READ | XN_WRITE | XN_READIN,
			       &s->fx.root_binding, &s->fx.root));
}

static uint64_t block_count(struct sized *s)
{
	struct xn_disk_info info;

	assert_ok(xn_disk_info(s->fx.xn, &info));
	assert_false(info.damaged);
	return info.block_count;
}

static void sized_close(struct sized *s)
{
	char text[400];
	const char *complaint;

	fixture_check(&s->fx);
	assert_ok(xn_close(s->fx.xn));
	complaint = fsck_complaint(s->dev, text, sizeof(text));
	if (complaint)
		fail_msg("%s", complaint);
}

static void sized_reopen(struct sized *s)
{
	sized_close(s);
	sized_open(s);
}

static int resize(struct sized *s, uint64_t blocks)
{
	return xn_resize(s->fx.session, blocks, NULL, 0, NULL);
}

/* One data block at that very place. */
static void given_block_at(struct sized *s, uint32_t record, xn_blk_t at)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, s->fx.root, record * 8, T_POINTER(at, 1, T_RESERVED));
	request_alloc(&rq, at, 1, XN_RESERVED);
	assert_ok(request_run(&rq, s->fx.session));
}

static void no_block_at(struct sized *s, uint32_t record, xn_blk_t at)
{
	given_no_child(&s->fx, s->fx.root, record, at, 1, T_RESERVED);
}

/* What a new disk of that size has free, less what this one has in use. */
static uint64_t free_of_new(uint64_t blocks)
{
	struct xn_format_opts format = { .label = "x" };
	struct xn_super_disk disk;
	struct xn_super super;
	struct bdev *dev;

	assert_ok(bdev_mem_create(blocks * XN_BLOCK, &dev));
	assert_ok(xn_format(dev, &format));
	assert_ok(bdev_read(dev, 0, &disk, sizeof(disk)));
	assert_ok(xn_super_decode(&disk, &super));
	bdev_close(dev);
	return super.free_blocks;
}

static const uint64_t sizes[] = { 1024,      1026,      5000,          CHUNK - 2,     CHUNK,
				  CHUNK + 4, 2 * CHUNK, 2 * CHUNK + 9, 3 * CHUNK - 2, 4 * CHUNK };
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* The log of a large disk is larger; that of a small one stays when it grows. */
static uint64_t log_of(uint64_t blocks)
{
	return blocks / 64 < 256 ? blocks / 64 : 256;
}

static void any_size_becomes_any_larger_one(void **state)
{
	(void)state;
	for (size_t from = 0; from < N_SIZES; from++) {
		for (size_t to = from + 1; to < N_SIZES; to++) {
			struct sized s;
			uint64_t used;

			sized_make(&s, sizes[from], 4 * CHUNK);
			used = free_of_new(sizes[from]) - free_blocks(&s.fx);
			assert_ok(resize(&s, sizes[to]));
			assert_int_equal(block_count(&s), sizes[to]);
			assert_int_equal(free_blocks(&s.fx) + used, free_of_new(sizes[to]) +
									    log_of(sizes[to]) -
									    log_of(sizes[from]));
			given_block_at(&s, 0, sizes[from] - 1); /* the old copy's place */
			given_block_at(&s, 1, sizes[to] - 2);
			sized_reopen(&s);
			assert_int_equal(block_count(&s), sizes[to]);
			sized_close(&s);
			bdev_close(s.dev);
		}
	}
}

static void any_size_becomes_any_smaller_one(void **state)
{
	(void)state;
	for (size_t from = 0; from < N_SIZES; from++) {
		for (size_t to = 0; to < from; to++) {
			struct sized s;
			uint64_t used;

			if (8 + log_of(sizes[from]) + 1 > sizes[to])
				continue;
			sized_make(&s, sizes[from], 4 * CHUNK);
			used = free_of_new(sizes[from]) - free_blocks(&s.fx);
			given_block_at(&s, 0, sizes[from] - 2);
			assert_ok(xn_sync(s.fx.session, 0));
			no_block_at(&s, 0, sizes[from] - 2);
			assert_ok(xn_sync(s.fx.session, 0));
			assert_ok(resize(&s, sizes[to]));
			assert_int_equal(block_count(&s), sizes[to]);
			assert_int_equal(free_blocks(&s.fx) + used, free_of_new(sizes[to]) +
									    log_of(sizes[to]) -
									    log_of(sizes[from]));
			given_block_at(&s, 0, sizes[to] - 2);
			sized_reopen(&s);
			assert_int_equal(block_count(&s), sizes[to]);
			assert_ok(resize(&s, sizes[from])); /* and back */
			sized_close(&s);
			bdev_close(s.dev);
		}
	}
}

static void what_is_in_the_way_is_told_and_nothing_new_is_put_there(void **state)
{
	struct xn_extent in_way[2], found;
	struct request rq;
	struct sized s;
	uint32_t n = 0;

	(void)state;
	sized_make(&s, 3 * CHUNK, 3 * CHUNK);
	given_block_at(&s, 0, CHUNK + 500);
	given_block_at(&s, 1, CHUNK + 501);
	given_block_at(&s, 2, 2 * CHUNK + 7);
	given_block_at(&s, 3, 2 * CHUNK + 9);
	assert_refused(xn_resize(s.fx.session, CHUNK + 100, in_way, 2, &n), XN_EINWAY);
	assert_int_equal(n, 3);
	assert_int_equal(in_way[0].start, CHUNK + 500);
	assert_int_equal(in_way[0].count, 2);
	assert_int_equal(in_way[1].start, 2 * CHUNK + 7);
	assert_int_equal(in_way[1].count, 1);
	assert_int_equal(block_count(&s), 3 * CHUNK);
	for (unsigned i = 0; i < 20; i++) {
		assert_ok(xn_find_free(s.fx.session, i % 2 ? 2 * CHUNK + 100 : 0, 1 + i, 1 + i % 3,
				       &found));
		assert_true(found.start + found.count <= CHUNK + 99);
	}
	assert_ok(xn_find_free(s.fx.session, CHUNK + 90, 40, 1, &found));
	assert_int_equal(found.start, CHUNK + 90);
	assert_int_equal(found.count, 9);
	request_begin(&rq); /* nor does anybody who knows better */
	request_word(&rq, s.fx.root, 400, T_POINTER(2 * CHUNK + 70, 1, T_RESERVED));
	request_alloc(&rq, 2 * CHUNK + 70, 1, XN_RESERVED);
	assert_refused(request_run(&rq, s.fx.session), XN_ENOTFREE);

	no_block_at(&s, 0, CHUNK + 500);
	no_block_at(&s, 1, CHUNK + 501);
	no_block_at(&s, 2, 2 * CHUNK + 7);
	no_block_at(&s, 3, 2 * CHUNK + 9);
	assert_ok(xn_sync(s.fx.session, 0));
	assert_ok(xn_resize(s.fx.session, CHUNK + 100, in_way, 2, &n));
	assert_int_equal(n, 0);
	sized_reopen(&s);
	assert_int_equal(block_count(&s), CHUNK + 100);
	sized_close(&s);
	bdev_close(s.dev);
}

static void the_present_size_gives_shrinking_up(void **state)
{
	struct xn_extent found;
	struct sized s;

	(void)state;
	sized_make(&s, 2 * CHUNK, 2 * CHUNK);
	given_block_at(&s, 0, CHUNK + 5);
	assert_refused(resize(&s, CHUNK), XN_EINWAY);
	assert_ok(xn_find_free(s.fx.session, CHUNK + 100, 1, 1, &found));
	assert_true(found.start < CHUNK);
	assert_ok(resize(&s, 2 * CHUNK));
	assert_ok(xn_find_free(s.fx.session, CHUNK + 100, 1, 1, &found));
	assert_int_equal(found.start, CHUNK + 100);
	sized_close(&s);
	bdev_close(s.dev);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	struct xn_session *user;
	struct xn_cred cred = { .uid = 5 };
	struct sized s;

	(void)state;
	sized_make(&s, 2 * CHUNK, 2 * CHUNK);
	assert_refused(resize(&s, 0), XN_ESIZE);
	assert_refused(resize(&s, 255), XN_ESIZE);
	assert_refused(resize(&s, 260), XN_ESIZE); /* the log would not fit */
	assert_refused(resize(&s, XN_BLOCKS_MAX + 1), XN_ESIZE);
	assert_refused(resize(&s, 2 * CHUNK + 100), XN_ESIZE); /* the device is no larger */
	assert_ok(xn_session_open(s.fx.xn, &cred, 0, &user));
	assert_refused(xn_resize(user, CHUNK, NULL, 0, NULL), XN_ECRED);
	assert_ok(xn_claim(s.fx.session, s.fx.root_id, (int64_t)(CHUNK + 100)));
	assert_refused(resize(&s, CHUNK), XN_ENOSPACE); /* it was promised */
	assert_ok(resize(&s, 2 * CHUNK));
	assert_int_equal(block_count(&s), 2 * CHUNK);
	sized_close(&s);
	bdev_close(s.dev);
}

/* 100 TiB, and a walker and a reclaim under way. */
static void growing_costs_nothing_by_size(void **state)
{
	uint64_t huge = (16ull << 40) / XN_BLOCK;
	struct bdev_counts before, after;
	struct xn_walker *walker;
	struct xn_walk_item item;
	struct sized s;
	unsigned n = 0;

	(void)state;
	sized_make(&s, 1024, huge);
	given_child(&s.fx, s.fx.root, 100, 20, T_RESERVED);
	assert_ok(xn_flush(s.fx.session));
	xn_abandon(s.fx.xn);
	sized_open(&s);
	given_node(&s.fx, s.fx.root, 1, NULL);
	assert_int_equal(xn_reclaim(s.fx.session, 1, NULL), 1);
	assert_ok(xn_walker_create(s.fx.session, 0, &walker));
	assert_int_equal(xn_walker_next(walker, &item), 1);
	bdev_recorder_counts(s.dev, &before);
	assert_ok(resize(&s, huge));
	bdev_recorder_counts(s.dev, &after);
	assert_true(after.writes - before.writes < 10 && after.reads - before.reads < 10);
	given_child(&s.fx, s.fx.root, 2, 1, T_NODE);
	while (xn_walker_next(walker, &item) == 1)
		n++;
	assert_true(n > 0);
	xn_walker_destroy(walker);
	fixture_reclaim(&s.fx);
	sized_reopen(&s);
	assert_int_equal(block_count(&s), huge);
	assert_ok(resize(&s, 1024));
	sized_close(&s);
	bdev_close(s.dev);
}

/* ---- the power goes ---- */

/* `base` with the first `n` recorded writes; of those not flushed by then, some are missing. */
static struct bdev *crash_state(struct bdev *base, struct bdev *recorder, size_t n, uint64_t seed)
{
	struct bdev *dev;

	assert_ok(bdev_mem_clone(base, &dev));
	for (size_t i = 0; i < n; i++) {
		const struct bdev_event *event = bdev_recorder_event(recorder, i);

		if (event->kind != BDEV_EVENT_WRITE ||
		    (event->stable_at >= n && seed && chance(&seed) % 2))
			continue;
		assert_ok(bdev_write(dev, event->offset, event->bytes, event->len, 0));
	}
	return dev;
}

/* It opens, fsck finds nothing but traces, and it has one of the two sizes. */
static void judge_state(struct sized *like, struct bdev *dev, uint64_t from, uint64_t to)
{
	struct sized s = *like;
	char text[400];
	const char *complaint = fsck_complaint(dev, text, sizeof(text));
	uint64_t blocks;

	if (complaint)
		fail_msg("%s", complaint);
	s.dev = dev;
	sized_open(&s);
	blocks = block_count(&s);
	assert_true(blocks == from || blocks == to);
	fixture_reclaim(&s.fx);
	given_child(&s.fx, s.fx.root, 300, 3, T_RESERVED);
	sized_close(&s);
	bdev_close(dev);
}

static void every_crash(uint64_t from, uint64_t to)
{
	struct bdev *large, *base;
	struct sized s;
	size_t n;

	sized_make(&s, from, 3 * CHUNK);
	given_node(&s.fx, s.fx.root, 1, NULL);
	given_block_at(&s, 2, 300);
	assert_ok(xn_close(s.fx.xn));
	/* A recorder of its own from here on, so that what is recorded begins at `base`. */
	assert_ok(bdev_mem_create(3 * CHUNK * XN_BLOCK, &large));
	bytes_copy(s.dev, large, 3 * CHUNK * XN_BLOCK);
	bdev_close(s.dev);
	assert_ok(bdev_mem_clone(large, &base));
	assert_ok(bdev_recorder_create(large, &s.dev));
	sized_open(&s);
	given_data(&s.fx, s.fx.root, 3, 1, NULL);
	assert_ok(resize(&s, to));
	given_data(&s.fx, s.fx.root, 4, 1, NULL);
	assert_ok(xn_sync(s.fx.session, 0));
	n = bdev_recorder_count(s.dev);
	for (size_t upto = 0; upto <= n; upto++)
		for (uint64_t seed = 0; seed < 3; seed++)
			judge_state(&s, crash_state(base, s.dev, upto, seed * 77), from, to);
	xn_abandon(s.fx.xn);
	bdev_close(s.dev);
	bdev_close(base);
}

static void a_crash_while_growing_leaves_one_of_both_sizes(void **state)
{
	(void)state;
	every_crash(1024, 5000);
	every_crash(1024, 2 * CHUNK + 100);
	every_crash(CHUNK + 700, 3 * CHUNK);
}

static void a_crash_while_shrinking_leaves_one_of_both_sizes(void **state)
{
	(void)state;
	every_crash(5000, 1024);
	every_crash(2 * CHUNK + 100, 1024);
	every_crash(3 * CHUNK, CHUNK + 700);
}

/* The device fails, each write and flush in turn. */
static bool survives(uint64_t to, enum bdev_fault_kind kind, uint64_t nth)
{
	struct fixture *fx = fixture_new(2048, XN_CACHE_MIN);
	struct bdev_fault fault = { .kind = kind,
				    .ops = 1u << BDEV_WRITE | 1u << BDEV_FLUSH,
				    .nth = nth };
	struct xn_disk_info info;
	int err;

	bdev_fault_arm(fx->dev, &fault);
	err = xn_resize(fx->session, to, NULL, 0, NULL);
	if (bdev_fault_disarm(fx->dev) == 0) {
		assert_ok(err);
		fixture_free(fx);
		return false;
	}
	assert_true(err == XN_EIO || err == XN_EUNKNOWN);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_int_equal(info.block_count, 2048);
	fixture_check(fx);
	if (err == XN_EIO) {
		given_data(fx, fx->root, 0, 1, NULL);
		assert_ok(xn_sync(fx->session, 0));
		assert_ok(xn_resize(fx->session, to, NULL, 0, NULL));
	}
	xn_abandon(fx->xn);
	fixture_open(fx);
	fixture_reclaim(fx);
	fixture_free(fx);
	return true;
}

static void a_write_that_fails_leaves_the_old_size(void **state)
{
	(void)state;
	for (uint64_t nth = 1; survives(1500, BDEV_FAULT_FAIL, nth); nth++)
		;
	for (uint64_t nth = 1; survives(1500, BDEV_FAULT_UNKNOWN, nth); nth++)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_becomes_any_larger_one),
		cmocka_unit_test(any_size_becomes_any_smaller_one),
		cmocka_unit_test(what_is_in_the_way_is_told_and_nothing_new_is_put_there),
		cmocka_unit_test(the_present_size_gives_shrinking_up),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
		cmocka_unit_test(growing_costs_nothing_by_size),
		cmocka_unit_test(a_crash_while_growing_leaves_one_of_both_sizes),
		cmocka_unit_test(a_crash_while_shrinking_leaves_one_of_both_sizes),
		cmocka_unit_test(a_write_that_fails_leaves_the_old_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
