/* SPDX-License-Identifier: MIT */
/*
 * Reading directories: entries in the order of their places.
 */
#include <dirent.h>
#include <string.h>

#include "dir.h"

#define COOKIE_DOT    1u
#define COOKIE_DOTDOT 2u
#define COOKIE_FIRST  3u

static uint64_t cookie_of(uint32_t block, uint32_t sector, uint32_t slot)
{
	return COOKIE_FIRST + ((uint64_t)block << 8 | sector << 5 | slot);
}

struct reading {
	struct cffs *fs;
	struct cffs_inode *dir;
	uint32_t flags;
	struct libfs_dirent *out;
	size_t n, max;
	uint64_t cookie;
};

static int give_dot(struct reading *r, uint64_t cookie, const char *name, struct cffs_inode *inode)
{
	struct libfs_dirent *out = &r->out[r->n];

	if (r->cookie >= cookie || r->n == r->max)
		return 0;
	out->cookie = cookie;
	out->type = DT_DIR;
	out->name_len = (uint32_t)strlen(name);
	memcpy(out->name, name, out->name_len + 1);
	pthread_mutex_lock(&r->fs->lock);
	cffs_attr_fill(inode, &out->attr);
	pthread_mutex_unlock(&r->fs->lock);
	out->ino = out->attr.ino;
	r->n++;
	r->cookie = cookie;
	return 0;
}

static int give_entry(struct reading *r, const struct cffs_entry *entry, uint32_t block,
		      uint32_t sector)
{
	struct libfs_dirent *out = &r->out[r->n];
	struct cffs_loc loc = { .block = block, .sector = sector };
	struct cffs_inode *inode;
	int err;

	cffs_loc_fill(&loc, entry);
	out->ino = loc.ino;
	out->cookie = cookie_of(block, sector, entry->slot);
	out->type = loc.dtype;
	out->name_len = entry->name_len;
	memcpy(out->name, entry->name, entry->name_len);
	out->name[entry->name_len] = '\0';
	if (r->flags & LIBFS_READDIR_PLUS) {
		err = cffs_dir_inode(r->fs, r->dir, &loc, &inode);
		if (err)
			return err;
		pthread_mutex_lock(&r->fs->lock);
		inode->refs++;
		cffs_attr_fill(inode, &out->attr);
		pthread_mutex_unlock(&r->fs->lock);
		cffs_inode_put(r->fs, inode);
	}
	r->n++;
	return 0;
}

/* Entries of one sector behind the cookie, by slot. */
static int give_sector(struct reading *r, uint32_t block, uint32_t sector)
{
	uint8_t bytes[CFFS_SECTOR];
	int err = cffs_dir_sector(r->fs, r->dir, block, sector, bytes);

	for (uint32_t slot = 0; slot < 32 && r->n < r->max && !err; slot++) {
		struct cffs_entry entry;
		uint32_t at;

		if (cookie_of(block, sector, slot) <= r->cookie)
			continue;
		at = cffs_sector_find_slot(bytes, (uint8_t)slot);
		if (!at)
			continue;
		cffs_entry_decode(bytes, at, &entry);
		err = entry.name_len ? give_entry(r, &entry, block, sector)
				     : cffs_dir_meet_nameless(r->fs, r->dir, block, sector, &entry);
	}
	return err;
}

static int give_names(struct reading *r)
{
	uint64_t at = r->cookie > COOKIE_FIRST ? r->cookie - COOKIE_FIRST : 0;
	uint64_t end = (uint64_t)r->dir->d->n_blocks * CFFS_SECTORS;
	int err = 0;

	for (uint64_t i = at >> 5; i < end && r->n < r->max && !err; i++)
		err = give_sector(r, (uint32_t)(i / CFFS_SECTORS), (uint32_t)(i % CFFS_SECTORS));
	return err;
}

ssize_t cffs_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct cffs *fs = cffs_of(libfs);
	struct reading r = { .fs = fs, .flags = flags, .out = out, .max = max, .cookie = cookie };
	int err = cffs_inode_get(fs, ino, &r.dir);

	(void)ctx;
	if (err)
		return cffs_errno(err);
	err = cffs_dir_lock(fs, r.dir, false);
	if (!err) {
		if (r.dir->a.nlink) {
			give_dot(&r, COOKIE_DOT, ".", r.dir);
			give_dot(&r, COOKIE_DOTDOT, "..",
				 r.dir->dir == fs->sys ? r.dir : r.dir->dir);
			err = give_names(&r);
		}
		pthread_rwlock_unlock(&r.dir->lock);
	}
	cffs_inode_put(fs, r.dir);
	return r.n ? (ssize_t)r.n : cffs_errno(err);
}
