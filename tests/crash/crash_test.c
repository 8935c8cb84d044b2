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

struct scenario {
	const char *name, *text;
};

static void run_all(struct explorer *e, const struct scenario *scenarios, size_t count)
{
	for (size_t i = 0; i < count; i++)
		explorer_run(e, scenarios[i].name, scenarios[i].text);
}

/* Bugs of other file systems, as CrashMonkey and xfstests keep them. */
static const struct scenario others_bugs[] = {
	{ "a name reused after its file was renamed",
	  "creat foo; append foo 5000; sync; rename foo bar; creat foo; fsync bar" },
	{ "a directory reused after its tree was renamed",
	  "mkdir A; creat A/foo; sync; rename A B; mkdir A; fsync A" },
	{ "a file under a directory just renamed",
	  "mkdir A; sync; rename A B; creat B/foo; fsync B/foo" },
	{ "a directory renamed, and both asked for",
	  "mkdir A; sync; rename A B; creat B/foo; fsync B/foo; fsync B" },
	{ "a file moved up, a sibling made",
	  "mkdir A; creat A/foo; sync; rename A/foo foo; creat bar; fsync /" },
	{ "a file moved down", "mkdir A; creat foo; sync; rename foo A/foo; fsync A; fsync A/foo" },
	{ "a moved file lost by the fsync of another",
	  "mkdir A; mkdir B; mkdir C; creat A/foo; link A/foo B/foo; creat B/bar; sync; "
	  "unlink B/foo; rename B/bar C/bar; fsync A/foo" },
	{ "a file in both parents",
	  "mkdir A; mkdir B; creat A/foo; creat B/x; sync; link A/foo A/bar; rename B/x A/x; "
	  "fsync A/foo" },
	{ "a file renamed over one that was durable",
	  "mkdir A; mkdir B; creat A/bar; append A/bar 5000; fsync A/bar; creat B/bar; "
	  "append B/bar 3000; rename B/bar A/bar; creat A/foo; fsync A/foo; fsync A" },
	{ "a chain of renames",
	  "mkdir A; mkdir A/C; sync; rename A/C B; creat B/bar; fsync B/bar; rename B/bar A/bar; "
	  "rename A B/A; fsync B/A/bar" },
	{ "a fifo renamed, its name linked",
	  "mknod foo; creat x; sync; rename foo bar; link x foo; fsync foo" },
	{ "a symlink renamed, its name linked",
	  "symlink far foo; creat x; sync; rename foo bar; link x foo; fsync x" },
	{ "a link that went again", "creat foo; link foo bar; sync; unlink bar; fsync foo" },
	{ "a link whose name is another file now",
	  "creat foo; sync; link foo bar; unlink bar; creat bar; fsync bar" },
	{ "two links, one asked for",
	  "creat foo; creat bar; sync; link foo foo1; link bar bar1; fsync bar" },
	{ "a link elsewhere", "creat foo; mkdir A; sync; link foo A/bar; fsync foo" },
	{ "links in two directories",
	  "mkdir A; mkdir B; creat A/foo; link A/foo B/foo; fsync A/foo; fsync B/foo" },
	{ "two links in one directory, one goes",
	  "mkdir A; creat foo; link foo A/foo; link foo A/bar; sync; unlink A/bar; fsync foo" },
	{ "a link takes the place of the name that was durable",
	  "mkdir A; creat A/bar; append A/bar 5000; sync; link A/bar bar; unlink A/bar; sync" },
	{ "a link takes the place of a name that another file gets",
	  "mkdir A; creat A/bar; append A/bar 5000; creat A/new; sync; link A/bar bar; "
	  "rename A/new A/bar; sync" },
	{ "a size after another's fsync",
	  "creat foo; append foo 5000; fsync foo; link foo bar; creat x; fsync x" },
	{ "an append after a link",
	  "creat foo; append foo 5000; sync; link foo bar; sync; append foo 5000; fsync foo" },
	{ "an extension of a buffer that was written directly",
	  "creat foo; append foo 3000; write foo 8192 4096; fsync foo" },
	{ "blocks past the end", "creat foo; append foo 5000; falloc foo keep 8192 8192; "
				 "fdatasync foo" },
	{ "a zeroed range that keeps the size",
	  "creat foo; append foo 12000; sync; falloc foo zero+keep 4000 6000; fsync foo" },
	{ "holes that overlap", "creat foo; append foo 20000; sync; falloc foo punch 3000 9000; "
				"falloc foo punch 8192 8192; fsync foo" },
	{ "a part of a page punched",
	  "creat foo; append foo 8192; sync; falloc foo punch 4196 100; fdatasync foo" },
	{ "cut, then grown: old bytes", "creat foo; append foo 5000; sync; trunc foo 2500; fsync "
					"foo; trunc foo 4000; fsync foo" },
	{ "cut, then appended: old bytes", "creat foo; append foo 5000; sync; trunc foo 2500; "
					   "fsync foo; append foo 1000; fsync foo" },
	{ "cut, then written behind the end: old bytes",
	  "creat foo; append foo 5000; sync; trunc foo 2500; fsync foo; write foo 3000 500; "
	  "fsync foo" },
	{ "cut to nothing and grown, without asking",
	  "creat foo; append foo 9000; sync; trunc foo 0; append foo 3000; trunc foo 9000; "
	  "fsync foo" },
	{ "a directory that counts its entries",
	  "mkdir A; creat A/foo; sync; creat A/bar; fsync A" },
	{ "new files of the root directory", "creat foo; creat bar; fsync /" },
	{ "a link below", "mkdir A; mkdir A/C; creat foo; sync; link foo A/C/foo; fsync A" },
	{ "a symlink and its parent", "mkdir A; sync; symlink far/away A/foo; fsync A" },
	{ "an unlinked file that is open, asked for",
	  "creat foo; append foo 5000; sync; hold foo; unlink foo; fsync @; drop; sync" },
	{ "an unlinked file, its directory asked for",
	  "mkdir A; creat A/foo; sync; unlink A/foo; fsync A" },
	{ "a mode", "creat foo; fsync foo; chmod foo 600; fsync foo" },
	{ "written, renamed, asked for",
	  "creat foo; append foo 9000; sync; write foo 0 9000; rename foo bar; fsync bar" },
	{ "written anew by rename",
	  "creat foo; append foo 9000; sync; creat new; append new 7000; fsync new; "
	  "rename new foo; fsync /" },
	{ "written anew by rename, without asking",
	  "creat foo; append foo 9000; sync; creat new; append new 7000; rename new foo; sync" },
	{ "a directory moved, its name a file's, moved again",
	  "mkdir A; mkdir A/B; sync; rename A/B B; creat A/B; rename B C; fsync A/B" },
	{ "a symlink made durable, then renamed",
	  "mkdir A; symlink far A/foo; fsync A; rename A/foo A/bar; fsync A" },
	{ "a new directory with a link in it",
	  "creat foo; sync; mkdir A; link foo A/foo; fsync /" },
};

static void bugs_that_others_had_are_not_here(void **state)
{
	struct explorer *e = explorer_of(*state, 1, 0);

	run_all(e, others_bugs, sizeof(others_bugs) / sizeof(others_bugs[0]));
	explorer_end(e, "bugs of others");
}

/* What this kind of store could get wrong: space that changes hands, levels of indexes, closing. */
static const struct scenario own_risks[] = {
	{ "blocks of a removed file for a new one",
	  "creat foo; append foo 20000; sync; unlink foo; creat bar; append bar 20000; fsync bar" },
	{ "blocks cut off for a new file", "creat foo; append foo 20000; sync; trunc foo 0; creat "
					   "bar; append bar 20000; fsync bar" },
	{ "blocks of a hole for a new file",
	  "creat foo; append foo 20000; sync; falloc foo punch 4096 12288; creat bar; "
	  "append bar 12288; fsync bar; sync" },
	{ "an inode taken again",
	  "creat foo; append foo 100; sync; unlink foo; sync; creat bar; fsync bar; unlink bar; "
	  "creat foo; sync" },
	{ "a file that gets its first index",
	  "creat foo; append foo 49152; sync; append foo 4096; fsync foo" },
	{ "a file with an index from the start", "creat foo; write foo 0 57344; fsync foo" },
	{ "an index written before the inode that counts its blocks",
	  "mkdir A; creat foo; append foo 65536; sync; creat A/bar; append foo 5000; sync" },
	{ "a far block behind two indexes",
	  "creat foo; append foo 100; sync; write foo 3000000 100; fsync foo; trunc foo 50; sync" },
	{ "an indexed file removed", "creat foo; append foo 65536; sync; unlink foo; sync; creat "
				     "bar; append bar 65536; sync" },
	{ "a disk left cleanly", "mkdir A; creat A/foo; append A/foo 9000; close" },
	{ "a disk left cleanly after removing",
	  "mkdir A; creat A/foo; append A/foo 20000; sync; unlink A/foo; rmdir A; close" },
	{ "a disk left cleanly, with a file removed while open",
	  "creat foo; append foo 20000; sync; hold foo; unlink foo; write @ 0 5000; close" },
	{ "a tree moved below another, twice",
	  "mkdir A; mkdir B; mkdir A/C; creat A/C/foo; sync; rename A/C B/C; sync; "
	  "rename B/C A/D; fsync A/D" },
	{ "a directory renamed over an empty one",
	  "mkdir A; creat A/foo; mkdir B; sync; rename A B; fsync B" },
	{ "a long symlink",
	  "mkdir A; sync; symlink "
	  "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
	  "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789 A/foo; fsync A/foo; "
	  "rename A/foo bar; sync" },
};

static void its_own_risks_are_no_dangers(void **state)
{
	struct explorer *e = explorer_of(*state, 1, 0);

	run_all(e, own_risks, sizeof(own_risks) / sizeof(own_risks[0]));
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
