/* SPDX-License-Identifier: MIT */
/*
 * simplefs.imap: 512 pointers to inode tables.
 */
#include "udf/xn_udf.h"
#include "layout.h"

XN_TEMPLATE(simplefs_imap) = {
	.name = "simplefs.imap",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_size = 8,
	.rec_count = SIMPLEFS_IMAP_SLOTS,
	.child = { "simplefs_itab" },
};

XN_OWNS(simplefs_imap)(const udf_u64 *pointer)
{
	if (*pointer)
		xn_emit(*pointer, 1, SIMPLEFS_CHILD_BELOW);
	return 0;
}
