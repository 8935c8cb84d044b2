/* SPDX-License-Identifier: MIT */
/*
 * template-install: templates out of files, as a LibFS would install them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"

#define FILES_MAX 64u
#define FILE_MAX  (1u << 20)

struct install {
	const struct args *args;
	struct xn_image images[FILES_MAX];
	uint32_t count;
};

static int file_read(const char *name, struct xn_image *out)
{
	FILE *file = fopen(name, "rb");
	char *bytes = malloc(FILE_MAX + 1);
	int err = file && bytes ? 0 : file ? -ENOMEM : -errno;

	if (!err) {
		out->len = fread(bytes, 1, FILE_MAX + 1, file);
		out->bytes = bytes;
		err = ferror(file) ? -EIO : out->len > FILE_MAX ? -EFBIG : 0;
	}
	if (err)
		free(bytes);
	if (file)
		fclose(file);
	return err;
}

static int install_work(struct image *image, bool really, void *argument)
{
	struct install *install = argument;
	struct xn_refusal why = { 0 };
	uint32_t ids[FILES_MAX];
	int err;

	if (!really)
		return 0;
	err = xn_template_install(image_session(image), install->images, install->count, ids, &why);
	if (err) {
		say_error(image_tool(image), image_name(image), err, why.text);
		return err;
	}
	for (uint32_t i = 0; i < install->count; i++)
		say_done(image_tool(image), "%s is template %" PRIu32,
			 install->args->operands[1 + i], ids[i]);
	return 0;
}

int cmd_template_install(struct tool *tool, const struct args *args)
{
	struct install install = { .args = args };
	int err = 0;

	if (args->n_operands - 1 > (int)FILES_MAX)
		return say_usage(tool, args->cmd, "more than %u templates", FILES_MAX);
	for (int i = 1; i < args->n_operands && !err; i++) {
		err = file_read(args->operands[i], &install.images[install.count]);
		if (err)
			say_error(tool, args->operands[i], err, NULL);
		install.count += !err;
	}
	if (!err)
		err = image_change(tool, args->operands[0], install_work, &install);
	for (uint32_t i = 0; i < install.count; i++)
		free((void *)(uintptr_t)install.images[i].bytes);
	return err ? EXIT_FAIL : EXIT_OK;
}
