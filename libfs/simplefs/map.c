/* SPDX-License-Identifier: MIT */
/*
 * Which block holds which part of a file.
 *
 *	block of the file       0 .. 11        direct, in the inode
 *	                       12 .. 523       ind1
 *	                      524 .. 262667    ind2 -> ind1
 *	                   262668 .. ~2^27     ind3 -> ind2 -> ind1
 *
 *  (1) Allocating is one xn_update: the new pointers, and the inode's count of
 *      blocks.  Freeing is one for each pointer block on the edge of the range;
 *      whole subtrees are handed to XN, which takes them apart (XN_REAP).
 *  (2) A pointer block that became empty stays until what is around it goes.
 *  (3) Depth is at most three by construction: the recursion below is bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simplefs.h"

/* Objects that one update frees: more than that go in several updates. */
#define FREES_MAX 48u

/* Blocks of the file below one pointer of an object at `level` (0: ind1). */
static uint64_t span_of(unsigned level)
{
	return level == 0 ? 1 : level == 1 ? SFS_SPAN1 : SFS_SPAN2;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static enum sfs_template type_of_level(unsigned level)
{
	return SFS_IND1 + level;
}

/* ---- looking ---- */

void sfs_leaf_put(struct sfs *fs, struct sfs_leaf *leaf)
{
	sfs_hold_put(fs, &leaf->hold);
	leaf->valid = false;
}

/* Which of the inode's trees maps `fblk`, and where in the file that tree begins. */
static int tree_of(uint64_t fblk, unsigned *tree, uint64_t *begin)
{
	uint64_t first = SIMPLEFS_N_DIRECT, span = SFS_SPAN1;

	for (unsigned i = 0; i < SIMPLEFS_N_IND; i++, span *= SIMPLEFS_IND_SLOTS) {
		if (fblk < first + span) {
			*tree = i;
			*begin = first;
			return 0;
		}
		first += span;
	}
	return -EFBIG;
}

/* A pointer to a pointer block, and who owns it: the inode (parent empty) or the block above. */
struct link {
	struct sfs_hold parent;
	uint32_t index; /* tree of the inode, or slot of the parent */
	unsigned level; /* of the block pointed at */
	xn_blk_t block; /* 0: not there */
};

/* Make the pointer block that the link misses. */
static int link_make(struct sfs *fs, struct sfs_inode *inode, struct link *link)
{
	xn_blk_t near = link->parent.object ? link->parent.object : inode->itab.object;
	struct sfs_fields before = inode->f;
	struct xn_extent block;
	unsigned tries = 0;
	int err;

	do {
		struct sfs_change change = { .allocs = &block, .n_allocs = 1 };
		le64_t pointer;

		inode->f = before;
		err = sfs_find_free(fs, near, 1, fs->type[type_of_level(link->level)], &block);
		if (err)
			return err;
		pointer = le64_make(block.start);
		inode->f.blocks++;
		if (link->parent.object)
			sfs_change_bytes(&change, link->parent.object,
					 link->index * sizeof(pointer), &pointer, sizeof(pointer));
		else
			inode->f.ind[link->index] = block.start;
		sfs_change_inode(&change, inode);
		err = sfs_change_apply(fs, &change);
	} while (sfs_lost_race(err, &tries));
	if (err)
		inode->f = before;
	else
		link->block = block.start;
	return err;
}

static int link_follow(struct sfs *fs, const struct sfs_inode *inode, const struct link *link,
		       struct sfs_hold *child)
{
	if (link->parent.object)
		return sfs_hold_get(fs, link->parent.object, link->index,
				    type_of_level(link->level), link->block, child);
	return sfs_hold_get(fs, inode->itab.object, inode->slot, type_of_level(link->level),
			    link->block, child);
}

/*
 * Go down from the inode to the ind1 that maps `fblk`.  A level that is missing
 * is made, or else the leaf is a hole as wide as that level: valid, but nothing
 * held.
 */
static int leaf_descend(struct sfs *fs, struct sfs_inode *inode, uint64_t fblk, bool make,
			struct sfs_leaf *leaf)
{
	struct sfs_hold child = { 0 };
	struct link link = { 0 };
	uint64_t begin = 0;
	unsigned tree = 0;
	int err;

	err = tree_of(fblk, &tree, &begin);
	link.index = tree;
	link.level = tree;
	link.block = err ? 0 : inode->f.ind[tree];
	while (!err) {
		uint64_t span = span_of(link.level);

		if (!link.block && make)
			err = link_make(fs, inode, &link);
		leaf->first = begin;
		leaf->count = span * SIMPLEFS_IND_SLOTS;
		if (err || !link.block)
			break;
		err = link_follow(fs, inode, &link, &child);
		sfs_hold_put(fs, &link.parent);
		if (err || link.level == 0)
			break;
		link.index = (uint32_t)((fblk - begin) / span);
		begin += link.index * span;
		link.block = sfs_hold_pointer(&child, 0, link.index);
		link.level--;
		link.parent = child;
		memset(&child, 0, sizeof(child));
	}
	sfs_hold_put(fs, &link.parent);
	leaf->hold = child;
	leaf->valid = !err;
	return err;
}

static int leaf_get(struct sfs *fs, struct sfs_inode *inode, uint64_t fblk, bool make,
		    struct sfs_leaf *leaf)
{
	if (leaf->valid && fblk >= leaf->first && fblk - leaf->first < leaf->count &&
	    (leaf->direct || leaf->hold.object || !make))
		return 0;
	sfs_leaf_put(fs, leaf);
	leaf->direct = fblk < SIMPLEFS_N_DIRECT;
	if (!leaf->direct)
		return leaf_descend(fs, inode, fblk, make, leaf);
	leaf->first = 0;
	leaf->count = SIMPLEFS_N_DIRECT;
	leaf->valid = true;
	return 0;
}

static xn_blk_t leaf_pointer(const struct sfs_inode *inode, const struct sfs_leaf *leaf,
			     uint64_t fblk)
{
	uint32_t slot = (uint32_t)(fblk - leaf->first);

	return leaf->direct ? inode->f.direct[slot] : sfs_hold_pointer(&leaf->hold, 0, slot);
}

/* Where the record ends that maps `fblk`; sets whose record it is. */
static uint64_t record_end(const struct sfs_inode *inode, const struct sfs_leaf *leaf,
			   uint64_t fblk, struct sfs_run *run)
{
	uint64_t slot = fblk - leaf->first;

	if (leaf->direct) {
		run->owner = inode->itab.object;
		run->record = inode->slot;
		return SIMPLEFS_N_DIRECT;
	}
	run->owner = leaf->hold.object;
	run->record = (uint32_t)(slot / SIMPLEFS_IND1_RECORD);
	return leaf->first + (run->record + 1) * (uint64_t)SIMPLEFS_IND1_RECORD;
}

int sfs_map(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t fblk,
	    uint64_t want, struct sfs_run *run)
{
	uint64_t end;
	int err = leaf_get(fs, inode, fblk, false, leaf);

	if (err)
		return err;
	memset(run, 0, sizeof(*run));
	if (!leaf->direct && !leaf->hold.object) {
		run->count = min64(want, leaf->first + leaf->count - fblk);
		return 0;
	}
	end = min64(record_end(inode, leaf, fblk, run), fblk + want);
	run->start = leaf_pointer(inode, leaf, fblk);
	for (run->count = 1; fblk + run->count < end; run->count++)
		if (leaf_pointer(inode, leaf, fblk + run->count) !=
		    (run->start ? run->start + run->count : 0))
			break;
	return 0;
}

/* ---- taking ---- */

/* Near the block of the file before this one. */
static xn_blk_t place_for(const struct sfs_inode *inode, const struct sfs_leaf *leaf, uint64_t fblk)
{
	for (uint64_t before = fblk; before > leaf->first; before--) {
		xn_blk_t block = leaf_pointer(inode, leaf, before - 1);

		if (block)
			return block + 1;
	}
	return leaf->direct ? inode->itab.object : leaf->hold.object;
}

/* Point the leaf's slots from `fblk` on at the new blocks, in one update. */
static int leaf_point(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t fblk,
		      const struct xn_extent *blocks)
{
	struct sfs_change change = { .allocs = blocks, .n_allocs = 1 };
	le64_t pointers[SIMPLEFS_IND1_RECORD];
	struct sfs_fields before = inode->f;
	uint32_t slot = (uint32_t)(fblk - leaf->first);
	int err;

	for (uint32_t i = 0; i < blocks->count; i++) {
		pointers[i] = le64_make(blocks->start + i);
		if (leaf->direct)
			inode->f.direct[slot + i] = blocks->start + i;
	}
	inode->f.blocks += blocks->count;
	sfs_change_inode(&change, inode);
	if (!leaf->direct)
		sfs_change_bytes(&change, leaf->hold.object, slot * sizeof(le64_t), pointers,
				 (uint32_t)(blocks->count * sizeof(le64_t)));
	err = sfs_change_apply(fs, &change);
	if (err)
		inode->f = before;
	return err;
}

int sfs_map_alloc(struct sfs *fs, struct sfs_inode *inode, struct sfs_leaf *leaf, uint64_t fblk,
		  uint64_t want, struct sfs_run *run)
{
	struct xn_extent blocks;
	unsigned tries = 0;
	int err;

	err = leaf_get(fs, inode, fblk, true, leaf);
	if (err)
		return err;
	/* Look again: the leaf may be new, and one record is as far as one binding goes. */
	err = sfs_map(fs, inode, leaf, fblk, want, run);
	if (err)
		return err;
	do {
		err = sfs_find_free(fs, place_for(inode, leaf, fblk), run->count, XN_DATA, &blocks);
		if (!err)
			err = leaf_point(fs, inode, leaf, fblk, &blocks);
	} while (sfs_lost_race(err, &tries));
	if (err)
		return err;
	run->start = blocks.start;
	run->count = blocks.count;
	return 0;
}

/* ---- giving back ---- */

/* Blocks freed by one update; a run of neighbours is one extent. */
struct frees {
	struct xn_extent extents[FREES_MAX];
	uint32_t n;
	uint64_t blocks; /* these, and all below them */
};

static bool frees_add(struct frees *frees, xn_blk_t block, uint32_t type)
{
	struct xn_extent *last = frees->n ? &frees->extents[frees->n - 1] : NULL;

	if (last && last->type == XN_DATA && type == XN_DATA &&
	    last->start + last->count == block) {
		last->count++;
		return true;
	}
	if (frees->n == FREES_MAX)
		return false;
	frees->extents[frees->n++] = (struct xn_extent){ .start = block, .count = 1, .type = type };
	return true;
}

/* How many blocks hang below a link, itself included. */
static int link_count(struct sfs *fs, struct sfs_inode *inode, const struct link *link,
		      uint64_t *blocks)
{
	struct sfs_hold hold = { 0 };
	int err = link_follow(fs, inode, link, &hold);

	if (err)
		return err;
	++*blocks;
	for (uint32_t i = 0; i < SIMPLEFS_IND_SLOTS && !err; i++) {
		struct link below = { .parent = hold, .index = i };

		below.block = sfs_hold_pointer(&hold, 0, i);
		if (!below.block)
			continue;
		if (link->level == 0) {
			++*blocks;
			continue;
		}
		below.level = link->level - 1;
		err = link_count(fs, inode, &below, blocks);
	}
	sfs_hold_put(fs, &hold);
	return err;
}

int sfs_map_count(struct sfs *fs, struct sfs_inode *inode, uint64_t *blocks)
{
	int err = 0;

	*blocks = 0;
	if (!sfs_has_pointers(inode->f.mode, inode->f.size))
		return 0;
	for (unsigned i = 0; i < SIMPLEFS_N_DIRECT; i++)
		*blocks += inode->f.direct[i] != 0;
	for (unsigned i = 0; i < SIMPLEFS_N_IND && !err; i++) {
		struct link link = { .index = i, .level = i, .block = inode->f.ind[i] };

		if (link.block)
			err = link_count(fs, inode, &link, blocks);
	}
	return err;
}

/* Clear the slots [from, to) of a pointer block and free what they pointed at. */
static int slots_free(struct sfs *fs, struct sfs_inode *inode, const struct sfs_hold *hold,
		      uint32_t from, uint32_t to, const struct frees *frees)
{
	static const uint8_t zeroes[SFS_BLOCK];
	struct sfs_change change = { .frees = frees->extents, .n_frees = frees->n };
	uint64_t before = inode->f.blocks;
	int err;

	if (!frees->n)
		return 0;
	inode->f.blocks -= min64(frees->blocks, before);
	sfs_change_bytes(&change, hold->object, from * 8, zeroes, (to - from) * 8);
	sfs_change_inode(&change, inode);
	err = sfs_change_apply(fs, &change);
	if (err)
		inode->f.blocks = before;
	return err;
}

/*
 * Free the slots [from, to) of a pointer block at `level`, all of each.  In
 * steps, when they are scattered over more extents than one update frees.
 */
static int whole_slots_free(struct sfs *fs, struct sfs_inode *inode, const struct sfs_hold *hold,
			    unsigned level, uint32_t from, uint32_t to)
{
	uint32_t type = level ? fs->type[type_of_level(level - 1)] : XN_DATA, slot = from;
	int err = 0;

	while (from < to && !err) {
		struct frees frees = { .n = 0 };

		for (slot = from; slot < to && !err; slot++) {
			struct link below = { .parent = *hold, .index = slot };

			below.block = sfs_hold_pointer(hold, 0, slot);
			if (!below.block)
				continue;
			if (!frees_add(&frees, below.block, type))
				break;
			if (level == 0) {
				frees.blocks++;
				continue;
			}
			below.level = level - 1;
			err = link_count(fs, inode, &below, &frees.blocks);
		}
		if (!err)
			err = slots_free(fs, inode, hold, from, slot, &frees);
		from = slot;
	}
	return err;
}

/* Free [first, last), counted from the beginning of what the link maps; not all of it. */
static int link_free(struct sfs *fs, struct sfs_inode *inode, const struct link *link,
		     uint64_t first, uint64_t last)
{
	uint64_t span = span_of(link->level);
	uint32_t from = (uint32_t)((first + span - 1) / span), to = (uint32_t)(last / span);
	uint32_t edges[2] = { (uint32_t)(first / span), to };
	struct sfs_hold hold = { 0 };
	int err;

	if (!link->block || first >= last)
		return 0;
	err = link_follow(fs, inode, link, &hold);
	if (err)
		return err;
	if (from < to)
		err = whole_slots_free(fs, inode, &hold, link->level, from, to);
	/* The slots at the edges, of which a part stays; one and the same perhaps. */
	for (unsigned i = 0; i < 2 && !err; i++) {
		struct link below = { .parent = hold, .index = edges[i] };
		uint64_t begin = edges[i] * span;
		uint64_t a = max64(first, begin), b = min64(last, begin + span);

		if (a >= b || (a == begin && b == begin + span) || (i && edges[0] == edges[1]))
			continue;
		below.level = link->level - 1;
		below.block = sfs_hold_pointer(&hold, 0, edges[i]);
		err = link_free(fs, inode, &below, a - begin, b - begin);
	}
	sfs_hold_put(fs, &hold);
	return err;
}

/* Clear those pointers of the inode whose blocks go as a whole, in one update. */
static int inode_pointers_free(struct sfs *fs, struct sfs_inode *inode, uint64_t first,
			       uint64_t last)
{
	struct sfs_change change = { 0 };
	struct sfs_fields before = inode->f;
	struct frees frees = { .n = 0 };
	uint64_t begin = SIMPLEFS_N_DIRECT, span = SFS_SPAN1;
	bool all = first == 0 && last == UINT64_MAX;
	int err = 0;

	for (uint64_t i = first; i < min64(last, SIMPLEFS_N_DIRECT); i++) {
		if (!inode->f.direct[i])
			continue;
		frees_add(&frees, inode->f.direct[i], XN_DATA);
		frees.blocks++;
		inode->f.direct[i] = 0;
	}
	for (unsigned i = 0; i < SIMPLEFS_N_IND && !err; begin += span, span *= 512, i++) {
		struct link link = { .index = i, .level = i, .block = before.ind[i] };

		if (!link.block || first > begin || last < begin + span)
			continue;
		/* When all goes, nobody needs to know how much it was. */
		if (!all)
			err = link_count(fs, inode, &link, &frees.blocks);
		frees_add(&frees, link.block, fs->type[type_of_level(i)]);
		inode->f.ind[i] = 0;
	}
	inode->f.blocks = all ? 0 : before.blocks - min64(frees.blocks, before.blocks);
	change.frees = frees.extents;
	change.n_frees = frees.n;
	sfs_change_inode(&change, inode);
	if (!err && frees.n)
		err = sfs_change_apply(fs, &change);
	if (err)
		inode->f = before;
	return err;
}

int sfs_map_free(struct sfs *fs, struct sfs_inode *inode, uint64_t first, uint64_t last)
{
	uint64_t begin = SIMPLEFS_N_DIRECT, span = SFS_SPAN1;
	int err;

	if (first >= last || !sfs_has_pointers(inode->f.mode, inode->f.size))
		return 0;
	err = inode_pointers_free(fs, inode, first, last);
	for (unsigned i = 0; i < SIMPLEFS_N_IND && !err; begin += span, span *= 512, i++) {
		struct link link = { .index = i, .level = i, .block = inode->f.ind[i] };
		uint64_t a = max64(first, begin), b = min64(last, begin + span);

		if (link.block && a < b)
			err = link_free(fs, inode, &link, a - begin, b - begin);
	}
	return err;
}
