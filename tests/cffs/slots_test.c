/* SPDX-License-Identifier: MIT */
/* Sets of slots: an inode's, and an extent node's. */
#include "expect.h"

#include "slots.h"

#define PLACES (CFFS_EXT_SLOTS + 1)

static struct cffs_slot data(uint64_t logical, uint32_t count, uint64_t start)
{
	return (struct cffs_slot){ start, logical, count, CFFS_CLASS_DATA };
}

static void assert_slot(const struct cffs_slot *got, struct cffs_slot want)
{
	assert_int_equal(got->class, want.class);
	assert_int_equal(got->logical, want.logical);
	assert_int_equal(got->count, want.count);
	assert_int_equal(got->start, want.start);
}

/* Disjoint extents of 1 to 9 blocks in a file of `blocks`, here and there in the node. */
static void given_node(struct cffs_set *set, uint64_t blocks, uint32_t max, uint64_t *seed)
{
	uint64_t at = chance(seed) % 5;

	cffs_set_empty_node(0, set);
	for (uint32_t n = 0; n < max && at + 10 < blocks; n++) {
		uint32_t count = 1 + (uint32_t)(chance(seed) % 9);
		int place = cffs_set_room(set, (int)(chance(seed) % CFFS_EXT_RECORDS));

		assert_true(place > 0 && place % PLACES != 0);
		set->slot[place] = data(at, count, 1000 + at * 3);
		at += count + chance(seed) % 4;
	}
}

static void a_node_reads_back_as_it_was_written(void **state)
{
	struct cffs_set set, got;
	uint8_t bytes[CFFS_BLOCK];
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		given_node(&set, 1u << 20, i * 2 % 249, &seed);
		set.level = 0;
		cffs_set_to_node(&set, 99, bytes);
		assert_int_equal(cffs_set_of_node(bytes, &got), 0);
		assert_memory_equal(set.slot, got.slot, sizeof(set.slot));
		assert_int_equal(cffs_set_used(&got), cffs_set_used(&set));
	}
}

static void an_unused_node_is_an_empty_set(void **state)
{
	uint8_t bytes[CFFS_BLOCK] = { 0 };
	struct cffs_set set;
	uint64_t next;

	(void)state;
	assert_int_equal(cffs_set_of_node(bytes, &set), 0);
	assert_int_equal(cffs_set_used(&set), 0);
	assert_int_equal(cffs_set_find(&set, 5, &next), -1);
	assert_int_equal(next, CFFS_LOGICAL_END);
	assert_int_equal(cffs_set_child(&set, 5, &next), -1);
	assert_false(cffs_set_is_full(&set));
}

static void what_makes_no_sense_is_told(void **state)
{
	struct cffs_set set, got;
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_slot bad[] = {
		{ 9, 0, 0, CFFS_CLASS_DATA },                   /* no blocks */
		{ 9, CFFS_BLOCKS_MAX - 1, 2, CFFS_CLASS_DATA }, /* beyond the end of all files */
		{ 9, 0, 1, CFFS_CLASS_NODE },                   /* a node in a leaf */
		{ 9, 0, 1, 9 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cffs_set_empty_node(0, &set);
		set.slot[40] = bad[i];
		cffs_set_to_node(&set, 1, bytes);
		assert_int_equal(cffs_set_of_node(bytes, &got), 2);
	}
	/* What a directory's index may say in a leaf. */
	cffs_set_empty_node(0, &set);
	set.slot[40] = (struct cffs_slot){ 9, CFFS_INDEX_BASE, 1, CFFS_CLASS_INDEX };
	cffs_set_to_node(&set, 1, bytes);
	assert_int_equal(cffs_set_of_node(bytes, &got), 0);
	/* An extent in a node of nodes; sectors that disagree about the level. */
	cffs_set_empty_node(1, &set);
	set.slot[40] = data(0, 1, 9);
	cffs_set_to_node(&set, 1, bytes);
	assert_int_equal(cffs_set_of_node(bytes, &got), 2);
	cffs_set_empty_node(0, &set);
	cffs_set_to_node(&set, 1, bytes);
	bytes[3 * CFFS_SECTOR + CFFS_X_LEVEL] = 1;
	assert_int_equal(cffs_set_of_node(bytes, &got), 1);
}

static void every_block_is_found_where_it_is(void **state)
{
	enum { BLOCKS = 600 };
	struct cffs_set set;
	struct cffs_slot slot;
	uint8_t bytes[CFFS_BLOCK];
	uint64_t seed = 3;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		int owner[BLOCKS];

		given_node(&set, BLOCKS, 200, &seed);
		cffs_set_to_node(&set, 1, bytes);
		for (unsigned b = 0; b < BLOCKS; b++)
			owner[b] = -1;
		for (unsigned i = 0; i < set.n; i++)
			for (uint32_t k = 0; k < set.slot[i].count; k++)
				owner[set.slot[i].logical + k] = (int)i;
		for (unsigned b = 0; b < BLOCKS; b++) {
			uint64_t next, raw_next, want = CFFS_LOGICAL_END;

			assert_int_equal(cffs_set_find(&set, b, &next), owner[b]);
			assert_int_equal(cffs_node_find(bytes, b, &slot, &raw_next), owner[b]);
			if (owner[b] >= 0) {
				assert_slot(&slot, set.slot[owner[b]]);
				continue;
			}
			for (unsigned k = BLOCKS; k-- > b;)
				if (owner[k] >= 0)
					want = set.slot[owner[k]].logical;
			assert_int_equal(next, want);
			assert_int_equal(raw_next, want);
		}
	}
}

static void the_child_is_the_last_that_begins_before(void **state)
{
	struct cffs_set set;
	uint64_t next;

	(void)state;
	cffs_set_empty_node(1, &set);
	set.slot[50] = (struct cffs_slot){ 11, 100, 1, CFFS_CLASS_NODE };
	set.slot[3] = (struct cffs_slot){ 12, 300, 1, CFFS_CLASS_NODE };
	set.slot[99] = (struct cffs_slot){ 13, 200, 1, CFFS_CLASS_NODE };
	assert_int_equal(cffs_set_child(&set, 100, &next), 50);
	assert_int_equal(next, 200);
	assert_int_equal(cffs_set_child(&set, 299, &next), 99);
	assert_int_equal(next, 300);
	assert_int_equal(cffs_set_child(&set, 1 << 30, &next), 3);
	assert_int_equal(next, CFFS_LOGICAL_END);
	/* Before all: the first, which then has to begin lower. */
	assert_int_equal(cffs_set_child(&set, 5, &next), 50);
	assert_int_equal(next, 200);
}

/* ---- cutting ---- */

static void a_slot_is_cut_in_one_two_or_three(void **state)
{
	static const struct {
		uint64_t from, to;
		unsigned pieces;
	} rows[] = { { 10, 30, 1 }, { 10, 15, 2 }, { 25, 30, 2 }, { 15, 16, 3 }, { 11, 29, 3 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cffs_set set;
		uint64_t next;
		int place;

		cffs_set_empty_node(0, &set);
		set.slot[70] = data(10, 20, 500);
		place = cffs_set_cut(&set, 70, rows[i].from, rows[i].to);
		assert_int_equal(place, 70);
		assert_slot(&set.slot[70], data(rows[i].from, (uint32_t)(rows[i].to - rows[i].from),
						500 + rows[i].from - 10));
		assert_int_equal(cffs_set_used(&set), rows[i].pieces);
		for (uint64_t b = 10; b < 30; b++) {
			place = cffs_set_find(&set, b, &next);
			assert_true(place >= 0 && place / PLACES == 70 / PLACES);
			assert_int_equal(set.slot[place].start + b - set.slot[place].logical,
					 500 + b - 10);
		}
	}
}

static void without_room_nothing_is_cut(void **state)
{
	struct cffs_body body = { .n_slots = 3 };
	struct cffs_set set, before;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		body.slot[i] = data(i * 100, 50, 1000 + i * 100);
	cffs_set_of_body(&body, &set);
	before = set;
	/* Three pieces need two more places, and there is one. */
	assert_int_equal(cffs_set_cut(&set, 1, 110, 120), -1);
	assert_int_equal(set.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_slot(&set.slot[i], before.slot[i]);
	assert_int_equal(cffs_set_cut(&set, 1, 100, 120), 1);
	assert_int_equal(set.n, 4);
	cffs_set_to_body(&set, &body);
	assert_int_equal(body.n_slots, 4);
	assert_slot(&body.slot[3], data(120, 30, 1120));
	assert_true(cffs_set_is_full(&set));
	assert_int_equal(cffs_set_roomiest(&set), -1);
}

static void pieces_are_joined_again(void **state)
{
	struct cffs_set set;

	(void)state;
	cffs_set_empty_node(0, &set);
	set.slot[70] = data(10, 20, 500);
	assert_int_equal(cffs_set_cut(&set, 70, 15, 20), 70);
	cffs_set_join(&set, 70);
	assert_int_equal(cffs_set_used(&set), 1);
	assert_slot(&set.slot[70], data(10, 20, 500));
	/* Not over sectors, not over classes, not what lies elsewhere on disk. */
	set.slot[40] = data(30, 5, 520);
	set.slot[71] = data(5, 5, 490);
	set.slot[72] = data(30, 5, 520);
	set.slot[72].class = CFFS_CLASS_UNWR;
	cffs_set_join(&set, 70);
	assert_int_equal(cffs_set_used(&set), 4);
}

static void an_extent_grows_at_both_ends(void **state)
{
	struct cffs_set set;
	struct cffs_slot more;

	(void)state;
	cffs_set_empty_node(0, &set);
	set.slot[9] = data(10, 20, 500);
	more = data(30, 2, 520);
	assert_true(cffs_set_extend(&set, &more));
	more = data(9, 1, 499);
	assert_true(cffs_set_extend(&set, &more));
	assert_slot(&set.slot[9], data(9, 23, 499));
	more = data(32, 1, 523);
	assert_false(cffs_set_extend(&set, &more));
	more = data(33, 1, 522);
	assert_false(cffs_set_extend(&set, &more));
	more = data(32, 1, 522);
	more.class = CFFS_CLASS_UNWR;
	assert_false(cffs_set_extend(&set, &more));
	/* Up to what a slot counts. */
	set.slot[9].count = CFFS_SLOT_COUNT_MAX;
	more = data(9ull + CFFS_SLOT_COUNT_MAX, 1, 499ull + CFFS_SLOT_COUNT_MAX);
	assert_false(cffs_set_extend(&set, &more));
}

static void new_slots_spread_and_leave_room_to_cut(void **state)
{
	struct cffs_set set;
	uint64_t at = 0;

	(void)state;
	cffs_set_empty_node(0, &set);
	for (; !cffs_set_is_full(&set); at += 10) {
		int place = cffs_set_roomiest(&set);

		assert_true(place > 0);
		set.slot[place] = data(at, 5, 1000 + at);
	}
	assert_int_equal(cffs_set_used(&set), 232);
	/* Even now one slot of each sector can be cut in three, in its sector. */
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		int place = (int)(s * PLACES) + 1;
		uint64_t from = set.slot[place].logical;

		assert_true(cffs_set_cut(&set, place, from + 1, from + 2) >= 0);
		assert_int_equal(set.slot[place].logical, from + 1);
	}
	assert_int_equal(cffs_set_used(&set), 232 + 16);
}

static void an_inode_keeps_what_maps_nothing(void **state)
{
	struct cffs_body body = { .n_slots = 2 };
	struct cffs_set set;
	uint64_t next;

	(void)state;
	body.slot[0] = (struct cffs_slot){ 77, 0, 3, CFFS_CLASS_XATTR };
	body.slot[1] = data(0, 2, 88);
	cffs_set_of_body(&body, &set);
	assert_int_equal(cffs_set_find(&set, 0, &next), 1);
	assert_int_equal(cffs_set_find(&set, 2, &next), -1);
	assert_int_equal(cffs_set_cut(&set, 1, 1, 2), 1);
	cffs_set_to_body(&set, &body);
	assert_int_equal(body.n_slots, 3);
	assert_int_equal(body.slot[0].start, 77);
	assert_int_equal(body.slot[0].class, CFFS_CLASS_XATTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_reads_back_as_it_was_written),
		cmocka_unit_test(an_unused_node_is_an_empty_set),
		cmocka_unit_test(what_makes_no_sense_is_told),
		cmocka_unit_test(every_block_is_found_where_it_is),
		cmocka_unit_test(the_child_is_the_last_that_begins_before),
		cmocka_unit_test(a_slot_is_cut_in_one_two_or_three),
		cmocka_unit_test(without_room_nothing_is_cut),
		cmocka_unit_test(pieces_are_joined_again),
		cmocka_unit_test(an_extent_grows_at_both_ends),
		cmocka_unit_test(new_slots_spread_and_leave_room_to_cut),
		cmocka_unit_test(an_inode_keeps_what_maps_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
