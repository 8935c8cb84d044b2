/* SPDX-License-Identifier: MIT */
/* Legal, but a torn write can leave half a record. */
#include "udf/xn_udf.h"

XN_TEMPLATE(straddling) = { .obj_size = 4096, .rec_size = 100, .rec_count = 40 };
XN_TEMPLATE(large) = { .obj_size = 4096, .rec_size = 600, .rec_count = 6 };
XN_TEMPLATE(aligned) = { .obj_size = 4096, .rec_size = 64, .rec_count = 64 };
