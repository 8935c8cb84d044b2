/* SPDX-License-Identifier: MIT */
/*
 * Installed templates, loaded again from the disk.
 *
 *  (1) A template is used only when its image has the recorded SHA-256 and the
 *      loader accepts it.  An image that lost it is restored from the program's own
 *      copy, if that has the very same, and in a
 *      new place: who wrote over it may have it now.
 *  (2) Its types are those of the catalogue: child ids resolve to templates that
 *      can be used.
 *  (3) Templates installed together are there together.  A batch with a missing
 *      member is what a crash during the installation leaves: its members are no
 *      types, though their images stay XN's.  Unless entries of the catalogue were
 *      lost: then it is damage.
 */
#include "internal.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <string.h>

static bool is_present(const struct fsck *f, uint64_t id)
{
	return id >= XN_TYPE_FIRST && id - XN_TYPE_FIRST < f->n_types &&
	       f->types[id - XN_TYPE_FIRST].entry.state == XN_ENTRY_USED;
}

struct type *fsck_type_find(const struct fsck *f, uint64_t id)
{
	struct type *type;

	if (!is_present(f, id))
		return NULL;
	type = &f->types[id - XN_TYPE_FIRST];
	return type->tmpl ? type : NULL;
}

const char *fsck_type_name(const struct fsck *f, uint64_t id)
{
	return is_present(f, id) ? f->types[id - XN_TYPE_FIRST].entry.name : "?";
}

uint64_t fsck_type_child(const struct type *type, uint32_t child)
{
	if (child >= type->info->n_child)
		return UINT64_MAX;
	return xn_template_child_type(&type->entry, type->info->child[child]);
}

static bool hash_matches(const struct type *type, const void *image)
{
	struct sha256_ctx ctx;
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_init(&ctx);
	sha256_update(&ctx, type->entry.image_len, image);
	sha256_digest(&ctx, sizeof(digest), digest);
	return memcmp(digest, type->entry.sha256, sizeof(digest)) == 0;
}

/* The same image among those that the LibFSes of the roots install: copied into `image`, if asked. */
static bool image_known(const struct fsck *f, const struct type *type, uint8_t *image)
{
	struct check_image known;

	for (size_t i = 0; i < f->n_roots; i++) {
		const struct libfs_checker *checker = libfs_checker_find(f->roots[i].entry.libfs);

		for (unsigned k = 0; checker && checker->image && checker->image(k, &known); k++) {
			if (known.len != type->entry.image_len || !hash_matches(type, known.bytes))
				continue;
			if (image)
				memcpy(image, known.bytes, known.len);
			return true;
		}
	}
	return false;
}

static bool template_found(struct fsck *f, enum fsck_problem_id id, const struct type *type,
			   uint64_t other, const char *what)
{
	bool helpless = id != TEMPLATE_HASH && id != TEMPLATE_IMAGE_UNREADABLE;

	if (!helpless)
		helpless = !image_known(f, type, NULL);
	if (fsck_found(f->check, id,
		       &(struct fsck_note){ .block = type->entry.image_start,
					    .other = other,
					    .count = type->entry.id,
					    .name = type->entry.name,
					    .what = what,
					    .helpless = helpless }))
		return true;
	f->complete = false;
	return false;
}

static void type_init(struct type *type, struct udf_template *tmpl)
{
	type->tmpl = tmpl;
	type->info = udf_template_info(tmpl);
	type->blocks = (type->info->obj_size + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
}

/* 1: the image is there; 2: it is damaged, and here is the program's own; 0: nothing is. */
static int image_read(struct fsck *f, struct type *type, uint8_t *image)
{
	const struct xn_template_entry *entry = &type->entry;
	enum fsck_problem_id wrong = TEMPLATE_HASH;

	if (type->anew) /* and nobody knows where it was */
		return image_known(f, type, image) ? 2 : 0;
	if (fsck_read(f, entry->image_start, entry->image_blocks, image))
		wrong = TEMPLATE_IMAGE_UNREADABLE;
	else if (hash_matches(type, image))
		return 1;
	type->anew = template_found(f, wrong, type, 0, NULL);
	type->finding = check_finding_count(f->check) - 1;
	return image_known(f, type, image) ? 2 : 0;
}

/* `image` has room for the largest one. */
static int template_load(struct fsck *f, struct type *type, uint8_t *image)
{
	const struct xn_template_entry *entry = &type->entry;
	struct udf_template *tmpl;
	struct udf_refusal why;
	int got = type->stray ? 0 : image_read(f, type, image), err;

	f->result->templates += !type->stray;
	/* What was written over the image may be somebody else's: he is asked first. */
	err = got == 2 ? 0 : fsck_claim_xn(f, entry->image_start, entry->image_blocks);
	if (err < 0)
		return err;
	if (err)
		template_found(f, TEMPLATE_IMAGE_SHARED, type, 0, NULL);
	if (!got)
		return 0;
	memset(&why, 0, sizeof(why));
	err = udf_template_load(image, entry->image_len, &tmpl, &why);
	if (err == UDF_ENOMEM)
		return -ENOMEM;
	if (err) {
		template_found(f, TEMPLATE_REFUSED, type, 0,
			       *why.text ? why.text : udf_error_text(err));
		return 0;
	}
	type_init(type, tmpl);
	if (strcmp(type->info->name, entry->name) != 0)
		template_found(f, TEMPLATE_NAME, type, 0, type->info->name);
	return 0;
}

static int image_write(struct fsck *f, struct type *type)
{
	struct xn_template_entry *entry = &type->entry;
	size_t len = (size_t)entry->image_blocks * XN_BLOCK_SIZE;
	uint8_t sector[XN_SECTOR_SIZE];
	uint64_t start;
	int err = fsck_allocate(f, entry->image_blocks, &start);

	if (!err)
		err = fsck_claim_xn(f, start, entry->image_blocks);
	memset(f->batch.buffer, 0, len);
	if (!err && !image_known(f, type, f->batch.buffer))
		err = -ENOENT;
	if (!err)
		err = fsck_write(f, start * XN_BLOCK_SIZE, f->batch.buffer, len);
	if (!err && bdev_flush(f->dev))
		err = -EIO;
	entry->image_start = start;
	entry->seq++;
	xn_template_entry_encode(&f->super, entry, sector);
	for (unsigned side = 0; !err && side < 2; side++)
		err = fsck_write(f,
				 type->home[side] * XN_BLOCK_SIZE +
					 (uint64_t)type->sector * XN_SECTOR_SIZE,
				 sector, sizeof(sector));
	return err;
}

int fsck_templates_restore(struct fsck *f)
{
	for (size_t i = 0; i < f->n_types && !fsck_stopped(f); i++) {
		int err = f->types[i].anew ? image_write(f, &f->types[i]) : 0;

		if (err == -ENOMEM)
			return err;
		if (err)
			check_finding_failed(f->check, f->types[i].finding);
	}
	return 0;
}

/* How many entries from slot `i` on belong to one batch and follow each other? */
static size_t batch_run_len(const struct fsck *f, size_t i)
{
	const struct xn_template_entry *first = &f->types[i].entry;
	size_t n = 1;

	while (i + n < f->n_types && f->types[i + n].entry.state == XN_ENTRY_USED &&
	       f->types[i + n].entry.batch_first == first->batch_first &&
	       f->types[i + n].entry.batch_count == first->batch_count)
		n++;
	return n;
}

/* An entry's index is its id minus batch_first, so a run that is long enough is the whole batch. */
static void batches_check(struct fsck *f)
{
	for (size_t i = 0, n; i < f->n_types; i += n) {
		struct type *type = &f->types[i];

		n = 1;
		if (type->entry.state != XN_ENTRY_USED)
			continue;
		n = batch_run_len(f, i);
		if (type->entry.batch_index == 0 && n == type->entry.batch_count)
			continue;
		if (f->templates_lost) {
			template_found(f, TEMPLATE_BATCH, type, type->entry.batch_first, NULL);
			continue;
		}
		fsck_say(f, "%zu templates from %ju on were never completely installed\n", n,
			 (uintmax_t)type->entry.id);
		for (size_t k = 0; k < n; k++)
			f->types[i + k].stray = true;
	}
}

static void children_check(struct fsck *f, const struct type *type)
{
	for (uint32_t child = 2; type->tmpl && child < type->info->n_child; child++) {
		uint64_t id = fsck_type_child(type, child);

		if (!fsck_type_find(f, id))
			template_found(f, TEMPLATE_CHILD, type, id, NULL);
	}
}

int fsck_templates_load(struct fsck *f)
{
	int err;

	batches_check(f);
	for (size_t i = 0; i < f->n_types && !fsck_stopped(f); i++) {
		if (f->types[i].entry.state != XN_ENTRY_USED)
			continue;
		err = template_load(f, &f->types[i], f->batch.buffer);
		if (err)
			return err;
		check_progress(f->check, i + 1, f->n_types);
	}
	for (size_t i = 0; i < f->n_types && !fsck_stopped(f); i++)
		children_check(f, &f->types[i]);
	return 0;
}
