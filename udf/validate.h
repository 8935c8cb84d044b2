/* SPDX-License-Identifier: MIT */
/*
 * Programs: from the bytes of an image to what an engine runs.
 *
 *  (1) udf_program_create is the only maker of programs, so whatever an engine
 *      is given has passed rules V1 to V12.
 *  (2) Slots keep their numbers: insn[i] is slot i of the image, so that faults
 *      name the same place whichever engine found them.
 *  (3) The work is linear in the number of slots.
 */
#ifndef UDF_PRIVATE_VALIDATE_H
#define UDF_PRIVATE_VALIDATE_H

#include "isa.h"
#include "udf/udf.h"

struct udf_insn {
	uint8_t op; /* enum udf_op */
	uint8_t dst, src;
	int32_t off; /* memory: displacement; jumps and local calls: from the next slot */
	uint64_t
		imm; /* sign-extended; lddw: all 64 bits; local call: the callee's length in slots */
};

struct udf_program {
	uint32_t n_slots;
	bool spills; /* some operation is UDF_OP_RELOAD or UDF_OP_SPILL */
	struct udf_insn insn[];
};

/* Bit n = helper n may be called. */
#define UDF_HELPER_BIT(n) (1u << (n))

uint32_t udf_helpers_of(enum udf_function fn);

/*
 * Fails with
 *   UDF_EPROGRAM  a rule is broken; `why` names rule and slot
 *   UDF_ENOMEM
 */
int udf_program_create(const void *bytes, size_t len, uint32_t helpers, struct udf_program **out,
		       struct udf_refusal *why);
void udf_program_destroy(struct udf_program *program);

/* Fill in a refusal (NULL is allowed) and return `error`. */
__attribute__((format(printf, 4, 5))) int udf_refuse(struct udf_refusal *why, int error,
						     uint32_t slot, const char *format, ...);

#endif
