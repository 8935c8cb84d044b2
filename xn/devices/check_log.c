/* SPDX-License-Identifier: MIT */
/*
 * The intent log, as a stranger reads it (xn/log_format.h).
 *
 *  (1) A record is one atom: what all its sectors say changes at once, when the record
 *      is stable.  Blocks and map bits of a record count as written for its own names.
 *  (2) Records count in their order: what one took away, a later one may give.
 *  (3) While a record counts, the homes it holds are written only with what a counting
 *      record says of them, and not before that record is stable: replay must find
 *      nothing newer than itself.
 *  (4) A tail retires records only when the newest of what they say is stable in its
 *      place, the map included, as far as anybody still owns it.
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

static struct logged **bucket_of(const struct checker *checker, uint64_t sector)
{
	return &checker->log.buckets[(sector * 0x9e3779b97f4a7c15u >> 32) % BUCKETS];
}

/* The newest of what counting records say of the sector; `next` leads to older ones. */
static struct logged *logged_find(const struct checker *checker, uint64_t sector)
{
	struct logged *logged = checker->log.buckets ? *bucket_of(checker, sector) : NULL;

	while (logged && logged->sector != sector)
		logged = logged->next;
	return logged;
}

static struct logged *logged_older(struct logged *logged)
{
	uint64_t sector = logged->sector;

	do {
		logged = logged->next;
	} while (logged && logged->sector != sector);
	return logged;
}

bool ck_in_log(const struct checker *checker, uint64_t block)
{
	const struct xn_super *super = &checker->super;

	return block >= super->log_start && block - super->log_start < super->log_blocks;
}

bool ck_log_overlay(const struct checker *checker, uint64_t sector, void *bytes)
{
	const struct logged *logged = logged_find(checker, sector);

	if (logged)
		memcpy(bytes, logged->bytes, BDEV_SECTOR);
	return logged;
}

/* ---- records come ---- */

static void logged_add(struct checker *checker, struct record *record, uint64_t sector,
		       const uint8_t *bytes)
{
	struct logged *logged = ck_need(calloc(1, sizeof(*logged)));
	struct logged **bucket = bucket_of(checker, sector);

	logged->sector = sector;
	logged->record = record;
	memcpy(logged->bytes, bytes, BDEV_SECTOR);
	logged->next = *bucket;
	*bucket = logged;
}

static struct record *record_new(struct checker *checker, const struct xn_log_record *found)
{
	struct record *record = ck_need(calloc(1, sizeof(*record)));

	record->seq = found->seq;
	record->n_homes = found->n_homes;
	record->n_claims = found->n_claims;
	record->homes = ck_need(calloc(found->n_homes + 1, sizeof(*record->homes)));
	record->claims = ck_need(calloc(found->n_claims + 1, sizeof(*record->claims)));
	for (uint32_t i = 0; i < found->n_claims; i++)
		record->claims[i] = xn_log_record_claim(found, i);
	for (uint32_t i = 0; i < found->n_homes; i++) {
		record->homes[i] = xn_log_record_home(found, i);
		logged_add(checker, record, record->homes[i],
			   found->payload + (size_t)i * BDEV_SECTOR);
	}
	TAILQ_INSERT_TAIL(&checker->log.records, record, link);
	return record;
}

static void record_free(struct checker *checker, struct record *record)
{
	for (uint32_t i = 0; i < record->n_homes; i++) {
		struct logged **at = bucket_of(checker, record->homes[i]), *logged;

		while ((*at)->record != record || (*at)->sector != record->homes[i])
			at = &(*at)->next;
		logged = *at;
		*at = logged->next;
		free(logged);
	}
	TAILQ_REMOVE(&checker->log.records, record, link);
	free(record->homes);
	free(record->claims);
	free(record);
}

/* Is the whole block among the record's homes? */
static bool record_covers(const struct checker *checker, const struct record *record,
			  uint64_t block)
{
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++) {
		struct logged *logged = logged_find(checker, block * XN_BLOCK_SECTORS + i);

		while (logged && logged->record != record)
			logged = logged_older(logged);
		if (!logged)
			return false;
	}
	return true;
}

static bool record_claims(const struct record *record, uint64_t block)
{
	for (uint32_t i = 0; i < record->n_claims; i++)
		if (block >= record->claims[i].start &&
		    block - record->claims[i].start < record->claims[i].count)
			return true;
	return false;
}

bool ck_log_writes(const struct checker *checker, const struct atom *atom, uint64_t block)
{
	return atom && atom->kind == ATOM_RECORD && record_covers(checker, atom->record, block);
}

/* By a record that is stable, or whose order before this atom is given. */
bool ck_log_shows(const struct checker *checker, const struct atom *atom, uint64_t block)
{
	const struct record *record;

	TAILQ_FOREACH(record, &checker->log.records, link)
	{
		if ((record->stable || (atom && atom->kind == ATOM_RECORD)) &&
		    record_claims(record, block))
			return true;
	}
	return false;
}

/* What the record says of objects and data, in one atom. */
static void record_apply(struct checker *checker, struct record *record, struct write *write)
{
	uint64_t area = checker->super.log_start * XN_BLOCK_SECTORS;
	struct atom *atom = ck_atom_get(write, area + record->at / BDEV_SECTOR);
	struct changes changes = { 0 };

	atom->kind = ATOM_RECORD;
	atom->record = record;
	for (uint32_t i = 0; i < record->n_homes; i++) {
		uint64_t number = record->homes[i] / XN_BLOCK_SECTORS;
		struct block *block = ck_block_get(checker, number);

		block->last = write->number;
		if (block->object && block->object->kind == OBJECT_TREE)
			ck_object_logged(checker, block->object, atom, &changes);
		if (block->state != BLOCK_STABLE && record_covers(checker, record, number)) {
			block->state = BLOCK_PENDING;
			block->pending = 0; /* no write: the record */
		}
	}
	ck_changes_end(checker, &changes);
}

/* A record that is written again, because that failed, is read again. */
static void records_rewind(struct checker *checker, const struct write *write)
{
	struct checker_log *log = &checker->log;
	uint64_t base = checker->super.log_start * XN_BLOCK_SIZE;
	const struct record *record;

	TAILQ_FOREACH(record, &log->records, link)
	{
		if (record->seq < log->tail.seq || base + record->at < write->offset ||
		    base + record->at >= write->offset + write->len)
			continue;
		if (record->stable)
			ck_violation(checker, BDEV_CHECK_LOG,
				     "record %llu is written over, and counts",
				     (unsigned long long)record->seq);
		log->at = record->at;
		log->expect.seq = record->seq;
		return;
	}
}

/* Every record that is whole by now, one behind the other. */
static void records_read(struct checker *checker, struct write *write)
{
	struct checker_log *log = &checker->log;
	struct xn_log_record found;

	while (log->at < log->len &&
	       !xn_log_record_decode(&checker->super, &log->expect, log->area + log->at,
				     log->len - log->at, &found)) {
		struct record *record = record_new(checker, &found);

		record->at = log->at;
		record->stable = !write;
		if (write)
			record_apply(checker, record, write);
		log->at += (size_t)found.sectors * BDEV_SECTOR;
		log->expect.seq++;
	}
}

void ck_record_stable(struct checker *checker, struct atom *atom)
{
	struct record *record = atom->record;

	record->stable = true;
	for (uint32_t i = 0; i < record->n_homes; i++) {
		uint64_t number = record->homes[i] / XN_BLOCK_SECTORS;
		struct block *block = ck_block_get(checker, number);

		if (block->state == BLOCK_PENDING && record_covers(checker, record, number))
			block->state = BLOCK_STABLE;
	}
}

/* ---- and are retired ---- */

/* Is it still somebody's, in any version? */
static bool is_named(struct checker *checker, uint64_t block)
{
	return ck_block_get(checker, block)->claims;
}

static bool home_is_stable(struct checker *checker, uint64_t sector)
{
	struct logged *logged = logged_find(checker, sector);

	return logged->home_stable || !is_named(checker, sector / XN_BLOCK_SECTORS);
}

static bool claim_is_stable(struct checker *checker, const struct xn_log_claim *claim)
{
	for (uint64_t b = claim->start; b < claim->start + claim->count; b++)
		if (is_named(checker, b) && !ck_map_shows(checker, b))
			return false;
	return true;
}

static void retire_check(struct checker *checker, const struct record *record)
{
	for (uint32_t i = 0; i < record->n_homes; i++) {
		if (home_is_stable(checker, record->homes[i]))
			continue;
		ck_violation(checker, BDEV_CHECK_LOG,
			     "record %llu is retired, and sector %llu is not stable in its place",
			     (unsigned long long)record->seq, (unsigned long long)record->homes[i]);
		return;
	}
	for (uint32_t i = 0; i < record->n_claims; i++) {
		if (claim_is_stable(checker, &record->claims[i]))
			continue;
		ck_violation(checker, BDEV_CHECK_LOG,
			     "record %llu is retired, and the map does not show its blocks at %llu",
			     (unsigned long long)record->seq,
			     (unsigned long long)record->claims[i].start);
		return;
	}
}

/* A newer tail: the records before it need not be there any more. */
static void tail_written(struct checker *checker, const uint8_t *sector, uint64_t place,
			 struct write *write)
{
	struct checker_log *log = &checker->log;
	struct xn_log_tail tail;
	const struct record *record;
	struct atom *atom;

	if (xn_log_tail_decode(&checker->super, sector, &tail) || !tail.seq)
		return;
	atom = ck_atom_get(write, place);
	atom->kind = ATOM_TAIL;
	atom->tail_seq = tail.seq;
	if (tail.seq <= log->tail.seq && tail.epoch <= log->tail.epoch)
		return;
	TAILQ_FOREACH(record, &log->records, link)
	{
		if (record->seq < tail.seq)
			retire_check(checker, record);
	}
	log->tail = log->expect = tail;
	log->at = BDEV_SECTOR;
}

void ck_tail_stable(struct checker *checker, struct atom *atom)
{
	struct record *record, *next;

	for (record = TAILQ_FIRST(&checker->log.records); record; record = next) {
		next = TAILQ_NEXT(record, link);
		if (record->seq < atom->tail_seq)
			record_free(checker, record);
	}
}

/* ---- writes ---- */

void ck_log_written(struct checker *checker, struct write *write)
{
	struct checker_log *log = &checker->log;
	uint64_t base = checker->super.log_start * XN_BLOCK_SIZE;
	uint64_t last = log->len;

	if (!log->area)
		return;
	ck_write_overlay(write, base, log->area, log->len + BDEV_SECTOR);
	if (write->offset <= base)
		tail_written(checker, log->area, base / BDEV_SECTOR, write);
	if (write->offset + write->len >= base + last + BDEV_SECTOR && write->offset <= base + last)
		tail_written(checker, log->area + last, (base + last) / BDEV_SECTOR, write);
	records_rewind(checker, write);
	records_read(checker, write);
}

/* What is written at a home that counting records hold. */
static void home_written(struct checker *checker, struct logged *newest, const uint8_t *bytes,
			 const struct write *write)
{
	struct logged *logged = newest;
	uint64_t sector = newest->sector;

	while (logged && memcmp(logged->bytes, bytes, BDEV_SECTOR) != 0)
		logged = logged_older(logged);
	if (!logged) {
		ck_violation(checker, BDEV_CHECK_LOG,
			     "sector %llu is written at home, and record %llu, which counts, says "
			     "otherwise",
			     (unsigned long long)sector, (unsigned long long)newest->record->seq);
		return;
	}
	if (!logged->record->stable)
		ck_violation(checker, BDEV_CHECK_LOG,
			     "sector %llu is written at home before its record %llu is stable",
			     (unsigned long long)sector, (unsigned long long)logged->record->seq);
	newest->home_stable = false;
	newest->home_write = logged == newest ? write->number : 0;
}

unsigned ck_homes_written(struct checker *checker, uint64_t block, unsigned sectors,
			  const struct write *write)
{
	uint8_t bytes[XN_BLOCK_SIZE];
	unsigned held = 0;

	if (TAILQ_EMPTY(&checker->log.records))
		return 0;
	memset(bytes, 0, sizeof(bytes));
	ck_write_overlay(write, block * XN_BLOCK_SIZE, bytes, sizeof(bytes));
	for (unsigned i = 0; i < XN_BLOCK_SECTORS; i++) {
		struct logged *newest = logged_find(checker, block * XN_BLOCK_SECTORS + i);

		if (!(sectors & 1u << i) || !newest)
			continue;
		held |= 1u << i;
		home_written(checker, newest, bytes + i * BDEV_SECTOR, write);
	}
	return held;
}

void ck_homes_stable(struct checker *checker, const struct write *write)
{
	uint64_t end = (write->offset + write->len) / BDEV_SECTOR;

	if (TAILQ_EMPTY(&checker->log.records))
		return;
	for (uint64_t s = write->offset / BDEV_SECTOR; s < end; s++) {
		struct logged *logged = logged_find(checker, s);

		if (logged && logged->home_write == write->number)
			logged->home_stable = true;
	}
}

/* ---- the whole log ---- */

void ck_log_load(struct checker *checker)
{
	struct checker_log *log = &checker->log;
	uint64_t sectors = xn_log_sectors(&checker->super);
	struct xn_log_reader reader;
	size_t bytes = sectors * BDEV_SECTOR;

	if (sectors < XN_LOG_SECTORS_MIN)
		return;
	log->buckets = ck_need(calloc(BUCKETS, sizeof(struct logged *)));
	log->area = ck_need(calloc(1, bytes));
	log->len = bytes - BDEV_SECTOR;
	log->at = log->len;
	if (bdev_read(checker->stacked.below, checker->super.log_start * XN_BLOCK_SIZE, log->area,
		      bytes) ||
	    xn_log_reader_init(&reader, &checker->super, log->area, bytes))
		return;
	log->tail = log->expect = reader.expect;
	if (!log->tail.seq)
		return;
	log->at = BDEV_SECTOR;
	records_read(checker, NULL);
}

void ck_log_forget(struct checker *checker)
{
	struct record *record, *next;

	for (record = TAILQ_FIRST(&checker->log.records); record; record = next) {
		next = TAILQ_NEXT(record, link);
		record_free(checker, record);
	}
	free(checker->log.area);
	free(checker->log.buckets);
	checker->log.area = NULL;
	checker->log.buckets = NULL;
	checker->log.len = checker->log.at = 0;
	memset(&checker->log.tail, 0, sizeof(checker->log.tail));
	memset(&checker->log.expect, 0, sizeof(checker->log.expect));
}
