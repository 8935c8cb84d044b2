/* SPDX-License-Identifier: MIT */
/*
 * Answers where holes are, when the kernel may hold back what fills them.
 *
 * The kernel is told to write back and drop what it caches of the file.  That
 * ends only when other requests (writes) have been served, so it is done by a
 * thread that serves none.
 *
 * The same thread asks the kernel to drop names when a LibFS has too many files in
 * memory because the kernel holds references to them: that waits for whoever makes
 * or removes names in their directory.
 */
#ifndef FUSE_BRIDGE_SEEKER_H
#define FUSE_BRIDGE_SEEKER_H

#include <stdint.h>
#include <sys/types.h>

struct bridge;
struct fuse_req;
struct fuse_session;
struct seeker;

int seeker_start(struct bridge *bridge, struct fuse_session *session, struct seeker **out);
/* Answers `req` later; never blocks. */
void seeker_ask(struct seeker *seeker, struct fuse_req *req, uint64_t node, off_t off, int whence);
/* The kernel shall ask for a file's attributes again: before an answer; never blocks. */
void seeker_attr_changed(struct seeker *seeker, uint64_t node);
/* Let the kernel drop what LibFSes would rather forget, soon; never blocks. */
void seeker_drop(struct seeker *seeker);
/* ... each time that so many entries were given to the kernel. */
#define SEEKER_DROP_EVERY 1024u
/*
 * From here on questions are answered with EIO; returns when the last answer is
 * under way.  While requests are still served, or after the connection has ended.
 */
void seeker_stop(struct seeker *seeker);
/* After seeker_stop(), which it calls if nobody has, and before the session goes. */
void seeker_destroy(struct seeker *seeker);

#endif
