/* SPDX-License-Identifier: MIT */
/*
 * notefs: the smallest LibFS that keeps its promises, to begin your own with.  One directory of 31
 * files of up to 64 KiB.  See README.md.
 *
 *  (1) A record is in one sector, so a crash shows its old or its new bytes.  What one change of
 *      one record does is atomic; rename() over a file is two, in an order that loses neither.
 *  (2) XN writes the bytes of a new block before the record that names it.  Of a block that was there
 *      before nothing is said: so
 *  (3) bytes past the end of a file, in its last block, are zeroes.  Who cuts a file makes them so,
 *      and mount, after a crash.
 *  (4) `lock` is held in every operation from its first look at a record to its last.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libfs/libfs.h"
#include "notefs.h"
#include "notefs_templates.h"
#include "xn/endian.h"
#include "xn/xn.h"

#define FILE_MAX ((uint64_t)NOTE_BLOCKS * XN_BLOCK)

extern const struct libfs_type libfs_plugin;

struct record_disk {
	le32_t mode, generation;
	le64_t size;
	le64_t block[NOTE_BLOCKS];
	le64_t serial;
	le32_t uid, gid;
	le64_t time;
	le32_t nsec;
	uint8_t unused[20];
	char name[NOTE_NAME + 1];
};
_Static_assert(sizeof(struct record_disk) == NOTE_RECORD, "as notefs.h says");
_Static_assert(offsetof(struct record_disk, block) == NOTE_BLOCK, "where the template looks");
_Static_assert(offsetof(struct record_disk, serial) == NOTE_SERIAL, "");
_Static_assert(offsetof(struct record_disk, name) == NOTE_NAME_AT, "");

struct record {
	uint32_t mode, generation, uid, gid;
	uint64_t size, serial;
	uint64_t block[NOTE_BLOCKS];
	struct timespec time;
	char name[NOTE_NAME + 1];
};

struct notefs {
	struct libfs libfs; /* first */
	pthread_mutex_t lock;
	uint32_t root;
	xn_binding_t binding;
	xn_blk_t object;
	const struct record_disk *records; /* XN's own copy: looked at, never written */
	uint64_t serial;                   /* the highest there is */
	uint64_t refs[NOTE_RECORDS];       /* lookups and opens that were not given back */
};

static struct notefs *notefs_of(struct libfs *libfs)
{
	return (struct notefs *)libfs;
}

/* Take the lock; what enters, leaves with leave(). */
static struct notefs *enter(struct libfs *libfs)
{
	struct notefs *fs = notefs_of(libfs);

	pthread_mutex_lock(&fs->lock);
	return fs;
}

/* XN has refusals that have no errno; callers of a LibFS know only those. */
static int leave(struct notefs *fs, int result)
{
	pthread_mutex_unlock(&fs->lock);
	return result < 0 ? -xn_errno(result) : result;
}

/* ---- records ---- */

static void record_get(const struct notefs *fs, int slot, struct record *record)
{
	const struct record_disk *disk = &fs->records[slot];

	*record = (struct record){
		.mode = le32_get(disk->mode),
		.generation = le32_get(disk->generation),
		.uid = le32_get(disk->uid),
		.gid = le32_get(disk->gid),
		.size = le64_get(disk->size),
		.serial = le64_get(disk->serial),
		.time = { .tv_sec = (time_t)le64_get(disk->time), .tv_nsec = le32_get(disk->nsec) },
	};
	if (record->size > FILE_MAX) /* a disk says anything */
		record->size = FILE_MAX;
	for (int i = 0; i < NOTE_BLOCKS; i++)
		record->block[i] = le64_get(disk->block[i]);
	memcpy(record->name, disk->name, NOTE_NAME);
}

static void record_encode(const struct record *record, struct record_disk *disk)
{
	*disk = (struct record_disk){
		.mode = le32_make(record->mode),
		.generation = le32_make(record->generation),
		.uid = le32_make(record->uid),
		.gid = le32_make(record->gid),
		.size = le64_make(record->size),
		.serial = le64_make(record->serial),
		.time = le64_make((uint64_t)record->time.tv_sec),
		.nsec = le32_make((uint32_t)record->time.tv_nsec),
	};
	for (int i = 0; i < NOTE_BLOCKS; i++)
		disk->block[i] = le64_make(record->block[i]);
	memcpy(disk->name, record->name, NOTE_NAME);
}

/* XN says "not now" when cache, log or disk are full: help it, and try again. */
static bool try_again(struct notefs *fs, int err, int *tries)
{
	if (++*tries > 8)
		return false;
	if (err == XN_ECACHEFULL || err == XN_ELOGFULL || err == XN_EALLOWANCE)
		return libfs_make_room(fs->libfs.session, fs->root);
	if (err == XN_ENOSPACE || err == XN_EQUOTA)
		return libfs_reclaim(fs->libfs.session, fs->root);
	return false;
}

/*
 * Write a record.  `alloc` (or NULL): the blocks that it names and did not name before; the ones
 * that it names no more are freed.
 */
static int record_put(struct notefs *fs, int slot, const struct record *record,
		      const struct xn_extent *alloc)
{
	struct xn_extent frees[NOTE_BLOCKS];
	struct record_disk disk;
	struct record old;
	struct xn_edit edit = { .object = fs->object,
				.offset = (uint32_t)slot * NOTE_RECORD,
				.len = NOTE_RECORD,
				.bytes = &disk };
	struct xn_update update = { .edits = &edit,
				    .n_edits = 1,
				    .allocs = alloc,
				    .n_allocs = alloc ? 1 : 0,
				    .frees = frees };
	int err, tries = 0;

	record_get(fs, slot, &old);
	record_encode(record, &disk);
	for (int i = 0; i < NOTE_BLOCKS; i++)
		if (old.block[i] && record->block[i] != old.block[i])
			frees[update.n_frees++] = (struct xn_extent){ .start = old.block[i],
								      .count = 1,
								      .type = XN_DATA };
	do
		err = xn_update(fs->libfs.session, &update);
	while (err && try_again(fs, err, &tries));
	return err;
}

/* The record of an inode number, or -ESTALE. */
static int slot_get(const struct notefs *fs, libfs_ino_t ino, struct record *record)
{
	if (ino < 1 || ino > NOTE_RECORDS)
		return -ESTALE;
	record_get(fs, (int)ino - 1, record);
	return record->mode ? (int)ino - 1 : -ESTALE;
}

static int slot_find(const struct notefs *fs, const char *name, struct record *record)
{
	struct record one;
	int found = -ENOENT;

	memset(record, 0, sizeof(*record));
	for (int i = 1; i < NOTE_RECORDS; i++) {
		record_get(fs, i, &one);
		if (!one.mode || strcmp(one.name, name) != 0 || one.serial < record->serial)
			continue;
		*record = one;
		found = i;
	}
	return found;
}

/* Without a name and a reference a file is gone, with all its blocks. */
static int slot_drop(struct notefs *fs, int slot)
{
	struct record record, empty = { 0 };

	record_get(fs, slot, &record);
	if (slot == 0 || !record.mode || record.name[0] || fs->refs[slot])
		return 0;
	empty.generation = record.generation;
	return record_put(fs, slot, &empty, NULL);
}

static int slot_unname(struct notefs *fs, int slot)
{
	struct record record;
	int err;

	record_get(fs, slot, &record);
	memset(record.name, 0, sizeof(record.name));
	err = record_put(fs, slot, &record, NULL);
	return err ? err : slot_drop(fs, slot);
}

static void attr_fill(int slot, const struct record *record, struct libfs_attr *out)
{
	*out = (struct libfs_attr){
		.ino = (libfs_ino_t)slot + 1,
		.generation = record->generation,
		.mode = record->mode,
		.nlink = slot == 0 ? 2 : record->name[0] != '\0',
		.uid = record->uid,
		.gid = record->gid,
		.size = record->size,
		.blksize = XN_BLOCK,
		.atime = record->time,
		.mtime = record->time,
		.ctime = record->time,
		.btime = record->time,
	};
	for (int i = 0; i < NOTE_BLOCKS; i++)
		out->blocks += record->block[i] ? XN_BLOCK / 512 : 0;
}

/* Attributes for a caller who will use them further: with a reference. */
static int slot_give(struct notefs *fs, int slot, struct libfs_attr *out)
{
	struct record record;

	record_get(fs, slot, &record);
	attr_fill(slot, &record, out);
	fs->refs[slot]++;
	return 0;
}

/* May `cred` do that in the directory? */
static int dir_check(const struct notefs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     uint32_t mask)
{
	struct libfs_attr attr;
	struct record record;

	if (dir != LIBFS_ROOT_INO)
		return -ENOTDIR;
	record_get(fs, 0, &record);
	attr_fill(0, &record, &attr);
	return libfs_may(&attr, ctx->cred, mask);
}

static int dir_touch(struct notefs *fs, const struct libfs_ctx *ctx)
{
	struct record record;

	record_get(fs, 0, &record);
	record.time = ctx->now;
	return record_put(fs, 0, &record, NULL);
}

/* ---- mkfs ---- */

static int notefs_open_root(struct notefs *fs, const char *name)
{
	uint32_t access = XN_READ | XN_READIN;
	struct xn_root_info info;
	const void *bytes;
	size_t len;
	int err = xn_root_find(xn_session_disk(fs->libfs.session), name, &info);

	if (!(fs->libfs.flags & LIBFS_MOUNT_RDONLY))
		access |= XN_WRITE;
	if (!err)
		err = xn_bind_root(fs->libfs.session, name, access, &fs->binding, &fs->object);
	if (err)
		return err;
	err = xn_map(fs->libfs.session, fs->binding, &bytes, &len);
	if (err) {
		xn_unbind(fs->libfs.session, fs->binding);
		return err;
	}
	fs->root = info.id;
	fs->records = bytes;
	return 0;
}

static int notefs_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts)
{
	const struct libfs_root_plan plan = { .opts = opts,
					      .libfs = libfs_plugin.name,
					      .images = notefs_templates_image,
					      .lens = notefs_templates_image_len,
					      .n_images = notefs_templates_count };
	struct notefs fs = { .libfs = { .session = session } };
	struct record top = { .mode = S_IFDIR | (opts->mode ? opts->mode & 07777 : 0755),
			      .uid = opts->uid,
			      .gid = opts->gid,
			      .time = opts->now };
	struct xn_root_info info;
	int err = libfs_root_make(session, &plan, &info);

	if (!err)
		err = notefs_open_root(&fs, opts->root);
	if (err)
		return -xn_errno(err);
	err = record_put(&fs, 0, &top, NULL);
	xn_unbind(session, fs.binding);
	if (!err)
		err = xn_sync(session, info.id);
	return err ? -xn_errno(err) : 0;
}

/* ---- attributes ---- */

static int notefs_getattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  struct libfs_attr *out)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int slot = slot_get(fs, ino, &record);

	(void)ctx;
	if (slot >= 0)
		attr_fill(slot, &record, out);
	return leave(fs, slot < 0 ? slot : 0);
}

static int notefs_find(struct libfs *libfs, libfs_ino_t ino, uint32_t generation,
		       struct libfs_attr *out)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int slot = slot_get(fs, ino, &record);

	if (slot >= 0)
		slot = record.generation == generation ? slot_give(fs, slot, out) : -ESTALE;
	return leave(fs, slot);
}

static int notefs_access(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 uint32_t mask)
{
	struct libfs_attr attr;
	int err = notefs_getattr(libfs, ctx, ino, &attr);

	return err ? err : libfs_may(&attr, ctx->cred, mask);
}

static void notefs_forget(struct libfs *libfs, libfs_ino_t ino, uint64_t count)
{
	struct notefs *fs = enter(libfs);

	if (ino >= 1 && ino <= NOTE_RECORDS && count <= fs->refs[ino - 1]) {
		fs->refs[ino - 1] -= count;
		(void)slot_drop(fs, (int)ino - 1); /* if it fails, the next mount does it */
	}
	leave(fs, 0);
}

/* ---- bytes ---- */

static int block_bind(struct notefs *fs, int slot, uint64_t block, uint32_t access,
		      xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = fs->object,
		.record = (uint32_t)slot,
		.access = access,
		.extent = { .start = block, .count = 1, .type = XN_DATA },
	};

	return xn_bind(fs->libfs.session, &request, binding);
}

static int block_read(struct notefs *fs, int slot, uint64_t block, uint64_t at, void *bytes,
		      size_t len)
{
	xn_binding_t binding;
	int err = block_bind(fs, slot, block, XN_READ, &binding), tries = 0;

	if (err)
		return err;
	do
		err = xn_read(fs->libfs.session, binding, at, bytes, len);
	while (err && try_again(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

static int block_write(struct notefs *fs, int slot, uint64_t block, uint64_t at, const void *bytes,
		       size_t len)
{
	xn_binding_t binding;
	int err = block_bind(fs, slot, block, XN_READ | XN_WRITE, &binding), tries = 0;

	if (err)
		return err;
	do
		err = xn_write(fs->libfs.session, binding, at, bytes, len);
	while (err && try_again(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* A block that is new is written whole, once: nobody ever sees what it held before. */
static int block_make(struct notefs *fs, int slot, unsigned index, uint64_t at, const void *bytes,
		      size_t len)
{
	uint8_t whole[XN_BLOCK] = { 0 };
	struct xn_extent extent;
	struct record record;
	int err, tries = 0;

	do
		err = xn_find_free(fs->libfs.session, fs->object, 1, 1, &extent);
	while (err && try_again(fs, err, &tries));
	if (err)
		return err;
	record_get(fs, slot, &record);
	record.block[index] = extent.start;
	err = record_put(fs, slot, &record, &extent);
	if (err)
		return err;
	memcpy(whole + at, bytes, len);
	err = block_write(fs, slot, extent.start, 0, whole, XN_BLOCK);
	if (err) {
		record.block[index] = 0; /* a hole is better than a block that may not be shown */
		(void)record_put(fs, slot, &record, NULL);
	}
	return err;
}

/* (3) */
static int tail_clear(struct notefs *fs, int slot)
{
	static const uint8_t zeroes[XN_BLOCK];
	uint8_t tail[XN_BLOCK];
	struct record record;
	uint64_t at, block;
	int err;

	record_get(fs, slot, &record);
	at = record.size % XN_BLOCK;
	block = at ? record.block[record.size / XN_BLOCK] : 0;
	if (!block)
		return 0;
	err = block_read(fs, slot, block, at, tail, XN_BLOCK - at);
	if (err || memcmp(tail, zeroes, XN_BLOCK - at) == 0)
		return err;
	return block_write(fs, slot, block, at, zeroes, XN_BLOCK - at);
}

/* The end is on the disk before what was behind it is overwritten, and that before it is used again. */
static int cut_finish(struct notefs *fs, int slot)
{
	int err = xn_sync(fs->libfs.session, fs->root);

	if (!err)
		err = tail_clear(fs, slot);
	return err ? err : xn_sync(fs->libfs.session, fs->root);
}

static int size_set(struct notefs *fs, int slot, uint64_t size)
{
	struct record record;
	bool cut;
	int err;

	if (size > FILE_MAX)
		return -EFBIG;
	record_get(fs, slot, &record);
	cut = size < record.size;
	record.size = size;
	for (uint64_t i = (size + XN_BLOCK - 1) / XN_BLOCK; i < NOTE_BLOCKS; i++)
		record.block[i] = 0;
	err = record_put(fs, slot, &record, NULL);
	return !err && cut ? cut_finish(fs, slot) : err;
}

static int setattr_locked(struct notefs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  struct libfs_attr attr, uint32_t which, struct libfs_attr *out)
{
	struct libfs_attr old;
	struct record record;
	int slot = slot_get(fs, ino, &record), err;

	if (slot < 0)
		return slot;
	if (slot == 0 && (which & LIBFS_SET_SIZE))
		return -EISDIR;
	attr_fill(slot, &record, &old);
	err = libfs_setattr_prepare(&old, ctx, &attr, &which);
	if (!err && (which & LIBFS_SET_SIZE))
		err = size_set(fs, slot, attr.size);
	if (err)
		return err;
	record_get(fs, slot, &record);
	if (which & LIBFS_SET_MODE)
		record.mode = (record.mode & S_IFMT) | (attr.mode & 07777);
	if (which & LIBFS_SET_UID)
		record.uid = attr.uid;
	if (which & LIBFS_SET_GID)
		record.gid = attr.gid;
	if (which & LIBFS_SET_MTIME)
		record.time = attr.mtime;
	err = record_put(fs, slot, &record, NULL);
	if (!err && out)
		attr_fill(slot, &record, out);
	return err;
}

static int notefs_setattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	struct notefs *fs = enter(libfs);

	return leave(fs, setattr_locked(fs, ctx, ino, *attr, which, out));
}

static int notefs_open(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       uint32_t flags, uint64_t *handle)
{
	struct notefs *fs = enter(libfs);
	struct libfs_attr attr;
	struct record record;
	int slot = slot_get(fs, ino, &record), err = slot < 0 ? slot : 0;

	if (!err) {
		attr_fill(slot, &record, &attr);
		err = libfs_may(&attr, ctx->cred, libfs_open_mask(flags));
	}
	if (!err)
		fs->refs[slot]++;
	*handle = 1; /* nothing to remember, but 0 is LIBFS_NO_HANDLE */
	return leave(fs, err);
}

static void notefs_release(struct libfs *libfs, libfs_ino_t ino, uint64_t handle)
{
	(void)handle;
	notefs_forget(libfs, ino, 1);
}

static ssize_t read_locked(struct notefs *fs, libfs_ino_t ino, uint64_t offset, uint8_t *buffer,
			   size_t len)
{
	struct record record;
	int slot = slot_get(fs, ino, &record), err = 0;
	size_t done = 0;

	if (slot <= 0)
		return slot < 0 ? slot : -EISDIR;
	if (offset >= record.size)
		return 0;
	if (len > record.size - offset)
		len = record.size - offset;
	while (done < len && !err) {
		uint64_t at = (offset + done) % XN_BLOCK;
		uint64_t block = record.block[(offset + done) / XN_BLOCK];
		size_t n = XN_BLOCK - at < len - done ? XN_BLOCK - at : len - done;

		if (block)
			err = block_read(fs, slot, block, at, buffer + done, n);
		else
			memset(buffer + done, 0, n);
		done += n;
	}
	return err ? err : (ssize_t)done;
}

static ssize_t notefs_read(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			   uint64_t handle, uint64_t offset, void *buffer, size_t len)
{
	struct notefs *fs = enter(libfs);

	(void)ctx, (void)handle;
	if (len > FILE_MAX)
		len = FILE_MAX;
	return leave(fs, (int)read_locked(fs, ino, offset, buffer, len));
}

/* The bytes; returns how many, or why there are none. */
static ssize_t bytes_put(struct notefs *fs, int slot, uint64_t offset, const uint8_t *bytes,
			 size_t len)
{
	struct record record;
	size_t done = 0;
	int err = 0;

	while (done < len) {
		uint64_t at = (offset + done) % XN_BLOCK, index = (offset + done) / XN_BLOCK;
		size_t n = XN_BLOCK - at < len - done ? XN_BLOCK - at : len - done;

		record_get(fs, slot, &record);
		if (record.block[index])
			err = block_write(fs, slot, record.block[index], at, bytes + done, n);
		else
			err = block_make(fs, slot, (unsigned)index, at, bytes + done, n);
		if (err)
			break;
		done += n;
	}
	return done ? (ssize_t)done : err;
}

static ssize_t write_locked(struct notefs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    uint64_t offset, const uint8_t *bytes, size_t len)
{
	struct record record;
	int slot = slot_get(fs, ino, &record), err;
	ssize_t done;

	if (slot <= 0)
		return slot < 0 ? slot : -EISDIR;
	if (offset >= FILE_MAX && len)
		return -EFBIG;
	if (len > FILE_MAX - offset)
		len = FILE_MAX - offset;
	done = bytes_put(fs, slot, offset, bytes, len);
	if (done <= 0)
		return done;
	record_get(fs, slot, &record);
	if (offset + (uint64_t)done > record.size)
		record.size = offset + (uint64_t)done;
	record.time = ctx->now;
	record.mode = libfs_mode_written(record.mode, record.gid, ctx->cred);
	err = record_put(fs, slot, &record, NULL);
	return err ? err : done;
}

static ssize_t notefs_write(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	struct notefs *fs = enter(libfs);

	(void)handle;
	return leave(fs, (int)write_locked(fs, ctx, ino, offset, bytes, len));
}

/* Where the bytes lie, for `xn layout` and `xn map`. */
static ssize_t notefs_extents(struct libfs *libfs, libfs_ino_t ino, uint64_t offset, uint64_t len,
			      struct libfs_extent *out, size_t max)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int slot = slot_get(fs, ino, &record);
	size_t n = 0;

	if (slot <= 0)
		return leave(fs, slot < 0 ? slot : -EISDIR);
	for (uint64_t i = offset / XN_BLOCK; i < NOTE_BLOCKS && i * XN_BLOCK < offset + len; i++)
		if (record.block[i] && n < max)
			out[n++] = (struct libfs_extent){ .offset = i * XN_BLOCK,
							  .len = XN_BLOCK,
							  .place = record.block[i] * XN_BLOCK };
	return leave(fs, (int)n);
}

/* ---- names ---- */

static int notefs_lookup(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			 const char *name, struct libfs_attr *out)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int err = dir_check(fs, ctx, dir, LIBFS_MAY_EXEC), slot = 0;

	if (!err && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		slot = slot_find(fs, name, &record);
	if (!err)
		err = slot < 0 ? slot : slot_give(fs, slot, out);
	return leave(fs, err);
}

static int slot_take(struct notefs *fs, const struct libfs_ctx *ctx, const char *name,
		     uint32_t mode, struct libfs_attr *out)
{
	struct record record, top;
	int slot = 1, err;

	if (strlen(name) > NOTE_NAME)
		return -ENAMETOOLONG;
	for (; slot < NOTE_RECORDS; slot++) {
		record_get(fs, slot, &record);
		if (!record.mode)
			break;
	}
	if (slot == NOTE_RECORDS)
		return -ENOSPC;
	record_get(fs, 0, &top);
	record = (struct record){ .mode = S_IFREG | (mode & 07777 & ~ctx->umask),
				  .generation = record.generation + 1,
				  .serial = ++fs->serial,
				  .uid = ctx->cred->uid,
				  .time = ctx->now };
	libfs_inherit(top.mode, top.gid, ctx, &record.mode, &record.gid);
	memcpy(record.name, name, strlen(name));
	err = record_put(fs, slot, &record, NULL);
	if (!err)
		err = dir_touch(fs, ctx);
	return err ? err : slot_give(fs, slot, out);
}

static int notefs_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			 const char *name, uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int err = dir_check(fs, ctx, dir, LIBFS_MAY_EXEC), slot;

	if (err)
		return leave(fs, err);
	slot = slot_find(fs, name, &record);
	if (slot >= 0)
		return leave(fs, exclusive ? -EEXIST : slot_give(fs, slot, out));
	err = dir_check(fs, ctx, dir, LIBFS_MAY_WRITE);
	return leave(fs, err ? err : slot_take(fs, ctx, name, mode, out));
}

/* The file of that name, which `ctx` may take out of the directory. */
static int slot_find_removable(struct notefs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			       const char *name, struct record *record)
{
	int err = dir_check(fs, ctx, dir, LIBFS_MAY_WRITE | LIBFS_MAY_EXEC), slot;
	struct libfs_attr top_attr, attr;
	struct record top;

	if (err)
		return err;
	slot = slot_find(fs, name, record);
	if (slot < 0)
		return slot;
	record_get(fs, 0, &top);
	attr_fill(0, &top, &top_attr);
	attr_fill(slot, record, &attr);
	err = libfs_may_remove(&top_attr, &attr, ctx->cred);
	return err ? err : slot;
}

static int notefs_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			 const char *name)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int slot = slot_find_removable(fs, ctx, dir, name, &record);
	int err = slot < 0 ? slot : slot_unname(fs, slot);

	return leave(fs, err ? err : dir_touch(fs, ctx));
}

/*
 * The new name has the higher serial: it counts from the moment that it is on the disk.  It is there
 * before the file that it replaces goes, and before anybody can take the old name for another.
 */
static int rename_locked(struct notefs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
			 const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct record record, replaced;
	int slot = slot_find_removable(fs, ctx, from_dir, from, &record), old, err;

	if (slot < 0 || flags & ~LIBFS_RENAME_NOREPLACE)
		return slot < 0 ? slot : -EINVAL;
	old = slot_find_removable(fs, ctx, to_dir, to, &replaced);
	if (old < 0 && old != -ENOENT)
		return old;
	if (old > 0 && flags & LIBFS_RENAME_NOREPLACE)
		return -EEXIST;
	if (old == slot)
		return 0;
	if (strlen(to) > NOTE_NAME)
		return -ENAMETOOLONG;
	memset(record.name, 0, sizeof(record.name));
	memcpy(record.name, to, strlen(to));
	record.serial = ++fs->serial;
	err = record_put(fs, slot, &record, NULL);
	if (!err)
		err = xn_sync(fs->libfs.session, fs->root);
	if (!err && old > 0)
		err = slot_unname(fs, old);
	return err ? err : dir_touch(fs, ctx);
}

static int notefs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
			 const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct notefs *fs = enter(libfs);

	return leave(fs, rename_locked(fs, ctx, from_dir, from, to_dir, to, flags));
}

/* Cookies: 0 and 1 are "." and "..", 1 + n is record n. */
static void entry_fill(struct notefs *fs, uint64_t cookie, const struct record *record,
		       uint32_t flags, struct libfs_dirent *out)
{
	int slot = cookie < 2 ? 0 : (int)cookie - 1;
	const char *name = cookie == 0 ? "." : cookie == 1 ? ".." : record->name;

	*out = (struct libfs_dirent){ .ino = (libfs_ino_t)slot + 1,
				      .cookie = cookie + 1,
				      .type = (record->mode & S_IFMT) >> 12,
				      .name_len = (uint32_t)strlen(name) };
	memcpy(out->name, name, strlen(name));
	attr_fill(slot, record, &out->attr);
	if (flags & LIBFS_READDIR_PLUS && cookie >= 2)
		fs->refs[slot]++;
}

static ssize_t notefs_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			      uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	size_t n = 0;

	(void)ctx; /* permission was asked by open */
	if (dir != LIBFS_ROOT_INO)
		return leave(fs, -ENOTDIR);
	for (; cookie <= NOTE_RECORDS && n < max; cookie++) {
		record_get(fs, cookie < 2 ? 0 : (int)cookie - 1, &record);
		if (cookie < 2 || (record.mode && record.name[0]))
			entry_fill(fs, cookie, &record, flags, &out[n++]);
	}
	return leave(fs, (int)n);
}

/* ---- durable ---- */

static int notefs_sync(struct libfs *libfs)
{
	struct notefs *fs = enter(libfs);

	return leave(fs, xn_sync(libfs->session, fs->root));
}

static int notefs_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only)
{
	(void)ino, (void)data_only;
	return notefs_sync(libfs);
}

static int notefs_statfs(struct libfs *libfs, struct libfs_statfs *out)
{
	struct notefs *fs = enter(libfs);
	struct record record;
	int err = libfs_space(libfs->session, fs->root, out);

	out->files = NOTE_RECORDS;
	out->files_free = 0;
	out->name_max = NOTE_NAME;
	for (int i = 1; i < NOTE_RECORDS; i++) {
		record_get(fs, i, &record);
		out->files_free += !record.mode;
	}
	return leave(fs, err);
}

/* ---- mount ---- */

/* Files without a name, names that a rename had not taken away yet, bytes past an end. */
static int slot_recover(struct notefs *fs, int slot, const struct record *record)
{
	struct record other;

	if (!record->name[0])
		return slot_drop(fs, slot);
	if (slot_find(fs, record->name, &other) != slot)
		return slot_unname(fs, slot);
	return tail_clear(fs, slot);
}

/* Whether or not the disk is clean: xn-fsck may have made it so, which knows nothing of this. */
static int recover(struct notefs *fs)
{
	bool may_write = !(fs->libfs.flags & LIBFS_MOUNT_RDONLY);
	struct record record;
	int err = 0;

	for (int i = 1; i < NOTE_RECORDS && !err; i++) {
		record_get(fs, i, &record);
		if (record.serial > fs->serial)
			fs->serial = record.serial;
		if (record.mode && may_write)
			err = slot_recover(fs, i, &record);
	}
	return !err && may_write ? xn_sync(fs->libfs.session, fs->root) : err;
}

static int notefs_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
			struct libfs **out)
{
	struct notefs *fs = calloc(1, sizeof(*fs));
	int err;

	if (!fs)
		return -ENOMEM;
	fs->libfs =
		(struct libfs){ .type = &libfs_plugin, .session = session, .flags = opts->flags };
	pthread_mutex_init(&fs->lock, NULL);
	err = notefs_open_root(fs, opts->root);
	if (err)
		goto fail_open;
	err = recover(fs);
	if (err)
		goto fail_recover;
	*out = &fs->libfs;
	return 0;

fail_recover:
	xn_unbind(session, fs->binding);
fail_open:
	libfs_say(opts->why, opts->why_size, "%s", xn_strerror(err));
	pthread_mutex_destroy(&fs->lock);
	free(fs);
	return -xn_errno(err);
}

static int notefs_unmount(struct libfs *libfs)
{
	struct notefs *fs = notefs_of(libfs);
	int err = 0;

	if (!(libfs->flags & LIBFS_MOUNT_RDONLY))
		err = xn_sync(libfs->session, fs->root);
	xn_unbind(libfs->session, fs->binding);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
	return err ? -xn_errno(err) : 0;
}

static const struct libfs_ops ops = {
	.mkfs = notefs_mkfs,
	.mount = notefs_mount,
	.unmount = notefs_unmount,
	.lookup = notefs_lookup,
	.forget = notefs_forget,
	.find = notefs_find,
	.getattr = notefs_getattr,
	.setattr = notefs_setattr,
	.access = notefs_access,
	.create = notefs_create,
	.unlink = notefs_unlink,
	.rename = notefs_rename,
	.readdir = notefs_readdir,
	.open = notefs_open,
	.release = notefs_release,
	.read = notefs_read,
	.write = notefs_write,
	.extents = notefs_extents,
	.fsync = notefs_fsync,
	.sync = notefs_sync,
	.statfs = notefs_statfs,
};

const struct libfs_type libfs_plugin = {
	.name = "notefs",
	.about = "31 notes to begin your own with",
	.version = 1,
	.ops = &ops,
};
