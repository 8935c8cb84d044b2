/* SPDX-License-Identifier: MIT */
/*
 * diff: do two trees, inside images or outside, say the same?
 *
 *  (1) Compared are names, kinds, contents, link targets, device numbers, and,
 *      unless --contents is given, permission, owner, time of modification,
 *      number of names and extended attributes.
 *  (2) Exit code 0: the same; 1: not; 2: it could not be found out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "spot.h"

#define PIECE        (256u << 10)
#define EXIT_SAME    0
#define EXIT_DIFFER  1
#define EXIT_UNKNOWN 2

struct diff {
	struct tool *tool;
	struct json_stream json;
	struct side *side[2];
	struct image *image[2];
	char *piece[2];
	bool contents;
	uint64_t found;
};

/* One file as both sides have it. */
struct pair {
	const struct side_dir *dir[2];
	const char *name[2];
	const char *path; /* below what is compared; "" is that itself */
	struct libfs_attr attr[2];
};

/* ---- talking ---- */

/* `what` differs: as text on both sides, where there is any. */
static void tell(struct diff *diff, const char *path, const char *what, const char *a,
		 const char *b)
{
	json_t *object;

	diff->found++;
	if (diff->tool->json) {
		object = json_object();
		json_put_bytes(object, "path", path);
		json_object_set_new(object, "differs", json_string(what));
		if (a)
			json_put_bytes(object, "a", a);
		if (b)
			json_put_bytes(object, "b", b);
		json_stream_item(&diff->json, object);
		return;
	}
	show_name(diff->tool->out, path[0] ? path : ".");
	fprintf(diff->tool->out, ": %s", what);
	if (a || b)
		fputs(": ", diff->tool->out);
	if (a)
		show_name(diff->tool->out, a);
	if (a && b)
		fputs(" | ", diff->tool->out);
	if (b)
		show_name(diff->tool->out, b);
	fputc('\n', diff->tool->out);
}

static void complain(struct diff *diff, unsigned which, const char *path, int err)
{
	if (diff->image[which])
		image_complain(diff->image[which], path[0] ? path : ".", err);
	else
		say_error(diff->tool, path[0] ? path : ".", err, NULL);
}

/* ---- bytes ---- */

/* As many bytes as are asked for, unless the file ends. */
static ssize_t read_full(struct side *side, struct side_file *file, uint64_t at, char *bytes,
			 size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = side->ops->read(side, file, at + done, bytes + done, len - done);

		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static void bytes_compare(struct diff *diff, const struct pair *pair, struct side_file file[2])
{
	char text[48];

	for (uint64_t at = 0; at < pair->attr[0].size; at += PIECE) {
		ssize_t got[2];

		for (unsigned i = 0; i < 2; i++) {
			got[i] = read_full(diff->side[i], &file[i], at, diff->piece[i], PIECE);
			if (got[i] < 0) {
				complain(diff, i, pair->path, (int)got[i]);
				return;
			}
		}
		for (ssize_t k = 0; k < got[0] || k < got[1]; k++) {
			if (k < got[0] && k < got[1] && diff->piece[0][k] == diff->piece[1][k])
				continue;
			snprintf(text, sizeof(text), "from byte %" PRIu64 " on", at + (uint64_t)k);
			tell(diff, pair->path, "content", text, NULL);
			return;
		}
		say_progress(diff->tool, "%s", pair->path);
	}
}

static void content_compare(struct diff *diff, const struct pair *pair)
{
	struct side_file file[2];

	for (unsigned i = 0; i < 2; i++) {
		int err = diff->side[i]->ops->open_file(diff->side[i], pair->dir[i], pair->name[i],
							&file[i]);

		if (err) {
			complain(diff, i, pair->path, err);
			if (i == 1)
				diff->side[0]->ops->close_file(diff->side[0], &file[0]);
			return;
		}
	}
	bytes_compare(diff, pair, file);
	for (unsigned i = 0; i < 2; i++)
		diff->side[i]->ops->close_file(diff->side[i], &file[i]);
}

/* ---- attributes ---- */

/* In the base that people know it by: 8 for modes, 16 for devices, else 10. */
static void number_say(char text[32], uint64_t number, unsigned base)
{
	if (base == 8)
		snprintf(text, 32, "%04" PRIo64, number);
	else if (base == 16)
		snprintf(text, 32, "%" PRIx64, number);
	else
		snprintf(text, 32, "%" PRIu64, number);
}

static void numbers_compare(struct diff *diff, const char *path, const char *what, unsigned base,
			    uint64_t a, uint64_t b)
{
	char text[2][32];

	if (a == b)
		return;
	number_say(text[0], a, base);
	number_say(text[1], b, base);
	tell(diff, path, what, text[0], text[1]);
}

static void time_compare(struct diff *diff, const struct pair *pair)
{
	const struct timespec *a = &pair->attr[0].mtime, *b = &pair->attr[1].mtime;
	char text[2][64];

	if (a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec)
		return;
	show_time(*a, true, text[0]);
	show_time(*b, true, text[1]);
	tell(diff, pair->path, "modified", text[0], text[1]);
}

static bool xattr_equal(const struct xattr *a, const struct xattr *b)
{
	return a->size == b->size && (!a->size || !memcmp(a->value, b->value, a->size));
}

static void xattrs_compare(struct diff *diff, const struct pair *pair)
{
	struct xattrs list[2] = { { 0 }, { 0 } };
	size_t i = 0, k = 0;

	for (unsigned s = 0; s < 2; s++) {
		int err = diff->side[s]->ops->get_xattrs(diff->side[s], pair->dir[s], pair->name[s],
							 &list[s]);

		if (err)
			complain(diff, s, pair->path, err);
	}
	while (i < list[0].n || k < list[1].n) {
		int order = i == list[0].n   ? 1
			    : k == list[1].n ? -1
					     : strcmp(list[0].v[i].name, list[1].v[k].name);

		if (order < 0)
			tell(diff, pair->path, "attribute only in A", list[0].v[i].name, NULL);
		else if (order > 0)
			tell(diff, pair->path, "attribute only in B", NULL, list[1].v[k].name);
		else if (!xattr_equal(&list[0].v[i], &list[1].v[k]))
			tell(diff, pair->path, "attribute", list[0].v[i].name, NULL);
		i += order <= 0;
		k += order >= 0;
	}
	xattrs_free(&list[0]);
	xattrs_free(&list[1]);
}

static void attr_compare(struct diff *diff, const struct pair *pair)
{
	const struct libfs_attr *a = &pair->attr[0], *b = &pair->attr[1];

	if (!S_ISLNK(a->mode))
		numbers_compare(diff, pair->path, "mode", 8, a->mode & 07777, b->mode & 07777);
	numbers_compare(diff, pair->path, "uid", 10, a->uid, b->uid);
	numbers_compare(diff, pair->path, "gid", 10, a->gid, b->gid);
	if (!S_ISDIR(a->mode))
		numbers_compare(diff, pair->path, "links", 10, a->nlink, b->nlink);
	time_compare(diff, pair);
	xattrs_compare(diff, pair);
}

/* ---- files ---- */

static void target_compare(struct diff *diff, const struct pair *pair)
{
	char target[2][LIBFS_SYMLINK_MAX + 1];

	for (unsigned i = 0; i < 2; i++) {
		int err = diff->side[i]->ops->read_link(diff->side[i], pair->dir[i], pair->name[i],
							target[i]);

		if (err) {
			complain(diff, i, pair->path, err);
			return;
		}
	}
	if (strcmp(target[0], target[1]) != 0)
		tell(diff, pair->path, "target", target[0], target[1]);
}

static void dirs_compare(struct diff *diff, const struct pair *pair, unsigned depth);

static void pair_compare(struct diff *diff, struct pair *pair, unsigned depth)
{
	const struct libfs_attr *a = &pair->attr[0], *b = &pair->attr[1];

	for (unsigned i = 0; i < 2; i++) {
		int err = diff->side[i]->ops->look(diff->side[i], pair->dir[i], pair->name[i],
						   &pair->attr[i]);

		if (err) {
			complain(diff, i, pair->path, err);
			return;
		}
	}
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
		tell(diff, pair->path, "kind", show_kind(a->mode), show_kind(b->mode));
		return;
	}
	if (!diff->contents)
		attr_compare(diff, pair);
	if (S_ISDIR(a->mode))
		dirs_compare(diff, pair, depth);
	else if (S_ISLNK(a->mode))
		target_compare(diff, pair);
	else if (S_ISREG(a->mode) && a->size != b->size)
		numbers_compare(diff, pair->path, "size", 10, a->size, b->size);
	else if (S_ISREG(a->mode))
		content_compare(diff, pair);
	else if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
		numbers_compare(diff, pair->path, "device", 16, a->rdev, b->rdev);
}

static void child_compare(struct diff *diff, const struct side_dir in[2], const char *path,
			  const char *name, int order, unsigned depth)
{
	struct pair pair = { .dir = { &in[0], &in[1] }, .name = { name, name } };
	char *child = path[0] ? path_join(path, name) : strdup(name);

	if (!child) {
		complain(diff, 0, path, -ENOMEM);
		return;
	}
	pair.path = child;
	if (order)
		tell(diff, child, order < 0 ? "only in A" : "only in B", NULL, NULL);
	else
		pair_compare(diff, &pair, depth + 1);
	free(child);
}

static void lists_compare(struct diff *diff, const struct side_dir in[2], const char *path,
			  const struct entries list[2], unsigned depth)
{
	size_t i = 0, k = 0;

	while (i < list[0].count || k < list[1].count) {
		int order = i == list[0].count ? 1
			    : k == list[1].count
				    ? -1
				    : strcmp(list[0].entry[i].name, list[1].entry[k].name);

		child_compare(diff, in, path,
			      order <= 0 ? list[0].entry[i].name : list[1].entry[k].name, order,
			      depth);
		i += order <= 0;
		k += order >= 0;
	}
}

static void dirs_compare(struct diff *diff, const struct pair *pair, unsigned depth)
{
	struct entries list[2] = { { 0 }, { 0 } };
	struct side_dir in[2];
	unsigned opened = 0, listed = 0;
	int err = depth < DEPTH_MAX ? 0 : -ELOOP;

	while (opened < 2 && !err) {
		err = diff->side[opened]->ops->open_dir(diff->side[opened], pair->dir[opened],
							pair->name[opened], &in[opened]);
		opened += !err;
	}
	if (err)
		complain(diff, opened < 2 ? opened : 0, pair->path, err);
	while (listed < 2 && !err) {
		err = diff->side[listed]->ops->list(diff->side[listed], &in[listed], &list[listed]);
		if (err)
			complain(diff, listed, pair->path, err);
		listed += !err;
	}
	if (!err)
		lists_compare(diff, in, pair->path, list, depth);
	for (unsigned i = 0; i < opened; i++) {
		entries_free(&list[i]);
		diff->side[i]->ops->close_dir(diff->side[i], &in[i]);
	}
}

/* ---- the whole ---- */

static void compare(struct diff *diff, struct spot spot[2])
{
	struct pair pair = { .path = "" };
	json_t *head;

	for (unsigned i = 0; i < 2; i++) {
		diff->side[i] = &spot[i].side;
		pair.dir[i] = &spot[i].dir;
		pair.name[i] = spot[i].name;
	}
	if (diff->tool->json) {
		head = json_start();
		json_put_bytes(head, "a", spot[0].path);
		json_put_bytes(head, "b", spot[1].path);
		json_stream_start(&diff->json, diff->tool, head, "differences");
	}
	pair_compare(diff, &pair, 0);
	if (diff->tool->json)
		json_stream_end(&diff->json);
	say_progress(diff->tool, NULL);
}

static void run(struct diff *diff, char *const *paths)
{
	struct spot spot[2] = { { .open = false }, { .open = false } };
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		diff->piece[i] = malloc(PIECE);
		err = diff->piece[i] ? spot_open(diff->image[i], paths[i], true, &spot[i])
				     : -ENOMEM;
		if (err)
			spot_complain(diff->tool, diff->image[i], paths[i], err);
		if (!spot_is_inside(paths[i]))
			diff->image[i] = NULL;
	}
	if (!err)
		compare(diff, spot);
	for (unsigned i = 0; i < 2; i++) {
		spot_close(&spot[i]);
		free(diff->piece[i]);
	}
}

int cmd_diff(struct tool *tool, const struct args *args)
{
	struct diff diff = { .tool = tool, .contents = args_flag(args, "contents") };
	const char *with = args_text(args, "with", NULL);
	char *const *paths = args->operands + 1;
	struct image *image, *other = NULL;

	if (!spot_is_inside(paths[0]) && !spot_is_inside(paths[1]))
		return say_usage(
			tool, args->cmd,
			"no path is inside the image; write :/root/path for those that are");
	if (with && !spot_is_inside(paths[1]))
		return say_usage(tool, args->cmd,
				 "--with: B is inside the other image: :/root/path");
	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_UNKNOWN;
	if (with && image_open(tool, with, 0, &other)) {
		image_close(image);
		return EXIT_UNKNOWN;
	}
	diff.image[0] = image;
	diff.image[1] = other ? other : image;
	run(&diff, paths);
	if (other)
		image_close(other);
	image_close(image);
	if (tool->failures)
		return EXIT_UNKNOWN;
	return diff.found ? EXIT_DIFFER : EXIT_SAME;
}
