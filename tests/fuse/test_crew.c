/* SPDX-License-Identifier: MIT */
/*
 * The threads that serve, with a socket in the kernel's place: packets of the
 * size of a request's head, each with a kind and a number.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crew.h"

#define QUICK 1u
#define WAITS 2u /* until the gate opens */
#define SLEEP 3u /* a millisecond and a half */
#define MANY  20000u

struct bench {
	int ask, answer; /* two ends */
	struct crew *crew;
	pthread_t runner;
	bool joined;
	int result;
	sem_t gate, done;
	atomic_uint waiting, most_waiting;
	atomic_uint served[MANY];
};

static void serve(void *arg, struct fuse_in_header *request, size_t size)
{
	struct bench *bench = arg;

	assert_int_equal(size, sizeof(*request));
	if (request->opcode == WAITS) {
		unsigned waiting = ++bench->waiting;

		if (waiting > bench->most_waiting)
			bench->most_waiting = waiting;
		sem_wait(&bench->gate);
		bench->waiting--;
	}
	if (request->opcode == SLEEP)
		usleep(1500);
	bench->served[request->unique]++;
	sem_post(&bench->done);
}

static void *run(void *arg)
{
	struct bench *bench = arg;

	bench->result = crew_run(bench->crew);
	return NULL;
}

static struct bench *begin(const struct crew_policy *policy)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int ends[2];

	assert_non_null(bench);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	bench->ask = ends[0];
	bench->answer = ends[1];
	sem_init(&bench->gate, 0, 0);
	sem_init(&bench->done, 0, 0);
	assert_int_equal(crew_create(bench->answer, 4096, policy, serve, bench, &bench->crew), 0);
	assert_int_equal(pthread_create(&bench->runner, NULL, run, bench), 0);
	return bench;
}

static int join(struct bench *bench)
{
	if (!bench->joined)
		pthread_join(bench->runner, NULL);
	bench->joined = true;
	return bench->result;
}

static void end(struct bench *bench)
{
	assert_int_equal(join(bench), 0);
	crew_destroy(bench->crew);
	close(bench->answer);
	if (bench->ask >= 0)
		close(bench->ask);
	sem_destroy(&bench->gate);
	sem_destroy(&bench->done);
	free(bench);
}

static void ask_as(struct bench *bench, uint32_t kind, uint64_t number, uint32_t pid)
{
	const struct fuse_in_header request = {
		.len = sizeof(request),
		.opcode = kind,
		.unique = number,
		.pid = pid,
	};

	assert_int_equal(write(bench->ask, &request, sizeof(request)), sizeof(request));
}

static void ask(struct bench *bench, uint32_t kind, uint64_t number)
{
	ask_as(bench, kind, number, (uint32_t)gettid());
}

static void wait_done(struct bench *bench, unsigned count)
{
	while (count > 0) {
		if (sem_wait(&bench->done) == 0)
			count--;
	}
}

static const struct crew_policy policies[] = {
	{ .threads = 1, .seats = 1 },
	{ .threads = 1 },
	{ .threads = 4, .seats = 2 },
	{ .threads = 8 },
	{ .threads = 8, .spin_us = 50, .follow = true },
};
#define N_POLICIES (sizeof(policies) / sizeof(policies[0]))

/* ---- the tests ---- */

static void every_request_is_served_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_POLICIES; i++) {
		struct bench *bench = begin(&policies[i]);

		for (unsigned n = 0; n < MANY; n++)
			ask(bench, QUICK, n);
		wait_done(bench, MANY);
		for (unsigned n = 0; n < MANY; n++)
			assert_int_equal(bench->served[n], 1);
		crew_stop(bench->crew);
		end(bench);
	}
}

/* Two clients, and the kernel itself between them: a crowd, which calls for help. */
static void requests_of_several_clients_too(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_POLICIES; i++) {
		struct bench *bench = begin(&policies[i]);
		const uint32_t clients[] = { (uint32_t)gettid(), 0, (uint32_t)getppid() };

		for (unsigned n = 0; n < MANY; n++)
			ask_as(bench, QUICK, n, clients[n % 3]);
		wait_done(bench, MANY);
		for (unsigned n = 0; n < MANY; n++)
			assert_int_equal(bench->served[n], 1);
		crew_stop(bench->crew);
		end(bench);
	}
}

static void one_by_one_too(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_POLICIES; i++) {
		struct bench *bench = begin(&policies[i]);

		for (unsigned n = 0; n < 3000; n++) {
			ask(bench, n % 500 == 499 ? SLEEP : QUICK, n);
			wait_done(bench, 1);
		}
		crew_stop(bench->crew);
		end(bench);
	}
}

/* What waits is let go only by what was asked after it. */
static void a_request_that_takes_long_keeps_nobody_waiting(void **state)
{
	(void)state;
	for (size_t i = 2; i < N_POLICIES; i++) {
		struct bench *bench = begin(&policies[i]);

		for (unsigned round = 0; round < 20; round++) {
			unsigned stuck = policies[i].threads - 1;

			for (unsigned n = 0; n < stuck; n++)
				ask(bench, WAITS, n);
			ask(bench, QUICK, 100);
			while (bench->served[100] <= round)
				usleep(100);
			for (unsigned n = 0; n < stuck; n++)
				sem_post(&bench->gate);
			wait_done(bench, stuck + 1);
		}
		crew_stop(bench->crew);
		end(bench);
	}
}

static void there_are_never_more_threads_than_were_allowed(void **state)
{
	struct bench *bench = begin(&(struct crew_policy){ .threads = 3 });

	(void)state;
	for (unsigned n = 0; n < 12; n++)
		ask(bench, WAITS, n);
	while (bench->waiting < 3)
		usleep(100);
	usleep(20000);
	for (unsigned n = 0; n < 12; n++)
		sem_post(&bench->gate);
	wait_done(bench, 12);
	assert_int_equal(bench->most_waiting, 3);
	crew_stop(bench->crew);
	end(bench);
}

static void it_ends_when_told_at_rest_and_at_work(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 50; n++) {
		struct bench *bench = begin(&policies[n % N_POLICIES]);

		if (n % 2)
			ask(bench, SLEEP, 0);
		crew_stop(bench->crew);
		end(bench);
	}
}

static void it_ends_when_the_other_side_has_gone(void **state)
{
	struct bench *bench = begin(&policies[4]);

	(void)state;
	ask(bench, QUICK, 0);
	wait_done(bench, 1);
	close(bench->ask);
	bench->ask = -1;
	end(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request_is_served_once),
		cmocka_unit_test(requests_of_several_clients_too),
		cmocka_unit_test(one_by_one_too),
		cmocka_unit_test(a_request_that_takes_long_keeps_nobody_waiting),
		cmocka_unit_test(there_are_never_more_threads_than_were_allowed),
		cmocka_unit_test(it_ends_when_told_at_rest_and_at_work),
		cmocka_unit_test(it_ends_when_the_other_side_has_gone),
	};

	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
