/* SPDX-License-Identifier: MIT */
/*
 * The random walk: honest and hostile requests, write-backs, crashes and reopenings
 * against a model, under a cache far smaller than the disk.
 *
 *	hostile_walk [STEPS [SEED]]
 *
 * XN_WALK_STEPS and XN_WALK_SEED go before the arguments.
 */
#include "world.h"

#include <time.h>

static uint64_t number(int argc, char **argv, int index, const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	if (!text && index < argc)
		text = argv[index];

	return text && text[0] ? strtoull(text, NULL, 0) : otherwise;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const struct world *w, double took)
{
	printf("steps %llu in %.1f s: %.0f a second\n", (unsigned long long)w->op, took,
	       (double)w->op / took);
	printf("updates accepted %llu, requests refused %llu\n",
	       (unsigned long long)w->count.accepted, (unsigned long long)w->count.refused);
	printf("writes %llu, reads %llu, syncs %llu, reaps %llu, evictions %llu, cache full %llu, "
	       "stuck %llu\n",
	       (unsigned long long)w->count.writes, (unsigned long long)w->count.reads,
	       (unsigned long long)w->count.syncs, (unsigned long long)w->count.reaped,
	       (unsigned long long)w->count.evictions, (unsigned long long)w->count.full,
	       (unsigned long long)w->count.stuck);
	printf("moves %llu, commits %llu, dependencies %llu\n", (unsigned long long)w->count.moves,
	       (unsigned long long)w->count.commits, (unsigned long long)w->count.waits);
	printf("crashes %llu, steps of reclaim %llu, reopenings %llu, crash states looked at "
	       "%llu\n",
	       (unsigned long long)w->count.crashes, (unsigned long long)w->count.reclaims,
	       (unsigned long long)w->count.reopens, (unsigned long long)w->count.states);
}

int main(int argc, char **argv)
{
	uint64_t steps = number(argc, argv, 1, "XN_WALK_STEPS", 1000000);
	uint64_t seed = number(argc, argv, 2, "XN_WALK_SEED", 20261121);
	struct world *w = calloc(1, sizeof(*w));
	double start = seconds();

	if (!w)
		return 1;
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	world_init(w, seed);
	while (w->op < steps)
		step(w);
	judge_settled(w);
	world_fini(w);
	report(w, seconds() - start);
	free(w);
	return 0;
}
