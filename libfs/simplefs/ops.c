/* SPDX-License-Identifier: MIT */
/*
 * The operations on attributes and bytes, and the table of all of them.
 *
 * Each takes the lock, gets the inode, does one thing and lets go; an errno
 * comes up.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "simplefs.h"

#define REAP_BUDGET 256u

/* ---- references ---- */

static void drop_orphan(struct sfs *fs, uint32_t ino)
{
	pthread_rwlock_wrlock(&fs->lock);
	/* A failure leaves an inode without a name: the next recovery or xn-fsck frees it. */
	sfs_inode_drop(fs, ino);
	pthread_rwlock_unlock(&fs->lock);
}

static void op_forget(struct libfs *libfs, libfs_ino_t ino, uint64_t count)
{
	struct sfs *fs = sfs_of(libfs);

	if (ino <= SFS_INODES_MAX && sfs_node_put(fs, (uint32_t)ino, count))
		drop_orphan(fs, (uint32_t)ino);
}

static int op_find(struct libfs *libfs, libfs_ino_t ino, uint32_t generation,
		   struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	int err;

	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		sfs_inode_attr(&inode, out);
		err = out->generation == generation ? sfs_node_get(fs, inode.ino) : -ESTALE;
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- attributes ---- */

static int op_getattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	int err;

	(void)ctx;
	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		sfs_inode_attr(&inode, out);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

static int op_access(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     uint32_t mask)
{
	struct libfs_attr attr;
	int err = op_getattr(libfs, ctx, ino, &attr);

	return err ? err : libfs_may(&attr, ctx->cred, mask);
}

static int check_size(const struct sfs_inode *inode, uint64_t size)
{
	if (sfs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->f.mode))
		return -EINVAL;
	return size > SFS_FILE_MAX ? -EFBIG : 0;
}

static void apply_attr(struct sfs_inode *inode, const struct libfs_attr *attr, uint32_t which)
{
	if (which & LIBFS_SET_MODE)
		inode->f.mode = (inode->f.mode & S_IFMT) | (attr->mode & 07777);
	if (which & LIBFS_SET_UID)
		inode->f.uid = attr->uid;
	if (which & LIBFS_SET_GID)
		inode->f.gid = attr->gid;
	if (which & LIBFS_SET_ATIME)
		sfs_inode_touch(inode, SFS_ATIME, attr->atime);
	if (which & LIBFS_SET_MTIME)
		sfs_inode_touch(inode, SFS_MTIME, attr->mtime);
	if (which & LIBFS_SET_CTIME)
		sfs_inode_touch(inode, SFS_CTIME, attr->ctime);
}

static int setattr_locked(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *inode,
			  const struct libfs_attr *wanted, uint32_t which)
{
	struct libfs_attr old, attr = *wanted;
	int err = which & LIBFS_SET_SIZE ? check_size(inode, attr.size) : 0;

	if (err)
		return err;
	sfs_inode_attr(inode, &old);
	err = libfs_setattr_prepare(&old, ctx, &attr, &which);
	if (!err && (which & LIBFS_SET_SIZE))
		err = sfs_file_resize(fs, inode, attr.size);
	if (err)
		return err;
	apply_attr(inode, &attr, which);
	return sfs_inode_write(fs, inode);
}

static int op_setattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	int err;

	pthread_rwlock_wrlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		err = setattr_locked(fs, ctx, &inode, attr, which);
		if (!err && out)
			sfs_inode_attr(&inode, out);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- access times ---- */

static bool atime_is_due(const struct sfs *fs, const struct sfs_inode *inode, struct timespec now)
{
	struct libfs_attr a;

	if (fs->libfs.flags & LIBFS_MOUNT_RDONLY)
		return false;
	sfs_inode_attr(inode, &a);
	return libfs_atime_is_due(a.atime, a.mtime, a.ctime, now);
}

static void atime_set(struct sfs *fs, libfs_ino_t ino, struct timespec now)
{
	struct sfs_inode inode;

	pthread_rwlock_wrlock(&fs->lock);
	if (sfs_inode_get(fs, ino, &inode) == 0) {
		if (atime_is_due(fs, &inode, now)) {
			sfs_inode_touch(&inode, SFS_ATIME, now);
			/* Reading has worked; that its time could not be noted is no failure. */
			sfs_inode_write(fs, &inode);
		}
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
}

/* ---- reading ---- */

static ssize_t read_link(struct sfs *fs, struct sfs_inode *inode, char *target, size_t size)
{
	size_t len = inode->f.size < size ? inode->f.size : size;

	if (!S_ISLNK(inode->f.mode))
		return -EINVAL;
	if (!sfs_is_inline(inode->f.mode, inode->f.size)) {
		int err = sfs_file_read(fs, inode, 0, target, len);

		return err ? err : (ssize_t)len;
	}
	memcpy(target, inode->f.target, len);
	return (ssize_t)len;
}

static ssize_t op_readlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			   char *target, size_t size)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	bool due = false;
	ssize_t n;

	pthread_rwlock_rdlock(&fs->lock);
	n = sfs_inode_get(fs, ino, &inode);
	if (!n) {
		n = read_link(fs, &inode, target, size);
		due = n >= 0 && atime_is_due(fs, &inode, ctx->now);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	if (due)
		atime_set(fs, ino, ctx->now);
	return n < 0 ? sfs_errno((int)n) : n;
}

static ssize_t read_bytes(struct sfs *fs, struct sfs_inode *inode, uint64_t off, void *buffer,
			  size_t len)
{
	int err;

	if (sfs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->f.mode))
		return -EINVAL;
	if (off >= inode->f.size)
		return 0;
	if (len > inode->f.size - off)
		len = inode->f.size - off;
	err = sfs_file_read(fs, inode, off, buffer, len);
	return err ? err : (ssize_t)len;
}

static ssize_t op_read(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       uint64_t handle, uint64_t offset, void *buffer, size_t len)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	bool due = false;
	ssize_t n;

	(void)handle;
	pthread_rwlock_rdlock(&fs->lock);
	n = sfs_inode_get(fs, ino, &inode);
	if (!n) {
		n = read_bytes(fs, &inode, offset, buffer, len);
		due = n > 0 && atime_is_due(fs, &inode, ctx->now);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	if (due)
		atime_set(fs, ino, ctx->now);
	return n < 0 ? sfs_errno((int)n) : n;
}

static int seek_in(struct sfs *fs, struct sfs_inode *inode, uint64_t offset, int whence,
		   uint64_t *found)
{
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (!S_ISREG(inode->f.mode))
		return sfs_is_dir(inode) ? -EISDIR : -EINVAL;
	if (offset >= inode->f.size)
		return -ENXIO;
	return sfs_file_seek(fs, inode, offset, whence == SEEK_DATA, found);
}

static off_t op_seek(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     uint64_t offset, int whence)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	uint64_t found = 0;
	int err;

	(void)ctx;
	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		err = seek_in(fs, &inode, offset, whence, &found);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return err ? sfs_errno(err) : (off_t)found;
}

static ssize_t op_extents(struct libfs *libfs, libfs_ino_t ino, uint64_t offset, uint64_t len,
			  struct libfs_extent *out, size_t max)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	size_t n = 0;
	int err;

	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		/* Names of a directory and long targets lie in data blocks, too. */
		if (!sfs_has_pointers(inode.f.mode, inode.f.size))
			err = S_ISREG(inode.f.mode) || sfs_is_dir(&inode) ? 0 : -EINVAL;
		else
			err = sfs_file_extents(fs, &inode, offset, len, out, max, &n);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return err ? sfs_errno(err) : (ssize_t)n;
}

/* ---- readdir ---- */

/* Cookies: 1 behind ".", 2 behind "..", then two more than the position in the directory. */
#define COOKIE_DOTS 2u

static int entry_fill(struct sfs *fs, const struct sfs_dir_walk *walk, uint32_t flags,
		      struct libfs_dirent *out)
{
	struct sfs_inode inode;
	int err = sfs_inode_get(fs, walk->entry.ino, &inode);

	if (err)
		return err;
	err = inode.f.birth == walk->entry.birth ? 0 : -ESTALE;
	if (!err) {
		out->ino = inode.ino;
		out->cookie = walk->pos + COOKIE_DOTS;
		out->type = SIMPLEFS_TYPE(inode.f.mode);
		out->name_len = walk->slot.name_len;
		memcpy(out->name, walk->slot.name, out->name_len);
		out->name[out->name_len] = '\0';
		if (flags & LIBFS_READDIR_PLUS) {
			sfs_inode_attr(&inode, &out->attr);
			err = sfs_node_get(fs, inode.ino);
		}
	}
	sfs_inode_put(fs, &inode);
	return err;
}

static int dots_fill(struct sfs *fs, const struct sfs_inode *dir, uint64_t cookie, uint32_t flags,
		     struct libfs_dirent *out)
{
	struct sfs_inode parent;
	int err = 0;

	out->ino = cookie == 0 ? dir->ino : dir->f.parent;
	out->cookie = cookie + 1;
	out->type = DT_DIR;
	out->name_len = (uint32_t)cookie + 1;
	memcpy(out->name, "..", 3);
	out->name[out->name_len] = '\0';
	if (!(flags & LIBFS_READDIR_PLUS))
		return 0;
	err = sfs_inode_get(fs, out->ino, &parent);
	/* The parent of a removed directory may be gone as well. */
	if (err)
		return err == -ESTALE ? 0 : err;
	sfs_inode_attr(&parent, &out->attr);
	sfs_inode_put(fs, &parent);
	return 0;
}

static ssize_t read_dir(struct sfs *fs, struct sfs_inode *dir, uint64_t cookie, uint32_t flags,
			struct libfs_dirent *out, size_t max)
{
	struct sfs_dir_walk walk;
	size_t n = 0;
	int got = 1;

	if (!sfs_is_dir(dir))
		return -ENOTDIR;
	for (; cookie < COOKIE_DOTS && n < max; cookie++, n++) {
		int err = dots_fill(fs, dir, cookie, flags, &out[n]);

		if (err)
			return err;
	}
	sfs_dir_begin(&walk, cookie - COOKIE_DOTS);
	while (n < max && got > 0) {
		int err;

		got = sfs_dir_next(fs, dir, &walk);
		if (got <= 0)
			break;
		err = entry_fill(fs, &walk, flags, &out[n]);
		if (err && err != -ESTALE)
			got = err;
		n += err == 0;
	}
	return got < 0 && n == 0 ? got : (ssize_t)n;
}

static ssize_t op_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode dir;
	bool due = false;
	ssize_t n;

	pthread_rwlock_rdlock(&fs->lock);
	n = sfs_inode_get(fs, ino, &dir);
	if (!n) {
		n = read_dir(fs, &dir, cookie, flags, out, max);
		due = n > 0 && atime_is_due(fs, &dir, ctx->now);
		sfs_inode_put(fs, &dir);
	}
	pthread_rwlock_unlock(&fs->lock);
	if (due)
		atime_set(fs, ino, ctx->now);
	return n < 0 ? sfs_errno((int)n) : n;
}

/* ---- open ---- */

static int check_open(const struct sfs_inode *inode, const struct libfs_ctx *ctx, uint32_t flags)
{
	uint32_t mask = libfs_open_mask(flags);
	struct libfs_attr attr;

	if (S_ISLNK(inode->f.mode))
		return -ELOOP;
	if (sfs_is_dir(inode) && (mask & LIBFS_MAY_WRITE))
		return -EISDIR;
	if ((flags & O_DIRECTORY) && !sfs_is_dir(inode))
		return -ENOTDIR;
	sfs_inode_attr(inode, &attr);
	return libfs_may(&attr, ctx->cred, mask);
}

static int open_locked(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *inode,
		       uint32_t flags)
{
	struct libfs_attr attr = { .size = 0 };
	int err = check_open(inode, ctx, flags);

	if (!err && (flags & O_TRUNC) && S_ISREG(inode->f.mode))
		err = setattr_locked(fs, ctx, inode, &attr, LIBFS_SET_SIZE | LIBFS_SET_OPEN);
	return err ? err : sfs_node_open(fs, inode->ino);
}

static int op_open(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		   uint32_t flags, uint64_t *handle)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	int err;

	*handle = 0;
	if (flags & O_TRUNC)
		pthread_rwlock_wrlock(&fs->lock);
	else
		pthread_rwlock_rdlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		err = open_locked(fs, ctx, &inode, flags);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

static void op_release(struct libfs *libfs, libfs_ino_t ino, uint64_t handle)
{
	struct sfs *fs = sfs_of(libfs);

	(void)handle;
	if (ino <= SFS_INODES_MAX && sfs_node_close(fs, (uint32_t)ino))
		drop_orphan(fs, (uint32_t)ino);
}

/* ---- writing ---- */

static void changed(struct sfs_inode *inode, const struct libfs_ctx *ctx)
{
	sfs_inode_touch(inode, SFS_MTIME, ctx->now);
	sfs_inode_touch(inode, SFS_CTIME, ctx->now);
	inode->f.mode = libfs_mode_written(inode->f.mode, inode->f.gid, ctx->cred);
}

static ssize_t write_bytes(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *inode,
			   uint64_t off, const void *bytes, size_t len)
{
	ssize_t n;
	int err;

	if (sfs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->f.mode))
		return -EINVAL;
	if (len == 0)
		return 0;
	n = sfs_file_write(fs, inode, off, bytes, len);
	if (n < 0)
		return n;
	changed(inode, ctx);
	err = sfs_inode_write(fs, inode);
	return err ? err : n;
}

static ssize_t op_write(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	ssize_t n;

	(void)handle;
	pthread_rwlock_wrlock(&fs->lock);
	n = sfs_inode_get(fs, ino, &inode);
	if (!n) {
		n = write_bytes(fs, ctx, &inode, offset, bytes, len);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return n < 0 ? sfs_errno((int)n) : n;
}

/* Blocks that lie wholly inside go; what is cut at the edges becomes zeroes. */
static int punch(struct sfs *fs, struct sfs_inode *inode, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, first, last;
	int err;

	if (off >= inode->f.size)
		return 0;
	if (end > inode->f.size)
		end = (inode->f.size + SFS_BLOCK - 1) / SFS_BLOCK * SFS_BLOCK;
	first = (off + SFS_BLOCK - 1) / SFS_BLOCK;
	last = end / SFS_BLOCK;
	if (first > last)
		return sfs_file_clear(fs, inode, off, end - off);
	err = sfs_file_clear(fs, inode, off, first * SFS_BLOCK - off);
	if (!err)
		err = sfs_file_clear(fs, inode, last * SFS_BLOCK, end % SFS_BLOCK);
	return err ? err : sfs_map_free(fs, inode, first, last);
}

static int check_fallocate(const struct sfs_inode *inode, uint32_t mode, uint64_t off, uint64_t len)
{
	bool keep = mode & LIBFS_FALLOC_KEEP_SIZE;

	if (sfs_is_dir(inode))
		return -EISDIR;
	if (!S_ISREG(inode->f.mode))
		return -ENODEV;
	if (len == 0)
		return -EINVAL;
	if (off > SFS_FILE_MAX || len > SFS_FILE_MAX - off)
		return -EFBIG;
	if (mode & ~(LIBFS_FALLOC_KEEP_SIZE | LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE))
		return -EOPNOTSUPP;
	if (mode & LIBFS_FALLOC_PUNCH_HOLE)
		return keep && !(mode & LIBFS_FALLOC_ZERO_RANGE) ? 0 : -EOPNOTSUPP;
	/* Blocks past the end mean nothing here, so none can be set aside. */
	return keep && off + len > inode->f.size ? -EOPNOTSUPP : 0;
}

static int fallocate_locked(struct sfs *fs, const struct libfs_ctx *ctx, struct sfs_inode *inode,
			    uint32_t mode, uint64_t off, uint64_t len)
{
	int err = check_fallocate(inode, mode, off, len), written;

	if (err)
		return err;
	if (mode & (LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_ZERO_RANGE))
		err = punch(fs, inode, off, len);
	if (!err && !(mode & LIBFS_FALLOC_PUNCH_HOLE)) {
		uint64_t old = inode->f.size;

		if (off + len > old)
			err = sfs_file_resize(fs, inode, off + len);
		if (!err)
			err = sfs_file_fill(fs, inode, off, len);
		if (err && off + len > old)
			sfs_file_resize(fs, inode, old);
	}
	changed(inode, ctx);
	written = sfs_inode_write(fs, inode);
	return err ? err : written;
}

static int op_fallocate(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint32_t mode, uint64_t offset, uint64_t len)
{
	struct sfs *fs = sfs_of(libfs);
	struct sfs_inode inode;
	int err;

	pthread_rwlock_wrlock(&fs->lock);
	err = sfs_inode_get(fs, ino, &inode);
	if (!err) {
		err = fallocate_locked(fs, ctx, &inode, mode, offset, len);
		sfs_inode_put(fs, &inode);
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- sync ---- */

/* XN orders data before what names it; so all of it is simple, and right. */
static int op_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only)
{
	struct sfs *fs = sfs_of(libfs);
	int err;

	(void)ino;
	(void)data_only;
	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_sync_locked(fs);
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

static int op_sync(struct libfs *libfs)
{
	struct sfs *fs = sfs_of(libfs);
	int64_t left;
	int err;

	pthread_rwlock_rdlock(&fs->lock);
	err = sfs_sync_locked(fs);
	if (!err) {
		left = xn_reap(libfs->session, REAP_BUDGET);
		err = left < 0 ? (int)left : 0;
	}
	pthread_rwlock_unlock(&fs->lock);
	return sfs_errno(err);
}

/* ---- the table ---- */

static const struct libfs_ops simplefs_ops = {
	.mkfs = sfs_mkfs,
	.mount = sfs_mount,
	.unmount = sfs_unmount,
	.lookup = sfs_lookup,
	.forget = op_forget,
	.find = op_find,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = op_access,
	.create = sfs_create,
	.mkdir = sfs_mkdir,
	.mknod = sfs_mknod,
	.symlink = sfs_symlink,
	.link = sfs_link,
	.unlink = sfs_unlink,
	.rmdir = sfs_rmdir,
	.rename = sfs_rename,
	.readlink = op_readlink,
	.readdir = op_readdir,
	.open = op_open,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fallocate = op_fallocate,
	.seek = op_seek,
	.extents = op_extents,
	.fsync = op_fsync,
	.sync = op_sync,
	.statfs = sfs_statfs,
};

const struct libfs_type simplefs_type = {
	.name = "simplefs",
	.about = "a small UNIX file system to learn from: inode tables, direct and indirect blocks",
	.version = SIMPLEFS_VERSION,
	.ops = &simplefs_ops,
	.checker = &simplefs_checker,
};
