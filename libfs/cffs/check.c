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

#include "check_inode.h"
#include "check_state.h"
#include "mend.h"

static CFFS_ROW(no_params, "unfinished", "making the file system was not finished", "",
		CHECK_REPORT_ONLY);
static CFFS_ROW(lost_params, "parameters", "the parameters of the file system are gone",
		"Write usual ones?", CHECK_LOSSY);
static CFFS_ROW(no_system, "no-system-directory",
		"inode %llu, a directory of the system, is not there", "Make an empty one?",
		CHECK_LOSSY);
static CFFS_ROW(unnamed, "unnamed", "inode %llu has no name", "Name it in lost+found?",
		CHECK_LOSSY);

static const struct check_problem_row *const problems[] = {
	&cffs_no_params_row,   &cffs_lost_params_row,
	&cffs_no_system_row,   &cffs_bad_sector_row,
	&cffs_misplaced_row,   &cffs_bad_node_row,
	&cffs_bad_map_row,     &cffs_bad_name_row,
	&cffs_duplicate_row,   &cffs_bad_index_row,
	&cffs_not_indexed_row, &cffs_same_ino_row,
	&cffs_block_count_row, &cffs_link_count_row,
	&cffs_dangling_row,    &cffs_unnamed_row,
	&cffs_lost_row,        &cffs_bad_type_row,
	&cffs_bad_size_row,    &cffs_bad_flags_row,
	&cffs_bad_xattrs_row,  NULL,
};

/* ---- pass 1 ---- */

static int count_check(struct cffs_state *s, const struct cffs_known *known, uint32_t found)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at;
	int err = cffs_check_read_entry(s, known, bytes, &at, &entry);

	if (err || entry.a.ino != known->ino || entry.a.nlink == found)
		return err == -ENOENT ? 0 : err;
	if (!check_problem(s->check, &cffs_link_count_row, (unsigned long long)known->ino,
			   entry.a.nlink, found))
		return 0;
	entry.a.nlink = found;
	return cffs_check_replace(s, known->block, known->sector, bytes, at, &entry);
}

static int tree_check(struct cffs_state *s)
{
	int err = 0;

	for (size_t i = 0; i < s->dirs.n && !err; i++) {
		struct cffs_known dir = s->dirs.v[i];
		uint32_t subdirs = 0;

		err = cffs_check_dir(s, &dir, &subdirs);
		if (!err)
			err = count_check(s, &dir, 2 + subdirs);
		check_progress(s->check, i + 1, s->dirs.n);
	}
	return err;
}

/* ---- pass 2 ---- */

static int external_check(struct cffs_state *s, const struct cffs_known *known)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	le32_t place;
	uint32_t at;
	int err;

	if (known->links)
		return count_check(s, known, known->links);
	err = cffs_check_read_entry(s, known, bytes, &at, &entry);
	if (err || entry.a.nlink == 0 || s->blind)
		return err == -ENOENT ? 0 : err;
	if (!check_problem(s->check, &cffs_unnamed_row, (unsigned long long)known->ino))
		return 0;
	memcpy(&place, bytes + CFFS_S_PLACE, sizeof(place));
	err = cffs_lost_link(&s->lost, known->ino, entry.a.mode, le32_get(place));
	if (err)
		check_repair_failed(s->check);
	check_ownership_changed(s->check); /* so that we look again */
	return err == -ENOMEM || err == -EINTR ? err : 0;
}

/* ---- all ---- */

/* *at: where in its sector. */
static bool system_is_at(const uint8_t *sector, uint64_t ino, uint32_t *at,
			 struct cffs_entry *entry)
{
	*at = 0;
	return !cffs_sector_check(sector) && cffs_sector_next(sector, at, entry) &&
	       entry->kind == CFFS_KIND_INODE && entry->a.ino == ino && entry->a.mode >> 12 == 4;
}

static bool system_is_there(const uint8_t *sector, uint64_t ino, struct cffs_entry *entry)
{
	uint32_t at;

	return system_is_at(sector, ino, &at, entry);
}

static int system_check(struct cffs_state *s, uint64_t root, uint8_t *bytes, uint64_t ino)
{
	uint8_t *sector = bytes + ino * CFFS_SECTOR;
	struct cffs_entry entry;
	uint32_t at;
	int err = 0;

	if (!system_is_at(sector, ino, &at, &entry)) {
		if (!check_problem(s->check, &cffs_no_system_row, (unsigned long long)ino))
			return -ENOENT;
		cffs_system_sector(ino, sector);
		check_ownership_changed(s->check);
		err = check_write(s->check, root, 1, bytes);
		if (err || !system_is_at(sector, ino, &at, &entry))
			return err ? err : -ENOENT;
	}
	err = cffs_check_system(s, root, (uint32_t)ino, sector, at, &entry);
	if (err)
		return err;
	return cffs_list_add(&s->dirs, ino, root, (uint32_t)ino, entry.slot);
}

/* Blocks that the walk cut off, or that a directory's inode lost. */
static int lost_check(struct cffs_state *s)
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
static int system_restore(struct cffs_state *s, uint64_t root, uint8_t *bytes)
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
static int check_all(struct cffs_state *s, uint64_t root, uint8_t *bytes)
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
		if (order[i] == CFFS_INO_XDIR)
			cffs_list_sort(&s->external);
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
		check_problem(check, &cffs_no_params_row);
		return false;
	}
	if (!check_problem(check, &cffs_lost_params_row))
		return false;
	cffs_params_anew(check_root_uuid(check), bytes);
	*err = check_write(check, root, 1, bytes);
	return !*err && cffs_params_decode(bytes, params);
}

static int check_cffs(struct check *check)
{
	struct cffs_state s = { .check = check };
	uint64_t root = check_root_object(check);
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_params params;
	int err = check_read(check, root, 1, bytes);

	if (err)
		return err;
	s.lost = (struct cffs_lost){
		.check = check, .root = root, .is_taken = cffs_ino_is_taken, .arg = &s
	};
	if (!params_get(check, root, bytes, &params, &err))
		return err;
	s.seed = params.uuid;
	err = check_all(&s, root, bytes);
	cffs_numbers_free(&s.inos);
	cffs_numbers_free(&s.names);
	free(s.dirs.v);
	free(s.external.v);
	return err;
}

extern const struct libfs_checker cffs_checker;

const struct libfs_checker cffs_checker = {
	.check = check_cffs,
	.mend = cffs_mend,
	.sums = true,
	.image = cffs_image,
	.problems = problems,
};
