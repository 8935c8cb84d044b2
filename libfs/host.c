/* SPDX-License-Identifier: MIT */
/*
 * A host: one open disk and a mounted LibFS for each root in use.
 *
 *  (1) mounts[] only grows until the host is closed; an entry once made never
 *      changes, so an instance may be used without the lock.
 *  (2) `lock` guards the list of mounts and the syncer's wake-up.  It is never
 *      held while a LibFS or XN is called, except to mount: nobody shall see a
 *      root twice.
 *  (3) The syncer is the only thread of a host, takes no signals, and is gone
 *      before anything is unmounted.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfs/host.h"
#include "xn/bdev.h"
#include "xn/xn.h"

/* Objects taken apart in one turn of the syncer before it looks up again. */
#define REAP_BUDGET    256u
#define RECLAIM_BUDGET 256u

struct mount {
	struct mount *next;
	struct xn_session *session;
	struct libfs *fs;
	char name[64];
};

struct host {
	struct xn *xn;
	struct bdev *dev; /* XN's */
	struct xn_session *session;
	bool rdonly;
	uint32_t sync_ms, reclaim_rate;
	void (*report)(void *arg, const char *sentence);
	void *report_arg;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct mount *mounts;
	bool syncing; /* the thread exists */
	bool stop;
	pthread_t syncer;
	bool reclaimed; /* all that a crash lost, or as far as it can be told */
	int last_error; /* of the syncer, to report each kind once */
};

/* ---- small things ---- */

static void say(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(char *why, size_t size, const char *format, ...)
{
	va_list args;

	if (!why || size == 0)
		return;
	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
}

/* A LibFS may have said it better; otherwise the error's own sentence. */
static void say_error(char *why, size_t size, const char *what, int error)
{
	if (why && size > 0 && why[0] == '\0')
		say(why, size, "%s: %s", what, xn_strerror(error));
}

static const struct xn_cred root_cred = { .uid = 0, .gid = 0, .n_groups = 0 };

/* The list as it is now; entries behind its head never change (1). */
static struct mount *mounts_now(struct host *host)
{
	struct mount *mount;

	pthread_mutex_lock(&host->lock);
	mount = host->mounts;
	pthread_mutex_unlock(&host->lock);
	return mount;
}

/* ---- the syncer ---- */

static void report_once(struct host *host, const char *name, int error)
{
	char text[200];

	if (error == host->last_error)
		return;
	host->last_error = error;
	if (!error || !host->report)
		return;
	say(text, sizeof(text), "writing back %s failed: %s", name, xn_strerror(error));
	host->report(host->report_arg, text);
}

static int sync_mounts(struct host *host, const char **where)
{
	int error = 0;

	for (struct mount *mount = mounts_now(host); mount; mount = mount->next) {
		int err = libfs_sync(mount->fs);

		if (err && !error) {
			error = err;
			*where = mount->name;
		}
	}
	return error;
}

/* Wait for the next turn; false = stop. */
static bool syncer_wait(struct host *host)
{
	struct timespec until;
	bool go_on;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += host->sync_ms / 1000;
	until.tv_nsec += (long)(host->sync_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&host->lock);
	while (!host->stop && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&host->wake, &host->lock, &until);
	go_on = !host->stop;
	pthread_mutex_unlock(&host->lock);
	return go_on;
}

static bool must_stop(struct host *host)
{
	bool stop;

	pthread_mutex_lock(&host->lock);
	stop = host->stop;
	pthread_mutex_unlock(&host->lock);
	return stop;
}

/* Take apart what was removed, until it is done or no further (a full cache, an error). */
static void reap(struct host *host)
{
	int64_t before = INT64_MAX;

	while (!must_stop(host)) {
		int64_t left = xn_reap(host->session, REAP_BUDGET);

		if (left <= 0 || left >= before)
			return;
		before = left;
	}
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * XN wants pages of the cache back.  What is dirty is written; a LibFS binds for as
 * long as a call lasts, so its pins answer themselves.  What nobody gives in time
 * is taken, from whatever session keeps it.
 */
static void answer_revocations(struct host *host)
{
	struct xn_revocation request;

	for (struct mount *mount = mounts_now(host); mount; mount = mount->next) {
		if (xn_revocation(mount->session, &request) && request.root && request.pages)
			(void)libfs_sync(mount->fs);
	}
	(void)xn_revoke_overdue(host->session, now_ns());
}

static void reclaim_report(struct host *host, int error)
{
	char text[200];

	if (!host->report)
		return;
	say(text, sizeof(text), "what a crash lost cannot be found: %s", xn_strerror(error));
	host->report(host->report_arg, text);
}

/* Look for what a crash lost: this turn's share. */
static void reclaim(struct host *host)
{
	uint64_t budget = (uint64_t)host->reclaim_rate * host->sync_ms / 1000 + 1;

	while (!host->reclaimed && budget > 0 && !must_stop(host)) {
		uint64_t now = budget < RECLAIM_BUDGET ? budget : RECLAIM_BUDGET;
		int more = xn_reclaim(host->session, now, NULL);

		budget -= now;
		host->reclaimed = more <= 0;
		if (more < 0)
			reclaim_report(host, more);
	}
}

static void *syncer_main(void *arg)
{
	struct host *host = arg;

	while (syncer_wait(host)) {
		const char *where = "";
		int err = sync_mounts(host, &where);

		report_once(host, where, err);
		answer_revocations(host);
		reap(host);
		reclaim(host);
	}
	return NULL;
}

static int syncer_start(struct host *host)
{
	sigset_t all, before;
	int err;

	if (host->rdonly || host->sync_ms == 0)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&host->syncer, NULL, syncer_main, host);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	host->syncing = err == 0;
	return -err;
}

static void syncer_stop(struct host *host)
{
	if (!host->syncing)
		return;
	pthread_mutex_lock(&host->lock);
	host->stop = true;
	pthread_cond_signal(&host->wake);
	pthread_mutex_unlock(&host->lock);
	pthread_join(host->syncer, NULL);
	host->syncing = false;
}

/* ---- opening and closing ---- */

static struct host *host_new(const struct host_opts *opts)
{
	struct host *host = calloc(1, sizeof(*host));
	pthread_condattr_t attr;

	if (!host)
		return NULL;
	host->rdonly = opts->flags & HOST_RDONLY;
	host->sync_ms = opts->sync_ms;
	host->reclaim_rate = opts->reclaim_rate ? opts->reclaim_rate : HOST_RECLAIM_RATE_DEFAULT;
	host->report = opts->report;
	host->report_arg = opts->report_arg;
	pthread_mutex_init(&host->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&host->wake, &attr);
	pthread_condattr_destroy(&attr);
	return host;
}

static void host_free(struct host *host)
{
	while (host->mounts) {
		struct mount *mount = host->mounts;

		host->mounts = mount->next;
		free(mount);
	}
	pthread_cond_destroy(&host->wake);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

/* The disk, under a recorder if its writes are to be kept: for XN, which takes it over. */
static int disk_open(struct host *host, const char *image, const struct host_opts *opts,
		     struct bdev **out)
{
	int err = bdev_open(image, host->rdonly ? BDEV_OPEN_RDONLY : BDEV_OPEN_RDWR, 0, &host->dev);

	*out = host->dev;
	if (err)
		say(opts->why, opts->why_size, "%s", xn_strerror(err));
	if (err || !opts->record)
		return err;
	err = bdev_recorder_create(host->dev, out);
	if (err) {
		bdev_close(host->dev);
		return err;
	}
	err = bdev_recorder_save(*out, opts->record);
	if (err) {
		say(opts->why, opts->why_size, "record %s: %s", opts->record, strerror(-err));
		bdev_close(*out);
	}
	return err;
}

int host_open(const char *image, const struct host_opts *opts, struct host **out)
{
	struct xn_open_opts how = {
		.flags = opts->flags & HOST_RDONLY ? XN_OPEN_RDONLY : XN_OPEN_RDWR,
		.lock_timeout_ms = opts->lock_timeout_ms,
		.cache_bytes = opts->cache_bytes,
		.now_ns = opts->now_ns,
		.why = opts->why,
		.why_size = opts->why_size,
	};
	struct bdev *dev;
	struct host *host;
	int err;

	say(opts->why, opts->why_size, "%s", "");
	host = host_new(opts);
	if (!host)
		return -ENOMEM;
	err = disk_open(host, image, opts, &dev);
	if (err)
		goto free_host;
	err = xn_open_dev(dev, &how, &host->xn);
	if (err) {
		bdev_close(dev);
		if (opts->record)
			unlink(opts->record); /* nothing is in it */
		goto free_host;
	}
	err = xn_session_open(host->xn, &root_cred, XN_SESSION_ADMIN, &host->session);
	if (err)
		goto close_xn;
	err = syncer_start(host);
	if (err)
		goto close_session;
	*out = host;
	return 0;

close_session:
	xn_session_close(host->session);
close_xn:
	xn_close(host->xn);
free_host:
	host_free(host);
	say_error(opts->why, opts->why_size, "cannot open it", err);
	return -xn_errno(err);
}

int host_close(struct host *host, char *why, size_t why_size)
{
	int error = 0, err;

	say(why, why_size, "%s", "");
	syncer_stop(host);
	for (struct mount *mount = host->mounts; mount; mount = mount->next) {
		err = libfs_unmount(mount->fs);
		xn_session_close(mount->session);
		if (err && !error) {
			say(why, why_size, "root %s: %s", mount->name, xn_strerror(err));
			error = err;
		}
	}
	xn_session_close(host->session);
	err = xn_close(host->xn);
	if (err && !error) {
		say(why, why_size, "closing the disk: %s", xn_strerror(err));
		error = err;
	}
	host_free(host);
	return -xn_errno(error);
}

/* ---- roots ---- */

static void root_from_info(const struct xn_root_info *info, struct host_root *out)
{
	_Static_assert(sizeof(out->name) == sizeof(info->name), "the same names");
	_Static_assert(sizeof(out->libfs) == sizeof(info->libfs), "the same names");
	*out = (struct host_root){ .id = info->id, .damaged = info->damaged };
	memcpy(out->name, info->name, sizeof(out->name));
	memcpy(out->libfs, info->libfs, sizeof(out->libfs));
}

int host_root_next(struct host *host, uint32_t after, struct host_root *out)
{
	struct xn_root_info info;
	int err = xn_root_next(host->xn, after, &info);

	if (err)
		return -xn_errno(err);
	root_from_info(&info, out);
	return 0;
}

int host_root_find(struct host *host, const char *name, struct host_root *out)
{
	struct xn_root_info info;
	int err = xn_root_find(host->xn, name, &info);

	if (err)
		return -xn_errno(err);
	root_from_info(&info, out);
	return 0;
}

/* With a session of its own; the caller holds the lock. */
static int mount_create(struct host *host, const struct libfs_mount_opts *opts, struct mount **out)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	int err;

	if (!mount)
		return -ENOMEM;
	snprintf(mount->name, sizeof(mount->name), "%s", opts->root);
	err = xn_session_open(host->xn, &root_cred, XN_SESSION_ADMIN, &mount->session);
	if (err)
		goto free_mount;
	err = libfs_mount(mount->session, opts, &mount->fs);
	if (err)
		goto close_session;
	*out = mount;
	return 0;

close_session:
	xn_session_close(mount->session);
free_mount:
	free(mount);
	return err;
}

static struct mount *mount_find(struct host *host, const char *name)
{
	for (struct mount *mount = host->mounts; mount; mount = mount->next) {
		if (strcmp(mount->name, name) == 0)
			return mount;
	}
	return NULL;
}

int host_mount_root(struct host *host, const char *name, const char *options, struct libfs **out,
		    char *why, size_t why_size)
{
	struct libfs_mount_opts opts = {
		.root = name,
		.flags = host->rdonly ? LIBFS_MOUNT_RDONLY : 0,
		.options = options,
		.why = why,
		.why_size = why_size,
	};
	struct mount *mount;
	int err = 0;

	say(why, why_size, "%s", "");
	pthread_mutex_lock(&host->lock);
	mount = mount_find(host, name);
	if (!mount) {
		err = mount_create(host, &opts, &mount);
		if (!err) {
			mount->next = host->mounts;
			host->mounts = mount;
		}
	}
	pthread_mutex_unlock(&host->lock);
	if (err) {
		say_error(why, why_size, name, err);
		return -xn_errno(err);
	}
	*out = mount->fs;
	return 0;
}

/* ---- the whole ---- */

int host_sync(struct host *host)
{
	const char *where;
	int error, err;

	if (host->rdonly)
		return 0;
	error = sync_mounts(host, &where);
	err = xn_sync(host->session, 0);
	return -xn_errno(error ? error : err);
}

int host_statfs(struct host *host, struct libfs_statfs *out)
{
	struct xn_disk_info info;
	int err = xn_disk_info(host->xn, &info);

	if (err)
		return -xn_errno(err);
	*out = (struct libfs_statfs){
		.block_size = XN_BLOCK,
		.blocks = info.block_count,
		.blocks_free = info.free_blocks,
		.blocks_available = info.free_blocks,
		.name_max = LIBFS_NAME_MAX,
	};
	memcpy(&out->fsid, info.uuid, sizeof(out->fsid));
	return 0;
}

int host_uuid(struct host *host, uint8_t uuid[16])
{
	struct xn_disk_info info;
	int err = xn_disk_info(host->xn, &info);

	if (!err)
		memcpy(uuid, info.uuid, sizeof(info.uuid));
	return -xn_errno(err);
}

void host_yield_claim(struct host *host)
{
	bdev_yield(host->dev);
}

/* ---- what the disk says of itself ---- */

/* 1: found; 0: walked on to the end. */
static int walk_to(struct xn_walker *walker, uint64_t block, struct host_owner *out)
{
	struct xn_walk_item item;
	int n, found = 0;

	while ((n = xn_walker_next(walker, &item)) > 0) {
		if (block < item.extent.start || block - item.extent.start >= item.extent.count)
			continue;
		*out = (struct host_owner){
			.root_id = item.root,
			.type = item.owner_type,
			.object = item.owner,
			.record = item.record,
			.depth = item.depth,
			.start = item.extent.start,
			.count = item.extent.count,
			.is_data = item.extent.type == XN_DATA,
		};
		found = 1; /* what lies deeper says it better */
		if (out->is_data)
			break;
	}
	return n < 0 ? n : found;
}

int host_owner_find(struct host *host, uint64_t block, struct host_owner *out)
{
	struct xn_disk_info info;
	struct xn_walker *walker;
	int err = xn_disk_info(host->xn, &info);

	*out = (struct host_owner){ 0 };
	if (err)
		return -xn_errno(err);
	if (block >= info.block_count)
		return -ERANGE;
	err = xn_walker_create(host->session, 0, &walker);
	if (err)
		return -xn_errno(err);
	err = walk_to(walker, block, out);
	xn_walker_destroy(walker);
	return err < 0 ? -xn_errno(err) : 0;
}

int host_template_next(struct host *host, uint32_t after, struct host_template *out)
{
	struct xn_template_info info;
	int err = xn_template_next(host->xn, after, &info);

	if (err)
		return -xn_errno(err);
	*out = (struct host_template){
		.id = info.id,
		.object_size = info.obj_size,
		.record_size = info.rec_size,
		.record_count = info.rec_count,
	};
	memcpy(out->name, info.name, sizeof(out->name));
	memcpy(out->sha256, info.sha256, sizeof(out->sha256));
	return 0;
}

struct xn *host_disk(struct host *host)
{
	return host->xn;
}

struct xn_session *host_session(struct host *host)
{
	return host->session;
}

/* ---- who asks ---- */

_Static_assert(sizeof(struct xn_cred) <= sizeof(((struct host_ctx *)0)->cred), "room for it");
_Static_assert(_Alignof(struct xn_cred) <= _Alignof(uint32_t), "and aligned");

static struct xn_cred *ctx_cred(struct host_ctx *ctx)
{
	return (struct xn_cred *)ctx->cred;
}

void host_ctx_init(struct host_ctx *ctx, uint32_t uid, uint32_t gid)
{
	struct xn_cred *cred = ctx_cred(ctx);

	cred->uid = uid;
	cred->gid = gid;
	cred->n_groups = 0;
	ctx->libfs = (struct libfs_ctx){ .cred = cred };
	clock_gettime(CLOCK_REALTIME, &ctx->libfs.now);
}

size_t host_ctx_set_groups(struct host_ctx *ctx, const gid_t *groups, size_t count)
{
	struct xn_cred *cred = ctx_cred(ctx);

	if (count > XN_GROUPS_MAX)
		count = XN_GROUPS_MAX;
	for (size_t i = 0; i < count; i++)
		cred->groups[i] = groups[i];
	cred->n_groups = (uint32_t)count;
	return count;
}
