/* SPDX-License-Identifier: MIT */
/* The driver of mounts: real system calls, under the ids of whoever asks. */
#include "px.h"

#include <dirent.h>
#include <ftw.h>
#include <grp.h>
#include <linux/fs.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define DESCRIPTORS 256

struct px {
	const char *libfs;
	bool open[DESCRIPTORS]; /* a sentence that failed leaves some */
	bool readonly;
	char top[4096], dir[4200];
};

struct px_dir {
	DIR *stream;
};

#define RESULT(call) ((call) < 0 ? -errno : 0)

bool px_can(const struct px *p, enum px_feature feature)
{
	return feature == PX_CALLS || strcmp(p->libfs, "simplefs") != 0;
}

struct px *px_begin(const char *what, const char *where)
{
	struct px *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	assert_non_null(where);
	p->libfs = what;
	snprintf(p->top, sizeof(p->top), "%s", where);
	snprintf(p->dir, sizeof(p->dir), "%s/test.%d", p->top, getpid());
	umask(022);
	works(RESULT(mkdir(p->dir, 0777)));
	works(RESULT(chmod(p->dir, 0777)));
	works(RESULT(chdir(p->dir)));
	return p;
}

static int clear(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void px_end(struct px *p)
{
	px_as_root(p);
	umask(022);
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (p->open[fd])
			close(fd);
	if (p->readonly)
		px_readonly(p, false);
	works(RESULT(chdir(p->top)));
	if (nftw(p->dir, clear, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		fail_msg("%s cannot be removed: %s", p->dir, strerror(errno));
	free(p);
}

struct px *px_fork(struct px *p)
{
	struct px *other = calloc(1, sizeof(*other));

	assert_non_null(other);
	other->libfs = p->libfs;
	return other;
}

void px_exit(struct px *p)
{
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (p->open[fd])
			close(fd);
	free(p);
}

/* ---- who ---- */

void px_as_groups(struct px *p, uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	(void)p;
	if (seteuid(0) || setgroups(count, groups) || setegid(gid) || seteuid(uid))
		fail_msg("cannot become %u:%u: %s", uid, gid, strerror(errno));
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
	(void)p;
	umask(mask);
}

/* The kernel's coarse clock moves every 4 to 10 ms. */
void px_tick(struct px *p)
{
	(void)p;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

void px_readonly(struct px *p, bool readonly)
{
	struct statvfs st;
	unsigned long flags = MS_REMOUNT | MS_BIND | (readonly ? MS_RDONLY : 0);
	char top[4096];

	snprintf(top, sizeof(top), "%s", p->top);
	/* The top of the mount may be above. */
	while (mount(NULL, top, NULL, flags, NULL) < 0 && errno == EINVAL &&
	       strrchr(top, '/') > top)
		*strrchr(top, '/') = '\0';
	works(RESULT(statvfs(p->top, &st)));
	assert_int_equal(!!(st.f_flag & ST_RDONLY), readonly);
	p->readonly = readonly;
}

/* ---- calls ---- */

/* The number a call gave, or its errno. */
static ssize_t number(ssize_t result)
{
	return result < 0 ? -errno : result;
}

int px_open(struct px *p, const char *path, int flags, mode_t mode)
{
	int fd = (int)number(open(path, flags | O_CLOEXEC, mode));

	if (fd >= 0 && fd < DESCRIPTORS)
		p->open[fd] = true;
	return fd;
}

int px_close(struct px *p, int fd)
{
	if (fd >= 0 && fd < DESCRIPTORS)
		p->open[fd] = false;
	return RESULT(close(fd));
}

ssize_t px_read(struct px *p, int fd, void *bytes, size_t len)
{
	(void)p;
	return number(read(fd, bytes, len));
}

ssize_t px_write(struct px *p, int fd, const void *bytes, size_t len)
{
	(void)p;
	return number(write(fd, bytes, len));
}

ssize_t px_pread(struct px *p, int fd, void *bytes, size_t len, off_t off)
{
	(void)p;
	return number(pread(fd, bytes, len, off));
}

ssize_t px_pwrite(struct px *p, int fd, const void *bytes, size_t len, off_t off)
{
	(void)p;
	return number(pwrite(fd, bytes, len, off));
}

off_t px_lseek(struct px *p, int fd, off_t off, int whence)
{
	(void)p;
	return number(lseek(fd, off, whence));
}

int px_fstat(struct px *p, int fd, struct stat *st)
{
	(void)p;
	return RESULT(fstat(fd, st));
}

int px_fchmod(struct px *p, int fd, mode_t mode)
{
	(void)p;
	return RESULT(fchmod(fd, mode));
}

int px_fchown(struct px *p, int fd, uid_t uid, gid_t gid)
{
	(void)p;
	return RESULT(fchown(fd, uid, gid));
}

int px_ftruncate(struct px *p, int fd, off_t size)
{
	(void)p;
	return RESULT(ftruncate(fd, size));
}

int px_futimens(struct px *p, int fd, const struct timespec times[2])
{
	(void)p;
	return RESULT(futimens(fd, times));
}

int px_fallocate(struct px *p, int fd, int mode, off_t off, off_t len)
{
	(void)p;
	return RESULT(fallocate(fd, mode, off, len));
}

int px_fsync(struct px *p, int fd)
{
	(void)p;
	return RESULT(fsync(fd));
}

int px_fdatasync(struct px *p, int fd)
{
	(void)p;
	return RESULT(fdatasync(fd));
}

int px_stat(struct px *p, const char *path, struct stat *st)
{
	(void)p;
	return RESULT(stat(path, st));
}

int px_lstat(struct px *p, const char *path, struct stat *st)
{
	(void)p;
	return RESULT(lstat(path, st));
}

int px_mkdir(struct px *p, const char *path, mode_t mode)
{
	(void)p;
	return RESULT(mkdir(path, mode));
}

int px_mknod(struct px *p, const char *path, mode_t mode, dev_t dev)
{
	(void)p;
	return RESULT(mknod(path, mode, dev));
}

int px_symlink(struct px *p, const char *target, const char *path)
{
	(void)p;
	return RESULT(symlink(target, path));
}

ssize_t px_readlink(struct px *p, const char *path, char *target, size_t size)
{
	(void)p;
	return number(readlink(path, target, size));
}

int px_link(struct px *p, const char *from, const char *to)
{
	(void)p;
	return RESULT(link(from, to));
}

int px_unlink(struct px *p, const char *path)
{
	(void)p;
	return RESULT(unlink(path));
}

int px_rmdir(struct px *p, const char *path)
{
	(void)p;
	return RESULT(rmdir(path));
}

int px_rename(struct px *p, const char *from, const char *to)
{
	(void)p;
	return RESULT(rename(from, to));
}

int px_rename2(struct px *p, const char *from, const char *to, unsigned flags)
{
	(void)p;
	return RESULT(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags));
}

int px_chmod(struct px *p, const char *path, mode_t mode)
{
	(void)p;
	return RESULT(chmod(path, mode));
}

int px_chown(struct px *p, const char *path, uid_t uid, gid_t gid)
{
	(void)p;
	return RESULT(chown(path, uid, gid));
}

int px_lchown(struct px *p, const char *path, uid_t uid, gid_t gid)
{
	(void)p;
	return RESULT(lchown(path, uid, gid));
}

int px_truncate(struct px *p, const char *path, off_t size)
{
	(void)p;
	return RESULT(truncate(path, size));
}

int px_utimens(struct px *p, const char *path, const struct timespec times[2])
{
	(void)p;
	return RESULT(utimensat(AT_FDCWD, path, times, 0));
}

int px_lutimens(struct px *p, const char *path, const struct timespec times[2])
{
	(void)p;
	return RESULT(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
}

int px_access(struct px *p, const char *path, int mode)
{
	(void)p;
	return RESULT(syscall(SYS_faccessat2, AT_FDCWD, path, mode, AT_EACCESS));
}

int px_statvfs(struct px *p, const char *path, struct statvfs *st)
{
	(void)p;
	return RESULT(statvfs(path, st));
}

int px_setxattr(struct px *p, const char *path, const char *name, const void *value, size_t size,
		int flags)
{
	(void)p;
	return RESULT(setxattr(path, name, value, size, flags));
}

ssize_t px_getxattr(struct px *p, const char *path, const char *name, void *value, size_t size)
{
	(void)p;
	return number(getxattr(path, name, value, size));
}

ssize_t px_listxattr(struct px *p, const char *path, char *names, size_t size)
{
	(void)p;
	return number(listxattr(path, names, size));
}

int px_removexattr(struct px *p, const char *path, const char *name)
{
	(void)p;
	return RESULT(removexattr(path, name));
}

/* ---- directories ---- */

int px_opendir(struct px *p, const char *path, struct px_dir **out)
{
	DIR *stream = opendir(path);

	(void)p;
	if (!stream)
		return -errno;
	*out = calloc(1, sizeof(**out));
	assert_non_null(*out);
	(*out)->stream = stream;
	return 0;
}

int px_readdir(struct px *p, struct px_dir *dir, struct px_entry *out)
{
	struct dirent *entry;

	(void)p;
	errno = 0;
	entry = readdir(dir->stream);
	if (!entry)
		return -errno;
	*out = (struct px_entry){ .ino = entry->d_ino, .type = entry->d_type };
	snprintf(out->name, sizeof(out->name), "%s", entry->d_name);
	return 1;
}

long px_telldir(struct px *p, struct px_dir *dir)
{
	(void)p;
	return telldir(dir->stream);
}

void px_seekdir(struct px *p, struct px_dir *dir, long where)
{
	(void)p;
	if (where)
		seekdir(dir->stream, where);
	else
		rewinddir(dir->stream);
}

void px_closedir(struct px *p, struct px_dir *dir)
{
	(void)p;
	closedir(dir->stream);
	free(dir);
}
