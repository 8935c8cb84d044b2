/* SPDX-License-Identifier: MIT */
/*
 * Random damage: a populated disk, 1 to 100 of its sectors flipped or rewritten,
 * repaired, looked at again, mounted; and every file reads as before that the
 * damage did not touch.
 *
 *  (1) What stands on what, survivors.h.
 *  (2) XN_DAMAGE_IMAGES says how many disks (500), XN_DAMAGE_SEED where to begin.
 */
#include "expect.h"

#include "fsck/fsck.h"
#include "survivors.h"
#include "xn/bdev.h"

#define IMAGES_DEFAULT 500u
#define SECTORS_MAX    100u

/* ---- random numbers ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t random_below(uint64_t n)
{
	return random_next() % n;
}

/* ---- one image ---- */

static void sector_damage(struct bdev *dev, uint64_t sector)
{
	uint8_t bytes[512];
	uint64_t bits = random_below(2) ? 1 + random_below(8) : 0;

	assert_ok(bdev_read(dev, sector * 512, bytes, sizeof(bytes)));
	for (uint64_t i = 0; i < bits; i++)
		bytes[random_below(512)] ^= (uint8_t)(1u << random_below(8));
	for (unsigned i = 0; !bits && i < sizeof(bytes); i += 8) {
		uint64_t noise = random_next();

		memcpy(bytes + i, &noise, 8);
	}
	assert_ok(bdev_write(dev, sector * 512, bytes, sizeof(bytes), 0));
}

static unsigned image_check(struct tree_disk *disk, uint64_t seed, struct survivors_totals *totals,
			    bool print)
{
	uint64_t hit[SECTORS_MAX];
	struct bdev *dev;
	unsigned bad = 0;
	size_t n;
	int first, second;

	random_state = seed * 0x2545f4914f6cdd1dull;
	n = (size_t)(random_below(4) ? 1 + random_below(20) : 1 + random_below(SECTORS_MAX));
	assert_ok(bdev_mem_clone(disk->dev, &dev));
	for (size_t i = 0; i < n; i++) {
		hit[i] = disk->used[random_below(disk->n_used)];
		sector_damage(dev, hit[i]);
	}
	if (print)
		survivors_keep(dev);
	first = survivors_fsck(dev, CHECK_YES, print);
	second = survivors_fsck(dev, CHECK_LOOK, print);
	totals->images++;
	if (survivors_beyond_help(disk, hit, n)) {
		totals->beyond++;
		bad += first == second && first == 0;
	} else {
		if ((first & ~FSCK_REPAIRED) || second) {
			print_error("  -y said %d, then -n %d\n", first, second);
			bad++;
		}
		bad += survivors_check(disk, dev, hit, n, totals);
		second = bad ? 0 : survivors_fsck(dev, CHECK_LOOK, true);
		bad += second != 0;
	}
	bdev_close(dev);
	if (bad)
		print_error("%s, seed %llu, %zu sectors\n", disk->name, (unsigned long long)seed,
			    n);
	return bad;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* A pointer in a damaged sector won a neighbour's block; a log that is lost kept blocks in use. */
static const struct {
	unsigned disk;
	uint64_t seed;
} went_wrong_once[] = { { 2, 107282 }, { 1, 600705 } };

static void what_was_not_touched_reads_as_before(void **state)
{
	struct tree_disk *disks[4] = { tree_disk_new("C-FFS", "c"), tree_disk_new("simplefs", "s"),
				       tree_disk_new("both", "cs"), tree_disk_new(USERS, "cs7") };
	uint64_t n = number_of("XN_DAMAGE_IMAGES", IMAGES_DEFAULT);
	uint64_t first = number_of("XN_DAMAGE_SEED", 1);
	struct survivors_totals totals = { 0 };
	unsigned bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(went_wrong_once) / sizeof(went_wrong_once[0]); i++)
		bad += image_check(disks[went_wrong_once[i].disk], went_wrong_once[i].seed, &totals,
				   false) > 0;
	for (uint64_t i = 0; i < n && bad < 10; i++)
		bad += image_check(disks[(first + i) % 4], first + i, &totals, n == 1) > 0;
	print_message("    %llu images, %llu hit in both copies; %llu of %llu files not touched\n",
		      (unsigned long long)totals.images, (unsigned long long)totals.beyond,
		      (unsigned long long)totals.untouched, (unsigned long long)totals.compared);
	for (unsigned i = 0; i < 4; i++)
		tree_disk_free(disks[i]);
	assert_int_equal(bad, 0);
	assert_true(n < 100 || (totals.untouched > n * 10 && totals.words > n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_touched_reads_as_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
