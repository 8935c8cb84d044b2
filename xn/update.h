/* SPDX-License-Identifier: MIT */
/*
 * What the two halves of an update share: the check (update_check.c and others) fills a plan and
 * changes nothing that anybody can see, update_commit.c carries it out and
 * cannot fail.
 */
#ifndef XN_UPDATE_H
#define XN_UPDATE_H

#include "internal.h"

/*
 * Memory that lives as long as one attempt at an update.  What most updates need lies in the
 * plan itself; more is taken from the heap in pieces, and given back all together.
 */
#define ARENA_BYTES 8192u
struct arena_piece;
struct arena {
	uint32_t used;
	struct arena_piece *pieces;
	uint8_t bytes[ARENA_BYTES] __attribute__((aligned(16)));
};
void *arena_take(struct arena *arena, size_t size); /* not zeroed; NULL: no memory */
/* A longer array in place of an old one of *cap members, which keeps its place in the arena. */
void *arena_grow(struct arena *arena, void *old, size_t *cap, size_t size);

/* One edited object. */
struct change {
	struct entry *entry;
	const struct type *type;
	bool fresh;                  /* allocated by this update */
	uint8_t *bytes;              /* the object as it will be; NULL: see change_bytes() */
	const struct xn_edit *edits; /* of this object, by offset; their bytes are copies */
	uint32_t n_edits;
	bool needs_log;                      /* what it changes may tear on disk */
	struct udf_extents added, removed;   /* as its records say */
	struct udf_extents taken, given;     /* of these, allocated and freed */
	struct udf_extents in, out;          /* ... moved here, and away */
	struct udf_extents linked, unlinked; /* ... shared with other owners */
	struct udf_extents fresh_data;       /* ... RESERVED that became DATA */
	struct udf_extents idle;             /* ... DATA that became RESERVED */
};

/* One freed object of a template. */
struct freed {
	struct entry *owner;
	struct entry *entry; /* NULL: not registered (only with reap) */
	struct type *type;
	xn_blk_t start;
	uint32_t depth; /* owners above it */
	bool reap;
};

struct plan {
	struct xn *xn;
	struct arena *arena;
	struct xn_session *session;
	struct xn_update update;    /* the request; its arrays are the plan's copies */
	const struct xn_cred *cred; /* the session's, or `stated` */
	struct xn_cred stated;
	struct acl_above under; /* whose content the session holds bound, by update.under */
	struct udf_budget budget, reap_budget;
	struct root *root;
	struct change *changes; /* room for as many as there are edits, at most 64 */
	uint32_t n_changes;
	struct udf_extents allocs, frees;  /* as declared, normalised */
	struct udf_extents retyped[2];     /* as declared: before, after; normalised */
	struct udf_extents added, removed; /* as `owns` says, normalised */
	struct udf_extents moved;          /* in both */
	struct udf_extents links, unlinks; /* as declared, normalised */
	uint64_t n_blocks;                 /* allocated */
	bool map_news;                     /* ... and not on the disk's map yet */
	struct entry **fresh;              /* entries of new objects, not yet owned */
	size_t n_fresh;
	struct freed *freed;
	size_t n_freed, freed_cap;
	struct will_free *nodes; /* as many as the commit can need */
	struct entry **joins;    /* who must go to the disk together */
	size_t n_joins, joins_cap;
	struct group *group; /* for them; NULL: nobody must */
	bool whole;          /* no mixture of before and after may be met on disk */
	bool need_map;       /* refused because this chunk's map is not read in */
	uint64_t need_chunk;
};

/* The check, part by part: each refuses, or leaves in the plan what the next needs. */
int plan_check(struct plan *plan);
int plan_conserve(struct plan *plan);
int plan_rings(struct plan *plan);
int plan_acl_check(struct plan *plan);
int plan_maps_here(struct plan *plan,
		   const struct udf_extent *e); /* XN_ENOTCACHED: one must be read */
int plan_frees(struct plan *plan);

void plan_commit(struct plan *plan);

/*
 * The longest run of blocks from `at` that are freed alike: all at once or all
 * later.  Both halves use it, so the nodes counted are the nodes used.
 */
uint64_t free_run(struct xn *xn, const struct entry *owner, xn_blk_t at, xn_blk_t end,
		  bool *at_once);

struct change *plan_change_of(const struct plan *plan, const struct entry *entry);
struct change *plan_taker(const struct plan *plan, xn_blk_t block);
struct change *plan_giver(const struct plan *plan, xn_blk_t block);
struct change *plan_new_owner(const struct plan *plan, const struct entry *entry);

/*
 * The object as it will be, whole; NULL: no memory.  Not every update needs that, and copying
 * 4 KiB to change 8 bytes is a tenth of its cost.
 */
const uint8_t *change_bytes(struct plan *plan, struct change *change);

uint64_t blocks_of(const struct udf_extents *list);
bool extents_have(const struct udf_extents *list, xn_blk_t block);

/* after.c */
int after_ring(const struct plan *plan, struct entry *const entries[], size_t count);

bool may_hang_below(struct plan *plan, const struct change *at, const struct entry *top);
void moved_in(struct entry *entry);

/* counted.c */
int links_declared(struct plan *plan);
int counts_check(struct plan *plan);
bool owners_unknown(struct plan *plan, const struct entry *entry);
int last_owner_check(struct plan *plan, const struct entry *owner, const struct entry *entry);
void links_commit(struct plan *plan);

/* update_group.c */
int plan_joins(struct plan *plan);
void plan_join(struct plan *plan);

#endif
