/* SPDX-License-Identifier: MIT */
/*
 *  (1) Undo holds, for every sector written since the first mark, its bytes before,
 *      and their hash if it was known; the newest last.
 *  (2) The hash of the whole is the sum of its sectors' hashes; all of them are kept
 *      up to date once somebody has asked for it.
 */
#include "slate.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct undo {
	uint64_t offset, hash;
	bool hashed;
	uint8_t bytes[BDEV_SECTOR];
};

struct slate {
	uint64_t size, hash;
	bool hashed; /* `hash` is that of `bytes`, `sectors` those of their sectors */
	uint8_t *bytes;
	uint64_t *sectors;
	struct undo *undo;
	size_t n_undo, cap_undo;
};

struct slate_dev {
	struct bdev bdev;
	struct slate *slate;
};

/* ---- hashes ---- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Four lanes, so that a sector takes tens of nanoseconds. */
uint64_t hash_bytes(uint64_t place, const void *bytes, size_t len)
{
	uint64_t lane[4] = { place, 0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu, len };
	const uint8_t *from = bytes;

	for (; len >= sizeof(lane); len -= sizeof(lane), from += sizeof(lane)) {
		uint64_t word[4];

		memcpy(word, from, sizeof(word));
		for (unsigned i = 0; i < 4; i++) {
			lane[i] = (lane[i] ^ word[i]) * 0x9fb21c651e98df25u;
			lane[i] ^= lane[i] >> 29;
		}
	}
	for (; len; len--, from++)
		lane[0] = (lane[0] ^ *from) * 0x9fb21c651e98df25u;
	for (unsigned i = 0; i < 4; i++)
		lane[0] = mix(lane[0] + mix(lane[i] + i));
	return lane[0];
}

uint64_t sector_hash(uint64_t offset, const void *sector)
{
	return hash_bytes(offset, sector, BDEV_SECTOR);
}

uint64_t slate_hash(struct slate *slate)
{
	if (slate->hashed)
		return slate->hash;
	slate->hash = 0;
	for (uint64_t at = 0; at < slate->size; at += BDEV_SECTOR) {
		uint64_t hash = sector_hash(at, slate->bytes + at);

		slate->sectors[at / BDEV_SECTOR] = hash;
		slate->hash += hash;
	}
	slate->hashed = true;
	return slate->hash;
}

uint64_t slate_hash_part(struct slate *slate, uint64_t offset, uint64_t len)
{
	const uint64_t *hash = slate->sectors + offset / BDEV_SECTOR;
	uint64_t sum = 0;

	slate_hash(slate);
	for (uint64_t i = 0; i < len / BDEV_SECTOR; i++)
		sum += hash[i];
	return sum;
}

/* ---- bytes ---- */

static void remember(struct slate *slate, uint64_t offset)
{
	struct undo *undo;

	if (slate->n_undo == slate->cap_undo) {
		slate->cap_undo = slate->cap_undo ? slate->cap_undo * 2 : 1024;
		slate->undo = realloc(slate->undo, slate->cap_undo * sizeof(*undo));
		assert(slate->undo);
	}
	undo = &slate->undo[slate->n_undo++];
	undo->offset = offset;
	undo->hash = slate->sectors[offset / BDEV_SECTOR];
	undo->hashed = slate->hashed;
	memcpy(undo->bytes, slate->bytes + offset, BDEV_SECTOR);
}

static void hash_set(struct slate *slate, uint64_t offset, uint64_t hash)
{
	uint64_t *at = &slate->sectors[offset / BDEV_SECTOR];

	slate->hash += hash - *at;
	*at = hash;
}

void slate_put(struct slate *slate, uint64_t offset, const void *sector, uint64_t hash)
{
	assert(offset % BDEV_SECTOR == 0 && offset + BDEV_SECTOR <= slate->size);
	remember(slate, offset);
	memcpy(slate->bytes + offset, sector, BDEV_SECTOR);
	if (slate->hashed)
		hash_set(slate, offset, hash);
}

void slate_write(struct slate *slate, uint64_t offset, const void *bytes, uint64_t len)
{
	const uint8_t *from = bytes;

	assert(offset % BDEV_SECTOR == 0 && len % BDEV_SECTOR == 0);
	assert(offset <= slate->size && len <= slate->size - offset);
	for (uint64_t at = 0; at < len; at += BDEV_SECTOR)
		slate_put(slate, offset + at, from + at,
			  slate->hashed ? sector_hash(offset + at, from + at) : 0);
}

const uint8_t *slate_bytes(const struct slate *slate)
{
	return slate->bytes;
}

uint64_t slate_size(const struct slate *slate)
{
	return slate->size;
}

size_t slate_mark(struct slate *slate)
{
	return slate->n_undo;
}

void slate_back(struct slate *slate, size_t mark)
{
	assert(mark <= slate->n_undo);
	while (slate->n_undo > mark) {
		const struct undo *undo = &slate->undo[--slate->n_undo];

		memcpy(slate->bytes + undo->offset, undo->bytes, BDEV_SECTOR);
		if (slate->hashed)
			hash_set(slate, undo->offset,
				 undo->hashed ? undo->hash
					      : sector_hash(undo->offset, undo->bytes));
	}
}

/* ---- the device ---- */

static void transfer(struct slate *slate, const struct bdev_request *request)
{
	uint64_t at = request->offset;

	for (int i = 0; i < request->iov_count; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->op == BDEV_READ)
			memcpy(iov->iov_base, slate->bytes + at, iov->iov_len);
		else
			slate_write(slate, at, iov->iov_base, iov->iov_len);
		at += iov->iov_len;
	}
}

static void dev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct slate *slate = ((struct slate_dev *)queue->dev)->slate;

	for (size_t i = 0; i < count; i++) {
		struct bdev_request *request = requests[i];

		assert(request->op <= BDEV_FLUSH);
		if (request->op != BDEV_FLUSH)
			transfer(slate, request);
		request->outcome = BDEV_DONE;
		request->error = 0;
		request->next = NULL;
		*queue->ready_end = request;
		queue->ready_end = &request->next;
	}
}

static size_t dev_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
		       size_t min)
{
	(void)queue, (void)done, (void)max, (void)min;
	assert(min == 0);
	return 0;
}

static int dev_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	(void)dev;
	*out = calloc(1, sizeof(**out));
	assert(*out);
	return 0;
}

static void dev_queue_destroy(struct bdev_queue *queue)
{
	free(queue);
}

static void dev_info(const struct bdev *dev, struct bdev_info *info)
{
	*info = (struct bdev_info){ .size = ((const struct slate_dev *)dev)->slate->size,
				    .logical_block = BDEV_SECTOR,
				    .optimal_io = 1u << 16,
				    .writable = true,
				    .can_fua = true };
	snprintf(info->name, sizeof(info->name), "slate");
}

static int dev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	(void)dev, (void)exclusive, (void)timeout_ms;
	return 0;
}

static int dev_resize(struct bdev *dev, uint64_t size)
{
	(void)dev, (void)size;
	return -ENOTSUP;
}

static void dev_close(struct bdev *dev)
{
	free(dev);
}

static const struct bdev_ops slate_ops = {
	.name = "slate",
	.close = dev_close,
	.lock = dev_lock,
	.info = dev_info,
	.resize = dev_resize,
	.queue_create = dev_queue_create,
	.queue_destroy = dev_queue_destroy,
	.submit = dev_submit,
	.wait = dev_wait,
};

struct bdev *slate_device(struct slate *slate)
{
	struct slate_dev *dev = calloc(1, sizeof(*dev));

	assert(dev);
	dev->bdev.ops = &slate_ops;
	dev->slate = slate;
	return &dev->bdev;
}

struct slate *slate_new(uint64_t size)
{
	struct slate *slate = calloc(1, sizeof(*slate));

	assert(slate && size % 4096 == 0);
	slate->size = size;
	slate->bytes = calloc(1, size);
	slate->sectors = calloc(size / BDEV_SECTOR, sizeof(*slate->sectors));
	assert(slate->bytes && slate->sectors);
	return slate;
}

void slate_free(struct slate *slate)
{
	free(slate->undo);
	free(slate->bytes);
	free(slate->sectors);
	free(slate);
}
