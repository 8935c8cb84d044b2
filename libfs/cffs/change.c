/* SPDX-License-Identifier: MIT */
/*
 * Changing sectors.
 *
 *  (1) A change is a set of sectors, copied, edited, and given to XN in one
 *      update with what is taken and given up.
 *  (2) One sector is atomic by itself.  Several are made so by the intent log.
 */
#include "tree.h"

#include <assert.h>
#include <string.h>

bool cffs_txn_edit(struct cffs_txn *txn, xn_blk_t object, uint32_t offset, const void *bytes,
		   uint32_t len)
{
	if (txn->n_edits == CFFS_TXN_EDITS)
		return false;
	txn->edits[txn->n_edits++] = (struct xn_edit){
		.object = object,
		.offset = offset,
		.len = len,
		.bytes = bytes,
	};
	return true;
}

static bool extent_add(struct xn_extent *list, uint32_t *n, xn_blk_t start, uint64_t count,
		       uint32_t type)
{
	if (*n == CFFS_TXN_EXTENTS)
		return false;
	list[(*n)++] = (struct xn_extent){ .start = start, .count = count, .type = type };
	return true;
}

bool cffs_txn_alloc(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t type)
{
	return extent_add(txn->allocs, &txn->n_allocs, start, count, type);
}

bool cffs_txn_free(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t type)
{
	txn->flags |= XN_REAP | XN_FREEING;
	return extent_add(txn->frees, &txn->n_frees, start, count, type);
}

bool cffs_txn_retype(struct cffs_txn *txn, xn_blk_t start, uint64_t count, uint32_t from,
		     uint32_t to)
{
	if (txn->n_retypes == CFFS_TXN_EXTENTS)
		return false;
	txn->retypes[txn->n_retypes++] = (struct xn_retype){
		.extent = { .start = start, .count = count, .type = from },
		.type = to,
	};
	return true;
}

int cffs_update(struct cffs *fs, struct cffs_txn *txn)
{
	struct xn_update update = {
		.edits = txn->edits,
		.allocs = txn->allocs,
		.frees = txn->frees,
		.retypes = txn->retypes,
		.n_edits = txn->n_edits,
		.n_allocs = txn->n_allocs,
		.n_frees = txn->n_frees,
		.n_retypes = txn->n_retypes,
		.flags = txn->flags,
	};

	return xn_update(fs->libfs.session, &update);
}

void cffs_change_init(struct cffs_change *change)
{
	change->n = 0;
	cffs_txn_init(&change->txn);
}

uint8_t *cffs_change_sector(struct cffs_change *change, struct cffs_hold *hold, uint32_t sector)
{
	struct cffs_change_sector *s;

	for (uint32_t i = 0; i < change->n; i++)
		if (change->s[i].hold == hold && change->s[i].sector == sector)
			return change->s[i].bytes;
	assert(change->n < CFFS_CHANGE_SECTORS);
	s = &change->s[change->n++];
	s->hold = hold;
	s->sector = sector;
	memcpy(s->bytes, hold->bytes + sector * CFFS_SECTOR, CFFS_SECTOR);
	return s->bytes;
}

static uint32_t type_of_class(const struct cffs *fs, uint32_t class)
{
	switch (class) {
	case CFFS_CLASS_DATA: return XN_DATA;
	case CFFS_CLASS_UNWR: return XN_RESERVED;
	case CFFS_CLASS_DIR: return fs->type[CFFS_T_DIR];
	case CFFS_CLASS_NODE: return fs->type[CFFS_T_EXT];
	default: return fs->type[CFFS_T_RAW];
	}
}

void cffs_change_free_body(struct cffs *fs, struct cffs_change *change,
			   const struct cffs_body *body)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		if (body->slot[i].class)
			cffs_txn_free(&change->txn, body->slot[i].start, body->slot[i].count,
				      type_of_class(fs, body->slot[i].class));
}

int cffs_change_apply(struct cffs *fs, struct cffs_change *change)
{
	for (uint32_t i = 0; i < change->n; i++) {
		struct cffs_change_sector *s = &change->s[i];

		cffs_sector_seal(s->bytes);
		cffs_txn_edit(&change->txn, s->hold->object, s->sector * CFFS_SECTOR, s->bytes,
			      CFFS_SECTOR);
	}
	if (change->n > 1)
		change->txn.flags |= XN_ATOMIC;
	return cffs_update(fs, &change->txn);
}
