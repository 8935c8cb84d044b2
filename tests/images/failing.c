/* SPDX-License-Identifier: MIT */
/*
 * To be loaded before libc: the FAIL_AT-th allocation of the program fails.  With
 * COUNT_ALLOCATIONS set, tells at the end how many there were.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static atomic_long allocations;

static int fails(void)
{
	const char *at = getenv("FAIL_AT");

	if (atomic_fetch_add(&allocations, 1) + 1 != (at ? strtol(at, NULL, 10) : 0))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

__attribute__((destructor)) static void tell(void)
{
	if (getenv("COUNT_ALLOCATIONS"))
		fprintf(stderr, "allocations: %ld\n", (long)allocations);
}
