/* SPDX-License-Identifier: MIT */
/*
 * What a member tries at the others, and at XN.
 */
#include "mob.h"

#include <errno.h>

#define RW (XN_READ | XN_WRITE)

static void refused(struct member *m, int err)
{
	EXPECT(err < 0);
	m->refused++;
}

/* ---- bindings ---- */

static void bind_foreign_roots(struct member *m)
{
	struct member *other =
		&m->mob->members[(m->index + 1 + roll(m, MOB_MEMBERS - 1)) % MOB_MEMBERS];
	xn_binding_t b;
	xn_blk_t object;

	m->calls++;
	refused(m, EXPECT_ERROR(xn_bind_root(m->session, other->root_name, 1 + (uint32_t)roll(m, 3),
					     &b, &object),
				XN_EACL));
}

/* Any block as the owner of any other. */
static void bind_by_strange_owners(struct member *m)
{
	struct xn_bind_request request = {
		.owner = prey(m),
		.record = (uint32_t)roll(m, 600),
		.access = (uint32_t)roll(m, 9),
		.extent = { prey(m), roll(m, 3), roll(m, 2) ? 0 : (uint32_t)roll(m, 30), 0 }
	};
	xn_binding_t b;

	if (thing_at(m, request.owner) || request.owner == m->mob->commons)
		return;
	m->calls++;
	refused(m, EXPECT_ERROR(xn_bind(m->session, &request, &b), XN_ENOTBOUND, XN_ETYPE, -ERANGE,
				-EINVAL));
}

/* One's own object as the owner of what it does not own. */
static void bind_strange_blocks(struct member *m, struct thing *t)
{
	struct xn_bind_request request = { .owner = t->block,
					   .record = slot_record((uint32_t)roll(m, MOB_SLOTS)),
					   .access = 1 + (uint32_t)roll(m, 3),
					   .extent = { prey(m), 1 + roll(m, 4), 0, 0 } };
	struct xn_extent *e = &request.extent;
	uint64_t value = t->record[request.record / MOB_STRIDE];
	xn_binding_t b;
	int err;

	if (roll(m, 4) == 0)
		*e = (struct xn_extent){ prey(m), 1, m->mob->type[T_NODE], 0 };
	m->calls++;
	err = EXPECT_ERROR(xn_bind(m->session, &request, &b), 0, XN_ENOTOWNER, -ERANGE,
			   XN_ENOTBOUND, XN_ECACHEFULL);
	if (err) {
		m->refused++;
		return;
	}
	EXPECT(T_START(value) <= e->start &&
	       e->start + e->count <= T_START(value) + T_COUNT(value)); /* it was the truth */
	EXPECT(m->mob->type[T_CHILD(value)] == e->type);
	EXPECT_ERROR(xn_unbind(m->session, b), 0);
}

static void use_strange_handles(struct member *m)
{
	xn_binding_t b = roll(m, 2) ? chance(&m->seed) : (roll(m, 64) + 1) | 0xfull << 60;
	const void *bytes;
	uint8_t byte = 0;
	size_t len;

	m->calls += 4;
	refused(m, EXPECT_ERROR(xn_read(m->session, b, 0, &byte, 1), XN_ESTALE));
	refused(m, EXPECT_ERROR(xn_write(m->session, b, 0, &byte, 1), XN_ESTALE));
	refused(m, EXPECT_ERROR(xn_map(m->session, b, &bytes, &len), XN_ESTALE));
	refused(m, EXPECT_ERROR(xn_unbind(m->session, b), XN_ESTALE));
}

static void read_beyond_a_binding(struct member *m, struct thing *t)
{
	uint8_t bytes[64];

	if (!thing_bind(m, t))
		return;
	m->calls += 3;
	refused(m, EXPECT_ERROR(xn_read(m->session, t->bound, 0, bytes, 64), XN_ETYPE));
	refused(m, EXPECT_ERROR(xn_write(m->session, t->bound, 0, bytes, 64), XN_ETYPE));
	for (uint32_t s = 0; s < MOB_SLOTS; s++) {
		uint64_t value = t->record[s];
		struct xn_bind_request request = { .owner = t->block,
						   .record = slot_record(s),
						   .access = RW,
						   .extent = { T_START(value), T_COUNT(value), 0,
							       0 } };
		xn_binding_t b;

		if (!value || T_CHILD(value) != T_DATA)
			continue;
		m->calls += 3;
		EXPECT_ERROR(xn_bind(m->session, &request, &b), 0);
		refused(m, EXPECT_ERROR(xn_read(m->session, b, T_COUNT(value) * XN_BLOCK - 32,
						bytes, 64),
					-ERANGE));
		refused(m,
			EXPECT_ERROR(xn_write(m->session, b, UINT64_MAX - 32, bytes, 64), -ERANGE));
		EXPECT_ERROR(xn_unbind(m->session, b), 0);
		return;
	}
}

/* ---- updates ---- */

static void edit_strange_objects(struct member *m)
{
	struct request rq;
	xn_blk_t block = prey(m);

	if (thing_at(m, block) || block == m->mob->commons)
		return;
	request_begin(&rq);
	request_word(&rq, block, (uint32_t)roll(m, 512) * 8,
		     roll(m, 2) ? 0 : T_POINTER(prey(m), 1, T_DATA));
	if (roll(m, 2))
		request_free(&rq, prey(m), 1, roll(m, 2) ? XN_DATA : m->mob->type[T_NODE]);
	m->calls++;
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_ENOTBOUND, XN_ENOTOBJECT));
}

/* A record says it owns a block; perhaps the update says so, too. */
static void forge_pointers(struct member *m, struct thing *t)
{
	uint32_t slot = (uint32_t)roll(m, MOB_SLOTS), child = roll(m, 3) ? T_DATA : T_NODE;
	xn_blk_t block = prey(m);
	struct canary canary = { CANARY_MAGIC, block, m->uid };
	bool declared = roll(m, 2);
	struct request rq;
	int err;

	if (t->record[slot] || !thing_bind(m, t))
		return;
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot), T_POINTER(block, 1, child));
	if (declared)
		request_alloc(&rq, block, 1, m->mob->type[child]);
	if (declared && child == T_NODE) /* somebody may sync before it is given back */
		request_edit(&rq, block, T_NODE_RAW, &canary, sizeof(canary));
	m->calls++;
	err = EXPECT_ERROR(request_run(&rq, m->session), 0, XN_EOWNS, XN_ENOTFREE, XN_EQUOTA,
			   -ERANGE, XN_ECACHEFULL);
	if (err) {
		m->refused++;
		return;
	}
	EXPECT(declared); /* and it was free: then it is given back */
	m->accepted++;
	m->calls++;
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot), 0);
	request_free(&rq, block, 1, m->mob->type[child]);
	EXPECT_ERROR(request_run(&rq, m->session), 0);
}

/* What one owns, and what one says, differ by a block, a count or a type. */
static void declare_wrongly(struct member *m, struct thing *t)
{
	uint32_t slot = (uint32_t)roll(m, MOB_SLOTS);
	uint64_t value = t->record[slot];
	struct request rq;

	if (!value || T_CHILD(value) != T_DATA || !thing_bind(m, t))
		return;
	request_begin(&rq);
	switch (roll(m, 6)) {
	case 0: /* gives back another's block beside its own */
		request_word(&rq, t->block, slot_offset(t, slot), 0);
		request_free(&rq, T_START(value), T_COUNT(value), XN_DATA);
		request_free(&rq, prey(m), 1, XN_DATA);
		break;
	case 1: /* gives back another's block and keeps its own */
		request_word(&rq, t->block, slot_offset(t, slot), value);
		request_free(&rq, prey(m), 1, XN_DATA);
		break;
	case 2: /* keeps naming what it gives back */
		request_word(&rq, t->block, slot_offset(t, slot), value);
		request_free(&rq, T_START(value), T_COUNT(value), XN_DATA);
		break;
	case 3: /* drops a block without giving it back */
		request_word(&rq, t->block, slot_offset(t, slot), 0);
		break;
	case 4: /* the count grows in the record alone */
		request_word(&rq, t->block, slot_offset(t, slot),
			     T_POINTER(T_START(value), T_COUNT(value) + 1, T_DATA));
		break;
	default: /* the type changes */
		request_word(&rq, t->block, slot_offset(t, slot),
			     T_POINTER(T_START(value), T_COUNT(value), T_NODE));
	}
	m->calls++;
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_EOWNS, XN_EOVERLAP, -ERANGE,
				-ENOSYS));
}

/* An object below itself: no root would hold the ring. */
static void move_into_cycles(struct member *m, struct thing *t)
{
	struct thing *low = m->things[roll(m, m->n_things)], *at = low;
	uint32_t slot = (uint32_t)roll(m, MOB_SLOTS);
	struct request rq;

	while (at && at != t)
		at = at->up;
	if (!at || !t->up || low->record[slot] || !thing_bind(m, low))
		return;
	request_begin(&rq);
	request_word(&rq, t->up->block, slot_offset(t->up, t->up_slot), 0);
	request_word(&rq, low->block, slot_offset(low, slot), T_POINTER(t->block, 1, T_NODE));
	rq.update.flags = roll(m, 2) ? XN_ATOMIC : 0;
	m->calls++;
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_ECYCLE, XN_ELOGFULL));
}

static void new_objects_in_a_ring(struct member *m, struct thing *t)
{
	struct xn_extent found;
	struct request rq;

	m->calls += 2;
	if (!thing_bind(m, t) || xn_find_free(m->session, roll(m, MOB_BLOCKS), 2, 1, &found) ||
	    found.count < 2)
		return;
	request_begin(&rq);
	request_word(&rq, t->block, T_NODE_RAW - 64, 0); /* record 496, never used */
	request_word(&rq, found.start, 0, T_POINTER(found.start + 1, 1, T_NODE));
	request_word(&rq, found.start + 1, 0, T_POINTER(found.start, 1, T_NODE));
	request_alloc(&rq, found.start, 2, m->mob->type[T_NODE]);
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_EOWNS, XN_ENOTFREE, XN_EQUOTA,
				XN_ECACHEFULL));
}

/* ---- what changes while it is looked at ---- */

/*
 * A shadow turns the request over and over between the truth and a lie: the count of
 * its edits, the block it takes, the pointer it writes.  If it is accepted, then as
 * one whole truth.
 */
static void flicker(struct member *m, struct thing *t)
{
	struct flicker *f = &m->flicker;
	uint32_t slot = (uint32_t)roll(m, MOB_SLOTS);
	struct xn_extent found, forged;
	const void *bytes;
	struct request rq;
	uint64_t word;
	size_t len;

	m->calls += 2;
	if (!MOB_FLICKERS || getenv("XN_MOB_TURNS") || t->record[slot] || !thing_bind(m, t) ||
	    xn_find_free(m->session, roll(m, MOB_BLOCKS), 1, 1, &found))
		return;
	forged = (struct xn_extent){ prey(m), 1, XN_DATA, 0 };
	f->truth[0] = T_POINTER(found.start, 1, T_DATA);
	f->truth[1] = found.start;
	f->lie[0] = T_POINTER(forged.start, 1, T_DATA);
	f->lie[1] = forged.start;
	f->alloc = found;
	f->word = f->truth[0];
	f->edits[0] = f->edits[1] =
		(struct xn_edit){ t->block, slot_offset(t, slot), 8, (const void *)&f->word };
	f->edits[1].offset += 8;
	f->update = (struct xn_update){
		.edits = f->edits, .allocs = &f->alloc, .n_edits = 1, .n_allocs = 1
	};
	atomic_store(&f->on, true);
	m->calls++;
	(void)xn_update(m->session, &f->update); /* whatever it is, it is whole */
	atomic_store(&f->on, false);
	while (atomic_load(&f->turning))
		sched_yield();
	m->calls++;
	EXPECT_ERROR(xn_map(m->session, t->bound, &bytes, &len), 0);
	memcpy(&word, (const uint8_t *)bytes + slot_offset(t, slot), sizeof(word));
	if (!word)
		return;
	EXPECT(word == f->truth[0] || word == f->lie[0]);
	request_begin(&rq);
	request_word(&rq, t->block, slot_offset(t, slot), 0);
	request_free(&rq, T_START(word), 1, XN_DATA);
	EXPECT_ERROR(request_run(&rq, m->session), 0);
}

/* ---- other people's guards, in the root that all may write ---- */

static void attack_a_guard(struct member *m)
{
	unsigned other = (m->index + 1 + (unsigned)roll(m, MOB_MEMBERS - 1)) % MOB_MEMBERS;
	struct t_guard_head head = { m->uid, 3 };
	struct xn_bind_request request = { .owner = m->mob->commons,
					   .record = slot_record(other),
					   .access = RW | XN_READIN,
					   .extent = { 0, 1, m->mob->type[T_GUARD], 0 } };
	const uint8_t *commons, *guard;
	const void *bytes;
	struct request rq;
	uint64_t pointer;
	xn_binding_t b, data;
	size_t len;
	int err;

	EXPECT_ERROR(xn_map(m->session, m->commons, &bytes, &len), 0);
	commons = bytes;
	memcpy(&pointer, commons + request.record * 8, sizeof(pointer));
	request.extent.start = T_START(pointer);
	m->calls += 6;
	err = EXPECT_ERROR(xn_bind(m->session, &request, &b), 0, XN_ECACHEFULL);
	if (err)
		return;
	EXPECT_ERROR(xn_map(m->session, b, &bytes, &len), 0);
	guard = bytes;
	request_begin(&rq); /* rights into it, bytes into it, blocks into it */
	if (roll(m, 2))
		request_edit(&rq, request.extent.start, 0, &head, sizeof(head));
	else
		request_word(&rq, request.extent.start, 16 + 8 * (uint32_t)roll(m, 500), 0);
	err = request_run(&rq, m->session);
	refused(m, EXPECT_ERROR(err, XN_EACL, XN_EOWNS, -ENOSYS));
	request_begin(&rq); /* out of the root */
	request_word(&rq, m->mob->commons, request.record * 8, 0);
	request_free(&rq, request.extent.start, 1, m->mob->type[T_GUARD]);
	rq.update.flags = XN_REAP;
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_EACL));
	request.owner = request.extent.start; /* what it owns */
	request.record = slot_record((uint32_t)roll(m, MOB_SLOTS));
	memcpy(&pointer, guard + T_GUARD_RECORDS_AT + request.record * 8, sizeof(pointer));
	request.extent = (struct xn_extent){ T_START(pointer), T_COUNT(pointer), 0, 0 };
	request.access = 1 + (uint32_t)roll(m, 3);
	if (pointer && T_CHILD(pointer) == T_DATA)
		refused(m,
			EXPECT_ERROR(xn_bind(m->session, &request, &data), XN_EACL, XN_ENOTOWNER));
	EXPECT_ERROR(xn_unbind(m->session, b), 0);
}

/* ---- what is not a member's to do at all ---- */

static void play_administrator(struct member *m)
{
	struct xn_cred root = { 0 };
	struct xn_root_spec spec = { .name = "mine", .libfs = "mob", .mode = 0666 };
	struct xn_walker *walker;
	struct xn_root_info info;
	struct request rq;

	spec.type = m->mob->type[T_NODE];
	m->calls += 6;
	refused(m, EXPECT_ERROR(xn_root_create(m->session, &spec, &info), XN_ECRED));
	refused(m, EXPECT_ERROR(xn_root_set_quota(m->session, m->root_name, 0), XN_ECRED));
	refused(m, EXPECT_ERROR(xn_root_remove(m->session, "commons"), XN_ECRED));
	refused(m, EXPECT_ERROR(xn_walker_create(m->session, 0, &walker), XN_ECRED));
	refused(m, EXPECT_ERROR(xn_sync(m->session, 0), XN_ECRED));
	request_begin(&rq);
	request_word(&rq, m->things[0]->block, T_NODE_RAW + 40, 1);
	rq.update.cred = &root;
	refused(m, EXPECT_ERROR(request_run(&rq, m->session), XN_ECRED));
}

static void write_back_strange_blocks(struct member *m)
{
	struct xn_extent extents[2] = { { prey(m), 1, 0, 0 }, { prey(m), 1 + roll(m, 3), 0, 0 } };
	struct xn_extent out[4];

	m->calls += 2;
	EXPECT_ERROR(xn_writeback(m->session, extents, 2), 0, XN_ENOTBOUND, XN_ETAINTED, -ERANGE);
	EXPECT(xn_blockers(m->session, prey(m), out, 4) < 100);
}

/* It was reached many times, by forging as by taking: it was never passed. */
static void look_at_the_quota(struct member *m)
{
	struct xn_root_info info;
	struct xn_space space;

	m->calls += 2;
	EXPECT_ERROR(xn_root_find(m->mob->xn, m->root_name, &info), 0);
	EXPECT(!info.quota || info.used <= info.quota);
	EXPECT_ERROR(xn_space(m->session, m->root_id, &space), 0);
	EXPECT(!space.quota || (space.used <= space.quota && space.available <= space.quota));
}

void lie(struct member *m)
{
	struct thing *t = m->things[roll(m, m->n_things)];

	switch (roll(m, 16)) {
	case 0: bind_foreign_roots(m); break;
	case 1: bind_by_strange_owners(m); break;
	case 2:
		if (thing_bind(m, t))
			bind_strange_blocks(m, t);
		break;
	case 3: use_strange_handles(m); break;
	case 4: read_beyond_a_binding(m, t); break;
	case 5: edit_strange_objects(m); break;
	case 6:
	case 7: forge_pointers(m, t); break;
	case 8:
	case 9: declare_wrongly(m, t); break;
	case 10: move_into_cycles(m, t); break;
	case 11: new_objects_in_a_ring(m, t); break;
	case 12: attack_a_guard(m); break;
	case 13: play_administrator(m); break;
	case 14: flicker(m, t); break;
	default: roll(m, 4) ? look_at_the_quota(m) : write_back_strange_blocks(m);
	}
}
