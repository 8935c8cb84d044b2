/* SPDX-License-Identifier: MIT */
/*
 * The LibFS interface: what a file system offers to those who use it.
 *
 * A LibFS is one table of vnode-like operations over an XN session.  The FUSE
 * bridge, the image tools, the checker and the tests know only this header; a
 * LibFS knows only this header and xn/xn.h.
 *
 *  (1) Files are named by 64-bit inode numbers, stable for a file's life.  A
 *      number is reused only with another generation.
 *  (2) Every operation that returns attributes of a file to be used further
 *      (lookup, create, mkdir, mknod, symlink, link, readdir with PLUS) gives the
 *      caller one reference on it; libfs_forget() gives them back.  A removed
 *      file keeps its contents and number while it is referenced or open.  Who
 *      holds a reference may read and write without opening (LIBFS_NO_HANDLE).
 *  (3) Who asks and what time it is come in with each call (struct libfs_ctx).
 *      The LibFS decides permission; libfs_may() is the POSIX rule.
 *  (4) Operations are safe from any number of threads.
 *  (5) What fsync acknowledged, data, attributes and name, survives any crash.
 *      A LibFS writes back on its own only inside calls; its host calls
 *      libfs_sync() as often as it promises.
 *
 * Call the wrappers below, not the table: they check names, lengths and
 * read-only mounts once for every LibFS, and answer -ENOSYS for what a LibFS
 * does not have.  All return 0, a stated non-negative value, or -errno.
 */
#ifndef LIBFS_LIBFS_H
#define LIBFS_LIBFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xn_session;
struct xn_cred;
struct libfs;         /* a mounted root */
struct libfs_checker; /* see libfs/check.h */

#define LIBFS_NAME_MAX    255u
#define LIBFS_SYMLINK_MAX 4095u
#define LIBFS_ROOT_INO    1u

typedef uint64_t libfs_ino_t;

struct libfs_ctx {
	const struct xn_cred *cred;
	struct timespec now; /* tv_nsec in [0, 10^9) */
	uint32_t umask;      /* applied by create, mkdir, mknod */
	uint32_t pid;        /* who asks, if the host knows; 0 if not */
};

struct libfs_attr {
	libfs_ino_t ino;
	uint32_t generation;
	uint32_t mode; /* type and permission, as st_mode */
	uint32_t nlink;
	uint32_t uid, gid;
	uint64_t rdev;
	uint64_t size;
	uint64_t blocks;  /* of 512 bytes */
	uint32_t blksize; /* good size of a request */
	uint32_t flags;   /* 0 */
	struct timespec atime, mtime, ctime, btime;
};

/* Which members of an attr setattr changes. */
#define LIBFS_SET_MODE      0x001u
#define LIBFS_SET_UID       0x002u
#define LIBFS_SET_GID       0x004u
#define LIBFS_SET_SIZE      0x008u
#define LIBFS_SET_ATIME     0x010u
#define LIBFS_SET_MTIME     0x020u
#define LIBFS_SET_ATIME_NOW 0x040u
#define LIBFS_SET_MTIME_NOW 0x080u
#define LIBFS_SET_CTIME     0x100u /* hosts that cache writes state it */
#define LIBFS_KILL_SUIDGID  0x200u
#define LIBFS_SET_OPEN      0x400u /* asked through an open handle: permission was given at open */
/* For libfs_setattr_prepare(), by a LibFS with ACLs: who asks may write, may not.  Else the mode tells. */
#define LIBFS_SET_WRITER    0x800u
#define LIBFS_SET_NO_WRITER 0x1000u

struct libfs_dirent {
	libfs_ino_t ino;
	uint64_t cookie; /* pass to readdir to go on behind this entry */
	uint32_t type;   /* DT_* */
	uint32_t name_len;
	char name[LIBFS_NAME_MAX + 1];
	struct libfs_attr attr; /* with LIBFS_READDIR_PLUS */
};
#define LIBFS_READDIR_PLUS 1u /* fill attr, and take a reference on every entry but "." and ".." */

/* Where bytes of a file lie. */
struct libfs_extent {
	uint64_t offset, len; /* bytes of the file; the last one may reach beyond its end */
	uint64_t place;       /* byte of the disk where they begin; LIBFS_NOWHERE */
	uint32_t flags;
};
#define LIBFS_NOWHERE          UINT64_MAX /* not on the disk alone: inline, or not placed yet */
#define LIBFS_EXTENT_UNWRITTEN 1u         /* reserved: reads as zeroes */

struct libfs_statfs {
	uint32_t block_size;
	uint64_t blocks, blocks_free, blocks_available;
	uint64_t files, files_free;
	uint32_t name_max;
	uint64_t fsid;
};

#define LIBFS_RENAME_NOREPLACE 1u
#define LIBFS_RENAME_EXCHANGE  2u

#define LIBFS_FALLOC_KEEP_SIZE  0x01u /* as in <linux/falloc.h> */
#define LIBFS_FALLOC_PUNCH_HOLE 0x02u
#define LIBFS_FALLOC_ZERO_RANGE 0x10u

#define LIBFS_NO_HANDLE UINT64_C(0) /* for read and write, by one who holds a reference */

#define LIBFS_XATTR_CREATE  1u
#define LIBFS_XATTR_REPLACE 2u

/* What a mount can be asked for. */
#define LIBFS_MOUNT_RDONLY 1u

struct libfs_mkfs_opts {
	const char *root;        /* name of the root to make */
	const char *options;     /* LibFS's own, "a=b,c", may be NULL */
	uint32_t uid, gid, mode; /* of the root directory; mode 0 = 0755 */
	uint64_t quota;          /* blocks; 0 = none */
	uint8_t uuid[16];        /* all zero: random */
	struct timespec now;
	char *why; /* receives a sentence on failure; may be NULL */
	size_t why_size;
};

struct libfs_mount_opts {
	const char *root;
	uint32_t flags;
	const char *options; /* LibFS's own, may be NULL */
	char *why;
	size_t why_size;
};

struct libfs_surplus {
	libfs_ino_t dir;
	char name[LIBFS_NAME_MAX + 1];
};

struct libfs_ops {
	/* Install templates, create the root, make an empty root directory; durable on return. */
	int (*mkfs)(struct xn_session *session, const struct libfs_mkfs_opts *opts);
	/* The session stays the caller's and must outlive the mount. */
	int (*mount)(struct xn_session *session, const struct libfs_mount_opts *opts,
		     struct libfs **out);
	/* Writes back everything; the mount is gone in any case. */
	int (*unmount)(struct libfs *fs);

	int (*lookup)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name, struct libfs_attr *out);
	void (*forget)(struct libfs *fs, libfs_ino_t ino, uint64_t count);
	/*
	 * Optional.  Names of files of which the host holds references, but which the LibFS would
	 * rather forget, because there are too many: the least recently used first, at most `max`.
	 * Returns how many.  The host drops what it can; who was named is named again last.
	 */
	ssize_t (*surplus)(struct libfs *fs, struct libfs_surplus *out, size_t max);
	/* By number and generation, for file handles; takes a reference. -ESTALE */
	int (*find)(struct libfs *fs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out);
	int (*getattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       struct libfs_attr *out);
	int (*setattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out);
	int (*access)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      uint32_t mask);

	int (*create)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name, uint32_t mode, bool exclusive, struct libfs_attr *out);
	/*
	 * Optional.  A file without a name, as if made in `dir`: link() may give it one, and
	 * otherwise it is gone when it is no longer referenced.
	 */
	int (*tmpfile)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		       uint32_t mode, struct libfs_attr *out);
	int (*mkdir)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name, uint32_t mode, struct libfs_attr *out);
	int (*mknod)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name, uint32_t mode, uint64_t rdev, struct libfs_attr *out);
	int (*symlink)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		       const char *name, const char *target, struct libfs_attr *out);
	int (*link)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
		    const char *name, struct libfs_attr *out);
	int (*unlink)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name);
	int (*rmdir)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name);
	int (*rename)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		      const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags);
	ssize_t (*readlink)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    char *target, size_t size);
	/* Entries behind `cookie` (0 = from the start), at most `max`; returns how many, 0 = end. */
	ssize_t (*readdir)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			   uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max);

	/* Permission by `flags` (O_*); the file stays while open. `handle` is the LibFS's own. */
	int (*open)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
		    uint64_t *handle);
	void (*release)(struct libfs *fs, libfs_ino_t ino, uint64_t handle);
	ssize_t (*read)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint64_t handle, uint64_t offset, void *buffer, size_t len);
	/* Short only when space ran out part-way; -ENOSPC when nothing was written. */
	ssize_t (*write)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 uint64_t handle, uint64_t offset, const void *bytes, size_t len);
	int (*fallocate)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 uint32_t mode, uint64_t offset, uint64_t len);
	/* SEEK_DATA, SEEK_HOLE; returns the offset. -ENXIO */
	off_t (*seek)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      uint64_t offset, int whence);
	/*
	 * Optional.  Bytes from one file to another of this instance, as copy_file_range(2);
	 * returns how many, 0 = nothing there to copy.  Ranges of one file do not overlap.
	 */
	ssize_t (*copy_range)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from,
			      uint64_t from_offset, libfs_ino_t to, uint64_t to_offset, size_t len);
	/*
	 * Optional.  The extents of [offset, offset + len) by rising offset, at most `max`;
	 * holes are left out.  Returns how many; what others change meanwhile may be missed.
	 * Also of links, and of directories where their names are data to XN.  -EISDIR, -EINVAL
	 */
	ssize_t (*extents)(struct libfs *fs, libfs_ino_t ino, uint64_t offset, uint64_t len,
			   struct libfs_extent *out, size_t max);
	int (*fsync)(struct libfs *fs, libfs_ino_t ino, bool data_only);
	int (*sync)(struct libfs *fs);
	int (*statfs)(struct libfs *fs, struct libfs_statfs *out);

	int (*setxattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			const char *name, const void *value, size_t size, uint32_t flags);
	ssize_t (*getxattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    const char *name, void *value, size_t size);
	ssize_t (*listxattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			     char *names, size_t size);
	int (*removexattr)(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			   const char *name);
};

/* A kind of LibFS.  Constant; one per LibFS, found by the name its roots record. */
struct libfs_type {
	const char *name;
	const char *about; /* one line */
	uint32_t version;
	const struct libfs_ops *ops;
	const struct libfs_checker *checker; /* may be NULL */
	uint32_t features;                   /* LIBFS_HAS_* */
};
#define LIBFS_HAS_ACL    1u /* keeps POSIX ACLs, as system.posix_acl_access and _default */
#define LIBFS_IS_DEFAULT 2u /* for new roots of people who name none; one built-in has it */

/* Every mount starts with this; the LibFS allocates a bigger structure around it. */
struct libfs {
	const struct libfs_type *type;
	struct xn_session *session;
	uint32_t flags; /* LIBFS_MOUNT_* */
};

/* ---- registry ---- */

/* Built-in ones by index; NULL at the end. */
const struct libfs_type *libfs_builtin(unsigned index);
/* The one for new roots of people who name none; never NULL. */
const struct libfs_type *libfs_default(void);

/*
 * By name: built-in, or loaded from xn-libfs-NAME.so in the directories of
 * XN_LIBFS_PATH (colon-separated) and the install directory.  A loaded one
 * exports `const struct libfs_type libfs_plugin` and stays loaded.
 * Fails with -ENOENT; -EINVAL (a name with other than a-z 0-9 _ -); -ELIBBAD.
 */
int libfs_find_type(const char *name, const struct libfs_type **out);
/*
 * The same; on failure `why` receives a sentence: what there is, or why the shared object cannot be
 * loaded.
 */
int libfs_find_type_why(const char *name, const struct libfs_type **out, char *why,
			size_t why_size);

/* ---- calls ---- */

int libfs_mkfs(struct xn_session *session, const char *type, const struct libfs_mkfs_opts *opts);
/* The type is the one the root records. */
int libfs_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
		struct libfs **out);
int libfs_unmount(struct libfs *fs);

int libfs_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		 struct libfs_attr *out);
void libfs_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count);
/* A LibFS that never has too many says 0. */
ssize_t libfs_surplus(struct libfs *fs, struct libfs_surplus *out, size_t max);
int libfs_find(struct libfs *fs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out);
int libfs_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  struct libfs_attr *out);
int libfs_setattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out);
int libfs_access(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mask);
int libfs_create(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		 uint32_t mode, bool exclusive, struct libfs_attr *out);
int libfs_tmpfile(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, uint32_t mode,
		  struct libfs_attr *out);
int libfs_mkdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, struct libfs_attr *out);
int libfs_mknod(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		uint32_t mode, uint64_t rdev, struct libfs_attr *out);
int libfs_symlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name,
		  const char *target, struct libfs_attr *out);
int libfs_link(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, libfs_ino_t dir,
	       const char *name, struct libfs_attr *out);
int libfs_unlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name);
int libfs_rmdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir, const char *name);
int libfs_rename(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		 const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags);
ssize_t libfs_readlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, char *target,
		       size_t size);
ssize_t libfs_readdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max);
int libfs_open(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
	       uint64_t *handle);
void libfs_release(struct libfs *fs, libfs_ino_t ino, uint64_t handle);
ssize_t libfs_read(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t handle,
		   uint64_t offset, void *buffer, size_t len);
ssize_t libfs_write(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t handle,
		    uint64_t offset, const void *bytes, size_t len);
int libfs_fallocate(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t mode,
		    uint64_t offset, uint64_t len);
off_t libfs_seek(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint64_t offset,
		 int whence);
/* A LibFS without copy_range copies through memory.  -EINVAL: the ranges overlap. */
ssize_t libfs_copy_range(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from,
			 uint64_t from_offset, libfs_ino_t to, uint64_t to_offset, size_t len);
ssize_t libfs_extents(struct libfs *fs, libfs_ino_t ino, uint64_t offset, uint64_t len,
		      struct libfs_extent *out, size_t max);
int libfs_fsync(struct libfs *fs, libfs_ino_t ino, bool data_only);
int libfs_sync(struct libfs *fs);
int libfs_statfs(struct libfs *fs, struct libfs_statfs *out);
int libfs_setxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, const char *name,
		   const void *value, size_t size, uint32_t flags);
ssize_t libfs_getxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       const char *name, void *value, size_t size);
ssize_t libfs_listxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, char *names,
			size_t size);
int libfs_removexattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const char *name);

/* ---- POSIX rules, for LibFSes to use ---- */

#define LIBFS_MAY_EXEC  1u /* as in access(2) */
#define LIBFS_MAY_WRITE 2u
#define LIBFS_MAY_READ  4u

/* 0 or -EACCES: owner, group, other; uid 0 may all, but execute only what somebody may. */
int libfs_may(const struct libfs_attr *attr, const struct xn_cred *cred, uint32_t mask);
/* May `cred` remove or rename `child` out of `dir` (sticky bit)? 0, -EPERM; write access is asked apart. */
int libfs_may_remove(const struct libfs_attr *dir, const struct libfs_attr *child,
		     const struct xn_cred *cred);
/*
 * The POSIX rules of chmod, chown, utimens, truncate: may `cred` make that
 * change, and what else changes with it (set-id bits cleared, ctime).  Edits
 * `attr` and `which` in place. 0, -EPERM, -EACCES.
 */
int libfs_setattr_prepare(const struct libfs_attr *old, const struct libfs_ctx *ctx,
			  struct libfs_attr *attr, uint32_t *which);
bool libfs_in_group(const struct xn_cred *cred, uint32_t gid);
/*
 * mknod(2): `*mode` without a type is a regular file's, `*rdev` is 0 but for devices. 0, -EPERM (a
 * directory; a device, and not uid 0), -EINVAL (no such type).
 */
int libfs_mknod_check(const struct libfs_ctx *ctx, uint32_t *mode, uint64_t *rdev);
/*
 * Who makes a file owns it; a set-group-id directory hands its group down, and the bit to
 * directories.  `mode`: of the new file, with its type; the umask is applied elsewhere.
 */
void libfs_inherit(uint32_t dir_mode, uint32_t dir_gid, const struct libfs_ctx *ctx, uint32_t *mode,
		   uint32_t *gid);
/*
 * The mode when `cred` has written to a file of that group: who writes another's program makes it an
 * ordinary one.
 */
uint32_t libfs_mode_written(uint32_t mode, uint32_t gid, const struct xn_cred *cred);
/* Flags of open(2) as LIBFS_MAY_*. */
uint32_t libfs_open_mask(uint32_t flags);
/* Does reading set the access time?  As Linux's relatime: it is not newer than a change, or a day old. */
bool libfs_atime_is_due(struct timespec atime, struct timespec mtime, struct timespec ctime,
			struct timespec now);

/* ---- roots, for LibFSes to use ---- */

#define LIBFS_TEMPLATES_MAX 16u

struct xn;
struct xn_root_info;

/* A sentence into `why`, which may be NULL. */
void libfs_say(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What mkfs makes first. */
struct libfs_root_plan {
	const struct libfs_mkfs_opts *opts;
	const char *libfs;
	const uint8_t *const *images; /* of the templates, as udf/tool packs them */
	const size_t *lens;
	uint32_t n_images, top; /* `top`: which of them the root object is of */
};

/*
 * Install the templates (they may be there already) and create the root that opts->root names.  On
 * failure opts->why says why.
 *
 * Fails with what xn_template_install() and xn_root_create() say.
 */
int libfs_root_make(struct xn_session *session, const struct libfs_root_plan *plan,
		    struct xn_root_info *root);
/*
 * Ids of the `n` templates that were installed with the root's, which must be called `top`, in the
 * order of their images.  -EINVAL: the root is not of that LibFS.
 */
int libfs_root_types(struct xn *xn, const struct xn_root_info *root, const char *top, uint32_t n,
		     uint32_t *types);
/* All of `out` but the count of files: statfs as XN knows it. */
int libfs_space(struct xn_session *session, uint32_t root, struct libfs_statfs *out);
/*
 * The cache or the log is full (XN_ECACHEFULL, XN_ELOGFULL, XN_EALLOWANCE): write back, and take
 * apart what was freed.  True: it is worth trying again.  Let go of bindings that are not needed first.
 */
bool libfs_make_room(struct xn_session *session, uint32_t root);
/* The disk or the quota is full (XN_ENOSPACE, XN_EQUOTA): make free what is on its way.  The same. */
bool libfs_reclaim(struct xn_session *session, uint32_t root);
/* Take apart all that was freed. */
int libfs_reap_all(struct xn_session *session);

#ifdef __cplusplus
}
#endif

#endif
