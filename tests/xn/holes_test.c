/* SPDX-License-Identifier: MIT */
/*
 * What the original XN left open, or never finished; each test is named after the
 * hole, and shows that it is not there (DESIGN.md, section 1).
 */
#include "xn_fixture.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

/* There, a change named the partition that was checked, and could write outside it. */
static void hole_changes_confined_to_their_partition(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t mine = given_child(fx, fx->root, 3, 1, T_DATA);
	xn_blk_t other = given_child(fx, fx->root, 9, 1, T_DATA);
	uint64_t words[8] = { T_POINTER(mine, 1, T_DATA) };
	struct request rq;

	/* One edit that begins in a record that stays as it is, and ends in others. */
	words[6] = T_POINTER(other, 1, T_DATA);
	words[7] = T_POINTER(other + 1, 1, T_DATA);
	request_begin(&rq);
	request_edit(&rq, fx->root, 3 * 8, words, sizeof(words));
	assert_request_refused(fx, &rq, XN_EOWNS);
	words[6] = 0; /* the last record but one is let go of, by the way */
	words[7] = 0;
	assert_request_refused(fx, &rq, XN_EOWNS);
	/* One byte of a record; and the last of all, half of it raw bytes. */
	words[0] = 0;
	request_begin(&rq);
	request_edit(&rq, fx->root, 9 * 8, words, 1);
	assert_request_refused(fx, &rq, XN_EOWNS);
	words[0] = ~0ull;
	request_begin(&rq);
	request_edit(&rq, fx->root, T_NODE_RAW - 1, words, 8);
	assert_request_refused(fx, &rq, XN_EFAULT);
}

/* There, a template could be written after it had been verified. */
static void hole_templates_immutable(void **state)
{
	struct fixture *fx = *state;
	const uint8_t *medium = crashdev_now(fx->medium);
	struct xn_template_entry entry;
	struct xn_template_info before, after;
	struct xn_extent extent;
	struct xn_super super;
	uint8_t *image;
	uint64_t writes = crashdev_writes(fx->medium);
	struct request rq;
	xn_binding_t b;
	size_t len;

	assert_ok(xn_super_decode((const void *)medium, &super));
	assert_ok(xn_template_entry_decode(
		&super, 0, medium + super.catalogue[XN_CAT_TEMPLATES] * XN_BLOCK + XN_SECTOR_SIZE,
		&entry));
	extent = (struct xn_extent){ entry.image_start, 1, XN_DATA, 0 };
	assert_ok(xn_template_info(fx->xn, fx->type[T_NODE], &before));
	image = malloc(before.image_len);
	assert_non_null(image);
	memcpy(image, medium + entry.image_start * XN_BLOCK, before.image_len);
	request_begin(&rq); /* taken */
	request_word(&rq, fx->root, 0, T_POINTER(extent.start, 1, T_DATA));
	request_alloc(&rq, extent.start, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
	request_begin(&rq); /* pointed at */
	request_word(&rq, fx->root, 0, T_POINTER(extent.start, 1, T_DATA));
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq); /* given back */
	request_word(&rq, fx->root, T_NODE_RAW, 1);
	request_free(&rq, extent.start, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq); /* edited */
	request_word(&rq, extent.start, 64, 1);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
	assert_refused(try_bind(fx, fx->session, fx->root, 0, extent.start, 1, XN_DATA, RW, &b),
		       XN_ENOTOWNER);
	assert_ok(xn_writeback(fx->session, &extent, 1)); /* unknown: nothing to write */
	assert_int_equal(crashdev_writes(fx->medium), writes);
	fixture_reopen(fx);
	assert_ok(xn_template_info(fx->xn, fx->type[T_NODE], &after));
	assert_memory_equal(&before, &after, sizeof(before));
	assert_memory_equal(image, crashdev_now(fx->medium) + entry.image_start * XN_BLOCK,
			    before.image_len);
	assert_ok(xn_template_image(fx->xn, fx->type[T_NODE], image, before.image_len, &len));
	assert_memory_equal(image, crashdev_now(fx->medium) + entry.image_start * XN_BLOCK, len);
	free(image);
}

/* There, ids were given in the order in which templates were loaded after each start. */
static void hole_type_ids_change_with_load_order(void **state)
{
	struct fixture *fx = *state;
	struct xn_template_info info;
	uint32_t type[T_CHILDREN];

	for (unsigned round = 0; round < 3; round++) {
		fixture_reopen(fx);
		for (unsigned i = T_NODE; i < T_CHILDREN; i++) {
			uint32_t id;

			assert_ok(xn_template_info(fx->xn, fx->type[i], &info));
			assert_ok(xn_template_find(fx->xn, info.name, &id));
			assert_int_equal(id, fx->type[i]);
		}
		/* Installed again, by whoever comes first: the same. */
		install_types(fx->session, type);
		assert_memory_equal(type, fx->type, sizeof(type));
	}
}

/* There, extents were compared by where they start. */
static void hole_extents_compared_without_counts(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t four = given_child(fx, fx->root, 0, 4, T_DATA);
	xn_blk_t more = given_free(fx, 2);
	const struct {
		uint64_t word, freed, taken;
	} rows[] = {
		{ T_POINTER(four, 3, T_DATA), 0, 0 },  { T_POINTER(four, 3, T_DATA), 4, 0 },
		{ T_POINTER(four, 2, T_DATA), 1, 0 },  { 0, 3, 0 },
		{ T_POINTER(more, 2, T_DATA), 4, 1 },  { T_POINTER(more, 1, T_DATA), 4, 2 },
		{ T_POINTER(four, 16, T_DATA), 0, 0 }, { T_POINTER(four, 4, T_DATA), 4, 0 },
	};
	xn_binding_t b;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 0, rows[i].word);
		if (rows[i].freed)
			request_free(&rq, four + 4 - rows[i].freed, rows[i].freed, XN_DATA);
		if (rows[i].taken)
			request_alloc(&rq, more, rows[i].taken, XN_DATA);
		assert_request_refused(fx, &rq, XN_EOWNS);
	}
	assert_refused(try_bind(fx, fx->session, fx->root, 0, four, 5, XN_DATA, RW, &b),
		       XN_ENOTOWNER);
}

/* There, a second call for writing did not look at the order. */
static void hole_ordering_bypassed_by_another_call(void **state)
{
	struct fixture *fx = *state;
	struct xn_extent self = { 0, 1, 0, 0 }, out[8];
	xn_blk_t data, node;
	int n;

	assert_ok(xn_sync(fx->session, 0));
	fixture_watch(fx, 4);
	node = given_node(fx, fx->root, 0, NULL);
	data = given_child(fx, node, 0, 1, T_DATA); /* never written */
	(void)data;
	self.start = fx->root;
	self.type = fx->type[T_NODE];
	assert_refused(xn_writeback(fx->session, &self, 1), XN_ETAINTED);
	assert_refused(xn_commit(fx->session, &self, 1), XN_ETAINTED);
	assert_refused(xn_sync(fx->session, fx->root_id), XN_ETAINTED);
	assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
	assert_ok(xn_flush(fx->session));
	n = xn_list_writeable(fx->session, fx->root_id, out, 8);
	for (int i = 0; i < n; i++) {
		assert_int_not_equal(out[i].start, fx->root);
		assert_ok(xn_writeback(fx->session, &out[i], 1));
	}
	assert_true(xn_reap(fx->session, 10) == 0);
	assert_refused(xn_writeback(fx->session, &self, 1), XN_ETAINTED);
	fixture_check_crashes(fx, 20);
	fixture_watch(fx, 0);
}

/* There, a pointer to plain data could be written before the data: old bytes showed. */
static void hole_data_exempt_from_order(void **state)
{
	struct fixture *fx = *state;

	for (uint64_t seed = 0; seed < 20; seed++) {
		uint8_t page[XN_BLOCK] = { 1 };
		xn_binding_t b;
		xn_blk_t data = given_child(fx, fx->root, 0, 1, T_DATA);

		/* The medium is full of 0xdb where nobody wrote. */
		assert_refused(xn_sync(fx->session, 0), XN_ETAINTED);
		b = given_bound(fx, fx->root, 0, data, 1, T_DATA, RW);
		assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
		for (unsigned i = 0; i < XN_BLOCK; i++)
			assert_int_equal(page[i], 0);
		fixture_check_crashes(fx, 4);
		fixture_crash(fx, seed);
		/* If the pointer is there, then so is what it points at. */
		if (try_bind(fx, fx->session, fx->root, 0, data, 1, XN_DATA, RW, &b))
			continue;
		assert_ok(xn_read(fx->session, b, 0, page, sizeof(page)));
		assert_int_equal(page[0], 0);
		given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	}
}

/* There, a block counted as clean from when its write was issued. */
static void hole_clean_means_issued(void **state)
{
	struct fixture *fx = *state;
	struct bdev_fault fault = {
		.kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_WRITE, .nth = 1, .forever = true
	};
	xn_blk_t data;
	struct xn_extent self = { 0, 1, XN_DATA, 0 }, owner = { fx->root, 1, 0, 0 };
	struct xn_root_info info;

	assert_ok(xn_sync(fx->session, 0));
	data = self.start = given_data(fx, fx->root, 0, 1, NULL);
	owner.type = fx->type[T_NODE];
	bdev_fault_arm(fx->dev, &fault);
	assert_refused(xn_writeback(fx->session, &self, 1), XN_EIO);
	bdev_fault_disarm(fx->dev);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.dirty, 2); /* issued, and not done: dirty still */
	assert_ok(xn_writeback(fx->session, &self, 1));
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(info.dirty, 1);
	/* Done, and not flushed: nothing may point at it. */
	assert_refused(xn_writeback(fx->session, &owner, 1), XN_ETAINTED);
	fixture_check_crashes(fx, 20);
	assert_ok(xn_flush(fx->session));
	assert_ok(xn_sync(fx->session, 0));
	(void)data;
}

/* There, nonsense from a user met an assertion. */
static void hole_user_errors_reach_assertions(void **state)
{
	struct fixture *fx = *state;
	static const uint64_t odd[] = {
		0, 1, 2, 1023, 1024, 1ull << 31, 1ull << 32, 1ull << 48, 1ull << 63, UINT64_MAX
	};
	struct xn_session *user = given_session(fx, 9, 0);
	uint64_t seed = 1;
	struct xn_extent out[4];
	xn_blk_t object;
	xn_binding_t b;

	assert_ok(xn_bind_root(user, "r", RW | XN_READIN, &b, &object));
	for (unsigned i = 0; i < 20000; i++) {
#define ODD (odd[chance(&seed) % 10])
		struct xn_extent extents[2] = { { ODD, ODD, (uint32_t)ODD, (uint32_t)ODD },
						{ object + ODD, ODD, (uint32_t)ODD, 0 } };
		struct xn_bind_request bind = { .owner = chance(&seed) % 2 ? object : ODD,
						.record = (uint32_t)ODD,
						.access = (uint32_t)ODD,
						.extent = extents[chance(&seed) % 2] };
		uint64_t word = ODD;
		struct xn_edit edits[2] = { { object, (uint32_t)ODD, (uint32_t)ODD % 9, &word },
					    { ODD, (uint32_t)ODD, 8, &word } };
		struct xn_expect expect = { object, ODD };
		struct xn_update update = { .expects = &expect,
					    .edits = edits,
					    .allocs = extents,
					    .frees = extents,
					    .n_expects = chance(&seed) % 2,
					    .n_edits = (uint32_t)(chance(&seed) % 3),
					    .n_allocs = (uint32_t)(chance(&seed) % 3),
					    .n_frees = (uint32_t)(chance(&seed) % 3),
					    .flags = (uint32_t)ODD };
		uint8_t bytes[64];

		/* Only a record that is written empty again may go through. */
		if (xn_update(user, &update) == 0)
			assert_true(update.n_allocs == 0 && update.n_frees == 0);
		if (!xn_bind(user, &bind, &b))
			fail_msg("nothing is owned, and something was bound");
		(void)xn_read(user, ODD, ODD, bytes, ODD % 64);
		(void)xn_write(user, ODD, ODD, bytes, ODD % 64);
		(void)xn_readin(user, ODD, ODD, ODD);
		(void)xn_writeback(user, extents, 2);
		(void)xn_blockers(user, ODD, out, 4);
		(void)xn_after(user, ODD, ODD);
		(void)xn_chunk_summary(fx->xn, ODD, &(uint32_t){ 0 });
		(void)xn_unbind(user, ODD & ~1ull);
		(void)xn_find_free(user, ODD, ODD, (uint32_t)ODD, out);
		(void)xn_space(user, (uint32_t)ODD, &(struct xn_space){ 0 });
		(void)xn_sync(user, (uint32_t)ODD | 2);
#undef ODD
	}
	xn_session_close(user);
}

/* There, "cheat" calls let those who knew them past the checks. */
static void hole_cheat_calls(void **state)
{
	struct fixture *fx = *state; /* uid 0, administrator: the most that there is */
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);
	xn_blk_t data = given_child(fx, node, 0, 1, T_DATA), spare = given_free(fx, 1);
	struct xn_extent self = { fx->root, 1, fx->type[T_NODE], 0 };
	struct request rq;
	xn_binding_t b;

	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(data, 1, T_DATA));
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(spare, 1, T_DATA));
	assert_request_refused(fx, &rq, XN_EOWNS);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, node, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_ENOTEMPTY);
	assert_refused(try_bind(fx, fx->session, fx->root, 0, data, 1, XN_DATA, RW, &b),
		       XN_ENOTOWNER);
	assert_refused(xn_writeback(fx->session, &self, 1), XN_ETAINTED);
	/* No flag is one: all that are not defined are refused. */
	for (uint32_t flag = XN_FREEING << 1; flag; flag <<= 1) {
		request_begin(&rq);
		request_word(&rq, fx->root, T_NODE_RAW, 1);
		rq.update.flags = flag;
		assert_request_refused(fx, &rq, -EINVAL);
	}
}

static void flip(struct fixture *fx, xn_blk_t block, uint32_t offset)
{
	uint8_t byte = crashdev_now(fx->medium)[block * XN_BLOCK + offset] ^ 0x40;

	fixture_poke(fx, block, offset, &byte, 1);
}

/* There, a bit that turned on the disk was believed. */
static void hole_no_checksums(void **state)
{
	struct fixture *fx = *state;
	struct xn_super super;
	struct xn_disk_info info;
	struct xn_extent found;
	struct xn_root_info root;

	given_data(fx, fx->root, 0, 1, NULL);
	fixture_close(fx);
	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	/* A map: nothing that it says is free is believed, until the roots are asked. */
	flip(fx, 1, 0x180);
	fixture_open(fx);
	assert_refused(xn_find_free(fx->session, 0, 1, 1, &found), XN_ENOSPACE);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged);
	xn_abandon(fx->xn);
	fixture_open(fx);
	fixture_reclaim(fx);
	assert_ok(xn_find_free(fx->session, 0, 1, 1, &found));
	fixture_close(fx);
	/* The superblock: its copy is taken.  A root's entry: its twin. */
	flip(fx, 0, 0x118);
	flip(fx, super.catalogue[XN_CAT_ROOTS], XN_SECTOR_SIZE + 40);
	fx->expect_damage = true; /* for fsck to mend */
	fixture_open(fx);
	assert_ok(xn_root_find(fx->xn, "r", &root));
	assert_int_equal(root.object, fx->root);
}

/* There, one bad block at the start of the disk was the end of it. */
static void hole_single_superblock(void **state)
{
	struct fixture *fx = *state;
	uint8_t junk[XN_BLOCK];
	struct xn_disk_info info;

	memset(junk, 0x5a, sizeof(junk));
	for (unsigned round = 0; round < 2; round++) {
		fixture_close(fx);
		fixture_poke(fx, round ? FIXTURE_BLOCKS - 1 : 0, 0, junk, sizeof(junk));
		fixture_open(fx); /* and makes the other one whole again */
		assert_ok(xn_disk_info(fx->xn, &info));
		assert_string_equal(info.label, "test");
		given_data(fx, fx->root, round, 1, NULL);
	}
}

/* ---- and what was never finished there ---- */

/* One disk of 768 MB. */
static void hole_small_disks(void **state)
{
	struct xn_format_opts format = { .label = "huge" };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR };
	struct xn_disk_info info;
	struct bdev *dev;
	struct xn *xn;

	(void)state;
	assert_ok(bdev_mem_create(16ull << 40, &dev));
	assert_ok(xn_format(dev, &format));
	assert_ok(xn_open_dev(dev, &opts, &xn));
	assert_ok(xn_disk_info(xn, &info));
	assert_int_equal(info.block_count, (16ull << 40) / XN_BLOCK);
	assert_ok(xn_close(xn));
}

/* No released version ran will-free: a freed block was given out while the disk named it. */
static void hole_no_will_free(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);
	struct xn_space space;
	struct request rq;

	assert_ok(xn_sync(fx->session, 0));
	given_no_child(fx, fx->root, 0, data, 1, T_DATA);
	assert_ok(xn_space(fx->session, fx->root_id, &space));
	assert_int_equal(space.will_free, 1);
	request_begin(&rq);
	request_word(&rq, fx->root, 8, T_POINTER(data, 1, T_DATA));
	request_alloc(&rq, data, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_ENOTFREE);
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(request_run(&rq, fx->session));
}

/* Nor recovery: what a crash left was left. */
static void hole_no_recovery(void **state)
{
	struct fixture *fx = *state;
	uint64_t before;

	assert_ok(xn_sync(fx->session, 0));
	before = free_blocks(fx);
	for (uint64_t seed = 0; seed < 10; seed++) {
		given_data(fx, fx->root, 5, 1, NULL);
		given_node(fx, fx->root, 6, NULL);
		given_child(fx, fx->root, 7, 20, T_RESERVED);
		fixture_crash(fx, 1); /* nothing of it reached the disk */
		assert_int_equal(free_blocks(fx), before);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hole_changes_confined_to_their_partition),
		TEST(hole_templates_immutable),
		TEST(hole_type_ids_change_with_load_order),
		TEST(hole_extents_compared_without_counts),
		TEST(hole_ordering_bypassed_by_another_call),
		TEST(hole_data_exempt_from_order),
		TEST(hole_clean_means_issued),
		TEST(hole_user_errors_reach_assertions),
		TEST(hole_cheat_calls),
		TEST(hole_no_checksums),
		TEST(hole_single_superblock),
		cmocka_unit_test(hole_small_disks),
		TEST(hole_no_will_free),
		TEST(hole_no_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
