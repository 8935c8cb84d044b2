/* SPDX-License-Identifier: MIT */
/*
 * Roots and principals, and the checkers of the LibFSes that understand roots.
 *
 *  (1) A checker sees only a root that was walked completely, and only the
 *      blocks that the walk found to be its own.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- pass 3 ---- */

/* Both copies, the block before its twin. */
static void entry_write(struct fsck *f, struct root *root)
{
	uint8_t sector[XN_SECTOR_SIZE];

	root->entry.seq++;
	xn_root_entry_encode(&f->super, &root->entry, sector);
	for (unsigned side = 0; side < 2; side++)
		if (fsck_write(f,
			       root->home[side] * XN_BLOCK_SIZE +
				       (uint64_t)root->sector * XN_SECTOR_SIZE,
			       sector, sizeof(sector)))
			check_repair_failed(f->check);
}

static int by_name(const void *a, const void *b)
{
	const struct root *const *x = a, *const *y = b;

	return strcmp((*x)->entry.name, (*y)->entry.name);
}

static int by_uid(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* "home" becomes "home.7", by its id, which nobody else has. */
static void root_rename(struct fsck *f, struct root *root)
{
	char name[sizeof(root->entry.name)];

	snprintf(name, sizeof(name), "%.42s.%" PRIu64, root->entry.name, root->entry.id);
	memcpy(root->entry.name, name, sizeof(name));
	entry_write(f, root);
}

static int names_check(struct fsck *f)
{
	struct root **sorted = calloc(f->n_roots ? f->n_roots : 1, sizeof(struct root *));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_roots; i++)
		sorted[i] = &f->roots[i];
	qsort(sorted, f->n_roots, sizeof(struct root *), by_name);
	for (size_t i = 1; i < f->n_roots; i++)
		if (by_name(&sorted[i - 1], &sorted[i]) == 0 &&
		    fsck_found(f->check, ROOT_NAME_TWICE,
			       &(struct fsck_note){ .count = sorted[i - 1]->entry.id,
						    .other = sorted[i]->entry.id,
						    .name = sorted[i]->entry.name }))
			root_rename(f, sorted[i]);
	free(sorted);
	return 0;
}

int fsck_roots_check(struct fsck *f)
{
	f->result->roots = (uint32_t)f->n_roots;
	for (size_t i = 0; i < f->n_roots; i++) {
		const struct xn_root_entry *entry = &f->roots[i].entry;

		f->roots[i].checker = libfs_checker_find(entry->libfs);
		if (!fsck_type_find(f, entry->type))
			fsck_found(
				f->check, ROOT_TYPE,
				&(struct fsck_note){ .count = entry->type, .name = entry->name });
	}
	if (f->n_principals)
		qsort(f->principals, f->n_principals, sizeof(*f->principals), by_uid);
	for (size_t i = 1; i < f->n_principals; i++)
		if (f->principals[i] == f->principals[i - 1])
			fsck_found(f->check, PRINCIPAL_TWICE,
				   &(struct fsck_note){ .count = f->principals[i] });
	return names_check(f);
}

/* ---- counters ---- */

/* A count that is not promised to be right is made so without a word. */
int fsck_roots_count_used(struct fsck *f)
{
	bool clean = fsck_counts_are_promised(f);

	for (size_t i = 0; i < f->n_roots && !fsck_stopped(f); i++) {
		struct root *root = &f->roots[i];
		uint64_t used = root->owned.blocks;

		if (!root->complete || root->entry.used == used)
			continue;
		if (clean ? fsck_found(f->check, ROOT_USED,
				       &(struct fsck_note){ .other = root->entry.used,
							    .count = used,
							    .name = root->entry.name })
			  : fsck_may_write(f) && f->opts->mode != CHECK_ASK) {
			root->entry.used = used;
			entry_write(f, root);
		}
	}
	return 0;
}

/* ---- pass 6 ---- */

/* A bitmap of the whole disk; the host gives memory only to the parts in use. */
struct flat {
	uint8_t *bits;
	size_t len;
};

static int flat_init(struct flat *flat, uint64_t blocks)
{
	flat->len = (size_t)((blocks + XN_CHUNK_BLOCKS - 1) / XN_CHUNK_BLOCKS * XN_MAP_CHUNK_BYTES);
	flat->bits = mmap(NULL, flat->len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (flat->bits == MAP_FAILED)
		flat->bits = NULL;
	return flat->bits ? 0 : -ENOMEM;
}

static void flat_fini(struct flat *flat)
{
	if (flat->bits)
		munmap(flat->bits, flat->len);
}

static void flat_fill(struct flat *flat, const struct blockset *set)
{
	for (size_t i = 0; i < set->cap; i++) {
		const struct blockset_chunk *place = &set->table[i];

		if (place->bits)
			memcpy(flat->bits + place->chunk * XN_MAP_CHUNK_BYTES, place->bits,
			       XN_MAP_CHUNK_BYTES);
	}
}

/* Blocks that the maps show in use and nobody owns. */
static void lost_fill(struct fsck *f, struct flat *lost)
{
	uint8_t map[XN_MAP_CHUNK_BYTES], fixed[XN_MAP_CHUNK_BYTES];
	uint64_t chunks = lost->len / XN_MAP_CHUNK_BYTES;

	for (uint64_t chunk = 0; chunk < chunks && chunk < f->super.high_water; chunk++) {
		uint8_t *to = lost->bits + chunk * XN_MAP_CHUNK_BYTES;
		const uint8_t *seen = blockset_chunk(&f->seen, chunk);

		fsck_map_read(f, chunk, true, map);
		xn_map_fresh(&f->super, chunk, fixed);
		for (size_t i = 0; i < XN_MAP_CHUNK_BYTES; i++) {
			map[i] &= (uint8_t) ~(fixed[i] | (seen ? seen[i] : 0));
			if (map[i]) /* pages that stay zero cost nothing */
				to[i] = map[i];
		}
	}
}

/* By this run, or before: then a disk that was closed cleanly counts more than there is. */
static bool has_lost(const struct fsck *f, const struct root *root)
{
	return root->mended || (fsck_counts_are_promised(f) && root->complete &&
				root->entry.used > root->owned.blocks);
}

/* Was something lost here, and of this LibFS only here?  Then it is this root's. */
static bool lost_is_ours(const struct fsck *f, const struct root *root)
{
	for (size_t i = 0; i < f->n_roots; i++)
		if (&f->roots[i] != root && has_lost(f, &f->roots[i]) &&
		    strcmp(f->roots[i].entry.libfs, root->entry.libfs) == 0)
			return false;
	/* With one root walked, all that the others own looks lost. */
	return has_lost(f, root) && !f->opts->root;
}

static int block_allocate(void *arg, uint64_t *block)
{
	struct fsck *f = arg;
	int err = fsck_allocate(f, 1, block);

	return !err && blockset_add(&f->seen, *block, 1) ? -ENOMEM : err;
}

static int checker_run(struct fsck *f, struct root *root, const struct libfs_checker *checker)
{
	struct check_rescue rescue = {
		.mended = has_lost(f, root),
		.epoch = f->super.mount_epoch,
		.allocate = block_allocate,
		.arg = f,
	};
	struct flat owned, lost = { 0 };
	int err;

	if (!fsck_type_find(f, root->entry.type))
		return 0;
	if (flat_init(&owned, f->limit))
		return -ENOMEM;
	if (lost_is_ours(f, root) && flat_init(&lost, f->limit) == 0)
		lost_fill(f, &lost);
	rescue.sectors = f->mended;
	rescue.n_sectors = f->n_mended;
	memcpy(rescue.uuid, root->entry.uuid, sizeof(rescue.uuid));
	rescue.lost = lost.bits;
	rescue.owned = owned.bits;
	flat_fill(&owned, &root->owned);
	check_set_root(f->check, root->entry.name, root->entry.object, owned.bits, f->limit);
	check_set_rescue(f->check, &rescue);
	err = checker->check(f->check);
	if (err && err != -ENOMEM && !fsck_stopped(f))
		fsck_found(
			f->check, LIBFS_FAILED,
			&(struct fsck_note){ .name = root->entry.libfs, .what = xn_strerror(err) });
	check_set_root(f->check, NULL, 0, NULL, 0);
	flat_fini(&owned);
	flat_fini(&lost);
	return err == -ENOMEM ? err : 0;
}

int fsck_roots_run_checkers(struct fsck *f)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n_roots && !fsck_stopped(f); i++) {
		struct root *root = &f->roots[i];
		const struct libfs_checker *checker = root->checker;

		check_progress(f->check, i, f->n_roots);
		if (!fsck_root_wanted(f, root))
			continue;
		if (!checker) {
			fsck_say(f, "[%s] no checker for %s: only its templates vouch for it\n",
				 root->entry.name,
				 *root->entry.libfs ? root->entry.libfs : "an unnamed LibFS");
			continue;
		}
		if (!root->complete) {
			fsck_say(f, "[%s] not all of it is readable: names and sizes not checked\n",
				 root->entry.name);
			continue;
		}
		err = checker_run(f, root, checker);
	}
	return err;
}
