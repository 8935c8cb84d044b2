/* SPDX-License-Identifier: MIT */
/*
 * The picture of a disk: who has each of its blocks, where the files of a
 * directory lie, and what is free.
 *
 *  (1) Runs lie in the order of blocks and never overlap; what is in none of
 *      them is free.
 *  (2) Who owns what is told by XN's walk, so it is known for every format; to
 *      which file it belongs, by the LibFS's own operations, where it has them.
 *  (3) Counts are exact, whatever a picture leaves out to stay small.
 */
#ifndef IMAGES_MAP_H
#define IMAGES_MAP_H

#include "image.h"
#include "owner.h"

#define MAP_NONE 0xffffffffu

/* A file or directory that has blocks, or something below it has. */
struct map_node {
	uint32_t parent; /* MAP_NONE: a root's directory */
	uint32_t root;   /* index in `root` */
	uint32_t depth;
	bool is_dir;
	int64_t mtime;
	size_t name; /* offset in `names` */
};

/* Where bytes of a file lie, in the order of reading: directory by directory. */
struct map_piece {
	xn_blk_t start;
	uint64_t count;
	uint32_t node;
};

/* What somebody says he owns. */
struct map_claim {
	xn_blk_t start;
	uint64_t count;
	xn_blk_t owner; /* the object that says so; 0: the root, or XN */
	enum owner_kind kind;
	uint32_t root; /* index in `root` */
	uint32_t type; /* of OWNER_ROOT: the extent's; of a catalogue: which; of an image: whose */
	uint32_t depth;
};

/* How something belongs to the node that is named with it. */
enum map_tie {
	MAP_PART,  /* holds bytes of that file */
	MAP_LEADS, /* all files that are reached through it are that one, or below it */
	MAP_BELOW, /* hangs somewhere below what leads to that one */
};

/* What a block may be; runs with equal answers share one. */
struct map_thing {
	enum owner_kind kind;
	uint32_t root, type, node;
	enum map_tie tie;
	uint64_t blocks;
};

struct map_run {
	xn_blk_t start;
	uint64_t count;
	xn_blk_t owner;
	uint32_t thing;
};

struct map_root {
	struct xn_root_info info;
	uint64_t blocks;
	int unread; /* why its files are not known; 0: they are */
};

struct map_type {
	uint32_t id, object_blocks;
	char name[64];
};

/* What it takes to read a directory and the files in it, but not what is below. */
struct map_dir {
	uint32_t node;
	uint64_t files, blocks;
	uint64_t
		extents; /* runs of blocks without a gap: requests, if asked for in the best order */
	uint64_t seeks;  /* jumps, if asked for in the order of its names */
	xn_blk_t first, end;
};

#define MAP_SIZES 49u /* runs of 2^i to 2^(i+1) - 1 blocks */

struct map_free {
	uint64_t runs, blocks, longest;
	uint64_t count[MAP_SIZES], sum[MAP_SIZES];
};

#define MAP_LIST(type, name)    \
	struct {                \
		type *at;       \
		size_t n, room; \
	} name

struct disk_map {
	struct xn_disk_info disk;
	MAP_LIST(struct map_root, root);
	MAP_LIST(struct map_type, type);
	MAP_LIST(struct map_node, node);
	MAP_LIST(char, names);
	MAP_LIST(struct map_piece, piece);
	MAP_LIST(struct map_claim, claim);
	MAP_LIST(struct map_thing, thing);
	MAP_LIST(struct map_run, run);
	MAP_LIST(struct map_dir, dir);
	struct map_free free;
	uint64_t chunks_used; /* chunks whose free map is worth a look */
	uint64_t shared;      /* blocks that have more than one owner */
	uint64_t unmarked;    /* owned, and free by the free map */
	uint64_t unread;      /* objects that could not be read */
};

/* Room for one more at the end of a list of a disk_map.  False: no memory. */
bool map_room(void **at, size_t n, size_t *room, size_t size);
#define MAP_ROOM(list) map_room((void **)&(list).at, (list).n, &(list).room, sizeof(*(list).at))

/*
 * Read everything.  Memory: some 50 bytes for each extent and each file.
 * Fails, and has said why, with
 *   -EFBIG  a disk of more than 64 TiB
 *   XN_EDAMAGED, XN_EIO, -ENOMEM
 */
int map_read(struct image *image, struct disk_map *map);
void map_fini(struct disk_map *map);

/* The path of a node, "/home/a/b"; NULL without memory. */
char *map_path(const struct disk_map *map, uint32_t node);
/* The directory that a node is in, or is. */
uint32_t map_group(const struct disk_map *map, uint32_t node);
/* "cffs.dir", "data"; of XN's own: "free map", ... */
const char *map_type_name(const struct disk_map *map, uint32_t type);
const char *map_kind_name(enum owner_kind kind);

/* ---- the steps of reading, each a file ---- */

/* Roots, templates, who owns what, as XN tells; sorted by block. */
int map_read_claims(struct image *image, struct disk_map *map);
/* Files and where they lie, as the LibFSes tell. */
int map_read_files(struct image *image, struct disk_map *map);
/* Both together, and the free map: runs and things. */
int map_make_runs(struct image *image, struct disk_map *map);
/* Directories and free space. */
int map_measure(struct disk_map *map);

/* The run that holds a block, or NULL. */
const struct map_run *map_run_find(const struct disk_map *map, xn_blk_t block);

/* ---- pictures ---- */

enum map_by { MAP_BY_ROOT, MAP_BY_TEMPLATE, MAP_BY_AGE, MAP_BY_GROUP };
enum map_order { MAP_ROWS, MAP_HILBERT };

struct map_style {
	enum map_by by;
	enum map_order order;
	const char *image;
};

extern const char *const map_by_word[4]; /* root, template, age, group */
extern const char *const map_order_word[2];

struct map_key {
	char *label;
	const char *colour; /* #rrggbb; legible on white and on black: contrast of 3 and more */
	uint64_t blocks;
};

/* What the colours mean: a key for each thing, and what the keys are. */
struct map_legend {
	MAP_LIST(struct map_key, key);
	uint32_t *of; /* by thing */
};
/* fini in any case. -ENOMEM */
int map_legend_make(const struct disk_map *map, enum map_by by, struct map_legend *out);
void map_legend_fini(struct map_legend *legend);

/*
 * Cells: as many blocks each as a picture of at most `max` of them needs, a
 * power of two.  A cell is coloured after what has most of its blocks.
 */
struct map_cell {
	uint64_t first, count; /* cells */
	uint32_t thing;        /* never free */
	xn_blk_t owner;        /* 0: more than one */
	uint64_t used;         /* blocks in use in each of these cells */
};

struct map_cells {
	uint64_t blocks; /* in a cell */
	uint64_t count;  /* cells of the disk */
	MAP_LIST(struct map_cell, cell);
};

/* `same` tells for each thing which one to draw in its place; NULL: itself. -ENOMEM */
int map_cells_make(const struct disk_map *map, uint64_t blocks, const uint32_t *same,
		   struct map_cells *out);
uint64_t map_cell_blocks(const struct disk_map *map, uint64_t max);
void map_cells_fini(struct map_cells *cells);

/* No page and no drawing is larger. */
#define MAP_FILE_MAX 1000000u

/* Write the picture.  -ENOMEM; what the stream says is the caller's to ask. */
int map_write_html(const struct disk_map *map, const struct map_style *style, FILE *out);
int map_write_svg(const struct disk_map *map, const struct map_style *style, FILE *out);

/*
 * The data of a page: JSON, compressed (zlib), as base64; to be freed.  What does not
 * fit into `max` bytes is left out: first the names of files, then of directories deep
 * down, then cells hold more blocks.  NULL without memory.
 */
char *map_data(const struct disk_map *map, const struct map_style *style, size_t max);

/* ---- text ---- */

/* With entities where HTML or XML wants them; bytes that are no UTF-8 as \xHH. */
void map_put_text(FILE *out, const char *text);
/* The same as a string of JSON, with its quotes. */
void map_put_json(FILE *out, const char *text);

#endif
