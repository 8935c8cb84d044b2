/* SPDX-License-Identifier: MIT */
/*
 * The operations on attributes, references and handles.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tree.h"

/* ---- references ---- */

void cffs_forget(struct libfs *libfs, libfs_ino_t ino, uint64_t count)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	bool removed = false;

	pthread_mutex_lock(&fs->lock);
	inode = cffs_inode_find(fs, ino);
	if (inode) {
		inode->refs -= count < inode->refs ? count : inode->refs;
		removed = inode->a.nlink == 0;
	}
	pthread_mutex_unlock(&fs->lock);
	cffs_inode_put(fs, inode);
	/* What cannot be freed now is tried again by the next sync. */
	if (removed)
		cffs_doomed(fs);
}

/* What a search over the whole tree has still to read: directories, pinned. */
struct search {
	struct cffs *fs;
	uint64_t ino;
	struct cffs_inode *found;
	struct cffs_inode **todo;
	size_t n, cap;
};

static int search_later(struct search *s, struct cffs_inode *dir)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct cffs_inode **grown = realloc(s->todo, cap * sizeof(struct cffs_inode *));

		if (!grown)
			return -ENOMEM;
		s->todo = grown;
		s->cap = cap;
	}
	s->todo[s->n++] = dir;
	return 0;
}

static int search_sector(struct search *s, struct cffs_inode *dir, uint32_t block, uint32_t sector)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at = 0;
	int err = cffs_dir_sector(s->fs, dir, block, sector, bytes);

	while (!err && !s->found && cffs_sector_next(bytes, &at, &entry)) {
		struct cffs_inode *inode;
		bool sought, walk;

		if (entry.kind != CFFS_KIND_INODE || entry.a.nlink == 0)
			continue;
		sought = entry.a.ino == s->ino;
		walk = (entry.a.mode & S_IFMT) == S_IFDIR;
		if (!sought && !walk)
			continue;
		pthread_mutex_lock(&s->fs->lock);
		inode = cffs_inode_from_entry(s->fs, dir, block, sector, &entry);
		pthread_mutex_unlock(&s->fs->lock);
		if (!inode)
			return -ENOMEM;
		if (sought)
			s->found = inode;
		else
			err = search_later(s, inode);
		if (err)
			cffs_inode_put(s->fs, inode);
	}
	return err;
}

static int search_dir(struct search *s, struct cffs_inode *dir)
{
	int err = cffs_dir_lock(s->fs, dir, false);
	uint32_t n;

	if (err)
		return err;
	n = cffs_dir_blocks(dir) * CFFS_SECTORS;
	for (uint32_t i = 0; i < n && !err && !s->found; i++)
		err = search_sector(s, dir, i / CFFS_SECTORS, i % CFFS_SECTORS);
	pthread_rwlock_unlock(&dir->lock);
	return err;
}

/* Nothing on the disk leads from a number to its place: look everywhere. */
int cffs_inode_search(struct cffs *fs, uint64_t ino, struct cffs_inode **out)
{
	struct search s = { .fs = fs, .ino = ino };
	int err;

	cffs_inode_pin(fs, fs->xdir);
	cffs_inode_pin(fs, fs->top);
	err = search_later(&s, fs->top);
	if (!err)
		err = search_later(&s, fs->xdir);
	while (s.n > 0) {
		struct cffs_inode *dir = s.todo[--s.n];

		if (!err && !s.found)
			err = search_dir(&s, dir);
		cffs_inode_put(fs, dir);
	}
	free(s.todo);
	*out = s.found;
	return s.found ? 0 : err ? err : -ESTALE;
}

int cffs_find(struct libfs *libfs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	pthread_mutex_lock(&fs->lock);
	if (inode->a.generation != generation || inode->a.nlink == 0) {
		err = -ESTALE;
	} else {
		inode->refs++;
		cffs_attr_fill(inode, out);
	}
	pthread_mutex_unlock(&fs->lock);
	cffs_inode_put(fs, inode);
	return err;
}

/* ---- attributes ---- */

int cffs_getattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		 struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	(void)ctx;
	if (err)
		return cffs_errno(err);
	cffs_inode_attr(fs, inode, out);
	cffs_inode_put(fs, inode);
	return 0;
}

int cffs_access(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mask)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	err = cffs_may(fs, inode, ctx, mask);
	cffs_inode_put(fs, inode);
	return err;
}

static int check_size(const struct cffs_inode *inode, uint64_t size)
{
	if (cffs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->type))
		return -EINVAL;
	return size > INT64_MAX || size > CFFS_BLOCKS_MAX * CFFS_BLOCK ? -EFBIG : 0;
}

/* With fs->lock held. */
static void apply(struct cffs *fs, struct cffs_inode *inode, const struct libfs_attr *attr,
		  uint32_t which)
{
	struct cffs_attr *a = &inode->a;

	if (which & LIBFS_SET_MODE)
		a->mode = (a->mode & S_IFMT) | (attr->mode & 07777);
	if (which & LIBFS_SET_MODE)
		cffs_acl_follow_mode(inode);
	if (which & LIBFS_SET_UID)
		a->uid = attr->uid;
	if (which & LIBFS_SET_GID)
		a->gid = attr->gid;
	if (which & LIBFS_SET_ATIME)
		a->atime = attr->atime;
	if (which & LIBFS_SET_MTIME)
		a->mtime = attr->mtime;
	if (which & LIBFS_SET_CTIME)
		a->ctime = attr->ctime;
	cffs_inode_dirty(fs, inode);
}

static int setattr(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *inode,
		   const struct libfs_attr *wanted, uint32_t which)
{
	struct libfs_attr old, attr = *wanted;
	int err = which & LIBFS_SET_SIZE ? check_size(inode, attr.size) : 0;

	if (err)
		return err;
	cffs_inode_attr(fs, inode, &old);
	/* An ACL may say otherwise than the mode. */
	if (which & (LIBFS_SET_SIZE | LIBFS_SET_ATIME_NOW | LIBFS_SET_MTIME_NOW))
		which |= cffs_may(fs, inode, ctx, LIBFS_MAY_WRITE) ? LIBFS_SET_NO_WRITER
								   : LIBFS_SET_WRITER;
	err = libfs_setattr_prepare(&old, ctx, &attr, &which);
	if (!err && (which & LIBFS_SET_SIZE)) {
		pthread_rwlock_wrlock(&inode->lock);
		pthread_rwlock_rdlock(&fs->gate);
		err = cffs_file_resize(fs, inode, attr.size);
		pthread_rwlock_unlock(&fs->gate);
		pthread_rwlock_unlock(&inode->lock);
	}
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	apply(fs, inode, &attr, which);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

int cffs_setattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		 const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	if (err)
		return cffs_errno(err);
	err = setattr(fs, ctx, inode, attr, which);
	if (!err && out)
		cffs_inode_attr(fs, inode, out);
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}

void cffs_accessed(struct cffs *fs, struct cffs_inode *inode, struct timespec now)
{
	if (fs->libfs.flags & LIBFS_MOUNT_RDONLY)
		return;
	pthread_mutex_lock(&fs->lock);
	if (libfs_atime_is_due(inode->a.atime, inode->a.mtime, inode->a.ctime, now)) {
		inode->a.atime = now;
		cffs_inode_dirty(fs, inode);
	}
	pthread_mutex_unlock(&fs->lock);
}

/* ---- symlinks ---- */

static ssize_t target_read(struct cffs *fs, struct cffs_inode *inode, char *target, size_t size)
{
	size_t len = inode->b.size < size ? inode->b.size : size;
	int err;

	if (!S_ISLNK(inode->type))
		return -EINVAL;
	if (inode->b.inline_len) {
		memcpy(target, inode->b.inline_data, len);
		return (ssize_t)len;
	}
	pthread_rwlock_rdlock(&inode->lock);
	err = cffs_file_get(fs, inode, target, len);
	pthread_rwlock_unlock(&inode->lock);
	return err ? err : (ssize_t)len;
}

ssize_t cffs_readlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      char *target, size_t size)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	ssize_t n = cffs_inode_get(fs, ino, &inode);

	if (n)
		return cffs_errno((int)n);
	n = target_read(fs, inode, target, size);
	if (n >= 0)
		cffs_accessed(fs, inode, ctx->now);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}

/* ---- handles ---- */

static int check_open(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx,
		      uint32_t flags)
{
	uint32_t mask = libfs_open_mask(flags);

	if (cffs_is_dir(inode) && (mask & LIBFS_MAY_WRITE))
		return -EISDIR;
	if (!cffs_is_dir(inode) && (flags & O_DIRECTORY))
		return -ENOTDIR;
	if (S_ISLNK(inode->type))
		return -ELOOP;
	return cffs_may(fs, inode, ctx, mask);
}

static int open_do(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx,
		   uint32_t flags)
{
	struct libfs_attr attr = { .size = 0 };
	int err = check_open(fs, inode, ctx, flags);

	if (!err && (flags & O_TRUNC) && S_ISREG(inode->type))
		err = setattr(fs, ctx, inode, &attr, LIBFS_SET_SIZE | LIBFS_SET_OPEN);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	inode->opens++;
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

int cffs_open(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
	      uint64_t *handle)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	int err = cffs_inode_get(fs, ino, &inode);

	*handle = 0;
	if (!err) {
		err = open_do(fs, inode, ctx, flags);
		cffs_inode_put(fs, inode);
	}
	return cffs_errno(err);
}

void cffs_release(struct libfs *libfs, libfs_ino_t ino, uint64_t handle)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	bool removed = false;

	(void)handle;
	pthread_mutex_lock(&fs->lock);
	inode = cffs_inode_find(fs, ino);
	if (inode) {
		inode->opens -= inode->opens > 0;
		removed = inode->a.nlink == 0;
	}
	pthread_mutex_unlock(&fs->lock);
	cffs_inode_put(fs, inode);
	if (removed)
		cffs_doomed(fs);
}
