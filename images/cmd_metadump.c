/* SPDX-License-Identifier: MIT */
/*
 * metadump and restore: a disk without what is in its files, for reports of bugs.
 *
 *  (1) Taken are XN's own blocks, the objects of all roots, and the blocks of
 *      directories.  What nobody names, and what files hold, is not; bytes of files
 *      that lie in objects become zeroes (libfs_anatomy.scrub).  Names, targets of
 *      links and extended attributes are taken.
 *  (2) A dump is compressed by zlib: a head, blocks by rising number, an end that
 *      counts them.  One without its end restores nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "libfs/anatomy.h"
#include "xn/bdev.h"
#include "xn/endian.h"

#include "cmd.h"
#include "places.h"
#include "side.h"

#define MAGIC      "XNMETA1\n"
#define BLOCKS_MAX ((uint64_t)1 << 48)
#define END        UINT64_MAX

struct head {
	char magic[8];
	le64_t block_size, blocks;
	uint8_t reserved[40];
};

struct record {
	le64_t block; /* END: `count` follows instead of the bytes of a block */
};

/* Objects of one type, and of which LibFS. */
struct stretch {
	uint64_t start, count;
	uint32_t type, root;
};

struct metadump {
	struct image *image;
	struct tool *tool;
	struct bdev *dev;
	uint64_t blocks, taken;
	uint8_t *wanted;         /* a bit for each block */
	uint8_t *owned;          /* by some root */
	struct stretch *stretch; /* sorted once all are there */
	size_t n_stretches, room;
	gzFile out;
};

static bool bit_get(const uint8_t *map, uint64_t block)
{
	return map[block / 8] >> (block % 8) & 1;
}

static void bits_set(const struct metadump *dump, uint8_t *map, uint64_t start, uint64_t count)
{
	for (uint64_t i = 0; i < count && start + i < dump->blocks; i++)
		map[(start + i) / 8] |= (uint8_t)(1u << ((start + i) % 8));
}

/* ---- which blocks ---- */

static int stretch_add(struct metadump *dump, const struct xn_walk_item *item)
{
	if (dump->n_stretches == dump->room) {
		size_t room = dump->room ? 2 * dump->room : 256;
		struct stretch *grown = realloc(dump->stretch, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		dump->stretch = grown;
		dump->room = room;
	}
	dump->stretch[dump->n_stretches++] =
		(struct stretch){ item->extent.start, item->extent.count, item->extent.type,
				  item->root };
	return 0;
}

static int by_start(const void *left, const void *right)
{
	const struct stretch *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

static int holds(const void *key, const void *member)
{
	const struct stretch *stretch = member;
	uint64_t block = *(const uint64_t *)key;

	if (block < stretch->start)
		return -1;
	return block - stretch->start >= stretch->count;
}

static int want_objects(struct metadump *dump)
{
	struct xn_walk_item item;
	struct xn_walker *walker;
	int got = xn_walker_create(image_session(dump->image), 0, &walker);

	if (got)
		return got;
	while ((got = xn_walker_next(walker, &item)) == 1) {
		if (item.error || item.extent.type <= XN_RESERVED)
			continue;
		bits_set(dump, dump->wanted, item.extent.start, item.extent.count);
		got = stretch_add(dump, &item);
		if (got)
			break;
	}
	xn_walker_destroy(walker);
	if (!got && dump->n_stretches)
		qsort(dump->stretch, dump->n_stretches, sizeof(*dump->stretch), by_start);
	return got;
}

/* XN's own; what a crash lost is nobody's and may be anything. */
static int want_own(struct metadump *dump)
{
	struct own_places places;
	int err = own_places_read(dump->image, &places);

	for (size_t i = 0; i < places.count; i++)
		bits_set(dump, dump->wanted, places.place[i].start, places.place[i].count);
	for (uint64_t chunk = 0; chunk * XN_CHUNK_BLOCKS < dump->blocks; chunk++)
		bits_set(dump, dump->wanted, xn_map_block(chunk), 1);
	own_places_fini(&places);
	return err == XN_EDAMAGED ? 0 : err; /* what can be read of it is in the dump */
}

static void want_extents(struct metadump *dump, struct libfs *fs, const struct libfs_attr *attr)
{
	struct libfs_extent extent;
	uint64_t at = 0;

	while (at < attr->size &&
	       libfs_extents(fs, attr->ino, at, attr->size - at, &extent, 1) == 1) {
		if (extent.place != LIBFS_NOWHERE)
			bits_set(dump, dump->wanted, extent.place / XN_BLOCK,
				 (extent.len + XN_BLOCK - 1) / XN_BLOCK);
		if (extent.offset + extent.len <= at)
			return;
		at = extent.offset + extent.len;
	}
}

/* Directories and long targets of links that are data to XN.  What cannot be read is not taken. */
static void want_dir(struct metadump *dump, struct side *side, const struct side_dir *dir,
		     unsigned depth)
{
	struct libfs_attr attr;
	struct entries list;

	if (depth == DEPTH_MAX || side->ops->look(side, dir, ".", &attr) ||
	    side->ops->list(side, dir, &list))
		return;
	want_extents(dump, dir->fs, &attr);
	for (size_t i = 0; i < list.count; i++) {
		struct side_dir inner;

		if (side->ops->look(side, dir, list.entry[i].name, &attr) == 0 &&
		    S_ISLNK(attr.mode))
			want_extents(dump, dir->fs, &attr);
		if (side->ops->open_dir(side, dir, list.entry[i].name, &inner))
			continue;
		want_dir(dump, side, &inner, depth + 1);
		side->ops->close_dir(side, &inner);
	}
	entries_free(&list);
}

static void want_dirs(struct metadump *dump)
{
	struct side side = side_of_image(dump->image);
	struct xn_root_info root = { 0 };

	while (xn_root_next(image_disk(dump->image), root.id, &root) == 0) {
		struct side_dir dir = { .id = LIBFS_ROOT_INO };

		if (image_mount(dump->image, root.name, &dir.fs) == 0)
			want_dir(dump, &side, &dir, 0);
		else
			say_done(dump->tool,
				 "/%s cannot be mounted: if its directories are data, they are not "
				 "taken",
				 root.name);
	}
}

/* ---- writing ---- */

/* What files hold and lies in the block of an object becomes zeroes. */
static void scrub(struct metadump *dump, uint64_t block, uint8_t *bytes)
{
	const struct stretch *stretch =
		dump->n_stretches
			? bsearch(&block, dump->stretch, dump->n_stretches, sizeof(*stretch), holds)
			: NULL;
	const struct libfs_anatomy *anatomy;
	struct xn_root_info root;
	char type[80];

	if (!stretch || xn_root_next(image_disk(dump->image), stretch->root - 1, &root))
		return;
	anatomy = libfs_anatomy_find(root.libfs);
	type_name(dump->image, stretch->type, type);
	if (anatomy)
		anatomy->scrub(type, bytes, XN_BLOCK);
}

static bool is_zero(const uint8_t *bytes)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, XN_BLOCK - 1);
}

static int put(struct metadump *dump, const void *bytes, unsigned len)
{
	return gzwrite(dump->out, bytes, len) == (int)len ? 0 : -EIO;
}

static int put_block(struct metadump *dump, uint64_t block)
{
	struct record record = { le64_make(block) };
	uint8_t bytes[XN_BLOCK];
	int err = bdev_read(dump->dev, block * XN_BLOCK, bytes, sizeof(bytes));

	if (err || is_zero(bytes))
		return err;
	scrub(dump, block, bytes);
	err = put(dump, &record, sizeof(record));
	if (!err)
		err = put(dump, bytes, sizeof(bytes));
	dump->taken += !err;
	return err;
}

static int put_all(struct metadump *dump)
{
	struct head head = { .block_size = le64_make(XN_BLOCK), .blocks = le64_make(dump->blocks) };
	struct record end[2] = { { le64_make(END) } };
	int err;

	memcpy(head.magic, MAGIC, sizeof(head.magic));
	err = put(dump, &head, sizeof(head));
	for (uint64_t at = 0; at < dump->blocks && !err; at++) {
		if (bit_get(dump->wanted, at))
			err = put_block(dump, at);
		if (at % XN_CHUNK_BLOCKS == 0)
			say_progress(dump->tool, "%" PRIu64 " blocks", dump->taken);
	}
	end[1].block = le64_make(dump->taken);
	return err ? err : put(dump, end, sizeof(end));
}

static int collect(struct metadump *dump)
{
	struct xn_disk_info info;
	int err = xn_disk_info(image_disk(dump->image), &info);

	if (err)
		return err;
	dump->blocks = info.block_count;
	dump->wanted = calloc(1, dump->blocks / 8 + 1);
	if (!dump->wanted)
		return -ENOMEM;
	err = want_objects(dump);
	if (!err)
		err = want_own(dump);
	if (!err)
		want_dirs(dump);
	return err;
}

/* The dump is only its owner's: names are in it. */
static int out_open(struct tool *tool, const char *name, bool force, int *fd)
{
	*fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0600);
	if (*fd >= 0)
		return 0;
	if (errno == EEXIST)
		return say_failure(tool, name, "it is there already; --force overwrites it"),
		       -EEXIST;
	return say_error(tool, name, -errno, NULL), -errno;
}

static int write_dump(struct metadump *dump, const char *name, bool force)
{
	int fd, err = out_open(dump->tool, name, force, &fd);

	if (err)
		return err;
	dump->out = gzdopen(fd, "wb6");
	if (!dump->out) {
		close(fd);
		return say_error(dump->tool, name, -ENOMEM, NULL), -ENOMEM;
	}
	err = put_all(dump);
	if (gzclose(dump->out) != Z_OK && !err)
		err = -EIO;
	say_progress(dump->tool, NULL);
	if (err)
		say_error(dump->tool, name, err, NULL);
	return err;
}

int cmd_metadump(struct tool *tool, const struct args *args)
{
	struct metadump dump = { .tool = tool };
	int err, close_err;

	if (image_open(tool, args->operands[0], 0, &dump.image))
		return EXIT_FAIL;
	err = bdev_open(image_name(dump.image), BDEV_OPEN_RDONLY, 0, &dump.dev);
	if (!err) {
		err = collect(&dump);
		if (err)
			say_error(tool, image_name(dump.image), err, NULL);
		else
			err = write_dump(&dump, args->operands[1], args_flag(args, "force"));
		bdev_close(dump.dev);
	} else {
		say_error(tool, image_name(dump.image), err, NULL);
	}
	if (!err)
		say_done(tool, "%s holds %" PRIu64 " blocks of %" PRIu64, args->operands[1],
			 dump.taken, dump.blocks);
	free(dump.wanted);
	free(dump.stretch);
	close_err = image_close(dump.image);
	return err || close_err ? EXIT_FAIL : EXIT_OK;
}

/* ---- restore ---- */

static bool get(gzFile in, void *bytes, unsigned len)
{
	return gzread(in, bytes, len) == (int)len;
}

static int restore_blocks(gzFile in, int fd, uint64_t blocks, uint64_t *restored)
{
	uint8_t bytes[XN_BLOCK];
	struct record record;
	uint64_t block;

	for (;;) {
		if (!get(in, &record, sizeof(record)))
			return -EUCLEAN;
		block = le64_get(record.block);
		if (block == END)
			break;
		if (block >= blocks || !get(in, bytes, sizeof(bytes)))
			return -EUCLEAN;
		if (pwrite(fd, bytes, sizeof(bytes), (off_t)(block * XN_BLOCK)) != XN_BLOCK)
			return errno ? -errno : -EIO;
		++*restored;
	}
	return get(in, &record, sizeof(record)) && le64_get(record.block) == *restored ? 0
										       : -EUCLEAN;
}

static int restore_into(struct tool *tool, gzFile in, const char *dump, const char *name,
			bool force)
{
	struct head head;
	uint64_t blocks, restored = 0;
	int fd, err;

	if (!get(in, &head, sizeof(head)) || memcmp(head.magic, MAGIC, sizeof(head.magic)) ||
	    le64_get(head.block_size) != XN_BLOCK || le64_get(head.blocks) > BLOCKS_MAX)
		return say_failure(tool, dump, "it is no dump that `xn metadump` made"), -EUCLEAN;
	blocks = le64_get(head.blocks);
	err = out_open(tool, name, force, &fd);
	if (err)
		return err;
	if (ftruncate(fd, (off_t)(blocks * XN_BLOCK))) {
		err = -errno;
		say_error(tool, name, err, NULL);
	} else {
		err = restore_blocks(in, fd, blocks, &restored);
		if (err == -EUCLEAN)
			say_failure(tool, dump, "it is damaged or was cut off");
		else if (err)
			say_error(tool, name, err, NULL);
	}
	if (close(fd) && !err) {
		err = -errno;
		say_error(tool, name, err, NULL);
	}
	if (err)
		unlink(name); /* half a disk helps nobody */
	else
		say_done(tool, "%s has %" PRIu64 " blocks of %" PRIu64, name, restored, blocks);
	return err;
}

/* Nobody may be using what is to be overwritten. */
static int lock_check(struct tool *tool, const char *name, struct bdev **dev)
{
	struct stat st;
	int err;

	*dev = NULL;
	if (stat(name, &st))
		return 0;
	if (!S_ISREG(st.st_mode))
		return say_failure(tool, name, "dumps are restored into files"), -EINVAL;
	err = bdev_open(name, BDEV_OPEN_RDWR, 0, dev);
	if (!err)
		err = bdev_lock(*dev, true, 0);
	if (err)
		say_error(tool, name, err, NULL);
	return err;
}

int cmd_restore(struct tool *tool, const struct args *args)
{
	const char *dump = args->operands[0], *name = args->operands[1];
	bool force = args_flag(args, "force");
	struct bdev *dev = NULL;
	gzFile in = gzopen(dump, "rb");
	int err = 0;

	if (!in)
		return say_error(tool, dump, errno ? -errno : -ENOMEM, NULL);
	if (force)
		err = lock_check(tool, name, &dev);
	if (!err)
		err = restore_into(tool, in, dump, name, force);
	if (dev)
		bdev_close(dev);
	gzclose(in);
	return err ? EXIT_FAIL : EXIT_OK;
}
