/* SPDX-License-Identifier: MIT */
/* Where liburing was not found: the threads do it. */
#include "file.h"

#include <assert.h>

bool uring_is_there(void)
{
	return false;
}

bool uring_start(struct file_queue *queue)
{
	(void)queue;
	return false;
}

void uring_submit(struct file *file, struct file_queue *queue, struct job *jobs)
{
	(void)file, (void)queue, (void)jobs;
	assert(!"a queue without a ring");
}

void uring_wait(struct file *file, struct file_queue *queue, size_t min)
{
	(void)file, (void)queue, (void)min;
	assert(!"a queue without a ring");
}

void uring_stop(struct file *file, struct file_queue *queue)
{
	(void)file, (void)queue;
}
