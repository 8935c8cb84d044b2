/* SPDX-License-Identifier: MIT */
/*
 * Sets of typed blocks, written as lists of extents.
 *
 *  (1) A list is in block order once it went through order_and_check, and no
 *      two of its extents share a block.
 *  (2) A diff looks only at what lies between the common head and the common
 *      tail, so its cost follows the change and not the object.
 */
#include <stdlib.h>
#include <string.h>

#include "udf/udf.h"

#define FIRST_CAPACITY  8
#define INSERTION_LIMIT 16

void udf_extents_fini(struct udf_extents *list)
{
	if (list->v != list->few)
		free(list->v);
	list->v = NULL;
	list->n = list->cap = 0;
}

static int extents_grow(struct udf_extents *list)
{
	size_t cap = list->cap > UDF_EXTENTS_FEW ? 2 * list->cap : FIRST_CAPACITY;
	bool few = list->v == list->few;
	struct udf_extent *v;

	if (!list->v) {
		list->v = list->few;
		list->cap = UDF_EXTENTS_FEW;
		return 0;
	}
	if (cap > SIZE_MAX / sizeof(*v))
		return UDF_ENOMEM;
	v = realloc(few ? NULL : list->v, cap * sizeof(*v));
	if (!v)
		return UDF_ENOMEM;
	if (few)
		memcpy(v, list->few, sizeof(list->few));
	list->v = v;
	list->cap = cap;
	return 0;
}

int udf_extents_add(struct udf_extents *list, struct udf_extent extent)
{
	if (list->n == list->cap) {
		int err = extents_grow(list);

		if (err)
			return err;
	}
	list->v[list->n++] = extent;
	return 0;
}

int udf_extents_append(struct udf_extents *list, const struct udf_extent *v, size_t n)
{
	while (list->cap - list->n < n) {
		int err = extents_grow(list);

		if (err)
			return err;
	}
	if (n)
		memcpy(list->v + list->n, v, n * sizeof(*v));
	list->n += n;
	return 0;
}

static bool same_extent(const struct udf_extent *a, const struct udf_extent *b)
{
	return a->start == b->start && a->count == b->count && a->child == b->child;
}

static uint64_t end_of(const struct udf_extent *e)
{
	return e->start + e->count;
}

static int compare_start(const void *left, const void *right)
{
	const struct udf_extent *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

static bool in_order(const struct udf_extent *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (v[i].start < v[i - 1].start)
			return false;
	return true;
}

/* Functions emit in layout order, so what needs sorting at all is mostly tiny. */
static void sort_by_start(struct udf_extent *v, size_t n)
{
	if (in_order(v, n))
		return;
	if (n > INSERTION_LIMIT) {
		qsort(v, n, sizeof(*v), compare_start);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct udf_extent one = v[i];
		size_t j = i;

		for (; j > 0 && v[j - 1].start > one.start; j--)
			v[j] = v[j - 1];
		v[j] = one;
	}
}

static int order_and_check(struct udf_extent *v, size_t n, uint64_t disk_blocks)
{
	for (size_t i = 0; i < n; i++)
		if (!v[i].count || v[i].count > disk_blocks ||
		    v[i].start > disk_blocks - v[i].count)
			return UDF_ERANGE;
	sort_by_start(v, n);
	for (size_t i = 1; i < n; i++)
		if (v[i].start < end_of(&v[i - 1]))
			return UDF_EOVERLAP;
	return 0;
}

static bool continues(const struct udf_extent *a, const struct udf_extent *b)
{
	return end_of(a) == b->start && a->child == b->child;
}

int udf_extents_normalise(struct udf_extents *list, uint64_t disk_blocks)
{
	size_t kept = 0;
	int err = order_and_check(list->v, list->n, disk_blocks);

	if (err)
		return err;
	for (size_t i = 0; i < list->n; i++) {
		if (kept && continues(&list->v[kept - 1], &list->v[i]))
			list->v[kept - 1].count += list->v[i].count;
		else
			list->v[kept++] = list->v[i];
	}
	list->n = kept;
	return 0;
}

bool udf_extents_equal(const struct udf_extents *a, const struct udf_extents *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_extent(&a->v[i], &b->v[i]))
			return false;
	return true;
}

/* An output of the diff: extents before `base` were there before and stay as they are. */
struct sink {
	struct udf_extents *list;
	size_t base;
};

/* Move the first `count` blocks of `*from` to the sink. */
static int sink_take(struct sink *sink, struct udf_extent *from, uint64_t count)
{
	struct udf_extents *list = sink->list;
	struct udf_extent part = *from;

	part.count = count;
	from->start += count;
	from->count -= count;
	if (list->n > sink->base && continues(&list->v[list->n - 1], &part)) {
		list->v[list->n - 1].count += count;
		return 0;
	}
	return udf_extents_add(list, part);
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Both pieces start at the same block: what they share stays, unless its type changed. */
static int sweep_shared(struct udf_extent *a, struct udf_extent *b, struct sink *added,
			struct sink *removed)
{
	uint64_t shared = smaller(a->count, b->count);
	int err;

	if (a->child != b->child) {
		err = sink_take(removed, a, shared);
		return err ? err : sink_take(added, b, shared);
	}
	a->start += shared;
	a->count -= shared;
	b->start += shared;
	b->count -= shared;
	return 0;
}

/* One step of the sweep: deal with the lowest block of either piece and what follows it alike. */
static int sweep_step(struct udf_extent *a, struct udf_extent *b, struct sink *added,
		      struct sink *removed)
{
	if (!b->count || (a->count && a->start < b->start))
		return sink_take(removed, a,
				 b->count ? smaller(a->count, b->start - a->start) : a->count);
	if (!a->count || b->start < a->start)
		return sink_take(added, b,
				 a->count ? smaller(b->count, a->start - b->start) : b->count);
	return sweep_shared(a, b, added, removed);
}

static int sweep(const struct udf_extent *old, size_t n_old, const struct udf_extent *new,
		 size_t n_new, struct sink added, struct sink removed)
{
	struct udf_extent a = { 0 }, b = { 0 }; /* what is left of the current pieces */
	size_t i = 0, j = 0;

	for (;;) {
		int err;

		if (!a.count && i < n_old)
			a = old[i++];
		if (!b.count && j < n_new)
			b = new[j++];
		if (!a.count && !b.count)
			return 0;
		err = sweep_step(&a, &b, &added, &removed);
		if (err)
			return err;
	}
}

int udf_extents_diff(struct udf_extents *old_list, struct udf_extents *new_list,
		     uint64_t disk_blocks, struct udf_extents *added, struct udf_extents *removed)
{
	struct sink into_added = { added, added->n }, into_removed = { removed, removed->n };
	size_t n_old = old_list->n, n_new = new_list->n, head = 0;
	int err;

	while (head < n_old && head < n_new && same_extent(&old_list->v[head], &new_list->v[head]))
		head++;
	while (n_old > head && n_new > head &&
	       same_extent(&old_list->v[n_old - 1], &new_list->v[n_new - 1])) {
		n_old--;
		n_new--;
	}
	n_old -= head;
	n_new -= head;

	err = n_old ? order_and_check(old_list->v + head, n_old, disk_blocks) : 0;
	if (!err && n_new)
		err = order_and_check(new_list->v + head, n_new, disk_blocks);
	if (err || (!n_old && !n_new))
		return err;
	return sweep(n_old ? old_list->v + head : NULL, n_old, n_new ? new_list->v + head : NULL,
		     n_new, into_added, into_removed);
}
