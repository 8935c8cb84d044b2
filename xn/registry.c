/* SPDX-License-Identifier: MIT */
/*
 * The registry: what is known of blocks that somebody bound, cached or changed.
 *
 *  (1) A registered block keeps its owner registered (refs), up to the root.
 *  (2) Bytes leave the cache only when they are sound on disk, not dirty, not
 *      pinned and not in flight; so nothing stale or foreign ever comes back
 *      from the device.
 *  (3) Versions come from one clock of the open disk and are never used twice.
 *  (4) Every entry whose bytes may leave is on the list of those (lru), oldest first.
 *  (5) A freed entry with I/O in flight is dead: out of the table, and gone when
 *      the I/O ends.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 1024u
#define SWEEP_MAX     4096u /* looked at when a wave ends; trees under scratch roots linger long */

static size_t hash_block(const struct registry *registry, xn_blk_t block)
{
	return (size_t)((block * 0x9e3779b97f4a7c15ull) >> 20) & (registry->n_buckets - 1);
}

int registry_init(struct registry *registry)
{
	registry->n_buckets = BUCKETS_FIRST;
	registry->buckets = calloc(registry->n_buckets, sizeof(struct entry *));
	TAILQ_INIT(&registry->lru);
	TAILQ_INIT(&registry->lingering);
	return registry->buckets ? 0 : -ENOMEM;
}

void will_free_destroy(struct will_free *list)
{
	while (list) {
		struct will_free *next = list->next;

		free(list);
		list = next;
	}
}

/* Dead entries are in no table: they go with the last entry that names them as owner. */
static void fini_dead_owners(struct entry *entry)
{
	struct entry *owner = entry->owner;

	while (owner && (owner->flags & E_DEAD) && --owner->refs == 0) {
		struct entry *above = owner->owner;

		will_free_destroy(owner->will_free);
		free(owner);
		owner = above;
	}
}

/* Unlink it from others that go too. */
static void fini_ties(struct xn *xn, struct entry *entry)
{
	group_leave(xn, entry);
	freeze_drop(entry);
	after_forget(xn, entry);
	fini_dead_owners(entry);
}

void registry_fini(struct xn *xn)
{
	struct registry *registry = &xn->registry;

	for (size_t i = 0; registry->buckets && i < registry->n_buckets; i++) {
		for (struct entry *entry = registry->buckets[i]; entry; entry = entry->hash_next)
			fini_ties(xn, entry);
	}
	for (size_t i = 0; registry->buckets && i < registry->n_buckets; i++) {
		struct entry *entry, *next;

		for (entry = registry->buckets[i]; entry; entry = next) {
			next = entry->hash_next;
			will_free_destroy(entry->will_free);
			cache_give(&xn->cache, &entry->frame);
			free(entry);
		}
	}
	free(registry->buckets);
	registry->buckets = NULL;
}

struct entry *registry_find(const struct registry *registry, xn_blk_t start)
{
	struct entry *entry = registry->buckets[hash_block(registry, start)];

	while (entry && entry->start != start)
		entry = entry->hash_next;
	return entry;
}

/* Whose word it is that the block is what it is known as: a root's object has its own. */
struct entry *entry_claimant(struct entry *entry)
{
	return entry->owner ? entry->owner : entry;
}

/* An entry that shares a block with these and does not begin where they do: the disk lies. */
struct entry *registry_across(const struct registry *registry, xn_blk_t start, uint64_t count)
{
	struct entry *entry = NULL;

	for (uint64_t i = 1; i < count && !entry; i++)
		entry = registry_find(registry, start + i);
	for (uint32_t back = 1; back < registry->blocks_max && !entry; back++) {
		entry = registry_find(registry, start - back);
		if (entry && entry->blocks <= back)
			entry = NULL;
	}
	return entry;
}

/* Double the table; staying small is only slower, so no memory is no error. */
static void registry_grow(struct registry *registry)
{
	struct entry **old = registry->buckets;
	size_t n_old = registry->n_buckets;
	struct entry **grown = calloc(n_old * 2, sizeof(*grown));

	if (!grown)
		return;
	registry->buckets = grown;
	registry->n_buckets = n_old * 2;
	for (size_t i = 0; i < n_old; i++) {
		struct entry *entry, *next;

		for (entry = old[i]; entry; entry = next) {
			struct entry **bucket = &grown[hash_block(registry, entry->start)];

			next = entry->hash_next;
			entry->hash_next = *bucket;
			*bucket = entry;
		}
	}
	free(old);
}

uint64_t version_next(struct xn *xn)
{
	return xn->version_clock += 2;
}

/*
 * Register a block that is on disk: sound, reachable, bytes unknown.  Whoever
 * makes a new block changes that.
 */
struct entry *registry_add(struct xn *xn, xn_blk_t start, struct type *type, struct root *root,
			   struct entry *owner)
{
	struct registry *registry = &xn->registry;
	struct entry *entry = calloc(1, sizeof(*entry));
	struct entry **bucket;

	if (!entry)
		return NULL;
	if (registry->n_entries > registry->n_buckets)
		registry_grow(registry);
	entry->start = start;
	entry->blocks = type ? type->blocks : 1;
	if (entry->blocks > registry->blocks_max)
		registry->blocks_max = entry->blocks;
	entry->type = type;
	entry->root = root;
	entry->owner = owner;
	entry->owner_record = NO_RECORD;
	entry->owned = OWNED_UNKNOWN;
	entry->flags = E_SOUND | E_REACH;
	entry->version = version_next(xn);
	entry->issued_version = entry->version;
	entry->written_version = entry->version;
	entry->stable_version = entry->version;
	LIST_INIT(&entry->bindings);
	LIST_INIT(&entry->waits);
	LIST_INIT(&entry->awaited);
	if (owner) {
		owner->refs++;
		entry->named_at = owner->version;
	}
	if (owner && order_exempt(owner))
		entry->flags &= ~(uint32_t)E_REACH;
	if (type && damaged_has(xn, start))
		entry->flags |= E_DAMAGED;
	bucket = &registry->buckets[hash_block(registry, start)];
	entry->hash_next = *bucket;
	*bucket = entry;
	registry->n_entries++;
	return entry;
}

static void linger_end(struct xn *xn, struct entry *entry)
{
	if (!(entry->flags & E_LINGERS))
		return;
	TAILQ_REMOVE(&xn->registry.lingering, entry, lru);
	xn->registry.n_lingering--;
	entry->flags &= ~(uint32_t)E_LINGERS;
}

static void registry_unlink(struct xn *xn, struct entry *entry)
{
	struct entry **at = &xn->registry.buckets[hash_block(&xn->registry, entry->start)];

	while (*at != entry)
		at = &(*at)->hash_next;
	*at = entry->hash_next;
	xn->registry.n_entries--;
	linger_end(xn, entry);
}

static void entry_lose_frame(struct xn *xn, struct entry *entry)
{
	if (entry->flags & E_LRU) {
		TAILQ_REMOVE(&xn->registry.lru, entry, lru);
		entry->flags &= ~E_LRU;
	}
	cache_give(&xn->cache, &entry->frame);
	entry->owned = OWNED_UNKNOWN;
	entry->flags &= ~E_CACHED;
	entry_charge(xn, entry);
}

/* Free the structure of an entry that is out of the table. */
static void entry_free(struct xn *xn, struct entry *entry)
{
	struct entry *owner = entry->owner;

	assert(entry->refs == 0);
	assert(entry->pins == 0);
	entry_lose_frame(xn, entry);
	if (entry->flags & E_UNFLUSHED)
		TAILQ_REMOVE(&xn->unflushed, entry, unflushed);
	freeze_drop(entry);
	will_free_destroy(entry->will_free);
	free(entry);
	if (owner) {
		owner->refs--;
		registry_release(xn, owner);
	}
}

void registry_drop(struct xn *xn, struct entry *entry)
{
	assert(!(entry->flags & (E_DIRTY | E_READING | E_WRITING)));
	registry_unlink(xn, entry);
	entry_free(xn, entry);
}

/* May the entry be forgotten and found again later without loss? */
static bool entry_is_idle(const struct entry *entry)
{
	return entry->refs == 0 && entry->pins == 0 && LIST_EMPTY(&entry->bindings) &&
	       LIST_EMPTY(&entry->waits) && LIST_EMPTY(&entry->awaited) && !entry->group &&
	       !entry->will_free && (entry->flags & E_SOUND) &&
	       !(entry->flags & (E_DIRTY | E_READING | E_WRITING | E_UNFLUSHED | E_DAMAGED));
}

/*
 * What is found again counts as named on disk; so an object that is not must be
 * remembered, or a move would take it for its own anchor.
 */
static void forget(struct xn *xn, struct entry *entry)
{
	if (!entry->type || entry->root->temporary || order_reachable(entry)) {
		registry_drop(xn, entry);
	} else if (!(entry->flags & E_LINGERS)) {
		TAILQ_INSERT_TAIL(&xn->registry.lingering, entry, lru);
		xn->registry.n_lingering++;
		entry->flags |= E_LINGERS;
	}
}

void registry_release(struct xn *xn, struct entry *entry)
{
	entry_settle(xn, entry);
	if (entry->flags & E_DEAD) {
		if (entry->refs == 0 && entry->pins == 0 &&
		    !(entry->flags & (E_READING | E_WRITING)))
			entry_free(xn, entry);
		return;
	}
	if (!(entry->flags & E_CACHED) && entry_is_idle(entry))
		forget(xn, entry);
}

void registry_sweep(struct xn *xn)
{
	size_t n = xn->registry.n_lingering;

	for (n = n < SWEEP_MAX ? n : SWEEP_MAX; n > 0; n--) {
		struct entry *entry = TAILQ_FIRST(&xn->registry.lingering);

		if (!entry)
			return;
		linger_end(xn, entry);
		registry_release(xn, entry);
	}
}

void registry_kill(struct xn *xn, struct entry *entry)
{
	entry_unbind_all(entry);
	group_leave(xn, entry);
	after_forget(xn, entry);
	entry_clear_dirty(xn, entry);
	registry_unlink(xn, entry);
	entry->flags |= E_DEAD;
	registry_release(xn, entry);
}

bool entry_evictable(const struct entry *entry)
{
	return entry->pins == 0 && (entry->flags & E_SOUND) &&
	       !(entry->flags & (E_DIRTY | E_READING | E_WRITING));
}

/*
 * What holds the entry changed: who pays for it, and may it go?  One that may
 * is on the list; one that may not is taken off it when eviction comes by, so that
 * each is looked at once for each time that it came onto the list.
 */
void entry_settle(struct xn *xn, struct entry *entry)
{
	entry_charge(xn, entry);
	if (!(entry->flags & (E_LRU | E_DEAD)) && entry->frame.pool && entry_evictable(entry))
		entry_touch(xn, entry);
}

/* Take the bytes of the entry that was not used for longest. */
static bool registry_evict_one(struct xn *xn)
{
	struct entry *entry, *first = NULL;

	while ((entry = TAILQ_FIRST(&xn->registry.lru)) != NULL && entry != first) {
		xn->stats.eviction_looks++;
		/* What no disk names may become unsound again, and then is needed. */
		if (entry->type && entry_evictable(entry) && !order_exempt(entry) &&
		    !order_reachable(entry)) {
			TAILQ_REMOVE(&xn->registry.lru, entry, lru);
			TAILQ_INSERT_TAIL(&xn->registry.lru, entry, lru);
			first = first ? first : entry;
			continue;
		}
		if (entry_evictable(entry)) {
			entry_lose_frame(xn, entry);
			xn->stats.evictions++;
			if (entry_is_idle(entry))
				forget(xn, entry);
			return true;
		}
		TAILQ_REMOVE(&xn->registry.lru, entry, lru);
		entry->flags &= ~(uint32_t)E_LRU;
	}
	return false;
}

static bool registry_make_room(struct xn *xn, struct root *root, bool metadata, uint32_t frames,
			       struct frame *out)
{
	struct pool *pool;

	if (root_pool(xn, root, metadata, &pool))
		return false;
	while (!cache_take(&xn->cache, pool, frames, out)) {
		if (!registry_evict_one(xn))
			return false;
	}
	return true;
}

void entry_touch(struct xn *xn, struct entry *entry)
{
	if (!entry->frame.pool)
		return;
	linger_end(xn, entry);
	if (entry->flags & E_LRU)
		TAILQ_REMOVE(&xn->registry.lru, entry, lru);
	TAILQ_INSERT_TAIL(&xn->registry.lru, entry, lru);
	entry->flags |= E_LRU;
}

int entry_frame(struct xn *xn, struct entry *entry)
{
	int err;

	if (entry->frame.pool)
		return 0;
	err = share_check_entry(xn, entry, NULL);
	if (err)
		return err;
	entry->pins++; /* making room must not take this one */
	if (!registry_make_room(xn, entry->root, entry->type != NULL, entry->blocks,
				&entry->frame)) {
		entry->pins--;
		return share_refused(xn, entry->blocks);
	}
	entry->pins--;
	entry_touch(xn, entry);
	entry_charge(xn, entry);
	return 0;
}

uint8_t *entry_bytes(const struct entry *entry)
{
	return frame_bytes(&entry->frame);
}

void entry_set_dirty(struct xn *xn, struct entry *entry)
{
	if (entry->flags & E_DIRTY)
		return;
	entry->flags |= E_DIRTY;
	entry->dirty_since = xn->version_clock;
	TAILQ_INSERT_TAIL(&entry->root->dirty, entry, dirty);
	entry->root->n_dirty += entry->blocks;
	entry_charge(xn, entry);
}

void entry_changed(struct entry *entry, uint32_t from, uint32_t len)
{
	uint32_t last = (from + len - 1) / XN_SECTOR_SIZE;

	for (uint32_t i = from / XN_SECTOR_SIZE; i <= last; i++)
		entry->changed[i / 64] |= 1ull << (i % 64);
}

void entry_clear_dirty(struct xn *xn, struct entry *entry)
{
	if (!(entry->flags & E_DIRTY))
		return;
	entry->flags &= ~E_DIRTY;
	TAILQ_REMOVE(&entry->root->dirty, entry, dirty);
	entry->root->n_dirty -= entry->blocks;
	entry_charge(xn, entry);
}

/* Two owners were met, or the bytes make no sense: nobody changes it any more. */
void entry_damage(struct xn *xn, struct entry *entry)
{
	while (entry && !entry->type)
		entry = entry->owner;
	xn->damaged = true;
	if (!entry)
		return;
	entry->flags |= E_DAMAGED;
	damaged_add(xn, entry->start);
}
