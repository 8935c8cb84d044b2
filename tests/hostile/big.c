/* SPDX-License-Identifier: MIT */
/*
 * A tree as large as that of a file of 4 GiB, one pointer a block, taken apart with
 * a cache of 1 MiB: more metadata than the cache holds, by eight.
 */
#include "xn_fixture.h"

#define FILE_BLOCKS (1u << 20)
#define CACHE_BYTES (1u << 20)

struct disk {
	struct bdev *dev;
	struct xn *xn;
	struct xn_session *session;
	uint32_t type[T_CHILDREN], root_id;
	xn_blk_t root;
	uint64_t most_bytes; /* that the cache ever held */
};

static void look(struct disk *d)
{
	struct xn_stats stats;

	xn_stats(d->xn, &stats);
	if (stats.cache_bytes > d->most_bytes)
		d->most_bytes = stats.cache_bytes;
}

static void disk_open(struct disk *d)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = CACHE_BYTES };
	struct xn_cred cred = { 0 };
	xn_binding_t b;

	assert_ok(xn_open_dev(d->dev, &opts, &d->xn));
	assert_ok(xn_session_open(d->xn, &cred, XN_SESSION_ADMIN, &d->session));
	if (d->root)
		assert_ok(xn_bind_root(d->session, "r", XN_READ | XN_WRITE | XN_READIN, &b,
				       &d->root));
}

static void disk_make(struct disk *d)
{
	struct xn_format_opts format = { .label = "big" };
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_root_info info;

	assert_ok(bdev_mem_create(5ull << 30, &d->dev));
	assert_ok(xn_format(d->dev, &format));
	disk_open(d);
	install_types(d->session, d->type);
	spec.type = d->type[T_NODE];
	assert_ok(xn_root_create(d->session, &spec, &info));
	d->root_id = info.id;
	assert_ok(xn_close(d->xn));
	d->root = info.object;
	disk_open(d);
}

static uint64_t blocks_free(struct disk *d)
{
	struct xn_disk_info info;

	assert_ok(xn_disk_info(d->xn, &info));
	return info.free_blocks;
}

static void run(struct disk *d, struct request *rq)
{
	int err = request_run(rq, d->session);

	if (err)
		print_error("%s\n", rq->why.text);
	assert_ok(err);
}

static xn_binding_t bind_node(struct disk *d, xn_blk_t owner, uint32_t record, xn_blk_t node)
{
	struct xn_bind_request request = { .owner = owner,
					   .record = record,
					   .access = XN_READ | XN_WRITE | XN_READIN,
					   .extent = { node, 1, d->type[T_NODE], 0 } };
	xn_binding_t b;

	assert_ok(xn_bind(d->session, &request, &b));
	return b;
}

static xn_blk_t make_node(struct disk *d, xn_blk_t owner, uint32_t record)
{
	struct xn_extent found;
	struct request rq;

	assert_ok(xn_find_free(d->session, owner + 1, 1, 1, &found));
	request_begin(&rq);
	request_word(&rq, owner, record * 8, T_POINTER(found.start, 1, T_NODE));
	request_alloc(&rq, found.start, 1, d->type[T_NODE]);
	run(d, &rq);
	return found.start;
}

/*
 * The lowest level: as many single blocks as a node names.  Most are reserved, so
 * that the test needs no 4 GiB to write them; one is data, written.
 */
static uint64_t fill_leaf(struct disk *d, xn_blk_t leaf, uint64_t left)
{
	uint64_t words[T_NODE_RECORDS], n = 0;
	uint8_t page[XN_BLOCK];
	struct xn_bind_request bind = { .owner = leaf, .access = XN_WRITE };
	struct xn_extent found;
	struct request rq;
	xn_binding_t b;

	while (n < T_NODE_RECORDS && n < left) {
		uint64_t want = T_NODE_RECORDS - n < left - n ? T_NODE_RECORDS - n : left - n;
		uint64_t data = n == 0;

		assert_ok(xn_find_free(d->session, 0, want, 1, &found));
		request_begin(&rq);
		for (uint64_t i = 0; i < found.count; i++)
			words[n + i] = T_POINTER(found.start + i, 1, n + i ? T_RESERVED : T_DATA);
		if (data)
			request_alloc(&rq, found.start, 1, XN_DATA);
		if (found.count > data)
			request_alloc(&rq, found.start + data, found.count - data, XN_RESERVED);
		request_edit(&rq, leaf, (uint32_t)(n * 8), &words[n], (uint32_t)(found.count * 8));
		run(d, &rq);
		n += found.count;
	}
	bind.extent = (struct xn_extent){ T_START(words[0]), 1, XN_DATA, 0 };
	assert_ok(xn_bind(d->session, &bind, &b));
	stamp_fill(page, bind.extent.start, leaf, 1);
	assert_ok(xn_write(d->session, b, 0, page, sizeof(page)));
	assert_ok(xn_unbind(d->session, b));
	return n;
}

/* Top node, middle nodes, leaves. */
static xn_blk_t make_file(struct disk *d, uint64_t *objects)
{
	xn_blk_t top = make_node(d, d->root, 0);
	xn_binding_t top_b = bind_node(d, d->root, 0, top);
	uint64_t left = FILE_BLOCKS;

	*objects = 1;
	for (uint32_t m = 0; left > 0; m++) {
		xn_blk_t middle = make_node(d, top, m);
		xn_binding_t middle_b = bind_node(d, top, m, middle);

		++*objects;
		for (uint32_t l = 0; l < T_NODE_RECORDS && left > 0; l++) {
			xn_blk_t leaf = make_node(d, middle, l);
			xn_binding_t b = bind_node(d, middle, l, leaf);

			left -= fill_leaf(d, leaf, left);
			assert_ok(xn_unbind(d->session, b));
			++*objects;
			if (l % 32 == 31)
				assert_ok(xn_sync(d->session, d->root_id));
			look(d);
		}
		assert_ok(xn_unbind(d->session, middle_b));
	}
	assert_ok(xn_unbind(d->session, top_b));
	assert_ok(xn_sync(d->session, d->root_id));
	return top;
}

static void a_file_of_4_gib_is_removed_with_1_mib_of_cache(void **state)
{
	struct disk d = { 0 };
	uint64_t before, objects, reaped = 0;
	struct xn_root_info info;
	struct request rq;
	int64_t left;
	xn_blk_t top;

	(void)state;
	disk_make(&d);
	before = blocks_free(&d);
	top = make_file(&d, &objects);
	assert_true(objects * XN_BLOCK > 8 * CACHE_BYTES);
	assert_int_equal(before - blocks_free(&d), FILE_BLOCKS + objects);
	assert_ok(xn_close(d.xn));
	disk_open(&d);

	request_begin(&rq);
	request_word(&rq, d.root, 0, 0);
	request_free(&rq, top, 1, d.type[T_NODE]);
	rq.update.flags = XN_REAP;
	run(&d, &rq);
	assert_ok(xn_sync(d.session, d.root_id));
	do {
		left = xn_reap(d.session, 100);
		assert_true(left >= 0);
		reaped += 100;
		look(&d);
	} while (left > 0);
	assert_true(reaped >= objects);
	assert_int_equal(blocks_free(&d), before);
	assert_ok(xn_root_find(d.xn, "r", &info));
	assert_int_equal(info.used, 1);
	assert_true(d.most_bytes <= CACHE_BYTES);
	assert_ok(xn_close(d.xn));
	disk_open(&d);
	assert_int_equal(blocks_free(&d), before);
	xn_abandon(d.xn);
	disk_open(&d); /* and by recovery's count */
	assert_int_equal(blocks_free(&d), before);
	assert_ok(xn_close(d.xn));
	bdev_close(d.dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_4_gib_is_removed_with_1_mib_of_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
