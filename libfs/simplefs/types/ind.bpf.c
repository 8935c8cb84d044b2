/* SPDX-License-Identifier: MIT */
/*
 * simplefs.ind1, ind2, ind3: where the blocks of a long file are.
 *
 * An ind1 holds 512 pointers to data.  A record of it is a whole sector of 64
 * pointers, neighbours merged: so one binding reaches up to 256 KiB of a file.
 * ind2 points at ind1s, ind3 at ind2s, one pointer a record.
 */
#include "udf/xn_udf.h"
#include "layout.h"
#include "types/pointers.h"

XN_TEMPLATE(simplefs_ind1) = {
	.name = "simplefs.ind1",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_size = 8 * SIMPLEFS_IND1_RECORD,
	.rec_count = SIMPLEFS_IND_SLOTS / SIMPLEFS_IND1_RECORD,
	.max_emit = SIMPLEFS_IND1_RECORD,
};

XN_TEMPLATE(simplefs_ind2) = {
	.name = "simplefs.ind2",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_size = 8,
	.rec_count = SIMPLEFS_IND_SLOTS,
	.child = { "simplefs_ind1" },
};

XN_TEMPLATE(simplefs_ind3) = {
	.name = "simplefs.ind3",
	.obj_size = SIMPLEFS_BLOCK,
	.rec_size = 8,
	.rec_count = SIMPLEFS_IND_SLOTS,
	.child = { "simplefs_ind2" },
};

XN_OWNS(simplefs_ind1)(const udf_u64 *pointer)
{
	emit_data(pointer, SIMPLEFS_IND1_RECORD);
	return 0;
}

XN_OWNS(simplefs_ind2)(const udf_u64 *pointer)
{
	if (*pointer)
		xn_emit(*pointer, 1, SIMPLEFS_CHILD_BELOW);
	return 0;
}

XN_OWNS(simplefs_ind3)(const udf_u64 *pointer)
{
	if (*pointer)
		xn_emit(*pointer, 1, SIMPLEFS_CHILD_BELOW);
	return 0;
}
