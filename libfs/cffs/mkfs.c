/* SPDX-License-Identifier: MIT */
/*
 * Making a C-FFS: templates, root, the three directories of the system, and
 * last the parameters that say it is whole.
 *
 * Options: no-embed, no-group, inline=BYTES.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#include "cffs_templates.h"

static bool word_is(const char *word, size_t len, const char *what)
{
	return strlen(what) == len && memcmp(word, what, len) == 0;
}

static bool parse_inline(const char *word, size_t len, struct cffs_params *params)
{
	char *end;
	unsigned long bytes;

	if (len < 8 || memcmp(word, "inline=", 7) != 0)
		return false;
	bytes = strtoul(word + 7, &end, 10);
	params->inline_max = (uint32_t)bytes;
	return end == word + len && bytes <= CFFS_INLINE_MAX;
}

static int parse_options(const char *options, struct cffs_params *params)
{
	while (options && *options) {
		size_t len = strcspn(options, ",");

		if (word_is(options, len, "no-embed"))
			params->options |= CFFS_O_NO_EMBED;
		else if (word_is(options, len, "no-group"))
			params->options |= CFFS_O_NO_GROUP;
		else if (len && !parse_inline(options, len, params))
			return -EINVAL;
		options += len;
		options += *options == ',';
	}
	return 0;
}

/* A directory of the system, nameless, in the sector of its number. */
static void system_sector(uint32_t ino, const struct libfs_mkfs_opts *opts, uint8_t *sector)
{
	struct cffs_entry entry = {
		.kind = CFFS_KIND_INODE,
		.name = "",
		.a = { .ino = ino,
		       .generation = 1,
		       .mode = 0040000 | (opts->mode ? opts->mode & 07777 : 0755),
		       .uid = opts->uid,
		       .gid = opts->gid,
		       .nlink = 2,
		       .atime = opts->now,
		       .mtime = opts->now,
		       .ctime = opts->now,
		       .btime = opts->now },
		.b = { .n_slots = CFFS_SLOTS_MAX },
	};

	if (ino != CFFS_INO_ROOT) {
		entry.a.mode = 0040700;
		entry.a.uid = entry.a.gid = 0;
	}
	memset(sector, 0, CFFS_SECTOR);
	cffs_sector_init(sector, 0, ino);
	cffs_sector_add(sector, &entry);
	cffs_sector_seal(sector);
}

static int write_sectors(struct cffs *fs, const uint8_t *bytes, uint32_t first, uint32_t count)
{
	struct cffs_txn txn;
	int err;

	cffs_txn_init(&txn);
	cffs_txn_edit(&txn, fs->root->object, first * CFFS_SECTOR, bytes, count * CFFS_SECTOR);
	err = cffs_update(fs, &txn);
	return err ? err : xn_sync(fs->libfs.session, fs->root_id);
}

static int fill_root(struct xn_session *session, const struct libfs_mkfs_opts *opts,
		     struct cffs_params *params, const struct xn_root_info *root)
{
	uint8_t sectors[CFFS_INO_ODIR * CFFS_SECTOR], first[CFFS_SECTOR];
	struct cffs *fs;
	int err = cffs_fs_create(session, 0, &fs);

	if (err)
		return err;
	for (uint32_t ino = CFFS_INO_ROOT; ino <= CFFS_INO_ODIR; ino++)
		system_sector(ino, opts, sectors + (ino - 1) * CFFS_SECTOR);
	memcpy(params->uuid, root->uuid, sizeof(params->uuid));
	cffs_params_encode(params, first);
	err = cffs_fs_attach(fs, opts->root);
	/* A write of several sectors may tear: the parameters come when all else is there. */
	if (!err)
		err = write_sectors(fs, sectors, CFFS_INO_ROOT, CFFS_INO_ODIR);
	if (!err)
		err = write_sectors(fs, first, 0, 1);
	cffs_fs_destroy(fs);
	return err;
}

int cffs_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts)
{
	const struct libfs_root_plan plan = {
		.opts = opts,
		.libfs = cffs_type.name,
		.images = cffs_templates_image,
		.lens = cffs_templates_image_len,
		.n_images = CFFS_TEMPLATES,
		.top = CFFS_T_DIR,
	};
	struct cffs_params params = {
		.version = CFFS_VERSION,
		.created = (uint64_t)opts->now.tv_sec,
		.inline_max = CFFS_INLINE_FILE,
	};
	struct xn_root_info root;
	int err = parse_options(opts->options, &params);

	_Static_assert((int)cffs_templates_count == (int)CFFS_TEMPLATES, "one each");
	if (err) {
		libfs_say(opts->why, opts->why_size,
			  "options of cffs: no-embed, no-group, inline=BYTES (at most 160)");
		return err;
	}
	err = libfs_root_make(session, &plan, &root);
	if (err)
		return cffs_errno(err);
	err = fill_root(session, opts, &params, &root);
	if (err)
		libfs_say(opts->why, opts->why_size, "%s", xn_strerror(err));
	return cffs_errno(err);
}
