/* SPDX-License-Identifier: MIT */
/*
 * Running `owns`, and not running it again.
 *
 *  (1) A run's result is a function of template, record, index and header, and of
 *      nothing else.  So what was run on the very same bytes need not be run again:
 *      a known result is used only if all of them compare equal, byte by byte.
 *  (2) A known result costs the budget what the run had cost: what is refused does
 *      not depend on what is known.
 *  (3) Only runs that ended well are kept.  Whether the extents lie on the disk, and
 *      are whole objects, is asked anew each time.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_SLOTS   256u /* a power of two */
#define KNOWN_BYTES   512u /* of record and header together */
#define KNOWN_EXTENTS 16u
#define WORTH_BYTES   64u /* a smaller record is run faster than looked up */

struct known {
	const struct type *type; /* NULL: nothing is known here; types live as long as the disk */
	uint32_t record;
	uint32_t n;
	uint64_t fuel;
	struct udf_extent v[KNOWN_EXTENTS];
	uint8_t bytes[KNOWN_BYTES]; /* the record, then the header */
};

struct known_owns {
	struct known slot[KNOWN_SLOTS];
};

struct known_owns *known_owns_create(void)
{
	return calloc(1, sizeof(struct known_owns));
}

/* ---- running ---- */

static int fault_refuse(struct xn_refusal *why, const struct type *type, int result,
			const struct udf_fault *fault)
{
	int err;

	if (result != UDF_EFAULT)
		return result == UDF_ENOMEM ? -ENOMEM : -EINVAL;
	err = refuse(why, fault->code == UDF_FAULT_FUEL ? XN_EFUEL : XN_EFAULT, 0,
		     "%s of template %s faulted at slot %u in record %d: %s",
		     udf_function_name(fault->function), type->info->name, fault->slot,
		     (int)fault->record, udf_fault_text(fault->code));
	if (why) {
		why->record = fault->record;
		why->function = fault->function;
		why->fault = fault->code;
		why->slot = fault->slot;
		why->value = fault->value;
	}
	return err;
}

/* Local child numbers become global types, and every extent must be whole objects on the disk. */
static int extents_translate(const struct xn *xn, const struct type *type, struct udf_extents *list,
			     size_t from, struct xn_refusal *why)
{
	for (size_t i = from; i < list->n; i++) {
		struct udf_extent *extent = &list->v[i];
		const struct type *child;

		extent->child = type->child[extent->child];
		child = type_find(xn, extent->child);
		if (extent->start == 0 || extent->start + extent->count > xn->super.block_count)
			return refuse(why, -ERANGE, extent->start,
				      "a record names blocks outside the disk");
		if (child && extent->count % child->blocks)
			return refuse(why, XN_ETYPE, extent->start,
				      "an extent is no whole number of objects of %s",
				      child->info->name);
	}
	return 0;
}

static int run(struct xn *xn, const struct type *type, const uint8_t *bytes, uint32_t record,
	       const uint8_t *header, struct udf_budget *budget, struct udf_extents *out,
	       struct xn_refusal *why)
{
	struct udf_fault fault = { 0 };
	uint64_t fuel = budget->fuel;
	int result = udf_owns(type->tmpl, bytes, record, header, budget, out, NULL, &fault);

	xn->stats.owns_runs++;
	xn->stats.fuel_used += fuel - budget->fuel;
	return result ? fault_refuse(why, type, result, &fault) : 0;
}

/* ---- knowing ---- */

static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Where a result may be known: only a hint, so a few of the bytes will do.  NULL: nowhere. */
static struct known *known_place(const struct xn *xn, const struct type *type, const uint8_t *bytes,
				 uint32_t record)
{
	const struct udf_info *info = type->info;
	uint64_t hash = record + ((uint64_t)type->id << 32);

	if (!xn->known_owns || info->rec_size < WORTH_BYTES ||
	    info->rec_size + info->hdr_len > KNOWN_BYTES)
		return NULL;
	for (uint32_t at = 0; at < 4 * sizeof(uint64_t); at += sizeof(uint64_t))
		hash = (hash ^ word_at(bytes + at)) * 0x9e3779b97f4a7c15ull;
	return &xn->known_owns->slot[hash >> 56 & (KNOWN_SLOTS - 1)];
}

static bool known_is(const struct known *known, const struct type *type, const uint8_t *bytes,
		     uint32_t record, const uint8_t *header)
{
	const struct udf_info *info = type->info;

	return known->type == type && known->record == record &&
	       memcmp(known->bytes, bytes, info->rec_size) == 0 &&
	       (!info->hdr_len ||
		memcmp(known->bytes + info->rec_size, header, info->hdr_len) == 0);
}

static int known_take(struct known *known, struct udf_budget *budget, struct udf_extents *out)
{
	for (uint32_t i = 0; i < known->n; i++) {
		if (udf_extents_add(out, known->v[i]))
			return -ENOMEM;
	}
	budget->fuel -= known->fuel;
	budget->emits -= known->n;
	return 0;
}

static void known_learn(struct known *known, const struct type *type, const uint8_t *bytes,
			uint32_t record, const uint8_t *header, uint64_t fuel,
			const struct udf_extents *list, size_t from)
{
	const struct udf_info *info = type->info;

	if (list->n - from > KNOWN_EXTENTS)
		return;
	known->type = type;
	known->record = record;
	known->n = (uint32_t)(list->n - from);
	known->fuel = fuel;
	memcpy(known->bytes, bytes, info->rec_size);
	if (info->hdr_len)
		memcpy(known->bytes + info->rec_size, header, info->hdr_len);
	if (known->n)
		memcpy(known->v, list->v + from, known->n * sizeof(known->v[0]));
}

int owns_bytes(struct xn *xn, const struct type *type, const uint8_t *bytes, uint32_t record,
	       const uint8_t *header, struct udf_budget *budget, struct udf_extents *out,
	       struct xn_refusal *why)
{
	struct known *known = known_place(xn, type, bytes, record);
	size_t from = out->n;
	uint64_t fuel = budget->fuel;
	int err;

	if (known && known_is(known, type, bytes, record, header) && budget->fuel >= known->fuel &&
	    budget->emits >= known->n) {
		err = known_take(known, budget, out);
		xn->stats.owns_known++;
	} else {
		err = run(xn, type, bytes, record, header, budget, out, why);
		if (known && !err)
			known_learn(known, type, bytes, record, header, fuel - budget->fuel, out,
				    from);
	}
	return err ? err : extents_translate(xn, type, out, from, why);
}

int owns_record(struct xn *xn, const struct type *type, const uint8_t *object, uint32_t record,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	const struct udf_info *info = type->info;

	return owns_bytes(xn, type, object + info->rec_off + (size_t)record * info->rec_size,
			  record, object, budget, out, why);
}

/*
 * All records.  `budget` NULL is for XN's own errands, which nobody's costly object
 * may keep from their end: each record may spend what a record may.
 */
int owns_object(struct xn *xn, const struct type *type, const uint8_t *object,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	const struct udf_info *info = type->info;
	int err = 0;

	if (!info->has[UDF_FN_OWNS])
		return 0;
	for (uint32_t i = 0; i < info->rec_count && !err; i++) {
		struct udf_budget own = UDF_BUDGET_FULL;

		err = owns_record(xn, type, object, i, budget ? budget : &own, out, why);
	}
	return err;
}
