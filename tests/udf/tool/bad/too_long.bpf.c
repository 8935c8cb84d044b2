/* SPDX-License-Identifier: MIT */
/* expect: function exceeds 4096 slots with what it calls */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };

static volatile const udf_u64 *const base = (const udf_u64 *)UDF_ADDR_META;

#define READ base[0], base[1], base[2], base[3]
#define FEW  READ, READ, READ, READ, READ, READ, READ, READ
#define MANY FEW, FEW, FEW, FEW, FEW, FEW, FEW, FEW

XN_NOINLINE udf_u64 lots(void)
{
	(void)(MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY);
	return (MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY);
}

XN_CHECK(t)(const udf_u16 *object)
{
	return lots();
}
