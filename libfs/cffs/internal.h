/* SPDX-License-Identifier: MIT */
/*
 * C-FFS, inside.  README.md tells the story; this is the map of the files:
 *
 *	super.c   a mounted file system: mount, unmount, errors, space, sync
 *	hold.c    objects bound and read in, and which to let go
 *	inode.c   inodes in memory, and how they reach their sector
 *	dir.c     directories; dirsize.c, dirmap.c, nametable.c, index.c, indexmake.c and
 *		  readdir.c are parts of it: dir.h
 *	names.c   what the operations of libfs.h on names share, and lookup; create.c,
 *		  remove.c, link.c and rename.c are the others: names.h.  orphan.c and deal.c help
 *	locks.c   several inodes locked at once
 *	attr.c    those on attributes; xattr.c
 *	map.c     which block holds which part of a file
 *	alloc.c   where new blocks go, groups
 *	file.c    what is kept of a file's bytes, fsync; run.c read.c write.c falloc.c
 *	ops.c     the table; mkfs.c
 *	check.c   the checker, which knows nothing of this file
 *
 *  (1) An inode in memory is found by its number, pinned while used, and knows
 *      its place: directory, block, sector, slot.
 *  (2) Locks, in order.  Who holds one waits only for those behind it; who needs one before
 *      it tries, and if that fails lets go of all (locks.h).
 *	  1. fs->rename    one change of a directory's parent at a time
 *	  2. inode->lock   of directories but the last two, by number: names, blocks and index
 *	  3. inode->lock   of all others, by number: body and data
 *	  4. fs->gate      shared: blocks are taken and not written yet
 *	  5. inode->lock   of XDIR, then of ODIR
 *	  6. fs->lock      everything short: attributes (inode->a), times, places, bytes of
 *			   sectors, lists
 *	  7. alloc.c's own
 *      All but 6 may be held across I/O.  inode->b is written with inode->lock and fs->lock held,
 *      so either is enough to read it.
 *  (3) An inode's slots, and all that must change with them, change through
 *      cffs_inode_write(): one sector, one xn_update, all or nothing.
 *  (4) Attributes change in memory (cffs_inode_dirty) and reach the sector with
 *      the next cffs_inode_write() of that inode, or by cffs_inode_flush():
 *      before fsync, sync, eviction.
 *  (5) Functions return 0 or a negative number of xn/error.h or -errno; only the
 *      table's functions translate into errno (cffs_errno).
 */
#ifndef CFFS_INTERNAL_H
#define CFFS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "libfs/libfs.h"
#include "xn/xn.h"
#include "format.h"

enum cffs_template { CFFS_T_DIR, CFFS_T_EXT, CFFS_T_RAW, CFFS_TEMPLATES };

struct cffs;
struct cffs_dir;  /* dir.c: names and blocks of a directory */
struct cffs_file; /* file.c: what a file keeps in memory besides its inode */

/* ---- hold.c ---- */

/* An object bound and read in.  It stays while `users` > 0, and a while longer. */
struct cffs_hold {
	struct cffs_hold *hash_next, *lru_prev, *lru_next;
	struct cffs_hold *owner; /* stays at least as long; NULL: the root object */
	xn_blk_t object;
	xn_binding_t binding;
	const uint8_t *bytes; /* look with fs->lock held */
	uint32_t users;
	bool dead; /* not in the table any more */
};

/*
 * Hold `object` of template `which`, which record `record` of `owner` owns; reads it if needed,
 * so fs->lock must not be held.  One user more.
 */
int cffs_hold_get(struct cffs *fs, struct cffs_hold *owner, uint32_t record,
		  enum cffs_template which, xn_blk_t object, struct cffs_hold **out);
void cffs_hold_put(struct cffs *fs, struct cffs_hold *hold);
/* The object was freed or will be: forget it when its users have gone. */
void cffs_hold_drop(struct cffs *fs, xn_blk_t object);

/* ---- inode.c ---- */

struct cffs_inode {
	struct cffs_inode *hash_next, *lru_prev, *lru_next, *dirty_prev, *dirty_next;
	pthread_rwlock_t lock;
	uint32_t pins; /* users in this process, opens and references included */
	uint64_t refs; /* of the host */
	uint32_t opens;
	bool dirty;    /* a or b are newer than the sector */
	bool unnamed;  /* it never had a name, and may get one */
	bool idle;     /* in the list of those that nobody uses */
	bool gone;     /* no name and no use any more, nothing on disk */
	bool untidy;   /* directory: there will be something to do after the next sync */
	bool lingers;  /* removed, and what it owns could not be freed yet */
	uint32_t type; /* S_IFMT of a.mode, which no lock is needed to read: it never changes */
	struct cffs_attr a; /* a.nlink == 0: removed */
	struct cffs_body b;
	uint8_t *xattr;
	uint16_t xattr_len;
	/* Place of its entry.  dir == NULL: none (a removed file that owns nothing). */
	struct cffs_inode *dir; /* pinned */
	uint32_t block;         /* of the directory */
	uint8_t sector, slot;
	/* Whose name it has; of a file with an external inode: the last one seen. */
	struct cffs_inode *parent;  /* directories: pinned */
	struct cffs_dir *d;         /* directories */
	struct cffs_file *file;     /* file.c's own; NULL at first */
	xn_binding_t bound;         /* of slot 0 of a small file, kept for reading; 0: none */
	uint32_t bound_at;          /* its place in fs->bound */
	_Atomic uint64_t next_read; /* where who reads in order would go on */
};

/* By number, pinned.  -ESTALE: not in memory and not to be found. */
int cffs_inode_get(struct cffs *fs, uint64_t ino, struct cffs_inode **out);
void cffs_inode_pin(struct cffs *fs, struct cffs_inode *inode);
void cffs_inode_put(struct cffs *fs, struct cffs_inode *inode);
/* Attributes or size changed in memory.  Call with fs->lock held. */
void cffs_inode_dirty(struct cffs *fs, struct cffs_inode *inode);
/* Write attributes into the sector.  Takes fs->lock. */
int cffs_inode_flush(struct cffs *fs, struct cffs_inode *inode);

#define CFFS_TXN_EDITS   64u
#define CFFS_TXN_EXTENTS 256u

/* What goes along in one xn_update.  Zero-initialise it, or cffs_txn_init(). */
struct cffs_txn {
	uint32_t flags; /* XN_ATOMIC, XN_REAP, XN_FREEING */
	uint32_t n_edits, n_allocs, n_frees, n_retypes;
	struct xn_edit edits[CFFS_TXN_EDITS];
	struct xn_extent allocs[CFFS_TXN_EXTENTS], frees[CFFS_TXN_EXTENTS];
	struct xn_retype retypes[CFFS_TXN_EXTENTS];
};

static inline void cffs_txn_init(struct cffs_txn *txn)
{
	txn->flags = txn->n_edits = txn->n_allocs = txn->n_frees = txn->n_retypes = 0;
}

/* These return false when the txn is full.  `bytes` must live until the end. */
bool cffs_txn_edit(struct cffs_txn *txn, xn_blk_t object, uint32_t offset, const void *bytes,
		   uint32_t len);
bool cffs_txn_alloc(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t type);
bool cffs_txn_free(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t type);
bool cffs_txn_retype(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t from,
		     uint32_t to);

/*
 * The body of an inode becomes `body`, its sector is written from that and the attributes in
 * memory, and what is in `txn` (may be NULL) happens along, in one xn_update.  Hold inode->lock
 * for writing, not fs->lock.  Does no I/O.
 *
 * Fails with what xn_update says, inode->b as it was.  XN_ENOTFREE: look for other blocks.
 * XN_ECACHEFULL, XN_ENOSPACE, XN_ELOGFULL: see cffs_retry().
 *	-ENOSPC   the longer entry does not fit its sector (inline data, more slots): use a
 *		  block or a node instead
 */
int cffs_inode_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body,
		     struct cffs_txn *txn);
/*
 * The hold of the object whose record owns what the inode's slots name; one user more.  The
 * place changes only with inode->lock held for writing (and fs->lock).
 */
int cffs_inode_owner(struct cffs *fs, struct cffs_inode *inode, struct cffs_hold **out,
		     uint32_t *record);

/* 0 or -EACCES: permission bits and access ACL.  Takes fs->lock. */
int cffs_may(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx, uint32_t mask);
/* As libfs.h wants them.  Takes fs->lock. */
void cffs_inode_attr(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out);
/* The file was read: its atime follows when that is due (as Linux's relatime). Takes fs->lock. */
void cffs_accessed(struct cffs *fs, struct cffs_inode *inode, struct timespec now);

static inline bool cffs_is_dir(const struct cffs_inode *inode)
{
	return inode->type == 0040000;
}

/* ---- super.c ---- */

#define CFFS_BOUND 128u

struct cffs {
	struct libfs libfs; /* first: libfs.h hands us this */
	struct xn *xn;
	uint32_t root_id;
	uint32_t type[CFFS_TEMPLATES]; /* ids of the templates */
	uint32_t access;               /* of every binding we make */
	struct cffs_params params;
	uint64_t next_ino;      /* under lock */
	struct cffs_hold *root; /* the root object */

	pthread_mutex_t lock; /* see (2) */
	pthread_mutex_t rename;
	pthread_rwlock_t gate;

	/* all below: under lock */
	struct cffs_inode **inodes;
	size_t n_inodes, n_buckets, n_idle, idle_max;
	size_t inodes_max;        /* more are a surplus, which the host is asked to let go */
	struct cffs_inode lru;    /* head of those that nobody uses */
	struct cffs_inode held;   /* head of those that only the host uses */
	struct cffs_inode dirty;  /* head of those newer than the disk */
	struct cffs_inode doomed; /* head of those removed that nobody uses any more */
	struct cffs_inode *sys;   /* pseudo directory whose one block is the root object */
	struct cffs_inode *top, *xdir, *odir;
	struct cffs_hold **holds;
	size_t n_holds, n_hold_buckets, holds_max;
	struct cffs_hold hold_lru;

	struct cffs_inode *bound[CFFS_BOUND]; /* small files whose data stay bound; read.c's */
	uint32_t next_bound;

	struct cffs_places *places; /* alloc.c's own; NULL at first */

	/* Syncs are counted: what was changed when n had begun is stable when more than n are done. */
	_Atomic uint64_t sync_begun, sync_done;
};

static inline struct cffs *cffs_of(struct libfs *libfs)
{
	return (struct cffs *)libfs;
}

int cffs_errno(int error);
/*
 * After a failed xn call, with no lock held but inode->locks: write back or wait for freed
 * blocks when that may help.  True: try again.  `*tries` starts at 0.
 */
bool cffs_retry(struct cffs *fs, int error, unsigned *tries);
/* xn_commit(); waits for those who have taken blocks and not written them, if they are in the way. */
int cffs_commit(struct cffs *fs, const struct xn_extent *extents, uint32_t count);
/* What XN holds of this root is stable, what others are about to write apart. */
int cffs_settle(struct cffs *fs);
/* Attributes to their sectors, delayed data to its blocks, everything stable. */
int cffs_sync(struct cffs *fs);

/* ---- dir.c: what alloc.c may want to know ---- */

/* A block of the directory that is there already; 0: none yet. */
xn_blk_t cffs_dir_block(const struct cffs_inode *dir);

/* ======== map.c, alloc.c, file.c and those with it ======== */

#define CFFS_SMALL 8u /* blocks of a small file: it lies in its directory's group, in one piece */

struct cffs_run {
	uint64_t count;          /* blocks of the file from the one asked for */
	xn_blk_t start;          /* 0: a hole */
	uint32_t class;          /* CFFS_CLASS_DATA, _UNWR, _DIR */
	struct cffs_hold *owner; /* of the record that owns them; one user more, to be put */
	uint32_t record;
};

/*
 * What is at logical block `logical` of an inode (of a directory: its blocks)?  At most `want`
 * blocks of one slot, or of a hole.  inode->lock held.  May read nodes.
 */
int cffs_map(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, uint64_t want,
	     struct cffs_run *run);
/*
 * Enter `blocks` (free ones; they become owned) as blocks [logical, ...) of the inode, class
 * `class`, in one xn_update with the inode's sector.  There must be a hole.  inode->lock held for
 * writing.  XN_ENOTFREE: look for others.
 */
int cffs_map_add(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
		 const struct xn_extent *blocks);
/* Give back blocks [first, last) of the inode.  inode->lock held for writing. */
int cffs_map_remove(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last);
/* DATA becomes UNWR or UNWR DATA where blocks [first, last) have the other class. */
int cffs_map_class(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last,
		   uint32_t class);
/* The whole extent that holds `logical` will be at `to`: free blocks, as many, not yet written. */
int cffs_map_move(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, xn_blk_t to);

/*
 * Free blocks for `inode` named in `dir` (may be NULL): 1 to `want`, adjoining what it has, in
 * the directory's group, or somewhere good.  type: XN_DATA or a template's id.
 */
int cffs_place(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode, uint64_t logical,
	       uint64_t want, uint32_t type, struct xn_extent *out);
/* All of a small file, which does not grow where it is. */
int cffs_place_small(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode,
		     uint64_t want, struct xn_extent *out);
void cffs_places_free(struct cffs *fs);
/* Small files of `dir` gave these back: good for the next. */
void cffs_place_hole(struct cffs *fs, struct cffs_inode *dir, xn_blk_t start, uint64_t count);
/* The same of all that a removed file had.  With fs->lock held. */
void cffs_place_removed(struct cffs *fs, const struct cffs_inode *inode);
/* A directory many of whose small files went, by number; 0: none. */
uint64_t cffs_place_decayed(struct cffs *fs);
/* The directory's next file begins a fresh window. */
void cffs_place_anew(struct cffs *fs, struct cffs_inode *dir);

/* `block`, of a small file or a directory, will be read: its window now, if it is not at hand. */
void cffs_ahead_group(struct cffs *fs, xn_blk_t block);

/* A small file goes where its directory's files go now.  Takes inode->lock. */
int cffs_file_regroup(struct cffs *fs, struct cffs_inode *inode);

/* Bindings that are kept between calls go: of one inode; of all, when the cache is full. */
void cffs_unbind(struct cffs *fs, struct cffs_inode *inode);
void cffs_unbind_all(struct cffs *fs);

/* Memory that file.c, map.c keep of an inode goes (nothing is written). */
void cffs_file_forget(struct cffs *fs, struct cffs_inode *inode);
/* Data that has no block yet gets one, and bytes reach XN.  inode->lock not held. */
int cffs_file_writeback(struct cffs *fs, struct cffs_inode *inode);
/* inode->lock held for writing; changes b.size too. */
int cffs_file_resize(struct cffs *fs, struct cffs_inode *inode, uint64_t size);
/* The whole contents of a symlink.  inode->lock held. */
int cffs_file_get(struct cffs *fs, struct cffs_inode *inode, void *bytes, size_t len);

/* Operations of the table that file.c and those with it have. */
ssize_t cffs_read(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  uint64_t handle, uint64_t offset, void *buffer, size_t len);
ssize_t cffs_write(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		   uint64_t handle, uint64_t offset, const void *bytes, size_t len);
int cffs_fallocate(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mode,
		   uint64_t offset, uint64_t len);
off_t cffs_seek(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t offset,
		int whence);
ssize_t cffs_extents(struct libfs *libfs, libfs_ino_t ino, uint64_t offset, uint64_t len,
		     struct libfs_extent *out, size_t max);
int cffs_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only);

#endif
