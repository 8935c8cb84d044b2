/* SPDX-License-Identifier: MIT */
/*
 * What a device holds.  See super.h.
 */
#include "super.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>
#include "xn/error.h"

/* How far from the start unknown data is looked for. */
#define LOOK_BYTES (1u << 20)

const char *plain_path(const char *name)
{
	return strncmp(name, "file:", 5) ? name : name + 5;
}

/* ---- superblock ---- */

static int found_super_at(struct bdev *dev, uint64_t block, struct xn_super *super)
{
	struct xn_super_disk disk;
	int err = bdev_read(dev, block * XN_BLOCK_SIZE, &disk, sizeof(disk));

	return err ? err : xn_super_decode(&disk, super);
}

int found_super(struct bdev *dev, struct xn_super *super, unsigned *copies)
{
	int first = found_super_at(dev, 0, super);
	unsigned valid = first == 0, count;
	struct bdev_info info;
	uint64_t places[3], blocks;

	bdev_info(dev, &info);
	blocks = valid ? super->block_count : info.size / XN_BLOCK_SIZE;
	if (blocks < XN_BLOCKS_MIN)
		return XN_EFOREIGN;
	count = xn_super_places(blocks, places);
	for (unsigned i = 1; i < count; i++) {
		struct xn_super one;

		if (found_super_at(dev, places[i], &one))
			continue;
		if (!valid++ || one.generation > super->generation)
			*super = one;
	}
	if (copies)
		*copies = valid;
	return valid ? 0 : first;
}

/* ---- anything else ---- */

static bool all_zero(const uint8_t *bytes, size_t len)
{
	return len == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, len - 1));
}

/* 1, 0, or an error. */
static int has_data(struct bdev *dev)
{
	struct bdev_info info;
	uint8_t *bytes;
	size_t len;
	int err;

	bdev_info(dev, &info);
	len = info.size < LOOK_BYTES ? (size_t)info.size : LOOK_BYTES;
	bytes = malloc(len ? len : 1);
	if (!bytes)
		return -ENOMEM;
	err = len ? bdev_read(dev, 0, bytes, len) : 0;
	if (!err)
		err = !all_zero(bytes, len);
	free(bytes);
	return err;
}

static void copy_value(blkid_probe probe, const char *key, char *out, size_t size)
{
	const char *value;

	out[0] = '\0';
	if (!blkid_probe_lookup_value(probe, key, &value, NULL))
		snprintf(out, size, "%s", value);
}

static blkid_probe probe_new(int fd)
{
	blkid_probe probe = blkid_new_probe();

	if (!probe)
		return NULL;
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
							 BLKID_SUBLKS_UUID | BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC);
	if (blkid_probe_set_device(probe, fd, 0, 0)) {
		blkid_free_probe(probe);
		return NULL;
	}
	return probe;
}

/* What libblkid knows.  1, 0 or -errno. */
static int known_look(const char *path, struct found *found)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
	blkid_probe probe;

	if (fd < 0)
		return -errno;
	probe = probe_new(fd);
	/* An empty file has nothing to probe, and libblkid says so by refusing it. */
	if (probe && blkid_do_fullprobe(probe) == 0) {
		copy_value(probe, "TYPE", found->kind, sizeof(found->kind));
		copy_value(probe, "LABEL", found->label, sizeof(found->label));
		copy_value(probe, "UUID", found->uuid, sizeof(found->uuid));
		if (!found->kind[0]) {
			copy_value(probe, "PTTYPE", found->kind, sizeof(found->kind));
			found->is_partitions = found->kind[0] != '\0';
		}
		result = found->kind[0] != '\0';
	}
	if (probe)
		blkid_free_probe(probe);
	close(fd);
	return result;
}

int found_look(const char *path, struct bdev *dev, struct found *found)
{
	struct xn_super super;
	int err;

	*found = (struct found){ 0 };
	err = found_super(dev, &super, NULL);
	if (err == 0 || err == XN_EVERSION || err == XN_EDAMAGED) {
		found->is_xn = true;
		strcpy(found->kind, "xn");
	}
	if (err == 0) {
		snprintf(found->label, sizeof(found->label), "%s", super.label);
		uuid_unparse_lower(super.uuid, found->uuid);
		snprintf(found->version, sizeof(found->version), "%u", XN_FORMAT_VERSION);
	}
	if (found->is_xn)
		return 1;
	err = known_look(path, found);
	if (err)
		return err;
	err = has_data(dev);
	found->is_data = err == 1;
	return err;
}

void found_text(const struct found *found, char text[FOUND_TEXT_MAX])
{
	char label[160] = "", uuid[80] = "";

	if (found->is_data) {
		strcpy(text, "data of a kind that is not known");
		return;
	}
	if (found->label[0])
		snprintf(label, sizeof(label), " labelled \"%s\"", found->label);
	if (found->uuid[0])
		snprintf(uuid, sizeof(uuid), " (UUID %s)", found->uuid);
	if (found->is_xn)
		snprintf(text, FOUND_TEXT_MAX, "an XN disk%s%s", label, uuid);
	else
		snprintf(text, FOUND_TEXT_MAX, "%s %s %s%s%s",
			 strchr("aeiou", found->kind[0]) ? "an" : "a", found->kind,
			 found->is_partitions ? "partition table" : "file system", label, uuid);
}

int found_wipe(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err = 0;
	blkid_probe probe;

	if (fd < 0)
		return -errno;
	probe = probe_new(fd);
	while (probe && !err && blkid_do_probe(probe) == 0)
		err = blkid_do_wipe(probe, 0) ? -EIO : 0;
	if (probe)
		blkid_free_probe(probe);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}
