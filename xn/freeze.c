/* SPDX-License-Identifier: MIT */
/*
 * Frozen versions: so that an object that somebody goes on changing does not keep
 * a sync from ending.
 *
 *  (1) A sync that finds an object tainted, again and again, copies its bytes and
 *      writes those as soon as everything they name is sound.  At most one copy of
 *      an object is frozen at a time.
 *  (2) Of what the copy names and is not sound, each child is marked, each
 *      dependency too; they are counted down apart from what was added since.
 *      A child that was sound and is not any more (order_now_unsound) joins them.
 *  (3) A frozen copy counts as on its way to the disk: nothing that it names is free
 *      before a later version is stable.
 *  (4) It is given up when a child that it waits for is freed, when something moves
 *      away, and when its object must go together with others (group.c).
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

void freeze_drop(struct entry *entry)
{
	if (!entry->frozen)
		return;
	free(entry->frozen->bytes);
	free(entry->frozen);
	entry->frozen = NULL;
}

/*
 * Mark the children that the newest bytes name and that are not sound; false: one has no bytes.
 * What a damaged disk names here and is known under another owner is not waited for.
 */
static bool mark_children(struct xn *xn, const struct entry *entry, const struct udf_extents *owned,
			  uint64_t *count)
{
	for (size_t i = 0; i < owned->n; i++) {
		const struct udf_extent *e = &owned->v[i];
		const struct type *type = type_find(xn, e->child);
		uint32_t step = type ? type->blocks : 1;

		for (uint64_t b = 0; b < e->count; b += step) {
			struct entry *child = registry_find(&xn->registry, e->start + b);

			if (freemap_unwritten(xn, e->start + b))
				return false;
			if (!child || child->owner != entry)
				continue;
			child->flags &= ~(uint32_t)E_IN_FROZEN;
			if (child->flags & E_SOUND)
				continue;
			child->flags |= E_IN_FROZEN;
			++*count;
		}
	}
	return true;
}

static void mark_waits(struct entry *entry, uint64_t *count)
{
	struct after *after;

	LIST_FOREACH(after, &entry->waits, of_object)
	{
		after->in_frozen = true;
		++*count;
	}
}

/* Without memory, or while a child has no bytes, there is none; then the sync waits on. */
void freeze_take(struct xn *xn, struct entry *entry)
{
	size_t len = (size_t)entry->blocks * XN_BLOCK_SIZE;
	struct udf_extents owned = { 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct frozen *frozen = calloc(1, sizeof(*frozen));
	bool good = frozen && (frozen->bytes = malloc(len)) != NULL;

	good = good &&
	       !owns_object(xn, entry->type, entry->start, entry_bytes(entry), &budget, &owned,
			    NULL) &&
	       mark_children(xn, entry, &owned, &frozen->unsound);
	udf_extents_fini(&owned);
	if (!good) {
		free(frozen ? frozen->bytes : NULL);
		free(frozen);
		return;
	}
	mark_waits(entry, &frozen->unsound);
	memcpy(frozen->bytes, entry_bytes(entry), len);
	frozen->version = entry->version;
	frozen->clock = xn->version_clock;
	frozen->map_seq = entry->map_seq;
	memcpy(frozen->changed, entry->changed, sizeof(frozen->changed));
	entry->frozen = frozen;
	xn->stats.frozen++;
}

/*
 * A child that was sound is not any more: the owner's copy waits for it like for the
 * others, be it that it does not name it, for then it is only written later.
 */
void freeze_child_unsound(struct entry *child)
{
	if (!child->owner->frozen)
		return;
	child->flags |= E_IN_FROZEN;
	child->owner->frozen->unsound++;
}

/* A marked child is sound now. */
void freeze_child_sound(struct entry *child)
{
	if (!(child->flags & E_IN_FROZEN))
		return;
	child->flags &= ~(uint32_t)E_IN_FROZEN;
	if (child->owner && child->owner->frozen)
		child->owner->frozen->unsound--;
}

bool freeze_ready(const struct xn *xn, const struct entry *entry)
{
	const struct frozen *frozen = entry->frozen;

	return frozen && frozen->unsound == 0 && frozen->map_seq <= xn->freemap.stable_seq;
}

/*
 * The copy goes to the device, as `copy`; the object stays dirty with what came
 * later.
 */
void freeze_issue(struct entry *entry, uint8_t *copy)
{
	struct frozen *frozen = entry->frozen;

	memcpy(copy, frozen->bytes, (size_t)entry->blocks * XN_BLOCK_SIZE);
	entry->issued_version = frozen->version;
	/* Not untainted by that: what was retyped or moved in since, the copy names as it was. */
	/* What changed before the copy and since cannot be told apart: it stays changed. */
	entry->issuing[0] |= frozen->changed[0];
	entry->issuing[1] |= frozen->changed[1];
	entry->dirty_since = frozen->clock + 1;
	entry->flags |= E_WRITING;
	entry->pins++;
	freeze_drop(entry);
}
