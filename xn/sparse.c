/* SPDX-License-Identifier: MIT */
/*
 * Sparse tables: pointers by index, where most indexes have none.
 *
 *  (1) Memory grows with the places used, never with the size of the table.
 *  (2) A place may bear a mark; a node all of whose places are marked is skipped
 *      as one, so the next place without a mark is found in a few steps.
 *  (3) The tree is at most eight levels high, and nothing here recurses.
 */
#include "sparse.h"

#include <stdlib.h>

#define FANOUT 256u
#define WORDS  (FANOUT / 64u)

struct sparse_node {
	void *slot[FANOUT]; /* nodes, or on the lowest level what the table holds */
	uint64_t mark[WORDS];
};

static unsigned digit(uint64_t index, unsigned level)
{
	return (unsigned)(index >> (8 * level)) % FANOUT;
}

static bool all_marked(const struct sparse_node *node)
{
	uint64_t all = ~0ull;

	for (unsigned i = 0; i < WORDS; i++)
		all &= node->mark[i];
	return all == ~0ull;
}

void sparse_init(struct sparse *table, uint64_t size)
{
	*table = (struct sparse){ .size = size, .height = 1 };
	while (table->height < 8 && (size - 1) >> (8 * table->height))
		table->height++;
}

/* More places: what was the whole becomes the first part of it. */
int sparse_grow(struct sparse *table, uint64_t size)
{
	struct sparse larger;

	sparse_init(&larger, size);
	while (table->top && table->height < larger.height) {
		struct sparse_node *top = calloc(1, sizeof(*top));

		if (!top)
			return -1;
		top->slot[0] = table->top;
		top->mark[0] = all_marked(table->top);
		table->top = top;
		table->height++;
	}
	if (!table->top)
		table->height = larger.height;
	table->size = size;
	return 0;
}

void *sparse_get(const struct sparse *table, uint64_t index)
{
	const struct sparse_node *node = table->top;

	if (index >= table->size)
		return NULL;
	for (unsigned level = table->height - 1; node && level > 0; level--)
		node = node->slot[digit(index, level)];
	return node ? node->slot[digit(index, 0)] : NULL;
}

int sparse_put(struct sparse *table, uint64_t index, void *value)
{
	struct sparse_node **at = &table->top;

	for (unsigned level = table->height; level > 0; level--) {
		if (!*at)
			*at = calloc(1, sizeof(**at));
		if (!*at)
			return -1;
		if (level == 1)
			(*at)->slot[digit(index, 0)] = value;
		else
			at = (struct sparse_node **)&(*at)->slot[digit(index, level - 1)];
	}
	return 0;
}

/* A node's own mark stands in the node above, so a change may climb. */
void sparse_mark(struct sparse *table, uint64_t index, bool marked)
{
	struct sparse_node *path[8] = { NULL }, *node = table->top;

	for (unsigned level = table->height; level > 0 && node; level--) {
		path[level - 1] = node;
		node = level > 1 ? node->slot[digit(index, level - 1)] : NULL;
	}
	for (unsigned level = 0; level < table->height && path[level]; level++) {
		unsigned i = digit(index, level);

		if (marked)
			path[level]->mark[i / 64] |= 1ull << (i % 64);
		else
			path[level]->mark[i / 64] &= ~(1ull << (i % 64));
		if (marked && !all_marked(path[level]))
			return;
	}
}

/* The first index at or after `from` that is in use, or else that is not marked. */
static uint64_t find_next(const struct sparse *table, uint64_t from, bool used)
{
	while (from < table->size) {
		const struct sparse_node *node = table->top;
		unsigned level = table->height - 1;

		for (;; level--) {
			unsigned i = digit(from, level);
			bool skip = used ? !node || !node->slot[i]
					 : node && (node->mark[i / 64] >> (i % 64) & 1);

			if (skip)
				break;
			if (!node || level == 0 || !node->slot[i])
				return from;
			node = node->slot[i];
		}
		if (used && !node)
			return table->size; /* nothing is in it at all */
		from = ((from >> (8 * level)) + 1) << (8 * level);
	}
	return table->size;
}

uint64_t sparse_next(const struct sparse *table, uint64_t from)
{
	return find_next(table, from, true);
}

uint64_t sparse_next_unmarked(const struct sparse *table, uint64_t from)
{
	return table->top ? find_next(table, from, false) : from < table->size ? from : table->size;
}

/* The next node below, if there is one more. */
static struct sparse_node *below(const struct sparse_node *node, unsigned *at)
{
	while (*at < FANOUT && !node->slot[*at])
		++*at;
	return *at < FANOUT ? node->slot[(*at)++] : NULL;
}

/* The lowest nodes first: down as long as there is something below, else free and up. */
void sparse_fini(struct sparse *table)
{
	struct sparse_node *path[8] = { NULL };
	unsigned at[8] = { 0 };
	unsigned level = table->height - 1;

	if (!table->top)
		return;
	path[level] = table->top;
	while (level < table->height) {
		struct sparse_node *node = path[level];
		struct sparse_node *next = level > 0 ? below(node, &at[level]) : NULL;

		if (next) {
			path[--level] = next;
			at[level] = 0;
		} else {
			free(node);
			level++;
		}
	}
	table->top = NULL;
}
