/* SPDX-License-Identifier: MIT */
/*
 * The truths of the other files, executed: what memory can show of them.
 *
 *   1  every entry's owner is registered and counts it
 *   2  an object counts exactly its unsound children
 *   3  a dirty entry is on its root's list, and the list's length is right
 *   4  what is cached has a frame, and frames in use add up
 *   5  the free count is what the bitmaps say
 *   6  a registered block is in use, and so is every unwritten one
 *   7  what is not sound, dirty or pinned could be forgotten: nothing else is
 *      without bytes
 *   8  blocks set aside are free, and are the sum of claims and reserves
 *   9  a page is charged to who holds it, and what may go is on the list of that
 *  10  a frozen copy waits exactly for the unsound children and dependencies that are marked
 *  11  an object that knows how many blocks it owns knows it rightly
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

struct verdict {
	int truth;
	char *text;
	size_t size;
};

static bool broken(struct verdict *verdict, int truth, xn_blk_t block, const char *what)
{
	verdict->truth = truth;
	if (verdict->size)
		snprintf(verdict->text, verdict->size, "truth %d: %s (block %llu)", truth, what,
			 (unsigned long long)block);
	return true;
}

/*
 * Unsound children of an object, counted from its bytes; of these, marked for its frozen copy; and
 * all blocks that it owns.
 */
static uint64_t count_unsound(struct xn *xn, const struct entry *entry, uint64_t *marked,
			      uint64_t *blocks, int *err)
{
	struct udf_extents owned = { 0 };
	const struct after *after;
	uint64_t n = entry->n_waits; /* what it waits for counts like a child */

	*marked = *blocks = 0;
	LIST_FOREACH(after, &entry->waits, of_object)
	{
		*marked += after->in_frozen;
	}

	*err = owns_object(xn, entry->type, 0, frame_bytes(&entry->frame), NULL, &owned, NULL);
	for (size_t i = 0; i < owned.n && !*err; i++) {
		const struct udf_extent *e = &owned.v[i];
		const struct type *type = type_find(xn, e->child);
		uint32_t step = type ? type->blocks : 1;

		*blocks += e->count;
		for (uint64_t b = 0; b < e->count; b += step) {
			const struct entry *child = registry_find(&xn->registry, e->start + b);

			n += freemap_unwritten(xn, e->start + b) ||
			     (child && !(child->flags & E_SOUND));
			*marked += child && child->owner == entry &&
				   (child->flags & (E_SOUND | E_IN_FROZEN)) == E_IN_FROZEN;
		}
	}
	udf_extents_fini(&owned);
	return n;
}

/* What an object that is whole in memory waits for. */
static bool check_waits(struct xn *xn, const struct entry *entry, struct verdict *v)
{
	uint64_t unsound, marked, blocks;
	int err = 0;

	if (!entry->type || !(entry->flags & E_CACHED) || (entry->flags & (E_REAPED | E_DAMAGED)))
		return false;
	unsound = count_unsound(xn, entry, &marked, &blocks, &err);
	if (err)
		return false;
	if (unsound != entry->unsound)
		return broken(v, 2, entry->start, "unsound children are miscounted");
	if (entry->frozen && marked != entry->frozen->unsound)
		return broken(v, 10, entry->start, "what a frozen copy waits for is miscounted");
	if (entry->owned != OWNED_UNKNOWN && entry->owned != blocks)
		return broken(v, 11, entry->start, "owned blocks are miscounted");
	return false;
}

static bool check_entry(struct xn *xn, const struct entry *entry, struct verdict *v)
{
	if (entry->owner && (entry->owner->refs == 0 ||
			     (!(entry->owner->flags & E_DEAD) &&
			      registry_find(&xn->registry, entry->owner->start) != entry->owner)))
		return broken(v, 1, entry->start, "owner is not registered");
	if (check_waits(xn, entry, v))
		return true;
	if ((entry->flags & E_DIRTY) && !(entry->flags & E_CACHED))
		return broken(v, 3, entry->start, "dirty without bytes");
	if ((entry->flags & E_CACHED) && !entry->frame.pool)
		return broken(v, 4, entry->start, "cached without a frame");
	if (freemap_chunk(xn, entry->start / XN_CHUNK_BLOCKS) &&
	    !freemap_in_use(xn, entry->start) && !xn->damaged)
		return broken(v, 6, entry->start, "registered but free");
	if (!entry->type && freemap_unwritten(xn, entry->start))
		return broken(v, 6, entry->start, "cached but marked unwritten");
	if (!(entry->flags & (E_SOUND | E_CACHED | E_READING)) && !order_exempt(entry))
		return broken(v, 7, entry->start, "unsound bytes left the cache");
	if (!xn->wave && entry->account != (entry->frame.pool ? account_of(entry) : NULL))
		return broken(v, 9, entry->start, "a page is charged to the wrong account");
	if (entry->frame.pool && !(entry->flags & E_LRU) && entry_evictable(entry))
		return broken(v, 9, entry->start, "a page that may go is not on the list");
	return false;
}

static bool check_chunks(const struct xn *xn, struct verdict *v)
{
	const struct sparse *chunks = &xn->freemap.chunks;

	for (uint64_t i = sparse_next(chunks, 0); i < chunks->size;
	     i = sparse_next(chunks, i + 1)) {
		const struct chunk *chunk = sparse_get(chunks, i);
		uint32_t used = 0, odd = 0;

		for (uint32_t b = 0; b < XN_MAP_CHUNK_BYTES; b++) {
			used += (uint32_t)__builtin_popcount(chunk->used[b]);
			if (chunk->unwritten)
				odd |= chunk->unwritten[b] & (uint8_t)~chunk->used[b];
		}
		if (used + chunk->free != XN_CHUNK_BLOCKS)
			return broken(v, 5, i * XN_CHUNK_BLOCKS, "free count of a chunk is wrong");
		if (odd)
			return broken(v, 6, i * XN_CHUNK_BLOCKS, "unwritten but free");
	}
	return false;
}

int xn_self_check(struct xn *xn, char *text, size_t size)
{
	struct verdict v = { 0, text, size };
	uint64_t dirty = 0, listed = 0, frames = 0, set_aside = 0;
	uint64_t held = 0, charged = 0;
	struct xn_session *session;

	pthread_mutex_lock(&xn->lock);
	for (size_t i = 0; i < xn->registry.n_buckets && !v.truth; i++) {
		const struct entry *entry = xn->registry.buckets[i];

		for (; entry && !v.truth; entry = entry->hash_next) {
			check_entry(xn, entry, &v);
			dirty += entry->flags & E_DIRTY ? entry->blocks : 0;
			frames += entry->frame.count;
			held += entry->account ? entry->blocks : 0;
		}
	}
	for (size_t i = 0; i < xn->n_roots; i++) {
		listed += xn->roots[i]->n_dirty;
		set_aside += xn->roots[i]->claimed + xn->roots[i]->reserved;
		charged += xn->roots[i]->account.held;
	}
	LIST_FOREACH(session, &xn->sessions, all)
	{
		charged += session->account.held;
	}
	if (!v.truth && dirty != listed)
		broken(&v, 3, 0, "dirty blocks do not add up");
	if (!v.truth && !xn->wave && frames > xn->cache.used_frames)
		broken(&v, 4, 0, "frames do not add up");
	if (!v.truth && !xn->wave && (held != charged || held != xn->cache.held_frames))
		broken(&v, 9, held, "held pages do not add up");
	if (!v.truth && (set_aside != xn->freemap.set_aside ||
			 (set_aside > xn->freemap.free_blocks && !xn->damaged)))
		broken(&v, 8, set_aside, "blocks set aside do not add up");
	if (!v.truth)
		check_chunks(xn, &v);
	pthread_mutex_unlock(&xn->lock);
	return v.truth;
}
