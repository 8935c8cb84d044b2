/* SPDX-License-Identifier: MIT */
/*
 * What XN keeps for itself on a disk, told from the disk's own structures: all of
 * it but the free map, whose blocks stand at computed places (xn_map_block()).
 */
#ifndef IMAGES_PLACES_H
#define IMAGES_PLACES_H

#include "image.h"
#include "xn/format.h"

enum place_kind {
	PLACE_SUPERBLOCK, /* index: which copy, 0 the first */
	PLACE_CATALOGUE,  /* catalogue, index in its chain, is_twin */
	PLACE_LOG,
	PLACE_TEMPLATE, /* index: id of the template whose image it holds */
};

struct own_place {
	xn_blk_t start;
	uint64_t count;
	enum place_kind kind;
	enum xn_catalogue_kind catalogue;
	bool is_twin;
	uint64_t index;
};

struct own_places {
	struct xn_super super;
	struct own_place *place;
	size_t count, room;
};

/*
 * Read beside the open image, whose lock is held.  When a catalogue cannot be
 * followed, what was found so far is there all the same; fini in any case.
 * Fails with XN_EDAMAGED, XN_EIO, -ENOMEM
 */
int own_places_read(const struct image *image, struct own_places *out);
void own_places_fini(struct own_places *places);

#endif
