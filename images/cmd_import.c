/* SPDX-License-Identifier: MIT */
/*
 * import and export: whole trees in and out, with all that can be said of a file.
 *
 *  (1) Nothing that is there is written over by export unless --force is given.
 *  (2) An archive that goes to standard output never goes to a terminal.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "source.h"
#include "tar.h"

/* ---- import ---- */

struct import {
	struct source source;
	const char *path;
	bool all_root;
};

/* The directory that a path leads to, with a reference: place_put() afterwards. */
static int find_dir(struct image *image, const char *path, struct place *place)
{
	int err = image_find(image, path, PLACE_FOLLOW, place);

	if (err)
		return image_complain(image, path, err);
	if (place->fs && place_is_dir(place))
		return 0;
	err = place->fs ? -ENOTDIR : -EISDIR;
	if (!place->fs)
		say_failure(image_tool(image), image_name(image),
			    "%s: name a directory of a root, such as /home", path);
	else
		image_complain(image, path, err);
	place_put(place);
	return err;
}

static int import_check_room(const struct import *import, struct image *image,
			     const struct place *place)
{
	struct libfs_statfs room;
	int err = libfs_statfs(place->fs, &room);

	if (err)
		return image_complain(image, import->path, err);
	return source_check_room(&import->source, image, room.blocks_available, " free");
}

static int import_work(struct image *image, bool really, void *argument)
{
	struct import *import = argument;
	struct copy_counts counts;
	struct side_dir dir;
	struct place place;
	int err = find_dir(image, import->path, &place);

	if (err)
		return err;
	err = import_check_room(import, image, &place);
	if (!err && really) {
		dir = (struct side_dir){ .fs = place.fs, .id = place.attr.ino };
		err = source_fill(&import->source, image, &dir, import->path, import->all_root,
				  &counts);
		source_say(image_tool(image), import->path, "got", &counts);
	}
	place_put(&place);
	return err;
}

static int kind_parse(const char *text, enum source_kind *kind)
{
	static const char *const words[] = { [SOURCE_ANY] = "auto",
					     [SOURCE_DIR] = "dir",
					     [SOURCE_TAR] = "tar",
					     [SOURCE_EXT] = "ext" };

	for (int i = SOURCE_ANY; i <= SOURCE_EXT; i++)
		if (!strcmp(text, words[i])) {
			*kind = (enum source_kind)i;
			return 0;
		}
	return -EINVAL;
}

int cmd_import(struct tool *tool, const struct args *args)
{
	struct import import = { .path = args->operands[2],
				 .all_root = args_flag(args, "all-root") };
	const char *word = args_text(args, "from", "auto");
	enum source_kind kind;
	int err = kind_parse(word, &kind);

	if (err)
		return say_usage(tool, args->cmd, "--from: \"%s\" is not auto, dir, tar or ext",
				 word);
	if (source_open(tool, args->operands[1], kind, &import.source))
		return EXIT_FAIL;
	err = image_change(tool, args->operands[0], import_work, &import);
	source_close(&import.source);
	return err || tool->failures ? EXIT_FAIL : EXIT_OK;
}

/* ---- export ---- */

/* 1: the directory has something in it; 0: not, or it is not there. */
static int is_filled(const char *path)
{
	struct dirent *entry;
	DIR *dir = opendir(path);
	int filled = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!filled && (entry = readdir(dir)))
		filled = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return filled;
}

static int export_dir(struct image *image, const struct place *place, const char *path,
		      const char *target, bool force, struct copy_counts *counts)
{
	struct copy_opts opts = { .recursive = true, .preserve = true };
	struct side from = side_of_image(image), to = side_of_machine();
	struct side_dir in = { .fs = place->fs, .id = place->attr.ino }, out;
	char name[LIBFS_NAME_MAX + 1];
	struct tool *tool = image_tool(image);
	struct copy *copy;
	int err = is_filled(target);

	if (err > 0 && !force)
		return say_failure(tool, target, "there is something in it; --force adds to it"),
		       -EEXIST;
	if (err < 0)
		return say_error(tool, target, err, NULL), err;
	err = side_machine_split(target, &out, name);
	if (err)
		return say_error(tool, target, err, NULL), err;
	err = copy_create(tool, &from, &to, &opts, &copy);
	if (err) {
		say_error(tool, target, err, NULL);
	} else {
		err = copy_file(copy, &(struct copy_end){ &in, ".", path },
				&(struct copy_end){ &out, name, target });
		*counts = *copy_counted(copy);
		copy_destroy(copy);
	}
	to.ops->close_dir(&to, &out);
	return err;
}

static int export_open(struct tool *tool, const char *target, bool force)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), fd;

	if (!strcmp(target, "-")) {
		if (!isatty(STDOUT_FILENO))
			return STDOUT_FILENO;
		say_failure(tool, "standard output",
			    "it is a terminal, which cannot read archives");
		return -EINVAL;
	}
	fd = open(target, flags, 0666);
	if (fd >= 0)
		return fd;
	fd = -errno;
	if (fd == -EEXIST)
		say_failure(tool, target, "it is there already; --force overwrites it");
	else
		say_error(tool, target, fd, NULL);
	return fd;
}

static int export_tar(struct image *image, const struct place *place, const char *path,
		      const char *target, bool force, struct copy_counts *counts)
{
	struct side_dir in = { .fs = place->fs, .id = place->attr.ino };
	struct tool *tool = image_tool(image);
	struct side from = side_of_image(image);
	int fd = export_open(tool, target, force), err;

	if (fd < 0)
		return fd;
	err = tar_out(tool, fd, target, &from, &in, path, counts);
	if (fd != STDOUT_FILENO && close(fd) && !err) {
		err = -errno;
		say_error(tool, target, err, NULL);
	}
	return err;
}

int cmd_export(struct tool *tool, const struct args *args)
{
	const char *path = args->operands[1], *target = args->operands[2];
	bool force = args_flag(args, "force");
	struct copy_counts counts = { 0 };
	struct image *image;
	struct place place;
	int err, close_err;

	if (tool->json && !strcmp(target, "-"))
		return say_usage(tool, args->cmd, "--json and the archive cannot share the output");
	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	err = find_dir(image, path, &place);
	if (!err) {
		if (args_flag(args, "tar") || tar_is_name(target))
			err = export_tar(image, &place, path, target, force, &counts);
		else
			err = export_dir(image, &place, path, target, force, &counts);
		place_put(&place);
		if (!err)
			source_say(tool, path, "gave", &counts);
	}
	close_err = image_close(image);
	return err || close_err || tool->failures ? EXIT_FAIL : EXIT_OK;
}
