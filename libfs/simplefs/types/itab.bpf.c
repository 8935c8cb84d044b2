/* SPDX-License-Identifier: MIT */
/*
 * simplefs.itab: sixteen inodes, each a record.
 *
 * Which bytes of an inode are pointers depends on what it is: directories,
 * regular files and long symlinks own blocks, everything else owns nothing.  An
 * inode lies within one sector, so after a crash it is the old one or the new
 * one, with all its pointers.
 *
 * No `check`: it would lock up sixteen files for the sake of a bad one.  Looking
 * at inodes one by one is for the LibFS and its checker.
 */
#include "udf/xn_udf.h"
#include "layout.h"
#include "types/pointers.h"

XN_TEMPLATE(simplefs_itab) = {
	.name = "simplefs.itab",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_size = SIMPLEFS_INODE_SIZE,
	.rec_count = SIMPLEFS_ITAB_INODES,
	.child = { "simplefs_ind1", "simplefs_ind2", "simplefs_ind3" },
};

XN_INLINE udf_u64 inode_type(const void *inode)
{
	return SIMPLEFS_TYPE(*(const udf_u32 *)((const udf_u8 *)inode + SIMPLEFS_MODE) & 0xffff);
}

XN_INLINE int inode_has_pointers(const void *inode)
{
	udf_u64 type = inode_type(inode);
	udf_u64 size = *(const udf_u64 *)((const udf_u8 *)inode + SIMPLEFS_SIZE);

	return type == SIMPLEFS_REG || type == SIMPLEFS_DIR ||
	       (type == SIMPLEFS_LNK && size > SIMPLEFS_INLINE);
}

XN_OWNS(simplefs_itab)(const udf_u8 *inode)
{
	const udf_u64 *ind = (const udf_u64 *)(inode + SIMPLEFS_IND);

	if (!inode_has_pointers(inode))
		return 0;
	emit_data((const udf_u64 *)(inode + SIMPLEFS_DIRECT), SIMPLEFS_N_DIRECT);
	for (udf_u64 i = 0; i < SIMPLEFS_N_IND; i++)
		if (ind[i])
			xn_emit(ind[i], 1, SIMPLEFS_CHILD_IND1 + i);
	return 0;
}
