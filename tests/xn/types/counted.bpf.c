/* SPDX-License-Identifier: MIT */
/*
 * A forest of trees that share branches: c.super names trees, c.tree names trees and
 * data, and record 0 of a tree counts who names it.  Pointers are those of record.h.
 */
#include "udf/xn_udf.h"
#include "record.h"

XN_INLINE udf_u64 emit(udf_u64 pointer)
{
	if (pointer)
		xn_emit(T_START(pointer), T_COUNT(pointer), T_CHILD(pointer));
	return 0;
}

XN_TEMPLATE(c_super) = {
	.name = "c.super",
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = T_NODE_RECORDS,
	.child = { "c_tree" },
};

XN_OWNS(c_super)(const udf_u64 *record)
{
	return emit(*record);
}

XN_TEMPLATE(c_tree) = {
	.name = "c.tree",
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = T_NODE_RECORDS,
	.child = { "c_tree" },
};

XN_INIT(c_tree) udf_u64 c_tree_first = 1;

XN_OWNS(c_tree)(const udf_u64 *record, udf_u64 size, udf_u64 index)
{
	return index ? emit(*record) : 0;
}

XN_REFCNT(c_tree)(const udf_u64 *record)
{
	return *record;
}
