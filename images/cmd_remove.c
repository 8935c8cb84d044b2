/* SPDX-License-Identifier: MIT */
/*
 * root-remove, template-remove: what XN itself keeps lists of.
 *
 *  (1) What would be lost is named, and kept unless the user insists.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"

/* ---- roots ---- */

struct removal {
	struct tool *tool;
	const struct args *args;
	const char *name;
};

/* Nothing but its object, as its template begins it: mkfs was cut short. */
static bool root_is_bare(struct image *image, const struct xn_root_info *root)
{
	struct xn_template_info type;

	return xn_template_info(image_disk(image), root->type, &type) == 0 &&
	       root->used <= (type.obj_size + XN_BLOCK - 1) / XN_BLOCK;
}

static int root_check(const struct removal *removal, struct image *image)
{
	char used[SIZE_TEXT_MAX];
	struct xn_root_info root;
	int err = xn_root_find(image_disk(image), removal->name, &root);

	if (err)
		return image_complain(image, removal->name, err);
	if (args_flag(removal->args, "force") || root_is_bare(image, &root))
		return 0;
	say_failure(removal->tool, image_name(image),
		    "/%s (%s) holds %s; --force removes it with all that is in it", root.name,
		    root.libfs, size_text(root.used * XN_BLOCK, false, used));
	return XN_ENOTEMPTY;
}

static int root_remove_work(struct image *image, bool really, void *argument)
{
	const struct removal *removal = argument;
	int err = root_check(removal, image);

	if (err || !really)
		return err;
	err = xn_root_remove(image_session(image), removal->name);
	return err ? image_complain(image, removal->name, err) : 0;
}

int cmd_root_remove(struct tool *tool, const struct args *args)
{
	const char *name = args->operands[1];
	struct removal removal = { tool, args, name[0] == '/' ? name + 1 : name };

	if (image_change(tool, args->operands[0], root_remove_work, &removal))
		return EXIT_FAIL;
	say_done(tool, "%s has no root /%s any more", args->operands[0], removal.name);
	return EXIT_OK;
}

/* ---- templates ---- */

struct template_removal {
	struct tool *tool;
	uint32_t id;
	struct xn_template_info info;
};

static int template_remove_work(struct image *image, bool really, void *argument)
{
	struct template_removal *removal = argument;
	struct xn_refusal why = { 0 };
	int err = xn_template_info(image_disk(image), removal->id, &removal->info);

	if (!err && !really)
		return 0;
	if (!err)
		err = xn_template_remove(image_session(image), removal->id, &why);
	if (err)
		say_error(removal->tool, image_name(image), err, why.text);
	return err;
}

int cmd_template_remove(struct tool *tool, const struct args *args)
{
	struct template_removal removal = { .tool = tool };
	uint64_t id;

	if (number_parse(args->operands[1], 10, UINT32_MAX, &id))
		return say_usage(tool, args->cmd, "\"%s\" is no number", args->operands[1]);
	removal.id = (uint32_t)id;
	if (image_change(tool, args->operands[0], template_remove_work, &removal))
		return EXIT_FAIL;
	say_done(tool, "%s has %" PRIu32 " templates less, from %" PRIu32 " on", args->operands[0],
		 removal.info.batch_count, removal.info.batch_first);
	return EXIT_OK;
}
