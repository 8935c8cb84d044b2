/* SPDX-License-Identifier: MIT */
/*
 * The operations on names: names.c (lookup), create.c, remove.c, link.c, rename.c.
 *
 *  (1) Each is one deal: on disk it happened or it did not.
 *  (2) Directories that it changes are locked for writing from the look to the
 *      end.  Several are a set of locks.h; when that says -EAGAIN, one looks again.
 *  (3) A removed file that somebody uses keeps a nameless entry as long as it
 *      owns blocks; nobody finds it there (orphan.c).
 */
#ifndef CFFS_NAMES_H
#define CFFS_NAMES_H

#include "deal.h"

/* ---- names.c ---- */

/* May `child` be removed from `dir` by whoever may write there?  The rule of sticky directories. */
int cffs_may_remove(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *child,
		    const struct libfs_ctx *ctx);
/* May names be looked up in it? */
int cffs_may_look(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir);
/* A directory in which names may be looked up, pinned and locked. */
int cffs_names_get(struct cffs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, bool write,
		   struct cffs_inode **out);
void cffs_names_put(struct cffs *fs, struct cffs_inode *dir);
/* One reference for the host. */
void cffs_names_give(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out);
/* The directory notices that its names changed; it has so many subdirectories more. */
void cffs_names_changed(struct cffs_deal *deal, struct cffs_inode *dir, int nlink);
/* The inode comes with its first name; `external`: in XDIR, which is locked, and a link in `dir`. */
void cffs_deal_enter(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
		     const char *name, struct cffs_inode *inode, bool external);
/* A name and its inode, pinned; `dir` is locked. */
int cffs_names_find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc,
		    struct cffs_inode **out);

/* ---- remove.c ---- */

/* `name` of `inode` goes.  XDIR is locked if the name is a link. */
void cffs_deal_remove(struct cffs *fs, struct cffs_deal *deal, struct cffs_inode *dir,
		      struct cffs_inode *inode, const struct cffs_loc *loc, const char *name);
/* The directory, which is locked, is empty, and holds no orphan's entry any more; or -ENOTEMPTY. */
int cffs_dir_vacate(struct cffs *fs, struct cffs_inode *dir);

#endif
