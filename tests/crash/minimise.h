/* SPDX-License-Identifier: MIT */
/*
 * The smallest part of a workload that still goes wrong in the same way.
 */
#ifndef TESTS_CRASH_MINIMISE_H
#define TESTS_CRASH_MINIMISE_H

#include "explorer.h"

/*
 * Leaves operations out, one after the other, as long as a state still breaks the question that
 * `what` ("R5: ...") names.  No single operation of what is returned can go.  To be freed; NULL
 * without memory.
 */
char *minimise(const struct explorer_opts *opts, const char *workload, const char *what);

#endif
