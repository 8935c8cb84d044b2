/* SPDX-License-Identifier: MIT */
/*
 * The catalogues: chains of blocks, each with a twin.
 *
 *  (1) Every sector exists twice; of two valid ones the higher seq counts.
 *  (2) A sector is restored only from its twin, never from a guess.
 *  (3) A chain ends where its link ends or is lost; the place in the chain, which
 *      every link repeats, bounds its length.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[XN_CAT_KINDS] = { "templates", "roots", "principals" };

/* One block of a chain and its twin, as read. */
struct pair {
	enum xn_catalogue_kind kind;
	uint32_t index;
	uint64_t block[2];
	uint8_t bytes[2][XN_BLOCK_SIZE];
};

union entry {
	struct xn_template_entry template;
	struct xn_root_entry root;
	struct xn_principal_entry principal;
};

static int entry_decode(const struct fsck *f, enum xn_catalogue_kind kind, uint64_t slot,
			const void *sector, union entry *entry, uint64_t *seq)
{
	int err;

	switch (kind) {
	case XN_CAT_TEMPLATES:
		err = xn_template_entry_decode(&f->super, slot, sector, &entry->template);
		*seq = entry->template.seq;
		return err;
	case XN_CAT_ROOTS:
		err = xn_root_entry_decode(&f->super, slot, sector, &entry->root);
		*seq = entry->root.seq;
		return err;
	default:
		err = xn_principal_entry_decode(&f->super, slot, sector, &entry->principal);
		*seq = entry->principal.seq;
		return err;
	}
}

/* Is that sector of the pair's copy `side` valid in this place, and how new? */
static bool sector_valid(const struct fsck *f, const struct pair *pair, unsigned side,
			 uint32_t sector, uint64_t *seq)
{
	const uint8_t *bytes = pair->bytes[side] + (size_t)sector * XN_SECTOR_SIZE;
	struct xn_cat_link link;
	union entry entry;

	memset(&entry, 0, sizeof(entry));
	*seq = 0;
	if (sector > 0)
		return entry_decode(f, pair->kind,
				    (uint64_t)pair->index * XN_CAT_ENTRIES_BLOCK + sector - 1,
				    bytes, &entry, seq) == 0;
	if (xn_cat_link_decode(&f->super, bytes, &link))
		return false;
	*seq = link.seq;
	return link.kind == (uint32_t)pair->kind && link.index == pair->index &&
	       link.self == pair->block[0] && link.twin == pair->block[1];
}

/* Which copy of a sector counts: 0, 1, or -1 when neither is valid. */
static int sector_choose(const struct fsck *f, const struct pair *pair, uint32_t sector,
			 bool valid[2])
{
	uint64_t seq[2];

	for (unsigned side = 0; side < 2; side++)
		valid[side] = sector_valid(f, pair, side, sector, &seq[side]);
	if (!valid[0] && !valid[1])
		return -1;
	if (!valid[0] || !valid[1])
		return valid[1];
	return seq[1] > seq[0];
}

/* Choose, report a copy that lags behind or is damaged, restore it when granted. */
static int sector_settle(struct fsck *f, struct pair *pair, uint32_t sector)
{
	size_t at = (size_t)sector * XN_SECTOR_SIZE;
	bool valid[2];
	int good = sector_choose(f, pair, sector, valid);
	int bad = !good;

	if (good < 0 ||
	    (valid[bad] && memcmp(pair->bytes[0] + at, pair->bytes[1] + at, XN_SECTOR_SIZE) == 0))
		return good;
	if (fsck_found(f->check, valid[bad] ? CAT_SECTOR_OLD : CAT_SECTOR_DAMAGED,
		       &(struct fsck_note){ .block = pair->block[bad],
					    .other = pair->block[good],
					    .count = sector,
					    .name = kind_names[pair->kind] }) &&
	    fsck_write(f, pair->block[bad] * XN_BLOCK_SIZE + at, pair->bytes[good] + at,
		       XN_SECTOR_SIZE))
		check_repair_failed(f->check);
	return good;
}

static void part_lost(struct fsck *f, enum xn_catalogue_kind kind)
{
	f->complete = false;
	f->chain_lost = true;
	f->templates_lost |= kind == XN_CAT_TEMPLATES;
}

static void pair_read(struct fsck *f, struct pair *pair)
{
	/* No entry is made of ones, while zeroes would be one that is free. */
	for (unsigned side = 0; side < 2; side++)
		fsck_salvage(f, pair->block[side], 1, 0xff, pair->bytes[side]);
}

/* ---- entries into memory ---- */

int fsck_type_slot(struct fsck *f, uint64_t slot, struct type **out)
{
	size_t cap = (slot + 64) / 64 * 64;
	struct type *types;

	if (cap > f->cap_types) {
		types = realloc(f->types, cap * sizeof(*types));
		if (!types)
			return -ENOMEM;
		memset(types + f->cap_types, 0, (cap - f->cap_types) * sizeof(*types));
		f->types = types;
		f->cap_types = cap;
	}
	if (slot >= f->n_types)
		f->n_types = slot + 1;
	*out = &f->types[slot];
	return 0;
}

static int take_template(struct fsck *f, const struct pair *pair, uint32_t sector, uint64_t slot,
			 const struct xn_template_entry *entry)
{
	struct type *type;
	int err = fsck_type_slot(f, slot, &type);

	if (err)
		return err;
	type->entry = *entry;
	memcpy(type->home, pair->block, sizeof(type->home));
	type->sector = sector;
	return 0;
}

static int take_root(struct fsck *f, const struct pair *pair, uint32_t sector,
		     const struct xn_root_entry *entry)
{
	struct root *root;

	if (fsck_array_grow((void **)&f->roots, f->n_roots, &f->cap_roots, sizeof(*f->roots)))
		return -ENOMEM;
	root = &f->roots[f->n_roots++];
	memset(root, 0, sizeof(*root));
	root->entry = *entry;
	root->home[0] = pair->block[0];
	root->home[1] = pair->block[1];
	root->sector = sector;
	return 0;
}

static int take_principal(struct fsck *f, const struct xn_principal_entry *entry)
{
	if (fsck_array_grow((void **)&f->principals, f->n_principals, &f->cap_principals,
			    sizeof(*f->principals)))
		return -ENOMEM;
	f->principals[f->n_principals++] = entry->uid;
	return 0;
}

static int take_entry(struct fsck *f, const struct pair *pair, uint32_t sector, int side)
{
	uint64_t slot = (uint64_t)pair->index * XN_CAT_ENTRIES_BLOCK + sector - 1, seq;
	union entry entry;

	memset(&entry, 0, sizeof(entry));
	if (entry_decode(f, pair->kind, slot, pair->bytes[side] + (size_t)sector * XN_SECTOR_SIZE,
			 &entry, &seq))
		return 0; /* beyond the last slot */
	if (pair->kind == XN_CAT_TEMPLATES && entry.template.state == XN_ENTRY_USED)
		return take_template(f, pair, sector, slot, &entry.template);
	if (pair->kind == XN_CAT_ROOTS && entry.root.state == XN_ENTRY_USED)
		return take_root(f, pair, sector, &entry.root);
	if (pair->kind == XN_CAT_PRINCIPALS && entry.principal.state == XN_ENTRY_USED)
		return take_principal(f, &entry.principal);
	return 0;
}

static uint64_t slots_of(enum xn_catalogue_kind kind)
{
	return kind == XN_CAT_TEMPLATES ? XN_TEMPLATES_MAX : XN_ROOTS_MAX;
}

static int pair_take_entries(struct fsck *f, struct pair *pair)
{
	for (uint32_t sector = 1; sector <= XN_CAT_ENTRIES_BLOCK; sector++) {
		uint64_t slot = (uint64_t)pair->index * XN_CAT_ENTRIES_BLOCK + sector - 1;
		int side, err;

		if (slot >= slots_of(pair->kind))
			break;
		side = sector_settle(f, pair, sector);
		if (side < 0) {
			err = fsck_lost_add(
				f, &(struct lost_entry){ .kind = pair->kind,
							 .slot = slot,
							 .home = { pair->block[0], pair->block[1] },
							 .sector = sector });
			if (err)
				return err;
			continue;
		}
		err = take_entry(f, pair, sector, side);
		if (err)
			return err;
	}
	return 0;
}

/* ---- chains ---- */

int fsck_claim_xn(struct fsck *f, uint64_t start, uint64_t count)
{
	if (start >= f->limit || count > f->limit - start || fsck_super_owns(f, start, count) ||
	    blockset_count(&f->seen, start, count))
		return 1;
	if (blockset_add(&f->seen, start, count) || blockset_add(&f->own, start, count))
		return -ENOMEM;
	return 0;
}

/* The blocks of a link that are not at computed places become XN's. */
static int pair_claim(struct fsck *f, const struct pair *pair)
{
	for (unsigned side = 0; pair->index > 0 && side < 2; side++) {
		int err = fsck_claim_xn(f, pair->block[side], 1);

		if (err < 0)
			return err;
		if (err == 0)
			continue;
		part_lost(f, pair->kind);
		fsck_found(f->check, CAT_BLOCK_SHARED,
			   &(struct fsck_note){ .block = pair->block[side],
						.name = kind_names[pair->kind] });
		return 1;
	}
	return 0;
}

/* Step to the next pair of the chain; false at its end. */
static bool pair_next(struct fsck *f, struct pair *pair, int side)
{
	struct xn_cat_link link;

	if (xn_cat_link_decode(&f->super, pair->bytes[side], &link) || link.next == 0)
		return false;
	pair->index++;
	pair->block[0] = link.next;
	pair->block[1] = link.next_twin;
	return true;
}

static void pair_start(const struct fsck *f, struct pair *pair, enum xn_catalogue_kind kind)
{
	memset(pair, 0, sizeof(*pair));
	pair->kind = kind;
	pair->block[0] = f->super.catalogue[kind];
	pair->block[1] = f->super.twin[kind];
}

static int chain_read(struct fsck *f, struct pair *pair)
{
	int side, err;

	do {
		if (fsck_stopped(f))
			return 0;
		err = pair_claim(f, pair);
		if (err)
			return err < 0 ? err : 0;
		pair_read(f, pair);
		side = sector_settle(f, pair, 0);
		if (side < 0) {
			part_lost(f, pair->kind);
			fsck_found(f->check, CAT_LINK_LOST,
				   &(struct fsck_note){ .block = pair->block[0],
							.other = pair->block[1],
							.name = kind_names[pair->kind] });
		}
		/* Entries are where they are, also when the chain cannot go on. */
		err = pair_take_entries(f, pair);
		if (err)
			return err;
	} while (side >= 0 && pair_next(f, pair, side));
	return 0;
}

int fsck_catalogues_read(struct fsck *f)
{
	struct pair *pair = malloc(sizeof(*pair));
	int err = pair ? 0 : -ENOMEM;

	for (unsigned kind = 0; !err && kind < XN_CAT_KINDS; kind++) {
		pair_start(f, pair, (enum xn_catalogue_kind)kind);
		err = chain_read(f, pair);
	}
	free(pair);
	return err;
}

static uint32_t pair_count_roots(const struct fsck *f, const struct pair *pair)
{
	uint32_t n = 0;

	for (uint32_t sector = 1; sector <= XN_CAT_ENTRIES_BLOCK; sector++) {
		uint64_t slot = (uint64_t)pair->index * XN_CAT_ENTRIES_BLOCK + sector - 1;
		struct xn_root_entry entry;
		bool valid[2];
		int side = sector_choose(f, pair, sector, valid);

		if (side >= 0 &&
		    xn_root_entry_decode(&f->super, slot,
					 pair->bytes[side] + sector * XN_SECTOR_SIZE, &entry) == 0)
			n += entry.state == XN_ENTRY_USED;
	}
	return n;
}

uint32_t fsck_catalogue_count_roots(struct fsck *f)
{
	struct pair *pair = malloc(sizeof(*pair));
	uint32_t n = 0;
	bool valid[2];
	int side;

	if (!pair)
		return 0;
	pair_start(f, pair, XN_CAT_ROOTS);
	do {
		pair_read(f, pair);
		side = sector_choose(f, pair, 0, valid);
		n += pair_count_roots(f, pair);
	} while (side >= 0 && pair_next(f, pair, side));
	free(pair);
	return n;
}
