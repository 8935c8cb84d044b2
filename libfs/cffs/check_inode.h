/* SPDX-License-Identifier: MIT */
/*
 * The checker's look at one inode: what its own fields say against each other.
 */
#ifndef CFFS_CHECK_INODE_H
#define CFFS_CHECK_INODE_H

#include "format.h"

struct check;
struct check_problem_row;

/*
 * `end`: blocks up to the end of its last extent.  What was granted is changed in `entry`; returns
 * whether anything was.
 */
bool cffs_inode_settle(struct check *check, struct cffs_entry *entry, uint64_t end);
/* Bytes of a list of attributes that make sense, from the start: all of it when it is whole. */
size_t cffs_xattrs_sound(const uint8_t *bytes, size_t len);

extern const struct check_problem_row cffs_bad_type_row, cffs_bad_size_row, cffs_bad_flags_row,
	cffs_bad_xattrs_row;

#endif
