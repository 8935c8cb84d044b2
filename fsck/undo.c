/* SPDX-License-Identifier: MIT */
/*
 * The undo file: a header of 32 bytes, then records: what stood where, before each
 * write, in the order of the writes.
 *
 *  (1) A record is on the file's disk before its write goes down: whatever happens,
 *      the file leads back.
 *  (2) Replaying goes from the last record to the first, so that of a sector written
 *      twice the oldest contents win.
 *  (3) Records end where their checksum does not fit: there the machine stopped, and
 *      the write behind it never went down.
 */
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "udf/udf.h"
#include "xn/bdev.h"
#include "xn/endian.h"

#define MAGIC   "XNUNDO\r\n"
#define LEN_MAX (64u << 20)

struct head {
	char magic[8];
	le64_t device_size;
	uint8_t reserved[16];
};

struct record {
	le64_t offset;
	le32_t len;
	le32_t crc; /* of offset, length and bytes */
};

struct undo {
	struct bdev bdev;
	struct bdev *below;
	int fd;
};

struct undo_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

static uint32_t record_crc(uint64_t offset, uint32_t len, const void *bytes)
{
	struct record record = { .offset = le64_make(offset), .len = le32_make(len) };

	return udf_crc32c(udf_crc32c(0, &record, offsetof(struct record, crc)), bytes, len);
}

static int bytes_write(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* What stands where this request will write. */
static int record_write(struct undo *undo, const struct bdev_request *request)
{
	uint8_t *bytes = request->len <= LEN_MAX ? malloc(request->len) : NULL;
	uint32_t len = (uint32_t)request->len;
	struct record record = { .offset = le64_make(request->offset), .len = le32_make(len) };
	int err = bytes ? bdev_read(undo->below, request->offset, bytes, len) : -ENOMEM;

	if (!err) {
		record.crc = le32_make(record_crc(request->offset, len, bytes));
		err = bytes_write(undo->fd, &record, sizeof(record));
	}
	if (!err)
		err = bytes_write(undo->fd, bytes, len);
	if (!err && fdatasync(undo->fd))
		err = -errno;
	free(bytes);
	return err;
}

/* ---- the device ---- */

static void undo_close(struct bdev *dev)
{
	struct undo *undo = (struct undo *)dev;

	close(undo->fd);
	free(undo);
}

static int undo_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(((struct undo *)dev)->below, exclusive, timeout_ms);
}

static void undo_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct undo *)dev)->below, info);
	info->can_resize = false;
	info->can_discard = info->can_write_zeroes =
		false; /* what they leave cannot be taken back */
}

static int undo_resize(struct bdev *dev, uint64_t size)
{
	(void)dev;
	(void)size;
	return -ENOTSUP;
}

static int undo_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct undo_queue *queue = calloc(1, sizeof(*queue));
	int err;

	if (!queue)
		return -ENOMEM;
	queue->queue.dev = dev;
	queue->queue.ready_end = &queue->queue.ready;
	err = bdev_queue_create(((struct undo *)dev)->below, &queue->below);
	if (err) {
		free(queue);
		return err;
	}
	*out = &queue->queue;
	return 0;
}

static void undo_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct undo_queue *)queue)->below);
	free(queue);
}

/* Without its record a write is refused, as the device would an unreadable sector. */
static void refuse(struct bdev_queue *queue, struct bdev_request *request, int error)
{
	request->outcome = BDEV_FAILED;
	request->error = error;
	request->next = NULL;
	*queue->ready_end = request;
	queue->ready_end = &request->next;
}

static void undo_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct undo_queue *q = (struct undo_queue *)queue;

	for (size_t i = 0; i < count; i++) {
		int err = requests[i]->op == BDEV_WRITE
				  ? record_write((struct undo *)queue->dev, requests[i])
				  : 0;

		if (err)
			refuse(queue, requests[i], err);
		else
			bdev_submit(q->below, &requests[i], 1);
	}
}

static size_t undo_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			size_t min)
{
	return bdev_wait(((struct undo_queue *)queue)->below, done, max, min);
}

static const struct bdev_ops undo_ops = {
	.name = "undo",
	.close = undo_close,
	.lock = undo_lock,
	.info = undo_info,
	.resize = undo_resize,
	.queue_create = undo_queue_create,
	.queue_destroy = undo_queue_destroy,
	.submit = undo_submit,
	.wait = undo_wait,
};

int undo_create(const char *path, struct bdev *below, struct bdev **out)
{
	struct undo *undo = calloc(1, sizeof(*undo));
	struct head head = { .magic = MAGIC };
	struct bdev_info info;
	int err;

	if (!undo)
		return -ENOMEM;
	bdev_info(below, &info);
	memcpy(head.magic, MAGIC, sizeof(head.magic));
	head.device_size = le64_make(info.size);
	undo->bdev.ops = &undo_ops;
	undo->below = below;
	undo->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	err = undo->fd < 0 ? -errno : bytes_write(undo->fd, &head, sizeof(head));
	if (err) {
		if (undo->fd >= 0)
			close(undo->fd);
		free(undo);
		return err;
	}
	*out = &undo->bdev;
	return 0;
}

/* ---- back ---- */

struct place {
	long at; /* in the file, of the record */
	uint64_t offset;
	uint32_t len;
};

struct places {
	struct place *v;
	size_t n, cap;
};

/* The record at the file's position: 1, or 0 when there is no whole one. */
static int record_read(FILE *in, struct place *place, uint8_t **bytes)
{
	struct record record;

	place->at = ftell(in);
	if (place->at < 0 || fread(&record, sizeof(record), 1, in) != 1)
		return 0;
	place->offset = le64_get(record.offset);
	place->len = le32_get(record.len);
	if (place->len == 0 || place->len > LEN_MAX || place->len % BDEV_SECTOR)
		return 0;
	*bytes = malloc(place->len);
	if (!*bytes)
		return -ENOMEM;
	if (fread(*bytes, place->len, 1, in) == 1 &&
	    record_crc(place->offset, place->len, *bytes) == le32_get(record.crc))
		return 1;
	free(*bytes);
	*bytes = NULL;
	return 0;
}

static int places_gather(FILE *in, struct places *places)
{
	for (;;) {
		struct place place;
		uint8_t *bytes = NULL;
		int got = record_read(in, &place, &bytes);

		free(bytes);
		if (got <= 0)
			return got;
		if (places->n == places->cap) {
			size_t cap = places->cap ? 2 * places->cap : 256;
			struct place *v = realloc(places->v, cap * sizeof(*v));

			if (!v)
				return -ENOMEM;
			places->v = v;
			places->cap = cap;
		}
		places->v[places->n++] = place;
	}
}

static int places_restore(FILE *in, const struct places *places, struct bdev *dev)
{
	int err = 0;

	for (size_t i = places->n; i-- > 0 && !err;) {
		struct place place;
		uint8_t *bytes = NULL;

		if (fseek(in, places->v[i].at, SEEK_SET))
			return -errno;
		err = record_read(in, &place, &bytes);
		if (err == 1)
			err = bdev_write(dev, place.offset, bytes, place.len, 0) ? -EIO : 0;
		else if (err == 0)
			err = -EIO; /* it was whole a moment ago */
		free(bytes);
	}
	return err ? err : bdev_flush(dev) ? -EIO : 0;
}

int undo_replay(const char *path, struct bdev *dev, char *why, size_t why_size)
{
	FILE *in = fopen(path, "re");
	struct places places = { 0 };
	struct bdev_info info;
	struct head head;
	int err = in ? 0 : -errno;

	bdev_info(dev, &info);
	snprintf(why, why_size, "%s: %s", path, err ? strerror(-err) : "reading or writing failed");
	if (!err && (fread(&head, sizeof(head), 1, in) != 1 ||
		     memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0)) {
		snprintf(why, why_size, "%s is no undo file", path);
		err = -EINVAL;
	}
	if (!err && le64_get(head.device_size) != info.size) {
		snprintf(why, why_size, "%s is for a device of another size", path);
		err = -ESTALE;
	}
	if (!err)
		err = places_gather(in, &places);
	if (!err)
		err = places_restore(in, &places, dev);
	free(places.v);
	if (in)
		fclose(in);
	return err;
}
