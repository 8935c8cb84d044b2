/* SPDX-License-Identifier: MIT */
/*
 * The validator.  Three passes, each linear:
 *
 *  decode   every slot by itself: opcode, fields, registers, helpers (V2-V5, V8-V10)
 *  targets  every jump and call lands on a slot that starts an instruction (V6)
 *  extents  functions are the intervals between call targets; no jump crosses
 *           into another, none falls off its end (V7)
 *
 * Code that cannot be reached is checked like any other (V11): the rules are
 * about bytes, not about paths, so that no engine needs to trust a flow analysis.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "validate.h"

struct validation {
	struct udf_program *program;
	uint32_t helpers;
	struct udf_refusal *why;
	uint16_t first[UDF_SLOTS_MAX];   /* slot -> first slot of its function */
	uint16_t end[UDF_SLOTS_MAX];     /* first slot of a function -> one past its last */
	uint8_t is_start[UDF_SLOTS_MAX]; /* slot is 0 or the target of a local call */
};

int udf_refuse(struct udf_refusal *why, int error, uint32_t slot, const char *format, ...)
{
	va_list args;

	if (!why)
		return error;
	why->error = error;
	why->slot = slot;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

#define REFUSE(v, slot, ...) udf_refuse((v)->why, UDF_EPROGRAM, slot, __VA_ARGS__)

uint32_t udf_helpers_of(enum udf_function fn)
{
	uint32_t all = UDF_HELPER_BIT(UDF_HELPER_CRC32C) | UDF_HELPER_BIT(UDF_HELPER_BYTES_EQUAL);

	return fn == UDF_FN_OWNS ? all | UDF_HELPER_BIT(UDF_HELPER_EMIT) : all;
}

enum field {
	DST = 1,
	SRC = 2,
	OFF = 4,
	IMM = 8,
	WRITES = 16, /* dst is written */
	BASE_DST = 32,
	BASE_SRC = 64,
};

/* What each form uses; the field that selects the variant counts as used. */
static unsigned form_fields(enum udf_form form)
{
	switch (form) {
	case UDF_FORM_ALU_K: return DST | WRITES | OFF | IMM;
	case UDF_FORM_ALU_X: return DST | WRITES | OFF | SRC;
	case UDF_FORM_MOVSX: return DST | WRITES | OFF | SRC;
	case UDF_FORM_NEG: return DST | WRITES;
	case UDF_FORM_END: return DST | WRITES | IMM;
	case UDF_FORM_LDDW: return DST | WRITES | IMM;
	case UDF_FORM_LDX: return DST | WRITES | SRC | OFF | BASE_SRC;
	case UDF_FORM_ST: return DST | OFF | IMM | BASE_DST;
	case UDF_FORM_STX: return DST | SRC | OFF | BASE_DST;
	case UDF_FORM_JA: return OFF;
	case UDF_FORM_GOTOL: return IMM;
	case UDF_FORM_JMP_K: return DST | OFF | IMM;
	case UDF_FORM_JMP_X: return DST | OFF | SRC;
	case UDF_FORM_CALL: return IMM;
	case UDF_FORM_LOCAL: return IMM | SRC;
	case UDF_FORM_EXIT: return 0;
	}
	return 0;
}

static int check_registers(struct validation *v, uint32_t at, struct udf_slot s, unsigned fields)
{
	if (s.dst >= UDF_REG_COUNT || s.src >= UDF_REG_COUNT)
		return REFUSE(v, at, "V4: slot %u names register r%u", at,
			      s.dst >= UDF_REG_COUNT ? s.dst : s.src);
	if ((fields & WRITES) && s.dst == UDF_REG_FRAME)
		return REFUSE(v, at, "V4: slot %u writes r10, the frame pointer", at);
	return 0;
}

static int check_unused(struct validation *v, uint32_t at, struct udf_slot s, unsigned fields)
{
	const char *field = NULL;

	if (s.dst && !(fields & DST))
		field = "destination register";
	else if (s.src && !(fields & SRC))
		field = "source register";
	else if (s.off && !(fields & OFF))
		field = "offset";
	else if (s.imm && !(fields & IMM))
		field = "immediate";
	if (field)
		return REFUSE(v, at, "V3: slot %u sets the %s, which it does not use", at, field);
	return 0;
}

static int check_frame_access(struct validation *v, uint32_t at, struct udf_slot s, unsigned fields,
			      unsigned width)
{
	bool by_frame = ((fields & BASE_DST) && s.dst == UDF_REG_FRAME) ||
			((fields & BASE_SRC) && s.src == UDF_REG_FRAME);

	if (by_frame && (s.off < -(int)UDF_STACK_FRAME || s.off + (int)width > 0))
		return REFUSE(v, at, "V8: slot %u reaches r10%+d, outside its frame", at, s.off);
	return 0;
}

static int check_call(struct validation *v, uint32_t at, struct udf_slot s)
{
	if (s.imm < 0 || s.imm > 31 || !(v->helpers & UDF_HELPER_BIT(s.imm)))
		return REFUSE(v, at, "V9: slot %u calls helper %d, which this function kind lacks",
			      at, s.imm);
	return 0;
}

static int check_second_slot(struct validation *v, uint32_t at, const uint8_t *slots,
			     struct udf_insn *insn)
{
	struct udf_slot s;

	if (at + 1 >= v->program->n_slots)
		return REFUSE(v, at, "V5: lddw in slot %u lacks its second slot", at);
	s = udf_slot_decode(slots + (size_t)(at + 1) * UDF_SLOT_BYTES);
	if (s.opcode || s.dst || s.src || s.off)
		return REFUSE(v, at + 1, "V5: slot %u, second of a lddw, is more than an immediate",
			      at + 1);
	insn->imm = (uint32_t)insn->imm | (uint64_t)(uint32_t)s.imm << 32;
	insn[1] = (struct udf_insn){ .op = UDF_OP_SECOND };
	return 0;
}

static int find_op(struct validation *v, uint32_t at, struct udf_slot s, enum udf_op *op)
{
	*op = udf_isa_find(s);
	if (*op != UDF_OP_COUNT)
		return 0;
	if (udf_isa_has_opcode(s.opcode))
		return REFUSE(v, at, "V10: slot %u has opcode 0x%02x with a wrong sub-code", at,
			      s.opcode);
	return REFUSE(v, at, "V2: slot %u has opcode 0x%02x, which is not in the instruction set",
		      at, s.opcode);
}

/* Compilers keep much in the frame; where the check is done already, there is less to do. */
static void decode_spill(struct udf_program *program, struct udf_insn *insn)
{
	if (insn->op == UDF_OP_LDX64 && insn->src == UDF_REG_FRAME)
		insn->op = UDF_OP_RELOAD;
	else if (insn->op == UDF_OP_STX64 && insn->dst == UDF_REG_FRAME)
		insn->op = UDF_OP_SPILL;
	else
		return;
	program->spills = true;
}

/* Check slot `at` by itself and decode it; returns how many slots it takes. */
static int decode_one(struct validation *v, uint32_t at, const uint8_t *slots)
{
	struct udf_slot s = udf_slot_decode(slots + (size_t)at * UDF_SLOT_BYTES);
	struct udf_insn *insn = &v->program->insn[at];
	const struct udf_isa_row *row;
	enum udf_op op;
	unsigned fields;
	int err;

	err = find_op(v, at, s, &op);
	if (err)
		return err;
	row = udf_isa_row(op);
	fields = form_fields(row->form);
	err = check_unused(v, at, s, fields);
	if (!err)
		err = check_registers(v, at, s, fields);
	if (!err)
		err = check_frame_access(v, at, s, fields, row->width);
	if (!err && op == UDF_OP_CALL)
		err = check_call(v, at, s);
	if (err)
		return err;

	*insn = (struct udf_insn){ (uint8_t)op, s.dst, s.src, s.off, (uint64_t)(int64_t)s.imm };
	decode_spill(v->program, insn);
	if (op == UDF_OP_GOTOL || op == UDF_OP_LOCAL)
		insn->off = s.imm;
	if (op != UDF_OP_LDDW)
		return 1;
	err = check_second_slot(v, at, slots, insn);
	return err ? err : 2;
}

static int decode_all(struct validation *v, const uint8_t *slots)
{
	uint32_t at = 0;

	while (at < v->program->n_slots) {
		int taken = decode_one(v, at, slots);

		if (taken < 0)
			return taken;
		at += (uint32_t)taken;
	}
	return 0;
}

static bool is_jump(enum udf_op op)
{
	const struct udf_isa_row *row = udf_isa_row(op);

	return row && (row->form == UDF_FORM_JA || row->form == UDF_FORM_GOTOL ||
		       row->form == UDF_FORM_JMP_K || row->form == UDF_FORM_JMP_X);
}

static int check_targets(struct validation *v)
{
	uint32_t n = v->program->n_slots;

	memset(v->is_start, 0, sizeof(v->is_start));
	v->is_start[0] = 1;
	for (uint32_t at = 0; at < n; at++) {
		const struct udf_insn *insn = &v->program->insn[at];
		int64_t target = (int64_t)at + 1 + insn->off;

		if (insn->op != UDF_OP_LOCAL && !is_jump(insn->op))
			continue;
		if (target < 0 || target >= n)
			return REFUSE(v, at, "V6: slot %u leads to slot %lld, outside the program",
				      at, (long long)target);
		if (v->program->insn[target].op == UDF_OP_SECOND)
			return REFUSE(v, at, "V6: slot %u leads into the middle of a lddw", at);
		if (insn->op == UDF_OP_LOCAL)
			v->is_start[target] = 1;
	}
	return 0;
}

static int check_last(struct validation *v, uint32_t last)
{
	enum udf_op op = v->program->insn[last].op;

	if (op != UDF_OP_EXIT && op != UDF_OP_JA && op != UDF_OP_GOTOL)
		return REFUSE(v, last, "V7: control can fall out of a function after slot %u",
			      last);
	return 0;
}

/* Functions are the intervals between starts: note where each begins and ends. */
static int find_functions(struct validation *v)
{
	uint32_t n = v->program->n_slots;
	uint32_t start = 0;

	for (uint32_t at = 0; at <= n; at++) {
		if (at == n || (at > 0 && v->is_start[at])) {
			int err = check_last(v, at - 1);

			if (err)
				return err;
			v->end[start] = (uint16_t)at;
			start = at;
		}
		if (at < n)
			v->first[at] = (uint16_t)start;
	}
	return 0;
}

static int check_functions(struct validation *v)
{
	for (uint32_t at = 0; at < v->program->n_slots; at++) {
		struct udf_insn *insn = &v->program->insn[at];
		uint32_t target = at + 1 + (uint32_t)insn->off;

		if (insn->op == UDF_OP_LOCAL)
			insn->imm = v->end[target] - target;
		else if (is_jump(insn->op) && v->first[target] != v->first[at])
			return REFUSE(v, at, "V7: slot %u jumps into another function, at slot %u",
				      at, target);
	}
	return 0;
}

int udf_program_create(const void *bytes, size_t len, uint32_t helpers, struct udf_program **out,
		       struct udf_refusal *why)
{
	struct validation v = { .helpers = helpers, .why = why };
	size_t n = len / UDF_SLOT_BYTES;
	int err;

	if (n < 1 || n > UDF_SLOTS_MAX || len % UDF_SLOT_BYTES)
		return udf_refuse(why, UDF_EPROGRAM, 0, "V1: %zu bytes are not 1 to %u slots", len,
				  UDF_SLOTS_MAX);
	v.program = malloc(sizeof(*v.program) + n * sizeof(v.program->insn[0]));
	if (!v.program)
		return udf_refuse(why, UDF_ENOMEM, 0, "out of memory");
	v.program->n_slots = (uint32_t)n;
	v.program->spills = false;

	err = decode_all(&v, bytes);
	if (!err)
		err = check_targets(&v);
	if (!err)
		err = find_functions(&v);
	if (!err)
		err = check_functions(&v);
	if (err) {
		free(v.program);
		return err;
	}
	*out = v.program;
	return 0;
}

void udf_program_destroy(struct udf_program *program)
{
	free(program);
}
