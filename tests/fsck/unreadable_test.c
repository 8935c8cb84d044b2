/* SPDX-License-Identifier: MIT */
/*
 * Sectors that cannot be read.
 *
 *  (1) Blocks in use of a populated disk in turn have one, or all of their sectors, gone: what
 *      cannot be read is said, what does not stand on it reads as before.  Every third block;
 *      with XN_UNREADABLE_ALL set, every one.
 *  (2) On a medium that gives a sector another place when it is written, all is mended.
 *  (3) On one that does not, nothing hangs and nothing is hidden: the disk is clean without
 *      the sector, or it says that it is not, again and again.
 */
#include "expect.h"

#include <errno.h>
#include <stdlib.h>

#include "fsck/fsck.h"
#include "survivors.h"
#include "xn/bdev.h"
#include "xn/format.h"

/* ---- a medium with bad sectors ---- */

struct medium {
	struct bdev bdev;
	struct bdev *below;
	uint64_t first, end; /* sectors that are bad */
	bool heals;          /* by being written */
	unsigned reads, failed;
};

struct medium_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
	struct bdev_request *failed[64];
	size_t n_failed;
};

static void medium_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(((const struct medium *)dev)->below, info);
}

static int medium_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct medium_queue *queue = calloc(1, sizeof(*queue));

	assert_non_null(queue);
	assert_ok(bdev_queue_create(((struct medium *)dev)->below, &queue->below));
	*out = &queue->queue;
	return 0;
}

static void medium_queue_destroy(struct bdev_queue *queue)
{
	bdev_queue_destroy(((struct medium_queue *)queue)->below);
	free(queue);
}

static bool touches(const struct medium *medium, const struct bdev_request *request)
{
	return request->offset < medium->end * XN_SECTOR_SIZE &&
	       request->offset + request->len > medium->first * XN_SECTOR_SIZE;
}

static void medium_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct medium_queue *own = (struct medium_queue *)queue;
	struct medium *medium = (struct medium *)queue->dev;

	for (size_t i = 0; i < count; i++) {
		struct bdev_request *request = requests[i];
		bool bad = touches(medium, request) && request->op != BDEV_FLUSH;

		medium->reads += request->op == BDEV_READ;
		if (bad && request->op == BDEV_WRITE && medium->heals) {
			if (request->offset <= medium->first * XN_SECTOR_SIZE)
				medium->first = (request->offset + request->len) / XN_SECTOR_SIZE;
			bad = false;
		}
		if (!bad) {
			bdev_submit(own->below, &request, 1);
			continue;
		}
		request->outcome = BDEV_FAILED;
		request->error = -EIO;
		medium->failed++;
		assert_true(own->n_failed < 64);
		own->failed[own->n_failed++] = request;
	}
}

static size_t medium_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			  size_t min)
{
	struct medium_queue *own = (struct medium_queue *)queue;
	size_t n = 0;

	while (n < max && own->n_failed)
		done[n++] = own->failed[--own->n_failed];
	if (n < max && n < min)
		n += bdev_wait(own->below, done + n, max - n, min - n);
	return n;
}

static const struct bdev_ops medium_ops = {
	.name = "medium",
	.info = medium_info,
	.queue_create = medium_queue_create,
	.queue_destroy = medium_queue_destroy,
	.submit = medium_submit,
	.wait = medium_wait,
};

/* ---- every block ---- */

struct seen {
	unsigned objects, maps, logs, names, left;
};

static int medium_fsck(struct medium *medium, enum check_mode mode, struct seen *seen)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	int err = fsck_run(&medium->bdev, &opts, &result), code = result.exit_code;

	/* XN's own sectors have fixed places: where those cannot be written nothing can be. */
	if (err != -EIO || medium->heals || mode == CHECK_LOOK)
		assert_ok(err);
	for (size_t i = 0; i < result.n_findings; i++) {
		const char *what = result.findings[i].code;

		seen->objects += strcmp(what, "object/unreadable") == 0;
		seen->maps += strcmp(what, "map/unreadable") == 0;
		seen->logs += strcmp(what, "log/unreadable") == 0;
		seen->names += strcmp(what, "simplefs/unreadable") == 0;
	}
	fsck_result_fini(&result);
	return code;
}

/* Returns how many things were wrong. */
static unsigned sectors_lose(struct tree_disk *disk, uint64_t first, uint64_t n, bool heals,
			     struct seen *seen)
{
	struct medium medium = { .bdev = { .ops = &medium_ops }, .heals = heals };
	struct survivors_totals totals = { 0 };
	uint64_t hit[XN_BLOCK_SECTORS], n_hit;
	int look, first_run, second;
	unsigned bad = 0;

	assert_ok(bdev_mem_clone(disk->dev, &medium.below));
	medium.first = first;
	medium.end = first + n;
	/* Where it cannot be written either, an object goes as a whole. */
	n_hit = heals ? n : XN_BLOCK_SECTORS;
	for (uint64_t i = 0; i < n_hit; i++)
		hit[i] = (heals ? first : first - first % XN_BLOCK_SECTORS) + i;
	look = medium_fsck(&medium, CHECK_LOOK, seen);
	first_run = medium_fsck(&medium, CHECK_YES, seen);
	second = medium_fsck(&medium, CHECK_LOOK, seen);
	bad += (look != 0) != (first_run != 0) ||
	       (second != 0) != !!(first_run & (FSCK_LEFT | FSCK_FAILED));
	bad += heals && (first_run & ~FSCK_REPAIRED);
	seen->left += second != 0;
	assert_true(medium.reads < 40000); /* it came to an end, and by no detour */
	if (!bad && !second) /* what is bad is not asked for any more, but by its file */
		bad += survivors_check(disk, medium.below, hit, n_hit, &totals);
	if (bad)
		print_error("%s, sectors %llu + %llu, %s: -n said %d, -y %d, -n %d\n", disk->name,
			    (unsigned long long)first, (unsigned long long)n,
			    heals ? "healing" : "for good", look, first_run, second);
	bdev_close(medium.below);
	return bad;
}

static void whatever_cannot_be_read_is_said_and_the_rest_stays(void **state)
{
	struct tree_disk *disks[2] = { tree_disk_new("C-FFS", "c"),
				       tree_disk_new("simplefs", "s") };
	struct seen seen = { 0 };
	unsigned bad = 0, runs = 0, step = getenv("XN_UNREADABLE_ALL") ? 1 : 3;

	(void)state;
	for (unsigned d = 0; d < 2; d++) {
		for (size_t i = step == 1 ? 0 : 8; i < disks[d]->n_used && bad < 10;
		     i += 8 * step) {
			uint64_t first = disks[d]->used[i], one = first + i / 8 % 8;

			bad += sectors_lose(disks[d], first, XN_BLOCK_SECTORS, true, &seen);
			bad += sectors_lose(disks[d], one, 1, true, &seen);
			bad += sectors_lose(disks[d], i % 16 ? first : one, i % 16 ? 8 : 1, false,
					    &seen);
			runs += 3;
		}
		tree_disk_free(disks[d]);
	}
	print_message("    %u runs: %u objects, %u maps, %u logs, %u directories; %u left\n", runs,
		      seen.objects, seen.maps, seen.logs, seen.names, seen.left);
	assert_int_equal(bad, 0);
	assert_true(seen.objects > 30 && seen.maps && seen.logs && seen.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_cannot_be_read_is_said_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
