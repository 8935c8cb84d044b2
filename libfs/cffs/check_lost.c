/* SPDX-License-Identifier: MIT */
/*
 * What was lost and is still there.  See check_lost.h.
 *
 *  (1) Each sector of a directory says whose it is and which block: so its blocks
 *      are found again when nothing names them.
 *  (2) A directory whose inode lies in a directory that was lost itself comes back
 *      with that one; only the topmost go to lost+found.
 *  (3) What is written is what nobody names yet; then the one sector that names it.
 *  (4) Memory: 32 bytes for each lost block that is a directory's.
 */
#include "check_lost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/check.h"
#include "slots.h"

#define NODE_SLOTS  (CFFS_EXT_SLOTS * CFFS_SECTORS)
#define EXTENTS_MAX (NODE_SLOTS * CFFS_BODY_SLOTS)

const struct check_problem_row cffs_lost_row = {
	"cffs/lost-directory", "%llu blocks of directory %llu are there and nothing names them",
	"Put them back, or into lost+found?", CHECK_LOSSY, false
};

struct piece {
	uint64_t ino, logical, block;
};

struct pieces {
	struct piece *v;
	size_t n, cap;
	uint64_t *children; /* directories whose inode lies in a piece */
	size_t n_children, cap_children;
};

/* ---- sectors and entries ---- */

static int sector_read(struct check *check, const struct cffs_spot *spot, uint8_t *all,
		       uint32_t *at, struct cffs_entry *entry)
{
	int err = check_read(check, spot->block, 1, all);
	uint8_t *sector = all + spot->sector * CFFS_SECTOR;

	if (err)
		return err;
	*at = cffs_sector_check(sector) ? 0 : cffs_sector_find_slot(sector, spot->slot);
	if (!*at)
		return -ENOENT;
	cffs_entry_decode(sector, *at, entry);
	return entry->kind == CFFS_KIND_INODE && entry->a.ino == spot->ino ? 0 : -ENOENT;
}

static int entry_write(struct check *check, const struct cffs_spot *spot, uint8_t *all, uint32_t at,
		       const struct cffs_entry *entry)
{
	uint8_t *sector = all + spot->sector * CFFS_SECTOR;

	if (!cffs_sector_replace(sector, at, entry))
		return -ENOSPC;
	cffs_sector_seal(sector);
	return check_write(check, spot->block, 1, all);
}

uint64_t cffs_lost_ino(struct cffs_lost *lost)
{
	if (!lost->next_ino)
		lost->next_ino = check_epoch(lost->check) << 32 | 0xffff0000u;
	while (lost->is_taken(lost->arg, lost->next_ino))
		lost->next_ino++;
	return lost->next_ino++;
}

/* ---- extents of a directory ---- */

struct extents {
	struct cffs_slot v[EXTENTS_MAX];
	size_t n;
	uint64_t others; /* blocks of other classes */
};

/* Where nothing of the directory is: there, or behind its end. */
static uint64_t logical_free(const struct extents *extents, uint64_t logical)
{
	uint64_t end = 0;
	bool taken = false;

	for (size_t i = 0; i < extents->n; i++) {
		const struct cffs_slot *at = &extents->v[i];

		taken |= logical >= at->logical && logical - at->logical < at->count;
		if (at->logical + at->count > end)
			end = at->logical + at->count;
	}
	return taken ? end : logical;
}

static int extents_add(struct extents *extents, uint64_t logical, uint64_t block)
{
	struct cffs_slot *last = extents->n ? &extents->v[extents->n - 1] : NULL;

	if (last && last->logical + last->count == logical && last->start + last->count == block &&
	    last->count < CFFS_SLOT_COUNT_MAX) {
		last->count++;
		return 0;
	}
	if (extents->n == EXTENTS_MAX)
		return -ENOSPC;
	extents->v[extents->n++] = (struct cffs_slot){
		.start = block, .logical = logical, .count = 1, .class = CFFS_CLASS_DIR
	};
	return 0;
}

static int node_collect(struct check *check, uint64_t block, struct extents *extents)
{
	struct cffs_set *set = malloc(sizeof(*set));
	uint8_t bytes[CFFS_BLOCK];
	int err = set ? check_read(check, block, 1, bytes) : -ENOMEM;

	if (!err && !cffs_set_of_node(bytes, set) && set->level == 0)
		for (uint32_t i = 0; i < set->n && !err; i++)
			if (set->slot[i].class == CFFS_CLASS_DIR)
				err = extents->n < EXTENTS_MAX
					      ? (extents->v[extents->n++] = set->slot[i], 0)
					      : -ENOSPC;
	free(set);
	return err;
}

static int extents_collect(struct check *check, const struct cffs_entry *entry,
			   struct extents *extents)
{
	int err = 0;

	extents->n = 0;
	extents->others = 0;
	for (uint32_t i = 0; i < entry->b.n_slots && !err; i++) {
		const struct cffs_slot *slot = &entry->b.slot[i];

		if (slot->class == CFFS_CLASS_DIR)
			extents->v[extents->n++] = *slot;
		else if (slot->class == CFFS_CLASS_NODE)
			err = node_collect(check, slot->start, extents);
		else if (slot->class != CFFS_CLASS_NONE)
			extents->others += slot->count;
	}
	return err;
}

static int by_logical(const void *a, const void *b)
{
	const struct cffs_slot *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

/* One node for so many extents. */
static int node_make(struct check *check, uint64_t ino, const struct cffs_slot *v, size_t n,
		     struct cffs_slot *out)
{
	struct cffs_set *set = malloc(sizeof(*set));
	uint8_t bytes[CFFS_BLOCK];
	uint64_t block;
	size_t k = 0;
	int err = set ? check_allocate(check, &block) : -ENOMEM;

	if (!err) {
		cffs_set_empty_node(0, set);
		for (uint32_t i = 0; i < CFFS_EXT_RECORDS && k < n; i++)
			if (i % (CFFS_EXT_SLOTS + 1))
				set->slot[i] = v[k++];
		cffs_set_to_node(set, ino, bytes);
		err = check_write(check, block, 1, bytes);
		*out = (struct cffs_slot){ .start = block,
					   .logical = v[0].logical,
					   .count = 1,
					   .class = CFFS_CLASS_NODE };
	}
	free(set);
	return err;
}

/* The entry's slots become these extents, in nodes when there are many; others stay. */
static int slots_make(struct check *check, struct cffs_entry *entry, struct extents *extents)
{
	struct cffs_slot kept[CFFS_BODY_SLOTS];
	size_t n = 0, room, nodes;
	int err = 0;

	for (uint32_t i = 0; i < entry->b.n_slots; i++)
		if (entry->b.slot[i].class == CFFS_CLASS_XATTR ||
		    entry->b.slot[i].class == CFFS_CLASS_INDEX)
			kept[n++] = entry->b.slot[i];
	room = entry->b.n_slots - n;
	nodes = (extents->n + NODE_SLOTS - 1) / NODE_SLOTS;
	entry->b.blocks = extents->others;
	qsort(extents->v, extents->n, sizeof(extents->v[0]), by_logical);
	for (size_t i = 0; i < extents->n; i++) {
		entry->b.blocks += extents->v[i].count;
		entry->b.size = (extents->v[i].logical + extents->v[i].count) * CFFS_BLOCK;
	}
	if (extents->n <= room) {
		memcpy(kept + n, extents->v, extents->n * sizeof(kept[0]));
		n += extents->n;
	} else if (nodes <= room) {
		for (size_t i = 0; i < nodes && !err; i++) {
			size_t left = extents->n - i * NODE_SLOTS;

			err = node_make(check, entry->a.ino, extents->v + i * NODE_SLOTS,
					left < NODE_SLOTS ? left : NODE_SLOTS, &kept[n++]);
		}
		entry->b.blocks += nodes;
	} else {
		return -ENOSPC;
	}
	memset(entry->b.slot, 0, sizeof(entry->b.slot));
	memcpy(entry->b.slot, kept, n * sizeof(kept[0]));
	return err;
}

/* More blocks for a directory: pieces that nobody names, or one just made. */
static int dir_attach(struct cffs_lost *lost, const struct cffs_spot *dir, const struct piece *v,
		      size_t n)
{
	struct extents *extents = malloc(sizeof(*extents));
	uint8_t all[CFFS_BLOCK];
	struct cffs_entry entry;
	uint32_t at;
	int err = extents ? sector_read(lost->check, dir, all, &at, &entry) : -ENOMEM;

	if (!err)
		err = extents_collect(lost->check, &entry, extents);
	for (size_t i = 0; i < n && !err; i++)
		err = extents_add(extents, logical_free(extents, v[i].logical), v[i].block);
	if (!err)
		err = slots_make(lost->check, &entry, extents);
	for (size_t i = 0; i < n && !err; i++)
		check_adopt(lost->check, v[i].block);
	if (!err)
		err = entry_write(lost->check, dir, all, at, &entry);
	free(extents);
	return err;
}

/* ---- names ---- */

/* Visits the blocks of a directory until `visit` returns 1 or fails. */
static int blocks_visit(struct cffs_lost *lost, const struct cffs_spot *dir, uint64_t *end,
			int (*visit)(struct cffs_lost *lost, uint64_t block, uint64_t logical,
				     uint8_t *all, void *arg),
			void *arg)
{
	struct extents *extents = malloc(sizeof(*extents));
	uint8_t all[CFFS_BLOCK];
	struct cffs_entry entry;
	uint32_t at;
	int err = extents ? sector_read(lost->check, dir, all, &at, &entry) : -ENOMEM;

	*end = 0;
	if (!err)
		err = extents_collect(lost->check, &entry, extents);
	for (size_t i = 0; !err && i < extents->n; i++) {
		const struct cffs_slot *e = &extents->v[i];

		if (e->logical + e->count > *end)
			*end = e->logical + e->count;
		for (uint32_t k = 0; !err && k < e->count; k++) {
			err = check_read(lost->check, e->start + k, 1, all);
			if (!err)
				err = visit(lost, e->start + k, e->logical + k, all, arg);
		}
	}
	free(extents);
	return err;
}

struct putting {
	const struct cffs_spot *dir;
	struct cffs_entry *entry;
	struct cffs_spot spot; /* where it went */
};

static int put_visit(struct cffs_lost *lost, uint64_t block, uint64_t logical, uint8_t *all,
		     void *arg)
{
	struct putting *put = arg;

	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		uint8_t *sector = all + s * CFFS_SECTOR;
		int slot, err;

		if (cffs_sector_check(sector))
			continue;
		cffs_sector_init(sector, put->dir->ino, (uint32_t)logical * CFFS_SECTORS + s);
		slot = cffs_sector_free_slot(sector);
		if (slot < 0)
			continue;
		put->entry->slot = (uint8_t)slot;
		if (!cffs_sector_add(sector, put->entry))
			continue;
		cffs_sector_seal(sector);
		put->spot =
			(struct cffs_spot){ put->entry->a.ino, block, (uint8_t)s, (uint8_t)slot };
		err = check_write(lost->check, block, 1, all);
		return err ? err : 1;
	}
	return 0;
}

static int dir_count(struct cffs_lost *lost, const struct cffs_spot *dir)
{
	uint8_t all[CFFS_BLOCK];
	struct cffs_entry entry;
	uint32_t at;
	int err = sector_read(lost->check, dir, all, &at, &entry);

	entry.a.nlink++;
	return err ? err : entry_write(lost->check, dir, all, at, &entry);
}

/* An entry into a directory, which grows if it must. */
static int entry_put(struct cffs_lost *lost, const struct cffs_spot *dir, struct cffs_entry *entry,
		     struct cffs_spot *spot)
{
	struct putting put = { .dir = dir, .entry = entry };
	uint8_t zeroes[CFFS_BLOCK] = { 0 };
	uint64_t end;
	int got = blocks_visit(lost, dir, &end, put_visit, &put);

	if (got == 0) {
		struct piece piece = { .ino = dir->ino, .logical = end };

		got = check_allocate(lost->check, &piece.block);
		if (!got)
			got = check_write(lost->check, piece.block, 1, zeroes);
		if (!got)
			got = dir_attach(lost, dir, &piece, 1);
		if (!got)
			got = blocks_visit(lost, dir, &end, put_visit, &put);
	}
	if (got <= 0)
		return got ? got : -ENOSPC;
	*spot = put.spot;
	return entry->kind == CFFS_KIND_INODE && entry->a.mode >> 12 == 4 ? dir_count(lost, dir)
									  : 0;
}

static int find_visit(struct cffs_lost *lost, uint64_t block, uint64_t logical, uint8_t *all,
		      void *arg)
{
	struct cffs_spot *found = arg;

	(void)lost;
	(void)logical;
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		const uint8_t *sector = all + s * CFFS_SECTOR;
		struct cffs_entry entry;
		uint32_t at;

		if (cffs_sector_check(sector))
			continue;
		at = cffs_sector_find_name(sector, "lost+found", 10);
		if (!at)
			continue;
		cffs_entry_decode(sector, at, &entry);
		if (entry.kind != CFFS_KIND_INODE || entry.a.mode >> 12 != 4)
			continue;
		*found = (struct cffs_spot){ entry.a.ino, block, (uint8_t)s, entry.slot };
		return 1;
	}
	return 0;
}

static int root_spot(struct cffs_lost *lost, uint64_t ino, struct cffs_spot *out)
{
	uint8_t all[CFFS_BLOCK];
	struct cffs_entry entry;
	uint32_t at = 0;
	int err = check_read(lost->check, lost->root, 1, all);

	if (err)
		return err;
	if (cffs_sector_check(all + ino * CFFS_SECTOR) ||
	    !cffs_sector_next(all + ino * CFFS_SECTOR, &at, &entry))
		return -ENOENT;
	*out = (struct cffs_spot){ ino, lost->root, (uint8_t)ino, entry.slot };
	return 0;
}

/* A directory without blocks: like the root's, but nobody else's to read. */
static struct cffs_entry dir_entry(uint64_t ino, const char *name, size_t name_len)
{
	return (struct cffs_entry){
		.kind = CFFS_KIND_INODE,
		.name = name,
		.name_len = (uint8_t)name_len,
		.a = { .ino = ino, .generation = 1, .mode = 0040700, .nlink = 2 },
		.b = { .n_slots = CFFS_SLOTS_MAX },
	};
}

static int lost_found(struct cffs_lost *lost)
{
	struct cffs_entry entry;
	struct cffs_spot top;
	uint64_t end;
	int err;

	if (lost->found.ino)
		return 0;
	err = root_spot(lost, CFFS_INO_ROOT, &top);
	if (!err)
		err = blocks_visit(lost, &top, &end, find_visit, &lost->found);
	if (err)
		return err < 0 ? err : 0;
	entry = dir_entry(cffs_lost_ino(lost), "lost+found", 10);
	return entry_put(lost, &top, &entry, &lost->found);
}

int cffs_lost_link(struct cffs_lost *lost, uint64_t ino, uint32_t mode, uint32_t place)
{
	char name[24];
	struct cffs_entry entry = { .kind = CFFS_KIND_LINK,
				    .name = name,
				    .dtype = (uint8_t)(mode >> 12),
				    .link_ino = ino,
				    .link_place = place };
	struct cffs_spot spot;
	int err = lost_found(lost);

	entry.name_len = (uint8_t)snprintf(name, sizeof(name), "#%llu", (unsigned long long)ino);
	return err ? err : entry_put(lost, &lost->found, &entry, &spot);
}

/* ---- lost blocks ---- */

static int grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? 2 * *cap : 64;
	void *grown;

	if (n < *cap)
		return 0;
	grown = realloc(*v, more * size);
	if (!grown)
		return -ENOMEM;
	*v = grown;
	*cap = more;
	return 0;
}

static int children_note(struct pieces *pieces, const uint8_t *sector)
{
	struct cffs_entry entry;
	uint32_t at = 0;

	while (cffs_sector_next(sector, &at, &entry)) {
		if (entry.kind != CFFS_KIND_INODE || entry.a.mode >> 12 != 4)
			continue;
		if (grow((void **)&pieces->children, pieces->n_children, &pieces->cap_children,
			 sizeof(*pieces->children)))
			return -ENOMEM;
		pieces->children[pieces->n_children++] = entry.a.ino;
	}
	return 0;
}

/* Is that block a directory's?  All its sectors with entries must say the same. */
static int piece_take(struct pieces *pieces, uint64_t block, const uint8_t *all)
{
	struct piece piece = { .block = block };

	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		const uint8_t *sector = all + s * CFFS_SECTOR;
		uint64_t ino = le64_load(sector + CFFS_S_DIR);
		uint32_t place = le32_load(sector + CFFS_S_PLACE);

		if (cffs_sector_check(sector) || sector[CFFS_S_ENTRIES] == 0 || ino == 0)
			continue;
		if (place % CFFS_SECTORS != s ||
		    (piece.ino && (piece.ino != ino || piece.logical != place / CFFS_SECTORS)))
			return 0;
		piece.ino = ino;
		piece.logical = place / CFFS_SECTORS;
	}
	if (!piece.ino)
		return 0;
	if (grow((void **)&pieces->v, pieces->n, &pieces->cap, sizeof(*pieces->v)))
		return -ENOMEM;
	pieces->v[pieces->n++] = piece;
	for (uint32_t s = 0; s < CFFS_SECTORS; s++)
		if (!cffs_sector_check(all + s * CFFS_SECTOR) &&
		    children_note(pieces, all + s * CFFS_SECTOR))
			return -ENOMEM;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->logical != y->logical)
		return x->logical < y->logical ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

static int pieces_find(struct cffs_lost *lost, struct pieces *pieces)
{
	uint8_t all[CFFS_BLOCK];
	int err = 0;

	for (uint64_t b = check_lost_next(lost->check, 0); b != UINT64_MAX && !err;
	     b = check_lost_next(lost->check, b + 1)) {
		err = check_read_lost(lost->check, b, all);
		if (err == -EIO) {
			err = 0;
			continue;
		}
		if (!err)
			err = piece_take(pieces, b, all);
	}
	if (pieces->n)
		qsort(pieces->v, pieces->n, sizeof(*pieces->v), by_place);
	return err;
}

static bool is_child(const struct pieces *pieces, uint64_t ino)
{
	for (size_t i = 0; i < pieces->n_children; i++)
		if (pieces->children[i] == ino)
			return true;
	return false;
}

static const struct cffs_spot *tree_find(const struct cffs_lost *lost, uint64_t ino)
{
	for (size_t i = 0; i < lost->n_dirs; i++)
		if (lost->dirs[i].ino == ino)
			return &lost->dirs[i];
	return NULL;
}

/* Where the directory's inode is; it is made when there is none. */
static int home_find(struct cffs_lost *lost, uint64_t ino, struct cffs_spot *home)
{
	const struct cffs_spot *known = tree_find(lost, ino);
	struct cffs_entry entry;
	char name[24];
	int len, err;

	if (ino <= CFFS_INO_ODIR)
		return root_spot(lost, ino, home);
	if (known) {
		*home = *known;
		return 0;
	}
	err = lost_found(lost);
	len = snprintf(name, sizeof(name), "#%llu", (unsigned long long)ino);
	entry = dir_entry(ino, name, (size_t)len);
	return err ? err : entry_put(lost, &lost->found, &entry, home);
}

/* All pieces of one directory. */
static int group_restore(struct cffs_lost *lost, const struct pieces *pieces, size_t first,
			 size_t count)
{
	struct piece *v = calloc(count, sizeof(*v));
	struct cffs_spot home;
	size_t n = 0;
	int err = v ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++)
		v[n++] = pieces->v[first + i];
	if (!err && check_problem(lost->check, &cffs_lost_row, (unsigned long long)n,
				  (unsigned long long)v[0].ino)) {
		err = home_find(lost, v[0].ino, &home);
		if (!err)
			err = dir_attach(lost, &home, v, n);
		if (err) {
			check_repair_failed(lost->check);
			err = err == -ENOMEM || err == -EINTR ? err : 0;
		}
	}
	free(v);
	return err;
}

int cffs_lost_dirs(struct cffs_lost *lost)
{
	struct pieces pieces = { 0 };
	int err = pieces_find(lost, &pieces);

	for (size_t i = 0, n; i < pieces.n && !err; i += n) {
		uint64_t ino = pieces.v[i].ino;

		for (n = 1; i + n < pieces.n && pieces.v[i + n].ino == ino; n++)
			;
		if (lost->only_system ? ino <= CFFS_INO_ODIR
				      : !is_child(&pieces, ino) || tree_find(lost, ino))
			err = group_restore(lost, &pieces, i, n);
	}
	free(pieces.v);
	free(pieces.children);
	return err;
}
