/* SPDX-License-Identifier: MIT */
/*
 * simplefs.super, the root's object: 512 bytes of parameters that XN need not
 * understand, then 448 pointers to inode maps.
 */
#include "udf/xn_udf.h"
#include "layout.h"

XN_TEMPLATE(simplefs_super) = {
	.name = "simplefs.super",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_off = SIMPLEFS_SUPER_RAW,
	.rec_size = 8,
	.rec_count = SIMPLEFS_SUPER_SLOTS,
	.child = { "simplefs_imap" },
};

XN_OWNS(simplefs_super)(const udf_u64 *pointer)
{
	if (*pointer)
		xn_emit(*pointer, 1, SIMPLEFS_CHILD_BELOW);
	return 0;
}

/* Without magic it is a root that mkfs did not finish: no harm, mounting refuses it. */
XN_CHECK(simplefs_super)(const udf_u64 *super)
{
	const udf_u32 *version = (const udf_u32 *)&super[1];

	if (super[0] == 0)
		return 0;
	if (super[0] != SIMPLEFS_MAGIC)
		return 1;
	return *version == SIMPLEFS_VERSION ? 0 : 2;
}
