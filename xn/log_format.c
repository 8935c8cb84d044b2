/* SPDX-License-Identifier: MIT */
/* The intent log's bytes; the truths stand in xn/log_format.h. */
#include "xn/log_format.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "udf/udf.h"
#include "xn/bdev.h"
#include "xn/error.h"

#define LIST_AT    sizeof(struct xn_log_record_disk)
#define CLAIM_SIZE 16u
#define HOME_SIZE  8u

static bool all_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* CRC-32C of a run of sectors, the first four bytes taken as zero. */
static uint32_t log_crc(const struct xn_super *super, const void *bytes, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = udf_crc32c(xn_format_seed(super), zero, sizeof(zero));

	return udf_crc32c(crc, (const uint8_t *)bytes + 4, len - 4);
}

/* ---- tails ---- */

int xn_log_tail_decode(const struct xn_super *super, const void *sector, struct xn_log_tail *tail)
{
	const struct xn_log_tail_disk *disk = sector;

	memset(tail, 0, sizeof(*tail));
	if (all_zero(sector, XN_SECTOR_SIZE))
		return 0;
	if (le32_get(disk->magic) != XN_LOG_TAIL_MAGIC ||
	    le32_get(disk->crc) != log_crc(super, sector, XN_SECTOR_SIZE) ||
	    le64_get(disk->seq) == 0)
		return XN_EDAMAGED;
	tail->seq = le64_get(disk->seq);
	tail->epoch = le64_get(disk->epoch);
	return 0;
}

void xn_log_tail_encode(const struct xn_super *super, const struct xn_log_tail *tail, void *sector)
{
	struct xn_log_tail_disk *disk = sector;

	memset(disk, 0, sizeof(*disk));
	disk->magic = le32_make(XN_LOG_TAIL_MAGIC);
	disk->seq = le64_make(tail->seq);
	disk->epoch = le64_make(tail->epoch);
	disk->crc = le32_make(log_crc(super, sector, XN_SECTOR_SIZE));
}

uint64_t xn_log_sectors(const struct xn_super *super)
{
	return super->log_blocks * XN_BLOCK_SECTORS;
}

int xn_log_tails_write(struct bdev *dev, const struct xn_super *super,
		       const struct xn_log_tail *tail)
{
	uint8_t sector[XN_SECTOR_SIZE];
	uint64_t first = super->log_start * XN_BLOCK_SIZE;
	uint64_t last = first + (xn_log_sectors(super) - 1) * XN_SECTOR_SIZE;
	int err;

	xn_log_tail_encode(super, tail, sector);
	err = bdev_write(dev, first, sector, sizeof(sector), 0);
	if (!err)
		err = bdev_write(dev, last, sector, sizeof(sector), 0);
	return err;
}

/* ---- records ---- */

static uint32_t list_sectors(uint32_t n_claims, uint32_t n_homes)
{
	size_t bytes = LIST_AT + (size_t)n_claims * CLAIM_SIZE + (size_t)n_homes * HOME_SIZE;

	return (uint32_t)((bytes + XN_SECTOR_SIZE - 1) / XN_SECTOR_SIZE);
}

uint32_t xn_log_record_sectors(uint32_t n_claims, uint32_t n_homes)
{
	return list_sectors(n_claims, n_homes) + n_homes;
}

struct xn_log_claim xn_log_record_claim(const struct xn_log_record *record, uint32_t index)
{
	size_t at = (size_t)index * CLAIM_SIZE;

	return (struct xn_log_claim){ le64_load(record->list + at),
				      le64_load(record->list + at + 8) };
}

uint64_t xn_log_record_home(const struct xn_log_record *record, uint32_t index)
{
	return le64_load(record->list + (size_t)record->n_claims * CLAIM_SIZE +
			 (size_t)index * HOME_SIZE);
}

static bool lists_are_legal(const struct xn_super *super, const struct xn_log_record *record)
{
	for (uint32_t i = 0; i < record->n_claims; i++) {
		struct xn_log_claim claim = xn_log_record_claim(record, i);

		if (claim.count == 0 || claim.count > super->block_count ||
		    claim.start > super->block_count - claim.count)
			return false;
	}
	for (uint32_t i = 0; i < record->n_homes; i++) {
		if (xn_super_fixed(super, xn_log_record_home(record, i) / XN_BLOCK_SECTORS, 1))
			return false;
	}
	return true;
}

int xn_log_record_decode(const struct xn_super *super, const struct xn_log_tail *expect,
			 const void *bytes, size_t len, struct xn_log_record *record)
{
	const struct xn_log_record_disk *disk = bytes;
	struct xn_log_record found;

	if (len < XN_SECTOR_SIZE || le32_get(disk->magic) != XN_LOG_RECORD_MAGIC ||
	    le64_get(disk->seq) != expect->seq || le64_get(disk->epoch) != expect->epoch)
		return XN_EDAMAGED;
	found.seq = expect->seq;
	found.epoch = expect->epoch;
	found.sectors = le32_get(disk->sectors);
	found.n_claims = le32_get(disk->claims);
	found.n_homes = le32_get(disk->homes);
	if (found.sectors > len / XN_SECTOR_SIZE || found.n_homes > found.sectors ||
	    found.n_claims > len / CLAIM_SIZE ||
	    xn_log_record_sectors(found.n_claims, found.n_homes) != found.sectors)
		return XN_EDAMAGED;
	if (le32_get(disk->crc) != log_crc(super, bytes, (size_t)found.sectors * XN_SECTOR_SIZE))
		return XN_EDAMAGED;
	found.list = (const uint8_t *)bytes + LIST_AT;
	found.payload =
		(const uint8_t *)bytes + (size_t)(found.sectors - found.n_homes) * XN_SECTOR_SIZE;
	if (!lists_are_legal(super, &found))
		return XN_EDAMAGED;
	*record = found;
	return 0;
}

void xn_log_record_put_claim(void *bytes, uint32_t index, struct xn_log_claim claim)
{
	uint8_t *list = (uint8_t *)bytes + LIST_AT;

	le64_store(list + (size_t)index * CLAIM_SIZE, claim.start);
	le64_store(list + (size_t)index * CLAIM_SIZE + 8, claim.count);
}

void xn_log_record_put_home(void *bytes, uint32_t n_claims, uint32_t index, uint64_t sector)
{
	uint8_t *list = (uint8_t *)bytes + LIST_AT;

	le64_store(list + (size_t)n_claims * CLAIM_SIZE + (size_t)index * HOME_SIZE, sector);
}

void xn_log_record_seal(const struct xn_super *super, const struct xn_log_tail *id,
			uint32_t n_claims, uint32_t n_homes, void *bytes)
{
	uint32_t sectors = xn_log_record_sectors(n_claims, n_homes);
	size_t used = LIST_AT + (size_t)n_claims * CLAIM_SIZE + (size_t)n_homes * HOME_SIZE;
	struct xn_log_record_disk head = { .magic = le32_make(XN_LOG_RECORD_MAGIC),
					   .seq = le64_make(id->seq),
					   .epoch = le64_make(id->epoch),
					   .sectors = le32_make(sectors),
					   .claims = le32_make(n_claims),
					   .homes = le32_make(n_homes) };

	memset((uint8_t *)bytes + used, 0, (size_t)(sectors - n_homes) * XN_SECTOR_SIZE - used);
	memcpy(bytes, &head, sizeof(head));
	head.crc = le32_make(log_crc(super, bytes, (size_t)sectors * XN_SECTOR_SIZE));
	memcpy(bytes, &head.crc, sizeof(head.crc));
}

/* ---- reading ---- */

int xn_log_reader_init(struct xn_log_reader *reader, const struct xn_super *super, const void *area,
		       size_t len)
{
	struct xn_log_tail first, last;
	int bad_first, bad_last;

	memset(reader, 0, sizeof(*reader));
	reader->super = super;
	reader->area = area;
	if (len < XN_LOG_SECTORS_MIN * XN_SECTOR_SIZE)
		return 0;
	reader->len = len - XN_SECTOR_SIZE;
	reader->at = XN_SECTOR_SIZE;
	bad_first = xn_log_tail_decode(super, area, &first);
	bad_last = xn_log_tail_decode(super, reader->area + reader->len, &last);
	if (bad_first && bad_last)
		return XN_EDAMAGED;
	reader->expect = bad_first || (!bad_last && last.seq > first.seq) ? last : first;
	if (reader->expect.seq == 0)
		reader->len = 0; /* never used */
	return 0;
}

int xn_log_reader_next(struct xn_log_reader *reader, struct xn_log_record *record)
{
	if (reader->at >= reader->len ||
	    xn_log_record_decode(reader->super, &reader->expect, reader->area + reader->at,
				 reader->len - reader->at, record))
		return 0;
	reader->at += (size_t)record->sectors * XN_SECTOR_SIZE;
	reader->expect.seq++;
	return 1;
}

/* ---- carrying it out ---- */

/* Show these blocks in use; a part of the map that cannot be read shows all in use already. */
static int claim_write(struct bdev *dev, const struct xn_super *super, struct xn_log_claim claim)
{
	uint8_t block[XN_BLOCK_SIZE], bitmap[XN_MAP_CHUNK_BYTES];
	uint64_t end = claim.start + claim.count;
	int err = 0;

	for (uint64_t at = claim.start; at < end && !err;) {
		uint64_t chunk = at / XN_CHUNK_BLOCKS;
		uint64_t next = (chunk + 1) * XN_CHUNK_BLOCKS;
		uint64_t place = xn_map_block(chunk) * XN_BLOCK_SIZE;

		err = bdev_read(dev, place, block, sizeof(block));
		if (err)
			break;
		xn_map_decode(super, chunk, block, bitmap);
		for (; at < end && at < next; at++)
			bitmap[at % XN_CHUNK_BLOCKS / 8] |= (uint8_t)(1u << (at % 8));
		xn_map_encode(super, chunk, bitmap, block);
		err = bdev_write(dev, place, block, sizeof(block), 0);
	}
	return err;
}

/* What some record says that a sector holds. */
struct saying {
	uint64_t home;
	const uint8_t *bytes; /* of later records further on in the area */
};

/* By home, and of one home the latest first. */
static int by_home(const void *a, const void *b)
{
	const struct saying *x = a, *y = b;

	if (x->home != y->home)
		return x->home < y->home ? -1 : 1;
	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

#define RUN_SECTORS 64u

/* Neighbouring sectors in one request. */
static size_t run_write(struct bdev *dev, const struct saying *list, size_t count, int *err)
{
	uint8_t bytes[RUN_SECTORS * XN_SECTOR_SIZE];
	size_t n = 1;

	while (n < count && n < RUN_SECTORS && list[n].home == list->home + n)
		n++;
	for (size_t i = 0; i < n; i++)
		memcpy(bytes + i * XN_SECTOR_SIZE, list[i].bytes, XN_SECTOR_SIZE);
	*err = bdev_write(dev, list->home * XN_SECTOR_SIZE, bytes, n * XN_SECTOR_SIZE, 0);
	return n;
}

/* Each home once, as the last record has it. */
static int sayings_write(struct bdev *dev, struct saying *list, size_t count)
{
	size_t kept = 0;
	int err = 0;

	qsort(list, count, sizeof(*list), by_home);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || list[i].home != list[kept - 1].home)
			list[kept++] = list[i];
	}
	for (size_t at = 0; at < kept && !err;)
		at += run_write(dev, list + at, kept - at, &err);
	return err;
}

static int replay_area(struct bdev *dev, const struct xn_super *super, const uint8_t *area,
		       size_t len, uint64_t epoch, struct xn_log_report *report)
{
	struct xn_log_reader reader;
	struct xn_log_record record;
	struct xn_log_tail tail;
	struct saying *list;
	size_t n = 0;
	int err = xn_log_reader_init(&reader, super, area, len);

	if (err)
		return err;
	list = calloc(len / XN_SECTOR_SIZE, sizeof(*list)); /* a home has a sector of payload */
	if (!list)
		return -ENOMEM;
	while (!err && xn_log_reader_next(&reader, &record)) {
		for (uint32_t i = 0; i < record.n_claims && !err; i++)
			err = claim_write(dev, super, xn_log_record_claim(&record, i));
		for (uint32_t i = 0; i < record.n_homes; i++)
			list[n++] = (struct saying){ xn_log_record_home(&record, i),
						     record.payload + (size_t)i * XN_SECTOR_SIZE };
		report->records++;
		report->sectors += record.n_homes;
		report->claims += record.n_claims;
	}
	if (!err)
		err = sayings_write(dev, list, n);
	free(list);
	/* One number is left out, so that a record cut short can never be the next one. */
	tail.seq = reader.expect.seq + 1;
	tail.epoch = epoch ? epoch : reader.expect.epoch;
	report->next_seq = tail.seq;
	if (!err && report->records > 0)
		err = bdev_flush(dev);
	if (!err && (report->records > 0 || epoch))
		err = xn_log_tails_write(dev, super, &tail);
	if (!err && (report->records > 0 || epoch))
		err = bdev_flush(dev);
	return err;
}

int xn_log_replay(struct bdev *dev, const struct xn_super *super, uint64_t epoch,
		  struct xn_log_report *report)
{
	size_t len = (size_t)super->log_blocks * XN_BLOCK_SIZE;
	uint8_t *area;
	int err;

	memset(report, 0, sizeof(*report));
	if (xn_log_sectors(super) < XN_LOG_SECTORS_MIN)
		return 0;
	area = malloc(len);
	if (!area)
		return -ENOMEM;
	err = bdev_read(dev, super->log_start * XN_BLOCK_SIZE, area, len);
	if (!err)
		err = replay_area(dev, super, area, len, epoch, report);
	free(area);
	return !err || err == XN_EUNKNOWN || err == XN_EDAMAGED || err == -ENOMEM ? err : XN_EIO;
}
