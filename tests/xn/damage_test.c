/* SPDX-License-Identifier: MIT */
/*
 * Disks that somebody else has written on.  Nothing here is ever an assertion, and
 * what is damaged is read-only from then on.
 */
#include "xn_fixture.h"

#define RW (XN_READ | XN_WRITE)

static int bind(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start, uint64_t count,
		enum t_child child, uint32_t access)
{
	xn_binding_t binding;

	return try_bind(fx, fx->session, owner, record, start, count, fx->type[child], access,
			&binding);
}

static int edit(struct fixture *fx, xn_blk_t object)
{
	struct request rq;

	request_begin(&rq);
	request_word(&rq, object, T_NODE_RAW, 1);
	return request_run(&rq, fx->session);
}

static void poke_word(struct fixture *fx, xn_blk_t object, uint32_t record, uint64_t word)
{
	fixture_poke(fx, object, record * 8, &word, sizeof(word));
}

/* Two nodes name one child: whoever binds it second finds out, and both are marked. */
static void an_object_with_two_owners_damages_both(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t child = given_node(fx, a, 0, NULL);
	struct xn_disk_info info;

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, b, 0, T_POINTER(child, 1, T_NODE));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, a, 0, child, 1, T_NODE, RW | XN_READIN);
	assert_refused(bind(fx, b, 0, child, 1, T_NODE, XN_READ), XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
	assert_refused(edit(fx, b), XN_EOBJDAMAGED);
	assert_refused(bind(fx, a, 0, child, 1, T_NODE, XN_WRITE), XN_EOBJDAMAGED);
	assert_ok(edit(fx, fx->root));
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged);
	fixture_check(fx);
}

static void an_object_known_under_another_owner_is_not_freed(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t child = given_node(fx, a, 0, NULL);
	struct request rq;

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, b, 0, T_POINTER(child, 1, T_NODE));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, a, 0, child, 1, T_NODE, RW | XN_READIN);
	request_begin(&rq);
	request_word(&rq, b, 0, 0);
	request_free(&rq, child, 1, fx->type[T_NODE]);
	assert_request_refused(fx, &rq, XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
	assert_refused(edit(fx, b), XN_EOBJDAMAGED);
}

static void data_with_two_owners_damages_both(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t data = given_data(fx, a, 0, 1, NULL);
	xn_binding_t one, two;
	uint8_t bytes[XN_BLOCK];

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, b, 0, T_POINTER(data, 1, T_DATA));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
	one = given_bound(fx, a, 0, data, 1, T_DATA, RW);
	two = given_bound(fx, b, 0, data, 1, T_DATA, RW);
	assert_ok(xn_read(fx->session, one, 0, bytes, sizeof(bytes)));
	assert_refused(xn_read(fx->session, two, 0, bytes, sizeof(bytes)), XN_EOBJDAMAGED);
	assert_refused(xn_write(fx->session, one, 0, bytes, sizeof(bytes)), XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
	assert_refused(edit(fx, b), XN_EOBJDAMAGED);
	fixture_check(fx);
}

static void assert_reclaim_gives_up(struct fixture *fx)
{
	uint64_t before = free_blocks(fx);
	int more;

	do
		more = xn_reclaim(fx->session, 2, NULL);
	while (more == 1);
	assert_refused(more, XN_EDAMAGED);
	assert_refused(xn_reclaim(fx->session, 1, NULL), XN_EDAMAGED);
	assert_int_equal(free_blocks(fx), before);
}

/* After an unclean stop the walk meets both owners, before anybody binds anything. */
static void reclaim_finds_double_owners_and_frees_nothing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, fx->root, 1, NULL);
	xn_blk_t data = given_data(fx, a, 0, 1, NULL);
	struct xn_disk_info info;

	fx->expect_damage = true;
	assert_ok(xn_sync(fx->session, 0));
	xn_abandon(fx->xn);
	poke_word(fx, b, 0, T_POINTER(data, 1, T_DATA));
	fixture_open(fx);
	assert_reclaim_gives_up(fx);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged && info.reclaimable);
	/* The owner met second; the other one when both are bound. */
	assert_true(bind(fx, fx->root, 0, a, 1, T_NODE, RW) ||
		    bind(fx, fx->root, 1, b, 1, T_NODE, RW));
	assert_ok(bind(fx, fx->root, 1, b, 1, T_NODE, XN_READ | XN_READIN));
	assert_ok(edit(fx, fx->root));
}

static void a_ring_on_disk_ends_the_walk(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, a, 0, NULL);
	struct xn_walker *walker;
	struct xn_walk_item item;
	unsigned odd = 0;
	int result;

	fx->expect_damage = true;
	assert_ok(xn_sync(fx->session, 0));
	xn_abandon(fx->xn);
	poke_word(fx, b, 5, T_POINTER(a, 1, T_NODE));
	poke_word(fx, b, 6, T_POINTER(fx->root, 1, T_NODE));
	poke_word(fx, b, 7, T_POINTER(b, 1, T_NODE));
	fixture_open(fx);
	assert_ok(xn_walker_create(fx->session, 0, &walker));
	while ((result = xn_walker_next(walker, &item)) == 1)
		odd += item.error != 0;
	assert_int_equal(result, 0);
	assert_int_equal(odd, 3);
	xn_walker_destroy(walker);
}

/* Binding a ring must not make XN climb for ever. */
static void a_ring_on_disk_cannot_be_bound_into(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, a, 0, NULL);

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, b, 5, T_POINTER(a, 1, T_NODE));
	poke_word(fx, b, 6, T_POINTER(fx->root, 1, T_NODE));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, a, 0, b, 1, T_NODE, RW | XN_READIN);
	assert_refused(bind(fx, b, 5, a, 1, T_NODE, XN_READ), XN_EOBJDAMAGED);
	assert_refused(bind(fx, b, 6, fx->root, 1, T_NODE, XN_READ), XN_EOBJDAMAGED);
	fixture_check(fx);
}

static void a_free_block_that_is_named_damages_its_owner(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	uint32_t free_count;
	xn_blk_t free;
	struct request rq;

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, a, 0, T_POINTER(700, 1, T_NODE));
	poke_word(fx, a, 1, T_POINTER(701, 1, T_DATA));
	fixture_open(fx);
	assert_ok(xn_chunk_summary(fx->xn, 0, &free_count)); /* reads the map */
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	assert_refused(bind(fx, a, 0, 700, 1, T_NODE, XN_READ), XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
	free = given_free(fx, 1);
	request_begin(&rq); /* freeing what is free: refused, and the same verdict */
	request_word(&rq, fx->root, 8, T_POINTER(free, 1, T_RESERVED));
	request_alloc(&rq, free, 1, XN_RESERVED);
	assert_ok(request_run(&rq, fx->session));
	fixture_check(fx);
}

static void freeing_what_is_free_already_is_refused(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	struct request rq;

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, a, 0, T_POINTER(700, 1, T_DATA));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	request_begin(&rq);
	request_word(&rq, a, 0, 0);
	request_free(&rq, 700, 1, XN_DATA);
	assert_request_refused(fx, &rq, XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
}

/* Block 700, which the disk calls free, under `a`; and given to `b` since. */
static void given_named_and_given(struct fixture *fx, xn_blk_t *a, xn_blk_t *b)
{
	struct request rq;

	*a = given_node(fx, fx->root, 0, NULL);
	*b = given_node(fx, fx->root, 1, NULL);
	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, *a, 0, T_POINTER(700, 1, T_DATA));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, *a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, *b, 1, T_NODE, RW | XN_READIN);
	request_begin(&rq);
	request_word(&rq, *b, 0, T_POINTER(700, 1, T_DATA));
	request_alloc(&rq, 700, 1, XN_DATA);
	assert_ok(request_run(&rq, fx->session));
}

static void assert_free_or_retype_is_refused(struct fixture *fx, xn_blk_t a, bool retype)
{
	struct xn_retype idle = { { 700, 1, XN_DATA, 0 }, XN_RESERVED, 0 };
	struct request rq;

	request_begin(&rq);
	request_word(&rq, a, 0, retype ? T_POINTER(700, 1, T_RESERVED) : 0);
	if (retype) {
		rq.update.retypes = &idle;
		rq.update.n_retypes = 1;
	} else {
		request_free(&rq, 700, 1, XN_DATA);
	}
	assert_request_refused(fx, &rq, XN_EOBJDAMAGED);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
}

/* Who names a block that was given to somebody else neither frees nor changes nor moves it. */
static void what_was_given_to_another_is_not_given_up(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 6; way++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 0);
		struct request rq;
		xn_blk_t a, b;

		given_named_and_given(fx, &a, &b);
		if (way % 2)
			given_written(fx, b, 0, 700);
		if (way < 4) {
			assert_free_or_retype_is_refused(fx, a, way < 2);
		} else {
			request_move(&rq, a, 0, fx->root, 9, T_POINTER(700, 1, T_DATA));
			assert_request_refused(fx, &rq, XN_EOBJDAMAGED);
		}
		fixture_check(fx);
		fixture_free(fx);
	}
}

/* Where nobody can tell whose it was, somebody's count is wrong: damage, and no end of XN. */
static void a_block_counted_under_another_is_damage(void **state)
{
	struct fixture *fx = *state;
	struct xn_disk_info info;
	struct request rq;
	xn_blk_t a, b, own;

	given_named_and_given(fx, &a, &b);
	own = given_child(fx, a, 1, 1, T_DATA);
	request_begin(&rq);
	request_word(&rq, a, 0, 0);
	request_free(&rq, 700, 1, XN_DATA);
	(void)request_run(&rq, fx->session);
	given_written(fx, a, 1, own);
	(void)xn_sync(fx->session, 0);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged);
	xn_abandon(fx->xn);
	fixture_open(fx);
}

/* Two disks' worth of lies: a block that is known under an owner and called free. */
static void a_block_known_under_an_owner_is_not_given_to_another(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	xn_blk_t b = given_node(fx, fx->root, 1, NULL);
	xn_binding_t binding;
	uint8_t bytes[XN_BLOCK];
	struct request rq;

	fx->expect_damage = true;
	fixture_close(fx);
	poke_word(fx, a, 0, T_POINTER(700, 1, T_DATA));
	fixture_open(fx);
	given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
	given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
	binding = given_bound(fx, a, 0, 700, 1, T_DATA, RW);
	assert_ok(xn_read(fx->session, binding, 0, bytes, sizeof(bytes)));
	request_begin(&rq);
	request_word(&rq, b, 0, T_POINTER(700, 1, T_DATA));
	request_alloc(&rq, 700, 1, XN_DATA);
	assert_refused(request_run(&rq, fx->session), XN_ENOTFREE);
	assert_refused(edit(fx, a), XN_EOBJDAMAGED);
}

/* Objects of two blocks, met by their second: as an object, as data, as a free block. */
static void the_inside_of_an_object_is_nobody_else_s(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 0);
		xn_blk_t a = given_node(fx, fx->root, 0, NULL);
		xn_blk_t b = given_node(fx, fx->root, 1, NULL);
		xn_blk_t pair = given_child(fx, a, 0, 2, T_PAIR);
		struct request rq;

		fx->expect_damage = true;
		fixture_close(fx);
		poke_word(fx, b, 0, T_POINTER(pair + 1, 1, T_NODE));
		poke_word(fx, b, 1, T_POINTER(pair + 1, 1, T_DATA));
		poke_word(fx, b, 2, T_POINTER(700, 2, T_PAIR));
		fixture_open(fx);
		given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
		given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
		if (way == 0) {
			given_bound(fx, a, 0, pair, 2, T_PAIR, RW | XN_READIN);
			assert_refused(bind(fx, b, 0, pair + 1, 1, T_NODE, RW), XN_EOBJDAMAGED);
		} else if (way == 1) {
			given_bound(fx, b, 0, pair + 1, 1, T_NODE, RW);
			assert_refused(bind(fx, a, 0, pair, 2, T_PAIR, RW), XN_EOBJDAMAGED);
		} else if (way == 2) {
			given_bound(fx, a, 0, pair, 2, T_PAIR, RW | XN_READIN);
			assert_refused(bind(fx, b, 1, pair + 1, 1, T_DATA, XN_READ | XN_READIN),
				       XN_EOBJDAMAGED);
		} else {
			given_bound(fx, b, 2, 700, 2, T_PAIR, RW);
			request_begin(&rq);
			request_word(&rq, a, 8, T_POINTER(701, 1, T_DATA));
			request_alloc(&rq, 701, 1, XN_DATA);
			assert_refused(request_run(&rq, fx->session), XN_ENOTFREE);
		}
		assert_refused(edit(fx, b), XN_EOBJDAMAGED);
		assert_int_equal(edit(fx, a), way >= 2 ? 0 : XN_EOBJDAMAGED);
		fixture_check(fx);
		fixture_free(fx);
	}
}

/* ---- blocks of XN's own ---- */

enum own_block { OWN_MAP, OWN_CATALOGUE, OWN_TWIN, OWN_LOG, OWN_COPY, OWN_IMAGE, OWN_BLOCKS };

static void own_blocks_find(struct fixture *fx, xn_blk_t own[OWN_BLOCKS])
{
	const uint8_t *disk = crashdev_now(fx->medium);
	struct xn_template_entry entry;
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)disk, &super));
	own[OWN_MAP] = xn_map_block(0);
	own[OWN_CATALOGUE] = super.catalogue[XN_CAT_ROOTS];
	own[OWN_TWIN] = super.twin[XN_CAT_TEMPLATES];
	own[OWN_LOG] = super.log_start + super.log_blocks - 1;
	own[OWN_COPY] = super.block_count - 1;
	assert_ok(xn_template_entry_decode(
		&super, 0, disk + super.catalogue[XN_CAT_TEMPLATES] * XN_BLOCK + XN_SECTOR_SIZE,
		&entry));
	own[OWN_IMAGE] = entry.image_start;
}

/* The map calls them free, with good checksums. */
static void own_blocks_call_free(struct fixture *fx, const xn_blk_t own[OWN_BLOCKS])
{
	uint8_t bitmap[XN_MAP_CHUNK_BYTES], block[XN_BLOCK];
	struct xn_super super;

	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	memcpy(block, crashdev_now(fx->medium) + own[OWN_MAP] * XN_BLOCK, sizeof(block));
	assert_int_equal(xn_map_decode(&super, 0, block, bitmap), 0);
	for (unsigned i = 0; i < OWN_BLOCKS; i++)
		bitmap[own[i] / 8] &= (uint8_t) ~(1u << own[i] % 8);
	xn_map_encode(&super, 0, bitmap, block);
	fixture_poke(fx, own[OWN_MAP], 0, block, sizeof(block));
}

static void nobody_is_given_a_block_of_xns_own(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t own[OWN_BLOCKS];
	struct xn_disk_info info;

	fx->expect_damage = true;
	fixture_close(fx);
	own_blocks_find(fx, own);
	own_blocks_call_free(fx, own);
	fixture_open(fx);
	for (unsigned i = 0; i < OWN_BLOCKS; i++) {
		struct xn_extent found;
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 0, T_POINTER(own[i], 1, T_DATA));
		request_alloc(&rq, own[i], 1, XN_DATA);
		assert_request_refused(fx, &rq, XN_ENOTFREE);
		assert_ok(xn_find_free(fx->session, own[i], 1, 1, &found));
		assert_int_not_equal(found.start, own[i]);
	}
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_true(info.damaged);
	fixture_check(fx);
}

static void who_names_a_block_of_xns_own_is_damaged(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 3 * OWN_BLOCKS; way++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 0);
		xn_blk_t a = given_node(fx, fx->root, 0, NULL), own[OWN_BLOCKS], block;
		uint64_t before;
		struct request rq;

		fx->expect_damage = true;
		fixture_close(fx);
		own_blocks_find(fx, own);
		block = own[way / 3];
		poke_word(fx, a, 0, T_POINTER(block, 1, T_DATA));
		fixture_open(fx);
		given_bound(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
		request_begin(&rq);
		if (way % 3 == 0) {
			assert_refused(bind(fx, a, 0, block, 1, T_DATA, XN_READ), XN_EOBJDAMAGED);
			assert_refused(edit(fx, a), XN_EOBJDAMAGED);
		} else if (way % 3 == 1) {
			request_word(&rq, a, 0, 0);
			request_free(&rq, block, 1, XN_DATA);
			assert_request_refused(fx, &rq, XN_EOBJDAMAGED);
		} else { /* the reaper leaves all of it */
			before = free_blocks(fx);
			request_word(&rq, fx->root, 0, 0);
			request_free(&rq, a, 1, fx->type[T_NODE]);
			rq.update.flags = XN_REAP;
			assert_ok(request_run(&rq, fx->session));
			assert_ok(xn_sync(fx->session, 0));
			assert_int_equal(xn_reap(fx->session, 10), 0);
			assert_int_equal(free_blocks(fx), before);
		}
		fixture_check(fx);
		fixture_free(fx);
	}
}

/* Somebody's object or page, also named by a tree that is taken apart, stays his. */
static void the_reaper_takes_nothing_that_another_is_known_to_have(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct fixture *fx = fixture_new(FIXTURE_BLOCKS, 0);
		xn_blk_t a = given_node(fx, fx->root, 0, NULL);
		xn_blk_t b = given_node(fx, fx->root, 1, NULL);
		xn_blk_t data = given_data(fx, b, 0, 1, NULL);
		xn_blk_t child = given_node(fx, b, 1, NULL);
		xn_binding_t binding;
		uint8_t bytes[XN_BLOCK];
		struct request rq;

		fx->expect_damage = true;
		fixture_close(fx);
		poke_word(fx, a, 0, way ? T_POINTER(data, 1, T_DATA) : T_POINTER(child, 1, T_NODE));
		fixture_open(fx);
		given_bound(fx, fx->root, 1, b, 1, T_NODE, RW | XN_READIN);
		given_bound(fx, b, 1, child, 1, T_NODE, RW | XN_READIN);
		binding = given_bound(fx, b, 0, data, 1, T_DATA, RW);
		stamp_fill(bytes, data, b, 2);
		assert_ok(xn_write(fx->session, binding, 0, bytes, sizeof(bytes)));
		request_begin(&rq);
		request_word(&rq, fx->root, 0, 0);
		request_free(&rq, a, 1, fx->type[T_NODE]);
		rq.update.flags = XN_REAP;
		assert_ok(request_run(&rq, fx->session));
		assert_ok(xn_sync(fx->session, 0));
		assert_int_equal(xn_reap(fx->session, 10), 0);
		assert_ok(edit(fx, child));
		assert_ok(xn_read(fx->session, binding, 0, bytes, sizeof(bytes)));
		assert_true(stamp_is(bytes, data, b, 2));
		request_begin(&rq);
		request_word(&rq, fx->root, 16, T_POINTER(way ? data : child, 1, T_RESERVED));
		request_alloc(&rq, way ? data : child, 1, XN_RESERVED);
		assert_request_refused(fx, &rq, XN_ENOTFREE);
		fixture_check(fx);
		fixture_free(fx);
	}
}

/* Pointers out of this world: outside the disk, half objects, no such child. */
static void impossible_pointers_are_refused_wherever_they_are_met(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t a = given_node(fx, fx->root, 0, NULL);
	const uint64_t words[] = { T_POINTER(FIXTURE_BLOCKS, 1, T_NODE),
				   T_POINTER((1ull << 48) - 1, 200, T_DATA),
				   T_POINTER(600, 3, T_PAIR), T_POINTER(600, 1, 99),
				   T_POINTER(0, 9, T_DATA) };

	fx->expect_damage = true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct xn_disk_info info;
		struct request rq;

		assert_ok(xn_sync(fx->session, 0));
		xn_abandon(fx->xn);
		poke_word(fx, a, 9, words[i]);
		fixture_open(fx);
		assert_reclaim_gives_up(fx);
		assert_ok(xn_disk_info(fx->xn, &info));
		assert_true(info.damaged);
		assert_true(bind(fx, fx->root, 0, a, 1, T_NODE, RW) == XN_EOBJDAMAGED);
		given_bound(fx, fx->root, 0, a, 1, T_NODE, XN_READ | XN_READIN);
		assert_int_not_equal(bind(fx, a, 9, 600, 1, T_DATA, XN_READ), 0);
		request_begin(&rq);
		request_word(&rq, fx->root, 0, 0);
		request_free(&rq, a, 1, fx->type[T_NODE]);
		rq.update.flags = XN_REAP;
		(void)request_run(&rq, fx->session); /* whatever it says, it does not crash */
		fixture_check(fx);
		xn_abandon(fx->xn);
		poke_word(fx, a, 9, 0);
		fixture_open(fx);
	}
}

/* Any object of random bytes: read, bound, walked, reaped, closed. */
static void random_objects_harm_nobody(void **state)
{
	uint64_t seed = 77;

	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		struct fixture *fx = fixture_new(512, XN_CACHE_MIN);
		xn_blk_t a = given_node(fx, fx->root, 0, NULL);
		struct request rq;

		fx->expect_damage = true;
		assert_ok(xn_sync(fx->session, 0));
		if (round % 2)
			xn_abandon(fx->xn);
		else
			assert_ok(xn_close(fx->xn));
		for (uint32_t i = 0; i < 40; i++)
			poke_word(fx, a, (uint32_t)(chance(&seed) % 500),
				  T_POINTER(chance(&seed) % 600, 1 + chance(&seed) % 3,
					    chance(&seed) % 12));
		fixture_open(fx);
		(void)xn_reclaim(fx->session, round % 3 ? UINT64_MAX : 3, NULL);
		for (unsigned i = 0; i < 200; i++)
			(void)bind(fx, a, (uint32_t)(chance(&seed) % 500), chance(&seed) % 512, 1,
				   (enum t_child)(chance(&seed) % T_CHILDREN),
				   i % 2 ? XN_READ : RW | XN_READIN);
		(void)bind(fx, fx->root, 0, a, 1, T_NODE, RW | XN_READIN);
		for (unsigned i = 0; i < 400; i++)
			(void)bind(fx, a, (uint32_t)(chance(&seed) % 500), 1 + chance(&seed) % 511,
				   1, (enum t_child)(chance(&seed) % T_CHILDREN),
				   i % 2 ? XN_READ : RW | XN_READIN);
		request_begin(&rq);
		request_word(&rq, fx->root, 0, 0);
		request_free(&rq, a, 1, fx->type[T_NODE]);
		rq.update.flags = XN_REAP;
		(void)request_run(&rq, fx->session);
		(void)xn_sync(fx->session, 0);
		(void)xn_reap(fx->session, 1000);
		(void)xn_close(fx->xn);
		fx->xn = NULL;
		fixture_free(fx);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_object_with_two_owners_damages_both),
		TEST(an_object_known_under_another_owner_is_not_freed),
		TEST(data_with_two_owners_damages_both),
		TEST(reclaim_finds_double_owners_and_frees_nothing),
		TEST(a_ring_on_disk_ends_the_walk),
		TEST(a_ring_on_disk_cannot_be_bound_into),
		TEST(a_free_block_that_is_named_damages_its_owner),
		TEST(freeing_what_is_free_already_is_refused),
		TEST(a_block_known_under_an_owner_is_not_given_to_another),
		cmocka_unit_test(what_was_given_to_another_is_not_given_up),
		TEST(a_block_counted_under_another_is_damage),
		cmocka_unit_test(the_inside_of_an_object_is_nobody_else_s),
		TEST(nobody_is_given_a_block_of_xns_own),
		cmocka_unit_test(who_names_a_block_of_xns_own_is_damaged),
		cmocka_unit_test(the_reaper_takes_nothing_that_another_is_known_to_have),
		TEST(impossible_pointers_are_refused_wherever_they_are_met),
		cmocka_unit_test(random_objects_harm_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
