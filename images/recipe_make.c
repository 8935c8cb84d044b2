/* SPDX-License-Identifier: MIT */
/*
 * Statements of recipes that make disks, roots and files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "recipe_parts.h"
#include "xn/xn.h"

#define TIME_FIXED 1700000000
#define PIECE      65536u

/* ---- the engine ---- */

static int fail_xn(struct recipe *r, const char *what, int err)
{
	return recipe_fail(r, err, "%s: %s", what, xn_strerror(err));
}

static int disk_open(struct recipe *r)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	int err;

	if (r->xn)
		return 0;
	if (!r->dev)
		return recipe_fail(r, -EINVAL, "there is no disk yet: \"format\" comes first");
	host_ctx_init(&r->ctx, 0, 0);
	r->ctx.libfs.now = (struct timespec){ .tv_sec = TIME_FIXED };
	err = xn_open_dev(r->dev, &opts, &r->xn);
	if (!err)
		err = xn_session_open(r->xn, r->ctx.libfs.cred, XN_SESSION_ADMIN, &r->session);
	return err ? fail_xn(r, "the disk cannot be opened", err) : 0;
}

int recipe_close(struct recipe *r)
{
	int err = 0, last;

	while (r->n_mounts) {
		last = libfs_unmount(r->mount[--r->n_mounts].fs);
		err = err ? err : last;
	}
	if (r->xn) {
		last = xn_close(r->xn);
		err = err ? err : last;
	}
	r->xn = NULL;
	return err && !*r->why ? fail_xn(r, "closing the disk", err) : err;
}

static int root_mount(struct recipe *r, const char *name, size_t len, struct libfs **out)
{
	struct libfs_mount_opts opts = { .why = r->why, .why_size = RECIPE_WHY };
	int err = disk_open(r);

	if (err)
		return err;
	for (unsigned i = 0; i < r->n_mounts; i++)
		if (strlen(r->mount[i].name) == len && !memcmp(r->mount[i].name, name, len)) {
			*out = r->mount[i].fs;
			return 0;
		}
	if (r->n_mounts == MOUNTS_MAX || len >= sizeof(r->mount[0].name))
		return recipe_fail(r, -EINVAL, "too many roots");
	snprintf(r->mount[r->n_mounts].name, sizeof(r->mount[0].name), "%.*s", (int)len, name);
	opts.root = r->mount[r->n_mounts].name;
	err = libfs_mount(r->session, &opts, out);
	if (err)
		return *r->why ? err : fail_xn(r, opts.root, err);
	r->mount[r->n_mounts++].fs = *out;
	return 0;
}

/* ---- paths ---- */

struct spot {
	struct libfs *fs;
	libfs_ino_t dir;
	char name[LIBFS_NAME_MAX + 1];
};

/* "/root/a/b": the directory of the last component. */
static int spot_find(struct recipe *r, const char *path, struct spot *spot)
{
	const char *p = path + 1;
	size_t len = strcspn(p, "/");
	struct libfs_attr attr;
	int err;

	if (*path != '/' || !len || !p[len])
		return recipe_fail(r, -EINVAL, "\"%s\" is no path: /ROOT/NAME", path);
	err = root_mount(r, p, len, &spot->fs);
	spot->dir = LIBFS_ROOT_INO;
	while (!err) {
		p += len + 1;
		len = strcspn(p, "/");
		if (len == 0 || len > LIBFS_NAME_MAX)
			return recipe_fail(r, -EINVAL, "\"%s\" is no path", path);
		snprintf(spot->name, sizeof(spot->name), "%.*s", (int)len, p);
		if (!p[len])
			return 0;
		err = libfs_lookup(spot->fs, &r->ctx.libfs, spot->dir, spot->name, &attr);
		spot->dir = attr.ino;
	}
	return *r->why ? err : fail_xn(r, path, err);
}

static int file_find(struct recipe *r, const char *path, struct spot *spot, struct libfs_attr *attr)
{
	int err = spot_find(r, path, spot);

	if (!err)
		err = libfs_lookup(spot->fs, &r->ctx.libfs, spot->dir, spot->name, attr);
	return err && !*r->why ? fail_xn(r, path, err) : err;
}

/* ---- contents ---- */

/* Byte `offset` of a file called so: texts that no two files share. */
static uint8_t content_byte(uint32_t seed, uint64_t offset)
{
	uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15ull ^ (uint64_t)seed * 0x100000001b3ull;

	x ^= x >> 29;
	return (uint8_t)('!' + (x >> 8 * (offset % 8)) % 94);
}

static uint32_t seed_of(const char *path)
{
	uint32_t h = 2166136261u;

	while (*path)
		h = (h ^ (uint8_t)*path++) * 16777619u;
	return h;
}

static int content_write(struct recipe *r, struct libfs *fs, libfs_ino_t ino, uint32_t seed,
			 uint64_t offset, uint64_t len)
{
	uint8_t *bytes = malloc(PIECE);
	int err = bytes ? 0 : -ENOMEM;

	while (!err && len) {
		size_t n = len < PIECE ? (size_t)len : PIECE;
		ssize_t got;

		for (size_t i = 0; i < n; i++)
			bytes[i] = content_byte(seed, offset + i);
		got = libfs_write(fs, &r->ctx.libfs, ino, LIBFS_NO_HANDLE, offset, bytes, n);
		if (got <= 0)
			err = got ? (int)got : -ENOSPC;
		else
			offset += (uint64_t)got, len -= (uint64_t)got;
	}
	free(bytes);
	return err;
}

/* ---- statements ---- */

static int do_format(struct recipe *r, const struct words *w)
{
	struct xn_format_opts opts = { .force = true, .now_ns = TIME_FIXED * 1000000000ll };
	uint64_t size;
	int err = recipe_number(r, w->v[1], &size);

	if (!err)
		err = recipe_close(r);
	if (err)
		return err;
	snprintf(opts.label, sizeof(opts.label), "%s", w->n > 2 ? w->v[2] : "recipe");
	for (unsigned i = 0; i < 16; i++)
		opts.uuid[i] = (uint8_t)(0x10 + i);
	if (!r->dev)
		err = bdev_mem_create(size, &r->dev);
	else
		(void)bdev_resize(r->dev, size); /* a device keeps its size */
	if (!err)
		err = xn_format(r->dev, &opts);
	return err ? fail_xn(r, "format", err) : 0;
}

static int do_root(struct recipe *r, const struct words *w)
{
	struct libfs_mkfs_opts opts = {
		.root = w->v[1],
		.options = w->n > 3 ? w->v[3] : NULL,
		.why = r->why,
		.why_size = RECIPE_WHY,
	};
	int err = disk_open(r);

	if (err)
		return err;
	opts.now = r->ctx.libfs.now;
	for (unsigned i = 0; i < 16; i++)
		opts.uuid[i] = (uint8_t)(0x40 + i + w->v[1][0]);
	err = libfs_mkfs(r->session, w->v[2], &opts);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int do_mkdir(struct recipe *r, const struct words *w)
{
	struct libfs_attr attr;
	struct spot spot;
	int err = spot_find(r, w->v[1], &spot);

	if (!err)
		err = libfs_mkdir(spot.fs, &r->ctx.libfs, spot.dir, spot.name, 0755, &attr);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int file_make(struct recipe *r, const char *path, uint64_t offset, uint64_t len)
{
	struct libfs_attr attr = { 0 };
	struct spot spot;
	int err = spot_find(r, path, &spot);

	if (!err)
		err = libfs_create(spot.fs, &r->ctx.libfs, spot.dir, spot.name, 0644, false, &attr);
	if (!err)
		err = content_write(r, spot.fs, attr.ino, seed_of(path), offset, len);
	return err && !*r->why ? fail_xn(r, path, err) : err;
}

/* file PATH SIZE [OFFSET]: what is before the offset is a hole. */
static int do_file(struct recipe *r, const struct words *w)
{
	uint64_t len, offset = 0;
	int err = recipe_number(r, w->v[2], &len);

	if (!err && w->n > 3)
		err = recipe_number(r, w->v[3], &offset);
	return err ? err : file_make(r, w->v[1], offset, len);
}

/* files DIR COUNT SIZE: f0000, f0001, ... */
static int do_files(struct recipe *r, const struct words *w)
{
	uint64_t count, len;
	char path[512];
	int err = recipe_number(r, w->v[2], &count);

	if (!err)
		err = recipe_number(r, w->v[3], &len);
	for (uint64_t i = 0; !err && i < count; i++) {
		snprintf(path, sizeof(path), "%s/f%04u", w->v[1], (unsigned)i);
		err = file_make(r, path, 0, len);
	}
	return err;
}

static int do_link(struct recipe *r, const struct words *w)
{
	struct libfs_attr attr = { 0 };
	struct spot old, new = { 0 };
	int err = file_find(r, w->v[1], &old, &attr);

	if (!err)
		err = spot_find(r, w->v[2], &new);
	if (!err)
		err = libfs_link(new.fs, &r->ctx.libfs, attr.ino, new.dir, new.name, &attr);
	return err && !*r->why ? fail_xn(r, w->v[2], err) : err;
}

static int do_symlink(struct recipe *r, const struct words *w)
{
	char long_target[LIBFS_SYMLINK_MAX + 1], *end;
	const char *target = w->v[2];
	unsigned long len = strtoul(target, &end, 10);
	struct libfs_attr attr;
	struct spot spot;
	int err = spot_find(r, w->v[1], &spot);

	/* A number stands for a target of that length. */
	if (!*end && len > 0 && len <= LIBFS_SYMLINK_MAX) {
		memset(long_target, 'x', len);
		long_target[len] = '\0';
		target = long_target;
	}
	if (!err)
		err = libfs_symlink(spot.fs, &r->ctx.libfs, spot.dir, spot.name, target, &attr);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int do_special(struct recipe *r, const struct words *w)
{
	bool fifo = strcmp(w->v[0], "fifo") == 0;
	struct libfs_attr attr;
	struct spot spot;
	int err = spot_find(r, w->v[1], &spot);

	if (!err)
		err = libfs_mknod(spot.fs, &r->ctx.libfs, spot.dir, spot.name,
				  (fifo ? S_IFIFO : S_IFCHR) | 0600u, fifo ? 0 : 0x105, &attr);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

/* xattr PATH NAME SIZE */
static int do_xattr(struct recipe *r, const struct words *w)
{
	struct libfs_attr attr;
	struct spot spot;
	uint64_t size;
	uint8_t *value;
	int err = recipe_number(r, w->v[3], &size);

	if (err || size > 65536)
		return err ? err : recipe_fail(r, -EINVAL, "at most 65536 bytes");
	err = file_find(r, w->v[1], &spot, &attr);
	value = malloc(size + 1);
	for (size_t i = 0; value && i < size; i++)
		value[i] = content_byte(seed_of(w->v[2]), i);
	if (!err)
		err = value ? libfs_setxattr(spot.fs, &r->ctx.libfs, attr.ino, w->v[2], value,
					     (size_t)size, 0)
			    : -ENOMEM;
	free(value);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int do_allocate(struct recipe *r, const struct words *w)
{
	struct libfs_attr attr = { 0 };
	struct spot spot;
	uint64_t size;
	int err = recipe_number(r, w->v[2], &size);

	if (!err)
		err = file_find(r, w->v[1], &spot, &attr);
	if (!err)
		err = libfs_fallocate(spot.fs, &r->ctx.libfs, attr.ino, LIBFS_FALLOC_KEEP_SIZE, 0,
				      size);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int do_remove(struct recipe *r, const struct words *w)
{
	struct spot spot;
	int err = spot_find(r, w->v[1], &spot);

	if (!err)
		err = libfs_unlink(spot.fs, &r->ctx.libfs, spot.dir, spot.name);
	if (err == -EISDIR)
		err = libfs_rmdir(spot.fs, &r->ctx.libfs, spot.dir, spot.name);
	return err && !*r->why ? fail_xn(r, w->v[1], err) : err;
}

static int do_allowance(struct recipe *r, const struct words *w)
{
	struct xn_allowance allowance = { 0 };
	uint64_t uid;
	int err = recipe_number(r, w->v[1], &uid);

	if (!err)
		err = recipe_number(r, w->v[2], &allowance.blocks);
	if (!err)
		err = disk_open(r);
	if (!err)
		err = xn_allowance_set(r->session, (uint32_t)uid, &allowance);
	return err && !*r->why ? fail_xn(r, "allowance", err) : err;
}

static int do_sync(struct recipe *r, const struct words *w)
{
	int err = 0;

	(void)w;
	for (unsigned i = 0; i < r->n_mounts && !err; i++)
		err = libfs_sync(r->mount[i].fs);
	return err ? fail_xn(r, "sync", err) : 0;
}

int recipe_make(struct recipe *r, const struct words *words)
{
	static const struct {
		const char *word;
		unsigned min, max; /* words */
		int (*run)(struct recipe *r, const struct words *words);
	} statements[] = {
		{ "format", 2, 3, do_format },     { "root", 3, 4, do_root },
		{ "mkdir", 2, 2, do_mkdir },       { "file", 3, 4, do_file },
		{ "files", 4, 4, do_files },       { "link", 3, 3, do_link },
		{ "symlink", 3, 3, do_symlink },   { "fifo", 2, 2, do_special },
		{ "device", 2, 2, do_special },    { "xattr", 4, 4, do_xattr },
		{ "allocate", 3, 3, do_allocate }, { "remove", 2, 2, do_remove },
		{ "sync", 1, 1, do_sync },         { "allowance", 3, 3, do_allowance },
	};

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		if (strcmp(words->v[0], statements[i].word) != 0)
			continue;
		if (words->n < statements[i].min || words->n > statements[i].max)
			return recipe_fail(r, -EINVAL, "\"%s\" takes %u to %u words", words->v[0],
					   statements[i].min - 1, statements[i].max - 1);
		return statements[i].run(r, words);
	}
	return 1;
}
