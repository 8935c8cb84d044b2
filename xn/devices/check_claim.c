/* SPDX-License-Identifier: MIT */
/*
 * Who names which block, in any version that a crash may leave.
 *
 *  (1) A block is named at most once: a new name is a violation while another may be
 *      on the medium, unless the very atom that brings the new one takes the old away.
 *  (2) A block is named only after it was written whole since it was last unnamed, and
 *      flushed; RESERVED blocks are named unwritten.
 *  (3) A named block is shown in use by every map that may be on the medium.
 *  (4) With the last name of an object end the names that its records gave.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 512u /* of a tree looked up towards its root */

bool ck_inside(const struct checker *checker, uint64_t start, uint64_t count)
{
	uint64_t blocks = checker->super.block_count;

	return start > 0 && count > 0 && start < blocks && count <= blocks - start;
}

struct block *ck_block_get(struct checker *checker, uint64_t block)
{
	return &ck_chunk_get(checker, block / XN_CHUNK_BLOCKS)->blocks[block % XN_CHUNK_BLOCKS];
}

/* ---- claims ---- */

static struct claim *claim_new(struct block *block, struct object *owner, uint32_t record,
			       uint32_t type, uint64_t number)
{
	struct claim *claim = ck_need(calloc(1, sizeof(*claim)));

	claim->owner = owner;
	claim->block = number;
	claim->record = record;
	claim->type = type;
	claim->next = block->claims;
	block->claims = claim;
	LIST_INSERT_HEAD(&owner->claims, claim, of_owner);
	return claim;
}

static struct claim *claim_find(const struct block *block, const struct object *owner,
				uint32_t record, uint32_t type)
{
	struct claim *claim = block->claims;

	while (claim && (claim->owner != owner || claim->record != record || claim->type != type))
		claim = claim->next;
	return claim;
}

static bool names_object(const struct block *block, const struct object *object)
{
	const struct claim *claim = block->claims;

	while (claim && claim->type != object->type_id)
		claim = claim->next;
	return claim;
}

static void object_ends(struct checker *checker, struct object *object)
{
	if (object->ending)
		return;
	if (object->unscanned)
		STAILQ_REMOVE(&checker->to_scan, object, object, to_scan);
	object->unscanned = false;
	object->ending = true;
	STAILQ_INSERT_TAIL(&checker->to_end, object, to_end);
}

/* The claim ends; with the last name of an object its own claims will. */
static void claim_end(struct checker *checker, struct claim *claim)
{
	struct block *block = ck_block_get(checker, claim->block);
	struct object *object = block->object;
	struct claim **at = &block->claims;

	while (*at != claim)
		at = &(*at)->next;
	*at = claim->next;
	LIST_REMOVE(claim, of_owner);
	if (claim->dropped)
		LIST_REMOVE(claim, of_atom);
	if (!block->claims)
		block->state = BLOCK_GIVEN;
	if (object && object->start == claim->block && object->kind == OBJECT_TREE &&
	    !names_object(block, object))
		object_ends(checker, object);
	free(claim);
}

static void object_end(struct checker *checker, struct object *object)
{
	struct claim *claim, *next;

	for (claim = LIST_FIRST(&object->claims); claim; claim = next) {
		next = LIST_NEXT(claim, of_owner);
		claim_end(checker, claim);
	}
	for (uint64_t b = object->start; b < object->start + object->blocks; b++)
		if (ck_block_get(checker, b)->object == object)
			ck_block_get(checker, b)->object = NULL;
	ck_object_free(object);
}

static void objects_end(struct checker *checker)
{
	struct object *object;

	while ((object = STAILQ_FIRST(&checker->to_end))) {
		STAILQ_REMOVE_HEAD(&checker->to_end, to_end);
		object_end(checker, object);
	}
}

void ck_dropped_end(struct checker *checker, struct atom *atom)
{
	struct claim *claim, *next;

	for (claim = LIST_FIRST(&atom->dropped); claim; claim = next) {
		next = LIST_NEXT(claim, of_atom);
		claim_end(checker, claim);
	}
	objects_end(checker);
}

/*
 * By what atom the newest bytes no longer name this: its own record's, or one further up that gave
 * up the whole subtree.  NULL: it is named.
 */
static struct atom *claim_leaves(struct checker *checker, const struct claim *claim, unsigned depth)
{
	struct atom *atom = NULL;

	if (claim->dropped || claim->owner->kind != OBJECT_TREE || depth > DEPTH_MAX)
		return claim->dropped;
	claim = ck_block_get(checker, claim->owner->start)->claims;
	for (; claim; claim = claim->next) {
		atom = claim_leaves(checker, claim, depth + 1);
		if (!atom)
			return NULL;
	}
	return atom;
}

/* ---- the rules about a new name ---- */

/* Is the old name gone wherever the new one is?  Records of the log count in their order. */
static bool same_fate(const struct atom *by, const struct atom *atom)
{
	return by == atom || (atom && by->kind == ATOM_RECORD && atom->kind == ATOM_RECORD);
}

static bool is_counted(struct checker *checker, uint32_t type_id)
{
	const struct type *type = ck_type_find(checker, type_id);

	return type && type->info->has[UDF_FN_REFCNT];
}

/*
 * What stands in the way of a new name, or NULL.  An object whose template counts its owners
 * (`counted`: its type) may have several names.
 */
static const struct claim *claim_rival(struct checker *checker, const struct block *block,
				       const struct atom *atom, uint32_t counted)
{
	const struct claim *left = NULL;
	bool handed_over = false;

	for (const struct claim *claim = block->claims; claim; claim = claim->next) {
		const struct atom *by = claim_leaves(checker, claim, 0);

		if (counted && claim->type == counted)
			continue;
		if (!by)
			return claim;
		if (same_fate(by, atom))
			handed_over = true;
		else
			left = claim;
	}
	return handed_over ? NULL : left;
}

static bool check_rival(struct checker *checker, struct block *block, const struct object *owner,
			uint32_t record, const struct named *named, uint64_t number,
			const struct atom *atom)
{
	uint32_t counted = is_counted(checker, named->type) ? named->type : 0;
	const struct claim *rival = claim_rival(checker, block, atom, counted);
	const struct atom *by = rival ? claim_leaves(checker, rival, 0) : NULL;
	char who[64], other[64];

	if (!rival)
		return true;
	ck_object_name(owner, record, who, sizeof(who));
	ck_object_name(rival->owner, rival->record, other, sizeof(other));
	if (by && block->last <= by->write->number && rival->type == named->type)
		ck_violation(checker, BDEV_CHECK_MOVED,
			     "block %llu moves from %s to %s, and the old name is cleared in the "
			     "same wave",
			     (unsigned long long)number, other, who);
	else
		ck_violation(checker, BDEV_CHECK_REUSED,
			     "block %llu is named by %s, and the disk may still name it by %s",
			     (unsigned long long)number, who, other);
	return false;
}

static bool check_written(struct checker *checker, const struct block *block,
			  const struct object *owner, uint32_t record, const struct named *named,
			  uint64_t number, const struct atom *atom)
{
	char who[64];

	if (named->type == XN_TYPE_RESERVED || block->state == BLOCK_STABLE ||
	    ck_log_writes(checker, atom, number))
		return true;
	ck_object_name(owner, record, who, sizeof(who));
	if (block->state == BLOCK_GIVEN)
		ck_violation(
			checker, BDEV_CHECK_MOVED,
			"block %llu is named by %s, was given up before that was on disk, and not "
			"written since",
			(unsigned long long)number, who);
	else
		ck_violation(checker, BDEV_CHECK_UNWRITTEN, "block %llu is named by %s and %s",
			     (unsigned long long)number, who,
			     block->state == BLOCK_PENDING ? "not yet stable"
							   : "was never written");
	return false;
}

static bool check_shown(struct checker *checker, const struct object *owner, uint32_t record,
			uint64_t number, const struct atom *atom)
{
	char who[64];

	if (ck_map_shows(checker, number) || ck_log_shows(checker, atom, number))
		return true;
	ck_object_name(owner, record, who, sizeof(who));
	ck_violation(checker, BDEV_CHECK_MAP,
		     "block %llu is named by %s and may be free on the map on disk",
		     (unsigned long long)number, who);
	return false;
}

static bool is_fixed(struct checker *checker, uint64_t number)
{
	const struct chunk *chunk = ck_chunk_get(checker, number / XN_CHUNK_BLOCKS);
	uint64_t bit = number % XN_CHUNK_BLOCKS;

	return chunk->fixed[bit / 8] >> (bit % 8) & 1;
}

/* One complaint of a kind for an extent is enough. */
static void check_names(struct checker *checker, const struct object *owner, uint32_t record,
			const struct named *named, const struct atom *atom)
{
	bool alone = true, written = true, shown = true;
	char who[64];

	for (uint64_t b = named->start; b < named->start + named->count; b++) {
		struct block *block = ck_block_get(checker, b);

		if (is_fixed(checker, b)) {
			ck_object_name(owner, record, who, sizeof(who));
			ck_violation(checker, BDEV_CHECK_REUSED,
				     "block %llu is named by %s and is XN's own",
				     (unsigned long long)b, who);
			return;
		}
		if (alone)
			alone = check_rival(checker, block, owner, record, named, b, atom);
		if (written)
			written = check_written(checker, block, owner, record, named, b, atom);
		if (shown)
			shown = check_shown(checker, owner, record, b, atom);
	}
}

/* ---- names come and go ---- */

static void object_attach(struct checker *checker, uint64_t start, uint32_t type_id,
			  const struct type *type, struct atom *atom)
{
	struct object *object = ck_block_get(checker, start)->object;

	if (object && object->start == start && object->type_id == type_id && !object->ending)
		return; /* it moves */
	for (uint64_t b = start; b < start + type->blocks; b++)
		if (ck_block_get(checker, b)->object &&
		    ck_block_get(checker, b)->object->kind != OBJECT_TREE)
			return; /* XN's own: complained of, or adopted */
	object = ck_object_new(OBJECT_TREE, start, type->blocks);
	object->type = type;
	object->type_id = type_id;
	for (uint64_t b = start; b < start + type->blocks; b++) {
		struct object *old = ck_block_get(checker, b)->object;

		/* Only a broken rule leads here: the old one's names end. */
		if (old)
			object_ends(checker, old);
		ck_block_get(checker, b)->object = object;
	}
	object->by = atom;
	object->unscanned = true;
	STAILQ_INSERT_TAIL(&checker->to_scan, object, to_scan);
}

static void objects_attach(struct checker *checker, const struct object *owner, uint32_t record,
			   const struct named *named, struct atom *atom)
{
	const struct type *type = ck_type_find(checker, named->type);
	char who[64];

	if (!type || named->count % type->blocks) {
		ck_object_name(owner, record, who, sizeof(who));
		if (!checker->adopting)
			ck_violation(
				checker, BDEV_CHECK_OWNS,
				"%s names %llu blocks at %llu of type %u, which is no type or no "
				"whole number of objects",
				who, (unsigned long long)named->count,
				(unsigned long long)named->start, named->type);
		return;
	}
	for (uint64_t k = 0; k < named->count; k += type->blocks)
		object_attach(checker, named->start + k, named->type, type, atom);
}

static void claim_one(struct checker *checker, struct object *owner, uint32_t record, uint32_t type,
		      uint64_t number)
{
	struct block *block = ck_block_get(checker, number);
	struct claim *claim = claim_find(block, owner, record, type);

	if (claim && claim->dropped) {
		LIST_REMOVE(claim, of_atom);
		claim->dropped = NULL;
	} else if (!claim) {
		claim_new(block, owner, record, type, number);
	}
	if (type == XN_TYPE_RESERVED)
		block->state = BLOCK_NEVER; /* what it holds is not to be seen */
	else if (checker->adopting)
		block->state = BLOCK_STABLE;
}

void ck_claim_add(struct checker *checker, struct object *owner, uint32_t record,
		  const struct named *named, struct atom *atom)
{
	char who[64];

	if (!ck_inside(checker, named->start, named->count)) {
		ck_object_name(owner, record, who, sizeof(who));
		if (!checker->adopting)
			ck_violation(checker, BDEV_CHECK_OWNS,
				     "%s names %llu blocks at %llu, outside the disk", who,
				     (unsigned long long)named->count,
				     (unsigned long long)named->start);
		return;
	}
	if (!checker->adopting)
		check_names(checker, owner, record, named, atom);
	for (uint64_t b = named->start; b < named->start + named->count; b++)
		claim_one(checker, owner, record, named->type, b);
	if (named->type >= XN_TYPE_FIRST && named->type != TYPE_OWN)
		objects_attach(checker, owner, record, named, atom);
}

void ck_claim_drop(struct checker *checker, struct object *owner, uint32_t record,
		   const struct named *named, struct atom *atom)
{
	if (!ck_inside(checker, named->start, named->count))
		return;
	for (uint64_t b = named->start; b < named->start + named->count; b++) {
		struct claim *claim =
			claim_find(ck_block_get(checker, b), owner, record, named->type);

		if (!claim || claim->dropped)
			continue; /* it was refused when it was named */
		claim->dropped = atom;
		LIST_INSERT_HEAD(&atom->dropped, claim, of_atom);
	}
}

void ck_claims_settle(struct checker *checker)
{
	struct object *object;

	objects_end(checker);
	while ((object = STAILQ_FIRST(&checker->to_scan))) {
		STAILQ_REMOVE_HEAD(&checker->to_scan, to_scan);
		object->unscanned = false;
		ck_object_scan(checker, object);
		objects_end(checker);
	}
}

/* ---- writes ---- */

/* Was the block given up, directly, by a version that is not yet stable? */
static const struct claim *given_up(const struct block *block)
{
	const struct claim *claim = block->claims;

	for (; claim; claim = claim->next)
		if (!claim->dropped)
			return NULL;
	return block->claims;
}

void ck_block_written(struct checker *checker, uint64_t number, bool whole, struct write *write)
{
	struct block *block = ck_block_get(checker, number);
	const struct claim *claim = given_up(block);
	char who[64];

	if (claim) {
		ck_object_name(claim->owner, claim->record, who, sizeof(who));
		ck_violation(
			checker, BDEV_CHECK_REUSED,
			"block %llu is written, and the disk may still name it by %s, which gave "
			"it up",
			(unsigned long long)number, who);
	} else if (block->claims && block->claims->type == TYPE_OWN && !block->object) {
		ck_violation(checker, BDEV_CHECK_STRAY,
			     "block %llu is written and holds a template's image",
			     (unsigned long long)number);
	}
	block->last = write->number;
	if (whole && block->state != BLOCK_STABLE) {
		block->state = BLOCK_PENDING;
		block->pending = write->number;
	}
}
