/* SPDX-License-Identifier: MIT */
/*
 * `owns` of C-FFS in C, and an `acl` that says yes, in place of the machine (see
 * CMakeLists.txt): what the small-file benchmark costs with the checks off.
 */
#include <string.h>

#include "layout.h"
#include "udf/udf.h"

int __wrap_udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
		    const void *header, struct udf_budget *budget, struct udf_extents *out,
		    const struct udf_read_set *read_set, struct udf_fault *fault);
int __wrap_udf_acl(const struct udf_template *tmpl, const struct udf_acl_input *input,
		   struct udf_budget *budget, struct udf_fault *fault);
void *__wrap_known_owns_create(void);
void *__wrap_known_acl_create(void);

static uint64_t word(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static int slot_owns(const uint8_t *slot, struct udf_extents *out)
{
	static const uint32_t child_of[CFFS_CLASSES] = { 0,
							 UDF_CHILD_DATA,
							 UDF_CHILD_RESERVED,
							 CFFS_CHILD_DIR,
							 CFFS_CHILD_EXT,
							 CFFS_CHILD_RAW,
							 CFFS_CHILD_RAW };
	uint64_t class = word(slot) >> 48;
	struct udf_extent extent = { word(slot) & ((1ull << 48) - 1), word(slot + 8) >> 40, 0, 0 };

	if (class == CFFS_CLASS_NONE)
		return 0;
	extent.child = child_of[class % CFFS_CLASSES];
	return udf_extents_add(out, extent);
}

static int sector_owns(const uint8_t *sector, struct udf_extents *out)
{
	const uint8_t *e = sector + CFFS_S_HEAD;
	int err = 0;

	for (unsigned left = sector[CFFS_S_ENTRIES]; left > 0 && !err; left--) {
		unsigned n = e[CFFS_E_KIND] == CFFS_KIND_INODE ? e[CFFS_E_N_SLOTS] : 0;

		for (unsigned i = 0; i < n && !err; i++)
			err = slot_owns(e + CFFS_E_SLOTS + i * CFFS_SLOT_SIZE, out);
		e += word(e) & 0xffff;
	}
	return err;
}

int __wrap_udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
		    const void *header, struct udf_budget *budget, struct udf_extents *out,
		    const struct udf_read_set *read_set, struct udf_fault *fault)
{
	const struct udf_info *info = udf_template_info(tmpl);

	(void)header, (void)budget, (void)read_set, (void)fault;
	if (!info->has[UDF_FN_OWNS])
		return 0;
	if (info->rec_size == CFFS_SECTOR)
		return sector_owns(record, out);
	return index % (CFFS_EXT_SLOTS + 1) ? slot_owns(record, out) : 0;
}

int __wrap_udf_acl(const struct udf_template *tmpl, const struct udf_acl_input *input,
		   struct udf_budget *budget, struct udf_fault *fault)
{
	(void)tmpl, (void)input, (void)budget, (void)fault;
	return 1;
}

/* Nothing is remembered: that is a part of the checks. */
void *__wrap_known_owns_create(void)
{
	return NULL;
}

void *__wrap_known_acl_create(void)
{
	return NULL;
}
