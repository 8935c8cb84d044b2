/* SPDX-License-Identifier: MIT */
/*
 * A disk read by somebody who does not trust the engine: superblock, maps,
 * catalogues and trees, with xn/format.h and udf.h and nothing of xn's.
 *
 * The truths it looks for, by number:
 *   1  a superblock is there
 *   2  the catalogues can be read, and a template's image is what its entry says
 *   3  `owns` of every reachable object runs without a fault
 *   4  every block has one owner: XN, a root, or one record
 *   5  the map shows every owned block in use
 *   6  the caller's own wish about what is owned (visit)
 *   7  of a clean disk, where nothing is to be reclaimed: the map shows nothing else in
 *      use, and all counters are exact
 *   8  an object whose template counts its owners has as many as it says
 */
#ifndef TESTS_MEDIUM_H
#define TESTS_MEDIUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "udf/udf.h"
#include "xn/bdev.h"

struct medium_item {
	uint32_t root;
	uint64_t owner; /* object; 0: the root's own object */
	uint32_t owner_type, record;
	uint64_t start, count;
	uint32_t type;
	const uint8_t *bytes; /* of the extent */
};

/* NULL: fine; else what is wrong. */
typedef const char *medium_visit(void *context, const struct medium_item *item);

/* Templates, kept between checks of one disk.  Zero-initialise; fini frees. */
struct medium_types {
	struct udf_template **v; /* by id - 16 */
	uint32_t (*child)[UDF_CHILDREN_MAX];

	size_t n;
	struct medium_owned **owned; /* what objects of some contents own, by a hash of them */
};
void medium_types_fini(struct medium_types *types);

struct medium_report {
	int truth; /* the first broken one; 0 = none */
	char text[256];
	bool clean, damaged;
	uint64_t objects, owned; /* blocks owned, XN's own not counted */
	uint64_t leaked;         /* in use on the map and owned by nobody */
};

/* What the next opening does first, sector by sector; each is to be on `bytes` at once. */
typedef void medium_put(void *arg, uint64_t offset, const uint8_t *bytes);
void medium_log_each(const uint8_t *bytes, uint64_t size, medium_put *put, void *arg);
/* The same in place. */
void medium_log_settle(uint8_t *bytes, uint64_t size);

int medium_check(const uint8_t *bytes, uint64_t size, struct medium_types *types,
		 medium_visit *visit, void *context, struct medium_report *report);

/* The same of a device, all of which is read. */
int medium_check_dev(struct bdev *dev, medium_visit *visit, void *context,
		     struct medium_report *report);

#endif
