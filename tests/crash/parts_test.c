/* SPDX-License-Identifier: MIT */
/*
 * The parts that the explorer is made of, each asked for what its header says:
 * a slate can be wiped back, states are the legal ones and all of them, the model
 * accuses and acquits, and the oracles see what is planted.
 */
#include "expect.h"

#include <sys/stat.h>

#include "ace.h"
#include "model.h"
#include "explorer.h"
#include "states.h"

#define BYTES (64u << 10)

/* ---- slates ---- */

static void fill(uint8_t *bytes, size_t len, uint8_t value)
{
	memset(bytes, value, len);
}

static void a_slate_is_wiped_back_to_any_mark(void **state)
{
	struct slate *slate = slate_new(BYTES);
	uint8_t bytes[4096];
	uint64_t empty = slate_hash(slate), one;
	size_t first, second;

	(void)state;
	first = slate_mark(slate);
	fill(bytes, sizeof(bytes), 1);
	slate_write(slate, 8192, bytes, sizeof(bytes));
	one = slate_hash(slate);
	assert_true(one != empty);
	second = slate_mark(slate);
	fill(bytes, sizeof(bytes), 2);
	slate_write(slate, 8192 + 512, bytes, 1024);
	slate_write(slate, 8192 + 512, bytes, 512);
	assert_int_equal(slate_bytes(slate)[8192 + 600], 2);
	slate_back(slate, second);
	assert_int_equal(slate_bytes(slate)[8192 + 600], 1);
	assert_true(slate_hash(slate) == one);
	slate_back(slate, first);
	assert_int_equal(slate_bytes(slate)[8192], 0);
	assert_true(slate_hash(slate) == empty);
	slate_free(slate);
}

static void equal_bytes_have_equal_hashes_however_they_came(void **state)
{
	struct slate *a = slate_new(BYTES), *b = slate_new(BYTES);
	uint8_t x[512], y[512];

	(void)state;
	fill(x, sizeof(x), 7);
	fill(y, sizeof(y), 9);
	slate_hash(a);
	slate_write(a, 0, x, 512);
	slate_write(a, 1024, y, 512);
	slate_write(b, 1024, y, 512);
	slate_write(b, 0, y, 512);
	slate_write(b, 0, x, 512);
	assert_true(slate_hash(a) == slate_hash(b));
	/* The same sectors at other places are another content. */
	slate_write(b, 0, y, 512);
	slate_write(b, 1024, x, 512);
	assert_true(slate_hash(a) != slate_hash(b));
	slate_free(a);
	slate_free(b);
}

static void a_slates_device_reads_and_writes_it(void **state)
{
	struct slate *slate = slate_new(BYTES);
	struct bdev *dev = slate_device(slate), *other = slate_device(slate);
	uint8_t bytes[1024], got[1024];

	(void)state;
	fill(bytes, sizeof(bytes), 3);
	assert_ok(bdev_write(dev, 512, bytes, sizeof(bytes), 0));
	bdev_close(dev);
	assert_ok(bdev_read(other, 512, got, sizeof(got)));
	assert_memory_equal(bytes, got, sizeof(got));
	assert_ok(bdev_flush(other));
	bdev_close(other);
	slate_free(slate);
}

/* ---- states ---- */

struct seen {
	struct slate *slate;
	/* First byte of sectors 0 to 3 of each state, as one number. */
	uint32_t contents[4096];
	size_t begun[4096], end[4096];
	size_t n;
};

static int note_state(void *arg, const struct state *state)
{
	struct seen *seen = arg;
	uint32_t content = 0;

	for (unsigned s = 0; s < 4; s++)
		content = content << 8 | slate_bytes(seen->slate)[s * 512];
	assert_true(seen->n < 4096);
	seen->contents[seen->n] = content;
	seen->begun[seen->n] = state->begun;
	seen->end[seen->n++] = state->end;
	return 0;
}

static bool was_seen(const struct seen *seen, uint32_t content, size_t end)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->contents[i] == content && seen->end[i] == end)
			return true;
	return false;
}

struct log {
	struct slate *slate;
	struct bdev *recorder;
	struct seen *seen;
	struct states_count count;
};

static void log_begin(struct log *log)
{
	memset(log, 0, sizeof(*log));
	log->slate = slate_new(BYTES);
	assert_ok(bdev_recorder_create(slate_device(log->slate), &log->recorder));
}

static void put(struct log *log, unsigned sector, unsigned sectors, uint8_t value)
{
	uint8_t bytes[8 * 512];

	fill(bytes, sizeof(bytes), value);
	assert_ok(bdev_write(log->recorder, sector * 512, bytes, sectors * 512, 0));
}

static void log_explore(struct log *log, struct states_opts opts)
{
	size_t n = bdev_recorder_count(log->recorder);

	slate_back(log->slate, 0);
	log->seen = calloc(1, sizeof(*log->seen));
	assert_non_null(log->seen);
	log->seen->slate = log->slate;
	assert_int_equal(states_each(log->slate, log->recorder, n, &opts, note_state, log->seen,
				     &log->count),
			 0);
	/* The slate is as it was. */
	for (unsigned s = 0; s < 4; s++)
		assert_int_equal(slate_bytes(log->slate)[s * 512], 0);
}

static void log_end(struct log *log)
{
	free(log->seen);
	bdev_close(log->recorder);
	slate_free(log->slate);
}

static void any_subset_of_unflushed_writes_may_be_there(void **state)
{
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 1, 1);
	put(&log, 1, 1, 2);
	put(&log, 2, 1, 3);
	log_explore(&log, (struct states_opts){ .all_below = 8 });
	assert_int_equal(log.seen->n, 8);
	for (uint32_t set = 0; set < 8; set++)
		assert_true(was_seen(log.seen,
				     (set & 1 ? 1u << 24 : 0) | (set & 2 ? 2u << 16 : 0) |
					     (set & 4 ? 3u << 8 : 0),
				     3));
	assert_int_equal(log.count.distinct, 8);
	assert_int_equal(log.count.capped, 0);
	log_end(&log);
}

static void what_a_flush_covers_is_always_there(void **state)
{
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 1, 1);
	assert_ok(bdev_flush(log.recorder));
	put(&log, 1, 1, 2);
	log_explore(&log, (struct states_opts){ .all_below = 8 });
	assert_true(was_seen(log.seen, 0, 1));
	assert_true(was_seen(log.seen, 1u << 24, 1));
	assert_true(was_seen(log.seen, 1u << 24, 3));
	assert_true(was_seen(log.seen, 1u << 24 | 2u << 16, 3));
	assert_int_equal(log.seen->n, 4);
	log_end(&log);
}

static void a_sector_written_twice_shows_any_one_version(void **state)
{
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 1, 1);
	put(&log, 0, 1, 2);
	log_explore(&log, (struct states_opts){ .all_below = 8 });
	assert_true(was_seen(log.seen, 0, 2));
	assert_true(was_seen(log.seen, 1u << 24, 2));
	assert_true(was_seen(log.seen, 2u << 24, 2));
	assert_int_equal(log.count.distinct, 3);
	log_end(&log);
}

static void a_write_tears_between_sectors(void **state)
{
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 3, 1);
	log_explore(&log, (struct states_opts){ .all_below = 8 });
	assert_true(was_seen(log.seen, 0x01000000, 1));
	assert_true(was_seen(log.seen, 0x01010000, 1));
	assert_true(was_seen(log.seen, 0x00010100, 1));
	assert_true(was_seen(log.seen, 0x00000100, 1));
	assert_true(was_seen(log.seen, 0x01000100, 1)); /* the middle one is missing */
	assert_true(was_seen(log.seen, 0x01010100, 1));
	assert_true(was_seen(log.seen, 0, 1));
	/* All but "the middle alone", which takes two cuts. */
	assert_int_equal(log.count.distinct, 7);
	log_end(&log);
}

static void what_has_surely_begun_is_told(void **state)
{
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 1, 1);
	assert_ok(bdev_flush(log.recorder));
	assert_ok(bdev_recorder_mark(log.recorder, "b 1"));
	put(&log, 1, 1, 2);
	log_explore(&log, (struct states_opts){ .all_below = 8 });
	for (size_t i = 0; i < log.seen->n; i++) {
		bool second = log.seen->contents[i] & 0xff0000;

		if (log.seen->end[i] == 4)
			assert_int_equal(log.seen->begun[i], second ? 4 : 1);
	}
	log_end(&log);
}

static void many_writes_are_sampled_and_said_to_be(void **state)
{
	struct states_opts opts = { .all_below = 4, .samples = 50, .tears = 4, .seed = 7 };
	struct log log;

	(void)state;
	log_begin(&log);
	for (unsigned i = 0; i < 12; i++)
		put(&log, i * 8, 1, (uint8_t)(i + 1));
	log_explore(&log, opts);
	assert_int_equal(log.count.epochs, 1);
	assert_int_equal(log.count.capped, 1);
	assert_int_equal(log.count.possible, 4096);
	/* 12 prefixes, all pairs both ways, some at random. */
	assert_in_range(log.count.distinct, 1 + 66 + 66, 4096);
	log_end(&log);
}

static void events_after_the_end_have_not_happened(void **state)
{
	struct states_opts opts = { .all_below = 8 };
	struct log log;

	(void)state;
	log_begin(&log);
	put(&log, 0, 1, 1);
	put(&log, 1, 1, 2);
	assert_ok(bdev_flush(log.recorder));
	slate_back(log.slate, 0);
	log.seen = calloc(1, sizeof(*log.seen));
	assert_non_null(log.seen);
	log.seen->slate = log.slate;
	assert_ok(states_each(log.slate, log.recorder, 1, &opts, note_state, log.seen, &log.count));
	assert_int_equal(log.count.distinct, 2);
	log_end(&log);
}

/* ---- the model ---- */

struct show {
	struct model *model;
	struct look look;
	struct look_node nodes[4];
	struct look_entry entries[4];
	uint64_t sectors[4];
};

/* A model with the file "f" (operation 1: made; 2: 1000 bytes of 'a'; 3: fsync; 4: 1000 of 'b'). */
static void show_begin(struct show *show)
{
	struct libfs_attr dir = { .ino = 1, .mode = S_IFDIR | 0755 };
	struct libfs_attr file = { .ino = 2, .mode = S_IFREG | 0644 };
	uint8_t bytes[1000];
	uint32_t f;

	memset(show, 0, sizeof(*show));
	show->model = model_new();
	model_make(show->model, &dir, NULL);
	model_begin(show->model, 1);
	f = model_make(show->model, &file, NULL);
	model_name(show->model, 0, "f", f);
	model_begin(show->model, 2);
	fill(bytes, sizeof(bytes), 'a');
	model_write(show->model, f, 0, bytes, 1000, 1000);
	model_begin(show->model, 3);
	model_fsync(show->model, f, MODEL_FSYNC);
	model_begin(show->model, 4);
	fill(bytes, sizeof(bytes), 'b');
	model_write(show->model, f, 0, bytes, 1000, 1000);
	show->look = (struct look){ .nodes = show->nodes, .entries = show->entries };
	show->nodes[show->look.n_nodes++] =
		(struct look_node){ .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 };
}

static void show_file(struct show *show, const char *name, uint64_t size, char first, char second)
{
	uint8_t bytes[512];

	show->nodes[1] = (struct look_node){ .ino = 2,
					     .mode = S_IFREG | 0644,
					     .nlink = 1,
					     .size = size,
					     .sectors = show->sectors,
					     .n_sectors = (size + 511) / 512 };
	show->look.n_nodes = 2;
	show->look.n_entries = 1;
	show->entries[0] = (struct look_entry){ .dir = 0, .node = 1 };
	snprintf(show->entries[0].name, sizeof(show->entries[0].name), "%s", name);
	fill(bytes, sizeof(bytes), (uint8_t)first);
	show->sectors[0] = sector_hash_of(bytes, size < 512 ? size : 512);
	fill(bytes, sizeof(bytes), (uint8_t)second);
	show->sectors[1] = sector_hash_of(bytes, size > 512 ? size - 512 : 0);
}

static void assert_judged(const struct show *show, unsigned ended, unsigned begun,
			  const char *oracle)
{
	char text[256] = "";
	const char *wrong = model_judge(show->model, &show->look, ended, begun, text);

	if (!oracle && wrong)
		fail_msg("accused: %s", wrong);
	if (oracle && (!wrong || strncmp(wrong, oracle, 2) != 0))
		fail_msg("%s expected, got: %s", oracle, wrong ? wrong : "nothing");
}

static void before_durability_anything_between_is_right(void **state)
{
	struct show show;

	(void)state;
	show_begin(&show);
	assert_judged(&show, 0, 0, NULL); /* nothing there */
	assert_judged(&show, 2, 2, NULL);
	show_file(&show, "f", 0, 0, 0);
	assert_judged(&show, 0, 1, NULL);
	show_file(&show, "f", 1000, 'a', 0);
	assert_judged(&show, 0, 2, NULL); /* half of the write */
	model_free(show.model);
}

static void what_was_durable_must_be_there(void **state)
{
	struct show show;

	(void)state;
	show_begin(&show);
	assert_judged(&show, 3, 3, "R6"); /* the file is nowhere */
	show_file(&show, "f", 1000, 'a', 'a');
	assert_judged(&show, 3, 3, NULL);
	show_file(&show, "f", 1000, 'a', 0);
	assert_judged(&show, 3, 3, "R7");
	show_file(&show, "f", 500, 'a', 0);
	assert_judged(&show, 3, 3, "R5");
	show_file(&show, "g", 1000, 'a', 'a');
	assert_judged(&show, 3, 3, "R5"); /* under a name that nobody gave */
	model_free(show.model);
}

static void an_overwrite_may_be_there_by_halves_but_not_another(void **state)
{
	struct show show;

	(void)state;
	show_begin(&show);
	show_file(&show, "f", 1000, 'b', 'a');
	assert_judged(&show, 3, 4, NULL);
	assert_judged(&show, 3, 3, "R7"); /* it had not begun */
	show_file(&show, "f", 1000, 'b', 'c');
	assert_judged(&show, 3, 4, "R7");
	show.nodes[1].canary = true;
	assert_judged(&show, 3, 4, "R4");
	model_free(show.model);
}

static void a_rename_leaves_one_name_or_the_other(void **state)
{
	struct show show;
	uint32_t f;

	(void)state;
	show_begin(&show);
	f = model_path(show.model, "f");
	model_begin(show.model, 5);
	model_name(show.model, 0, "g", f);
	model_name(show.model, 0, "f", MODEL_NONE);
	show_file(&show, "f", 1000, 'b', 'b');
	assert_judged(&show, 4, 5, NULL);
	show_file(&show, "g", 1000, 'b', 'b');
	assert_judged(&show, 4, 5, NULL);
	assert_judged(&show, 4, 4, "R5"); /* not before it began */
	show.look.n_nodes = 1;
	show.look.n_entries = 0;
	assert_judged(&show, 4, 5, "R6"); /* neither */
	model_begin(show.model, 6);
	model_sync(show.model);
	show_file(&show, "f", 1000, 'b', 'b');
	assert_judged(&show, 6, 6, "R5"); /* the old one came back */
	model_free(show.model);
}

static void a_removed_file_does_not_come_back_once_that_is_durable(void **state)
{
	struct show show;

	(void)state;
	show_begin(&show);
	model_begin(show.model, 5);
	model_name(show.model, 0, "f", MODEL_NONE);
	model_begin(show.model, 6);
	model_fsync(show.model, 0, MODEL_FSYNC);
	show_file(&show, "f", 1000, 'b', 'b');
	assert_judged(&show, 5, 5, NULL);
	assert_judged(&show, 6, 6, "R5");
	model_free(show.model);
}

/* ---- workloads ---- */

static int text_check(void *arg, uint64_t index, const char *text)
{
	uint64_t *sum = arg;

	assert_true(strlen(text) > 0 && strlen(text) < ACE_TEXT_MAX);
	*sum += hash_bytes(index, text, strlen(text));
	return 0;
}

static void the_workloads_are_as_many_as_they_should_be_and_the_same_each_time(void **state)
{
	uint64_t first = 0, second = 0, n = ace_each(1, false, text_check, &first);

	(void)state;
	assert_int_equal(n, ace_each(1, false, text_check, &second));
	assert_true(first == second);
	/* ACE has 328 with 76 operations, some of which are not for us. */
	assert_in_range(n, 250, 450);
	assert_true(ace_each(2, false, NULL, NULL) > 50000);
}

static void a_workload_that_cannot_run_is_told(void **state)
{
	struct explorer_opts opts = { .libfs = *state, .n_roots = 1, .states = EXPLORER_STATES };
	struct explorer *e = explorer_new(&opts);

	assert_int_equal(explorer_run(e, "nonsense", "creat foo; frobnicate foo"), 1);
	assert_int_equal(explorer_run(e, "too few words", "write foo 0"), 1);
	assert_int_equal(explorer_run(e, "not there", "unlink foo"), 1);
	assert_int_equal(explorer_run(e, "no parent", "creat A/foo"), 1);
	assert_int_equal(explorer_run(e, "there already", "creat foo; creat foo"), 1);
	assert_int_equal(explorer_run(e, "fine", "creat foo; fsync foo"), 0);
	assert_int_equal(explorer_totals(e)->violations, 5);
	explorer_free(e);
}

static void the_same_workload_gives_the_same_states(void **state)
{
	static const char text[] = "mkdir A; creat A/foo; append A/foo 9000; fsync A/foo; "
				   "rename A/foo bar; fsync bar";
	struct explorer_opts opts = { .libfs = *state, .n_roots = 1, .states = EXPLORER_STATES };
	struct explorer *e = explorer_new(&opts);
	struct explorer *again = explorer_new(&opts);

	assert_int_equal(explorer_run(e, "once", text), 0);
	assert_int_equal(explorer_run(again, "again", text), 0);
	assert_int_equal(explorer_totals(again)->contents, explorer_totals(e)->contents);
	assert_int_equal(explorer_totals(again)->states.distinct,
			 explorer_totals(e)->states.distinct);
	assert_int_equal(explorer_totals(again)->judged, explorer_totals(e)->judged);
	explorer_free(again);
	explorer_free(e);
}

static void what_workloads_have_in_common_is_shown_once(void **state)
{
	struct explorer_opts opts = { .libfs = *state, .n_roots = 1, .states = EXPLORER_STATES };
	struct explorer *e = explorer_new(&opts);
	const struct explorer_totals *totals = explorer_totals(e);
	uint64_t epochs, distinct;

	assert_int_equal(explorer_run(e, "a", "creat foo; fsync foo; append foo 9000; sync"), 0);
	epochs = totals->states.epochs;
	distinct = totals->states.distinct;
	assert_int_equal(totals->states.repeated, 0);
	assert_int_equal(explorer_run(e, "a", "creat foo; fsync foo; append foo 9000; sync"), 0);
	assert_int_equal(totals->states.repeated, epochs);
	assert_int_equal(totals->states.distinct, distinct);
	/* The same writes after another operation are not the same: the model may think otherwise. */
	assert_int_equal(explorer_run(e, "b", "creat foo; fdatasync foo; append foo 9000; sync"),
			 0);
	assert_true(totals->states.epochs > epochs);
	explorer_free(e);
}

static void what_is_wrong_is_told_each_time(void **state)
{
	static const char text[] = "creat foo; append foo 9000; fsync foo";
	struct explorer_opts opts = { .libfs = *state,
				      .n_roots = 1,
				      .states = EXPLORER_STATES,
				      .wreck = { .kind = WRECK_DROP_FLUSH } };
	struct explorer *e = explorer_new(&opts);
	unsigned wrong = explorer_run(e, "once", text);

	assert_true(wrong > 0);
	assert_int_equal(explorer_run(e, "twice", text), wrong);
	explorer_free(e);
}

#define T(name)                                                    \
	{                                                          \
#name, name, NULL, NULL, argc> 1 ? argv[1] : libfs \
	}

int main(int argc, char **argv)
{
	char libfs[] = "simplefs";
	const struct CMUnitTest tests[] = {
		T(a_slate_is_wiped_back_to_any_mark),
		T(equal_bytes_have_equal_hashes_however_they_came),
		T(a_slates_device_reads_and_writes_it),
		T(any_subset_of_unflushed_writes_may_be_there),
		T(what_a_flush_covers_is_always_there),
		T(a_sector_written_twice_shows_any_one_version),
		T(a_write_tears_between_sectors),
		T(what_has_surely_begun_is_told),
		T(many_writes_are_sampled_and_said_to_be),
		T(events_after_the_end_have_not_happened),
		T(before_durability_anything_between_is_right),
		T(what_was_durable_must_be_there),
		T(an_overwrite_may_be_there_by_halves_but_not_another),
		T(a_rename_leaves_one_name_or_the_other),
		T(a_removed_file_does_not_come_back_once_that_is_durable),
		T(the_workloads_are_as_many_as_they_should_be_and_the_same_each_time),
		T(a_workload_that_cannot_run_is_told),
		T(the_same_workload_gives_the_same_states),
		T(what_workloads_have_in_common_is_shown_once),
		T(what_is_wrong_is_told_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
