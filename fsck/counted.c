/* SPDX-License-Identifier: MIT */
/*
 * Objects that several records own, by templates with `refcnt`: each is walked once,
 * who names it is counted, and that is compared with what the object says.
 *
 *  (1) A further owner is one only under the same root and type; else the block is
 *      owned twice.
 *  (2) Each root has a table of its own; they are compared when the last pointer was
 *      looked at.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 256u

static struct counted *slot_of(const struct counted_table *table, uint64_t block)
{
	size_t at = (size_t)(block * 0x9e3779b97f4a7c15ull >> 20) & (table->cap - 1);

	while (table->v[at].block && table->v[at].block != block)
		at = (at + 1) & (table->cap - 1);
	return &table->v[at];
}

static int table_grow(struct counted_table *table)
{
	struct counted_table grown = { .cap = table->cap ? table->cap * 2 : SLOTS_FIRST };

	grown.v = calloc(grown.cap, sizeof(*grown.v));
	if (!grown.v)
		return -ENOMEM;
	for (size_t i = 0; i < table->cap; i++) {
		if (table->v[i].block)
			*slot_of(&grown, table->v[i].block) = table->v[i];
	}
	grown.n = table->n;
	free(table->v);
	*table = grown;
	return 0;
}

/* Somebody names it: 1 = again, 0 = for the first time. */
int counted_meet(struct counted_table *table, uint64_t block, uint64_t type)
{
	struct counted *counted;

	if (2 * (table->n + 1) > table->cap && table_grow(table))
		return -ENOMEM;
	counted = slot_of(table, block);
	if (counted->block) {
		if (counted->type != type)
			return 0; /* and then it is owned twice */
		counted->met++;
		return 1;
	}
	*counted = (struct counted){ block, type, 1, 0, false };
	table->n++;
	return 0;
}

/* The object's own word. */
void counted_say(struct counted_table *table, uint64_t block, const struct type *type,
		 const uint8_t *bytes)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct counted *counted = table->cap ? slot_of(table, block) : NULL;
	struct udf_fault fault;

	if (!counted || !counted->block)
		return;
	counted->known = !udf_refcnt(type->tmpl, bytes + type->info->rec_off, 0, bytes, &budget,
				     &counted->said, &fault);
}

/* Tell of those that say something else than was met. */
void counted_compare(struct fsck *f, struct counted_table *table)
{
	char text[64];

	for (size_t i = 0; i < table->cap; i++) {
		const struct counted *counted = &table->v[i];

		if (!counted->block || !counted->known || counted->met == counted->said)
			continue;
		snprintf(text, sizeof(text), "%u", counted->said);
		fsck_found(f->check, OBJECT_MISCOUNTED,
			   &(struct fsck_note){ .block = counted->block,
						.count = counted->met,
						.name = fsck_type_name(f, counted->type),
						.what = text });
	}
}

void counted_fini(struct counted_table *table)
{
	free(table->v);
	memset(table, 0, sizeof(*table));
}
