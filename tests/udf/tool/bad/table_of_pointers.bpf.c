/* SPDX-License-Identifier: MIT */
/* expect: pointer to '.*' in constant data (R_BPF_64_ABS64) */
#include "udf/xn_udf.h"

static const char *const names[] = { "a", "b", "c" };

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const udf_u64 *object)
{
	return names[*object & 1][0];
}
