/* SPDX-License-Identifier: MIT */
#include "states.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"

#define NONE_MISSING UINT32_MAX
#define PAIRS_MAX    256u

struct walk {
	struct slate *slate;
	const struct bdev *recorder;
	const struct states_opts *opts;
	states_visit *visit;
	void *arg;
	struct states_count *count;
	struct numbers keys, contents;
	uint64_t chance;
	struct state state;
	uint32_t sectors[STATE_WRITES_MAX];
	uint64_t **hashes; /* by event: of its sectors; NULL: not asked for yet */
	size_t epoch_start;
	int result;
};

static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	return hash_bytes(z, &z, sizeof(z));
}

/* ---- one state ---- */

static struct state_part whole(const struct walk *w, unsigned i)
{
	return (struct state_part){ 0, w->sectors[i], NONE_MISSING };
}

static void none_kept(struct walk *w)
{
	memset(w->state.part, 0, w->state.n * sizeof(w->state.part[0]));
}

static void all_kept(struct walk *w)
{
	for (unsigned i = 0; i < w->state.n; i++)
		w->state.part[i] = whole(w, i);
}

static const uint8_t zeroes[BDEV_SECTOR];

static const uint8_t *sector_of(const struct bdev_event *event, uint64_t sector)
{
	return event->kind == BDEV_EVENT_WRITE ? event->bytes + sector * BDEV_SECTOR : zeroes;
}

/* The same sectors come and go thousands of times. */
static const uint64_t *hashes_of(struct walk *w, size_t index)
{
	const struct bdev_event *event = bdev_recorder_event(w->recorder, index);
	uint64_t n = event->len / BDEV_SECTOR, *hashes = w->hashes[index];

	if (hashes)
		return hashes;
	hashes = w->hashes[index] = malloc((n + 1) * sizeof(*hashes));
	assert(hashes);
	for (uint64_t i = 0; i < n; i++)
		hashes[i] = sector_hash(event->offset + i * BDEV_SECTOR, sector_of(event, i));
	return hashes;
}

static void part_apply(struct walk *w, size_t index, const struct state_part *part)
{
	const struct bdev_event *event = bdev_recorder_event(w->recorder, index);
	const uint64_t *hashes = hashes_of(w, index);

	for (uint32_t s = part->from; s < part->to; s++)
		if (s != part->missing)
			slate_put(w->slate, event->offset + (uint64_t)s * BDEV_SECTOR,
				  sector_of(event, s), hashes[s]);
}

static void show(struct walk *w)
{
	size_t mark = slate_mark(w->slate);
	struct state *state = &w->state;
	uint64_t key[3];

	if (w->result)
		return;
	state->begun = w->epoch_start;
	for (unsigned i = 0; i < state->n; i++) {
		if (state->part[i].to <= state->part[i].from)
			continue;
		part_apply(w, state->event[i], &state->part[i]);
		state->begun =
			state->event[i] + 1 > state->begun ? state->event[i] + 1 : state->begun;
	}
	state->hash = slate_hash(w->slate);
	w->count->considered++;
	w->count->distinct += numbers_add(&w->contents, state->hash);
	if (w->opts->max && w->contents.n > w->opts->max) {
		w->count->cut_short++;
		w->result = 1;
		slate_back(w->slate, mark);
		return;
	}
	key[0] = state->hash;
	key[1] = state->begun;
	key[2] = state->end;
	if (numbers_add(&w->keys, hash_bytes(0, key, sizeof(key))))
		w->result = w->visit(w->arg, state);
	slate_back(w->slate, mark);
}

/* ---- which states of an epoch ---- */

static void prefixes(struct walk *w)
{
	none_kept(w);
	show(w);
	for (unsigned i = 0; i < w->state.n; i++) {
		w->state.part[i] = whole(w, i);
		show(w);
	}
}

static void all_subsets(struct walk *w)
{
	for (uint64_t set = 0; set < 1ull << w->state.n; set++) {
		none_kept(w);
		for (unsigned i = 0; i < w->state.n; i++)
			if (set >> i & 1)
				w->state.part[i] = whole(w, i);
		show(w);
	}
}

/* At most two kept, or at most two dropped. */
static void nearly_all_or_none(struct walk *w, bool kept)
{
	for (unsigned i = 0; i < w->state.n; i++)
		for (unsigned k = i; k < (w->state.n > PAIRS_MAX ? i + 1 : w->state.n); k++) {
			if (kept)
				none_kept(w);
			else
				all_kept(w);
			w->state.part[i] = kept ? whole(w, i) : (struct state_part){ 0 };
			w->state.part[k] = kept ? whole(w, k) : (struct state_part){ 0 };
			show(w);
		}
}

static void samples(struct walk *w)
{
	for (unsigned k = 0; k < w->opts->samples; k++) {
		none_kept(w);
		for (unsigned i = 0; i < w->state.n; i++)
			if (chance(&w->chance) & 1)
				w->state.part[i] = whole(w, i);
		show(w);
	}
}

/* Write `i` torn: at every cut both ways, and with each single sector missing. */
static void torn(struct walk *w, unsigned i)
{
	uint32_t n = w->sectors[i];

	for (uint32_t cut = 1; cut < n; cut++) {
		w->state.part[i] = (struct state_part){ 0, cut, NONE_MISSING };
		show(w);
		w->state.part[i] = (struct state_part){ cut, n, NONE_MISSING };
		show(w);
	}
	for (uint32_t missing = 1; missing + 1 < n; missing++) {
		w->state.part[i] = (struct state_part){ 0, n, missing };
		show(w);
	}
}

static void each_torn(struct walk *w)
{
	for (unsigned i = 0; i < w->state.n; i++) {
		none_kept(w);
		torn(w, i);
		all_kept(w);
		torn(w, i);
	}
}

static void several_torn(struct walk *w)
{
	for (unsigned k = 0; k < w->opts->tears; k++) {
		for (unsigned i = 0; i < w->state.n; i++) {
			uint32_t n = w->sectors[i], cut = (uint32_t)(chance(&w->chance) % (n + 1));

			w->state.part[i] = chance(&w->chance) & 1
						   ? (struct state_part){ 0, cut, NONE_MISSING }
						   : (struct state_part){ cut, n, NONE_MISSING };
		}
		show(w);
	}
}

static void epoch(struct walk *w)
{
	uint64_t index = w->state.epoch;
	double sectors = 0;

	/* By itself, so that what is left out before changes nothing. */
	w->chance = hash_bytes(w->opts->seed, &index, sizeof(index));
	for (unsigned i = 0; i < w->state.n; i++)
		sectors += w->sectors[i];
	w->count->epochs++;
	w->count->possible += exp2(sectors);
	prefixes(w);
	if (w->state.n <= w->opts->all_below) {
		all_subsets(w);
	} else {
		w->count->capped++;
		nearly_all_or_none(w, true);
		nearly_all_or_none(w, false);
		samples(w);
	}
	each_torn(w);
	several_torn(w);
}

/* ---- the log ---- */

static bool is_change(const struct bdev_event *event)
{
	/* XN does neither. */
	assert(event->kind != BDEV_EVENT_DISCARD && !(event->flags & BDEV_FUA));
	return event->kind == BDEV_EVENT_WRITE || event->kind == BDEV_EVENT_ZEROES;
}

/* What the flush at `end` is to make stable, or was written too late for it. */
static void epoch_collect(struct walk *w, size_t end)
{
	w->state.n = 0;
	for (size_t i = 0; i < end; i++) {
		const struct bdev_event *event = bdev_recorder_event(w->recorder, i);

		if (!is_change(event) || event->stable_at < end)
			continue;
		assert(w->state.n < STATE_WRITES_MAX);
		w->state.event[w->state.n] = i;
		w->sectors[w->state.n++] = (uint32_t)(event->len / BDEV_SECTOR);
	}
}

/* Events that the flush at `end` made stable go below all states from now on. */
static void epoch_settle(struct walk *w, size_t end)
{
	for (size_t i = 0; i < end; i++) {
		const struct bdev_event *event = bdev_recorder_event(w->recorder, i);
		struct state_part part = { 0, (uint32_t)(event->len / BDEV_SECTOR), NONE_MISSING };

		if (is_change(event) && event->stable_at == end)
			part_apply(w, i, &part);
	}
}

static void epoch_show(struct walk *w)
{
	const struct states_opts *opts = w->opts;

	if (opts->shown_before && opts->shown_before(w->arg, w->state.end, false)) {
		w->count->repeated++;
		return;
	}
	epoch(w);
	if (opts->shown_before && !w->result)
		opts->shown_before(w->arg, w->state.end, true);
}

const char *states_refuse(const struct bdev *recorder, size_t n)
{
	size_t unstable = 0;

	for (size_t i = 0; i < n; i++) {
		const struct bdev_event *event = bdev_recorder_event(recorder, i);

		if (event->kind == BDEV_EVENT_DISCARD)
			return "it has a discard, after which anything may be read";
		if (event->flags & BDEV_FUA)
			return "it has a write that is stable by itself (FUA)";
		if (event->kind == BDEV_EVENT_FLUSH) /* what is in flight counts with the next */
			unstable = 0;
		unstable += event->kind == BDEV_EVENT_WRITE || event->kind == BDEV_EVENT_ZEROES;
		if (unstable >= STATE_WRITES_MAX / 2)
			return "too many writes stand between two flushes";
	}
	return NULL;
}

int states_each(struct slate *slate, const struct bdev *recorder, size_t n,
		const struct states_opts *opts, states_visit *visit, void *arg,
		struct states_count *count)
{
	size_t mark = slate_mark(slate);
	struct walk *w = calloc(1, sizeof(*w));
	int result;

	assert(w);
	*w = (struct walk){ .slate = slate,
			    .recorder = recorder,
			    .opts = opts,
			    .visit = visit,
			    .arg = arg,
			    .count = count };
	w->hashes = calloc(n + 1, sizeof(*w->hashes));
	assert(w->hashes);
	slate_hash(slate);
	for (size_t i = 0; i <= n && !w->result; i++) {
		if (i < n && bdev_recorder_event(recorder, i)->kind != BDEV_EVENT_FLUSH)
			continue;
		epoch_collect(w, i);
		w->state.end = i;
		epoch_show(w);
		if (i < n)
			epoch_settle(w, i);
		w->epoch_start = i;
		w->state.epoch++;
	}
	slate_back(slate, mark);
	result = w->result;
	numbers_fini(&w->keys);
	numbers_fini(&w->contents);
	for (size_t i = 0; i <= n; i++)
		free(w->hashes[i]);
	free(w->hashes);
	free(w);
	return result;
}

void state_text(const struct state *state, char *text, size_t size)
{
	size_t len;
	unsigned kept = 0;

	for (unsigned i = 0; i < state->n; i++)
		kept += state->part[i].to > state->part[i].from;
	len = (size_t)snprintf(text, size, "epoch %zu, %u of %u writes:", state->epoch, kept,
			       state->n);
	for (unsigned i = 0; i < state->n && len < size; i++) {
		const struct state_part *part = &state->part[i];

		if (part->to <= part->from)
			continue;
		len += (size_t)snprintf(text + len, size - len, " %zu(%u-%u", state->event[i],
					part->from, part->to);
		if (len < size && part->missing != NONE_MISSING)
			len += (size_t)snprintf(text + len, size - len, " no %u", part->missing);
		if (len < size)
			len += (size_t)snprintf(text + len, size - len, ")");
	}
}
