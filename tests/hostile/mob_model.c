/* SPDX-License-Identifier: MIT */
#include "mob.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

uint64_t roll(struct member *m, uint64_t n)
{
	return chance(&m->seed) % n;
}

uint32_t slot_record(uint32_t slot)
{
	return slot * MOB_STRIDE;
}

uint32_t slot_offset(const struct thing *t, uint32_t slot)
{
	return (t->child == T_GUARD ? T_GUARD_RECORDS_AT : 0) + slot_record(slot) * 8;
}

/* ---- things ---- */

struct thing *thing_add(struct member *m, struct thing *up, uint32_t slot, xn_blk_t block,
			enum t_child child)
{
	struct thing *t = calloc(1, sizeof(*t));

	EXPECT(t && m->n_things < MOB_LIST);
	*t = (struct thing){ .block = block,
			     .child = child,
			     .up = up,
			     .up_slot = slot,
			     .depth = up ? up->depth + 1 : 0 };
	m->things[m->n_things++] = t;
	return t;
}

struct thing *thing_at(struct member *m, xn_blk_t block)
{
	for (size_t i = 0; i < m->n_things; i++) {
		if (m->things[i]->block == block)
			return m->things[i];
	}
	return NULL;
}

void thing_remove(struct member *m, struct thing *top)
{
	bool found = true;

	while (found) { /* whoever hangs on one that is gone goes, too */
		found = false;
		for (size_t i = 0; i < m->n_things && !found; i++) {
			struct thing *t = m->things[i], *up = t->up;

			while (up && up != top)
				up = up->up;
			if (!up)
				continue;
			thing_unbind(m, t);
			m->things[i] = m->things[--m->n_things];
			for (size_t k = 0; k < m->n_things; k++) {
				if (m->things[k]->up == t)
					m->things[k]->up = top;
			}
			free(t);
			found = true;
		}
	}
	for (size_t i = 0; i < m->n_things; i++) {
		if (m->things[i] == top)
			m->things[i] = m->things[--m->n_things];
	}
	thing_unbind(m, top);
	free(top);
}

void thing_unbind(struct member *m, struct thing *t)
{
	if (!t->bound)
		return;
	m->calls++;
	EXPECT_ERROR(xn_unbind(m->session, t->bound), 0);
	t->bound = 0;
}

static int bind_one(struct member *m, struct thing *t)
{
	struct xn_bind_request request = { .access = RW | XN_READIN,
					   .extent = { t->block, 1, m->mob->type[t->child], 0 } };
	xn_blk_t object = 0;
	int err;

	m->calls++;
	if (!t->up && t->child == T_NODE) {
		err = xn_bind_root(m->session, m->root_name, RW | XN_READIN, &t->bound, &object);
		EXPECT(err || object == t->block);
		return err;
	}
	request.owner = t->up ? t->up->block : m->mob->commons;
	request.record = slot_record(t->up ? t->up_slot : m->index);
	return xn_bind(m->session, &request, &t->bound);
}

bool thing_bind(struct member *m, struct thing *t)
{
	struct thing *chain[16];
	size_t n = 0;

	for (; t; t = t->up)
		chain[n++] = t;
	while (n-- > 0) {
		int err = chain[n]->bound ? 0 : bind_one(m, chain[n]);

		if (err) {
			EXPECT_ERROR(err, XN_ECACHEFULL);
			chain[n]->bound = 0;
			member_relieve(m);
			return false;
		}
	}
	return true;
}

void member_relieve(struct member *m)
{
	for (size_t i = 0; i < m->n_things; i++) {
		if (roll(m, 2))
			thing_unbind(m, m->things[i]);
	}
	m->calls += 2;
	EXPECT_ERROR(xn_sync(m->session, m->root_id), 0, XN_ETAINTED);
	EXPECT(xn_reap(m->session, 10) >= 0);
}

void publish(struct member *m, xn_blk_t block)
{
	atomic_store(&m->mob->published[roll(m, MOB_PUBLISHED)], block);
}

xn_blk_t prey(struct member *m)
{
	xn_blk_t block = atomic_load(&m->mob->published[roll(m, MOB_PUBLISHED)]);

	return block && roll(m, 8) ? block : 1 + roll(m, MOB_BLOCKS + 2);
}

/* ---- from the disk ---- */

/* A crash may leave sectors of two writes.  What is there is ours; and is written anew. */
static void learn_data(struct member *m, struct thing *t, uint32_t slot)
{
	uint64_t value = t->record[slot];
	uint8_t bytes[4 * XN_BLOCK];
	struct xn_bind_request request = { .owner = t->block,
					   .record = slot_record(slot),
					   .access = RW,
					   .extent = { T_START(value), T_COUNT(value), 0, 0 } };
	xn_binding_t b;

	EXPECT_ERROR(xn_bind(m->session, &request, &b), 0);
	while (EXPECT_ERROR(xn_read(m->session, b, 0, bytes, T_COUNT(value) * XN_BLOCK), 0,
			    XN_ECACHEFULL))
		EXPECT_ERROR(xn_sync(m->mob->admin, 0), 0, XN_ETAINTED);
	for (uint64_t i = 0; i < T_COUNT(value); i++) {
		xn_blk_t block = T_START(value) + i;
		uint8_t *at = bytes + i * XN_BLOCK;

		EXPECT(sectors_are_of(at, block, m->uid) == NULL);
		stamp_fill(at, block, m->uid, m->number[block] = m->next_number++);
		publish(m, block);
	}
	while (EXPECT_ERROR(xn_write(m->session, b, 0, bytes, T_COUNT(value) * XN_BLOCK), 0,
			    XN_ECACHEFULL))
		EXPECT_ERROR(xn_sync(m->mob->admin, 0), 0, XN_ETAINTED);
	EXPECT_ERROR(xn_unbind(m->session, b), 0);
}

static void learn_thing(struct member *m, struct thing *t)
{
	const void *bytes;
	size_t len;

	while (!thing_bind(m, t))
		EXPECT_ERROR(xn_sync(m->mob->admin, 0), 0, XN_ETAINTED);
	EXPECT_ERROR(xn_map(m->session, t->bound, &bytes, &len), 0);
	publish(m, t->block);
	for (uint32_t s = 0; s < MOB_SLOTS; s++) {
		memcpy(&t->record[s], (const uint8_t *)bytes + slot_offset(t, s), 8);
		if (t->record[s] && T_CHILD(t->record[s]) == T_NODE)
			thing_add(m, t, s, T_START(t->record[s]), T_NODE);
		else if (t->record[s] && T_CHILD(t->record[s]) == T_DATA)
			learn_data(m, t, s);
	}
}

void member_begin(struct member *m)
{
	struct xn_cred cred = { m->uid, m->uid, 0, { 0 } };
	struct xn_root_info info;
	const void *bytes;
	uint64_t pointer;
	size_t len;

	EXPECT_ERROR(xn_session_open(m->mob->xn, &cred, 0, &m->session), 0);
	EXPECT_ERROR(xn_root_find(m->mob->xn, m->root_name, &info), 0);
	m->root_id = info.id;
	memset(m->number, 0, sizeof(m->number));
	m->n_things = 0;
	thing_add(m, NULL, 0, info.object, T_NODE);
	EXPECT_ERROR(
		xn_bind_root(m->session, "commons", RW | XN_READIN, &m->commons, &m->mob->commons),
		0);
	EXPECT_ERROR(xn_map(m->session, m->commons, &bytes, &len), 0);
	memcpy(&pointer, (const uint8_t *)bytes + slot_record(m->index) * 8, sizeof(pointer));
	EXPECT(T_CHILD(pointer) == T_GUARD);
	thing_add(m, NULL, 0, T_START(pointer), T_GUARD);
	for (size_t i = 0; i < m->n_things; i++) /* grows as children are met */
		learn_thing(m, m->things[i]);
}

void member_end(struct member *m)
{
	for (size_t i = 0; i < m->n_things; i++)
		free(m->things[i]);
	m->n_things = 0;
}
