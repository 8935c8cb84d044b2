/* SPDX-License-Identifier: MIT */
/*
 * Programs for tests, slot by slot.  Opcodes are written as numbers of RFC 9669
 * and encoded here, so that nothing of the machine under test is used to make
 * what it is tested with.
 */
#ifndef TESTS_UDF_ASSEMBLER_H
#define TESTS_UDF_ASSEMBLER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "udf/udf.h"

#define PROGRAM_SLOTS (UDF_SLOTS_MAX + 8)

struct program {
	uint8_t bytes[PROGRAM_SLOTS * 8];
	size_t n;
};

#define LEN(p) ((p)->n * 8)

static inline void put(struct program *p, unsigned opcode, unsigned dst, unsigned src, int off,
		       int64_t imm)
{
	uint8_t *b = p->bytes + p->n++ * 8;

	assert_true(p->n <= PROGRAM_SLOTS);
	b[0] = (uint8_t)opcode;
	b[1] = (uint8_t)(src << 4 | dst);
	b[2] = (uint8_t)off;
	b[3] = (uint8_t)((unsigned)off >> 8);
	for (unsigned i = 0; i < 4; i++)
		b[4 + i] = (uint8_t)((uint64_t)imm >> (8 * i));
}

static inline void put_exit(struct program *p)
{
	put(p, 0x95, 0, 0, 0, 0);
}

static inline void put_lddw(struct program *p, unsigned dst, uint64_t value)
{
	put(p, 0x18, dst, 0, 0, (int64_t)value);
	put(p, 0x00, 0, 0, 0, (int64_t)(value >> 32));
}

/* dst = imm, sign-extended */
static inline void put_mov(struct program *p, unsigned dst, int32_t imm)
{
	put(p, 0xb7, dst, 0, 0, imm);
}

static inline void put_emit(struct program *p, int32_t start, int32_t count, int32_t child)
{
	put_mov(p, 1, start);
	put_mov(p, 2, count);
	put_mov(p, 3, child);
	put(p, 0x85, 0, 0, 0, 1);
}

#endif
