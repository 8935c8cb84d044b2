/* SPDX-License-Identifier: MIT */
/*
 * Locking: `lock` guards seats, called, members and ended.  A member's `since` is
 * 0 while it waits for requests; while it serves with a seat, it is the time it
 * began, and whoever changes it back to 0 (the member, or the watch) decides
 * whether the member still has its seat.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"

#define WATCH_MS       1u     /* how long a seat may be kept by one request */
#define REST_TURNS     50u    /* the watch sleeps after so many turns without a request */
#define SLOW_NS        60000u /* what usually takes longer is served without a seat */
#define AWAKE          8u     /* ... if it sleeps; else only what takes so many times longer */
#define KINDS          64u
#define CROWDED_STREAK 16u       /* so many requests without waiting: another may help */
#define FOLLOW_NS      2000000u  /* a client is looked for so often, ... */
#define FOLLOW_MAX_NS  32000000u /* ... or less, while it stays where it was */

struct member {
	struct crew *crew;
	pthread_t thread;
	atomic_uint_fast64_t since;
	unsigned streak; /* requests found without waiting, each of another client */
	uint32_t client; /* who asked last */
	uint32_t client_followed;
	unsigned spin_hit; /* of 256: how often spinning found one lately */
	uint64_t followed; /* when it last looked where its client runs, ... */
	uint64_t rest;     /* ... and for how long that is believed */
	int cpu;           /* where it is bound; -1 = anywhere */
	char *buffer;
};

struct crew {
	int fd, stop_fd;
	size_t buffer_size;
	struct crew_policy policy;
	crew_serve *serve;
	void *arg;
	unsigned processors;
	cpu_set_t everywhere;

	pthread_mutex_t lock;
	pthread_cond_t call, rest;
	atomic_uint seats; /* follow() looks without the lock */
	unsigned called, sleeping, n_members;
	struct member **members;
	bool ended;
	int error;
	atomic_uint served; /* requests, for the watch to see that there are any */
	atomic_bool resting;
	pthread_t watch;
	atomic_uint cost_ns[KINDS]; /* what each kind took lately */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- members and seats; the caller holds the lock ---- */

static void *member_main(void *arg);

static int member_add(struct crew *crew)
{
	struct member *member = calloc(1, sizeof(*member));
	int err = -ENOMEM;

	if (!member)
		return err;
	member->crew = crew;
	member->cpu = -1;
	member->buffer = aligned_alloc(4096, (crew->buffer_size + 4095) & ~(size_t)4095);
	if (!member->buffer)
		goto free_member;
	err = -pthread_create(&member->thread, NULL, member_main, member);
	if (err)
		goto free_member;
	crew->members[crew->n_members++] = member;
	return 0;

free_member:
	free(member->buffer);
	free(member);
	return err;
}

/* Somebody shall take a seat: one who sleeps, or a new one while there may be more. */
static void call_one(struct crew *crew)
{
	if (crew->called >= crew->sleeping && crew->n_members < crew->policy.threads)
		member_add(crew); /* or else one that is busy comes back to find the call */
	crew->called++;
	pthread_cond_signal(&crew->call);
}

/* ---- seats ---- */

static bool seat_take(struct member *member)
{
	struct crew *crew = member->crew;
	bool taken;

	pthread_mutex_lock(&crew->lock);
	while (!crew->ended && crew->called == 0) {
		crew->sleeping++;
		pthread_cond_wait(&crew->call, &crew->lock);
		crew->sleeping--;
	}
	taken = !crew->ended;
	if (taken) {
		crew->called--;
		crew->seats++;
	}
	pthread_mutex_unlock(&crew->lock);
	member->streak = 0;
	return taken;
}

/* (1) */
static void seat_leave(struct crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	crew->seats--;
	if (crew->seats + crew->called == 0 && !crew->ended)
		call_one(crew);
	pthread_mutex_unlock(&crew->lock);
}

/* (4), its end: false for the last one, who stays. */
static bool seat_give_up(struct crew *crew)
{
	bool spare;

	if (crew->policy.seats == 1)
		return false;
	pthread_mutex_lock(&crew->lock);
	spare = crew->seats > (crew->policy.seats ? crew->policy.seats : 1);
	if (spare)
		crew->seats--;
	pthread_mutex_unlock(&crew->lock);
	return spare;
}

/* (4), its beginning. */
static void call_help(struct crew *crew)
{
	if (crew->policy.seats)
		return;
	pthread_mutex_lock(&crew->lock);
	if (crew->seats + crew->called < crew->processors && !crew->ended)
		call_one(crew);
	pthread_mutex_unlock(&crew->lock);
}

static void crew_end(struct crew *crew, int error)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&crew->lock);
	if (!crew->ended)
		crew->error = error;
	crew->ended = true;
	pthread_cond_broadcast(&crew->call);
	pthread_cond_broadcast(&crew->rest);
	pthread_mutex_unlock(&crew->lock);
	/* Fails only when it is full, and then it has been heard. */
	if (write(crew->stop_fd, &one, sizeof(one)) < 0)
		return;
}

static bool crew_ended(struct crew *crew)
{
	bool ended;

	pthread_mutex_lock(&crew->lock);
	ended = crew->ended;
	pthread_mutex_unlock(&crew->lock);
	return ended;
}

/* ---- waiting for a request ---- */

/* One look.  -EAGAIN; -ENODEV when the mount is gone. */
static ssize_t look(struct member *member)
{
	const struct crew *crew = member->crew;
	ssize_t n;

	do {
		n = read(crew->fd, member->buffer, crew->buffer_size);
		/* ENOENT: whoever asked was killed before we read it. */
	} while (n < 0 && (errno == EINTR || errno == ENOENT));
	if (n == 0)
		return -ENODEV;
	return n < 0 ? -errno : n;
}

/* (5): a miss now and then is the price of finding out that it is worth it again. */
static ssize_t spin(struct member *member)
{
	const uint64_t end = now_ns() + member->crew->policy.spin_us * UINT64_C(1000);
	ssize_t n;

	do {
		sched_yield();
		n = look(member);
	} while (n == -EAGAIN && now_ns() < end);
	if (n > 0)
		member->spin_hit += (256 - member->spin_hit) / 8;
	else
		member->spin_hit -= member->spin_hit / 8;
	return n;
}

/* Whoever is bound runs where its client does. */
static bool spin_pays(struct member *member)
{
	if (member->crew->policy.spin_us == 0 || member->cpu >= 0)
		return false;
	if (member->spin_hit >= 64)
		return true;
	member->spin_hit++; /* and so it is tried again some time */
	return false;
}

/* Wakes the watch, should it rest. */
static void watch_wake(struct crew *crew)
{
	if (!atomic_load(&crew->resting))
		return;
	pthread_mutex_lock(&crew->lock);
	pthread_cond_signal(&crew->rest);
	pthread_mutex_unlock(&crew->lock);
}

static void sleep_for_request(struct crew *crew)
{
	struct pollfd fds[] = {
		{ .fd = crew->fd, .events = POLLIN },
		{ .fd = crew->stop_fd, .events = POLLIN },
	};

	poll(fds, 2, -1);
}

/*
 * A client that shares our processor has its next request ready before we look: that is
 * no crowd.  Pages that the kernel reads ahead for it are.
 */
static bool crowded(struct member *member)
{
	const struct fuse_in_header *request = (const void *)member->buffer;

	if (request->pid == 0 || (request->pid == member->client && request->opcode != FUSE_READ))
		return false;
	member->client = request->pid;
	if (++member->streak < CROWDED_STREAK)
		return false;
	member->streak = 0;
	return true;
}

/* A request; 0 when the seat was given up; -errno when there will be none. */
static ssize_t request_read(struct member *member)
{
	struct crew *crew = member->crew;
	ssize_t n = look(member);

	if (n > 0 && crowded(member))
		call_help(crew);
	while (n == -EAGAIN) {
		member->streak = 0;
		if (spin_pays(member)) {
			n = spin(member);
			if (n != -EAGAIN)
				break;
		}
		if (seat_give_up(crew))
			return 0;
		sleep_for_request(crew);
		if (crew_ended(crew))
			return -ECANCELED;
		n = look(member);
	}
	return n;
}

/* ---- where to run ---- */

/* The processor a thread last ran on, from the 39th word of its stat; -1 = unknown. */
static int processor_of(uint32_t tid)
{
	char path[32], text[512], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strrchr(text, ')'); /* behind the name, which may hold anything */
	for (int word = 2; at && word < 39; word++)
		at = strchr(at + 1, ' ');
	return at ? atoi(at) : -1;
}

static void run_on(struct member *member, int cpu)
{
	cpu_set_t set = member->crew->everywhere;

	if (cpu == member->cpu)
		return;
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		member->cpu = cpu;
}

/* It is a question to the kernel that costs as much as a request. */
static void follow_client(struct member *member, uint32_t client)
{
	const int cpu = processor_of(client);

	if (cpu != member->cpu || client != member->client_followed)
		member->rest = FOLLOW_NS;
	else if (member->rest < FOLLOW_MAX_NS)
		member->rest *= 2;
	member->client_followed = client;
	run_on(member, cpu);
}

/*
 * A client that waits for each answer and its server never run at once: on one
 * processor neither has to be woken on another.  With more clients than one the
 * scheduler decides.
 */
static void follow(struct member *member, const struct fuse_in_header *request, uint64_t now)
{
	struct crew *crew = member->crew;
	const bool known = crew->seats == 1 && request->pid == member->client_followed;

	if (!crew->policy.follow || now - member->followed < (known ? member->rest : FOLLOW_NS))
		return;
	if (request->pid == 0 && crew->seats == 1)
		return; /* the kernel's own: closing, forgetting */
	member->followed = now;
	if (crew->seats == 1)
		follow_client(member, request->pid);
	else
		run_on(member, -1);
}

/* ---- serving ---- */

/*
 * How often this thread has slept.  Only of kinds that take so long that it matters; to ask
 * is a call of the kernel.
 */
static long times_slept(struct crew *crew, unsigned kind)
{
	struct rusage usage;

	if (atomic_load_explicit(&crew->cost_ns[kind], memory_order_relaxed) < SLOW_NS / 2 ||
	    getrusage(RUSAGE_THREAD, &usage))
		return -1;
	return usage.ru_nvcsw;
}

/* Half of a kind take longer than this: a step up or down with each. */
static void account(struct crew *crew, unsigned kind, uint64_t took)
{
	unsigned cost = atomic_load_explicit(&crew->cost_ns[kind], memory_order_relaxed);
	unsigned step = cost / 16 + 16;

	if (took > cost)
		cost += step;
	else
		cost = cost > step ? cost - step : 0;
	atomic_store_explicit(&crew->cost_ns[kind], cost, memory_order_relaxed);
}

/* false: the seat is gone. */
static bool serve_one(struct member *member)
{
	struct crew *crew = member->crew;
	struct fuse_in_header *request = (void *)member->buffer;
	ssize_t n = request_read(member);
	uint_fast64_t began, took;
	unsigned kind;
	bool slow;
	long slept;

	if (n < 0)
		crew_end(crew, n == -ENODEV || n == -ECANCELED ? 0 : (int)n);
	if (n < (ssize_t)sizeof(*request))
		return n > 0;
	kind = request->opcode % KINDS;
	slow = atomic_load_explicit(&crew->cost_ns[kind], memory_order_relaxed) > SLOW_NS;
	slept = times_slept(crew, kind);
	began = now_ns();
	if (slow) { /* (2) */
		run_on(member, -1);
		seat_leave(crew);
	} else {
		atomic_fetch_add_explicit(&crew->served, 1, memory_order_relaxed);
		atomic_store(&member->since, began);
		watch_wake(crew);
		follow(member, request, began);
	}
	crew->serve(crew->arg, request, (size_t)n);
	took = now_ns() - began;
	if (slept >= 0 && times_slept(crew, kind) == slept)
		took /= AWAKE;
	account(crew, kind, took);
	return !slow && atomic_compare_exchange_strong(&member->since, &began, 0);
}

static void *member_main(void *arg)
{
	struct member *member = arg;

	while (seat_take(member)) {
		while (serve_one(member))
			;
	}
	return NULL;
}

/* ---- the watch ---- */

/* (3) */
static void take_late_seats(struct crew *crew)
{
	const uint64_t now = now_ns();

	for (unsigned i = 0; i < crew->n_members; i++) {
		uint_fast64_t since = atomic_load(&crew->members[i]->since);

		if (!since || now - since < WATCH_MS * UINT64_C(1000000))
			continue;
		if (!atomic_compare_exchange_strong(&crew->members[i]->since, &since, 0))
			continue;
		crew->seats--;
		if (crew->seats + crew->called == 0)
			call_one(crew);
	}
}

static void nap(struct crew *crew)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WATCH_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&crew->rest, &crew->lock, &until);
}

static void *watch_main(void *arg)
{
	struct crew *crew = arg;
	unsigned seen = 0, quiet = 0;

	pthread_mutex_lock(&crew->lock);
	while (!crew->ended) {
		unsigned served = atomic_load_explicit(&crew->served, memory_order_relaxed);

		take_late_seats(crew);
		quiet = served == seen ? quiet + 1 : 0;
		seen = served;
		if (quiet < REST_TURNS) {
			nap(crew);
			continue;
		}
		atomic_store(&crew->resting, true);
		if (atomic_load(&crew->served) == seen) /* or else one began before it could tell */
			pthread_cond_wait(&crew->rest, &crew->lock);
		atomic_store(&crew->resting, false);
		quiet = 0;
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/* ---- life ---- */

static void init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

int crew_create(int fd, size_t buffer_size, const struct crew_policy *policy, crew_serve *serve,
		void *arg, struct crew **out)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	int flags = fcntl(fd, F_GETFL), err = -ENOMEM;

	if (!crew)
		return -ENOMEM;
	crew->fd = fd;
	crew->buffer_size = buffer_size;
	crew->policy = *policy;
	crew->serve = serve;
	crew->arg = arg;
	sched_getaffinity(0, sizeof(crew->everywhere), &crew->everywhere);
	crew->processors = (unsigned)CPU_COUNT(&crew->everywhere);
	crew->members = calloc(policy->threads, sizeof(struct member *));
	if (!crew->members)
		goto free_crew;
	crew->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (crew->stop_fd < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		err = -errno;
		goto free_members;
	}
	pthread_mutex_init(&crew->lock, NULL);
	init_cond(&crew->call);
	init_cond(&crew->rest);
	*out = crew;
	return 0;

free_members:
	free(crew->members);
free_crew:
	free(crew);
	return err;
}

int crew_run(struct crew *crew)
{
	int err = -pthread_create(&crew->watch, NULL, watch_main, crew);

	if (err)
		return err;
	pthread_mutex_lock(&crew->lock);
	err = member_add(crew);
	for (unsigned i = 1; !err && i < crew->policy.seats; i++)
		err = member_add(crew);
	crew->called = crew->policy.seats ? crew->policy.seats : 1;
	pthread_cond_broadcast(&crew->call);
	pthread_mutex_unlock(&crew->lock);
	if (err)
		crew_end(crew, err);
	pthread_join(crew->watch, NULL);
	/* Ended: nobody is added any more. */
	for (unsigned i = 0; i < crew->n_members; i++)
		pthread_join(crew->members[i]->thread, NULL);
	return crew->error;
}

void crew_stop(struct crew *crew)
{
	crew_end(crew, 0);
}

void crew_destroy(struct crew *crew)
{
	for (unsigned i = 0; i < crew->n_members; i++) {
		free(crew->members[i]->buffer);
		free(crew->members[i]);
	}
	close(crew->stop_fd);
	pthread_cond_destroy(&crew->call);
	pthread_cond_destroy(&crew->rest);
	pthread_mutex_destroy(&crew->lock);
	free(crew->members);
	free(crew);
}
