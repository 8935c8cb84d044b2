/* SPDX-License-Identifier: MIT */
/*
 * A mounted C-FFS: mount, unmount, errors, space, sync.
 *
 *  (1) Nothing on the disk changes by mounting, but that orphans of an unclean
 *      stop are freed.
 *  (2) Inode numbers are the disk's mount epoch and a count: they are never used
 *      twice, and no table of them exists.  Within an epoch, a limit in the
 *      parameters says how far earlier mounts may have counted; it goes up ahead
 *      of use and needs no flush, because a crash ends the epoch.
 *  (3) What cffs_sync() finds dirty when it begins is stable when it returns.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES_MAX    3u
#define INO_STEP     65536u
#define SETTLE_TRIES 100u
#define INODES_LEAST 1024u

int cffs_errno(int error)
{
	return error < 0 ? -xn_errno(error) : error;
}

/* ---- when XN says: not now ---- */

static bool make_room(struct cffs *fs)
{
	cffs_unbind_all(fs);
	pthread_mutex_lock(&fs->lock);
	cffs_holds_trim(fs, 0);
	pthread_mutex_unlock(&fs->lock);
	return libfs_make_room(fs->libfs.session, fs->root_id);
}

bool cffs_retry(struct cffs *fs, int error, unsigned *tries)
{
	switch (error) {
	case XN_ENOTFREE:
	case XN_ENOTOWNER:
	case XN_ENOTBOUND: /* the owner moved, and what it lay in is gone */
	case XN_EOWNS:     /* another thread changed what the update was made of */
	case XN_ENOTCACHED: return (*tries)++ < 4 * TRIES_MAX;
	case XN_ECACHEFULL:
	case XN_EALLOWANCE:
	case XN_ELOGFULL: return (*tries)++ < TRIES_MAX && make_room(fs);
	case XN_ENOSPACE:
	case XN_EQUOTA:
		return (*tries)++ < TRIES_MAX && libfs_reclaim(fs->libfs.session, fs->root_id);
	default: return false;
	}
}

/* ---- sync ---- */

/* Asked under the lock: a change that is refused in the end may have no link meanwhile. */
static bool is_unsettled_orphan(struct cffs *fs, struct cffs_inode *inode)
{
	bool is;

	pthread_rwlock_rdlock(&inode->lock);
	is = inode->a.nlink == 0 && inode->dir && inode->dir != fs->odir;
	pthread_rwlock_unlock(&inode->lock);
	return is;
}

static int flush_one(struct cffs *fs, struct cffs_inode *inode)
{
	int err = cffs_is_dir(inode) ? cffs_dir_shrink(fs, inode) : cffs_file_writeback(fs, inode);

	if (!err && is_unsettled_orphan(fs, inode))
		err = cffs_orphan_settle(fs, inode);
	if (!err)
		err = cffs_inode_flush(fs, inode);
	pthread_mutex_lock(&fs->lock);
	if (inode->untidy)
		cffs_inode_dirty(fs, inode); /* so that the next sync comes by */
	inode->untidy = false;
	pthread_mutex_unlock(&fs->lock);
	return err;
}

/* Those that were dirty when we began; new ones go to the end of the list. */
static int flush_all(struct cffs *fs)
{
	struct cffs_inode *inode;
	size_t n = 0;
	int first = 0;

	pthread_mutex_lock(&fs->lock);
	for (inode = fs->dirty.dirty_next; inode != &fs->dirty; inode = inode->dirty_next)
		n++;
	while (n-- > 0 && fs->dirty.dirty_next != &fs->dirty) {
		int err;

		inode = fs->dirty.dirty_next;
		cffs_inode_pin_locked(fs, inode);
		cffs_inode_clean(fs, inode);
		cffs_inode_dirty(fs, inode);
		pthread_mutex_unlock(&fs->lock);
		err = flush_one(fs, inode);
		first = first ? first : err;
		pthread_mutex_lock(&fs->lock);
		cffs_inode_put_locked(fs, inode);
	}
	pthread_mutex_unlock(&fs->lock);
	return first;
}

static int sync_counted(struct cffs *fs)
{
	uint64_t number = atomic_fetch_add(&fs->sync_begun, 1) + 1, done;
	int err = xn_sync(fs->libfs.session, fs->root_id);

	done = atomic_load(&fs->sync_done);
	while (!err && done < number &&
	       !atomic_compare_exchange_weak(&fs->sync_done, &done, number))
		;
	return err;
}

/*
 * What an operation has taken and not written yet is in the way of those who share a sector with
 * it: wait until there is none.
 */
static int sync_xn(struct cffs *fs)
{
	int err = sync_counted(fs);

	if (err != XN_ETAINTED)
		return err;
	pthread_rwlock_wrlock(&fs->gate);
	err = sync_counted(fs);
	pthread_rwlock_unlock(&fs->gate);
	return err;
}

/* Called with locks held that who holds the gate does not wait for: they will be through soon. */
int cffs_settle(struct cffs *fs)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int err = sync_counted(fs);

	for (unsigned n = 0; err == XN_ETAINTED && n < SETTLE_TRIES; n++) {
		nanosleep(&moment, NULL);
		err = sync_counted(fs);
	}
	return err;
}

int cffs_commit(struct cffs *fs, const struct xn_extent *extents, uint32_t count)
{
	int err = xn_commit(fs->libfs.session, extents, count);

	if (err != XN_ETAINTED)
		return err;
	pthread_rwlock_wrlock(&fs->gate);
	err = xn_commit(fs->libfs.session, extents, count);
	pthread_rwlock_unlock(&fs->gate);
	return err;
}

int cffs_sync(struct cffs *fs)
{
	int first = cffs_doomed(fs), err = flush_all(fs);

	first = first ? first : err;
	err = sync_xn(fs);
	first = first ? first : err;
	err = libfs_reap_all(fs->libfs.session);
	return first ? first : err;
}

int cffs_statfs(struct libfs *libfs, struct libfs_statfs *out)
{
	struct cffs *fs = cffs_of(libfs);
	int err = libfs_space(fs->libfs.session, fs->root_id, out);

	if (err)
		return cffs_errno(err);
	/* Inodes are made of free blocks: three or four in each sector. */
	out->files = out->blocks * 3 * CFFS_SECTORS;
	out->files_free = out->blocks_available * 3 * CFFS_SECTORS;
	return 0;
}

/* ---- mount ---- */

static int gate_init(struct cffs *fs)
{
	pthread_rwlockattr_t attr;
	int err;

	pthread_rwlockattr_init(&attr);
	/* Else a stream of writes keeps a sync out for ever. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	err = pthread_rwlock_init(&fs->gate, &attr);
	pthread_rwlockattr_destroy(&attr);
	return err;
}

int cffs_fs_create(struct xn_session *session, uint32_t flags, struct cffs **out)
{
	struct cffs *fs = calloc(1, sizeof(*fs));
	struct xn_stats stats;
	int err = -ENOMEM;

	if (!fs)
		return err;
	fs->libfs = (struct libfs){ .type = &cffs_type, .session = session, .flags = flags };
	fs->xn = xn_session_disk(session);
	fs->access = flags & LIBFS_MOUNT_RDONLY ? XN_READ : XN_READ | XN_WRITE;
	xn_stats(fs->xn, &stats);
	if (pthread_mutex_init(&fs->lock, NULL))
		goto free_fs;
	if (pthread_mutex_init(&fs->rename, NULL))
		goto destroy_lock;
	if (gate_init(fs))
		goto destroy_rename;
	if (cffs_inodes_init(fs) || cffs_holds_init(fs, stats.cache_limit))
		goto destroy_gate;
	fs->sys = cffs_inode_alloc(fs);
	if (!fs->sys)
		goto destroy_gate;
	fs->sys->type = fs->sys->a.mode = 0040000;
	fs->sys->a.nlink = 2;
	*out = fs;
	return 0;

destroy_gate:
	free(fs->holds);
	free(fs->inodes);
	pthread_rwlock_destroy(&fs->gate);
destroy_rename:
	pthread_mutex_destroy(&fs->rename);
destroy_lock:
	pthread_mutex_destroy(&fs->lock);
free_fs:
	free(fs);
	return err;
}

void cffs_fs_destroy(struct cffs *fs)
{
	cffs_inodes_fini(fs);
	cffs_inode_free(fs, fs->sys);
	cffs_places_free(fs);
	cffs_holds_fini(fs);
	pthread_rwlock_destroy(&fs->gate);
	pthread_mutex_destroy(&fs->rename);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

int cffs_fs_attach(struct cffs *fs, const char *name)
{
	struct xn_disk_info disk;
	struct xn_root_info root;
	int err = xn_disk_info(fs->xn, &disk);

	if (!err)
		err = xn_root_find(fs->xn, name, &root);
	if (!err)
		err = libfs_root_types(fs->xn, &root, "cffs.dir", CFFS_TEMPLATES, fs->type);
	if (err)
		return err;
	fs->root_id = root.id;
	fs->next_ino = (disk.mount_epoch & UINT32_MAX) << 32 | CFFS_INO_USER;
	if (!disk.writable) {
		fs->libfs.flags |= LIBFS_MOUNT_RDONLY;
		fs->access = XN_READ;
	}
	err = cffs_hold_root(fs, name);
	return err ? err : cffs_dir_empty(fs->sys, fs->root->object, 1);
}

int cffs_ino_take(struct cffs *fs, uint64_t *ino)
{
	struct cffs_change change;
	struct cffs_params params = fs->params;
	unsigned tries = 0;
	int err = 0;

	do {
		pthread_mutex_lock(&fs->lock);
		if (fs->next_ino >= fs->params.ino_limit) {
			params.ino_limit = fs->next_ino + INO_STEP;
			cffs_change_init(&change);
			cffs_params_encode(&params, cffs_change_sector(&change, fs->root, 0));
			err = cffs_change_apply(fs, &change);
			if (!err)
				fs->params.ino_limit = params.ino_limit;
		}
		if (!err)
			*ino = fs->next_ino++;
		pthread_mutex_unlock(&fs->lock);
	} while (err && cffs_retry(fs, err, &tries));
	return err;
}

static int check_params(struct cffs *fs, const struct libfs_mount_opts *opts)
{
	if (!cffs_params_decode(fs->root->bytes, &fs->params)) {
		libfs_say(opts->why, opts->why_size,
			  "root \"%s\" was created but never made a C-FFS", opts->root);
		return -EINVAL;
	}
	if (fs->params.version != CFFS_VERSION || fs->params.incompat) {
		libfs_say(opts->why, opts->why_size,
			  "root \"%s\" is C-FFS version %u with features %llx, which this program "
			  "does not know",
			  opts->root, fs->params.version, (unsigned long long)fs->params.incompat);
		return XN_EVERSION;
	}
	if (fs->next_ino < fs->params.ino_limit)
		fs->next_ino = fs->params.ino_limit;
	if (fs->params.ro_compat)
		fs->libfs.flags |= LIBFS_MOUNT_RDONLY;
	return 0;
}

/* The root object has a sector for each inode of the system: its number. */
static int system_inode(struct cffs *fs, uint32_t ino, struct cffs_inode **out)
{
	const uint8_t *sector = fs->root->bytes + ino * CFFS_SECTOR;
	struct cffs_entry entry;
	uint32_t at = 0;

	if (!cffs_sector_next(sector, &at, &entry) || entry.kind != CFFS_KIND_INODE ||
	    entry.a.ino != ino || (entry.a.mode & 0170000) != 0040000)
		return XN_EDAMAGED;
	pthread_mutex_lock(&fs->lock);
	*out = cffs_inode_from_entry(fs, fs->sys, 0, ino, &entry);
	pthread_mutex_unlock(&fs->lock);
	return *out ? 0 : -ENOMEM;
}

static int mount_root(struct cffs *fs, const struct libfs_mount_opts *opts)
{
	int err = cffs_fs_attach(fs, opts->root);

	if (!err)
		err = check_params(fs, opts);
	if (!err)
		err = system_inode(fs, CFFS_INO_ROOT, &fs->top);
	if (!err)
		err = system_inode(fs, CFFS_INO_XDIR, &fs->xdir);
	if (!err)
		err = system_inode(fs, CFFS_INO_ODIR, &fs->odir);
	if (!err && !(fs->libfs.flags & LIBFS_MOUNT_RDONLY))
		cffs_orphans_recover(fs);
	return err;
}

static bool word_is(const char *word, size_t len, const char *what)
{
	return strlen(what) == len && memcmp(word, what, len) == 0;
}

/* inodes=N: how many are kept in memory, before the host is asked to let go of some. */
static bool parse_inodes(struct cffs *fs, const char *word, size_t len)
{
	unsigned long long n;
	char *end;

	if (len < 8 || memcmp(word, "inodes=", 7) != 0)
		return false;
	n = strtoull(word + 7, &end, 10);
	if (end != word + len || n < INODES_LEAST || n > UINT32_MAX)
		return false;
	fs->inodes_max = n;
	if (fs->idle_max > n / 4)
		fs->idle_max = n / 4;
	return true;
}

/* When changes are written: delayed, unless asked otherwise, or each before its call returns. */
static int parse_options(struct cffs *fs, const struct libfs_mount_opts *opts)
{
	const char *at = opts->options ? opts->options : "";

	while (*at) {
		size_t len = strcspn(at, ",");

		if (word_is(at, len, "through")) {
			fs->libfs.type = &cffs_through_type;
		} else if (len && !word_is(at, len, "delayed") && !parse_inodes(fs, at, len)) {
			libfs_say(opts->why, opts->why_size,
				  "cffs knows delayed, through and inodes=N (%u or more), "
				  "not \"%.*s\"",
				  INODES_LEAST, (int)len, at);
			return -EINVAL;
		}
		at += len + (at[len] == ',');
	}
	return 0;
}

int cffs_mount(struct xn_session *session, const struct libfs_mount_opts *opts, struct libfs **out)
{
	struct cffs *fs;
	int err;

	libfs_say(opts->why, opts->why_size, "%s", "");
	err = cffs_fs_create(session, opts->flags, &fs);
	if (err)
		return cffs_errno(err);
	err = parse_options(fs, opts);
	if (!err)
		err = mount_root(fs, opts);
	if (err) {
		if (opts->why && !opts->why[0])
			libfs_say(opts->why, opts->why_size, "root \"%s\": %s", opts->root,
				  xn_strerror(err));
		cffs_fs_destroy(fs);
		return cffs_errno(err);
	}
	*out = &fs->libfs;
	return 0;
}

/* Whatever the host still holds, it holds no more. */
static void drop_uses(struct cffs *fs)
{
	pthread_mutex_lock(&fs->lock);
	for (size_t i = 0; i < fs->n_buckets; i++)
		for (struct cffs_inode *inode = fs->inodes[i]; inode; inode = inode->hash_next) {
			if (!inode->refs && !inode->opens)
				continue;
			inode->refs = inode->opens = 0;
			cffs_inode_pin_locked(fs, inode);
			cffs_inode_put_locked(fs, inode);
		}
	pthread_mutex_unlock(&fs->lock);
}

int cffs_unmount(struct libfs *libfs)
{
	struct cffs *fs = cffs_of(libfs);
	int err = 0, second = 0;

	if (!(libfs->flags & LIBFS_MOUNT_RDONLY)) {
		drop_uses(fs);
		err = cffs_sync(fs);
		second = cffs_sync(fs); /* what was taken apart by the first is free after this */
	}
	cffs_fs_destroy(fs);
	return cffs_errno(err ? err : second);
}
