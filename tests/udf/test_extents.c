/* SPDX-License-Identifier: MIT */
/*
 * Sets of typed blocks against a model that keeps one byte per block.
 */
#include "assembler.h"

#define DISK  96u
#define TYPES 3u
#define EMPTY 0xff

static uint32_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % n;
}

/* ---- the model: what type each block has ---- */

struct model {
	uint8_t type[DISK];
	int overlaps, out_of_range;
};

static struct model model_of(const struct udf_extents *list)
{
	struct model m = { .overlaps = 0 };

	memset(m.type, EMPTY, sizeof(m.type));
	for (size_t i = 0; i < list->n; i++) {
		const struct udf_extent *e = &list->v[i];

		if (!e->count || e->start >= DISK || e->count > DISK - e->start) {
			m.out_of_range = 1;
			continue;
		}
		for (uint64_t b = e->start; b < e->start + e->count; b++) {
			m.overlaps |= m.type[b] != EMPTY;
			m.type[b] = (uint8_t)e->child;
		}
	}
	return m;
}

/* Is the list in block order, without overlap, with neighbours of one type merged? */
static void expect_normal(const struct udf_extents *list, size_t from)
{
	for (size_t i = from; i < list->n; i++) {
		assert_true(list->v[i].count > 0);
		if (i == from)
			continue;
		assert_true(list->v[i - 1].start + list->v[i - 1].count <= list->v[i].start);
		assert_false(list->v[i - 1].start + list->v[i - 1].count == list->v[i].start &&
			     list->v[i - 1].child == list->v[i].child);
	}
}

static void add(struct udf_extents *list, uint64_t start, uint64_t count, uint32_t child)
{
	assert_int_equal(udf_extents_add(list, (struct udf_extent){ start, count, child, 0 }), 0);
}

/* A list of extents that do not overlap, in some order. */
static void random_list(struct udf_extents *list)
{
	uint32_t at = random_below(8);

	while (at < DISK) {
		uint32_t count = 1 + random_below(random_below(4) ? 3 : 20);

		if (at + count > DISK)
			count = DISK - at;
		add(list, at, count, random_below(TYPES));
		at += count + (random_below(3) ? 0 : random_below(9));
	}
	for (size_t i = list->n; i > 1 && random_below(2); i--) {
		size_t k = random_below((uint32_t)i);
		struct udf_extent one = list->v[i - 1];

		list->v[i - 1] = list->v[k];
		list->v[k] = one;
	}
}

static void copy(struct udf_extents *to, const struct udf_extents *from)
{
	for (size_t i = 0; i < from->n; i++)
		add(to, from->v[i].start, from->v[i].count, from->v[i].child);
}

/* What an update does: a few extents in the middle go, shrink, split or change type. */
static void edit(struct udf_extents *list)
{
	for (uint32_t edits = random_below(4); edits && list->n; edits--) {
		struct udf_extent *e = &list->v[random_below((uint32_t)list->n)];

		switch (random_below(4)) {
		case 0: *e = list->v[--list->n]; break;
		case 1: e->child = random_below(TYPES); break;
		case 2:
			if (e->count > 1)
				e->count--;
			break;
		default:
			if (e->count > 1) {
				struct udf_extent tail = { e->start + 1, e->count - 1, e->child,
							   0 };

				e->count = 1;
				add(list, tail.start, tail.count, tail.child);
			}
		}
	}
}

static void expect_diff(const struct model *old, const struct model *new,
			const struct udf_extents *added, const struct udf_extents *removed)
{
	struct model plus = model_of(added), minus = model_of(removed);

	assert_false(plus.overlaps || plus.out_of_range || minus.overlaps || minus.out_of_range);
	for (uint32_t b = 0; b < DISK; b++) {
		int same = old->type[b] == new->type[b];

		assert_int_equal(plus.type[b], same ? EMPTY : new->type[b]);
		assert_int_equal(minus.type[b], same ? EMPTY : old->type[b]);
	}
	expect_normal(added, 0);
	expect_normal(removed, 0);
}

static void the_diff_is_what_the_model_says(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 20000; seed++) {
		struct udf_extents old = { 0 }, new = { 0 }, added = { 0 }, removed = { 0 };
		struct model was, is;

		random_state = seed * 2654435761u;
		random_list(&old);
		if (random_below(3)) {
			copy(&new, &old);
			edit(&new);
		} else {
			random_list(&new);
		}
		was = model_of(&old);
		is = model_of(&new);
		if (udf_extents_diff(&old, &new, DISK, &added, &removed))
			fail_msg("seed %u", seed);
		expect_diff(&was, &is, &added, &removed);
		udf_extents_fini(&old);
		udf_extents_fini(&new);
		udf_extents_fini(&added);
		udf_extents_fini(&removed);
	}
}

static void equal_lists_have_no_difference(void **state)
{
	struct udf_extents a = { 0 }, b = { 0 }, added = { 0 }, removed = { 0 };

	(void)state;
	assert_int_equal(udf_extents_diff(&a, &b, DISK, &added, &removed), 0);
	random_state = 7;
	random_list(&a);
	copy(&b, &a);
	assert_int_equal(udf_extents_diff(&a, &b, DISK, &added, &removed), 0);
	assert_int_equal(added.n, 0);
	assert_int_equal(removed.n, 0);
	assert_null(added.v);
	udf_extents_fini(&a);
	udf_extents_fini(&b);
}

static void a_change_of_type_is_a_removal_and_an_addition(void **state)
{
	struct udf_extents a = { 0 }, b = { 0 }, added = { 0 }, removed = { 0 };

	(void)state;
	add(&a, 10, 10, 0);
	add(&b, 10, 4, 0);
	add(&b, 14, 2, 1);
	add(&b, 16, 4, 0);
	assert_int_equal(udf_extents_diff(&a, &b, DISK, &added, &removed), 0);
	assert_int_equal(added.n, 1);
	assert_true(added.v[0].start == 14 && added.v[0].count == 2 && added.v[0].child == 1);
	assert_int_equal(removed.n, 1);
	assert_true(removed.v[0].start == 14 && removed.v[0].count == 2 && removed.v[0].child == 0);
	udf_extents_fini(&a);
	udf_extents_fini(&b);
	udf_extents_fini(&added);
	udf_extents_fini(&removed);
}

/* 0, 0 in one record is a different set from 0..1 in number of extents, not in blocks. */
static void splitting_and_merging_changes_nothing(void **state)
{
	struct udf_extents a = { 0 }, b = { 0 }, added = { 0 }, removed = { 0 };

	(void)state;
	add(&a, 20, 4, 1);
	add(&a, 24, 4, 1);
	add(&b, 20, 8, 1);
	assert_int_equal(udf_extents_diff(&a, &b, DISK, &added, &removed), 0);
	assert_int_equal(added.n + removed.n, 0);
	udf_extents_fini(&a);
	udf_extents_fini(&b);
}

static void results_are_appended(void **state)
{
	struct udf_extents a = { 0 }, b = { 0 }, added = { 0 }, removed = { 0 };

	(void)state;
	add(&added, 4, 1, 0); /* neighbour of what comes, yet not merged: it is the caller's */
	add(&b, 5, 1, 0);
	assert_int_equal(udf_extents_diff(&a, &b, DISK, &added, &removed), 0);
	assert_int_equal(added.n, 2);
	assert_true(added.v[0].start == 4 && added.v[0].count == 1);
	assert_true(added.v[1].start == 5 && added.v[1].count == 1);
	udf_extents_fini(&b);
	udf_extents_fini(&added);
}

static void overlap_inside_a_list_is_refused(void **state)
{
	static const struct udf_extent pairs[][2] = {
		{ { 10, 5, 0, 0 }, { 14, 1, 0, 0 } }, { { 10, 5, 0, 0 }, { 10, 5, 0, 0 } },
		{ { 10, 5, 0, 0 }, { 10, 5, 1, 0 } }, { { 12, 1, 0, 0 }, { 10, 5, 0, 0 } },
		{ { 10, 5, 0, 0 }, { 8, 3, 1, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct udf_extents list = { 0 }, none = { 0 }, added = { 0 }, removed = { 0 };

		udf_extents_add(&list, pairs[i][0]);
		udf_extents_add(&list, pairs[i][1]);
		assert_int_equal(udf_extents_diff(&none, &list, DISK, &added, &removed),
				 UDF_EOVERLAP);
		assert_int_equal(udf_extents_diff(&list, &none, DISK, &added, &removed),
				 UDF_EOVERLAP);
		assert_int_equal(udf_extents_normalise(&list, DISK), UDF_EOVERLAP);
		assert_int_equal(added.n + removed.n, 0);
		udf_extents_fini(&list);
	}
}

static void empty_and_distant_extents_are_refused(void **state)
{
	static const struct udf_extent bad[] = {
		{ 10, 0, 0, 0 },
		{ DISK, 1, 0, 0 },
		{ DISK - 1, 2, 0, 0 },
		{ 0, DISK + 1, 0, 0 },
		{ UINT64_MAX, 1, 0, 0 },
		{ 1, UINT64_MAX, 0, 0 },
		{ UINT64_MAX, UINT64_MAX, 0, 0 },
		{ 1ull << 63, 1ull << 63, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct udf_extents list = { 0 }, none = { 0 }, added = { 0 }, removed = { 0 };

		udf_extents_add(&list, bad[i]);
		assert_int_equal(udf_extents_diff(&none, &list, DISK, &added, &removed),
				 UDF_ERANGE);
		assert_int_equal(udf_extents_normalise(&list, DISK), UDF_ERANGE);
		udf_extents_fini(&list);
	}
}

static void normalising_keeps_the_set(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 5000; seed++) {
		struct udf_extents list = { 0 };
		struct model before, after;

		random_state = seed * 40503u + 1;
		random_list(&list);
		before = model_of(&list);
		assert_int_equal(udf_extents_normalise(&list, DISK), 0);
		after = model_of(&list);
		assert_memory_equal(before.type, after.type, sizeof(before.type));
		expect_normal(&list, 0);
		udf_extents_fini(&list);
	}
}

static void normal_lists_are_equal_if_their_sets_are(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 5000; seed++) {
		struct udf_extents a = { 0 }, b = { 0 };
		struct model ma, mb;

		random_state = seed * 69621u;
		random_list(&a);
		copy(&b, &a);
		edit(&b);
		ma = model_of(&a);
		mb = model_of(&b);
		assert_int_equal(udf_extents_normalise(&a, DISK), 0);
		assert_int_equal(udf_extents_normalise(&b, DISK), 0);
		assert_int_equal(udf_extents_equal(&a, &b),
				 memcmp(ma.type, mb.type, sizeof(ma.type)) == 0);
		udf_extents_fini(&a);
		udf_extents_fini(&b);
	}
}

/* Reversed, so that both the quick sort and the insertion sort have work to do. */
static void long_lists_in_any_order_are_sorted(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 600; n = n * 3 / 2 + 1) {
		struct udf_extents list = { 0 };

		for (uint32_t i = n; i > 0; i--)
			add(&list, 10 * i, 1, i % 2);
		assert_int_equal(udf_extents_normalise(&list, 1 << 20), 0);
		assert_int_equal(list.n, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(list.v[i].start, 10 * (i + 1));
		udf_extents_fini(&list);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_diff_is_what_the_model_says),
		cmocka_unit_test(equal_lists_have_no_difference),
		cmocka_unit_test(a_change_of_type_is_a_removal_and_an_addition),
		cmocka_unit_test(splitting_and_merging_changes_nothing),
		cmocka_unit_test(results_are_appended),
		cmocka_unit_test(overlap_inside_a_list_is_refused),
		cmocka_unit_test(empty_and_distant_extents_are_refused),
		cmocka_unit_test(normalising_keeps_the_set),
		cmocka_unit_test(normal_lists_are_equal_if_their_sets_are),
		cmocka_unit_test(long_lists_in_any_order_are_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
