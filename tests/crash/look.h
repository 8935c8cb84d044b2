/* SPDX-License-Identifier: MIT */
/*
 * What a file system shows: every name, every attribute, every sector, as one
 * value that can be kept and compared after the file system is gone.
 */
#ifndef TESTS_CRASH_LOOK_H
#define TESTS_CRASH_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

#define LOOK_SECTOR 512u

/* Bytes that nobody of the test's world may ever read: what lay on the disk before. */
#define CANARY \
	"\xc5" \
	"anary!\xc5" /* 8 bytes */
void canary_fill(void *bytes, size_t len);
bool canary_in(const void *bytes, size_t len);

struct look_node {
	uint64_t ino, size, rdev;
	uint32_t generation, mode, nlink, uid, gid;
	uint32_t names;    /* how many lead here */
	uint64_t *sectors; /* hash of each sector of a file, the last one padded with zeroes */
	size_t n_sectors;
	char *target; /* of a symlink */
	bool canary;
};

struct look_entry {
	uint32_t dir, node; /* places in `nodes` */
	char name[LIBFS_NAME_MAX + 1];
};

struct look {
	struct look_node *nodes; /* [0] is the root directory */
	struct look_entry *entries;
	uint32_t n_nodes, n_entries;
	uint64_t hash;   /* of all of it */
	char error[160]; /* something could not be read */
};

struct libfs_user {
	struct xn_cred cred;
	struct libfs_ctx ctx;
};
/* Root, at a moment that depends on nothing but `now`. */
const struct libfs_ctx *user_at(struct libfs_user *user, int64_t now);

/* Always gives one; `error` says what was wrong. */
struct look *look_at(struct libfs *fs);
void look_free(struct look *look);
uint64_t sector_hash_of(const void *bytes, size_t len);

/*
 * Use the file system as its owner would next: make, write, fsync, remove everything.
 * NULL, or what went wrong.
 */
const char *look_alive(struct libfs *fs, char text[160]);

#endif
