/* SPDX-License-Identifier: MIT */
/*
 * Making a simplefs: templates, root, root directory, and last the magic that
 * says it is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "simplefs.h"
#include "simplefs_templates.h"

static int install(struct xn_session *session, uint32_t ids[SFS_TEMPLATES],
		   struct xn_refusal *refusal)
{
	struct xn_image images[SFS_TEMPLATES];

	static_assert((int)simplefs_templates_count == (int)SFS_TEMPLATES, "one each");
	for (unsigned i = 0; i < SFS_TEMPLATES; i++)
		images[i] = (struct xn_image){
			.bytes = simplefs_templates_image[i],
			.len = simplefs_templates_image_len[i],
		};
	return xn_template_install(session, images, SFS_TEMPLATES, ids, refusal);
}

static int make_root(struct xn_session *session, const struct libfs_mkfs_opts *opts, uint32_t type,
		     struct xn_root_info *root)
{
	struct xn_root_spec spec = {
		.name = opts->root,
		.libfs = simplefs_type.name,
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

static int make_root_directory(struct sfs *fs, const struct libfs_mkfs_opts *opts)
{
	struct sfs_make make = {
		.mode = SIMPLEFS_DIR << 12 | (opts->mode ? opts->mode & 07777 : 0755),
		.uid = opts->uid,
		.gid = opts->gid,
		.parent = SFS_ROOT_INO,
		.now = opts->now,
	};
	struct sfs_inode inode;
	int err = sfs_inode_make(fs, &make, &inode);

	if (!err)
		sfs_inode_put(fs, &inode);
	return err;
}

static int write_parameters(struct sfs *fs, const struct libfs_mkfs_opts *opts,
			    const struct xn_root_info *root)
{
	struct sfs_change change = { 0 };
	struct sfs_super_disk super = {
		.magic = le64_make(SIMPLEFS_MAGIC),
		.version = le32_make(SIMPLEFS_VERSION),
		.created = le64_make((uint64_t)opts->now.tv_sec),
	};

	memcpy(super.uuid, root->uuid, sizeof(super.uuid));
	sfs_change_bytes(&change, fs->super.object, 0, &super, SIMPLEFS_SUPER_RAW);
	return sfs_change_apply(fs, &change);
}

static int fill_root(struct xn_session *session, const struct libfs_mkfs_opts *opts,
		     const struct xn_root_info *root)
{
	struct sfs *fs;
	int err = sfs_fs_create(session, 0, &fs);

	if (err)
		return err;
	err = sfs_fs_attach(fs, opts->root);
	if (!err)
		err = make_root_directory(fs, opts);
	/* The magic and the pointer to the directory lie in two sectors: a write may tear between. */
	if (!err)
		err = sfs_sync_locked(fs);
	if (!err)
		err = write_parameters(fs, opts, root);
	if (!err)
		err = sfs_sync_locked(fs);
	sfs_fs_destroy(fs);
	return err;
}

int sfs_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts)
{
	struct xn_refusal refusal = { 0 };
	uint32_t ids[SFS_TEMPLATES];
	struct xn_root_info root;
	const char *what;
	int err;

	what = "simplefs has no options";
	err = opts->options && opts->options[0] ? -EINVAL : 0;
	if (!err) {
		err = install(session, ids, &refusal);
		what = refusal.text[0] ? refusal.text : xn_strerror(err);
	}
	if (!err) {
		err = make_root(session, opts, ids[SFS_SUPER], &root);
		if (!err)
			err = fill_root(session, opts, &root);
		what = xn_strerror(err);
	}
	if (err && opts->why && opts->why_size)
		snprintf(opts->why, opts->why_size, "%s", what);
	return sfs_errno(err);
}
