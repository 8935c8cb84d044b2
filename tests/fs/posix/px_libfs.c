/* SPDX-License-Identifier: MIT */
/*
 * The driver in process: paths, descriptors and streams over libfs.h.
 *
 * It does what a kernel does before it asks a file system (walk a path, follow
 * symlinks, keep descriptors) and decides nothing else: permission, types and
 * times are the LibFS's.
 */
#include "px.h"

#include "fs_fixture.h"

#define DESCRIPTORS 64
#define LINKS_MAX   40u
#define PATH_BYTES  4096u
#define AHEAD       5 /* entries read at once, as a C library does */

struct descriptor {
	bool open;
	libfs_ino_t ino;
	uint64_t handle;
	int flags;
	off_t at;
};

struct px {
	struct fx *fx;
	libfs_ino_t dir; /* where paths begin */
	struct xn_cred cred;
	struct libfs_ctx ctx;
	struct descriptor table[DESCRIPTORS];
};

struct px_dir {
	libfs_ino_t ino;
	uint64_t handle, cookie;
	struct libfs_dirent ahead[AHEAD];
	ssize_t count, next;
};

/* Where a path leads: the directory, the last name, and what it names now. */
struct place {
	libfs_ino_t dir;
	char name[PATH_BYTES];
	bool exists, slash; /* a '/' behind the last name */
	struct libfs_attr attr;
};

/* ---- life ---- */

static const struct libfs_ctx *asker(struct px *p)
{
	int64_t now = __atomic_add_fetch(&p->fx->now, 1, __ATOMIC_RELAXED);

	p->ctx.cred = &p->cred;
	p->ctx.now = (struct timespec){ .tv_sec = now, .tv_nsec = now % 1000 + 1 };
	return &p->ctx;
}

bool px_can(const struct px *p, enum px_feature feature)
{
	return feature != PX_CALLS && strcmp(p->fx->opts.libfs, "simplefs") != 0;
}

struct px *px_begin(const char *what, const char *where)
{
	struct fx_opts opts = { .libfs = what, .size = 32ull << 20 };
	struct px *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_null(where);
	p->fx = fx_new(&opts);
	p->ctx.umask = 022;
	p->dir = fx_mkdir(p->fx, FX_ROOT, "test");
	assert_ok(fx_chmod(p->fx, p->dir, 0777));
	return p;
}

struct px *px_fork(struct px *p)
{
	struct px *other = calloc(1, sizeof(*other));

	assert_non_null(other);
	other->fx = p->fx;
	other->dir = p->dir;
	other->ctx.umask = p->ctx.umask;
	return other;
}

void px_exit(struct px *p)
{
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (p->table[fd].open)
			px_close(p, fd);
	free(p);
}

void px_end(struct px *p)
{
	struct fx *fx = p->fx;

	px_exit(p);
	fx_fini(fx);
}

void px_as_groups(struct px *p, uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	p->cred = (struct xn_cred){ .uid = uid, .gid = gid, .n_groups = (uint32_t)count };
	assert_true(count <= XN_GROUPS_MAX);
	for (size_t i = 0; i < count; i++)
		p->cred.groups[i] = groups[i];
}

void px_as(struct px *p, uid_t uid, gid_t gid)
{
	px_as_groups(p, uid, gid, NULL, 0);
}

void px_as_root(struct px *p)
{
	px_as(p, 0, 0);
}

void px_umask(struct px *p, mode_t mask)
{
	p->ctx.umask = mask;
}

/* As time passes a host writes back. */
void px_tick(struct px *p)
{
	p->fx->now++;
	assert_ok(libfs_sync(p->fx->fs));
}

void px_readonly(struct px *p, bool readonly)
{
	fx_close(p->fx);
	fx_open(p->fx);
	fx_mount(p->fx, readonly ? LIBFS_MOUNT_RDONLY : 0);
}

/* ---- paths ---- */

static int look(struct px *p, libfs_ino_t dir, const char *name, struct libfs_attr *attr)
{
	int err = libfs_lookup(p->fx->fs, asker(p), dir, name, attr);

	if (!err)
		libfs_forget(p->fx->fs, attr->ino, 1);
	return err;
}

/* Put a symlink's target before what is left of the path. */
static int follow(struct px *p, struct place *place, char *rest, size_t size, const char *left)
{
	char target[LIBFS_SYMLINK_MAX + 1], tail[PATH_BYTES];
	ssize_t n = libfs_readlink(p->fx->fs, asker(p), place->attr.ino, target, LIBFS_SYMLINK_MAX);

	if (n < 0)
		return (int)n;
	target[n] = '\0';
	snprintf(tail, sizeof(tail), "%s%s", place->slash || *left ? "/" : "", left);
	if (target[0] == '/')
		place->dir = FX_ROOT;
	n = snprintf(rest, size, "%s%s", target, tail);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Cut the next name off `rest`; what is left begins at the return value. */
static const char *cut(const char *rest, struct place *place)
{
	size_t len;

	rest += strspn(rest, "/");
	len = strcspn(rest, "/");
	memcpy(place->name, rest, len);
	place->name[len] = '\0';
	if (len == 0) /* only slashes: the directory itself */
		strcpy(place->name, ".");
	rest += len;
	place->slash = *rest == '/';
	return rest + strspn(rest, "/");
}

static int resolve(struct px *p, const char *path, bool following, struct place *place)
{
	char rest[3 * PATH_BYTES];
	const char *left = rest;
	unsigned links = 0;

	*place = (struct place){ .dir = p->dir };
	if (!*path)
		return -ENOENT;
	if (strlen(path) >= PATH_BYTES)
		return -ENAMETOOLONG;
	strcpy(rest, path);
	for (;;) {
		int err;

		left = cut(left, place);
		err = look(p, place->dir, place->name, &place->attr);
		if (err == -ENOENT && !*left)
			return 0;
		if (err)
			return err;
		if (S_ISLNK(place->attr.mode) && (*left || following || place->slash)) {
			err = ++links > LINKS_MAX ? -ELOOP
						  : follow(p, place, rest, sizeof(rest), left);
			if (err)
				return err;
			left = rest;
			continue;
		}
		if (!S_ISDIR(place->attr.mode) && (*left || place->slash))
			return -ENOTDIR;
		place->exists = !*left;
		if (!*left)
			return 0;
		place->dir = place->attr.ino;
	}
}

static int find(struct px *p, const char *path, bool following, struct libfs_attr *attr)
{
	struct place place;
	int err = resolve(p, path, following, &place);

	if (!err && !place.exists)
		err = -ENOENT;
	*attr = place.attr;
	return err;
}

/* What made a file gives a reference, which nobody here needs. */
static int made(struct px *p, int err, const struct libfs_attr *attr)
{
	if (!err)
		libfs_forget(p->fx->fs, attr->ino, 1);
	return err;
}

/* What the kernel makes of "not there at all". */
static ssize_t unsupported(ssize_t result)
{
	return result == -ENOSYS ? -EOPNOTSUPP : result;
}

static void to_stat(const struct libfs_attr *attr, struct stat *st)
{
	*st = (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blksize = attr->blksize,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

/* ---- descriptors ---- */

static struct descriptor *at(struct px *p, int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && p->table[fd].open ? &p->table[fd] : NULL;
}

static off_t size_of(struct px *p, libfs_ino_t ino)
{
	struct libfs_attr attr = { .size = 0 };

	libfs_getattr(p->fx->fs, asker(p), ino, &attr);
	return (off_t)attr.size;
}

static int open_inode(struct px *p, libfs_ino_t ino, int flags, bool is_new)
{
	const struct xn_cred cred = p->cred;
	int fd = 0, err;

	while (fd < DESCRIPTORS && p->table[fd].open)
		fd++;
	if (fd == DESCRIPTORS)
		return -EMFILE;
	/* Who makes a file may use it as he asked, whatever its mode. */
	if (is_new)
		px_as_root(p);
	p->table[fd] = (struct descriptor){ .open = true, .ino = ino, .flags = flags };
	err = libfs_open(p->fx->fs, asker(p), ino,
			 (uint32_t)flags & ~(uint32_t)(O_CREAT | O_EXCL | O_APPEND),
			 &p->table[fd].handle);
	p->cred = cred;
	p->table[fd].open = !err;
	return err ? err : fd;
}

int px_open(struct px *p, const char *path, int flags, mode_t mode)
{
	bool exclusive = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
	struct place place;
	int err = resolve(p, path, !exclusive && !(flags & O_NOFOLLOW), &place), fd;

	if (err)
		return err;
	if (place.exists && exclusive)
		return -EEXIST;
	if (place.exists && (flags & O_CREAT) && S_ISDIR(place.attr.mode))
		return -EISDIR;
	if (place.exists)
		return open_inode(p, place.attr.ino, flags, false);
	if (!(flags & O_CREAT))
		return -ENOENT;
	if (place.slash)
		return -EISDIR;
	err = libfs_create(p->fx->fs, asker(p), place.dir, place.name, mode, exclusive,
			   &place.attr);
	if (err)
		return err;
	fd = open_inode(p, place.attr.ino, flags, true);
	libfs_forget(p->fx->fs, place.attr.ino, 1);
	return fd;
}

int px_close(struct px *p, int fd)
{
	struct descriptor *d = at(p, fd);

	if (!d)
		return -EBADF;
	libfs_release(p->fx->fs, d->ino, d->handle);
	d->open = false;
	return 0;
}

ssize_t px_pread(struct px *p, int fd, void *bytes, size_t len, off_t off)
{
	struct descriptor *d = at(p, fd);

	if (!d || (d->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (off < 0)
		return -EINVAL;
	return libfs_read(p->fx->fs, asker(p), d->ino, d->handle, (uint64_t)off, bytes, len);
}

ssize_t px_read(struct px *p, int fd, void *bytes, size_t len)
{
	struct descriptor *d = at(p, fd);
	ssize_t n = d ? px_pread(p, fd, bytes, len, d->at) : -EBADF;

	if (n > 0)
		d->at += n;
	return n;
}

ssize_t px_pwrite(struct px *p, int fd, const void *bytes, size_t len, off_t off)
{
	struct descriptor *d = at(p, fd);

	if (!d || (d->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (off < 0)
		return -EINVAL;
	return libfs_write(p->fx->fs, asker(p), d->ino, d->handle, (uint64_t)off, bytes, len);
}

ssize_t px_write(struct px *p, int fd, const void *bytes, size_t len)
{
	struct descriptor *d = at(p, fd);
	ssize_t n;

	if (!d)
		return -EBADF;
	if (d->flags & O_APPEND)
		d->at = size_of(p, d->ino);
	n = px_pwrite(p, fd, bytes, len, d->at);
	if (n > 0)
		d->at += n;
	return n;
}

off_t px_lseek(struct px *p, int fd, off_t off, int whence)
{
	struct descriptor *d = at(p, fd);

	if (!d)
		return -EBADF;
	switch (whence) {
	case SEEK_SET: break;
	case SEEK_CUR: off += d->at; break;
	case SEEK_END: off += size_of(p, d->ino); break;
	default:
		if (off < 0)
			return -ENXIO;
		off = libfs_seek(p->fx->fs, asker(p), d->ino, (uint64_t)off, whence);
		if (off < 0)
			return off;
	}
	if (off < 0)
		return -EINVAL;
	return d->at = off;
}

/* ---- attributes ---- */

int px_fstat(struct px *p, int fd, struct stat *st)
{
	struct descriptor *d = at(p, fd);
	struct libfs_attr attr;
	int err;

	if (!d)
		return -EBADF;
	err = libfs_getattr(p->fx->fs, asker(p), d->ino, &attr);
	if (!err)
		to_stat(&attr, st);
	return err;
}

static int stat_at(struct px *p, const char *path, bool following, struct stat *st)
{
	struct libfs_attr attr;
	int err = find(p, path, following, &attr);

	if (!err)
		err = libfs_getattr(p->fx->fs, asker(p), attr.ino, &attr);
	if (!err)
		to_stat(&attr, st);
	return err;
}

int px_stat(struct px *p, const char *path, struct stat *st)
{
	return stat_at(p, path, true, st);
}

int px_lstat(struct px *p, const char *path, struct stat *st)
{
	return stat_at(p, path, false, st);
}

static int set_inode(struct px *p, libfs_ino_t ino, uint32_t which, struct libfs_attr wanted)
{
	struct libfs_attr after;

	return libfs_setattr(p->fx->fs, asker(p), ino, &wanted, which, &after);
}

static int set_open(struct px *p, int fd, uint32_t which, struct libfs_attr wanted)
{
	struct descriptor *d = at(p, fd);

	return d ? set_inode(p, d->ino, which, wanted) : -EBADF;
}

static int set_path(struct px *p, const char *path, bool following, uint32_t which,
		    struct libfs_attr wanted)
{
	struct libfs_attr attr;
	int err = find(p, path, following, &attr);

	return err ? err : set_inode(p, attr.ino, which, wanted);
}

int px_fchmod(struct px *p, int fd, mode_t mode)
{
	return set_open(p, fd, LIBFS_SET_MODE, (struct libfs_attr){ .mode = mode });
}

int px_chmod(struct px *p, const char *path, mode_t mode)
{
	return set_path(p, path, true, LIBFS_SET_MODE, (struct libfs_attr){ .mode = mode });
}

static uint32_t which_ids(uid_t uid, gid_t gid)
{
	return (uid == (uid_t)-1 ? 0 : LIBFS_SET_UID) | (gid == (gid_t)-1 ? 0 : LIBFS_SET_GID);
}

int px_fchown(struct px *p, int fd, uid_t uid, gid_t gid)
{
	return set_open(p, fd, which_ids(uid, gid), (struct libfs_attr){ .uid = uid, .gid = gid });
}

int px_chown(struct px *p, const char *path, uid_t uid, gid_t gid)
{
	return set_path(p, path, true, which_ids(uid, gid),
			(struct libfs_attr){ .uid = uid, .gid = gid });
}

int px_lchown(struct px *p, const char *path, uid_t uid, gid_t gid)
{
	return set_path(p, path, false, which_ids(uid, gid),
			(struct libfs_attr){ .uid = uid, .gid = gid });
}

int px_ftruncate(struct px *p, int fd, off_t size)
{
	struct descriptor *d = at(p, fd);

	if (!d)
		return -EBADF;
	if (size < 0 || (d->flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	return set_inode(p, d->ino, LIBFS_SET_SIZE | LIBFS_SET_OPEN,
			 (struct libfs_attr){ .size = (uint64_t)size });
}

int px_truncate(struct px *p, const char *path, off_t size)
{
	if (size < 0)
		return -EINVAL;
	return set_path(p, path, true, LIBFS_SET_SIZE,
			(struct libfs_attr){ .size = (uint64_t)size });
}

static uint32_t which_times(const struct timespec times[2], struct libfs_attr *attr)
{
	static const uint32_t set[] = { LIBFS_SET_ATIME, LIBFS_SET_MTIME };
	static const uint32_t now[] = { LIBFS_SET_ATIME_NOW, LIBFS_SET_MTIME_NOW };
	uint32_t which = 0;

	for (int i = 0; i < 2; i++) {
		if (!times || times[i].tv_nsec == UTIME_NOW)
			which |= now[i];
		else if (times[i].tv_nsec != UTIME_OMIT)
			which |= set[i];
	}
	*attr = (struct libfs_attr){ .size = 0 };
	if (times) {
		attr->atime = times[0];
		attr->mtime = times[1];
	}
	return which;
}

int px_futimens(struct px *p, int fd, const struct timespec times[2])
{
	struct libfs_attr attr;
	uint32_t which = which_times(times, &attr);

	return which ? set_open(p, fd, which, attr) : 0;
}

int px_utimens(struct px *p, const char *path, const struct timespec times[2])
{
	struct libfs_attr attr;
	uint32_t which = which_times(times, &attr);

	return which ? set_path(p, path, true, which, attr) : 0;
}

int px_lutimens(struct px *p, const char *path, const struct timespec times[2])
{
	struct libfs_attr attr;
	uint32_t which = which_times(times, &attr);

	return which ? set_path(p, path, false, which, attr) : 0;
}

int px_access(struct px *p, const char *path, int mode)
{
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	return err || mode == F_OK ? err
				   : libfs_access(p->fx->fs, asker(p), attr.ino, (uint32_t)mode);
}

int px_statvfs(struct px *p, const char *path, struct statvfs *st)
{
	struct libfs_statfs space;
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	if (!err)
		err = libfs_statfs(p->fx->fs, &space);
	if (!err)
		*st = (struct statvfs){
			.f_bsize = space.block_size,
			.f_frsize = space.block_size,
			.f_blocks = space.blocks,
			.f_bfree = space.blocks_free,
			.f_bavail = space.blocks_available,
			.f_files = space.files,
			.f_ffree = space.files_free,
			.f_namemax = space.name_max,
		};
	return err;
}

int px_fallocate(struct px *p, int fd, int mode, off_t off, off_t len)
{
	struct descriptor *d = at(p, fd);

	if (!d || (d->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (off < 0 || len <= 0)
		return -EINVAL;
	return libfs_fallocate(p->fx->fs, asker(p), d->ino, (uint32_t)mode, (uint64_t)off,
			       (uint64_t)len);
}

int px_fsync(struct px *p, int fd)
{
	struct descriptor *d = at(p, fd);

	return d ? libfs_fsync(p->fx->fs, d->ino, false) : -EBADF;
}

int px_fdatasync(struct px *p, int fd)
{
	struct descriptor *d = at(p, fd);

	return d ? libfs_fsync(p->fx->fs, d->ino, true) : -EBADF;
}

/* ---- names ---- */

/* A place where nothing is yet. */
static int resolve_new(struct px *p, const char *path, bool may_slash, struct place *place)
{
	int err = resolve(p, path, false, place);

	if (err)
		return err;
	if (place->exists)
		return -EEXIST;
	return place->slash && !may_slash ? -ENOENT : 0;
}

int px_mkdir(struct px *p, const char *path, mode_t mode)
{
	struct place place;
	int err = resolve_new(p, path, true, &place);

	if (err)
		return err;
	err = libfs_mkdir(p->fx->fs, asker(p), place.dir, place.name, mode, &place.attr);
	return made(p, err, &place.attr);
}

int px_mknod(struct px *p, const char *path, mode_t mode, dev_t dev)
{
	struct place place;
	int err = resolve_new(p, path, false, &place);

	if (err)
		return err;
	err = libfs_mknod(p->fx->fs, asker(p), place.dir, place.name, mode, dev, &place.attr);
	return made(p, err, &place.attr);
}

int px_symlink(struct px *p, const char *target, const char *path)
{
	struct place place;
	int err = resolve_new(p, path, false, &place);

	if (err)
		return err;
	if (strlen(target) >= PATH_BYTES)
		return -ENAMETOOLONG;
	err = libfs_symlink(p->fx->fs, asker(p), place.dir, place.name, target, &place.attr);
	return made(p, err, &place.attr);
}

ssize_t px_readlink(struct px *p, const char *path, char *target, size_t size)
{
	struct libfs_attr attr;
	int err = find(p, path, false, &attr);

	return err ? err : libfs_readlink(p->fx->fs, asker(p), attr.ino, target, size);
}

int px_link(struct px *p, const char *from, const char *to)
{
	struct libfs_attr attr;
	struct place place;
	int err = find(p, from, false, &attr);

	if (!err)
		err = resolve_new(p, to, false, &place);
	if (err)
		return err;
	err = libfs_link(p->fx->fs, asker(p), attr.ino, place.dir, place.name, &attr);
	return made(p, err, &attr);
}

int px_unlink(struct px *p, const char *path)
{
	struct place place;
	int err = resolve(p, path, false, &place);

	if (!err && !place.exists)
		err = -ENOENT;
	return err ? err : libfs_unlink(p->fx->fs, asker(p), place.dir, place.name);
}

int px_rmdir(struct px *p, const char *path)
{
	struct place place;
	int err = resolve(p, path, false, &place);

	if (!err && !place.exists)
		err = -ENOENT;
	return err ? err : libfs_rmdir(p->fx->fs, asker(p), place.dir, place.name);
}

int px_rename2(struct px *p, const char *from, const char *to, unsigned flags)
{
	struct place old, new = { .dir = p->dir };
	int err = resolve(p, from, false, &old);

	if (!err)
		err = resolve(p, to, false, &new);
	if (!err && !old.exists)
		err = -ENOENT;
	if (!err && new.slash && !S_ISDIR(old.attr.mode))
		err = -ENOTDIR;
	if (err)
		return err;
	return libfs_rename(p->fx->fs, asker(p), old.dir, old.name, new.dir, new.name, flags);
}

int px_rename(struct px *p, const char *from, const char *to)
{
	return px_rename2(p, from, to, 0);
}

/* ---- extended attributes ---- */

int px_setxattr(struct px *p, const char *path, const char *name, const void *value, size_t size,
		int flags)
{
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	return err ? err
		   : (int)unsupported(libfs_setxattr(p->fx->fs, asker(p), attr.ino, name, value,
						     size, (uint32_t)flags));
}

ssize_t px_getxattr(struct px *p, const char *path, const char *name, void *value, size_t size)
{
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	return err ? err
		   : unsupported(libfs_getxattr(p->fx->fs, asker(p), attr.ino, name, value, size));
}

ssize_t px_listxattr(struct px *p, const char *path, char *names, size_t size)
{
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	return err ? err : unsupported(libfs_listxattr(p->fx->fs, asker(p), attr.ino, names, size));
}

int px_removexattr(struct px *p, const char *path, const char *name)
{
	struct libfs_attr attr;
	int err = find(p, path, true, &attr);

	return err ? err : (int)unsupported(libfs_removexattr(p->fx->fs, asker(p), attr.ino, name));
}

/* ---- directories ---- */

int px_opendir(struct px *p, const char *path, struct px_dir **out)
{
	struct libfs_attr attr;
	uint64_t handle;
	int err = find(p, path, true, &attr);

	if (!err && !S_ISDIR(attr.mode))
		err = -ENOTDIR;
	if (!err)
		err = libfs_open(p->fx->fs, asker(p), attr.ino, O_RDONLY | O_DIRECTORY, &handle);
	if (err)
		return err;
	*out = calloc(1, sizeof(**out));
	assert_non_null(*out);
	(*out)->ino = attr.ino;
	(*out)->handle = handle;
	return 0;
}

int px_readdir(struct px *p, struct px_dir *dir, struct px_entry *out)
{
	const struct libfs_dirent *entry;

	if (dir->next == dir->count) {
		dir->count = libfs_readdir(p->fx->fs, asker(p), dir->ino, dir->cookie, 0,
					   dir->ahead, AHEAD);
		dir->next = 0;
		if (dir->count <= 0)
			return (int)dir->count;
	}
	entry = &dir->ahead[dir->next++];
	dir->cookie = entry->cookie;
	*out = (struct px_entry){ .ino = entry->ino, .type = entry->type };
	assert_int_equal(entry->name_len, strlen(entry->name));
	memcpy(out->name, entry->name, entry->name_len + 1);
	return 1;
}

long px_telldir(struct px *p, struct px_dir *dir)
{
	(void)p;
	return (long)dir->cookie;
}

void px_seekdir(struct px *p, struct px_dir *dir, long where)
{
	(void)p;
	dir->cookie = (uint64_t)where;
	dir->next = dir->count = 0;
}

void px_closedir(struct px *p, struct px_dir *dir)
{
	libfs_release(p->fx->fs, dir->ino, dir->handle);
	free(dir);
}
