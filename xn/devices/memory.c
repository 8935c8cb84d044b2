/* SPDX-License-Identifier: MIT */
/*
 * A disk in memory.
 *
 * Bytes lie in chunks, chunks hang in leaves, leaves in the disk's table; what
 * was never written is not there and reads as zero.
 *
 *  (1) A chunk or leaf with one reference belongs to one disk and may change;
 *      with more it is shared by clones and is copied before a change.
 *  (2) References change only under the lock of a disk that holds one; they are
 *      atomic because clones have locks of their own.
 */
#include "device.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384u
#define LEAF_CHUNKS 1024u
#define LEAF_BYTES  ((uint64_t)CHUNK_BYTES * LEAF_CHUNKS)
#define MEM_MAX     (1ull << 50)

struct chunk {
	atomic_uint refs;
	uint8_t bytes[CHUNK_BYTES];
};

struct leaf {
	atomic_uint refs;
	struct chunk *chunks[LEAF_CHUNKS];
};

struct mem {
	struct bdev bdev;
	pthread_rwlock_t lock;
	uint64_t size;
	bool writable;
	size_t leaf_count;
	struct leaf **leaves;
};

static const struct bdev_ops mem_ops;

/* ---- chunks and leaves ---- */

static void chunk_put(struct chunk *chunk)
{
	if (chunk && atomic_fetch_sub(&chunk->refs, 1) == 1)
		free(chunk);
}

static void leaf_put(struct leaf *leaf)
{
	if (!leaf || atomic_fetch_sub(&leaf->refs, 1) != 1)
		return;
	for (size_t i = 0; i < LEAF_CHUNKS; i++)
		chunk_put(leaf->chunks[i]);
	free(leaf);
}

/* Make the leaf in `*slot` ours alone, copying a shared one. */
static struct leaf *leaf_own(struct leaf **slot)
{
	struct leaf *old = *slot, *leaf;

	if (old && atomic_load(&old->refs) == 1)
		return old;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	atomic_init(&leaf->refs, 1);
	for (size_t i = 0; old && i < LEAF_CHUNKS; i++) {
		leaf->chunks[i] = old->chunks[i];
		if (leaf->chunks[i])
			atomic_fetch_add(&leaf->chunks[i]->refs, 1);
	}
	leaf_put(old);
	*slot = leaf;
	return leaf;
}

static struct chunk *chunk_own(struct chunk **slot)
{
	struct chunk *old = *slot, *chunk;

	if (old && atomic_load(&old->refs) == 1)
		return old;
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	atomic_init(&chunk->refs, 1);
	if (old)
		memcpy(chunk->bytes, old->bytes, CHUNK_BYTES);
	chunk_put(old);
	*slot = chunk;
	return chunk;
}

static const struct chunk *chunk_find(const struct mem *mem, uint64_t offset)
{
	const struct leaf *leaf = mem->leaves[offset / LEAF_BYTES];

	return leaf ? leaf->chunks[offset / CHUNK_BYTES % LEAF_CHUNKS] : NULL;
}

/* ---- bytes ---- */

/* How much of `len` at `offset` lies in one chunk. */
static size_t chunk_part(uint64_t offset, uint64_t len)
{
	uint64_t room = CHUNK_BYTES - offset % CHUNK_BYTES;

	return room < len ? room : len;
}

static void mem_read(const struct mem *mem, uint64_t offset, uint8_t *to, size_t len)
{
	while (len) {
		const struct chunk *chunk = chunk_find(mem, offset);
		size_t part = chunk_part(offset, len);

		if (chunk)
			memcpy(to, chunk->bytes + offset % CHUNK_BYTES, part);
		else
			memset(to, 0, part);
		offset += part;
		to += part;
		len -= part;
	}
}

static int mem_write(struct mem *mem, uint64_t offset, const uint8_t *from, size_t len)
{
	while (len) {
		size_t part = chunk_part(offset, len);
		struct leaf *leaf = leaf_own(&mem->leaves[offset / LEAF_BYTES]);
		struct chunk *chunk;

		if (!leaf)
			return -ENOMEM;
		chunk = chunk_own(&leaf->chunks[offset / CHUNK_BYTES % LEAF_CHUNKS]);
		if (!chunk)
			return -ENOMEM;
		memcpy(chunk->bytes + offset % CHUNK_BYTES, from, part);
		offset += part;
		from += part;
		len -= part;
	}
	return 0;
}

/* Zero a part of one chunk; a whole chunk is dropped instead. */
static int mem_zero_part(struct mem *mem, uint64_t offset, size_t part)
{
	struct leaf *leaf;
	struct chunk **slot, *chunk;

	if (!chunk_find(mem, offset))
		return 0;
	leaf = leaf_own(&mem->leaves[offset / LEAF_BYTES]);
	if (!leaf)
		return -ENOMEM;
	slot = &leaf->chunks[offset / CHUNK_BYTES % LEAF_CHUNKS];
	if (part == CHUNK_BYTES) {
		chunk_put(*slot);
		*slot = NULL;
		return 0;
	}
	chunk = chunk_own(slot);
	if (!chunk)
		return -ENOMEM;
	memset(chunk->bytes + offset % CHUNK_BYTES, 0, part);
	return 0;
}

static int mem_zero(struct mem *mem, uint64_t offset, uint64_t len)
{
	while (len) {
		size_t part = chunk_part(offset, len);
		int err = mem_zero_part(mem, offset, part);

		if (err)
			return err;
		offset += part;
		len -= part;
	}
	return 0;
}

/* ---- the table ---- */

static int mem_transfer(struct mem *mem, const struct bdev_request *request)
{
	uint64_t offset = request->offset;
	int err = 0;

	for (int i = 0; i < request->iov_count && !err; i++) {
		const struct iovec *iov = &request->iov[i];

		if (request->op == BDEV_READ)
			mem_read(mem, offset, iov->iov_base, iov->iov_len);
		else
			err = mem_write(mem, offset, iov->iov_base, iov->iov_len);
		offset += iov->iov_len;
	}
	return err;
}

static int mem_run(struct mem *mem, const struct bdev_request *request)
{
	int err;

	if (request->op == BDEV_FLUSH)
		return 0;
	if (request->op == BDEV_READ) {
		pthread_rwlock_rdlock(&mem->lock);
		err = mem_transfer(mem, request);
		pthread_rwlock_unlock(&mem->lock);
		return err;
	}
	pthread_rwlock_wrlock(&mem->lock);
	if (request->op == BDEV_WRITE)
		err = mem_transfer(mem, request);
	else
		err = mem_zero(mem, request->offset, request->len);
	pthread_rwlock_unlock(&mem->lock);
	return err;
}

static void mem_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct mem *mem = (struct mem *)queue->dev;

	for (size_t i = 0; i < count; i++) {
		int err = mem_run(mem, requests[i]);

		queue_complete(queue, requests[i], err ? BDEV_FAILED : BDEV_DONE, err);
	}
}

/* Everything completes at submission: bdev_wait() never needs us for more. */
static size_t mem_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
		       size_t min)
{
	(void)queue, (void)done, (void)max, (void)min;
	assert(min == 0);
	return 0;
}

static int mem_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	(void)dev;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void mem_queue_destroy(struct bdev_queue *queue)
{
	free(queue);
}

static void mem_info(const struct bdev *dev, struct bdev_info *info)
{
	const struct mem *mem = (const struct mem *)dev;

	*info = (struct bdev_info){
		.size = mem->size,
		.logical_block = BDEV_SECTOR,
		.optimal_io = 1u << 20,
		.writable = mem->writable,
		.can_fua = true,
		.can_discard = true,
		.can_write_zeroes = true,
	};
	snprintf(info->name, sizeof(info->name), "mem:%" PRIu64, mem->size);
}

/* Nobody else can open this disk. */
static int mem_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	const struct mem *mem = (const struct mem *)dev;

	(void)timeout_ms;
	return exclusive && !mem->writable ? -EROFS : 0;
}

static int mem_resize(struct bdev *dev, uint64_t size)
{
	(void)dev, (void)size;
	return -ENOTSUP;
}

static void mem_close(struct bdev *dev)
{
	struct mem *mem = (struct mem *)dev;

	for (size_t i = 0; i < mem->leaf_count; i++)
		leaf_put(mem->leaves[i]);
	pthread_rwlock_destroy(&mem->lock);
	free(mem->leaves);
	free(mem);
}

static const struct bdev_ops mem_ops = {
	.name = "mem",
	.close = mem_close,
	.lock = mem_lock,
	.info = mem_info,
	.resize = mem_resize,
	.queue_create = mem_queue_create,
	.queue_destroy = mem_queue_destroy,
	.submit = mem_submit,
	.wait = mem_wait,
};

/* ---- making one ---- */

static int mem_new(uint64_t size, struct mem **out)
{
	struct mem *mem;

	size -= size % BDEV_ALIGN;
	if (!size || size > MEM_MAX)
		return -EINVAL;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	mem->bdev.ops = &mem_ops;
	mem->size = size;
	mem->writable = true;
	mem->leaf_count = (size + LEAF_BYTES - 1) / LEAF_BYTES;
	mem->leaves = calloc(mem->leaf_count, sizeof(*mem->leaves));
	if (!mem->leaves) {
		free(mem);
		return -ENOMEM;
	}
	pthread_rwlock_init(&mem->lock, NULL);
	*out = mem;
	return 0;
}

int bdev_mem_create(uint64_t size, struct bdev **out)
{
	struct mem *mem;
	int err = mem_new(size, &mem);

	if (!err)
		*out = &mem->bdev;
	return err;
}

int bdev_mem_clone(struct bdev *dev, struct bdev **out)
{
	struct mem *from = (struct mem *)dev, *mem;
	int err;

	if (dev->ops != &mem_ops)
		return -EINVAL;
	err = mem_new(from->size, &mem);
	if (err)
		return err;
	/* A write lock: from now on no leaf of `from` may be taken for unshared. */
	pthread_rwlock_wrlock(&from->lock);
	mem->writable = from->writable;
	for (size_t i = 0; i < mem->leaf_count; i++) {
		mem->leaves[i] = from->leaves[i];
		if (mem->leaves[i])
			atomic_fetch_add(&mem->leaves[i]->refs, 1);
	}
	pthread_rwlock_unlock(&from->lock);
	*out = &mem->bdev;
	return 0;
}

/* "4096", "64K", "1M", "2G", "1T" */
static int size_parse(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (!*end)
		return 0;
	unit = strchr(units, *end);
	if (!unit || end[1])
		return -EINVAL;
	return __builtin_mul_overflow(*out, 1024ull << 10 * (unit - units), out) ? -EINVAL : 0;
}

int bdev_mem_open(const char *text, uint32_t flags, struct bdev **out)
{
	struct mem *mem;
	uint64_t size;
	int err = size_parse(text, &size);

	if (!err)
		err = mem_new(size, &mem);
	if (err)
		return err;
	mem->writable = flags & BDEV_OPEN_RDWR;
	*out = &mem->bdev;
	return 0;
}
