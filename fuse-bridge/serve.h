/* SPDX-License-Identifier: MIT */
#ifndef FUSE_BRIDGE_SERVE_H
#define FUSE_BRIDGE_SERVE_H

struct daemon;
struct options;

/*
 * Open the image, mount it at `dir` (absolute, without links) and serve until it
 * is unmounted or a signal asks for the end.  Returns an exit code of options.h;
 * whatever is wrong has been said.
 */
int serve(const struct options *options, const char *dir, struct daemon *daemon);

#endif
