/* SPDX-License-Identifier: MIT */
/* expect: longer than the object */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 512 };
XN_INIT(t) char t_first[513] = { [512] = 1 };
