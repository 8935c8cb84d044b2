/* SPDX-License-Identifier: MIT */
/*
 * Everything that roots own, found by running the templates' `owns`.
 *
 *  (1) No recursion: objects to visit wait on a stack of extents.
 *  (2) A block is claimed by the first that names it and visited once, so the
 *      walk ends whatever the disk says.
 *  (3) Roots whose objects carry checksums come first, and pointers in sectors that were
 *      damaged last (suspect.c): who comes first keeps a block that others name as well.
 *  (4) Whatever could not be read or understood makes the root incomplete, and
 *      then nothing on the disk is freed.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct visit {
	struct fsck *f;
	struct root *root;
	const struct type *type; /* of the object whose pointers are looked at */
	uint64_t object;         /* its block; 0 = the root's own entry */
	uint64_t owner, owner_type;
	bool mending;         /* it will be mended: what it names is asked about then */
	const uint8_t *bytes; /* the object's, while its pointers are looked at ... */
	size_t index;         /* ... and which */
	uint32_t record;      /* the same, without the bytes */
	bool suspect;         /* all that were beyond doubt were looked at before */
	struct udf_extents extents, of_record;
	struct suspicion suspicion;
};

static bool can_mend(const struct visit *visit)
{
	return visit->root->checker && visit->root->checker->mend;
}

static bool visit_found(struct visit *visit, enum fsck_problem_id id, const struct udf_extent *at,
			uint64_t count, const char *what)
{
	visit->root->complete = false;
	visit->f->complete = false;
	return fsck_found(visit->f->check, id,
			  &(struct fsck_note){ .block = at->start,
					       .other = visit->object,
					       .count = count,
					       .name = visit->object ? visit->type->entry.name
								     : "its root entry",
					       .what = what,
					       .helpless = !visit->object || !can_mend(visit) });
}

/* What was granted is done behind the walk; what does not fit in is found again by the next. */
static int action_add(struct visit *visit, struct action *action)
{
	struct fsck *f = visit->f;

	if (f->n_actions == ACTIONS_MAX)
		return 0;
	if (fsck_array_grow((void **)&f->actions, f->n_actions, &f->cap_actions,
			    sizeof(*f->actions)))
		return -ENOMEM;
	action->root = (uint32_t)(visit->root - f->roots);
	action->object = visit->object;
	action->type = visit->type->entry.id;
	action->record = visit->record;
	if (action->kind == ACT_MEND)
		action->record = 0;
	else if (visit->bytes)
		action->record = fsck_record_of(visit->type, visit->bytes, visit->index);
	action->finding = check_finding_count(f->check) - 1;
	f->actions[f->n_actions++] = *action;
	return 0;
}

/* Once for an object: whatever is wrong with it, it is mended as a whole. */
static int object_found(struct visit *visit, enum fsck_problem_id id, uint64_t count,
			const char *what)
{
	struct action action = {
		.kind = ACT_MEND,
		.owner = visit->owner,
		.owner_type = visit->owner_type,
	};

	visit->root->complete = visit->f->complete = false;
	visit->mending = fsck_found(visit->f->check, id,
				    &(struct fsck_note){ .block = visit->object,
							 .count = count,
							 .name = visit->type->entry.name,
							 .what = what,
							 .helpless = !can_mend(visit) });
	if (!visit->mending)
		return 0;
	return action_add(visit, &action);
}

static int extent_cut(struct visit *visit, enum fsck_problem_id id, const struct udf_extent *at,
		      bool is_object, const char *what)
{
	struct action action = {
		.kind = ACT_CUT,
		.start = at->start,
		.count = at->count,
		.is_object = is_object,
	};

	return visit_found(visit, id, at, at->count, what) ? action_add(visit, &action) : 0;
}

/* ---- blocks that have an owner ---- */

/* The root that has the block; NULL: none, or there are too many to look through. */
static const struct root *owner_of(const struct fsck *f, uint64_t block)
{
	for (size_t i = 0; i < f->n_roots; i++)
		if (blockset_count(&f->roots[i].owned, block, 1))
			return &f->roots[i];
	return NULL;
}

/*
 * A second owner.  Data of one root, or of one user, is given to both; what is
 * another user's, and objects, stay with the first.
 */
static int owned_twice(struct visit *visit, const struct udf_extent *at, bool is_data)
{
	struct fsck *f = visit->f;
	struct action action = { .kind = ACT_COPY, .start = at->start, .count = at->count };
	uint64_t first = at->start, end = at->start + at->count;
	const struct root *other;
	char text[96] = "";

	while (!blockset_count(&f->seen, first, 1))
		first++;
	while (!blockset_count(&f->seen, end - 1, 1))
		end--;
	other = owner_of(f, first);
	if (other)
		snprintf(text, sizeof(text), " (in root %s)", other->entry.name);
	if (!is_data || !other || other->entry.uid != visit->root->entry.uid)
		return extent_cut(visit, EXTENT_ANOTHERS, at, !is_data, text);
	action.bad_start = first;
	action.bad_count = end - first;
	return visit_found(visit, EXTENT_OWNED_TWICE, at, at->count, text)
		       ? action_add(visit, &action)
		       : 0;
}

/* Inside the disk, and nobody's so far? */
static bool is_plain(const struct fsck *f, const struct udf_extent *at)
{
	return at->count && at->start && at->start < f->limit &&
	       at->count <= f->limit - at->start && !fsck_super_owns(f, at->start, at->count) &&
	       !blockset_count(&f->own, at->start, at->count) &&
	       !blockset_count(&f->seen, at->start, at->count);
}

/* 1: it may be walked; 0: no, and that was said. */
static int extent_judge(struct visit *visit, const struct udf_extent *at, const struct type *type,
			uint64_t type_id)
{
	struct fsck *f = visit->f;
	int err = 0;

	if (visit->mending)
		return is_plain(f, at) && !(type && at->count % type->blocks);
	if (at->count == 0 || at->start == 0 || at->start >= f->limit ||
	    at->count > f->limit - at->start)
		err = extent_cut(visit, EXTENT_OUTSIDE, at, false, NULL);
	else if (fsck_super_owns(f, at->start, at->count) ||
		 blockset_count(&f->own, at->start, at->count))
		err = extent_cut(visit, EXTENT_XN_OWN, at, false, NULL);
	else if (type && at->count % type->blocks)
		err = extent_cut(visit, EXTENT_MISFIT, at, false, type->entry.name);
	else if (blockset_count(&f->seen, at->start, at->count))
		err = owned_twice(visit, at, type_id == XN_TYPE_DATA);
	else
		return 1;
	return err;
}

static int push(struct visit *visit, uint64_t start, uint64_t count, uint64_t type)
{
	struct fsck *f = visit->f;

	if (fsck_array_grow((void **)&f->stack, f->n_stack, &f->cap_stack, sizeof(*f->stack)))
		return -ENOMEM;
	f->stack[f->n_stack++] = (struct pending){ start, count, type, visit->object,
						   visit->object ? visit->type->entry.id : 0 };
	return 0;
}

static int extent_visit(struct visit *visit, const struct udf_extent *at, uint64_t type_id);

/* Objects that count their owners: each by itself, and those that were met before only counted. */
static int counted_visit(struct visit *visit, const struct udf_extent *at, uint64_t type_id,
			 uint32_t blocks)
{
	for (uint64_t k = 0; k < at->count; k += blocks) {
		struct udf_extent one = { at->start + k, blocks, at->child, 0 };
		int met = counted_meet(&visit->root->counted, one.start, type_id);

		if (met == 0)
			met = extent_visit(visit, &one, type_id);
		if (met < 0)
			return met;
	}
	return 0;
}

static bool is_counted(const struct fsck *f, uint64_t type_id, uint32_t *blocks)
{
	const struct type *type = type_id == XN_TYPE_DATA || type_id == XN_TYPE_RESERVED
					  ? NULL
					  : fsck_type_find(f, type_id);

	*blocks = type ? type->blocks : 1;
	return type && type->info->has[UDF_FN_REFCNT];
}

/* One extent that the object names, of a global type. */
static int extent_visit(struct visit *visit, const struct udf_extent *at, uint64_t type_id)
{
	struct fsck *f = visit->f;
	const struct type *type = NULL;
	int err;

	if (type_id != XN_TYPE_DATA && type_id != XN_TYPE_RESERVED) {
		type = fsck_type_find(f, type_id);
		if (!type)
			visit_found(visit, EXTENT_TYPE, at, type_id, NULL);
	}
	err = extent_judge(visit, at, type, type_id);
	if (err != 1)
		return err;
	if (blockset_add(&f->seen, at->start, at->count) ||
	    blockset_add(&visit->root->owned, at->start, at->count) ||
	    (visit->suspect && blockset_add(&f->doubted, at->start, at->count)))
		return -ENOMEM;
	return type ? push(visit, at->start, at->count, type_id) : 0;
}

static void fault_text(const struct udf_fault *fault, int err, char *text, size_t size)
{
	if (err != UDF_EFAULT)
		snprintf(text, size, "%s", udf_error_text(err));
	else if (fault->record == UDF_RECORD_NONE)
		snprintf(text, size, "%s at instruction %" PRIu32, udf_fault_text(fault->code),
			 fault->slot);
	else
		snprintf(text, size, "%s at instruction %" PRIu32 ", record %" PRIu32,
			 udf_fault_text(fault->code), fault->slot, fault->record);
}

/* 1: something is wrong with it, and that was said. */
static int object_check(struct visit *visit, const uint8_t *bytes)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;
	uint64_t damage = 0;
	char text[128];
	int err;

	memset(&fault, 0, sizeof(fault));
	err = udf_check(visit->type->tmpl, bytes, visit->object, &budget, &damage, &fault);
	if (err == UDF_ENOMEM)
		return -ENOMEM;
	if (err) {
		fault_text(&fault, err, text, sizeof(text));
		err = object_found(visit, OBJECT_CHECK_FAULT, 0, text);
	} else if (damage) {
		err = object_found(visit, OBJECT_DAMAGED, damage, NULL);
	} else {
		return 0;
	}
	return err ? err : 1;
}

/* What its pointers say of an object in doubt would only do harm. */
static bool object_is_doubted(const struct visit *visit, const uint8_t *bytes)
{
	struct check_damage damage;

	if (!visit->root->checker || !visit->root->checker->doubt)
		return false;
	damage = fsck_damage(visit->f, visit->root, visit->object, visit->type);
	return visit->root->checker->doubt(&damage, bytes);
}

/*
 * What all records of an object may spend together.  An object grows record by
 * record, so it may rightly cost more than the one operation of UDF_BUDGET_FULL.
 */
static struct udf_budget object_budget(const struct udf_template *tmpl)
{
	const struct udf_info *info = udf_template_info(tmpl);

	return (struct udf_budget){ (uint64_t)info->rec_count * (UDF_FUEL_MAX + UDF_SLOTS_MAX),
				    (uint64_t)info->rec_count * UDF_EMIT_MAX };
}

/* One that is looked at now, by itself or object by object. */
static int pointer_visit(struct visit *visit, const struct udf_extent *at)
{
	uint64_t type_id = fsck_type_child(visit->type, at->child);
	uint32_t blocks;

	if (is_counted(visit->f, type_id, &blocks) && at->count % blocks == 0)
		return counted_visit(visit, at, type_id, blocks);
	return extent_visit(visit, at, type_id);
}

static int suspect_add(struct visit *visit, const struct udf_extent *at, uint32_t record)
{
	struct fsck *f = visit->f;

	if (fsck_array_grow((void **)&f->suspects, f->n_suspects, &f->cap_suspects,
			    sizeof(*f->suspects)))
		return -ENOMEM;
	f->suspects[f->n_suspects++] = (struct suspect){
		.root = (uint32_t)(visit->root - f->roots),
		.object = visit->object,
		.type = visit->type->entry.id,
		.record = record,
		.at = *at,
		.mending = visit->mending,
	};
	return 0;
}

/* Record by record, so that it is known which sector an extent is from. */
static int doubted_extents_visit(struct visit *visit)
{
	int err = 0;

	visit->index = 0;
	for (uint32_t r = 0; !err && r < visit->type->info->rec_count; r++) {
		bool suspect = fsck_record_is_suspect(&visit->suspicion, visit->type, r);

		if (fsck_record_owns(visit->type, visit->bytes, r, &visit->of_record))
			return 0; /* the object as a whole had no fault */
		for (size_t i = 0; !err && i < visit->of_record.n; i++, visit->index++) {
			const struct udf_extent *at = &visit->of_record.v[i];

			err = suspect ? suspect_add(visit, at, r) : pointer_visit(visit, at);
		}
	}
	return err;
}

static int extents_visit(struct visit *visit)
{
	int err = 0;

	if (visit->suspicion.any)
		return doubted_extents_visit(visit);
	for (size_t i = 0; !err && i < visit->extents.n; i++) {
		visit->index = i;
		err = pointer_visit(visit, &visit->extents.v[i]);
	}
	return err;
}

static int object_owns(struct visit *visit, struct udf_fault *fault)
{
	struct udf_budget budget = object_budget(visit->type->tmpl);

	visit->extents.n = 0;
	memset(fault, 0, sizeof(*fault));
	return udf_owns_object(visit->type->tmpl, visit->bytes, &budget, &visit->extents, fault);
}

/*
 * What it will name when it is mended.  One that cannot be mended will be cut off: what is
 * below it is nobody's then.
 */
static int mended_visit(struct visit *visit, const uint8_t *bytes)
{
	struct fsck *f = visit->f;
	struct udf_fault fault;
	int err;

	memcpy(f->mend_buffer, bytes, (size_t)visit->type->blocks * XN_BLOCK_SIZE);
	if (!fsck_object_mend(f, visit->root, visit->type, visit->object, f->mend_buffer))
		return 0;
	fsck_suspicion_of_change(&visit->suspicion, visit->type, bytes, f->mend_buffer);
	visit->bytes = f->mend_buffer;
	err = object_owns(visit, &fault);
	if (err)
		return err == UDF_ENOMEM ? -ENOMEM : 0;
	return extents_visit(visit);
}

/* Which of its sectors are no proof?  Of one that stays damaged those that mending would change. */
static void suspicion_find(struct visit *visit, const uint8_t *bytes, bool wrong)
{
	struct fsck *f = visit->f;

	fsck_suspicion_of_disk(f, &visit->suspicion, visit->object, visit->type);
	if (!wrong || !can_mend(visit))
		return;
	memcpy(f->mend_buffer, bytes, (size_t)visit->type->blocks * XN_BLOCK_SIZE);
	if (fsck_object_mend(f, visit->root, visit->type, visit->object, f->mend_buffer))
		fsck_suspicion_of_change(&visit->suspicion, visit->type, bytes, f->mend_buffer);
}

static int object_visit(struct visit *visit, const uint8_t *bytes)
{
	struct udf_fault fault;
	char text[128];
	int wrong, err;

	visit->mending = false;
	wrong = object_check(visit, bytes);
	if (wrong < 0)
		return wrong;
	visit->f->result->objects++;
	if (!wrong && object_is_doubted(visit, bytes)) {
		err = object_found(visit, OBJECT_DOUBTED, 0, NULL);
		if (err || !visit->mending)
			return err;
	}
	if (visit->mending)
		return mended_visit(visit, bytes);
	if (visit->type->info->has[UDF_FN_REFCNT])
		counted_say(&visit->root->counted, visit->object, visit->type, bytes);
	visit->bytes = bytes;
	err = object_owns(visit, &fault);
	if (err == UDF_ENOMEM)
		return -ENOMEM;
	suspicion_find(visit, bytes, wrong);
	if (!err)
		return extents_visit(visit);
	fault_text(&fault, err, text, sizeof(text));
	err = wrong ? 0 : object_found(visit, OBJECT_OWNS_FAULT, 0, text);
	return !err && visit->mending ? mended_visit(visit, bytes) : err;
}

/* Take objects off the stack until the batch is full.  Returns how many. */
static unsigned batch_fill(struct fsck *f)
{
	fsck_batch_reset(&f->batch);
	while (f->n_stack) {
		struct pending *top = &f->stack[f->n_stack - 1];
		struct type *type = fsck_type_find(f, top->type);

		if (!fsck_batch_add(f, top->start, type->blocks))
			break;
		f->batch.requests[f->batch.n - 1].user = type;
		f->batch.owner[f->batch.n - 1] = top->owner;
		f->batch.owner_type[f->batch.n - 1] = top->owner_type;
		top->start += type->blocks;
		top->count -= type->blocks;
		if (top->count == 0)
			f->n_stack--;
	}
	return f->batch.n;
}

/*
 * What can be read of it is kept, and what cannot is as if it had never been written: writing
 * gives a sector a new place on most media.
 */
static int unreadable_visit(struct visit *visit, uint8_t *bytes)
{
	uint32_t lost = fsck_salvage(visit->f, visit->object, visit->type->blocks, 0, bytes);
	int err;

	if (!lost)
		return object_visit(visit, bytes);
	visit->f->result->objects++;
	err = object_found(visit, OBJECT_UNREADABLE, lost, NULL);
	return !err && visit->mending ? mended_visit(visit, bytes) : err;
}

static int batch_visit(struct visit *visit)
{
	struct fsck *f = visit->f;

	for (unsigned i = 0; i < f->batch.n; i++) {
		int err;

		visit->type = f->batch.requests[i].user;
		visit->object = f->batch.requests[i].offset / XN_BLOCK_SIZE;
		visit->owner = f->batch.owner[i];
		visit->owner_type = f->batch.owner_type[i];
		if (fsck_batch_ok(&f->batch, i))
			err = object_visit(visit, f->batch.iov[i].iov_base);
		else
			err = unreadable_visit(visit, f->batch.iov[i].iov_base);
		if (err)
			return err;
	}
	return 0;
}

static void walk_progress(struct fsck *f)
{
	uint64_t used = f->super.block_count - f->super.free_blocks;

	check_progress(f->check, f->seen.blocks, used > f->seen.blocks ? used : f->seen.blocks);
}

/* All that is on the stack, and what is found below it. */
static int stack_walk(struct visit *visit)
{
	struct fsck *f = visit->f;
	int err = 0;

	while (!err && !fsck_stopped(f) && batch_fill(f)) {
		fsck_batch_run(f);
		err = batch_visit(visit);
		walk_progress(f);
	}
	return err;
}

static void visit_fini(struct visit *visit)
{
	udf_extents_fini(&visit->extents);
	udf_extents_fini(&visit->of_record);
}

static int walk_root(struct fsck *f, struct root *root)
{
	struct visit visit = { .f = f, .root = root };
	const struct type *type = fsck_type_find(f, root->entry.type);
	int err;

	if (!type) { /* pass 3 said so */
		root->complete = f->complete = false;
		return 0;
	}
	visit.type = type;
	root->complete = true;
	f->n_stack = 0;
	err = extent_visit(
		&visit, &(struct udf_extent){ .start = root->entry.object, .count = type->blocks },
		root->entry.type);
	if (!err)
		err = stack_walk(&visit);
	visit_fini(&visit);
	return err;
}

static void root_set(struct fsck *f, const struct root *root)
{
	check_set_root(f->check, root->entry.name, root->entry.object, NULL, 0);
}

/* Roots that have checksums, or those that have none. */
static int roots_walk(struct fsck *f, bool sums)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n_roots && !fsck_stopped(f); i++) {
		struct root *root = &f->roots[i];

		if (!fsck_root_wanted(f, root) || (root->checker && root->checker->sums) != sums)
			continue;
		root_set(f, root);
		err = walk_root(f, root);
	}
	return err;
}

static int suspect_visit(struct fsck *f, const struct suspect *suspect)
{
	struct visit visit = {
		.f = f,
		.root = &f->roots[suspect->root],
		.type = fsck_type_find(f, suspect->type),
		.object = suspect->object,
		.record = suspect->record,
		.mending = suspect->mending,
		.suspect = true,
	};
	int err;

	root_set(f, visit.root);
	err = pointer_visit(&visit, &suspect->at);
	visit.suspect = false;
	if (!err)
		err = stack_walk(&visit);
	visit_fini(&visit);
	return err;
}

/* There may come more of them on the way. */
static int suspects_walk(struct fsck *f)
{
	int err = 0;

	for (size_t i = 0; !err && i < f->n_suspects && !fsck_stopped(f); i++) {
		struct suspect suspect = f->suspects[i];

		err = suspect_visit(f, &suspect);
	}
	f->n_suspects = 0;
	return err;
}

static void counted_compare_all(struct fsck *f, bool whole)
{
	for (size_t i = 0; i < f->n_roots; i++) {
		root_set(f, &f->roots[i]);
		if (whole)
			counted_compare(f, &f->roots[i].counted);
		counted_fini(&f->roots[i].counted);
	}
}

int fsck_walk_roots(struct fsck *f)
{
	int err = roots_walk(f, true);

	if (!err)
		err = roots_walk(f, false);
	if (!err)
		err = suspects_walk(f);
	counted_compare_all(f, !err && !fsck_stopped(f));
	check_set_root(f->check, NULL, 0, NULL, 0);
	return err;
}
