/* SPDX-License-Identifier: MIT */
/*
 * Where a command-line path leads, for commands whose paths are inside an image
 * or outside: one with a colon before it is inside.  (A file of this machine whose
 * name begins with a colon is "./:name".)
 */
#ifndef IMAGES_SPOT_H
#define IMAGES_SPOT_H

#include "side.h"

struct spot {
	struct side side;
	struct side_dir dir;
	char name[LIBFS_NAME_MAX + 1];
	const char *path; /* for messages, without the colon */
	bool open;
};

bool spot_is_inside(const char *path);
int spot_open(struct image *image, const char *path, bool follow, struct spot *spot);
void spot_close(struct spot *spot);
/* `image` is where the spot is, should it be inside.  Returns `err`. */
int spot_complain(struct tool *tool, struct image *image, const char *path, int err);

#endif
