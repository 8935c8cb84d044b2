/* SPDX-License-Identifier: MIT */
/*
 * The power goes.  A recorder below the disk remembers every write and flush of
 * a workload; then many disks are made as a crash could have left them: the
 * events before some moment, those not yet stable each written or not, whole or
 * by sectors.
 *
 *	fs_crash LIBFS [STATES [SEED]]
 *
 *  (1) xn-fsck -p repairs every one of them without a question; so does a mount.
 *  (2) What fsync acknowledged before the moment is there: bytes and name.
 *  (3) rename: the file is under the old name, the new, or both; the replaced
 *      name means one of its files, whole, and none older than acknowledged.
 *  (4) What was removed and synced stays away.
 */
#include "suite.h"

#define ROUNDS 14
#define MARKS  256

enum promise { KEPT, GONE, TARGET, MOVER, MOVED_DIR };

struct mark {
	size_t event; /* holds for crashes at or after this one */
	enum promise promise;
	unsigned number;
};

struct recording {
	struct fx *fx;
	struct bdev *recorder, *base;
	struct mark marks[MARKS];
	size_t n_marks;
	libfs_ino_t dirs[2];
};

static uint64_t states_wanted = 150, seed_wanted = 1;

static size_t size_of(unsigned number)
{
	static const size_t sizes[] = { 1, 100, 4096, 5000, 60000, 300000 };

	return sizes[number % 6];
}

static void content_of(unsigned number, uint8_t *bytes)
{
	uint64_t seed = number + 1000;

	for (size_t i = 0; i < size_of(number); i++)
		bytes[i] = (uint8_t)(chance(&seed) >> 9);
}

static void name_of(char name[32], const char *what, unsigned number)
{
	snprintf(name, 32, "%s-%u", what, number);
}

/* ---- the workload ---- */

static void promise(struct recording *r, enum promise what, unsigned number)
{
	assert_true(r->n_marks < MARKS);
	r->marks[r->n_marks++] = (struct mark){
		.event = bdev_recorder_count(r->recorder),
		.promise = what,
		.number = number,
	};
}

static libfs_ino_t write_file(struct fx *fx, libfs_ino_t dir, const char *name, unsigned number)
{
	uint8_t *bytes = malloc(size_of(number));
	libfs_ino_t ino = fx_create(fx, dir, name);

	content_of(number, bytes);
	fx_write(fx, ino, 0, bytes, size_of(number));
	free(bytes);
	return ino;
}

static void round_of(struct recording *r, unsigned i)
{
	struct fx *fx = r->fx;
	libfs_ino_t here = r->dirs[i % 2], there = r->dirs[(i + 1) % 2];
	char name[32];
	libfs_ino_t ino;

	/* A file that is acknowledged and then left alone. */
	name_of(name, "kept", i);
	ino = write_file(fx, r->dirs[i % 3 == 0], name, i);
	assert_ok(libfs_fsync(fx->fs, ino, false));
	promise(r, KEPT, i);
	/* A file that is only written, and perhaps removed. */
	name_of(name, "loose", i);
	ino = write_file(fx, here, name, i + 3);
	fx_forget(fx, ino);
	if (i % 2)
		assert_ok(fx_unlink(fx, here, name));
	/* Replace by rename, sometimes acknowledged. */
	ino = write_file(fx, FX_ROOT, "target.new", 2 * i);
	assert_ok(fx_rename(fx, FX_ROOT, "target.new", FX_ROOT, "target"));
	if (i % 3 == 0) {
		assert_ok(libfs_fsync(fx->fs, ino, false));
		promise(r, TARGET, i);
	}
	/* A file and a directory that move to and fro. */
	assert_ok(fx_rename(fx, here, "mover", there, "mover"));
	assert_ok(fx_rename(fx, here, "moved", there, "moved"));
	/* Gone is gone. */
	if (i >= 4 && i % 4 == 0) {
		name_of(name, "victim", i);
		write_file(fx, here, name, i);
		assert_ok(libfs_sync(fx->fs));
		assert_ok(fx_unlink(fx, here, name));
		assert_ok(libfs_sync(fx->fs));
		promise(r, GONE, i);
	}
}

static void record(struct recording *r, const char *libfs)
{
	struct fx_opts opts = { .libfs = libfs, .size = 16 << 20, .cache = 4 << 20 };
	libfs_ino_t dir;

	r->fx = fx_new(&opts);
	fx_close(r->fx);
	assert_ok(bdev_recorder_create(r->fx->dev, &r->recorder));
	r->fx->dev = r->recorder;
	assert_ok(bdev_mem_clone(r->fx->mem, &r->base));
	fx_open(r->fx);
	fx_mount(r->fx, 0);
	r->dirs[0] = fx_mkdir(r->fx, FX_ROOT, "d0");
	r->dirs[1] = fx_mkdir(r->fx, FX_ROOT, "d1");
	write_file(r->fx, r->dirs[0], "mover", 4);
	dir = fx_mkdir(r->fx, r->dirs[0], "moved");
	write_file(r->fx, dir, "inside", 3);
	write_file(r->fx, FX_ROOT, "target", 0);
	assert_ok(libfs_sync(r->fx->fs));
	promise(r, MOVER, 0);
	promise(r, MOVED_DIR, 0);
	promise(r, TARGET, 0);
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(r, i);
}

/* ---- a disk after a crash ---- */

/* ---- what must be there ---- */

static bool lookup(struct fx *fx, libfs_ino_t dir, const char *name, struct libfs_attr *a)
{
	int err = libfs_lookup(fx->fs, fx_ctx(fx), dir, name, a);

	if (err && err != -ENOENT)
		fail_msg("lookup of %s: %s", name, xn_error_name(err));
	return err == 0;
}

static bool has_content(struct fx *fx, const struct libfs_attr *a, unsigned number)
{
	size_t size = size_of(number);
	uint8_t *want = malloc(size), *got = malloc(size);
	bool same = a->size == size;

	content_of(number, want);
	if (same)
		same = libfs_read(fx->fs, fx_ctx(fx), a->ino, 0, 0, got, size) == (ssize_t)size &&
		       memcmp(got, want, size) == 0;
	free(want);
	free(got);
	return same;
}

static void check_kept(struct fx *fx, const libfs_ino_t dirs[2], unsigned i)
{
	struct libfs_attr a;
	char name[32];

	name_of(name, "kept", i);
	if (!lookup(fx, dirs[i % 3 == 0], name, &a))
		fail_msg("%s was acknowledged and is not there", name);
	if (!has_content(fx, &a, i))
		fail_msg("%s was acknowledged and has other bytes", name);
}

static void check_target(struct fx *fx, unsigned oldest)
{
	struct libfs_attr a;

	if (!lookup(fx, FX_ROOT, "target", &a))
		fail_msg("the replaced name is not there");
	for (unsigned i = oldest; i < ROUNDS; i++)
		if (has_content(fx, &a, 2 * i))
			return;
	fail_msg("the replaced name means none of its files");
}

static void check_mover(struct fx *fx, const libfs_ino_t dirs[2])
{
	unsigned found = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct libfs_attr a;

		if (!lookup(fx, dirs[i], "mover", &a))
			continue;
		found++;
		assert_true(has_content(fx, &a, 4));
	}
	if (!found)
		fail_msg("the file that moved is nowhere");
}

static void check_moved_dir(struct fx *fx, const libfs_ino_t dirs[2])
{
	unsigned found = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct libfs_attr a, inside;

		if (!lookup(fx, dirs[i], "moved", &a))
			continue;
		found++;
		assert_int_equal(fx_find(fx, a.ino, ".."), dirs[i]);
		assert_true(lookup(fx, a.ino, "inside", &inside));
		assert_true(has_content(fx, &inside, 3));
	}
	if (found != 1)
		fail_msg("the directory that moved is in %u places", found);
}

static void check_gone(struct fx *fx, const libfs_ino_t dirs[2], unsigned i)
{
	struct libfs_attr a;
	char name[32];

	name_of(name, "victim", i);
	for (unsigned k = 0; k < 2; k++)
		if (lookup(fx, dirs[k], name, &a))
			fail_msg("%s is back", name);
}

static void check_promises(const struct recording *r, struct fx *fx, size_t moment)
{
	unsigned oldest = 0;
	bool target = false;

	for (size_t i = 0; i < r->n_marks; i++) {
		const struct mark *mark = &r->marks[i];

		if (mark->event > moment)
			break;
		switch (mark->promise) {
		case KEPT: check_kept(fx, r->dirs, mark->number); break;
		case GONE: check_gone(fx, r->dirs, mark->number); break;
		case MOVER: check_mover(fx, r->dirs); break;
		case MOVED_DIR: check_moved_dir(fx, r->dirs); break;
		case TARGET:
			oldest = mark->number;
			target = true;
			break;
		}
	}
	if (target)
		check_target(fx, oldest);
}

static void every_crash_keeps_what_was_promised(void **state)
{
	struct recording *r = calloc(1, sizeof(*r));
	struct fx_opts opts = { .libfs = *state, .size = 16 << 20 };
	uint64_t seed = seed_wanted;
	struct fx *after;
	size_t events;

	record(r, *state);
	events = bdev_recorder_count(r->recorder);
	print_message("%zu events, %zu promises, %llu states of seed %llu\n", events, r->n_marks,
		      (unsigned long long)states_wanted, (unsigned long long)seed_wanted);
	after = fx_new(&opts);
	for (uint64_t i = 0; i < states_wanted; i++) {
		uint64_t replay = seed;
		size_t moment = chance(&seed) % (events + 1);

		fx_crash_to(after, fx_crashed(r->base, r->recorder, moment, &seed), i % 2);
		print_message("state %llu: seed %llu, moment %zu\r", (unsigned long long)i,
			      (unsigned long long)replay, moment);
		check_promises(r, after, moment);
		fx_create(after, FX_ROOT, "life goes on");
		fx_close(after);
	}
	fx_fini(after);
	fx_fini(r->fx);
	bdev_close(r->base);
	free(r);
}

/* Process death: everything written is on the medium, nothing else is. */
static void stopping_anywhere_keeps_what_was_promised(void **state)
{
	struct fx *fx = *state;
	char name[32];

	for (unsigned i = 0; i < 20; i++) {
		libfs_ino_t ino;

		name_of(name, "kept", i);
		ino = write_file(fx, FX_ROOT, name, i);
		assert_ok(libfs_fsync(fx->fs, ino, false));
		name_of(name, "loose", i);
		write_file(fx, FX_ROOT, name, i + 1);
		fx_crash(fx, i % 2);
		for (unsigned k = 0; k <= i; k++) {
			struct libfs_attr a;

			name_of(name, "kept", k);
			assert_true(lookup(fx, FX_ROOT, name, &a));
			assert_true(has_content(fx, &a, k));
		}
	}
}

/* Removed and still open when the power goes: nothing of it is left. */
static void open_removed_files_do_not_outlive_a_crash(void **state)
{
	struct fx *fx = *state;
	uint64_t before = fx_free_blocks(fx), after;

	for (unsigned i = 0; i < 10; i++) {
		libfs_ino_t ino = write_file(fx, FX_ROOT, "f", 5);

		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
		assert_ok(libfs_fsync(fx->fs, ino, false));
		fx_crash(fx, i % 2);
		assert_names(fx, FX_ROOT, "");
	}
	after = fx_free_blocks(fx);
	assert_true(after >= before - 4);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(every_crash_keeps_what_was_promised),
		CASE(stopping_anywhere_keeps_what_was_promised),
		CASE(open_removed_files_do_not_outlive_a_crash),
	};

	if (argc < 2)
		return 2;
	if (argc > 2)
		states_wanted = strtoull(argv[2], NULL, 0);
	if (argc > 3)
		seed_wanted = strtoull(argv[3], NULL, 0);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
