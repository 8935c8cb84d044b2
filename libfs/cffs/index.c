/* SPDX-License-Identifier: MIT */
/*
 * The index of a large directory: hints in buckets, by linear hashing (hints.h).
 * It lies at logical block CFFS_INDEX_BASE of the directory: a head, then the buckets.
 *
 *  (1) It is a superset of the truth on disk at every moment.  A name's block waits
 *      for its bucket (xn_after); while the disk may not know how many buckets there
 *      are, for the one that it would be in by what the disk knows, too.  So who is not
 *      found is not there.
 *  (2) A hint goes when the removal of its name is stable, from a list in memory; a
 *      crash leaves stale hints, which cost a look.
 *  (3) A split copies hints to the new bucket; the head waits for that.  What was
 *      copied stays in the old bucket until the disk's head knows the new one, and
 *      goes when there is no room.  No bucket is split twice before the disk knows.
 *  (4) Blocks that the index grows by are used when the disk knows them, but those
 *      it was made with: the disk gets to know these together with the index.
 *  (5) So names wait for buckets, the head for buckets, and these for nobody: there
 *      are no rings.
 */
#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPLIT_AT  320u /* hints of a bucket: more are too many */
#define JOIN_AT   60u  /* fewer are too few */
#define GROW_MAX  1024u
#define STALE_MAX 16384u
#define SETTLE_AT 400u /* ... so many that a sync is due, if no bucket can be split without */
#define TRIES_MAX 4096u

/* ---- blocks of the index ---- */

/* With fs->lock held; 0: not known. */
static xn_blk_t cffs_index_where(const struct cffs_index *index, uint32_t i)
{
	for (uint32_t k = 0; k < index->n_runs; k++)
		if (i - index->runs[k].first < index->runs[k].count)
			return index->runs[k].start + (i - index->runs[k].first);
	return 0;
}

static void run_note(struct cffs_index *index, uint32_t i, const struct cffs_run *run)
{
	struct cffs_index_run *grown;

	if (cffs_index_where(index, i))
		return;
	grown = realloc(index->runs, (index->n_runs + 1) * sizeof(*grown));
	if (!grown)
		return; /* it is looked up each time */
	index->runs = grown;
	index->runs[index->n_runs++] =
		(struct cffs_index_run){ i, (uint32_t)run->count, run->start };
}

/* Block `i` of the index, held. */
int cffs_index_hold(struct cffs *fs, struct cffs_inode *dir, uint32_t i, struct cffs_hold **out)
{
	struct cffs_index *index = dir->d->index;
	struct cffs_run run;
	xn_blk_t object;
	int err;

	pthread_mutex_lock(&fs->lock);
	object = cffs_index_where(index, i);
	*out = object ? cffs_hold_find(fs, object) : NULL;
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	err = cffs_map(fs, dir, CFFS_INDEX_BASE + i, CFFS_DIR_MAX, &run);
	if (err)
		return err;
	if (!run.start || run.class != CFFS_CLASS_INDEX) {
		cffs_hold_put(fs, run.owner);
		return XN_EDAMAGED;
	}
	err = cffs_hold_get(fs, run.owner, run.record, CFFS_T_RAW, run.start, out);
	cffs_hold_put(fs, run.owner);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	run_note(index, i, &run);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

static int hold_bucket(struct cffs *fs, struct cffs_inode *dir, uint32_t bucket,
		       struct cffs_hold **out)
{
	return cffs_index_hold(fs, dir, 1 + bucket, out);
}

/* With fs->lock held: bytes of a raw block change, on their own. */
int cffs_index_edit(struct cffs *fs, const struct cffs_hold *hold, uint32_t offset,
		    const uint8_t *bytes, uint32_t len)
{
	struct xn_edit edit = {
		.object = hold->object, .offset = offset, .len = len, .bytes = bytes
	};
	struct xn_update update = { .edits = &edit, .n_edits = 1 };

	return xn_update(fs->libfs.session, &update);
}

int cffs_index_edit_head(struct cffs *fs, struct cffs_inode *dir, uint32_t buckets)
{
	uint8_t sector[CFFS_SECTOR];

	cffs_head_encode(sector, dir->a.ino, buckets);
	return cffs_index_edit(fs, dir->d->index->head, 0, sector, CFFS_SECTOR);
}

/* ---- what the disk knows ---- */

void cffs_index_refresh(struct cffs *fs, struct cffs_index *index)
{
	uint64_t done = atomic_load(&fs->sync_done);

	if (done > index->changed_at)
		index->n_stable = index->n;
	else if (index->mark_at && done >= index->mark_at && index->mark_n > index->n_stable)
		index->n_stable = index->mark_n;
	if (done > index->grown_at)
		index->usable = index->blocks;
}

bool cffs_index_is_settled(struct cffs *fs, const struct cffs_index *index)
{
	return index->changed_at == 0 || atomic_load(&fs->sync_done) > index->changed_at;
}

/* n will change. */
static void note_change(struct cffs *fs, struct cffs_index *index)
{
	uint64_t begun = atomic_load(&fs->sync_begun);

	if (begun > index->changed_at) {
		index->mark_n = index->n;
		index->mark_at = begun;
	}
	index->changed_at = begun;
}

int cffs_index_settle(struct cffs *fs, struct cffs_index *index)
{
	int err = cffs_settle(fs);

	cffs_index_refresh(fs, index);
	return err;
}

/* ---- growing ---- */

int cffs_index_grow(struct cffs *fs, struct cffs_inode *dir, uint32_t want)
{
	struct cffs_index *index = dir->d->index;
	uint64_t logical = CFFS_INDEX_BASE + index->blocks;
	struct xn_extent blocks;
	unsigned tries = 0;
	int err;

	do {
		err = cffs_place(fs, dir, dir, logical, want, fs->type[CFFS_T_RAW], &blocks);
		if (!err)
			err = cffs_map_add(fs, dir, CFFS_CLASS_INDEX, logical, &blocks);
	} while (err && cffs_retry(fs, err, &tries));
	if (err)
		return err;
	index->blocks += (uint32_t)blocks.count;
	index->grown_at = atomic_load(&fs->sync_begun);
	return 0;
}

/* Ahead of need, so that the disk knows the blocks when they are needed. */
static int grow_ahead(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	uint32_t want = index->blocks / 4;

	if (index->blocks > index->usable || index->n + 1 < index->usable / 4 * 3)
		return 0;
	return cffs_index_grow(fs, dir,
			       want < CFFS_INDEX_MIN ? CFFS_INDEX_MIN
			       : want > GROW_MAX     ? GROW_MAX
						     : want);
}

/* ---- splitting ---- */

/* With fs->lock held: the head waits for the bucket.  1: it waits for too many. */
static int head_after(struct cffs *fs, const struct cffs_index *index,
		      const struct cffs_hold *bucket)
{
	int err = xn_after(fs->libfs.session, index->head->object, bucket->object);

	return err == XN_ETOOBIG || err == XN_ECYCLE ? 1 : err;
}

/* No hint moves twice before the disk knows. */
static bool may_split(const struct cffs_index *index)
{
	return index->n + 2 <= index->usable && index->n >= index->n_stable &&
	       cffs_bucket_split(index->n) < index->n_stable;
}

/* With fs->lock held. */
static int split_locked(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hold *old,
			const struct cffs_hold *new)
{
	struct cffs_index *index = dir->d->index;
	uint8_t image[CFFS_BLOCK] = { 0 };
	struct cffs_hint hint;
	int err;

	for (uint32_t i = 0; i < CFFS_HINTS; i++) {
		cffs_hint_get(old->bytes, i, &hint);
		if (hint.at && cffs_bucket_of(hint.hash, index->n + 1) == index->n)
			cffs_hint_add(image + cffs_hint_room(image, hint.hash) * CFFS_SECTOR,
				      dir->a.ino, &hint);
	}
	err = cffs_index_edit(fs, new, 0, image, CFFS_BLOCK);
	if (!err)
		err = head_after(fs, index, new);
	if (!err)
		err = cffs_index_edit_head(fs, dir, index->n + 1);
	if (err)
		return err;
	note_change(fs, index);
	index->n++;
	return 0;
}

/* One bucket more.  1: not now, for the disk must know more first. */
static int split(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	struct cffs_hold *old, *new;
	int err;

	cffs_index_refresh(fs, index);
	err = grow_ahead(fs, dir);
	if (!may_split(index))
		return err ? err : 1;
	err = hold_bucket(fs, dir, cffs_bucket_split(index->n), &old);
	if (err)
		return err;
	err = hold_bucket(fs, dir, index->n, &new);
	if (!err) {
		pthread_mutex_lock(&fs->lock);
		err = split_locked(fs, dir, old, new);
		cffs_hold_put_locked(fs, new);
		pthread_mutex_unlock(&fs->lock);
	}
	cffs_hold_put(fs, old);
	return err;
}

/* ---- joining ---- */

static bool may_join(const struct cffs_index *index)
{
	return index->n > 1 && index->n <= index->n_stable && 2 * index->n > index->n_stable + 1;
}

/* With fs->lock held: the last bucket's hints go into the one they came from. */
static int join_locked(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hold *into,
		       const struct cffs_hold *last)
{
	struct cffs_index *index = dir->d->index;
	uint8_t image[CFFS_BLOCK];
	struct cffs_hint hint;
	int err;

	if (cffs_hints_used(into->bytes) + cffs_hints_used(last->bytes) > SPLIT_AT)
		return 0;
	memcpy(image, into->bytes, sizeof(image));
	for (uint32_t i = 0; i < CFFS_HINTS; i++) {
		cffs_hint_get(last->bytes, i, &hint);
		if (hint.at && cffs_bucket_of(hint.hash, index->n) == index->n - 1 &&
		    cffs_hint_sector(image, &hint) < 0)
			cffs_hint_add(image + cffs_hint_room(image, hint.hash) * CFFS_SECTOR,
				      dir->a.ino, &hint);
	}
	err = cffs_index_edit(fs, into, 0, image, CFFS_BLOCK);
	if (!err)
		err = head_after(fs, index, into);
	if (!err)
		err = cffs_index_edit_head(fs, dir, index->n - 1);
	if (err)
		return err;
	note_change(fs, index);
	index->n--;
	return 0;
}

/* One bucket less, if that can be now. */
static int join(struct cffs *fs, struct cffs_inode *dir)
{
	struct cffs_index *index = dir->d->index;
	struct cffs_hold *into, *last;
	int err;

	cffs_index_refresh(fs, index);
	if (!may_join(index))
		return 0;
	err = hold_bucket(fs, dir, cffs_bucket_split(index->n - 1), &into);
	if (err)
		return err;
	err = hold_bucket(fs, dir, index->n - 1, &last);
	if (!err) {
		pthread_mutex_lock(&fs->lock);
		err = join_locked(fs, dir, into, last);
		cffs_hold_put_locked(fs, last);
		pthread_mutex_unlock(&fs->lock);
	}
	cffs_hold_put(fs, into);
	return err == 1 ? 0 : err;
}

/* ---- room ---- */

/* Hints that are of other buckets, for the disk too.  How many went, or an error. */
static int purge(struct cffs *fs, struct cffs_inode *dir, uint32_t bucket)
{
	const struct cffs_index *index = dir->d->index;
	uint8_t image[CFFS_BLOCK];
	struct cffs_hold *hold;
	struct cffs_hint hint;
	int gone = 0, err = hold_bucket(fs, dir, bucket, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	memcpy(image, hold->bytes, sizeof(image));
	for (uint32_t i = 0; i < CFFS_HINTS; i++) {
		cffs_hint_get(image, i, &hint);
		if (hint.at && cffs_bucket_of(hint.hash, index->n) != bucket &&
		    cffs_bucket_of(hint.hash, index->n_stable) != bucket)
			gone += cffs_hint_remove(image + i / CFFS_HINTS_SECTOR * CFFS_SECTOR,
						 &hint);
	}
	if (gone)
		err = cffs_index_edit(fs, hold, 0, image, CFFS_BLOCK);
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return err ? err : gone;
}

/* The bucket is full. */
static int make_room(struct cffs *fs, struct cffs_inode *dir, uint32_t bucket)
{
	int got = purge(fs, dir, bucket), err;

	if (got)
		return got < 0 ? got : 0;
	got = split(fs, dir);
	if (got != 1)
		return got;
	err = cffs_index_settle(fs, dir->d->index);
	return err ? err : 0;
}

/* ---- adding ---- */

/* With fs->lock held: the name's block waits for its hint. */
static int order(struct cffs *fs, const struct cffs_hold *block, const struct cffs_hold *bucket)
{
	int err = xn_after(fs->libfs.session, block->object, bucket->object);

	/* What waits for too much, waits no more after a sync. */
	return err == XN_ETOOBIG || err == XN_ECYCLE ? XN_ELOGFULL : err;
}

/* With fs->lock held.  1: the bucket is full. */
static int put(struct cffs *fs, const struct cffs_inode *dir, const struct cffs_hold *bucket,
	       const struct cffs_hint *hint)
{
	uint8_t sector[CFFS_SECTOR];
	int s;

	if (cffs_hint_sector(bucket->bytes, hint) >= 0)
		return 0;
	s = cffs_hint_room(bucket->bytes, hint->hash);
	if (s < 0)
		return 1;
	memcpy(sector, bucket->bytes + s * CFFS_SECTOR, CFFS_SECTOR);
	if (!cffs_hint_add(sector, dir->a.ino, hint))
		return XN_EDAMAGED;
	return cffs_index_edit(fs, bucket, (uint32_t)s * CFFS_SECTOR, sector, CFFS_SECTOR);
}

/* `*used` is how many hints the bucket has then.  1: it is full. */
static int add_to(struct cffs *fs, struct cffs_inode *dir, uint32_t bucket,
		  const struct cffs_hint *hint, const struct cffs_hold *block, uint32_t *used)
{
	struct cffs_hold *hold;
	int err = hold_bucket(fs, dir, bucket, &hold);

	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	err = put(fs, dir, hold, hint);
	if (!err)
		err = order(fs, block, hold);
	*used = cffs_hints_used(hold->bytes);
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return err;
}

int cffs_index_add(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint,
		   const struct cffs_hold *block)
{
	struct cffs_index *index = dir->d->index;
	uint32_t used = 0, more;
	int err = 1;

	for (unsigned tries = 0; err == 1; tries++) {
		uint32_t bucket = cffs_bucket_of(hint->hash, index->n);
		uint32_t before = cffs_bucket_of(hint->hash, index->n_stable);

		if (tries == TRIES_MAX)
			return -ENOSPC;
		err = add_to(fs, dir, bucket, hint, block, &used);
		if (!err && before != bucket) {
			bucket = before;
			err = add_to(fs, dir, bucket, hint, block, &more);
		}
		if (err == 1) {
			err = make_room(fs, dir, bucket);
			err = err ? err : 1;
		}
	}
	if (!err && used > SPLIT_AT && purge(fs, dir, cffs_bucket_of(hint->hash, index->n)) == 0 &&
	    split(fs, dir) == 1 && used > SETTLE_AT)
		(void)cffs_index_settle(fs, index); /* so that the next one can split */
	return err;
}

/* ---- finding ---- */

int cffs_index_find(struct cffs *fs, struct cffs_inode *dir, uint32_t hash, uint32_t *i,
		    struct cffs_hint *out, uint32_t max)
{
	struct cffs_hold *hold;
	uint32_t n = 0;
	int err;

	if (*i >= CFFS_HINTS)
		return 0;
	err = hold_bucket(fs, dir, cffs_bucket_of(hash, dir->d->index->n), &hold);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	while (n < max && cffs_hint_next(hold->bytes, hash, i, &out[n]))
		n++;
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return (int)n;
}

/* ---- names that have gone ---- */

/* Does a name of that hash lie in that sector? */
static int is_live(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint)
{
	uint32_t block = (hint->at - 1) / CFFS_SECTORS, at = 0;
	uint8_t bytes[CFFS_SECTOR];
	struct cffs_entry entry;
	bool live = false;
	int err;

	if (block >= dir->d->n_blocks)
		return 0;
	err = cffs_dir_sector(fs, dir, block, (hint->at - 1) % CFFS_SECTORS, bytes);
	while (!err && !live && cffs_sector_next(bytes, &at, &entry))
		live = entry.name_len &&
		       cffs_name_hash(fs->params.uuid, entry.name, entry.name_len) == hint->hash;
	return err ? err : live;
}

static int hint_drop(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint)
{
	uint8_t sector[CFFS_SECTOR];
	struct cffs_hold *hold;
	bool few;
	int s, err = is_live(fs, dir, hint);

	if (err)
		return err < 0 ? err : 0;
	err = hold_bucket(fs, dir, cffs_bucket_of(hint->hash, dir->d->index->n), &hold);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	s = cffs_hint_sector(hold->bytes, hint);
	if (s >= 0) {
		memcpy(sector, hold->bytes + s * CFFS_SECTOR, CFFS_SECTOR);
		cffs_hint_remove(sector, hint);
		err = cffs_index_edit(fs, hold, (uint32_t)s * CFFS_SECTOR, sector, CFFS_SECTOR);
	}
	few = cffs_hints_used(hold->bytes) < JOIN_AT;
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return !err && few ? join(fs, dir) : err;
}

bool cffs_index_tend(struct cffs *fs, struct cffs_inode *dir, uint32_t max)
{
	struct cffs_index *index = dir->d ? dir->d->index : NULL;
	uint64_t done = atomic_load(&fs->sync_done);

	if (!index)
		return false;
	for (; index->n_stale && max; max--) {
		const struct cffs_stale *stale = &index->stale[index->first_stale];

		if (stale->when >= done || hint_drop(fs, dir, &stale->hint))
			break;
		index->first_stale = (index->first_stale + 1) % STALE_MAX;
		index->n_stale--;
	}
	return index->n_stale != 0;
}

void cffs_index_stale(struct cffs *fs, struct cffs_inode *dir, const struct cffs_hint *hint)
{
	struct cffs_index *index = dir->d->index;

	if (!index->stale)
		index->stale = malloc(STALE_MAX * sizeof(*index->stale));
	if (!index->stale)
		return; /* a stale hint costs a look */
	if (index->n_stale == STALE_MAX && cffs_settle(fs) == 0)
		cffs_index_tend(fs, dir, STALE_MAX);
	if (index->n_stale == STALE_MAX)
		return;
	index->stale[(index->first_stale + index->n_stale++) % STALE_MAX] =
		(struct cffs_stale){ *hint, atomic_load(&fs->sync_begun) };
}
