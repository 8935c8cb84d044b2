/* SPDX-License-Identifier: MIT */
/*
 * From a path to a place in an image.  See image.h.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40u

/* The directories on the way down, each with a reference (but for the root's). */
struct walk {
	struct image *image;
	struct libfs *fs;
	struct libfs_attr *step;
	size_t count, room;
	unsigned links;
	char *rest; /* what is still to be walked */
	bool named; /* the last step was a name, not "." or ".." */
	char name[LIBFS_NAME_MAX + 1];
};

static int walk_push(struct walk *walk, const struct libfs_attr *attr)
{
	if (walk->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : 16;
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
	len = libfs_readlink(walk->fs, image_ctx(walk->image), link, target, sizeof(target));
	if (len < 0)
		return (int)len;
	if ((size_t)len >= sizeof(target))
		return -ENAMETOOLONG;
	target[len] = '\0';
	if (target[0] == '/')
		return image_explain(walk->image, -EXDEV,
				     "a symbolic link leads to %s, which is outside the image",
				     target);
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
static int walk_name(struct walk *walk, const char *behind, unsigned flags)
{
	const struct libfs_attr *dir = &walk->step[walk->count - 1];
	bool last = behind[strspn(behind, "/")] == '\0';
	struct libfs_attr attr;
	int err;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	err = libfs_lookup(walk->fs, image_ctx(walk->image), dir->ino, walk->name, &attr);
	if (err)
		return err;
	if (S_ISLNK(attr.mode) && (!last || *behind || (flags & PLACE_FOLLOW))) {
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

static int walk_step(struct walk *walk, const char *name, size_t len, const char *behind,
		     unsigned flags)
{
	if (len > LIBFS_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(walk->name, name, len);
	walk->name[len] = '\0';
	if (strcmp(walk->name, ".") != 0 && strcmp(walk->name, "..") != 0)
		return walk_name(walk, behind, flags);
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

static int walk_all(struct walk *walk, unsigned flags, struct place *place)
{
	const char *name, *behind;
	size_t len;
	int err;

	while ((len = next_name(walk, &name, &behind)) > 0) {
		bool last = behind[strspn(behind, "/")] == '\0';

		err = walk_step(walk, name, len, behind, flags);
		if (err == -ENOENT && last && (flags & PLACE_MISSING)) {
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
static int split_root(struct image *image, const char *path, char root[64], const char **rest)
{
	const char *name = path + strspn(path, "/");
	size_t len = strcspn(name, "/");

	if (path[0] != '/')
		return image_explain(image, -EINVAL,
				     "a path inside an image begins with / and the root's name");
	if (len > XN_ROOT_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(root, name, len);
	root[len] = '\0';
	*rest = name + len;
	return 0;
}

int place_find(struct image *image, const char *path, unsigned flags, struct place *place)
{
	struct walk walk = { .image = image };
	struct libfs_attr root;
	const char *rest = "";
	int err;

	*place = (struct place){ 0 };
	err = split_root(image, path, place->root, &rest);
	if (err)
		return err;
	if (!place->root[0]) {
		place->exists = true;
		place->attr = (struct libfs_attr){ .mode = S_IFDIR | 0555, .nlink = 1 };
		return 0;
	}
	err = image_mount(image, place->root, &place->fs);
	if (err)
		return err;
	err = libfs_getattr(place->fs, image_ctx(image), LIBFS_ROOT_INO, &root);
	if (err)
		return err;
	walk.fs = place->fs;
	walk.rest = strdup(rest);
	err = walk.rest ? walk_push(&walk, &root) : -ENOMEM;
	if (!err)
		err = walk_all(&walk, flags, place);
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
