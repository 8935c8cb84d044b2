/* SPDX-License-Identifier: MIT */
/*
 * Where simplefs keeps what.  See libfs/anatomy.h; README.md lists the fields.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/anatomy.h"
#include "format.h"
#include "anatomy_text.h"

#define BLOCKS_MAX 65536u /* of a directory that is looked through */

struct found {
	uint32_t ino;
	struct sfs_fields fields;
	uint64_t table; /* block of the inode table ... */
	uint32_t at;    /* ... and the inode in it */
	/* The name that led here; block 0: none did. */
	uint64_t slot_block;
	uint32_t slot_at, name_len;
};

static int pointer_read(const struct anatomy_disk *disk, uint64_t block, uint32_t offset,
			uint64_t *out)
{
	uint8_t bytes[SFS_BLOCK];
	int err = disk->read(disk->arg, block, bytes);

	if (err)
		return err;
	*out = le64_load(bytes + offset);
	return *out ? 0 : -ENOENT;
}

static int inode_find(const struct anatomy_disk *disk, uint32_t ino, struct found *out)
{
	uint32_t table = (ino - 1) / SIMPLEFS_ITAB_INODES;
	struct sfs_inode_disk inodes[SIMPLEFS_ITAB_INODES];
	uint64_t map;
	int err;

	if (ino == 0 || ino > SFS_INODES_MAX)
		return -ENOENT;
	err = pointer_read(disk, disk->root_object,
			   SIMPLEFS_SUPER_RAW + table / SIMPLEFS_IMAP_SLOTS * 8, &map);
	if (!err)
		err = pointer_read(disk, map, table % SIMPLEFS_IMAP_SLOTS * 8, &out->table);
	if (!err)
		err = disk->read(disk->arg, out->table, inodes);
	if (err)
		return err;
	out->ino = ino;
	out->at = (ino - 1) % SIMPLEFS_ITAB_INODES * SIMPLEFS_INODE_SIZE;
	sfs_inode_decode(&inodes[(ino - 1) % SIMPLEFS_ITAB_INODES], &out->fields);
	return 0;
}

/* Block `n` of a file; where the pointer to it lies comes with it. */
static int data_find(const struct anatomy_disk *disk, const struct found *found, uint64_t n,
		     uint64_t *block)
{
	uint64_t span = SFS_SPAN1;

	if (!sfs_has_pointers(found->fields.mode, found->fields.size))
		return -ENOENT;
	if (n < SIMPLEFS_N_DIRECT) {
		*block = found->fields.direct[n];
		return *block ? 0 : -ENOENT;
	}
	n -= SIMPLEFS_N_DIRECT;
	for (unsigned level = 0; level < SIMPLEFS_N_IND; level++, span *= SIMPLEFS_IND_SLOTS) {
		int err = 0;

		if (n >= span) {
			n -= span;
			continue;
		}
		*block = found->fields.ind[level];
		if (!*block)
			return -ENOENT;
		for (uint64_t below = span / SIMPLEFS_IND_SLOTS; !err && below; below /= 512) {
			err = pointer_read(disk, *block, (uint32_t)(n / below % 512) * 8, block);
			if (below == 1)
				break;
		}
		return err;
	}
	return -ENOENT;
}

static int dir_find(const struct anatomy_disk *disk, struct found *found, const char *name,
		    size_t len)
{
	uint64_t blocks = found->fields.size / SFS_BLOCK, block;
	uint8_t bytes[SFS_BLOCK];
	struct sfs_slot slot;

	for (uint64_t n = 0; n < blocks && n < BLOCKS_MAX; n++) {
		if (data_find(disk, found, n, &block) || disk->read(disk->arg, block, bytes))
			continue;
		for (uint32_t at = 0; at < SFS_BLOCK; at += SFS_SECTOR)
			for (uint32_t off = 0; sfs_slot_decode(bytes + at, off, &slot) > 0;
			     off += slot.len) {
				if (!slot.ino || slot.name_len != len ||
				    memcmp(slot.name, name, len) != 0)
					continue;
				found->slot_block = block;
				found->slot_at = at + off;
				found->name_len = slot.name_len;
				return inode_find(disk, slot.ino, found);
			}
	}
	return -ENOENT;
}

/* ---- fields ---- */

struct field {
	const char *name;
	uint16_t offset, size;
};

#define INODE(name, member)                                          \
	{                                                            \
		name, offsetof(struct sfs_inode_disk, member),       \
			sizeof(((struct sfs_inode_disk *)0)->member) \
	}
#define SLOT(name, member)                                          \
	{                                                           \
		name, offsetof(struct sfs_slot_disk, member),       \
			sizeof(((struct sfs_slot_disk *)0)->member) \
	}
#define SUPER(name, member)                                          \
	{                                                            \
		name, offsetof(struct sfs_super_disk, member),       \
			sizeof(((struct sfs_super_disk *)0)->member) \
	}

static const struct field inode_fields[] = {
	INODE("mode", mode),
	INODE("nlink", nlink),
	INODE("birth", birth),
	INODE("uid", uid),
	INODE("gid", gid),
	INODE("size", size),
	INODE("blocks", blocks),
	INODE("rdev", rdev),
	INODE("parent", parent),
	INODE("flags", flags),
	INODE("atime", sec[0]),
	INODE("mtime", sec[1]),
	INODE("ctime", sec[2]),
	INODE("btime", sec[3]),
	INODE("atime.nsec", nsec[0]),
	INODE("mtime.nsec", nsec[1]),
	INODE("ctime.nsec", nsec[2]),
	INODE("btime.nsec", nsec[3]),
	INODE("direct.0", direct[0]),
	INODE("direct.1", direct[1]),
	INODE("direct.11", direct[11]),
	INODE("ind.0", ind[0]),
	INODE("ind.1", ind[1]),
	INODE("ind.2", ind[2]),
	INODE("target", target),
	INODE("reserved", reserved),
};

static const struct field slot_fields[] = {
	SLOT("slot.ino", ino),   SLOT("slot.len", len),     SLOT("slot.name_len", name_len),
	SLOT("slot.type", type), SLOT("slot.birth", birth),
};

static const struct field super_fields[] = {
	SUPER("super.magic", magic),    SUPER("super.version", version), SUPER("super.uuid", uuid),
	SUPER("super.imap.0", imap[0]), SUPER("super.imap.1", imap[1]),
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool field_place(const struct field *fields, size_t n, const char *name, uint64_t block,
			uint32_t at, struct anatomy_place *out)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fields[i].name, name) != 0)
			continue;
		*out = (struct anatomy_place){ block, at + fields[i].offset, fields[i].size };
		return true;
	}
	return false;
}

/* What lies in blocks of their own: data.N, ind1, ind2, ind1.N (a pointer in it), imap. */
static int body_place(const struct anatomy_disk *disk, const struct found *found, const char *field,
		      struct anatomy_place *out)
{
	unsigned long n = 0;
	char *end;

	*out = (struct anatomy_place){ 0, 0, SFS_BLOCK };
	if (strncmp(field, "data.", 5) == 0)
		return data_find(disk, found, strtoul(field + 5, NULL, 10), &out->block);
	if (strncmp(field, "imap", 4) == 0) {
		if (field[4] == '.')
			*out = (struct anatomy_place){
				0, (uint32_t)(strtoul(field + 5, NULL, 10) % 512 * 8), 8
			};
		return pointer_read(disk, disk->root_object, SIMPLEFS_SUPER_RAW, &out->block);
	}
	if (strncmp(field, "ind", 3) != 0)
		return -EINVAL;
	n = strtoul(field + 3, &end, 10);
	if (n < 1 || n > SIMPLEFS_N_IND)
		return -EINVAL;
	out->block = found->fields.ind[n - 1];
	if (*end == '.')
		*out = (struct anatomy_place){ out->block,
					       (uint32_t)(strtoul(end + 1, NULL, 10) % 512 * 8),
					       8 };
	return out->block ? 0 : -ENOENT;
}

static int find(const struct anatomy_disk *disk, const char *path, const char *field,
		struct anatomy_place *out)
{
	struct found found = { 0 };
	int err = 0;

	if (field_place(super_fields, COUNT_OF(super_fields), field, disk->root_object, 0, out))
		return 0;
	err = inode_find(disk, SFS_ROOT_INO, &found);
	while (!err && *path) {
		size_t len = strcspn(path, "/");

		err = dir_find(disk, &found, path, len);
		path += len;
		path += *path == '/';
	}
	if (err)
		return err;
	if (field_place(inode_fields, COUNT_OF(inode_fields), field, found.table, found.at, out))
		return 0;
	*out = (struct anatomy_place){ found.table, found.at, SIMPLEFS_INODE_SIZE };
	if (strcmp(field, "inode") == 0)
		return 0;
	if (strncmp(field, "slot", 4) != 0)
		return body_place(disk, &found, field, out);
	if (!found.slot_block)
		return -ENOENT;
	if (field_place(slot_fields, COUNT_OF(slot_fields), field, found.slot_block, found.slot_at,
			out))
		return 0;
	*out = (struct anatomy_place){ found.slot_block, found.slot_at + SFS_SLOT_HEADER,
				       found.name_len };
	return strcmp(field, "slot.name") == 0 ? 0 : -EINVAL;
}

/* Nothing here has a checksum. */
static void seal(const struct anatomy_place *place, uint8_t *bytes)
{
	(void)place;
	(void)bytes;
}

extern const struct libfs_anatomy simplefs_anatomy;

const struct libfs_anatomy simplefs_anatomy = {
	.find = find,
	.seal = seal,
	.to_text = simplefs_to_text,
	.scrub = simplefs_scrub,
};
