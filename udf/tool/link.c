/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "link.h"

#define RELOC_64_64    1u  /* R_BPF_64_64: the immediate of a lddw */
#define RELOC_64_ABS64 2u  /* R_BPF_64_ABS64: a pointer in data */
#define RELOC_64_32    10u /* R_BPF_64_32: a local call */

#define OPCODE_LDDW  0x18
#define OPCODE_CALL  0x85
#define OPCODE_CALLX 0x8d
#define SRC_LOCAL    1

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_rodata(const char *name)
{
	return strcmp(name, ".rodata") == 0 || starts_with(name, ".rodata.");
}

static bool is_code(const struct elf_section *section)
{
	return (section->flags & SHF_EXECINSTR) != 0;
}

/* ---- what may be in an object ---- */

/* A name in `section` to show with a complaint about it; "" if there is none. */
static const char *symbol_in(const struct elf_file *elf, size_t section)
{
	for (size_t i = 1; i < elf->n_symbols; i++)
		if (elf->symbol[i].section == section && elf->symbol[i].type != STT_SECTION &&
		    elf->symbol[i].name[0])
			return elf->symbol[i].name;
	return "";
}

static enum outcome check_section(const struct elf_file *elf, size_t index)
{
	const struct elf_section *section = &elf->section[index];
	const char *name = section->name;

	if (!(section->flags & SHF_ALLOC) || !section->size)
		return DONE;
	if (section->type == SHT_NOBITS || (section->flags & SHF_WRITE))
		return refuse(elf->path,
			      "%s: writable global '%s' (a template keeps no state; "
			      "is a const missing?)",
			      name, symbol_in(elf, index));
	if (section->align & (section->align - 1))
		return refuse(elf->path, "%s: alignment is not a power of two", name);
	if (is_code(section) && section->size % UDF_SLOT_BYTES)
		return refuse(elf->path, "%s: is not made of whole instructions", name);
	if (strcmp(name, ".text") == 0 || starts_with(name, "xn/") || is_rodata(name))
		return DONE;
	return refuse(elf->path, "%s: section '%s' has no place in a template", name,
		      symbol_in(elf, index));
}

static enum outcome check_symbol(const struct elf_file *elf, const struct elf_symbol *symbol)
{
	if (symbol->section == SHN_COMMON)
		return refuse(elf->path, "writable global '%s' (a template keeps no state)",
			      symbol->name);
	if (symbol->section == SHN_UNDEF && symbol->name[0])
		return refuse(elf->path,
			      "undefined symbol '%s' (there is no libc; xn_udf.h offers inline "
			      "versions and helpers)",
			      symbol->name);
	return DONE;
}

static enum outcome check_reloc(const struct elf_file *elf, const struct elf_section *target,
				size_t index, struct elf_reloc reloc)
{
	char line[160];

	line_of(elf, index, reloc.offset, line, sizeof(line));
	if (!is_code(target))
		return refuse(elf->path, "%s+%llu: pointer to '%s' in constant data (%s)",
			      target->name, (unsigned long long)reloc.offset,
			      elf->symbol[reloc.symbol].name,
			      reloc.type == RELOC_64_ABS64 ? "R_BPF_64_ABS64" : "relocation");
	if ((reloc.type != RELOC_64_64 && reloc.type != RELOC_64_32) ||
	    reloc.offset % UDF_SLOT_BYTES)
		return refuse(elf->path, "%s+%llu: relocation of type %u is not supported%s%s",
			      target->name, (unsigned long long)reloc.offset, reloc.type,
			      line[0] ? "\n\t" : "", line);
	return DONE;
}

static enum outcome check_relocs_of(const struct elf_file *elf, size_t index)
{
	const struct elf_section *target = &elf->section[index];
	size_t relocs = elf_relocs_of(elf, index);

	if (!(target->flags & SHF_ALLOC))
		return DONE;
	for (size_t k = 0; k < elf_reloc_count(elf, relocs); k++) {
		enum outcome err = check_reloc(elf, target, index, elf_reloc_at(elf, relocs, k));

		if (err)
			return err;
	}
	return DONE;
}

enum outcome link_check_object(const struct elf_file *elf)
{
	enum outcome err = DONE;

	for (size_t i = 1; i < elf->n_symbols && !err; i++)
		err = check_symbol(elf, &elf->symbol[i]);
	for (size_t i = 1; i < elf->n_sections && !err; i++)
		err = check_section(elf, i);
	for (size_t i = 1; i < elf->n_sections && !err; i++)
		err = check_relocs_of(elf, i);
	return err;
}

/* ---- constants ---- */

enum outcome link_rodata_init(const struct elf_file *elf, struct link_rodata *rodata)
{
	rodata->len = 0;
	rodata->address = calloc(elf->n_sections, sizeof(*rodata->address));
	return rodata->address ? DONE : trouble(elf->path, "out of memory");
}

void link_rodata_fini(struct link_rodata *rodata)
{
	free(rodata->address);
	rodata->address = NULL;
}

static enum outcome rodata_place(const struct elf_file *elf, size_t index,
				 struct link_rodata *rodata)
{
	const struct elf_section *section = &elf->section[index];
	uint64_t at = (rodata->len + section->align - 1) & ~(section->align - 1);

	if (rodata->address[index])
		return DONE;
	if (at > UDF_RODATA_MAX || section->size > UDF_RODATA_MAX - at)
		return refuse(elf->path, "%s: constants exceed %u bytes", section->name,
			      UDF_RODATA_MAX);
	memset(rodata->bytes + rodata->len, 0, at - rodata->len);
	memcpy(rodata->bytes + at, section->data, section->size);
	rodata->len = (uint32_t)(at + section->size);
	rodata->address[index] = UDF_ADDR_RODATA + (uint32_t)at;
	return DONE;
}

/* ---- one program ---- */

struct linker {
	const struct elf_file *elf;
	size_t entry;
	size_t text;
	struct link_rodata *rodata;
	struct link_program *out;
};

static enum outcome refuse_slot(const struct linker *linker, uint32_t slot, const char *why,
				const char *name)
{
	struct link_origin origin = linker->out->origin[slot];
	uint64_t offset = (uint64_t)origin.slot * UDF_SLOT_BYTES;
	char line[160];

	line_of(linker->elf, origin.section, offset, line, sizeof(line));
	return refuse(linker->elf->path, "%s+%llu: %s '%s'%s%s",
		      linker->elf->section[origin.section].name, (unsigned long long)offset, why,
		      name, line[0] ? "\n\t" : "", line);
}

static enum outcome place(struct linker *linker, size_t section, uint64_t offset, uint64_t size)
{
	struct link_program *out = linker->out;
	uint32_t n = (uint32_t)(size / UDF_SLOT_BYTES);

	if (n > UDF_SLOTS_MAX - out->n_slots)
		return refuse(linker->elf->path, "%s: function exceeds %u slots with what it calls",
			      linker->elf->section[linker->entry].name, UDF_SLOTS_MAX);
	if (!n)
		return DONE;
	memcpy(out->code + (size_t)out->n_slots * UDF_SLOT_BYTES,
	       linker->elf->section[section].data + offset, (size_t)n * UDF_SLOT_BYTES);
	for (uint32_t i = 0; i < n; i++)
		out->origin[out->n_slots + i] =
			(struct link_origin){ (uint32_t)section,
					      (uint32_t)(offset / UDF_SLOT_BYTES) + i };
	out->n_slots += n;
	return DONE;
}

/* The function of .text that starts at `offset`, or NULL. */
static const struct elf_symbol *function_at(const struct linker *linker, uint64_t offset)
{
	const struct elf_file *elf = linker->elf;

	for (size_t i = 1; i < elf->n_symbols; i++) {
		const struct elf_symbol *symbol = &elf->symbol[i];

		if (symbol->section == linker->text && symbol->type == STT_FUNC &&
		    symbol->value == offset && symbol->size && symbol->size % UDF_SLOT_BYTES == 0 &&
		    symbol->value <= elf->section[linker->text].size &&
		    symbol->size <= elf->section[linker->text].size - symbol->value)
			return symbol;
	}
	return NULL;
}

/* Slot at which `slot` of `section` was placed, or -1. */
static int64_t placed_at(const struct link_program *out, size_t section, uint64_t slot)
{
	for (uint32_t i = 0; i < out->n_slots; i++)
		if (out->origin[i].section == section && out->origin[i].slot == slot)
			return i;
	return -1;
}

static enum outcome link_call(struct linker *linker, uint32_t at, struct udf_slot *slot)
{
	struct link_program *out = linker->out;
	struct link_origin origin = out->origin[at];
	size_t section = origin.section;
	int64_t target = (int64_t)origin.slot + 1 + slot->imm, found;
	const struct elf_symbol *function;
	struct elf_reloc reloc;
	enum outcome err;

	if (elf_find_reloc(linker->elf, section, (uint64_t)origin.slot * UDF_SLOT_BYTES, &reloc)) {
		const struct elf_symbol *symbol = &linker->elf->symbol[reloc.symbol];

		section = symbol->section;
		target = (int64_t)(symbol->value / UDF_SLOT_BYTES) + slot->imm + 1;
		if (reloc.type != RELOC_64_32 || symbol->value > INT32_MAX ||
		    (section != linker->entry && (!section || section != linker->text)))
			return refuse_slot(linker, at,
					   "call of something that is no function:", symbol->name);
	}
	found = placed_at(out, section, (uint64_t)target);
	if (found < 0) {
		function = section == linker->text && target >= 0
				   ? function_at(linker, (uint64_t)target * UDF_SLOT_BYTES)
				   : NULL;
		if (!function)
			return refuse_slot(linker, at, "call into nowhere from",
					   linker->elf->section[origin.section].name);
		found = out->n_slots;
		err = place(linker, section, function->value, function->size);
		if (err)
			return err;
	}
	slot->imm = (int32_t)(found - ((int64_t)at + 1));
	return DONE;
}

static enum outcome link_address(struct linker *linker, uint32_t at, struct udf_slot *slot)
{
	struct link_origin origin = linker->out->origin[at];
	const struct elf_section *target;
	const struct elf_symbol *symbol;
	struct elf_reloc reloc;
	int64_t offset;
	enum outcome err;

	if (!elf_find_reloc(linker->elf, origin.section, (uint64_t)origin.slot * UDF_SLOT_BYTES,
			    &reloc))
		return DONE;
	symbol = &linker->elf->symbol[reloc.symbol];
	if (symbol->section >= linker->elf->n_sections)
		return refuse_slot(linker, at, "address of", symbol->name);
	target = &linker->elf->section[symbol->section];
	if (is_code(target))
		return refuse_slot(linker, at, "function pointer:",
				   symbol->type == STT_SECTION ? target->name : symbol->name);
	if (reloc.type != RELOC_64_64 || !is_rodata(target->name) || !target->data)
		return refuse_slot(linker, at,
				   "address of something that is not constant:", target->name);
	offset = (int64_t)(symbol->value & INT32_MAX) + slot->imm;
	if (symbol->value > INT32_MAX || offset < 0 || offset > (int64_t)target->size)
		return refuse_slot(linker, at, "address beyond the constants of", target->name);
	err = rodata_place(linker->elf, symbol->section, linker->rodata);
	slot->imm = (int32_t)(linker->rodata->address[symbol->section] + (uint32_t)offset);
	return err;
}

static enum outcome link_slot(struct linker *linker, uint32_t at, struct udf_slot *slot)
{
	struct link_origin origin = linker->out->origin[at];
	struct elf_reloc reloc;

	if (slot->opcode == OPCODE_LDDW)
		return link_address(linker, at, slot);
	if (slot->opcode == OPCODE_CALL && slot->src == SRC_LOCAL)
		return link_call(linker, at, slot);
	if (slot->opcode == OPCODE_CALLX)
		return refuse_slot(linker, at, "call through a function pointer (callx) in",
				   linker->elf->section[origin.section].name);
	if (elf_find_reloc(linker->elf, origin.section, (uint64_t)origin.slot * UDF_SLOT_BYTES,
			   &reloc))
		return refuse_slot(linker, at, "relocation of neither an address nor a call:",
				   linker->elf->symbol[reloc.symbol].name);
	return DONE;
}

enum outcome link_program(const struct elf_file *elf, size_t entry, struct link_rodata *rodata,
			  struct link_program *out)
{
	struct linker linker = { elf, entry, elf_find(elf, ".text"), rodata, out };
	enum outcome err;

	out->n_slots = 0;
	err = place(&linker, entry, 0, elf->section[entry].size);
	/* n_slots grows while called functions are placed */
	for (uint32_t at = 0; at < out->n_slots && !err; at++) {
		uint8_t *bytes = out->code + (size_t)at * UDF_SLOT_BYTES;
		struct udf_slot slot = udf_slot_decode(bytes);

		err = link_slot(&linker, at, &slot);
		udf_slot_encode(slot, bytes);
		if (slot.opcode == OPCODE_LDDW)
			at++;
	}
	return err;
}
