/* SPDX-License-Identifier: MIT */
/*
 * The POSIX suite: sentences about what programs may expect of a file system,
 * told once and asked twice, of a LibFS in process and of a mount.
 *
 *  (1) A sentence knows only this header.  What is behind it was linked in: a
 *      small process-like layer over libfs.h (px_libfs.c), or real system calls
 *      on a mounted directory (px_mount.c).
 *  (2) Each runs in a directory of its own, empty, mode 0777, owned by root; paths
 *      are relative to it.  In process it has a disk of its own as well, which
 *      xn-fsck finds clean afterwards.
 *  (3) Calls return what the system call returns, or -errno.
 *  (4) Who asks is whom px_as() said last; a sentence begins as root, umask 022.
 *  (5) What a LibFS does not have it refuses by the name POSIX has for it; which
 *      LibFS has what is known (px_can), so nothing passes by being refused.
 */
#ifndef TESTS_FS_POSIX_PX_H
#define TESTS_FS_POSIX_PX_H

#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct px;

/* Users of the sentences: the owner and the member share a group, the stranger has none. */
#define OWNER    1001u
#define MEMBER   1002u
#define STRANGER 1003u
#define GROUP    2001u /* of owner and member */
#define ELSEWISE 2003u /* of the stranger */
#define EXTRA    2009u /* of nobody but by px_as_groups() */

/* ---- what is asked ---- */

#define PX_KERNEL 1u /* about what the kernel adds: mounts only */

struct px_case {
	const char *name;
	void (*run)(struct px *p);
	unsigned flags;
};
struct px_suite {
	const char *name;
	const struct px_case *cases;
	size_t count;
};
#define PX(function)                   \
	{                              \
#function, function, 0 \
	}
#define PX_MOUNT(function)                     \
	{                                      \
#function, function, PX_KERNEL \
	}
#define PX_SUITE(id, cases) \
	const struct px_suite id##_suite = { #id, (cases), sizeof(cases) / sizeof((cases)[0]) }

extern const struct px_suite opening_suite, directories_suite, links_suite, renames_suite,
	permissions_suite, owners_suite, times_suite, contents_suite, attributes_suite,
	kernel_suite;
/* The sentences every path call has to obey, one for each call; the array is the caller's. */
struct px_matrix {
	char name[96];
	void (*run)(struct px *p, const void *call);
	const void *call;
	unsigned flags;
};
size_t px_matrix(struct px_matrix *out, size_t max);

/* ---- the driver ---- */

enum px_feature {
	PX_XATTR,     /* user.* attributes */
	PX_EXCHANGE,  /* RENAME_EXCHANGE */
	PX_KEEP_SIZE, /* blocks set aside past the end */
	PX_CALLS,     /* real system calls: the kernel is in between */
};
bool px_can(const struct px *p, enum px_feature feature);

/* `what` is a LibFS's name; `where` a mounted directory, or NULL in process. */
struct px *px_begin(const char *what, const char *where);
void px_end(struct px *p);
/* Another process on the same files, for a thread of its own: descriptors and ids are not shared. */
struct px *px_fork(struct px *p);
void px_exit(struct px *p);

void px_as_root(struct px *p);
void px_as(struct px *p, uid_t uid, gid_t gid);
void px_as_groups(struct px *p, uid_t uid, gid_t gid, const gid_t *groups, size_t count);
void px_umask(struct px *p, mode_t mask);
/* Time passes, also for a coarse clock; and the host writes back, in its own time. */
void px_tick(struct px *p);
/* Mount what is there anew: nothing is remembered from before.  No descriptor may be open. */
void px_readonly(struct px *p, bool readonly);

int px_open(struct px *p, const char *path, int flags, mode_t mode);
int px_close(struct px *p, int fd);
ssize_t px_read(struct px *p, int fd, void *bytes, size_t len);
ssize_t px_write(struct px *p, int fd, const void *bytes, size_t len);
ssize_t px_pread(struct px *p, int fd, void *bytes, size_t len, off_t off);
ssize_t px_pwrite(struct px *p, int fd, const void *bytes, size_t len, off_t off);
off_t px_lseek(struct px *p, int fd, off_t off, int whence);
int px_fstat(struct px *p, int fd, struct stat *st);
int px_fchmod(struct px *p, int fd, mode_t mode);
int px_fchown(struct px *p, int fd, uid_t uid, gid_t gid);
int px_ftruncate(struct px *p, int fd, off_t size);
int px_futimens(struct px *p, int fd, const struct timespec times[2]);
int px_fallocate(struct px *p, int fd, int mode, off_t off, off_t len);
int px_fsync(struct px *p, int fd);
int px_fdatasync(struct px *p, int fd);

int px_stat(struct px *p, const char *path, struct stat *st);
int px_lstat(struct px *p, const char *path, struct stat *st);
int px_mkdir(struct px *p, const char *path, mode_t mode);
int px_mknod(struct px *p, const char *path, mode_t mode, dev_t dev);
int px_symlink(struct px *p, const char *target, const char *path);
ssize_t px_readlink(struct px *p, const char *path, char *target, size_t size);
int px_link(struct px *p, const char *from, const char *to);
int px_unlink(struct px *p, const char *path);
int px_rmdir(struct px *p, const char *path);
int px_rename(struct px *p, const char *from, const char *to);
int px_rename2(struct px *p, const char *from, const char *to, unsigned flags);
int px_chmod(struct px *p, const char *path, mode_t mode);
int px_chown(struct px *p, const char *path, uid_t uid, gid_t gid);
int px_lchown(struct px *p, const char *path, uid_t uid, gid_t gid);
int px_truncate(struct px *p, const char *path, off_t size);
/* times NULL: both now. */
int px_utimens(struct px *p, const char *path, const struct timespec times[2]);
int px_lutimens(struct px *p, const char *path, const struct timespec times[2]);
int px_access(struct px *p, const char *path, int mode); /* by the effective ids */
int px_statvfs(struct px *p, const char *path, struct statvfs *st);
int px_setxattr(struct px *p, const char *path, const char *name, const void *value, size_t size,
		int flags);
ssize_t px_getxattr(struct px *p, const char *path, const char *name, void *value, size_t size);
ssize_t px_listxattr(struct px *p, const char *path, char *names, size_t size);
int px_removexattr(struct px *p, const char *path, const char *name);

/* A stream of entries, "." and ".." among them. */
struct px_dir;
struct px_entry {
	ino_t ino;
	unsigned type; /* DT_* */
	char name[256];
};
int px_opendir(struct px *p, const char *path, struct px_dir **out);
int px_readdir(struct px *p, struct px_dir *dir, struct px_entry *out); /* 1, 0 at the end */
long px_telldir(struct px *p, struct px_dir *dir);
void px_seekdir(struct px *p, struct px_dir *dir, long where); /* 0: from the start */
void px_closedir(struct px *p, struct px_dir *dir);

/* ---- what sentences are made of: px.c ---- */

#define works(call)         px_works((call), #call, __FILE__, __LINE__)
#define refused(call, code) px_refused((call), (code), #call, __FILE__, __LINE__)
int64_t px_works(int64_t got, const char *call, const char *file, int line);
void px_refused(int64_t got, int code, const char *call, const char *file, int line);

void px_file(struct px *p, const char *path, const char *content, mode_t mode);
void px_dir_of(struct px *p, const char *path, mode_t mode);
/* Both also give it to an owner. */
void px_file_for(struct px *p, const char *path, uid_t uid, gid_t gid, mode_t mode);
void px_dir_for(struct px *p, const char *path, uid_t uid, gid_t gid, mode_t mode);
struct stat px_status(struct px *p, const char *path); /* lstat, which must work */
mode_t px_mode(struct px *p, const char *path);        /* the twelve bits */
void px_holds(struct px *p, const char *path, const char *content);
/* The name is not there. */
void px_gone(struct px *p, const char *path);
/* A name of `len` bytes. */
const char *px_long(char *buffer, size_t len, char fill);
/* How many names a directory holds, "." and ".." left out. */
size_t px_count(struct px *p, const char *path);

/* Every type of file there is, made at `path` by name; the list ends with NULL. */
extern const char *const px_types[];
void px_make(struct px *p, const char *type, const char *path);

/* Which times moved between two looks. */
#define A 1u
#define M 2u
#define C 4u
unsigned px_moved(const struct stat *before, const struct stat *after);

#endif
