/* SPDX-License-Identifier: MIT */
/*
 * The threads that read the kernel's requests and serve them.
 *
 * A round trip costs mostly the waking of threads, so as few as possible wait
 * on the kernel's queue:
 *
 *  (1) A member with a seat reads requests.  There is always a seat taken, or a
 *      member called to take one; an idle mount has one, the others sleep.
 *  (2) A member keeps its seat while it serves what is usually quick.  Before
 *      what is usually slow (by the times each kind has taken here) it leaves its
 *      seat to another.  Slow is what sleeps: who works needs a processor, and a
 *      second member would need it, too.
 *  (3) Nobody is kept waiting by a mistake in that: the watch takes the seat of
 *      a member that has not come back after WATCH_MS.
 *  (4) While requests of several clients are always there already when a member asks,
 *      members are added, up to one per processor; who finds nothing to do gives his
 *      seat up.
 *  (5) Before it sleeps a member may look for a while (spin), for as long as
 *      that has been worth it; not on the processor of its client, who needs it to ask.
 */
#ifndef FUSE_BRIDGE_CREW_H
#define FUSE_BRIDGE_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew;
struct fuse_in_header;

struct crew_policy {
	unsigned threads; /* at most so many */
	unsigned seats;   /* so many read at once; 0 = as many as it takes (4) */
	unsigned spin_us; /* look so long before sleeping */
	bool follow;      /* stay on the processor of a lone client */
};

/* Serves one request of `size` bytes; the bytes may be changed. */
typedef void crew_serve(void *arg, struct fuse_in_header *request, size_t size);

/* -ENOMEM, -errno */
int crew_create(int fd, size_t buffer_size, const struct crew_policy *policy, crew_serve *serve,
		void *arg, struct crew **out);
/* Serve until the kernel or crew_stop() ends it.  0, or what reading failed with. */
int crew_run(struct crew *crew);
/* From any thread, at any time. */
void crew_stop(struct crew *crew);
void crew_destroy(struct crew *crew);

#endif
