/* SPDX-License-Identifier: MIT */
/*
 * The checker, pass 1: inodes, and the blocks of a file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_state.h"

SFS_ROW(bad_type, "bad-type", "inode %u has mode %o, which is no type of file", "Clear it?",
	CHECK_LOSSY);
SFS_ROW(bad_time, "bad-time", "inode %u has a time with 10^9 nanoseconds or more", "Set them to 0?",
	CHECK_LOSSY);
SFS_ROW(bad_size, "bad-size", "inode %u has a size of %llu, which its type cannot have",
	"Set it to one that it can?", CHECK_LOSSY);
SFS_ROW(bad_target, "bad-symlink", "inode %u is a symlink with a target of %llu bytes", "Clear it?",
	CHECK_LOSSY);
SFS_ROW(past_end, "past-end", "inode %u owns %llu blocks past its end", "Free them?", CHECK_SAFE);
SFS_ROW(block_count, "block-count", "inode %u counts %llu blocks and has %llu", "Correct it?",
	CHECK_SAFE);

/* ---- inodes ---- */

/* The block of inode table number `table`; 0: there is none. */
static int table_find(struct sfs_state *s, uint32_t table, uint64_t *block)
{
	uint64_t map = sfs_pointer_of(s->super + SIMPLEFS_SUPER_RAW, table / SIMPLEFS_IMAP_SLOTS);
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
	*block = sfs_pointer_of(s->map, table % SIMPLEFS_IMAP_SLOTS);
	return 0;
}

/* Have the table of an inode at hand; *there says whether it exists. */
static int table_load(struct sfs_state *s, uint32_t ino, bool *there)
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
int sfs_check_read_inode(struct sfs_state *s, uint32_t ino, struct sfs_fields *fields)
{
	bool there;
	int err = table_load(s, ino, &there);

	if (err || !there)
		return err;
	sfs_inode_decode(&s->table[(ino - 1) % SIMPLEFS_ITAB_INODES], fields);
	return 1;
}

int sfs_check_write_inode(struct sfs_state *s, uint32_t ino, const struct sfs_fields *fields)
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

static int pointers_walk(struct sfs_state *s, struct sfs_walk *walk, uint64_t *pointers, unsigned n,
			 unsigned level, uint64_t first, bool *changed);

/* All of a subtree, or the part before the end. */
static int tree_walk(struct sfs_state *s, struct sfs_walk *walk, uint64_t block, unsigned level,
		     uint64_t first)
{
	uint64_t *pointers = malloc(SFS_BLOCK);
	bool changed = false;
	int err;

	if (!pointers)
		return -ENOMEM;
	err = check_read(s->check, block, 1, pointers);
	for (unsigned i = 0; i < SIMPLEFS_IND_SLOTS; i++)
		pointers[i] = sfs_pointer_of((uint8_t *)pointers, i);
	if (!err)
		err = pointers_walk(s, walk, pointers, SIMPLEFS_IND_SLOTS, level - 1, first,
				    &changed);
	if (!err && changed) {
		for (unsigned i = 0; i < SIMPLEFS_IND_SLOTS; i++)
			le64_store(&pointers[i], pointers[i]);
		err = check_write(s->check, block, 1, pointers);
	}
	free(pointers);
	return err;
}

/* `level` 0: the pointers name data; above: blocks of pointers one level down. */
static int pointers_walk(struct sfs_state *s, struct sfs_walk *walk, uint64_t *pointers, unsigned n,
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

int sfs_file_walk(struct sfs_state *s, struct sfs_walk *walk, struct sfs_fields *fields)
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
int sfs_check_clear_inode(struct sfs_state *s, uint32_t ino, struct sfs_fields *fields)
{
	struct sfs_fields empty = { .birth = fields->birth };
	int err = sfs_check_write_inode(s, ino, &empty);

	check_ownership_changed(s->check);
	*fields = empty;
	return err;
}

static int check_kind(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
{
	if (!type_exists(f->mode))
		return check_problem(s->check, &sfs_bad_type_row, ino, f->mode)
			       ? sfs_check_clear_inode(s, ino, f)
			       : 0;
	if (SIMPLEFS_TYPE(f->mode) == SIMPLEFS_LNK && (f->size == 0 || f->size > 4095))
		return check_problem(s->check, &sfs_bad_target_row, ino,
				     (unsigned long long)f->size)
			       ? sfs_check_clear_inode(s, ino, f)
			       : 0;
	return 0;
}

static bool fix_size(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
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
	    !check_problem(s->check, &sfs_bad_size_row, ino, (unsigned long long)f->size))
		return false;
	f->size = size;
	return true;
}

static bool fix_times(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
{
	bool bad = false;

	for (unsigned i = 0; i < SFS_TIMES; i++)
		bad |= f->nsec[i] >= 1000000000u;
	if (!bad || !check_problem(s->check, &sfs_bad_time_row, ino))
		return false;
	for (unsigned i = 0; i < SFS_TIMES; i++)
		f->nsec[i] = f->nsec[i] >= 1000000000u ? 0 : f->nsec[i];
	return true;
}

/* Sets *changed when the inode must be written. */
static int fix_blocks(struct sfs_state *s, uint32_t ino, struct sfs_fields *f, bool *changed)
{
	struct sfs_walk walk = { .keep = (f->size + SFS_BLOCK - 1) / SFS_BLOCK };
	uint64_t owned;
	int err = sfs_file_walk(s, &walk, f);

	if (err)
		return err;
	owned = walk.owned;
	if (walk.past &&
	    check_problem(s->check, &sfs_past_end_row, ino, (unsigned long long)walk.past)) {
		walk.clear = true;
		err = sfs_file_walk(s, &walk, f);
		check_ownership_changed(s->check);
		*changed = true;
	}
	/* What stays past the end is owned as well. */
	if (!err && walk.past && !walk.clear)
		return 0;
	if (!err && f->blocks != owned &&
	    check_problem(s->check, &sfs_block_count_row, ino, (unsigned long long)f->blocks,
			  (unsigned long long)owned)) {
		f->blocks = owned;
		*changed = true;
	}
	return err;
}

int sfs_check_inode(struct sfs_state *s, uint32_t ino)
{
	struct sfs_fields f;
	bool changed;
	int err = sfs_check_read_inode(s, ino, &f);

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
	return !err && changed ? sfs_check_write_inode(s, ino, &f) : err;
}

/* Calls `each` for the inodes of every table there is; without it, only finds the end. */
int sfs_inodes_walk(struct sfs_state *s, int (*each)(struct sfs_state *s, uint32_t ino),
		    uint32_t *end)
{
	uint32_t table = 0;
	int err = 0;

	while (table < SIMPLEFS_SUPER_SLOTS * SIMPLEFS_IMAP_SLOTS && !err) {
		uint64_t block;

		if (!sfs_pointer_of(s->super + SIMPLEFS_SUPER_RAW, table / SIMPLEFS_IMAP_SLOTS)) {
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
