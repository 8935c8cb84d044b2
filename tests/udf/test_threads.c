/* SPDX-License-Identifier: MIT */
/*
 * One template, many threads: it keeps no state, so nobody disturbs anybody.
 * (The thread sanitizer watches the same in its own build.)
 */
#include <pthread.h>

#include "image_builder.h"

#define THREADS 4
#define ROUNDS  4000

static struct udf_template *shared;

struct worker {
	pthread_t thread;
	uint64_t base;
	unsigned wrong;
};

/* Emits, by way of the stack and a callee, the block that its record names. */
static void put_roundabout_owns(struct program *p)
{
	put(p, 0x79, 6, 1, 0, 0);   /* 0 */
	put(p, 0x7b, 10, 6, -8, 0); /* 1 */
	put(p, 0x15, 6, 0, 5, 0);   /* 2: 0 owns nothing */
	put(p, 0x85, 0, 1, 0, 6);   /* 3: call 10 */
	put(p, 0x79, 1, 10, -8, 0); /* 4 */
	put_mov(p, 2, 1);           /* 5 */
	put_mov(p, 3, 0);           /* 6 */
	put(p, 0x85, 0, 0, 0, 1);   /* 7 */
	put_mov(p, 0, 0);           /* 8 */
	put_exit(p);                /* 9 */
	put(p, 0x7a, 10, 0, -8, 5); /* 10: its own frame */
	put_exit(p);
}

static void *work(void *argument)
{
	struct worker *worker = argument;

	for (uint64_t i = 1; i <= ROUNDS; i++) {
		struct udf_budget budget = UDF_BUDGET_FULL;
		struct udf_extents out = { 0 };
		uint64_t record = worker->base + i;

		if (udf_owns(shared, &record, 0, NULL, &budget, &out, NULL, NULL) || out.n != 1 ||
		    out.v[0].start != record)
			worker->wrong++;
		udf_extents_fini(&out);
	}
	return NULL;
}

static void threads_share_a_template(void **state)
{
	struct recipe recipe = {
		.name = "t", .obj_size = 512, .rec_size = 8, .rec_count = 64, .max_emit = 1
	};
	struct worker worker[THREADS] = { 0 };
	struct program p = { .n = 0 };
	static struct image image;

	(void)state;
	put_roundabout_owns(&p);
	recipe.fn[UDF_FN_OWNS] = &p;
	image_build(&image, &recipe);
	shared = image_load(&image);
	for (unsigned i = 0; i < THREADS; i++) {
		worker[i].base = 1000000ull * i;
		assert_int_equal(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(worker[i].thread, NULL), 0);
		assert_int_equal(worker[i].wrong, 0);
	}
	udf_template_destroy(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(threads_share_a_template) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
