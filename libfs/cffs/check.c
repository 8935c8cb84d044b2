/* SPDX-License-Identifier: MIT */
/*
 * The checker of C-FFS: what XN cannot know.
 *
 *   pass 1  from the root object down, directory by directory: sectors, entries,
 *	     names, slots, blocks owned
 *   pass 2  links and external inodes against each other, and directories' counts
 *
 *  (1) XN has proved that every block has one owner before we begin, so a walk
 *      over blocks ends.
 *  (2) A directory's sector that makes no sense hides what it held: from then on
 *      nothing is called unnamed.
 *  (3) Orphans (nameless, no links) are no problem: mounting frees them.
 *  (4) Memory: 24 bytes for each directory and external inode, 8 for each file,
 *      and 24 for each name of the largest directory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_index.h"
#include "check_inode.h"
#include "check_lost.h"
#include "libfs/check.h"
#include "mend.h"
#include "slots.h"

#define ROW(id, code, sentence, question, safety)                                              \
	static const struct check_problem_row id = { "cffs/" code, sentence, question, safety, \
						     false }

ROW(no_params, "unfinished", "making the file system was not finished", "", CHECK_REPORT_ONLY);
ROW(lost_params, "parameters", "the parameters of the file system are gone", "Write usual ones?",
    CHECK_LOSSY);
ROW(no_system, "no-system-directory", "inode %llu, a directory of the system, is not there",
    "Make an empty one?", CHECK_LOSSY);
ROW(bad_sector, "bad-sector", "directory %llu: sector %u of block %u makes no sense (%d)",
    "Clear it?", CHECK_LOSSY);
ROW(misplaced, "misplaced", "directory %llu: sector %u of block %u says it belongs elsewhere",
    "Let it belong here?", CHECK_LOSSY);
ROW(bad_node, "bad-node", "inode %llu: an extent node makes no sense (%d)",
    "Keep what makes sense?", CHECK_LOSSY);
ROW(bad_map, "bad-map", "inode %llu: two extents map the same part of it", "Cut one off?",
    CHECK_LOSSY);
ROW(bad_name, "bad-name", "directory %llu: an entry in block %u is called \"%.*s\"",
    "Write '_' there?", CHECK_LOSSY);
ROW(duplicate, "duplicate-name", "directory %llu: two entries \"%.*s\"", "Rename the second?",
    CHECK_LOSSY);
ROW(bad_index, "bad-index", "directory %llu: its index makes no sense", "Give the index up?",
    CHECK_SAFE);
ROW(not_indexed, "not-indexed", "directory %llu: its index does not know \"%.*s\"",
    "Give the index up?", CHECK_SAFE);
ROW(same_ino, "duplicate-inode", "inode number %llu is that of two files",
    "Give the second another?", CHECK_LOSSY);
/* Inode and extent nodes lie in different sectors, and are written one after the other. */
static const struct check_problem_row block_count = { "cffs/block-count",
						      "inode %llu counts %llu blocks and has %llu",
						      "Correct it?", CHECK_SAFE, .stays = true };
ROW(link_count, "link-count", "inode %llu counts %u links and has %u", "Correct it?", CHECK_SAFE);
ROW(dangling, "dangling-link", "directory %llu: \"%.*s\" means inode %llu, which is not there",
    "Remove it?", CHECK_LOSSY);
ROW(unnamed, "unnamed", "inode %llu has no name", "Name it in lost+found?", CHECK_LOSSY);

static const struct check_problem_row *const problems[] = {
	&no_params,
	&lost_params,
	&no_system,
	&bad_sector,
	&misplaced,
	&bad_node,
	&bad_map,
	&bad_name,
	&duplicate,
	&bad_index,
	&not_indexed,
	&same_ino,
	&block_count,
	&link_count,
	&dangling,
	&unnamed,
	&cffs_lost_row,
	&cffs_bad_type_row,
	&cffs_bad_size_row,
	&cffs_bad_flags_row,
	&cffs_bad_xattrs_row,
	NULL,
};

/* A directory, or an external inode. */
struct known {
	uint64_t ino;
	uint64_t block; /* of its entry */
	uint32_t links; /* found */
	uint8_t sector, slot;
};

struct list {
	struct known *v;
	size_t n, cap;
};

struct set {
	uint64_t *v; /* open addressing; 0: empty */
	size_t n, cap;
};

struct state {
	struct check *check;
	struct list dirs;     /* of the tree, as they are met */
	struct list external; /* by number once XDIR was read */
	struct set inos, names;
	bool blind;          /* some sector could not be understood */
	const uint8_t *seed; /* of names' hashes */
	/* The directory being read. */
	uint64_t dir_ino;
	struct cffs_hints hints; /* head 0: it has no index, or it was given up */
	struct cffs_lost lost;
};

#define XATTR_BLOCKS_MAX 32u /* more than there can be */

/* ---- sets and lists ---- */

static uint64_t mix(uint64_t h)
{
	h ^= h >> 31;
	h *= 0x7fb5d329728ea185ull;
	h ^= h >> 27;
	h *= 0x81dadef4bc2dd44dull;
	return h ^ h >> 33;
}

static void set_put(uint64_t *v, size_t cap, uint64_t what)
{
	size_t i = mix(what) & (cap - 1);

	while (v[i])
		i = (i + 1) & (cap - 1);
	v[i] = what;
}

/* 1: it was there. */
static int set_add(struct set *set, uint64_t what)
{
	size_t i;

	if (set->n * 2 >= set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 1024;
		uint64_t *v = calloc(cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		for (i = 0; i < set->cap; i++)
			if (set->v[i])
				set_put(v, cap, set->v[i]);
		free(set->v);
		set->v = v;
		set->cap = cap;
	}
	for (i = mix(what) & (set->cap - 1); set->v[i]; i = (i + 1) & (set->cap - 1))
		if (set->v[i] == what)
			return 1;
	set->v[i] = what;
	set->n++;
	return 0;
}

static bool set_has(const struct set *set, uint64_t what)
{
	size_t i = set->cap ? mix(what) & (set->cap - 1) : 0;

	while (set->cap && set->v[i] && set->v[i] != what)
		i = (i + 1) & (set->cap - 1);
	return set->cap && set->v[i];
}

static void set_clear(struct set *set)
{
	free(set->v);
	memset(set, 0, sizeof(*set));
}

static int list_add(struct list *list, uint64_t ino, uint64_t block, uint32_t sector, uint8_t slot)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct known *v = realloc(list->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n++] = (struct known){
		.ino = ino, .block = block, .sector = (uint8_t)sector, .slot = slot
	};
	return 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct known *external_find(struct state *s, uint64_t ino)
{
	struct known key = { .ino = ino };

	return s->external.n ? bsearch(&key, s->external.v, s->external.n, sizeof(key), by_ino)
			     : NULL;
}

/* ---- what an inode maps ---- */

struct walk {
	struct state *s;
	uint64_t ino;
	uint64_t blocks; /* owned */
	struct cffs_slot *v;
	size_t n, cap;
	bool bad;
	struct cffs_slot twice; /* an extent that maps what another one does; class 0: none */
};

static int walk_slots(struct walk *w, const struct cffs_slot *slot, uint32_t n, unsigned depth);

/* What is left of it names less: the walk over `owns` looks again, and so do we. */
static int node_mend(struct check *check, uint64_t block, uint8_t bytes[CFFS_BLOCK])
{
	if (!cffs_node_settle(bytes, CFFS_BLOCKS_MAX))
		memset(bytes, 0, CFFS_BLOCK);
	check_ownership_changed(check);
	return check_write(check, block, 1, bytes);
}

static int walk_node(struct walk *w, uint64_t block, unsigned depth)
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
		if (check_problem(w->s->check, &bad_node, (unsigned long long)w->ino, wrong))
			err = node_mend(w->s->check, block, bytes);
	} else {
		err = walk_slots(w, set->slot, set->n, depth + 1);
	}
	free(set);
	return err;
}

static int walk_extent(struct walk *w, const struct cffs_slot *slot)
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

static int walk_slots(struct walk *w, const struct cffs_slot *slot, uint32_t n, unsigned depth)
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
static int walk_inode(struct state *s, const struct cffs_entry *entry, struct walk *w)
{
	int err;

	*w = (struct walk){ .s = s, .ino = entry->a.ino };
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

/* ---- repairs ---- */

static int sector_write(struct state *s, uint64_t block, uint32_t sector,
			uint8_t bytes[CFFS_SECTOR])
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, block, 1, all);

	if (err)
		return err;
	cffs_sector_seal(bytes);
	memcpy(all + sector * CFFS_SECTOR, bytes, CFFS_SECTOR);
	return check_write(s->check, block, 1, all);
}

static int entry_remove(struct state *s, uint64_t block, uint32_t sector,
			uint8_t bytes[CFFS_SECTOR], uint32_t at)
{
	cffs_sector_remove(bytes, at);
	check_ownership_changed(s->check);
	return sector_write(s, block, sector, bytes);
}

static int entry_replace(struct state *s, uint64_t block, uint32_t sector,
			 uint8_t bytes[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry)
{
	if (!cffs_sector_replace(bytes, at, entry))
		return 0;
	return sector_write(s, block, sector, bytes);
}

/* ---- pass 1: entries ---- */

/* The number that a directory's own blocks say it has; 0: they do not. */
static uint64_t number_of_blocks(struct state *s, const struct cffs_entry *entry)
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

static bool ino_is_taken(const void *arg, uint64_t ino)
{
	const struct state *s = arg;

	return set_has(&s->inos, ino);
}

/* Returns 1 when the number was taken and stays so. */
static int number_check(struct state *s, struct cffs_entry *entry, bool *changed)
{
	int known = entry->a.ino ? set_add(&s->inos, entry->a.ino) : 1;
	uint64_t own;

	if (known <= 0)
		return known;
	if (!check_problem(s->check, &same_ino, (unsigned long long)entry->a.ino))
		return 1;
	own = number_of_blocks(s, entry);
	entry->a.ino = own && !ino_is_taken(s, own) ? own : cffs_lost_ino(&s->lost);
	*changed = true;
	known = set_add(&s->inos, entry->a.ino);
	return known < 0 ? known : 0;
}

/* An extent that maps what another one does, in a node; *cut when it was there. */
static int node_cut(struct state *s, uint64_t block, const struct cffs_slot *twice, unsigned depth,
		    bool *cut)
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

static int map_check(struct state *s, struct cffs_entry *entry, const struct walk *w, bool *changed)
{
	bool cut = false;
	int err = 0;

	if (!w->twice.class || !check_problem(s->check, &bad_map, (unsigned long long)entry->a.ino))
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

static int xattr_blocks_check(struct state *s, struct cffs_entry *entry, bool *changed);

/* All about one inode; what changed is written. */
static int fields_check(struct state *s, struct cffs_entry *entry, bool *changed)
{
	struct walk w;
	int err = walk_inode(s, entry, &w);
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
	    check_problem(s->check, &block_count, (unsigned long long)entry->a.ino,
			  (unsigned long long)entry->b.blocks, (unsigned long long)w.blocks)) {
		entry->b.blocks = w.blocks;
		*changed = true;
	}
	free(w.v);
	return err;
}

static int inode_check(struct state *s, uint64_t block, uint32_t sector, uint8_t bytes[CFFS_SECTOR],
		       uint32_t at, struct cffs_entry *entry)
{
	bool changed = false, counted = entry->a.mode >> 12 == 4 || s->dir_ino == CFFS_INO_XDIR;
	int known = number_check(s, entry, &changed), err = known < 0 ? known : 0;

	if (!err)
		err = fields_check(s, entry, &changed);
	if (!err && !known && !counted && entry->name_len && entry->a.nlink != 1 &&
	    check_problem(s->check, &link_count, (unsigned long long)entry->a.ino, entry->a.nlink,
			  1u)) {
		entry->a.nlink = 1;
		changed = true;
	}
	if (!err && changed)
		err = entry_replace(s, block, sector, bytes, at, entry);
	if (err || known)
		return err;
	if (entry->a.mode >> 12 == 4)
		return list_add(&s->dirs, entry->a.ino, block, sector, entry->slot);
	if (s->dir_ino == CFFS_INO_XDIR)
		return list_add(&s->external, entry->a.ino, block, sector, entry->slot);
	return 0;
}

/* Attributes in blocks: a list that ends where it makes no sense any more. */
static int xattr_blocks_check(struct state *s, struct cffs_entry *entry, bool *changed)
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

static bool name_is_good(const struct cffs_entry *entry)
{
	if (entry->name_len == 1 && entry->name[0] == '.')
		return false;
	if (entry->name_len == 2 && memcmp(entry->name, "..", 2) == 0)
		return false;
	return !memchr(entry->name, '/', entry->name_len) &&
	       !memchr(entry->name, '\0', entry->name_len);
}

static uint64_t name_hash(const struct cffs_entry *entry)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (uint32_t i = 0; i < entry->name_len; i++)
		h = mix(h ^ (uint8_t)entry->name[i]);
	return h | 1;
}

/* Nobody can say these letters; what they name is kept. */
static void name_mend(uint8_t *name, uint32_t len)
{
	bool dots = name[0] == '.' && len <= 2;

	for (uint32_t i = 0; i < len; i++)
		if (name[i] == '/' || name[i] == 0 || (dots && name[i] == '.'))
			name[i] = '_';
}

/* Other last letters, until nobody else here is called so.  False: all are. */
static bool name_change(struct state *s, uint8_t *name, struct cffs_entry *entry)
{
	uint8_t *last = name + entry->name_len - 1, *before = entry->name_len > 1 ? last - 1 : NULL;

	for (uint8_t a = '~'; a >= '0'; a--)
		for (uint8_t b = '~'; b >= '0'; b--) {
			*last = b;
			if (before && a != '~')
				*before = a;
			if (!set_has(&s->names, name_hash(entry)))
				return true;
			if (!before && b == '0')
				return false;
		}
	return false;
}

/* Returns 1 when the entry was removed. */
static int name_check(struct state *s, uint64_t block, uint32_t logical, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry)
{
	uint8_t *name = bytes + ((const uint8_t *)entry->name - bytes);
	unsigned long long dir = s->dir_ino;
	bool changed = false;
	int err;

	if (entry->name_len == 0)
		return 0;
	if (!name_is_good(entry) &&
	    check_problem(s->check, &bad_name, dir, logical, entry->name_len, entry->name)) {
		name_mend(name, entry->name_len);
		changed = true;
	}
	if (set_has(&s->names, name_hash(entry)) &&
	    check_problem(s->check, &duplicate, dir, entry->name_len, entry->name)) {
		if (!name_change(s, name, entry)) {
			err = entry_remove(s, block, sector, bytes, at);
			return err ? err : 1;
		}
		changed = true;
	}
	err = set_add(&s->names, name_hash(entry));
	if (err >= 0 && changed)
		err = sector_write(s, block, sector, bytes);
	return err < 0 ? err : 0;
}

/* Nobody relies on it any more: the directory gets a new one when it grows. */
static int index_give_up(struct state *s)
{
	uint8_t bytes[CFFS_BLOCK] = { 0 };

	cffs_head_encode(bytes, s->dir_ino, 0);
	return check_write(s->check, s->hints.head, 1, bytes);
}

static int hint_check(struct state *s, uint32_t logical, uint32_t sector,
		      const struct cffs_entry *entry)
{
	struct cffs_hint hint = { .at = logical * CFFS_SECTORS + sector + 1 };
	int err;

	if (!s->hints.head || entry->name_len == 0)
		return 0;
	hint.hash = cffs_name_hash(s->seed, entry->name, entry->name_len);
	if (cffs_hints_know(&s->hints, &hint) ||
	    !check_problem(s->check, &not_indexed, (unsigned long long)s->dir_ino, entry->name_len,
			   entry->name))
		return 0;
	err = index_give_up(s);
	s->hints.head = 0;
	return err;
}

static int link_check(struct state *s, uint64_t block, uint32_t sector, uint8_t bytes[CFFS_SECTOR],
		      uint32_t at, const struct cffs_entry *entry)
{
	struct known *to = external_find(s, entry->link_ino);

	if (to && to->sector == entry->link_place % CFFS_SECTORS) {
		to->links++;
		return 0;
	}
	if (!check_problem(s->check, &dangling, (unsigned long long)s->dir_ino, entry->name_len,
			   entry->name, (unsigned long long)entry->link_ino))
		return 0;
	return entry_remove(s, block, sector, bytes, at) ? -EIO : 1;
}

static int sector_clear(struct state *s, uint64_t block, uint32_t sector)
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, block, 1, all);

	if (err)
		return err;
	memset(all + sector * CFFS_SECTOR, 0, CFFS_SECTOR);
	check_ownership_changed(s->check);
	return check_write(s->check, block, 1, all);
}

static bool sector_belongs(const struct state *s, const uint8_t *bytes, uint32_t logical,
			   uint32_t sector)
{
	le64_t dir;
	le32_t place;

	memcpy(&dir, bytes + CFFS_S_DIR, sizeof(dir));
	memcpy(&place, bytes + CFFS_S_PLACE, sizeof(place));
	return bytes[CFFS_S_ENTRIES] == 0 ||
	       (le64_get(dir) == s->dir_ino && le32_get(place) == logical * CFFS_SECTORS + sector);
}

/* It says from now on that it is this directory's. */
static int sector_take(struct state *s, uint64_t block, uint32_t logical, uint32_t sector,
		       uint8_t bytes[CFFS_SECTOR])
{
	le64_t dir = le64_make(s->dir_ino);
	le32_t place = le32_make(logical * CFFS_SECTORS + sector);

	memcpy(bytes + CFFS_S_DIR, &dir, sizeof(dir));
	memcpy(bytes + CFFS_S_PLACE, &place, sizeof(place));
	return sector_write(s, block, sector, bytes);
}

static int sector_check(struct state *s, uint64_t block, uint32_t logical, uint32_t sector,
			uint8_t bytes[CFFS_SECTOR])
{
	int wrong = cffs_sector_check(bytes), got = 0;
	unsigned long long dir = s->dir_ino;
	struct cffs_entry entry;
	uint32_t at = 0, before = 0;

	/* 8: a name that cannot be said, which is seen to below. */
	if (wrong && wrong != 8) {
		if (check_problem(s->check, &bad_sector, dir, sector, logical, wrong))
			return sector_clear(s, block, sector);
		s->blind = true;
		return 0;
	}
	if (!sector_belongs(s, bytes, logical, sector) &&
	    check_problem(s->check, &misplaced, dir, sector, logical)) {
		got = sector_take(s, block, logical, sector, bytes);
		if (got)
			return got;
	}
	while (cffs_sector_next(bytes, &at, &entry)) {
		got = name_check(s, block, logical, sector, bytes, at, &entry);
		if (!got)
			got = hint_check(s, logical, sector, &entry);
		if (!got && entry.kind == CFFS_KIND_INODE)
			got = inode_check(s, block, sector, bytes, at, &entry);
		else if (!got && entry.kind == CFFS_KIND_LINK)
			got = link_check(s, block, sector, bytes, at, &entry);
		if (got < 0)
			return got;
		if (got == 1)
			at = before; /* what was behind it is there now */
		before = at;
	}
	return 0;
}

/* ---- pass 1: directories ---- */

static int entry_read(struct state *s, const struct known *known, uint8_t bytes[CFFS_SECTOR],
		      uint32_t *at, struct cffs_entry *entry)
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, known->block, 1, all);

	if (err)
		return err;
	memcpy(bytes, all + known->sector * CFFS_SECTOR, CFFS_SECTOR);
	*at = cffs_sector_find_slot(bytes, known->slot);
	if (!*at)
		return -ENOENT;
	cffs_entry_decode(bytes, *at, entry);
	return entry->kind == CFFS_KIND_INODE ? 0 : -ENOENT;
}

/* Sectors that were mended come `last`: of two names alike the other one stays. */
static int dir_extent(struct state *s, const struct cffs_slot *extent, bool last)
{
	uint8_t all[CFFS_BLOCK], bytes[CFFS_SECTOR];
	int err = 0;

	for (uint32_t i = 0; i < extent->count && !err; i++) {
		err = check_read(s->check, extent->start + i, 1, all);
		for (uint32_t k = 0; k < CFFS_SECTORS && !err; k++) {
			if (check_sector_was_mended(s->check, extent->start + i, k) != last)
				continue;
			memcpy(bytes, all + k * CFFS_SECTOR, CFFS_SECTOR);
			err = sector_check(s, extent->start + i, (uint32_t)extent->logical + i, k,
					   bytes);
		}
	}
	return err;
}

static int index_check(struct state *s, const struct walk *w)
{
	int err = cffs_hints_read(s->check, check_read, s->dir_ino, w->v, w->n, &s->hints);

	if (err || !s->hints.bad)
		return err;
	if (check_problem(s->check, &bad_index, (unsigned long long)s->dir_ino))
		err = index_give_up(s);
	s->hints.head = 0;
	return err;
}

/* Returns how many subdirectories it was found to have. */
static int dir_check(struct state *s, const struct known *dir, uint32_t *subdirs)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	size_t before = s->dirs.n;
	struct walk w = { 0 };
	uint32_t at;
	int err = entry_read(s, dir, bytes, &at, &entry);

	if (err)
		return err == -ENOENT ? 0 : err;
	s->dir_ino = dir->ino;
	err = walk_inode(s, &entry, &w);
	if (!err)
		err = index_check(s, &w);
	for (int last = 0; last <= (check_was_mended(s->check) ? 1 : 0); last++)
		for (size_t i = 0; i < w.n && !err; i++)
			if (w.v[i].class == CFFS_CLASS_DIR)
				err = dir_extent(s, &w.v[i], last);
	free(w.v);
	cffs_hints_free(&s->hints);
	set_clear(&s->names);
	*subdirs = (uint32_t)(s->dirs.n - before);
	return err;
}

static int count_check(struct state *s, const struct known *known, uint32_t found)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at;
	int err = entry_read(s, known, bytes, &at, &entry);

	if (err || entry.a.ino != known->ino || entry.a.nlink == found)
		return err == -ENOENT ? 0 : err;
	if (!check_problem(s->check, &link_count, (unsigned long long)known->ino, entry.a.nlink,
			   found))
		return 0;
	entry.a.nlink = found;
	return entry_replace(s, known->block, known->sector, bytes, at, &entry);
}

static int tree_check(struct state *s)
{
	int err = 0;

	for (size_t i = 0; i < s->dirs.n && !err; i++) {
		struct known dir = s->dirs.v[i];
		uint32_t subdirs = 0;

		err = dir_check(s, &dir, &subdirs);
		if (!err)
			err = count_check(s, &dir, 2 + subdirs);
		check_progress(s->check, i + 1, s->dirs.n);
	}
	return err;
}

/* ---- pass 2 ---- */

static int external_check(struct state *s, const struct known *known)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	le32_t place;
	uint32_t at;
	int err;

	if (known->links)
		return count_check(s, known, known->links);
	err = entry_read(s, known, bytes, &at, &entry);
	if (err || entry.a.nlink == 0 || s->blind)
		return err == -ENOENT ? 0 : err;
	if (!check_problem(s->check, &unnamed, (unsigned long long)known->ino))
		return 0;
	memcpy(&place, bytes + CFFS_S_PLACE, sizeof(place));
	err = cffs_lost_link(&s->lost, known->ino, entry.a.mode, le32_get(place));
	if (err)
		check_repair_failed(s->check);
	check_ownership_changed(s->check); /* so that we look again */
	return err == -ENOMEM || err == -EINTR ? err : 0;
}

/* ---- all ---- */

static bool system_is_there(const uint8_t *sector, uint64_t ino, struct cffs_entry *entry)
{
	uint32_t at = 0;

	return !cffs_sector_check(sector) && cffs_sector_next(sector, &at, entry) &&
	       entry->kind == CFFS_KIND_INODE && entry->a.ino == ino && entry->a.mode >> 12 == 4;
}

static int system_check(struct state *s, uint64_t root, uint8_t *bytes, uint64_t ino)
{
	uint8_t *sector = bytes + ino * CFFS_SECTOR;
	struct cffs_entry entry;
	int err = 0;

	if (!system_is_there(sector, ino, &entry)) {
		if (!check_problem(s->check, &no_system, (unsigned long long)ino))
			return -ENOENT;
		cffs_system_sector(ino, sector);
		check_ownership_changed(s->check);
		err = check_write(s->check, root, 1, bytes);
		if (err || !system_is_there(sector, ino, &entry))
			return err ? err : -ENOENT;
	}
	return list_add(&s->dirs, ino, root, (uint32_t)ino, entry.slot);
}

/* Blocks that the walk cut off, or that a directory's inode lost. */
static int lost_check(struct state *s)
{
	struct cffs_spot *dirs = calloc(s->dirs.n ? s->dirs.n : 1, sizeof(*dirs));
	int err;

	if (!dirs)
		return -ENOMEM;
	for (size_t i = 0; i < s->dirs.n; i++)
		dirs[i] = (struct cffs_spot){ s->dirs.v[i].ino, s->dirs.v[i].block,
					      s->dirs.v[i].sector, s->dirs.v[i].slot };
	s->lost.dirs = dirs;
	s->lost.n_dirs = s->dirs.n;
	err = cffs_lost_dirs(&s->lost);
	s->lost.dirs = NULL;
	s->lost.n_dirs = 0;
	free(dirs);
	return err;
}

/* What hangs on the directories of the system is looked at when they are whole. */
static int system_restore(struct state *s, uint64_t root, uint8_t *bytes)
{
	int err = 0;

	for (uint64_t ino = CFFS_INO_ROOT; ino <= CFFS_INO_ODIR && !err; ino++)
		err = system_check(s, root, bytes, ino);
	s->dirs.n = 0;
	s->lost.only_system = true;
	if (!err)
		err = cffs_lost_dirs(&s->lost);
	s->lost.only_system = false;
	return err;
}

/* XDIR first, whose inodes the links of all others are compared with; then the tree. */
static int check_all(struct state *s, uint64_t root, uint8_t *bytes)
{
	static const uint64_t order[] = { CFFS_INO_XDIR, CFFS_INO_ODIR, CFFS_INO_ROOT };
	int err = check_was_mended(s->check) ? system_restore(s, root, bytes) : 0;

	if (err || check_must_rewalk(s->check))
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !err; i++) {
		s->dirs.n = 0;
		err = system_check(s, root, bytes, order[i]);
		if (!err)
			err = tree_check(s);
		if (order[i] == CFFS_INO_XDIR && s->external.n)
			qsort(s->external.v, s->external.n, sizeof(*s->external.v), by_ino);
	}
	/* First what was lost: names may be in it. */
	if (!err && check_was_mended(s->check))
		err = lost_check(s);
	for (size_t i = 0; i < s->external.n && !err && !check_must_rewalk(s->check); i++)
		err = external_check(s, &s->external.v[i]);
	return err == -ENOENT ? 0 : err;
}

/* Is it as mkfs has it before the parameters: at most its own inodes, which have nothing? */
static bool is_fresh(const uint8_t *bytes)
{
	static const uint8_t zeroes[CFFS_SECTOR];
	struct cffs_entry entry;

	if (memcmp(bytes, zeroes, sizeof(zeroes)) != 0)
		return false;
	for (uint64_t ino = CFFS_INO_ROOT; ino <= CFFS_INO_ODIR; ino++) {
		const uint8_t *sector = bytes + ino * CFFS_SECTOR;

		if (memcmp(sector, zeroes, sizeof(zeroes)) != 0 &&
		    (!system_is_there(sector, ino, &entry) || entry.b.blocks > 0))
			return false;
	}
	return true;
}

/*
 * mkfs writes them last: without the inode of the root directory it never got that far, and
 * where there is none but its own nothing is lost.
 */
static bool params_get(struct check *check, uint64_t root, uint8_t *bytes,
		       struct cffs_params *params, int *err)
{
	struct cffs_entry entry;

	if (!cffs_sector_check(bytes) && cffs_params_decode(bytes, params))
		return true;
	if (!check_was_mended(check) &&
	    (is_fresh(bytes) ||
	     !system_is_there(bytes + CFFS_INO_ROOT * CFFS_SECTOR, CFFS_INO_ROOT, &entry))) {
		check_problem(check, &no_params);
		return false;
	}
	if (!check_problem(check, &lost_params))
		return false;
	cffs_params_anew(check_root_uuid(check), bytes);
	*err = check_write(check, root, 1, bytes);
	return !*err && cffs_params_decode(bytes, params);
}

static int check_cffs(struct check *check)
{
	struct state s = { .check = check };
	uint64_t root = check_root_object(check);
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_params params;
	int err = check_read(check, root, 1, bytes);

	if (err)
		return err;
	s.lost = (struct cffs_lost){
		.check = check, .root = root, .is_taken = ino_is_taken, .arg = &s
	};
	if (!params_get(check, root, bytes, &params, &err))
		return err;
	s.seed = params.uuid;
	err = check_all(&s, root, bytes);
	set_clear(&s.inos);
	set_clear(&s.names);
	free(s.dirs.v);
	free(s.external.v);
	return err;
}

extern const struct libfs_checker cffs_checker;

const struct libfs_checker cffs_checker = {
	.check = check_cffs,
	.mend = cffs_mend,
	.image = cffs_image,
	.problems = problems,
};
