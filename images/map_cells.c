/* SPDX-License-Identifier: MIT */
/*
 * Cells of a picture: each stands for one block, or for a power of two of them.
 * See map.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

/* What is known of the cell that is being filled. */
struct filling {
	const struct disk_map *map;
	const uint32_t *same;
	struct map_cells *out;
	uint64_t *blocks;       /* by thing, in this cell */
	MAP_LIST(uint32_t, in); /* things with blocks in this cell */
	uint64_t cell, used;
	xn_blk_t owner;
	bool mixed;
};

static int cell_add(struct map_cells *out, const struct map_cell *cell)
{
	struct map_cell *last = out->cell.n ? &out->cell.at[out->cell.n - 1] : NULL;

	if (last && last->first + last->count == cell->first && last->thing == cell->thing &&
	    last->owner == cell->owner && last->used == cell->used) {
		last->count += cell->count;
		return 0;
	}
	if (!MAP_ROOM(out->cell))
		return -ENOMEM;
	out->cell.at[out->cell.n++] = *cell;
	return 0;
}

/* The cell is full: who has most of it? */
static int cell_end(struct filling *f)
{
	struct map_cell cell = { .first = f->cell, .count = 1, .used = f->used };

	if (!f->used)
		return 0;
	cell.thing = f->in.at[0];
	for (size_t i = 0; i < f->in.n; i++) {
		if (f->blocks[f->in.at[i]] > f->blocks[cell.thing])
			cell.thing = f->in.at[i];
	}
	for (size_t i = 0; i < f->in.n; i++)
		f->blocks[f->in.at[i]] = 0;
	cell.owner = f->mixed ? 0 : f->owner;
	f->in.n = 0;
	f->used = 0;
	f->mixed = false;
	return cell_add(f->out, &cell);
}

static int cell_take(struct filling *f, uint32_t thing, xn_blk_t owner, uint64_t blocks)
{
	if (!f->blocks[thing]) {
		if (!MAP_ROOM(f->in))
			return -ENOMEM;
		f->in.at[f->in.n++] = thing;
	}
	f->mixed = f->mixed || (f->used && f->owner != owner);
	f->owner = owner;
	f->blocks[thing] += blocks;
	f->used += blocks;
	return 0;
}

/* Cells that one run fills whole need not be filled one by one. */
static int cells_whole(struct filling *f, uint32_t thing, const struct map_run *run, uint64_t first,
		       uint64_t count)
{
	const struct map_cell cell = {
		.first = first,
		.count = count,
		.thing = thing,
		.owner = run->owner,
		.used = f->out->blocks,
	};

	return count ? cell_add(f->out, &cell) : 0;
}

static int fill(struct filling *f, const struct map_run *run)
{
	uint32_t thing = f->same ? f->same[run->thing] : run->thing;
	uint64_t each = f->out->blocks, at = run->start, end = run->start + run->count;
	int err = 0;

	while (!err && at < end) {
		uint64_t cell = at / each, until = (cell + 1) * each, whole;

		if (cell != f->cell) {
			err = cell_end(f);
			f->cell = cell;
		}
		whole = at % each == 0 ? (end - at) / each : 0;
		if (!err && whole) {
			err = cells_whole(f, thing, run, cell, whole);
			at += whole * each;
			continue;
		}
		if (until > end)
			until = end;
		if (!err)
			err = cell_take(f, thing, run->owner, until - at);
		at = until;
	}
	return err;
}

int map_cells_make(const struct disk_map *map, uint64_t blocks, const uint32_t *same,
		   struct map_cells *out)
{
	struct filling f = { .map = map, .same = same, .out = out };
	int err;

	*out = (struct map_cells){
		.blocks = blocks,
		.count = (map->disk.block_count + blocks - 1) / blocks,
	};
	f.blocks = calloc(map->thing.n + 1, sizeof(*f.blocks));
	err = f.blocks ? 0 : -ENOMEM;
	for (size_t i = 0; !err && i < map->run.n; i++)
		err = fill(&f, &map->run.at[i]);
	if (!err)
		err = cell_end(&f);
	free(f.blocks);
	free(f.in.at);
	if (err)
		map_cells_fini(out);
	return err;
}

uint64_t map_cell_blocks(const struct disk_map *map, uint64_t max)
{
	uint64_t blocks = 1;

	while ((map->disk.block_count + blocks - 1) / blocks > max)
		blocks *= 2;
	return blocks;
}

void map_cells_fini(struct map_cells *cells)
{
	free(cells->cell.at);
	*cells = (struct map_cells){ 0 };
}
