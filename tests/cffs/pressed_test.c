/* SPDX-License-Identifier: MIT */
/* Calls work while others, whom the cache is too small for, unbind all that is not in use. */
#include "fs_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "internal.h"

#define ROUNDS 400u
#define LIVES  300u
#define PIECES 100u /* holes between them: more owners than one step of fsync keeps */

static int setup(void **state)
{
	struct fx_opts opts = { .libfs = "cffs", .size = 64ull << 20 };

	*state = fx_new(&opts);
	return 0;
}

struct presser {
	struct cffs *fs;
	pthread_t thread;
	atomic_bool enough;
};

static void *press(void *arg)
{
	struct presser *presser = arg;

	while (!atomic_load(&presser->enough)) {
		unsigned tries = 0;

		(void)cffs_retry(presser->fs, XN_ECACHEFULL, &tries);
		sched_yield();
	}
	return NULL;
}

static void begin(struct fx *fx, struct presser *presser)
{
	presser->fs = cffs_of(fx->fs);
	atomic_init(&presser->enough, false);
	assert_int_equal(pthread_create(&presser->thread, NULL, press, presser), 0);
}

static void end(struct presser *presser)
{
	atomic_store(&presser->enough, true);
	assert_int_equal(pthread_join(presser->thread, NULL), 0);
}

static void write_and_fsync(struct fx *fx, libfs_ino_t f, unsigned round)
{
	char block[3000];

	memset(block, (int)round, sizeof(block));
	fx_write(fx, f, round % 3000, block, sizeof(block));
	assert_ok(libfs_fsync(fx->fs, f, round % 2));
}

static void fsync_works(void **state)
{
	struct fx *fx = *state;
	struct presser presser;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_create(fx, d, "f");

	begin(fx, &presser);
	for (unsigned i = 0; i < ROUNDS; i++)
		write_and_fsync(fx, f, i);
	end(&presser);
}

static void fsync_of_many_pieces_works(void **state)
{
	struct fx *fx = *state;
	struct presser presser;
	libfs_ino_t f = fx_create(fx, FX_ROOT, "f");
	char block[CFFS_BLOCK];

	begin(fx, &presser);
	for (unsigned round = 0; round < 4; round++) {
		memset(block, (int)round + 1, sizeof(block));
		for (unsigned i = 0; i < PIECES; i++)
			fx_write(fx, f, (uint64_t)i * 200 * CFFS_BLOCK, block, sizeof(block));
		assert_ok(libfs_fsync(fx->fs, f, false));
	}
	end(&presser);
	fx_remount(fx);
	f = fx_find(fx, FX_ROOT, "f");
	for (unsigned i = 0; i < PIECES; i++) {
		char got[CFFS_BLOCK];

		assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0,
					    (uint64_t)i * 200 * CFFS_BLOCK, got, sizeof(got)),
				 sizeof(got));
		assert_memory_equal(got, block, sizeof(got));
	}
}

/* A file's life: made, filled, named twice, moved, given attributes, cut, punched, read, removed. */
static void one_life(struct fx *fx, libfs_ino_t dir, unsigned number, size_t len)
{
	static char bytes[60000], got[60000];
	char name[32], other[32];
	libfs_ino_t f;

	snprintf(name, sizeof(name), "f%u", number);
	snprintf(other, sizeof(other), "other-name-%u", number);
	memset(bytes, (int)number + 1, len);
	f = fx_create(fx, dir, name);
	fx_write(fx, f, 0, bytes, len);
	assert_ok(fx_link(fx, f, dir, other));
	assert_ok(fx_rename(fx, dir, name, FX_ROOT, name));
	assert_ok(libfs_setxattr(fx->fs, fx_ctx(fx), f, "user.a", bytes, 40, 0));
	assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), f, 0, 0, got, len), len);
	assert_memory_equal(got, bytes, len);
	assert_ok(libfs_fallocate(fx->fs, fx_ctx(fx), f,
				  LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE, 0, len / 2));
	assert_ok(libfs_fsync(fx->fs, f, false));
	assert_ok(fx_truncate(fx, f, len / 3));
	assert_ok(fx_unlink(fx, FX_ROOT, name));
	assert_int_equal(fx_nlink(fx, f), 1);
	assert_ok(fx_unlink(fx, dir, other));
	fx_forget(fx, f);
}

static void everything_works(void **state)
{
	struct fx *fx = *state;
	struct presser presser;

	begin(fx, &presser);
	for (unsigned i = 0; i < LIVES; i++) {
		libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");

		one_life(fx, d, i, i % 3 ? 100 : 60000);
		if (i % 16 == 0)
			assert_ok(libfs_sync(fx->fs));
		assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
		fx_forget(fx, d);
	}
	end(&presser);
	assert_names(fx, FX_ROOT, "");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, fx_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(fsync_works),
		CASE(fsync_of_many_pieces_works),
		CASE(everything_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
