/* SPDX-License-Identifier: MIT */
/*
 * What an author of untrusted deterministic functions (UDFs), the machine that
 * runs them and the component that calls them must agree on: the guest address
 * map, helper numbers, and the layout of the ARGS region that `acl` is given.
 *
 * The file compiles for the host and with `clang -target bpf`; it includes
 * nothing.  Everything here is part of ABI major 1 and never changes within it.
 */
#ifndef UDF_ABI_H
#define UDF_ABI_H

typedef __UINT8_TYPE__ udf_u8;
typedef __UINT16_TYPE__ udf_u16;
typedef __UINT32_TYPE__ udf_u32;
typedef __UINT64_TYPE__ udf_u64;
typedef __INT64_TYPE__ udf_s64;

#define UDF_ABI_MAJOR 1
#define UDF_ABI_MINOR 0

/* Guest addresses.  Nothing else is mapped; a guest never sees a host address. */
#define UDF_ADDR_META   0x10000000u /* record i, or the whole object: read */
#define UDF_ADDR_HDR    0x14000000u /* the object's shared header: read */
#define UDF_ADDR_NEW    0x18000000u /* proposed bytes of the object (acl): read */
#define UDF_ADDR_OWNER  0x1c000000u /* the owning record in the object above (acl): read */
#define UDF_ADDR_RODATA 0x20000000u /* constants of the template: read */
#define UDF_ADDR_STACK  0x30000000u /* 8 frames of 512 bytes: read and write */
#define UDF_ADDR_ARGS   0x40000000u /* struct udf_acl_args (acl): read */

#define UDF_STACK_FRAME  512u
#define UDF_STACK_FRAMES 8u

/* Helpers.  r1-r5 survive a helper, r0 is its result. */
#define UDF_HELPER_EMIT        1 /* owns: (start, count, child) -> 0 */
#define UDF_HELPER_CRC32C      2 /* all: (ptr, len, seed) -> crc */
#define UDF_HELPER_BYTES_EQUAL 3 /* all: (p, q, len) -> 1 or 0 */
#define UDF_HELPER_CONFORMANCE 5 /* only in xn-udf-vm, never assigned elsewhere */

/* Children 0 and 1 of every template. */
#define UDF_CHILD_DATA     0u /* plain bytes */
#define UDF_CHILD_RESERVED 1u /* owned, unreadable: preallocation */

/*
 * A template image's child table: the id of an installed type, or one of these.
 * Entries 0 and 1 always hold the ids of the built-in types, 0 and 1; no type
 * appears twice, so that a child and its type are one and the same.
 */
#define UDF_CHILD_ID_DATA     0ull
#define UDF_CHILD_ID_RESERVED 1ull
#define UDF_CHILD_ID_SELF     0xffffffffffffffffull
#define UDF_CHILD_ID_BATCH    0xffffffff00000000ull /* + k: the k-th template of the same install */

#define UDF_BLOCKS_MAX (1ull << 48) /* start + count of an extent never exceeds it */

/*
 * The ARGS region of `acl`: this structure, then the arrays it points into.
 * Offsets count bytes from the start of ARGS.  Packed little-endian.
 */
#define UDF_ACL_ARGS_VERSION 1u

enum udf_acl_op {
	UDF_ACL_READ = 1,   /* a session asks to read what `self` owns in record `record` */
	UDF_ACL_WRITE = 2,  /* the same, to write it */
	UDF_ACL_UPDATE = 3, /* bytes of `self` change: mods, added, removed say how */
	UDF_ACL_FREE = 4,   /* `self` itself is given back by its owner */
};

#define UDF_RECORD_NONE 0xffffffffu

struct udf_acl_extent {
	udf_u64 start;
	udf_u64 count;
	udf_u32 child; /* index into the template's child table */
	udf_u32 reserved;
} __attribute__((packed));

struct udf_acl_mod {
	udf_u32 offset;
	udf_u32 len;
} __attribute__((packed));

struct udf_acl_args {
	udf_u32 version; /* UDF_ACL_ARGS_VERSION */
	udf_u32 len;     /* bytes of ARGS, arrays included */
	udf_u32 op;      /* enum udf_acl_op */
	udf_u32 flags;   /* 0 */
	udf_s64 now_ns;  /* nanoseconds since 1970 */
	udf_u32 uid;
	udf_u32 gid;
	udf_u32 n_groups;
	udf_u32 groups_off; /* udf_u32[n_groups] */
	udf_u32 record;     /* READ, WRITE: the record asked about; UPDATE: the one that is bound;
			     * else UDF_RECORD_NONE */
	udf_u32 bound; /* 1: the session holds bound for writing what `record` owns, or, if this
			     * object is sticky, something below the same OWNER record */
	struct udf_acl_extent self; /* this object; child: its index in the owner's table */
	struct udf_acl_extent via;  /* the extent by which the OWNER record owns it or its top
				     * sticky ancestor */
	udf_u32 n_mods;
	udf_u32 mods_off; /* struct udf_acl_mod[n_mods] */
	udf_u32 n_added;
	udf_u32 added_off; /* struct udf_acl_extent[n_added] */
	udf_u32 n_removed;
	udf_u32 removed_off; /* struct udf_acl_extent[n_removed] */
} __attribute__((packed));

#endif
