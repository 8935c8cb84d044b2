/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "disasm.h"
#include "isa.h"

struct text {
	char *out;
	size_t size;
	char w; /* 'r' or 'w': registers of the operation's width */
	const char *op;
};

#define PRINT(t, ...) snprintf((t)->out, (t)->size, __VA_ARGS__)

/* " + 8", " - 8": how a displacement is written behind a register. */
static void print_place(char *out, size_t size, const char *type, unsigned reg, int off)
{
	snprintf(out, size, "*(%s *)(r%u %c %d)", type, reg, off < 0 ? '-' : '+',
		 off < 0 ? -off : off);
}

static void print_memory(const struct text *t, enum udf_form form, const char *type,
			 struct udf_slot s)
{
	char place[48];

	print_place(place, sizeof(place), type, form == UDF_FORM_LDX ? s.src : s.dst, s.off);
	if (form == UDF_FORM_LDX)
		PRINT(t, "r%u = %s", s.dst, place);
	else if (form == UDF_FORM_STX)
		PRINT(t, "%s = r%u", place, s.src);
	else
		PRINT(t, "%s = %d", place, s.imm);
}

static void print_row(const struct text *t, const struct udf_isa_row *row, struct udf_slot s,
		      uint64_t wide)
{
	switch ((enum udf_form)row->form) {
	case UDF_FORM_ALU_K: PRINT(t, "%c%u %s %d", t->w, s.dst, t->op, s.imm); break;
	case UDF_FORM_ALU_X: PRINT(t, "%c%u %s %c%u", t->w, s.dst, t->op, t->w, s.src); break;
	case UDF_FORM_MOVSX: PRINT(t, "%c%u = (%s)%c%u", t->w, s.dst, t->op, t->w, s.src); break;
	case UDF_FORM_NEG: PRINT(t, "%c%u = -%c%u", t->w, s.dst, t->w, s.dst); break;
	case UDF_FORM_END: PRINT(t, "r%u = %s r%u", s.dst, t->op, s.dst); break;
	case UDF_FORM_LDDW: PRINT(t, "r%u = %" PRId64 " ll", s.dst, (int64_t)wide); break;
	case UDF_FORM_LDX:
	case UDF_FORM_ST:
	case UDF_FORM_STX: print_memory(t, row->form, row->text, s); break;
	case UDF_FORM_JA: PRINT(t, "goto %+d", s.off); break;
	case UDF_FORM_GOTOL: PRINT(t, "gotol %+d", s.imm); break;
	case UDF_FORM_JMP_K:
		PRINT(t, "if %c%u %s %d goto %+d", t->w, s.dst, t->op, s.imm, s.off);
		break;
	case UDF_FORM_JMP_X:
		PRINT(t, "if %c%u %s %c%u goto %+d", t->w, s.dst, t->op, t->w, s.src, s.off);
		break;
	case UDF_FORM_CALL:
	case UDF_FORM_LOCAL: PRINT(t, "call %d", s.imm); break;
	case UDF_FORM_EXIT: PRINT(t, "exit"); break;
	}
}

unsigned disasm_slot(const uint8_t *code, uint32_t at, uint32_t n, char *out, size_t size)
{
	struct udf_slot s = udf_slot_decode(code + (size_t)at * UDF_SLOT_BYTES);
	enum udf_op op = udf_isa_find(s);
	const struct udf_isa_row *row = udf_isa_row(op);
	struct text t = { out, size, 'r', row ? row->text : "" };
	uint64_t wide = (uint32_t)s.imm;

	if (!row || (op == UDF_OP_LDDW && at + 1 >= n)) {
		PRINT(&t, "<unknown>");
		return 1;
	}
	if (row->width == 4)
		t.w = 'w';
	if (op == UDF_OP_LDDW)
		wide |= (uint64_t)(uint32_t)udf_slot_decode(code + (size_t)(at + 1) * 8).imm << 32;
	print_row(&t, row, s, wide);
	return op == UDF_OP_LDDW ? 2 : 1;
}
