/* SPDX-License-Identifier: MIT */
/*
 * Who owns a block of a disk, and by which chain of pointers.
 *
 * What XN keeps for itself is told from the disk's own structures; everything
 * else by walking the roots, which any format allows.
 */
#ifndef IMAGES_OWNER_H
#define IMAGES_OWNER_H

#include "image.h"
#include "places.h"
#include "xn/format.h"

enum owner_kind {
	OWNER_SUPERBLOCK, /* index: which copy, 0 the first */
	OWNER_MAP,        /* index: of which chunk */
	OWNER_CATALOGUE,  /* catalogue, index in its chain, is_twin */
	OWNER_LOG,
	OWNER_TEMPLATE, /* index: id of the template whose image it holds */
	OWNER_ROOT,     /* owned through a root: chain */
	OWNER_FREE,
	OWNER_NOBODY, /* marked in use, and nothing names it */
};

enum owner_kind owner_kind_of(enum place_kind kind);

#define OWNER_CHAIN_MAX 1024u

struct owner {
	enum owner_kind kind;
	uint64_t index;
	enum xn_catalogue_kind catalogue;
	bool is_twin;
	uint32_t root;
	/* From the root's object down to the extent that holds the block. */
	struct xn_walk_item *chain;
	unsigned depth; /* items in it */
};

/*
 * Fails with -ERANGE (beyond the disk), -E2BIG (a chain longer than
 * OWNER_CHAIN_MAX), XN_EDAMAGED, XN_EIO, -ENOMEM.
 */
int owner_find(struct image *image, xn_blk_t block, struct owner *owner);
/* "root", "free", ...: as JSON has it. */
const char *owner_word(enum owner_kind kind);
void owner_fini(struct owner *owner);

#endif
