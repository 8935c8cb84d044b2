/* SPDX-License-Identifier: MIT */
/*
 * xn_update(): the one way to change metadata.
 *
 *  (1) The request is copied once; what was checked is what is committed.
 *  (2) The check changes nothing that anybody can see and reserves all memory
 *      that the commit needs.  The commit cannot fail.
 *  (3) The lock is held from the first look to the last byte of an attempt, and
 *      no I/O is done in it.  An attempt that meets a chunk whose map was not
 *      read yet ends; the map is read, and the update is attempted anew.
 */
#include "update.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EDITS_MAX 8192u

/* ---- memory ---- */

struct arena_piece {
	struct arena_piece *next;
	max_align_t bytes[];
};

static void arena_init(struct arena *arena)
{
	arena->used = 0;
	arena->pieces = NULL;
}

static void arena_fini(struct arena *arena)
{
	while (arena->pieces) {
		struct arena_piece *next = arena->pieces->next;

		free(arena->pieces);
		arena->pieces = next;
	}
}

void *arena_take(struct arena *arena, size_t size)
{
	struct arena_piece *piece;
	void *at = arena->bytes + arena->used;

	if (size <= ARENA_BYTES - arena->used) {
		size = (size + 15) & ~(size_t)15;
		arena->used +=
			(uint32_t)(size < ARENA_BYTES - arena->used ? size
								    : ARENA_BYTES - arena->used);
		return at;
	}
	piece = malloc(sizeof(*piece) + size);
	if (!piece)
		return NULL;
	piece->next = arena->pieces;
	arena->pieces = piece;
	return piece->bytes;
}

void *arena_grow(struct arena *arena, void *old, size_t *cap, size_t size)
{
	size_t wanted = *cap ? *cap * 2 : 8;
	void *grown = arena_take(arena, wanted * size);

	if (grown && *cap)
		memcpy(grown, old, *cap * size);
	if (grown)
		*cap = wanted;
	return grown;
}

/* ---- the plan ---- */

static int copy_array(struct arena *arena, const void *from, uint32_t count, size_t size,
		      uint32_t max, const void **out)
{
	void *copy;

	*out = NULL;
	if (count > max)
		return XN_ETOOBIG;
	if (count == 0)
		return 0;
	if (!from)
		return -EINVAL;
	copy = arena_take(arena, count * size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, from, count * size);
	*out = copy;
	return 0;
}

static int by_object_and_offset(const void *a, const void *b)
{
	const struct xn_edit *x = a, *y = b;

	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int flags_check(const struct xn_update *update)
{
	if (update->flags & ~(XN_ATOMIC | XN_REAP | XN_FREEING))
		return -EINVAL;
	return 0;
}

static int plan_init(struct plan *plan, struct arena *arena, struct xn_session *session,
		     const struct xn_update *caller)
{
	const struct xn_update request = *caller, *from = &request; /* read once, used from here */
	struct xn_update *update = &plan->update;
	uint32_t n_changes;
	uint64_t bytes = 0;
	int err;

	memset(plan, 0, sizeof(*plan));
	plan->xn = session->xn;
	plan->arena = arena;
	plan->session = session;
	plan->budget = plan->reap_budget = UDF_BUDGET_FULL;
	*update = *from;
	update->expects = NULL;
	update->edits = NULL;
	update->allocs = update->frees = NULL;
	update->retypes = NULL;
	update->links = update->unlinks = NULL;
	err = flags_check(update);
	if (!err)
		err = cred_choose(session, from->cred, &plan->stated, &plan->cred);
	if (!err)
		err = copy_array(plan->arena, from->expects, from->n_expects,
				 sizeof(*from->expects), XN_UPDATE_OBJECTS_MAX,
				 (const void **)&update->expects);
	if (!err)
		err = copy_array(plan->arena, from->edits, from->n_edits, sizeof(*from->edits),
				 EDITS_MAX, (const void **)&update->edits);
	if (!err)
		err = copy_array(plan->arena, from->allocs, from->n_allocs, sizeof(*from->allocs),
				 XN_UPDATE_EXTENTS_MAX, (const void **)&update->allocs);
	if (!err)
		err = copy_array(plan->arena, from->frees, from->n_frees, sizeof(*from->frees),
				 XN_UPDATE_EXTENTS_MAX, (const void **)&update->frees);
	if (!err)
		err = copy_array(plan->arena, from->retypes, from->n_retypes,
				 sizeof(*from->retypes), XN_UPDATE_EXTENTS_MAX,
				 (const void **)&update->retypes);
	if (!err)
		err = copy_array(plan->arena, from->links, from->n_links, sizeof(*from->links),
				 XN_UPDATE_OBJECTS_MAX, (const void **)&update->links);
	if (!err)
		err = copy_array(plan->arena, from->unlinks, from->n_unlinks,
				 sizeof(*from->unlinks), XN_UPDATE_OBJECTS_MAX,
				 (const void **)&update->unlinks);
	if (err)
		return err;
	for (uint32_t i = 0; i < update->n_edits; i++)
		bytes += update->edits[i].len;
	if (bytes > XN_UPDATE_BYTES_MAX)
		return XN_ETOOBIG;
	if (update->n_edits > 1)
		qsort((void *)(uintptr_t)update->edits, update->n_edits, sizeof(struct xn_edit),
		      by_object_and_offset);
	n_changes =
		update->n_edits < XN_UPDATE_OBJECTS_MAX ? update->n_edits : XN_UPDATE_OBJECTS_MAX;
	plan->changes = arena_take(plan->arena, n_changes * sizeof(*plan->changes));
	return plan->changes ? 0 : -ENOMEM;
}

/* Most lists stay empty. */
static void list_fini(struct udf_extents *list)
{
	if (list->v)
		udf_extents_fini(list);
}

static void change_fini(struct change *change)
{
	list_fini(&change->added);
	list_fini(&change->removed);
	list_fini(&change->taken);
	list_fini(&change->given);
	list_fini(&change->linked);
	list_fini(&change->unlinked);
	list_fini(&change->in);
	list_fini(&change->out);
	list_fini(&change->fresh_data);
	list_fini(&change->idle);
}

static void plan_fini(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++)
		change_fini(&plan->changes[i]);
	list_fini(&plan->allocs);
	list_fini(&plan->frees);
	list_fini(&plan->added);
	list_fini(&plan->removed);
	list_fini(&plan->retyped[0]);
	list_fini(&plan->retyped[1]);
	list_fini(&plan->moved);
	list_fini(&plan->links);
	list_fini(&plan->unlinks);
	free(plan->group); /* of nobody, if it is still here */
	will_free_destroy(plan->nodes);
}

/* One attempt.  *need_map: not even that, a map had to be read first, and was unless it failed. */
static int attempt(struct xn_session *session, const struct xn_update *update, bool *need_map)
{
	struct xn *xn = session->xn;
	struct arena arena;
	struct plan plan;
	int err;

	arena_init(&arena);
	err = plan_init(&plan, &arena, session, update);
	pthread_mutex_lock(&xn->lock);
	if (!err && !xn->writable)
		err = XN_EREADONLY;
	if (!err)
		err = xn->broken;
	if (!err)
		err = plan_check(&plan);
	if (!err)
		plan_commit(&plan);
	*need_map = err && plan.need_map;
	if (*need_map) {
		err = freemap_load(xn, plan.need_chunk);
	} else {
		xn->stats.updates++;
		xn->stats.refused_updates += err != 0;
		session->stats.refused_updates += err != 0;
	}
	pthread_mutex_unlock(&xn->lock);
	plan_fini(&plan);
	arena_fini(&arena);
	return err;
}

int xn_update(struct xn_session *session, const struct xn_update *update)
{
	struct xn_refusal *why = update->why;
	bool need_map = false;
	int err;

	if (why)
		memset(why, 0, sizeof(*why));
	do {
		err = attempt(session, update, &need_map);
	} while (!err && need_map);
	if (err && why && why->error != err)
		refuse(why, err, 0, "%s", xn_strerror(err));
	return err;
}
