/* SPDX-License-Identifier: MIT */
/*
 * A host: one open disk and a mounted LibFS for each root in use.
 *
 * What every program needs that serves or walks the files of an image: the FUSE
 * bridge, the image tool, tests.
 *
 *  (1) A root has at most one LibFS instance in a host; mounting it twice gives
 *      the same one.
 *  (2) Each instance has a session of its own: administrator, uid 0.  Who really
 *      asks comes in with each call (struct host_ctx).
 *  (3) A writable host writes back by itself: all its instances are synced every
 *      `sync_ms`, and subtrees that wait to be reaped are taken apart meanwhile.
 *      With sync_ms 0 this is the caller's task (host_sync).  What a crash lost is
 *      looked for then, too, so many objects a second (`reclaim_rate`), and pages of
 *      the cache that XN wants back are given, or in the end taken.
 *  (4) A read-only host writes nothing.
 *  (5) Errors are -errno; the finer name of XN is in the sentence (`why`).
 *
 * All functions except host_close() may be called from any number of threads.
 */
#ifndef LIBFS_HOST_H
#define LIBFS_HOST_H

#include "libfs/libfs.h"

#ifdef __cplusplus
extern "C" {
#endif

struct xn;
struct host;

#define HOST_RDONLY          1u
#define HOST_SYNC_MS_DEFAULT 1000u
#define HOST_LOCK_MS_DEFAULT 5000u

/* 16 MiB of reading a second, at most. */
#define HOST_RECLAIM_RATE_DEFAULT 4096u

struct host_opts {
	uint32_t flags;           /* HOST_* */
	uint32_t sync_ms;         /* write back that often; 0 = only when told */
	uint32_t lock_timeout_ms; /* wait that long for a holder that is finishing; 0 = do not */
	uint32_t reclaim_rate;    /* 0 = HOST_RECLAIM_RATE_DEFAULT */
	uint64_t cache_bytes;     /* 0 = XN's default */
	int64_t now_ns;           /* what the disk is told of the time, always; 0 = the clock */
	/* A new file that gets every write and flush (bdev_recorder_save); NULL: none. */
	const char *record;
	/* Told when writing back behind the scenes fails, once per kind of failure; may be NULL. */
	void (*report)(void *arg, const char *sentence);
	void *report_arg;
	char *why; /* receives a sentence on failure; may be NULL */
	size_t why_size;
};

/*
 * Open a disk for use.
 *
 * Fails with
 *   -EBUSY         another process holds it (`why` names it)
 *   -EMEDIUMTYPE, -EPROTONOSUPPORT, -EUCLEAN   it is no XN disk, a newer one, a damaged one
 *   -EROFS         it cannot be written and HOST_RDONLY is not set
 *   -errno of open(2), -EIO, -ENOMEM
 */
int host_open(const char *image, const struct host_opts *opts, struct host **out);

/*
 * Unmount every instance, write back, close the disk cleanly.  The host is gone
 * in any case.  Fails when something was not written: -EIO, or what the LibFS
 * or XN said first; `why` (may be NULL) says which root and why.
 */
int host_close(struct host *host, char *why, size_t why_size);

struct host_root {
	uint32_t id; /* XN's, never 0 */
	char name[64];
	char libfs[32]; /* type of LibFS the root records */
	bool damaged;
};
/* The root with the lowest id above `after` (0 = first); -ENOENT at the end. */
int host_root_next(struct host *host, uint32_t after, struct host_root *out);
/* -ENOENT */
int host_root_find(struct host *host, const char *name, struct host_root *out);

/*
 * Mount a root, or find its mounted instance; it stays until host_close().
 *
 * Fails with
 *   -ENOENT   no such root, or nobody here understands its LibFS (`why` says which)
 *   what the LibFS's mount refuses with
 */
int host_mount_root(struct host *host, const char *name, const char *options, struct libfs **out,
		    char *why, size_t why_size);

/* Make everything stable: every instance, then the disk.  -EIO, ... */
int host_sync(struct host *host);

/* Space of the whole disk, in the form of statfs. */
int host_statfs(struct host *host, struct libfs_statfs *out);

int host_uuid(struct host *host, uint8_t uuid[16]);

/*
 * A block device is claimed as a whole, which keeps the kernel from mounting it.
 * Give the claim up to a mount that follows at once (fuseblk); the lock against
 * other hosts stays.  Nothing happens with a disk of another kind.
 */
void host_yield_claim(struct host *host);

/* ---- what the disk says of itself ---- */

struct host_owner {
	uint32_t root_id;      /* 0 = no root owns the block */
	uint32_t type;         /* template of the object that names it; 0: the root itself does */
	uint64_t object;       /* its first block */
	uint32_t record;       /* of the object */
	uint32_t depth;        /* steps from the root's object */
	uint64_t start, count; /* the extent that is named there */
	bool is_data;
};
/* Walks the disk: not for often.  -ERANGE: beyond its end. */
int host_owner_find(struct host *host, uint64_t block, struct host_owner *out);

struct host_template {
	uint32_t id;
	char name[64];
	uint8_t sha256[32];
	uint32_t object_size, record_size, record_count;
};
/* The template with the lowest id above `after`; -ENOENT at the end. */
int host_template_next(struct host *host, uint32_t after, struct host_template *out);

/* For those who also speak to XN themselves; borrowed.  The session is an administrator's. */
struct xn *host_disk(struct host *host);
struct xn_session *host_session(struct host *host);

/* ---- who asks ---- */

/*
 * A libfs_ctx together with its credentials, so that hosts need not know XN's
 * structures.  Pass &ctx.libfs to LibFS calls; the whole must not be copied.
 */
#define HOST_CRED_WORDS 36u
struct host_ctx {
	struct libfs_ctx libfs;
	uint32_t cred[HOST_CRED_WORDS]; /* a struct xn_cred */
};
/* Credentials without supplementary groups, umask 0, the time now. */
void host_ctx_init(struct host_ctx *ctx, uint32_t uid, uint32_t gid);
/* Sets the supplementary groups: as many as XN knows, the rest is left out.  Returns how many. */
size_t host_ctx_set_groups(struct host_ctx *ctx, const gid_t *groups, size_t count);

#ifdef __cplusplus
}
#endif

#endif
