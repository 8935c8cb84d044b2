/* SPDX-License-Identifier: MIT */
/*
 * What the colours of a map mean.  See map.h.
 *
 *  (1) Ages are counted from the newest file of the disk, so that a picture of an
 *      image is the same on every day.
 *  (2) The blocks of all keys together are the blocks in use.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

#define COLOURS    10u
#define GROUPS_MAX 24u /* directories with a colour of their own */
#define OF_XN      "#757b82"
#define OF_NOBODY  "#d23c1e"
#define OF_OTHERS  "#8d6844"

static const char *const colour[COLOURS] = {
	"#1270dc", "#db6d0c", "#198e44", "#9054d4", "#a59009",
	"#1294a3", "#d556b3", "#5f9e17", "#5061d3", "#db315c",
};

static const struct {
	int64_t seconds;
	const char *label, *colour;
} ages[] = {
	{ 60, "a minute, from the newest", "#db315c" },
	{ 3600, "an hour", "#db6d0c" },
	{ 86400, "a day", "#a59009" },
	{ 7 * 86400, "a week", "#5f9e17" },
	{ 30 * 86400, "30 days", "#1294a3" },
	{ 365 * 86400, "a year", "#1270dc" },
	{ INT64_MAX, "more", "#9054d4" },
};
#define AGES (sizeof(ages) / sizeof(ages[0]))

const char *const map_by_word[4] = { "root", "template", "age", "group" };
const char *const map_order_word[2] = { "row", "hilbert" };

static int key_add(struct map_legend *legend, const char *of_colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int key_add(struct map_legend *legend, const char *of_colour, const char *format, ...)
{
	struct map_key key = { .colour = of_colour };
	va_list list;
	int len;

	if (!MAP_ROOM(legend->key))
		return -ENOMEM;
	va_start(list, format);
	len = vasprintf(&key.label, format, list);
	va_end(list);
	if (len < 0)
		return -ENOMEM;
	legend->key.at[legend->key.n++] = key;
	return 0;
}

/* ---- by root ---- */

static int keys_of_roots(const struct disk_map *map, struct map_legend *legend)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < map->root.n; i++)
		err = key_add(legend, colour[i % COLOURS], "/%s (%s)", map->root.at[i].info.name,
			      map->root.at[i].info.libfs);
	if (!err)
		err = key_add(legend, OF_XN, "XN's own");
	if (!err)
		err = key_add(legend, OF_NOBODY, "%s", map_kind_name(OWNER_NOBODY));
	return err;
}

static uint32_t key_of_root(const struct disk_map *map, const struct map_thing *thing)
{
	uint32_t roots = (uint32_t)map->root.n;

	if (thing->kind == OWNER_ROOT && thing->root < roots)
		return thing->root;
	return roots + (thing->kind == OWNER_NOBODY || thing->kind == OWNER_ROOT);
}

/* ---- by template ---- */

/* Data and reserved blocks, each template, each kind of XN's own. */
static int keys_of_templates(const struct disk_map *map, struct map_legend *legend)
{
	int err = key_add(legend, colour[0], "data");

	if (!err)
		err = key_add(legend, colour[5], "reserved");
	for (uint32_t i = 0; !err && i < map->type.n; i++)
		err = key_add(legend, colour[1 + i % (COLOURS - 2)], "%s", map->type.at[i].name);
	for (int kind = 0; !err && kind <= OWNER_NOBODY; kind++)
		err = key_add(
			legend, kind == OWNER_NOBODY ? OF_NOBODY : OF_XN, "%s%s",
			kind == OWNER_NOBODY ? "" : "XN: ", map_kind_name((enum owner_kind)kind));
	return err;
}

static uint32_t key_of_template(const struct disk_map *map, const struct map_thing *thing)
{
	uint32_t types = (uint32_t)map->type.n;

	if (thing->kind != OWNER_ROOT)
		return 2 + types + thing->kind;
	for (uint32_t i = 0; i < types; i++)
		if (map->type.at[i].id == thing->type)
			return 2 + i;
	return thing->type == XN_RESERVED;
}

/* ---- by age ---- */

static int64_t newest(const struct disk_map *map)
{
	int64_t time = INT64_MIN;

	for (size_t i = 0; i < map->node.n; i++)
		if (map->node.at[i].mtime > time)
			time = map->node.at[i].mtime;
	return time;
}

static int keys_of_ages(struct map_legend *legend)
{
	int err = 0;

	for (size_t i = 0; !err && i < AGES; i++)
		err = key_add(legend, ages[i].colour, "%s%s", i == AGES - 1 ? "" : "within ",
			      ages[i].label);
	return err ? err : key_add(legend, OF_XN, "no file's");
}

static uint32_t key_of_age(const struct disk_map *map, const struct map_thing *thing, int64_t now)
{
	uint64_t age;

	if (thing->node == MAP_NONE)
		return AGES;
	age = (uint64_t)now - (uint64_t)map->node.at[thing->node].mtime;
	for (uint32_t i = 0; i < AGES; i++)
		if (age <= (uint64_t)ages[i].seconds)
			return i;
	return AGES - 1;
}

/* ---- by group ---- */

struct group {
	uint64_t blocks;
	uint32_t node;
};

static int largest_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->blocks != y->blocks)
		return x->blocks > y->blocks ? -1 : 1;
	return (x->node > y->node) - (x->node < y->node);
}

/* Sorted, largest first; with room for one more. */
static struct group *groups_sorted(const struct disk_map *map)
{
	struct group *group = calloc(map->node.n + 1, sizeof(*group));

	if (!group)
		return NULL;
	for (uint32_t i = 0; i < map->node.n; i++)
		group[i].node = i;
	for (size_t i = 0; i < map->thing.n; i++) {
		uint32_t node = map_group(map, map->thing.at[i].node);

		if (node != MAP_NONE)
			group[node].blocks += map->thing.at[i].blocks;
	}
	qsort(group, map->node.n, sizeof(*group), largest_first);
	return group;
}

static int keys_of_groups(const struct disk_map *map, const struct group *group,
			  struct map_legend *legend)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < GROUPS_MAX && group[i].blocks; i++) {
		char *path = map_path(map, group[i].node);

		err = path ? key_add(legend, colour[i % COLOURS], "%s", path) : -ENOMEM;
		free(path);
	}
	if (!err)
		err = key_add(legend, OF_OTHERS, "other directories");
	if (!err)
		err = key_add(legend, OF_XN, "no file's");
	return err;
}

static int key_groups(const struct disk_map *map, struct map_legend *legend)
{
	struct group *group = groups_sorted(map);
	uint32_t *of = calloc(map->node.n + 1, sizeof(*of)), others;
	int err = group && of ? keys_of_groups(map, group, legend) : -ENOMEM;

	if (err)
		goto free_both;
	others = (uint32_t)legend->key.n - 2;
	for (uint32_t i = 0; i < map->node.n; i++)
		of[group[i].node] = i < others ? i : others;
	for (size_t i = 0; i < map->thing.n; i++) {
		uint32_t node = map_group(map, map->thing.at[i].node);

		legend->of[i] = node == MAP_NONE ? others + 1 : of[node];
	}
free_both:
	free(of);
	free(group);
	return err;
}

/* ---- all ---- */

int map_legend_make(const struct disk_map *map, enum map_by by, struct map_legend *out)
{
	int64_t now = newest(map);
	int err = 0;

	*out = (struct map_legend){ .of = calloc(map->thing.n + 1, sizeof(*out->of)) };
	if (!out->of)
		return -ENOMEM;
	switch (by) {
	case MAP_BY_ROOT: err = keys_of_roots(map, out); break;
	case MAP_BY_TEMPLATE: err = keys_of_templates(map, out); break;
	case MAP_BY_AGE: err = keys_of_ages(out); break;
	case MAP_BY_GROUP: err = key_groups(map, out); break;
	}
	for (size_t i = 0; !err && i < map->thing.n; i++) {
		const struct map_thing *thing = &map->thing.at[i];

		if (by == MAP_BY_ROOT)
			out->of[i] = key_of_root(map, thing);
		else if (by == MAP_BY_TEMPLATE)
			out->of[i] = key_of_template(map, thing);
		else if (by == MAP_BY_AGE)
			out->of[i] = key_of_age(map, thing, now);
		out->key.at[out->of[i]].blocks += thing->blocks;
	}
	return err;
}

void map_legend_fini(struct map_legend *legend)
{
	for (size_t i = 0; i < legend->key.n; i++)
		free(legend->key.at[i].label);
	free(legend->key.at);
	free(legend->of);
	*legend = (struct map_legend){ 0 };
}
