/* SPDX-License-Identifier: MIT */
/* expect: section 'license' has no place\|license: section '_license' has no place */
#include "udf/xn_udf.h"

SEC("license") char const _license[] = "GPL";

XN_TEMPLATE(t) = { .obj_size = 4096, .rec_size = 8, .rec_count = 512 };
