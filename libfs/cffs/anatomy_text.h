/* SPDX-License-Identifier: MIT */
/*
 * Objects as people read them, and without what files hold.  See libfs/anatomy.h.
 */
#ifndef CFFS_ANATOMY_TEXT_H
#define CFFS_ANATOMY_TEXT_H

#include "libfs/anatomy.h"

bool cffs_to_text(const char *type, const uint8_t *bytes, size_t len,
		  const struct anatomy_text *text);
void cffs_scrub(const char *type, uint8_t *bytes, size_t len);

#endif
