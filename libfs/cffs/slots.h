/* SPDX-License-Identifier: MIT */
/*
 * A set of slots: those of an inode, or of an extent node.  No XN in here.
 *
 *  (1) The slots of a set are in no order; what they map does not overlap.
 *  (2) A slot of a node keeps its place (record), unless it is split or cleared:
 *      so what a slot owns moves between sectors only when that is asked for.
 *  (3) A full node has a free place in no sector, or in few: cffs_set_is_full()
 *      says so early, that cutting a slot in three finds places beside it.
 */
#ifndef CFFS_SLOTS_H
#define CFFS_SLOTS_H

#include "format.h"

#define CFFS_LOGICAL_END CFFS_BLOCKS_MAX

struct cffs_set {
	bool node;
	uint8_t level; /* node: 0 holds extents, others hold nodes of the level below */
	uint32_t n;    /* places, used or not; they may grow to `max` */
	uint32_t max;
	struct cffs_slot slot[CFFS_EXT_RECORDS];
};

/* Does the slot map a part of the file?  (Attributes do not.) */
bool cffs_slot_maps(const struct cffs_slot *slot);

void cffs_set_of_body(const struct cffs_body *body, struct cffs_set *set);
void cffs_set_to_body(const struct cffs_set *set, struct cffs_body *body);
/*
 * The blocks of a body, counted where they can be: without a node its slots are all that there
 * are.  With one a crash may have left the count behind the nodes, which lie in other sectors;
 * it is never less than what the slots name, and never wraps.
 */
void cffs_body_count(struct cffs_body *body);
void cffs_set_empty_node(uint8_t level, struct cffs_set *set);
/* 0, or a small positive number: what is wrong. */
int cffs_set_of_node(const uint8_t bytes[CFFS_BLOCK], struct cffs_set *set);
void cffs_set_to_node(const struct cffs_set *set, uint64_t ino, uint8_t bytes[CFFS_BLOCK]);
/* Straight from a node's bytes: the place whose slot holds `logical`, or -1. */
int cffs_node_find(const uint8_t bytes[CFFS_BLOCK], uint64_t logical, struct cffs_slot *slot,
		   uint64_t *next);

/*
 * The place whose extent holds `logical`, or -1; *next is where the first extent behind `logical`
 * begins (CFFS_LOGICAL_END: none).
 */
int cffs_set_find(const struct cffs_set *set, uint64_t logical, uint64_t *next);
/* The place of the node that maps `logical`; the lowest one if all begin behind it; -1: none. */
int cffs_set_child(const struct cffs_set *set, uint64_t logical, uint64_t *next);
uint32_t cffs_set_used(const struct cffs_set *set);
bool cffs_set_is_full(const struct cffs_set *set);
/* A free place, in the sector of place `near` if possible; -1: none. Grows n. */
int cffs_set_room(struct cffs_set *set, int near);
/* A free place where there is most room; -1: none. */
int cffs_set_roomiest(struct cffs_set *set);
/*
 * Split a slot so that [from, to), which it maps, has one of its own; returns its place, or -1 if
 * there is no room: then nothing changed.
 */
int cffs_set_cut(struct cffs_set *set, int place, uint64_t from, uint64_t to);
/* Join the slot with neighbours of its class in its sector that continue it on disk as well. */
void cffs_set_join(struct cffs_set *set, int place);
/* Grow a slot of the set by these blocks, at its end or its start.  False: none fits. */
bool cffs_set_extend(struct cffs_set *set, const struct cffs_slot *more);

#endif
