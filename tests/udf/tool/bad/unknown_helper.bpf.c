/* SPDX-License-Identifier: MIT */
/* expect: V9: slot */
#include "udf/xn_udf.h"

static long (*const printk)(const char *) = (void *)6;

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const char *object)
{
	return (udf_u64)printk(object);
}
