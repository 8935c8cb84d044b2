/* SPDX-License-Identifier: MIT */
/*
 * The checker of simplefs: what XN cannot know.
 *
 *   pass 1  inodes: types, sizes, times, blocks past the end, how many blocks
 *   pass 2  directories, from the root down: names
 *   pass 3  inodes that no name leads to
 *   pass 4  link counts and ".."
 *
 *  (1) XN has proved that every block has one owner before we begin, so a walk
 *      over pointers ends.
 *  (2) Names and inodes reach the disk in any order.  What a crash can leave,
 *      and recover.c puts right at mount, is SAFE here.
 *  (3) When a directory could not be understood, what no name leads to may have
 *      had its name there: it is never freed.  Once the directory is mended, such
 *      files get names in the root directory; until then they stay as they are.
 *  (4) Memory: 13 bytes for each inode of the file system, 16 for each name of
 *      the largest directory, and some blocks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/check.h"
#include "format.h"
#include "mend.h"

#define ROW(id, code, sentence, question, safety)                                                  \
	static const struct check_problem_row id = { "simplefs/" code, sentence, question, safety, \
						     false }

ROW(no_magic, "unfinished", "making the file system was not finished", "", CHECK_REPORT_ONLY);
ROW(lost_magic, "magic", "the magic is gone", "Write it?", CHECK_LOSSY);
ROW(no_root, "no-root-directory", "inode 1 is no directory", "Make it one?", CHECK_LOSSY);
ROW(bad_type, "bad-type", "inode %u has mode %o, which is no type of file", "Clear it?",
    CHECK_LOSSY);
ROW(bad_time, "bad-time", "inode %u has a time with 10^9 nanoseconds or more", "Set them to 0?",
    CHECK_LOSSY);
ROW(bad_size, "bad-size", "inode %u has a size of %llu, which its type cannot have",
    "Set it to one that it can?", CHECK_LOSSY);
ROW(bad_target, "bad-symlink", "inode %u is a symlink with a target of %llu bytes", "Clear it?",
    CHECK_LOSSY);
ROW(past_end, "past-end", "inode %u owns %llu blocks past its end", "Free them?", CHECK_SAFE);
ROW(block_count, "block-count", "inode %u counts %llu blocks and has %llu", "Correct it?",
    CHECK_SAFE);
ROW(unreadable, "unreadable", "block %llu of directory %u cannot be read", "", CHECK_REPORT_ONLY);
ROW(bad_slot, "bad-slot", "directory %u: bytes at %llu are no name",
    "Clear the rest of the sector?", CHECK_LOSSY);
ROW(bad_name, "bad-name", "directory %u: a name at %llu holds '/', a zero, or is \".\" or \"..\"",
    "Write '_' there?", CHECK_LOSSY);
ROW(dangling, "dangling-name", "directory %u: \"%.*s\" means inode %u, which is not there",
    "Remove it?", CHECK_SAFE);
ROW(duplicate, "duplicate-name", "directory %u: two entries \"%.*s\"", "Rename the second?",
    CHECK_LOSSY);
ROW(second_name, "second-name", "directory %u: \"%.*s\" is a second name of directory %u",
    "Remove it?", CHECK_SAFE);
ROW(wrong_type, "wrong-type", "directory %u: \"%.*s\" has the wrong type of inode %u",
    "Correct it?", CHECK_SAFE);
ROW(orphan, "orphan", "inode %u has no name", "Free it?", CHECK_SAFE);
ROW(unreachable, "unreachable", "inode %u has no name; it may be in a directory that is damaged",
    "", CHECK_REPORT_ONLY);
ROW(lost, "lost", "inode %u lost its name with a damaged directory",
    "Name it #NUMBER in lost+found?", CHECK_LOSSY);
ROW(link_count, "link-count", "inode %u counts %u links and has %u", "Correct it?", CHECK_SAFE);
ROW(wrong_parent, "wrong-parent", "directory %u is in %u, but its \"..\" says %u", "Correct it?",
    CHECK_SAFE);

static const struct check_problem_row *const problems[] = {
	&no_magic,   &lost_magic, &no_root,      &bad_type,   &bad_time, &bad_size,
	&bad_target, &past_end,   &block_count,  &unreadable, &bad_slot, &bad_name,
	&dangling,   &duplicate,  &second_name,  &wrong_type, &orphan,   &unreachable,
	&lost,       &link_count, &wrong_parent, NULL,
};

/* A position in a directory that does not name an earlier one of the same hash. */
struct known_name {
	uint64_t hash, pos;
};

struct state {
	struct check *check;
	uint8_t super[SFS_BLOCK];
	uint32_t n;      /* inode numbers are below this */
	uint8_t *type;   /* of each inode; 0: free */
	uint32_t *links; /* names found; of a directory: its subdirectories + 2 */
	uint32_t *dir;   /* of a directory: where its name is */
	uint32_t *queue;
	uint32_t head, tail;
	bool damaged;      /* some directory was not understood ... */
	bool blind;        /* ... and is not mended either: names may still be there */
	uint32_t hurt;     /* a directory with room, because it was damaged */
	uint32_t lost_dir; /* lost+found; 0: not looked for yet */

	uint64_t map_block; /* which inode map `map` is; 0: none.  Maps are never repaired. */
	uint8_t map[SFS_BLOCK];

	uint64_t table_block; /* which inode table `table` is; 0: none */
	struct sfs_inode_disk table[SIMPLEFS_ITAB_INODES];

	struct known_name *names; /* of the directory being looked at */
	size_t n_names, max_names;
};

static uint64_t pointer_of(const uint8_t *bytes, uint32_t slot)
{
	le64_t pointer;

	memcpy(&pointer, bytes + slot * sizeof(pointer), sizeof(pointer));
	return le64_get(pointer);
}

/* ---- inodes ---- */

/* The block of inode table number `table`; 0: there is none. */
static int table_find(struct state *s, uint32_t table, uint64_t *block)
{
	uint64_t map = pointer_of(s->super + SIMPLEFS_SUPER_RAW, table / SIMPLEFS_IMAP_SLOTS);
	int err;

	*block = 0;
	if (!map)
		return 0;
	if (map != s->map_block) {
		s->map_block = 0;
		err = check_read(s->check, map, 1, s->map);
		if (err)
			return err;
		s->map_block = map;
	}
	*block = pointer_of(s->map, table % SIMPLEFS_IMAP_SLOTS);
	return 0;
}

/* Have the table of an inode at hand; *there says whether it exists. */
static int table_load(struct state *s, uint32_t ino, bool *there)
{
	uint64_t block;
	int err = table_find(s, (ino - 1) / SIMPLEFS_ITAB_INODES, &block);

	*there = !err && block;
	if (err || !block || block == s->table_block)
		return err;
	s->table_block = 0;
	err = check_read(s->check, block, 1, s->table);
	if (!err)
		s->table_block = block;
	return err;
}

/* 1 and the inode, 0 if there is no table for it. */
static int inode_read(struct state *s, uint32_t ino, struct sfs_fields *fields)
{
	bool there;
	int err = table_load(s, ino, &there);

	if (err || !there)
		return err;
	sfs_inode_decode(&s->table[(ino - 1) % SIMPLEFS_ITAB_INODES], fields);
	return 1;
}

static int inode_write(struct state *s, uint32_t ino, const struct sfs_fields *fields)
{
	bool there;
	int err = table_load(s, ino, &there);

	if (err || !there)
		return err;
	sfs_inode_encode(fields, &s->table[(ino - 1) % SIMPLEFS_ITAB_INODES]);
	err = check_write(s->check, s->table_block, 1, s->table);
	/* Whether it was written or not, believe the disk. */
	s->table_block = 0;
	return err;
}

/* ---- the blocks of a file ---- */

struct file_walk {
	uint64_t keep;  /* blocks of the file from here on are past the end */
	bool clear;     /* take their pointers away */
	uint64_t owned; /* blocks, those for pointers included, that stay */
	uint64_t past;
	/* For each block of data that stays: may be NULL. */
	int (*visit)(struct state *s, void *arg, uint64_t fblk, uint64_t block);
	void *arg;
};

static int pointers_walk(struct state *s, struct file_walk *walk, uint64_t *pointers, unsigned n,
			 unsigned level, uint64_t first, bool *changed);

/* All of a subtree, or the part before the end. */
static int tree_walk(struct state *s, struct file_walk *walk, uint64_t block, unsigned level,
		     uint64_t first)
{
	uint64_t *pointers = malloc(SFS_BLOCK);
	bool changed = false;
	int err;

	if (!pointers)
		return -ENOMEM;
	err = check_read(s->check, block, 1, pointers);
	for (unsigned i = 0; i < SIMPLEFS_IND_SLOTS; i++)
		pointers[i] = pointer_of((uint8_t *)pointers, i);
	if (!err)
		err = pointers_walk(s, walk, pointers, SIMPLEFS_IND_SLOTS, level - 1, first,
				    &changed);
	if (!err && changed) {
		for (unsigned i = 0; i < SIMPLEFS_IND_SLOTS; i++) {
			le64_t disk = le64_make(pointers[i]);

			memcpy(&pointers[i], &disk, sizeof(disk));
		}
		err = check_write(s->check, block, 1, pointers);
	}
	free(pointers);
	return err;
}

/* `level` 0: the pointers name data; above: blocks of pointers one level down. */
static int pointers_walk(struct state *s, struct file_walk *walk, uint64_t *pointers, unsigned n,
			 unsigned level, uint64_t first, bool *changed)
{
	uint64_t span = level == 0   ? 1
			: level == 1 ? SFS_SPAN1
			: level == 2 ? SFS_SPAN2
				     : SFS_SPAN3;
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++, first += span) {
		if (!pointers[i])
			continue;
		if (first >= walk->keep) {
			walk->past++;
			if (walk->clear)
				pointers[i] = 0;
			*changed |= walk->clear;
			continue;
		}
		walk->owned++;
		if (level)
			err = tree_walk(s, walk, pointers[i], level, first);
		else if (walk->visit)
			err = walk->visit(s, walk->arg, first, pointers[i]);
	}
	return err;
}

static int file_walk(struct state *s, struct file_walk *walk, struct sfs_fields *fields)
{
	bool changed = false;
	uint64_t first = SIMPLEFS_N_DIRECT, span = SFS_SPAN1;
	int err;

	walk->owned = walk->past = 0;
	if (!sfs_has_pointers(fields->mode, fields->size))
		return 0;
	err = pointers_walk(s, walk, fields->direct, SIMPLEFS_N_DIRECT, 0, 0, &changed);
	for (unsigned i = 0; i < SIMPLEFS_N_IND && !err; i++, first += span, span *= 512)
		err = pointers_walk(s, walk, &fields->ind[i], 1, i + 1, first, &changed);
	return err;
}

/* ---- pass 1 ---- */

static bool type_exists(uint32_t mode)
{
	switch (SIMPLEFS_TYPE(mode)) {
	case SIMPLEFS_FIFO:
	case SIMPLEFS_CHR:
	case SIMPLEFS_DIR:
	case SIMPLEFS_BLK:
	case SIMPLEFS_REG:
	case SIMPLEFS_LNK:
	case SIMPLEFS_SOCK: return true;
	default: return false;
	}
}

/* An inode that makes no sense as a whole: clear it, if told so. */
static int inode_clear(struct state *s, uint32_t ino, struct sfs_fields *fields)
{
	struct sfs_fields empty = { .birth = fields->birth };
	int err = inode_write(s, ino, &empty);

	check_ownership_changed(s->check);
	*fields = empty;
	return err;
}

static int check_kind(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	if (!type_exists(f->mode))
		return check_problem(s->check, &bad_type, ino, f->mode) ? inode_clear(s, ino, f)
									: 0;
	if (SIMPLEFS_TYPE(f->mode) == SIMPLEFS_LNK && (f->size == 0 || f->size > 4095))
		return check_problem(s->check, &bad_target, ino, (unsigned long long)f->size)
			       ? inode_clear(s, ino, f)
			       : 0;
	return 0;
}

static bool fix_size(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	bool is_dir = SIMPLEFS_TYPE(f->mode) == SIMPLEFS_DIR;
	uint64_t size = f->size;

	if (size > SFS_FILE_MAX)
		size = SFS_FILE_MAX;
	if (is_dir)
		size -= size % SFS_BLOCK;
	if (!is_dir && SIMPLEFS_TYPE(f->mode) != SIMPLEFS_REG &&
	    SIMPLEFS_TYPE(f->mode) != SIMPLEFS_LNK)
		size = 0;
	if (size == f->size ||
	    !check_problem(s->check, &bad_size, ino, (unsigned long long)f->size))
		return false;
	f->size = size;
	return true;
}

static bool fix_times(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	bool bad = false;

	for (unsigned i = 0; i < SFS_TIMES; i++)
		bad |= f->nsec[i] >= 1000000000u;
	if (!bad || !check_problem(s->check, &bad_time, ino))
		return false;
	for (unsigned i = 0; i < SFS_TIMES; i++)
		f->nsec[i] = f->nsec[i] >= 1000000000u ? 0 : f->nsec[i];
	return true;
}

/* Sets *changed when the inode must be written. */
static int fix_blocks(struct state *s, uint32_t ino, struct sfs_fields *f, bool *changed)
{
	struct file_walk walk = { .keep = (f->size + SFS_BLOCK - 1) / SFS_BLOCK };
	uint64_t owned;
	int err = file_walk(s, &walk, f);

	if (err)
		return err;
	owned = walk.owned;
	if (walk.past && check_problem(s->check, &past_end, ino, (unsigned long long)walk.past)) {
		walk.clear = true;
		err = file_walk(s, &walk, f);
		check_ownership_changed(s->check);
		*changed = true;
	}
	/* What stays past the end is owned as well. */
	if (!err && walk.past && !walk.clear)
		return 0;
	if (!err && f->blocks != owned &&
	    check_problem(s->check, &block_count, ino, (unsigned long long)f->blocks,
			  (unsigned long long)owned)) {
		f->blocks = owned;
		*changed = true;
	}
	return err;
}

static int inode_check(struct state *s, uint32_t ino)
{
	struct sfs_fields f;
	bool changed;
	int err = inode_read(s, ino, &f);

	if (err <= 0 || f.mode == 0)
		return err < 0 ? err : 0;
	err = check_kind(s, ino, &f);
	if (err || f.mode == 0)
		return err;
	if (type_exists(f.mode))
		s->type[ino] = (uint8_t)SIMPLEFS_TYPE(f.mode);
	changed = fix_size(s, ino, &f);
	changed |= fix_times(s, ino, &f);
	err = fix_blocks(s, ino, &f, &changed);
	return !err && changed ? inode_write(s, ino, &f) : err;
}

/* Calls `each` for the inodes of every table there is; without it, only finds the end. */
static int inodes_walk(struct state *s, int (*each)(struct state *s, uint32_t ino), uint32_t *end)
{
	uint32_t table = 0;
	int err = 0;

	while (table < SIMPLEFS_SUPER_SLOTS * SIMPLEFS_IMAP_SLOTS && !err) {
		uint64_t block;

		if (!pointer_of(s->super + SIMPLEFS_SUPER_RAW, table / SIMPLEFS_IMAP_SLOTS)) {
			table += SIMPLEFS_IMAP_SLOTS - table % SIMPLEFS_IMAP_SLOTS;
			continue;
		}
		err = table_find(s, table, &block);
		if (!err && block && end)
			*end = (table + 1) * SIMPLEFS_ITAB_INODES + 1;
		for (uint32_t i = 1; i <= SIMPLEFS_ITAB_INODES && block && each && !err; i++)
			err = each(s, table * SIMPLEFS_ITAB_INODES + i);
		if (each && !err)
			check_progress(s->check, (uint64_t)table * SIMPLEFS_ITAB_INODES, s->n);
		table++;
	}
	return err;
}

/* ---- pass 2 ---- */

/* A directory's sector while its names are looked at. */
struct dir_look {
	uint32_t ino;
	uint64_t pos; /* of the sector in the directory */
	uint8_t *sector;
	bool changed;
};

static bool name_is_bad(const struct sfs_slot *slot)
{
	if (memchr(slot->name, '/', slot->name_len) || memchr(slot->name, 0, slot->name_len))
		return true;
	return slot->name[0] == '.' &&
	       (slot->name_len == 1 || (slot->name_len == 2 && slot->name[1] == '.'));
}

/* Nobody can say these letters; what they name is kept. */
static void name_mend(struct dir_look *look, const struct sfs_slot *slot)
{
	uint8_t *name = look->sector + slot->off + SFS_SLOT_HEADER;
	bool dots = name[0] == '.' && slot->name_len <= 2;

	for (uint32_t i = 0; i < slot->name_len; i++)
		if (name[i] == '/' || name[i] == 0 || (dots && name[i] == '.'))
			name[i] = '_';
	look->changed = true;
}

static void look_remove(struct dir_look *look, const struct sfs_slot *slot)
{
	sfs_sector_remove(look->sector, slot->off);
	look->changed = true;
}

static uint64_t hash_of(const char *name, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3u;
	return hash;
}

static int name_note(struct state *s, const struct dir_look *look, const struct sfs_slot *slot)
{
	if (s->n_names == s->max_names) {
		size_t max = s->max_names ? 2 * s->max_names : 256;
		struct known_name *names = realloc(s->names, max * sizeof(*names));

		if (!names)
			return -ENOMEM;
		s->names = names;
		s->max_names = max;
	}
	s->names[s->n_names++] = (struct known_name){
		.hash = hash_of(slot->name, slot->name_len),
		.pos = look->pos + slot->off,
	};
	return 0;
}

static void type_fix(struct state *s, struct dir_look *look, const struct sfs_slot *slot,
		     uint8_t type)
{
	if (!check_problem(s->check, &wrong_type, look->ino, (int)slot->name_len, slot->name,
			   slot->ino))
		return;
	look->sector[slot->off + offsetof(struct sfs_slot_disk, type)] = type;
	look->changed = true;
}

/* Looking for the name of a directory in another one. */
struct old_name {
	uint32_t dir, ino;
	bool removed;
};

static int old_name_visit(struct state *s, void *arg, uint64_t fblk, uint64_t block)
{
	struct old_name *old = arg;
	uint8_t bytes[SFS_BLOCK];
	struct sfs_slot slot;
	int err = old->removed ? 0 : check_read(s->check, block, 1, bytes);

	(void)fblk;
	for (uint8_t *at = bytes; !err && !old->removed && at < bytes + SFS_BLOCK; at += SFS_SECTOR)
		for (uint32_t off = 0; sfs_slot_decode(at, off, &slot) > 0; off += slot.len) {
			if (slot.ino != old->ino)
				continue;
			if (!check_problem(s->check, &second_name, old->dir, (int)slot.name_len,
					   slot.name, old->ino))
				return 0;
			sfs_sector_remove(at, off);
			old->removed = true;
			return check_write(s->check, block, 1, bytes);
		}
	return err;
}

/*
 * Another name of a directory: a rename was cut short.  The one in what its
 * inode calls ".." counts, else the one that was met first.
 */
static int second_name_look(struct state *s, struct dir_look *look, const struct sfs_slot *slot,
			    const struct sfs_fields *f)
{
	struct old_name old = { .dir = s->dir[slot->ino], .ino = slot->ino };
	struct file_walk walk = { .keep = UINT64_MAX, .visit = old_name_visit, .arg = &old };
	struct sfs_fields dir;
	int err;

	if (f->parent != look->ino || old.dir == look->ino || slot->ino == SFS_ROOT_INO) {
		if (check_problem(s->check, &second_name, look->ino, (int)slot->name_len,
				  slot->name, slot->ino))
			look_remove(look, slot);
		return 0;
	}
	err = inode_read(s, old.dir, &dir);
	if (err > 0)
		err = file_walk(s, &walk, &dir);
	if (err || !old.removed)
		return err;
	s->links[old.dir]--;
	s->links[look->ino]++;
	s->dir[slot->ino] = look->ino;
	return name_note(s, look, slot);
}

/* A name whose inode is there. */
static int name_count(struct state *s, struct dir_look *look, const struct sfs_slot *slot,
		      const struct sfs_fields *f)
{
	uint32_t ino = slot->ino;

	if (slot->type != s->type[ino])
		type_fix(s, look, slot, s->type[ino]);
	if (s->type[ino] != SIMPLEFS_DIR) {
		s->links[ino]++;
		return name_note(s, look, slot);
	}
	if (s->dir[ino])
		return second_name_look(s, look, slot, f);
	s->dir[ino] = look->ino;
	s->links[ino] = 2;
	s->links[look->ino]++;
	s->queue[s->tail++] = ino;
	return name_note(s, look, slot);
}

static int slot_look(struct state *s, struct dir_look *look, const struct sfs_slot *slot)
{
	struct sfs_fields f = { .mode = 0 };
	int got = 0;

	if (name_is_bad(slot) && check_problem(s->check, &bad_name, look->ino,
					       (unsigned long long)(look->pos + slot->off)))
		name_mend(look, slot);
	if (slot->ino < s->n)
		got = inode_read(s, slot->ino, &f);
	if (got < 0)
		return got;
	if (got == 0 || s->type[slot->ino] == 0 || f.birth != slot->birth) {
		if (check_problem(s->check, &dangling, look->ino, (int)slot->name_len, slot->name,
				  slot->ino))
			look_remove(look, slot);
		return 0;
	}
	return name_count(s, look, slot, &f);
}

static int sector_look(struct state *s, struct dir_look *look)
{
	struct sfs_slot slot;
	uint32_t off = 0;
	int got, err = 0;

	while (!err && (got = sfs_slot_decode(look->sector, off, &slot)) != 0) {
		if (got < 0) {
			/* What was named behind this is lost; so nobody without a name is freed. */
			s->damaged = true;
			s->hurt = look->ino;
			if (check_problem(s->check, &bad_slot, look->ino,
					  (unsigned long long)(look->pos + off))) {
				memset(look->sector + off, 0, SFS_SECTOR - off);
				look->changed = true;
			} else {
				s->blind = true;
			}
			break;
		}
		off += slot.len;
		if (slot.ino)
			err = slot_look(s, look, &slot);
	}
	return err;
}

static int dir_block_look(struct state *s, void *arg, uint64_t fblk, uint64_t block)
{
	uint32_t ino = *(uint32_t *)arg;
	uint8_t bytes[SFS_BLOCK];
	bool changed = false;
	int err = check_read(s->check, block, 1, bytes);

	if (err == -EINTR)
		return err;
	if (err) {
		s->damaged = s->blind = true;
		check_problem(s->check, &unreadable, (unsigned long long)fblk, ino);
		return 0;
	}
	for (uint32_t at = 0; at < SFS_BLOCK && !err; at += SFS_SECTOR) {
		struct dir_look look = {
			.ino = ino,
			.pos = fblk * SFS_BLOCK + at,
			.sector = bytes + at,
		};

		err = sector_look(s, &look);
		changed |= look.changed;
	}
	return !err && changed ? check_write(s->check, block, 1, bytes) : err;
}

static int name_order(const void *a, const void *b)
{
	const struct known_name *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

/* Reading one slot of a directory again. */
struct one_slot {
	uint64_t pos;
	uint64_t block;
	uint8_t bytes[SFS_BLOCK];
	struct sfs_slot slot;
};

static int one_slot_visit(struct state *s, void *arg, uint64_t fblk, uint64_t block)
{
	struct one_slot *one = arg;
	const uint8_t *sector;
	int err;

	if (fblk != one->pos / SFS_BLOCK)
		return 0;
	one->block = block;
	err = check_read(s->check, block, 1, one->bytes);
	sector = one->bytes + one->pos % SFS_BLOCK / SFS_SECTOR * SFS_SECTOR;
	if (!err && sfs_slot_decode(sector, one->pos % SFS_SECTOR, &one->slot) <= 0)
		one->block = 0;
	return err;
}

static bool hash_is_known(const struct state *s, uint64_t hash)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (s->names[i].hash == hash)
			return true;
	return false;
}

/* Another last letter, so that it is nobody else's name here.  Nothing is lost by that. */
static void name_change(const struct state *s, uint8_t *name, uint32_t len)
{
	for (uint8_t letter = '~'; letter >= '0'; letter--) {
		name[len - 1] = letter;
		if (!hash_is_known(s, hash_of((char *)name, len)))
			return;
	}
}

static int duplicate_look(struct state *s, uint32_t ino, struct sfs_fields *f, uint64_t first,
			  struct known_name *name)
{
	struct one_slot a = { .pos = first }, b = { .pos = name->pos };
	struct file_walk walk = { .keep = UINT64_MAX, .visit = one_slot_visit, .arg = &a };
	uint8_t *bytes;
	int err = file_walk(s, &walk, f);

	walk.arg = &b;
	if (!err)
		err = file_walk(s, &walk, f);
	if (err || !a.block || !b.block || a.slot.name_len != b.slot.name_len ||
	    memcmp(a.slot.name, b.slot.name, a.slot.name_len) != 0)
		return err;
	if (!check_problem(s->check, &duplicate, ino, (int)b.slot.name_len, b.slot.name))
		return 0;
	bytes = b.bytes + name->pos % SFS_BLOCK + SFS_SLOT_HEADER;
	name_change(s, bytes, b.slot.name_len);
	name->hash = hash_of((char *)bytes, b.slot.name_len);
	return check_write(s->check, b.block, 1, b.bytes);
}

static int duplicates_look(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	size_t first = 0;
	int err = 0;

	if (s->n_names > 0) /* qsort may not be given NULL */
		qsort(s->names, s->n_names, sizeof(*s->names), name_order);
	for (size_t i = 1; i < s->n_names && !err; i++) {
		if (s->names[i].hash != s->names[first].hash)
			first = i;
		else
			err = duplicate_look(s, ino, f, s->names[first].pos, &s->names[i]);
	}
	return err;
}

static int dir_look(struct state *s, uint32_t ino)
{
	struct file_walk walk = { .visit = dir_block_look, .arg = &ino };
	struct sfs_fields f;
	int err = inode_read(s, ino, &f);

	if (err <= 0)
		return err;
	walk.keep = (f.size + SFS_BLOCK - 1) / SFS_BLOCK;
	s->n_names = 0;
	err = file_walk(s, &walk, &f);
	return err ? err : duplicates_look(s, ino, &f);
}

/* ---- pass 3 ---- */

/* Room for a name in a directory. */
struct room {
	uint32_t name_len;
	uint64_t block; /* 0: none yet */
	uint32_t sector, off, len;
	uint8_t bytes[SFS_BLOCK];
};

static int room_visit(struct state *s, void *arg, uint64_t fblk, uint64_t block)
{
	struct room *room = arg;
	int err = room->block ? 0 : check_read(s->check, block, 1, room->bytes);

	(void)fblk;
	for (uint32_t at = 0; at < SFS_BLOCK && !err && !room->block; at += SFS_SECTOR) {
		int off = sfs_sector_find_room(room->bytes + at, room->name_len, &room->len);

		if (off < 0)
			continue;
		room->block = block;
		room->sector = at;
		room->off = (uint32_t)off;
	}
	return err;
}

static int room_find(struct state *s, uint32_t dir, struct room *room)
{
	struct file_walk walk = { .keep = UINT64_MAX, .visit = room_visit, .arg = room };
	struct sfs_fields f;
	int err = dir ? inode_read(s, dir, &f) : 0;

	return err > 0 ? file_walk(s, &walk, &f) : err;
}

/* Another block for a directory that has no room: only as long as its inode has pointers for it. */
static int dir_grow(struct state *s, uint32_t dir, struct room *room)
{
	struct sfs_fields f;
	uint64_t n, block;
	int err = inode_read(s, dir, &f);

	if (err <= 0)
		return err;
	n = f.size / SFS_BLOCK;
	if (n >= SIMPLEFS_N_DIRECT || f.direct[n])
		return 0;
	err = check_allocate(s->check, &block);
	if (err)
		return err == -ENOSPC ? 0 : err;
	memset(room->bytes, 0, SFS_BLOCK);
	err = check_write(s->check, block, 1, room->bytes);
	f.direct[n] = block;
	f.size += SFS_BLOCK;
	f.blocks++;
	if (!err)
		err = inode_write(s, dir, &f);
	return err ? err : room_find(s, dir, room);
}

/* Put a name there; *done says whether there was room.  Its link is counted. */
static int name_put(struct state *s, uint32_t dir, const char *name, uint32_t ino, uint64_t birth,
		    bool *done)
{
	struct room room = { .name_len = (uint32_t)strlen(name) };
	struct sfs_slot slot = { .ino = ino,
				 .birth = birth,
				 .type = s->type[ino],
				 .name = name,
				 .name_len = (uint8_t)room.name_len };
	int err = room_find(s, dir, &room);

	if (!err && !room.block)
		err = dir_grow(s, dir, &room);
	*done = !err && room.block;
	if (!*done)
		return err;
	sfs_sector_add(room.bytes + room.sector, room.off, room.len, &slot);
	err = check_write(s->check, room.block, 1, room.bytes);
	if (s->type[ino] == SIMPLEFS_DIR) {
		s->links[ino] = 2;
		s->links[dir]++;
		s->dir[ino] = dir;
	} else {
		s->links[ino]++;
	}
	return err;
}

/* A directory in the root directory of that name, by looking at names. */
struct by_name {
	const char *name;
	uint32_t ino;
};

static int by_name_visit(struct state *s, void *arg, uint64_t fblk, uint64_t block)
{
	struct by_name *find = arg;
	uint8_t bytes[SFS_BLOCK];
	struct sfs_slot slot;
	int err = check_read(s->check, block, 1, bytes);

	(void)fblk;
	for (uint8_t *at = bytes; !err && at < bytes + SFS_BLOCK; at += SFS_SECTOR)
		for (uint32_t off = 0; sfs_slot_decode(at, off, &slot) > 0; off += slot.len)
			if (slot.ino && slot.ino < s->n && slot.name_len == strlen(find->name) &&
			    memcmp(slot.name, find->name, slot.name_len) == 0 &&
			    s->type[slot.ino] == SIMPLEFS_DIR)
				find->ino = slot.ino;
	return err;
}

static int lost_dir_make(struct state *s)
{
	struct sfs_fields f;
	bool done = false;
	int err = 0;

	for (uint32_t ino = 2; ino < s->n && !s->lost_dir && err >= 0; ino++) {
		uint64_t birth = check_epoch(s->check) << 32 | 0xf0000000u | ino;

		if (s->type[ino] || s->links[ino])
			continue;
		err = inode_read(s, ino, &f);
		if (err <= 0 || f.mode)
			continue;
		f = (struct sfs_fields){
			.mode = 0040700, .nlink = 2, .birth = birth, .parent = SFS_ROOT_INO
		};
		err = inode_write(s, ino, &f);
		s->type[ino] = SIMPLEFS_DIR;
		if (!err)
			err = name_put(s, SFS_ROOT_INO, "lost+found", ino, birth, &done);
		s->lost_dir = done ? ino : SFS_ROOT_INO;
	}
	if (!s->lost_dir)
		s->lost_dir = SFS_ROOT_INO;
	return err < 0 ? err : 0;
}

/* lost+found, or the root directory where that cannot be made. */
static int lost_dir_find(struct state *s)
{
	struct by_name find = { .name = "lost+found" };
	struct file_walk walk = { .keep = UINT64_MAX, .visit = by_name_visit, .arg = &find };
	struct sfs_fields f;
	int err;

	if (s->lost_dir)
		return 0;
	err = inode_read(s, SFS_ROOT_INO, &f);
	if (err > 0)
		err = file_walk(s, &walk, &f);
	s->lost_dir = find.ino;
	return err || s->lost_dir ? err : lost_dir_make(s);
}

/* Name an inode in lost+found, or where damage has made room. */
static int name_give(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	char name[24];
	bool done = false;
	int err = lost_dir_find(s);

	snprintf(name, sizeof(name), "#%u", ino);
	if (!err)
		err = name_put(s, s->lost_dir, name, ino, f->birth, &done);
	if (!err && !done && s->hurt)
		err = name_put(s, s->hurt, name, ino, f->birth, &done);
	if (err || !done) {
		check_repair_failed(s->check);
		return err;
	}
	if (s->type[ino] != SIMPLEFS_DIR)
		return 0;
	s->queue[s->tail++] = ino;
	f->parent = s->dir[ino];
	return inode_write(s, ino, f);
}

static int dirs_look(struct state *s)
{
	int err = 0;

	while (s->head < s->tail && !err)
		err = dir_look(s, s->queue[s->head++]);
	return err;
}

/* Is its parent lost as well?  Then it will be found there. */
static bool parent_is_lost(const struct state *s, uint32_t ino, const struct sfs_fields *f)
{
	return f->parent != ino && f->parent < s->n && s->type[f->parent] == SIMPLEFS_DIR &&
	       !s->links[f->parent];
}

/* Lost directories, the topmost first; then those that are lost in a ring. */
static int lost_dirs_find(struct state *s, bool rings)
{
	int err = 0;

	for (uint32_t ino = 1; ino < s->n && err >= 0; ino++) {
		struct sfs_fields f;

		if (s->type[ino] != SIMPLEFS_DIR || s->links[ino])
			continue;
		err = inode_read(s, ino, &f);
		if (err <= 0 || !f.nlink || (!rings && parent_is_lost(s, ino, &f)))
			continue;
		err = check_problem(s->check, &lost, ino) ? name_give(s, ino, &f) : 0;
		if (!err)
			err = dirs_look(s);
	}
	return err < 0 ? err : 0;
}

/* An inode without a name. */
static int orphan_settle(struct state *s, uint32_t ino, struct sfs_fields *f)
{
	if (!f->nlink || !s->damaged)
		return check_problem(s->check, &orphan, ino) ? inode_clear(s, ino, f) : 0;
	if (s->blind) {
		check_problem(s->check, &unreachable, ino);
		return 0;
	}
	if (s->type[ino] == SIMPLEFS_DIR)
		return 0; /* was asked about already */
	return check_problem(s->check, &lost, ino) ? name_give(s, ino, f) : 0;
}

/* ---- pass 4 ---- */

static int inode_settle(struct state *s, uint32_t ino)
{
	struct sfs_fields f;
	bool changed = false;
	int err;

	if (!s->type[ino])
		return 0;
	err = inode_read(s, ino, &f);
	if (err <= 0)
		return err;
	if (!s->links[ino]) {
		err = orphan_settle(s, ino, &f);
		if (err || !s->links[ino])
			return err;
	}
	if (f.nlink != s->links[ino] && !s->blind &&
	    check_problem(s->check, &link_count, ino, f.nlink, s->links[ino])) {
		f.nlink = s->links[ino];
		changed = true;
	}
	if (s->type[ino] == SIMPLEFS_DIR && f.parent != s->dir[ino] &&
	    check_problem(s->check, &wrong_parent, ino, s->dir[ino], f.parent)) {
		f.parent = s->dir[ino];
		changed = true;
	}
	return changed ? inode_write(s, ino, &f) : 0;
}

/* ---- all of it ---- */

static int state_init(struct state *s)
{
	int err = check_read(s->check, check_root_object(s->check), 1, s->super);

	if (!err)
		err = inodes_walk(s, NULL, &s->n);
	if (err)
		return err;
	if (s->n < SIMPLEFS_ITAB_INODES + 1)
		s->n = SIMPLEFS_ITAB_INODES + 1; /* the first table may be made here */
	s->type = calloc(s->n, 1);
	s->links = calloc(s->n, sizeof(*s->links));
	s->dir = calloc(s->n, sizeof(*s->dir));
	s->queue = calloc(s->n, sizeof(*s->queue));
	return s->type && s->links && s->dir && s->queue ? 0 : -ENOMEM;
}

static void state_fini(struct state *s)
{
	free(s->names);
	free(s->queue);
	free(s->dir);
	free(s->links);
	free(s->type);
}

/* A new block of zeroes, named by a pointer in another one. */
static int block_make(struct state *s, uint64_t owner, uint8_t *bytes, uint32_t at, uint64_t *block)
{
	uint8_t zeroes[SFS_BLOCK] = { 0 };
	le64_t pointer;
	int err = check_allocate(s->check, block);

	if (!err)
		err = check_write(s->check, *block, 1, zeroes);
	if (err)
		return err;
	pointer = le64_make(*block);
	memcpy(bytes + at, &pointer, sizeof(pointer));
	return check_write(s->check, owner, 1, bytes);
}

/* Where the first inodes were, the walk cut everything off.  Returns 1. */
static int first_table_make(struct state *s)
{
	uint64_t map = pointer_of(s->super + SIMPLEFS_SUPER_RAW, 0), table;
	uint8_t bytes[SFS_BLOCK] = { 0 };
	int err = map ? check_read(s->check, map, 1, bytes)
		      : block_make(s, check_root_object(s->check), s->super, SIMPLEFS_SUPER_RAW,
				   &map);

	s->map_block = s->table_block = 0;
	if (!err && !pointer_of(bytes, 0))
		err = block_make(s, map, bytes, 0, &table);
	if (err)
		check_repair_failed(s->check);
	return err ? err : 1;
}

/* An empty one, or what there is under a mode that was damaged. */
static int root_dir_make(struct state *s)
{
	struct sfs_fields f;
	int err = inode_read(s, SFS_ROOT_INO, &f);

	if (err == 0)
		err = first_table_make(s);
	if (err > 0)
		err = inode_read(s, SFS_ROOT_INO, &f);
	if (err <= 0)
		return err ? err : -ENOENT;
	if (f.mode == 0 || SIMPLEFS_TYPE(f.mode & 0xffff) != SIMPLEFS_REG || f.size % SFS_BLOCK)
		f = (struct sfs_fields){ .birth = f.birth ? f.birth : 1 };
	f.mode = SIMPLEFS_DIR << 12 | (f.mode & 07777 ? f.mode & 07777 : 0755);
	f.nlink = 2;
	f.parent = SFS_ROOT_INO;
	s->type[SFS_ROOT_INO] = SIMPLEFS_DIR;
	s->damaged = true;
	check_ownership_changed(s->check);
	return inode_write(s, SFS_ROOT_INO, &f);
}

static int passes(struct state *s)
{
	int err = inodes_walk(s, inode_check, NULL);

	if (err)
		return err;
	if (s->type[SFS_ROOT_INO] != SIMPLEFS_DIR) {
		if (!check_problem(s->check, &no_root))
			return 0;
		err = root_dir_make(s);
		if (err)
			return err;
	}
	s->links[SFS_ROOT_INO] = 2;
	s->dir[SFS_ROOT_INO] = SFS_ROOT_INO;
	s->queue[s->tail++] = SFS_ROOT_INO;
	err = dirs_look(s);
	if (!err && s->damaged && !s->blind)
		err = lost_dirs_find(s, false);
	if (!err && s->damaged && !s->blind)
		err = lost_dirs_find(s, true);
	return err ? err : inodes_walk(s, inode_settle, NULL);
}

/* What mkfs does not make: a second inode, or something in the root directory. */
static int inode_is_later(struct state *s, uint32_t ino)
{
	struct sfs_fields f;
	int err = inode_read(s, ino, &f);

	if (err <= 0)
		return err;
	return f.mode && (ino != SFS_ROOT_INO || f.size > 0);
}

/* Is it as mkfs has it before the magic? */
static bool is_fresh(struct state *s)
{
	static const uint8_t zeroes[SIMPLEFS_SUPER_RAW];

	return memcmp(s->super, zeroes, sizeof(zeroes)) == 0 &&
	       inodes_walk(s, inode_is_later, NULL) == 0;
}

/*
 * mkfs writes it last: without an inode map it never got that far, and where nothing was made
 * since nothing is lost.
 */
static bool magic_is_there(struct state *s, int *err)
{
	struct sfs_super_disk *super = (void *)s->super;

	if (le64_get(super->magic) == SIMPLEFS_MAGIC)
		return true;
	if (!pointer_of(s->super + SIMPLEFS_SUPER_RAW, 0) || (!s->damaged && is_fresh(s))) {
		check_problem(s->check, &no_magic);
		return false;
	}
	if (!check_problem(s->check, &lost_magic))
		return false;
	super->magic = le64_make(SIMPLEFS_MAGIC);
	super->version = le32_make(1);
	*err = check_write(s->check, check_root_object(s->check), 1, s->super);
	return !*err;
}

static int simplefs_check(struct check *check)
{
	struct state *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->check = check;
	s->damaged = check_was_mended(check); /* what has no name may have lost it */
	err = state_init(s);
	if (!err && magic_is_there(s, &err))
		err = passes(s);
	state_fini(s);
	free(s);
	return err;
}

const struct libfs_checker simplefs_checker = {
	.check = simplefs_check,
	.mend = sfs_mend,
	.doubt = sfs_doubt,
	.image = sfs_image,
	.problems = problems,
};
