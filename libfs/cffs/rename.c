/* SPDX-License-Identifier: MIT */
/*
 * A name becomes another, or two change places: names.h.
 */
#include <errno.h>

#include "locks.h"
#include "names.h"

/* Is `dir` the directory `top`, or below it?  fs->rename keeps it so. */
static bool is_below(struct cffs *fs, struct cffs_inode *dir, const struct cffs_inode *top)
{
	bool below = false;

	pthread_mutex_lock(&fs->lock);
	for (; dir && !below; dir = dir->dir)
		below = dir == top;
	pthread_mutex_unlock(&fs->lock);
	return below;
}

struct rename {
	struct cffs *fs;
	struct cffs_locks locks;
	const struct libfs_ctx *ctx;
	const char *from_name, *to_name;
	struct cffs_inode *from, *to; /* directories; the same one, perhaps */
	struct cffs_inode *child, *target;
	struct cffs_loc old, new; /* new: of the target */
	bool exchange;
};

static int rename_find(struct rename *r, uint32_t flags)
{
	int err = cffs_names_find(r->fs, r->from, r->from_name, &r->old, &r->child);

	if (err)
		return err;
	err = cffs_names_find(r->fs, r->to, r->to_name, &r->new, &r->target);
	if (err && err != -ENOENT)
		return err;
	if (err && r->exchange)
		return -ENOENT;
	return !err && (flags & LIBFS_RENAME_NOREPLACE) ? -EEXIST : 0;
}

static int check_target(struct rename *r)
{
	int err = cffs_may_remove(r->fs, r->to, r->target, r->ctx);

	if (err || r->exchange)
		return err;
	if (cffs_is_dir(r->child) != cffs_is_dir(r->target))
		return cffs_is_dir(r->child) ? -ENOTDIR : -EISDIR;
	/* What moves lies in it, or below. */
	return is_below(r->fs, r->from, r->target) ? -ENOTEMPTY : 0;
}

/* A directory that gets another parent: not into itself, and its ".." is written. */
static int check_move(struct rename *r, struct cffs_inode *what, struct cffs_inode *to)
{
	if (!cffs_is_dir(what) || r->from == r->to)
		return 0;
	if (is_below(r->fs, to, what))
		return -EINVAL;
	return cffs_may(r->fs, what, r->ctx, LIBFS_MAY_WRITE);
}

static int rename_check(struct rename *r)
{
	int err = r->to->a.nlink ? 0 : -ENOENT;

	if (!err && cffs_is_dir(r->child) && r->from != r->to && is_below(r->fs, r->to, r->child))
		err = -EINVAL;
	if (!err)
		err = cffs_may(r->fs, r->from, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = cffs_may(r->fs, r->to, r->ctx, LIBFS_MAY_WRITE);
	if (!err)
		err = cffs_may_remove(r->fs, r->from, r->child, r->ctx);
	if (!err)
		err = check_move(r, r->child, r->to);
	if (!err && r->target)
		err = check_target(r);
	if (!err && r->target && r->exchange)
		err = check_move(r, r->target, r->from);
	return err;
}

/* The entry of `inode`, found at `was`, comes as `name` in `dir`. */
static struct cffs_put *deal_arrive(struct cffs_deal *deal, struct cffs_inode *dir,
				    const char *name, struct cffs_inode *inode,
				    const struct cffs_loc *was, const struct cffs_loc *prefer)
{
	struct cffs_put *put = cffs_deal_put(deal, dir, name, prefer);

	if (was->kind == CFFS_KIND_INODE)
		put->inode = inode;
	else
		put->link = inode;
	return put;
}

/* How many subdirectories each of the two directories gains. */
static void deal_parents(struct rename *r, struct cffs_deal *deal)
{
	int from = 0, to = 0;

	if (cffs_is_dir(r->child)) {
		from--;
		to++;
	}
	if (r->target && cffs_is_dir(r->target)) {
		to--;
		from += r->exchange;
	}
	if (r->from == r->to) {
		cffs_names_changed(deal, r->to, from + to);
		return;
	}
	cffs_names_changed(deal, r->from, from);
	cffs_names_changed(deal, r->to, to);
}

static void deal_rename(struct rename *r, struct cffs_deal *deal)
{
	bool target_dir = r->target && cffs_is_dir(r->target);

	deal_parents(r, deal);
	/* Of a link, the inode's ctime follows in its own time. */
	cffs_deal_tweak(deal, r->child, 0, false);
	cffs_deal_cut(deal, r->from, &r->old, r->from_name);
	if (!r->target) {
		deal_arrive(deal, r->to, r->to_name, r->child, &r->old,
			    r->from == r->to ? &r->old : NULL);
		return;
	}
	if (r->exchange) {
		cffs_deal_tweak(deal, r->target, 0, false);
		cffs_deal_cut(deal, r->to, &r->new, r->to_name);
		deal_arrive(deal, r->to, r->to_name, r->child, &r->old, &r->new);
		deal_arrive(deal, r->from, r->from_name, r->target, &r->new, &r->old);
		return;
	}
	if (target_dir) {
		cffs_deal_cut(deal, r->to, &r->new, r->to_name);
		cffs_deal_tweak(deal, r->target, -(int)r->target->a.nlink, false);
		deal->freed = r->target;
	} else {
		cffs_deal_remove(r->fs, deal, r->to, r->target, &r->new, r->to_name);
	}
	/* An orphan keeps its place: the new name takes another. */
	deal_arrive(deal, r->to, r->to_name, r->child, &r->old, deal->freed ? &r->new : NULL);
}

static int rename_do(struct rename *r)
{
	struct cffs *fs = r->fs;
	bool target_dir = r->target && cffs_is_dir(r->target) && !r->exchange;
	struct cffs_deal deal;
	int err = target_dir ? cffs_dir_vacate(fs, r->target) : 0;

	if (err)
		return err;
	cffs_deal_init(&deal, r->ctx->now);
	deal_rename(r, &deal);
	err = cffs_deal_run(fs, &deal);
	if (!err && target_dir)
		cffs_dir_clear(fs, r->target);
	return err;
}

/* Whose entry moves, or goes, must not be about its blocks meanwhile: they get another owner. */
static int lock_moving(struct rename *r)
{
	int err = cffs_locks_also(&r->locks, r->child);

	if (!err && r->target)
		err = cffs_locks_also(&r->locks, r->target);
	if (!err && r->target && r->new.kind == CFFS_KIND_LINK && !r->exchange)
		err = cffs_locks_also(&r->locks, r->fs->xdir);
	return err;
}

/* -EAGAIN: the locks were let go for a moment. */
static int rename_once(struct rename *r, uint32_t flags)
{
	int err;

	r->child = r->target = NULL;
	err = rename_find(r, flags);
	if (!err)
		err = rename_check(r);
	if (!err && r->target != r->child) {
		err = lock_moving(r);
		if (!err)
			err = rename_do(r);
	}
	cffs_inode_put(r->fs, r->target);
	cffs_inode_put(r->fs, r->child);
	return err;
}

static int rename_in(struct rename *r, uint32_t flags)
{
	int err;

	cffs_locks_init(&r->locks, r->fs);
	cffs_locks_ask(&r->locks, r->from);
	cffs_locks_ask(&r->locks, r->to);
	err = cffs_locks_take(&r->locks);
	if (!err)
		do
			err = rename_once(r, flags);
		while (err == -EAGAIN);
	cffs_locks_fini(&r->locks);
	return err;
}

int cffs_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
		const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct cffs *fs = cffs_of(libfs);
	struct rename r = { .fs = fs,
			    .ctx = ctx,
			    .from_name = from,
			    .to_name = to,
			    .exchange = flags & LIBFS_RENAME_EXCHANGE };
	bool two = from_dir != to_dir;
	int err = cffs_inode_get(fs, from_dir, &r.from);

	if (err)
		return cffs_errno(err);
	err = cffs_inode_get(fs, to_dir, &r.to);
	if (err)
		goto put_from;
	err = cffs_is_dir(r.from) && cffs_is_dir(r.to) ? 0 : -ENOTDIR;
	if (!err)
		err = cffs_may_look(fs, ctx, r.from);
	if (!err)
		err = cffs_may_look(fs, ctx, r.to);
	if (err)
		goto put_to;
	if (two)
		pthread_mutex_lock(&fs->rename);
	err = rename_in(&r, flags);
	if (two)
		pthread_mutex_unlock(&fs->rename);
put_to:
	cffs_inode_put(fs, r.to);
put_from:
	cffs_inode_put(fs, r.from);
	cffs_doomed(fs);
	return cffs_errno(err);
}
