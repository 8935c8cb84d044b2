/* SPDX-License-Identifier: MIT */
/*
 * The anatomies of the built-in LibFSes.
 */
#include <string.h>

#include "libfs/anatomy.h"

extern const struct libfs_anatomy cffs_anatomy, simplefs_anatomy;

const struct libfs_anatomy *libfs_anatomy_find(const char *name)
{
	static const struct {
		const char *name;
		const struct libfs_anatomy *anatomy;
	} known[] = {
		{ "cffs", &cffs_anatomy },
		{ "simplefs", &simplefs_anatomy },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].anatomy;
	return NULL;
}
