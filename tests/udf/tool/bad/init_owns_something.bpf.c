/* SPDX-License-Identifier: MIT */
/* expect: the initial object owns 1 extents */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };
XN_INIT(t) udf_u64 t_first[512] = { [7] = 99 };

XN_OWNS(t)(const udf_u64 *record)
{
	if (*record)
		xn_emit(*record, 1, UDF_CHILD_DATA);
	return 0;
}
