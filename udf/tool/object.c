/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"

#ifndef EM_BPF
#define EM_BPF 247
#endif

#define SECTIONS_MAX 65536u

/* A NUL-terminated string inside a string table, or NULL. */
static const char *string_at(const struct elf_section *table, uint64_t offset)
{
	if (table->type != SHT_STRTAB || !table->data || offset >= table->size)
		return NULL;
	if (!memchr(table->data + offset, 0, table->size - offset))
		return NULL;
	return (const char *)table->data + offset;
}

static enum outcome read_section(struct elf_file *elf, Elf *handle, size_t index,
				 uint32_t *name_offset)
{
	struct elf_section *section = &elf->section[index];
	Elf_Scn *scn = elf_getscn(handle, index);
	GElf_Shdr shdr;

	if (!scn || !gelf_getshdr(scn, &shdr))
		return refuse(elf->path, "section header %zu cannot be read", index);
	*name_offset = shdr.sh_name;
	section->name = "";
	section->type = shdr.sh_type;
	section->flags = shdr.sh_flags;
	section->align = shdr.sh_addralign ? shdr.sh_addralign : 1;
	section->link = shdr.sh_link;
	section->info = shdr.sh_info;
	section->size = shdr.sh_type == SHT_NULL ? 0 : shdr.sh_size;
	if (shdr.sh_type == SHT_NOBITS || shdr.sh_type == SHT_NULL)
		return DONE;
	if (shdr.sh_offset > elf->blob.len || shdr.sh_size > elf->blob.len - shdr.sh_offset)
		return refuse(elf->path, "section %zu lies outside the file", index);
	section->data = elf->blob.bytes + shdr.sh_offset;
	return DONE;
}

static enum outcome read_sections(struct elf_file *elf, Elf *handle)
{
	uint32_t *name;
	size_t strings;
	enum outcome err = DONE;

	if (elf_getshdrnum(handle, &elf->n_sections) || elf_getshdrstrndx(handle, &strings) ||
	    !elf->n_sections || elf->n_sections > SECTIONS_MAX || strings >= elf->n_sections)
		return refuse(elf->path, "section table is malformed");
	elf->section = calloc(elf->n_sections, sizeof(*elf->section));
	if (!elf->section)
		return trouble(elf->path, "out of memory");
	name = calloc(elf->n_sections, sizeof(*name));
	if (!name)
		return trouble(elf->path, "out of memory");
	for (size_t i = 0; i < elf->n_sections && !err; i++)
		err = read_section(elf, handle, i, &name[i]);
	for (size_t i = 1; i < elf->n_sections && !err; i++) {
		elf->section[i].name = string_at(&elf->section[strings], name[i]);
		if (!elf->section[i].name)
			err = refuse(elf->path, "name of section %zu is malformed", i);
	}
	free(name);
	return err;
}

static enum outcome read_symbols(struct elf_file *elf, const struct elf_section *table)
{
	const struct elf_section *strings;

	if (table->link >= elf->n_sections || table->size % sizeof(Elf64_Sym))
		return refuse(elf->path, "symbol table is malformed");
	strings = &elf->section[table->link];
	elf->n_symbols = table->size / sizeof(Elf64_Sym);
	elf->symbol = calloc(elf->n_symbols + 1, sizeof(*elf->symbol));
	if (!elf->symbol)
		return trouble(elf->path, "out of memory");
	for (size_t i = 0; i < elf->n_symbols; i++) {
		struct elf_symbol *symbol = &elf->symbol[i];
		Elf64_Sym raw;

		memcpy(&raw, table->data + i * sizeof(raw), sizeof(raw));
		symbol->name = string_at(strings, raw.st_name);
		symbol->type = ELF64_ST_TYPE(raw.st_info);
		symbol->section = raw.st_shndx;
		symbol->value = raw.st_value;
		symbol->size = raw.st_size;
		if (!symbol->name ||
		    (raw.st_shndx < SHN_LORESERVE && raw.st_shndx >= elf->n_sections))
			return refuse(elf->path, "symbol %zu is malformed", i);
	}
	return DONE;
}

static enum outcome read_symbol_table(struct elf_file *elf)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (elf->section[i].type == SHT_SYMTAB)
			return read_symbols(elf, &elf->section[i]);
	return refuse(elf->path, "there is no symbol table");
}

/* Relocations of what is loaded; those of debugging sections do not concern us. */
static enum outcome check_relocs(const struct elf_file *elf)
{
	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct elf_section *relocs = &elf->section[i];
		const struct elf_section *target;

		if (relocs->type != SHT_REL && relocs->type != SHT_RELA)
			continue;
		if (relocs->info >= elf->n_sections)
			return refuse(elf->path, "%s changes no section", relocs->name);
		target = &elf->section[relocs->info];
		if (!(target->flags & SHF_ALLOC))
			continue;
		if (relocs->type == SHT_RELA)
			return refuse(elf->path, "%s holds relocations with addends (RELA)",
				      relocs->name);
		if (relocs->size % sizeof(Elf64_Rel))
			return refuse(elf->path, "%s is malformed", relocs->name);
		for (size_t k = 0; k < elf_reloc_count(elf, i); k++) {
			struct elf_reloc reloc = elf_reloc_at(elf, i, k);

			if (target->size < 8 || reloc.offset > target->size - 8 ||
			    reloc.symbol >= elf->n_symbols)
				return refuse(elf->path, "relocation %zu of %s is malformed", k,
					      relocs->name);
		}
	}
	return DONE;
}

static enum outcome check_header(const struct elf_file *elf)
{
	const uint8_t *ident = elf->blob.bytes;
	Elf64_Ehdr header;

	if (elf->blob.len < sizeof(header) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return refuse(elf->path, "not an ELF file");
	memcpy(&header, ident, sizeof(header));
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_BPF || header.e_type != ET_REL)
		return refuse(elf->path, "not a little-endian BPF object file");
	return DONE;
}

enum outcome elf_open(const char *path, struct elf_file *elf)
{
	enum outcome err;
	Elf *handle;

	memset(elf, 0, sizeof(*elf));
	elf->path = path;
	err = file_read(path, &elf->blob);
	if (err)
		return err;
	err = check_header(elf);
	if (err)
		goto fini;
	elf_version(EV_CURRENT);
	handle = elf_memory((char *)elf->blob.bytes, elf->blob.len);
	if (!handle) {
		err = refuse(path, "%s", elf_errmsg(-1));
		goto fini;
	}
	err = read_sections(elf, handle);
	elf_end(handle);
	if (!err)
		err = read_symbol_table(elf);
	if (!err)
		err = check_relocs(elf);
	if (!err)
		return DONE;
fini:
	elf_fini(elf);
	return err;
}

void elf_fini(struct elf_file *elf)
{
	free(elf->symbol);
	free(elf->section);
	blob_fini(&elf->blob);
	memset(elf, 0, sizeof(*elf));
}

size_t elf_find(const struct elf_file *elf, const char *name)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (strcmp(elf->section[i].name, name) == 0)
			return i;
	return 0;
}

size_t elf_relocs_of(const struct elf_file *elf, size_t section)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (elf->section[i].type == SHT_REL && elf->section[i].info == section)
			return i;
	return 0;
}

size_t elf_reloc_count(const struct elf_file *elf, size_t relocs)
{
	return relocs ? elf->section[relocs].size / sizeof(Elf64_Rel) : 0;
}

struct elf_reloc elf_reloc_at(const struct elf_file *elf, size_t relocs, size_t index)
{
	Elf64_Rel raw;

	memcpy(&raw, elf->section[relocs].data + index * sizeof(raw), sizeof(raw));
	return (struct elf_reloc){ raw.r_offset, (uint32_t)ELF64_R_TYPE(raw.r_info),
				   (uint32_t)ELF64_R_SYM(raw.r_info) };
}

int elf_find_reloc(const struct elf_file *elf, size_t section, uint64_t offset,
		   struct elf_reloc *out)
{
	size_t relocs = elf_relocs_of(elf, section);

	for (size_t k = 0; k < elf_reloc_count(elf, relocs); k++) {
		*out = elf_reloc_at(elf, relocs, k);
		if (out->offset == offset)
			return 1;
	}
	return 0;
}
