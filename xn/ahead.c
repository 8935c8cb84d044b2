/* SPDX-License-Identifier: MIT */
/*
 * Blocks read before anybody says who owns them.
 *
 * A LibFS that misses one block of a group reads the whole group in one request:
 * the neighbours wait here until somebody binds them.
 *
 *  (1) Nothing here can be read by a session: bytes go from here into the cache
 *      only where io.c would have read the device for an entry, after all checks.
 *  (2) A valid block's bytes are what a read of the device would return now.  So
 *      whoever issues a write of an entry says so first (ahead_forget), and what
 *      the registry may hold newer bytes of is never taken as valid.
 *  (3) At most WINDOWS windows of memory, taken when first used, given back at
 *      close.  What everything was taken from makes room first, then the oldest: who
 *      reads much ahead of one stream does not lose it by reading another.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOWS 64u
#define WINDOW  16u /* blocks */
#define BYTES   (WINDOW * XN_BLOCK_SIZE)

struct window {
	xn_blk_t start; /* 0: none */
	uint32_t valid; /* bit per block */
	bool reading;
	uint8_t *bytes;
};

struct ahead {
	struct window windows[WINDOWS];
	uint32_t next; /* the oldest */
};

void ahead_fini(struct xn *xn)
{
	for (uint32_t i = 0; xn->ahead && i < WINDOWS; i++)
		free(xn->ahead->windows[i].bytes);
	free(xn->ahead);
	xn->ahead = NULL;
}

static struct window *window_of(const struct xn *xn, xn_blk_t block)
{
	for (uint32_t i = 0; xn->ahead && i < WINDOWS; i++) {
		struct window *window = &xn->ahead->windows[i];

		if (window->start && block - window->start < WINDOW &&
		    (window->valid >> (block - window->start) & 1))
			return window;
	}
	return NULL;
}

void ahead_forget(struct xn *xn, xn_blk_t start, uint64_t count)
{
	for (uint32_t i = 0; xn->ahead && i < WINDOWS; i++) {
		struct window *window = &xn->ahead->windows[i];
		xn_blk_t from = start > window->start ? start : window->start;
		xn_blk_t to = window->start + WINDOW;

		to = start + count < to ? start + count : to;
		for (xn_blk_t block = from; window->valid && block < to; block++)
			window->valid &= ~(1u << (block - window->start));
	}
}

/* Whole or not at all: an object with blocks here and there is read from the device. */
bool ahead_take(struct xn *xn, struct entry *entry)
{
	struct window *window;

	if (log_holds(xn, entry->start, entry->blocks))
		return false; /* the device is behind the log */
	for (uint32_t i = 0; i < entry->blocks; i++) {
		while ((window = window_of(xn, entry->start + i)) && window->reading)
			pthread_cond_wait(&xn->changed, &xn->lock);
		if (!window)
			return false;
	}
	for (uint32_t i = 0; i < entry->blocks; i++) {
		xn_blk_t block = entry->start + i;

		window = window_of(xn, block);
		if (!window)
			return false; /* written while we waited */
		memcpy(entry_bytes(entry) + (size_t)i * XN_BLOCK_SIZE,
		       window->bytes + (block - window->start) * XN_BLOCK_SIZE, XN_BLOCK_SIZE);
	}
	ahead_forget(xn, entry->start, entry->blocks);
	return true;
}

/* ---- reading ---- */

/* The next one in turn that is not being read, or of which nothing is wanted; NULL: none. */
static struct window *window_next(struct ahead *ahead, bool empty)
{
	for (uint32_t tried = 0; tried < WINDOWS; tried++) {
		struct window *window = &ahead->windows[(ahead->next + tried) % WINDOWS];

		if (window->reading || (empty && window->valid))
			continue;
		ahead->next = (ahead->next + tried + 1) % WINDOWS;
		return window;
	}
	return NULL;
}

/* A window for the blocks from `start` on; NULL: all are being read, or there is no memory. */
static struct window *window_take(struct xn *xn, xn_blk_t start)
{
	struct window *window = window_next(xn->ahead, true);

	if (!window)
		window = window_next(xn->ahead, false);
	if (window && !window->bytes)
		window->bytes = malloc(BYTES);
	if (!window || !window->bytes)
		return NULL;
	window->start = start;
	window->valid = 0;
	for (uint32_t i = 0; i < WINDOW && disk_holds(xn, start + i, 1); i++) {
		const struct entry *entry = registry_find(&xn->registry, start + i);

		if (!entry || !(entry->flags & (E_CACHED | E_DIRTY | E_READING | E_WRITING)))
			window->valid |= 1u << i;
	}
	window->reading = true;
	return window;
}

static void windows_done(struct window *windows[], uint32_t count, bool good)
{
	for (uint32_t i = 0; i < count; i++) {
		windows[i]->reading = false;
		if (!good)
			windows[i]->valid = 0;
	}
}

/* One request; dropping the lock.  What cannot be read ahead is read when it is wanted. */
static void windows_read(struct xn *xn, struct window *windows[], uint32_t count)
{
	struct iovec iov[WINDOWS];
	struct bdev_request request = { .op = BDEV_READ,
					.offset = windows[0]->start * XN_BLOCK_SIZE,
					.iov = iov,
					.iov_count = (int)count };
	struct bdev_request *one = &request;
	struct bdev_queue *queue = io_queue_get(xn);
	uint64_t end = xn->super.block_count * XN_BLOCK_SIZE;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t left = end - windows[i]->start * XN_BLOCK_SIZE;

		iov[i] = (struct iovec){ windows[i]->bytes, left < BYTES ? left : BYTES };
		request.len += iov[i].iov_len;
	}
	if (queue) {
		pthread_mutex_unlock(&xn->lock);
		bdev_submit(queue, &one, 1);
		bdev_wait(queue, &one, 1, 1);
		pthread_mutex_lock(&xn->lock);
		io_queue_put(xn, queue);
		xn->stats.blocks_in += request.len / XN_BLOCK_SIZE;
	}
	windows_done(windows, count, queue && request.outcome == BDEV_DONE);
	pthread_cond_broadcast(&xn->changed);
}

/* Is it here, or no matter of reading? */
static bool block_is_near(const struct xn *xn, xn_blk_t block)
{
	const struct entry *entry = registry_find(&xn->registry, block);

	return (entry && (entry->flags & (E_CACHED | E_READING))) || freemap_unwritten(xn, block) ||
	       window_of(xn, block);
}

/* Is some block of the window in use, and not at hand? */
static bool window_is_wanted(struct xn *xn, xn_blk_t start)
{
	for (uint32_t i = 0; i < WINDOW; i++)
		if (disk_holds(xn, start + i, 1) && freemap_in_use(xn, start + i) &&
		    !block_is_near(xn, start + i))
			return true;
	return false;
}

static int ahead_read(struct xn *xn, xn_blk_t start, uint64_t count)
{
	struct window *windows[WINDOWS];
	xn_blk_t at = start / WINDOW * WINDOW;
	uint32_t n = 0;

	if (!xn->ahead)
		xn->ahead = calloc(1, sizeof(*xn->ahead));
	if (!xn->ahead)
		return -ENOMEM;
	/* Block 0 is no window's start: it is the superblock's. */
	for (at = at ? at : WINDOW; at < start + count && n < WINDOWS; at += WINDOW) {
		if (!disk_holds(xn, at, 1) || freemap_load(xn, at / XN_CHUNK_BLOCKS) ||
		    !window_is_wanted(xn, at))
			break;
		ahead_forget(xn, at, WINDOW);
		windows[n] = window_take(xn, at);
		if (!windows[n])
			break;
		n++;
	}
	if (n)
		windows_read(xn, windows, n);
	return n > 0;
}

int xn_prefetch(struct xn_session *session, xn_blk_t block, xn_blk_t start, uint64_t count)
{
	struct xn *xn = session->xn;
	int err = 0;

	if (count == 0 || count > XN_PREFETCH_MAX || block < start || block - start >= count)
		return -EINVAL;
	pthread_mutex_lock(&xn->lock);
	if (!disk_holds(xn, start, 1))
		err = -ERANGE;
	else if (!block_is_near(xn, block))
		err = ahead_read(xn, start, count);
	pthread_mutex_unlock(&xn->lock);
	return err;
}
