/* SPDX-License-Identifier: MIT */
/*
 * Where C-FFS keeps what.  See libfs/anatomy.h; README.md lists the fields.
 *
 *  (1) Sectors are taken as they are, checksums are not asked: a broken disk is
 *      to be broken further.
 *  (2) Directories are read from end to end, extents through one level of nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/anatomy.h"
#include "slots.h"
#include "anatomy_text.h"

#define EXTENTS_MAX 1024u
#define BLOCKS_MAX  65536u /* of a directory that is looked through */

/* An entry, where it lies. */
struct found {
	uint64_t block;
	uint32_t at; /* offset in the block */
	struct cffs_entry entry;
	uint8_t sector[CFFS_SECTOR]; /* what the entry points into */
};

struct extents {
	struct cffs_slot v[EXTENTS_MAX];
	size_t n;
	uint64_t node[64]; /* the blocks that hold them, apart from the entry */
	size_t n_nodes;
};

/* ---- extents ---- */

static int slots_collect(const struct anatomy_disk *disk, const struct cffs_slot *slot, uint32_t n,
			 unsigned depth, struct extents *out)
{
	uint8_t bytes[CFFS_BLOCK];
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++) {
		struct cffs_slot inner;

		if (slot[i].class != CFFS_CLASS_NODE) {
			if (slot[i].class != CFFS_CLASS_NONE && out->n < EXTENTS_MAX)
				out->v[out->n++] = slot[i];
			continue;
		}
		if (depth > 3 || out->n_nodes == 64)
			return -EIO;
		out->node[out->n_nodes++] = slot[i].start;
		err = disk->read(disk->arg, slot[i].start, bytes);
		for (uint32_t k = 1; k < CFFS_EXT_RECORDS && !err; k++) {
			if (k % (CFFS_EXT_SLOTS + 1) == 0)
				continue;
			cffs_slot_decode(bytes + (size_t)k * CFFS_SLOT_SIZE, &inner);
			err = slots_collect(disk, &inner, 1, depth + 1, out);
		}
	}
	return err;
}

/* The block of class `class` at `logical` of the file. */
static int block_at(const struct extents *extents, uint32_t class, uint64_t logical,
		    uint64_t *block)
{
	for (size_t i = 0; i < extents->n; i++) {
		const struct cffs_slot *at = &extents->v[i];

		if (at->class == class && logical >= at->logical &&
		    logical - at->logical < at->count) {
			*block = at->start + (logical - at->logical);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- entries ---- */

static bool sector_is_walkable(const uint8_t *sector)
{
	uint8_t copy[CFFS_SECTOR];

	memcpy(copy, sector, sizeof(copy));
	cffs_seal(copy);
	return cffs_sector_check(copy) == 0;
}

/* The entry of that name (NULL: the first inode) in a sector. */
static bool sector_find(const uint8_t *sector, const char *name, size_t len, struct found *out)
{
	uint32_t at = 0;

	if (!sector_is_walkable(sector))
		return false;
	memcpy(out->sector, sector, CFFS_SECTOR);
	while (cffs_sector_next(out->sector, &at, &out->entry)) {
		if (name ? out->entry.kind != CFFS_KIND_PARAMS && out->entry.name_len == len &&
				    memcmp(out->entry.name, name, len) == 0
			 : out->entry.kind == CFFS_KIND_INODE) {
			out->at = at;
			return true;
		}
	}
	return false;
}

static int dir_find(const struct anatomy_disk *disk, const struct found *dir, const char *name,
		    size_t len, struct found *out)
{
	struct extents *extents = calloc(1, sizeof(*extents));
	uint8_t bytes[CFFS_BLOCK];
	int err = extents ? slots_collect(disk, dir->entry.b.slot, dir->entry.b.n_slots, 0, extents)
			  : -ENOMEM;
	bool got = false;

	for (size_t i = 0; !err && !got && i < extents->n; i++) {
		const struct cffs_slot *at = &extents->v[i];

		for (uint32_t k = 0;
		     at->class == CFFS_CLASS_DIR && k < at->count && !got && !err && k < BLOCKS_MAX;
		     k++) {
			err = disk->read(disk->arg, at->start + k, bytes);
			for (uint32_t s = 0; !err && !got && s < CFFS_SECTORS; s++) {
				got = sector_find(bytes + s * CFFS_SECTOR, name, len, out);
				out->block = at->start + k;
				out->at += got ? s * CFFS_SECTOR : 0;
			}
		}
	}
	free(extents);
	return err ? err : got ? 0 : -ENOENT;
}

static int system_find(const struct anatomy_disk *disk, uint64_t ino, struct found *out)
{
	uint8_t bytes[CFFS_BLOCK];
	int err = disk->read(disk->arg, disk->root_object, bytes);

	if (err)
		return err;
	if (!sector_find(bytes + ino * CFFS_SECTOR, NULL, 0, out))
		return -ENOENT;
	out->block = disk->root_object;
	out->at += (uint32_t)ino * CFFS_SECTOR;
	return 0;
}

static int path_find(const struct anatomy_disk *disk, const char *path, struct found *out)
{
	uint64_t ino = CFFS_INO_ROOT;
	int err;

	if (strcmp(path, "#xdir") == 0)
		ino = CFFS_INO_XDIR;
	else if (strcmp(path, "#odir") == 0)
		ino = CFFS_INO_ODIR;
	err = system_find(disk, ino, out);
	if (ino != CFFS_INO_ROOT)
		return err;
	while (!err && *path) {
		size_t len = strcspn(path, "/");
		struct found dir = *out;

		err = dir_find(disk, &dir, path, len, out);
		path += len;
		path += *path == '/';
	}
	return err;
}

/* The inode that a link means. */
static int link_follow(const struct anatomy_disk *disk, struct found *link)
{
	struct extents *extents = calloc(1, sizeof(*extents));
	uint64_t block = 0, place = link->entry.link_place, ino = link->entry.link_ino;
	uint8_t bytes[CFFS_BLOCK];
	struct found xdir;
	uint32_t at = 0;
	int err = extents ? system_find(disk, CFFS_INO_XDIR, &xdir) : -ENOMEM;

	if (!err)
		err = slots_collect(disk, xdir.entry.b.slot, xdir.entry.b.n_slots, 0, extents);
	if (!err)
		err = block_at(extents, CFFS_CLASS_DIR, place / CFFS_SECTORS, &block);
	if (!err)
		err = disk->read(disk->arg, block, bytes);
	free(extents);
	if (err)
		return err;
	place %= CFFS_SECTORS;
	memcpy(link->sector, bytes + place * CFFS_SECTOR, CFFS_SECTOR);
	if (!sector_is_walkable(link->sector))
		return -ENOENT;
	while (cffs_sector_next(link->sector, &at, &link->entry)) {
		if (link->entry.kind != CFFS_KIND_INODE || link->entry.a.ino != ino)
			continue;
		link->block = block;
		link->at = (uint32_t)place * CFFS_SECTOR + at;
		return 0;
	}
	return -ENOENT;
}

/* ---- fields ---- */

struct field {
	const char *name;
	uint16_t offset, size;
};

static const struct field entry_fields[] = {
	{ "len", CFFS_E_LEN, 2 },           { "kind", CFFS_E_KIND, 1 },
	{ "slot", CFFS_E_SLOT, 1 },         { "name_len", CFFS_E_NAME_LEN, 1 },
	{ "n_slots", CFFS_E_N_SLOTS, 1 },   { "inline_len", CFFS_E_INLINE, 2 },
	{ "ino", CFFS_E_INO, 8 },           { "generation", CFFS_E_GEN, 4 },
	{ "mode", CFFS_E_MODE, 2 },         { "xattr_len", CFFS_E_XATTR, 2 },
	{ "uid", CFFS_E_UID, 4 },           { "gid", CFFS_E_GID, 4 },
	{ "nlink", CFFS_E_NLINK, 4 },       { "flags", CFFS_E_FLAGS, 4 },
	{ "size", CFFS_E_SIZE, 8 },         { "atime", CFFS_E_ATIME, 8 },
	{ "mtime", CFFS_E_MTIME, 8 },       { "ctime", CFFS_E_CTIME, 8 },
	{ "btime", CFFS_E_BTIME, 8 },       { "blocks", CFFS_E_BLOCKS, 8 },
	{ "link.type", CFFS_E_N_SLOTS, 1 }, { "link.place", CFFS_LINK_PLACE, 4 },
};

/* Of the sector that holds the entry. */
static const struct field sector_fields[] = {
	{ "sector", 0, CFFS_SECTOR },        { "sector.crc", CFFS_S_CRC, 4 },
	{ "sector.magic", CFFS_S_MAGIC, 2 }, { "sector.entries", CFFS_S_ENTRIES, 1 },
	{ "sector.flags", CFFS_S_FLAGS, 1 }, { "sector.dir", CFFS_S_DIR, 8 },
	{ "sector.place", CFFS_S_PLACE, 4 }, { "sector.stamp", CFFS_S_STAMP, 4 },
};

/* Of the root object. */
static const struct field params_fields[] = {
	{ "params", 0, CFFS_SECTOR },
	{ "params.kind", CFFS_S_HEAD + CFFS_E_KIND, 1 },
	{ "params.version", CFFS_S_HEAD + 8, 4 },
	{ "params.options", CFFS_S_HEAD + 12, 4 },
	{ "params.compat", CFFS_S_HEAD + 16, 8 },
	{ "params.incompat", CFFS_S_HEAD + 24, 8 },
	{ "params.ro_compat", CFFS_S_HEAD + 32, 8 },
	{ "params.inline_max", CFFS_S_HEAD + 48, 4 },
	{ "params.uuid", CFFS_S_HEAD + 52, 16 },
	{ "params.ino_limit", CFFS_S_HEAD + 72, 8 },
};

static const struct field slot_fields[] = {
	{ "start", 0, 6 },
	{ "class", 6, 2 },
	{ "logical", 8, 5 },
	{ "count", 13, 3 },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct field *field_find(const struct field *fields, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* "word" followed by a number: "data.3"; *rest is what follows it. */
static bool word_number(const char *text, const char *word, uint64_t *number, const char **rest)
{
	size_t len = strlen(word);
	char *end;

	if (strncmp(text, word, len) != 0 || text[len] < '0' || text[len] > '9')
		return false;
	*number = strtoull(text + len, &end, 10);
	*rest = end;
	return true;
}

static int slot_place(const char *rest, uint64_t block, uint32_t at, struct anatomy_place *out)
{
	const struct field *field =
		*rest == '.' ? field_find(slot_fields, COUNT_OF(slot_fields), rest + 1) : NULL;

	if (!field)
		return -EINVAL;
	*out = (struct anatomy_place){ block, at + field->offset, field->size };
	return 0;
}

/* Parts of the entry behind its slots. */
static int tail_place(const struct found *found, const char *field, struct anatomy_place *out)
{
	const struct cffs_entry *e = &found->entry;
	uint32_t at = found->at + CFFS_E_SLOTS + e->b.n_slots * CFFS_SLOT_SIZE;

	*out = (struct anatomy_place){ found->block, at, e->xattr_len };
	if (strcmp(field, "xattr") == 0)
		return e->xattr_len ? 0 : -ENOENT;
	out->offset += e->xattr_len;
	out->size = e->b.inline_len;
	if (strcmp(field, "inline") == 0)
		return e->b.inline_len ? 0 : -ENOENT;
	return -EINVAL;
}

static int name_place(const struct found *found, struct anatomy_place *out)
{
	uint32_t at = found->at / CFFS_SECTOR * CFFS_SECTOR +
		      (uint32_t)((const uint8_t *)found->entry.name - found->sector);

	*out = (struct anatomy_place){ found->block, at, found->entry.name_len };
	return found->entry.name_len ? 0 : -ENOENT;
}

/* What lies in blocks of the file's own: data.N, dir.N, xattrs.N, node.N[.SLOT.field]. */
static int body_place(const struct anatomy_disk *disk, const struct found *found, const char *field,
		      struct anatomy_place *out)
{
	struct extents *extents = calloc(1, sizeof(*extents));
	uint64_t n, slot;
	const char *rest;
	int err = extents ? slots_collect(disk, found->entry.b.slot, found->entry.b.n_slots, 0,
					  extents)
			  : -ENOMEM;

	*out = (struct anatomy_place){ 0, 0, CFFS_BLOCK };
	if (err)
		;
	else if (word_number(field, "data.", &n, &rest))
		err = block_at(extents, CFFS_CLASS_DATA, n, &out->block);
	else if (word_number(field, "dir.", &n, &rest))
		err = block_at(extents, CFFS_CLASS_DIR, n, &out->block);
	else if (strcmp(field, "index.buckets") == 0) {
		err = block_at(extents, CFFS_CLASS_INDEX, CFFS_INDEX_BASE, &out->block);
		out->offset = CFFS_RAW_HEAD;
		out->size = 4;
	} else if (word_number(field, "index.", &n, &rest))
		err = block_at(extents, CFFS_CLASS_INDEX, CFFS_INDEX_BASE + n, &out->block);
	else if (word_number(field, "xattrs.", &n, &rest))
		err = block_at(extents, CFFS_CLASS_XATTR, n, &out->block);
	else if (word_number(field, "node.", &n, &rest)) {
		err = n < extents->n_nodes ? 0 : -ENOENT;
		out->block = err ? 0 : extents->node[n];
		if (!err && word_number(rest, ".slot", &slot, &rest))
			err = slot < CFFS_EXT_RECORDS
				      ? slot_place(rest, out->block,
						   (uint32_t)slot * CFFS_SLOT_SIZE, out)
				      : -ENOENT;
		else if (!err && *rest == '.')
			err = -EINVAL;
	} else {
		err = -EINVAL;
	}
	free(extents);
	return err;
}

static int find(const struct anatomy_disk *disk, const char *path, const char *field,
		struct anatomy_place *out)
{
	struct found found;
	const struct field *known;
	const char *rest;
	uint64_t n;
	int err;

	known = field_find(params_fields, COUNT_OF(params_fields), field);
	if (known) {
		*out = (struct anatomy_place){ disk->root_object, known->offset, known->size };
		return 0;
	}
	/* "link." and "entry" are the name's own; all else is the inode's, wherever that lies. */
	err = path_find(disk, path, &found);
	if (!err && found.entry.kind == CFFS_KIND_LINK && strncmp(field, "link.", 5) != 0 &&
	    strcmp(field, "entry") != 0 && strcmp(field, "name") != 0)
		err = link_follow(disk, &found);
	if (err)
		return err;
	known = field_find(entry_fields, COUNT_OF(entry_fields), field);
	if (known) {
		*out = (struct anatomy_place){ found.block, found.at + known->offset, known->size };
		return 0;
	}
	known = field_find(sector_fields, COUNT_OF(sector_fields), field);
	if (known) {
		*out = (struct anatomy_place){ found.block,
					       found.at / CFFS_SECTOR * CFFS_SECTOR + known->offset,
					       known->size };
		return 0;
	}
	if (strcmp(field, "entry") == 0) {
		*out = (struct anatomy_place){ found.block, found.at,
					       cffs_entry_len(&found.entry) };
		return 0;
	}
	if (strcmp(field, "name") == 0)
		return name_place(&found, out);
	if (found.entry.kind != CFFS_KIND_INODE)
		return -EINVAL;
	if (word_number(field, "slot", &n, &rest))
		return n < found.entry.b.n_slots
			       ? slot_place(rest, found.block,
					    found.at + CFFS_E_SLOTS + (uint32_t)n * CFFS_SLOT_SIZE,
					    out)
			       : -ENOENT;
	err = tail_place(&found, field, out);
	return err == -EINVAL ? body_place(disk, &found, field, out) : err;
}

static void seal(const struct anatomy_place *place, uint8_t *bytes)
{
	cffs_seal(bytes + place->offset / CFFS_SECTOR * CFFS_SECTOR);
}

extern const struct libfs_anatomy cffs_anatomy;

const struct libfs_anatomy cffs_anatomy = {
	.find = find,
	.seal = seal,
	.to_text = cffs_to_text,
	.scrub = cffs_scrub,
};
