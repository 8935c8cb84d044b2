/* SPDX-License-Identifier: MIT */
/*
 * Many threads in one file system.
 *
 *	fs_threads LIBFS [ROUNDS [TESTS]]	TESTS may have * and ?
 */
#include "suite.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 6
#define SLOTS   24

static unsigned rounds = 2000;

struct worker {
	struct fx *fx;
	struct libfs *fs;
	pthread_t thread;
	unsigned number;
	uint64_t seed;
	libfs_ino_t shared, own;
	struct xn_cred cred;
	struct libfs_ctx ctx;
	atomic_bool *stop;
	unsigned wrong; /* what must not have happened, did */
};

static void start(struct worker *workers, struct fx *fx, void *(*run)(void *))
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].fx = fx;
		workers[i].number = i;
		workers[i].seed = i + 1;
		workers[i].ctx = (struct libfs_ctx){
			.cred = &workers[i].cred,
			.now = { 1700000000 + i, i },
		};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
	}
}

static void join(struct worker *workers)
{
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].wrong, 0);
	}
}

/* Any of the errors that a race may give, and no other. */
static void may_be(struct worker *w, int got, int a, int b, int c)
{
	if (got != 0 && got != a && got != b && got != c) {
		print_error("thread %u: %s\n", w->number, xn_error_name(got));
		w->wrong++;
	}
}

static void must(struct worker *w, int got)
{
	may_be(w, got, 0, 0, 0);
}

static void whole(struct worker *w, ssize_t got, ssize_t want)
{
	must(w, got < 0 ? (int)got : got == want ? 0 : -EIO);
}

static void slot_name(struct worker *w, char name[16])
{
	snprintf(name, 16, "slot-%u", (unsigned)(chance(&w->seed) % SLOTS));
}

static void shared_step(struct worker *w)
{
	struct libfs *fs = w->fx->fs;
	char name[16], other[16];
	struct libfs_attr a = { .ino = 0 };
	int got;

	slot_name(w, name);
	slot_name(w, other);
	switch (chance(&w->seed) % 8) {
	case 0:
		got = libfs_create(fs, &w->ctx, w->shared, name, 0644, true, &a);
		may_be(w, got, -EEXIST, 0, 0);
		break;
	case 1:
		got = libfs_mkdir(fs, &w->ctx, w->shared, name, 0755, &a);
		may_be(w, got, -EEXIST, 0, 0);
		break;
	case 2: may_be(w, libfs_unlink(fs, &w->ctx, w->shared, name), -ENOENT, -EISDIR, 0); return;
	case 3:
		may_be(w, libfs_rmdir(fs, &w->ctx, w->shared, name), -ENOENT, -ENOTDIR, -ENOTEMPTY);
		return;
	case 4:
		got = libfs_rename(fs, &w->ctx, w->shared, name, w->shared, other, 0);
		may_be(w, got, -ENOENT, -EISDIR, got == -ENOTDIR ? got : -ENOTEMPTY);
		return;
	default:
		got = libfs_lookup(fs, &w->ctx, w->shared, name, &a);
		may_be(w, got, -ENOENT, 0, 0);
		break;
	}
	if (got)
		return;
	if (S_ISREG(a.mode)) {
		uint8_t bytes[3000];
		ssize_t n;

		memset(bytes, (int)(a.ino & 0xff), sizeof(bytes));
		n = libfs_write(fs, &w->ctx, a.ino, 0, chance(&w->seed) % 50000, bytes,
				sizeof(bytes));
		whole(w, n, sizeof(bytes));
		n = libfs_read(fs, &w->ctx, a.ino, 0, 0, bytes, sizeof(bytes));
		must(w, n < 0 ? (int)n : 0);
		/* Nobody else's bytes: zeroes or this file's. */
		for (ssize_t i = 0; i < n; i++)
			w->wrong += bytes[i] != 0 && bytes[i] != (a.ino & 0xff);
	}
	libfs_forget(fs, a.ino, 1);
}

static void *shared_run(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < rounds && !w->wrong; i++) {
		shared_step(w);
		if (i % 50 == 49)
			must(w, libfs_sync(w->fx->fs));
	}
	return NULL;
}

static void all_in_one_directory(void **state)
{
	struct fx *fx = *state;
	struct worker workers[THREADS] = { { .fx = fx } };
	libfs_ino_t shared = fx_mkdir(fx, FX_ROOT, "shared");

	for (unsigned i = 0; i < THREADS; i++)
		workers[i].shared = shared;
	start(workers, fx, shared_run);
	join(workers);
}

/* Each its own tree: no thread may notice another. */
static void *own_run(void *arg)
{
	struct worker *w = arg;
	struct libfs *fs = w->fx->fs;
	char name[32];

	for (unsigned i = 0; i < rounds / 4 && !w->wrong; i++) {
		uint8_t bytes[20000], got[20000];
		struct libfs_attr a = { .ino = 0 };

		memset(bytes, (int)(w->number * 40 + i % 40 + 1), sizeof(bytes));
		snprintf(name, sizeof(name), "file-%u", i % 20);
		must(w, libfs_create(fs, &w->ctx, w->own, name, 0644, false, &a));
		whole(w, libfs_write(fs, &w->ctx, a.ino, 0, 0, bytes, sizeof(bytes)),
		      (ssize_t)sizeof(bytes));
		if (i % 30 == 0)
			must(w, libfs_fsync(fs, a.ino, false));
		whole(w, libfs_read(fs, &w->ctx, a.ino, 0, 0, got, sizeof(got)),
		      (ssize_t)sizeof(got));
		w->wrong += memcmp(bytes, got, sizeof(bytes)) != 0;
		if (i % 3 == 0)
			must(w, libfs_unlink(fs, &w->ctx, w->own, name));
		libfs_forget(fs, a.ino, 1);
	}
	return NULL;
}

static void each_in_its_own(void **state)
{
	struct fx *fx = *state;
	struct worker workers[THREADS] = { { .fx = fx } };
	char name[16];

	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(name, sizeof(name), "own-%u", i);
		workers[i].own = fx_mkdir(fx, FX_ROOT, name);
	}
	start(workers, fx, own_run);
	join(workers);
}

/* Readers of a directory that others change see what stays, always. */
static void *reader_run(void *arg)
{
	struct worker *w = arg;
	struct libfs_dirent *entries = calloc(16, sizeof(*entries));

	while (!*w->stop && !w->wrong) {
		uint64_t cookie = 0;
		unsigned kept = 0;
		ssize_t n;

		while ((n = libfs_readdir(w->fx->fs, &w->ctx, w->shared, cookie, 0, entries, 16)) >
		       0) {
			for (ssize_t i = 0; i < n; i++)
				kept += strncmp(entries[i].name, "keep-", 5) == 0;
			cookie = entries[n - 1].cookie;
		}
		w->wrong += n < 0 || kept != 40;
	}
	free(entries);
	return NULL;
}

static void readers_see_what_stays(void **state)
{
	struct fx *fx = *state;
	struct worker workers[THREADS] = { { .fx = fx } };
	libfs_ino_t shared = fx_mkdir(fx, FX_ROOT, "shared");
	atomic_bool stop = false;
	char name[32];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "keep-%d", i);
		fx_create(fx, shared, name);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].shared = shared;
		workers[i].stop = &stop;
	}
	start(workers, fx, reader_run);
	for (unsigned i = 0; i < rounds; i++) {
		snprintf(name, sizeof(name), "comes-and-goes-%u", i % 37);
		if (i % 2 == 0)
			fx_forget(fx, fx_create(fx, shared, name));
		else
			fx_rename(fx, shared, name, shared, "renamed");
		snprintf(name, sizeof(name), "comes-and-goes-%u", (i + 20) % 37);
		fx_unlink(fx, shared, name);
		fx_unlink(fx, shared, "comes-and-goes-0");
		fx_unlink(fx, shared, "renamed");
		if (fx_lookup(fx, shared, name) == 0)
			fx_unlink(fx, shared, name);
		snprintf(name, sizeof(name), "comes-and-goes-%u", (i + 2) % 37);
		fx_unlink(fx, shared, name);
	}
	stop = true;
	join(workers);
}

static void *orphan_run(void *arg)
{
	struct worker *w = arg;
	struct libfs *fs = w->fx->fs;
	char name[32];

	snprintf(name, sizeof(name), "orphan-%u", w->number);
	for (unsigned i = 0; i < rounds / 4 && !w->wrong; i++) {
		struct libfs_attr a = { .ino = 0 };
		uint64_t handle;
		char bytes[5000] = "content";

		must(w, libfs_create(fs, &w->ctx, FX_ROOT, name, 0644, true, &a));
		must(w, libfs_open(fs, &w->ctx, a.ino, O_RDWR, &handle));
		must(w, libfs_unlink(fs, &w->ctx, FX_ROOT, name));
		whole(w, libfs_write(fs, &w->ctx, a.ino, handle, 0, bytes, sizeof(bytes)),
		      (ssize_t)sizeof(bytes));
		libfs_forget(fs, a.ino, 1);
		whole(w, libfs_read(fs, &w->ctx, a.ino, handle, 0, bytes, 7), 7);
		w->wrong += memcmp(bytes, "content", 7) != 0;
		libfs_release(fs, a.ino, handle);
	}
	return NULL;
}

static void removed_files_of_many(void **state)
{
	struct fx *fx = *state;
	struct worker workers[THREADS] = { { .fx = fx } };
	uint64_t before;

	fx_create(fx, FX_ROOT, "first");
	before = fx_free_blocks(fx);
	start(workers, fx, orphan_run);
	join(workers);
	/* Inode tables and the directory may have grown by a few blocks. */
	assert_true(fx_free_blocks(fx) >= before - 4);
}

/*
 * Races of operations that need several directories and files at once.  Whatever comes of each, it
 * comes: two that wait for each other would never end.
 */
struct contest {
	struct fx *fx;
	struct libfs_ctx ctx;
	_Atomic unsigned wrong;
	libfs_ino_t top, low, high, below, file; /* made: file, low, high; below lies in high */
};

typedef void contest_step(struct contest *c, unsigned turn);

struct contestant {
	struct contest *contest;
	contest_step *step;
	pthread_t thread;
};

static void *contest_run(void *arg)
{
	struct contestant *who = arg;

	for (unsigned i = 0; i < 2 * rounds; i++)
		who->step(who->contest, i);
	return NULL;
}

static void contest(void **state, contest_step *const steps[], unsigned n)
{
	struct fx *fx = *state;
	struct contest c = { .fx = fx, .ctx = *fx_ctx(fx), .top = fx_mkdir(fx, FX_ROOT, "top") };
	struct contestant who[4];

	c.file = fx_create(fx, c.top, "file");
	c.low = fx_mkdir(fx, c.top, "low");
	c.high = fx_mkdir(fx, c.top, "high");
	c.below = fx_mkdir(fx, c.high, "below");
	fx_create(fx, c.below, "stays");
	assert_ok(fx_link(fx, c.file, c.low, "link"));
	for (unsigned i = 0; i < n; i++) {
		who[i] = (struct contestant){ .contest = &c, .step = steps[i] };
		assert_int_equal(pthread_create(&who[i].thread, NULL, contest_run, &who[i]), 0);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(who[i].thread, NULL);
	assert_int_equal(c.wrong, 0);
	fx_assert_sound(fx);
}

static void rename_onto_grandparent(struct contest *c, unsigned turn)
{
	struct libfs_attr a;

	(void)turn;
	if (libfs_mkdir(c->fx->fs, &c->ctx, c->below, "d", 0755, &a) == 0)
		libfs_forget(c->fx->fs, a.ino, 1);
	libfs_rename(c->fx->fs, &c->ctx, c->below, "d", c->top, "high", 0);
}

static void remove_below(struct contest *c, unsigned turn)
{
	(void)turn;
	libfs_rmdir(c->fx->fs, &c->ctx, c->high, "below");
}

static void rename_onto_what_it_lies_in(void **state)
{
	contest_step *const steps[] = { rename_onto_grandparent, remove_below };

	contest(state, steps, 2);
}

static void directory_onto_directory(struct contest *c, unsigned turn)
{
	libfs_rename(c->fx->fs, &c->ctx, c->top, turn % 2 ? "low" : "high", c->top,
		     turn % 2 ? "high" : "low", 0);
}

static void from_one_into_the_other(struct contest *c, unsigned turn)
{
	libfs_rename(c->fx->fs, &c->ctx, turn % 2 ? c->low : c->high, "moving",
		     turn % 2 ? c->high : c->low, "moving", 0);
}

static void two_directories_both_ways(void **state)
{
	contest_step *const steps[] = { directory_onto_directory, from_one_into_the_other };

	contest(state, steps, 2);
}

static void exchange_file_and_directory(struct contest *c, unsigned turn)
{
	(void)turn;
	libfs_rename(c->fx->fs, &c->ctx, c->top, "file", c->top, "low", LIBFS_RENAME_EXCHANGE);
	libfs_rename(c->fx->fs, &c->ctx, c->top, "file", c->top, "low", LIBFS_RENAME_EXCHANGE);
}

static void link_and_unlink(struct contest *c, unsigned turn)
{
	struct libfs_attr a;

	(void)turn;
	libfs_unlink(c->fx->fs, &c->ctx, c->low, "link");
	if (libfs_link(c->fx->fs, &c->ctx, c->file, c->low, "link", &a) == 0)
		libfs_forget(c->fx->fs, a.ino, 1);
}

static void a_file_and_a_directory_with_a_link_to_it(void **state)
{
	contest_step *const steps[] = { exchange_file_and_directory, link_and_unlink };

	contest(state, steps, 2);
}

static void set_attributes(struct contest *c, unsigned turn)
{
	char value[2000];

	memset(value, (int)turn, sizeof(value));
	libfs_setxattr(c->fx->fs, &c->ctx, c->file, "user.a", value, turn % 2 ? 1900 : 3, 0);
	libfs_setxattr(c->fx->fs, &c->ctx, c->below, "user.a", value, 3, 0);
	libfs_setxattr(c->fx->fs, &c->ctx, c->high, "user.a", value, 3, 0);
}

static void make_and_remove(struct contest *c, unsigned turn)
{
	struct libfs_attr a;

	(void)turn;
	if (libfs_create(c->fx->fs, &c->ctx, c->high, "held", 0644, false, &a) == 0) {
		libfs_unlink(c->fx->fs, &c->ctx, c->high, "held");
		libfs_write(c->fx->fs, &c->ctx, a.ino, 0, 0, "held", 4);
		libfs_setxattr(c->fx->fs, &c->ctx, a.ino, "user.a", "b", 1, 0);
		libfs_forget(c->fx->fs, a.ino, 1);
	}
}

static void sync_now_and_then(struct contest *c, unsigned turn)
{
	if (turn % 16 == 0 && libfs_sync(c->fx->fs) != 0)
		c->wrong++;
}

static void attributes_links_orphans_and_syncs(void **state)
{
	contest_step *const steps[] = { set_attributes, link_and_unlink, make_and_remove,
					sync_now_and_then };

	contest(state, steps, 4);
}

static void three_that_might_wait_in_a_ring(void **state)
{
	contest_step *const steps[] = { directory_onto_directory, from_one_into_the_other,
					remove_below, link_and_unlink };

	contest(state, steps, 4);
}

/* Half of the threads in each of two file systems on one disk, whose cache is small. */
static void *tree_run(void *arg)
{
	struct worker *w = arg;
	struct libfs *fs = w->fs;
	uint8_t *bytes = malloc(150000), *got = malloc(150000);
	char name[32];

	for (unsigned i = 0; i < rounds / 20 && !w->wrong; i++) {
		struct libfs_attr d = { .ino = 0 }, a = { .ino = 0 };
		size_t len = chance(&w->seed) % 150000 + 1;

		memset(bytes, (int)(w->number * 30 + i % 30 + 1), len);
		snprintf(name, sizeof(name), "t%u-d%u", w->number, i % 10);
		if (libfs_mkdir(fs, &w->ctx, FX_ROOT, name, 0755, &d) != 0)
			must(w, libfs_lookup(fs, &w->ctx, FX_ROOT, name, &d));
		snprintf(name, sizeof(name), "f%u", i % 7);
		must(w, libfs_create(fs, &w->ctx, d.ino, name, 0644, false, &a));
		must(w, libfs_setattr(fs, &w->ctx, a.ino, &(struct libfs_attr){ .size = 0 },
				      LIBFS_SET_SIZE, &a));
		whole(w, libfs_write(fs, &w->ctx, a.ino, 0, 0, bytes, len), (ssize_t)len);
		if (i % 10 == 0)
			must(w, libfs_sync(fs));
		whole(w, libfs_read(fs, &w->ctx, a.ino, 0, 0, got, len), (ssize_t)len);
		w->wrong += memcmp(bytes, got, len) != 0;
		if (i % 4 == 3)
			must(w, libfs_unlink(fs, &w->ctx, d.ino, name));
		libfs_forget(fs, a.ino, 1);
		libfs_forget(fs, d.ino, 1);
	}
	free(bytes);
	free(got);
	return NULL;
}

static void two_file_systems_at_once_with_a_small_cache(void **state)
{
	struct fx_opts opts = { .libfs = *state, .cache = 2 << 20, .size = 128 << 20 };
	struct fx *fx = fx_new(&opts);
	struct libfs_mkfs_opts mkfs = { .root = "other", .now = fx_ctx(fx)->now };
	struct libfs_mount_opts mount = { .root = "other" };
	struct worker workers[THREADS] = { { .fx = fx } };
	struct xn_session *session;
	struct libfs *other;

	assert_ok(libfs_mkfs(fx->session, fx->opts.libfs, &mkfs));
	assert_ok(xn_session_open(fx->xn, &fx->root.cred, XN_SESSION_ADMIN, &session));
	assert_ok(libfs_mount(session, &mount, &other));
	for (unsigned i = 0; i < THREADS; i++)
		workers[i].fs = i % 2 ? other : fx->fs;
	start(workers, fx, tree_run);
	join(workers);
	assert_ok(libfs_unmount(other));
	xn_session_close(session);
	fx_fini(fx);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		CASE(all_in_one_directory),
		CASE(each_in_its_own),
		CASE(readers_see_what_stays),
		CASE(removed_files_of_many),
		CASE(rename_onto_what_it_lies_in),
		CASE(two_directories_both_ways),
		CASE(a_file_and_a_directory_with_a_link_to_it),
		CASE(attributes_links_orphans_and_syncs),
		CASE(three_that_might_wait_in_a_ring),
		CASE_OWN(two_file_systems_at_once_with_a_small_cache),
	};

	if (argc < 2)
		return 2;
	if (argc > 2)
		rounds = (unsigned)atoi(argv[2]);
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
