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
#include "libfs/check.h"
#include "mend.h"
#include "slots.h"

#define ROW(id, code, sentence, question, safety) \
	static const struct check_problem_row id = { "cffs/" code, sentence, question, safety }

ROW(no_params, "unfinished", "making the file system was not finished", "", CHECK_REPORT_ONLY);
ROW(no_system, "no-system-directory", "inode %llu, a directory of the system, is not there", "",
    CHECK_REPORT_ONLY);
ROW(bad_sector, "bad-sector", "directory %llu: sector %u of block %u makes no sense (%d)",
    "Clear it?", CHECK_LOSSY);
ROW(misplaced, "misplaced", "directory %llu: sector %u of block %u says it belongs elsewhere",
    "Clear it?", CHECK_LOSSY);
ROW(bad_node, "bad-node", "inode %llu: an extent node makes no sense (%d)", "", CHECK_REPORT_ONLY);
ROW(bad_map, "bad-map", "inode %llu: two extents map the same part of it", "", CHECK_REPORT_ONLY);
ROW(bad_type, "bad-type", "inode %llu has mode %o, which is no type of file", "",
    CHECK_REPORT_ONLY);
ROW(bad_name, "bad-name", "directory %llu: an entry in block %u is called \"%.*s\"", "Remove it?",
    CHECK_LOSSY);
ROW(duplicate, "duplicate-name", "directory %llu: two entries \"%.*s\"", "Remove the second?",
    CHECK_LOSSY);
ROW(bad_index, "bad-index", "directory %llu: its index makes no sense", "Give the index up?",
    CHECK_SAFE);
ROW(not_indexed, "not-indexed", "directory %llu: its index does not know \"%.*s\"",
    "Give the index up?", CHECK_SAFE);
ROW(same_ino, "duplicate-inode", "inode number %llu is that of two files", "", CHECK_REPORT_ONLY);
ROW(block_count, "block-count", "inode %llu counts %llu blocks and has %llu", "Correct it?",
    CHECK_SAFE);
ROW(link_count, "link-count", "inode %llu counts %u links and has %u", "Correct it?", CHECK_SAFE);
ROW(dangling, "dangling-link", "directory %llu: \"%.*s\" means inode %llu, which is not there",
    "Remove it?", CHECK_LOSSY);
ROW(unnamed, "unnamed", "inode %llu has no name", "Call it an orphan?", CHECK_LOSSY);

static const struct check_problem_row *const problems[] = {
	&no_params,   &no_system,  &bad_sector, &misplaced, &bad_node,
	&bad_map,     &bad_type,   &bad_name,   &duplicate, &same_ino,
	&block_count, &link_count, &dangling,   &unnamed,   NULL,
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
};

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
};

static int walk_slots(struct walk *w, const struct cffs_slot *slot, uint32_t n, unsigned depth);

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
		check_problem(w->s->check, &bad_node, (unsigned long long)w->ino, wrong);
		w->bad = true;
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
			check_problem(s->check, &bad_map, (unsigned long long)w->ino);
			w->bad = true;
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

static bool type_is_good(uint32_t mode)
{
	switch (mode >> 12) {
	case 1:
	case 2:
	case 4:
	case 6:
	case 8:
	case 10:
	case 12: return true;
	default: return false;
	}
}

static int inode_check(struct state *s, uint64_t block, uint32_t sector, uint8_t bytes[CFFS_SECTOR],
		       uint32_t at, struct cffs_entry *entry)
{
	unsigned long long ino = entry->a.ino;
	struct walk w;
	int err, known;

	if (!type_is_good(entry->a.mode))
		check_problem(s->check, &bad_type, ino, entry->a.mode);
	known = set_add(&s->inos, entry->a.ino);
	if (known < 0)
		return known;
	if (known)
		check_problem(s->check, &same_ino, ino);
	err = walk_inode(s, entry, &w);
	if (!err && !w.bad && w.blocks != entry->b.blocks &&
	    check_problem(s->check, &block_count, ino, (unsigned long long)entry->b.blocks,
			  (unsigned long long)w.blocks)) {
		entry->b.blocks = w.blocks;
		err = entry_replace(s, block, sector, bytes, at, entry);
	}
	free(w.v);
	if (err || known)
		return err;
	if (entry->a.mode >> 12 == 4)
		return list_add(&s->dirs, ino, block, sector, entry->slot);
	if (s->dir_ino == CFFS_INO_XDIR)
		return list_add(&s->external, ino, block, sector, entry->slot);
	if (entry->name_len && entry->a.nlink != 1 &&
	    check_problem(s->check, &link_count, ino, entry->a.nlink, 1u)) {
		entry->a.nlink = 1;
		err = entry_replace(s, block, sector, bytes, at, entry);
	}
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

/* Returns 1 when the entry was removed. */
static int name_check(struct state *s, uint64_t block, uint32_t logical, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry)
{
	unsigned long long dir = s->dir_ino;
	const struct check_problem_row *row = NULL;
	int known, err;

	if (entry->name_len == 0)
		return 0;
	known = set_add(&s->names, name_hash(entry));
	if (known < 0)
		return known;
	if (known)
		row = check_problem(s->check, &duplicate, dir, entry->name_len, entry->name)
			      ? &duplicate
			      : NULL;
	else if (!name_is_good(entry))
		row = check_problem(s->check, &bad_name, dir, logical, entry->name_len, entry->name)
			      ? &bad_name
			      : NULL;
	if (!row)
		return 0;
	err = entry_remove(s, block, sector, bytes, at);
	return err ? err : 1;
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

static int sector_check(struct state *s, uint64_t block, uint32_t logical, uint32_t sector,
			uint8_t bytes[CFFS_SECTOR])
{
	int wrong = cffs_sector_check(bytes), got = 0;
	unsigned long long dir = s->dir_ino;
	struct cffs_entry entry;
	uint32_t at = 0, before = 0;

	if (wrong) {
		s->blind = true;
		return check_problem(s->check, &bad_sector, dir, sector, logical, wrong)
			       ? sector_clear(s, block, sector)
			       : 0;
	}
	if (!sector_belongs(s, bytes, logical, sector) &&
	    check_problem(s->check, &misplaced, dir, sector, logical)) {
		s->blind = true;
		return sector_clear(s, block, sector);
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

static int dir_extent(struct state *s, const struct cffs_slot *extent)
{
	uint8_t all[CFFS_BLOCK], bytes[CFFS_SECTOR];
	int err = 0;

	for (uint32_t i = 0; i < extent->count && !err; i++) {
		err = check_read(s->check, extent->start + i, 1, all);
		for (uint32_t k = 0; k < CFFS_SECTORS && !err; k++) {
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
	for (size_t i = 0; i < w.n && !err; i++)
		if (w.v[i].class == CFFS_CLASS_DIR)
			err = dir_extent(s, &w.v[i]);
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
	uint32_t at;
	int err;

	if (known->links)
		return count_check(s, known, known->links);
	err = entry_read(s, known, bytes, &at, &entry);
	if (err || entry.a.nlink == 0 || s->blind)
		return err == -ENOENT ? 0 : err;
	if (!check_problem(s->check, &unnamed, (unsigned long long)known->ino))
		return 0;
	entry.a.nlink = 0;
	entry.a.flags |= CFFS_F_ORPHAN;
	return entry_replace(s, known->block, known->sector, bytes, at, &entry);
}

/* ---- all ---- */

static int system_check(struct state *s, uint64_t root, const uint8_t *bytes, uint64_t ino)
{
	const uint8_t *sector = bytes + ino * CFFS_SECTOR;
	struct cffs_entry entry;
	uint32_t at = 0;

	if (cffs_sector_check(sector) || !cffs_sector_next(sector, &at, &entry) ||
	    entry.kind != CFFS_KIND_INODE || entry.a.ino != ino || entry.a.mode >> 12 != 4) {
		check_problem(s->check, &no_system, (unsigned long long)ino);
		return -ENOENT;
	}
	return list_add(&s->dirs, ino, root, (uint32_t)ino, entry.slot);
}

/* XDIR first, whose inodes the links of all others are compared with; then the tree. */
static int check_all(struct state *s, uint64_t root, const uint8_t *bytes)
{
	static const uint64_t order[] = { CFFS_INO_XDIR, CFFS_INO_ODIR, CFFS_INO_ROOT };
	int err = 0;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && !err; i++) {
		s->dirs.n = 0;
		err = system_check(s, root, bytes, order[i]);
		if (!err)
			err = tree_check(s);
		if (order[i] == CFFS_INO_XDIR && s->external.n)
			qsort(s->external.v, s->external.n, sizeof(*s->external.v), by_ino);
	}
	for (size_t i = 0; i < s->external.n && !err; i++)
		err = external_check(s, &s->external.v[i]);
	return err == -ENOENT ? 0 : err;
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
	if (cffs_sector_check(bytes) || !cffs_params_decode(bytes, &params)) {
		check_problem(check, &no_params);
		return 0;
	}
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
