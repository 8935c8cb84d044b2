/* SPDX-License-Identifier: MIT */
/*
 * The checker: numbers and directories that are known, and sectors changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_state.h"

/* ---- sets and lists ---- */

static void set_put(uint64_t *v, size_t cap, uint64_t what)
{
	size_t i = cffs_check_mix(what) & (cap - 1);

	while (v[i])
		i = (i + 1) & (cap - 1);
	v[i] = what;
}

/* 1: it was there. */
int cffs_numbers_add(struct cffs_numbers *set, uint64_t what)
{
	size_t i;

	if (set->n * 2 >= set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 1024;
		uint64_t *v = calloc(cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		for (i = 0; i < set->cap; i++)
			if (set->v[i])
				set_put(v, cap, set->v[i]);
		free(set->v);
		set->v = v;
		set->cap = cap;
	}
	for (i = cffs_check_mix(what) & (set->cap - 1); set->v[i]; i = (i + 1) & (set->cap - 1))
		if (set->v[i] == what)
			return 1;
	set->v[i] = what;
	set->n++;
	return 0;
}

bool cffs_numbers_have(const struct cffs_numbers *set, uint64_t what)
{
	size_t i = set->cap ? cffs_check_mix(what) & (set->cap - 1) : 0;

	while (set->cap && set->v[i] && set->v[i] != what)
		i = (i + 1) & (set->cap - 1);
	return set->cap && set->v[i];
}

void cffs_numbers_free(struct cffs_numbers *set)
{
	free(set->v);
	memset(set, 0, sizeof(*set));
}

int cffs_list_add(struct cffs_list *list, uint64_t ino, uint64_t block, uint32_t sector,
		  uint8_t slot)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 64;
		struct cffs_known *v = realloc(list->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->n++] = (struct cffs_known){
		.ino = ino, .block = block, .sector = (uint8_t)sector, .slot = slot
	};
	return 0;
}

static int by_ino(const void *a, const void *b)
{
	const struct cffs_known *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

void cffs_list_sort(struct cffs_list *list)
{
	if (list->n) /* qsort may not be given NULL */
		qsort(list->v, list->n, sizeof(*list->v), by_ino);
}

struct cffs_known *cffs_external_find(struct cffs_state *s, uint64_t ino)
{
	struct cffs_known key = { .ino = ino };

	return s->external.n ? bsearch(&key, s->external.v, s->external.n, sizeof(key), by_ino)
			     : NULL;
}

bool cffs_ino_is_taken(const void *arg, uint64_t ino)
{
	const struct cffs_state *s = arg;

	return cffs_numbers_have(&s->inos, ino);
}

/* ---- repairs ---- */

int cffs_check_write_sector(struct cffs_state *s, uint64_t block, uint32_t sector,
			    uint8_t bytes[CFFS_SECTOR])
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, block, 1, all);

	if (err)
		return err;
	cffs_sector_seal(bytes);
	memcpy(all + sector * CFFS_SECTOR, bytes, CFFS_SECTOR);
	return check_write(s->check, block, 1, all);
}

int cffs_check_remove(struct cffs_state *s, uint64_t block, uint32_t sector,
		      uint8_t bytes[CFFS_SECTOR], uint32_t at)
{
	cffs_sector_remove(bytes, at);
	check_ownership_changed(s->check);
	return cffs_check_write_sector(s, block, sector, bytes);
}

int cffs_check_replace(struct cffs_state *s, uint64_t block, uint32_t sector,
		       uint8_t bytes[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry)
{
	if (!cffs_sector_replace(bytes, at, entry))
		return 0;
	return cffs_check_write_sector(s, block, sector, bytes);
}

int cffs_check_read_entry(struct cffs_state *s, const struct cffs_known *known,
			  uint8_t bytes[CFFS_SECTOR], uint32_t *at, struct cffs_entry *entry)
{
	uint8_t all[CFFS_BLOCK];
	int err = check_read(s->check, known->block, 1, all);

	if (err)
		return err;
	memcpy(bytes, all + known->sector * CFFS_SECTOR, CFFS_SECTOR);
	*at = cffs_sector_find_slot(bytes, known->slot);
	if (!*at)
		return -ENOENT;
	cffs_entry_decode(bytes, *at, entry);
	return entry->kind == CFFS_KIND_INODE ? 0 : -ENOENT;
}
