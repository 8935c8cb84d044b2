/* SPDX-License-Identifier: MIT */
/*
 * Memory's table of the names of a small directory.
 */
#include <errno.h>
#include <stdlib.h>

#include "dir.h"

#define FIRST 64u

static void put(struct cffs_hint *v, uint32_t cap, struct cffs_hint name)
{
	uint32_t i = name.hash & (cap - 1);

	while (v[i].at)
		i = (i + 1) & (cap - 1);
	v[i] = name;
}

int cffs_names_reserve(struct cffs_names *names)
{
	uint32_t cap = names->cap ? names->cap * 2 : FIRST;
	struct cffs_hint *v;

	if (names->cap && (names->n + 1) * 4 <= names->cap * 3)
		return 0;
	v = calloc(cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < names->cap; i++)
		if (names->v[i].at)
			put(v, cap, names->v[i]);
	free(names->v);
	names->v = v;
	names->cap = cap;
	return 0;
}

void cffs_names_add(struct cffs_names *names, struct cffs_hint name)
{
	put(names->v, names->cap, name);
	names->n++;
}

void cffs_names_remove(struct cffs_names *names, struct cffs_hint name)
{
	uint32_t mask = names->cap - 1, i = name.hash & mask;

	if (!names->cap)
		return;
	while (names->v[i].at && (names->v[i].hash != name.hash || names->v[i].at != name.at))
		i = (i + 1) & mask;
	if (!names->v[i].at)
		return;
	names->n--;
	/* Move up those behind it that would not be found over a gap. */
	for (uint32_t k = (i + 1) & mask; names->v[k].at; k = (k + 1) & mask) {
		uint32_t home = names->v[k].hash & mask;

		if (((k - home) & mask) >= ((k - i) & mask)) {
			names->v[i] = names->v[k];
			i = k;
		}
	}
	names->v[i].at = 0;
}

bool cffs_names_next(const struct cffs_names *names, uint32_t hash, uint32_t *i,
		     struct cffs_hint *name)
{
	while (names->cap && *i < names->cap) {
		const struct cffs_hint *at = &names->v[(hash + (*i)++) & (names->cap - 1)];

		if (!at->at)
			return false;
		if (at->hash != hash)
			continue;
		*name = *at;
		return true;
	}
	return false;
}

void cffs_names_free(struct cffs_names *names)
{
	free(names->v);
	*names = (struct cffs_names){ 0 };
}
