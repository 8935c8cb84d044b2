/* SPDX-License-Identifier: MIT */
/*
 * See xcp.h.
 */
#include "xcp.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define JOBS_MAX 2048u
#define THREADS  3u
#define PIECE    (1u << 20)
#define LARGE    (256u << 10) /* small ones find their place by being written */

struct xcp {
	struct side *from, *to;
	xcp_done *done;
	void *arg;
	struct xcp_job *jobs;
	size_t count;
	atomic_size_t next; /* job that nobody has taken */
	atomic_bool full;   /* the destination refuses: what is left would fail too */
};

int xcp_create(struct side *from, struct side *to, xcp_done *done, void *arg, struct xcp **out)
{
	struct xcp *xcp = calloc(1, sizeof(*xcp));

	if (!xcp)
		return -ENOMEM;
	xcp->from = from;
	xcp->to = to;
	xcp->done = done;
	xcp->arg = arg;
	xcp->jobs = calloc(JOBS_MAX, sizeof(*xcp->jobs));
	if (!xcp->jobs) {
		free(xcp);
		return -ENOMEM;
	}
	*out = xcp;
	return 0;
}

/* ---- one file ---- */

/* Through memory, for what is not inside one root. */
static ssize_t move_through(struct xcp *xcp, struct xcp_job *job, char *piece, uint64_t start,
			    size_t len)
{
	ssize_t got = xcp->from->ops->read(xcp->from, &job->from, start, piece, len);
	ssize_t done = 0;

	job->from_failed = got < 0;
	while (done < got) {
		ssize_t put = xcp->to->ops->write(xcp->to, &job->to, start + (uint64_t)done,
						  piece + done, (size_t)(got - done));

		if (put <= 0)
			return put ? put : -ENOSPC;
		done += put;
	}
	return got;
}

static ssize_t move_piece(struct xcp *xcp, struct xcp_job *job, char *piece, uint64_t start,
			  size_t len)
{
	if (job->from.fs != job->to.fs)
		return move_through(xcp, job, piece, start, len);
	return libfs_copy_range(job->to.fs, image_ctx(xcp->to->image), job->from.id, start,
				job->to.id, start, len);
}

static int move_range(struct xcp *xcp, struct xcp_job *job, char *piece, uint64_t start,
		      uint64_t end)
{
	while (start < end) {
		size_t len = end - start < PIECE ? (size_t)(end - start) : PIECE;
		ssize_t n = xcp->full ? -ENOSPC : move_piece(xcp, job, piece, start, len);

		if (n < 0)
			return (int)n;
		if (n == 0) /* it became shorter meanwhile */
			return 0;
		start += (uint64_t)n;
		job->bytes += (uint64_t)n;
	}
	return 0;
}

/* The next stretch of data at or behind `offset`; false when only a hole is left. */
static bool next_data(struct xcp *xcp, struct xcp_job *job, uint64_t offset, uint64_t *start,
		      uint64_t *end)
{
	off_t data, hole;

	if (offset >= job->size)
		return false;
	data = xcp->from->ops->seek(xcp->from, &job->from, offset, SEEK_DATA);
	*start = data >= 0 ? (uint64_t)data : offset;
	*end = job->size;
	if (data == -ENXIO || *start >= job->size)
		return false;
	if (data < 0) /* it cannot tell: all is data */
		return true;
	hole = xcp->from->ops->seek(xcp->from, &job->from, *start, SEEK_HOLE);
	if (hole > (off_t)*start && (uint64_t)hole < job->size)
		*end = (uint64_t)hole;
	return true;
}

static int move_data(struct xcp *xcp, struct xcp_job *job, char *piece)
{
	uint64_t offset = 0, start, end;
	int err = 0;

	while (!err && next_data(xcp, job, offset, &start, &end)) {
		err = move_range(xcp, job, piece, start, end);
		offset = end;
	}
	return err;
}

static bool is_full(int err)
{
	int number = xn_errno(err);

	return number == ENOSPC || number == EDQUOT || number == EROFS || number == EIO;
}

static void move_job(struct xcp *xcp, struct xcp_job *job, char *piece)
{
	job->error = move_data(xcp, job, piece);
	if (!job->error)
		job->error = xcp->to->ops->set_size(xcp->to, &job->to, job->size);
	if (!job->error)
		job->error = xcp->to->ops->set_file_attr(xcp->to, &job->to, &job->attr, job->which);
	if (job->error && !job->from_failed && is_full(job->error))
		xcp->full = true;
}

/* ---- all of them ---- */

static void *mover_main(void *arg)
{
	struct xcp *xcp = arg;
	char *piece = malloc(PIECE);
	size_t at;

	while ((at = atomic_fetch_add(&xcp->next, 1)) < xcp->count) {
		if (piece)
			move_job(xcp, &xcp->jobs[at], piece);
		else
			xcp->jobs[at].error = -ENOMEM;
	}
	free(piece);
	return NULL;
}

static int by_place(const void *left, const void *right)
{
	const struct xcp_job *a = left, *b = right;

	return (a->place > b->place) - (a->place < b->place);
}

/* In what order: where the bytes begin; what has none on the disk comes last. */
static void find_place(struct xcp_job *job)
{
	struct libfs_extent first;
	ssize_t n = libfs_extents(job->from.fs, job->from.id, 0, job->size, &first, 1);

	job->place = n == 1 ? first.place : LIBFS_NOWHERE;
}

/* All space at once, in the order of the source; who cannot, finds it by writing. */
static void find_space(struct xcp *xcp, struct xcp_job *job)
{
	uint64_t start, end;

	if (job->size < LARGE || !next_data(xcp, job, 0, &start, &end) || start || end < job->size)
		return;
	libfs_fallocate(job->to.fs, image_ctx(xcp->to->image), job->to.id, 0, 0, job->size);
}

static void job_end(struct xcp *xcp, struct xcp_job *job)
{
	xcp->done(xcp->arg, job);
	xcp->from->ops->close_file(xcp->from, &job->from);
	xcp->to->ops->close_file(xcp->to, &job->to);
	free(job->from_path);
	free(job->to_path);
}

void xcp_flush(struct xcp *xcp)
{
	pthread_t threads[THREADS - 1];
	unsigned started = 0;

	for (size_t i = 0; i < xcp->count; i++)
		find_place(&xcp->jobs[i]);
	qsort(xcp->jobs, xcp->count, sizeof(*xcp->jobs), by_place);
	for (size_t i = 0; i < xcp->count; i++)
		find_space(xcp, &xcp->jobs[i]);
	xcp->next = 0;
	xcp->full = false;
	while (started + 1 < THREADS && started + 1 < xcp->count &&
	       pthread_create(&threads[started], NULL, mover_main, xcp) == 0)
		started++;
	mover_main(xcp);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	for (size_t i = 0; i < xcp->count; i++)
		job_end(xcp, &xcp->jobs[i]);
	xcp->count = 0;
}

void xcp_add(struct xcp *xcp, const struct xcp_job *job)
{
	xcp->jobs[xcp->count++] = *job;
	if (xcp->count == JOBS_MAX)
		xcp_flush(xcp);
}

void xcp_destroy(struct xcp *xcp)
{
	xcp_flush(xcp);
	free(xcp->jobs);
	free(xcp);
}
