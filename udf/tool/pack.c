/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "line.h"
#include "link.h"
#include "pack.h"

#define SECTION_TEMPLATE "xn/tmpl."
#define SECTION_INIT     "xn/init."
#define SECTION_PREFIX   "xn/"

#define MAX_EMIT_DEFAULT 64u
#define SECTOR_BYTES     512u

static const char *after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* ---- collecting ---- */

static bool is_identifier(const char *name)
{
	if (!isalpha((unsigned char)name[0]) && name[0] != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

static struct pack_template *batch_find(const struct pack_batch *batch, const char *name)
{
	for (size_t i = 0; i < batch->n; i++)
		if (strcmp(batch->v[i].name, name) == 0)
			return &batch->v[i];
	return NULL;
}

static bool strings_end(const struct xn_template *d)
{
	bool end = memchr(d->name, 0, sizeof(d->name)) != NULL;

	for (unsigned i = 0; i < XN_CHILD_NAMES; i++)
		end = end && memchr(d->child[i], 0, sizeof(d->child[i]));
	return end;
}

static enum outcome collect_one(const struct elf_file *elf, size_t index, const char *name,
				struct pack_batch *batch)
{
	const struct elf_section *section = &elf->section[index];
	struct pack_template *tmpl, *v;

	if (!is_identifier(name))
		return refuse(elf->path, "'%s' is not a C identifier", section->name);
	if (section->size != sizeof(struct xn_template) || !section->data)
		return refuse(elf->path,
			      "%s: %zu bytes are not one struct xn_template (%zu); is xn_udf.h of "
			      "another version?",
			      section->name, section->size, sizeof(struct xn_template));
	if (batch_find(batch, name))
		return refuse(elf->path, "template %s is defined twice", name);
	v = realloc(batch->v, (batch->n + 1) * sizeof(*v));
	if (!v)
		return trouble(elf->path, "out of memory");
	batch->v = v;
	tmpl = &v[batch->n++];
	memset(tmpl, 0, sizeof(*tmpl));
	tmpl->elf = elf;
	tmpl->name = name;
	memcpy(&tmpl->descriptor, section->data, sizeof(tmpl->descriptor));
	if (!strings_end(&tmpl->descriptor))
		return refuse(elf->path, "%s: a name exceeds %u characters", section->name,
			      UDF_NAME_MAX);
	return DONE;
}

/* Every xn/ section belongs to a template of the same object, and none is there twice. */
static enum outcome check_section(const struct elf_file *elf, size_t index,
				  const struct pack_batch *batch)
{
	const char *name = after(elf->section[index].name, SECTION_PREFIX), *dot;
	const struct pack_template *tmpl;
	bool known = false;

	if (!name)
		return DONE;
	dot = strchr(name, '.');
	for (unsigned fn = 0; fn < UDF_FN_COUNT && dot; fn++)
		known = known || (strlen(udf_function_name(fn)) == (size_t)(dot - name) &&
				  after(name, udf_function_name(fn)));
	if (dot)
		known = known || after(name, "tmpl.") || after(name, "init.");
	if (!known)
		return refuse(elf->path,
			      "section %s: it must be xn/tmpl.NAME, xn/init.NAME or one of "
			      "xn/{owns,refcnt,size,acl,check}.NAME",
			      elf->section[index].name);
	tmpl = batch_find(batch, dot + 1);
	if (!tmpl || tmpl->elf != elf)
		return refuse(elf->path, "section %s: there is no template %s in this file",
			      elf->section[index].name, dot + 1);
	if (elf_find(elf, elf->section[index].name) != index)
		return refuse(elf->path, "section %s is there twice", elf->section[index].name);
	return DONE;
}

enum outcome pack_collect(const struct elf_file *elf, size_t n_elf, struct pack_batch *batch)
{
	enum outcome err = DONE;

	memset(batch, 0, sizeof(*batch));
	for (size_t k = 0; k < n_elf && !err; k++) {
		err = link_check_object(&elf[k]);
		for (size_t i = 1; i < elf[k].n_sections && !err; i++) {
			const char *name = after(elf[k].section[i].name, SECTION_TEMPLATE);

			if (name)
				err = collect_one(&elf[k], i, name, batch);
		}
		for (size_t i = 1; i < elf[k].n_sections && !err; i++)
			if (elf[k].section[i].type != SHT_REL)
				err = check_section(&elf[k], i, batch);
	}
	if (!err && !batch->n)
		err = refuse(n_elf ? elf[0].path : "?", "no template (section xn/tmpl.NAME)");
	if (err)
		pack_fini(batch);
	return err;
}

enum outcome pack_order(struct pack_batch *batch, const char *order)
{
	for (size_t k = 0; k < batch->n; k++) {
		size_t len = strcspn(order, ",");
		size_t i = k;
		struct pack_template one;

		while (i < batch->n && (strlen(batch->v[i].name) != len ||
					strncmp(batch->v[i].name, order, len) != 0))
			i++;
		if (i == batch->n)
			return refuse("--order", "'%.*s' is not the name of a further template",
				      (int)len, order);
		one = batch->v[i];
		memmove(&batch->v[k + 1], &batch->v[k], (i - k) * sizeof(one));
		batch->v[k] = one;
		order += len;
		order += *order == ',';
	}
	return *order ? refuse("--order", "'%s' is left over", order) : DONE;
}

/* ---- one image ---- */

struct packer {
	const struct pack_batch *batch;
	struct pack_template *tmpl;
	struct link_rodata rodata;
	struct link_program program[UDF_FN_COUNT];
	bool has[UDF_FN_COUNT];
	uint64_t child[UDF_CHILDREN_MAX];
	uint32_t n_child;
	uint8_t bytes[UDF_IMAGE_MAX];
	size_t len;
};

static enum outcome resolve_child(struct packer *packer, const char *name)
{
	const struct pack_template *found = batch_find(packer->batch, name);
	const char *hex = after(name, "id:");
	uint64_t id;

	if (strcmp(name, "SELF") == 0 || found == packer->tmpl) {
		id = UDF_CHILD_ID_SELF;
	} else if (found) {
		id = UDF_CHILD_ID_BATCH + (uint64_t)(found - packer->batch->v);
	} else if (hex) {
		char *end;

		id = strtoull(hex, &end, 16);
		if (!*hex || *end || id < 2 || id >= UDF_CHILD_ID_BATCH)
			return refuse(packer->tmpl->name, "child '%s': not the id of a type", name);
	} else {
		return refuse(packer->tmpl->name,
			      "child '%s' is neither SELF, id:HEX nor a template given here", name);
	}
	packer->child[packer->n_child++] = id;
	return DONE;
}

static enum outcome resolve_children(struct packer *packer)
{
	const struct xn_template *d = &packer->tmpl->descriptor;

	packer->child[0] = UDF_CHILD_ID_DATA;
	packer->child[1] = UDF_CHILD_ID_RESERVED;
	packer->n_child = XN_CHILD_FIRST;
	for (unsigned i = 0; i < XN_CHILD_NAMES && d->child[i][0]; i++) {
		enum outcome err = resolve_child(packer, d->child[i]);

		if (err)
			return err;
	}
	return DONE;
}

static enum outcome link_functions(struct packer *packer)
{
	const struct elf_file *elf = packer->tmpl->elf;

	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		char name[256];
		enum outcome err;
		size_t entry;

		snprintf(name, sizeof(name), "xn/%s.%s", udf_function_name(fn), packer->tmpl->name);
		entry = elf_find(elf, name);
		packer->has[fn] = entry != 0;
		if (!entry)
			continue;
		err = link_program(elf, entry, &packer->rodata, &packer->program[fn]);
		if (err)
			return err;
	}
	return DONE;
}

/* Append a section, zero-padded; its place is returned through `off`. */
static enum outcome append(struct packer *packer, const void *bytes, size_t len, udf_le32_t *off)
{
	size_t padded = (len + UDF_IMAGE_ALIGN - 1) & ~(size_t)(UDF_IMAGE_ALIGN - 1);

	if (!len)
		return DONE;
	if (padded > UDF_IMAGE_MAX - packer->len)
		return refuse(packer->tmpl->name, "template exceeds %u bytes", UDF_IMAGE_MAX);
	udf_put_le32(off, (uint32_t)packer->len);
	memcpy(packer->bytes + packer->len, bytes, len);
	packer->len += padded;
	return DONE;
}

static enum outcome append_children(struct packer *packer, struct udf_image_disk *disk)
{
	udf_le64_t child[UDF_CHILDREN_MAX];

	for (uint32_t i = 0; i < packer->n_child; i++)
		udf_put_le64(&child[i], packer->child[i]);
	udf_put_le32(&disk->n_child, packer->n_child);
	return append(packer, child, packer->n_child * sizeof(child[0]), &disk->child_off);
}

static enum outcome append_init(struct packer *packer, struct udf_image_disk *disk)
{
	const struct elf_file *elf = packer->tmpl->elf;
	const struct elf_section *section;
	char name[256];
	size_t len;

	snprintf(name, sizeof(name), SECTION_INIT "%s", packer->tmpl->name);
	section = &elf->section[elf_find(elf, name)];
	if (section->size > packer->tmpl->descriptor.obj_size)
		return refuse(elf->path, "%s: longer than the object", name);
	len = section->data ? section->size : 0;
	while (len && !section->data[len - 1])
		len--;
	udf_put_le32(&disk->init_len, (uint32_t)len);
	return append(packer, section->data, len, &disk->init_off);
}

static void fill_header(const struct packer *packer, struct udf_image_disk *disk)
{
	const struct xn_template *d = &packer->tmpl->descriptor;
	const char *name = d->name[0] ? d->name : packer->tmpl->name;
	uint32_t max_emit = d->max_emit ? d->max_emit : MAX_EMIT_DEFAULT;

	memcpy(disk->magic, UDF_IMAGE_MAGIC, sizeof(disk->magic));
	udf_put_le16(&disk->abi_major, UDF_ABI_MAJOR);
	udf_put_le16(&disk->abi_minor, UDF_ABI_MINOR);
	udf_put_le32(&disk->flags, d->flags);
	memcpy(disk->name, name, strnlen(name, UDF_NAME_MAX));
	udf_put_le32(&disk->obj_size, d->obj_size);
	udf_put_le32(&disk->hdr_len, d->hdr_len);
	udf_put_le32(&disk->rec_off, d->rec_off);
	udf_put_le32(&disk->rec_size, d->rec_size);
	udf_put_le32(&disk->rec_count, d->rec_count);
	udf_put_le32(&disk->max_emit, packer->has[UDF_FN_OWNS] ? max_emit : 0);
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++)
		if (packer->has[fn])
			udf_put_le32(&disk->fuel[fn], d->fuel[fn] ? d->fuel[fn] : UDF_FUEL_DEFAULT);
}

static enum outcome assemble(struct packer *packer)
{
	struct udf_image_disk *disk = (struct udf_image_disk *)packer->bytes;
	enum outcome err;

	packer->len = sizeof(*disk);
	fill_header(packer, disk);
	udf_put_le32(&disk->rodata_len, packer->rodata.len);
	err = append_children(packer, disk);
	if (!err)
		err = append(packer, packer->rodata.bytes, packer->rodata.len, &disk->rodata_off);
	for (unsigned fn = 0; fn < UDF_FN_COUNT && !err; fn++) {
		size_t len = packer->has[fn] ? packer->program[fn].n_slots * UDF_SLOT_BYTES : 0;

		udf_put_le32(&disk->fn[fn].len, (uint32_t)len);
		err = append(packer, packer->program[fn].code, len, &disk->fn[fn].off);
	}
	if (!err)
		err = append_init(packer, disk);
	if (err)
		return err;
	udf_put_le32(&disk->image_len, (uint32_t)packer->len);
	udf_put_le32(&disk->crc32c, udf_image_crc(packer->bytes, packer->len));
	return DONE;
}

static enum outcome refuse_program(const struct packer *packer, const struct udf_refusal *why)
{
	const struct link_program *program = &packer->program[why->function];
	struct link_origin origin = { 0 };
	char line[160] = "";

	if (why->slot < program->n_slots) {
		origin = program->origin[why->slot];
		line_of(packer->tmpl->elf, origin.section, (uint64_t)origin.slot * UDF_SLOT_BYTES,
			line, sizeof(line));
	}
	return refuse(packer->tmpl->elf->path, "%s of %s: %s%s%s", udf_function_name(why->function),
		      packer->tmpl->name, why->text, line[0] ? "\n\t" : "", line);
}

static enum outcome check_image(const struct packer *packer)
{
	struct udf_template *loaded;
	struct udf_refusal why;
	int err = udf_template_load(packer->bytes, packer->len, &loaded, &why);

	if (!err)
		udf_template_destroy(loaded);
	if (err == UDF_EPROGRAM || err == UDF_EFAULT)
		return refuse_program(packer, &why);
	if (err == UDF_ENOMEM)
		return trouble(packer->tmpl->name, "out of memory");
	return err ? refuse(packer->tmpl->elf->path, "%s: %s", packer->tmpl->name, why.text) : DONE;
}

/* A torn write changes whole sectors: a record in two of them can be half old, half new. */
static void warn_straddling(const struct pack_template *tmpl)
{
	const struct xn_template *d = &tmpl->descriptor;

	for (uint32_t i = 0; i < d->rec_count && d->rec_size <= SECTOR_BYTES; i++) {
		uint32_t first = d->rec_off + i * d->rec_size, last = first + d->rec_size - 1;

		if (first / SECTOR_BYTES != last / SECTOR_BYTES) {
			warn(tmpl->name, "record %u straddles two 512-byte sectors", i);
			return;
		}
	}
	if (d->rec_count > 1 && d->rec_size > SECTOR_BYTES &&
	    (d->rec_off % SECTOR_BYTES || d->rec_size % SECTOR_BYTES))
		warn(tmpl->name, "records share 512-byte sectors with their neighbours");
}

static enum outcome pack_image(struct packer *packer)
{
	enum outcome err = link_rodata_init(packer->tmpl->elf, &packer->rodata);

	if (!err)
		err = resolve_children(packer);
	if (!err)
		err = link_functions(packer);
	if (!err)
		err = assemble(packer);
	if (!err)
		err = check_image(packer);
	link_rodata_fini(&packer->rodata);
	if (err)
		return err;
	warn_straddling(packer->tmpl);
	packer->tmpl->image.bytes = malloc(packer->len);
	if (!packer->tmpl->image.bytes)
		return trouble(packer->tmpl->name, "out of memory");
	memcpy(packer->tmpl->image.bytes, packer->bytes, packer->len);
	packer->tmpl->image.len = packer->len;
	return DONE;
}

enum outcome pack_images(struct pack_batch *batch)
{
	enum outcome err = DONE;

	for (size_t i = 0; i < batch->n && !err; i++) {
		struct packer *packer = calloc(1, sizeof(*packer));

		if (!packer)
			return trouble(batch->v[i].name, "out of memory");
		packer->batch = batch;
		packer->tmpl = &batch->v[i];
		err = pack_image(packer);
		free(packer);
	}
	return err;
}

void pack_fini(struct pack_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		blob_fini(&batch->v[i].image);
	free(batch->v);
	memset(batch, 0, sizeof(*batch));
}
