/* SPDX-License-Identifier: MIT */
/*
 * The program xn-crashtest: what its parts share.
 */
#ifndef TESTS_CRASH_CRASHTEST_H
#define TESTS_CRASH_CRASHTEST_H

#include "explorer.h"

#define CRASHTEST_FINE  0
#define CRASHTEST_WRONG 1 /* a state is wrong */
#define CRASHTEST_FAIL  2 /* it could not be done */
#define CRASHTEST_USAGE 3

struct crashtest {
	const char *libfs;
	const char *html; /* where the picture of the first violation goes; may be NULL */
	uint64_t count;   /* of sampled workloads; UINT64_MAX: all */
	uint64_t seed;
	unsigned n_roots, jobs,
		job; /* one of so many processes; it takes its part of the workloads */
	bool list, minimise, quiet;
	struct states_opts states;

	struct explorer *explorer;
	uint64_t n_listed;
	char *wrong_name, *wrong_text, *wrong_what; /* the first */
	struct explorer_totals totals;
};

/* A workload by its id, all of a kind, or as text.  Returns 0, or CRASHTEST_USAGE. */
int crashtest_workload(struct crashtest *test, const char *word);

/* What the options ask of an explorer, without anybody to tell. */
void crashtest_explorer_opts(const struct crashtest *test, struct explorer_opts *opts);

/*
 * Run it in `jobs` processes.  What each prints is printed when it ends; the totals are the sum, the
 * first violation is that of the first process that met one.  Returns an exit code.
 */
int crashtest_workers(struct crashtest *test,
		      int (*run)(struct crashtest *test, char **words, int n), char **words, int n);

/* A recorded log, over the image as it was before.  Returns an exit code. */
int crashtest_recorded(struct crashtest *test, const char *log, const char *image);

#endif
