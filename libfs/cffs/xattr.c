/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes.
 *
 *  (1) They lie in the inode's entry if they fit there; else all but ACLs lie in
 *      raw blocks that a class 6 slot names, written anew with each change.
 *  (2) A change is one update: the entry, the new blocks, the old ones freed.
 *  (3) ACLs lie in the entry always: whoever may look at the inode sees them.
 */
#include "xattr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "deal.h"
#include "locks.h"
#include "slots.h"

#define RAW_BYTES  (CFFS_SECTORS * (CFFS_SECTOR - CFFS_RAW_HEAD))
#define TOTAL_MAX  (66u << 10) /* bytes of all attributes of a file */
#define RAW_BLOCKS ((TOTAL_MAX + RAW_BYTES - 1) / RAW_BYTES)
#define INLINE_MAX 200u /* bytes in the entry, ACLs apart */

static bool is_acl(const struct cffs_xattr *xattr)
{
	return xattr->family == CFFS_XATTR_ACL_ACCESS || xattr->family == CFFS_XATTR_ACL_DEFAULT;
}

/* ---- raw blocks ---- */

static struct cffs_slot *raw_slot(struct cffs_body *body)
{
	for (uint32_t i = 0; i < body->n_slots; i++)
		if (body->slot[i].class == CFFS_CLASS_XATTR)
			return &body->slot[i];
	return NULL;
}

static int raw_read_block(struct cffs *fs, struct cffs_inode *inode, xn_blk_t block,
			  uint8_t bytes[CFFS_BLOCK])
{
	struct cffs_hold *owner, *hold;
	uint32_t record;
	int err = cffs_inode_owner(fs, inode, &owner, &record);

	if (err)
		return err;
	err = cffs_hold_get(fs, owner, record, CFFS_T_RAW, block, &hold);
	cffs_hold_put(fs, owner);
	if (err)
		return err;
	pthread_mutex_lock(&fs->lock);
	memcpy(bytes, hold->bytes, CFFS_BLOCK);
	cffs_hold_put_locked(fs, hold);
	pthread_mutex_unlock(&fs->lock);
	return 0;
}

/* Append what the blocks hold to the list. */
static int raw_read(struct cffs *fs, struct cffs_inode *inode, struct cffs_xattrs *list)
{
	struct cffs_slot *slot = raw_slot(&inode->b);
	uint8_t bytes[CFFS_BLOCK], *joined;
	struct cffs_xattr one;
	size_t at = 0, len;
	int err = 0;

	if (!slot)
		return 0;
	if (slot->count > RAW_BLOCKS)
		return XN_EDAMAGED;
	len = slot->count * (size_t)RAW_BYTES;
	joined = malloc(len);
	if (!joined)
		return -ENOMEM;
	for (uint32_t i = 0; i < slot->count && !err; i++) {
		err = raw_read_block(fs, inode, slot->start + i, bytes);
		for (uint32_t s = 0; s < CFFS_SECTORS && !err; s++)
			memcpy(joined + i * RAW_BYTES + s * (CFFS_SECTOR - CFFS_RAW_HEAD),
			       bytes + s * CFFS_SECTOR + CFFS_RAW_HEAD,
			       CFFS_SECTOR - CFFS_RAW_HEAD);
	}
	while (!err && cffs_xattr_next(joined, len, &at, &one))
		err = cffs_xattr_append(list, &one);
	free(joined);
	return err;
}

static void raw_fill(const struct cffs_inode *inode, const struct cffs_xattrs *list,
		     uint8_t *blocks, uint32_t count)
{
	const uint32_t payload = CFFS_SECTOR - CFFS_RAW_HEAD;
	le64_t ino = le64_make(inode->a.ino);
	le16_t magic = le16_make(CFFS_RAW_MAGIC);

	memset(blocks, 0, count * (size_t)CFFS_BLOCK);
	for (uint32_t i = 0; i < count * CFFS_SECTORS; i++) {
		uint8_t *sector = blocks + i * CFFS_SECTOR;
		size_t from = (size_t)i * payload;

		memcpy(sector + CFFS_R_MAGIC, &magic, sizeof(magic));
		sector[CFFS_R_KIND] = CFFS_CLASS_XATTR;
		memcpy(sector + CFFS_R_INO, &ino, sizeof(ino));
		if (from < list->len)
			memcpy(sector + CFFS_RAW_HEAD, list->bytes + from,
			       list->len - from < payload ? list->len - from : payload);
		cffs_seal(sector);
	}
}

/* ---- all of them ---- */

static int list_read(struct cffs *fs, struct cffs_inode *inode, struct cffs_xattrs *list)
{
	list->bytes = NULL;
	list->len = 0;
	if (inode->xattr_len) {
		list->bytes = malloc(inode->xattr_len);
		if (!list->bytes)
			return -ENOMEM;
		memcpy(list->bytes, inode->xattr, inode->xattr_len);
		list->len = inode->xattr_len;
	}
	return raw_read(fs, inode, list);
}

static int split(const struct cffs_xattrs *all, bool raw, struct cffs_xattrs *in,
		 struct cffs_xattrs *out)
{
	struct cffs_xattr one;
	size_t at = 0;
	int err = 0;

	while (!err && cffs_xattr_next(all->bytes, all->len, &at, &one))
		err = cffs_xattr_append(raw && !is_acl(&one) ? out : in, &one);
	return err;
}

/* ---- writing ---- */

struct writing {
	struct cffs *fs;
	struct cffs_inode *inode, *dir; /* both locked for writing: */
	struct cffs_locks locks;
	struct cffs_xattrs in, out;
	struct xn_extent place;
	uint8_t *blocks;
	struct xn_edit edits[RAW_BLOCKS];
};

/* Neighbouring blocks for what lies outside; the slot that will name them. */
static int raw_place(struct writing *w, struct cffs_body *body)
{
	uint32_t count = (uint32_t)((w->out.len + RAW_BYTES - 1) / RAW_BYTES);
	struct cffs_slot *slot = raw_slot(body);
	int err;

	if (slot)
		*slot = (struct cffs_slot){ 0 };
	w->place.count = 0;
	if (!count)
		return 0;
	for (uint32_t i = 0; i < body->n_slots && !slot; i++)
		if (body->slot[i].class == CFFS_CLASS_NONE && i > 0)
			slot = &body->slot[i];
	if (!slot && body->n_slots == CFFS_BODY_SLOTS)
		return -ENOSPC;
	if (!slot)
		slot = &body->slot[body->n_slots++];
	err = xn_find_free(w->fs->libfs.session, cffs_dir_block(w->dir), count, 1, &w->place);
	if (err)
		return err;
	if (w->place.count < count)
		return XN_ENOSPACE;
	w->place.type = w->fs->type[CFFS_T_RAW];
	*slot = (struct cffs_slot){ .start = w->place.start,
				    .count = count,
				    .class = CFFS_CLASS_XATTR };
	free(w->blocks);
	w->blocks = malloc(count * (size_t)CFFS_BLOCK);
	if (!w->blocks)
		return -ENOMEM;
	raw_fill(w->inode, &w->out, w->blocks, count);
	for (uint32_t i = 0; i < count; i++)
		w->edits[i] = (struct xn_edit){ .object = w->place.start + i,
						.len = CFFS_BLOCK,
						.bytes = w->blocks + i * (size_t)CFFS_BLOCK };
	return 0;
}

static int deal(struct writing *w, struct timespec now)
{
	char name[LIBFS_NAME_MAX + 1];
	struct cffs_inode *inode = w->inode;
	struct cffs_body body = inode->b;
	struct cffs_slot *slot = raw_slot(&body), old = { 0 };
	struct cffs_put *put;
	struct cffs_deal d;
	struct cffs_loc loc;
	int err;

	if (slot)
		old = *slot;
	cffs_loc_of(inode, &loc);
	err = cffs_dir_name_at(w->fs, w->dir, &loc, name);
	if (!err)
		err = raw_place(w, &body);
	if (err)
		return err;
	body.blocks += w->place.count - old.count;
	cffs_body_count(&body);
	cffs_deal_init(&d, now);
	cffs_deal_cut(&d, w->dir, &loc, name);
	put = cffs_deal_put(&d, w->dir, name, &loc);
	put->inode = inode;
	put->body = &body;
	put->xattrs = &w->in;
	/* Links know where in XDIR their inode lies, and the system's stay where they are. */
	put->fixed = w->dir == w->fs->xdir || w->dir == w->fs->sys;
	cffs_deal_tweak(&d, inode, 0, false);
	d.alloc = w->place;
	d.edits = w->edits;
	d.n_edits = (uint32_t)w->place.count;
	if (old.count)
		d.give = (struct xn_extent){ .start = old.start,
					     .count = old.count,
					     .type = w->fs->type[CFFS_T_RAW] };
	return cffs_deal_run(w->fs, &d);
}

/* Inside if it fits, else outside. */
static int list_write(struct writing *w, const struct cffs_xattrs *all, struct timespec now)
{
	int err = 0;

	if (all->len > TOTAL_MAX)
		return -ENOSPC;
	for (int raw = 0; raw < 2; raw++) {
		unsigned tries = 0;

		w->in = w->out = (struct cffs_xattrs){ 0 };
		err = split(all, raw, &w->in, &w->out);
		if (!err && !raw && w->in.len > INLINE_MAX)
			err = -ENOSPC;
		if (!err)
			do
				err = deal(w, now);
			while (err && cffs_retry(w->fs, err, &tries));
		free(w->in.bytes);
		free(w->out.bytes);
		if (err != -ENOSPC)
			break;
	}
	return err;
}

/* The inode and the directory of its entry, locked; what was removed gets a place first. */
static int lock_home(struct writing *w)
{
	int err;

	while ((err = cffs_locks_home(&w->locks, w->fs, w->inode, NULL, &w->dir)) == -ESTALE) {
		pthread_rwlock_wrlock(&w->inode->lock);
		err = cffs_orphan_place(w->fs, w->inode);
		pthread_rwlock_unlock(&w->inode->lock);
		if (err)
			return err;
	}
	return err;
}

static void unlock_home(struct writing *w)
{
	cffs_locks_fini(&w->locks);
	free(w->blocks);
}

/* With the inode locked: one attribute comes (value NULL: goes). */
static int change_one(struct writing *w, const struct cffs_xattr *xattr, bool remove,
		      uint32_t flags, struct timespec now)
{
	struct cffs_xattrs all;
	struct cffs_xattr old;
	bool there;
	int err = list_read(w->fs, w->inode, &all);

	if (!err) {
		there = cffs_xattr_find(all.bytes, all.len, xattr, &old);
		if (there && (flags & LIBFS_XATTR_CREATE))
			err = -EEXIST;
		if (!there && (remove || (flags & LIBFS_XATTR_REPLACE)))
			err = -ENODATA;
	}
	if (!err) {
		cffs_xattr_drop(&all, xattr);
		if (!remove)
			err = cffs_xattr_append(&all, xattr);
	}
	if (!err)
		err = list_write(w, &all, now);
	free(all.bytes);
	return err;
}

/* ---- who may ---- */

static int may_change(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx,
		      const struct cffs_xattr *xattr)
{
	struct libfs_attr attr;
	uint32_t mode;
	bool owner;

	cffs_inode_attr(fs, inode, &attr);
	mode = attr.mode;
	owner = ctx->cred->uid == 0 || ctx->cred->uid == attr.uid;
	switch (xattr->family) {
	case CFFS_XATTR_USER:
		if (!S_ISREG(mode) && !S_ISDIR(mode))
			return -EPERM;
		if (S_ISDIR(mode) && (mode & S_ISVTX) && !owner)
			return -EPERM;
		return cffs_may(fs, inode, ctx, LIBFS_MAY_WRITE);
	case CFFS_XATTR_ACL_DEFAULT:
		if (!S_ISDIR(mode))
			return -EACCES;
		return owner ? 0 : -EPERM;
	case CFFS_XATTR_ACL_ACCESS:
		if (S_ISLNK(mode))
			return -EOPNOTSUPP;
		return owner ? 0 : -EPERM;
	default: return ctx->cred->uid == 0 ? 0 : -EPERM;
	}
}

static int may_look(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx,
		    const struct cffs_xattr *xattr)
{
	if (xattr->family == CFFS_XATTR_TRUSTED)
		return ctx->cred->uid == 0 ? 0 : -ENODATA;
	if (xattr->family != CFFS_XATTR_USER)
		return 0;
	if (!S_ISREG(inode->type) && !S_ISDIR(inode->type))
		return -ENODATA;
	return cffs_may(fs, inode, ctx, LIBFS_MAY_READ);
}

/* ---- the operations ---- */

/* An access ACL is the mode as well, and one that says no more than the mode is not kept. */
static int acl_prepare(struct writing *w, const struct libfs_ctx *ctx, struct cffs_xattr *xattr,
		       bool *remove)
{
	uint32_t mode;
	bool plain;
	int err = cffs_acl_check(xattr->value, xattr->size);

	if (err || xattr->family == CFFS_XATTR_ACL_DEFAULT)
		return err;
	pthread_mutex_lock(&w->fs->lock);
	mode = cffs_acl_mode(xattr->value, xattr->size, w->inode->a.mode, &plain);
	if (ctx->cred->uid != 0 && !libfs_in_group(ctx->cred, w->inode->a.gid))
		mode &= ~(uint32_t)S_ISGID;
	w->inode->a.mode = mode;
	w->inode->a.ctime = ctx->now;
	cffs_inode_dirty(w->fs, w->inode);
	pthread_mutex_unlock(&w->fs->lock);
	*remove = plain;
	return 0;
}

static int set(struct cffs *fs, const struct libfs_ctx *ctx, struct cffs_inode *inode,
	       struct cffs_xattr *xattr, bool remove, uint32_t flags)
{
	struct writing w = { .fs = fs, .inode = inode };
	struct libfs_attr before;
	int err = may_change(fs, inode, ctx, xattr);

	if (!err)
		err = lock_home(&w);
	if (err)
		return err;
	cffs_inode_attr(fs, inode, &before);
	if (is_acl(xattr) && !remove) {
		err = acl_prepare(&w, ctx, xattr, &remove);
		flags = 0;
	}
	if (!err)
		err = change_one(&w, xattr, remove, flags, ctx->now);
	if (err == -ENODATA && is_acl(xattr))
		err = 0; /* removing none, or one that the mode says already */
	if (err && is_acl(xattr)) {
		pthread_mutex_lock(&fs->lock);
		inode->a.mode = before.mode;
		pthread_mutex_unlock(&fs->lock);
	}
	unlock_home(&w);
	return err;
}

int cffs_setxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		  const char *name, const void *value, size_t size, uint32_t flags)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	struct cffs_xattr xattr;
	int err = cffs_xattr_parse(name, &xattr);

	if (err)
		return err;
	if (size > UINT16_MAX)
		return size > 65536 ? -E2BIG : -ENOSPC;
	xattr.value = value;
	xattr.size = (uint16_t)size;
	err = cffs_inode_get(fs, ino, &inode);
	if (err)
		return cffs_errno(err);
	err = set(fs, ctx, inode, &xattr, false, flags);
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}

int cffs_removexattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		     const char *name)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	struct cffs_xattr xattr;
	int err = cffs_xattr_parse(name, &xattr);

	if (err)
		return err;
	err = cffs_inode_get(fs, ino, &inode);
	if (err)
		return cffs_errno(err);
	err = set(fs, ctx, inode, &xattr, true, 0);
	cffs_inode_put(fs, inode);
	return cffs_errno(err);
}

static int list_get(struct cffs *fs, struct cffs_inode *inode, struct cffs_xattrs *all)
{
	int err;

	pthread_rwlock_rdlock(&inode->lock);
	err = list_read(fs, inode, all);
	pthread_rwlock_unlock(&inode->lock);
	return err;
}

static ssize_t get(struct cffs *fs, struct cffs_inode *inode, const struct cffs_xattr *like,
		   void *value, size_t size)
{
	struct cffs_xattr found;
	struct cffs_xattrs all;
	ssize_t n = list_get(fs, inode, &all);

	if (!n && !cffs_xattr_find(all.bytes, all.len, like, &found))
		n = -ENODATA;
	if (!n) {
		n = found.size;
		if (size && found.size > size)
			n = -ERANGE;
		else if (size && found.size)
			memcpy(value, found.value, found.size);
	}
	free(all.bytes);
	return n;
}

ssize_t cffs_getxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const char *name, void *value, size_t size)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	struct cffs_xattr like;
	ssize_t n = cffs_xattr_parse(name, &like);

	if (n)
		return n;
	n = cffs_inode_get(fs, ino, &inode);
	if (n)
		return cffs_errno((int)n);
	n = may_look(fs, inode, ctx, &like);
	if (!n && !inode->xattr_len && !raw_slot(&inode->b))
		n = -ENODATA;
	if (!n)
		n = get(fs, inode, &like, value, size);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}

static ssize_t list(const struct libfs_ctx *ctx, const struct cffs_xattrs *all, char *names,
		    size_t size)
{
	struct cffs_xattr one;
	size_t at = 0, n = 0;

	while (cffs_xattr_next(all->bytes, all->len, &at, &one)) {
		char name[320];
		size_t len = cffs_xattr_name(&one, name) + 1;

		if (one.family == CFFS_XATTR_TRUSTED && ctx->cred->uid != 0)
			continue;
		if (size && n + len > size)
			return -ERANGE;
		if (size)
			memcpy(names + n, name, len);
		n += len;
	}
	return (ssize_t)n;
}

ssize_t cffs_listxattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       char *names, size_t size)
{
	struct cffs *fs = cffs_of(libfs);
	struct cffs_inode *inode;
	struct cffs_xattrs all;
	ssize_t n = cffs_inode_get(fs, ino, &inode);

	if (n)
		return cffs_errno((int)n);
	n = list_get(fs, inode, &all);
	if (!n)
		n = list(ctx, &all, names, size);
	free(all.bytes);
	cffs_inode_put(fs, inode);
	return n < 0 ? cffs_errno((int)n) : n;
}

/* ---- what others need of ACLs; with fs->lock held ---- */

static bool acl_find(const struct cffs_inode *inode, uint8_t family, struct cffs_xattr *out)
{
	struct cffs_xattr like = { .family = family, .name = "" };

	return inode->xattr_len && cffs_xattr_find(inode->xattr, inode->xattr_len, &like, out) &&
	       cffs_acl_check(out->value, out->size) == 0;
}

int cffs_acl_permits(const struct cffs_inode *inode, const struct libfs_attr *attr,
		     const struct xn_cred *cred, uint32_t mask)
{
	struct cffs_xattr acl;

	if (cred->uid == 0 || cred->uid == attr->uid ||
	    !acl_find(inode, CFFS_XATTR_ACL_ACCESS, &acl))
		return libfs_may(attr, cred, mask);
	return cffs_acl_may(acl.value, acl.size, attr, cred, mask);
}

void cffs_acl_follow_mode(struct cffs_inode *inode)
{
	struct cffs_xattr acl;

	if (acl_find(inode, CFFS_XATTR_ACL_ACCESS, &acl))
		cffs_acl_chmod((void *)(uintptr_t)acl.value, acl.size, inode->a.mode);
}

int cffs_acl_of_new(const struct cffs_inode *dir, struct cffs_inode *inode, uint32_t umask)
{
	struct cffs_xattrs list = { 0 };
	struct cffs_xattr acl;
	uint8_t *copy;
	bool plain;
	int err = 0;

	if (S_ISLNK(inode->type))
		return 0;
	if (!acl_find(dir, CFFS_XATTR_ACL_DEFAULT, &acl)) {
		inode->a.mode &= ~(umask & 0777);
		return 0;
	}
	copy = malloc(acl.size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, acl.value, acl.size);
	cffs_acl_inherit(copy, acl.size, &inode->a.mode);
	if (S_ISDIR(inode->type))
		err = cffs_xattr_append(&list, &acl);
	cffs_acl_mode(copy, acl.size, inode->a.mode, &plain);
	acl.family = CFFS_XATTR_ACL_ACCESS;
	acl.value = copy;
	if (!err && !plain)
		err = cffs_xattr_append(&list, &acl);
	free(copy);
	inode->xattr = list.bytes;
	inode->xattr_len = (uint16_t)list.len;
	return err;
}
