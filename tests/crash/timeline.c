/* SPDX-License-Identifier: MIT */
/*
 *  (1) Text comes from workloads and files: every character that HTML minds is escaped.
 */
#include "timeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "states.h"
#include "xn/format.h"

#define STEP    22u /* between two events */
#define ROW     20u /* between two blocks */
#define LEFT    190u
#define TOP     110u
#define ROW_MAX 4096u

struct picture {
	FILE *out;
	const struct explorer_violation *violation;
	size_t n_events;
	uint64_t *rows; /* blocks written, ascending */
	size_t n_rows;
	struct xn_super super;
	bool has_super;
};

static void escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(*text, out);
		}
	}
}

static bool is_change(const struct bdev_event *event)
{
	return event->kind != BDEV_EVENT_FLUSH && event->kind != BDEV_EVENT_MARK;
}

static uint64_t last_block(const struct bdev_event *event)
{
	return (event->offset + (event->len ? event->len - 1 : 0)) / XN_BLOCK_SIZE;
}

/* ---- rows ---- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool row_add(struct picture *p, uint64_t block)
{
	if (p->n_rows == ROW_MAX)
		return false;
	p->rows[p->n_rows++] = block;
	return true;
}

static void rows_find(struct picture *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_events; i++) {
		const struct bdev_event *event = bdev_recorder_event(p->violation->recorder, i);

		for (uint64_t b = event->offset / XN_BLOCK_SIZE;
		     is_change(event) && b <= last_block(event) && row_add(p, b); b++)
			;
	}
	if (p->n_rows)
		qsort(p->rows, p->n_rows, sizeof(*p->rows), by_number);
	for (size_t i = 0; i < p->n_rows; i++)
		if (kept == 0 || p->rows[kept - 1] != p->rows[i])
			p->rows[kept++] = p->rows[i];
	p->n_rows = kept;
}

static unsigned row_of(const struct picture *p, uint64_t block)
{
	const uint64_t *row = bsearch(&block, p->rows, p->n_rows, sizeof(*p->rows), by_number);

	return TOP + ROW * (row ? (unsigned)(row - p->rows) : 0);
}

static const char *role(const struct picture *p, uint64_t block)
{
	uint64_t places[3];
	unsigned n;

	if (!p->has_super)
		return "";
	n = xn_super_places(p->super.block_count, places);
	for (unsigned i = 0; i < n; i++)
		if (places[i] == block)
			return i ? "superblock, a copy" : "superblock";
	if (block == xn_map_block(block / XN_CHUNK_BLOCKS))
		return "free map";
	if (block >= p->super.log_start && block - p->super.log_start < p->super.log_blocks)
		return "intent log";
	for (unsigned i = 0; i < XN_CAT_KINDS; i++)
		if (block == p->super.catalogue[i] || block == p->super.twin[i])
			return "catalogue";
	return "";
}

static void rows_draw(const struct picture *p)
{
	for (size_t i = 0; i < p->n_rows; i++) {
		unsigned y = TOP + ROW * (unsigned)i;

		fprintf(p->out,
			"<text x=\"8\" y=\"%u\">block %" PRIu64 " <tspan class=\"role\">%s</tspan>"
			"</text><line class=\"row\" x1=\"%u\" x2=\"%zu\" y1=\"%u\" y2=\"%u\"/>\n",
			y + 4, p->rows[i], role(p, p->rows[i]), LEFT,
			LEFT + STEP * (p->n_events + 1), y, y);
	}
}

/* ---- events ---- */

static const struct state_part *part_of(const struct state *state, size_t event)
{
	for (unsigned i = 0; state && i < state->n; i++)
		if (state->event[i] == event)
			return &state->part[i];
	return NULL;
}

/* What became of a write in the state. */
static const char *fate(const struct state *state, const struct bdev_event *event, size_t index)
{
	const struct state_part *part = part_of(state, index);

	if (!state)
		return "stable";
	if (part)
		return part->to <= part->from ? "missing"
		       : part->to - part->from < event->len / BDEV_SECTOR ||
				       part->missing != UINT32_MAX
			       ? "torn"
			       : "there";
	return event->stable_at < state->end ? "stable" : "later";
}

static void write_draw(const struct picture *p, const struct bdev_event *event, size_t index)
{
	const struct state_part *part = part_of(p->violation->state, index);
	const char *what = fate(p->violation->state, event, index);
	unsigned top = row_of(p, event->offset / XN_BLOCK_SIZE);
	unsigned bottom = row_of(p, last_block(event));

	fprintf(p->out,
		"<rect class=\"%s\" x=\"%zu\" y=\"%u\" width=\"%u\" height=\"%u\"><title>event "
		"%zu: "
		"block %" PRIu64 ", sectors %" PRIu64 " to %" PRIu64 ": %s",
		what, LEFT + STEP * index, top - 7, STEP - 6, bottom - top + 14, index,
		event->offset / XN_BLOCK_SIZE, event->offset % XN_BLOCK_SIZE / BDEV_SECTOR,
		(event->offset % XN_BLOCK_SIZE + event->len) / BDEV_SECTOR, what);
	if (part && strcmp(what, "torn") == 0)
		fprintf(p->out, ", sectors %u to %u only", part->from, part->to);
	fputs("</title></rect>\n", p->out);
}

/* Operation `n` of the workload, counted from 1. */
static void operation_text(const char *workload, unsigned long n, char *text, size_t size)
{
	size_t len;

	while (n > 1 && (workload = strchr(workload, ';'))) {
		workload++;
		n--;
	}
	text[0] = '\0';
	if (!workload)
		return;
	workload += strspn(workload, " \n");
	len = strcspn(workload, ";");
	snprintf(text, size, "%.*s", (int)len, workload);
}

/* Marks are "b 3", "e 3" of operation 3; or anything. */
static void mark_draw(const struct picture *p, const char *mark, size_t index)
{
	size_t x = LEFT + STEP * index + STEP / 2;
	char text[200];

	if (mark[0] == 'b' && mark[1] == ' ' && p->violation->workload[0])
		operation_text(p->violation->workload, strtoul(mark + 2, NULL, 10), text,
			       sizeof(text));
	else if (mark[0] == 'e' && mark[1] == ' ')
		snprintf(text, sizeof(text), "done");
	else
		snprintf(text, sizeof(text), "%s", mark);
	fprintf(p->out, "<text class=\"mark\" transform=\"translate(%zu,%u) rotate(-50)\">", x,
		TOP - 22);
	escaped(p->out, text);
	fputs("</text>\n", p->out);
}

static void line_draw(const struct picture *p, const char *kind, size_t index)
{
	size_t x = LEFT + STEP * index + STEP / 2;

	fprintf(p->out,
		"<line class=\"%s\" x1=\"%zu\" x2=\"%zu\" y1=\"%u\" y2=\"%zu\"><title>event %zu: %s"
		"</title></line>\n",
		kind, x, x, TOP - 18, TOP + ROW * p->n_rows, index, kind);
}

static void events_draw(const struct picture *p)
{
	for (size_t i = 0; i < p->n_events; i++) {
		const struct bdev_event *event = bdev_recorder_event(p->violation->recorder, i);

		if (event->kind == BDEV_EVENT_FLUSH)
			line_draw(p, "flush", i);
		else if (event->kind == BDEV_EVENT_MARK)
			mark_draw(p, event->mark, i);
		else
			write_draw(p, event, i);
	}
	if (p->violation->state)
		line_draw(p, "power cut", p->violation->state->end);
}

static const char style[] =
	"body{font:14px "
	"sans-serif;margin:2em}pre{background:#f4f4f4;padding:.6em;white-space:pre-wrap}"
	"svg text{font:11px monospace}.role{fill:#888}.row{stroke:#eee}.mark{fill:#345}"
	".flush{stroke:#2a7;stroke-width:3}"
	"[class=\"power cut\"]{stroke:#c22;stroke-width:2;stroke-dasharray:4 3}"
	"rect,i{stroke:#246;stroke-width:1}.stable{fill:#246}.there{fill:#6af}"
	".torn{fill:#fb4}.missing{fill:#fff;stroke-dasharray:3 2}.later{fill:#fff;stroke:#ccc}"
	"i{display:inline-block;width:1em;height:.8em;border:1px solid #246;margin:0 .3em 0 1em}"
	"i.stable{background:#246}i.there{background:#6af}i.torn{background:#fb4}i.later{border-"
	"color:#ccc}";

static void head_print(const struct picture *p, const char *libfs)
{
	const struct explorer_violation *v = p->violation;

	fprintf(p->out, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>%s: ", libfs);
	escaped(p->out, v->what);
	fprintf(p->out, "</title><style>%s</style></head><body>\n<h1>", style);
	escaped(p->out, v->what);
	fprintf(p->out, "</h1>\n<p>%s, workload <b>", libfs);
	escaped(p->out, v->name);
	fputs("</b></p>\n<pre>", p->out);
	escaped(p->out, v->workload);
	fputs("</pre>\n<p>The state: ", p->out);
	escaped(p->out, v->where);
	fputs("</p>\n<p><i class=\"stable\"></i>stable<i class=\"there\"></i>there, though not "
	      "flushed<i class=\"torn\"></i>torn<i class=\"missing\"></i>missing<i class=\"later\">"
	      "</i>later. Green lines are flushes; at the red one the power went.</p>\n",
	      p->out);
}

void timeline_print(FILE *out, const char *libfs, const struct explorer_violation *violation)
{
	struct picture p = { .out = out, .violation = violation, .n_events = violation->n_events };

	p.has_super = xn_super_decode((const void *)violation->bytes, &p.super) == 0;
	p.rows = calloc(ROW_MAX, sizeof(*p.rows));
	if (!p.rows)
		return;
	rows_find(&p);
	head_print(&p, libfs);
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\">\n",
		LEFT + STEP * (p.n_events + 8), TOP + ROW * (p.n_rows + 1));
	rows_draw(&p);
	events_draw(&p);
	fputs("</svg>\n</body></html>\n", out);
	free(p.rows);
}
