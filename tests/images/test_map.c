/* SPDX-License-Identifier: MIT */
/*
 * The map of a disk: cells, text, and that no picture grows beyond its bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "map.h"
#include "xn/format.h"

/* ---- disks that were never written ---- */

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

static void add_node(struct disk_map *map, uint32_t parent, bool is_dir, uint64_t *seed)
{
	struct map_node node = {
		.parent = parent,
		.depth = parent == MAP_NONE ? 0 : map->node.at[parent].depth + 1,
		.is_dir = is_dir,
		.mtime = (int64_t)next_random(seed),
		.name = map->names.n,
	};
	char name[48];
	size_t len = (size_t)snprintf(
		name, sizeof(name), "%llx%llx%llx", (unsigned long long)next_random(seed),
		(unsigned long long)next_random(seed), (unsigned long long)next_random(seed));

	for (size_t i = 0; i <= len; i++) {
		assert_true(MAP_ROOM(map->names));
		map->names.at[map->names.n++] = name[i];
	}
	assert_true(MAP_ROOM(map->node));
	map->node.at[map->node.n++] = node;
}

/* Each run of `each` blocks of a file of its own, but for every fifth, which is free. */
static void given_map(struct disk_map *map, uint64_t blocks, uint64_t each, uint64_t *seed)
{
	struct map_root root = { .info.id = 1 };

	*map = (struct disk_map){ .disk.block_count = blocks };
	strcpy(root.info.name, "home");
	strcpy(root.info.libfs, "cffs");
	assert_true(MAP_ROOM(map->root));
	map->root.at[map->root.n++] = root;
	add_node(map, MAP_NONE, true, seed);
	for (uint64_t at = 0; at < blocks; at += each) {
		struct map_thing thing = { .kind = OWNER_ROOT, .blocks = each };
		struct map_run run = { .start = at, .count = each };

		if (at / each % 5 == 4)
			continue;
		run.owner = next_random(seed) % blocks;
		run.thing = (uint32_t)map->thing.n;
		thing.node = (uint32_t)map->node.n;
		add_node(map, next_random(seed) % 3 ? 0 : thing.node - 1, true, seed);
		map->node.at[thing.node].is_dir = true;
		assert_true(MAP_ROOM(map->thing));
		map->thing.at[map->thing.n++] = thing;
		assert_true(MAP_ROOM(map->run));
		map->run.at[map->run.n++] = run;
	}
	assert_int_equal(map_measure(map), 0);
}

static char *written(const struct disk_map *map,
		     int (*write)(const struct disk_map *, const struct map_style *, FILE *),
		     enum map_order order, size_t *len)
{
	const struct map_style style = { .image = "disk.img", .order = order };
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	assert_non_null(out);
	assert_int_equal(write(map, &style, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_page_is_below_1_mb_whatever_is_on_the_disk(void **state)
{
	static const struct {
		uint64_t blocks, each;
	} disks[] = {
		{ 1 << 18, 1 },   /* 1 GiB, each block another file in another directory */
		{ 1 << 24, 512 }, /* 64 GiB */
	};
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		struct disk_map map;
		size_t len;
		char *text;

		given_map(&map, disks[i].blocks, disks[i].each, &seed);
		text = written(&map, map_write_html, MAP_ROWS, &len);
		assert_in_range(len, 20000, MAP_FILE_MAX);
		assert_null(strstr(text, "@DATA@"));
		free(text);
		map_fini(&map);
	}
}

static void a_drawing_is_below_1_mb_and_draws_every_cell_in_use(void **state)
{
	uint64_t seed = 6;
	struct disk_map map;

	(void)state;
	given_map(&map, 4096, 1, &seed);
	for (int order = MAP_ROWS; order <= MAP_HILBERT; order++) {
		size_t len, count = 0;
		char *text = written(&map, map_write_svg, (enum map_order)order, &len);

		for (const char *at = text; (at = strstr(at, "<title>block ")); at++)
			count++;
		assert_int_equal(count, map.run.n);
		assert_in_range(len, 20000, MAP_FILE_MAX);
		free(text);
	}
	map_fini(&map);
}

static void an_empty_disk_has_a_picture(void **state)
{
	struct disk_map map = { .disk.block_count = 300 };

	(void)state;
	assert_int_equal(map_measure(&map), 0);
	assert_int_equal(map.free.runs, 1);
	assert_int_equal(map.free.longest, 300);
	for (int order = MAP_ROWS; order <= MAP_HILBERT; order++) {
		size_t len;

		free(written(&map, map_write_svg, (enum map_order)order, &len));
		free(written(&map, map_write_html, (enum map_order)order, &len));
	}
	map_fini(&map);
}

/* ---- cells ---- */

/* What a cell shows, found by looking at each of its blocks. */
static void check_cell(const struct disk_map *map, const struct map_cells *cells,
		       const struct map_cell *cell, uint64_t index)
{
	uint64_t used = 0, most = 0, of_shown = 0, *of = calloc(map->thing.n, sizeof(*of));

	assert_non_null(of);
	for (uint64_t i = index * cells->blocks; i < (index + 1) * cells->blocks; i++) {
		const struct map_run *run = i < map->disk.block_count ? map_run_find(map, i) : NULL;

		if (!run)
			continue;
		used++;
		if (++of[run->thing] > most)
			most = of[run->thing];
	}
	if (cell)
		of_shown = of[cell->thing];
	assert_int_equal(cell ? cell->used : 0, used);
	assert_int_equal(of_shown, most);
	free(of);
}

static void a_cell_shows_who_has_most_of_it(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (uint64_t each = 1; each < 40; each += 6) {
		for (uint64_t blocks = 1; blocks <= 64; blocks *= 4) {
			struct map_cells cells;
			struct disk_map map;
			size_t at = 0;

			given_map(&map, each * 50, each, &seed);
			assert_int_equal(map_cells_make(&map, blocks, NULL, &cells), 0);
			assert_int_equal(cells.count, (each * 50 + blocks - 1) / blocks);
			for (uint64_t i = 0; i < cells.count; i++) {
				const struct map_cell *cell = NULL;

				while (at < cells.cell.n &&
				       cells.cell.at[at].first + cells.cell.at[at].count <= i)
					at++;
				if (at < cells.cell.n && cells.cell.at[at].first <= i)
					cell = &cells.cell.at[at];
				check_cell(&map, &cells, cell, i);
			}
			map_cells_fini(&cells);
			map_fini(&map);
		}
	}
}

static void cells_are_as_small_as_a_million_of_them_allow(void **state)
{
	struct disk_map map = { .disk.block_count = 1 << 20 };

	(void)state;
	assert_int_equal(map_cell_blocks(&map, 1 << 20), 1);
	map.disk.block_count++;
	assert_int_equal(map_cell_blocks(&map, 1 << 20), 2);
	map.disk.block_count = UINT64_C(1) << 34;
	assert_int_equal(map_cell_blocks(&map, 1 << 20), 1 << 14);
}

/* ---- text ---- */

static void names_become_text_that_ends_nothing(void **state)
{
	static const struct {
		const char *name, *markup, *json;
	} cases[] = {
		{ "a b", "a b", "\"a b\"" },
		{ "<&>\"'", "&lt;&amp;&gt;&quot;&#39;", "\"<&>\\\"'\"" },
		{ "a\\b", "a\\b", "\"a\\\\b\"" },
		{ "\x01\x7f\n", "\\x01\\x7f\\x0a", "\"\\\\x01\\\\x7f\\\\x0a\"" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
		{ "\xff\xc3", "\\xff\\xc3", "\"\\\\xff\\\\xc3\"" },
		{ "\xc2\x85", "\\xc2\\x85", "\"\\\\xc2\\\\x85\"" },                 /* control */
		{ "\xc0\xaf", "\\xc0\\xaf", "\"\\\\xc0\\\\xaf\"" },                 /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\"\\\\xed\\\\xa0\\\\x80\"" }, /* surrogate */
		{ "\xef\xbf\xbf", "\\xef\\xbf\\xbf", "\"\\\\xef\\\\xbf\\\\xbf\"" },
		{ "\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe", "\"\xf0\x9f\x92\xbe\"" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text[2] = { NULL, NULL };
		size_t len;

		for (int json = 0; json < 2; json++) {
			FILE *out = open_memstream(&text[json], &len);

			assert_non_null(out);
			(json ? map_put_json : map_put_text)(out, cases[i].name);
			fclose(out);
		}
		assert_string_equal(text[0], cases[i].markup);
		assert_string_equal(text[1], cases[i].json);
		free(text[0]);
		free(text[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_below_1_mb_whatever_is_on_the_disk),
		cmocka_unit_test(a_drawing_is_below_1_mb_and_draws_every_cell_in_use),
		cmocka_unit_test(an_empty_disk_has_a_picture),
		cmocka_unit_test(a_cell_shows_who_has_most_of_it),
		cmocka_unit_test(cells_are_as_small_as_a_million_of_them_allow),
		cmocka_unit_test(names_become_text_that_ends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
