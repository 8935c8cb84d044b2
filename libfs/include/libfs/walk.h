/* SPDX-License-Identifier: MIT */
/*
 * From a path to a place on a disk: what libxnfs and the image tool share.
 *
 *  (1) The first component names a root, which is mounted when it is first named.
 *  (2) Symbolic links are followed inside their root only: ".." stops at the
 *      root's directory, and an absolute target is refused.
 *  (3) A place holds references; place_put() gives them back.
 */
#ifndef LIBFS_WALK_H
#define LIBFS_WALK_H

#include "libfs/host.h"
#include "libfs/libfs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct place {
	struct libfs *fs; /* NULL: the top, where the roots are */
	char root[64];
	libfs_ino_t dir; /* directory that has the name; 0: a root's directory, or the top */
	char name[LIBFS_NAME_MAX + 1];
	bool exists;
	struct libfs_attr attr; /* when it exists */
};

#define PLACE_FOLLOW  1u /* the last component too */
#define PLACE_MISSING 2u /* the last component need not exist */

struct place_walk {
	struct host *host;
	const struct libfs_ctx *ctx;
	uint32_t flags; /* PLACE_* */
	char *why;      /* receives a sentence with some failures; may be NULL */
	size_t why_size;
};

/*
 * Fails with
 *   -EINVAL   the path does not begin with '/'
 *   -ELOOP    too many symbolic links;  -EXDEV: one with an absolute target
 *   -ENOENT, -ENOTDIR, -ENAMETOOLONG, and what the LibFS says
 */
int place_find(const struct place_walk *how, const char *path, struct place *place);
void place_put(struct place *place);
bool place_is_dir(const struct place *place);

#ifdef __cplusplus
}
#endif

#endif
