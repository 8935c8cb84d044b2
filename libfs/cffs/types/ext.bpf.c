/* SPDX-License-Identifier: MIT */
/*
 * cffs.ext: an extent node, 8 sectors of a header and 31 slots.  A slot is a
 * record; the first of each sector is its header and owns nothing.  cffs.raw:
 * blocks that own nothing, an index or attributes.
 *
 * Both are sticky: who may do what with them, says the directory's sector above.
 */
#include "udf/xn_udf.h"
#include "layout.h"

XN_TEMPLATE(cffs_ext) = {
	.name = "cffs.ext",
	.flags = XN_STICKY,
	.obj_size = CFFS_BLOCK,
	.rec_size = CFFS_SLOT_SIZE,
	.rec_count = CFFS_EXT_RECORDS,
	.child = { "cffs_dir", "SELF", "cffs_raw" },
};

XN_TEMPLATE(cffs_raw) = {
	.name = "cffs.raw",
	.flags = XN_STICKY,
	.obj_size = CFFS_BLOCK,
};

#define U16(p, off) (*(const udf_u16 *)((const udf_u8 *)(p) + (off)))
#define U32(p, off) (*(const udf_u32 *)((const udf_u8 *)(p) + (off)))

static const udf_u8 child_of[8] = { 255,
				    UDF_CHILD_DATA,
				    UDF_CHILD_RESERVED,
				    CFFS_CHILD_DIR,
				    CFFS_CHILD_EXT,
				    CFFS_CHILD_RAW,
				    CFFS_CHILD_RAW,
				    255 };

XN_OWNS(cffs_ext)(const udf_u64 *slot, udf_u64 size, udf_u64 index)
{
	udf_u64 class = slot[0] >> 48;

	if (index % (CFFS_EXT_SLOTS + 1) == 0 || class == CFFS_CLASS_NONE)
		return 0;
	if (class >= CFFS_CLASSES)
		return 1;
	xn_emit(slot[0] & ((1ull << 48) - 1), slot[1] >> 40, child_of[class]);
	return 0;
}

XN_INLINE udf_u64 sectors_check(const udf_u8 *object, udf_u64 magic)
{
	for (udf_u64 i = 0; i < CFFS_SECTORS; i++) {
		const udf_u8 *s = object + CFFS_SECTOR * i;

		if (U32(s, 0) == 0 && U16(s, 4) == 0)
			continue;
		if (U16(s, 4) != magic)
			return 1;
		if ((udf_u32)xn_crc32c(s + 4, CFFS_SECTOR - 4, 0) != U32(s, 0))
			return 2;
	}
	return 0;
}

XN_CHECK(cffs_ext)(const udf_u8 *object)
{
	return sectors_check(object, CFFS_EXT_MAGIC);
}

XN_CHECK(cffs_raw)(const udf_u8 *object)
{
	return sectors_check(object, CFFS_RAW_MAGIC);
}
