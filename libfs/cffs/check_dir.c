/* SPDX-License-Identifier: MIT */
/*
 * The checker, pass 1: directories, sector by sector and name by name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_state.h"

CFFS_ROW(bad_sector, "bad-sector", "directory %llu: sector %u of block %u makes no sense (%d)",
	 "Clear it?", CHECK_LOSSY);
CFFS_ROW(misplaced, "misplaced", "directory %llu: sector %u of block %u says it belongs elsewhere",
	 "Let it belong here?", CHECK_LOSSY);
CFFS_ROW(bad_name, "bad-name", "directory %llu: an entry in block %u is called \"%.*s\"",
	 "Write '_' there?", CHECK_LOSSY);
CFFS_ROW(duplicate, "duplicate-name", "directory %llu: two entries \"%.*s\"", "Rename the second?",
	 CHECK_LOSSY);
CFFS_ROW(bad_index, "bad-index", "directory %llu: its index makes no sense", "Give the index up?",
	 CHECK_SAFE);
CFFS_ROW(not_indexed, "not-indexed", "directory %llu: its index does not know \"%.*s\"",
	 "Give the index up?", CHECK_SAFE);
CFFS_ROW(dangling, "dangling-link", "directory %llu: \"%.*s\" means inode %llu, which is not there",
	 "Remove it?", CHECK_LOSSY);

/* ---- names ---- */

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
		h = cffs_check_mix(h ^ (uint8_t)entry->name[i]);
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
static bool name_change(struct cffs_state *s, uint8_t *name, struct cffs_entry *entry)
{
	uint8_t *last = name + entry->name_len - 1, *before = entry->name_len > 1 ? last - 1 : NULL;

	for (uint8_t a = '~'; a >= '0'; a--)
		for (uint8_t b = '~'; b >= '0'; b--) {
			*last = b;
			if (before && a != '~')
				*before = a;
			if (!cffs_numbers_have(&s->names, name_hash(entry)))
				return true;
			if (!before && b == '0')
				return false;
		}
	return false;
}

/* Returns 1 when the entry was removed. */
static int name_check(struct cffs_state *s, uint64_t block, uint32_t logical, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry)
{
	uint8_t *name = bytes + ((const uint8_t *)entry->name - bytes);
	unsigned long long dir = s->dir_ino;
	bool changed = false;
	int err;

	if (entry->name_len == 0)
		return 0;
	if (!name_is_good(entry) && check_problem(s->check, &cffs_bad_name_row, dir, logical,
						  entry->name_len, entry->name)) {
		name_mend(name, entry->name_len);
		changed = true;
	}
	if (cffs_numbers_have(&s->names, name_hash(entry)) &&
	    check_problem(s->check, &cffs_duplicate_row, dir, entry->name_len, entry->name)) {
		if (!name_change(s, name, entry)) {
			err = cffs_check_remove(s, block, sector, bytes, at);
			return err ? err : 1;
		}
		changed = true;
	}
	err = cffs_numbers_add(&s->names, name_hash(entry));
	if (err >= 0 && changed)
		err = cffs_check_write_sector(s, block, sector, bytes);
	return err < 0 ? err : 0;
}

/* Nobody relies on it any more: the directory gets a new one when it grows. */
static int index_give_up(struct cffs_state *s)
{
	uint8_t bytes[CFFS_BLOCK] = { 0 };

	cffs_head_encode(bytes, s->dir_ino, 0);
	return check_write(s->check, s->hints.head, 1, bytes);
}

static int hint_check(struct cffs_state *s, uint32_t logical, uint32_t sector,
		      const struct cffs_entry *entry)
{
	struct cffs_hint hint = { .at = logical * CFFS_SECTORS + sector + 1 };
	int err;

	if (!s->hints.head || entry->name_len == 0)
		return 0;
	hint.hash = cffs_name_hash(s->seed, entry->name, entry->name_len);
	if (cffs_hints_know(&s->hints, &hint) ||
	    !check_problem(s->check, &cffs_not_indexed_row, (unsigned long long)s->dir_ino,
			   entry->name_len, entry->name))
		return 0;
	err = index_give_up(s);
	s->hints.head = 0;
	return err;
}

static int link_check(struct cffs_state *s, uint64_t block, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry)
{
	struct cffs_known *to = cffs_external_find(s, entry->link_ino);

	if (to && to->sector == entry->link_place % CFFS_SECTORS) {
		to->links++;
		return 0;
	}
	if (!check_problem(s->check, &cffs_dangling_row, (unsigned long long)s->dir_ino,
			   entry->name_len, entry->name, (unsigned long long)entry->link_ino))
		return 0;
	return cffs_check_remove(s, block, sector, bytes, at) ? -EIO : 1;
}

/* ---- sectors ---- */

static int sector_clear(struct cffs_state *s, uint64_t block, uint32_t sector)
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, block, 1, all);

	if (err)
		return err;
	memset(all + sector * CFFS_SECTOR, 0, CFFS_SECTOR);
	check_ownership_changed(s->check);
	return check_write(s->check, block, 1, all);
}

static bool sector_belongs(const struct cffs_state *s, const uint8_t *bytes, uint32_t logical,
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
static int sector_take(struct cffs_state *s, uint64_t block, uint32_t logical, uint32_t sector,
		       uint8_t bytes[CFFS_SECTOR])
{
	le64_t dir = le64_make(s->dir_ino);
	le32_t place = le32_make(logical * CFFS_SECTORS + sector);

	memcpy(bytes + CFFS_S_DIR, &dir, sizeof(dir));
	memcpy(bytes + CFFS_S_PLACE, &place, sizeof(place));
	return cffs_check_write_sector(s, block, sector, bytes);
}

static int sector_check(struct cffs_state *s, uint64_t block, uint32_t logical, uint32_t sector,
			uint8_t bytes[CFFS_SECTOR])
{
	int wrong = cffs_sector_check(bytes), got = 0;
	unsigned long long dir = s->dir_ino;
	struct cffs_entry entry;
	uint32_t at = 0, before = 0;

	/* 8: a name that cannot be said, which is seen to below. */
	if (wrong && wrong != 8) {
		if (check_problem(s->check, &cffs_bad_sector_row, dir, sector, logical, wrong))
			return sector_clear(s, block, sector);
		s->blind = true;
		return 0;
	}
	if (!sector_belongs(s, bytes, logical, sector) &&
	    check_problem(s->check, &cffs_misplaced_row, dir, sector, logical)) {
		got = sector_take(s, block, logical, sector, bytes);
		if (got)
			return got;
	}
	while (cffs_sector_next(bytes, &at, &entry)) {
		got = name_check(s, block, logical, sector, bytes, at, &entry);
		if (!got)
			got = hint_check(s, logical, sector, &entry);
		if (!got && entry.kind == CFFS_KIND_INODE)
			got = cffs_check_inode(s, block, sector, bytes, at, &entry);
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

/* ---- directories ---- */

/* Sectors that were mended come `last`: of two names alike the other one stays. */
static int dir_extent(struct cffs_state *s, const struct cffs_slot *extent, bool last)
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

static int index_check(struct cffs_state *s, const struct cffs_walk *w)
{
	int err = cffs_hints_read(s->check, check_read, s->dir_ino, w->v, w->n, &s->hints);

	if (err || !s->hints.bad)
		return err;
	if (check_problem(s->check, &cffs_bad_index_row, (unsigned long long)s->dir_ino))
		err = index_give_up(s);
	s->hints.head = 0;
	return err;
}

/* Returns how many subdirectories it was found to have. */
int cffs_check_dir(struct cffs_state *s, const struct cffs_known *dir, uint32_t *subdirs)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	size_t before = s->dirs.n;
	struct cffs_walk w = { 0 };
	uint32_t at;
	int err = cffs_check_read_entry(s, dir, bytes, &at, &entry);

	if (err)
		return err == -ENOENT ? 0 : err;
	s->dir_ino = dir->ino;
	err = cffs_walk_inode(s, &entry, &w);
	if (!err)
		err = index_check(s, &w);
	for (int last = 0; last <= (check_was_mended(s->check) ? 1 : 0); last++)
		for (size_t i = 0; i < w.n && !err; i++)
			if (w.v[i].class == CFFS_CLASS_DIR)
				err = dir_extent(s, &w.v[i], last);
	free(w.v);
	cffs_hints_free(&s->hints);
	cffs_numbers_free(&s->names);
	*subdirs = (uint32_t)(s->dirs.n - before);
	return err;
}
