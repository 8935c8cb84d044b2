/* SPDX-License-Identifier: MIT */
/*
 * What is checked once for every LibFS before its table is called.
 *
 *  (1) A LibFS never sees a name that is empty, too long, or holds '/'; "." and
 *      ".." only in lookup.
 *  (2) Nothing that changes reaches a LibFS mounted read-only.
 *  (3) What a LibFS does not have is -ENOSYS.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

#define COPY_PIECE (1u << 20)

/* ---- checks ---- */

static int check_name(const char *name)
{
	if (name[0] == '\0')
		return -ENOENT;
	if (strnlen(name, LIBFS_NAME_MAX + 1) > LIBFS_NAME_MAX)
		return -ENAMETOOLONG;
	return strchr(name, '/') ? -EINVAL : 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int check_writable(const struct libfs *fs)
{
	return fs->flags & LIBFS_MOUNT_RDONLY ? -EROFS : 0;
}

/* For what makes a name: "." and ".." exist everywhere. */
static int check_new_name(const struct libfs *fs, const char *name)
{
	int err = check_name(name);

	if (!err && is_dots(name))
		err = -EEXIST;
	return err ? err : check_writable(fs);
}

#define NEED(fs, op)                      \
	do {                              \
		if (!(fs)->type->ops->op) \
			return -ENOSYS;   \
	} while (0)

#define TRY(expression)                  \
	do {                             \
		int err_ = (expression); \
		if (err_)                \
			return err_;     \
	} while (0)

/* ---- file systems ---- */

static void say(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(char *why, size_t size, const char *format, ...)
{
	va_list args;

	if (!why || !size)
		return;
	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
}

int libfs_mkfs(struct xn_session *session, const char *name, const struct libfs_mkfs_opts *opts)
{
	const struct libfs_type *type;
	int err = libfs_find_type_why(name, &type, opts->why, opts->why_size);

	if (err)
		return err;
	return type->ops->mkfs ? type->ops->mkfs(session, opts) : -ENOSYS;
}

int libfs_mount(struct xn_session *session, const struct libfs_mount_opts *opts, struct libfs **out)
{
	const struct libfs_type *type;
	struct xn_root_info root;
	int err = xn_root_find(xn_session_disk(session), opts->root, &root);

	if (err) {
		say(opts->why, opts->why_size, "root \"%s\": %s", opts->root, xn_strerror(err));
		return -xn_errno(err);
	}
	err = libfs_find_type_why(root.libfs, &type, opts->why, opts->why_size);
	if (err)
		return err;
	return type->ops->mount ? type->ops->mount(session, opts, out) : -ENOSYS;
}

int libfs_unmount(struct libfs *fs)
{
	NEED(fs, unmount);
	return fs->type->ops->unmount(fs);
}

/* ---- names ---- */

int libfs_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		 struct libfs_attr *out)
{
	NEED(fs, lookup);
	TRY(check_name(name));
	return fs->type->ops->lookup(fs, ctx, dir, name, out);
}

int libfs_create(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		 uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	NEED(fs, create);
	TRY(check_name(name));
	if (is_dots(name))
		return exclusive ? -EEXIST : -EISDIR;
	TRY(check_writable(fs));
	return fs->type->ops->create(fs, ctx, dir, name, mode, exclusive, out);
}

int libfs_tmpfile(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, uint32_t mode,
		  struct libfs_attr *out)
{
	NEED(fs, tmpfile);
	TRY(check_writable(fs));
	return fs->type->ops->tmpfile(fs, ctx, dir, mode, out);
}

int libfs_mkdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, struct libfs_attr *out)
{
	NEED(fs, mkdir);
	TRY(check_new_name(fs, name));
	return fs->type->ops->mkdir(fs, ctx, dir, name, mode, out);
}

int libfs_mknod(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	NEED(fs, mknod);
	TRY(check_new_name(fs, name));
	return fs->type->ops->mknod(fs, ctx, dir, name, mode, rdev, out);
}

int libfs_symlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		  const char *target, struct libfs_attr *out)
{
	NEED(fs, symlink);
	TRY(check_new_name(fs, name));
	if (target[0] == '\0')
		return -ENOENT;
	if (strnlen(target, LIBFS_SYMLINK_MAX + 1) > LIBFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	return fs->type->ops->symlink(fs, ctx, dir, name, target, out);
}

int libfs_link(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
	       const char *name, struct libfs_attr *out)
{
	NEED(fs, link);
	TRY(check_new_name(fs, name));
	return fs->type->ops->link(fs, ctx, ino, dir, name, out);
}

int libfs_unlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name)
{
	NEED(fs, unlink);
	TRY(check_name(name));
	if (is_dots(name))
		return -EISDIR;
	TRY(check_writable(fs));
	return fs->type->ops->unlink(fs, ctx, dir, name);
}

int libfs_rmdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name)
{
	NEED(fs, rmdir);
	TRY(check_name(name));
	if (is_dots(name))
		return strcmp(name, ".") == 0 ? -EINVAL : -ENOTEMPTY;
	TRY(check_writable(fs));
	return fs->type->ops->rmdir(fs, ctx, dir, name);
}

int libfs_rename(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		 const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	NEED(fs, rename);
	TRY(check_name(from));
	TRY(check_name(to));
	if (is_dots(from) || is_dots(to))
		return -EBUSY;
	if ((flags & ~(LIBFS_RENAME_NOREPLACE | LIBFS_RENAME_EXCHANGE)) ||
	    flags == (LIBFS_RENAME_NOREPLACE | LIBFS_RENAME_EXCHANGE))
		return -EINVAL;
	TRY(check_writable(fs));
	return fs->type->ops->rename(fs, ctx, from_dir, from, to_dir, to, flags);
}

ssize_t libfs_readlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, char *target,
		       size_t size)
{
	NEED(fs, readlink);
	return fs->type->ops->readlink(fs, ctx, ino, target, size);
}

ssize_t libfs_readdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	NEED(fs, readdir);
	return fs->type->ops->readdir(fs, ctx, dir, cookie, flags, out, max);
}

/* ---- attributes ---- */

/* References count on a read-only mount too. */
void libfs_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count)
{
	if (fs->type->ops->forget && count)
		fs->type->ops->forget(fs, ino, count);
}

ssize_t libfs_surplus(struct libfs *fs, struct libfs_surplus *out, size_t max)
{
	return fs->type->ops->surplus ? fs->type->ops->surplus(fs, out, max) : 0;
}

int libfs_find(struct libfs *fs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out)
{
	NEED(fs, find);
	return fs->type->ops->find(fs, ino, generation, out);
}

int libfs_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  struct libfs_attr *out)
{
	NEED(fs, getattr);
	return fs->type->ops->getattr(fs, ctx, ino, out);
}

static bool is_time(struct timespec time)
{
	return time.tv_nsec >= 0 && time.tv_nsec < 1000000000;
}

int libfs_setattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	NEED(fs, setattr);
	if ((which & LIBFS_SET_ATIME) && !(which & LIBFS_SET_ATIME_NOW) && !is_time(attr->atime))
		return -EINVAL;
	if ((which & LIBFS_SET_MTIME) && !(which & LIBFS_SET_MTIME_NOW) && !is_time(attr->mtime))
		return -EINVAL;
	if ((which & LIBFS_SET_CTIME) && !is_time(attr->ctime))
		return -EINVAL;
	TRY(check_writable(fs));
	return fs->type->ops->setattr(fs, ctx, ino, attr, which, out);
}

/* Devices, fifos and sockets are written elsewhere: the mount does not matter. */
static int check_writable_file(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino)
{
	struct libfs_attr attr;

	if (!(fs->flags & LIBFS_MOUNT_RDONLY))
		return 0;
	TRY(libfs_getattr(fs, ctx, ino, &attr));
	return S_ISREG(attr.mode) || S_ISDIR(attr.mode) || S_ISLNK(attr.mode) ? -EROFS : 0;
}

int libfs_access(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mask)
{
	NEED(fs, access);
	if (mask & ~(LIBFS_MAY_EXEC | LIBFS_MAY_WRITE | LIBFS_MAY_READ))
		return -EINVAL;
	if (mask & LIBFS_MAY_WRITE)
		TRY(check_writable_file(fs, ctx, ino));
	return fs->type->ops->access(fs, ctx, ino, mask);
}

/* ---- bytes ---- */

int libfs_open(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
	       uint64_t *handle)
{
	NEED(fs, open);
	if (flags & O_TRUNC)
		TRY(check_writable(fs));
	if ((flags & O_ACCMODE) != O_RDONLY)
		TRY(check_writable_file(fs, ctx, ino));
	return fs->type->ops->open(fs, ctx, ino, flags, handle);
}

void libfs_release(struct libfs *fs, libfs_ino_t ino, uint64_t handle)
{
	if (fs->type->ops->release)
		fs->type->ops->release(fs, ino, handle);
}

/* No offset beyond what off_t can say, and no length beyond what ssize_t can. */
static int check_range(uint64_t offset, uint64_t len)
{
	if (offset > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	return len > INT64_MAX - offset ? -EFBIG : 0;
}

ssize_t libfs_read(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t handle,
		   uint64_t offset, void *buffer, size_t len)
{
	NEED(fs, read);
	if (offset > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	return fs->type->ops->read(fs, ctx, ino, handle, offset, buffer, len);
}

ssize_t libfs_write(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t handle,
		    uint64_t offset, const void *bytes, size_t len)
{
	NEED(fs, write);
	TRY(check_range(offset, len));
	TRY(check_writable(fs));
	return fs->type->ops->write(fs, ctx, ino, handle, offset, bytes, len);
}

int libfs_fallocate(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mode,
		    uint64_t offset, uint64_t len)
{
	NEED(fs, fallocate);
	TRY(check_range(offset, len));
	TRY(check_writable(fs));
	return fs->type->ops->fallocate(fs, ctx, ino, mode, offset, len);
}

off_t libfs_seek(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t offset,
		 int whence)
{
	NEED(fs, seek);
	if (offset > INT64_MAX)
		return -ENXIO;
	return fs->type->ops->seek(fs, ctx, ino, offset, whence);
}

/*
 * In pieces, through memory: what every LibFS can.  Where the source ends is asked before: a copy
 * within a file may move its end.
 */
static ssize_t copy_through(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from,
			    uint64_t from_offset, libfs_ino_t to, uint64_t to_offset, size_t len)
{
	struct libfs_attr source;
	char *bytes;
	ssize_t n = 0, done = 0;

	TRY(libfs_getattr(fs, ctx, from, &source));
	if (S_ISREG(source.mode) && from_offset < source.size && len > source.size - from_offset)
		len = source.size - from_offset;
	if (len == 0)
		return 0;
	bytes = malloc(len < COPY_PIECE ? len : COPY_PIECE);
	if (!bytes)
		return -ENOMEM;
	while ((size_t)done < len) {
		size_t piece = len - (size_t)done < COPY_PIECE ? len - (size_t)done : COPY_PIECE;

		n = libfs_read(fs, ctx, from, LIBFS_NO_HANDLE, from_offset + (uint64_t)done, bytes,
			       piece);
		if (n > 0)
			n = libfs_write(fs, ctx, to, LIBFS_NO_HANDLE, to_offset + (uint64_t)done,
					bytes, (size_t)n);
		if (n <= 0)
			break;
		done += n;
	}
	free(bytes);
	return done ? done : n;
}

ssize_t libfs_copy_range(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from,
			 uint64_t from_offset, libfs_ino_t to, uint64_t to_offset, size_t len)
{
	TRY(check_range(from_offset, len));
	TRY(check_range(to_offset, len));
	TRY(check_writable(fs));
	if (from == to && from_offset < to_offset + len && to_offset < from_offset + len)
		return -EINVAL;
	if (!fs->type->ops->copy_range)
		return copy_through(fs, ctx, from, from_offset, to, to_offset, len);
	return fs->type->ops->copy_range(fs, ctx, from, from_offset, to, to_offset, len);
}

ssize_t libfs_extents(struct libfs *fs, libfs_ino_t ino, uint64_t offset, uint64_t len,
		      struct libfs_extent *out, size_t max)
{
	NEED(fs, extents);
	if (offset > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	return fs->type->ops->extents(fs, ino, offset, len, out, max);
}

/* ---- sync ---- */

int libfs_fsync(struct libfs *fs, libfs_ino_t ino, bool data_only)
{
	NEED(fs, fsync);
	if (fs->flags & LIBFS_MOUNT_RDONLY)
		return 0;
	return fs->type->ops->fsync(fs, ino, data_only);
}

int libfs_sync(struct libfs *fs)
{
	NEED(fs, sync);
	if (fs->flags & LIBFS_MOUNT_RDONLY)
		return 0;
	return fs->type->ops->sync(fs);
}

int libfs_statfs(struct libfs *fs, struct libfs_statfs *out)
{
	NEED(fs, statfs);
	return fs->type->ops->statfs(fs, out);
}

/* ---- extended attributes ---- */

#define XATTR_NAME_MAX 255u
#define XATTR_SIZE_MAX 65536u

static int check_xattr(const char *name)
{
	size_t len = strnlen(name, XATTR_NAME_MAX + 1);

	return len == 0 || len > XATTR_NAME_MAX ? -ERANGE : 0;
}

int libfs_setxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, const char *name,
		   const void *value, size_t size, uint32_t flags)
{
	NEED(fs, setxattr);
	TRY(check_xattr(name));
	if (flags & ~(LIBFS_XATTR_CREATE | LIBFS_XATTR_REPLACE))
		return -EINVAL;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	TRY(check_writable(fs));
	return fs->type->ops->setxattr(fs, ctx, ino, name, value, size, flags);
}

ssize_t libfs_getxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       const char *name, void *value, size_t size)
{
	NEED(fs, getxattr);
	TRY(check_xattr(name));
	return fs->type->ops->getxattr(fs, ctx, ino, name, value, size);
}

ssize_t libfs_listxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, char *names,
			size_t size)
{
	NEED(fs, listxattr);
	return fs->type->ops->listxattr(fs, ctx, ino, names, size);
}

int libfs_removexattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const char *name)
{
	NEED(fs, removexattr);
	TRY(check_xattr(name));
	TRY(check_writable(fs));
	return fs->type->ops->removexattr(fs, ctx, ino, name);
}
