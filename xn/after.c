/* SPDX-License-Identifier: MIT */
/*
 * xn_after(): dependencies of a LibFS's own.
 *
 *  (1) An object that waits counts the other like an unsound child, until the
 *      version that the other had when it was asked is stable, or either is gone.
 *  (2) Nothing waits for itself: whoever waits is found by going up, from what is
 *      waited for to who waits (owners of the unsound, members of one group, these
 *      dependencies), and a request that would close a ring is refused.
 *  (3) Members of one group do not wait for each other: they go together.
 */
#include "update.h"

#include <errno.h>
#include <stdlib.h>

static void after_free(struct after *after)
{
	LIST_REMOVE(after, of_object);
	LIST_REMOVE(after, of_prior);
	after->object->n_waits--;
	LIST_REMOVE(after, all);
	free(after);
}

static void after_end(struct xn *xn, struct after *after)
{
	struct entry *object = after->object;

	if (after->in_frozen && object->frozen)
		object->frozen->unsound--;
	after_free(after);
	order_child_sound(xn, object, 1);
}

/* `version` of the entry is stable: who waited for it waits no more. */
void after_stable(struct xn *xn, struct entry *prior, uint64_t version)
{
	struct after *after = LIST_FIRST(&prior->awaited);

	while (after) {
		struct after *next = LIST_NEXT(after, of_prior);

		if (after->version <= version)
			after_end(xn, after);
		after = next;
	}
}

/* The entry dies, or nobody owns it any more. */
void after_forget(struct xn *xn, struct entry *entry)
{
	while (!LIST_EMPTY(&entry->awaited))
		after_end(xn, LIST_FIRST(&entry->awaited));
	while (!LIST_EMPTY(&entry->waits)) {
		struct after *after = LIST_FIRST(&entry->waits);

		after_free(after);
		entry->unsound -= entry->unsound > 0; /* see unsound_less() of order.c */
	}
}

/* `top` and all below it belong to nobody any more, so nobody waits for them. */
void after_forget_below(struct xn *xn, const struct entry *top)
{
	struct after *after = LIST_FIRST(&xn->afters), *next;

	for (; after; after = next) {
		const struct entry *at = after->prior;

		next = LIST_NEXT(after, all);
		while (at && at != top)
			at = at->owner;
		if (at)
			after_end(xn, after);
	}
}

/* Members of one group need not wait for each other. */
void after_within_group(struct xn *xn, struct group *group)
{
	struct entry *member;

	TAILQ_FOREACH(member, &group->members, member)
	{
		struct after *after = LIST_FIRST(&member->waits);

		while (after) {
			struct after *next = LIST_NEXT(after, of_object);

			if (after->prior->group == group)
				after_end(xn, after);
			after = next;
		}
	}
}

/* ---- rings ---- */

/*
 * What somebody may wait for: that an entry's newest version is stable, or that
 * the entry is sound.  Where the disk reaches an object, its stability waits for
 * the soundness of what it names, for its priors and for its group; where it
 * does not, it waits for nothing.
 */
struct climb {
	const struct plan *plan; /* NULL, or an update: owners as they will be then */
	struct step {
		struct entry *entry;
		bool stable;
	} * v;
	size_t n, cap;
};

static int climb_push(struct climb *climb, struct entry *entry, bool stable)
{
	uint32_t seen = stable ? E_SEEN_STABLE : E_SEEN_SOUND;

	if (entry->flags & seen)
		return 0;
	if (climb->n == climb->cap) {
		size_t cap = climb->cap ? climb->cap * 2 : 32;
		struct step *v = realloc(climb->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		climb->v = v;
		climb->cap = cap;
	}
	entry->flags |= seen;
	climb->v[climb->n++] = (struct step){ entry, stable };
	return 0;
}

/* Who waits for something on which `entry` waits itself, waits for it both ways. */
static int climb_push_waiter(struct climb *climb, struct entry *entry)
{
	int err = climb_push(climb, entry, false);

	if (!err && ((entry->flags & E_SOUND) || order_reachable(entry)))
		err = climb_push(climb, entry, true);
	return err;
}

static int climb_awaited(struct climb *climb, struct entry *entry)
{
	struct after *after;
	int err = 0;

	LIST_FOREACH(after, &entry->awaited, of_prior)
	{
		if (!err)
			err = climb_push_waiter(climb, after->object);
	}
	return err;
}

/*
 * Who waits until the entry is sound: its owner, unless it is so and stays so.
 * What no disk names may become unsound again at any time (order_now_unsound).
 */
static struct entry *sound_waiter(const struct climb *climb, struct entry *entry)
{
	struct change *change = climb->plan ? plan_new_owner(climb->plan, entry) : NULL;

	if ((entry->flags & E_SOUND) && order_reachable(entry))
		return NULL;
	while (change && change->fresh)
		change = plan_taker(climb->plan, change->edits->object);
	return change ? change->entry : entry->owner;
}

/* Push everything that waits for this. */
static int climb_step(struct climb *climb, struct step step)
{
	struct entry *entry = step.entry, *member;
	int err = 0;

	if (!step.stable) {
		struct entry *owner = sound_waiter(climb, entry);

		return owner ? climb_push_waiter(climb, owner) : 0;
	}
	err = climb_awaited(climb, entry);
	if (!err)
		err = climb_push(climb, entry, false);
	if (!entry->group)
		return err;
	TAILQ_FOREACH(member, &entry->group->members, member)
	{
		if (!err)
			err = climb_push(climb, member, true);
	}
	return err;
}

static int climb_all(struct climb *climb)
{
	int err = 0;

	for (size_t i = 0; i < climb->n && !err; i++)
		err = climb_step(climb, climb->v[i]);
	return err;
}

static void climb_fini(struct climb *climb)
{
	for (size_t i = 0; i < climb->n; i++)
		climb->v[i].entry->flags &= ~(uint32_t)(E_SEEN_STABLE | E_SEEN_SOUND);
	free(climb->v);
}

/* Does the stability of `prior` wait for `object`?  1, 0, or -ENOMEM. */
static int waits_for(struct entry *prior, struct entry *object)
{
	struct climb climb = { 0 };
	int err = climb_push_waiter(&climb, object);

	if (!err)
		err = climb_all(&climb);
	if (!err && (prior->flags & E_SEEN_STABLE))
		err = 1;
	climb_fini(&climb);
	return err;
}

/* Is the entry, or its group, one of these? */
static bool is_one_of(const struct entry *entry, struct entry *const entries[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (entries[i] == entry || (entry->group && entry->group == entries[i]->group))
			return true;
	}
	return false;
}

static int climb_out_of(struct climb *climb, struct entry *member, struct entry *const entries[],
			size_t count)
{
	struct after *after;
	int err = 0;

	LIST_FOREACH(after, &member->awaited, of_prior)
	{
		if (!err && !is_one_of(after->object, entries, count))
			err = climb_push_waiter(climb, after->object);
	}
	return err;
}

/*
 * Would these entries and their groups, made one group by the update, wait for
 * themselves through somebody else?  1, 0, or -ENOMEM.
 */
int after_ring(const struct plan *plan, struct entry *const entries[], size_t count)
{
	struct climb climb = { .plan = plan };
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		struct entry *member;

		err = climb_out_of(&climb, entries[i], entries, count);
		if (!entries[i]->group)
			continue;
		TAILQ_FOREACH(member, &entries[i]->group->members, member)
		{
			if (!err)
				err = climb_out_of(&climb, member, entries, count);
		}
	}
	if (!err)
		err = climb_all(&climb);
	for (size_t i = 0; i < climb.n && !err; i++) {
		if (climb.v[i].stable && is_one_of(climb.v[i].entry, entries, count))
			err = 1;
	}
	climb_fini(&climb);
	return err;
}

/* ---- public ---- */

static int after_add(struct xn *xn, struct entry *object, struct entry *prior)
{
	struct after *after;
	int ring;

	LIST_FOREACH(after, &object->waits, of_object)
	{
		if (after->prior == prior) {
			after->version = prior->version;
			return 0;
		}
	}
	if (prior->stable_version >= prior->version ||
	    (object->group && object->group == prior->group))
		return 0;
	if (object->n_waits >= XN_AFTER_MAX)
		return XN_ETOOBIG;
	ring = waits_for(prior, object);
	if (ring)
		return ring < 0 ? ring : XN_ECYCLE;
	after = calloc(1, sizeof(*after));
	if (!after)
		return -ENOMEM;
	after->object = object;
	after->prior = prior;
	after->version = prior->version;
	LIST_INSERT_HEAD(&object->waits, after, of_object);
	LIST_INSERT_HEAD(&prior->awaited, after, of_prior);
	object->n_waits++;
	LIST_INSERT_HEAD(&xn->afters, after, all);
	order_child_unsound(object, 1);
	return 0;
}

int xn_after(struct xn_session *session, xn_blk_t object_block, xn_blk_t prior_block)
{
	struct xn *xn = session->xn;
	struct entry *object, *prior;
	int err;

	if (object_block == prior_block)
		return -EINVAL;
	pthread_mutex_lock(&xn->lock);
	object = registry_find(&xn->registry, object_block);
	prior = registry_find(&xn->registry, prior_block);
	if (!xn->writable)
		err = XN_EREADONLY;
	else if (!object || !object->type || !session_holds(session, object, XN_WRITE))
		err = XN_ENOTBOUND;
	else if (!prior || !session_reaches(session, prior))
		err = XN_ENOTBOUND;
	else if (object->root != prior->root)
		err = -EINVAL;
	else
		err = after_add(xn, object, prior);
	pthread_mutex_unlock(&xn->lock);
	return err;
}
