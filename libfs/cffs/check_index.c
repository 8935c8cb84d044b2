/* SPDX-License-Identifier: MIT */
/*
 * The checker's side of an index; see check_index.h.
 */
#include "check_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct check *check;
	cffs_block_read *read;
	const struct cffs_slot *extents;
	size_t n_extents;
};

/* Where block `i` of the index is; 0: nowhere. */
static uint64_t where_is(const struct reading *r, uint64_t i)
{
	for (size_t k = 0; k < r->n_extents; k++) {
		const struct cffs_slot *slot = &r->extents[k];

		if (slot->class == CFFS_CLASS_INDEX &&
		    CFFS_INDEX_BASE + i - slot->logical < slot->count)
			return slot->start + (CFFS_INDEX_BASE + i - slot->logical);
	}
	return 0;
}

static bool sectors_are_good(const uint8_t *block)
{
	for (uint32_t i = 0; i < CFFS_SECTORS; i++) {
		const uint8_t *sector = block + i * CFFS_SECTOR;
		le32_t crc;

		memcpy(&crc, sector, sizeof(crc));
		if (le32_get(crc) == 0 && sector[CFFS_R_MAGIC] == 0)
			continue;
		if (le32_get(crc) != cffs_crc(sector + 4, CFFS_SECTOR - 4))
			return false;
	}
	return true;
}

static int bucket_read(const struct reading *r, uint32_t bucket, uint32_t buckets,
		       struct cffs_hints *hints)
{
	uint64_t block = where_is(r, 1 + (uint64_t)bucket);
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_hint hint;
	int err = block ? r->read(r->check, block, 1, bytes) : 0;

	if (err)
		return err;
	if (!block || !sectors_are_good(bytes)) {
		hints->bad = true;
		return 0;
	}
	for (uint32_t i = 0; i < CFFS_HINTS; i++) {
		cffs_hint_get(bytes, i, &hint);
		if (hint.at && cffs_bucket_of(hint.hash, buckets) == bucket)
			hints->v[hints->n++] = (uint64_t)hint.hash << 32 | hint.at;
	}
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int cffs_hints_read(struct check *check, cffs_block_read *read, uint64_t ino,
		    const struct cffs_slot *extents, size_t n_extents, struct cffs_hints *hints)
{
	struct reading r = { check, read, extents, n_extents };
	uint8_t bytes[CFFS_BLOCK];
	uint32_t buckets;
	int err;

	memset(hints, 0, sizeof(*hints));
	hints->head = where_is(&r, 0);
	if (!hints->head)
		return 0;
	err = read(check, hints->head, 1, bytes);
	if (err)
		return err;
	hints->bad = !sectors_are_good(bytes);
	buckets = hints->bad ? 0 : cffs_head_decode(bytes, ino);
	if (buckets && !where_is(&r, buckets)) {
		hints->bad = true;
		return 0;
	}
	if (!buckets) {
		hints->head = hints->bad ? hints->head : 0; /* given up, or not finished */
		return 0;
	}
	hints->v = malloc(buckets * (size_t)CFFS_HINTS * sizeof(*hints->v));
	if (!hints->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < buckets && !err && !hints->bad; i++)
		err = bucket_read(&r, i, buckets, hints);
	qsort(hints->v, hints->n, sizeof(*hints->v), by_value);
	return err;
}

bool cffs_hints_know(const struct cffs_hints *hints, const struct cffs_hint *hint)
{
	uint64_t key = (uint64_t)hint->hash << 32 | hint->at;

	return hints->n && bsearch(&key, hints->v, hints->n, sizeof(key), by_value);
}

void cffs_hints_free(struct cffs_hints *hints)
{
	free(hints->v);
	memset(hints, 0, sizeof(*hints));
}
