/* SPDX-License-Identifier: MIT */
/*
 * The loader.  decode_* check every number that is used later: range, order,
 * overflow.  After them the rest of the machine may trust udf_info.
 */
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define REFUSE(why, ...) udf_refuse(why, UDF_EIMAGE, 0, __VA_ARGS__)

struct section {
	const char *name;
	uint32_t off, len;
};

#define SECTIONS (3 + UDF_FN_COUNT)

uint32_t udf_image_crc(const void *image, size_t len)
{
	const size_t at = offsetof(struct udf_image_disk, crc32c), next = at + sizeof(udf_le32_t);
	static const uint8_t zero[sizeof(udf_le32_t)];
	const uint8_t *bytes = image;
	uint32_t crc = udf_crc32c(0, bytes, at);

	crc = udf_crc32c(crc, zero, sizeof(zero));
	return udf_crc32c(crc, bytes + next, len - next);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static int check_envelope(const struct udf_image_disk *disk, size_t len, struct udf_refusal *why)
{
	if (len < sizeof(*disk) || len > UDF_IMAGE_MAX || len % UDF_IMAGE_ALIGN)
		return REFUSE(why, "image of %zu bytes; it must have %zu to %u, a multiple of %u",
			      len, sizeof(*disk), UDF_IMAGE_MAX, UDF_IMAGE_ALIGN);
	if (memcmp(disk->magic, UDF_IMAGE_MAGIC, sizeof(disk->magic)) != 0)
		return REFUSE(why, "magic is not that of a template image");
	if (udf_le32(disk->image_len) != len)
		return REFUSE(why, "image_len says %u bytes, there are %zu",
			      udf_le32(disk->image_len), len);
	if (udf_le32(disk->crc32c) != udf_image_crc(disk, len))
		return REFUSE(why, "checksum does not match");
	if (udf_le16(disk->abi_major) != UDF_ABI_MAJOR || udf_le16(disk->abi_minor) > UDF_ABI_MINOR)
		return REFUSE(why, "needs ABI %u.%u, this machine has %u.%u",
			      udf_le16(disk->abi_major), udf_le16(disk->abi_minor), UDF_ABI_MAJOR,
			      UDF_ABI_MINOR);
	if (udf_le32(disk->flags) & ~UDF_TEMPLATE_STICKY)
		return REFUSE(why, "unknown flags 0x%x", udf_le32(disk->flags));
	if (!all_zero(disk->reserved, sizeof(disk->reserved)))
		return REFUSE(why, "reserved bytes are not zero");
	return 0;
}

static int decode_name(const struct udf_image_disk *disk, struct udf_info *info,
		       struct udf_refusal *why)
{
	size_t n = 0;

	while (n < sizeof(disk->name) && disk->name[n] > 0x20 && disk->name[n] < 0x7f)
		n++;
	if (n < 1 || n > UDF_NAME_MAX || !all_zero(disk->name + n, sizeof(disk->name) - n))
		return REFUSE(why, "name is not 1 to %u printable characters, then zeroes",
			      UDF_NAME_MAX);
	memcpy(info->name, disk->name, sizeof(info->name));
	return 0;
}

static int decode_records(const struct udf_image_disk *disk, struct udf_info *info,
			  struct udf_refusal *why)
{
	info->obj_size = udf_le32(disk->obj_size);
	info->hdr_len = udf_le32(disk->hdr_len);
	info->rec_off = udf_le32(disk->rec_off);
	info->rec_size = udf_le32(disk->rec_size);
	info->rec_count = udf_le32(disk->rec_count);

	if (info->obj_size < UDF_OBJECT_MIN || info->obj_size > UDF_OBJECT_MAX)
		return REFUSE(why, "obj_size %u is not %u to %u", info->obj_size, UDF_OBJECT_MIN,
			      UDF_OBJECT_MAX);
	if (info->rec_count > UDF_RECORDS_MAX)
		return REFUSE(why, "rec_count %u exceeds %u", info->rec_count, UDF_RECORDS_MAX);
	if (!info->rec_count != !info->rec_size || (!info->rec_count && info->rec_off))
		return REFUSE(why, "rec_off, rec_size and rec_count contradict each other");
	if (info->rec_off + (uint64_t)info->rec_size * info->rec_count > info->obj_size)
		return REFUSE(why, "records end beyond the object");
	if (info->hdr_len > info->rec_off)
		return REFUSE(why, "hdr_len %u reaches into the records at %u", info->hdr_len,
			      info->rec_off);
	return 0;
}

static int decode_limits(const struct udf_image_disk *disk, struct udf_info *info,
			 struct udf_refusal *why)
{
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		info->has[fn] = udf_le32(disk->fn[fn].len) != 0;
		info->fuel[fn] = udf_le32(disk->fuel[fn]);
		if (info->fuel[fn] > UDF_FUEL_MAX || !info->fuel[fn] != !info->has[fn])
			return REFUSE(why, "fuel %u of %s is out of range", info->fuel[fn],
				      udf_function_name(fn));
	}
	if (!info->rec_count && (info->has[UDF_FN_OWNS] || info->has[UDF_FN_REFCNT]))
		return REFUSE(why, "owns or refcnt without records");
	info->max_emit = udf_le32(disk->max_emit);
	if (info->max_emit > UDF_EMIT_MAX || !info->max_emit != !info->has[UDF_FN_OWNS])
		return REFUSE(why, "max_emit %u is out of range", info->max_emit);
	return 0;
}

static void list_sections(const struct udf_image_disk *disk, uint32_t n_child,
			  struct section list[SECTIONS])
{
	unsigned n = 0;

	list[n++] = (struct section){ "child table", udf_le32(disk->child_off),
				      n_child * (uint32_t)sizeof(udf_le64_t) };
	list[n++] = (struct section){ "rodata", udf_le32(disk->rodata_off),
				      udf_le32(disk->rodata_len) };
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++)
		list[n++] = (struct section){ udf_function_name(fn), udf_le32(disk->fn[fn].off),
					      udf_le32(disk->fn[fn].len) };
	list[n++] = (struct section){ "init", udf_le32(disk->init_off), udf_le32(disk->init_len) };
}

/* Sections lie where the rule puts them, one after the other: there is nothing to overlap. */
static int check_sections(const uint8_t *image, size_t len, const struct section *list,
			  struct udf_refusal *why)
{
	size_t at = sizeof(struct udf_image_disk);

	for (unsigned i = 0; i < SECTIONS; i++) {
		size_t padded = (list[i].len + (size_t)UDF_IMAGE_ALIGN - 1) & ~(size_t)7;

		if (list[i].off != (list[i].len ? at : 0))
			return REFUSE(why, "%s starts at %u, not where its predecessor ends",
				      list[i].name, list[i].off);
		if (padded > len - at)
			return REFUSE(why, "%s ends beyond the image", list[i].name);
		if (!all_zero(image + at + list[i].len, padded - list[i].len))
			return REFUSE(why, "padding after %s is not zero", list[i].name);
		at += padded;
	}
	if (at != len)
		return REFUSE(why, "%zu bytes follow the last section", len - at);
	return 0;
}

static int check_child(const uint64_t *child, uint32_t at, struct udf_refusal *why)
{
	uint64_t id = child[at];

	if (at < 2 && id != at)
		return REFUSE(why, "child %u is not the built-in type", at);
	if (id >= UDF_CHILD_ID_BATCH + UDF_BATCH_MAX && id != UDF_CHILD_ID_SELF)
		return REFUSE(why, "child %u has no valid id", at);
	for (uint32_t i = 0; i < at; i++)
		if (child[i] == id)
			return REFUSE(why, "children %u and %u are the same type", i, at);
	return 0;
}

static int decode_children(struct udf_template *tmpl, struct udf_refusal *why)
{
	const struct udf_image_disk *disk = (const struct udf_image_disk *)tmpl->image;
	const udf_le64_t *entry = (const udf_le64_t *)(tmpl->image + udf_le32(disk->child_off));

	tmpl->child = malloc(tmpl->info.n_child * sizeof(*tmpl->child));
	if (!tmpl->child)
		return udf_refuse(why, UDF_ENOMEM, 0, "out of memory");
	for (uint32_t i = 0; i < tmpl->info.n_child; i++) {
		int err;

		tmpl->child[i] = udf_le64(entry[i]);
		err = check_child(tmpl->child, i, why);
		if (err)
			return err;
	}
	tmpl->info.child = tmpl->child;
	return 0;
}

static int decode_layout(struct udf_template *tmpl, struct udf_refusal *why)
{
	const struct udf_image_disk *disk = (const struct udf_image_disk *)tmpl->image;
	struct udf_info *info = &tmpl->info;
	struct section list[SECTIONS];
	int err;

	info->n_child = udf_le32(disk->n_child);
	if (info->n_child < 2 || info->n_child > UDF_CHILDREN_MAX)
		return REFUSE(why, "n_child %u is not 2 to %u", info->n_child, UDF_CHILDREN_MAX);
	list_sections(disk, info->n_child, list);
	err = check_sections(tmpl->image, info->image_len, list, why);
	if (err)
		return err;

	tmpl->rodata = tmpl->image + udf_le32(disk->rodata_off);
	tmpl->rodata_len = udf_le32(disk->rodata_len);
	if (tmpl->rodata_len > UDF_RODATA_MAX)
		return REFUSE(why, "rodata of %u bytes exceeds %u", tmpl->rodata_len,
			      UDF_RODATA_MAX);
	info->init = tmpl->image + udf_le32(disk->init_off);
	info->init_len = udf_le32(disk->init_len);
	if (info->init_len > info->obj_size)
		return REFUSE(why, "init of %u bytes exceeds the object", info->init_len);
	if (info->init_len && !info->init[info->init_len - 1])
		return REFUSE(why, "init ends with a zero, which goes without saying");
	return 0;
}

static int load_programs(struct udf_template *tmpl, struct udf_refusal *why)
{
	const struct udf_image_disk *disk = (const struct udf_image_disk *)tmpl->image;

	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		int err;

		if (!tmpl->info.has[fn])
			continue;
		if (why)
			why->function = fn;
		err = udf_program_create(tmpl->image + udf_le32(disk->fn[fn].off),
					 udf_le32(disk->fn[fn].len), udf_helpers_of(fn),
					 &tmpl->program[fn], why);
		if (err)
			return err;
	}
	return 0;
}

/* An object that was just allocated must own nothing, or installing would create blocks. */
static int check_init_owns_nothing(const struct udf_template *tmpl, struct udf_refusal *why)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents owned = { 0 };
	struct udf_fault fault;
	uint8_t *object;
	int err;

	if (!tmpl->info.has[UDF_FN_OWNS])
		return 0;
	object = malloc(tmpl->info.obj_size);
	if (!object)
		return udf_refuse(why, UDF_ENOMEM, 0, "out of memory");
	udf_template_init(tmpl, object);
	err = udf_owns_object(tmpl, object, &budget, &owned, &fault);
	if (err == UDF_EFAULT)
		udf_refuse(why, err, fault.slot, "owns of the initial object, record %u: %s",
			   fault.record, udf_fault_text(fault.code));
	else if (err)
		udf_refuse(why, err, 0, "%s", udf_error_text(err));
	else if (owned.n)
		err = udf_refuse(why, UDF_EFAULT, 0, "the initial object owns %zu extents",
				 owned.n);
	if (err && why)
		why->function = UDF_FN_OWNS;
	udf_extents_fini(&owned);
	free(object);
	return err;
}

static int template_fill(struct udf_template *tmpl, const void *image, size_t len,
			 struct udf_refusal *why)
{
	const struct udf_image_disk *disk;
	int err;

	tmpl->image = malloc(len ? len : 1);
	if (!tmpl->image)
		return udf_refuse(why, UDF_ENOMEM, 0, "out of memory");
	memcpy(tmpl->image, image, len);
	disk = (const struct udf_image_disk *)tmpl->image;
	err = check_envelope(disk, len, why);
	if (err)
		return err;
	tmpl->info.abi_major = udf_le16(disk->abi_major);
	tmpl->info.abi_minor = udf_le16(disk->abi_minor);
	tmpl->info.flags = udf_le32(disk->flags);
	tmpl->info.image = tmpl->image;
	tmpl->info.image_len = (uint32_t)len;

	err = decode_name(disk, &tmpl->info, why);
	if (!err)
		err = decode_records(disk, &tmpl->info, why);
	if (!err)
		err = decode_limits(disk, &tmpl->info, why);
	if (!err)
		err = decode_layout(tmpl, why);
	if (!err)
		err = decode_children(tmpl, why);
	if (!err)
		err = load_programs(tmpl, why);
	if (!err)
		err = check_init_owns_nothing(tmpl, why);
	return err;
}

int udf_template_load(const void *image, size_t len, struct udf_template **out,
		      struct udf_refusal *why)
{
	struct udf_template *tmpl;
	int err;

	if (why)
		memset(why, 0, sizeof(*why));
	if (len > UDF_IMAGE_MAX)
		return REFUSE(why, "image of %zu bytes exceeds %u", len, UDF_IMAGE_MAX);
	tmpl = calloc(1, sizeof(*tmpl));
	if (!tmpl)
		return udf_refuse(why, UDF_ENOMEM, 0, "out of memory");
	err = template_fill(tmpl, image, len, why);
	if (err) {
		udf_template_destroy(tmpl);
		return err;
	}
	*out = tmpl;
	return 0;
}

void udf_template_destroy(struct udf_template *tmpl)
{
	if (!tmpl)
		return;
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++)
		udf_program_destroy(tmpl->program[fn]);
	free(tmpl->child);
	free(tmpl->image);
	free(tmpl);
}

const struct udf_info *udf_template_info(const struct udf_template *tmpl)
{
	return &tmpl->info;
}

void udf_template_init(const struct udf_template *tmpl, void *object)
{
	memset(object, 0, tmpl->info.obj_size);
	memcpy(object, tmpl->info.init, tmpl->info.init_len);
}
