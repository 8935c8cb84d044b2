/* SPDX-License-Identifier: MIT */
/*
 * A regular file or a block device of the host.
 *
 *  (1) A job on an empty queue runs in the caller's thread: nothing is faster.  More
 *      than one overlap: in the kernel (io_uring) where that is to be had, else in a few
 *      worker threads.
 *  (2) Neighbours of one kind that are submitted one behind the other become one job;
 *      if that fails they are done one by one, so that only the bad ones fail.
 *  (3) Readers and a writer exclude each other by open-file-description locks;
 *      a writer of a block device holds it open exclusively as well, which also
 *      keeps out mounts.
 */
#include "file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_OPTIMAL   (1u << 20)
#define MERGE_MAX      (1u << 20) /* bytes of a job of several requests */
#define MERGE_IOV      1024       /* pieces; more the host does not take */
#define LOCK_PAUSE_MAX 20         /* ms between two tries */

/* ---- jobs ---- */

void list_push(struct bdev_request ***end, struct bdev_request *request)
{
	request->next = NULL;
	**end = request;
	*end = &request->next;
}

static bool requests_join(const struct bdev_request *a, const struct bdev_request *b)
{
	return (a->op == BDEV_READ || a->op == BDEV_WRITE) && a->op == b->op &&
	       a->flags == b->flags && a->offset + a->len == b->offset;
}

/* How many of the requests, from the first, make one job; and of how many pieces. */
static size_t job_size(struct bdev_request *requests[], size_t count, int *pieces)
{
	uint64_t len = requests[0]->len;
	size_t n = 1;

	*pieces = requests[0]->iov_count;
	while (n < count && requests_join(requests[n - 1], requests[n]) &&
	       len + requests[n]->len <= MERGE_MAX &&
	       *pieces + requests[n]->iov_count <= MERGE_IOV) {
		len += requests[n]->len;
		*pieces += requests[n++]->iov_count;
	}
	return n;
}

static struct job *job_new(struct bdev_request *requests[], size_t n, int pieces)
{
	size_t len = sizeof(struct job) + n * sizeof(*requests) +
		     (n > 1 ? (size_t)pieces : 0) * sizeof(struct iovec);
	struct job *job = malloc(len);
	struct iovec *iov;

	if (!job)
		return NULL;
	memset(job, 0, sizeof(*job));
	job->members = (struct bdev_request **)(job + 1);
	memcpy(job->members, requests, n * sizeof(*requests));
	job->n = n;
	job->request = *requests[0];
	if (n == 1)
		return job;
	job->request.iov = iov = (struct iovec *)(job->members + n);
	job->request.iov_count = pieces;
	job->request.len = 0;
	for (size_t i = 0; i < n; i++) {
		memcpy(iov, requests[i]->iov, (size_t)requests[i]->iov_count * sizeof(*iov));
		iov += requests[i]->iov_count;
		job->request.len += requests[i]->len;
	}
	return job;
}

void job_free(struct job *job)
{
	free(job->bounce);
	free(job);
}

static void jobs_free(struct job *jobs)
{
	struct job *job;

	while ((job = jobs)) {
		jobs = job->next;
		job_free(job);
	}
}

/* NULL: no memory. */
static struct job *jobs_of(struct bdev_request *requests[], size_t count, size_t *n_jobs)
{
	struct job *jobs = NULL, **end = &jobs;

	*n_jobs = 0;
	for (size_t i = 0; i < count; i += (*end)->n, end = &(*end)->next) {
		int pieces;
		size_t n = job_size(requests + i, count - i, &pieces);

		*end = job_new(requests + i, n, pieces);
		if (!*end) {
			jobs_free(jobs);
			return NULL;
		}
		++*n_jobs;
	}
	return jobs;
}

/* ---- queues ---- */

static int file_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct file_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return -ENOMEM;
	queue->no_uring = !((struct file *)dev)->use_uring;
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

	pool_drain(file, queue);
	uring_stop(file, queue);
	pthread_cond_destroy(&queue->changed);
	free(queue);
}

/* Only the queue's own thread makes it less empty, so the answer stays true for it. */
static bool queue_is_empty(struct file *file, struct file_queue *queue)
{
	bool empty;

	if (queue->queue.ready)
		return false;
	if (queue->uring)
		return !queue->running && !queue->done;
	pthread_mutex_lock(&file->mutex);
	empty = !queue->running && !queue->done;
	pthread_mutex_unlock(&file->mutex);
	return empty;
}

static void execute_here(struct file *file, struct bdev_queue *queue,
			 struct bdev_request *requests[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		request_execute(file, requests[i]);
		queue_complete(queue, requests[i], requests[i]->outcome, requests[i]->error);
	}
}

/* Done before anybody else could begin. */
static void job_here(struct file *file, struct bdev_queue *queue, struct job *job)
{
	job_execute(file, job);
	for (size_t i = 0; i < job->n; i++)
		queue_complete(queue, job->members[i], job->members[i]->outcome,
			       job->members[i]->error);
	job_free(job);
}

/* The kernel does it, if it lets us; once on a queue, always. */
static bool queue_uses_uring(struct file_queue *queue)
{
	if (!queue->uring && !queue->no_uring && !queue->running)
		queue->no_uring = !uring_start(queue);
	return queue->uring;
}

static void file_submit(struct bdev_queue *base, struct bdev_request *requests[], size_t count)
{
	struct file_queue *queue = (struct file_queue *)base;
	struct file *file = (struct file *)base->dev;
	size_t n_jobs;
	struct job *jobs;

	if (count == 1 && queue_is_empty(file, queue)) {
		execute_here(file, base, requests, count);
		return;
	}
	jobs = jobs_of(requests, count, &n_jobs);
	if (!jobs) {
		execute_here(file, base, requests, count);
	} else if (n_jobs == 1 && queue_is_empty(file, queue)) {
		job_here(file, base, jobs);
	} else if (queue_uses_uring(queue)) {
		uring_submit(file, queue, jobs);
	} else if (!pool_submit(file, queue, jobs, n_jobs)) {
		execute_here(file, base, requests, count);
		jobs_free(jobs);
	}
}

static size_t file_wait(struct bdev_queue *base, struct bdev_request *done[], size_t max,
			size_t min)
{
	struct file_queue *queue = (struct file_queue *)base;
	struct file *file = (struct file *)base->dev;
	size_t taken = 0;

	if (queue->uring)
		uring_wait(file, queue, min);
	else
		pool_wait(file, queue, min);
	pthread_mutex_lock(&file->mutex);
	while (taken < max && queue->done) {
		done[taken] = queue->done;
		queue->done = queue->done->next;
		done[taken++]->next = NULL;
	}
	if (!queue->done)
		queue->done_end = &queue->done;
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
	snprintf(info->engine, sizeof(info->engine), file->use_uring ? "io_uring" : "threads");
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

	pool_stop(file);
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
	file->use_uring = !(flags & BDEV_OPEN_THREADS) && uring_is_there();
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
