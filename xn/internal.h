/* SPDX-License-Identifier: MIT */
/*
 * The engine's own structures.  One lock (xn->lock) guards all of them; it is
 * never held across device I/O.  What every structure promises stands at the
 * top of the file that owns it:
 *
 *   super.c      superblock, format          cache.c     frames, mapped twice
 *   catalogue.c  templates and roots on disk registry.c  what is known of blocks
 *   template.c   installing, types           freemap.c   which blocks are free
 *   root.c       roots, quota                order.c     what may be written when
 *   session.c    sessions, bindings          io.c        the device, reads
 *   bind.c       who owns an extent          update.c    check and commit
 *   acl.c        who may                     claim.c     blocks set aside
 *   turn.c       who is next at the device   wave.c      writes and their flush
 *   share.c      shares of the cache         principal.c allowances of users
 *   data.c       bytes of data blocks        reap.c      subtrees taken apart
 *   ahead.c      blocks read before need     reclaim.c   blocks that a crash lost
 *   owns.c       runs of `owns`, remembered
 *   walk.c       everything that is owned    zero.c      blocks never written
 *   sparse.c     tables with holes           freemap_write.c  the map, to the disk
 *   freeze.c     versions that a sync waits for
 *   sync.c       what goes into which wave   writable.c  questions about it
 *   log.c        the intent log              group.c     what goes together
 *   after.c      dependencies asked for      durable.c   xn_commit
 *   resize.c     a disk of another size      foresight.c claims ahead of need
 *   counted.c    objects of several owners   own.c       blocks of XN's own
 *   xn.c         open, close, looking        selfcheck.c the truths, executed
 */
#ifndef XN_INTERNAL_H
#define XN_INTERNAL_H

#include <pthread.h>
#include <stdarg.h>
#include <sys/queue.h>

#include "sparse.h"
#include "udf/udf.h"
#include "xn/bdev.h"
#include "xn/format.h"
#include "xn/log_format.h"
#include "xn/xn.h"

#define ARRAY_LEN(a)   (sizeof(a) / sizeof((a)[0]))
#define NO_RECORD      UDF_RECORD_NONE
#define BATCH_BLOCKS   256u /* blocks copied and written in one go */
#define QUEUES_KEPT    8u
#define SHARED_BUCKETS 256u
#define DAMAGED_MAX    1024u

/* ---- cache ---- */

struct pool; /* frames of one root and kind */

struct cache {
	uint64_t limit_frames;    /* bound of resident frames over all pools */
	uint64_t reserve_frames;  /* of these, kept for xn_close() */
	uint64_t resident_frames; /* touched and not given back to the host */
	uint64_t used_frames;
	uint64_t held_frames;  /* charged to accounts: they cannot leave now, see share.c */
	uint64_t bound_frames; /* of entries that somebody has bound */
	LIST_HEAD(, pool) pools;
};

/* Where an entry's bytes are. */
struct frame {
	struct pool *pool; /* NULL: none */
	uint32_t index, count;
};

/* ---- who pays ---- */

struct principal {
	LIST_ENTRY(principal) all;
	uint32_t uid;
	uint64_t slot, seq; /* of its entry in the catalogue; slot ~0 = none */
	struct xn_allowance limit;
	uint64_t blocks, claimed; /* of its roots */
	uint64_t held;            /* frames of its roots' and sessions' accounts */
	uint64_t pins, pending;
};

/* Frames that a root or a session keeps in the cache, and what XN wants back of them. */
struct account {
	struct principal *principal;
	uint64_t held;
	uint64_t asked;   /* by a request that is not answered yet */
	uint64_t taken;   /* by force, and not told yet */
	int64_t deadline; /* 0: the time has not begun */
};

/* ---- types and roots ---- */

struct type {
	uint32_t id;
	uint32_t blocks; /* of one object */
	struct udf_template *tmpl;
	const struct udf_info *info;
	struct xn_template_entry entry;
	uint32_t child[UDF_CHILDREN_MAX]; /* global type of each child */
	struct type *next_gone;
};

struct entry;
TAILQ_HEAD(entry_list, entry);

struct root {
	uint64_t slot; /* in the catalogue */
	struct xn_root_entry entry;
	struct type *type;
	uint64_t used;           /* blocks charged now */
	uint64_t claimed;        /* blocks set aside by sessions */
	uint64_t reserved;       /* of entry.reserve, what is set aside now */
	uint64_t taken, given;   /* since it was opened */
	struct entry_list dirty; /* entries with unwritten bytes */
	uint64_t n_dirty;        /* in blocks */
	struct pool *pool[2];    /* data, metadata */
	struct account account;  /* what is dirty or not stable */
	bool damaged;            /* read-only */
	bool entry_changed;      /* counters on disk are behind */
	bool present;
	bool temporary;          /* not in the catalogue, gone when the disk is closed */
	struct root *scratch_of; /* all of a scratch root but its object is this one's */
	uint32_t n_scratch;      /* scratch roots of this one */
	struct xn_root_stats stats;
	uint64_t pass;         /* its clock, see turn.c */
	uint32_t n_read_waits; /* reads that wait for their turn */
	uint32_t n_sync_waits; /* syncs that wait for another's wave */
	LIST_ENTRY(root) read_wait;
	bool waits_reserve; /* on the list of those whose reserve is not full */
	LIST_ENTRY(root) reserve_wait;
};

/* ---- registry ---- */

/* What is known of a block (DATA) or of an object's blocks. */
enum entry_flag {
	E_CACHED = 1u << 0,       /* frame holds the newest bytes */
	E_DIRTY = 1u << 1,        /* newer than what was last issued to the device */
	E_READING = 1u << 2,      /* a read fills the frame */
	E_WRITING = 1u << 3,      /* a private copy is on its way to the device */
	E_SOUND = 1u << 4,        /* stable on disk, and so is all that those bytes name */
	E_REACH = 1u << 5,        /* known to be named on disk from a root */
	E_TAINTED_COPY = 1u << 6, /* what was issued of it may name something unsound */
	E_DAMAGED = 1u << 7,      /* read-only */
	E_DEAD = 1u << 8,         /* freed; lives only until I/O in flight ends */
	E_UNFLUSHED = 1u << 9,    /* on the list of written and not yet flushed entries */
	E_LRU = 1u << 10,
	E_REAPED = 1u << 11,  /* nobody owns it any more; reap.c takes it apart */
	E_HELD = 1u << 12,    /* reaped, and pinned because the disk has older bytes */
	E_REFUSED = 1u << 13, /* damaged, and so says its own `check` */
	/* It, or something below it, gained by a move what others name on disk, while
	 * nobody named it. */
	E_MOVED_IN = 1u << 14,
	E_SEEN_STABLE = 1u << 15, /* marks of walks that hold the lock from end to end */
	E_SEEN_SOUND = 1u << 16,
	E_PICKED = 1u << 17,
	E_GROUPED = 1u << 18,
	E_IN_FROZEN = 1u << 31, /* its owner's frozen copy waits for it */
	E_LINGERS = 1u << 30,   /* on the list of those that wait to be named on disk */
	E_EXEMPT = 1u << 20,    /* object of a temporary root: nothing that survives names it */
};

/* A block range whose reuse waits for its former owner to be stable without it. */
struct will_free {
	struct will_free *next;
	xn_blk_t start;
	uint64_t count;
	uint64_t version;  /* of the owner, the first without the pointer */
	struct type *reap; /* not NULL: an object to take apart instead */
};

struct binding;
LIST_HEAD(binding_list, binding);

/* `object` waits until `version` of `prior` is stable. */
struct after {
	struct entry *object, *prior;
	uint64_t version;
	bool in_frozen; /* the object's frozen copy waits, too */
	LIST_ENTRY(after) of_object, of_prior, all;
};
LIST_HEAD(after_list, after);

/* Bytes of an object as they were, to be written before the newest; see freeze.c. */
struct frozen {
	uint8_t *bytes;
	uint64_t version, clock, map_seq;
	uint64_t unsound; /* of what they name and wait for */
	uint64_t changed[2];
};

/* Objects that reach the disk together. */
struct group {
	struct entry_list members;
	uint32_t n;
	bool listed;
	TAILQ_ENTRY(group) all;
};
TAILQ_HEAD(group_list, group);

struct entry {
	struct entry *hash_next;
	xn_blk_t start;
	uint32_t blocks;
	uint32_t flags;
	struct type *type; /* NULL: DATA */
	struct root *root;
	struct entry
		*owner; /* NULL: the root's own object; of a counted one: one owner, if known */
	uint32_t owner_record; /* a hint; NO_RECORD = not known */
	uint32_t refs;         /* entries that name this one as owner */
	uint32_t pins;         /* bindings and calls that need the bytes to stay */
	struct frame frame;
	struct account *account; /* that pays for the frame; NULL: it may go */
	bool counted_bound;
	uint64_t version;         /* of the newest bytes; even, never reused */
	uint64_t issued_version;  /* newest handed to the device; 0 = never */
	uint64_t written_version; /* newest whose write is done */
	uint64_t stable_version;  /* newest written and flushed */
	uint64_t dirty_since;     /* clock when it became dirty */
	uint64_t named_at;        /* owner's version when this one was attached */
	uint64_t owned;           /* blocks that its newest bytes own; OWNED_UNKNOWN */
	uint64_t unsound;         /* children not sound */
	uint64_t settled;         /* ... that will be with the group being looked at (group.c) */
	uint64_t map_seq;         /* the free map must be stable up to here */
	uint64_t sound_from;      /* no version below this one makes it sound */
	uint64_t changed[2];      /* sectors changed since the last issue, one bit each */
	uint64_t issuing[2];      /* ... issued, and not yet stable */
	struct frozen *frozen;
	struct group *group; /* with whom it must be written; NULL = alone */
	struct after_list waits, awaited;
	uint32_t n_waits;
	struct will_free *will_free;
	struct binding_list bindings; /* of this object, and of data it owns */
	TAILQ_ENTRY(entry) lru;
	TAILQ_ENTRY(entry) dirty;
	TAILQ_ENTRY(entry) unflushed;
	TAILQ_ENTRY(entry) member;
};

/*
 * Known of objects that were made since they are in the cache: these began with none, and each
 * update says by how many it changed.
 */
#define OWNED_UNKNOWN UINT64_MAX

struct registry {
	struct entry **buckets;
	size_t n_buckets, n_entries;
	uint32_t blocks_max;   /* of one entry, so far */
	struct entry_list lru; /* entries with a frame; head = oldest */
	struct entry_list lingering;
	size_t n_lingering;
};

/* ---- free map ---- */

/* How a chunk's map differs from the disk's. */
enum chunk_state {
	CHUNK_AS_DISK,
	CHUNK_RETURNED, /* only by blocks that are free by now */
	CHUNK_CLAIMS,   /* by blocks newly in use, too */
};

struct chunk {
	uint64_t index;
	uint32_t free;
	enum chunk_state state;
	TAILQ_ENTRY(chunk) differs; /* on the list of its state */
	uint8_t used[XN_MAP_CHUNK_BYTES];
	uint8_t *unwritten; /* allocated DATA never written; NULL = none */
	uint32_t n_unwritten;
	uint32_t next;               /* behind what was taken last */
	struct foresight *foresight; /* NULL: none */
	TAILQ_ENTRY(chunk) foreseen;
};
TAILQ_HEAD(chunk_list, chunk);

/* Free blocks that the disk's map shows in use, so that taking them tells it nothing new. */
struct foresight {
	uint32_t n, n_pending;
	uint8_t bits[XN_MAP_CHUNK_BYTES];
	uint8_t pending[XN_MAP_CHUNK_BYTES]; /* written, and not yet flushed */
};

#define LOG_CLAIMS_MAX 64u /* of one record */

/* Blocks taken that the map on disk may not show yet. */
struct taken {
	uint64_t seq;
	xn_blk_t start;
	uint64_t count;
};

struct freemap {
	struct sparse chunks;              /* those that were touched; marked: full */
	struct chunk_list claims, returns; /* by state */
	uint64_t n_claims, n_returns;
	struct chunk_list foreseen;         /* chunks with foresight */
	uint64_t n_foreseen;                /* blocks */
	bool closing;                       /* claim nothing ahead any more */
	struct taken taken[LOG_CLAIMS_MAX]; /* by seq; what a record can say of the map */
	uint32_t n_taken;
	uint64_t unsaid_seq; /* takes up to here are not all in taken[] */
	uint64_t n_chunks;
	uint64_t top;         /* no chunk from here on has anything to tell the disk */
	uint64_t free_blocks; /* of it an estimate: */
	uint64_t estimate;    /* what chunks below `known_from` may have, which nobody read yet */
	uint64_t known_from;  /* the high-water mark at open: nothing beyond was ever used */
	uint64_t known_below; /* of these the free blocks were counted, read in or not */
	uint64_t n_unknown;   /* how many these are */
	bool exact;           /* the estimate is right */
	bool damaged;         /* some sector could not be read and counts as in use */
	uint64_t will_free;   /* blocks waiting */
	uint64_t set_aside;   /* of the free blocks: claims and reserves, see claim.c */
	uint64_t claim_seq;   /* counts updates that took blocks */
	uint64_t stable_seq;  /* the map on disk shows all takes up to here */
	bool returned;        /* a chunk on disk shows blocks in use that are free by now */
	uint64_t limit;       /* nothing is taken from here on: it is to be cut off */
	uint64_t rotor;       /* where the next search without a wish begins */
};

/* ---- sessions ---- */

struct binding {
	struct xn_session *session;
	uint32_t index, generation;
	uint32_t access;
	bool data, stale;
	bool taken;          /* by force; on the session's list until told */
	uint32_t record;     /* a hint: which of the owner names it */
	struct entry *entry; /* the object, or the owner of the data */
	struct xn_extent extent;
	LIST_ENTRY(binding) of_entry;
};

struct binding_slot {
	struct binding *binding; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct xn_session {
	struct xn *xn;
	struct xn_cred cred;
	uint32_t flags;
	struct binding_slot *slots;
	uint32_t n_slots, free_slot; /* ~0 = none */
	struct xn_session_stats stats;
	uint64_t n_bindings;
	LIST_HEAD(, claim) claims;
	LIST_HEAD(, binding) taken;
	struct account account; /* what it has bound, as far as it could go otherwise */
	LIST_ENTRY(xn_session) all;
};

/* ---- catalogues ---- */

struct catalogue {
	struct xn_cat_link *links; /* one per block of the chain */
	uint64_t n_blocks;
	uint64_t n_slots; /* slots ever used */
};

struct reap_item {
	struct reap_item *next;
	struct root *root;
	struct type *type;
	xn_blk_t start;
};

/* The intent log's present state; see log.c. */
struct log_home;

struct log {
	uint64_t seq, epoch;     /* of the next record */
	uint32_t next, end;      /* sectors of the area: where it goes; behind the last one */
	bool doubtful;           /* nobody knows what stands at `next` */
	uint8_t *area;           /* what stands on disk */
	struct log_home **homes; /* blocks held by records, by hash */
	size_t n_homes;
	struct will_free *waiting; /* free when no record holds them */
	uint64_t claim_seq;        /* the records show the map's takes up to here */
};

/* Who has the disk open for writing, since when: no two writers have the same. */
struct super_mark {
	uint8_t uuid[16];
	uint64_t epoch, pid;
	int64_t open_time;
	char host[64];
};

struct xn {
	struct bdev *dev;
	struct bdev *overlay; /* NULL, or dev: what a log said of a disk opened for reading only */
	bool own_dev, writable, was_clean, damaged;
	_Atomic int broken;   /* 0, or why nothing may be written any more */
	int64_t fixed_now_ns; /* 0: the clock */
	struct xn_super super;
	struct super_mark mark; /* what the disk says of its writer; another's: we are fenced */
	bool super_changed;     /* high_water grew */
	bool doubtful;          /* blocks may be lost, or a twin is behind: do not leave it clean */

	pthread_mutex_t admin; /* before lock: one change of a catalogue at a time */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* I/O ended, wave ended */
	bool wave;              /* somebody is writing back */

	struct cache cache;
	struct registry registry;
	struct freemap freemap;
	struct catalogue catalogue[XN_CAT_KINDS];
	struct type **types; /* by id - XN_TYPE_FIRST; NULL = unusable slot */
	size_t n_types;
	struct type *types_gone;         /* removed; walkers may still look at them */
	struct xn_template_entry *stray; /* types that are unusable; the images are XN's still */
	size_t n_stray;
	bool types_unread;   /* a template is there that cannot be read */
	struct root **roots; /* by slot */
	size_t n_roots;
	LIST_HEAD(, root) reserve_waits;
	LIST_HEAD(, root) read_waits;
	uint64_t turn_pass;          /* the furthest clock that was served, see turn.c */
	uint32_t n_reads, reads_max; /* read requests under way */
	LIST_HEAD(, principal) principals;
	LIST_HEAD(, xn_session) sessions;
	uint64_t n_sessions;

	uint64_t version_clock;
	struct entry_list unflushed;
	struct group_list groups;
	struct after_list afters; /* dependencies asked for and not ended */
	struct log log;
	struct will_free *wave_free; /* free when the wave in flight has ended */
	struct reclaim *reclaim;     /* NULL: none is under way */
	struct reap_item *reap_head, **reap_tail;
	struct shared *shared[SHARED_BUCKETS]; /* counted objects of removed roots, by hash */
	uint64_t n_reap;
	xn_blk_t damaged_objects[DAMAGED_MAX];
	size_t n_damaged;

	struct known_owns *known_owns; /* results of `owns`; NULL: none are kept */
	struct known_acl *known_acl;   /* and of `acl` */
	struct ahead *ahead;           /* NULL: nothing was read ahead yet */
	struct bdev_queue *queues[QUEUES_KEPT];
	unsigned n_queues;
	uint8_t *bounce; /* BATCH_BLOCKS blocks, the wave's */
	struct xn_stats stats;
};

/* ---- cache.c ---- */
int cache_init(struct cache *cache, uint64_t bytes);
int pool_create(struct cache *cache, struct pool **out);
void pool_destroy(struct cache *cache, struct pool *pool);
bool cache_take(struct cache *cache, struct pool *pool, uint32_t count, struct frame *out);
void cache_give(struct cache *cache, struct frame *frame);
uint8_t *frame_bytes(const struct frame *frame);      /* writable */
const uint8_t *frame_view(const struct frame *frame); /* what sessions see */

/* ---- registry.c ---- */
int registry_init(struct registry *registry);
void registry_fini(struct xn *xn);
struct entry *registry_find(const struct registry *registry, xn_blk_t start);
struct entry *entry_claimant(struct entry *entry);
struct entry *registry_across(const struct registry *registry, xn_blk_t start, uint64_t count);
struct entry *registry_add(struct xn *xn, xn_blk_t start, struct type *type, struct root *root,
			   struct entry *owner);
void registry_drop(struct xn *xn, struct entry *entry);    /* forget it; refs and pins are 0 */
void registry_release(struct xn *xn, struct entry *entry); /* drop it if nothing needs it */
void registry_kill(struct xn *xn, struct entry *entry);    /* its blocks were freed */
void registry_sweep(struct xn *xn);                  /* a wave ended: some may be forgotten now */
int entry_frame(struct xn *xn, struct entry *entry); /* give it a frame, evicting */
void entry_touch(struct xn *xn, struct entry *entry);
bool entry_evictable(const struct entry *entry);
void entry_settle(struct xn *xn, struct entry *entry); /* after each change of what holds it */
void entry_set_dirty(struct xn *xn, struct entry *entry);
void entry_changed(struct entry *entry, uint32_t from, uint32_t len); /* bytes, just changed */
void entry_clear_dirty(struct xn *xn, struct entry *entry);
void entry_damage(struct xn *xn, struct entry *entry);
uint8_t *entry_bytes(const struct entry *entry);
uint64_t version_next(struct xn *xn);

/* ---- freemap.c ---- */
int freemap_init(struct xn *xn);
void freemap_fini(struct xn *xn);
int freemap_load(struct xn *xn, uint64_t chunk);                  /* drops the lock while reading */
struct chunk *freemap_chunk(const struct xn *xn, uint64_t chunk); /* NULL: not loaded */
int freemap_check_free(const struct xn *xn, xn_blk_t start, uint64_t count);
int freemap_prepare_unwritten(struct xn *xn, xn_blk_t start, uint64_t count);
bool freemap_take(struct xn *xn, xn_blk_t start, uint64_t count, bool unwritten); /* news? */
void freemap_set_unwritten(struct xn *xn, xn_blk_t start, uint64_t count);
void freemap_give(struct xn *xn, xn_blk_t start, uint64_t count);
bool freemap_in_use(const struct xn *xn, xn_blk_t block);
bool freemap_all_in_use(const struct xn *xn, xn_blk_t start, uint64_t count);
bool freemap_unwritten(const struct xn *xn, xn_blk_t block);
bool freemap_written(struct xn *xn, xn_blk_t block); /* clear the mark; was it set? */
int freemap_find(struct xn *xn, xn_blk_t near, uint64_t want, uint32_t align,
		 struct xn_extent *out);                                    /* may drop the lock */
int freemap_count(struct xn *xn, bool exact);                               /* at open */
void freemap_know(struct xn *xn, uint64_t chunk, const uint8_t *bitmap);    /* it was read */
int freemap_read(struct xn *xn, uint64_t chunk, uint8_t *bitmap, bool *ok); /* no lock held */

int freemap_grow_prepare(struct xn *xn, uint64_t block_count); /* these five: resize.c */
void freemap_grow(struct xn *xn, uint64_t old_count);
int freemap_cut_prepare(struct xn *xn, const struct xn_super *smaller);
void freemap_cut_undo(struct xn *xn, const struct xn_super *smaller);
void freemap_cut(struct xn *xn, uint64_t n_chunks);

/* ---- freemap_write.c ---- */
void chunk_told(struct xn *xn, struct chunk *chunk); /* it does not differ any more */
void chunk_differs(struct xn *xn, struct chunk *chunk, enum chunk_state how);

/* ---- foresight.c ---- */
bool foresight_covers(const struct xn *xn, xn_blk_t start, uint64_t count);
void foresight_taken(struct xn *xn, struct chunk *chunk, uint32_t bit, uint32_t count);
void foresight_extend(struct xn *xn, struct chunk *chunk);
void foresight_show(const struct chunk *chunk, uint8_t *bitmap);
void foresight_flushed(struct xn *xn, bool stable);
void foresight_bound(struct xn *xn);
void foresight_end(struct xn *xn);
void foresight_drop(struct xn *xn, struct chunk *chunk);
int freemap_write(struct xn *xn, bool all, uint64_t *seq); /* lock held; dropped while writing */

/* ---- reclaim.c: what it must be told while it runs ---- */
void reclaim_fini(struct xn *xn);
void reclaim_cut(struct xn *xn);                             /* the disk is smaller */
void reclaim_stir(struct xn *xn, const struct chunk *chunk); /* about to change */
void reclaim_mark(struct xn *xn, struct root *root, xn_blk_t start, uint64_t count);
void reclaim_push(struct xn *xn, struct root *root, struct type *type, xn_blk_t start,
		  uint64_t count);
void reclaim_removed(struct xn *xn, struct root *root, const struct udf_extents *removed);

/* ---- order.c ---- */
bool order_reachable(struct entry *entry);
bool order_exempt(const struct entry *entry); /* under a temporary root */
bool order_newest_may_go(const struct xn *xn, struct entry *entry);
bool order_writable(const struct xn *xn, struct entry *entry);
void order_child_unsound(struct entry *owner, uint64_t count);
void order_child_sound(struct xn *xn, struct entry *owner, uint64_t count);
void order_issued(struct xn *xn, struct entry *entry);
void order_stable(struct xn *xn, struct entry *entry, uint64_t version);
void order_map_stable(struct xn *xn, uint64_t seq);
bool order_names_only_sound(const struct xn *xn, const struct entry *entry);
void order_now_unsound(struct xn *xn, struct entry *entry);
struct entry *order_anchor(struct entry *entry);
void order_give_all(struct xn *xn, struct will_free **list); /* leaves it empty */
void will_free_destroy(struct will_free *list);
bool order_free_at_once(const struct entry *owner, bool child_unsound);
void order_release(struct xn *xn, struct root *root, struct will_free *list);
void order_release_now(struct xn *xn, struct root *root, struct will_free *list);
void order_orphan(struct xn *xn, struct entry *entry); /* nobody owns it: keep its bytes for reap */
bool order_reaped(const struct entry *entry);          /* it, or an object above it */
void will_free_wait(struct entry *owner, struct will_free *list);

/* ---- io.c, wave.c, sync.c ---- */
struct collected { /* pinned entries */
	struct entry **v;
	size_t n, cap;
};
struct bdev_queue *io_queue_get(struct xn *xn);
void io_queue_put(struct xn *xn, struct bdev_queue *queue);
int io_read_blocks(struct xn *xn, xn_blk_t start, uint64_t count, void *buffer); /* no lock held */
int io_read_object(struct xn *xn, xn_blk_t start, uint64_t count, void *buffer); /* lock held */
int io_read_entries(struct xn *xn, struct entry *entries[], size_t count);
int io_result(struct xn *xn, const struct bdev_request *request);
int io_break(struct xn *xn);
int io_outcome(struct xn *xn, int err); /* what bdev_write() said, in XN's words */
struct run {                            /* a request for neighbouring entries */
	struct bdev_request request;
	size_t first, count; /* of the entries or iovecs it covers */
};
size_t io_runs_of(struct entry *entries[], size_t count, struct iovec *iov, enum bdev_op op,
		  struct run *runs);
void io_runs_do(struct bdev_queue *queue, struct run *runs, size_t count); /* no lock held */
int entries_by_start(const void *a, const void *b);
void wave_begin(struct xn *xn);
void wave_end(struct xn *xn);
int wave_write(struct xn *xn, struct entry *entries[], size_t count);
enum map_part {             /* what a flush writes of the map before */
		MAP_NONE,   /* what log records say of it is enough */
		MAP_CLAIMS, /* where it shows too little */
		MAP_ALL,    /* where it shows too much, too */
};
int wave_flush(struct xn *xn, enum map_part map);
int wave_log(struct xn *xn, struct collected *list, bool *again);
int collect(struct collected *list, struct entry *entry);
/* The same, and E_PICKED: only on what is in the list, for releasing it takes the mark away. */
int collect_marked(struct collected *list, struct entry *entry);
void collected_release(struct xn *xn, struct collected *list);
void entry_issued(struct xn *xn, struct entry *entry);
void entry_written(struct xn *xn, struct entry *entry, int result);
int sync_log(struct xn *xn);
int sync_root(struct xn *xn, struct root *root);      /* NULL: all */
int entry_readin(struct xn *xn, struct entry *entry); /* lock held; dropped while reading */

/* ---- ahead.c ---- */
bool ahead_take(struct xn *xn, struct entry *entry); /* fill its frame; may drop the lock */
void ahead_forget(struct xn *xn, xn_blk_t start, uint64_t count); /* a write is issued */
void ahead_fini(struct xn *xn);

/* ---- freeze.c ---- */
void freeze_take(struct xn *xn, struct entry *entry);
void freeze_drop(struct entry *entry);
void freeze_child_unsound(struct entry *child);
void freeze_child_sound(struct entry *child);
bool freeze_ready(const struct xn *xn, const struct entry *entry);
void freeze_issue(struct entry *entry, uint8_t *copy);

/* ---- log.c, group.c, after.c ---- */
struct log_patch;
int log_open(struct xn *xn); /* lock held; dropped while replaying */
int log_open_readonly(struct xn *xn);
void log_fini(struct xn *xn);
bool log_live(const struct xn *xn); /* it has records that count */
bool log_holds(const struct xn *xn, xn_blk_t start, uint64_t count);
bool log_keep(struct xn *xn, struct will_free *node);
uint32_t log_homes_max(const struct xn *xn);
uint32_t log_sectors_of(const struct entry *entry);
uint32_t log_sectors_all(struct entry *const list[], size_t count);
int log_reserve(struct xn *xn, uint32_t n_claims, uint32_t n_homes);
int log_write(struct xn *xn, struct entry *entries[], size_t count, bool claims);
int log_checkpoint(struct xn *xn);
int log_patch_take(const struct xn *xn, xn_blk_t start, uint64_t count, struct log_patch **out);
void log_patch_apply(struct log_patch *patch, void *bytes);
bool log_ready(const struct xn *xn, struct entry *entry);
struct group *group_alloc(void);
void group_free_if_empty(struct xn *xn, struct group *group);
struct group *group_join(struct xn *xn, struct entry *entry, struct group *group);
void group_leave(struct xn *xn, struct entry *entry);
void groups_leave_below(struct xn *xn, const struct entry *top);
uint32_t group_sectors(const struct group *group);
struct group *group_next_below(const struct xn *xn, const struct group *after,
			       const struct entry *top);
void after_stable(struct xn *xn, struct entry *prior, uint64_t version);
void after_forget(struct xn *xn, struct entry *entry);
void after_forget_below(struct xn *xn, const struct entry *top);
void after_within_group(struct xn *xn, struct group *group);

/* ---- super.c, catalogue.c, template.c, root.c ---- */
int super_read(struct bdev *dev, struct xn_super *super);
int super_write_where(struct xn *xn, const struct xn_super *super, uint64_t old_count,
		      bool only_new);
struct super_mark super_mark(const struct xn_super *super);
/* Is the disk still ours to write?  With the lock, which is let go meanwhile. */
int super_fence(struct xn *xn);
int super_write(struct xn *xn); /* lock held; dropped while writing */
int catalogue_load(struct xn *xn);
void catalogue_fini(struct xn *xn);
uint64_t catalogue_capacity(const struct xn *xn, enum xn_catalogue_kind kind);
int catalogue_read(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot, void *sector);
int catalogue_reserve(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot);
int catalogue_write(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot, const void *sector);
int flush_claims(struct xn *xn);
int device_write(struct xn *xn, uint64_t offset, const void *bytes, size_t len);
int device_flush(struct xn *xn);
struct type *type_find(const struct xn *xn, uint32_t id);
int types_load(struct xn *xn);
int types_finish_removal(struct xn *xn); /* lock held; dropped while writing */
void types_fini(struct xn *xn);
int roots_load(struct xn *xn);
void roots_fini(struct xn *xn);
struct root *root_find(const struct xn *xn, const char *name);
struct root *root_by_id(const struct xn *xn, uint32_t id);
void root_charge(struct root *root, uint64_t blocks);
void root_credit(struct root *root, uint64_t blocks);
struct root *root_paying(struct root *root);
void roots_end_temporary(struct xn *xn);
int root_pool(struct xn *xn, struct root *root, bool metadata, struct pool **out);
int roots_write_changed(struct xn *xn);

/* ---- own.c ---- */
/* An extent of XN's own at no fixed place, and where to go on; begins as zeroes. */
struct own_next {
	xn_blk_t start;
	uint64_t count;
	unsigned kind;
	uint64_t i;
	size_t n_stray, n_types;
};
bool own_next(const struct xn *xn, struct own_next *at);
bool own_blocks_meet(const struct xn *xn, xn_blk_t start, uint64_t count);
bool own_blocks_mark(const struct xn *xn, uint64_t chunk, uint8_t *bitmap);
int take_own_blocks(struct xn *xn, xn_blk_t near, uint64_t count, xn_blk_t *start);
void give_own_blocks(struct xn *xn, xn_blk_t start, uint64_t count);
int own_blocks_doubtful(struct xn *xn, int err);

/* ---- turn.c ---- */
int turns_write(struct xn *xn, struct entry *entries[], size_t count);
void turn_read_begin(struct xn *xn, struct root *root, uint64_t blocks);
void turn_read_end(struct xn *xn);

/* ---- share.c ---- */
void entry_charge(struct xn *xn, struct entry *entry);
int share_refused(struct xn *xn, uint64_t frames);
int share_check(struct xn *xn, struct account *account, uint64_t more, uint64_t fresh,
		bool first_write);
int share_check_entry(struct xn *xn, const struct entry *entry, struct xn_session *session);
struct account *account_of(const struct entry *entry);

/* ---- principal.c ---- */
int principal_get(struct xn *xn, uint32_t uid, struct principal **out);
int principals_load(struct xn *xn);
void principals_fini(struct xn *xn);
void principals_count(struct xn *xn);
bool allowance_left(uint64_t limit, uint64_t used, uint64_t more);
int allowance_root(struct xn *xn, uint32_t uid, uint64_t blocks);
int allowance_templates(struct xn *xn, uint32_t uid, uint32_t count);

/* ---- claim.c ---- */
uint64_t claims_room(const struct xn *xn);
int claims_check(const struct xn_session *session, const struct root *root, uint64_t blocks,
		 bool freeing, struct xn_refusal *why);
void claims_spend(struct xn_session *session, struct root *root, uint64_t blocks);
void claims_end_session(struct xn_session *session);
void claims_end_root(struct xn *xn, struct root *root);
void reserve_settle(struct xn *xn, struct root *root);
void reserves_fill(struct xn *xn);

/* ---- session.c, bind.c ---- */
int binding_find(struct xn_session *session, xn_binding_t handle, struct binding **out);
bool session_holds(const struct xn_session *session, const struct entry *entry, uint32_t access);
/* Has it bound the object for reading, or what owns it?  Enough to have it written. */
bool session_reaches(const struct xn_session *session, const struct entry *entry);
int binding_add(struct xn_session *session, struct entry *entry, bool data, struct xn_extent extent,
		uint32_t record, uint32_t access, xn_binding_t *handle);
void session_forget_root(struct xn_session *session, const struct root *root);
void bindings_revoke(struct entry *entry, bool data, xn_blk_t start, uint64_t count);
void entry_unbind_all(struct entry *entry);
int cred_choose(struct xn_session *session, const struct xn_cred *wanted, struct xn_cred *copy,
		const struct xn_cred **out);

int64_t time_choose(const struct xn_session *session, int64_t wanted);

/* ---- owns.c: types in .child are global ---- */

/* Eight bytes of what a run was given, from `at` on, as far as it read them. */
struct known_word {
	uint64_t value, mask;
	uint32_t at;
};

/* Words of `size` bytes (0, or at least 8) where `seen` is not 0.  How many; max + 1: too many. */
uint32_t words_learn(struct known_word *word, uint32_t max, const uint8_t *bytes,
		     const uint8_t *seen, uint32_t size);
bool words_are(const struct known_word *word, uint32_t n, const uint8_t *bytes);

struct known_owns;
struct known_owns *known_owns_create(void); /* NULL: then every run is run; free() it */

/* A record, and the header that stands above it. */
struct piece {
	const struct type *type;
	const uint8_t *bytes, *header;
	uint32_t record;
};

/*
 * `start` is the object's block, by which a result is looked for, or 0: for who reads all
 * objects of a disk once, and would only drive out what others need again.
 */
int owns_piece(struct xn *xn, xn_blk_t start, const struct piece *piece, struct udf_budget *budget,
	       struct udf_extents *out, struct xn_refusal *why);
int owns_record(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *object,
		uint32_t record, struct udf_budget *budget, struct udf_extents *out,
		struct xn_refusal *why);
int owns_object(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *object,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why);

/* ---- acl.c ---- */
struct known_acl;
struct known_acl *known_acl_create(void); /* as known_owns_create() */

/* The record above an object that says who may: of its nearest ancestor that is not sticky. */
struct acl_above {
	struct entry *entry; /* NULL: a root's object, or one that has many owners */
	const struct type *type;
	const uint8_t *bytes; /* of the whole ancestor */
	uint32_t record;
	struct udf_extent via; /* by which it owns the object, or that one's top sticky ancestor */
};

struct acl_request {
	enum udf_acl_op op;
	const struct type *type; /* of the object that is judged */
	xn_blk_t start;
	const uint8_t *old_bytes, *new_bytes; /* new NULL: the same */
	struct acl_above above;
	uint32_t record;
	const struct xn_cred *cred;
	int64_t now_ns;
	bool bound;
	const struct xn_edit *const *mods;
	size_t n_mods;
	const struct udf_extents *added, *removed;
};
/* The record of the object at `start` (above's type and bytes) that names `block`: record, via. */
int acl_record_find(struct xn *xn, xn_blk_t start, xn_blk_t block, uint32_t hint,
		    struct udf_budget *budget, struct acl_above *above);
int acl_above_find(struct xn *xn, struct entry *entry, struct udf_budget *budget,
		   struct acl_above *out);
int acl_about(struct xn *xn, struct entry *entry, struct udf_budget *budget,
	      struct acl_request *request, struct xn_refusal *why);
void acl_bound(struct acl_request *request, const struct entry *entry,
	       const struct acl_above *under);
int acl_ask(struct xn *xn, const struct acl_request *request, struct udf_budget *budget,
	    struct xn_refusal *why);

/* ---- counted.c ---- */
bool type_is_counted(const struct type *type);
int type_leads_to(const struct xn *xn, const struct type *from, const struct type *to);
void owner_learn(struct entry *entry, struct entry *owner, uint32_t record);
int shared_is_last(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *bytes);
void shared_fini(struct xn *xn);

/* ---- reap.c, zero.c, walk.c, xn.c ---- */
void reap_add(struct xn *xn, struct root *root, struct type *type, xn_blk_t start);
int64_t reap_some(struct xn *xn, uint64_t budget);
void reap_fini(struct xn *xn);
int zero_unwritten(struct xn *xn, const struct root *root); /* NULL: all */
int refuse(struct xn_refusal *why, int error, xn_blk_t block, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void damaged_add(struct xn *xn, xn_blk_t object);
bool damaged_has(const struct xn *xn, xn_blk_t object);
bool disk_holds(const struct xn *xn, xn_blk_t start, uint64_t count);
int64_t clock_now_ns(void);
/* What the disk is told. */
int64_t disk_now_ns(const struct xn *xn);

#endif
