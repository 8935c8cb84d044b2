/* SPDX-License-Identifier: MIT */
/*
 * A regular file or a block device of the host.
 *
 *  (1) A request on an empty queue runs in the caller's thread; more than one
 *      run in a few worker threads, started when first needed, so that they
 *      overlap.  Queues with work take turns.
 *  (2) A flush that failed is UNKNOWN, and so is every later one: the host
 *      reports a lost page once and forgets it.
 *  (3) With BDEV_OPEN_DIRECT, what is whole 4096-byte blocks bypasses the
 *      host's cache, through a copy if the memory is not aligned; the rest goes
 *      through it.  The host keeps the two coherent.
 *  (4) Readers and a writer exclude each other by open-file-description locks;
 *      a writer of a block device holds it open exclusively as well, which also
 *      keeps out mounts.
 *
 * One mutex guards the lists of a device and of all its queues; it is not held
 * during I/O.
 */
#include "device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX    4
#define IOV_WINDOW     64
#define ZERO_CHUNK     65536u
#define DIRECT_ALIGN   4096u
#define FILE_OPTIMAL   (1u << 20)
#define LOCK_PAUSE_MAX 20 /* ms between two tries */

struct file_queue {
	struct bdev_queue queue;
	struct bdev_request *waiting, **waiting_end; /* for a worker */
	struct bdev_request *done, **done_end;
	size_t running;
	pthread_cond_t changed;      /* `done` grew, or `running` became 0 */
	struct file_queue *next_due; /* among those with waiting requests */
};

struct file {
	struct bdev bdev;
	char *path;
	int fd, direct_fd, exclusive_fd; /* the last two may be -1 */
	bool writable, is_block;
	uint32_t logical_block, optimal_io;
	atomic_uint_least64_t size;
	atomic_bool flush_lost;

	pthread_mutex_t mutex;
	pthread_cond_t work;
	struct file_queue *due, **due_end;
	bool stopping;
	int workers, idle;
	pthread_t threads[WORKERS_MAX];
};

/* ---- bytes ---- */

/* The part of `iov` that begins `skip` bytes into it; returns its length in entries. */
static int iov_window(const struct iovec *iov, int count, uint64_t skip, struct iovec *window)
{
	int used = 0;

	for (int i = 0; i < count && used < IOV_WINDOW; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		window[used].iov_base = (uint8_t *)iov[i].iov_base + skip;
		window[used++].iov_len = iov[i].iov_len - skip;
		skip = 0;
	}
	return used;
}

static int transfer(int fd, const struct bdev_request *request, const struct iovec *iov, int count)
{
	int flags = request->op == BDEV_WRITE && (request->flags & BDEV_FUA) ? RWF_DSYNC : 0;
	struct iovec window[IOV_WINDOW];
	uint64_t moved = 0;

	while (moved < request->len) {
		int used = iov_window(iov, count, moved, window);
		off_t at = (off_t)(request->offset + moved);
		ssize_t got = request->op == BDEV_READ ? preadv(fd, window, used, at)
						       : pwritev2(fd, window, used, at, flags);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0) /* somebody made the file shorter */
			return -EIO;
		moved += (uint64_t)got;
	}
	return 0;
}

static bool iov_is_aligned(const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		if ((uintptr_t)iov[i].iov_base % DIRECT_ALIGN || iov[i].iov_len % DIRECT_ALIGN)
			return false;
	return true;
}

static int transfer_bounced(int fd, const struct bdev_request *request)
{
	struct iovec iov = { NULL, request->len };
	int err;

	if (posix_memalign(&iov.iov_base, DIRECT_ALIGN, request->len))
		return -ENOMEM;
	if (request->op == BDEV_WRITE)
		iov_gather(iov.iov_base, request->iov, request->len);
	err = transfer(fd, request, &iov, 1);
	if (!err && request->op == BDEV_READ)
		iov_scatter(request->iov, iov.iov_base, request->len);
	free(iov.iov_base);
	return err;
}

static int file_transfer(struct file *file, const struct bdev_request *request)
{
	if (file->direct_fd < 0 || request->offset % DIRECT_ALIGN || request->len % DIRECT_ALIGN)
		return transfer(file->fd, request, request->iov, request->iov_count);
	if (iov_is_aligned(request->iov, request->iov_count))
		return transfer(file->direct_fd, request, request->iov, request->iov_count);
	return transfer_bounced(file->direct_fd, request);
}

static int file_discard(struct file *file, const struct bdev_request *request)
{
	uint64_t range[2] = { request->offset, request->len };
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int failed;

	if (file->is_block)
		failed = ioctl(file->fd, BLKDISCARD, range);
	else
		failed = fallocate(file->fd, mode, (off_t)range[0], (off_t)range[1]);
	/* Old contents are a permitted outcome. */
	if (failed && errno != EOPNOTSUPP && errno != ENOTTY)
		return -errno;
	return 0;
}

static int write_zeroes_by_hand(struct file *file, uint64_t offset, uint64_t len)
{
	uint8_t *zeroes = calloc(1, ZERO_CHUNK);
	int err = zeroes ? 0 : -ENOMEM;

	while (len && !err) {
		struct iovec iov = { zeroes, len < ZERO_CHUNK ? len : ZERO_CHUNK };
		struct bdev_request part = {
			.op = BDEV_WRITE,
			.offset = offset,
			.len = iov.iov_len,
		};

		err = transfer(file->fd, &part, &iov, 1);
		offset += iov.iov_len;
		len -= iov.iov_len;
	}
	free(zeroes);
	return err;
}

static int file_write_zeroes(struct file *file, const struct bdev_request *request)
{
	uint64_t range[2] = { request->offset, request->len };
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (file->is_block) {
		if (!ioctl(file->fd, BLKZEROOUT, range))
			return 0;
	} else if (!fallocate(file->fd, mode, (off_t)range[0], (off_t)range[1])) {
		return 0;
	}
	return write_zeroes_by_hand(file, request->offset, request->len);
}

/* ---- one request, done now ---- */

static enum bdev_outcome flush_run(struct file *file, int *error)
{
	if (file->writable && !atomic_load(&file->flush_lost) && fdatasync(file->fd)) {
		*error = -errno;
		atomic_store(&file->flush_lost, true);
		return BDEV_UNKNOWN;
	}
	*error = atomic_load(&file->flush_lost) ? -EIO : 0;
	return *error ? BDEV_UNKNOWN : BDEV_DONE;
}

static void request_execute(struct file *file, struct bdev_request *request)
{
	enum bdev_outcome failed = BDEV_FAILED;
	int err = -EINVAL;

	switch (request->op) {
	case BDEV_FLUSH: request->outcome = flush_run(file, &request->error); return;
	case BDEV_READ: err = file_transfer(file, request); break;
	case BDEV_WRITE:
		err = file_transfer(file, request);
		if (request->flags & BDEV_FUA) /* written but not synced, or neither */
			failed = BDEV_UNKNOWN;
		break;
	case BDEV_DISCARD: err = file_discard(file, request); break;
	case BDEV_WRITE_ZEROES: err = file_write_zeroes(file, request); break;
	}
	request->outcome = err ? failed : BDEV_DONE;
	request->error = err;
}

/* ---- workers ---- */

static void list_push(struct bdev_request ***end, struct bdev_request *request)
{
	request->next = NULL;
	**end = request;
	*end = &request->next;
}

static struct bdev_request *list_pop(struct bdev_request **head, struct bdev_request ***end)
{
	struct bdev_request *request = *head;

	if (!request)
		return NULL;
	*head = request->next;
	if (!*head)
		*end = head;
	request->next = NULL;
	return request;
}

/* Mutex held. */
static void due_push(struct file *file, struct file_queue *queue)
{
	queue->next_due = NULL;
	*file->due_end = queue;
	file->due_end = &queue->next_due;
}

/* Mutex held: take the next request of the next queue, which goes to the end of the line. */
static struct bdev_request *due_pop(struct file *file, struct file_queue **owner)
{
	struct file_queue *queue = file->due;
	struct bdev_request *request;

	if (!queue)
		return NULL;
	file->due = queue->next_due;
	if (!file->due)
		file->due_end = &file->due;
	request = list_pop(&queue->waiting, &queue->waiting_end);
	if (queue->waiting)
		due_push(file, queue);
	*owner = queue;
	return request;
}

static void *worker_main(void *arg)
{
	struct file *file = arg;
	struct file_queue *queue;
	struct bdev_request *request;

	pthread_mutex_lock(&file->mutex);
	for (;;) {
		while (!(request = due_pop(file, &queue)) && !file->stopping) {
			file->idle++;
			pthread_cond_wait(&file->work, &file->mutex);
			file->idle--;
		}
		if (!request)
			break;
		pthread_mutex_unlock(&file->mutex);
		request_execute(file, request);
		pthread_mutex_lock(&file->mutex);
		list_push(&queue->done_end, request);
		queue->running--;
		pthread_cond_signal(&queue->changed);
	}
	pthread_mutex_unlock(&file->mutex);
	return NULL;
}

/* Mutex held: have enough workers for what waits; false if there is none at all. */
static bool workers_wake(struct file *file, size_t wanted)
{
	size_t idle = (size_t)file->idle;

	for (; idle < wanted && file->workers < WORKERS_MAX; idle++) {
		if (pthread_create(&file->threads[file->workers], NULL, worker_main, file))
			break;
		file->workers++;
	}
	pthread_cond_broadcast(&file->work);
	return file->workers > 0;
}

static void workers_stop(struct file *file)
{
	pthread_mutex_lock(&file->mutex);
	file->stopping = true;
	pthread_cond_broadcast(&file->work);
	pthread_mutex_unlock(&file->mutex);
	for (int i = 0; i < file->workers; i++)
		pthread_join(file->threads[i], NULL);
}

/* ---- queues ---- */

static int file_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct file_queue *queue = calloc(1, sizeof(*queue));

	(void)dev;
	if (!queue)
		return -ENOMEM;
	queue->waiting_end = &queue->waiting;
	queue->done_end = &queue->done;
	pthread_cond_init(&queue->changed, NULL);
	*out = &queue->queue;
	return 0;
}

static void file_queue_destroy(struct bdev_queue *base)
{
	struct file_queue *queue = (struct file_queue *)base;
	struct file *file = (struct file *)base->dev;

	pthread_mutex_lock(&file->mutex);
	while (queue->running)
		pthread_cond_wait(&queue->changed, &file->mutex);
	pthread_mutex_unlock(&file->mutex);
	pthread_cond_destroy(&queue->changed);
	free(queue);
}

/* Only the queue's own thread makes it less empty, so the answer stays true for it. */
static bool queue_is_empty(struct file *file, struct file_queue *queue)
{
	bool empty;

	pthread_mutex_lock(&file->mutex);
	empty = !queue->running && !queue->done;
	pthread_mutex_unlock(&file->mutex);
	return empty && !queue->queue.ready;
}

static void execute_here(struct file *file, struct bdev_queue *queue,
			 struct bdev_request *requests[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		request_execute(file, requests[i]);
		queue_complete(queue, requests[i], requests[i]->outcome, requests[i]->error);
	}
}

static void file_submit(struct bdev_queue *base, struct bdev_request *requests[], size_t count)
{
	struct file_queue *queue = (struct file_queue *)base;
	struct file *file = (struct file *)base->dev;
	bool have_workers;

	if (count == 1 && queue_is_empty(file, queue)) {
		execute_here(file, base, requests, count);
		return;
	}
	pthread_mutex_lock(&file->mutex);
	have_workers = workers_wake(file, count);
	if (have_workers) {
		if (!queue->waiting)
			due_push(file, queue);
		for (size_t i = 0; i < count; i++)
			list_push(&queue->waiting_end, requests[i]);
		queue->running += count;
	}
	pthread_mutex_unlock(&file->mutex);
	if (!have_workers)
		execute_here(file, base, requests, count);
}

static size_t file_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			size_t min)
{
	struct file_queue *queue = (struct file_queue *)base;
	struct file *file = (struct file *)base->dev;
	size_t taken = 0;

	pthread_mutex_lock(&file->mutex);
	for (;;) {
		struct bdev_request *request;

		while (taken < max && (request = list_pop(&queue->done, &queue->done_end)))
			done[taken++] = request;
		if (taken >= min)
			break;
		assert(queue->running); /* the caller waits for more than is in flight */
		pthread_cond_wait(&queue->changed, &file->mutex);
	}
	pthread_mutex_unlock(&file->mutex);
	return taken;
}

/* ---- locks ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int lock_description(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static int lock_try(struct file *file, bool exclusive)
{
	int err = lock_description(file->fd, exclusive ? F_WRLCK : F_RDLCK);

	if (err || !exclusive || !file->is_block || file->exclusive_fd >= 0)
		return err;
	file->exclusive_fd = open(file->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (file->exclusive_fd >= 0)
		return 0;
	err = -errno;
	lock_description(file->fd, F_UNLCK);
	return err;
}

static int file_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	struct file *file = (struct file *)dev;
	uint64_t start = now_ms();
	uint64_t pause = 1, spent;
	int err;

	if (exclusive && !file->writable)
		return -EROFS;
	while ((err = lock_try(file, exclusive)) == -EBUSY) {
		struct timespec rest = { 0 };

		spent = now_ms() - start;
		if (spent >= timeout_ms)
			break;
		if (pause > timeout_ms - spent)
			pause = timeout_ms - spent;
		rest.tv_nsec = (long)pause * 1000000;
		nanosleep(&rest, NULL);
		pause = pause * 2 < LOCK_PAUSE_MAX ? pause * 2 : LOCK_PAUSE_MAX;
	}
	return err;
}

static void file_yield(struct bdev *dev)
{
	struct file *file = (struct file *)dev;

	if (file->exclusive_fd >= 0)
		close(file->exclusive_fd);
	file->exclusive_fd = -1;
}

/* ---- the rest of the table ---- */

static void file_info(const struct bdev *dev, struct bdev_info *info)
{
	const struct file *file = (const struct file *)dev;
	uint64_t size = atomic_load(&file->size);

	*info = (struct bdev_info){
		.size = size - size % BDEV_ALIGN,
		.logical_block = file->logical_block,
		.optimal_io = file->optimal_io,
		.writable = file->writable,
		.can_fua = true,
		.can_discard = true,
		.can_write_zeroes = true,
		.can_resize = file->writable && !file->is_block,
	};
	snprintf(info->name, sizeof(info->name), "%s", file->path);
}

static int file_resize(struct bdev *dev, uint64_t size)
{
	struct file *file = (struct file *)dev;

	if (file->is_block)
		return -ENOTSUP;
	if (!file->writable)
		return -EROFS;
	if (size > INT64_MAX)
		return -EFBIG;
	if (ftruncate(file->fd, (off_t)size))
		return -errno;
	atomic_store(&file->size, size);
	return 0;
}

static void file_close(struct bdev *dev)
{
	struct file *file = (struct file *)dev;

	workers_stop(file);
	if (file->exclusive_fd >= 0)
		close(file->exclusive_fd);
	if (file->direct_fd >= 0)
		close(file->direct_fd);
	if (file->fd >= 0)
		close(file->fd);
	pthread_cond_destroy(&file->work);
	pthread_mutex_destroy(&file->mutex);
	free(file->path);
	free(file);
}

static const struct bdev_ops file_ops = {
	.name = "file",
	.close = file_close,
	.lock = file_lock,
	.yield = file_yield,
	.info = file_info,
	.resize = file_resize,
	.queue_create = file_queue_create,
	.queue_destroy = file_queue_destroy,
	.submit = file_submit,
	.wait = file_wait,
};

/* ---- opening ---- */

/* Make a file of `size` bytes that was not there; leave nothing behind on failure. */
static int file_make(const char *path, uint64_t size)
{
	int err, fd;

	if (size > INT64_MAX)
		return -EFBIG;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, (off_t)size))
		return fd;
	err = -errno;
	close(fd);
	unlink(path);
	return err;
}

static int file_open_fd(const char *path, uint32_t flags, uint64_t create_size)
{
	/* O_NONBLOCK: a FIFO is refused below and must not hang us here. */
	int how = (flags & BDEV_OPEN_RDWR ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd;

	if (flags & BDEV_OPEN_CREATE) {
		fd = file_make(path, create_size);
		if (fd != -EEXIST)
			return fd;
	}
	fd = open(path, how);
	return fd < 0 ? -errno : fd;
}

/* Learn what kind of thing `file->fd` is and how big. */
static int file_measure(struct file *file)
{
	struct stat st;
	uint64_t size;
	int sector = BDEV_SECTOR;
	unsigned int optimal = 0;

	if (fstat(file->fd, &st))
		return -errno;
	file->is_block = S_ISBLK(st.st_mode);
	if (!file->is_block && !S_ISREG(st.st_mode))
		return -ENOTBLK;
	size = (uint64_t)st.st_size;
	if (file->is_block) {
		if (ioctl(file->fd, BLKGETSIZE64, &size) || ioctl(file->fd, BLKSSZGET, &sector))
			return -errno;
		ioctl(file->fd, BLKIOOPT, &optimal);
	}
	atomic_init(&file->size, size);
	file->logical_block = (uint32_t)sector;
	file->optimal_io = optimal ? optimal : FILE_OPTIMAL;
	return 0;
}

static void file_open_direct(struct file *file)
{
	int how = (file->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_DIRECT;

	file->direct_fd = open(file->path, how);
}

static struct file *file_new(const char *path)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->path = strdup(path);
	if (!file->path) {
		free(file);
		return NULL;
	}
	file->bdev.ops = &file_ops;
	file->fd = file->direct_fd = file->exclusive_fd = -1;
	file->due_end = &file->due;
	pthread_mutex_init(&file->mutex, NULL);
	pthread_cond_init(&file->work, NULL);
	return file;
}

int bdev_file_open(const char *path, uint32_t flags, uint64_t create_size, struct bdev **out)
{
	struct file *file = file_new(path);
	int err;

	if (!file)
		return -ENOMEM;
	file->writable = flags & BDEV_OPEN_RDWR;
	file->fd = file_open_fd(path, flags, create_size);
	err = file->fd < 0 ? file->fd : file_measure(file);
	if (err) {
		file_close(&file->bdev);
		return err;
	}
	if (flags & BDEV_OPEN_DIRECT)
		file_open_direct(file);
	*out = &file->bdev;
	return 0;
}
