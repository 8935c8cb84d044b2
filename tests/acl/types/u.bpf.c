/* SPDX-License-Identifier: MIT */
/*
 * UNIX permissions, wholly in `acl`.
 *
 * u.table    each record is an inode and judged by itself: contents need the w bit
 *            (or a binding that had it), identity needs the owner, chown needs uid 0.
 * u.index    sticky: has no permissions and asks the inode above, however far.
 * u.vault    carries its own; made by whom it belongs to, changed by nobody else.
 */
#include "udf/xn_udf.h"
#include "u.h"

#define CHILDREN                     \
	{                            \
		"u_index", "u_vault" \
	}

enum { MAY_WRITE = 2, MAY_READ = 4 };

XN_INLINE void emit(udf_u64 pointer)
{
	if (pointer)
		xn_emit(U_BLOCK(pointer), 1, U_CHILD(pointer));
}

XN_INLINE int may(const struct u_inode *inode, const struct udf_acl_args *args, udf_u32 want)
{
	udf_u32 bits = inode->mode;

	if (!(inode->mode & U_IN_USE))
		return 0;
	if (args->uid == 0)
		return 1;
	if (inode->expires_ns && args->now_ns >= inode->expires_ns)
		return 0;
	if (args->uid == inode->uid)
		bits >>= 6;
	else if (xn_acl_in_group(args, inode->gid))
		bits >>= 3;
	return (bits & want) == want;
}

/* ---- the table ---- */

XN_TEMPLATE(u_table) = {
	.name = "u.table",
	.obj_size = 4096,
	.rec_size = U_INODE_SIZE,
	.rec_count = U_INODES,
	.child = CHILDREN,
};

XN_OWNS(u_table)(const struct u_inode *inode)
{
	for (udf_u32 i = 0; i < U_DIRECT; i++)
		emit(inode->block[i]);
	emit(inode->index);
	return 0;
}

XN_INLINE int same_identity(const struct u_inode *a, const struct u_inode *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode &&
	       a->expires_ns == b->expires_ns;
}

XN_NOINLINE int inode_may_change(const struct u_inode *old, const struct u_inode *new,
				 const struct udf_acl_args *args, int bound)
{
	if (xn_bytes_equal(old, new, sizeof(*old)) || args->uid == 0)
		return 1;
	if (!(old->mode & U_IN_USE)) /* made by whom it belongs to */
		return new->uid == args->uid &&xn_acl_in_group(args, new->gid);
	if (!same_identity(old, new)) { /* chmod, chgrp, or removal */
		if (old->uid != args->uid)
			return 0;
		if (new->mode == 0)
			return 1;
		if (new->uid != old->uid ||
		    (new->gid != old->gid && !xn_acl_in_group(args, new->gid)))
			return 0;
	}
	if (xn_bytes_equal(&old->links, &new->links, sizeof(old->links)) &&
	    xn_bytes_equal(&old->size, &new->size, sizeof(*old) - 24))
		return 1;
	return bound || may(old, args, MAY_WRITE);
}

XN_ACL(u_table)
(const struct u_inode *old, udf_u64 size, const struct u_inode *new,
 const struct udf_acl_args *args)
{
	switch (args->op) {
	case UDF_ACL_READ: return may(&old[args->record], args, MAY_READ);
	case UDF_ACL_WRITE: return may(&old[args->record], args, MAY_WRITE);
	case UDF_ACL_UPDATE: break;
	default: return args->uid == 0;
	}
	for (udf_u32 i = 0; i < U_INODES; i++) {
		if (!xn_acl_touches(args, i * U_INODE_SIZE, U_INODE_SIZE))
			continue;
		if (!inode_may_change(&old[i], &new[i], args, args->bound && args->record == i))
			return 0;
	}
	return 1;
}

/* ---- below an inode ---- */

XN_TEMPLATE(u_index) = {
	.name = "u.index",
	.flags = XN_STICKY,
	.obj_size = 4096,
	.rec_size = 8,
	.rec_count = U_INDEX_SLOTS,
	.child = CHILDREN,
};

XN_OWNS(u_index)(const udf_u64 *record)
{
	emit(*record);
	return 0;
}

XN_ACL(u_index)
(const void *object, udf_u64 size, const void *proposed, const struct udf_acl_args *args)
{
	if (args->via.count == 0)
		return args->uid == 0;
	if (args->op == UDF_ACL_READ)
		return may(xn_owner(), args, MAY_READ);
	return args->bound || may(xn_owner(), args, MAY_WRITE);
}

/* ---- vaults ---- */

XN_TEMPLATE(u_vault) = {
	.name = "u.vault",
	.obj_size = 4096,
	.rec_off = U_VAULT_AT,
	.rec_size = 8,
	.rec_count = U_VAULT_SLOTS,
	.child = CHILDREN,
};

XN_OWNS(u_vault)(const udf_u64 *record)
{
	emit(*record);
	return 0;
}

XN_ACL(u_vault)
(const struct u_vault *old, udf_u64 size, const struct u_vault *new,
 const struct udf_acl_args *args)
{
	if (args->uid == 0)
		return 1;
	if (args->op == UDF_ACL_UPDATE && old->mode == 0)
		return new->uid == args->uid;
	return old->uid == args->uid;
}
