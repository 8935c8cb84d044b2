/* SPDX-License-Identifier: MIT */
/* expect: obj_size 100 is not 512 to 65536 */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 100 };
