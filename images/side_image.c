/* SPDX-License-Identifier: MIT */
/*
 * The files of an image as a side of a copy.  See side.h.
 *
 *  (1) The top of an image holds its roots: they can be looked at and entered,
 *      not made or removed.
 */
#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct libfs_ctx *ctx_of(const struct side *side)
{
	return image_ctx(side->image);
}

static void forget(struct libfs *fs, uint64_t ino)
{
	if (fs && ino != LIBFS_ROOT_INO)
		libfs_forget(fs, ino, 1);
}

/* With a reference; *fs becomes that of the child. */
static int child(struct side *side, const struct side_dir *dir, const char *name, struct libfs **fs,
		 struct libfs_attr *attr)
{
	int err;

	*fs = dir->fs;
	if (dir->fs)
		return libfs_lookup(dir->fs, ctx_of(side), dir->id, name, attr);
	err = image_mount(side->image, name, fs);
	return err ? err : libfs_getattr(*fs, ctx_of(side), LIBFS_ROOT_INO, attr);
}

static int self(struct side *side, const struct side_dir *dir, struct libfs_attr *attr)
{
	if (dir->fs)
		return libfs_getattr(dir->fs, ctx_of(side), dir->id, attr);
	*attr = (struct libfs_attr){ .mode = S_IFDIR | 0755, .nlink = 1 };
	return 0;
}

/* Another reference on a directory. */
static int again(struct side *side, const struct side_dir *dir, struct side_dir *out)
{
	struct libfs_attr attr;
	int err;

	*out = *dir;
	if (!dir->fs || dir->id == LIBFS_ROOT_INO)
		return 0;
	err = libfs_getattr(dir->fs, ctx_of(side), dir->id, &attr);
	return err ? err : libfs_find(dir->fs, dir->id, attr.generation, &attr);
}

static int image_open_dir(struct side *side, const struct side_dir *parent, const char *name,
			  struct side_dir *out)
{
	struct libfs_attr attr;
	struct libfs *fs;
	int err;

	if (!strcmp(name, "."))
		return again(side, parent, out);
	err = child(side, parent, name, &fs, &attr);
	if (err)
		return err;
	if (!S_ISDIR(attr.mode)) {
		forget(fs, attr.ino);
		return -ENOTDIR;
	}
	*out = (struct side_dir){ .fs = fs, .id = attr.ino };
	return 0;
}

static void image_close_dir(struct side *side, struct side_dir *dir)
{
	(void)side;
	forget(dir->fs, dir->id);
}

static int image_list(struct side *side, const struct side_dir *dir, struct entries *out)
{
	return entries_read(side->image, dir->fs, dir->id, out);
}

static int image_look(struct side *side, const struct side_dir *dir, const char *name,
		      struct libfs_attr *out)
{
	struct libfs *fs;
	int err;

	if (!strcmp(name, "."))
		return self(side, dir, out);
	err = child(side, dir, name, &fs, out);
	if (!err)
		forget(fs, out->ino);
	return err;
}

static int image_read_link(struct side *side, const struct side_dir *dir, const char *name,
			   char target[LIBFS_SYMLINK_MAX + 1])
{
	struct libfs_attr attr;
	struct libfs *fs;
	ssize_t len;
	int err = child(side, dir, name, &fs, &attr);

	if (err)
		return err;
	len = libfs_readlink(fs, ctx_of(side), attr.ino, target, LIBFS_SYMLINK_MAX);
	forget(fs, attr.ino);
	if (len < 0)
		return (int)len;
	if (len > (ssize_t)LIBFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	target[len] = '\0';
	return 0;
}

/* Open the inode, on which there is a reference that the file keeps. */
static int open_ino(struct side *side, struct libfs *fs, uint64_t ino, uint32_t flags,
		    struct side_file *out)
{
	int err;

	*out = (struct side_file){ .fs = fs, .id = ino };
	err = libfs_open(fs, ctx_of(side), ino, flags, &out->handle);
	if (err)
		forget(fs, ino);
	return err;
}

static int image_open_file(struct side *side, const struct side_dir *dir, const char *name,
			   struct side_file *out)
{
	struct libfs_attr attr;
	struct libfs *fs;
	int err = child(side, dir, name, &fs, &attr);

	return err ? err : open_ino(side, fs, attr.ino, O_RDONLY, out);
}

static int image_set_size(struct side *side, struct side_file *file, uint64_t size)
{
	struct libfs_attr attr = { .size = size }, now;

	return libfs_setattr(file->fs, ctx_of(side), file->id, &attr, LIBFS_SET_SIZE, &now);
}

static int image_close_file(struct side *side, struct side_file *file)
{
	(void)side;
	libfs_release(file->fs, file->id, file->handle);
	forget(file->fs, file->id);
	return 0;
}

static int image_create_file(struct side *side, const struct side_dir *dir, const char *name,
			     struct side_file *out)
{
	struct libfs_attr attr;
	int err;

	if (!dir->fs)
		return -EPERM;
	err = libfs_create(dir->fs, ctx_of(side), dir->id, name, S_IFREG | 0600, false, &attr);
	if (err)
		return err;
	err = open_ino(side, dir->fs, attr.ino, O_RDWR, out);
	if (err || attr.size == 0)
		return err;
	err = image_set_size(side, out, 0);
	if (err)
		image_close_file(side, out);
	return err;
}

static ssize_t image_read(struct side *side, struct side_file *file, uint64_t offset, void *buffer,
			  size_t len)
{
	return libfs_read(file->fs, ctx_of(side), file->id, file->handle, offset, buffer, len);
}

static ssize_t image_write(struct side *side, struct side_file *file, uint64_t offset,
			   const void *bytes, size_t len)
{
	return libfs_write(file->fs, ctx_of(side), file->id, file->handle, offset, bytes, len);
}

static off_t image_seek(struct side *side, struct side_file *file, uint64_t offset, int whence)
{
	return libfs_seek(file->fs, ctx_of(side), file->id, offset, whence);
}

static int image_make(struct side *side, const struct side_dir *dir, const char *name,
		      const struct libfs_attr *attr, const char *target)
{
	const struct libfs_ctx *ctx = ctx_of(side);
	struct libfs_attr made;
	int err;

	if (!dir->fs)
		return -EPERM;
	if (S_ISLNK(attr->mode))
		err = libfs_symlink(dir->fs, ctx, dir->id, name, target, &made);
	else if (S_ISDIR(attr->mode))
		err = libfs_mkdir(dir->fs, ctx, dir->id, name, 0700, &made);
	else
		err = libfs_mknod(dir->fs, ctx, dir->id, name, (attr->mode & S_IFMT) | 0600,
				  attr->rdev, &made);
	if (!err)
		forget(dir->fs, made.ino);
	return err;
}

/* Owner first: changing it may clear set-id bits that the mode then sets. */
static int set_ino_attr(struct side *side, struct libfs *fs, const struct libfs_attr *now,
			const struct libfs_attr *attr, uint32_t which)
{
	uint32_t owner = which & (LIBFS_SET_UID | LIBFS_SET_GID), rest = which & ~owner;
	struct libfs_attr out;
	int err = 0;

	if (S_ISLNK(now->mode))
		rest &= ~LIBFS_SET_MODE;
	if (owner)
		err = libfs_setattr(fs, ctx_of(side), now->ino, attr, owner, &out);
	if (!err && rest)
		err = libfs_setattr(fs, ctx_of(side), now->ino, attr, rest, &out);
	return err;
}

static int image_set_attr(struct side *side, const struct side_dir *dir, const char *name,
			  const struct libfs_attr *attr, uint32_t which)
{
	struct libfs_attr now;
	struct libfs *fs;
	int err;

	if (!strcmp(name, "."))
		return dir->fs ? set_ino_attr(side, dir->fs, &(struct libfs_attr){ .ino = dir->id },
					      attr, which)
			       : 0;
	err = child(side, dir, name, &fs, &now);
	if (err)
		return err;
	err = set_ino_attr(side, fs, &now, attr, which);
	forget(fs, now.ino);
	return err;
}

static int image_set_file_attr(struct side *side, struct side_file *file,
			       const struct libfs_attr *attr, uint32_t which)
{
	return set_ino_attr(side, file->fs, &(struct libfs_attr){ .ino = file->id }, attr, which);
}

struct asked {
	struct side *side;
	struct libfs *fs;
	uint64_t ino;
};

static ssize_t asked_list(void *arg, char *names, size_t size)
{
	struct asked *asked = arg;

	return libfs_listxattr(asked->fs, ctx_of(asked->side), asked->ino, names, size);
}

static ssize_t asked_get(void *arg, const char *name, void *value, size_t size)
{
	struct asked *asked = arg;

	return libfs_getxattr(asked->fs, ctx_of(asked->side), asked->ino, name, value, size);
}

/* The inode behind a name, with a reference unless it is the directory's own. */
static int ask(struct side *side, const struct side_dir *dir, const char *name, struct asked *asked)
{
	struct libfs_attr attr = { .ino = dir->id };
	int err = 0;

	*asked = (struct asked){ .side = side, .fs = dir->fs };
	if (strcmp(name, ".") != 0)
		err = child(side, dir, name, &asked->fs, &attr);
	asked->ino = attr.ino;
	return err;
}

static void answered(struct asked *asked, const char *name)
{
	if (strcmp(name, ".") != 0)
		forget(asked->fs, asked->ino);
}

static int image_get_xattrs(struct side *side, const struct side_dir *dir, const char *name,
			    struct xattrs *out)
{
	struct asked asked;
	int err = ask(side, dir, name, &asked);

	*out = (struct xattrs){ 0 };
	if (err || !asked.fs) /* the top has none */
		return err;
	err = xattrs_read(&(struct xattr_source){ asked_list, asked_get, &asked }, out);
	answered(&asked, name);
	return err;
}

static int image_set_xattr(struct side *side, const struct side_dir *dir, const char *name,
			   const struct xattr *xattr)
{
	struct asked asked;
	int err = ask(side, dir, name, &asked);

	if (err || !asked.fs)
		return err ? err : -EPERM;
	err = libfs_setxattr(asked.fs, ctx_of(side), asked.ino, xattr->name, xattr->value,
			     xattr->size, 0);
	answered(&asked, name);
	return err;
}

static int image_remove(struct side *side, const struct side_dir *dir, const char *name,
			bool is_dir)
{
	if (!dir->fs)
		return -EPERM;
	return is_dir ? libfs_rmdir(dir->fs, ctx_of(side), dir->id, name)
		      : libfs_unlink(dir->fs, ctx_of(side), dir->id, name);
}

static int image_keep(struct side *side, const struct side_dir *base, const char *path,
		      const struct side_dir *dir, const char *name, struct side_link *out)
{
	struct libfs_attr attr;
	struct libfs *fs;
	int err = child(side, dir, name, &fs, &attr);

	(void)base;
	(void)path;
	if (err)
		return err;
	*out = (struct side_link){ .dir = { .fs = fs }, .ino = attr.ino };
	return 0;
}

static int image_link(struct side *side, const struct side_link *old, const struct side_dir *dir,
		      const char *name)
{
	struct libfs_attr attr;
	int err;

	if (old->dir.fs != dir->fs)
		return -EXDEV;
	err = libfs_link(dir->fs, ctx_of(side), old->ino, dir->id, name, &attr);
	if (!err)
		forget(dir->fs, attr.ino);
	return err;
}

static void image_drop(struct side *side, struct side_link *link)
{
	(void)side;
	forget(link->dir.fs, link->ino);
}

struct side side_of_image(struct image *image)
{
	static const struct side_ops ops = {
		.open_dir = image_open_dir,
		.close_dir = image_close_dir,
		.list = image_list,
		.look = image_look,
		.read_link = image_read_link,
		.open_file = image_open_file,
		.create_file = image_create_file,
		.read = image_read,
		.write = image_write,
		.seek = image_seek,
		.set_size = image_set_size,
		.close_file = image_close_file,
		.make = image_make,
		.set_attr = image_set_attr,
		.set_file_attr = image_set_file_attr,
		.get_xattrs = image_get_xattrs,
		.set_xattr = image_set_xattr,
		.remove = image_remove,
		.keep = image_keep,
		.link = image_link,
		.drop = image_drop,
	};

	return (struct side){ .ops = &ops, .image = image, .name = image_name(image) };
}

int side_image_split(struct image *image, const char *path, bool follow, struct side_dir *dir,
		     char name[LIBFS_NAME_MAX + 1])
{
	struct place place;
	int err = image_find(image, path, PLACE_MISSING | (follow ? PLACE_FOLLOW : 0), &place);

	if (err)
		return err;
	if (place.dir) {
		*dir = (struct side_dir){ .fs = place.fs, .id = place.dir };
		strcpy(name, place.name);
		if (place.exists)
			forget(place.fs, place.attr.ino);
		return 0;
	}
	/* A directory by itself: a root's, the top, or what ".." led to. */
	*dir = (struct side_dir){ .fs = place.fs, .id = place.attr.ino };
	strcpy(name, ".");
	return 0;
}
