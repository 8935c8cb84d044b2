/* SPDX-License-Identifier: MIT */
/*
 * Objects of the trees: what their records name, and what a write changes of that.
 *
 *  (1) `owns` is run on a record when the object comes to be named, and then only when a
 *      byte of the record, or of the header that it sees, changes.
 *  (2) All names that a write takes away are dropped before any that it brings is
 *      looked at: records may hand blocks to each other.
 *  (3) What is owned changes with one sector.  A change that needs two may be left half
 *      done, and is a violation.
 */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A change of one record's names. */
struct change {
	struct object *object;
	uint32_t record;
	struct named named;
	struct atom *atom;
};

/* An object being rewritten. */
struct rewrite {
	struct checker *checker;
	struct object *object;
	struct write *write; /* each sector is an atom of it, or ... */
	struct atom *atom;   /* ... all is this one, a record of the log */
	uint8_t *after;
	bool changed[OBJ_SECTORS];
	bool header;
	struct changes *added;
};

/* ---- types ---- */

const struct type *ck_type_find(const struct checker *checker, uint32_t id)
{
	size_t index = (size_t)id - XN_TYPE_FIRST;

	return id >= XN_TYPE_FIRST && index < checker->n_types ? checker->types[index] : NULL;
}

static struct type **type_slot(struct checker *checker, uint64_t id)
{
	size_t index = id - XN_TYPE_FIRST;

	if (index >= checker->n_types) {
		size_t n = index + 16;

		checker->types = ck_need(realloc(checker->types, n * sizeof(struct type *)));
		memset(checker->types + checker->n_types, 0,
		       (n - checker->n_types) * sizeof(struct type *));
		checker->n_types = n;
	}
	return &checker->types[index];
}

int ck_type_load(struct checker *checker, const struct xn_template_entry *entry)
{
	struct type **slot = type_slot(checker, entry->id), *type;
	uint8_t *image;
	int err;

	if (*slot)
		return 0;
	image = ck_need(malloc(entry->image_len));
	type = ck_need(calloc(1, sizeof(*type)));
	err = ck_newest_read(checker, entry->image_start * XN_BLOCK_SIZE, image, entry->image_len);
	if (!err)
		err = udf_template_load(image, entry->image_len, &type->tmpl, NULL);
	free(image);
	if (err) {
		free(type);
		return err;
	}
	type->info = udf_template_info(type->tmpl);
	type->blocks = (type->info->obj_size + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
	for (uint32_t i = 0; i < type->info->n_child; i++)
		type->child[i] = (uint32_t)xn_template_child_type(entry, type->info->child[i]);
	*slot = type;
	return 0;
}

void ck_types_free(struct checker *checker)
{
	for (size_t i = 0; i < checker->n_types; i++) {
		if (checker->types[i])
			udf_template_destroy(checker->types[i]->tmpl);
		free(checker->types[i]);
	}
	free(checker->types);
	checker->types = NULL;
	checker->n_types = 0;
}

/* ---- objects ---- */

struct object *ck_object_new(enum object_kind kind, uint64_t start, uint32_t blocks)
{
	struct object *object = ck_need(calloc(1, sizeof(*object)));

	object->kind = kind;
	object->start = start;
	object->blocks = blocks;
	LIST_INIT(&object->claims);
	return object;
}

void ck_object_free(struct object *object)
{
	free(object->bytes);
	free(object);
}

void ck_object_name(const struct object *object, uint32_t record, char *text, size_t size)
{
	static const char *const kinds[] = { "template", "root", "principal" };

	if (object->kind == OBJECT_TREE)
		snprintf(text, size, "record %u of object %" PRIu64, record, object->start);
	else
		snprintf(text, size, "%s %u", kinds[object->catalogue], record);
}

static const uint8_t *record_at(const struct type *type, const uint8_t *bytes, uint32_t record)
{
	return bytes + type->info->rec_off + (size_t)record * type->info->rec_size;
}

/* What the record names, if it can be told. */
static int record_owns(const struct type *type, const uint8_t *bytes, uint32_t record,
		       struct udf_extents *out, struct udf_fault *fault)
{
	struct udf_budget budget = UDF_BUDGET_FULL;

	return udf_owns(type->tmpl, record_at(type, bytes, record), record, bytes, &budget, out,
			NULL, fault);
}

static struct named named_of(const struct type *type, const struct udf_extent *extent)
{
	return (struct named){ extent->start, extent->count, type->child[extent->child] };
}

static void complain(struct checker *checker, const struct object *object, uint32_t record, int err,
		     const struct udf_fault *fault)
{
	if (checker->adopting)
		return;
	ck_violation(checker, BDEV_CHECK_OWNS, "owns of record %u of object %" PRIu64 ": %s",
		     record, object->start,
		     err == UDF_EFAULT ? udf_fault_text(fault->code) : udf_error_text(err));
}

void ck_object_scan(struct checker *checker, struct object *object)
{
	const struct type *type = object->type;
	size_t len = (size_t)object->blocks * XN_BLOCK_SIZE;
	struct udf_extents list = { 0 };
	struct udf_fault fault;

	object->bytes = ck_need(calloc(1, len));
	if (ck_newest_read(checker, object->start * XN_BLOCK_SIZE, object->bytes, len))
		return; /* what cannot be read names nothing that we know of */
	for (uint32_t record = 0; record < type->info->rec_count; record++) {
		int err;

		list.n = 0;
		err = record_owns(type, object->bytes, record, &list, &fault);
		if (err)
			complain(checker, object, record, err, &fault);
		for (size_t i = 0; i < list.n && !err; i++) {
			struct named named = named_of(type, &list.v[i]);

			ck_claim_add(checker, object, record, &named, object->by);
		}
	}
	udf_extents_fini(&list);
}

/* ---- a write of an object ---- */

static void change_note(struct changes *changes, struct change change)
{
	if (changes->n == changes->cap) {
		changes->cap = changes->cap ? changes->cap * 2 : 64;
		changes->v = ck_need(realloc(changes->v, changes->cap * sizeof(*changes->v)));
	}
	changes->v[changes->n++] = change;
}

/* Mark the sectors of [from, to) in which the object changes; returns how many, and the last. */
static unsigned sectors_differ(const struct rewrite *rw, size_t from, size_t to, unsigned *last)
{
	unsigned n = 0;

	for (size_t at = from; at < to;) {
		size_t end = (at / BDEV_SECTOR + 1) * BDEV_SECTOR;

		if (end > to)
			end = to;
		if (memcmp(rw->object->bytes + at, rw->after + at, end - at) != 0) {
			*last = (unsigned)(at / BDEV_SECTOR);
			n++;
		}
		at = end;
	}
	return n;
}

/* The atom that makes the record what it is now. */
static struct atom *record_atom(struct rewrite *rw, uint32_t record)
{
	const struct udf_info *info = rw->object->type->info;
	size_t from = info->rec_off + (size_t)record * info->rec_size;
	unsigned own = 0, head = 0;
	unsigned n = sectors_differ(rw, from, from + info->rec_size, &own);
	unsigned m = rw->header ? sectors_differ(rw, 0, info->hdr_len, &head) : 0;

	if (rw->atom)
		return rw->atom;
	if (n > 1 || m > 1 || (n && m && own != head))
		ck_violation(rw->checker, BDEV_CHECK_TORN,
			     "record %u of object %" PRIu64
			     " changes what it owns in more than one sector",
			     record, rw->object->start);
	return ck_atom_get(rw->write, rw->object->start * XN_BLOCK_SECTORS + (n ? own : head));
}

static void record_changed(struct rewrite *rw, uint32_t record)
{
	const struct type *type = rw->object->type;
	struct udf_extents before = { 0 }, after = { 0 }, added = { 0 }, removed = { 0 };
	struct udf_fault fault;
	struct atom *atom;
	int err;

	if (record_owns(type, rw->object->bytes, record, &before, &fault))
		before.n = 0; /* it was complained of, or adopted */
	err = record_owns(type, rw->after, record, &after, &fault);
	if (!err)
		err = udf_extents_diff(&before, &after, rw->checker->super.block_count, &added,
				       &removed);
	if (err)
		complain(rw->checker, rw->object, record, err, &fault);
	if (!err && (added.n || removed.n)) {
		atom = record_atom(rw, record);
		for (size_t i = 0; i < removed.n; i++) {
			struct named named = named_of(type, &removed.v[i]);

			ck_claim_drop(rw->checker, rw->object, record, &named, atom);
		}
		for (size_t i = 0; i < added.n; i++)
			change_note(rw->added,
				    (struct change){ rw->object, record,
						     named_of(type, &added.v[i]), atom });
	}
	udf_extents_fini(&before);
	udf_extents_fini(&after);
	udf_extents_fini(&added);
	udf_extents_fini(&removed);
}

/* Records that have a byte in this sector and differ; each once, by its first changed sector. */
static void sector_changed(struct rewrite *rw, unsigned sector)
{
	const struct udf_info *info = rw->object->type->info;
	uint64_t from = (uint64_t)sector * BDEV_SECTOR, to = from + BDEV_SECTOR;
	uint64_t first = 0;

	if (info->rec_count && from > info->rec_off)
		first = (from - info->rec_off) / info->rec_size;
	for (uint64_t r = first; r < info->rec_count; r++) {
		uint64_t at = info->rec_off + r * info->rec_size;
		bool seen = false;

		if (at >= to)
			break;
		for (uint64_t s = at / BDEV_SECTOR; s < sector; s++)
			seen |= rw->changed[s];
		if (!seen && memcmp(rw->object->bytes + at, rw->after + at, info->rec_size) != 0)
			record_changed(rw, (uint32_t)r);
	}
}

static void rewrite_run(struct rewrite *rw)
{
	const struct udf_info *info = rw->object->type->info;
	unsigned sectors = rw->object->blocks * XN_BLOCK_SECTORS;

	rw->header = info->hdr_len && memcmp(rw->object->bytes, rw->after, info->hdr_len) != 0;
	for (uint32_t r = 0; rw->header && r < info->rec_count; r++)
		record_changed(rw, r);
	for (unsigned s = 0; !rw->header && s < sectors; s++)
		if (rw->changed[s])
			sector_changed(rw, s);
}

/* From the bytes it has to `after`, which becomes its own. */
static void rewrite_to(struct rewrite *rw, uint8_t *after)
{
	struct object *object = rw->object;
	size_t len = (size_t)object->blocks * XN_BLOCK_SIZE;
	bool any = false;

	rw->after = after;
	for (unsigned s = 0; s < len / BDEV_SECTOR; s++) {
		rw->changed[s] = memcmp(object->bytes + (size_t)s * BDEV_SECTOR,
					after + (size_t)s * BDEV_SECTOR, BDEV_SECTOR) != 0;
		any |= rw->changed[s];
	}
	if (any)
		rewrite_run(rw);
	free(object->bytes);
	object->bytes = after;
}

/* A copy of the object's bytes; what records that count say of them stays true. */
static uint8_t *bytes_after(struct checker *checker, const struct object *object,
			    const struct write *write)
{
	uint64_t base = object->start * XN_BLOCK_SIZE;
	size_t len = (size_t)object->blocks * XN_BLOCK_SIZE;
	uint8_t *after = ck_need(malloc(len));

	memcpy(after, object->bytes, len);
	if (write)
		ck_write_overlay(write, base, after, len);
	for (size_t at = 0; at < len; at += BDEV_SECTOR)
		ck_log_overlay(checker, (base + at) / BDEV_SECTOR, after + at);
	return after;
}

void ck_object_written(struct checker *checker, struct object *object, struct write *write)
{
	struct changes changes = { 0 };
	struct rewrite rw = {
		.checker = checker, .object = object, .write = write, .added = &changes
	};

	rewrite_to(&rw, bytes_after(checker, object, write));
	ck_changes_end(checker, &changes);
}

void ck_object_logged(struct checker *checker, struct object *object, struct atom *atom,
		      struct changes *changes)
{
	struct rewrite rw = {
		.checker = checker, .object = object, .atom = atom, .added = changes
	};

	rewrite_to(&rw, bytes_after(checker, object, NULL));
}

void ck_changes_end(struct checker *checker, struct changes *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct change *change = &changes->v[i];

		ck_claim_add(checker, change->object, change->record, &change->named, change->atom);
	}
	free(changes->v);
	ck_claims_settle(checker);
}
