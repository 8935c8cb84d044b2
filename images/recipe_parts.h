/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the recipe runner share.
 *
 *   recipe.c        statements and words
 *   recipe_make.c   those that make: through the engine
 *   recipe_break.c  those that break: on the medium
 *   recipe_place.c  names of blocks and fields, and where they lie
 */
#ifndef IMAGES_RECIPE_PARTS_H
#define IMAGES_RECIPE_PARTS_H

#include <stdbool.h>

#include "libfs/anatomy.h"
#include "libfs/host.h"
#include "recipe.h"
#include "xn/bdev.h"
#include "xn/format.h"

#define WORDS_MAX  8u
#define MOUNTS_MAX 8u

struct words {
	char *v[WORDS_MAX];
	unsigned n;
};

struct recipe {
	struct bdev *dev;
	char *why;
	bool raw; /* checksums stay as they are */
	/* While the engine has the disk open. */
	struct xn *xn;
	struct xn_session *session;
	struct host_ctx ctx;
	struct {
		char name[64];
		struct libfs *fs;
	} mount[MOUNTS_MAX];
	unsigned n_mounts;
};

/* Write the sentence.  Returns `error`. */
int recipe_fail(struct recipe *r, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A number in C's ways of writing, or with K or M behind it. -EINVAL */
int recipe_number(struct recipe *r, const char *word, uint64_t *out);

/* 1: the statement is none of these. */
int recipe_make(struct recipe *r, const struct words *words);
int recipe_break(struct recipe *r, const struct words *words);
/* Unmount and close, if anything is open. */
int recipe_close(struct recipe *r);

/* ---- places ---- */

#define COPIES_MAX 3u

/* A field, in all its copies. */
struct target {
	struct anatomy_place place[COPIES_MAX];
	unsigned n;
	enum { SEAL_NONE, SEAL_SUPER, SEAL_XN, SEAL_LIBFS } seal;
	const struct libfs_anatomy *anatomy;
};

int recipe_block_read(void *dev, uint64_t block, void *bytes);
int recipe_super(struct recipe *r, struct xn_super *super);
/* The block that a word names. */
int recipe_block(struct recipe *r, const char *word, uint64_t *out);
/* The field that words name; they begin at `words->v[first]`, *used of them. */
int recipe_target(struct recipe *r, const struct words *words, unsigned first, unsigned *used,
		  struct target *out);

#endif
