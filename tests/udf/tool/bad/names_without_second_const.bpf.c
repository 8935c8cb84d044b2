/* SPDX-License-Identifier: MIT */
/* expect: \.data: writable global */
#include "udf/xn_udf.h"

const char *names[] = { "a", "b", "c" };

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const udf_u64 *object)
{
	return (udf_u64)names[*object & 1];
}
