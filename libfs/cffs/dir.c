/* SPDX-License-Identifier: MIT */
/*
 * Directories: their blocks, their names.
 *
 *  (1) A directory is a heap of entries in blocks of its own.  An entry stays in
 *      its sector, and so keeps its cookie, until somebody renames it.
 *  (2) Small ones are read whole, of large ones only what is used (dir.h).
 */
#include "dir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint32_t hash_of(const struct cffs *fs, const char *name, size_t len)
{
	return cffs_name_hash(fs->params.uuid, name, len);
}

/* ---- names come and go ---- */

int cffs_dir_expect(struct cffs *fs, struct cffs_inode *dir, const char *name,
		    const struct cffs_loc *loc, const struct cffs_hold *block)
{
	size_t len = strlen(name);
	struct cffs_hint hint = { hash_of(fs, name, len), cffs_at_of(loc) };

	if (dir->d->index)
		return cffs_index_add(fs, dir, &hint, block);
	return cffs_names_reserve(&dir->d->names);
}

void cffs_dir_came(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc)
{
	struct cffs_hint hint = { hash_of(fs, name, name_len), cffs_at_of(loc) };

	if (!dir->d->index)
		cffs_names_add(&dir->d->names, hint);
}

void cffs_dir_went(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t name_len,
		   const struct cffs_loc *loc)
{
	struct cffs_hint hint = { hash_of(fs, name, name_len), cffs_at_of(loc) };

	if (dir->d->index)
		cffs_index_stale(fs, dir, &hint);
	else
		cffs_names_remove(&dir->d->names, hint);
}

void cffs_dir_becomes_lazy(struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	d->lazy = true;
	cffs_names_free(&d->names);
}

void cffs_dir_clear(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	pthread_mutex_lock(&fs->lock);
	for (uint32_t i = 0; i < d->n_blocks; i++)
		if (cffs_dirmap_block(d, i) > CFFS_DIR_HOLE)
			cffs_hold_drop_locked(fs, cffs_dirmap_block(d, i));
	cffs_dirmap_cut(d, 0);
	pthread_mutex_unlock(&fs->lock);
	cffs_index_forget(fs, d);
	cffs_names_free(&d->names);
	d->lazy = false;
}

/* ---- blocks ---- */

static bool has_nodes(const struct cffs_body *body)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		if (body->slot[i].class == CFFS_CLASS_NODE)
			return true;
	return false;
}

/* With fs->lock held. */
static int learn(struct cffs_inode *dir, uint32_t block, const struct cffs_hold *hold)
{
	return cffs_dirmap_learn(dir->d, block, hold ? hold->object : CFFS_DIR_HOLE,
				 hold ? hold->bytes : NULL);
}

/* The block is looked for, and what it has room for is known from then on. */
static int meet_block(struct cffs *fs, struct cffs_inode *dir, uint32_t block,
		      struct cffs_hold **out)
{
	struct cffs_run run;
	int err = cffs_map(fs, dir, block, 1, &run);

	*out = NULL;
	if (!err && run.start && run.class != CFFS_CLASS_DIR)
		err = XN_EDAMAGED;
	if (!err && run.start)
		err = cffs_hold_get(fs, run.owner, run.record, CFFS_T_DIR, run.start, out);
	cffs_hold_put(fs, run.owner);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = learn(dir, block, *out);
	if (err && *out)
		cffs_hold_put_locked(fs, *out);
	pthread_mutex_unlock(&fs->lock);
	return err ? err : *out ? 0 : -ESTALE;
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
	object = dir->d ? cffs_dirmap_block(dir->d, block) : CFFS_DIR_HOLE;
	*out = object > CFFS_DIR_HOLE ? cffs_hold_find(fs, object) : NULL;
	nodes = has_nodes(&dir->b);
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	if (object == CFFS_DIR_HOLE)
		return -ESTALE;
	if (object == 0)
		return meet_block(fs, dir, block, out);
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

	if (err == -ESTALE) {
		memset(bytes, 0, CFFS_SECTOR);
		return 0;
	}
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

void cffs_dir_free(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;

	if (!d)
		return;
	cffs_index_free(fs, d);
	pthread_mutex_lock(&fs->lock);
	dir->d = NULL;
	pthread_mutex_unlock(&fs->lock);
	cffs_dirmap_free(d);
	free(d->names.v);
	free(d);
}

int cffs_dir_empty(struct cffs_inode *dir, uint64_t start, uint32_t n_blocks)
{
	struct cffs_dir *d = calloc(1, sizeof(*d));
	int err = 0;

	if (!d)
		return -ENOMEM;
	if (n_blocks)
		err = cffs_dirmap_append(d, n_blocks);
	for (uint32_t i = 0; i < n_blocks && !err; i++)
		err = cffs_dirmap_learn(d, i, start + i, NULL);
	if (err) {
		cffs_dirmap_free(d);
		free(d);
		return err;
	}
	dir->d = d;
	return 0;
}

/*
 * How many blocks there are.  The inode says it; a crash may have left some behind those, for the
 * inode lies in another sector than the slots of its nodes.
 */
static int count_blocks(struct cffs *fs, struct cffs_inode *dir)
{
	uint64_t at = dir->b.size / CFFS_BLOCK, n = at;
	struct cffs_run run;
	int err = 0;

	while (!err && at < CFFS_INDEX_BASE) {
		err = cffs_map(fs, dir, at, CFFS_INDEX_BASE - at, &run);
		if (err)
			break;
		cffs_hold_put(fs, run.owner);
		at += run.count;
		n = run.start ? at : n;
	}
	if (!err && n > CFFS_DIR_MAX)
		err = XN_EDAMAGED;
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = cffs_dirmap_append(dir->d, (uint32_t)n);
	pthread_mutex_unlock(&fs->lock);
	return err;
}

/* Where all of them are. */
int cffs_dir_load_blocks(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_dir *d = dir->d;
	uint32_t at = 0;
	int err = 0;

	while (at < d->n_blocks && !err) {
		struct cffs_run run;
		uint64_t end;

		err = cffs_map(fs, dir, at, d->n_blocks - at, &run);
		if (err)
			return err;
		cffs_hold_put(fs, run.owner);
		if (run.start && run.class != CFFS_CLASS_DIR)
			return XN_EDAMAGED;
		end = at + run.count < d->n_blocks ? at + run.count : d->n_blocks;
		pthread_mutex_lock(&fs->lock);
		for (uint64_t start = run.start; at < end && !err; at++, start += run.start != 0)
			if (!cffs_dirmap_block(d, at))
				err = cffs_dirmap_learn(d, at, start ? start : CFFS_DIR_HOLE, NULL);
		pthread_mutex_unlock(&fs->lock);
	}
	return err;
}

int cffs_dir_meet_nameless(struct cffs *fs, struct cffs_inode *dir, uint32_t block, uint32_t sector,
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
		struct cffs_hint hint = { .at = cffs_at_of(&loc) };

		if (entry.name_len == 0) {
			err = cffs_dir_meet_nameless(fs, dir, block, sector, &entry);
			continue;
		}
		hint.hash = hash_of(fs, entry.name, entry.name_len);
		err = cffs_names_reserve(&dir->d->names);
		if (!err)
			cffs_names_add(&dir->d->names, hint);
	}
	return err;
}

int cffs_dir_load_names(struct cffs *fs, struct cffs_inode *dir)
{
	uint8_t bytes[CFFS_BLOCK];
	int err = 0;

	for (uint32_t block = 0; block < dir->d->n_blocks && !err; block++) {
		struct cffs_hold *hold;

		err = cffs_dir_hold(fs, dir, block, &hold);
		if (err == -ESTALE) {
			err = 0;
			continue;
		}
		if (err)
			break;
		pthread_mutex_lock(&fs->lock);
		memcpy(bytes, hold->bytes, sizeof(bytes));
		err = learn(dir, block, hold);
		cffs_hold_put_locked(fs, hold);
		pthread_mutex_unlock(&fs->lock);
		for (uint32_t s = 0; s < CFFS_SECTORS && !err; s++)
			err = load_sector(fs, dir, bytes + s * CFFS_SECTOR, block, s);
	}
	return err;
}

/*
 * All its blocks are named by the inode itself: the count is right, and tells whether there is an
 * index.  Behind a node the count may be older than the index, which must know of every name.
 */
static bool is_plain(const struct cffs_inode *dir)
{
	for (uint32_t i = 0; i < dir->b.n_slots; i++)
		if (dir->b.slot[i].class == CFFS_CLASS_NODE)
			return false;
	return true;
}

/* 1: what there is to know is learned when it is needed. */
static int load_lazily(struct cffs *fs, struct cffs_inode *dir)
{
	if ((is_plain(dir) && dir->b.blocks <= CFFS_DIR_SMALL) || dir == fs->odir)
		return 0;
	return dir == fs->xdir ? 1 : cffs_index_load(fs, dir);
}

int cffs_dir_load(struct cffs *fs, struct cffs_inode *dir)
{
	int err;

	if (dir->d)
		return 0;
	err = cffs_dir_empty(dir, 0, 0);
	if (err)
		return err;
	err = count_blocks(fs, dir);
	if (!err)
		err = load_lazily(fs, dir);
	if (err == 1) {
		dir->d->lazy = true;
		dir->d->old_blocks = dir->d->n_blocks;
		return 0;
	}
	if (!err)
		err = cffs_dir_load_blocks(fs, dir);
	if (!err)
		err = cffs_dir_load_names(fs, dir);
	if (err)
		cffs_dir_free(fs, dir);
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

void cffs_loc_fill(struct cffs_loc *loc, const struct cffs_entry *entry)
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

/* Is the name where the hint says? */
static int look(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t len,
		const struct cffs_hint *hint, struct cffs_loc *loc)
{
	struct cffs_entry entry;
	struct cffs_hold *hold;
	const uint8_t *sector;
	uint32_t at;
	int err;

	loc->block = (hint->at - 1) / CFFS_SECTORS;
	loc->sector = (hint->at - 1) % CFFS_SECTORS;
	err = cffs_dir_hold(fs, dir, loc->block, &hold);
	if (err)
		return err == -ESTALE ? -ENOENT : err;
	pthread_mutex_lock(&fs->lock);
	sector = hold->bytes + loc->sector * CFFS_SECTOR;
	at = cffs_sector_find_name(sector, name, (uint8_t)len);
	if (at) {
		cffs_entry_decode(sector, at, &entry);
		cffs_loc_fill(loc, &entry);
	}
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return at ? 0 : -ENOENT;
}

#define HINTS_AT_ONCE 8

static int find_by_index(struct cffs *fs, struct cffs_inode *dir, const char *name, size_t len,
			 struct cffs_loc *loc)
{
	struct cffs_hint hints[HINTS_AT_ONCE];
	uint32_t hash = hash_of(fs, name, len), i = 0;
	int n, err;

	while ((n = cffs_index_find(fs, dir, hash, &i, hints, HINTS_AT_ONCE)) > 0)
		for (int k = 0; k < n; k++) {
			err = look(fs, dir, name, len, &hints[k], loc);
			if (err != -ENOENT)
				return err;
		}
	return n < 0 ? n : -ENOENT;
}

int cffs_dir_find(struct cffs *fs, struct cffs_inode *dir, const char *name, struct cffs_loc *loc)
{
	size_t len = strlen(name);
	struct cffs_hint hint;
	uint32_t hash, i = 0;
	int err = -ENOENT;

	if (dir->d->index)
		return find_by_index(fs, dir, name, len, loc);
	hash = hash_of(fs, name, len);
	while (err == -ENOENT && cffs_names_next(&dir->d->names, hash, &i, &hint))
		err = look(fs, dir, name, len, &hint, loc);
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

/* ---- emptiness ---- */

/* Is there a name in the block?  0 or -ENOTEMPTY. */
static int block_vacant(struct cffs *fs, struct cffs_inode *dir, uint32_t block)
{
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	bool empty;
	int err = 0;

	pthread_mutex_lock(&fs->lock);
	empty = cffs_dirmap_is_empty(dir->d, block);
	pthread_mutex_unlock(&fs->lock);
	for (uint32_t s = 0; s < CFFS_SECTORS && !empty && !err; s++) {
		uint32_t at = 0;

		err = cffs_dir_sector(fs, dir, block, s, bytes);
		while (!err && cffs_sector_next(bytes, &at, &entry))
			err = entry.name_len ? -ENOTEMPTY : 0;
	}
	return err;
}

int cffs_dir_vacant(struct cffs *fs, struct cffs_inode *dir)
{
	int err = 0;

	if (!dir->d->index)
		return dir->d->names.n ? -ENOTEMPTY : 0;
	for (uint32_t block = 0; block < dir->d->n_blocks && !err; block++)
		err = block_vacant(fs, dir, block);
	return err;
}
