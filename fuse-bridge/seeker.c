/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge.h"

struct question {
	struct question *next;
	fuse_req_t req;
	fuse_ino_t node;
	off_t off;
	int whence;
};

struct seeker {
	struct bridge *bridge;
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct question *first, **end;
	struct question drop; /* not a question: no request */
	bool drop_wanted;
	_Atomic bool stop;
	bool joined;
};

#define DROP_BATCH 16u
#define DROP_PAUSE 256u   /* names, until the kernel's answers are waited for a moment */
#define DROP_MAX   65536u /* what is in use is asked for in vain: no more at a time */

/* Names that a LibFS would rather forget go from the kernel's memory, if nobody uses them. */
static void drop_names(struct seeker *seeker, unsigned root)
{
	struct bridge *bridge = seeker->bridge;
	unsigned slot = bridge->many ? root + 1 : 0;
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct libfs_surplus names[DROP_BATCH];
	fuse_ino_t dir;

	for (unsigned done = 0; done < DROP_MAX && !seeker->stop;) {
		ssize_t n = libfs_surplus(bridge->roots[root].fs, names, DROP_BATCH);

		for (ssize_t i = 0; i < n; i++)
			if (node_encode(slot, names[i].dir, &dir))
				fuse_lowlevel_notify_inval_entry(
					seeker->session, dir, names[i].name, strlen(names[i].name));
		if (n <= 0)
			break;
		done += (unsigned)n;
		if (done % DROP_PAUSE < (unsigned)n)
			nanosleep(&moment, NULL);
	}
}

static void answer(struct seeker *seeker, const struct question *question)
{
	struct call call;
	off_t found;

	/* Gone from the kernel's memory: then there is nothing that it holds back. */
	fuse_lowlevel_notify_inval_inode(seeker->session, question->node, question->off, 0);
	if (!call_begin(&call, question->req, question->node))
		return;
	found = libfs_seek(call.fs, &call.who.libfs, call.ino, (uint64_t)question->off,
			   question->whence);
	if (found < 0)
		reply_err(&call, (int)found);
	else
		fuse_reply_lseek(question->req, found);
}

/* The next question; NULL = stop. */
static struct question *next_question(struct seeker *seeker)
{
	struct question *question;

	pthread_mutex_lock(&seeker->lock);
	while (!seeker->first && !seeker->drop_wanted && !seeker->stop)
		pthread_cond_wait(&seeker->asked, &seeker->lock);
	question = seeker->stop ? NULL : seeker->first ? seeker->first : &seeker->drop;
	if (question == &seeker->drop) {
		seeker->drop_wanted = false;
	} else if (question) {
		seeker->first = question->next;
		if (!seeker->first)
			seeker->end = &seeker->first;
	}
	pthread_mutex_unlock(&seeker->lock);
	return question;
}

static void *seeker_main(void *arg)
{
	struct seeker *seeker = arg;
	struct question *question;

	while ((question = next_question(seeker))) {
		if (question == &seeker->drop) {
			for (unsigned i = 0; i < seeker->bridge->n_roots; i++)
				drop_names(seeker, i);
			continue;
		}
		answer(seeker, question);
		free(question);
	}
	return NULL;
}

int seeker_start(struct bridge *bridge, struct fuse_session *session, struct seeker **out)
{
	struct seeker *seeker = calloc(1, sizeof(*seeker));
	int err;

	if (!seeker)
		return -ENOMEM;
	seeker->bridge = bridge;
	seeker->session = session;
	seeker->end = &seeker->first;
	pthread_mutex_init(&seeker->lock, NULL);
	pthread_cond_init(&seeker->asked, NULL);
	err = -pthread_create(&seeker->thread, NULL, seeker_main, seeker);
	if (err) {
		free(seeker);
		return err;
	}
	*out = seeker;
	return 0;
}

void seeker_ask(struct seeker *seeker, fuse_req_t req, fuse_ino_t node, off_t off, int whence)
{
	struct question *question = malloc(sizeof(*question));
	bool refused;

	if (!question) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*question = (struct question){ .req = req, .node = node, .off = off, .whence = whence };
	pthread_mutex_lock(&seeker->lock);
	refused = seeker->stop;
	if (!refused) {
		*seeker->end = question;
		seeker->end = &question->next;
		pthread_cond_signal(&seeker->asked);
	}
	pthread_mutex_unlock(&seeker->lock);
	if (!refused)
		return;
	fuse_reply_err(req, EIO);
	free(question);
}

/* Without an offset no page is waited for. */
void seeker_attr_changed(struct seeker *seeker, uint64_t node)
{
	fuse_lowlevel_notify_inval_inode(seeker->session, node, -1, 0);
}

void seeker_drop(struct seeker *seeker)
{
	pthread_mutex_lock(&seeker->lock);
	seeker->drop_wanted = true;
	pthread_cond_signal(&seeker->asked);
	pthread_mutex_unlock(&seeker->lock);
}

void seeker_stop(struct seeker *seeker)
{
	pthread_mutex_lock(&seeker->lock);
	seeker->stop = true;
	pthread_cond_signal(&seeker->asked);
	pthread_mutex_unlock(&seeker->lock);
	if (!seeker->joined)
		pthread_join(seeker->thread, NULL);
	seeker->joined = true;
}

void seeker_destroy(struct seeker *seeker)
{
	seeker_stop(seeker);
	while (seeker->first) {
		struct question *question = seeker->first;

		seeker->first = question->next;
		fuse_reply_err(question->req, EIO);
		free(question);
	}
	pthread_cond_destroy(&seeker->asked);
	pthread_mutex_destroy(&seeker->lock);
	free(seeker);
}
