/* SPDX-License-Identifier: MIT */
/*
 * POSIX ACLs (as withdrawn POSIX 1003.1e and every UNIX have them), and the
 * lists that attributes are stored in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xattr.h"

/* ---- lists ---- */

#define HEAD 4u

bool cffs_xattr_next(const uint8_t *bytes, size_t len, size_t *at, struct cffs_xattr *out)
{
	const uint8_t *p;

	if (len < HEAD || *at > len - HEAD)
		return false;
	p = bytes + *at;
	if (p[0] == 0 || p[1] == 0)
		return false;
	out->name_len = (uint8_t)(p[0] - 1);
	out->family = p[1];
	out->size = (uint16_t)(p[2] | p[3] << 8);
	out->name = (const char *)p + HEAD;
	out->value = p + HEAD + out->name_len;
	if (HEAD + out->name_len + (size_t)out->size > len - *at)
		return false;
	*at += HEAD + out->name_len + out->size;
	return true;
}

static bool same_name(const struct cffs_xattr *a, const struct cffs_xattr *b)
{
	return a->family == b->family && a->name_len == b->name_len &&
	       memcmp(a->name, b->name, a->name_len) == 0;
}

bool cffs_xattr_find(const uint8_t *bytes, size_t len, const struct cffs_xattr *like,
		     struct cffs_xattr *out)
{
	size_t at = 0;

	while (cffs_xattr_next(bytes, len, &at, out))
		if (same_name(out, like))
			return true;
	return false;
}

int cffs_xattr_append(struct cffs_xattrs *list, const struct cffs_xattr *xattr)
{
	size_t need = HEAD + xattr->name_len + xattr->size;
	uint8_t *p = realloc(list->bytes, list->len + need);

	if (!p)
		return -ENOMEM;
	list->bytes = p;
	p += list->len;
	p[0] = (uint8_t)(xattr->name_len + 1);
	p[1] = xattr->family;
	p[2] = (uint8_t)xattr->size;
	p[3] = (uint8_t)(xattr->size >> 8);
	memcpy(p + HEAD, xattr->name, xattr->name_len);
	if (xattr->size)
		memcpy(p + HEAD + xattr->name_len, xattr->value, xattr->size);
	list->len += need;
	return 0;
}

void cffs_xattr_drop(struct cffs_xattrs *list, const struct cffs_xattr *like)
{
	struct cffs_xattr one;
	size_t at = 0, before = 0;

	for (; cffs_xattr_next(list->bytes, list->len, &at, &one); before = at) {
		if (!same_name(&one, like))
			continue;
		memmove(list->bytes + before, list->bytes + at, list->len - at);
		list->len -= at - before;
		return;
	}
}

/* ---- names ---- */

static const struct {
	const char *prefix;
	bool whole;
} families[] = {
	[CFFS_XATTR_USER] = { "user.", false },
	[CFFS_XATTR_TRUSTED] = { "trusted.", false },
	[CFFS_XATTR_SECURITY] = { "security.", false },
	[CFFS_XATTR_ACL_ACCESS] = { "system.posix_acl_access", true },
	[CFFS_XATTR_ACL_DEFAULT] = { "system.posix_acl_default", true },
};

int cffs_xattr_parse(const char *name, struct cffs_xattr *out)
{
	for (unsigned i = CFFS_XATTR_USER; i <= CFFS_XATTR_ACL_DEFAULT; i++) {
		size_t len = strlen(families[i].prefix);

		if (strncmp(name, families[i].prefix, len) != 0 ||
		    (families[i].whole && name[len]) || (!families[i].whole && !name[len]))
			continue;
		*out = (struct cffs_xattr){ .family = (uint8_t)i,
					    .name = name + len,
					    .name_len = (uint8_t)strlen(name + len) };
		return 0;
	}
	return strcmp(name, "user.") == 0 ? -EINVAL : -EOPNOTSUPP;
}

size_t cffs_xattr_name(const struct cffs_xattr *xattr, char *name)
{
	const char *prefix = xattr->family <= CFFS_XATTR_ACL_DEFAULT
				     ? families[xattr->family].prefix
				     : "unknown.";
	size_t len = strlen(prefix);

	memcpy(name, prefix, len);
	memcpy(name + len, xattr->name, xattr->name_len);
	name[len + xattr->name_len] = '\0';
	return len + xattr->name_len;
}

/* ---- ACLs ---- */

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

#define ACL_VERSION 2u
#define ACL_HEAD    4u
#define ACL_ENTRY   8u

static size_t count_of(size_t size)
{
	return (size - ACL_HEAD) / ACL_ENTRY;
}

static uint8_t *entry_of(const void *acl, size_t i)
{
	return (uint8_t *)(uintptr_t)acl + ACL_HEAD + i * ACL_ENTRY;
}

static unsigned tag_of(const uint8_t *e)
{
	return e[0] | (unsigned)e[1] << 8;
}

static uint32_t id_of(const uint8_t *e)
{
	return e[4] | (uint32_t)e[5] << 8 | (uint32_t)e[6] << 16 | (uint32_t)e[7] << 24;
}

static uint8_t *find_tag(const void *acl, size_t size, unsigned tag)
{
	for (size_t i = 0; i < count_of(size); i++)
		if (tag_of(entry_of(acl, i)) == tag)
			return entry_of(acl, i);
	return NULL;
}

/* In order: owner, users, group, groups, mask, other; a mask is needed by users and groups. */
int cffs_acl_check(const void *acl, size_t size)
{
	const uint8_t *head = acl;
	unsigned last = 0, seen = 0;

	if (size < ACL_HEAD || (size - ACL_HEAD) % ACL_ENTRY || head[0] != ACL_VERSION ||
	    head[1] | head[2] | head[3])
		return -EINVAL;
	for (size_t i = 0; i < count_of(size); i++) {
		const uint8_t *e = entry_of(acl, i);
		unsigned tag = tag_of(e);

		if (tag == 0 || tag > OTHER || (tag & (tag - 1)) || e[2] > 7 || e[3])
			return -EINVAL;
		if (tag < last || (tag == last && tag != USER && tag != GROUP))
			return -EINVAL;
		last = tag;
		seen |= tag;
	}
	if ((seen & (USER_OBJ | GROUP_OBJ | OTHER)) != (USER_OBJ | GROUP_OBJ | OTHER))
		return -EINVAL;
	return (seen & (USER | GROUP)) && !(seen & MASK) ? -EINVAL : 0;
}

uint32_t cffs_acl_mode(const void *acl, size_t size, uint32_t mode, bool *plain)
{
	const uint8_t *group = find_tag(acl, size, MASK);

	*plain = !group && count_of(size) == 3;
	if (!group)
		group = find_tag(acl, size, GROUP_OBJ);
	return (mode & ~0777u) | (uint32_t)find_tag(acl, size, USER_OBJ)[2] << 6 |
	       (uint32_t)group[2] << 3 | find_tag(acl, size, OTHER)[2];
}

void cffs_acl_chmod(void *acl, size_t size, uint32_t mode)
{
	uint8_t *group = find_tag(acl, size, MASK);

	if (!group)
		group = find_tag(acl, size, GROUP_OBJ);
	find_tag(acl, size, USER_OBJ)[2] = mode >> 6 & 7;
	group[2] = mode >> 3 & 7;
	find_tag(acl, size, OTHER)[2] = mode & 7;
}

void cffs_acl_inherit(void *acl, size_t size, uint32_t *mode)
{
	uint8_t *user = find_tag(acl, size, USER_OBJ), *other = find_tag(acl, size, OTHER);
	uint8_t *group = find_tag(acl, size, MASK);

	if (!group)
		group = find_tag(acl, size, GROUP_OBJ);
	user[2] &= *mode >> 6 & 7;
	group[2] &= *mode >> 3 & 7;
	other[2] &= *mode & 7;
	*mode = (*mode & ~0777u) | (uint32_t)user[2] << 6 | (uint32_t)group[2] << 3 | other[2];
}

/* The owner's bits are the mode's; here come users and groups, all below the mask. */
int cffs_acl_may(const void *acl, size_t size, const struct libfs_attr *attr,
		 const struct xn_cred *cred, uint32_t mask)
{
	const uint8_t *limit = find_tag(acl, size, MASK), *other = find_tag(acl, size, OTHER);
	uint32_t most = limit ? limit[2] : 7;
	bool member = false;

	for (size_t i = 0; i < count_of(size); i++) {
		const uint8_t *e = entry_of(acl, i);
		unsigned tag = tag_of(e);

		if (tag == USER && id_of(e) == cred->uid)
			return (e[2] & most & mask) == mask ? 0 : -EACCES;
		if (!(tag == GROUP_OBJ && libfs_in_group(cred, attr->gid)) &&
		    !(tag == GROUP && libfs_in_group(cred, id_of(e))))
			continue;
		member = true;
		if ((e[2] & most & mask) == mask)
			return 0;
	}
	return !member && (other[2] & mask) == mask ? 0 : -EACCES;
}
