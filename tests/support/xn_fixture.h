/* SPDX-License-Identifier: MIT */
/*
 * An XN disk in memory with the t.* templates (tests/xn/types), an administrator's
 * session and one root of type t.node; and short words for what tests do to it.
 *
 * Below XN lie a fault injector, the checking device and a device that knows crash states; teardown
 * runs xn_self_check(), closes, asks the checking device whether a rule of order was broken, and has
 * the disk read by tests/support/medium.h.
 */
#ifndef TESTS_XN_FIXTURE_H
#define TESTS_XN_FIXTURE_H

#include "expect.h"

#include "crashdev.h"
#include "medium.h"
#include "record.h"
#include "xn/bdev.h"
#include "xn/format.h"
#include "xn/xn.h"

#define FIXTURE_BLOCKS 1024u
#define STAMP_MAGIC    0x504d415453585453ull

/* At the start of every sector of a data block that tests write. */
struct stamp {
	uint64_t magic, block, owner, number;
};

struct fixture {
	struct bdev *medium; /* crashdev */
	struct bdev *rules;  /* the checking device on it */
	struct bdev *dev;    /* the fault injector above that, what XN sees */
	struct xn *xn;
	struct xn_session *session; /* uid 0, administrator */
	uint32_t type[T_CHILDREN];  /* global ids of the t.* children */
	uint64_t cache_bytes;
	xn_blk_t root; /* object of root "r" */
	uint32_t root_id;
	xn_binding_t root_binding;
	bool expect_damage; /* teardown: the test damaged the disk, do not ask for a good one */
};

int fixture_setup(void **state);
int fixture_setup_small_cache(void **state);
int fixture_teardown(void **state);

/* Device and disk, formatted and with templates and root "r", open with a session. */
struct fixture *fixture_new(uint64_t blocks, uint64_t cache_bytes);
void fixture_free(struct fixture *fx);
void fixture_open(struct fixture *fx);                    /* after a close, abandon or crash */
void fixture_open_as(struct fixture *fx, uint32_t flags); /* XN_OPEN_... */
void fixture_close(struct fixture *fx);
/* Somebody else writes on the disk, while it is closed. */
void fixture_poke(struct fixture *fx, xn_blk_t block, uint32_t offset, const void *bytes,
		  size_t len);
void fixture_reopen(struct fixture *fx);
void fixture_crash(struct fixture *fx, uint64_t seed); /* power goes; open again, and reclaim */
void fixture_reclaim(struct fixture *fx);              /* what a crash lost */
void fixture_check(struct fixture *fx);                /* xn_self_check() */
void fixture_check_rules(struct fixture *fx);          /* no write broke the order so far */
void fixture_check_medium(struct fixture *fx);         /* what is on the device now, as it is */

/*
 * What xn-fsck says of a disk that is not open: of a clean one nothing, of one that
 * crashed nothing that a crash cannot explain.  NULL, or a sentence in `text`.
 */
const char *fsck_complaint(struct bdev *dev, char *text, size_t size);

/* Every state that a crash may leave now (all, none, and `n` random ones) obeys the law. */
void fixture_check_crashes(struct fixture *fx, unsigned n);
/* The same after every single write and flush from here on; NULL context ends it. */
void fixture_watch(struct fixture *fx, unsigned n);

/* ---- an update, put together piece by piece ---- */

struct request {
	struct xn_update update;
	struct xn_edit edits[80];
	struct xn_extent allocs[80], frees[80];
	struct xn_expect expects[80];
	uint64_t words[80];
	struct xn_refusal why;
};

void request_begin(struct request *rq);
void request_edit(struct request *rq, xn_blk_t object, uint32_t offset, const void *bytes,
		  uint32_t len);
void request_word(struct request *rq, xn_blk_t object, uint32_t offset, uint64_t word);
void request_alloc(struct request *rq, xn_blk_t start, uint64_t count, uint32_t type);
void request_free(struct request *rq, xn_blk_t start, uint64_t count, uint32_t type);
void request_expect(struct request *rq, xn_blk_t object, uint64_t version);
/* Begun anew: `pointer` moves from a record of one t.node to a record of another. */
void request_move(struct request *rq, xn_blk_t from, uint32_t record, xn_blk_t to,
		  uint32_t to_record, uint64_t pointer);
int request_run(struct request *rq, struct xn_session *session);
/* Run it as the fixture's session: refused so, with a sentence, and without a trace. */
#define assert_request_refused(fx, rq, wanted) \
	expect_request_refused((fx), (rq), (wanted), __FILE__, __LINE__)
void expect_request_refused(struct fixture *fx, struct request *rq, int wanted, const char *file,
			    int line);

/* ---- steps that succeed ---- */

xn_blk_t given_free(struct fixture *fx, uint64_t count);
/* Record `record` of the t.node or t.pair `owner` takes `count` free blocks as child `child`. */
xn_blk_t given_child(struct fixture *fx, xn_blk_t owner, uint32_t record, uint64_t count,
		     enum t_child child);
/* The same for a node: and bound for reading and writing. */
xn_blk_t given_node(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_binding_t *binding);
/* A data block that was written; bound if `binding` is not NULL. */
xn_blk_t given_data(struct fixture *fx, xn_blk_t owner, uint32_t record, uint64_t number,
		    xn_binding_t *binding);
void given_no_child(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start,
		    uint64_t count, enum t_child child);

int try_bind(struct fixture *fx, struct xn_session *session, xn_blk_t owner, uint32_t record,
	     xn_blk_t start, uint64_t count, uint32_t type, uint32_t access, xn_binding_t *binding);
xn_binding_t given_bound(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start,
			 uint64_t count, enum t_child child, uint32_t access);
/* Data of zeroes: it may move, and nobody takes it for another owner's. */
xn_blk_t given_zeroes(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_binding_t *binding);
/* A data block that has an owner is written, with zeroes. */
void given_written(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t data);
struct xn_session *given_session(struct fixture *fx, uint32_t uid, uint32_t flags);

void stamp_fill(uint8_t *block, xn_blk_t at, xn_blk_t owner, uint64_t number);
bool stamp_is(const uint8_t *block, xn_blk_t at, xn_blk_t owner, uint64_t number);
/* medium_visit: every data block is wholly zero or bears stamps of its own place and owner. */
const char *stamps_visit(void *context, const struct medium_item *item);

uint64_t free_blocks(struct fixture *fx);
struct xn_stats stats_of(struct fixture *fx);
uint64_t bound_word(struct fixture *fx, xn_binding_t bound, uint32_t offset);
/* A word of a t.node below the root, which may have to be found again. */
uint64_t node_word(struct fixture *fx, uint32_t record, xn_blk_t node, uint32_t offset);
void install_types(struct xn_session *session, uint32_t type[T_CHILDREN]);

#endif
