/* SPDX-License-Identifier: MIT */
/*
 * Every problem of fsck in one table.  Codes are stable: scripts and tests name
 * them.  Nothing is repaired outside a row; a row whose repair this version does
 * not know is CHECK_REPORT_ONLY.  What only the LibFS of the root could repair is
 * reported so when there is none (`helpless`).
 */
#include "problems.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fsck/fsck.h"

struct problem {
	struct check_problem_row row;      /* its sentence prints what `text` became */
	struct check_problem_row helpless; /* the same without a question */
	const char *text;
	bool trace;
};

#define ROW(id, code, text, question, safety, trace)           \
	[id] = { { code, "%s", question, safety, false },      \
		 { code, "%s", "", CHECK_REPORT_ONLY, false }, \
		 text,                                         \
		 trace }
#define SAFE   CHECK_SAFE
#define LOSSY  CHECK_LOSSY
#define REPORT CHECK_REPORT_ONLY

static const struct problem problems[FSCK_PROBLEM_COUNT] = {
	/* Another copy is whole; the disk is then checked as after a crash. */
	ROW(SUPER_PRIMARY_DAMAGED, "super/primary-damaged",
	    "superblock is damaged; the copy at block %b is whole", "Restore it from there?", SAFE,
	    false),
	ROW(SUPER_COPY_DAMAGED, "super/copy-damaged",
	    "copy of the superblock at block %b is damaged or of another disk", "Rewrite it?", SAFE,
	    false),
	/* Copies are written one after the other; the newest valid one counts. */
	ROW(SUPER_COPY_OLD, "super/copy-old",
	    "superblock at block %b is older than the one at block %o", "Rewrite it?", SAFE, true),
	ROW(SUPER_TRUNCATED, "super/truncated",
	    "disk should have %n blocks and has %o: it was cut off; only looking", "", REPORT,
	    false),
	ROW(SUPER_FREE_COUNT, "super/free-count", "superblock counts %o free blocks, there are %n",
	    "Correct it?", SAFE, false),

	ROW(LOG_TAIL_DAMAGED, "log/tail-damaged",
	    "tail of the intent log in block %b is damaged; the other one is whole",
	    "Restore it from there?", SAFE, false),
	ROW(LOG_LOST, "log/lost",
	    "intent log at block %b cannot be read: what it held and was not in its place yet is "
	    "lost",
	    "Empty it?", LOSSY, false),

	ROW(LOG_UNREADABLE, "log/unreadable",
	    "%n sectors of the intent log at block %b cannot be read; the disk was closed "
	    "cleanly, so nothing in it is needed",
	    "Write zeroes there?", SAFE, false),

	ROW(CAT_SECTOR_DAMAGED, "catalogue/sector-damaged",
	    "sector %n of block %b of the catalogue of %s is damaged; its twin in block %o is "
	    "whole",
	    "Restore it from there?", SAFE, false),
	/* A catalogue sector is written twice, one after the other. */
	ROW(CAT_SECTOR_OLD, "catalogue/sector-old",
	    "sector %n of block %b of the catalogue of %s is older than its twin in block %o",
	    "Bring it up to date?", SAFE, true),
	ROW(CAT_LINK_LOST, "catalogue/link-lost",
	    "catalogue of %s is lost from block %b on: neither it nor its twin in block %o is "
	    "whole",
	    "", REPORT, false),
	ROW(CAT_ENTRY_LOST, "catalogue/entry-lost",
	    "entry %n of the catalogue of %s is lost: neither block %b nor %o has it whole", "",
	    REPORT, false),
	ROW(CAT_ENTRY_IDLE, "catalogue/entry-idle",
	    "entry %n of the catalogue of %s is lost: neither block %b nor %o has it whole; but %t",
	    "Give it up?", LOSSY, false),
	ROW(CAT_TEMPLATE_KNOWN, "catalogue/template-known",
	    "entry %n of the catalogue of %s is lost: neither block %b nor %o has it whole; by "
	    "those around it, it was %t",
	    "Write it anew?", SAFE, false),
	ROW(CAT_ALLOWANCE_LOST, "catalogue/allowance-lost",
	    "entry %n of the catalogue of %s is lost: neither block %b nor %o has it whole; what "
	    "some user is allowed is not known",
	    "Let that be what is usual?", LOSSY, false),
	ROW(CAT_BLOCK_SHARED, "catalogue/block-shared",
	    "block %b of the catalogue of %s is also used for something else", "", REPORT, false),

	ROW(TEMPLATE_IMAGE_SHARED, "template/image-shared",
	    "image of template %n (%s) at block %b lies on something else", "", REPORT, false),
	/* The program may have the very same image: that with the recorded SHA-256. */
	ROW(TEMPLATE_IMAGE_UNREADABLE, "template/unreadable",
	    "image of template %n (%s) at block %b cannot be read", "Write it anew?", SAFE, false),
	ROW(TEMPLATE_HASH, "template/hash",
	    "image of template %n (%s) at block %b is not what was installed", "Write it anew?",
	    SAFE, false),
	ROW(TEMPLATE_REFUSED, "template/refused", "template %n (%s) is refused: %t", "", REPORT,
	    false),
	ROW(TEMPLATE_NAME, "template/name",
	    "template %n is called %s in the catalogue and %t in its image", "", REPORT, false),
	ROW(TEMPLATE_CHILD, "template/child",
	    "template %n (%s) names type %o as a child, which is not there", "", REPORT, false),
	ROW(TEMPLATE_BATCH, "template/batch",
	    "templates installed together with %n (%s), from %o on, are not all there", "", REPORT,
	    false),

	ROW(ROOT_TYPE, "root/type", "root %s has type %n, which is not there", "", REPORT, false),
	ROW(ROOT_NAME_TWICE, "root/name-twice", "roots %n and %o are both called %s",
	    "Rename the second?", LOSSY, false),
	ROW(ROOT_USED, "root/used", "root %s is charged for %o blocks and uses %n", "Correct it?",
	    SAFE, false),
	ROW(PRINCIPAL_TWICE, "principal/twice", "user %n has more than one allowance", "", REPORT,
	    false),

	ROW(OBJECT_UNREADABLE, "object/unreadable",
	    "%n sectors of the object at block %b (%s) cannot be read",
	    "Keep the others, or cut it off?", LOSSY, false),
	ROW(OBJECT_DAMAGED, "object/damaged",
	    "object at block %b is no sound %s: its check says %n", "Keep what makes sense?", LOSSY,
	    false),
	ROW(OBJECT_DOUBTED, "object/doubted", "object at block %b makes no sense as a %s",
	    "Keep what makes sense?", LOSSY, false),
	ROW(OBJECT_CHECK_FAULT, "object/check-fault",
	    "check of the object at block %b (%s) faulted: %t", "Keep what makes sense?", LOSSY,
	    false),
	ROW(OBJECT_OWNS_FAULT, "object/owns-fault",
	    "what the object at block %b (%s) owns is not known: %t", "Keep what makes sense?",
	    LOSSY, false),
	ROW(OBJECT_MISCOUNTED, "object/miscounted",
	    "object at block %b (%s) says it has %t owners, there are %n", "", REPORT, false),

	ROW(EXTENT_OUTSIDE, "extent/outside",
	    "object at block %o (%s) names %n blocks from %b on, which lie outside the disk",
	    "Cut them off?", LOSSY, false),
	ROW(EXTENT_XN_OWN, "extent/xn-own",
	    "object at block %o (%s) names %n blocks from %b on, some of which are XN's own",
	    "Cut them off?", LOSSY, false),
	ROW(EXTENT_OWNED_TWICE, "extent/owned-twice",
	    "object at block %o (%s) names %n blocks from %b on, some of which have another "
	    "owner%t",
	    "Give it a copy?", LOSSY, false),
	/* A copy would show somebody's bytes to another; objects have one owner. */
	ROW(EXTENT_ANOTHERS, "extent/anothers",
	    "object at block %o (%s) names %n blocks from %b on, some of which are another's%t",
	    "Cut them off?", LOSSY, false),
	/* A sector that was damaged is no proof of what it names. */
	ROW(EXTENT_DOUBTED, "extent/doubted",
	    "object at block %o (%s) was damaged and names %n blocks from %b on, which %t",
	    "Cut them off?", LOSSY, false),
	ROW(EXTENT_STALE, "extent/stale",
	    "object at block %o (%s) was damaged and names %n blocks from %b on, some of which "
	    "count as free",
	    "Fill those with zeroes?", LOSSY, false),
	ROW(EXTENT_TYPE, "extent/type",
	    "object at block %o (%s) names block %b with type %n, which is not there", "", REPORT,
	    false),
	ROW(EXTENT_MISFIT, "extent/misfit",
	    "object at block %o (%s) names %n blocks from %b on, no whole number of %t objects",
	    "Cut them off?", LOSSY, false),

	ROW(MAP_UNREADABLE, "map/unreadable",
	    "%n sectors of the free map at block %b cannot be read", "Rebuild them?", SAFE, false),
	ROW(MAP_SECTOR_DAMAGED, "map/sector-damaged",
	    "%n sectors of the free map at block %b are damaged", "Rebuild them?", SAFE, false),
	/* The map on disk says "in use" before a block is named and after it no longer is. */
	ROW(MAP_LEAK, "map/leak", "%n blocks in use belong to nobody, the first is %b",
	    "Free them?", SAFE, true),
	ROW(MAP_LEAK_CLEAN, "map/leak-clean",
	    "%n blocks in use belong to nobody, the first is %b, on a disk that was closed cleanly",
	    "Free them?", SAFE, false),
	ROW(MAP_LEAK_KEPT, "map/leak-kept",
	    "%n blocks in use seem to belong to nobody, the first is %b; kept, as not everything "
	    "could be read",
	    "", REPORT, false),
	ROW(MAP_FREE_BUT_OWNED, "map/free-but-owned",
	    "%n blocks with an owner count as free, the first is %b", "Mark them in use?", LOSSY,
	    false),
	ROW(MAP_BEYOND_HIGH_WATER, "map/beyond-high-water",
	    "blocks from %b on have an owner and lie where the disk was never used",
	    "Raise the mark?", LOSSY, false),

	ROW(LIBFS_FAILED, "libfs/failed", "checker of %s could not finish: %t", "", REPORT, false),
};

const struct check_problem_row *fsck_problem_row(size_t index)
{
	return index < FSCK_PROBLEM_COUNT ? &problems[index].row : NULL;
}

bool fsck_is_trace(const struct check_problem_row *row)
{
	for (size_t i = 0; i < FSCK_PROBLEM_COUNT; i++)
		if (&problems[i].row == row || &problems[i].helpless == row)
			return problems[i].trace;
	return row->safety == CHECK_SAFE;
}

/* What %x of a sentence stands for; `digits` holds a number. */
static const char *note_word(const struct fsck_note *note, char letter, char digits[24])
{
	uint64_t number = letter == 'b' ? note->block : letter == 'o' ? note->other : note->count;

	if (letter == 's')
		return note->name ? note->name : "?";
	if (letter == 't')
		return note->what ? note->what : "";
	snprintf(digits, 24, "%" PRIu64, number);
	return digits;
}

bool fsck_found(struct check *check, enum fsck_problem_id id, const struct fsck_note *note)
{
	char text[256], digits[24];
	size_t len = 0;

	for (const char *p = problems[id].text; *p && len < sizeof(text) - 1; p++) {
		if (*p != '%') {
			text[len++] = *p;
			continue;
		}
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
					note_word(note, *++p, digits));
		if (len > sizeof(text) - 1)
			len = sizeof(text) - 1;
	}
	text[len] = '\0';
	return check_problem(check, note->helpless ? &problems[id].helpless : &problems[id].row,
			     text);
}
