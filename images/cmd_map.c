/* SPDX-License-Identifier: MIT */
/*
 * map: a picture of a disk, as a page or a drawing, or its figures as JSON.
 *
 *  (1) The image is read and closed before the picture is written.
 *  (2) Nothing is overwritten without --force, and the image itself never.
 *  (3) A picture that cannot be written whole is removed; one that lacks something fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "map.h"
#include "super.h"
#include "xn/error.h"

typedef int write_picture(const struct disk_map *map, const struct map_style *style, FILE *out);

/* ---- figures ---- */

/* NULL without memory. */
static json_t *legend_json(const struct disk_map *map, enum map_by by)
{
	struct map_legend legend;
	json_t *array = map_legend_make(map, by, &legend) == 0 ? json_array() : NULL;

	for (size_t i = 0; array && i < legend.key.n; i++) {
		json_t *key = json_object();

		json_put_bytes(key, "name", legend.key.at[i].label);
		json_object_set_new(key, "blocks",
				    json_integer((json_int_t)legend.key.at[i].blocks));
		json_array_append_new(array, key);
	}
	map_legend_fini(&legend);
	return array;
}

static json_t *free_json(const struct map_free *space)
{
	json_t *object = json_object(), *sizes = json_array();

	json_object_set_new(object, "blocks", json_integer((json_int_t)space->blocks));
	json_object_set_new(object, "runs", json_integer((json_int_t)space->runs));
	json_object_set_new(object, "longest", json_integer((json_int_t)space->longest));
	for (unsigned i = 0; i < MAP_SIZES; i++) {
		json_t *row = json_object();

		if (!space->count[i]) {
			json_decref(row);
			continue;
		}
		json_object_set_new(row, "from", json_integer((json_int_t)1 << i));
		json_object_set_new(row, "runs", json_integer((json_int_t)space->count[i]));
		json_object_set_new(row, "blocks", json_integer((json_int_t)space->sum[i]));
		json_array_append_new(sizes, row);
	}
	json_object_set_new(object, "sizes", sizes);
	return object;
}

/* NULL without memory. */
static json_t *dir_json(const struct disk_map *map, const struct map_dir *dir)
{
	char *path = map_path(map, dir->node);
	json_t *object = path ? json_object() : NULL;

	if (!object)
		return NULL;
	json_put_bytes(object, "path", path);
	free(path);
	json_object_set_new(object, "files", json_integer((json_int_t)dir->files));
	json_object_set_new(object, "blocks", json_integer((json_int_t)dir->blocks));
	json_object_set_new(object, "runs", json_integer((json_int_t)dir->extents));
	json_object_set_new(object, "seeks", json_integer((json_int_t)dir->seeks));
	json_put_id(object, "first", dir->first);
	json_put_id(object, "end", dir->end);
	return object;
}

/* Roots whose files are not, or not all, known. */
static json_t *unread_json(const struct disk_map *map)
{
	json_t *array = json_array();

	for (size_t i = 0; i < map->root.n; i++) {
		json_t *root;

		if (!map->root.at[i].unread)
			continue;
		root = json_object();
		json_put_bytes(root, "name", map->root.at[i].info.name);
		json_array_append_new(array, root);
	}
	return array;
}

static int figures(struct tool *tool, const char *image, const struct disk_map *map)
{
	json_t *head = json_start();
	struct json_stream stream;
	int lost;

	json_put_bytes(head, "image", image);
	json_object_set_new(head, "blocks", json_integer((json_int_t)map->disk.block_count));
	json_object_set_new(head, "shared_blocks", json_integer((json_int_t)map->shared));
	json_object_set_new(head, "unmarked_blocks", json_integer((json_int_t)map->unmarked));
	json_object_set_new(head, "unread_objects", json_integer((json_int_t)map->unread));
	json_object_set_new(head, "unread_roots", unread_json(map));
	lost = json_object_set_new(head, "roots", legend_json(map, MAP_BY_ROOT)) |
	       json_object_set_new(head, "templates", legend_json(map, MAP_BY_TEMPLATE)) |
	       json_object_set_new(head, "ages", legend_json(map, MAP_BY_AGE)) |
	       json_object_set_new(head, "groups", legend_json(map, MAP_BY_GROUP));
	if (lost) {
		json_decref(head);
		return say_error(tool, "standard output", -ENOMEM, NULL);
	}
	json_object_set_new(head, "free", free_json(&map->free));
	json_stream_start(&stream, tool, head, "directories");
	for (size_t i = 0; i < map->dir.n && !lost; i++) {
		json_t *dir = dir_json(map, &map->dir.at[i]);

		lost = !dir;
		if (dir)
			json_stream_item(&stream, dir);
	}
	json_stream_end(&stream);
	return lost ? say_error(tool, "standard output", -ENOMEM, NULL) : EXIT_OK;
}

/* ---- what is asked ---- */

static int word_index(const char *text, const char *const words[], int count)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(text, words[i]))
			return i;
	return -1;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

static write_picture *writer_for(const char *path)
{
	if (ends_with(path, ".html") || ends_with(path, ".htm"))
		return map_write_html;
	return ends_with(path, ".svg") ? map_write_svg : NULL;
}

/* ---- writing ---- */

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Is there something in the way?  Asked before anything is read, and again when it is made. */
static int target_check(struct tool *tool, const struct args *args, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return EXIT_OK;
	if (is_same_file(path, plain_path(args->operands[0])))
		return say_failure(tool, path, "that is the image itself");
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return say_failure(tool, path, "it is no file");
	if (S_ISREG(st.st_mode) && !args_flag(args, "force"))
		return say_failure(tool, path, "it exists; --force overwrites it");
	return EXIT_OK;
}

static int save(struct tool *tool, const struct args *args, const struct disk_map *map,
		const struct map_style *style, const char *path)
{
	int flags = O_WRONLY | O_CLOEXEC | O_CREAT | (args_flag(args, "force") ? O_TRUNC : O_EXCL);
	int fd = open(path, flags, 0666), err;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (!out) {
		err = -errno;
		if (fd >= 0) {
			close(fd);
			unlink(path);
		}
		return say_error(tool, path, err, NULL);
	}
	err = writer_for(path)(map, style, out);
	if (!err && (fflush(out) || ferror(out)))
		err = errno ? -errno : -EIO;
	if (fclose(out) && !err)
		err = -errno;
	if (!err)
		return EXIT_OK;
	unlink(path);
	return say_error(tool, path, err, NULL);
}

static int read_image(struct tool *tool, const char *name, struct disk_map *map)
{
	struct image *image;
	int err;

	if (image_open(tool, name, 0, &image))
		return EXIT_FAIL;
	err = map_read(image, map);
	if (image_close(image) && !err) {
		map_fini(map);
		err = -EIO;
	}
	return err ? EXIT_FAIL : EXIT_OK;
}

/*
 * What the picture lacks is said, and fails: it looks whole.  Not where no LibFS of that name is
 * there: then the templates tell all that can be known.
 */
static int say_unread(struct tool *tool, const char *image, const struct disk_map *map)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < map->root.n; i++) {
		const struct map_root *root = &map->root.at[i];

		if (root->unread && root->unread != -ENOENT && root->unread != -ELIBBAD)
			code = say_failure(tool, image, "/%s could not all be read: %s",
					   root->info.name, xn_strerror(root->unread));
	}
	if (map->unread)
		code = say_failure(tool, image,
				   "%" PRIu64 " objects could not be read; `xn fsck` tells more",
				   map->unread);
	return code;
}

int cmd_map(struct tool *tool, const struct args *args)
{
	const char *path = args_text(args, "output", NULL);
	int by = word_index(args_text(args, "by", "root"), map_by_word, 4);
	int order = word_index(args_text(args, "order", "row"), map_order_word, 2);
	struct map_style style = { .image = args->operands[0] };
	struct disk_map map;
	int code = EXIT_OK;

	if (by < 0)
		return say_usage(tool, args->cmd, "--by: root, template, age or group");
	if (order < 0)
		return say_usage(tool, args->cmd, "--order: row or hilbert");
	if (!path && !tool->json)
		return say_usage(tool, args->cmd, "-o names the picture: map.html or map.svg");
	if (path && !writer_for(path))
		return say_usage(tool, args->cmd, "a picture's name ends in .html or .svg");
	style.by = (enum map_by)by;
	style.order = (enum map_order)order;
	if (path && target_check(tool, args, path))
		return EXIT_FAIL;
	if (read_image(tool, args->operands[0], &map))
		return EXIT_FAIL;
	if (path)
		code = save(tool, args, &map, &style, path);
	if (tool->json && figures(tool, args->operands[0], &map))
		code = EXIT_FAIL;
	if (say_unread(tool, args->operands[0], &map))
		code = EXIT_FAIL;
	map_fini(&map);
	return code;
}
