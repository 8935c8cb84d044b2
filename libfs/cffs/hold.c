/* SPDX-License-Identifier: MIT */
/*
 * Objects that we hold bound and read in.
 *
 *  (1) One hold an object.  It counts its users: operations under way, and the
 *      holds of objects that it owns, so that whoever is held has all its owners
 *      held (XN's acl wants to see them).
 *  (2) A hold without users stays in a list, least recently used first, until
 *      there are more than holds_max.
 *  (3) Reading goes on without the lock; two who bind the same object at once
 *      find out, and one lets go.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 256u

/* ---- the table and the list; all with fs->lock held ---- */

static struct cffs_hold **bucket_of(struct cffs *fs, xn_blk_t object)
{
	return &fs->holds[(object * 0x9e3779b97f4a7c15ull >> 32) & (fs->n_hold_buckets - 1)];
}

static struct cffs_hold *find(struct cffs *fs, xn_blk_t object)
{
	struct cffs_hold *hold = *bucket_of(fs, object);

	while (hold && hold->object != object)
		hold = hold->hash_next;
	return hold;
}

static void lru_remove(struct cffs_hold *hold)
{
	hold->lru_prev->lru_next = hold->lru_next;
	hold->lru_next->lru_prev = hold->lru_prev;
	hold->lru_prev = hold->lru_next = NULL;
}

static void lru_append(struct cffs *fs, struct cffs_hold *hold)
{
	struct cffs_hold *head = &fs->hold_lru;

	hold->lru_prev = head->lru_prev;
	hold->lru_next = head;
	head->lru_prev->lru_next = hold;
	head->lru_prev = hold;
}

static void use(struct cffs_hold *hold)
{
	if (hold->users++ == 0 && hold->lru_next)
		lru_remove(hold);
}

static void table_remove(struct cffs *fs, struct cffs_hold *hold)
{
	struct cffs_hold **link = bucket_of(fs, hold->object);

	while (*link != hold)
		link = &(*link)->hash_next;
	*link = hold->hash_next;
	fs->n_holds--;
	hold->dead = true;
}

static void unuse(struct cffs *fs, struct cffs_hold *hold);

static void destroy(struct cffs *fs, struct cffs_hold *hold)
{
	struct cffs_hold *owner = hold->owner;

	if (hold->lru_next)
		lru_remove(hold);
	if (!hold->dead)
		table_remove(fs, hold);
	xn_unbind(fs->libfs.session, hold->binding);
	free(hold);
	if (owner)
		unuse(fs, owner);
}

static void unuse(struct cffs *fs, struct cffs_hold *hold)
{
	if (--hold->users)
		return;
	if (hold->dead)
		destroy(fs, hold);
	else
		lru_append(fs, hold);
}

void cffs_holds_trim(struct cffs *fs, size_t max)
{
	while (fs->n_holds > max && fs->hold_lru.lru_next != &fs->hold_lru)
		destroy(fs, fs->hold_lru.lru_next);
}

static int insert(struct cffs *fs, struct cffs_hold *hold)
{
	struct cffs_hold **bucket = bucket_of(fs, hold->object);

	hold->hash_next = *bucket;
	*bucket = hold;
	hold->users = 1;
	fs->n_holds++;
	if (hold->owner)
		use(hold->owner);
	cffs_holds_trim(fs, fs->holds_max);
	return 0;
}

int cffs_holds_init(struct cffs *fs, uint64_t cache_bytes)
{
	uint64_t max = cache_bytes / CFFS_BLOCK / 4;

	fs->holds_max = max < 32 ? 32 : max;
	fs->n_hold_buckets = BUCKETS_MIN;
	while (fs->n_hold_buckets < fs->holds_max)
		fs->n_hold_buckets *= 2;
	fs->hold_lru.lru_prev = fs->hold_lru.lru_next = &fs->hold_lru;
	fs->holds = calloc(fs->n_hold_buckets, sizeof(struct cffs_hold *));
	return fs->holds ? 0 : -ENOMEM;
}

/* Those that are in no table any more live by who hangs below them. */
static void dead_owners_fini(struct cffs *fs, struct cffs_hold *hold)
{
	struct cffs_hold *owner = hold->owner;

	while (owner && owner->dead && --owner->users == 0) {
		struct cffs_hold *above = owner->owner;

		xn_unbind(fs->libfs.session, owner->binding);
		free(owner);
		owner = above;
	}
}

void cffs_holds_fini(struct cffs *fs)
{
	for (size_t i = 0; fs->holds && i < fs->n_hold_buckets; i++)
		for (struct cffs_hold *hold = fs->holds[i]; hold; hold = hold->hash_next)
			dead_owners_fini(fs, hold);
	for (size_t i = 0; fs->holds && i < fs->n_hold_buckets; i++)
		while (fs->holds[i]) {
			struct cffs_hold *hold = fs->holds[i];

			fs->holds[i] = hold->hash_next;
			xn_unbind(fs->libfs.session, hold->binding);
			free(hold);
		}
	free(fs->holds);
}

/* ---- holding ---- */

static int bind(struct cffs *fs, struct cffs_hold *owner, uint32_t record, enum cffs_template which,
		struct cffs_hold *hold)
{
	struct xn_bind_request request = {
		.owner = owner->object,
		.record = record,
		.access = fs->access | XN_READIN,
		.extent = { .start = hold->object, .count = 1, .type = fs->type[which] },
	};
	unsigned tries = 0;
	const void *bytes;
	size_t len;
	int err;

	if (which == CFFS_T_DIR && !(fs->params.options & CFFS_O_NO_GROUP))
		cffs_ahead_group(fs, hold->object);
	do
		err = xn_bind(fs->libfs.session, &request, &hold->binding);
	while (err && cffs_retry(fs, err, &tries));
	if (err)
		return err;
	err = xn_map(fs->libfs.session, hold->binding, &bytes, &len);
	if (err)
		xn_unbind(fs->libfs.session, hold->binding);
	hold->bytes = bytes;
	return err;
}

static struct cffs_hold *find_and_use(struct cffs *fs, xn_blk_t object)
{
	struct cffs_hold *hold = find(fs, object);

	if (hold)
		use(hold);
	return hold;
}

int cffs_hold_get(struct cffs *fs, struct cffs_hold *owner, uint32_t record,
		  enum cffs_template which, xn_blk_t object, struct cffs_hold **out)
{
	struct cffs_hold *hold, *other;
	int err;

	pthread_mutex_lock(&fs->lock);
	*out = find_and_use(fs, object);
	pthread_mutex_unlock(&fs->lock);
	if (*out)
		return 0;
	hold = calloc(1, sizeof(*hold));
	if (!hold)
		return -ENOMEM;
	hold->object = object;
	hold->owner = owner;
	err = bind(fs, owner, record, which, hold);
	if (err) {
		free(hold);
		return err;
	}
	pthread_mutex_lock(&fs->lock);
	other = find_and_use(fs, object);
	if (!other)
		insert(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	if (other) {
		xn_unbind(fs->libfs.session, hold->binding);
		free(hold);
	}
	*out = other ? other : hold;
	return 0;
}

/* The same, only if that needs no I/O: with fs->lock held. */
struct cffs_hold *cffs_hold_find(struct cffs *fs, xn_blk_t object)
{
	return find_and_use(fs, object);
}

int cffs_hold_root(struct cffs *fs, const char *root)
{
	struct cffs_hold *hold = calloc(1, sizeof(*hold));
	const void *bytes;
	size_t len;
	int err;

	if (!hold)
		return -ENOMEM;
	err = xn_bind_root(fs->libfs.session, root, fs->access | XN_READIN, &hold->binding,
			   &hold->object);
	if (!err) {
		err = xn_map(fs->libfs.session, hold->binding, &bytes, &len);
		if (err)
			xn_unbind(fs->libfs.session, hold->binding);
	}
	if (err) {
		free(hold);
		return err;
	}
	hold->bytes = bytes;
	pthread_mutex_lock(&fs->lock);
	insert(fs, hold); /* and its one user is the file system */
	pthread_mutex_unlock(&fs->lock);
	fs->root = hold;
	return 0;
}

void cffs_hold_put_locked(struct cffs *fs, struct cffs_hold *hold)
{
	unuse(fs, hold);
}

void cffs_hold_put(struct cffs *fs, struct cffs_hold *hold)
{
	if (!hold)
		return;
	pthread_mutex_lock(&fs->lock);
	unuse(fs, hold);
	pthread_mutex_unlock(&fs->lock);
}

void cffs_hold_drop_locked(struct cffs *fs, xn_blk_t object)
{
	struct cffs_hold *hold = find(fs, object);

	if (!hold)
		return;
	table_remove(fs, hold);
	if (hold->users == 0)
		destroy(fs, hold);
}

void cffs_hold_drop(struct cffs *fs, xn_blk_t object)
{
	pthread_mutex_lock(&fs->lock);
	cffs_hold_drop_locked(fs, object);
	pthread_mutex_unlock(&fs->lock);
}

/* ---- what a slot of an entry names, when the entry goes or moves ---- */

static bool names_objects(const struct cffs_slot *slot)
{
	return slot->class >= CFFS_CLASS_DIR && slot->class < CFFS_CLASSES;
}

void cffs_holds_drop_slots(struct cffs *fs, const struct cffs_body *body)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		for (uint32_t k = 0; names_objects(&body->slot[i]) && k < body->slot[i].count; k++)
			cffs_hold_drop_locked(fs, body->slot[i].start + k);
}

void cffs_holds_move_slots(struct cffs *fs, const struct cffs_body *body, struct cffs_hold *owner)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		for (uint32_t k = 0; names_objects(&body->slot[i]) && k < body->slot[i].count;
		     k++) {
			struct cffs_hold *hold = find(fs, body->slot[i].start + k);

			if (!hold || hold->owner == owner)
				continue;
			use(owner);
			unuse(fs, hold->owner);
			hold->owner = owner;
		}
}
