/* SPDX-License-Identifier: MIT */
/*
 * The checker's side of a LibFS, and the problem engine that it shares with
 * xn-fsck.
 *
 * XN's own structures and ownership are checked by fsck through `owns`, for any
 * format.  What only a LibFS can know (names, link counts, sizes) is checked by
 * the LibFS's struct libfs_checker, offline, on a quiet disk.
 *
 *  (1) Every problem has a row in a table: code, sentence, question, what a
 *      careful program answers by itself.  Nothing is repaired outside a row.
 *  (2) check_problem() decides by the mode whether to repair; a checker that is
 *      told no leaves the disk as it is.
 *  (3) A checker sees only blocks its root owns, and writes only those.
 *  (4) Bytes on the disk are hostile: a checker never loops, recurses or
 *      allocates by what they say without a bound.
 */
#ifndef LIBFS_CHECK_H
#define LIBFS_CHECK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bdev;
struct check;

/* How questions are answered. */
enum check_mode {
	CHECK_LOOK,  /* -n: never write */
	CHECK_PREEN, /* -p: repair what is safe, stop for the rest */
	CHECK_YES,   /* -y: repair everything that can be */
	CHECK_ASK,   /* ask on the terminal */
};

enum check_safety {
	CHECK_SAFE,        /* an expected trace of a crash; -p repairs it */
	CHECK_LOSSY,       /* repair needs a person's yes */
	CHECK_REPORT_ONLY, /* cannot be repaired by this version */
};

struct check_problem_row {
	const char *code;     /* "simplefs/dangling-name": stable, for scripts and tests */
	const char *sentence; /* printf format for the details */
	const char *question; /* "Remove it?" */
	enum check_safety safety;
	bool stays; /* a crash may leave it, and mounting does not repair it: checking does */
};

/* One thing found. */
struct check_finding {
	const struct check_problem_row *row;
	char root[64];
	char text[256];
	bool repaired;
};

/* ---- for LibFS checkers ---- */

/*
 * Objects that fsck's walk over `owns` cannot take as they are.  The LibFS changes
 * the bytes of one object in memory; fsck proves what came out by the templates'
 * own functions, and writes it.
 */
enum check_mend {
	CHECK_MEND_OBJECT, /* its check or `owns` refuses it, or doubt() does: keep what can be kept */
	CHECK_MEND_CUT,    /* take the pointers away that name blocks of [start, start + count) */
	CHECK_MEND_MOVE, /* these blocks lie at `to` now; all of them, or false */
};

struct check_damage {
	enum check_mend what;
	const char *type;         /* name of the object's template */
	uint64_t object, root;    /* first blocks: of the object, of its root's object */
	uint64_t blocks;          /* of the disk */
	const uint8_t *root_uuid; /* 16 bytes */
	/* CUT, MOVE: the extent is the `nth` that `owns` emits of `record`, from 0; of that, blocks: */
	uint32_t record, nth;
	uint64_t start, count, to;
};

struct check_image {
	const void *bytes;
	size_t len;
};

struct libfs_checker {
	/*
	 * Check one root and repair what check_problem() grants.  Returns 0 (also when
	 * problems were found), or -errno when it could not go on.
	 */
	int (*check)(struct check *check);
	/* May be NULL.  False: it cannot. */
	bool (*mend)(const struct check_damage *damage, uint8_t *bytes);
	/*
	 * Every pointer stands under a checksum, which the templates' checks compare: an object that
	 * passes is as it was written.
	 */
	bool sums;
	/* May be NULL.  Does the object make no sense, whatever its template says? */
	bool (*doubt)(const struct check_damage *damage, const uint8_t *bytes);
	/* Templates as this LibFS installs them, by index; false at the end.  May be NULL. */
	bool (*image)(unsigned index, struct check_image *out);
	const struct check_problem_row *const *problems; /* all it knows, NULL at the end */
};

/* The checker of the LibFS of that name (as a root records it); NULL = there is none. */
const struct libfs_checker *libfs_checker_find(const char *name);

uint64_t check_root_object(const struct check *check);     /* first block of the root's object */
const uint8_t *check_root_uuid(const struct check *check); /* 16 bytes */
/* Does this root own that block (as fsck's walk found)? */
bool check_owns(const struct check *check, uint64_t block);

/*
 * `count` blocks.  -EIO; -ERANGE outside the disk or not owned by this root; -EINTR when the
 * person said stop: hand it on.
 */
int check_read(struct check *check, uint64_t block, uint32_t count, void *buffer);
/*
 * One block sector by sector: those that cannot be read are zeroes.  Returns how many, or fails as
 * check_read with -ERANGE and -EINTR.  Writing such a sector gives it a new place, if the device has one.
 */
int check_salvage(struct check *check, uint64_t block, void *buffer);
/*
 * Fails as check_read, and with -EROFS when the mode does not allow it.  The last problem granted
 * counts as not repaired after a failure.
 */
int check_write(struct check *check, uint64_t block, uint32_t count, const void *bytes);

/*
 * Report a problem; the sentence's arguments follow.  Returns true when it
 * shall be repaired now.
 */
bool check_problem(struct check *check, const struct check_problem_row *row, ...);
/*
 * When the walk had to cut or mend something of this root, what was below it may still be there:
 * blocks that the free map shows in use and nobody owns, and that no other root of this LibFS can
 * have lost.  The first of them from `block` on; UINT64_MAX when there is none (or nothing was lost).
 */
uint64_t check_lost_next(struct check *check, uint64_t block);
bool check_was_mended(const struct check *check);
/* Did this run change that sector of an object to mend it?  What it says then counts for less. */
bool check_sector_was_mended(const struct check *check, uint64_t block, uint32_t sector);
/* One lost block; fails as check_read. */
int check_read_lost(struct check *check, uint64_t block, void *buffer);
/* A lost block is the root's from here on: a pointer to it is about to be written. */
void check_adopt(struct check *check, uint64_t block);
/* A free block becomes the root's; write it before what names it.  -ENOSPC, -EROFS, -EIO */
int check_allocate(struct check *check, uint64_t *block);
/* The disk's mount epoch; this run has one of its own once it has written. */
uint64_t check_epoch(const struct check *check);

/* Call after a repair that changed what the root owns: fsck walks it again. */
void check_ownership_changed(struct check *check);
void check_progress(struct check *check, uint64_t done, uint64_t total);

/* ---- for fsck: running checks ---- */

/* Read a block sector by sector; those that cannot be read become `fill`.  Returns how many. */
unsigned check_salvage_block(struct bdev *dev, uint64_t block, uint8_t fill, void *buffer);

struct check_opts {
	enum check_mode mode;
	bool verbose;
	FILE *out;       /* where sentences go; NULL = nowhere (JSON, tests) */
	FILE *in;        /* where answers come from, for CHECK_ASK; at its end all answers are no */
	int progress_fd; /* -1 = none; lines "pass current max device"; 0 = a counter in `out` */
	const volatile sig_atomic_t *stop; /* may be NULL; a signal handler makes it 1 */
};

int check_create(struct bdev *dev, const struct check_opts *opts, struct check **out);
void check_destroy(struct check *check);
/* From now on blocks are read and written through this one (an overlay of the first). */
void check_use_device(struct check *check, struct bdev *dev);

/* Which root is being looked at; `owned` is asked for every block (bitmap of the disk, borrowed). */
void check_set_root(struct check *check, const char *name, uint64_t object,
		    const uint8_t *owned_bitmap, uint64_t block_count);
/* For what was lost: a bitmap of unowned blocks in use (NULL: none may be taken), changed by adoption. */
struct check_rescue {
	bool mended;
	const uint64_t *sectors; /* that were mended, of the whole disk, sorted */
	size_t n_sectors;
	uint8_t *owned; /* the bitmap given to check_set_root() */
	uint8_t *lost;  /* may be NULL */
	uint64_t epoch;
	uint8_t uuid[16]; /* of the root */
	int (*allocate)(void *arg, uint64_t *block);
	void *arg;
};
void check_set_rescue(struct check *check, const struct check_rescue *rescue);
/* Begin a pass; its title is printed when there is one. */
void check_set_pass(struct check *check, unsigned pass, const char *title);

/*
 * What was found, in order; the first CHECK_FINDINGS_MAX are kept, all are counted.  A finding is
 * borrowed until the next problem.
 */
#define CHECK_FINDINGS_MAX 10000u
size_t check_finding_count(const struct check *check);
const struct check_finding *check_finding(const struct check *check, size_t index);
size_t check_found_count(const struct check *check);
/* Found and not repaired. */
size_t check_left_count(const struct check *check);
/* The repair granted last could not be made: its finding is left. */
void check_repair_failed(struct check *check);
/* The same of an earlier one; the sentence was said. */
void check_finding_failed(struct check *check, size_t index);
/* The same for all granted since there were `since` findings. */
void check_repairs_failed(struct check *check, size_t since);
/* Whatever the mode was: from now on nothing is granted and nothing written. */
void check_look_only(struct check *check);
/* Did a checker say so since check_set_root() or check_rewalked()? */
bool check_must_rewalk(const struct check *check);
void check_rewalked(struct check *check);
/* The person said stop, or SIGINT: checkers return -EINTR from reads. */
bool check_cancelled(const struct check *check);
/* From now on a problem found before and left (same row, root and text) is not news: no, silently. */
void check_set_rerun(struct check *check, bool rerun);
void check_cancel(struct check *check); /* async-signal-safe */

#ifdef __cplusplus
}
#endif

#endif
