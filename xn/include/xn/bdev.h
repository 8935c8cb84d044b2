/* SPDX-License-Identifier: MIT */
/*
 * Block devices: one small asynchronous table of operations.
 *
 * XN, fsck, the image tools and the test devices see disks only through this.
 * A device is opened by name: a file or a block device, or "mem:SIZE".  Devices stack
 * (a recorder or a fault injector sits on another device and owns it).
 *
 *  (1) A request is submitted to a queue and completes on that queue, never
 *      through a callback: values come up when bdev_wait() is called.
 *  (2) There are three outcomes.  DONE: it happened.  FAILED: it did not happen
 *      and the medium is as before (for a write: each sector old or new).
 *      UNKNOWN: nobody can say (time-out, lost connection, failed flush); the
 *      caller must stop writing until the device is reopened.
 *  (3) A write that is DONE is on the medium only after a later FLUSH is DONE,
 *      unless it carried BDEV_FUA.  Between flushes the device may reorder.
 *  (4) Sectors of 512 bytes are written atomically; nothing larger is.  (A medium of larger
 *      blocks keeps this: the blocks are atomic, and the sectors around are as before.)
 *  (5) Requests in flight at the same time have no order among each other; the
 *      caller never has two writes of one sector in flight.
 *
 * Threads: a device may be used by any number of threads; a queue by one at a
 * time.
 */
#ifndef XN_BDEV_H
#define XN_BDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BDEV_SECTOR 512u

enum bdev_op {
	BDEV_READ,
	BDEV_WRITE,
	BDEV_FLUSH,
	BDEV_DISCARD,      /* contents become undefined: old, zero or anything */
	BDEV_WRITE_ZEROES, /* contents become zero */
};

enum bdev_outcome {
	BDEV_PENDING = 0,
	BDEV_DONE,
	BDEV_FAILED,
	BDEV_UNKNOWN,
};

#define BDEV_FUA 1u /* a write that is DONE is on the medium */

struct bdev_request {
	enum bdev_op op;
	uint32_t flags;
	uint64_t offset; /* bytes, a multiple of BDEV_SECTOR */
	uint64_t len;    /* bytes, a multiple of BDEV_SECTOR; the sum of iov for READ and WRITE */
	const struct iovec *iov; /* READ, WRITE: must stay valid until completion */
	int iov_count;
	void *user;                /* the submitter's own */
	enum bdev_outcome outcome; /* set at completion */
	int error;                 /* -errno when outcome is not BDEV_DONE */
	struct bdev_request *next; /* the device's, while in flight */
};

struct bdev;
struct bdev_queue;

/* What a device can do and how big it is. */
struct bdev_info {
	uint64_t size;          /* bytes, rounded down to a multiple of 4096 */
	uint32_t logical_block; /* smallest write the medium takes at once: 512 or 4096 */
	uint32_t optimal_io;    /* bytes; a good request size */
	bool writable;
	bool can_fua, can_discard, can_write_zeroes;
	bool can_resize; /* bdev_resize works (files) */
	char name[256];  /* as people know it */
	char engine[16]; /* how requests overlap: "io_uring", "threads"; "": they do not */
};

/* Who holds a disk; stored by the owner of the lock where others can read it. */
struct bdev_holder {
	uint64_t pid;
	char host[64];
	char command[32];
};

/* ---- opening ---- */

#define BDEV_OPEN_RDONLY  0u
#define BDEV_OPEN_RDWR    1u
#define BDEV_OPEN_CREATE  2u /* file: make it if missing, with size create_size */
#define BDEV_OPEN_DIRECT  4u /* bypass the host's page cache where possible */
#define BDEV_OPEN_THREADS 8u /* file: worker threads even where there is io_uring */

/*
 * Open a disk by name: "disk.img", "file:disk.img", "/dev/loop0", "mem:SIZE" (bytes, or with K, M,
 * G or T after it).  A word of two or more small letters before the first colon is the kind of disk;
 * write "./a:b" for a file of such a name.  Takes no lock.  `*out` is yours to close.
 *
 * Fails with
 *   -ENOENT, -EACCES, -EROFS, ...  what the system says
 *   -EPROTONOSUPPORT               no such kind of disk
 *   -ENOTBLK                       neither a regular file nor a block device
 *   -EINVAL                        "mem:" without a size; BDEV_OPEN_CREATE without BDEV_OPEN_RDWR
 */
int bdev_open(const char *name, uint32_t flags, uint64_t create_size, struct bdev **out);
void bdev_close(struct bdev *dev);

/*
 * Lock the disk: shared for readers, exclusive for a writer.  Files use an
 * open-file-description lock, block devices an exclusive open.  Waits at most
 * `timeout_ms` for a holder that is just finishing.  Released by bdev_close().
 *
 * Fails with
 *   -EBUSY   somebody else holds it
 *   -EROFS   an exclusive lock needs a device opened for writing
 */
int bdev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms);
/* Give up the exclusive open of a block device, so that a mount of it can have one; not the lock. */
void bdev_yield(struct bdev *dev);

void bdev_info(const struct bdev *dev, struct bdev_info *info);

/* Change the size of a file (sparse growth).  -ENOTSUP on others. */
int bdev_resize(struct bdev *dev, uint64_t size);

/* ---- requests ---- */

int bdev_queue_create(struct bdev *dev, struct bdev_queue **out);
void bdev_queue_destroy(struct bdev_queue *queue); /* waits for what is in flight */

/*
 * Submit `count` requests.  They may complete at once; each shows up in
 * bdev_wait() exactly once.  A request that is malformed (beyond the end, not a
 * multiple of a sector, iov that does not sum up to len, a write on a read-only
 * device, an operation the device cannot do) completes as FAILED with -EINVAL,
 * -EROFS or -EOPNOTSUPP and never reaches the medium.  One of length zero is DONE.
 */
void bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);

/*
 * Take completed requests, at most `max`, waiting until at least `min` (<= what is in flight) are
 * there.  Returns how many were taken.
 */
size_t bdev_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max, size_t min);

/*
 * One request and its completion, for callers with nothing else to do.  Sectors also where the
 * medium's logical block is larger: the blocks around are read and written whole, so two such
 * writes into one block must not be in flight at the same time.
 */
int bdev_read(struct bdev *dev, uint64_t offset, void *buffer, size_t len);
int bdev_write(struct bdev *dev, uint64_t offset, const void *bytes, size_t len, uint32_t flags);
int bdev_flush(struct bdev *dev);
/* These return 0; -errno of a FAILED request; -ENOMEM; or XN_EUNKNOWN. */

/* ---- the table an implementation fills ---- */

struct bdev_ops {
	const char *name;
	void (*close)(struct bdev *dev);
	int (*lock)(struct bdev *dev, bool exclusive, uint32_t timeout_ms);
	void (*yield)(struct bdev *dev); /* may be NULL */
	void (*info)(const struct bdev *dev, struct bdev_info *info);
	int (*resize)(struct bdev *dev, uint64_t size);
	int (*queue_create)(struct bdev *dev, struct bdev_queue **out);
	void (*queue_destroy)(struct bdev_queue *queue);
	/* Requests arrive already checked against info(). */
	void (*submit)(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);
	size_t (*wait)(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
		       size_t min);
};

struct bdev {
	const struct bdev_ops *ops;
};

struct bdev_queue {
	struct bdev *dev;
	/* Completed without the device's help (refused, or done at once), oldest first. */
	struct bdev_request *ready, **ready_end;
};

/* ---- memory ---- */

/* A disk in memory, all zero.  Sparse: untouched parts cost nothing. */
int bdev_mem_create(uint64_t size, struct bdev **out);

/*
 * A copy of the whole medium as it is now (cheap where the host can share pages).  For tests.
 */
int bdev_mem_clone(struct bdev *mem, struct bdev **out);

/* ---- overlay: writes stay in memory ---- */

/*
 * Sits on `below` and owns it.  Reads show what was written here, else what is below, which is never
 * written, flushed or locked for writing: it may be read-only.  Says that it is writable.  Locking it,
 * also exclusively, takes the shared lock of what is below.  Cannot be resized.
 */
int bdev_overlay_create(struct bdev *below, struct bdev **out);
void bdev_overlay_reset(struct bdev *overlay); /* forget all writes: it shows what is below again */
struct bdev *bdev_overlay_detach(struct bdev *overlay);    /* close it, but not what is below */
uint64_t bdev_overlay_sectors(const struct bdev *overlay); /* how many are kept in memory */

/* ---- recorder: remembers every write and flush, for crash exploration ---- */

enum bdev_event_kind {
	BDEV_EVENT_WRITE, /* offset, len, bytes, FUA */
	BDEV_EVENT_FLUSH, /* a flush that completed: what was DONE when it was submitted is stable */
	BDEV_EVENT_DISCARD,
	BDEV_EVENT_ZEROES,
	BDEV_EVENT_MARK, /* the workload's own note: "fsync of x returned" */
};

/*
 * Events stand in the order of submission (a FLUSH in that of completion).  A crash after the first
 * `n` events may show any of these n, in any order, and must show those with stable_at < n: a write
 * in flight while a flush runs comes before it and is not made stable by it.
 */
struct bdev_event {
	enum bdev_event_kind kind;
	uint32_t flags;
	uint64_t offset, len;
	const uint8_t *bytes; /* WRITE: len bytes */
	const char *mark;     /* MARK: NUL-terminated */
	size_t stable_at;     /* index of the event that made it stable; SIZE_MAX: none yet */
};

/* Sits on `below` and owns it (closing the recorder closes both). */
int bdev_recorder_create(struct bdev *below, struct bdev **out);
int bdev_recorder_mark(struct bdev *recorder, const char *text);
size_t bdev_recorder_count(const struct bdev *recorder);
/* Borrowed until the next write or reset. */
const struct bdev_event *bdev_recorder_event(const struct bdev *recorder, size_t index);
void bdev_recorder_reset(struct bdev *recorder); /* forget everything so far */

/*
 * From the first event on, append each to a new file; bytes of writes are then kept only there.
 * What cannot be kept does not happen: the request fails.
 *
 * Fails with
 *   -EBUSY   events came before
 *   -EEXIST and others of open(2) and write(2)
 */
int bdev_recorder_save(struct bdev *recorder, const char *path);

/*
 * Have the events of such a file, instead of its own; the devices below are left alone.  Half an
 * event at the end, of a writer that was killed, is left out.
 *
 * Fails with
 *   -EMEDIUMTYPE, -EPROTONOSUPPORT   it is no such file, or a newer one
 *   -EINVAL    it is of a device of another size
 *   -EUCLEAN   an event makes no sense
 *   -errno of open(2) and read(2), -ENOMEM
 */
int bdev_recorder_load(struct bdev *recorder, const char *path);

struct bdev_counts {
	uint64_t reads, writes, flushes, discards, zeroes;
	uint64_t read_bytes, written_bytes;
};
void bdev_recorder_counts(const struct bdev *recorder, struct bdev_counts *counts);

/* ---- disk model: what would a stated drive have taken? ---- */

struct bdev_model {
	const char *name;
	uint32_t request_max; /* bytes; the largest request that the drive is given */
	uint64_t overhead_ns; /* of a command */
	/* A disk; rpm 0: a drive without arms. */
	uint32_t rpm;
	uint64_t cylinders, heads;
	uint32_t zones, outer_sectors, inner_sectors;          /* 1-32 zones; sectors of a track */
	uint64_t seek_track_ns, seek_average_ns, seek_full_ns; /* average: over a third */
	uint64_t head_switch_ns;
	uint64_t bus_bytes_s;
	uint64_t cache_bytes; /* writes that wait for a flush, or until it is full; 0: none do */
	/* A drive without arms. */
	uint32_t depth; /* requests served at a time */
	uint64_t read_ns, write_ns;
	uint64_t read_bytes_s, write_bytes_s;
	uint64_t flush_ns; /* if something was written since the last one */
};

/* "atlas1996", "sata7200", "nvme"; NULL: no such drive. */
const struct bdev_model *bdev_model_find(const char *name);

#define BDEV_MODEL_CLASSES 14u /* up to 512 bytes, 1 KiB, 2 KiB ... 2 MiB, more */

struct bdev_model_result {
	uint64_t time_ns; /* overhead + seek + rotation + transfer + the flushes' own cost */
	uint64_t overhead_ns, seek_ns, rotation_ns, transfer_ns, flush_own_ns;
	uint64_t flush_ns;  /* all that flushes took: counted in the others, too */
	uint64_t submitted; /* requests, as they came */
	uint64_t reads, writes, flushes, discards; /* as the drive saw them: merged and cut */
	uint64_t read_bytes, written_bytes;
	uint64_t seeks; /* moves of the arm to another cylinder */
	uint64_t read_class[BDEV_MODEL_CLASSES], write_class[BDEV_MODEL_CLASSES];
	uint64_t unmodelled; /* submissions not counted, for want of memory */
};

/*
 * Sits on `below` and owns it.  Requests pass; the time that `drive` (copied) would have taken is
 * counted.  Requests of one submission are sorted, merged and cut as a driver would.
 *
 * Fails with
 *   -EINVAL  the drive makes no sense
 *   -ENOSPC  the device is larger than the drive
 *   -ENOMEM
 */
int bdev_model_create(struct bdev *below, const struct bdev_model *drive, struct bdev **out);
void bdev_model_result(struct bdev *model, struct bdev_model_result *result);
void bdev_model_reset(struct bdev *model); /* counts and time; the arm stays where it is */
void bdev_model_pause(struct bdev *model, uint64_t ns); /* the host thinks, the disk turns */

/* ---- checking device: asserts the order rules from outside ---- */

/*
 * Watches every write and flush, and checks them by decoding superblock, maps, catalogues and
 * templates and running `owns` itself, with nothing of the engine.  It lets everything pass and
 * counts what breaks a rule.  Link xn_check.
 */
enum bdev_check_rule {
	BDEV_CHECK_UNWRITTEN, /* named before it was written and flushed, since it was last unnamed */
	BDEV_CHECK_REUSED, /* named, or written anew, while another's name for it may be on disk */
	BDEV_CHECK_MOVED,  /* a move that cleared the old name before the new one was stable */
	BDEV_CHECK_MAP,    /* named, and some map that may be on disk shows it free */
	BDEV_CHECK_STRAY,  /* a write where nobody may write */
	BDEV_CHECK_TORN,   /* a change of what is owned that a power cut may leave half done */
	BDEV_CHECK_OWNS,   /* `owns` faults on what is written, or leaves the disk */
	BDEV_CHECK_STATE,  /* written before the disk says "in use", "clean" too early, old epoch */
	BDEV_CHECK_LOG,    /* what replaying the log would undo, or a record retired too early */
	BDEV_CHECK_RULES,
};

const char *bdev_check_rule_name(enum bdev_check_rule rule);

/*
 * Sits on `below` and owns it.  Looks at the disk when it is first written; what is there then is
 * taken as it is, and so it is again after a reset, which whoever writes below must ask for.
 */
int bdev_check_create(struct bdev *below, struct bdev **out);
void bdev_check_reset(struct bdev *checker);
/* How often rules were broken; `text` (may be NULL): the first of them, a line each; borrowed. */
uint64_t bdev_check_violations(struct bdev *checker, const char **text);
uint64_t bdev_check_count(struct bdev *checker, enum bdev_check_rule rule);
void bdev_check_forgive(struct bdev *checker); /* start counting anew */

/* ---- fault injector ---- */

enum bdev_fault_kind {
	BDEV_FAULT_FAIL,    /* outcome FAILED, nothing written */
	BDEV_FAULT_UNKNOWN, /* outcome UNKNOWN; a coin of `seed` decides what was written */
	BDEV_FAULT_SHORT,   /* a write or read that stops after some sectors, FAILED */
	BDEV_FAULT_CORRUPT, /* a read that is DONE with flipped bits */
};

struct bdev_fault {
	enum bdev_fault_kind kind;
	uint32_t ops; /* which operations count: bit (1u << enum bdev_op); 0 = all */
	uint64_t nth; /* the n-th counted operation from now fails, 1 = the next */
	bool forever; /* and every one after it */
	int error;    /* -errno to report; 0 = -EIO */
	uint64_t seed;
};

/* Sits on `below` and owns it. */
int bdev_fault_create(struct bdev *below, struct bdev **out);
void bdev_fault_arm(struct bdev *injector, const struct bdev_fault *fault);
/* Stop failing; returns how many operations were failed since arming. */
uint64_t bdev_fault_disarm(struct bdev *injector);

#ifdef __cplusplus
}
#endif

#endif
