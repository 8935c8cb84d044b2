/* SPDX-License-Identifier: MIT */
/*
 * mkdir, rm, mv: small changes inside an image.
 *
 *  (1) Every path is looked at before the image is opened for writing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "side.h"

/* ---- mkdir ---- */

static int make_directory(struct image *image, const struct place *place, uint32_t mode)
{
	struct libfs_attr owner = { .uid = geteuid(), .gid = getegid() }, made;
	int err = libfs_mkdir(place->fs, image_ctx(image), place->dir, place->name, mode, &made);

	if (err)
		return err;
	err = libfs_setattr(place->fs, image_ctx(image), made.ino, &owner,
			    LIBFS_SET_UID | LIBFS_SET_GID, &made);
	libfs_forget(place->fs, made.ino, 1);
	return err;
}

static int mkdir_one(struct image *image, const struct args *args, const char *path, bool really)
{
	struct place place;
	int err = image_find(image, path, PLACE_MISSING, &place);

	/* Of several, a later one may be inside an earlier one that is not there yet. */
	if (err == -ENOENT && !really && args->n_operands > 2)
		return 0;
	if (!err && place.exists)
		err = -EEXIST;
	if (!err && really)
		err = make_directory(image, &place, (uint32_t)args_number(args, "mode", 0755));
	if (err)
		image_complain(image, path, err);
	place_put(&place);
	return err;
}

static int mkdir_work(struct image *image, bool really, void *argument)
{
	const struct args *args = argument;
	int err = 0;

	for (int i = 1; i < args->n_operands && !err; i++)
		err = mkdir_one(image, args, args->operands[i], really);
	return err;
}

int cmd_mkdir(struct tool *tool, const struct args *args)
{
	return image_change(tool, args->operands[0], mkdir_work, (void *)args) ? EXIT_FAIL
									       : EXIT_OK;
}

/* ---- rm ---- */

static int remove_below(struct image *image, struct side *side, const struct side_dir *dir,
			const char *name, const char *path, unsigned depth);

static int remove_children(struct image *image, struct side *side, const struct side_dir *dir,
			   const char *path, unsigned depth)
{
	struct entries list;
	int first = depth < DEPTH_MAX ? side->ops->list(side, dir, &list) : -ELOOP;

	if (first)
		return image_complain(image, path, first);
	for (size_t i = 0; i < list.count; i++) {
		char *child = path_join(path, list.entry[i].name);
		int err =
			child ? remove_below(image, side, dir, list.entry[i].name, child, depth + 1)
			      : -ENOMEM;

		if (err && !first)
			first = err;
		free(child);
	}
	entries_free(&list);
	return first;
}

/* Remove a file, or a directory after what is in it.  Failures are said. */
static int remove_below(struct image *image, struct side *side, const struct side_dir *dir,
			const char *name, const char *path, unsigned depth)
{
	struct libfs_attr attr;
	struct side_dir inner;
	int err = side->ops->look(side, dir, name, &attr);

	if (!err && S_ISDIR(attr.mode)) {
		err = side->ops->open_dir(side, dir, name, &inner);
		if (err)
			return image_complain(image, path, err);
		err = remove_children(image, side, &inner, path, depth);
		side->ops->close_dir(side, &inner);
		if (err)
			return err;
	}
	if (!err)
		err = side->ops->remove(side, dir, name, S_ISDIR(attr.mode));
	return err ? image_complain(image, path, err) : 0;
}

static int rm_one(struct image *image, const char *path, bool recursive, bool really)
{
	struct side side = side_of_image(image);
	struct side_dir dir;
	struct place place;
	int err = image_find(image, path, 0, &place);

	if (err)
		return image_complain(image, path, err);
	if (!place.dir) {
		say_failure(image_tool(image), image_name(image),
			    "%s: roots cannot be removed so; xn root-remove does it", path);
		err = -EPERM;
	} else if (place_is_dir(&place) && !recursive) {
		say_failure(image_tool(image), image_name(image),
			    "%s: it is a directory; -r removes directories", path);
		err = -EISDIR;
	}
	dir = (struct side_dir){ .fs = place.fs, .id = place.dir };
	if (!err && really)
		err = remove_below(image, &side, &dir, place.name, path, 0);
	place_put(&place);
	return err;
}

static int rm_work(struct image *image, bool really, void *argument)
{
	const struct args *args = argument;
	int err = 0;

	for (int i = 1; i < args->n_operands && !err; i++)
		err = rm_one(image, args->operands[i], args_flag(args, "recursive"), really);
	return err;
}

int cmd_rm(struct tool *tool, const struct args *args)
{
	return image_change(tool, args->operands[0], rm_work, (void *)args) ? EXIT_FAIL : EXIT_OK;
}

/* ---- mv ---- */

/* A target that is a directory takes the file under its old name. */
static int mv_target(struct image *image, const char *path, const struct place *from,
		     struct place *to)
{
	char *inner;
	int err = image_find(image, path, PLACE_MISSING, to);

	if (err || !place_is_dir(to))
		return err;
	place_put(to);
	inner = path_join(path, from->name);
	if (!inner)
		return -ENOMEM;
	err = image_find(image, inner, PLACE_MISSING, to);
	free(inner);
	return err;
}

static int mv_places(struct image *image, const struct place *from, const struct place *to,
		     bool really)
{
	if (!from->dir || !to->dir)
		return -EPERM;
	if (from->fs != to->fs)
		return -EXDEV;
	if (!really)
		return 0;
	return libfs_rename(from->fs, image_ctx(image), from->dir, from->name, to->dir, to->name,
			    0);
}

static int mv_work(struct image *image, bool really, void *argument)
{
	const struct args *args = argument;
	const char *from_path = args->operands[1], *to_path = args->operands[2];
	struct place from, to = { 0 };
	int err = image_find(image, from_path, 0, &from);

	if (err)
		return image_complain(image, from_path, err);
	err = mv_target(image, to_path, &from, &to);
	if (!err)
		err = mv_places(image, &from, &to, really);
	if (err == -EXDEV)
		say_failure(image_tool(image), image_name(image),
			    "%s: a file moves inside one root; copy it with `xn cp` and remove it",
			    to_path);
	else if (err)
		image_complain(image, to_path, err);
	place_put(&from);
	place_put(&to);
	return err;
}

int cmd_mv(struct tool *tool, const struct args *args)
{
	return image_change(tool, args->operands[0], mv_work, (void *)args) ? EXIT_FAIL : EXIT_OK;
}
