/* SPDX-License-Identifier: MIT */
/*
 * Entries of the catalogues of which neither copy is whole.
 *
 *  (1) A template that was installed together with others which are there, all of them
 *      images that this program has: then it is known which one is missing, and it is
 *      written anew.
 *  (2) A template that no other and no root speaks of has no objects: its slot is given up.
 *  (3) Where every block in use has an owner no root is missing: the slot is given up.
 *  (4) Of a user only the allowance is lost: the slot is given up, he has the usual one.
 *  (5) A slot that is given up says "removed" and is never used again.
 *  (6) Where a catalogue is lost as a whole the fault may be elsewhere, and nothing is given up.
 *  (7) Everything else is said and stays; then nothing on the disk is freed.
 */
#include "internal.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[XN_CAT_KINDS] = { "templates", "roots", "principals" };

int fsck_lost_add(struct fsck *f, const struct lost_entry *lost)
{
	if (fsck_array_grow((void **)&f->lost, f->n_lost, &f->cap_lost, sizeof(*f->lost)))
		return -ENOMEM;
	f->lost[f->n_lost++] = *lost;
	return 0;
}

static bool lost_found(struct fsck *f, enum fsck_problem_id id, const struct lost_entry *lost,
		       const char *what)
{
	return fsck_found(f->check, id,
			  &(struct fsck_note){ .block = lost->home[0],
					       .other = lost->home[1],
					       .count = lost->slot,
					       .name = kind_names[lost->kind],
					       .what = what });
}

static int lost_write(struct fsck *f, const struct lost_entry *lost, const uint8_t *sector)
{
	uint64_t at = (uint64_t)lost->sector * XN_SECTOR_SIZE;
	int err = 0;

	for (unsigned side = 0; !err && side < 2; side++)
		err = fsck_write(f, lost->home[side] * XN_BLOCK_SIZE + at, sector, XN_SECTOR_SIZE);
	if (err)
		check_repair_failed(f->check);
	return err;
}

static void slot_give_up(struct fsck *f, struct lost_entry *lost)
{
	struct xn_template_entry template = { .seq = 1,
					      .id = lost->slot + XN_TYPE_FIRST,
					      .state = XN_ENTRY_REMOVED };
	struct xn_root_entry root = { .seq = 1, .id = lost->slot + 1, .state = XN_ENTRY_REMOVED };
	struct xn_principal_entry principal = { .seq = 1,
						.id = lost->slot + 1,
						.state = XN_ENTRY_REMOVED };
	uint8_t sector[XN_SECTOR_SIZE];

	switch (lost->kind) {
	case XN_CAT_TEMPLATES: xn_template_entry_encode(&f->super, &template, sector); break;
	case XN_CAT_ROOTS: xn_root_entry_encode(&f->super, &root, sector); break;
	default: xn_principal_entry_encode(&f->super, &principal, sector); break;
	}
	lost->settled = lost_write(f, lost, sector) == 0;
}

/* ---- templates that are known ---- */

static void sha256_of(const struct check_image *image, uint8_t digest[32])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, image->len, image->bytes);
	sha256_digest(&hash, 32, digest);
}

/* All members of the batch that are there, are they this LibFS's, in its order? */
static bool batch_is_of(const struct fsck *f, const struct xn_template_entry *member,
			const struct libfs_checker *checker)
{
	unsigned n = 0;

	for (uint32_t k = 0; k < member->batch_count; k++) {
		uint64_t slot = member->batch_first - XN_TYPE_FIRST + k;
		struct check_image image;
		uint8_t digest[32];

		if (!checker->image || !checker->image(k, &image))
			return false;
		if (slot >= f->n_types || f->types[slot].entry.state != XN_ENTRY_USED)
			continue;
		sha256_of(&image, digest);
		if (memcmp(digest, f->types[slot].entry.sha256, sizeof(digest)) != 0)
			return false;
		n++;
	}
	return n > 0;
}

/* A member of the batch that the slot belongs to. */
static const struct xn_template_entry *batch_of(const struct fsck *f, uint64_t id)
{
	for (size_t i = 0; i < f->n_types; i++) {
		const struct xn_template_entry *entry = &f->types[i].entry;

		if (entry->state == XN_ENTRY_USED && id >= entry->batch_first &&
		    id - entry->batch_first < entry->batch_count)
			return entry;
	}
	return NULL;
}

/* 1: it is known what it was; 0: it is not; -ENOMEM. */
static int entry_guess(const struct fsck *f, uint64_t slot, struct xn_template_entry *entry)
{
	const struct xn_template_entry *member = batch_of(f, slot + XN_TYPE_FIRST);
	struct udf_template *tmpl;
	struct check_image image;

	for (size_t i = 0; member && i < f->n_roots; i++) {
		const struct libfs_checker *checker = libfs_checker_find(f->roots[i].entry.libfs);
		uint32_t index = (uint32_t)(slot + XN_TYPE_FIRST - member->batch_first);

		if (!checker || !batch_is_of(f, member, checker) || !checker->image(index, &image))
			continue;
		if (udf_template_load(image.bytes, image.len, &tmpl, NULL))
			continue;
		*entry = *member;
		entry->seq = 1;
		entry->id = slot + XN_TYPE_FIRST;
		entry->batch_index = index;
		entry->image_len = (uint32_t)image.len;
		entry->image_blocks = (uint32_t)((image.len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE);
		entry->image_start = 0;
		sha256_of(&image, entry->sha256);
		snprintf(entry->name, sizeof(entry->name), "%s", udf_template_info(tmpl)->name);
		udf_template_destroy(tmpl);
		return 1;
	}
	return 0;
}

/* Before templates are loaded; its image is written, and its entry then, behind the walk. */
static int template_rebuild(struct fsck *f, struct lost_entry *lost)
{
	struct xn_template_entry entry;
	struct type *type;
	int err = entry_guess(f, lost->slot, &entry);

	if (err <= 0 || !lost_found(f, CAT_TEMPLATE_KNOWN, lost, entry.name))
		return err < 0 ? err : 0;
	err = fsck_type_slot(f, lost->slot, &type);
	if (err)
		return err;
	type->entry = entry;
	memcpy(type->home, lost->home, sizeof(type->home));
	type->sector = lost->sector;
	type->anew = true;
	type->finding = check_finding_count(f->check) - 1;
	lost->settled = true;
	return 0;
}

int fsck_lost_rebuild(struct fsck *f)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n_lost; i++) {
		if (f->lost[i].kind == XN_CAT_TEMPLATES)
			err = template_rebuild(f, &f->lost[i]);
		f->templates_lost |= f->lost[i].kind == XN_CAT_TEMPLATES && !f->lost[i].settled;
	}
	return err;
}

/* ---- slots that nobody needs ---- */

static bool type_is_needed(const struct fsck *f, uint64_t id)
{
	if (batch_of(f, id))
		return true;
	for (size_t i = 0; i < f->n_roots; i++)
		if (f->roots[i].entry.type == id)
			return true;
	for (size_t i = 0; i < f->n_types; i++)
		for (uint32_t k = 2; f->types[i].tmpl && k < f->types[i].info->n_child; k++)
			if (fsck_type_child(&f->types[i], k) == id)
				return true;
	return false;
}

static bool roots_are_known(const struct fsck *f)
{
	for (size_t i = 0; i < f->n_lost; i++)
		if (f->lost[i].kind == XN_CAT_ROOTS && !f->lost[i].settled)
			return false;
	return !f->chain_lost;
}

static void lost_settle(struct fsck *f, struct lost_entry *lost)
{
	bool idle = lost->kind == XN_CAT_TEMPLATES && roots_are_known(f) &&
		    !type_is_needed(f, lost->slot + XN_TYPE_FIRST);

	if (lost->kind == XN_CAT_PRINCIPALS && !f->chain_lost) {
		if (lost_found(f, CAT_ALLOWANCE_LOST, lost, NULL))
			slot_give_up(f, lost);
		return; /* an allowance owns nothing */
	}
	if (!idle)
		lost_found(f, CAT_ENTRY_LOST, lost, NULL);
	else if (lost_found(f, CAT_ENTRY_IDLE, lost, "no root and no template speaks of it"))
		slot_give_up(f, lost);
	if (!lost->settled)
		f->complete = false;
}

/* A root may yet be shown not to be missing: then the templates have their turn, too. */
static bool must_wait(const struct fsck *f, const struct lost_entry *lost)
{
	return lost->kind == XN_CAT_ROOTS ||
	       (lost->kind == XN_CAT_TEMPLATES && !f->chain_lost && !roots_are_known(f));
}

void fsck_lost_give_up(struct fsck *f)
{
	for (size_t i = 0; i < f->n_lost; i++)
		if (!f->lost[i].settled && !must_wait(f, &f->lost[i]))
			lost_settle(f, &f->lost[i]);
	/* Until the walk has shown that every block has an owner. */
	if (!roots_are_known(f))
		f->complete = false;
}

static bool some_block_is_unowned(struct fsck *f)
{
	uint8_t map[XN_MAP_CHUNK_BYTES], fixed[XN_MAP_CHUNK_BYTES];
	uint64_t chunks = (f->limit + XN_CHUNK_BLOCKS - 1) / XN_CHUNK_BLOCKS;
	bool unowned = false;

	for (uint64_t c = 0; !unowned && c < chunks && c < f->super.high_water; c++) {
		const uint8_t *seen = blockset_chunk(&f->seen, c);

		fsck_map_read(f, c, true, map);
		xn_map_fresh(&f->super, c, fixed);
		for (size_t i = 0; i < sizeof(map); i++)
			unowned |= (map[i] & ~(fixed[i] | (seen ? seen[i] : 0))) != 0;
	}
	return unowned;
}

void fsck_lost_roots(struct fsck *f)
{
	bool wait = !f->chain_lost && !roots_are_known(f);
	bool unowned = wait && some_block_is_unowned(f);

	for (size_t i = 0; i < f->n_lost; i++) {
		struct lost_entry *lost = &f->lost[i];

		if (lost->kind != XN_CAT_ROOTS)
			continue;
		if (f->chain_lost || unowned)
			lost_found(f, CAT_ENTRY_LOST, lost, NULL);
		else if (lost_found(f, CAT_ENTRY_IDLE, lost, "every block in use has an owner"))
			slot_give_up(f, lost);
	}
	for (size_t i = 0; wait && i < f->n_lost; i++)
		if (f->lost[i].kind == XN_CAT_TEMPLATES && !f->lost[i].settled)
			lost_settle(f, &f->lost[i]);
}
