/* SPDX-License-Identifier: MIT */
/*
 * From claims, pieces of files and the free map to runs, each of one thing.
 * See map.h.
 *
 *  (1) Where claims overlap, the one nearest to its root counts.
 *  (2) XN does not know to which file a piece of metadata belongs.  But all that
 *      is reached through it has files, and it leads to what those have in common:
 *      an index block to its file, the block of a directory to the directory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "xn/format.h"

/* A run that has no thing yet. */
struct raw {
	struct map_run run;
	uint32_t claim, node;
	enum map_tie tie;
};

/* An object, named by its first block. */
struct object {
	xn_blk_t block;
	uint32_t node, depth;
	size_t raw; /* its first run */
};

struct making {
	struct image *image;
	struct disk_map *map;
	MAP_LIST(struct raw, raw);
	MAP_LIST(struct object, object);
	struct map_piece *piece; /* sorted by block */
	size_t next_piece;
	uint8_t bits[XN_MAP_CHUNK_BYTES];
	uint64_t chunk; /* whose bits; ~0: none */
	uint32_t *hash; /* things by what they are; MAP_NONE = empty */
	size_t hash_size;
};

/* ---- the free map ---- */

static int chunk_load(struct making *m, uint64_t chunk)
{
	int err = 0;

	if (chunk == m->chunk)
		return 0;
	if (chunk >= m->map->chunks_used)
		memset(m->bits, 0, sizeof(m->bits));
	else
		err = xn_chunk_map(image_disk(m->image), chunk, m->bits);
	m->chunk = err ? UINT64_MAX : chunk;
	return err;
}

static bool bit_of(const struct making *m, xn_blk_t block)
{
	uint64_t bit = block % XN_CHUNK_BLOCKS;

	return m->bits[bit / 8] >> (bit % 8) & 1;
}

/* From `at` on, how many blocks are marked alike?  Within one chunk. */
static int marks_alike(struct making *m, xn_blk_t at, xn_blk_t end, xn_blk_t *until, bool *marked)
{
	xn_blk_t limit = (at / XN_CHUNK_BLOCKS + 1) * XN_CHUNK_BLOCKS;
	int err = chunk_load(m, at / XN_CHUNK_BLOCKS);

	if (err)
		return err;
	if (limit > end)
		limit = end;
	*marked = bit_of(m, at);
	while (at < limit) {
		uint8_t byte = m->bits[at % XN_CHUNK_BLOCKS / 8];

		if (at % 8 == 0 && limit - at >= 8 && byte == (*marked ? 0xff : 0))
			at += 8;
		else if (bit_of(m, at) == *marked)
			at++;
		else
			break;
	}
	*until = at;
	return 0;
}

/* ---- runs ---- */

static int raw_add(struct making *m, const struct raw *raw)
{
	if (!MAP_ROOM(m->raw))
		return -ENOMEM;
	m->raw.at[m->raw.n++] = *raw;
	return 0;
}

/* What nobody claims: blocks of it that are marked are somebody's whom nobody knows. */
static int add_gap(struct making *m, xn_blk_t at, xn_blk_t end)
{
	int err = 0;

	while (!err && at < end) {
		struct raw raw = { .run.start = at, .claim = MAP_NONE, .node = MAP_NONE };
		xn_blk_t until;
		bool marked;

		/* Never used: nothing is marked from here on. */
		if (at / XN_CHUNK_BLOCKS >= m->map->chunks_used)
			return 0;
		err = marks_alike(m, at, end, &until, &marked);
		if (err)
			return err;
		raw.run.count = until - at;
		if (marked)
			err = raw_add(m, &raw);
		at = until;
	}
	return err;
}

static int count_unmarked(struct making *m, xn_blk_t at, xn_blk_t end)
{
	while (at < end) {
		xn_blk_t until;
		bool marked;
		int err;

		if (at / XN_CHUNK_BLOCKS >= m->map->chunks_used)
			return 0;
		err = marks_alike(m, at, end, &until, &marked);
		if (err)
			return err;
		if (!marked)
			m->map->unmarked += until - at;
		at = until;
	}
	return 0;
}

/* The data of a claim from `at` on, file by file. */
static int add_data(struct making *m, uint32_t claim, xn_blk_t at, xn_blk_t end)
{
	const struct map_claim *c = &m->map->claim.at[claim];
	size_t n = m->map->piece.n;
	int err = 0;

	while (!err && at < end) {
		struct raw raw = { .run = { .start = at, .owner = c->owner },
				   .claim = claim,
				   .node = MAP_NONE };
		const struct map_piece *piece = NULL;
		xn_blk_t until = end;

		while (m->next_piece < n &&
		       m->piece[m->next_piece].start + m->piece[m->next_piece].count <= at)
			m->next_piece++;
		if (m->next_piece < n)
			piece = &m->piece[m->next_piece];
		if (piece && piece->start > at) {
			until = piece->start < end ? piece->start : end;
		} else if (piece) {
			if (piece->start + piece->count < end)
				until = piece->start + piece->count;
			if (m->map->node.at[piece->node].root == c->root)
				raw.node = piece->node;
		}
		raw.run.count = until - at;
		err = raw_add(m, &raw);
		at = until;
	}
	return err;
}

static uint64_t object_blocks(const struct disk_map *map, uint32_t type)
{
	for (size_t i = 0; i < map->type.n; i++)
		if (map->type.at[i].id == type && map->type.at[i].object_blocks)
			return map->type.at[i].object_blocks;
	return 1;
}

static int add_objects(struct making *m, uint32_t claim, xn_blk_t at, xn_blk_t end)
{
	const struct map_claim *c = &m->map->claim.at[claim];
	uint64_t each = object_blocks(m->map, c->type);
	int err = 0;

	while (!err && at < end) {
		uint64_t into = (at - c->start) % each;
		xn_blk_t until = at + each - into < end ? at + each - into : end;
		struct raw raw = {
			.run = { .start = at, .count = until - at, .owner = c->owner },
			.claim = claim,
			.node = MAP_NONE,
		};

		if (!into) {
			if (!MAP_ROOM(m->object))
				return -ENOMEM;
			m->object.at[m->object.n++] = (struct object){
				.block = at, .node = MAP_NONE, .depth = c->depth, .raw = m->raw.n
			};
		}
		err = raw_add(m, &raw);
		at = until;
	}
	return err;
}

static int add_claim(struct making *m, uint32_t claim, xn_blk_t at)
{
	const struct map_claim *c = &m->map->claim.at[claim];
	xn_blk_t end = c->start + c->count;
	struct raw raw = { .run = { .start = at, .count = end - at },
			   .claim = claim,
			   .node = MAP_NONE };
	int err;

	/* XN keeps the maps of chunks that were never used without marking them. */
	err = c->kind == OWNER_ROOT ? count_unmarked(m, at, end) : 0;
	if (err)
		return err;
	if (c->kind != OWNER_ROOT)
		return raw_add(m, &raw);
	if (c->type == XN_DATA || c->type == XN_RESERVED)
		return add_data(m, claim, at, end);
	return add_objects(m, claim, at, end);
}

static int add_all(struct making *m)
{
	uint64_t blocks = m->map->disk.block_count;
	xn_blk_t at = 0;
	int err = 0;

	for (uint32_t i = 0; !err && i < m->map->claim.n; i++) {
		struct map_claim *c = &m->map->claim.at[i];

		/* What points out of the disk is damage, and nothing to draw. */
		if (c->start >= blocks || c->count > blocks - c->start)
			continue;
		if (c->start < at) {
			uint64_t end = c->start + c->count;

			m->map->shared += (end < at ? end : at) - c->start;
			if (end <= at)
				continue;
		}
		if (c->start > at)
			err = add_gap(m, at, c->start);
		if (!err)
			err = add_claim(m, i, c->start > at ? c->start : at);
		at = c->start + c->count;
	}
	return err ? err : add_gap(m, at, blocks);
}

/* ---- where metadata leads to ---- */

static uint32_t common(const struct disk_map *map, uint32_t a, uint32_t b)
{
	const struct map_node *node = map->node.at;

	if (a == MAP_NONE || b == MAP_NONE)
		return a == MAP_NONE ? b : a;
	while (a != b && a != MAP_NONE && b != MAP_NONE) {
		uint32_t depth_a = node[a].depth, depth_b = node[b].depth;

		if (depth_a >= depth_b)
			a = node[a].parent;
		if (depth_b >= depth_a)
			b = node[b].parent;
	}
	return a == b ? a : MAP_NONE;
}

static struct object *object_find(struct making *m, xn_blk_t block)
{
	size_t low = 0, high = m->object.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->object.at[middle].block < block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->object.n && m->object.at[low].block == block ? &m->object.at[low] : NULL;
}

struct by_depth {
	uint32_t depth, object;
};

static int deepest_first(const void *a, const void *b)
{
	const struct by_depth *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return (x->object > y->object) - (x->object < y->object);
}

static void lead(struct making *m, xn_blk_t owner, uint32_t node)
{
	struct object *object = owner ? object_find(m, owner) : NULL;

	if (object && node != MAP_NONE)
		object->node = common(m->map, object->node, node);
}

static uint32_t root_node(const struct disk_map *map, uint32_t root)
{
	for (uint32_t i = 0; i < map->node.n; i++)
		if (map->node.at[i].root == root && map->node.at[i].parent == MAP_NONE)
			return i;
	return MAP_NONE;
}

/* What leads nowhere, an empty directory perhaps, hangs below what its owner leads to. */
static void inherit(struct making *m, struct raw *raw)
{
	const struct object *owner = raw->run.owner ? object_find(m, raw->run.owner) : NULL;

	if (raw->claim == MAP_NONE || m->map->claim.at[raw->claim].kind != OWNER_ROOT ||
	    raw->node != MAP_NONE)
		return;
	raw->tie = MAP_BELOW;
	raw->node = owner ? owner->node : root_node(m->map, m->map->claim.at[raw->claim].root);
}

static int find_leads(struct making *m)
{
	struct by_depth *order = calloc(m->object.n + 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < m->raw.n; i++)
		lead(m, m->raw.at[i].run.owner, m->raw.at[i].node);
	for (uint32_t i = 0; i < m->object.n; i++)
		order[i] = (struct by_depth){ .depth = m->object.at[i].depth, .object = i };
	qsort(order, m->object.n, sizeof(*order), deepest_first);
	for (size_t i = 0; i < m->object.n; i++) {
		const struct object *object = &m->object.at[order[i].object];

		lead(m, m->raw.at[object->raw].run.owner, object->node);
	}
	for (size_t i = m->object.n; i-- > 0;) {
		struct object *object = &m->object.at[order[i].object];
		struct raw *raw = &m->raw.at[object->raw];

		raw->tie = MAP_LEADS;
		raw->node = object->node;
		inherit(m, raw);
		object->node = raw->node;
	}
	free(order);
	for (size_t i = 0; i < m->raw.n; i++)
		inherit(m, &m->raw.at[i]);
	return 0;
}

/* ---- things ---- */

static bool is_thing(const struct map_thing *a, const struct map_thing *b)
{
	return a->kind == b->kind && a->root == b->root && a->type == b->type &&
	       a->node == b->node && a->tie == b->tie;
}

static size_t thing_slot(const struct making *m, const struct map_thing *thing)
{
	uint64_t hash = thing->kind;

	hash = hash * 31 + thing->root;
	hash = hash * 31 + thing->type;
	hash = hash * 31 + thing->tie;
	hash = (hash * 0x100000001b3u + thing->node) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash >> 20) & (m->hash_size - 1);
	while (m->hash[hash] != MAP_NONE && !is_thing(&m->map->thing.at[m->hash[hash]], thing))
		hash = (hash + 1) & (m->hash_size - 1);
	return (size_t)hash;
}

static int hash_grow(struct making *m)
{
	uint32_t *old = m->hash;
	size_t size = m->hash_size ? 2 * m->hash_size : 1024;

	m->hash = malloc(size * sizeof(*m->hash));
	if (!m->hash) {
		m->hash = old;
		return -ENOMEM;
	}
	m->hash_size = size;
	memset(m->hash, 0xff, size * sizeof(*m->hash));
	for (uint32_t i = 0; i < m->map->thing.n; i++)
		m->hash[thing_slot(m, &m->map->thing.at[i])] = i;
	free(old);
	return 0;
}

static int thing_find(struct making *m, const struct map_thing *thing, uint32_t *out)
{
	size_t slot;

	if (2 * m->map->thing.n >= m->hash_size && hash_grow(m))
		return -ENOMEM;
	slot = thing_slot(m, thing);
	if (m->hash[slot] == MAP_NONE) {
		if (!MAP_ROOM(m->map->thing))
			return -ENOMEM;
		m->hash[slot] = (uint32_t)m->map->thing.n;
		m->map->thing.at[m->map->thing.n++] = *thing;
	}
	*out = m->hash[slot];
	return 0;
}

static int name_thing(struct making *m, struct raw *raw)
{
	struct map_thing thing = { .kind = OWNER_NOBODY, .root = MAP_NONE, .node = raw->node };
	int err;

	if (raw->claim != MAP_NONE) {
		const struct map_claim *claim = &m->map->claim.at[raw->claim];

		thing.kind = claim->kind;
		thing.root = claim->root;
		thing.type = claim->type;
		thing.tie = raw->tie;
	}
	err = thing_find(m, &thing, &raw->run.thing);
	if (err)
		return err;
	m->map->thing.at[raw->run.thing].blocks += raw->run.count;
	if (thing.root != MAP_NONE)
		m->map->root.at[thing.root].blocks += raw->run.count;
	return 0;
}

/* Neighbours that are the same become one; but each object stays one by itself. */
static int run_add(struct disk_map *map, const struct map_run *run)
{
	struct map_run *last = map->run.n ? &map->run.at[map->run.n - 1] : NULL;
	const struct map_thing *thing = &map->thing.at[run->thing];
	bool is_object =
		thing->kind == OWNER_ROOT && thing->type != XN_DATA && thing->type != XN_RESERVED;

	if (last && !is_object && last->start + last->count == run->start &&
	    last->thing == run->thing && last->owner == run->owner) {
		last->count += run->count;
		return 0;
	}
	if (!MAP_ROOM(map->run))
		return -ENOMEM;
	map->run.at[map->run.n++] = *run;
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct map_piece *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

int map_make_runs(struct image *image, struct disk_map *map)
{
	struct making *m = calloc(1, sizeof(*m));
	int err = m ? 0 : -ENOMEM;

	if (err)
		return err;
	*m = (struct making){ .image = image, .map = map, .chunk = UINT64_MAX };
	m->piece = calloc(map->piece.n + 1, sizeof(*m->piece));
	if (m->piece) {
		if (map->piece.n)
			memcpy(m->piece, map->piece.at, map->piece.n * sizeof(*m->piece));
		qsort(m->piece, map->piece.n, sizeof(*m->piece), by_place);
	}
	err = m->piece ? add_all(m) : -ENOMEM;
	if (!err)
		err = find_leads(m);
	for (size_t i = 0; !err && i < m->raw.n; i++) {
		err = name_thing(m, &m->raw.at[i]);
		if (!err)
			err = run_add(map, &m->raw.at[i].run);
	}
	free(m->hash);
	free(m->piece);
	free(m->object.at);
	free(m->raw.at);
	free(m);
	return err;
}
