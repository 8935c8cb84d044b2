/* SPDX-License-Identifier: MIT */
/*
 * A dead session's unwritten blocks.
 *
 *  (1) A block that was allocated and never written taints what names it; when
 *      nobody is left to write it, it gets zeroes, and the taint can be cleared.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Zero some unwritten data blocks of one object; returns how many, or a negative error. */
static int zero_object(struct xn *xn, struct entry *owner, uint32_t max)
{
	struct udf_extents owned = { 0 };
	uint32_t n = 0;
	int err = owns_object(xn, owner->type, 0, entry_bytes(owner), NULL, &owned, NULL);

	for (size_t i = 0; i < owned.n && !err; i++) {
		const struct udf_extent *e = &owned.v[i];

		for (uint64_t b = e->start; b < e->start + e->count && n < max && !err; b++) {
			struct entry *page;

			if (e->child != XN_DATA || !freemap_unwritten(xn, b))
				continue;
			page = registry_add(xn, b, NULL, owner->root, owner);
			if (!page)
				err = -ENOMEM;
			else
				err = entry_frame(xn, page);
			if (err && page)
				registry_drop(xn, page);
			if (err)
				break;
			freemap_written(xn, b);
			page->flags = (page->flags | E_CACHED) & ~(uint32_t)(E_SOUND | E_REACH);
			page->issued_version = page->written_version = page->stable_version = 0;
			memset(entry_bytes(page), 0, XN_BLOCK_SIZE);
			entry_set_dirty(xn, page);
			n++;
		}
	}
	udf_extents_fini(&owned);
	if (err == XN_ECACHEFULL && n > 0)
		err = 0;
	return err ? err : (int)n;
}

/* Objects that name something unsound, pinned.  An object need not be dirty to be one. */
static int unsound_objects(struct xn *xn, const struct root *root, struct entry ***out,
			   size_t *count)
{
	struct registry *registry = &xn->registry;
	struct entry **list = calloc(registry->n_entries + 1, sizeof(struct entry *));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < registry->n_buckets; i++) {
		struct entry *entry = registry->buckets[i];

		for (; entry; entry = entry->hash_next) {
			if (!entry->type || entry->unsound == entry->n_waits ||
			    order_reaped(entry) || (root && entry->root != root))
				continue;
			entry->pins++;
			list[n++] = entry;
		}
	}
	*out = list;
	*count = n;
	return 0;
}

#define ZERO_MAX 4096 /* then let the caller write these back first */

/*
 * Give every block that was allocated and never written a content, zeroes, so
 * that what names it can be written.  Returns how many, or a negative error.
 */
int zero_unwritten(struct xn *xn, const struct root *root)
{
	struct entry **objects;
	size_t count;
	uint64_t reserve = xn->cache.reserve_frames;
	int total = 0;
	int err = unsound_objects(xn, root, &objects, &count);

	if (err)
		return err;
	xn->cache.reserve_frames = 0; /* this is what it is for */
	for (size_t i = 0; i < count; i++) {
		int n = 0;

		if (!err && total < ZERO_MAX)
			n = zero_object(xn, objects[i], (uint32_t)(ZERO_MAX - total));
		if (n < 0)
			err = n;
		else
			total += n;
		objects[i]->pins--;
		entry_settle(xn, objects[i]);
	}
	xn->cache.reserve_frames = reserve;
	free(objects);
	return err && !(err == XN_ECACHEFULL && total > 0) ? err : total;
}

int xn_init_unwritten(struct xn_session *session, uint32_t root_id)
{
	struct xn *xn = session->xn;
	struct root *root = NULL;
	int n;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	pthread_mutex_lock(&xn->lock);
	if (root_id)
		root = root_paying(root_by_id(xn, root_id));
	if (root_id && !root)
		n = XN_ENOROOT;
	else
		n = xn->writable ? zero_unwritten(xn, root) : XN_EREADONLY;
	pthread_mutex_unlock(&xn->lock);
	return n;
}
