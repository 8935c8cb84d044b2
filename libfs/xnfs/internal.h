/* SPDX-License-Identifier: MIT */
/*
 * What the parts of libxnfs share.  Locking: a file's `lock` guards its position,
 * a directory's its batch; each is held across calls of the LibFS, never two at once.
 */
#ifndef LIBFS_XNFS_INTERNAL_H
#define LIBFS_XNFS_INTERNAL_H

#include "libfs/host.h"
#include "libfs/walk.h"
#include "xnfs/xnfs.h"

struct xnfs {
	struct host *host;
	uint32_t uid, gid, umask;
};

/* One call: who asks, and the time it is. */
struct caller {
	struct xnfs *fs;
	struct host_ctx ctx;
};

void caller_init(struct caller *caller, struct xnfs *fs);
/* place_find() for a caller; flags PLACE_*. */
int caller_find(struct caller *caller, const char *path, uint32_t flags, struct place *place);
/* The same, of something that a LibFS has: -EROFS for the top. */
int caller_find_file(struct caller *caller, const char *path, uint32_t flags, struct place *place);
/* A name to be made: -EEXIST when it is there, -EROFS at the top. */
int caller_find_new(struct caller *caller, const char *path, struct place *place);
void stat_fill(struct caller *caller, const struct place *place, struct stat *out);
void attr_to_stat(const struct libfs_attr *attr, uint32_t root_id, struct stat *out);

#endif
