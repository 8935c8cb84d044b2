/* SPDX-License-Identifier: MIT */
/*
 * Where a directory of an image is filled from: a directory of this machine, an
 * archive, or an ext2, ext3 or ext4 file system.
 *
 *  (1) Everything is preserved that the target keeps; with SOURCE_DATE_EPOCH one
 *      source makes one image, bit for bit.
 */
#ifndef IMAGES_SOURCE_H
#define IMAGES_SOURCE_H

#include "copy.h"

enum source_kind {
	SOURCE_ANY, /* look what it is */
	SOURCE_DIR,
	SOURCE_TAR,
	SOURCE_EXT,
};

struct source {
	enum source_kind kind;
	const char *name;
	struct ext *ext;
	struct side side; /* not of an archive */
	struct side_dir top;
	bool has_attr;
	struct libfs_attr attr; /* of its top directory */
	uint64_t needed;        /* blocks that it takes at least, as far as that is known */
};

/* Failures are said; -errno or an XN error. */
int source_open(struct tool *tool, const char *name, enum source_kind kind, struct source *source);
void source_close(struct source *source);

/*
 * Fill the directory, called `path`, with what is in it; the directory itself gets
 * the attributes of its top.  Failures are said; 0 or the first.
 */
int source_fill(struct source *source, struct image *image, const struct side_dir *dir,
		const char *path, bool all_root, struct copy_counts *counts);

/* Say so, and return -ENOSPC, when it needs more blocks than `limit` ("of quota", "free"). */
int source_check_room(const struct source *source, struct image *image, uint64_t limit,
		      const char *kind);

/* "... holds 5 files (1 KiB), 2 directories, 0 others". */
void source_say(struct tool *tool, const char *path, const char *verb,
		const struct copy_counts *counts);

#endif
