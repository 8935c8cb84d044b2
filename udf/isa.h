/* SPDX-License-Identifier: MIT */
/*
 * The instruction set: one table, read by the validator, the interpreter and
 * the disassembler of xn-tmpl.
 *
 *  (1) A row stands for exactly one operation.  Where RFC 9669 tells operations
 *      of one opcode apart by another field (offset, immediate or source
 *      register), each value of that field has its own row.
 *  (2) What has no row does not exist: the validator refuses it, so an engine
 *      never meets it.
 */
#ifndef UDF_PRIVATE_ISA_H
#define UDF_PRIVATE_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UDF_SLOT_BYTES 8u
#define UDF_REG_FRAME  10u /* r10: top of the frame, read only */
#define UDF_REG_COUNT  11u

/* Which fields an operation uses, and how it is written. */
enum udf_form {
	UDF_FORM_ALU_K, /* dst op= imm */
	UDF_FORM_ALU_X, /* dst op= src */
	UDF_FORM_MOVSX, /* dst = (s8|s16|s32)src */
	UDF_FORM_NEG,   /* dst = -dst */
	UDF_FORM_END,   /* dst = be16 dst */
	UDF_FORM_LDDW,  /* dst = imm64, two slots */
	UDF_FORM_LDX,   /* dst = *(width *)(src + off) */
	UDF_FORM_ST,    /* *(width *)(dst + off) = imm */
	UDF_FORM_STX,   /* *(width *)(dst + off) = src */
	UDF_FORM_JA,    /* pc += off */
	UDF_FORM_GOTOL, /* pc += imm */
	UDF_FORM_JMP_K, /* if dst op imm goto off */
	UDF_FORM_JMP_X, /* if dst op src goto off */
	UDF_FORM_CALL,  /* helper imm */
	UDF_FORM_LOCAL, /* function at pc + imm */
	UDF_FORM_EXIT,
};

/* X(operation, opcode, variant, form, width in bytes, text) */
#define UDF_ISA_ALU(X, NAME, CODE, TEXT)                \
	X(NAME##32_K, (CODE) | 0x04, 0, ALU_K, 4, TEXT) \
	X(NAME##64_K, (CODE) | 0x07, 0, ALU_K, 8, TEXT) \
	X(NAME##32_X, (CODE) | 0x0c, 0, ALU_X, 4, TEXT) \
	X(NAME##64_X, (CODE) | 0x0f, 0, ALU_X, 8, TEXT)

#define UDF_ISA_DIV(X, NAME, SNAME, CODE, TEXT, STEXT)    \
	X(NAME##32_K, (CODE) | 0x04, 0, ALU_K, 4, TEXT)   \
	X(SNAME##32_K, (CODE) | 0x04, 1, ALU_K, 4, STEXT) \
	X(NAME##64_K, (CODE) | 0x07, 0, ALU_K, 8, TEXT)   \
	X(SNAME##64_K, (CODE) | 0x07, 1, ALU_K, 8, STEXT) \
	X(NAME##32_X, (CODE) | 0x0c, 0, ALU_X, 4, TEXT)   \
	X(SNAME##32_X, (CODE) | 0x0c, 1, ALU_X, 4, STEXT) \
	X(NAME##64_X, (CODE) | 0x0f, 0, ALU_X, 8, TEXT)   \
	X(SNAME##64_X, (CODE) | 0x0f, 1, ALU_X, 8, STEXT)

#define UDF_ISA_JMP(X, NAME, CODE, TEXT)                \
	X(NAME##64_K, (CODE) | 0x05, 0, JMP_K, 8, TEXT) \
	X(NAME##32_K, (CODE) | 0x06, 0, JMP_K, 4, TEXT) \
	X(NAME##64_X, (CODE) | 0x0d, 0, JMP_X, 8, TEXT) \
	X(NAME##32_X, (CODE) | 0x0e, 0, JMP_X, 4, TEXT)

#define UDF_ISA_ARITHMETIC(X)                        \
	UDF_ISA_ALU(X, ADD, 0x00, "+=")              \
	UDF_ISA_ALU(X, SUB, 0x10, "-=")              \
	UDF_ISA_ALU(X, MUL, 0x20, "*=")              \
	UDF_ISA_DIV(X, DIV, SDIV, 0x30, "/=", "s/=") \
	UDF_ISA_ALU(X, OR, 0x40, "|=")               \
	UDF_ISA_ALU(X, AND, 0x50, "&=")              \
	UDF_ISA_ALU(X, LSH, 0x60, "<<=")             \
	UDF_ISA_ALU(X, RSH, 0x70, ">>=")             \
	X(NEG32, 0x84, 0, NEG, 4, "-")               \
	X(NEG64, 0x87, 0, NEG, 8, "-")               \
	UDF_ISA_DIV(X, MOD, SMOD, 0x90, "%=", "s%=") \
	UDF_ISA_ALU(X, XOR, 0xa0, "^=")              \
	UDF_ISA_ALU(X, MOV, 0xb0, "=")               \
	X(MOVSX32_8, 0xbc, 8, MOVSX, 4, "s8")        \
	X(MOVSX32_16, 0xbc, 16, MOVSX, 4, "s16")     \
	X(MOVSX64_8, 0xbf, 8, MOVSX, 8, "s8")        \
	X(MOVSX64_16, 0xbf, 16, MOVSX, 8, "s16")     \
	X(MOVSX64_32, 0xbf, 32, MOVSX, 8, "s32")     \
	UDF_ISA_ALU(X, ARSH, 0xc0, "s>>=")           \
	X(LE16, 0xd4, 16, END, 8, "le16")            \
	X(LE32, 0xd4, 32, END, 8, "le32")            \
	X(LE64, 0xd4, 64, END, 8, "le64")            \
	X(SWAP16, 0xd7, 16, END, 8, "bswap16")       \
	X(SWAP32, 0xd7, 32, END, 8, "bswap32")       \
	X(SWAP64, 0xd7, 64, END, 8, "bswap64")       \
	X(BE16, 0xdc, 16, END, 8, "be16")            \
	X(BE32, 0xdc, 32, END, 8, "be32")            \
	X(BE64, 0xdc, 64, END, 8, "be64")

#define UDF_ISA_MEMORY(X)                 \
	X(LDDW, 0x18, 0, LDDW, 8, "ll")   \
	X(LDX32, 0x61, 0, LDX, 4, "u32")  \
	X(ST32, 0x62, 0, ST, 4, "u32")    \
	X(STX32, 0x63, 0, STX, 4, "u32")  \
	X(LDX16, 0x69, 0, LDX, 2, "u16")  \
	X(ST16, 0x6a, 0, ST, 2, "u16")    \
	X(STX16, 0x6b, 0, STX, 2, "u16")  \
	X(LDX8, 0x71, 0, LDX, 1, "u8")    \
	X(ST8, 0x72, 0, ST, 1, "u8")      \
	X(STX8, 0x73, 0, STX, 1, "u8")    \
	X(LDX64, 0x79, 0, LDX, 8, "u64")  \
	X(ST64, 0x7a, 0, ST, 8, "u64")    \
	X(STX64, 0x7b, 0, STX, 8, "u64")  \
	X(LDSX32, 0x81, 0, LDX, 4, "s32") \
	X(LDSX16, 0x89, 0, LDX, 2, "s16") \
	X(LDSX8, 0x91, 0, LDX, 1, "s8")

#define UDF_ISA_FLOW(X)                      \
	X(JA, 0x05, 0, JA, 0, "goto")        \
	X(GOTOL, 0x06, 0, GOTOL, 0, "gotol") \
	UDF_ISA_JMP(X, JEQ, 0x10, "==")      \
	UDF_ISA_JMP(X, JGT, 0x20, ">")       \
	UDF_ISA_JMP(X, JGE, 0x30, ">=")      \
	UDF_ISA_JMP(X, JSET, 0x40, "&")      \
	UDF_ISA_JMP(X, JNE, 0x50, "!=")      \
	UDF_ISA_JMP(X, JSGT, 0x60, "s>")     \
	UDF_ISA_JMP(X, JSGE, 0x70, "s>=")    \
	X(CALL, 0x85, 0, CALL, 0, "call")    \
	X(LOCAL, 0x85, 1, LOCAL, 0, "call")  \
	X(EXIT, 0x95, 0, EXIT, 0, "exit")    \
	UDF_ISA_JMP(X, JLT, 0xa0, "<")       \
	UDF_ISA_JMP(X, JLE, 0xb0, "<=")      \
	UDF_ISA_JMP(X, JSLT, 0xc0, "s<")     \
	UDF_ISA_JMP(X, JSLE, 0xd0, "s<=")

#define UDF_ISA(X)            \
	UDF_ISA_ARITHMETIC(X) \
	UDF_ISA_MEMORY(X)     \
	UDF_ISA_FLOW(X)

enum udf_op {
#define X(op, opcode, variant, form, width, text) UDF_OP_##op,
	UDF_ISA(X)
#undef X
		UDF_OP_COUNT,
	UDF_OP_SECOND = UDF_OP_COUNT, /* the second slot of a lddw; never executed */
	/* What the validator makes of LDX64 and STX64 by r10: these lie in the frame (V8). */
	UDF_OP_RELOAD,
	UDF_OP_SPILL,
};

struct udf_isa_row {
	const char *name;
	const char *text;
	uint8_t opcode;
	uint8_t form;
	uint8_t width;
	uint8_t variant;
};

/* One slot as RFC 9669 lays it out. */
struct udf_slot {
	uint8_t opcode;
	uint8_t dst, src;
	int16_t off;
	int32_t imm;
};

struct udf_slot udf_slot_decode(const uint8_t bytes[UDF_SLOT_BYTES]);
void udf_slot_encode(struct udf_slot slot, uint8_t bytes[UDF_SLOT_BYTES]);

const struct udf_isa_row *udf_isa_row(enum udf_op op);

/*
 * The operation of a slot, or UDF_OP_COUNT when there is none.  Fields other
 * than the opcode and the variant are not looked at.
 */
enum udf_op udf_isa_find(struct udf_slot slot);

/* Is there an operation of this opcode at all, whatever its variant? */
bool udf_isa_has_opcode(uint8_t opcode);

#endif
