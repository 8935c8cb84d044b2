/* SPDX-License-Identifier: MIT */
/* expect: section xn/own.t: it must be */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

SEC("xn/own.t") static udf_u64 t_own(const udf_u64 *record)
{
	return 0;
}
