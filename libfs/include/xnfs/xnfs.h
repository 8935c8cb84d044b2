/* SPDX-License-Identifier: MIT */
/*
 * libxnfs: the files of an XN disk from inside a program, without a mount.
 *
 *	struct xnfs *fs;
 *	struct xnfs_file *file;
 *	int err = xnfs_open("disk.img", NULL, &fs);
 *	if (!err)
 *		err = xnfs_file_open(fs, "/home/letter", O_RDONLY, 0, &file);
 *
 *  (1) The first component of a path is a root of the disk, as in a mount of all
 *      roots.  "/" is the top, which lists the roots and cannot be changed.
 *  (2) Everything returns 0 or what is said, or -errno; errno itself stays as it
 *      was.  The values are those that a system call on a mount would give.
 *  (3) Any number of threads may use one struct xnfs, and one file or directory;
 *      xnfs_close() and what closes a file end what they close.
 *  (4) Who asks is said at xnfs_open(), and permission is checked as for him.
 *  (5) Symbolic links are followed inside their root: ".." stops at its top, and
 *      an absolute target is refused with -EXDEV, for it names a file of the
 *      machine.
 *  (6) What xnfs_fsync() acknowledged survives any crash; other changes are
 *      written back every second, and at xnfs_sync() and xnfs_close().
 *  (7) A disk opened for writing belongs to this process until xnfs_close().
 */
#ifndef XNFS_XNFS_H
#define XNFS_XNFS_H

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xnfs;
struct xnfs_file;
struct xnfs_dir;

/* ---- disks ---- */

#define XNFS_RDONLY 1u /* nothing is written; others may read at the same time */

struct xnfs_opts {
	uint32_t flags;           /* XNFS_* */
	uint32_t uid, gid;        /* who asks; 0, 0: may everything */
	uint32_t umask;           /* of new files */
	uint32_t commit_ms;       /* write back that often; 0 = 1000 */
	uint32_t lock_timeout_ms; /* wait that long for a holder of the disk that is finishing */
	uint64_t cache_bytes;     /* 0 = XN's default */
	char *why;                /* receives a sentence on failure; may be NULL */
	size_t why_size;
};

/*
 * Open a disk: an image file or a block device.  opts may be NULL: for writing, as
 * uid 0.
 *
 * Fails with
 *   -EBUSY         another process holds it
 *   -EMEDIUMTYPE, -EPROTONOSUPPORT, -EUCLEAN   no XN disk, a newer one, a damaged one
 *   -EROFS         it cannot be written, and XNFS_RDONLY is not set
 *   -ENOENT, -EACCES, -EIO, -ENOMEM, ...
 */
int xnfs_open(const char *disk, const struct xnfs_opts *opts, struct xnfs **out);
/* Write back and close; all files and directories must be closed.  Gone in any case. */
int xnfs_close(struct xnfs *fs);
/* Everything done so far becomes stable. */
int xnfs_sync(struct xnfs *fs);

/* ---- names ---- */

int xnfs_stat(struct xnfs *fs, const char *path, struct stat *out);
int xnfs_lstat(struct xnfs *fs, const char *path, struct stat *out);
int xnfs_access(struct xnfs *fs, const char *path, int mode); /* R_OK, W_OK, X_OK, F_OK */
int xnfs_mkdir(struct xnfs *fs, const char *path, mode_t mode);
int xnfs_mknod(struct xnfs *fs, const char *path, mode_t mode, dev_t dev);
int xnfs_symlink(struct xnfs *fs, const char *target, const char *path);
/* NUL-terminated if there is room, cut if there is not; returns the length that is there. */
ssize_t xnfs_readlink(struct xnfs *fs, const char *path, char *target, size_t size);
int xnfs_link(struct xnfs *fs, const char *old_path, const char *path);
int xnfs_unlink(struct xnfs *fs, const char *path);
int xnfs_rmdir(struct xnfs *fs, const char *path);
/* flags: 0, RENAME_NOREPLACE, RENAME_EXCHANGE.  -EXDEV between roots. */
int xnfs_rename(struct xnfs *fs, const char *from, const char *to, unsigned flags);

/* With AT_SYMLINK_NOFOLLOW these do not follow a symbolic link in the last place. */
int xnfs_chmod(struct xnfs *fs, const char *path, mode_t mode, int flags);
int xnfs_chown(struct xnfs *fs, const char *path, uid_t uid, gid_t gid, int flags); /* -1: keep */
int xnfs_utimens(struct xnfs *fs, const char *path, const struct timespec times[2], int flags);
int xnfs_truncate(struct xnfs *fs, const char *path, off_t size);
/* Of the root that the path leads to; of the disk for "/". */
int xnfs_statvfs(struct xnfs *fs, const char *path, struct statvfs *out);

/* Extended attributes, of a symbolic link itself; size 0 asks how much there is. */
int xnfs_setxattr(struct xnfs *fs, const char *path, const char *name, const void *value,
		  size_t size, int flags);
ssize_t xnfs_getxattr(struct xnfs *fs, const char *path, const char *name, void *value,
		      size_t size);
ssize_t xnfs_listxattr(struct xnfs *fs, const char *path, char *names, size_t size);
int xnfs_removexattr(struct xnfs *fs, const char *path, const char *name);

/* ---- files ---- */

/*
 * As open(2): O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_TMPFILE
 * (-EOPNOTSUPP: the LibFS does not have it).
 */
int xnfs_file_open(struct xnfs *fs, const char *path, int flags, mode_t mode,
		   struct xnfs_file **out);
void xnfs_file_close(struct xnfs_file *file);
/* At the file's own position, which they move. */
ssize_t xnfs_read(struct xnfs_file *file, void *buffer, size_t len);
ssize_t xnfs_write(struct xnfs_file *file, const void *bytes, size_t len);
/* SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE */
off_t xnfs_seek(struct xnfs_file *file, off_t offset, int whence);
/* Elsewhere, and it stays. */
ssize_t xnfs_pread(struct xnfs_file *file, void *buffer, size_t len, off_t offset);
ssize_t xnfs_pwrite(struct xnfs_file *file, const void *bytes, size_t len, off_t offset);
/* As copy_file_range(2), and inside one root without passing through the program. */
ssize_t xnfs_copy_range(struct xnfs_file *from, off_t from_offset, struct xnfs_file *to,
			off_t to_offset, size_t len);
int xnfs_fstat(struct xnfs_file *file, struct stat *out);
int xnfs_ftruncate(struct xnfs_file *file, off_t size);
int xnfs_fallocate(struct xnfs_file *file, int mode, off_t offset, off_t len);
int xnfs_fsync(struct xnfs_file *file);
int xnfs_fdatasync(struct xnfs_file *file);

/* ---- directories ---- */

struct xnfs_dirent {
	uint64_t ino;
	unsigned char type; /* DT_* */
	char name[256];
};

int xnfs_dir_open(struct xnfs *fs, const char *path, struct xnfs_dir **out);
/* 1: an entry ("." and ".." too); 0: the end. */
int xnfs_dir_read(struct xnfs_dir *dir, struct xnfs_dirent *out);
void xnfs_dir_rewind(struct xnfs_dir *dir);
void xnfs_dir_close(struct xnfs_dir *dir);

#ifdef __cplusplus
}
#endif

#endif
