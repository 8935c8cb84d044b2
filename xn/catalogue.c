/* SPDX-License-Identifier: MIT */
/*
 * Catalogues on disk: chains of blocks with twins.
 *
 *  (1) Changing an entry is one sector write, atomic on its own; the twin serves
 *      when the medium fails, and is written right after, or at the next opening
 *      after a crash.
 *  (2) A chain grows at its end: the new block is stable, and shown in use by
 *      the map on disk, before the last link names it.
 *  (3) Slots are given out in order and never again.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 200000u /* blocks: 2^20 roots need 149,797 */

static bool sector_empty(const uint8_t *sector)
{
	for (unsigned i = 0; i < XN_SECTOR_SIZE; i++) {
		if (sector[i])
			return false;
	}
	return true;
}

/* Sequence number of an entry's sector; false: damaged. */
static bool entry_seq(const struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot,
		      const void *sector, uint64_t *seq)
{
	struct xn_template_entry tmpl = { 0 };
	struct xn_root_entry root = { 0 };
	struct xn_principal_entry principal = { 0 };
	int err = 0;

	switch (kind) {
	case XN_CAT_TEMPLATES:
		err = xn_template_entry_decode(&xn->super, slot, sector, &tmpl);
		*seq = tmpl.seq;
		break;
	case XN_CAT_ROOTS:
		err = xn_root_entry_decode(&xn->super, slot, sector, &root);
		*seq = root.seq;
		break;
	default:
		err = xn_principal_entry_decode(&xn->super, slot, sector, &principal);
		*seq = principal.seq;
		break;
	}
	return err == 0;
}

static int read_both(struct xn *xn, xn_blk_t block, xn_blk_t twin, uint8_t *a, uint8_t *b)
{
	int err_a = io_read_blocks(xn, block, 1, a);
	int err_b = io_read_blocks(xn, twin, 1, b);

	if (err_a)
		memset(a, 0xff, XN_BLOCK_SIZE);
	if (err_b)
		memset(b, 0xff, XN_BLOCK_SIZE);
	return err_a && err_b ? XN_EIO : 0;
}

static bool link_ok(const struct xn *xn, const struct xn_cat_link *link, uint32_t kind,
		    uint64_t index, xn_blk_t block, xn_blk_t twin)
{
	return link->kind == kind && link->index == index && link->self == block &&
	       link->twin == twin && link->next < xn->super.block_count &&
	       link->next_twin < xn->super.block_count &&
	       (link->next != 0) == (link->next_twin != 0);
}

/*
 * A crash between the two writes left one of them behind: bring it up to date, so that it serves
 * when the other is lost.  Failing is no harm; an unknown outcome stops the engine, as always.
 */
static void catch_up(struct xn *xn, uint64_t offset, const void *sector)
{
	if (xn->writable && !xn->was_clean)
		device_write(xn, offset, sector, XN_SECTOR_SIZE);
}

/* The link sector of a block or its twin, whichever is valid and newer. */
static int link_choose(struct xn *xn, uint32_t kind, uint64_t index, xn_blk_t block, xn_blk_t twin,
		       const uint8_t *a, const uint8_t *b, struct xn_cat_link *out)
{
	struct xn_cat_link x, y;
	bool ok_x =
		!xn_cat_link_decode(&xn->super, a, &x) && link_ok(xn, &x, kind, index, block, twin);
	bool ok_y =
		!xn_cat_link_decode(&xn->super, b, &y) && link_ok(xn, &y, kind, index, block, twin);

	if (!ok_x && !ok_y)
		return XN_EDAMAGED;
	if (!ok_x || !ok_y)
		xn->damaged = true;
	*out = ok_x && (!ok_y || x.seq >= y.seq) ? x : y;
	if (ok_x && ok_y && x.seq != y.seq)
		catch_up(xn, (x.seq > y.seq ? twin : block) * XN_BLOCK_SIZE, x.seq > y.seq ? a : b);
	return 0;
}

static int chain_append(struct catalogue *cat, const struct xn_cat_link *link)
{
	struct xn_cat_link *links = realloc(cat->links, (cat->n_blocks + 1) * sizeof(*links));

	if (!links)
		return -ENOMEM;
	cat->links = links;
	links[cat->n_blocks++] = *link;
	return 0;
}

static int chain_load(struct xn *xn, enum xn_catalogue_kind kind)
{
	struct catalogue *cat = &xn->catalogue[kind];
	xn_blk_t block = xn->super.catalogue[kind], twin = xn->super.twin[kind];
	uint8_t *bytes = malloc(2 * XN_BLOCK_SIZE);
	int err = bytes ? 0 : -ENOMEM;

	while (!err && block != 0) {
		struct xn_cat_link link;

		if (cat->n_blocks >= CHAIN_MAX) {
			err = XN_EDAMAGED;
			break;
		}
		err = read_both(xn, block, twin, bytes, bytes + XN_BLOCK_SIZE);
		if (!err)
			err = link_choose(xn, kind, cat->n_blocks, block, twin, bytes,
					  bytes + XN_BLOCK_SIZE, &link);
		if (!err)
			err = chain_append(cat, &link);
		block = err ? 0 : link.next;
		twin = err ? 0 : link.next_twin;
	}
	free(bytes);
	return err;
}

int catalogue_load(struct xn *xn)
{
	int err = 0;

	for (unsigned kind = 0; kind < XN_CAT_KINDS && !err; kind++)
		err = chain_load(xn, kind);
	return err;
}

void catalogue_fini(struct xn *xn)
{
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++)
		free(xn->catalogue[kind].links);
}

uint64_t catalogue_capacity(const struct xn *xn, enum xn_catalogue_kind kind)
{
	return xn->catalogue[kind].n_blocks * XN_CAT_ENTRIES_BLOCK;
}

static uint64_t slot_offset(xn_blk_t block, uint64_t slot)
{
	return block * XN_BLOCK_SIZE + (1 + slot % XN_CAT_ENTRIES_BLOCK) * XN_SECTOR_SIZE;
}

/*
 * The valid, newest bytes of a slot.  A slot damaged on both sides is XN_EDAMAGED,
 * an empty one all zero.
 */
int catalogue_read(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot, void *sector)
{
	struct catalogue *cat = &xn->catalogue[kind];
	const struct xn_cat_link *link = &cat->links[slot / XN_CAT_ENTRIES_BLOCK];
	uint8_t twin[XN_SECTOR_SIZE];
	uint64_t seq_a = 0, seq_b = 0;
	bool a = !bdev_read(xn->dev, slot_offset(link->self, slot), sector, XN_SECTOR_SIZE) &&
		 entry_seq(xn, kind, slot, sector, &seq_a);
	bool b = !bdev_read(xn->dev, slot_offset(link->twin, slot), twin, sizeof(twin)) &&
		 entry_seq(xn, kind, slot, twin, &seq_b);

	if (!a || !b)
		xn->damaged = true;
	if (cat->n_slots <= slot && (!a || !b || !sector_empty(sector) || !sector_empty(twin)))
		cat->n_slots = slot + 1;
	if (!a && !b)
		return XN_EDAMAGED;
	if (b && (!a || seq_b > seq_a))
		memcpy(sector, twin, sizeof(twin));
	if (a && b && seq_a != seq_b)
		catch_up(xn, slot_offset(seq_a > seq_b ? link->twin : link->self, slot), sector);
	return 0;
}

/* ---- changes; called with the admin lock, without the lock ---- */

int flush_claims(struct xn *xn)
{
	int err;

	pthread_mutex_lock(&xn->lock);
	wave_begin(xn);
	err = wave_flush(xn, MAP_CLAIMS);
	wave_end(xn);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/* The first copy is there and counts; a twin that stays behind is the next opening's to mend. */
static int twin_write(struct xn *xn, uint64_t offset, const void *sector)
{
	int err = device_write(xn, offset, sector, XN_SECTOR_SIZE);

	return err == XN_EIO ? own_blocks_doubtful(xn, 0) : err;
}

static int link_write(struct xn *xn, const struct xn_cat_link *link)
{
	uint8_t sector[XN_SECTOR_SIZE];
	int err;

	xn_cat_link_encode(&xn->super, link, sector);
	err = device_write(xn, link->self * XN_BLOCK_SIZE, sector, XN_SECTOR_SIZE);
	return err ? err : twin_write(xn, link->twin * XN_BLOCK_SIZE, sector);
}

/* A new last block and its twin, stable on disk and named by nothing yet. */
static int chain_block(struct xn *xn, const struct xn_cat_link *last, struct xn_cat_link *link)
{
	uint8_t *block = calloc(1, XN_BLOCK_SIZE);
	int err = block ? take_own_blocks(xn, last->self, 1, &link->self) : -ENOMEM;

	if (err)
		goto free_block;
	err = take_own_blocks(xn, last->twin, 1, &link->twin);
	if (err)
		goto give_self;
	xn_cat_link_encode(&xn->super, link, block);
	err = device_write(xn, link->self * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE);
	if (!err)
		err = device_write(xn, link->twin * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE);
	if (!err)
		err = device_flush(xn);
	if (!err)
		goto free_block;
	give_own_blocks(xn, link->twin, 1);
give_self:
	give_own_blocks(xn, link->self, 1);
free_block:
	free(block);
	return err;
}

static int chain_grow(struct xn *xn, enum xn_catalogue_kind kind)
{
	struct catalogue *cat = &xn->catalogue[kind];
	struct xn_cat_link *last = &cat->links[cat->n_blocks - 1];
	struct xn_cat_link link = { .kind = kind, .index = (uint32_t)cat->n_blocks, .seq = 1 };
	struct xn_cat_link changed = *last;
	int err = cat->n_blocks >= CHAIN_MAX ? XN_EFULLCATALOGUE : chain_block(xn, last, &link);

	if (err)
		return err;
	changed.seq++;
	changed.next = link.self;
	changed.next_twin = link.twin;
	err = link_write(xn, &changed);
	if (!err)
		err = device_flush(xn);
	if (err)
		return own_blocks_doubtful(xn, err);
	*last = changed;
	return chain_append(cat, &link);
}

/* Make sure that the chain has a place for `slot`. */
int catalogue_reserve(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot)
{
	int err = 0;

	while (!err && catalogue_capacity(xn, kind) <= slot)
		err = chain_grow(xn, kind);
	return err;
}

/* Durable when it returns. */
int catalogue_write(struct xn *xn, enum xn_catalogue_kind kind, uint64_t slot, const void *sector)
{
	struct catalogue *cat = &xn->catalogue[kind];
	const struct xn_cat_link *link = &cat->links[slot / XN_CAT_ENTRIES_BLOCK];
	int err = device_write(xn, slot_offset(link->self, slot), sector, XN_SECTOR_SIZE);

	if (!err)
		err = device_flush(xn);
	if (!err)
		err = twin_write(xn, slot_offset(link->twin, slot), sector);
	if (!err)
		err = device_flush(xn);
	if (!err && cat->n_slots <= slot)
		cat->n_slots = slot + 1;
	return err;
}
