/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "line.h"

#define BTF_MAGIC 0xeb9f

struct view {
	const uint8_t *p;
	size_t len;
};

static bool take32(struct view *v, uint32_t *out)
{
	if (v->len < 4)
		return false;
	*out = v->p[0] | v->p[1] << 8 | v->p[2] << 16 | (uint32_t)v->p[3] << 24;
	v->p += 4;
	v->len -= 4;
	return true;
}

static bool cut(struct view *v, uint64_t from, uint64_t len)
{
	if (from > v->len || len > v->len - from)
		return false;
	v->p += from;
	v->len = len;
	return true;
}

/*
 * Both sections start: u16 magic, u8 version, u8 flags, u32 header length, then
 * pairs of u32 offset and length, counted from the end of the header.  Narrow
 * `v` to what pair `pair` names.
 */
static bool btf_part(const struct elf_file *elf, const char *name, unsigned pair, struct view *v)
{
	const struct elf_section *section = &elf->section[elf_find(elf, name)];
	struct view header = { section->data, section->data ? section->size : 0 };
	uint32_t magic, header_len, skip, off, len;

	*v = header;
	if (!take32(&header, &magic) || (magic & 0xffff) != BTF_MAGIC ||
	    !take32(&header, &header_len))
		return false;
	for (unsigned i = 0; i < 2 * pair; i++)
		if (!take32(&header, &skip))
			return false;
	if (!take32(&header, &off) || !take32(&header, &len))
		return false;
	return cut(v, (uint64_t)header_len + off, len);
}

static const char *btf_string(struct view strings, uint32_t offset)
{
	if (offset >= strings.len || !memchr(strings.p + offset, 0, strings.len - offset))
		return "";
	return (const char *)strings.p + offset;
}

static void print_line(struct view strings, uint32_t file, uint32_t text, uint32_t line_col,
		       char *out, size_t size)
{
	const char *path = btf_string(strings, file), *slash = strrchr(path, '/');
	const char *line = btf_string(strings, text);

	snprintf(out, size, "%s:%u: %s", slash ? slash + 1 : path, line_col >> 10,
		 line + strspn(line, " \t"));
}

/* The records of one section are in order: the last one not beyond `offset` is it. */
static bool search(struct view records, uint32_t n, uint32_t size, uint64_t offset,
		   struct view strings, char *out, size_t out_size)
{
	bool found = false;

	for (uint32_t i = 0; i < n; i++) {
		struct view record = records;
		uint32_t at, file, text, line_col;

		if (!cut(&record, (uint64_t)i * size, size) || !take32(&record, &at) ||
		    !take32(&record, &file) || !take32(&record, &text) ||
		    !take32(&record, &line_col) || at > offset)
			break;
		print_line(strings, file, text, line_col, out, out_size);
		found = true;
	}
	return found;
}

void line_of(const struct elf_file *elf, size_t section, uint64_t offset, char *out, size_t size)
{
	struct view strings, info;
	uint32_t record_size, name, n;

	out[0] = '\0';
	if (!btf_part(elf, ".BTF", 1, &strings) || !btf_part(elf, ".BTF.ext", 1, &info) ||
	    !take32(&info, &record_size) || record_size < 16)
		return;
	while (take32(&info, &name) && take32(&info, &n)) {
		uint64_t bytes = (uint64_t)n * record_size;

		if (bytes > info.len)
			return;
		if (strcmp(btf_string(strings, name), elf->section[section].name) == 0 &&
		    search(info, n, record_size, offset, strings, out, size))
			return;
		info.p += bytes;
		info.len -= bytes;
	}
}
