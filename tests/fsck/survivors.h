/* SPDX-License-Identifier: MIT */
/*
 * A populated disk, and what of it reads as before after something happened to some of
 * its sectors.
 *
 *  (1) What a file stands on is known by sectors: those of its contents and
 *      pointers, and on the way to it the name and the inode of each directory.
 *      XN's own sectors are not among them: they exist twice.
 *  (2) Where both copies of a sector of XN's were hit, the disk may be left with
 *      problems, and says so.
 *  (3) A file of a simplefs may have another name: of two names alike nothing tells which
 *      one was damaged.
 *  (4) Where the two roots are two users', no file of the one whose sectors have checksums
 *      ever shows a block of the other's, damaged or not.
 */
#ifndef FSCK_SURVIVORS_H
#define FSCK_SURVIVORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libfs/check.h"

#define ITEMS_MAX 512u
#define PAIRS_MAX 32u
#define USERS     "two users"

struct bdev;

struct tree_item {
	char path[128]; /* "/root/a/b" */
	uint32_t mode;
	uint64_t size;
	uint8_t *bytes; /* contents, or a target */
	uint64_t *sectors;
	size_t n_sectors, cap;
};

struct tree_disk {
	const char *name;
	struct bdev *dev;
	struct tree_item items[ITEMS_MAX];
	size_t n;
	uint64_t *used; /* sectors of blocks in use */
	size_t n_used;
	uint64_t pair[PAIRS_MAX][2]; /* blocks of the catalogues and their twins */
	size_t n_pairs;
	uint64_t *words; /* how the blocks of the other user's files begin; sorted */
	size_t n_words;
	uint64_t object[2]; /* first blocks of the roots */
};

struct survivors_totals {
	uint64_t images, beyond, untouched, compared, words;
};

/* Roots: "c" C-FFS, "s" simplefs, "7" that one is another user's. */
struct tree_disk *tree_disk_new(const char *name, const char *roots);
/* Where the root of that name begins. */
uint64_t tree_disk_root(const struct tree_disk *disk, const char *name);
void tree_disk_free(struct tree_disk *disk);
/* Was something hit in both places where XN keeps it? */
bool survivors_beyond_help(const struct tree_disk *disk, const uint64_t *hit, size_t n);
/* The exit code. */
int survivors_fsck(struct bdev *dev, enum check_mode mode, bool print);
/* For a closer look with other tools: XN_DAMAGE_KEEP names a file. */
void survivors_keep(struct bdev *dev);
/* Returns how many things were wrong. */
unsigned survivors_check(struct tree_disk *disk, struct bdev *dev, const uint64_t *hit, size_t n,
			 struct survivors_totals *totals);

#endif
