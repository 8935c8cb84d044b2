/* SPDX-License-Identifier: MIT */
/*
 * A recorder's events in a file: written while they happen, read again for crash exploration.
 *
 *  (1) The file is a head and events; an event is 32 bytes and what belongs to it: a write's bytes,
 *      a mark's text, and of a flush the numbers of those it made stable.  Numbers are
 *      little-endian.
 *  (2) An event is in the file before the request it tells of goes down, a flush when it is done.
 *      So a file whose writer was killed says what may be on the medium; half an event at its
 *      end is none.
 *  (3) A file is not believed: lengths, kinds and numbers are checked, and memory is taken for what
 *      is there.
 */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "xn/endian.h"

#define HEAD_MAGIC "XNEVENTS"
#define VERSION    1u
#define LEN_MAX    (1u << 30) /* of one event */

struct file_head {
	uint8_t magic[8];
	le32_t version, reserved;
	le64_t size; /* of the device */
};

struct file_event {
	le32_t kind, flags;
	le64_t offset, len; /* of a flush: how many were made stable */
	le64_t extra;       /* bytes that follow */
};
_Static_assert(sizeof(struct file_head) == 24, "a head");
_Static_assert(sizeof(struct file_event) == 32, "an event");

/* ---- writing ---- */

static int write_all(int file, const struct iovec *iov, int count)
{
	size_t want = 0;
	ssize_t n;
	off_t before = lseek(file, 0, SEEK_CUR);

	for (int i = 0; i < count; i++)
		want += iov[i].iov_len;
	n = writev(file, iov, count);
	if (n == (ssize_t)want)
		return 0;
	/* Half an event would hide what follows. */
	if (n >= 0 && (before < 0 || ftruncate(file, before) || lseek(file, before, SEEK_SET) < 0))
		return -EIO;
	return n < 0 ? -errno : -ENOSPC;
}

/* The numbers of what the `flush`-th event made stable; `*list` is to be freed. */
static int stable_list(const struct recorder *recorder, size_t flush, le64_t **list, size_t *n)
{
	*n = 0;
	*list = malloc((flush - recorder->unstable + 1) * sizeof(**list));
	if (!*list)
		return -ENOMEM;
	for (size_t i = recorder->unstable; i < flush; i++)
		if (recorder->entries[i].event.stable_at == flush)
			(*list)[(*n)++] = le64_make(i);
	return 0;
}

int recorder_keep(struct recorder *recorder, size_t index)
{
	struct entry *entry = &recorder->entries[index];
	const struct bdev_event *event = &entry->event;
	struct file_event head = { .kind = le32_make(event->kind),
				   .flags = le32_make(event->flags) };
	struct iovec iov[2] = { { &head, sizeof(head) }, { entry->bytes, 0 } };
	uint64_t len = event->len;
	le64_t *list = NULL;
	size_t n = 0;
	int err = 0;

	if (recorder->file < 0)
		return 0;
	if (event->kind == BDEV_EVENT_FLUSH) {
		err = stable_list(recorder, index, &list, &n);
		iov[1] = (struct iovec){ list, n * sizeof(*list) };
		len = n;
	} else if (event->kind == BDEV_EVENT_WRITE) {
		iov[1].iov_len = event->len;
	} else if (event->kind == BDEV_EVENT_MARK) {
		iov[1].iov_len = strlen(event->mark);
	}
	head.offset = le64_make(event->offset);
	head.len = le64_make(len);
	head.extra = le64_make(iov[1].iov_len);
	if (!err)
		err = write_all(recorder->file, iov, 2);
	free(list);
	if (!err && event->kind == BDEV_EVENT_WRITE) {
		free(entry->bytes);
		entry->bytes = NULL;
		entry->event.bytes = NULL;
	}
	return err;
}

void recorder_file_close(struct recorder *recorder)
{
	if (recorder->file >= 0)
		close(recorder->file);
	recorder->file = -1;
}

int bdev_recorder_save(struct bdev *dev, const char *path)
{
	struct recorder *recorder = (struct recorder *)dev;
	struct file_head head = { .magic = HEAD_MAGIC, .version = le32_make(VERSION) };
	struct iovec iov = { &head, sizeof(head) };
	struct bdev_info info;
	int file, err;

	_Static_assert(sizeof(HEAD_MAGIC) == sizeof(head.magic) + 1, "without its NUL");
	bdev_info(dev, &info);
	head.size = le64_make(info.size);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return -errno;
	err = write_all(file, &iov, 1);
	pthread_mutex_lock(&recorder->mutex);
	if (!err && (recorder->count > 0 || recorder->file >= 0))
		err = -EBUSY;
	if (!err)
		recorder->file = file;
	pthread_mutex_unlock(&recorder->mutex);
	if (err)
		close(file);
	return err;
}

/* ---- reading ---- */

struct reader {
	struct recorder *recorder;
	int file;
	uint64_t left; /* bytes of the file */
	uint64_t size; /* of the device */
};

/* 1: it is not there as a whole. */
static int read_all(struct reader *reader, void *bytes, size_t len)
{
	uint8_t *to = bytes;

	if (len > reader->left)
		return 1;
	while (len > 0) {
		ssize_t n = read(reader->file, to, len);

		if (n < 0)
			return -errno;
		if (n == 0)
			return 1;
		to += n;
		len -= (size_t)n;
		reader->left -= (uint64_t)n;
	}
	return 0;
}

static bool is_change(enum bdev_event_kind kind)
{
	return kind == BDEV_EVENT_WRITE || kind == BDEV_EVENT_DISCARD || kind == BDEV_EVENT_ZEROES;
}

static bool event_is_legal(const struct reader *reader, const struct bdev_event *event,
			   uint64_t extra)
{
	bool sectors = event->offset % BDEV_SECTOR == 0 && event->len % BDEV_SECTOR == 0;

	if (extra > LEN_MAX)
		return false;
	if (is_change(event->kind))
		return sectors && event->len > 0 && event->offset < reader->size &&
		       event->len <= reader->size - event->offset &&
		       extra == (event->kind == BDEV_EVENT_WRITE ? event->len : 0);
	if (event->kind == BDEV_EVENT_FLUSH)
		return event->len <= reader->recorder->count && extra == 8 * event->len;
	return event->kind == BDEV_EVENT_MARK;
}

/* What a flush made stable: each was there before, and not stable. */
static int stable_set(struct reader *reader, const uint8_t *list, uint64_t n, size_t flush)
{
	struct recorder *recorder = reader->recorder;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t index = le64_get(*(const le64_t *)(const void *)(list + 8 * i));
		struct bdev_event *event;

		if (index >= flush)
			return -EUCLEAN;
		event = &recorder->entries[index].event;
		if (!is_change(event->kind) || event->stable_at != SIZE_MAX)
			return -EUCLEAN;
		event->stable_at = flush;
	}
	return 0;
}

static int event_add(struct reader *reader, const struct bdev_event *event, uint8_t *bytes)
{
	struct entry *entry = recorder_add(reader->recorder);
	size_t index = reader->recorder->count - 1;
	int err = 0;

	if (!entry)
		return -ENOMEM;
	entry->event = *event;
	entry->event.stable_at = SIZE_MAX;
	if (event->kind == BDEV_EVENT_FLUSH)
		err = stable_set(reader, bytes, event->len, index);
	entry->bytes = bytes;
	if (event->kind == BDEV_EVENT_WRITE)
		entry->event.bytes = bytes;
	else if (event->kind == BDEV_EVENT_MARK)
		entry->event.mark = (const char *)bytes;
	if (!is_change(event->kind))
		entry->event.stable_at = index;
	return err;
}

/* 1: there are no more. */
static int event_read(struct reader *reader)
{
	struct bdev_event event = { 0 };
	struct file_event head;
	uint8_t *bytes;
	uint64_t extra;
	int err = read_all(reader, &head, sizeof(head));

	if (err)
		return err;
	event.kind = (enum bdev_event_kind)le32_get(head.kind);
	event.flags = le32_get(head.flags);
	event.offset = le64_get(head.offset);
	event.len = le64_get(head.len);
	extra = le64_get(head.extra);
	if (!event_is_legal(reader, &event, extra))
		return -EUCLEAN;
	if (extra > reader->left)
		return 1;
	bytes = malloc(extra + 1);
	if (!bytes)
		return -ENOMEM;
	err = read_all(reader, bytes, extra);
	bytes[extra] = '\0';
	if (!err) {
		size_t before = reader->recorder->count;

		err = event_add(reader, &event, bytes);
		if (reader->recorder->count > before)
			return err; /* the bytes are the list's */
	}
	free(bytes);
	return err;
}

static int head_read(struct reader *reader)
{
	struct file_head head;
	struct bdev_info info;
	struct stat st;
	int err;

	if (fstat(reader->file, &st))
		return -errno;
	reader->left = (uint64_t)st.st_size;
	err = read_all(reader, &head, sizeof(head));
	if (err)
		return err < 0 ? err : -EMEDIUMTYPE;
	if (memcmp(head.magic, HEAD_MAGIC, sizeof(head.magic)) != 0)
		return -EMEDIUMTYPE;
	if (le32_get(head.version) != VERSION)
		return -EPROTONOSUPPORT;
	reader->size = le64_get(head.size);
	bdev_info(&reader->recorder->stacked.bdev, &info);
	return reader->size == info.size ? 0 : -EINVAL;
}

int bdev_recorder_load(struct bdev *dev, const char *path)
{
	struct reader reader = { .recorder = (struct recorder *)dev };
	int err;

	bdev_recorder_reset(dev);
	reader.file = open(path, O_RDONLY | O_CLOEXEC);
	if (reader.file < 0)
		return -errno;
	err = head_read(&reader);
	while (!err)
		err = event_read(&reader);
	close(reader.file);
	if (err < 0)
		bdev_recorder_reset(dev);
	return err < 0 ? err : 0;
}
