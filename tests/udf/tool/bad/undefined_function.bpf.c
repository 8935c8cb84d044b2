/* SPDX-License-Identifier: MIT */
/* expect: undefined symbol 'elsewhere' */
#include "udf/xn_udf.h"

udf_u64 elsewhere(udf_u64);

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const udf_u64 *object)
{
	return elsewhere(*object);
}
