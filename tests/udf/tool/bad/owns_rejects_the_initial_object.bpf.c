/* SPDX-License-Identifier: MIT */
/* expect: owns of the initial object, record 0 */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_OWNS(t)(const udf_u64 *record)
{
	return *record == 0;
}
