/* SPDX-License-Identifier: MIT */
/* expect: bytes are not one struct xn_template */
#include "udf/xn_udf.h"

SEC("xn/tmpl.t") static const int t_template = 5;
