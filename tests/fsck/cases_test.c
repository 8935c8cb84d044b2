/* SPDX-License-Identifier: MIT */
/*
 * fsck on disks that recipes break: cases/NAME/{recipe,expect.1,expect.2}.
 *
 *  (1) A case: the recipe makes a disk; looking at it writes nothing; `-y` says
 *      what expect.1 says, and looking again what expect.2 says.
 *  (2) Where nothing is left after the first run, another `-y` changes nothing.
 *  (3) Numbers of three digits and more are shown as '#': they move when a LibFS
 *      lays things out another way.  So are instructions of templates.
 *  (4) With XN_CASES_UPDATE set, expectations are written instead of compared.
 */
#include "expect.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsck/fsck.h"
#include "libfs/check.h"
#include "recipe.h"
#include "xn/bdev.h"

#define CASES_MIN    150u
#define PRELUDES_MAX 64u

/* ---- the disks before they are broken, made once ---- */

struct prelude {
	char *text;
	struct bdev *dev;
};

static struct prelude preludes[PRELUDES_MAX];
static unsigned n_preludes;

/* Where the statements that break begin. */
static size_t prelude_len(const char *recipe)
{
	static const char *const makers[] = { "format ", "root ",      "mkdir ",   "file ",
					      "files ",  "link ",      "symlink ", "fifo ",
					      "device ", "xattr ",     "sync",     "allocate ",
					      "remove ", "allowance ", "#",        "\n" };
	const char *p = recipe;

	while (*p) {
		bool makes = false;

		for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
			makes |= strncmp(p, makers[i], strlen(makers[i])) == 0;
		if (!makes)
			break;
		p += strcspn(p, "\n");
		p += *p == '\n';
	}
	return (size_t)(p - recipe);
}

/* Comments tell one case from another, not one disk. */
static char *without_comments(const char *recipe, size_t len)
{
	char *text = calloc(1, len + 1), *to = text;
	const char *end = recipe + len;

	assert_non_null(text);
	while (recipe < end) {
		size_t n = strcspn(recipe, "\n") + 1;

		if (*recipe != '#' && *recipe != '\n') {
			memcpy(to, recipe, n);
			to += n;
		}
		recipe += n;
	}
	return text;
}

static struct bdev *prelude_run(const char *recipe, size_t len)
{
	char *text = without_comments(recipe, len), why[RECIPE_WHY];
	struct bdev *dev = NULL;
	unsigned i;

	for (i = 0; i < n_preludes && strcmp(preludes[i].text, text) != 0; i++)
		;
	if (i == n_preludes) {
		assert_true(n_preludes < PRELUDES_MAX);
		if (recipe_run(&dev, text, why))
			fail_msg("%s\n%s", why, text);
		preludes[n_preludes++] = (struct prelude){ text, dev };
	} else {
		free(text);
	}
	assert_ok(bdev_mem_clone(preludes[i].dev, &dev));
	return dev;
}

static void preludes_free(void)
{
	while (n_preludes) {
		free(preludes[--n_preludes].text);
		bdev_close(preludes[n_preludes].dev);
	}
}

static struct bdev *disk_of(const char *recipe)
{
	size_t len = prelude_len(recipe);
	struct bdev *dev = prelude_run(recipe, len);
	char why[RECIPE_WHY];

	if (!recipe_run(&dev, recipe + len, why))
		return dev;
	print_error("%s\n", why);
	bdev_close(dev);
	return NULL;
}

/* ---- which problems were provoked ---- */

#define CODES_MAX 256u

static const char *codes[CODES_MAX]; /* of tables: they stay */
static unsigned n_codes;

static bool code_is_known(const char *code)
{
	for (unsigned i = 0; i < n_codes; i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return false;
}

static void code_note(const char *code)
{
	if (code_is_known(code))
		return;
	assert_true(n_codes < CODES_MAX);
	codes[n_codes++] = code;
}

/* ---- what a run says ---- */

static void masked_put(FILE *out, const char *text)
{
	const char *start = text;

	while (*text) {
		size_t digits = strspn(text, "0123456789");
		bool of_code = text - start > 12 && memcmp(text - 12, "instruction ", 12) == 0;

		if (digits > 2 || (digits && of_code))
			fputc('#', out);
		else
			fwrite(text, 1, digits ? digits : 1, out);
		text += digits ? digits : 1;
	}
}

static struct fsck_result run(struct bdev *dev, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	assert_ok(fsck_run(dev, &opts, &result));
	return result;
}

static void result_put(FILE *out, const struct fsck_result *result)
{
	fprintf(out, "exit %d\n", result->exit_code);
	if (*result->why)
		fprintf(out, "%s\n", result->why);
	for (size_t i = 0; i < result->n_findings; i++) {
		const struct fsck_finding *found = &result->findings[i];

		code_note(found->code);
		fprintf(out, "%s %s", found->repaired ? "repaired" : "left", found->code);
		if (*found->root)
			fprintf(out, " [%s]", found->root);
		fputs(": ", out);
		masked_put(out, found->text);
		fputc('\n', out);
	}
}

static uint64_t writes_of(struct bdev *recorder)
{
	struct bdev_counts counts;

	bdev_recorder_counts(recorder, &counts);
	return counts.writes + counts.discards + counts.zeroes;
}

/* One run: its sentences, how it ended, and whether it wrote. */
static char *told(struct bdev *recorder, enum check_mode mode, int *code, bool *wrote)
{
	uint64_t before = writes_of(recorder);
	struct fsck_result result;
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	result = run(recorder, mode);
	*wrote = writes_of(recorder) > before;
	result_put(out, &result);
	*code = result.exit_code;
	fsck_result_fini(&result);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* ---- files ---- */

static char *file_read(const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = calloc(1, 65536);

	assert_non_null(text);
	if (in) {
		assert_true(fread(text, 1, 65535, in) < 65535);
		fclose(in);
	}
	return text;
}

static unsigned compare(const char *folder, const char *name, const char *text)
{
	char path[512], *wanted;
	bool same;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (getenv("XN_CASES_UPDATE")) {
		FILE *out = fopen(path, "we");

		assert_non_null(out);
		fputs(text, out);
		assert_int_equal(fclose(out), 0);
		return 0;
	}
	wanted = file_read(path);
	same = strcmp(wanted, text) == 0;
	if (!same)
		print_error("%s:\n%s--- but it said\n%s", path, wanted, text);
	free(wanted);
	return !same;
}

/* What the four runs came to must fit together. */
static bool outcome_is_honest(int look, int repaired, int after, int again, bool wrote)
{
	if (repaired & FSCK_FAILED)
		return after == look && again == repaired && !wrote;
	return (look == 0) == (repaired == 0) &&
	       (after == 0) == (repaired == 0 || repaired == FSCK_REPAIRED) && again == after &&
	       !(after == 0 && wrote);
}

static unsigned case_run(const char *folder)
{
	struct bdev *dev;
	char path[528], *recipe, *first, *second, *last;
	int look, repaired, after, again;
	bool wrote;
	unsigned bad = 0;

	snprintf(path, sizeof(path), "%s/recipe", folder);
	recipe = file_read(path);
	dev = disk_of(recipe);
	if (!dev) {
		print_error("%s: the recipe cannot be followed\n", folder);
		free(recipe);
		return 1;
	}
	assert_ok(bdev_recorder_create(dev, &dev));
	free(told(dev, CHECK_LOOK, &look, &wrote));
	if (wrote) {
		print_error("%s: looking writes\n", folder);
		bad++;
	}
	first = told(dev, CHECK_YES, &repaired, &wrote);
	second = told(dev, CHECK_LOOK, &after, &wrote);
	last = told(dev, CHECK_YES, &again, &wrote);
	if (!outcome_is_honest(look, repaired, after, again, wrote)) {
		print_error("%s: -n said %d, -y %d, then -n %d, then -y %d\n", folder, look,
			    repaired, after, again);
		bad++;
	}
	bad += compare(folder, "expect.1", first);
	bad += compare(folder, "expect.2", second);
	free(first);
	free(second);
	free(last);
	free(recipe);
	bdev_close(dev);
	return bad;
}

static int names_select(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static const char *only; /* a part of a name: run just those */

static void every_case_goes_as_expected(void **state)
{
	const char *folder = *state;
	struct dirent **names;
	unsigned bad = 0;
	int n = scandir(folder, &names, names_select, alphasort);
	char path[512];

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (!only || strstr(names[i]->d_name, only))
			bad += case_run(path);
		free(names[i]);
	}
	free(names);
	preludes_free();
	print_message("    %d cases\n", n);
	assert_int_equal(bad, 0);
	assert_true(only || (unsigned)n >= CASES_MIN);
}

/*
 * Not by a recipe: they take a medium that fails (faults_test.c, unreadable_test.c), types made for
 * it or a checker that gives up (problems_test.c, tests/xn/counted_test.c), or a checker whose
 * LibFS's template lets pass what it does not (checker_test.c).
 */
static const char *const elsewhere[] = {
	"object/unreadable", "object/check-fault",  "object/miscounted", "map/unreadable",
	"extent/misfit",     "extent/type",         "template/refused",  "template/image-shared",
	"libfs/failed",      "simplefs/unreadable", "cffs/bad-sector",   "log/unreadable",
};

static unsigned code_missing(const char *code)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		if (strcmp(elsewhere[i], code) == 0)
			return 0;
	if (code_is_known(code))
		return 0;
	print_error("no case provokes %s\n", code);
	return 1;
}

static void every_problem_has_a_case(void **state)
{
	static const char *const libfses[] = { "cffs", "simplefs" };
	unsigned missing = 0;

	(void)state;
	if (only)
		return;
	for (size_t i = 0; fsck_problem_row(i); i++)
		missing += code_missing(fsck_problem_row(i)->code);
	for (size_t i = 0; i < 2; i++) {
		const struct libfs_checker *checker = libfs_checker_find(libfses[i]);

		for (size_t k = 0; checker->problems[k]; k++)
			missing += code_missing(checker->problems[k]->code);
	}
	assert_int_equal(missing, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(every_case_goes_as_expected, argv[1]),
		cmocka_unit_test(every_problem_has_a_case),
	};

	if (argc < 2)
		return 2;
	only = argc > 2 ? argv[2] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
