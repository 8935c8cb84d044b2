/* SPDX-License-Identifier: MIT */
/*
 * The extended attributes of a file, all at once.
 *
 *  (1) ACLs are among them, as system.posix_acl_access and _default, in the form
 *      that the kernel takes and gives.
 *  (2) They are sorted by name, so that two sets can be compared.
 */
#ifndef IMAGES_XATTRS_H
#define IMAGES_XATTRS_H

#include <stddef.h>
#include <sys/types.h>

#define XATTR_ACL_ACCESS  "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"

struct xattr {
	char *name;
	void *value;
	size_t size;
};

struct xattrs {
	struct xattr *v;
	size_t n;
};

/* Both are copied. -ENOMEM */
int xattrs_add(struct xattrs *list, const char *name, const void *value, size_t size);
void xattrs_sort(struct xattrs *list);
void xattrs_free(struct xattrs *list);

/* As listxattr(2) and getxattr(2) do it: size 0 asks how much it is.  Return a size or -errno. */
struct xattr_source {
	ssize_t (*list)(void *arg, char *names, size_t size);
	ssize_t (*get)(void *arg, const char *name, void *value, size_t size);
	void *arg;
};
/*
 * Read all, sorted.  None, where attributes are not known at all.  What goes
 * away meanwhile is left out.
 * Fails with what the functions fail with, and -ENOMEM.
 */
int xattrs_read(const struct xattr_source *from, struct xattrs *out);

#endif
