/* SPDX-License-Identifier: MIT */
/*
 * Questions that a state must answer by itself, whatever came before:
 *
 *   R1 opens    recovery succeeds, XN is sound, every root mounts and can be read
 *   R2 fsck     as it lies there, xn-fsck finds nothing but what a crash may leave;
 *               after recovery and a clean close, nothing at all
 *   R3 order    nothing reachable names a block that was never written, that is
 *               free on the map, or that has another owner: found by running `owns`,
 *               not by asking the engine
 *   R8 alive    afterwards the file system can be used, everything can be removed,
 *               and all space comes back
 *   R9 others   a root that nobody used has the bytes it had
 *
 * R4 (no stranger's bytes), R5 (durable) and R6 (renames) are the model's (model.h), of what is
 * seen here.
 */
#ifndef TESTS_CRASH_ORACLES_H
#define TESTS_CRASH_ORACLES_H

#include "look.h"
#include "medium.h"
#include "script.h"
#include "slate.h"

extern const char *const crash_roots[SCRIPT_ROOTS]; /* names of the roots that workloads use */
#define CRASH_OTHER "other"                         /* and of the one that nobody uses */
#define CRASH_CACHE (1u << 20)

struct oracles {
	struct slate *slate;
	unsigned n_roots;
	struct medium_types types;
	uint8_t *others;        /* per block: it belongs to the root that nobody uses */
	uint8_t *own;           /* per block: it is XN's */
	uint8_t *base;          /* the disk before */
	uint64_t free_after;    /* free blocks once all was removed ... */
	const char *unfinished; /* the finding that a root cut short in its making is; or NULL */
	uint64_t kept;          /* ... less so many at most */
};

struct verdict {
	uint64_t owned;                  /* blocks of roots */
	struct look *look[SCRIPT_ROOTS]; /* NULL: it did not come so far */
	char wrong[256];                 /* "R3: ..."; "" = fine */
};

struct crash_mount {
	struct xn *xn;
	struct xn_session *session;
	struct libfs *fs[SCRIPT_ROOTS];
};

/* On a device that stays the caller's.  NULL, or what went wrong. */
const char *crash_mount(struct crash_mount *mount, struct bdev *dev, unsigned n_roots,
			char text[256]);
const char *crash_unmount(struct crash_mount *mount, char text[256]);

/* What xn-fsck says of a disk as a crash left it, or after recovery.  NULL, or what is wrong. */
const char *crash_fsck(const struct oracles *oracles, struct bdev *dev, bool recovered,
		       char text[256]);

/* xn-fsck -p, which must know what to do.  NULL, or what went wrong. */
const char *crash_repair(struct bdev *dev, char text[256]);

/* The slate shows the disk that workloads begin with, closed cleanly. */
void oracles_init(struct oracles *oracles, struct slate *slate, unsigned n_roots);
/*
 * The slate shows a disk that may hold anything; R9 is not asked.  Non-zero: it is no XN disk, or
 * not a sound one; oracles_fini() is needed all the same.
 */
int oracles_init_plain(struct oracles *oracles, struct slate *slate);
void oracles_fini(struct oracles *oracles);

/*
 * Ask R3 of what the slate shows.  When it is right, `*meaning` says what is in all blocks that
 * belong to somebody: two states that differ only in free blocks mean the same.
 */
bool oracles_ask_order(struct oracles *oracles, struct verdict *verdict, uint64_t *meaning);
/* Ask R1, R2, R9; leaves the recovered disk on the slate. */
void oracles_ask(struct oracles *oracles, struct verdict *verdict);
/* Ask R8, after that. */
void oracles_ask_alive(struct oracles *oracles, struct verdict *verdict);

#endif
