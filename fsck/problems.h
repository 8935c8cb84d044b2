/* SPDX-License-Identifier: MIT */
/* The problems fsck knows by name; problems.c says what each means. */
#ifndef FSCK_PROBLEMS_H
#define FSCK_PROBLEMS_H

#include <stdbool.h>
#include <stdint.h>

#include "libfs/check.h"

enum fsck_problem_id {
	SUPER_PRIMARY_DAMAGED,
	SUPER_COPY_DAMAGED,
	SUPER_COPY_OLD,
	SUPER_TRUNCATED,
	SUPER_FREE_COUNT,
	LOG_TAIL_DAMAGED,
	LOG_LOST,
	LOG_UNREADABLE,
	CAT_SECTOR_DAMAGED,
	CAT_SECTOR_OLD,
	CAT_LINK_LOST,
	CAT_ENTRY_LOST,
	CAT_ENTRY_IDLE,
	CAT_TEMPLATE_KNOWN,
	CAT_ALLOWANCE_LOST,
	CAT_BLOCK_SHARED,
	TEMPLATE_IMAGE_SHARED,
	TEMPLATE_IMAGE_UNREADABLE,
	TEMPLATE_HASH,
	TEMPLATE_REFUSED,
	TEMPLATE_NAME,
	TEMPLATE_CHILD,
	TEMPLATE_BATCH,
	ROOT_TYPE,
	ROOT_NAME_TWICE,
	ROOT_USED,
	PRINCIPAL_TWICE,
	OBJECT_UNREADABLE,
	OBJECT_DAMAGED,
	OBJECT_DOUBTED,
	OBJECT_CHECK_FAULT,
	OBJECT_OWNS_FAULT,
	OBJECT_MISCOUNTED,
	EXTENT_OUTSIDE,
	EXTENT_XN_OWN,
	EXTENT_OWNED_TWICE,
	EXTENT_ANOTHERS,
	EXTENT_DOUBTED,
	EXTENT_STALE,
	EXTENT_TYPE,
	EXTENT_MISFIT,
	MAP_UNREADABLE,
	MAP_SECTOR_DAMAGED,
	MAP_LEAK,
	MAP_LEAK_CLEAN,
	MAP_LEAK_KEPT,
	MAP_FREE_BUT_OWNED,
	MAP_BEYOND_HIGH_WATER,
	LIBFS_FAILED,
	FSCK_PROBLEM_COUNT,
};

/* What a sentence of the table may speak of: %b %o %n %s %t. */
struct fsck_note {
	uint64_t block;   /* %b */
	uint64_t other;   /* %o */
	uint64_t count;   /* %n */
	const char *name; /* %s */
	const char *what; /* %t */
	bool helpless;    /* nobody here could make the repair: no question */
};

/* Report it; true when it shall be repaired now. */
bool fsck_found(struct check *check, enum fsck_problem_id id, const struct fsck_note *note);

/* Would a crash of a correct program leave that behind?  LibFS rows: when they are SAFE. */
bool fsck_is_trace(const struct check_problem_row *row);

#endif
