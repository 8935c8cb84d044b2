/* SPDX-License-Identifier: MIT */
/*
 * The states that a power cut may leave, out of a recorder's log.
 *
 *  (1) An epoch ends with a completed flush, or with the log.  What is stable
 *      when it ends lies below every state of it; of the rest any choice may be
 *      there: writes whole, torn between sectors, or not at all.
 *  (2) Of each epoch: every prefix; every subset of its writes when they are few
 *      (`all_below`), else all of at most two kept and at most two dropped (one, of
 *      more than 256), and `samples` random ones; each write alone with every cut, and with a single
 *      sector missing, over nothing else and over everything else; `tears` random
 *      tears of several.
 *  (3) Each content is shown once for each pair (writes begun, epoch).
 *  (4) An epoch that another log had, with all before it, is left out if the caller
 *      says so (`shown_before`); what is made by chance depends on the seed and the
 *      epoch's number alone.
 *  (5) The slate shows the state during the visit, and is afterwards as it was.
 */
#ifndef TESTS_CRASH_STATES_H
#define TESTS_CRASH_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slate.h"

#define STATE_WRITES_MAX 4096

/* Which sectors of a write are there: [from, to) without `missing`. */
struct state_part {
	uint32_t from, to, missing;
};

struct state {
	size_t epoch;
	size_t begun; /* every event from here on surely did not happen */
	size_t end;   /* the event that ends the epoch: it may have been waited for in vain */
	uint64_t hash;
	unsigned n; /* writes that are not stable */
	size_t event[STATE_WRITES_MAX];
	struct state_part part[STATE_WRITES_MAX];
};

struct states_opts {
	unsigned all_below, samples, tears;
	uint64_t seed;
	uint64_t max; /* contents of one log, and no more; 0: all */
	/*
	 * May be NULL: were the states of the epoch that ends at this event shown before?  Asked
	 * before it; and told when all of them have been shown now, whatever it returns then.
	 */
	bool (*shown_before)(void *arg, size_t end, bool now);
};

struct states_count {
	double possible;         /* all choices of sectors, overlaps counted twice */
	uint64_t considered;     /* states made */
	uint64_t distinct;       /* contents among them */
	uint64_t epochs, capped; /* capped: not all subsets of whole writes were made */
	uint64_t repeated;       /* epochs left out, because they were shown before */
	uint64_t cut_short;      /* logs with more contents than `max` */
};

/* Non-zero ends it. */
typedef int states_visit(void *arg, const struct state *state);

/* `slate` is as it was when recording began; only the first `n` events have happened. */
int states_each(struct slate *slate, const struct bdev *recorder, size_t n,
		const struct states_opts *opts, states_visit *visit, void *arg,
		struct states_count *count);

/* Can it make the states of this log?  NULL, or why not. */
const char *states_refuse(const struct bdev *recorder, size_t n);

/* "3 of 5 writes: 12 13(0-2) 15" */
void state_text(const struct state *state, char *text, size_t size);

#endif
