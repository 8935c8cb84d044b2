/* SPDX-License-Identifier: MIT */
/* expect: child 'id:1': not the id of a type */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .child = { "id:1" } };
