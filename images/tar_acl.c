/* SPDX-License-Identifier: MIT */
/*
 * ACLs in archives.  See tar_acl.h.
 */
#include "tar_acl.h"

#include <archive.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "xn/endian.h"

/* As in <linux/posix_acl_xattr.h>. */
#define ACL_VERSION 2u
#define ACL_NO_ID   UINT32_MAX

struct acl_head {
	le32_t version;
};

struct acl_entry {
	le16_t tag, perm;
	le32_t id;
};

static const struct {
	uint16_t tag;
	int archive;
} tags[] = {
	{ 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ },  { 0x02, ARCHIVE_ENTRY_ACL_USER },
	{ 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ }, { 0x08, ARCHIVE_ENTRY_ACL_GROUP },
	{ 0x10, ARCHIVE_ENTRY_ACL_MASK },      { 0x20, ARCHIVE_ENTRY_ACL_OTHER },
};

#define N_TAGS (sizeof(tags) / sizeof(tags[0]))

static int tag_of_kernel(uint16_t tag)
{
	for (size_t i = 0; i < N_TAGS; i++)
		if (tags[i].tag == tag)
			return tags[i].archive;
	return -1;
}

static bool has_id(int archive)
{
	return archive == ARCHIVE_ENTRY_ACL_USER || archive == ARCHIVE_ENTRY_ACL_GROUP;
}

static bool is_sound(const struct xattr *xattr)
{
	const struct acl_head *head = xattr->value;
	const struct acl_entry *entry = (const struct acl_entry *)(head + 1);

	if (xattr->size < sizeof(*head) || (xattr->size - sizeof(*head)) % sizeof(*entry) ||
	    le32_get(head->version) != ACL_VERSION)
		return false;
	for (size_t i = 0; i < (xattr->size - sizeof(*head)) / sizeof(*entry); i++)
		if (tag_of_kernel(le16_get(entry[i].tag)) < 0 || le16_get(entry[i].perm) > 7)
			return false;
	return true;
}

static int type_of(const char *name)
{
	if (!strcmp(name, XATTR_ACL_ACCESS))
		return ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
	return !strcmp(name, XATTR_ACL_DEFAULT) ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : 0;
}

bool tar_acl_put(struct archive_entry *entry, const struct xattr *xattr)
{
	const struct acl_head *head = xattr->value;
	const struct acl_entry *acl = (const struct acl_entry *)(head + 1);
	int type = type_of(xattr->name);

	if (!type || !is_sound(xattr))
		return false;
	for (size_t i = 0; i < (xattr->size - sizeof(*head)) / sizeof(*acl); i++) {
		int tag = tag_of_kernel(le16_get(acl[i].tag));

		archive_entry_acl_add_entry(entry, type, le16_get(acl[i].perm), tag,
					    has_id(tag) ? (int)le32_get(acl[i].id) : -1, "");
	}
	return true;
}

/* The kernel wants them by kind, and by number within a kind. */
static int by_kind(const void *left, const void *right)
{
	const struct acl_entry *a = left, *b = right;
	uint32_t x = le16_get(a->tag), y = le16_get(b->tag);

	if (x == y) {
		x = le32_get(a->id);
		y = le32_get(b->id);
	}
	return (x > y) - (x < y);
}

static size_t take_entries(struct archive_entry *entry, int type, struct acl_entry *acl, size_t max)
{
	int kind, perm, tag, id;
	const char *name;
	size_t n = 0;

	while (n < max &&
	       archive_entry_acl_next(entry, type, &kind, &perm, &tag, &id, &name) == ARCHIVE_OK)
		for (size_t i = 0; i < N_TAGS; i++)
			if (tags[i].archive == tag)
				acl[n++] = (struct acl_entry){
					le16_make(tags[i].tag), le16_make((uint16_t)(perm & 7)),
					le32_make(has_id(tag) ? (uint32_t)id : ACL_NO_ID)
				};
	qsort(acl, n, sizeof(*acl), by_kind);
	return n;
}

static int take(struct archive_entry *entry, int type, const char *name, struct xattrs *out)
{
	int count = archive_entry_acl_reset(entry, type), err;
	struct acl_head *head;
	size_t n;

	/* Three say no more than the mode; none: there is none. */
	if (count <= 0 || (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && count <= 3))
		return 0;
	head = calloc(1, sizeof(*head) + (size_t)count * sizeof(struct acl_entry));
	if (!head)
		return -ENOMEM;
	head->version = le32_make(ACL_VERSION);
	n = take_entries(entry, type, (struct acl_entry *)(head + 1), (size_t)count);
	err = xattrs_add(out, name, head, sizeof(*head) + n * sizeof(struct acl_entry));
	free(head);
	return err;
}

int tar_acl_take(struct archive_entry *entry, struct xattrs *out)
{
	int err = take(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, XATTR_ACL_ACCESS, out);

	return err ? err : take(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, XATTR_ACL_DEFAULT, out);
}

uint32_t tar_acl_mode(const struct xattrs *xattrs, uint32_t mode)
{
	for (size_t i = 0; i < xattrs->n; i++) {
		const struct xattr *xattr = &xattrs->v[i];
		const struct acl_head *head = xattr->value;
		const struct acl_entry *acl = (const struct acl_entry *)(head + 1);

		if (strcmp(xattr->name, XATTR_ACL_ACCESS) != 0 || !is_sound(xattr))
			continue;
		for (size_t k = 0; k < (xattr->size - sizeof(*head)) / sizeof(*acl); k++)
			if (tag_of_kernel(le16_get(acl[k].tag)) == ARCHIVE_ENTRY_ACL_MASK)
				return (mode & ~070u) | (uint32_t)le16_get(acl[k].perm) << 3;
	}
	return mode;
}
