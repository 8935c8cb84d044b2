/* SPDX-License-Identifier: MIT */
/*
 * Carrying out a deal; see deal.h.
 */
#include "deal.h"

#include <assert.h>
#include <string.h>

void cffs_deal_init(struct cffs_deal *deal, struct timespec now)
{
	deal->now = now;
	deal->n_cuts = deal->n_puts = deal->n_tweaks = 0;
	deal->freed = NULL;
	deal->alloc.count = deal->give.count = 0;
	deal->n_edits = 0;
}

void cffs_deal_cut(struct cffs_deal *deal, struct cffs_inode *dir, const struct cffs_loc *loc,
		   const char *name)
{
	assert(deal->n_cuts < CFFS_DEAL_MAX);
	deal->cuts[deal->n_cuts++] = (struct cffs_cut){ .dir = dir, .loc = *loc, .name = name };
}

struct cffs_put *cffs_deal_put(struct cffs_deal *deal, struct cffs_inode *dir, const char *name,
			       const struct cffs_loc *prefer)
{
	struct cffs_put *put = &deal->puts[deal->n_puts++];

	assert(deal->n_puts <= CFFS_DEAL_MAX);
	*put = (struct cffs_put){ .dir = dir, .name = name };
	if (prefer) {
		put->prefer = true;
		put->loc = *prefer;
	}
	return put;
}

struct cffs_tweak *cffs_deal_tweak(struct cffs_deal *deal, struct cffs_inode *inode, int nlink,
				   bool write)
{
	struct cffs_tweak *tweak;

	for (uint32_t i = 0; i < deal->n_tweaks; i++)
		if (deal->tweaks[i].inode == inode) {
			deal->tweaks[i].nlink += nlink;
			deal->tweaks[i].write |= write;
			return &deal->tweaks[i];
		}
	assert(deal->n_tweaks < CFFS_DEAL_MAX + 2);
	tweak = &deal->tweaks[deal->n_tweaks++];
	*tweak = (struct cffs_tweak){ .inode = inode, .nlink = nlink, .write = write };
	return tweak;
}

void cffs_loc_of(const struct cffs_inode *inode, struct cffs_loc *loc)
{
	*loc = (struct cffs_loc){ .block = inode->block,
				  .sector = inode->sector,
				  .slot = inode->slot,
				  .kind = CFFS_KIND_INODE,
				  .ino = inode->a.ino };
}

/* ---- what must be held ---- */

struct running {
	struct cffs *fs;
	struct cffs_deal *deal;
	struct cffs_hold *cut_hold[CFFS_DEAL_MAX];
	struct cffs_change change;
	struct cffs_inode *sector_dir[CFFS_CHANGE_SECTORS];
	uint32_t sector_block[CFFS_CHANGE_SECTORS];
};

static uint32_t put_len(const struct cffs_put *put)
{
	size_t len = strlen(put->name);
	struct cffs_entry entry;

	entry.kind = put->inode ? CFFS_KIND_INODE : CFFS_KIND_LINK;
	entry.name_len = (uint8_t)len;
	if (put->inode) {
		entry.b = put->body ? *put->body : put->inode->b;
		entry.xattr_len = put->xattrs ? (uint16_t)put->xattrs->len : put->inode->xattr_len;
	}
	return cffs_entry_len(&entry);
}

/*
 * An inode in XDIR stays in its sector, so it is put where it may grow, by an ACL say: where there is
 * one other at most, if space can be had.  With no-embed all lie there, as in other file systems.
 */
static int find_room(struct cffs *fs, struct cffs_put *put)
{
	const uint32_t whole = CFFS_SECTOR - CFFS_S_HEAD, len = put_len(put);

	if (put->dir == fs->xdir && !(fs->params.options & CFFS_O_NO_EMBED) && len < whole / 2 &&
	    cffs_dir_room(fs, put->dir, whole - len, &put->loc, &put->hold) == 0)
		return 0;
	return cffs_dir_room(fs, put->dir, len, &put->loc, &put->hold);
}

static int holds_get(struct running *r)
{
	struct cffs_deal *deal = r->deal;
	int err = 0;

	for (uint32_t i = 0; i < deal->n_cuts && !err; i++)
		if (!r->cut_hold[i])
			err = cffs_dir_hold(r->fs, deal->cuts[i].dir, deal->cuts[i].loc.block,
					    &r->cut_hold[i]);
	for (uint32_t i = 0; i < deal->n_puts && !err; i++) {
		struct cffs_put *put = &deal->puts[i];

		if (put->hold)
			continue;
		if (put->prefer && !put->elsewhere)
			err = cffs_dir_hold(r->fs, put->dir, put->loc.block, &put->hold);
		else
			err = find_room(r->fs, put);
		if (err)
			put->hold = NULL;
	}
	/* After that, for a directory may have got an index while it grew. */
	for (uint32_t i = 0; i < deal->n_puts && !err; i++) {
		struct cffs_put *put = &deal->puts[i];

		if (put->name[0])
			err = cffs_dir_expect(r->fs, put->dir, put->name, &put->loc, put->hold);
	}
	for (uint32_t i = 0; i < deal->n_tweaks && !err; i++) {
		struct cffs_tweak *tweak = &deal->tweaks[i];

		if (!tweak->write || tweak->hold)
			continue;
		err = cffs_inode_owner(r->fs, tweak->inode, &tweak->hold, &tweak->record);
		if (err)
			tweak->hold = NULL;
	}
	return err;
}

static void hold_put(struct cffs *fs, struct cffs_hold **hold)
{
	if (*hold)
		cffs_hold_put_locked(fs, *hold);
	*hold = NULL;
}

static void holds_put(struct running *r)
{
	struct cffs *fs = r->fs;

	pthread_mutex_lock(&fs->lock);
	for (uint32_t i = 0; i < r->deal->n_cuts; i++)
		hold_put(fs, &r->cut_hold[i]);
	for (uint32_t i = 0; i < r->deal->n_puts; i++)
		hold_put(fs, &r->deal->puts[i].hold);
	for (uint32_t i = 0; i < r->deal->n_tweaks; i++)
		hold_put(fs, &r->deal->tweaks[i].hold);
	pthread_mutex_unlock(&fs->lock);
}

/* ---- with fs->lock held: sectors ---- */

static uint8_t *sector_of(struct running *r, struct cffs_inode *dir, uint32_t block,
			  struct cffs_hold *hold, uint32_t sector)
{
	uint32_t n = r->change.n;
	uint8_t *bytes = cffs_change_sector(&r->change, hold, sector);

	if (r->change.n > n) {
		r->sector_dir[n] = dir;
		r->sector_block[n] = block;
	}
	return bytes;
}

static int cut_do(struct running *r, const struct cffs_cut *cut, struct cffs_hold *hold)
{
	uint8_t *sector = sector_of(r, cut->dir, cut->loc.block, hold, cut->loc.sector);
	uint32_t at = cffs_sector_find_slot(sector, (uint8_t)cut->loc.slot);

	if (!at)
		return XN_EDAMAGED;
	cffs_sector_remove(sector, at);
	return 0;
}

static void put_entry(const struct cffs_put *put, uint8_t name_len, struct cffs_entry *entry)
{
	cffs_entry_of_inode(put->inode, put->name, name_len, entry);
	if (put->body)
		entry->b = *put->body;
	if (put->xattrs) {
		entry->xattr = put->xattrs->bytes;
		entry->xattr_len = (uint16_t)put->xattrs->len;
	}
}

static int put_do(struct running *r, struct cffs_put *put)
{
	uint8_t *sector = sector_of(r, put->dir, put->loc.block, put->hold, put->loc.sector);
	uint8_t name_len = (uint8_t)strlen(put->name);
	struct cffs_entry entry;
	int slot;

	cffs_sector_init(sector, put->dir->a.ino, put->loc.block * CFFS_SECTORS + put->loc.sector);
	slot = put->prefer && !put->elsewhere &&
			       !cffs_sector_find_slot(sector, (uint8_t)put->loc.slot)
		       ? (int)put->loc.slot
		       : cffs_sector_free_slot(sector);
	if (put->inode) {
		put_entry(put, name_len, &entry);
	} else {
		entry.kind = CFFS_KIND_LINK;
		entry.name = put->name;
		entry.name_len = name_len;
		entry.dtype = (uint8_t)(put->link->type >> 12);
		entry.link_ino = put->link->a.ino;
		entry.link_place = put->loc.link_place;
	}
	entry.slot = (uint8_t)slot;
	if (slot < 0 || !cffs_sector_add(sector, &entry))
		return -EAGAIN;
	put->loc.slot = (uint32_t)slot;
	return 0;
}

/* A link says where in XDIR its inode lies: there already, or by an earlier put of this deal. */
static void link_aim(struct running *r, struct cffs_put *put)
{
	const struct cffs_inode *to = put->link;
	uint32_t place = to->block * CFFS_SECTORS + to->sector;

	for (uint32_t i = 0; i < r->deal->n_puts; i++)
		if (r->deal->puts[i].inode == to)
			place = r->deal->puts[i].loc.block * CFFS_SECTORS +
				r->deal->puts[i].loc.sector;
	put->loc.link_place = place;
}

static void tweaks_do(struct cffs_deal *deal)
{
	for (uint32_t i = 0; i < deal->n_tweaks; i++) {
		struct cffs_tweak *tweak = &deal->tweaks[i];
		struct cffs_attr *a = &tweak->inode->a;

		tweak->before = *a;
		a->nlink += (uint32_t)tweak->nlink;
		a->ctime = deal->now;
		if (tweak->mtime)
			a->mtime = deal->now;
		if (tweak->orphan)
			a->flags |= CFFS_F_ORPHAN;
		if (tweak->adopted)
			a->flags &= ~CFFS_F_ORPHAN;
	}
}

static void tweaks_undo(struct cffs_deal *deal)
{
	for (uint32_t i = 0; i < deal->n_tweaks; i++) {
		const struct cffs_attr *before = &deal->tweaks[i].before;
		struct cffs_attr *a = &deal->tweaks[i].inode->a;

		/* No more than was changed: a file's type is read without a lock. */
		a->nlink = before->nlink;
		a->ctime = before->ctime;
		a->mtime = before->mtime;
		a->flags = before->flags;
	}
}

static int tweak_write(struct running *r, struct cffs_tweak *tweak)
{
	struct cffs_inode *inode = tweak->inode;

	if (!tweak->write)
		return 0;
	if (!inode->dir || inode->sector != tweak->record ||
	    cffs_dir_block_at(inode->dir, inode->block) != tweak->hold->object) {
		hold_put(r->fs, &tweak->hold); /* moved meanwhile: look again */
		return -EAGAIN;
	}
	sector_of(r, inode->dir, inode->block, tweak->hold, inode->sector);
	return cffs_change_inode(&r->change, tweak->hold, inode);
}

static int sectors_edit(struct running *r)
{
	struct cffs_deal *deal = r->deal;
	int err = 0;

	for (uint32_t i = 0; i < deal->n_tweaks && !err; i++)
		err = tweak_write(r, &deal->tweaks[i]);
	for (uint32_t i = 0; i < deal->n_cuts && !err; i++)
		err = cut_do(r, &deal->cuts[i], r->cut_hold[i]);
	for (uint32_t i = 0; i < deal->n_puts && !err; i++) {
		struct cffs_put *put = &deal->puts[i];

		if (put->link)
			link_aim(r, put);
		err = put_do(r, put);
		if (err != -EAGAIN)
			continue;
		/* Not there: what is known of its room is put right, and another place is found. */
		if (put->elsewhere || !put->prefer)
			cffs_dir_set_room(
				put->dir, put->loc.block, put->loc.sector,
				cffs_sector_room(put->hold->bytes + put->loc.sector * CFFS_SECTOR));
		put->elsewhere = true;
		if (put->fixed)
			return -ENOSPC;
		hold_put(r->fs, &put->hold);
	}
	return err;
}

/* ---- with fs->lock held: memory follows ---- */

/* What the entry has got, memory gets. */
static void put_follow(struct cffs *fs, struct cffs_put *put)
{
	struct cffs_inode *inode = put->inode;

	if (put->body)
		inode->b = *put->body;
	if (put->xattrs) {
		struct cffs_xattrs old = { inode->xattr, inode->xattr_len };

		inode->xattr = put->xattrs->bytes;
		inode->xattr_len = (uint16_t)put->xattrs->len;
		*put->xattrs = old;
	}
	cffs_holds_move_slots(fs, &inode->b, put->hold);
	cffs_inode_set_place(fs, inode, put->dir, put->loc.block, put->loc.sector, put->loc.slot);
	cffs_inode_clean(fs, inode);
	if (inode->a.nlink == 0 && put->dir != fs->odir)
		cffs_inode_dirty(fs, inode); /* for a sync to settle */
}

static void memory_follow(struct running *r)
{
	struct cffs_deal *deal = r->deal;
	struct cffs *fs = r->fs;

	for (uint32_t i = 0; i < r->change.n; i++)
		cffs_dir_set_room(r->sector_dir[i], r->sector_block[i], r->change.s[i].sector,
				  cffs_sector_room(r->change.s[i].bytes));
	for (uint32_t i = 0; i < deal->n_tweaks; i++) {
		struct cffs_tweak *tweak = &deal->tweaks[i];

		if (tweak->write)
			cffs_inode_clean(fs, tweak->inode);
		else if (tweak->inode->dir && tweak->inode != deal->freed)
			cffs_inode_dirty(fs, tweak->inode);
	}
	for (uint32_t i = 0; i < deal->n_puts; i++)
		if (deal->puts[i].inode)
			put_follow(fs, &deal->puts[i]);
	for (uint64_t i = 0; i < deal->give.count; i++)
		cffs_hold_drop_locked(fs, deal->give.start + i);
	if (deal->freed) {
		cffs_holds_drop_slots(fs, &deal->freed->b);
		memset(&deal->freed->b.slot, 0, sizeof(deal->freed->b.slot));
		deal->freed->b.blocks = 0;
		cffs_inode_clean(fs, deal->freed);
		cffs_inode_set_place(fs, deal->freed, NULL, 0, 0, 0);
	}
}

static void names_follow(struct running *r)
{
	struct cffs_deal *deal = r->deal;

	for (uint32_t i = 0; i < deal->n_cuts; i++)
		if (deal->cuts[i].name[0])
			cffs_dir_went(r->fs, deal->cuts[i].dir, deal->cuts[i].name,
				      strlen(deal->cuts[i].name), &deal->cuts[i].loc);
	for (uint32_t i = 0; i < deal->n_puts; i++)
		if (deal->puts[i].name[0])
			cffs_dir_came(r->fs, deal->puts[i].dir, deal->puts[i].name,
				      strlen(deal->puts[i].name), &deal->puts[i].loc);
}

static int attempt(struct running *r)
{
	struct cffs_deal *deal = r->deal;
	struct cffs *fs = r->fs;
	int err = holds_get(r);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	cffs_change_init(&r->change);
	tweaks_do(deal);
	err = sectors_edit(r);
	if (!err && deal->freed)
		cffs_change_free_body(fs, &r->change, &deal->freed->b);
	if (!err && deal->alloc.count)
		cffs_txn_alloc(&r->change.txn, deal->alloc.start, deal->alloc.count,
			       deal->alloc.type);
	if (!err && deal->give.count)
		cffs_txn_free(&r->change.txn, deal->give.start, deal->give.count, deal->give.type);
	for (uint32_t i = 0; i < deal->n_edits; i++)
		cffs_txn_edit(&r->change.txn, deal->edits[i].object, deal->edits[i].offset,
			      deal->edits[i].bytes, deal->edits[i].len);
	if (!err)
		err = cffs_change_apply(fs, &r->change);
	if (!err && deal->freed)
		cffs_place_removed(fs, deal->freed);
	if (err)
		tweaks_undo(deal);
	else
		memory_follow(r);
	pthread_mutex_unlock(&fs->lock);
	if (!err)
		names_follow(r);
	return err;
}

int cffs_deal_run(struct cffs *fs, struct cffs_deal *deal)
{
	struct running r;
	unsigned tries = 0, again = 0;
	int err;

	r.fs = fs;
	r.deal = deal;
	memset(r.cut_hold, 0, sizeof(r.cut_hold));
	do
		err = attempt(&r);
	while ((err == -EAGAIN && again++ < 1000) ||
	       (err && err != XN_ENOTFREE && cffs_retry(fs, err, &tries)));
	holds_put(&r);
	return err == -EAGAIN ? -EIO : err; /* no sector is what is known of it */
}
