/* SPDX-License-Identifier: MIT */
#include "isa.h"

#define CLASS_MASK  0x07
#define CLASS_ALU   0x04
#define CLASS_ALU64 0x07
#define OPERATION   0xf0
#define OP_END      0xd0
#define OPCODE_CALL 0x85
#define OPCODE_LDDW 0x18

static const struct udf_isa_row rows[UDF_OP_COUNT] = {
#define X(op, opcode, variant, form, width, text) \
	[UDF_OP_##op] = { #op, text, opcode, UDF_FORM_##form, width, variant },
	UDF_ISA(X)
#undef X
};

struct udf_slot udf_slot_decode(const uint8_t b[UDF_SLOT_BYTES])
{
	struct udf_slot slot = {
		.opcode = b[0],
		.dst = b[1] & 15,
		.src = b[1] >> 4,
		.off = (int16_t)(b[2] | b[3] << 8),
		.imm = (int32_t)(b[4] | b[5] << 8 | b[6] << 16 | (uint32_t)b[7] << 24),
	};
	return slot;
}

void udf_slot_encode(struct udf_slot slot, uint8_t b[UDF_SLOT_BYTES])
{
	uint16_t off = (uint16_t)slot.off;
	uint32_t imm = (uint32_t)slot.imm;

	b[0] = slot.opcode;
	b[1] = (uint8_t)(slot.dst | slot.src << 4);
	b[2] = (uint8_t)off;
	b[3] = (uint8_t)(off >> 8);
	b[4] = (uint8_t)imm;
	b[5] = (uint8_t)(imm >> 8);
	b[6] = (uint8_t)(imm >> 16);
	b[7] = (uint8_t)(imm >> 24);
}

const struct udf_isa_row *udf_isa_row(enum udf_op op)
{
	return (unsigned)op < UDF_OP_COUNT ? &rows[op] : NULL;
}

/* The compiler turns this into a jump table, and refuses two rows that cannot be told apart. */
static enum udf_op find(uint8_t opcode, uint8_t variant)
{
	switch (opcode << 8 | variant) {
#define X(op, code, var, form, width, text) \
	case (code) << 8 | (var): return UDF_OP_##op;
		UDF_ISA(X)
#undef X
	default: return UDF_OP_COUNT;
	}
}

/* The field that tells operations of one opcode apart. */
static int64_t variant_of(struct udf_slot slot)
{
	unsigned class = slot.opcode & CLASS_MASK;

	if (slot.opcode == OPCODE_CALL || slot.opcode == OPCODE_LDDW)
		return slot.src;
	if (class != CLASS_ALU && class != CLASS_ALU64)
		return 0;
	return (slot.opcode & OPERATION) == OP_END ? slot.imm : slot.off;
}

enum udf_op udf_isa_find(struct udf_slot slot)
{
	int64_t variant = variant_of(slot);

	if (variant < 0 || variant > UINT8_MAX)
		return UDF_OP_COUNT;
	return find(slot.opcode, (uint8_t)variant);
}

bool udf_isa_has_opcode(uint8_t opcode)
{
	return find(opcode, 0) != UDF_OP_COUNT || find(opcode, 16) != UDF_OP_COUNT;
}
