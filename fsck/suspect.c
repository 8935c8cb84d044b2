/* SPDX-License-Identifier: MIT */
/*
 * Pointers of sectors that were damaged.
 *
 *  (1) A sector that mending changed is no proof of what it names: its pointers are
 *      suspects.  They are looked at when every other pointer of the disk was, so
 *      that a block with two owners stays with the one whose sector was whole.
 *  (2) No suspect shows anybody another one's bytes: before a mended sector is written,
 *      blocks that count as free are filled with zeroes, and what is another user's,
 *      or may be, is cut out of it.
 *  (3) "May be": in use, named by suspects only, and some root of another user misses
 *      blocks.  On a disk that was closed cleanly the counters say who misses any; else
 *      whoever had damage may.
 *  (4) Where the free map cannot be read, blocks count as in use if nobody else is on the
 *      disk, or if the counters say that this root has just what it is charged for.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void fsck_suspicion_of_change(struct suspicion *suspicion, const struct type *type,
			      const uint8_t *before, const uint8_t *after)
{
	memset(suspicion, 0, sizeof(*suspicion));
	for (uint32_t i = 0; i < type->blocks * XN_BLOCK_SECTORS; i++) {
		size_t at = (size_t)i * XN_SECTOR_SIZE;

		suspicion->sector[i] = memcmp(before + at, after + at, XN_SECTOR_SIZE) != 0;
		suspicion->any |= suspicion->sector[i];
	}
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void fsck_mended_sort(struct fsck *f)
{
	if (f->n_mended) /* qsort may not be given NULL */
		qsort(f->mended, f->n_mended, sizeof(*f->mended), by_number);
}

void fsck_suspicion_of_disk(const struct fsck *f, struct suspicion *suspicion, uint64_t object,
			    const struct type *type)
{
	suspicion->any = false;
	if (!f->n_mended)
		return;
	for (uint32_t i = 0; i < type->blocks * XN_BLOCK_SECTORS; i++) {
		uint64_t sector = object * XN_BLOCK_SECTORS + i;

		suspicion->sector[i] =
			bsearch(&sector, f->mended, f->n_mended, sizeof(sector), by_number) != NULL;
		suspicion->any |= suspicion->sector[i];
	}
}

/* ---- what a suspect may not name ---- */

struct trial {
	struct fsck *f;
	const struct root *root;
	const struct type *type;
	uint64_t object;
	uint8_t *bytes;
	struct udf_extents extents;
	bool others_miss;     /* blocks: roots of other users */
	bool unknown_is_used; /* blocks of which the free map cannot be read */
	bool zeroed;
	uint64_t chunk; /* which map `map` is; UINT64_MAX: none */
	uint8_t map[XN_MAP_CHUNK_BYTES];
};

static bool misses_blocks(const struct fsck *f, const struct root *root)
{
	if (fsck_counts_are_promised(f))
		return root->entry.used > root->owned.blocks;
	return root->mended || !root->complete;
}

/* Of roots of other users: does one have a block of it? */
static bool is_anothers(const struct trial *trial, const struct udf_extent *at)
{
	for (size_t i = 0; i < trial->f->n_roots; i++) {
		const struct root *root = &trial->f->roots[i];

		if (root->entry.uid != trial->root->entry.uid &&
		    blockset_count(&root->owned, at->start, at->count))
			return true;
	}
	return false;
}

/* What is known of the other users of the disk. */
static void others_weigh(struct trial *trial)
{
	const struct fsck *f = trial->f;
	bool others = false;

	for (size_t i = 0; i < f->n_roots; i++) {
		if (f->roots[i].entry.uid == trial->root->entry.uid)
			continue;
		others = true;
		trial->others_miss |= misses_blocks(f, &f->roots[i]);
	}
	trial->unknown_is_used = !others || (fsck_counts_are_promised(f) &&
					     trial->root->entry.used == trial->root->owned.blocks);
}

static bool block_is_in_use(struct trial *trial, uint64_t block)
{
	uint64_t chunk = block / XN_CHUNK_BLOCKS, bit = block % XN_CHUNK_BLOCKS;

	if (chunk != trial->chunk)
		fsck_map_read(trial->f, chunk, trial->unknown_is_used, trial->map);
	trial->chunk = chunk;
	return trial->map[bit / 8] >> (bit % 8) & 1;
}

/* Does the block count as free, and belong to nobody whose sector is whole? */
static bool block_is_stale(struct trial *trial, uint64_t block)
{
	return !block_is_in_use(trial, block) && (!blockset_count(&trial->f->seen, block, 1) ||
						  blockset_count(&trial->f->doubted, block, 1));
}

static bool is_stale(struct trial *trial, const struct udf_extent *at)
{
	for (uint64_t b = at->start; b < at->start + at->count; b++)
		if (block_is_stale(trial, b))
			return true;
	return false;
}

/* Is some block of it in use, and named by suspects only? */
static bool is_unproved(const struct trial *trial, const struct udf_extent *at)
{
	return blockset_count(&trial->f->doubted, at->start, at->count) ||
	       blockset_count(&trial->f->seen, at->start, at->count) < at->count;
}

static int stale_zero(struct trial *trial, const struct udf_extent *at)
{
	static const uint8_t zeroes[XN_BLOCK_SIZE];
	int err = 0;

	for (uint64_t b = at->start; !err && b < at->start + at->count; b++)
		if (block_is_stale(trial, b))
			err = fsck_write(trial->f, b * XN_BLOCK_SIZE, zeroes, sizeof(zeroes));
	trial->zeroed = true;
	return err;
}

static bool suspect_found(const struct trial *trial, enum fsck_problem_id id,
			  const struct udf_extent *at, const char *what)
{
	return fsck_found(trial->f->check, id,
			  &(struct fsck_note){ .block = at->start,
					       .other = trial->object,
					       .count = at->count,
					       .name = trial->type->entry.name,
					       .what = what });
}

static int suspect_cut(struct trial *trial, const struct udf_extent *at, uint32_t record,
		       uint32_t nth, const char *what)
{
	struct check_damage damage = fsck_damage(trial->f, trial->root, trial->object, trial->type);

	if (!suspect_found(trial, EXTENT_DOUBTED, at, what))
		return 0;
	damage.what = CHECK_MEND_CUT;
	damage.record = record;
	damage.nth = nth;
	damage.start = at->start;
	damage.count = at->count;
	if (trial->root->checker->mend(&damage, trial->bytes))
		return 1;
	check_repair_failed(trial->f->check);
	return 0;
}

/* 1 it is settled, 0 it is not and the object stays as it was, -errno. */
static int suspect_settle(struct trial *trial, const struct udf_extent *at, uint32_t record,
			  uint32_t nth)
{
	bool is_data = fsck_type_child(trial->type, at->child) == XN_TYPE_DATA;
	int err;

	if (!at->start || !at->count || at->start >= trial->f->limit ||
	    at->count > trial->f->limit - at->start)
		return 1; /* the next walk says that */
	if (is_anothers(trial, at))
		return suspect_cut(trial, at, record, nth, "are another user's");
	if (trial->others_miss && is_unproved(trial, at))
		return suspect_cut(trial, at, record, nth, "another user misses, perhaps");
	if (!is_stale(trial, at))
		return 1;
	if (!is_data)
		return suspect_cut(trial, at, record, nth, "count as free");
	if (!suspect_found(trial, EXTENT_STALE, at, NULL))
		return 0;
	err = stale_zero(trial, at);
	return err ? err : 1;
}

/* From the last to the first: a cut moves what is behind it. */
static int record_settle(struct trial *trial, uint32_t record)
{
	int got = 1;

	if (fsck_record_owns(trial->type, trial->bytes, record, &trial->extents))
		return 0;
	for (size_t i = trial->extents.n; got == 1 && i-- > 0;) {
		struct udf_extent at = trial->extents.v[i];

		got = suspect_settle(trial, &at, record, (uint32_t)i);
	}
	return got;
}

int fsck_suspects_settle(struct fsck *f, const struct root *root, const struct type *type,
			 uint64_t object, const uint8_t *before, uint8_t *bytes)
{
	struct trial *trial = calloc(1, sizeof(*trial));
	struct suspicion suspicion;
	int got = 1;

	if (!trial)
		return -ENOMEM;
	*trial = (struct trial){ .f = f, .root = root, .type = type, .object = object };
	trial->bytes = bytes;
	trial->chunk = UINT64_MAX;
	others_weigh(trial);
	fsck_suspicion_of_change(&suspicion, type, before, bytes);
	check_set_root(f->check, root->entry.name, root->entry.object, NULL, 0);
	for (uint32_t record = 0; got == 1 && record < type->info->rec_count; record++)
		if (fsck_record_is_suspect(&suspicion, type, record))
			got = record_settle(trial, record);
	check_set_root(f->check, NULL, 0, NULL, 0);
	/* Zeroes are stable before anything names them. */
	if (got == 1 && trial->zeroed && bdev_flush(f->dev))
		got = -EIO;
	udf_extents_fini(&trial->extents);
	free(trial);
	return got;
}
