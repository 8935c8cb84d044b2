/* SPDX-License-Identifier: MIT */
/*
 * Allocations that fail: the n-th from now, and all after it if wished.
 *
 *  (1) Counted is what the program asks for itself, not what the C library asks for.
 *  (2) Nothing fails inside a device, for the checking and recording ones are tests themselves; nor
 *      between no_memory_pause() and no_memory_resume(), where a test needs its own.
 *
 * One thread at a time.  A program that links this needs the options of no_memory.cmake.
 */
#ifndef TESTS_NO_MEMORY_H
#define TESTS_NO_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

void no_memory_arm(uint64_t nth, bool forever);
/* Stop failing; returns whether one failed. */
bool no_memory_disarm(void);

void no_memory_pause(void);
void no_memory_resume(void);

#endif
