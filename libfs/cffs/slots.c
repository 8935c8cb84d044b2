/* SPDX-License-Identifier: MIT */
#include "slots.h"

#include <string.h>

#define PLACES (CFFS_EXT_SLOTS + 1) /* of a sector; the first is its header */

bool cffs_slot_maps(const struct cffs_slot *slot)
{
	return slot->class == CFFS_CLASS_DATA || slot->class == CFFS_CLASS_UNWR ||
	       slot->class == CFFS_CLASS_DIR || slot->class == CFFS_CLASS_INDEX;
}

static bool is_header(const struct cffs_set *set, uint32_t place)
{
	return set->node && place % PLACES == 0;
}

static bool is_free(const struct cffs_set *set, uint32_t place)
{
	return !is_header(set, place) && set->slot[place].class == CFFS_CLASS_NONE;
}

static uint64_t slot_end(const struct cffs_slot *slot)
{
	return slot->logical + slot->count;
}

/* ---- from bytes and to bytes ---- */

void cffs_set_of_body(const struct cffs_body *body, struct cffs_set *set)
{
	set->node = false;
	set->level = 0;
	set->n = body->n_slots;
	set->max = CFFS_BODY_SLOTS;
	memcpy(set->slot, body->slot, sizeof(body->slot));
}

void cffs_set_to_body(const struct cffs_set *set, struct cffs_body *body)
{
	body->n_slots = (uint8_t)set->n;
	memcpy(body->slot, set->slot, sizeof(body->slot));
}

void cffs_body_count(struct cffs_body *body)
{
	uint64_t named = 0;
	bool node = false;

	for (uint32_t i = 0; i < body->n_slots; i++) {
		if (body->slot[i].class == CFFS_CLASS_NONE)
			continue;
		named += body->slot[i].count;
		node |= body->slot[i].class == CFFS_CLASS_NODE;
	}
	if (!node || body->blocks < named || body->blocks > CFFS_BLOCKS_MAX)
		body->blocks = named;
}

void cffs_set_empty_node(uint8_t level, struct cffs_set *set)
{
	memset(set, 0, sizeof(*set));
	set->node = true;
	set->level = level;
	set->n = set->max = CFFS_EXT_RECORDS;
}

static bool sector_is_new(const uint8_t *sector)
{
	static const uint8_t zeroes[CFFS_X_LEVEL];

	return memcmp(sector, zeroes, sizeof(zeroes)) == 0;
}

/* What a slot of a node may say. */
static bool slot_is_sane(const struct cffs_slot *slot, uint8_t level)
{
	bool fits =
		level ? slot->class == CFFS_CLASS_NODE && slot->count == 1 : cffs_slot_maps(slot);

	return fits && slot->count > 0 && slot->logical < CFFS_BLOCKS_MAX &&
	       slot->count <= CFFS_BLOCKS_MAX - slot->logical;
}

int cffs_set_of_node(const uint8_t bytes[CFFS_BLOCK], struct cffs_set *set)
{
	cffs_set_empty_node(bytes[CFFS_X_LEVEL], set);
	for (uint32_t i = 0; i < CFFS_EXT_RECORDS; i++) {
		const uint8_t *sector = bytes + i / PLACES * CFFS_SECTOR;

		if (i % PLACES == 0) {
			if (!sector_is_new(sector) && sector[CFFS_X_LEVEL] != set->level)
				return 1;
			continue;
		}
		cffs_slot_decode(bytes + i * CFFS_SLOT_SIZE, &set->slot[i]);
		if (set->slot[i].class != CFFS_CLASS_NONE &&
		    !slot_is_sane(&set->slot[i], set->level))
			return 2;
	}
	return 0;
}

void cffs_set_to_node(const struct cffs_set *set, uint64_t ino, uint8_t bytes[CFFS_BLOCK])
{
	memset(bytes, 0, CFFS_BLOCK);
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		uint8_t *sector = bytes + s * CFFS_SECTOR;
		uint8_t used = 0;

		for (uint32_t k = 1; k < PLACES; k++) {
			const struct cffs_slot *slot = &set->slot[s * PLACES + k];

			if (slot->class == CFFS_CLASS_NONE)
				continue;
			cffs_slot_encode(slot, sector + k * CFFS_SLOT_SIZE);
			used++;
		}
		sector[CFFS_X_MAGIC] = CFFS_EXT_MAGIC & 0xff;
		sector[CFFS_X_MAGIC + 1] = CFFS_EXT_MAGIC >> 8;
		sector[CFFS_X_USED] = used;
		sector[CFFS_X_LEVEL] = set->level;
		for (uint32_t i = 0; i < 8; i++)
			sector[CFFS_X_INO + i] = (uint8_t)(ino >> 8 * i);
		cffs_seal(sector);
	}
}

int cffs_node_find(const uint8_t bytes[CFFS_BLOCK], uint64_t logical, struct cffs_slot *slot,
		   uint64_t *next)
{
	struct cffs_slot at;

	*next = CFFS_LOGICAL_END;
	for (uint32_t i = 0; i < CFFS_EXT_RECORDS; i++) {
		if (i % PLACES == 0)
			continue;
		cffs_slot_decode(bytes + i * CFFS_SLOT_SIZE, &at);
		if (!cffs_slot_maps(&at))
			continue;
		if (at.logical <= logical && logical < slot_end(&at)) {
			*slot = at;
			return (int)i;
		}
		if (at.logical > logical && at.logical < *next)
			*next = at.logical;
	}
	return -1;
}

/* ---- looking ---- */

int cffs_set_find(const struct cffs_set *set, uint64_t logical, uint64_t *next)
{
	int found = -1;

	*next = CFFS_LOGICAL_END;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct cffs_slot *slot = &set->slot[i];

		if (!cffs_slot_maps(slot))
			continue;
		if (slot->logical <= logical && logical < slot_end(slot))
			found = (int)i;
		else if (slot->logical > logical && slot->logical < *next)
			*next = slot->logical;
	}
	return found;
}

int cffs_set_child(const struct cffs_set *set, uint64_t logical, uint64_t *next)
{
	int below = -1, first = -1;

	*next = CFFS_LOGICAL_END;
	for (uint32_t i = 0; i < set->n; i++) {
		const struct cffs_slot *slot = &set->slot[i];

		if (slot->class != CFFS_CLASS_NODE)
			continue;
		if (first < 0 || slot->logical < set->slot[first].logical)
			first = (int)i;
		if (slot->logical > logical) {
			if (slot->logical < *next)
				*next = slot->logical;
		} else if (below < 0 || slot->logical > set->slot[below].logical) {
			below = (int)i;
		}
	}
	if (below >= 0 || first < 0)
		return below;
	/* It begins behind: its end is where the second begins. */
	return cffs_set_child(set, set->slot[first].logical, next);
}

uint32_t cffs_set_used(const struct cffs_set *set)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < set->n; i++)
		used += set->slot[i].class != CFFS_CLASS_NONE;
	return used;
}

/* ---- room ---- */

static uint32_t sector_free(const struct cffs_set *set, uint32_t sector)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i < PLACES; i++)
		n += is_free(set, sector * PLACES + i);
	return n;
}

bool cffs_set_is_full(const struct cffs_set *set)
{
	for (uint32_t s = 0; set->node && s < CFFS_SECTORS; s++)
		if (sector_free(set, s) > 2)
			return false;
	for (uint32_t i = 0; !set->node && i < set->max; i++)
		if (i >= set->n || is_free(set, i))
			return false;
	return true;
}

static int first_free(const struct cffs_set *set, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		if (is_free(set, i))
			return (int)i;
	return -1;
}

int cffs_set_room(struct cffs_set *set, int near)
{
	uint32_t sector = (uint32_t)near / PLACES * PLACES;
	int place = set->node ? first_free(set, sector, sector + PLACES) : -1;

	if (place < 0)
		place = first_free(set, 0, set->n);
	if (place >= 0 || set->n == set->max)
		return place;
	memset(&set->slot[set->n], 0, sizeof(set->slot[0]));
	return (int)set->n++;
}

int cffs_set_roomiest(struct cffs_set *set)
{
	uint32_t best = 0;

	for (uint32_t s = 1; set->node && s < CFFS_SECTORS; s++)
		if (sector_free(set, s) > sector_free(set, best))
			best = s;
	return cffs_set_room(set, (int)(best * PLACES));
}

/* ---- changing ---- */

static struct cffs_slot part_of(const struct cffs_slot *slot, uint64_t from, uint64_t to)
{
	struct cffs_slot part = *slot;

	part.start += from - slot->logical;
	part.logical = from;
	part.count = (uint32_t)(to - from);
	return part;
}

int cffs_set_cut(struct cffs_set *set, int place, uint64_t from, uint64_t to)
{
	const struct cffs_slot whole = set->slot[place];
	uint32_t n = set->n;
	int head = -1, tail = -1;

	if (from > whole.logical) {
		head = cffs_set_room(set, place);
		if (head < 0)
			return -1;
		set->slot[head] = part_of(&whole, whole.logical, from);
	}
	if (to < slot_end(&whole)) {
		tail = cffs_set_room(set, place);
		if (tail < 0) {
			if (head >= 0)
				set->slot[head] = (struct cffs_slot){ 0 };
			set->n = n;
			return -1;
		}
		set->slot[tail] = part_of(&whole, to, slot_end(&whole));
	}
	set->slot[place] = part_of(&whole, from, to);
	return place;
}

/* Does `b` continue `a`, in the file and on disk? */
static bool continues(const struct cffs_slot *a, const struct cffs_slot *b)
{
	return a->class == b->class && slot_end(a) == b->logical &&
	       a->start + a->count == b->start && b->count <= CFFS_SLOT_COUNT_MAX - a->count;
}

void cffs_set_join(struct cffs_set *set, int place)
{
	uint32_t from = set->node ? (uint32_t)place / PLACES * PLACES : 0;
	uint32_t to = set->node ? from + PLACES : set->n;
	struct cffs_slot *slot = &set->slot[place];

	for (uint32_t i = from; i < to; i++) {
		struct cffs_slot *other = &set->slot[i];

		if ((int)i == place || is_header(set, i) || !cffs_slot_maps(other))
			continue;
		if (continues(other, slot)) {
			slot->start = other->start;
			slot->logical = other->logical;
		} else if (!continues(slot, other)) {
			continue;
		}
		slot->count += other->count;
		*other = (struct cffs_slot){ 0 };
	}
}

bool cffs_set_extend(struct cffs_set *set, const struct cffs_slot *more)
{
	for (uint32_t i = 0; i < set->n; i++) {
		struct cffs_slot *slot = &set->slot[i];

		if (is_header(set, i) || !cffs_slot_maps(slot))
			continue;
		if (continues(more, slot)) {
			slot->start = more->start;
			slot->logical = more->logical;
		} else if (!continues(slot, more)) {
			continue;
		}
		slot->count += more->count;
		return true;
	}
	return false;
}
