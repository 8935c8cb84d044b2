/* SPDX-License-Identifier: MIT */
/*
 * Making a simplefs: templates, root, root directory, and last the magic that
 * says it is whole.
 */
#include <errno.h>
#include <string.h>

#include "simplefs.h"
#include "simplefs_templates.h"

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
	const struct libfs_root_plan plan = {
		.opts = opts,
		.libfs = simplefs_type.name,
		.images = simplefs_templates_image,
		.lens = simplefs_templates_image_len,
		.n_images = SFS_TEMPLATES,
		.top = SFS_SUPER,
	};
	struct xn_root_info root;
	int err;

	static_assert((int)simplefs_templates_count == (int)SFS_TEMPLATES, "one each");
	if (opts->options && opts->options[0]) {
		libfs_say(opts->why, opts->why_size, "simplefs has no options");
		return -EINVAL;
	}
	err = libfs_root_make(session, &plan, &root);
	if (err)
		return sfs_errno(err);
	err = fill_root(session, opts, &root);
	if (err)
		libfs_say(opts->why, opts->why_size, "%s", xn_strerror(err));
	return sfs_errno(err);
}
