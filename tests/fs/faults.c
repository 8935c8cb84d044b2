/* SPDX-License-Identifier: MIT */
/*
 * The device fails: the n-th request, for every n until none is left to fail.  Or memory: the n-th
 * allocation; of the many there are, every so-many-th (XN_FAULTS_ALL in the environment: every one).
 *
 *	fs_faults LIBFS
 *
 *  (1) An operation fails with -EIO (-ENOMEM) or succeeds; nothing else, no crash.
 *  (2) What an earlier fsync promised is there afterwards, whole.
 *  (3) After a remount on a good device xn-fsck -p leaves a clean disk.
 */
#include "suite.h"

#include "fsck/fsck.h"

#define LIMIT 2000

/* ---- memory; the linker sends all allocations here (--wrap) ---- */

/* Here because a wrapped function has no other way to know. */
static struct {
	uint64_t countdown; /* 0: none fails */
	bool forever, failing;
	unsigned below; /* in a device: the checking one, a test itself, needs its memory */
} memory;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool memory_fails(void)
{
	if (memory.below)
		return false;
	if (memory.countdown && --memory.countdown == 0)
		return memory.failing = true;
	return memory.failing && memory.forever;
}

void *__wrap_malloc(size_t size)
{
	return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return memory_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return memory_fails() ? NULL : __real_realloc(old, size);
}

typedef int workload(struct fx *fx);

static int tried(int err, int *first)
{
	if (err && !*first)
		*first = err;
	return err;
}

/* Files that fill inode tables and directories, and go again. */
static void many_small(struct fx *fx, int *first)
{
	struct libfs_attr a;
	char name[16];

	for (int i = 0; i < 40; i++) {
		ssize_t n;

		snprintf(name, sizeof(name), "small-%d", i);
		if (tried(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, name, 0644, true, &a), first))
			return;
		n = libfs_write(fx->fs, fx_ctx(fx), a.ino, 0, 0, name, sizeof(name));
		tried(n < 0 ? (int)n : 0, first);
		fx_forget(fx, a.ino);
		if (i % 10 == 9)
			tried(libfs_sync(fx->fs), first);
	}
	for (int i = 0; i < 40; i += 2) {
		char other[16];

		snprintf(name, sizeof(name), "small-%d", i);
		snprintf(other, sizeof(other), "small-%d", i + 1);
		if (i % 4)
			tried(fx_unlink(fx, FX_ROOT, name), first);
		else
			tried(fx_rename(fx, FX_ROOT, name, FX_ROOT, other), first);
	}
	tried(libfs_sync(fx->fs), first);
	tried(libfs_sync(fx->fs), first);
}

/* Something of everything, with syncs; goes on after failures as users do. */
static int everything(struct fx *fx)
{
	struct libfs_attr a = { .ino = 0 }, d = { .ino = 0 };
	static char bytes[200000];
	int first = 0;

	if (!tried(libfs_mkdir(fx->fs, fx_ctx(fx), FX_ROOT, "d", 0755, &d), &first)) {
		if (!tried(libfs_create(fx->fs, fx_ctx(fx), d.ino, "f", 0644, true, &a), &first)) {
			ssize_t n = libfs_write(fx->fs, fx_ctx(fx), a.ino, 0, 5000, bytes,
						sizeof(bytes));

			tried(n < 0 ? (int)n : 0, &first);
			tried(libfs_fsync(fx->fs, a.ino, false), &first);
			tried(fx_rename(fx, d.ino, "f", FX_ROOT, "g"), &first);
			tried(fx_truncate(fx, a.ino, 100), &first);
		}
	}
	if (!tried(libfs_lookup(fx->fs, fx_ctx(fx), FX_ROOT, "precious", &a), &first))
		tried(fx_link(fx, a.ino, FX_ROOT, "second"), &first);
	tried(libfs_sync(fx->fs), &first);
	if (!first)
		tried(fx_rename(fx, FX_ROOT, "second", FX_ROOT, "third"), &first);
	tried(libfs_sync(fx->fs), &first);
	many_small(fx, &first);
	return first;
}

static int reading(struct fx *fx)
{
	char bytes[100000];
	struct libfs_dirent entries[8];
	libfs_ino_t ino;
	struct libfs_attr a;
	ssize_t n;
	int err = libfs_lookup(fx->fs, fx_ctx(fx), FX_ROOT, "precious", &a);

	if (err)
		return err;
	ino = a.ino;
	n = libfs_read(fx->fs, fx_ctx(fx), ino, 0, 0, bytes, sizeof(bytes));
	if (n < 0)
		return (int)n;
	n = libfs_readdir(fx->fs, fx_ctx(fx), FX_ROOT, 0, 0, entries, 8);
	return n < 0 ? (int)n : 0;
}

static void precious_is_whole(struct fx *fx, const char *bytes, size_t len)
{
	assert_content(fx, fx_find(fx, FX_ROOT, "precious"), bytes, len);
}

static void sweep(const char *libfs, workload *run, const struct bdev_fault *kind, bool remount)
{
	struct fx_opts opts = { .libfs = libfs, .size = 16 << 20, .cache = 2 << 20 };
	size_t len = 90000;
	char *bytes = malloc(len);
	uint64_t fired = 1, nth;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 7 + i / 4096);
	for (nth = 1; fired && nth < LIMIT; nth++) {
		struct fx *fx = fx_new(&opts);
		struct bdev_fault fault = *kind;
		libfs_ino_t ino = fx_create(fx, FX_ROOT, "precious");
		int err, code;

		fx_write(fx, ino, 0, bytes, len);
		assert_ok(libfs_fsync(fx->fs, ino, false));
		if (remount)
			fx_remount(fx);
		fault.nth = nth;
		bdev_fault_arm(fx->dev, &fault);
		err = run(fx);
		fx_close_anyhow(fx);
		fired = bdev_fault_disarm(fx->dev);
		if (err != 0 && err != -EIO)
			fail_msg("fault %llu: %s", (unsigned long long)nth, xn_error_name(err));
		if (!fired && err)
			fail_msg("no fault, but %s", xn_error_name(err));
		code = fx_fsck(fx, CHECK_PREEN, true);
		if (code != FSCK_OK && code != FSCK_REPAIRED) {
			fx_fsck(fx, CHECK_LOOK, false);
			fail_msg("fault %llu: xn-fsck -p: %d", (unsigned long long)nth, code);
		}
		fx_open(fx);
		fx_mount(fx, 0);
		precious_is_whole(fx, bytes, len);
		fx_fini(fx);
	}
	assert_true(nth > 2 && nth < LIMIT);
	print_message("%llu places to fail\n", (unsigned long long)nth - 2);
	free(bytes);
}

#define BELOW(type, name, parameters, arguments)       \
	type __real_bdev_##name parameters;            \
	type __wrap_bdev_##name parameters;            \
	type __wrap_bdev_##name parameters             \
	{                                              \
		type result;                           \
                                                       \
		memory.below++;                        \
		result = __real_bdev_##name arguments; \
		memory.below--;                        \
		return result;                         \
	}

BELOW(int, read, (struct bdev * dev, uint64_t offset, void *to, size_t len), (dev, offset, to, len))
BELOW(int, write,
      (struct bdev * dev, uint64_t offset, const void *from, size_t len, uint32_t flags),
      (dev, offset, from, len, flags))
BELOW(int, flush, (struct bdev * dev), (dev))
BELOW(int, queue_create, (struct bdev * dev, struct bdev_queue **out), (dev, out))
BELOW(size_t, wait,
      (struct bdev_queue * queue, struct bdev_request *done[], size_t max, size_t min),
      (queue, done, max, min))

void __real_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);
void __wrap_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count);

void __wrap_bdev_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	memory.below++;
	__real_bdev_submit(queue, requests, count);
	memory.below--;
}

/* Returns whether one failed. */
static bool memory_once(const char *libfs, workload *run, uint64_t nth, bool forever,
			const char *bytes, size_t len)
{
	struct fx_opts opts = { .libfs = libfs, .size = 16 << 20, .cache = 2 << 20 };
	struct fx *fx = fx_new(&opts);
	libfs_ino_t ino = fx_create(fx, FX_ROOT, "precious");
	bool fired;
	int err;

	fx_write(fx, ino, 0, bytes, len);
	assert_ok(libfs_fsync(fx->fs, ino, false));
	memory.countdown = nth;
	memory.forever = forever;
	err = run(fx);
	memory.countdown = 0;
	fired = memory.failing;
	memory.failing = false;
	if (err != 0 && err != -ENOMEM && err != -EIO)
		fail_msg("allocation %llu: %s", (unsigned long long)nth, xn_error_name(err));
	if (!fired && err)
		fail_msg("no allocation failed, but %s", xn_error_name(err));
	fx_close_anyhow(fx);
	if (fx_fsck(fx, CHECK_PREEN, true) & ~FSCK_REPAIRED) {
		fx_fsck(fx, CHECK_LOOK, false);
		fail_msg("allocation %llu: not repaired", (unsigned long long)nth);
	}
	fx_open(fx);
	fx_mount(fx, 0);
	precious_is_whole(fx, bytes, len);
	fx_fini(fx);
	return fired;
}

static void memory_sweep(const char *libfs, bool forever)
{
	uint64_t step = getenv("XN_FAULTS_ALL") ? 1 : 11, nth, n = 0;
	char bytes[9000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 4096);
	for (nth = 1; memory_once(libfs, everything, nth, forever, bytes, sizeof(bytes));
	     nth += step)
		n++;
	assert_true(n > 10);
	print_message("%llu of %llu allocations failed%s\n", (unsigned long long)n,
		      (unsigned long long)nth, forever ? ", and all after them" : "");
}

static void an_allocation_fails_once(void **state)
{
	memory_sweep(*state, false);
}

static void there_is_no_memory_any_more(void **state)
{
	memory_sweep(*state, true);
}

static void a_request_fails_once(void **state)
{
	const struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL };

	sweep(*state, everything, &fault, false);
}

static void a_request_and_all_after_it_fail(void **state)
{
	const struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .forever = true };

	sweep(*state, everything, &fault, false);
}

static void nobody_knows_what_became_of_a_request(void **state)
{
	const struct bdev_fault fault = { .kind = BDEV_FAULT_UNKNOWN, .seed = 5 };

	sweep(*state, everything, &fault, false);
}

static void a_request_stops_half_way(void **state)
{
	const struct bdev_fault fault = { .kind = BDEV_FAULT_SHORT, .seed = 6 };

	sweep(*state, everything, &fault, false);
}

static void reading_fails(void **state)
{
	const struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL, .ops = 1u << BDEV_READ };

	sweep(*state, reading, &fault, true);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_fails_once),
		cmocka_unit_test(a_request_and_all_after_it_fail),
		cmocka_unit_test(nobody_knows_what_became_of_a_request),
		cmocka_unit_test(a_request_stops_half_way),
		cmocka_unit_test(reading_fails),
		cmocka_unit_test(an_allocation_fails_once),
		cmocka_unit_test(there_is_no_memory_any_more),
	};

	if (argc < 2)
		return 2;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
