/* SPDX-License-Identifier: MIT */
/*
 * Jobs done by the kernel, through io_uring.
 *
 *  (1) A ring belongs to one queue, and so to one thread at a time: no lock.
 *  (2) No more jobs are in the ring than it has places; further ones wait for the
 *      first to end.
 *  (3) What the kernel does in part or not at all is done again by file_io.c, which
 *      knows how to go on: writing the same bytes twice is writing them once.
 *  (4) Discards and the like, which the kernel would hand to a thread anyway, are done
 *      in the caller's.
 */
#include "file.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#define RING_JOBS 128u

struct uring {
	struct io_uring ring;
	unsigned in_ring;
};

bool uring_is_there(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0))
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

bool uring_start(struct file_queue *queue)
{
	struct uring *uring = calloc(1, sizeof(*uring));

	if (!uring || io_uring_queue_init(RING_JOBS, &uring->ring, 0)) {
		free(uring);
		return false;
	}
	queue->uring = uring;
	return true;
}

/* ---- jobs come back ---- */

static void job_done(struct file_queue *queue, struct job *job)
{
	for (size_t i = 0; i < job->n; i++)
		list_push(&queue->done_end, job->members[i]);
	queue->running -= job->n;
	job_free(job);
}

static void job_result(struct file *file, struct job *job, int result)
{
	struct bdev_request *request = &job->request;

	if (request->op == BDEV_FLUSH) {
		flush_outcome(file, job->members[0], result < 0 ? result : 0);
		return;
	}
	if (result < 0 || (uint64_t)result != request->len) {
		job_execute(file, job);
		return;
	}
	if (request->op == BDEV_READ && job->bounce)
		iov_scatter(request->iov, job->bounce, request->len);
	for (size_t i = 0; i < job->n; i++) {
		job->members[i]->outcome = BDEV_DONE;
		job->members[i]->error = 0;
	}
}

/* Take what has ended; with `wait`, until at least one has. */
static void ring_reap(struct file *file, struct file_queue *queue, bool wait)
{
	struct uring *uring = queue->uring;
	struct io_uring_cqe *cqe;

	while (uring->in_ring) {
		int err = wait ? io_uring_wait_cqe(&uring->ring, &cqe)
			       : io_uring_peek_cqe(&uring->ring, &cqe);
		struct job *job;
		int result;

		if (err == -EINTR)
			continue;
		if (err)
			return;
		job = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&uring->ring, cqe);
		uring->in_ring--;
		wait = false;
		job_result(file, job, result);
		job_done(queue, job);
	}
}

/* ---- and go in ---- */

static int job_bounce(struct job *job)
{
	const struct bdev_request *request = &job->request;

	if (posix_memalign(&job->bounce, DIRECT_ALIGN, request->len))
		return -ENOMEM;
	if (request->op == BDEV_WRITE)
		iov_gather(job->bounce, request->iov, request->len);
	job->bounce_iov = (struct iovec){ job->bounce, request->len };
	return 0;
}

/* Is it one for the kernel?  Then prepare it. */
static bool job_prepare(struct file *file, struct job *job, struct io_uring_sqe *sqe)
{
	const struct bdev_request *request = &job->request;
	const struct iovec *iov = request->iov;
	unsigned count = (unsigned)request->iov_count;
	bool copy;
	int fd;

	if (request->op == BDEV_FLUSH) {
		io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
		return true;
	}
	fd = request_fd(file, request, &copy);
	if (copy && job_bounce(job))
		return false;
	if (copy) {
		iov = &job->bounce_iov;
		count = 1;
	}
	if (request->op == BDEV_READ)
		io_uring_prep_readv(sqe, fd, iov, count, request->offset);
	else
		io_uring_prep_writev2(sqe, fd, iov, count, request->offset,
				      request->flags & BDEV_FUA ? RWF_DSYNC : 0);
	return true;
}

static bool job_is_for_ring(const struct file *file, const struct job *job)
{
	switch (job->request.op) {
	case BDEV_FLUSH: return file->writable && !atomic_load(&file->flush_lost);
	case BDEV_READ:
	case BDEV_WRITE: return job->request.iov_count <= 1024;
	default: return false;
	}
}

static void ring_submit(struct uring *uring)
{
	int err;

	do {
		err = io_uring_submit(&uring->ring);
	} while (err == -EINTR || err == -EAGAIN || err == -EBUSY);
	assert(err >= 0);
}

static void job_start(struct file *file, struct file_queue *queue, struct job *job)
{
	struct uring *uring = queue->uring;
	struct io_uring_sqe *sqe;

	while (uring->in_ring >= RING_JOBS) {
		ring_submit(uring);
		ring_reap(file, queue, true);
	}
	sqe = job_is_for_ring(file, job) ? io_uring_get_sqe(&uring->ring) : NULL;
	if (!sqe) {
		job_execute(file, job);
		job_done(queue, job);
		return;
	}
	if (!job_prepare(file, job, sqe))
		io_uring_prep_nop(
			sqe); /* no memory for a copy: it moves nothing, and is done again */
	io_uring_sqe_set_data(sqe, job);
	uring->in_ring++;
}

void uring_submit(struct file *file, struct file_queue *queue, struct job *jobs)
{
	struct job *job;

	for (job = jobs; job; job = job->next)
		queue->running += job->n;
	while ((job = jobs)) {
		jobs = job->next;
		job_start(file, queue, job);
	}
	ring_submit(queue->uring);
}

void uring_wait(struct file *file, struct file_queue *queue, size_t min)
{
	ring_reap(file, queue, false);
	for (;;) {
		const struct bdev_request *request = queue->done;
		size_t have = 0;

		for (; request && have < min; request = request->next)
			have++;
		if (have >= min)
			return;
		assert(queue->running); /* the caller waits for more than is in flight */
		ring_reap(file, queue, true);
	}
}

void uring_stop(struct file *file, struct file_queue *queue)
{
	if (!queue->uring)
		return;
	while (queue->uring->in_ring)
		ring_reap(file, queue, true);
	io_uring_queue_exit(&queue->uring->ring);
	free(queue->uring);
	queue->uring = NULL;
}
