/* SPDX-License-Identifier: MIT */
/*
 * Jobs done by a few threads, started when first needed, so that they overlap.  Works
 * on every host.
 *
 *  (1) Queues with work take turns.
 *  (2) One mutex guards the lists of a device and of all its queues; it is not held
 *      during I/O.
 */
#include "file.h"

#include <assert.h>
#include <stdlib.h>

static struct job *job_pop(struct file_queue *queue)
{
	struct job *job = queue->waiting;

	queue->waiting = job->next;
	if (!queue->waiting)
		queue->waiting_end = &queue->waiting;
	return job;
}

/* Mutex held. */
static void due_push(struct file *file, struct file_queue *queue)
{
	queue->next_due = NULL;
	*file->due_end = queue;
	file->due_end = &queue->next_due;
}

/* Mutex held: take the next job of the next queue, which goes to the end of the line. */
static struct job *due_pop(struct file *file, struct file_queue **owner)
{
	struct file_queue *queue = file->due;
	struct job *job;

	if (!queue)
		return NULL;
	file->due = queue->next_due;
	if (!file->due)
		file->due_end = &file->due;
	job = job_pop(queue);
	if (queue->waiting)
		due_push(file, queue);
	*owner = queue;
	return job;
}

/* Mutex held. */
static void job_end(struct file_queue *queue, struct job *job)
{
	for (size_t i = 0; i < job->n; i++)
		list_push(&queue->done_end, job->members[i]);
	queue->running -= job->n;
	job_free(job);
	pthread_cond_signal(&queue->changed);
}

static void *worker_main(void *arg)
{
	struct file *file = arg;
	struct file_queue *queue;
	struct job *job;

	pthread_mutex_lock(&file->mutex);
	for (;;) {
		while (!(job = due_pop(file, &queue)) && !file->stopping) {
			file->idle++;
			pthread_cond_wait(&file->work, &file->mutex);
			file->idle--;
		}
		if (!job)
			break;
		pthread_mutex_unlock(&file->mutex);
		job_execute(file, job);
		pthread_mutex_lock(&file->mutex);
		job_end(queue, job);
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

void pool_stop(struct file *file)
{
	pthread_mutex_lock(&file->mutex);
	file->stopping = true;
	pthread_cond_broadcast(&file->work);
	pthread_mutex_unlock(&file->mutex);
	for (int i = 0; i < file->workers; i++)
		pthread_join(file->threads[i], NULL);
}

bool pool_submit(struct file *file, struct file_queue *queue, struct job *jobs, size_t count)
{
	bool have_workers;

	pthread_mutex_lock(&file->mutex);
	have_workers = workers_wake(file, count);
	if (have_workers) {
		if (!queue->waiting)
			due_push(file, queue);
		*queue->waiting_end = jobs;
		while (*queue->waiting_end) {
			queue->running += (*queue->waiting_end)->n;
			queue->waiting_end = &(*queue->waiting_end)->next;
		}
	}
	pthread_mutex_unlock(&file->mutex);
	return have_workers;
}

void pool_wait(struct file *file, struct file_queue *queue, size_t min)
{
	size_t have = 0;

	pthread_mutex_lock(&file->mutex);
	for (;;) {
		const struct bdev_request *request = queue->done;

		for (have = 0; request && have < min; request = request->next)
			have++;
		if (have >= min)
			break;
		assert(queue->running); /* the caller waits for more than is in flight */
		pthread_cond_wait(&queue->changed, &file->mutex);
	}
	pthread_mutex_unlock(&file->mutex);
}

void pool_drain(struct file *file, struct file_queue *queue)
{
	pthread_mutex_lock(&file->mutex);
	while (queue->running)
		pthread_cond_wait(&queue->changed, &file->mutex);
	pthread_mutex_unlock(&file->mutex);
}
