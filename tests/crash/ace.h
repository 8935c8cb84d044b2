/* SPDX-License-Identifier: MIT */
/*
 * All short workloads within bounds, after ACE (Mohan et al., OSDI 2018): every
 * operation over a small set of names, each followed by every way of asking for
 * durability.
 *
 *  (1) Names: files foo and A/foo, bar and A/bar; directories A and B.  What an
 *      operation needs is made first; what stands in its way goes.
 *  (2) After an operation: fsync of a name used, of its sibling or parent, if it is
 *      there, or sync; fdatasync of a file whose bytes changed; nothing, but not
 *      after the last.
 *  (3) With `settled`, what an operation needs is synced before it.
 *
 * Left out of ACE's operations: extended attributes, mmap and O_DIRECT, which LibFSes do not see or
 * simplefs does not have.  Added: symlink, mknod, rmdir, chmod, renames over something, unlinking a
 * file that is open, writing through a second name.
 */
#ifndef TESTS_CRASH_ACE_H
#define TESTS_CRASH_ACE_H

#include <stdbool.h>
#include <stdint.h>

#define ACE_TEXT_MAX 8192

/* Non-zero ends it. */
typedef int ace_visit(void *arg, uint64_t index, const char *text);

/* All workloads of `length` operations (1 or 2).  Returns how many there are; visit may be NULL. */
uint64_t ace_each(unsigned length, bool settled, ace_visit *visit, void *arg);

/*
 * A workload of `length` operations that `seed` chooses.  Without `held`, none keeps a file open
 * that has no name.
 */
void ace_random(uint64_t seed, unsigned length, bool held, char text[ACE_TEXT_MAX]);

/* Two workloads as one: the second is of root "b", their operations are mixed by `seed`. */
void ace_interleave(uint64_t seed, const char *a, const char *b, char text[2 * ACE_TEXT_MAX]);

/* How many operations there are, without their ways of asking for durability. */
unsigned ace_operations(void);

#endif
