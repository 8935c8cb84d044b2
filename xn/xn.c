/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a disk, and looking at it.
 *
 *  (1) Opening for writing marks the disk in use, with the holder's name and a
 *      new mount epoch, before anything else is written.
 *  (2) "Clean" is written when everything is stable, never before.
 *  (3) A read-only open writes nothing at all.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int refuse(struct xn_refusal *why, int error, xn_blk_t block, const char *format, ...)
{
	va_list args;

	if (!why)
		return error;
	memset(why, 0, sizeof(*why));
	why->error = error;
	why->block = block;
	why->record = NO_RECORD;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

void damaged_add(struct xn *xn, xn_blk_t object)
{
	xn->damaged = true;
	if (damaged_has(xn, object))
		return;
	if (xn->n_damaged < DAMAGED_MAX) {
		xn->damaged_objects[xn->n_damaged++] = object;
		return;
	}
	for (size_t i = 0; i < xn->n_roots; i++)
		xn->roots[i]->damaged = true; /* too many to tell apart */
}

bool damaged_has(const struct xn *xn, xn_blk_t object)
{
	for (size_t i = 0; i < xn->n_damaged; i++) {
		if (xn->damaged_objects[i] == object)
			return true;
	}
	return false;
}

bool disk_holds(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	return start != 0 && count <= xn->super.block_count &&
	       start <= xn->super.block_count - count;
}

/* ---- opening ---- */

static void say(const struct xn_open_opts *opts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct xn_open_opts *opts, const char *format, ...)
{
	va_list args;

	if (!opts->why || opts->why_size == 0)
		return;
	va_start(args, format);
	vsnprintf(opts->why, opts->why_size, format, args);
	va_end(args);
}

/* Who has it?  The superblock says, without any lock. */
static int say_held(struct bdev *dev, const struct xn_open_opts *opts)
{
	struct xn_super super;

	if (!super_read(dev, &super) && super.holder_pid)
		say(opts, "in use by process %llu (%s) on %s", (unsigned long long)super.holder_pid,
		    super.holder_command, super.holder_host);
	else
		say(opts, "in use by another process");
	return XN_EHELD;
}

static int check_super(struct xn *xn, const struct xn_open_opts *opts)
{
	struct bdev_info info;
	int err = super_read(xn->dev, &xn->super);

	bdev_info(xn->dev, &info);
	if (err) {
		say(opts, "%s", xn_strerror(err));
		return err;
	}
	if (info.size / XN_BLOCK_SIZE < xn->super.block_count) {
		say(opts, "the disk has %llu blocks, but %llu are there",
		    (unsigned long long)xn->super.block_count,
		    (unsigned long long)(info.size / XN_BLOCK_SIZE));
		return XN_ETRUNCATED;
	}
	if ((opts->flags & XN_OPEN_RDWR) && (!info.writable || xn->super.ro_compat)) {
		say(opts, info.writable ? "its features allow reading only"
					: "the device cannot be written");
		return XN_EREADONLY;
	}
	return 0;
}

static void holder_set(struct xn_super *super)
{
	FILE *comm = fopen("/proc/self/comm", "re");

	super->holder_pid = (uint64_t)getpid();
	memset(super->holder_host, 0, sizeof(super->holder_host));
	gethostname(super->holder_host, 63);
	memset(super->holder_command, 0, sizeof(super->holder_command));
	if (!comm)
		return;
	if (fgets(super->holder_command, 32, comm))
		super->holder_command[strcspn(super->holder_command, "\n")] = '\0';
	fclose(comm);
}

/* The superblock as it is now, on the medium when this returns. */
static int super_store(struct xn *xn)
{
	int err = super_write(xn);

	if (!err) {
		pthread_mutex_unlock(&xn->lock);
		err = device_flush(xn);
		pthread_mutex_lock(&xn->lock);
	}
	return err;
}

/* Before anything else is written: in use, by whom, since which epoch. */
static int mark_in_use(struct xn *xn)
{
	int err;

	xn->mark = super_mark(&xn->super); /* as it was read; if not any more, we are second */
	xn->super.mount_epoch++;
	xn->super.incompat |= XN_INCOMPAT_LOG;
	xn->super.state = XN_STATE_INUSE;
	xn->super.open_time = clock_now_ns();
	holder_set(&xn->super);
	err = super_store(xn);
	return err ? err : super_fence(xn); /* another may have done the same just now */
}

static int load(struct xn *xn, const struct xn_open_opts *opts)
{
	bool exact = xn->was_clean && !(xn->super.flags & XN_SUPER_RECLAIM);
	int err = freemap_init(xn);

	if (!xn->was_clean)
		xn->super.flags |= XN_SUPER_RECLAIM;

	xn->freemap.free_blocks = xn->super.free_blocks; /* until they are counted */
	if (!err && xn->writable)
		err = mark_in_use(xn);
	if (!err)
		err = xn->writable ? log_open(xn) : log_open_readonly(xn);
	if (err)
		say(opts, "its intent log cannot be carried out: %s", xn_strerror(err));
	if (!err)
		err = registry_init(&xn->registry);
	if (!err)
		err = catalogue_load(xn);
	if (err)
		say(opts, "the catalogues cannot be read: %s", xn_strerror(err));
	if (!err)
		err = types_load(xn);
	if (!err)
		err = principals_load(xn);
	if (!err)
		err = roots_load(xn);
	if (!err)
		err = freemap_count(xn, exact);
	if (!err && xn->writable && !xn->was_clean)
		err = types_finish_removal(xn);
	if (!err)
		principals_count(xn);
	for (size_t i = 0; i < xn->n_roots && xn->writable && !err; i++)
		reserve_settle(xn, xn->roots[i]);
	return err;
}

static void sessions_close(struct xn *xn)
{
	while (!LIST_EMPTY(&xn->sessions))
		xn_session_close(LIST_FIRST(&xn->sessions));
}

static void xn_free(struct xn *xn)
{
	sessions_close(xn);
	reap_fini(xn);
	shared_fini(xn);
	reclaim_fini(xn);
	will_free_destroy(xn->wave_free);
	registry_fini(xn);
	ahead_fini(xn);
	log_fini(xn);
	roots_fini(xn);
	principals_fini(xn);
	types_fini(xn);
	catalogue_fini(xn);
	freemap_fini(xn);
	for (unsigned i = 0; i < xn->n_queues; i++)
		bdev_queue_destroy(xn->queues[i]);
	free(xn->known_owns);
	free(xn->known_acl);
	free(xn->bounce);
	if (xn->overlay)
		xn->dev = bdev_overlay_detach(xn->overlay);
	if (xn->own_dev && xn->dev)
		bdev_close(xn->dev);
	pthread_cond_destroy(&xn->changed);
	pthread_mutex_destroy(&xn->lock);
	pthread_mutex_destroy(&xn->admin);
	free(xn);
}

static struct xn *xn_alloc(struct bdev *dev, const struct xn_open_opts *opts)
{
	struct xn *xn = calloc(1, sizeof(*xn));

	if (!xn)
		return NULL;
	pthread_mutex_init(&xn->admin, NULL);
	pthread_mutex_init(&xn->lock, NULL);
	pthread_cond_init(&xn->changed, NULL);
	TAILQ_INIT(&xn->unflushed);
	TAILQ_INIT(&xn->groups);
	LIST_INIT(&xn->afters);
	LIST_INIT(&xn->sessions);
	LIST_INIT(&xn->reserve_waits);
	LIST_INIT(&xn->read_waits);
	xn->fixed_now_ns = opts->now_ns;
	xn->reads_max = opts->reads_max ? opts->reads_max : XN_READS_DEFAULT;
	LIST_INIT(&xn->principals);
	xn->reap_tail = &xn->reap_head;
	xn->dev = dev;
	xn->writable = opts->flags & XN_OPEN_RDWR;
	xn->version_clock = 2;
	xn->known_owns = known_owns_create();
	xn->known_acl = known_acl_create();
	xn->bounce = malloc((size_t)BATCH_BLOCKS * XN_BLOCK_SIZE);
	if (!xn->bounce || cache_init(&xn->cache, opts->cache_bytes)) {
		xn_free(xn);
		return NULL;
	}
	return xn;
}

int xn_open_dev(struct bdev *dev, const struct xn_open_opts *opts, struct xn **out)
{
	struct xn *xn = xn_alloc(dev, opts);
	int err;

	if (!xn)
		return -ENOMEM;
	err = bdev_lock(dev, xn->writable, opts->lock_timeout_ms);
	if (err == -EBUSY)
		err = say_held(dev, opts);
	else if (err)
		say(opts, "it cannot be locked: %s", strerror(-err));
	if (!err)
		err = check_super(xn, opts);
	if (!err) {
		xn->was_clean = xn->super.state == XN_STATE_CLEAN;
		xn->damaged = xn->super.flags & XN_SUPER_DAMAGED;
		pthread_mutex_lock(&xn->lock);
		err = load(xn, opts);
		pthread_mutex_unlock(&xn->lock);
	}
	if (err) {
		if (opts->why && opts->why_size && !opts->why[0])
			say(opts, "%s", xn_strerror(err));
		xn_free(xn);
		return err;
	}
	xn->own_dev = !(opts->flags & XN_OPEN_BORROW_DEV);
	*out = xn;
	return 0;
}

int xn_open(const char *name, const struct xn_open_opts *opts, struct xn **out)
{
	struct xn_open_opts own = *opts;
	struct bdev *dev;
	int err;

	if (own.why && own.why_size)
		own.why[0] = '\0';
	own.flags &= ~XN_OPEN_BORROW_DEV;
	err = bdev_open(name, own.flags & XN_OPEN_RDWR ? BDEV_OPEN_RDWR : BDEV_OPEN_RDONLY, 0,
			&dev);
	if (err) {
		say(&own, "%s", xn_strerror(err));
		return err;
	}
	err = xn_open_dev(dev, &own, out);
	if (err)
		bdev_close(dev);
	return err;
}

/* ---- closing ---- */

static int empty_log(struct xn *xn)
{
	int err;

	wave_begin(xn);
	err = log_checkpoint(xn);
	wave_end(xn);
	return err;
}

/* Write back until nothing is left to write, free or take apart, and the log holds nothing. */
static int settle(struct xn *xn)
{
	xn->cache.reserve_frames = 0; /* this is what it was for */
	for (;;) {
		int zeroed = zero_unwritten(xn, NULL);
		int64_t left;
		int err = zeroed < 0 && zeroed != XN_ECACHEFULL ? zeroed : sync_root(xn, NULL);

		if (err == XN_ETAINTED && zeroed > 0)
			continue;
		if (err)
			return err;
		if (zeroed > 0)
			continue;
		if (!xn->reap_head)
			return empty_log(xn);
		left = reap_some(xn, UINT64_MAX);
		if (left < 0)
			return (int)left;
	}
}

static bool is_damaged(const struct xn *xn)
{
	return xn->damaged || xn->freemap.damaged;
}

/* Blocks given back by the last wave are in the map now; "clean" comes last of all. */
static int mark_clean(struct xn *xn)
{
	int err = roots_write_changed(xn);

	if (!err)
		err = super_fence(xn); /* whoever has it now has a map of his own */
	if (!err)
		foresight_end(xn);
	if (!err)
		err = sync_root(xn, NULL);
	if (!err) { /* also what a call wrote that failed before its own flush */
		pthread_mutex_unlock(&xn->lock);
		err = device_flush(xn);
		pthread_mutex_lock(&xn->lock);
	}
	if (err)
		return err;
	if (!xn->doubtful)
		xn->super.state = XN_STATE_CLEAN;
	xn->super.holder_pid = 0;
	if (xn->fixed_now_ns) { /* until here it told writers apart */
		xn->super.open_time = xn->fixed_now_ns;
		memset(xn->super.holder_host, 0, sizeof(xn->super.holder_host));
	}
	xn->super.flags = is_damaged(xn) ? xn->super.flags | XN_SUPER_DAMAGED : xn->super.flags;
	return super_store(xn);
}

int xn_close(struct xn *xn)
{
	int err = 0;

	sessions_close(xn); /* first, so that they pin nothing */
	pthread_mutex_lock(&xn->lock);
	if (xn->writable) {
		roots_end_temporary(xn);
		err = xn->broken ? xn->broken : settle(xn);
		if (!err)
			err = mark_clean(xn);
	}
	pthread_mutex_unlock(&xn->lock);
	xn_free(xn);
	return err;
}

void xn_abandon(struct xn *xn)
{
	xn_free(xn);
}

/* ---- looking ---- */

int xn_disk_info(struct xn *xn, struct xn_disk_info *info)
{
	pthread_mutex_lock(&xn->lock);
	memset(info, 0, sizeof(*info));
	memcpy(info->uuid, xn->super.uuid, sizeof(info->uuid));
	memcpy(info->label, xn->super.label, sizeof(info->label));
	info->format_version = XN_FORMAT_VERSION;
	info->block_count = xn->super.block_count;
	info->free_blocks = xn->freemap.free_blocks;
	info->will_free = xn->freemap.will_free;
	info->set_aside = xn->freemap.set_aside;
	info->mount_epoch = xn->super.mount_epoch;
	info->compat = xn->super.compat;
	info->incompat = xn->super.incompat;
	info->ro_compat = xn->super.ro_compat;
	info->format_time_ns = xn->super.format_time;
	for (size_t i = 0; i < xn->n_types; i++)
		info->templates += xn->types[i] != NULL;
	for (size_t i = 0; i < xn->n_roots; i++)
		info->roots += xn->roots[i]->present;
	info->writable = xn->writable;
	info->was_clean = xn->was_clean;
	info->damaged = is_damaged(xn);
	info->free_estimated = !xn->freemap.exact;
	info->reclaimable = xn->super.flags & XN_SUPER_RECLAIM;
	pthread_mutex_unlock(&xn->lock);
	return 0;
}

void xn_stats(struct xn *xn, struct xn_stats *stats)
{
	pthread_mutex_lock(&xn->lock);
	*stats = xn->stats;
	stats->cache_bytes = xn->cache.resident_frames * XN_BLOCK_SIZE;
	stats->cache_limit = xn->cache.limit_frames * XN_BLOCK_SIZE;
	stats->objects = xn->registry.n_entries;
	stats->reap_queue = xn->n_reap;
	for (size_t i = 0; i < xn->n_roots; i++)
		stats->cache_dirty_pages += xn->roots[i]->n_dirty;
	stats->cache_pinned_pages = xn->cache.bound_frames;
	stats->cache_held_pages = xn->cache.held_frames;
	pthread_mutex_unlock(&xn->lock);
}
