/* SPDX-License-Identifier: MIT */
/*
 * A deal: entries that go, entries that come, inodes whose sector follows, all
 * in one update.  Every operation on names is one.
 *
 *  (1) Who makes a deal holds the locks of all directories in it for writing.
 *  (2) It happens whole, on disk and in memory, or not at all.
 *  (3) An entry that comes takes the place it prefers if it fits there, else
 *      any sector of its directory with room.
 */
#ifndef CFFS_DEAL_H
#define CFFS_DEAL_H

#include "tree.h"
#include "xattr.h"

#define CFFS_DEAL_MAX 4u

struct cffs_cut {
	struct cffs_inode *dir;
	struct cffs_loc loc;
	const char *name; /* "": it had none */
};

struct cffs_put {
	struct cffs_inode *dir;
	const char *name;         /* "": none */
	struct cffs_inode *inode; /* becomes an entry with its inode ... */
	/* ... which gets this body and list of attributes (and hands out the old one), or NULL */
	const struct cffs_body *body;
	struct cffs_xattrs *xattrs;
	struct cffs_inode *link; /* ... or a link to this one, which lies or will lie in XDIR */
	bool prefer;             /* loc says where, slot included */
	bool fixed;              /* there or nowhere (-ENOSPC) */
	struct cffs_loc loc;
	/* the deal's own */
	struct cffs_hold *hold;
	bool elsewhere;
};

/* An inode whose attributes change; undone when the deal fails. */
struct cffs_tweak {
	struct cffs_inode *inode;
	int nlink;  /* added */
	bool write; /* its sector is part of the deal */
	bool mtime;
	bool orphan;  /* from now on */
	bool adopted; /* it is none any more */
	/* the deal's own */
	struct cffs_attr before;
	struct cffs_hold *hold;
	uint32_t record;
};

struct cffs_deal {
	struct timespec now;
	uint32_t n_cuts, n_puts, n_tweaks;
	struct cffs_cut cuts[CFFS_DEAL_MAX];
	struct cffs_put puts[CFFS_DEAL_MAX];
	struct cffs_tweak tweaks[CFFS_DEAL_MAX + 2];
	struct cffs_inode *freed;     /* all that it owns goes; it has no place afterwards */
	struct xn_extent alloc, give; /* taken, given back; count 0: none */
	const struct xn_edit *edits;  /* of objects that are taken */
	uint32_t n_edits;
};

void cffs_deal_init(struct cffs_deal *deal, struct timespec now);
void cffs_deal_cut(struct cffs_deal *deal, struct cffs_inode *dir, const struct cffs_loc *loc,
		   const char *name);
struct cffs_put *cffs_deal_put(struct cffs_deal *deal, struct cffs_inode *dir, const char *name,
			       const struct cffs_loc *prefer);
struct cffs_tweak *cffs_deal_tweak(struct cffs_deal *deal, struct cffs_inode *inode, int nlink,
				   bool write);
int cffs_deal_run(struct cffs *fs, struct cffs_deal *deal);
/* Where an inode's entry lies now. */
void cffs_loc_of(const struct cffs_inode *inode, struct cffs_loc *loc);

#endif
