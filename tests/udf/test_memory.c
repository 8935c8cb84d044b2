/* SPDX-License-Identifier: MIT */
/*
 * Memory runs out at the first allocation, then at the second, until a run meets
 * none: each time the call says so, and nothing is lost or half done.
 *
 * The linker sends the machine's allocations here (--wrap).
 */
#include "image_builder.h"

static unsigned countdown; /* the allocation that fails; 0: none */
static unsigned live;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);

static int fails_now(void)
{
	return countdown && --countdown == 0;
}

void *__wrap_malloc(size_t size)
{
	if (fails_now())
		return NULL;
	live++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	if (fails_now())
		return NULL;
	live++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	if (fails_now())
		return NULL;
	live += !old;
	return __real_realloc(old, size);
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

static void build(struct image *image, const struct program *owns)
{
	struct recipe recipe = {
		.name = "t", .obj_size = 4096, .rec_size = 8, .rec_count = 512, .max_emit = 64
	};

	recipe.fn[UDF_FN_OWNS] = owns;
	recipe.fn[UDF_FN_CHECK] = owns + 1;
	image_build(image, &recipe);
}

/* Emits as many extents as the record says. */
static void put_counted_emits(struct program *p)
{
	put(p, 0x79, 6, 1, 0, 0);
	put(p, 0x15, 6, 0, 6, 0);
	put_emit(p, 7, 1, 0);
	put(p, 0x07, 6, 0, 0, -1);
	put(p, 0x55, 6, 0, -6, 0);
	put_mov(p, 0, 0);
	put_exit(p);
}

static void loading_survives_every_failed_allocation(void **state)
{
	static struct program functions[2];
	static struct image image;
	unsigned nth = 0, before = live;
	int err;

	(void)state;
	put_counted_emits(&functions[0]);
	put_exit(&functions[1]);
	build(&image, functions);
	do {
		struct udf_template *tmpl = NULL;
		struct udf_refusal why = { 0 };

		countdown = ++nth;
		err = udf_template_load(image.bytes, image.len, &tmpl, &why);
		if (err) {
			assert_int_equal(err, UDF_ENOMEM);
			assert_int_equal(why.error, UDF_ENOMEM);
			assert_string_equal(why.text, "out of memory");
			assert_null(tmpl);
		}
		countdown = 0;
		udf_template_destroy(tmpl);
		assert_int_equal(live, before);
	} while (err);
	assert_true(nth > 5);
}

static void a_run_that_meets_no_memory_leaves_the_list_alone(void **state)
{
	static struct program functions[2];
	static struct image image;
	struct udf_extents out = { 0 };
	uint64_t record = 60;
	struct udf_template *tmpl;
	unsigned nth = 0;
	int err;

	(void)state;
	functions[0].n = functions[1].n = 0;
	put_counted_emits(&functions[0]);
	put_exit(&functions[1]);
	build(&image, functions);
	tmpl = image_load(&image);
	assert_int_equal(udf_extents_add(&out, (struct udf_extent){ 1, 1, 0, 9 }), 0);
	do {
		struct udf_budget budget = UDF_BUDGET_FULL;

		countdown = ++nth;
		err = udf_owns(tmpl, &record, 0, NULL, &budget, &out, NULL, NULL);
		assert_int_equal(err, countdown ? 0 : UDF_ENOMEM);
		assert_int_equal(out.n, err ? 1 : 61);
		assert_int_equal(out.v[0].tag, 9);
		assert_int_equal(budget.emits < UDF_OP_EMITS_MAX, 1);
	} while (err);
	countdown = 0;
	assert_true(nth > 2);
	udf_extents_fini(&out);
	udf_template_destroy(tmpl);
}

static void a_diff_that_meets_no_memory_says_so(void **state)
{
	unsigned nth = 0, before = live;
	int err;

	(void)state;
	do {
		struct udf_extents old = { 0 }, new = { 0 }, added = { 0 }, removed = { 0 };

		for (uint32_t i = 0; i < 40; i++)
			assert_int_equal(
				udf_extents_add(&old, (struct udf_extent){ 4 * i, 2, 0, 0 }), 0);
		for (uint32_t i = 0; i < 40; i++)
			assert_int_equal(
				udf_extents_add(&new, (struct udf_extent){ 4 * i + 1, 2, 1, 0 }),
				0);
		countdown = ++nth;
		err = udf_extents_diff(&old, &new, 1000, &added, &removed);
		assert_int_equal(err, countdown ? 0 : UDF_ENOMEM);
		countdown = 0;
		udf_extents_fini(&old);
		udf_extents_fini(&new);
		udf_extents_fini(&added);
		udf_extents_fini(&removed);
		assert_int_equal(live, before);
	} while (err);
	assert_true(nth > 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loading_survives_every_failed_allocation),
		cmocka_unit_test(a_run_that_meets_no_memory_leaves_the_list_alone),
		cmocka_unit_test(a_diff_that_meets_no_memory_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
