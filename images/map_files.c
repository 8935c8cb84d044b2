/* SPDX-License-Identifier: MIT */
/*
 * Which files there are and where they lie, as the LibFSes tell.  See map.h.
 *
 *  (1) A root that no LibFS here can mount or read keeps its colours and has no
 *      paths; why is kept in its `unread`.
 *  (2) A directory is visited once, and not deeper than DEPTH_MAX, so that a damaged
 *      disk whose directories form a circle is left again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "map.h"

#define BATCH   64u
#define EXTENTS 64u

/* A directory that is still to be read; a reference on it is held. */
struct waiting {
	libfs_ino_t ino;
	uint32_t node;
};

struct traversal {
	struct image *image;
	struct disk_map *map;
	struct libfs *fs;
	uint32_t root;
	MAP_LIST(struct waiting, queue);
	libfs_ino_t *seen; /* a table of hashes; 0 = empty */
	size_t seen_size, seen_count;
	struct libfs_dirent batch[BATCH];
};

/* ---- directories that were seen ---- */

static size_t seen_slot(const libfs_ino_t *seen, size_t size, libfs_ino_t ino)
{
	size_t at = (size_t)(ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (size - 1);

	while (seen[at] && seen[at] != ino)
		at = (at + 1) & (size - 1);
	return at;
}

static int seen_grow(struct traversal *t)
{
	size_t size = t->seen_size ? 2 * t->seen_size : 1024;
	libfs_ino_t *seen = calloc(size, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (size_t i = 0; i < t->seen_size; i++)
		if (t->seen[i])
			seen[seen_slot(seen, size, t->seen[i])] = t->seen[i];
	free(t->seen);
	t->seen = seen;
	t->seen_size = size;
	return 0;
}

/* 1: for the first time; 0: again. */
static int seen_add(struct traversal *t, libfs_ino_t ino)
{
	size_t at;

	if (2 * t->seen_count >= t->seen_size && seen_grow(t))
		return -ENOMEM;
	at = seen_slot(t->seen, t->seen_size, ino);
	if (t->seen[at])
		return 0;
	t->seen[at] = ino;
	t->seen_count++;
	return 1;
}

/* ---- files ---- */

static int name_add(struct disk_map *map, const char *name, size_t len, size_t *at)
{
	*at = map->names.n;
	for (size_t i = 0; i <= len; i++) {
		if (!MAP_ROOM(map->names))
			return -ENOMEM;
		map->names.at[map->names.n++] = i < len ? name[i] : '\0';
	}
	return 0;
}

static int node_add(struct traversal *t, uint32_t parent, const char *name, size_t len,
		    const struct libfs_attr *attr)
{
	struct disk_map *map = t->map;
	struct map_node node = {
		.parent = parent,
		.root = t->root,
		.depth = parent == MAP_NONE ? 0 : map->node.at[parent].depth + 1,
		.is_dir = S_ISDIR(attr->mode),
		.mtime = attr->mtime.tv_sec,
	};

	if (map->node.n >= MAP_NONE || !MAP_ROOM(map->node) || name_add(map, name, len, &node.name))
		return -ENOMEM;
	map->node.at[map->node.n++] = node;
	return 0;
}

static int piece_add(struct disk_map *map, const struct libfs_extent *extent, uint32_t node)
{
	uint64_t end;

	if (extent->place == LIBFS_NOWHERE || !extent->len ||
	    extent->len > UINT64_MAX - extent->place - XN_BLOCK)
		return 0;
	if (!MAP_ROOM(map->piece))
		return -ENOMEM;
	end = (extent->place + extent->len + XN_BLOCK - 1) / XN_BLOCK;
	map->piece.at[map->piece.n++] = (struct map_piece){
		.start = extent->place / XN_BLOCK,
		.count = end - extent->place / XN_BLOCK,
		.node = node,
	};
	return 0;
}

/* A file that cannot be asked has no pieces: its blocks are the root's all the same. */
static int pieces_of(struct traversal *t, libfs_ino_t ino, uint32_t node)
{
	struct libfs_extent extent[EXTENTS];
	uint64_t offset = 0;
	ssize_t got;
	int err = 0;

	do {
		got = libfs_extents(t->fs, ino, offset, INT64_MAX - offset, extent, EXTENTS);
		for (ssize_t i = 0; !err && i < got; i++) {
			err = piece_add(t->map, &extent[i], node);
			if (extent[i].len > INT64_MAX - extent[i].offset)
				return -EUCLEAN;
			offset = extent[i].offset + extent[i].len;
		}
	} while (!err && got == EXTENTS);
	return got == -ENOMEM ? -ENOMEM : err;
}

static bool is_dots(const struct libfs_dirent *entry)
{
	return entry->name[0] == '.' &&
	       (entry->name_len == 1 || (entry->name_len == 2 && entry->name[1] == '.'));
}

/* 1: the directory will be read, and keeps its reference. */
static int queue_add(struct traversal *t, libfs_ino_t ino, uint32_t node)
{
	int err;

	if (t->map->node.at[node].depth >= DEPTH_MAX) {
		t->map->root.at[t->root].unread = -ELOOP;
		return 0;
	}
	err = seen_add(t, ino);
	if (err != 1)
		return err;
	if (!MAP_ROOM(t->queue))
		return -ENOMEM;
	t->queue.at[t->queue.n++] = (struct waiting){ .ino = ino, .node = node };
	return 1;
}

/* Takes over the reference on the entry. */
static int visit(struct traversal *t, uint32_t dir, const struct libfs_dirent *entry)
{
	uint32_t node = (uint32_t)t->map->node.n;
	int err = name_is_safe(entry->name, entry->name_len) ? 0 : -EUCLEAN;

	if (!err)
		err = node_add(t, dir, entry->name, entry->name_len, &entry->attr);
	if (!err && S_ISREG(entry->attr.mode))
		err = pieces_of(t, entry->ino, node);
	if (!err && S_ISDIR(entry->attr.mode)) {
		err = queue_add(t, entry->ino, node);
		if (err == 1)
			return 0;
	}
	libfs_forget(t->fs, entry->ino, 1);
	return err;
}

static int read_batch(struct traversal *t, const struct waiting *dir, uint64_t *cookie)
{
	ssize_t got = libfs_readdir(t->fs, image_ctx(t->image), dir->ino, *cookie,
				    LIBFS_READDIR_PLUS, t->batch, BATCH);
	int err = 0;

	for (ssize_t i = 0; i < got; i++) {
		const struct libfs_dirent *entry = &t->batch[i];

		*cookie = entry->cookie;
		if (is_dots(entry))
			continue;
		if (err)
			libfs_forget(t->fs, entry->ino, 1);
		else
			err = visit(t, dir->node, entry);
	}
	return err ? err : (int)got;
}

/* Breadth first: the files of a directory come one after the other. */
static int read_tree(struct traversal *t)
{
	int got = 0;

	for (size_t i = 0; i < t->queue.n; i++) {
		struct waiting dir = t->queue.at[i];
		uint64_t cookie = 0;

		do
			got = got < 0 ? got : read_batch(t, &dir, &cookie);
		while (got > 0);
		if (dir.ino != LIBFS_ROOT_INO)
			libfs_forget(t->fs, dir.ino, 1);
		if (got < 0 && got != -ENOMEM) {
			t->map->root.at[t->root].unread = got;
			got = 0;
		}
		say_progress(image_tool(t->image), "reading names: %zu", t->map->node.n);
	}
	return got;
}

static int read_root(struct traversal *t, struct map_root *root)
{
	struct libfs_attr attr;
	int err = image_mount(t->image, root->info.name, &t->fs);

	if (!err)
		err = libfs_getattr(t->fs, image_ctx(t->image), LIBFS_ROOT_INO, &attr);
	if (err) {
		root->unread = err;
		return err == -ENOMEM ? err : 0;
	}
	err = node_add(t, MAP_NONE, root->info.name, strlen(root->info.name), &attr);
	if (!err && !MAP_ROOM(t->queue))
		err = -ENOMEM;
	if (err)
		return err;
	t->queue.at[t->queue.n++] =
		(struct waiting){ .ino = LIBFS_ROOT_INO, .node = (uint32_t)t->map->node.n - 1 };
	return seen_add(t, LIBFS_ROOT_INO) < 0 ? -ENOMEM : read_tree(t);
}

int map_read_files(struct image *image, struct disk_map *map)
{
	struct traversal *t = calloc(1, sizeof(*t));
	int err = t ? 0 : -ENOMEM;

	for (uint32_t i = 0; !err && i < map->root.n; i++) {
		t->image = image;
		t->map = map;
		t->root = i;
		err = read_root(t, &map->root.at[i]);
		t->queue.n = 0;
		if (t->seen)
			memset(t->seen, 0, t->seen_size * sizeof(*t->seen));
		t->seen_count = 0;
	}
	say_progress(image_tool(image), NULL);
	if (t) {
		free(t->queue.at);
		free(t->seen);
	}
	free(t);
	return err;
}
