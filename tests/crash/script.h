/* SPDX-License-Identifier: MIT */
/*
 * Workloads as text: what a program does to files, and when it asks for
 * durability.
 *
 *	mkdir A; creat A/foo; write A/foo 0 5000; fsync A/foo; rename A/foo bar
 *
 * Operations stand between semicolons.  A path that begins with "b:" is of the
 * second root.  "@" is the file held open last.
 *
 *	creat F | mkdir D | symlink TARGET F | mknod F
 *	write F OFF LEN | append F LEN | trunc F SIZE | chmod F OCTAL
 *	falloc F plain|keep|zero|zero+keep|punch OFF LEN
 *	link F G | rename F G | unlink F | rmdir D
 *	hold F | drop | fsync F | fdatasync F | sync | close
 *	mkfs ROOT | quota ROOT BLOCKS
 *
 * "sync" is of every root; "close" unmounts and closes the disk, and is the last.
 *
 *  (1) Operation n stands between the recorder's marks "b n" and "e n"; the first
 *      is 1.
 *  (2) The model sees every operation that succeeded.
 *  (3) What makes no sense (no such file, no such verb, numbers too large) is refused.
 *  (4) An operation that the LibFS does not have (-EOPNOTSUPP, -ENOSYS) changes
 *      nothing and is counted.
 */
#ifndef TESTS_CRASH_SCRIPT_H
#define TESTS_CRASH_SCRIPT_H

#include "model.h"

struct bdev;

#define SCRIPT_ROOTS   2
#define SCRIPT_OPS_MAX 256u /* operations are counted from 1 */

struct script_root {
	struct libfs *fs;
	struct model *model;
};

struct script {
	struct xn *xn;
	struct xn_session *session;
	const char *libfs; /* what mkfs makes */
	struct bdev *recorder;
	struct script_root root[SCRIPT_ROOTS];
	unsigned n_roots;

	unsigned op; /* the one being run, or the last */
	unsigned unsupported;
	unsigned held_root;
	uint32_t held_node;
	libfs_ino_t held; /* 0: nothing */
	uint64_t handle;
	char failed[128]; /* the operation that failed, as text; "" = none */
	bool closed;      /* by "close": then xn, session and roots are gone */
};

/* Returns 0, or an error and why. */
int script_run(struct script *script, const char *text, char why[256]);

/*
 * An operation that failed may have been done all the same: tell the model, as of one more operation.
 * Nothing, for what makes files: no one knows their numbers.
 */
void script_imagine(struct script *script, const char *line);

#endif
