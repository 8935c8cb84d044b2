/* SPDX-License-Identifier: MIT */
/*
 * Which block holds which part of a file.
 *
 * The slots of an inode are extents; or one of them is a node, the root of a tree
 * whose leaves (level 0) hold extents and whose other nodes hold nodes.
 *
 *  (1) A change is one xn_update: of the inode's sector and of one leaf.  It takes
 *      what it adds, gives back what it removes, and counts it in the inode.
 *  (2) Before a slot is added, whoever is full on the way down is split: so there
 *      is always room above.  Splitting at the end of a file moves no extent, and
 *      needs no intent log.
 *  (3) A node that became empty goes in the update that emptied it.
 *  (4) A node's slot above says from where on it maps; what lies before the first
 *      node is a hole.  Below the last one it maps to the end.
 *  (5) Nodes change only with inode->lock held for writing, so who holds it may
 *      look at their bytes.
 *
 * `blocks` of an inode lies in another sector than the slots of its nodes: after a
 * crash it may be off by what was under way, as xn-fsck knows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "slots.h"

#define DEPTH_MAX 6u
#define TRIES_MAX 16u
/* What one update frees or retypes; a rest for nodes. */
#define PIECES_MAX (CFFS_TXN_EXTENTS - DEPTH_MAX - 2)

/* ---- the way down ---- */

struct step {
	struct cffs_hold *hold;
	int place;      /* of the slot that leads on */
	uint64_t begin; /* what that slot says it maps from */
};

struct path {
	struct cffs_hold *owner; /* of the inode's sector */
	uint32_t record;
	unsigned depth; /* nodes; 0: the inode holds the extents itself */
	struct step step[DEPTH_MAX];
	uint64_t end; /* where the leaf's part of the file ends */
};

static void path_put(struct cffs *fs, struct path *path)
{
	while (path->depth > 0)
		cffs_hold_put(fs, path->step[--path->depth].hold);
	if (path->owner)
		cffs_hold_put(fs, path->owner);
	path->owner = NULL;
}

/* The inode's slot that is a node, or -1. */
static int body_node(const struct cffs_body *body)
{
	for (int i = 0; i < body->n_slots; i++)
		if (body->slot[i].class == CFFS_CLASS_NODE)
			return i;
	return -1;
}

/* Hold the node that the last step leads to. */
static int path_enter(struct cffs *fs, struct path *path, xn_blk_t block)
{
	struct step *last = path->depth ? &path->step[path->depth - 1] : NULL;
	struct cffs_hold *node;
	int err;

	if (path->depth == DEPTH_MAX)
		return XN_ECHECK;
	err = cffs_hold_get(fs, last ? last->hold : path->owner,
			    last ? (uint32_t)last->place : path->record, CFFS_T_EXT, block, &node);
	if (err)
		return err;
	/* Levels only go down: a damaged tree has an end, too. */
	if (last && node->bytes[CFFS_X_LEVEL] + 1 != last->hold->bytes[CFFS_X_LEVEL]) {
		cffs_hold_put(fs, node);
		return XN_ECHECK;
	}
	path->step[path->depth++] = (struct step){ .hold = node };
	return 0;
}

static int path_get(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, struct path *path)
{
	int place = body_node(&inode->b);
	struct cffs_set set;
	uint64_t next;
	int err;

	memset(path, 0, sizeof(*path));
	path->end = CFFS_LOGICAL_END;
	err = cffs_inode_owner(fs, inode, &path->owner, &path->record);
	if (err || place < 0)
		return err;
	err = path_enter(fs, path, inode->b.slot[place].start);
	while (!err && path->step[path->depth - 1].hold->bytes[CFFS_X_LEVEL] > 0) {
		struct step *step = &path->step[path->depth - 1];

		if (cffs_set_of_node(step->hold->bytes, &set))
			err = XN_ECHECK;
		step->place = err ? -1 : cffs_set_child(&set, logical, &next);
		if (step->place < 0) {
			err = XN_ECHECK;
			break;
		}
		step->begin = set.slot[step->place].logical;
		if (next < path->end)
			path->end = next;
		err = path_enter(fs, path, set.slot[step->place].start);
	}
	if (err)
		path_put(fs, path);
	return err;
}

/* ---- looking ---- */

static void run_of_slot(const struct cffs_slot *slot, uint64_t logical, uint64_t want,
			struct cffs_run *run)
{
	uint64_t skip = logical - slot->logical, left = slot->count - skip;

	run->class = slot->class;
	run->start = slot->start + skip;
	run->count = left < want ? left : want;
}

static void run_of_hole(uint64_t logical, uint64_t next, uint64_t want, struct cffs_run *run)
{
	run->count = next - logical < want ? next - logical : want;
}

static int map_in_inode(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, uint64_t want,
			struct cffs_run *run)
{
	uint64_t next = CFFS_LOGICAL_END;

	for (unsigned i = 0; i < inode->b.n_slots; i++) {
		const struct cffs_slot *slot = &inode->b.slot[i];

		if (!cffs_slot_maps(slot))
			continue;
		if (slot->logical <= logical && logical - slot->logical < slot->count) {
			run_of_slot(slot, logical, want, run);
			return cffs_inode_owner(fs, inode, &run->owner, &run->record);
		}
		if (slot->logical > logical && slot->logical < next)
			next = slot->logical;
	}
	run_of_hole(logical, next, want, run);
	return 0;
}

int cffs_map(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, uint64_t want,
	     struct cffs_run *run)
{
	struct cffs_slot slot;
	struct path path;
	uint64_t next;
	int err, place;

	memset(run, 0, sizeof(*run));
	if (body_node(&inode->b) < 0)
		return map_in_inode(fs, inode, logical, want, run);
	err = path_get(fs, inode, logical, &path);
	if (err)
		return err;
	place = cffs_node_find(path.step[path.depth - 1].hold->bytes, logical, &slot, &next);
	if (place >= 0) {
		run_of_slot(&slot, logical, want, run);
		run->owner = path.step[--path.depth].hold; /* its user is the run's now */
		run->record = (uint32_t)place;
	} else {
		run_of_hole(logical, next < path.end ? next : path.end, want, run);
	}
	path_put(fs, &path);
	return 0;
}

/* ---- one change ---- */

struct change {
	struct cffs_inode *dir;
	struct path path;
	struct cffs_body body; /* the inode's, as it will be */
	struct cffs_set set;   /* the leaf's slots, or the inode's, as they will be */
	struct cffs_txn txn;
	uint8_t image[DEPTH_MAX + 1][CFFS_BLOCK];
};

static int change_begin(struct cffs *fs, struct cffs_inode *inode, uint64_t logical,
			struct change *change)
{
	int err = path_get(fs, inode, logical, &change->path);

	if (err)
		return err;
	cffs_txn_init(&change->txn);
	change->dir = inode->dir;
	change->body = inode->b;
	if (change->path.depth == 0)
		cffs_set_of_body(&change->body, &change->set);
	else if (cffs_set_of_node(change->path.step[change->path.depth - 1].hold->bytes,
				  &change->set))
		err = XN_ECHECK;
	if (err)
		path_put(fs, &change->path);
	return err;
}

static bool records_differ(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, CFFS_SLOT_SIZE) != 0;
}

/* The bytes of one sector that change: its header and few slots, or all of it. */
static bool edit_sector(struct cffs_txn *txn, xn_blk_t object, uint32_t at, const uint8_t *old,
			const uint8_t *new)
{
	uint32_t first = 0, last = 0;

	for (uint32_t i = CFFS_SLOT_SIZE; i < CFFS_SECTOR; i += CFFS_SLOT_SIZE) {
		if (!records_differ(old + i, new + i))
			continue;
		first = first ? first : i;
		last = i + CFFS_SLOT_SIZE;
	}
	if (!first && !records_differ(old, new))
		return true;
	if (!first)
		return cffs_txn_edit(txn, object, at, new, CFFS_SLOT_SIZE);
	if (first == CFFS_SLOT_SIZE)
		return cffs_txn_edit(txn, object, at, new, last);
	return cffs_txn_edit(txn, object, at, new, CFFS_SLOT_SIZE) &&
	       cffs_txn_edit(txn, object, at + first, new + first, last - first);
}

/* Edit a node so that it holds `set`; `image` lives until the end of the txn. */
static int edit_node(struct cffs_txn *txn, const struct cffs_inode *inode,
		     const struct cffs_hold *node, const struct cffs_set *set,
		     uint8_t image[CFFS_BLOCK])
{
	cffs_set_to_node(set, inode->a.ino, image);
	for (uint32_t at = 0; at < CFFS_BLOCK; at += CFFS_SECTOR)
		if (!edit_sector(txn, node->object, at, node->bytes + at, image + at))
			return XN_ETOOBIG;
	return 0;
}

/* Take the slot of the node at depth `k` out of what is above it. */
static int unhang(struct cffs *fs, struct cffs_inode *inode, struct change *change, unsigned k,
		  struct cffs_set *above)
{
	struct cffs_hold *node = change->path.step[k].hold;

	if (!cffs_txn_free(&change->txn, node->object, 1, fs->type[CFFS_T_EXT]))
		return XN_ETOOBIG;
	change->body.blocks--;
	if (k == 0) {
		change->body.slot[body_node(&inode->b)] = (struct cffs_slot){ 0 };
		return 0;
	}
	if (cffs_set_of_node(change->path.step[k - 1].hold->bytes, above))
		return XN_ECHECK;
	above->slot[change->path.step[k - 1].place] = (struct cffs_slot){ 0 };
	return 0;
}

/* The leaf as it will be; what became empty goes, up to the inode.  Sets how deep that was. */
static int change_leaf(struct cffs *fs, struct cffs_inode *inode, struct change *change,
		       unsigned *kept)
{
	struct cffs_set *set = &change->set;
	unsigned k = change->path.depth;
	int err = 0;

	while (k > 0 && !err) {
		err = edit_node(&change->txn, inode, change->path.step[k - 1].hold, set,
				change->image[k - 1]);
		if (err || cffs_set_used(set) > 0)
			break;
		k--;
		err = unhang(fs, inode, change, k, set);
	}
	*kept = k;
	return err;
}

/* Apply the change, and let go of it. */
static int change_end(struct cffs *fs, struct cffs_inode *inode, struct change *change)
{
	unsigned kept = 0;
	int err = 0;

	if (change->path.depth == 0)
		cffs_set_to_body(&change->set, &change->body);
	else
		err = change_leaf(fs, inode, change, &kept);
	if (!err) {
		cffs_body_count(&change->body);
		err = cffs_inode_write(fs, inode, &change->body, &change->txn);
	}
	for (unsigned k = kept; !err && k < change->path.depth; k++)
		cffs_hold_drop(fs, change->path.step[k].hold->object);
	path_put(fs, &change->path);
	return err;
}

/* ---- making room ---- */

/* The inode's extents move into a new node. */
static int inode_to_node(struct cffs *fs, struct cffs_inode *inode, struct change *change)
{
	struct cffs_body *body = &change->body;
	struct xn_extent block;
	int place = -1;
	int err;

	err = cffs_place(fs, inode->dir, inode, 0, 1, fs->type[CFFS_T_EXT], &block);
	if (err)
		return err;
	cffs_txn_init(&change->txn);
	*body = inode->b;
	cffs_set_empty_node(0, &change->set);
	for (int i = 0; i < body->n_slots; i++) {
		struct cffs_slot *slot = &body->slot[i];

		if (!cffs_slot_maps(slot))
			continue;
		change->set.slot[cffs_set_roomiest(&change->set)] = *slot;
		*slot = (struct cffs_slot){ 0 };
		place = place < 0 ? i : place;
	}
	if (place < 0)
		return -ENOSPC; /* nothing to move out of the way */
	body->slot[place] =
		(struct cffs_slot){ .start = block.start, .count = 1, .class = CFFS_CLASS_NODE };
	body->blocks++;
	cffs_set_to_node(&change->set, inode->a.ino, change->image[0]);
	cffs_txn_alloc(&change->txn, block.start, 1, fs->type[CFFS_T_EXT]);
	cffs_txn_edit(&change->txn, block.start, 0, change->image[0], CFFS_BLOCK);
	return cffs_inode_write(fs, inode, body, &change->txn);
}

/* ... from where on the slots of a full node move into a new one, if `logical` is to be added. */
static uint64_t split_point(const struct cffs_set *set, uint64_t logical)
{
	uint64_t at[CFFS_EXT_RECORDS], last = 0, end = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		uint64_t key = set->slot[i].logical;
		uint32_t k = n++;

		if (set->slot[i].class == CFFS_CLASS_NONE) {
			n--;
			continue;
		}
		if (key >= last) {
			last = key;
			end = key + set->slot[i].count;
		}
		for (; k > 0 && at[k - 1] > key; k--)
			at[k] = at[k - 1];
		at[k] = key;
	}
	if (logical < end)
		return at[n / 2];
	/* At the end: nothing moves; but a node of nodes must lead somewhere. */
	return set->level == 0 ? logical : last;
}

static void move_slots(struct cffs_set *from, struct cffs_set *to, uint64_t point)
{
	for (uint32_t i = 0; i < from->n; i++) {
		struct cffs_slot *slot = &from->slot[i];

		if (slot->class == CFFS_CLASS_NONE || slot->logical < point)
			continue;
		to->slot[cffs_set_roomiest(to)] = *slot;
		*slot = (struct cffs_slot){ 0 };
	}
}

static struct cffs_slot node_slot(xn_blk_t block, uint64_t logical)
{
	return (struct cffs_slot){ block, logical, 1, CFFS_CLASS_NODE };
}

/* A new root, that leads to the old one only. */
static int grow_root(struct cffs *fs, struct cffs_inode *inode, struct change *change)
{
	const struct cffs_hold *old = change->path.step[0].hold;
	struct xn_extent block;
	int err;

	if (change->path.depth == DEPTH_MAX)
		return -EFBIG;
	err = cffs_place(fs, inode->dir, inode, 0, 1, fs->type[CFFS_T_EXT], &block);
	if (err)
		return err;
	cffs_set_empty_node((uint8_t)(old->bytes[CFFS_X_LEVEL] + 1), &change->set);
	change->set.slot[1] = node_slot(old->object, 0);
	cffs_set_to_node(&change->set, inode->a.ino, change->image[0]);
	change->body.slot[body_node(&change->body)].start = block.start;
	change->body.blocks++;
	cffs_txn_alloc(&change->txn, block.start, 1, fs->type[CFFS_T_EXT]);
	cffs_txn_edit(&change->txn, block.start, 0, change->image[0], CFFS_BLOCK);
	return cffs_inode_write(fs, inode, &change->body, &change->txn);
}

/* Split the node at depth `k`, which is full, below one that is not. */
static int split(struct cffs *fs, struct cffs_inode *inode, struct change *change, unsigned k,
		 uint64_t logical)
{
	const struct cffs_hold *old = change->path.step[k].hold;
	const struct cffs_hold *above = change->path.step[k - 1].hold;
	struct xn_extent block;
	struct cffs_set new;
	uint64_t point;
	int err;

	err = cffs_place(fs, inode->dir, inode, logical, 1, fs->type[CFFS_T_EXT], &block);
	if (err)
		return err;
	if (cffs_set_of_node(old->bytes, &change->set))
		return XN_ECHECK;
	point = split_point(&change->set, logical);
	cffs_set_empty_node(change->set.level, &new);
	move_slots(&change->set, &new, point);
	cffs_set_to_node(&new, inode->a.ino, change->image[1]);
	change->body.blocks++;
	cffs_txn_alloc(&change->txn, block.start, 1, fs->type[CFFS_T_EXT]);
	cffs_txn_edit(&change->txn, block.start, 0, change->image[1], CFFS_BLOCK);
	err = edit_node(&change->txn, inode, old, &change->set, change->image[0]);
	if (!err && cffs_set_of_node(above->bytes, &new))
		err = XN_ECHECK;
	if (err)
		return err;
	new.slot[cffs_set_roomiest(&new)] = node_slot(block.start, point);
	err = edit_node(&change->txn, inode, above, &new, change->image[2]);
	return err ? err : cffs_inode_write(fs, inode, &change->body, &change->txn);
}

/* Room for one more slot: by one step, after which to look again. */
static int make_room(struct cffs *fs, struct cffs_inode *inode, struct change *change,
		     uint64_t logical)
{
	struct cffs_set set;
	unsigned k = 0;
	int err;

	err = change_begin(fs, inode, logical, change);
	if (err)
		return err;
	for (; k + 1 < change->path.depth && !err; k++) {
		if (cffs_set_of_node(change->path.step[k].hold->bytes, &set))
			err = XN_ECHECK;
		if (cffs_set_is_full(&set))
			break;
	}
	if (err)
		; /* damaged */
	else if (change->path.depth == 0)
		err = inode_to_node(fs, inode, change);
	else if (k == 0)
		err = grow_root(fs, inode, change);
	else
		err = split(fs, inode, change, k, logical);
	path_put(fs, &change->path);
	return err;
}

/* The nodes on the way to `logical` begin behind it: let them begin there. */
static int lower(struct cffs *fs, struct cffs_inode *inode, struct change *change, uint64_t logical)
{
	struct cffs_set set;
	int err = 0;

	for (unsigned k = 0; k + 1 < change->path.depth && !err; k++) {
		const struct step *step = &change->path.step[k];

		if (step->begin <= logical)
			continue;
		if (cffs_set_of_node(step->hold->bytes, &set))
			return XN_ECHECK;
		set.slot[step->place].logical = logical;
		err = edit_node(&change->txn, inode, step->hold, &set, change->image[k]);
	}
	if (!err && change->txn.n_edits)
		err = cffs_inode_write(fs, inode, &change->body, &change->txn);
	cffs_txn_init(&change->txn);
	return err;
}

/* ---- adding ---- */

static uint32_t type_of_class(const struct cffs *fs, uint32_t class)
{
	return class == CFFS_CLASS_DATA    ? XN_DATA
	       : class == CFFS_CLASS_UNWR  ? XN_RESERVED
	       : class == CFFS_CLASS_INDEX ? fs->type[CFFS_T_RAW]
					   : fs->type[CFFS_T_DIR];
}

/*
 * As much of the slot as one leaf maps: what is left of it is to be added next.  1: there is no
 * room, nothing was done.
 */
static int add_once(struct cffs *fs, struct cffs_inode *inode, struct cffs_slot *left,
		    struct change *change)
{
	struct cffs_slot whole = *left, *slot = &whole;
	int err = change_begin(fs, inode, slot->logical, change);

	if (!err) {
		err = lower(fs, inode, change, slot->logical);
		if (err)
			path_put(fs, &change->path);
	}
	if (err)
		return err;
	if (slot->count > change->path.end - slot->logical)
		slot->count = (uint32_t)(change->path.end - slot->logical);
	if (!cffs_set_extend(&change->set, slot)) {
		int place = cffs_set_is_full(&change->set) ? -1 : cffs_set_roomiest(&change->set);

		if (place < 0) {
			path_put(fs, &change->path);
			return 1;
		}
		change->set.slot[place] = *slot;
	}
	change->body.inline_len = 0; /* bytes are in the entry or in blocks, not in both */
	change->body.blocks += slot->count;
	cffs_txn_alloc(&change->txn, slot->start, slot->count, type_of_class(fs, slot->class));
	err = change_end(fs, inode, change);
	if (!err) {
		left->start += slot->count;
		left->logical += slot->count;
		left->count -= slot->count;
	}
	/* The inode's own room may be smaller than it looks: its sector is full. */
	return err == -ENOSPC && change->path.depth == 0 ? 1 : err;
}

int cffs_map_add(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
		 const struct xn_extent *blocks)
{
	struct cffs_slot slot = { blocks->start, logical, (uint32_t)blocks->count, class };
	struct change *change;
	int err = 0;

	if (logical >= CFFS_BLOCKS_MAX || blocks->count > CFFS_BLOCKS_MAX - logical)
		return -EFBIG;
	if (blocks->count > CFFS_SLOT_COUNT_MAX)
		return -EINVAL;
	change = malloc(sizeof(*change));
	if (!change)
		return -ENOMEM;
	/* Room is made from the top down, a level at a time. */
	for (unsigned n = 0; slot.count > 0 && n < TRIES_MAX && !err; n++) {
		err = add_once(fs, inode, &slot, change);
		if (err == 1)
			err = make_room(fs, inode, change, slot.logical);
	}
	if (!err && slot.count > 0)
		err = -EFBIG; /* deeper than a tree gets */
	if (err && slot.logical > logical)
		cffs_map_remove(fs, inode, logical, slot.logical);
	free(change);
	return err;
}

/* ---- removing, reclassing ---- */

/* What becomes of blocks [first, last): class NONE: they go. */
struct fate {
	uint64_t first, last;
	uint32_t class;
};

static bool fate_of_slot(struct cffs *fs, struct change *change, const struct fate *fate, int place)
{
	struct cffs_slot *slot = &change->set.slot[place];
	uint32_t old = type_of_class(fs, slot->class);

	if (fate->class == CFFS_CLASS_NONE) {
		if (!cffs_txn_free(&change->txn, slot->start, slot->count, old))
			return false;
		change->body.blocks -= slot->count;
		if (old == XN_DATA && slot->count <= CFFS_SMALL)
			cffs_place_hole(fs, change->dir, slot->start, slot->count);
		*slot = (struct cffs_slot){ 0 };
		return true;
	}
	if (!cffs_txn_retype(&change->txn, slot->start, slot->count, old,
			     type_of_class(fs, fate->class)))
		return false;
	slot->class = fate->class;
	cffs_set_join(&change->set, place);
	return true;
}

/* As much as one leaf and one update take; *at says how far.  1: a slot must be cut, without room. */
static int fate_in_leaf(struct cffs *fs, struct change *change, const struct fate *fate,
			uint64_t *at)
{
	uint64_t end = fate->last < change->path.end ? fate->last : change->path.end;

	while (*at < end) {
		uint64_t next, to;
		int place = cffs_set_find(&change->set, *at, &next);

		if (place < 0) {
			*at = next < end ? next : end;
			continue;
		}
		to = change->set.slot[place].logical + change->set.slot[place].count;
		to = to < end ? to : end;
		if (change->set.slot[place].class != fate->class) {
			if (change->txn.n_frees + change->txn.n_retypes >= PIECES_MAX)
				return 0;
			place = cffs_set_cut(&change->set, place, *at, to);
			if (place < 0)
				return 1;
			if (!fate_of_slot(fs, change, fate, place))
				return XN_ETOOBIG;
		}
		*at = to;
	}
	return 0;
}

/* One leaf, one update.  On return *at is where to go on; 1: make room there first. */
static int fate_once(struct cffs *fs, struct cffs_inode *inode, const struct fate *fate,
		     struct change *change, uint64_t *at)
{
	uint64_t reached = *at;
	int err = change_begin(fs, inode, *at, change), full;

	if (err)
		return err;
	full = fate_in_leaf(fs, change, fate, &reached);
	if (full < 0 || change->txn.n_frees + change->txn.n_retypes == 0) {
		path_put(fs, &change->path);
		*at = reached;
		return full;
	}
	if (fate->class == CFFS_CLASS_NONE)
		change->txn.flags |= XN_FREEING;
	err = change_end(fs, inode, change);
	if (err == -ENOSPC && change->path.depth == 0)
		return 1; /* cutting a slot made the entry too long for its sector */
	if (!err)
		*at = reached;
	return err ? err : full;
}

static int map_fate(struct cffs *fs, struct cffs_inode *inode, const struct fate *fate)
{
	struct change *change = malloc(sizeof(*change));
	uint64_t at = fate->first;
	unsigned tries = 0, lost = 0;
	int err = 0;

	if (!change)
		return -ENOMEM;
	cffs_unbind(fs, inode);
	while (at < fate->last && !err) {
		err = fate_once(fs, inode, fate, change, &at);
		if (err == 1)
			err = make_room(fs, inode, change, at);
		if ((err == XN_ENOTFREE && lost++ < TRIES_MAX) ||
		    (err && cffs_retry(fs, err, &tries)))
			err = 0;
	}
	free(change);
	return err;
}

int cffs_map_remove(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last)
{
	struct fate fate = { first, last < CFFS_LOGICAL_END ? last : CFFS_LOGICAL_END,
			     CFFS_CLASS_NONE };

	return map_fate(fs, inode, &fate);
}

int cffs_map_class(struct cffs *fs, struct cffs_inode *inode, uint64_t first, uint64_t last,
		   uint32_t class)
{
	struct fate fate = { first, last < CFFS_LOGICAL_END ? last : CFFS_LOGICAL_END, class };

	return map_fate(fs, inode, &fate);
}

/* ---- moving ---- */

int cffs_map_move(struct cffs *fs, struct cffs_inode *inode, uint64_t logical, xn_blk_t to)
{
	struct change *change = malloc(sizeof(*change));
	struct cffs_slot *slot;
	uint64_t next;
	uint32_t type;
	int err, place;

	if (!change)
		return -ENOMEM;
	cffs_unbind(fs, inode);
	err = change_begin(fs, inode, logical, change);
	if (err)
		goto free_change;
	place = cffs_set_find(&change->set, logical, &next);
	if (place < 0) {
		path_put(fs, &change->path);
		err = -EINVAL;
		goto free_change;
	}
	slot = &change->set.slot[place];
	type = type_of_class(fs, slot->class);
	cffs_txn_free(&change->txn, slot->start, slot->count, type);
	cffs_txn_alloc(&change->txn, to, slot->count, type);
	slot->start = to;
	err = change_end(fs, inode, change);
free_change:
	free(change);
	return err;
}
