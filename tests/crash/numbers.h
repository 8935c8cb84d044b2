/* SPDX-License-Identifier: MIT */
/*
 * A set of 64-bit numbers, hashes mostly: was this met before?  Zero-initialise.
 */
#ifndef TESTS_CRASH_NUMBERS_H
#define TESTS_CRASH_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbers {
	uint64_t *keys; /* open addressing; 0 is an empty place */
	size_t n, cap;
};

bool numbers_has(const struct numbers *numbers, uint64_t key);
/* Returns whether it is new. */
bool numbers_add(struct numbers *numbers, uint64_t key);
/* Forgets all, and keeps the memory. */
void numbers_clear(struct numbers *numbers);
void numbers_fini(struct numbers *numbers);

#endif
