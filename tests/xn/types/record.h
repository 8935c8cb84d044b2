/* SPDX-License-Identifier: MIT */
/*
 * The pointer that all test templates use, for BPF and for the host:
 *
 *	bits  0-47  first block; 0 with all other bits 0 is no pointer
 *	bits 48-55  blocks - 1
 *	bits 56-63  child: the index of every t.* template's child table
 */
#ifndef TESTS_XN_RECORD_H
#define TESTS_XN_RECORD_H

enum t_child {
	T_DATA = 0,
	T_RESERVED = 1,
	T_NODE = 2,
	T_PAIR = 3,
	T_HEAD = 4,
	T_STRAD = 5,
	T_GUARD = 6,
	T_DESK = 7,
	T_STICKY = 8,
	T_KEEP = 9,
	T_HOSTILE = 10,
	T_CHILDREN,
};

#define T_POINTER(start, count, child)                                         \
	((unsigned long long)(start) | (unsigned long long)((count)-1) << 48 | \
	 (unsigned long long)(child) << 56)
#define T_START(pointer) ((pointer)&0xffffffffffffull)
#define T_COUNT(pointer) (((pointer) >> 48 & 0xff) + 1)
#define T_CHILD(pointer) ((pointer) >> 56)

/* t.node: records, then raw bytes that nobody but the test knows. */
#define T_NODE_RECORDS 504u
#define T_NODE_RAW     4032u
#define T_PAIR_RECORDS 1016u
#define T_PAIR_RAW     8128u

/* t.head: a number added to every pointer, in the header. */
#define T_HEAD_RECORDS_AT 64u
#define T_HEAD_RECORDS    500u

/* t.strad: pointers of 24 bytes; number 21 lies over two sectors. */
#define T_STRAD_SIZE    24u
#define T_STRAD_RECORDS 170u

/* t.guard: who may, in the first bytes; records from 64 on. */
#define T_GUARD_RECORDS_AT   64u
#define T_GUARD_RECORDS      500u
#define T_GUARD_OTHERS_READ  1u
#define T_GUARD_OTHERS_WRITE 2u

struct t_guard_head {
	unsigned uid, mode;
};

/* t.desk: pointers with an owner; t.sticky below it, and what is below that, obey the desk. */
#define T_DESK_SIZE    32u
#define T_DESK_RECORDS 128u

struct t_desk_record {
	unsigned long long pointer;
	unsigned uid, mode;
	unsigned long long spare[2];
};

/* t.keep: `check` wants this word first. */
#define T_KEEP_WORD   0x5045454bu
#define T_KEEP_DAMAGE 7

/* t.hostile: what a record does; the low byte, the rest is its argument. */
enum t_deed {
	T_NOTHING = 0,
	T_LOAD_OUTSIDE,
	T_STORE_OUTSIDE,
	T_SPIN,
	T_EMIT_NOTHING,
	T_RECURSE,
	T_BAD_ARGUMENT,
	T_MALFORMED,
	T_EMIT_OUTSIDE,
	T_EMIT_TOO_MANY,
	T_EMIT_TWICE,
	T_EMIT_DATA, /* as it should: the argument is the block */
	T_BURN,      /* spends much, within the limit of one run */
};

#endif
