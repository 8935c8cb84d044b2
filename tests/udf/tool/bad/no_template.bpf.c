/* SPDX-License-Identifier: MIT */
/* expect: no template */
#include "udf/xn_udf.h"

const int nothing = 1;
