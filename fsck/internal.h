/* SPDX-License-Identifier: MIT */
/*
 * What the passes share.
 *
 *   super.c      pass 1: superblock and copies; pass 7: writing them
 *   log.c        the intent log, before what follows
 *   catalogue.c  pass 2 and 3: chains with twins, entries
 *   lost.c       entries of catalogues of which no copy is left
 *   template.c   pass 2: images become templates
 *   root.c       pass 3: roots and principals; pass 5: the LibFSes' checkers
 *   walk.c       pass 4: everything that roots own
 *   suspect.c    pointers of damaged sectors
 *   repair.c     what the walk asked to be mended, cut or copied
 *   map.c        pass 6: the free map against that; free blocks for repairs
 *   fsck.c       the order of it all
 *   io.c         reads, writes, batches
 */
#ifndef FSCK_INTERNAL_H
#define FSCK_INTERNAL_H

#include <string.h>

#include "blockset.h"
#include "fsck/fsck.h"
#include "problems.h"
#include "udf/udf.h"
#include "xn/bdev.h"
#include "xn/error.h"
#include "xn/format.h"

#define OBJECT_BLOCKS_MAX  (UDF_OBJECT_MAX / XN_BLOCK_SIZE)
#define OBJECT_SECTORS_MAX (UDF_OBJECT_MAX / XN_SECTOR_SIZE)
#define BATCH_MAX          32u
#define BATCH_BLOCKS       128u /* 512 KiB */

/* Reads in flight together. */
struct batch {
	struct bdev_request requests[BATCH_MAX];
	struct iovec iov[BATCH_MAX];
	uint64_t owner[BATCH_MAX], owner_type[BATCH_MAX]; /* the walk's */
	unsigned n;
	uint32_t blocks;
	uint8_t *buffer; /* BATCH_BLOCKS blocks */
};

/* An installed template, by slot (id - 16). */
struct type {
	struct xn_template_entry entry;
	struct udf_template *tmpl; /* NULL: cannot be used */
	const struct udf_info *info;
	uint32_t blocks;  /* of one object */
	uint64_t home[2]; /* catalogue block and twin that hold the entry */
	uint32_t sector;
	size_t finding;
	bool anew;  /* its image is to be written somewhere else */
	bool stray; /* of a batch that was never completely installed: no type, but XN's blocks */
};

/* Objects that count their owners, of one root. */
struct counted {
	uint64_t block, type; /* block 0: an empty slot */
	uint64_t met;
	uint32_t said;
	bool known; /* what it says */
};
struct counted_table {
	struct counted *v;
	size_t n, cap;
};

struct root {
	struct xn_root_entry entry;
	uint64_t home[2]; /* catalogue block and twin that hold the entry */
	uint32_t sector;
	struct blockset owned;
	struct counted_table counted;
	bool complete; /* everything it owns was read and understood */
	bool mended;   /* something was cut out of it, or made sound, by this run */
	const struct libfs_checker *checker; /* NULL: nobody here understands it */
};

/* Objects of one type that wait to be read: `count` blocks from `start`. */
struct pending {
	uint64_t start, count;
	uint64_t type;
	uint64_t owner, owner_type; /* the object that names them; 0: the root's entry */
};

/* A repair that was granted during the walk and is made behind it. */
enum action_kind { ACT_COPY, ACT_CUT, ACT_MEND };
struct action {
	enum action_kind kind;
	uint32_t root;                 /* index */
	uint64_t object, type;         /* to be changed */
	uint64_t start, count;         /* COPY, CUT: what it names ... */
	uint32_t record;               /* ... and in which record */
	uint64_t bad_start, bad_count; /* COPY: of these, what is somebody else's */
	uint64_t owner, owner_type;    /* MEND: who names it; 0: the root's entry */
	size_t finding;
	bool is_object; /* CUT: what it names are objects */
	bool cut_only;  /* MEND: no, it is cut off */
};
/* An entry of a catalogue of which neither copy is whole. */
struct lost_entry {
	enum xn_catalogue_kind kind;
	uint64_t slot;
	uint64_t home[2]; /* catalogue block and twin */
	uint32_t sector;
	bool settled; /* written anew, or given up */
};

/* A pointer in a sector that was damaged: it is looked at when all others were. */
struct suspect {
	uint32_t root;         /* index */
	uint32_t record;       /* of the object ... */
	uint64_t object, type; /* ... that names ... */
	struct udf_extent at;  /* ... this */
	bool mending;          /* in bytes that are not on the disk yet */
};

#define ACTIONS_MAX 65536u /* of one walk; the rest waits for the next */

struct fsck {
	struct bdev *dev;
	struct bdev
		*overlay; /* NULL, or dev: the log's records over a disk that is only looked at */
	const struct fsck_opts *opts;
	struct fsck_result *result;
	struct check *check;
	struct bdev_queue *queue;
	struct batch batch;
	uint64_t dev_blocks;
	char name[256]; /* label, or else the device's */

	struct xn_super super; /* as it shall become */
	uint32_t first_state;  /* as it was found */
	uint64_t limit;        /* blocks that exist: of the disk and of the device */
	bool super_stale;      /* a copy waits to be rewritten */
	bool look_only;        /* nothing may be written */
	bool begun;            /* superblock on disk says "in use" */
	bool changed;          /* something was written */
	bool stopped;
	bool complete;

	struct type *types;
	size_t n_types, cap_types; /* slots seen */
	bool read_all;             /* nothing was lost before the walk began */
	bool seen_stale;           /* a walk was there before */
	bool chain_lost;           /* a part of some catalogue, with who knows how many entries */
	struct lost_entry *lost;
	size_t n_lost, cap_lost;
	bool templates_lost; /* a part of their catalogue cannot be read */
	struct root *roots;
	size_t n_roots, cap_roots;
	uint32_t *principals; /* uids */
	size_t n_principals, cap_principals;

	struct blockset own;  /* XN's, where not computable: catalogues, images */
	struct blockset seen; /* all that has an owner, XN's own included */
	struct pending *stack;
	size_t n_stack, cap_stack;
	uint64_t *mended; /* sectors that were changed to mend objects */
	size_t n_mended, cap_mended;
	struct suspect *suspects;
	size_t n_suspects, cap_suspects;
	struct blockset doubted; /* what only suspects name */
	uint8_t *mend_buffer;    /* UDF_OBJECT_MAX */
	struct action *actions;
	size_t n_actions, cap_actions;
	uint64_t alloc_next; /* where free blocks are looked for */
	uint64_t allocated;  /* marked in use by this run */
	uint64_t kept;       /* blocks in use without an owner that stay so */
	uint64_t found_used; /* ... and which were in use when they were found */
	uint64_t found_free; /* blocks with an owner that the map calls free */
};

/* ---- io.c ---- */

int fsck_read(struct fsck *f, uint64_t block, uint32_t count, void *buffer);
/*
 * The same, sector by sector where need be: those that cannot be read become `fill`.  Returns how
 * many; all of what lies beyond the device.
 */
uint32_t fsck_salvage(struct fsck *f, uint64_t block, uint32_t count, uint8_t fill, void *buffer);
/* Marks the disk in use first.  -EROFS when nothing may be written, -EIO. */
int fsck_write(struct fsck *f, uint64_t offset, const void *bytes, size_t len);
/* The same without all that: for the superblock. */
int fsck_write_raw(struct fsck *f, uint64_t offset, const void *bytes, size_t len);
void fsck_batch_reset(struct batch *batch);
/* Add a read; false when there is no room for it. */
bool fsck_batch_add(struct fsck *f, uint64_t block, uint32_t count);
/* Run what was added.  Outcomes are in the requests. */
void fsck_batch_run(struct fsck *f);
static inline bool fsck_batch_ok(const struct batch *batch, unsigned index)
{
	return batch->requests[index].outcome == BDEV_DONE;
}

bool fsck_stopped(struct fsck *f);
bool fsck_may_write(const struct fsck *f);
/* One line for people, not in preen mode. */
void fsck_say(const struct fsck *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- passes ---- */

int fsck_use_device(struct fsck *f, struct bdev *dev);
int fsck_log_check(struct fsck *f);

/* 1 when the disk is no business of ours (result->why says why), 0, -errno. */
int fsck_super_read(struct fsck *f);
int fsck_super_check_copies(struct fsck *f);
/* The superblock says "in use" on disk from here on. */
bool fsck_counts_are_promised(const struct fsck *f);
int fsck_super_begin(struct fsck *f);
int fsck_super_finish(struct fsck *f);

/* Does [start, start + count) touch a block that is XN's at a computed place? */
bool fsck_super_owns(const struct fsck *f, uint64_t start, uint64_t count);

int fsck_catalogues_read(struct fsck *f);
/* Roots in the catalogue as far as it can be read, without a word. */
uint32_t fsck_catalogue_count_roots(struct fsck *f);
/* -ENOMEM; 1 when some block is outside the disk or owned already. */
int fsck_claim_xn(struct fsck *f, uint64_t start, uint64_t count);

/* lost.c */
int fsck_lost_add(struct fsck *f, const struct lost_entry *lost);
/* Templates that are known, before they are loaded; -ENOMEM. */
int fsck_lost_rebuild(struct fsck *f);
/* What nobody needs, once templates are loaded; what is left is said. */
void fsck_lost_give_up(struct fsck *f);
/* The same for roots, behind the walk. */
void fsck_lost_roots(struct fsck *f);

/* The type of that slot, which may be a new one.  -ENOMEM */
int fsck_type_slot(struct fsck *f, uint64_t slot, struct type **out);
int fsck_templates_load(struct fsck *f);
/* Write the images anew that were damaged, where the walk found nobody. */
int fsck_templates_restore(struct fsck *f);
struct type *fsck_type_find(const struct fsck *f, uint64_t id); /* usable ones only */
const char *fsck_type_name(const struct fsck *f, uint64_t id);
/* The global type behind a child index; UINT64_MAX when there is none. */
uint64_t fsck_type_child(const struct type *type, uint32_t child);

static inline bool fsck_root_wanted(const struct fsck *f, const struct root *root)
{
	return !f->opts->root || strcmp(f->opts->root, root->entry.name) == 0;
}
int fsck_roots_check(struct fsck *f);
int fsck_roots_run_checkers(struct fsck *f);
int fsck_roots_count_used(struct fsck *f);

int fsck_walk_roots(struct fsck *f);

/* Carry out what the walk was granted.  *made: something was changed. */
int fsck_actions_run(struct fsck *f, bool *made);
/* Have the LibFS make the object sound, in memory; false: it cannot. */
bool fsck_object_mend(const struct fsck *f, const struct root *root, const struct type *type,
		      uint64_t object, uint8_t *bytes);
/* What one record owns.  0 or what the template did wrong. */
int fsck_record_owns(const struct type *type, const uint8_t *bytes, uint32_t record,
		     struct udf_extents *out);
/* The record of an object that emits the extent of that index. */
uint32_t fsck_record_of(const struct type *type, const uint8_t *bytes, size_t index);
/* What a LibFS needs to know of an object. */
struct check_damage fsck_damage(const struct fsck *f, const struct root *root, uint64_t object,
				const struct type *type);
/* `count` free blocks in a row, which the map on disk shows in use from then on.  -ENOSPC */
int fsck_allocate(struct fsck *f, uint64_t count, uint64_t *start);
/* The map of a chunk as it is on disk; what of a part that cannot be read? */
void fsck_map_read(struct fsck *f, uint64_t chunk, bool unknown_is_used,
		   uint8_t map[XN_MAP_CHUNK_BYTES]);

/* suspect.c */

/* Which sectors of an object are not to be trusted. */
struct suspicion {
	bool any, sector[OBJECT_SECTORS_MAX];
};
/* Of bytes that mending changed. */
void fsck_suspicion_of_change(struct suspicion *suspicion, const struct type *type,
			      const uint8_t *before, const uint8_t *after);
/* Once no more objects are mended. */
void fsck_mended_sort(struct fsck *f);
/* Of an object of the disk: the sectors that this run mended. */
void fsck_suspicion_of_disk(const struct fsck *f, struct suspicion *suspicion, uint64_t object,
			    const struct type *type);
static inline bool fsck_record_is_suspect(const struct suspicion *suspicion,
					  const struct type *type, uint32_t record)
{
	size_t from = type->info->rec_off + (size_t)record * type->info->rec_size;
	bool suspect = false;

	for (size_t at = from / XN_SECTOR_SIZE;
	     suspicion->any && at <= (from + type->info->rec_size - 1) / XN_SECTOR_SIZE; at++)
		suspect |= suspicion->sector[at];
	return suspect;
}
/*
 * Before mended bytes are written: what their suspects may not name is cut out of them.  1 it may
 * be written, 0 the person said no, -errno.
 */
int fsck_suspects_settle(struct fsck *f, const struct root *root, const struct type *type,
			 uint64_t object, const uint8_t *before, uint8_t *bytes);

/* counted.c */
int counted_meet(struct counted_table *table, uint64_t block, uint64_t type);
void counted_say(struct counted_table *table, uint64_t block, const struct type *type,
		 const uint8_t *bytes);
void counted_compare(struct fsck *f, struct counted_table *table);
void counted_fini(struct counted_table *table);
int fsck_map_check(struct fsck *f);

/* Make room for one more in an array of `size`-byte members. */
int fsck_array_grow(void **array, size_t n, size_t *cap, size_t size);

#endif
