/* SPDX-License-Identifier: MIT */
/* expect: undefined symbol 'strlen' */
#include "udf/xn_udf.h"

unsigned long strlen(const char *);

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const char *object)
{
	return strlen(object);
}
