/* SPDX-License-Identifier: MIT */
/* expect: constants exceed 16384 bytes */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

static const udf_u8 table[20000] = { 1, 2, 3 };

XN_CHECK(t)(const udf_u16 *object)
{
	return table[*object % 20000];
}
