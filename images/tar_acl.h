/* SPDX-License-Identifier: MIT */
/*
 * ACLs between two forms: the extended attribute of the kernel, and libarchive's.
 */
#ifndef IMAGES_TAR_ACL_H
#define IMAGES_TAR_ACL_H

#include <archive_entry.h>
#include <stdbool.h>
#include <stdint.h>

#include "xattrs.h"

/* Is the attribute an ACL that was put into the entry?  One that makes no sense is not. */
bool tar_acl_put(struct archive_entry *entry, const struct xattr *xattr);
/* The ACLs of the entry as attributes. -ENOMEM */
int tar_acl_take(struct archive_entry *entry, struct xattrs *out);
/*
 * The group's bits of the mode of a file with an ACL are its mask; an archive has there what
 * the group itself may.
 */
uint32_t tar_acl_mode(const struct xattrs *xattrs, uint32_t mode);

#endif
