/* SPDX-License-Identifier: MIT */
/*
 * owner: who owns a block, in words.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd.h"
#include "owner.h"

static const char *catalogue_name(enum xn_catalogue_kind kind)
{
	switch (kind) {
	case XN_CAT_TEMPLATES: return "templates";
	case XN_CAT_ROOTS: return "roots";
	case XN_CAT_PRINCIPALS: return "principals";
	default: return "unknown";
	}
}

void type_name(struct image *image, uint32_t type, char name[80])
{
	struct xn_template_info info;

	if (type == XN_DATA)
		strcpy(name, "data");
	else if (type == XN_RESERVED)
		strcpy(name, "reserved");
	else if (xn_template_info(image_disk(image), type, &info) == 0)
		snprintf(name, 80, "%s", info.name);
	else
		snprintf(name, 80, "template %" PRIu32, type);
}

static void root_name(struct image *image, uint32_t id, struct xn_root_info *root)
{
	if (xn_root_next(image_disk(image), id - 1, root) || root->id != id)
		*root = (struct xn_root_info){ .id = id };
}

const char *owner_word(enum owner_kind kind)
{
	static const char *const words[] = {
		[OWNER_SUPERBLOCK] = "superblock",
		[OWNER_MAP] = "map",
		[OWNER_CATALOGUE] = "catalogue",
		[OWNER_LOG] = "log",
		[OWNER_TEMPLATE] = "template",
		[OWNER_ROOT] = "root",
		[OWNER_FREE] = "free",
		[OWNER_NOBODY] = "nobody",
	};

	return words[kind];
}

/* ---- for people ---- */

static void say_extent(FILE *out, const struct xn_extent *extent)
{
	if (extent->count == 1)
		fprintf(out, "block %" PRIu64, extent->start);
	else
		fprintf(out, "blocks %" PRIu64 " to %" PRIu64, extent->start,
			extent->start + extent->count - 1);
}

static void say_chain(struct image *image, const struct owner *owner)
{
	FILE *out = image_tool(image)->out;
	struct xn_root_info root;
	char name[80];

	root_name(image, owner->root, &root);
	fprintf(out, "root %" PRIu32 " \"", owner->root);
	show_name(out, root.name);
	fprintf(out, "\" (%s)\n", root.libfs);
	for (unsigned i = 0; i < owner->depth; i++) {
		const struct xn_walk_item *item = &owner->chain[i];

		fprintf(out, "%*s└─ ", (int)(3 * i), "");
		if (i > 0)
			fprintf(out, "record %" PRIu32 " of object %" PRIu64 ": ", item->record,
				item->owner);
		type_name(image, item->extent.type, name);
		say_extent(out, &item->extent);
		fputs(", ", out);
		show_name(out, name);
		fputc('\n', out);
	}
}

/* The rest of the sentence "block 17 ...". */
static void say_what(struct image *image, const struct owner *owner)
{
	FILE *out = image_tool(image)->out;
	char name[80];

	switch (owner->kind) {
	case OWNER_SUPERBLOCK:
		fprintf(out,
			owner->index ? "is copy %" PRIu64 " of the superblock\n"
				     : "is the superblock\n",
			owner->index);
		break;
	case OWNER_MAP: fprintf(out, "is the free map of chunk %" PRIu64 "\n", owner->index); break;
	case OWNER_CATALOGUE:
		fprintf(out, "is block %" PRIu64 " of the catalogue of %s%s\n", owner->index,
			catalogue_name(owner->catalogue), owner->is_twin ? " (the twin)" : "");
		break;
	case OWNER_LOG: fputs("belongs to the intent log\n", out); break;
	case OWNER_TEMPLATE:
		type_name(image, (uint32_t)owner->index, name);
		fprintf(out, "holds the image of template %" PRIu64 " (%s)\n", owner->index, name);
		break;
	case OWNER_ROOT:
		type_name(image, owner->chain[owner->depth - 1].extent.type, name);
		fprintf(out, "is %s of ", name);
		say_chain(image, owner);
		break;
	case OWNER_FREE: fputs("is free\n", out); break;
	case OWNER_NOBODY:
		fputs("is marked in use, but nothing names it; xn-fsck gives it back\n", out);
		break;
	}
}

/* ---- for programs ---- */

static json_t *chain_json(struct image *image, const struct owner *owner)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < owner->depth; i++) {
		const struct xn_walk_item *item = &owner->chain[i];
		json_t *step = json_object();
		char name[80];

		type_name(image, item->extent.type, name);
		if (i > 0) {
			json_put_id(step, "owner", item->owner);
			json_object_set_new(step, "record", json_integer(item->record));
		}
		json_put_id(step, "start", item->extent.start);
		json_put_id(step, "count", item->extent.count);
		json_object_set_new(step, "type", json_integer(item->extent.type));
		json_put_bytes(step, "type_name", name);
		json_array_append_new(array, step);
	}
	return array;
}

static void owner_json(struct image *image, xn_blk_t block, const struct owner *owner)
{
	json_t *object = json_start();
	struct xn_root_info root;

	json_put_bytes(object, "image", image_name(image));
	json_put_id(object, "block", block);
	json_object_set_new(object, "owner", json_string(owner_word(owner->kind)));
	switch (owner->kind) {
	case OWNER_SUPERBLOCK: json_put_id(object, "copy", owner->index); break;
	case OWNER_MAP: json_put_id(object, "chunk", owner->index); break;
	case OWNER_CATALOGUE:
		json_object_set_new(object, "catalogue",
				    json_string(catalogue_name(owner->catalogue)));
		json_put_id(object, "index", owner->index);
		json_object_set_new(object, "twin", json_boolean(owner->is_twin));
		break;
	case OWNER_TEMPLATE: json_put_id(object, "template", owner->index); break;
	case OWNER_ROOT:
		root_name(image, owner->root, &root);
		json_put_bytes(object, "root", root.name);
		json_object_set_new(object, "chain", chain_json(image, owner));
		break;
	default: break;
	}
	json_print(image_tool(image), object);
}

int cmd_owner(struct tool *tool, const struct args *args)
{
	struct owner owner;
	struct image *image;
	uint64_t block;
	int err = number_parse(args->operands[1], 10, UINT64_MAX, &block);

	if (err)
		return say_usage(tool, args->cmd, "\"%s\" is not the number of a block",
				 args->operands[1]);
	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	err = owner_find(image, block, &owner);
	if (err == -ERANGE)
		say_failure(tool, image_name(image), "block %" PRIu64 " lies beyond the disk",
			    block);
	else if (err)
		say_error(tool, image_name(image), err, NULL);
	else if (tool->json)
		owner_json(image, block, &owner);
	else {
		fprintf(tool->out, "block %" PRIu64 " ", block);
		say_what(image, &owner);
	}
	if (!err)
		owner_fini(&owner);
	return image_close(image) || err ? EXIT_FAIL : EXIT_OK;
}
