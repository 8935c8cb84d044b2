/* SPDX-License-Identifier: MIT */
/*
 * What the random walk knows of its disk: a model that shares nothing with the
 * engine.
 *
 * Two roots draw from one free map, each walked by a session of its own user.
 * Objects are t.node and t.pair; each bears a serial number in its raw bytes, and
 * every sector of data names its block, its owner's serial and a write number.
 * So whatever is found under a pointer tells who wrote it, and when.
 *
 *  (1) An object's records are what the accepted updates made them.
 *  (2) Data reads as last written; as zeroes when it never was.
 *  (3) After a crash every record holds the value of the root's last sync or a
 *      later one, every sector a number at least as new as that sync's.
 *  (4) When everything is synced and reaped, a block is free if the model says so.
 */
#ifndef TESTS_HOSTILE_WORLD_H
#define TESTS_HOSTILE_WORLD_H

#include "xn_fixture.h"

#define WORLD_BLOCKS  1536u
#define WORLD_SECTORS 8u
#define WORLD_SLOTS   48u                 /* records of an object that are used */
#define WORLD_OBJECTS 64u                 /* per root */
#define WORLD_LIST    (3 * WORLD_OBJECTS) /* after a crash: removed ones and new ones */
#define WORLD_BOUND   20u                 /* objects kept bound per root */
#define WORLD_HELD    16u                 /* data bindings kept */
#define WORLD_ROOTS   2u
#define SERIAL_MAGIC  0x4c41495245535a5aull

enum kind {
	K_FREE = 0,
	K_DATA,
	K_RESERVED,
	K_OBJECT,
	K_REST, /* further blocks of an object */
};

/* In the raw bytes of each object. */
struct tail {
	uint64_t magic, block, serial;
};

struct object {
	xn_blk_t block;
	uint64_t serial;
	enum t_child child;
	uint32_t n_records;
	uint64_t *record;
	struct object *parent; /* NULL: a root */
	uint32_t parent_record;
	unsigned root, depth;
	xn_binding_t bound; /* 0: not */
};

/* A value that a record had since the last sync. */
struct note {
	uint64_t serial, value;
	uint32_t record;
};

struct notes {
	struct note *v;
	size_t n, cap;
};

/* An object as it was at the last sync. */
struct copy {
	uint64_t serial;
	uint32_t n_records;
	uint64_t *record;
};

struct snapshot {
	struct copy v[WORLD_LIST];
	size_t n;
};

/* A data binding kept for later. */
struct held {
	xn_binding_t binding;
	unsigned root;
	xn_blk_t start;
	uint64_t count;
	bool stale, reaped; /* reaped: good until the reaper comes by */
};

struct world {
	uint64_t seed, first_seed;
	uint64_t op;
	struct bdev *medium;
	struct bdev *rules; /* the checking device on it, what XN sees */
	struct xn *xn;
	struct xn_session *admin, *session[WORLD_ROOTS];
	uint32_t type[T_CHILDREN];
	uint32_t root_id[WORLD_ROOTS];
	struct object *root[WORLD_ROOTS];
	struct object *list[WORLD_ROOTS][WORLD_LIST];
	size_t n_objects[WORLD_ROOTS], n_bound[WORLD_ROOTS];
	uint64_t n_unwritten[WORLD_ROOTS];
	uint64_t owned, room; /* blocks in use by roots; most that could be */

	uint8_t kind[WORLD_BLOCKS];
	struct object *owner[WORLD_BLOCKS]; /* of data and reserved; the object itself */
	uint32_t number[WORLD_BLOCKS][WORLD_SECTORS];
	uint32_t synced[WORLD_BLOCKS][WORLD_SECTORS];
	bool written[WORLD_BLOCKS];
	uint32_t next_number;
	uint64_t next_serial;

	struct notes notes[WORLD_ROOTS];
	struct snapshot snapshot[WORLD_ROOTS];
	struct held held[WORLD_HELD];
	size_t n_held;
	xn_binding_t zombie[WORLD_HELD]; /* bindings inside subtrees being reaped */
	xn_blk_t zombie_object[WORLD_HELD];
	unsigned zombie_root[WORLD_HELD];
	enum t_child zombie_child[WORLD_HELD];
	size_t n_zombies;

	struct medium_types types;
	uint64_t hook_count;
	struct {
		uint64_t accepted, refused, states, crashes, reopens, syncs, reaped, evictions,
			writes, reads, full, stuck, reclaims, moves, commits, waits;
	} count;
};

/* All of these end the program with seed and step if something is not as it must be. */
#define EXPECT(w, condition)                                                   \
	do {                                                                   \
		if (!(condition))                                              \
			world_fail((w), __FILE__, __LINE__, "%s", #condition); \
	} while (0)
#define EXPECT_RESULT(w, got, wanted) \
	world_expect_result((w), __FILE__, __LINE__, (got), (wanted), #got)
void world_fail(struct world *w, const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 4, 5)));
void world_expect_result(struct world *w, const char *file, int line, int got, int wanted,
			 const char *what);

uint64_t pick(struct world *w, uint64_t n); /* 0 .. n - 1 */

/* ---- world.c ---- */
void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);
void world_open(struct world *w);
void world_forget_bindings(struct world *w);
struct object *object_add(struct world *w, unsigned root, struct object *parent, uint32_t record,
			  xn_blk_t block, enum t_child child, uint64_t serial);
void object_remove(struct world *w, struct object *o); /* it alone; it owns nothing */
uint32_t slot_record(const struct object *o, uint64_t slot);
void record_set(struct world *w, struct object *o, uint32_t record, uint64_t value);
void blocks_take(struct world *w, struct object *o, xn_blk_t start, uint64_t count,
		 enum t_child child);
void blocks_give(struct world *w, xn_blk_t start, uint64_t count);
void subtree_remove(struct world *w, struct object *o); /* and all below it */
uint32_t tail_offset(enum t_child child);
void sector_fill(uint8_t *sector, xn_blk_t block, uint64_t serial, uint32_t number);
void block_expected(const struct world *w, xn_blk_t block, uint8_t *bytes);
struct xn_session *session_of(struct world *w, const struct object *o);

/* Bind it, and what leads to it; false: the cache is too full just now. */
bool object_need(struct world *w, struct object *o);
void object_unbind(struct world *w, struct object *o);
struct object *object_pick(struct world *w, unsigned root);
bool data_bind(struct world *w, struct object *o, uint32_t record, xn_blk_t start, uint64_t count,
	       xn_binding_t *binding);
void data_write(struct world *w, struct object *o, uint32_t record, xn_blk_t start, uint64_t count);
void write_unwritten(struct world *w, unsigned root);
void relieve(struct world *w); /* the cache is full: write back and let go */
void held_drop(struct world *w, size_t i);

/* ---- judge.c: looking at what came of it ---- */
void snapshot_take(struct world *w, unsigned root);
void judge_object(struct world *w, struct object *o); /* bytes in the cache as the model says */
void judge_memory(struct world *w);                   /* xn_self_check() and free counts */
void judge_settled(struct world *w);                  /* sync, reap; then every block */
void judge_device(struct world *w, uint64_t seed);    /* one state a crash may leave */
void world_crash(struct world *w);
void world_reclaim(struct world *w, uint64_t budget);
void world_reopen(struct world *w);

/* ---- steps.c, lies.c ---- */
void step(struct world *w);
void step_lie(struct world *w);

#endif
