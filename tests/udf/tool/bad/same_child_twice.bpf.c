/* SPDX-License-Identifier: MIT */
/* expect: children 2 and 3 are the same type */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .child = { "SELF", "t" } };
