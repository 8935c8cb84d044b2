/* SPDX-License-Identifier: MIT */
/*
 * The states of a log that somebody else recorded: a mount, say.  What the programs meant nobody
 * knows here, so that only R1, R2, R3 and R8 are asked.
 */
#include "crashtest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "oracles.h"
#include "timeline.h"
#include "xn/error.h"
#include "xn/format.h"

#define IMAGE_MAX (1ull << 32)
#define ROOTS_MAX 64u
#define WRONG_MAX 8u

struct recorded {
	struct crashtest *test;
	const char *log;
	struct slate *slate;
	struct bdev *recorder;
	struct oracles oracles;
	uint64_t contents, wrong;
	struct numbers asked; /* what states of the same meaning were asked already */
};

/* ---- one state ---- */

struct opened {
	struct xn *xn;
	struct xn_session *session;
	struct libfs *fs[ROOTS_MAX];
	unsigned n;
};

static int close_all(struct opened *o)
{
	int err = 0, closed;

	for (unsigned i = 0; i < o->n; i++) {
		int unmounted = libfs_unmount(o->fs[i]);

		err = err ? err : unmounted;
	}
	xn_session_close(o->session);
	closed = xn_close(o->xn);
	return err ? err : closed;
}

static int mount_all(struct opened *o, char text[256])
{
	struct xn_root_info root = { 0 };
	int err = 0;

	for (uint32_t id = 0; o->n < ROOTS_MAX && !xn_root_next(o->xn, id, &root); id = root.id) {
		char why[160] = "";
		struct libfs_mount_opts opts = { .root = root.name,
						 .why = why,
						 .why_size = sizeof(why) };

		err = libfs_mount(o->session, &opts, &o->fs[o->n]);
		if (err) {
			snprintf(text, 256, "R1: root %s does not mount: %s: %s", root.name,
				 xn_error_name(err), why);
			return err;
		}
		o->n++;
	}
	return 0;
}

static bool look_at_all(struct opened *o, char text[256])
{
	bool good = true;

	for (unsigned i = 0; i < o->n && good; i++) {
		struct look *look = look_at(o->fs[i]);

		if (look->error[0]) {
			snprintf(text, 256, "R1: reading: %.200s", look->error);
			good = false;
		}
		look_free(look);
	}
	for (unsigned i = 0; i < o->n && good; i++) {
		char why[160];

		if (look_alive(o->fs[i], why)) {
			snprintf(text, 256, "R8: %s", why);
			good = false;
		}
	}
	return good;
}

static bool open_and_use(struct recorded *r, struct bdev *dev, char text[256])
{
	static const struct xn_cred cred;
	char why[160] = "";
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = 8 * CRASH_CACHE,
				     .why = why,
				     .why_size = sizeof(why) };
	struct opened o = { 0 };
	int err = xn_open_dev(dev, &opts, &o.xn);
	bool good;

	(void)r;
	if (err) {
		snprintf(text, 256, "R1: opening: %s: %s", xn_error_name(err), why);
		return false;
	}
	err = xn_session_open(o.xn, &cred, XN_SESSION_ADMIN, &o.session);
	good = !err && !mount_all(&o, text) && look_at_all(&o, text);
	while (good && xn_reclaim(o.session, UINT64_MAX, NULL) > 0)
		;
	err = close_all(&o);
	if (good && err) {
		snprintf(text, 256, "R1: closing: %s", xn_error_name(err));
		return false;
	}
	return good;
}

static bool state_is_right(struct recorded *r, char text[256])
{
	struct bdev *dev = slate_device(r->slate);
	size_t mark = slate_mark(r->slate);
	struct verdict verdict;
	uint64_t meaning;
	bool good = oracles_ask_order(&r->oracles, &verdict, &meaning);

	if (!good)
		snprintf(text, 256, "%s", verdict.wrong);
	else if (numbers_add(&r->asked, meaning))
		good = !crash_fsck(&r->oracles, dev, false, text) && open_and_use(r, dev, text) &&
		       !crash_fsck(&r->oracles, dev, true, text);
	slate_back(r->slate, mark);
	bdev_close(dev);
	return good;
}

static int visit(void *arg, const struct state *state)
{
	struct recorded *r = arg;
	char text[256] = "", where[512];
	struct explorer_violation violation = { .name = r->log,
						.workload = "",
						.what = text,
						.where = where,
						.state = state,
						.recorder = r->recorder,
						.n_events = bdev_recorder_count(r->recorder),
						.bytes = slate_bytes(r->slate) };
	FILE *out;

	r->contents++;
	if (state_is_right(r, text))
		return 0;
	state_text(state, where, sizeof(where));
	printf("%s: %s\n  state: %s\n", r->log, text, where);
	out = r->test->html && r->wrong == 0 ? fopen(r->test->html, "we") : NULL;
	if (out) {
		timeline_print(out, "a recorded log", &violation);
		fclose(out);
		printf("  picture: %s\n", r->test->html);
	}
	return ++r->wrong >= WRONG_MAX;
}

/* ---- image and log ---- */

static int image_read(struct recorded *r, const char *path)
{
	struct bdev_info info;
	static const uint8_t zeroes[XN_BLOCK_SIZE];
	uint8_t block[XN_BLOCK_SIZE];
	struct bdev *dev;
	int err = bdev_open(path, BDEV_OPEN_RDONLY, 0, &dev);

	if (err)
		return err;
	bdev_info(dev, &info);
	if (info.size > IMAGE_MAX || info.size < XN_BLOCK_SIZE)
		err = -EFBIG;
	r->slate = err ? NULL : slate_new(info.size / XN_BLOCK_SIZE * XN_BLOCK_SIZE);
	for (uint64_t at = 0; !err && at + sizeof(block) <= info.size; at += sizeof(block)) {
		err = bdev_read(dev, at, block, sizeof(block));
		if (!err && memcmp(block, zeroes, sizeof(block)) != 0)
			slate_write(r->slate, at, block, sizeof(block));
	}
	bdev_close(dev);
	return err;
}

static int fail(const char *path, const char *why)
{
	fprintf(stderr, "xn-crashtest: %s: %s\n", path, why);
	return CRASHTEST_FAIL;
}

static int explore(struct recorded *r)
{
	size_t n = bdev_recorder_count(r->recorder);
	const char *refused = states_refuse(r->recorder, n);
	struct states_count count = { 0 };

	if (refused)
		return fail(r->log, refused);
	if (n == 0)
		return fail(r->log, "it has no events");
	states_each(r->slate, r->recorder, n, &r->test->states, visit, r, &count);
	if (!r->test->quiet)
		printf("%s: %zu events, %" PRIu64 " epochs (%" PRIu64 " capped), %" PRIu64
		       " distinct states, %zu of different meaning, %" PRIu64 " wrong%s\n",
		       r->log, n, count.epochs, count.capped, count.distinct, r->asked.n, r->wrong,
		       count.cut_short ? "; cut short" : "");
	return r->wrong ? CRASHTEST_WRONG : CRASHTEST_FINE;
}

int crashtest_recorded(struct crashtest *test, const char *log, const char *image)
{
	struct recorded r = { .test = test, .log = log };
	int err = image_read(&r, image), code = CRASHTEST_FAIL;

	if (err) {
		fail(image, xn_strerror(err));
		goto free_slate;
	}
	if (oracles_init_plain(&r.oracles, r.slate)) {
		fail(image, "it is no sound XN disk");
		goto free_oracles;
	}
	err = bdev_recorder_create(slate_device(r.slate), &r.recorder);
	if (err) {
		fail(log, xn_strerror(err));
		goto free_oracles;
	}
	err = bdev_recorder_load(r.recorder, log);
	code = err ? fail(log,
			  err == -EINVAL ? "it is of a disk of another size" : xn_strerror(err))
		   : explore(&r);
	bdev_close(r.recorder);
free_oracles:
	oracles_fini(&r.oracles);
free_slate:
	if (r.slate)
		slate_free(r.slate);
	numbers_fini(&r.asked);
	return code;
}
