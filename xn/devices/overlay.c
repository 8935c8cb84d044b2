/* SPDX-License-Identifier: MIT */
/*
 * A device whose writes stay in memory: the one below is read and never written.
 *
 *  (1) A sector that was written here is read from here; every other sector is
 *      what the device below says.  Nothing but reads ever goes down, so it works
 *      on a device that is read-only, and says of itself that it is writable.
 *  (2) A read that finds all its sectors here does not go down: what was written
 *      over a sector that cannot be read heals it.
 *  (3) What goes down is patched when it comes back, under the lock: a sector is
 *      seen whole, as it was before or after a write made meanwhile.
 *  (4) Memory grows with what was written and not with the disk.
 */
#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES   4096u
#define PAGE_SECTORS (PAGE_BYTES / BDEV_SECTOR)
#define SLOTS_FIRST  64u

struct page {
	struct page *next; /* in its slot */
	uint64_t number;
	uint8_t written; /* a bit for each sector that is here */
	uint8_t bytes[PAGE_BYTES];
};

struct overlay {
	struct stacked stacked;
	pthread_rwlock_t lock;
	size_t page_count, slot_count; /* slots: a power of two, or none yet */
	struct page **slots;
};

/* Bytes of a request, taken from its pieces one after the other. */
struct cursor {
	const struct iovec *iov;
	size_t skip; /* within *iov */
};

/* ---- pages ---- */

static struct page **slot_of(struct page **slots, size_t count, uint64_t number)
{
	return &slots[(number * 0x9e3779b97f4a7c15u >> 32) & (count - 1)];
}

static struct page *page_find(const struct overlay *overlay, uint64_t number)
{
	struct page *page = NULL;

	if (overlay->slot_count)
		page = *slot_of(overlay->slots, overlay->slot_count, number);
	while (page && page->number != number)
		page = page->next;
	return page;
}

/* Make room for one more page. */
static int slots_grow(struct overlay *overlay)
{
	size_t count = overlay->slot_count ? overlay->slot_count * 2 : SLOTS_FIRST;
	struct page **slots, *page, **slot;

	if (overlay->page_count < overlay->slot_count)
		return 0;
	slots = calloc(count, sizeof(struct page *));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < overlay->slot_count; i++) {
		while ((page = overlay->slots[i])) {
			overlay->slots[i] = page->next;
			slot = slot_of(slots, count, page->number);
			page->next = *slot;
			*slot = page;
		}
	}
	free(overlay->slots);
	overlay->slots = slots;
	overlay->slot_count = count;
	return 0;
}

static struct page *page_get(struct overlay *overlay, uint64_t number)
{
	struct page *page = page_find(overlay, number), **slot;

	if (page || slots_grow(overlay))
		return page;
	page = malloc(sizeof(*page));
	if (!page)
		return NULL;
	slot = slot_of(overlay->slots, overlay->slot_count, number);
	page->number = number;
	page->written = 0;
	page->next = *slot;
	*slot = page;
	overlay->page_count++;
	return page;
}

static void pages_forget(struct overlay *overlay)
{
	struct page *page;

	for (size_t i = 0; i < overlay->slot_count; i++) {
		while ((page = overlay->slots[i])) {
			overlay->slots[i] = page->next;
			free(page);
		}
	}
	free(overlay->slots);
	overlay->slots = NULL;
	overlay->slot_count = overlay->page_count = 0;
}

/* The sector's bytes, or NULL: it was never written here. */
static const uint8_t *sector_find(const struct overlay *overlay, uint64_t offset)
{
	const struct page *page = page_find(overlay, offset / PAGE_BYTES);
	unsigned index = offset / BDEV_SECTOR % PAGE_SECTORS;

	if (!page || !(page->written & 1u << index))
		return NULL;
	return page->bytes + index * BDEV_SECTOR;
}

/* Where to write the sector, which from now on is here. */
static uint8_t *sector_get(struct overlay *overlay, uint64_t offset)
{
	struct page *page = page_get(overlay, offset / PAGE_BYTES);
	unsigned index = offset / BDEV_SECTOR % PAGE_SECTORS;

	if (!page)
		return NULL;
	page->written |= (uint8_t)(1u << index);
	return page->bytes + index * BDEV_SECTOR;
}

/* ---- requests ---- */

/* Take `len` bytes into `to`, or put them there from `from`; with neither only pass over them. */
static void cursor_move(struct cursor *cursor, uint8_t *to, const uint8_t *from, size_t len)
{
	while (len) {
		size_t room = cursor->iov->iov_len - cursor->skip;
		size_t part = room < len ? room : len;

		if (part && to)
			memcpy(to, (uint8_t *)cursor->iov->iov_base + cursor->skip, part);
		if (part && from)
			memcpy((uint8_t *)cursor->iov->iov_base + cursor->skip, from, part);
		to = to ? to + part : NULL;
		from = from ? from + part : NULL;
		len -= part;
		cursor->skip += part;
		if (cursor->skip == cursor->iov->iov_len) {
			cursor->iov++;
			cursor->skip = 0;
		}
	}
}

static int overlay_write(struct overlay *overlay, const struct bdev_request *request)
{
	struct cursor cursor = { request->iov, 0 };

	for (uint64_t at = 0; at < request->len; at += BDEV_SECTOR) {
		uint8_t *sector = sector_get(overlay, request->offset + at);

		if (!sector)
			return -ENOMEM;
		if (request->op == BDEV_WRITE)
			cursor_move(&cursor, sector, NULL, BDEV_SECTOR);
		else
			memset(sector, 0, BDEV_SECTOR);
	}
	return 0;
}

/* Put over what was read all that is here; returns how many sectors were. */
static uint64_t read_patch(struct overlay *overlay, const struct bdev_request *request)
{
	struct cursor cursor = { request->iov, 0 };
	uint64_t found = 0;

	for (uint64_t at = 0; at < request->len; at += BDEV_SECTOR) {
		const uint8_t *sector = sector_find(overlay, request->offset + at);

		cursor_move(&cursor, NULL, sector, BDEV_SECTOR);
		found += sector ? 1 : 0;
	}
	return found;
}

/* Is every sector of it here?  Then it is read, too. */
static bool read_settled(struct overlay *overlay, const struct bdev_request *request)
{
	bool whole;

	pthread_rwlock_rdlock(&overlay->lock);
	whole = overlay->page_count && sector_find(overlay, request->offset) &&
		read_patch(overlay, request) == request->len / BDEV_SECTOR;
	pthread_rwlock_unlock(&overlay->lock);
	return whole;
}

static bool request_settled(struct stacked_queue *queue, struct bdev_request *request)
{
	struct overlay *overlay = (struct overlay *)queue->queue.dev;
	int err = 0;

	switch (request->op) {
	case BDEV_READ:
		if (!read_settled(overlay, request))
			return false;
		break;
	case BDEV_WRITE:
	case BDEV_WRITE_ZEROES:
		pthread_rwlock_wrlock(&overlay->lock);
		err = overlay_write(overlay, request);
		pthread_rwlock_unlock(&overlay->lock);
		break;
	case BDEV_FLUSH:
	case BDEV_DISCARD: /* the old contents are a permitted outcome */ break;
	}
	queue_complete(&queue->queue, request, err ? BDEV_FAILED : BDEV_DONE, err);
	return true;
}

static void overlay_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	stacked_submit((struct stacked_queue *)queue, requests, count, request_settled);
}

static size_t overlay_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			   size_t min)
{
	struct overlay *overlay = (struct overlay *)base->dev;
	size_t taken = bdev_wait(((struct stacked_queue *)base)->below, done, max, min);

	pthread_rwlock_rdlock(&overlay->lock);
	for (size_t i = 0; i < taken; i++)
		if (done[i]->outcome == BDEV_DONE)
			read_patch(overlay, done[i]);
	pthread_rwlock_unlock(&overlay->lock);
	return taken;
}

/* ---- the table ---- */

/* Nobody may write what we stand on; whoever else reads it does not mind us. */
static int overlay_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	(void)exclusive;
	return stacked_lock(dev, false, timeout_ms);
}

static void overlay_info(const struct bdev *dev, struct bdev_info *info)
{
	stacked_info(dev, info);
	info->writable = true;
	info->can_fua = info->can_discard = info->can_write_zeroes = true;
	info->can_resize = false;
}

static int overlay_resize(struct bdev *dev, uint64_t size)
{
	(void)dev, (void)size;
	return -ENOTSUP;
}

static int overlay_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct overlay *overlay = (struct overlay *)dev;
	struct stacked_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	err = bdev_queue_create(overlay->stacked.below, &queue->below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->queue;
	return 0;
}

static void overlay_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct stacked_queue *)queue)->below);
	free(queue);
}

struct bdev *bdev_overlay_detach(struct bdev *dev)
{
	struct overlay *overlay = (struct overlay *)dev;
	struct bdev *below = overlay->stacked.below;

	pages_forget(overlay);
	pthread_rwlock_destroy(&overlay->lock);
	free(overlay);
	return below;
}

static void overlay_close(struct bdev *dev)
{
	bdev_close(bdev_overlay_detach(dev));
}

static const struct bdev_ops overlay_ops = {
	.name = "overlay",
	.close = overlay_close,
	.lock = overlay_lock,
	.info = overlay_info,
	.resize = overlay_resize,
	.queue_create = overlay_queue_create,
	.queue_destroy = overlay_queue_destroy,
	.submit = overlay_submit,
	.wait = overlay_wait,
};

/* ---- its own functions ---- */

int bdev_overlay_create(struct bdev *below, struct bdev **out)
{
	struct overlay *overlay = calloc(1, sizeof(*overlay));

	if (!overlay)
		return -ENOMEM;
	overlay->stacked.bdev.ops = &overlay_ops;
	overlay->stacked.below = below;
	pthread_rwlock_init(&overlay->lock, NULL);
	*out = &overlay->stacked.bdev;
	return 0;
}

void bdev_overlay_reset(struct bdev *dev)
{
	struct overlay *overlay = (struct overlay *)dev;

	pthread_rwlock_wrlock(&overlay->lock);
	pages_forget(overlay);
	pthread_rwlock_unlock(&overlay->lock);
}

uint64_t bdev_overlay_sectors(const struct bdev *dev)
{
	struct overlay *overlay = (struct overlay *)(uintptr_t)dev;
	uint64_t sectors = 0;

	pthread_rwlock_rdlock(&overlay->lock);
	for (size_t i = 0; i < overlay->slot_count; i++)
		for (const struct page *page = overlay->slots[i]; page; page = page->next)
			sectors += (uint64_t)__builtin_popcount(page->written);
	pthread_rwlock_unlock(&overlay->lock);
	return sectors;
}
