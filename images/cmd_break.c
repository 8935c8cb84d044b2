/* SPDX-License-Identifier: MIT */
/*
 * break: run a recipe on an image.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "recipe.h"
#include "xn/bdev.h"

#define RECIPE_MAX (1u << 20)

static char *text_read(const char *path)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = in ? malloc(RECIPE_MAX + 1) : NULL;
	size_t len = text ? fread(text, 1, RECIPE_MAX, in) : 0;
	bool bad = !text || ferror(in) || !feof(in);

	if (in && in != stdin)
		fclose(in);
	if (bad) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

int cmd_break(struct tool *tool, const struct args *args)
{
	const char *image = args->operands[0];
	char why[RECIPE_WHY], *text;
	struct bdev *dev;
	int err;

	text = text_read(args->operands[1]);
	if (!text)
		return say_error(tool, args->operands[1], errno ? -errno : -EFBIG, NULL);
	err = bdev_open(image, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, 0, &dev);
	if (err) {
		free(text);
		return say_error(tool, image, err, NULL);
	}
	err = bdev_lock(dev, true, 0);
	if (err) {
		say_error(tool, image, err, NULL);
	} else {
		err = recipe_run(&dev, text, why);
		if (err)
			say_error(tool, args->operands[1], err, why);
	}
	free(text);
	bdev_close(dev);
	return err ? EXIT_FAIL : EXIT_OK;
}
