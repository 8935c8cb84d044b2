/* SPDX-License-Identifier: MIT */
/*
 * What the checker and the mender of C-FFS share: bytes made sound, no I/O.
 */
#ifndef CFFS_MEND_H
#define CFFS_MEND_H

#include "format.h"

struct check_damage;
struct check_image;

/* The inode of a directory of the system without blocks, in its sector of the root object. */
void cffs_system_sector(uint64_t ino, uint8_t sector[CFFS_SECTOR]);
void cffs_params_anew(const uint8_t uuid[16], uint8_t sector[CFFS_SECTOR]);
/* Keep of a node what may be; false: nothing. */
bool cffs_node_settle(uint8_t bytes[CFFS_BLOCK], uint64_t blocks);

/* As struct libfs_checker has them. */
bool cffs_mend(const struct check_damage *damage, uint8_t *bytes);
bool cffs_image(unsigned index, struct check_image *out);

#endif
