/* SPDX-License-Identifier: MIT */
/*
 * Going to the background, and speaking from wherever one is.
 *
 *  (1) The process that the user started returns when the mount can be used, or
 *      with the child's exit code when it came to nothing.
 *  (2) Until then sentences go to standard error, afterwards to syslog.
 */
#ifndef FUSE_BRIDGE_DAEMON_H
#define FUSE_BRIDGE_DAEMON_H

#include <stdbool.h>

struct daemon {
	int parent;      /* pipe to the waiting process; -1 = none */
	bool background; /* standard error is gone */
};

/* Foreground: nobody waits. */
void daemon_init(struct daemon *daemon);
/* Fork; the parent waits and exits, the child returns 0.  -errno when there was no fork. */
int daemon_fork(struct daemon *daemon);
/* The mount works: let the parent go and leave the terminal. */
void daemon_ready(struct daemon *daemon);

void speak(const struct daemon *daemon, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
