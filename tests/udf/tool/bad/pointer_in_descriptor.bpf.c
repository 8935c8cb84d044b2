/* SPDX-License-Identifier: MIT */
/* expect: pointer to\|writable global */
#include "udf/xn_udf.h"

struct with_pointer {
	const char *name;
};

SEC("xn/init.t") const struct with_pointer t_init = { "name" };

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };
