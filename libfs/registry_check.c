/* SPDX-License-Identifier: MIT */
/*
 * The checkers of the built-in LibFSes: for fsck, which links no engine.
 */
#include <string.h>

#include "libfs/check.h"

extern const struct libfs_checker cffs_checker, simplefs_checker;

const struct libfs_checker *libfs_checker_find(const char *name)
{
	static const struct {
		const char *name;
		const struct libfs_checker *checker;
	} known[] = {
		{ "cffs", &cffs_checker },
		{ "simplefs", &simplefs_checker },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].checker;
	return NULL;
}
