/* SPDX-License-Identifier: MIT */
/*
 * w.wide: as many records as a template can have, under a header that they all read.
 * For BPF and for the host.
 */
#ifndef TESTS_XN_WIDE_H
#define TESTS_XN_WIDE_H

#define W_RECORDS    8192u
#define W_RECORDS_AT 64u
#define W_SIZE       36864u
#define W_BLOCKS     9u
#define W_OBJECT     0x80000000u /* the record is the place of another w.wide */

/* The header.  A record is 0, or a number that `base` is added to: a block of data. */
struct w_header {
	unsigned long long base;
	unsigned int rounds; /* to waste in every record */
	unsigned int spare[13];
};

#endif
