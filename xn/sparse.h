/* SPDX-License-Identifier: MIT */
/* A table of pointers by index that takes memory only where something is. */
#ifndef XN_SPARSE_H
#define XN_SPARSE_H

#include <stdbool.h>
#include <stdint.h>

struct sparse_node;

struct sparse {
	struct sparse_node *top;
	unsigned height;
	uint64_t size; /* indexes are below it */
};

void sparse_init(struct sparse *table, uint64_t size); /* size > 0 */
int sparse_grow(struct sparse *table, uint64_t size);  /* -1: no memory */
void sparse_fini(struct sparse *table);                /* what it points at stays the caller's */
void *sparse_get(const struct sparse *table, uint64_t index);
int sparse_put(struct sparse *table, uint64_t index, void *value);   /* -1: no memory */
void sparse_mark(struct sparse *table, uint64_t index, bool marked); /* an index that was put */
/* The first index at or after `from` that has a pointer, or bears no mark; `size` if none. */
uint64_t sparse_next(const struct sparse *table, uint64_t from);
uint64_t sparse_next_unmarked(const struct sparse *table, uint64_t from);

#endif
