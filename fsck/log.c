/* SPDX-License-Identifier: MIT */
/*
 * The intent log, carried out before anything else is looked at.
 *
 *  (1) What its records say belongs to the disk: a check that ignored them would
 *      see updates half done that are whole.
 *  (2) Where nothing may be written they are carried out in memory, over the disk.
 *  (3) A log that nobody can read is not guessed at.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "xn/log_format.h"

/* An empty log that no record of any opening belongs to. */
static int tails_write(struct fsck *f)
{
	struct xn_log_tail tail = { 1, 0 };
	uint8_t sector[XN_SECTOR_SIZE];
	uint64_t first = f->super.log_start * XN_BLOCK_SIZE;
	uint64_t last = first + (xn_log_sectors(&f->super) - 1) * XN_SECTOR_SIZE;
	int err;

	xn_log_tail_encode(&f->super, &tail, sector);
	err = fsck_write(f, first, sector, sizeof(sector));
	return err ? err : fsck_write(f, last, sector, sizeof(sector));
}

static int replay(struct fsck *f)
{
	bool look = f->look_only || f->opts->mode == CHECK_LOOK;
	struct xn_log_report report;
	int err = 0;

	if (look && !f->overlay) {
		err = bdev_overlay_create(f->dev, &f->overlay);
		if (!err)
			err = fsck_use_device(f, f->overlay);
	}
	if (!err)
		err = xn_log_replay(f->dev, &f->super, 0, &report);
	if (!err)
		fsck_say(f, "Intent log: %" PRIu64 " record%s carried out%s\n", report.records,
			 report.records == 1 ? "" : "s", look ? ", in memory only" : "");
	return err;
}

/* One tail is enough to read the log by; the other is made like it. */
static int tail_repair(struct fsck *f, const uint8_t *area, size_t len)
{
	const uint8_t *tails[2] = { area, area + len - XN_SECTOR_SIZE };
	uint64_t first = f->super.log_start * XN_BLOCK_SIZE;
	uint64_t at[2] = { first, first + len - XN_SECTOR_SIZE };
	struct xn_log_tail tail[2];
	bool bad[2];

	for (unsigned i = 0; i < 2; i++)
		bad[i] = xn_log_tail_decode(&f->super, tails[i], &tail[i]);
	for (unsigned i = 0; i < 2; i++) {
		if (!bad[i] || bad[1 - i])
			continue;
		if (fsck_found(f->check, LOG_TAIL_DAMAGED,
			       &(struct fsck_note){ .block = at[i] / XN_BLOCK_SIZE }))
			return fsck_write(f, at[i], tails[1 - i], XN_SECTOR_SIZE);
	}
	return 0;
}

/* What cannot be read becomes zeroes on the disk: a sector may get another place by that. */
static int sectors_zero(struct fsck *f, uint8_t *area, size_t len)
{
	uint64_t first = f->super.log_start * XN_BLOCK_SIZE;
	uint8_t sector[XN_SECTOR_SIZE];
	int err = 0;

	for (size_t at = 0; !err && at < len; at += XN_SECTOR_SIZE) {
		if (bdev_read(f->dev, first + at, sector, sizeof(sector)) == 0)
			continue;
		memset(area + at, 0, XN_SECTOR_SIZE);
		err = fsck_write(f, first + at, area + at, XN_SECTOR_SIZE);
		if (!err && bdev_read(f->dev, first + at, sector, sizeof(sector)))
			err = -EIO;
	}
	if (err)
		check_repair_failed(f->check);
	return err == -EIO ? 0 : err;
}

static int log_empty(struct fsck *f, uint8_t *area, size_t len)
{
	int err = sectors_zero(f, area, len);

	return err ? err : tails_write(f);
}

/* The disk was closed cleanly. */
static int log_restore(struct fsck *f, uint8_t *area, size_t len, uint32_t unreadable)
{
	if (!fsck_found(f->check, LOG_UNREADABLE,
			&(struct fsck_note){ .block = f->super.log_start, .count = unreadable }))
		return 0;
	return sectors_zero(f, area, len);
}

int fsck_log_check(struct fsck *f)
{
	size_t len = (size_t)f->super.log_blocks * XN_BLOCK_SIZE;
	struct xn_log_reader reader;
	struct xn_log_record record;
	uint32_t unreadable;
	uint8_t *area;
	int err;

	if (xn_log_sectors(&f->super) < XN_LOG_SECTORS_MIN)
		return 0;
	if (f->super.log_start + f->super.log_blocks > f->dev_blocks) {
		f->complete = false; /* cut off; pass 1 said so */
		return 0;
	}
	area = malloc(len);
	if (!area)
		return -ENOMEM;
	unreadable = fsck_salvage(f, f->super.log_start, f->super.log_blocks, 0xff, area);
	err = unreadable && !fsck_counts_are_promised(f)
		      ? -EIO
		      : xn_log_reader_init(&reader, &f->super, area, len);
	if (!err && unreadable)
		err = log_restore(f, area, len, unreadable);
	if (err == XN_EDAMAGED || err == -EIO) {
		err = 0;
		if (fsck_found(f->check, LOG_LOST,
			       &(struct fsck_note){ .block = f->super.log_start }))
			err = log_empty(f, area, len);
		else
			f->complete = false; /* it may tell of owners that the disk does not know */
	} else if (!err) {
		err = tail_repair(f, area, len);
		if (!err && xn_log_reader_next(&reader, &record))
			err = replay(f);
	}
	free(area);
	return err;
}
