/* SPDX-License-Identifier: MIT */
/*
 * The files of this machine as a side of a copy.  See side.h.
 */
#include "side.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int machine_open_dir(struct side *side, const struct side_dir *parent, const char *name,
			    struct side_dir *out)
{
	int fd = openat((int)parent->id, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	(void)side;
	if (fd < 0)
		return -errno;
	*out = (struct side_dir){ .id = (uint64_t)fd };
	return 0;
}

static void machine_close_dir(struct side *side, struct side_dir *dir)
{
	(void)side;
	close((int)dir->id);
}

static int machine_list(struct side *side, const struct side_dir *dir, struct entries *out)
{
	int fd = openat((int)dir->id, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	struct dirent *entry;
	DIR *stream;

	(void)side;
	*out = (struct entries){ 0 };
	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (errno = 0, entry = readdir(stream))) {
		size_t len = strlen(entry->d_name);

		if (name_is_safe(entry->d_name, len))
			err = entries_add(out, entry->d_name, len, entry->d_type);
	}
	if (!err)
		err = -errno;
	closedir(stream);
	if (err)
		entries_free(out);
	else
		entries_sort(out);
	return err;
}

static int machine_look(struct side *side, const struct side_dir *dir, const char *name,
			struct libfs_attr *out)
{
	struct stat st;

	(void)side;
	if (fstatat((int)dir->id, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*out = (struct libfs_attr){
		.ino = st.st_ino,
		.generation = (uint32_t)st.st_dev,
		.mode = st.st_mode,
		.nlink = (uint32_t)st.st_nlink,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.rdev = st.st_rdev,
		.size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks,
		.atime = st.st_atim,
		.mtime = st.st_mtim,
		.ctime = st.st_ctim,
	};
	return 0;
}

static int machine_read_link(struct side *side, const struct side_dir *dir, const char *name,
			     char target[LIBFS_SYMLINK_MAX + 1])
{
	ssize_t len = readlinkat((int)dir->id, name, target, LIBFS_SYMLINK_MAX + 1);

	(void)side;
	if (len < 0)
		return -errno;
	if (len > (ssize_t)LIBFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	target[len] = '\0';
	return 0;
}

static int open_as(const struct side_dir *dir, const char *name, int flags, struct side_file *out)
{
	int fd = openat((int)dir->id, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	*out = (struct side_file){ .id = (uint64_t)fd };
	return 0;
}

static int machine_open_file(struct side *side, const struct side_dir *dir, const char *name,
			     struct side_file *out)
{
	(void)side;
	/* O_NONBLOCK: should it have become a fifo meanwhile, do not wait for a writer. */
	return open_as(dir, name, O_RDONLY | O_NONBLOCK, out);
}

static int machine_create_file(struct side *side, const struct side_dir *dir, const char *name,
			       struct side_file *out)
{
	(void)side;
	return open_as(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, out);
}

static ssize_t machine_read(struct side *side, struct side_file *file, uint64_t offset,
			    void *buffer, size_t len)
{
	ssize_t got = pread((int)file->id, buffer, len, (off_t)offset);

	(void)side;
	return got < 0 ? -errno : got;
}

static ssize_t machine_write(struct side *side, struct side_file *file, uint64_t offset,
			     const void *bytes, size_t len)
{
	ssize_t put = pwrite((int)file->id, bytes, len, (off_t)offset);

	(void)side;
	return put < 0 ? -errno : put;
}

static off_t machine_seek(struct side *side, struct side_file *file, uint64_t offset, int whence)
{
	off_t at = lseek((int)file->id, (off_t)offset, whence);

	(void)side;
	return at < 0 ? -errno : at;
}

static int machine_set_size(struct side *side, struct side_file *file, uint64_t size)
{
	(void)side;
	return ftruncate((int)file->id, (off_t)size) ? -errno : 0;
}

static int machine_close_file(struct side *side, struct side_file *file)
{
	(void)side;
	return close((int)file->id) ? -errno : 0;
}

static int machine_make(struct side *side, const struct side_dir *dir, const char *name,
			const struct libfs_attr *attr, const char *target)
{
	int err;

	(void)side;
	if (S_ISLNK(attr->mode))
		err = symlinkat(target, (int)dir->id, name);
	else if (S_ISDIR(attr->mode))
		err = mkdirat((int)dir->id, name, 0700);
	else
		err = mknodat((int)dir->id, name, (attr->mode & S_IFMT) | 0600, (dev_t)attr->rdev);
	return err ? -errno : 0;
}

/*
 * As cp(1) does: who may not give files away keeps them, without set-id bits.
 */
static int machine_set_owner(int dir, const char *name, const struct libfs_attr *attr,
			     uint32_t *mode)
{
	if (!fchownat(dir, name, attr->uid, attr->gid, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (errno != EPERM || geteuid() == 0)
		return -errno;
	*mode &= ~(uint32_t)(S_ISUID | S_ISGID);
	return 0;
}

static int machine_set_attr(struct side *side, const struct side_dir *dir, const char *name,
			    const struct libfs_attr *attr, uint32_t which)
{
	struct timespec times[2] = { attr->atime, attr->mtime };
	uint32_t mode = attr->mode;
	int fd = (int)dir->id, err = 0;

	(void)side;
	if (which & LIBFS_SET_UID)
		err = machine_set_owner(fd, name, attr, &mode);
	if (!err && (which & LIBFS_SET_MODE) && !S_ISLNK(mode) &&
	    fchmodat(fd, name, mode & 07777, 0))
		err = -errno;
	if (!err && (which & LIBFS_SET_MTIME) && utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW))
		err = -errno;
	return err;
}

/* A name in an open directory as a path, for calls that take no descriptor. */
struct proc_path {
	char text[sizeof("/proc/self/fd/") + 11 + LIBFS_NAME_MAX + 1];
};

static struct proc_path proc_path(const struct side_dir *dir, const char *name)
{
	struct proc_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d/%s", (int)dir->id, name);
	return path;
}

static ssize_t proc_list(void *arg, char *names, size_t size)
{
	ssize_t got = llistxattr(arg, names, size);

	return got < 0 ? -errno : got;
}

static ssize_t proc_get(void *arg, const char *name, void *value, size_t size)
{
	ssize_t got = lgetxattr(arg, name, value, size);

	return got < 0 ? -errno : got;
}

static int machine_get_xattrs(struct side *side, const struct side_dir *dir, const char *name,
			      struct xattrs *out)
{
	struct proc_path path = proc_path(dir, name);

	(void)side;
	return xattrs_read(&(struct xattr_source){ proc_list, proc_get, path.text }, out);
}

/* Who is not root may not give a file trusted attributes; as cp(1), it gets none. */
static int machine_set_xattr(struct side *side, const struct side_dir *dir, const char *name,
			     const struct xattr *xattr)
{
	struct proc_path path = proc_path(dir, name);

	(void)side;
	if (!lsetxattr(path.text, xattr->name, xattr->value, xattr->size, 0))
		return 0;
	if (errno == EPERM && geteuid() != 0 && strncmp(xattr->name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	return -errno;
}

static int machine_remove(struct side *side, const struct side_dir *dir, const char *name,
			  bool is_dir)
{
	(void)side;
	return unlinkat((int)dir->id, name, is_dir ? AT_REMOVEDIR : 0) ? -errno : 0;
}

static int machine_keep(struct side *side, const struct side_dir *base, const char *path,
			const struct side_dir *dir, const char *name, struct side_link *out)
{
	(void)side;
	(void)dir;
	(void)name;
	*out = (struct side_link){ .dir = *base, .path = strdup(path) };
	return out->path ? 0 : -ENOMEM;
}

static int machine_link(struct side *side, const struct side_link *old, const struct side_dir *dir,
			const char *name)
{
	(void)side;
	return linkat((int)old->dir.id, old->path, (int)dir->id, name, 0) ? -errno : 0;
}

static void machine_drop(struct side *side, struct side_link *link)
{
	(void)side;
	free(link->path);
}

struct side side_of_machine(void)
{
	static const struct side_ops ops = {
		.open_dir = machine_open_dir,
		.close_dir = machine_close_dir,
		.list = machine_list,
		.look = machine_look,
		.read_link = machine_read_link,
		.open_file = machine_open_file,
		.create_file = machine_create_file,
		.read = machine_read,
		.write = machine_write,
		.seek = machine_seek,
		.set_size = machine_set_size,
		.close_file = machine_close_file,
		.make = machine_make,
		.set_attr = machine_set_attr,
		.get_xattrs = machine_get_xattrs,
		.set_xattr = machine_set_xattr,
		.remove = machine_remove,
		.keep = machine_keep,
		.link = machine_link,
		.drop = machine_drop,
	};

	return (struct side){ .ops = &ops };
}

/* Cut trailing slashes (but for the one of "/"). */
static size_t trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

int side_machine_split(const char *path, struct side_dir *dir, char name[LIBFS_NAME_MAX + 1])
{
	size_t len = trimmed(path), start = len;
	char *parent;
	int fd;

	while (start > 0 && path[start - 1] != '/')
		start--;
	if (len - start > LIBFS_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, path + start, len - start);
	name[len - start] = '\0';
	if (!name_is_safe(name, len - start)) { /* "/", ".", "a/..": the directory itself */
		start = len;
		strcpy(name, ".");
	}
	parent = start ? strndup(path, start) : strdup(".");
	if (!parent)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(parent);
	if (fd < 0)
		return -errno;
	*dir = (struct side_dir){ .id = (uint64_t)fd };
	return 0;
}
