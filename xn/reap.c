/* SPDX-License-Identifier: MIT */
/*
 * Reaping: taking apart subtrees that nobody owns any more.
 *
 *  (1) A subtree comes here only when no pointer to its top can be on disk, so
 *      all its blocks are free the moment they are met.
 *  (2) Newest bytes decide: what is cached and newer than the disk is pinned
 *      (E_REAPED) until it is taken apart.
 *  (3) The list is memory only; a crash forgets it, and reclaim finds what it
 *      held.
 *  (4) What an object names and somebody else is known to have, or XN has, is not
 *      freed: then nothing that it names is, and fsck is asked for.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Only this can fail here for lack of memory: then the disk is not left clean, and reclaim looks. */
void reap_add(struct xn *xn, struct root *root, struct type *type, xn_blk_t start)
{
	struct reap_item *item = calloc(1, sizeof(*item));

	reclaim_push(xn, root, type, start, type->blocks);
	if (!item) {
		root->account.principal->pending--;
		xn->doubtful = true;
		return;
	}
	item->root = root;
	item->type = type;
	item->start = start;
	*xn->reap_tail = item;
	xn->reap_tail = &item->next;
	xn->n_reap++;
}

static struct reap_item *reap_take(struct xn *xn)
{
	struct reap_item *item = xn->reap_head;

	if (!item)
		return NULL;
	xn->reap_head = item->next;
	if (!xn->reap_head)
		xn->reap_tail = &xn->reap_head;
	xn->n_reap--;
	return item;
}

void reap_fini(struct xn *xn)
{
	struct reap_item *item;

	while ((item = reap_take(xn)) != NULL)
		free(item);
}

/* What the log still holds waits; with no memory for that, for the next opening. */
static void free_now(struct xn *xn, struct root *root, xn_blk_t start, uint64_t count)
{
	reclaim_mark(xn, root, start, count);
	if (log_holds(xn, start, count)) {
		struct will_free *node = calloc(1, sizeof(*node));

		if (node) {
			node->start = start;
			node->count = count;
			xn->freemap.will_free += count;
			log_keep(xn, node);
		} else {
			xn->doubtful = true;
		}
	} else {
		freemap_give(xn, start, count);
	}
	root_credit(root, count);
}

static void reap_data(struct xn *xn, struct reap_item *item, const struct udf_extent *e)
{
	for (uint64_t b = e->start; b < e->start + e->count; b++) {
		struct entry *page = registry_find(&xn->registry, b);

		freemap_written(xn, b);
		if (page && !page->type)
			registry_kill(xn, page);
	}
	free_now(xn, item->root, e->start, e->count);
}

static void reap_children(struct xn *xn, struct reap_item *item, const struct udf_extents *owned)
{
	for (size_t i = 0; i < owned->n; i++) {
		const struct udf_extent *e = &owned->v[i];
		struct type *type = type_find(xn, e->child);

		if (!type) {
			reap_data(xn, item, e);
			continue;
		}
		for (uint64_t at = 0; at < e->count; at += type->blocks) {
			struct entry *child = registry_find(&xn->registry, e->start + at);

			if (child && child->type == type)
				order_orphan(xn, child);
			item->root->account.principal->pending++;
			reap_add(xn, item->root, type, e->start + at);
		}
	}
}

/* The object's newest bytes: the cache's, or the disk's into `buffer`. */
static int object_bytes(struct xn *xn, struct reap_item *item, struct entry *entry, uint8_t *buffer,
			const uint8_t **bytes)
{
	int err;

	if (entry && (entry->flags & E_CACHED)) {
		*bytes = entry_bytes(entry);
		return 0;
	}
	err = io_read_object(xn, item->start, item->type->blocks, buffer);
	*bytes = buffer;
	return err;
}

/* All maps that a subtree's step will touch must be here: freeing cannot wait for a read. */
static int maps_load(struct xn *xn, const struct udf_extents *owned, xn_blk_t self)
{
	int err = freemap_load(xn, self / XN_CHUNK_BLOCKS);

	for (size_t i = 0; i < owned->n && !err; i++) {
		const struct udf_extent *e = &owned->v[i];

		for (uint64_t c = e->start / XN_CHUNK_BLOCKS;
		     c <= (e->start + e->count - 1) / XN_CHUNK_BLOCKS && !err; c++)
			err = freemap_load(xn, c);
	}
	return err;
}

/* Is none of it XN's, or known under another owner?  Who is known keeps his owner known. */
static bool may_take_apart(const struct xn *xn, const struct entry *entry,
			   const struct udf_extents *owned)
{
	for (size_t i = 0; i < owned->n; i++) {
		const struct udf_extent *e = &owned->v[i];
		const struct type *type = type_find(xn, e->child);

		if (own_blocks_meet(xn, e->start, e->count))
			return false;
		if (type && type_is_counted(type))
			continue;
		for (uint64_t b = 0; b < e->count; b++) {
			const struct entry *known = registry_find(&xn->registry, e->start + b);

			if (known && (!entry || known->owner != entry))
				return false;
		}
	}
	return true;
}

static int reap_object(struct xn *xn, struct reap_item *item, uint8_t *buffer)
{
	struct entry *entry = registry_find(&xn->registry, item->start);
	struct udf_extents owned = { 0 };
	const uint8_t *bytes = NULL;
	struct will_free *waiting;
	int err, last;

	if (entry) {
		order_orphan(xn, entry);
		entry->pins++;
	}
	err = object_bytes(xn, item, entry, buffer, &bytes);
	if (!err && type_is_counted(item->type)) {
		last = shared_is_last(xn, item->type, item->start, bytes);
		if (last <= 0) { /* it goes when the reaper came from all its owners */
			if (entry)
				entry->pins--;
			return last;
		}
	}
	if (!err)
		err = owns_object(xn, item->type, 0, bytes, NULL, &owned, NULL);
	if (!err)
		err = maps_load(xn, &owned, item->start);
	if (!err && !may_take_apart(xn, entry, &owned))
		err = XN_EOBJDAMAGED;
	if (err) { /* what it owned stays in use, until reclaim or fsck */
		xn->doubtful |= err == -ENOMEM;
		xn->damaged |= err != -ENOMEM;
	} else {
		reap_children(xn, item, &owned);
		free_now(xn, item->root, item->start, item->type->blocks);
	}
	if (entry) {
		waiting = entry->will_free;
		entry->will_free = NULL;
		order_release(xn, item->root, waiting);
		entry->pins -= entry->flags & E_HELD ? 2 : 1; /* ours, and order_orphan()'s */
		registry_kill(xn, entry);
	}
	udf_extents_fini(&owned);
	return err == -ENOMEM ? err : 0;
}

int64_t reap_some(struct xn *xn, uint64_t budget)
{
	uint8_t *buffer;
	int err = 0;

	if (!xn->reap_head)
		return 0;
	if (xn->broken) /* what is queued stays so */
		return xn->broken;
	buffer = malloc(UDF_OBJECT_MAX);
	if (!buffer)
		return -ENOMEM;
	wave_begin(xn); /* nothing of the subtree is in flight meanwhile */
	while (budget-- > 0 && xn->reap_head && !err && !xn->broken) {
		struct reap_item *item = reap_take(xn);

		err = reap_object(xn, item, buffer);
		item->root->account.principal->pending--;
		free(item);
	}
	wave_end(xn);
	free(buffer);
	if (!err && xn->reap_head)
		err = xn->broken;
	return err ? err : (int64_t)xn->n_reap;
}

int64_t xn_reap(struct xn_session *session, uint64_t budget)
{
	struct xn *xn = session->xn;
	int64_t left;

	pthread_mutex_lock(&xn->lock);
	left = xn->writable ? reap_some(xn, budget) : XN_EREADONLY;
	pthread_mutex_unlock(&xn->lock);
	return left;
}
