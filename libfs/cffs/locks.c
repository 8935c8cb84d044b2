/* SPDX-License-Identifier: MIT */
/*
 * See locks.h.
 */
#include "locks.h"

#include <assert.h>

/* Classes of internal.h (2); within one, the number decides. */
static unsigned class_of(const struct cffs *fs, const struct cffs_inode *inode)
{
	if (inode == fs->odir)
		return 3;
	if (inode == fs->xdir)
		return 2;
	return cffs_is_dir(inode) ? 0 : 1;
}

static bool is_before(const struct cffs *fs, const struct cffs_inode *a, const struct cffs_inode *b)
{
	unsigned class_a = class_of(fs, a), class_b = class_of(fs, b);

	return class_a != class_b ? class_a < class_b : a->a.ino < b->a.ino;
}

static bool has(const struct cffs_locks *set, const struct cffs_inode *inode)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->v[i] == inode)
			return true;
	return false;
}

/* With a pin that the caller has taken. */
static void enter(struct cffs_locks *set, struct cffs_inode *inode)
{
	uint32_t at = set->n++;

	assert(set->n <= CFFS_LOCKS_MAX);
	for (; at > 0 && is_before(set->fs, inode, set->v[at - 1]); at--)
		set->v[at] = set->v[at - 1];
	set->v[at] = inode;
}

static int lock(struct cffs *fs, struct cffs_inode *inode)
{
	if (cffs_is_dir(inode))
		return cffs_dir_lock(fs, inode, true);
	pthread_rwlock_wrlock(&inode->lock);
	return 0;
}

static void unlock(struct cffs_locks *set)
{
	for (uint32_t i = set->n; set->locked && i > 0; i--)
		pthread_rwlock_unlock(&set->v[i - 1]->lock);
	set->locked = false;
}

void cffs_locks_init(struct cffs_locks *set, struct cffs *fs)
{
	set->fs = fs;
	set->n = set->n_asked = 0;
	set->locked = false;
}

void cffs_locks_fini(struct cffs_locks *set)
{
	unlock(set);
	while (set->n > 0)
		cffs_inode_put(set->fs, set->v[--set->n]);
	set->n_asked = 0;
}

void cffs_locks_ask(struct cffs_locks *set, struct cffs_inode *inode)
{
	assert(!set->locked);
	if (!inode || has(set, inode))
		return;
	cffs_inode_pin(set->fs, inode);
	enter(set, inode);
	set->asked[set->n_asked++] = inode;
}

int cffs_locks_take(struct cffs_locks *set)
{
	int err = 0;
	uint32_t n = 0;

	for (; n < set->n; n++) {
		err = lock(set->fs, set->v[n]);
		if (err)
			break;
	}
	while (err && n > 0)
		pthread_rwlock_unlock(&set->v[--n]->lock);
	set->locked = !err;
	return err;
}

/* 1: somebody has it. */
static int lock_at_once(struct cffs *fs, struct cffs_inode *inode)
{
	int err;

	if (pthread_rwlock_trywrlock(&inode->lock))
		return 1;
	err = cffs_is_dir(inode) ? cffs_dir_load(fs, inode) : 0;
	if (err)
		pthread_rwlock_unlock(&inode->lock);
	return err;
}

/* What was found before and not asked for goes, to make room. */
static void keep_asked(struct cffs_locks *set)
{
	uint32_t n = set->n;

	set->n = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct cffs_inode *inode = set->v[i];
		bool asked = false;

		for (uint32_t k = 0; k < set->n_asked; k++)
			asked |= set->asked[k] == inode;
		if (asked)
			set->v[set->n++] = inode;
		else
			cffs_inode_put(set->fs, inode);
	}
}

int cffs_locks_also(struct cffs_locks *set, struct cffs_inode *inode)
{
	int err = 1;

	if (has(set, inode))
		return 0;
	cffs_inode_pin(set->fs, inode);
	if (set->n < CFFS_LOCKS_MAX)
		err = is_before(set->fs, set->v[set->n - 1], inode) ? lock(set->fs, inode)
								    : lock_at_once(set->fs, inode);
	if (err < 0) {
		cffs_inode_put(set->fs, inode);
		return err;
	}
	if (err) {
		unlock(set);
		if (set->n == CFFS_LOCKS_MAX)
			keep_asked(set);
	}
	enter(set, inode);
	if (!err)
		return 0;
	err = cffs_locks_take(set);
	return err ? err : -EAGAIN;
}

int cffs_locks_home(struct cffs_locks *set, struct cffs *fs, struct cffs_inode *inode,
		    struct cffs_inode *more, struct cffs_inode **home)
{
	for (;;) {
		int err;

		cffs_locks_init(set, fs);
		pthread_mutex_lock(&fs->lock);
		*home = inode->dir;
		if (*home)
			cffs_inode_pin_locked(fs, *home);
		pthread_mutex_unlock(&fs->lock);
		if (!*home)
			return -ESTALE;
		cffs_locks_ask(set, *home);
		cffs_inode_put(fs, *home);
		cffs_locks_ask(set, inode);
		cffs_locks_ask(set, more);
		err = cffs_locks_take(set);
		if (!err && inode->dir == *home)
			return 0;
		cffs_locks_fini(set);
		if (err)
			return err;
	}
}
