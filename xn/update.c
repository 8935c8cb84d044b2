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
#include <stdlib.h>
#include <string.h>

#define EDITS_MAX 8192u

static int copy_array(const void *from, uint32_t count, size_t size, uint32_t max, const void **out)
{
	void *copy;

	*out = NULL;
	if (count > max)
		return XN_ETOOBIG;
	if (count == 0)
		return 0;
	if (!from)
		return -EINVAL;
	copy = malloc(count * size);
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

static int plan_init(struct plan *plan, struct xn_session *session, const struct xn_update *caller)
{
	const struct xn_update request = *caller, *from = &request; /* read once, used from here */
	struct xn_update *update = &plan->update;
	uint64_t bytes = 0;
	int err;

	plan->xn = session->xn;
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
		err = copy_array(from->expects, from->n_expects, sizeof(*from->expects),
				 XN_UPDATE_OBJECTS_MAX, (const void **)&update->expects);
	if (!err)
		err = copy_array(from->edits, from->n_edits, sizeof(*from->edits), EDITS_MAX,
				 (const void **)&update->edits);
	if (!err)
		err = copy_array(from->allocs, from->n_allocs, sizeof(*from->allocs),
				 XN_UPDATE_EXTENTS_MAX, (const void **)&update->allocs);
	if (!err)
		err = copy_array(from->frees, from->n_frees, sizeof(*from->frees),
				 XN_UPDATE_EXTENTS_MAX, (const void **)&update->frees);
	if (!err)
		err = copy_array(from->retypes, from->n_retypes, sizeof(*from->retypes),
				 XN_UPDATE_EXTENTS_MAX, (const void **)&update->retypes);
	if (!err)
		err = copy_array(from->links, from->n_links, sizeof(*from->links),
				 XN_UPDATE_OBJECTS_MAX, (const void **)&update->links);
	if (!err)
		err = copy_array(from->unlinks, from->n_unlinks, sizeof(*from->unlinks),
				 XN_UPDATE_OBJECTS_MAX, (const void **)&update->unlinks);
	if (err)
		return err;
	for (uint32_t i = 0; i < update->n_edits; i++)
		bytes += update->edits[i].len;
	if (bytes > XN_UPDATE_BYTES_MAX)
		return XN_ETOOBIG;
	if (update->n_edits > 1)
		qsort((void *)(uintptr_t)update->edits, update->n_edits, sizeof(struct xn_edit),
		      by_object_and_offset);
	plan->changes = calloc(update->n_edits < XN_UPDATE_OBJECTS_MAX ? update->n_edits + 1
								       : XN_UPDATE_OBJECTS_MAX,
			       sizeof(*plan->changes));
	return plan->changes ? 0 : -ENOMEM;
}

static void change_fini(struct change *change)
{
	free(change->bytes);
	udf_extents_fini(&change->added);
	udf_extents_fini(&change->removed);
	udf_extents_fini(&change->taken);
	udf_extents_fini(&change->given);
	udf_extents_fini(&change->linked);
	udf_extents_fini(&change->unlinked);
	udf_extents_fini(&change->in);
	udf_extents_fini(&change->out);
	udf_extents_fini(&change->fresh_data);
	udf_extents_fini(&change->idle);
}

static void plan_fini(struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_changes; i++)
		change_fini(&plan->changes[i]);
	free(plan->changes);
	udf_extents_fini(&plan->allocs);
	udf_extents_fini(&plan->frees);
	udf_extents_fini(&plan->added);
	udf_extents_fini(&plan->removed);
	udf_extents_fini(&plan->retyped[0]);
	udf_extents_fini(&plan->retyped[1]);
	udf_extents_fini(&plan->moved);
	udf_extents_fini(&plan->links);
	udf_extents_fini(&plan->unlinks);
	free(plan->joins);
	free(plan->group); /* of nobody, if it is still here */
	will_free_destroy(plan->nodes);
	free(plan->fresh);
	free(plan->freed);
	free((void *)(uintptr_t)plan->update.expects);
	free((void *)(uintptr_t)plan->update.edits);
	free((void *)(uintptr_t)plan->update.allocs);
	free((void *)(uintptr_t)plan->update.frees);
	free((void *)(uintptr_t)plan->update.retypes);
	free((void *)(uintptr_t)plan->update.links);
	free((void *)(uintptr_t)plan->update.unlinks);
}

/* One attempt; `*chunk` is told when a map must be read first. */
static int attempt(struct xn_session *session, const struct xn_update *update, bool *need_map,
		   uint64_t *chunk)
{
	struct xn *xn = session->xn;
	struct plan *plan = calloc(1, sizeof(*plan));
	int err;

	if (!plan)
		return -ENOMEM;
	err = plan_init(plan, session, update);
	pthread_mutex_lock(&xn->lock);
	if (!err && !xn->writable)
		err = XN_EREADONLY;
	if (!err)
		err = xn->broken;
	if (!err)
		err = plan_check(plan);
	if (!err)
		plan_commit(plan);
	pthread_mutex_unlock(&xn->lock);
	*need_map = err && plan->need_map;
	*chunk = plan->need_chunk;
	plan_fini(plan);
	free(plan);
	return err;
}

int xn_update(struct xn_session *session, const struct xn_update *update)
{
	struct xn *xn = session->xn;
	struct xn_refusal *why = update->why;
	bool need_map = false;
	uint64_t chunk = 0;
	int err;

	if (why)
		memset(why, 0, sizeof(*why));
	do {
		err = attempt(session, update, &need_map, &chunk);
		pthread_mutex_lock(&xn->lock);
		if (err && need_map)
			err = freemap_load(xn, chunk);
		xn->stats.updates += !need_map;
		xn->stats.refused_updates += err && !need_map;
		session->stats.refused_updates += err && !need_map;
		pthread_mutex_unlock(&xn->lock);
	} while (!err && need_map);
	if (err && why && why->error != err)
		refuse(why, err, 0, "%s", xn_strerror(err));
	return err;
}
