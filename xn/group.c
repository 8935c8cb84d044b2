/* SPDX-License-Identifier: MIT */
/*
 * Groups: objects that reach the disk together or not at all.
 *
 *  (1) Members are objects that the disk may name.  What it does not name yet is
 *      written before, and the first object above it that the disk does name is
 *      the member in its place.
 *  (2) Updates that share an object make one group of theirs.
 *  (3) A member is written by a record of the intent log that holds all members,
 *      and no other way; then the group is no more.
 *  (4) A group may go when all that its members name is sound or will be by its
 *      record: another member, or what leads to one and is stable itself.
 *  (5) A member that is freed is gone from its group; the object that named it
 *      joined when it gave it up, so that nobody sees the one without the other.
 *      So are members in a subtree that is given to the reaper.
 */
#include "internal.h"

#include <stdlib.h>

static bool is_below(const struct entry *entry, const struct entry *top)
{
	while (entry && entry != top)
		entry = entry->owner;
	return entry != NULL;
}

struct group *group_alloc(void)
{
	struct group *group = calloc(1, sizeof(*group));

	if (group)
		TAILQ_INIT(&group->members);
	return group;
}

void group_free_if_empty(struct xn *xn, struct group *group)
{
	if (!group || group->n > 0)
		return;
	if (group->listed)
		TAILQ_REMOVE(&xn->groups, group, all);
	free(group);
}

static void group_add(struct xn *xn, struct group *group, struct entry *entry)
{
	if (!group->listed)
		TAILQ_INSERT_TAIL(&xn->groups, group, all);
	group->listed = true;
	freeze_drop(entry); /* it goes with the others, as it is then */
	TAILQ_INSERT_TAIL(&group->members, entry, member);
	entry->group = group;
	group->n++;
}

/* The entry, and whoever goes together with it, is of `group` from now on. */
struct group *group_join(struct xn *xn, struct entry *entry, struct group *group)
{
	struct group *old = entry->group;
	struct entry *member;

	if (old == group)
		return group;
	if (!old) {
		group_add(xn, group, entry);
		return group;
	}
	while ((member = TAILQ_FIRST(&old->members)) != NULL) {
		TAILQ_REMOVE(&old->members, member, member);
		old->n--;
		group_add(xn, group, member);
	}
	group_free_if_empty(xn, old);
	return group;
}

void group_leave(struct xn *xn, struct entry *entry)
{
	struct group *group = entry->group;

	if (!group)
		return;
	TAILQ_REMOVE(&group->members, entry, member);
	group->n--;
	entry->group = NULL;
	group_free_if_empty(xn, group);
}

/*
 * `top` and all below it belong to nobody any more: what becomes of them on disk
 * matters to nobody, and nobody waits for it.
 */
void groups_leave_below(struct xn *xn, const struct entry *top)
{
	struct group *group, *next;
	struct entry *member, *after;

	for (group = TAILQ_FIRST(&xn->groups); group; group = next) {
		uint32_t left = group->n;

		next = TAILQ_NEXT(group, all);
		for (member = TAILQ_FIRST(&group->members); left-- > 0; member = after) {
			after = TAILQ_NEXT(member, member);
			if (is_below(member, top))
				group_leave(xn, member); /* the last takes the group along */
		}
	}
}

/* Sectors that a record of all members would hold now. */
uint32_t group_sectors(const struct group *group)
{
	const struct entry *member;
	uint32_t n = 0;

	TAILQ_FOREACH(member, &group->members, member)
	{
		n += log_sectors_of(member);
	}
	return n;
}

/* Its newest bytes are stable: only what it names can keep it from being sound. */
static bool is_quiet(const struct entry *entry)
{
	return entry->stable_version == entry->version && !entry->frozen &&
	       !(entry->flags & (E_DIRTY | E_WRITING | E_READING | E_REAPED | E_DEAD));
}

/* Once the group is stable the entry is, with all that it names. */
static bool is_settled(const struct xn *xn, const struct group *group, const struct entry *entry)
{
	return entry->settled == entry->unsound && entry->map_seq <= xn->freemap.stable_seq &&
	       (entry->group == group || is_quiet(entry));
}

/*
 * How much of what each names and is not sound will be by the group's record.  A member may be
 * unsound because of an older copy; and what lies between two members and no disk names, its own
 * bytes stable, is unsound for nothing but the member below it.
 */
static void group_settle(const struct xn *xn, struct group *group)
{
	struct entry *member, *at;

	TAILQ_FOREACH(member, &group->members, member)
	{
		for (at = member; at; at = at->owner)
			at->settled = 0;
	}
	TAILQ_FOREACH(member, &group->members, member)
	{
		if (member->unsound > 0)
			continue; /* its turn comes with the last of what it names */
		for (at = member; is_settled(xn, group, at) && !(at->flags & E_SOUND) && at->owner;
		     at = at->owner)
			at->owner->settled++;
	}
}

static bool may_be_written(const struct entry *entry)
{
	return !(entry->flags & (E_WRITING | E_READING | E_REAPED));
}

/* What no disk names may name what it likes. */
static bool may_name_anything(struct entry *entry)
{
	return !entry->type || !((entry->flags & E_SOUND) || order_reachable(entry));
}

/* May the entry go to the disk through the log now, with whoever must go with it? */
bool log_ready(const struct xn *xn, struct entry *entry)
{
	struct entry *member;

	if (!entry->group)
		return (entry->flags & E_DIRTY) && log_holds(xn, entry->start, entry->blocks) &&
		       may_be_written(entry) &&
		       (may_name_anything(entry) || order_names_only_sound(xn, entry));
	group_settle(xn, entry->group);
	TAILQ_FOREACH(member, &entry->group->members, member)
	{
		if (!may_be_written(member) ||
		    !(may_name_anything(member) || is_settled(xn, entry->group, member)))
			return false;
	}
	return true;
}

/* Is one of the group's members `top`, or below it? */
static bool group_is_below(const struct group *group, const struct entry *top)
{
	const struct entry *member;

	TAILQ_FOREACH(member, &group->members, member)
	{
		if (is_below(member, top))
			return true;
	}
	return false;
}

/* The next group behind `after` (NULL: the first) with a member at or below `top`. */
struct group *group_next_below(const struct xn *xn, const struct group *after,
			       const struct entry *top)
{
	struct group *group = after ? TAILQ_NEXT(after, all) : TAILQ_FIRST(&xn->groups);

	for (; group; group = TAILQ_NEXT(group, all)) {
		if (group_is_below(group, top))
			return group;
	}
	return NULL;
}
