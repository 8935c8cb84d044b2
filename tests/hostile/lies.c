/* SPDX-License-Identifier: MIT */
/*
 * What a hostile LibFS tries.  Each lie is refused by the name that is true of it,
 * and changes nothing.
 */
#include "world.h"

#include <errno.h>

/* An empty record of `o`, a used one of that child, or false. */
static bool empty_record(struct world *w, const struct object *o, uint32_t *record)
{
	*record = slot_record(o, pick(w, WORLD_SLOTS));
	return o->record[*record] == 0;
}

static bool used_record(struct world *w, const struct object *o, enum t_child child,
			uint32_t *record)
{
	uint64_t at = pick(w, WORLD_SLOTS);

	for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
		*record = slot_record(o, at + s);
		if (o->record[*record] && T_CHILD(o->record[*record]) == child)
			return true;
	}
	return false;
}

/* The first of four free blocks; where there are none, some that never were anybody's. */
static xn_blk_t some_free(struct world *w)
{
	xn_blk_t at = 300 + pick(w, WORLD_BLOCKS - 304), run = 0;

	for (xn_blk_t b = at; b < WORLD_BLOCKS - 4; b++) {
		run = w->kind[b] == K_FREE ? run + 1 : 0;
		if (run == 4)
			return b - 3;
	}
	return 0;
}

static void refused_run(struct world *w, struct object *o, struct request *rq, int wanted)
{
	int err = request_run(rq, session_of(w, o));

	if (err != wanted)
		fprintf(stderr, "refusal: %s\n", rq->why.text);
	EXPECT_RESULT(w, err, wanted);
	EXPECT(w, rq->why.error == wanted && rq->why.text[0]);
	w->count.refused++;
}

/* ---- pointers and declarations that differ ---- */

static void pointer_not_declared(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t start = some_free(w);
	uint32_t record;

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 1 + pick(w, 4), pick(w, 3)));
	refused_run(w, o, rq, XN_EOWNS);
}

static void declaration_without_pointer(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t start = some_free(w);

	if (!start)
		return;
	request_word(rq, o->block, tail_offset(o->child) + 32, w->op);
	request_alloc(rq, start, 1, w->type[pick(w, 3)]);
	refused_run(w, o, rq, XN_EOWNS);
}

static void another_count(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t start = some_free(w);
	uint32_t record;

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 2, T_DATA));
	request_alloc(rq, start, pick(w, 2) ? 1 : 3, XN_DATA);
	refused_run(w, o, rq, XN_EOWNS);
}

static void another_type(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t start = some_free(w);
	uint32_t record;

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 2, T_DATA));
	request_alloc(rq, start, 2, w->type[pick(w, 2) ? T_RESERVED : T_PAIR]);
	refused_run(w, o, rq, XN_EOWNS);
}

static void free_without_edit(struct world *w, struct object *o, struct request *rq)
{
	uint32_t record;

	if (!used_record(w, o, T_DATA, &record))
		return;
	request_word(rq, o->block, tail_offset(o->child) + 32, w->op);
	request_free(rq, T_START(o->record[record]), 1, XN_DATA);
	refused_run(w, o, rq, XN_EOWNS);
}

static void edit_without_free(struct world *w, struct object *o, struct request *rq)
{
	uint32_t record;

	if (!used_record(w, o, (enum t_child)pick(w, 3), &record))
		return;
	request_word(rq, o->block, record * 8, 0);
	refused_run(w, o, rq, XN_EOWNS);
}

static void free_of_anothers(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = pick(w, WORLD_BLOCKS);
	uint32_t record;

	if (w->kind[block] != K_DATA || w->owner[block] == o || !used_record(w, o, T_DATA, &record))
		return;
	request_word(rq, o->block, record * 8, 0);
	request_free(rq, block, 1, XN_DATA);
	refused_run(w, o, rq, XN_EOWNS);
}

/* ---- blocks that are not to be had ---- */

static void block_in_use(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = 1 + pick(w, WORLD_BLOCKS - 1);
	uint32_t record;

	if (w->kind[block] == K_FREE || w->owner[block] == o || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(block, 1, T_DATA));
	request_alloc(rq, block, 1, XN_DATA);
	refused_run(w, o, rq, XN_ENOTFREE);
}

static void block_of_xn(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = 1 + pick(w, 8);
	uint32_t record;

	if (!empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(block, 1, T_DATA));
	request_alloc(rq, block, 1, XN_DATA);
	refused_run(w, o, rq, XN_ENOTFREE);
}

static void block_twice(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = some_free(w);
	uint32_t record;

	if (!block || !empty_record(w, o, &record) || record + 1 >= o->n_records)
		return;
	request_word(rq, o->block, record * 8, T_POINTER(block, 1, T_DATA));
	request_word(rq, o->block, record * 8 + 8, T_POINTER(block, 1, T_DATA));
	request_alloc(rq, block, 1, XN_DATA);
	refused_run(w, o, rq, XN_EOWNS);
}

static void outside_the_disk(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = pick(w, 2) ? WORLD_BLOCKS - 1 : (1ull << 47) + pick(w, 1ull << 47);
	uint32_t record;

	if (!empty_record(w, o, &record))
		return;
	if (block > 0xfffffffffff0ull)
		block = WORLD_BLOCKS;
	request_word(rq, o->block, record * 8, T_POINTER(block, 2, T_DATA));
	request_alloc(rq, block, 2, XN_DATA);
	refused_run(w, o, rq, -ERANGE);
}

/* ---- nonsense ---- */

static void unknown_type(struct world *w, struct object *o, struct request *rq)
{
	uint32_t record;
	xn_blk_t start = some_free(w);

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 1, T_DATA));
	request_alloc(rq, start, 1, 9999);
	refused_run(w, o, rq, XN_ETYPE);
}

static void half_an_object(struct world *w, struct object *o, struct request *rq)
{
	uint32_t record;
	xn_blk_t start = some_free(w);

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 3, T_PAIR));
	request_alloc(rq, start, 3, w->type[T_PAIR]);
	refused_run(w, o, rq, XN_ETYPE);
}

static void malformed(struct world *w, struct object *o, struct request *rq)
{
	uint32_t record;

	if (!empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8,
		     pick(w, 2) ? T_POINTER(0, 2, T_DATA) : T_POINTER(5, 1, 200));
	refused_run(w, o, rq, XN_EFAULT);
}

static void edit_outside(struct world *w, struct object *o, struct request *rq)
{
	uint32_t size = o->child == T_PAIR ? 8192 : 4096;

	request_word(rq, o->block, pick(w, 2) ? size - 4 : UINT32_MAX - 3, 1);
	refused_run(w, o, rq, -ERANGE);
}

static void edits_overlap(struct world *w, struct object *o, struct request *rq)
{
	uint32_t at = tail_offset(o->child) + 32;

	request_word(rq, o->block, at, 1);
	request_word(rq, o->block, at + (uint32_t)pick(w, 8), 2);
	refused_run(w, o, rq, XN_EOVERLAP);
}

static void allocs_overlap(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t start = some_free(w);
	uint32_t record;

	if (!start || !empty_record(w, o, &record))
		return;
	request_word(rq, o->block, record * 8, T_POINTER(start, 3, T_DATA));
	request_alloc(rq, start, 2, XN_DATA);
	request_alloc(rq, start + 1, 2, XN_DATA);
	refused_run(w, o, rq, XN_EOVERLAP);
}

/* ---- what is not one's own ---- */

static void anothers_object(struct world *w, struct object *o, struct request *rq)
{
	struct object *other = w->list[!o->root][pick(w, w->n_objects[!o->root])];

	request_word(rq, other->block, tail_offset(other->child) + 32, 1);
	refused_run(w, o, rq, XN_ENOTBOUND);
}

static void no_object_at_all(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t block = pick(w, WORLD_BLOCKS);

	/* What hangs in a dying subtree is free in the model, and known to XN. */
	if (w->kind[block] != K_FREE || w->n_zombies)
		return;
	request_word(rq, block, 8, 1);
	refused_run(w, o, rq, XN_ENOTBOUND);
}

static void version_of_yesterday(struct world *w, struct object *o, struct request *rq)
{
	uint64_t version;

	EXPECT_RESULT(w, xn_version(session_of(w, o), o->bound, &version), 0);
	request_word(rq, o->block, tail_offset(o->child) + 32, 1);
	request_expect(rq, o->block, version - 2);
	refused_run(w, o, rq, XN_ECHANGED);
	EXPECT(w, rq->why.value == version);
}

static void child_not_empty(struct world *w, struct object *o, struct request *rq)
{
	struct object *child;
	uint32_t record;

	if (!used_record(w, o, T_NODE, &record))
		return;
	child = w->owner[T_START(o->record[record])];
	for (uint64_t s = 0; s < WORLD_SLOTS; s++) {
		if (!child->record[slot_record(child, s)])
			continue;
		if (!child->bound)
			return;
		request_word(rq, o->block, record * 8, 0);
		request_free(rq, child->block, 1, w->type[T_NODE]);
		refused_run(w, o, rq, XN_ENOTEMPTY);
		return;
	}
}

/* What the intent log is for. */
static void move_between_records(struct world *w, struct object *o, struct request *rq)
{
	uint32_t from, to;
	int err;

	if (!used_record(w, o, T_DATA, &from) || !empty_record(w, o, &to) || from / 64 == to / 64)
		return;
	request_word(rq, o->block, to * 8, o->record[from]);
	request_word(rq, o->block, from * 8, 0);
	err = request_run(rq, session_of(w, o));
	if (err == XN_ELOGFULL || err == XN_ECYCLE) {
		w->count.refused++;
		return;
	}
	EXPECT_RESULT(w, err, 0);
	record_set(w, o, to, o->record[from]);
	record_set(w, o, from, 0);
	w->count.accepted++;
}

/* New objects that own each other and hang nowhere. */
static void ring_of_new_ones(struct world *w, struct object *o, struct request *rq)
{
	xn_blk_t a = some_free(w);
	bool alone = pick(w, 2);

	if (!a)
		return;
	request_word(rq, o->block, tail_offset(o->child) + 32, 1);
	request_word(rq, a, 0, T_POINTER(alone ? a : a + 1, 1, T_NODE));
	if (!alone)
		request_word(rq, a + 1, 0, T_POINTER(a, 1, T_NODE));
	request_alloc(rq, a, alone ? 1 : 2, w->type[T_NODE]);
	refused_run(w, o, rq, XN_EOWNS);
}

/* ---- bindings ---- */

static void bind_lie(struct world *w, struct object *o, struct request *rq)
{
	struct xn_bind_request b = { .owner = o->block, .access = XN_READ, .why = &rq->why };
	xn_binding_t binding;
	uint64_t value;
	int wanted;

	if (!used_record(w, o, (enum t_child)pick(w, 4), &b.record))
		return;
	value = o->record[b.record];
	b.extent = (struct xn_extent){ T_START(value), T_COUNT(value), w->type[T_CHILD(value)], 0 };
	switch (pick(w, 7)) {
	case 0:
		b.record = (b.record + 1) % o->n_records;
		if (o->record[b.record] || b.extent.type == XN_RESERVED)
			return;
		wanted = XN_ENOTOWNER;
		break;
	case 1:
		if (T_CHILD(value) != T_DATA || T_START(value) + T_COUNT(value) >= WORLD_BLOCKS)
			return;
		b.extent.count++;
		wanted = XN_ENOTOWNER;
		break;
	case 2:
		b.extent.type = XN_RESERVED;
		wanted = XN_ETYPE;
		break;
	case 3:
		if (T_CHILD(value) == T_DATA)
			return;
		b.extent.type = XN_DATA;
		wanted = XN_ENOTOWNER;
		break;
	case 4:
		b.record = o->n_records + (uint32_t)pick(w, 9);
		wanted = b.extent.type == XN_RESERVED ? XN_ETYPE : -ERANGE;
		break;
	case 5:
		b.owner = w->root[!o->root]->block;
		wanted = b.extent.type == XN_RESERVED ? XN_ETYPE : XN_ENOTBOUND;
		break;
	default:
		b.extent.start = WORLD_BLOCKS - 1;
		b.extent.count = 2;
		wanted = -ERANGE;
		break;
	}
	EXPECT_RESULT(w, xn_bind(session_of(w, o), &b, &binding), wanted);
	w->count.refused++;
}

static void anothers_root(struct world *w, struct object *o, struct request *rq)
{
	xn_binding_t binding;
	xn_blk_t block;

	(void)rq;
	EXPECT_RESULT(
		w, xn_bind_root(session_of(w, o), o->root ? "a" : "b", XN_READ, &binding, &block),
		XN_EACL);
	w->count.refused++;
}

static void binding_made_up(struct world *w, struct object *o, struct request *rq)
{
	uint8_t byte;

	(void)rq;
	EXPECT_RESULT(w, xn_read(session_of(w, o), chance(&w->seed) | 1ull << 60, 0, &byte, 1),
		      XN_ESTALE);
	EXPECT_RESULT(w, xn_read(session_of(w, o), o->bound, 0, &byte, 1), XN_ETYPE);
	w->count.refused += 2;
}

static void beyond_the_binding(struct world *w, struct object *o, struct request *rq)
{
	xn_binding_t binding;
	uint32_t record;
	uint64_t value;
	uint8_t bytes[16] = { 0 };

	(void)rq;
	if (!used_record(w, o, T_DATA, &record))
		return;
	value = o->record[record];
	data_bind(w, o, record, T_START(value), 1, &binding);
	EXPECT_RESULT(w, xn_read(session_of(w, o), binding, XN_BLOCK - 8, bytes, 16), -ERANGE);
	EXPECT_RESULT(w, xn_write(session_of(w, o), binding, XN_BLOCK - 8, bytes, 16), -ERANGE);
	EXPECT_RESULT(w, xn_write(session_of(w, o), binding, UINT64_MAX - 8, bytes, 16), -ERANGE);
	EXPECT_RESULT(w, xn_unbind(session_of(w, o), binding), 0);
	w->count.refused += 3;
}

static void anothers_blocks_written_back(struct world *w, struct object *o, struct request *rq)
{
	struct xn_extent extent = { w->root[!o->root]->block, 1, 0, 0 };
	int err = xn_writeback(session_of(w, o), &extent, 1);

	(void)rq;
	if (err)
		EXPECT_RESULT(w, err, XN_ENOTBOUND); /* 0: it is clean, nothing is done */
	w->count.refused++;
}

/* An object of a subtree that is being taken apart: what is done to it dies with it. */
static void edit_of_a_zombie(struct world *w, struct object *o, struct request *rq)
{
	size_t i;
	int err;

	(void)o;
	if (!w->n_zombies)
		return;
	i = (size_t)pick(w, w->n_zombies);
	request_word(rq, w->zombie_object[i], tail_offset(w->zombie_child[i]) + 32, 1);
	if (w->kind[w->zombie_object[i]] == K_FREE) {
		err = request_run(rq, w->session[w->zombie_root[i]]);
		if (err)
			EXPECT_RESULT(w, err, XN_ENOTBOUND);
	}
	EXPECT_RESULT(w, xn_unbind(w->session[w->zombie_root[i]], w->zombie[i]), 0);
	w->n_zombies--;
	w->zombie[i] = w->zombie[w->n_zombies];
	w->zombie_object[i] = w->zombie_object[w->n_zombies];
	w->zombie_root[i] = w->zombie_root[w->n_zombies];
	w->zombie_child[i] = w->zombie_child[w->n_zombies];
}

typedef void lie(struct world *w, struct object *o, struct request *rq);

void step_lie(struct world *w)
{
	static lie *const lies[] = {
		pointer_not_declared, declaration_without_pointer,
		another_count,        another_type,
		free_without_edit,    edit_without_free,
		free_of_anothers,     block_in_use,
		block_of_xn,          block_twice,
		outside_the_disk,     unknown_type,
		half_an_object,       malformed,
		edit_outside,         edits_overlap,
		allocs_overlap,       anothers_object,
		no_object_at_all,     version_of_yesterday,
		child_not_empty,      move_between_records,
		ring_of_new_ones,     bind_lie,
		anothers_root,        binding_made_up,
		beyond_the_binding,   anothers_blocks_written_back,
		edit_of_a_zombie,
	};
	struct object *o = object_pick(w, (unsigned)pick(w, WORLD_ROOTS));
	struct request rq;

	request_begin(&rq);
	lies[pick(w, sizeof(lies) / sizeof(lies[0]))](w, o, &rq);
	if (o->bound && !pick(w, 4))
		judge_object(w, o);
}
