/* SPDX-License-Identifier: MIT */
/*
 * Workloads with a name: what went wrong elsewhere, and what could here.
 */
#ifndef TESTS_CRASH_SCENARIOS_H
#define TESTS_CRASH_SCENARIOS_H

struct scenario {
	const char *name, *text;
};

/* Each ends with an empty one. */
extern const struct scenario scenarios_others_bugs[];
extern const struct scenario scenarios_own_risks[];

#endif
