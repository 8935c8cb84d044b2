/* SPDX-License-Identifier: MIT */
/* Validate and run a program of assembler.h in the interpreter, without a template around it. */
#ifndef TESTS_UDF_ENGINE_H
#define TESTS_UDF_ENGINE_H

#include "assembler.h"
#include "interp.h"

#define ALL_HELPERS                                                            \
	(UDF_HELPER_BIT(UDF_HELPER_EMIT) | UDF_HELPER_BIT(UDF_HELPER_CRC32C) | \
	 UDF_HELPER_BIT(UDF_HELPER_BYTES_EQUAL))

/* A run with defaults: full fuel, 64 emits, 4 children, no regions. */
static inline struct udf_run plain_run(void)
{
	return (struct udf_run){ .fuel = UDF_FUEL_MAX, .emits = 64, .n_child = 4 };
}

static inline struct udf_region region_of(const void *bytes, size_t len)
{
	return (struct udf_region){ (uint8_t *)(uintptr_t)bytes, (uint32_t)len, false, NULL };
}

/* Run `p` with what `run` says; the program must pass the validator. */
static inline int engine_run(const struct program *p, struct udf_run *run)
{
	struct udf_program *program = NULL;
	struct udf_refusal why = { 0 };
	struct udf_extents out = { 0 };
	int err = udf_program_create(p->bytes, LEN(p), ALL_HELPERS, &program, &why);

	if (err)
		fail_msg("validator: %s", why.text);
	run->program = program;
	if (!run->out)
		run->out = &out;
	err = udf_interp(run);
	udf_program_destroy(program);
	udf_extents_fini(&out);
	if (run->out == &out)
		run->out = NULL;
	return err;
}

/* r0 of a program that must not fault. */
static inline uint64_t engine_result(const struct program *p)
{
	struct udf_run run = plain_run();
	int err = engine_run(p, &run);

	if (err)
		fail_msg("fault %s at slot %u, value %llx", udf_fault_name(run.fault.code),
			 run.fault.slot, (unsigned long long)run.fault.value);
	return run.result;
}

static inline void expect_fault(const struct program *p, struct udf_run run,
				enum udf_fault_code code, uint32_t slot)
{
	int err = engine_run(p, &run);

	if (err != UDF_EFAULT)
		fail_msg("no fault; result %llx", (unsigned long long)run.result);
	if (run.fault.code != code || run.fault.slot != slot)
		fail_msg("fault %s at slot %u, expected %s at %u", udf_fault_name(run.fault.code),
			 run.fault.slot, udf_fault_name(code), slot);
}

#endif
