/* SPDX-License-Identifier: MIT */
/*
 * The checker, pass 2: directories, from the root down, and their names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_state.h"

SFS_ROW(unreadable, "unreadable", "sectors of block %llu of directory %u cannot be read",
	"Clear those?", CHECK_LOSSY);
SFS_ROW(bad_slot, "bad-slot", "directory %u: bytes at %llu are no name",
	"Clear the rest of the sector?", CHECK_LOSSY);
SFS_ROW(bad_name, "bad-name",
	"directory %u: a name at %llu holds '/', a zero, or is \".\" or \"..\"", "Write '_' there?",
	CHECK_LOSSY);
SFS_ROW(dangling, "dangling-name", "directory %u: \"%.*s\" means inode %u, which is not there",
	"Remove it?", CHECK_SAFE);
SFS_ROW(duplicate, "duplicate-name", "directory %u: two entries \"%.*s\"", "Rename the second?",
	CHECK_LOSSY);
SFS_ROW(second_name, "second-name", "directory %u: \"%.*s\" is a second name of directory %u",
	"Remove it?", CHECK_SAFE);
SFS_ROW(wrong_type, "wrong-type", "directory %u: \"%.*s\" has the wrong type of inode %u",
	"Correct it?", CHECK_SAFE);

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

static uint64_t sfs_name_hash(const char *name, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3u;
	return hash;
}

static int name_note(struct sfs_state *s, const struct dir_look *look, const struct sfs_slot *slot)
{
	if (s->n_names == s->max_names) {
		size_t max = s->max_names ? 2 * s->max_names : 256;
		struct sfs_known_name *names = realloc(s->names, max * sizeof(*names));

		if (!names)
			return -ENOMEM;
		s->names = names;
		s->max_names = max;
	}
	s->names[s->n_names++] = (struct sfs_known_name){
		.hash = sfs_name_hash(slot->name, slot->name_len),
		.pos = look->pos + slot->off,
	};
	return 0;
}

static void type_fix(struct sfs_state *s, struct dir_look *look, const struct sfs_slot *slot,
		     uint8_t type)
{
	if (!check_problem(s->check, &sfs_wrong_type_row, look->ino, (int)slot->name_len,
			   slot->name, slot->ino))
		return;
	look->sector[slot->off + offsetof(struct sfs_slot_disk, type)] = type;
	look->changed = true;
}

/* Looking for the name of a directory in another one. */
struct old_name {
	uint32_t dir, ino;
	bool removed;
};

static int old_name_visit(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block)
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
			if (!check_problem(s->check, &sfs_second_name_row, old->dir,
					   (int)slot.name_len, slot.name, old->ino))
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
static int second_name_look(struct sfs_state *s, struct dir_look *look, const struct sfs_slot *slot,
			    const struct sfs_fields *f)
{
	struct old_name old = { .dir = s->dir[slot->ino], .ino = slot->ino };
	struct sfs_walk walk = { .keep = UINT64_MAX, .visit = old_name_visit, .arg = &old };
	struct sfs_fields dir;
	int err;

	if (f->parent != look->ino || old.dir == look->ino || slot->ino == SFS_ROOT_INO) {
		if (check_problem(s->check, &sfs_second_name_row, look->ino, (int)slot->name_len,
				  slot->name, slot->ino))
			look_remove(look, slot);
		return 0;
	}
	err = sfs_check_read_inode(s, old.dir, &dir);
	if (err > 0)
		err = sfs_file_walk(s, &walk, &dir);
	if (err || !old.removed)
		return err;
	s->links[old.dir]--;
	s->links[look->ino]++;
	s->dir[slot->ino] = look->ino;
	return name_note(s, look, slot);
}

/* A name whose inode is there. */
static int name_count(struct sfs_state *s, struct dir_look *look, const struct sfs_slot *slot,
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

static int slot_look(struct sfs_state *s, struct dir_look *look, const struct sfs_slot *slot)
{
	struct sfs_fields f = { .mode = 0 };
	int got = 0;

	if (name_is_bad(slot) && check_problem(s->check, &sfs_bad_name_row, look->ino,
					       (unsigned long long)(look->pos + slot->off)))
		name_mend(look, slot);
	if (slot->ino < s->n)
		got = sfs_check_read_inode(s, slot->ino, &f);
	if (got < 0)
		return got;
	if (got == 0 || s->type[slot->ino] == 0 || f.birth != slot->birth) {
		if (check_problem(s->check, &sfs_dangling_row, look->ino, (int)slot->name_len,
				  slot->name, slot->ino))
			look_remove(look, slot);
		return 0;
	}
	return name_count(s, look, slot, &f);
}

static int sector_look(struct sfs_state *s, struct dir_look *look)
{
	struct sfs_slot slot;
	uint32_t off = 0;
	int got, err = 0;

	while (!err && (got = sfs_slot_decode(look->sector, off, &slot)) != 0) {
		if (got < 0) {
			/* What was named behind this is lost; so nobody without a name is freed. */
			s->damaged = true;
			s->hurt = look->ino;
			if (check_problem(s->check, &sfs_bad_slot_row, look->ino,
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

/* Names were there: who had them is never freed.  Written, a sector may get another place. */
static int unreadable_settle(struct sfs_state *s, uint32_t ino, uint64_t fblk, uint64_t block,
			     const uint8_t *bytes)
{
	uint8_t again[SFS_BLOCK];
	int err;

	s->damaged = true;
	s->hurt = ino;
	if (!check_problem(s->check, &sfs_unreadable_row, (unsigned long long)fblk, ino)) {
		s->blind = true;
		return 0;
	}
	err = check_write(s->check, block, 1, bytes);
	if (!err)
		err = check_read(s->check, block, 1, again);
	if (err) {
		check_repair_failed(s->check);
		s->blind = true;
	}
	return err == -EINTR || err == -ENOMEM ? err : 0;
}

static int dir_block_look(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block)
{
	uint32_t ino = *(uint32_t *)arg;
	uint8_t bytes[SFS_BLOCK];
	bool changed = false;
	int lost = check_salvage(s->check, block, bytes), err = lost < 0 ? lost : 0;

	if (lost > 0)
		err = unreadable_settle(s, ino, fblk, block, bytes);
	for (uint32_t at = 0; at < SFS_BLOCK && !err && lost >= 0; at += SFS_SECTOR) {
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

/* ---- names alike ---- */

static int name_order(const void *a, const void *b)
{
	const struct sfs_known_name *x = a, *y = b;

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

static int one_slot_visit(struct sfs_state *s, void *arg, uint64_t fblk, uint64_t block)
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

static bool hash_is_known(const struct sfs_state *s, uint64_t hash)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (s->names[i].hash == hash)
			return true;
	return false;
}

/* Another last letter, so that it is nobody else's name here.  Nothing is lost by that. */
static void name_change(const struct sfs_state *s, uint8_t *name, uint32_t len)
{
	for (uint8_t letter = '~'; letter >= '0'; letter--) {
		name[len - 1] = letter;
		if (!hash_is_known(s, sfs_name_hash((char *)name, len)))
			return;
	}
}

static int duplicate_look(struct sfs_state *s, uint32_t ino, struct sfs_fields *f, uint64_t first,
			  struct sfs_known_name *name)
{
	struct one_slot a = { .pos = first }, b = { .pos = name->pos };
	struct sfs_walk walk = { .keep = UINT64_MAX, .visit = one_slot_visit, .arg = &a };
	uint8_t *bytes;
	int err = sfs_file_walk(s, &walk, f);

	walk.arg = &b;
	if (!err)
		err = sfs_file_walk(s, &walk, f);
	if (err || !a.block || !b.block || a.slot.name_len != b.slot.name_len ||
	    memcmp(a.slot.name, b.slot.name, a.slot.name_len) != 0)
		return err;
	if (!check_problem(s->check, &sfs_duplicate_row, ino, (int)b.slot.name_len, b.slot.name))
		return 0;
	bytes = b.bytes + name->pos % SFS_BLOCK + SFS_SLOT_HEADER;
	name_change(s, bytes, b.slot.name_len);
	name->hash = sfs_name_hash((char *)bytes, b.slot.name_len);
	return check_write(s->check, b.block, 1, b.bytes);
}

static int duplicates_look(struct sfs_state *s, uint32_t ino, struct sfs_fields *f)
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

/* ---- directories ---- */

static int dir_look(struct sfs_state *s, uint32_t ino)
{
	struct sfs_walk walk = { .visit = dir_block_look, .arg = &ino };
	struct sfs_fields f;
	int err = sfs_check_read_inode(s, ino, &f);

	if (err <= 0)
		return err;
	walk.keep = (f.size + SFS_BLOCK - 1) / SFS_BLOCK;
	s->n_names = 0;
	err = sfs_file_walk(s, &walk, &f);
	return err ? err : duplicates_look(s, ino, &f);
}

int sfs_check_dirs(struct sfs_state *s)
{
	int err = 0;

	while (s->head < s->tail && !err)
		err = dir_look(s, s->queue[s->head++]);
	return err;
}
