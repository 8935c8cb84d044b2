/* SPDX-License-Identifier: MIT */
/*
 * The checker, passes 3 and 4: names in lost+found for what has none; link counts
 * and "..".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check_state.h"

SFS_ROW(orphan, "orphan", "inode %u has no name", "Free it?", CHECK_SAFE);
SFS_ROW(unreachable, "unreachable",
	"inode %u has no name; it may be in a directory that is damaged", "", CHECK_REPORT_ONLY);
SFS_ROW(lost, "lost", "inode %u lost its name with a damaged directory",
	"Name it #NUMBER in lost+found?", CHECK_LOSSY);
SFS_ROW(link_count, "link-count", "inode %u counts %u links and has %u", "Correct it?", CHECK_SAFE);
SFS_ROW(wrong_parent, "wrong-parent", "directory %u is in %u, but its \"..\" says %u",
	"Correct it?", CHECK_SAFE);

/* ---- pass 3 ---- */

/* Room for a name in a directory. */
struct room {
	uint32_t name_len;
	uint64_t block; /* 0: none yet */
	uint32_t sector, off, len;
	uint8_t bytes[SFS_BLOCK];
};

static int room_visit(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block)
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

static int room_find(struct sfs_state *s, uint32_t dir, struct room *room)
{
	struct sfs_walk walk = { .keep = UINT64_MAX, .visit = room_visit, .arg = room };
	struct sfs_fields f;
	int err = dir ? sfs_check_read_inode(s, dir, &f) : 0;

	return err > 0 ? sfs_file_walk(s, &walk, &f) : err;
}

/* Another block for a directory that has no room: only as long as its inode has pointers for it. */
static int dir_grow(struct sfs_state *s, uint32_t dir, struct room *room)
{
	struct sfs_fields f;
	uint64_t n, block;
	int err = sfs_check_read_inode(s, dir, &f);

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
		err = sfs_check_write_inode(s, dir, &f);
	return err ? err : room_find(s, dir, room);
}

/* Put a name there; *done says whether there was room.  Its link is counted. */
static int name_put(struct sfs_state *s, uint32_t dir, const char *name, uint32_t ino,
		    uint64_t birth, bool *done)
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

static int by_name_visit(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block)
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

static int lost_dir_make(struct sfs_state *s)
{
	struct sfs_fields f;
	bool done = false;
	int err = 0;

	for (uint32_t ino = 2; ino < s->n && !s->lost_dir && err >= 0; ino++) {
		uint64_t birth = check_epoch(s->check) << 32 | 0xf0000000u | ino;

		if (s->type[ino] || s->links[ino])
			continue;
		err = sfs_check_read_inode(s, ino, &f);
		if (err <= 0 || f.mode)
			continue;
		f = (struct sfs_fields){
			.mode = 0040700, .nlink = 2, .birth = birth, .parent = SFS_ROOT_INO
		};
		err = sfs_check_write_inode(s, ino, &f);
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
static int lost_dir_find(struct sfs_state *s)
{
	struct by_name find = { .name = "lost+found" };
	struct sfs_walk walk = { .keep = UINT64_MAX, .visit = by_name_visit, .arg = &find };
	struct sfs_fields f;
	int err;

	if (s->lost_dir)
		return 0;
	err = sfs_check_read_inode(s, SFS_ROOT_INO, &f);
	if (err > 0)
		err = sfs_file_walk(s, &walk, &f);
	s->lost_dir = find.ino;
	return err || s->lost_dir ? err : lost_dir_make(s);
}

/* Name an inode in lost+found, or where damage has made room. */
static int name_give(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
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
	return sfs_check_write_inode(s, ino, f);
}

/* Is its parent lost as well?  Then it will be found there. */
static bool parent_is_lost(const struct sfs_state *s, uint32_t ino, const struct sfs_fields *f)
{
	return f->parent != ino && f->parent < s->n && s->type[f->parent] == SIMPLEFS_DIR &&
	       !s->links[f->parent];
}

/* Lost directories, the topmost first; then those that are lost in a ring. */
int sfs_lost_dirs_find(struct sfs_state *s, bool rings)
{
	int err = 0;

	for (uint32_t ino = 1; ino < s->n && err >= 0; ino++) {
		struct sfs_fields f;

		if (s->type[ino] != SIMPLEFS_DIR || s->links[ino])
			continue;
		err = sfs_check_read_inode(s, ino, &f);
		if (err <= 0 || !f.nlink || (!rings && parent_is_lost(s, ino, &f)))
			continue;
		err = check_problem(s->check, &sfs_lost_row, ino) ? name_give(s, ino, &f) : 0;
		if (!err)
			err = sfs_check_dirs(s);
	}
	return err < 0 ? err : 0;
}

/* An inode without a name. */
static int orphan_settle(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
{
	if (!f->nlink || !s->damaged)
		return check_problem(s->check, &sfs_orphan_row, ino)
			       ? sfs_check_clear_inode(s, ino, f)
			       : 0;
	if (s->blind) {
		check_problem(s->check, &sfs_unreachable_row, ino);
		return 0;
	}
	if (s->type[ino] == SIMPLEFS_DIR)
		return 0; /* was asked about already */
	return check_problem(s->check, &sfs_lost_row, ino) ? name_give(s, ino, f) : 0;
}

/* ---- pass 4 ---- */

int sfs_settle_inode(struct sfs_state *s, uint32_t ino)
{
	struct sfs_fields f;
	bool changed = false;
	int err;

	if (!s->type[ino])
		return 0;
	err = sfs_check_read_inode(s, ino, &f);
	if (err <= 0)
		return err;
	if (!s->links[ino]) {
		err = orphan_settle(s, ino, &f);
		if (err || !s->links[ino])
			return err;
	}
	if (f.nlink != s->links[ino] && !s->blind &&
	    check_problem(s->check, &sfs_link_count_row, ino, f.nlink, s->links[ino])) {
		f.nlink = s->links[ino];
		changed = true;
	}
	if (s->type[ino] == SIMPLEFS_DIR && f.parent != s->dir[ino] &&
	    check_problem(s->check, &sfs_wrong_parent_row, ino, s->dir[ino], f.parent)) {
		f.parent = s->dir[ino];
		changed = true;
	}
	return changed ? sfs_check_write_inode(s, ino, &f) : 0;
}
