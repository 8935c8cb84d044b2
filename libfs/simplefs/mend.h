/* SPDX-License-Identifier: MIT */
/*
 * Objects of simplefs made sound again: as struct libfs_checker has it.
 */
#ifndef SIMPLEFS_MEND_H
#define SIMPLEFS_MEND_H

#include <stdbool.h>
#include <stdint.h>

struct check_damage;
struct check_image;

bool sfs_doubt(const struct check_damage *damage, const uint8_t *bytes);
bool sfs_mend(const struct check_damage *damage, uint8_t *bytes);
bool sfs_image(unsigned index, struct check_image *out);

#endif
