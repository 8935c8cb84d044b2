/* SPDX-License-Identifier: MIT */
#include "explorer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base.h"
#include "model.h"
#include "numbers.h"
#include "oracles.h"
#include "script.h"
#include "xn/format.h"

#define WRONG_MAX   8u
#define GROWN_ALIKE 4u /* contents with the same picture that grow */
#define OPS_MAX     SCRIPT_OPS_MAX

/* A content, or the meaning of one, and what came of it. */
struct known {
	uint64_t hash;
	struct verdict *verdict;
};

struct explorer {
	struct explorer_opts opts;
	struct slate *slate;
	struct oracles oracles;
	struct explorer_totals totals;
	struct known *known;
	size_t n_known, cap_known;
	struct verdict **verdicts;
	size_t n_verdicts, cap_verdicts;
	struct look **looks; /* pictures met, found by hash; verdicts share them */
	size_t n_looks, cap_looks;
	struct numbers
		spaces; /* pictures, and how much space they took, that were used to the end */
	struct numbers epochs; /* logs up to the end of an epoch that was shown */
	struct numbers grown;  /* the same, a few times each, that grew */
	uint64_t n_grow;

	/* the workload being explored */
	const char *name, *text;
	struct script script;
	struct bdev *recorder;
	size_t began[OPS_MAX], ended[OPS_MAX]; /* events; SIZE_MAX: never */
	uint64_t *events;                      /* hashes of what they are */
	uint64_t epoch;                        /* the log up to the end of that which is shown */
	unsigned epoch_wrong;                  /* and what was wrong before it */
	struct numbers judged;                 /* what was judged already */
	size_t n_events;                       /* of the log that counts; SIZE_MAX: all */
	unsigned wrong;
};

/* ---- one moment for all ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (clock != CLOCK_REALTIME)
		return __real_clock_gettime(clock, now);
	*now = (struct timespec){ .tv_sec = CRASH_MOMENT };
	return 0;
}

static double seconds_now(void)
{
	struct timespec now;

	__real_clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "crash explorer: %s: %s\n", what, xn_error_name(err));
	abort();
}

/* ---- contents and pictures ---- */

static struct known *known_find(struct explorer *e, uint64_t hash)
{
	size_t i = hash & (e->cap_known - 1);

	while (e->known[i].verdict && e->known[i].hash != hash)
		i = (i + 1) & (e->cap_known - 1);
	return &e->known[i];
}

static void known_add(struct explorer *e, uint64_t hash, struct verdict *verdict)
{
	struct known *old = e->known;
	size_t cap = e->cap_known;

	if (e->n_known * 2 >= cap) {
		e->cap_known = cap * 2;
		e->known = calloc(e->cap_known, sizeof(*e->known));
		assert(e->known);
		for (size_t i = 0; i < cap; i++)
			if (old[i].verdict)
				*known_find(e, old[i].hash) = old[i];
		free(old);
	}
	*known_find(e, hash) = (struct known){ hash, verdict };
	e->n_known++;
}

static struct verdict *verdict_new(struct explorer *e)
{
	struct verdict *verdict = calloc(1, sizeof(*verdict));

	assert(verdict);
	if (e->n_verdicts == e->cap_verdicts) {
		e->cap_verdicts = e->cap_verdicts ? e->cap_verdicts * 2 : 1024;
		e->verdicts = realloc(e->verdicts, e->cap_verdicts * sizeof(*e->verdicts));
		assert(e->verdicts);
	}
	e->verdicts[e->n_verdicts++] = verdict;
	return verdict;
}

static struct look **look_place(struct look **looks, size_t cap, uint64_t hash)
{
	size_t i = hash & (cap - 1);

	while (looks[i] && looks[i]->hash != hash)
		i = (i + 1) & (cap - 1);
	return &looks[i];
}

static void looks_grow(struct explorer *e)
{
	size_t cap = e->cap_looks ? e->cap_looks * 2 : 256;
	struct look **looks = calloc(cap, sizeof(*looks));

	assert(looks);
	for (size_t i = 0; i < e->cap_looks; i++)
		if (e->looks[i])
			*look_place(looks, cap, e->looks[i]->hash) = e->looks[i];
	free(e->looks);
	e->looks = looks;
	e->cap_looks = cap;
}

/* Keep one of equal pictures. */
static void look_keep(struct explorer *e, struct look **look)
{
	struct look **place;

	if (e->n_looks * 2 >= e->cap_looks)
		looks_grow(e);
	place = look_place(e->looks, e->cap_looks, (*look)->hash);
	if (*place) {
		look_free(*look);
		*look = *place;
		return;
	}
	*place = *look;
	e->n_looks++;
}

/* ---- violations ---- */

static void report_events(const struct explorer *e, FILE *out)
{
	for (size_t i = 0; i < bdev_recorder_count(e->recorder) && i < e->n_events; i++) {
		const struct bdev_event *event = bdev_recorder_event(e->recorder, i);

		if (event->kind == BDEV_EVENT_MARK)
			fprintf(out, "    %3zu mark   %s\n", i, event->mark);
		else if (event->kind == BDEV_EVENT_FLUSH)
			fprintf(out, "    %3zu flush\n", i);
		else
			fprintf(out,
				"    %3zu write  block %" PRIu64 "+%" PRIu64 " sectors %" PRIu64
				"\n",
				i, event->offset / XN_BLOCK_SIZE,
				event->offset % XN_BLOCK_SIZE / XN_SECTOR_SIZE,
				event->len / XN_SECTOR_SIZE);
	}
}

static void violation(struct explorer *e, const struct state *state, const char *where,
		      const char *what)
{
	struct explorer_totals *totals = &e->totals;
	size_t n_events = bdev_recorder_count(e->recorder);
	struct explorer_violation told = { .name = e->name,
					   .workload = e->text,
					   .what = what,
					   .where = where,
					   .state = state,
					   .recorder = e->recorder,
					   .n_events =
						   n_events < e->n_events ? n_events : e->n_events,
					   .bytes = slate_bytes(e->slate) };

	e->wrong++;
	totals->violations++;
	if (what[0] == 'R' && what[1] >= '0' && what[1] <= '9')
		totals->by_oracle[what[1] - '0']++;
	if (!totals->first[0])
		snprintf(totals->first, sizeof(totals->first), "%s: %s", e->name, what);
	if (e->opts.tell)
		e->opts.tell(e->opts.arg, &told);
	if (!e->opts.report)
		return;
	fprintf(e->opts.report, "%s: %s\n  workload: %s\n  state: %s\n", e->name, what, e->text,
		where);
	if (e->wrong == 1)
		report_events(e, e->opts.report);
}

/* ---- asking ---- */

static struct verdict *state_ask(struct explorer *e, uint64_t hash);

struct nested {
	struct explorer *e;
	const struct verdict *whole; /* what recovery leads to without a crash */
	const char *during;
	char wrong[256];
};

/* A crash while the disk is put right must lead to where recovery leads. */
static int nested_visit(void *arg, const struct state *state)
{
	struct nested *nested = arg;
	struct explorer *e = nested->e;
	const struct verdict *verdict;
	char where[160];

	verdict = state_ask(e, state->hash);
	e->totals.nested++;
	if (verdict->wrong[0]) {
		state_text(state, where, sizeof(where));
		snprintf(nested->wrong, sizeof(nested->wrong), "%.160s (crash in %s, %.60s)",
			 verdict->wrong, nested->during, where);
		return 1;
	}
	for (unsigned i = 0; i < e->opts.n_roots; i++)
		if (verdict->look[i] != nested->whole->look[i]) {
			snprintf(nested->wrong, sizeof(nested->wrong),
				 "R1: a crash in %s leads elsewhere", nested->during);
			return 1;
		}
	return 0;
}

/* What it takes to put a disk right: opening and mounting it, or xn-fsck.  How many events. */
static size_t put_right(struct explorer *e, struct bdev *recorder, bool by_fsck, char wrong[256])
{
	struct crash_mount mount;
	size_t n_events;
	char text[256];
	bool mounted;

	if (by_fsck)
		return crash_repair(recorder, wrong) ? 0 : bdev_recorder_count(recorder);
	mounted = !crash_mount(&mount, recorder, e->opts.n_roots, wrong);
	n_events = bdev_recorder_count(recorder);
	if (mounted)
		crash_unmount(&mount, text);
	return n_events;
}

static void ask_nested(struct explorer *e, struct verdict *verdict, bool by_fsck)
{
	struct states_opts opts = { .all_below = 4, .seed = 1 };
	struct nested nested = { .e = e,
				 .whole = verdict,
				 .during = by_fsck ? "xn-fsck -p" : "recovery" };
	size_t mark = slate_mark(e->slate), n_events;
	struct states_count count = { 0 };
	struct bdev *recorder;

	must(bdev_recorder_create(slate_device(e->slate), &recorder), "recorder");
	n_events = put_right(e, recorder, by_fsck, nested.wrong);
	slate_back(e->slate, mark);
	if (!nested.wrong[0])
		states_each(e->slate, recorder, n_events, &opts, nested_visit, &nested, &count);
	if (nested.wrong[0])
		memcpy(verdict->wrong, nested.wrong, sizeof(verdict->wrong));
	bdev_close(recorder);
}

/* The same files in as much space: what nobody sees, and takes space, is no news either. */
static uint64_t space_key(const struct explorer *e, const struct verdict *verdict)
{
	uint64_t key = verdict->owned;

	for (unsigned i = 0; i < e->opts.n_roots && verdict->look[i]; i++)
		key = hash_bytes(key, &verdict->look[i]->hash, sizeof(key));
	return key;
}

/*
 * What lies behind the end of files nobody sees: a few contents of the same picture grow, before it
 * is no news any more.
 */
static bool grows(struct explorer *e, const struct verdict *verdict)
{
	uint64_t key = space_key(e, verdict);
	bool news = false;

	for (uint64_t i = 0; i < GROWN_ALIKE && !news; i++)
		news = numbers_add(&e->grown, hash_bytes(i, &key, sizeof(key)));
	return news && e->n_grow++ % e->opts.grown_every == 0;
}

/* ---- growing after a crash ---- */

#define GROWTH 6000u

/* What lay behind the end of a file before the crash must not come to light when it grows. */
struct growth {
	struct explorer *e;
	const struct verdict *whole; /* before */
	char wrong[256];
};

static const struct look_node *node_of(const struct look *look, const struct look_node *like)
{
	for (uint32_t i = 0; i < look->n_nodes; i++)
		if (look->nodes[i].ino == like->ino &&
		    look->nodes[i].generation == like->generation)
			return &look->nodes[i];
	return NULL;
}

static bool grew_by_zeroes(const struct look_node *before, const struct look_node *now)
{
	static const uint8_t zeroes[LOOK_SECTOR];
	uint64_t zero = sector_hash_of(zeroes, sizeof(zeroes));

	if (now->size < before->size || now->size > before->size + GROWTH)
		return false;
	for (size_t i = 0; i < now->n_sectors; i++)
		if (now->sectors[i] != (i < before->n_sectors ? before->sectors[i] : zero))
			return false;
	return true;
}

static int growth_visit(void *arg, const struct state *state)
{
	struct growth *growth = arg;
	const struct verdict *verdict = state_ask(growth->e, state->hash);
	char where[160];

	growth->e->totals.nested++;
	state_text(state, where, sizeof(where));
	if (verdict->wrong[0])
		snprintf(growth->wrong, sizeof(growth->wrong),
			 "%.150s (crash while files grow, %.60s)", verdict->wrong, where);
	for (unsigned i = 0; i < growth->e->opts.n_roots && !growth->wrong[0]; i++) {
		const struct look *before = growth->whole->look[i], *now = verdict->look[i];

		for (uint32_t k = 0; k < before->n_nodes; k++) {
			const struct look_node *node = node_of(now, &before->nodes[k]);

			if (node && before->nodes[k].sectors &&
			    !grew_by_zeroes(&before->nodes[k], node))
				snprintf(growth->wrong, sizeof(growth->wrong),
					 "R7: inode %llu of %llu bytes grew after the crash and "
					 "shows what "
					 "lay behind its end (%.60s)",
					 (unsigned long long)node->ino,
					 (unsigned long long)before->nodes[k].size, where);
		}
	}
	return growth->wrong[0] != 0;
}

static void grow_files(struct crash_mount *mount, unsigned root, const struct look *look)
{
	for (uint32_t i = 0; i < look->n_nodes; i++) {
		const struct look_node *node = &look->nodes[i];
		struct libfs_attr attr;
		struct libfs_user user;

		if (!node->sectors ||
		    libfs_find(mount->fs[root], node->ino, node->generation, &attr))
			continue;
		attr = (struct libfs_attr){ .size = node->size + GROWTH };
		libfs_setattr(mount->fs[root], user_at(&user, 3000), node->ino, &attr,
			      LIBFS_SET_SIZE, NULL);
		libfs_forget(mount->fs[root], node->ino, 1);
	}
	libfs_sync(mount->fs[root]); /* not fsync, which may write in an order of its own */
}

static void ask_growth(struct explorer *e, struct verdict *verdict)
{
	struct states_opts opts = { .all_below = 4, .seed = 1 };
	struct growth growth = { .e = e, .whole = verdict };
	size_t mark = slate_mark(e->slate), n_events = 0;
	struct states_count count = { 0 };
	struct crash_mount mount;
	struct bdev *recorder;
	char text[256];

	must(bdev_recorder_create(slate_device(e->slate), &recorder), "recorder");
	if (!crash_mount(&mount, recorder, e->opts.n_roots, growth.wrong)) {
		for (unsigned i = 0; i < e->opts.n_roots; i++)
			grow_files(&mount, i, verdict->look[i]);
		n_events = bdev_recorder_count(recorder);
		crash_unmount(&mount, text);
	}
	slate_back(e->slate, mark);
	if (!growth.wrong[0])
		states_each(e->slate, recorder, n_events, &opts, growth_visit, &growth, &count);
	if (growth.wrong[0])
		memcpy(verdict->wrong, growth.wrong, sizeof(verdict->wrong));
	e->totals.grown++;
	bdev_close(recorder);
}

/* The long way: open it, look at it, use it. */
static void content_ask(struct explorer *e, struct verdict *verdict)
{
	bool fresh;

	e->totals.opened++;
	oracles_ask(&e->oracles, verdict);
	for (unsigned i = 0; i < e->opts.n_roots && verdict->look[i]; i++)
		look_keep(e, &verdict->look[i]);
	fresh = numbers_add(&e->spaces, space_key(e, verdict));
	if (verdict->wrong[0] || !e->opts.alive_every)
		return;
	if (!fresh && e->totals.opened % e->opts.alive_every)
		return;
	e->totals.alive++;
	oracles_ask_alive(&e->oracles, verdict);
}

static struct verdict *state_ask(struct explorer *e, uint64_t hash)
{
	size_t mark = slate_mark(e->slate);
	struct verdict *verdict = known_find(e, hash)->verdict, *same;
	uint64_t meaning;

	if (verdict)
		return verdict;
	e->totals.contents++;
	verdict = verdict_new(e);
	if (!oracles_ask_order(&e->oracles, verdict, &meaning)) {
		known_add(e, hash, verdict);
		return verdict;
	}
	meaning = ~meaning; /* never taken for the hash of a content */
	same = known_find(e, meaning)->verdict;
	if (same) {
		known_add(e, hash, same);
		return same;
	}
	known_add(e, hash, verdict);
	known_add(e, meaning, verdict);
	content_ask(e, verdict);
	slate_back(e->slate, mark);
	return verdict;
}

/* Was this pair of pictures judged at these operations?  Remembers it. */
static bool judged_before(struct explorer *e, const struct verdict *verdict, unsigned ended,
			  unsigned begun)
{
	uint64_t words[2 + SCRIPT_ROOTS] = { ended, begun }, key;

	for (unsigned i = 0; i < e->opts.n_roots; i++)
		words[2 + i] = verdict->look[i]->hash;
	key = hash_bytes(0, words, sizeof(words));
	return !numbers_add(&e->judged, key);
}

/* The last operation whose event lies before `event`. */
static unsigned op_before(const size_t *events, unsigned n, size_t event)
{
	unsigned op = n;

	while (op > 0 && events[op] >= event)
		op--;
	return op;
}

static int visit(void *arg, const struct state *state)
{
	struct explorer *e = arg;
	unsigned begun = op_before(e->began, e->script.op, state->begun);
	unsigned ended = op_before(e->ended, e->script.op, state->end);
	size_t mark = slate_mark(e->slate);
	uint64_t opened = e->totals.opened;
	struct verdict *verdict = state_ask(e, state->hash);
	char where[512], text[256];

	state_text(state, where, sizeof(where));
	if (e->opts.nested_every && !verdict->wrong[0] && e->totals.opened != opened &&
	    opened % e->opts.nested_every == 0)
		/* A root cut short in its making is nothing that xn-fsck can repair. */
		ask_nested(e, verdict,
			   !e->opts.unfinished && e->totals.opened / e->opts.nested_every % 2);
	slate_back(e->slate, mark);
	/* Only states of the log: those that grow may not grow again. */
	if (e->opts.grown_every && !verdict->wrong[0] && e->totals.opened != opened &&
	    grows(e, verdict)) {
		ask_growth(e, verdict);
		slate_back(e->slate, mark);
	}
	if (verdict->wrong[0]) {
		violation(e, state, where, verdict->wrong);
		return e->wrong >= WRONG_MAX;
	}
	if (e->opts.see)
		e->opts.see(e->opts.arg, verdict->look[0], ended, begun);
	if (judged_before(e, verdict, ended, begun))
		return 0;
	e->totals.judged++;
	for (unsigned i = 0; i < e->opts.n_roots; i++) {
		if (!model_judge(e->script.root[i].model, verdict->look[i], ended, begun, text))
			continue;
		snprintf(where + strlen(where), sizeof(where) - strlen(where),
			 "; operation %u had ended, %u had begun", ended, begun);
		violation(e, state, where, text);
		break;
	}
	return e->wrong >= WRONG_MAX;
}

/* ---- running ---- */

static void models_make(struct explorer *e)
{
	for (unsigned i = 0; i < e->opts.n_roots; i++) {
		struct libfs_attr attr;
		struct libfs_user user;

		must(libfs_getattr(e->script.root[i].fs, user_at(&user, 0), LIBFS_ROOT_INO, &attr),
		     "root directory");
		e->script.root[i].model = model_new();
		model_make(e->script.root[i].model, &attr, NULL);
	}
}

/* At the end the file system shows what the model says. */
static bool same_as_model(struct explorer *e)
{
	for (unsigned i = 0; i < e->opts.n_roots && !e->script.closed; i++) {
		struct look *look = look_at(e->script.root[i].fs);
		char text[256];
		bool same = !model_same(e->script.root[i].model, look, text);

		look_free(look);
		if (same)
			continue;
		violation(e, NULL, "before any crash", text);
		return false;
	}
	return true;
}

/* false: it failed. */
static bool workload_run(struct explorer *e)
{
	char why[256];

	if (script_run(&e->script, e->text, why)) {
		if (e->script.unsupported)
			e->totals.skipped++;
		else
			violation(e, NULL, "before any crash", why);
		return false;
	}
	return same_as_model(e);
}

static void script_begin(struct explorer *e, const struct crash_mount *mount)
{
	e->script = (struct script){ .xn = mount->xn,
				     .session = mount->session,
				     .libfs = e->opts.libfs,
				     .recorder = e->recorder,
				     .n_roots = e->opts.n_roots };
	for (unsigned i = 0; i < e->opts.n_roots; i++)
		e->script.root[i].fs = mount->fs[i];
	models_make(e);
}

/* Let go of everything, whatever state the wreck has brought it to. */
static void script_end(struct explorer *e, struct crash_mount *mount)
{
	char text[256];

	if (e->script.held)
		libfs_release(e->script.root[e->script.held_root].fs, e->script.held,
			      e->script.handle);
	crash_unmount(mount, text);
}

static void marks_read(struct explorer *e, size_t n_events)
{
	for (unsigned i = 0; i < OPS_MAX; i++)
		e->began[i] = e->ended[i] = SIZE_MAX;
	for (size_t i = 0; i < n_events; i++) {
		const struct bdev_event *event = bdev_recorder_event(e->recorder, i);
		unsigned op;

		if (event->kind != BDEV_EVENT_MARK)
			continue;
		op = (unsigned)strtoul(event->mark + 2, NULL, 10);
		assert(op < OPS_MAX);
		*(event->mark[0] == 'b' ? &e->began[op] : &e->ended[op]) = i;
	}
}

/* What an event is, but for when it became stable. */
static uint64_t event_hash(const struct bdev_event *event)
{
	uint64_t words[] = { (uint64_t)event->kind, event->offset, event->len };
	uint64_t sum = hash_bytes(0, words, sizeof(words));

	if (event->kind == BDEV_EVENT_WRITE)
		sum = hash_bytes(sum, event->bytes, event->len);
	else if (event->kind == BDEV_EVENT_MARK)
		sum = hash_bytes(sum, event->mark, strlen(event->mark));
	return sum;
}

static void events_hash(struct explorer *e, size_t n_events)
{
	e->events = realloc(e->events, (n_events + 1) * sizeof(*e->events));
	assert(e->events);
	for (size_t i = 0; i < n_events; i++)
		e->events[i] = event_hash(bdev_recorder_event(e->recorder, i));
}

/*
 * A log that is the same up to here came of the same operations, so that the model says the same of
 * the same states: what workloads have in common is looked at once.
 */
static bool shown_before(void *arg, size_t end, bool now)
{
	struct explorer *e = arg;
	uint64_t sum = 0;

	if (now) {
		/* What went wrong goes wrong again: who makes a workload smaller wants to see it. */
		if (e->wrong == e->epoch_wrong)
			numbers_add(&e->epochs, e->epoch);
		return false;
	}
	for (size_t i = 0; i < end; i++) {
		size_t stable = bdev_recorder_event(e->recorder, i)->stable_at;
		uint64_t words[] = { e->events[i], stable < end ? stable : end };

		sum = hash_bytes(sum, words, sizeof(words));
	}
	e->epoch = sum;
	e->epoch_wrong = e->wrong;
	return numbers_has(&e->epochs, sum);
}

/* The disk is as the workload found it, and the log is whole. */
static void states_explore(struct explorer *e, size_t n_events)
{
	struct states_count *count = &e->totals.states;

	struct states_opts opts = e->opts.states;

	marks_read(e, n_events);
	events_hash(e, n_events);
	numbers_clear(&e->judged);
	if (!e->opts.see)
		opts.shown_before = shown_before;
	states_each(e->slate, e->recorder, n_events, &opts, visit, e, count);
}

/* R0; who wrecks it on purpose is looked for in the states that come of it, too. */
static bool order_kept(struct explorer *e, struct bdev *rules)
{
	const char *text;
	char what[256];

	if (!bdev_check_violations(rules, &text))
		return true;
	snprintf(what, sizeof(what), "R0 order: %.200s", text);
	violation(e, NULL, "before any crash", what);
	return e->opts.wreck.kind != WRECK_NOTHING;
}

unsigned explorer_run(struct explorer *e, const char *name, const char *text)
{
	size_t base = slate_mark(e->slate), n_events;
	double started = seconds_now();
	struct crash_mount mount;
	struct bdev *dev, *rules;
	char why[256];
	unsigned fired;
	bool good;

	e->n_events = SIZE_MAX;
	e->name = name;
	e->text = text;
	e->wrong = 0;
	must(bdev_check_create(slate_device(e->slate), &rules), "checking device");
	must(bdev_recorder_create(rules, &e->recorder), "recorder");
	must(wreck_create(e->recorder, &e->opts.wreck, &fired, &dev), "wreck");
	if (crash_mount(&mount, dev, e->opts.n_roots, why))
		must(-1, why);
	script_begin(e, &mount);
	good = workload_run(e) && order_kept(e, rules);
	n_events = e->n_events = bdev_recorder_count(e->recorder);
	e->totals.fired += fired;
	/* What this writes is not part of the log that counts. */
	if (!e->script.closed)
		script_end(e, &mount);
	slate_back(e->slate, base);
	if (good)
		states_explore(e, n_events);
	for (unsigned i = 0; i < e->opts.n_roots; i++)
		model_free(e->script.root[i].model);
	bdev_close(dev);
	slate_back(e->slate, base);
	e->totals.workloads++;
	e->totals.operations += e->script.op;
	e->totals.unsupported += e->script.unsupported;
	e->totals.seconds += seconds_now() - started;
	return e->wrong;
}

/* ---- life ---- */

struct explorer *explorer_new(const struct explorer_opts *opts)
{
	struct explorer *e = calloc(1, sizeof(*e));

	assert(e && opts->n_roots >= 1 && opts->n_roots <= SCRIPT_ROOTS);
	e->opts = *opts;
	e->slate = slate_new(CRASH_DISK_BYTES);
	e->cap_known = 1024;
	e->known = calloc(e->cap_known, sizeof(*e->known));
	assert(e->known);
	crash_base_make(e->slate, opts->libfs, opts->n_roots);
	oracles_init(&e->oracles, e->slate, opts->n_roots);
	e->oracles.kept = opts->kept;
	e->oracles.unfinished = opts->unfinished;
	return e;
}

void explorer_free(struct explorer *e)
{
	for (size_t i = 0; i < e->n_verdicts; i++)
		free(e->verdicts[i]);
	for (size_t i = 0; i < e->cap_looks; i++)
		look_free(e->looks[i]);
	oracles_fini(&e->oracles);
	slate_free(e->slate);
	free(e->known);
	free(e->verdicts);
	free(e->looks);
	free(e->events);
	numbers_fini(&e->spaces);
	numbers_fini(&e->grown);
	numbers_fini(&e->epochs);
	numbers_fini(&e->judged);
	free(e);
}

const struct explorer_totals *explorer_totals(const struct explorer *e)
{
	return &e->totals;
}

void explorer_totals_add(struct explorer_totals *sum, const struct explorer_totals *one)
{
	sum->workloads += one->workloads;
	sum->operations += one->operations;
	sum->unsupported += one->unsupported;
	sum->skipped += one->skipped;
	sum->states.possible += one->states.possible;
	sum->states.considered += one->states.considered;
	sum->states.distinct += one->states.distinct;
	sum->states.epochs += one->states.epochs;
	sum->states.capped += one->states.capped;
	sum->states.repeated += one->states.repeated;
	sum->states.cut_short += one->states.cut_short;
	sum->contents += one->contents;
	sum->opened += one->opened;
	sum->judged += one->judged;
	sum->alive += one->alive;
	sum->grown += one->grown;
	sum->nested += one->nested;
	sum->fired += one->fired;
	sum->violations += one->violations;
	for (unsigned i = 0; i < 10; i++)
		sum->by_oracle[i] += one->by_oracle[i];
	if (!sum->first[0])
		memcpy(sum->first, one->first, sizeof(sum->first));
	sum->seconds += one->seconds;
}

void explorer_totals_print(const struct explorer_totals *t, const char *libfs, const char *what,
			   uint64_t seed)
{
	double states = (double)(t->states.distinct + t->nested);

	printf("%s, %s: %" PRIu64 " workloads (%" PRIu64 " skipped), %" PRIu64
	       " operations (%" PRIu64 " not supported), %" PRIu64 " epochs (%" PRIu64
	       " capped), %" PRIu64 " more that other workloads had\n",
	       libfs, what, t->workloads, t->skipped, t->operations, t->unsupported,
	       t->states.epochs, t->states.capped, t->states.repeated);
	printf("  states: %.3g possible, %" PRIu64 " made, %" PRIu64 " distinct, and %" PRIu64
	       " of crashes in recovery, in repair or while files grow; %" PRIu64
	       " contents walked, %" PRIu64 " of different meaning opened and asked, %" PRIu64
	       " used to the end, %" PRIu64 " comparisons with the model\n",
	       t->states.possible, t->states.considered, t->states.distinct, t->nested, t->contents,
	       t->opened, t->alive, t->judged);
	printf("  %.1f s of one core, %.0f states/s; %" PRIu64 " violations; %s; seed %" PRIu64
	       "\n",
	       t->seconds, states / t->seconds, t->violations,
	       t->states.cut_short ? "not exhaustive: some logs were cut short"
	       : t->states.capped  ? "not exhaustive: some epochs were sampled"
				   : "every subset of whole writes was made",
	       seed);
	if (t->violations)
		printf("  first: %s\n", t->first);
	fflush(stdout);
}

void explorer_print(const struct explorer *e, const char *what)
{
	explorer_totals_print(&e->totals, e->opts.libfs, what, e->opts.states.seed);
}
