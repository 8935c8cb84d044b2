/* SPDX-License-Identifier: MIT */
/*
 * Online reclaim: the blocks that a crash lost are found and freed while the
 * disk is in use.
 *
 *  (1) What nobody led to when reclaim began is garbage, and stays so: nobody can
 *      bind it.  So blocks in use at the beginning are **suspects** until
 *      somebody is found who has them; what is taken later never is one.
 *  (2) The walk goes through everything that is owned, by the newest bytes.  An
 *      object is scanned in one piece under the lock.  A commit that takes a pointer
 *      away hands what it named to the walk first, and so does the reaper: an
 *      object is a **place** on the walk's stack, a block of data is cleared at once.
 *      Hence nothing escapes by moving behind the walk's back.
 *  (3) Blocks that wait to be free (will-free, the reap list, a wave in flight, a
 *      record of the log) are cleared or walked like what is owned.
 *  (4) Only after the whole walk are the suspects that are left freed.  If one
 *      object cannot be read, or not be told what it owns, nothing is.
 *  (5) Each suspect is cleared once, for one root; so the walk counts what each
 *      root had at the beginning, and its charge is set right.
 *  (6) Memory: one bit per block of chunks that have suspects (2 KiB for 64 MiB),
 *      and a stack of at most PLACES_MAX places of 32 bytes; a place is as many
 *      neighbouring objects as one extent names.
 *  (7) The suspects of a chunk are copied from its map just before the map changes
 *      for the first time, or when the walk of the maps comes to it.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX (1u << 22)
#define READ_TRIES 3 /* of an object that is written meanwhile */

struct place {
	xn_blk_t start;
	uint64_t count; /* blocks */
	struct type *type;
	struct root *root;
};

struct suspects {
	uint32_t left;
	bool stirred; /* the map changed since: what is no suspect may be new */
	uint8_t bits[XN_MAP_CHUNK_BYTES];
};

enum phase { PHASE_MAPS, PHASE_ROOTS, PHASE_WALK, PHASE_FREE };

struct tally {
	uint64_t blocks; /* that the root had when reclaim began */
	uint64_t taken, given;
};

struct reclaim {
	enum phase phase;
	struct sparse chunks; /* struct suspects */
	uint64_t next, end;   /* of the chunks to look at; beyond, nothing was in use */
	struct place *stack;
	size_t n, cap;
	struct tally *tally; /* by root slot */
	size_t n_roots, next_root;
	uint8_t *bytes; /* one object, or one map */
	int error;      /* why nothing can be freed */
	struct xn_reclaim_progress told;
};

/* ---- suspects ---- */

static bool bit_get(const uint8_t *map, uint32_t bit)
{
	return map[bit / 8] >> (bit % 8) & 1;
}

static bool bit_clear(uint8_t *map, uint32_t bit)
{
	bool was = bit_get(map, bit);

	map[bit / 8] &= (uint8_t) ~(1u << (bit % 8));
	return was;
}

/* The blocks in use of a chunk as it is now, XN's fixed ones left out. */
static void suspects_copy(struct xn *xn, uint64_t index, const uint8_t *used)
{
	struct reclaim *reclaim = xn->reclaim;
	struct suspects *suspects = calloc(1, sizeof(*suspects));
	uint8_t fresh[XN_MAP_CHUNK_BYTES];

	if (!suspects) {
		reclaim->error = -ENOMEM;
		return;
	}
	xn_map_fresh(&xn->super, index, fresh);
	for (uint32_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
		suspects->bits[i] = used[i] & (uint8_t)~fresh[i];
		suspects->left += (uint32_t)__builtin_popcount(suspects->bits[i]);
	}
	reclaim->told.memory += sizeof(*suspects);
	if (sparse_put(&reclaim->chunks, index, suspects)) {
		free(suspects);
		reclaim->error = -ENOMEM;
	}
}

/* Those of the chunk of a block, which has them from here on; NULL: it was never used. */
static struct suspects *suspects_need(struct xn *xn, xn_blk_t block)
{
	struct reclaim *reclaim = xn->reclaim;
	uint64_t index = block / XN_CHUNK_BLOCKS;
	struct suspects *suspects = sparse_get(&reclaim->chunks, index);
	const struct chunk *chunk;

	if (suspects || index >= reclaim->end)
		return suspects;
	chunk = freemap_chunk(xn, index);
	if (chunk)
		suspects_copy(xn, index, chunk->used);
	return sparse_get(&reclaim->chunks, index);
}

/* The first block of [b, end) that lies in another chunk, or the end. */
static xn_blk_t chunk_end(xn_blk_t b, xn_blk_t end)
{
	xn_blk_t next = (b / XN_CHUNK_BLOCKS + 1) * XN_CHUNK_BLOCKS;

	return next < end ? next : end;
}

void reclaim_stir(struct xn *xn, const struct chunk *chunk)
{
	struct suspects *suspects;

	if (!xn->reclaim)
		return;
	suspects = suspects_need(xn, chunk->index * XN_CHUNK_BLOCKS);
	if (suspects)
		suspects->stirred = true;
}

/* These blocks have an owner; how many were suspects. */
static uint64_t clear(struct xn *xn, xn_blk_t start, uint64_t count)
{
	xn_blk_t end = start + count;
	uint64_t cleared = 0;

	for (xn_blk_t b = start; b < end;) {
		struct suspects *suspects = suspects_need(xn, b);
		xn_blk_t stop = chunk_end(b, end);
		uint32_t n = 0;

		for (; suspects && b < stop; b++)
			n += bit_clear(suspects->bits, (uint32_t)(b % XN_CHUNK_BLOCKS));
		if (suspects)
			suspects->left -= n;
		cleared += n;
		b = stop;
	}
	return cleared;
}

static bool is_suspect(struct xn *xn, xn_blk_t block)
{
	struct suspects *suspects = suspects_need(xn, block);

	return suspects && bit_get(suspects->bits, (uint32_t)(block % XN_CHUNK_BLOCKS));
}

void reclaim_mark(struct xn *xn, struct root *root, xn_blk_t start, uint64_t count)
{
	uint64_t cleared;

	if (!xn->reclaim)
		return;
	cleared = clear(xn, start, count);
	if (root && root->slot < xn->reclaim->n_roots)
		xn->reclaim->tally[root->slot].blocks += cleared;
}

/* Objects to scan.  Those that were scanned already are told apart when it comes to them. */
void reclaim_push(struct xn *xn, struct root *root, struct type *type, xn_blk_t start,
		  uint64_t count)
{
	struct reclaim *reclaim = xn->reclaim;

	if (!reclaim || reclaim->error)
		return;
	if (reclaim->n == reclaim->cap) {
		size_t cap = reclaim->cap ? reclaim->cap * 2 : 256;
		struct place *stack =
			cap <= PLACES_MAX ? realloc(reclaim->stack, cap * sizeof(*stack)) : NULL;

		if (!stack) {
			reclaim->error = -ENOMEM;
			return;
		}
		reclaim->told.memory += (cap - reclaim->cap) * sizeof(*stack);
		reclaim->stack = stack;
		reclaim->cap = cap;
	}
	reclaim->stack[reclaim->n++] = (struct place){ start, count, type, root };
}

/* A commit is about to take these pointers away. */
void reclaim_removed(struct xn *xn, struct root *root, const struct udf_extents *removed)
{
	for (size_t i = 0; xn->reclaim && i < removed->n; i++) {
		const struct udf_extent *e = &removed->v[i];
		struct type *type = type_find(xn, e->child);

		for (xn_blk_t b = e->start; b < e->start + e->count;
		     b = chunk_end(b, e->start + e->count)) {
			struct suspects *suspects = suspects_need(xn, b);

			if (suspects)
				suspects->stirred = true;
		}
		if (type)
			reclaim_push(xn, root, type, e->start, e->count);
		else
			reclaim_mark(xn, root, e->start, e->count);
	}
}

/* ---- begin and end ---- */

void reclaim_fini(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;

	if (!reclaim)
		return;
	for (uint64_t i = sparse_next(&reclaim->chunks, 0); i < reclaim->chunks.size;
	     i = sparse_next(&reclaim->chunks, i + 1)) {
		free(sparse_get(&reclaim->chunks, i));
	}
	sparse_fini(&reclaim->chunks);
	free(reclaim->stack);
	free(reclaim->tally);
	free(reclaim->bytes);
	free(reclaim);
	xn->reclaim = NULL;
}

/* Nothing was in use where the disk was cut off. */
void reclaim_cut(struct xn *xn)
{
	if (xn->reclaim && xn->reclaim->end > xn->freemap.n_chunks)
		xn->reclaim->end = xn->freemap.n_chunks;
}

/* Blocks that wait to be free, and subtrees that wait to be reaped, at the beginning. */
static void mark_waiting(struct xn *xn)
{
	const struct registry *registry = &xn->registry;

	for (size_t i = 0; i < registry->n_buckets; i++) {
		for (struct entry *e = registry->buckets[i]; e; e = e->hash_next) {
			for (struct will_free *w = e->will_free; w; w = w->next) {
				if (w->reap)
					reclaim_push(xn, e->root, w->reap, w->start,
						     w->reap->blocks);
				else
					reclaim_mark(xn, e->root, w->start, w->count);
			}
		}
	}
	for (const struct will_free *w = xn->wave_free; w; w = w->next)
		reclaim_mark(xn, NULL, w->start, w->count); /* its root is not charged any more */
	for (const struct will_free *w = xn->log.waiting; w; w = w->next)
		reclaim_mark(xn, NULL, w->start, w->count);
	for (const struct reap_item *item = xn->reap_head; item; item = item->next)
		reclaim_push(xn, item->root, item->type, item->start, item->type->blocks);
}

static void mark_own(struct xn *xn)
{
	struct own_next at = { 0 };

	while (own_next(xn, &at)) {
		if (disk_holds(xn, at.start, at.count))
			reclaim_mark(xn, NULL, at.start, at.count);
	}
}

/* A root that is there and cannot be used has blocks that nobody can tell from lost ones. */
static bool roots_can_be_walked(const struct xn *xn)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->entry.state == XN_ENTRY_USED && !xn->roots[i]->present)
			return false;
	}
	return true;
}

static int begin(struct xn *xn)
{
	struct reclaim *reclaim = calloc(1, sizeof(*reclaim));

	if (!reclaim)
		return -ENOMEM;
	reclaim->n_roots = xn->n_roots;
	reclaim->tally = calloc(xn->n_roots + 1, sizeof(*reclaim->tally));
	reclaim->bytes = malloc(UDF_OBJECT_MAX);
	reclaim->end = xn->freemap.top;
	sparse_init(&reclaim->chunks, xn->freemap.n_chunks);
	xn->reclaim = reclaim;
	if (!reclaim->tally || !reclaim->bytes) {
		reclaim_fini(xn);
		return -ENOMEM;
	}
	reclaim->told.maps = reclaim->end;
	for (size_t i = 0; i < xn->n_roots; i++)
		reclaim->tally[i] = (struct tally){ 0, xn->roots[i]->taken, xn->roots[i]->given };
	mark_waiting(xn);
	return reclaim->error;
}

/* Everything was seen, and what was lost is free: the counters are true. */
static void finish(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;

	for (size_t i = 0; i < reclaim->n_roots; i++) {
		struct root *root = xn->roots[i];
		const struct tally *tally = &reclaim->tally[i];

		root->used =
			tally->blocks + (root->taken - tally->taken) - (root->given - tally->given);
		root->entry_changed = true;
	}
	principals_count(xn);
	xn->super.flags &= ~XN_SUPER_RECLAIM;
	xn->freemap.damaged = false;
	reclaim_fini(xn);
}

/* ---- the maps ---- */

static int maps_done(struct xn *xn)
{
	mark_own(xn);
	xn->reclaim->phase = PHASE_ROOTS;
	return xn->reclaim->error;
}

static int map_step(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;
	uint64_t index = reclaim->next;
	bool whole = true;
	int err = 0;

	if (index >= reclaim->end)
		return maps_done(xn);
	if (index >= xn->super.high_water) {
		xn_map_fresh(&xn->super, index, reclaim->bytes);
	} else if (!freemap_chunk(xn, index)) {
		pthread_mutex_unlock(&xn->lock);
		err = freemap_read(xn, index, reclaim->bytes, &whole);
		pthread_mutex_lock(&xn->lock);
	}
	if (err)
		return err;
	freemap_know(xn, index, reclaim->bytes);
	xn->freemap.damaged |= !whole;
	if (!suspects_need(xn, index * XN_CHUNK_BLOCKS))
		suspects_copy(xn, index, reclaim->bytes);
	reclaim->next++;
	reclaim->told.maps_done++;
	return reclaim->error;
}

/* ---- the walk ---- */

/* The newest bytes of an object, or 1: it is not what it was any more. */
static int place_read(struct xn *xn, const struct place *place, const uint8_t **bytes)
{
	struct entry *entry = registry_find(&xn->registry, place->start);
	int err = 0;

	if (!entry || !(entry->flags & E_CACHED)) {
		err = io_read_object(xn, place->start, place->type->blocks, xn->reclaim->bytes);
		entry = registry_find(&xn->registry, place->start);
	}
	if (!is_suspect(xn, place->start))
		return 1;
	if (entry && (entry->flags & E_CACHED) && entry->type == place->type) {
		*bytes = entry_bytes(entry);
		return 0;
	}
	*bytes = xn->reclaim->bytes;
	return err;
}

static int scan(struct xn *xn, const struct place *place, struct udf_extents *owned)
{
	int err = 0;

	for (int i = 0; i < READ_TRIES; i++) {
		const uint8_t *bytes = NULL;

		owned->n = 0;
		err = place_read(xn, place, &bytes);
		if (!err)
			err = owns_object(xn, place->type, 0, bytes, NULL, owned, NULL);
		if (err >= 0 || err == -ENOMEM)
			break;
	}
	return err;
}

/*
 * Does it name a block that is no suspect, where nothing changed?  Then that one is
 * free, or was met under another owner.
 */
static bool names_odd_block(struct xn *xn, xn_blk_t start, uint64_t count)
{
	xn_blk_t end = start + count;

	for (xn_blk_t b = start; b < end;) {
		struct suspects *suspects = suspects_need(xn, b);
		xn_blk_t stop = chunk_end(b, end);

		if (!suspects && !freemap_chunk(xn, b / XN_CHUNK_BLOCKS))
			return true;
		for (; suspects && !suspects->stirred && b < stop; b++) {
			if (!bit_get(suspects->bits, (uint32_t)(b % XN_CHUNK_BLOCKS)))
				return true;
		}
		b = stop;
	}
	return false;
}

/* What an object names; types that are unusable hide what lies below. */
static int extent_visit(struct xn *xn, const struct place *place, const struct udf_extent *e)
{
	struct type *type = type_find(xn, e->child);

	if (!type && e->child >= XN_TYPE_FIRST)
		return XN_ENOTEMPLATE;
	if (!type_is_counted(type) && names_odd_block(xn, e->start, e->count))
		return XN_EOBJDAMAGED;
	if (type)
		reclaim_push(xn, place->root, type, e->start, e->count);
	else
		reclaim_mark(xn, place->root, e->start, e->count);
	return 0;
}

/* What cannot be walked owns what nobody knows: then nothing is freed. */
static int give_up(struct xn *xn, const struct place *place, int err)
{
	if (err == -ENOMEM)
		return err;
	damaged_add(xn, place->start);
	return XN_EDAMAGED;
}

static int place_visit(struct xn *xn, const struct place *place)
{
	struct udf_extents owned = { 0 };
	int err = scan(xn, place, &owned);

	if (err == 1) {
		udf_extents_fini(&owned);
		return 0;
	}
	for (size_t i = 0; i < owned.n && !err; i++)
		err = extent_visit(xn, place, &owned.v[i]);
	udf_extents_fini(&owned);
	if (err)
		return give_up(xn, place, err);
	reclaim_mark(xn, place->root, place->start, place->type->blocks);
	xn->reclaim->told.objects++;
	return xn->reclaim->error;
}

/*
 * An object met a second time: it was moved, is reaped, or has several owners; or else
 * the disk has a ring.
 */
static int place_passed(struct xn *xn, const struct place *place)
{
	struct suspects *suspects = suspects_need(xn, place->start);

	if (type_is_counted(place->type))
		return 0;
	return suspects && suspects->stirred ? 0 : give_up(xn, place, XN_EOBJDAMAGED);
}

static int walk_step(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;
	struct place *top, place;

	if (reclaim->n == 0) {
		reclaim->phase = PHASE_FREE;
		reclaim->next = 0;
		return 0;
	}
	top = &reclaim->stack[reclaim->n - 1];
	place = *top;
	place.count = place.type->blocks;
	top->start += place.count;
	top->count -= place.count;
	if (top->count == 0)
		reclaim->n--;
	if (is_suspect(xn, place.start))
		return place_visit(xn, &place);
	return place_passed(xn, &place);
}

static int roots_step(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;

	if (reclaim->next_root == reclaim->n_roots)
		reclaim->phase = PHASE_WALK;
	while (reclaim->next_root < reclaim->n_roots) {
		struct root *root = xn->roots[reclaim->next_root++];

		if (!root->present)
			continue;
		reclaim_push(xn, root_paying(root), root->type, root->entry.object,
			     root->type->blocks);
		break;
	}
	return reclaim->error;
}

/* ---- freeing ---- */

static int free_suspects(struct xn *xn, uint64_t index, struct suspects *suspects)
{
	for (uint32_t bit = 0; bit < XN_CHUNK_BLOCKS; bit++) {
		xn_blk_t block = index * XN_CHUNK_BLOCKS + bit;

		if (!bit_get(suspects->bits, bit))
			continue;
		if (registry_find(&xn->registry, block)) {
			damaged_add(xn, block); /* nobody has it, and somebody bound it */
			return XN_EDAMAGED;
		}
		bit_clear(suspects->bits, bit);
		suspects->left--;
		freemap_give(xn, block, 1);
		xn->reclaim->told.freed++;
	}
	return 0;
}

static int free_step(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;
	uint64_t index = sparse_next(&reclaim->chunks, reclaim->next);
	struct suspects *suspects = sparse_get(&reclaim->chunks, index);
	int err = 0;

	if (!suspects) {
		reclaim->next = reclaim->chunks.size;
		return 0;
	}
	if (suspects->left > 0)
		err = freemap_load(xn, index);
	if (!err)
		err = free_suspects(xn, index, suspects);
	if (!err && xn->freemap.damaged && freemap_chunk(xn, index))
		chunk_differs(xn, freemap_chunk(xn, index), CHUNK_RETURNED);
	reclaim->next = index + 1;
	return err;
}

/* ---- public ---- */

/* One map, one object, one root, or one chunk; 1: there is more. */
static int step(struct xn *xn)
{
	struct reclaim *reclaim = xn->reclaim;
	int err = reclaim->error;

	if (!err)
		err = xn->broken;
	if (err)
		return err;
	switch (reclaim->phase) {
	case PHASE_MAPS: err = map_step(xn); break;
	case PHASE_ROOTS: err = roots_step(xn); break;
	case PHASE_WALK: err = walk_step(xn); break;
	case PHASE_FREE:
		if (reclaim->next >= reclaim->chunks.size)
			return 0;
		err = free_step(xn);
		break;
	}
	return err ? err : 1;
}

static int reclaim_some(struct xn *xn, uint64_t budget, struct xn_reclaim_progress *progress)
{
	int more = 1;

	if (!xn->reclaim && (xn->damaged || !roots_can_be_walked(xn)))
		return XN_EDAMAGED;
	if (!xn->reclaim)
		more = begin(xn) ? -ENOMEM : 1;
	if (more < 0)
		goto out;
	while (budget-- > 0 && more > 0)
		more = xn->damaged ? XN_EDAMAGED : step(xn);
out:
	if (progress && xn->reclaim)
		*progress = xn->reclaim->told;
	if (more == 0)
		finish(xn);
	else if (more < 0)
		reclaim_fini(xn);
	return more;
}

int xn_reclaim(struct xn_session *session, uint64_t budget, struct xn_reclaim_progress *progress)
{
	struct xn *xn = session->xn;
	int more = 0;

	if (progress)
		memset(progress, 0, sizeof(*progress));
	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	pthread_mutex_lock(&xn->admin); /* nobody is taking blocks for a catalogue meanwhile */
	pthread_mutex_lock(&xn->lock);
	if (!xn->writable)
		more = XN_EREADONLY;
	else if (xn->log.waiting)
		more = sync_log(xn);
	if (!more && (xn->super.flags & XN_SUPER_RECLAIM))
		more = reclaim_some(xn, budget, progress);
	pthread_mutex_unlock(&xn->lock);
	pthread_mutex_unlock(&xn->admin);
	return more;
}
