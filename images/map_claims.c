/* SPDX-License-Identifier: MIT */
/*
 * Who owns what: XN's own places, and the walk of the roots.  See map.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "places.h"

#define CHUNKS_MAX (UINT64_C(1) << 20)

bool map_room(void **at, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? *room + *room / 2 : 64;
	void *bigger;

	if (n < *room)
		return true;
	bigger = realloc(*at, more * size);
	if (!bigger)
		return false;
	*at = bigger;
	*room = more;
	return true;
}

static int claim_add(struct disk_map *map, const struct map_claim *claim)
{
	if (!MAP_ROOM(map->claim))
		return -ENOMEM;
	map->claim.at[map->claim.n++] = *claim;
	return 0;
}

static int read_roots(struct image *image, struct disk_map *map)
{
	struct map_root root = { 0 };

	while (xn_root_next(image_disk(image), root.info.id, &root.info) == 0) {
		if (!MAP_ROOM(map->root))
			return -ENOMEM;
		map->root.at[map->root.n++] = root;
	}
	return 0;
}

static int read_types(struct image *image, struct disk_map *map)
{
	struct xn_template_info info = { 0 };

	while (xn_template_next(image_disk(image), info.id, &info) == 0) {
		struct map_type type = { .id = info.id, .object_blocks = info.obj_size / XN_BLOCK };

		if (!MAP_ROOM(map->type))
			return -ENOMEM;
		snprintf(type.name, sizeof(type.name), "%s", info.name);
		map->type.at[map->type.n++] = type;
	}
	return 0;
}

static int claim_places(struct image *image, struct disk_map *map)
{
	struct own_places places;
	int err = own_places_read(image, &places);

	for (size_t i = 0; !err && i < places.count; i++) {
		const struct own_place *place = &places.place[i];
		struct map_claim claim = {
			.start = place->start,
			.count = place->count,
			.kind = owner_kind_of(place->kind),
			.root = MAP_NONE,
			.type = place->kind == PLACE_TEMPLATE    ? (uint32_t)place->index
				: place->kind == PLACE_CATALOGUE ? place->catalogue
								 : 0,
		};

		err = claim_add(map, &claim);
	}
	map->chunks_used = places.super.high_water;
	own_places_fini(&places);
	return err;
}

static int claim_maps(struct disk_map *map)
{
	struct map_claim claim = { .count = 1, .kind = OWNER_MAP, .root = MAP_NONE };
	uint64_t chunks = xn_chunk_count(map->disk.block_count);
	int err = 0;

	for (uint64_t i = 0; !err && i < chunks; i++) {
		claim.start = xn_map_block(i);
		err = claim_add(map, &claim);
	}
	return err;
}

static uint32_t root_index(const struct disk_map *map, uint32_t id)
{
	for (uint32_t i = 0; i < map->root.n; i++)
		if (map->root.at[i].info.id == id)
			return i;
	return MAP_NONE;
}

static int claim_owned(struct image *image, struct disk_map *map)
{
	struct xn_walk_item item;
	struct xn_walker *walker;
	int got = xn_walker_create(image_session(image), 0, &walker);

	if (got)
		return got;
	while ((got = xn_walker_next(walker, &item)) == 1) {
		struct map_claim claim = {
			.start = item.extent.start,
			.count = item.extent.count,
			.owner = item.owner,
			.kind = OWNER_ROOT,
			.root = root_index(map, item.root),
			.type = item.extent.type,
			.depth = item.depth,
		};

		if (item.error == -ENOMEM || (!item.error && claim_add(map, &claim))) {
			got = -ENOMEM;
			break;
		}
		map->unread += item.error != 0;
	}
	xn_walker_destroy(walker);
	return got;
}

/* By block; of two with the same, what is nearer to the root, so that the order is always the same. */
static int by_start(const void *a, const void *b)
{
	const struct map_claim *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->owner > y->owner) - (x->owner < y->owner);
}

int map_read_claims(struct image *image, struct disk_map *map)
{
	int err = xn_disk_info(image_disk(image), &map->disk);

	if (!err && xn_chunk_count(map->disk.block_count) > CHUNKS_MAX)
		return -EFBIG;
	if (!err)
		err = read_roots(image, map);
	if (!err)
		err = read_types(image, map);
	if (!err)
		err = claim_places(image, map);
	if (!err)
		err = claim_maps(map);
	if (!err)
		err = claim_owned(image, map);
	if (!err)
		qsort(map->claim.at, map->claim.n, sizeof(*map->claim.at), by_start);
	return err;
}
