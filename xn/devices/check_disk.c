/* SPDX-License-Identifier: MIT */
/*
 * The structures that are XN's own, as a stranger reads them: superblock and copies,
 * maps, catalogues.
 *
 *  (1) A disk is adopted as it is: what is on it when we begin to look is taken for
 *      written and rightly owned, whatever it is.
 *  (2) Of a sector and its twin, and of the superblock's copies, the newest valid one
 *      counts, from the moment it is submitted; the one before counts too until that
 *      is stable.
 *  (3) A named block must be shown in use by every version of its map sector that may be
 *      on the medium, and a map that is written may show no named block free.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX   65536u
#define LINK_RECORD 0x80000000u /* + index: the link of that block, as a record of the catalogue */

static bool bit(const uint8_t *map, uint64_t at)
{
	return map[at / 8] >> (at % 8) & 1;
}

/* ---- chunks and maps ---- */

static void chunk_read_map(struct checker *checker, struct chunk *chunk)
{
	uint8_t bytes[XN_BLOCK_SIZE];

	memcpy(chunk->stable, chunk->fixed, sizeof(chunk->stable));
	if (chunk->index < checker->super_stable.high_water &&
	    !bdev_read(checker->stacked.below, xn_map_block(chunk->index) * XN_BLOCK_SIZE, bytes,
		       sizeof(bytes)))
		xn_map_decode(&checker->super, chunk->index, bytes, chunk->stable);
	memcpy(chunk->newest, chunk->stable, sizeof(chunk->newest));
	memcpy(chunk->all, chunk->stable, sizeof(chunk->all));
}

struct chunk *ck_chunk_get(struct checker *checker, uint64_t index)
{
	struct chunk *chunk = checker->chunks[index];

	if (chunk)
		return chunk;
	chunk = ck_need(calloc(1, sizeof(*chunk)));
	chunk->index = index;
	xn_map_fresh(&checker->super, index, chunk->fixed);
	chunk_read_map(checker, chunk);
	checker->chunks[index] = chunk;
	return chunk;
}

bool ck_map_shows(struct checker *checker, uint64_t block)
{
	const struct chunk *chunk = ck_chunk_get(checker, block / XN_CHUNK_BLOCKS);

	if (chunk->index >= checker->super_stable.high_water ||
	    chunk->index >= checker->super.high_water)
		return bit(chunk->fixed, block % XN_CHUNK_BLOCKS);
	return bit(chunk->all, block % XN_CHUNK_BLOCKS);
}

/* In use in the stable version and in all that were submitted after it. */
static void sector_settle(struct checker *checker, struct chunk *chunk, unsigned index)
{
	const size_t len = XN_MAP_SECTOR_BITS / 8;
	uint8_t *all = chunk->all + index * len;
	const struct write *write;
	const struct atom *atom;

	memcpy(all, chunk->stable + index * len, len);
	TAILQ_FOREACH(write, &checker->writes, link)
	{
		TAILQ_FOREACH(atom, &write->atoms, link)
		{
			if (atom->kind != ATOM_MAP || atom->map.chunk != chunk ||
			    atom->map.index != index)
				continue;
			for (size_t i = 0; i < len; i++)
				all[i] &= atom->map.bits[i];
		}
	}
}

void ck_map_stable(struct checker *checker, struct atom *atom)
{
	struct chunk *chunk = atom->map.chunk;
	const size_t len = XN_MAP_SECTOR_BITS / 8;

	memcpy(chunk->stable + atom->map.index * len, atom->map.bits, len);
	atom->kind = ATOM_CLAIMS; /* it is the stable one now, and not one more */
	sector_settle(checker, chunk, atom->map.index);
}

/* Nothing that is named may be shown free. */
static void sector_check(struct checker *checker, struct chunk *chunk, unsigned index,
			 const uint8_t *bits)
{
	for (unsigned i = 0; i < XN_MAP_SECTOR_BITS; i++) {
		unsigned at = index * XN_MAP_SECTOR_BITS + i;

		if (bit(bits, i) || (!bit(chunk->newest, at) && !chunk->blocks[at].claims))
			continue;
		if (!chunk->blocks[at].claims && !bit(chunk->fixed, at))
			continue;
		if (ck_log_shows(checker, NULL, chunk->index * XN_CHUNK_BLOCKS + at))
			continue; /* a record that counts says otherwise */
		ck_violation(
			checker, BDEV_CHECK_MAP,
			"the map is written and shows block %llu free, which is, or may be, named",
			(unsigned long long)(chunk->index * XN_CHUNK_BLOCKS + at));
		return;
	}
}

static void map_sector_written(struct checker *checker, struct chunk *chunk, unsigned index,
			       const uint8_t *bits, struct write *write)
{
	const size_t len = XN_MAP_SECTOR_BITS / 8;
	uint64_t sector = xn_map_block(chunk->index) * XN_BLOCK_SECTORS + index;
	struct atom *atom;

	if (!memcmp(chunk->newest + index * len, bits, len))
		return;
	sector_check(checker, chunk, index, bits);
	atom = ck_atom_get(write, sector);
	atom->kind = ATOM_MAP;
	atom->map.chunk = chunk;
	atom->map.index = index;
	memcpy(atom->map.bits, bits, len);
	for (size_t i = 0; i < len; i++)
		chunk->all[index * len + i] &= bits[i];
	memcpy(chunk->newest + index * len, bits, len);
}

void ck_map_written(struct checker *checker, uint64_t index, const uint8_t *bytes, unsigned sectors,
		    struct write *write)
{
	struct chunk *chunk = ck_chunk_get(checker, index);
	uint8_t bitmap[XN_MAP_CHUNK_BYTES];

	if (xn_map_decode(&checker->super, index, bytes, bitmap) >
	    XN_BLOCK_SECTORS - (unsigned)__builtin_popcount(sectors))
		ck_violation(checker, BDEV_CHECK_MAP,
			     "the map of chunk %llu is written and is none",
			     (unsigned long long)index);
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++)
		if (sectors & 1u << i)
			map_sector_written(checker, chunk, i, bitmap + i * XN_MAP_SECTOR_BITS / 8,
					   write);
}

/* ---- superblock ---- */

bool ck_is_super_place(const struct checker *checker, uint64_t block)
{
	for (unsigned i = 0; i < checker->n_places; i++)
		if (checker->places[i] == block)
			return true;
	return false;
}

/* The disk's size, and what follows from it. */
static void super_measure(struct checker *checker)
{
	uint64_t n = xn_chunk_count(checker->super.block_count);

	checker->n_places = xn_super_places(checker->super.block_count, checker->places);
	if (n > checker->n_chunks) {
		checker->chunks = ck_need(realloc(checker->chunks, n * sizeof(struct chunk *)));
		memset(checker->chunks + checker->n_chunks, 0,
		       (n - checker->n_chunks) * sizeof(struct chunk *));
		checker->n_chunks = n;
	}
	for (uint64_t i = 0; i < n; i++)
		if (checker->chunks[i])
			xn_map_fresh(&checker->super, i, checker->chunks[i]->fixed);
}

void ck_super_stable(struct checker *checker, struct atom *atom)
{
	if (atom->super.generation >= checker->super_stable.generation)
		checker->super_stable = atom->super;
}

/* "Clean" is said when everything else is on the medium. */
static void check_clean(struct checker *checker, const struct xn_super *super)
{
	const struct write *write;

	if (super->state != XN_STATE_CLEAN || checker->super.state == XN_STATE_CLEAN)
		return;
	TAILQ_FOREACH(write, &checker->writes, link)
	{
		uint64_t block = write->offset / XN_BLOCK_SIZE;

		if (write->ignored || ck_is_super_place(checker, block))
			continue;
		ck_violation(
			checker, BDEV_CHECK_STATE,
			"the superblock says clean, and a write of block %llu is not yet stable",
			(unsigned long long)block);
		return;
	}
}

static void super_newer(struct checker *checker, const struct xn_super *super)
{
	check_clean(checker, super);
	if (super->mount_epoch < checker->super.mount_epoch)
		ck_violation(checker, BDEV_CHECK_STATE,
			     "a superblock of epoch %llu is written over one of %llu",
			     (unsigned long long)super->mount_epoch,
			     (unsigned long long)checker->super.mount_epoch);
	checker->super = *super;
	super_measure(checker);
}

void ck_super_written(struct checker *checker, uint64_t block, const uint8_t *bytes,
		      unsigned sectors, struct write *write)
{
	struct xn_super_disk disk;
	struct xn_super super;
	struct atom *atom;

	if (!(sectors & 1))
		return;
	memcpy(&disk, bytes, sizeof(disk));
	if (xn_super_decode(&disk, &super) || memcmp(super.uuid, checker->super.uuid, 16)) {
		if (block == 0)
			checker->state = CHECKER_FOREIGN; /* it is being formatted */
		return;
	}
	if (super.generation > checker->super.generation)
		super_newer(checker, &super);
	else if (super.generation < checker->super.generation)
		ck_violation(checker, BDEV_CHECK_STATE,
			     "superblock %llu is written over generation %llu",
			     (unsigned long long)super.generation,
			     (unsigned long long)checker->super.generation);
	atom = ck_atom_get(write, block * XN_BLOCK_SECTORS);
	atom->kind = ATOM_SUPER;
	atom->super = super;
}

/* ---- catalogues ---- */

static void chain_attach(struct checker *checker, unsigned kind, uint64_t self, uint64_t twin,
			 struct atom *atom);

static void chain_object(struct checker *checker, unsigned kind, unsigned index, uint64_t block)
{
	struct object *object;

	if (!ck_inside(checker, block, 1))
		return;
	object = ck_object_new(OBJECT_CHAIN, block, 1);
	object->catalogue = kind;
	object->index = index;
	if (ck_block_get(checker, block)->object)
		ck_object_free(object); /* two places for one block: it is somebody's already */
	else
		ck_block_get(checker, block)->object = object;
}

static void named_change(struct checker *checker, unsigned kind, uint32_t record,
			 const struct named *before, const struct named *after, struct atom *atom)
{
	struct object *owner = checker->chains[kind].object;

	if (before->start == after->start && before->count == after->count &&
	    before->type == after->type)
		return;
	if (before->count && atom)
		ck_claim_drop(checker, owner, record, before, atom);
	if (after->count)
		ck_claim_add(checker, owner, record, after, atom);
	ck_claims_settle(checker);
}

static void link_changed(struct checker *checker, unsigned kind, struct chain_block *block,
			 unsigned index, const struct xn_cat_link *link, struct atom *atom)
{
	struct named none = { 0 };
	struct named next = { link->next, link->next ? 1 : 0, TYPE_OWN };
	struct named twin = { link->next_twin, link->next_twin ? 1 : 0, TYPE_OWN };
	bool grows = !block->next && link->next;

	block->link_seq = link->seq;
	if (!grows)
		return; /* chains only grow */
	block->next = link->next;
	block->next_twin = link->next_twin;
	named_change(checker, kind, LINK_RECORD | index, &none, &next, atom);
	named_change(checker, kind, LINK_RECORD | index, &none, &twin, atom);
	chain_attach(checker, kind, link->next, link->next_twin, atom);
}

static uint64_t template_named(struct checker *checker, uint64_t slot, const uint8_t *sector,
			       struct named *named)
{
	struct xn_template_entry entry;

	if (xn_template_entry_decode(&checker->super, slot, sector, &entry))
		return 0;
	if (entry.state == XN_ENTRY_USED) {
		*named = (struct named){ entry.image_start, entry.image_blocks, TYPE_OWN };
		if (ck_type_load(checker, &entry) && !checker->adopting)
			ck_violation(checker, BDEV_CHECK_OWNS, "the image of template %llu is none",
				     (unsigned long long)entry.id);
	}
	return entry.seq + 1;
}

static uint64_t root_named(struct checker *checker, uint64_t slot, const uint8_t *sector,
			   struct named *named)
{
	struct xn_root_entry entry;
	const struct type *type;

	if (xn_root_entry_decode(&checker->super, slot, sector, &entry))
		return 0;
	type = ck_type_find(checker, (uint32_t)entry.type);
	if (entry.state == XN_ENTRY_USED && type)
		*named = (struct named){ entry.object, type->blocks, (uint32_t)entry.type };
	return entry.seq + 1;
}

/* What the entry in a sector names, and its sequence number + 1; 0: it is none. */
static uint64_t sector_named(struct checker *checker, unsigned kind, uint64_t slot,
			     const uint8_t *sector, struct named *named)
{
	*named = (struct named){ 0 };
	if (kind == XN_CAT_TEMPLATES)
		return template_named(checker, slot, sector, named);
	return kind == XN_CAT_ROOTS ? root_named(checker, slot, sector, named) : 0;
}

/* Sectors of one block of a chain, or of its twin: newer ones count. */
static void chain_apply(struct checker *checker, unsigned kind, unsigned index, uint64_t place,
			const uint8_t *bytes, unsigned sectors, struct write *write)
{
	struct chain_block *block = &checker->chains[kind].v[index];
	uint64_t base = place * XN_BLOCK_SECTORS;
	struct xn_cat_link link;
	struct named named, before;

	for (unsigned k = 0; k < XN_CAT_ENTRIES_BLOCK; k++) {
		const uint8_t *sector = bytes + (1 + k) * XN_SECTOR_SIZE;
		uint64_t slot = (uint64_t)index * XN_CAT_ENTRIES_BLOCK + k, seq;

		if (!(sectors & 2u << k))
			continue;
		seq = sector_named(checker, kind, slot, sector, &named);
		if (seq <= block->seq[k])
			continue;
		before = block->named[k];
		block->seq[k] = seq;
		block->named[k] = named;
		named_change(checker, kind, (uint32_t)slot + 1, &before, &named,
			     write ? ck_atom_get(write, base + 1 + k) : NULL);
	}
	/* Last, because a longer chain may move the array. */
	if ((sectors & 1) && !xn_cat_link_decode(&checker->super, bytes, &link) &&
	    link.kind == kind && link.index == index && link.seq > block->link_seq)
		link_changed(checker, kind, block, index, &link,
			     write ? ck_atom_get(write, base) : NULL);
}

void ck_chain_written(struct checker *checker, struct object *object, const uint8_t *bytes,
		      unsigned sectors, struct write *write)
{
	chain_apply(checker, object->catalogue, object->index, object->start, bytes, sectors,
		    write);
}

/* One more block of a chain, with its twin. */
static void chain_attach(struct checker *checker, unsigned kind, uint64_t self, uint64_t twin,
			 struct atom *atom)
{
	struct chain *chain = &checker->chains[kind];
	unsigned index = chain->n;
	uint64_t places[2] = { self, twin };
	uint8_t bytes[XN_BLOCK_SIZE];

	if (index >= CHAIN_MAX)
		return;
	chain->v = ck_need(realloc(chain->v, (index + 1) * sizeof(*chain->v)));
	chain->v[index] = (struct chain_block){ .self = self, .twin = twin };
	chain->n++;
	for (unsigned i = 0; i < 2; i++) {
		chain_object(checker, kind, index, places[i]);
		if (ck_inside(checker, places[i], 1) &&
		    !ck_newest_read(checker, places[i] * XN_BLOCK_SIZE, bytes, sizeof(bytes)))
			chain_apply(checker, kind, index, places[i], bytes, 0xff,
				    atom ? atom->write : NULL);
	}
}

/* ---- the whole disk ---- */

static void super_copy_read(struct checker *checker, uint64_t block, bool *found)
{
	struct xn_super_disk disk;
	struct xn_super super;

	if (bdev_read(checker->stacked.below, block * XN_BLOCK_SIZE, &disk, sizeof(disk)) ||
	    xn_super_decode(&disk, &super))
		return;
	if (!*found || super.generation > checker->super.generation)
		checker->super = super;
	*found = true;
}

bool ck_super_is_there(struct checker *checker)
{
	bool found = false;

	super_copy_read(checker, 0, &found);
	return found;
}

static bool super_find(struct checker *checker)
{
	struct bdev_info info;
	uint64_t places[3];
	bool found = false;
	unsigned n;

	bdev_info(checker->stacked.below, &info);
	super_copy_read(checker, 0, &found);
	n = xn_super_places(found ? checker->super.block_count : info.size / XN_BLOCK_SIZE, places);
	for (unsigned i = 0; i < n; i++)
		if (places[i] && (places[i] + 1) * XN_BLOCK_SIZE <= info.size)
			super_copy_read(checker, places[i], &found);
	return found && checker->super.block_count <= info.size / XN_BLOCK_SIZE;
}

static void block_forget(struct checker *checker, struct block *block)
{
	struct object *object = block->object;
	struct claim *claim;

	while ((claim = block->claims)) {
		block->claims = claim->next;
		free(claim);
	}
	if (!object)
		return;
	for (uint64_t b = object->start; b < object->start + object->blocks; b++)
		if (ck_block_get(checker, b)->object == object)
			ck_block_get(checker, b)->object = NULL;
	ck_object_free(object);
}

void ck_disk_forget(struct checker *checker)
{
	struct write *write;
	struct atom *atom;

	TAILQ_FOREACH(write, &checker->writes, link)
	{
		write->ignored = true;
		while ((atom = TAILQ_FIRST(&write->atoms))) {
			TAILQ_REMOVE(&write->atoms, atom, link);
			free(atom);
		}
	}
	for (uint64_t c = 0; c < checker->n_chunks; c++)
		for (unsigned b = 0; checker->chunks[c] && b < XN_CHUNK_BLOCKS; b++)
			block_forget(checker, &checker->chunks[c]->blocks[b]);
	for (uint64_t c = 0; c < checker->n_chunks; c++)
		free(checker->chunks[c]);
	free(checker->chunks);
	checker->chunks = NULL;
	checker->n_chunks = 0;
	for (unsigned k = 0; k < XN_CAT_KINDS; k++) {
		if (checker->chains[k].object)
			ck_object_free(checker->chains[k].object);
		free(checker->chains[k].v);
		checker->chains[k] = (struct chain){ 0 };
	}
	ck_log_forget(checker);
	ck_types_free(checker);
	checker->n_places = 0;
}

void ck_disk_load(struct checker *checker)
{
	ck_disk_forget(checker);
	memset(&checker->super, 0, sizeof(checker->super));
	checker->state = CHECKER_FOREIGN;
	if (!super_find(checker))
		return;
	checker->super_stable = checker->super;
	checker->state = CHECKER_LOADED;
	checker->adopting = true;
	super_measure(checker);
	for (unsigned k = 0; k < XN_CAT_KINDS; k++) {
		checker->chains[k].object = ck_object_new(OBJECT_CATALOGUE, 0, 0);
		checker->chains[k].object->catalogue = k;
	}
	ck_log_load(checker);
	for (unsigned k = 0; k < XN_CAT_KINDS; k++)
		chain_attach(checker, k, checker->super.catalogue[k], checker->super.twin[k], NULL);
	checker->adopting = false;
}
