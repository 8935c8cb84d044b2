/* SPDX-License-Identifier: MIT */
/* expect: child 'nowhere' is neither SELF, id:HEX nor a template given here */
#include "udf/xn_udf.h"

XN_TEMPLATE(t) = { .obj_size = 4096, .child = { "nowhere" } };
