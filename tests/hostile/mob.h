/* SPDX-License-Identifier: MIT */
/*
 * A mob: several users, each with threads of their own, at one disk, and each tries to
 * get at what is the others' while going about its own business.
 *
 * Every member has a root of its own and, in a root that all may write, a guard (an
 * object whose `acl` lets only its owner in).  Every sector of data and every object
 * bears the owner's uid and its own block.  What shares no code with the engine is
 * the member's own model, the looks at the device, and fsck.
 *
 *  (1) What is a member's own is as the member left it, whatever the others do.
 *  (2) Nothing that a member reads was written by another.
 *  (3) A lie is refused; and where a lie turns out to be true (a block said to be
 *      free is free), it is no lie.
 *  (4) Every state that a crash could leave, at any moment, obeys the law and holds
 *      under every root only bytes of its owner.
 *  (5) Nothing that members do makes XN believe that the disk is damaged.
 */
#ifndef TESTS_HOSTILE_MOB_H
#define TESTS_HOSTILE_MOB_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "xn_fixture.h"

#define MOB_MEMBERS   4u
#define MOB_BLOCKS    3072u
#define MOB_SLOTS     24u /* records of an object that are used: every twentieth */
#define MOB_STRIDE    20u
#define MOB_THINGS    20u              /* objects of a member */
#define MOB_LIST      (4 * MOB_THINGS) /* after a crash: removed ones and new ones */
#define MOB_PUBLISHED 256u
#define MOB_UID       1000u
#define MOB_QUOTA     500u
#define CANARY_MAGIC  0x79726e6163u

/* In the raw bytes of each object. */
struct canary {
	uint64_t magic, block, uid;
};

/* An object of a member. */
struct thing {
	xn_blk_t block;
	enum t_child child;
	struct thing *up; /* NULL: the member's root, or its guard */
	uint32_t up_slot;
	unsigned depth;
	xn_binding_t bound; /* 0: not */
	uint64_t record[MOB_SLOTS];
};

/* A request that a shadow changes while XN reads it: a race, so not where races are looked for. */
#if defined(__SANITIZE_THREAD__)
#define MOB_FLICKERS false
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MOB_FLICKERS false
#endif
#endif
#ifndef MOB_FLICKERS
#define MOB_FLICKERS true
#endif

struct flicker {
	atomic_bool on, turning;
	uint64_t truth[2], lie[2]; /* word, block */
	volatile uint64_t word;
	struct xn_extent alloc;
	struct xn_edit edits[2];
	struct xn_update update;
};

struct member {
	struct mob *mob;
	unsigned index;
	uint32_t uid;
	uint64_t seed;
	char root_name[8];
	uint32_t root_id;
	struct xn_session *session;
	xn_binding_t commons;
	struct thing *things[MOB_LIST];
	size_t n_things;
	uint64_t number[MOB_BLOCKS]; /* of the last write; 0: it reads as zeroes */
	uint64_t next_number;
	uint64_t calls, accepted, refused;
	struct flicker flicker;
	atomic_uint_fast64_t handle; /* bound some time ago: for the shadow */
	pthread_rwlock_t gate;       /* the session stays while a shadow is in it */
	pthread_t thread, shadow;
};

struct mob {
	struct bdev *medium;
	struct bdev *rules; /* the checking device on it, what XN sees */
	struct xn *xn;
	struct xn_session *admin;
	uint32_t type[T_CHILDREN];
	uint32_t commons_id;
	xn_blk_t commons;
	uint64_t first_seed, admin_seed;
	struct member members[MOB_MEMBERS];
	atomic_uint_fast64_t published[MOB_PUBLISHED]; /* blocks that are somebody's, for others */
	atomic_uint_fast64_t hooks, states;
	atomic_uint running;
	uint64_t calls_each; /* of a member, in one phase */
	uint64_t admin_calls, shadow_calls, phases, crashes, reopens;
	struct medium_types types;
};

void mob_fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
#define EXPECT(condition)                                               \
	do {                                                            \
		if (!(condition))                                       \
			mob_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)
/* The call ends in one of these, which are 0-terminated with 0 itself allowed by OR_DONE. */
#define EXPECT_ERROR(err, ...) \
	mob_expect(__FILE__, __LINE__, (err), (const int[]){ __VA_ARGS__, 1 })
int mob_expect(const char *file, int line, int err, const int *allowed);

uint64_t roll(struct member *m, uint64_t n); /* 0 .. n - 1 */

/* ---- mob_model.c: what is whose ---- */
uint32_t slot_offset(const struct thing *t, uint32_t slot);
uint32_t slot_record(uint32_t slot);
struct thing *thing_add(struct member *m, struct thing *up, uint32_t slot, xn_blk_t block,
			enum t_child child);
void thing_remove(struct member *m, struct thing *t); /* and all below it */
struct thing *thing_at(struct member *m, xn_blk_t block);
bool thing_bind(struct member *m, struct thing *t); /* and what leads to it; false: no room */
void thing_unbind(struct member *m, struct thing *t);
void member_relieve(struct member *m);
void member_begin(struct member *m); /* after opening: a session, and the model from the disk */
void member_end(struct member *m);
void publish(struct member *m, xn_blk_t block);
xn_blk_t prey(struct member *m); /* a block that may be somebody else's */

/* ---- mob_deeds.c, mob_lies.c ---- */
void deed(struct member *m);
void lie(struct member *m);
/* NULL: each sector is zeroes, or a write of that user to that block. */
const char *sectors_are_of(const uint8_t *bytes, xn_blk_t block, uint64_t uid);
bool block_is_ours(const uint8_t *bytes, xn_blk_t block, uint32_t uid, uint64_t *number);

#endif
