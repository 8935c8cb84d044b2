/* SPDX-License-Identifier: MIT */
/*
 * A mounted simplefs: binding and changing objects, finding space, sync.
 *
 *  (1) XN may say "not now": cache full, block taken.  The functions here do what
 *      helps (write back, look again) and try again a bounded number of times.
 *  (2) The super object stays bound while mounted; nothing else does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "simplefs.h"

#define TRIES_MAX 8u

int sfs_errno(int error)
{
	return error < 0 ? -xn_errno(error) : error;
}

/* ---- when XN says: not now ---- */

bool sfs_make_room(struct sfs *fs, int error, unsigned *tries)
{
	return (error == XN_ECACHEFULL || error == XN_EALLOWANCE) && (*tries)++ < TRIES_MAX &&
	       libfs_make_room(fs->libfs.session, fs->root);
}

bool sfs_lost_race(int error, unsigned *tries)
{
	return error == XN_ENOTFREE && (*tries)++ < 4 * TRIES_MAX;
}

int sfs_sync_locked(struct sfs *fs)
{
	uint64_t births = atomic_load(&fs->births), links = atomic_load(&fs->links);
	int err = xn_sync(fs->libfs.session, fs->root);

	if (err == 0) {
		atomic_store(&fs->births_stable, births);
		atomic_store(&fs->links_stable, links);
	}
	return err;
}

/* ---- binding ---- */

static int bind_extent(struct sfs *fs, const struct xn_bind_request *request, xn_binding_t *binding)
{
	unsigned tries = 0;
	int err;

	do
		err = xn_bind(fs->libfs.session, request, binding);
	while (sfs_make_room(fs, err, &tries));
	return err;
}

int sfs_hold_get(struct sfs *fs, xn_blk_t owner, uint32_t record, enum sfs_template which,
		 xn_blk_t object, struct sfs_hold *hold)
{
	struct xn_bind_request request = {
		.owner = owner,
		.record = record,
		.access = fs->access | XN_READIN,
		.extent = { .start = object, .count = 1, .type = fs->type[which] },
	};
	const void *bytes;
	size_t len;
	int err;

	err = bind_extent(fs, &request, &hold->binding);
	if (err)
		return err;
	err = xn_map(fs->libfs.session, hold->binding, &bytes, &len);
	if (err) {
		xn_unbind(fs->libfs.session, hold->binding);
		return err;
	}
	hold->object = object;
	hold->bytes = bytes;
	return 0;
}

void sfs_hold_put(struct sfs *fs, struct sfs_hold *hold)
{
	if (hold->object)
		xn_unbind(fs->libfs.session, hold->binding);
	memset(hold, 0, sizeof(*hold));
}

uint64_t sfs_hold_pointer(const struct sfs_hold *hold, uint32_t base, uint32_t slot)
{
	return le64_load(hold->bytes + base + slot * sizeof(le64_t));
}

int sfs_data_bind(struct sfs *fs, xn_blk_t owner, uint32_t record, xn_blk_t start, uint64_t count,
		  xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = owner,
		.record = record,
		.access = fs->access,
		.extent = { .start = start, .count = count, .type = XN_DATA },
	};

	return bind_extent(fs, &request, binding);
}

/* ---- space ---- */

int sfs_find_free(struct sfs *fs, xn_blk_t near, uint64_t want, uint32_t type,
		  struct xn_extent *out)
{
	int err = xn_find_free(fs->libfs.session, near, want, 1, out);

	if (err == XN_ENOSPACE && libfs_reclaim(fs->libfs.session, fs->root))
		err = xn_find_free(fs->libfs.session, near, want, 1, out);
	out->type = type;
	return err;
}

int sfs_statfs(struct libfs *libfs, struct libfs_statfs *out)
{
	struct sfs *fs = sfs_of(libfs);
	int err = libfs_space(fs->libfs.session, fs->root, out);

	if (err)
		return sfs_errno(err);
	out->files = SFS_INODES_MAX;
	out->files_free = out->blocks_available * SIMPLEFS_ITAB_INODES;
	if (out->files_free > SFS_INODES_MAX)
		out->files_free = SFS_INODES_MAX;
	return 0;
}

/* ---- changing ---- */

void sfs_change_bytes(struct sfs_change *change, xn_blk_t object, uint32_t offset,
		      const void *bytes, uint32_t len)
{
	assert(change->n_edits < SFS_CHANGE_EDITS);
	change->edits[change->n_edits++] = (struct xn_edit){
		.object = object,
		.offset = offset,
		.len = len,
		.bytes = bytes,
	};
}

void sfs_change_inode(struct sfs_change *change, const struct sfs_inode *inode)
{
	struct sfs_inode_disk *record = &change->records[change->n_edits];

	sfs_inode_encode(&inode->f, record);
	sfs_change_bytes(change, inode->itab.object, inode->slot * SIMPLEFS_INODE_SIZE, record,
			 sizeof(*record));
}

int sfs_change_apply(struct sfs *fs, const struct sfs_change *change)
{
	struct xn_update update = {
		.edits = change->edits,
		.n_edits = change->n_edits,
		.allocs = change->allocs,
		.n_allocs = change->n_allocs,
		.frees = change->frees,
		.n_frees = change->n_frees,
		.flags = change->n_frees ? XN_REAP | XN_FREEING : 0,
	};
	bool reclaimed = false;
	unsigned tries = 0;
	int err;

	do {
		err = xn_update(fs->libfs.session, &update);
		if ((err == XN_EQUOTA || err == XN_ENOSPACE) && !reclaimed &&
		    libfs_reclaim(fs->libfs.session, fs->root)) {
			reclaimed = true;
			err = xn_update(fs->libfs.session, &update);
		}
	} while (sfs_make_room(fs, err, &tries));
	return err;
}

/* ---- mount ---- */

static int bind_super(struct sfs *fs, const char *root)
{
	const void *bytes;
	size_t len;
	int err;

	err = xn_bind_root(fs->libfs.session, root, fs->access | XN_READIN, &fs->super.binding,
			   &fs->super.object);
	if (err)
		return err;
	err = xn_map(fs->libfs.session, fs->super.binding, &bytes, &len);
	fs->super.bytes = bytes;
	return err;
}

static int check_super(struct sfs *fs, const struct libfs_mount_opts *opts)
{
	const struct sfs_super_disk *super = (const void *)fs->super.bytes;

	if (le64_get(super->magic) != SIMPLEFS_MAGIC) {
		libfs_say(opts->why, opts->why_size,
			  "root \"%s\" was created but never made a simplefs", opts->root);
		return -EINVAL;
	}
	if (le32_get(super->version) != SIMPLEFS_VERSION) {
		libfs_say(opts->why, opts->why_size,
			  "root \"%s\" is simplefs version %u, this program knows %u", opts->root,
			  le32_get(super->version), SIMPLEFS_VERSION);
		return XN_EVERSION;
	}
	return 0;
}

static int locks_init(struct sfs *fs)
{
	pthread_rwlockattr_t attr;
	int err;

	pthread_rwlockattr_init(&attr);
	/* Else a stream of readers keeps a writer out for ever. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	err = pthread_rwlock_init(&fs->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	if (err)
		return -err;
	err = pthread_mutex_init(&fs->node_lock, NULL);
	if (err)
		pthread_rwlock_destroy(&fs->lock);
	return -err;
}

int sfs_fs_create(struct xn_session *session, uint32_t flags, struct sfs **out)
{
	struct sfs *fs = calloc(1, sizeof(*fs));
	int err = -ENOMEM;

	if (!fs)
		return err;
	fs->libfs = (struct libfs){ .type = &simplefs_type, .session = session, .flags = flags };
	fs->xn = xn_session_disk(session);
	fs->access = flags & LIBFS_MOUNT_RDONLY ? XN_READ : XN_READ | XN_WRITE;
	fs->itab_full = calloc(SIMPLEFS_SUPER_SLOTS * SIMPLEFS_IMAP_SLOTS / 8, 1);
	if (!fs->itab_full)
		goto free_fs;
	err = locks_init(fs);
	if (err)
		goto free_full;
	*out = fs;
	return 0;

free_full:
	free(fs->itab_full);
free_fs:
	free(fs);
	return err;
}

void sfs_fs_destroy(struct sfs *fs)
{
	sfs_hold_put(fs, &fs->super);
	sfs_nodes_free(fs);
	pthread_mutex_destroy(&fs->node_lock);
	pthread_rwlock_destroy(&fs->lock);
	free(fs->itab_full);
	free(fs);
}

int sfs_fs_attach(struct sfs *fs, const char *name)
{
	struct xn_disk_info disk;
	struct xn_root_info root;
	int err;

	err = xn_disk_info(fs->xn, &disk);
	if (!err)
		err = xn_root_find(fs->xn, name, &root);
	if (!err)
		err = libfs_root_types(fs->xn, &root, "simplefs.super", SFS_TEMPLATES, fs->type);
	if (err)
		return err;
	fs->root = root.id;
	fs->epoch = disk.mount_epoch & UINT32_MAX;
	if (!disk.writable) {
		fs->libfs.flags |= LIBFS_MOUNT_RDONLY;
		fs->access = XN_READ;
	}
	return bind_super(fs, name);
}

/* A disk that was not left clean may hold names and inodes that do not belong together. */
static int mount_root(struct sfs *fs, const struct libfs_mount_opts *opts)
{
	struct xn_disk_info disk;
	int err = sfs_fs_attach(fs, opts->root);

	if (!err)
		err = check_super(fs, opts);
	if (!err)
		err = xn_disk_info(fs->xn, &disk);
	if (!err && !disk.was_clean && !(fs->libfs.flags & LIBFS_MOUNT_RDONLY)) {
		err = sfs_recover(fs);
		if (err)
			libfs_say(opts->why, opts->why_size,
				  "root \"%s\" cannot be put right after an unclean stop (%s): "
				  "run xn-fsck",
				  opts->root, xn_strerror(err));
	}
	return err;
}

int sfs_mount(struct xn_session *session, const struct libfs_mount_opts *opts, struct libfs **out)
{
	struct sfs *fs;
	int err;

	libfs_say(opts->why, opts->why_size, "%s", "");
	err = sfs_fs_create(session, opts->flags, &fs);
	if (err)
		return sfs_errno(err);
	err = mount_root(fs, opts);
	if (err) {
		if (opts->why && !opts->why[0])
			libfs_say(opts->why, opts->why_size, "root \"%s\": %s", opts->root,
				  xn_strerror(err));
		sfs_fs_destroy(fs);
		return sfs_errno(err);
	}
	*out = &fs->libfs;
	return 0;
}

/* Files that were removed but still open are open no more. */
static int drop_all(struct sfs *fs)
{
	uint32_t ino;
	int first = 0;

	while ((ino = sfs_node_pop_orphan(fs)) != 0) {
		int err = sfs_inode_drop(fs, ino);

		if (!first)
			first = err;
	}
	return first;
}

/* Everything stable, and nothing of ours left to be taken apart. */
static int unmount_sync(struct sfs *fs)
{
	int err = sfs_sync_locked(fs);

	if (!err)
		err = libfs_reap_all(fs->libfs.session);
	return err ? err : sfs_sync_locked(fs);
}

int sfs_unmount(struct libfs *libfs)
{
	struct sfs *fs = sfs_of(libfs);
	int err = 0, synced = 0;

	if (!(libfs->flags & LIBFS_MOUNT_RDONLY)) {
		err = drop_all(fs);
		synced = unmount_sync(fs);
	}
	sfs_fs_destroy(fs);
	return sfs_errno(err ? err : synced);
}
