/* SPDX-License-Identifier: MIT */
/*
 * Emitting a row of pointers to data: neighbours on disk go out as one extent.
 */
#ifndef SIMPLEFS_POINTERS_H
#define SIMPLEFS_POINTERS_H

#include "udf/xn_udf.h"

XN_INLINE void emit_data(const udf_u64 *pointer, udf_u64 n)
{
	udf_u64 start = 0, count = 0;

	for (udf_u64 i = 0; i < n; i++) {
		if (count && pointer[i] == start + count) {
			count++;
			continue;
		}
		if (count)
			xn_emit(start, count, UDF_CHILD_DATA);
		start = pointer[i];
		count = start != 0;
	}
	if (count)
		xn_emit(start, count, UDF_CHILD_DATA);
}

#endif
