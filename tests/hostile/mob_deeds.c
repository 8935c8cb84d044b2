/* SPDX-License-Identifier: MIT */
/*
 * A member's own business: what must work, or fail for a reason that is true.
 */
#include "mob.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

/* ---- bytes ---- */

static void block_fill(struct member *m, uint8_t *bytes, xn_blk_t block)
{
	stamp_fill(bytes, block, m->uid, m->number[block] = m->next_number++);
}

/* Zeroes, or stamps of that very user and block, all of one write. */
bool block_is_ours(const uint8_t *bytes, xn_blk_t block, uint32_t uid, uint64_t *number)
{
	static const uint8_t zeroes[XN_BLOCK];
	struct stamp stamp;

	memcpy(&stamp, bytes, sizeof(stamp));
	*number = 0;
	if (!memcmp(bytes, zeroes, sizeof(zeroes)))
		return true;
	*number = stamp.number;
	return stamp_is(bytes, block, uid, stamp.number);
}

const char *sectors_are_of(const uint8_t *bytes, xn_blk_t block, uint64_t uid)
{
	struct stamp stamp;

	for (uint32_t at = 0; at < XN_BLOCK; at += BDEV_SECTOR) {
		memcpy(&stamp, bytes + at, sizeof(stamp));
		if (stamp.magic == 0 && stamp.block == 0 && stamp.owner == 0)
			continue;
		if (stamp.magic != STAMP_MAGIC)
			return "data that nobody wrote";
		if (stamp.block != block || stamp.owner != uid)
			return "data of another block or user";
	}
	return NULL;
}

static int data_bind(struct member *m, struct thing *t, uint32_t slot, xn_binding_t *b)
{
	uint64_t value = t->record[slot];
	struct xn_bind_request request = { .owner = t->block,
					   .record = slot_record(slot),
					   .access = RW,
					   .extent = { T_START(value), T_COUNT(value), 0, 0 } };

	int err = xn_bind(m->session, &request, b);

	m->calls++;
	if (!err)
		atomic_store(&m->handle, *b);
	return err;
}

static void data_write(struct member *m, struct thing *t, uint32_t slot)
{
	uint64_t value = t->record[slot], was[4], next = m->next_number;
	uint8_t bytes[4 * XN_BLOCK];
	xn_binding_t b;
	int err;

	EXPECT_ERROR(data_bind(m, t, slot, &b), 0);
	for (uint64_t i = 0; i < T_COUNT(value); i++) {
		was[i] = m->number[T_START(value) + i];
		block_fill(m, bytes + i * XN_BLOCK, T_START(value) + i);
	}
	m->calls += 2;
	err = EXPECT_ERROR(xn_write(m->session, b, 0, bytes, T_COUNT(value) * XN_BLOCK), 0,
			   XN_ECACHEFULL);
	EXPECT_ERROR(xn_unbind(m->session, b), 0);
	if (!err)
		return;
	m->next_number = next;
	for (uint64_t i = 0; i < T_COUNT(value); i++)
		m->number[T_START(value) + i] = was[i];
	member_relieve(m);
}

static void data_read(struct member *m, struct thing *t, uint32_t slot)
{
	uint64_t value = t->record[slot], number;
	uint8_t bytes[4 * XN_BLOCK];
	xn_binding_t b;
	int err;

	EXPECT_ERROR(data_bind(m, t, slot, &b), 0);
	m->calls += 2;
	err = EXPECT_ERROR(xn_read(m->session, b, 0, bytes, T_COUNT(value) * XN_BLOCK), 0,
			   XN_ECACHEFULL);
	EXPECT_ERROR(xn_unbind(m->session, b), 0);
	for (uint64_t i = 0; !err && i < T_COUNT(value); i++) {
		EXPECT(block_is_ours(bytes + i * XN_BLOCK, T_START(value) + i, m->uid, &number));
		EXPECT(number == m->number[T_START(value) + i]);
	}
}

/* ---- taking and giving ---- */

static bool slot_find(struct member *m, struct thing *t, int child, uint32_t *slot)
{
	uint32_t at = (uint32_t)roll(m, MOB_SLOTS);

	for (uint32_t i = 0; i < MOB_SLOTS; i++) {
		uint64_t value = t->record[(at + i) % MOB_SLOTS];

		*slot = (at + i) % MOB_SLOTS;
		if (child < 0 ? !value : value && (int)T_CHILD(value) == child)
			return true;
	}
	return false;
}

static bool find_free(struct member *m, uint64_t want, struct xn_extent *out)
{
	m->calls++;
	return !EXPECT_ERROR(
		xn_find_free(m->session, roll(m, 2) ? 0 : roll(m, MOB_BLOCKS), want, 1, out), 0,
		XN_ENOSPACE);
}

static bool taken(struct member *m, struct request *rq)
{
	int err;

	m->calls++;
	err = EXPECT_ERROR(request_run(rq, m->session), 0, XN_ENOTFREE, XN_EQUOTA, XN_ECACHEFULL,
			   XN_ENOSPACE);
	if (err == XN_ECACHEFULL || err == XN_ENOSPACE)
		member_relieve(m);
	m->accepted += !err;
	return !err;
}

static void take_data(struct member *m, struct thing *t)
{
	struct xn_extent found;
	struct request rq;
	uint32_t slot;

	if (!slot_find(m, t, -1, &slot) || !find_free(m, 1 + roll(m, 4), &found) ||
	    !thing_bind(m, t))
		return;
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot),
		     T_POINTER(found.start, found.count, T_DATA));
	request_alloc(&rq, found.start, found.count, XN_DATA);
	if (!taken(m, &rq))
		return;
	t->record[slot] = rq.words[0];
	for (uint64_t i = 0; i < found.count; i++) {
		m->number[found.start + i] = 0;
		publish(m, found.start + i);
	}
	data_read(m, t, slot); /* zeroes, whoever had them before */
	if (roll(m, 8))
		data_write(m, t, slot);
}

static void take_node(struct member *m, struct thing *t)
{
	struct canary canary = { CANARY_MAGIC, 0, m->uid };
	struct xn_extent found;
	struct request rq;
	uint32_t slot;

	if (m->n_things >= MOB_THINGS || t->depth > 8 || !slot_find(m, t, -1, &slot) ||
	    !find_free(m, 1, &found) || !thing_bind(m, t))
		return;
	canary.block = found.start;
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot), T_POINTER(found.start, 1, T_NODE));
	request_edit(&rq, found.start, T_NODE_RAW, &canary, sizeof(canary));
	request_alloc(&rq, found.start, 1, m->mob->type[T_NODE]);
	if (!taken(m, &rq))
		return;
	t->record[slot] = rq.words[0];
	thing_add(m, t, slot, found.start, T_NODE);
	publish(m, found.start);
}

static void give(struct member *m, struct thing *t, int child)
{
	struct request rq;
	uint64_t value;
	uint32_t slot;

	if (!slot_find(m, t, child, &slot) || !thing_bind(m, t))
		return;
	value = t->record[slot];
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot), 0);
	request_free(&rq, T_START(value), T_COUNT(value), m->mob->type[child]);
	rq.update.flags = XN_REAP;
	m->calls++;
	EXPECT_ERROR(request_run(&rq, m->session), 0);
	m->accepted++;
	t->record[slot] = 0;
	if (child == T_NODE)
		thing_remove(m, thing_at(m, T_START(value)));
}

static const struct thing *top_of(const struct thing *t)
{
	while (t->up)
		t = t->up;
	return t;
}

/* Two records of one object change places, or records of two objects. */
static void swap(struct member *m, struct thing *t)
{
	struct thing *u = m->things[roll(m, m->n_things)];
	struct request rq;
	uint64_t x, y;
	uint32_t a, b;
	int err;

	if (!slot_find(m, t, T_DATA, &a) || !slot_find(m, u, roll(m, 2) ? -1 : T_DATA, &b))
		return;
	if ((t == u && a == b) || top_of(t) != top_of(u) || !thing_bind(m, t) || !thing_bind(m, u))
		return;
	x = t->record[a];
	y = u->record[b];
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, a), y);
	request_word(&rq, u->block, slot_offset(u, b), x);
	rq.update.flags = roll(m, 2) ? XN_ATOMIC : 0;
	m->calls++;
	err = EXPECT_ERROR(request_run(&rq, m->session), 0, XN_ELOGFULL);
	if (err == XN_ELOGFULL)
		member_relieve(m);
	if (err)
		return;
	t->record[a] = y;
	u->record[b] = x;
	m->accepted++;
}

/* ---- looking and writing back ---- */

static void look(struct member *m, struct thing *t)
{
	const uint8_t *bytes;
	const void *map;
	size_t len;

	if (!thing_bind(m, t))
		return;
	m->calls++;
	EXPECT_ERROR(xn_map(m->session, t->bound, &map, &len), 0);
	bytes = map;
	for (uint32_t s = 0; s < MOB_SLOTS; s++)
		EXPECT(!memcmp(bytes + slot_offset(t, s), &t->record[s], 8));
}

static void write_back(struct member *m)
{
	struct xn_extent extents[8];
	int n = xn_list_writeable(m->session, m->root_id, extents, 8);

	EXPECT(n >= 0 || n == XN_ENOTBOUND); /* of which nothing is bound, nothing is told */
	for (int i = 0; i < n; i++)
		EXPECT_ERROR(xn_writeback(m->session, &extents[i], 1), 0, XN_ENOTBOUND,
			     XN_ETAINTED);
	m->calls += 1 + (n > 0 ? (uint64_t)n : 0);
}

static void keep_order(struct member *m)
{
	m->calls++;
	switch (roll(m, 5)) {
	case 0: EXPECT_ERROR(xn_sync(m->session, m->root_id), 0, XN_ETAINTED); break;
	case 1: EXPECT_ERROR(xn_flush(m->session), 0); break;
	case 2: EXPECT(xn_reap(m->session, roll(m, 4)) >= 0); break;
	default: write_back(m);
	}
}

/* The session ends with all it holds bound, and another begins. */
static void come_again(struct member *m)
{
	struct xn_cred cred = { m->uid, m->uid, 0, { 0 } };
	xn_blk_t commons; /* the same as ever; others read it meanwhile */
	int err;

	pthread_rwlock_wrlock(&m->gate);
	xn_session_close(m->session);
	EXPECT_ERROR(xn_session_open(m->mob->xn, &cred, 0, &m->session), 0);
	pthread_rwlock_unlock(&m->gate);
	for (size_t i = 0; i < m->n_things; i++)
		m->things[i]->bound = 0;
	do {
		err = EXPECT_ERROR(
			xn_bind_root(m->session, "commons", RW | XN_READIN, &m->commons, &commons),
			0, XN_ECACHEFULL);
	} while (err);
	m->calls += 3;
}

void deed(struct member *m)
{
	struct thing *t = m->things[roll(m, m->n_things)];
	uint64_t dice = roll(m, 1000);
	uint32_t slot;

	if (dice < 200)
		take_data(m, t);
	else if (dice < 240)
		take_node(m, t);
	else if (dice < 380)
		give(m, t, T_DATA);
	else if (dice < 400)
		give(m, t, T_NODE);
	else if (dice < 500)
		swap(m, t);
	else if (dice < 600)
		look(m, t);
	else if (dice < 980 && slot_find(m, t, T_DATA, &slot) && thing_bind(m, t))
		roll(m, 3) ? data_read(m, t, slot) : data_write(m, t, slot);
	else if (dice < 985)
		keep_order(m);
	else if (dice < 999)
		thing_unbind(m, t);
	else if (!roll(m, 8))
		come_again(m);
}
