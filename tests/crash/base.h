/* SPDX-License-Identifier: MIT */
/*
 * The disk that workloads begin with.
 *
 *  (1) 512 blocks; roots "a" (and "b") of one LibFS, empty; a root "other" with a secret that nobody
 *      uses; all free blocks filled with bytes that nobody may ever read.
 *  (2) The same LibFS gives the same bytes.
 */
#ifndef TESTS_CRASH_BASE_H
#define TESTS_CRASH_BASE_H

#include "slate.h"

#define CRASH_DISK_BYTES (2u << 20)
#define CRASH_MOMENT     1800000000

/* On a new slate of CRASH_DISK_BYTES.  Ends the program when it cannot. */
void crash_base_make(struct slate *slate, const char *libfs, unsigned n_roots);

#endif
