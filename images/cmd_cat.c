/* SPDX-License-Identifier: MIT */
/*
 * cat and stat: one file, its bytes or its attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd.h"

#define PIECE (256u << 10)

/* ---- cat ---- */

static int cat_bytes(struct image *image, const struct place *place, uint64_t handle)
{
	struct tool *tool = image_tool(image);
	char *piece = malloc(PIECE);
	uint64_t offset = 0;
	ssize_t got = -ENOMEM;

	while (piece) {
		got = libfs_read(place->fs, image_ctx(image), place->attr.ino, handle, offset,
				 piece, PIECE);
		if (got <= 0)
			break;
		/* Nobody listens any more: tool_finish() says so. */
		if (fwrite(piece, 1, (size_t)got, tool->out) != (size_t)got) {
			got = 0;
			break;
		}
		offset += (uint64_t)got;
	}
	free(piece);
	return (int)got;
}

static int cat_place(struct image *image, const struct place *place)
{
	uint64_t handle;
	int err;

	if (place_is_dir(place))
		return -EISDIR;
	if (!S_ISREG(place->attr.mode))
		return image_explain(image, -EINVAL, "a %s has no bytes to print",
				     show_kind(place->attr.mode));
	err = libfs_open(place->fs, image_ctx(image), place->attr.ino, O_RDONLY, &handle);
	if (err)
		return err;
	err = cat_bytes(image, place, handle);
	libfs_release(place->fs, place->attr.ino, handle);
	return err;
}

int cmd_cat(struct tool *tool, const struct args *args)
{
	struct image *image;

	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	for (int i = 1; i < args->n_operands && !ferror(tool->out); i++) {
		struct place place;
		int err = image_find(image, args->operands[i], PLACE_FOLLOW, &place);

		if (!err)
			err = cat_place(image, &place);
		if (err)
			image_complain(image, args->operands[i], err);
		place_put(&place);
	}
	return image_close(image) || tool->failures ? EXIT_FAIL : EXIT_OK;
}

/* ---- stat ---- */

void json_put_attr(json_t *object, const struct libfs_attr *attr)
{
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", attr->mode & 07777);
	json_object_set_new(object, "type", json_string(show_kind(attr->mode)));
	json_put_id(object, "inode", attr->ino);
	json_object_set_new(object, "generation", json_integer(attr->generation));
	json_object_set_new(object, "mode", json_string(mode));
	json_object_set_new(object, "links", json_integer(attr->nlink));
	json_object_set_new(object, "uid", json_integer(attr->uid));
	json_object_set_new(object, "gid", json_integer(attr->gid));
	json_object_set_new(object, "size_bytes", json_integer((json_int_t)attr->size));
	json_object_set_new(object, "allocated_bytes",
			    json_integer((json_int_t)(attr->blocks * 512)));
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) {
		json_object_set_new(object, "major", json_integer(major(attr->rdev)));
		json_object_set_new(object, "minor", json_integer(minor(attr->rdev)));
	}
	json_put_time(object, "accessed", attr->atime);
	json_put_time(object, "modified", attr->mtime);
	json_put_time(object, "changed", attr->ctime);
	json_put_time(object, "born", attr->btime);
}

static void stat_time(const struct tool *tool, const char *what, struct timespec when)
{
	char text[64];

	show_time(when, true, text);
	fprintf(tool->out, "%-10s %s\n", what, text);
}

static void stat_text(struct image *image, const char *path, const struct place *place)
{
	const struct libfs_attr *attr = &place->attr;
	struct tool *tool = image_tool(image);
	char mode[11], size[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX], target[LIBFS_SYMLINK_MAX + 1];

	show_mode(attr->mode, mode);
	fputs("path       ", tool->out);
	show_name(tool->out, path);
	if (place->fs && S_ISLNK(attr->mode)) {
		read_target(image, place->fs, attr->ino, target);
		fputs(" -> ", tool->out);
		show_name(tool->out, target);
	}
	fprintf(tool->out, "\ntype       %s\ninode      %" PRIu64 ", generation %u\n",
		show_kind(attr->mode), attr->ino, attr->generation);
	fprintf(tool->out, "mode       %04o %s\nowner      %u:%u\nlinks      %u\n",
		attr->mode & 07777, mode, attr->uid, attr->gid, attr->nlink);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		fprintf(tool->out, "device     %u, %u\n", major(attr->rdev), minor(attr->rdev));
	fprintf(tool->out, "size       %s, on disk %s\n", show_size(tool, attr->size, size),
		show_size(tool, attr->blocks * 512, room));
	stat_time(tool, "accessed", attr->atime);
	stat_time(tool, "modified", attr->mtime);
	stat_time(tool, "changed", attr->ctime);
	stat_time(tool, "born", attr->btime);
}

static json_t *stat_json(struct image *image, const char *path, const struct place *place)
{
	json_t *object = json_object();
	char target[LIBFS_SYMLINK_MAX + 1];

	json_put_bytes(object, "path", path);
	json_put_attr(object, &place->attr);
	if (place->fs && S_ISLNK(place->attr.mode)) {
		read_target(image, place->fs, place->attr.ino, target);
		json_put_bytes(object, "target", target);
	}
	return object;
}

int cmd_stat(struct tool *tool, const struct args *args)
{
	json_t *files = json_array(), *object;
	struct image *image;

	if (image_open(tool, args->operands[0], 0, &image)) {
		json_decref(files);
		return EXIT_FAIL;
	}
	for (int i = 1; i < args->n_operands; i++) {
		const char *path = args->operands[i];
		struct place place;
		int err = image_find(image, path, 0, &place);

		if (err)
			image_complain(image, path, err);
		else if (tool->json)
			json_array_append_new(files, stat_json(image, path, &place));
		else
			stat_text(image, path, &place);
		place_put(&place);
	}
	if (tool->json) {
		object = json_start();
		json_put_bytes(object, "image", image_name(image));
		json_object_set(object, "files", files);
		json_print(tool, object);
	}
	json_decref(files);
	return image_close(image) || tool->failures ? EXIT_FAIL : EXIT_OK;
}
