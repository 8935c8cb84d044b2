/* SPDX-License-Identifier: MIT */
/*
 * Every command over images that were damaged at random: each ends soon, by
 * done or by a sentence, and those that read leave every byte as it was.
 *
 *   images_damage [SEED [COUNT]]     a failure prints the seed that shows it
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd.h"

#define SIZE           (2u << 20)
#define BLOCKS         (SIZE / XN_BLOCK)
#define SECONDS_EACH   30
#define WORDS_MAX      8
#define COUNT_DEFAULT  100
#define OUTPUT_IS_LOST "/dev/null"

struct damage {
	uint64_t first_seed, count;
	char dir[64], image[80], out[80], tree[80], picture[80];
	uint8_t *whole; /* the image before */
	uint8_t *hurt;  /* and after the damage */
	uint32_t used[BLOCKS];
	uint32_t n_used;
	uint64_t random;
};

static uint64_t draw(struct damage *damage, uint64_t below)
{
	damage->random ^= damage->random << 13;
	damage->random ^= damage->random >> 7;
	damage->random ^= damage->random << 17;
	return damage->random % below;
}

/* ---- running a command as main() does ---- */

/* Words up to NULL.  The exit code; *said becomes what was said on standard error. */
static int run(const char *const *words, char **said)
{
	const struct cmd *cmd = command_find(words[0]);
	char *argv[WORDS_MAX], why[256];
	struct args args;
	struct tool tool;
	size_t len;
	int argc = 0, code;
	FILE *out = fopen(OUTPUT_IS_LOST, "w"), *err = open_memstream(said, &len);

	assert_non_null(cmd);
	assert_non_null(out);
	assert_non_null(err);
	for (const char *const *word = words + 1; *word; word++)
		argv[argc++] = (char *)*word;
	tool_init(&tool, out, out);
	tool.err = err;
	assert_int_equal(args_parse(cmd, argc, argv, &args, why, sizeof(why)), 0);
	tool_take_options(&tool, &args);
	code = tool_finish(&tool, cmd->run(&tool, &args));
	fclose(err);
	fclose(out);
	return code;
}

static void must(const char *const *words)
{
	char *said;
	int code = run(words, &said);

	if (code != EXIT_OK)
		fail_msg("xn %s: %s", words[0], said);
	free(said);
}

/* ---- images ---- */

static void put_file(const char *dir, const char *name, size_t len)
{
	char *path = path_join(dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < len; i++)
		fputc((int)('a' + i % 26), file);
	fclose(file);
	free(path);
}

static void given_image(struct damage *damage)
{
	char *sub = path_join(damage->tree, "sub"), *link = path_join(sub, "link");
	FILE *file;

	put_file(damage->tree, "small", 10);
	put_file(damage->tree, "middle", 20000);
	put_file(damage->tree, "large", 300000);
	assert_int_equal(mkdir(sub, 0755), 0);
	put_file(sub, "inner", 5000);
	assert_int_equal(symlink("../small", link), 0);
	free(sub);
	free(link);
	must((const char *[]){ "format", damage->image, "--size", "2M", "-q", NULL });
	must((const char *[]){ "mkfs", damage->image, "--root=home", "-q", "-d", damage->tree,
			       NULL });
	must((const char *[]){ "mkfs", damage->image, "--root=other", "-q", NULL });
	file = fopen(damage->image, "r");
	assert_non_null(file);
	assert_int_equal(fread(damage->whole, 1, SIZE, file), SIZE);
	fclose(file);
}

static int damage_open(void **state)
{
	struct damage *damage = *state;

	damage->whole = calloc(1, SIZE);
	damage->hurt = calloc(1, SIZE);
	assert_true(damage->whole && damage->hurt);
	strcpy(damage->dir, "/tmp/xn-damage-XXXXXX");
	assert_non_null(mkdtemp(damage->dir));
	snprintf(damage->image, sizeof(damage->image), "%s/disk.img", damage->dir);
	snprintf(damage->out, sizeof(damage->out), "%s/out", damage->dir);
	snprintf(damage->tree, sizeof(damage->tree), "%s/tree", damage->dir);
	snprintf(damage->picture, sizeof(damage->picture), "%s/map.html", damage->dir);
	assert_int_equal(mkdir(damage->tree, 0755), 0);
	given_image(damage);
	for (uint32_t block = 0; block < BLOCKS; block++) {
		const uint8_t *bytes = damage->whole + (size_t)block * XN_BLOCK;

		if (bytes[0] || memcmp(bytes, bytes + 1, XN_BLOCK - 1) != 0)
			damage->used[damage->n_used++] = block;
	}
	assert_true(damage->n_used > 50);
	return 0;
}

static void remove_all(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	assert_int_equal(system(command), 0);
}

static int damage_close(void **state)
{
	struct damage *damage = *state;

	remove_all(damage->dir);
	free(damage->whole);
	free(damage->hurt);
	return 0;
}

/* Numbers that pointers like to be in nightmares. */
static uint64_t evil_number(struct damage *damage)
{
	const uint64_t evil[] = { 0,          1,
				  UINT64_MAX, BLOCKS,
				  BLOCKS - 1, 1ull << 63,
				  1ull << 48, damage->used[draw(damage, damage->n_used)] };

	return evil[draw(damage, sizeof(evil) / sizeof(evil[0]))];
}

static void hurt_once(struct damage *damage)
{
	uint8_t *block =
		damage->hurt + (size_t)damage->used[draw(damage, damage->n_used)] * XN_BLOCK;
	const uint8_t *other =
		damage->whole + (size_t)damage->used[draw(damage, damage->n_used)] * XN_BLOCK;
	uint64_t at = draw(damage, XN_BLOCK), number = evil_number(damage);

	switch (draw(damage, 6)) {
	case 0: block[at] ^= (uint8_t)(1u << draw(damage, 8)); break;
	case 1:
	case 2: memcpy(block + at / 8 * 8, &number, sizeof(number)); break;
	case 3:
		for (unsigned i = 0; i < 512; i++)
			block[at / 512 * 512 + i] = (uint8_t)draw(damage, 256);
		break;
	case 4: memcpy(block, other, XN_BLOCK); break;
	default: memset(block, 0, XN_BLOCK); break;
	}
}

static void hurt(struct damage *damage, uint64_t seed)
{
	uint64_t times;
	FILE *file;

	damage->random = seed * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned i = 0; i < 8; i++)
		draw(damage, 2);
	memcpy(damage->hurt, damage->whole, SIZE);
	times = 1 + draw(damage, 12);
	while (times--)
		hurt_once(damage);
	file = fopen(damage->image, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(damage->hurt, 1, SIZE, file), SIZE);
	assert_int_equal(fclose(file), 0);
}

/* ---- the tests ---- */

/* Ends by done or by a sentence. */
static void tolerate(struct damage *damage, uint64_t seed, const char *const *words)
{
	char *said;
	int code = run(words, &said);

	(void)damage;
	if (code != EXIT_OK && (code != EXIT_FAIL || strncmp(said, "xn: ", 4) != 0))
		fail_msg("seed %" PRIu64 ": xn %s: exit code %d: %s", seed, words[0], code, said);
	free(said);
}

static void assert_untouched(struct damage *damage, uint64_t seed)
{
	uint8_t *now = malloc(SIZE);
	FILE *file = fopen(damage->image, "r");

	assert_true(now && file);
	assert_int_equal(fread(now, 1, SIZE, file), SIZE);
	fclose(file);
	if (memcmp(now, damage->hurt, SIZE) != 0)
		fail_msg("seed %" PRIu64 ": a command that reads has written", seed);
	free(now);
}

static void commands_that_read_survive_and_change_nothing(void **state)
{
	struct damage *damage = *state;

	for (uint64_t seed = damage->first_seed; seed < damage->first_seed + damage->count;
	     seed++) {
		const char *image = damage->image;
		char block[24];

		alarm(SECONDS_EACH);
		hurt(damage, seed);
		snprintf(block, sizeof(block), "%" PRIu64, draw(damage, BLOCKS));
		tolerate(damage, seed, (const char *[]){ "info", image, "--json", NULL });
		tolerate(damage, seed, (const char *[]){ "templates", image, NULL });
		tolerate(damage, seed, (const char *[]){ "ls", "-lR", image, NULL });
		tolerate(damage, seed, (const char *[]){ "tree", "--json", image, NULL });
		tolerate(damage, seed, (const char *[]){ "cat", image, "/home/sub/link", NULL });
		tolerate(damage, seed, (const char *[]){ "owner", image, block, NULL });
		tolerate(damage, seed, (const char *[]){ "probe", image, NULL });
		tolerate(damage, seed,
			 (const char *[]){ "map", image, "--force", "-o", damage->picture, NULL });
		tolerate(damage, seed,
			 (const char *[]){ "cp", image, "-a", ":/", damage->out, NULL });
		assert_untouched(damage, seed);
		remove_all(damage->out);
		alarm(0);
	}
}

static void commands_that_write_survive(void **state)
{
	struct damage *damage = *state;

	for (uint64_t seed = damage->first_seed; seed < damage->first_seed + damage->count;
	     seed++) {
		const char *image = damage->image;

		alarm(SECONDS_EACH);
		hurt(damage, seed);
		tolerate(damage, seed, (const char *[]){ "mkdir", image, "/home/new", NULL });
		tolerate(damage, seed,
			 (const char *[]){ "cp", "-a", image, damage->tree, ":/home", NULL });
		tolerate(damage, seed,
			 (const char *[]){ "mv", image, "/home/large", "/home/sub", NULL });
		tolerate(damage, seed, (const char *[]){ "rm", "-r", image, "/home/sub", NULL });
		tolerate(damage, seed,
			 (const char *[]){ "mkfs", image, "--root=third", "-q", NULL });
		tolerate(damage, seed, (const char *[]){ "ls", "-lR", image, NULL });
		alarm(0);
	}
}

int main(int argc, char **argv)
{
	struct damage damage = {
		.first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1,
		.count = argc > 2 ? strtoull(argv[2], NULL, 10) : COUNT_DEFAULT,
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(
			commands_that_read_survive_and_change_nothing, NULL, NULL, &damage),
		cmocka_unit_test_prestate_setup_teardown(commands_that_write_survive, NULL, NULL,
							 &damage),
	};
	void *state = &damage;
	int failed;

	damage_open(&state);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	damage_close(&state);
	return failed;
}
