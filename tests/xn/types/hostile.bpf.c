/* SPDX-License-Identifier: MIT */
/*
 * A template whose author means harm: each record does what its number says, one
 * for every fault of the machine.
 */
#include "udf/xn_udf.h"
#include "record.h"

XN_TEMPLATE(t_hostile) = {
	.name = "t.hostile",
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = 512,
	.max_emit = 8,
};

XN_NOINLINE udf_u64 deeper(udf_u64 n)
{
	volatile udf_u64 here = n;

	return n > 100 ? here : deeper(n + 1) + here;
}

XN_NOINLINE udf_u64 spin(udf_u64 rounds)
{
	volatile udf_u64 here = rounds;

	while (here)
		here = here - 1;
	return here;
}

XN_OWNS(t_hostile)(const udf_u64 *record)
{
	udf_u64 argument = *record >> 8;

	switch (*record & 0xff) {
	case T_NOTHING: return 0;
	case T_LOAD_OUTSIDE: return *(const volatile udf_u64 *)(0x50000000ull + argument) & 0;
	case T_STORE_OUTSIDE: *(volatile udf_u64 *)record = argument; return 0;
	case T_SPIN: return spin(1ull << 40);
	case T_EMIT_NOTHING: xn_emit(argument, 0, 0); return 0;
	case T_RECURSE: return deeper(argument) & 0;
	case T_BAD_ARGUMENT: return xn_crc32c((const void *)0x50000000ull, 8, 0) & 0;
	case T_MALFORMED: return 99;
	case T_EMIT_OUTSIDE: xn_emit(1ull << 40, 1, 0); return 0;
	case T_EMIT_TOO_MANY:
		for (udf_u64 i = 0; i < 9; i++)
			xn_emit(argument + i, 1, 0);
		return 0;
	case T_EMIT_TWICE:
		xn_emit(argument, 1, 0);
		xn_emit(argument, 1, 0);
		return 0;
	case T_EMIT_DATA: xn_emit(argument, 1, 0); return 0;
	case T_BURN: return spin(argument);
	}
	return 98;
}
