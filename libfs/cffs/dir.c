/* SPDX-License-Identifier: MIT */
/*
 * Directories.
 *
 *  (1) A directory is a heap of entries in blocks of its own.  An entry stays in
 *      its sector, and so keeps its cookie, until somebody renames it.
 *  (2) Memory keeps, of each directory in use, where its blocks are, how much
 *      room each sector has, and a table from the hash of a name to its sector:
 *      made by one pass over the directory, kept with every change.
 *  (3) Room and places of blocks change with dir->lock and fs->lock held; the
 *      table of names with dir->lock.
 *  (4) Room is a hint that whoever edits the sector verifies.
 */
#include "tree.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GROUP       32u /* blocks whose best sector is remembered */
#define EMPTY_ROOM  (CFFS_SECTOR - CFFS_S_HEAD)
#define GROW_MAX    16u
#define NAMES_FIRST 64u

struct name_slot {
	uint32_t hash;
	uint32_t at; /* (block * 8 + sector) + 1; 0: empty */
};

struct cffs_dir {
	uint64_t *blocks; /* where they are */
	uint16_t *room;   /* of each sector */
	uint16_t *best;   /* of each group; never less than the truth */
	uint32_t n_blocks, cap;
	uint32_t cursor; /* group where something was put last */
	struct name_slot *names;
	uint32_t n_names, n_slots; /* n_slots: a power of two */
};

static uint32_t hash_of(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull ^ len;

	while (len >= 8) {
		uint64_t word;

		memcpy(&word, name, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
		name += 8;
		len -= 8;
	}
	while (len--)
		h = (h ^ (uint8_t)*name++) * 0x100000001b3ull;
	h ^= h >> 32;
	return (uint32_t)(h * 0x9e3779b97f4a7c15ull >> 32);
}

/* ---- the table of names: open addressing, no tombstones ---- */

static void slot_put(struct name_slot *slots, uint32_t n, struct name_slot what)
{
	uint32_t i = what.hash & (n - 1);

	while (slots[i].at)
		i = (i + 1) & (n - 1);
	slots[i] = what;
}

int cffs_dir_reserve_name(struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	uint32_t n = d->n_slots ? d->n_slots * 2 : NAMES_FIRST;
	struct name_slot *slots;

	if (d->n_slots && (d->n_names + 1) * 4 <= d->n_slots * 3)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_slots; i++)
		if (d->names[i].at)
			slot_put(slots, n, d->names[i]);
	free(d->names);
	d->names = slots;
	d->n_slots = n;
	return 0;
}

static uint32_t at_of(const struct cffs_loc *loc)
{
	return loc->block * CFFS_SECTORS + loc->sector + 1;
}

void cffs_dir_came(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc)
{
	struct name_slot what = { hash_of(name, name_len), at_of(loc) };

	(void)fs;
	slot_put(dir->d->names, dir->d->n_slots, what);
	dir->d->n_names++;
}

void cffs_dir_went(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc)
{
	struct cffs_dir *d = dir->d;
	uint32_t hash = hash_of(name, name_len), mask = d->n_slots - 1, i = hash & mask, k;

	(void)fs;
	while (d->names[i].at && (d->names[i].hash != hash || d->names[i].at != at_of(loc)))
		i = (i + 1) & mask;
	if (!d->names[i].at)
		return;
	d->n_names--;
	/* Move up those behind it that would not be found over a gap. */
	for (k = (i + 1) & mask; d->names[k].at; k = (k + 1) & mask) {
		uint32_t home = d->names[k].hash & mask;

		if (((k - home) & mask) >= ((k - i) & mask)) {
			d->names[i] = d->names[k];
			i = k;
		}
	}
	d->names[i].at = 0;
}

void cffs_dir_clear(struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	d->n_blocks = d->cursor = d->n_names = 0;
	if (d->n_slots)
		memset(d->names, 0, d->n_slots * sizeof(*d->names));
}

bool cffs_dir_is_empty(const struct cffs_inode *dir)
{
	return dir->d->n_names == 0;
}

/* ---- blocks ---- */

uint32_t cffs_dir_blocks(const struct cffs_inode *dir)
{
	return dir->d ? dir->d->n_blocks : 0;
}

xn_blk_t cffs_dir_block_at(const struct cffs_inode *dir, uint32_t block)
{
	return dir->d && block < dir->d->n_blocks ? dir->d->blocks[block] : 0;
}

xn_blk_t cffs_dir_block(const struct cffs_inode *dir)
{
	return dir->d && dir->d->n_blocks ? dir->d->blocks[dir->d->n_blocks - 1] : 0;
}

void cffs_dir_set_room(struct cffs_inode *dir, uint32_t block, uint32_t sector, uint32_t room)
{
	struct cffs_dir *d = dir->d;

	if (!d || block >= d->n_blocks)
		return;
	d->room[block * CFFS_SECTORS + sector] = (uint16_t)room;
	if (d->best[block / GROUP] < room)
		d->best[block / GROUP] = (uint16_t)room;
}

/* With fs->lock held. */
static int blocks_append(struct cffs_dir *d, uint64_t start, uint32_t count)
{
	uint32_t n = d->n_blocks + count;

	if (n > d->cap) {
		uint32_t cap = d->cap ? d->cap : 4;
		void *grown;

		while (cap < n)
			cap *= 2;
		grown = realloc(d->blocks, cap * sizeof(*d->blocks));
		if (!grown)
			return -ENOMEM;
		d->blocks = grown;
		grown = realloc(d->room, cap * CFFS_SECTORS * sizeof(*d->room));
		if (!grown)
			return -ENOMEM;
		d->room = grown;
		grown = realloc(d->best, (cap / GROUP + 1) * sizeof(*d->best));
		if (!grown)
			return -ENOMEM;
		d->best = grown;
		d->cap = cap;
	}
	for (uint32_t i = 0; i < count; i++, d->n_blocks++) {
		d->blocks[d->n_blocks] = start + i;
		for (uint32_t s = 0; s < CFFS_SECTORS; s++)
			d->room[d->n_blocks * CFFS_SECTORS + s] = EMPTY_ROOM;
		d->best[d->n_blocks / GROUP] = EMPTY_ROOM;
	}
	return 0;
}

static bool has_nodes(const struct cffs_body *body)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		if (body->slot[i].class == CFFS_CLASS_NODE)
			return true;
	return false;
}

/*
 * Also called for a file in the directory, by somebody who holds no lock of the directory itself:
 * what its entry names is looked at with fs->lock held.
 */
int cffs_dir_hold(struct cffs *fs, struct cffs_inode *dir, uint32_t block, struct cffs_hold **out)
{
	struct cffs_run run = { 0 };
	xn_blk_t object;
	bool nodes;
	int err;

	pthread_mutex_lock(&fs->lock);
	object = cffs_dir_block_at(dir, block);
	*out = object ? cffs_hold_find(fs, object) : NULL;
	nodes = has_nodes(&dir->b);
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	if (!object)
		return -ESTALE;
	err = nodes ? cffs_map(fs, dir, block, 1, &run)
		    : cffs_inode_owner(fs, dir, &run.owner, &run.record);
	if (err)
		return err;
	err = cffs_hold_get(fs, run.owner, run.record, CFFS_T_DIR, object, out);
	cffs_hold_put(fs, run.owner);
	return err;
}

int cffs_dir_sector(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector,
		    uint8_t bytes[CFFS_SECTOR])
{
	struct cffs_hold *hold;
	int err = cffs_dir_hold(fs, dir, block, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	memcpy(bytes, hold->bytes + sector * CFFS_SECTOR, CFFS_SECTOR);
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

int cffs_dir_name_at(struct cffs *fs, struct cffs_inode *dir, const struct cffs_loc *loc,
		     char name[LIBFS_NAME_MAX + 1])
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	uint32_t at;
	int err = cffs_dir_sector(fs, dir, loc->block, loc->sector, bytes);

	if (err)
		return err;
	at = cffs_sector_find_slot(bytes, (uint8_t)loc->slot);
	if (!at)
		return XN_EDAMAGED;
	cffs_entry_decode(bytes, at, &entry);
	memcpy(name, entry.name, entry.name_len);
	name[entry.name_len] = '\0';
	return 0;
}

/* ---- loading ---- */

void cffs_dir_free(struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	if (!d)
		return;
	free(d->blocks);
	free(d->room);
	free(d->best);
	free(d->names);
	free(d);
	dir->d = NULL;
}

int cffs_dir_empty(struct cffs_inode *dir, uint64_t start, uint32_t n_blocks)
{
	struct cffs_dir *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	err = n_blocks ? blocks_append(d, start, n_blocks) : 0;
	dir->d = d;
	if (err)
		cffs_dir_free(dir);
	return err;
}

/* Where the directory's blocks are. */
static int load_blocks(struct cffs *fs, struct cffs_inode *dir)
{
	uint32_t at = 0;
	int err = 0;

	for (;;) {
		struct cffs_run run;

		err = cffs_map(fs, dir, at, CFFS_SLOT_COUNT_MAX, &run);
		if (err)
			return err;
		cffs_hold_put(fs, run.owner);
		if (!run.start)
			return 0;
		if (run.class != CFFS_CLASS_DIR || run.count > UINT32_MAX / CFFS_SECTORS - at - 1)
			return XN_EDAMAGED;
		pthread_mutex_lock(&fs->lock);
		err = blocks_append(dir->d, run.start, (uint32_t)run.count);
		pthread_mutex_unlock(&fs->lock);
		if (err)
			return err;
		at += (uint32_t)run.count;
	}
}

/* An orphan's entry: if nobody uses it any more (a crash), it is freed soon. */
static int meet_nameless(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector,
			 const struct cffs_entry *entry)
{
	struct cffs_inode *inode;

	if (entry->kind != CFFS_KIND_INODE || entry->a.nlink ||
	    (fs->libfs.flags & LIBFS_MOUNT_RDONLY))
		return 0;
	pthread_mutex_lock(&fs->lock);
	inode = cffs_inode_from_entry(fs, dir, block, sector, entry);
	if (inode)
		cffs_inode_put_locked(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	return inode ? 0 : -ENOMEM;
}

static int load_sector(struct cffs *fs, struct cffs_inode *dir, const uint8_t *bytes,
		       uint32_t block, uint32_t sector)
{
	struct cffs_loc loc = { .block = block, .sector = sector };
	struct cffs_entry entry;
	uint32_t at = 0;
	int err = 0;

	while (!err && cffs_sector_next(bytes, &at, &entry)) {
		if (entry.name_len == 0) {
			err = meet_nameless(fs, dir, block, sector, &entry);
			continue;
		}
		err = cffs_dir_reserve_name(dir);
		if (!err)
			cffs_dir_came(fs, dir, entry.name, entry.name_len, &loc);
	}
	return err;
}

static int load_names(struct cffs *fs, struct cffs_inode *dir)
{
	uint8_t bytes[CFFS_BLOCK];
	int err = 0;

	for (uint32_t block = 0; block < dir->d->n_blocks && !err; block++) {
		struct cffs_hold *hold;

		err = cffs_dir_hold(fs, dir, block, &hold);
		if (err)
			break;
		pthread_mutex_lock(&fs->lock);
		memcpy(bytes, hold->bytes, sizeof(bytes));
		for (uint32_t s = 0; s < CFFS_SECTORS; s++)
			cffs_dir_set_room(dir, block, s, cffs_sector_room(bytes + s * CFFS_SECTOR));
		cffs_hold_put_locked(fs, hold);
		pthread_mutex_unlock(&fs->lock);
		for (uint32_t s = 0; s < CFFS_SECTORS && !err; s++)
			err = load_sector(fs, dir, bytes + s * CFFS_SECTOR, block, s);
	}
	return err;
}

int cffs_dir_load(struct cffs *fs, struct cffs_inode *dir)
{
	int err;

	if (dir->d)
		return 0;
	err = cffs_dir_empty(dir, 0, 0);
	if (!err)
		err = load_blocks(fs, dir);
	if (!err)
		err = load_names(fs, dir);
	if (err) {
		pthread_mutex_lock(&fs->lock);
		cffs_dir_free(dir);
		pthread_mutex_unlock(&fs->lock);
	}
	return err;
}

int cffs_dir_lock(struct cffs *fs, struct cffs_inode *dir, bool write)
{
	int err;

	if (!cffs_is_dir(dir))
		return -ENOTDIR;
	for (;;) {
		if (write)
			pthread_rwlock_wrlock(&dir->lock);
		else
			pthread_rwlock_rdlock(&dir->lock);
		if (dir->d)
			return 0;
		if (!write) {
			pthread_rwlock_unlock(&dir->lock);
			pthread_rwlock_wrlock(&dir->lock);
		}
		err = cffs_dir_load(fs, dir);
		if (err || !write)
			pthread_rwlock_unlock(&dir->lock);
		if (err || write)
			return err;
	}
}

/* ---- finding ---- */

static void loc_fill(struct cffs_loc *loc, const struct cffs_entry *entry)
{
	loc->slot = entry->slot;
	loc->kind = entry->kind;
	if (entry->kind == CFFS_KIND_LINK) {
		loc->ino = entry->link_ino;
		loc->dtype = entry->dtype;
		loc->link_place = entry->link_place;
	} else {
		loc->ino = entry->a.ino;
		loc->dtype = (uint8_t)(entry->a.mode >> 12);
	}
}

/* Is the name in that sector? */
static int look(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t len,
		struct cffs_loc *loc)
{
	struct cffs_entry entry;
	struct cffs_hold *hold;
	const uint8_t *sector;
	uint32_t at;
	int err = cffs_dir_hold(fs, dir, loc->block, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	sector = hold->bytes + loc->sector * CFFS_SECTOR;
	at = cffs_sector_find_name(sector, name, (uint8_t)len);
	if (at) {
		cffs_entry_decode(sector, at, &entry);
		loc_fill(loc, &entry);
	}
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return at ? 0 : -ENOENT;
}

int cffs_dir_find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc)
{
	const struct cffs_dir *d = dir->d;
	size_t len = strlen(name);
	uint32_t hash = hash_of(name, len);
	int err = -ENOENT;

	if (!d->n_slots)
		return -ENOENT;
	for (uint32_t i = hash & (d->n_slots - 1); d->names[i].at && err == -ENOENT;
	     i = (i + 1) & (d->n_slots - 1)) {
		if (d->names[i].hash != hash)
			continue;
		loc->block = (d->names[i].at - 1) / CFFS_SECTORS;
		loc->sector = (d->names[i].at - 1) % CFFS_SECTORS;
		err = look(fs, dir, name, len, loc);
	}
	return err;
}

/* The entry with that slot in that sector of a directory becomes an inode in memory. */
static int inode_at(struct cffs *fs, struct cffs_inode *dir, const struct cffs_loc *loc,
		    uint64_t ino, struct cffs_inode **out)
{
	struct cffs_entry entry;
	struct cffs_hold *hold;
	const uint8_t *sector;
	uint32_t at = 0;
	bool found = false;
	int err = cffs_dir_hold(fs, dir, loc->block, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	sector = hold->bytes + loc->sector * CFFS_SECTOR;
	*out = cffs_inode_find(fs, ino);
	while (!*out && !found && cffs_sector_next(sector, &at, &entry))
		found = entry.kind == CFFS_KIND_INODE && entry.a.ino == ino;
	if (found)
		*out = cffs_inode_from_entry(fs, dir, loc->block, loc->sector, &entry);
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return *out ? 0 : found ? -ENOMEM : XN_EDAMAGED;
}

int cffs_dir_inode(struct cffs *fs, struct cffs_inode *dir, const struct cffs_loc *loc,
		   struct cffs_inode **out)
{
	struct cffs_loc there = { .block = loc->link_place / CFFS_SECTORS,
				  .sector = loc->link_place % CFFS_SECTORS };
	int err;

	pthread_mutex_lock(&fs->lock);
	*out = cffs_inode_find(fs, loc->ino);
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	if (loc->kind == CFFS_KIND_INODE)
		return inode_at(fs, dir, loc, loc->ino, out);
	/* Blocks of XDIR never go, so that what is known of them needs no lock but this. */
	err = cffs_dir_lock(fs, fs->xdir, false);
	if (err)
		return err;
	err = inode_at(fs, fs->xdir, &there, loc->ino, out);
	pthread_rwlock_unlock(&fs->xdir->lock);
	return err;
}

/* ---- room ---- */

/* With fs->lock held: a sector of the group with that much room. */
static bool group_room(struct cffs_dir *d, uint32_t group, uint32_t need, struct cffs_loc *loc)
{
	uint32_t from = group * GROUP * CFFS_SECTORS, to = from + GROUP * CFFS_SECTORS, best = 0;

	if (d->best[group] < need)
		return false;
	if (to > d->n_blocks * CFFS_SECTORS)
		to = d->n_blocks * CFFS_SECTORS;
	for (uint32_t i = from; i < to; i++) {
		if (d->room[i] >= need) {
			loc->block = i / CFFS_SECTORS;
			loc->sector = i % CFFS_SECTORS;
			d->cursor = group;
			return true;
		}
		best = d->room[i] > best ? d->room[i] : best;
	}
	d->best[group] = (uint16_t)best;
	return false;
}

static bool find_room(struct cffs_dir *d, uint32_t need, struct cffs_loc *loc)
{
	uint32_t groups = (d->n_blocks + GROUP - 1) / GROUP;

	if (d->cursor < groups && group_room(d, d->cursor, need, loc))
		return true;
	for (uint32_t g = 0; g < groups; g++)
		if (group_room(d, g, need, loc))
			return true;
	return false;
}

static int grow(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	uint32_t want = d->n_blocks ? d->n_blocks : 1;
	struct xn_extent blocks;
	unsigned tries = 0;
	int err;

	if (want > GROW_MAX)
		want = GROW_MAX;
	do {
		err = cffs_place(fs, dir, dir, d->n_blocks, want, fs->type[CFFS_T_DIR], &blocks);
		if (!err)
			err = cffs_map_add(fs, dir, CFFS_CLASS_DIR, d->n_blocks, &blocks);
	} while (err && cffs_retry(fs, err, &tries));
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = blocks_append(d, blocks.start, (uint32_t)blocks.count);
	pthread_mutex_unlock(&fs->lock);
	return err;
}

int cffs_dir_room(struct cffs *fs, struct cffs_inode *dir, uint32_t need, struct cffs_loc *loc,
		  struct cffs_hold **hold)
{
	for (;;) {
		bool found;
		int err;

		pthread_mutex_lock(&fs->lock);
		found = find_room(dir->d, need, loc);
		pthread_mutex_unlock(&fs->lock);
		err = found ? cffs_dir_hold(fs, dir, loc->block, hold) : grow(fs, dir);
		if (found || err)
			return err;
	}
}

/* ---- shrinking ---- */

static bool block_is_empty(const struct cffs_dir *d, uint32_t block)
{
	for (uint32_t i = 0; i < CFFS_SECTORS; i++)
		if (d->room[block * CFFS_SECTORS + i] != EMPTY_ROOM)
			return false;
	return true;
}

/*
 * What stays: the first block, too, where names come and go.  One that was larger and is empty now
 * was cleared: all of it goes, and nothing of it has to be written.
 */
static uint32_t used_blocks(struct cffs *fs, const struct cffs_inode *dir)
{
	uint32_t n, least = dir != fs->xdir && dir != fs->odir;

	pthread_mutex_lock(&fs->lock);
	n = dir->d ? dir->d->n_blocks : 0;
	while (n > least && block_is_empty(dir->d, n - 1))
		n--;
	if (n == 1 && dir->d->n_blocks > 1 && block_is_empty(dir->d, 0))
		n = 0;
	pthread_mutex_unlock(&fs->lock);
	return n;
}

/* XN asks the template of an object that is freed, so its bytes must be there: not all at once. */
#define CUT_MAX 64u

static void holds_put(struct cffs *fs, struct cffs_hold *hold[], uint32_t n)
{
	while (n-- > 0)
		cffs_hold_put(fs, hold[n]);
}

static int cut_some(struct cffs *fs, struct cffs_inode *dir, uint32_t keep, uint32_t n)
{
	struct cffs_hold *hold[CUT_MAX];
	struct cffs_dir *d = dir->d;
	uint32_t held = 0;
	int err = 0;

	while (keep + held < n && !err) {
		err = cffs_dir_hold(fs, dir, keep + held, &hold[held]);
		held += !err;
	}
	if (!err)
		err = cffs_map_remove(fs, dir, keep, n);
	holds_put(fs, hold, held);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	for (uint32_t i = keep; i < n; i++)
		cffs_hold_drop_locked(fs, d->blocks[i]);
	d->n_blocks = keep;
	d->cursor = 0;
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

static int cut_tail(struct cffs *fs, struct cffs_inode *dir, uint32_t keep)
{
	int err = 0;

	while (!err && dir->d->n_blocks > keep) {
		uint32_t n = dir->d->n_blocks;

		err = cut_some(fs, dir, n - keep > CUT_MAX ? n - CUT_MAX : keep, n);
	}
	return err;
}

int cffs_dir_shrink(struct cffs *fs, struct cffs_inode *dir)
{
	unsigned tries = 0;
	bool full;
	int err = 0;

	if (!cffs_is_dir(dir))
		return 0;
	pthread_rwlock_rdlock(&dir->lock);
	full = used_blocks(fs, dir) == cffs_dir_blocks(dir);
	pthread_rwlock_unlock(&dir->lock);
	if (full)
		return 0;
	pthread_rwlock_wrlock(&dir->lock);
	/* Nobody adds or removes names now; what only changes does not empty a sector. */
	do
		if (dir->d && dir->a.nlink && used_blocks(fs, dir) < dir->d->n_blocks)
			err = cut_tail(fs, dir, used_blocks(fs, dir));
	while (err && cffs_retry(fs, err, &tries));
	pthread_rwlock_unlock(&dir->lock);
	return err;
}

/* ---- reading ---- */

#define COOKIE_DOT    1u
#define COOKIE_DOTDOT 2u
#define COOKIE_FIRST  3u

static uint64_t cookie_of(uint32_t block, uint32_t sector, uint32_t slot)
{
	return COOKIE_FIRST + ((uint64_t)block << 8 | sector << 5 | slot);
}

struct reading {
	struct cffs *fs;
	struct cffs_inode *dir;
	uint32_t flags;
	struct libfs_dirent *out;
	size_t n, max;
	uint64_t cookie;
};

static int give_dot(struct reading *r, uint64_t cookie, const char *name, struct cffs_inode *inode)
{
	struct libfs_dirent *out = &r->out[r->n];

	if (r->cookie >= cookie || r->n == r->max)
		return 0;
	out->cookie = cookie;
	out->type = DT_DIR;
	out->name_len = (uint32_t)strlen(name);
	memcpy(out->name, name, out->name_len + 1);
	pthread_mutex_lock(&r->fs->lock);
	cffs_attr_fill(inode, &out->attr);
	pthread_mutex_unlock(&r->fs->lock);
	out->ino = out->attr.ino;
	r->n++;
	r->cookie = cookie;
	return 0;
}

static int give_entry(struct reading *r, const struct cffs_entry *entry, uint32_t block,
		      uint32_t sector)
{
	struct libfs_dirent *out = &r->out[r->n];
	struct cffs_loc loc = { .block = block, .sector = sector };
	struct cffs_inode *inode;
	int err;

	loc_fill(&loc, entry);
	out->ino = loc.ino;
	out->cookie = cookie_of(block, sector, entry->slot);
	out->type = loc.dtype;
	out->name_len = entry->name_len;
	memcpy(out->name, entry->name, entry->name_len);
	out->name[entry->name_len] = '\0';
	if (r->flags & LIBFS_READDIR_PLUS) {
		err = cffs_dir_inode(r->fs, r->dir, &loc, &inode);
		if (err)
			return err;
		pthread_mutex_lock(&r->fs->lock);
		inode->refs++;
		cffs_attr_fill(inode, &out->attr);
		pthread_mutex_unlock(&r->fs->lock);
		cffs_inode_put(r->fs, inode);
	}
	r->n++;
	return 0;
}

/* Entries of one sector behind the cookie, by slot. */
static int give_sector(struct reading *r, uint32_t block, uint32_t sector)
{
	uint8_t bytes[CFFS_SECTOR];
	int err = cffs_dir_sector(r->fs, r->dir, block, sector, bytes);

	for (uint32_t slot = 0; slot < 32 && r->n < r->max && !err; slot++) {
		struct cffs_entry entry;
		uint32_t at;

		if (cookie_of(block, sector, slot) <= r->cookie)
			continue;
		at = cffs_sector_find_slot(bytes, (uint8_t)slot);
		if (!at)
			continue;
		cffs_entry_decode(bytes, at, &entry);
		if (entry.name_len)
			err = give_entry(r, &entry, block, sector);
	}
	return err;
}

static int give_names(struct reading *r)
{
	uint64_t at = r->cookie > COOKIE_FIRST ? r->cookie - COOKIE_FIRST : 0;
	uint64_t end = (uint64_t)r->dir->d->n_blocks * CFFS_SECTORS;
	int err = 0;

	for (uint64_t i = at >> 5; i < end && r->n < r->max && !err; i++)
		err = give_sector(r, (uint32_t)(i / CFFS_SECTORS), (uint32_t)(i % CFFS_SECTORS));
	return err;
}

ssize_t cffs_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct cffs *fs = cffs_of(libfs);
	struct reading r = { .fs = fs, .flags = flags, .out = out, .max = max, .cookie = cookie };
	int err = cffs_inode_get(fs, ino, &r.dir);

	(void)ctx;
	if (err)
		return cffs_errno(err);
	err = cffs_dir_lock(fs, r.dir, false);
	if (!err) {
		if (r.dir->a.nlink) {
			give_dot(&r, COOKIE_DOT, ".", r.dir);
			give_dot(&r, COOKIE_DOTDOT, "..",
				 r.dir->dir == fs->sys ? r.dir : r.dir->dir);
			err = give_names(&r);
		}
		pthread_rwlock_unlock(&r.dir->lock);
	}
	cffs_inode_put(fs, r.dir);
	return r.n ? (ssize_t)r.n : cffs_errno(err);
}
