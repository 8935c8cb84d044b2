/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a program.  What the validator accepts runs twice, the second time with other
 * bytes wherever the first had read none, and must end alike both times: same result, same
 * fault, same slot, same fuel.
 */
#include <stdlib.h>
#include <string.h>

#include "interp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 64u
#define FUEL   20000u

static struct udf_run run(const struct udf_program *program, uint8_t *record, uint8_t *noted)
{
	struct udf_extents out = { 0 };
	struct udf_run machine = { .program = program,
				   .fuel = FUEL,
				   .emits = 16,
				   .n_child = 4,
				   .out = &out,
				   .arg = { UDF_ADDR_META, RECORD, 1, UDF_ADDR_HDR, 16 } };

	machine.region[UDF_REGION_META] = (struct udf_region){ record, RECORD, false, noted };
	machine.region[UDF_REGION_HDR] = (struct udf_region){ record, 16, false, noted };
	if (udf_interp(&machine))
		machine.result = 0;
	udf_extents_fini(&out);
	return machine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t helpers = udf_helpers_of(UDF_FN_OWNS);
	uint8_t record[RECORD] = { 0 }, noted[RECORD] = { 0 };
	struct udf_program *program;
	struct udf_run first, second;
	size_t given = size < RECORD ? size : RECORD;

	if (udf_program_create(data, size, helpers, &program, NULL))
		return 0;
	memcpy(record, data + size - given, given);
	first = run(program, record, noted);
	for (size_t i = 0; i < RECORD; i++)
		record[i] ^= (uint8_t)~noted[i];
	second = run(program, record, NULL);
	if (first.result != second.result || first.fuel != second.fuel ||
	    first.fault.code != second.fault.code || first.fault.slot != second.fault.slot)
		abort();
	udf_program_destroy(program);
	return 0;
}
