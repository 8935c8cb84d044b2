/* SPDX-License-Identifier: MIT */
/*
 * A LibFS, given by name, and every state that a power cut may leave of it.
 *
 *	crash_test LIBFS [TEST [COUNT]]
 *	crash_test LIBFS run "WORKLOAD"
 *
 * TEST is part of a test's name; COUNT is how many workloads to take, of two
 * operations ("all": every one) and by chance (the environment's XN_CRASH_COUNT
 * says it, too).
 */
#include "expect.h"

#include "ace.h"
#include "explorer.h"
#include "scenarios.h"

struct config {
	const char *libfs;
	uint64_t count;  /* of workloads with two operations; 0: a sample */
	unsigned n_long; /* workloads by chance */
};

static struct explorer *explorer_of(const struct config *config, unsigned n_roots, unsigned kept)
{
	struct explorer_opts opts = {
		.libfs = config->libfs,
		.n_roots = n_roots,
		.kept = kept,
		.states = EXPLORER_STATES,
		.alive_every = 16,
		.nested_every = 8,
		.grown_every = 1,
		.report = stdout,
	};

	return explorer_new(&opts);
}

static void explorer_end(struct explorer *e, const char *what)
{
	const struct explorer_totals *totals = explorer_totals(e);
	uint64_t violations = totals->violations;

	explorer_print(e, what);
	/* Else nothing was looked at. */
	assert_true(totals->states.distinct > totals->workloads);
	assert_true(totals->opened > 0 && totals->alive > 0 && totals->judged > 0);
	explorer_free(e);
	assert_int_equal(violations, 0);
}

/* ---- named ones ---- */

static void run_all(struct explorer *e, const struct scenario *scenarios, size_t count)
{
	for (size_t i = 0; i < count; i++)
		explorer_run(e, scenarios[i].name, scenarios[i].text);
}

static void run_list(struct explorer *e, const struct scenario *scenario)
{
	for (; scenario->name; scenario++)
		explorer_run(e, scenario->name, scenario->text);
}

static void bugs_that_others_had_are_not_here(void **state)
{
	struct explorer *e = explorer_of(*state, 1, 0);

	run_list(e, scenarios_others_bugs);
	explorer_end(e, "bugs of others");
}

static void its_own_risks_are_no_dangers(void **state)
{
	struct explorer *e = explorer_of(*state, 1, 0);

	run_list(e, scenarios_own_risks);
	explorer_end(e, "own risks");
}

/* ---- directories and tables that grow ---- */

/* More names than a block of a directory holds, and more inodes than a table: that table stays. */
static void growth_text(char *text, size_t size, unsigned first, unsigned count)
{
	size_t len = strlen(text);

	for (unsigned i = first; i < first + count && len < size; i++)
		len += (size_t)snprintf(
			text + len, size - len,
			"creat A/a-name-that-is-long-enough-to-fill-a-directory-soon-%04u-"
			"0123456789012345678901234567890123456789012345678901234567890123456789-"
			"0123456789012345678901234567890123456789012345678901234567890123456789; ",
			i);
}

static void a_directory_may_grow(void **state)
{
	struct explorer *e = explorer_of(*state, 1, 1);
	char *text = calloc(1, 1u << 16);

	assert_non_null(text);
	strcpy(text, "mkdir A; ");
	growth_text(text, 1u << 16, 0, 15);
	strcat(text, "sync; ");
	growth_text(text, 1u << 16, 15, 3);
	strcat(text, "fsync A; ");
	growth_text(text, 1u << 16, 18, 2);
	strcat(text, "sync");
	explorer_run(e, "a directory that grows", text);
	free(text);
	explorer_end(e, "growth");
}

/* ---- two at once ---- */

static const struct scenario neighbours[] = {
	{ "both make files",
	  "creat foo; append foo 5000; creat b:foo; append b:foo 5000; fsync foo; "
	  "fsync b:foo" },
	{ "one asks, the other does not",
	  "creat foo; append foo 9000; creat b:foo; append b:foo 9000; fsync b:foo" },
	{ "blocks change hands",
	  "creat foo; append foo 20000; sync; unlink foo; fsync /; creat b:foo; "
	  "append b:foo 20000; fsync b:foo; sync" },
	{ "blocks change hands before the first owner is durable without them",
	  "creat foo; append foo 20000; sync; unlink foo; creat b:foo; append b:foo 20000; "
	  "fsync b:foo" },
	{ "cut here, grown there",
	  "creat foo; append foo 30000; creat b:foo; sync; trunc foo 3000; append b:foo 30000; "
	  "fsync b:foo; fsync foo" },
	{ "renames in both",
	  "mkdir A; creat A/foo; mkdir b:A; creat b:A/foo; sync; rename A/foo bar; "
	  "rename b:A/foo b:bar; fsync bar; fsync b:/" },
	{ "removed in both, made in both",
	  "creat foo; append foo 9000; creat b:foo; append b:foo 9000; sync; unlink foo; "
	  "unlink b:foo; creat bar; append bar 9000; creat b:bar; append b:bar 9000; fsync bar; "
	  "fsync b:bar" },
	{ "both, and closed", "creat foo; append foo 5000; mkdir b:A; creat b:A/foo; close" },
};

static void neighbours_do_each_other_no_harm(void **state)
{
	struct explorer *e = explorer_of(*state, 2, 0);

	run_all(e, neighbours, sizeof(neighbours) / sizeof(neighbours[0]));
	explorer_end(e, "two roots");
}

/* ---- roots ---- */

static const struct scenario root_makings[] = {
	{ "one is made", "mkfs c" },
	{ "one is made beside work", "creat foo; append foo 9000; mkfs c; fsync foo" },
	{ "so many that the catalogue grows",
	  "mkfs c; mkfs d; mkfs e; mkfs f; mkfs g; mkfs h; mkfs i" },
	{ "a quota",
	  "creat foo; append foo 9000; sync; quota a 100; append foo 9000; sync; quota a 0" },
	{ "one is made, and the disk closed", "mkfs c; close" },
};

static void making_a_root_may_be_cut_short(void **state)
{
	const struct config *config = *state;
	char unfinished[80];
	struct explorer_opts opts = {
		.libfs = config->libfs,
		.n_roots = 1,
		.states = EXPLORER_STATES,
		.alive_every = 16,
		.nested_every = 8,
		.grown_every = 1,
		.kept = 64, /* what the new roots are made of */
		.unfinished = unfinished,
		.report = stdout,
	};
	struct explorer *e;

	snprintf(unfinished, sizeof(unfinished), "%s/unfinished", config->libfs);
	e = explorer_new(&opts);
	run_all(e, root_makings, sizeof(root_makings) / sizeof(root_makings[0]));
	explorer_end(e, "making roots");
}

/* ---- bounded-exhaustive ---- */

struct taking {
	struct explorer *e;
	uint64_t total, count; /* take so many of so many */
	const char *what;
};

static int take(void *arg, uint64_t index, const char *text)
{
	const struct taking *taking = arg;
	uint64_t seed = index;
	char name[40];

	if (taking->count < taking->total && chance(&seed) % taking->total >= taking->count)
		return 0;
	snprintf(name, sizeof(name), "%s %llu", taking->what, (unsigned long long)index);
	explorer_run(taking->e, name, text);
	return 0;
}

static void every_operation_alone(void **state)
{
	struct taking taking = { .e = explorer_of(*state, 1, 0), .what = "seq-1" };

	assert_true(ace_operations() >= 76);
	ace_each(1, false, take, &taking);
	taking.what = "seq-1 settled";
	ace_each(1, true, take, &taking);
	explorer_end(taking.e, "seq-1, all");
}

static void every_two_operations(void **state)
{
	const struct config *config = *state;
	struct taking taking = { .e = explorer_of(config, 1, 0), .what = "seq-2" };

	taking.total = ace_each(2, true, NULL, NULL);
	taking.count = config->count ? config->count : 300;
	printf("%s: %llu of %llu workloads of two operations\n", config->libfs,
	       (unsigned long long)(taking.count < taking.total ? taking.count : taking.total),
	       (unsigned long long)taking.total);
	ace_each(2, true, take, &taking);
	explorer_end(taking.e, taking.count < taking.total ? "seq-2, a sample" : "seq-2, all");
}

/* ---- long ones ---- */

#define LONG_ONE  12u /* operations */
#define LONG_SEED 20261121u

static void long_workloads_by_chance(void **state)
{
	const struct config *config = *state;
	struct explorer *e = explorer_of(config, 1, 0);
	char text[ACE_TEXT_MAX], name[40];

	for (unsigned i = 0; i < config->n_long; i++) {
		ace_random(LONG_SEED + i, LONG_ONE, true, text);
		snprintf(name, sizeof(name), "by chance, seed %u", LONG_SEED + i);
		explorer_run(e, name, text);
	}
	explorer_end(e, "by chance");
}

static void long_workloads_by_chance_in_two_roots(void **state)
{
	const struct config *config = *state;
	struct explorer *e = explorer_of(config, 2, 0);
	char a[ACE_TEXT_MAX], b[ACE_TEXT_MAX], text[2 * ACE_TEXT_MAX], name[40];

	for (unsigned i = 0; i < config->n_long / 2; i++) {
		ace_random(LONG_SEED + i, LONG_ONE / 2, false, a);
		ace_random(LONG_SEED + 1000000 + i, LONG_ONE / 2, false, b);
		ace_interleave(i, a, b, text);
		snprintf(name, sizeof(name), "two roots by chance, seed %u", LONG_SEED + i);
		explorer_run(e, name, text);
	}
	explorer_end(e, "two roots by chance");
}

/* ---- running ---- */

/* One workload, as a report of a violation gives it. */
static int run_one(const struct config *config, const char *text)
{
	struct explorer *e = explorer_of(config, strstr(text, "b:") ? 2 : 1, 64);
	unsigned wrong = explorer_run(e, "given", text);

	explorer_print(e, "given");
	explorer_free(e);
	return wrong ? 1 : 0;
}

#define T(name)                                  \
	{                                        \
#name, name, NULL, NULL, &config \
	}

int main(int argc, char **argv)
{
	const char *count = argc > 3 ? argv[3] : getenv("XN_CRASH_COUNT");
	struct config config = { .libfs = argc > 1 ? argv[1] : "simplefs", .n_long = 10 };
	const struct CMUnitTest tests[] = {
		T(bugs_that_others_had_are_not_here),
		T(its_own_risks_are_no_dangers),
		T(a_directory_may_grow),
		T(neighbours_do_each_other_no_harm),
		T(making_a_root_may_be_cut_short),
		T(long_workloads_by_chance),
		T(long_workloads_by_chance_in_two_roots),
		T(every_operation_alone),
		T(every_two_operations),
	};
	char filter[80];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 3 && strcmp(argv[2], "run") == 0)
		return run_one(&config, argv[3]);
	if (count)
		config.n_long = (unsigned)strtoul(count, NULL, 0);
	if (count)
		config.count = strcmp(count, "all") == 0 ? UINT64_MAX : strtoull(count, NULL, 0);
	if (argc > 2) {
		snprintf(filter, sizeof(filter), "*%s*", argv[2]);
		cmocka_set_test_filter(filter);
	}
	return cmocka_run_group_tests_name(config.libfs, tests, NULL, NULL);
}
