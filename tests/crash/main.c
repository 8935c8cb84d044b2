/* SPDX-License-Identifier: MIT */
/*
 * xn-crashtest: what may a power cut leave of a LibFS's disk, and is all of it right?
 *
 *  (1) Disks are made in memory; nothing is mounted, nothing of the machine is touched.
 *  (2) The same words give the same states: a report's id is all that is needed to see it again.
 */
#include "crashtest.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/libfs.h"
#include "minimise.h"
#include "timeline.h"
#include "xn/error.h"

static const char usage[] =
	"usage: xn-crashtest [OPTIONS] TYPE [WORKLOAD...]\n"
	"       xn-crashtest [OPTIONS] --log LOG IMAGE\n"
	"\n"
	"Runs workloads on a LibFS, makes every disk that a power cut could leave, opens each,\n"
	"and asks what XN, xn-fsck and POSIX promise.  TYPE is any LibFS that `xn mkfs` knows.\n"
	"\n"
	"WORKLOAD, as reports name them too (default: bugs risks seq-1 seq-1s seq-2s):\n"
	"  bugs[:N] risks[:N]          named ones: bugs that others had, risks of our own\n"
	"  seq-1[:N] seq-1s[:N]        each operation, and each way to make it durable\n"
	"                              (s: what it needs is synced before)\n"
	"  seq-2[:N] seq-2s[:N]        two operations: as many as -c says\n"
	"  ...:N-M                     all from the N-th to the M-th\n"
	"  random:SEED two:SEED        twelve operations by chance; in two roots at once\n"
	"  'creat foo; fsync foo'      a workload (man xn-crashtest); @FILE: out of a file\n"
	"\n"
	"  -c, --count N|all  how many of two operations (default 300)\n"
	"  -s, --seed N       chooses them, and the sampled states (default 1)\n"
	"  -j, --jobs N       so many processes, each with a part of the workloads (default 1)\n"
	"  -o, --html FILE    a picture of the first violation: writes, flushes, the state\n"
	"  -l, --log          LOG, that a mount with -o record=LOG wrote, over IMAGE as it was "
	"before\n"
	"      --list         print the workloads, do not run them\n"
	"      --no-minimise  show the first violation as it was met\n"
	"      --roots N      1 or 2 (default 1)\n"
	"      --states N     no more than N states of a log (default: all)\n"
	"      --subsets N    all subsets of epochs with at most N writes (default 8, at most 16)\n"
	"      --samples N    subsets of others, by chance (default 64)\n"
	"      --tears N      states with several torn writes (default 16)\n"
	"  -q, --quiet        only violations\n"
	"\n"
	"Exit code: 0 all states were right, 1 one was not, 2 it could not be done, 3 usage.\n";

/* ---- what went wrong first ---- */

static void remember(void *arg, const struct explorer_violation *violation)
{
	struct crashtest *test = arg;

	if (test->wrong_what)
		return;
	test->wrong_name = strdup(violation->name);
	test->wrong_text = strdup(violation->workload);
	test->wrong_what = strdup(violation->what);
}

void crashtest_explorer_opts(const struct crashtest *test, struct explorer_opts *opts)
{
	*opts = (struct explorer_opts){ .libfs = test->libfs,
					.n_roots = test->n_roots,
					.states = test->states,
					.alive_every = 16,
					.nested_every = 8,
					.grown_every = 1,
					.kept = 64 };
}

struct drawing {
	struct crashtest *test;
	const char *question;
	bool done;
};

static void draw(void *arg, const struct explorer_violation *violation)
{
	struct drawing *drawing = arg;
	FILE *out;

	if (drawing->done || strncmp(violation->what, drawing->question, 2) != 0)
		return;
	drawing->done = true;
	printf("  %s\n  %s\n", violation->what, violation->where);
	if (!drawing->test->html)
		return;
	out = fopen(drawing->test->html, "we");
	if (!out) {
		fprintf(stderr, "xn-crashtest: %s cannot be written\n", drawing->test->html);
		return;
	}
	timeline_print(out, drawing->test->libfs, violation);
	if (fclose(out) == 0)
		printf("  picture: %s\n", drawing->test->html);
}

/* The smallest workload that shows it, and its picture. */
static void first_show(struct crashtest *test)
{
	struct drawing drawing = { .test = test, .question = test->wrong_what };
	struct explorer_opts opts;
	struct explorer *e;
	char *text = NULL;

	crashtest_explorer_opts(test, &opts);
	if (test->minimise)
		text = minimise(&opts, test->wrong_text, test->wrong_what);
	printf("\nThe first: %s\n  workload: %s\n", test->wrong_name,
	       text ? text : test->wrong_text);
	opts.tell = draw;
	opts.arg = &drawing;
	e = explorer_new(&opts);
	explorer_run(e, test->wrong_name, text ? text : test->wrong_text);
	explorer_free(e);
	printf("  again: xn crashtest %s '%s'\n", test->libfs, text ? text : test->wrong_text);
	free(text);
}

/* ---- running ---- */

static const char *const usual[] = { "bugs", "risks", "seq-1", "seq-1s", "seq-2s" };

static int workloads_run(struct crashtest *test, char **words, int n)
{
	int n_usual = (int)(sizeof(usual) / sizeof(usual[0]));

	for (int i = 0; i < (n ? n : n_usual); i++) {
		const char *word = n ? words[i] : usual[i];

		if (crashtest_workload(test, word)) {
			fprintf(stderr, "xn-crashtest: no workload is \"%s\"\n%s", word, usage);
			return CRASHTEST_USAGE;
		}
	}
	return CRASHTEST_FINE;
}

static int libfs_run(struct crashtest *test, char **words, int n)
{
	const struct libfs_type *type;
	struct explorer_opts opts;
	char why[512];
	int err = libfs_find_type_why(test->libfs, &type, why, sizeof(why));

	if (err) {
		fprintf(stderr, "xn-crashtest: %s\n", why);
		return CRASHTEST_FAIL;
	}
	if (test->list)
		return workloads_run(test, words, n);
	crashtest_explorer_opts(test, &opts);
	opts.report = stdout;
	opts.tell = remember;
	opts.arg = test;
	test->explorer = explorer_new(&opts);
	err = workloads_run(test, words, n);
	test->totals = *explorer_totals(test->explorer);
	explorer_free(test->explorer);
	return err;
}

static int libfs_test(struct crashtest *test, char **words, int n)
{
	int err = test->list || test->jobs == 1 ? libfs_run(test, words, n)
						: crashtest_workers(test, libfs_run, words, n);

	if (!err && !test->quiet && !test->list)
		explorer_totals_print(&test->totals, test->libfs, n == 1 ? words[0] : "all",
				      test->seed);
	if (test->wrong_what)
		first_show(test);
	return err ? err : test->totals.violations ? CRASHTEST_WRONG : CRASHTEST_FINE;
}

/* ---- options ---- */

#define JOBS_MAX 256u

enum { LIST = 256, NO_MINIMISE, ROOTS, STATES, SUBSETS, SAMPLES, TEARS };

static const struct option options[] = {
	{ "count", required_argument, NULL, 'c' },
	{ "seed", required_argument, NULL, 's' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "html", required_argument, NULL, 'o' },
	{ "log", no_argument, NULL, 'l' },
	{ "list", no_argument, NULL, LIST },
	{ "no-minimise", no_argument, NULL, NO_MINIMISE },
	{ "roots", required_argument, NULL, ROOTS },
	{ "states", required_argument, NULL, STATES },
	{ "subsets", required_argument, NULL, SUBSETS },
	{ "samples", required_argument, NULL, SAMPLES },
	{ "tears", required_argument, NULL, TEARS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && !*end && *value <= max;
}

/* false: it makes no sense. */
static bool option_take(struct crashtest *test, int option, const char *text)
{
	uint64_t value = 0;
	bool good = true;

	switch (option) {
	case 'c':
		if (strcmp(text, "all") == 0)
			test->count = UINT64_MAX;
		else
			good = number(text, UINT64_MAX, &test->count);
		break;
	case 's':
		good = number(text, UINT64_MAX, &test->seed);
		test->states.seed = test->seed;
		break;
	case 'j':
		good = number(text, JOBS_MAX, &value) && value > 0;
		test->jobs = (unsigned)value;
		break;
	case 'o': test->html = text; break;
	case LIST: test->list = true; break;
	case NO_MINIMISE: test->minimise = false; break;
	case 'q': test->quiet = true; break;
	case ROOTS:
		good = number(text, 2, &value) && value > 0;
		test->n_roots = (unsigned)value;
		break;
	case STATES: good = number(text, UINT64_MAX, &test->states.max); break;
	case SUBSETS:
		good = number(text, 16, &value);
		test->states.all_below = (unsigned)value;
		break;
	case SAMPLES:
		good = number(text, 1u << 20, &value);
		test->states.samples = (unsigned)value;
		break;
	case TEARS:
		good = number(text, 1u << 20, &value);
		test->states.tears = (unsigned)value;
		break;
	default: good = false;
	}
	if (!good)
		fputs(usage, stderr);
	return good;
}

int main(int argc, char **argv)
{
	struct crashtest test = { .count = 300,
				  .seed = 1,
				  .n_roots = 1,
				  .jobs = 1,
				  .minimise = true,
				  .states = EXPLORER_STATES };
	bool log = false;
	int option, code;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt_long(argc, argv, "c:s:j:o:lqh", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return CRASHTEST_FINE;
		}
		if (option == 'l')
			log = true;
		else if (!option_take(&test, option, optarg))
			return CRASHTEST_USAGE;
	}
	if (optind == argc || (log && argc - optind != 2)) {
		fputs(usage, stderr);
		return CRASHTEST_USAGE;
	}
	if (log)
		return crashtest_recorded(&test, argv[optind], argv[optind + 1]);
	test.libfs = argv[optind];
	code = libfs_test(&test, argv + optind + 1, argc - optind - 1);
	free(test.wrong_name);
	free(test.wrong_text);
	free(test.wrong_what);
	return code;
}
