/* SPDX-License-Identifier: MIT */
/*
 * The files of an ext2, ext3 or ext4 file system in a file or on a device, as the
 * side of a copy that is only read.  See side.h.
 *
 *  (1) libext2fs reads; nothing is written, the journal is not replayed.
 *  (2) The bytes are believed no more than needed: a name that is none, and a
 *      directory that is met twice, are -EUCLEAN.
 */
#ifndef IMAGES_SIDE_EXT_H
#define IMAGES_SIDE_EXT_H

#include "side.h"

struct ext;

/*
 * `why` receives a sentence.  Fails with
 *   -EMEDIUMTYPE  no such file system;  -EUCLEAN: damaged, or its journal must be replayed
 *   -EOPNOTSUPP   it has features that libext2fs does not know
 *   -errno        of open(2), -EIO, -ENOMEM
 */
int ext_open(const char *name, char *why, size_t why_size, struct ext **out);
void ext_close(struct ext *ext);

struct side side_of_ext(struct ext *ext);
/* Its top directory; the caller's to close.  An empty lost+found there is passed over. */
int ext_top(struct ext *ext, struct side_dir *out);

#endif
