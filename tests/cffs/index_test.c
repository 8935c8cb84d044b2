/* SPDX-License-Identifier: MIT */
/*
 * C-FFS: the index of large directories.
 *
 * XN_INDEX_NAMES in the environment is how many names the large ones have
 * (20,000); XN_INDEX_STATES how many crashes are looked at.
 */
#include "fs_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fsck/fsck.h"
#include "hints.h"

#define CASE(function) cmocka_unit_test_setup_teardown(function, fx_setup, fx_teardown)

static unsigned from_environment(const char *name, unsigned otherwise)
{
	const char *value = getenv(name);

	return value && atoi(value) > 0 ? (unsigned)atoi(value) : otherwise;
}

static void name_of(char name[64], unsigned i)
{
	snprintf(name, 64, "name-%u-%.*s", i, (int)(i * 7 % 24), "abcdefghijklmnopqrstuvwxyz");
}

static void make(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[64];

	name_of(name, i);
	fx_forget(fx, fx_create(fx, dir, name));
}

static void drop(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[64];

	name_of(name, i);
	assert_ok(fx_unlink(fx, dir, name));
}

static bool is_there(struct fx *fx, libfs_ino_t dir, unsigned i)
{
	char name[64];
	int err;

	name_of(name, i);
	err = fx_lookup(fx, dir, name);
	if (err && err != -ENOENT)
		assert_ok(err);
	return err == 0;
}

static uint64_t blocks_of(struct fx *fx, libfs_ino_t dir)
{
	return fx_attr(fx, dir).blocks / 8;
}

/* ---- format ---- */

static void a_bucket_moves_only_when_it_is_split(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 300; n++)
		for (uint32_t hash = 0; hash < 2000; hash += 7) {
			uint32_t before = cffs_bucket_of(hash, n), after;

			assert_true(before < n);
			after = cffs_bucket_of(hash, n + 1);
			if (after == before)
				continue;
			assert_int_equal(after, n);
			assert_int_equal(before, cffs_bucket_split(n));
		}
}

static void a_block_takes_as_many_hints_as_it_says(void **state)
{
	static uint8_t block[CFFS_BLOCK];
	struct cffs_hint hint, got;
	uint32_t i = 0;

	(void)state;
	memset(block, 0, sizeof(block));
	for (uint32_t k = 0; k < CFFS_HINTS; k++) {
		int s;

		hint = (struct cffs_hint){ k * 2654435761u, k + 1 };
		s = cffs_hint_room(block, hint.hash);
		assert_true(s >= 0);
		assert_true(cffs_hint_add(block + s * CFFS_SECTOR, 77, &hint));
		assert_int_equal(cffs_hint_sector(block, &hint), s);
	}
	assert_int_equal(cffs_hints_used(block), CFFS_HINTS);
	assert_int_equal(cffs_hint_room(block, 5), -1);
	assert_true(cffs_hint_next(block, hint.hash, &i, &got) && got.at == hint.at);
	assert_false(cffs_hint_next(block, hint.hash, &i, &got));
	for (uint32_t k = 0; k < CFFS_HINTS; k++) {
		uint8_t *sector;

		hint = (struct cffs_hint){ k * 2654435761u, k + 1 };
		sector = block + cffs_hint_sector(block, &hint) * CFFS_SECTOR;
		assert_true(cffs_hint_remove(sector, &hint));
		assert_false(cffs_hint_remove(sector, &hint));
	}
	assert_int_equal(cffs_hints_used(block), 0);
}

static void the_head_says_whose_it_is(void **state)
{
	uint8_t sector[CFFS_SECTOR];

	(void)state;
	cffs_head_encode(sector, 99, 12);
	assert_int_equal(cffs_head_decode(sector, 99), 12);
	assert_int_equal(cffs_head_decode(sector, 98), 0);
	memset(sector, 0, sizeof(sector));
	assert_int_equal(cffs_head_decode(sector, 99), 0);
}

/* ---- names come and go ---- */

#define MODEL 6000u

/* What there should be, and what there is. */
static void compare(struct fx *fx, libfs_ino_t dir, const bool *there)
{
	size_t n = 0;

	for (unsigned i = 0; i < MODEL; i++) {
		assert_int_equal(is_there(fx, dir, i), there[i]);
		n += there[i];
	}
	assert_int_equal(fx_count(fx, dir), n);
}

static void step(struct fx *fx, libfs_ino_t dir, bool *there, bool more, uint64_t *seed)
{
	unsigned i = (unsigned)(chance(seed) % MODEL), k = (unsigned)(chance(seed) % MODEL);
	char from[64], to[64];

	if (there[i] && chance(seed) % 8 == 0) {
		name_of(from, i);
		name_of(to, k);
		assert_ok(fx_rename(fx, dir, from, dir, to));
		there[i] = i == k;
		there[k] = true;
	} else if (there[i] && (!more || chance(seed) % 4 == 0)) {
		drop(fx, dir, i);
		there[i] = false;
	} else if (!there[i] && (more || chance(seed) % 4 == 0)) {
		make(fx, dir, i);
		there[i] = true;
	}
}

static void names_come_and_go_and_come_back(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	bool there[MODEL] = { false };
	uint64_t seed = 1;

	for (unsigned round = 0; round < 8; round++) {
		for (unsigned n = 0; n < 6000; n++) {
			step(fx, dir, there, round % 4 < 2, &seed);
			if (n % 1500 == 700)
				assert_ok(libfs_sync(fx->fs));
		}
		compare(fx, dir, there);
		if (round % 2)
			fx_remount(fx);
		dir = fx_find(fx, FX_ROOT, "d");
		compare(fx, dir, there);
	}
	for (unsigned i = 0; i < MODEL; i++)
		if (there[i])
			drop(fx, dir, i);
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
}

static void links_and_linked_files_by_the_thousand(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d"), other = fx_mkdir(fx, FX_ROOT, "e");
	char name[64];

	for (unsigned i = 0; i < 1500; i++) {
		libfs_ino_t file;

		name_of(name, i);
		file = fx_create(fx, dir, name);
		assert_ok(fx_link(fx, file, other, name));
		fx_forget(fx, file);
	}
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	other = fx_find(fx, FX_ROOT, "e");
	for (unsigned i = 0; i < 1500; i++) {
		assert_true(is_there(fx, dir, i));
		assert_true(is_there(fx, other, i));
		drop(fx, i % 2 ? dir : other, i);
	}
	for (unsigned i = 0; i < 1500; i++)
		drop(fx, i % 2 ? other : dir, i);
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
	assert_ok(fx_rmdir(fx, FX_ROOT, "e"));
}

/* ---- size ---- */

static void what_went_before_a_mount_makes_room_after_it(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t full;

	for (unsigned i = 0; i < 6000; i++)
		make(fx, dir, i);
	full = blocks_of(fx, dir);
	for (unsigned i = 0; i < 6000; i += 2)
		drop(fx, dir, i);
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 6000; i < 9000; i++)
		make(fx, dir, i);
	assert_true(blocks_of(fx, dir) < full + full / 5);
	assert_int_equal(fx_count(fx, dir), 6000);
}

static void a_queue_keeps_its_size(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t first = 0;

	for (unsigned i = 0; i < 16000; i++) {
		make(fx, dir, i);
		if (i >= 2000)
			drop(fx, dir, i - 2000);
		if (i % 500 == 0)
			assert_ok(libfs_sync(fx->fs));
		if (i == 4000)
			first = blocks_of(fx, dir);
	}
	assert_true(blocks_of(fx, dir) < 2 * first);
	assert_int_equal(fx_count(fx, dir), 2000);
}

static void one_that_is_emptied_from_the_front_gives_its_blocks_back(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t full;

	for (unsigned i = 0; i < 8000; i++)
		make(fx, dir, i);
	assert_ok(libfs_sync(fx->fs));
	full = blocks_of(fx, dir);
	for (unsigned i = 0; i < 7000; i++)
		drop(fx, dir, i);
	assert_ok(libfs_sync(fx->fs));
	assert_true(blocks_of(fx, dir) < full / 3);
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	assert_int_equal(fx_count(fx, dir), 1000);
	for (unsigned i = 7000; i < 8000; i++)
		assert_true(is_there(fx, dir, i));
	for (unsigned i = 7000; i < 7980; i++)
		drop(fx, dir, i);
	assert_ok(libfs_sync(fx->fs));
	/* Few names, no more blocks than come and go at once, and no index. */
	assert_true(blocks_of(fx, dir) <= 17);
}

/* ---- cold ---- */

struct cold {
	uint64_t first, most, sum; /* requests */
};

static struct fx *recorded(const struct fx_opts *opts, struct bdev **recorder)
{
	struct fx *fx = fx_new(opts);

	fx_close(fx);
	assert_ok(bdev_recorder_create(fx->dev, recorder));
	fx->dev = *recorder;
	fx_open(fx);
	fx_mount(fx, 0);
	return fx;
}

static uint64_t reads_of(struct bdev *recorder)
{
	struct bdev_counts counts;

	bdev_recorder_counts(recorder, &counts);
	return counts.reads;
}

static void look_cold(struct fx *fx, struct bdev *recorder, unsigned names, struct cold *cold)
{
	libfs_ino_t dir;
	uint64_t seed = 3;

	memset(cold, 0, sizeof(*cold));
	fx_remount(fx);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 0; i < 50; i++) {
		uint64_t before = reads_of(recorder), reads;

		/* Every other one is not there. */
		assert_int_equal(
			is_there(fx, dir, (unsigned)(chance(&seed) % names) + (i % 2 ? names : 0)),
			i % 2 == 0);
		reads = reads_of(recorder) - before;
		if (i == 0)
			cold->first = reads;
		else if (reads > cold->most)
			cold->most = reads;
		cold->sum += reads;
	}
}

static void a_cold_lookup_reads_a_few_blocks_whatever_there_is(void **state)
{
	unsigned names = from_environment("XN_INDEX_NAMES", 20000), done = 0;
	struct fx_opts opts = { .libfs = "cffs",
				.size = ((uint64_t)names / 20 + 8192) * 4096,
				.cache = 16 << 20 };
	struct bdev *recorder;
	struct fx *fx = recorded(&opts, &recorder);
	libfs_ino_t dir;

	(void)state;
	fx_mkdir(fx, FX_ROOT, "d");
	for (unsigned upto = names / 10; upto <= names; upto *= 10) {
		struct cold cold;

		dir = fx_find(fx, FX_ROOT, "d");
		for (; done < upto; done++) {
			make(fx, dir, done);
			if (done % 4096 == 0)
				bdev_recorder_reset(recorder);
		}
		look_cold(fx, recorder, done, &cold);
		print_message("%u names: first lookup %llu reads, others at most %llu, 50 together "
			      "%llu\n",
			      done, (unsigned long long)cold.first, (unsigned long long)cold.most,
			      (unsigned long long)cold.sum);
		assert_true(cold.first <= 8);
		assert_true(cold.most <= 4);
		bdev_recorder_reset(recorder);
	}
	fx_fini(fx);
}

/* ---- crashes ---- */

/* Whoever is met by reading the directory is found by his name. */
static size_t all_are_found(struct fx *fx, libfs_ino_t dir)
{
	struct libfs_dirent entries[64];
	uint64_t cookie = 0;
	size_t total = 0;
	ssize_t n;

	while ((n = libfs_readdir(fx->fs, fx_ctx(fx), dir, cookie, 0, entries, 64)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			int err = fx_lookup(fx, dir, entries[i].name);

			if (err)
				fail_msg("%s: %d", entries[i].name, err);
		}
		total += (size_t)n;
		cookie = entries[n - 1].cookie;
	}
	assert_int_equal(n, 0);
	return total;
}

/* Growth past the first index, splits, removals, and shrinking until it needs none. */
static void crash_workload(struct fx *fx, libfs_ino_t dir)
{
	unsigned from = 0;

	for (unsigned i = 0; i < 7000; i++) {
		make(fx, dir, i);
		if (i % 3 == 2)
			drop(fx, dir, from++);
		if (i % 700 == 99)
			assert_ok(libfs_sync(fx->fs));
		if (i % 900 == 50)
			assert_ok(libfs_fsync(fx->fs, dir, false));
	}
	for (; from < 6950; from++) {
		drop(fx, dir, from);
		if (from % 500 == 0)
			assert_ok(libfs_sync(fx->fs));
	}
	assert_ok(libfs_sync(fx->fs));
}

static void a_crash_leaves_nobody_who_is_not_found(void **state)
{
	struct fx_opts opts = { .libfs = "cffs", .size = 16 << 20, .cache = 1 << 20 };
	unsigned states = from_environment("XN_INDEX_STATES", 40);
	struct bdev *recorder, *base;
	struct fx *fx = recorded(&opts, &recorder), *after = fx_new(&opts);
	uint64_t seed = 5;
	size_t events, seen = 0;

	(void)state;
	fx_close(fx);
	bdev_recorder_reset(recorder);
	assert_ok(bdev_mem_clone(fx->mem, &base));
	fx_open(fx);
	fx_mount(fx, 0);
	crash_workload(fx, fx_mkdir(fx, FX_ROOT, "d"));
	events = bdev_recorder_count(recorder);
	print_message("%zu events, %u states\n", events, states);
	for (unsigned i = 0; i < states; i++) {
		size_t moment = chance(&seed) % (events + 1);
		struct libfs_attr a;

		fx_crash_to(after, fx_crashed(base, recorder, moment, &seed), false);
		if (libfs_lookup(after->fs, fx_ctx(after), FX_ROOT, "d", &a) == 0) {
			seen += all_are_found(after, a.ino);
			/* It goes on from there. */
			for (unsigned k = 0; k < 600; k++)
				make(after, a.ino, 100000 + k);
			all_are_found(after, a.ino);
		}
		fx_close_anyhow(after);
		assert_int_equal(fx_fsck(after, CHECK_PREEN, true) & ~FSCK_REPAIRED, FSCK_OK);
	}
	assert_true(seen > states * 100);
	bdev_close(base);
	fx_fini(after);
	fx_fini(fx);
}

/* ---- damage ---- */

/* The n-th block of hints on the medium; 0: there is none. */
static uint64_t index_block(struct fx *fx, unsigned n, uint8_t bytes[CFFS_BLOCK])
{
	for (uint64_t block = 1; block < fx->opts.size / CFFS_BLOCK; block++) {
		assert_ok(bdev_read(fx->mem, block * CFFS_BLOCK, bytes, CFFS_BLOCK));
		if (bytes[CFFS_R_MAGIC] == (CFFS_RAW_MAGIC & 0xff) &&
		    bytes[CFFS_R_MAGIC + 1] == CFFS_RAW_MAGIC >> 8 &&
		    bytes[CFFS_R_KIND] == CFFS_CLASS_INDEX && n-- == 0)
			return block;
	}
	return 0;
}

static void with_an_index(struct fx *fx)
{
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");

	for (unsigned i = 0; i < 1000; i++)
		make(fx, dir, i);
	fx_close(fx);
}

static void repaired(struct fx *fx)
{
	libfs_ino_t dir;

	assert_true(fx_fsck(fx, CHECK_LOOK, true) & FSCK_LEFT);
	assert_int_equal(fx_fsck(fx, CHECK_PREEN, true), FSCK_REPAIRED);
	fx_open(fx);
	fx_mount(fx, 0);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 0; i < 1000; i++)
		assert_true(is_there(fx, dir, i));
	for (unsigned i = 1000; i < 2000; i++)
		make(fx, dir, i);
	fx_remount(fx);
	assert_int_equal(all_are_found(fx, fx_find(fx, FX_ROOT, "d")), 2002);
}

static void fsck_gives_up_an_index_that_misses_a_name(void **state)
{
	struct fx *fx = *state;
	uint8_t bytes[CFFS_BLOCK];
	uint64_t block;

	with_an_index(fx);
	block = index_block(fx, 1, bytes);
	assert_true(block != 0);
	memset(bytes, 0, sizeof(bytes)); /* no hints */
	assert_ok(bdev_write(fx->mem, block * CFFS_BLOCK, bytes, CFFS_BLOCK, 0));
	repaired(fx);
}

static void fsck_gives_up_an_index_whose_head_is_wrong(void **state)
{
	struct fx *fx = *state;
	uint8_t bytes[CFFS_BLOCK];
	uint64_t block, ino = 0;

	with_an_index(fx);
	block = index_block(fx, 0, bytes);
	assert_true(block != 0);
	memcpy(&ino, bytes + CFFS_R_INO, sizeof(ino));
	/* More buckets than there are blocks. */
	cffs_head_encode(bytes, ino, 1000);
	assert_ok(bdev_write(fx->mem, block * CFFS_BLOCK, bytes, CFFS_BLOCK, 0));
	repaired(fx);
}

/* ---- a count that a crash left behind ---- */

/* The inode of the directory "d" counts so many blocks from here on, on the medium. */
static void count_is(struct fx *fx, uint64_t blocks)
{
	uint8_t sector[CFFS_SECTOR];
	struct cffs_entry entry;

	for (uint64_t at = 0; at < fx->opts.size; at += CFFS_SECTOR) {
		uint32_t k = 0;

		assert_ok(bdev_read(fx->mem, at, sector, sizeof(sector)));
		if (cffs_sector_check(sector) || !cffs_sector_next(sector, &k, &entry) ||
		    entry.kind != CFFS_KIND_INODE || entry.name_len != 1)
			continue;
		if (!S_ISDIR(entry.a.mode) || entry.name[0] != 'd')
			continue;
		/* Otherwise the count lies in the same sector as all that it counts. */
		assert_int_equal(entry.b.slot[0].class, CFFS_CLASS_NODE);
		entry.b.blocks = blocks;
		assert_true(cffs_sector_replace(sector, k, &entry));
		cffs_sector_seal(sector);
		assert_ok(bdev_write(fx->mem, at, sector, sizeof(sector), 0));
		return;
	}
	fail_msg("the inode of d is not on the medium");
}

static void with_nodes(struct fx *fx)
{
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d"), other = fx_mkdir(fx, FX_ROOT, "e");

	for (unsigned i = 0; i < 1500; i++) {
		make(fx, dir, i);
		make(fx, other, i);
	}
	fx_close(fx);
}

static void a_count_older_than_the_nodes_hides_no_name(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir;

	with_nodes(fx);
	count_is(fx, 2);
	fx_open(fx);
	fx_mount(fx, 0);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 1500; i < 1800; i++)
		make(fx, dir, i);
	fx_close_anyhow(fx);
	assert_int_equal(fx_fsck(fx, CHECK_PREEN, true), FSCK_REPAIRED);
	fx_open(fx);
	fx_mount(fx, 0);
	dir = fx_find(fx, FX_ROOT, "d");
	for (unsigned i = 0; i < 1800; i++)
		assert_true(is_there(fx, dir, i));
}

static void a_count_older_than_the_nodes_never_wraps(void **state)
{
	static const uint64_t counts[] = { 2, 30, UINT64_MAX - 11 };
	struct fx *fx = *state;

	with_nodes(fx);
	for (unsigned k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		libfs_ino_t dir;

		count_is(fx, counts[k]);
		fx_open(fx);
		fx_mount(fx, 0);
		dir = fx_find(fx, FX_ROOT, "d");
		assert_in_range(fx_attr(fx, dir).size, CFFS_BLOCK, CFFS_BLOCK << 16);
		for (unsigned i = 0; i < 1500; i++) {
			drop(fx, dir, i);
			if (i % 500 == 0)
				assert_ok(libfs_sync(fx->fs));
		}
		assert_ok(libfs_sync(fx->fs));
		assert_in_range(fx_attr(fx, dir).size, 0, CFFS_BLOCK << 8);
		assert_in_range(blocks_of(fx, dir), 0, 1 << 8);
		for (unsigned i = 0; i < 1500; i++)
			make(fx, dir, i);
		fx_close_anyhow(fx);
	}
	assert_true(fx_fsck(fx, CHECK_PREEN, true) <= FSCK_REPAIRED);
	fx_open(fx);
	fx_mount(fx, 0);
	assert_int_equal(fx_count(fx, fx_find(fx, FX_ROOT, "d")), 1500);
}

int main(void)
{
	static char cffs[] = "cffs";
	struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_moves_only_when_it_is_split),
		cmocka_unit_test(a_block_takes_as_many_hints_as_it_says),
		cmocka_unit_test(the_head_says_whose_it_is),
		CASE(names_come_and_go_and_come_back),
		CASE(links_and_linked_files_by_the_thousand),
		CASE(what_went_before_a_mount_makes_room_after_it),
		CASE(a_queue_keeps_its_size),
		CASE(one_that_is_emptied_from_the_front_gives_its_blocks_back),
		cmocka_unit_test(a_cold_lookup_reads_a_few_blocks_whatever_there_is),
		cmocka_unit_test(a_crash_leaves_nobody_who_is_not_found),
		CASE(fsck_gives_up_an_index_that_misses_a_name),
		CASE(fsck_gives_up_an_index_whose_head_is_wrong),
		CASE(a_count_older_than_the_nodes_hides_no_name),
		CASE(a_count_older_than_the_nodes_never_wraps),
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = cffs;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
