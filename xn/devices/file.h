/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the file device share.
 *
 *   file.c         opening, locks, queues, requests put together into jobs
 *   file_io.c      one request, done now
 *   file_pool.c    jobs done by a few threads
 *   file_uring.c   jobs done by the kernel, through io_uring (file_nouring.c: without it)
 */
#ifndef XN_DEVICES_FILE_H
#define XN_DEVICES_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "device.h"

#define WORKERS_MAX  4
#define DIRECT_ALIGN 4096u

struct uring;

/* Neighbouring requests of one kind, done as one. */
struct job {
	struct job *next;
	struct bdev_request request; /* the whole of it */
	struct bdev_request **members;
	size_t n;
	void *bounce; /* an aligned copy, or NULL */
	struct iovec bounce_iov;
};

struct file_queue {
	struct bdev_queue queue;
	struct bdev_request *done, **done_end;
	size_t running; /* requests, not jobs */

	struct job *waiting, **waiting_end; /* for a worker */
	pthread_cond_t changed;             /* `done` grew, or `running` became 0 */
	struct file_queue *next_due;        /* among those with waiting jobs */

	struct uring *uring; /* made when first needed */
	bool no_uring;       /* it could not be */
};

struct file {
	struct bdev bdev;
	char *path;
	int fd, direct_fd, exclusive_fd; /* the last two may be -1 */
	bool writable, is_block, use_uring;
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

/* ---- file_io.c ---- */
void request_execute(struct file *file, struct bdev_request *request);
/* The job, and if it fails its members one by one: outcomes are in the members. */
void job_execute(struct file *file, struct job *job);
/* Which descriptor serves the request; `*copy`: only through aligned memory. */
int request_fd(const struct file *file, const struct bdev_request *request, bool *copy);
void flush_outcome(struct file *file, struct bdev_request *request, int error);

/* ---- file.c ---- */
void job_free(struct job *job);
void list_push(struct bdev_request ***end, struct bdev_request *request);

/* ---- file_pool.c; the queue's user calls ---- */
/* False: there is no thread to do it, and it was not taken. */
bool pool_submit(struct file *file, struct file_queue *queue, struct job *jobs, size_t count);
/* Until so many are on `done`. */
void pool_wait(struct file *file, struct file_queue *queue, size_t min);
void pool_drain(struct file *file, struct file_queue *queue);
void pool_stop(struct file *file);

/* ---- file_uring.c; the queue's user calls ---- */
bool uring_is_there(void);
bool uring_start(struct file_queue *queue); /* false: not for this queue */
void uring_submit(struct file *file, struct file_queue *queue, struct job *jobs);
void uring_wait(struct file *file, struct file_queue *queue, size_t min);
void uring_stop(struct file *file, struct file_queue *queue);

#endif
