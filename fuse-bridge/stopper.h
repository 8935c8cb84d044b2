/* SPDX-License-Identifier: MIT */
/*
 * Ending by SIGTERM, SIGINT or SIGHUP without losing what the kernel caches.
 *
 * A thread waits for the signals, while others keep serving:
 *  (1) dirty pages are pushed out (syncfs), then the mount is detached, so that
 *      nobody new comes in;
 *  (2) when the last user leaves, the kernel ends the session, as with umount;
 *  (3) who does not leave within a while, or after a second signal, is cut off:
 *      the session is ended from here.
 */
#ifndef FUSE_BRIDGE_STOPPER_H
#define FUSE_BRIDGE_STOPPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "daemon.h"
#include "mounts.h"

struct crew;
struct seeker;

struct stopper {
	pthread_t thread;
	struct crew *crew;
	struct seeker *seeker;
	const struct daemon *daemon;
	struct mount_entry mount; /* ours, as it was made */
	atomic_bool served;       /* the session has ended */
	bool cut;                 /* by us, with the mount detached already */
};

/* In the main thread, before any other exists: signals wait for the stopper. */
void stopper_block_signals(void);
/* `dir` as in mounts_find(). */
int stopper_start(struct stopper *stopper, struct crew *crew, struct seeker *seeker,
		  const char *dir, const struct daemon *daemon);
/* After the session has ended. */
void stopper_stop(struct stopper *stopper);

#endif
