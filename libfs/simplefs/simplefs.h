/* SPDX-License-Identifier: MIT */
/*
 * simplefs, inside.  README.md tells the story; this is the map of the files:
 *
 *	super.c    a mounted file system: mount, unmount, binding, changing, space
 *	nodes.c    which files the host still knows or holds open (memory only)
 *	inode.c    inodes: find, write, take into use, give back
 *	map.c      which block holds which part of a file
 *	file.c     bytes of a file
 *	dir.c      names in a directory
 *	recover.c  after an unclean stop: what has no name goes
 *	ops.c      the operations of libfs.h on attributes and bytes; the table
 *	names.c    those on names
 *	mkfs.c     making one
 *
 *  (1) Whoever looks holds `lock` shared, whoever changes holds it alone; a sync
 *      holds it shared, and so writes whole operations only.
 *  (2) Nothing of the disk is remembered between operations.  Each binds what it
 *      needs, from the super object down, and lets go of it.
 *  (3) Every block that an operation allocates is written before it ends.
 *  (4) Bytes past the end of a file mean nothing: who moves the end up zeroes
 *      what that uncovers.
 *  (5) Functions return 0 or a negative number of xn/error.h or -errno; only the
 *      table's functions translate into errno (sfs_errno).
 */
#ifndef SIMPLEFS_H
#define SIMPLEFS_H

#include <pthread.h>
#include <stdatomic.h>

#include "libfs/libfs.h"
#include "xn/xn.h"
#include "format.h"

/* ---- super.c ---- */

enum sfs_template { SFS_SUPER, SFS_IMAP, SFS_ITAB, SFS_IND1, SFS_IND2, SFS_IND3, SFS_TEMPLATES };

/* An object bound and read in. */
struct sfs_hold {
	xn_blk_t object; /* 0: holds nothing */
	xn_binding_t binding;
	const uint8_t *bytes; /* change under sfs_change_apply() */
};

struct sfs_node;

struct sfs {
	struct libfs libfs; /* first: libfs.h hands us this */
	struct xn *xn;
	uint32_t root;                /* id of the root */
	uint32_t type[SFS_TEMPLATES]; /* ids of the templates */
	uint32_t access;              /* of every binding we make */
	uint64_t epoch;               /* upper half of the births of this mount */
	struct sfs_hold super;        /* bound as long as we are mounted */
	pthread_rwlock_t lock;
	atomic_uint_fast64_t births;        /* inodes taken into use ... */
	atomic_uint_fast64_t births_stable; /* ... of which so many are surely on disk */
	atomic_uint_fast64_t links;         /* names given to files that had one ... */
	atomic_uint_fast64_t links_stable;  /* ... of which so many are surely on disk */
	uint8_t *itab_full;                 /* bit per inode table: has no free inode */

	pthread_mutex_t node_lock;
	struct sfs_node **nodes; /* hash of nodes.c */
	size_t n_nodes, n_buckets;
};

static inline struct sfs *sfs_of(struct libfs *libfs)
{
	return (struct sfs *)libfs;
}

int sfs_errno(int error);

/* A mount of nothing yet; then of a root, whatever state that is in; and its end. */
int sfs_fs_create(struct xn_session *session, uint32_t flags, struct sfs **out);
int sfs_fs_attach(struct sfs *fs, const char *root);
void sfs_fs_destroy(struct sfs *fs);
int sfs_mount(struct xn_session *session, const struct libfs_mount_opts *opts, struct libfs **out);
int sfs_unmount(struct libfs *libfs);
int sfs_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts);
int sfs_statfs(struct libfs *libfs, struct libfs_statfs *out);

/*
 * Bind `object` of template `which`, that record `record` of `owner` owns, and
 * read it in.  `owner` must be held.
 */
int sfs_hold_get(struct sfs *fs, xn_blk_t owner, uint32_t record, enum sfs_template which,
		 xn_blk_t object, struct sfs_hold *hold);
void sfs_hold_put(struct sfs *fs, struct sfs_hold *hold);
/* Pointer number `slot` of an object that has pointers from byte `base`. */
uint64_t sfs_hold_pointer(const struct sfs_hold *hold, uint32_t base, uint32_t slot);

/* Bind data; for reading and, on a writable mount, writing. */
int sfs_data_bind(struct sfs *fs, xn_blk_t owner, uint32_t record, xn_blk_t start, uint64_t count,
		  xn_binding_t *binding);

#define SFS_CHANGE_EDITS 6

/* One xn_update being put together.  Zero-initialise it. */
struct sfs_change {
	struct xn_edit edits[SFS_CHANGE_EDITS];
	struct sfs_inode_disk records[SFS_CHANGE_EDITS];
	uint32_t n_edits;
	const struct xn_extent *allocs, *frees;
	uint32_t n_allocs, n_frees;
};

struct sfs_inode;

/* `bytes` must live until the change is applied. */
void sfs_change_bytes(struct sfs_change *change, xn_blk_t object, uint32_t offset,
		      const void *bytes, uint32_t len);
/* The inode as it is in memory now. */
void sfs_change_inode(struct sfs_change *change, const struct sfs_inode *inode);
int sfs_change_apply(struct sfs *fs, const struct sfs_change *change);

/*
 * Look for `want` blocks or fewer, near `near`.  When there are none, what was freed is made
 * reusable first.  Somebody may be quicker: then sfs_change_apply() says XN_ENOTFREE; look again.
 */
int sfs_find_free(struct sfs *fs, xn_blk_t near, uint64_t want, uint32_t type,
		  struct xn_extent *out);
/* Does the error of a change mean: look for other blocks and try again? */
bool sfs_lost_race(int error, unsigned *tries);

/* Make everything stable.  Call it with `lock` held, shared or alone. */
int sfs_sync_locked(struct sfs *fs);
/* When the cache is full, write back and reap.  Returns whether to try again. */
bool sfs_make_room(struct sfs *fs, int error, unsigned *tries);

/* ---- nodes.c ---- */

int sfs_node_get(struct sfs *fs, uint32_t ino); /* one reference; -ENOMEM */
/* These end uses; true: it was the last one of an orphan, which must be dropped now. */
bool sfs_node_put(struct sfs *fs, uint32_t ino, uint64_t count);
bool sfs_node_close(struct sfs *fs, uint32_t ino);
int sfs_node_open(struct sfs *fs, uint32_t ino);
/* The file has no name any more; if it is in use, the last use will say so.  Is it? */
bool sfs_node_orphan(struct sfs *fs, uint32_t ino);
/* Forget some orphan, whatever its uses; 0 when there are none.  For unmount. */
uint32_t sfs_node_pop_orphan(struct sfs *fs);
void sfs_nodes_free(struct sfs *fs);

/* ---- inode.c ---- */

struct sfs_inode {
	uint32_t ino;
	uint32_t slot;        /* record of its table */
	struct sfs_hold itab; /* the table, held */
	struct sfs_fields f;  /* a copy: change it, then sfs_inode_write() */
};

/* -ESTALE: no such inode in use. */
int sfs_inode_get(struct sfs *fs, uint64_t ino, struct sfs_inode *inode);
void sfs_inode_put(struct sfs *fs, struct sfs_inode *inode);
int sfs_inode_write(struct sfs *fs, const struct sfs_inode *inode);
/* Free the inode and all it owns. */
int sfs_inode_free(struct sfs *fs, struct sfs_inode *inode);
/* Free it if it has neither names nor users. */
int sfs_inode_drop(struct sfs *fs, uint32_t ino);
/* The lowest inode number >= `ino` that lies in a table; 0 when there are no more. */
int sfs_inode_next(struct sfs *fs, uint32_t ino, uint32_t *next);

void sfs_inode_attr(const struct sfs_inode *inode, struct libfs_attr *attr);
void sfs_inode_touch(struct sfs_inode *inode, enum sfs_time which, struct timespec now);

static inline bool sfs_is_dir(const struct sfs_inode *inode)
{
	return SIMPLEFS_TYPE(inode->f.mode) == SIMPLEFS_DIR;
}

/* ---- map.c ---- */

/* The object whose pointers map one stretch of a file: an inode, or an ind1.  Zero-initialise it. */
struct sfs_leaf {
	struct sfs_hold hold; /* the ind1; empty for direct blocks */
	bool valid, direct;
	uint64_t first, count; /* blocks of the file that it maps */
};

struct sfs_run {
	uint64_t count; /* blocks of the file */
	xn_blk_t start; /* 0: a hole */
	xn_blk_t owner; /* object and record that own them */
	uint32_t record;
};

/*
 * Which blocks hold the file from block `fblk` on: at most `want`, as many as are of one kind and
 * one record.  `leaf` keeps what was bound for the next call; put it at the end.
 */
int sfs_map(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t fblk,
	    uint64_t want, struct sfs_run *run);
/*
 * Fill a hole at `fblk` with at most `want` new blocks.  They must be written before anything else
 * happens; the inode in memory knows them.
 */
int sfs_map_alloc(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t fblk,
		  uint64_t want, struct sfs_run *run);
/* All blocks that the inode owns. */
int sfs_map_count(struct sfs *fs, struct sfs_inode *inode, uint64_t *blocks);
/* Give back the blocks of the file in [first, last). */
int sfs_map_free(struct sfs *fs, struct sfs_inode *inode, uint64_t first, uint64_t last);
void sfs_leaf_put(struct sfs *fs, struct sfs_leaf *leaf);

/* ---- file.c ---- */

/* Bytes [off, off + len), holes as zeroes; does not ask for the size. */
int sfs_file_read(struct sfs *fs, struct sfs_inode *inode, uint64_t off, void *buffer, size_t len);
/*
 * Returns how many bytes were written (fewer only when space ran out), or an error.  Moves the
 * size in memory; the caller writes the inode.
 */
ssize_t sfs_file_write(struct sfs *fs, struct sfs_inode *inode, uint64_t off, const void *bytes,
		       size_t len);
/* Zeroes instead of what lies in [off, off + len) of blocks that exist. */
int sfs_file_clear(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len);
/* Change the size in memory; give back or clear what that uncovers. */
int sfs_file_resize(struct sfs *fs, struct sfs_inode *inode, uint64_t size);
/* Blocks for every hole in [off, off + len). */
int sfs_file_fill(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len);
/* SEEK_DATA (data = true) or SEEK_HOLE at or behind `off` < size. -ENXIO */
int sfs_file_seek(struct sfs *fs, struct sfs_inode *inode, uint64_t off, bool data,
		  uint64_t *found);
/* Where the bytes from `off` on lie, holes left out; *count of at most `max`. */
int sfs_file_extents(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len,
		     struct libfs_extent *out, size_t max, size_t *count);

/* ---- dir.c ---- */

/* A name found, or a place for one. */
struct sfs_entry {
	uint64_t sector; /* offset of its sector in the directory */
	uint32_t off;    /* of its slot in the sector */
	uint32_t room;   /* of a place: bytes of it */
	uint32_t ino;
	uint64_t birth;
	uint8_t type;
};

/* -ENOENT. A name whose inode is of another birth is not there. */
int sfs_dir_find(struct sfs *fs, struct sfs_inode *dir, const char *name, struct sfs_entry *entry);
/* A place for the name; the directory grows if needed. */
int sfs_dir_reserve(struct sfs *fs, struct sfs_inode *dir, const char *name,
		    struct sfs_entry *place);
/* Write the name of `inode` into a place. */
int sfs_dir_add(struct sfs *fs, struct sfs_inode *dir, const char *name,
		const struct sfs_inode *inode, const struct sfs_entry *place);
int sfs_dir_remove(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry);
/* Let an existing name mean another inode (one write of one sector). */
int sfs_dir_replace(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry,
		    uint32_t ino, uint64_t birth, uint8_t type);
/*
 * Rename within one sector, in one write: `entry` goes, `name` for the same inode comes, and takes
 * over `target`, if there is one.  -ENOSPC: they do not meet in one sector; nothing was done.
 */
int sfs_dir_rename(struct sfs *fs, struct sfs_inode *dir, const struct sfs_entry *entry,
		   const char *name, const struct sfs_entry *target);
/* 0, or -ENOTEMPTY. */
int sfs_dir_is_empty(struct sfs *fs, struct sfs_inode *dir);

/* A directory is read in stretches of that many bytes. */
#define SFS_DIR_STRETCH (8 * SFS_BLOCK)

/* A walk over all names, dangling ones too. */
struct sfs_dir_walk {
	uint64_t pos;         /* where to go on */
	uint64_t loaded;      /* which stretch `bytes` are, plus one; 0: none */
	struct sfs_slot slot; /* the name found, into `bytes` */
	struct sfs_entry entry;
	uint8_t bytes[SFS_DIR_STRETCH];
};
void sfs_dir_begin(struct sfs_dir_walk *walk, uint64_t pos);
/* 1 and a name; 0 at the end; XN_ECHECK: a sector makes no sense. */
int sfs_dir_next(struct sfs *fs, struct sfs_inode *dir, struct sfs_dir_walk *walk);

/* ---- recover.c ---- */

int sfs_recover(struct sfs *fs);

/* ---- names.c ---- */

int sfs_lookup(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       struct libfs_attr *out);
int sfs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, bool exclusive, struct libfs_attr *out);
int sfs_mkdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	      uint32_t mode, struct libfs_attr *out);
int sfs_mknod(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	      uint32_t mode, uint64_t rdev, struct libfs_attr *out);
int sfs_symlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		const char *target, struct libfs_attr *out);
int sfs_link(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
	     const char *name, struct libfs_attr *out);
int sfs_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name);
int sfs_rmdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name);
int sfs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
	       const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags);

/* Make an inode that has no name yet: for names.c and mkfs.c. */
struct sfs_make {
	uint32_t mode, uid, gid, parent;
	uint64_t rdev;
	const char *target; /* of a symlink */
	struct timespec now;
};
int sfs_inode_make(struct sfs *fs, const struct sfs_make *make, struct sfs_inode *inode);

/* ---- ops.c ---- */

extern const struct libfs_type simplefs_type;
extern const struct libfs_checker simplefs_checker; /* check.c, which knows nothing of this file */

#endif
