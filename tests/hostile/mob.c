/* SPDX-License-Identifier: MIT */
/*
 * The mob's program: phases of many calls by all threads at once, and between them a
 * crash, a clean closing, or nothing; each time everything is looked at.
 *
 *	hostile_mob [CALLS]	XN_MOB_CALLS and XN_MOB_SEED say it, too
 *
 * With XN_MOB_TURNS set, one thread does it all, a step at a time, so that a seed tells
 * the same story again.
 */
#include "mob.h"

#include <errno.h>

#define STATES_EVERY 61u /* writes and flushes between two looks at the device */
#define PHASE_CALLS  60000u

void mob_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

int mob_expect(const char *file, int line, int err, const int *allowed)
{
	for (; *allowed != 1; allowed++) {
		if (err == *allowed)
			return err;
	}
	mob_fail(file, line, "%s was not expected here", xn_error_name(err));
}

/* ---- threads ---- */

static void member_step(struct member *m)
{
	if (roll(m, 2))
		deed(m);
	else
		lie(m);
}

static void *member_run(void *argument)
{
	struct member *m = argument;
	uint64_t until = m->calls + m->mob->calls_each;

	while (m->calls < until)
		member_step(m);
	atomic_fetch_sub(&m->mob->running, 1);
	return NULL;
}

/* The same session in another thread: reads by a handle that may be gone any moment. */
static void shadow_read(struct member *m, uint64_t *calls)
{
	uint8_t bytes[XN_BLOCK];
	struct stamp stamp;
	uint64_t number;
	int err;

	pthread_rwlock_rdlock(&m->gate);
	err = xn_read(m->session, atomic_load(&m->handle), 0, bytes, sizeof(bytes));
	pthread_rwlock_unlock(&m->gate);
	++*calls;
	if (EXPECT_ERROR(err, 0, XN_ESTALE, XN_ETYPE, XN_ECACHEFULL))
		return;
	memcpy(&stamp, bytes, sizeof(stamp));
	EXPECT(block_is_ours(bytes, stamp.block, m->uid, &number));
}

static void shadow_turn(struct flicker *f, uint64_t round)
{
	bool lying = round & 1;

	f->word = lying ? f->lie[0] : f->truth[0];
	f->alloc.start = round & 2 ? f->lie[1] : f->truth[1];
	f->update.n_edits = round & 4 ? 2 : 1;
}

static void *shadow_run(void *argument)
{
	struct member *m = argument;
	uint64_t calls = 0;

	while (atomic_load(&m->mob->running)) {
		struct flicker *f = &m->flicker;

		atomic_store(&f->turning, true);
		for (uint64_t i = 0; atomic_load(&f->on); i++)
			shadow_turn(f, i);
		atomic_store(&f->turning, false);
		if (calls < m->mob->calls_each)
			shadow_read(m, &calls);
		else
			sched_yield();
	}
	return (void *)(uintptr_t)calls;
}

/* Roots come and go, while others look. */
static void make_and_remove(struct mob *mob, uint64_t *seed)
{
	struct xn_root_spec spec = { .name = "passing", .libfs = "mob", .mode = 0666 };
	struct xn_root_info info;

	spec.type = mob->type[T_NODE];
	if (chance(seed) % 2)
		EXPECT_ERROR(xn_root_create(mob->admin, &spec, &info), 0, XN_EROOTEXISTS,
			     XN_ENOSPACE, XN_ECACHEFULL);
	else
		EXPECT_ERROR(xn_root_remove(mob->admin, "passing"), 0, XN_ENOROOT, XN_ECACHEFULL,
			     XN_ETAINTED);
}

static void look_around(struct mob *mob)
{
	struct xn_walker *walker;
	struct xn_walk_item item;
	char text[200] = "";

	if (xn_self_check(mob->xn, text, sizeof(text)))
		mob_fail(__FILE__, __LINE__, "%s", text);
	EXPECT_ERROR(xn_walker_create(mob->admin, 0, &walker), 0);
	for (unsigned i = 0; i < 20 && xn_walker_next(walker, &item) == 1; i++)
		;
	xn_walker_destroy(walker);
}

static void administrate(struct mob *mob)
{
	uint64_t *seed = &mob->admin_seed;

	switch (chance(seed) % 6) {
	case 0: EXPECT_ERROR(xn_sync(mob->admin, 0), 0, XN_ETAINTED); break;
	case 1: make_and_remove(mob, seed); break;
	case 2: look_around(mob); break;
	case 3: EXPECT(xn_reap(mob->admin, 5) >= 0); break;
	default: sched_yield();
	}
	mob->admin_calls++;
}

/* ---- the device, seen from outside ---- */

struct view {
	const struct mob *mob;
	const uint8_t *bytes;
};

static const char *object_look(const struct view *view, const struct medium_item *item,
			       uint64_t uid)
{
	uint32_t type = item->type, at = T_NODE_RAW;
	struct canary canary;

	if (item->owner == 0 || type != view->mob->type[T_NODE])
		return NULL; /* roots, which begin without; guards, looked at with their data */
	memcpy(&canary, view->bytes + item->start * XN_BLOCK + at, sizeof(canary));
	if (canary.magic != CANARY_MAGIC || canary.block != item->start)
		return "an object that was never written here";
	return canary.uid == uid ? NULL : "an object of another user";
}

/* The uid whose bytes may hang here: of the root, or of the guard on the way. */
static bool uid_of(const struct view *view, const struct medium_item *item, uint64_t *uid)
{
	const uint8_t *owner = view->bytes + item->owner * XN_BLOCK;
	struct t_guard_head head;
	struct canary canary;

	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		*uid = view->mob->members[i].uid;
		if (item->root == view->mob->members[i].root_id)
			return true;
	}
	if (item->root != view->mob->commons_id || item->owner == 0)
		return false;
	memcpy(&head, owner, sizeof(head));
	memcpy(&canary, owner + T_NODE_RAW, sizeof(canary));
	*uid = item->owner_type == view->mob->type[T_GUARD] ? head.uid : canary.uid;
	return item->owner != view->mob->commons;
}

static const char *view_visit(void *context, const struct medium_item *item)
{
	const struct view *view = context;
	const char *text = NULL;
	uint64_t uid;

	if (!uid_of(view, item, &uid))
		return NULL;
	if (item->type != XN_DATA)
		return object_look(view, item, uid);
	for (uint64_t i = 0; i < item->count && !text; i++)
		text = sectors_are_of(item->bytes + i * XN_BLOCK, item->start + i, uid);
	return text;
}

static void device_look(struct mob *mob, uint64_t seed)
{
	struct view view = { mob, crashdev_state_begin(mob->medium, seed) };
	struct medium_report report;

	if (medium_check(view.bytes, crashdev_size(mob->medium), &mob->types, view_visit, &view,
			 &report))
		mob_fail(__FILE__, __LINE__, "crash state %llu: truth %d: %s",
			 (unsigned long long)seed, report.truth, report.text);
	crashdev_state_end(mob->medium);
	atomic_fetch_add(&mob->states, 1);
}

static void mob_hook(void *context, struct bdev *dev, enum bdev_op op)
{
	struct mob *mob = context;
	uint64_t n = atomic_fetch_add(&mob->hooks, 1);

	(void)dev, (void)op;
	if (n % STATES_EVERY == 0)
		device_look(mob, n / STATES_EVERY % 4 ? n : 0);
}

static void fsck_look(struct mob *mob)
{
	char text[400];
	const char *complaint = fsck_complaint(mob->medium, text, sizeof(text));

	if (complaint)
		mob_fail(__FILE__, __LINE__, "%s", complaint);
	if (bdev_check_violations(mob->rules, &complaint))
		mob_fail(__FILE__, __LINE__, "the order of writes: %s", complaint);
}

/* ---- the disk ---- */

static void mob_open(struct mob *mob)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = 3 * XN_CACHE_MIN };
	struct xn_cred root = { 0 };

	bdev_check_reset(mob->rules);
	EXPECT_ERROR(xn_open_dev(mob->rules, &opts, &mob->xn), 0);
	EXPECT_ERROR(xn_session_open(mob->xn, &root, XN_SESSION_ADMIN, &mob->admin), 0);
}

static void make_root(struct mob *mob, const char *name, uint32_t uid, uint32_t mode,
		      uint64_t quota, struct xn_root_info *info)
{
	struct xn_root_spec spec = {
		.name = name, .libfs = "mob", .uid = uid, .gid = uid, .mode = mode, .quota = quota
	};

	spec.type = mob->type[T_NODE];
	EXPECT_ERROR(xn_root_create(mob->admin, &spec, info), 0);
}

/* A guard for each, in the root that all may write. */
static void make_guard(struct mob *mob, const struct member *m)
{
	struct t_guard_head head = { m->uid, 0 };
	struct xn_extent found;
	struct request rq;

	EXPECT_ERROR(xn_find_free(mob->admin, 0, 1, 1, &found), 0);
	request_begin(&rq);
	request_word(&rq, mob->commons, slot_record(m->index) * 8,
		     T_POINTER(found.start, 1, T_GUARD));
	request_edit(&rq, found.start, 0, &head, sizeof(head));
	request_alloc(&rq, found.start, 1, mob->type[T_GUARD]);
	EXPECT_ERROR(request_run(&rq, mob->admin), 0);
}

static void mob_init(struct mob *mob, uint64_t seed, uint64_t calls)
{
	struct xn_format_opts format = { .label = "mob", .force = true };
	struct xn_root_info info;
	xn_binding_t b;

	mob->first_seed = mob->admin_seed = seed;
	mob->phases = calls / PHASE_CALLS + 4;
	mob->calls_each = calls / (MOB_MEMBERS * mob->phases);
	EXPECT_ERROR(crashdev_create((uint64_t)MOB_BLOCKS * XN_BLOCK, &mob->medium), 0);
	EXPECT_ERROR(bdev_check_create(mob->medium, &mob->rules), 0);
	EXPECT_ERROR(xn_format(mob->rules, &format), 0);
	mob_open(mob);
	install_types(mob->admin, mob->type);
	make_root(mob, "commons", 0, 0666, 0, &info);
	mob->commons_id = info.id;
	EXPECT_ERROR(xn_bind_root(mob->admin, "commons", XN_READ | XN_WRITE | XN_READIN, &b,
				  &mob->commons),
		     0);
	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		struct member *m = &mob->members[i];

		*m = (struct member){
			.mob = mob, .index = i, .uid = MOB_UID + i, .next_number = 1
		};
		m->seed = seed * 1000 + i;
		snprintf(m->root_name, sizeof(m->root_name), "m%u", i);
		pthread_rwlock_init(&m->gate, NULL);
		make_root(mob, m->root_name, m->uid, 0600, i % 2 ? MOB_QUOTA : 0, &info);
		m->root_id = info.id;
		make_guard(mob, m);
	}
	EXPECT_ERROR(xn_sync(mob->admin, 0), 0);
	for (unsigned i = 0; i < MOB_MEMBERS; i++)
		member_begin(&mob->members[i]);
	crashdev_hook_set(mob->medium, mob_hook, mob);
}

static void mob_phase(struct mob *mob)
{
	atomic_store(&mob->running, MOB_MEMBERS);
	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		struct member *m = &mob->members[i];

		EXPECT(!pthread_create(&m->thread, NULL, member_run, m));
		EXPECT(!pthread_create(&m->shadow, NULL, shadow_run, m));
	}
	while (atomic_load(&mob->running))
		administrate(mob);
	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		void *calls;

		pthread_join(mob->members[i].thread, NULL);
		pthread_join(mob->members[i].shadow, &calls);
		mob->shadow_calls += (uintptr_t)calls;
	}
}

static void mob_phase_in_turns(struct mob *mob)
{
	uint64_t dice = mob->first_seed + mob->members[0].calls;

	for (uint64_t i = 0; i < MOB_MEMBERS * mob->calls_each / 2; i++) {
		member_step(&mob->members[chance(&dice) % MOB_MEMBERS]);
		if (chance(&dice) % 64 == 0)
			administrate(mob);
	}
}

static void mob_settle(struct mob *mob, uint64_t seed)
{
	struct xn_disk_info info;

	look_around(mob);
	EXPECT_ERROR(xn_disk_info(mob->xn, &info), 0);
	EXPECT(!info.damaged);
	if (seed % 4 == 3)
		return;
	for (unsigned i = 0; i < MOB_MEMBERS; i++)
		member_end(&mob->members[i]);
	if (seed % 4) {
		xn_abandon(mob->xn);
		crashdev_crash(mob->medium, seed);
		mob->crashes++;
	} else {
		EXPECT_ERROR(xn_close(mob->xn), 0);
		mob->reopens++;
	}
	device_look(mob, 0);
	fsck_look(mob);
	mob_open(mob);
	EXPECT_ERROR(xn_disk_info(mob->xn, &info), 0);
	EXPECT(!info.damaged);
	for (unsigned i = 0; i < MOB_MEMBERS; i++)
		member_begin(&mob->members[i]);
}

static void mob_fini(struct mob *mob)
{
	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		member_end(&mob->members[i]);
		pthread_rwlock_destroy(&mob->members[i].gate);
	}
	EXPECT_ERROR(xn_close(mob->xn), 0);
	device_look(mob, 0);
	fsck_look(mob);
	medium_types_fini(&mob->types);
	bdev_close(mob->rules);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

int main(int argc, char **argv)
{
	struct mob *mob = calloc(1, sizeof(*mob));
	uint64_t calls =
		number_from("XN_MOB_CALLS", argc > 1 ? strtoull(argv[1], NULL, 0) : 100000);
	uint64_t total = 0, accepted = 0, refused = 0, seed = number_from("XN_MOB_SEED", 1), dice;

	EXPECT(mob);
	mob_init(mob, seed, calls);
	dice = seed;
	for (uint64_t i = 0; i < mob->phases; i++) {
		if (getenv("XN_MOB_TURNS"))
			mob_phase_in_turns(mob);
		else
			mob_phase(mob);
		mob_settle(mob, chance(&dice));
	}
	for (unsigned i = 0; i < MOB_MEMBERS; i++) {
		total += mob->members[i].calls;
		accepted += mob->members[i].accepted;
		refused += mob->members[i].refused;
	}
	mob_fini(mob);
	printf("seed %llu: %llu calls by %u members (%llu updates accepted, %llu lies refused), "
	       "%llu by their shadows, %llu by the administrator; %llu crashes, %llu reopenings, "
	       "%llu states of the device\n",
	       (unsigned long long)seed, (unsigned long long)total, MOB_MEMBERS,
	       (unsigned long long)accepted, (unsigned long long)refused,
	       (unsigned long long)mob->shadow_calls, (unsigned long long)mob->admin_calls,
	       (unsigned long long)mob->crashes, (unsigned long long)mob->reopens,
	       (unsigned long long)mob->states);
	free(mob);
	return 0;
}
