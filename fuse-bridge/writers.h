/* SPDX-License-Identifier: MIT */
/*
 * Which files are open for writing.
 *
 * Pages dirtied through a mapping are the kernel's secret until it writes them
 * back, at the latest when the last writable handle goes.  While there is one, the
 * LibFS must not be asked where the holes are.
 */
#ifndef FUSE_BRIDGE_WRITERS_H
#define FUSE_BRIDGE_WRITERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WRITERS_BUCKETS 256u

struct writers {
	pthread_mutex_t lock;
	struct writer *buckets[WRITERS_BUCKETS];
};

void writers_init(struct writers *writers);
void writers_fini(struct writers *writers);
/* One handle more, one less.  -ENOMEM */
int writers_add(struct writers *writers, uint64_t node);
void writers_drop(struct writers *writers, uint64_t node);
bool writers_any(struct writers *writers, uint64_t node);

#endif
