/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "writers.h"

struct writer {
	struct writer *next;
	uint64_t node, handles;
};

void writers_init(struct writers *writers)
{
	*writers = (struct writers){ .buckets = { NULL } };
	pthread_mutex_init(&writers->lock, NULL);
}

/* What is still open when a mount is cut off. */
void writers_fini(struct writers *writers)
{
	for (unsigned i = 0; i < WRITERS_BUCKETS; i++) {
		while (writers->buckets[i]) {
			struct writer *writer = writers->buckets[i];

			writers->buckets[i] = writer->next;
			free(writer);
		}
	}
	pthread_mutex_destroy(&writers->lock);
}

/* Where the entry of `node` hangs, or would. */
static struct writer **find(struct writers *writers, uint64_t node)
{
	uint64_t hash = node * UINT64_C(0x9e3779b97f4a7c15);
	struct writer **at = &writers->buckets[hash >> 56];

	while (*at && (*at)->node != node)
		at = &(*at)->next;
	return at;
}

int writers_add(struct writers *writers, uint64_t node)
{
	struct writer **at;
	int err = 0;

	pthread_mutex_lock(&writers->lock);
	at = find(writers, node);
	if (!*at)
		*at = calloc(1, sizeof(**at));
	if (*at) {
		(*at)->node = node;
		(*at)->handles++;
	} else {
		err = -ENOMEM;
	}
	pthread_mutex_unlock(&writers->lock);
	return err;
}

void writers_drop(struct writers *writers, uint64_t node)
{
	struct writer **at, *writer;

	pthread_mutex_lock(&writers->lock);
	at = find(writers, node);
	writer = *at;
	if (writer && --writer->handles == 0) {
		*at = writer->next;
		free(writer);
	}
	pthread_mutex_unlock(&writers->lock);
}

bool writers_any(struct writers *writers, uint64_t node)
{
	bool any;

	pthread_mutex_lock(&writers->lock);
	any = *find(writers, node) != NULL;
	pthread_mutex_unlock(&writers->lock);
	return any;
}
