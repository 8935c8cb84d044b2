/* SPDX-License-Identifier: MIT */
/*
 * The intent log of an open disk (xn/log_format.h says what it looks like).
 *
 *  (1) What a record holds is stable as soon as the record is written and
 *      flushed; its sectors go to their homes later, all records at once
 *      (checkpoint), from the copies that were logged.
 *  (2) While a record holds a block, the block is not written at home but by a
 *      checkpoint (newer versions are logged too), reads of it see what the log
 *      holds, and it is not free, even if its owner gave it up.
 *  (3) A checkpoint first flushes, so that no home is touched before its record is
 *      stable; then writes homes and the map's claims, flushes, and moves the tail
 *      past all records, flushed.  Only then is anything let go.
 *  (4) A record whose write failed may stand on the medium all the same: its
 *      blocks are held, its number is not used again, and nothing more is logged
 *      before a checkpoint moved the tail past it.  So may a tail whose write
 *      failed: nothing is logged behind records that it retires.
 *
 * Everything here is called with the lock and in a wave, but for log_holds() and
 * log_keep(), which need the lock only.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u

struct log_home {
	struct log_home *next, *made_before; /* while they are reserved */
	xn_blk_t block;
	uint32_t at[XN_BLOCK_SECTORS]; /* newest content, as a sector of the area; 0 = none */
};

/* ---- which blocks are held ---- */

static struct log_home **bucket_of(const struct log *log, xn_blk_t block)
{
	return &log->homes[(block * 0x9e3779b97f4a7c15ull >> 40) % BUCKETS];
}

static struct log_home *home_find(const struct log *log, xn_blk_t block)
{
	struct log_home *home;

	if (log->n_homes == 0)
		return NULL;
	for (home = *bucket_of(log, block); home && home->block != block; home = home->next)
		;
	return home;
}

static struct log_home *home_new(struct log *log, xn_blk_t block)
{
	struct log_home **bucket = bucket_of(log, block);
	struct log_home *home = calloc(1, sizeof(*home));

	if (!home)
		return NULL;
	home->block = block;
	home->next = *bucket;
	*bucket = home;
	log->n_homes++;
	return home;
}

/* No record came of them: who thought that one holds these blocks would wait for ever. */
static void homes_take_back(struct log *log, struct log_home *made)
{
	while (made) {
		struct log_home *before = made->made_before;
		struct log_home **at = bucket_of(log, made->block);

		while (*at != made)
			at = &(*at)->next;
		*at = made->next;
		free(made);
		log->n_homes--;
		made = before;
	}
}

static void homes_forget(struct log *log)
{
	for (unsigned i = 0; log->homes && i < BUCKETS; i++) {
		struct log_home *home = log->homes[i];

		while (home) {
			struct log_home *next = home->next;

			free(home);
			home = next;
		}
		log->homes[i] = NULL;
	}
	log->n_homes = 0;
}

bool log_holds(const struct xn *xn, xn_blk_t start, uint64_t count)
{
	const struct log *log = &xn->log;

	if (log->n_homes == 0)
		return false;
	if (count <= log->n_homes) {
		for (uint64_t i = 0; i < count; i++) {
			if (home_find(log, start + i))
				return true;
		}
		return false;
	}
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (const struct log_home *home = log->homes[i]; home; home = home->next) {
			if (home->block >= start && home->block - start < count)
				return true;
		}
	}
	return false;
}

/* A node of blocks that nobody names any more: kept until no record holds one of them? */
bool log_keep(struct xn *xn, struct will_free *node)
{
	if (!log_holds(xn, node->start, node->count))
		return false;
	node->next = xn->log.waiting;
	xn->log.waiting = node;
	return true;
}

/* ---- opening ---- */

int log_open(struct xn *xn)
{
	struct log *log = &xn->log;
	struct xn_log_report report;
	int err;

	log->epoch = xn->super.mount_epoch;
	pthread_mutex_unlock(&xn->lock);
	err = xn_log_replay(xn->dev, &xn->super, log->epoch, &report);
	pthread_mutex_lock(&xn->lock);
	if (err)
		return err == XN_EUNKNOWN ? io_break(xn) : err;
	log->seq = report.next_seq;
	log->next = 1;
	if (xn_log_sectors(&xn->super) >= XN_LOG_SECTORS_MIN)
		log->end = (uint32_t)xn_log_sectors(&xn->super) - 1;
	return 0;
}

/* Are there records that count?  1, 0, or why nobody can say. */
static int log_has_records(struct xn *xn)
{
	size_t len = (size_t)xn->super.log_blocks * XN_BLOCK_SIZE;
	struct xn_log_reader reader;
	struct xn_log_record record;
	uint8_t *area = malloc(len);
	int err = area ? 0 : -ENOMEM;

	if (!err && bdev_read(xn->dev, xn->super.log_start * XN_BLOCK_SIZE, area, len))
		err = XN_EIO;
	if (!err)
		err = xn_log_reader_init(&reader, &xn->super, area, len);
	if (!err)
		err = xn_log_reader_next(&reader, &record);
	free(area);
	return err;
}

/* Reading only: records are carried out in memory, over the device. */
int log_open_readonly(struct xn *xn)
{
	struct xn_log_report report;
	int err = log_has_records(xn);

	if (err != 1)
		return err;
	err = bdev_overlay_create(xn->dev, &xn->overlay);
	if (err)
		return err;
	xn->dev = xn->overlay;
	return xn_log_replay(xn->dev, &xn->super, 0, &report);
}

void log_fini(struct xn *xn)
{
	struct log *log = &xn->log;

	will_free_destroy(log->waiting);
	homes_forget(log);
	free(log->homes);
	free(log->area);
}

/* The area's image in memory; made when the first record needs it. */
static int area_get(struct xn *xn)
{
	struct log *log = &xn->log;

	if (!log->homes)
		log->homes = calloc(BUCKETS, sizeof(struct log_home *));
	if (!log->area)
		log->area = calloc(xn_log_sectors(&xn->super), XN_SECTOR_SIZE);
	return log->area && log->homes ? 0 : -ENOMEM;
}

uint32_t log_homes_max(const struct xn *xn)
{
	uint32_t room = xn->log.end ? xn->log.end - 1 : 0;
	uint32_t low = 0, high = room;

	while (low < high) {
		uint32_t n = high - (high - low) / 2;

		if (xn_log_record_sectors(LOG_CLAIMS_MAX, n) > room)
			high = n - 1;
		else
			low = n;
	}
	return low;
}

bool log_live(const struct xn *xn)
{
	return xn->log.next > 1 || xn->log.doubtful;
}

/* ---- writing a record ---- */

static bool sector_set(const struct entry *entry, uint32_t i)
{
	return ((entry->changed[i / 64] | entry->issuing[i / 64]) >> (i % 64)) & 1;
}

uint32_t log_sectors_of(const struct entry *entry)
{
	uint64_t low = entry->changed[0] | entry->issuing[0];
	uint64_t high = entry->changed[1] | entry->issuing[1];

	return (uint32_t)(__builtin_popcountll(low) + __builtin_popcountll(high));
}

uint32_t log_sectors_all(struct entry *const list[], size_t count)
{
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += log_sectors_of(list[i]);
	return n;
}

/* 1: room was made, and the lock dropped for it; 0: there is room. */
int log_reserve(struct xn *xn, uint32_t n_claims, uint32_t n_homes)
{
	uint32_t need = xn_log_record_sectors(n_claims, n_homes);
	int err = area_get(xn);

	if (err)
		return err;
	if (!xn->log.end || need > xn->log.end - 1)
		return XN_ELOGFULL;
	if (!xn->log.doubtful && need <= xn->log.end - xn->log.next)
		return 0;
	err = log_checkpoint(xn);
	return err ? err : 1;
}

/* Every block of the record must have its place in the table before anything is written. */
static int homes_reserve(struct log *log, struct entry *entries[], size_t count)
{
	struct log_home *made = NULL, *home;

	for (size_t i = 0; i < count; i++) {
		for (uint32_t b = 0; b < entries[i]->blocks; b++) {
			if (home_find(log, entries[i]->start + b))
				continue;
			home = home_new(log, entries[i]->start + b);
			if (!home) {
				homes_take_back(log, made);
				return -ENOMEM;
			}
			home->made_before = made;
			made = home;
		}
	}
	return 0;
}

/* Fill in list and payload of one entry. */
static uint32_t put_entry(struct entry *entry, uint8_t *record, uint8_t *payload, uint32_t n_claims,
			  uint32_t at)
{
	const uint8_t *bytes = entry_bytes(entry);

	for (uint32_t i = 0; i < entry->blocks * XN_BLOCK_SECTORS; i++) {
		if (!sector_set(entry, i))
			continue;
		xn_log_record_put_home(record, n_claims, at, entry->start * XN_BLOCK_SECTORS + i);
		memcpy(payload + (size_t)at * XN_SECTOR_SIZE, bytes + (size_t)i * XN_SECTOR_SIZE,
		       XN_SECTOR_SIZE);
		at++;
	}
	return at;
}

struct record {
	uint32_t place, sectors, n_claims, n_homes;
	uint64_t claim_seq;
};

static void record_build(struct xn *xn, struct entry *entries[], size_t count,
			 struct record *record)
{
	struct log *log = &xn->log;
	uint8_t *bytes = log->area + (size_t)log->next * XN_SECTOR_SIZE;
	uint8_t *payload = bytes + (size_t)(record->sectors - record->n_homes) * XN_SECTOR_SIZE;
	struct xn_log_tail id = { log->seq, log->epoch };
	uint32_t at = 0;

	for (uint32_t i = 0; i < record->n_claims; i++)
		xn_log_record_put_claim(bytes, i,
					(struct xn_log_claim){ xn->freemap.taken[i].start,
							       xn->freemap.taken[i].count });
	for (size_t i = 0; i < count; i++)
		at = put_entry(entries[i], bytes, payload, record->n_claims, at);
	assert(at == record->n_homes);
	xn_log_record_seal(&xn->super, &id, record->n_claims, record->n_homes, bytes);
}

/* The newest content of the record's sectors is where the record has it. */
static void homes_point(struct xn *xn, const struct record *record)
{
	struct log *log = &xn->log;
	const uint8_t *bytes = log->area + (size_t)record->place * XN_SECTOR_SIZE;
	struct xn_log_record view = { .n_claims = record->n_claims,
				      .list = bytes + sizeof(struct xn_log_record_disk) };
	uint32_t first = record->place + record->sectors - record->n_homes;

	for (uint32_t i = 0; i < record->n_homes; i++) {
		uint64_t sector = xn_log_record_home(&view, i);
		struct log_home *home = home_find(log, sector / XN_BLOCK_SECTORS);

		home->at[sector % XN_BLOCK_SECTORS] = first + i;
	}
}

/*
 * Write what changed of these entries as one record; log_reserve() found room for
 * it, and the lock was held since.  With `claims`, the record also says which
 * blocks are in use, and they count as shown by the map once it is flushed.
 */
int log_write(struct xn *xn, struct entry *entries[], size_t count, bool claims)
{
	struct log *log = &xn->log;
	struct record record = { .place = log->next,
				 .n_claims = claims ? xn->freemap.n_taken : 0,
				 .claim_seq = xn->freemap.claim_seq };
	struct group *spare = group_alloc();
	int err = spare ? homes_reserve(log, entries, count) : -ENOMEM;

	if (err) {
		free(spare);
		return err;
	}
	record.n_homes = log_sectors_all(entries, count);
	record.sectors = xn_log_record_sectors(record.n_claims, record.n_homes);
	record_build(xn, entries, count, &record);
	for (size_t i = 0; i < count; i++) {
		entry_issued(xn, entries[i]);
		if (entries[i]->group)
			entries[i]->flags |= E_GROUPED;
		group_leave(xn, entries[i]);
	}
	pthread_mutex_unlock(&xn->lock);
	err = bdev_write(xn->dev,
			 xn->super.log_start * XN_BLOCK_SIZE +
				 (uint64_t)record.place * XN_SECTOR_SIZE,
			 log->area + (size_t)record.place * XN_SECTOR_SIZE,
			 (size_t)record.sectors * XN_SECTOR_SIZE, 0);
	pthread_mutex_lock(&xn->lock);
	xn->stats.log_records++;
	xn->stats.log_sectors += record.sectors;
	if (err == XN_EUNKNOWN)
		io_break(xn);
	log->seq++;
	for (size_t i = 0; i < count; i++) {
		if (err && (entries[i]->flags & (E_GROUPED | E_DEAD | E_REAPED)) == E_GROUPED)
			spare = group_join(xn, entries[i], spare);
		entries[i]->flags &= ~(uint32_t)E_GROUPED;
	}
	if (err) {
		log->doubtful = true;
	} else {
		homes_point(xn, &record);
		log->next += record.sectors;
		if (claims)
			log->claim_seq = record.claim_seq;
	}
	for (size_t i = 0; i < count; i++)
		entry_written(xn, entries[i], err);
	group_free_if_empty(xn, spare);
	pthread_cond_broadcast(&xn->changed);
	return !err ? 0 : err == XN_EUNKNOWN ? err : err == -ENOMEM ? err : XN_EIO;
}

/* ---- checkpoint ---- */

struct sector_copy {
	uint64_t home; /* sector of the disk */
	uint32_t at;   /* sector of the area */
};

static int by_home(const void *a, const void *b)
{
	const struct sector_copy *x = a, *y = b;

	return x->home < y->home ? -1 : x->home > y->home;
}

static struct sector_copy *homes_list(const struct log *log, size_t *count)
{
	struct sector_copy *list = calloc(log->n_homes + 1, XN_BLOCK_SECTORS * sizeof(*list));
	size_t n = 0;

	if (!list)
		return NULL;
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (const struct log_home *home = log->homes[i]; home; home = home->next) {
			for (uint32_t s = 0; s < XN_BLOCK_SECTORS; s++) {
				if (home->at[s])
					list[n++] = (struct sector_copy){
						home->block * XN_BLOCK_SECTORS + s, home->at[s]
					};
			}
		}
	}
	qsort(list, n, sizeof(*list), by_home);
	*count = n;
	return list;
}

#define HOME_RUN 64u

/* One run of neighbouring sectors; called without the lock. */
static int run_write(struct xn *xn, const struct sector_copy *list, size_t count)
{
	uint8_t bytes[HOME_RUN * XN_SECTOR_SIZE];

	for (size_t i = 0; i < count; i++)
		memcpy(bytes + i * XN_SECTOR_SIZE,
		       xn->log.area + (size_t)list[i].at * XN_SECTOR_SIZE, XN_SECTOR_SIZE);
	return device_write(xn, list->home * XN_SECTOR_SIZE, bytes, count * XN_SECTOR_SIZE);
}

/* What was read ahead of homes is what they were. */
static void homes_unread(struct xn *xn)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (const struct log_home *home = xn->log.homes[i]; home; home = home->next)
			ahead_forget(xn, home->block, 1);
	}
}

static int homes_write(struct xn *xn)
{
	size_t n = 0;
	struct sector_copy *list = homes_list(&xn->log, &n);
	int err = list ? 0 : -ENOMEM;

	pthread_mutex_unlock(&xn->lock);
	for (size_t at = 0; at < n && !err;) {
		size_t run = 1;

		while (at + run < n && run < HOME_RUN && list[at + run].home == list[at].home + run)
			run++;
		err = run_write(xn, list + at, run);
		at += run;
	}
	if (!err)
		err = device_flush(xn);
	pthread_mutex_lock(&xn->lock);
	xn->stats.flushes++;
	xn->stats.blocks_out += (n + XN_BLOCK_SECTORS - 1) / XN_BLOCK_SECTORS;
	homes_unread(xn);
	free(list);
	return err;
}

static int tails_store(struct xn *xn, const struct xn_log_tail *tail)
{
	int err = xn->broken;

	if (err)
		return err;
	pthread_mutex_unlock(&xn->lock);
	err = io_outcome(xn, xn_log_tails_write(xn->dev, &xn->super, tail));
	if (!err)
		err = device_flush(xn);
	pthread_mutex_lock(&xn->lock);
	xn->stats.flushes++;
	return err;
}

int log_checkpoint(struct xn *xn)
{
	struct log *log = &xn->log;
	struct xn_log_tail tail = { log->seq + 1, log->epoch };
	int err;

	assert(xn->wave);
	if (!log_live(xn))
		return 0;
	if (xn->broken)
		return xn->broken;
	xn->stats.log_checkpoints++;
	err = wave_flush(xn, MAP_CLAIMS);
	if (!err)
		err = homes_write(xn);
	if (!err)
		err = super_fence(xn);
	if (err)
		return err;
	log->doubtful = true;
	err = tails_store(xn, &tail);
	if (err)
		return err;
	log->seq = tail.seq;
	log->next = 1;
	log->doubtful = false;
	homes_forget(log);
	order_give_all(xn, &log->waiting);
	return 0;
}

int xn_checkpoint(struct xn_session *session)
{
	struct xn *xn = session->xn;
	int err = XN_EREADONLY;

	pthread_mutex_lock(&xn->lock);
	if (xn->writable) {
		wave_begin(xn);
		err = log_checkpoint(xn);
		wave_end(xn);
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/* ---- reading what is not at home yet ---- */

/* Copies of the sectors that the log holds of some blocks, taken before the blocks are read. */
struct log_patch {
	size_t n;
	struct patch_sector {
		uint64_t sector;
		uint8_t bytes[XN_SECTOR_SIZE];
	} v[];
};

int log_patch_take(const struct xn *xn, xn_blk_t start, uint64_t count, struct log_patch **out)
{
	const struct log *log = &xn->log;
	struct log_patch *patch;
	size_t n = 0;

	*out = NULL;
	if (!log_holds(xn, start, count))
		return 0;
	patch = malloc(sizeof(*patch) + count * XN_BLOCK_SECTORS * sizeof(patch->v[0]));
	if (!patch)
		return -ENOMEM;
	for (uint64_t b = 0; b < count; b++) {
		const struct log_home *home = home_find(log, start + b);

		for (uint32_t s = 0; home && s < XN_BLOCK_SECTORS; s++) {
			if (!home->at[s])
				continue;
			patch->v[n].sector = b * XN_BLOCK_SECTORS + s;
			memcpy(patch->v[n++].bytes,
			       log->area + (size_t)home->at[s] * XN_SECTOR_SIZE, XN_SECTOR_SIZE);
		}
	}
	patch->n = n;
	*out = patch;
	return 0;
}

/* Put them over what was read (NULL: it was not), and forget them. */
void log_patch_apply(struct log_patch *patch, void *bytes)
{
	for (size_t i = 0; patch && bytes && i < patch->n; i++)
		memcpy((uint8_t *)bytes + patch->v[i].sector * XN_SECTOR_SIZE, patch->v[i].bytes,
		       XN_SECTOR_SIZE);
	free(patch);
}
