/* SPDX-License-Identifier: MIT */
/*
 * Superblock and formatting.
 *
 *  (1) The superblock is one sector, so rewriting it is atomic; its copies serve
 *      when the medium fails.  The valid copy with the highest generation counts.
 *  (2) Whoever opens the disk for writing says so in the superblock, with an epoch of its own,
 *      before it writes anything else.  Before a superblock or a log's tail is written the one
 *      on the disk is read: if it is another's, nothing more is written, lock or no lock.
 *  (3) Formatting writes the same few blocks whatever the size of the disk, the
 *      superblock last: a disk half formatted is not an XN disk.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t disk_now_ns(const struct xn *xn)
{
	return xn->fixed_now_ns ? xn->fixed_now_ns : clock_now_ns();
}

/* ---- raw device access; called without the lock ---- */

int device_write(struct xn *xn, uint64_t offset, const void *bytes, size_t len)
{
	if (xn->broken)
		return xn->broken;
	return io_outcome(xn, bdev_write(xn->dev, offset, bytes, len, 0));
}

int device_flush(struct xn *xn)
{
	if (xn->broken)
		return xn->broken;
	return bdev_flush(xn->dev) ? io_break(xn) : 0;
}

/* ---- superblock ---- */

/* Read one copy; keep it if it is valid and newer than what `super` holds. */
static int super_read_copy(struct bdev *dev, xn_blk_t block, struct xn_super *super, bool *found)
{
	struct xn_super_disk disk;
	struct xn_super copy;
	struct bdev_info info;
	int err;

	bdev_info(dev, &info);
	if ((block + 1) * XN_BLOCK_SIZE > info.size)
		return XN_EFOREIGN;
	err = bdev_read(dev, block * XN_BLOCK_SIZE, &disk, sizeof(disk));
	if (err)
		return XN_EIO;
	err = xn_super_decode(&disk, &copy);
	if (err)
		return err;
	if (!*found || copy.generation > super->generation)
		*super = copy;
	*found = true;
	return 0;
}

int super_read(struct bdev *dev, struct xn_super *super)
{
	struct bdev_info info;
	uint64_t places[3], blocks;
	bool found = false;
	unsigned n;
	int err;

	bdev_info(dev, &info);
	err = super_read_copy(dev, 0, super, &found);
	if (err == XN_EVERSION)
		return err;
	blocks = found ? super->block_count : info.size / XN_BLOCK_SIZE;
	if (blocks < XN_BLOCKS_MIN)
		return XN_EFOREIGN;
	n = xn_super_places(blocks, places);
	for (unsigned i = 0; i < n; i++) {
		if (places[i] != 0)
			(void)super_read_copy(dev, places[i], super, &found);
	}
	return found ? 0 : err;
}

static int super_write_dev(struct bdev *dev, struct xn_super *super)
{
	struct xn_super_disk disk;
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);
	int err = 0;

	super->generation++;
	xn_super_encode(super, &disk);
	for (unsigned i = 0; i < n && !err; i++)
		err = bdev_write(dev, places[i] * XN_BLOCK_SIZE, &disk, sizeof(disk), 0);
	return err;
}

static bool is_place(uint64_t place, uint64_t block_count)
{
	uint64_t places[3];
	unsigned n = xn_super_places(block_count, places);

	for (unsigned i = 0; i < n; i++) {
		if (places[i] == place)
			return true;
	}
	return false;
}

/* To the places that only its own size has, or to the others, which a disk of the old size has. */
int super_write_where(struct xn *xn, const struct xn_super *super, uint64_t old_count,
		      bool only_new)
{
	struct xn_super_disk disk;
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);
	int err = 0;

	xn_super_encode(super, &disk);
	for (unsigned i = 0; i < n && !err; i++) {
		if (is_place(places[i], old_count) != only_new)
			err = device_write(xn, places[i] * XN_BLOCK_SIZE, &disk, sizeof(disk));
	}
	return err;
}

struct super_mark super_mark(const struct xn_super *super)
{
	struct super_mark mark = { .epoch = super->mount_epoch,
				   .pid = super->holder_pid,
				   .open_time = super->open_time };

	memcpy(mark.uuid, super->uuid, sizeof(mark.uuid));
	memcpy(mark.host, super->holder_host, sizeof(mark.host));
	return mark;
}

static bool mark_equal(const struct super_mark *a, const struct super_mark *b)
{
	return a->epoch == b->epoch && a->pid == b->pid && a->open_time == b->open_time &&
	       !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) &&
	       !memcmp(a->host, b->host, sizeof(a->host));
}

int super_fence(struct xn *xn)
{
	struct xn_super super;
	struct super_mark mark = { 0 };
	int err;

	if (xn->broken)
		return xn->broken;
	pthread_mutex_unlock(&xn->lock);
	err = super_read(xn->dev, &super);
	pthread_mutex_lock(&xn->lock);
	if (err == XN_EIO)
		return err;
	if (!err)
		mark = super_mark(&super);
	if (mark_equal(&mark, &xn->mark))
		return 0;
	xn->broken = XN_EFENCED;
	return XN_EFENCED;
}

int xn_set_label(struct xn_session *session, const char *label)
{
	struct xn *xn = session->xn;
	size_t len = strnlen(label, sizeof(xn->super.label));

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	if (len >= sizeof(xn->super.label))
		return -EINVAL;
	if (!xn->writable)
		return XN_EREADONLY;
	pthread_mutex_lock(&xn->lock);
	memset(xn->super.label, 0, sizeof(xn->super.label));
	memcpy(xn->super.label, label, len);
	pthread_mutex_unlock(&xn->lock);
	return 0;
}

int super_write(struct xn *xn)
{
	struct xn_super super;
	int err = super_fence(xn);

	if (err)
		return err;
	xn->super.write_time = disk_now_ns(xn);
	xn->super.free_blocks = xn->freemap.free_blocks;
	if (xn->super.free_blocks > xn->super.block_count) /* an estimate, of a disk that lied */
		xn->super.free_blocks = xn->super.block_count;
	super = xn->super;
	xn->super.generation++;
	pthread_mutex_unlock(&xn->lock);
	err = super_write_dev(xn->dev, &super);
	pthread_mutex_lock(&xn->lock);
	if (!err)
		xn->mark = super_mark(&super);
	return io_outcome(xn, err);
}

/* ---- formatting ---- */

static bool all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* The first 64 KiB hold every common file system's or partition table's signature. */
static int existing_check(struct bdev *dev)
{
	size_t len = 16 * XN_BLOCK_SIZE;
	uint8_t *bytes = malloc(len);
	int err;

	if (!bytes)
		return -ENOMEM;
	err = bdev_read(dev, 0, bytes, len);
	if (err)
		err = XN_EIO;
	else if (!all_zero(bytes, len))
		err = XN_EEXISTING;
	free(bytes);
	return err;
}

/* First block and twin of each catalogue: an empty chain of one. */
static int format_catalogues(struct bdev *dev, const struct xn_super *super, uint8_t *block)
{
	int err = 0;

	for (uint32_t kind = 0; kind < XN_CAT_KINDS && !err; kind++) {
		struct xn_cat_link link = { .kind = kind,
					    .seq = 1,
					    .self = super->catalogue[kind],
					    .twin = super->twin[kind] };

		memset(block, 0, XN_BLOCK_SIZE);
		xn_cat_link_encode(super, &link, block);
		err = bdev_write(dev, link.self * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE, 0);
		if (!err)
			err = bdev_write(dev, link.twin * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE, 0);
	}
	return err;
}

static int format_blocks(struct bdev *dev, struct xn_super *super)
{
	uint8_t *block = calloc(1, XN_BLOCK_SIZE);
	uint8_t bitmap[XN_MAP_CHUNK_BYTES];
	int err;

	if (!block)
		return -ENOMEM;
	/* Whatever was at block 0 is gone first, so that a stop half-way leaves no disk at all. */
	err = bdev_write(dev, 0, block, XN_BLOCK_SIZE, 0);
	if (!err)
		err = bdev_flush(dev);
	if (!err)
		err = format_catalogues(dev, super, block);
	for (uint64_t i = 0; i < super->log_blocks && !err; i++) {
		memset(block, 0, XN_BLOCK_SIZE);
		err = bdev_write(dev, (super->log_start + i) * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE,
				 0);
	}
	if (!err) {
		xn_map_fresh(super, 0, bitmap);
		xn_map_encode(super, 0, bitmap, block);
		err = bdev_write(dev, xn_map_block(0) * XN_BLOCK_SIZE, block, XN_BLOCK_SIZE, 0);
	}
	if (!err)
		err = bdev_flush(dev);
	if (!err)
		err = super_write_dev(dev, super);
	if (!err)
		err = bdev_flush(dev);
	free(block);
	return err;
}

/* Free blocks of an empty disk: all but the fixed ones of its first, second and last chunk. */
static uint64_t format_free(const struct xn_super *super)
{
	uint64_t chunks = xn_chunk_count(super->block_count), free_blocks = 0;
	uint8_t bitmap[XN_MAP_CHUNK_BYTES];

	for (uint64_t i = 0; i < chunks; i++) {
		if (i == 2 && chunks > 4) { /* those in between have one map block each */
			free_blocks += (chunks - 3) * (XN_CHUNK_BLOCKS - 1);
			i = chunks - 1;
		}
		xn_map_fresh(super, i, bitmap);
		for (uint32_t b = 0; b < XN_MAP_CHUNK_BYTES; b++)
			free_blocks += 8u - (unsigned)__builtin_popcount(bitmap[b]);
	}
	return free_blocks;
}

static int random_uuid(uint8_t uuid[16])
{
	if (!all_zero(uuid, 16))
		return 0;
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562, version 4 */
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

int xn_format(struct bdev *dev, const struct xn_format_opts *opts)
{
	struct xn_super super;
	struct bdev_info info;
	uint64_t blocks;
	int err;

	bdev_info(dev, &info);
	blocks = info.size / XN_BLOCK_SIZE;
	if (!info.writable)
		return XN_EREADONLY;
	if (blocks < XN_BLOCKS_MIN || blocks > XN_BLOCKS_MAX)
		return XN_ESIZE;
	if (strnlen(opts->label, sizeof(opts->label)) > 64)
		return -EINVAL;
	if (!opts->force) {
		err = existing_check(dev);
		if (err)
			return err;
	}
	memset(&super, 0, sizeof(super));
	xn_super_layout(blocks, &super);
	memcpy(super.uuid, opts->uuid, sizeof(super.uuid));
	err = random_uuid(super.uuid);
	if (err)
		return err;
	memcpy(super.label, opts->label, sizeof(super.label));
	super.format_time = opts->now_ns ? opts->now_ns : clock_now_ns();
	super.write_time = super.format_time;
	super.state = XN_STATE_CLEAN;
	super.high_water = 1;
	super.free_blocks = format_free(&super);
	err = format_blocks(dev, &super);
	if (err == 0 || err == XN_EUNKNOWN || err == -ENOMEM)
		return err;
	return XN_EIO;
}
