/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is at the device: shares by weight, counted in blocks.
 */
#include "xn_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define RW (XN_READ | XN_WRITE)

/* A root with one extent of data. */
struct client {
	struct fixture *fx;
	xn_blk_t object, start;
	uint32_t id;
	uint64_t n;
	xn_binding_t data;
};

static struct client given_client(struct fixture *fx, const char *name, uint32_t weight, uint64_t n)
{
	struct xn_root_spec spec = { .name = name,
				     .libfs = "test",
				     .type = fx->type[T_NODE],
				     .mode = 0666,
				     .weight = weight };
	struct client client = { .fx = fx, .n = n };
	struct xn_root_info info;
	xn_binding_t binding;

	assert_ok(xn_root_create(fx->session, &spec, &info));
	assert_int_equal(info.weight, weight ? weight : 1);
	client.id = info.id;
	assert_ok(xn_bind_root(fx->session, name, RW | XN_READIN, &binding, &client.object));
	client.start = given_child(fx, client.object, 0, n, T_DATA);
	client.data = given_bound(fx, client.object, 0, client.start, n, T_DATA, RW);
	return client;
}

static void write_all(struct client *client, uint64_t number)
{
	uint8_t page[XN_BLOCK];

	for (uint64_t i = 0; i < client->n; i++) {
		stamp_fill(page, client->start + i, client->object, number);
		assert_ok(xn_write(client->fx->session, client->data, i * XN_BLOCK, page,
				   sizeof(page)));
	}
}

static uint64_t blocks_out(struct client *client)
{
	struct xn_root_stats stats;

	assert_ok(xn_root_stats(client->fx->xn, client->id, &stats));
	return stats.blocks_out;
}

static uint64_t waiting(struct client *client)
{
	struct xn_root_stats stats;

	assert_ok(xn_root_stats(client->fx->xn, client->id, &stats));
	return stats.waiting;
}

/* ---- writes ---- */

struct race {
	struct client *heavy, *light;
	uint64_t weight, limit; /* of the heavy one; blocks it has */
	uint64_t heavy_from, light_from;
	uint64_t samples;
};

/* At every write: nobody is ahead of its share by more than a turn of its own. */
static void race_hook(void *context, struct bdev *dev, enum bdev_op op)
{
	struct race *race = context;
	uint64_t heavy = blocks_out(race->heavy) - race->heavy_from;
	uint64_t light = blocks_out(race->light) - race->light_from;

	(void)dev;
	if (op != BDEV_WRITE || heavy >= race->limit)
		return;
	race->samples++;
	assert_true(heavy <= race->weight * light + race->weight * 64);
	assert_true(race->weight * light <= heavy + race->weight * 64);
}

static void a_wave_is_written_in_proportion_to_weights(void **state)
{
	struct fixture *fx = fixture_new(4096, 16u << 20);

	(void)state;
	for (uint32_t weight = 1; weight <= 4; weight += 3) {
		char name[2][8];
		struct client heavy, light;
		struct race race;

		snprintf(name[0], sizeof(name[0]), "h%u", weight);
		snprintf(name[1], sizeof(name[1]), "l%u", weight);
		heavy = given_client(fx, name[0], weight, 250);
		light = given_client(fx, name[1], 0, 250);
		write_all(&heavy, 1);
		write_all(&light, 1);
		assert_ok(xn_sync(fx->session, 0)); /* only data is dirty the second time */
		write_all(&heavy, 2);
		write_all(&light, 2);
		race = (struct race){
			&heavy, &light, weight, 250, blocks_out(&heavy), blocks_out(&light), 0
		};
		crashdev_hook_set(fx->medium, race_hook, &race);
		assert_ok(xn_sync(fx->session, 0));
		crashdev_hook_set(fx->medium, NULL, NULL);
		assert_true(race.samples >= 4);
		assert_int_equal(blocks_out(&light) - race.light_from, 250);
	}
	fixture_free(fx);
}

/* Who wrote nothing for long does not make the others wait for as long. */
static void nobody_saves_turns_up(void **state)
{
	struct fixture *fx = fixture_new(4096, 16u << 20);
	struct client busy = given_client(fx, "busy", 0, 250),
		      idle = given_client(fx, "idle", 0, 250);
	struct race race;

	(void)state;
	write_all(&idle, 1);
	for (uint64_t i = 0; i < 8; i++) {
		write_all(&busy, i);
		assert_ok(xn_sync(fx->session, busy.id));
	}
	assert_ok(xn_sync(fx->session, 0));
	write_all(&busy, 20);
	assert_ok(xn_sync(fx->session, busy.id));
	write_all(&busy, 21);
	write_all(&idle, 21);
	race = (struct race){ &busy, &idle, 1, 250, blocks_out(&busy), blocks_out(&idle), 0 };
	crashdev_hook_set(fx->medium, race_hook, &race);
	assert_ok(xn_sync(fx->session, 0));
	crashdev_hook_set(fx->medium, NULL, NULL);
	assert_true(race.samples >= 4);
	fixture_free(fx);
}

/* ---- syncs that meet ---- */

struct meeting {
	struct client *other;
	pthread_t thread;
	bool started;
};

static void *sync_other(void *arg)
{
	struct client *client = arg;

	assert_ok(xn_sync(client->fx->session, client->id));
	return NULL;
}

/* While the first writes, the second comes and waits. */
static void meeting_hook(void *context, struct bdev *dev, enum bdev_op op)
{
	struct meeting *meeting = context;

	(void)dev;
	if (op != BDEV_WRITE || meeting->started)
		return;
	meeting->started = true;
	assert_int_equal(pthread_create(&meeting->thread, NULL, sync_other, meeting->other), 0);
	while (waiting(meeting->other) == 0)
		sched_yield();
}

static void syncs_that_meet_share_their_waves(void **state)
{
	struct fixture *fx = fixture_new(4096, 16u << 20);
	struct client a = given_client(fx, "a", 0, 200), b = given_client(fx, "b", 0, 200);
	struct meeting meeting = { .other = &b };
	struct xn_stats before, after;

	(void)state;
	write_all(&a, 1); /* new data: one wave for it, one for what names it */
	write_all(&b, 1);
	xn_stats(fx->xn, &before);
	crashdev_hook_set(fx->medium, meeting_hook, &meeting);
	assert_ok(xn_sync(fx->session, a.id));
	assert_int_equal(pthread_join(meeting.thread, NULL), 0);
	crashdev_hook_set(fx->medium, NULL, NULL);
	xn_stats(fx->xn, &after);
	assert_int_equal(after.flushes - before.flushes, 3);
	assert_int_equal(waiting(&b), 0);
	fixture_check(fx);
	fixture_free(fx);
}

/* ---- reads: a device that is as slow as the test wants ---- */

struct gate {
	struct bdev bdev;
	struct bdev *below;
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool shut;
	uint64_t order[64]; /* first blocks of the reads, as they came */
	unsigned n;
};

static struct gate *gate_of(const struct bdev *dev)
{
	return (struct gate *)(uintptr_t)dev;
}

static void gate_close(struct bdev *dev)
{
	bdev_close(gate_of(dev)->below);
}

static int gate_lock(struct bdev *dev, bool exclusive, uint32_t timeout_ms)
{
	return bdev_lock(gate_of(dev)->below, exclusive, timeout_ms);
}

static void gate_info(const struct bdev *dev, struct bdev_info *info)
{
	bdev_info(gate_of(dev)->below, info);
}

struct gate_queue {
	struct bdev_queue queue;
	struct bdev_queue *below;
};

static int gate_queue_create(struct bdev *dev, struct bdev_queue **out)
{
	struct gate_queue *queue = calloc(1, sizeof(*queue));

	assert_non_null(queue);
	queue->queue.dev = dev;
	*out = &queue->queue;
	return bdev_queue_create(gate_of(dev)->below, &queue->below);
}

static void gate_queue_destroy(struct bdev_queue *queue)
{
	struct gate_queue *own = (struct gate_queue *)queue;

	bdev_queue_destroy(own->below);
	free(own);
}

static void gate_submit(struct bdev_queue *queue, struct bdev_request *requests[], size_t count)
{
	struct gate *gate = gate_of(queue->dev);

	pthread_mutex_lock(&gate->lock);
	if (requests[0]->op == BDEV_READ && gate->n < 64)
		gate->order[gate->n++] = requests[0]->offset / XN_BLOCK;
	while (gate->shut && requests[0]->op == BDEV_READ)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
	bdev_submit(((struct gate_queue *)queue)->below, requests, count);
}

static size_t gate_wait(struct bdev_queue *queue, struct bdev_request *done[], size_t max,
			size_t min)
{
	return bdev_wait(((struct gate_queue *)queue)->below, done, max, min);
}

static void gate_set(struct gate *gate, bool shut)
{
	pthread_mutex_lock(&gate->lock);
	gate->shut = shut;
	gate->n = 0;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

static unsigned gate_count(struct gate *gate)
{
	unsigned n;

	pthread_mutex_lock(&gate->lock);
	n = gate->n;
	pthread_mutex_unlock(&gate->lock);
	return n;
}

struct reader {
	struct client *client;
	uint64_t block;
	pthread_t thread;
};

static void *read_one(void *arg)
{
	struct reader *reader = arg;

	assert_ok(xn_readin(reader->client->fx->session, reader->client->data, reader->block, 1));
	return NULL;
}

static void reader_start(struct reader *reader, struct client *client, uint64_t block)
{
	*reader = (struct reader){ client, block, 0 };
	assert_int_equal(pthread_create(&reader->thread, NULL, read_one, reader), 0);
}

static const struct bdev_ops gate_ops = {
	.name = "gate",
	.close = gate_close,
	.lock = gate_lock,
	.info = gate_info,
	.queue_create = gate_queue_create,
	.queue_destroy = gate_queue_destroy,
	.submit = gate_submit,
	.wait = gate_wait,
};

/* One read at a time, eight that wait, four of each: which order do they go in? */
static void reads_that_wait_go_in_proportion_to_weights(void **state)
{
	struct fixture *fx = fixture_new(2048, 8u << 20);
	struct client heavy = given_client(fx, "heavy", 3, 10),
		      light = given_client(fx, "light", 1, 10);
	struct gate gate = { .bdev = { &gate_ops },
			     .below = fx->dev,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .opened = PTHREAD_COND_INITIALIZER };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV, .reads_max = 1 };
	struct client *clients[2] = { &heavy, &light };
	const char *const names[2] = { "heavy", "light" };
	struct reader readers[9];
	struct xn_cred cred = { 0 };
	unsigned heavy_first = 0;

	(void)state;
	write_all(&heavy, 1);
	write_all(&light, 1);
	assert_ok(xn_sync(fx->session, 0));
	fixture_close(fx);
	assert_ok(xn_open_dev(&gate.bdev, &opts, &fx->xn));
	assert_ok(xn_session_open(fx->xn, &cred, XN_SESSION_ADMIN, &fx->session));
	for (unsigned i = 0; i < 2; i++) {
		xn_binding_t b;

		assert_ok(xn_bind_root(fx->session, names[i], RW | XN_READIN, &b,
				       &clients[i]->object));
		clients[i]->data =
			given_bound(fx, clients[i]->object, 0, clients[i]->start, 10, T_DATA, RW);
	}
	gate_set(&gate, true);
	reader_start(&readers[8], &light, 9); /* when it is in, the others wait */
	while (gate_count(&gate) == 0)
		sched_yield();
	for (unsigned i = 0; i < 8; i++)
		reader_start(&readers[i], clients[i / 4], i % 4);
	while (waiting(&heavy) + waiting(&light) < 8)
		sched_yield();
	gate_set(&gate, false);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
	for (unsigned i = 0; i < gate.n; i++) {
		if (gate.order[i] >= light.start && gate.order[i] < light.start + 10)
			break;
		heavy_first++;
	}
	assert_true(heavy_first >= 3); /* light had its turn, then three of heavy's */
	assert_ok(xn_close(fx->xn));
	fixture_open(fx);
	fixture_free(fx);
}

static void nobody_waits_who_is_alone(void **state)
{
	struct fixture *fx = *state;
	struct client only = given_client(fx, "only", 1, 40);

	write_all(&only, 1);
	assert_ok(xn_sync(fx->session, 0));
	assert_ok(xn_readin(fx->session, only.data, 0, 40));
	assert_int_equal(waiting(&only), 0);
	fixture_check(fx);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wave_is_written_in_proportion_to_weights),
		cmocka_unit_test(nobody_saves_turns_up),
		cmocka_unit_test(syncs_that_meet_share_their_waves),
		cmocka_unit_test(reads_that_wait_go_in_proportion_to_weights),
		TEST(nobody_waits_who_is_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
