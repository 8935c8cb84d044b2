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

#include "check_state.h"
#include "mend.h"

static SFS_ROW(no_magic, "unfinished", "making the file system was not finished", "",
	       CHECK_REPORT_ONLY);
static SFS_ROW(lost_magic, "magic", "the magic is gone", "Write it?", CHECK_LOSSY);
static SFS_ROW(no_root, "no-root-directory", "inode 1 is no directory", "Make it one?",
	       CHECK_LOSSY);

static const struct check_problem_row *const problems[] = {
	&sfs_no_magic_row,     &sfs_lost_magic_row,
	&sfs_no_root_row,      &sfs_bad_type_row,
	&sfs_bad_time_row,     &sfs_bad_size_row,
	&sfs_bad_target_row,   &sfs_past_end_row,
	&sfs_block_count_row,  &sfs_unreadable_row,
	&sfs_bad_slot_row,     &sfs_bad_name_row,
	&sfs_dangling_row,     &sfs_duplicate_row,
	&sfs_second_name_row,  &sfs_wrong_type_row,
	&sfs_orphan_row,       &sfs_unreachable_row,
	&sfs_lost_row,         &sfs_link_count_row,
	&sfs_wrong_parent_row, NULL,
};

static int state_init(struct sfs_state *s)
{
	int err = check_read(s->check, check_root_object(s->check), 1, s->super);

	if (!err)
		err = sfs_inodes_walk(s, NULL, &s->n);
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

static void state_fini(struct sfs_state *s)
{
	free(s->names);
	free(s->queue);
	free(s->dir);
	free(s->links);
	free(s->type);
}

/* A new block of zeroes, named by a pointer in another one. */
static int block_make(struct sfs_state *s, uint64_t owner, uint8_t *bytes, uint32_t at,
		      uint64_t *block)
{
	uint8_t zeroes[SFS_BLOCK] = { 0 };
	int err = check_allocate(s->check, block);

	if (!err)
		err = check_write(s->check, *block, 1, zeroes);
	if (err)
		return err;
	le64_store(bytes + at, *block);
	return check_write(s->check, owner, 1, bytes);
}

/* Where the first inodes were, the walk cut everything off.  Returns 1. */
static int first_table_make(struct sfs_state *s)
{
	uint64_t map = sfs_pointer_of(s->super + SIMPLEFS_SUPER_RAW, 0), table;
	uint8_t bytes[SFS_BLOCK] = { 0 };
	int err = map ? check_read(s->check, map, 1, bytes)
		      : block_make(s, check_root_object(s->check), s->super, SIMPLEFS_SUPER_RAW,
				   &map);

	s->map_block = s->table_block = 0;
	if (!err && !sfs_pointer_of(bytes, 0))
		err = block_make(s, map, bytes, 0, &table);
	if (err)
		check_repair_failed(s->check);
	return err ? err : 1;
}

/* An empty one, or what there is under a mode that was damaged. */
static int root_dir_make(struct sfs_state *s)
{
	struct sfs_fields f;
	int err = sfs_check_read_inode(s, SFS_ROOT_INO, &f);

	if (err == 0)
		err = first_table_make(s);
	if (err > 0)
		err = sfs_check_read_inode(s, SFS_ROOT_INO, &f);
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
	return sfs_check_write_inode(s, SFS_ROOT_INO, &f);
}

static int passes(struct sfs_state *s)
{
	int err = sfs_inodes_walk(s, sfs_check_inode, NULL);

	if (err)
		return err;
	if (s->type[SFS_ROOT_INO] != SIMPLEFS_DIR) {
		if (!check_problem(s->check, &sfs_no_root_row))
			return 0;
		err = root_dir_make(s);
		if (err)
			return err;
	}
	s->links[SFS_ROOT_INO] = 2;
	s->dir[SFS_ROOT_INO] = SFS_ROOT_INO;
	s->queue[s->tail++] = SFS_ROOT_INO;
	err = sfs_check_dirs(s);
	if (!err && s->damaged && !s->blind)
		err = sfs_lost_dirs_find(s, false);
	if (!err && s->damaged && !s->blind)
		err = sfs_lost_dirs_find(s, true);
	return err ? err : sfs_inodes_walk(s, sfs_settle_inode, NULL);
}

/* What mkfs does not make: a second inode, or something in the root directory. */
static int inode_is_later(struct sfs_state *s, uint32_t ino)
{
	struct sfs_fields f;
	int err = sfs_check_read_inode(s, ino, &f);

	if (err <= 0)
		return err;
	return f.mode && (ino != SFS_ROOT_INO || f.size > 0);
}

/* Is it as mkfs has it before the magic? */
static bool is_fresh(struct sfs_state *s)
{
	static const uint8_t zeroes[SIMPLEFS_SUPER_RAW];

	return memcmp(s->super, zeroes, sizeof(zeroes)) == 0 &&
	       sfs_inodes_walk(s, inode_is_later, NULL) == 0;
}

/*
 * mkfs writes it last: without an inode map it never got that far, and where nothing was made
 * since nothing is lost.
 */
static bool magic_is_there(struct sfs_state *s, int *err)
{
	struct sfs_super_disk *super = (void *)s->super;

	if (le64_get(super->magic) == SIMPLEFS_MAGIC)
		return true;
	if (!sfs_pointer_of(s->super + SIMPLEFS_SUPER_RAW, 0) || (!s->damaged && is_fresh(s))) {
		check_problem(s->check, &sfs_no_magic_row);
		return false;
	}
	if (!check_problem(s->check, &sfs_lost_magic_row))
		return false;
	super->magic = le64_make(SIMPLEFS_MAGIC);
	super->version = le32_make(1);
	*err = check_write(s->check, check_root_object(s->check), 1, s->super);
	return !*err;
}

static int simplefs_check(struct check *check)
{
	struct sfs_state *s = calloc(1, sizeof(*s));
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
