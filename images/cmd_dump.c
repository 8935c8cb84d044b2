/* SPDX-License-Identifier: MIT */
/*
 * dump: an object, or any other block, in words and in hex.
 *
 *  (1) The bytes are those on the disk, whatever they are worth: nothing checks
 *      them before they are shown.
 *  (2) What an object owns is told by its template; its fields by its LibFS, where
 *      that knows how.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libfs/anatomy.h"
#include "xn/bdev.h"

#include "cmd.h"
#include "owner.h"

#define LINE 16u

struct dump {
	struct image *image;
	struct tool *tool;
	struct owner owner;
	uint64_t start; /* first block shown */
	uint8_t *bytes;
	size_t len;
	char type[80];
	struct xn_root_info root;
	json_t *fields; /* with --json */
};

/* ---- what it is ---- */

/* Which whole object of the extent holds the block. */
static void object_find(struct dump *dump, uint64_t block, const struct xn_extent *extent)
{
	struct xn_template_info info;
	uint64_t blocks = 1;

	type_name(dump->image, extent->type, dump->type);
	if (extent->type > XN_RESERVED &&
	    xn_template_info(image_disk(dump->image), extent->type, &info) == 0)
		blocks = (info.obj_size + XN_BLOCK - 1) / XN_BLOCK;
	dump->start = extent->start + (block - extent->start) / blocks * blocks;
	dump->len = (size_t)blocks * XN_BLOCK;
}

static void root_find(struct dump *dump)
{
	struct xn_root_info root = { 0 };

	while (xn_root_next(image_disk(dump->image), root.id, &root) == 0)
		if (root.id == dump->owner.root)
			dump->root = root;
}

static int dump_find(struct dump *dump, uint64_t block)
{
	int err = owner_find(dump->image, block, &dump->owner);

	if (err)
		return err;
	dump->start = block;
	dump->len = XN_BLOCK;
	snprintf(dump->type, sizeof(dump->type), "%s", owner_word(dump->owner.kind));
	if (dump->owner.kind == OWNER_ROOT) {
		root_find(dump);
		object_find(dump, block, &dump->owner.chain[dump->owner.depth - 1].extent);
	}
	return 0;
}

static int dump_read(struct dump *dump)
{
	struct bdev *dev;
	int err;

	dump->bytes = malloc(dump->len);
	if (!dump->bytes)
		return -ENOMEM;
	err = bdev_open(image_name(dump->image), BDEV_OPEN_RDONLY, 0, &dev);
	if (err)
		return err;
	err = bdev_read(dev, dump->start * XN_BLOCK, dump->bytes, dump->len);
	bdev_close(dev);
	return err;
}

/* ---- what it says ---- */

static void take_field(void *arg, size_t offset, const char *name, const char *value)
{
	struct dump *dump = arg;
	json_t *object;

	if (dump->fields) {
		object = json_object();
		json_object_set_new(object, "offset", json_integer((json_int_t)offset));
		json_put_bytes(object, "name", name);
		json_put_bytes(object, "value", value);
		json_array_append_new(dump->fields, object);
		return;
	}
	fprintf(dump->tool->out, "%06zx  %-14s ", offset, name);
	show_name(dump->tool->out, value);
	fputc('\n', dump->tool->out);
}

static void fields_tell(struct dump *dump)
{
	const struct libfs_anatomy *anatomy = libfs_anatomy_find(dump->root.libfs);
	struct anatomy_text text = { take_field, dump };

	if (dump->owner.kind != OWNER_ROOT || !anatomy)
		return;
	if (!dump->fields)
		fputs("\nfields:\n", dump->tool->out);
	if (!anatomy->to_text(dump->type, dump->bytes, dump->len, &text) && !dump->fields)
		fputs("  (nothing is known of them)\n", dump->tool->out);
}

static void owned_line(struct dump *dump, const struct xn_walk_item *item)
{
	char name[80];

	type_name(dump->image, item->extent.type, name);
	fprintf(dump->tool->out, "record %-6" PRIu32 " blocks %" PRIu64 " to %" PRIu64 ", ",
		item->record, item->extent.start, item->extent.start + item->extent.count - 1);
	show_name(dump->tool->out, name);
	fputc('\n', dump->tool->out);
}

static json_t *owned_json(struct dump *dump, const struct xn_walk_item *item)
{
	json_t *object = json_object();
	char name[80];

	type_name(dump->image, item->extent.type, name);
	json_object_set_new(object, "record", json_integer(item->record));
	json_put_id(object, "start", item->extent.start);
	json_put_id(object, "count", item->extent.count);
	json_put_bytes(object, "type_name", name);
	return object;
}

/* By walking the root: what names the object as its owner. */
static int owned_tell(struct dump *dump, json_t *array)
{
	struct xn_walk_item item;
	struct xn_walker *walker;
	int got;

	if (dump->owner.kind != OWNER_ROOT ||
	    dump->owner.chain[dump->owner.depth - 1].extent.type <= XN_RESERVED)
		return 0;
	got = xn_walker_create(image_session(dump->image), dump->owner.root, &walker);
	if (got)
		return got;
	if (!array)
		fputs("\nowns:\n", dump->tool->out);
	while ((got = xn_walker_next(walker, &item)) == 1) {
		if (item.error || item.depth == 0 || item.owner != dump->start)
			continue;
		if (array)
			json_array_append_new(array, owned_json(dump, &item));
		else
			owned_line(dump, &item);
	}
	xn_walker_destroy(walker);
	return got;
}

static void hex_line(FILE *out, const uint8_t *bytes, size_t offset)
{
	fprintf(out, "%06zx ", offset);
	for (unsigned i = 0; i < LINE; i++)
		fprintf(out, "%s%02x", i == LINE / 2 ? "  " : " ", bytes[i]);
	fputs("  |", out);
	for (unsigned i = 0; i < LINE; i++)
		fputc(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.', out);
	fputs("|\n", out);
}

/* As hexdump(1) does: of lines that are alike, one and a star. */
static void hex_tell(struct dump *dump)
{
	bool starred = false;

	fputs("\nbytes:\n", dump->tool->out);
	for (size_t at = 0; at < dump->len; at += LINE) {
		bool again = at && !memcmp(dump->bytes + at, dump->bytes + at - LINE, LINE);

		if (!again)
			hex_line(dump->tool->out, dump->bytes + at, at);
		else if (!starred)
			fputs("*\n", dump->tool->out);
		starred = again;
	}
	fprintf(dump->tool->out, "%06zx\n", dump->len);
}

/* ---- the whole ---- */

static int tell_text(struct dump *dump)
{
	FILE *out = dump->tool->out;

	fprintf(out, "block %" PRIu64 ", %zu bytes: ", dump->start, dump->len);
	show_name(out, dump->type);
	if (dump->owner.kind == OWNER_ROOT) {
		fputs(" of root ", out);
		show_name(out, dump->root.name);
		fprintf(out, " (%s)", dump->root.libfs);
	}
	fputc('\n', out);
	fields_tell(dump);
	if (owned_tell(dump, NULL) < 0)
		return XN_EIO;
	hex_tell(dump);
	return 0;
}

static int tell_json(struct dump *dump)
{
	json_t *object = json_start(), *owned = json_array();
	char *hex = malloc(2 * dump->len + 1);
	int err = hex ? owned_tell(dump, owned) : -ENOMEM;

	dump->fields = json_array();
	fields_tell(dump);
	json_put_bytes(object, "image", image_name(dump->image));
	json_put_id(object, "block", dump->start);
	json_object_set_new(object, "bytes", json_integer((json_int_t)dump->len));
	json_put_bytes(object, "type_name", dump->type);
	if (dump->owner.kind == OWNER_ROOT)
		json_put_bytes(object, "root", dump->root.name);
	json_object_set_new(object, "fields", dump->fields);
	json_object_set_new(object, "owns", owned);
	for (size_t i = 0; hex && i < dump->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", dump->bytes[i]);
	json_object_set_new(object, "hex", json_string(hex ? hex : ""));
	free(hex);
	if (err < 0)
		json_decref(object);
	else
		json_print(dump->tool, object);
	return err < 0 ? err : 0;
}

int cmd_dump(struct tool *tool, const struct args *args)
{
	struct dump dump = { .tool = tool };
	uint64_t block;
	int err = number_parse(args->operands[1], 10, UINT64_MAX, &block), close_err;

	if (err)
		return say_usage(tool, args->cmd, "\"%s\" is not the number of a block",
				 args->operands[1]);
	if (image_open(tool, args->operands[0], 0, &dump.image))
		return EXIT_FAIL;
	err = dump_find(&dump, block);
	if (!err) {
		err = dump_read(&dump);
		if (!err)
			err = tool->json ? tell_json(&dump) : tell_text(&dump);
		owner_fini(&dump.owner);
	}
	if (err == -ERANGE)
		say_failure(tool, image_name(dump.image), "block %" PRIu64 " lies beyond the disk",
			    block);
	else if (err)
		say_error(tool, image_name(dump.image), err, NULL);
	free(dump.bytes);
	close_err = image_close(dump.image);
	return err || close_err ? EXIT_FAIL : EXIT_OK;
}
