/* SPDX-License-Identifier: MIT */
/*
 * root-set, allowance, tune: limits of roots and of users, and the label of a disk.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd.h"

static bool is_given(const struct args *args, const char *name)
{
	return args_text(args, name, NULL) != NULL;
}

static uint64_t blocks_of(const struct args *args, const char *name)
{
	uint64_t bytes = args_number(args, name, 0);

	return bytes / XN_BLOCK + (bytes % XN_BLOCK != 0);
}

/* ---- roots ---- */

static int root_set_work(struct image *image, bool really, void *argument)
{
	const struct args *args = argument;
	struct xn_session *session = image_session(image);
	const char *name = args->operands[1];
	struct xn_root_info root;
	int err = xn_root_find(image_disk(image), name, &root);

	if (!err && really && is_given(args, "weight"))
		err = xn_root_set_weight(session, name, (uint32_t)args_number(args, "weight", 0));
	/* A quota that shrinks below the reserve is set after it, one that grows before. */
	if (!err && really && is_given(args, "quota") && blocks_of(args, "quota") == 0)
		err = xn_root_set_quota(session, name, 0);
	if (!err && really && is_given(args, "reserve") && is_given(args, "quota"))
		err = xn_root_set_reserve(session, name, 0);
	if (!err && really && is_given(args, "quota"))
		err = xn_root_set_quota(session, name, blocks_of(args, "quota"));
	if (!err && really && is_given(args, "reserve"))
		err = xn_root_set_reserve(session, name, blocks_of(args, "reserve"));
	return err ? image_complain(image, name, err) : 0;
}

int cmd_root_set(struct tool *tool, const struct args *args)
{
	if (args->n_given == 0)
		return say_usage(tool, args->cmd, "nothing to set");
	return image_change(tool, args->operands[0], root_set_work, (void *)args) ? EXIT_FAIL
										  : EXIT_OK;
}

/* ---- the disk ---- */

static int tune_work(struct image *image, bool really, void *argument)
{
	int err = really ? xn_set_label(image_session(image), argument) : 0;

	if (err)
		say_error(image_tool(image), image_name(image), err, NULL);
	return err;
}

int cmd_tune(struct tool *tool, const struct args *args)
{
	const char *label = args_text(args, "label", NULL);

	if (!label)
		return say_usage(tool, args->cmd, "nothing to change");
	if (strlen(label) > 64)
		return say_failure(tool, args->operands[0], "a label has at most 64 bytes");
	return image_change(tool, args->operands[0], tune_work, (void *)(uintptr_t)label)
		       ? EXIT_FAIL
		       : EXIT_OK;
}

/* ---- users ---- */

struct limit {
	const char *option, *key;
	size_t offset; /* in struct xn_allowance */
	bool size;     /* counted in blocks, told in bytes */
};

static const struct limit limits[] = {
	{ "blocks", "bytes", offsetof(struct xn_allowance, blocks), true },
	{ "roots", "roots", offsetof(struct xn_allowance, roots), false },
	{ "templates", "templates", offsetof(struct xn_allowance, templates), false },
	{ "cache", "cache_bytes", offsetof(struct xn_allowance, cache_pages), true },
	{ "pins", "pins", offsetof(struct xn_allowance, pins), false },
	{ "pending", "pending", offsetof(struct xn_allowance, pending), false },
};
#define N_LIMITS (sizeof(limits) / sizeof(limits[0]))

static uint64_t *number_of(struct xn_allowance *allowance, const struct limit *limit)
{
	return (uint64_t *)((char *)allowance + limit->offset);
}

struct allowance {
	struct tool *tool;
	const struct args *args;
	uint32_t uid;
};

static int allowance_set(struct image *image, bool really, void *argument)
{
	const struct allowance *own = argument;
	struct xn_allowance allowance;
	int err = xn_allowance_get(image_session(image), own->uid, &allowance, NULL);

	for (size_t i = 0; i < N_LIMITS; i++) {
		const struct limit *limit = &limits[i];

		if (is_given(own->args, limit->option))
			*number_of(&allowance, limit) =
				limit->size ? blocks_of(own->args, limit->option)
					    : args_number(own->args, limit->option, 0);
	}
	if (!err && really)
		err = xn_allowance_set(image_session(image), own->uid, &allowance);
	return err ? image_complain(image, "allowance", err) : 0;
}

static json_t *number_json(const struct limit *limit, uint64_t number)
{
	return json_integer((json_int_t)(limit->size ? number * XN_BLOCK : number));
}

static void allowance_json(struct tool *tool, struct xn_allowance *allowance,
			   struct xn_allowance *used)
{
	json_t *object = json_start();
	json_t *may = json_object(), *has = json_object();

	for (size_t i = 0; i < N_LIMITS; i++) {
		uint64_t most = *number_of(allowance, &limits[i]);

		json_object_set_new(may, limits[i].key,
				    most ? number_json(&limits[i], most) : json_null());
		json_object_set_new(has, limits[i].key,
				    number_json(&limits[i], *number_of(used, &limits[i])));
	}
	json_object_set_new(object, "limit", may);
	json_object_set_new(object, "used", has);
	json_print(tool, object);
}

static void allowance_table(struct tool *tool, struct xn_allowance *allowance,
			    struct xn_allowance *used)
{
	fputs("                   used      limit\n", tool->out);
	for (size_t i = 0; i < N_LIMITS; i++) {
		uint64_t number[2] = { *number_of(used, &limits[i]),
				       *number_of(allowance, &limits[i]) };
		char text[2][SIZE_TEXT_MAX];

		for (unsigned k = 0; k < 2; k++) {
			if (limits[i].size)
				show_size(tool, number[k] * XN_BLOCK, text[k]);
			else
				snprintf(text[k], sizeof(text[k]), "%" PRIu64, number[k]);
		}
		fprintf(tool->out, "%-12s %10s %10s\n", limits[i].option, text[0],
			number[1] ? text[1] : "-");
	}
}

static int allowance_show(const struct allowance *own)
{
	struct xn_allowance allowance, used;
	struct image *image;
	int err;

	if (image_open(own->tool, own->args->operands[0], 0, &image))
		return EXIT_FAIL;
	err = xn_allowance_get(image_session(image), own->uid, &allowance, &used);
	if (err)
		image_complain(image, "allowance", err);
	else if (own->tool->json)
		allowance_json(own->tool, &allowance, &used);
	else
		allowance_table(own->tool, &allowance, &used);
	return image_close(image) || err ? EXIT_FAIL : EXIT_OK;
}

int cmd_allowance(struct tool *tool, const struct args *args)
{
	struct allowance own = { .tool = tool, .args = args };
	bool change = false;
	uint64_t uid;

	if (number_parse(args->operands[1], 10, UINT32_MAX, &uid))
		return say_usage(tool, args->cmd, "\"%s\" is no user id", args->operands[1]);
	own.uid = (uint32_t)uid;
	for (size_t i = 0; i < N_LIMITS; i++)
		change |= is_given(args, limits[i].option);
	if (change && image_change(tool, args->operands[0], allowance_set, &own))
		return EXIT_FAIL;
	return change && !tool->json ? EXIT_OK : allowance_show(&own);
}
