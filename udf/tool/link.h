/* SPDX-License-Identifier: MIT */
/*
 * Linking: one entry function and what it uses become one program without
 * relocations.
 *
 *  (1) The entry's section comes first, whole; functions of .text follow in the
 *      order in which they are first called.
 *  (2) Constants are placed when first used, section by section, one area for
 *      all functions of a template.
 */
#ifndef UDF_TOOL_LINK_H
#define UDF_TOOL_LINK_H

#include "object.h"
#include "isa.h"
#include "udf/udf.h"

/* Where an instruction of a linked program came from. */
struct link_origin {
	uint32_t section;
	uint32_t slot;
};

struct link_program {
	uint8_t code[UDF_SLOTS_MAX * UDF_SLOT_BYTES];
	struct link_origin origin[UDF_SLOTS_MAX];
	uint32_t n_slots;
};

struct link_rodata {
	uint8_t bytes[UDF_RODATA_MAX];
	uint32_t len;
	uint32_t *address; /* per ELF section: guest address, 0 = not placed */
};

/* Refuse what no template may hold, by name: writable data, undefined symbols, ... */
enum outcome link_check_object(const struct elf_file *elf);

enum outcome link_rodata_init(const struct elf_file *elf, struct link_rodata *rodata);
void link_rodata_fini(struct link_rodata *rodata);

enum outcome link_program(const struct elf_file *elf, size_t entry, struct link_rodata *rodata,
			  struct link_program *out);

#endif
