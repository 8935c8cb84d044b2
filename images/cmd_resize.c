/* SPDX-License-Identifier: MIT */
/*
 * resize: a larger or a smaller disk.
 *
 *  (1) Nobody's blocks are moved: what is in the way of a smaller disk is named,
 *      and the disk keeps its size.
 *  (2) Blocks that a crash lost are looked for before they are called in the way.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"

#define NAMED_MAX 4u /* extents that are named one by one */

struct resizing {
	struct tool *tool;
	uint64_t bytes;
	struct xn_disk_info before, after;
};

static void extent_name(char *text, size_t size, const struct xn_extent *e)
{
	if (e->count == 1)
		snprintf(text, size, "%" PRIu64, e->start);
	else
		snprintf(text, size, "%" PRIu64 " to %" PRIu64, e->start, e->start + e->count - 1);
}

static void in_way_complain(struct resizing *r, struct image *image, const struct xn_extent *in_way,
			    uint32_t count)
{
	char text[NAMED_MAX * 48] = "", one[48], more[32] = "";

	for (uint32_t i = 0; i < count && i < NAMED_MAX; i++) {
		extent_name(one, sizeof(one), &in_way[i]);
		if (i > 0)
			strncat(text, ", ", sizeof(text) - strlen(text) - 1);
		strncat(text, one, sizeof(text) - strlen(text) - 1);
	}
	if (count > NAMED_MAX)
		snprintf(more, sizeof(more), " and %" PRIu32 " more", count - NAMED_MAX);
	say_failure(r->tool, image_name(image),
		    "blocks in use are in the way: %s%s; `xn owner` tells whose they are", text,
		    more);
}

static int reclaim_all(struct image *image)
{
	int more;

	do
		more = xn_reclaim(image_session(image), UINT64_MAX, NULL);
	while (more > 0);
	return more;
}

static int resize_really(struct resizing *r, struct image *image)
{
	struct xn_extent in_way[NAMED_MAX];
	uint64_t blocks = r->bytes / XN_BLOCK;
	uint32_t count = 0;
	int err = xn_sync(image_session(image), 0);

	if (!err && blocks < r->before.block_count)
		err = reclaim_all(image);
	if (!err)
		err = xn_resize(image_session(image), blocks, in_way, NAMED_MAX, &count);
	if (err == XN_EINWAY)
		in_way_complain(r, image, in_way, count);
	else if (err)
		say_error(r->tool, image_name(image), err, NULL);
	else
		xn_disk_info(image_disk(image), &r->after);
	return err;
}

static int resize_work(struct image *image, bool really, void *argument)
{
	struct resizing *r = argument;

	if (really)
		return resize_really(r, image);
	return xn_disk_info(image_disk(image), &r->before);
}

static void say_new_size(const struct resizing *r, const char *name)
{
	char before[SIZE_TEXT_MAX], after[SIZE_TEXT_MAX];

	say_done(r->tool, "%s has %s now, it had %s", name,
		 size_text(r->after.block_count * XN_BLOCK, false, after),
		 size_text(r->before.block_count * XN_BLOCK, false, before));
}

int cmd_resize(struct tool *tool, const struct args *args)
{
	struct resizing r = { .tool = tool };

	if (size_parse(args->operands[1], &r.bytes))
		return say_usage(tool, args->cmd, "\"%s\" is no size", args->operands[1]);
	if (image_change(tool, args->operands[0], resize_work, &r))
		return EXIT_FAIL;
	say_new_size(&r, args->operands[0]);
	return EXIT_OK;
}
