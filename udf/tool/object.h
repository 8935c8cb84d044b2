/* SPDX-License-Identifier: MIT */
/*
 * BPF object files.
 *
 *  (1) The file is hostile.  libelf tells where the tables are; every offset,
 *      size, name and index is then checked here against the bytes in memory,
 *      and nobody else looks at the file.
 *  (2) After elf_open, every section's bytes, every symbol's name and every
 *      relocation's symbol index may be used without further checks.
 */
#ifndef UDF_TOOL_OBJECT_H
#define UDF_TOOL_OBJECT_H

#include <stdbool.h>

#include "file.h"

struct elf_section {
	const char *name;
	uint32_t type;
	uint64_t flags;
	const uint8_t *data; /* NULL for SHT_NOBITS */
	size_t size;
	uint64_t align;
	uint32_t link, info;
};

struct elf_symbol {
	const char *name;
	unsigned type;    /* STT_* */
	unsigned section; /* index, or SHN_* */
	uint64_t value, size;
};

struct elf_reloc {
	uint64_t offset; /* in the section that it changes */
	uint32_t type;
	uint32_t symbol;
};

struct elf_file {
	const char *path;
	struct blob blob;
	struct elf_section *section;
	size_t n_sections;
	struct elf_symbol *symbol;
	size_t n_symbols;
};

enum outcome elf_open(const char *path, struct elf_file *out);
void elf_fini(struct elf_file *elf);

/* Index of the section of that name, or 0. */
size_t elf_find(const struct elf_file *elf, const char *name);

/* The relocation of 8 bytes at `offset` in a section: 1 if found, else 0. */
int elf_find_reloc(const struct elf_file *elf, size_t section, uint64_t offset,
		   struct elf_reloc *out);

/* The relocation section that changes `section`, or 0; read with elf_reloc_at. */
size_t elf_relocs_of(const struct elf_file *elf, size_t section);
size_t elf_reloc_count(const struct elf_file *elf, size_t relocs);
struct elf_reloc elf_reloc_at(const struct elf_file *elf, size_t relocs, size_t index);

#endif
