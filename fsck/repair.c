/* SPDX-License-Identifier: MIT */
/*
 * What the walk was granted: copies, cuts, objects made sound.
 *
 *  (1) Which bytes change is the LibFS's to say (check.h, mend); what comes out is
 *      proved by the templates' own functions before it is written.
 *  (2) Copies come first: they are of what is on the disk before anything else of
 *      it changes.
 *  (3) An object that cannot be made sound is cut off where it is named; what was
 *      below it is the LibFS's to find again (check_lost_next).
 *  (4) Everything is written whole, sector by sector in any order: a crash leaves
 *      old or new sectors of an object that was damaged before, on a disk that
 *      says "in use".
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct check_damage fsck_damage(const struct fsck *f, const struct root *root, uint64_t object,
				const struct type *type)
{
	return (struct check_damage){
		.what = CHECK_MEND_OBJECT,
		.type = type->entry.name,
		.object = object,
		.root = root->entry.object,
		.blocks = f->limit,
		.root_uuid = root->entry.uuid,
	};
}

/* ---- proofs ---- */

static int owned_by(const struct type *type, const uint8_t *bytes, struct udf_extents *out)
{
	struct udf_budget budget = { (uint64_t)type->info->rec_count * UDF_FUEL_MAX,
				     (uint64_t)type->info->rec_count * UDF_EMIT_MAX };
	struct udf_fault fault;

	out->n = 0;
	return udf_owns_object(type->tmpl, bytes, &budget, out, &fault);
}

static bool is_sound(const struct type *type, uint64_t object, const uint8_t *bytes)
{
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;
	uint64_t damage = 0;

	return udf_check(type->tmpl, bytes, object, &budget, &damage, &fault) == 0 && damage == 0;
}

static uint64_t overlap(const struct udf_extent *at, uint64_t start, uint64_t count)
{
	uint64_t from = at->start > start ? at->start : start;
	uint64_t to = at->start + at->count < start + count ? at->start + at->count : start + count;

	return to > from ? to - from : 0;
}

/* How often are blocks of [start, start + count) owned? */
static uint64_t owned_in(const struct udf_extents *extents, uint64_t start, uint64_t count)
{
	uint64_t n = 0;

	for (size_t i = 0; i < extents->n; i++)
		n += overlap(&extents->v[i], start, count);
	return n;
}

int fsck_record_owns(const struct type *type, const uint8_t *bytes, uint32_t record,
		     struct udf_extents *out)
{
	const uint8_t *at = bytes + type->info->rec_off + (size_t)record * type->info->rec_size;
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;

	out->n = 0;
	return udf_owns(type->tmpl, at, record, bytes, &budget, out, NULL, &fault);
}

uint32_t fsck_record_of(const struct type *type, const uint8_t *bytes, size_t index)
{
	struct udf_extents own = { 0 };
	uint32_t record = 0;
	size_t before = 0;

	for (; record < type->info->rec_count; record++) {
		if (fsck_record_owns(type, bytes, record, &own) || before + own.n > index)
			break;
		before += own.n;
	}
	udf_extents_fini(&own);
	return record;
}

/* Is every block of `now` one of `before`, or of [start, start + count)? */
static bool adds_nothing(const struct udf_extents *before, const struct udf_extents *now,
			 uint64_t start, uint64_t count)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct udf_extent *at = &now->v[i];

		for (uint64_t b = at->start; b < at->start + at->count;) {
			size_t k = 0;

			while (k < before->n && (b < before->v[k].start ||
						 b >= before->v[k].start + before->v[k].count))
				k++;
			if (k < before->n)
				b = before->v[k].start + before->v[k].count;
			else if (b >= start && b < start + count)
				b = start + count;
			else
				return false;
		}
	}
	return true;
}

/* ---- one object ---- */

struct editing {
	struct fsck *f;
	const struct root *root;
	const struct type *type;
	uint64_t object;
	uint8_t *bytes, *old; /* UDF_OBJECT_MAX each */
	bool salvaged;        /* some of `old` cannot be read */
	struct udf_extents before, now;
};

/* -EIO when it cannot be read, unless parts will do. */
static int edit_begin(struct editing *edit, uint64_t object, uint64_t type_id, bool parts)
{
	uint32_t lost;

	edit->type = fsck_type_find(edit->f, type_id);
	edit->object = object;
	if (!edit->type || !edit->root->checker || !edit->root->checker->mend)
		return -ENOENT;
	lost = fsck_salvage(edit->f, object, edit->type->blocks, 0, edit->bytes);
	edit->salvaged = lost > 0;
	if (lost && !parts)
		return -EIO;
	memcpy(edit->old, edit->bytes, (size_t)edit->type->blocks * XN_BLOCK_SIZE);
	return 0;
}

static int edit_write(struct editing *edit)
{
	size_t len = (size_t)edit->type->blocks * XN_BLOCK_SIZE;
	int err;

	if (!edit->salvaged && memcmp(edit->old, edit->bytes, len) == 0)
		return 0;
	err = fsck_write(edit->f, edit->object * XN_BLOCK_SIZE, edit->bytes, len);
	/* A medium that has no other place for it: then it is cut off. */
	if (edit->salvaged &&
	    (err == -EIO || fsck_read(edit->f, edit->object, edit->type->blocks, edit->old)))
		return 0;
	return err ? err : 1;
}

/* Remember which sectors are not what they were. */
static int sectors_note(struct editing *edit)
{
	struct fsck *f = edit->f;

	for (uint32_t i = 0; i < edit->type->blocks * XN_BLOCK_SECTORS; i++) {
		if (memcmp(edit->old + i * XN_SECTOR_SIZE, edit->bytes + i * XN_SECTOR_SIZE,
			   XN_SECTOR_SIZE) == 0)
			continue;
		if (fsck_array_grow((void **)&f->mended, f->n_mended, &f->cap_mended,
				    sizeof(*f->mended)))
			return -ENOMEM;
		f->mended[f->n_mended++] = edit->object * XN_BLOCK_SECTORS + i;
	}
	return 0;
}

static bool edit_mend(struct editing *edit, const struct check_damage *damage)
{
	if (edit->root->checker->mend(damage, edit->bytes))
		return true;
	memcpy(edit->bytes, edit->old, (size_t)edit->type->blocks * XN_BLOCK_SIZE);
	return false;
}

bool fsck_object_mend(const struct fsck *f, const struct root *root, const struct type *type,
		      uint64_t object, uint8_t *bytes)
{
	struct check_damage damage = fsck_damage(f, root, object, type);

	return root->checker->mend(&damage, bytes) && is_sound(type, object, bytes) &&
	       !(root->checker->doubt && root->checker->doubt(&damage, bytes));
}

/* Returns 1 when it was done, 0 when it cannot be. */
static int object_mend(struct editing *edit, const struct action *action)
{
	int err = edit_begin(edit, action->object, action->type, true);

	if (err)
		return err == -ENOENT || err == -EIO ? 0 : err;
	if (!fsck_object_mend(edit->f, edit->root, edit->type, edit->object, edit->bytes) ||
	    owned_by(edit->type, edit->bytes, &edit->now))
		return 0;
	err = fsck_suspects_settle(edit->f, edit->root, edit->type, edit->object, edit->old,
				   edit->bytes);
	if (err <= 0)
		return err;
	if (!is_sound(edit->type, edit->object, edit->bytes))
		return 0;
	err = sectors_note(edit);
	return err ? err : edit_write(edit);
}

/*
 * Which of the extents that a record emits is meant: the last that is the whole, or has
 * all of the part; what came before it is not to blame.
 */
static bool extent_find(struct editing *edit, const struct action *action, uint32_t record,
			uint32_t *nth)
{
	bool found = false, exact = false;

	if (fsck_record_owns(edit->type, edit->bytes, record, &edit->now))
		return false;
	for (size_t i = 0; i < edit->now.n; i++) {
		const struct udf_extent *at = &edit->now.v[i];
		bool same = at->start == action->start && at->count == action->count;

		if (!same && (exact || !action->count ||
			      overlap(at, action->start, action->count) != action->count))
			continue;
		found = true;
		exact |= same;
		*nth = (uint32_t)i;
	}
	return found;
}

/* Is the object's record given?  Else the last one that has it. */
static bool damage_place(struct editing *edit, const struct action *action,
			 struct check_damage *damage)
{
	for (uint32_t r = edit->type->info->rec_count; r-- > 0;) {
		damage->record = action->kind == ACT_MEND ? r : action->record;
		if (extent_find(edit, action, damage->record, &damage->nth))
			return true;
		if (action->kind != ACT_MEND)
			break;
	}
	return false;
}

/* Did just `count` blocks of the range go, and nothing come but what is in [to, to + more)? */
static bool went(const struct editing *edit, uint64_t start, uint64_t count, uint64_t gone,
		 uint64_t to, uint64_t more)
{
	return owned_in(&edit->now, start, count) + gone == owned_in(&edit->before, start, count) &&
	       adds_nothing(&edit->before, &edit->now, to, more);
}

/* Take an extent away from an object.  1 done, 0 cannot be. */
static int extent_cut(struct editing *edit, const struct action *action)
{
	uint64_t before;
	struct check_damage damage;
	int err = edit_begin(edit, action->object, action->type, false);

	if (err)
		return err == -ENOENT || err == -EIO ? 0 : err;
	damage = fsck_damage(edit->f, edit->root, action->object, edit->type);
	damage.what = CHECK_MEND_CUT;
	damage.start = action->start;
	damage.count = action->count;
	if (owned_by(edit->type, edit->bytes, &edit->before))
		return 0;
	if (!damage_place(edit, action, &damage))
		return 1; /* it went with another one */
	before = edit->before.n;
	if (!edit_mend(edit, &damage) || owned_by(edit->type, edit->bytes, &edit->now))
		return 0;
	/* What cannot be counted, because it leads beyond everything, is counted by extents. */
	if (action->start >= edit->f->limit || action->count > edit->f->limit - action->start ||
			    !action->start
		    ? edit->now.n >= before
		    : !went(edit, action->start, action->count, action->count, 0, 0))
		return 0;
	return edit_write(edit);
}

/* ---- copies ---- */

static int blocks_copy(struct fsck *f, uint64_t from, uint64_t to, uint64_t count)
{
	uint8_t *buffer = f->batch.buffer;
	int err = 0;

	while (count && !err) {
		uint32_t n = count < BATCH_BLOCKS ? (uint32_t)count : BATCH_BLOCKS;

		err = fsck_read(f, from, n, buffer);
		if (!err)
			err = fsck_write(f, to * XN_BLOCK_SIZE, buffer, (size_t)n * XN_BLOCK_SIZE);
		from += n;
		to += n;
		count -= n;
	}
	return err;
}

/* These blocks, all of them the object's, get others' place.  1 done, 0 cannot be. */
static int extent_move(struct editing *edit, const struct action *action, uint64_t start,
		       uint64_t count)
{
	struct check_damage damage;
	uint64_t to;
	int err = edit_begin(edit, action->object, action->type, false);

	if (err)
		return err == -ENOENT || err == -EIO ? 0 : err;
	if (count > XN_CHUNK_BLOCKS || owned_by(edit->type, edit->bytes, &edit->before))
		return 0;
	damage = fsck_damage(edit->f, edit->root, action->object, edit->type);
	damage.what = CHECK_MEND_MOVE;
	damage.start = start;
	damage.count = count;
	/* Can it be done at all?  Any place will do to ask. */
	damage.to = start;
	if (!damage_place(edit, action, &damage) || !edit_mend(edit, &damage))
		return 0;
	memcpy(edit->bytes, edit->old, (size_t)edit->type->blocks * XN_BLOCK_SIZE);
	err = fsck_allocate(edit->f, count, &to);
	if (err)
		return err == -ENOSPC ? 0 : err;
	err = blocks_copy(edit->f, start, to, count);
	damage.to = to;
	/* The allocation holds: a later one must not find these free. */
	if (!err && blockset_add(&edit->f->seen, to, count))
		err = -ENOMEM;
	if (err || !edit_mend(edit, &damage) || owned_by(edit->type, edit->bytes, &edit->now) ||
	    !went(edit, start, count, count, to, count))
		return err;
	/* The copy is stable before it is named. */
	return bdev_flush(edit->f->dev) ? -EIO : edit_write(edit);
}

static int action_copy(struct editing *edit, const struct action *action)
{
	int done = extent_move(edit, action, action->bad_start, action->bad_count);

	if (done == 0 && (action->bad_start != action->start || action->bad_count != action->count))
		done = extent_move(edit, action, action->start, action->count);
	if (done == 0)
		done = extent_cut(edit, action);
	return done;
}

/* ---- all of them ---- */

/* The action that mends the object at that block; NULL: there is none. */
static struct action *mend_of(struct fsck *f, uint64_t block)
{
	for (size_t i = 0; i < f->n_actions; i++)
		if (f->actions[i].kind == ACT_MEND && f->actions[i].object == block)
			return &f->actions[i];
	return NULL;
}

/*
 * Two name the same block as an object of theirs, and as the first one's it makes no
 * sense: then it is the second one's.
 */
static void claims_weigh(struct fsck *f)
{
	for (size_t i = 0; i < f->n_actions; i++) {
		struct action *later = &f->actions[i];
		struct action *mend = later->kind == ACT_CUT && later->is_object
					      ? mend_of(f, later->start)
					      : NULL;

		if (!mend || !mend->owner || mend->owner == later->object)
			continue;
		later->root = mend->root;
		later->object = mend->owner;
		later->type = mend->owner_type;
		later->is_object = false;
		later->kind = ACT_MEND; /* the record is looked for */
		later->owner = later->object;
		later->owner_type = later->type;
		later->object = later->start;
		later->type = mend->type;
		later->cut_only = true;
		mend->owner = 0;
		mend->type = XN_TYPE_DATA; /* nothing to do */
	}
}

static int action_run(struct editing *edit, const struct action *action)
{
	int done;

	edit->root = &edit->f->roots[action->root];
	switch (action->kind) {
	case ACT_COPY: return action_copy(edit, action);
	case ACT_CUT: return extent_cut(edit, action);
	case ACT_MEND: break;
	}
	if (action->type == XN_TYPE_DATA)
		return 1;
	done = action->cut_only ? 0 : object_mend(edit, action);
	if (done == 0 && action->owner) {
		const struct type *type = fsck_type_find(edit->f, action->type);

		done = extent_cut(edit, &(struct action){ .kind = ACT_MEND,
							  .object = action->owner,
							  .type = action->owner_type,
							  .start = action->object,
							  .count = type ? type->blocks : 1 });
	}
	return done;
}

int fsck_actions_run(struct fsck *f, bool *made)
{
	struct editing edit = { .f = f,
				.bytes = malloc(UDF_OBJECT_MAX),
				.old = malloc(UDF_OBJECT_MAX) };
	int err = edit.bytes && edit.old ? 0 : -ENOMEM;

	*made = false;
	claims_weigh(f);
	for (enum action_kind kind = ACT_COPY; kind <= ACT_MEND; kind++) {
		for (size_t i = 0; !err && i < f->n_actions && !fsck_stopped(f); i++) {
			const struct action *action = &f->actions[i];
			int done = action->kind == kind ? action_run(&edit, action) : 1;

			if (action->kind != kind)
				continue;
			if (done < 0) {
				err = done == -ENOMEM ? done : 0;
				done = 0;
			}
			if (done == 0)
				check_finding_failed(f->check, action->finding);
			*made |= done == 1;
			f->roots[action->root].mended |= done == 1;
		}
	}
	f->n_actions = 0;
	udf_extents_fini(&edit.before);
	udf_extents_fini(&edit.now);
	free(edit.bytes);
	free(edit.old);
	return err;
}
