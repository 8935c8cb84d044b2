/* SPDX-License-Identifier: MIT */
/*
 * What an honest, if erratic, LibFS does.
 */
#include "world.h"

#define UNWRITTEN_MAX 24u

static void sync_one(struct world *w, unsigned root);

/* A record of `o` that is empty (want_kind < 0), or holds that kind; false: none. */
static bool find_record(struct world *w, const struct object *o, int want, uint32_t *record)
{
	uint64_t at = pick(w, WORLD_SLOTS);

	for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
		uint32_t r = slot_record(o, at + s);
		uint64_t value = o->record[r];
		int have = !value ? -1 : T_CHILD(value) > T_NODE ? T_NODE : (int)T_CHILD(value);

		if (have != want)
			continue;
		*record = r;
		return true;
	}
	return false;
}

/* Up to `want` free blocks; 0: the disk is full. */
static uint64_t find_free(struct world *w, uint64_t want, xn_blk_t *start)
{
	struct xn_extent found;
	int err = xn_find_free(w->admin, pick(w, 2) ? 0 : pick(w, WORLD_BLOCKS), want, 1, &found);

	if (err == XN_ENOSPACE)
		return 0;
	EXPECT_RESULT(w, err, 0);
	EXPECT(w, found.count >= 1 && found.count <= want);
	for (xn_blk_t b = found.start; b < found.start + found.count; b++)
		EXPECT(w, w->kind[b] == K_FREE);
	*start = found.start;
	return found.count;
}

/* Did the update happen?  If it was refused, then for a reason that is true. */
static bool accepted(struct world *w, struct request *rq, const struct object *o, uint64_t blocks)
{
	struct xn_root_info info;
	bool over;
	int err;

	EXPECT_RESULT(w, xn_root_find(w->xn, o->root ? "b" : "a", &info), 0);
	over = info.quota && info.used + blocks > info.quota;
	err = request_run(rq, session_of(w, o));
	if (over && blocks) {
		EXPECT_RESULT(w, err, XN_EQUOTA);
		w->count.refused++;
		return false;
	}
	if (err == XN_ELOGFULL ||
	    err == XN_ECYCLE) { /* what must go together is too much, or waits */
		w->count.refused++;
		sync_one(w, o->root);
		return false;
	}
	if (err == XN_ECACHEFULL && blocks) {
		w->count.full++;
		relieve(w);
		return false;
	}
	if (err)
		fprintf(stderr, "%s\n", rq->why.text);
	EXPECT_RESULT(w, err, 0);
	w->count.accepted++;
	return true;
}

static void take_data(struct world *w, struct object *o)
{
	enum t_child child = pick(w, 8) ? T_DATA : T_RESERVED;
	struct request rq;
	uint32_t record;
	xn_blk_t start;
	uint64_t n;

	if (w->n_unwritten[o->root] > UNWRITTEN_MAX)
		write_unwritten(w, o->root);
	n = find_free(w, 1 + pick(w, 8), &start);
	if (!n || !find_record(w, o, -1, &record) || !object_need(w, o))
		return;
	request_begin(&rq);
	request_word(&rq, o->block, record * 8, T_POINTER(start, n, child));
	request_alloc(&rq, start, n, w->type[child]);
	if (!accepted(w, &rq, o, n))
		return;
	record_set(w, o, record, T_POINTER(start, n, child));
	blocks_take(w, o, start, n, child);
	if (child == T_DATA && pick(w, 4))
		data_write(w, o, record, start, n);
}

static void take_object(struct world *w, struct object *o)
{
	enum t_child child = pick(w, 4) ? T_NODE : T_PAIR;
	uint64_t n = child == T_PAIR ? 2 : 1;
	struct tail tail = { SERIAL_MAGIC, 0, w->next_serial };
	struct object *made;
	struct request rq;
	uint32_t record;

	if (o->depth >= 6 || w->n_objects[o->root] >= WORLD_OBJECTS ||
	    !find_record(w, o, -1, &record) || find_free(w, n, &tail.block) < n)
		return;
	request_begin(&rq);
	request_word(&rq, o->block, record * 8, T_POINTER(tail.block, n, child));
	request_edit(&rq, tail.block, tail_offset(child), &tail, sizeof(tail));
	request_alloc(&rq, tail.block, n, w->type[child]);
	if (!accepted(w, &rq, o, n))
		return;
	w->next_serial++;
	record_set(w, o, record, T_POINTER(tail.block, n, child));
	made = object_add(w, o->root, o, record, tail.block, child, tail.serial);
	if (pick(w, 2))
		(void)object_need(w, made);
}

/* A node that owns a node and data, all new, in one update. */
static void take_subtree(struct world *w, struct object *o)
{
	struct tail top = { SERIAL_MAGIC, 0, w->next_serial };
	struct tail low = { SERIAL_MAGIC, 0, w->next_serial + 1 };
	struct object *a;
	struct request rq;
	uint32_t record;
	xn_blk_t start;

	if (o->depth >= 5 || w->n_objects[o->root] + 2 > WORLD_OBJECTS ||
	    w->n_unwritten[o->root] > UNWRITTEN_MAX || !find_record(w, o, -1, &record) ||
	    find_free(w, 3, &start) < 3)
		return;
	top.block = start;
	low.block = start + 1;
	request_begin(&rq);
	request_word(&rq, o->block, record * 8, T_POINTER(top.block, 1, T_NODE));
	request_edit(&rq, top.block, T_NODE_RAW, &top, sizeof(top));
	request_word(&rq, top.block, 0, T_POINTER(low.block, 1, T_NODE));
	request_edit(&rq, low.block, T_NODE_RAW, &low, sizeof(low));
	request_word(&rq, low.block, 0, T_POINTER(start + 2, 1, T_DATA));
	request_alloc(&rq, start, 2, w->type[T_NODE]);
	request_alloc(&rq, start + 2, 1, XN_DATA);
	if (!accepted(w, &rq, o, 3))
		return;
	w->next_serial += 2;
	record_set(w, o, record, T_POINTER(top.block, 1, T_NODE));
	a = object_add(w, o->root, o, record, top.block, T_NODE, top.serial);
	record_set(w, a, 0, T_POINTER(low.block, 1, T_NODE));
	a = object_add(w, o->root, a, 0, low.block, T_NODE, low.serial);
	record_set(w, a, 0, T_POINTER(start + 2, 1, T_DATA));
	blocks_take(w, a, start + 2, 1, T_DATA);
}

static void free_data(struct world *w, struct object *o)
{
	struct request rq;
	uint64_t value, count, drop;
	uint32_t record;

	if (!find_record(w, o, pick(w, 8) ? T_DATA : T_RESERVED, &record))
		return;
	value = o->record[record];
	count = T_COUNT(value);
	drop = pick(w, 3) ? count : 1 + pick(w, count); /* some blocks of the end, or all */
	request_begin(&rq);
	request_word(&rq, o->block, record * 8,
		     drop == count ? 0 : value - ((unsigned long long)drop << 48));
	request_free(&rq, T_START(value) + count - drop, drop, w->type[T_CHILD(value)]);
	if (!accepted(w, &rq, o, 0))
		return;
	record_set(w, o, record, rq.words[0]);
	blocks_give(w, T_START(value) + count - drop, drop);
}

/* Old blocks out and new ones in, in one record and one update. */
static void replace_data(struct world *w, struct object *o)
{
	struct request rq;
	uint64_t value, n;
	uint32_t record;
	xn_blk_t start;

	if (w->n_unwritten[o->root] > UNWRITTEN_MAX || !find_record(w, o, T_DATA, &record))
		return;
	value = o->record[record];
	n = find_free(w, T_COUNT(value), &start);
	if (!n)
		return;
	request_begin(&rq);
	request_word(&rq, o->block, record * 8, T_POINTER(start, n, T_DATA));
	request_alloc(&rq, start, n, XN_DATA);
	request_free(&rq, T_START(value), T_COUNT(value), XN_DATA);
	if (!accepted(w, &rq, o, n))
		return;
	record_set(w, o, record, T_POINTER(start, n, T_DATA));
	blocks_give(w, T_START(value), T_COUNT(value));
	blocks_take(w, o, start, n, T_DATA);
	if (pick(w, 2))
		data_write(w, o, record, start, n);
}

static bool is_empty(const struct object *o)
{
	for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
		if (o->record[slot_record(o, s)])
			return false;
	}
	return true;
}

/* What hangs below stays bound: it may be used until the reaper comes by. */
static void leave_zombies(struct world *w, struct object *top)
{
	for (size_t i = 0; i < w->n_objects[top->root]; i++) {
		struct object *o = w->list[top->root][i], *up = o;

		while (up && up != top)
			up = up->parent;
		if (!up || !o->bound || w->n_zombies == WORLD_HELD || o == top)
			continue;
		w->zombie[w->n_zombies] = o->bound;
		w->zombie_object[w->n_zombies] = o->block;
		w->zombie_child[w->n_zombies] = o->child;
		w->zombie_root[w->n_zombies++] = o->root;
		o->bound = 0;
		w->n_bound[o->root]--;
	}
	for (size_t i = 0; i < w->n_objects[top->root]; i++) {
		struct object *o = w->list[top->root][i], *up = o;

		while (up && up != top)
			up = up->parent;
		if (up && (o != top || !pick(w, 2)))
			object_unbind(w, o);
	}
}

static void free_object(struct world *w, struct object *o)
{
	struct object *child;
	struct request rq;
	xn_binding_t bound;
	uint64_t value;
	uint32_t record;

	if (!find_record(w, o, T_NODE, &record))
		return;
	value = o->record[record];
	child = w->owner[T_START(value)];
	request_begin(&rq);
	request_word(&rq, o->block, record * 8, 0);
	request_free(&rq, T_START(value), T_COUNT(value), w->type[T_CHILD(value)]);
	if (is_empty(child)) {
		if (!object_need(w, child))
			return;
	} else {
		if (pick(w, 3)) /* keep the trees growing */
			return;
		rq.update.flags = XN_REAP;
		leave_zombies(w, child);
	}
	if (!object_need(w, o) || !accepted(w, &rq, o, 0))
		return;
	bound = child->bound;
	record_set(w, o, record, 0);
	subtree_remove(w, child);
	if (bound) {
		uint64_t version;

		EXPECT_RESULT(w, xn_version(session_of(w, o), bound, &version), XN_ESTALE);
		EXPECT_RESULT(w, xn_unbind(session_of(w, o), bound), 0);
		EXPECT_RESULT(w, xn_unbind(session_of(w, o), bound), XN_ESTALE);
	}
}

/* ---- moves, commits, dependencies ---- */

static bool hangs_below(const struct object *o, const struct object *top)
{
	while (o && o != top)
		o = o->parent;
	return o != NULL;
}

static void depths_set(struct world *w, unsigned root)
{
	for (size_t i = 0; i < w->n_objects[root]; i++) {
		struct object *o = w->list[root][i];

		o->depth = 0;
		for (const struct object *up = o->parent; up; up = up->parent)
			o->depth++;
	}
}

/* An object, with all that hangs below it, from one place to another of its root. */
static void move_object(struct world *w, struct object *o)
{
	struct object *to = object_pick(w, o->root), *child;
	uint32_t from_record, to_record;
	struct request rq;
	uint64_t value;
	int err;

	if (!find_record(w, o, T_NODE, &from_record) || !find_record(w, to, -1, &to_record) ||
	    !object_need(w, to) || !object_need(w, o) || !to->bound)
		return;
	value = o->record[from_record];
	child = w->owner[T_START(value)];
	request_begin(&rq);
	request_word(&rq, o->block, from_record * 8, 0);
	request_word(&rq, to->block, to_record * 8, value);
	err = request_run(&rq, session_of(w, o));
	if (hangs_below(to, child)) {
		EXPECT_RESULT(w, err, XN_ECYCLE);
		w->count.refused++;
		return;
	}
	if (err == XN_ELOGFULL || err == XN_ECYCLE) { /* a ring of those that wait */
		w->count.refused++;
		sync_one(w, o->root);
		return;
	}
	EXPECT_RESULT(w, err, 0);
	w->count.accepted++;
	w->count.moves++;
	record_set(w, o, from_record, 0);
	record_set(w, to, to_record, value);
	child->parent = to;
	child->parent_record = to_record;
	depths_set(w, o->root);
}

/* One object, and what it needs, durable. */
static void commit_one(struct world *w, struct object *o)
{
	struct xn_extent extent = { o->block, o->child == T_PAIR ? 2 : 1, w->type[o->child], 0 };
	int err;

	if (!o->bound)
		return;
	err = xn_commit(session_of(w, o), &extent, 1);
	EXPECT(w, err == 0 || (err == XN_ETAINTED && w->n_unwritten[o->root]));
	w->count.commits += err == 0;
}

static void wait_for(struct world *w, struct object *o)
{
	struct object *prior = object_pick(w, o->root);
	int err;

	if (!o->bound || !prior->bound || prior == o)
		return;
	err = xn_after(session_of(w, o), o->block, prior->block);
	EXPECT(w, err == 0 || err == XN_ECYCLE);
	w->count.waits += err == 0;
}

/* ---- data ---- */

static void write_data(struct world *w, struct object *o)
{
	uint64_t value, first, n;
	uint32_t record;

	if (!find_record(w, o, T_DATA, &record))
		return;
	value = o->record[record];
	first = pick(w, T_COUNT(value));
	n = 1 + pick(w, T_COUNT(value) - first);
	data_write(w, o, record, T_START(value) + first, n);
}

/* Some sectors of a block; of one that was never written, that is refused. */
static void write_part(struct world *w, struct object *o)
{
	uint8_t bytes[XN_BLOCK];
	uint64_t value, sector, n;
	xn_binding_t binding;
	uint32_t record, number = w->next_number;
	xn_blk_t block;
	int err;

	if (!find_record(w, o, T_DATA, &record))
		return;
	value = o->record[record];
	block = T_START(value) + pick(w, T_COUNT(value));
	sector = pick(w, WORLD_SECTORS);
	n = 1 + pick(w, WORLD_SECTORS - sector);
	if (n == WORLD_SECTORS)
		n--;
	for (uint64_t i = 0; i < n; i++)
		sector_fill(bytes + i * BDEV_SECTOR, block, o->serial, number);
	data_bind(w, o, record, block, 1, &binding);
	err = xn_write(session_of(w, o), binding, sector * BDEV_SECTOR, bytes, n * BDEV_SECTOR);
	EXPECT_RESULT(w, xn_unbind(session_of(w, o), binding), 0);
	if (err == XN_ECACHEFULL) {
		w->count.full++;
		relieve(w);
		return;
	}
	EXPECT_RESULT(w, err, w->written[block] ? 0 : XN_EUNINIT);
	if (err) {
		w->count.refused++;
		return;
	}
	w->next_number++;
	w->count.writes++;
	for (uint64_t i = 0; i < n; i++)
		w->number[block][sector + i] = number;
}

static void read_data(struct world *w, struct object *o)
{
	uint8_t bytes[8 * XN_BLOCK], wanted[XN_BLOCK];
	uint64_t value, skip, len;
	xn_binding_t binding;
	uint32_t record;
	int err;

	if (!find_record(w, o, T_DATA, &record))
		return;
	value = o->record[record];
	data_bind(w, o, record, T_START(value), T_COUNT(value), &binding);
	skip = pick(w, 2) ? 0 : pick(w, T_COUNT(value) * XN_BLOCK);
	len = T_COUNT(value) * XN_BLOCK - skip;
	err = xn_read(session_of(w, o), binding, skip, bytes + skip, len);
	if (w->n_held < WORLD_HELD && !pick(w, 4))
		w->held[w->n_held++] = (struct held){ binding,        o->root, T_START(value),
						      T_COUNT(value), false,   false };
	else
		EXPECT_RESULT(w, xn_unbind(session_of(w, o), binding), 0);
	if (err == XN_ECACHEFULL) {
		w->count.full++;
		relieve(w);
		return;
	}
	EXPECT_RESULT(w, err, 0);
	w->count.reads++;
	for (uint64_t i = skip / XN_BLOCK; i < T_COUNT(value); i++) {
		uint64_t from = i == skip / XN_BLOCK ? skip % XN_BLOCK : 0;

		block_expected(w, T_START(value) + i, wanted);
		EXPECT(w, !memcmp(bytes + i * XN_BLOCK + from, wanted + from, XN_BLOCK - from));
	}
}

/* A binding kept from before: good until its blocks were freed. */
static void use_held(struct world *w)
{
	uint8_t sector[BDEV_SECTOR], wanted[XN_BLOCK];
	size_t i = w->n_held ? (size_t)pick(w, w->n_held) : 0;
	int err;

	if (!w->n_held)
		return;
	err = xn_read(w->session[w->held[i].root], w->held[i].binding, 0, sector, sizeof(sector));
	if (err != XN_ECACHEFULL && (err || !w->held[i].reaped))
		EXPECT_RESULT(w, err, w->held[i].stale ? XN_ESTALE : 0);
	if (!err && !w->held[i].stale) {
		block_expected(w, w->held[i].start, wanted);
		EXPECT(w, !memcmp(sector, wanted, sizeof(sector)));
	}
	if (w->held[i].stale || !pick(w, 4))
		held_drop(w, i);
}

/* ---- write-back ---- */

/*
 * The root's own object waits for something.  If it is clean (and only xn_after() lets such
 * a one wait) there is nothing to write; a version that a sync froze may go, but only once.
 */
static void writeback_refused(struct world *w, struct object *o)
{
	struct xn_extent extent = { o->block, 1, w->type[o->child], 0 };
	uint64_t before = crashdev_writes(w->medium);
	int err = xn_writeback(session_of(w, o), &extent, 1);

	if (err == 0 && crashdev_writes(w->medium) == before) {
		EXPECT(w, w->count.waits > 0);
		return;
	}
	if (err == 0)
		err = xn_writeback(session_of(w, o), &extent, 1);
	EXPECT_RESULT(w, err, XN_ETAINTED);
	w->count.refused++;
}

static void writeback_some(struct world *w, struct object *o)
{
	struct xn_extent extents[4], blockers[4];
	unsigned n = 1 + (unsigned)pick(w, 3);
	int err, waits = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t value = o->record[slot_record(o, pick(w, WORLD_SLOTS))];

		extents[i] = (struct xn_extent){ o->block, 1, w->type[o->child], 0 };
		if (value)
			extents[i] = (struct xn_extent){ T_START(value), T_COUNT(value), 0, 0 };
	}
	if (o == w->root[o->root] || !pick(w, 8))
		waits = xn_blockers(session_of(w, o), o->block, blockers, 4);
	EXPECT(w, waits >= 0);
	err = xn_writeback(session_of(w, o), extents, n);
	if (err != XN_ETAINTED)
		EXPECT_RESULT(w, err, 0);
	if (waits > 0) /* making room in the log flushes */
		waits = xn_blockers(session_of(w, o), o->block, blockers, 4);
	if (o == w->root[o->root] && waits > 0)
		writeback_refused(w, o);
}

/* What is said to be writeable can be written. */
static void writeback_writeable(struct world *w, unsigned root)
{
	struct xn_extent extents[8];
	int n = xn_list_writeable(w->session[root], w->root_id[root], extents, 8);

	/* Of which nothing is bound, nothing is told. */
	EXPECT(w, (n >= 0 && n <= 8) || n == XN_ENOTBOUND);
	for (int i = 0; i < n; i++) {
		int err = xn_writeback(w->session[root], &extents[i], 1);

		if (err != XN_ENOTBOUND)
			EXPECT_RESULT(w, err, 0);
	}
}

static void sync_one(struct world *w, unsigned root)
{
	int err = xn_sync(w->admin, w->root_id[root]);

	w->count.syncs++;
	EXPECT_RESULT(w, err, w->n_unwritten[root] ? XN_ETAINTED : 0);
	if (!err)
		snapshot_take(w, root);
}

static void sync_all(struct world *w)
{
	bool tainted = w->n_unwritten[0] || w->n_unwritten[1];
	int err = xn_sync(w->admin, 0);

	w->count.syncs++;
	EXPECT_RESULT(w, err, tainted ? XN_ETAINTED : 0);
	for (unsigned r = 0; !err && r < WORLD_ROOTS; r++)
		snapshot_take(w, r);
}

/* ---- which ---- */

static void step_object(struct world *w)
{
	struct object *o = object_pick(w, (unsigned)pick(w, WORLD_ROOTS));
	uint64_t dice = pick(w, 100);

	if (!pick(w, 4))
		judge_object(w, o);
	if (dice < 22)
		take_data(w, o);
	else if (dice < 30)
		take_object(w, o);
	else if (dice < 33)
		take_subtree(w, o);
	else if (dice < 47)
		free_data(w, o);
	else if (dice < 54)
		free_object(w, o);
	else if (dice < 58)
		replace_data(w, o);
	else if (dice < 70)
		write_data(w, o);
	else if (dice < 76)
		write_part(w, o);
	else if (dice < 88)
		read_data(w, o);
	else if (dice < 92)
		writeback_some(w, o);
	else if (dice < 96)
		move_object(w, o);
	else if (dice < 97)
		commit_one(w, o);
	else if (dice < 98)
		wait_for(w, o);
	else if (o->parent)
		object_unbind(w, o);
}

void step(struct world *w)
{
	uint64_t dice = pick(w, 1000);

	w->op++;
	if (dice < 700)
		step_object(w);
	else if (dice < 950)
		step_lie(w);
	else if (dice < 965)
		use_held(w);
	else if (dice < 978)
		writeback_writeable(w, (unsigned)pick(w, WORLD_ROOTS));
	else if (dice < 987)
		EXPECT_RESULT(w, xn_flush(w->admin), 0);
	else if (dice < 991)
		sync_one(w, (unsigned)pick(w, WORLD_ROOTS));
	else if (dice < 993)
		sync_all(w);
	else if (dice < 997)
		world_reclaim(w, 1 + pick(w, 6));
	else
		w->count.reaped += xn_reap(w->admin, 1 + pick(w, 4)) >= 0;
	if (w->op % 4096 == 0)
		judge_memory(w);
	if (w->op % 9973 == 0)
		judge_settled(w);
	if (pick(w, 6000) == 0)
		world_crash(w);
	else if (pick(w, 15000) == 0)
		world_reopen(w);
}
