/* SPDX-License-Identifier: MIT */
/*
 * The copier: files and trees from one side to another.
 *
 *  (1) Names are copied in sorted order, so one tree makes one image.
 *  (2) Holes stay holes.  With `preserve` modes, owners, times (of directories
 *      too), extended attributes, ACLs and hard links inside what is copied stay as
 *      they are.  Attributes that the destination does not keep are counted.
 *  (3) What fails is said and passed over; when the destination itself is full,
 *      broken or read-only, the copy stops there.
 *  (4) From image to image the bytes are moved by xcp.h, when enough files have
 *      been gathered or copy_file() ends; the names are made at once.
 *  (5) A directory is never copied into itself, nor a file over itself.
 */
#ifndef IMAGES_COPY_H
#define IMAGES_COPY_H

#include "side.h"

struct copy;

struct copy_opts {
	bool recursive, preserve;
	uint32_t umask;    /* of what is not preserved */
	uint32_t uid, gid; /* of new files in an image, unless preserved */
	bool all_root;     /* with `preserve`: but everything belongs to 0:0 */
	/*
	 * With `preserve`, unless 0: no time is later than this, and what was read last is no
	 * matter: so one tree makes one image.
	 */
	time_t latest;
};

struct copy_counts {
	uint64_t files, directories, others; /* others: links, devices, further names */
	uint64_t bytes;                      /* data, without holes */
	uint64_t bare; /* files that lost extended attributes which nobody keeps there */
};

/* A file on a side: the directory, the name in it, and the path to call it by. */
struct copy_end {
	const struct side_dir *dir;
	const char *name;
	const char *path;
};

/* -ENOMEM */
int copy_create(struct tool *tool, struct side *from, struct side *to, const struct copy_opts *opts,
		struct copy **out);
void copy_destroy(struct copy *copy);

/*
 * Copy one file, or with `recursive` what is below a directory.  The directory
 * of `to` must stay open until copy_destroy().  Failures are said; returns 0 or
 * the first.
 */
int copy_file(struct copy *copy, const struct copy_end *from, const struct copy_end *to);
/* What is in a directory, into a directory that exists. */
int copy_contents(struct copy *copy, const struct copy_end *from, const struct copy_end *to);

const struct copy_counts *copy_counted(const struct copy *copy);

/* The changes that `opts` makes to the attributes of what is preserved. */
void copy_adjust(const struct copy_opts *opts, struct libfs_attr *attr);
/* Give a file that was just made what is kept of attributes.  Returns how many were not kept, or -errno. */
int copy_give(struct side *side, const struct side_dir *dir, const char *name,
	      const struct libfs_attr *attr, uint32_t which, const struct xattrs *xattrs);
/* A sentence about attributes that were not kept, if there were. */
void copy_say_bare(struct tool *tool, const struct copy_counts *counts);

#endif
