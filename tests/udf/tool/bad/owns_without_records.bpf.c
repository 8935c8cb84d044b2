/* SPDX-License-Identifier: MIT */
/* expect: owns or refcnt without records */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 512 };

XN_OWNS(t)(const udf_u64 *record)
{
	return 0;
}
