/* SPDX-License-Identifier: MIT */
/*
 * Open files.  A file holds one open handle of its LibFS, and a reference.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

struct xnfs_file {
	struct xnfs *fs;
	struct libfs *libfs;
	libfs_ino_t ino;
	uint64_t handle;
	uint32_t root_id;
	int flags;
	pthread_mutex_t lock;
	off_t position;
};

/* How the LibFS shall open it; what else the flags say is done here. */
#define FLAGS_KEPT (O_ACCMODE | O_DIRECTORY)

/* ---- opening ---- */

/* A new file, or the old one when another was faster; place gets it, with the reference. */
static int create(struct caller *caller, struct place *place, int flags, mode_t mode, bool *made)
{
	const struct libfs_ctx *ctx = &caller->ctx.libfs;
	int err;

	err = libfs_create(place->fs, ctx, place->dir, place->name, mode & 07777, true,
			   &place->attr);
	*made = !err;
	if (err == -EEXIST && !(flags & O_EXCL))
		err = libfs_lookup(place->fs, ctx, place->dir, place->name, &place->attr);
	place->exists = !err;
	return err;
}

static bool is_unnamed(int flags)
{
	return (flags & O_TMPFILE) == O_TMPFILE;
}

/* A new file in the directory `path`, without a name. */
static int make_unnamed(struct caller *caller, const char *path, int flags, mode_t mode,
			struct place *place)
{
	struct libfs_attr attr;
	int err;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	err = caller_find(caller, path, PLACE_FOLLOW, place);
	if (err)
		return err;
	err = !place->fs                  ? -EROFS
	      : S_ISDIR(place->attr.mode) ? libfs_tmpfile(place->fs, &caller->ctx.libfs,
							  place->attr.ino, mode & 07777, &attr)
					  : -ENOTDIR;
	if (err) {
		place_put(place);
		return err == -ENOSYS ? -EOPNOTSUPP : err;
	}
	if (place->attr.ino != LIBFS_ROOT_INO)
		libfs_forget(place->fs, place->attr.ino, 1);
	place->attr = attr;
	return 0;
}

static int find(struct caller *caller, const char *path, int flags, mode_t mode,
		struct place *place, bool *made)
{
	bool follow = !(flags & O_NOFOLLOW) && !(flags & O_CREAT && flags & O_EXCL);
	uint32_t how = (follow ? PLACE_FOLLOW : 0) | (flags & O_CREAT ? PLACE_MISSING : 0);
	int err;

	*made = is_unnamed(flags);
	if (*made)
		return make_unnamed(caller, path, flags, mode, place);
	err = caller_find(caller, path, how, place);

	if (err)
		return err;
	if (!place->exists)
		err = create(caller, place, flags, mode, made);
	else if (flags & O_CREAT && flags & O_EXCL)
		err = -EEXIST;
	if (!err && (!place->fs || S_ISDIR(place->attr.mode)))
		err = -EISDIR;
	if (!err && S_ISLNK(place->attr.mode))
		err = -ELOOP;
	if (!err && !S_ISREG(place->attr.mode))
		err = -ENXIO; /* devices and the like: nobody here is their driver */
	if (err)
		place_put(place);
	return err;
}

/* Whoever has just made a file may use it as he asked, whatever its mode. */
static int open_found(struct caller *caller, struct xnfs_file *file, bool made)
{
	const struct libfs_attr empty = { .size = 0 };
	struct libfs_attr after;
	struct host_ctx kernel;
	int err;

	host_ctx_init(&kernel, 0, 0);
	err = libfs_open(file->libfs, made ? &kernel.libfs : &caller->ctx.libfs, file->ino,
			 (uint32_t)(file->flags & FLAGS_KEPT), &file->handle);
	if (err || made || !(file->flags & O_TRUNC))
		return err;
	err = libfs_setattr(file->libfs, &caller->ctx.libfs, file->ino, &empty, LIBFS_SET_SIZE,
			    &after);
	if (err)
		libfs_release(file->libfs, file->ino, file->handle);
	return err;
}

int xnfs_file_open(struct xnfs *fs, const char *path, int flags, mode_t mode,
		   struct xnfs_file **out)
{
	struct host_root root = { .id = 0 };
	struct xnfs_file *file;
	struct caller caller;
	struct place place;
	bool made;
	int err;

	caller_init(&caller, fs);
	err = find(&caller, path, flags, mode, &place, &made);
	if (err)
		return err;
	file = calloc(1, sizeof(*file));
	if (!file) {
		place_put(&place);
		return -ENOMEM;
	}
	host_root_find(fs->host, place.root, &root);
	file->fs = fs;
	file->libfs = place.fs;
	file->ino = place.attr.ino;
	file->root_id = root.id;
	file->flags = is_unnamed(flags) ? flags & ~O_TMPFILE : flags;
	err = open_found(&caller, file, made);
	place_put(&place); /* open, it stays */
	if (err) {
		free(file);
		return err;
	}
	pthread_mutex_init(&file->lock, NULL);
	*out = file;
	return 0;
}

void xnfs_file_close(struct xnfs_file *file)
{
	libfs_release(file->libfs, file->ino, file->handle);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

/* ---- bytes ---- */

static bool may_read(const struct xnfs_file *file)
{
	return (file->flags & O_ACCMODE) != O_WRONLY;
}

static bool may_write(const struct xnfs_file *file)
{
	return (file->flags & O_ACCMODE) != O_RDONLY;
}

ssize_t xnfs_pread(struct xnfs_file *file, void *buffer, size_t len, off_t offset)
{
	struct caller caller;

	if (!may_read(file))
		return -EBADF;
	if (offset < 0)
		return -EINVAL;
	caller_init(&caller, file->fs);
	return libfs_read(file->libfs, &caller.ctx.libfs, file->ino, file->handle, (uint64_t)offset,
			  buffer, len);
}

ssize_t xnfs_pwrite(struct xnfs_file *file, const void *bytes, size_t len, off_t offset)
{
	struct caller caller;

	if (!may_write(file))
		return -EBADF;
	if (offset < 0)
		return -EINVAL;
	if (len == 0)
		return 0;
	caller_init(&caller, file->fs);
	return libfs_write(file->libfs, &caller.ctx.libfs, file->ino, file->handle,
			   (uint64_t)offset, bytes, len);
}

static off_t size_of(struct xnfs_file *file)
{
	struct libfs_attr attr;
	struct caller caller;
	int err;

	caller_init(&caller, file->fs);
	err = libfs_getattr(file->libfs, &caller.ctx.libfs, file->ino, &attr);
	return err ? err : (off_t)attr.size;
}

ssize_t xnfs_read(struct xnfs_file *file, void *buffer, size_t len)
{
	ssize_t n;

	pthread_mutex_lock(&file->lock);
	n = xnfs_pread(file, buffer, len, file->position);
	if (n > 0)
		file->position += n;
	pthread_mutex_unlock(&file->lock);
	return n;
}

/* Appending: the end is looked for by each write, and only this process writes. */
ssize_t xnfs_write(struct xnfs_file *file, const void *bytes, size_t len)
{
	off_t at;
	ssize_t n;

	pthread_mutex_lock(&file->lock);
	at = file->flags & O_APPEND ? size_of(file) : file->position;
	n = at < 0 ? (ssize_t)at : xnfs_pwrite(file, bytes, len, at);
	if (n > 0)
		file->position = at + n;
	pthread_mutex_unlock(&file->lock);
	return n;
}

static off_t seek_to(struct xnfs_file *file, off_t offset, int whence)
{
	struct caller caller;
	off_t base;

	switch (whence) {
	case SEEK_SET: base = 0; break;
	case SEEK_CUR: base = file->position; break;
	case SEEK_END: base = size_of(file); break;
	case SEEK_DATA:
	case SEEK_HOLE:
		caller_init(&caller, file->fs);
		return offset < 0 ? -ENXIO
				  : libfs_seek(file->libfs, &caller.ctx.libfs, file->ino,
					       (uint64_t)offset, whence);
	default: return -EINVAL;
	}
	if (base < 0)
		return base;
	if (__builtin_add_overflow(base, offset, &offset))
		return -EOVERFLOW;
	return offset < 0 ? -EINVAL : offset;
}

off_t xnfs_seek(struct xnfs_file *file, off_t offset, int whence)
{
	off_t found;

	pthread_mutex_lock(&file->lock);
	found = seek_to(file, offset, whence);
	if (found >= 0)
		file->position = found;
	pthread_mutex_unlock(&file->lock);
	return found;
}

/* From one root to another the bytes pass through here. */
static ssize_t copy_across(struct xnfs_file *from, off_t from_offset, struct xnfs_file *to,
			   off_t to_offset, size_t len)
{
	size_t piece = len < 1 << 20 ? len : 1 << 20;
	char *bytes = malloc(piece ? piece : 1);
	ssize_t n;

	if (!bytes)
		return -ENOMEM;
	n = xnfs_pread(from, bytes, piece, from_offset);
	if (n > 0)
		n = xnfs_pwrite(to, bytes, (size_t)n, to_offset);
	free(bytes);
	return n;
}

ssize_t xnfs_copy_range(struct xnfs_file *from, off_t from_offset, struct xnfs_file *to,
			off_t to_offset, size_t len)
{
	struct caller caller;

	if (!may_read(from) || !may_write(to))
		return -EBADF;
	if (from_offset < 0 || to_offset < 0)
		return -EINVAL;
	if (from->libfs != to->libfs)
		return copy_across(from, from_offset, to, to_offset, len);
	caller_init(&caller, to->fs);
	return libfs_copy_range(to->libfs, &caller.ctx.libfs, from->ino, (uint64_t)from_offset,
				to->ino, (uint64_t)to_offset, len);
}

/* ---- the rest ---- */

int xnfs_fstat(struct xnfs_file *file, struct stat *out)
{
	struct libfs_attr attr;
	struct caller caller;
	int err;

	caller_init(&caller, file->fs);
	err = libfs_getattr(file->libfs, &caller.ctx.libfs, file->ino, &attr);
	if (!err)
		attr_to_stat(&attr, file->root_id, out);
	return err;
}

int xnfs_ftruncate(struct xnfs_file *file, off_t size)
{
	const struct libfs_attr attr = { .size = (uint64_t)size };
	struct libfs_attr after;
	struct caller caller;

	if (!may_write(file) || size < 0)
		return -EINVAL;
	caller_init(&caller, file->fs);
	return libfs_setattr(file->libfs, &caller.ctx.libfs, file->ino, &attr,
			     LIBFS_SET_SIZE | LIBFS_SET_OPEN, &after);
}

int xnfs_fallocate(struct xnfs_file *file, int mode, off_t offset, off_t len)
{
	struct caller caller;

	if (!may_write(file))
		return -EBADF;
	if (offset < 0 || len <= 0)
		return -EINVAL;
	caller_init(&caller, file->fs);
	return libfs_fallocate(file->libfs, &caller.ctx.libfs, file->ino, (uint32_t)mode,
			       (uint64_t)offset, (uint64_t)len);
}

int xnfs_fsync(struct xnfs_file *file)
{
	return libfs_fsync(file->libfs, file->ino, false);
}

int xnfs_fdatasync(struct xnfs_file *file)
{
	return libfs_fsync(file->libfs, file->ino, true);
}
