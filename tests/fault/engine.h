/* SPDX-License-Identifier: MIT */
/*
 * One workload (crash/script.h), one fault, one end: what a LibFS makes of it.
 *
 *  (1) The fault is armed before the disk is opened: opening, mounting, every operation, reading all
 *      of it and leaving may meet it.
 *  (2) An operation that did not meet it succeeds; one that did may fail with the fault's own error
 *      (EIO; ENOSPC or ENOMEM, if that is what happened), and is the last.  A fault that
 *      is over is followed by a sync: if that succeeds, everything is durable.
 *  (3) Then the power goes, or the disk is unmounted and closed; a clean end makes everything durable,
 *      too.
 *  (4) Afterwards: no write broke the rules of order; xn-fsck -p repairs it; then it is asked all that
 *      the crash explorer asks (crash/oracles.h, crash/model.h) of a recovered disk.
 *  (5) Of a device that lies (flipped bits under a good outcome) less is asked: nothing crashes, and
 *      xn-fsck -y leaves a disk that it finds clean and that can be opened.
 */
#ifndef TESTS_FAULT_ENGINE_H
#define TESTS_FAULT_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "xn/bdev.h"

struct fault_kind {
	const char *name;
	bool memory; /* an allocation fails; of `fault` only `forever` counts */
	struct bdev_fault fault;
};

/* Ends with an empty one. */
extern const struct fault_kind fault_kinds[];

struct engine;

struct engine *engine_new(const char *libfs);
void engine_free(struct engine *engine);

enum engine_end { ENGINE_POWER, ENGINE_UNMOUNT };

struct engine_result {
	bool fired;        /* false: the workload has no n-th request */
	int error;         /* of the operation that failed, or of mounting; 0: none */
	bool acknowledged; /* everything was promised durable after all */
	char wrong[320];   /* "" = fine */
};

void engine_run(struct engine *engine, const struct fault_kind *kind, uint64_t nth,
		enum engine_end end, const char *workload, struct engine_result *result);

#endif
