/* SPDX-License-Identifier: MIT */
/*
 * cmocka, and assertions that print an error by its name.  Include it first.
 */
#ifndef TESTS_EXPECT_H
#define TESTS_EXPECT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "xn/error.h"

#define assert_ok(call)              expect_result((call), 0, #call, __FILE__, __LINE__)
#define assert_refused(call, wanted) expect_result((call), (wanted), #call, __FILE__, __LINE__)

static inline void expect_result(int got, int wanted, const char *call, const char *file, int line)
{
	if (got == wanted)
		return;
	/* A LibFS that is not ours may have less; who wants the whole does not set this. */
	if (got == -ENOSYS && getenv("XN_TEST_MAY_LACK")) {
		print_message("not there: %s\n", call);
		_skip(file, line);
	}
	print_error("%s: %s (%d), expected %s\n", call, xn_error_name(got), got,
		    xn_error_name(wanted));
	_fail(file, line);
}

/* Numbers that a seed reproduces (splitmix64). */
static inline uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

#endif
