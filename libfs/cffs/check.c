/* SPDX-License-Identifier: MIT */
/*
 * The checker of C-FFS: what only C-FFS can know.
 */
#include "libfs/check.h"

#include <string.h>

#include "format.h"

static const struct check_problem_row no_params = { "cffs/no-parameters",
						    "the root was created but never made a C-FFS",
						    "", CHECK_REPORT_ONLY };

static int check_cffs(struct check *check)
{
	uint8_t bytes[CFFS_BLOCK];
	struct cffs_params params;
	int err = check_read(check, check_root_object(check), 1, bytes);

	if (err)
		return err;
	if (cffs_sector_check(bytes) || !cffs_params_decode(bytes, &params))
		check_problem(check, &no_params);
	return 0;
}

extern const struct libfs_checker cffs_checker;

const struct libfs_checker cffs_checker = { .check = check_cffs };
