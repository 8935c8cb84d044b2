/* SPDX-License-Identifier: MIT */
/*
 * Objects as people read them, and without what files hold.  See libfs/anatomy.h.
 */
#ifndef SIMPLEFS_ANATOMY_TEXT_H
#define SIMPLEFS_ANATOMY_TEXT_H

#include "libfs/anatomy.h"

bool simplefs_to_text(const char *type, const uint8_t *bytes, size_t len,
		      const struct anatomy_text *text);
void simplefs_scrub(const char *type, uint8_t *bytes, size_t len);

#endif
