/* SPDX-License-Identifier: MIT */
/*
 * What the files about inodes and names share, and map.c, alloc.c and those of file.h
 * need not know.
 */
#ifndef CFFS_TREE_H
#define CFFS_TREE_H

#include <errno.h>

#include "internal.h"

/* ---- hold.c; cache_bytes bounds how many are kept ---- */

int cffs_holds_init(struct cffs *fs, uint64_t cache_bytes);
void cffs_holds_fini(struct cffs *fs);
int cffs_hold_root(struct cffs *fs, const char *root);
/* These with fs->lock held. */
void cffs_holds_trim(struct cffs *fs, size_t max);
struct cffs_hold *cffs_hold_find(struct cffs *fs, xn_blk_t object);
void cffs_hold_drop_locked(struct cffs *fs, xn_blk_t object);
void cffs_hold_put_locked(struct cffs *fs, struct cffs_hold *hold);
/* The objects that an inode's slots name were freed; or their inode moved below `owner`. */
void cffs_holds_drop_slots(struct cffs *fs, const struct cffs_body *body);
void cffs_holds_move_slots(struct cffs *fs, const struct cffs_body *body, struct cffs_hold *owner);

/* ---- change.c: sectors that change together ---- */

#define CFFS_CHANGE_SECTORS 8u

struct cffs_change_sector {
	struct cffs_hold *hold;
	uint32_t sector;
	uint8_t bytes[CFFS_SECTOR];
};

/* Begin, edit, apply all with fs->lock held.  Holds stay the caller's. */
struct cffs_change {
	uint32_t n;
	struct cffs_change_sector s[CFFS_CHANGE_SECTORS];
	struct cffs_txn txn;
};

void cffs_change_init(struct cffs_change *change);
/* The sector as the change will leave it. */
uint8_t *cffs_change_sector(struct cffs_change *change, struct cffs_hold *hold, uint32_t sector);
/* What the slots of a body name is freed along; XN takes subtrees apart. */
void cffs_change_free_body(struct cffs *fs, struct cffs_change *change,
			   const struct cffs_body *body);
/* Several sectors, and none may be missing: needs the intent log. */
int cffs_change_apply(struct cffs *fs, struct cffs_change *change);
/* The update itself, whatever it holds. */
int cffs_update(struct cffs *fs, struct cffs_txn *txn);

/* ---- inode.c ---- */

int cffs_inodes_init(struct cffs *fs);
void cffs_inodes_fini(struct cffs *fs);
struct cffs_inode *cffs_inode_alloc(struct cffs *fs);
void cffs_inode_free(struct cffs *fs, struct cffs_inode *inode);
/* With fs->lock held: */
struct cffs_inode *cffs_inode_find(struct cffs *fs, uint64_t ino); /* pinned, or NULL */
void cffs_inode_insert(struct cffs *fs, struct cffs_inode *inode); /* pinned once */
void cffs_inode_pin_locked(struct cffs *fs, struct cffs_inode *inode);
void cffs_inode_put_locked(struct cffs *fs, struct cffs_inode *inode);
/* The inode that an entry of kind 1 is, at that place of `dir`; pinned. NULL: no memory. */
struct cffs_inode *cffs_inode_from_entry(struct cffs *fs, struct cffs_inode *dir, uint32_t block,
					 uint32_t sector, const struct cffs_entry *entry);
void cffs_inode_clean(struct cffs *fs, struct cffs_inode *inode);
void cffs_inode_set_place(struct cffs *fs, struct cffs_inode *inode, struct cffs_inode *dir,
			  uint32_t block, uint32_t sector, uint32_t slot);
void cffs_entry_of_inode(const struct cffs_inode *inode, const char *name, uint8_t name_len,
			 struct cffs_entry *entry);
/* Its entry in the change becomes what memory says.  -ENOSPC: too long for the sector. */
int cffs_change_inode(struct cffs_change *change, struct cffs_hold *hold, struct cffs_inode *inode);
ssize_t cffs_surplus(struct libfs *libfs, struct libfs_surplus *out, size_t max);
void cffs_attr_fill(const struct cffs_inode *inode, struct libfs_attr *out);
/* Removed files that nobody uses any more go from the disk.  No lock held. */
int cffs_doomed(struct cffs *fs);

/* ---- dir.c ---- */

struct cffs_loc {
	uint32_t block, sector, slot;
	uint8_t kind, dtype;
	uint64_t ino;
	uint32_t link_place;
};

int cffs_dir_load(struct cffs *fs, struct cffs_inode *dir); /* dir->lock held for writing */
void cffs_dir_free(struct cffs *fs, struct cffs_inode *dir);
/* A directory that owns no block yet, just made. */
int cffs_dir_empty(struct cffs_inode *dir, uint64_t start, uint32_t n_blocks);
/* Lock a directory that is loaded, for reading or writing. */
int cffs_dir_lock(struct cffs *fs, struct cffs_inode *dir, bool write);
int cffs_dir_hold(struct cffs *fs, struct cffs_inode *dir, uint32_t block, struct cffs_hold **out);
/* -ENOENT. */
int cffs_dir_find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc);
/* The inode that a name found leads to; pinned. */
int cffs_dir_inode(struct cffs *fs, struct cffs_inode *dir, const struct cffs_loc *loc,
		   struct cffs_inode **out);
/*
 * A sector with `need` bytes free, held; the directory grows when there is none.  `avoid`: a
 * block that was not good.  dir->lock held for writing.
 */
int cffs_dir_room(struct cffs *fs, struct cffs_inode *dir, uint32_t need, struct cffs_loc *loc,
		  struct cffs_hold **hold);
/*
 * A name will be in that sector of the block: nobody knows of it yet, but will find it there, after
 * a crash too, and cffs_dir_came() cannot fail.
 */
int cffs_dir_expect(struct cffs *fs, struct cffs_inode *dir, const char *name,
		    const struct cffs_loc *loc, const struct cffs_hold *block);
/* Memory follows a change: a name came, a name went, a sector has so much room. */
void cffs_dir_came(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc);
void cffs_dir_went(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc);
/* With fs->lock held. */
void cffs_dir_set_room(struct cffs_inode *dir, uint32_t block, uint32_t sector, uint32_t room);
xn_blk_t cffs_dir_block_at(const struct cffs_inode *dir, uint32_t block);
/* The name of the entry at that place. */
int cffs_dir_name_at(struct cffs *fs, struct cffs_inode *dir, const struct cffs_loc *loc,
		     char name[LIBFS_NAME_MAX + 1]);
/* It was removed: no names, no blocks. */
void cffs_dir_clear(struct cffs *fs, struct cffs_inode *dir);
/* No names?  0 or -ENOTEMPTY. */
int cffs_dir_vacant(struct cffs *fs, struct cffs_inode *dir);
/* A copy of a sector; where a directory has no block, it is empty. */
int cffs_dir_sector(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector,
		    uint8_t bytes[CFFS_SECTOR]);
/* Blocks that are empty are given back, and its index follows.  Takes dir->lock. */
int cffs_dir_shrink(struct cffs *fs, struct cffs_inode *dir);
uint32_t cffs_dir_blocks(const struct cffs_inode *dir);
ssize_t cffs_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max);

/* ---- names.c, create.c, remove.c, link.c, rename.c: names.h ---- */

int cffs_lookup(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		struct libfs_attr *out);
int cffs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, bool exclusive, struct libfs_attr *out);
int cffs_tmpfile(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, uint32_t mode,
		 struct libfs_attr *out);
int cffs_mkdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, struct libfs_attr *out);
int cffs_mknod(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, uint64_t rdev, struct libfs_attr *out);
int cffs_symlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		 const char *name, const char *target, struct libfs_attr *out);
int cffs_link(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
	      const char *name, struct libfs_attr *out);
int cffs_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		const char *name);
int cffs_rmdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name);
int cffs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags);

/* ---- orphan.c: removed while in use ---- */

/* The inode lies in a directory of its own: make that the directory of orphans. */
int cffs_orphan_settle(struct cffs *fs, struct cffs_inode *inode);
/* The same for all that lie in a directory, which is locked for writing. */
int cffs_orphans_leave(struct cffs *fs, struct cffs_inode *dir);
/* A removed file that has no place gets one there. */
int cffs_orphan_place(struct cffs *fs, struct cffs_inode *inode);
/* At mount: what lies there is freed. */
void cffs_orphans_recover(struct cffs *fs);

/* ---- regroup.c ---- */

/* If a directory's group has decayed, form it again; some of the work of a sync.  No lock held. */
int cffs_regroup(struct cffs *fs);

/* ---- attr.c ---- */

/* Reads directories until it finds the number; pinned.  -ESTALE */
int cffs_inode_search(struct cffs *fs, uint64_t ino, struct cffs_inode **out);

void cffs_forget(struct libfs *libfs, libfs_ino_t ino, uint64_t count);
int cffs_find(struct libfs *libfs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out);
int cffs_getattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		 struct libfs_attr *out);
int cffs_setattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		 const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out);
int cffs_access(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mask);
ssize_t cffs_readlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      char *target, size_t size);
int cffs_open(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
	      uint64_t *handle);
void cffs_release(struct libfs *libfs, libfs_ino_t ino, uint64_t handle);
int cffs_statfs(struct libfs *libfs, struct libfs_statfs *out);

/* ---- xattr.c ---- */

int cffs_setxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  const char *name, const void *value, size_t size, uint32_t flags);
ssize_t cffs_getxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const char *name, void *value, size_t size);
ssize_t cffs_listxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       char *names, size_t size);
int cffs_removexattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     const char *name);
/* With fs->lock held.  Mode and access ACL: 0 or -EACCES. */
int cffs_acl_permits(const struct cffs_inode *inode, const struct libfs_attr *attr,
		     const struct xn_cred *cred, uint32_t mask);
/* The mode changed: its ACL says the same. */
void cffs_acl_follow_mode(struct cffs_inode *inode);
/* A new inode takes its ACLs from the directory's default, or its mode from the umask. */
int cffs_acl_of_new(const struct cffs_inode *dir, struct cffs_inode *inode, uint32_t umask);

/* ---- super.c, mkfs.c, ops.c ---- */

/* A number that no file has had. */
int cffs_ino_take(struct cffs *fs, uint64_t *ino);
int cffs_fs_create(struct xn_session *session, uint32_t flags, struct cffs **out);
int cffs_fs_attach(struct cffs *fs, const char *root);
void cffs_fs_destroy(struct cffs *fs);
int cffs_mount(struct xn_session *session, const struct libfs_mount_opts *opts, struct libfs **out);
int cffs_unmount(struct libfs *libfs);
int cffs_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts);

extern const struct libfs_type cffs_type, cffs_through_type;
extern const struct libfs_checker cffs_checker;

#endif
