/* SPDX-License-Identifier: MIT */
/*
 * The checking device fires, rule by rule, at writes made by hand below an idle XN,
 * and only then: beside each broken order stands the one that is right.
 */
#include "xn_fixture.h"

#include <errno.h>

#include "xn/log_format.h"

#define A 600u /* blocks that nobody uses */
#define B 601u
#define C 602u
#define D 603u

/* What is written by hand: the root's object, and the map of the only chunk. */
struct hand {
	struct fixture *fx;
	struct xn_super super;
	uint8_t map[XN_MAP_CHUNK_BYTES];
	uint64_t root[XN_BLOCK / 8];
};

static int hand_setup(void **state)
{
	struct hand *h = calloc(1, sizeof(*h));
	const uint8_t *disk;

	h->fx = fixture_new(FIXTURE_BLOCKS, 8u << 20);
	h->fx->expect_damage = true;
	disk = crashdev_now(h->fx->medium);
	assert_ok(xn_super_decode((const void *)disk, &h->super));
	xn_map_decode(&h->super, 0, disk + xn_map_block(0) * XN_BLOCK, h->map);
	memcpy(h->root, disk + h->fx->root * XN_BLOCK, XN_BLOCK);
	*state = h;
	return 0;
}

static int hand_teardown(void **state)
{
	struct hand *h = *state;

	if (h->fx->xn)
		xn_abandon(h->fx->xn);
	h->fx->xn = NULL;
	fixture_free(h->fx);
	free(h);
	return 0;
}

/* ---- by hand ---- */

static void put(struct hand *h, uint64_t block, const void *bytes, size_t len)
{
	assert_ok(bdev_write(h->fx->rules, block * XN_BLOCK, bytes, len, 0));
}

static void put_zeroes(struct hand *h, uint64_t block)
{
	uint8_t bytes[XN_BLOCK] = { 0 };

	put(h, block, bytes, sizeof(bytes));
}

static void flush(struct hand *h)
{
	assert_ok(bdev_flush(h->fx->rules));
}

static void put_map(struct hand *h)
{
	uint8_t bytes[XN_BLOCK];

	xn_map_encode(&h->super, 0, h->map, bytes);
	put(h, xn_map_block(0), bytes, sizeof(bytes));
}

static void show(struct hand *h, uint64_t block, bool in_use)
{
	uint8_t bit = (uint8_t)(1u << block % 8);

	if (in_use)
		h->map[block / 8] |= bit;
	else
		h->map[block / 8] &= (uint8_t)~bit;
	put_map(h);
}

/* The sector of the root's object that holds the record, alone. */
static void name(struct hand *h, uint32_t record, uint64_t pointer)
{
	uint64_t sector = record * 8 / XN_SECTOR_SIZE;

	h->root[record] = pointer;
	assert_ok(bdev_write(h->fx->rules, h->fx->root * XN_BLOCK + sector * XN_SECTOR_SIZE,
			     (uint8_t *)h->root + sector * XN_SECTOR_SIZE, XN_SECTOR_SIZE, 0));
}

/* Rightly written, shown and named. */
static void given(struct hand *h, uint32_t record, uint64_t block)
{
	put_zeroes(h, block);
	show(h, block, true);
	flush(h);
	name(h, record, T_POINTER(block, 1, T_DATA));
	flush(h);
}

/* That rule was broken so often since the last time, and no other. */
static void assert_fired(struct hand *h, enum bdev_check_rule rule, uint64_t times)
{
	const char *text;
	uint64_t all = bdev_check_violations(h->fx->rules, &text);

	if (all != times || bdev_check_count(h->fx->rules, rule) != times)
		fail_msg("%s expected %d times, got: %s", bdev_check_rule_name(rule), (int)times,
			 text);
	if (times && strncmp(text, bdev_check_rule_name(rule), 3) != 0)
		fail_msg("the text speaks of something else: %s", text);
	bdev_check_forgive(h->fx->rules);
}

static void assert_silent(struct hand *h)
{
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 0);
}

/* ---- rule 2: no pointer to what was not written ---- */

static void what_is_written_and_flushed_may_be_named(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	given(h, 200, B);
	put_zeroes(h, A); /* in place, as often as one likes */
	put_zeroes(h, A);
	name(h, 0, 0);
	flush(h);
	show(h, A, false);
	flush(h);
	given(h, 1, A);
	assert_silent(h);
}

static void naming_what_was_never_written_is_seen(void **state)
{
	struct hand *h = *state;

	show(h, A, true);
	flush(h);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

static void naming_what_is_not_flushed_is_seen(void **state)
{
	struct hand *h = *state;

	show(h, A, true);
	flush(h);
	put_zeroes(h, A);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

static void half_a_block_is_not_written(void **state)
{
	struct hand *h = *state;
	uint8_t bytes[XN_BLOCK / 2] = { 0 };

	show(h, A, true);
	put(h, A, bytes, sizeof(bytes));
	flush(h);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

/* The flush began before the write was done. */
static void a_flush_in_flight_covers_nothing_submitted_after_it(void **state)
{
	struct hand *h = *state;
	struct bdev_request request = { .op = BDEV_FLUSH }, *flushing = &request, *done;
	struct bdev_queue *queue;

	show(h, A, true);
	flush(h);
	assert_ok(bdev_queue_create(h->fx->rules, &queue));
	bdev_submit(queue, &flushing, 1);
	put_zeroes(h, A);
	assert_int_equal(bdev_wait(queue, &done, 1, 1), 1);
	bdev_queue_destroy(queue);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

static void reserved_blocks_are_named_unwritten_and_data_then_is_not(void **state)
{
	struct hand *h = *state;

	show(h, A, true);
	flush(h);
	name(h, 0, T_POINTER(A, 1, T_RESERVED));
	flush(h);
	assert_silent(h);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
	name(h, 0, T_POINTER(A, 1, T_RESERVED));
	put_zeroes(h, A);
	flush(h);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_silent(h);
}

/* ---- trees ---- */

/* A node at A that names B, and nobody names the node yet. */
static void given_tree(struct hand *h, bool child_too)
{
	uint64_t node[XN_BLOCK / 8] = { [5] = T_POINTER(B, 1, T_DATA) };

	show(h, A, true);
	show(h, B, true);
	put(h, A, node, sizeof(node));
	if (child_too)
		put_zeroes(h, B);
	flush(h);
}

static void attaching_a_subtree_that_names_an_unwritten_block_is_seen(void **state)
{
	struct hand *h = *state;

	given_tree(h, false);
	assert_silent(h);
	name(h, 0, T_POINTER(A, 1, T_NODE));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

static void a_subtree_ends_when_its_name_is_gone_from_the_disk(void **state)
{
	struct hand *h = *state;

	given_tree(h, true);
	name(h, 0, T_POINTER(A, 1, T_NODE));
	flush(h);
	name(h, 0, 0);
	put_zeroes(h, C);
	show(h, C, true);
	flush(h);
	put_zeroes(h, B); /* somebody else's now */
	flush(h);
	name(h, 100, T_POINTER(B, 1, T_DATA));
	assert_silent(h);
}

static void reusing_a_block_of_a_subtree_still_on_disk_is_seen(void **state)
{
	struct hand *h = *state;

	given_tree(h, true);
	name(h, 0, T_POINTER(A, 1, T_NODE));
	flush(h);
	name(h, 0, 0);
	put_zeroes(h, B);
	name(h, 100, T_POINTER(B, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

static void a_write_deep_in_the_tree_is_judged_like_one_at_its_top(void **state)
{
	struct hand *h = *state;
	uint64_t node[XN_BLOCK / 8] = {
		[5] = T_POINTER(B, 1, T_DATA), [6] = T_POINTER(C, 1, T_DATA)
	};

	given_tree(h, true);
	name(h, 0, T_POINTER(A, 1, T_NODE));
	flush(h);
	show(h, C, true);
	flush(h);
	put(h, A, node, sizeof(node));
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

/* ---- rule 1: no reuse before every pointer is gone ---- */

static void a_second_name_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

static void writing_a_block_given_up_in_this_wave_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	name(h, 0, 0);
	put_zeroes(h, A);
	assert_fired(h, BDEV_CHECK_REUSED, 1);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

static void naming_a_block_of_xns_own_is_seen(void **state)
{
	struct hand *h = *state;

	name(h, 0, T_POINTER(h->super.log_start, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
	name(h, 0, T_POINTER(h->fx->root, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

/* The write that takes the name away failed: it may still be there after any flush. */
static void a_failed_write_may_have_left_the_old_name(void **state)
{
	struct hand *h = *state;
	struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .nth = 1 };
	struct bdev *faults, *rules, *mem;
	uint64_t len = crashdev_size(h->fx->medium);

	/* The injector stands below the rules here. */
	assert_ok(bdev_mem_create(len, &mem));
	assert_ok(bdev_write(mem, 0, crashdev_now(h->fx->medium), len, 0));
	assert_ok(bdev_fault_create(mem, &faults));
	assert_ok(bdev_check_create(faults, &rules));
	mem = h->fx->rules;
	h->fx->rules = rules;
	given(h, 0, A);
	bdev_fault_arm(faults, &fault);
	h->root[0] = 0;
	assert_refused(bdev_write(rules, h->fx->root * XN_BLOCK, h->root, 512, 0), -EIO);
	bdev_fault_disarm(faults);
	flush(h);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MOVED, 1);
	name(h, 100, 0);
	flush(h);
	name(h, 0, 0); /* again, and done */
	flush(h);
	given(h, 100, A);
	assert_silent(h);
	h->fx->rules = mem;
	bdev_close(rules);
}

/* ---- rule 3: moves ---- */

static void a_move_within_a_sector_is_whole(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	h->root[0] = 0;
	name(h, 1, T_POINTER(A, 1, T_DATA));
	flush(h);
	assert_silent(h);
	assert_int_equal(h->root[0], 0);
}

static void a_move_between_sectors_in_one_wave_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	name(h, 0, 0);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MOVED, 1);
}

/* Both sectors in one request: it may be torn. */
static void a_move_between_sectors_in_one_write_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	h->root[0] = 0;
	h->root[100] = T_POINTER(A, 1, T_DATA);
	put(h, h->fx->root, h->root, XN_BLOCK);
	assert_fired(h, BDEV_CHECK_MOVED, 1);
}

static void clearing_the_old_name_first_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	name(h, 0, 0);
	flush(h);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MOVED, 1);
}

/* ---- the map ---- */

static void naming_what_the_map_shows_free_is_seen(void **state)
{
	struct hand *h = *state;

	put_zeroes(h, A);
	flush(h);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

static void naming_before_the_map_is_flushed_is_seen(void **state)
{
	struct hand *h = *state;

	put_zeroes(h, A);
	flush(h);
	show(h, A, true);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

/* A map of this wave shows it free, the one after in use: either may be on the disk. */
static void every_version_of_the_map_must_show_it(void **state)
{
	struct hand *h = *state;

	put_zeroes(h, A);
	show(h, A, true);
	flush(h);
	show(h, A, false);
	show(h, A, true);
	name(h, 0, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

static void a_map_that_frees_what_is_named_is_seen(void **state)
{
	struct hand *h = *state;

	given(h, 0, A);
	show(h, A, false);
	assert_fired(h, BDEV_CHECK_MAP, 1);
	show(h, A, true);
	name(h, 0, 0);
	show(h, A, false); /* the name is cleared, but that is not flushed */
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

static void a_map_that_is_none_is_seen(void **state)
{
	struct hand *h = *state;

	put_zeroes(h, xn_map_block(0));
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

/* ---- stray writes, torn ones, lies ---- */

static void writing_over_a_template_is_seen(void **state)
{
	struct hand *h = *state;
	const uint8_t *disk = crashdev_now(h->fx->medium);
	struct xn_template_entry entry;

	assert_ok(xn_template_entry_decode(
		&h->super, 0, disk + h->super.catalogue[0] * XN_BLOCK + XN_SECTOR_SIZE, &entry));
	put_zeroes(h, entry.image_start);
	assert_fired(h, BDEV_CHECK_STRAY, 1);
}

static void writing_beyond_the_end_is_seen(void **state)
{
	struct hand *h = *state;
	struct bdev *mem, *rules, *mine = h->fx->rules;
	uint64_t len = crashdev_size(h->fx->medium);

	assert_ok(bdev_mem_create(len + 10 * XN_BLOCK, &mem));
	assert_ok(bdev_write(mem, 0, crashdev_now(h->fx->medium), len, 0));
	assert_ok(bdev_check_create(mem, &rules));
	h->fx->rules = rules;
	put_zeroes(h, FIXTURE_BLOCKS);
	assert_fired(h, BDEV_CHECK_STRAY, 1);
	h->fx->rules = mine;
	bdev_close(rules);
}

/* An object of that type at A, named by the root, with C and D ready to be named. */
static void given_object(struct hand *h, enum t_child child, const void *bytes)
{
	for (uint64_t b = A; b <= D; b++)
		show(h, b, true);
	put(h, A, bytes, XN_BLOCK);
	put_zeroes(h, B);
	put_zeroes(h, C);
	put_zeroes(h, D);
	flush(h);
	name(h, 0, T_POINTER(A, 1, child));
	flush(h);
	assert_silent(h);
}

static void a_record_over_two_sectors_that_changes_in_both_is_seen(void **state)
{
	struct hand *h = *state;
	uint64_t bytes[XN_BLOCK / 8] = { 0 };

	given_object(h, T_STRAD, bytes);
	bytes[21 * 3] = T_POINTER(B, 1, T_DATA);
	put(h, A, bytes, sizeof(bytes));
	flush(h);
	assert_silent(h); /* in one sector of the two */
	bytes[21 * 3] = T_POINTER(C, 1, T_DATA);
	bytes[21 * 3 + 2] = T_POINTER(D, 1, T_DATA);
	put(h, A, bytes, sizeof(bytes));
	assert_fired(h, BDEV_CHECK_TORN, 1);
}

static void a_header_that_changes_what_is_owned_elsewhere_is_seen(void **state)
{
	struct hand *h = *state;
	uint64_t bytes[XN_BLOCK / 8] = { 0 };

	bytes[T_HEAD_RECORDS_AT / 8 + 100] = T_POINTER(B, 1, T_DATA);
	given_object(h, T_HEAD, bytes);
	bytes[0] = 1;                                                 /* that record means C now */
	bytes[T_HEAD_RECORDS_AT / 8 + 200] = T_POINTER(C, 1, T_DATA); /* D */
	put(h, A, bytes, sizeof(bytes));
	assert_fired(h, BDEV_CHECK_TORN, 1);
}

static void a_name_outside_the_disk_is_seen(void **state)
{
	struct hand *h = *state;

	name(h, 0, T_POINTER(FIXTURE_BLOCKS + 5, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_OWNS, 1);
	name(h, 1, T_POINTER(A, 1, 63)); /* no such child */
	assert_fired(h, BDEV_CHECK_OWNS, 1);
}

/* ---- the log ---- */

#define LOG_MAX (80u * XN_SECTOR_SIZE)

/* A record being put together. */
struct paper {
	struct hand *h;
	uint64_t seq;
	uint64_t homes[64];
	uint8_t payload[64][XN_SECTOR_SIZE];
	uint32_t n;
	struct xn_log_claim claims[4];
	uint32_t n_claims;
};

static void put_tail(struct hand *h, uint64_t seq)
{
	struct xn_log_tail tail = { seq, h->super.mount_epoch };
	uint8_t sector[XN_SECTOR_SIZE];

	xn_log_tail_encode(&h->super, &tail, sector);
	put(h, h->super.log_start, sector, sizeof(sector));
}

static void paper_begin(struct paper *p, struct hand *h, uint64_t seq)
{
	memset(p, 0, sizeof(*p));
	p->h = h;
	p->seq = seq;
}

static void paper_sector(struct paper *p, uint64_t sector, const void *bytes)
{
	p->homes[p->n] = sector;
	memcpy(p->payload[p->n++], bytes, XN_SECTOR_SIZE);
}

/* The sector of the root's object that holds this record, as it is to be. */
static void paper_name(struct paper *p, uint32_t record, uint64_t pointer)
{
	uint64_t sector = record * 8 / XN_SECTOR_SIZE;
	uint64_t home = p->h->fx->root * XN_BLOCK_SECTORS + sector;
	const uint8_t *bytes = (uint8_t *)p->h->root + sector * XN_SECTOR_SIZE;

	p->h->root[record] = pointer;
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->homes[i] == home) {
			memcpy(p->payload[i], bytes, XN_SECTOR_SIZE);
			return;
		}
	}
	paper_sector(p, home, bytes);
}

static void paper_block(struct paper *p, uint64_t block, const void *bytes)
{
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		paper_sector(p, block * XN_BLOCK_SECTORS + i,
			     (const uint8_t *)bytes + i * XN_SECTOR_SIZE);
}

static void paper_claim(struct paper *p, uint64_t block)
{
	p->claims[p->n_claims++] = (struct xn_log_claim){ block, 1 };
}

/* Write it as the record at sector `at` of the area; returns the next one's place. */
static uint64_t paper_put(struct paper *p, uint64_t at)
{
	uint32_t sectors = xn_log_record_sectors(p->n_claims, p->n);
	struct xn_log_tail id = { p->seq, p->h->super.mount_epoch };
	uint8_t bytes[LOG_MAX] = { 0 };

	for (uint32_t i = 0; i < p->n_claims; i++)
		xn_log_record_put_claim(bytes, i, p->claims[i]);
	for (uint32_t i = 0; i < p->n; i++)
		xn_log_record_put_home(bytes, p->n_claims, i, p->homes[i]);
	memcpy(bytes + (size_t)(sectors - p->n) * XN_SECTOR_SIZE, p->payload,
	       (size_t)p->n * XN_SECTOR_SIZE);
	xn_log_record_seal(&p->h->super, &id, p->n_claims, p->n, bytes);
	assert_ok(bdev_write(p->h->fx->rules,
			     p->h->super.log_start * XN_BLOCK + at * XN_SECTOR_SIZE, bytes,
			     (size_t)sectors * XN_SECTOR_SIZE, 0));
	return at + sectors;
}

static void paper_homes(struct paper *p)
{
	for (uint32_t i = 0; i < p->n; i++)
		assert_ok(bdev_write(p->h->fx->rules, p->homes[i] * XN_SECTOR_SIZE, p->payload[i],
				     XN_SECTOR_SIZE, 0));
}

static void given_log(struct hand *h)
{
	put_tail(h, 1);
	flush(h);
	assert_silent(h);
}

static void a_move_in_a_record_is_whole(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_name(&p, 100, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	assert_silent(h);
	flush(h);
	paper_homes(&p);
	flush(h);
	put_tail(h, 2);
	flush(h);
	assert_silent(h);
	name(h, 200, T_POINTER(A, 1, T_DATA)); /* it is known where it went */
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

/* Data, name and map: a new file in one flush. */
static void what_a_record_holds_counts_for_its_own_names(void **state)
{
	struct hand *h = *state;
	uint8_t bytes[XN_BLOCK] = { 7 };
	struct paper p;

	given_log(h);
	paper_begin(&p, h, 1);
	paper_block(&p, A, bytes);
	paper_claim(&p, A);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	flush(h);
	assert_silent(h);
	name(h, 200, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

/* A new directory with a file in it, both of them only in the record. */
static void a_subtree_in_a_record_is_read_from_there(void **state)
{
	struct hand *h = *state;
	uint64_t node[XN_BLOCK / 8] = { [5] = T_POINTER(B, 1, T_DATA) };
	uint8_t bytes[XN_BLOCK] = { 7 };
	struct paper p;

	given_log(h);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, T_POINTER(A, 1, T_NODE));
	paper_block(&p, A, node);
	paper_block(&p, B, bytes);
	paper_claim(&p, A);
	paper_claim(&p, B);
	paper_put(&p, 1);
	flush(h);
	assert_silent(h);
	name(h, 200, T_POINTER(B, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

static void a_record_that_names_what_is_not_written_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	paper_begin(&p, h, 1);
	paper_claim(&p, A);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	assert_fired(h, BDEV_CHECK_UNWRITTEN, 1);
}

static void a_record_without_its_claims_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	put_zeroes(h, A);
	flush(h);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	assert_fired(h, BDEV_CHECK_MAP, 1);
}

/* A record may be torn, too: until the flush the old name may be all there is. */
static void reusing_what_a_record_in_flight_gave_up_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	given(h, 70, B);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_name(&p, 70, 0);
	paper_put(&p, 1);
	put_zeroes(h, A);
	assert_fired(h, BDEV_CHECK_REUSED, 1);
	flush(h);
	put_zeroes(h, B);
	assert_silent(h);
}

/* From hand to hand, both records still on their way: they count in their order. */
static void records_hand_on_in_their_order(void **state)
{
	struct hand *h = *state;
	struct paper p, q;
	uint64_t at;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_name(&p, 100, T_POINTER(A, 1, T_DATA));
	at = paper_put(&p, 1);
	paper_begin(&q, h, 2);
	paper_name(&q, 100, 0);
	paper_name(&q, 200, T_POINTER(A, 1, T_DATA));
	paper_put(&q, at);
	flush(h);
	paper_homes(&p);
	paper_homes(&q);
	flush(h);
	put_tail(h, 3);
	assert_silent(h);
}

static void a_home_before_its_record_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_put(&p, 1);
	paper_homes(&p);
	assert_fired(h, BDEV_CHECK_LOG, 1);
}

/* Replay would put the old bytes over the new ones. */
static void a_newer_version_past_the_log_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_put(&p, 1);
	flush(h);
	paper_homes(&p);
	flush(h);
	name(h, 1, T_POINTER(B, 1, T_RESERVED));
	assert_fired(h, BDEV_CHECK_LOG, 1);
}

static void another_owners_data_under_a_counting_record_is_seen(void **state)
{
	struct hand *h = *state;
	uint8_t bytes[XN_BLOCK] = { 7 };
	struct paper p;

	given_log(h);
	paper_begin(&p, h, 1);
	paper_block(&p, A, bytes);
	paper_claim(&p, A);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	flush(h);
	paper_homes(&p);
	show(h, A, true);
	flush(h);
	assert_silent(h);
	bytes[0] = 8;
	put(h, A, bytes, sizeof(bytes));
	assert_fired(h, BDEV_CHECK_LOG, 1); /* the first of eight sectors differs */
	put_tail(h, 2);
	flush(h);
	bdev_check_forgive(h->fx->rules);
	bytes[0] = 9;
	put(h, A, bytes, sizeof(bytes));
	assert_silent(h);
}

static void retiring_a_record_before_its_homes_are_stable_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_put(&p, 1);
	flush(h);
	paper_homes(&p); /* not flushed */
	put_tail(h, 2);
	assert_fired(h, BDEV_CHECK_LOG, 1);
}

static void retiring_a_record_before_the_map_shows_its_blocks_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	put_zeroes(h, A);
	flush(h);
	paper_begin(&p, h, 1);
	paper_claim(&p, A);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_put(&p, 1);
	flush(h);
	paper_homes(&p);
	flush(h);
	assert_silent(h);
	put_tail(h, 2);
	assert_fired(h, BDEV_CHECK_LOG, 1);
}

static void writing_over_a_record_that_counts_is_seen(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 1);
	paper_name(&p, 0, 0);
	paper_put(&p, 1);
	flush(h);
	paper_put(&p, 1);
	assert_fired(h, BDEV_CHECK_LOG, 1);
}

/* Cut short, of another epoch, or out of turn: it says nothing. */
static void what_does_not_count_says_nothing(void **state)
{
	struct hand *h = *state;
	struct paper p;

	given_log(h);
	given(h, 0, A);
	paper_begin(&p, h, 2);
	paper_name(&p, 0, 0);
	paper_put(&p, 1);
	flush(h);
	h->super.mount_epoch++;
	p.seq = 1;
	paper_put(&p, 1);
	flush(h);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

/* The power goes; what the log says is the disk, and replaying it breaks no rule. */
static void a_disk_is_adopted_with_its_log_and_replayed(void **state)
{
	struct hand *h = *state;
	struct xn_log_report report;
	uint8_t bytes[XN_BLOCK] = { 7 };
	struct paper p;

	given_log(h);
	paper_begin(&p, h, 1);
	paper_block(&p, A, bytes);
	paper_claim(&p, A);
	paper_claim(&p, B); /* each brings the map a write of its own */
	paper_block(&p, B, bytes);
	paper_name(&p, 0, T_POINTER(A, 1, T_DATA));
	paper_name(&p, 1, T_POINTER(B, 1, T_DATA));
	paper_put(&p, 1);
	flush(h);
	bdev_check_reset(h->fx->rules);
	assert_ok(xn_log_replay(h->fx->rules, &h->super, h->super.mount_epoch + 1, &report));
	assert_int_equal(report.records, 1);
	assert_silent(h);
	name(h, 100, T_POINTER(A, 1, T_DATA));
	assert_fired(h, BDEV_CHECK_REUSED, 1);
}

/* ---- the superblock ---- */

static void put_super(struct hand *h)
{
	struct xn_super_disk disk;

	h->super.generation++;
	xn_super_encode(&h->super, &disk);
	put(h, 0, &disk, sizeof(disk));
}

static void writing_on_a_clean_disk_is_seen(void **state)
{
	struct hand *h = *state;

	fixture_close(h->fx);
	put_zeroes(h, A);
	assert_fired(h, BDEV_CHECK_STATE, 1);
	assert_ok(xn_super_decode((const void *)crashdev_now(h->fx->medium), &h->super));
	h->super.state = XN_STATE_INUSE;
	put_super(h);
	put_zeroes(h, A); /* it is said, but not flushed */
	assert_fired(h, BDEV_CHECK_STATE, 1);
	flush(h);
	put_zeroes(h, A);
	assert_silent(h);
}

static void saying_clean_too_early_is_seen(void **state)
{
	struct hand *h = *state;

	put_zeroes(h, A);
	h->super.state = XN_STATE_CLEAN;
	put_super(h);
	assert_fired(h, BDEV_CHECK_STATE, 1);
}

static void a_writer_of_an_older_epoch_is_seen(void **state)
{
	struct hand *h = *state;

	h->super.mount_epoch--;
	put_super(h);
	assert_fired(h, BDEV_CHECK_STATE, 1);
}

/* ---- looking ---- */

static void a_reset_takes_the_disk_as_it_is(void **state)
{
	struct hand *h = *state;

	name(h, 0, T_POINTER(A, 1, T_DATA)); /* never written, and free on the map */
	assert_int_equal(bdev_check_violations(h->fx->rules, NULL), 2);
	bdev_check_forgive(h->fx->rules);
	flush(h);
	bdev_check_reset(h->fx->rules);
	put_zeroes(h, A);
	name(h, 1, T_POINTER(A, 1, T_DATA)); /* but it is known who owns it */
	assert_int_equal(bdev_check_count(h->fx->rules, BDEV_CHECK_REUSED), 1);
	bdev_check_forgive(h->fx->rules);
}

static void what_is_no_xn_disk_is_not_judged(void **state)
{
	uint8_t bytes[XN_BLOCK] = { 1 };
	struct bdev *mem, *rules;

	(void)state;
	assert_ok(bdev_mem_create(1u << 20, &mem));
	assert_ok(bdev_check_create(mem, &rules));
	for (uint64_t b = 0; b < 256; b++)
		assert_ok(bdev_write(rules, b * XN_BLOCK, bytes, sizeof(bytes), 0));
	assert_int_equal(bdev_check_violations(rules, NULL), 0);
	bdev_close(rules);
}

static void a_disk_formatted_anew_is_a_new_disk(void **state)
{
	struct hand *h = *state;
	struct xn_format_opts format = { .label = "again", .force = true };

	fixture_close(h->fx);
	assert_ok(xn_format(h->fx->rules, &format));
	assert_silent(h);
	assert_ok(xn_super_decode((const void *)crashdev_now(h->fx->medium), &h->super));
	h->super.state = XN_STATE_INUSE;
	put_super(h);
	flush(h);
	put_zeroes(h, h->fx->root);
	assert_silent(h);
}

#define T(name) cmocka_unit_test_setup_teardown(name, hand_setup, hand_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_written_and_flushed_may_be_named),
		T(naming_what_was_never_written_is_seen),
		T(naming_what_is_not_flushed_is_seen),
		T(half_a_block_is_not_written),
		T(a_flush_in_flight_covers_nothing_submitted_after_it),
		T(reserved_blocks_are_named_unwritten_and_data_then_is_not),
		T(attaching_a_subtree_that_names_an_unwritten_block_is_seen),
		T(a_subtree_ends_when_its_name_is_gone_from_the_disk),
		T(reusing_a_block_of_a_subtree_still_on_disk_is_seen),
		T(a_write_deep_in_the_tree_is_judged_like_one_at_its_top),
		T(a_second_name_is_seen),
		T(writing_a_block_given_up_in_this_wave_is_seen),
		T(naming_a_block_of_xns_own_is_seen),
		T(a_failed_write_may_have_left_the_old_name),
		T(a_move_within_a_sector_is_whole),
		T(a_move_between_sectors_in_one_wave_is_seen),
		T(a_move_between_sectors_in_one_write_is_seen),
		T(clearing_the_old_name_first_is_seen),
		T(naming_what_the_map_shows_free_is_seen),
		T(naming_before_the_map_is_flushed_is_seen),
		T(every_version_of_the_map_must_show_it),
		T(a_map_that_frees_what_is_named_is_seen),
		T(a_map_that_is_none_is_seen),
		T(writing_over_a_template_is_seen),
		T(writing_beyond_the_end_is_seen),
		T(a_record_over_two_sectors_that_changes_in_both_is_seen),
		T(a_header_that_changes_what_is_owned_elsewhere_is_seen),
		T(a_name_outside_the_disk_is_seen),
		T(a_move_in_a_record_is_whole),
		T(what_a_record_holds_counts_for_its_own_names),
		T(a_subtree_in_a_record_is_read_from_there),
		T(a_record_that_names_what_is_not_written_is_seen),
		T(a_record_without_its_claims_is_seen),
		T(reusing_what_a_record_in_flight_gave_up_is_seen),
		T(records_hand_on_in_their_order),
		T(a_home_before_its_record_is_seen),
		T(a_newer_version_past_the_log_is_seen),
		T(another_owners_data_under_a_counting_record_is_seen),
		T(retiring_a_record_before_its_homes_are_stable_is_seen),
		T(retiring_a_record_before_the_map_shows_its_blocks_is_seen),
		T(writing_over_a_record_that_counts_is_seen),
		T(what_does_not_count_says_nothing),
		T(a_disk_is_adopted_with_its_log_and_replayed),
		T(writing_on_a_clean_disk_is_seen),
		T(saying_clean_too_early_is_seen),
		T(a_writer_of_an_older_epoch_is_seen),
		T(a_reset_takes_the_disk_as_it_is),
		cmocka_unit_test(what_is_no_xn_disk_is_not_judged),
		T(a_disk_formatted_anew_is_a_new_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
