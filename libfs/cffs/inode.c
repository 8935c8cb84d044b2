/* SPDX-License-Identifier: MIT */
/*
 * Inodes in memory, and how they reach their sector.
 *
 *  (1) An inode is in the table from the moment somebody meets its number until
 *      nobody uses it and it is evicted; while it is there, the table is the
 *      truth and its sector may be behind.
 *  (2) It keeps the directory that its entry lies in.
 *  (3) Without users it waits in the list of the idle, least recently used
 *      first; removed ones wait among the doomed until cffs_doomed() frees what
 *      they own.  What cannot be freed now waits there for the next sync.
 *  (4) Lists and table change with fs->lock held; memory of file.c is freed
 *      without it.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slots.h"

#define BUCKETS_MIN 1024u
#define IDLE_MAX    16384u
#define INODES_MAX  65536u

/* ---- lists ---- */

static void list_init(struct cffs_inode *head)
{
	head->lru_prev = head->lru_next = head;
	head->dirty_prev = head->dirty_next = head;
}

static void lru_remove(struct cffs_inode *inode)
{
	inode->lru_prev->lru_next = inode->lru_next;
	inode->lru_next->lru_prev = inode->lru_prev;
	inode->lru_prev = inode->lru_next = NULL;
}

static void lru_append(struct cffs_inode *head, struct cffs_inode *inode)
{
	inode->lru_prev = head->lru_prev;
	inode->lru_next = head;
	head->lru_prev->lru_next = inode;
	head->lru_prev = inode;
}

void cffs_inode_clean(struct cffs *fs, struct cffs_inode *inode)
{
	(void)fs;
	if (!inode->dirty)
		return;
	inode->dirty = false;
	inode->dirty_prev->dirty_next = inode->dirty_next;
	inode->dirty_next->dirty_prev = inode->dirty_prev;
}

void cffs_inode_dirty(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_inode *head = &fs->dirty;

	if (inode->dirty || (fs->libfs.flags & LIBFS_MOUNT_RDONLY))
		return;
	inode->dirty = true;
	inode->dirty_prev = head->dirty_prev;
	inode->dirty_next = head;
	head->dirty_prev->dirty_next = inode;
	head->dirty_prev = inode;
}

/* ---- the table ---- */

static struct cffs_inode **bucket_of(struct cffs *fs, uint64_t ino)
{
	return &fs->inodes[(ino * 0x9e3779b97f4a7c15ull >> 32) & (fs->n_buckets - 1)];
}

/* Twice the buckets; when there is no memory, the chains grow instead. */
static void table_grow(struct cffs *fs)
{
	struct cffs_inode **old = fs->inodes;
	struct cffs_inode **table = calloc(fs->n_buckets * 2, sizeof(struct cffs_inode *));
	size_t n_old = fs->n_buckets;

	if (!table)
		return;
	fs->inodes = table;
	fs->n_buckets *= 2;
	for (size_t i = 0; i < n_old; i++)
		for (struct cffs_inode *inode = old[i], *next; inode; inode = next) {
			struct cffs_inode **bucket = bucket_of(fs, inode->a.ino);

			next = inode->hash_next;
			inode->hash_next = *bucket;
			*bucket = inode;
		}
	free(old);
}

static void table_remove(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_inode **link = bucket_of(fs, inode->a.ino);

	while (*link != inode)
		link = &(*link)->hash_next;
	*link = inode->hash_next;
	fs->n_inodes--;
}

int cffs_inodes_init(struct cffs *fs)
{
	list_init(&fs->lru);
	list_init(&fs->dirty);
	list_init(&fs->held);
	list_init(&fs->doomed);
	fs->inodes_max = INODES_MAX;
	fs->idle_max = IDLE_MAX;
	fs->n_buckets = BUCKETS_MIN;
	fs->inodes = calloc(fs->n_buckets, sizeof(struct cffs_inode *));
	return fs->inodes ? 0 : -ENOMEM;
}

struct cffs_inode *cffs_inode_alloc(struct cffs *fs)
{
	struct cffs_inode *inode = calloc(1, sizeof(*inode));

	(void)fs;
	if (!inode)
		return NULL;
	/* Else a stream of readers keeps a writer out for ever. */
	inode->lock = (pthread_rwlock_t)PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
	inode->b.n_slots = CFFS_FILE_SLOTS;
	inode->pins = 1;
	return inode;
}

void cffs_inode_free(struct cffs *fs, struct cffs_inode *inode)
{
	cffs_file_forget(fs, inode);
	cffs_dir_free(fs, inode);
	pthread_rwlock_destroy(&inode->lock);
	free(inode->xattr);
	free(inode);
}

void cffs_inodes_fini(struct cffs *fs)
{
	for (size_t i = 0; fs->inodes && i < fs->n_buckets; i++)
		while (fs->inodes[i]) {
			struct cffs_inode *inode = fs->inodes[i];

			fs->inodes[i] = inode->hash_next;
			cffs_inode_free(fs, inode);
		}
	free(fs->inodes);
}

void cffs_inode_insert(struct cffs *fs, struct cffs_inode *inode)
{
	struct cffs_inode **bucket;

	if (fs->n_inodes >= fs->n_buckets)
		table_grow(fs);
	bucket = bucket_of(fs, inode->a.ino);
	inode->hash_next = *bucket;
	*bucket = inode;
	fs->n_inodes++;
}

/* ---- pins ---- */

void cffs_inode_pin_locked(struct cffs *fs, struct cffs_inode *inode)
{
	inode->pins++;
	if (inode->lru_next) {
		lru_remove(inode);
		fs->n_idle -= inode->idle;
		inode->idle = false;
	}
}

struct cffs_inode *cffs_inode_find(struct cffs *fs, uint64_t ino)
{
	struct cffs_inode *inode = *bucket_of(fs, ino);

	while (inode && inode->a.ino != ino)
		inode = inode->hash_next;
	if (inode)
		cffs_inode_pin_locked(fs, inode);
	return inode;
}

void cffs_inode_put_locked(struct cffs *fs, struct cffs_inode *inode)
{
	if (--inode->pins)
		return;
	if (inode->refs || inode->opens) {
		lru_append(&fs->held, inode);
	} else if (inode->a.nlink == 0) {
		lru_append(&fs->doomed, inode);
	} else {
		lru_append(&fs->lru, inode);
		inode->idle = true;
		fs->n_idle++;
	}
}

void cffs_inode_pin(struct cffs *fs, struct cffs_inode *inode)
{
	pthread_mutex_lock(&fs->lock);
	cffs_inode_pin_locked(fs, inode);
	pthread_mutex_unlock(&fs->lock);
}

/*
 * Evict the least recently used of the idle; a dirty one is written first.  False: there is none
 * that could be.
 */
static bool evict_one(struct cffs *fs)
{
	struct cffs_inode *inode = fs->lru.lru_next, *dir;
	int err = 0;

	if (inode == &fs->lru)
		return false;
	if (inode->dirty) {
		cffs_inode_pin_locked(fs, inode);
		pthread_mutex_unlock(&fs->lock);
		err = cffs_file_writeback(fs, inode);
		if (!err)
			err = cffs_inode_flush(fs, inode);
		pthread_mutex_lock(&fs->lock);
		cffs_inode_put_locked(fs, inode);
		return !err;
	}
	lru_remove(inode);
	inode->idle = false;
	fs->n_idle--;
	table_remove(fs, inode);
	dir = inode->dir;
	pthread_mutex_unlock(&fs->lock);
	cffs_inode_free(fs, inode);
	pthread_mutex_lock(&fs->lock);
	if (dir)
		cffs_inode_put_locked(fs, dir);
	return true;
}

static void inodes_trim(struct cffs *fs, size_t max)
{
	pthread_mutex_lock(&fs->lock);
	for (unsigned steps = 0; fs->n_idle > max && steps < 64; steps++)
		if (!evict_one(fs))
			break;
	pthread_mutex_unlock(&fs->lock);
}

void cffs_inode_put(struct cffs *fs, struct cffs_inode *inode)
{
	bool trim;

	if (!inode)
		return;
	pthread_mutex_lock(&fs->lock);
	cffs_inode_put_locked(fs, inode);
	trim = fs->n_idle > fs->idle_max;
	pthread_mutex_unlock(&fs->lock);
	if (trim)
		inodes_trim(fs, fs->idle_max);
}

int cffs_inode_get(struct cffs *fs, uint64_t ino, struct cffs_inode **out)
{
	*out = NULL;
	if (ino < CFFS_INO_USER && ino != CFFS_INO_ROOT)
		return -ESTALE;
	pthread_mutex_lock(&fs->lock);
	*out = cffs_inode_find(fs, ino);
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	return ino < fs->next_ino ? cffs_inode_search(fs, ino, out) : -ESTALE;
}

/* ---- too many ---- */

/* With fs->lock held: the least recently used that only the host holds, pinned with its directory. */
static struct cffs_inode *surplus_next(struct cffs *fs, struct cffs_loc *loc)
{
	struct cffs_inode *inode = fs->held.lru_next;

	if (fs->n_inodes <= fs->inodes_max || inode == &fs->held)
		return NULL;
	cffs_inode_pin_locked(fs, inode);
	if (inode->dir) {
		cffs_inode_pin_locked(fs, inode->dir);
		*loc = (struct cffs_loc){ .block = inode->block,
					  .sector = inode->sector,
					  .slot = inode->slot };
	}
	return inode;
}

/* One name of a file that could go; false: there is none.  out->dir 0: this one's is not known. */
static bool surplus_one(struct cffs *fs, struct libfs_surplus *out)
{
	struct cffs_inode *inode, *dir = NULL;
	struct cffs_loc loc = { 0 };
	bool known = false;

	pthread_mutex_lock(&fs->lock);
	inode = surplus_next(fs, &loc);
	if (inode) {
		dir = inode->dir;
		known = dir && dir != fs->xdir && dir != fs->odir && inode->a.nlink != 0;
	}
	pthread_mutex_unlock(&fs->lock);
	out->dir = 0;
	if (known && cffs_dir_name_at(fs, dir, &loc, out->name) == 0 && out->name[0])
		out->dir = dir->a.ino;
	cffs_inode_put(fs, inode); /* as the last one to be asked for again */
	cffs_inode_put(fs, dir);
	return inode != NULL;
}

ssize_t cffs_surplus(struct libfs *libfs, struct libfs_surplus *out, size_t max)
{
	struct cffs *fs = cffs_of(libfs);
	size_t n = 0;

	for (size_t steps = 0; n < max && steps < 4 * max && surplus_one(fs, &out[n]); steps++)
		n += out[n].dir != 0;
	return (ssize_t)n;
}

/* ---- entries ---- */

struct cffs_inode *cffs_inode_from_entry(struct cffs *fs, struct cffs_inode *dir, uint32_t block,
					 uint32_t sector, const struct cffs_entry *entry)
{
	struct cffs_inode *inode = cffs_inode_find(fs, entry->a.ino);

	if (inode)
		return inode;
	inode = cffs_inode_alloc(fs);
	if (!inode)
		return NULL;
	inode->a = entry->a;
	inode->type = entry->a.mode & S_IFMT;
	inode->b = entry->b;
	cffs_body_count(&inode->b);
	if (entry->xattr_len) {
		inode->xattr = malloc(entry->xattr_len);
		if (!inode->xattr) {
			cffs_inode_free(fs, inode);
			return NULL;
		}
		memcpy(inode->xattr, entry->xattr, entry->xattr_len);
		inode->xattr_len = entry->xattr_len;
	}
	cffs_inode_set_place(fs, inode, dir, block, sector, entry->slot);
	cffs_inode_insert(fs, inode);
	return inode;
}

void cffs_inode_set_place(struct cffs *fs, struct cffs_inode *inode, struct cffs_inode *dir,
			  uint32_t block, uint32_t sector, uint32_t slot)
{
	struct cffs_inode *before = inode->dir;

	if (dir)
		cffs_inode_pin_locked(fs, dir);
	inode->dir = dir;
	inode->block = block;
	inode->sector = (uint8_t)sector;
	inode->slot = (uint8_t)slot;
	if (before)
		cffs_inode_put_locked(fs, before);
}

void cffs_entry_of_inode(const struct cffs_inode *inode, const char *name, uint8_t name_len,
			 struct cffs_entry *entry)
{
	entry->kind = CFFS_KIND_INODE;
	entry->slot = inode->slot;
	entry->name = name;
	entry->name_len = name_len;
	entry->a = inode->a;
	entry->b = inode->b;
	entry->xattr = inode->xattr;
	entry->xattr_len = inode->xattr_len;
}

static int change_body(struct cffs_change *change, struct cffs_hold *hold, struct cffs_inode *inode,
		       const struct cffs_body *body)
{
	uint8_t *sector = cffs_change_sector(change, hold, inode->sector);
	uint32_t at = cffs_sector_find_slot(sector, inode->slot);
	struct cffs_entry entry;

	if (!at)
		return XN_EDAMAGED;
	cffs_entry_decode(sector, at, &entry);
	if (entry.kind != CFFS_KIND_INODE || entry.a.ino != inode->a.ino)
		return XN_EDAMAGED;
	entry.a = inode->a;
	entry.b = *body;
	entry.xattr = inode->xattr;
	entry.xattr_len = inode->xattr_len;
	return cffs_sector_replace(sector, at, &entry) ? 0 : -ENOSPC;
}

int cffs_change_inode(struct cffs_change *change, struct cffs_hold *hold, struct cffs_inode *inode)
{
	return change_body(change, hold, inode, &inode->b);
}

/* ---- to the sector ---- */

int cffs_inode_owner(struct cffs *fs, struct cffs_inode *inode, struct cffs_hold **out,
		     uint32_t *record)
{
	for (;;) {
		struct cffs_inode *dir;
		uint32_t block;
		bool same;
		int err;

		pthread_mutex_lock(&fs->lock);
		dir = inode->dir;
		block = inode->block;
		*record = inode->sector;
		if (dir)
			cffs_inode_pin_locked(fs, dir);
		pthread_mutex_unlock(&fs->lock);
		if (!dir)
			return -ESTALE;
		err = cffs_dir_hold(fs, dir, block, out);
		pthread_mutex_lock(&fs->lock);
		same = inode->dir == dir && inode->block == block && inode->sector == *record;
		cffs_inode_put_locked(fs, dir);
		if (!err && !same)
			cffs_hold_put_locked(fs, *out);
		pthread_mutex_unlock(&fs->lock);
		if (same || err)
			return err;
	}
}

/* With fs->lock held: is the hold still that of the inode's place? */
static bool place_is(const struct cffs_inode *inode, const struct cffs_hold *hold, uint32_t record)
{
	return inode->dir && inode->sector == record &&
	       cffs_dir_block_at(inode->dir, inode->block) == hold->object;
}

static int write_locked(struct cffs *fs, struct cffs_inode *inode, struct cffs_hold *hold,
			const struct cffs_body *body, struct cffs_txn *txn)
{
	struct cffs_change change;
	int err;

	change.n = 0;
	err = change_body(&change, hold, inode, body);
	if (err)
		return err;
	cffs_sector_seal(change.s[0].bytes);
	if (!cffs_txn_edit(txn, hold->object, inode->sector * CFFS_SECTOR, change.s[0].bytes,
			   CFFS_SECTOR))
		return XN_ETOOBIG;
	err = cffs_update(fs, txn);
	txn->n_edits--;
	if (err)
		return err;
	cffs_dir_set_room(inode->dir, inode->block, inode->sector,
			  cffs_sector_room(change.s[0].bytes));
	cffs_inode_clean(fs, inode);
	return 0;
}

/* body NULL: as it is. */
static int inode_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body,
		       struct cffs_txn *txn)
{
	struct cffs_hold *hold;
	struct cffs_txn own;
	uint32_t record;
	bool same;
	int err;

	if (!txn) {
		txn = &own;
		cffs_txn_init(txn);
	}
	do {
		err = cffs_inode_owner(fs, inode, &hold, &record);
		if (err)
			return err;
		pthread_mutex_lock(&fs->lock);
		same = place_is(inode, hold, record);
		if (same)
			err = write_locked(fs, inode, hold, body ? body : &inode->b, txn);
		if (same && !err && body)
			inode->b = *body;
		cffs_hold_put_locked(fs, hold);
		pthread_mutex_unlock(&fs->lock);
	} while (!same);
	return err;
}

int cffs_inode_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body,
		     struct cffs_txn *txn)
{
	int err = inode->dir || inode->a.nlink ? 0 : cffs_orphan_place(fs, inode);

	return err ? err : inode_write(fs, inode, body, txn);
}

int cffs_inode_flush(struct cffs *fs, struct cffs_inode *inode)
{
	unsigned tries = 0;
	int err;

	do {
		bool needed;

		pthread_mutex_lock(&fs->lock);
		if (!inode->dir)
			cffs_inode_clean(fs, inode);
		needed = inode->dirty;
		pthread_mutex_unlock(&fs->lock);
		err = needed ? inode_write(fs, inode, NULL, NULL) : 0;
	} while (err && cffs_retry(fs, err, &tries));
	return err;
}

/* ---- the removed ---- */

/* Its nameless entry goes, and all it owns. */
static int doomed_remove(struct cffs *fs, struct cffs_inode *inode, struct cffs_inode *dir)
{
	struct cffs_change change;
	struct cffs_hold *hold;
	uint32_t at;
	int err = cffs_dir_hold(fs, dir, inode->block, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	cffs_change_init(&change);
	at = cffs_sector_find_slot(cffs_change_sector(&change, hold, inode->sector), inode->slot);
	if (at) {
		cffs_sector_remove(change.s[0].bytes, at);
		cffs_change_free_body(fs, &change, &inode->b);
		err = cffs_change_apply(fs, &change);
	}
	if (!err) {
		cffs_place_removed(fs, inode);
		cffs_holds_drop_slots(fs, &inode->b);
		cffs_dir_set_room(dir, inode->block, inode->sector,
				  cffs_sector_room(change.s[0].bytes));
		inode->b.n_slots = 1;
		inode->b.slot[0].class = 0;
		cffs_inode_set_place(fs, inode, NULL, 0, 0, 0);
	}
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return err;
}

static int doom_in(struct cffs *fs, struct cffs_inode *inode, struct cffs_inode *dir)
{
	unsigned tries = 0;
	int err;

	pthread_rwlock_wrlock(&dir->lock);
	do
		err = inode->dir == dir ? doomed_remove(fs, inode, dir) : 0;
	while (err && cffs_retry(fs, err, &tries));
	pthread_rwlock_unlock(&dir->lock);
	return err;
}

/* While we wait for its directory a sync may move it to that of the orphans: so until it has none. */
static int doom(struct cffs *fs, struct cffs_inode *inode)
{
	for (;;) {
		struct cffs_inode *dir;
		int err;

		pthread_mutex_lock(&fs->lock);
		dir = inode->dir;
		if (dir)
			cffs_inode_pin_locked(fs, dir);
		pthread_mutex_unlock(&fs->lock);
		if (!dir)
			return 0;
		err = doom_in(fs, inode, dir);
		cffs_inode_put(fs, dir);
		if (err)
			return err;
	}
}

/*
 * With fs->lock held, and let go of meanwhile: what is first in the list is freed, or goes to `kept`.
 * An error is told once; the entry and what it owns stay.
 */
static int doom_next(struct cffs *fs, struct cffs_inode *kept)
{
	struct cffs_inode *inode = fs->doomed.lru_next;
	int err, told;

	cffs_inode_pin_locked(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	err = doom(fs, inode);
	pthread_mutex_lock(&fs->lock);
	told = inode->lingers ? 0 : err;
	inode->lingers = err != 0;
	inode->pins--;
	if (inode->pins || inode->refs || inode->opens)
		return told; /* somebody met it meanwhile: it will come back here */
	if (err) {
		lru_append(kept, inode);
		return told;
	}
	cffs_inode_clean(fs, inode);
	table_remove(fs, inode);
	pthread_mutex_unlock(&fs->lock);
	cffs_inode_free(fs, inode);
	pthread_mutex_lock(&fs->lock);
	return told;
}

int cffs_doomed(struct cffs *fs)
{
	struct cffs_inode kept;
	int first = 0, err;

	list_init(&kept);
	pthread_mutex_lock(&fs->lock);
	while (fs->doomed.lru_next != &fs->doomed) {
		err = doom_next(fs, &kept);
		first = first ? first : err;
	}
	while (kept.lru_next != &kept) {
		struct cffs_inode *inode = kept.lru_next;

		lru_remove(inode);
		lru_append(&fs->doomed, inode);
	}
	pthread_mutex_unlock(&fs->lock);
	/* Where nothing is left, nothing is kept. */
	err = cffs_dir_shrink(fs, fs->xdir);
	first = first ? first : err;
	err = cffs_dir_shrink(fs, fs->odir);
	return first ? first : err;
}

/* ---- attributes ---- */

void cffs_attr_fill(const struct cffs_inode *inode, struct libfs_attr *out)
{
	const struct cffs_attr *a = &inode->a;

	*out = (struct libfs_attr){
		.ino = a->ino,
		.generation = a->generation,
		.mode = a->mode,
		.nlink = a->nlink,
		.uid = a->uid,
		.gid = a->gid,
		.rdev = a->rdev,
		.size = S_ISDIR(a->mode) ? inode->b.blocks * CFFS_BLOCK : inode->b.size,
		.blocks = inode->b.blocks * (CFFS_BLOCK / 512) + (inode->b.inline_len != 0),
		.blksize = 65536,
		.atime = a->atime,
		.mtime = a->mtime,
		.ctime = a->ctime,
		.btime = a->btime,
	};
}

void cffs_inode_attr(struct cffs *fs, struct cffs_inode *inode, struct libfs_attr *out)
{
	pthread_mutex_lock(&fs->lock);
	cffs_attr_fill(inode, out);
	pthread_mutex_unlock(&fs->lock);
}

int cffs_may(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx, uint32_t mask)
{
	struct libfs_attr attr;
	int err;

	pthread_mutex_lock(&fs->lock);
	cffs_attr_fill(inode, &attr);
	err = cffs_acl_permits(inode, &attr, ctx->cred, mask);
	pthread_mutex_unlock(&fs->lock);
	return err;
}
