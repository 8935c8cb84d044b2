/* SPDX-License-Identifier: MIT */
/*
 * Running `owns`, and not running it again.
 *
 *  (1) A run's result is a function of template, index and the bytes that it read,
 *      and of nothing else: what it reads next follows from what it read before, and
 *      the machine notes every byte (udf/interp.h, (5)).  So a known result is used
 *      only if all bytes that its run read compare equal; what stands in the others
 *      cannot matter, for a run would not look at it.
 *  (2) A known result costs the budget what the run had cost: what is refused does
 *      not depend on what is known.
 *  (3) Only runs that ended well, and whose extents lie on the disk and are whole
 *      objects, are kept.  A disk may shrink: that they lie on it is asked anew each
 *      time.
 *  (4) Where a result is looked for, is a hint: by the object's block, which is not
 *      compared.
 *
 * With assertions on, every result that is used is compared with a run.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_SLOTS   4096u /* a power of two; in memory as far as they are used: 4 MiB */
#define KNOWN_BYTES   512u  /* of record and header together */
#define KNOWN_WORDS   32u   /* of these, read */
#define KNOWN_EXTENTS 8u
#define WORTH_BYTES   64u /* a smaller record is run faster than looked up */

struct known {
	const struct type *type; /* NULL: nothing is known here; types live as long as the disk */
	uint32_t record;
	uint32_t n; /* extents */
	uint64_t fuel;
	uint64_t end;               /* of the extent that lies highest */
	uint32_t n_record, n_words; /* words of the record come first, then those of the header */
	struct known_word word[KNOWN_WORDS];
	struct udf_extent v[KNOWN_EXTENTS]; /* of global types */
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

static int run(struct xn *xn, const struct piece *piece, const struct udf_read_set *read_set,
	       struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	struct udf_fault fault = { 0 };
	uint64_t fuel = budget->fuel;
	size_t from = out->n;
	int result = udf_owns(piece->type->tmpl, piece->bytes, piece->record, piece->header, budget,
			      out, read_set, &fault);

	xn->stats.owns_runs++;
	xn->stats.fuel_used += fuel - budget->fuel;
	return result ? fault_refuse(why, piece->type, result, &fault)
		      : extents_translate(xn, piece->type, out, from, why);
}

/* ---- knowing ---- */

static uint64_t word_at(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* Where a result may be known.  NULL: nowhere. */
static struct known *known_place(const struct xn *xn, const struct piece *piece, xn_blk_t object)
{
	const struct udf_info *info = piece->type->info;
	uint64_t hash =
		(object + (uint64_t)piece->record * 0xff51afd7ed558ccdull) * 0x9e3779b97f4a7c15ull;

	if (!object || !xn->known_owns || info->rec_size < WORTH_BYTES ||
	    info->rec_size + info->hdr_len > KNOWN_BYTES ||
	    (info->hdr_len && info->hdr_len < sizeof(uint64_t)))
		return NULL;
	return &xn->known_owns->slot[hash >> 40 & (KNOWN_SLOTS - 1)];
}

bool words_are(const struct known_word *word, uint32_t n, const uint8_t *bytes)
{
	uint64_t differ = 0;

	for (uint32_t i = 0; i < n; i++)
		differ |= (word_at(bytes + word[i].at) ^ word[i].value) & word[i].mask;
	return differ == 0;
}

static bool known_is(const struct xn *xn, const struct known *known, const struct piece *piece)
{
	return known->type == piece->type && known->record == piece->record &&
	       known->end <= xn->super.block_count &&
	       words_are(known->word, known->n_record, piece->bytes) &&
	       words_are(known->word + known->n_record, known->n_words - known->n_record,
			 piece->header);
}

static int known_take(const struct known *known, struct udf_budget *budget, struct udf_extents *out)
{
	if (udf_extents_append(out, known->v, known->n))
		return -ENOMEM;
	budget->fuel -= known->fuel;
	budget->emits -= known->n;
	return 0;
}

/* Is what is known what a run would say?  For assertions: -ENOMEM makes no difference. */
static inline bool known_is_true(const struct xn *xn, const struct known *known,
				 const struct piece *piece)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents list = { 0 };
	int err = udf_owns(piece->type->tmpl, piece->bytes, piece->record, piece->header, &budget,
			   &list, NULL, NULL);
	bool same;

	if (!err)
		err = extents_translate(xn, piece->type, &list, 0, NULL);
	same = !err && list.n == known->n && UDF_OP_FUEL_MAX - budget.fuel == known->fuel;
	for (uint32_t i = 0; same && i < known->n; i++)
		same = memcmp(&list.v[i], &known->v[i], sizeof(list.v[i])) == 0;
	udf_extents_fini(&list);
	return same || err == UDF_ENOMEM;
}

uint32_t words_learn(struct known_word *word, uint32_t max, const uint8_t *bytes,
		     const uint8_t *seen, uint32_t size)
{
	uint32_t n = 0, at = 0;

	for (; at < size; at += sizeof(uint64_t)) {
		uint64_t mask;

		/* The last one may begin before the one before it ends. */
		if (size - at < sizeof(uint64_t))
			at = size - sizeof(uint64_t);
		mask = word_at(seen + at);
		if (!mask)
			continue;
		if (n == max)
			return max + 1;
		word[n++] = (struct known_word){ word_at(bytes + at), mask, at };
	}
	return n;
}

static void known_learn(struct known *known, const struct piece *piece,
			const struct udf_read_set *seen, uint64_t fuel,
			const struct udf_extents *list, size_t from)
{
	const struct udf_info *info = piece->type->info;

	known->type = NULL;
	if (list->n - from > KNOWN_EXTENTS)
		return;
	known->n_record =
		words_learn(known->word, KNOWN_WORDS, piece->bytes, seen->record, info->rec_size);
	if (known->n_record > KNOWN_WORDS)
		return;
	known->n_words = known->n_record + words_learn(known->word + known->n_record,
						       KNOWN_WORDS - known->n_record, piece->header,
						       seen->header, info->hdr_len);
	if (known->n_words > KNOWN_WORDS)
		return;
	known->type = piece->type;
	known->record = piece->record;
	known->n = (uint32_t)(list->n - from);
	known->fuel = fuel;
	known->end = 0;
	for (uint32_t i = 0; i < known->n; i++) {
		known->v[i] = list->v[from + i];
		if (known->v[i].start + known->v[i].count > known->end)
			known->end = known->v[i].start + known->v[i].count;
	}
}

/* Run, and remember what came of it. */
static int run_and_learn(struct xn *xn, struct known *known, const struct piece *piece,
			 struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	uint8_t seen[KNOWN_BYTES];
	const struct udf_read_set read_set = { seen, seen + piece->type->info->rec_size };
	uint64_t fuel = budget->fuel;
	size_t from = out->n;
	int err;

	memset(seen, 0, piece->type->info->rec_size + piece->type->info->hdr_len);
	err = run(xn, piece, &read_set, budget, out, why);
	if (!err)
		known_learn(known, piece, &read_set, fuel - budget->fuel, out, from);
	return err;
}

int owns_piece(struct xn *xn, xn_blk_t start, const struct piece *piece, struct udf_budget *budget,
	       struct udf_extents *out, struct xn_refusal *why)
{
	struct known *known = known_place(xn, piece, start);

	if (!known)
		return run(xn, piece, NULL, budget, out, why);
	if (!known_is(xn, known, piece) || budget->fuel < known->fuel || budget->emits < known->n)
		return run_and_learn(xn, known, piece, budget, out, why);
	assert(known_is_true(xn, known, piece));
	xn->stats.owns_known++;
	return known_take(known, budget, out);
}

int owns_record(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *object,
		uint32_t record, struct udf_budget *budget, struct udf_extents *out,
		struct xn_refusal *why)
{
	const struct udf_info *info = type->info;
	const uint8_t *bytes = object + info->rec_off + (size_t)record * info->rec_size;
	const struct piece piece = { type, bytes, object, record };

	return owns_piece(xn, start, &piece, budget, out, why);
}

/*
 * All records.  `budget` NULL is for XN's own errands, which nobody's costly object
 * may keep from their end: each record may spend what a record may.
 */
int owns_object(struct xn *xn, const struct type *type, xn_blk_t start, const uint8_t *object,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	const struct udf_info *info = type->info;
	int err = 0;

	if (!info->has[UDF_FN_OWNS])
		return 0;
	for (uint32_t i = 0; i < info->rec_count && !err; i++) {
		struct udf_budget own = UDF_BUDGET_FULL;

		err = owns_record(xn, type, start, object, i, budget ? budget : &own, out, why);
	}
	return err;
}
