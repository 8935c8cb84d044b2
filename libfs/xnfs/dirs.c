/* SPDX-License-Identifier: MIT */
/*
 * Open directories: of a LibFS, or the top with its roots.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define BATCH 32u

struct xnfs_dir {
	struct xnfs *fs;
	struct place place;
	pthread_mutex_t lock;
	uint64_t cookie; /* the top: 0 and 1 are "." and "..", then id + 1 of the root before */
	struct libfs_dirent batch[BATCH];
	size_t count, next;
};

int xnfs_dir_open(struct xnfs *fs, const char *path, struct xnfs_dir **out)
{
	struct xnfs_dir *dir = calloc(1, sizeof(*dir));
	struct caller caller;
	int err;

	if (!dir)
		return -ENOMEM;
	caller_init(&caller, fs);
	err = caller_find(&caller, path, PLACE_FOLLOW, &dir->place);
	if (err)
		goto free_dir;
	if (!S_ISDIR(dir->place.attr.mode))
		err = -ENOTDIR;
	else if (dir->place.fs)
		err = libfs_access(dir->place.fs, &caller.ctx.libfs, dir->place.attr.ino,
				   LIBFS_MAY_READ);
	if (err)
		goto put_place;
	dir->fs = fs;
	pthread_mutex_init(&dir->lock, NULL);
	*out = dir;
	return 0;

put_place:
	place_put(&dir->place);
free_dir:
	free(dir);
	return err;
}

static int read_top(struct xnfs_dir *dir, struct xnfs_dirent *out)
{
	struct host_root root;
	uint32_t after = dir->cookie < 2 ? 0 : (uint32_t)(dir->cookie - 2);
	int err;

	*out = (struct xnfs_dirent){ .ino = LIBFS_ROOT_INO, .type = DT_DIR };
	if (dir->cookie < 2) {
		memcpy(out->name, "..", dir->cookie + 1);
		dir->cookie++;
		return 1;
	}
	err = host_root_next(dir->fs->host, after, &root);
	if (err)
		return err == -ENOENT ? 0 : err;
	snprintf(out->name, sizeof(out->name), "%s", root.name);
	dir->cookie = (uint64_t)root.id + 2;
	return 1;
}

static int read_batch(struct xnfs_dir *dir)
{
	struct caller caller;
	ssize_t n;

	caller_init(&caller, dir->fs);
	n = libfs_readdir(dir->place.fs, &caller.ctx.libfs, dir->place.attr.ino, dir->cookie, 0,
			  dir->batch, BATCH);
	if (n <= 0)
		return (int)n;
	dir->next = 0;
	dir->count = (size_t)n;
	dir->cookie = dir->batch[n - 1].cookie;
	return 1;
}

static int read_entry(struct xnfs_dir *dir, struct xnfs_dirent *out)
{
	const struct libfs_dirent *entry;
	int more = dir->next < dir->count ? 1 : read_batch(dir);

	if (more <= 0)
		return more;
	entry = &dir->batch[dir->next++];
	*out = (struct xnfs_dirent){ .ino = entry->ino, .type = (unsigned char)entry->type };
	memcpy(out->name, entry->name, entry->name_len);
	return 1;
}

int xnfs_dir_read(struct xnfs_dir *dir, struct xnfs_dirent *out)
{
	int more;

	pthread_mutex_lock(&dir->lock);
	more = dir->place.fs ? read_entry(dir, out) : read_top(dir, out);
	pthread_mutex_unlock(&dir->lock);
	return more;
}

void xnfs_dir_rewind(struct xnfs_dir *dir)
{
	pthread_mutex_lock(&dir->lock);
	dir->cookie = 0;
	dir->count = dir->next = 0;
	pthread_mutex_unlock(&dir->lock);
}

void xnfs_dir_close(struct xnfs_dir *dir)
{
	place_put(&dir->place);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}
