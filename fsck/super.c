/* SPDX-License-Identifier: MIT */
/*
 * The superblock and its copies.
 *
 *  (1) Of the valid superblocks of one disk (same uuid), the one with the highest
 *      generation counts; among equals the one at block 0.
 *  (2) Before the first repair the superblock on disk says "in use"; it says
 *      "clean" again only after a flush of everything else, and only when no
 *      problem is left.
 *  (3) Superblocks are written one after the other with a flush between the
 *      first and the others, so that one valid copy exists at every instant.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "xn/log_format.h"

struct candidate {
	uint64_t block;
	int err; /* of decoding; -EIO when it cannot be read */
	struct xn_super super;
};

static void candidate_read(struct fsck *f, uint64_t block, struct candidate *found)
{
	struct xn_super_disk disk;

	memset(found, 0, sizeof(*found));
	found->block = block;
	found->err = -EIO;
	if (block < f->dev_blocks &&
	    bdev_read(f->dev, block * XN_BLOCK_SIZE, &disk, sizeof(disk)) == 0)
		found->err = xn_super_decode(&disk, &found->super);
}

/* Does one of the two copies of a catalogue begin where the superblock says? */
static bool catalogue_is_there(struct fsck *f, const struct xn_super *super, unsigned kind)
{
	uint64_t blocks[2] = { super->catalogue[kind], super->twin[kind] };
	uint8_t sector[XN_SECTOR_SIZE];
	struct xn_cat_link link;

	for (unsigned i = 0; i < 2; i++)
		if (blocks[i] < f->dev_blocks &&
		    bdev_read(f->dev, blocks[i] * XN_BLOCK_SIZE, sector, sizeof(sector)) == 0 &&
		    xn_cat_link_decode(super, sector, &link) == 0 && link.kind == kind &&
		    link.index == 0 && link.self == blocks[0] && link.twin == blocks[1])
			return true;
	return false;
}

static bool log_is_there(struct fsck *f, const struct xn_super *super)
{
	uint64_t first = super->log_start * XN_BLOCK_SIZE;
	uint64_t last = first + (super->log_blocks * XN_BLOCK_SECTORS - 1) * XN_SECTOR_SIZE;
	uint64_t at[2] = { first, last };
	uint8_t sector[XN_SECTOR_SIZE];
	struct xn_log_tail tail;
	unsigned n = 0;

	if (xn_log_sectors(super) < XN_LOG_SECTORS_MIN)
		return false;
	for (unsigned i = 0; i < 2; i++)
		n += at[i] / XN_BLOCK_SIZE < f->dev_blocks &&
		     bdev_read(f->dev, at[i], sector, sizeof(sector)) == 0 &&
		     xn_log_tail_decode(super, sector, &tail) == 0;
	return n == 2;
}

/* How much of what it says of places is true? */
static unsigned geometry_score(struct fsck *f, const struct xn_super *super)
{
	unsigned score = log_is_there(f, super);

	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++)
		score += catalogue_is_there(f, super, kind);
	return score;
}

static bool same_geometry(const struct xn_super *a, const struct xn_super *b)
{
	return a->log_start == b->log_start && a->log_blocks == b->log_blocks &&
	       memcmp(a->catalogue, b->catalogue, sizeof(a->catalogue)) == 0 &&
	       memcmp(a->twin, b->twin, sizeof(a->twin)) == 0;
}

/* Does a superblock belong where it was found? */
static bool candidate_fits(const struct candidate *found)
{
	uint64_t places[3];
	unsigned n;

	if (found->err)
		return false;
	n = xn_super_places(found->super.block_count, places);
	for (unsigned i = 0; i < n; i++)
		if (places[i] == found->block)
			return true;
	return false;
}

static int give_up(struct fsck *f, const char *why)
{
	snprintf(f->result->why, sizeof(f->result->why), "%s", why);
	return 1;
}

/* The superblock at block 0 is of no use: the newest that the size of the device leads to. */
static int super_search(struct fsck *f, const struct candidate *primary, struct candidate *best)
{
	bool any_damaged = primary->err == XN_EDAMAGED || primary->err == -EIO;
	uint64_t places[3];
	unsigned n;

	if (f->dev_blocks < XN_BLOCKS_MIN)
		return give_up(f, primary->err == XN_EFOREIGN ? "not an XN disk"
							      : "too small to be an XN disk");
	n = xn_super_places(f->dev_blocks, places);
	best->err = XN_EFOREIGN;
	for (unsigned i = 1; i < n; i++) {
		struct candidate found;

		candidate_read(f, places[i], &found);
		any_damaged |= found.err == XN_EDAMAGED;
		if (candidate_fits(&found) &&
		    (best->err || found.super.generation > best->super.generation))
			*best = found;
	}
	if (best->err == 0)
		return 0;
	return give_up(f, any_damaged ? "no superblock is whole, nor any copy of it"
				      : "not an XN disk");
}

static void look_only(struct fsck *f)
{
	f->look_only = true;
	check_look_only(f->check);
}

/* Before anything is asked about it: a disk that was cut off, or knows more than we, is not written. */
static void super_take(struct fsck *f, const struct xn_super *super)
{
	f->super = *super;
	f->first_state = super->state;
	f->limit = super->block_count < f->dev_blocks ? super->block_count : f->dev_blocks;
	f->result->was_clean = super->state == XN_STATE_CLEAN && super->flags == 0;
	f->result->block_count = super->block_count;
	memcpy(f->result->label, super->label, sizeof(f->result->label));
	memcpy(f->result->uuid, super->uuid, sizeof(f->result->uuid));
	if (*super->label)
		snprintf(f->name, sizeof(f->name), "%s", super->label);
	if (super->ro_compat || f->dev_blocks < super->block_count)
		look_only(f);
}

/*
 * A disk never opened may have been cut off from power while it was formatted:
 * what lies in the place of a copy is then what was there before.
 */
static bool never_written(const struct fsck *f, const struct candidate *found)
{
	return f->super.mount_epoch == 0 && (found->err == XN_EFOREIGN || found->err == 0);
}

/*
 * Whole and wrong: places never change, so of superblocks that disagree about them, one
 * that leads to the catalogues and the log is believed rather than one that does not.
 */
static void weigh_copies(struct fsck *f, struct candidate *primary)
{
	uint64_t places[3];
	unsigned n;

	if (primary->err || f->dev_blocks < primary->super.block_count)
		return;
	n = xn_super_places(primary->super.block_count, places);
	for (unsigned i = 1; i < n; i++) {
		struct candidate copy;

		candidate_read(f, places[i], &copy);
		if (!candidate_fits(&copy) || same_geometry(&copy.super, &primary->super) ||
		    memcmp(copy.super.uuid, primary->super.uuid, sizeof(copy.super.uuid)) != 0)
			continue;
		if (geometry_score(f, &copy.super) > geometry_score(f, &primary->super))
			primary->err = XN_EDAMAGED;
	}
}

int fsck_super_read(struct fsck *f)
{
	struct candidate primary, best;
	int err;

	candidate_read(f, 0, &primary);
	weigh_copies(f, &primary);
	if (primary.err == XN_EVERSION)
		return give_up(f, xn_strerror(XN_EVERSION));
	best = primary;
	if (primary.err) {
		err = super_search(f, &primary, &best);
		if (err)
			return err;
	}
	if (best.super.ro_compat && f->opts->mode != CHECK_LOOK)
		return give_up(f, "disk has features that this program may only look at; use -n");
	super_take(f, &best.super);
	if (primary.err == 0)
		return 0;

	/* The copy may be older than what was lost: check as after a crash. */
	f->first_state = XN_STATE_INUSE;
	f->result->was_clean = false;
	if (never_written(f, &primary)
		    ? fsck_found(f->check, SUPER_COPY_OLD,
				 &(struct fsck_note){ .block = 0, .other = best.block })
		    : fsck_found(f->check, SUPER_PRIMARY_DAMAGED,
				 &(struct fsck_note){ .block = best.block })) {
		f->super_stale = true;
	} else {
		look_only(f);
	}
	return 0;
}

/* Perhaps of another size: then the crash came while that was changed. */
static bool same_disk(const struct fsck *f, const struct candidate *found)
{
	return candidate_fits(found) &&
	       memcmp(found->super.uuid, f->super.uuid, sizeof(f->super.uuid)) == 0;
}

static void copy_check(struct fsck *f, uint64_t block)
{
	struct fsck_note note = { .block = block, .other = 0 };
	struct candidate found;

	candidate_read(f, block, &found);
	if (same_disk(f, &found) && found.super.generation >= f->super.generation &&
	    found.super.block_count == f->super.block_count)
		return;
	f->super_stale |=
		fsck_found(f->check,
			   same_disk(f, &found) || never_written(f, &found) ? SUPER_COPY_OLD
									    : SUPER_COPY_DAMAGED,
			   &note);
}

/* A copy newer than the superblock that was taken: the crash came between the two. */
static void take_newer_copy(struct fsck *f, const uint64_t *places, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		struct candidate found;

		candidate_read(f, places[i], &found);
		if (!same_disk(f, &found) || found.super.generation <= f->super.generation)
			continue;
		super_take(f, &found.super);
		f->super_stale |= fsck_found(f->check, SUPER_COPY_OLD,
					     &(struct fsck_note){ .block = 0, .other = places[i] });
	}
}

int fsck_super_check_copies(struct fsck *f)
{
	uint64_t places[3];
	unsigned n = xn_super_places(f->super.block_count, places);

	if (f->dev_blocks < f->super.block_count) {
		f->complete = false;
		fsck_found(f->check, SUPER_TRUNCATED,
			   &(struct fsck_note){ .count = f->super.block_count,
						.other = f->dev_blocks });
	}
	if (check_found_count(f->check) == 0)
		take_newer_copy(f, places, n);
	n = xn_super_places(f->super.block_count, places);
	for (unsigned i = 1; i < n; i++)
		if (places[i] < f->dev_blocks)
			copy_check(f, places[i]);
	return 0;
}

/* Nothing leaked and all counters are right: closed cleanly, and no crash before that is pending. */
bool fsck_counts_are_promised(const struct fsck *f)
{
	return f->first_state == XN_STATE_CLEAN && !(f->super.flags & XN_SUPER_RECLAIM);
}

/* ---- writing ---- */

static int64_t now(const struct fsck *f)
{
	struct timespec ts;

	if (f->opts->now_ns)
		return f->opts->now_ns;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int super_write_at(struct fsck *f, uint64_t block)
{
	struct xn_super_disk disk;

	xn_super_encode(&f->super, &disk);
	return fsck_write_raw(f, block * XN_BLOCK_SIZE, &disk, sizeof(disk));
}

int fsck_super_begin(struct fsck *f)
{
	if (f->begun)
		return 0;
	f->super.generation++;
	f->super.mount_epoch++;
	f->super.state = XN_STATE_INUSE;
	f->super.open_time = f->super.write_time = now(f);
	f->super.holder_pid = (uint64_t)getpid();
	memset(f->super.holder_host, 0, sizeof(f->super.holder_host));
	if (gethostname(f->super.holder_host, sizeof(f->super.holder_host) - 1))
		f->super.holder_host[0] = '\0';
	snprintf(f->super.holder_command, sizeof(f->super.holder_command), "xn-fsck");
	if (super_write_at(f, 0) || bdev_flush(f->dev))
		return -EIO;
	f->begun = true;
	return 0;
}

static int super_write_all(struct fsck *f)
{
	uint64_t places[3];
	unsigned n = xn_super_places(f->super.block_count, places);

	f->super.generation++;
	f->super.write_time = now(f);
	f->changed = true;
	if (bdev_flush(f->dev) || super_write_at(f, 0) || bdev_flush(f->dev))
		return -EIO;
	for (unsigned i = 1; i < n; i++)
		if (super_write_at(f, places[i]))
			return -EIO;
	return bdev_flush(f->dev) ? -EIO : 0;
}

static void holder_clear(struct xn_super *super)
{
	super->holder_pid = 0;
	memset(super->holder_host, 0, sizeof(super->holder_host));
	memset(super->holder_command, 0, sizeof(super->holder_command));
}

/*
 * Nothing left: the disk is clean.  Something left: it is what it was, marked as
 * damaged.  Stopped half-way: it is in use, so that whoever opens it recovers.
 * Nothing repaired because a person said no to all: not a byte changes.
 */
int fsck_super_finish(struct fsck *f)
{
	bool left = check_left_count(f->check) > 0;
	bool written = f->begun || f->super_stale;
	uint32_t flags = f->super.flags;

	if (!fsck_may_write(f))
		return 0;
	if (f->stopped || f->opts->root) {
		f->super.state = f->begun ? XN_STATE_INUSE : f->first_state;
	} else if (left) {
		f->super.state = f->first_state;
		if (written || f->opts->mode != CHECK_ASK)
			flags |= XN_SUPER_DAMAGED;
	} else {
		f->super.state = XN_STATE_CLEAN;
		flags = 0;
	}
	if (!written && f->super.state == f->first_state && f->super.flags == flags)
		return 0;
	f->super.flags = flags;
	if (f->super.state == XN_STATE_CLEAN)
		holder_clear(&f->super);
	return super_write_all(f);
}

/* ---- where XN's own blocks are ---- */

static bool touches(uint64_t start, uint64_t count, uint64_t other, uint64_t other_count)
{
	return start < other + other_count && other < start + count;
}

bool fsck_super_owns(const struct fsck *f, uint64_t start, uint64_t count)
{
	const struct xn_super *super = &f->super;
	uint64_t places[3], map = xn_map_block(start / XN_CHUNK_BLOCKS);
	unsigned n = xn_super_places(super->block_count, places);

	for (unsigned i = 0; i < n; i++)
		if (touches(start, count, places[i], 1))
			return true;
	if (map < start)
		map += XN_CHUNK_BLOCKS;
	if (touches(start, count, map, 1))
		return true;
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++)
		if (touches(start, count, super->catalogue[kind], 1) ||
		    touches(start, count, super->twin[kind], 1))
			return true;
	return touches(start, count, super->log_start, super->log_blocks);
}
