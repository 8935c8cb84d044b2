/* SPDX-License-Identifier: MIT */
/*
 * Making a C-FFS: templates, root, the three directories of the system, and
 * last the parameters that say it is whole.
 *
 * Options: no-embed, no-group, inline=BYTES.
 */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cffs_templates.h"

static int install(struct xn_session *session, uint32_t ids[CFFS_TEMPLATES],
		   struct xn_refusal *refusal)
{
	struct xn_image images[CFFS_TEMPLATES];

	_Static_assert((int)cffs_templates_count == (int)CFFS_TEMPLATES, "one each");
	for (unsigned i = 0; i < CFFS_TEMPLATES; i++)
		images[i] = (struct xn_image){
			.bytes = cffs_templates_image[i],
			.len = cffs_templates_image_len[i],
		};
	return xn_template_install(session, images, CFFS_TEMPLATES, ids, refusal);
}

static int make_root(struct xn_session *session, const struct libfs_mkfs_opts *opts, uint32_t type,
		     struct xn_root_info *root)
{
	struct xn_root_spec spec = {
		.name = opts->root,
		.libfs = cffs_type.name,
		.type = type,
		.uid = opts->uid,
		.gid = opts->gid,
		.mode = 0600,
		.quota = opts->quota,
		.now_ns = opts->now.tv_sec * 1000000000ll + opts->now.tv_nsec,
	};

	memcpy(spec.uuid, opts->uuid, sizeof(spec.uuid));
	return xn_root_create(session, &spec, root);
}

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
	struct cffs_params params = {
		.version = CFFS_VERSION,
		.created = (uint64_t)opts->now.tv_sec,
		.inline_max = CFFS_INLINE_FILE,
	};
	struct xn_refusal refusal = { 0 };
	uint32_t ids[CFFS_TEMPLATES];
	struct xn_root_info root;
	const char *what = "options of cffs: no-embed, no-group, inline=BYTES (at most 160)";
	int err = parse_options(opts->options, &params);

	if (!err) {
		err = install(session, ids, &refusal);
		what = refusal.text[0] ? refusal.text : xn_strerror(err);
	}
	if (!err) {
		err = make_root(session, opts, ids[CFFS_T_DIR], &root);
		if (!err)
			err = fill_root(session, opts, &params, &root);
		what = xn_strerror(err);
	}
	if (err && opts->why && opts->why_size)
		snprintf(opts->why, opts->why_size, "%s", what);
	return cffs_errno(err);
}
