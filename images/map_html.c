/* SPDX-License-Identifier: MIT */
/*
 * The map as a page: page/map.html with its gaps filled in.  See map.h.
 *
 *  (1) What the page says without its script is true and complete: who has how
 *      much.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "embedded.h"
#include "map.h"

struct page {
	const struct disk_map *map;
	const struct map_style *style;
	FILE *out;
	char *data;
};

static void put_title(const struct page *page)
{
	fputs("XN disk ", page->out);
	map_put_text(page->out,
		     page->map->disk.label[0] ? page->map->disk.label : page->style->image);
}

static void put_size(const struct page *page, uint64_t blocks)
{
	char text[SIZE_TEXT_MAX];

	fputs(size_text(blocks * XN_BLOCK, false, text), page->out);
}

static void put_facts(const struct page *page)
{
	const struct xn_disk_info *disk = &page->map->disk;
	char uuid[37], time[64];

	show_uuid(disk->uuid, uuid);
	show_time((struct timespec){ .tv_sec = disk->format_time_ns / 1000000000 }, false, time);
	fputs("<p>", page->out);
	map_put_text(page->out, page->style->image);
	fprintf(page->out,
		", %s. <span id=\"total\" data-blocks=\"%" PRIu64 "\">%" PRIu64 " blocks (", uuid,
		disk->block_count, disk->block_count);
	put_size(page, disk->block_count);
	fprintf(page->out, ")</span>, formatted %s.</p>", time);
}

static void put_row(const struct page *page, const char *name, const char *what, uint64_t blocks)
{
	fputs("<tr data-name=\"", page->out);
	map_put_text(page->out, name);
	fprintf(page->out, "\" data-blocks=\"%" PRIu64 "\"><th scope=\"row\">", blocks);
	map_put_text(page->out, name);
	fputs("</th><td>", page->out);
	map_put_text(page->out, what);
	fprintf(page->out, "</td><td class=\"n\">%" PRIu64 "</td><td class=\"n\">", blocks);
	put_size(page, blocks);
	fprintf(page->out, "</td><td class=\"n\">%.1f %%</td></tr>\n",
		100.0 * (double)blocks / (double)page->map->disk.block_count);
}

static void put_roots(const struct page *page)
{
	const struct disk_map *map = page->map;
	uint64_t own = 0, nobody = 0;

	for (size_t i = 0; i < map->thing.n; i++) {
		if (map->thing.at[i].kind == OWNER_NOBODY)
			nobody += map->thing.at[i].blocks;
		else if (map->thing.at[i].kind != OWNER_ROOT)
			own += map->thing.at[i].blocks;
	}
	fputs("<table id=\"roots\"><thead><tr><th scope=\"col\">root</th><th "
	      "scope=\"col\">LibFS</th>"
	      "<th scope=\"col\" class=\"n\">blocks</th><th scope=\"col\" class=\"n\">size</th>"
	      "<th scope=\"col\" class=\"n\">share</th></tr></thead><tbody>\n",
	      page->out);
	for (size_t i = 0; i < map->root.n; i++)
		put_row(page, map->root.at[i].info.name, map->root.at[i].info.libfs,
			map->root.at[i].blocks);
	put_row(page, "XN's own", "", own);
	if (nobody)
		put_row(page, map_kind_name(OWNER_NOBODY), "", nobody);
	put_row(page, "free", "", map->free.blocks);
	fputs("</tbody></table>", page->out);
}

static void put_note(const struct page *page, uint64_t count, const char *what)
{
	if (count)
		fprintf(page->out, "<p class=\"note\">%" PRIu64 " %s</p>\n", count, what);
}

static void put_notes(const struct page *page)
{
	const struct disk_map *map = page->map;

	put_note(page, map->shared, "blocks have more than one owner; they are drawn once.");
	put_note(page, map->unmarked, "blocks are owned and free by the free map: run xn-fsck.");
	put_note(page, map->unread, "objects could not be read: run xn-fsck.");
	for (size_t i = 0; i < map->root.n; i++) {
		if (!map->root.at[i].unread)
			continue;
		fputs("<p class=\"note\">The files of ", page->out);
		map_put_text(page->out, map->root.at[i].info.name);
		fputs(" could not all be read: what is missing has no path here.</p>\n", page->out);
	}
}

/* What stands for `@NAME@`. */
static void put_part(const struct page *page, const char *name, size_t len)
{
	const struct {
		const char *name, *text;
		void (*put)(const struct page *page);
	} parts[] = {
		{ "TITLE", NULL, put_title },        { "FACTS", NULL, put_facts },
		{ "ROOTS", NULL, put_roots },        { "NOTES", NULL, put_notes },
		{ "STYLE", embedded_map_css, NULL }, { "SCRIPT", embedded_map_js, NULL },
		{ "DATA", page->data, NULL },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strlen(parts[i].name) != len || memcmp(parts[i].name, name, len) != 0)
			continue;
		if (parts[i].put)
			parts[i].put(page);
		else
			fputs(parts[i].text, page->out);
	}
}

static void put_page(const struct page *page)
{
	const char *at = embedded_map_html, *begin, *end;

	while ((begin = strchr(at, '@')) && (end = strchr(begin + 1, '@'))) {
		fwrite(at, 1, (size_t)(begin - at), page->out);
		put_part(page, begin + 1, (size_t)(end - begin - 1));
		at = end + 1;
	}
	fputs(at, page->out);
}

int map_write_html(const struct disk_map *map, const struct map_style *style, FILE *out)
{
	struct page page = { .map = map, .style = style, .data = NULL };
	char *text = NULL;
	size_t len = 0;

	/* All but the data first: that tells how much room there is for it. */
	page.out = open_memstream(&text, &len);
	if (!page.out)
		return -ENOMEM;
	page.data = strdup("");
	if (page.data)
		put_page(&page);
	if (fclose(page.out) || !page.data || !text) {
		free(page.data);
		free(text);
		return -ENOMEM;
	}
	free(text);
	free(page.data);
	page.data = map_data(map, style, len < MAP_FILE_MAX ? MAP_FILE_MAX - len : 0);
	if (!page.data)
		return -ENOMEM;
	page.out = out;
	put_page(&page);
	free(page.data);
	return 0;
}
