/* SPDX-License-Identifier: MIT */
/*
 * Disks: formatting, opening, holding, closing, looking.
 */
#include "xn_fixture.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_rw(struct bdev *dev, struct xn **xn, char *why, size_t why_size)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .why = why,
				     .why_size = why_size };

	return xn_open_dev(dev, &opts, xn);
}

static struct bdev *given_memory(uint64_t size)
{
	struct bdev *dev;

	assert_ok(bdev_mem_create(size, &dev));
	return dev;
}

/* ---- formatting ---- */

static void a_new_disk_is_empty_and_clean(void **state)
{
	struct bdev *dev = given_memory(8u << 20);
	struct xn_format_opts format = { .label = "mine", .now_ns = 12345 };
	struct medium_report report;
	struct xn_disk_info info;
	struct xn_root_info root;
	struct xn *xn;

	(void)state;
	assert_ok(xn_format(dev, &format));
	assert_int_equal(medium_check_dev(dev, NULL, NULL, &report), 0);
	assert_true(report.clean);
	assert_ok(open_rw(dev, &xn, NULL, 0));
	assert_ok(xn_disk_info(xn, &info));
	assert_string_equal(info.label, "mine");
	assert_int_equal(info.block_count, 2048);
	assert_int_equal(info.format_time_ns, 12345);
	assert_int_equal(info.templates + info.roots, 0);
	assert_true(info.was_clean && info.writable && !info.damaged);
	assert_int_equal(info.mount_epoch, 1);
	assert_refused(xn_root_next(xn, 0, &root), XN_ENOROOT);
	assert_ok(xn_close(xn));
	assert_int_equal(medium_check_dev(dev, NULL, NULL, &report), 0);
	assert_true(report.clean);
	bdev_close(dev);
}

static void size_costs_nothing(void **state)
{
	struct bdev *below = given_memory(16ull << 40), *dev;
	struct xn_format_opts format = { .label = "" };
	struct bdev_counts counts;
	struct xn_extent found;
	struct xn *xn;

	(void)state;
	assert_ok(bdev_recorder_create(below, &dev));
	assert_ok(xn_format(dev, &format));
	assert_ok(open_rw(dev, &xn, NULL, 0));
	assert_ok(xn_close(xn));
	bdev_recorder_counts(dev, &counts);
	assert_true(counts.written_bytes < 4u << 20);
	assert_true(counts.read_bytes < 4u << 20);
	assert_ok(open_rw(dev, &xn, NULL, 0));
	{
		struct xn_cred cred = { 0 };
		struct xn_session *session;

		assert_ok(xn_session_open(xn, &cred, XN_SESSION_ADMIN, &session));
		assert_ok(xn_find_free(session, (16ull << 40) / XN_BLOCK - 9, 4, 1, &found));
		assert_int_equal(found.count, 4);
	}
	assert_ok(xn_close(xn));
	bdev_close(dev);
}

static void what_is_there_is_not_overwritten_unasked(void **state)
{
	struct bdev *dev = given_memory(4u << 20);
	struct xn_format_opts format = { .label = "" };
	uint8_t sector[512] = { 0 };

	(void)state;
	sector[510] = 0x55; /* a partition table's signature */
	assert_ok(bdev_write(dev, 0, sector, sizeof(sector), 0));
	assert_refused(xn_format(dev, &format), XN_EEXISTING);
	format.force = true;
	assert_ok(xn_format(dev, &format));
	format.force = false;
	assert_refused(xn_format(dev, &format), XN_EEXISTING); /* an XN disk */
	bdev_close(dev);
}

static void sizes_out_of_range_are_refused(void **state)
{
	struct xn_format_opts format = { .label = "" };
	const struct {
		uint64_t size;
		int error;
	} rows[] = { { (1u << 20) - 4096, XN_ESIZE }, { 1u << 20, 0 } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct bdev *dev = given_memory(rows[i].size);

		assert_refused(xn_format(dev, &format), rows[i].error);
		bdev_close(dev);
	}
}

static void formatting_that_fails_leaves_no_disk(void **state)
{
	uint64_t fired = 1;

	(void)state;
	for (uint64_t nth = 1; fired; nth++) {
		struct bdev *below, *dev;
		struct xn_format_opts format = { .label = "", .force = true };
		struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL,
					    .nth = nth,
					    .ops = 1u << BDEV_WRITE };
		struct xn *xn;
		int err;

		assert_ok(crashdev_create(2u << 20, &below));
		assert_ok(bdev_fault_create(below, &dev));
		bdev_fault_arm(dev, &fault);
		err = xn_format(dev, &format);
		fired = bdev_fault_disarm(dev);
		assert_refused(err, fired ? XN_EIO : 0);
		err = open_rw(dev, &xn, NULL, 0);
		if (fired && err) /* the superblock's last copy may be the one that failed */
			assert_refused(err, XN_EFOREIGN);
		if (!err)
			assert_ok(xn_close(xn));
		bdev_close(dev);
	}
}

/* ---- opening ---- */

static void what_is_no_disk_is_told_apart(void **state)
{
	struct bdev *dev = given_memory(4u << 20);
	struct xn_format_opts format = { .label = "" };
	uint8_t block[XN_BLOCK];
	char why[200] = "";
	struct xn *xn;

	(void)state;
	assert_refused(open_rw(dev, &xn, why, sizeof(why)), XN_EFOREIGN);
	assert_true(why[0] != '\0');
	assert_ok(xn_format(dev, &format));
	/* Both copies damaged: the magic is there, the checksum is wrong. */
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = i ? (4u << 20) - XN_BLOCK : 0;

		assert_ok(bdev_read(dev, at, block, sizeof(block)));
		block[0x40] ^= 1;
		assert_ok(bdev_write(dev, at, block, sizeof(block), 0));
	}
	assert_refused(open_rw(dev, &xn, why, sizeof(why)), XN_EDAMAGED);
	bdev_close(dev);
}

static void a_superblocks_copy_serves(void **state)
{
	struct bdev *dev = given_memory(4u << 20);
	struct xn_format_opts format = { .label = "kept" };
	uint8_t zero[XN_BLOCK] = { 0 };
	struct xn_disk_info info;
	struct xn *xn;

	(void)state;
	assert_ok(xn_format(dev, &format));
	assert_ok(bdev_write(dev, 0, zero, sizeof(zero), 0));
	assert_ok(open_rw(dev, &xn, NULL, 0));
	assert_ok(xn_disk_info(xn, &info));
	assert_string_equal(info.label, "kept");
	assert_ok(xn_close(xn));
	bdev_close(dev);
}

/* Rewrite the superblock in all its places. */
static void super_change(struct fixture *fx, void (*change)(struct xn_super *super))
{
	uint64_t places[3];
	unsigned n = xn_super_places(FIXTURE_BLOCKS, places);
	struct xn_super_disk disk;
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	change(&super);
	xn_super_encode(&super, &disk);
	for (unsigned i = 0; i < n; i++)
		fixture_poke(fx, places[i], 0, &disk, sizeof(disk));
}

static void need_a_feature(struct xn_super *super)
{
	super->incompat = 1ull << 60;
}

static void need_a_feature_to_write(struct xn_super *super)
{
	super->ro_compat = 1ull << 60;
}

static void need_nothing(struct xn_super *super)
{
	super->ro_compat = super->incompat = 0;
}

static void newer_formats_are_refused_as_they_ask(void **state)
{
	struct fixture *fx = *state;
	char why[200] = "";

	fixture_close(fx);
	super_change(fx, need_a_feature_to_write);
	assert_refused(open_rw(fx->dev, &fx->xn, why, sizeof(why)), XN_EREADONLY);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_ok(xn_close(fx->xn));
	super_change(fx, need_nothing);
	super_change(fx, need_a_feature);
	assert_refused(open_rw(fx->dev, &fx->xn, why, sizeof(why)), XN_EVERSION);
	fx->xn = NULL;
	fx->expect_damage = true;
}

static void a_disk_cut_short_is_refused(void **state)
{
	struct bdev *whole = given_memory(4u << 20), *half = given_memory(2u << 20);
	struct xn_format_opts format = { .label = "" };
	uint8_t *bytes = malloc(2u << 20);
	char why[200] = "";
	struct xn *xn;

	(void)state;
	assert_non_null(bytes);
	assert_ok(xn_format(whole, &format));
	assert_ok(bdev_read(whole, 0, bytes, 2u << 20));
	assert_ok(bdev_write(half, 0, bytes, 2u << 20, 0));
	assert_refused(open_rw(half, &xn, why, sizeof(why)), XN_ETRUNCATED);
	assert_non_null(strstr(why, "1024"));
	free(bytes);
	bdev_close(whole);
	bdev_close(half);
}

static void the_holder_of_a_disk_is_named(void **state)
{
	char path[] = "/tmp/xn-disk-test-XXXXXX", why[200] = "", pid[32];
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR };
	struct xn_format_opts format = { .label = "" };
	struct bdev *dev;
	struct xn *xn, *second;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_ok(bdev_open(path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, 4u << 20, &dev));
	assert_ok(bdev_resize(dev, 4u << 20));
	assert_ok(xn_format(dev, &format));
	bdev_close(dev);
	assert_ok(xn_open(path, &opts, &xn));
	opts.why = why;
	opts.why_size = sizeof(why);
	assert_refused(xn_open(path, &opts, &second), XN_EHELD);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_non_null(strstr(why, pid));
	opts.flags = XN_OPEN_RDONLY;
	assert_refused(xn_open(path, &opts, &second), XN_EHELD);
	assert_ok(xn_close(xn));
	assert_ok(xn_open(path, &opts, &xn));
	assert_ok(xn_open(path, &opts, &second)); /* readers do not mind each other */
	assert_ok(xn_close(xn));
	assert_ok(xn_close(second));
	unlink(path);
	assert_refused(xn_open(path, &opts, &second), -ENOENT);
}

static void opening_for_reading_writes_nothing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t data = given_data(fx, fx->root, 0, 1, NULL);

	for (unsigned unclean = 0; unclean < 2; unclean++) {
		uint64_t writes, before;
		struct xn_disk_info info;
		xn_binding_t b;

		assert_ok(xn_sync(fx->session, 0));
		before = free_blocks(fx);
		if (unclean)
			xn_abandon(fx->xn);
		else
			assert_ok(xn_close(fx->xn));
		writes = crashdev_writes(fx->medium);
		fixture_open_as(fx, XN_OPEN_RDONLY);
		b = given_bound(fx, fx->root, 0, data, 1, T_DATA, XN_READ);
		assert_ok(xn_readin(fx->session, b, 0, 1));
		assert_ok(xn_disk_info(fx->xn, &info));
		assert_int_equal(info.was_clean, !unclean);
		assert_false(info.writable);
		assert_int_equal(info.free_blocks, before); /* counted from the map, if need be */
		assert_int_equal(info.reclaimable, unclean);
		assert_ok(xn_close(fx->xn));
		assert_int_equal(crashdev_writes(fx->medium), writes);
		fixture_open(fx);
	}
}

static void each_opening_for_writing_is_an_epoch(void **state)
{
	struct fixture *fx = *state;
	struct xn_disk_info first, second;

	assert_ok(xn_disk_info(fx->xn, &first));
	fixture_reopen(fx);
	assert_ok(xn_disk_info(fx->xn, &second));
	assert_int_equal(second.mount_epoch, first.mount_epoch + 1);
	assert_true(second.was_clean);
	fixture_crash(fx, 0);
	assert_ok(xn_disk_info(fx->xn, &second));
	assert_false(second.was_clean);
}

/* ---- recovery ---- */

static void recovery_finds_the_free_map_again(void **state)
{
	struct fixture *fx = *state;
	uint64_t before;

	for (uint32_t i = 0; i < 20; i++) {
		xn_blk_t node = given_node(fx, fx->root, i, NULL);

		given_data(fx, node, 0, i, NULL);
		given_child(fx, node, 100, 5, T_RESERVED);
	}
	assert_ok(xn_sync(fx->session, 0));
	before = free_blocks(fx);
	given_child(fx, fx->root, 400, 100, T_RESERVED); /* never reaches the disk */
	assert_ok(xn_flush(fx->session));                /* but the map that shows it does */
	fixture_crash(fx, 1);
	assert_int_equal(free_blocks(fx), before);
	fixture_reopen(fx);
	assert_int_equal(free_blocks(fx), before);
}

static void a_second_crash_during_recovery_is_recovered_too(void **state)
{
	struct fixture *fx = *state;
	uint64_t before;

	given_data(fx, fx->root, 0, 1, NULL);
	assert_ok(xn_sync(fx->session, 0));
	before = free_blocks(fx);
	for (uint64_t seed = 0; seed < 20; seed++) {
		fixture_crash(fx, seed); /* whatever opening wrote is torn */
		assert_int_equal(free_blocks(fx), before);
	}
}

static void a_damaged_map_block_counts_as_in_use(void **state)
{
	struct fixture *fx = *state;
	uint8_t junk[XN_BLOCK];
	struct xn_disk_info info;
	struct xn_extent found;

	given_data(fx, fx->root, 0, 1, NULL);
	fixture_close(fx);
	memset(junk, 0x77, sizeof(junk));
	fixture_poke(fx, 1, 0, junk, sizeof(junk));
	fixture_open(fx);
	assert_refused(xn_find_free(fx->session, 0, 1, 1, &found), XN_ENOSPACE);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged);
	xn_abandon(fx->xn);
	fixture_open(fx);
	fixture_reclaim(fx); /* the map is made anew from the roots */
	assert_ok(xn_find_free(fx->session, 0, 1, 1, &found));
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.damaged);
}

/* ---- space ---- */

static void free_blocks_are_found_where_they_are_wished(void **state)
{
	struct fixture *fx = *state;
	struct xn_extent found;

	assert_ok(xn_find_free(fx->session, 500, 10, 1, &found));
	assert_int_equal(found.start, 500);
	assert_int_equal(found.count, 10);
	assert_int_equal(found.type, XN_DATA);
	for (uint32_t align = 2; align <= 64; align++) {
		assert_ok(xn_find_free(fx->session, 0, 3, align, &found));
		assert_int_equal(found.start % align, 0);
	}
	assert_ok(xn_find_free(fx->session, 1ull << 60, 1, 1, &found)); /* anywhere, then */
	assert_refused(xn_find_free(fx->session, 0, 0, 1, &found), -EINVAL);
	assert_refused(xn_find_free(fx->session, 0, 1, 16385, &found), -EINVAL);
}

static void alignment_counts_from_the_start_of_the_disk(void **state)
{
	struct fixture *fx = fixture_new(3 * XN_CHUNK_BLOCKS, XN_CACHE_MIN);
	struct xn_extent found;
	uint64_t before;

	(void)state;
	assert_ok(xn_find_free(fx->session, XN_CHUNK_BLOCKS + 100, 4, 3, &found));
	assert_int_equal(found.start % 3, 0);
	assert_true(found.start > XN_CHUNK_BLOCKS);
	before = free_blocks(fx);
	fixture_crash(fx, 0); /* chunks that were never used count, too */
	assert_int_equal(free_blocks(fx), before);
	fixture_free(fx);
}

static void two_lookers_are_led_to_different_places(void **state)
{
	struct fixture *fx = *state;
	struct xn_extent a, b;

	assert_ok(xn_find_free(fx->session, 0, 8, 1, &a));
	assert_ok(xn_find_free(fx->session, 0, 8, 1, &b));
	assert_true(a.start + a.count <= b.start || b.start + b.count <= a.start);
}

static void a_full_disk_says_so(void **state)
{
	struct fixture *fx = *state;
	struct xn_extent found;
	struct xn_space space;
	uint32_t record = 0;

	while (xn_find_free(fx->session, 0, 200, 1, &found) == 0) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 8 * record++,
			     T_POINTER(found.start, found.count, T_RESERVED));
		request_alloc(&rq, found.start, found.count, XN_RESERVED);
		assert_ok(request_run(&rq, fx->session));
	}
	assert_refused(xn_find_free(fx->session, 0, 1, 1, &found), XN_ENOSPACE);
	assert_int_equal(free_blocks(fx), 0);
	assert_ok(xn_space(fx->session, fx->root_id, &space));
	assert_int_equal(space.available, 0);
	assert_refused(xn_space(fx->session, 99, &space), XN_ENOROOT);
}

static void chunks_are_shown(void **state)
{
	struct fixture *fx = *state;
	uint8_t map[XN_CHUNK_BLOCKS / 8];
	uint32_t free_count, counted = 0;

	assert_ok(xn_chunk_summary(fx->xn, 0, &free_count));
	assert_ok(xn_chunk_map(fx->xn, 0, map));
	for (uint32_t b = 0; b < XN_CHUNK_BLOCKS; b++)
		counted += !(map[b / 8] >> (b % 8) & 1);
	assert_int_equal(counted, free_count);
	assert_int_equal(free_count, free_blocks(fx));
	assert_true(map[0] & 3); /* superblock and map */
	assert_refused(xn_chunk_summary(fx->xn, 1, &free_count), -ERANGE);
	assert_refused(xn_chunk_map(fx->xn, 1, map), -ERANGE);
}

/* Blocks of the second and third chunk, whose maps nobody has read yet. */
static void disks_of_several_chunks_work_alike(void **state)
{
	struct fixture *fx = fixture_new(3 * XN_CHUNK_BLOCKS, XN_CACHE_MIN);
	uint64_t before = free_blocks(fx);
	xn_blk_t far = 2 * XN_CHUNK_BLOCKS + 50;
	struct request rq;

	(void)state;
	request_begin(&rq);
	request_word(&rq, fx->root, 0, T_POINTER(far, 8, T_RESERVED));
	request_word(&rq, fx->root, 8, T_POINTER(2 * XN_CHUNK_BLOCKS - 3, 3, T_RESERVED));
	request_alloc(&rq, far, 8, XN_RESERVED);
	request_alloc(&rq, 2 * XN_CHUNK_BLOCKS - 3, 3, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	fixture_watch(fx, 1);
	assert_ok(xn_sync(fx->session, 0));
	fixture_watch(fx, 0);
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_reopen(fx);
	assert_int_equal(free_blocks(fx), before - 11);
	request_begin(&rq);
	request_word(&rq, fx->root, 0, 0);
	request_free(&rq, far, 8, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	assert_ok(xn_sync(fx->session, 0));
	assert_int_equal(free_blocks(fx), before - 3);
	fixture_crash(fx, 0);
	assert_int_equal(free_blocks(fx), before - 3);
	fixture_free(fx);
}

/* ---- looking at everything ---- */

static void the_walker_tells_all_that_is_owned(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 4, 0);
	struct xn_walker *walker;
	struct xn_walk_item item;
	uint64_t blocks = 0, objects = 0;
	struct xn_root_info info;
	xn_blk_t at = fx->root;

	for (unsigned i = 0; i < 5; i++) {
		given_data(fx, at, 1, i, NULL);
		given_child(fx, at, 2, 4, T_PAIR);
		at = given_node(fx, at, 7, NULL);
	}
	assert_refused(xn_walker_create(user, 0, &walker), XN_ECRED);
	assert_refused(xn_walker_create(fx->session, 9, &walker), XN_ENOROOT);
	assert_ok(xn_walker_create(fx->session, fx->root_id, &walker));
	while (xn_walker_next(walker, &item) == 1) {
		assert_int_equal(item.error, 0);
		assert_int_equal(item.root, fx->root_id);
		blocks += item.extent.count;
		objects += item.extent.type > XN_RESERVED;
		if (item.depth == 0)
			assert_int_equal(item.extent.start, fx->root);
	}
	xn_walker_destroy(walker);
	assert_ok(xn_root_find(fx->xn, "r", &info));
	assert_int_equal(blocks, info.used);
	assert_int_equal(objects, 1 + 5 + 5);
}

/* Objects that one extent names are entered each, and each once. */
static void the_walker_enters_every_object_of_an_extent(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t first = given_child(fx, fx->root, 0, 4, T_NODE), data[4];
	struct xn_walker *walker;
	struct xn_walk_item item;
	unsigned met = 0;

	for (unsigned i = 0; i < 4; i++) {
		given_bound(fx, fx->root, 0, first + i, 1, T_NODE, XN_READ | XN_WRITE | XN_READIN);
		data[i] = given_child(fx, first + i, 3, 1, T_DATA);
	}
	assert_ok(xn_walker_create(fx->session, fx->root_id, &walker));
	while (xn_walker_next(walker, &item) == 1) {
		if (item.depth != 2)
			continue;
		assert_in_range(item.owner, first, first + 3);
		assert_int_equal(item.extent.start, data[item.owner - first]);
		assert_int_equal(item.record, 3);
		met++;
	}
	xn_walker_destroy(walker);
	assert_int_equal(met, 4);
	for (unsigned i = 0; i < 4; i++)
		given_written(fx, first + i, 3, data[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_disk_is_empty_and_clean),
		cmocka_unit_test(size_costs_nothing),
		cmocka_unit_test(what_is_there_is_not_overwritten_unasked),
		cmocka_unit_test(sizes_out_of_range_are_refused),
		cmocka_unit_test(formatting_that_fails_leaves_no_disk),
		cmocka_unit_test(what_is_no_disk_is_told_apart),
		cmocka_unit_test(a_superblocks_copy_serves),
		TEST(newer_formats_are_refused_as_they_ask),
		cmocka_unit_test(a_disk_cut_short_is_refused),
		cmocka_unit_test(the_holder_of_a_disk_is_named),
		TEST(opening_for_reading_writes_nothing),
		TEST(each_opening_for_writing_is_an_epoch),
		TEST(recovery_finds_the_free_map_again),
		TEST(a_second_crash_during_recovery_is_recovered_too),
		TEST(a_damaged_map_block_counts_as_in_use),
		TEST(free_blocks_are_found_where_they_are_wished),
		cmocka_unit_test(alignment_counts_from_the_start_of_the_disk),
		TEST(two_lookers_are_led_to_different_places),
		TEST(a_full_disk_says_so),
		TEST(chunks_are_shown),
		cmocka_unit_test(disks_of_several_chunks_work_alike),
		TEST(the_walker_tells_all_that_is_owned),
		TEST(the_walker_enters_every_object_of_an_extent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
