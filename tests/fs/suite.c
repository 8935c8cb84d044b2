/* SPDX-License-Identifier: MIT */
/*
 * fs_suite LIBFS [PATTERN]: every test on a fresh disk; xn-fsck finds nothing
 * after each.
 */
#include "suite.h"

static const struct suite *const suites[] = {
	&names_suite, &rename_suite, &attrs_suite, &perms_suite,
	&data_suite,  &space_suite,  &mount_suite,
};

int main(int argc, char **argv)
{
	struct CMUnitTest tests[512];
	size_t n = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: fs_suite LIBFS [PATTERN]\n");
		return 2;
	}
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		for (size_t k = 0; k < suites[i]->count && n < 512; k++) {
			tests[n] = suites[i]->tests[k];
			tests[n++].initial_state = argv[1];
		}
	return _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
}
