/* SPDX-License-Identifier: MIT */
/*
 * Metadata for tests: plain pointers, in objects of one and of two blocks, under
 * a header, and over sector boundaries.
 */
#include "udf/xn_udf.h"
#include "record.h"

#define CHILDREN                                                                          \
	{                                                                                 \
		"t_node", "t_pair", "t_head", "t_strad", "t_guard", "t_desk", "t_sticky", \
			"t_keep", "t_hostile"                                             \
	}

/* Nonsense is malformed; a child that does not exist makes xn_emit() fault. */
XN_INLINE udf_u64 emit(udf_u64 pointer, udf_u64 add)
{
	if (!pointer)
		return 0;
	if (!T_START(pointer))
		return 1;
	xn_emit(T_START(pointer) + add, T_COUNT(pointer), T_CHILD(pointer));
	return 0;
}

XN_TEMPLATE(t_node) = {
	.name = "t.node",
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = T_NODE_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_node)(const udf_u64 *record)
{
	return emit(*record, 0);
}

XN_TEMPLATE(t_pair) = {
	.name = "t.pair",
	.obj_size = 8192,
	.rec_size = 8,
	.rec_count = T_PAIR_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_pair)(const udf_u64 *record)
{
	return emit(*record, 0);
}

XN_TEMPLATE(t_head) = {
	.name = "t.head",
	.obj_size = 4096,
	.hdr_len = 8,
	.rec_off = T_HEAD_RECORDS_AT,
	.rec_size = 8,
	.rec_count = T_HEAD_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_head)(const udf_u64 *record, udf_u64 size, udf_u64 index, const udf_u64 *header)
{
	return emit(*record, *header);
}

XN_TEMPLATE(t_strad) = {
	.name = "t.strad",
	.obj_size = 4096,
	.rec_size = T_STRAD_SIZE,
	.rec_count = T_STRAD_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_strad)(const udf_u64 *record)
{
	return emit(record[0], 0) || emit(record[2], 0);
}

/* ---- guards ---- */

XN_TEMPLATE(t_guard) = {
	.name = "t.guard",
	.obj_size = 4096,
	.rec_off = T_GUARD_RECORDS_AT,
	.rec_size = 8,
	.rec_count = T_GUARD_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_guard)(const udf_u64 *record)
{
	return emit(*record, 0);
}

/* uid 0 and the owner may everything; what others may, the mode says. */
XN_INLINE udf_u64 may(const struct udf_acl_args *args, udf_u32 uid, udf_u32 mode)
{
	if (args->uid == 0 || args->uid == uid)
		return 1;
	if (args->op == UDF_ACL_READ)
		return (mode & T_GUARD_OTHERS_READ) != 0;
	if (args->op == UDF_ACL_WRITE || args->op == UDF_ACL_UPDATE)
		return (mode & T_GUARD_OTHERS_WRITE) != 0;
	return 0;
}

XN_ACL(t_guard)
(const struct t_guard_head *head, udf_u64 size, const void *proposed,
 const struct udf_acl_args *args)
{
	return may(args, head->uid, head->mode);
}

XN_TEMPLATE(t_desk) = {
	.name = "t.desk",
	.obj_size = 4096,
	.rec_size = T_DESK_SIZE,
	.rec_count = T_DESK_RECORDS,
	.child = CHILDREN,
};

XN_OWNS(t_desk)(const struct t_desk_record *record)
{
	return emit(record->pointer, 0);
}

XN_TEMPLATE(t_sticky) = {
	.name = "t.sticky",
	.flags = XN_STICKY,
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = 512,
	.child = CHILDREN,
};

XN_OWNS(t_sticky)(const udf_u64 *record)
{
	return emit(*record, 0);
}

XN_ACL(t_sticky)
(const void *object, udf_u64 size, const void *proposed, const struct udf_acl_args *args)
{
	const struct t_desk_record *owner = xn_owner();

	if (args->via.count == 0)
		return args->uid == 0;
	return may(args, owner->uid, owner->mode);
}

/* ---- check ---- */

XN_TEMPLATE(t_keep) = {
	.name = "t.keep",
	.obj_size = 4096,
	.rec_off = 64,
	.rec_size = 8,
	.rec_count = 504,
	.child = CHILDREN,
};

XN_INIT(t_keep) udf_u32 t_keep_first = T_KEEP_WORD;

XN_OWNS(t_keep)(const udf_u64 *record)
{
	return emit(*record, 0);
}

XN_CHECK(t_keep)(const udf_u32 *object)
{
	return *object == T_KEEP_WORD ? 0 : T_KEEP_DAMAGE;
}
