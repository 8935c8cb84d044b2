/* SPDX-License-Identifier: MIT */
/*
 * The data of a page.  See map.h.
 *
 *  (1) Columns of small numbers, differences where neighbours are alike: that is
 *      what compresses well.
 *  (2) Counts in legends and tables are made before anything is left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "map.h"

#define CELLS_MAX (UINT64_C(1) << 20)
#define DIRS_MAX  400u

/* How much of the tree a page names: less and less. */
static const struct level {
	bool files;
	uint32_t depth;
} levels[] = {
	{ true, MAP_NONE }, { false, MAP_NONE }, { false, 4 }, { false, 2 }, { false, 0 },
};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

struct detail {
	const struct disk_map *map;
	const struct map_style *style;
	struct level level;
	uint32_t *same;  /* by thing: which one is drawn in its place */
	uint32_t *thing; /* by thing: its number in the page */
	uint32_t *node;  /* by node: its number in the page, + 1; 0: not named */
	struct map_cells cells;
	FILE *out;
};

/* ---- what is left out ---- */

static uint32_t node_named(const struct detail *d, uint32_t node)
{
	const struct map_node *at = d->map->node.at;

	while (node != MAP_NONE &&
	       (at[node].depth > d->level.depth || (!d->level.files && !at[node].is_dir)))
		node = at[node].parent;
	return node;
}

struct sorted {
	struct map_thing thing;
	uint32_t index;
};

static int thing_order(const struct map_thing *a, const struct map_thing *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->root != b->root)
		return a->root < b->root ? -1 : 1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->tie != b->tie)
		return a->tie < b->tie ? -1 : 1;
	return (a->node > b->node) - (a->node < b->node);
}

static int by_thing(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int order = thing_order(&x->thing, &y->thing);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* Things that differ only in what is not named are one. */
static int detail_choose(struct detail *d)
{
	size_t n = d->map->thing.n;
	struct sorted *sorted = calloc(n + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		sorted[i] = (struct sorted){ .thing = d->map->thing.at[i], .index = i };
		sorted[i].thing.node = node_named(d, sorted[i].thing.node);
	}
	qsort(sorted, n, sizeof(*sorted), by_thing);
	for (size_t i = 0; i < n; i++) {
		bool again = i && !thing_order(&sorted[i - 1].thing, &sorted[i].thing);

		d->same[sorted[i].index] = again ? d->same[sorted[i - 1].index] : sorted[i].index;
	}
	free(sorted);
	return 0;
}

/* Number what the cells show. */
static void detail_number(struct detail *d)
{
	uint32_t things = 0, nodes = 0;

	memset(d->thing, 0xff, d->map->thing.n * sizeof(*d->thing));
	memset(d->node, 0, d->map->node.n * sizeof(*d->node));
	for (size_t i = 0; i < d->cells.cell.n; i++)
		d->thing[d->cells.cell.at[i].thing] = 0;
	for (size_t i = 0; i < d->map->thing.n; i++) {
		uint32_t node = node_named(d, d->map->thing.at[i].node);

		if (d->thing[i] == MAP_NONE)
			continue;
		d->thing[i] = things++;
		for (; node != MAP_NONE && !d->node[node]; node = d->map->node.at[node].parent)
			d->node[node] = 1;
	}
	for (size_t i = 0; i < d->map->node.n; i++)
		if (d->node[i])
			d->node[i] = ++nodes;
}

/* ---- columns ---- */

static void column(struct detail *d, const char *name)
{
	fprintf(d->out, "\"%s\":[", name);
}

static void number(struct detail *d, bool *any, int64_t value)
{
	fprintf(d->out, "%s%" PRId64, *any ? "," : "", value);
	*any = true;
}

static void column_end(struct detail *d, bool *any, const char *then)
{
	fprintf(d->out, "]%s", then);
	*any = false;
}

static void put_nodes(struct detail *d)
{
	const struct disk_map *map = d->map;
	int64_t before = 0;
	bool any = false;

	fputs("\"nodes\":{", d->out);
	column(d, "parent");
	for (size_t i = 0; i < map->node.n; i++)
		if (d->node[i])
			number(d, &any,
			       map->node.at[i].parent == MAP_NONE
				       ? 0
				       : d->node[map->node.at[i].parent]);
	column_end(d, &any, ",");
	column(d, "mtime");
	for (size_t i = 0; i < map->node.n; i++) {
		if (!d->node[i])
			continue;
		number(d, &any, (int64_t)((uint64_t)map->node.at[i].mtime - (uint64_t)before));
		before = map->node.at[i].mtime;
	}
	column_end(d, &any, ",");
	column(d, "dir");
	for (size_t i = 0; i < map->node.n; i++)
		if (d->node[i])
			number(d, &any, map->node.at[i].is_dir);
	column_end(d, &any, ",");
	column(d, "name");
	for (size_t i = 0; i < map->node.n; i++) {
		if (!d->node[i])
			continue;
		fputs(any ? "," : "", d->out);
		map_put_json(d->out, map->names.at + map->node.at[i].name);
		any = true;
	}
	column_end(d, &any, "},");
}

enum column_of_thing { OF_KIND, OF_ROOT, OF_TYPE, OF_NODE, OF_TIE };

static int64_t thing_member(const struct detail *d, const struct map_thing *thing,
			    enum column_of_thing which)
{
	uint32_t node;

	switch (which) {
	case OF_KIND: return thing->kind;
	case OF_ROOT: return thing->root == MAP_NONE ? 0 : (int64_t)thing->root + 1;
	case OF_TYPE: return thing->type;
	case OF_NODE:
		node = node_named(d, thing->node);
		return node == MAP_NONE ? 0 : d->node[node];
	case OF_TIE: return thing->tie;
	}
	return 0;
}

static void put_things(struct detail *d)
{
	static const char *const names[] = { "kind", "root", "type", "node", "tie" };
	bool any = false;

	fputs("\"things\":{", d->out);
	for (int which = OF_KIND; which <= OF_TIE; which++) {
		column(d, names[which]);
		for (size_t i = 0; i < d->map->thing.n; i++)
			if (d->thing[i] != MAP_NONE)
				number(d, &any,
				       thing_member(d, &d->map->thing.at[i],
						    (enum column_of_thing)which));
		column_end(d, &any, which == OF_TIE ? "}," : ",");
	}
}

static void put_cells(struct detail *d)
{
	const struct map_cell *cell = d->cells.cell.at;
	size_t n = d->cells.cell.n;
	bool any = false;
	uint64_t end = 0;
	int64_t before = 0;

	fputs("\"cells\":{", d->out);
	column(d, "gap");
	for (size_t i = 0; i < n; i++) {
		number(d, &any, (int64_t)(cell[i].first - end));
		end = cell[i].first + cell[i].count;
	}
	column_end(d, &any, ",");
	column(d, "count");
	for (size_t i = 0; i < n; i++)
		number(d, &any, (int64_t)cell[i].count);
	column_end(d, &any, ",");
	column(d, "thing");
	for (size_t i = 0; i < n; i++)
		number(d, &any, d->thing[cell[i].thing]);
	column_end(d, &any, ",");
	column(d, d->cells.blocks > 1 ? "used" : "owner");
	for (size_t i = 0; i < n; i++) {
		int64_t value = (int64_t)(d->cells.blocks > 1 ? cell[i].used : cell[i].owner);

		number(d, &any, d->cells.blocks > 1 ? value : value - before);
		before = value;
	}
	column_end(d, &any, "},");
}

/* ---- legends and tables ---- */

static int put_legend(struct detail *d, enum map_by by)
{
	struct map_legend legend;
	int err = map_legend_make(d->map, by, &legend);
	bool any = false;

	fprintf(d->out, "%s\"%s\":{\"keys\":[", by ? "," : "", map_by_word[by]);
	for (size_t i = 0; !err && i < legend.key.n; i++) {
		fputs(i ? ",{\"label\":" : "{\"label\":", d->out);
		map_put_json(d->out, legend.key.at[i].label);
		fprintf(d->out, ",\"colour\":\"%s\",\"blocks\":%" PRIu64 "}",
			legend.key.at[i].colour, legend.key.at[i].blocks);
	}
	fputs("],", d->out);
	column(d, "of");
	for (size_t i = 0; !err && i < d->map->thing.n; i++)
		if (d->thing[i] != MAP_NONE)
			number(d, &any, legend.of[i]);
	column_end(d, &any, "}");
	map_legend_fini(&legend);
	return err;
}

static void put_roots(struct detail *d)
{
	fputs("\"roots\":[", d->out);
	for (size_t i = 0; i < d->map->root.n; i++) {
		fputs(i ? ",{\"name\":" : "{\"name\":", d->out);
		map_put_json(d->out, d->map->root.at[i].info.name);
		fputs(",\"libfs\":", d->out);
		map_put_json(d->out, d->map->root.at[i].info.libfs);
		fprintf(d->out, ",\"blocks\":%" PRIu64 "}", d->map->root.at[i].blocks);
	}
	fputs("],\"types\":{\"0\":\"data\",\"1\":\"reserved\"", d->out);
	for (size_t i = 0; i < d->map->type.n; i++) {
		fprintf(d->out, ",\"%" PRIu32 "\":", d->map->type.at[i].id);
		map_put_json(d->out, d->map->type.at[i].name);
	}
	fputs("},\"kinds\":[", d->out);
	for (int kind = 0; kind <= OWNER_NOBODY; kind++)
		fprintf(d->out, "%s\"%s\"", kind ? "," : "", map_kind_name((enum owner_kind)kind));
	fputs("],", d->out);
}

static int most_seeks(const void *a, const void *b)
{
	const struct map_dir *x = a, *y = b;

	if (x->seeks != y->seeks)
		return x->seeks > y->seeks ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

static int put_dir(struct detail *d, const struct map_dir *dir)
{
	char *path = map_path(d->map, dir->node);

	if (!path)
		return -ENOMEM;
	fputs("{\"path\":", d->out);
	map_put_json(d->out, path);
	fprintf(d->out,
		",\"node\":%" PRIu32 ",\"files\":%" PRIu64 ",\"blocks\":%" PRIu64
		",\"extents\":%" PRIu64 ",\"seeks\":%" PRIu64 ",\"first\":%" PRIu64
		",\"end\":%" PRIu64 "}",
		d->level.files || d->map->node.at[dir->node].depth <= d->level.depth
			? d->node[dir->node]
			: 0,
		dir->files, dir->blocks, dir->extents, dir->seeks, dir->first, dir->end);
	free(path);
	return 0;
}

static int put_dirs(struct detail *d)
{
	size_t n = d->map->dir.n;
	struct map_dir *sorted = calloc(n + 1, sizeof(*sorted));
	int err = sorted ? 0 : -ENOMEM;

	if (err)
		return err;
	if (n)
		memcpy(sorted, d->map->dir.at, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), most_seeks);
	fprintf(d->out, "\"directories\":%zu,\"dirs\":[", n);
	for (size_t i = 0; !err && i < n && i < DIRS_MAX; i++) {
		fputs(i ? "," : "", d->out);
		err = put_dir(d, &sorted[i]);
	}
	fputs("],", d->out);
	free(sorted);
	return err;
}

static void put_free(struct detail *d)
{
	const struct map_free *space = &d->map->free;

	fprintf(d->out,
		"\"free\":{\"blocks\":%" PRIu64 ",\"runs\":%" PRIu64 ",\"longest\":%" PRIu64
		",\"sizes\":[",
		space->blocks, space->runs, space->longest);
	for (unsigned i = 0; i < MAP_SIZES; i++)
		fprintf(d->out, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", space->count[i],
			space->sum[i]);
	fputs("]}", d->out);
}

static int put_all(struct detail *d)
{
	int err;

	fprintf(d->out,
		"{\"version\":1,\"blocks\":%" PRIu64 ",\"block_bytes\":%u,\"cell_blocks\":%" PRIu64
		",\"cell_count\":%" PRIu64 ",\"by\":\"%s\",\"order\":\"%s\",\"files\":%s,",
		d->map->disk.block_count, XN_BLOCK, d->cells.blocks, d->cells.count,
		map_by_word[d->style->by], map_order_word[d->style->order],
		d->level.files ? "true" : "false");
	put_roots(d);
	put_nodes(d);
	put_things(d);
	put_cells(d);
	err = put_dirs(d);
	fputs("\"legends\":{", d->out);
	for (int by = MAP_BY_ROOT; !err && by <= MAP_BY_GROUP; by++)
		err = put_legend(d, (enum map_by)by);
	fputs("},", d->out);
	put_free(d);
	fputs("}\n", d->out);
	return err;
}

/* ---- packing ---- */

static char *base64(const uint8_t *bytes, size_t len)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((len + 2) / 3 * 4 + 1), *at = text;

	for (size_t i = 0; text && i < len; i += 3) {
		uint32_t word = (uint32_t)bytes[i] << 16;

		if (i + 1 < len)
			word |= (uint32_t)bytes[i + 1] << 8;
		if (i + 2 < len)
			word |= bytes[i + 2];
		*at++ = letters[word >> 18];
		*at++ = letters[word >> 12 & 63];
		*at++ = i + 1 < len ? letters[word >> 6 & 63] : '=';
		*at++ = i + 2 < len ? letters[word & 63] : '=';
	}
	if (text)
		*at = '\0';
	return text;
}

static int pack(const char *text, size_t len, char **out)
{
	uLongf packed_len = compressBound(len);
	uint8_t *packed = malloc(packed_len);

	if (!packed)
		return -ENOMEM;
	*out = compress2(packed, &packed_len, (const uint8_t *)text, len, 6) == Z_OK
		       ? base64(packed, packed_len)
		       : NULL;
	free(packed);
	return *out ? 0 : -ENOMEM;
}

static int detail_write(struct detail *d, uint64_t cell_blocks, char **out)
{
	char *text = NULL;
	size_t len = 0;
	int err = detail_choose(d);

	if (!err)
		err = map_cells_make(d->map, cell_blocks, d->same, &d->cells);
	if (err)
		return err;
	detail_number(d);
	d->out = open_memstream(&text, &len);
	err = d->out ? put_all(d) : -ENOMEM;
	/* Without memory for its last byte, a stream closes well and leaves nothing. */
	if (d->out && (fclose(d->out) || !text) && !err)
		err = -ENOMEM;
	if (!err)
		err = pack(text, len, out);
	free(text);
	map_cells_fini(&d->cells);
	return err;
}

char *map_data(const struct disk_map *map, const struct map_style *style, size_t max)
{
	struct detail d = { .map = map, .style = style };
	uint64_t blocks = map_cell_blocks(map, CELLS_MAX);
	char *data = NULL;
	int err = 0;

	d.same = calloc(map->thing.n + 1, sizeof(*d.same));
	d.thing = calloc(map->thing.n + 1, sizeof(*d.thing));
	d.node = calloc(map->node.n + 1, sizeof(*d.node));
	if (!d.same || !d.thing || !d.node)
		err = -ENOMEM;
	for (unsigned level = 0; !err; level++) {
		d.level = levels[level < LEVELS ? level : LEVELS - 1];
		if (level >= LEVELS)
			blocks *= 2;
		free(data);
		data = NULL;
		err = detail_write(&d, blocks, &data);
		if (!err && (strlen(data) <= max || blocks >= map->disk.block_count))
			break;
	}
	free(d.node);
	free(d.thing);
	free(d.same);
	return data;
}
