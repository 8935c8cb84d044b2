/* SPDX-License-Identifier: MIT */
/*
 * Archives in and out, by libarchive: tar of any dialect, compressed by gzip,
 * bzip2, xz, zstd or lz4; written as pax.
 *
 *  (1) What an archive says is hostile: a name never leads out of the directory
 *      that is filled, nor through a symbolic link in it.
 *  (2) Modes, owners, times, extended attributes, ACLs, links, devices and holes
 *      go both ways; of times, what was last read or changed does not.
 *  (3) One tree makes one archive: names are sorted, and nothing in it tells when
 *      or where it was made.
 */
#ifndef IMAGES_TAR_H
#define IMAGES_TAR_H

#include <stdbool.h>

#include "copy.h"

/*
 * Does the file begin like an archive that tar_in() reads?  One without entries is zeroes, as is
 * the start of an ext file system: `empty_too` tells whether it counts.
 */
bool tar_is(const char *name, bool empty_too);

/*
 * Fill the directory with what is in the archive `name` ("-": standard input);
 * `path` is what the directory is called in messages.  Every failure is said;
 * returns 0 or the first.
 */
int tar_in(struct tool *tool, const char *name, struct side *to, const struct side_dir *dir,
	   const char *path, const struct copy_opts *opts, struct copy_counts *counts);

/*
 * Write a directory into an open descriptor; the ending of `name` says the compression.
 * The same of failures.
 */
int tar_out(struct tool *tool, int fd, const char *name, struct side *from,
	    const struct side_dir *dir, const char *path, struct copy_counts *counts);

/* Is it called like one: "a.tar", "a.tar.gz", "b.tgz"? */
bool tar_is_name(const char *name);

#endif
