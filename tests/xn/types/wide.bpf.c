/* SPDX-License-Identifier: MIT */
#include "udf/xn_udf.h"
#include "wide.h"

XN_TEMPLATE(w_wide) = {
	.name = "w.wide",
	.obj_size = W_SIZE,
	.hdr_len = sizeof(struct w_header),
	.rec_off = W_RECORDS_AT,
	.rec_size = 4,
	.rec_count = W_RECORDS,
	.child = { "SELF" },
};

XN_OWNS(w_wide)(const udf_u32 *record, udf_u64 size, udf_u64 index, const struct w_header *header)
{
	for (volatile udf_u32 i = 0; i < header->rounds; i = i + 1)
		;
	if (*record & W_OBJECT)
		xn_emit(*record & ~W_OBJECT, W_BLOCKS, XN_CHILD_FIRST);
	else if (*record)
		xn_emit(header->base + *record, 1, UDF_CHILD_DATA);
	return 0;
}
