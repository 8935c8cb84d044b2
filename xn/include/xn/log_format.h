/* SPDX-License-Identifier: MIT */
/*
 * The intent log on disk: a small physical log whose unit is the sector.
 *
 * The area (superblock: log_start, log_blocks) begins and ends with a copy of
 * the **tail**, one sector that says from which sequence number on records
 * count.  Between them stand **records**, one behind the other from the first
 * sector on; each is a run of sectors: header, list, payload.
 *
 *  (1) A record counts if its checksum is right, its epoch is the tail's, and its
 *      sequence number is that of the record before it plus one (the tail's, for
 *      the first).  The first one that does not count ends the log.
 *  (2) A record says two things: these blocks are in use (claims, for the free
 *      map), and these sectors have this content (homes and payload).  Saying a
 *      thing twice says nothing new, so replay may be cut short and repeated.
 *  (3) A tail is written only when all that the records before it say is stable
 *      in its place; writing it is what retires them.
 *  (4) Numbers are checked before use: a home is never one of XN's fixed blocks
 *      (superblocks, maps, catalogue heads, the log itself).
 *
 * An area of zeroes, as format leaves it, is an empty log.  A log of fewer than
 * XN_LOG_SECTORS_MIN sectors is no log: updates that need one are refused.
 */
#ifndef XN_LOG_FORMAT_H
#define XN_LOG_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "xn/endian.h"
#include "xn/format.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bdev;

#define XN_LOG_SECTORS_MIN 16u

#define XN_LOG_TAIL_MAGIC   0x4c544e58u /* "XNTL" */
#define XN_LOG_RECORD_MAGIC 0x524c4e58u /* "XNLR" */

struct xn_log_tail_disk {
	le32_t crc;   /* 0x000 */
	le32_t magic; /* 0x004 */
	le64_t seq;   /* 0x008  of the first record that counts */
	le64_t epoch; /* 0x010  mount epoch of whoever wrote it and the records */
	uint8_t reserved[488];
};
static_assert(sizeof(struct xn_log_tail_disk) == 512, "frozen");

/* The list follows at 0x28: claims of 16 bytes {start, count}, then homes of 8 bytes. */
struct xn_log_record_disk {
	le32_t crc;     /* 0x000  of all sectors of the record */
	le32_t magic;   /* 0x004 */
	le64_t seq;     /* 0x008 */
	le64_t epoch;   /* 0x010 */
	le32_t sectors; /* 0x018  of the whole record */
	le32_t claims;  /* 0x01c */
	le32_t homes;   /* 0x020  as many sectors of payload, the record's last ones */
	le32_t spare;   /* 0x024 */
};
static_assert(sizeof(struct xn_log_record_disk) == 0x28, "frozen");

struct xn_log_tail {
	uint64_t seq, epoch;
};

/* Pointers lead into the area's bytes. */
struct xn_log_record {
	uint64_t seq, epoch;
	uint32_t sectors, n_claims, n_homes;
	const uint8_t *list;
	const uint8_t *payload; /* n_homes sectors */
};

struct xn_log_claim {
	uint64_t start, count; /* blocks in use */
};

/* XN_EDAMAGED, or 0 with seq 0 for a sector of zeroes. */
int xn_log_tail_decode(const struct xn_super *super, const void *sector, struct xn_log_tail *tail);
void xn_log_tail_encode(const struct xn_super *super, const struct xn_log_tail *tail, void *sector);
/* Both tails, not flushed.  Fails as bdev_write() does. */
int xn_log_tails_write(struct bdev *dev, const struct xn_super *super,
		       const struct xn_log_tail *tail);

/* Sectors of the area, with both tails. */
uint64_t xn_log_sectors(const struct xn_super *super);
/* Sectors that a record of so many claims and homes takes. */
uint32_t xn_log_record_sectors(uint32_t n_claims, uint32_t n_homes);

/*
 * The record at `bytes`, of which `len` are there.  Fails with XN_EDAMAGED when it does
 * not count: wrong sequence, epoch or checksum, or a number out of its range.
 */
int xn_log_record_decode(const struct xn_super *super, const struct xn_log_tail *expect,
			 const void *bytes, size_t len, struct xn_log_record *record);
struct xn_log_claim xn_log_record_claim(const struct xn_log_record *record, uint32_t index);
/* Home of payload sector `index`, as a number of sectors from the start of the disk. */
uint64_t xn_log_record_home(const struct xn_log_record *record, uint32_t index);

/*
 * Write a record's head and checksum; list and payload stand behind it already:
 * claims and homes by the two functions below, payload at
 * bytes + 512 * (xn_log_record_sectors() - n_homes).
 */
void xn_log_record_put_claim(void *bytes, uint32_t index, struct xn_log_claim claim);
void xn_log_record_put_home(void *bytes, uint32_t n_claims, uint32_t index, uint64_t sector);
void xn_log_record_seal(const struct xn_super *super, const struct xn_log_tail *id,
			uint32_t n_claims, uint32_t n_homes, void *bytes);

/* ---- reading a log, and carrying it out ---- */

struct xn_log_reader {
	const struct xn_super *super;
	const uint8_t *area;
	size_t len, at;
	struct xn_log_tail expect; /* seq: of the record that would come next */
};

/* XN_EDAMAGED: neither tail can be read, so nobody can say which records count. */
int xn_log_reader_init(struct xn_log_reader *reader, const struct xn_super *super, const void *area,
		       size_t len);
/* 1 with a record, 0 at the end. */
int xn_log_reader_next(struct xn_log_reader *reader, struct xn_log_record *record);

struct xn_log_report {
	uint64_t records, sectors, claims;
	uint64_t next_seq; /* for the tail to be written now */
};

/*
 * Bring what the log's records say to its place on `dev`, flush, and empty the
 * log with a tail of `epoch`.  An empty log is left alone, but for `epoch` if
 * that is not 0.  The device may be an overlay (bdev_overlay_create()).
 *
 * Fails with
 *   XN_EDAMAGED  neither tail is readable
 *   XN_EIO, XN_EUNKNOWN, -ENOMEM
 */
int xn_log_replay(struct bdev *dev, const struct xn_super *super, uint64_t epoch,
		  struct xn_log_report *report);

#ifdef __cplusplus
}
#endif

#endif
