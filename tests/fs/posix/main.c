/* SPDX-License-Identifier: MIT */
/*
 * LIBFS [DIR|- [PATTERN]]: asks every sentence, of a mounted directory or in process.
 */
#include "px.h"

struct test {
	char name[96];
	const struct px_case *one;
	struct px_matrix matrix;
	const char *what, *where;
	struct px *p;
};

static int set_up(void **state)
{
	struct test *test = *state;

	test->p = px_begin(test->what, test->where);
	return 0;
}

static int tear_down(void **state)
{
	struct test *test = *state;

	px_end(test->p);
	return 0;
}

static void run(void **state)
{
	struct test *test = *state;
	unsigned flags = test->one ? test->one->flags : test->matrix.flags;

	if ((flags & PX_KERNEL) && !px_can(test->p, PX_CALLS))
		skip();
	if (test->one)
		test->one->run(test->p);
	else
		test->matrix.run(test->p, test->matrix.call);
}

static const struct px_suite *const suites[] = {
	&opening_suite, &directories_suite, &links_suite,    &renames_suite,    &permissions_suite,
	&owners_suite,  &times_suite,       &contents_suite, &attributes_suite, &kernel_suite,
};

#define TESTS_MAX 1024u

static size_t collect(struct test *tests, const char *what, const char *where)
{
	struct px_matrix *matrix = calloc(TESTS_MAX, sizeof(*matrix));
	size_t n = 0, rows;

	assert_non_null(matrix);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		for (size_t k = 0; k < suites[i]->count; k++) {
			const struct px_case *one = &suites[i]->cases[k];

			if ((one->flags & PX_KERNEL) && !where)
				continue;
			tests[n] = (struct test){ .one = one };
			snprintf(tests[n++].name, sizeof(tests->name), "%s: %s", suites[i]->name,
				 one->name);
		}
	rows = px_matrix(matrix, TESTS_MAX - n);
	for (size_t i = 0; i < rows; i++) {
		if ((matrix[i].flags & PX_KERNEL) && !where)
			continue;
		tests[n] = (struct test){ .matrix = matrix[i] };
		snprintf(tests[n++].name, sizeof(tests->name), "%s", matrix[i].name);
	}
	for (size_t i = 0; i < n; i++) {
		tests[i].what = what;
		tests[i].where = where;
	}
	free(matrix);
	return n;
}

int main(int argc, char **argv)
{
	static struct test tests[TESTS_MAX];
	static struct CMUnitTest units[TESTS_MAX];
	char *where = argc > 2 && strcmp(argv[2], "-") != 0 ? realpath(argv[2], NULL) : NULL;
	size_t n;

	if (argc < 2 || (argc > 2 && !where && strcmp(argv[2], "-") != 0)) {
		fprintf(stderr, "usage: %s LIBFS [DIR [PATTERN]]\n", argv[0]);
		return 2;
	}
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	n = collect(tests, argv[1], where);
	for (size_t i = 0; i < n; i++)
		units[i] = (struct CMUnitTest){
			.name = tests[i].name,
			.test_func = run,
			.setup_func = set_up,
			.teardown_func = tear_down,
			.initial_state = &tests[i],
		};
	n = (size_t)_cmocka_run_group_tests(argv[1], units, n, NULL, NULL);
	free(where);
	return (int)n;
}
