/* SPDX-License-Identifier: MIT */
/*
 * The crash explorer: runs a workload (script.h) on a LibFS over a recorder,
 * makes every state that a power cut could have left (states.h), and asks the
 * oracles of each (oracles.h, model.h).
 *
 *	explorer_new(&opts) -> e
 *	explorer_run(e, "name", "mkdir A; creat A/foo; fsync A/foo")
 *	explorer_print(e, "seq-1")
 *
 *  (1) Every workload opens the same disk: 512 blocks, roots "a" (and "b"),
 *      a root "other" that nobody uses, and all free blocks filled with bytes that
 *      nobody may ever read.
 *  (2) A content is asked once, in whatever workload it turns up; contents that
 *      differ only in free blocks are opened once.  What must be durable is asked
 *      of every state; epochs of a log that began like another's were asked there.
 *  (3) Everything is counted; a run that left anything out says so.
 *  (4) The same options and workloads give the same states, bit for bit.
 */
#ifndef TESTS_CRASH_EXPLORER_H
#define TESTS_CRASH_EXPLORER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "states.h"
#include "wreck.h"

struct explorer;

/* What is wrong, while it is looked at: the slate's bytes are the state's. */
struct explorer_violation {
	const char *name, *workload;
	const char *what, *where;    /* "R5: ..."; the state in words */
	const struct state *state;   /* NULL: before any crash */
	const struct bdev *recorder; /* the log, and how many events of it count */
	size_t n_events;
	const uint8_t *bytes; /* of the whole disk */
};
typedef void explorer_tell(void *arg, const struct explorer_violation *violation);

/* What each right state shows of the first root: operations up to `ended` had ended. */
struct look;
typedef void explorer_see(void *arg, const struct look *look, unsigned ended, unsigned begun);

struct explorer_opts {
	const char *libfs;
	unsigned n_roots; /* 1 or 2 */
	struct states_opts states;
	unsigned alive_every; /* R8 of pictures new or in other space, and one content in so many */
	unsigned kept;        /* blocks that the LibFS may keep for good after such workloads */
	const char *
		unfinished; /* what its checker calls a root that was not finished; NULL: none may be */
	unsigned
		nested_every; /* crashes in recovery, or in xn-fsck -p, of one content in so many; 0: never */
	/* Of contents with a new picture, one in so many: files grow, and it crashes then; 0: never */
	unsigned grown_every;
	struct wreck wreck;
	FILE *report; /* violations, in words; may be NULL */
	explorer_tell *tell;
	explorer_see *see;
	void *arg;
};
#define EXPLORER_STATES                                               \
	{                                                             \
		.all_below = 8, .samples = 64, .tears = 16, .seed = 1 \
	}

struct explorer_totals {
	uint64_t workloads, operations, unsupported;
	uint64_t skipped; /* workloads that need what the LibFS does not have */
	struct states_count states;
	uint64_t contents; /* different ones over all workloads: walked */
	uint64_t opened;   /* different in blocks that belong to somebody: opened, asked */
	uint64_t judged;   /* compared with the model */
	uint64_t alive, grown;
	uint64_t nested; /* states of a second crash: in recovery, in repair, while files grow */
	uint64_t fired;  /* what the wreck did */
	uint64_t violations;
	uint64_t by_oracle[10];
	char first[512]; /* the first violation */
	double seconds;  /* of this process on a processor */
};

struct explorer *explorer_new(const struct explorer_opts *opts);
void explorer_free(struct explorer *explorer);

/*
 * Returns how many states were wrong (workloads end at the eighth); the workload itself failing
 * counts as one.
 */
unsigned explorer_run(struct explorer *explorer, const char *name, const char *script);

const struct explorer_totals *explorer_totals(const struct explorer *explorer);
void explorer_print(const struct explorer *explorer, const char *what);

void explorer_totals_add(struct explorer_totals *sum, const struct explorer_totals *one);
void explorer_totals_print(const struct explorer_totals *totals, const char *libfs,
			   const char *what, uint64_t seed);

#endif
