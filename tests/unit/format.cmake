# SPDX-License-Identifier: MIT
xn_test(unit_format
	SOURCES format_test.c
	LIBS xn_format xn_bdev udf
	LABELS unit)
