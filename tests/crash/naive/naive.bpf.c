/* SPDX-License-Identifier: MIT */
#include "udf/xn_udf.h"
#include "layout.h"

XN_TEMPLATE(naive_dir) = {
	.name = "naive.dir",
	.obj_size = 4096,
	.rec_size = NAIVE_RECORD,
	.rec_count = NAIVE_FILES,
	.max_emit = NAIVE_BLOCKS,
};

XN_OWNS(naive_dir)(const udf_u8 *record)
{
	const udf_u64 *block = (const udf_u64 *)(record + NAIVE_BLOCK);

	for (udf_u64 i = 0; i < NAIVE_BLOCKS; i++)
		if (block[i])
			xn_emit(block[i], 1, UDF_CHILD_DATA);
	return 0;
}
