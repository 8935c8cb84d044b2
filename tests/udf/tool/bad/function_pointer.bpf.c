/* SPDX-License-Identifier: MIT */
/* expect: function pointer */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_NOINLINE udf_u64 one(udf_u64 x)
{
	return x + 1;
}

XN_NOINLINE udf_u64 apply(udf_u64 (*volatile f)(udf_u64), udf_u64 x)
{
	return f(x);
}

XN_CHECK(t)(const udf_u64 *object)
{
	return apply(one, *object);
}
