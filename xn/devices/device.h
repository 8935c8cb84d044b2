/* SPDX-License-Identifier: MIT */
/*
 * What the devices share among themselves: completing a request without help
 * from below, moving bytes between a buffer and an iov, and the forwarding part
 * of a device that stands on another.
 */
#ifndef XN_DEVICES_DEVICE_H
#define XN_DEVICES_DEVICE_H

#include "xn/bdev.h"

#define BDEV_ALIGN 4096u /* sizes are rounded down to this */

int bdev_file_open(const char *path, uint32_t flags, uint64_t create_size, struct bdev **out);
int bdev_mem_open(const char *size, uint32_t flags, struct bdev **out);

/* Complete `request`, so that the next bdev_wait() of the queue's user finds it. */
void queue_complete(struct bdev_queue *queue, struct bdev_request *request,
		    enum bdev_outcome outcome, int error);

/* Copy the first `len` bytes of an iov into a buffer, or a buffer into them. */
void iov_gather(void *buffer, const struct iovec *iov, uint64_t len);
void iov_scatter(const struct iovec *iov, const void *buffer, uint64_t len);

/* ---- a device that stands on another and owns it ---- */

struct stacked {
	struct bdev bdev;
	struct bdev *below;
};

struct stacked_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

int stacked_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms);
void stacked_info(const struct bdev *dev, struct bdev_info *info);
int stacked_resize(struct bdev *dev, uint64_t size);

/*
 * Hand `requests` down in batches as large as possible, without those that
 * `keeps` answers true for: these it has completed itself.
 */
void stacked_submit(struct stacked_queue *queue, struct bdev_request *requests[], size_t count,
		    bool (*keeps)(struct stacked_queue *queue, struct bdev_request *request));

#endif
