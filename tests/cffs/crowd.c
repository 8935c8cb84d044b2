/* SPDX-License-Identifier: MIT */
/*
 * crowd [NAMES]: many names in one directory; prints what each of the tenths cost
 * per operation (processor time, the checking device and all), and fails when what was made cannot be found or removed.
 */
#include "fs_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void name_of(char name[32], unsigned i)
{
	snprintf(name, 32, "some-name-%u", i);
}

static void create_one(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[32];

	name_of(name, i);
	fx_forget(fx, fx_create(fx, dir, name));
}

static void lookup_one(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[32];

	name_of(name, i);
	assert_ok(fx_lookup(fx, dir, name));
}

static void unlink_one(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[32];

	name_of(name, i);
	assert_ok(fx_unlink(fx, dir, name));
}

static void phase(struct fx *fx, const char *what, unsigned names, unsigned step,
		  void (*one)(struct fx *, libfs_ino_t, unsigned))
{
	libfs_ino_t dir = fx_find(fx, FX_ROOT, "crowd");
	unsigned at = 0;

	printf("%-8s ns each:", what);
	for (unsigned tenth = 0; tenth < 10; tenth++) {
		double start = now();

		for (unsigned i = 0; i < names / 10; i++, at = (at + step) % names)
			one(fx, dir, at);
		assert_ok(libfs_sync(fx->fs));
		printf(" %6.0f", (now() - start) / (names / 10) * 1e9);
		fflush(stdout);
	}
	printf("\n");
	fx_forget(fx, dir);
}

int main(int argc, char **argv)
{
	unsigned names = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
	struct fx_opts opts = { .libfs = "cffs", .size = 64ull << 20 };
	struct fx *fx;

	while (opts.size < names * 400ull)
		opts.size *= 2;
	fx = fx_new(&opts);
	fx_mkdir(fx, FX_ROOT, "crowd");
	phase(fx, "create", names, 1, create_one);
	fx_remount(fx);
	phase(fx, "lookup", names, 7919, lookup_one);
	phase(fx, "unlink", names, 7919, unlink_one);
	fx_fini(fx);
	return 0;
}
