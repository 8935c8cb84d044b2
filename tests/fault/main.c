/* SPDX-License-Identifier: MIT */
/*
 * fault_sweep LIBFS			every kind of fault, at places by chance, in every workload
 * fault_sweep LIBFS KIND		that kind
 * fault_sweep LIBFS KIND NTH power|unmount WORKLOAD	one run
 *
 * With XN_FAULTS_ALL in the environment: at every place, with both ends.  XN_FAULTS_STEP: at one place
 * in so many; more than 61: in fewer workloads.  What goes wrong is printed as the arguments that do it again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ace.h"
#include "engine.h"
#include "scenarios.h"
#include "slate.h"
#include "xn/error.h"

#define STEP_DEFAULT 61u
#define WRONG_MAX    5u /* of a kind */
#define NTH_MAX      100000u

struct sweep {
	const char *libfs;
	struct engine *engine;
	const struct fault_kind *kind;
	uint64_t step; /* 1: every place, with both ends */
	uint64_t workloads, runs, fired, failed, acknowledged, wrong, wrong_kind;
};

static const char *const ends[] = { [ENGINE_POWER] = "power", [ENGINE_UNMOUNT] = "unmount" };

/* Did it strike? */
static bool once(struct sweep *sweep, uint64_t nth, enum engine_end end, const char *text)
{
	struct engine_result result;

	engine_run(sweep->engine, sweep->kind, nth, end, text, &result);
	sweep->runs++;
	sweep->fired += result.fired;
	sweep->failed += result.error != 0;
	sweep->acknowledged += result.fired && result.acknowledged;
	if (result.wrong[0]) {
		sweep->wrong++;
		sweep->wrong_kind++;
		printf("%s %s %" PRIu64 " %s '%s'\n  %s\n", sweep->libfs, sweep->kind->name, nth,
		       ends[end], text, result.wrong);
	}
	return result.fired;
}

static void workload(struct sweep *sweep, const char *text)
{
	uint64_t nth = sweep->workloads++, step = sweep->step;

	if (sweep->wrong_kind >= WRONG_MAX)
		return;
	if (step > 1) { /* places differ from workload to workload */
		nth = hash_bytes(nth, sweep->kind->name, strlen(sweep->kind->name));
		if (step > STEP_DEFAULT && nth / step % (step / STEP_DEFAULT))
			return;
		step = step < STEP_DEFAULT ? step : STEP_DEFAULT;
		nth %= step;
		while (nth < NTH_MAX && once(sweep, nth + 1, (nth / step) % 2, text))
			nth += step;
		return;
	}
	for (nth = 1; nth < NTH_MAX && once(sweep, nth, ENGINE_POWER, text); nth++)
		once(sweep, nth, ENGINE_UNMOUNT, text);
}

/* ---- workloads ---- */

/* Files that fill inode tables and directories, and go again. */
static void many_small(struct sweep *sweep)
{
	char text[8192] = "";
	size_t len = 0, size = sizeof(text);

	for (unsigned i = 0; i < 40; i++)
		len += (size_t)snprintf(text + len, size - len,
					"creat small-%u; append small-%u %u; %s", i, i, 100 * i,
					i % 10 == 9 ? "sync; " : "");
	for (unsigned i = 0; i < 40; i += 2)
		len += (size_t)(i % 4 ? snprintf(text + len, size - len, "unlink small-%u; ", i)
				      : snprintf(text + len, size - len,
						 "rename small-%u small-%u; ", i, i + 1));
	snprintf(text + len, size - len, "sync; sync");
	workload(sweep, text);
}

static const char *const long_ones[] = {
	"creat precious; append precious 90000; fsync precious; mkdir d; creat d/f; "
	"write d/f 5000 200000; fsync d/f; rename d/f g; trunc g 100; link precious second; sync; "
	"rename second third; sync; unlink precious; sync",
	"mkdir A; mkdir A/B; creat A/f; append A/f 300000; sync; falloc A/f punch 8192 100000; "
	"symlink far/away A/l; mknod A/p; fsync A/f; write A/f 700000 5000; sync; trunc A/f 3000; "
	"rename A/B C; rmdir C; sync",
	NULL,
};

static int generated(void *arg, uint64_t index, const char *text)
{
	(void)index;
	workload(arg, text);
	return 0;
}

static void sweep_kind(struct sweep *sweep)
{
	const struct scenario *lists[] = { scenarios_others_bugs, scenarios_own_risks };
	const struct sweep before = *sweep;

	sweep->wrong_kind = 0;
	for (size_t i = 0; i < 2; i++)
		for (const struct scenario *s = lists[i]; s->name; s++)
			workload(sweep, s->text);
	sweep->step = (sweep->step + 3) / 4; /* they meet much more */
	for (size_t i = 0; long_ones[i]; i++)
		workload(sweep, long_ones[i]);
	many_small(sweep);
	sweep->step = before.step;
	if (sweep->step == 1)
		ace_each(1, true, generated, sweep);
	printf("%s %-16s %4" PRIu64 " workloads, %7" PRIu64 " runs, %7" PRIu64 " struck, %7" PRIu64
	       " reported, %7" PRIu64 " durable all the same, %" PRIu64 " wrong\n",
	       sweep->libfs, sweep->kind->name, sweep->workloads - before.workloads,
	       sweep->runs - before.runs, sweep->fired - before.fired,
	       sweep->failed - before.failed, sweep->acknowledged - before.acknowledged,
	       sweep->wrong - before.wrong);
	fflush(stdout);
}

/* ---- the program ---- */

static const struct fault_kind *kind_of(const char *name)
{
	for (const struct fault_kind *kind = fault_kinds; kind->name; kind++)
		if (strcmp(kind->name, name) == 0)
			return kind;
	return NULL;
}

static uint64_t step_told(void)
{
	const char *step = getenv("XN_FAULTS_STEP");

	if (getenv("XN_FAULTS_ALL"))
		return 1;
	return step && atoi(step) > 0 ? (uint64_t)atoi(step) : STEP_DEFAULT;
}

int main(int argc, char **argv)
{
	struct sweep sweep = { .step = step_told() };

	if (argc < 2 || argc == 4 || argc == 5 || argc > 6)
		return 2;
	sweep.libfs = argv[1];
	sweep.kind = argc > 2 ? kind_of(argv[2]) : NULL;
	if (argc > 2 && !sweep.kind)
		return 2;
	sweep.engine = engine_new(argv[1]);
	if (argc == 6) {
		once(&sweep, strtoull(argv[3], NULL, 10), strcmp(argv[4], "power") != 0, argv[5]);
	} else if (sweep.kind) {
		sweep_kind(&sweep);
	} else {
		for (sweep.kind = fault_kinds; sweep.kind->name; sweep.kind++)
			sweep_kind(&sweep);
		printf("%s: %" PRIu64 " runs, %" PRIu64 " struck\n", sweep.libfs, sweep.runs,
		       sweep.fired);
	}
	engine_free(sweep.engine);
	return sweep.wrong || sweep.fired == 0;
}
