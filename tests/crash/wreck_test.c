/* SPDX-License-Identifier: MIT */
/*
 * The explorer sees: stores that lie about order are caught, each by a question
 * that is named here, and an honest one is not.
 *
 *	wreck_test LIBFS
 */
#include "expect.h"

#include "explorer.h"

static const char *const workloads[] = {
	"mkdir A; creat A/foo; append A/foo 9000; fsync A/foo; creat bar; append bar 5000; fsync "
	"bar",
	"creat foo; append foo 20000; sync; unlink foo; sync; creat bar; append bar 20000; fsync "
	"bar",
	"mkdir A; mkdir B; creat A/foo; append A/foo 5000; sync; rename A/foo B/bar; fsync B/bar",
	"creat foo; append foo 49152; sync; append foo 8192; fsync foo; trunc foo 100; fsync foo",
	"creat foo; append foo 9000; sync; creat new; append new 7000; rename new foo; sync",
};
#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

struct caught {
	uint64_t fired, violations, by_oracle[10];
	char first[512];
};

static struct caught run(const char *libfs, const struct wreck *wreck, const char *workload)
{
	struct explorer_opts opts = {
		.libfs = libfs,
		.n_roots = 1,
		.states = EXPLORER_STATES,
		.alive_every = 64,
		.wreck = *wreck,
	};
	struct explorer *e = explorer_new(&opts);
	const struct explorer_totals *totals;
	struct caught caught = { 0 };

	for (size_t i = 0; i < WORKLOADS; i++)
		if (!workload || workload == workloads[i])
			explorer_run(e, "wreck", workloads[i]);
	totals = explorer_totals(e);
	caught.fired = totals->fired;
	caught.violations = totals->violations;
	memcpy(caught.by_oracle, totals->by_oracle, sizeof(caught.by_oracle));
	memcpy(caught.first, totals->first, sizeof(caught.first));
	explorer_free(e);
	return caught;
}

/* Caught by one of these questions, say "R3 R5". */
static void assert_caught(const char *libfs, struct wreck wreck, const char *by)
{
	struct caught caught = run(libfs, &wreck, NULL);
	bool named = false;

	assert_true(caught.fired > 0);
	for (unsigned i = 0; i < 10; i++) {
		char id[3] = { 'R', (char)('0' + i), '\0' };

		named |= caught.by_oracle[i] > 0 && strstr(by, id);
	}
	print_message("    fired %llu, violations %llu; %s\n", (unsigned long long)caught.fired,
		      (unsigned long long)caught.violations, caught.first);
	if (!named)
		fail_msg("not caught by %s", by);
}

static void an_honest_store_is_not_accused(void **state)
{
	struct wreck wreck = { .kind = WRECK_NOTHING };
	struct caught caught = run(*state, &wreck, NULL);

	assert_int_equal(caught.fired, 0);
	assert_int_equal(caught.violations, 0);
}

static void every_flush_dropped_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ .kind = WRECK_DROP_FLUSH }, "R3 R5");
}

static void one_flush_dropped_is_caught(void **state)
{
	/*
	 * The two of opening stand in for each other, and only the checking device minds.
	 * Then: between what is named and what names it; before fsync returns.
	 */
	assert_caught(*state, (struct wreck){ .kind = WRECK_DROP_FLUSH, .nth = 1 }, "R0");
	assert_caught(*state, (struct wreck){ .kind = WRECK_DROP_FLUSH, .nth = 3 }, "R3");
	assert_caught(*state, (struct wreck){ .kind = WRECK_DROP_FLUSH, .nth = 4 }, "R5 R6 R7");
}

static void a_map_write_swallowed_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_MAP, 1 }, "R3");
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_MAP, 0 }, "R3");
}

static void a_map_write_behind_the_flush_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_DELAY, WRECK_MAP, 1 }, "R3");
}

static void data_swallowed_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_DATA, 1 }, "R3 R4 R7");
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_DATA, 2 }, "R3 R4 R6 R7");
}

static void a_pointer_before_its_data_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_DELAY, WRECK_DATA, 1 }, "R3 R4 R5 R7");
	assert_caught(*state, (struct wreck){ WRECK_SWAP, WRECK_DATA, 1 }, "R3 R4 R5 R7");
}

/* The first two are the tails of the empty log. */
static void metadata_swallowed_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_META, 3 }, "R3 R5");
	assert_caught(*state, (struct wreck){ WRECK_SWALLOW, WRECK_META, 4 }, "R5");
}

static void metadata_behind_the_flush_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_DELAY, WRECK_META, 3 }, "R3 R5 R7");
	assert_caught(*state, (struct wreck){ WRECK_DELAY, WRECK_META, 0 }, "R3 R5 R7");
}

static void half_a_write_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_TEAR, WRECK_DATA, 1 }, "R3 R4 R7");
}

static void a_write_into_a_neighbour_is_caught(void **state)
{
	assert_caught(*state, (struct wreck){ WRECK_SCRIBBLE, WRECK_DATA, 1 }, "R9");
}

/*
 * Any one write that goes down behind the next flush.  Not all of them matter: the superblock's
 * copy, a name or an inode that the other half of the pair makes up for, a map that was right
 * before, times.  Most do.
 */
static void most_single_writes_across_a_flush_are_caught(void **state)
{
	unsigned fired = 0, caught = 0;

	for (size_t w = 0; w < WORKLOADS; w++)
		for (unsigned nth = 1; nth < 64; nth++) {
			struct wreck wreck = { WRECK_DELAY, WRECK_ANY, nth };
			struct caught one = run(*state, &wreck, workloads[w]);

			if (!one.fired)
				break;
			fired++;
			caught += one.violations > 0;
		}
	print_message("    %u of %u writes across a flush were caught\n", caught, fired);
	assert_true(fired >= 20);
	assert_true(caught * 2 > fired);
}

#define T(name)                                                    \
	{                                                          \
#name, name, NULL, NULL, argc> 1 ? argv[1] : libfs \
	}

int main(int argc, char **argv)
{
	char libfs[] = "simplefs";
	const struct CMUnitTest tests[] = {
		T(an_honest_store_is_not_accused),
		T(every_flush_dropped_is_caught),
		T(one_flush_dropped_is_caught),
		T(a_map_write_swallowed_is_caught),
		T(a_map_write_behind_the_flush_is_caught),
		T(data_swallowed_is_caught),
		T(a_pointer_before_its_data_is_caught),
		T(metadata_swallowed_is_caught),
		T(metadata_behind_the_flush_is_caught),
		T(half_a_write_is_caught),
		T(a_write_into_a_neighbour_is_caught),
		T(most_single_writes_across_a_flush_are_caught),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
