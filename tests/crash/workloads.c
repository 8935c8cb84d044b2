/* SPDX-License-Identifier: MIT */
/*
 * Workloads by name:
 *
 *	bugs, risks	named ones; with :N one of them
 *	seq-1, seq-1s	all of one operation (s: what it needs is synced before)
 *	seq-2, seq-2s	of two operations: as many as -c says, by chance, or all
 *	...:N-M		all from the N-th to the M-th of a kind
 *	random:SEED	twelve operations by chance; two:SEED: in two roots at once
 *	"creat foo; fsync foo"	text, told by a blank; @FILE: text of a file
 */
#include "crashtest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ace.h"
#include "scenarios.h"

#define LONG_ONE   12u
#define TOGETHER   64u /* workloads that go to one process */
#define SCRIPT_MAX (1u << 20)

static void give(struct crashtest *test, const char *name, const char *text)
{
	/* Neighbours have much in common: they stay together. */
	if (test->n_listed++ / TOGETHER % test->jobs != test->job)
		return;
	if (test->list)
		printf("%s\t%s\n", name, text);
	else
		explorer_run(test->explorer, name, text);
}

/* ---- named ---- */

struct range {
	uint64_t first, last;
};

static int named(struct crashtest *test, const char *kind, const struct scenario *list,
		 const struct range *only)
{
	uint64_t i = 0;
	char name[160];

	for (; list[i].name; i++) {
		snprintf(name, sizeof(name), "%s:%" PRIu64 " (%s)", kind, i, list[i].name);
		if (!only || (i >= only->first && i <= only->last))
			give(test, name, list[i].text);
	}
	return only && only->last >= i ? CRASHTEST_USAGE : 0;
}

/* ---- generated ---- */

struct taking {
	struct crashtest *test;
	const char *kind;
	const struct range *only;
	uint64_t total, count; /* take so many of so many */
};

static uint64_t chance(uint64_t seed)
{
	return hash_bytes(0, &seed, sizeof(seed));
}

static int take(void *arg, uint64_t index, const char *text)
{
	const struct taking *taking = arg;
	char name[40];

	if (taking->only ? index < taking->only->first
			 : taking->count < taking->total &&
				   chance(index + (taking->test->seed << 32)) % taking->total >=
					   taking->count)
		return 0;
	snprintf(name, sizeof(name), "%s:%" PRIu64, taking->kind, index);
	give(taking->test, name, text);
	return taking->only && index == taking->only->last;
}

static int sequence(struct crashtest *test, const char *kind, unsigned length, bool settled,
		    const struct range *only)
{
	struct taking taking = { .test = test, .kind = kind, .only = only };

	taking.total = ace_each(length, settled, NULL, NULL);
	taking.count = length == 1 ? taking.total : test->count;
	if (only && only->last >= taking.total)
		return CRASHTEST_USAGE;
	ace_each(length, settled, take, &taking);
	return 0;
}

static int by_chance(struct crashtest *test, bool two, const uint64_t *seed)
{
	char a[ACE_TEXT_MAX], b[ACE_TEXT_MAX], text[2 * ACE_TEXT_MAX], name[40];

	if (!seed || (two && test->n_roots < 2))
		return CRASHTEST_USAGE;
	snprintf(name, sizeof(name), "%s:%" PRIu64, two ? "two" : "random", *seed);
	ace_random(*seed, two ? LONG_ONE / 2 : LONG_ONE, !two, a);
	if (two) {
		ace_random(*seed + 1000000, LONG_ONE / 2, false, b);
		ace_interleave(*seed, a, b, text);
	}
	give(test, name, two ? text : a);
	return 0;
}

/* ---- text ---- */

static int of_file(struct crashtest *test, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, SCRIPT_MAX + 1);
	size_t n = 0, to = 0;

	if (!file || !text) {
		fprintf(stderr, "xn-crashtest: %s: %s\n", path, strerror(errno));
		goto out;
	}
	n = fread(text, 1, SCRIPT_MAX, file);
	/* A line is an operation; what follows # is for people. */
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '#')
			while (i < n && text[i] != '\n')
				i++;
		text[to++] = i < n && text[i] != '\n' ? text[i] : ';';
	}
	text[to] = '\0';
	give(test, path, text);
out:
	if (file)
		fclose(file);
	free(text);
	return n ? 0 : CRASHTEST_USAGE;
}

/* "7" or "7-12" */
static bool range_read(const char *text, struct range *range)
{
	char *end;

	range->first = range->last = strtoull(text, &end, 10);
	if (end != text && *end == '-') {
		text = end + 1;
		range->last = strtoull(text, &end, 10);
	}
	return end != text && !*end && range->first <= range->last;
}

int crashtest_workload(struct crashtest *test, const char *word)
{
	const char *colon = strchr(word, ':');
	size_t len = colon ? (size_t)(colon - word) : strlen(word);
	struct range range, *only = colon ? &range : NULL;
	char kind[16];

	if (word[0] == '@')
		return of_file(test, word + 1);
	if (strchr(word, ' ') || strcmp(word, "sync") == 0) {
		give(test, "given", word);
		return 0;
	}
	if (len >= sizeof(kind))
		return CRASHTEST_USAGE;
	snprintf(kind, sizeof(kind), "%.*s", (int)len, word);
	if (colon && !range_read(colon + 1, &range))
		return CRASHTEST_USAGE;
	if (strcmp(kind, "bugs") == 0)
		return named(test, kind, scenarios_others_bugs, only);
	if (strcmp(kind, "risks") == 0)
		return named(test, kind, scenarios_own_risks, only);
	if (strcmp(kind, "seq-1") == 0 || strcmp(kind, "seq-1s") == 0)
		return sequence(test, kind, 1, kind[5] == 's', only);
	if (strcmp(kind, "seq-2") == 0 || strcmp(kind, "seq-2s") == 0)
		return sequence(test, kind, 2, kind[5] == 's', only);
	if (strcmp(kind, "random") == 0 || strcmp(kind, "two") == 0)
		return by_chance(test, kind[0] == 't',
				 only && range.first == range.last ? &range.first : NULL);
	return CRASHTEST_USAGE;
}
