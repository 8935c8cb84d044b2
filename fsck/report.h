/* SPDX-License-Identifier: MIT */
/* What a run found, as JSON for programs. */
#ifndef FSCK_REPORT_H
#define FSCK_REPORT_H

#include <stdio.h>

#include "fsck/fsck.h"

/*
 * One object on one line: version, image, exit_code, why, disk and findings.
 * -ENOMEM, -EIO
 */
int report_json(FILE *out, const char *image, const struct fsck_result *result);

#endif
