/* SPDX-License-Identifier: MIT */
/* expect: V2: slot [0-9]* has opcode 0xdb */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

XN_CHECK(t)(const udf_u64 *object)
{
	volatile udf_u64 local = 0;

	__sync_fetch_and_add((udf_u64 *)&local, *object);
	return 0;
}
