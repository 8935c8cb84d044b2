/* SPDX-License-Identifier: MIT */
/*
 * The interpreter: the reference engine.
 *
 *  (1) Every instruction is a total function of registers and memory.
 *  (2) An access is legal iff it lies wholly inside one region; the address
 *      that was checked is the address that is used.
 *  (3) All eight frames are zeroes when a run starts.  Zeroing is put off until
 *      an access reaches down to a frame, which no program can observe; a frame is
 *      zeroed when it is entered if the program has loads or stores that are known
 *      to lie in their frame (V8) and so do not look.
 *  (4) Fuel: a taken jump backwards costs its distance, a local call the
 *      callee's length, helpers what they read.  The instruction that would
 *      bring the balance below zero faults and has no effect.
 *  (5) Every byte of a region that a load or a helper reads is noted where the
 *      region says; so two runs whose noted bytes are alike are alike.
 *
 * Where an instruction could fault for two reasons, the order is part of the
 * ABI: a local call checks DEPTH, then FUEL; a helper ARG, then FUEL, then EMIT.
 */
#ifndef UDF_PRIVATE_INTERP_H
#define UDF_PRIVATE_INTERP_H

#include "validate.h"

enum udf_region_id {
	UDF_REGION_NONE,
	UDF_REGION_META,
	UDF_REGION_HDR,
	UDF_REGION_NEW,
	UDF_REGION_OWNER,
	UDF_REGION_RODATA,
	UDF_REGION_ARGS,
	UDF_REGION_STACK, /* the engine's own */
	UDF_REGION_COUNT,
};

struct udf_region {
	uint8_t *bytes; /* written only if writable */
	uint32_t len;
	bool writable;  /* META in xn-udf-vm, nothing else ever */
	uint8_t *noted; /* 0xff is put here for every byte that is read; NULL: nobody asks */
};

#define UDF_REGION_LEN_MAX (1u << 24) /* regions are 2^26 apart: they never meet */

/* One run: what goes in, what comes out. */
struct udf_run {
	const struct udf_program *program;
	struct udf_region region[UDF_REGION_STACK];
	uint64_t arg[5]; /* r1 to r5 */

	uint64_t fuel;           /* in: what it may spend; out: what is left */
	struct udf_extents *out; /* emit appends here */
	uint32_t emits;          /* as fuel */
	uint32_t n_child;

	uint64_t result; /* r0 at exit */
	struct udf_fault fault;
};

/*
 * Fails with
 *   UDF_EFAULT  run->fault says why; what was emitted is still in run->out
 *   UDF_ENOMEM
 */
int udf_interp(struct udf_run *run);

#endif
