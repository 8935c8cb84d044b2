/* SPDX-License-Identifier: MIT */
/*
 * A device that counts what it is asked, as if requests were cut at some sizes:
 * a drive that takes 64 KiB at most gets two requests for 100 KiB.
 */
#ifndef TESTS_BENCH_COUNT_H
#define TESTS_BENCH_COUNT_H

#include "xn/bdev.h"

#define COUNT_CAPS 2u

struct counts {
	uint64_t requests[COUNT_CAPS]; /* reads and writes; caps of 64 KiB and 1 MiB */
	uint64_t reads, writes, flushes;
	uint64_t read_sectors, written_sectors;
};

/* Sits on `below` and owns it. */
int count_create(struct bdev *below, struct bdev **out);
/* Since the last call. */
void count_take(struct bdev *counter, struct counts *counts);

#endif
