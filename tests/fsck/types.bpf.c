/* SPDX-License-Identifier: MIT */
/*
 * Types for testing the checker: a node whose records say, word for word, what
 * they own, and that misbehaves when told to.
 */
#include "udf/xn_udf.h"

struct node_header {
	udf_u64 damage; /* what `check` answers; DAMAGE_FAULT: it faults */
	udf_u8 rest[56];
};

struct node_record {
	udf_u64 start;
	udf_u32 count;
	udf_u32 kind; /* 0: nothing; child + 1; KIND_MALFORMED */
};

#define DAMAGE_FAULT   0xffffffffu
#define KIND_MALFORMED 100u

struct node {
	struct node_header header;
	struct node_record record[252];
};

/* Two blocks long; each record is a data block. */
struct wide {
	udf_u64 block[1024];
};

XN_TEMPLATE(t_node) = {
	.name = "test.node",
	.obj_size = sizeof(struct node),
	.hdr_len = sizeof(struct node_header),
	.rec_off = sizeof(struct node_header),
	.rec_size = sizeof(struct node_record),
	.rec_count = 252,
	.max_emit = 1,
	.child = { "SELF", "t_wide" },
};

XN_OWNS(t_node)
(const struct node_record *record, udf_u64 size, udf_u64 index, const void *header,
 udf_u64 header_len)
{
	(void)size;
	(void)index;
	(void)header;
	(void)header_len;
	if (record->kind == KIND_MALFORMED)
		return 1;
	if (record->kind)
		xn_emit(record->start, record->count, record->kind - 1);
	return 0;
}

XN_CHECK(t_node)(const struct node *node, udf_u64 size, udf_u64 first_block)
{
	(void)size;
	(void)first_block;
	if (node->header.damage == DAMAGE_FAULT)
		return *(const volatile udf_u64 *)64;
	return node->header.damage;
}

XN_TEMPLATE(t_wide) = {
	.name = "test.wide",
	.obj_size = sizeof(struct wide),
	.rec_off = 0,
	.rec_size = 8,
	.rec_count = 1024,
	.max_emit = 1,
};

XN_OWNS(t_wide)
(const udf_u64 *record, udf_u64 size, udf_u64 index, const void *header, udf_u64 header_len)
{
	(void)size;
	(void)index;
	(void)header;
	(void)header_len;
	if (*record)
		xn_emit(*record, 1, UDF_CHILD_DATA);
	return 0;
}
