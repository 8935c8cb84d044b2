/* SPDX-License-Identifier: MIT */
#include "oracles.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsck/fsck.h"
#include "xn/format.h"

const char *const crash_roots[SCRIPT_ROOTS] = { "a", "b" };

static bool say(char wrong[256], const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool say(char wrong[256], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(wrong, 256, format, args);
	va_end(args);
	return false;
}

/* ---- R3, R9: by eyes of our own ---- */

struct meaning {
	struct slate *slate;
	uint64_t sum, blocks;
};

static uint64_t block_hash(struct slate *slate, uint64_t block)
{
	return slate_hash_part(slate, block * XN_BLOCK_SIZE, XN_BLOCK_SIZE);
}

static void sector_settle(void *slate, uint64_t offset, const uint8_t *bytes)
{
	slate_write(slate, offset, bytes, XN_SECTOR_SIZE);
}

static const char *item_visit(void *context, const struct medium_item *item)
{
	struct meaning *meaning = context;

	meaning->blocks += item->count;
	if (item->type == XN_RESERVED)
		return NULL; /* owned, and read by nobody */
	for (uint64_t b = 0; b < item->count; b++) {
		const uint8_t *bytes = item->bytes + b * XN_BLOCK_SIZE;

		if (canary_in(bytes, 64))
			return "named, and never written";
		meaning->sum += block_hash(meaning->slate, item->start + b);
	}
	return NULL;
}

bool oracles_ask_order(struct oracles *o, struct verdict *verdict, uint64_t *meaning)
{
	struct meaning owned = { .slate = o->slate };
	size_t mark = slate_mark(o->slate);
	struct medium_report report;

	memset(verdict, 0, sizeof(*verdict));
	/* What the log is about to make of the disk, so that hashes are of that as well. */
	medium_log_each(slate_bytes(o->slate), slate_size(o->slate), sector_settle, o->slate);
	medium_check(slate_bytes(o->slate), slate_size(o->slate), &o->types, item_visit, &owned,
		     &report);
	slate_back(o->slate, mark);
	if (report.truth)
		return say(verdict->wrong, "R3: %s", report.text);
	for (uint64_t b = 0; b < slate_size(o->slate) / XN_BLOCK_SIZE; b++)
		if (o->own[b])
			owned.sum += block_hash(o->slate, b);
	*meaning = owned.sum;
	verdict->owned = owned.blocks;
	return true;
}

static bool ask_others(struct oracles *o, struct verdict *verdict)
{
	const uint8_t *now = slate_bytes(o->slate);

	for (uint64_t b = 0; b < slate_size(o->slate) / XN_BLOCK_SIZE; b++)
		if (o->others[b] &&
		    memcmp(now + b * XN_BLOCK_SIZE, o->base + b * XN_BLOCK_SIZE, XN_BLOCK_SIZE))
			return say(verdict->wrong,
				   "R9: block %llu, of a root that nobody used, has changed",
				   (unsigned long long)b);
	return true;
}

/* ---- R2: xn-fsck ---- */

/* What the promises allow a crash to leave. */
static bool is_trace(const struct fsck_finding *finding)
{
	static const char *const traces[] = { "map/leak", "super/copy-old",
					      "catalogue/sector-old" };

	for (size_t i = 0; i < sizeof(traces) / sizeof(traces[0]); i++)
		if (strcmp(finding->code, traces[i]) == 0)
			return true;
	return finding->root[0] && finding->safety == CHECK_SAFE &&
	       strncmp(finding->code, "root/", 5) != 0;
}

/* Nobody can remove a root yet, so that stays. */
static bool is_unfinished(const struct oracles *o, const struct fsck_finding *finding)
{
	return o->unfinished && strcmp(finding->code, o->unfinished) == 0;
}

const char *crash_fsck(const struct oracles *o, struct bdev *dev, bool recovered, char wrong[256])
{
	struct fsck_opts opts = { .mode = CHECK_LOOK, .force = true, .progress_fd = -1 };
	const char *when = recovered ? "after recovery" : "as it was left";
	struct fsck_result result;
	bool good = true;

	if (fsck_run(dev, &opts, &result) || (result.exit_code & ~FSCK_LEFT))
		good = say(wrong, "R2: xn-fsck fails %s: %s", when, result.why);
	for (size_t i = 0; i < result.n_findings && good; i++)
		if (!is_unfinished(o, &result.findings[i]) &&
		    !(result.findings[i].stays && result.findings[i].trace) &&
		    (recovered || !is_trace(&result.findings[i])))
			good = say(wrong, "R2: xn-fsck finds %s %s: %s", result.findings[i].code,
				   when, result.findings[i].text);
	if (good && (!result.complete || (recovered && !result.was_clean)))
		good = say(wrong, "R2: xn-fsck says %s that the disk is not %s", when,
			   result.complete ? "clean" : "complete");
	fsck_result_fini(&result);
	return good ? NULL : wrong;
}

static bool ask_fsck(const struct oracles *o, bool recovered, char wrong[256])
{
	struct bdev *dev = slate_device(o->slate);
	bool good = !crash_fsck(o, dev, recovered, wrong);

	bdev_close(dev);
	return good;
}

const char *crash_repair(struct bdev *dev, char text[256])
{
	struct fsck_opts opts = { .mode = CHECK_PREEN, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	bool good = !fsck_run(dev, &opts, &result) && !(result.exit_code & ~FSCK_REPAIRED);

	if (!good)
		say(text, "R2: xn-fsck -p does not repair it: %s",
		    result.n_findings ? result.findings[0].text : result.why);
	fsck_result_fini(&result);
	return good ? NULL : text;
}

/* ---- mounting ---- */

static const char *sound(const struct crash_mount *mount, const char *when, char text[256])
{
	char why[160] = "";
	int broken = xn_self_check(mount->xn, why, sizeof(why));

	if (!broken)
		return NULL;
	snprintf(text, 256, "R1: XN's invariant %d is broken %s: %s", broken, when, why);
	return text;
}

const char *crash_unmount(struct crash_mount *mount, char text[256])
{
	int err = 0, closed;

	for (unsigned i = 0; i < SCRIPT_ROOTS && mount->fs[i]; i++) {
		int unmounted = libfs_unmount(mount->fs[i]);

		err = err ? err : unmounted;
	}
	xn_session_close(mount->session);
	closed = xn_close(mount->xn);
	err = err ? err : closed;
	if (!err)
		return NULL;
	snprintf(text, 256, "R1: closing: %s", xn_error_name(err));
	return text;
}

static int reclaimed(struct crash_mount *mount, uint64_t budget)
{
	int more = xn_reclaim(mount->session, budget, NULL);

	return more < 0 ? more : 0;
}

const char *crash_mount(struct crash_mount *mount, struct bdev *dev, unsigned n_roots,
			char text[256])
{
	static const struct xn_cred root;
	char why[160] = "", unmounted[256];
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = CRASH_CACHE,
				     .why = why,
				     .why_size = sizeof(why) };
	int err = xn_open_dev(dev, &opts, &mount->xn);

	memset(mount->fs, 0, sizeof(mount->fs));
	mount->session = NULL;
	if (err) {
		snprintf(text, 256, "R1: opening: %s: %s", xn_error_name(err), why);
		return text;
	}
	err = xn_session_open(mount->xn, &root, XN_SESSION_ADMIN, &mount->session);
	if (!err)
		err = reclaimed(mount, 3); /* the rest when the LibFSes have changed things */
	for (unsigned i = 0; i < n_roots && !err; i++) {
		struct libfs_mount_opts how = { .root = crash_roots[i],
						.why = why,
						.why_size = sizeof(why) };

		err = libfs_mount(mount->session, &how, &mount->fs[i]);
	}
	if (!err)
		err = reclaimed(mount, UINT64_MAX);
	if (!err && !sound(mount, "once mounted", text))
		return NULL;
	crash_unmount(mount, unmounted);
	if (err)
		snprintf(text, 256, "R1: mounting: %s: %s", xn_error_name(err), why);
	return text;
}

/* ---- R1, R8 ---- */

static bool ask_open(struct oracles *o, struct verdict *verdict)
{
	struct bdev *dev = slate_device(o->slate);
	struct crash_mount mount;
	char text[256];
	bool good = !crash_mount(&mount, dev, o->n_roots, verdict->wrong);

	if (good) {
		for (unsigned i = 0; i < o->n_roots; i++)
			verdict->look[i] = look_at(mount.fs[i]);
		good = !sound(&mount, "after looking", verdict->wrong);
		if (crash_unmount(&mount, text) && good)
			good = say(verdict->wrong, "%s", text);
	}
	bdev_close(dev);
	return good;
}

void oracles_ask(struct oracles *o, struct verdict *verdict)
{
	if (ask_fsck(o, false, verdict->wrong) && ask_open(o, verdict) &&
	    ask_fsck(o, true, verdict->wrong))
		ask_others(o, verdict);
}

/* Reap until nothing waits; the free blocks then. */
static bool settled(struct crash_mount *mount, uint64_t *free_blocks, char wrong[256])
{
	struct xn_disk_info info;
	int64_t left;

	do
		left = xn_reap(mount->session, 1u << 20);
	while (left > 0);
	if (left == 0)
		left = xn_sync(mount->session, 0);
	while (left == 0 && xn_reclaim(mount->session, UINT64_MAX, NULL) > 0)
		; /* and what records of the log held */
	if (left < 0)
		return say(wrong, "R8: settling: %s", xn_error_name((int)left));
	xn_disk_info(mount->xn, &info);
	*free_blocks = info.free_blocks;
	return info.will_free == 0 ? true : say(wrong, "R8: blocks wait to become free for ever");
}

static bool used(struct oracles *o, char wrong[256], uint64_t *free_blocks)
{
	struct bdev *dev = slate_device(o->slate);
	struct crash_mount mount;
	char text[160], unmounted[256];
	bool good = !crash_mount(&mount, dev, o->n_roots, wrong);

	if (good) {
		for (unsigned i = 0; i < o->n_roots && good; i++)
			if (look_alive(mount.fs[i], text))
				good = say(wrong, "R8: %s", text);
		good = good && settled(&mount, free_blocks, wrong) &&
		       !sound(&mount, "after use", wrong);
		if (crash_unmount(&mount, unmounted) && good)
			good = say(wrong, "%s", unmounted);
	}
	bdev_close(dev);
	return good;
}

void oracles_ask_alive(struct oracles *o, struct verdict *verdict)
{
	uint64_t free_blocks;

	if (!used(o, verdict->wrong, &free_blocks) || !ask_fsck(o, true, verdict->wrong))
		return;
	if (free_blocks > o->free_after || free_blocks + o->kept < o->free_after)
		say(verdict->wrong,
		    "R8: with everything removed, %llu blocks are free instead of %llu",
		    (unsigned long long)free_blocks, (unsigned long long)o->free_after);
}

/* ---- life ---- */

struct owners {
	struct oracles *o;
	uint32_t other; /* id of the root that nobody uses */
};

static const char *note_owner(void *context, const struct medium_item *item)
{
	struct owners *owners = context;

	memset(owners->o->own + item->start, 0, item->count);
	if (item->root == owners->other)
		memset(owners->o->others + item->start, 1, item->count);
	return NULL;
}

static void note_chunk(struct oracles *o, const struct xn_super *super, uint64_t chunk)
{
	uint64_t first = chunk * XN_CHUNK_BLOCKS;
	uint8_t map[XN_MAP_CHUNK_BYTES];

	xn_map_decode(super, chunk, o->base + xn_map_block(chunk) * XN_BLOCK_SIZE, map);
	for (uint64_t i = 0; i < XN_CHUNK_BLOCKS && first + i < super->block_count; i++)
		o->own[first + i] = map[i / 8] >> (i % 8) & 1;
}

/* What the map says is in use, and belongs to no root, is XN's.  false: the disk is not sound. */
static bool note_owners(struct oracles *o, uint32_t other)
{
	struct owners owners = { .o = o, .other = other };
	struct medium_report report;
	struct xn_super super;

	if (xn_super_decode((const void *)o->base, &super) ||
	    super.block_count * XN_BLOCK_SIZE > slate_size(o->slate))
		return false;
	for (uint64_t chunk = 0; chunk < super.high_water; chunk++)
		note_chunk(o, &super, chunk);
	if (!medium_check(o->base, slate_size(o->slate), &o->types, note_owner, &owners, &report))
		return true;
	fprintf(stderr, "the disk to begin with: %s\n", report.text);
	return false;
}

static void bytes_take(struct oracles *o, struct slate *slate)
{
	uint64_t size = slate_size(slate), blocks = size / XN_BLOCK_SIZE;

	*o = (struct oracles){ .slate = slate };
	o->base = malloc(size);
	o->others = calloc(1, blocks);
	o->own = calloc(1, blocks);
	assert(o->base && o->others && o->own);
	memcpy(o->base, slate_bytes(slate), size);
}

int oracles_init_plain(struct oracles *o, struct slate *slate)
{
	bytes_take(o, slate);
	return note_owners(o, UINT32_MAX) ? 0 : -1;
}

void oracles_init(struct oracles *o, struct slate *slate, unsigned n_roots)
{
	uint64_t blocks = slate_size(slate) / XN_BLOCK_SIZE, meaning;
	size_t mark = slate_mark(slate);
	struct verdict verdict;
	bool sound;

	bytes_take(o, slate);
	o->n_roots = n_roots;
	sound = note_owners(o, n_roots + 1);
	assert(sound);
	(void)sound;
	assert(memchr(o->others, 1, blocks) && memchr(o->own, 1, blocks));
	if (oracles_ask_order(o, &verdict, &meaning))
		oracles_ask(o, &verdict);
	if (verdict.wrong[0] || !used(o, verdict.wrong, &o->free_after))
		fprintf(stderr, "the disk to begin with: %s\n", verdict.wrong);
	for (unsigned i = 0; i < n_roots; i++)
		look_free(verdict.look[i]);
	slate_back(slate, mark);
	assert(!verdict.wrong[0]);
}

void oracles_fini(struct oracles *o)
{
	medium_types_fini(&o->types);
	free(o->base);
	free(o->others);
	free(o->own);
}
