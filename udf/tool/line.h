/* SPDX-License-Identifier: MIT */
/* Which source line an instruction came from, by the line table of .BTF.ext. */
#ifndef UDF_TOOL_LINE_H
#define UDF_TOOL_LINE_H

#include "object.h"

/*
 * "file.c:12: text of the line", or "" if the object has no (sane) line table.
 * An object compiled with -g has one.
 */
void line_of(const struct elf_file *elf, size_t section, uint64_t offset, char *out, size_t size);

#endif
