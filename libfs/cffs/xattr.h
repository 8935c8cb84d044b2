/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes as they are stored, and POSIX ACLs.  No I/O in here.
 *
 * A list is bytes: for each attribute u8 name length, u8 family, u16 value
 * length, the name without its family's prefix, the value.
 */
#ifndef CFFS_XATTR_H
#define CFFS_XATTR_H

#include "internal.h"

enum cffs_xattr_family {
	CFFS_XATTR_USER = 1,
	CFFS_XATTR_TRUSTED,
	CFFS_XATTR_SECURITY,
	CFFS_XATTR_ACL_ACCESS,
	CFFS_XATTR_ACL_DEFAULT,
};

struct cffs_xattr {
	uint8_t family, name_len;
	uint16_t size;
	const char *name;
	const uint8_t *value;
};

struct cffs_xattrs {
	uint8_t *bytes;
	size_t len;
};

/* Attributes one after the other: `*at` is 0 at first.  False at the end, or where it is damaged. */
bool cffs_xattr_next(const uint8_t *bytes, size_t len, size_t *at, struct cffs_xattr *out);
bool cffs_xattr_find(const uint8_t *bytes, size_t len, const struct cffs_xattr *like,
		     struct cffs_xattr *out);
/* Which family has that name, and how it is called there.  -EOPNOTSUPP */
int cffs_xattr_parse(const char *name, struct cffs_xattr *out);
/* `name` has room for 256 bytes; returns its length. */
size_t cffs_xattr_name(const struct cffs_xattr *xattr, char *name);
/* 0 or -ENOMEM. */
int cffs_xattr_append(struct cffs_xattrs *list, const struct cffs_xattr *xattr);
void cffs_xattr_drop(struct cffs_xattrs *list, const struct cffs_xattr *like);

/* ---- ACLs, as Linux gives them to xattrs: version 2, entries of 8 bytes ---- */

/* 0 or -EINVAL. */
int cffs_acl_check(const void *acl, size_t size);
/* The permission bits of `mode` that it stands for; *plain: it says no more than those. */
uint32_t cffs_acl_mode(const void *acl, size_t size, uint32_t mode, bool *plain);
/* chmod: the entries that the bits stand for follow. */
void cffs_acl_chmod(void *acl, size_t size, uint32_t mode);
/* A file is made below a default ACL: both change. */
void cffs_acl_inherit(void *acl, size_t size, uint32_t *mode);
/* 0 or -EACCES; the owner is not asked about here. */
int cffs_acl_may(const void *acl, size_t size, const struct libfs_attr *attr,
		 const struct xn_cred *cred, uint32_t mask);

#endif
