/* SPDX-License-Identifier: MIT */
/*
 * The generic half of a block device: names, checks, synchronous calls.
 *
 *  (1) What reaches an implementation is inside the device, made of whole
 *      sectors, sums up, and is something the device says it can do.
 *  (2) Every submitted request is given back by bdev_wait() exactly once, also
 *      one that was refused here.
 *  (3) bdev_read() and bdev_write() take whole sectors whatever the medium takes:
 *      where that is a block of 4096 bytes, the blocks at the ends are read whole
 *      and written whole, with what stood around.
 */
#include "device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xn/error.h"

/* ---- opening ---- */

/* Length of "kind" in "kind:rest", or 0: a path. */
static size_t scheme_length(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+");

	if (name[len] != ':' || len < 2 || name[0] < 'a')
		return 0;
	return len;
}

static bool scheme_is(const char *name, size_t len, const char *scheme)
{
	return strlen(scheme) == len && !strncmp(name, scheme, len);
}

int bdev_open(const char *name, uint32_t flags, uint64_t create_size, struct bdev **out)
{
	size_t len = scheme_length(name);

	if ((flags & BDEV_OPEN_CREATE) && !(flags & BDEV_OPEN_RDWR))
		return -EINVAL;
	if (!len)
		return bdev_file_open(name, flags, create_size, out);
	if (scheme_is(name, len, "file"))
		return bdev_file_open(name + len + 1, flags, create_size, out);
	if (scheme_is(name, len, "mem"))
		return bdev_mem_open(name + len + 1, flags, out);
	return -EPROTONOSUPPORT;
}

void bdev_close(struct bdev *dev)
{
	if (dev)
		dev->ops->close(dev);
}

int bdev_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return dev->ops->lock(dev, exclusive, timeout_ms);
}

void bdev_yield(struct bdev *dev)
{
	if (dev->ops->yield)
		dev->ops->yield(dev);
}

void bdev_info(const struct bdev *dev, struct bdev_info *info)
{
	memset(info, 0, sizeof(*info));
	dev->ops->info(dev, info);
}

int bdev_resize(struct bdev *dev, uint64_t size)
{
	return dev->ops->resize(dev, size);
}

/* ---- requests ---- */

int bdev_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct bdev_queue *queue;
	int err = dev->ops->queue_create(dev, &queue);

	if (err)
		return err;
	queue->dev = dev;
	queue->ready = NULL;
	queue->ready_end = &queue->ready;
	*out = queue;
	return 0;
}

void bdev_queue_destroy(struct bdev_queue *queue)
{
	if (queue)
		queue->dev->ops->queue_destroy(queue);
}

void queue_complete(struct bdev_queue *queue, struct bdev_request *request,
		    enum bdev_outcome outcome, int error)
{
	request->outcome = outcome;
	request->error = error;
	request->next = NULL;
	*queue->ready_end = request;
	queue->ready_end = &request->next;
}

static bool iov_sums_to(const struct iovec *iov, int count, uint64_t len)
{
	uint64_t sum = 0;

	if (count < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return false;
	return sum == len;
}

static bool range_is_good(const struct bdev_request *request, const struct bdev_info *info)
{
	if (request->offset % BDEV_SECTOR || request->len % BDEV_SECTOR)
		return false;
	return request->offset <= info->size && request->len <= info->size - request->offset;
}

/* Why a request is refused, or 0. */
static int request_check(const struct bdev_request *request, const struct bdev_info *info)
{
	switch (request->op) {
	case BDEV_FLUSH: return 0;
	case BDEV_READ: break;
	case BDEV_WRITE:
		if (!info->writable)
			return -EROFS;
		if ((request->flags & BDEV_FUA) && !info->can_fua)
			return -EOPNOTSUPP;
		break;
	case BDEV_DISCARD:
	case BDEV_WRITE_ZEROES:
		if (!info->writable)
			return -EROFS;
		if (!(request->op == BDEV_DISCARD ? info->can_discard : info->can_write_zeroes))
			return -EOPNOTSUPP;
		return range_is_good(request, info) ? 0 : -EINVAL;
	default: return -EINVAL;
	}
	if (!iov_sums_to(request->iov, request->iov_count, request->len))
		return -EINVAL;
	return range_is_good(request, info) ? 0 : -EINVAL;
}

/* Complete `request` here if the device need not, or must not, see it. */
static bool request_settled(struct bdev_queue *queue, struct bdev_request *request,
			    const struct bdev_info *info)
{
	int err = request_check(request, info);

	if (err)
		queue_complete(queue, request, BDEV_FAILED, err);
	else if (request->op != BDEV_FLUSH && !request->len)
		queue_complete(queue, request, BDEV_DONE, 0);
	else
		return false;
	return true;
}

void bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	const struct bdev_ops *ops = queue->dev->ops;
	struct bdev_info info;
	size_t first = 0;

	bdev_info(queue->dev, &info);
	for (size_t i = 0; i < count; i++) {
		requests[i]->outcome = BDEV_PENDING;
		requests[i]->error = 0;
		requests[i]->next = NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (!request_settled(queue, requests[i], &info))
			continue;
		if (i > first)
			ops->submit(queue, requests + first, i - first);
		first = i + 1;
	}
	if (count > first)
		ops->submit(queue, requests + first, count - first);
}

static struct bdev_request *ready_pop(struct bdev_queue *queue)
{
	struct bdev_request *request = queue->ready;

	if (!request)
		return NULL;
	queue->ready = request->next;
	if (!queue->ready)
		queue->ready_end = &queue->ready;
	request->next = NULL;
	return request;
}

size_t bdev_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max, size_t min)
{
	struct bdev_request *request;
	size_t taken = 0;

	assert(min <= max);
	while (taken < max && (request = ready_pop(queue)))
		done[taken++] = request;
	if (taken == max)
		return taken;
	return taken + queue->dev->ops->wait(queue, done + taken, max - taken,
					     min > taken ? min - taken : 0);
}

/* ---- one request and its completion ---- */

static int request_run(struct bdev *dev, struct bdev_request *request)
{
	struct bdev_request *done = request;
	struct bdev_queue *queue;
	int err = bdev_queue_create(dev, &queue);

	if (err)
		return err;
	bdev_submit(queue, &request, 1);
	bdev_wait(queue, &done, 1, 1);
	bdev_queue_destroy(queue);
	assert(done == request);
	if (request->outcome == BDEV_UNKNOWN)
		return XN_EUNKNOWN;
	return request->outcome == BDEV_DONE ? 0 : request->error;
}

static int read_whole(struct bdev *dev, uint64_t offset, void *buffer, size_t len)
{
	struct iovec iov = { buffer, len };
	struct bdev_request request = {
		.op = BDEV_READ,
		.offset = offset,
		.len = len,
		.iov = &iov,
		.iov_count = 1,
	};

	return request_run(dev, &request);
}

static int write_whole(struct bdev *dev, uint64_t offset, const void *bytes, size_t len,
		       uint32_t flags)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct bdev_request request = {
		.op = BDEV_WRITE,
		.flags = flags,
		.offset = offset,
		.len = len,
		.iov = &iov,
		.iov_count = 1,
	};

	return request_run(dev, &request);
}

/* ---- parts of the medium's blocks ---- */

#define COARSE 4096u /* no medium's block is larger */

/* Whole blocks around some sectors. */
struct span {
	uint64_t start;
	size_t len, skip; /* `skip` bytes before the sectors */
	uint8_t *bytes;
};

/* Is [offset, offset + len) of sectors, but not of the medium's own blocks? */
static bool is_part(struct bdev *dev, uint64_t offset, size_t len)
{
	struct bdev_info info;

	if ((offset | len) % COARSE == 0 || (offset | len) % BDEV_SECTOR)
		return false;
	bdev_info(dev, &info);
	return (offset | len) % info.logical_block && offset <= info.size &&
	       len <= info.size - offset;
}

static int span_make(struct span *span, uint64_t offset, size_t len)
{
	span->start = offset / COARSE * COARSE;
	span->skip = offset - span->start;
	span->len = (span->skip + len + COARSE - 1) / COARSE * COARSE;
	span->bytes = malloc(span->len);
	return span->bytes ? 0 : -ENOMEM;
}

static int read_part(struct bdev *dev, uint64_t offset, void *buffer, size_t len)
{
	struct span span;
	int err = span_make(&span, offset, len);

	if (err)
		return err;
	err = read_whole(dev, span.start, span.bytes, span.len);
	if (!err)
		memcpy(buffer, span.bytes + span.skip, len);
	free(span.bytes);
	return err;
}

/* Only the blocks at the two ends have something around; those between are all ours. */
static int write_part(struct bdev *dev, uint64_t offset, const void *bytes, size_t len,
		      uint32_t flags)
{
	struct span span;
	int err = span_make(&span, offset, len);

	if (err)
		return err;
	err = read_whole(dev, span.start, span.bytes, COARSE);
	if (!err && span.len > COARSE)
		err = read_whole(dev, span.start + span.len - COARSE,
				 span.bytes + span.len - COARSE, COARSE);
	if (!err) {
		memcpy(span.bytes + span.skip, bytes, len);
		err = write_whole(dev, span.start, span.bytes, span.len, flags);
	}
	free(span.bytes);
	return err;
}

int bdev_read(struct bdev *dev, uint64_t offset, void *buffer, size_t len)
{
	return is_part(dev, offset, len) ? read_part(dev, offset, buffer, len)
					 : read_whole(dev, offset, buffer, len);
}

int bdev_write(struct bdev *dev, uint64_t offset, const void *bytes, size_t len, uint32_t flags)
{
	return is_part(dev, offset, len) ? write_part(dev, offset, bytes, len, flags)
					 : write_whole(dev, offset, bytes, len, flags);
}

int bdev_flush(struct bdev *dev)
{
	struct bdev_request request = { .op = BDEV_FLUSH };

	return request_run(dev, &request);
}

/* ---- for the devices ---- */

void iov_gather(void *buffer, const struct iovec *iov, uint64_t len)
{
	uint8_t *to = buffer;

	for (; len; iov++) {
		size_t part = iov->iov_len < len ? iov->iov_len : len;

		if (part)
			memcpy(to, iov->iov_base, part);
		to += part;
		len -= part;
	}
}

void iov_scatter(const struct iovec *iov, const void *buffer, uint64_t len)
{
	const uint8_t *from = buffer;

	for (; len; iov++) {
		size_t part = iov->iov_len < len ? iov->iov_len : len;

		if (part)
			memcpy(iov->iov_base, from, part);
		from += part;
		len -= part;
	}
}

int stacked_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct stacked *)dev)->below, exclusive, timeout_ms);
}

void stacked_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct stacked *)dev)->below, info);
}

int stacked_resize(struct bdev *dev, uint64_t size)
{
	return bdev_resize(((struct stacked *)dev)->below, size);
}

void stacked_submit(struct stacked_queue *queue, struct bdev_request *requests[], size_t count,
		    bool (*keeps)(struct stacked_queue *queue, struct bdev_request *request))
{
	size_t first = 0;

	for (size_t i = 0; i < count; i++) {
		if (!keeps(queue, requests[i]))
			continue;
		if (i > first)
			bdev_submit(queue->below, requests + first, i - first);
		first = i + 1;
	}
	if (count > first)
		bdev_submit(queue->below, requests + first, count - first);
}
