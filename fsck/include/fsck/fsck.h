/* SPDX-License-Identifier: MIT */
/*
 * Checking and repairing an XN disk, offline, without the engine.
 *
 * Structure is checked for any format: fsck runs the templates' own functions
 * and so knows who owns what.  What only a LibFS understands is handed to its
 * checker (libfs/check.h), found by libfs_checker_find(): whoever links this
 * library also links the checkers it shall have.
 *
 *  (1) CHECK_LOOK writes nothing.
 *  (2) Nothing is freed unless every object could be read and understood.
 *  (3) A repair either happens under a superblock that says "in use", so that a
 *      crash in the middle leaves an unclean disk and not a wrong one, or is
 *      harmless by itself.
 *  (4) A second run after a repair finds nothing; one after a refusal finds the
 *      same again.
 *  (5) Nothing on the disk makes fsck loop, recurse or take memory without
 *      bound: it holds 2 KiB per chunk of 16384 blocks that something owns,
 *      twice (the LibFS's checker needs as much again, and again when something
 *      was lost), plus 40 bytes per pending extent of the walk (never more than
 *      there are metadata blocks), 80 per repair granted (at most 65536 at a time),
 *      plus the catalogues and a buffer of 512 KiB.
 */
#ifndef FSCK_FSCK_H
#define FSCK_FSCK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libfs/check.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bdev;

/* Exit codes of fsck(8); they add up. */
#define FSCK_OK       0
#define FSCK_REPAIRED 1
#define FSCK_LEFT     4
#define FSCK_FAILED   8
#define FSCK_USAGE    16
#define FSCK_STOPPED  32

struct fsck_opts {
	enum check_mode mode;
	bool force; /* look at a disk that says it is clean, too */
	bool verbose;
	FILE *out;                         /* what people read; NULL = nothing */
	FILE *in;                          /* answers, for CHECK_ASK */
	int progress_fd;                   /* -1 = none */
	const volatile sig_atomic_t *stop; /* may be NULL; a signal handler makes it 1 */
	int64_t now_ns;                    /* 0 = the clock */
	/*
	 * NULL, or the only root to be walked and checked.  The free map and the counters are left
	 * alone, blocks that other roots have, too, are not found; a disk that was changed says "in
	 * use" afterwards.
	 */
	const char *root;
};

struct fsck_finding {
	const char *code;
	enum check_safety safety;
	bool trace; /* what a crash is expected to leave behind */
	bool stays; /* ... and mounting does not repair */
	bool repaired;
	char root[64]; /* "" = the disk itself */
	char text[256];
};

struct fsck_result {
	int exit_code;
	bool was_clean; /* the superblock said so */
	bool skipped;   /* clean and not forced: only superblock and catalogues were looked at */
	bool complete;  /* every object was read and understood */
	bool modified;
	char label[65];
	uint8_t uuid[16];
	uint64_t block_count, used_blocks, objects;
	uint32_t roots, templates;
	size_t found, left;
	size_t unexpected; /* found, and no crash can explain it */
	struct fsck_finding *findings;
	size_t n_findings;
	char why[256]; /* exit code 8: a sentence */
};

/*
 * Check a disk.  The caller holds its lock: exclusive unless mode is CHECK_LOOK.
 * What is wrong with the disk is in `result`; give it to fsck_result_fini().
 *
 * Fails with -ENOMEM or -errno of the device when it could not run at all (then exit_code is
 * FSCK_FAILED).  "Not an XN disk", a newer format and no superblock left are no failures of the
 * call, but exit_code FSCK_FAILED and `why`.
 */
int fsck_run(struct bdev *dev, const struct fsck_opts *opts, struct fsck_result *result);
void fsck_result_fini(struct fsck_result *result);

/* Every problem fsck itself knows (LibFS checkers have their own); NULL at the end. */
const struct check_problem_row *fsck_problem_row(size_t index);

#ifdef __cplusplus
}
#endif

#endif
