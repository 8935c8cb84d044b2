/* SPDX-License-Identifier: MIT */
/*
 * Paths inside and outside.  See spot.h.
 */
#include "spot.h"

#include <stdlib.h>

bool spot_is_inside(const char *path)
{
	return path[0] == ':';
}

int spot_open(struct image *image, const char *path, bool follow, struct spot *spot)
{
	char *real = NULL;
	int err;

	*spot = (struct spot){ .path = path };
	if (spot_is_inside(path)) {
		spot->path = path + 1;
		spot->side = side_of_image(image);
		err = side_image_split(image, path + 1, follow, &spot->dir, spot->name);
		spot->open = !err;
		return err;
	}
	spot->side = side_of_machine();
	if (follow)
		real = realpath(path, NULL);
	err = side_machine_split(real ? real : path, &spot->dir, spot->name);
	free(real);
	spot->open = !err;
	return err;
}

void spot_close(struct spot *spot)
{
	if (spot->open)
		spot->side.ops->close_dir(&spot->side, &spot->dir);
	spot->open = false;
}

int spot_complain(struct tool *tool, struct image *image, const char *path, int err)
{
	if (spot_is_inside(path))
		return image_complain(image, path + 1, err);
	say_error(tool, path, err, NULL);
	return err;
}
