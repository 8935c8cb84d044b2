/* SPDX-License-Identifier: MIT */
/*
 * The words of the command line: sizes, numbers, options, help.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli.h"
#include "image.h"
#include "tool.h"

/* ---- sizes ---- */

static void sizes_mean_what_people_expect(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512B", 512 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "64M", 64ull << 20 },
		{ "64MiB", 64ull << 20 },
		{ "1G", 1ull << 30 },
		{ "16777215T", 16777215ull << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		uint64_t bytes = 1;

		assert_int_equal(size_parse(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void what_is_no_size_is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} bad[] = {
		{ "", -EINVAL },
		{ "K", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 ", -EINVAL },
		{ "1KB", -EINVAL },
		{ "1Kib", -EINVAL },
		{ "1X", -EINVAL },
		{ "1.5G", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1KK", -EINVAL },
		{ "16777216T", -ERANGE },
		{ "18446744073709551616", -ERANGE },
		{ "99999999999999999999999999", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t bytes = 77;

		assert_int_equal(size_parse(bad[i].text, &bytes), bad[i].error);
		assert_int_equal(bytes, 77);
	}
}

static void sizes_are_shown_rounded_down(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text, *exact;
	} cases[] = {
		{ 0, "0 B", "0" },
		{ 1023, "1023 B", "1023" },
		{ 1024, "1 KiB", "1024" },
		{ 1535, "1.4 KiB", "1535" },
		{ 1536, "1.5 KiB", "1536" },
		{ (1 << 20) - 1, "1023 KiB", "1048575" },
		{ 1 << 20, "1 MiB", "1048576" },
		{ 1ull << 30, "1 GiB", "1073741824" },
		{ 1ull << 60, "1 EiB", "1152921504606846976" },
		{ UINT64_MAX, "15.9 EiB", "18446744073709551615" },
	};
	char text[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(size_text(cases[i].bytes, false, text), cases[i].text);
		assert_string_equal(size_text(cases[i].bytes, true, text), cases[i].exact);
	}
}

static void numbers_know_their_base_and_limit(void **state)
{
	uint64_t value = 77;

	(void)state;
	assert_int_equal(number_parse("755", 8, 07777, &value), 0);
	assert_int_equal(value, 0755);
	assert_int_equal(number_parse("10000", 8, 07777, &value), -ERANGE);
	assert_int_equal(number_parse("8", 8, 07777, &value), -EINVAL);
	assert_int_equal(number_parse("4294967295", 10, UINT32_MAX, &value), 0);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(number_parse("4294967296", 10, UINT32_MAX, &value), -ERANGE);
	assert_int_equal(number_parse("18446744073709551615", 10, UINT64_MAX, &value), 0);
	assert_int_equal(number_parse("18446744073709551616", 10, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(number_parse("", 10, 9, &value), -EINVAL);
	assert_int_equal(number_parse("7", 10, 5, &value), -ERANGE);
}

/* ---- options ---- */

static const struct opt test_options[] = {
	{ 'v', "verbose", NULL, OPT_FLAG, "" },
	{ 's', "size", "N", OPT_SIZE, "" },
	{ 'U', "uuid", "UUID", OPT_UUID, "" },
	{ 'm', "mode", "MODE", OPT_MODE, "" },
	{ 0, "count", "N", OPT_NUMBER, "" },
	{ 'o', "output", "FILE", OPT_FILE, "" },
	{ 0 },
};

static const struct cmd test_cmd = { .name = "test",
				     .operands = "A [B]",
				     .about = "",
				     .flags = CMD_READS,
				     .min_operands = 1,
				     .max_operands = 2,
				     .opts = test_options };

#define WORDS_MAX 80

/* Parse words that end with NULL. */
static int parse(struct args *args, char *why, const char *first, ...)
{
	static char *words[WORDS_MAX];
	int count = 0;
	va_list list;

	va_start(list, first);
	for (const char *word = first; word; word = va_arg(list, const char *)) {
		assert_true(count < WORDS_MAX);
		words[count++] = (char *)word;
	}
	va_end(list);
	why[0] = '\0';
	return args_parse(&test_cmd, count, words, args, why, 256);
}

static void options_and_operands_may_be_mixed(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "a", "-v", "b", "--size", "1K", "--json", NULL), 0);
	assert_int_equal(args.n_operands, 2);
	assert_string_equal(args.operands[0], "a");
	assert_string_equal(args.operands[1], "b");
	assert_true(args_flag(&args, "verbose"));
	assert_true(args_flag(&args, "json"));
	assert_false(args_flag(&args, "bytes"));
	assert_int_equal(args_number(&args, "size", 0), 1024);
}

static void values_may_stand_in_every_usual_place(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "a", "--size=2K", "-m755", "-o", "file", NULL), 0);
	assert_int_equal(args_number(&args, "size", 0), 2048);
	assert_int_equal(args_number(&args, "mode", 0), 0755);
	assert_string_equal(args_text(&args, "output", ""), "file");
	assert_int_equal(parse(&args, why, "-vs", "3K", "a", NULL), 0);
	assert_true(args_flag(&args, "verbose"));
	assert_int_equal(args_number(&args, "size", 0), 3072);
	assert_int_equal(parse(&args, why, "-vs4K", "a", NULL), 0);
	assert_int_equal(args_number(&args, "size", 0), 4096);
	assert_int_equal(parse(&args, why, "a", "--output=", NULL), 0);
	assert_string_equal(args_text(&args, "output", "none"), "");
}

static void two_dashes_end_the_options(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "-v", "--", "-s", "--", NULL), 0);
	assert_int_equal(args.n_operands, 2);
	assert_string_equal(args.operands[0], "-s");
	assert_string_equal(args.operands[1], "--");
}

static void a_single_dash_is_an_operand(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "-", NULL), 0);
	assert_string_equal(args.operands[0], "-");
}

static void the_last_of_equal_options_counts(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "a", "--size", "1K", "--size", "2K", NULL), 0);
	assert_int_equal(args_number(&args, "size", 0), 2048);
}

static void what_is_not_given_has_its_default(void **state)
{
	uint8_t uuid[16] = { 1 };
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "a", NULL), 0);
	assert_int_equal(args_number(&args, "count", 5), 5);
	assert_string_equal(args_text(&args, "output", "none"), "none");
	args_uuid(&args, "uuid", uuid);
	assert_int_equal(uuid[0], 1);
}

static void a_uuid_becomes_bytes(void **state)
{
	uint8_t uuid[16] = { 0 };
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "a", "-U", "01234567-89ab-cdef-0123-456789abcdef", NULL),
			 0);
	args_uuid(&args, "uuid", uuid);
	assert_int_equal(uuid[0], 0x01);
	assert_int_equal(uuid[15], 0xef);
}

/* Each says what is wrong, and quotes it. */
static void misuse_is_refused_and_quoted(void **state)
{
	static const struct {
		const char *words[4], *said;
	} cases[] = {
		{ { "a", "--nosuch" }, "--nosuch" },
		{ { "a", "--siz", "1K" }, "--siz" }, /* no prefixes: scripts would break later */
		{ { "a", "-x" }, "-x" },
		{ { "a", "-vx" }, "-x" },
		{ { "a", "--size" }, "needs a value" },
		{ { "a", "-s" }, "needs a value" },
		{ { "a", "--verbose=1" }, "takes no value" },
		{ { "a", "--size", "big" }, "\"big\"" },
		{ { "a", "--size", "-1" }, "\"-1\"" },
		{ { "a", "--mode", "999" }, "\"999\"" },
		{ { "a", "--count", "4294967296" }, "\"4294967296\"" },
		{ { "a", "--uuid", "1234" }, "\"1234\"" },
		{ { "a", "--color", "blue" }, "\"blue\"" },
		{ { "a", "b", "c" }, "\"c\"" },
		{ { NULL }, "usage: xn test A [B]" },
	};
	struct args args;
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const *w = cases[i].words;

		assert_int_equal(parse(&args, why, w[0], w[1], w[2], w[3], NULL), -EINVAL);
		assert_non_null(strstr(why, cases[i].said));
	}
}

static void too_many_options_are_refused(void **state)
{
	static char verbose[] = "-v";
	char *words[ARGS_MAX + 1], why[256];
	struct args args;

	(void)state;
	for (unsigned i = 0; i <= ARGS_MAX; i++)
		words[i] = verbose;
	assert_int_equal(args_parse(&test_cmd, ARGS_MAX + 1, words, &args, why, sizeof(why)),
			 -EINVAL);
}

static void help_needs_no_operands(void **state)
{
	struct args args;
	char why[256];

	(void)state;
	assert_int_equal(parse(&args, why, "--help", NULL), 0);
	assert_true(args_flag(&args, "help"));
}

static void a_raw_command_keeps_every_word(void **state)
{
	static char n[] = "-n", json[] = "--json", dashes[] = "--", image[] = "disk.img";
	char *words[] = { n, json, dashes, image }, why[256];
	struct args args;

	(void)state;
	assert_int_equal(args_parse(command_find("fsck"), 4, words, &args, why, sizeof(why)), 0);
	assert_int_equal(args.n_operands, 4);
	assert_string_equal(args.operands[0], "-n");
	assert_string_equal(args.operands[2], "--");
}

/* ---- tables ---- */

/* What an option table promises: no letter and no name twice, a value where one is needed. */
static void check_options(const struct cmd *cmd)
{
	const struct opt *a, *b;

	for (unsigned i = 0; (a = command_option(cmd, i)); i++) {
		assert_true(a->help[0] != '\0');
		assert_int_equal(a->value == NULL, a->kind == OPT_FLAG);
		for (unsigned j = i + 1; (b = command_option(cmd, j)); j++) {
			if (!strcmp(a->name, b->name) || (a->letter && a->letter == b->letter))
				fail_msg("xn %s: --%s and --%s", cmd->name, a->name, b->name);
		}
	}
}

static void every_command_is_described_once(void **state)
{
	(void)state;
	for (const struct cmd *cmd = commands(); cmd->name; cmd++) {
		assert_ptr_equal(command_find(cmd->name), cmd);
		assert_true(cmd->about[0] != '\0');
		assert_non_null(cmd->run);
		assert_true(cmd->max_operands < 0 || cmd->min_operands <= cmd->max_operands);
		check_options(cmd);
	}
	assert_null(command_find("nosuch"));
	assert_null(command_find("form"));
}

/* Everything `write` prints, NUL-terminated. */
static char *printed(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	write(out);
	fclose(out);
	return text;
}

static void overview_and_completion_name_every_command(void **state)
{
	char *help = printed(help_overview), *completion = printed(completion_bash);

	(void)state;
	for (const struct cmd *cmd = commands(); cmd->name; cmd++) {
		assert_non_null(strstr(help, cmd->name));
		assert_non_null(strstr(completion, cmd->name));
	}
	assert_non_null(strstr(completion, "--quota"));
	free(help);
	free(completion);
}

static void help_names_every_option(void **state)
{
	(void)state;
	for (const struct cmd *cmd = commands(); cmd->name; cmd++) {
		const struct opt *opt;
		char *text = NULL, name[64];
		size_t len;
		FILE *out = open_memstream(&text, &len);

		help_command(cmd, out);
		fclose(out);
		assert_non_null(strstr(text, cmd->operands));
		for (unsigned i = 0; (opt = command_option(cmd, i)) && !(cmd->flags & CMD_RAW);
		     i++) {
			snprintf(name, sizeof(name), "--%s", opt->name);
			assert_non_null(strstr(text, name));
		}
		free(text);
	}
}

/* ---- what is printed ---- */

static void modes_look_as_ls_shows_them(void **state)
{
	static const struct {
		uint32_t mode;
		const char *text;
	} cases[] = {
		{ 0040755, "drwxr-xr-x" }, { 0100644, "-rw-r--r--" }, { 0120777, "lrwxrwxrwx" },
		{ 0104755, "-rwsr-xr-x" }, { 0102644, "-rw-r-Sr--" }, { 0041777, "drwxrwxrwt" },
		{ 0104644, "-rwSr--r--" }, { 0060660, "brw-rw----" }, { 0020600, "crw-------" },
		{ 0010600, "prw-------" }, { 0140600, "srw-------" }, { 0000600, "?rw-------" },
	};
	char text[11];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		show_mode(cases[i].mode, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void no_name_can_play_with_a_terminal(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	show_name(out, "a\033[2Jb\nc\177d\302\205e é");
	fclose(out);
	assert_string_equal(text, "a\\033[2Jb\\012c\\177d\\302\\205e é");
	free(text);
}

static void bytes_that_are_no_utf8_keep_their_value_in_json(void **state)
{
	json_t *object = json_start();

	(void)state;
	json_put_bytes(object, "name",
		       "a\xff"
		       "b");
	json_put_bytes(object, "plain", "é");
	json_put_id(object, "block", UINT64_MAX);
	assert_string_equal(json_string_value(json_object_get(object, "name_hex")), "61ff62");
	assert_string_equal(json_string_value(json_object_get(object, "name")), "a?b");
	assert_null(json_object_get(object, "plain_hex"));
	assert_string_equal(json_string_value(json_object_get(object, "block")),
			    "18446744073709551615");
	assert_int_equal(json_integer_value(json_object_get(object, "version")), 1);
	json_decref(object);
}

static void times_have_nanoseconds_and_a_zone(void **state)
{
	json_t *object = json_object();
	char text[64];

	(void)state;
	json_put_time(object, "t", (struct timespec){ .tv_sec = 1000000000, .tv_nsec = 5 });
	json_put_time(object, "old", (struct timespec){ .tv_sec = -1, .tv_nsec = 999999999 });
	json_put_time(object, "never", (struct timespec){ .tv_sec = INT64_MAX });
	assert_string_equal(json_string_value(json_object_get(object, "t")),
			    "2001-09-09T01:46:40.000000005Z");
	assert_string_equal(json_string_value(json_object_get(object, "old")),
			    "1969-12-31T23:59:59.999999999Z");
	assert_true(json_is_null(json_object_get(object, "never")));
	json_decref(object);
	show_time((struct timespec){ .tv_sec = INT64_MAX }, true, text);
	assert_string_equal(text, "@9223372036854775807");
}

static void only_plain_names_become_files_of_this_machine(void **state)
{
	char longest[256];

	(void)state;
	assert_true(name_is_safe("a", 1));
	assert_true(name_is_safe("...", 3));
	assert_true(name_is_safe("-rf", 3));
	assert_false(name_is_safe("", 0));
	assert_false(name_is_safe(".", 1));
	assert_false(name_is_safe("..", 2));
	assert_false(name_is_safe("a/b", 3));
	assert_false(name_is_safe("a\0b", 3));
	memset(longest, 'x', sizeof(longest));
	assert_true(name_is_safe(longest, 255));
	assert_false(name_is_safe(longest, 256));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_mean_what_people_expect),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(sizes_are_shown_rounded_down),
		cmocka_unit_test(numbers_know_their_base_and_limit),
		cmocka_unit_test(options_and_operands_may_be_mixed),
		cmocka_unit_test(values_may_stand_in_every_usual_place),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(a_single_dash_is_an_operand),
		cmocka_unit_test(the_last_of_equal_options_counts),
		cmocka_unit_test(what_is_not_given_has_its_default),
		cmocka_unit_test(a_uuid_becomes_bytes),
		cmocka_unit_test(misuse_is_refused_and_quoted),
		cmocka_unit_test(too_many_options_are_refused),
		cmocka_unit_test(help_needs_no_operands),
		cmocka_unit_test(a_raw_command_keeps_every_word),
		cmocka_unit_test(every_command_is_described_once),
		cmocka_unit_test(overview_and_completion_name_every_command),
		cmocka_unit_test(help_names_every_option),
		cmocka_unit_test(modes_look_as_ls_shows_them),
		cmocka_unit_test(no_name_can_play_with_a_terminal),
		cmocka_unit_test(bytes_that_are_no_utf8_keep_their_value_in_json),
		cmocka_unit_test(times_have_nanoseconds_and_a_zone),
		cmocka_unit_test(only_plain_names_become_files_of_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
