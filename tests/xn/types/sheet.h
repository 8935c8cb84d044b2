/* SPDX-License-Identifier: MIT */
/*
 * k.sheet: records large enough that what `owns` says of them is remembered, and that read all
 * that a record may read.  For BPF and for the host.
 */
#ifndef TESTS_XN_SHEET_H
#define TESTS_XN_SHEET_H

#define K_RECORDS     31u
#define K_RECORDS_AT  128u
#define K_RECORD_SIZE 128u

/* The header. */
struct k_header {
	unsigned long long add; /* to what every record names */
};

/* A record owns `count` reserved blocks from `place` on; 0: nothing. */
struct k_record {
	unsigned long long place;
	unsigned int count;
	unsigned int by_index; /* its number is added, too */
	unsigned int rounds;   /* to waste */
	unsigned char spare[104];
	unsigned int last; /* added, too: the record's very last bytes matter */
};

#endif
