/* SPDX-License-Identifier: MIT */
/*
 * probe: what a disk is, without opening it.
 *
 *  (1) With -o, what is printed and the exit code are what blkid(8) would print
 *      and return, so that scripts can ask either.
 */
#include <blkid.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "super.h"

#define EXIT_NOT_FOUND 2 /* blkid's */

static void probe_json(struct tool *tool, const char *name, const struct found *found)
{
	json_t *object = json_start();

	json_put_bytes(object, "image", name);
	json_object_set_new(object, "type",
			    found->kind[0] ? json_string(found->kind) : json_null());
	json_object_set_new(object, "xn", json_boolean(found->is_xn));
	json_put_bytes(object, "label", found->label);
	json_put_bytes(object, "uuid", found->uuid);
	json_print(tool, object);
}

/* ---- as blkid prints ---- */

enum format { FULL, VALUE, EXPORT, UDEV, NO_FORMAT };
static const char *const format_word[] = { "full", "value", "export", "udev" };

struct tag {
	const char *name, *value;
};

/* With backslashes before these characters. */
static void put_escaped(FILE *out, const char *text, const char *special)
{
	for (; *text; text++) {
		if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_udev(FILE *out, const struct tag *tag)
{
	char text[4 * sizeof(((struct found *)0)->label) + 1];
	bool is_name = !strcmp(tag->name, "LABEL") || !strcmp(tag->name, "UUID");

	if (blkid_safe_string(tag->value, text, sizeof(text)) == 0)
		fprintf(out, "ID_FS_%s=%s\n", tag->name, text);
	if (is_name && blkid_encode_string(tag->value, text, sizeof(text)) == 0)
		fprintf(out, "ID_FS_%s_ENC=%s\n", tag->name, text);
}

static void put_tag(FILE *out, enum format format, const char *device, const struct tag *tag,
		    bool first)
{
	switch (format) {
	case UDEV: put_udev(out, tag); break;
	case VALUE: fprintf(out, "%s\n", tag->value); break;
	case EXPORT:
		if (first)
			fprintf(out, "DEVNAME=%s\n", device);
		fprintf(out, "%s=", tag->name);
		put_escaped(out, tag->value, " \\\"'$`<>");
		fputc('\n', out);
		break;
	default:
		fprintf(out, "%s%s %s=\"", first ? device : "", first ? ":" : "", tag->name);
		put_escaped(out, tag->value, "\"\\");
		fputc('"', out);
	}
}

static bool is_wanted(const struct args *args, const char *name)
{
	bool any = false;

	for (unsigned i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].opt->name, "match-tag") != 0)
			continue;
		if (!strcmp(args->given[i].text, name))
			return true;
		any = true;
	}
	return !any;
}

static int probe_tags(struct tool *tool, const struct args *args, enum format format,
		      const struct found *found)
{
	const struct tag tags[] = {
		{ "LABEL", found->label }, { "UUID", found->uuid }, { "VERSION", found->version },
		{ "BLOCK_SIZE", "4096" },  { "TYPE", found->kind }, { "USAGE", "filesystem" },
	};
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (tags[i].value[0] && is_wanted(args, tags[i].name))
			put_tag(tool->out, format, args->operands[0], &tags[i], count++ == 0);
	if (format == FULL)
		fputc('\n', tool->out);
	return EXIT_OK;
}

/* ---- the command ---- */

static int format_asked(const struct args *args)
{
	const char *text = args_text(args, "output", NULL);

	if (!text)
		return args_flag(args, "export") ? UDEV : NO_FORMAT;
	for (int i = 0; i < NO_FORMAT; i++)
		if (!strcmp(text, format_word[i]))
			return i;
	return -1;
}

static int probe_say(struct tool *tool, const struct args *args, int format,
		     const struct found *found)
{
	const char *name = args->operands[0];
	int none = args_flag(args, "output") ? EXIT_NOT_FOUND : EXIT_FAIL;
	char text[FOUND_TEXT_MAX];

	if (tool->json) {
		probe_json(tool, name, found);
		return found->is_xn ? EXIT_OK : EXIT_FAIL;
	}
	if (!found->kind[0]) {
		say_failure(tool, name, "it holds nothing that is known");
		return none;
	}
	found_text(found, text);
	if (!found->is_xn) {
		say_failure(tool, name, "not an XN disk: it holds %s", text);
		return none;
	}
	if (format != NO_FORMAT)
		return probe_tags(tool, args, (enum format)format, found);
	fprintf(tool->out, "%s: %s\n", name, text);
	return EXIT_OK;
}

int cmd_probe(struct tool *tool, const struct args *args)
{
	const char *name = args->operands[0];
	int format = format_asked(args), err;
	struct found found;
	struct bdev *dev;

	if (format < 0)
		return say_usage(tool, args->cmd, "--output: full, value, export or udev");
	err = bdev_open(name, BDEV_OPEN_RDONLY, 0, &dev);
	if (!err) {
		err = found_look(plain_path(name), dev, &found);
		bdev_close(dev);
	}
	if (err >= 0)
		return probe_say(tool, args, format, &found);
	say_error(tool, name, err, NULL);
	return args_flag(args, "output") ? EXIT_NOT_FOUND : EXIT_FAIL;
}
