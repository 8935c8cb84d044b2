/* SPDX-License-Identifier: MIT */
/*
 * complete: what a half-written word in the shell may become.
 */
#ifndef IMAGES_COMPLETE_H
#define IMAGES_COMPLETE_H

#include "image.h"

struct completion {
	struct entries found; /* names that begin so, sorted */
	char *insert;         /* what all of them go on with, quoted; may be "" */
};

/*
 * The names that begin with `begin`, of the directory of image `name` that `path` leads to.  The
 * image is opened and closed.  Fails with -ENOMEM, and what opening and reading fail with; nothing
 * is said.
 */
int complete_path(const char *name, const char *path, const char *begin, struct completion *out);
/* Of a list that is there already, which it takes over and makes shorter. */
int complete_list(struct entries *list, const char *name, struct completion *out);
void completion_free(struct completion *completion);

#endif
