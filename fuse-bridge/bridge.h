/* SPDX-License-Identifier: MIT */
/*
 * The bridge: the kernel's FUSE requests become calls of LibFSes.
 *
 *  (1) A FUSE node id is a pair (slot, inode number), packed: 16 and 48 bits.
 *      Nothing is looked up to go from one to the other, and st_ino shows the
 *      same number, so it is unique over all roots.
 *  (2) With one root, its slot is 0 and its root directory is FUSE_ROOT_ID.
 *      With many, slot 0 is the top directory, which belongs to the bridge, is
 *      read-only and lists the roots; root i has slot i + 1.
 *  (3) The kernel's lookup counts are the LibFS's references: whatever reply
 *      makes the kernel count one up carries one reference; if the reply does
 *      not arrive, the bridge gives the reference back.
 *  (4) No policy: who asks, when, and with which umask goes along with every
 *      call, and the LibFS decides.  Only what the kernel does on its own
 *      account (page write-back, its own clock and set-id bits) runs as uid 0.
 *  (5) A handler replies exactly once.
 *  (6) Nothing is open: the kernel is told once that it need not say when files
 *      are opened, flushed and closed.  It keeps its lookup count while a file is
 *      in use, so a removed one stays, by (3), until the last user has gone; and
 *      it checks permission itself (default_permissions), by what it was told.
 *      Only where nobody but root may enter it does not: to check, it would ask
 *      for a directory's attributes after each change in it.
 */
#ifndef FUSE_BRIDGE_BRIDGE_H
#define FUSE_BRIDGE_BRIDGE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libfs/host.h"
#include "libfs/libfs.h"
#include "seeker.h"

struct bridge_root {
	char name[64];
	uint32_t id;
	struct libfs *fs;
};

struct bridge {
	struct host *host;
	struct bridge_root *roots;
	unsigned n_roots;
	bool many;          /* slot 0 is the top directory */
	bool writeback;     /* the kernel may cache writes */
	bool sync;          /* every change is stable before it is answered */
	double timeout;     /* seconds the kernel may trust names and attributes */
	bool xattr;         /* some root has extended attributes */
	bool acl;           /* some root keeps POSIX ACLs */
	bool no_open;       /* the kernel understands (6) */
	bool kernel_checks; /* ... and checks permission */
	struct timespec born;
	int fd; /* /dev/fuse */
	pthread_key_t scratch;
	struct seeker *seeker;
	_Atomic uint64_t given; /* entries: references that the kernel got */
	/* Of the request INIT, for the flags that libfuse does not know. */
	uint64_t init_unique;
	uint32_t init_offered;
	/* Called once, when the kernel has accepted the session; may be NULL. */
	void (*ready)(void *arg);
	void *ready_arg;
	/* Called when the kernel asks for the end and waits for it (fuseblk); may be NULL. */
	void (*destroy)(void *arg);
	void *destroy_arg;
};

/* ---- nodes: node.c ---- */

#define NODE_INO_BITS  48u
#define NODE_SLOTS_MAX 65535u

/* false: the number does not fit. */
bool node_encode(unsigned slot, libfs_ino_t ino, fuse_ino_t *node);
unsigned node_slot(fuse_ino_t node);
libfs_ino_t node_ino(fuse_ino_t node);
/* The instance behind a slot; NULL for the top directory and for slots that are none. */
struct libfs *node_fs(const struct bridge *bridge, unsigned slot);
bool node_is_top(const struct bridge *bridge, fuse_ino_t node);
void node_forget(const struct bridge *bridge, fuse_ino_t node, uint64_t count);
void node_stat(fuse_ino_t node, const struct libfs_attr *attr, struct stat *st);

/* ---- calls: call.c ---- */

/* One request on its way through a LibFS. */
struct call {
	struct bridge *bridge;
	fuse_req_t req;
	struct libfs *fs;
	unsigned slot;
	libfs_ino_t ino;
	struct host_ctx who;
	uint32_t uid, pid;
	bool groups_known;
};

/* Who asks, as every request says. */
struct asker {
	uint32_t uid, gid, pid, umask;
};

/*
 * Prepare a call about `node`.  Returns false when the request was answered:
 * -EROFS for the top directory (nothing there can change), -ESTALE for a slot
 * that is none.
 */
bool call_begin(struct call *call, fuse_req_t req, fuse_ino_t node);
/* The same for requests that the top directory answers as well: fs is NULL then. */
bool call_begin_any(struct call *call, fuse_req_t req, fuse_ino_t node);
/* The same for requests that libfuse has not seen; false: -ESTALE, not answered. */
bool call_init(struct call *call, struct bridge *bridge, const struct asker *asker,
	       fuse_ino_t node);
/* The root of a call that has a LibFS. */
const struct bridge_root *call_root(const struct call *call);
/*
 * Shall the call be made again?  Yes, once, when it was refused and the caller
 * is in groups that the LibFS has not been told: asking the kernel for them
 * with every request would cost more than the request.
 */
bool call_again(struct call *call, int64_t result);
/* Tell the supplementary groups now: for calls whose success depends on them silently. */
void call_tell_groups(struct call *call);
/* Set-group-id stays only for members, and is dropped without a word. */
void call_tell_groups_for(struct call *call, mode_t mode);
/* From here on it is the kernel that asks, not the process. */
void call_as_kernel(struct call *call);
/* With -o sync: make stable what a successful change did.  Returns err, or the failure. */
int call_settle(struct call *call, int err);

/* This thread's own SCRATCH_SIZE bytes, for one reply; NULL: out of memory. */
#define SCRATCH_SIZE (1u << 20)
void *bridge_scratch(struct bridge *bridge);

/* ---- replies: reply.c ---- */

/* err: 0 or negative. */
void reply_err(struct call *call, int err);
/* `attr` carries one reference, which the kernel gets. */
void reply_entry(struct call *call, int err, const struct libfs_attr *attr);
/* The name does not exist, and the kernel may remember that. */
void reply_no_entry(struct call *call);
void reply_attr(struct call *call, int err, const struct libfs_attr *attr);
void reply_create(struct call *call, int err, const struct libfs_attr *attr,
		  const struct fuse_file_info *fi);
bool entry_fill(const struct call *call, const struct libfs_attr *attr,
		struct fuse_entry_param *entry);
/* What the kernel shall hear for a negative result. */

/* ---- the top directory: top.c ---- */

void top_attr(const struct bridge *bridge, struct libfs_attr *attr);
void top_lookup(struct call *call, const char *name);
/* The root directory of a slot, with a reference. */
int top_get_root(const struct bridge *bridge, struct call *call, unsigned slot,
		 struct libfs_attr *attr);

/* ---- what libfuse does not know: raw.c ---- */

struct fuse_in_header;
struct iovec;

/*
 * Looks at a request before libfuse does.  true: it has been answered.  What
 * libfuse would leave out of a request that it knows is done here, before.
 */
bool raw_serve(struct bridge *bridge, struct fuse_in_header *request, size_t size);
/* Writes a reply of libfuse's to /dev/fuse; the answer to INIT gets its last flags. */
ssize_t raw_writev(int fd, struct iovec *parts, int count, void *bridge);

/* ---- the handlers ---- */

extern const struct fuse_lowlevel_ops bridge_ops; /* ops.c */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
	       const char *to, unsigned flags);
void op_readlink(fuse_req_t req, fuse_ino_t node);

void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t node, const char *bytes, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
			struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
			struct fuse_file_info *to_fi, size_t len, int flags);
void op_ioctl(fuse_req_t req, fuse_ino_t node, unsigned command, void *arg,
	      struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
	      size_t out_size);

void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *st, int to_set,
		struct fuse_file_info *fi);
void op_access(fuse_req_t req, fuse_ino_t node, int mask);
void op_statfs(fuse_req_t req, fuse_ino_t node);
void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size,
		 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name);

#endif
