/* SPDX-License-Identifier: MIT */
/*
 * notefs on the disk: a root is one object, two blocks of 32 records.  Record 0 is the directory
 * itself, each other one a file of up to 64 KiB.  Shared with the template, which is why there are
 * offsets here and no structure of the host's.
 */
#ifndef NOTEFS_H
#define NOTEFS_H

#define NOTE_RECORDS 32
#define NOTE_RECORD  256 /* bytes of one; two to a sector, so a write never tears one */
#define NOTE_BLOCKS  16
#define NOTE_NAME    63

/* In a record; numbers are little-endian. */
#define NOTE_MODE       0   /* u32, as st_mode; 0: free */
#define NOTE_GENERATION 4   /* u32, of the number; grows when the record is taken */
#define NOTE_SIZE       8   /* u64 */
#define NOTE_BLOCK      16  /* 16 x u64; 0: a hole */
#define NOTE_SERIAL     144 /* u64, of the name; of two with one name the higher counts */
#define NOTE_UID        152 /* u32 */
#define NOTE_GID        156 /* u32 */
#define NOTE_TIME       160 /* s64, seconds */
#define NOTE_NSEC       168 /* u32 */
#define NOTE_NAME_AT    192 /* 63 bytes and a NUL; empty: removed, but open when power went */

#endif
