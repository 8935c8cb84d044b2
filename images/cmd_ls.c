/* SPDX-License-Identifier: MIT */
/*
 * ls and tree: names, and what can be said of each in a line.
 *
 *  (1) Names come sorted by bytes; "." and ".." are not shown.
 *  (2) A name that cannot be looked up is said and passed over; the exit code
 *      remembers it.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cmd.h"

char *path_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);
	char *joined;

	if (asprintf(&joined, "%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name) < 0)
		return NULL;
	return joined;
}

void read_target(struct image *image, struct libfs *fs, libfs_ino_t ino,
		 char target[LIBFS_SYMLINK_MAX + 1])
{
	ssize_t len = libfs_readlink(fs, image_ctx(image), ino, target, LIBFS_SYMLINK_MAX);

	if (len < 0)
		len = 0;
	if (len > (ssize_t)LIBFS_SYMLINK_MAX)
		len = LIBFS_SYMLINK_MAX;
	target[len] = '\0';
}

struct listing {
	struct image *image;
	struct tool *tool;
	struct json_stream json;
	bool is_long, recursive;
	bool said_something; /* a heading needs an empty line before it */
};

/* ---- one file ---- */

static void print_long(const struct listing *ls, const struct libfs_attr *attr)
{
	char mode[11], size[SIZE_TEXT_MAX], time[64];

	show_mode(attr->mode, mode);
	show_time(attr->mtime, false, time);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		snprintf(size, sizeof(size), "%u, %u", major(attr->rdev), minor(attr->rdev));
	else
		show_size(ls->tool, attr->size, size);
	fprintf(ls->tool->out, "%s %3u %5u %5u %10s %s ", mode, attr->nlink, attr->uid, attr->gid,
		size, time);
}

static void print_text(struct listing *ls, struct libfs *fs, const char *name,
		       const struct libfs_attr *attr)
{
	char target[LIBFS_SYMLINK_MAX + 1];

	if (ls->is_long)
		print_long(ls, attr);
	show_name_of(ls->tool, name, attr->mode);
	if (ls->is_long && fs && S_ISLNK(attr->mode)) {
		read_target(ls->image, fs, attr->ino, target);
		fputs(" -> ", ls->tool->out);
		show_name(ls->tool->out, target);
	}
	fputc('\n', ls->tool->out);
	ls->said_something = true;
}

static void print_json(struct listing *ls, struct libfs *fs, const char *path, const char *name,
		       const struct libfs_attr *attr)
{
	json_t *object = json_object();
	char target[LIBFS_SYMLINK_MAX + 1];

	json_put_bytes(object, "path", path);
	json_put_bytes(object, "name", name);
	json_put_attr(object, attr);
	if (fs && S_ISLNK(attr->mode)) {
		read_target(ls->image, fs, attr->ino, target);
		json_put_bytes(object, "target", target);
	}
	json_stream_item(&ls->json, object);
}

static void print_one(struct listing *ls, struct libfs *fs, const char *path, const char *name,
		      const struct libfs_attr *attr)
{
	if (ls->tool->json)
		print_json(ls, fs, path, name, attr);
	else
		print_text(ls, fs, name, attr);
}

/* Look one name up; in the top directory the names are roots.  Sets *fs to the child's. */
static int child_attr(struct image *image, struct libfs **fs, libfs_ino_t dir, const char *name,
		      struct libfs_attr *attr)
{
	int err;

	if (*fs)
		return libfs_lookup(*fs, image_ctx(image), dir, name, attr);
	err = image_mount(image, name, fs);
	return err ? err : libfs_getattr(*fs, image_ctx(image), LIBFS_ROOT_INO, attr);
}

static void child_forget(struct libfs *fs, const struct libfs_attr *attr)
{
	if (attr->ino != LIBFS_ROOT_INO)
		libfs_forget(fs, attr->ino, 1);
}

/* ---- ls ---- */

static void list_dir(struct listing *ls, struct libfs *fs, libfs_ino_t dir, const char *path,
		     unsigned depth);

static void list_heading(struct listing *ls, const char *path)
{
	if (ls->tool->json)
		return;
	if (ls->said_something)
		fputc('\n', ls->tool->out);
	show_name(ls->tool->out, path);
	fputs(":\n", ls->tool->out);
	ls->said_something = true;
}

/* Print a name, or (second round of -R) go into it when it is a directory. */
static void list_child(struct listing *ls, struct libfs *fs, libfs_ino_t dir, const char *path,
		       const struct dir_entry *entry, bool descend, unsigned depth)
{
	char *child = path_join(path, entry->name);
	struct libfs_attr attr;
	int err = child ? child_attr(ls->image, &fs, dir, entry->name, &attr) : -ENOMEM;

	if (err) {
		if (!descend)
			image_complain(ls->image, child ? child : entry->name, err);
		free(child);
		return;
	}
	if (!descend) {
		print_one(ls, fs, child, entry->name, &attr);
	} else if (S_ISDIR(attr.mode)) {
		list_heading(ls, child);
		list_dir(ls, fs, attr.ino, child, depth + 1);
	}
	child_forget(fs, &attr);
	free(child);
}

static void list_dir(struct listing *ls, struct libfs *fs, libfs_ino_t dir, const char *path,
		     unsigned depth)
{
	struct entries list;
	int err = depth < DEPTH_MAX ? entries_read(ls->image, fs, dir, &list) : -ELOOP;

	if (err) {
		image_complain(ls->image, path, err);
		return;
	}
	for (size_t i = 0; i < list.count; i++)
		list_child(ls, fs, dir, path, &list.entry[i], false, depth);
	for (size_t i = 0; ls->recursive && i < list.count; i++)
		if (list.entry[i].type == DT_DIR || list.entry[i].type == DT_UNKNOWN)
			list_child(ls, fs, dir, path, &list.entry[i], true, depth);
	entries_free(&list);
}

static void list_place(struct listing *ls, const char *path, bool heading)
{
	struct place place;
	int err = image_find(ls->image, path, PLACE_FOLLOW, &place);

	if (err) {
		image_complain(ls->image, path, err);
		return;
	}
	if (!place_is_dir(&place)) {
		print_one(ls, place.fs, path, path, &place.attr);
	} else {
		if (heading || ls->recursive)
			list_heading(ls, path);
		list_dir(ls, place.fs, place.attr.ino, path, 0);
	}
	place_put(&place);
}

int cmd_ls(struct tool *tool, const struct args *args)
{
	struct listing ls = { .tool = tool,
			      .is_long = args_flag(args, "long"),
			      .recursive = args_flag(args, "recursive") };

	if (image_open(tool, args->operands[0], 0, &ls.image))
		return EXIT_FAIL;
	if (tool->json) {
		json_t *head = json_start();

		json_put_bytes(head, "image", args->operands[0]);
		json_stream_start(&ls.json, tool, head, "entries");
	}
	if (args->n_operands == 1)
		list_place(&ls, "/", false);
	for (int i = 1; i < args->n_operands; i++)
		list_place(&ls, args->operands[i], args->n_operands > 2);
	if (tool->json)
		json_stream_end(&ls.json);
	return image_close(ls.image) || tool->failures ? EXIT_FAIL : EXIT_OK;
}

/* ---- tree ---- */

struct tree {
	struct image *image;
	struct tool *tool;
	char *margin; /* the vertical lines to the left */
	size_t margin_len, margin_room;
	uint64_t directories, files;
};

/* Four columns more to the left of what follows. */
static int margin_push(struct tree *tree, const char *text)
{
	size_t len = strlen(text);

	if (tree->margin_len + len + 1 > tree->margin_room) {
		size_t room = 2 * (tree->margin_len + len + 32);
		char *margin = realloc(tree->margin, room);

		if (!margin)
			return -ENOMEM;
		tree->margin = margin;
		tree->margin_room = room;
	}
	memcpy(tree->margin + tree->margin_len, text, len + 1);
	tree->margin_len += len;
	return 0;
}

static void margin_pop(struct tree *tree, const char *text)
{
	tree->margin_len -= strlen(text);
	tree->margin[tree->margin_len] = '\0';
}

static json_t *tree_dir(struct tree *tree, struct libfs *fs, libfs_ino_t dir, const char *path,
			unsigned depth);

static void tree_line(struct tree *tree, struct libfs *fs, const char *name, bool last,
		      const struct libfs_attr *attr)
{
	char target[LIBFS_SYMLINK_MAX + 1];

	if (tree->tool->json)
		return;
	fprintf(tree->tool->out, "%s%s ", tree->margin ? tree->margin : "", last ? "└──" : "├──");
	show_name_of(tree->tool, name, attr->mode);
	if (S_ISLNK(attr->mode)) {
		read_target(tree->image, fs, attr->ino, target);
		fputs(" -> ", tree->tool->out);
		show_name(tree->tool->out, target);
	}
	fputc('\n', tree->tool->out);
}

/* What stands below a directory that was just printed. */
static json_t *tree_below(struct tree *tree, struct libfs *fs, libfs_ino_t ino, const char *path,
			  bool last, unsigned depth)
{
	const char *margin = last ? "    " : "│   ";
	json_t *below;

	if (margin_push(tree, margin)) {
		image_complain(tree->image, path, -ENOMEM);
		return NULL;
	}
	below = tree_dir(tree, fs, ino, path, depth + 1);
	margin_pop(tree, margin);
	return below;
}

static json_t *tree_child(struct tree *tree, struct libfs *fs, libfs_ino_t dir, const char *path,
			  const char *name, bool last, unsigned depth)
{
	json_t *object = NULL, *below = NULL;
	char *child = path_join(path, name);
	struct libfs_attr attr;
	int err = child ? child_attr(tree->image, &fs, dir, name, &attr) : -ENOMEM;

	if (err) {
		image_complain(tree->image, child ? child : name, err);
		free(child);
		return NULL;
	}
	tree_line(tree, fs, name, last, &attr);
	if (S_ISDIR(attr.mode))
		below = tree_below(tree, fs, attr.ino, child, last, depth);
	*(S_ISDIR(attr.mode) ? &tree->directories : &tree->files) += 1;
	if (tree->tool->json) {
		object = json_object();
		json_put_bytes(object, "name", name);
		json_put_attr(object, &attr);
		if (below)
			json_object_set_new(object, "entries", below);
	}
	child_forget(fs, &attr);
	free(child);
	return object;
}

/* Returns the entries as JSON, where asked for. */
static json_t *tree_dir(struct tree *tree, struct libfs *fs, libfs_ino_t dir, const char *path,
			unsigned depth)
{
	json_t *array = tree->tool->json ? json_array() : NULL;
	struct entries list;
	int err = depth < DEPTH_MAX ? entries_read(tree->image, fs, dir, &list) : -ELOOP;

	if (err) {
		image_complain(tree->image, path, err);
		return array;
	}
	for (size_t i = 0; i < list.count; i++) {
		json_t *child = tree_child(tree, fs, dir, path, list.entry[i].name,
					   i + 1 == list.count, depth);

		if (child)
			json_array_append_new(array, child);
	}
	entries_free(&list);
	return array;
}

static void tree_end(struct tree *tree, const char *path, json_t *entries)
{
	json_t *object;

	if (!tree->tool->json) {
		fprintf(tree->tool->out, "\n%" PRIu64 " %s, %" PRIu64 " %s\n", tree->directories,
			tree->directories == 1 ? "directory" : "directories", tree->files,
			tree->files == 1 ? "file" : "files");
		return;
	}
	object = json_start();
	json_put_bytes(object, "image", image_name(tree->image));
	json_put_bytes(object, "path", path);
	json_object_set_new(object, "directories", json_integer((json_int_t)tree->directories));
	json_object_set_new(object, "files", json_integer((json_int_t)tree->files));
	json_object_set_new(object, "entries", entries);
	json_print(tree->tool, object);
}

static int tree_place(struct tree *tree, const char *path)
{
	struct place place;
	int err = image_find(tree->image, path, PLACE_FOLLOW, &place);

	if (!err && !place_is_dir(&place))
		err = -ENOTDIR;
	if (err) {
		image_complain(tree->image, path, err);
		place_put(&place);
		return err;
	}
	if (!tree->tool->json) {
		show_name_of(tree->tool, path, S_IFDIR);
		fputc('\n', tree->tool->out);
	}
	tree_end(tree, path, tree_dir(tree, place.fs, place.attr.ino, path, 0));
	place_put(&place);
	return 0;
}

int cmd_tree(struct tool *tool, const struct args *args)
{
	struct tree tree = { .tool = tool };

	if (image_open(tool, args->operands[0], 0, &tree.image))
		return EXIT_FAIL;
	tree_place(&tree, args->n_operands > 1 ? args->operands[1] : "/");
	free(tree.margin);
	return image_close(tree.image) || tool->failures ? EXIT_FAIL : EXIT_OK;
}
