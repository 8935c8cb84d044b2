/* SPDX-License-Identifier: MIT */
/*
 * Files, directories and the rest are made: names.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "names.h"

struct make {
	uint32_t mode;
	uint64_t rdev;
	const char *target; /* of a symlink */
};

static int inode_new(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		     const struct make *make, struct cffs_inode **out)
{
	struct cffs_inode *inode = cffs_inode_alloc(fs);
	int err;

	if (!inode)
		return -ENOMEM;
	err = cffs_ino_take(fs, &inode->a.ino);
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	pthread_mutex_lock(&fs->lock);
	inode->a.generation = (uint32_t)(inode->a.ino * 2654435761u >> 7) | 1;
	inode->a.mode = make->mode;
	inode->type = make->mode & S_IFMT;
	inode->a.rdev = make->rdev;
	inode->a.nlink = S_ISDIR(make->mode) ? 2 : 1;
	inode->a.uid = ctx->cred->uid;
	libfs_inherit(dir->a.mode, dir->a.gid, ctx, &inode->a.mode, &inode->a.gid);
	inode->a.atime = inode->a.mtime = inode->a.ctime = inode->a.btime = ctx->now;
	err = cffs_acl_of_new(dir, inode, ctx->umask);
	pthread_mutex_unlock(&fs->lock);
	inode->b.n_slots = S_ISDIR(make->mode) ? CFFS_DIR_SLOTS : CFFS_FILE_SLOTS;
	if (!err && S_ISDIR(make->mode))
		err = cffs_dir_empty(inode, 0, 0);
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	*out = inode;
	return 0;
}

/* A target too long for the entry gets a block, written right behind the deal. */
static int target_place(struct cffs *fs, struct cffs_inode *dir, struct cffs_inode *inode,
			const char *target, struct cffs_deal *deal)
{
	size_t len = strlen(target);
	struct cffs_slot *slot = &inode->b.slot[0];
	int err;

	inode->b.size = len;
	if (len <= CFFS_INLINE_MAX) {
		memcpy(inode->b.inline_data, target, len);
		inode->b.inline_len = (uint8_t)len;
		return 0;
	}
	err = cffs_place(fs, dir, inode, 0, 1, XN_DATA, &deal->alloc);
	if (err)
		return err;
	*slot = (struct cffs_slot){ .start = deal->alloc.start,
				    .count = 1,
				    .class = CFFS_CLASS_DATA };
	inode->b.blocks = 1;
	return 0;
}

static int target_write(struct cffs *fs, struct cffs_inode *inode, const char *target)
{
	uint8_t bytes[CFFS_BLOCK] = { 0 };
	struct cffs_hold *hold;
	struct xn_bind_request request = {
		.access = fs->access,
		.extent = { .start = inode->b.slot[0].start, .count = 1, .type = XN_DATA },
	};
	xn_binding_t binding;
	unsigned tries = 0;
	int err;

	memcpy(bytes, target, inode->b.size); /* without the NUL: the inode has the size */
	err = cffs_inode_owner(fs, inode, &hold, &request.record);
	if (err)
		return err;
	request.owner = hold->object;
	do
		err = xn_bind(fs->libfs.session, &request, &binding);
	while (err && cffs_retry(fs, err, &tries));
	cffs_hold_put(fs, hold);
	if (err)
		return err;
	do
		err = xn_write(fs->libfs.session, binding, 0, bytes, sizeof(bytes));
	while (err && cffs_retry(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* Enter a new inode: in the directory, or with no-embed in XDIR and a link here. */
static int enter(struct cffs *fs, struct cffs_inode *dir, const char *name,
		 struct cffs_inode *inode, struct cffs_deal *deal)
{
	bool external = (fs->params.options & CFFS_O_NO_EMBED) && !cffs_is_dir(inode);
	int err = external ? cffs_dir_lock(fs, fs->xdir, true) : 0;

	if (err)
		return err;
	cffs_deal_enter(fs, deal, dir, name, inode, external);
	err = cffs_deal_run(fs, deal);
	if (external)
		pthread_rwlock_unlock(&fs->xdir->lock);
	return err;
}

static int make_in(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
		   const char *name, const struct make *make, struct libfs_attr *out)
{
	struct cffs_inode *inode;
	struct cffs_deal deal;
	unsigned tries = 0;
	int err = dir->a.nlink ? cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE) : -ENOENT;

	if (err)
		return err;
	if (S_ISDIR(make->mode) && dir->a.nlink == UINT32_MAX)
		return -EMLINK;
	err = inode_new(fs, ctx, dir, make, &inode);
	if (err)
		return err;
	if (make->target)
		pthread_rwlock_rdlock(&fs->gate);
	do {
		cffs_deal_init(&deal, ctx->now);
		cffs_names_changed(&deal, dir, S_ISDIR(make->mode) ? 1 : 0);
		err = make->target ? target_place(fs, dir, inode, make->target, &deal) : 0;
		if (!err)
			err = enter(fs, dir, name, inode, &deal);
	} while (err && cffs_retry(fs, err, &tries));
	if (!err) {
		pthread_mutex_lock(&fs->lock);
		cffs_inode_insert(fs, inode);
		pthread_mutex_unlock(&fs->lock);
		if (deal.alloc.count)
			err = target_write(fs, inode, make->target);
		cffs_names_give(fs, inode, out);
		cffs_inode_put(fs, inode);
	} else {
		cffs_inode_free(fs, inode);
	}
	if (make->target)
		pthread_rwlock_unlock(&fs->gate);
	return err;
}

static int take_existing(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out)
{
	int err = cffs_is_dir(inode) ? -EISDIR : 0;

	if (!err)
		cffs_names_give(fs, inode, out);
	cffs_inode_put(fs, inode);
	return err;
}

static int make_named(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		      const char *name, const struct make *make, bool exclusive,
		      struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir, *inode;
	struct cffs_loc loc;
	int err = cffs_names_get(fs, ctx, dir_ino, true, &dir);

	if (err)
		return cffs_errno(err);
	err = cffs_dir_find(fs, dir, name, &loc);
	if (err == -ENOENT) {
		err = make_in(fs, ctx, dir, name, make, out);
	} else if (!err && exclusive) {
		err = -EEXIST;
	} else if (!err) {
		err = cffs_dir_inode(fs, dir, &loc, &inode);
		if (!err)
			err = take_existing(fs, inode, out);
	}
	cffs_names_put(fs, dir);
	return cffs_errno(err);
}

int cffs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFREG | (mode & 07777) };

	return make_named(libfs, ctx, dir, name, &make, exclusive, out);
}

/* A file that no name leads to lies with the orphans, which a mount after a crash frees. */
static int make_unnamed(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *dir,
			uint32_t mode, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFREG | (mode & 07777) };
	struct cffs_inode *inode;
	unsigned tries = 0;
	int err = inode_new(fs, ctx, dir, &make, &inode);

	if (err)
		return err;
	inode->a.nlink = 0;
	inode->unnamed = true;
	do
		err = cffs_orphan_place(fs, inode);
	while (err && cffs_retry(fs, err, &tries));
	if (err) {
		cffs_inode_free(fs, inode);
		return err;
	}
	pthread_mutex_lock(&fs->lock);
	cffs_inode_insert(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	cffs_names_give(fs, inode, out);
	cffs_inode_put(fs, inode);
	return 0;
}

int cffs_tmpfile(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir_ino,
		 uint32_t mode, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *dir;
	int err = cffs_names_get(fs, ctx, dir_ino, false, &dir);

	if (err)
		return cffs_errno(err);
	err = dir->a.nlink ? cffs_may(fs, dir, ctx, LIBFS_MAY_WRITE) : -ENOENT;
	if (!err)
		err = make_unnamed(fs, ctx, dir, mode, out);
	cffs_names_put(fs, dir);
	return cffs_errno(err);
}

int cffs_mkdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFDIR | (mode & 01777) };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}

int cffs_mknod(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
	       uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	struct make make = { .mode = mode, .rdev = rdev };
	int err = libfs_mknod_check(ctx, &make.mode, &make.rdev);

	return err ? err : make_named(libfs, ctx, dir, name, &make, true, out);
}

int cffs_symlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		 const char *name, const char *target, struct libfs_attr *out)
{
	struct make make = { .mode = S_IFLNK | 0777, .target = target };

	return make_named(libfs, ctx, dir, name, &make, true, out);
}
