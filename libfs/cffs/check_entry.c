/* SPDX-License-Identifier: MIT */
/*
 * The checker, pass 1: inodes, their numbers, and what they map.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_inode.h"
#include "check_state.h"
#include "mend.h"

CFFS_ROW(bad_node, "bad-node", "inode %llu: an extent node makes no sense (%d)",
	 "Keep what makes sense?", CHECK_LOSSY);
CFFS_ROW(bad_map, "bad-map", "inode %llu: two extents map the same part of it", "Cut one off?",
	 CHECK_LOSSY);
CFFS_ROW(same_ino, "duplicate-inode", "inode number %llu is that of two files",
	 "Give the second another?", CHECK_LOSSY);
/* Inode and extent nodes lie in different sectors, and are written one after the other. */
const struct check_problem_row cffs_block_count_row = {
	"cffs/block-count", "inode %llu counts %llu blocks and has %llu", "Correct it?", CHECK_SAFE,
	.stays = true
};

CFFS_ROW(link_count, "link-count", "inode %llu counts %u links and has %u", "Correct it?",
	 CHECK_SAFE);

#define XATTR_BLOCKS_MAX 32u /* more than there can be */

/* ---- what an inode maps ---- */

static int walk_slots(struct cffs_walk *w, const struct cffs_slot *slot, uint32_t n,
		      unsigned depth);

/* What is left of it names less: the walk over `owns` looks again, and so do we. */
static int node_mend(struct check *check, uint64_t block, uint8_t bytes[CFFS_BLOCK])
{
	if (!cffs_node_settle(bytes, CFFS_BLOCKS_MAX))
		memset(bytes, 0, CFFS_BLOCK);
	check_ownership_changed(check);
	return check_write(check, block, 1, bytes);
}

static int walk_node(struct cffs_walk *w, uint64_t block, unsigned depth)
{
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_set *set;
	int err = check_read(w->s->check, block, 1, bytes), wrong;

	if (err)
		return err;
	set = malloc(sizeof(*set));
	if (!set)
		return -ENOMEM;
	wrong = cffs_set_of_node(bytes, set);
	if (wrong) {
		w->bad = true;
		if (check_problem(w->s->check, &cffs_bad_node_row, (unsigned long long)w->ino,
				  wrong))
			err = node_mend(w->s->check, block, bytes);
	} else {
		err = walk_slots(w, set->slot, set->n, depth + 1);
	}
	free(set);
	return err;
}

static int walk_extent(struct cffs_walk *w, const struct cffs_slot *slot)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct cffs_slot *v = realloc(w->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = *slot;
	return 0;
}

static int walk_slots(struct cffs_walk *w, const struct cffs_slot *slot, uint32_t n, unsigned depth)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err && depth < 8; i++) {
		if (slot[i].class == CFFS_CLASS_NONE)
			continue;
		w->blocks += slot[i].count;
		if (slot[i].class == CFFS_CLASS_NODE)
			err = walk_node(w, slot[i].start, depth);
		else if (cffs_slot_maps(&slot[i]))
			err = walk_extent(w, &slot[i]);
	}
	return err;
}

static int by_logical(const void *a, const void *b)
{
	const struct cffs_slot *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

/* All extents of an inode, in order of the file. */
int cffs_walk_inode(struct cffs_state *s, const struct cffs_entry *entry, struct cffs_walk *w)
{
	int err;

	*w = (struct cffs_walk){ .s = s, .ino = entry->a.ino };
	err = walk_slots(w, entry->b.slot, entry->b.n_slots, 0);
	if (err)
		return err;
	if (w->n > 1)
		qsort(w->v, w->n, sizeof(*w->v), by_logical);
	for (size_t i = 1; i < w->n && !w->bad; i++)
		if (w->v[i - 1].logical + w->v[i - 1].count > w->v[i].logical) {
			w->bad = true;
			w->twice = w->v[i];
		}
	return 0;
}

/* ---- inodes ---- */

/* The number that a directory's own blocks say it has; 0: they do not. */
static uint64_t number_of_blocks(struct cffs_state *s, const struct cffs_entry *entry)
{
	uint8_t all[CFFS_BLOCK];
	le64_t dir;

	for (uint32_t i = 0; i < entry->b.n_slots; i++) {
		if (entry->b.slot[i].class != CFFS_CLASS_DIR ||
		    check_read(s->check, entry->b.slot[i].start, 1, all) ||
		    cffs_sector_check(all) || all[CFFS_S_ENTRIES] == 0)
			continue;
		memcpy(&dir, all + CFFS_S_DIR, sizeof(dir));
		return le64_get(dir);
	}
	return 0;
}

/* Returns 1 when the number was taken and stays so. */
static int number_check(struct cffs_state *s, struct cffs_entry *entry, bool *changed)
{
	int known = entry->a.ino ? cffs_numbers_add(&s->inos, entry->a.ino) : 1;
	uint64_t own;

	if (known <= 0)
		return known;
	if (!check_problem(s->check, &cffs_same_ino_row, (unsigned long long)entry->a.ino))
		return 1;
	own = number_of_blocks(s, entry);
	entry->a.ino = own && !cffs_ino_is_taken(s, own) ? own : cffs_lost_ino(&s->lost);
	*changed = true;
	known = cffs_numbers_add(&s->inos, entry->a.ino);
	return known < 0 ? known : 0;
}

/* An extent that maps what another one does, in a node; *cut when it was there. */
static int node_cut(struct cffs_state *s, uint64_t block, const struct cffs_slot *twice,
		    unsigned depth, bool *cut)
{
	struct cffs_set *set = malloc(sizeof(*set));
	uint8_t bytes[CFFS_BLOCK];
	int err = set ? check_read(s->check, block, 1, bytes) : -ENOMEM;

	if (!err && cffs_set_of_node(bytes, set))
		set->n = 0;
	for (uint32_t i = 0; !err && i < set->n && !*cut; i++) {
		struct cffs_slot *slot = &set->slot[i];

		if (slot->class == CFFS_CLASS_NODE && depth < 8) {
			err = node_cut(s, slot->start, twice, depth + 1, cut);
		} else if (memcmp(slot, twice, sizeof(*slot)) == 0) {
			memset(bytes + (size_t)i * CFFS_SLOT_SIZE, 0, CFFS_SLOT_SIZE);
			cffs_seal(bytes + i / (CFFS_EXT_SLOTS + 1) * CFFS_SECTOR);
			*cut = true;
			err = check_write(s->check, block, 1, bytes);
		}
	}
	free(set);
	return err;
}

static int map_check(struct cffs_state *s, struct cffs_entry *entry, const struct cffs_walk *w,
		     bool *changed)
{
	bool cut = false;
	int err = 0;

	if (!w->twice.class ||
	    !check_problem(s->check, &cffs_bad_map_row, (unsigned long long)entry->a.ino))
		return 0;
	check_ownership_changed(s->check);
	for (uint32_t i = entry->b.n_slots; i-- > 0 && !err && !cut;) {
		struct cffs_slot *slot = &entry->b.slot[i];

		if (slot->class == CFFS_CLASS_NODE) {
			err = node_cut(s, slot->start, &w->twice, 0, &cut);
		} else if (memcmp(slot, &w->twice, sizeof(*slot)) == 0) {
			memset(slot, 0, sizeof(*slot));
			*changed = cut = true;
		}
	}
	return err;
}

/* Attributes in blocks: a list that ends where it makes no sense any more. */
static int xattr_blocks_check(struct cffs_state *s, struct cffs_entry *entry, bool *changed)
{
	uint8_t *bytes, *list;
	struct cffs_slot *slot = NULL;
	size_t each = CFFS_SECTOR - CFFS_RAW_HEAD, n, sound;
	int err;

	for (uint32_t i = 0; i < entry->b.n_slots; i++)
		if (entry->b.slot[i].class == CFFS_CLASS_XATTR)
			slot = &entry->b.slot[i];
	if (!slot || slot->count > XATTR_BLOCKS_MAX)
		return 0;
	n = (size_t)slot->count * CFFS_SECTORS;
	bytes = calloc(slot->count, CFFS_BLOCK);
	list = calloc(n, each);
	err = bytes && list ? check_read(s->check, slot->start, slot->count, bytes) : -ENOMEM;
	for (size_t i = 0; !err && i < n; i++)
		memcpy(list + i * each, bytes + i * CFFS_SECTOR + CFFS_RAW_HEAD, each);
	sound = err ? 0 : cffs_xattrs_sound(list, n * each);
	/* The list ends with a zero, or with its room. */
	if (!err && sound + 4 <= n * each && list[sound] &&
	    check_problem(s->check, &cffs_bad_xattrs_row, (unsigned long long)entry->a.ino)) {
		memset(slot, 0, sizeof(*slot));
		check_ownership_changed(s->check);
		*changed = true;
	}
	free(bytes);
	free(list);
	return err;
}

/* All about one inode; what changed is written. */
static int fields_check(struct cffs_state *s, struct cffs_entry *entry, bool *changed)
{
	struct cffs_walk w;
	int err = cffs_walk_inode(s, entry, &w);
	uint64_t end = 0;

	if (!err)
		err = map_check(s, entry, &w, changed);
	for (size_t i = 0; i < w.n; i++)
		if (w.v[i].class != CFFS_CLASS_INDEX)
			end = w.v[i].logical + w.v[i].count;
	if (!err)
		err = xattr_blocks_check(s, entry, changed);
	if (!err)
		*changed |= cffs_inode_settle(s->check, entry, end);
	if (!err && !w.bad && w.blocks != entry->b.blocks &&
	    check_problem(s->check, &cffs_block_count_row, (unsigned long long)entry->a.ino,
			  (unsigned long long)entry->b.blocks, (unsigned long long)w.blocks)) {
		entry->b.blocks = w.blocks;
		*changed = true;
	}
	free(w.v);
	return err;
}

int cffs_check_system(struct cffs_state *s, uint64_t block, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry)
{
	bool changed = false;
	int err = fields_check(s, entry, &changed);

	return !err && changed ? cffs_check_replace(s, block, sector, bytes, at, entry) : err;
}

int cffs_check_inode(struct cffs_state *s, uint64_t block, uint32_t sector,
		     uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry)
{
	bool changed = false, counted = entry->a.mode >> 12 == 4 || s->dir_ino == CFFS_INO_XDIR;
	int known = number_check(s, entry, &changed), err = known < 0 ? known : 0;

	if (!err)
		err = fields_check(s, entry, &changed);
	if (!err && !known && !counted && entry->name_len && entry->a.nlink != 1 &&
	    check_problem(s->check, &cffs_link_count_row, (unsigned long long)entry->a.ino,
			  entry->a.nlink, 1u)) {
		entry->a.nlink = 1;
		changed = true;
	}
	if (!err && changed)
		err = cffs_check_replace(s, block, sector, bytes, at, entry);
	if (err || known)
		return err;
	if (entry->a.mode >> 12 == 4)
		return cffs_list_add(&s->dirs, entry->a.ino, block, sector, entry->slot);
	if (s->dir_ino == CFFS_INO_XDIR)
		return cffs_list_add(&s->external, entry->a.ino, block, sector, entry->slot);
	return 0;
}
