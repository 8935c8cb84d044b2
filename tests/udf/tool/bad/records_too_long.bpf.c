/* SPDX-License-Identifier: MIT */
/* expect: records end beyond the object */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 9, .rec_count = 512 };
