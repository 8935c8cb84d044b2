/* SPDX-License-Identifier: MIT */
#include "udf/xn_udf.h"
#include "sheet.h"

XN_TEMPLATE(k_sheet) = {
	.name = "k.sheet",
	.obj_size = 4096,
	.hdr_len = sizeof(struct k_header),
	.rec_off = K_RECORDS_AT,
	.rec_size = K_RECORD_SIZE,
	.rec_count = K_RECORDS,
	.max_emit = 64,
};

XN_OWNS(k_sheet)(const struct k_record *r, udf_u64 size, udf_u64 index, const struct k_header *h)
{
	for (volatile udf_u32 i = 0; i < r->rounds; i = i + 1)
		;
	/* A block each, in as many extents. */
	for (udf_u64 i = 0; i < r->count; i++)
		xn_emit(r->place + h->add + r->last + (r->by_index ? index : 0) + i, 1,
			UDF_CHILD_RESERVED);
	return 0;
}
