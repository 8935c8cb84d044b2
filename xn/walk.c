/* SPDX-License-Identifier: MIT */
/*
 * The walker: everything that is owned, one extent at a time.
 *
 *  (1) It iterates and never recurses: depth belongs to the LibFS.  Its stack has a place for each
 *      extent, however many objects that is.
 *  (2) It comes by every object once; an object met again is reported and not
 *      entered, so a disk with cycles ends too.
 *  (3) It uses the newest bytes where they are cached, the disk's elsewhere, and
 *      puts nothing into the cache.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Objects to enter, one after the other: neighbours of one extent are one place. */
struct place {
	xn_blk_t start;
	uint64_t count; /* objects */
	struct type *type;
	uint32_t root, depth;
};

struct xn_walker {
	struct xn *xn;
	struct place *stack;
	size_t n, cap;
	struct sparse seen; /* per chunk: bitmap of objects met */
	uint32_t next_root, last_root;
	/* the object being told about */
	struct place at;
	struct udf_extents owned;
	size_t pos;
	uint8_t *bytes;
};

static int walker_init(struct xn *xn, uint32_t root, struct xn_walker **out)
{
	struct xn_walker *walker = calloc(1, sizeof(*walker));

	if (!walker)
		return -ENOMEM;
	walker->xn = xn;
	walker->next_root = root ? root : 1;
	walker->last_root = root ? root : (uint32_t)xn->n_roots;
	sparse_init(&walker->seen, XN_BLOCKS_MAX / XN_CHUNK_BLOCKS); /* the disk may grow */
	walker->bytes = malloc(UDF_OBJECT_MAX);
	if (!walker->bytes) {
		xn_walker_destroy(walker);
		return -ENOMEM;
	}
	*out = walker;
	return 0;
}

void xn_walker_destroy(struct xn_walker *walker)
{
	if (!walker)
		return;
	for (uint64_t i = sparse_next(&walker->seen, 0); i < walker->seen.size;
	     i = sparse_next(&walker->seen, i + 1))
		free(sparse_get(&walker->seen, i));
	sparse_fini(&walker->seen);
	free(walker->stack);
	free(walker->bytes);
	udf_extents_fini(&walker->owned);
	free(walker);
}

/* Note that the object was met; 1 = it was already. */
static int walker_see(struct xn_walker *walker, xn_blk_t block)
{
	uint8_t *map = sparse_get(&walker->seen, block / XN_CHUNK_BLOCKS);
	uint32_t bit = (uint32_t)(block % XN_CHUNK_BLOCKS);

	if (!map) {
		map = calloc(1, XN_MAP_CHUNK_BYTES);
		if (!map || sparse_put(&walker->seen, block / XN_CHUNK_BLOCKS, map)) {
			free(map);
			return -ENOMEM;
		}
	}
	if (map[bit / 8] >> (bit % 8) & 1)
		return 1;
	map[bit / 8] |= (uint8_t)(1u << (bit % 8));
	return 0;
}

static int walker_push(struct xn_walker *walker, struct place place)
{
	if (walker->n == walker->cap) {
		size_t cap = walker->cap ? walker->cap * 2 : 256;
		struct place *stack = realloc(walker->stack, cap * sizeof(*stack));

		if (!stack)
			return -ENOMEM;
		walker->stack = stack;
		walker->cap = cap;
	}
	walker->stack[walker->n++] = place;
	return 0;
}

static int place_read(struct xn_walker *walker)
{
	struct xn *xn = walker->xn;
	struct entry *entry = registry_find(&xn->registry, walker->at.start);
	size_t len = (size_t)walker->at.type->blocks * XN_BLOCK_SIZE;
	int err;

	if (entry && (entry->flags & E_CACHED) && entry->type == walker->at.type) {
		memcpy(walker->bytes, entry_bytes(entry), len);
		return 0;
	}
	err = io_read_object(xn, walker->at.start, walker->at.type->blocks, walker->bytes);
	return err;
}

/* Open the next object of the stack, or the next root. 1: told an item, 0: at the end. */
static int walker_enter(struct xn_walker *walker, struct xn_walk_item *item)
{
	struct xn *xn = walker->xn;
	const struct udf_info *info;
	int err;

	walker->at = walker->stack[walker->n - 1];
	walker->stack[walker->n - 1].start += walker->at.type->blocks;
	if (--walker->stack[walker->n - 1].count == 0)
		walker->n--;
	walker->owned.n = walker->pos = 0;
	err = place_read(walker);
	info = walker->at.type->info;
	for (uint32_t i = 0; i < info->rec_count && info->has[UDF_FN_OWNS] && !err; i++) {
		struct udf_budget budget = UDF_BUDGET_FULL;
		size_t from = walker->owned.n;

		err = owns_record(xn, walker->at.type, 0, walker->bytes, i, &budget, &walker->owned,
				  NULL);
		for (size_t k = from; k < walker->owned.n; k++)
			walker->owned.v[k].tag = i;
	}
	if (!err)
		return 0;
	walker->owned.n = 0;
	if (err == -ENOMEM)
		return err;
	*item = (struct xn_walk_item){ .root = walker->at.root,
				       .depth = walker->at.depth,
				       .owner = walker->at.start,
				       .owner_type = walker->at.type->id,
				       .record = NO_RECORD,
				       .extent = { walker->at.start, walker->at.type->blocks,
						   walker->at.type->id, 0 },
				       .error = err };
	return 1;
}

static int walker_next_root(struct xn_walker *walker, struct xn_walk_item *item)
{
	while (walker->next_root <= walker->last_root) {
		struct root *root = root_by_id(walker->xn, walker->next_root++);
		int seen, err;

		if (!root)
			continue;
		*item = (struct xn_walk_item){ .root = (uint32_t)root->slot + 1,
					       .record = NO_RECORD,
					       .extent = { root->entry.object, root->type->blocks,
							   root->type->id, 0 } };
		seen = walker_see(walker, root->entry.object);
		if (seen < 0)
			return seen;
		if (seen)
			item->error = XN_EOBJDAMAGED;
		else if ((err = walker_push(walker, (struct place){ root->entry.object, 1,
								    root->type, item->root, 0 })))
			return err;
		return 1;
	}
	return 0;
}

/* Objects of an extent wait on the stack until this object is told. */
static int walker_push_children(struct xn_walker *walker, const struct udf_extent *e,
				struct xn_walk_item *item)
{
	struct type *type = type_find(walker->xn, e->child);
	struct place run = { 0, 0, type, walker->at.root, walker->at.depth + 1 };
	int err = 0;

	for (uint64_t at = 0; type && at < e->count && !err; at += type->blocks) {
		int seen = walker_see(walker, e->start + at);

		if (seen < 0)
			return seen;
		if (seen && !type_is_counted(type))
			item->error = XN_EOBJDAMAGED;
		if (seen && run.count)
			err = walker_push(walker, run);
		run.start = run.count && !seen ? run.start : e->start + at;
		run.count = seen ? 0 : run.count + 1;
	}
	return !err && run.count ? walker_push(walker, run) : err;
}

static int walker_next_locked(struct xn_walker *walker, struct xn_walk_item *item)
{
	while (walker->pos >= walker->owned.n) {
		int result =
			walker->n ? walker_enter(walker, item) : walker_next_root(walker, item);

		if (result || (walker->n == 0 && walker->pos >= walker->owned.n &&
			       walker->next_root > walker->last_root))
			return result;
	}
	const struct udf_extent *e = &walker->owned.v[walker->pos++];
	int err;

	*item = (struct xn_walk_item){ .root = walker->at.root,
				       .depth = walker->at.depth + 1,
				       .owner = walker->at.start,
				       .owner_type = walker->at.type->id,
				       .record = e->tag,
				       .extent = { e->start, e->count, e->child, 0 } };
	err = walker_push_children(walker, e, item);
	return err ? err : 1;
}

/* ---- public ---- */

int xn_walker_create(struct xn_session *session, uint32_t root, struct xn_walker **out)
{
	struct xn *xn = session->xn;
	int err;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	pthread_mutex_lock(&xn->lock);
	if (root && !root_by_id(xn, root))
		err = XN_ENOROOT;
	else
		err = walker_init(xn, root, out);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_walker_next(struct xn_walker *walker, struct xn_walk_item *item)
{
	int result;

	pthread_mutex_lock(&walker->xn->lock);
	result = walker_next_locked(walker, item);
	pthread_mutex_unlock(&walker->xn->lock);
	return result;
}
