/* SPDX-License-Identifier: MIT */
/*
 * info, roots, templates: what a disk says about itself.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"

static struct timespec from_ns(int64_t ns)
{
	struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	if (time.tv_nsec < 0) {
		time.tv_nsec += 1000000000;
		time.tv_sec--;
	}
	return time;
}

/* Open, and show one catalogue in the form that was asked for. */
static int list(struct tool *tool, const struct args *args, const char *key,
		json_t *(*to_json)(struct image *image), void (*to_table)(struct image *image))
{
	struct image *image;
	json_t *object;

	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	if (tool->json) {
		object = json_start();
		json_put_bytes(object, "image", image_name(image));
		json_object_set_new(object, key, to_json(image));
		json_print(tool, object);
	} else {
		to_table(image);
	}
	return image_close(image) ? EXIT_FAIL : EXIT_OK;
}

/* ---- roots ---- */

static json_t *root_json(const struct xn_root_info *root)
{
	json_t *object = json_object();
	char uuid[37], mode[8];

	show_uuid(root->uuid, uuid);
	snprintf(mode, sizeof(mode), "%04o", root->mode);
	json_object_set_new(object, "id", json_integer(root->id));
	json_put_bytes(object, "name", root->name);
	json_put_bytes(object, "libfs", root->libfs);
	json_object_set_new(object, "template", json_integer(root->type));
	json_put_id(object, "object", root->object);
	json_object_set_new(object, "uid", json_integer(root->uid));
	json_object_set_new(object, "gid", json_integer(root->gid));
	json_object_set_new(object, "mode", json_string(mode));
	json_object_set_new(object, "used_bytes",
			    json_integer((json_int_t)(root->used * XN_BLOCK)));
	json_object_set_new(object, "quota_bytes",
			    root->quota ? json_integer((json_int_t)(root->quota * XN_BLOCK))
					: json_null());
	json_object_set_new(object, "reserve_bytes",
			    json_integer((json_int_t)(root->reserve * XN_BLOCK)));
	json_object_set_new(object, "weight", json_integer(root->weight));
	json_object_set_new(object, "uuid", json_string(uuid));
	json_put_time(object, "created", from_ns(root->created_ns));
	json_object_set_new(object, "damaged", json_boolean(root->damaged));
	return object;
}

static json_t *roots_json(struct image *image)
{
	struct xn_root_info root = { 0 };
	json_t *array = json_array();

	while (xn_root_next(image_disk(image), root.id, &root) == 0)
		json_array_append_new(array, root_json(&root));
	return array;
}

static void root_line(const struct tool *tool, const struct xn_root_info *root)
{
	char used[SIZE_TEXT_MAX], quota[SIZE_TEXT_MAX] = "-";

	show_size(tool, root->used * XN_BLOCK, used);
	if (root->quota)
		show_size(tool, root->quota * XN_BLOCK, quota);
	fprintf(tool->out, "%4" PRIu32 "  %-10s %10s %10s  %04o %5u:%-5u %8" PRIu64 "  ", root->id,
		root->libfs, used, quota, root->mode, root->uid, root->gid, root->object);
	show_name(tool->out, root->name);
	fputs(root->damaged ? "  DAMAGED\n" : "\n", tool->out);
}

static void roots_table(struct image *image)
{
	struct tool *tool = image_tool(image);
	struct xn_root_info root = { 0 };

	fputs("  id  libfs            used      quota  mode   uid:gid     block  name\n",
	      tool->out);
	while (xn_root_next(image_disk(image), root.id, &root) == 0)
		root_line(tool, &root);
}

int cmd_roots(struct tool *tool, const struct args *args)
{
	return list(tool, args, "roots", roots_json, roots_table);
}

/* ---- templates ---- */

static void hex_text(const uint8_t *bytes, size_t len, char *text)
{
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static json_t *template_json(const struct xn_template_info *info)
{
	json_t *object = json_object();
	char sha[65];

	hex_text(info->sha256, sizeof(info->sha256), sha);
	json_object_set_new(object, "id", json_integer(info->id));
	json_put_bytes(object, "name", info->name);
	json_object_set_new(object, "batch_first", json_integer(info->batch_first));
	json_object_set_new(object, "batch_count", json_integer(info->batch_count));
	json_object_set_new(object, "object_bytes", json_integer(info->obj_size));
	json_object_set_new(object, "header_bytes", json_integer(info->hdr_len));
	json_object_set_new(object, "record_offset", json_integer(info->rec_off));
	json_object_set_new(object, "record_bytes", json_integer(info->rec_size));
	json_object_set_new(object, "record_count", json_integer(info->rec_count));
	json_object_set_new(object, "image_bytes", json_integer(info->image_len));
	json_object_set_new(object, "installer_uid", json_integer(info->installer));
	json_object_set_new(object, "sha256", json_string(sha));
	return object;
}

static json_t *templates_json(struct image *image)
{
	struct xn_template_info info = { 0 };
	json_t *array = json_array();

	while (xn_template_next(image_disk(image), info.id, &info) == 0)
		json_array_append_new(array, template_json(&info));
	return array;
}

static void templates_table(struct image *image)
{
	struct tool *tool = image_tool(image);
	struct xn_template_info info = { 0 };

	fputs("  id  object  header  records      image  sha256        name\n", tool->out);
	while (xn_template_next(image_disk(image), info.id, &info) == 0) {
		char sha[65], records[24];

		hex_text(info.sha256, sizeof(info.sha256), sha);
		snprintf(records, sizeof(records), "%u x %u", info.rec_count, info.rec_size);
		fprintf(tool->out, "%4" PRIu32 "  %6u  %6u  %-9s  %7u  %.12s  ", info.id,
			info.obj_size, info.hdr_len, records, info.image_len, sha);
		show_name(tool->out, info.name);
		fputc('\n', tool->out);
	}
}

int cmd_templates(struct tool *tool, const struct args *args)
{
	return list(tool, args, "templates", templates_json, templates_table);
}

/* ---- info ---- */

static void info_json(struct image *image, const struct xn_disk_info *disk)
{
	json_t *object = json_start();
	char uuid[37];

	show_uuid(disk->uuid, uuid);
	json_put_bytes(object, "image", image_name(image));
	json_put_bytes(object, "label", disk->label);
	json_object_set_new(object, "uuid", json_string(uuid));
	json_object_set_new(object, "format_version", json_integer(disk->format_version));
	json_object_set_new(object, "block_bytes", json_integer(XN_BLOCK));
	json_object_set_new(object, "blocks", json_integer((json_int_t)disk->block_count));
	json_object_set_new(object, "free_blocks", json_integer((json_int_t)disk->free_blocks));
	json_object_set_new(object, "size_bytes",
			    json_integer((json_int_t)(disk->block_count * XN_BLOCK)));
	json_object_set_new(object, "free_bytes",
			    json_integer((json_int_t)(disk->free_blocks * XN_BLOCK)));
	json_object_set_new(object, "clean", json_boolean(disk->was_clean));
	json_object_set_new(object, "damaged", json_boolean(disk->damaged));
	json_put_id(object, "mount_epoch", disk->mount_epoch);
	json_put_id(object, "compat", disk->compat);
	json_put_id(object, "incompat", disk->incompat);
	json_put_id(object, "ro_compat", disk->ro_compat);
	json_put_time(object, "formatted", from_ns(disk->format_time_ns));
	json_object_set_new(object, "roots", roots_json(image));
	json_object_set_new(object, "templates", templates_json(image));
	json_print(image_tool(image), object);
}

static void info_text(struct image *image, const struct xn_disk_info *disk)
{
	struct tool *tool = image_tool(image);
	char uuid[37], size[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX], time[64];

	show_uuid(disk->uuid, uuid);
	show_time(from_ns(disk->format_time_ns), false, time);
	fputs("image      ", tool->out);
	show_name(tool->out, image_name(image));
	fprintf(tool->out, "\nformat     XN disk, version %u\nlabel      ", disk->format_version);
	show_name(tool->out, disk->label[0] ? disk->label : "-");
	fprintf(tool->out, "\nuuid       %s\n", uuid);
	fprintf(tool->out, "size       %s (%" PRIu64 " blocks of %u bytes)\n",
		show_size(tool, disk->block_count * XN_BLOCK, size), disk->block_count, XN_BLOCK);
	fprintf(tool->out, "free       %s (%" PRIu64 " blocks)\n",
		show_size(tool, disk->free_blocks * XN_BLOCK, room), disk->free_blocks);
	fprintf(tool->out, "state      %s%s\n",
		disk->was_clean ? "clean"
				: "not closed cleanly; the next opening for writing repairs that",
		disk->damaged ? "; damage was met, run xn-fsck" : "");
	fprintf(tool->out, "formatted  %s\nopened     %" PRIu64 " times for writing\n", time,
		disk->mount_epoch);
	fprintf(tool->out, "templates  %u\nroots      %u\n", disk->templates, disk->roots);
	if (disk->roots) {
		fputc('\n', tool->out);
		roots_table(image);
	}
}

int cmd_info(struct tool *tool, const struct args *args)
{
	struct xn_disk_info disk;
	struct image *image;
	int err;

	if (image_open(tool, args->operands[0], 0, &image))
		return EXIT_FAIL;
	err = xn_disk_info(image_disk(image), &disk);
	if (err)
		say_error(tool, image_name(image), err, NULL);
	else if (tool->json)
		info_json(image, &disk);
	else
		info_text(image, &disk);
	return image_close(image) || err ? EXIT_FAIL : EXIT_OK;
}
