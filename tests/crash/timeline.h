/* SPDX-License-Identifier: MIT */
/*
 * A picture of a log and of the state that went wrong: a page of HTML that needs nothing else.
 *
 * Time goes to the right, each row is a block.  A write is a box: filled when the state has it,
 * half when it is torn, empty when it is missing, faint when it came later; a flush is a line, and
 * what it made stable is darker.
 */
#ifndef TESTS_CRASH_TIMELINE_H
#define TESTS_CRASH_TIMELINE_H

#include <stdio.h>

#include "explorer.h"

void timeline_print(FILE *out, const char *libfs, const struct explorer_violation *violation);

#endif
