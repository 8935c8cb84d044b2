/* SPDX-License-Identifier: MIT */
/*
 * The map of a disk as a whole: read, named, given back.  See map.h.
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xn/format.h"

int map_read(struct image *image, struct disk_map *map)
{
	int err;

	*map = (struct disk_map){ 0 };
	err = map_read_claims(image, map);
	if (!err)
		err = map_read_files(image, map);
	if (!err)
		err = map_make_runs(image, map);
	if (!err)
		err = map_measure(map);
	if (!err)
		return 0;
	map_fini(map);
	if (err == -EFBIG)
		say_failure(image_tool(image), image_name(image),
			    "no pictures are made of disks larger than 64 TiB");
	else
		say_error(image_tool(image), image_name(image), err, NULL);
	return err;
}

void map_fini(struct disk_map *map)
{
	free(map->root.at);
	free(map->type.at);
	free(map->node.at);
	free(map->names.at);
	free(map->piece.at);
	free(map->claim.at);
	free(map->thing.at);
	free(map->run.at);
	free(map->dir.at);
	*map = (struct disk_map){ 0 };
}

char *map_path(const struct disk_map *map, uint32_t node)
{
	size_t len = 0, at;
	char *path;

	for (uint32_t i = node; i != MAP_NONE; i = map->node.at[i].parent)
		len += 1 + strlen(map->names.at + map->node.at[i].name);
	path = malloc(len + 1);
	if (!path)
		return NULL;
	path[at = len] = '\0';
	for (uint32_t i = node; i != MAP_NONE; i = map->node.at[i].parent) {
		const char *name = map->names.at + map->node.at[i].name;

		at -= strlen(name);
		memcpy(path + at, name, strlen(name));
		path[--at] = '/';
	}
	return path;
}

uint32_t map_group(const struct disk_map *map, uint32_t node)
{
	if (node == MAP_NONE || map->node.at[node].is_dir)
		return node;
	return map->node.at[node].parent;
}

const char *map_type_name(const struct disk_map *map, uint32_t type)
{
	if (type == XN_DATA)
		return "data";
	if (type == XN_RESERVED)
		return "reserved";
	for (size_t i = 0; i < map->type.n; i++)
		if (map->type.at[i].id == type)
			return map->type.at[i].name;
	return "unknown template";
}

const char *map_kind_name(enum owner_kind kind)
{
	switch (kind) {
	case OWNER_SUPERBLOCK: return "superblock";
	case OWNER_MAP: return "free map";
	case OWNER_CATALOGUE: return "catalogues";
	case OWNER_LOG: return "intent log";
	case OWNER_TEMPLATE: return "template images";
	case OWNER_ROOT: return "roots";
	case OWNER_FREE: return "free";
	case OWNER_NOBODY: return "nobody's, but marked in use";
	}
	return "unknown";
}
