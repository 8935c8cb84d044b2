/* SPDX-License-Identifier: MIT */
/* expect: undefined symbol 'memcmp' */
#include "udf/xn_udf.h"

int memcmp(const void *, const void *, unsigned long);

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const char *object)
{
	return memcmp(object, object + 100, 40) != 0;
}
