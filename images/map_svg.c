/* SPDX-License-Identifier: MIT */
/*
 * The map as a drawing that stands still.  See map.h.
 *
 *  (1) At most 4096 cells, so that it is small and legible on paper; what each
 *      holds is in its title.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

#define CELLS_MAX   4096u
#define MAP_X       20u
#define MAP_Y       80u
#define MAP_WIDTH   640u
#define LEGEND_X    690u
#define LINE        20u
#define WIDTH       1100u
#define LABEL_MAX   40u
#define LEGEND_ROWS 28u

struct drawing {
	const struct disk_map *map;
	const struct map_style *style;
	struct map_cells cells;
	struct map_legend legend;
	uint64_t columns, rows, side;
	unsigned cell; /* units a side */
	FILE *out;
};

/* ---- where a cell is ---- */

static void hilbert(uint64_t side, uint64_t at, uint64_t *x, uint64_t *y)
{
	*x = *y = 0;
	for (uint64_t s = 1; s < side; s *= 2) {
		uint64_t rx = 1 & (at / 2), ry = 1 & (at ^ rx), t;

		if (!ry) {
			if (rx) {
				*x = s - 1 - *x;
				*y = s - 1 - *y;
			}
			t = *x;
			*x = *y;
			*y = t;
		}
		*x += s * rx;
		*y += s * ry;
		at /= 4;
	}
}

static void place_of(const struct drawing *d, uint64_t cell, uint64_t *x, uint64_t *y)
{
	if (d->style->order == MAP_ROWS) {
		*x = cell % d->columns;
		*y = cell / d->columns;
		return;
	}
	hilbert(d->side, cell % (d->side * d->side), x, y);
	*x += d->side * (cell / (d->side * d->side));
}

static void measure(struct drawing *d)
{
	uint64_t count = d->cells.count;

	d->side = 1;
	while (d->side * d->side * 4 <= count)
		d->side *= 2;
	if (d->style->order == MAP_HILBERT) {
		d->columns = d->side * ((count + d->side * d->side - 1) / (d->side * d->side));
		d->rows = d->side;
	} else {
		d->columns = d->side * d->side < count ? 2 * d->side : d->side;
		d->rows = (count + d->columns - 1) / d->columns;
	}
	d->cell = (unsigned)(MAP_WIDTH / d->columns);
}

/* ---- cells ---- */

static int put_owner(const struct drawing *d, const struct map_cell *cell)
{
	const struct map_thing *thing = &d->map->thing.at[cell->thing];
	char *path;

	if (thing->kind != OWNER_ROOT) {
		fputs(map_kind_name(thing->kind), d->out);
		return 0;
	}
	map_put_text(d->out, map_type_name(d->map, thing->type));
	fputs(" of /", d->out);
	map_put_text(d->out, d->map->root.at[thing->root].info.name);
	if (thing->node == MAP_NONE)
		return 0;
	path = map_path(d->map, thing->node);
	if (!path)
		return -ENOMEM;
	fputs(", ", d->out);
	map_put_text(d->out, path);
	free(path);
	return 0;
}

static int put_title(const struct drawing *d, const struct map_cell *cell, uint64_t first,
		     uint64_t count)
{
	uint64_t start = first * d->cells.blocks, end = (first + count) * d->cells.blocks;
	int err;

	if (end > d->map->disk.block_count)
		end = d->map->disk.block_count;
	if (end == start + 1)
		fprintf(d->out, "<title>block %" PRIu64 ": ", start);
	else
		fprintf(d->out, "<title>blocks %" PRIu64 " to %" PRIu64 ": ", start, end - 1);
	if (d->cells.blocks > 1)
		fprintf(d->out, "%" PRIu64 " of %" PRIu64 " in use, mostly ", cell->used,
			d->cells.blocks);
	err = put_owner(d, cell);
	fputs("</title>", d->out);
	return err;
}

static int put_cell(const struct drawing *d, const struct map_cell *cell, uint64_t first,
		    uint64_t count)
{
	double part = (double)cell->used / (double)d->cells.blocks;
	uint64_t x, y;
	int err;

	place_of(d, first, &x, &y);
	fprintf(d->out,
		"<rect x=\"%" PRIu64 "\" y=\"%" PRIu64 "\" width=\"%" PRIu64 "\" height=\"%u\"",
		MAP_X + x * d->cell, MAP_Y + y * d->cell, count * d->cell, d->cell);
	fprintf(d->out, " fill=\"%s\"", d->legend.key.at[d->legend.of[cell->thing]].colour);
	if (part < 1)
		fprintf(d->out, " fill-opacity=\"%.2f\"", 0.35 + 0.65 * part);
	fputc('>', d->out);
	err = put_title(d, cell, first, count);
	fputs("</rect>\n", d->out);
	return err;
}

/* In rows, as much of a run as lies in one row is one rectangle. */
static int put_cells(const struct drawing *d)
{
	int err = 0;

	for (size_t i = 0; i < d->cells.cell.n; i++) {
		const struct map_cell *cell = &d->cells.cell.at[i];
		uint64_t at = cell->first, end = cell->first + cell->count;

		while (at < end && !err) {
			uint64_t count = 1;

			if (d->style->order == MAP_ROWS) {
				count = d->columns - at % d->columns;
				if (count > end - at)
					count = end - at;
			}
			err = put_cell(d, cell, at, count);
			at += count;
		}
	}
	return err;
}

/* Everything that is the disk, as if it were free. */
static void put_ground(const struct drawing *d)
{
	uint64_t full = d->cells.count / d->columns, rest = d->cells.count % d->columns;

	if (d->style->order == MAP_HILBERT) {
		uint64_t area = d->side * d->side;

		full = d->side;
		fprintf(d->out,
			"<rect class=\"free\" x=\"%u\" y=\"%u\" width=\"%" PRIu64
			"\" height=\"%" PRIu64 "\"/>\n",
			MAP_X, MAP_Y, d->cells.count / area * d->side * d->cell, full * d->cell);
		for (uint64_t i = d->cells.count / area * area; i < d->cells.count; i++) {
			uint64_t x, y;

			place_of(d, i, &x, &y);
			fprintf(d->out,
				"<rect class=\"free\" x=\"%" PRIu64 "\" y=\"%" PRIu64
				"\" width=\"%u\" height=\"%u\"/>\n",
				MAP_X + x * d->cell, MAP_Y + y * d->cell, d->cell, d->cell);
		}
		return;
	}
	fprintf(d->out,
		"<path class=\"free\" d=\"M%u %uh%" PRIu64 "v%" PRIu64 "h-%" PRIu64 "v%" PRIu64
		"h-%" PRIu64 "z\"/>\n",
		MAP_X, MAP_Y, d->columns * d->cell, full * d->cell, (d->columns - rest) * d->cell,
		(uint64_t)(rest ? d->cell : 0), rest * d->cell);
}

/* ---- words ---- */

/* Long labels lose their beginning: the end of a path tells more. */
static void put_label(const struct drawing *d, const char *label)
{
	size_t len = strlen(label);
	const char *from = label;

	if (len > LABEL_MAX) {
		from += len - LABEL_MAX;
		while ((*from & 0xc0) == 0x80)
			from++;
		fputs("\xe2\x80\xa6", d->out);
	}
	map_put_text(d->out, from);
}

static unsigned put_legend_row(const struct drawing *d, unsigned y, const char *colour,
			       const char *label, uint64_t blocks)
{
	fprintf(d->out,
		"<g data-blocks=\"%" PRIu64
		"\"><rect x=\"%u\" y=\"%u\" width=\"13\" height=\"13\" ",
		blocks, LEGEND_X, y - 11);
	if (colour)
		fprintf(d->out, "fill=\"%s\"/>", colour);
	else
		fputs("class=\"free\"/>", d->out);
	fprintf(d->out, "<text x=\"%u\" y=\"%u\">", LEGEND_X + 20, y);
	put_label(d, label);
	fprintf(d->out,
		"</text><text x=\"%u\" y=\"%u\" text-anchor=\"end\">%" PRIu64 "</text></g>\n",
		WIDTH - 20, y, blocks);
	return y + LINE;
}

static unsigned put_legend(const struct drawing *d)
{
	unsigned y = MAP_Y + 12, rows = 0;

	fprintf(d->out, "<text class=\"head\" x=\"%u\" y=\"%u\">by %s</text>", LEGEND_X, y,
		map_by_word[d->style->by]);
	fprintf(d->out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">blocks</text>\n", WIDTH - 20,
		y);
	y += LINE;
	for (size_t i = 0; i < d->legend.key.n && rows < LEGEND_ROWS; i++) {
		const struct map_key *key = &d->legend.key.at[i];

		if (!key->blocks)
			continue;
		y = put_legend_row(d, y, key->colour, key->label, key->blocks);
		rows++;
	}
	return put_legend_row(d, y, NULL, "free", d->map->free.blocks);
}

static unsigned put_histogram(const struct drawing *d, unsigned y)
{
	const struct map_free *space = &d->map->free;

	y += 2 * LINE;
	fprintf(d->out,
		"<text class=\"head\" x=\"%u\" y=\"%u\">runs of free blocks by length</text>\n",
		LEGEND_X, y);
	for (unsigned i = 0; i < MAP_SIZES; i++) {
		if (!space->count[i])
			continue;
		y += LINE;
		fprintf(d->out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">%" PRIu64 "+</text>",
			LEGEND_X + 90, y, UINT64_C(1) << i);
		fprintf(d->out,
			"<rect x=\"%u\" y=\"%u\" width=\"%.1f\" height=\"13\" fill=\"#1270dc\">"
			"<title>%" PRIu64 " runs, %" PRIu64 " blocks</title></rect>",
			LEGEND_X + 100, y - 11,
			1 + 199.0 * (double)space->sum[i] / (double)space->blocks, space->count[i],
			space->sum[i]);
		fprintf(d->out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">%" PRIu64 "</text>\n",
			WIDTH - 20, y, space->count[i]);
	}
	return y + LINE;
}

static void put_head(const struct drawing *d, unsigned height)
{
	char size[SIZE_TEXT_MAX], cell[SIZE_TEXT_MAX];
	const struct xn_disk_info *disk = &d->map->disk;

	fprintf(d->out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- SPDX-License-Identifier: MIT "
		"-->\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %u "
		"%u\">\n<title>",
		WIDTH, height);
	fputs("XN disk ", d->out);
	map_put_text(d->out, disk->label[0] ? disk->label : d->style->image);
	fputs("</title>\n<style>\n"
	      "svg { background: #fff; } text { font: 13px system-ui, sans-serif; fill: #16191c; "
	      "}\n"
	      ".head { font-weight: 700; } .name { font-size: 20px; font-weight: 700; }\n"
	      ".free { fill: #808080; fill-opacity: .17; }\n"
	      "@media (prefers-color-scheme: dark) { svg { background: #14171a; } "
	      "text { fill: #e8eaed; } }\n"
	      "@media print { svg { background: #fff; } text { fill: #000; } }\n"
	      "</style>\n",
	      d->out);
	fprintf(d->out, "<text class=\"name\" x=\"%u\" y=\"32\">XN disk ", MAP_X);
	map_put_text(d->out, disk->label[0] ? disk->label : d->style->image);
	fprintf(d->out, "</text>\n<text x=\"%u\" y=\"56\">%" PRIu64 " blocks (%s), ", MAP_X,
		disk->block_count, size_text(disk->block_count * XN_BLOCK, false, size));
	fprintf(d->out, "%s; a cell is %s</text>\n",
		d->style->order == MAP_ROWS ? "in rows" : "along a Hilbert curve",
		size_text(d->cells.blocks * XN_BLOCK, false, cell));
}

/* The words first, beside: how high they are is part of the head. */
static int put_all(struct drawing *d, FILE *out)
{
	char *words = NULL;
	size_t len = 0;
	int err;
	unsigned height, map_end = MAP_Y + (unsigned)d->rows * d->cell + MAP_X;

	d->out = open_memstream(&words, &len);
	if (!d->out)
		return -ENOMEM;
	height = put_histogram(d, put_legend(d));
	if (fclose(d->out) || !words) {
		free(words);
		return -ENOMEM;
	}
	d->out = out;
	put_head(d, height > map_end ? height : map_end);
	fputs("<g shape-rendering=\"crispEdges\">\n", out);
	put_ground(d);
	err = put_cells(d);
	fputs("</g>\n", out);
	fwrite(words, 1, len, out);
	fputs("</svg>\n", out);
	free(words);
	return err;
}

int map_write_svg(const struct disk_map *map, const struct map_style *style, FILE *out)
{
	struct drawing d = { .map = map, .style = style };
	int err = map_cells_make(map, map_cell_blocks(map, CELLS_MAX), NULL, &d.cells);

	if (err)
		return err;
	measure(&d);
	err = map_legend_make(map, style->by, &d.legend);
	if (!err)
		err = put_all(&d, out);
	map_legend_fini(&d.legend);
	map_cells_fini(&d.cells);
	return err;
}
