/* SPDX-License-Identifier: MIT */
/*
 * naivefs on disk: a root is one block of 32 records, each a file.  Shared with the template.
 */
#ifndef NAIVE_LAYOUT_H
#define NAIVE_LAYOUT_H

#define NAIVE_FILES  32
#define NAIVE_BLOCKS 6
#define NAIVE_NAME   55

/* Of a record of 128 bytes. */
#define NAIVE_MODE       0 /* u32; 0: no file */
#define NAIVE_GENERATION 4
#define NAIVE_SIZE       8
#define NAIVE_BLOCK      16
#define NAIVE_NAME_AT    72
#define NAIVE_RECORD     128

#endif
