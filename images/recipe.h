/* SPDX-License-Identifier: MIT */
/*
 * Recipes: texts that make a disk and break it in named ways.  xn-recipe(5)
 * describes the language.
 *
 *  (1) A recipe is run statement by statement; the first that cannot be done ends
 *      it, with a sentence that names the line.
 *  (2) What makes files goes through the engine and the LibFS; what breaks goes to
 *      the medium, after the engine has closed the disk.
 *  (3) The same recipe on the same program makes the same disk, byte for byte:
 *      uuids and times are fixed.
 */
#ifndef IMAGES_RECIPE_H
#define IMAGES_RECIPE_H

#include <stddef.h>
#include <stdint.h>

struct bdev;

#define RECIPE_WHY 512u

/*
 * `*dev` may be NULL: "format" then makes a disk in memory.  It is the caller's in any case; "cut" may
 * replace a disk in memory by a shorter one.
 *
 * Fails with -EINVAL (a statement makes no sense), -ENOENT (it names what is not
 * there), or what the disk, the engine or the LibFS says; `why` tells.
 */
int recipe_run(struct bdev **dev, const char *text, char why[RECIPE_WHY]);

#endif
