/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdarg.h>

#define STATES_EVERY 193u /* writes and flushes between two looks at the device */

/* ---- failing ---- */

void world_fail(struct world *w, const char *file, int line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: seed %llu, step %llu: ", file, line,
		(unsigned long long)w->first_seed, (unsigned long long)w->op);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

void world_expect_result(struct world *w, const char *file, int line, int got, int wanted,
			 const char *what)
{
	if (got != wanted)
		world_fail(w, file, line, "%s: %s, expected %s", what, xn_error_name(got),
			   xn_error_name(wanted));
}

uint64_t pick(struct world *w, uint64_t n)
{
	return chance(&w->seed) % n;
}

/* ---- objects ---- */

uint32_t tail_offset(enum t_child child)
{
	return child == T_PAIR ? T_PAIR_RAW : T_NODE_RAW;
}

uint32_t slot_record(const struct object *o, uint64_t slot)
{
	return (uint32_t)(slot % WORLD_SLOTS) * (o->n_records / WORLD_SLOTS);
}

struct xn_session *session_of(struct world *w, const struct object *o)
{
	return w->session[o->root];
}

struct object *object_add(struct world *w, unsigned root, struct object *parent, uint32_t record,
			  xn_blk_t block, enum t_child child, uint64_t serial)
{
	struct object *o = calloc(1, sizeof(*o));

	EXPECT(w, o);
	o->block = block;
	o->serial = serial;
	o->child = child;
	o->n_records = child == T_PAIR ? T_PAIR_RECORDS : T_NODE_RECORDS;
	o->record = calloc(o->n_records, sizeof(*o->record));
	EXPECT(w, o->record);
	o->parent = parent;
	o->parent_record = record;
	o->root = root;
	o->depth = parent ? parent->depth + 1 : 0;
	EXPECT(w, w->n_objects[root] < WORLD_LIST);
	w->list[root][w->n_objects[root]++] = o;
	w->kind[block] = K_OBJECT;
	w->owner[block] = o;
	w->owned++;
	if (child == T_PAIR) {
		w->kind[block + 1] = K_REST;
		w->owner[block + 1] = o;
		w->owned++;
	}
	return o;
}

void object_remove(struct world *w, struct object *o)
{
	size_t i = 0;

	while (w->list[o->root][i] != o)
		i++;
	w->list[o->root][i] = w->list[o->root][--w->n_objects[o->root]];
	if (o->bound)
		w->n_bound[o->root]--;
	for (uint32_t b = 0; b < (o->child == T_PAIR ? 2u : 1u); b++) {
		w->kind[o->block + b] = K_FREE;
		w->owner[o->block + b] = NULL;
		w->owned--;
	}
	free(o->record);
	free(o);
}

/* ---- records and blocks ---- */

void record_set(struct world *w, struct object *o, uint32_t record, uint64_t value)
{
	struct notes *notes = &w->notes[o->root];

	if (notes->n == notes->cap) {
		notes->cap = notes->cap ? notes->cap * 2 : 1024;
		notes->v = realloc(notes->v, notes->cap * sizeof(*notes->v));
		EXPECT(w, notes->v);
	}
	notes->v[notes->n++] = (struct note){ o->serial, value, record };
	o->record[record] = value;
}

void blocks_take(struct world *w, struct object *o, xn_blk_t start, uint64_t count,
		 enum t_child child)
{
	for (xn_blk_t b = start; b < start + count; b++) {
		EXPECT(w, w->kind[b] == K_FREE);
		w->kind[b] = child == T_DATA ? K_DATA : K_RESERVED;
		w->owner[b] = o;
		w->written[b] = false;
		memset(w->number[b], 0, sizeof(w->number[b]));
		w->n_unwritten[o->root] += child == T_DATA;
		w->owned++;
	}
}

void blocks_give(struct world *w, xn_blk_t start, uint64_t count)
{
	for (xn_blk_t b = start; b < start + count; b++) {
		EXPECT(w, w->kind[b] == K_DATA || w->kind[b] == K_RESERVED);
		if (w->kind[b] == K_DATA && !w->written[b])
			w->n_unwritten[w->owner[b]->root]--;
		w->kind[b] = K_FREE;
		w->owner[b] = NULL;
		w->owned--;
	}
	for (size_t i = 0; i < w->n_held; i++) {
		struct held *h = &w->held[i];

		if (h->start < start + count && start < h->start + h->count)
			h->stale = true;
	}
}

/* Deepest first, without recursion: descend to an object that owns no object. */
static struct object *child_below(struct world *w, struct object *o)
{
	for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
		uint64_t value = o->record[slot_record(o, s)];

		if (value && T_CHILD(value) >= T_NODE)
			return w->owner[T_START(value)];
	}
	return NULL;
}

void subtree_remove(struct world *w, struct object *top)
{
	struct object *o = top;

	while (o) {
		struct object *below = child_below(w, o);
		struct object *up = o == top ? NULL : o->parent;
		uint32_t record = o->parent_record;

		if (below) {
			o = below;
			continue;
		}
		for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
			uint64_t value = o->record[slot_record(o, s)];

			if (value)
				blocks_give(w, T_START(value), T_COUNT(value));
		}
		for (size_t i = 0; i < w->n_held; i++)
			w->held[i].reaped |= w->held[i].stale;
		object_remove(w, o);
		if (up)
			up->record[record] = 0;
		o = up;
	}
}

/* ---- bytes ---- */

void sector_fill(uint8_t *sector, xn_blk_t block, uint64_t serial, uint32_t number)
{
	struct stamp stamp = { STAMP_MAGIC, block, serial, number };

	memset(sector, (int)(number & 0x7f), BDEV_SECTOR);
	memcpy(sector, &stamp, sizeof(stamp));
}

void block_expected(const struct world *w, xn_blk_t block, uint8_t *bytes)
{
	memset(bytes, 0, XN_BLOCK);
	for (uint32_t s = 0; s < WORLD_SECTORS; s++) {
		if (w->number[block][s])
			sector_fill(bytes + s * BDEV_SECTOR, block, w->owner[block]->serial,
				    w->number[block][s]);
	}
}

/* ---- binding ---- */

void object_unbind(struct world *w, struct object *o)
{
	if (!o->bound)
		return;
	EXPECT_RESULT(w, xn_unbind(session_of(w, o), o->bound), 0);
	o->bound = 0;
	w->n_bound[o->root]--;
}

/* Let go of some bound objects, not of `keep` or what it hangs on. */
static void unbind_some(struct world *w, unsigned root, const struct object *keep, size_t down_to)
{
	size_t n = w->n_objects[root], at = (size_t)pick(w, n);

	for (size_t i = 0; i < n && w->n_bound[root] > down_to; i++) {
		struct object *o = w->list[root][(at + i) % n];
		const struct object *k = keep;

		while (k && k != o)
			k = k->parent;
		if (!k && o->parent)
			object_unbind(w, o);
	}
}

static int bind_one(struct world *w, struct object *o)
{
	struct xn_bind_request request = { .access = XN_READ | XN_WRITE | XN_READIN };

	if (!o->parent)
		return xn_bind_root(session_of(w, o), o->root ? "b" : "a",
				    XN_READ | XN_WRITE | XN_READIN, &o->bound, &o->block);
	request.owner = o->parent->block;
	request.record = o->parent_record;
	request.extent =
		(struct xn_extent){ o->block, o->child == T_PAIR ? 2 : 1, w->type[o->child], 0 };
	return xn_bind(session_of(w, o), &request, &o->bound);
}

bool object_need(struct world *w, struct object *o)
{
	struct object *path[64];
	size_t n = 0;

	for (struct object *at = o; at && !at->bound; at = at->parent)
		path[n++] = at;
	while (n > 0) {
		struct object *next = path[n - 1];
		int err;

		if (w->n_bound[o->root] >= WORLD_BOUND)
			unbind_some(w, o->root, next, WORLD_BOUND / 2);
		if (next->parent && !next->parent->bound)
			return object_need(w, o);
		err = bind_one(w, next);
		if (err == XN_ECACHEFULL) {
			w->count.full++;
			next->bound = 0;
			return false;
		}
		EXPECT_RESULT(w, err, 0);
		w->n_bound[o->root]++;
		n--;
	}
	return true;
}

/*
 * When what is pinned, or waits for blocks that nobody wrote yet, fills the cache,
 * only closing helps: it has frames of its own.
 */
static bool need_after_relief(struct world *w, struct object *o)
{
	relieve(w);
	if (object_need(w, o))
		return true;
	w->count.stuck++;
	world_reopen(w);
	return object_need(w, o);
}

struct object *object_pick(struct world *w, unsigned root)
{
	struct object *o = w->list[root][pick(w, w->n_objects[root])];

	/* Mostly stay with what is at hand, as file systems do. */
	for (int i = 0; i < 3 && !o->bound; i++)
		o = w->list[root][pick(w, w->n_objects[root])];
	EXPECT(w, object_need(w, o) || need_after_relief(w, o));
	return o;
}

bool data_bind(struct world *w, struct object *o, uint32_t record, xn_blk_t start, uint64_t count,
	       xn_binding_t *binding)
{
	struct xn_bind_request request = { .owner = o->block,
					   .record = record,
					   .access = XN_READ | XN_WRITE,
					   .extent = { start, count, XN_DATA, 0 } };

	EXPECT_RESULT(w, xn_bind(session_of(w, o), &request, binding), 0);
	return true;
}

static void number_blocks(struct world *w, struct object *o, xn_blk_t start, uint64_t count,
			  uint8_t *bytes)
{
	uint32_t number = w->next_number++;

	for (uint64_t i = 0; i < count * WORLD_SECTORS; i++)
		sector_fill(bytes + i * BDEV_SECTOR, start + i / WORLD_SECTORS, o->serial, number);
}

static void note_written(struct world *w, xn_blk_t start, uint64_t count, uint32_t number)
{
	for (xn_blk_t b = start; b < start + count; b++) {
		if (!w->written[b])
			w->n_unwritten[w->owner[b]->root]--;
		w->written[b] = true;
		for (uint32_t s = 0; s < WORLD_SECTORS; s++)
			w->number[b][s] = number;
	}
}

/* All of `count` blocks of a record, whole. */
void data_write(struct world *w, struct object *o, uint32_t record, xn_blk_t start, uint64_t count)
{
	uint8_t bytes[8 * XN_BLOCK];
	xn_binding_t binding;
	int err;

	data_bind(w, o, record, start, count, &binding);
	number_blocks(w, o, start, count, bytes);
	err = xn_write(session_of(w, o), binding, 0, bytes, count * XN_BLOCK);
	if (err == XN_ECACHEFULL) {
		w->count.full++;
		relieve(w);
		err = xn_write(session_of(w, o), binding, 0, bytes, count * XN_BLOCK);
	}
	if (err == XN_ECACHEFULL) {
		w->count.stuck++;
		world_reopen(w); /* which wrote zeroes */
		return;
	}
	EXPECT_RESULT(w, err, 0);
	note_written(w, start, count, w->next_number - 1);
	w->count.writes++;
	EXPECT_RESULT(w, xn_unbind(session_of(w, o), binding), 0);
}

/* Give every data block of a root a content. */
void write_unwritten(struct world *w, unsigned root)
{
	for (size_t i = 0; i < w->n_objects[root] && w->n_unwritten[root]; i++) {
		struct object *o = w->list[root][i];

		for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
			uint32_t record = slot_record(o, s);
			uint64_t value = o->record[record];
			bool some = false;

			for (uint64_t b = 0;
			     value && T_CHILD(value) == T_DATA && b < T_COUNT(value); b++)
				some |= !w->written[T_START(value) + b];
			if (!some)
				continue;
			EXPECT(w, object_need(w, o) || need_after_relief(w, o));
			data_write(w, o, record, T_START(value), T_COUNT(value));
		}
	}
	EXPECT(w, w->n_unwritten[root] == 0);
}

void relieve(struct world *w)
{
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		unbind_some(w, r, NULL, 4);
	while (w->n_held)
		held_drop(w, 0);
	while (w->n_zombies) {
		size_t i = --w->n_zombies;

		EXPECT_RESULT(w, xn_unbind(w->session[w->zombie_root[i]], w->zombie[i]), 0);
	}
	(void)xn_sync(w->admin, 0); /* what is tainted stays */
	while (xn_reap(w->admin, 100) > 0)
		;
}

void held_drop(struct world *w, size_t i)
{
	EXPECT_RESULT(w, xn_unbind(w->session[w->held[i].root], w->held[i].binding), 0);
	w->held[i] = w->held[--w->n_held];
}

void world_forget_bindings(struct world *w)
{
	for (unsigned r = 0; r < WORLD_ROOTS; r++) {
		for (size_t i = 0; i < w->n_objects[r]; i++)
			w->list[r][i]->bound = 0;
		w->n_bound[r] = 0;
	}
	w->n_held = w->n_zombies = 0;
}

/* ---- the disk ---- */

void world_open(struct world *w)
{
	char why[200] = "";
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = XN_CACHE_MIN,
				     .why = why,
				     .why_size = sizeof(why) };
	struct xn_cred cred = { 0 };

	bdev_check_reset(w->rules);
	EXPECT_RESULT(w, xn_open_dev(w->rules, &opts, &w->xn), 0);
	EXPECT_RESULT(w, xn_session_open(w->xn, &cred, XN_SESSION_ADMIN, &w->admin), 0);
	for (unsigned r = 0; r < WORLD_ROOTS; r++) {
		cred.uid = cred.gid = 100 + r;
		EXPECT_RESULT(w, xn_session_open(w->xn, &cred, 0, &w->session[r]), 0);
	}
}

static void world_root(struct world *w, unsigned r)
{
	struct xn_root_spec spec = { .name = r ? "b" : "a",
				     .libfs = "walk",
				     .type = w->type[T_NODE],
				     .uid = 100 + r,
				     .gid = 100 + r,
				     .mode = 0600,
				     .quota = r ? 600 : 0,
				     .now_ns = 1 };
	struct tail tail = { SERIAL_MAGIC, 0, w->next_serial++ };
	struct xn_root_info info;
	struct request rq;

	EXPECT_RESULT(w, xn_root_create(w->admin, &spec, &info), 0);
	w->root_id[r] = info.id;
	w->root[r] = object_add(w, r, NULL, 0, info.object, T_NODE, tail.serial);
	EXPECT(w, object_need(w, w->root[r]));
	tail.block = info.object;
	request_begin(&rq);
	request_edit(&rq, info.object, T_NODE_RAW, &tail, sizeof(tail));
	EXPECT_RESULT(w, request_run(&rq, w->session[r]), 0);
}

static void world_hook(void *context, struct bdev *dev, enum bdev_op op)
{
	struct world *w = context;

	(void)dev, (void)op;
	if (++w->hook_count % STATES_EVERY)
		return;
	judge_device(w, w->hook_count / STATES_EVERY % 4 == 0 ? 0 : w->hook_count);
}

void world_init(struct world *w, uint64_t seed)
{
	struct xn_format_opts format = { .label = "walk", .force = true };
	struct xn_disk_info info;

	memset(w, 0, sizeof(*w));
	w->seed = w->first_seed = seed;
	w->next_number = w->next_serial = 1;
	EXPECT_RESULT(w, crashdev_create((uint64_t)WORLD_BLOCKS * XN_BLOCK, &w->medium), 0);
	EXPECT_RESULT(w, bdev_check_create(w->medium, &w->rules), 0);
	EXPECT_RESULT(w, xn_format(w->rules, &format), 0);
	world_open(w);
	install_types(w->admin, w->type);
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		world_root(w, r);
	EXPECT_RESULT(w, xn_sync(w->admin, 0), 0);
	EXPECT_RESULT(w, xn_disk_info(w->xn, &info), 0);
	w->room = info.free_blocks + w->owned;
	for (unsigned r = 0; r < WORLD_ROOTS; r++)
		snapshot_take(w, r);
	crashdev_hook_set(w->medium, world_hook, w);
}

void world_fini(struct world *w)
{
	world_reopen(w);
	EXPECT_RESULT(w, xn_close(w->xn), 0);
	for (unsigned r = 0; r < WORLD_ROOTS; r++) {
		while (w->n_objects[r])
			object_remove(w, w->list[r][0]);
		for (size_t i = 0; i < w->snapshot[r].n; i++)
			free(w->snapshot[r].v[i].record);
		free(w->notes[r].v);
	}
	medium_types_fini(&w->types);
	bdev_close(w->rules);
}
