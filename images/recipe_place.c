/* SPDX-License-Identifier: MIT */
/*
 * What the words of recipes mean on the medium: blocks, and fields of XN's
 * structures and of what LibFSes keep.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe_parts.h"
#include "xn/log_format.h"

#define CHAIN_MAX 4096u

struct field {
	const char *name;
	uint16_t offset, size;
};

#define F(type, name, member)                                                           \
	{                                                                               \
		name, offsetof(struct type, member), sizeof(((struct type *)0)->member) \
	}

static const struct field super_fields[] = {
	F(xn_super_disk, "magic", magic),
	F(xn_super_disk, "crc", crc),
	F(xn_super_disk, "version", version),
	F(xn_super_disk, "block_size", block_size),
	F(xn_super_disk, "chunk_blocks", chunk_blocks),
	F(xn_super_disk, "block_count", block_count),
	F(xn_super_disk, "uuid", uuid),
	F(xn_super_disk, "label", label),
	F(xn_super_disk, "compat", compat),
	F(xn_super_disk, "incompat", incompat),
	F(xn_super_disk, "ro_compat", ro_compat),
	F(xn_super_disk, "generation", generation),
	F(xn_super_disk, "mount_epoch", mount_epoch),
	F(xn_super_disk, "state", state),
	F(xn_super_disk, "flags", flags),
	F(xn_super_disk, "high_water", high_water),
	F(xn_super_disk, "free_blocks", free_blocks),
	F(xn_super_disk, "catalogue.templates", catalogue[0]),
	F(xn_super_disk, "catalogue.roots", catalogue[1]),
	F(xn_super_disk, "catalogue.principals", catalogue[2]),
	F(xn_super_disk, "twin.templates", twin[0]),
	F(xn_super_disk, "twin.roots", twin[1]),
	F(xn_super_disk, "twin.principals", twin[2]),
	F(xn_super_disk, "log_start", log_start),
	F(xn_super_disk, "log_blocks", log_blocks),
	F(xn_super_disk, "format_time", format_time),
	F(xn_super_disk, "open_time", open_time),
	F(xn_super_disk, "write_time", write_time),
	F(xn_super_disk, "holder_pid", holder_pid),
	F(xn_super_disk, "holder_host", holder_host),
	F(xn_super_disk, "reserved", reserved),
	{ 0 },
};

static const struct field map_fields[] = {
	F(xn_map_sector_disk, "crc", crc),
	F(xn_map_sector_disk, "magic", magic),
	F(xn_map_sector_disk, "chunk", chunk),
	F(xn_map_sector_disk, "index", index),
	F(xn_map_sector_disk, "reserved", reserved),
	F(xn_map_sector_disk, "bits", bits),
	{ 0 },
};

static const struct field link_fields[] = {
	F(xn_cat_link_disk, "crc", crc),
	F(xn_cat_link_disk, "magic", magic),
	F(xn_cat_link_disk, "kind", kind),
	F(xn_cat_link_disk, "index", index),
	F(xn_cat_link_disk, "seq", seq),
	F(xn_cat_link_disk, "self", self),
	F(xn_cat_link_disk, "twin", twin),
	F(xn_cat_link_disk, "next", next),
	F(xn_cat_link_disk, "next_twin", next_twin),
	F(xn_cat_link_disk, "reserved", reserved),
	{ 0 },
};

static const struct field head_fields[] = {
	F(xn_entry_head_disk, "crc", crc),     F(xn_entry_head_disk, "magic", magic),
	F(xn_entry_head_disk, "seq", seq),     F(xn_entry_head_disk, "id", id),
	F(xn_entry_head_disk, "state", state), F(xn_entry_head_disk, "flags", flags),
	F(xn_entry_head_disk, "time", time),   { 0 },
};

static const struct field template_fields[] = {
	F(xn_template_entry_disk, "image_start", image_start),
	F(xn_template_entry_disk, "image_blocks", image_blocks),
	F(xn_template_entry_disk, "image_len", image_len),
	F(xn_template_entry_disk, "sha256", sha256),
	F(xn_template_entry_disk, "batch_first", batch_first),
	F(xn_template_entry_disk, "batch_count", batch_count),
	F(xn_template_entry_disk, "batch_index", batch_index),
	F(xn_template_entry_disk, "installer", installer),
	F(xn_template_entry_disk, "name", name),
	F(xn_template_entry_disk, "reserved", reserved),
	{ 0 },
};

static const struct field root_fields[] = {
	F(xn_root_entry_disk, "object", object),     F(xn_root_entry_disk, "type", type),
	F(xn_root_entry_disk, "quota", quota),       F(xn_root_entry_disk, "reserve", reserve),
	F(xn_root_entry_disk, "used", used),         F(xn_root_entry_disk, "uid", uid),
	F(xn_root_entry_disk, "gid", gid),           F(xn_root_entry_disk, "mode", mode),
	F(xn_root_entry_disk, "weight", weight),     F(xn_root_entry_disk, "name", name),
	F(xn_root_entry_disk, "libfs", libfs),       F(xn_root_entry_disk, "uuid", uuid),
	F(xn_root_entry_disk, "reserved", reserved), { 0 },
};

static const struct field principal_fields[] = {
	F(xn_principal_entry_disk, "uid", uid),
	F(xn_principal_entry_disk, "blocks", blocks),
	F(xn_principal_entry_disk, "templates", templates),
	F(xn_principal_entry_disk, "roots", roots),
	F(xn_principal_entry_disk, "cache_pages", cache_pages),
	F(xn_principal_entry_disk, "pins", pins),
	F(xn_principal_entry_disk, "pending", pending),
	F(xn_principal_entry_disk, "reserved", reserved),
	{ 0 },
};

static const struct field tail_fields[] = {
	F(xn_log_tail_disk, "crc", crc),
	F(xn_log_tail_disk, "magic", magic),
	F(xn_log_tail_disk, "seq", seq),
	F(xn_log_tail_disk, "epoch", epoch),
	{ 0 },
};

static const char *const kinds[XN_CAT_KINDS] = { "templates", "roots", "principals" };

/* ---- reading ---- */

int recipe_block_read(void *dev, uint64_t block, void *bytes)
{
	return bdev_read(dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE) ? -EIO : 0;
}

/* The primary, or when that is broken already a copy. */
int recipe_super(struct recipe *r, struct xn_super *super)
{
	struct xn_super_disk disk;
	struct bdev_info info;
	uint64_t places[3];
	unsigned n;

	if (!r->dev)
		return recipe_fail(r, -EINVAL, "there is no disk yet: \"format\" comes first");
	bdev_info(r->dev, &info);
	n = info.size / XN_BLOCK_SIZE < XN_BLOCKS_MIN
		    ? 1
		    : xn_super_places(info.size / XN_BLOCK_SIZE, places);
	places[0] = 0;
	for (unsigned i = 0; i < n; i++)
		if (!bdev_read(r->dev, places[i] * XN_BLOCK_SIZE, &disk, sizeof(disk)) &&
		    !xn_super_decode(&disk, super))
			return 0;
	return recipe_fail(r, -ENOENT, "no superblock of this disk is whole");
}

/* ---- catalogues ---- */

struct cat_place {
	uint64_t block[2]; /* and twin */
	uint32_t sector;
};

static bool name_matches(const struct xn_super *super, unsigned kind, uint64_t slot,
			 const uint8_t *sector, const char *name)
{
	struct xn_template_entry template;
	struct xn_root_entry root;
	struct xn_principal_entry principal;

	switch (kind) {
	case XN_CAT_TEMPLATES:
		return !xn_template_entry_decode(super, slot, sector, &template) &&
		       template.state == XN_ENTRY_USED && strcmp(template.name, name) == 0;
	case XN_CAT_ROOTS:
		return !xn_root_entry_decode(super, slot, sector, &root) &&
		       root.state == XN_ENTRY_USED && strcmp(root.name, name) == 0;
	default:
		return !xn_principal_entry_decode(super, slot, sector, &principal) &&
		       principal.state == XN_ENTRY_USED &&
		       principal.uid == (uint32_t)strtoul(name, NULL, 10);
	}
}

/* The entry of that name, or "#3" for the slot of that number; "" for link `index` of the chain. */
static int cat_find(struct recipe *r, const struct xn_super *super, unsigned kind, const char *name,
		    uint32_t index, struct cat_place *out)
{
	uint8_t bytes[2][XN_BLOCK_SIZE];
	struct xn_cat_link link;
	uint64_t slot = *name == '#' ? strtoul(name + 1, NULL, 10) : UINT64_MAX;

	*out = (struct cat_place){ { super->catalogue[kind], super->twin[kind] }, 0 };
	for (uint32_t i = 0; i < CHAIN_MAX; i++) {
		if (recipe_block_read(r->dev, out->block[0], bytes[0]) ||
		    recipe_block_read(r->dev, out->block[1], bytes[1]))
			break;
		if (!*name && i == index)
			return 0;
		for (out->sector = 1; *name && out->sector <= XN_CAT_ENTRIES_BLOCK; out->sector++) {
			uint64_t at = (uint64_t)i * XN_CAT_ENTRIES_BLOCK + out->sector - 1;
			size_t offset = out->sector * XN_SECTOR_SIZE;

			if (at == slot || name_matches(super, kind, at, bytes[0] + offset, name) ||
			    name_matches(super, kind, at, bytes[1] + offset, name))
				return 0;
		}
		out->sector = 0;
		if ((xn_cat_link_decode(super, bytes[0], &link) &&
		     xn_cat_link_decode(super, bytes[1], &link)) ||
		    !link.next)
			break;
		out->block[0] = link.next;
		out->block[1] = link.next_twin;
	}
	return recipe_fail(r, -ENOENT, "the catalogue of %s has no \"%s\"", kinds[kind], name);
}

static int kind_of(struct recipe *r, const char *word, unsigned *kind)
{
	for (*kind = 0; *kind < XN_CAT_KINDS; ++*kind)
		if (strncmp(word, kinds[*kind], strlen(kinds[*kind])) == 0)
			return 0;
	return recipe_fail(r, -EINVAL, "\"%s\" is no catalogue: templates, roots, principals",
			   word);
}

static int entry_decode_root(struct recipe *r, const struct xn_super *super,
			     const struct cat_place *at, struct xn_root_entry *entry)
{
	uint8_t bytes[XN_BLOCK_SIZE];

	/* The slot is part of what is checked: try those of a chain's block. */
	for (unsigned side = 0; side < 2; side++) {
		if (recipe_block_read(r->dev, at->block[side], bytes))
			continue;
		for (uint64_t i = 0; i < CHAIN_MAX; i++)
			if (!xn_root_entry_decode(super, i * XN_CAT_ENTRIES_BLOCK + at->sector - 1,
						  bytes + at->sector * XN_SECTOR_SIZE, entry))
				return 0;
	}
	return -ENOENT;
}

/* ---- LibFSes ---- */

static int anatomy_find(struct recipe *r, const char *path, const char *field,
			const struct libfs_anatomy **anatomy, struct anatomy_place *out)
{
	size_t len = strcspn(path + 1, "/");
	struct anatomy_disk disk = { recipe_block_read, r->dev, 0 };
	struct xn_root_entry entry;
	struct cat_place at;
	struct xn_super super;
	char name[64];
	int err = recipe_super(r, &super);

	if (err)
		return err;
	if (len >= sizeof(name))
		return recipe_fail(r, -EINVAL, "\"%s\" is no path", path);
	snprintf(name, sizeof(name), "%.*s", (int)len, path + 1);
	err = cat_find(r, &super, XN_CAT_ROOTS, name, 0, &at);
	if (err)
		return err;
	if (entry_decode_root(r, &super, &at, &entry))
		return recipe_fail(r, -ENOENT, "root \"%s\" is broken already", name);
	*anatomy = libfs_anatomy_find(entry.libfs);
	if (!*anatomy)
		return recipe_fail(r, -ENOENT, "nobody knows where a %s keeps what", entry.libfs);
	disk.root_object = entry.object;
	path += 1 + len;
	path += *path == '/';
	err = (*anatomy)->find(&disk, path, field, out);
	return err ? recipe_fail(r, err, "\"%s\" has no %s (%s)", path, field, strerror(-err)) : 0;
}

/* ---- blocks ---- */

static int block_of_image(struct recipe *r, const char *name, uint64_t *out)
{
	struct xn_super super;
	struct cat_place at;
	uint8_t bytes[XN_BLOCK_SIZE];
	const struct xn_template_entry_disk *entry;
	int err = recipe_super(r, &super);

	if (!err)
		err = cat_find(r, &super, XN_CAT_TEMPLATES, name, 0, &at);
	if (!err && recipe_block_read(r->dev, at.block[0], bytes))
		err = -EIO;
	if (err)
		return err;
	entry = (const void *)(bytes + at.sector * XN_SECTOR_SIZE);
	*out = le64_get(entry->image_start);
	return 0;
}

static int block_of_object(struct recipe *r, const char *name, uint64_t *out)
{
	struct xn_root_entry entry;
	struct xn_super super;
	struct cat_place at;
	int err = recipe_super(r, &super);

	if (!err)
		err = cat_find(r, &super, XN_CAT_ROOTS, name, 0, &at);
	if (err)
		return err;
	if (entry_decode_root(r, &super, &at, &entry))
		return recipe_fail(r, -ENOENT, "root \"%s\" is broken already", name);
	*out = entry.object;
	return 0;
}

/* The first block that its map shows free. */
static int block_free(struct recipe *r, const struct xn_super *super, uint64_t *out)
{
	uint8_t block[XN_BLOCK_SIZE], bits[XN_MAP_CHUNK_BYTES];

	if (recipe_block_read(r->dev, xn_map_block(0), block))
		return -EIO;
	xn_map_decode(super, 0, block, bits);
	for (uint64_t b = 0; b < XN_CHUNK_BLOCKS && b < super->block_count; b++)
		if (!(bits[b / 8] >> (b % 8) & 1)) {
			*out = b;
			return 0;
		}
	return recipe_fail(r, -ENOENT, "no block is free");
}

static int block_of_xn(struct recipe *r, const char *word, uint64_t *out)
{
	struct xn_super super;
	unsigned kind;
	int err = recipe_super(r, &super);

	if (err)
		return err;
	*out = 0;
	if (strcmp(word, "super") == 0)
		return 0;
	if (strcmp(word, "copy") == 0)
		*out = super.block_count - 1;
	else if (strcmp(word, "end") == 0)
		*out = super.block_count;
	else if (strcmp(word, "log") == 0)
		*out = super.log_start;
	else if (strcmp(word, "logend") == 0)
		*out = super.log_start + super.log_blocks - 1;
	else if (strncmp(word, "map:", 4) == 0)
		*out = xn_map_block(strtoul(word + 4, NULL, 10));
	else if (strcmp(word, "free") == 0)
		return block_free(r, &super, out);
	else if (strncmp(word, "catalogue:", 10) == 0 || strncmp(word, "twin:", 5) == 0) {
		bool twin = *word == 't';

		err = kind_of(r, word + (twin ? 5 : 10), &kind);
		if (!err)
			*out = twin ? super.twin[kind] : super.catalogue[kind];
		return err;
	} else if (strncmp(word, "image:", 6) == 0)
		return block_of_image(r, word + 6, out);
	else if (strncmp(word, "object:", 7) == 0)
		return block_of_object(r, word + 7, out);
	else
		return recipe_fail(r, -EINVAL, "\"%s\" is no block", word);
	return 0;
}

/* WORD, or WORD+N. */
int recipe_block(struct recipe *r, const char *word, uint64_t *out)
{
	char name[512], *plus, *at;
	uint64_t more = 0;
	int err = 0;

	snprintf(name, sizeof(name), "%s", word);
	plus = strrchr(name, '+');
	if (plus && plus > name) {
		*plus = '\0';
		err = recipe_number(r, plus + 1, &more);
	}
	if (err)
		return err;
	at = strchr(name, '@');
	if (*name == '/' && at) {
		const struct libfs_anatomy *anatomy;
		struct anatomy_place place;

		*at = '\0';
		err = anatomy_find(r, name, at + 1, &anatomy, &place);
		*out = place.block;
	} else if (*name >= '0' && *name <= '9') {
		err = recipe_number(r, name, out);
	} else {
		err = block_of_xn(r, name, out);
	}
	*out += more;
	return err;
}

/* ---- fields ---- */

static const struct field *field_find(const struct field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	return NULL;
}

static void target_add(struct target *out, uint64_t block, uint32_t offset,
		       const struct field *field)
{
	out->place[out->n++] = (struct anatomy_place){ block, offset + field->offset, field->size };
}

static int target_super(struct recipe *r, const char *which, const char *name, struct target *out)
{
	const struct field *field = field_find(super_fields, name);
	struct xn_super super;
	uint64_t places[3];
	int err = recipe_super(r, &super);
	unsigned n;

	if (err)
		return err;
	if (!field)
		return recipe_fail(r, -EINVAL, "superblocks have no field \"%s\"", name);
	n = xn_super_places(super.block_count, places);
	out->seal = SEAL_SUPER;
	for (unsigned i = 0; i < n; i++)
		if (strcmp(which, "supers") == 0 || (*which == 's' ? i == 0 : i == n - 1))
			target_add(out, places[i], 0, field);
	return 0;
}

/* KIND[.first|.twin] NAME FIELD, or link[...] CATALOGUE FIELD. */
static int target_catalogue(struct recipe *r, const char *word, const char *name,
			    const char *field_name, struct target *out)
{
	static const struct field *const tables[] = { template_fields, root_fields,
						      principal_fields };
	bool is_link = strncmp(word, "link", 4) == 0;
	const char *side = strchr(word, '.');
	const struct field *field = NULL;
	struct xn_super super;
	struct cat_place at;
	unsigned kind = *word == 't' ? 0 : *word == 'r' ? 1 : 2;
	int err = recipe_super(r, &super);

	if (!err && is_link)
		err = kind_of(r, name, &kind);
	if (!err)
		err = cat_find(r, &super, kind, is_link ? "" : name,
			       is_link && strchr(name, '.')
				       ? (uint32_t)strtoul(strchr(name, '.') + 1, NULL, 10)
				       : 0,
			       &at);
	if (err)
		return err;
	if (is_link)
		field = field_find(link_fields, field_name);
	else if (!(field = field_find(head_fields, field_name)))
		field = field_find(tables[kind], field_name);
	if (!field)
		return recipe_fail(r, -EINVAL, "%s has no field \"%s\"", word, field_name);
	out->seal = SEAL_XN;
	for (unsigned i = 0; i < 2; i++)
		if (!side || (strcmp(side, ".twin") == 0) == (i == 1))
			target_add(out, at.block[i], at.sector * XN_SECTOR_SIZE, field);
	return 0;
}

static int target_map(struct recipe *r, const struct words *w, unsigned first, struct target *out)
{
	const struct field *field = field_find(map_fields, w->v[first + 3]);
	uint64_t chunk, sector;
	int err = recipe_number(r, w->v[first + 1], &chunk);

	if (!err)
		err = recipe_number(r, w->v[first + 2], &sector);
	if (err)
		return err;
	if (!field || sector >= XN_BLOCK_SECTORS)
		return recipe_fail(r, -EINVAL, "maps have no field \"%s\" there", w->v[first + 3]);
	out->seal = SEAL_XN;
	target_add(out, xn_map_block(chunk), (uint32_t)sector * XN_SECTOR_SIZE, field);
	return 0;
}

static int target_tail(struct recipe *r, const char *which, const char *name, struct target *out)
{
	const struct field *field = field_find(tail_fields, name);
	struct xn_super super;
	int err = recipe_super(r, &super);

	if (err)
		return err;
	if (!field)
		return recipe_fail(r, -EINVAL, "tails of the log have no field \"%s\"", name);
	out->seal = SEAL_XN;
	if (strcmp(which, "last") != 0)
		target_add(out, super.log_start, 0, field);
	if (strcmp(which, "first") != 0)
		target_add(out, super.log_start + super.log_blocks - 1,
			   XN_BLOCK_SIZE - XN_SECTOR_SIZE, field);
	return 0;
}

static bool begins(const char *word, const char *with)
{
	size_t len = strlen(with);

	return strncmp(word, with, len) == 0 && (word[len] == '\0' || word[len] == '.');
}

int recipe_target(struct recipe *r, const struct words *words, unsigned first, unsigned *used,
		  struct target *out)
{
	const char *word = words->v[first];
	unsigned left = words->n - first;
	bool super = !strcmp(word, "super") || !strcmp(word, "copy") || !strcmp(word, "supers");

	memset(out, 0, sizeof(*out));
	*used = super || *word == '/' ? 2 : strcmp(word, "map") == 0 ? 4 : 3;
	if (left < *used)
		return recipe_fail(r, -EINVAL, "which field of \"%s\"?", word);
	if (super)
		return target_super(r, word, words->v[first + 1], out);
	if (*word == '/') {
		out->n = 1;
		out->seal = SEAL_LIBFS;
		return anatomy_find(r, word, words->v[first + 1], &out->anatomy, &out->place[0]);
	}
	if (strcmp(word, "map") == 0)
		return target_map(r, words, first, out);
	if (strcmp(word, "tail") == 0)
		return target_tail(r, words->v[first + 1], words->v[first + 2], out);
	if (begins(word, "template") || begins(word, "root") || begins(word, "principal") ||
	    begins(word, "link"))
		return target_catalogue(r, word, words->v[first + 1], words->v[first + 2], out);
	return recipe_fail(r, -EINVAL, "there is no structure \"%s\"", word);
}
