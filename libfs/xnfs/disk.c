/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing, and what every call begins with.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int xnfs_open(const char *disk, const struct xnfs_opts *opts, struct xnfs **out)
{
	static const struct xnfs_opts none = { .flags = 0 };
	struct host_opts how = { .flags = 0 };
	struct xnfs *fs;
	int err;

	if (!opts)
		opts = &none;
	if (opts->flags & ~XNFS_RDONLY)
		return -EINVAL;
	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->uid = opts->uid;
	fs->gid = opts->gid;
	fs->umask = opts->umask & 0777;
	how.flags = opts->flags & XNFS_RDONLY ? HOST_RDONLY : 0;
	how.sync_ms = opts->commit_ms ? opts->commit_ms : HOST_SYNC_MS_DEFAULT;
	how.lock_timeout_ms = opts->lock_timeout_ms;
	how.cache_bytes = opts->cache_bytes;
	how.why = opts->why;
	how.why_size = opts->why_size;
	err = host_open(disk, &how, &fs->host);
	if (err) {
		free(fs);
		return err;
	}
	*out = fs;
	return 0;
}

int xnfs_close(struct xnfs *fs)
{
	int err = host_close(fs->host, NULL, 0);

	free(fs);
	return err;
}

int xnfs_sync(struct xnfs *fs)
{
	return host_sync(fs->host);
}

/* ---- callers ---- */

void caller_init(struct caller *caller, struct xnfs *fs)
{
	caller->fs = fs;
	host_ctx_init(&caller->ctx, fs->uid, fs->gid);
	caller->ctx.libfs.umask = fs->umask;
}

int caller_find(struct caller *caller, const char *path, uint32_t flags, struct place *place)
{
	const struct place_walk how = {
		.host = caller->fs->host,
		.ctx = &caller->ctx.libfs,
		.flags = flags,
	};

	return place_find(&how, path, place);
}

int caller_find_file(struct caller *caller, const char *path, uint32_t flags, struct place *place)
{
	int err = caller_find(caller, path, flags, place);

	if (!err && !place->fs) {
		place_put(place);
		err = -EROFS;
	}
	return err;
}

int caller_find_new(struct caller *caller, const char *path, struct place *place)
{
	int err = caller_find(caller, path, PLACE_MISSING, place);

	/* A name in the top would be a root: they are made otherwise. */
	if (err == -ENOENT && path[0] == '/' && !strchr(path + strspn(path, "/"), '/'))
		return -EROFS;
	if (!err && place->exists) {
		place_put(place);
		err = -EEXIST;
	}
	return err;
}

void attr_to_stat(const struct libfs_attr *attr, uint32_t root_id, struct stat *out)
{
	*out = (struct stat){
		.st_dev = root_id,
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = (blksize_t)attr->blksize,
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

void stat_fill(struct caller *caller, const struct place *place, struct stat *out)
{
	struct host_root root = { .id = 0 };

	if (place->fs)
		host_root_find(caller->fs->host, place->root, &root);
	attr_to_stat(&place->attr, root.id, out);
}
