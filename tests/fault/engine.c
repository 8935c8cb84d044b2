/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "fsck/fsck.h"
#include "model.h"
#include "no_memory.h"
#include "oracles.h"
#include "script.h"

#define WRITES     (1u << BDEV_WRITE)
#define FLUSHES    (1u << BDEV_FLUSH)
#define READS      (1u << BDEV_READ)
#define ALIVE_EACH 32u /* one of so many runs is used to the end */

const struct fault_kind fault_kinds[] = {
	{ "fail", false, { .kind = BDEV_FAULT_FAIL } },
	{ "fail-forever", false, { .kind = BDEV_FAULT_FAIL, .forever = true } },
	{ "unknown", false, { .kind = BDEV_FAULT_UNKNOWN } },
	{ "unknown-forever", false, { .kind = BDEV_FAULT_UNKNOWN, .forever = true } },
	{ "short", false, { .kind = BDEV_FAULT_SHORT } },
	{ "short-forever", false, { .kind = BDEV_FAULT_SHORT, .forever = true } },
	{ "full", false, { .kind = BDEV_FAULT_FAIL, .ops = WRITES, .error = -ENOSPC } },
	{ "full-forever",
	  false,
	  { .kind = BDEV_FAULT_FAIL, .ops = WRITES, .error = -ENOSPC, .forever = true } },
	{ "flush", false, { .kind = BDEV_FAULT_FAIL, .ops = FLUSHES } },
	{ "flush-forever", false, { .kind = BDEV_FAULT_FAIL, .ops = FLUSHES, .forever = true } },
	{ "read", false, { .kind = BDEV_FAULT_FAIL, .ops = READS } },
	{ "read-forever", false, { .kind = BDEV_FAULT_FAIL, .ops = READS, .forever = true } },
	{ "corrupt", false, { .kind = BDEV_FAULT_CORRUPT } },
	{ "corrupt-forever", false, { .kind = BDEV_FAULT_CORRUPT, .forever = true } },
	{ "memory", true, { .forever = false } },
	{ "memory-forever", true, { .forever = true } },
	{ 0 },
};

struct engine {
	const char *libfs;
	struct slate *slate;
	struct oracles oracles;
	struct libfs_attr root; /* the root directory's */
	uint64_t runs;

	/* the run */
	const struct fault_kind *kind;
	struct bdev *rules, *recorder, *dev;
	struct crash_mount mount;
	struct script script;
	bool mounted, cut; /* cut: the power is gone */
	struct engine_result *result;
};

static bool say(struct engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first thing that is wrong. */
static bool say(struct engine *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!e->result->wrong[0])
		vsnprintf(e->result->wrong, sizeof(e->result->wrong), format, args);
	va_end(args);
	return false;
}

/* ---- the fault ---- */

static bool lies(const struct engine *e)
{
	return !e->kind->memory && e->kind->fault.kind == BDEV_FAULT_CORRUPT;
}

static void arm(struct engine *e, uint64_t nth)
{
	struct bdev_fault fault = e->kind->fault;

	fault.nth = nth;
	fault.seed = nth * 7919;
	if (e->kind->memory)
		no_memory_arm(nth, fault.forever);
	else
		bdev_fault_arm(e->dev, &fault);
}

static void disarm(struct engine *e)
{
	bool fired = e->kind->memory ? no_memory_disarm() : bdev_fault_disarm(e->dev) > 0;

	if (fired && !e->cut) /* else the dead device did it */
		e->result->fired = true;
}

/* Has it struck yet? */
static bool is_struck(struct engine *e)
{
	return e->result->fired;
}

static bool is_legal(const struct engine *e, int err)
{
	int number = xn_errno(err);

	if (lies(e) || number == 0 || number == EIO)
		return true;
	/* Without memory nothing can be written back, and the cache fills up. */
	return e->kind->memory ? number == ENOMEM || number == ENOBUFS
			       : -number == e->kind->fault.error;
}

/* ---- what the workload does ---- */

static void script_begin(struct engine *e)
{
	e->script = (struct script){ .xn = e->mount.xn,
				     .session = e->mount.session,
				     .libfs = e->libfs,
				     .recorder = e->recorder,
				     .n_roots = 1 };
	e->script.root[0].fs = e->mount.fs[0];
	e->script.root[0].model = model_new();
	model_make(e->script.root[0].model, &e->root, NULL);
}

/* All names of the root directory, and the first bytes of each file. */
static int read_some(struct libfs *fs)
{
	static struct libfs_dirent entries[16];
	static uint8_t bytes[70000];
	struct libfs_user user;
	ssize_t n = libfs_readdir(fs, user_at(&user, 4000), LIBFS_ROOT_INO, 0, 0, entries, 16);
	int err = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && !err; i++) {
		struct libfs_attr attr;

		if (entries[i].name[0] == '.')
			continue;
		err = libfs_lookup(fs, user_at(&user, 4000), LIBFS_ROOT_INO, entries[i].name,
				   &attr);
		if (err)
			break;
		if (attr.mode >> 12 == 010) {
			ssize_t got = libfs_read(fs, user_at(&user, 4000), attr.ino, 0, 0, bytes,
						 sizeof(bytes));

			err = got < 0 ? (int)got : 0;
		}
		libfs_forget(fs, attr.ino, 1);
	}
	return err;
}

/* What the file system shows, while the fault is armed, is the truth or an error. */
static void look_now(struct engine *e)
{
	struct libfs *fs = e->script.root[0].fs;
	struct look *look;
	char text[256];

	e->result->error = read_some(fs);
	if (e->kind->memory)
		return; /* looking closer needs memory itself */
	look = look_at(fs);
	if (!look->error[0] && !lies(e) && model_same(e->script.root[0].model, look, text))
		say(e, "while it lasts: %s", text);
	look_free(look);
}

static void workload_run(struct engine *e, const char *text)
{
	char why[256] = "";

	e->result->error = script_run(&e->script, text, why);
	if (!is_legal(e, e->result->error))
		say(e, "%s", why);
	if (!e->result->error && !e->script.closed) {
		look_now(e);
		if (!is_legal(e, e->result->error))
			say(e, "reading: %s", xn_error_name(e->result->error));
	}
}

/* The device is well again: who asks now must get the truth. */
static void sync_again(struct engine *e)
{
	int err;

	if (e->script.closed || e->kind->fault.forever)
		return;
	disarm(e);
	err = libfs_sync(e->script.root[0].fs);
	if (!is_legal(e, err))
		say(e, "sync afterwards: %s", xn_error_name(err));
	if (err)
		return;
	model_sync(e->script.root[0].model);
	e->result->acknowledged = true;
}

/* ---- how it ends ---- */

static void power_cut(struct engine *e)
{
	const struct bdev_fault dead = { .kind = BDEV_FAULT_FAIL, .nth = 1, .forever = true };

	disarm(e);
	bdev_fault_arm(e->dev, &dead);
	e->cut = true;
}

static void leave(struct engine *e, enum engine_end end)
{
	struct script *script = &e->script;
	char text[256];

	if (end == ENGINE_POWER)
		power_cut(e);
	if (script->closed) {
		e->result->acknowledged = !e->result->error;
		return;
	}
	if (script->held)
		libfs_release(script->root[script->held_root].fs, script->held, script->handle);
	if (crash_unmount(&e->mount, text) || end == ENGINE_POWER)
		return;
	model_sync(script->root[0].model);
	e->result->acknowledged = true;
}

/* ---- afterwards ---- */

static bool repaired(struct engine *e)
{
	struct fsck_opts opts = { .mode = lies(e) ? CHECK_YES : CHECK_PREEN,
				  .force = true,
				  .progress_fd = -1 };
	struct bdev *dev = slate_device(e->slate);
	struct fsck_result result;
	bool good = !fsck_run(dev, &opts, &result) && !(result.exit_code & ~FSCK_REPAIRED);

	if (!good)
		say(e, "xn-fsck does not repair it: %s",
		    result.n_findings ? result.findings[0].text : result.why);
	fsck_result_fini(&result);
	bdev_close(dev);
	return good;
}

/* What failed may have happened: all of it, a part, or nothing. */
static void judge(struct engine *e, const struct look *look)
{
	struct script *script = &e->script;
	unsigned ended = script->op;
	char text[256];

	if (script->failed[0])
		script_imagine(script, script->failed);
	if (model_judge(script->root[0].model, look, ended, script->op, text))
		say(e, "%s (%s)", text,
		    e->result->acknowledged ? "all acknowledged" : "not synced");
}

static void ask(struct engine *e)
{
	struct verdict verdict = { .owned = 0 };

	if (!repaired(e))
		return;
	oracles_ask(&e->oracles, &verdict);
	if (verdict.wrong[0])
		say(e, "%s", verdict.wrong);
	else if (!lies(e) && e->script.root[0].model)
		judge(e, verdict.look[0]);
	if (verdict.look[0])
		look_free(verdict.look[0]);
	if (e->result->wrong[0] || lies(e) || e->runs++ % ALIVE_EACH)
		return;
	oracles_ask_alive(&e->oracles, &verdict);
	if (verdict.wrong[0])
		say(e, "%s", verdict.wrong);
}

/* ---- a run ---- */

static void devices_open(struct engine *e)
{
	int err = bdev_check_create(slate_device(e->slate), &e->rules);

	if (!err)
		err = bdev_recorder_create(e->rules, &e->recorder);
	if (!err)
		err = bdev_fault_create(e->recorder, &e->dev);
	assert(!err);
	(void)err;
}

static bool mount(struct engine *e)
{
	char text[256] = "";

	e->mounted = !crash_mount(&e->mount, e->dev, 1, text);
	if (e->mounted)
		return true;
	if (strstr(text, "invariant"))
		say(e, "%s", text);
	e->result->error = -EIO;
	return false;
}

void engine_run(struct engine *e, const struct fault_kind *kind, uint64_t nth, enum engine_end end,
		const char *workload, struct engine_result *result)
{
	size_t base = slate_mark(e->slate);
	const char *text;

	memset(result, 0, sizeof(*result));
	memset(&e->script, 0, sizeof(e->script));
	e->result = result;
	e->kind = kind;
	e->cut = false;
	devices_open(e);
	arm(e, nth);
	if (mount(e)) {
		script_begin(e);
		workload_run(e, workload);
		sync_again(e);
		leave(e, end);
	}
	disarm(e);
	if (!is_struck(e) && result->error)
		say(e, "nothing failed, but %s", xn_error_name(result->error));
	if (!lies(e) && bdev_check_violations(e->rules, &text))
		say(e, "order: %.200s", text);
	bdev_close(e->dev);
	ask(e);
	model_free(e->script.root[0].model);
	slate_back(e->slate, base);
}

/* ---- life ---- */

struct engine *engine_new(const char *libfs)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct crash_mount mount;
	struct libfs_user user;
	struct bdev *dev;
	char text[256];
	size_t mark;
	int err;

	assert(e);
	e->libfs = libfs;
	e->slate = slate_new(CRASH_DISK_BYTES);
	crash_base_make(e->slate, libfs, 1);
	oracles_init(&e->oracles, e->slate, 1);
	/* Tables of inodes stay; a directory that was large comes back in another shape. */
	e->oracles.free_after += 2;
	e->oracles.kept = 6;
	mark = slate_mark(e->slate);
	dev = slate_device(e->slate);
	err = crash_mount(&mount, dev, 1, text) ? -EIO : 0;
	if (!err)
		err = libfs_getattr(mount.fs[0], user_at(&user, 0), LIBFS_ROOT_INO, &e->root);
	assert(!err);
	crash_unmount(&mount, text);
	bdev_close(dev);
	slate_back(e->slate, mark);
	return e;
}

void engine_free(struct engine *e)
{
	oracles_fini(&e->oracles);
	slate_free(e->slate);
	free(e);
}
