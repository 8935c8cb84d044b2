/* SPDX-License-Identifier: MIT */
/* expect: call through a function pointer (callx) */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(udf_u64 (*const *object)(void))
{
	return (*object)();
}
