/* SPDX-License-Identifier: MIT */
/*
 * The order of the passes, and what they came to.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int buffers_init(struct fsck *f)
{
	struct check_opts opts = {
		.mode = f->opts->mode,
		.verbose = f->opts->verbose,
		.out = f->opts->out,
		.in = f->opts->in,
		.progress_fd = f->opts->progress_fd,
		.stop = f->opts->stop,
	};
	int err;

	f->batch.buffer = malloc((size_t)BATCH_BLOCKS * XN_BLOCK_SIZE);
	f->mend_buffer = malloc(UDF_OBJECT_MAX);
	if (!f->batch.buffer || !f->mend_buffer)
		return -ENOMEM;
	err = check_create(f->dev, &opts, &f->check);
	if (err)
		return err;
	return bdev_queue_create(f->dev, &f->queue);
}

/* From here on this device is read and written. */
int fsck_use_device(struct fsck *f, struct bdev *dev)
{
	struct bdev_queue *queue;
	int err = bdev_queue_create(dev, &queue);

	if (err)
		return err;
	if (f->queue)
		bdev_queue_destroy(f->queue);
	f->queue = queue;
	f->dev = dev;
	if (f->check)
		check_use_device(f->check, dev);
	return 0;
}

static void fsck_fini(struct fsck *f)
{
	if (f->queue)
		bdev_queue_destroy(f->queue);
	if (f->overlay)
		bdev_overlay_detach(f->overlay);
	check_destroy(f->check);
	for (size_t i = 0; i < f->n_types; i++)
		udf_template_destroy(f->types[i].tmpl);
	for (size_t i = 0; i < f->n_roots; i++)
		blockset_fini(&f->roots[i].owned);
	blockset_fini(&f->doubted);
	blockset_fini(&f->own);
	blockset_fini(&f->seen);
	free(f->types);
	free(f->roots);
	free(f->principals);
	free(f->stack);
	free(f->actions);
	free(f->suspects);
	free(f->lost);
	free(f->mend_buffer);
	free(f->mended);
	free(f->batch.buffer);
}

static void pass(struct fsck *f, unsigned number, const char *title)
{
	check_set_pass(f->check, number, f->opts->mode == CHECK_PREEN ? NULL : title);
}

#define ROUNDS_MAX 64u

/* ---- walks, and walks again ---- */

static int seen_reset(struct fsck *f)
{
	blockset_clear(&f->seen);
	for (size_t i = 0; i < f->own.cap; i++) {
		const struct blockset_chunk *place = &f->own.table[i];

		for (uint64_t b = 0; place->bits && b < XN_CHUNK_BLOCKS; b++)
			if ((place->bits[b / 8] >> (b % 8) & 1) &&
			    blockset_add(&f->seen, place->chunk * XN_CHUNK_BLOCKS + b, 1))
				return -ENOMEM;
	}
	for (size_t i = 0; i < f->n_roots; i++)
		blockset_clear(&f->roots[i].owned);
	blockset_clear(&f->doubted);
	f->result->objects = 0;
	return 0;
}

/* Walk, mend what was granted, walk again: until nothing is left that can be mended. */
static int walk_and_mend(struct fsck *f)
{
	bool made = true;
	int err = 0;

	pass(f, 4, f->seen_stale ? NULL : "Checking what the roots own");
	for (unsigned round = 0; !err && made && round < ROUNDS_MAX; round++) {
		f->complete = f->read_all;
		err = round || f->seen_stale ? seen_reset(f) : 0;
		if (!err)
			err = fsck_walk_roots(f);
		f->seen_stale = true;
		if (err || fsck_stopped(f))
			break;
		err = fsck_actions_run(f, &made);
		fsck_mended_sort(f);
		/* What was cut off may show as free only once nothing on the disk names it. */
		if (!err && made && bdev_flush(f->dev))
			err = -EIO;
		check_set_rerun(f->check, true);
	}
	check_set_rerun(f->check, false);
	return err;
}

/* Checkers may give blocks up or take some: then the walk looks again, and so do they. */
static int roots_check(struct fsck *f)
{
	int err = 0;

	for (unsigned round = 0; !err && round < ROUNDS_MAX && !fsck_stopped(f); round++) {
		check_rewalked(f->check);
		pass(f, 5, round ? NULL : "Checking each root by its LibFS");
		err = fsck_roots_run_checkers(f);
		check_set_rerun(f->check, true);
		if (err || fsck_stopped(f) || !check_must_rewalk(f->check))
			break;
		if (bdev_flush(f->dev))
			return -EIO;
		err = walk_and_mend(f);
		check_set_rerun(f->check, true);
	}
	check_set_rerun(f->check, false);
	return err;
}

static bool root_is_there(const struct fsck *f)
{
	for (size_t i = 0; i < f->n_roots; i++)
		if (fsck_root_wanted(f, &f->roots[i]))
			return true;
	return false;
}

static int passes(struct fsck *f)
{
	int err;

	pass(f, 1, "Checking superblock and copies");
	err = fsck_super_check_copies(f);
	if (!err && f->super_stale && fsck_may_write(f))
		err = fsck_super_begin(f);
	if (!err && !fsck_stopped(f))
		err = fsck_log_check(f);
	if (err || fsck_stopped(f))
		return err;
	pass(f, 2, "Checking catalogues and templates");
	err = fsck_catalogues_read(f);
	if (!err)
		err = fsck_lost_rebuild(f);
	if (!err && !fsck_stopped(f))
		err = fsck_templates_load(f);
	if (!err && !fsck_stopped(f))
		fsck_lost_give_up(f);
	if (err || fsck_stopped(f))
		return err;
	if (f->opts->root && !root_is_there(f))
		return -ENOENT;
	pass(f, 3, "Checking roots and principals");
	err = fsck_roots_check(f);
	f->read_all = f->complete;
	if (!err && !fsck_stopped(f))
		err = walk_and_mend(f);
	if (!err && !fsck_stopped(f))
		err = roots_check(f);
	if (err || fsck_stopped(f))
		return err;
	if (f->opts->root)
		return fsck_templates_restore(f);
	fsck_lost_roots(f);
	pass(f, 6, "Checking the free map and counters");
	err = fsck_templates_restore(f);
	if (!err)
		err = fsck_map_check(f);
	return err ? err : fsck_roots_count_used(f);
}

/* ---- results ---- */

static int findings_copy(const struct fsck *f, struct fsck_result *result)
{
	size_t n = check_finding_count(f->check);

	result->found = check_found_count(f->check);
	result->left = check_left_count(f->check);
	result->findings = calloc(n ? n : 1, sizeof(*result->findings));
	if (!result->findings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct check_finding *from = check_finding(f->check, i);
		struct fsck_finding *to = &result->findings[result->n_findings++];

		to->code = from->row->code;
		to->safety = from->row->safety;
		to->trace = fsck_is_trace(from->row);
		to->stays = from->row->stays;
		to->repaired = from->repaired;
		memcpy(to->root, from->root, sizeof(to->root));
		memcpy(to->text, from->text, sizeof(to->text));
		result->unexpected += !to->trace;
	}
	return 0;
}

static void say_summary(const struct fsck *f)
{
	const struct fsck_result *result = f->result;
	FILE *out = f->opts->out;

	if (!out)
		return;
	if (f->stopped) {
		fprintf(out, "%s: stopped; nothing half-done is left behind\n", f->name);
		return;
	}
	if (f->opts->verbose && !result->skipped)
		fprintf(out, "%s: %" PRIu32 " templates, %" PRIu64 " objects\n", f->name,
			result->templates, result->objects);
	if (result->modified && f->opts->mode != CHECK_PREEN)
		fprintf(out, "\n%s: ***** DISK WAS MODIFIED *****\n", f->name);
	if (result->left && f->opts->mode == CHECK_PREEN)
		fprintf(out, "%s: UNEXPECTED INCONSISTENCY; RUN xn-fsck MANUALLY.\n", f->name);
	else if (result->left)
		fprintf(out, "\n%s: ***** WARNING: %zu problem%s left *****\n", f->name,
			result->left, result->left == 1 ? "" : "s");
	fprintf(out, "%s: %s%" PRIu32 " roots, %" PRIu64 "/%" PRIu64 " blocks\n", f->name,
		result->skipped ? "clean, " : "", result->roots, result->used_blocks,
		result->block_count);
}

static int code_of(const struct fsck *f)
{
	int code = FSCK_OK;

	if (f->result->left)
		code |= FSCK_LEFT;
	if (f->result->found > f->result->left)
		code |= FSCK_REPAIRED;
	if (f->stopped)
		code |= FSCK_STOPPED;
	return code;
}

static int conclude(struct fsck *f)
{
	int err = findings_copy(f, f->result);

	if (err)
		return err;
	f->result->complete = f->complete && !f->stopped && !f->result->skipped;
	f->result->modified = f->begun || f->changed;
	f->result->exit_code = code_of(f);
	say_summary(f);
	return 0;
}

static int run(struct fsck *f)
{
	int err = buffers_init(f);

	if (err)
		return err;
	if (f->look_only)
		check_look_only(f->check);
	err = fsck_super_read(f);
	if (err < 0)
		return err;
	if (err > 0) {
		if (f->opts->out)
			fprintf(f->opts->out, "%s: %s\n", f->name, f->result->why);
		return 0; /* exit_code says it */
	}
	if (f->result->was_clean && !f->opts->force) {
		f->result->skipped = true;
		f->result->roots = fsck_catalogue_count_roots(f);
		f->result->used_blocks = f->super.block_count - f->super.free_blocks;
		return conclude(f);
	}
	if (!f->result->was_clean)
		fsck_say(f, "%s was not closed cleanly or is marked as damaged: checking it\n",
			 f->name);
	err = passes(f);
	if (f->opts->root)
		f->complete = false;
	if (!err)
		err = fsck_super_finish(f);
	return err ? err : conclude(f);
}

int fsck_run(struct bdev *dev, const struct fsck_opts *opts, struct fsck_result *result)
{
	struct fsck *f = calloc(1, sizeof(*f));
	struct bdev_info info;
	int err;

	memset(result, 0, sizeof(*result));
	result->exit_code = FSCK_FAILED;
	if (!f)
		return -ENOMEM;
	bdev_info(dev, &info);
	f->dev = dev;
	f->opts = opts;
	f->result = result;
	f->dev_blocks = info.size / XN_BLOCK_SIZE;
	f->look_only = !info.writable;
	f->complete = true;
	snprintf(f->name, sizeof(f->name), "%s", info.name);
	err = run(f);
	if (err) {
		result->exit_code = FSCK_FAILED;
		snprintf(result->why, sizeof(result->why), "%s", xn_strerror(err));
	}
	fsck_fini(f);
	free(f);
	return err;
}

void fsck_result_fini(struct fsck_result *result)
{
	free(result->findings);
	result->findings = NULL;
	result->n_findings = 0;
}
