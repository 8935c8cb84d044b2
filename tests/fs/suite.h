/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite of LibFSes: what libfs.h promises, asked of whichever
 * LibFS is named on the command line.
 */
#ifndef TESTS_FS_SUITE_H
#define TESTS_FS_SUITE_H

#include "fs_fixture.h"

struct suite {
	const struct CMUnitTest *tests;
	size_t count;
};

extern const struct suite names_suite, rename_suite, attrs_suite, perms_suite, data_suite,
	space_suite, mount_suite, acls_suite, copies_suite;

#define CASE(function) cmocka_unit_test_setup_teardown(function, fx_setup, fx_teardown)
/* Makes its own fixture with fx_new(); the state is the LibFS's name. */
#define CASE_OWN(function) cmocka_unit_test(function)

#define SUITE(name, cases) const struct suite name = { (cases), sizeof(cases) / sizeof((cases)[0]) }

#endif
