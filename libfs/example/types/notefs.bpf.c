/* SPDX-License-Identifier: MIT */
/*
 * What XN must know of notefs: which blocks a record owns.
 */
#include "udf/xn_udf.h"

#include "notefs.h"

XN_TEMPLATE(notefs_dir) = {
	.name = "notefs.dir",
	.obj_size = NOTE_RECORDS * NOTE_RECORD,
	.rec_size = NOTE_RECORD,
	.rec_count = NOTE_RECORDS,
	.max_emit = NOTE_BLOCKS,
};

XN_OWNS(notefs_dir)(const udf_u8 *record)
{
	const udf_u64 *block = (const udf_u64 *)(record + NOTE_BLOCK);

	for (udf_u64 i = 0; i < NOTE_BLOCKS; i++)
		if (block[i])
			xn_emit(block[i], 1, UDF_CHILD_DATA);
	return 0;
}
