/* SPDX-License-Identifier: MIT */
/*
 * How well things lie together: what it takes to read each directory, and in
 * what pieces the free space lies.  See map.h.
 *
 *  (1) A directory is read with the files in it, in the order of its names: the
 *      blocks that lead to it alone, then for each file the object that names its
 *      bytes, once, and the bytes.  Every place that does not follow the one
 *      before is a seek, the first one too.
 *  (2) What lies above (the way down from the root's object) is read before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

struct place_read {
	xn_blk_t start;
	uint64_t count;
};

struct own_run {
	uint32_t node;
	size_t run;
};

struct measuring {
	struct disk_map *map;
	uint32_t *read_for; /* by run: the directory it was last read for */
	struct own_run *own;
	size_t n_own;
	MAP_LIST(struct place_read, place);
};

const struct map_run *map_run_find(const struct disk_map *map, xn_blk_t block)
{
	size_t low = 0, high = map->run.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->run.at[middle].start + map->run.at[middle].count <= block)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->run.n && map->run.at[low].start <= block ? &map->run.at[low] : NULL;
}

static int place_add(struct measuring *m, xn_blk_t start, uint64_t count)
{
	if (!MAP_ROOM(m->place))
		return -ENOMEM;
	m->place.at[m->place.n++] = (struct place_read){ .start = start, .count = count };
	return 0;
}

/* ---- directories ---- */

static int by_node(const void *a, const void *b)
{
	const struct own_run *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	return (x->run > y->run) - (x->run < y->run);
}

/* The runs of objects that lead to a directory, by directory. */
static int own_collect(struct measuring *m)
{
	const struct disk_map *map = m->map;

	m->own = calloc(map->run.n + 1, sizeof(*m->own));
	if (!m->own)
		return -ENOMEM;
	for (size_t i = 0; i < map->run.n; i++) {
		const struct map_thing *thing = &map->thing.at[map->run.at[i].thing];

		if (thing->kind == OWNER_ROOT && thing->tie == MAP_LEADS &&
		    thing->node != MAP_NONE && map->node.at[thing->node].is_dir)
			m->own[m->n_own++] = (struct own_run){ .node = thing->node, .run = i };
	}
	qsort(m->own, m->n_own, sizeof(*m->own), by_node);
	return 0;
}

static int read_own(struct measuring *m, uint32_t dir)
{
	size_t low = 0, high = m->n_own;
	int err = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->own[middle].node < dir)
			low = middle + 1;
		else
			high = middle;
	}
	for (; !err && low < m->n_own && m->own[low].node == dir; low++) {
		const struct map_run *run = &m->map->run.at[m->own[low].run];

		m->read_for[m->own[low].run] = dir;
		err = place_add(m, run->start, run->count);
	}
	return err;
}

/* The object that names these bytes, unless it was read for this directory already. */
static int read_owner(struct measuring *m, uint32_t dir, xn_blk_t owner)
{
	const struct map_run *run = owner ? map_run_find(m->map, owner) : NULL;
	size_t index;

	if (!run)
		return 0;
	index = (size_t)(run - m->map->run.at);
	if (m->read_for[index] == dir)
		return 0;
	m->read_for[index] = dir;
	return place_add(m, owner, 1);
}

static int read_piece(struct measuring *m, uint32_t dir, const struct map_piece *piece)
{
	const struct map_run *run = map_run_find(m->map, piece->start);
	int err = run ? read_owner(m, dir, run->owner) : 0;

	return err ? err : place_add(m, piece->start, piece->count);
}

static int by_start(const void *a, const void *b)
{
	const struct place_read *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static void count_places(struct measuring *m, struct map_dir *dir)
{
	struct place_read *place = m->place.at;
	xn_blk_t end = 0;

	for (size_t i = 0; i < m->place.n; i++) {
		dir->seeks += i == 0 || place[i].start != place[i - 1].start + place[i - 1].count;
		dir->blocks += place[i].count;
	}
	if (m->place.n)
		qsort(place, m->place.n, sizeof(*place), by_start);
	for (size_t i = 0; i < m->place.n; i++) {
		dir->extents += i == 0 || place[i].start > end;
		if (place[i].start + place[i].count > end)
			end = place[i].start + place[i].count;
	}
	dir->first = m->place.n ? place[0].start : 0;
	dir->end = end;
}

/* The pieces from `at` on are those of one directory.  Returns where the next one's begin. */
static int measure_dir(struct measuring *m, uint32_t node, size_t *at)
{
	const struct disk_map *map = m->map;
	struct map_dir dir = { .node = node };
	uint32_t last = MAP_NONE;
	int err;

	m->place.n = 0;
	err = read_own(m, node);
	for (; !err && *at < map->piece.n; ++*at) {
		const struct map_piece *piece = &map->piece.at[*at];

		if (map->node.at[piece->node].parent != node)
			break;
		dir.files += piece->node != last;
		last = piece->node;
		err = read_piece(m, node, piece);
	}
	if (err || !m->place.n)
		return err;
	count_places(m, &dir);
	if (!MAP_ROOM(m->map->dir))
		return -ENOMEM;
	m->map->dir.at[m->map->dir.n++] = dir;
	return 0;
}

static int measure_dirs(struct measuring *m)
{
	struct disk_map *map = m->map;
	size_t at = 0;
	int err;

	m->read_for = malloc((map->run.n + 1) * sizeof(*m->read_for));
	if (!m->read_for)
		return -ENOMEM;
	memset(m->read_for, 0xff, (map->run.n + 1) * sizeof(*m->read_for));
	err = own_collect(m);
	/* Nodes of directories come in the order in which they were read, and so do their pieces. */
	for (uint32_t i = 0; !err && i < map->node.n; i++)
		if (map->node.at[i].is_dir)
			err = measure_dir(m, i, &at);
	return err;
}

/* ---- free space ---- */

static void free_add(struct map_free *free, uint64_t blocks)
{
	unsigned size = 0;

	if (!blocks)
		return;
	while (blocks >> (size + 1))
		size++;
	free->count[size]++;
	free->sum[size] += blocks;
	free->runs++;
	free->blocks += blocks;
	if (blocks > free->longest)
		free->longest = blocks;
}

static void measure_free(struct disk_map *map)
{
	xn_blk_t at = 0;

	for (size_t i = 0; i < map->run.n; i++) {
		free_add(&map->free, map->run.at[i].start - at);
		at = map->run.at[i].start + map->run.at[i].count;
	}
	free_add(&map->free, map->disk.block_count - at);
}

int map_measure(struct disk_map *map)
{
	struct measuring m = { .map = map };
	int err = measure_dirs(&m);

	measure_free(map);
	free(m.read_for);
	free(m.own);
	free(m.place.at);
	return err;
}
