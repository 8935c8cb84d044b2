/* SPDX-License-Identifier: MIT */
/*
 * cffs.dir: a block of a directory.  Each sector is a record: a header, then
 * entries one behind the other; an inode entry owns what its slots name.
 *
 * acl.  uid 0 may all.  Others: what an entry owns may be bound by whom the mode
 * of every inode in that sector allows it (a binding names a sector, not a file).
 * Who changes entries must be able to write the directory, whose own entry is the
 * owner's record; who only changes what is in an entry, must own that file or be
 * able to write it; and only its owner changes mode, owner and group.
 */
#include "udf/xn_udf.h"
#include "layout.h"

XN_TEMPLATE(cffs_dir) = {
	.name = "cffs.dir",
	.obj_size = CFFS_BLOCK,
	.rec_size = CFFS_SECTOR,
	.rec_count = CFFS_SECTORS,
	.max_emit = 100,
	.child = { "SELF", "cffs_ext", "cffs_raw" },
};

#define U16(p, off) (*(const udf_u16 *)((const udf_u8 *)(p) + (off)))
#define U32(p, off) (*(const udf_u32 *)((const udf_u8 *)(p) + (off)))
#define U64(p, off) (*(const udf_u64 *)((const udf_u8 *)(p) + (off)))
#define M48         ((1ull << 48) - 1)

#define READ  4
#define WRITE 2
#define EXEC  1

static const udf_u8 child_of[8] = { 255,
				    UDF_CHILD_DATA,
				    UDF_CHILD_RESERVED,
				    CFFS_CHILD_DIR,
				    CFFS_CHILD_EXT,
				    CFFS_CHILD_RAW,
				    CFFS_CHILD_RAW,
				    255 };

/* The fields of an entry's first eight bytes: one load is cheaper than six. */
#define HEAD_LEN(head)     ((head)&0xffff)
#define HEAD_KIND(head)    ((head) >> 8 * CFFS_E_KIND & 0xff)
#define HEAD_SLOT(head)    ((head) >> 8 * CFFS_E_SLOT & 0xff)
#define HEAD_NAME(head)    ((head) >> 8 * CFFS_E_NAME_LEN & 0xff)
#define HEAD_N_SLOTS(head) ((head) >> 8 * CFFS_E_N_SLOTS & 0xff)
#define HEAD_INLINE(head)  ((head) >> 8 * CFFS_E_INLINE)

/* Bytes of the entry, if it lies in its sector and its parts fill it exactly; else 0. */
XN_INLINE udf_u64 entry_len(const udf_u8 *e, udf_u64 head, udf_u64 room)
{
	udf_u64 len = HEAD_LEN(head), need;

	if (len > room)
		return 0;
	if (HEAD_KIND(head) == CFFS_KIND_INODE) {
		/* Its slots are 1 to CFFS_SLOTS_MAX. */
		if (len < CFFS_E_SLOTS || HEAD_N_SLOTS(head) - 1 >= CFFS_SLOTS_MAX ||
		    HEAD_INLINE(head) > CFFS_INLINE_BYTES)
			return 0;
		need = CFFS_E_SLOTS + CFFS_SLOT_SIZE * HEAD_N_SLOTS(head) + U16(e, CFFS_E_XATTR) +
		       HEAD_INLINE(head);
	} else if (HEAD_KIND(head) == CFFS_KIND_PARAMS) {
		return len < CFFS_LINK_NAME || len % 8 ? 0 : len;
	} else if (HEAD_KIND(head) == CFFS_KIND_LINK) {
		need = CFFS_LINK_NAME;
	} else {
		return 0;
	}
	return ((need + HEAD_NAME(head) + 7) & ~7ull) == len ? len : 0;
}

XN_OWNS(cffs_dir)(const udf_u8 *s)
{
	const udf_u8 *e = s + CFFS_S_HEAD, *end = s + CFFS_SECTOR;
	udf_u64 taken = 0;

	for (udf_u64 left = s[CFFS_S_ENTRIES]; left > 0; left--) {
		udf_u64 head, len;

		if (e > end - CFFS_LINK_NAME)
			return 1;
		head = U64(e, 0);
		len = entry_len(e, head, (udf_u64)(end - e));
		if (!len || HEAD_SLOT(head) > 31 || (taken >> HEAD_SLOT(head) & 1))
			return 2;
		taken |= 1ull << HEAD_SLOT(head);
		if (HEAD_KIND(head) == CFFS_KIND_INODE) {
			const udf_u8 *slot = e + CFFS_E_SLOTS;
			const udf_u8 *last = slot + CFFS_SLOT_SIZE * HEAD_N_SLOTS(head);

			for (; slot != last; slot += CFFS_SLOT_SIZE) {
				udf_u64 a = U64(slot, 0), class = a >> 48;

				if (class >= CFFS_CLASSES)
					return 3;
				if (class)
					xn_emit(a & M48, U64(slot, 8) >> 40, child_of[class]);
			}
		}
		e += len;
	}
	return 0;
}

/* That the entries make sense, `owns` has said before anybody gets here. */
XN_CHECK(cffs_dir)(const udf_u8 *object)
{
	for (udf_u64 i = 0; i < CFFS_SECTORS; i++) {
		const udf_u8 *s = object + CFFS_SECTOR * i;
		udf_u64 at = CFFS_S_HEAD;

		if (U32(s, CFFS_S_CRC) == 0 && U16(s, CFFS_S_MAGIC) == 0 && s[CFFS_S_ENTRIES] == 0)
			continue;
		if (U16(s, CFFS_S_MAGIC) != CFFS_DIR_MAGIC)
			return 1;
		if ((udf_u32)xn_crc32c(s + 4, CFFS_SECTOR - 4, 0) != U32(s, CFFS_S_CRC))
			return 2;
		for (udf_u64 left = s[CFFS_S_ENTRIES]; left > 0; left--) {
			udf_u64 len = 0;

			if (at <= CFFS_SECTOR - CFFS_LINK_NAME)
				len = entry_len(s + at, U64(s + at, 0), CFFS_SECTOR - at);
			if (!len)
				return 3;
			at += len;
		}
	}
	return 0;
}

/* ---- permission ---- */

XN_NOINLINE int may(const udf_u8 *e, const struct udf_acl_args *args, udf_u64 want)
{
	udf_u64 mode = U16(e, CFFS_E_MODE);

	if (U32(e, CFFS_E_UID) == args->uid)
		mode >>= 6;
	else if (xn_acl_in_group(args, U32(e, CFFS_E_GID)))
		mode >>= 3;
	return (mode & want) == want;
}

XN_INLINE int is_dir(const udf_u8 *e)
{
	return U16(e, CFFS_E_MODE) >> 12 == 4;
}

/* The inode entry of a sector that names block `start`; NULL: none. */
XN_NOINLINE const udf_u8 *entry_naming(const udf_u8 *s, udf_u64 start)
{
	udf_u64 at = CFFS_S_HEAD;

	for (udf_u64 left = s[CFFS_S_ENTRIES]; left > 0; left--) {
		const udf_u8 *e = s + at;
		udf_u64 n = e[CFFS_E_KIND] == CFFS_KIND_INODE ? e[CFFS_E_N_SLOTS] : 0;

		for (udf_u64 i = 0; i < n; i++)
			if ((U64(e, CFFS_E_SLOTS + CFFS_SLOT_SIZE * i) & M48) == start)
				return e;
		at += U16(e, CFFS_E_LEN);
	}
	return 0;
}

XN_NOINLINE const udf_u8 *entry_at(const udf_u8 *s, udf_u64 slot)
{
	udf_u64 at = CFFS_S_HEAD;

	for (udf_u64 left = s[CFFS_S_ENTRIES]; left > 0; left--) {
		if (s[at + CFFS_E_SLOT] == slot)
			return s + at;
		at += U16(s + at, CFFS_E_LEN);
	}
	return 0;
}

/* Everything that the sector's inodes own. */
XN_NOINLINE int may_bind(const udf_u8 *s, const struct udf_acl_args *args, udf_u64 want)
{
	udf_u64 at = CFFS_S_HEAD;

	for (udf_u64 left = s[CFFS_S_ENTRIES]; left > 0; left--) {
		const udf_u8 *e = s + at;

		if (e[CFFS_E_KIND] == CFFS_KIND_INODE &&
		    !may(e, args, want == READ && is_dir(e) ? EXEC : want))
			return 0;
		at += U16(e, CFFS_E_LEN);
	}
	return 1;
}

/* The entry stays: who may make `new` of `old`? */
XN_NOINLINE int may_alter(const udf_u8 *old, const udf_u8 *new, const struct udf_acl_args *args)
{
	udf_u64 len = U16(old, CFFS_E_LEN);
	int mine = U32(old, CFFS_E_UID) == args->uid;

	if (U16(new, CFFS_E_LEN) == len && xn_bytes_equal(old, new, len))
		return 1;
	if (old[CFFS_E_KIND] != CFFS_KIND_INODE || new[CFFS_E_KIND] != CFFS_KIND_INODE ||
	    U64(old, CFFS_E_INO) != U64(new, CFFS_E_INO) ||
	    U32(old, CFFS_E_UID) != U32(new, CFFS_E_UID))
		return 0;
	if ((U16(old, CFFS_E_MODE) != U16(new, CFFS_E_MODE) ||
	     U32(old, CFFS_E_GID) != U32(new, CFFS_E_GID)) &&
	    !(mine && xn_acl_in_group(args, U32(new, CFFS_E_GID))))
		return 0;
	return mine || may(old, args, WRITE);
}

/* Every entry of `from` is in `to`, or `change` says that entries may come and go. */
XN_NOINLINE int may_change(const udf_u8 *from, const udf_u8 *to, const struct udf_acl_args *args,
			   const udf_u8 *dir, udf_u64 comes)
{
	udf_u64 at = CFFS_S_HEAD;

	for (udf_u64 left = from[CFFS_S_ENTRIES]; left > 0; left--) {
		const udf_u8 *e = from + at, *same = entry_at(to, e[CFFS_E_SLOT]);

		at += U16(e, CFFS_E_LEN);
		if (same && comes)
			continue;
		if (same ? may_alter(e, same, args) : 0)
			continue;
		if (same || !dir || !may(dir, args, WRITE | EXEC))
			return 0;
		if (e[CFFS_E_KIND] != CFFS_KIND_INODE)
			continue;
		if (comes ? U32(e, CFFS_E_UID) != args->uid
			  : (U16(dir, CFFS_E_MODE) & 01000) && U32(e, CFFS_E_UID) != args->uid &&
				    U32(dir, CFFS_E_UID) != args->uid)
			return 0;
	}
	return 1;
}

XN_ACL(cffs_dir)
(const udf_u8 *object, udf_u64 size, const udf_u8 *proposed, const struct udf_acl_args *args)
{
	const udf_u8 *dir = 0;

	if (args->uid == 0)
		return 1;
	if (args->op == UDF_ACL_READ || args->op == UDF_ACL_WRITE)
		return may_bind(object + CFFS_SECTOR * (udf_u64)args->record, args,
				args->op == UDF_ACL_READ ? READ : WRITE);
	if (args->via.count)
		dir = entry_naming(xn_owner(), args->via.start);
	if (args->op == UDF_ACL_FREE)
		return dir && may(dir, args, WRITE);
	for (udf_u64 i = 0; i < size / CFFS_SECTOR; i++) {
		const udf_u8 *old = object + CFFS_SECTOR * i, *new = proposed + CFFS_SECTOR *i;

		if (!xn_acl_touches(args, CFFS_SECTOR * i, CFFS_SECTOR))
			continue;
		if (!may_change(old, new, args, dir, 0) || !may_change(new, old, args, dir, 1))
			return 0;
	}
	return 1;
}
