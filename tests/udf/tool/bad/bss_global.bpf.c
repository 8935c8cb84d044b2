/* SPDX-License-Identifier: MIT */
/* expect: writable global 'counter' */
#include "udf/xn_udf.h"

udf_u64 counter;

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_OWNS(t)(const udf_u64 *record)
{
	return *record + counter++ > 100;
}
