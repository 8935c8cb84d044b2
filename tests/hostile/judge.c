/* SPDX-License-Identifier: MIT */
#include "world.h"

/* ---- snapshots: what a sync promised ---- */

void snapshot_take(struct world *w, unsigned root)
{
	struct snapshot *snapshot = &w->snapshot[root];

	for (size_t i = 0; i < snapshot->n; i++)
		free(snapshot->v[i].record);
	snapshot->n = 0;
	w->notes[root].n = 0;
	for (size_t i = 0; i < w->n_objects[root]; i++) {
		const struct object *o = w->list[root][i];
		struct copy *copy = &snapshot->v[snapshot->n++];
		size_t size = o->n_records * sizeof(*o->record);

		*copy = (struct copy){ o->serial, o->n_records, malloc(size) };
		EXPECT(w, copy->record);
		memcpy(copy->record, o->record, size);
	}
	for (xn_blk_t b = 0; b < WORLD_BLOCKS; b++) {
		if (w->kind[b] == K_FREE)
			memset(w->synced[b], 0, sizeof(w->synced[b]));
		else if (w->kind[b] == K_DATA && w->owner[b]->root == root)
			memcpy(w->synced[b], w->number[b], sizeof(w->synced[b]));
	}
}

static const struct copy *snapshot_find(const struct world *w, unsigned root, uint64_t serial)
{
	for (size_t i = 0; i < w->snapshot[root].n; i++) {
		if (w->snapshot[root].v[i].serial == serial)
			return &w->snapshot[root].v[i];
	}
	return NULL;
}

static bool noted(const struct world *w, unsigned root, uint64_t serial, uint32_t record,
		  uint64_t value)
{
	const struct notes *notes = &w->notes[root];

	for (size_t i = 0; i < notes->n; i++) {
		if (notes->v[i].serial == serial && notes->v[i].record == record &&
		    notes->v[i].value == value)
			return true;
	}
	return false;
}

/* ---- memory ---- */

void judge_object(struct world *w, struct object *o)
{
	const void *bytes;
	size_t len;

	EXPECT_RESULT(w, xn_map(session_of(w, o), o->bound, &bytes, &len), 0);
	EXPECT(w, !memcmp(bytes, o->record, o->n_records * sizeof(*o->record)));
}

void judge_memory(struct world *w)
{
	struct xn_disk_info info;
	struct xn_stats stats;
	char text[200] = "";

	if (xn_self_check(w->xn, text, sizeof(text)))
		world_fail(w, __FILE__, __LINE__, "%s", text);
	EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
	EXPECT(w, !info.damaged);
	EXPECT(w, info.free_blocks + w->owned <= w->room);
	xn_stats(w->xn, &stats);
	EXPECT(w, stats.cache_bytes <= stats.cache_limit);
}

static void judge_map(struct world *w)
{
	uint8_t map[XN_CHUNK_BLOCKS / 8];

	EXPECT_RESULT(w, xn_chunk_map(w->xn, 0, map), 0);
	for (xn_blk_t b = 0; b < WORLD_BLOCKS; b++) {
		if (w->kind[b] != K_FREE)
			EXPECT(w, map[b / 8] >> (b % 8) & 1);
	}
}

void judge_settled(struct world *w)
{
	struct xn_disk_info info;

	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		write_unwritten(w, r);
	world_reclaim(w, UINT64_MAX);
	for (int i = 0; i < 3; i++) {
		EXPECT_RESULT(w, xn_sync(w->admin, 0), 0);
		while (xn_reap(w->admin, 7) > 0)
			w->count.reaped++;
	}
	EXPECT_RESULT(w, xn_checkpoint(w->admin), 0);
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		snapshot_take(w, r);
	EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
	/* What still waits, waits for the intent log's records to be retired. */
	EXPECT(w, info.will_free < WORLD_BLOCKS / 4);
	info.free_blocks += info.will_free;
	if (info.free_blocks + w->owned != w->room)
		world_fail(w, __FILE__, __LINE__, "%llu blocks free, %llu owned, %llu there are",
			   (unsigned long long)info.free_blocks, (unsigned long long)w->owned,
			   (unsigned long long)w->room);
	judge_map(w);
	judge_memory(w);
}

/* ---- the device ---- */

struct look {
	struct world *w;
	const uint8_t *bytes;
};

static const char *tail_read(const struct look *look, uint64_t block, uint32_t type,
			     struct tail *tail)
{
	uint32_t at = tail_offset(type == look->w->type[T_PAIR] ? T_PAIR : T_NODE);

	memcpy(tail, look->bytes + block * XN_BLOCK + at, sizeof(*tail));
	if (tail->magic != SERIAL_MAGIC)
		return "an object that was never written";
	return tail->block == block ? NULL : "an object of another place";
}

static bool sector_is_zero(const uint8_t *sector)
{
	return sector[0] == 0 && !memcmp(sector, sector + 1, BDEV_SECTOR - 1);
}

static const char *data_look(const struct look *look, const uint8_t *block, uint64_t at,
			     uint64_t serial)
{
	for (uint32_t s = 0; s < WORLD_SECTORS; s++) {
		const uint8_t *sector = block + s * BDEV_SECTOR;
		uint8_t wanted[BDEV_SECTOR];
		struct stamp stamp;

		(void)look;
		if (sector_is_zero(sector))
			continue; /* written so by xn_close() */
		memcpy(&stamp, sector, sizeof(stamp));
		if (stamp.magic != STAMP_MAGIC)
			return "data that nobody wrote";
		if (stamp.block != at || stamp.owner != serial)
			return "data of another block or owner";
		sector_fill(wanted, at, serial, (uint32_t)stamp.number);
		if (memcmp(sector, wanted, sizeof(wanted)))
			return "a torn sector";
	}
	return NULL;
}

static const char *look_visit(void *context, const struct medium_item *item)
{
	const struct look *look = context;
	const char *text = NULL;
	struct tail tail = { 0 };

	if (item->type == XN_RESERVED)
		return NULL;
	if (item->type != XN_DATA)
		return tail_read(look, item->start, item->type, &tail);
	text = tail_read(look, item->owner, item->owner_type, &tail);
	for (uint64_t i = 0; i < item->count && !text; i++)
		text = data_look(look, item->bytes + i * XN_BLOCK, item->start + i, tail.serial);
	return text;
}

void judge_device(struct world *w, uint64_t seed)
{
	struct look look = { w, crashdev_state_begin(w->medium, seed) };
	struct medium_report report;

	if (medium_check(look.bytes, crashdev_size(w->medium), &w->types, look_visit, &look,
			 &report))
		world_fail(w, __FILE__, __LINE__, "crash state %llu: truth %d: %s",
			   (unsigned long long)seed, report.truth, report.text);
	crashdev_state_end(w->medium);
	w->count.states++;
}

/* ---- after a crash: the tree is one that may be ---- */

static void recover_data(struct world *w, struct object *o, uint64_t value)
{
	const uint8_t *disk = crashdev_now(w->medium);

	blocks_take(w, o, T_START(value), T_COUNT(value), (enum t_child)T_CHILD(value));
	for (xn_blk_t b = T_START(value); b < T_START(value) + T_COUNT(value); b++) {
		if (T_CHILD(value) != T_DATA)
			continue;
		for (uint32_t s = 0; s < WORLD_SECTORS; s++) {
			struct stamp stamp;

			memcpy(&stamp, disk + b * XN_BLOCK + s * BDEV_SECTOR, sizeof(stamp));
			w->number[b][s] = (uint32_t)stamp.number;
			if (stamp.number < w->synced[b][s])
				world_fail(w, __FILE__, __LINE__,
					   "block %llu holds write %llu, %u was synced",
					   (unsigned long long)b, (unsigned long long)stamp.number,
					   w->synced[b][s]);
		}
		w->written[b] = true;
		w->n_unwritten[o->root]--;
	}
}

static void recover_record(struct world *w, struct object *o, const struct copy *copy,
			   uint32_t record, uint64_t value)
{
	uint64_t was = copy ? copy->record[record] : 0;
	struct tail tail;

	if (value != was && !noted(w, o->root, o->serial, record, value))
		world_fail(w, __FILE__, __LINE__,
			   "record %u of object %llu (serial %llu) holds %llx, never so since the "
			   "sync, when it was %llx",
			   record, (unsigned long long)o->block, (unsigned long long)o->serial,
			   (unsigned long long)value, (unsigned long long)was);
	o->record[record] = value;
	if (!value)
		return;
	if (T_CHILD(value) < T_NODE) {
		recover_data(w, o, value);
		return;
	}
	memcpy(&tail,
	       crashdev_now(w->medium) + T_START(value) * XN_BLOCK +
		       tail_offset((enum t_child)T_CHILD(value)),
	       sizeof(tail));
	object_add(w, o->root, o, record, T_START(value), (enum t_child)T_CHILD(value),
		   tail.serial);
}

static void recover_object(struct world *w, struct object *o)
{
	const struct copy *copy = snapshot_find(w, o->root, o->serial);
	const uint8_t *bytes = crashdev_now(w->medium) + o->block * XN_BLOCK;

	for (uint32_t i = 0; i < o->n_records; i++) {
		uint64_t value;

		memcpy(&value, bytes + (size_t)i * 8, sizeof(value));
		if (value || copy)
			recover_record(w, o, copy, i, value);
	}
}

/* Was there at the last sync, and is still: a crash cannot lose it, wherever it moved. */
static size_t kept_serials(const struct world *w, unsigned r, uint64_t serials[WORLD_LIST])
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_objects[r]; i++) {
		if (snapshot_find(w, r, w->list[r][i]->serial))
			serials[n++] = w->list[r][i]->serial;
	}
	return n;
}

static void must_be_there(struct world *w, unsigned r, uint64_t serial)
{
	for (size_t i = 0; i < w->n_objects[r]; i++) {
		if (w->list[r][i]->serial == serial)
			return;
	}
	world_fail(w, __FILE__, __LINE__, "the object of serial %llu is lost",
		   (unsigned long long)serial);
}

static void recover_root(struct world *w, unsigned r)
{
	xn_blk_t block = w->root[r]->block;
	uint64_t serial = w->root[r]->serial;
	uint64_t kept[WORLD_LIST];
	size_t n_kept = kept_serials(w, r, kept);

	while (w->n_objects[r])
		object_remove(w, w->list[r][0]);
	w->n_bound[r] = 0;
	w->root[r] = object_add(w, r, NULL, 0, block, T_NODE, serial);
	for (size_t i = 0; i < w->n_objects[r]; i++) /* grows as children are met */
		recover_object(w, w->list[r][i]);
	for (size_t i = 0; i < n_kept; i++)
		must_be_there(w, r, kept[i]);
}

static void forget_blocks(struct world *w)
{
	for (xn_blk_t b = 0; b < WORLD_BLOCKS; b++) {
		if (w->kind[b] == K_DATA || w->kind[b] == K_RESERVED) {
			w->kind[b] = K_FREE;
			w->owned--;
		}
	}
	memset(w->n_unwritten, 0, sizeof(w->n_unwritten));
}

/* The program that people will ask agrees. */
static void judge_fsck(struct world *w)
{
	char text[400];
	const char *complaint = fsck_complaint(w->medium, text, sizeof(text));

	if (complaint)
		world_fail(w, __FILE__, __LINE__, "%s", complaint);
	if (bdev_check_violations(w->rules, &complaint))
		world_fail(w, __FILE__, __LINE__, "the order of writes: %s", complaint);
}

/* Look for what the crash lost. */
void world_reclaim(struct world *w, uint64_t budget)
{
	int more = xn_reclaim(w->admin, budget, NULL);

	EXPECT(w, more == 0 || more == 1);
	EXPECT(w, more == 0 || budget < UINT64_MAX);
	w->count.reclaims += more;
}

void world_crash(struct world *w)
{
	uint64_t seed = chance(&w->seed);
	struct xn_disk_info info;

	judge_device(w, seed);
	xn_abandon(w->xn);
	crashdev_crash(w->medium, seed);
	judge_fsck(w);
	medium_log_settle(crashdev_now(w->medium), crashdev_size(w->medium));
	forget_blocks(w);
	world_open(w); /* and what the intent log holds is at its place */
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		recover_root(w, r);
	world_forget_bindings(w);
	EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
	EXPECT(w, !info.damaged && !info.was_clean);
	EXPECT(w, info.reclaimable && info.free_blocks + w->owned <= w->room);
	if (pick(w, 2)) { /* else it goes on while the disk is used */
		world_reclaim(w, UINT64_MAX);
		EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
		EXPECT(w, info.free_blocks + w->owned == w->room);
	}
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		snapshot_take(w, r);
	w->count.crashes++;
}

/* Closing writes everything: what was never written as zeroes. */
void world_reopen(struct world *w)
{
	struct xn_disk_info info;
	struct xn_stats stats;

	xn_stats(w->xn, &stats);
	w->count.evictions += stats.evictions;
	EXPECT_RESULT(w, xn_close(w->xn), 0);
	judge_device(w, 0);
	judge_fsck(w);
	world_forget_bindings(w);
	for (xn_blk_t b = 0; b < WORLD_BLOCKS; b++) {
		if (w->kind[b] == K_DATA)
			w->written[b] = true;
	}
	memset(w->n_unwritten, 0, sizeof(w->n_unwritten));
	world_open(w);
	EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
	EXPECT(w, info.was_clean && !info.damaged);
	EXPECT(w, info.free_blocks + w->owned == w->room ||
			  (info.reclaimable && info.free_blocks + w->owned < w->room));
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		snapshot_take(w, r);
	w->count.reopens++;
}
