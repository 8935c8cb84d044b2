/* SPDX-License-Identifier: MIT */
/*
 * Write order, after Ganger and Patt.
 *
 *  (1) An entry is sound when its bytes are stable on disk (written since its
 *      allocation, then flushed), everything those bytes name is sound, and the
 *      free map on disk shows the blocks they name in use.
 *  (2) An object that is, or may be, named on disk from a root is written only
 *      when everything it names is sound.  One that is not yet reachable may be
 *      written at any time, so a new subtree goes out in one wave.
 *  (3) A freed block is free at once if no pointer to it was ever issued; else it
 *      waits (will-free) until the object that named it is stable without it.
 *      When that object is freed itself, what waits on it waits with it.
 *  (4) Nothing is walked: each object counts its unsound children, each child
 *      tells its owner when it becomes sound.
 *  (5) What must go together (group.c), and what a live log record holds (log.c),
 *      is written through the log only; stable and sound mean the same there.
 *  (6) What hangs under a temporary root is exempt: it is written any time, and its
 *      blocks are free at once.  Yet it leaves the cache only when it is sound.
 *  (7) An object that no disk names and that took part in a move is not sound by
 *      an older version (sound_from), so nothing names it before that move is
 *      written; and what it gives up that it had by a move waits for the object
 *      above it that goes together with the one that lost it.
 *
 * Why a dirty entry can always be written: a data block names nothing; an
 * object waits only for blocks below it, so the lowest dirty one waits for none
 * but blocks allocated and never written, which zero_unwritten() can settle.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

bool order_exempt(const struct entry *entry)
{
	if (!entry->root->temporary && entry->root->n_scratch == 0)
		return false;
	while (entry->owner)
		entry = entry->owner;
	return entry->flags & E_EXEMPT;
}

bool order_reachable(struct entry *entry)
{
	struct entry *at = entry;

	while (!(at->flags & E_REACH)) {
		if (at->flags & E_EXEMPT)
			return false;
		if (!at->owner)
			break; /* a root's object is named by its catalogue entry */
		if (at->owner->issued_version < at->named_at)
			return false;
		at = at->owner;
	}
	for (; entry != at; entry = entry->owner)
		entry->flags |= E_REACH;
	return true;
}

bool order_names_only_sound(const struct xn *xn, const struct entry *entry)
{
	return entry->unsound == 0 && entry->map_seq <= xn->freemap.stable_seq;
}

/* May the newest bytes go, as far as it is for what they name? */
bool order_newest_may_go(const struct xn *xn, struct entry *entry)
{
	if (!entry->type || order_exempt(entry))
		return true;
	if (!(entry->flags & E_SOUND) && !order_reachable(entry))
		return true;
	return order_names_only_sound(xn, entry);
}

bool order_writable(const struct xn *xn, struct entry *entry)
{
	if (!(entry->flags & E_DIRTY) || (entry->flags & (E_WRITING | E_READING | E_REAPED)))
		return false;
	if (entry->group || log_holds(xn, entry->start, entry->blocks))
		return false;
	return order_newest_may_go(xn, entry) || freeze_ready(xn, entry);
}

void order_child_unsound(struct entry *owner, uint64_t count)
{
	owner->unsound += count;
}

/* The bytes on disk are the newest, and all they name is sound by now. */
static bool became_sound(const struct xn *xn, const struct entry *entry)
{
	return !(entry->flags & (E_SOUND | E_DIRTY | E_WRITING)) && entry->type &&
	       entry->stable_version == entry->version && order_names_only_sound(xn, entry);
}

static void set_sound(struct xn *xn, struct entry *entry);

/*
 * A disk whose map called blocks free that were named may have had them counted under another
 * owner, who did take them: what cannot be is damage, as wherever two owners are met.
 */
static void unsound_less(struct xn *xn, struct entry *owner, uint64_t count)
{
	if (owner->unsound < count) {
		entry_damage(xn, owner);
		count = owner->unsound;
	}
	owner->unsound -= count;
}

void order_child_sound(struct xn *xn, struct entry *owner, uint64_t count)
{
	unsound_less(xn, owner, count);
	if (became_sound(xn, owner))
		set_sound(xn, owner);
}

/* Mark sound and tell the owners upwards, as far as it changes them. */
static void set_sound(struct xn *xn, struct entry *entry)
{
	for (;;) {
		struct entry *owner = entry->owner;

		entry->flags |= E_SOUND;
		entry->flags &= ~(uint32_t)E_TAINTED_COPY;
		freeze_child_sound(entry);
		entry_settle(xn, entry);
		if (!owner)
			return;
		unsound_less(xn, owner, 1);
		if (!became_sound(xn, owner))
			return;
		entry = owner;
	}
}

/* The object that the disk names, at or above this one. */
struct entry *order_anchor(struct entry *entry)
{
	while (!order_reachable(entry))
		entry = entry->owner;
	return entry;
}

/* Its older copy does not make it sound any more; who names it is told. */
static void not_sound(struct xn *xn, struct entry *entry)
{
	entry->sound_from = entry->version;
	if (!(entry->flags & E_SOUND))
		return;
	entry->flags &= ~(uint32_t)E_SOUND;
	entry_settle(xn, entry);
	if (!entry->owner)
		return;
	entry->owner->unsound++;
	entry->owner->flags |= E_TAINTED_COPY; /* what was issued of it may name this one */
	freeze_child_unsound(entry);
}

/*
 * A stable copy of an object that no disk names is not good enough any more: it is
 * sound when its present version is.  So is everything between it and the first
 * object that the disk names: an older copy of theirs may not lead to it.
 */
void order_now_unsound(struct xn *xn, struct entry *entry)
{
	bool exempt = order_exempt(entry); /* nothing of it is ever led to: only who names it */
	bool was = true;

	for (; entry && !order_reachable(entry) && (was || !exempt); entry = entry->owner) {
		was = entry->flags & E_SOUND;
		not_sound(xn, entry);
	}
}

/* A copy of the newest bytes is about to be given to the device. */
void order_issued(struct xn *xn, struct entry *entry)
{
	entry->issued_version = entry->version;
	entry->issuing[0] |= entry->changed[0];
	entry->issuing[1] |= entry->changed[1];
	entry->changed[0] = entry->changed[1] = 0;
	if (entry->type && !order_names_only_sound(xn, entry)) {
		if ((entry->flags & E_SOUND) && order_exempt(entry))
			order_now_unsound(xn, entry);
		entry->flags |= E_TAINTED_COPY;
	} else {
		entry->flags &= ~(uint32_t)E_TAINTED_COPY;
	}
}

/* `version` of the entry is on the medium for good. */
void order_stable(struct xn *xn, struct entry *entry, uint64_t version)
{
	struct will_free **at = &entry->will_free;
	struct will_free *ready = NULL;

	entry->stable_version = version;
	if (version == entry->issued_version)
		entry->issuing[0] = entry->issuing[1] = 0;
	after_stable(xn, entry, version);
	while (*at) {
		struct will_free *node = *at;

		if (node->version > version) {
			at = &node->next;
			continue;
		}
		*at = node->next;
		node->next = ready;
		ready = node;
	}
	order_release(xn, entry->root, ready);
	if ((entry->flags & E_SOUND) || version < entry->sound_from)
		return;
	if (!(entry->flags & E_TAINTED_COPY) || became_sound(xn, entry))
		set_sound(xn, entry);
}

void order_map_stable(struct xn *xn, uint64_t seq)
{
	struct freemap *map = &xn->freemap;
	uint32_t done = 0;

	if (seq > map->stable_seq)
		map->stable_seq = seq;
	while (done < map->n_taken && map->taken[done].seq <= map->stable_seq)
		done++;
	map->n_taken -= done;
	memmove(map->taken, map->taken + done, map->n_taken * sizeof(map->taken[0]));
}

/*
 * May a block that `owner` just gave up be reused at once?  Yes if no issued
 * version of the owner names it: the owner was never issued, or the block is
 * unsound and every issued version named sound blocks only.
 */
bool order_free_at_once(const struct entry *owner, bool child_unsound)
{
	if (order_exempt(owner))
		return true; /* no pointer that survives a restart */
	if (owner->flags & E_MOVED_IN)
		return false; /* somebody else's issued version may name it */
	if (owner->frozen)
		return false; /* that copy may be written yet */
	if (owner->issued_version == 0)
		return true;
	return child_unsound && !(owner->flags & E_TAINTED_COPY);
}

/* Free, unless a log record still holds a block of them. */
static void give(struct xn *xn, struct will_free *node)
{
	if (log_keep(xn, node))
		return;
	freemap_give(xn, node->start, node->count);
	xn->freemap.will_free -= node->count;
	free(node);
}

void order_give_all(struct xn *xn, struct will_free **list)
{
	struct will_free *node = *list, *next;

	*list = NULL;
	for (; node; node = next) {
		next = node->next;
		give(xn, node);
	}
}

/* Nothing on disk names these any more. */
void order_release(struct xn *xn, struct root *root, struct will_free *list)
{
	while (list) {
		struct will_free *next = list->next;

		if (list->reap) {
			reap_add(xn, root, list->reap, list->start);
			free(list);
		} else {
			root_credit(root, list->count);
			give(xn, list);
		}
		list = next;
	}
}

/* The same for blocks that a write in flight may still touch: they wait for its end. */
void order_release_now(struct xn *xn, struct root *root, struct will_free *list)
{
	while (list) {
		struct will_free *next = list->next;

		if (xn->wave && !list->reap) {
			root_credit(root, list->count);
			list->next = xn->wave_free;
			xn->wave_free = list;
		} else {
			list->next = NULL;
			order_release(xn, root, list);
		}
		list = next;
	}
}

/* These wait until `owner` is stable as it is now. */
void will_free_wait(struct entry *owner, struct will_free *list)
{
	while (list) {
		struct will_free *next = list->next;

		list->version = owner->version;
		list->next = owner->will_free;
		owner->will_free = list;
		list = next;
	}
}

/*
 * The object lost its owner and will be taken apart.  Bytes newer than the
 * disk's must stay until then; they are not worth writing.
 */
void order_orphan(struct xn *xn, struct entry *entry)
{
	if (entry->flags & E_REAPED)
		return;
	entry_unbind_all(entry);
	group_leave(xn, entry);
	freeze_drop(entry);
	after_forget(xn, entry);
	if ((entry->flags & (E_DIRTY | E_WRITING)) || !(entry->flags & E_SOUND)) {
		entry->flags |= E_HELD;
		entry->pins++;
	}
	entry_clear_dirty(xn, entry);
	entry->flags |= E_REAPED | E_SOUND;
	entry_settle(xn, entry);
}

bool order_reaped(const struct entry *entry)
{
	for (; entry; entry = entry->owner) {
		if (entry->flags & E_REAPED)
			return true;
	}
	return false;
}
