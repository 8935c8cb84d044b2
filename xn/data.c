/* SPDX-License-Identifier: MIT */
/*
 * Bytes of data blocks.
 *
 *  (1) Who reads or writes holds a binding of those very blocks, looked at again
 *      after every wait.
 *  (2) A block that was never written since its allocation reads as zeroes and is
 *      never read from the device, where somebody else's old bytes may be.
 *  (3) A write happens whole or not at all: every page it needs is there before
 *      the first byte is copied.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define READ_BATCH       32u
#define WRITE_BLOCKS_MAX (XN_WRITE_MAX / XN_BLOCK_SIZE + 2)

/* A request on data, and the blocks it touches. */
struct access {
	struct xn_session *session;
	xn_binding_t handle;
	uint32_t need;
	struct binding *binding;
};

static int access_find(struct access *access)
{
	int err = binding_find(access->session, access->handle, &access->binding);

	if (err)
		return err;
	if (!access->binding->data)
		return XN_ETYPE;
	if ((access->binding->access & access->need) != access->need)
		return XN_ENOTBOUND;
	if ((access->need & XN_WRITE) &&
	    ((access->binding->entry->flags & E_DAMAGED) || access->binding->entry->root->damaged))
		return XN_EOBJDAMAGED;
	return 0;
}

static int range_check(const struct binding *binding, uint64_t offset, uint64_t len)
{
	uint64_t size = binding->extent.count * XN_BLOCK_SIZE;

	return offset > size || len > size - offset ? -ERANGE : 0;
}

/*
 * The page of a bound block, registered if it was not; pinned.  Who has a block that is another's
 * too, or that is free, as only a lying disk says, is not believed any more.
 */
static int page_get(struct xn *xn, const struct binding *binding, xn_blk_t block,
		    struct entry **out)
{
	struct entry *owner = binding->entry;
	struct entry *page = registry_find(&xn->registry, block);
	struct entry *across = page ? NULL : registry_across(&xn->registry, block, 1);

	if (across || !freemap_in_use(xn, block) ||
	    (page && (page->type || page->owner != owner))) {
		entry_damage(xn, owner);
		if (across || page)
			entry_damage(xn, across ? across : page);
		return XN_EOBJDAMAGED;
	}
	if (!page)
		page = registry_add(xn, block, NULL, owner->root, owner);
	if (!page)
		return -ENOMEM;
	page->pins++;
	*out = page;
	return 0;
}

static void pages_put(struct xn *xn, struct entry *pages[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!pages[i])
			continue;
		pages[i]->pins--;
		registry_release(xn, pages[i]);
		pages[i] = NULL;
	}
}

static bool pages_reading(struct entry *pages[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (pages[i] && (pages[i]->flags & E_READING))
			return true;
	}
	return false;
}

/* Read the pages that are not cached. */
static int pages_fill(struct xn *xn, struct entry *pages[], size_t count)
{
	struct entry *missing[READ_BATCH];
	size_t n = 0;
	int err = 0;

	while (pages_reading(pages, count))
		pthread_cond_wait(&xn->changed, &xn->lock);
	for (size_t i = 0; i < count && !err; i++) {
		if (!pages[i] || (pages[i]->flags & E_DEAD))
			continue;
		if (pages[i]->flags & E_CACHED) {
			xn->stats.cache_hits++;
			entry_touch(xn, pages[i]);
			continue;
		}
		xn->stats.cache_misses++;
		err = entry_frame(xn, pages[i]);
		missing[n++] = pages[i];
	}
	if (!err && n)
		err = io_read_entries(xn, missing, n);
	for (size_t i = 0; i < count && !err; i++) {
		if (pages[i] && (pages[i]->flags & E_DEAD))
			err = XN_ESTALE;
	}
	return err;
}

/*
 * Get `count` (<= READ_BATCH) blocks of a binding into the cache, pinned; NULL
 * stands for a block of zeroes.
 */
static int pages_readin(struct access *access, uint64_t first, size_t count, struct entry *pages[])
{
	struct xn *xn = access->session->xn;
	int err = 0;

	memset(pages, 0, count * sizeof(*pages));
	for (size_t i = 0; i < count && !err; i++) {
		xn_blk_t block = access->binding->extent.start + first + i;

		if (!freemap_unwritten(xn, block))
			err = page_get(xn, access->binding, block, &pages[i]);
	}
	if (!err)
		err = pages_fill(xn, pages, count);
	if (!err)
		err = access_find(access);
	if (err)
		pages_put(xn, pages, count);
	return err;
}

static int data_readin(struct access *access, uint64_t first, uint64_t count)
{
	struct entry *pages[READ_BATCH];
	int err = 0;

	if (first > access->binding->extent.count || count > access->binding->extent.count - first)
		return -ERANGE;
	while (count > 0 && !err) {
		size_t n = count < READ_BATCH ? (size_t)count : READ_BATCH;

		err = pages_readin(access, first, n, pages);
		if (!err)
			pages_put(access->session->xn, pages, n);
		first += n;
		count -= n;
	}
	return err;
}

int xn_readin(struct xn_session *session, xn_binding_t handle, uint64_t first, uint64_t count)
{
	struct xn *xn = session->xn;
	struct access access = { session, handle, 0, NULL };
	int err;

	pthread_mutex_lock(&xn->lock);
	err = binding_find(session, handle, &access.binding);
	if (!err && access.binding->data)
		err = data_readin(&access, first, count);
	else if (!err)
		err = entry_readin(xn, access.binding->entry);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/* Copy out of pinned pages; returns how many bytes. */
static size_t pages_copy_out(struct entry *pages[], size_t count, size_t skip, uint8_t *to,
			     size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < count && done < len; i++) {
		size_t n = XN_BLOCK_SIZE - skip < len - done ? XN_BLOCK_SIZE - skip : len - done;

		if (pages[i])
			memcpy(to + done, entry_bytes(pages[i]) + skip, n);
		else
			memset(to + done, 0, n);
		done += n;
		skip = 0;
	}
	return done;
}

int xn_read(struct xn_session *session, xn_binding_t handle, uint64_t offset, void *buffer,
	    size_t len)
{
	struct xn *xn = session->xn;
	struct access access = { session, handle, XN_READ, NULL };
	struct entry *pages[READ_BATCH];
	uint8_t *to = buffer;
	int err;

	pthread_mutex_lock(&xn->lock);
	xn->stats.reads++;
	session->stats.reads++;
	err = access_find(&access);
	if (!err)
		err = range_check(access.binding, offset, len);
	while (!err && len > 0) {
		size_t skip = offset % XN_BLOCK_SIZE;
		size_t n = (skip + len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
		size_t done;

		n = n < READ_BATCH ? n : READ_BATCH;
		err = pages_readin(&access, offset / XN_BLOCK_SIZE, n, pages);
		if (err)
			break;
		done = pages_copy_out(pages, n, skip, to, len);
		pages_put(xn, pages, n);
		to += done;
		offset += done;
		len -= done;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/* ---- writes ---- */

struct span {
	uint64_t first; /* block of the binding */
	size_t count;
	size_t skip;     /* bytes of the first block before the write */
	size_t tail_end; /* bytes of the last block up to its end; 0 = whole */
};

static bool is_partial(const struct span *span, size_t i)
{
	return (i == 0 && span->skip) || (i + 1 == span->count && span->tail_end);
}

/* The ends of a write that cover part of a block need the block's old bytes. */
static int partial_readin(struct access *access, const struct span *span, struct entry *ends[2])
{
	struct xn *xn = access->session->xn;
	size_t at[2] = { 0, span->count - 1 };

	for (unsigned k = 0; k < (span->count > 1 ? 2u : 1u); k++) {
		xn_blk_t block = access->binding->extent.start + span->first + at[k];
		int err;

		if (!is_partial(span, at[k]))
			continue;
		if (freemap_unwritten(xn, block))
			return XN_EUNINIT;
		err = pages_readin(access, span->first + at[k], 1, &ends[k]);
		if (err)
			return err;
	}
	return 0;
}

/* The root will have to keep the pages that were clean or not there. */
static int share_of_pages(struct access *access, const struct span *span, struct entry *pages[])
{
	struct xn *xn = access->session->xn;
	struct account *account = &access->binding->entry->root->account;
	uint64_t more = 0;
	bool first = true;

	for (size_t i = 0; i < span->count; i++) {
		more += pages[i]->account != account;
		first &= freemap_unwritten(xn, pages[i]->start);
	}
	return share_check(xn, account, more, more, first);
}

/* Register, pin and frame every page of the write; -EAGAIN: one was being read, look again. */
static int pages_prepare(struct access *access, const struct span *span, struct entry *pages[])
{
	struct xn *xn = access->session->xn;
	int err = 0;

	memset(pages, 0, span->count * sizeof(*pages));
	for (size_t i = 0; i < span->count && !err; i++) {
		xn_blk_t block = access->binding->extent.start + span->first + i;

		if (is_partial(span, i) && freemap_unwritten(xn, block))
			err = XN_EUNINIT;
		else
			err = page_get(xn, access->binding, block, &pages[i]);
	}
	if (!err)
		err = share_of_pages(access, span, pages);
	for (size_t i = 0; i < span->count && !err; i++)
		err = entry_frame(xn, pages[i]);
	if (!err && pages_reading(pages, span->count)) {
		pthread_cond_wait(&xn->changed, &xn->lock);
		err = -EAGAIN;
	}
	for (size_t i = 0; i < span->count && !err; i++) {
		if (is_partial(span, i) && !(pages[i]->flags & E_CACHED))
			err = -EAGAIN;
	}
	if (err)
		pages_put(xn, pages, span->count);
	return err;
}

/* A page's first bytes since its block was taken: nothing of it is on disk. */
static void page_is_new(struct entry *page)
{
	page->flags &= ~(uint32_t)(E_SOUND | E_REACH);
	page->issued_version = page->written_version = page->stable_version = 0;
}

static void pages_commit(struct xn *xn, const struct span *span, struct entry *pages[],
			 const uint8_t *from)
{
	for (size_t i = 0; i < span->count; i++) {
		struct entry *page = pages[i];
		size_t skip = i == 0 ? span->skip : 0;
		size_t end =
			i + 1 == span->count && span->tail_end ? span->tail_end : XN_BLOCK_SIZE;

		memcpy(entry_bytes(page) + skip, from, end - skip);
		entry_changed(page, (uint32_t)skip, (uint32_t)(end - skip));
		from += end - skip;
		if (freemap_written(xn, page->start))
			page_is_new(page);
		page->flags |= E_CACHED;
		page->version = version_next(xn);
		entry_set_dirty(xn, page);
		entry_touch(xn, page);
	}
}

static int write_locked(struct access *access, uint64_t offset, const uint8_t *bytes, size_t len)
{
	struct xn *xn = access->session->xn;
	struct entry *pages[WRITE_BLOCKS_MAX];
	struct entry *ends[2] = { NULL, NULL };
	struct span span = { offset / XN_BLOCK_SIZE, 0, offset % XN_BLOCK_SIZE,
			     (offset + len) % XN_BLOCK_SIZE };
	int err;

	span.count = (size_t)((offset + len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE - span.first);
	do {
		err = access_find(access);
		if (!err)
			err = partial_readin(access, &span, ends);
		if (!err)
			err = access_find(access);
		if (!err)
			err = pages_prepare(access, &span, pages);
		if (!err) {
			pages_commit(xn, &span, pages, bytes);
			pages_put(xn, pages, span.count);
		}
		pages_put(xn, ends, 2);
	} while (err == -EAGAIN);
	return err;
}

int xn_write(struct xn_session *session, xn_binding_t handle, uint64_t offset, const void *bytes,
	     size_t len)
{
	struct xn *xn = session->xn;
	struct access access = { session, handle, XN_WRITE, NULL };
	int err;

	if (len > XN_WRITE_MAX)
		return XN_ETOOBIG;
	pthread_mutex_lock(&xn->lock);
	xn->stats.writes++;
	session->stats.writes++;
	err = access_find(&access);
	if (!err)
		err = range_check(access.binding, offset, len);
	if (!err && xn->broken)
		err = xn->broken;
	if (!err && len > 0)
		err = write_locked(&access, offset, bytes, len);
	pthread_mutex_unlock(&xn->lock);
	return err;
}
