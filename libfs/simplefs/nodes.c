/* SPDX-License-Identifier: MIT */
/*
 * Which files the host still knows (references) or holds open.
 *
 *  (1) A file without a name is freed when its last use here ends.
 *  (2) A file with neither is not in the table: it costs no memory.
 *  (3) The table has its own lock, inside `lock` of the file system: lookups,
 *      which share that, take references too.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "simplefs.h"

#define BUCKETS_MIN 64u

struct sfs_node {
	struct sfs_node *next;
	uint32_t ino;
	uint64_t refs, opens;
	bool orphan; /* has no name any more: free it with the last use */
};

static struct sfs_node **bucket_of(struct sfs *fs, uint32_t ino)
{
	return &fs->nodes[(ino * 2654435761u) & (fs->n_buckets - 1)];
}

static struct sfs_node *node_find(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node = fs->n_buckets ? *bucket_of(fs, ino) : NULL;

	while (node && node->ino != ino)
		node = node->next;
	return node;
}

/* Twice the buckets; when there is no memory, the chains grow instead. */
static void table_grow(struct sfs *fs)
{
	size_t n = fs->n_buckets ? fs->n_buckets * 2 : BUCKETS_MIN;
	struct sfs_node **old = fs->nodes, **table = calloc(n, sizeof(struct sfs_node *));
	size_t n_old = fs->n_buckets;

	if (!table)
		return;
	fs->nodes = table;
	fs->n_buckets = n;
	for (size_t i = 0; i < n_old; i++)
		for (struct sfs_node *node = old[i], *next; node; node = next) {
			struct sfs_node **bucket = bucket_of(fs, node->ino);

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	free(old);
}

static struct sfs_node *node_find_or_create(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node = node_find(fs, ino), **bucket;

	if (node)
		return node;
	if (fs->n_nodes >= fs->n_buckets)
		table_grow(fs);
	if (!fs->n_buckets)
		return NULL;
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	bucket = bucket_of(fs, ino);
	node->ino = ino;
	node->next = *bucket;
	*bucket = node;
	fs->n_nodes++;
	return node;
}

/* Take a node without uses out of the table.  Returns whether its file must be freed now. */
static bool node_retire(struct sfs *fs, struct sfs_node *node)
{
	struct sfs_node **link = bucket_of(fs, node->ino);
	bool orphan = node->orphan;

	if (node->refs || node->opens)
		return false;
	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	fs->n_nodes--;
	free(node);
	return orphan;
}

int sfs_node_get(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node;

	pthread_mutex_lock(&fs->node_lock);
	node = node_find_or_create(fs, ino);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&fs->node_lock);
	return node ? 0 : -ENOMEM;
}

bool sfs_node_put(struct sfs *fs, uint32_t ino, uint64_t count)
{
	struct sfs_node *node;
	bool last = false;

	pthread_mutex_lock(&fs->node_lock);
	node = node_find(fs, ino);
	if (node) {
		node->refs -= count < node->refs ? count : node->refs;
		last = node_retire(fs, node);
	}
	pthread_mutex_unlock(&fs->node_lock);
	return last;
}

int sfs_node_open(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node;

	pthread_mutex_lock(&fs->node_lock);
	node = node_find_or_create(fs, ino);
	if (node)
		node->opens++;
	pthread_mutex_unlock(&fs->node_lock);
	return node ? 0 : -ENOMEM;
}

bool sfs_node_close(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node;
	bool last = false;

	pthread_mutex_lock(&fs->node_lock);
	node = node_find(fs, ino);
	if (node) {
		node->opens -= node->opens > 0;
		last = node_retire(fs, node);
	}
	pthread_mutex_unlock(&fs->node_lock);
	return last;
}

bool sfs_node_orphan(struct sfs *fs, uint32_t ino)
{
	struct sfs_node *node;

	pthread_mutex_lock(&fs->node_lock);
	node = node_find(fs, ino);
	if (node)
		node->orphan = true;
	pthread_mutex_unlock(&fs->node_lock);
	return node != NULL;
}

uint32_t sfs_node_pop_orphan(struct sfs *fs)
{
	for (size_t i = 0; i < fs->n_buckets; i++)
		for (struct sfs_node *node = fs->nodes[i]; node; node = node->next) {
			uint32_t ino = node->ino;

			if (!node->orphan)
				continue;
			node->refs = node->opens = 0;
			node_retire(fs, node);
			return ino;
		}
	return 0;
}

void sfs_nodes_free(struct sfs *fs)
{
	for (size_t i = 0; i < fs->n_buckets; i++)
		for (struct sfs_node *node = fs->nodes[i], *next; node; node = next) {
			next = node->next;
			free(node);
		}
	free(fs->nodes);
}
