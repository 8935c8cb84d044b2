/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is at the device, after the user-safe disk of Nemesis: by weight.
 *
 *  (1) Every root has a clock of its own (pass) that goes on by blocks / weight with
 *      what is read or written for it; whoever's clock is behind is next.  So roots
 *      that compete get blocks in proportion to their weights.
 *  (2) Who did not compete for a while has saved nothing up: its clock starts where
 *      the others' are.
 *  (3) Who is alone waits for nobody and is served in the largest pieces.
 *
 * This is for who comes first, not for what is right: order.c decides that.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

#define TURN_BLOCKS 64u /* written for a root before the others are looked at */

static uint64_t weight_of(const struct root *root)
{
	uint32_t weight = root->entry.weight;

	return weight == 0 ? 1 : weight > XN_WEIGHT_MAX ? XN_WEIGHT_MAX : weight;
}

/* It competes from here on. */
static void turn_enter(const struct xn *xn, struct root *root)
{
	if (root->pass < xn->turn_pass)
		root->pass = xn->turn_pass;
}

static void turn_take(struct xn *xn, struct root *root, uint64_t blocks)
{
	if (root->pass > xn->turn_pass)
		xn->turn_pass = root->pass;
	root->pass += blocks * XN_WEIGHT_MAX / weight_of(root);
}

static bool turn_before(const struct root *a, const struct root *b)
{
	return a->pass != b->pass ? a->pass < b->pass : a->slot < b->slot;
}

/* ---- writes: one wave, several roots ---- */

struct queue {
	struct root *root;
	struct entry **at;
	size_t left;
};

static int by_root(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	if ((*x)->root != (*y)->root)
		return (*x)->root->slot < (*y)->root->slot ? -1 : 1;
	return (*x)->start < (*y)->start ? -1 : (*x)->start > (*y)->start;
}

/* One queue for each root, in `queues` with room for as many as there are roots. */
static size_t queues_make(struct entry *entries[], size_t count, struct queue *queues)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (n == 0 || queues[n - 1].root != entries[i]->root)
			queues[n++] = (struct queue){ entries[i]->root, &entries[i], 0 };
		queues[n - 1].left++;
	}
	return n;
}

static struct queue *queue_next(struct queue *queues, size_t n)
{
	struct queue *next = NULL;

	for (size_t i = 0; i < n; i++) {
		if (queues[i].left && (!next || turn_before(queues[i].root, next->root)))
			next = &queues[i];
	}
	return next;
}

static int queue_serve(struct xn *xn, struct queue *queue)
{
	uint64_t blocks = 0;
	size_t n = 0;
	int err;

	while (n < queue->left && blocks < TURN_BLOCKS)
		blocks += queue->at[n++]->blocks;
	turn_take(xn, queue->root, blocks);
	err = wave_write(xn, queue->at, n);
	queue->at += n;
	queue->left -= n;
	return err;
}

/* Like wave_write(), in turns when the entries are several roots'. */
int turns_write(struct xn *xn, struct entry *entries[], size_t count)
{
	struct queue *queues, *next;
	size_t n;
	int err = 0;

	if (count == 0)
		return 0;
	qsort(entries, count, sizeof(*entries), by_root);
	if (entries[0]->root == entries[count - 1]->root)
		return wave_write(xn, entries, count);
	queues = calloc(xn->n_roots, sizeof(*queues));
	if (!queues)
		return -ENOMEM;
	n = queues_make(entries, count, queues);
	for (size_t i = 0; i < n; i++)
		turn_enter(xn, queues[i].root);
	while (!err && (next = queue_next(queues, n)) != NULL)
		err = queue_serve(xn, next);
	free(queues);
	return err;
}

/* ---- reads: so many at once, the others wait ---- */

static bool is_next(const struct xn *xn, const struct root *root)
{
	const struct root *other;

	LIST_FOREACH(other, &xn->read_waits, read_wait)
	{
		if (other != root && turn_before(other, root))
			return false;
	}
	return true;
}

/* Called with the lock, which may be dropped. */
void turn_read_begin(struct xn *xn, struct root *root, uint64_t blocks)
{
	if (root->n_read_waits++ == 0) {
		LIST_INSERT_HEAD(&xn->read_waits, root, read_wait);
		turn_enter(xn, root);
	}
	while (xn->n_reads >= xn->reads_max || !is_next(xn, root))
		pthread_cond_wait(&xn->changed, &xn->lock);
	if (--root->n_read_waits == 0)
		LIST_REMOVE(root, read_wait);
	xn->n_reads++;
	turn_take(xn, root, blocks);
	if (!LIST_EMPTY(&xn->read_waits))
		pthread_cond_broadcast(&xn->changed);
}

void turn_read_end(struct xn *xn)
{
	xn->n_reads--;
	if (!LIST_EMPTY(&xn->read_waits))
		pthread_cond_broadcast(&xn->changed);
}
