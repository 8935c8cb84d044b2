/* SPDX-License-Identifier: MIT */
/* Instructions as text, written as llvm-objdump writes them. */
#ifndef UDF_TOOL_DISASM_H
#define UDF_TOOL_DISASM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Write the instruction at slot `at` of `n` to `out`; returns how many slots it
 * takes (1 or 2).  What is no instruction is written as "<unknown>".
 */
unsigned disasm_slot(const uint8_t *code, uint32_t at, uint32_t n, char *out, size_t size);

#endif
