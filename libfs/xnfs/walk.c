/* SPDX-License-Identifier: MIT */
/*
 * From a path to a place on a disk.  See libfs/walk.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libfs/walk.h"

#define LINKS_MAX      40u
#define STEPS_FEW      4u /* most paths are not deeper, and so few are cheap to get */
#define ROOT_NAME_SIZE sizeof(((struct place *)0)->root)

/* The directories on the way down, each with a reference (but for the root's). */
struct walk {
	const struct place_walk *how;
	struct libfs *fs;
	struct libfs_attr *step;
	size_t count, room;
	unsigned links;
	char *rest; /* what is still to be walked */
	bool named; /* the last step was a name, not "." or ".." */
	char name[LIBFS_NAME_MAX + 1];
};

static int explain(const struct place_walk *how, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int explain(const struct place_walk *how, int error, const char *format, ...)
{
	va_list list;

	if (!how->why || how->why_size == 0)
		return error;
	va_start(list, format);
	vsnprintf(how->why, how->why_size, format, list);
	va_end(list);
	return error;
}

static int walk_push(struct walk *walk, const struct libfs_attr *attr)
{
	if (walk->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : STEPS_FEW;
		struct libfs_attr *step = realloc(walk->step, room * sizeof(*step));

		if (!step)
			return -ENOMEM;
		walk->step = step;
		walk->room = room;
	}
	walk->step[walk->count++] = *attr;
	return 0;
}

static void walk_pop(struct walk *walk)
{
	walk->count--;
	if (walk->count > 0)
		libfs_forget(walk->fs, walk->step[walk->count].ino, 1);
}

static void walk_end(struct walk *walk)
{
	while (walk->count)
		walk_pop(walk);
	free(walk->step);
	free(walk->rest);
}

/* Put a link's target in front of what is still to be walked. */
static int walk_follow(struct walk *walk, libfs_ino_t link, const char *behind)
{
	char target[LIBFS_SYMLINK_MAX + 1], *joined;
	ssize_t len;

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	len = libfs_readlink(walk->fs, walk->how->ctx, link, target, sizeof(target));
	if (len < 0)
		return (int)len;
	if ((size_t)len >= sizeof(target))
		return -ENAMETOOLONG;
	target[len] = '\0';
	if (target[0] == '/')
		return explain(walk->how, -EXDEV,
			       "a symbolic link leads to %s, which is outside the image", target);
	if (asprintf(&joined, "%s%s", target, behind) < 0)
		return -ENOMEM;
	free(walk->rest);
	walk->rest = joined;
	return 0;
}

/* Take one name off `rest`.  Returns its length, 0 at the end; `behind` what follows it. */
static size_t next_name(const struct walk *walk, const char **name, const char **behind)
{
	size_t len;

	*name = walk->rest + strspn(walk->rest, "/");
	len = strcspn(*name, "/");
	*behind = *name + len;
	return len;
}

static int drop_front(struct walk *walk, const char *behind)
{
	memmove(walk->rest, behind, strlen(behind) + 1);
	return 0;
}

/* A step through a name that is neither "." nor "..". */
static int walk_name(struct walk *walk, const char *behind)
{
	const struct libfs_attr *dir = &walk->step[walk->count - 1];
	bool last = behind[strspn(behind, "/")] == '\0';
	struct libfs_attr attr;
	int err;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	err = libfs_lookup(walk->fs, walk->how->ctx, dir->ino, walk->name, &attr);
	if (err)
		return err;
	if (S_ISLNK(attr.mode) && (!last || *behind || (walk->how->flags & PLACE_FOLLOW))) {
		err = walk_follow(walk, attr.ino, behind);
		libfs_forget(walk->fs, attr.ino, 1);
		return err;
	}
	err = walk_push(walk, &attr);
	if (err) {
		libfs_forget(walk->fs, attr.ino, 1);
		return err;
	}
	walk->named = true;
	if (last && *behind && !S_ISDIR(attr.mode))
		return -ENOTDIR;
	return drop_front(walk, behind);
}

static int walk_step(struct walk *walk, const char *name, size_t len, const char *behind)
{
	if (len > LIBFS_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(walk->name, name, len);
	walk->name[len] = '\0';
	if (strcmp(walk->name, ".") != 0 && strcmp(walk->name, "..") != 0)
		return walk_name(walk, behind);
	if (!S_ISDIR(walk->step[walk->count - 1].mode))
		return -ENOTDIR;
	if (len == 2 && walk->count > 1)
		walk_pop(walk);
	walk->named = false;
	return drop_front(walk, behind);
}

/* Hand the end of the walk over to `place`, with the references it needs. */
static void place_take(struct walk *walk, struct place *place, bool exists)
{
	size_t last = walk->count - 1;

	place->exists = exists;
	memcpy(place->name, walk->name, sizeof(place->name));
	if (!exists) {
		place->dir = walk->step[last].ino;
		walk->count = last;
		return;
	}
	place->attr = walk->step[last];
	if (!walk->named || last == 0) {
		place->name[0] = '\0';
		place->dir = 0;
		walk->count = last;
		return;
	}
	place->dir = walk->step[last - 1].ino;
	walk->count = last - 1;
}

static int walk_all(struct walk *walk, struct place *place)
{
	const char *name, *behind;
	size_t len;
	int err;

	while ((len = next_name(walk, &name, &behind)) > 0) {
		bool last = behind[strspn(behind, "/")] == '\0';

		err = walk_step(walk, name, len, behind);
		if (err == -ENOENT && last && (walk->how->flags & PLACE_MISSING)) {
			place_take(walk, place, false);
			return 0;
		}
		if (err)
			return err;
	}
	place_take(walk, place, true);
	return 0;
}

/* Split "/root/rest".  The root's name is empty for "/". */
static int split_root(const struct place_walk *how, const char *path, char root[ROOT_NAME_SIZE],
		      const char **rest)
{
	const char *name = path + strspn(path, "/");
	size_t len = strcspn(name, "/");

	if (path[0] != '/')
		return explain(how, -EINVAL,
			       "a path inside an image begins with / and the root's name");
	if (len >= ROOT_NAME_SIZE)
		return -ENAMETOOLONG;
	memcpy(root, name, len);
	root[len] = '\0';
	*rest = name + len;
	return 0;
}

int place_find(const struct place_walk *how, const char *path, struct place *place)
{
	struct walk walk = { .how = how };
	struct libfs_attr root;
	const char *rest = "";
	int err;

	*place = (struct place){ 0 };
	err = split_root(how, path, place->root, &rest);
	if (err)
		return err;
	if (!place->root[0]) {
		place->exists = true;
		place->attr = (struct libfs_attr){ .mode = S_IFDIR | 0555, .nlink = 1 };
		return 0;
	}
	err = host_mount_root(how->host, place->root, NULL, &place->fs, how->why, how->why_size);
	if (err)
		return err;
	err = libfs_getattr(place->fs, how->ctx, LIBFS_ROOT_INO, &root);
	if (err)
		return err;
	walk.fs = place->fs;
	walk.rest = strdup(rest);
	err = walk.rest ? walk_push(&walk, &root) : -ENOMEM;
	if (!err)
		err = walk_all(&walk, place);
	walk_end(&walk);
	return err;
}

void place_put(struct place *place)
{
	if (!place->fs)
		return;
	if (place->exists && place->attr.ino != LIBFS_ROOT_INO)
		libfs_forget(place->fs, place->attr.ino, 1);
	if (place->dir && place->dir != LIBFS_ROOT_INO)
		libfs_forget(place->fs, place->dir, 1);
	*place = (struct place){ 0 };
}

bool place_is_dir(const struct place *place)
{
	return place->exists && S_ISDIR(place->attr.mode);
}
