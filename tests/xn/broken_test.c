/* SPDX-License-Identifier: MIT */
/*
 * The engine with its order broken on purpose, in this program only: the linker
 * puts a liar in the place of one of its decisions (--wrap), or a device that does
 * not do what it says stands below it.  Each time the checking device must fire, and
 * with the decision as it is it must not.
 */
#include "xn_fixture.h"

#include <errno.h>

/* Which decision is broken; here because a wrapped function has no other way to know. */
static struct {
	bool writable, free_at_once, map_stable, map_empty;
} broken;

struct xn;
struct entry;

bool __real_order_writable(const struct xn *xn, struct entry *entry);
bool __wrap_order_writable(const struct xn *xn, struct entry *entry);
bool __real_order_free_at_once(const struct entry *owner, bool child_unsound);
bool __wrap_order_free_at_once(const struct entry *owner, bool child_unsound);
void __real_xn_map_encode(const struct xn_super *super, uint64_t chunk, const uint8_t *bitmap,
			  void *block);
void __wrap_xn_map_encode(const struct xn_super *super, uint64_t chunk, const uint8_t *bitmap,
			  void *block);

bool __wrap_order_writable(const struct xn *xn, struct entry *entry)
{
	return broken.writable || __real_order_writable(xn, entry);
}

bool __wrap_order_free_at_once(const struct entry *owner, bool child_unsound)
{
	return broken.free_at_once || __real_order_free_at_once(owner, child_unsound);
}

void __wrap_xn_map_encode(const struct xn_super *super, uint64_t chunk, const uint8_t *bitmap,
			  void *block)
{
	uint8_t fresh[XN_MAP_CHUNK_BYTES];

	xn_map_fresh(super, chunk, fresh);
	__real_xn_map_encode(super, chunk, broken.map_empty ? fresh : bitmap, block);
}

/* ---- a device that lies ---- */

struct liar {
	struct bdev dev;
	struct bdev *below;
	bool no_flush;               /* says that it flushed */
	uint64_t lost_from, lost_to; /* writes from this block on, up to that, are lost; 0: none */
};

struct liar_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
	struct bdev_request *done[64];
	size_t n;
};

static void liar_close(struct bdev *dev)
{
	bdev_close(((struct liar *)dev)->below);
	free(dev);
}

static int liar_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct liar *)dev)->below, exclusive, timeout_ms);
}

static void liar_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct liar *)dev)->below, info);
}

static int liar_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct liar_queue *queue = calloc(1, sizeof(*queue));

	*out = &queue->queue;
	return bdev_queue_create(((struct liar *)dev)->below, &queue->below);
}

static void liar_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct liar_queue *)queue)->below);
	free(queue);
}

static bool liar_loses(const struct liar *liar, const struct bdev_request *request)
{
	if (request->op == BDEV_FLUSH)
		return liar->no_flush;
	return request->op == BDEV_WRITE && liar->lost_from &&
	       request->offset >= liar->lost_from * XN_BLOCK &&
	       request->offset < liar->lost_to * XN_BLOCK;
}

static void liar_submit(struct bdev_queue *base, struct bdev_request *requests[], size_t count)
{
	struct liar_queue *queue = (struct liar_queue *)base;

	for (size_t i = 0; i < count; i++) {
		if (!liar_loses((struct liar *)base->dev, requests[i])) {
			bdev_submit(queue->below, &requests[i], 1);
			continue;
		}
		requests[i]->outcome = BDEV_DONE;
		assert_true(queue->n < 64);
		queue->done[queue->n++] = requests[i];
	}
}

static size_t liar_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			size_t min)
{
	struct liar_queue *queue = (struct liar_queue *)base;
	size_t n = 0;

	while (n < max && queue->n)
		done[n++] = queue->done[--queue->n];
	return n + bdev_wait(queue->below, done + n, max - n, min > n ? min - n : 0);
}

static const struct bdev_ops liar_ops = {
	.name = "liar",
	.close = liar_close,
	.lock = liar_lock,
	.info = liar_info,
	.queue_create = liar_queue_create,
	.queue_destroy = liar_queue_destroy,
	.submit = liar_submit,
	.wait = liar_wait,
};

/* From now on XN sees the disk through a liar, who speaks the truth so far. */
static struct liar *given_liar(struct fixture *fx)
{
	struct liar *liar = calloc(1, sizeof(*liar));

	fixture_close(fx);
	liar->dev.ops = &liar_ops;
	liar->below = fx->dev;
	fx->dev = &liar->dev;
	fixture_open(fx);
	return liar;
}

/* ---- */

static int setup(void **state)
{
	memset(&broken, 0, sizeof(broken));
	return fixture_setup(state);
}

/* What a broken order left is nothing to be checked further. */
static int teardown(void **state)
{
	struct fixture *fx = *state;

	memset(&broken, 0, sizeof(broken));
	fx->expect_damage = true;
	xn_abandon(fx->xn);
	fx->xn = NULL;
	fixture_free(fx);
	return 0;
}

static uint64_t fired(struct fixture *fx, enum bdev_check_rule rule)
{
	return bdev_check_count(fx->rules, rule);
}

/* A tree of two levels comes, a file in it goes and another takes its place. */
static void live(struct fixture *fx)
{
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_data(fx, node, 0, 1, NULL);

	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, node, 0, data, 1, T_DATA);
	for (uint32_t i = 0; i < 40; i++)
		given_data(fx, fx->root, 100 + i, 2 + i, NULL);
	assert_ok(xn_sync(fx->session, 0));
}

/* The free block that was just given up, for another owner, at once. */
static void reuse(struct fixture *fx)
{
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct request rq;
	xn_binding_t bound;
	uint8_t bytes[XN_BLOCK] = { 3 };

	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	request_begin(&rq);
	request_word(&rq, fx->root, 300 * 8, T_POINTER(data, 1, T_DATA));
	request_alloc(&rq, data, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
	bound = given_bound(fx, fx->root, 300, data, 1, T_DATA, XN_WRITE);
	assert_ok(xn_write(fx->session, bound, 0, bytes, sizeof(bytes)));
	assert_ok(xn_sync(fx->session, 0));
}

static void with_nothing_broken_nothing_fires(void **state)
{
	struct fixture *fx = *state;

	given_liar(fx);
	live(fx);
	assert_int_equal(bdev_check_violations(fx->rules, NULL), 0);
}

static void writing_without_regard_to_taint_is_seen(void **state)
{
	struct fixture *fx = *state;

	broken.writable = true;
	live(fx);
	assert_true(fired(fx, BDEV_CHECK_UNWRITTEN) > 0);
	assert_int_equal(fired(fx, BDEV_CHECK_REUSED), 0);
}

static void giving_back_what_the_disk_still_names_is_seen(void **state)
{
	struct fixture *fx = *state;

	broken.free_at_once = true;
	reuse(fx);
	assert_true(fired(fx, BDEV_CHECK_REUSED) + fired(fx, BDEV_CHECK_MOVED) > 0);
	assert_int_equal(fired(fx, BDEV_CHECK_UNWRITTEN), 0);
}

static void a_map_that_shows_too_little_is_seen(void **state)
{
	struct fixture *fx = *state;

	broken.map_empty = true;
	live(fx);
	assert_true(fired(fx, BDEV_CHECK_MAP) > 0);
}

static void a_device_that_does_not_flush_is_seen(void **state)
{
	struct fixture *fx = *state;

	given_liar(fx)->no_flush = true;
	live(fx);
	assert_true(fired(fx, BDEV_CHECK_UNWRITTEN) > 0);
	assert_true(fired(fx, BDEV_CHECK_MAP) > 0);
}

static void a_device_that_loses_data_is_seen(void **state)
{
	struct fixture *fx = *state;

	struct liar *liar = given_liar(fx);

	liar->lost_from = fx->root + 1;
	liar->lost_to = FIXTURE_BLOCKS;
	live(fx);
	assert_true(fired(fx, BDEV_CHECK_UNWRITTEN) > 0);
	assert_int_equal(fired(fx, BDEV_CHECK_MAP), 0);
}

/* Data moves between two sectors of an object; syncs until it is at home. */
static void move(struct fixture *fx)
{
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct request rq;

	assert_ok(xn_sync(fx->session, 0));
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_word(&rq, fx->root, 100 * 8, T_POINTER(data, 1, T_DATA));
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_close(fx->xn)); /* with a checkpoint */
	fixture_open(fx);
}

static void a_move_through_the_log_is_whole(void **state)
{
	struct fixture *fx = *state;

	given_liar(fx);
	move(fx);
	assert_int_equal(bdev_check_violations(fx->rules, NULL), 0);
}

/* The log is where a move is written first; it never comes to be there. */
static void a_device_that_loses_the_log_is_seen(void **state)
{
	struct fixture *fx = *state;
	struct liar *liar = given_liar(fx);
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	liar->lost_from = super.log_start;
	liar->lost_to = super.log_start + super.log_blocks;
	move(fx);
	assert_true(fired(fx, BDEV_CHECK_MOVED) > 0);
}

/* Home before the record is on the disk for good: the power may take the one and leave the other. */
static void homes_without_a_flush_before_them_are_seen(void **state)
{
	struct fixture *fx = *state;
	struct liar *liar = given_liar(fx);

	liar->no_flush = true;
	move(fx);
	assert_true(fired(fx, BDEV_CHECK_LOG) > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(with_nothing_broken_nothing_fires),
		T(writing_without_regard_to_taint_is_seen),
		T(giving_back_what_the_disk_still_names_is_seen),
		T(a_map_that_shows_too_little_is_seen),
		T(a_device_that_does_not_flush_is_seen),
		T(a_device_that_loses_data_is_seen),
		T(a_move_through_the_log_is_whole),
		T(a_device_that_loses_the_log_is_seen),
		T(homes_without_a_flush_before_them_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
