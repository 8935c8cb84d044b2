/* SPDX-License-Identifier: MIT */
/*
 * layout and freefrag: where the bytes of files lie, and how the free space is cut up.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"

/* ---- layout ---- */

#define EXTENTS_BATCH 256u

struct layout {
	struct image *image;
	struct tool *tool;
	json_t *extents; /* with --json */
	uint64_t count, pieces, bytes, next;
};

static void layout_line(struct layout *layout, const struct libfs_extent *extent)
{
	char place[32] = "-";

	if (extent->place != LIBFS_NOWHERE)
		snprintf(place, sizeof(place), "%" PRIu64, extent->place / XN_BLOCK);
	fprintf(layout->tool->out, "%14" PRIu64 " %14" PRIu64 " %12s %10" PRIu64 "  %s%s\n",
		extent->offset, extent->len, place, (extent->len + XN_BLOCK - 1) / XN_BLOCK,
		extent->place == LIBFS_NOWHERE ? "inline or not placed yet" : "",
		extent->flags & LIBFS_EXTENT_UNWRITTEN ? "unwritten" : "");
}

static void layout_json(struct layout *layout, const struct libfs_extent *extent)
{
	json_t *object = json_object();

	json_object_set_new(object, "offset", json_integer((json_int_t)extent->offset));
	json_object_set_new(object, "bytes", json_integer((json_int_t)extent->len));
	if (extent->place == LIBFS_NOWHERE)
		json_object_set_new(object, "block", json_null());
	else
		json_put_id(object, "block", extent->place / XN_BLOCK);
	json_object_set_new(object, "unwritten",
			    json_boolean(extent->flags & LIBFS_EXTENT_UNWRITTEN));
	json_array_append_new(layout->extents, object);
}

static void layout_extent(struct layout *layout, const struct libfs_extent *extent)
{
	layout->count++;
	layout->bytes += extent->len;
	if (extent->place != LIBFS_NOWHERE) {
		layout->pieces += extent->place != layout->next;
		layout->next = extent->place + extent->len;
	}
	if (layout->extents)
		layout_json(layout, extent);
	else
		layout_line(layout, extent);
}

static int layout_extents(struct layout *layout, const struct place *place)
{
	struct libfs_extent *batch = calloc(EXTENTS_BATCH, sizeof(*batch));
	uint64_t offset = 0, size = place->attr.size;
	ssize_t n = batch ? 1 : -ENOMEM;

	while (n > 0 && offset < size) {
		n = libfs_extents(place->fs, place->attr.ino, offset, size - offset, batch,
				  EXTENTS_BATCH);
		for (ssize_t i = 0; i < n; i++) {
			layout_extent(layout, &batch[i]);
			offset = batch[i].offset + batch[i].len;
		}
	}
	free(batch);
	return n < 0 ? (int)n : 0;
}

static int layout_one(struct image *image, const char *path, json_t *files)
{
	struct layout layout = { .image = image, .tool = image_tool(image), .next = UINT64_MAX };
	struct tool *tool = layout.tool;
	json_t *object = NULL;
	struct place place;
	int err = image_find(image, path, 0, &place);

	if (err)
		return image_complain(image, path, err);
	if (!S_ISREG(place.attr.mode)) {
		say_failure(tool, image_name(image), "%s: it is no regular file", path);
		place_put(&place);
		return -EINVAL;
	}
	if (files) {
		object = json_object();
		json_put_bytes(object, "path", path);
		json_object_set_new(object, "size_bytes",
				    json_integer((json_int_t)place.attr.size));
		layout.extents = json_array();
		json_object_set_new(object, "extents", layout.extents);
		json_array_append_new(files, object);
	} else {
		show_name(tool->out, path);
		fprintf(tool->out, ":\n%14s %14s %12s %10s\n", "offset", "bytes", "block",
			"blocks");
	}
	err = layout_extents(&layout, &place);
	if (object)
		json_object_set_new(object, "pieces", json_integer((json_int_t)layout.pieces));
	else
		fprintf(tool->out, "%" PRIu64 " extents in %" PRIu64 " pieces of the disk\n",
			layout.count, layout.pieces);
	place_put(&place);
	return err ? image_complain(image, path, err) : 0;
}

int cmd_layout(struct tool *tool, const struct args *args)
{
	json_t *object = NULL, *files = NULL;
	struct image *image;
	int err;

	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	if (tool->json) {
		object = json_start();
		files = json_array();
		json_put_bytes(object, "image", image_name(image));
		json_object_set_new(object, "files", files);
	}
	for (int i = 1; i < args->n_operands; i++)
		layout_one(image, args->operands[i], files);
	if (object)
		json_print(tool, object);
	err = image_close(image);
	return err || tool->failures ? EXIT_FAIL : EXIT_OK;
}

/* ---- freefrag ---- */

#define CHUNK_BLOCKS 16384u
#define CLASSES      64u

struct runs {
	uint64_t count, blocks, least, most, current;
	uint64_t class_count[CLASSES], class_blocks[CLASSES]; /* 2^k to 2^(k+1) - 1 blocks */
};

static void run_end(struct runs *runs)
{
	unsigned class;

	if (!runs->current)
		return;
	class = 63u - (unsigned)__builtin_clzll(runs->current);
	runs->class_count[class]++;
	runs->class_blocks[class] += runs->current;
	runs->count++;
	runs->blocks += runs->current;
	if (!runs->least || runs->current < runs->least)
		runs->least = runs->current;
	if (runs->current > runs->most)
		runs->most = runs->current;
	runs->current = 0;
}

static void chunk_scan(struct runs *runs, const uint8_t *bitmap, uint64_t blocks)
{
	for (uint64_t i = 0; i < blocks; i++) {
		if (i % 8 == 0 && i + 8 <= blocks && bitmap[i / 8] == 0) {
			runs->current += 8;
			i += 7;
		} else if (bitmap[i / 8] >> (i % 8) & 1) {
			run_end(runs);
		} else {
			runs->current++;
		}
	}
}

static int runs_find(struct image *image, uint64_t block_count, struct runs *runs)
{
	uint8_t bitmap[CHUNK_BLOCKS / 8];

	for (uint64_t chunk = 0; chunk * CHUNK_BLOCKS < block_count; chunk++) {
		uint64_t left = block_count - chunk * CHUNK_BLOCKS;
		int err = xn_chunk_map(image_disk(image), chunk, bitmap);

		if (err)
			return err;
		chunk_scan(runs, bitmap, left < CHUNK_BLOCKS ? left : CHUNK_BLOCKS);
	}
	run_end(runs);
	return 0;
}

static void runs_json(struct image *image, const struct xn_disk_info *disk, const struct runs *runs)
{
	json_t *object = json_start(), *classes = json_array();

	json_put_bytes(object, "image", image_name(image));
	json_object_set_new(object, "block_bytes", json_integer(XN_BLOCK));
	json_object_set_new(object, "blocks", json_integer((json_int_t)disk->block_count));
	json_object_set_new(object, "free_blocks", json_integer((json_int_t)runs->blocks));
	json_object_set_new(object, "runs", json_integer((json_int_t)runs->count));
	json_object_set_new(object, "shortest_blocks", json_integer((json_int_t)runs->least));
	json_object_set_new(object, "longest_blocks", json_integer((json_int_t)runs->most));
	for (unsigned k = 0; k < CLASSES; k++) {
		json_t *class;

		if (!runs->class_count[k])
			continue;
		class = json_object();
		json_object_set_new(class, "from_blocks", json_integer((json_int_t)1 << k));
		json_object_set_new(class, "runs", json_integer((json_int_t)runs->class_count[k]));
		json_object_set_new(class, "blocks",
				    json_integer((json_int_t)runs->class_blocks[k]));
		json_array_append_new(classes, class);
	}
	json_object_set_new(object, "histogram", classes);
	json_print(image_tool(image), object);
}

static void runs_text(struct image *image, const struct xn_disk_info *disk, const struct runs *runs)
{
	struct tool *tool = image_tool(image);
	char text[3][SIZE_TEXT_MAX];

	fprintf(tool->out,
		"%" PRIu64 " of %" PRIu64 " blocks are free (%.1f %%), in %" PRIu64 " runs\n",
		runs->blocks, disk->block_count,
		100.0 * (double)runs->blocks / (double)disk->block_count, runs->count);
	if (!runs->count)
		return;
	fprintf(tool->out, "shortest %s, longest %s, on average %s\n\n",
		show_size(tool, runs->least * XN_BLOCK, text[0]),
		show_size(tool, runs->most * XN_BLOCK, text[1]),
		show_size(tool, runs->blocks * XN_BLOCK / runs->count, text[2]));
	fputs("    run from        up to         runs       blocks    share\n", tool->out);
	for (unsigned k = 0; k < CLASSES; k++)
		if (runs->class_count[k])
			fprintf(tool->out, "%12s %12s %12" PRIu64 " %12" PRIu64 "  %5.1f %%\n",
				show_size(tool, (uint64_t)XN_BLOCK << k, text[0]),
				show_size(tool, ((uint64_t)XN_BLOCK << k) * 2 - XN_BLOCK, text[1]),
				runs->class_count[k], runs->class_blocks[k],
				100.0 * (double)runs->class_blocks[k] / (double)runs->blocks);
}

int cmd_freefrag(struct tool *tool, const struct args *args)
{
	struct xn_disk_info disk;
	struct runs runs = { 0 };
	struct image *image;
	int err;

	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	err = xn_disk_info(image_disk(image), &disk);
	if (!err)
		err = runs_find(image, disk.block_count, &runs);
	if (err)
		say_error(tool, image_name(image), err, NULL);
	else if (tool->json)
		runs_json(image, &disk, &runs);
	else
		runs_text(image, &disk, &runs);
	return image_close(image) || err ? EXIT_FAIL : EXIT_OK;
}
