/* SPDX-License-Identifier: MIT */
/*
 * Two writers of one disk that no lock keeps apart: a disk in memory has none.  The
 * one that opened it first meets the other's epoch and writes no more.
 */
#include "xn_fixture.h"

#include <errno.h>

#define BIG (3 * XN_CHUNK_BLOCKS)

static int open_second(struct fixture *fx, struct xn **out)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };

	return xn_open_dev(fx->dev, &opts, out);
}

static struct xn_super super_now(struct fixture *fx)
{
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	return super;
}

static void super_put(struct fixture *fx, const struct xn_super *super)
{
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);

	for (unsigned i = 0; i < n; i++)
		xn_super_encode(super, (void *)(crashdev_now(fx->medium) + places[i] * XN_BLOCK));
}

/* Blocks of a chunk that was never used: the superblock must say so, before a pointer there. */
static int use_a_new_chunk(struct fixture *fx, uint64_t chunk, uint32_t record)
{
	xn_blk_t block = chunk * XN_CHUNK_BLOCKS + 100;
	xn_binding_t bound;
	uint8_t bytes[XN_BLOCK];
	struct request rq;
	uint32_t free_blocks;

	assert_ok(xn_chunk_summary(fx->xn, chunk, &free_blocks));
	request_begin(&rq);
	request_word(&rq, fx->root, record * 8, T_POINTER(block, 1, T_DATA));
	request_alloc(&rq, block, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	stamp_fill(bytes, block, fx->root, record);
	bound = given_bound(fx, fx->root, record, block, 1, T_DATA, XN_WRITE);
	assert_ok(xn_write(fx->session, bound, 0, bytes, sizeof(bytes)));
	return xn_sync(fx->session, 0);
}

static int setup(void **state)
{
	*state = fixture_new(BIG, 8u << 20);
	return 0;
}

static void each_opening_for_writing_is_an_epoch(void **state)
{
	struct fixture *fx = *state;
	uint64_t epoch = super_now(fx).mount_epoch;

	fixture_reopen(fx);
	assert_int_equal(super_now(fx).mount_epoch, epoch + 1);
	assert_int_equal(super_now(fx).state, XN_STATE_INUSE);
	fixture_close(fx);
	fixture_open_as(fx, 0);
	assert_int_equal(super_now(fx).mount_epoch, epoch + 1);
	assert_ok(xn_close(fx->xn));
	fixture_open(fx);
}

static void a_new_epoch_writer_meets_an_old_one(void **state)
{
	struct fixture *fx = *state;
	struct xn *second;
	struct request rq;
	struct xn_super super;
	uint64_t writes;

	assert_ok(use_a_new_chunk(fx, 1, 0));
	assert_ok(open_second(fx, &second));
	super = super_now(fx);
	assert_refused(use_a_new_chunk(fx, 2, 1), XN_EFENCED);
	assert_int_equal(super_now(fx).mount_epoch, super.mount_epoch);
	assert_int_equal(super_now(fx).generation, super.generation);
	/* From here on it writes nothing at all. */
	writes = crashdev_writes(fx->medium);
	assert_refused(xn_sync(fx->session, 0), XN_EFENCED);
	assert_refused(xn_flush(fx->session), XN_EFENCED);
	request_begin(&rq);
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	assert_refused(request_run(&rq, fx->session), XN_EFENCED);
	assert_refused(xn_close(fx->xn), XN_EFENCED);
	assert_int_equal(crashdev_writes(fx->medium), writes);
	/* The new one goes on, and closes clean. */
	fx->xn = second;
	assert_ok(xn_close(fx->xn));
	assert_int_equal(super_now(fx).state, XN_STATE_CLEAN);
	fixture_open(fx);
}

/* Closing is where an idle writer learns of it. */
static void an_old_writer_does_not_say_clean(void **state)
{
	struct fixture *fx = *state;
	struct xn *second;

	assert_ok(open_second(fx, &second));
	assert_refused(xn_close(fx->xn), XN_EFENCED);
	assert_int_equal(super_now(fx).state, XN_STATE_INUSE);
	fx->xn = second;
	assert_ok(xn_close(fx->xn));
	fixture_open(fx);
}

/* The second has opened and closed again: the disk is clean, and no longer what the first knew. */
static void a_writer_that_came_and_went_is_met_too(void **state)
{
	struct fixture *fx = *state;
	struct xn *second;

	assert_ok(open_second(fx, &second));
	assert_ok(xn_close(second));
	assert_int_equal(super_now(fx).state, XN_STATE_CLEAN);
	assert_refused(xn_close(fx->xn), XN_EFENCED);
	assert_int_equal(super_now(fx).state, XN_STATE_CLEAN);
	fixture_open(fx);
}

/* Both read epoch n, both write n + 1; the one that wrote first finds the other's name. */
static void steal(void *context, struct bdev *dev, enum bdev_op op)
{
	struct fixture *fx = context;
	struct xn_super super;

	(void)dev;
	if (op != BDEV_FLUSH)
		return;
	crashdev_hook_set(fx->medium, NULL, NULL);
	super = super_now(fx);
	super.holder_pid++;
	super_put(fx, &super);
}

static void of_two_that_open_at_once_one_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct xn *second;

	fixture_close(fx);
	crashdev_hook_set(fx->medium, steal, fx);
	assert_refused(open_second(fx, &second), XN_EFENCED);
	fixture_open(fx);
}

/* The other one has opened it between our look at it and our first write. */
static void who_read_an_older_superblock_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct xn_super super;

	super = super_now(fx);
	super.mount_epoch++;
	super.generation++;
	super_put(fx, &super);
	assert_refused(xn_close(fx->xn), XN_EFENCED);
	assert_int_equal(super_now(fx).mount_epoch, super.mount_epoch);
	fixture_open(fx);
}

static void a_disk_formatted_meanwhile_is_left_alone(void **state)
{
	struct fixture *fx = *state;
	struct xn_format_opts format = { .label = "another", .force = true };
	struct xn_super super;

	given_data(fx, fx->root, 0, 1, NULL);
	assert_ok(xn_format(fx->medium, &format));
	assert_refused(xn_close(fx->xn), XN_EFENCED);
	super = super_now(fx);
	assert_string_equal(super.label, "another");
	assert_int_equal(super.state, XN_STATE_CLEAN);
	fx->xn = NULL;
	fx->expect_damage = true; /* what was written before it was met lies on the new disk */
}

/* A superblock that cannot be read says nothing about anybody. */
static void a_look_that_fails_ends_nothing(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = {
		.kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ, .nth = 1, .forever = true
	};

	assert_ok(use_a_new_chunk(fx, 1, 0));
	given_data(fx, fx->root, 5, 1, NULL);
	bdev_fault_arm(fx->dev, &fault);
	assert_ok(xn_sync(fx->session, 0)); /* no superblock is due */
	bdev_fault_disarm(fx->dev);
	assert_ok(use_a_new_chunk(fx, 2, 1));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_opening_for_writing_is_an_epoch),
		T(a_new_epoch_writer_meets_an_old_one),
		T(an_old_writer_does_not_say_clean),
		T(a_writer_that_came_and_went_is_met_too),
		T(of_two_that_open_at_once_one_is_refused),
		T(who_read_an_older_superblock_is_refused),
		T(a_disk_formatted_meanwhile_is_left_alone),
		T(a_look_that_fails_ends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
