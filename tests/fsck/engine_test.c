/* SPDX-License-Identifier: MIT */
/*
 * What the engine leaves on a disk, judged by the checker, which shares no code
 * with it: after a close, after a stop without one, and at every moment of a
 * power cut.
 */
#include "disk.h"

#include <errno.h>

#include "fsck_types.h"
#include "xn/xn.h"

const struct libfs_checker *libfs_checker_find(const char *name)
{
	(void)name;
	return NULL;
}

#define BLOCKS 4096u /* of the disk */

struct stack {
	struct bdev *dev; /* ours */
	struct xn *xn;
	struct xn_session *session;
	xn_binding_t root;
	xn_blk_t object;
};

static void stack_open(struct stack *stack, struct bdev *dev)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_cred cred = { 0 };

	memset(stack, 0, sizeof(*stack));
	stack->dev = dev;
	assert_ok(xn_open_dev(dev, &opts, &stack->xn));
	assert_ok(xn_session_open(stack->xn, &cred, XN_SESSION_ADMIN, &stack->session));
}

static void stack_close(struct stack *stack)
{
	xn_session_close(stack->session);
	assert_ok(xn_close(stack->xn));
}

static void given_disk(struct bdev *dev, uint64_t label)
{
	struct xn_format_opts opts = { .now_ns = 1700000000000000000 };

	snprintf(opts.label, sizeof(opts.label), "engine %ju", (uintmax_t)label);
	opts.uuid[0] = 5;
	assert_ok(xn_format(dev, &opts));
}

static void given_templates(struct stack *stack)
{
	struct xn_image images[] = {
		{ fsck_types_image[0], fsck_types_image_len[0] },
		{ fsck_types_image[1], fsck_types_image_len[1] },
	};
	struct xn_refusal why;
	uint32_t ids[2];

	assert_ok(xn_template_install(stack->session, images, 2, ids, &why));
	assert_int_equal(ids[0], TYPE_NODE);
	assert_int_equal(ids[1], TYPE_WIDE);
}

static void given_root(struct stack *stack, const char *name)
{
	struct xn_root_spec spec = {
		.name = name, .libfs = "none", .type = TYPE_NODE, .mode = 0600, .now_ns = 1
	};
	struct xn_root_info info;

	assert_ok(xn_root_create(stack->session, &spec, &info));
	assert_ok(xn_bind_root(stack->session, name, XN_READ | XN_WRITE | XN_READIN, &stack->root,
			       &stack->object));
}

/* Let record `index` of a bound node own one extent more. */
static int point(struct stack *stack, xn_blk_t node, unsigned index, struct xn_extent extent,
		 uint32_t kind)
{
	struct {
		le64_t start;
		le32_t count, kind;
	} record = { le64_make(extent.start), le32_make((uint32_t)extent.count), le32_make(kind) };
	struct xn_edit edit = { node, 64 + 16 * index, sizeof(record), &record };
	struct xn_update update = {
		.edits = &edit, .allocs = &extent, .n_edits = 1, .n_allocs = 1, .now_ns = 1
	};

	return xn_update(stack->session, &update);
}

static int drop(struct stack *stack, xn_blk_t node, unsigned index, struct xn_extent extent)
{
	static const uint8_t zero[16];
	struct xn_edit edit = { node, 64 + 16 * index, sizeof(zero), zero };
	struct xn_update update = { .edits = &edit,
				    .frees = &extent,
				    .n_edits = 1,
				    .n_frees = 1,
				    .flags = XN_REAP | XN_FREEING,
				    .now_ns = 1 };

	return xn_update(stack->session, &update);
}

static struct xn_extent take(struct stack *stack, uint64_t want, uint32_t type)
{
	struct xn_extent found;

	assert_ok(xn_find_free(stack->session, stack->object, want, 1, &found));
	assert_int_equal(found.count, want);
	found.type = type;
	return found;
}

static void fill_data(struct stack *stack, xn_blk_t owner, unsigned record, struct xn_extent extent)
{
	struct xn_bind_request request = {
		.owner = owner, .record = record, .access = XN_WRITE, .extent = extent, .now_ns = 1
	};
	static uint8_t bytes[16 * XN_BLOCK];
	xn_binding_t binding;

	memset(bytes, 0x42, sizeof(bytes));
	assert_ok(xn_bind(stack->session, &request, &binding));
	assert_ok(xn_write(stack->session, binding, 0, bytes, extent.count * XN_BLOCK));
	assert_ok(xn_unbind(stack->session, binding));
}

static xn_binding_t bind_node(struct stack *stack, xn_blk_t owner, unsigned record,
			      struct xn_extent extent)
{
	struct xn_bind_request request = { .owner = owner,
					   .record = record,
					   .access = XN_READ | XN_WRITE | XN_READIN,
					   .extent = extent,
					   .now_ns = 1 };
	xn_binding_t binding;

	assert_ok(xn_bind(stack->session, &request, &binding));
	return binding;
}

/* A child node with data, a wide, plain data; then some of it dropped. */
static void make_tree(struct stack *stack, unsigned first)
{
	struct xn_extent node = take(stack, 1, TYPE_NODE), data, wide;
	xn_binding_t child;

	assert_ok(point(stack, stack->object, first, node, KIND_NODE));
	child = bind_node(stack, stack->object, first, node);
	data = take(stack, 4, XN_DATA);
	assert_ok(point(stack, node.start, 9, data, KIND_DATA));
	fill_data(stack, node.start, 9, data);
	wide = take(stack, 2, TYPE_WIDE);
	assert_ok(point(stack, node.start, 200, wide, KIND_WIDE));
	data = take(stack, 2, XN_DATA);
	assert_ok(point(stack, stack->object, first + 1, data, KIND_DATA));
	fill_data(stack, stack->object, first + 1, data);
	assert_ok(xn_unbind(stack->session, child));
	assert_ok(xn_sync(stack->session, 0));
	assert_ok(drop(stack, stack->object, first + 1, data));
	data = take(stack, 3, XN_RESERVED);
	assert_ok(point(stack, stack->object, first + 2, data, KIND_RESERVED));
}

static struct fsck_result judge(struct bdev *dev, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	assert_ok(fsck_run(dev, &opts, &result));
	return result;
}

static void assert_judged_clean(struct bdev *dev)
{
	struct fsck_result result = judge(dev, CHECK_LOOK);

	if (result.exit_code || !result.complete) {
		result_print(&result);
		fail_msg("not clean");
	}
	fsck_result_fini(&result);
}

static void a_fresh_disk_is_clean_at_every_size(void **state)
{
	static const uint64_t blocks[] = {
		256,   257,   1000,  16383, 16384,      16385,           16386,
		16387, 32768, 32770, 40000, 1ull << 20, (1ull << 20) + 2
	};

	(void)state;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct bdev *dev;

		assert_ok(bdev_mem_create(blocks[i] * XN_BLOCK_SIZE, &dev));
		given_disk(dev, i);
		assert_judged_clean(dev);
		bdev_close(dev);
	}
}

static void a_closed_disk_is_clean_with_exact_counts(void **state)
{
	struct stack stack;
	struct bdev *dev;
	struct fsck_result result;

	(void)state;
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &dev));
	given_disk(dev, 0);
	stack_open(&stack, dev);
	given_templates(&stack);
	given_root(&stack, "one");
	make_tree(&stack, 0);
	given_root(&stack, "two");
	make_tree(&stack, 50);
	stack_close(&stack);
	assert_judged_clean(dev);
	result = judge(dev, CHECK_LOOK);
	assert_true(result.was_clean);
	assert_int_equal(result.roots, 2);
	assert_int_equal(result.objects, 6);
	fsck_result_fini(&result);

	stack_open(&stack, dev); /* ... and again, nothing done */
	stack_close(&stack);
	assert_judged_clean(dev);
	bdev_close(dev);
}

/* More templates and roots than one catalogue block holds. */
static void grown_catalogues_are_clean(void **state)
{
	struct stack stack;
	struct bdev *dev;
	struct fsck_result result;
	char name[16];

	(void)state;
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &dev));
	given_disk(dev, 0);
	stack_open(&stack, dev);
	given_templates(&stack);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "root%u", i);
		given_root(&stack, name);
	}
	stack_close(&stack);
	assert_judged_clean(dev);
	result = judge(dev, CHECK_LOOK);
	assert_int_equal(result.roots, 30);
	fsck_result_fini(&result);
	bdev_close(dev);
}

static void the_engine_opens_what_the_checker_repaired(void **state)
{
	struct stack stack;
	struct bdev *dev;
	struct fsck_result result;
	uint8_t junk[512];

	(void)state;
	memset(junk, 0x99, sizeof(junk));
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &dev));
	given_disk(dev, 0);
	stack_open(&stack, dev);
	given_templates(&stack);
	given_root(&stack, "one");
	make_tree(&stack, 0);
	assert_ok(xn_sync(stack.session, 0));
	xn_abandon(stack.xn);
	assert_ok(bdev_write(dev, 0, junk, 512, 0));                       /* superblock */
	assert_ok(bdev_write(dev, XN_BLOCK_SIZE + 512, junk, 512, 0));     /* a map sector */
	assert_ok(bdev_write(dev, 3 * XN_BLOCK_SIZE + 512, junk, 512, 0)); /* a root's entry */
	result = judge(dev, CHECK_PREEN);
	if (result.exit_code != FSCK_REPAIRED)
		result_print(&result);
	assert_int_equal(result.exit_code, FSCK_REPAIRED);
	fsck_result_fini(&result);
	assert_judged_clean(dev);

	stack_open(&stack, dev);
	assert_ok(xn_bind_root(stack.session, "one", XN_READ | XN_WRITE | XN_READIN, &stack.root,
			       &stack.object));
	make_tree(&stack, 100);
	stack_close(&stack);
	assert_judged_clean(dev);
	bdev_close(dev);
}

/* ---- power cuts ---- */

/* Only what a crash is expected to leave, all of it repaired by -p, and nothing then. */
static void assert_crash_is_harmless(struct bdev *dev, size_t upto, uint64_t seed)
{
	struct fsck_result look = judge(dev, CHECK_LOOK), preen;
	struct bdev *copy;

	if (look.exit_code == FSCK_FAILED) { /* before formatting was done */
		assert_string_equal(look.why, "not an XN disk");
		fsck_result_fini(&look);
		return;
	}
	if (look.unexpected) {
		result_print(&look);
		fail_msg("after %zu events, seed %ju", upto, (uintmax_t)seed);
	}
	assert_ok(bdev_mem_clone(dev, &copy));
	preen = judge(copy, CHECK_PREEN);
	if (preen.left) {
		result_print(&preen);
		fail_msg("after %zu events, seed %ju: -p is not enough", upto, (uintmax_t)seed);
	}
	assert_judged_clean(copy);
	fsck_result_fini(&look);
	fsck_result_fini(&preen);
	bdev_close(copy);
}

static void event_apply(struct bdev *dev, const struct bdev_event *event, uint64_t sectors)
{
	static const uint8_t zero[XN_BLOCK];

	if (event->kind == BDEV_EVENT_ZEROES)
		for (uint64_t at = 0; at < event->len; at += XN_BLOCK)
			assert_ok(bdev_write(dev, event->offset + at, zero, XN_BLOCK, 0));
	if (event->kind != BDEV_EVENT_WRITE)
		return;
	for (uint64_t i = 0; i < event->len / 512; i++)
		if (sectors >> (i % 64) & 1)
			assert_ok(bdev_write(dev, event->offset + 512 * i, event->bytes + 512 * i,
					     512, 0));
}

/* A state the disk may be in after `upto` events: what is not stable may be there or not. */
static struct bdev *crash_state(struct bdev *start, struct bdev *recorder, size_t upto,
				uint64_t seed)
{
	struct bdev *dev;

	assert_ok(bdev_mem_clone(start, &dev));
	for (size_t i = 0; i < upto; i++) {
		const struct bdev_event *event = bdev_recorder_event(recorder, i);
		bool stable = event->stable_at < upto;
		uint64_t coin = chance(&seed) % 3;

		if (seed == 0 || stable || coin == 0)
			event_apply(dev, event, UINT64_MAX);
		else if (coin == 1)
			event_apply(dev, event, chance(&seed)); /* torn between sectors */
	}
	return dev;
}

static void workload(struct bdev *dev)
{
	struct stack stack;

	stack_open(&stack, dev);
	given_templates(&stack);
	given_root(&stack, "one");
	make_tree(&stack, 0);
	assert_ok(xn_sync(stack.session, 0));
	given_root(&stack, "two");
	make_tree(&stack, 20);
	while (xn_reap(stack.session, 100) > 0)
		;
	stack_close(&stack);
	stack_open(&stack, dev);
	assert_ok(xn_bind_root(stack.session, "one", XN_READ | XN_WRITE | XN_READIN, &stack.root,
			       &stack.object));
	make_tree(&stack, 100);
	stack_close(&stack);
}

static void every_power_cut_leaves_only_expected_traces(void **state)
{
	struct bdev *start, *below, *recorder;
	size_t n;

	(void)state;
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &start));
	given_disk(start, 0);
	assert_ok(bdev_mem_clone(start, &below));
	assert_ok(bdev_recorder_create(below, &recorder));
	workload(recorder);
	n = bdev_recorder_count(recorder);
	assert_true(n > 50);
	for (size_t upto = 0; upto <= n; upto++)
		for (uint64_t seed = 0; seed < 8; seed++) {
			struct bdev *dev = crash_state(start, recorder, upto, seed);

			assert_crash_is_harmless(dev, upto, seed);
			bdev_close(dev);
		}
	bdev_close(recorder);
	bdev_close(start);
}

/* A twin that a crash left behind is brought up to date by the checker, not by the engine. */
static void assert_recovered(struct bdev *dev, size_t upto, uint64_t seed)
{
	struct fsck_result result = judge(dev, CHECK_LOOK);

	for (size_t i = 0; i < result.n_findings; i++)
		if (strcmp(result.findings[i].code, "catalogue/sector-old") != 0) {
			result_print(&result);
			fail_msg("after %zu events, seed %ju", upto, (uintmax_t)seed);
		}
	assert_true(result.complete);
	fsck_result_fini(&result);
}

/* What the engine's own reclaim makes of a crash is clean for the checker, too. */
static void reclaim_leaves_a_clean_disk(void **state)
{
	struct bdev *start, *below, *recorder;
	size_t n;

	(void)state;
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &start));
	given_disk(start, 0);
	assert_ok(bdev_mem_clone(start, &below));
	assert_ok(bdev_recorder_create(below, &recorder));
	workload(recorder);
	n = bdev_recorder_count(recorder);
	for (size_t upto = 0; upto <= n; upto += 3)
		for (uint64_t seed = 0; seed < 2; seed++) {
			struct bdev *dev = crash_state(start, recorder, upto, seed);
			struct stack stack;

			stack_open(&stack, dev);
			while (xn_reclaim(stack.session, 1, NULL) == 1)
				;
			stack_close(&stack);
			assert_recovered(dev, upto, seed);
			bdev_close(dev);
		}
	bdev_close(recorder);
	bdev_close(start);
}

static void a_power_cut_while_formatting_leaves_no_disk_or_a_whole_one(void **state)
{
	struct bdev *start, *below, *recorder;
	size_t n;

	(void)state;
	assert_ok(bdev_mem_create(BLOCKS * XN_BLOCK_SIZE, &start));
	assert_ok(bdev_mem_clone(start, &below));
	assert_ok(bdev_recorder_create(below, &recorder));
	given_disk(recorder, 0);
	n = bdev_recorder_count(recorder);
	for (size_t upto = 0; upto <= n; upto++)
		for (uint64_t seed = 0; seed < 8; seed++) {
			struct bdev *dev = crash_state(start, recorder, upto, seed);

			assert_crash_is_harmless(dev, upto, seed);
			bdev_close(dev);
		}
	bdev_close(recorder);
	bdev_close(start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fresh_disk_is_clean_at_every_size),
		cmocka_unit_test(a_closed_disk_is_clean_with_exact_counts),
		cmocka_unit_test(grown_catalogues_are_clean),
		cmocka_unit_test(the_engine_opens_what_the_checker_repaired),
		cmocka_unit_test(every_power_cut_leaves_only_expected_traces),
		cmocka_unit_test(reclaim_leaves_a_clean_disk),
		cmocka_unit_test(a_power_cut_while_formatting_leaves_no_disk_or_a_whole_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
