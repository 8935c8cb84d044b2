/* SPDX-License-Identifier: MIT */
/*
 * XN: one disk, many library file systems that need not trust each other.
 *
 * XN knows no file-system format.  A LibFS installs templates whose functions
 * tell which blocks a piece of metadata owns; XN runs them on every change and
 * so knows, block by block, who owns what.  The LibFS chooses layout, write
 * order and policy; XN refuses what would break protection or integrity.
 * After Kaashoek et al., "Application Performance and Flexibility on Exokernel
 * Systems" (SOSP 1997), with the order rules of Ganger and Patt (OSDI 1994).
 *
 *  (1) Every block in use has exactly one owner: XN, a root, or one record of
 *      one object.
 *  (2) All metadata changes through xn_update(), which proves conservation:
 *      what the touched records own afterwards is what they owned before, plus
 *      the declared allocs, minus the declared frees.
 *  (3) A session touches only what it has bound, and binds only what an owner it
 *      has bound names and that owner's `acl` allows.
 *  (4) On disk, nothing reachable from a root ever names a block that is not
 *      written; no block is reused while something on disk may still name it.
 *  (5) I/O happens only inside calls made for it: readin, read, write (of part
 *      of a block), writeback, flush, sync, reap, reclaim, open, close, and the
 *      catalogue and free-map calls.  xn_bind() without XN_READIN does none, nor
 *      does xn_update(), but for XN's own map block the first time that a chunk
 *      of 16384 blocks is touched (xn_chunk_summary() beforehand avoids that).
 *  (6) Requests are values: no call keeps a pointer to its arguments, none calls
 *      back.  The same interface can be served by a process apart.
 *
 * Blocks are 4096 bytes, named by a 64-bit number; 0 means none.  Objects
 * (typed metadata, one or more consecutive blocks) are named by their first
 * block.  All functions may be called from any number of threads.
 *
 * Functions return 0 or a negative number (xn/error.h).  Those that are
 * declared here but not built yet return -ENOSYS and say so.  Where a list has
 * XN_EUNKNOWN, XN_EFENCED may come in its place: somebody else opened the disk for
 * writing.  After either nothing more is written until the disk is opened again.
 */
#ifndef XN_XN_H
#define XN_XN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xn/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define XN_BLOCK 4096u

typedef uint64_t xn_blk_t;
typedef uint64_t xn_binding_t; /* 0 is never one */

struct xn;         /* an open disk */
struct xn_session; /* one LibFS instance's connection */
struct bdev;       /* a block device, see xn/bdev.h */

/* Consecutive blocks of one type: DATA (0), RESERVED (1) or a template's id. */
struct xn_extent {
	xn_blk_t start;
	uint64_t count;
	uint32_t type;
	uint32_t reserved; /* 0 */
};

#define XN_DATA     0u
#define XN_RESERVED 1u

/* ---- who asks ---- */

#define XN_GROUPS_MAX 32u

struct xn_cred {
	uint32_t uid, gid;
	uint32_t n_groups;
	uint32_t groups[XN_GROUPS_MAX];
};

/*
 * Where and why a request was refused, for people and for tests.  Optional out
 * argument; filled only when the call fails.
 */
struct xn_refusal {
	int error;         /* what the call returns */
	xn_blk_t block;    /* the block or object it is about; 0 = none */
	uint32_t record;   /* record of the object; ~0 = none */
	uint32_t function; /* of the template (enum udf_function), when a function faulted */
	uint32_t fault;    /* enum udf_fault_code */
	uint32_t slot;     /* instruction that faulted */
	uint64_t value;    /* version found, blocks missing, damage code, ... */
	char text[160];    /* one sentence, NUL-terminated */
};

/* ---- disks ---- */

struct xn_format_opts {
	char label[65];
	uint8_t uuid[16]; /* all zero: a random one */
	bool force;       /* overwrite whatever the device holds */
	int64_t now_ns;   /* time of formatting; 0 = the clock */
};

/*
 * Make an empty XN disk of the whole device.  Cost does not depend on its size.
 *
 * Fails with
 *   XN_EEXISTING  the device holds data that xn recognises (an XN disk, or sectors that are not
 *                 zero at its start) and `force` is not set
 *   XN_ESIZE      smaller than 1 MiB or larger than 2^48 blocks
 *   XN_EREADONLY, XN_EIO, XN_EUNKNOWN
 */
int xn_format(struct bdev *dev, const struct xn_format_opts *opts);

#define XN_OPEN_RDONLY     0u
#define XN_OPEN_RDWR       1u
#define XN_OPEN_BORROW_DEV 2u /* xn_open_dev: the device stays the caller's to close */

#define XN_CACHE_DEFAULT (64ull << 20)
#define XN_CACHE_MIN     (512ull << 10)
#define XN_READS_DEFAULT 32u

struct xn_open_opts {
	uint32_t flags;
	uint32_t lock_timeout_ms; /* wait that long for a holder that is finishing; 0 = do not */
	uint64_t cache_bytes;     /* bound of the cache; 0 = XN_CACHE_DEFAULT */
	uint32_t reads_max;       /* batches read at once; 0 = XN_READS_DEFAULT */
	int64_t now_ns;           /* what the disk is told of the time, always; 0 = the clock */
	char *why; /* receives a sentence on failure (who holds it, what is damaged) */
	size_t why_size;
};

/*
 * Open a disk: lock it, read superblock and catalogues.  After an unclean stop
 * that costs no more than after a clean one, whatever the size of the disk and
 * what is on it: the free map on disk never calls free what somebody owns, and the
 * blocks that it calls in use and nobody has are found by xn_reclaim().  A
 * read-only open writes nothing.  Whoever opens a disk so is its administrator.
 *
 * Fails with
 *   XN_EHELD       in use by another process (`why` names it)
 *   XN_EFOREIGN, XN_EVERSION, XN_EDAMAGED, XN_ETRUNCATED
 *   XN_EREADONLY   RDWR of something that cannot be written
 *   -errno         the name cannot be opened
 *   XN_EIO, XN_EUNKNOWN, -ENOMEM
 */
int xn_open(const char *name, const struct xn_open_opts *opts, struct xn **out);
int xn_open_dev(struct bdev *dev, const struct xn_open_opts *opts, struct xn **out);

/*
 * Write back all that may be written, mark the disk clean, free everything.
 * Sessions still open are closed.  The disk is closed in any case; a failure
 * says that it was not left clean.
 */
int xn_close(struct xn *xn);

/* Close without writing a byte, as if the power went: for tests and for hosts that must stop. */
void xn_abandon(struct xn *xn);

struct xn_disk_info {
	uint8_t uuid[16];
	char label[65];
	uint32_t format_version;
	uint64_t block_count;
	uint64_t free_blocks; /* may be allocated now */
	uint64_t set_aside;   /* of these, by claims and reserves (xn_claim) */
	uint64_t will_free;   /* waiting for a pointer to leave the disk, or to be reaped */
	uint64_t mount_epoch;
	uint64_t compat, incompat, ro_compat;
	int64_t format_time_ns;
	uint32_t templates, roots;
	bool writable, was_clean, damaged;
	bool reclaimable;    /* a crash may have left blocks in use that nobody has: xn_reclaim() */
	bool free_estimated; /* free_blocks is right to a 128th of the disk; reclaim counts it */
};
int xn_disk_info(struct xn *xn, struct xn_disk_info *info);

/*
 * Another label, at most 64 bytes.  It is on the disk when the superblock is written next, at the
 * latest by xn_close().
 *
 * Fails with
 *   XN_ECRED  no administrator
 *   -EINVAL   too long
 *   XN_EREADONLY
 */
int xn_set_label(struct xn_session *session, const char *label);

struct xn_stats {
	uint64_t binds, updates, refused_updates, owns_runs, acl_runs, check_runs, fuel_used;
	uint64_t owns_known, acl_known;          /* results that were at hand, without a run */
	uint64_t reads, writes;                  /* calls */
	uint64_t blocks_in, blocks_out, flushes; /* device */
	uint64_t cache_bytes, cache_limit, cache_dirty_pages;
	uint64_t cache_pinned_pages; /* of objects that somebody has bound */
	uint64_t cache_held_pages;   /* dirty, not stable, or bound: they cannot leave now */
	uint64_t cache_hits, cache_misses, cache_refusals, evictions;
	uint64_t eviction_looks; /* pages looked at by them */
	uint64_t objects, reap_queue;
	uint64_t frozen;                                    /* versions set aside for a sync */
	uint64_t log_records, log_sectors, log_checkpoints; /* of the intent log */
};
void xn_stats(struct xn *xn, struct xn_stats *stats);

/* ---- sessions ---- */

#define XN_SESSION_ADMIN 1u /* may create roots, set quotas, walk; state credentials per call */

/*
 * Fails with
 *   -EINVAL  flags that do not exist, or more than XN_GROUPS_MAX groups
 *   -ENOMEM
 */
int xn_session_open(struct xn *xn, const struct xn_cred *cred, uint32_t flags,
		    struct xn_session **out);
/* Drops every binding of the session. */
void xn_session_close(struct xn_session *session);

struct xn_session_stats {
	uint64_t binds, updates, refused_updates, reads, writes; /* calls */
	uint64_t bindings;                                       /* held now */
	uint64_t held_pages;                                     /* of the cache, by these alone */
};
int xn_session_stats(struct xn_session *session, struct xn_session_stats *stats);
struct xn *xn_session_disk(struct xn_session *session);

/* ---- the cache, shared ---- */

/*
 * A page that is dirty or not stable yet is held by its root, one that is bound by a
 * session, as long as it is; all others may leave at any time.  All held pages
 * together stay below the cache, and the last part of it is for those who hold
 * little: so no session can fill the cache.  A call that would hold more is refused
 * with XN_ECACHEFULL; then whoever holds the most, and more than an even share, is
 * asked to give pages back.  It reads the request here and chooses what to give:
 * write back (xn_sync, xn_writeback and xn_flush) or unbind.
 */
struct xn_revocation {
	uint32_t root;       /* 0: bound pages of this session; else dirty pages of that root */
	uint64_t pages;      /* that XN wants back still */
	int64_t deadline_ns; /* then they are taken; 0 = the time has not begun */
	uint64_t taken;      /* pages taken by force since this was told last */
};

/*
 * Is the session asked for pages?  About its own bindings first, then about roots of
 * which it has bound something for writing.  1 = yes, 0 = no.
 */
int xn_revocation(struct xn_session *session, struct xn_revocation *out);

#define XN_REVOKE_GRACE_NS 2000000000ll

/*
 * For whoever hosts XN, called now and then: take what was asked for and not given.
 * The first call after a request starts its time, one XN_REVOKE_GRACE_NS later takes
 * the pages: bindings go stale and are told by xn_taken(); what is dirty is written
 * in the usual order, and blocks that were never written get zeroes where it waits
 * for them.  `now_ns` may be of any clock that does not go back.  Returns how many
 * requests it carried out.
 *
 * Fails with
 *   XN_ECRED  no administrator
 *   what xn_sync() fails with
 */
int xn_revoke_overdue(struct xn_session *session, int64_t now_ns);

/* Bindings that were taken by force, each told once; returns how many, at most `max`. */
int xn_taken(struct xn_session *session, xn_binding_t *out, uint32_t max);

/* ---- allowances ---- */

/* What all that is one user's may take together; 0 = no limit. */
struct xn_allowance {
	uint64_t blocks;      /* in use or claimed, by roots the user owns */
	uint64_t templates;   /* installed by the user */
	uint64_t roots;       /* owned by the user */
	uint64_t cache_pages; /* held by these roots, and by the user's sessions */
	uint64_t pins;        /* bindings of the user's sessions */
	uint64_t pending;     /* subtrees of these roots that wait to be reaped */
};

/*
 * Set a user's allowance; durable when the call returns.  One below what is in use
 * takes nothing away, but refuses more, with XN_EALLOWANCE.
 *
 * Fails with
 *   XN_ECRED  no administrator
 *   -ERANGE   a number is larger than the catalogue can hold
 *   XN_EFULLCATALOGUE, XN_ENOSPACE, XN_EREADONLY, XN_EIO, XN_EUNKNOWN, -ENOMEM
 */
int xn_allowance_set(struct xn_session *session, uint32_t uid, const struct xn_allowance *limit);
/* The limits, and what is used; either may be NULL.  Of others for administrators: XN_ECRED. */
int xn_allowance_get(struct xn_session *session, uint32_t uid, struct xn_allowance *limit,
		     struct xn_allowance *used);

/* ---- templates ---- */

struct xn_template_info {
	uint32_t id;
	uint32_t batch_first, batch_count;
	char name[64];
	uint8_t sha256[32];
	uint32_t obj_size, hdr_len, rec_off, rec_size, rec_count;
	uint32_t image_len;
	uint32_t installer;
};

struct xn_image {
	const void *bytes;
	size_t len;
};

/*
 * Install `count` templates together (children BATCH + k name each other).  An
 * identical batch that is already there is found instead and its ids returned.
 * ids[] receives `count` consecutive ids.  Durable when the call returns.
 *
 * Fails with
 *   XN_ETEMPLATE       an image is refused (`why` says which and where)
 *   -EINVAL            no image, or more than 64
 *   XN_ENOTEMPLATE     a child names a template that is not installed
 *   XN_EFULLCATALOGUE, XN_ENOSPACE, XN_EALLOWANCE, XN_EREADONLY, XN_EIO, -ENOMEM
 */
int xn_template_install(struct xn_session *session, const struct xn_image *images, uint32_t count,
			uint32_t *ids, struct xn_refusal *why);

/*
 * Remove a template, and those installed together with it, which cannot be
 * without it.  Who installed it may, and administrators.  The blocks of the images
 * are free when the call returns; the ids are never used again.
 *
 * It can be when nobody uses it: no root is of its type, no other template has it
 * as a child, and nothing of its type waits to be taken apart.  Then no object
 * of it exists: each would be owned by an object of a template that names it, and
 * so on up to a root.
 *
 * Fails with
 *   XN_ENOTEMPLATE
 *   XN_ECRED     neither installer nor administrator
 *   XN_EINUSE    something uses it (`why` says what)
 *   XN_EDAMAGED  another template cannot be read, and may name it
 *   XN_EIO       it is gone until the disk is opened again, and perhaps for good
 *   XN_EREADONLY, XN_EUNKNOWN
 */
int xn_template_remove(struct xn_session *session, uint32_t id, struct xn_refusal *why);

/* XN_ENOTEMPLATE */
int xn_template_info(struct xn *xn, uint32_t id, struct xn_template_info *info);
/* Newest template of that name. XN_ENOTEMPLATE */
int xn_template_find(struct xn *xn, const char *name, uint32_t *id);
/* The lowest id above `after` (0 = first); XN_ENOTEMPLATE at the end. */
int xn_template_next(struct xn *xn, uint32_t after, struct xn_template_info *info);
/* Copy the image, at most `size` bytes; *len receives its whole length. XN_ENOTEMPLATE */
int xn_template_image(struct xn *xn, uint32_t id, void *bytes, size_t size, size_t *len);
/* The global type behind a template's child index. XN_ENOTEMPLATE, -ERANGE */
int xn_template_child(struct xn *xn, uint32_t id, uint32_t child, uint32_t *type);

/* ---- roots ---- */

#define XN_WEIGHT_MAX    1000u
#define XN_ROOT_NAME_MAX 63u

/*
 * A temporary root is gone when the disk is opened again, and its blocks are free.
 * It is exempt from order (its objects are written at any time, its blocks are free
 * at once), never from privacy or the law.  xn_sync(0) passes it by.
 *
 * A scratch root is a temporary root made for another root and charged to it: a
 * place to build trees that nothing on disk names.  A tree of any size is attached by
 * moving its top, in one xn_update(), from a record under the scratch root to one
 * under its root; nothing is ever moved the other way.  It ends with its root.
 */
#define XN_ROOT_TEMPORARY 1u
#define XN_ROOT_SCRATCH   2u

struct xn_root_spec {
	const char *name;
	const char *libfs;       /* who understands it, e.g. "simplefs" */
	uint32_t type;           /* template of the root object */
	uint32_t uid, gid, mode; /* who may bind it: rw bits of the mode */
	uint32_t flags;
	uint32_t scratch_of; /* id of the root it is for; with XN_ROOT_SCRATCH only */
	uint64_t quota;      /* blocks; 0 = no limit */
	uint64_t reserve;    /* of these, for updates with XN_FREEING only; see xn_claim() */
	uint32_t weight;     /* share of the device when roots compete; 0 = 1 */
	xn_blk_t near;       /* place the object near this block; 0 = anywhere */
	uint8_t uuid[16];    /* all zero: a random one */
	int64_t now_ns;
};

struct xn_root_info {
	uint32_t id;
	char name[64];
	char libfs[32];
	xn_blk_t object;
	uint32_t type;
	uint32_t uid, gid, mode, flags;
	uint64_t quota, reserve, used; /* blocks */
	uint64_t dirty;                /* blocks not yet written */
	uint32_t weight;
	uint8_t uuid[16];
	int64_t created_ns;
	bool damaged;
};

/*
 * Make a root: allocate its object, which starts as the template's initial
 * image, and enter it into the catalogue.  Durable when the call returns.
 *
 * Fails with
 *   XN_ECRED         the session is no administrator; for a scratch root: nor has it bound the
 *                    root's object for writing, or the owner is to be somebody else
 *   XN_ENOROOT, XN_EQUOTA   of the root that a scratch root is for
 *   XN_EROOTEXISTS, XN_ENOTEMPLATE, XN_ENOSPACE, XN_EFULLCATALOGUE
 *   XN_EALLOWANCE    the owner may not have one root more, or its object's blocks
 *   -EINVAL          the name is empty, too long, or holds '/' or control characters
 *                    or the reserve is larger than the quota, or there is no such weight
 *                    flags that do not exist; a scratch root has no quota or reserve of its own
 *   XN_EREADONLY, XN_EIO, -ENOMEM
 */
int xn_root_create(struct xn_session *session, const struct xn_root_spec *spec,
		   struct xn_root_info *info);
struct xn_root_stats {
	uint64_t used, claimed, reserved; /* blocks */
	uint64_t dirty_pages, held_pages; /* in the cache, see xn_revocation() */
	uint64_t blocks_in, blocks_out;   /* read and written since the disk was opened */
	uint64_t updates;
	uint64_t waiting; /* reads and syncs that wait for others at the device */
};
/* Of a scratch root: those of its root. XN_ENOROOT */
int xn_root_stats(struct xn *xn, uint32_t id, struct xn_root_stats *stats);

/* XN_ENOROOT */
int xn_root_find(struct xn *xn, const char *name, struct xn_root_info *info);
/* The root with the lowest id above `after`; XN_ENOROOT at the end. */
int xn_root_next(struct xn *xn, uint32_t after, struct xn_root_info *info);
/*
 * Administrators change a root's limits; durable when the call returns.
 *
 * Fails with
 *   XN_ENOROOT, XN_ECRED, XN_EREADONLY, XN_EIO, XN_EUNKNOWN
 *   XN_ENOSPACE  that many blocks cannot be set aside now
 *   -EINVAL      the reserve would be larger than the quota; no such weight
 */
int xn_root_set_quota(struct xn_session *session, const char *name, uint64_t quota);
int xn_root_set_reserve(struct xn_session *session, const char *name, uint64_t reserve);
/* The share of the device that a root gets when roots compete for it; 1 to XN_WEIGHT_MAX. */
int xn_root_set_weight(struct xn_session *session, const char *name, uint32_t weight);
/*
 * Remove a root and all it owns, also one that was cut short while a LibFS made
 * its file system.  Its entry goes first and is gone for good when the call
 * returns; bindings on anything of it are stale.  Its blocks become free as
 * xn_reap() takes the tree apart (xn_close() does, too); after a crash before
 * that, with the space that recovery finds.  The name may be used again, the id
 * never is.  Administrators only.
 *
 * Fails with
 *   XN_ENOROOT, XN_ECRED, XN_EREADONLY
 *   XN_EIO      the root is there as before
 *   XN_EUNKNOWN, -ENOMEM
 */
int xn_root_remove(struct xn_session *session, const char *name);

/* ---- binding ---- */

#define XN_READ   1u
#define XN_WRITE  2u
#define XN_READIN 4u /* also read the object's bytes (I/O) */

/*
 * Bind a root's object.  The root's owner, group and mode decide (uid 0 may
 * always).  `object` receives its block.
 *
 * Fails with
 *   XN_ENOROOT, XN_EACL, XN_EREADONLY, XN_EOBJDAMAGED
 *   XN_ECHECK      with XN_READIN: the object's `check` refuses it
 *   XN_EALLOWANCE, XN_ETOOBIG, XN_ECACHEFULL  as xn_bind()
 *   XN_EIO, -EINVAL, -ENOMEM
 */
int xn_bind_root(struct xn_session *session, const char *name, uint32_t access,
		 xn_binding_t *binding, xn_blk_t *object);

struct xn_bind_request {
	xn_blk_t owner;  /* an object this session has bound and read in */
	uint32_t record; /* the record of it that owns `extent` */
	uint32_t access; /* XN_READ, XN_WRITE, XN_READIN */
	/*
	 * DATA: any blocks that the record owns.  A template: exactly one object.
	 */
	struct xn_extent extent;
	const struct xn_cred *cred; /* NULL: the session's own */
	/* What `acl` sees as the time; 0, or no administrator asks: XN's own clock. */
	int64_t now_ns;
	struct xn_refusal *why; /* may be NULL */
};

/*
 * Bind an extent by naming who owns it.  `owns` runs on that one record; the
 * owner's `acl` is asked once, here.  The binding pins an object's bytes in the
 * cache, or gives the right to read and write data, until xn_unbind() or until
 * the owner frees the blocks (then its use is XN_ESTALE).
 *
 * Fails with
 *   XN_ENOTBOUND    the session has not bound `owner`, or not for the access asked
 *   XN_ENOTCACHED   the owner's bytes are not read in
 *   XN_ENOTOWNER    that record does not own that extent, under that type
 *   XN_ETYPE        not exactly one object; or RESERVED, which nobody may read
 *   XN_EACL         denied
 *   XN_EFAULT       `owns` faulted
 *   XN_EFUEL        `owns` and `acl` together cost too much
 *   XN_EOBJDAMAGED  the block is registered under another owner (both are now damaged), is free, or
 *                   XN's own (the owner is)
 *   XN_ECRED        the session may not state credentials
 *   XN_EALLOWANCE   the session's user may not have more bindings, or pages in the cache
 *   XN_ETOOBIG      the session has 2^24 bindings
 *   XN_ECACHEFULL   the pages that may be held all are
 *   XN_ECHECK, XN_EIO   with XN_READIN
 *   XN_EREADONLY, -ERANGE, -EINVAL, -ENOMEM
 */
int xn_bind(struct xn_session *session, const struct xn_bind_request *request,
	    xn_binding_t *binding);
/* XN_ESTALE: no such binding. */
int xn_unbind(struct xn_session *session, xn_binding_t binding);

/*
 * Read the bytes of an object, or of `count` data blocks from block `first` of
 * the binding, into the cache.  An object just read is run through `check`.
 *
 * Fails with
 *   XN_ESTALE, -ERANGE
 *   XN_ECHECK      the object is damaged; its bytes stay readable for looking, no update may touch it
 *   XN_ECACHEFULL  nothing can be evicted; write back or unbind
 *   XN_EALLOWANCE  the user may not hold more pages in the cache
 *   XN_EOBJDAMAGED a data block is known under another owner, or is free: now the owner is damaged
 *   XN_EIO, XN_EUNKNOWN, -ENOMEM
 */
int xn_readin(struct xn_session *session, xn_binding_t binding, uint64_t first, uint64_t count);

/*
 * The bytes of a bound object, read-only, valid while it stays bound; they
 * change under the reader when somebody updates it: compare versions before and
 * after (odd = being changed).  XN_ENOTCACHED, XN_ESTALE, XN_ETYPE (data),
 * XN_ENOTBOUND (not bound for reading).
 */
int xn_map(struct xn_session *session, xn_binding_t binding, const void **bytes, size_t *len);
int xn_version(struct xn_session *session, xn_binding_t binding, uint64_t *version);

/* ---- data ---- */

/*
 * Copy bytes of bound data blocks; `offset` counts from the start of the
 * binding.  Missing blocks are read from the device.  A block that was
 * allocated and not yet written reads as zeroes.
 *
 * Fails with
 *   XN_ESTALE, XN_ENOTBOUND (not bound for reading), XN_ETYPE (not DATA)
 *   -ERANGE  beyond the binding
 *   XN_EOBJDAMAGED, XN_ECACHEFULL, XN_EALLOWANCE, XN_EIO, XN_EUNKNOWN, -ENOMEM  as xn_readin()
 */
int xn_read(struct xn_session *session, xn_binding_t binding, uint64_t offset, void *buffer,
	    size_t len);

/*
 * Copy bytes into bound data blocks in the cache.  The first write of a new
 * block covers all of it.  All or nothing.
 *
 * Fails like xn_read(), and with
 *   XN_EUNINIT      the first write of a new block covers only a part of it
 *   XN_ETOOBIG      more than XN_WRITE_MAX bytes
 *   XN_EOBJDAMAGED  the owner is damaged, so nobody changes what it owns
 */
#define XN_WRITE_MAX (1u << 20)
int xn_write(struct xn_session *session, xn_binding_t binding, uint64_t offset, const void *bytes,
	     size_t len);

/*
 * Read ahead: if `block` is not at hand, read the `count` blocks from `start` on
 * (which `block` is one of; widened to multiples of 16) in one request.  What they
 * are and whose need not be known, nor bound: nobody sees them before binding
 * them, and then without I/O if it is soon.  Returns 1 if it read, 0 if there was
 * no need.
 *
 * Fails with
 *   -EINVAL  `block` is not in the range, or that is empty or larger than XN_PREFETCH_MAX
 *   -ERANGE  beyond the disk
 *   -ENOMEM
 */
#define XN_PREFETCH_MAX 256u
int xn_prefetch(struct xn_session *session, xn_blk_t block, xn_blk_t start, uint64_t count);

/* ---- the one way to change metadata ---- */

struct xn_expect {
	xn_blk_t object;
	uint64_t version;
};

struct xn_edit {
	xn_blk_t object; /* bound for writing and read in, or allocated by this update */
	uint32_t offset;
	uint32_t len;
	const void *bytes;
};

struct xn_retype {
	struct xn_extent extent; /* its type now */
	uint32_t type;           /* DATA or RESERVED: its type afterwards */
	uint32_t reserved;
};

#define XN_ATOMIC  1u /* several objects, whole or absent after a crash */
#define XN_REAP    2u /* freed objects may still own blocks: XN takes the subtree apart later */
#define XN_FREEING 8u /* this update frees more than it takes: may use the root's reserve */

/*
 * XN_ATOMIC is implied by whatever could be torn on disk to somebody's harm:
 * ownership that moves between objects or sectors, headers, records that lie in
 * two sectors.  Such updates reach the disk through the intent log, and updates
 * that share an object go together.
 */

#define XN_UPDATE_OBJECTS_MAX 64u
#define XN_UPDATE_BYTES_MAX   (256u << 10)
#define XN_UPDATE_BLOCKS_MAX  (1u << 18)
#define XN_UPDATE_EXTENTS_MAX 65536u

struct xn_update {
	const struct xn_expect *expects;
	const struct xn_edit *edits;
	const struct xn_extent *allocs;
	const struct xn_extent *frees;
	const struct xn_retype *retypes;
	const xn_blk_t *links; /* objects that one more record names, or one less; see below */
	const xn_blk_t *unlinks;
	uint32_t n_expects, n_edits, n_allocs, n_frees, n_retypes, n_links, n_unlinks;
	uint32_t flags;
	const struct xn_cred *cred; /* NULL: the session's own */
	/* What `acl` sees as the time; 0, or no administrator asks: XN's own clock. */
	int64_t now_ns;
	/*
	 * 0, or a write binding of content: what lies below the record that allowed it is
	 * changed by right of that binding (`acl` sees bound = 1), as one may go on writing a
	 * file whose mode changed after it was opened.
	 */
	xn_binding_t under;
	struct xn_refusal *why; /* may be NULL */
};

/*
 * Change metadata, all or nothing, in memory (writes nothing to disk).
 *
 * Over all objects edited, with `owned` taken before and after by running
 * `owns` on the records that the bytes touch:  added = allocs, removed = frees,
 * but for what one record lost and another gained under the same type: that
 * moved, and needs no declaration.  `retypes` turn owned RESERVED blocks into
 * DATA (unwritten) and back; the record must say the same.
 * An allocated extent of a template with objects of S blocks stands for count/S
 * new objects, each starting as the initial image; the same update may edit
 * them.  A freed object must own nothing after the edits, or XN_REAP be given.
 * Freed blocks are reusable once no pointer to them can be on disk.
 *
 * An object of a template with `refcnt` may have as many owners, under one root, as
 * it says: `links` names those that one more record owns afterwards, `unlinks` those
 * that one less does, and each is edited by the same update, so that its count
 * changes by one.  Such an update is whole on disk.  Only an object that is on disk
 * with all it names is linked (XN_ETAINTED: sync the root and try again), and only
 * where the owner cannot be below it (XN_ECYCLE: it is, or has several owners above
 * it and its type does not exclude it).  The last owner frees it; XN takes nothing
 * apart from which a counted object can be reached.
 *
 * Fails with
 *   XN_ECHANGED    an object's version is not the expected one (value: the one found)
 *   XN_ENOTBOUND   an edited object is not bound for writing by this session
 *   XN_ENOTCACHED  an edited or freed object's bytes are not read in
 *   XN_ENOTOBJECT  an edit names a block that is no object
 *   XN_EOWNS       the records own something else afterwards than declared, or an object counts
 *                  other owners than it has
 *   XN_ETAINTED    an object to link is not on disk yet
 *   XN_EFAULT      `owns` faulted on the old or the new bytes
 *   XN_EFUEL       all runs together cost too much
 *   XN_EACL        `acl` of a touched template denies it; a new object that is edited is judged
 *                  as if it had been made first and edited afterwards
 *   XN_ENOTFREE    some block of `allocs` is in use; find another and retry
 *   XN_ENOTEMPTY   a freed object still owns blocks
 *   XN_EQUOTA, XN_ECACHEFULL
 *   XN_EALLOWANCE  the owner of the root may not have more blocks, cached pages or pending work
 *   XN_ENOSPACE    what is free is set aside for others (xn_claim)
 *   XN_ETYPE       an extent is not a whole number of objects, or its type is unknown
 *   XN_EOVERLAP    edits, allocs or frees overlap among themselves
 *   XN_ETOOBIG     more objects, bytes, blocks or extents than one update may have
 *   XN_EOBJDAMAGED an object is marked damaged
 *   -ERANGE        an edit lies outside its object, an extent outside the disk
 *   XN_ELOGFULL    what must reach the disk together with this is too much for the intent log:
 *                  xn_sync() the root and try again
 *   XN_ECYCLE      an object would hang below itself; or what must go together would wait, by
 *                  xn_after(), for itself
 *   -ENOSYS        on a disk too small for an intent log, what needs one; links under a temporary
 *                  root
 *   XN_ESTALE, XN_ENOTOWNER, XN_ENOTBOUND  of `under`: the binding is gone, is of content that its
 *                  owner has no more, or is not for writing
 *   XN_EIO         the map of a chunk, touched for the first time, cannot be read
 *   XN_EUNKNOWN, XN_EREADONLY, XN_ECRED, -EINVAL, -ENOMEM
 * and on failure nothing has changed.
 */
int xn_update(struct xn_session *session, const struct xn_update *update);

/* ---- order and write-back ---- */

/*
 * What must reach the disk before the object or data block `block` may:
 * unwritten or unflushed blocks that it names.  Returns how many there are
 * (may exceed `max`), at most `max` of them in out[]; 0 = it may be written.
 *
 * Fails with
 *   XN_ENOTCACHED  nothing is known of that block
 *   XN_ENOTBOUND   the session has bound neither it nor its owner for reading
 */
int xn_blockers(struct xn_session *session, xn_blk_t block, struct xn_extent *out, uint32_t max);

/*
 * Dirty blocks of a root (0 = all roots of the session's bindings) that may be written now.
 *
 * Fails with
 *   XN_ENOROOT
 *   XN_ENOTBOUND  the session has bound nothing of that root, and is no administrator
 */
int xn_list_writeable(struct xn_session *session, uint32_t root, struct xn_extent *out,
		      uint32_t max);

/*
 * Write the dirty blocks of these extents (clean or unknown ones are skipped)
 * and wait for the device.  They are stable after the next flush.
 *
 * Fails with
 *   XN_ETAINTED  a block names one that is not stable; nothing of the request was written
 *   XN_ENOTBOUND the session has not bound a block or its owner
 *   XN_EIO       some stay dirty;  XN_EUNKNOWN: nothing more is written until reopened
 *   XN_EREADONLY, -ENOMEM
 */
int xn_writeback(struct xn_session *session, const struct xn_extent *extents, uint32_t count);

/* Make everything written so far stable. XN_EREADONLY, XN_EIO, XN_EUNKNOWN, -ENOMEM */
int xn_flush(struct xn_session *session);

/*
 * Make everything stable that was dirty when the call was made: of one root, or
 * of all (0; administrators).  Writes in waves: data, new subtrees and the free
 * map, flush; then what names them, flush; and so on.  What XN_WRITEs do
 * meanwhile may ride along.
 *
 * Fails with
 *   XN_ETAINTED  something names blocks that were allocated and never written
 *   XN_ENOROOT
 *   XN_ECRED     all roots, and no administrator
 *   XN_EIO, XN_EUNKNOWN, XN_EREADONLY, -ENOMEM
 */
int xn_sync(struct xn_session *session, uint32_t root);

/*
 * Take reaped subtrees apart, at most `budget` objects; reads what is not
 * cached.  Returns how many objects remain queued.
 *
 * Fails with
 *   XN_EREADONLY, -ENOMEM
 *   XN_EUNKNOWN  the outcome of a write is unknown: nothing more is freed
 */
int64_t xn_reap(struct xn_session *session, uint64_t budget);

/*
 * Make these objects and data blocks durable, with everything unsound that they
 * name and everything that names them up to what the disk reaches: by one
 * record of the intent log and one flush if that is small enough, else in
 * waves.  What fsync of a file should call, with the file's dirty blocks and
 * the object that holds its name.  Blocks that are clean and stable cost nothing.
 *
 * Fails with
 *   XN_ENOTBOUND the session has not bound a block or its owner
 *   XN_ETAINTED  something names blocks that were allocated and never written
 *   XN_ETOOBIG   an extent of more than XN_UPDATE_BLOCKS_MAX blocks
 *   XN_EIO, XN_EUNKNOWN, XN_EREADONLY, -ENOMEM
 */
int xn_commit(struct xn_session *session, const struct xn_extent *extents, uint32_t count);

/*
 * Give blocks that were allocated and never written zeroes, so that what waits for
 * them can be written: for hosts, when whoever allocated them is gone.  root 0 =
 * all.  Returns how many, at most some thousands: sync, and call again until it is 0.
 *
 * Fails with
 *   XN_ECRED, XN_ENOROOT, XN_EREADONLY
 *   XN_ECACHEFULL  no room for a single page; write back first
 *   -ENOMEM
 */
int xn_init_unwritten(struct xn_session *session, uint32_t root);

/*
 * Bring what the intent log holds to its place and empty it; blocks that were
 * freed while a record held them are free then.  xn_sync() does it by itself
 * when space is short, xn_close() always.
 *
 * Fails with XN_EIO, XN_EUNKNOWN, XN_EREADONLY, -ENOMEM
 */
int xn_checkpoint(struct xn_session *session);

/*
 * A dependency of the LibFS's own: where the disk reaches it, `object` is not
 * written before the present version of `prior` is stable.  Forgotten when that
 * is so, or when either is freed.
 *
 * Fails with
 *   XN_ECYCLE     prior waits for object already
 *   XN_ENOTBOUND  object is not bound for writing, or prior not at all
 *   XN_ETOOBIG    object waits for XN_AFTER_MAX others already
 *   XN_EREADONLY, -EINVAL (the same object, or another root's), -ENOMEM
 */
#define XN_AFTER_MAX 256u
int xn_after(struct xn_session *session, xn_blk_t object, xn_blk_t prior);
/*
 * Set blocks aside for later allocs of a root; a negative number gives back.  A
 * LibFS that acknowledges writes before it allocates claims the blocks first, and
 * so need not say "no space" when it is too late.
 *
 * Claims are kept by session and root.  An update on that root spends them first,
 * whatever they were made for: claim what the update may take at most, and give
 * back what it did not.  They count blocks and not places: an object of several
 * blocks needs free ones in a row besides.  They end with the session.
 *
 * A root's reserve is set aside for good, as much of it as is free.  Updates with
 * XN_FREEING (unlink, truncate, rename) may take from it when nothing else is left,
 * and the last `reserve` blocks of the quota besides; what comes free fills it again.
 *
 * Fails with
 *   XN_ENOROOT
 *   XN_ENOTBOUND  the session has not bound the root's object for writing
 *   XN_EALLOWANCE beyond what the root's owner may have
 *   XN_EQUOTA     beyond the root's quota; used and claimed blocks count, and the reserve
 *   XN_ENOSPACE   not that many are free and set aside for nobody
 *   -ERANGE       it gives back more than it has
 *   XN_EREADONLY, -ENOMEM
 */
int xn_claim(struct xn_session *session, uint32_t root, int64_t blocks);

/* ---- space ---- */

struct xn_space {
	uint64_t total, free, will_free;
	uint64_t quota, used; /* of the root; quota 0 = none */
	uint64_t reserve;     /* set aside for updates of the root that free */
	uint64_t claimed;     /* set aside by sessions for the root ... */
	uint64_t mine;        /* ... and of these by this session */
	uint64_t available;   /* what an update without claims may still take */
};
/* XN_ENOROOT */
int xn_space(struct xn_session *session, uint32_t root, struct xn_space *space);

/*
 * A free extent of 1 to `want` blocks near `near` (0 = anywhere), aligned to
 * `align` blocks (0 or 1 = any).  Only a look: another session may take it
 * first (xn_update() says XN_ENOTFREE).  May read map blocks.  Two sessions
 * looking at once are led to different places when possible.
 *
 * Fails with
 *   XN_ENOSPACE  nothing free
 *   -EINVAL      no blocks are wanted, or `align` is more than a chunk
 *   XN_EIO, -ENOMEM
 */
int xn_find_free(struct xn_session *session, xn_blk_t near, uint64_t want, uint32_t align,
		 struct xn_extent *out);

/* Free blocks in a chunk of 16384; -ERANGE beyond the disk, XN_EIO, -ENOMEM. */
int xn_chunk_summary(struct xn *xn, uint64_t chunk, uint32_t *free_blocks);
/* Its bitmap, 2048 bytes, bit set = not free.  Fails alike. */
int xn_chunk_map(struct xn *xn, uint64_t chunk, uint8_t *bitmap);

/* ---- space that a crash lost ---- */

struct xn_reclaim_progress {
	uint64_t maps, maps_done; /* chunks whose map must be read first */
	uint64_t objects;         /* walked */
	uint64_t freed;           /* blocks */
	uint64_t memory;          /* bytes that it took */
};

/*
 * Find the blocks that a crash left in use though nobody has them, and free them,
 * while the disk is in use: call it again until it returns 0.  Each call reads at
 * most `budget` maps or objects; how often to call is the rate.  It takes one bit of
 * memory for each block of the chunks in use (32 MiB for a TiB) and a bounded stack,
 * and frees nothing before all that is owned was walked.  Blocks that only records of
 * the intent log hold become free at once.  Root counters and the
 * free count are exact when it is done.  Closing the disk or an error forgets how far
 * it came.  `progress` may be NULL.  Administrators only.
 *
 * Returns 1 if there is more to do, 0 when nothing can be lost (any more).
 *
 * Fails with
 *   XN_EDAMAGED  an object cannot be walked: nothing is freed; run xn-fsck
 *   XN_ECRED, XN_EREADONLY, XN_EIO, XN_EUNKNOWN, -ENOMEM
 */
int xn_reclaim(struct xn_session *session, uint64_t budget, struct xn_reclaim_progress *progress);

/* ---- another size ---- */

/*
 * Make the disk `blocks` blocks large, while it is in use.  Growing enlarges the
 * device first where that can be (a file); it takes the same time whatever the size.
 * Shrinking cuts off what nobody uses: XN moves nobody's blocks.  If something is in
 * the way (XN_EINWAY), up to `max` extents of it come back in in_way[], and in *n_in_way
 * how many there are; from then on nothing new is put there (xn_find_free() passes it
 * by), so whoever owns them may move them and call again.  Blocks that a crash left in
 * use are in the way until xn_reclaim() is done.  The present size again gives it up.
 * A size is rounded down by up to two blocks where a last chunk would hold nothing.
 * Administrators only.
 *
 * Fails with
 *   XN_EINWAY    blocks are in use beyond the new end
 *   XN_ESIZE     out of range: too small for XN's own blocks, or the device is smaller and cannot grow
 *   XN_ENOSPACE  claims and reserves were promised more than would be left
 *   XN_ECRED, XN_EREADONLY, XN_EIO, XN_EUNKNOWN, -ENOMEM; the size is the old one then
 */
int xn_resize(struct xn_session *session, uint64_t blocks, struct xn_extent *in_way, uint32_t max,
	      uint32_t *n_in_way);

/* ---- looking at everything: tools ---- */

struct xn_walk_item {
	uint32_t root;  /* id */
	uint32_t depth; /* 0: the root object itself */
	xn_blk_t owner; /* object that owns the extent; 0 at depth 0 */
	uint32_t owner_type;
	uint32_t record; /* record of the owner; ~0 at depth 0 */
	struct xn_extent extent;
	int error; /* of the owner object: XN_EFAULT, XN_EIO; extent is then the object itself */
};

/*
 * Visit everything that is owned, depth first, in no particular order among
 * siblings.  Newest bytes are used where they are cached.  Administrators only.
 * root 0 = all roots.  next returns 1 with an item, 0 at the end, -ENOMEM.
 *
 * Creating fails with XN_ECRED, XN_ENOROOT, -ENOMEM
 */
struct xn_walker;
int xn_walker_create(struct xn_session *session, uint32_t root, struct xn_walker **out);
int xn_walker_next(struct xn_walker *walker, struct xn_walk_item *item);
void xn_walker_destroy(struct xn_walker *walker);

/* Assert every invariant that memory can show; returns the number of the first broken one or 0. */
int xn_self_check(struct xn *xn, char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
