/* SPDX-License-Identifier: MIT */
/*
 * The problem engine: what was found, who decides about it, and the only way by
 * which a LibFS's checker touches the disk.
 *
 *  (1) Reads and writes of a checker stay inside what its root owns.
 *  (2) In CHECK_LOOK nothing is ever granted and nothing ever written.
 *  (3) Sentences are cleaned of control characters before anybody sees them:
 *      names on a disk are not commands to a terminal.
 *  (4) An answer that cannot be had (end of input, garbage) is no.
 */
#include "libfs/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "xn/bdev.h"

#define BLOCK       4096u
#define SECTOR      512u
#define ANSWERS_MAX 5 /* attempts at an answer before it counts as no */

struct check {
	struct bdev *dev;
	struct check_opts opts;
	char device[256];
	uint64_t device_blocks;

	unsigned pass;
	int percent; /* last one shown; -1 = none */

	const char *root_name; /* "" outside of roots */
	uint64_t root_object;
	const uint8_t *owned;
	uint64_t owned_blocks; /* bits in `owned` */
	struct check_rescue rescue;

	struct check_finding *findings;
	size_t n_findings, cap_findings;
	size_t found, left;
	bool last_granted; /* the newest problem was granted and has not failed */
	bool rewalk;
	bool rerun;      /* what was found and left before is not news */
	bool answer_all; /* the person said: yes to everything */
	bool answer_end; /* there will be no more answers */
	volatile sig_atomic_t cancelled;
};

int check_create(struct bdev *dev, const struct check_opts *opts, struct check **out)
{
	struct check *check = calloc(1, sizeof(*check));
	struct bdev_info info;

	if (!check)
		return -ENOMEM;
	bdev_info(dev, &info);
	check->dev = dev;
	check->opts = *opts;
	memcpy(check->device, info.name, sizeof(check->device));
	check->device[sizeof(check->device) - 1] = '\0';
	check->device_blocks = info.size / BLOCK;
	check->percent = -1;
	check->root_name = "";
	*out = check;
	return 0;
}

void check_use_device(struct check *check, struct bdev *dev)
{
	check->dev = dev;
}

void check_destroy(struct check *check)
{
	if (!check)
		return;
	free(check->findings);
	free(check);
}

/* ---- the root being looked at ---- */

void check_set_root(struct check *check, const char *name, uint64_t object,
		    const uint8_t *owned_bitmap, uint64_t block_count)
{
	check->root_name = name ? name : "";
	check->root_object = object;
	check->owned = owned_bitmap;
	check->owned_blocks = owned_bitmap ? block_count : 0;
	memset(&check->rescue, 0, sizeof(check->rescue));
}

void check_set_rescue(struct check *check, const struct check_rescue *rescue)
{
	check->rescue = *rescue;
}

uint64_t check_root_object(const struct check *check)
{
	return check->root_object;
}

bool check_owns(const struct check *check, uint64_t block)
{
	return block < check->owned_blocks && (check->owned[block / 8] >> (block % 8) & 1);
}

static bool owns_all(const struct check *check, uint64_t block, uint32_t count)
{
	if (count == 0 || block >= check->device_blocks || count > check->device_blocks - block)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!check_owns(check, block + i))
			return false;
	return true;
}

int check_read(struct check *check, uint64_t block, uint32_t count, void *buffer)
{
	if (check_cancelled(check))
		return -EINTR;
	if (!owns_all(check, block, count))
		return -ERANGE;
	return bdev_read(check->dev, block * BLOCK, buffer, (size_t)count * BLOCK) ? -EIO : 0;
}

unsigned check_salvage_block(struct bdev *dev, uint64_t block, uint8_t fill, void *buffer)
{
	unsigned lost = 0;

	if (bdev_read(dev, block * BLOCK, buffer, BLOCK) == 0)
		return 0;
	for (size_t at = 0; at < BLOCK; at += SECTOR) {
		if (bdev_read(dev, block * BLOCK + at, (uint8_t *)buffer + at, SECTOR) == 0)
			continue;
		memset((uint8_t *)buffer + at, fill, SECTOR);
		lost++;
	}
	return lost;
}

int check_salvage(struct check *check, uint64_t block, void *buffer)
{
	if (check_cancelled(check))
		return -EINTR;
	if (!owns_all(check, block, 1))
		return -ERANGE;
	return (int)check_salvage_block(check->dev, block, 0, buffer);
}

int check_write(struct check *check, uint64_t block, uint32_t count, const void *bytes)
{
	int err = 0;

	if (check->opts.mode == CHECK_LOOK)
		err = -EROFS;
	else if (check_cancelled(check))
		err = -EINTR;
	else if (!owns_all(check, block, count))
		err = -ERANGE;
	else if (bdev_write(check->dev, block * BLOCK, bytes, (size_t)count * BLOCK, 0))
		err = -EIO;
	if (err)
		check_repair_failed(check);
	return err;
}

/* ---- what was lost ---- */

bool check_was_mended(const struct check *check)
{
	return check->rescue.mended;
}

const uint8_t *check_root_uuid(const struct check *check)
{
	return check->rescue.uuid;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

bool check_sector_was_mended(const struct check *check, uint64_t block, uint32_t sector)
{
	uint64_t number = block * (BLOCK / 512) + sector;

	return check->rescue.n_sectors &&
	       bsearch(&number, check->rescue.sectors, check->rescue.n_sectors, sizeof(number),
		       by_number);
}

uint64_t check_epoch(const struct check *check)
{
	return check->rescue.epoch;
}

static bool is_lost(const struct check *check, uint64_t block)
{
	return check->rescue.lost && block < check->owned_blocks &&
	       (check->rescue.lost[block / 8] >> (block % 8) & 1);
}

uint64_t check_lost_next(struct check *check, uint64_t block)
{
	const uint8_t *lost = check->rescue.lost;

	while (lost && block < check->owned_blocks) {
		if (block % 64 == 0 && block + 64 <= check->owned_blocks) {
			uint64_t word;

			memcpy(&word, lost + block / 8, sizeof(word));
			if (!word) {
				block += 64;
				continue;
			}
		}
		if (is_lost(check, block))
			return block;
		block++;
	}
	return UINT64_MAX;
}

int check_read_lost(struct check *check, uint64_t block, void *buffer)
{
	if (check_cancelled(check))
		return -EINTR;
	if (!is_lost(check, block) || block >= check->device_blocks)
		return -ERANGE;
	return bdev_read(check->dev, block * BLOCK, buffer, BLOCK) ? -EIO : 0;
}

void check_adopt(struct check *check, uint64_t block)
{
	if (!is_lost(check, block))
		return;
	check->rescue.lost[block / 8] &= (uint8_t) ~(1u << (block % 8));
	check->rescue.owned[block / 8] |= (uint8_t)(1u << (block % 8));
	check->rewalk = true;
}

int check_allocate(struct check *check, uint64_t *block)
{
	int err;

	if (check->opts.mode == CHECK_LOOK || !check->rescue.allocate)
		return -EROFS;
	err = check->rescue.allocate(check->rescue.arg, block);
	if (err)
		return err;
	check->rescue.owned[*block / 8] |= (uint8_t)(1u << (*block % 8));
	check->rewalk = true;
	return 0;
}

void check_ownership_changed(struct check *check)
{
	check->rewalk = true;
}

bool check_must_rewalk(const struct check *check)
{
	return check->rewalk;
}

void check_rewalked(struct check *check)
{
	check->rewalk = false;
}

/* ---- stopping ---- */

void check_cancel(struct check *check)
{
	check->cancelled = 1;
}

bool check_cancelled(const struct check *check)
{
	return check->cancelled || (check->opts.stop && *check->opts.stop);
}

/* ---- progress ---- */

void check_set_pass(struct check *check, unsigned pass, const char *title)
{
	check->pass = pass;
	check->percent = -1;
	if (title && check->opts.out)
		fprintf(check->opts.out, "Pass %u: %s\n", pass, title);
}

/* A counter that is written over itself; gone when the pass is done. */
static void counter_show(const struct check *check, int percent)
{
	if (!check->opts.out)
		return;
	fprintf(check->opts.out, percent < 100 ? "\r%u: %d%% \r" : "\r       \r", check->pass,
		percent);
	fflush(check->opts.out);
}

/* One line per hundredth of a pass, so that a slow reader costs nothing. */
void check_progress(struct check *check, uint64_t done, uint64_t total)
{
	int percent;

	if (check->opts.progress_fd < 0)
		return;
	if (done > total)
		done = total;
	percent = total == 0 ? 100 : (int)((double)done * 100.0 / (double)total);
	if (percent == check->percent)
		return;
	check->percent = percent;
	if (check->opts.progress_fd == 0) {
		counter_show(check, percent);
		return;
	}
	dprintf(check->opts.progress_fd, "%u %llu %llu %s\n", check->pass, (unsigned long long)done,
		(unsigned long long)total, check->device);
}

/* ---- problems ---- */

static void clean_text(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static bool is_line_of(const char *line, const char *word)
{
	size_t len = strcspn(line, "\r\n");

	return len == strlen(word) && strncmp(line, word, len) == 0;
}

/* Ask a person.  yes, no, all (yes to this and everything after it), quit. */
static bool ask_person(struct check *check, const char *question)
{
	char line[64];

	for (int i = 0; i < ANSWERS_MAX && check->opts.in; i++) {
		if (check->opts.out) {
			fprintf(check->opts.out, "%s (y/n/a/q) ", question);
			fflush(check->opts.out);
		}
		if (!fgets(line, sizeof(line), check->opts.in))
			break;
		if (is_line_of(line, "y") || is_line_of(line, "yes"))
			return true;
		if (is_line_of(line, "n") || is_line_of(line, "no") || is_line_of(line, ""))
			return false;
		if (is_line_of(line, "a") || is_line_of(line, "all"))
			return check->answer_all = true;
		if (is_line_of(line, "q") || is_line_of(line, "quit")) {
			check->cancelled = 1;
			return false;
		}
	}
	check->answer_end = true;
	return false;
}

static bool decide(struct check *check, const struct check_problem_row *row)
{
	if (row->safety == CHECK_REPORT_ONLY || check_cancelled(check))
		return false;
	switch (check->opts.mode) {
	case CHECK_LOOK: return false;
	case CHECK_PREEN: return row->safety == CHECK_SAFE;
	case CHECK_YES: return true;
	case CHECK_ASK:
		if (check->answer_all)
			return true;
		return !check->answer_end && ask_person(check, row->question);
	}
	return false;
}

static void say_problem(const struct check *check, const char *text)
{
	if (!check->opts.out)
		return;
	if (*check->root_name)
		fprintf(check->opts.out, "[%s] ", check->root_name);
	fprintf(check->opts.out, "%s", text);
	if (check->opts.verbose)
		fprintf(check->opts.out, " <%s>", check->findings[check->n_findings - 1].row->code);
	fputs(check->opts.mode == CHECK_ASK ? "  " : "", check->opts.out);
}

static void say_decision(const struct check *check, const struct check_problem_row *row, bool yes)
{
	FILE *out = check->opts.out;

	if (!out)
		return;
	if (row->safety == CHECK_REPORT_ONLY)
		fputs("\n", out);
	else if (check->opts.mode == CHECK_PREEN)
		fputs(yes ? "  FIXED.\n" : "\n", out);
	else if (check->opts.mode != CHECK_ASK || check->answer_all || check->answer_end)
		fprintf(out, "  %s %s\n", row->question, yes ? "yes" : "no");
}

/* A place for one more finding; the last one is used again when there are too many. */
static struct check_finding *finding_add(struct check *check)
{
	size_t cap = check->cap_findings ? 2 * check->cap_findings : 8;
	struct check_finding *grown;

	if (check->n_findings == check->cap_findings && cap <= 2 * CHECK_FINDINGS_MAX) {
		grown = realloc(check->findings, cap * sizeof(*grown));
		if (grown) {
			check->findings = grown;
			check->cap_findings = cap;
		}
	}
	if (check->n_findings < check->cap_findings && check->n_findings < CHECK_FINDINGS_MAX)
		check->n_findings++;
	return check->n_findings ? &check->findings[check->n_findings - 1] : NULL;
}

void check_set_rerun(struct check *check, bool rerun)
{
	check->rerun = rerun;
}

static bool is_known(const struct check *check, const struct check_problem_row *row,
		     const char *text)
{
	for (size_t i = 0; i < check->n_findings; i++) {
		const struct check_finding *known = &check->findings[i];

		if (known->row == row && !known->repaired && strcmp(known->text, text) == 0 &&
		    strcmp(known->root, check->root_name) == 0)
			return true;
	}
	return false;
}

bool check_problem(struct check *check, const struct check_problem_row *row, ...)
{
	char text[sizeof(check->findings->text)];
	struct check_finding *finding;
	bool granted;
	va_list args;

	va_start(args, row);
	vsnprintf(text, sizeof(text), row->sentence, args);
	va_end(args);
	clean_text(text);
	check->last_granted = false;
	if (check->rerun && is_known(check, row, text))
		return false;
	check->found++;
	check->left++;
	finding = finding_add(check);
	if (!finding)
		return false; /* no memory to remember it: count it, leave it */
	memset(finding, 0, sizeof(*finding));
	finding->row = row;
	snprintf(finding->root, sizeof(finding->root), "%s", check->root_name);
	memcpy(finding->text, text, sizeof(text));

	say_problem(check, finding->text);
	granted = decide(check, row);
	say_decision(check, row, granted);
	if (granted) {
		check->left--;
		check->last_granted = true;
		finding->repaired = true;
	}
	return granted;
}

static void say_failed(const struct check *check)
{
	if (check->opts.out)
		fprintf(check->opts.out, "The repair failed.\n");
}

void check_repair_failed(struct check *check)
{
	if (!check->last_granted)
		return;
	check->last_granted = false;
	check->left++;
	check->findings[check->n_findings - 1].repaired = false;
	say_failed(check);
}

void check_finding_failed(struct check *check, size_t index)
{
	if (index >= check->n_findings || !check->findings[index].repaired)
		return;
	check->findings[index].repaired = false;
	check->left++;
}

void check_repairs_failed(struct check *check, size_t since)
{
	check->last_granted = false;
	for (size_t i = since; i < check->n_findings; i++) {
		if (!check->findings[i].repaired)
			continue;
		check->findings[i].repaired = false;
		check->left++;
		say_failed(check);
	}
}

void check_look_only(struct check *check)
{
	check->opts.mode = CHECK_LOOK;
}

size_t check_finding_count(const struct check *check)
{
	return check->n_findings;
}

const struct check_finding *check_finding(const struct check *check, size_t index)
{
	return index < check->n_findings ? &check->findings[index] : NULL;
}

size_t check_found_count(const struct check *check)
{
	return check->found;
}

size_t check_left_count(const struct check *check)
{
	return check->left;
}
