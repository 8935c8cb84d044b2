/* SPDX-License-Identifier: MIT */
/*
 * What XN keeps for itself.  See places.h.
 *
 *  (1) Entries that are damaged together with their twins are passed over: their
 *      blocks have no owner then, and xn-fsck says why.
 */
#include "places.h"

#include <errno.h>
#include <stdlib.h>

#include "super.h"
#include "xn/bdev.h"

struct reading {
	struct bdev *dev;
	struct own_places *out;
};

static int place_add(struct own_places *places, const struct own_place *place)
{
	struct own_place *more;

	if (places->count == places->room) {
		size_t room = places->room ? 2 * places->room : 32;

		more = realloc(places->place, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		places->place = more;
		places->room = room;
	}
	places->place[places->count++] = *place;
	return 0;
}

static int add_fixed(struct own_places *places)
{
	const struct xn_super *super = &places->super;
	const struct own_place log = { .start = super->log_start,
				       .count = super->log_blocks,
				       .kind = PLACE_LOG };
	uint64_t at[3];
	unsigned count = xn_super_places(super->block_count, at);
	int err = super->log_blocks ? place_add(places, &log) : 0;

	for (unsigned i = 0; !err && i < count; i++) {
		const struct own_place copy = {
			.start = at[i], .count = 1, .kind = PLACE_SUPERBLOCK, .index = i
		};

		err = place_add(places, &copy);
	}
	return err;
}

/* A catalogue block, or its twin where that one is damaged. */
static int read_link(struct reading *r, uint64_t block, uint64_t twin, struct xn_cat_link *link)
{
	uint8_t sector[XN_SECTOR_SIZE];
	int err = bdev_read(r->dev, block * XN_BLOCK_SIZE, sector, sizeof(sector));

	if (!err)
		err = xn_cat_link_decode(&r->out->super, sector, link);
	if (!err)
		return 0;
	err = bdev_read(r->dev, twin * XN_BLOCK_SIZE, sector, sizeof(sector));
	return err ? err : xn_cat_link_decode(&r->out->super, sector, link);
}

/* The better of an entry and its twin.  False when neither is one. */
static bool read_template(const struct xn_super *super, const uint8_t *first, const uint8_t *second,
			  uint64_t slot, struct xn_template_entry *entry)
{
	struct xn_template_entry other;
	int err = xn_template_entry_decode(super, slot, first, entry);
	int other_err = xn_template_entry_decode(super, slot, second, &other);

	if (err || (!other_err && other.seq > entry->seq)) {
		*entry = other;
		err = other_err;
	}
	return !err && entry->state == XN_ENTRY_USED;
}

/* The images whose entries lie in this catalogue block. */
static int add_images(struct reading *r, uint64_t block, uint64_t twin, uint64_t index)
{
	uint8_t bytes[2 * XN_BLOCK_SIZE];
	int err = bdev_read(r->dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE);

	if (!err)
		err = bdev_read(r->dev, twin * XN_BLOCK_SIZE, bytes + XN_BLOCK_SIZE, XN_BLOCK_SIZE);
	for (unsigned i = 0; !err && i < XN_CAT_ENTRIES_BLOCK; i++) {
		const uint8_t *sector = bytes + (1 + i) * XN_SECTOR_SIZE;
		struct xn_template_entry entry;
		struct own_place image = { .kind = PLACE_TEMPLATE };

		if (!read_template(&r->out->super, sector, sector + XN_BLOCK_SIZE,
				   index * XN_CAT_ENTRIES_BLOCK + i, &entry))
			continue;
		image.start = entry.image_start;
		image.count = entry.image_blocks;
		image.index = entry.id;
		err = place_add(r->out, &image);
	}
	return err;
}

static int add_catalogue(struct reading *r, enum xn_catalogue_kind kind)
{
	uint64_t block = r->out->super.catalogue[kind], twin = r->out->super.twin[kind];
	int err = 0;

	for (uint64_t i = 0; !err && block && i <= XN_ROOTS_MAX / XN_CAT_ENTRIES_BLOCK; i++) {
		struct own_place place = { .start = block,
					   .count = 1,
					   .kind = PLACE_CATALOGUE,
					   .catalogue = kind,
					   .index = i };
		struct xn_cat_link link = { 0 };

		err = place_add(r->out, &place);
		place.start = twin;
		place.is_twin = true;
		if (!err)
			err = place_add(r->out, &place);
		if (!err && kind == XN_CAT_TEMPLATES)
			err = add_images(r, block, twin, i);
		if (!err)
			err = read_link(r, block, twin, &link);
		block = link.next;
		twin = link.next_twin;
	}
	return err;
}

int own_places_read(const struct image *image, struct own_places *out)
{
	struct reading r = { .out = out };
	int err;

	*out = (struct own_places){ 0 };
	err = bdev_open(image_name(image), BDEV_OPEN_RDONLY, 0, &r.dev);
	if (err)
		return err;
	err = found_super(r.dev, &out->super, NULL);
	if (!err)
		err = add_fixed(out);
	for (int kind = 0; kind < XN_CAT_KINDS && !err; kind++)
		err = add_catalogue(&r, (enum xn_catalogue_kind)kind);
	bdev_close(r.dev);
	return err;
}

void own_places_fini(struct own_places *places)
{
	free(places->place);
	*places = (struct own_places){ 0 };
}
