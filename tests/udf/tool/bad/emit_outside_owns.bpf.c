/* SPDX-License-Identifier: MIT */
/* expect: V9: slot */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const udf_u64 *object)
{
	return (udf_u64)xn_emit(*object, 1, 0);
}
