/* SPDX-License-Identifier: MIT */
/*
 * The names of a directory, in an order that does not depend on the directory.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u

int entries_add(struct entries *list, const char *name, size_t len, uint32_t type)
{
	struct dir_entry *entry;

	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;

		entry = realloc(list->entry, room * sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		list->entry = entry;
		list->room = room;
	}
	entry = &list->entry[list->count];
	entry->name = strndup(name, len);
	entry->type = type;
	if (!entry->name)
		return -ENOMEM;
	list->count++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dir_entry *)a)->name, ((const struct dir_entry *)b)->name);
}

void entries_sort(struct entries *list)
{
	if (list->count)
		qsort(list->entry, list->count, sizeof(*list->entry), by_name);
}

void entries_free(struct entries *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->entry[i].name);
	free(list->entry);
	*list = (struct entries){ 0 };
}

bool name_is_safe(const char *name, size_t len)
{
	return len > 0 && len <= LIBFS_NAME_MAX && !memchr(name, '/', len) &&
	       !memchr(name, '\0', len) && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

static bool is_dot(const struct libfs_dirent *entry)
{
	return (entry->name_len == 1 && entry->name[0] == '.') ||
	       (entry->name_len == 2 && entry->name[0] == '.' && entry->name[1] == '.');
}

static int read_roots(struct image *image, struct entries *out)
{
	struct xn_root_info root = { 0 };

	while (xn_root_next(image_disk(image), root.id, &root) == 0) {
		int err = entries_add(out, root.name, strlen(root.name), DT_DIR);

		if (err)
			return err;
	}
	return 0;
}

/* A batch of names; `cookie` moves on.  Returns how many, 0 at the end. */
static ssize_t read_batch(struct image *image, struct libfs *fs, libfs_ino_t dir, uint64_t *cookie,
			  struct libfs_dirent *batch, struct entries *out)
{
	ssize_t got = libfs_readdir(fs, image_ctx(image), dir, *cookie, 0, batch, BATCH);

	for (ssize_t i = 0; i < got; i++) {
		const struct libfs_dirent *entry = &batch[i];
		int err = 0;

		*cookie = entry->cookie;
		if (is_dot(entry))
			continue;
		/* A LibFS may be fooled by a damaged disk; the machine's files must not be. */
		if (entry->name_len > LIBFS_NAME_MAX || !name_is_safe(entry->name, entry->name_len))
			return -EUCLEAN;
		err = entries_add(out, entry->name, entry->name_len, entry->type);
		if (err)
			return err;
	}
	return got;
}

static int read_dir(struct image *image, struct libfs *fs, libfs_ino_t dir, struct entries *out)
{
	struct libfs_dirent *batch = calloc(BATCH, sizeof(*batch));
	uint64_t cookie = 0;
	ssize_t got = -ENOMEM;

	if (!batch)
		return -ENOMEM;
	do
		got = read_batch(image, fs, dir, &cookie, batch, out);
	while (got > 0);
	free(batch);
	return (int)got;
}

int entries_read(struct image *image, struct libfs *fs, libfs_ino_t dir, struct entries *out)
{
	int err;

	*out = (struct entries){ 0 };
	err = fs ? read_dir(image, fs, dir, out) : read_roots(image, out);
	if (err) {
		entries_free(out);
		return err;
	}
	entries_sort(out);
	return 0;
}
