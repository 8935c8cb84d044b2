/* SPDX-License-Identifier: MIT */
/* expect: section xn/owns.u: there is no template u */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_OWNS(u)(const udf_u64 *record)
{
	return 0;
}
