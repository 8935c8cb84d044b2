/* SPDX-License-Identifier: MIT */
/*
 * The recorder's list, for recorder.c, which fills it, and recorder_file.c, which keeps it in files.
 */
#ifndef XN_DEVICES_RECORDER_H
#define XN_DEVICES_RECORDER_H

#include <pthread.h>

#include "device.h"

struct entry {
	struct bdev_event event;
	uint8_t *bytes;
	bool done;          /* the request was DONE */
	uint64_t done_tick; /* and this is when */
};

struct recorder {
	struct stacked stacked;
	pthread_mutex_t mutex;
	struct entry *entries;
	size_t count, room;
	size_t unstable; /* all before this one are stable, or are marks and flushes */
	uint64_t tick;   /* counts submissions of flushes and completions */
	uint64_t reset_count;
	struct bdev_counts counts;
	int file; /* where events go, too; -1: nowhere */
};

/* Mutex held. */
struct entry *recorder_add(struct recorder *recorder);

/*
 * Append the newest event, which is the `index`-th, to the file, if there is one.  What cannot be
 * kept is nowhere in the file.  -errno
 */
int recorder_keep(struct recorder *recorder, size_t index);
void recorder_file_close(struct recorder *recorder);

#endif
