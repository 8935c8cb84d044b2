/* SPDX-License-Identifier: MIT */
/*
 * fs_suite (installed as xn-libfs-test) LIBFS [PATTERN]: every test on a fresh disk; xn-fsck finds nothing
 * after each.
 */
#include "suite.h"

static const struct suite *const suites[] = {
	&names_suite, &rename_suite, &attrs_suite, &perms_suite,  &data_suite,
	&space_suite, &mount_suite,  &acls_suite,  &copies_suite,
};

static int usage(FILE *out, int code)
{
	fprintf(out, "usage: xn-libfs-test LIBFS [PATTERN]\n"
		     "       xn-libfs-test -l\n"
		     "Does a LibFS keep what libfs.h promises?  -l lists the tests.\n");
	return code;
}

static bool is_builtin(const struct libfs_type *type)
{
	const struct libfs_type *known;

	for (unsigned i = 0; (known = libfs_builtin(i)); i++)
		if (known == type)
			return true;
	return false;
}

static size_t collect(struct CMUnitTest *tests, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		for (size_t k = 0; k < suites[i]->count && n < max; k++)
			tests[n++] = suites[i]->tests[k];
	return n;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[512];
	size_t n = collect(tests, sizeof(tests) / sizeof(tests[0]));
	const struct libfs_type *type;
	char why[256];

	if (argc < 2 || argc > 3)
		return usage(stderr, 2);
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		return usage(stdout, 0);
	if (!strcmp(argv[1], "-l")) {
		for (size_t i = 0; i < n; i++)
			puts(tests[i].name);
		return 0;
	}
	if (libfs_find_type_why(argv[1], &type, why, sizeof(why))) {
		fprintf(stderr, "xn-libfs-test: %s\n", why);
		return 2;
	}
	if (!is_builtin(type))
		setenv("XN_TEST_MAY_LACK", "1", 1);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	for (size_t i = 0; i < n; i++)
		tests[i].initial_state = argv[1];
	return _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
}
