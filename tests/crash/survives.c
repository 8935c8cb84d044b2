/* SPDX-License-Identifier: MIT */
/*
 * What survives a crash?  For each operation, and each way to make it durable, what the explorer saw
 * in all states that a power cut could leave: as a table of Markdown.
 *
 *	crash_survives LIBFS...
 *
 *  (1) A cell is an observation and no promise: "stays" when no state was without it.
 *  (2) Before an operation everything is synced.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explorer.h"
#include "look.h"

enum asking { NOTHING, FDATASYNC, FSYNC, FSYNC_DIR, SYNC, ASKINGS };

struct row {
	const char *name, *before, *operation;
	const char *it, *dir; /* for fsync; NULL: it has no name any more */
	bool bytes;           /* fdatasync is about it */
};

static const struct row rows[] = {
	{ "create a file", "mkdir A", "creat A/f", "A/f", "A", false },
	{ "make a directory", "mkdir A", "mkdir A/d", "A/d", "A", false },
	{ "make a symbolic link", "mkdir A", "symlink far A/s", "A/s", "A", false },
	{ "make a FIFO", "mkdir A", "mknod A/p", "A/p", "A", false },
	{ "link, in the same directory", "mkdir A; creat A/f; append A/f 5000", "link A/f A/g",
	  "A/g", "A", false },
	{ "link, into another", "mkdir A; mkdir B; creat A/f; append A/f 5000", "link A/f B/g",
	  "B/g", "B", false },
	{ "unlink", "mkdir A; creat A/f; append A/f 5000", "unlink A/f", NULL, "A", false },
	{ "remove a directory", "mkdir A; mkdir A/d", "rmdir A/d", NULL, "A", false },
	{ "rename, in the same directory", "mkdir A; creat A/f; append A/f 5000", "rename A/f A/g",
	  "A/g", "A", false },
	{ "rename, into another", "mkdir A; mkdir B; creat A/f; append A/f 5000", "rename A/f B/g",
	  "B/g", "B", false },
	{ "rename over a file", "mkdir A; creat A/f; append A/f 5000; creat A/g; append A/g 300",
	  "rename A/f A/g", "A/g", "A", false },
	{ "rename a directory into another", "mkdir A; mkdir B; mkdir A/d; creat A/d/f",
	  "rename A/d B/d", "B/d", "B", false },
	{ "append 100 bytes to an empty file", "mkdir A; creat A/f", "append A/f 100", "A/f", "A",
	  true },
	{ "append 20,000 bytes", "mkdir A; creat A/f; append A/f 5000", "append A/f 20000", "A/f",
	  "A", true },
	{ "overwrite 512 bytes, one sector", "mkdir A; creat A/f; append A/f 20000",
	  "write A/f 4096 512", "A/f", "A", true },
	{ "overwrite 16,384 bytes", "mkdir A; creat A/f; append A/f 20000", "write A/f 0 16384",
	  "A/f", "A", true },
	{ "truncate to nothing", "mkdir A; creat A/f; append A/f 20000", "trunc A/f 0", "A/f", "A",
	  true },
	{ "truncate inside a block", "mkdir A; creat A/f; append A/f 20000", "trunc A/f 5000",
	  "A/f", "A", true },
	{ "grow by truncate", "mkdir A; creat A/f; append A/f 5000", "trunc A/f 20000", "A/f", "A",
	  true },
	{ "punch a hole", "mkdir A; creat A/f; append A/f 20000", "falloc A/f punch 4096 8192",
	  "A/f", "A", true },
	{ "allocate, and grow", "mkdir A; creat A/f; append A/f 5000", "falloc A/f plain 5000 8192",
	  "A/f", "A", true },
	{ "change the mode", "mkdir A; creat A/f", "chmod A/f 600", "A/f", "A", false },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- looking ---- */

struct seen {
	unsigned from;           /* states where that operation had ended; 0: all */
	uint64_t old, new;       /* pictures; 0: not known yet */
	uint64_t last;           /* the last one seen */
	bool was_old, was_other; /* some state was as before; was neither */
	uint64_t n;
};

static void see(void *arg, const struct look *look, unsigned ended, unsigned begun)
{
	struct seen *seen = arg;

	(void)begun;
	if (ended < seen->from)
		return;
	seen->n++;
	seen->last = look->hash;
	seen->was_old |= look->hash == seen->old;
	seen->was_other |= look->hash != seen->old && look->hash != seen->new;
}

static unsigned count_operations(const char *text)
{
	unsigned n = 1;

	while ((text = strchr(text, ';'))) {
		text++;
		n++;
	}
	return n;
}

/* false: the LibFS does not have it. */
static bool explore(const char *libfs, const char *text, struct seen *seen)
{
	struct explorer_opts opts = { .libfs = libfs,
				      .n_roots = 1,
				      .states = EXPLORER_STATES,
				      .report = stderr,
				      .see = see,
				      .arg = seen };
	struct explorer *e = explorer_new(&opts);
	const struct explorer_totals *totals = explorer_totals(e);
	bool has;

	if (explorer_run(e, "survives", text))
		exit(1);
	has = totals->unsupported == 0;
	explorer_free(e);
	if (has && seen->n == 0) {
		fprintf(stderr, "no state was seen of: %s\n", text);
		exit(1);
	}
	return has;
}

/* What it looks like when all of it is durable. */
static bool picture(const char *libfs, const char *text, uint64_t *hash)
{
	struct seen seen = { .from = count_operations(text) };
	bool has = explore(libfs, text, &seen);

	*hash = seen.last;
	return has;
}

/* ---- cells ---- */

static const char *asked(const struct row *row, enum asking how, char text[64])
{
	switch (how) {
	case FDATASYNC:
		if (!row->bytes)
			return NULL;
		snprintf(text, 64, "; fdatasync %s", row->it);
		return text;
	case FSYNC:
		if (!row->it)
			return NULL;
		snprintf(text, 64, "; fsync %s", row->it);
		return text;
	case FSYNC_DIR: snprintf(text, 64, "; fsync %s", row->dir); return text;
	case SYNC: return "; sync";
	default: return "";
	}
}

static void cells_print(const char *libfs, const struct row *row, uint64_t old, uint64_t new)
{
	struct seen seen[ASKINGS];
	struct seen all = { .old = old, .new = new, .from = count_operations(row->before) + 1 };
	char text[512], ask[64];

	for (enum asking how = NOTHING; how < ASKINGS; how++) {
		const char *words = asked(row, how, ask);

		seen[how] = (struct seen){ .old = old, .new = new };
		snprintf(text, sizeof(text), "%s; sync; %s%s", row->before, row->operation,
			 words ? words : "");
		/* Not the operation itself: what was asked for must have come back. */
		seen[how].from = count_operations(text);
		if (words)
			explore(libfs, text, &seen[how]);
	}
	/* States in the middle of it count for whether it is whole. */
	snprintf(text, sizeof(text), "%s; sync; %s; sync", row->before, row->operation);
	explore(libfs, text, &all);
	printf("| %s | %s |", row->name, all.was_other ? "in parts" : "whole");
	for (enum asking how = NOTHING; how < ASKINGS; how++) {
		const struct seen *s = &seen[how];

		printf(" %s |", !asked(row, how, ask) ? "\u2013"
				: s->was_old          ? "may be lost"
				: s->was_other        ? "a part may be lost"
						      : "stays");
	}
	putchar('\n');
}

static void row_print(const char *libfs, const struct row *row)
{
	char text[512];
	uint64_t old, new;

	snprintf(text, sizeof(text), "%s; sync", row->before);
	picture(libfs, text, &old);
	snprintf(text, sizeof(text), "%s; sync; %s; sync", row->before, row->operation);
	if (picture(libfs, text, &new))
		cells_print(libfs, row, old, new);
	else
		printf("| %s | it does not have this | | | | | |\n", row->name);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	printf("# What survives a crash\n\n"
	       "Made by the crash explorer (`tests/crash/survives.sh`) from what it saw in every "
	       "disk "
	       "that a power\ncut could leave: not what is promised, which is less. Everything "
	       "before "
	       "the operation had been\nsynced. *Whole*: in no state was it half done. Then: is it "
	       "there "
	       "once the call has returned and\nnothing more was asked for; once `fdatasync` or "
	       "`fsync` "
	       "of it has; `fsync` of the directory with its\nname; `sync`?\n");
	for (int i = 1; i < argc; i++) {
		printf("\n## %s\n\n"
		       "| operation | | nothing asked | fdatasync | fsync | fsync of its directory "
		       "| sync "
		       "|\n|---|---|---|---|---|---|---|\n",
		       argv[i]);
		for (size_t k = 0; k < ROWS; k++)
			row_print(argv[i], &rows[k]);
	}
	return 0;
}
