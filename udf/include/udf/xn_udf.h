/* SPDX-License-Identifier: MIT */
/*
 * The manual, and the only include, for authors of untrusted deterministic
 * functions.  Compiled with clang or gcc for BPF; never for the host.
 *
 * A template describes one type of metadata object.  Say what it looks like and
 * which blocks each of its records owns, and XN will keep those blocks yours:
 *
 *	#include "udf/xn_udf.h"
 *
 *	struct pointers { udf_u64 block[512]; };	// one 4 KiB object
 *
 *	XN_TEMPLATE(myfs_indirect) = {			// NAME: a C identifier
 *		.name = "myfs.indirect",		// what users see; default NAME
 *		.obj_size = sizeof(struct pointers),
 *		.rec_off = 0,				// where records start
 *		.rec_size = 8,				// 512 records of 8 bytes
 *		.rec_count = 512,
 *		.child = { "myfs_dir" },		// child 2; 0 and 1 are built in
 *	};
 *
 *	XN_OWNS(myfs_indirect)(const udf_u64 *record, udf_u64 record_size, udf_u64 index,
 *			       const void *header, udf_u64 header_len)
 *	{
 *		if (*record)
 *			xn_emit(*record, 1, UDF_CHILD_DATA);
 *		return 0;				// anything else: malformed
 *	}
 *
 * The functions of a template, all optional (SEC "xn/KIND.NAME"):
 *
 *	XN_OWNS(NAME)(record, record_size, index, header, header_len)
 *		emits what this record owns, in the order of the record's own
 *		layout; returns 0.  It sees one record and the header, nothing else.
 *		Of the initial object it must emit nothing.
 *	XN_REFCNT(NAME)(record, record_size, index, header, header_len)
 *		returns how many records own this object; it is run on record 0.  Of a
 *		new object that must be 1 (XN_INIT, or an edit of the same update); then
 *		it follows the links and unlinks of xn_update().
 *	XN_SIZE(NAME)(object, object_size)
 *		returns the bytes in use, at most object_size.
 *	XN_ACL(NAME)(object, object_size, proposed, args, args_len)
 *		returns 1 to approve, 0 to deny.  `args` is struct udf_acl_args;
 *		xn_owner() is the record that owns this object.
 *	XN_CHECK(NAME)(object, object_size, first_block)
 *		returns 0 if the object is well-formed, else your own damage code.
 *
 * and optionally, where the initial object is not all zeroes,
 *
 *	XN_INIT(NAME) struct pointers first = { ... };
 *
 * Children.  `child` names the types that records may point at, from index 2
 * (XN_CHILD_FIRST) on; the index is what xn_emit takes.  A name is
 *
 *	"SELF", or this template's own NAME	the template itself
 *	the NAME of another template given to the same `xn-tmpl build`
 *						that template, installed together
 *						with this one (BATCH + k)
 *	"id:HEX"				a type that is installed already
 *
 * k counts templates in the order of the object files on the command line and,
 * within one file, of their XN_TEMPLATE definitions; `--order A,B,...` states
 * it otherwise (gcc turns definitions around: use it there).  They must be
 * installed in that order, as one batch.
 *
 * Build (CMake: see udf/template.cmake, xn_add_template):
 *
 *	clang -O2 -target bpf -mcpu=v3 -fno-builtin -Wall -g -c myfs.bpf.c -o myfs.o
 *	xn-tmpl build myfs.o -o DIR/		one DIR/NAME.tmpl per template
 *	xn-tmpl check DIR/myfs_indirect.tmpl
 *	xn-tmpl dump  DIR/myfs_indirect.tmpl
 *	xn-tmpl run   DIR/myfs_indirect.tmpl owns BLOCKFILE --record 3
 *
 * What to know about the machine:
 *
 *  - Memory is what you are given: record, header, constants, 512 bytes of stack
 *    per function, 8 functions deep.  Any access outside faults, and a fault
 *    refuses the whole operation.  Stores go to the stack only.
 *  - A jump backwards costs its distance in fuel, a call the callee's length.  A
 *    function has 2^18 units unless `.fuel` says otherwise (at most 2^20).
 *  - Constant tables are fine.  Writable globals, tables of pointers, function
 *    pointers, memcmp, strlen, ctz, 128-bit arithmetic are refused, by name.
 *    Signed division needs -mcpu=v4: divide unsigned.
 *  - Alignment does not matter to the machine but to the compiler: a packed
 *    structure is read byte by byte.  Lay records out so that they need none.
 *  - `memcpy` of fixed size: use __builtin_memcpy, up to 128 bytes or so.
 *  - Mark large helper functions XN_NOINLINE; the tool links what is used.
 */
#ifndef UDF_XN_UDF_H
#define UDF_XN_UDF_H

#include "udf/abi.h"
#include "udf/xn_template.h"

#define SEC(name) __attribute__((section(name), used))

#define XN_NOINLINE static __attribute__((noinline))
#define XN_INLINE   static inline __attribute__((always_inline, unused))

/* ---- what a template is (udf/xn_template.h) ---- */

#define XN_TEMPLATE(NAME) SEC("xn/tmpl." #NAME) static const struct xn_template NAME##_template
#define XN_INIT(NAME)     SEC("xn/init." #NAME) static const

#define XN_OWNS(NAME)   SEC("xn/owns." #NAME) static udf_u64 NAME##_owns
#define XN_REFCNT(NAME) SEC("xn/refcnt." #NAME) static udf_u64 NAME##_refcnt
#define XN_SIZE(NAME)   SEC("xn/size." #NAME) static udf_u64 NAME##_size
#define XN_ACL(NAME)    SEC("xn/acl." #NAME) static udf_u64 NAME##_acl
#define XN_CHECK(NAME)  SEC("xn/check." #NAME) static udf_u64 NAME##_check

/* ---- helpers: the only way out of the machine ---- */

#if defined(__clang__)
#define XN_HELPER(number, type, name, args) \
	static type(*const name) args __attribute__((unused)) = (type(*) args)(number)
#else
#define XN_HELPER(number, type, name, args) \
	extern type name args __attribute__((kernel_helper(number)))
#endif

/* `owns` only.  Faults if count is 0, the end exceeds 2^48 or the child does not exist. */
XN_HELPER(UDF_HELPER_EMIT, long, xn_emit, (udf_u64 start, udf_u64 count, udf_u64 child));

/* CRC-32C; seed 0 starts, an earlier result continues. */
XN_HELPER(UDF_HELPER_CRC32C, udf_u64, xn_crc32c, (const void *bytes, udf_u64 len, udf_u64 seed));

/* 1 if equal, 0 if not. */
XN_HELPER(UDF_HELPER_BYTES_EQUAL, udf_u64, xn_bytes_equal,
	  (const void *p, const void *q, udf_u64 len));

/* ---- small things that libc is missed for ---- */

#define xn_min(a, b) ((a) < (b) ? (a) : (b))
#define xn_max(a, b) ((a) > (b) ? (a) : (b))

/* As memcmp: below, at or above zero.  Where order is not needed, xn_bytes_equal is cheaper. */
XN_INLINE int xn_memcmp(const void *left, const void *right, udf_u64 len)
{
	const udf_u8 *a = left, *b = right;

	for (udf_u64 i = 0; i < len; i++)
		if (a[i] != b[i])
			return (int)a[i] - (int)b[i];
	return 0;
}

/* Index of the first `byte`, or len. */
XN_INLINE udf_u64 xn_find_byte(const void *bytes, udf_u64 len, udf_u8 byte)
{
	const udf_u8 *p = bytes;
	udf_u64 i = 0;

	while (i < len && p[i] != byte)
		i++;
	return i;
}

XN_INLINE int xn_is_zero(const void *bytes, udf_u64 len)
{
	const udf_u8 *p = bytes;

	for (udf_u64 i = 0; i < len; i++)
		if (p[i])
			return 0;
	return 1;
}

/* ---- for `acl` ---- */

/*
 * The record, in the object above, that owns this object (of its nearest
 * ancestor that is not sticky).  Of an object made by this very update, it is the
 * record as proposed; else as it is.  A root's object has none, nor has one whose
 * template counts its owners (`refcnt`): any access faults, so look at
 * args->via.count first, which is 0 then.
 */
XN_INLINE const void *xn_owner(void)
{
	return (const void *)(udf_u64)UDF_ADDR_OWNER;
}

XN_INLINE const udf_u32 *xn_acl_groups(const struct udf_acl_args *args)
{
	return (const void *)((const udf_u8 *)args + args->groups_off);
}

XN_INLINE const struct udf_acl_mod *xn_acl_mods(const struct udf_acl_args *args)
{
	return (const void *)((const udf_u8 *)args + args->mods_off);
}

XN_INLINE const struct udf_acl_extent *xn_acl_added(const struct udf_acl_args *args)
{
	return (const void *)((const udf_u8 *)args + args->added_off);
}

XN_INLINE const struct udf_acl_extent *xn_acl_removed(const struct udf_acl_args *args)
{
	return (const void *)((const udf_u8 *)args + args->removed_off);
}

/* Is `gid` the caller's group or one of its further groups? */
XN_INLINE int xn_acl_in_group(const struct udf_acl_args *args, udf_u32 gid)
{
	const udf_u32 *group = xn_acl_groups(args);

	if (args->gid == gid)
		return 1;
	for (udf_u32 i = 0; i < args->n_groups; i++)
		if (group[i] == gid)
			return 1;
	return 0;
}

/* Do the modifications touch any byte of [off, off + len)? */
XN_INLINE int xn_acl_touches(const struct udf_acl_args *args, udf_u32 off, udf_u32 len)
{
	const struct udf_acl_mod *mod = xn_acl_mods(args);

	for (udf_u32 i = 0; i < args->n_mods; i++)
		if (mod[i].offset < off + len && off < mod[i].offset + mod[i].len)
			return 1;
	return 0;
}

#endif
